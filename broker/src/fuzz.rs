//! Bytes from strangers: packets as they should be, changed at random, through the packet reader and through sessions.
//!
//! `cargo test` gives each of these a second. More, in numbers:
//! `BOLERO_RANDOM_ITERATIONS=10000000 cargo test --release -p flotilla-broker fuzz`.

use std::io::Cursor;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bolero::check;
use bytes::BytesMut;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::entrance::Visitor;
use crate::packet::{First, Incoming, ReadError, Version, next_frame};
use crate::{Broker, Config, Limits, Running, session};

/// The longest packet that is read here.
const PACKET_BYTES_MAX: usize = 1_000;

/// A packet of the list below, and what is done to it: bytes replaced, and so many cut off its end.
type Change = (u8, Vec<(u8, u8)>, Option<u8>);

pub(crate) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

pub(crate) fn packet(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    [&[first, body.len() as u8], body.as_slice()].concat()
}

/// One of each that a client may send, with all that it may hold.
fn packets() -> Vec<Vec<u8>> {
    let user = [&[38][..], &text("k"), &text("v")].concat();
    let will = [&[24, 0, 0, 0, 1, 1, 1, 2, 0, 0, 0, 1, 3][..], &text("t"), &user].concat();
    let connect = [&[17, 0, 0, 0, 9, 33, 0, 5, 39, 0, 0, 9, 9, 34, 0, 3, 25, 1, 23, 1][..], &user].concat();
    let publish = [&[1, 1, 2, 0, 0, 0, 9, 35, 0, 2, 8][..], &text("r"), &[9], &text("c"), &user].concat();
    let counted = |bytes: &[u8]| [&[bytes.len() as u8], bytes].concat();
    vec![
        packet(
            0x10,
            &[
                &text("MQTT"),
                &[4, 0xee, 0, 9],
                &text("edge-e1"),
                &text("a/b"),
                &text("w"),
                &text("u"),
                &text("p"),
            ],
        ),
        packet(
            0x10,
            &[
                &text("MQTT"),
                &[5, 0xee, 0, 9],
                &counted(&connect),
                &text("edge-e1"),
                &counted(&will),
                &text("a/b"),
                &text("w"),
                &text("u"),
                &text("p"),
            ],
        ),
        packet(0x30, &[&text("fleet/v1/edge/e1/want"), b"payload"]),
        packet(0x33, &[&text("fleet/v1/edge/e1/want"), &[0, 7], &counted(&publish), b"payload"]),
        packet(0x40, &[&[0, 7, 0, 0]]),
        packet(0x82, &[&[0, 8, 2, 11, 5], &text("fleet/v1/to/e1/#"), &[0x2d], &text("+/x"), &[0]]),
        packet(0x82, &[&[0, 8], &text("fleet/v1/to/e1/#"), &[1]]),
        packet(0xa2, &[&[0, 9, 0], &text("fleet/v1/to/e1/#")]),
        packet(0xc0, &[]),
        packet(0xe0, &[&[4, 5, 17, 0, 0, 0, 1]]),
    ]
}

fn changed((which, edits, cut): &Change) -> Vec<u8> {
    let mut packets = packets();
    let mut bytes = packets.swap_remove(usize::from(*which) % packets.len());
    for (place, byte) in edits {
        let place = usize::from(*place) % bytes.len();
        bytes[place] = *byte;
    }
    bytes.truncate(bytes.len() - usize::from(cut.unwrap_or(0)).min(bytes.len()));
    bytes
}

/// The frames in some bytes that came in pieces, and why there are no more.
fn frames(bytes: &[u8], piece: usize) -> (Vec<BytesMut>, Option<ReadError>) {
    let (mut input, mut frames) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        input.extend_from_slice(piece);
        loop {
            match next_frame(&mut input, PACKET_BYTES_MAX) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

#[test]
fn the_packets_that_are_changed_are_as_they_should_be() {
    for bytes in packets() {
        let (frames, error) = frames(&bytes, bytes.len());
        assert_eq!((frames.len(), error), (1, None));
        let read = |version: Version| match bytes[0] {
            0x10 => Version::read_connect(frames[0].clone()).is_ok(),
            _ => version.read(frames[0].clone()).is_ok(),
        };
        assert!(read(Version::V4) || read(Version::V5), "{bytes:02x?}");
    }
}

#[test]
fn whatever_comes_is_read_or_refused_and_nothing_is_longer_than_what_came() {
    check!().with_type::<Change>().for_each(|change| {
        let bytes = changed(change);
        let (frames, _) = frames(&bytes, bytes.len().max(1));
        for frame in frames {
            let frame_bytes = frame.len();
            assert!(frame_bytes <= PACKET_BYTES_MAX + 5);
            if let Ok(First::Connect(connect)) = Version::read_connect(frame.clone()) {
                let will = connect.will.map_or(0, |(will, _)| will.topic.len() + will.message.len());
                assert!(connect.connect.client_id.len() + will < frame_bytes);
            }
            for version in [Version::V4, Version::V5] {
                if let Ok(Incoming::Publish(publish)) = version.read(frame.clone()) {
                    assert!(publish.topic.len() + publish.payload.len() < frame_bytes);
                }
            }
        }
    });
}

#[test]
fn the_same_packets_are_found_however_the_bytes_are_cut() {
    check!().with_type::<(Vec<Change>, u8)>().for_each(|(changes, piece)| {
        let bytes: Vec<u8> = changes.iter().flat_map(changed).collect();
        let piece = usize::from(*piece).max(1);
        assert_eq!(frames(&bytes, piece), frames(&bytes, bytes.len().max(1)));
    });
}

#[test]
fn bytes_of_no_form_at_all_are_borne() {
    check!().for_each(|bytes: &[u8]| {
        for frame in frames(bytes, bytes.len().max(1)).0 {
            let _ = Version::read_connect(frame.clone());
            let _ = Version::V4.read(frame.clone());
            let _ = Version::V5.read(frame);
        }
    });
}

/// A broker, and connections to it that are bytes alone.
struct Lab {
    runtime: Runtime,
    running: Running,
    _folder: TempDir,
}

impl Lab {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        // Random bytes come faster than connections may.
        let limits =
            Limits { sessions: 100, retained_count: 100, connects_per_second: u32::MAX, ..Limits::default() };
        let config = Config { limits, ..Config::open(([127, 0, 0, 1], 0).into(), folder.path()) };
        let running = runtime.block_on(Broker::start(config)).unwrap();
        Self { runtime, running, _folder: folder }
    }

    /// What a client that sends these bytes and leaves is told.
    fn answer(&self, bytes: Vec<u8>) -> Vec<u8> {
        let mut answer = Vec::new();
        let stream = tokio::io::join(Cursor::new(bytes), &mut answer);
        let peer = ([127, 0, 0, 1], 1).into();
        let broker = self.running.shared();
        self.runtime.block_on(async {
            let visitor = Visitor::of(&broker, peer).await.unwrap();
            session::serve(Arc::clone(&broker), stream, visitor).await;
        });
        answer
    }
}

#[test]
fn a_session_bears_whatever_comes_and_the_next_client_is_served() {
    let lab = AssertUnwindSafe(Lab::new());
    let connects = [
        packet(0x10, &[&text("MQTT"), &[4, 2, 0, 9], &text("edge-e1")]),
        packet(0x10, &[&text("MQTT"), &[5, 2, 0, 9, 0], &text("edge-e1")]),
    ];
    check!().with_type::<(u8, Vec<Change>)>().for_each(|(first, changes)| {
        let first = connects.get(usize::from(first % 4)).cloned().unwrap_or_default();
        lab.answer(changes.iter().fold(first, |bytes, change| [bytes, changed(change)].concat()));
    });
    let publish = packet(0x32, &[&text("fleet/v1/edge/e1/want"), &[0, 7], b"payload"]);
    let answer = lab.answer([connects[0].clone(), publish].concat());
    assert_eq!(answer, [0x20, 2, 0, 0, 0x40, 2, 0, 7]);
    assert_eq!(lab.running.meters().router_deaths.get(), 0);
}
