//! What a link and its session share.

use std::sync::{Mutex, PoisonError};

use flotilla_schemas::topic::Tree;
use tokio::sync::{Notify, oneshot};

use crate::outgoing::Queue;

pub(crate) struct Shared {
    pub tree: Tree,
    pub queue: Mutex<Queue>,
    /// Something was put into the queue.
    pub queued: Notify,
    pub stop: Mutex<Option<oneshot::Sender<oneshot::Sender<()>>>>,
}

impl Shared {
    /// Acts on the queue, which nobody else touches meanwhile.
    pub fn queue<R>(&self, act: impl FnOnce(&mut Queue) -> R) -> R {
        act(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
