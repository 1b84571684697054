//! The access file: read in whole, every wrong key named at once; replaced in whole, or not at all.
//!
//! ```toml
//! [edge.e1]
//! token_sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
//! [edge.e2]
//! certificate = "gateway-17.example"
//! [edge."e2@north"]
//! certificate = "gateway-3.north.example"
//! [dashboard.grafana]
//! password_argon2 = "$argon2id$v=19$m=19456,t=2,p=1$…"
//! ```

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::password::PasswordHash;
use super::rules::{Role, Subject};
use super::users::{Credential, Entries, user_name};

/// The most users of one broker.
pub const USERS_MAX: usize = 100_000;

/// The largest access file, in bytes.
pub const ACCESS_BYTES_MAX: u64 = 32 << 20;

/// The most problems of one file that are named.
const PROBLEMS_MAX: usize = 32;

const TOKEN: &str = "token_sha256";
const PASSWORD: &str = "password_argon2";
const CERTIFICATE: &str = "certificate";

const HEADING: &str = "# Who may use this broker. Written by `flotilla access`; comments are not kept.\n\n";

/// Why an access file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It cannot be read.
    #[error("read {}: {cause}; flotilla access add makes one", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It cannot be replaced.
    #[error("write {}: {cause}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It is not what it should be.
    #[error("use {}: {}", file.display(), problems.join("; "))]
    Content {
        /// The file.
        file: PathBuf,
        /// Each wrong key with the tables around it, and what is wrong with it.
        problems: Vec<String>,
    },
}

/// Reads the file.
///
/// # Errors
/// All that is unknown, missing or of the wrong form, not the first alone.
pub(crate) fn read(file: &Path) -> Result<Entries, AccessError> {
    let failed = |cause| AccessError::Read { file: file.to_owned(), cause };
    let bytes = fs::metadata(file).map_err(failed)?.len();
    if bytes > ACCESS_BYTES_MAX {
        return Err(failed(io::Error::other(format!("it has {bytes} bytes, more than {ACCESS_BYTES_MAX}"))));
    }
    let text = fs::read_to_string(file).map_err(failed)?;
    parse(&text).map_err(|problems| AccessError::Content { file: file.to_owned(), problems })
}

/// Replaces the file: a reader sees the former or the new one in whole, whatever happens. Readable by its owner alone.
pub(crate) fn write(file: &Path, entries: &Entries) -> Result<(), AccessError> {
    let replace = || -> io::Result<()> {
        let new = file.with_extension("toml.new");
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        out.write_all(text(entries).as_bytes())?;
        out.sync_all()?;
        fs::rename(&new, file)?;
        folder(file)?.sync_all()
    };
    replace().map_err(|cause| AccessError::Write { file: file.to_owned(), cause })
}

/// The folder that a file is in.
pub(crate) fn folder(file: &Path) -> io::Result<File> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))
}

fn text(entries: &Entries) -> String {
    let mut text = HEADING.to_owned();
    for ((role, id), credential) in entries {
        let (key, value) = match credential {
            Credential::Token(digest) => (TOKEN, digest.to_string()),
            Credential::Password(hash) => (PASSWORD, hash.as_str().to_owned()),
            Credential::Certificate(name) => (CERTIFICATE, name.clone()),
        };
        let id = if id.contains('@') { Value::from(id.as_str()).to_string() } else { id.clone() };
        text += &format!("[{}.{id}]\n{key} = {}\n", role.as_str(), Value::String(value));
    }
    text
}

fn parse(text: &str) -> Result<Entries, Vec<String>> {
    let root: Table = text.parse().map_err(|error| vec![located(text, &error)])?;
    let mut problems = Problems::default();
    let mut entries = Entries::new();
    for (key, value) in root {
        let role = Role::ALL.into_iter().find(|role| role.as_str() == key);
        match (role, value) {
            (Some(role), Value::Table(users)) => {
                for (id, user) in users {
                    if let Some(credential) = read_user(role, &id, user, &mut problems) {
                        entries.insert((role, id), credential);
                    }
                }
            }
            (Some(_), _) => problems.note(&key, "is no table of users"),
            (None, _) => problems.note(&key, "is no role; edge, center, operator, dashboard and maker are"),
        }
    }
    check_as_a_whole(&entries, &mut problems);
    if problems.0.is_empty() { Ok(entries) } else { Err(problems.0) }
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn note(&mut self, key: &str, what: &str) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(format!("{key}: {what}"));
        }
    }
}

fn read_user(role: Role, id: &str, user: Value, problems: &mut Problems) -> Option<Credential> {
    let path = format!("{}.{id}", role.as_str());
    if let Err(error) = Subject::named(role, id) {
        problems.note(&path, &error.to_string());
    }
    let Value::Table(keys) = user else {
        problems.note(&path, "is no table");
        return None;
    };
    if keys.is_empty() {
        problems.note(&path, &format!("has none of {TOKEN}, {PASSWORD} and {CERTIFICATE}"));
    }
    let mut found = None;
    for (key, value) in keys {
        let path = format!("{path}.{key}");
        match read_credential(role, &key, &value) {
            Err(what) => problems.note(&path, &what),
            Ok(_) if found.is_some() => {
                problems.note(&path, "stands beside another credential; one is enough")
            }
            Ok(credential) => found = Some(credential),
        }
    }
    found
}

fn read_credential(role: Role, key: &str, value: &Value) -> Result<Credential, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("is no text".to_owned());
    match key {
        TOKEN => {
            let digest = text(value)?.parse().map(Credential::Token);
            digest.map_err(|_| "is not a SHA-256 of 64 lower-case hexadecimal digits".to_owned())
        }
        PASSWORD if matches!(role, Role::Edge | Role::Center) => {
            Err("is for people: an agent has a token or a certificate".into())
        }
        PASSWORD => PasswordHash::parse(&text(value)?).map(Credential::Password).map_err(|e| e.to_string()),
        CERTIFICATE => match text(value)? {
            name if name.is_empty() => Err("is empty".into()),
            name => Ok(Credential::Certificate(name)),
        },
        _ => Err(format!("there is no such key; {TOKEN}, {PASSWORD} and {CERTIFICATE} are")),
    }
}

fn check_as_a_whole(entries: &Entries, problems: &mut Problems) {
    if entries.len() > USERS_MAX {
        problems.note("users", &format!("{} are more than {USERS_MAX}", entries.len()));
    }
    let mut owners = HashMap::new();
    for ((role, id), credential) in entries {
        let Credential::Certificate(name) = credential else { continue };
        if let Some(owner) = owners.insert(name, user_name(*role, id)) {
            let path = format!("{}.{id}.{CERTIFICATE}", role.as_str());
            problems.note(&path, &format!("{name:?} is {owner}'s, too"));
        }
    }
}

/// A syntax error with the line and column in front.
fn located(text: &str, error: &toml::de::Error) -> String {
    let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{line}:{column}: {}", error.message())
}

#[cfg(test)]
mod tests {
    use flotilla_schemas::Digest;

    use super::*;

    fn problems(text: &str) -> Vec<String> {
        parse(text).unwrap_err()
    }

    #[test]
    fn what_is_written_reads_back_and_only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        let mut entries = Entries::new();
        entries.insert((Role::Edge, "e1".into()), Credential::Token(Digest::of(b"t")));
        entries.insert((Role::Edge, "e1@north".into()), Credential::Token(Digest::of(b"u")));
        entries.insert((Role::Edge, "e2".into()), Credential::Certificate("a \"quoted\" name".into()));
        let password = Credential::Password(PasswordHash::of("long enough").unwrap());
        entries.insert((Role::Operator, "anna".into()), password);
        write(&file, &entries).unwrap();
        assert_eq!(read(&file).unwrap(), entries);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn every_wrong_key_is_named_at_once() {
        let text = "guest = 1\nmaker = 2\n[edge.E1]\ntoken_sha256 = 'x'\npasswort = ''\n[edge.e2]\n\
                    password_argon2 = 'x'\n[edge.e3]\n[center]\nc1 = 3\n[operator.anna]\npassword_argon2 = 'x'\n\
                    [dashboard.d]\ncertificate = ''\n";
        let found = problems(text).join("\n");
        for key in [
            "guest: is no role",
            "maker: is no table of users",
            "edge.E1: \"E1\" is not",
            "edge.E1.token_sha256: is not a SHA-256",
            "edge.E1.passwort: there is no such key",
            "edge.e2.password_argon2: is for people",
            "edge.e3: has none of",
            "center.c1: is no table",
            "operator.anna.password_argon2: it is not the digest",
            "dashboard.d.certificate: is empty",
        ] {
            assert!(found.contains(key), "{key} is not in:\n{found}");
        }
        assert_eq!(found.lines().count(), 10, "{found}");
    }

    #[test]
    fn one_credential_is_enough_and_a_certificate_has_one_owner() {
        let digest = Digest::of(b"t");
        let two = problems(&format!("[edge.e1]\ncertificate = 'c'\ntoken_sha256 = '{digest}'\n"));
        assert_eq!(two, ["edge.e1.token_sha256: stands beside another credential; one is enough"]);
        let shared = problems("[edge.e1]\ncertificate = 'c'\n[edge.e2]\ncertificate = 'c'\n");
        assert_eq!(shared, ["edge.e2.certificate: \"c\" is edge-e1's, too"]);
    }

    #[test]
    fn text_that_is_not_toml_is_told_with_its_place_and_too_much_of_anything_is_refused() {
        assert!(problems("[edge.e1]\nx = = 1\n")[0].starts_with("2:"));
        let many: String = (0..100).map(|n| format!("role{n} = 1\n")).collect();
        assert_eq!(problems(&many).len(), PROBLEMS_MAX);
        let users: String = (0..=USERS_MAX).map(|n| format!("[edge.e{n}]\ncertificate = 'c{n}'\n")).collect();
        assert_eq!(problems(&users), ["users: 100001 are more than 100000"]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.toml");
        File::create(&file).unwrap().set_len(ACCESS_BYTES_MAX + 1).unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("more than 33554432"));
    }
}
