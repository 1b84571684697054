//! Goes wrong in every way that an app can, one operation each: for the tests of the sandbox.

wit_bindgen::generate!({
    path: "../../../schemas/wit",
    inline: r#"
        package samples:faulty@0.1.0;

        world faulty {
            use fleet:edge/types@0.1.0.{fault, value};

            record point { x: s32, y: s32, label: option<string> }
            enum shade { dark, light }
            record everything {
                truth: bool, small: u8, whole: s64, number: f64, text: string, shade: shade, numbers: list<f64>,
                point: point,
            }

            /// Gives back what it was given.
            export echo: func(everything: list<everything>) -> list<everything>;
            /// How often it has been called since the instance was made.
            export count: func() -> u32;
            /// Never comes back.
            export spin: func();
            /// Asks for memory until there is none.
            export exhaust: func();
            /// Calls itself without an end.
            export recurse: func(depth: u32) -> u32;
            /// Writes where it has no memory.
            export stray: func();
            /// Panics with the message.
            export panic: func(message: string);
            /// Returns the fault.
            export fail: func(code: string, message: string) -> result<_, fault>;
            /// Answers what is not a number.
            export nan: func() -> f64;
            /// Reads a point, and gives back what the edge said.
            export read: func(device: string, point: string) -> result<string, fault>;
            /// Sets a point to a number.
            export write: func(device: string, point: string, number: f64) -> result<_, fault>;
            /// Emits an event so many times.
            export emit: func(name: string, times: u32) -> result<_, fault>;
            /// Logs so many messages of so many bytes.
            export chatter: func(times: u32, size: u32);
            /// Puts and gets back a value of so many bytes.
            export keep: func(key: string, size: u32) -> result<u32, fault>;
            /// The edge's clock.
            export now: func() -> u64;
        }
    "#,
    with: { "fleet:edge/types@0.1.0": fleet_guest::types },
});

use std::cell::Cell;
use std::hint::black_box;

use fleet_guest::{clock, device_read, device_write, events, kv, log};

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

struct Faulty;

impl Guest for Faulty {
    fn echo(everything: Vec<Everything>) -> Vec<Everything> {
        everything
    }

    fn count() -> u32 {
        CALLS.set(CALLS.get() + 1);
        CALLS.get()
    }

    fn spin() {
        while black_box(true) {}
    }

    fn exhaust() {
        let mut held = Vec::new();
        loop {
            held.push(black_box(vec![1_u8; 64 * 1024]));
        }
    }

    #[allow(unconditional_recursion)]
    fn recurse(depth: u32) -> u32 {
        let frame = black_box([depth; 64]);
        Self::recurse(depth + 1) + frame.iter().sum::<u32>()
    }

    fn stray() {
        // The point is to do what no safe code can; the last address of 32 bits is in nobody's memory.
        unsafe { std::ptr::write_volatile(black_box(usize::MAX) as *mut u8, 0) }
    }

    fn panic(message: String) {
        panic!("{message}");
    }

    fn fail(code: String, message: String) -> Result<(), Fault> {
        Err(Fault { code, message })
    }

    fn nan() -> f64 {
        f64::NAN
    }

    fn read(device: String, point: String) -> Result<String, Fault> {
        device_read::read(&device, &point).map(|value| format!("{value:?}"))
    }

    fn write(device: String, point: String, number: f64) -> Result<(), Fault> {
        device_write::write(&device, &point, &Value::Number(number))
    }

    fn emit(name: String, times: u32) -> Result<(), Fault> {
        (0..times).try_for_each(|n| events::emit(&name, &[("n".to_owned(), Value::Integer(n.into()))]))
    }

    fn chatter(times: u32, size: u32) {
        for _ in 0..times {
            log::write(log::Level::Info, &"x".repeat(size as usize));
        }
    }

    fn keep(key: String, size: u32) -> Result<u32, Fault> {
        kv::set(&key, &vec![7; size as usize])?;
        let kept = kv::get(&key)?.map_or(0, |value| value.len() as u32);
        kv::delete(&key)?;
        Ok(kept)
    }

    fn now() -> u64 {
        clock::now_ms()
    }
}

fleet_guest::app!(Faulty);
