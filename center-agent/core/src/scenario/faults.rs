//! Faults, from the record to the answer and the acknowledgement.

use super::*;

#[test]
fn a_fault_is_answered_at_once_and_escalates() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.set_list(&[Measure::Restart, Measure::Replace]).unwrap();
    let to = "to/e1/answer";
    let first = batch("e1", 1, &[fault("f", 1, 1)]);
    let effects = center.edge_says("e1", "journal/0/8b", &first);
    assert!(matches!(effects[0], Effect::Publish { .. }), "the answer goes before the disk");
    let answers: Vec<FaultAnswer> = sent(&effects, to);
    assert_eq!((answers[0].measure, answers[0].attempt), (Measure::Restart, 1));
    assert!(matches!(effects.last(), Some(Effect::Append(sent)) if sent.batch == first));
    let again: Vec<FaultAnswer> = sent(&center.edge_says("e1", "journal/0/8b", &first), to);
    assert_eq!(again, answers, "it may have been lost");
    let second = batch("e1", 2, &[restoration("f", 1), fault("f", 2, 2)]);
    let answers: Vec<FaultAnswer> = sent(&center.edge_says("e1", "journal/0/8b", &second), to);
    assert_eq!((answers[0].measure, answers[0].attempt), (Measure::Replace, 2));
}

#[test]
fn what_is_on_disk_is_acknowledged_and_the_fault_table_follows() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    let records = batch("e1", 1, &[fault("f", 1, 1)]);
    center.edge_says("e1", "journal/0/8b", &records);
    assert!(center.core.faults(None, None).is_empty(), "it is not on disk yet");
    let effects = center.give(appended(&records, held(&records)));
    let acks: Vec<Ack> = sent(&effects, "to/e1/ack");
    assert_eq!((acks[0].from, acks[0].upto, acks[0].fork), (1, 1, false));
    assert_eq!(center.core.faults(None, Some(true)).len(), 1);
    center.crash();
    assert_eq!(center.core.faults(None, Some(true)).len(), 1);
    let end = batch("e1", 2, &[restoration("f", 1), closed("f", 1)]);
    center.give(appended(&end, held(&end)));
    assert_eq!(center.core.faults(None, Some(true)).len(), 0);
    assert_eq!(center.core.faults(None, Some(false)).len(), 1);
}

#[test]
fn a_forked_journal_is_said_to_be_and_not_believed() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    let records = batch("e1", 1, &[fault("f", 1, 1)]);
    let held = Held { from: 1, upto: 9, want: None, fork: true, stored: 0 };
    let effects = center.give(appended(&records, held));
    let acks: Vec<Ack> = sent(&effects, "to/e1/ack");
    assert!(acks[0].fork);
    assert!(center.core.faults(None, None).is_empty());
}

#[test]
fn faults_that_came_before_the_sweep_are_answered_after_it() {
    let mut center = Center::operating();
    center.edge_shows(&status("e1", 1));
    center.set_list(&[Measure::Restart]).unwrap();
    center.crash();
    center.give(Input::Connected);
    let records = batch("e1", 1, &[fault("f", 1, 1)]);
    let to = "to/e1/answer";
    let early: Vec<FaultAnswer> = sent(&center.edge_says("e1", "journal/0/8b", &records), to);
    assert!(early.is_empty());
    center.give(appended(&records, held(&records)));
    let answers: Vec<FaultAnswer> = sent(&center.pass(QUIET_MS), to);
    assert_eq!(answers.len(), 1);
}
