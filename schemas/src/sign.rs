//! Ed25519 signatures over bytes, bound to what the bytes are for.
//!
//! What is signed is `context`, a zero byte, and the bytes: the context is the topic of a message, or the kind of a
//! document, so a signature for one place is worth nothing in another. Messages carry theirs as the MQTT 5 user
//! property [`SIG_PROPERTY`]; documents carry theirs beside the text ([`Signed`]).

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::id::KeyId;

/// The name of the user property that carries a message's signature.
pub const SIG_PROPERTY: &str = "sig";

/// What was wrong with a signature, a key or what was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// There was none.
    #[error("it has no signature")]
    Unsigned,
    /// The text is no signature.
    #[error("its signature is not of the form <key id>:<base64>")]
    Malformed,
    /// Nobody here knows the key.
    #[error("it is signed by {0}, which is not a key that is trusted for it")]
    UnknownKey(KeyId),
    /// The signature is not over these bytes in this place.
    #[error("the signature of {0} does not match it")]
    Mismatch(KeyId),
    /// The key is a publisher's, and not good for what it signed.
    #[error("it is signed by {key}, whose key is good for {makers}, not for {maker}")]
    OtherMaker {
        /// The key.
        key: KeyId,
        /// The makers that it is good for.
        makers: String,
        /// The maker whose it would have to be.
        maker: String,
    },
    /// The text is no key.
    #[error("the key is not 32 bytes in base64")]
    Key,
    /// The signature is right, and what it signs says more than is known here, or something else.
    #[error("it is signed by {0} and not known here as a whole, so it needs a newer agent: {1}")]
    Shape(KeyId, String),
}

/// A public key: 32 bytes, base64 as text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("contentEncoding" = "base64"))]
pub struct PublicKey([u8; 32]);

/// A secret key with its name. It signs; it is never printed.
#[derive(Clone)]
pub struct SecretKey {
    id: KeyId,
    key: SigningKey,
}

/// A signature and who made it: `<key id>:<base64>` as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Signature {
    /// The key that made it.
    pub key: KeyId,
    bytes: [u8; 64],
}

impl SecretKey {
    /// The key made from 32 random bytes.
    pub fn from_seed(id: KeyId, seed: [u8; 32]) -> Self {
        Self { id, key: SigningKey::from_bytes(&seed) }
    }

    /// The name that its signatures carry.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// What verifies its signatures.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.verifying_key().to_bytes())
    }

    /// Signs these bytes for this place.
    pub fn sign(&self, context: &str, bytes: &[u8]) -> Signature {
        Signature { key: self.id.clone(), bytes: self.key.sign(&bound(context, bytes)).to_bytes() }
    }

    /// The text of a key file: `<key id>:<base64 of the seed>`, one line.
    pub fn to_file(&self) -> String {
        format!("{}:{}\n", self.id, BASE64.encode(self.key.to_bytes()))
    }

    /// Reads the text of a key file.
    pub fn from_file(text: &str) -> Result<Self, SignError> {
        let (id, seed) = text.trim().split_once(':').ok_or(SignError::Key)?;
        let id = id.parse().map_err(|_| SignError::Key)?;
        let seed = BASE64.decode(seed).ok().and_then(|s| s.try_into().ok()).ok_or(SignError::Key)?;
        Ok(Self::from_seed(id, seed))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.id)
    }
}

impl PublicKey {
    /// Whether the signature is over these bytes in this place.
    pub fn verify(&self, context: &str, bytes: &[u8], signature: &Signature) -> Result<(), SignError> {
        let mismatch = || SignError::Mismatch(signature.key.clone());
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| mismatch())?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.bytes);
        key.verify_strict(&bound(context, bytes), &signature).map_err(|_| mismatch())
    }
}

fn bound(context: &str, bytes: &[u8]) -> Vec<u8> {
    [context.as_bytes(), &[0], bytes].concat()
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", String::from(self.clone()))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = SignError;
    fn try_from(text: String) -> Result<Self, SignError> {
        let bytes = BASE64.decode(text).ok().and_then(|b| b.try_into().ok());
        bytes.map(Self).ok_or(SignError::Key)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        BASE64.encode(key.0)
    }
}

impl FromStr for Signature {
    type Err = SignError;

    fn from_str(text: &str) -> Result<Self, SignError> {
        let (key, bytes) = text.split_once(':').ok_or(SignError::Malformed)?;
        let key = key.parse().map_err(|_| SignError::Malformed)?;
        let bytes = BASE64.decode(bytes).ok().and_then(|b| b.try_into().ok());
        Ok(Self { key, bytes: bytes.ok_or(SignError::Malformed)? })
    }
}

impl TryFrom<String> for Signature {
    type Error = SignError;
    fn try_from(text: String) -> Result<Self, SignError> {
        text.parse()
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> String {
        signature.to_string()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key, BASE64.encode(self.bytes))
    }
}

/// Public keys by name: who is trusted for one purpose.
pub type Keys = BTreeMap<KeyId, PublicKey>;

/// Whether one of these keys made the signature over these bytes in this place.
pub fn verify(
    keys: &Keys,
    context: &str,
    bytes: &[u8],
    signature: Option<&Signature>,
) -> Result<(), SignError> {
    let signature = signature.ok_or(SignError::Unsigned)?;
    let key = keys.get(&signature.key).ok_or_else(|| SignError::UnknownKey(signature.key.clone()))?;
    key.verify(context, bytes, signature)
}

/// What a document is, for its signature: the same text signed as another kind does not verify.
pub trait Document: Serialize + DeserializeOwned {
    /// The kind's name.
    const KIND: &'static str;
}

/// A document with its signature. The text is kept as it was signed, so nothing depends on how JSON is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signed<T> {
    /// The document's JSON, exactly as it was signed.
    pub text: String,
    /// Over the text, in the place that the document's kind names.
    pub sig: Signature,
    #[serde(skip)]
    of: PhantomData<T>,
}

impl<T: Document> Signed<T> {
    /// Signs the document.
    pub fn new(document: &T, key: &SecretKey) -> Result<Self, serde_json::Error> {
        let text = serde_json::to_string(document)?;
        let sig = key.sign(T::KIND, text.as_bytes());
        Ok(Self { text, sig, of: PhantomData })
    }

    /// The document, if one of these keys signed it.
    pub fn open(&self, keys: &Keys) -> Result<T, SignError> {
        verify(keys, T::KIND, self.text.as_bytes(), Some(&self.sig))?;
        self.read().map_err(|error| SignError::Shape(self.sig.key.clone(), error.to_string()))
    }

    /// The document without asking who signed it: for showing, or once it was opened.
    pub fn read(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.text)
    }

    /// The digest of the text: the document's own name.
    pub fn digest(&self) -> crate::Digest {
        crate::Digest::of(self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, seed: u8) -> SecretKey {
        SecretKey::from_seed(KeyId::new(id).unwrap(), [seed; 32])
    }

    #[test]
    fn a_signature_holds_for_its_bytes_its_place_and_its_key_alone() {
        let (c1, c2) = (key("c1", 1), key("c2", 2));
        let keys = Keys::from([(c1.id().clone(), c1.public())]);
        let sig = c1.sign("fleet/v1/to/e1/ack", b"x");
        assert_eq!(verify(&keys, "fleet/v1/to/e1/ack", b"x", Some(&sig)), Ok(()));
        let mismatch = Err(SignError::Mismatch(c1.id().clone()));
        assert_eq!(verify(&keys, "fleet/v1/to/e2/ack", b"x", Some(&sig)), mismatch);
        assert_eq!(verify(&keys, "fleet/v1/to/e1/ack", b"y", Some(&sig)), mismatch);
        assert_eq!(
            verify(&keys, "t", b"x", Some(&c2.sign("t", b"x"))),
            Err(SignError::UnknownKey(c2.id().clone()))
        );
        assert_eq!(verify(&keys, "t", b"x", None), Err(SignError::Unsigned));
        let impostor = key("c1", 2);
        assert_eq!(verify(&keys, "t", b"x", Some(&impostor.sign("t", b"x"))), mismatch);
    }

    #[test]
    fn keys_and_signatures_are_read_as_they_are_written() {
        let key = key("op", 9);
        assert_eq!(SecretKey::from_file(&key.to_file()).unwrap().public(), key.public());
        let sig = key.sign("a", b"b");
        assert_eq!(sig.to_string().parse(), Ok(sig));
        for bad in ["", "op", "op:", "op:AAAA", "O:AAAA"] {
            assert!(bad.parse::<Signature>().is_err(), "{bad}");
            assert!(SecretKey::from_file(bad).is_err(), "{bad}");
        }
    }
}
