//! Downloads: which artifacts are whole on disk, which chunks of the others are missing, and asking for them.
//!
//! A chunk proves itself by its digest, so it may come from anybody, in any order, twice. What is asked for and does
//! not come is asked for again, ever more seldom, for as long as it is wanted; what is not wanted is not written. The
//! disk is looked at for one artifact once at a time, and only an answer to the last question counts.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::fault::kind;
use flotilla_schemas::report::{WANT_CHUNKS_MAX, Want};
use flotilla_schemas::topic::EdgeTopic;
use flotilla_schemas::{Artifact, Digest};

use crate::effect::{Act, EffectId, Send};
use crate::input::Outcome;
use crate::open::{FILES_MS, Waiter, overdue};
use crate::out::Out;

/// The first pause before asking again, in milliseconds; it doubles up to the last.
pub(crate) const ASK_FIRST_MS: u64 = 1_000;

/// The longest pause before asking again, in milliseconds.
pub(crate) const ASK_LAST_MS: u64 = 60_000;

/// The most artifacts under way at once; others wait their turn.
pub(crate) const DOWNLOADS_MAX: usize = 4;

/// What is on disk and what is on its way there.
#[derive(Debug, Default)]
pub(crate) struct Downloads {
    /// Whole and verified on disk.
    present: BTreeSet<Digest>,
    under_way: BTreeMap<Digest, Download>,
    /// What the disk is being looked at for, also for what is wanted no more.
    looking: BTreeSet<Digest>,
}

#[derive(Debug)]
struct Download {
    artifact: Artifact,
    /// Chunks that are missing, once the disk has been looked at.
    missing: Option<BTreeSet<Digest>>,
    /// The look whose answer counts.
    look: Option<EffectId>,
    /// Chunks came for it.
    fetched: bool,
    ask_at: u64,
    pause_ms: u64,
}

impl Download {
    fn new(artifact: Artifact, now_ms: u64) -> Self {
        let pause_ms = ASK_FIRST_MS;
        Self { artifact, missing: None, look: None, fetched: false, ask_at: now_ms, pause_ms }
    }

    /// Whether looking at the disk failed, and is tried again after a pause.
    fn is_looked_at_again(&self) -> bool {
        self.look.is_none() && self.pause_ms > ASK_FIRST_MS
    }

    /// The next time, after a pause twice as long as the one before.
    fn later(&mut self, now_ms: u64) {
        self.ask_at = now_ms + self.pause_ms;
        self.pause_ms = (self.pause_ms * 2).min(ASK_LAST_MS);
    }
}

impl Downloads {
    /// Whether an artifact is whole on disk.
    pub fn has(&self, artifact: &Artifact) -> bool {
        self.present.contains(&artifact.digest)
    }

    fn missing(&self) -> Vec<Digest> {
        let missing = self.under_way.values().flat_map(|download| download.missing.iter().flatten());
        missing.copied().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Wants an artifact; whether it is whole on disk. If not, it is looked for and fetched.
    pub fn fetch(&mut self, artifact: &Artifact, out: &mut Out) -> bool {
        if self.has(artifact) {
            return true;
        }
        let digest = artifact.digest;
        if self.under_way.len() < DOWNLOADS_MAX && !self.under_way.contains_key(&digest) {
            self.under_way.insert(digest, Download::new(artifact.clone(), out.now.mono_ms));
            self.look(digest, out);
        }
        false
    }

    /// Has the disk looked at, unless it is being looked at already: then again when that has ended.
    fn look(&mut self, digest: Digest, out: &mut Out) {
        let Some(download) = self.under_way.get_mut(&digest) else { return };
        if self.looking.insert(digest) {
            let act = Act::Look(download.artifact.clone());
            download.look = Some(out.effect_for(Waiter::Download(digest), act, Some(FILES_MS)));
        }
    }

    /// The disk does not answer: what it was looked at for is given up, until it does.
    pub fn look_overdue(&mut self, look: EffectId, digest: Digest, out: &mut Out) {
        if self.under_way.get(&digest).is_some_and(|download| download.look == Some(look)) {
            self.under_way.remove(&digest);
            out.warn(overdue(kind::STORAGE_SLOW, "the disk").message);
        }
    }

    /// What of an artifact is on disk; whether it has just come whole.
    pub fn looked(&mut self, look: EffectId, digest: Digest, outcome: Outcome, out: &mut Out) -> bool {
        self.looking.remove(&digest);
        let Some(download) = self.under_way.get_mut(&digest) else { return false };
        if download.look.take_if(|of| *of == look).is_none() {
            self.look(digest, out);
            return false;
        }
        match outcome {
            Outcome::Missing(missing) if missing.is_empty() => return self.is_whole(digest, out),
            Outcome::Missing(missing) => {
                download.ask_at = out.now.mono_ms;
                download.missing = Some(missing.into_iter().collect());
            }
            other => {
                // Looked at again after a pause: the disk may be full or broken now and not later.
                download.missing = None;
                download.later(out.now.mono_ms);
                let error = other.failure().map(|failure| failure.message).unwrap_or_default();
                out.warn(format!("an artifact {} cannot be written: {error}", digest.short()));
            }
        }
        false
    }

    fn is_whole(&mut self, digest: Digest, out: &mut Out) -> bool {
        let fetched = self.under_way.remove(&digest).is_some_and(|download| download.fetched);
        self.present.insert(digest);
        out.effect(Act::ListenOnly(self.missing()));
        fetched
    }

    /// It is not on disk any more, or not what it was, or is not to be.
    pub fn lost(&mut self, artifact: &Artifact, out: &mut Out) {
        self.present.remove(&artifact.digest);
        self.under_way.remove(&artifact.digest);
        out.effect(Act::Delete(artifact.digest));
    }

    /// Nobody wants others than these.
    pub fn keep_only(&mut self, wanted: &BTreeSet<Digest>, out: &mut Out) {
        self.under_way.retain(|digest, _| wanted.contains(digest));
        self.present.retain(|digest| wanted.contains(digest));
        out.effect(Act::ListenOnly(self.missing()));
    }

    /// A chunk came; if it is wanted, it is written, and with the last one the whole is looked at.
    pub fn chunk(&mut self, bytes: &[u8], out: &mut Out) {
        let digest = Digest::of(bytes);
        let mut whole = Vec::new();
        for download in self.under_way.values_mut() {
            let Some(missing) = &mut download.missing else { continue };
            if !missing.remove(&digest) {
                continue;
            }
            out.effect(Act::StoreChunk(download.artifact.clone(), digest, bytes.to_vec()));
            (download.fetched, download.pause_ms) = (true, ASK_FIRST_MS);
            download.ask_at = out.now.mono_ms + download.pause_ms;
            if missing.is_empty() {
                download.missing = None;
                whole.push(download.artifact.digest);
            }
        }
        whole.into_iter().for_each(|digest| self.look(digest, out));
    }

    /// Asks for what is missing, where asking is due.
    pub fn ask(&mut self, out: &mut Out) {
        let now_ms = out.now.mono_ms;
        let (mut wanted, mut again) = (Vec::new(), Vec::new());
        for download in self.under_way.values_mut().filter(|download| download.ask_at <= now_ms) {
            match &download.missing {
                Some(missing) if out.connected => {
                    wanted.extend(missing.iter().copied().take(WANT_CHUNKS_MAX));
                }
                None if download.is_looked_at_again() => again.push(download.artifact.digest),
                Some(_) | None => continue,
            }
            download.later(now_ms);
        }
        again.into_iter().for_each(|digest| self.look(digest, out));
        wanted.truncate(WANT_CHUNKS_MAX);
        if !wanted.is_empty() {
            out.effect(Act::Listen(wanted.clone()));
            let want = Want { v: 1, edge: out.config.edge.clone(), chunks: wanted };
            out.publish(out.own(EdgeTopic::Want), &want, Send::Message);
        }
    }

    /// A new connection: ask for all that is missing, at once.
    pub fn connected(&mut self, now_ms: u64) {
        for download in self.under_way.values_mut().filter(|download| download.missing.is_some()) {
            (download.ask_at, download.pause_ms) = (now_ms, ASK_FIRST_MS);
        }
    }

    /// When something is asked for again.
    pub fn wake_at(&self, connected: bool) -> Option<u64> {
        let waits = |download: &&Download| match download.missing {
            Some(_) => connected,
            None => download.is_looked_at_again(),
        };
        self.under_way.values().filter(waits).map(|download| download.ask_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Effect;
    use crate::samples;
    use flotilla_schemas::digest::CHUNK_BYTES;

    fn artifact(n: u8) -> (Artifact, Vec<Vec<u8>>) {
        let bytes: Vec<u8> = (0..CHUNK_BYTES + 1).map(|at| n ^ (at / 251) as u8).collect();
        (Artifact::of(&bytes), bytes.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect())
    }

    fn looks(effects: &[Effect]) -> Vec<EffectId> {
        effects.iter().filter(|effect| matches!(effect.act, Act::Look(_))).map(|effect| effect.id).collect()
    }

    fn wants(effects: &[Effect]) -> usize {
        let is_want = |effect: &&Effect| matches!(effect.act, Act::Publish(..));
        effects.iter().filter(is_want).count()
    }

    #[test]
    fn what_is_missing_is_asked_for_written_and_whole_at_the_end() {
        let (mut downloads, mut out) = (Downloads::default(), samples::out());
        out.connected = true;
        let (artifact, chunks) = artifact(1);
        assert!(!downloads.fetch(&artifact, &mut out));
        let [look] = looks(&out.take_step().effects)[..] else { panic!() };
        downloads.looked(look, artifact.digest, Outcome::Missing(artifact.chunks.clone()), &mut out);
        downloads.ask(&mut out);
        assert_eq!(wants(&out.take_step().effects), 1);
        chunks.iter().for_each(|chunk| downloads.chunk(chunk, &mut out));
        downloads.chunk(b"of nobody", &mut out);
        let effects = out.take_step().effects;
        let stored = effects.iter().filter(|effect| matches!(effect.act, Act::StoreChunk(..))).count();
        assert_eq!(stored, 2);
        let [look] = looks(&effects)[..] else { panic!() };
        assert!(downloads.looked(look, artifact.digest, Outcome::Missing(vec![]), &mut out));
        assert!(downloads.has(&artifact) && downloads.fetch(&artifact, &mut out));
    }

    #[test]
    fn what_does_not_come_is_asked_for_ever_more_seldom() {
        let (mut downloads, mut out) = (Downloads::default(), samples::out());
        out.connected = true;
        let (artifact, _) = artifact(1);
        downloads.fetch(&artifact, &mut out);
        let [look] = looks(&out.take_step().effects)[..] else { panic!() };
        downloads.looked(look, artifact.digest, Outcome::Missing(artifact.chunks.clone()), &mut out);
        let mut asked = Vec::new();
        for now_ms in (0..200_000).step_by(1_000) {
            out.now.mono_ms = now_ms;
            downloads.ask(&mut out);
            asked.extend((wants(&out.take_step().effects) > 0).then_some(now_ms / 1_000));
        }
        assert_eq!(asked, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
    }

    #[test]
    fn no_more_are_under_way_than_the_most_and_one_that_is_given_up_makes_room() {
        let (mut downloads, mut out) = (Downloads::default(), samples::out());
        let artifacts: Vec<_> = (0..=DOWNLOADS_MAX as u8).map(|n| artifact(n).0).collect();
        artifacts.iter().for_each(|artifact| _ = downloads.fetch(artifact, &mut out));
        assert_eq!(looks(&out.take_step().effects).len(), DOWNLOADS_MAX);
        downloads.keep_only(&artifacts[1..].iter().map(|artifact| artifact.digest).collect(), &mut out);
        artifacts.iter().skip(1).for_each(|artifact| _ = downloads.fetch(artifact, &mut out));
        assert_eq!(looks(&out.take_step().effects).len(), 1);
    }

    #[test]
    fn an_answer_from_before_a_deletion_does_not_count() {
        let (mut downloads, mut out) = (Downloads::default(), samples::out());
        let (artifact, _) = artifact(1);
        downloads.fetch(&artifact, &mut out);
        let [first] = looks(&out.take_step().effects)[..] else { panic!() };
        downloads.lost(&artifact, &mut out);
        downloads.fetch(&artifact, &mut out);
        assert_eq!(looks(&out.take_step().effects), [], "the disk is looked at once at a time");
        downloads.looked(first, artifact.digest, Outcome::Missing(vec![]), &mut out);
        assert!(!downloads.has(&artifact));
        let [second] = looks(&out.take_step().effects)[..] else { panic!() };
        downloads.looked(second, artifact.digest, Outcome::Missing(vec![]), &mut out);
        assert!(downloads.has(&artifact));
    }

    #[test]
    fn a_disk_that_does_not_answer_holds_no_place_and_is_asked_again_when_it_does() {
        let (mut downloads, mut out) = (Downloads::default(), samples::out());
        let artifacts: Vec<_> = (0..=DOWNLOADS_MAX as u8).map(|n| artifact(n).0).collect();
        artifacts.iter().for_each(|artifact| _ = downloads.fetch(artifact, &mut out));
        let effects = out.take_step().effects;
        let look = looks(&effects)[0];
        let Act::Look(stuck) = &effects[0].act else { panic!() };
        downloads.look_overdue(look, stuck.digest, &mut out);
        artifacts.iter().rev().for_each(|artifact| _ = downloads.fetch(artifact, &mut out));
        assert_eq!(looks(&out.take_step().effects).len(), 1, "the next one has its place");
        downloads.keep_only(&BTreeSet::new(), &mut out);
        downloads.fetch(stuck, &mut out);
        assert_eq!(looks(&out.take_step().effects), [], "it is still being looked at");
        downloads.looked(look, stuck.digest, Outcome::Missing(vec![]), &mut out);
        assert_eq!(looks(&out.take_step().effects).len(), 1);
    }
}
