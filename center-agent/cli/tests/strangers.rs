//! A fleet over TLS, each part with a token of its own, as real processes: what a person would type.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by it")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// A fleet of processes in a folder; all of them end with it.
struct Lab {
    folder: tempfile::TempDir,
    tls: u16,
    api: u16,
    parts: Vec<Child>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An authority and a certificate for `localhost`.
fn write_certificates(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    fs::write(folder.join("broker.pem"), params.signed_by(&key, &authority).unwrap().pem()).unwrap();
    fs::write(folder.join("broker.key"), key.serialize_pem()).unwrap();
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_certificates(folder.path());
        Self { folder, tls: free_port(), api: free_port(), parts: Vec::new() }
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flotilla"));
        command.args(args.split(' ')).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("FLOTILLA_API", format!("http://127.0.0.1:{}", self.api));
        command.env("FLOTILLA_TOKEN_FILE", "c1/api.token");
        command.env("FLOTILLA_BROKER", format!("mqtts://localhost:{}", self.tls));
        command.env("FLOTILLA_BROKER_CA", "ca.pem");
        command
    }

    fn output(&self, args: &str) -> Output {
        self.command(args).output().unwrap()
    }

    fn run(&self, args: &str) -> String {
        let output = self.output(args);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert!(output.status.success(), "flotilla {args}: {}", text(output.stderr));
        text(output.stdout)
    }

    /// Lets a user in and puts its token into a file, as the person who enrols it would.
    fn add(&self, role: &str, id: &str) {
        let line = self.run(&format!("access add {role} {id}"));
        let (user, token) = line.trim().split_once("  ").unwrap();
        assert_eq!(user, format!("{role}-{id}"));
        fs::write(self.folder.path().join(format!("{id}.token")), token).unwrap();
    }

    /// Starts a part; its log goes to a file.
    fn start(&mut self, name: &str, args: &str) -> u32 {
        let log = File::create(self.folder.path().join(format!("{name}.log"))).unwrap();
        self.parts.push(self.command(args).stderr(log).spawn().unwrap());
        self.parts.last().unwrap().id()
    }

    fn start_edge(&mut self, id: &str, token: &str) {
        let args = format!("edge --id {id} --fleet fleet/fleet.json --broker-token-file {token} --data {id}");
        self.start(id, &args);
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < end, "not in time: {what}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn log(&self, name: &str) -> String {
        let file = File::open(self.folder.path().join(format!("{name}.log"))).unwrap();
        BufReader::new(file).lines().map_while(Result::ok).map(|line| line + "\n").collect()
    }

    fn logs(&self) -> String {
        ["broker", "center", "e1", "e2"].map(|name| format!("{name}:\n{}", self.log(name))).concat()
    }

    fn online(&self, id: &str) -> bool {
        let output = self.output("edges --json");
        let text = String::from_utf8(output.stdout).unwrap();
        let mut edges = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        edges.any(|edge| edge["edge"] == id && edge["online"] == true)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for part in &mut self.parts {
            let _ = part.kill();
            let _ = part.wait();
        }
    }
}

#[test]
fn a_fleet_works_over_tls_with_tokens_and_who_has_none_or_loses_it_stays_out() {
    let mut lab = Lab::new();
    lab.run("fleet init fleet");
    for (role, id) in [("center", "c1"), ("edge", "e1"), ("edge", "e2")] {
        lab.add(role, id);
    }
    let tls = lab.tls;
    let broker = format!(
        "broker --data b --access access.toml --tls 127.0.0.1:{tls} --cert broker.pem --key broker.key"
    );
    let broker = lab.start("broker", &broker);
    let api = lab.api;
    let center =
        "center --id c1 --fleet fleet/fleet.json --key fleet/center-c1.key --broker-token-file c1.token";
    lab.start("center", &format!("{center} --data c1 --api 127.0.0.1:{api}"));
    lab.start_edge("e1", "e1.token");
    // It shows another's token.
    lab.start_edge("e2", "e1.token");
    lab.until("e1 is online", || lab.online("e1"));
    lab.until("e2 is refused", || lab.log("e2").contains("BadUserNamePassword"));
    assert!(!lab.online("e2"));

    lab.run("access remove edge e1");
    assert!(lab.online("e1"), "nothing changes before the broker is told");
    assert!(Command::new("kill").args(["-HUP", &broker.to_string()]).status().unwrap().success());
    lab.until("e1 is closed", || lab.log("e1").contains("AdministrativeAction"));
    lab.until("e1 stays out", || !lab.online("e1") && lab.log("e1").contains("BadUserNamePassword"));
    assert!(lab.log("broker").contains("the access file was read again"));
    let listed = lab.run("access list --json");
    assert!(listed.contains("\"center-c1\"") && !listed.contains("edge-e1"), "{listed}");
}

#[test]
fn a_broker_that_is_not_trusted_and_files_that_are_wrong_are_told_with_the_way_out() {
    let lab = Lab::new();
    lab.run("fleet init fleet");
    let mut edge = lab.command("edge --id e1 --fleet fleet/fleet.json --data e1 --broker-token-file none");
    let output = edge.env("FLOTILLA_BROKER_CA", "broker.key").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("broker.key: it holds no CERTIFICATE") && text.contains("none: "), "{text}");
    lab.run("access add edge e1");
    let again = lab.output("access add edge e1");
    let text = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && text.contains("--replace"), "{text}");
}
