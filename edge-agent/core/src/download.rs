//! Downloads: which artifacts are whole on disk, which chunks of the others are missing, and asking for them.
//!
//! A chunk proves itself by its digest, so it may come from anybody, in any order, twice. What is asked for and does
//! not come is asked for again, ever more seldom, for as long as it is wanted; what is not wanted is not written.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::fault::kind;
use flotilla_schemas::report::{WANT_CHUNKS_MAX, Want};
use flotilla_schemas::topic::EdgeTopic;
use flotilla_schemas::{Artifact, Digest, Topic};

use crate::core::Core;
use crate::effect::{Act, EffectId, Send};
use crate::input::Outcome;
use crate::open::{FILES_MS, Waiter, overdue};

/// The first pause before asking again, in milliseconds; it doubles up to the last.
pub const ASK_FIRST_MS: u64 = 1_000;

/// The longest pause before asking again, in milliseconds.
pub const ASK_LAST_MS: u64 = 60_000;

/// The most artifacts under way at once; others wait their turn.
pub const DOWNLOADS_MAX: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Downloads {
    /// Whole and verified on disk.
    present: BTreeSet<Digest>,
    under_way: BTreeMap<Digest, Download>,
    /// What the disk is being looked at for, and the last who asked; also for what is wanted no more.
    looking: BTreeMap<Digest, EffectId>,
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
    /// Whether looking at the disk failed, and is tried again after a pause.
    fn is_looked_at_again(&self) -> bool {
        self.look.is_none() && self.pause_ms > ASK_FIRST_MS
    }
}

impl Downloads {
    pub fn has(&self, artifact: &Artifact) -> bool {
        self.present.contains(&artifact.digest)
    }

    fn missing(&self) -> BTreeSet<Digest> {
        self.under_way.values().flat_map(|download| download.missing.iter().flatten().copied()).collect()
    }
}

impl Core {
    /// Wants an artifact; whether it is whole on disk. If not, it is looked for and fetched.
    pub(crate) fn fetch(&mut self, artifact: &Artifact) -> bool {
        if self.downloads.has(artifact) {
            return true;
        }
        let full = self.downloads.under_way.len() >= DOWNLOADS_MAX;
        if !full && !self.downloads.under_way.contains_key(&artifact.digest) {
            let (ask_at, artifact) = (self.now.mono_ms, artifact.clone());
            let (digest, pause_ms) = (artifact.digest, ASK_FIRST_MS);
            let download = Download { artifact, missing: None, look: None, fetched: false, ask_at, pause_ms };
            self.downloads.under_way.insert(digest, download);
            self.look(digest);
        }
        false
    }

    /// Has the disk looked at, unless it is being looked at already: then again when that has ended.
    fn look(&mut self, digest: Digest) {
        let Some(download) = self.downloads.under_way.get(&digest) else { return };
        if self.downloads.looking.contains_key(&digest) {
            return;
        }
        let act = Act::Look(download.artifact.clone());
        let id = self.effect_for(Waiter::Download(digest), act, Some(FILES_MS));
        self.downloads.looking.insert(digest, id);
        if let Some(download) = self.downloads.under_way.get_mut(&digest) {
            download.look = Some(id);
        }
    }

    /// The disk does not answer: what it was looked at for is given up, until it does.
    pub(crate) fn look_overdue(&mut self, look: EffectId, digest: Digest) {
        if self.downloads.under_way.get(&digest).is_some_and(|download| download.look == Some(look)) {
            self.downloads.under_way.remove(&digest);
            self.warn(overdue(kind::STORAGE_SLOW, "the disk").message);
        }
    }

    /// It is not on disk any more, or not what it was, or is not to be.
    pub(crate) fn lost(&mut self, artifact: &Artifact) {
        self.downloads.present.remove(&artifact.digest);
        self.downloads.under_way.remove(&artifact.digest);
        self.effect(Act::Delete(artifact.digest));
    }

    /// Nobody wants these any more.
    pub(crate) fn give_up_downloads(&mut self, wanted: &BTreeSet<Digest>) {
        self.downloads.under_way.retain(|digest, _| wanted.contains(digest));
        self.downloads.present.retain(|digest| wanted.contains(digest));
        let missing = self.downloads.missing().into_iter().collect();
        self.effect(Act::ListenOnly(missing));
    }

    pub(crate) fn looked(&mut self, look: EffectId, digest: Digest, outcome: Outcome) {
        self.downloads.looking.remove(&digest);
        let Some(download) = self.downloads.under_way.get_mut(&digest) else { return };
        if download.look.take_if(|of| *of == look).is_none() {
            return self.look(digest);
        }
        match outcome {
            Outcome::Failed(failure) => {
                // Looked at again after a pause: the disk may be full or broken now and not later.
                download.missing = None;
                download.ask_at = self.now.mono_ms + download.pause_ms;
                download.pause_ms = (download.pause_ms * 2).min(ASK_LAST_MS);
                self.warn(format!("an artifact {} cannot be written: {}", digest.short(), failure.message));
            }
            Outcome::Missing(missing) if missing.is_empty() => {
                let fetched = download.fetched;
                self.downloads.under_way.remove(&digest);
                self.downloads.present.insert(digest);
                if fetched {
                    self.count_download(digest);
                }
                let missing = self.downloads.missing().into_iter().collect();
                self.effect(Act::ListenOnly(missing));
            }
            Outcome::Missing(missing) => {
                download.ask_at = self.now.mono_ms;
                download.missing = Some(missing.into_iter().collect());
            }
            _ => {}
        }
    }

    /// A chunk came; if it is wanted, it is written, and with the last one the whole is looked at.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) {
        let digest = Digest::of(bytes);
        let now = self.now.mono_ms;
        let (mut stored, mut whole) = (Vec::new(), Vec::new());
        for download in self.downloads.under_way.values_mut() {
            let Some(missing) = &mut download.missing else { continue };
            if !missing.remove(&digest) {
                continue;
            }
            download.fetched = true;
            stored.push(download.artifact.clone());
            download.pause_ms = ASK_FIRST_MS;
            download.ask_at = now + download.pause_ms;
            if missing.is_empty() {
                download.missing = None;
                whole.push(download.artifact.digest);
            }
        }
        for artifact in stored {
            self.effect(Act::StoreChunk(artifact, digest, bytes.to_vec()));
        }
        whole.into_iter().for_each(|digest| self.look(digest));
    }

    /// Asks for what is missing, where asking is due.
    pub(crate) fn downloads_due(&mut self) {
        let now = self.now.mono_ms;
        let connected = self.connected;
        let (mut wanted, mut again) = (Vec::new(), Vec::new());
        for download in self.downloads.under_way.values_mut().filter(|download| download.ask_at <= now) {
            match &download.missing {
                Some(missing) if connected => wanted.extend(missing.iter().copied().take(WANT_CHUNKS_MAX)),
                Some(_) => continue,
                None if download.is_looked_at_again() => again.push(download.artifact.digest),
                None => continue,
            }
            download.ask_at = now + download.pause_ms;
            download.pause_ms = (download.pause_ms * 2).min(ASK_LAST_MS);
        }
        again.into_iter().for_each(|digest| self.look(digest));
        wanted.truncate(WANT_CHUNKS_MAX);
        if !wanted.is_empty() {
            self.effect(Act::Listen(wanted.clone()));
            let edge = self.config.edge.clone();
            let topic = Topic::Edge(edge.clone(), EdgeTopic::Want);
            self.publish(topic, &Want { v: 1, edge, chunks: wanted }, Send::Message);
        }
    }

    /// A new connection: ask for all that is missing, at once.
    pub(crate) fn downloads_connected(&mut self) {
        for download in self.downloads.under_way.values_mut().filter(|download| download.missing.is_some()) {
            download.ask_at = self.now.mono_ms;
            download.pause_ms = ASK_FIRST_MS;
        }
    }

    pub(crate) fn downloads_wake(&self) -> Option<u64> {
        let waits = |download: &&Download| match download.missing {
            Some(_) => self.connected,
            None => download.is_looked_at_again(),
        };
        self.downloads.under_way.values().filter(waits).map(|download| download.ask_at).min()
    }
}
