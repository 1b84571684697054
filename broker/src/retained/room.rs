//! How much is retained, in all and of each writer, so that no writer takes the room of all.
//!
//! What centers write in common has no share: it is bounded by the total alone.

use std::collections::HashMap;

use flotilla_schemas::FleetId;
use flotilla_schemas::topic::{Tree, Writer};

use crate::limits::Limits;
use crate::message::Message;

/// Who has a share: a writer of a fleet.
type Sharer = (FleetId, Writer);

#[derive(Debug, Default)]
pub(super) struct Room {
    all: Used,
    writers: HashMap<Sharer, Used>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

impl Room {
    pub(super) fn all(&self) -> Used {
        self.all
    }

    /// Whether a message may take its topic's former one's place.
    pub(super) fn fits(&self, former: Option<&Message>, new: &Message, limits: &Limits) -> bool {
        let all = Used { count: limits.retained_count, bytes: limits.retained_bytes };
        let share = Used { count: limits.retained_count_per_writer, bytes: limits.retained_bytes_per_writer };
        let then = |used: Used| former.map_or(used, |former| used.without(former)).with(new);
        let of_writer = |writer| self.writers.get(&writer).copied().unwrap_or_default();
        then(self.all).fits(all) && sharer(new).is_none_or(|writer| then(of_writer(writer)).fits(share))
    }

    pub(super) fn add(&mut self, message: &Message) {
        self.all = self.all.with(message);
        if let Some(writer) = sharer(message) {
            let used = self.writers.entry(writer).or_default();
            *used = used.with(message);
        }
    }

    pub(super) fn remove(&mut self, message: &Message) {
        self.all = self.all.without(message);
        let Some(writer) = sharer(message) else { return };
        if let Some(used) = self.writers.get_mut(&writer) {
            *used = used.without(message);
            if used.count == 0 {
                self.writers.remove(&writer);
            }
        }
    }
}

impl Used {
    fn with(self, more: &Message) -> Self {
        Self { count: self.count + 1, bytes: self.bytes + more.size_bytes() }
    }

    fn without(self, less: &Message) -> Self {
        Self { count: self.count - 1, bytes: self.bytes - less.size_bytes() }
    }

    fn fits(self, max: Self) -> bool {
        self.count <= max.count && self.bytes <= max.bytes
    }
}

/// Who has a share that a message counts against: whose topic it is alone.
fn sharer(message: &Message) -> Option<Sharer> {
    let (tree, topic) = Tree::locate(message.topic()).ok()?;
    let writer = topic.writer();
    (writer != Writer::Centers).then(|| (tree.fleet().clone(), writer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::sample;

    #[test]
    fn a_writer_has_its_share_and_what_centers_write_in_common_the_whole() {
        let message = |topic: &str| sample(&format!("fleet/v1/{topic}"), "x");
        let bytes = message("edge/e1/release/app/a").size_bytes();
        let limits = Limits {
            retained_count: 6,
            retained_count_per_writer: 2,
            retained_bytes_per_writer: 2 * bytes,
            ..Limits::default()
        };
        let mut room = Room::default();
        let mut keep = |topic| {
            let fits = room.fits(None, &message(topic), &limits);
            if fits {
                room.add(&message(topic));
            }
            fits
        };
        assert_eq!(
            ["edge/e1/release/app/a", "edge/e1/release/app/b", "edge/e1/release/app/c"].map(&mut keep),
            [true, true, false]
        );
        assert_eq!(
            ["edge/e2/release/app/a", "edge/e2/release/app/too-long"].map(&mut keep),
            [true, false],
            "by bytes"
        );
        assert_eq!(
            ["app/a", "app/b", "app/c", "app/d"].map(&mut keep),
            [true, true, true, false],
            "the whole"
        );
        let (former, wider) = (message("edge/e1/release/app/a"), message("edge/e1/release/app/a-longer"));
        assert!(room.fits(Some(&former), &former, &limits) && !room.fits(Some(&former), &wider, &limits));
        for topic in [
            "edge/e1/release/app/a",
            "edge/e1/release/app/b",
            "edge/e2/release/app/a",
            "app/a",
            "app/b",
            "app/c",
        ] {
            room.remove(&message(topic));
        }
        assert_eq!((room.all, room.writers.len()), (Used::default(), 0));
    }
}
