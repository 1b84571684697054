//! `flotilla fleet publisher add`: a publisher more, whose key is good for the makers that are named for it.
//!
//! The key is on disk before the fleet file names it, and the fleet file is replaced whole: whatever breaks off, the
//! one that is there is good. Nothing of the former publishers changes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use flotilla_schemas::fleet::{FLEET_KEYS_MAX, Fleet};
use flotilla_schemas::publisher::{Makers, Publisher};
use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::{KeyId, MakerId};

use super::file::{FleetError, FleetFile, new_key, secret, write};
use crate::output::{self, NAME, styled};

/// What is done with publishers.
#[derive(Debug, Subcommand)]
pub enum PublisherCommand {
    /// Make a key that is good for some makers, and name it in the fleet file
    #[command(after_help = "Example:\n  flotilla fleet publisher add ./fleet north --maker north")]
    Add(Add),
}

/// A publisher to be.
#[derive(Debug, Args)]
pub struct Add {
    /// The folder that `flotilla fleet init` made, with fleet.json and operator.key
    pub dir: PathBuf,
    /// The key's name: its file is NAME.key
    pub name: KeyId,
    /// A maker whose apps it may publish; may be said several times
    #[arg(long = "maker", value_name = "MAKER", required = true)]
    pub makers: Vec<MakerId>,
}

/// Carries out a command.
pub fn run(PublisherCommand::Add(add): PublisherCommand) -> Result<(), FleetError> {
    let path = add.dir.join("fleet.json");
    let (mut fleet, operator) = (read_fleet(&path)?, read_operator(&add.dir.join("operator.key"))?);
    if fleet.publishers.iter().any(|publisher| publisher.id == add.name) {
        return Err(FleetError::Named(add.name));
    }
    if fleet.publishers.len() >= FLEET_KEYS_MAX {
        return Err(FleetError::Full);
    }
    let (key, makers) =
        (new_key(add.name.as_str())?, Makers::Only(add.makers.into_iter().collect::<BTreeSet<_>>()));
    let good = format!("good for {makers}");
    fleet.publishers.push(Publisher::of(&key, makers));
    let file = secret(&add.dir, format!("{}.key", add.name), good.clone(), &key);
    write(&add.dir, std::slice::from_ref(&file))?;
    replace(&path, &FleetFile::text(&fleet, &operator)?)?;
    let (name, key) = (styled(NAME, &add.name), file.path.display());
    output::line(format!(
        "The fleet {} has the publisher {name}, {good}: {key}\n\
         Centers and edges know it once they are started with the new {}",
        fleet.fleet,
        path.display()
    ))
    .map_err(FleetError::Print)
}

fn read_fleet(path: &Path) -> Result<Fleet, FleetError> {
    let bytes = fs::read(path).map_err(|cause| FleetError::Read { path: path.to_owned(), cause })?;
    Fleet::parse(&bytes).map_err(|cause| FleetError::File { path: path.to_owned(), cause })
}

fn read_operator(path: &Path) -> Result<SecretKey, FleetError> {
    let text = fs::read_to_string(path).map_err(|cause| FleetError::Read { path: path.to_owned(), cause })?;
    SecretKey::from_file(&text).map_err(|cause| FleetError::Key { path: path.to_owned(), cause })
}

/// Puts the text in place of the file, which is whole at every moment.
fn replace(path: &Path, text: &str) -> Result<(), FleetError> {
    let next = path.with_extension("json.next");
    let replaced = fs::write(&next, text).and_then(|()| fs::rename(&next, path));
    replaced.map_err(|cause| FleetError::Write { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Init, files};

    fn add(dir: &Path, name: &str, makers: &[&str]) -> Result<(), String> {
        let makers = makers.iter().map(|maker| maker.parse().unwrap()).collect();
        let add = Add { dir: dir.to_owned(), name: name.parse().unwrap(), makers };
        run(PublisherCommand::Add(add)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_publisher_is_added_for_its_makers_and_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let centers = vec!["c1".parse().unwrap()];
        let init = Init { dir: dir.path().to_owned(), name: "harbour".parse().unwrap(), centers, json: true };
        write(&init.dir, &files(&init).unwrap()).unwrap();
        let fleet = || read_fleet(&dir.path().join("fleet.json")).unwrap();
        let before = fleet();
        add(dir.path(), "north", &["north", "west"]).unwrap();
        let key = SecretKey::from_file(&fs::read_to_string(dir.path().join("north.key")).unwrap()).unwrap();
        let makers = Makers::Only(["north", "west"].map(|maker| maker.parse().unwrap()).into());
        let publishers = [before.publishers.clone(), vec![Publisher::of(&key, makers)]].concat();
        assert_eq!(fleet(), Fleet { publishers, ..before });
        let again = add(dir.path(), "north", &["south"]).unwrap_err();
        assert!(again.contains("north is a publisher already"), "{again}");
        let taken = add(dir.path(), "operator", &["south"]).unwrap_err();
        assert!(taken.contains("operator.key is there already"), "{taken}");
        assert_eq!(fleet().publishers.len(), 2);
    }
}
