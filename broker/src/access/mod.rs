//! Who is who, and what each may do.
//!
//! With an access file a client proves to be one of its users: by a client certificate that names it, or by its user
//! name and its token or password. Without one the client id says who it is, so such a broker listens on loopback
//! only. A token costs one SHA-256; passwords are checked a few at a time, away from the threads that serve.
//!
//! When the file changes, who it no longer holds with the same credential must go; everyone else stays.

mod edit;
mod file;
mod password;
mod rules;
mod users;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use flotilla_schemas::{Digest, IdError};
use tokio::sync::Semaphore;

pub use edit::{AccessFile, EditError, Listed, NewCredential};
pub use file::{ACCESS_BYTES_MAX, AccessError, USERS_MAX};
pub use password::{PASSWORD_BYTES_MIN, PasswordError, PasswordHash};
pub use rules::Role;
pub use users::{Credential, user_name};

pub(crate) use rules::{Reader, Subject};
pub(crate) use users::User;
use users::Users;

use crate::limits::Limits;
use crate::packet::Login;
use crate::places::{Places, block};

/// Why nobody is known by what a client showed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    #[error("no user name and no certificate that is known")]
    Nobody,
    #[error("a wrong user name, password or token")]
    Wrong,
    #[error("the certificate is another user's than the user name")]
    Mixed,
    #[error("too many passwords wait to be checked")]
    Busy,
    #[error("client id: {0}")]
    ClientId(IdError),
}

/// Knows the users.
pub(crate) enum Access {
    /// The client id says it.
    Open,
    /// A file says it.
    Users(Known),
}

pub(crate) struct Known {
    file: PathBuf,
    users: RwLock<Arc<Users>>,
    /// Passwords under check.
    checking: Arc<Semaphore>,
    /// Passwords under check, or waiting for it: of all, and of one address.
    waiting: Semaphore,
    waiting_from: Arc<Places<IpAddr>>,
}

impl Access {
    /// Reads the file, if there is to be one.
    pub(crate) fn new(file: Option<&Path>, limits: &Limits) -> Result<Self, AccessError> {
        let Some(file) = file else { return Ok(Self::Open) };
        let users = Users::new(&file::read(file)?);
        Ok(Self::Users(Known {
            file: file.to_owned(),
            users: RwLock::new(Arc::new(users)),
            checking: Arc::new(Semaphore::new(limits.password_checks)),
            waiting: Semaphore::new(limits.password_checks + limits.password_waits),
            waiting_from: Places::new(limits.passwords_per_address),
        }))
    }

    /// Whether nobody proves who it is.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Reads the file again. Returns the number of users.
    ///
    /// # Errors
    /// It cannot be used: then the former users stay.
    pub(crate) fn reload(&self) -> Result<usize, AccessError> {
        let Self::Users(known) = self else { return Ok(0) };
        let users = Arc::new(Users::new(&file::read(&known.file)?));
        let count = users.len();
        *known.users.write().unwrap_or_else(PoisonError::into_inner) = users;
        Ok(count)
    }

    /// Whether a user that was let in would still be.
    pub(crate) fn holds(&self, user: &User) -> bool {
        match self {
            Self::Open => true,
            Self::Users(known) => known.users().holds(user),
        }
    }

    /// Finds out who a client is. `certificate` has the names in its certificate, which was verified; `from` is its
    /// address.
    pub(crate) async fn identify(
        &self,
        client_id: &str,
        login: Option<&Login>,
        certificate: &[String],
        from: IpAddr,
    ) -> Result<Arc<User>, Unknown> {
        let known = match self {
            Self::Open => return claimed(client_id).map(Arc::new).map_err(Unknown::ClientId),
            Self::Users(known) => known,
        };
        let users = known.users();
        match (users.certified(certificate), login) {
            (Some(user), Some(login)) if !login.name.is_empty() && *login.name != *user.name => {
                Err(Unknown::Mixed)
            }
            (Some(user), _) => Ok(Arc::clone(user)),
            (None, Some(login)) => {
                // An unknown name is refused at once. That this can be told from a wrong password is the lesser evil: a
                // check for every name would let whoever knows none fill the places of those who have passwords.
                known.check(users.named(&login.name).ok_or(Unknown::Wrong)?, login, from).await
            }
            (None, None) => Err(Unknown::Nobody),
        }
    }
}

impl Known {
    fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn check(&self, user: &Arc<User>, login: &Login, from: IpAddr) -> Result<Arc<User>, Unknown> {
        let is_right = match &user.credential {
            Some(Credential::Token(digest)) => Digest::of(login.secret.as_bytes()) == *digest,
            Some(Credential::Password(hash)) => {
                self.check_password(hash.clone(), login.secret.clone(), from).await?
            }
            Some(Credential::Certificate(_)) | None => false,
        };
        if is_right { Ok(Arc::clone(user)) } else { Err(Unknown::Wrong) }
    }

    async fn check_password(
        &self,
        hash: PasswordHash,
        password: String,
        from: IpAddr,
    ) -> Result<bool, Unknown> {
        let _place = self.waiting_from.take(block(from)).ok_or(Unknown::Busy)?;
        let _waiting = self.waiting.try_acquire().map_err(|_| Unknown::Busy)?;
        let checking = Arc::clone(&self.checking).acquire_owned().await.map_err(|_| Unknown::Busy)?;
        // The permit goes along: a client that leaves does not make room for another check.
        let verified = tokio::task::spawn_blocking(move || {
            let _checking = checking;
            hash.verifies(&password)
        });
        verified.await.map_err(|_| Unknown::Busy)
    }
}

/// The user that a client id claims to be; refuses `edge-` and `center-` with something after it that is no name.
fn claimed(client_id: &str) -> Result<User, IdError> {
    let subject = match (client_id.strip_prefix("edge-"), client_id.strip_prefix("center-")) {
        (Some(name), _) => Subject::named(Role::Edge, name)?,
        (_, Some(name)) => Subject::named(Role::Center, name)?,
        _ => Subject { reader: Reader { role: Role::Operator, fleet: None }, id: client_id.to_owned() },
    };
    Ok(User { name: client_id.into(), subject, credential: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    fn login(name: &str, secret: &str) -> Login {
        Login { name: name.into(), secret: secret.into() }
    }

    fn with_users(add: impl FnOnce(&AccessFile), limits: &Limits) -> (tempfile::TempDir, Access) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.toml");
        add(&AccessFile::at(&path));
        let access = Access::new(Some(&path), limits).unwrap();
        (folder, access)
    }

    #[test]
    fn on_an_open_broker_a_client_id_says_who_it_is_and_a_bad_one_is_nobody() {
        let subject = |client_id| claimed(client_id).map(|user| user.subject);
        for (client_id, role, fleet, id) in [
            ("edge-e1", Role::Edge, Some("fleet"), "e1"),
            ("center-c1@north", Role::Center, Some("north"), "c1"),
            ("mosqsub|12", Role::Operator, None, "mosqsub|12"),
        ] {
            let fleet = fleet.map(|fleet| fleet.parse().unwrap());
            assert_eq!(subject(client_id), Ok(Subject { reader: Reader { role, fleet }, id: id.into() }));
        }
        for nobody in ["edge-E1", "center-", "edge-e1@", "edge-e1@North", "edge-@north", "edge-e1@fleet"] {
            assert!(subject(nobody).is_err(), "{nobody}");
        }
    }

    #[tokio::test]
    async fn a_user_is_known_by_its_token_password_or_certificate_and_by_nothing_else() {
        let mut token = String::new();
        let (_folder, access) = with_users(
            |file| {
                let ids = |id: &str| [id.to_owned()];
                let tokens = file.add(Role::Edge, &ids("e1"), &NewCredential::Token, false).unwrap();
                token.clone_from(&tokens[0].1);
                let certificate = NewCredential::Certificate("gw".into());
                file.add(Role::Edge, &ids("e2"), &certificate, false).unwrap();
                let password = NewCredential::Password("long enough".into());
                file.add(Role::Operator, &ids("anna"), &password, false).unwrap();
            },
            &Limits::default(),
        );
        let gw = ["other".to_owned(), "gw".to_owned()];
        let stranger = ["stranger".to_owned()];
        for (login, certificate, expected) in [
            (Some(login("edge-e1", &token)), &[][..], Ok("edge-e1")),
            (Some(login("edge-e1", "wrong")), &[], Err(Unknown::Wrong)),
            (Some(login("edge-e2", &token)), &[], Err(Unknown::Wrong)),
            (Some(login("edge-e9", &token)), &[], Err(Unknown::Wrong)),
            (Some(login("operator-anna", "long enough")), &[], Ok("operator-anna")),
            (Some(login("operator-anna", "long enougH")), &[], Err(Unknown::Wrong)),
            (Some(login("operator-anna", "")), &[], Err(Unknown::Wrong)),
            (None, &[], Err(Unknown::Nobody)),
            (None, &gw, Ok("edge-e2")),
            (Some(login("edge-e2", "whatever")), &gw, Ok("edge-e2")),
            (Some(login("edge-e1", &token)), &gw, Err(Unknown::Mixed)),
            (Some(login("edge-e1", &token)), &stranger, Ok("edge-e1")),
            (None, &stranger, Err(Unknown::Nobody)),
        ] {
            let found = access.identify("any", login.as_ref(), certificate, HERE).await;
            assert_eq!(found.as_ref().map(|user| &*user.name), expected.as_ref().copied(), "{login:?}");
        }
    }

    #[tokio::test]
    async fn passwords_beyond_those_that_may_wait_are_refused_as_busy_and_tokens_pass_meanwhile() {
        let limits = Limits { password_checks: 1, password_waits: 1, ..Limits::default() };
        let mut token = String::new();
        let (_folder, access) = with_users(
            |file| {
                let password = NewCredential::Password("long enough".into());
                file.add(Role::Operator, &["anna".into()], &password, false).unwrap();
                let tokens = file.add(Role::Edge, &["e1".into()], &NewCredential::Token, false).unwrap();
                token.clone_from(&tokens[0].1);
            },
            &limits,
        );
        let Access::Users(known) = &access else { panic!() };
        let under_check = Arc::clone(&known.checking).acquire_owned().await.unwrap();
        let anna = login("operator-anna", "long enough");
        let mut waiting = std::pin::pin!(access.identify("x", Some(&anna), &[], HERE));
        let poll = |future: std::pin::Pin<&mut _>| {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            Future::poll(future, &mut context).is_ready()
        };
        assert!(!poll(waiting.as_mut()));
        // One is under check by the permit above, but waits for nothing: so two more fit, and the third does not.
        let mut another = std::pin::pin!(access.identify("x", Some(&anna), &[], HERE));
        assert!(!poll(another.as_mut()));
        assert_eq!(access.identify("x", Some(&anna), &[], HERE).await.unwrap_err(), Unknown::Busy);
        assert!(access.identify("x", Some(&login("edge-e1", &token)), &[], HERE).await.is_ok());
        drop(under_check);
        assert!(waiting.await.is_ok() && another.await.is_ok());
    }

    #[tokio::test]
    async fn one_address_takes_a_few_of_the_places_for_passwords_and_others_find_room() {
        let limits = Limits { password_checks: 1, passwords_per_address: 2, ..Limits::default() };
        let (_folder, access) = with_users(
            |file| {
                let password = NewCredential::Password("long enough".into());
                file.add(Role::Operator, &["anna".into()], &password, false).unwrap();
            },
            &limits,
        );
        let Access::Users(known) = &access else { panic!() };
        let _under_check = Arc::clone(&known.checking).acquire_owned().await.unwrap();
        let anna = login("operator-anna", "long enough");
        let identify = |from| {
            let mut identifying = Box::pin(access.identify("x", Some(&anna), &[], from));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            (identifying.as_mut().poll(&mut context).is_ready(), identifying)
        };
        let identifying = [HERE, HERE, HERE, THERE].map(identify);
        assert_eq!(identifying.map(|(is_refused, _)| is_refused), [false, false, true, false]);
    }

    #[tokio::test]
    async fn a_reload_keeps_whom_it_holds_and_a_file_that_is_wrong_changes_nothing() {
        let (folder, access) = with_users(
            |file| {
                let ids = ["e1".to_owned(), "e2".to_owned(), "e3".to_owned()];
                file.add(Role::Edge, &ids, &NewCredential::Token, false).unwrap();
            },
            &Limits::default(),
        );
        let Access::Users(known) = &access else { panic!() };
        let users: Vec<Arc<User>> =
            ["edge-e1", "edge-e2", "edge-e3"].map(|name| known.users().named(name).cloned().unwrap()).into();
        let held = || users.iter().map(|user| access.holds(user)).collect::<Vec<_>>();
        let path = folder.path().join("access.toml");
        let file = AccessFile::at(&path);
        file.remove(Role::Edge, &["e2".into()]).unwrap();
        file.add(Role::Edge, &["e3".into()], &NewCredential::Token, true).unwrap();
        assert_eq!(held(), [true, true, true]);
        assert_eq!(access.reload().unwrap(), 2);
        assert_eq!(held(), [true, false, false]);
        std::fs::write(&path, "guest = 1").unwrap();
        assert!(access.reload().is_err());
        assert_eq!(held(), [true, false, false]);
    }
}
