//! Retained messages: all in memory, all on disk, handed to whoever subscribes.
//!
//! A publish changes the tree and goes to the router in one step. So whoever subscribes gets the new message from the
//! tree, from the router or from both, but never misses it; and the one that comes last is the one that stays. A thread of its own writes what changed
//! since its last transaction in one; the publisher's [`Ticket`] tells when. If the disk fails, all who wait are told,
//! what was not written stays marked, and the next transaction tries it again: the disk catches up by itself. What
//! expires is taken out of memory and off the disk when its time comes.

mod disk;
mod room;
mod tree;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flotilla_machine::DatabaseError;
use rumqttd::protocol::QoS;
use tokio::sync::oneshot;

use crate::limits::Limits;
use crate::lock::lock;
use crate::message::{Message, now_us};
use crate::meters::Meters;
use disk::Disk;
use room::{Room, Used};
use tree::Tree;

/// The file in the data folder.
pub(crate) const FILE: &str = "retained.redb";

/// How long after a failure the disk is tried again, if no publish tries it sooner.
const RETRY_WAIT: Duration = Duration::from_secs(5);

/// Resolves when a change is on disk; an error means that it is not, and may never be.
pub(crate) type Ticket = oneshot::Receiver<Result<(), Unwritten>>;

/// The disk did not take a retained message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unwritten;

/// There is no room for another retained message, or its writer has had its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// The store. Its thread ends with [`Retained::close`].
pub(crate) struct Retained {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    limits: Limits,
    meters: Arc<Meters>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    tree: Tree<Message>,
    /// The broker's own, below `$SYS`: not on disk, and found by no wildcard in the first level.
    own: Tree<Message>,
    room: Room,
    /// When a topic's message expires, in Unix microseconds, if it is still the same one.
    expiring: BTreeSet<(u64, String)>,
    /// Topics whose value on disk is not the tree's.
    dirty: BTreeSet<String>,
    waiting: Vec<oneshot::Sender<Result<(), Unwritten>>>,
    /// Something changed since the writer last looked.
    fresh: bool,
    closing: bool,
}

impl Retained {
    /// Opens the store in a folder that exists, and loads it whole.
    pub(crate) fn open(folder: &Path, limits: &Limits, meters: Arc<Meters>) -> Result<Self, DatabaseError> {
        Self::load(Disk::open(folder.join(FILE))?, limits, meters)
    }

    fn load(disk: Disk, limits: &Limits, meters: Arc<Meters>) -> Result<Self, DatabaseError> {
        let shared = Arc::new(Shared::default());
        let mut state = lock(&shared.state);
        for message in disk.load()? {
            state.insert(message);
        }
        state.note(&meters);
        let Used { count, bytes } = state.room.all();
        tracing::info!(count, size_bytes = bytes, "retained messages loaded");
        drop(state);
        let writer = std::thread::spawn({
            let shared = Arc::clone(&shared);
            let meters = Arc::clone(&meters);
            move || write_until_closed(&shared, disk, &meters)
        });
        Ok(Self { shared, writer: Mutex::new(Some(writer)), limits: limits.clone(), meters })
    }

    /// Keeps a message in place of its topic's former one, and passes it on before another can take its place; an empty
    /// one only deletes that. Waits for nothing: with QoS 1 the ticket says when it is on disk.
    pub(crate) fn put(
        &self,
        message: Message,
        pass_on: impl FnOnce(Message),
    ) -> Result<Option<Ticket>, Full> {
        let mut state = lock(&self.shared.state);
        let topic = message.topic();
        if message.payload().is_empty() {
            state.remove(topic);
        } else if state.room.fits(state.tree.get(topic), &message, &self.limits) {
            state.insert(message.clone());
        } else {
            return Err(Full);
        }
        state.note(&self.meters);
        state.dirty.insert(topic.to_owned());
        state.fresh = true;
        self.shared.changed.notify_one();
        let ticket = (message.qos() != QoS::AtMostOnce).then(|| {
            let (done, ticket) = oneshot::channel();
            if !state.closing {
                state.waiting.push(done);
            }
            ticket
        });
        pass_on(message);
        Ok(ticket)
    }

    /// Up to `page` messages that match the filter, those after a topic if one is given, in the order of topics.
    pub(crate) fn page(&self, filter: &str, after: Option<&str>, page: usize) -> Vec<Message> {
        let state = lock(&self.shared.state);
        let tree = if filter.starts_with('$') { &state.own } else { &state.tree };
        tree.page(filter, after, page)
    }

    /// Keeps a message of the broker's own, whose topic begins with `$`, until it stops.
    pub(crate) fn put_own(&self, message: Message) {
        let topic = message.clone();
        lock(&self.shared.state).own.insert(topic.topic(), message);
    }

    /// Writes what is left, lets go of the file and returns when that is done. May be repeated.
    pub(crate) fn close(&self) {
        self.begin_to_close();
        if let Some(writer) = lock(&self.writer).take() {
            let _ = writer.join();
        }
    }

    fn begin_to_close(&self) {
        lock(&self.shared.state).closing = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Retained {
    fn drop(&mut self) {
        self.begin_to_close();
    }
}

impl State {
    fn insert(&mut self, message: Message) {
        self.remove(message.topic());
        self.room.add(&message);
        if let Some(expires_us) = message.expires_us() {
            self.expiring.insert((expires_us, message.topic().to_owned()));
        }
        let topic = message.clone();
        self.tree.insert(topic.topic(), message);
    }

    fn remove(&mut self, topic: &str) {
        if let Some(former) = self.tree.remove(topic) {
            self.room.remove(&former);
            if let Some(expires_us) = former.expires_us() {
                self.expiring.remove(&(expires_us, topic.to_owned()));
            }
        }
    }

    /// Takes out what has expired.
    fn expire(&mut self, now_us: u64) {
        while self.expiring.first().is_some_and(|(expires_us, _)| *expires_us <= now_us) {
            let Some((_, topic)) = self.expiring.pop_first() else { return };
            self.remove(&topic);
            self.dirty.insert(topic);
        }
    }

    /// How long until something expires.
    fn next_expiry(&self, now_us: u64) -> Option<Duration> {
        let (expires_us, _) = self.expiring.first()?;
        Some(Duration::from_micros(expires_us.saturating_sub(now_us)))
    }

    fn note(&self, meters: &Meters) {
        let Used { count, bytes } = self.room.all();
        meters.retained_count.set(count as u64);
        meters.retained_bytes.set(bytes as u64);
    }
}

fn write_until_closed(shared: &Shared, disk: Disk, meters: &Meters) {
    let mut failing = false;
    loop {
        let (changes, waiting, closing) = next_batch(shared, failing, meters);
        let written = if changes.is_empty() { Ok(()) } else { disk.write(&changes) };
        match &written {
            Ok(()) if failing => tracing::info!("retained messages are on disk again"),
            Err(error) if !failing => tracing::warn!(%error, "retained messages are not on disk: see to it"),
            _ => {}
        }
        failing = written.is_err();
        if failing {
            lock(&shared.state).dirty.extend(changes.into_iter().map(|(topic, _)| topic));
        }
        for done in waiting {
            let _ = done.send(if failing { Err(Unwritten) } else { Ok(()) });
        }
        if closing {
            return;
        }
    }
}

type Batch = (Vec<disk::Change>, Vec<oneshot::Sender<Result<(), Unwritten>>>, bool);

/// Waits until there is something to write: a change, something that expired, or a former failure and the time to try
/// again.
fn next_batch(shared: &Shared, failing: bool, meters: &Meters) -> Batch {
    let mut state = lock(&shared.state);
    while !state.fresh && !state.closing {
        let now_us = now_us();
        state.expire(now_us);
        if !state.dirty.is_empty() && !failing {
            break;
        }
        let wait = state.next_expiry(now_us).into_iter().chain(failing.then_some(RETRY_WAIT)).min();
        let Some(wait) = wait else {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let waited = shared.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
        state = waited.0;
        if failing && waited.1.timed_out() {
            break;
        }
    }
    state.note(meters);
    state.fresh = false;
    let dirty = std::mem::take(&mut state.dirty);
    let changes = dirty.into_iter().map(|topic| (state.tree.get(&topic).cloned(), topic));
    let changes = changes.map(|(message, topic)| (topic, message)).collect();
    (changes, std::mem::take(&mut state.waiting), state.closing)
}

#[cfg(test)]
mod tests {
    use rumqttd::protocol::PublishProperties;

    use super::*;
    use crate::message::{Draft, sample as message};

    fn open(folder: &Path, limits: &Limits) -> Retained {
        Retained::open(folder, limits, Arc::default()).unwrap()
    }

    fn payloads(retained: &Retained, filter: &str) -> Vec<String> {
        let page = retained.page(filter, None, usize::MAX);
        page.iter().map(|message| String::from_utf8_lossy(message.payload()).into_owned()).collect()
    }

    #[tokio::test]
    async fn what_was_acknowledged_is_there_after_opening_again_and_what_was_emptied_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let retained = open(folder.path(), &Limits::default());
        for (topic, payload) in [("a/b", "1"), ("a/c", "2"), ("a/b", "3"), ("d", "4"), ("a/c", "")] {
            retained.put(message(topic, payload), drop).unwrap().unwrap().await.unwrap().unwrap();
        }
        retained.close();
        let retained = open(folder.path(), &Limits::default());
        assert_eq!(payloads(&retained, "#"), ["3", "4"]);
        assert_eq!(lock(&retained.shared.state).room.all().count, 2);
    }

    #[tokio::test]
    async fn many_publishes_share_transactions_and_all_get_their_tickets() {
        let folder = tempfile::tempdir().unwrap();
        let retained = open(folder.path(), &Limits::default());
        let put = |i: usize| retained.put(message(&format!("t/{i}"), "x"), drop).unwrap().unwrap();
        let tickets: Vec<Ticket> = (0..2_000).map(put).collect();
        for ticket in tickets {
            assert_eq!(ticket.await, Ok(Ok(())));
        }
        assert_eq!(retained.page("t/+", None, usize::MAX).len(), 2_000);
    }

    #[test]
    fn of_two_writers_of_a_topic_the_one_that_is_passed_on_last_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let retained = open(folder.path(), &Limits::default());
        let passed_on = Mutex::new(Vec::new());
        let (first_is_kept, second_may_come) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                retained.put(message("a", "first"), |_| {
                    first_is_kept.send(()).unwrap();
                    std::thread::sleep(Duration::from_millis(50));
                    lock(&passed_on).push("first");
                })
            });
            second_may_come.recv().unwrap();
            retained.put(message("a", "second"), |_| lock(&passed_on).push("second")).unwrap();
        });
        assert_eq!(*lock(&passed_on), ["first", "second"]);
        assert_eq!(payloads(&retained, "a"), ["second"]);
    }

    #[test]
    fn at_the_limit_only_replacing_and_deleting_are_possible() {
        let folder = tempfile::tempdir().unwrap();
        let short = message("a", "1").size_bytes();
        let limits = Limits { retained_count: 2, retained_bytes: 3 * short, ..Limits::default() };
        let retained = open(folder.path(), &limits);
        let put = |topic, payload| retained.put(message(topic, payload), drop).map(|_| ());
        assert_eq!(
            [put("a", "1"), put("b", "2"), put("c", "3"), put("a", "4")],
            [Ok(()), Ok(()), Err(Full), Ok(())]
        );
        assert_eq!([put("a", ""), put("c", "3")], [Ok(()), Ok(())]);
        assert_eq!(put("c", &"x".repeat(2 * short)), Err(Full));
        assert_eq!(payloads(&retained, "#"), ["2", "3"]);
    }

    #[tokio::test]
    async fn what_expires_goes_from_memory_and_from_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let retained = open(folder.path(), &Limits::default());
        let put = |topic: &str, expiry_s| {
            let message_expiry_interval = Some(expiry_s);
            let properties = PublishProperties { message_expiry_interval, ..PublishProperties::default() };
            let draft = Draft {
                topic: topic.as_bytes(),
                payload: b"x",
                properties: Some(&properties),
                qos: QoS::AtLeastOnce,
                retain: true,
                publisher: 1,
            };
            retained.put(draft.seal(), drop).unwrap().unwrap()
        };
        put("stays", 1_000).await.unwrap().unwrap();
        put("replaced", 1).await.unwrap().unwrap();
        put("replaced", 1_000).await.unwrap().unwrap();
        put("goes", 1).await.unwrap().unwrap();
        while retained.meters.retained_count.get() > 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(retained.page("#", None, 9).len(), 2);
        retained.close();
        let disk = Disk::open(folder.path().join(FILE)).unwrap();
        assert_eq!(
            disk.load().unwrap().iter().map(Message::topic).collect::<Vec<_>>(),
            ["replaced", "stays"]
        );
    }

    #[tokio::test]
    async fn a_full_disk_is_told_to_the_publisher_and_caught_up_with_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let disk = flotilla_machine::testing::Disk::default();
        let open = || Disk::of(disk.open(folder.path().join(FILE), disk::CACHE_BYTES).unwrap());
        let retained = Retained::load(open(), &Limits::default(), Arc::default()).unwrap();
        let put = |topic| retained.put(message(topic, topic), drop).unwrap().unwrap();
        assert_eq!(put("a").await, Ok(Ok(())));
        disk.fill();
        assert_eq!(put("b").await, Ok(Err(Unwritten)));
        assert_eq!(put("c").await, Ok(Err(Unwritten)));
        disk.empty();
        assert_eq!(put("d").await, Ok(Ok(())));
        retained.close();
        let retained = Retained::load(open(), &Limits::default(), Arc::default()).unwrap();
        assert_eq!(payloads(&retained, "#"), ["a", "b", "c", "d"]);
    }
}
