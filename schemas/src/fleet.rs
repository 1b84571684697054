//! The fleet file: whom an edge or a center trusts from its first start.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{CenterId, FleetId, KeyId};
use crate::publisher::{Publisher, Publishers};
use crate::sign::{Document, Keys, PublicKey, SignError, Signed};
use crate::topic::Tree;

/// The most centers, operators or publishers that a fleet file may name.
pub const FLEET_KEYS_MAX: usize = 64;

/// Whom a fleet consists of and trusts. Signed by the operator's key, which it names itself: whoever hands the file
/// to an edge vouches for it, and every later one must be signed by the key that the edge already has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// The fleet's name.
    pub fleet: FleetId,
    /// Raised by the operator when everything signed before is to be void.
    pub era: u32,
    /// How many centers must have a record on disk before the edge deletes its own: 1 to the number of centers.
    pub durable: u8,
    /// The centers.
    pub centers: Vec<Center>,
    /// Keys of operators: who may sign the next fleet file.
    pub operators: Vec<NamedKey>,
    /// Publishers: who may sign releases, machine code and scripts, and of which makers.
    pub publishers: Vec<Publisher>,
}

/// A center, as the fleet file names it. Its signatures carry its id as their key id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Center {
    /// The center.
    pub id: CenterId,
    /// What verifies its signatures.
    pub key: PublicKey,
}

/// A key and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedKey {
    /// The name that signatures carry.
    pub id: KeyId,
    /// What verifies them.
    pub key: PublicKey,
}

/// What is wrong with a fleet file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// Not JSON of this shape.
    #[error("it is not a fleet file: {0}")]
    Shape(String),
    /// Not signed by an operator that it names.
    #[error("no operator that it names signed it: {0}")]
    Sign(#[from] SignError),
    /// No center, too many keys, or `durable` out of range.
    #[error("{0}")]
    Rule(String),
}

impl Document for Fleet {
    const KIND: &'static str = "fleet";
}

impl Fleet {
    /// Reads a fleet file and verifies it by the operators that it names.
    pub fn parse(bytes: &[u8]) -> Result<Self, FleetError> {
        let shape = |error: serde_json::Error| FleetError::Shape(error.to_string());
        let signed: Signed<Fleet> = serde_json::from_slice(bytes).map_err(shape)?;
        let claimed = signed.read().map_err(shape)?;
        let fleet = signed.open(&named(&claimed.operators))?;
        fleet.check()?;
        Ok(fleet)
    }

    fn check(&self) -> Result<(), FleetError> {
        let rule = |text: String| Err(FleetError::Rule(text));
        if self.centers.is_empty() {
            return rule("it names no center".into());
        }
        let most = self.centers.len().max(self.operators.len()).max(self.publishers.len());
        if most > FLEET_KEYS_MAX {
            return rule(format!("it names {most} keys of one kind, more than {FLEET_KEYS_MAX}"));
        }
        if self.durable == 0 || usize::from(self.durable) > self.centers.len() {
            return rule(format!("durable is {}, not 1 to {}", self.durable, self.centers.len()));
        }
        Ok(())
    }

    /// The fleet's topics.
    pub fn tree(&self) -> Tree {
        Tree::of(self.fleet.clone())
    }

    /// The keys of the centers; a center's key is named as the center is.
    pub fn center_keys(&self) -> Keys {
        let key = |center: &Center| Some((center.id.as_str().parse().ok()?, center.key.clone()));
        self.centers.iter().filter_map(key).collect()
    }

    /// The publishers, to open with what they signed.
    pub fn publishers(&self) -> Publishers {
        self.publishers.iter().cloned().collect()
    }
}

fn named(keys: &[NamedKey]) -> Keys {
    keys.iter().map(|named| (named.id.clone(), named.key.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::SecretKey;

    fn fleet(operator: &SecretKey, durable: u8) -> Fleet {
        let centers = vec![Center { id: CenterId::new("c1").unwrap(), key: operator.public() }];
        let operators = vec![NamedKey { id: operator.id().clone(), key: operator.public() }];
        let fleet = FleetId::new("f").unwrap();
        Fleet { fleet, era: 1, durable, centers, operators, publishers: Vec::new() }
    }

    #[test]
    fn a_fleet_file_is_taken_only_as_its_operator_signed_it() {
        let operator = SecretKey::from_seed(KeyId::new("op").unwrap(), [1; 32]);
        let other = SecretKey::from_seed(KeyId::new("op").unwrap(), [2; 32]);
        let text = |key, durable| {
            serde_json::to_vec(&Signed::new(&fleet(&operator, durable), key).unwrap()).unwrap()
        };
        assert_eq!(Fleet::parse(&text(&operator, 1)), Ok(fleet(&operator, 1)));
        assert!(matches!(Fleet::parse(&text(&other, 1)), Err(FleetError::Sign(_))));
        assert!(matches!(Fleet::parse(b"{}"), Err(FleetError::Shape(_))));
        let error = Fleet::parse(&text(&operator, 2)).unwrap_err();
        assert_eq!(error.to_string(), "durable is 2, not 1 to 1");
    }
}
