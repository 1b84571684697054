//! How faults are opened, answered, treated, watched and closed.

use super::*;
use crate::config::Config;
use crate::samples;
use flotilla_schemas::fault::kind;
use std::sync::Arc;

fn seen(service: &str, kind: &str) -> Seen {
    let service = Some(service.parse().unwrap());
    Seen { service, ..Seen::of("meter".parse().unwrap(), Failure::new(kind, "it broke")) }
}

fn failed(faults: &mut Faults, out: &mut Out) -> (FaultId, Option<Verdict>) {
    match faults.failed(seen("s", kind::TRAP_UNREACHABLE), out) {
        Treatment::Fault(id, verdict) => (id, verdict),
        Treatment::Recorded => panic!("recorded alone"),
    }
}

fn answer(out: &Out, fault: &FaultId, attempt: u32, measure: Measure) -> Answer {
    let (edge, center) = (out.config.edge.clone(), "c1".parse().unwrap());
    let (fault, cause) = (fault.clone(), Kind::unidentified());
    Answer { v: 1, edge, fault, attempt, list_ver: 0, cause, measure, center }
}

fn bodies(out: &mut Out) -> Vec<&'static str> {
    let name = |change: crate::effect::Persist| match change {
        crate::effect::Persist::Append(_, record) => match record.body {
            Body::Fault(_) => Some("fault"),
            Body::Restoration { .. } => Some("restoration"),
            Body::Closed(_) => Some("closed"),
            Body::Event { .. } => Some("event"),
            _ => None,
        },
        _ => None,
    };
    out.take_step().persist.into_iter().filter_map(name).collect()
}

#[test]
fn an_attempt_is_acted_on_once_and_the_first_answer_counts() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    let (id, verdict) = failed(&mut faults, &mut out);
    assert_eq!(verdict, None, "a center is asked");
    let first = answer(&out, &id, 1, Measure::Restart);
    let verdict = faults.answered(first.clone(), &mut out).unwrap();
    assert_eq!(verdict.measure, Measure::Restart);
    let retry = faults.treated(&verdict, true, &mut out).unwrap();
    assert_eq!((retry.service.as_str(), retry.pause_ms), ("s", 0));
    bodies(&mut out);
    assert_eq!(faults.answered(first, &mut out), None, "it came twice");
    assert_eq!(bodies(&mut out), [] as [&str; 0]);
    assert_eq!(faults.answered(answer(&out, &id, 1, Measure::Replace), &mut out), None);
    assert_eq!(bodies(&mut out), ["event"], "another one is told of");
}

#[test]
fn what_nobody_answers_is_decided_here_and_not_before_its_time() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    failed(&mut faults, &mut out);
    let at = faults.wake_at().unwrap();
    assert_eq!(at, 2 * ANSWER_MS, "one center, and the edge");
    out.now.mono_ms = at - 1;
    assert_eq!(faults.due(&mut out), []);
    out.now.mono_ms = at;
    let verdicts = faults.due(&mut out);
    assert_eq!((verdicts.len(), verdicts[0].measure), (1, Measure::Restart));
    assert_eq!((faults.due(&mut out), faults.wake_at()), (vec![], None));
}

#[test]
fn attempts_escalate_and_a_cure_counts_towards_the_next_fault() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    let mut taken = Vec::new();
    for _ in 0..2 {
        failed(&mut faults, &mut out);
        out.now.mono_ms += 2 * ANSWER_MS;
        for verdict in faults.due(&mut out) {
            taken.push(verdict.measure);
            faults.treated(&verdict, true, &mut out);
        }
    }
    faults.close_of(&"s".parse().unwrap(), How::Cured, &mut out);
    assert_eq!((taken, faults.count()), (vec![Measure::Restart, Measure::Restart], 0));
    failed(&mut faults, &mut out);
    out.now.mono_ms += 2 * ANSWER_MS;
    assert_eq!(faults.due(&mut out)[0].measure, Measure::Replace);
}

#[test]
fn a_fault_that_never_ends_names_no_more_measures_than_the_most_and_counts_them_all() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    let rounds = open::TRIED_MAX as u32 + 10;
    for _ in 0..rounds {
        failed(&mut faults, &mut out);
        out.now.mono_ms += 2 * ANSWER_MS;
        for verdict in faults.due(&mut out) {
            let retry = faults.treated(&verdict, false, &mut out).unwrap();
            assert!(retry.pause_ms <= PAUSE_LAST_MS);
        }
    }
    let open = faults.open.values().next().unwrap();
    assert_eq!((open.fault.tried.len(), open.measures), (open::TRIED_MAX, rounds));
    assert_eq!((open.fault.attempt, faults.count(), faults.any_told()), (rounds, 1, true));
}

#[test]
fn what_the_list_leaves_to_the_edge_is_decided_at_once() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    let treatment = faults.failed(seen("s", kind::MISMATCH), &mut out);
    let Treatment::Fault(_, Some(verdict)) = treatment else { panic!("{treatment:?}") };
    assert_eq!(verdict.measure, Measure::Reinstall);
    assert_eq!(bodies(&mut out), ["fault", "restoration"]);
}

#[test]
fn in_quarantine_a_service_is_not_run_again() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    let (id, _) = failed(&mut faults, &mut out);
    let verdict = faults.answered(answer(&out, &id, 1, Measure::Quarantine), &mut out).unwrap();
    assert_eq!(faults.treated(&verdict, true, &mut out), None);
    assert!(faults.any_told());
}

#[test]
fn without_treatment_what_fails_is_an_event() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    let mut config = Config::clone(&out.config);
    config.profile.reliability = false;
    out.config = Arc::new(config);
    assert_eq!(faults.failed(seen("s", kind::ERROR), &mut out), Treatment::Recorded);
    assert_eq!((bodies(&mut out), faults.count()), (vec!["event"], 0));
}

#[test]
fn no_more_faults_are_open_than_the_most_and_the_next_is_recorded_alone() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    for n in 0..FAULTS_MAX {
        assert!(matches!(faults.failed(seen(&format!("s{n}"), kind::ERROR), &mut out), Treatment::Fault(..)));
    }
    assert_eq!(faults.failed(seen("more", kind::ERROR), &mut out), Treatment::Recorded);
    assert!(matches!(faults.failed(seen("s0", kind::ERROR), &mut out), Treatment::Fault(..)), "it is known");
    assert_eq!(faults.count(), FAULTS_MAX);
}

#[test]
fn no_more_cures_are_remembered_than_the_most() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    for _ in 0..CURED_MAX + 5 {
        failed(&mut faults, &mut out);
        faults.close_of(&"s".parse().unwrap(), How::Cured, &mut out);
    }
    assert_eq!(faults.cured.len(), CURED_MAX);
}

#[test]
fn at_boot_a_pending_fault_holds_its_service_and_one_of_no_service_is_over() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    failed(&mut faults, &mut out);
    faults.failed(seen("gone", kind::ERROR), &mut out);
    let held = faults.reboot(|service| service.as_str() == "s", &mut out);
    assert_eq!(held.iter().map(|(service, _)| service.as_str()).collect::<Vec<_>>(), ["s"]);
    assert_eq!((bodies(&mut out).pop(), faults.count()), (Some("closed"), 1));
}

#[test]
fn an_app_that_cannot_run_here_is_one_fault_until_it_can() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    let unfit = || [("meter".parse().unwrap(), Failure::new(kind::RUNTIME, "no code"))].into();
    let is_unfit = |of: &Kind| of.as_str() == kind::RUNTIME;
    for _ in 0..3 {
        faults.unfit(unfit(), is_unfit, &mut out);
    }
    assert_eq!((bodies(&mut out), faults.count()), (vec!["fault"], 1));
    faults.unfit(BTreeMap::new(), is_unfit, &mut out);
    assert_eq!((bodies(&mut out), faults.count()), (vec!["closed"], 0));
}

#[test]
fn a_full_disk_is_one_fault_until_it_takes_again() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    for _ in 0..3 {
        faults.storage(Some("no space".into()), &mut out);
    }
    assert_eq!(bodies(&mut out), ["fault"]);
    faults.storage(None, &mut out);
    assert_eq!(bodies(&mut out), ["closed"]);
}

#[test]
fn a_retained_report_is_emptied_when_its_fault_is_closed_unless_another_stands_there() {
    let (mut faults, mut out) = (Faults::default(), samples::out());
    out.connected = true;
    for service in ["s", "t"] {
        faults.failed(seen(service, kind::ERROR), &mut out);
    }
    out.take_step();
    let emptied = |out: &mut Out| {
        let is_empty = |effect: &crate::effect::Effect| matches!(&effect.act, crate::effect::Act::Publish(_, payload, _) if payload.is_empty());
        out.take_step().effects.iter().any(is_empty)
    };
    faults.close_of(&"s".parse().unwrap(), How::Cured, &mut out);
    assert!(!emptied(&mut out));
    faults.close_of(&"t".parse().unwrap(), How::Cured, &mut out);
    assert!(emptied(&mut out));
}
