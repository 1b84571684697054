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

/// How long a lane waits for a center's acknowledgement once the broker has what it sent, before it sends again, in
/// milliseconds. Each pause in which no center makes progress is twice the one before, up to [`RESEND_MS_MAX`].
pub const RESEND_MS: u64 = 2_000;

/// The longest such pause, in milliseconds: so soon is all there when a center is back.
pub const RESEND_MS_MAX: u64 = 60_000;

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
    /// What is new is sent at once, though no center makes progress.
    prompt: bool,
    /// Records from this number on wait until they are [released](Self::release).
    held: Option<u64>,
    acks: BTreeMap<CenterId, (u64, u64)>,
    sent: u64,
    window: u64,
    /// What was sent and the broker does not have yet, in sendings.
    under_way: u32,
    pause_ms: u64,
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
        let (floor, window, pause_ms) = (floor.max(1), WINDOW_MAX, RESEND_MS);
        let mut lane = Self { head, floor, bytes, window, pause_ms, ..Self::default() };
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

    /// The record that was just written is not sent by itself, nor is what follows, until it is released.
    pub fn hold(&mut self) {
        self.held.get_or_insert(self.head);
    }

    /// What was held is sent with the next sending.
    pub fn release(&mut self) {
        self.held = None;
    }

    /// The greatest number that may be sent.
    fn sendable(&self) -> u64 {
        self.held.map_or(self.head, |held| held - 1)
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
    pub fn acked(&mut self, ack: &Ack, durable: usize, now_ms: u64) -> Acked {
        if ack.fork || ack.upto > self.head {
            return Acked::Fork;
        }
        let before = self.best();
        self.acks.insert(ack.center.clone(), (ack.from, ack.upto));
        if self.best() > before {
            self.window = (self.window + 1).min(WINDOW_MAX);
            (self.pause_ms, self.resend_at) = (RESEND_MS, None);
        }
        self.sent = self.sent.max(self.best());
        if let Some(want) = ack.want.filter(|want| *want <= self.head) {
            self.sent = want.max(self.floor) - 1;
            (self.pause_ms, self.resend_at) = (RESEND_MS, None);
        }
        self.wait(now_ms);
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

    /// A new connection: what no center acknowledged is sent again, but for what still waits for the broker.
    pub fn connected(&mut self) {
        if self.under_way == 0 {
            self.sent = self.best();
            self.resend_at = None;
        }
        self.window = WINDOW_MAX;
    }

    /// The broker has one of the sendings, or it was given up.
    pub fn answered(&mut self, now_ms: u64) {
        self.under_way = self.under_way.saturating_sub(1);
        self.wait(now_ms);
    }

    /// A center has as long as the pause is, from when the broker has what was sent first.
    fn wait(&mut self, now_ms: u64) {
        if self.sent <= self.best() {
            self.resend_at = None;
        } else if self.under_way == 0 {
            self.resend_at.get_or_insert(now_ms + self.pause_ms);
        }
    }

    /// When what no center acknowledged is sent again; never while the broker lacks something of it.
    fn again_at(&self) -> Option<u64> {
        self.resend_at.filter(|_| self.under_way == 0)
    }

    /// What is to be sent now: as many batches as the window has room for. While no center makes progress that is
    /// once a pause.
    pub fn due(&mut self, now_ms: u64) -> Vec<Range> {
        if self.again_at().is_some_and(|at| at <= now_ms) {
            self.sent = self.best();
            self.window = (self.window / 2).max(1);
            self.pause_ms = (self.pause_ms * 2).min(RESEND_MS_MAX);
            self.resend_at = None;
        }
        let (batch, sendable) = (BATCH_RECORDS_MAX as u64, self.sendable());
        let waits = self.resend_at.is_some() || self.under_way > 0;
        let stalled = self.pause_ms > RESEND_MS && waits && !self.prompt;
        let mut ranges = Vec::new();
        while !stalled && self.sent < sendable && self.sent - self.best().min(self.sent) < self.window * batch
        {
            let (first, last) = (self.sent + 1, sendable.min(self.sent + batch));
            ranges.push(Range { first, last });
            self.sent = last;
        }
        if self.probe_at.is_some_and(|at| at <= now_ms) {
            self.probe_at = Some(now_ms + PROBE_MS);
            // What is to be sent again asks as well.
            if ranges.is_empty() && self.under_way == 0 && self.resend_at.is_none() {
                ranges.push(Range { first: sendable + 1, last: sendable });
            }
        }
        self.under_way += ranges.len() as u32;
        ranges
    }

    /// When [`LaneState::due`] may have something to say again by itself.
    pub fn wake_at(&self) -> Option<u64> {
        [self.again_at(), self.probe_at].into_iter().flatten().min()
    }
}

/// The lanes of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lanes([LaneState; 3]);

impl Lanes {
    /// The lanes as they are found on disk: head, floor and bytes of each.
    pub fn found(found: [(u64, u64, u64); 3]) -> Self {
        let mut lanes = Self(found.map(|(head, floor, bytes)| LaneState::found(head, floor, bytes)));
        lanes.lane_mut(Lane::Fault).prompt = true;
        lanes
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
            lane.release();
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
        assert_eq!(lane.acked(&ack("c1", 1, head), 2, 0), Acked::Below(1));
        assert_eq!(lane.acked(&ack("c1", 1, head), 2, 0), Acked::Below(1), "one center twice is one center");
        assert_eq!(lane.acked(&ack("c2", 1, 200), 2, 0), Acked::Below(201));
        lane.trimmed(201);
        assert_eq!((lane.floor, lane.bytes), (201, (head - 200) * 100));
        let above = lane.acked(&ack("c1", 300, head), 2, 0);
        assert_eq!(above, Acked::Below(201), "an interval above the floor proves nothing");
    }

    #[test]
    fn the_last_records_stay_for_whoever_reads_the_folder() {
        let mut lane = lane(HISTORY_RECORDS);
        assert_eq!(lane.acked(&ack("c1", 1, HISTORY_RECORDS), 1, 0), Acked::Below(1));
        for _ in 0..HISTORY_RECORDS / 4 {
            lane.append(100, 0);
        }
        let head = lane.head;
        assert_eq!(lane.acked(&ack("c1", 1, head), 1, 0), Acked::Below(HISTORY_RECORDS / 4 + 1));
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
            lane.due(10 * RESEND_MS),
            [],
            "the broker does not have it yet: a slow line is given nothing twice"
        );
        (0..4).for_each(|n| lane.answered(n));
        assert_eq!((lane.wake_at(), lane.due(RESEND_MS)), (Some(3 + RESEND_MS), vec![]));
        let again = lane.due(3 + RESEND_MS);
        assert_eq!(again.len(), 2, "the window is halved and sent from the best acknowledgement");
        lane.acked(&ack("c1", 1, 512), 1, 9_000);
        assert_eq!(lane.due(9_000)[0], Range { first: 513, last: 768 });
    }

    /// Sends what is due in each tenth of a second, of a lane that writes twice a second, to a broker that takes it.
    fn sendings(lane: &mut LaneState, from_ms: u64, upto_ms: u64) -> Vec<Range> {
        let mut all = Vec::new();
        for now_ms in (from_ms..upto_ms).step_by(100) {
            if now_ms % 500 == 0 {
                lane.append(100, now_ms);
            }
            let due = lane.due(now_ms);
            due.iter().for_each(|_| lane.answered(now_ms));
            all.extend(due);
        }
        all
    }

    #[test]
    fn a_lane_that_nobody_acknowledges_is_ever_more_patient_and_all_is_there_within_one_pause() {
        let mut lane = lane(0);
        let first = sendings(&mut lane, 0, 50_000);
        assert_eq!(first.len(), 8, "four at once, then after 2, 4, 8 and 16 seconds: {first:?}");
        assert_eq!(first[7], Range { first: 1, last: 61 });
        let hour = sendings(&mut lane, 50_000, 3_650_000);
        assert!(hour.len() <= 62, "once a minute: {}", hour.len());
        let next = lane.again_at().unwrap();
        assert!(next <= 3_650_000 + RESEND_MS_MAX);
        // A center is back: it has the next sending, and the rest follows at once.
        let mut now_ms = next;
        while lane.unacked() > 0 {
            let due = lane.due(now_ms);
            assert!(!due.is_empty(), "{} are not sent", lane.unacked());
            due.iter().for_each(|_| lane.answered(now_ms));
            lane.acked(&ack("c1", 1, due.last().unwrap().last), 1, now_ms);
            now_ms += 10;
        }
        assert!(now_ms < next + RESEND_MS, "{}", now_ms - next);
    }

    #[test]
    fn a_fault_is_told_at_once_though_nobody_acknowledged_the_one_before() {
        let mut lanes = Lanes::found([(0, 1, 0); 3]);
        let lane = lanes.lane_mut(Lane::Fault);
        for (now_ms, expected) in [(0, 1), (20_000, 2), (40_000, 2)] {
            lane.append(100, now_ms);
            let due = lane.due(now_ms);
            due.iter().for_each(|_| lane.answered(now_ms));
            assert!(due.len() <= expected && due.last().unwrap().last == lane.head, "{now_ms}: {due:?}");
        }
    }

    #[test]
    fn a_connection_that_is_lost_sends_again_what_the_broker_had_and_nothing_that_waits_for_it() {
        let mut lane = lane(1);
        lane.due(0);
        lane.connected();
        assert_eq!(lane.due(1), [], "it waits in the link");
        lane.answered(2);
        lane.connected();
        assert_eq!(lane.due(3), [Range { first: 1, last: 1 }]);
    }

    #[test]
    fn what_is_held_is_sent_in_one_when_it_is_released() {
        let mut lane = lane(1);
        lane.append(100, 0);
        lane.hold();
        assert_eq!(lane.due(0), [Range { first: 1, last: 1 }]);
        lane.append(100, 0);
        lane.hold();
        assert_eq!(lane.due(0), []);
        lane.append(100, 0);
        lane.release();
        assert_eq!(lane.due(0), [Range { first: 2, last: 4 }]);
    }

    #[test]
    fn a_wiped_center_is_believed() {
        let mut lane = lane(10);
        lane.acked(&ack("c1", 1, 10), 2, 0);
        let mut wiped = ack("c1", 1, 0);
        wiped.want = Some(1);
        lane.acked(&wiped, 2, 0);
        assert_eq!(lane.due(0), [Range { first: 1, last: 10 }]);
    }

    #[test]
    fn a_center_that_knows_the_future_shows_a_restored_disk() {
        assert_eq!(lane(3).acked(&ack("c1", 1, 4), 1, 0), Acked::Fork);
    }

    #[test]
    fn a_silent_lane_with_records_asks_once_a_minute() {
        let mut lane = lane(1);
        lane.due(0);
        lane.answered(0);
        lane.acked(&ack("c1", 1, 1), 2, 0);
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
