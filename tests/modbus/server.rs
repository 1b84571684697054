//! pymodbus's server as a process of a test.
//!
//! Needs a Python that has pymodbus: `FLOTILLA_PYMODBUS` names it, or `python3` is it. Without one the test fails where
//! `CI` is set, and says elsewhere that it was skipped.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// The server; it ends with this.
pub struct Server {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts it at this port of loopback, and waits until it listens; none where there is no pymodbus.
    pub fn start(port: u16) -> Option<Self> {
        let python = std::env::var_os("FLOTILLA_PYMODBUS").unwrap_or("python3".into());
        let has =
            Command::new(&python).args(["-c", "import pymodbus.simulator"]).stderr(Stdio::null()).status();
        if !has.is_ok_and(|status| status.success()) {
            let text = "needs pymodbus: python3 -m venv DIR && DIR/bin/pip install -r \
                        tests/modbus/requirements.txt, then FLOTILLA_PYMODBUS=DIR/bin/python3";
            assert!(std::env::var_os("CI").is_none(), "{text}");
            eprintln!("skipped: {text}");
            return None;
        }
        let mut command = Command::new(python);
        command.args(["-c", include_str!("server.py"), &port.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = said.clone();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| heard.lock().unwrap().push(line))
        });
        Some(Self { child, said })
    }

    /// How the devices behave from now on.
    pub fn behave(&mut self, how: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{how}").unwrap();
    }

    /// Whether it has said this line.
    pub fn said(&self, line: &str) -> bool {
        self.said.lock().unwrap().iter().any(|said| said == line)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
