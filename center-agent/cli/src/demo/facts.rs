//! What the edges have let be known so far, as any MQTT client can hear it.
//!
//! Facts only grow: each message is taken in once, told on the timeline if it is news, and the story's steps ask
//! about the whole. Signatures are the business of centers; a dashboard believes its broker.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use flotilla_link::Message;
use flotilla_schemas::countermeasure::Measure;
use flotilla_schemas::fault::{Closed, Fault};
use flotilla_schemas::journal::{Batch, Body, Record};
use flotilla_schemas::release::ReleaseName;
use flotilla_schemas::report::{EventReport, ReleaseRow, ReleaseState};
use flotilla_schemas::topic::{EdgeTopic, Topic};
use flotilla_schemas::{AppId, CenterId, EdgeId, EpochId, FaultId};
use serde::de::DeserializeOwned;

use super::timeline::Timeline;
use crate::output::{BAD, BOLD, DIM, GOOD, WARN, plain, styled};
use crate::record;

/// What the demo listens to.
pub fn filters() -> Vec<String> {
    ["avail", "release/app/+", "event/+", "journal/0/+"].map(|rest| format!("edge/+/{rest}")).into()
}

/// What is known.
#[derive(Debug, Default)]
pub struct Facts {
    /// The edges that are online.
    pub online: BTreeSet<EdgeId>,
    /// The last word of each edge on each app.
    pub apps: BTreeMap<(EdgeId, AppId), ReleaseRow>,
    /// How often an event came, by edge, source and name.
    pub events: BTreeMap<(EdgeId, AppId, String), u64>,
    /// Faults, as the records of their edges tell them.
    pub faults: BTreeMap<FaultId, FaultFacts>,
    seen: BTreeSet<(EdgeId, EpochId, u64)>,
}

/// What is known of a fault.
#[derive(Debug, Clone)]
pub struct FaultFacts {
    /// Its edge.
    pub edge: EdgeId,
    /// As it was last recorded.
    pub fault: Fault,
    /// When each attempt became due, in Unix milliseconds of the edge.
    pub due_ts: BTreeMap<u32, i64>,
    /// What was decided, by attempt.
    pub restorations: BTreeMap<u32, Restoration>,
    /// How it ended.
    pub closed: Option<Closed>,
}

/// A decision about a fault.
#[derive(Debug, Clone)]
pub struct Restoration {
    /// What is done.
    pub measure: Measure,
    /// Who decided, if it was not the edge alone.
    pub center: Option<CenterId>,
    /// When it was recorded, in Unix milliseconds of the edge.
    pub ts: i64,
}

impl FaultFacts {
    /// How long the edge waited for the measure of an attempt, in milliseconds.
    pub fn answer_ms(&self, attempt: u32) -> Option<i64> {
        Some(self.restorations.get(&attempt)?.ts - self.due_ts.get(&attempt)?)
    }

    /// The attempt at which this measure was decided.
    pub fn attempt_of(&self, measure: Measure) -> Option<u32> {
        self.restorations.iter().find(|(_, r)| r.measure == measure).map(|(attempt, _)| *attempt)
    }
}

impl Facts {
    /// Takes a message in. What is of another form than expected is left to the center to complain about.
    pub fn take(&mut self, message: &Message, timeline: &mut Timeline) -> io::Result<()> {
        let Topic::Edge(edge, topic) = &message.topic else { return Ok(()) };
        match topic {
            EdgeTopic::Avail => self.avail(edge, &message.payload, timeline),
            EdgeTopic::Release(ReleaseName::App(app)) => {
                read(message).map_or(Ok(()), |row| self.app(app, row, timeline))
            }
            EdgeTopic::Event(_) => read(message).map_or(Ok(()), |event| self.event(event, timeline)),
            EdgeTopic::Journal(0) => read(message).map_or(Ok(()), |batch| self.batch(batch, timeline)),
            _ => Ok(()),
        }
    }

    /// How often this event came from this edge, whichever app it came from.
    pub fn count(&self, edge: &EdgeId, name: &str) -> u64 {
        self.events.iter().filter(|((e, _, n), _)| e == edge && n == name).map(|(_, count)| count).sum()
    }

    /// The first trap of this app on this edge.
    pub fn trap(&self, edge: &EdgeId, app: &AppId) -> Option<&FaultFacts> {
        let is_it =
            |f: &&FaultFacts| f.edge == *edge && f.fault.app == *app && f.fault.kind.is_in("app.trap.*");
        self.faults.values().filter(is_it).min_by_key(|fault| fault.due_ts.values().next().copied())
    }

    fn avail(&mut self, edge: &EdgeId, payload: &[u8], timeline: &mut Timeline) -> io::Result<()> {
        if payload == b"online" {
            if self.online.insert(edge.clone()) {
                timeline.tell(edge.as_str(), &styled(GOOD, "online"))?;
            }
        } else if self.online.remove(edge) {
            timeline.tell(edge.as_str(), &styled(BAD, "offline"))?;
        }
        Ok(())
    }

    fn app(&mut self, id: &AppId, row: ReleaseRow, timeline: &mut Timeline) -> io::Result<()> {
        let key = (row.meta.edge.clone(), id.clone());
        let (edge, app) = (row.meta.edge.as_str(), styled(BOLD, id));
        let before = self.apps.get(&key);
        // Rows are sampled: what happened between two of them shows in the counters.
        let news = |count: fn(&ReleaseRow) -> u64| count(&row) > before.map_or(0, count);
        let is_new_state = before.is_none_or(|before| before.state != row.state);
        let was_here = row.downloads > 0 || before.is_some_and(|before| before.state != ReleaseState::Absent);
        let mut told = Vec::new();
        // What is installed with a service is there before its first run, and is not counted.
        let is_installed =
            !row.installed.is_empty() && before.is_none_or(|before| before.installed.is_empty());
        let is_downloaded = news(|row| row.downloads) || is_installed && row.downloads == 0;
        told.extend(
            is_downloaded.then(|| ("downloaded", format!("{app} {} downloaded, verified", row.latest))),
        );
        told.extend(news(|row| row.loads).then(|| ("loaded", format!("{app} loaded into memory"))));
        match row.state {
            ReleaseState::Absent if was_here && (is_new_state || news(|row| row.downloads)) => {
                told.push(("gone", format!("{app} gone from memory and disk")));
            }
            ReleaseState::Quarantined if is_new_state => {
                told.push(("quarantined", format!("{app} in quarantine")))
            }
            _ => {}
        }
        if !row.replaced_by.is_empty() && before.is_none_or(|before| before.replaced_by != row.replaced_by) {
            told.push((
                "replaced",
                styled(WARN, format!("{app} replaced by {}", styled(BOLD, &row.replaced_by))),
            ));
        }
        for (what, text) in told {
            timeline.tell_some(&format!("{what} {id}"), edge, &text)?;
        }
        self.apps.insert(key, row);
        Ok(())
    }

    fn event(&mut self, event: EventReport, timeline: &mut Timeline) -> io::Result<()> {
        let (edge, source) = (event.meta.edge, event.source);
        if source.as_str() != "system" {
            let fields: Vec<String> =
                event.fields.iter().map(|(key, value)| format!("{key}={}", record::text(value))).collect();
            let what = format!("{source} {} {}", styled(BOLD, plain(&event.event)), fields.join(" "));
            timeline.tell_some(&format!("event {source} {}", event.event), edge.as_str(), &what)?;
        }
        *self.events.entry((edge, source, event.event)).or_default() += 1;
        Ok(())
    }

    fn batch(&mut self, batch: Batch, timeline: &mut Timeline) -> io::Result<()> {
        for record in batch.readable() {
            // What is sent again is not news.
            if self.seen.insert((batch.edge.clone(), batch.epoch.clone(), record.seq)) {
                self.record(&batch.edge, record, timeline)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, edge: &EdgeId, record: Record, timeline: &mut Timeline) -> io::Result<()> {
        let told = match record.body {
            Body::Fault(fault) => self.fault_seen(edge, fault, record.ts),
            Body::Restoration { fault, attempt, measure, cause, center } => {
                let restoration = Restoration { measure, center, ts: record.ts };
                self.decided(&fault, attempt, &cause, restoration)
            }
            Body::Closed(closed) => self.closed(closed),
            Body::Event { .. }
            | Body::Write { .. }
            | Body::Written { .. }
            | Body::Command { .. }
            | Body::Dropped { .. }
            | Body::Unknown => None,
        };
        told.map_or(Ok(()), |told| timeline.tell(edge.as_str(), &told))
    }

    fn fault_seen(&mut self, edge: &EdgeId, fault: Fault, ts: i64) -> Option<String> {
        let at = fault.step.as_ref().map(|step| format!(" at {}", plain(step))).unwrap_or_default();
        let what = format!("in {}{at}, attempt {}: {}", fault.app, fault.attempt, plain(&fault.message));
        let told = format!("{} {what}  {}", styled(BAD, &fault.kind), styled(DIM, &fault.fault));
        let facts = self.faults.entry(fault.fault.clone()).or_insert_with(|| FaultFacts {
            edge: edge.clone(),
            fault: fault.clone(),
            due_ts: BTreeMap::new(),
            restorations: BTreeMap::new(),
            closed: None,
        });
        facts.due_ts.entry(fault.attempt).or_insert(ts);
        facts.fault = fault;
        Some(told)
    }

    fn decided(&mut self, id: &FaultId, attempt: u32, cause: &str, made: Restoration) -> Option<String> {
        let facts = self.faults.get_mut(id)?;
        let by =
            made.center.as_ref().map_or("the edge alone".to_owned(), |center| format!("center {center}"));
        let measure = styled(WARN, made.measure);
        facts.restorations.insert(attempt, made);
        let after = facts.answer_ms(attempt).map(|ms| format!(" after {ms} ms")).unwrap_or_default();
        Some(format!("{by} answers{after}: {measure}, cause {}  {}", plain(cause), styled(DIM, id)))
    }

    fn closed(&mut self, closed: Closed) -> Option<String> {
        let facts = self.faults.get_mut(&closed.fault)?;
        let (id, attempts, open_ms) = (styled(DIM, &closed.fault), closed.attempts, closed.open_ms);
        facts.closed = Some(closed);
        Some(format!("fault {} after {open_ms} ms, {attempts} attempts  {id}", styled(GOOD, "closed")))
    }
}

fn read<T: DeserializeOwned>(message: &Message) -> Option<T> {
    serde_json::from_slice(&message.payload).ok()
}
