//! Who is let in, and what each role may do: over the wire, for every role and every kind of topic.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flotilla_broker::access::{AccessFile, NewCredential, Role};
use flotilla_broker::{Broker, Config, Limits, Running};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, Connect, V4, V5};

const USERS: [(Role, &str); 5] = [
    (Role::Edge, "e1"),
    (Role::Center, "c1"),
    (Role::Operator, "anna"),
    (Role::Dashboard, "grafana"),
    (Role::Maker, "acme"),
];

/// Each kind of topic: who of the users above, by their first letters, may write it and who may read it.
const TOPICS: [(&str, &str, &str); 47] = [
    ("edge/e1/avail", "e", "ecod"),
    ("edge/e1/status", "e", "ecod"),
    ("edge/e1/inventory", "e", "ecod"),
    ("edge/e1/release/app/meter", "e", "ecod"),
    ("edge/e1/journal/0/8b", "e", "eco"),
    ("edge/e1/journal/2/8b", "e", "eco"),
    ("edge/e1/journal/0/8c", "", "eco"),
    ("edge/e1/event/system", "e", "ecod"),
    ("edge/e1/fault/meter/app.trap.unreachable", "e", "ecod"),
    ("edge/e1/want", "e", "eco"),
    ("edge/e1/request/run", "e", "eco"),
    ("edge/e1/reply/run", "e", "eco"),
    ("edge/e1/blob/00", "e", "ec"),
    ("edge/e1/notice", "e", "ecod"),
    ("edge/e1/unknown", "", "eco"),
    ("edge/e2/avail", "", "cod"),
    ("edge/e2/status", "", "cod"),
    ("edge/e2/journal/0/ac", "", "co"),
    ("edge/e2/fault/meter/app.trap.unreachable", "", "cod"),
    ("edge/e2/want", "", "co"),
    ("edge/e2/blob/00", "", "c"),
    ("to/e1/desired", "c", "eco"),
    ("to/e1/ack", "c", "eco"),
    ("to/e1/answer", "c", "eco"),
    ("to/e1/command", "c", "eco"),
    ("to/e2/desired", "c", "co"),
    ("to/e2/command", "c", "co"),
    ("catalog/targets", "c", "eco"),
    ("app/meter", "c", "cod"),
    ("script/cooling", "c", "cod"),
    ("rollout/r1", "c", "cod"),
    ("advisory/a1", "c", "cod"),
    ("distribution/app/meter/e1", "c", "cod"),
    ("intent/service/cooling", "c", "co"),
    ("gate/r1", "c", "ecod"),
    ("blob/7f", "c", "ec"),
    ("center/c1/avail", "c", "cod"),
    ("center/c1/status", "c", "cod"),
    ("center/c2/status", "", "cod"),
    ("peer/c1", "c", "co"),
    ("peer/c2", "", "co"),
    ("maker/acme/offer", "m", "com"),
    ("maker/acme/ask", "c", "com"),
    ("maker/other/offer", "", "co"),
    ("maker/other/ask", "c", "co"),
    ("local/e1/service", "", "co"),
    ("nothing/of/it", "", "co"),
];

pub(crate) struct Guarded {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    pub(crate) access: AccessFile,
    pub(crate) tokens: BTreeMap<String, String>,
    pub(crate) folder: TempDir,
}

/// A broker that knows the users, each by a token.
async fn guarded(limits: Limits) -> Guarded {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.toml");
    let access = AccessFile::at(&path);
    let add = |(role, id): (Role, &str)| {
        access.add(role, &[id.to_owned()], &NewCredential::Token, false).unwrap().remove(0)
    };
    let tokens = USERS.map(add).into();
    let config = Config::open("127.0.0.1:0".parse().unwrap(), &folder.path().join("broker"));
    let running = Broker::start(Config { access: Some(path), limits, ..config }).await.unwrap();
    Guarded { address: running.local_addrs()[0], running, access, tokens, folder }
}

fn names() -> [String; 5] {
    USERS.map(|(role, id)| flotilla_broker::access::user_name(role, id))
}

impl Guarded {
    fn connect(&self, version: u8, user: &str) -> Connect {
        let login = Some((user.to_owned(), self.tokens[user].clone()));
        Connect { login, ..Connect::new(version, user) }
    }

    async fn client(&self, version: u8, user: &str) -> Client {
        Client::connect_with(self.address, self.connect(version, user)).await.0
    }

    async fn code(&self, connect: Connect) -> u8 {
        Client::try_connect(self.address, connect).await.1[1]
    }
}

/// Which of the users may: the first letters of those for which it is so.
async fn those<F: Future<Output = bool>>(mut may: impl FnMut(String) -> F) -> String {
    let mut letters = String::new();
    for name in names() {
        let letter = name.chars().next().unwrap();
        if may(name).await {
            letters.push(letter);
        }
    }
    letters
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_writes_and_reads_what_the_protocol_says_and_leaves_wills_where_it_may_write() {
    let guarded = guarded(Limits { filters_per_session: 1000, ..Limits::default() }).await;
    let clients = tokio::sync::Mutex::new(BTreeMap::new());
    for name in names() {
        let client = guarded.client(V5, &name).await;
        clients.lock().await.insert(name, client);
    }
    for (topic, writers, readers) in TOPICS {
        let topic = &format!("fleet/v1/{topic}");
        let publishers = those(async |name: String| {
            let code = clients.lock().await.get_mut(&name).unwrap().publish(topic, b"x", false, &[]).await;
            assert!([Some(0), Some(0x87)].contains(&code), "{name} publishes {topic}: {code:?}");
            code == Some(0)
        });
        assert_eq!(publishers.await, writers, "publishing {topic}");
        let wills = those(async |name: String| {
            let will = Some((topic.as_bytes().to_vec(), b"x".to_vec(), 1, false));
            let id = format!("will-of-{name}").into_bytes();
            let code = guarded.code(Connect { will, id, ..guarded.connect(V5, &name) }).await;
            assert!([0, 0x87].contains(&code), "the will of {name} on {topic}: {code:#x}");
            code == 0
        });
        assert_eq!(wills.await, writers, "a will on {topic}");
        let subscribers = those(async |name: String| {
            let code = clients.lock().await.get_mut(&name).unwrap().subscribe(topic, 1).await;
            assert!([1, 0x87].contains(&code), "{name} subscribes to {topic}: {code:#x}");
            code == 1
        });
        assert_eq!(subscribers.await, readers, "subscribing to {topic}");
        let share = &format!("$share/g/{topic}");
        let sharers = those(async |name: String| {
            clients.lock().await.get_mut(&name).unwrap().subscribe(share, 1).await == 1
        });
        assert_eq!(sharers.await, readers, "subscribing to {share}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_a_group_of_another_role_takes_nothing_from_it() {
    let guarded = guarded(Limits::default()).await;
    let mut center = guarded.client(V5, "center-c1").await;
    let mut operator = guarded.client(V5, "operator-anna").await;
    let mut dashboard = guarded.client(V5, "dashboard-grafana").await;
    for reader in [&mut center, &mut operator, &mut dashboard] {
        assert_eq!(reader.subscribe("$share/store/fleet/v1/edge/+/#", 1).await, 1);
    }
    let mut edge = guarded.client(V5, "edge-e1").await;
    for i in 0..20 {
        edge.publish("fleet/v1/edge/e1/journal/0/8b", &[i], false, &[]).await;
    }
    for i in 0..20 {
        assert_eq!(center.received().await.payload, [i]);
        assert_eq!(operator.received().await.payload, [i]);
    }
    assert_eq!(dashboard.received_so_far().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_1_clients_are_refused_the_same() {
    let guarded = guarded(Limits::default()).await;
    for (topic, writers, readers) in
        [("edge/e1/want", "e", "eco"), ("to/e1/ack", "c", "eco"), ("blob/7f", "c", "ec")]
    {
        let topic = &format!("fleet/v1/{topic}");
        let publishers = those(async |name: String| {
            // It has no code for a refusal: the connection is closed.
            guarded.client(V4, &name).await.publish(topic, b"x", false, &[]).await == Some(0)
        });
        assert_eq!(publishers.await, writers, "publishing {topic}");
        let subscribers =
            those(async |name: String| guarded.client(V4, &name).await.subscribe(topic, 1).await == 1);
        assert_eq!(subscribers.await, readers, "subscribing to {topic}");
        let wills = those(async |name: String| {
            let will = Some((topic.as_bytes().to_vec(), b"x".to_vec(), 1, false));
            let code = guarded.code(Connect { will, ..guarded.connect(V4, &name) }).await;
            assert!([0, 5].contains(&code));
            code == 0
        });
        assert_eq!(wills.await, writers, "a will on {topic}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_prove_to_be_a_user_is_refused_with_the_code_of_its_version() {
    let guarded = guarded(Limits::default()).await;
    let login = |user: &str, secret: &str| Some((user.to_owned(), secret.to_owned()));
    let token = guarded.tokens["edge-e1"].clone();
    for (login, v4, v5) in [
        (login("edge-e1", &token), 0, 0),
        (None, 5, 0x87),
        (login("edge-e1", "wrong"), 4, 0x86),
        (login("edge-e1", ""), 4, 0x86),
        (login("center-c1", &token), 4, 0x86),
        (login("edge-e2", &token), 4, 0x86),
        (login("", &token), 4, 0x86),
    ] {
        for (version, expected) in [(V4, v4), (V5, v5)] {
            let connect = Connect { login: login.clone(), ..Connect::new(version, "edge-e1") };
            assert_eq!(guarded.code(connect).await, expected, "{login:?} in {version}");
        }
    }
    let method = [vec![21], crate::client::text(b"SCRAM")].concat();
    let asking = Connect { properties: method, ..guarded.connect(V5, "edge-e1") };
    assert_eq!(guarded.code(asking).await, 0x8c);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_over_anothers_session_by_its_client_id() {
    let guarded = guarded(Limits::default()).await;
    let mut edge = guarded.client(V5, "edge-e1").await;
    let thief = Connect { id: b"edge-e1".to_vec(), ..guarded.connect(V5, "dashboard-grafana") };
    Client::connect_with(guarded.address, thief).await;
    assert_eq!(edge.publish("fleet/v1/edge/e1/want", b"x", false, &[]).await, Some(0));
    let _again = guarded.client(V5, "edge-e1").await;
    assert_eq!(edge.closed().await, Some(0x8e));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wide_filter_brings_a_person_what_it_may_read_and_nothing_else() {
    let guarded = guarded(Limits::default()).await;
    let mut readers = Vec::new();
    for name in ["dashboard-grafana", "operator-anna"] {
        let mut reader = guarded.client(V5, name).await;
        assert_eq!(reader.subscribe("#", 1).await, 1);
        readers.push(reader);
    }
    let mut edge = guarded.client(V5, "edge-e1").await;
    let mut center = guarded.client(V5, "center-c1").await;
    assert_eq!(edge.subscribe("#", 1).await, 0x87);
    let retained = "fleet/v1/to/e1/desired";
    assert_eq!(center.publish(retained, b"x", true, &[]).await, Some(0));
    for topic in ["fleet/v1/blob/7f", "fleet/v1/to/e1/command", "fleet/v1/gate/r1"] {
        assert_eq!(center.publish(topic, b"x", false, &[]).await, Some(0));
    }
    for topic in ["fleet/v1/edge/e1/blob/00", "fleet/v1/edge/e1/want", "fleet/v1/edge/e1/status"] {
        assert_eq!(edge.publish(topic, b"x", false, &[]).await, Some(0));
    }
    let mut got = Vec::new();
    for (reader, count) in readers.iter_mut().zip([2, 5]) {
        let mut topics = Vec::new();
        while topics.len() < count {
            topics.push(reader.received().await.topic);
        }
        assert_eq!(reader.received_so_far().await, []);
        topics.sort();
        got.push(topics);
    }
    assert_eq!(got[0], ["fleet/v1/edge/e1/status", "fleet/v1/gate/r1"]);
    let all = ["edge/e1/status", "edge/e1/want", "gate/r1", "to/e1/command", "to/e1/desired"];
    assert_eq!(got[1], all.map(|topic| format!("fleet/v1/{topic}")));
    let mut late = guarded.client(V5, "dashboard-grafana").await;
    late.subscribe("fleet/#", 1).await;
    assert_eq!(late.received_so_far().await, [], "nor what is retained");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_access_file_closes_whom_it_no_longer_lets_in_and_nobody_else() {
    let guarded = guarded(Limits::default()).await;
    let mut edge = guarded.client(V5, "edge-e1").await;
    let mut old = guarded.client(V4, "maker-acme").await;
    let mut dashboard = guarded.client(V5, "dashboard-grafana").await;
    let mut center = guarded.client(V5, "center-c1").await;
    center.subscribe("fleet/v1/edge/+/avail", 1).await;
    guarded.access.remove(Role::Maker, &["acme".into()]).unwrap();
    guarded.access.remove(Role::Dashboard, &["grafana".into()]).unwrap();
    let new = guarded.access.add(Role::Edge, &["e1".into()], &NewCredential::Token, true).unwrap();
    assert_eq!(
        dashboard.publish("x", b"x", false, &[]).await,
        Some(0x87),
        "nothing changes before it is told"
    );
    guarded.running.reload().unwrap();
    assert_eq!(edge.closed().await, Some(0x98), "its token is another");
    assert_eq!(dashboard.closed().await, Some(0x98));
    assert_eq!(old.closed().await, None);
    assert_eq!(center.publish("fleet/v1/to/e1/ack", b"x", false, &[]).await, Some(0));
    assert_eq!(guarded.code(guarded.connect(V5, "edge-e1")).await, 0x86);
    let login = Some(new[0].clone());
    assert_eq!(guarded.code(Connect { login, ..Connect::new(V5, "edge-e1") }).await, 0);
    std::fs::write(guarded.folder.path().join("access.toml"), "guest = 1").unwrap();
    let error = guarded.running.reload().unwrap_err().to_string();
    assert!(error.contains("guest: is no role"), "{error}");
    assert_eq!(center.publish("fleet/v1/to/e1/ack", b"x", false, &[]).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquittos_clients_see_faults_as_a_dashboard_and_may_not_publish_as_one() {
    let found =
        |tool: &str| ["/usr/bin", "/usr/local/bin"].iter().any(|dir| Path::new(dir).join(tool).exists());
    if !found("mosquitto_sub") || !found("mosquitto_pub") {
        assert!(
            std::env::var_os("CI").is_none(),
            "mosquitto_sub is missing: install the package mosquitto-clients"
        );
        eprintln!("skipped: there is no mosquitto_sub here; install the package mosquitto-clients");
        return;
    }
    let guarded = guarded(Limits::default()).await;
    let fault = "fleet/v1/edge/e1/fault/meter/app.trap.unreachable";
    let mut edge = guarded.client(V5, "edge-e1").await;
    edge.publish(fault, b"a fault", true, &[]).await;
    let run = |tool: &str, user: &str, args: &[&str]| {
        let mut command = Command::new(tool);
        command.args(["-h", "127.0.0.1", "-p", &guarded.address.port().to_string(), "-V", "5"]);
        command.args(["-i", user, "-u", user, "-P", &guarded.tokens[user]]).args(args).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || {
            let output = command.output().unwrap();
            String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
        })
    };
    let seen =
        run("mosquitto_sub", "dashboard-grafana", &["-t", "fleet/v1/edge/+/fault/#", "-C", "1", "-W", "20"]);
    assert_eq!(seen.await.unwrap(), "a fault\n");
    for (user, topic) in [
        ("dashboard-grafana", fault),
        ("edge-e1", "fleet/v1/edge/e2/status"),
        ("edge-e1", "fleet/v1/to/e1/desired"),
        ("edge-e1", "fleet/v1/to/e2/command"),
    ] {
        let refused = run("mosquitto_pub", user, &["-t", topic, "-m", "x", "-q", "1"]).await.unwrap();
        assert!(refused.contains("Not authorized"), "{user} publishes {topic}: {refused}");
    }
    let taken = run("mosquitto_pub", "edge-e1", &["-t", "fleet/v1/edge/e1/status", "-m", "x", "-q", "1"]);
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), taken).await.unwrap().unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_counts_is_told_below_sys_to_those_who_may_know() {
    let guarded = guarded(Limits { sys_period: Duration::from_millis(50), ..Limits::default() }).await;
    let readers =
        those(async |name: String| guarded.client(V5, &name).await.subscribe("$SYS/#", 1).await == 1);
    assert_eq!(readers.await, "cod");
    let mut liar = guarded.client(V5, "center-c1").await;
    assert_eq!(liar.publish("$SYS/broker/version", b"x", true, &[]).await, Some(0x10), "nobody hears it");
    let mut dashboard = guarded.client(V5, "dashboard-grafana").await;
    dashboard.subscribe("$SYS/broker/version", 1).await;
    let told = dashboard.received().await;
    assert_eq!((told.topic.as_str(), told.retain), ("$SYS/broker/version", true));
    assert!(told.payload.starts_with(b"flotilla version "));
    dashboard.subscribe("$SYS/broker/messages/received", 1).await;
    let mut center = guarded.client(V5, "center-c1").await;
    center.publish("fleet/v1/to/e1/ack", b"x", false, &[]).await;
    loop {
        let told = dashboard.received().await;
        if told.topic.ends_with("messages/received") && !told.retain && told.payload != b"0" {
            break;
        }
    }
    let mut wide = guarded.client(V5, "operator-anna").await;
    wide.subscribe("#", 1).await;
    assert_eq!(wide.received_so_far().await, [], "# does not mean them");
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_served_over_http_to_whoever_asks_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let metrics_wait = Duration::from_millis(500);
    let limits = Limits { metrics_connections: 2, metrics_wait, ..Limits::default() };
    let config = Config { metrics: Some(address), limits, ..Config::open(address, folder.path()) };
    let running = Broker::start(config).await.unwrap();
    let metrics = running.metrics_addr().unwrap();
    let _client = Client::connect(running.local_addrs()[0], V5, "x").await;
    let mut silent = [TcpStream::connect(metrics).await.unwrap(), TcpStream::connect(metrics).await.unwrap()];
    silent[1].write_all(b"GET /metrics HTTP/1.1\r\nHost: ").await.unwrap();
    let answer = get(metrics, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/openmetrics-text"), "{answer}");
    assert!(answer.contains("\nflotilla_broker_connections 1\n"), "{answer}");
    assert!(get(metrics, "/").await.starts_with("HTTP/1.1 404"));
    for silent in &mut silent {
        let ended = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "it is closed");
    }
}
