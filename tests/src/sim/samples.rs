//! What the simulated fleet publishes: the samples' scripts, and releases whose code is a name.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::app::{Grants, Interface, Limits, Manifest, OwnRun, Residence};
use flotilla_schemas::countermeasure::Countermeasures;
use flotilla_schemas::fleet::{Center, Fleet, NamedKey};
use flotilla_schemas::publisher::{Makers, Publisher};
use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::{AppId, Artifact, Digest, EventsId, Signed, Topic};

/// The runtime that simulated edges have.
pub const RUNTIME: &str = "simulated";

/// Files by their digests, as a center has them on its shelf.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// The files.
    pub files: BTreeMap<Digest, Vec<u8>>,
}

pub fn key(id: &str) -> SecretKey {
    let seed = *Digest::of(id.as_bytes()).bytes();
    SecretKey::from_seed(id.parse().unwrap(), seed)
}

/// What a message is signed for.
pub fn place(topic: &Topic) -> String {
    fleet().tree().text(topic)
}

pub fn fleet() -> Fleet {
    Fleet {
        fleet: "simulated".parse().unwrap(),
        era: 1,
        durable: 1,
        centers: vec![Center { id: "c1".parse().unwrap(), key: key("c1").public() }],
        operators: vec![NamedKey { id: "operator".parse().unwrap(), key: key("operator").public() }],
        publishers: vec![Publisher::of(&key("publisher"), Makers::All)],
    }
}

/// The event lists' apps, as a center reads them when a script is published.
pub type AppsOf = BTreeMap<EventsId, BTreeSet<AppId>>;

impl Samples {
    fn file(&mut self, bytes: &[u8]) -> Artifact {
        self.files.insert(Digest::of(bytes), bytes.to_vec());
        Artifact::of(bytes)
    }

    /// A release whose machine code is its name, twice as long as a chunk and a bit.
    pub fn app(
        &mut self,
        app: &str,
        version: &str,
        residence: Residence,
        alternates: &[&str],
    ) -> Signed<Release> {
        let own = if app == "meter" { "read-energy" } else { "read-room" };
        let code = format!("{app} {version} ").repeat(10_000);
        let machine = BTreeMap::from([(RUNTIME.to_owned(), self.file(code.as_bytes()))]);
        let manifest = Manifest {
            app: app.parse().unwrap(),
            maker: "maker".parse().unwrap(),
            version: version.parse().unwrap(),
            residence,
            alternates: alternates.iter().map(|app| app.parse().unwrap()).collect(),
            hardware: None,
            soak_s: 0,
            faults: Default::default(),
            run: Some(OwnRun { operation: own.into(), args: vec![], every_s: 2 }),
            grants: Grants::default(),
            limits: Limits::default(),
        };
        let wasm = self.file(format!("{app} {version}").as_bytes());
        let release = Release { manifest, interface: Interface::default(), wasm, machine };
        Signed::new(&release, &key("publisher")).unwrap()
    }

    /// A release that has machine code for another runtime alone.
    pub fn app_for(&mut self, runtime: &str, app: &str) -> Signed<Release> {
        let mut release = self.app(app, "1.0.0", Residence::Resident, &[]).read().unwrap();
        let machine = std::mem::take(&mut release.machine);
        release.machine = machine.into_values().map(|code| (runtime.to_owned(), code)).collect();
        Signed::new(&release, &key("publisher")).unwrap()
    }

    /// The air conditioner's script with both its event lists; `change` makes another version of its text.
    pub fn air_conditioner(
        &mut self,
        version: &str,
        change: impl Fn(&str) -> String,
    ) -> (Signed<ScriptRelease>, AppsOf) {
        let events = [
            (
                "aircon-large",
                "aircon-north",
                include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/../deploy/samples/scripts/air-conditioner/events-large.json"
                )),
            ),
            (
                "aircon-small",
                "aircon-south",
                include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/../deploy/samples/scripts/air-conditioner/events-small.json"
                )),
            ),
        ];
        let definition = include_str!("../../../deploy/samples/scripts/air-conditioner/definition.dtd");
        let text = change(include_str!("../../../deploy/samples/scripts/air-conditioner/script.xml"));
        self.script("air-conditioner", version, definition, &text, &events)
    }

    /// The meter's script.
    pub fn meter(&mut self) -> (Signed<ScriptRelease>, AppsOf) {
        let definition = include_str!("../../../deploy/samples/scripts/meter/definition.dtd");
        let text = include_str!("../../../deploy/samples/scripts/meter/script.xml");
        let events = include_str!("../../../deploy/samples/scripts/meter/events.json");
        self.script("meter", "1.0.0", definition, text, &[("meter", "meter", events)])
    }

    fn script(
        &mut self,
        script: &str,
        version: &str,
        definition: &str,
        text: &str,
        events: &[(&str, &str, &str)],
    ) -> (Signed<ScriptRelease>, AppsOf) {
        let apps = |app: &str| BTreeSet::from([app.parse().unwrap()]);
        let apps = events.iter().map(|(list, app, _)| (list.parse().unwrap(), apps(app))).collect();
        let lists = events.iter().map(|(list, _, text)| (list.parse().unwrap(), self.file(text.as_bytes())));
        let events = lists.collect();
        let release = ScriptRelease {
            script: script.parse().unwrap(),
            version: version.parse().unwrap(),
            definition: self.file(definition.as_bytes()),
            text: self.file(text.as_bytes()),
            events,
            equipment: None,
            proof: self.file(b"proof"),
        };
        (Signed::new(&release, &key("publisher")).unwrap(), apps)
    }

    /// The samples' countermeasures.
    pub fn countermeasures() -> Countermeasures {
        let measures = ["restart", "replace", "tell"];
        let rule = serde_json::json!({"kind": "app.*", "window_s": 600, "measures": measures});
        serde_json::from_value(serde_json::json!({"cause": [], "rule": [rule]})).unwrap()
    }
}
