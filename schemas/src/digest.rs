//! SHA-256 digests and the chunks that large things travel in.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// The size of a chunk in bytes; the last one of an artifact may be smaller.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// The largest artifact, in bytes.
pub const ARTIFACT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A SHA-256 digest: 64 lower-case hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
pub struct Digest([u8; 32]);

/// Text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a SHA-256 digest of 64 lower-case hexadecimal digits")]
pub struct DigestError(pub String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first byte: the level of the `blob` topic that carries what has this digest.
    pub fn first(&self) -> u8 {
        let [first, ..] = self.0;
        first
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let error = || DigestError(text.chars().take(80).collect());
        let digit = |b: u8| (b as char).to_digit(16).filter(|_| !b.is_ascii_uppercase());
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return Err(error());
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let [high, low] = pair else { return Err(error()) };
            let (high, low) = (digit(*high).ok_or_else(error)?, digit(*low).ok_or_else(error)?);
            *byte = (high * 16 + low) as u8;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// A file by its content: whoever has the digest can check every byte, wherever it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// The digest of the whole.
    pub digest: Digest,
    /// Its size in bytes, at most [`ARTIFACT_BYTES_MAX`].
    pub size: u64,
    /// The digests of its chunks of [`CHUNK_BYTES`], in order; each travels by itself and proves itself.
    pub chunks: Vec<Digest>,
}

/// Bytes that are not the artifact they were taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {found} of {found_bytes} bytes where {wanted} of {wanted_bytes} bytes was signed")]
pub struct Mismatch {
    /// The digest of the bytes.
    pub found: Digest,
    /// How many bytes there were.
    pub found_bytes: u64,
    /// The digest that was signed.
    pub wanted: Digest,
    /// The size that was signed.
    pub wanted_bytes: u64,
}

impl Artifact {
    /// Describes these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let chunks = bytes.chunks(CHUNK_BYTES).map(Digest::of).collect();
        Self { digest: Digest::of(bytes), size: bytes.len() as u64, chunks }
    }

    /// Whether these bytes are the artifact, to the last one.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Mismatch> {
        let (found, found_bytes) = (Digest::of(bytes), bytes.len() as u64);
        if found == self.digest && found_bytes == self.size {
            return Ok(());
        }
        Err(Mismatch { found, found_bytes, wanted: self.digest, wanted_bytes: self.size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = Digest::of(b"");
        assert!(digest.to_string().starts_with("e3b0c44298fc1c149afb"));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!(digest.to_string().to_uppercase().parse::<Digest>().is_err());
        assert!("e3".parse::<Digest>().is_err());
    }

    #[test]
    fn one_changed_byte_is_another_artifact() {
        let bytes = vec![7; CHUNK_BYTES + 1];
        let artifact = Artifact::of(&bytes);
        assert_eq!(artifact.chunks.len(), 2);
        assert!(artifact.verify(&bytes).is_ok());
        let mut other = bytes.clone();
        other[3] ^= 1;
        assert!(artifact.verify(&other).is_err());
        assert!(artifact.verify(&bytes[1..]).is_err());
    }
}
