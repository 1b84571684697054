//! The users of a broker and what each proves itself by; the access file in memory.
//!
//! A user's name is its role and its id, `edge-e1` or `operator-anna`, with its fleet's behind it unless that has the
//! default name, `edge-e1@north`. So no two roles and no two fleets can have a name in common, and an agent's client id
//! is its user name, too. Each has one credential. Only its digest is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flotilla_schemas::Digest;

use super::password::PasswordHash;
use super::rules::{Role, Subject};

/// What a user proves itself by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The SHA-256 of a random token, which is sent as the password.
    Token(Digest),
    /// A password; for people and makers, since a check costs tens of milliseconds.
    Password(PasswordHash),
    /// The common name, or a subject alternative name, of a client certificate.
    Certificate(String),
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub name: Arc<str>,
    pub subject: Subject,
    pub credential: Option<Credential>,
}

/// All users, found by name and by certificate.
#[derive(Debug, Default)]
pub(crate) struct Users {
    by_name: HashMap<String, Arc<User>>,
    by_certificate: HashMap<String, Arc<User>>,
}

/// The users of an access file by role and by name in it, `e1` or `e1@north`, in the order in which it is written.
pub(crate) type Entries = BTreeMap<(Role, String), Credential>;

impl Users {
    pub(crate) fn new(entries: &Entries) -> Self {
        let mut users = Self::default();
        for ((role, id), credential) in entries {
            let name = user_name(*role, id);
            // Reading the file has refused all other names.
            let Ok(subject) = Subject::named(*role, id) else { continue };
            let user =
                Arc::new(User { name: name.as_str().into(), subject, credential: Some(credential.clone()) });
            if let Credential::Certificate(certificate) = credential {
                users.by_certificate.insert(certificate.clone(), Arc::clone(&user));
            }
            users.by_name.insert(name, user);
        }
        users
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// The user that one of a certificate's names belongs to; the first name that is known counts.
    pub(crate) fn certified(&self, names: &[String]) -> Option<&Arc<User>> {
        names.iter().find_map(|name| self.by_certificate.get(name))
    }

    /// Whether this user is still there, with the credential that it came with.
    pub(crate) fn holds(&self, user: &User) -> bool {
        self.named(&user.name).is_some_and(|known| **known == *user)
    }
}

/// The name by which a user connects, from its id or, outside of the fleet of the default name, `ID@FLEET`.
pub fn user_name(role: Role, id: &str) -> String {
    format!("{}-{id}", role.as_str())
}
