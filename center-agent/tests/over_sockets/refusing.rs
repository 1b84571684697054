//! What the center refuses, and that it says why.

use center_agent::api::types::{EdgeDetail, Published, RecordsPage, ServiceView};
use flotilla_schemas::digest::ARTIFACT_BYTES_MAX;
use flotilla_schemas::proof::{Measured, Proof};
use flotilla_schemas::release::{Release, ScriptRelease};
use flotilla_schemas::sign::SecretKey;
use flotilla_schemas::{Artifact, Digest, Signed};
use serde_json::{Value, json};

use crate::lab::{Api, App, Edge, Lab, app, app_of, key, publisher, script, until};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_heard_without_the_token() {
    let lab = Lab::open().await;
    let stranger = Api { token: "0123456789abcdef".into(), ..lab.api() };
    for (method, path) in [("GET", "apps"), ("POST", "blobs"), ("DELETE", "services/x"), ("GET", "nothing")] {
        let (status, error) = stranger.json::<Value>(method, path, b"{}").unwrap_err();
        assert!(status == 401 && error.error.contains("token"), "{method} {path}: {error:?}");
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_or_found_says_so() {
    let lab = Lab::open().await;
    let api = lab.api();
    let missing = format!("blobs/{}", Digest::of(b"nothing"));
    for (method, path, body, status) in [
        ("GET", "nothing", "", 404),
        ("PATCH", "apps", "", 405),
        ("GET", "apps/meter", "", 404),
        ("GET", "apps/Not%20An%20Id", "", 400),
        ("GET", "scripts/s", "", 404),
        ("GET", "edges/e9", "", 404),
        ("GET", "records", "", 400),
        ("GET", "records?edge=e9", "", 404),
        ("GET", "records?edge=e9&lane=7", "", 400),
        ("GET", "faults?color=red", "", 400),
        ("GET", "faults?edge=e9", "", 404),
        ("GET", missing.as_str(), "", 404),
        ("GET", "blobs/xyz", "", 400),
        ("POST", "apps", "{", 400),
        ("POST", "apps", "{\"text\": 5}", 400),
        ("POST", "scripts", "[]", 400),
        ("PUT", "services/x", "{\"edges\": [\"E1\"], \"trigger\": \"once\"}", 400),
        ("PUT", "services/x", "{\"edges\": [], \"trigger\": \"once\", \"extra\": 1}", 400),
        ("PUT", "services/x", "{\"edges\": [\"e9\"], \"trigger\": \"once\"}", 422),
        ("DELETE", "services/x", "{\"edges\": [\"e9\"]}", 404),
        ("PUT", "countermeasures", "{\"rule\": [{\"kind\": \"app*\", \"measures\": []}]}", 422),
        ("POST", "edges/e9/commands", "{\"restart-app\": \"meter\"}", 404),
        ("POST", "edges/e9/commands", "{\"dance\": 1}", 400),
    ] {
        let (found, error) = api.json::<Value>(method, path, body.as_bytes()).unwrap_err();
        assert_eq!(found, status, "{method} {path} {body}: {error:?}");
        assert!(!error.error.is_empty());
    }
    let (status, error) = api
        .put::<Value>("countermeasures", &json!({"rule": [{"kind": "app*", "measures": []}]}))
        .unwrap_err();
    assert_eq!((status, error.details.len()), (422, 2), "{error:?}");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_named_by_its_bytes_and_bounded() {
    let lab = Lab::open().await;
    let api = lab.api();
    let stored = api.upload(b"bytes");
    assert_eq!((stored.digest, stored.size), (Digest::of(b"bytes"), 5));
    let path = format!("blobs/{}", stored.digest);
    assert_eq!(api.send("GET", &path, b""), (200, b"bytes".to_vec()));
    assert_eq!(api.send("HEAD", &path, b"").0, 200);
    assert_eq!(api.send("HEAD", &format!("blobs/{}", Digest::of(b"other")), b"").0, 404);
    let large = vec![b' '; 16 * 1024 * 1024];
    assert_eq!(api.send("PUT", "countermeasures", &large).0, 413);
    assert_eq!(api.upload(&large).size, large.len() as u64);
    assert!(large.len() < ARTIFACT_BYTES_MAX as usize);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_published_only_as_it_was_signed_uploaded_and_proved() {
    let lab = Lab::open().await;
    let api = lab.api();
    let App { release, wasm, machine } = app("meter");
    let post = |release: &Release, key: &SecretKey| {
        api.post::<Published>("apps", &Signed::new(release, key).unwrap())
    };
    let (status, error) = post(&release, &key("stranger", 8)).unwrap_err();
    assert!(status == 422 && error.error.contains("stranger"), "{error:?}");
    let (status, error) = post(&release, &publisher()).unwrap_err();
    assert_eq!((status, error.details.len()), (422, 2), "neither file is there: {error:?}");
    api.upload(&wasm);
    api.upload(&machine);
    let mut wrong = release.clone();
    wrong.manifest.grants = Default::default();
    wrong.manifest.limits.deadline_ms = 0;
    wrong.interface.operations.clear();
    let (status, error) = post(&wrong, &publisher()).unwrap_err();
    assert!(status == 422 && error.details.len() >= 4, "{error:?}");
    let mut other = release.clone();
    other.wasm = Artifact::of(&api.upload(b"this is no component").digest.to_string().into_bytes());
    assert_eq!(post(&other, &publisher()).unwrap_err().0, 422);
    let mut chunks = release.clone();
    chunks.wasm.chunks.push(Digest::of(b"one more"));
    assert_eq!(post(&chunks, &publisher()).unwrap_err().0, 422);
    assert!(post(&release, &publisher()).unwrap().new);
    let mut same_version = release.clone();
    same_version.manifest.soak_s = 1;
    assert_eq!(post(&same_version, &publisher()).unwrap_err().0, 409);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_published_only_when_every_list_can_be_carried_out() {
    let lab = Lab::open().await;
    let api = lab.api();
    let (status, error) = api.publish_script("meter").unwrap_err();
    assert!(status == 422 && error.details[0].contains("not published"), "{error:?}");
    api.publish_app("meter").unwrap();
    let (release, files) = script("meter");
    for file in &files {
        api.upload(file);
    }
    let post = |release: &ScriptRelease| {
        api.post::<Published>("scripts", &Signed::new(release, &publisher()).unwrap())
    };
    let list = |text: &str| {
        let stored = api.upload(text.as_bytes());
        assert_eq!(stored.digest, Digest::of(text.as_bytes()));
        let mut release = release.clone();
        release.events = [("meter".parse().unwrap(), Artifact::of(text.as_bytes()))].into();
        release
    };
    let text = r#"{"events": "meter", "definition": "meter", "root": "meter-reading", "steps": {
        "start meter-reading": "none", "end energy": "none", "end meter-reading": "none",
        "start energy": {"app": "meter", "operation": "explode"}}}"#;
    let (status, error) = post(&list(text)).unwrap_err();
    assert!(status == 422 && error.details.iter().any(|line| line.contains("explode")), "{error:?}");
    let (status, error) = post(&list("{\"events\": 5")).unwrap_err();
    assert!(status == 422 && error.details[0].starts_with("meter.json:1:"), "{error:?}");
    let bare = ScriptRelease { equipment: None, ..release.clone() };
    let (status, error) = post(&bare).unwrap_err();
    assert!(
        status == 422 && error.error.contains("there is no equipment to prove the script on"),
        "{error:?}"
    );
    assert!(api.publish_script("meter").unwrap().new);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_keeps_what_published_scripts_call_unless_it_is_forced() {
    let lab = Lab::open().await;
    let api = lab.api();
    api.publish_app("meter").unwrap();
    api.publish_script("meter").unwrap();
    let App { mut release, wasm, machine } = app_of("faulty", "meter");
    release.manifest.version = "1.1.0".parse().unwrap();
    release.manifest.grants.device_write = release.manifest.grants.device_read.clone();
    release.manifest.grants.kv = true;
    api.upload(&wasm);
    api.upload(&machine);
    let signed = Signed::new(&release, &publisher()).unwrap();
    let (status, error) = api.post::<Published>("apps", &signed).unwrap_err();
    assert!(status == 409 && error.error.contains("the scripts without it, then this one"), "{error:?}");
    let broken = "script meter, event list meter, start energy: call read-energy: the app exports";
    assert!(error.details.len() == 1 && error.details[0].starts_with(broken), "{error:?}");
    assert!(api.post::<Published>("apps?force=true", &signed).unwrap().new);
    assert!(!api.post::<Published>("apps", &signed).unwrap().new, "it is there already");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_the_center_cannot_repeat_is_refused() {
    let lab = Lab::open().await;
    let api = lab.api();
    api.publish_app("meter").unwrap();
    let (release, files) = script("meter");
    for file in &files {
        api.upload(file);
    }
    let proof: Proof = serde_json::from_slice(files.last().unwrap()).unwrap();
    let post = |proof: &[u8]| {
        api.upload(proof);
        let release = ScriptRelease { proof: Artifact::of(proof), ..release.clone() };
        api.post::<Published>("scripts", &Signed::new(&release, &publisher()).unwrap())
    };
    let (status, error) = post(b"{}").unwrap_err();
    assert!(status == 422 && error.error.contains("read its proof"), "{error:?}");
    let mut altered = proof.clone();
    altered.lists[0].casts[0].faults.clear();
    let (status, error) = post(&serde_json::to_vec(&altered).unwrap()).unwrap_err();
    assert!(
        status == 422 && error.error.ends_with("they differ in event list meter: what was seen"),
        "{error:?}"
    );
    let mut measured = proof.clone();
    measured.lists[0].casts[0].measured = Measured::default();
    assert!(post(&serde_json::to_vec(&measured).unwrap()).unwrap().new, "times are the machine's own");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_breaks_on_another_path_is_refused_with_the_shortest_script_that_shows_it() {
    let lab = Lab::open().await;
    let api = lab.api();
    api.publish_app("meter").unwrap();
    let (mut release, files) = script("meter");
    for file in &files {
        api.upload(file);
    }
    // The published script is right by this list; the definition allows one that is not.
    let text = b"<meter-reading><energy/></meter-reading>";
    let list = r#"{"events": "meter", "definition": "meter", "root": "meter-reading", "steps": {
        "start meter-reading": "none", "end energy": "none", "end meter-reading": "none", "start energy": {
        "app": "meter", "operation": "read-energy", "args": [
            {"name": "unit", "from": "@unit", "type": "choice", "of": ["kwh"]}]}}}"#;
    api.upload(text);
    api.upload(list.as_bytes());
    release.text = Artifact::of(text);
    release.events = [("meter".parse().unwrap(), Artifact::of(list.as_bytes()))].into();
    let signed = Signed::new(&release, &publisher()).unwrap();
    let (status, error) = api.post::<Published>("scripts", &signed).unwrap_err();
    let shown = error.details.last().unwrap();
    assert!(status == 422 && shown.contains("unit of <energy>"), "{error:?}");
    let shortest = "<meter-reading>\n  <energy unit=\"wh\"/>\n</meter-reading>\n";
    assert!(shown.ends_with(shortest), "{error:?}");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_is_offline_takes_no_command_and_an_unknown_list_starts_nothing() {
    let lab = Lab::open().await;
    let api = lab.api();
    let edge = Edge::join(&lab, "e1").await;
    until(|| api.get::<EdgeDetail>("edges/e1").is_ok_and(|edge| edge.summary.online)).await;
    edge.says_plain("avail", "offline");
    until(|| api.get::<EdgeDetail>("edges/e1").is_ok_and(|edge| !edge.summary.online)).await;
    let (status, _) = api.post::<Value>("edges/e1/commands", &json!({"restart-app": "meter"})).unwrap_err();
    assert_eq!(status, 409);
    api.publish_app("meter").unwrap();
    api.publish_script("meter").unwrap();
    let start = json!({"edges": ["e1", "e2"], "events": "huge", "trigger": {"every-ms": 1}});
    let (status, error) = api.put::<ServiceView>("services/meter", &start).unwrap_err();
    assert_eq!((status, error.details.len()), (422, 3), "{error:?}");
    let page: RecordsPage = api.get("records?edge=e1&limit=5").unwrap();
    assert!(page.records.is_empty());
    edge.leave().await;
    lab.close().await;
}
