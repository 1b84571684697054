//! Where the journal stands: what is written, sent, acknowledged and deleted, lane by lane.
//!
//! Invariants: `floor ≤ head + 1`; nothing is deleted unless `durable` different centers have it on disk, or the
//! journal is full; the sending position lies between the best acknowledgement and the head. The last records stay,
//! though centers have them: for whoever reads a gateway's folder. Records themselves are the driver's: the core
//! knows numbers and sizes.

use std::collections::BTreeMap;

use flotilla_schemas::CenterId;
use flotilla_schemas::journal::{Ack, BATCH_RECORDS_MAX, Lane};

/// The most batches under way in one lane.
pub const WINDOW_MAX: u64 = 4;

/// How long a batch may go without an acknowledgement before it is sent again, in milliseconds.
pub const RESEND_MS: u64 = 2_000;

/// How often a lane with records that are not deleted asks every center where it stands, in milliseconds.
pub const PROBE_MS: u64 = 60_000;

/// How many records of a lane stay though centers have them.
pub const HISTORY_RECORDS: u64 = 512;

/// Where one lane stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneState {
    /// The greatest number; 0 before the first.
    pub head: u64,
    /// The least number that is still there, or would be.
    pub floor: u64,
    /// Bytes of the records that are there.
    pub bytes: u64,
    /// The greatest number that enough centers have on disk.
    pub safe: u64,
    acks: BTreeMap<CenterId, (u64, u64)>,
    sent: u64,
    window: u64,
    resend_at: Option<u64>,
    probe_at: Option<u64>,
}

/// Records to be sent: `first ..= last`; none when `first` is one more than `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first number.
    pub first: u64,
    /// The last number.
    pub last: u64,
}

/// What an acknowledgement says of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acked {
    /// Records below this number are deleted now; the floor, if none are.
    Below(u64),
    /// The center has records that this journal never wrote: the disk was restored or cloned.
    Fork,
}

impl LaneState {
    /// A lane as it is found on disk.
    pub fn found(head: u64, floor: u64, bytes: u64) -> Self {
        let mut lane = Self { head, floor: floor.max(1), bytes, window: WINDOW_MAX, ..Self::default() };
        lane.set_safe(0);
        lane
    }

    /// So much was known to be safe when the agent ended.
    pub fn set_safe(&mut self, safe: u64) {
        self.safe = safe.max(self.floor - 1).min(self.head);
        self.sent = self.safe;
    }

    /// The number of the next record, which is now written.
    pub fn append(&mut self, bytes: u64, now_ms: u64) -> u64 {
        self.head += 1;
        self.bytes += bytes;
        self.probe_at.get_or_insert(now_ms + PROBE_MS);
        self.head
    }

    /// The greatest number that any center's latest acknowledgement reaches from the floor.
    fn best(&self) -> u64 {
        let reaching = self.acks.values().filter(|(from, _)| *from <= self.floor).map(|(_, upto)| *upto);
        reaching.max().unwrap_or(self.safe).max(self.floor - 1).min(self.head)
    }

    /// How many records no center has acknowledged.
    pub fn unacked(&self) -> u64 {
        self.head - self.best()
    }

    /// Takes a center's word; it replaces its former word, even if it is less.
    pub fn acked(&mut self, ack: &Ack, durable: usize) -> Acked {
        if ack.fork || ack.upto > self.head {
            return Acked::Fork;
        }
        let before = self.best();
        self.acks.insert(ack.center.clone(), (ack.from, ack.upto));
        if self.best() > before {
            self.window = (self.window + 1).min(WINDOW_MAX);
            self.resend_at = None;
        }
        self.sent = self.sent.max(self.best());
        if let Some(want) = ack.want.filter(|want| *want <= self.head) {
            self.sent = want.max(self.floor) - 1;
        }
        let mut held: Vec<u64> =
            self.acks.values().filter(|(from, _)| *from <= self.floor).map(|(_, upto)| *upto).collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        self.safe = held.get(durable.saturating_sub(1)).copied().unwrap_or(0).max(self.floor - 1);
        if self.safe == self.head {
            self.probe_at = None;
        }
        Acked::Below(self.deletable())
    }

    /// What may be deleted, a good part of the history at a time: each deletion is a commit.
    fn deletable(&self) -> u64 {
        let below = (self.safe + 1).min((self.head + 1).saturating_sub(HISTORY_RECORDS));
        if below >= self.floor + HISTORY_RECORDS / 4 { below } else { self.floor }
    }

    /// Records below this number are gone. Sizes are shared out evenly: the total is exact again after a restart.
    pub fn trimmed(&mut self, below: u64) {
        let count = self.head + 1 - self.floor;
        let gone = below.saturating_sub(self.floor).min(count);
        self.bytes -= if count == 0 { 0 } else { (self.bytes as u128 * gone as u128 / count as u128) as u64 };
        self.floor = self.floor.max(below);
        self.safe = self.safe.max(self.floor - 1);
        self.sent = self.sent.max(self.floor - 1);
        if self.floor > self.head {
            self.probe_at = None;
            self.resend_at = None;
        }
    }

    /// A new connection: what is not acknowledged is sent again.
    pub fn connected(&mut self) {
        self.sent = self.best();
        self.window = WINDOW_MAX;
        self.resend_at = None;
    }

    /// What is to be sent now: as many batches as the window has room for.
    pub fn due(&mut self, now_ms: u64) -> Vec<Range> {
        if self.resend_at.is_some_and(|at| at <= now_ms) {
            self.sent = self.best();
            self.window = (self.window / 2).max(1);
            self.resend_at = None;
        }
        let mut ranges = Vec::new();
        let batch = BATCH_RECORDS_MAX as u64;
        while self.sent < self.head && self.sent - self.best().min(self.sent) < self.window * batch {
            let first = self.sent + 1;
            let last = self.head.min(self.sent + batch);
            ranges.push(Range { first, last });
            self.sent = last;
        }
        if !ranges.is_empty() {
            self.resend_at.get_or_insert(now_ms + RESEND_MS);
        } else if self.probe_at.is_some_and(|at| at <= now_ms) {
            ranges.push(Range { first: self.head + 1, last: self.head });
        }
        if self.probe_at.is_some_and(|at| at <= now_ms) {
            self.probe_at = Some(now_ms + PROBE_MS);
        }
        ranges
    }

    /// When [`LaneState::due`] may have something to say again by itself.
    pub fn wake_at(&self) -> Option<u64> {
        [self.resend_at, self.probe_at].into_iter().flatten().min()
    }
}

/// The lanes of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lanes([LaneState; 3]);

impl Lanes {
    /// The lanes as they are found on disk: head, floor and bytes of each.
    pub fn found(found: [(u64, u64, u64); 3]) -> Self {
        Self(found.map(|(head, floor, bytes)| LaneState::found(head, floor, bytes)))
    }

    /// One lane.
    pub fn lane(&self, lane: Lane) -> &LaneState {
        let [fault, event, reading] = &self.0;
        match lane {
            Lane::Fault => fault,
            Lane::Event => event,
            Lane::Reading => reading,
        }
    }

    /// One lane, to be changed.
    pub fn lane_mut(&mut self, lane: Lane) -> &mut LaneState {
        let [fault, event, reading] = &mut self.0;
        match lane {
            Lane::Fault => fault,
            Lane::Event => event,
            Lane::Reading => reading,
        }
    }

    /// The journal has a new epoch: nobody has acknowledged anything of it.
    pub fn renamed(&mut self) {
        for lane in &mut self.0 {
            lane.acks.clear();
            lane.set_safe(0);
            lane.connected();
        }
    }

    /// Bytes of all records.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|lane| lane.bytes).sum()
    }

    /// Where to cut when there are more than `bytes_max`: what centers have goes first, then the oldest eighth of
    /// the least important lane that has records.
    pub fn overflow(&self, bytes_max: u64) -> Option<(Lane, u64)> {
        if self.bytes() <= bytes_max {
            return None;
        }
        let is_safe = |lane: &Lane| self.lane(*lane).floor <= self.lane(*lane).safe;
        let has_records = |lane: &Lane| self.lane(*lane).floor <= self.lane(*lane).head;
        let least = || Lane::ALL.into_iter().rev();
        if let Some(lane) = least().find(is_safe) {
            return Some((lane, self.lane(lane).safe + 1));
        }
        let lane = least().find(has_records)?;
        let state = self.lane(lane);
        Some((lane, state.floor + ((state.head + 1 - state.floor) / 8).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(center: &str, from: u64, upto: u64) -> Ack {
        let epoch = "e".parse().unwrap();
        Ack {
            v: 1,
            center: center.parse().unwrap(),
            epoch,
            lane: Lane::Fault,
            from,
            upto,
            want: None,
            fork: false,
        }
    }

    fn lane(records: u64) -> LaneState {
        let mut lane = LaneState::found(0, 1, 0);
        for _ in 0..records {
            lane.append(100, 0);
        }
        lane
    }

    #[test]
    fn records_are_deleted_when_enough_different_centers_have_them() {
        let head = HISTORY_RECORDS * 2;
        let mut lane = lane(head);
        assert_eq!(lane.acked(&ack("c1", 1, head), 2), Acked::Below(1));
        assert_eq!(lane.acked(&ack("c1", 1, head), 2), Acked::Below(1), "one center twice is one center");
        assert_eq!(lane.acked(&ack("c2", 1, 200), 2), Acked::Below(201));
        lane.trimmed(201);
        assert_eq!((lane.floor, lane.bytes), (201, (head - 200) * 100));
        let above = lane.acked(&ack("c1", 300, head), 2);
        assert_eq!(above, Acked::Below(201), "an interval above the floor proves nothing");
    }

    #[test]
    fn the_last_records_stay_for_whoever_reads_the_folder() {
        let mut lane = lane(HISTORY_RECORDS);
        assert_eq!(lane.acked(&ack("c1", 1, HISTORY_RECORDS), 1), Acked::Below(1));
        for _ in 0..HISTORY_RECORDS / 4 {
            lane.append(100, 0);
        }
        let head = lane.head;
        assert_eq!(lane.acked(&ack("c1", 1, head), 1), Acked::Below(HISTORY_RECORDS / 4 + 1));
    }

    #[test]
    fn what_was_safe_before_a_restart_is_not_sent_again() {
        let mut lane = LaneState::found(100, 1, 0);
        lane.set_safe(90);
        assert_eq!(lane.due(0), [Range { first: 91, last: 100 }]);
        assert_eq!(lane.unacked(), 10);
    }

    #[test]
    fn a_lane_sends_a_window_and_goes_back_when_nobody_answers() {
        let mut lane = lane(256 * 6);
        let ranges = lane.due(0);
        assert_eq!(ranges.len(), 4);
        assert_eq!(ranges[3], Range { first: 769, last: 1024 });
        assert_eq!(lane.due(100), [], "the window is full");
        assert_eq!(
            lane.due(RESEND_MS).len(),
            2,
            "the window is halved and sent from the best acknowledgement"
        );
        lane.acked(&ack("c1", 1, 512), 1);
        assert_eq!(lane.due(RESEND_MS + 1)[0], Range { first: 513, last: 768 });
    }

    #[test]
    fn a_wiped_center_is_believed() {
        let mut lane = lane(10);
        lane.acked(&ack("c1", 1, 10), 2);
        let mut wiped = ack("c1", 1, 0);
        wiped.want = Some(1);
        lane.acked(&wiped, 2);
        assert_eq!(lane.due(0), [Range { first: 1, last: 10 }]);
    }

    #[test]
    fn a_center_that_knows_the_future_shows_a_restored_disk() {
        assert_eq!(lane(3).acked(&ack("c1", 1, 4), 1), Acked::Fork);
    }

    #[test]
    fn a_silent_lane_with_records_asks_once_a_minute() {
        let mut lane = lane(1);
        lane.due(0);
        lane.acked(&ack("c1", 1, 1), 2);
        assert_eq!(lane.due(1), [], "one center has it, and two are wanted");
        assert_eq!(lane.due(PROBE_MS), [Range { first: 2, last: 1 }]);
        assert_eq!(lane.due(PROBE_MS + 1), []);
    }

    #[test]
    fn a_full_journal_gives_up_readings_first_and_faults_last() {
        let mut lanes = Lanes::found([(10, 1, 1000), (10, 1, 1000), (16, 1, 1000)]);
        assert_eq!(lanes.overflow(3000), None);
        assert_eq!(lanes.overflow(2999), Some((Lane::Reading, 3)));
        lanes.lane_mut(Lane::Event).set_safe(4);
        assert_eq!(lanes.overflow(2999), Some((Lane::Event, 5)), "what a center has goes before all else");
        lanes.lane_mut(Lane::Event).set_safe(0);
        lanes.lane_mut(Lane::Reading).trimmed(17);
        lanes.lane_mut(Lane::Event).trimmed(11);
        assert_eq!(lanes.overflow(500), Some((Lane::Fault, 2)));
    }
}
