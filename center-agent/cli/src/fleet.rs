//! `flotilla fleet`: the keys of a new fleet, and the fleet file that its edges and centers are started with.
//!
//! All or nothing: where one of a new fleet's files is already, none is written.

mod file;
mod publisher;

use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use flotilla_schemas::fleet::{Center, Fleet, NamedKey};
use flotilla_schemas::publisher::{Makers, Publisher};
use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::{CenterId, FleetId};

use crate::output::{self, NAME, styled};
pub use file::FleetError;
use file::{FleetFile, new_key, secret, write};
use publisher::PublisherCommand;

/// What is done with a fleet.
#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Make the keys and the fleet file of a new fleet
    #[command(after_help = "Example:\n  flotilla fleet init ./fleet --name harbour --centers c1,c2")]
    Init(Init),
    /// Who may publish, beside the publisher of all makers that init made
    #[command(subcommand)]
    Publisher(PublisherCommand),
}

/// What a new fleet is made from.
#[derive(Debug, Args)]
pub struct Init {
    /// Where the files go; made if it is not there
    pub dir: PathBuf,
    /// The fleet's name
    #[arg(long, default_value_t)]
    pub name: FleetId,
    /// The centers, separated by commas
    #[arg(long, value_name = "CENTERS", value_delimiter = ',', default_value = "c1")]
    pub centers: Vec<CenterId>,
    /// Print the list of files as JSON
    #[arg(long)]
    pub json: bool,
}

/// Carries out a command.
pub fn run(command: FleetCommand) -> Result<(), FleetError> {
    let init = match command {
        FleetCommand::Init(init) => init,
        FleetCommand::Publisher(command) => return publisher::run(command),
    };
    let files = files(&init)?;
    write(&init.dir, &files)?;
    if init.json {
        return files.iter().try_for_each(output::json).map_err(FleetError::Print);
    }
    explain(&init, &files).map_err(FleetError::Print)
}

fn files(init: &Init) -> Result<Vec<FleetFile>, FleetError> {
    let mut sorted: Vec<&CenterId> = init.centers.iter().collect();
    sorted.sort();
    if let Some([twice, _]) = sorted.array_windows().find(|[a, b]| a == b) {
        return Err(FleetError::Twice((*twice).clone()));
    }
    let operator = new_key("operator")?;
    let publisher = new_key("publisher")?;
    let centers = init.centers.iter().map(|id| new_key(id.as_str())).collect::<Result<Vec<_>, _>>()?;
    let fleet = Fleet {
        fleet: init.name.clone(),
        era: 1,
        durable: centers.len().clamp(1, 2) as u8,
        centers: init
            .centers
            .iter()
            .zip(&centers)
            .map(|(id, key)| Center { id: id.clone(), key: key.public() })
            .collect(),
        operators: vec![named(&operator)],
        publishers: vec![Publisher::of(&publisher, Makers::All)],
    };
    let fleet = FleetFile {
        path: init.dir.join("fleet.json"),
        purpose: "whom edges and centers trust; give it to each of them".into(),
        text: FleetFile::text(&fleet, &operator)?,
        mode: 0o644,
    };
    let secret = |file: String, purpose: String, key: &SecretKey| secret(&init.dir, file, purpose, key);
    let mut files = vec![
        fleet,
        secret("operator.key".into(), "signs the next fleet file; keep it offline".into(), &operator),
        secret("publisher.key".into(), "signs apps and scripts; stays with who publishes".into(), &publisher),
    ];
    for key in &centers {
        files.push(secret(
            format!("center-{}.key", key.id()),
            format!("center {}'s own; stays with it", key.id()),
            key,
        ));
    }
    Ok(files)
}

fn named(key: &SecretKey) -> NamedKey {
    NamedKey { id: key.id().clone(), key: key.public() }
}

fn explain(init: &Init, files: &[FleetFile]) -> io::Result<()> {
    let dir = init.dir.display();
    output::line(format!("The fleet {} is made in {dir}", styled(NAME, &init.name)))?;
    let width = files.iter().map(|f| f.path.display().to_string().len()).max().unwrap_or(0);
    for file in files {
        output::line(format!("  {:width$}  {}", file.path.display().to_string(), file.purpose))?;
    }
    let center = init.centers.first().map_or("c1", CenterId::as_str);
    output::line(format!(
        "\nNext, each in a terminal of its own:\n  \
         flotilla broker --tcp 127.0.0.1:1883 --data ./broker --open\n  \
         flotilla center --id {center} --fleet {dir}/fleet.json --key {dir}/center-{center}.key \
         --broker mqtt://127.0.0.1:1883 --data ./{center} --api 127.0.0.1:8080\n  \
         flotilla edge --id e1 --fleet {dir}/fleet.json --broker mqtt://127.0.0.1:1883 --data ./e1 \
         --equipment equipment.toml\n\
         Then publish, naming the center's token:\n  \
         flotilla app publish ./my-app --key {dir}/publisher.key --token-file ./{center}/api.token"
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn init(dir: &Path, centers: &[&str]) -> Init {
        let centers = centers.iter().map(|id| CenterId::new(*id).unwrap()).collect();
        Init { dir: dir.to_owned(), name: FleetId::new("harbour").unwrap(), centers, json: true }
    }

    #[test]
    fn a_new_fleet_trusts_exactly_the_keys_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let init = init(&dir.path().join("new"), &["c1", "c2"]);
        write(&init.dir, &files(&init).unwrap()).unwrap();
        let key =
            |file: &str| SecretKey::from_file(&fs::read_to_string(init.dir.join(file)).unwrap()).unwrap();
        let fleet = Fleet::parse(&fs::read(init.dir.join("fleet.json")).unwrap()).unwrap();
        assert_eq!((fleet.fleet.as_str(), fleet.durable), ("harbour", 2));
        assert_eq!(fleet.centers[1].key, key("center-c2.key").public());
        assert_eq!(fleet.operators[0].key, key("operator.key").public());
        assert_eq!(fleet.publishers, [Publisher::of(&key("publisher.key"), Makers::All)]);
    }

    #[test]
    fn secret_keys_are_readable_by_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let init = init(dir.path(), &["c1"]);
        write(&init.dir, &files(&init).unwrap()).unwrap();
        for file in ["operator.key", "publisher.key", "center-c1.key"] {
            let mode = fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{file}");
        }
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_half_made() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("publisher.key"), "mine").unwrap();
        let init = init(dir.path(), &["c1"]);
        let error = write(&init.dir, &files(&init).unwrap()).unwrap_err().to_string();
        assert!(error.contains("publisher.key is there already"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read(dir.path().join("publisher.key")).unwrap(), b"mine");
    }

    #[test]
    fn a_center_named_twice_is_refused() {
        let error = files(&init(Path::new("x"), &["c1", "c2", "c1"])).unwrap_err();
        assert_eq!(error.to_string(), "make a fleet: the center c1 is named twice");
    }
}
