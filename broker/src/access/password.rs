//! Passwords of people: Argon2id, slow on purpose, so never on a thread that serves connections.

use argon2::{Argon2, PasswordHasher, PasswordVerifier};

/// The shortest password that is taken, in bytes.
pub const PASSWORD_BYTES_MIN: usize = 8;

/// The most memory that checking one password may take, in KiB: what an access file may ask for.
const MEMORY_KIB_MAX: u32 = 256 << 10;

/// The most passes over that memory.
const PASSES_MAX: u32 = 16;

/// The digest of a password in its usual text form, `$argon2id$v=19$m=19456,t=2,p=1$…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// A password or its digest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short to be worth anything.
    #[error("a password has at least {PASSWORD_BYTES_MIN} bytes")]
    Short,
    /// Not the text of a digest.
    #[error("it is not the digest of a password: {0}")]
    Form(String),
    /// A check would cost more than a broker may be asked for.
    #[error(
        "its check would take {memory_kib} KiB and {passes} passes; {MEMORY_KIB_MAX} and {PASSES_MAX} are the most"
    )]
    Cost {
        /// Memory.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

impl PasswordHash {
    /// Digests a password with a salt of its own. Takes tens of milliseconds and 19 MiB.
    ///
    /// # Errors
    /// It is too short, or there is no chance to be had.
    pub fn of(password: &str) -> Result<Self, PasswordError> {
        if password.len() < PASSWORD_BYTES_MIN {
            return Err(PasswordError::Short);
        }
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| PasswordError::Random(error.to_string()))?;
        let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
        hash.map(|hash| Self(hash.to_string())).map_err(|error| PasswordError::Form(error.to_string()))
    }

    /// Takes the text of a digest.
    ///
    /// # Errors
    /// It is none, or one that would cost too much to check.
    pub fn parse(text: &str) -> Result<Self, PasswordError> {
        let form = |error: &dyn std::fmt::Display| PasswordError::Form(error.to_string());
        let hash = argon2::PasswordHash::new(text).map_err(|error| form(&error))?;
        let params = argon2::Params::try_from(&hash).map_err(|error| form(&error))?;
        let (memory_kib, passes) = (params.m_cost(), params.t_cost());
        if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX {
            return Err(PasswordError::Cost { memory_kib, passes });
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether this is the password. Takes as long as [`PasswordHash::of`].
    pub fn verifies(&self, password: &str) -> bool {
        Argon2::default().verify_password(password.as_bytes(), self.0.as_str()).is_ok()
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_verifies_against_its_own_digest_alone() {
        let hash = PasswordHash::of("correct horse").unwrap();
        assert_ne!(hash, PasswordHash::of("correct horse").unwrap(), "each has a salt of its own");
        let read = PasswordHash::parse(hash.as_str()).unwrap();
        assert!(read.verifies("correct horse"));
        assert!(!read.verifies("correct hors") && !read.verifies(""));
    }

    #[test]
    fn a_short_password_and_a_digest_that_costs_too_much_are_refused() {
        assert_eq!(PasswordHash::of("1234567"), Err(PasswordError::Short));
        assert!(matches!(PasswordHash::parse("plain"), Err(PasswordError::Form(_))));
        let hash = PasswordHash::of("12345678").unwrap();
        for (costly, is_refused) in [("m=262144,t=16", false), ("m=262145,t=2", true), ("m=19456,t=17", true)]
        {
            let text = hash.as_str().replace("m=19456,t=2", costly);
            let refused = matches!(PasswordHash::parse(&text), Err(PasswordError::Cost { .. }));
            assert_eq!(refused, is_refused, "{text}");
        }
    }
}
