//! What people ask, and what comes of it.

use super::*;

#[test]
fn a_row_is_published_of_what_the_catalog_lists_alone() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.edge_says("e1", "release/app/a", &row("e1", "a", "1.0.0"));
    let retained = |center: &Center| center.retained::<serde_json::Value>("distribution/app/a/e1");
    assert_eq!(retained(&center), None);
    center.publish_all();
    let row = retained(&center).unwrap();
    let said = (row["kind"].as_str(), row["name"].as_str(), row["installed"].as_str());
    assert_eq!(said, (Some("app"), Some("a"), Some("1.0.0")));
}

#[test]
fn nothing_is_issued_before_the_broker_was_heard() {
    let mut center = Center::new();
    assert_eq!(center.ask(Request::PublishApp(app("a", "1.0.0", &[]))), Err(Refusal::Unswept));
    center.give(Input::Connected);
    center.pass(QUIET_MS - 1);
    assert!(center.broker.is_empty(), "{:?}", center.broker);
    center.pass(1);
    assert_eq!(center.broker[&"center/c1/avail".parse().unwrap()], b"online");
    assert!(center.ask(Request::PublishApp(app("a", "1.0.0", &[]))).is_ok());
}

#[test]
fn what_is_asked_while_the_broker_is_heard_is_answered_then() {
    let mut center = Center::new();
    center.give(Input::Connected);
    let request = || Request::PublishApp(app("a", "1.0.0", &[]));
    let effects: Vec<Effect> = (0..=EARLY_MAX as u64)
        .flat_map(|id| center.give(Input::Request { id, request: request() }))
        .collect();
    assert_eq!(reply(&effects), Some(Err(Refusal::Unswept)), "one too many");
    assert!(matches!(reply(&center.pass(QUIET_MS)), Some(Ok(Answer::Published(_)))));
    let mut cut_off = Center::new();
    cut_off.give(Input::Connected);
    cut_off.give(Input::Request { id: 1, request: request() });
    assert_eq!(reply(&cut_off.give(Input::Disconnected)), Some(Err(Refusal::Unswept)));
}

#[test]
fn a_started_service_reaches_its_edge_with_the_catalog_that_it_needs() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    assert_eq!(center.desired("e1"), None, "nothing was decided for it");
    center.start(&["e1"]).unwrap();
    let (desired, catalog) = (center.desired("e1").unwrap(), center.retained::<Catalog>("catalog/targets"));
    let catalog = catalog.unwrap();
    assert_eq!(desired.min_catalog, catalog.version);
    let Wanted::Service(service) = service(&desired) else { panic!("{desired:?}") };
    let Work::Script { release, .. } = &service.work else { panic!("{service:?}") };
    assert!(catalog.scripts.contains_key(release));
    assert!(service.apps.len() == 2 && service.apps.values().all(|app| catalog.releases.contains_key(app)));
    let stop = ServiceStop { edges: vec!["e1".parse().unwrap()] };
    center.ask(Request::Stop("cooling".parse().unwrap(), stop)).unwrap();
    let stopped = center.desired("e1").unwrap();
    let slot = Slot::Service("cooling".parse().unwrap());
    assert!(stopped.items[&slot].replaces(&desired.items[&slot]));
    assert_eq!(stopped.items[&slot].wanted(), Ok(Wanted::Gone));
}

#[test]
fn a_script_release_keeps_the_lists_that_services_run_with() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.publish_all();
    center.start(&["e1"]).unwrap();
    let mut publish = |version, list| {
        let (release, apps) = script("cooling", version, &[(list, &["a"])]);
        center.ask(Request::PublishScript { release, apps })
    };
    let refused = publish("1.1.0", "small");
    assert!(matches!(refused, Err(Refusal::Publish(PublishError::EventsInUse { .. }))), "{refused:?}");
    assert!(publish("1.1.0", "large").is_ok());
}

#[test]
fn a_release_that_the_catalog_has_no_room_for_changes_nothing() {
    let mut center = Center::operating();
    let mut release = app("a", "1.0.0", &[]).read().unwrap();
    release.wasm.chunks = vec![Digest::of(b""); CATALOG_BYTES_MAX / 64];
    let refused = center.ask(Request::PublishApp(Signed::new(&release, &publisher()).unwrap()));
    assert!(matches!(refused, Err(Refusal::Publish(PublishError::Full { .. }))), "{refused:?}");
    assert!(center.core.apps().is_empty() && center.disk.is_empty());
}

#[test]
fn a_list_with_errors_is_refused_with_all_of_them_and_the_old_one_holds() {
    let mut center = Center::operating();
    center.set_list(&[Measure::Restart]).unwrap();
    let held = center.core.countermeasures();
    let refused = center.set_list(&[]);
    assert!(matches!(refused, Err(Refusal::Countermeasures(errors)) if errors.len() == 1));
    assert_eq!(center.core.countermeasures(), held);
}

#[test]
fn a_command_is_answered_by_the_edge_or_by_time() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    let request = || Request::Command("e1".parse().unwrap(), Order::RestartApp("a".parse().unwrap()));
    let effects = center.give(Input::Request { id: 5, request: request() });
    assert_eq!(reply(&effects), None);
    let command: Command = sent(&effects, "to/e1/command").remove(0);
    let message = "restarted".to_owned();
    let answer = Reply { v: 1, edge: command.edge, id: command.id, done: true, message };
    let effects = center.edge_says("e1", "reply/command", &answer);
    assert_eq!(reply(&effects), Some(Ok(Answer::Reply(answer))));
    center.give(Input::Request { id: 6, request: request() });
    let effects = center.pass(REPLY_MS_MAX);
    assert!(matches!(reply(&effects), Some(Err(Refusal::Command(CommandError::Silent(_))))));
}
