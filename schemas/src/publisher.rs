//! Publishers: who may sign releases, machine code and scripts, and for which makers.
//!
//! A key is good for the makers that the fleet file names for it. What is of one maker needs a key that is good for
//! that maker; a script drives apps of any maker, so it needs one that is good for all. Nothing else opens them: what
//! a [`Publishers`] has let through is what its maker may say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::ALL;
use crate::id::{IdError, KeyId, MakerId};
use crate::sign::{Document, Keys, PublicKey, SecretKey, SignError, Signed};

/// A publisher, as the fleet file names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publisher {
    /// The name that its signatures carry.
    pub id: KeyId,
    /// What verifies them.
    pub key: PublicKey,
    /// The makers whose apps it may publish.
    pub makers: Makers,
}

impl Publisher {
    /// The publisher with this key, good for these makers.
    pub fn of(key: &SecretKey, makers: Makers) -> Self {
        Self { id: key.id().clone(), key: key.public(), makers }
    }
}

/// Makers that a key is good for: their names, or [`ALL`] alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "BTreeSet<String>", into = "BTreeSet<String>")]
pub enum Makers {
    /// Every maker, and what is of no one maker.
    All,
    /// These; never none.
    Only(BTreeSet<MakerId>),
}

/// Names that are no makers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakersError {
    /// Not a maker's name.
    #[error(transparent)]
    Id(#[from] IdError),
    /// Good for nobody, or for all and some.
    #[error("makers are the names of some, or \"{ALL}\" alone for all")]
    Names,
}

impl TryFrom<BTreeSet<String>> for Makers {
    type Error = MakersError;

    fn try_from(names: BTreeSet<String>) -> Result<Self, MakersError> {
        match names.len() {
            1 if names.contains(ALL) => Ok(Makers::All),
            0 => Err(MakersError::Names),
            _ if names.contains(ALL) => Err(MakersError::Names),
            _ => Ok(Makers::Only(names.into_iter().map(MakerId::new).collect::<Result<_, _>>()?)),
        }
    }
}

impl From<Makers> for BTreeSet<String> {
    fn from(makers: Makers) -> Self {
        match makers {
            Makers::All => BTreeSet::from([ALL.to_owned()]),
            Makers::Only(makers) => makers.into_iter().map(String::from).collect(),
        }
    }
}

impl Makers {
    /// Whether they cover what is of this maker, or of no one maker.
    pub fn cover(&self, maker: Option<&MakerId>) -> bool {
        match self {
            Makers::All => true,
            Makers::Only(makers) => maker.is_some_and(|maker| makers.contains(maker)),
        }
    }
}

impl fmt::Display for Makers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Makers::All => f.write_str("all makers"),
            Makers::Only(makers) => {
                let names: Vec<&str> = makers.iter().map(MakerId::as_str).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

/// A document that a publisher signs.
pub trait OfMaker: Document {
    /// Whose it is; none if it is of no one maker.
    fn maker(&self) -> Option<&MakerId>;
}

/// The publishers of a fleet, by the names of their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publishers(BTreeMap<KeyId, Publisher>);

impl Publishers {
    /// The document, if a publisher signed it whose key is good for its maker.
    pub fn open<T: OfMaker>(&self, signed: &Signed<T>) -> Result<T, SignError> {
        let key = signed.sig.key.clone();
        let publisher = self.0.get(&key).ok_or_else(|| SignError::UnknownKey(key.clone()))?;
        let document = signed.open(&Keys::from([(key.clone(), publisher.key.clone())]))?;
        if publisher.makers.cover(document.maker()) {
            return Ok(document);
        }
        let maker = document.maker().map_or_else(|| "all makers".to_owned(), ToString::to_string);
        Err(SignError::OtherMaker { key, makers: publisher.makers.to_string(), maker })
    }
}

impl FromIterator<Publisher> for Publishers {
    fn from_iter<I: IntoIterator<Item = Publisher>>(publishers: I) -> Self {
        Self(publishers.into_iter().map(|publisher| (publisher.id.clone(), publisher)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Word(Option<MakerId>);

    impl Document for Word {
        const KIND: &'static str = "word";
    }

    impl OfMaker for Word {
        fn maker(&self) -> Option<&MakerId> {
            self.0.as_ref()
        }
    }

    fn maker(name: &str) -> MakerId {
        name.parse().unwrap()
    }

    fn key(id: &str) -> SecretKey {
        SecretKey::from_seed(id.parse().unwrap(), [7; 32])
    }

    fn publishers() -> Publishers {
        let north = Makers::Only([maker("north")].into());
        [Publisher::of(&key("all"), Makers::All), Publisher::of(&key("north"), north)].into_iter().collect()
    }

    fn opened(by: &str, of: Option<&str>) -> Result<Word, String> {
        let signed = Signed::new(&Word(of.map(maker)), &key(by)).unwrap();
        publishers().open(&signed).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_opens_what_is_of_its_makers_and_nothing_else() {
        for of in [Some("north"), Some("south"), None] {
            assert_eq!(opened("all", of), Ok(Word(of.map(maker))));
        }
        assert_eq!(opened("north", Some("north")), Ok(Word(Some(maker("north")))));
        let refused =
            |what: &str| Err(format!("it is signed by north, whose key is good for north, not for {what}"));
        assert_eq!(opened("north", Some("south")), refused("south"));
        assert_eq!(opened("north", None), refused("all makers"));
        assert!(opened("stranger", Some("north")).unwrap_err().contains("stranger"));
    }

    #[test]
    fn makers_are_some_by_name_or_all() {
        let read = |text: &str| serde_json::from_str::<Makers>(text).map_err(|error| error.to_string());
        assert_eq!(read(r#"["*"]"#), Ok(Makers::All));
        assert_eq!(read(r#"["b", "a"]"#), Ok(Makers::Only([maker("a"), maker("b")].into())));
        for bad in ["[]", r#"["*", "a"]"#, r#"["A"]"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(serde_json::to_string(&Makers::All).unwrap(), r#"["*"]"#);
    }
}
