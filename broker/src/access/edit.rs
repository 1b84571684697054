//! Changing an access file: what `flotilla access` does.
//!
//! Whoever changes the file holds a lock on its folder meanwhile, so that of two who change it at once neither is lost.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flotilla_schemas::{Digest, FleetId, IdError};

use super::file::{self, AccessError, USERS_MAX};
use super::password::{PasswordError, PasswordHash};
use super::rules::{Role, Subject};
use super::users::{Credential, Entries, user_name};

/// Length of a token's chance, in bytes; it is written as twice as many hexadecimal digits.
const TOKEN_BYTES: usize = 32;

/// An access file, to be changed.
#[derive(Debug, Clone)]
pub struct AccessFile {
    path: PathBuf,
}

/// What new users are to prove themselves by.
#[derive(Debug, Clone)]
pub enum NewCredential {
    /// A new random token for each.
    Token,
    /// A password; for one person or maker.
    Password(String),
    /// A certificate that bears this name; for one user.
    Certificate(String),
}

/// A user, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What it is.
    pub role: Role,
    /// Whose it is.
    pub fleet: FleetId,
    /// Its id or name in its fleet.
    pub id: String,
    /// The name by which it connects.
    pub user: String,
    /// `token`, `password` or `certificate NAME`.
    pub credential: String,
}

/// Why the file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It cannot be read, used or written.
    #[error(transparent)]
    File(#[from] AccessError),
    /// Not an id.
    #[error("name a user: {0}")]
    Id(#[from] IdError),
    /// One user twice.
    #[error("add {0}: it is named twice")]
    Twice(String),
    /// Those users are there already.
    #[error("add {0}: there already; --replace gives a new credential, and the former one ends")]
    There(String),
    /// Nobody has these names.
    #[error("remove {0}: not there; flotilla access list shows who is")]
    NotThere(String),
    /// A password or a certificate is one user's.
    #[error("add {0} users: a password or a certificate is for one")]
    Many(usize),
    /// An agent with a password.
    #[error("add {0}: an agent has a token or a certificate; a password is for people")]
    Agent(String),
    /// A certificate's name that someone else has, or an empty one.
    #[error("add {user}: the certificate {name:?} is {owner}")]
    Certificate {
        /// The user.
        user: String,
        /// The certificate's name.
        name: String,
        /// Whose it is.
        owner: String,
    },
    /// There is no room.
    #[error("add users: {USERS_MAX} are the most")]
    Full,
    /// The password cannot be used.
    #[error("take the password: {0}")]
    Password(#[from] PasswordError),
}

impl AccessFile {
    /// The file at this path, which need not be there yet.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Adds users, or with `replace` gives those that are there another credential. Returns the tokens, which are
    /// kept nowhere, by user name. Outside of the fleet of the default name an id has its fleet's with it: `e1@north`.
    ///
    /// # Errors
    /// See [`EditError`]; then nothing was changed.
    pub fn add(
        &self,
        role: Role,
        ids: &[String],
        credential: &NewCredential,
        replace: bool,
    ) -> Result<Vec<(String, String)>, EditError> {
        let mut seen = BTreeSet::new();
        for id in ids {
            Subject::named(role, id)?;
            if !seen.insert(id) {
                return Err(EditError::Twice(user_name(role, id)));
            }
        }
        check(role, ids, credential)?;
        self.change(|entries| {
            let there = ids.iter().filter(|id| entries.contains_key(&(role, (*id).clone())));
            let there: Vec<String> = there.map(|id| user_name(role, id)).collect();
            if !there.is_empty() && !replace {
                return Err(EditError::There(there.join(", ")));
            }
            check_owner(entries, role, ids, credential)?;
            let mut tokens = Vec::new();
            for id in ids {
                let (credential, token) = make(credential)?;
                tokens.extend(token.map(|token| (user_name(role, id), token)));
                entries.insert((role, id.clone()), credential);
            }
            if entries.len() > USERS_MAX { Err(EditError::Full) } else { Ok(tokens) }
        })
    }

    /// Removes users.
    ///
    /// # Errors
    /// One of them is not there: then nothing was changed.
    pub fn remove(&self, role: Role, ids: &[String]) -> Result<(), EditError> {
        self.change(|entries| {
            let ids: BTreeSet<&String> = ids.iter().collect();
            let missing = ids.iter().filter(|id| !entries.contains_key(&(role, (**id).clone())));
            let missing: Vec<String> = missing.map(|id| user_name(role, id)).collect();
            if !missing.is_empty() {
                return Err(EditError::NotThere(missing.join(", ")));
            }
            entries.retain(|(other, id), _| *other != role || !ids.contains(id));
            Ok(())
        })
    }

    /// The users, by role and id. No secret is among what is listed.
    ///
    /// # Errors
    /// The file cannot be read or used.
    pub fn list(&self) -> Result<Vec<Listed>, AccessError> {
        let listed = |((role, name), credential): ((Role, String), Credential)| {
            let (id, fleet) = FleetId::split(&name).ok()?;
            Some(Listed {
                role,
                user: user_name(role, &name),
                fleet,
                id: id.to_owned(),
                credential: match credential {
                    Credential::Token(_) => "token".into(),
                    Credential::Password(_) => "password".into(),
                    Credential::Certificate(name) => format!("certificate {name}"),
                },
            })
        };
        Ok(file::read(&self.path)?.into_iter().filter_map(listed).collect())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Entries) -> Result<T, EditError>) -> Result<T, EditError> {
        let failed = |cause| AccessError::Write { file: self.path.clone(), cause };
        let folder = file::folder(&self.path).map_err(failed)?;
        folder.lock().map_err(failed)?;
        let mut entries = if self.path.exists() { file::read(&self.path)? } else { Entries::new() };
        let changed = change(&mut entries)?;
        file::write(&self.path, &entries)?;
        Ok(changed)
    }
}

fn check(role: Role, ids: &[String], credential: &NewCredential) -> Result<(), EditError> {
    let is_agent = matches!(role, Role::Edge | Role::Center);
    match credential {
        NewCredential::Token => Ok(()),
        _ if ids.len() != 1 => Err(EditError::Many(ids.len())),
        NewCredential::Password(_) if is_agent => Err(EditError::Agent(user_name(role, &ids.concat()))),
        _ => Ok(()),
    }
}

/// A certificate that is someone else's, or without a name, would make the file unusable.
fn check_owner(
    entries: &Entries,
    role: Role,
    ids: &[String],
    credential: &NewCredential,
) -> Result<(), EditError> {
    let NewCredential::Certificate(name) = credential else { return Ok(()) };
    let mut others = entries.iter().filter(|((other, id), _)| *other != role || !ids.contains(id));
    let wanted = Credential::Certificate(name.clone());
    let owner = match others.find(|(_, credential)| **credential == wanted) {
        Some(((role, id), _)) => format!("{}'s", user_name(*role, id)),
        None if name.is_empty() => "nobody's".into(),
        None => return Ok(()),
    };
    Err(EditError::Certificate { user: user_name(role, &ids.concat()), name: name.clone(), owner })
}

fn make(credential: &NewCredential) -> Result<(Credential, Option<String>), EditError> {
    Ok(match credential {
        NewCredential::Password(password) => (Credential::Password(PasswordHash::of(password)?), None),
        NewCredential::Certificate(name) => (Credential::Certificate(name.clone()), None),
        NewCredential::Token => {
            let mut chance = [0; TOKEN_BYTES];
            getrandom::fill(&mut chance).map_err(|error| PasswordError::Random(error.to_string()))?;
            let token: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
            (Credential::Token(Digest::of(token.as_bytes())), Some(token))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn each_new_token_is_told_once_and_only_its_digest_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.toml");
        let file = AccessFile::at(&path);
        let tokens = file.add(Role::Edge, &ids("e1 e2"), &NewCredential::Token, false).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let names: Vec<&str> = tokens.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["edge-e1", "edge-e2"]);
        for (_, token) in &tokens {
            assert_eq!(token.len(), 2 * TOKEN_BYTES);
            assert!(!text.contains(token.as_str()));
            assert!(text.contains(&Digest::of(token.as_bytes()).to_string()));
        }
        assert_ne!(tokens[0].1, tokens[1].1);
    }

    #[test]
    fn who_is_there_is_replaced_only_on_purpose_and_who_is_not_cannot_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.toml");
        let file = AccessFile::at(&path);
        let add = |replace| file.add(Role::Edge, &ids("e1"), &NewCredential::Token, replace);
        let first = add(false).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(add(false).unwrap_err().to_string().contains("edge-e1"));
        assert!(
            matches!(file.remove(Role::Edge, &ids("e1 e9")), Err(EditError::NotThere(names)) if names == "edge-e9")
        );
        assert_eq!(std::fs::read(&path).unwrap(), before, "a refusal changes nothing");
        assert_ne!(add(true).unwrap(), first);
        file.remove(Role::Edge, &ids("e1")).unwrap();
        assert_eq!(file.list().unwrap(), []);
    }

    #[test]
    fn what_would_make_the_file_unusable_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = AccessFile::at(&folder.path().join("access.toml"));
        let add = |role, who: &str, credential| file.add(role, &ids(who), &credential, false);
        let certificate = || NewCredential::Certificate("c".into());
        add(Role::Edge, "e1", certificate()).unwrap();
        assert!(matches!(add(Role::Edge, "e2", certificate()), Err(EditError::Certificate { .. })));
        assert!(add(Role::Edge, "e2", NewCredential::Certificate(String::new())).is_err());
        assert!(matches!(add(Role::Edge, "e2 e3", certificate()), Err(EditError::Many(2))));
        let password = || NewCredential::Password("long enough".into());
        assert!(matches!(add(Role::Center, "c1", password()), Err(EditError::Agent(_))));
        assert!(matches!(add(Role::Edge, "E1", NewCredential::Token), Err(EditError::Id(_))));
        assert!(matches!(add(Role::Edge, "e5 e5", NewCredential::Token), Err(EditError::Twice(_))));
        add(Role::Maker, "acme", password()).unwrap();
        let listed: Vec<String> = file
            .list()
            .unwrap()
            .into_iter()
            .map(|user| format!("{} {}", user.user, user.credential))
            .collect();
        assert_eq!(listed, ["edge-e1 certificate c", "maker-acme password"]);
    }

    #[test]
    fn of_many_who_change_it_at_once_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.toml");
        std::thread::scope(|scope| {
            for n in 0..20 {
                let file = AccessFile::at(&path);
                scope.spawn(move || {
                    file.add(Role::Edge, &[format!("e{n}")], &NewCredential::Token, false).unwrap()
                });
            }
        });
        assert_eq!(AccessFile::at(&path).list().unwrap().len(), 20);
    }
}
