//! Which sessions there are: one for a client id, with its client connected or away, and a bound on all.
//!
//! A new connection of a client ends the former one and waits until that is over before it begins itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::access::User;
use crate::inbox::{Bounds, Farewell, Inbox};
use crate::kept::Kept;
use crate::limits::Limits;
use crate::lock::lock;
use crate::meters::Meters;
use crate::places::{Place, Places};

/// There is no room for another session, or the broker is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

/// The sessions by client id.
pub(crate) struct Registry {
    sessions: Mutex<Sessions>,
    /// A client has left.
    left: Notify,
    connections_max: usize,
    sessions_max: usize,
    /// Of the sessions of each user, by its name.
    places: Arc<Places<Arc<str>>>,
    bounds: Bounds,
    meters: Arc<Meters>,
}

#[derive(Default)]
struct Sessions {
    by_client: HashMap<Arc<str>, Seat>,
    connected: usize,
    stopping: bool,
}

struct Seat {
    user: Arc<User>,
    by: By,
    _place: Place<Arc<str>>,
}

enum By {
    /// The client is connected.
    Client(Arc<Inbox>),
    /// It is away.
    Kept(Box<Kept>),
}

impl Registry {
    pub(crate) fn new(limits: &Limits, meters: Arc<Meters>) -> Arc<Self> {
        Arc::new(Self {
            sessions: Mutex::default(),
            left: Notify::new(),
            connections_max: limits.connections,
            sessions_max: limits.sessions,
            places: Places::new(limits.sessions_per_user),
            bounds: Bounds {
                messages: limits.queue_messages,
                bytes: limits.queue_bytes,
                all_bytes: limits.queued_bytes,
            },
            meters,
        })
    }

    /// Takes the client id, from its former connection if need be. `serial` numbers the session if it is a new one,
    /// which it is, too, if `clean` is set.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        client_id: &str,
        clean: bool,
        serial: u64,
        user: &Arc<User>,
    ) -> Result<Claim, Busy> {
        loop {
            // Whoever leaves from now on is noticed.
            let left = self.left.notified();
            match self.try_claim(client_id, clean, serial, user)? {
                Ok(claim) => return Ok(claim),
                Err(former) => former.call(Farewell::TakenOver),
            }
            left.await;
        }
    }

    fn try_claim(
        self: &Arc<Self>,
        client_id: &str,
        clean: bool,
        serial: u64,
        user: &Arc<User>,
    ) -> Result<Result<Claim, Arc<Inbox>>, Busy> {
        let mut sessions = lock(&self.sessions);
        if sessions.stopping {
            return Err(Busy);
        }
        if let Some(Seat { by: By::Client(former), .. }) = sessions.by_client.get(client_id) {
            return Ok(Err(Arc::clone(former)));
        }
        if sessions.connected >= self.connections_max {
            return Err(Busy);
        }
        let client_id: Arc<str> = client_id.into();
        let kept = sessions.take_kept(&client_id);
        let (resumed, ended) = if clean { (None, kept) } else { (kept, None) };
        let place = || self.places.take(Arc::clone(&user.name));
        let (place, evicted) = match place() {
            None => {
                let evicted = sessions.evict(|of| of.name == user.name).ok_or(Busy)?;
                (place().ok_or(Busy)?, Some(evicted))
            }
            Some(place) if sessions.by_client.len() < self.sessions_max => (place, None),
            Some(place) => (place, Some(sessions.evict(|_| true).ok_or(Busy)?)),
        };
        let inbox = match &resumed {
            Some(kept) => Arc::clone(&kept.inbox),
            None => Arc::new(Inbox::new(
                serial,
                user.subject.reader.clone(),
                self.bounds,
                Arc::clone(&self.meters),
            )),
        };
        inbox.attach();
        let seat = Seat { user: Arc::clone(user), by: By::Client(Arc::clone(&inbox)), _place: place };
        sessions.by_client.insert(Arc::clone(&client_id), seat);
        sessions.connected += 1;
        self.note(&sessions);
        let ended = ended.into_iter().chain(evicted).collect();
        Ok(Ok(Claim { registry: Arc::clone(self), client_id, inbox, resumed, kept: None, ended }))
    }

    /// Looks at a session whose client is away, if it is still the same absence.
    pub(crate) fn with_kept<T>(
        &self,
        client_id: &str,
        absence: u64,
        look: impl FnOnce(&mut Kept) -> Option<T>,
    ) -> Option<T> {
        match lock(&self.sessions).by_client.get_mut(client_id) {
            Some(Seat { by: By::Kept(kept), .. }) if kept.absence == absence => look(kept),
            _ => None,
        }
    }

    /// Takes out a session whose client is away, if it is still the same absence.
    pub(crate) fn take_kept(&self, client_id: &str, absence: u64) -> Option<Kept> {
        let mut sessions = lock(&self.sessions);
        match sessions.by_client.get(client_id) {
            Some(Seat { by: By::Kept(kept), .. }) if kept.absence == absence => {}
            _ => return None,
        }
        let kept = sessions.take_kept(client_id);
        self.note(&sessions);
        kept
    }

    /// Ends the connections of users that may stay no longer. Returns how many, and their sessions that are kept.
    pub(crate) fn bar(&self, may_stay: impl Fn(&User) -> bool) -> (usize, Vec<Kept>) {
        let mut sessions = lock(&self.sessions);
        let (mut closed, mut away) = (0, Vec::new());
        for (client_id, seat) in sessions.by_client.iter().filter(|(_, seat)| !may_stay(&seat.user)) {
            match &seat.by {
                By::Client(inbox) => {
                    inbox.call(Farewell::Barred);
                    closed += 1;
                }
                By::Kept(_) => away.push(Arc::clone(client_id)),
            }
        }
        let ended = away.iter().filter_map(|client_id| sessions.take_kept(client_id)).collect();
        self.note(&sessions);
        (closed, ended)
    }

    /// Ends every connection, waits until they are over, and admits no more.
    pub(crate) async fn stop(&self) {
        self.begin_to_stop();
        loop {
            let left = self.left.notified();
            if lock(&self.sessions).connected == 0 {
                return;
            }
            left.await;
        }
    }

    /// The same without the waiting.
    pub(crate) fn begin_to_stop(&self) {
        let mut sessions = lock(&self.sessions);
        sessions.stopping = true;
        for seat in sessions.by_client.values() {
            if let By::Client(inbox) = &seat.by {
                inbox.call(Farewell::Stopping);
            }
        }
    }

    fn note(&self, sessions: &Sessions) {
        self.meters.connections.set(sessions.connected as u64);
        self.meters.sessions.set(sessions.by_client.len() as u64);
    }
}

impl Sessions {
    fn take_kept(&mut self, client_id: &str) -> Option<Kept> {
        match self.by_client.remove(client_id)? {
            Seat { by: By::Kept(kept), .. } => Some(*kept),
            taken => {
                self.by_client.insert(client_id.into(), taken);
                None
            }
        }
    }

    /// Makes room: of the users that are meant, takes out the session whose client left first. Absences are numbered in
    /// their order.
    fn evict(&mut self, is_meant: impl Fn(&User) -> bool) -> Option<Kept> {
        let absence = |(client_id, seat): (&Arc<str>, &Seat)| match &seat.by {
            By::Kept(kept) if is_meant(&seat.user) => Some((kept.absence, Arc::clone(client_id))),
            _ => None,
        };
        let (_, first) = self.by_client.iter().filter_map(absence).min()?;
        self.take_kept(&first)
    }
}

/// A client id in use, for as long as this lives.
pub(crate) struct Claim {
    registry: Arc<Registry>,
    client_id: Arc<str>,
    pub(crate) inbox: Arc<Inbox>,
    /// What the client left when it was last here, if it goes on with it.
    pub(crate) resumed: Option<Kept>,
    /// What it leaves for the next time.
    kept: Option<Kept>,
    /// Sessions that are over: the client's own former one, or that of someone who had to make room.
    pub(crate) ended: Vec<Kept>,
}

impl Claim {
    /// Gives the client id up but keeps the session for when it comes back.
    pub(crate) fn keep(mut self, kept: Kept) {
        self.kept = Some(kept);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // All at once: whoever comes next takes the same inbox over.
        let mut sessions = lock(&self.registry.sessions);
        self.inbox.detach();
        let seat = sessions.by_client.remove(&self.client_id);
        if let (Some(seat), Some(kept)) = (seat, self.kept.take()) {
            let seat = Seat { by: By::Kept(Box::new(kept)), ..seat };
            sessions.by_client.insert(Arc::clone(&self.client_id), seat);
        }
        sessions.connected -= 1;
        self.registry.note(&sessions);
        drop(sessions);
        self.registry.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::access::{Role, Subject};
    use crate::inbox::Call;

    fn registry(connections: usize, sessions: usize) -> Arc<Registry> {
        Registry::new(&Limits { connections, sessions, ..Limits::default() }, Arc::default())
    }

    fn user(name: &str) -> Arc<User> {
        let subject = Subject { reader: Role::Operator.into(), id: name.into() };
        Arc::new(User { name: name.into(), subject, credential: None })
    }

    async fn farewell(claim: &Claim) -> Call {
        poll_fn(|cx| claim.inbox.poll_call(cx, false)).await
    }

    fn keep(claim: Claim, absence: u64) {
        let kept = Kept::for_test(&claim.inbox, absence);
        claim.keep(kept);
    }

    #[tokio::test]
    async fn a_second_claim_waits_for_the_first_to_go() {
        let registry = registry(10, 10);
        let first = registry.claim("a", true, 1, &user("a")).await.unwrap();
        let second = tokio::spawn({
            let registry = Arc::clone(&registry);
            async move { registry.claim("a", true, 2, &user("a")).await }
        });
        assert_eq!(farewell(&first).await, Call::Farewell(Farewell::TakenOver));
        assert!(!second.is_finished());
        drop(first);
        assert_eq!(second.await.unwrap().map(|claim| claim.inbox.serial), Ok(2));
    }

    #[tokio::test]
    async fn of_many_claims_at_once_each_gets_its_turn() {
        let registry = registry(10, 10);
        let claims: Vec<_> = (0..50)
            .map(|i| {
                let registry = Arc::clone(&registry);
                tokio::spawn(async move { drop(registry.claim("a", true, i, &user("a")).await.unwrap()) })
            })
            .collect();
        for claim in claims {
            claim.await.unwrap();
        }
        let sessions = lock(&registry.sessions);
        assert_eq!((sessions.by_client.len(), sessions.connected), (0, 0));
    }

    #[tokio::test]
    async fn beyond_the_limit_only_a_takeover_is_possible() {
        let registry = registry(1, 10);
        let first = registry.claim("a", true, 1, &user("a")).await.unwrap();
        assert!(registry.claim("b", true, 2, &user("b")).await.is_err());
        drop(first);
        assert!(registry.claim("b", true, 3, &user("b")).await.is_ok());
    }

    #[tokio::test]
    async fn a_session_that_was_kept_is_resumed_or_ended_as_the_client_likes() {
        let registry = registry(10, 10);
        keep(registry.claim("a", false, 1, &user("a")).await.unwrap(), 5);
        assert_eq!((registry.meters.sessions.get(), registry.meters.connections.get()), (1, 0));
        let again = registry.claim("a", false, 2, &user("a")).await.unwrap();
        assert_eq!((again.inbox.serial, again.resumed.is_some(), again.ended.len()), (1, true, 0));
        keep(again, 6);
        assert!(registry.take_kept("a", 5).is_none(), "that absence is over");
        let clean = registry.claim("a", true, 3, &user("a")).await.unwrap();
        assert_eq!((clean.inbox.serial, clean.resumed.is_some(), clean.ended.len()), (3, false, 1));
        drop(clean);
        assert_eq!(registry.meters.sessions.get(), 0);
    }

    #[tokio::test]
    async fn when_sessions_are_too_many_the_one_whose_client_left_first_makes_room() {
        let registry = registry(10, 2);
        let late = registry.claim("late", false, 1, &user("late")).await.unwrap();
        keep(registry.claim("early", false, 2, &user("early")).await.unwrap(), 7);
        keep(late, 8);
        let third = registry.claim("third", false, 3, &user("third")).await.unwrap();
        assert_eq!(third.ended.iter().map(|kept| kept.absence).collect::<Vec<_>>(), [7]);
        let _fourth = registry.claim("fourth", false, 4, &user("fourth")).await.unwrap();
        assert!(registry.claim("fifth", false, 5, &user("fifth")).await.is_err(), "all are connected");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_comes_back_while_its_former_connection_ends_has_the_session_to_itself() {
        let registry = registry(10, 10);
        let coming_and_going = (0..4).map(|_| {
            let registry = Arc::clone(&registry);
            tokio::spawn(async move {
                for absence in 0..5_000 {
                    let claim = registry.claim("a", false, 1, &user("a")).await.unwrap();
                    tokio::task::yield_now().await;
                    assert!(claim.inbox.load().is_some(), "it is attached");
                    keep(claim, absence);
                }
            })
        });
        for client in coming_and_going.collect::<Vec<_>>() {
            client.await.unwrap();
        }
        let sessions = lock(&registry.sessions);
        assert_eq!((sessions.by_client.len(), sessions.connected), (1, 0));
    }

    #[tokio::test]
    async fn a_user_with_as_many_sessions_as_it_may_makes_room_for_its_own_and_for_nobody_elses() {
        let limits = Limits { sessions_per_user: 2, ..Limits::default() };
        let registry = Registry::new(&limits, Arc::default());
        let claim =
            async |client_id: &str, name: &str| registry.claim(client_id, false, 1, &user(name)).await;
        keep(claim("other", "other").await.unwrap(), 6);
        keep(claim("a/1", "a").await.unwrap(), 7);
        keep(claim("a/2", "a").await.unwrap(), 8);
        let third = claim("a/3", "a").await.unwrap();
        assert_eq!(third.ended.iter().map(|kept| kept.absence).collect::<Vec<_>>(), [7]);
        let second = claim("a/2", "a").await.unwrap();
        assert!(second.resumed.is_some() && second.ended.is_empty(), "its own session needs no room");
        assert!(claim("a/4", "a").await.is_err(), "both are connected");
        assert!(claim("other", "other").await.unwrap().resumed.is_some());
        drop(third);
        assert!(claim("a/4", "a").await.is_ok());
    }

    #[tokio::test]
    async fn stopping_ends_all_and_admits_nobody() {
        let registry = registry(10, 10);
        let claim = registry.claim("a", true, 1, &user("a")).await.unwrap();
        let stopping = tokio::spawn({
            let registry = Arc::clone(&registry);
            async move { registry.stop().await }
        });
        assert_eq!(farewell(&claim).await, Call::Farewell(Farewell::Stopping));
        drop(claim);
        stopping.await.unwrap();
        assert!(registry.claim("b", true, 2, &user("b")).await.is_err());
    }

    #[tokio::test]
    async fn who_may_stay_no_longer_is_told_or_forgotten_and_the_others_are_not() {
        let registry = registry(10, 10);
        let barred = registry.claim("1", true, 1, &user("a")).await.unwrap();
        let stays = registry.claim("2", true, 2, &user("b")).await.unwrap();
        keep(registry.claim("3", false, 3, &user("a")).await.unwrap(), 7);
        keep(registry.claim("4", false, 4, &user("b")).await.unwrap(), 8);
        let (closed, ended) = registry.bar(|user| &*user.name == "b");
        assert_eq!((closed, ended.iter().map(|kept| kept.absence).collect::<Vec<_>>()), (1, vec![7]));
        assert_eq!(farewell(&barred).await, Call::Farewell(Farewell::Barred));
        let calls = poll_fn(|cx| std::task::Poll::Ready(stays.inbox.poll_call(cx, false)));
        assert!(calls.await.is_pending());
        assert!(registry.take_kept("4", 8).is_some());
    }
}
