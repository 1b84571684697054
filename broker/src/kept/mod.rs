//! What a session is but its connection: what outlives that, while its client is away.
//!
//! In memory alone. What is done about it is the matter of [`crate::session`].

mod window;

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::AbortHandle;

use crate::admission::Will;
use crate::inbox::Inbox;
use crate::subscribers::Options;
pub(crate) use window::Window;

/// What a session is but its connection.
#[derive(Debug)]
pub(crate) struct Kept {
    pub inbox: Arc<Inbox>,
    /// Each filter once.
    pub subscriptions: Vec<Box<str>>,
    pub window: Window,
    /// Retained messages still to be delivered.
    pub backlog: VecDeque<Backlog>,
    /// A will that waits for its delay.
    pub will: Option<Will>,
    /// Does in time what is due while the client is away.
    pub watch: Option<Watch>,
    /// Numbers the times that clients were away, in their order.
    pub absence: u64,
}

impl Kept {
    pub(crate) fn new(inbox: Arc<Inbox>, deliveries: u16) -> Self {
        Self {
            inbox,
            subscriptions: Vec::new(),
            window: Window::new(deliveries),
            backlog: VecDeque::new(),
            will: None,
            watch: None,
            absence: 0,
        }
    }

    #[cfg(test)]
    pub(crate) fn for_test(inbox: &Arc<Inbox>, absence: u64) -> Self {
        Self { absence, ..Self::new(Arc::clone(inbox), 1) }
    }
}

/// Retained messages of one subscription, still to be delivered.
#[derive(Debug)]
pub(crate) struct Backlog {
    pub filter: Box<str>,
    pub options: Options,
    /// The last topic that was delivered.
    pub after: Option<String>,
}

/// A task that ends with this.
#[derive(Debug)]
pub(crate) struct Watch(pub AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
