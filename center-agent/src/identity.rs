//! What a center makes up by chance: the name of a run, and the token of its HTTP API.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flotilla_schemas::SessionId;

/// The token's file within the data folder, where none is named.
pub const TOKEN_FILE: &str = "api.token";

/// The shortest token, in characters.
pub const TOKEN_CHARS_MIN: usize = 16;

/// The longest token, in characters.
pub const TOKEN_CHARS_MAX: usize = 256;

/// Why there is no name or token.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The operating system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// The token's file cannot be read or made.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// What is in the file is no token.
    #[error("{0}: it is no token of {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} printable ASCII characters")]
    Token(PathBuf),
}

fn random<const N: usize>() -> Result<String, IdentityError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| IdentityError::Random(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A name for a run that never came before.
pub(crate) fn session() -> Result<SessionId, IdentityError> {
    SessionId::new(random::<8>()?).map_err(|error| IdentityError::Random(error.to_string()))
}

/// The token of the HTTP API: that of the named file, or that of the data folder, where one is made, for the
/// owner's eyes only, if there is none.
pub(crate) fn token(named: Option<&Path>, folder: &Path) -> Result<String, IdentityError> {
    let own = folder.join(TOKEN_FILE);
    let path = named.unwrap_or(&own);
    let error = |error| IdentityError::File(path.to_owned(), error);
    match fs::read_to_string(path) {
        Ok(text) => check(path, text.trim()),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound && named.is_none() => {
            let token = random::<32>()?;
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let written = file.and_then(|mut file| writeln!(file, "{token}").and_then(|()| file.sync_all()));
            written.map(|()| token).map_err(error)
        }
        Err(unreadable) => Err(error(unreadable)),
    }
}

fn check(path: &Path, token: &str) -> Result<String, IdentityError> {
    let long_enough = (TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX).contains(&token.len());
    if long_enough && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(token.to_owned());
    }
    Err(IdentityError::Token(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_made_once_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let token = super::token(None, folder.path()).unwrap();
        assert_eq!(super::token(None, folder.path()).unwrap(), token);
        let mode = fs::metadata(folder.path().join(TOKEN_FILE)).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, token.len()), (0o600, 64));
    }

    #[test]
    fn a_named_token_must_be_there_and_be_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert!(matches!(super::token(Some(&file), folder.path()), Err(IdentityError::File(..))));
        for bad in ["", "short", "with a space in its middle", &"x".repeat(TOKEN_CHARS_MAX + 1)] {
            fs::write(&file, bad).unwrap();
            assert!(
                matches!(super::token(Some(&file), folder.path()), Err(IdentityError::Token(_))),
                "{bad}"
            );
        }
        fs::write(&file, "0123456789abcdef\n").unwrap();
        assert_eq!(super::token(Some(&file), folder.path()).unwrap(), "0123456789abcdef");
    }

    #[test]
    fn no_run_is_named_twice() {
        assert_ne!(session().unwrap(), session().unwrap());
    }
}
