//! The journal: numbered records in three lanes, which are sent until enough centers have them.
//!
//! It knows numbers and sizes; the records themselves are on the driver's disk. It says what is to be written, sent
//! and deleted, and does none of it.

mod lanes;

use flotilla_schemas::journal::{Ack, Body, Lane, RECORD_BYTES_MAX, Record};
use flotilla_schemas::time::Now;
use flotilla_schemas::{Digest, EpochId, SessionId, Value};

pub use lanes::{Acked, HISTORY_RECORDS, Lanes, PROBE_MS, RESEND_MS, RESEND_MS_MAX, Range, WINDOW_MAX};

/// Where the journal stands.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Its name: another one means other records under the same numbers.
    pub epoch: EpochId,
    pub lanes: Lanes,
    /// What was safe in each lane when that was kept last.
    kept_safe: [u64; 3],
}

impl Journal {
    /// The journal as it is found on disk: head, floor and bytes of each lane.
    pub fn found(epoch: EpochId, lanes: [(u64, u64, u64); 3]) -> Self {
        Self { epoch, lanes: Lanes::found(lanes), kept_safe: [0; 3] }
    }

    /// At boot: what was safe then.
    pub fn take_safe(&mut self, safe: [u64; 3]) {
        self.kept_safe = safe;
        for (lane, safe) in Lane::ALL.into_iter().zip(safe) {
            self.lanes.lane_mut(lane).set_safe(safe);
        }
    }

    /// What is safe in each lane, if that is to be kept because it is more than before.
    pub fn safe_to_keep(&mut self) -> Option<[u64; 3]> {
        let safe = Lane::ALL.map(|lane| self.lanes.lane(lane).safe);
        (self.kept_safe != safe).then(|| self.kept_safe = safe).map(|()| safe)
    }

    /// The next record, numbered and of a length that a center takes.
    pub fn append(&mut self, lane: Lane, body: Body, session: &SessionId, now: Now) -> Record {
        let seq = self.lanes.lane(lane).head + 1;
        let (ts, clock_ok, session) = (now.wall_ms, now.clock_ok, session.clone());
        let mut record = Record { seq, ts, clock_ok, session, body };
        if size(&record) > RECORD_BYTES_MAX {
            shorten(&mut record);
        }
        self.lanes.lane_mut(lane).append(size(&record) as u64, now.mono_ms);
        record
    }

    /// What is to be sent now.
    pub fn due(&mut self, now_ms: u64) -> Vec<(Lane, Range)> {
        let due = |lane| self.lanes.lane_mut(lane).due(now_ms).into_iter().map(move |range| (lane, range));
        Lane::ALL.into_iter().flat_map(due).collect()
    }

    /// When something may be to be sent again by itself.
    pub fn wake_at(&self) -> Option<u64> {
        Lane::ALL.into_iter().filter_map(|lane| self.lanes.lane(lane).wake_at()).min()
    }

    /// A new connection: what is not acknowledged is sent again.
    pub fn connected(&mut self) {
        Lane::ALL.into_iter().for_each(|lane| self.lanes.lane_mut(lane).connected());
    }

    /// Takes a center's word, if it speaks of this journal.
    pub fn acked(&mut self, ack: &Ack, durable: usize, now_ms: u64) -> Option<Acked> {
        (ack.epoch == self.epoch).then(|| self.lanes.lane_mut(ack.lane).acked(ack, durable, now_ms))
    }

    /// A new name, under which nobody has acknowledged anything.
    pub fn rename(&mut self, session: &SessionId) -> EpochId {
        self.epoch = EpochId::of(&Digest::of(format!("{}/{session}", self.epoch).as_bytes()));
        self.lanes.renamed();
        self.epoch.clone()
    }
}

fn size(record: &Record) -> usize {
    serde_json::to_vec(record).map_or(0, |bytes| bytes.len())
}

/// A record that is too long keeps what it is and loses what it says.
fn shorten(record: &mut Record) {
    match &mut record.body {
        Body::Event { fields, .. } => {
            fields.clear();
            fields.insert("shortened".to_owned(), Value::Bool(true));
        }
        Body::Fault(fault) => fault.backtrace.clear(),
        Body::Command { message, .. } => message.truncate(0),
        Body::Write { value, .. } => *value = Value::None,
        Body::Written { error, .. } => *error = error.as_ref().map(|_| "shortened".to_owned()),
        Body::Restoration { .. } | Body::Closed(_) | Body::Dropped { .. } | Body::Unknown => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_schemas::AppId;

    fn journal() -> Journal {
        Journal::found("e".parse().unwrap(), [(0, 1, 0); 3])
    }

    fn event(text: &str) -> Body {
        let fields = [("text".to_owned(), Value::from(text))].into();
        Body::Event { source: AppId::system(), name: "x".into(), fields, service: None }
    }

    #[test]
    fn a_record_that_is_too_long_keeps_its_number_and_loses_what_it_says() {
        let (mut journal, session) = (journal(), "s".parse().unwrap());
        let long = "x".repeat(RECORD_BYTES_MAX);
        let record = journal.append(Lane::Event, event(&long), &session, Now::new(0, 0));
        let Body::Event { fields, .. } = &record.body else { panic!("{record:?}") };
        assert_eq!((record.seq, fields.len(), fields.contains_key("shortened")), (1, 1, true));
        assert!(journal.lanes.bytes() < 1_000);
        assert_eq!(journal.append(Lane::Event, event("y"), &session, Now::new(0, 0)).seq, 2);
    }

    #[test]
    fn an_acknowledgement_of_another_journal_means_nothing() {
        let mut journal = journal();
        let (center, epoch) = ("c1".parse().unwrap(), "other".parse().unwrap());
        let ack = Ack { v: 1, center, epoch, lane: Lane::Event, from: 1, upto: 9, want: None, fork: false };
        assert_eq!(journal.acked(&ack, 1, 0), None);
        let ack = Ack { epoch: journal.epoch.clone(), ..ack };
        assert_eq!(journal.acked(&ack, 1, 0), Some(Acked::Fork));
    }

    #[test]
    fn what_is_safe_is_kept_when_it_grew_and_not_again() {
        let mut journal = journal();
        let session = "s".parse().unwrap();
        journal.append(Lane::Event, event("x"), &session, Now::new(0, 0));
        assert_eq!(journal.safe_to_keep(), None);
        let (center, epoch) = ("c1".parse().unwrap(), journal.epoch.clone());
        let ack = Ack { v: 1, center, epoch, lane: Lane::Event, from: 1, upto: 1, want: None, fork: false };
        journal.acked(&ack, 1, 0);
        assert_eq!((journal.safe_to_keep(), journal.safe_to_keep()), (Some([0, 1, 0]), None));
    }
}
