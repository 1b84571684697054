//! `flotilla access`: who may use the embedded broker.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use flotilla_broker::access::{AccessError, AccessFile, EditError, Listed, NewCredential, Role};
use flotilla_schemas::FleetId;
use serde::Serialize;

use crate::output::{self, Cell, DIM, NAME, Table, styled};
use crate::toml_file::read_bounded;

/// The largest password file, in bytes.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// What is done with the users of a broker.
#[derive(Debug, Subcommand)]
pub enum AccessCommand {
    /// Let users in: by a new token each, or one by a password or a certificate
    #[command(after_help = "Examples:\n  flotilla access add edge e1 e2 e3\n  \
                            flotilla access add edge e4 --certificate gateway-17.example\n  \
                            flotilla access add center c1\n  \
                            flotilla access add edge e1 --fleet north\n  \
                            flotilla access add dashboard grafana --password-file grafana.password\n\n\
                            A user connects as ROLE-ID, such as edge-e1, with its token as the password;\n\
                            outside of the fleet named fleet as ROLE-ID@FLEET, such as edge-e1@north.\n\
                            A running broker reads the file again on SIGHUP.")]
    Add(Add),
    /// Let users in no longer; a running broker closes their connections on SIGHUP
    #[command(after_help = "Example:\n  flotilla access remove edge e1 e2")]
    Remove(Remove),
    /// Show who is let in, and by what
    #[command(after_help = "Example:\n  flotilla access list --json")]
    List(List),
}

/// The file.
#[derive(Debug, Args)]
pub struct File {
    /// The access file, as the broker was given it
    #[arg(long = "access", value_name = "FILE", default_value = "access.toml")]
    path: PathBuf,
    /// Print one a line as JSON
    #[arg(long)]
    json: bool,
}

/// Who is to be let in.
#[derive(Debug, Args)]
pub struct Add {
    /// What they are
    role: Role,
    /// Ids of edges, centers or makers, or names of people: a-z, 0-9 and -
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// The file with the password of one person or maker; its first line counts, /dev/stdin is one, too
    #[arg(long, value_name = "FILE", conflicts_with = "certificate")]
    password_file: Option<PathBuf>,
    /// The common name, or a subject alternative name, in the client certificate of one user
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    /// Give who is there another token, password or certificate
    #[arg(long)]
    replace: bool,
    /// Their fleet
    #[arg(long, default_value_t)]
    fleet: FleetId,
    #[command(flatten)]
    file: File,
}

/// Who is to be let in no longer.
#[derive(Debug, Args)]
pub struct Remove {
    /// What they are
    role: Role,
    /// Their ids or names
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Their fleet
    #[arg(long, default_value_t)]
    fleet: FleetId,
    #[command(flatten)]
    file: File,
}

/// All who are let in.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    file: File,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The users were not changed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] AccessError),
    /// The password cannot be read.
    #[error("read the password from {file}")]
    Password {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Standard output is gone.
    #[error("print")]
    Print(#[from] io::Error),
}

#[derive(Serialize)]
struct NewUser<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

#[derive(Serialize)]
struct User<'a> {
    user: &'a str,
    role: &'a str,
    fleet: &'a FleetId,
    id: &'a str,
    credential: &'a str,
}

/// Carries out a command.
pub fn run(command: AccessCommand) -> Result<(), CommandError> {
    match command {
        AccessCommand::Add(add) => self::add(&add),
        AccessCommand::Remove(remove) => self::remove(&remove),
        AccessCommand::List(list) => self::list(&list.file),
    }
}

fn add(add: &Add) -> Result<(), CommandError> {
    let credential = match (&add.password_file, &add.certificate) {
        (Some(file), _) => NewCredential::Password(password(file)?),
        (None, Some(name)) => NewCredential::Certificate(name.clone()),
        (None, None) => NewCredential::Token,
    };
    let ids = qualified(&add.ids, &add.fleet);
    let tokens = AccessFile::at(&add.file.path).add(add.role, &ids, &credential, add.replace)?;
    for id in &ids {
        let user = flotilla_broker::access::user_name(add.role, id);
        let token = tokens.iter().find(|(name, _)| *name == user).map(|(_, token)| token.as_str());
        match add.file.json {
            true => output::json(&NewUser { user: &user, token })?,
            false => output::line(format!("{}  {}", styled(NAME, &user), token.unwrap_or("let in")))?,
        }
    }
    if !tokens.is_empty() && !add.file.json {
        output::note(styled(
            DIM,
            "tokens are kept nowhere: put each into its agent's --broker-token-file now",
        ));
    }
    Ok(())
}

/// Ids as a broker with several fleets knows them.
fn qualified(ids: &[String], fleet: &FleetId) -> Vec<String> {
    ids.iter().map(|id| fleet.qualify(id)).collect()
}

fn remove(remove: &Remove) -> Result<(), CommandError> {
    let ids = qualified(&remove.ids, &remove.fleet);
    AccessFile::at(&remove.file.path).remove(remove.role, &ids)?;
    for id in &ids {
        let user = flotilla_broker::access::user_name(remove.role, id);
        match remove.file.json {
            true => output::json(&NewUser { user: &user, token: None })?,
            false => output::line(format!("{}  removed", styled(NAME, &user)))?,
        }
    }
    Ok(())
}

fn list(file: &File) -> Result<(), CommandError> {
    let users = AccessFile::at(&file.path).list()?;
    if file.json {
        return Ok(users.iter().try_for_each(|user| {
            let Listed { role, user, fleet, id, credential } = user;
            output::json(&User { user, role: role.as_str(), fleet, id, credential })
        })?);
    }
    let mut table = Table::new(["USER", "ROLE", "BY"]);
    for user in &users {
        table.row([
            Cell::new(&user.user, NAME),
            Cell::text(user.role.as_str()),
            Cell::text(output::plain(&user.credential)),
        ]);
    }
    Ok(table.print("nobody is let in")?)
}

fn password(file: &PathBuf) -> Result<String, CommandError> {
    let text = match fs::metadata(file) {
        // A pipe has no length to look at first.
        Ok(metadata) if !metadata.is_file() => {
            let mut line = String::new();
            let open = fs::File::open(file).map(|open| io::Read::take(open, PASSWORD_BYTES_MAX));
            open.and_then(|open| io::BufRead::read_line(&mut io::BufReader::new(open), &mut line))
                .map(|_| line)
        }
        _ => read_bounded(file, PASSWORD_BYTES_MAX).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    };
    let text = text.map_err(|cause| CommandError::Password { file: file.clone(), cause })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
