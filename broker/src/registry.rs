//! Who is connected: one session for a client id, and a bound on all.
//!
//! A new connection of a client ends the former one and waits until that is over, its will published and its link
//! closed, before it begins itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::lock::lock;

/// Why a session that did nothing wrong must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    TakenOver,
    Stopping,
}

/// There is no room for another session, or the broker is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

/// Reaches a session; closed when that is over.
pub(crate) type Caller = Arc<watch::Sender<Option<Farewell>>>;

/// The sessions by client id.
pub(crate) struct Registry {
    sessions: Mutex<Sessions>,
    connections_max: usize,
}

#[derive(Default)]
struct Sessions {
    by_client: HashMap<String, Caller>,
    stopping: bool,
}

impl Registry {
    pub(crate) fn new(connections_max: usize) -> Arc<Self> {
        Arc::new(Self { sessions: Mutex::default(), connections_max })
    }

    /// Takes the client id, from its former session if need be.
    pub(crate) async fn claim(self: &Arc<Self>, client_id: &str) -> Result<Claim, Busy> {
        loop {
            let former = match self.try_claim(client_id)? {
                Ok(claim) => return Ok(claim),
                Err(former) => former,
            };
            former.send_replace(Some(Farewell::TakenOver));
            former.closed().await;
        }
    }

    fn try_claim(self: &Arc<Self>, client_id: &str) -> Result<Result<Claim, Caller>, Busy> {
        let mut sessions = lock(&self.sessions);
        if sessions.stopping {
            return Err(Busy);
        }
        if let Some(former) = sessions.by_client.get(client_id) {
            return Ok(Err(Arc::clone(former)));
        }
        if sessions.by_client.len() >= self.connections_max {
            return Err(Busy);
        }
        let (caller, farewell) = watch::channel(None);
        sessions.by_client.insert(client_id.to_owned(), Arc::new(caller));
        Ok(Ok(Claim { registry: Arc::clone(self), client_id: client_id.to_owned(), farewell }))
    }

    /// Ends every session, waits until they are over, and admits no more.
    pub(crate) async fn stop(&self) {
        for caller in self.begin_to_stop() {
            caller.closed().await;
        }
    }

    /// The same without the waiting.
    pub(crate) fn begin_to_stop(&self) -> Vec<Caller> {
        let mut sessions = lock(&self.sessions);
        sessions.stopping = true;
        let callers: Vec<Caller> = sessions.by_client.values().cloned().collect();
        for caller in &callers {
            caller.send_replace(Some(Farewell::Stopping));
        }
        callers
    }
}

/// A client id in use, for as long as this lives.
pub(crate) struct Claim {
    registry: Arc<Registry>,
    client_id: String,
    farewell: watch::Receiver<Option<Farewell>>,
}

impl Claim {
    /// Resolves when the session must go.
    pub(crate) async fn farewell(&mut self) -> Farewell {
        match self.farewell.wait_for(Option::is_some).await {
            Ok(farewell) => farewell.unwrap_or(Farewell::Stopping),
            Err(_) => Farewell::Stopping,
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Before the receiver is dropped, which is what the next one waits for.
        lock(&self.registry.sessions).by_client.remove(&self.client_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_claim_waits_for_the_first_to_go() {
        let registry = Registry::new(10);
        let mut first = registry.claim("a").await.unwrap();
        let second = tokio::spawn({
            let registry = Arc::clone(&registry);
            async move { registry.claim("a").await }
        });
        assert_eq!(first.farewell().await, Farewell::TakenOver);
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn of_many_claims_at_once_each_gets_its_turn() {
        let registry = Registry::new(10);
        let claims: Vec<_> = (0..50)
            .map(|_| {
                let registry = Arc::clone(&registry);
                tokio::spawn(async move {
                    drop(registry.claim("a").await.unwrap());
                })
            })
            .collect();
        for claim in claims {
            claim.await.unwrap();
        }
        assert!(lock(&registry.sessions).by_client.is_empty());
    }

    #[tokio::test]
    async fn beyond_the_limit_only_a_takeover_is_possible() {
        let registry = Registry::new(1);
        let first = registry.claim("a").await.unwrap();
        assert!(registry.claim("b").await.is_err());
        drop(first);
        assert!(registry.claim("b").await.is_ok());
    }

    #[tokio::test]
    async fn stopping_ends_all_and_admits_nobody() {
        let registry = Registry::new(10);
        let mut claim = registry.claim("a").await.unwrap();
        let stopping = tokio::spawn({
            let registry = Arc::clone(&registry);
            async move { registry.stop().await }
        });
        assert_eq!(claim.farewell().await, Farewell::Stopping);
        drop(claim);
        stopping.await.unwrap();
        assert!(registry.claim("b").await.is_err());
    }
}
