//! What the equipment room does about devices that are ill, well again, or come and go.

use super::write::Wish;
use super::*;
use crate::samples;
use flotilla_schemas::Value;
use flotilla_schemas::journal::{Body, Lane};

fn room() -> PointId {
    PointId::new("aircon", "room")
}

fn ill(equipment: &mut Equipment, point: PointId, kind: &str, out: &mut Out) -> Option<Course> {
    equipment.ill("a".parse().unwrap(), point, Failure::new(kind, "no"), false, out)
}

/// Probes until the fault is over; after how many milliseconds it is.
fn recover(equipment: &mut Equipment, out: &mut Out) -> u64 {
    let began = out.now.mono_ms;
    loop {
        equipment.due(out);
        for effect in out.take_step().effects {
            let Act::Probe(point) = effect.act else { continue };
            let courses = equipment.probed(&point, Outcome::Health(Health::Well), out);
            if courses.iter().any(|course| matches!(course, Course::Over(..))) {
                return out.now.mono_ms - began;
            }
        }
        out.now.mono_ms += 500;
        assert!(out.now.mono_ms - began < 10 * WELL_MS_MAX, "it never ends");
    }
}

#[test]
fn a_device_that_cannot_be_reached_is_one_fault_and_a_wrong_value_is_one_a_point() {
    let (mut equipment, mut out) = (Equipment::default(), samples::out());
    let power = PointId::new("aircon", "power");
    let unreachable = kind::EQUIPMENT_UNREACHABLE;
    assert!(matches!(ill(&mut equipment, room(), unreachable, &mut out), Some(Course::Ill { .. })));
    let again = ill(&mut equipment, power.clone(), unreachable, &mut out);
    assert!(matches!(again, Some(Course::Again { known, .. }) if known == room()));
    for point in [room(), power] {
        assert!(matches!(
            ill(&mut equipment, point, kind::EQUIPMENT_RANGE, &mut out),
            Some(Course::Ill { .. })
        ));
    }
    assert_eq!(ill(&mut equipment, room(), kind::ERROR, &mut out), None, "that is no device's");
}

#[test]
fn a_device_must_be_well_for_a_while_and_each_time_that_it_comes_back_for_longer() {
    let (mut equipment, mut out) = (Equipment::default(), samples::out());
    let mut well_ms = WELL_MS;
    for _ in 0..10 {
        ill(&mut equipment, room(), kind::EQUIPMENT_SLOW, &mut out);
        assert!(recover(&mut equipment, &mut out) >= well_ms);
        well_ms = (well_ms * 2).min(WELL_MS_MAX);
    }
    out.now.mono_ms += FLAP_MS;
    ill(&mut equipment, room(), kind::EQUIPMENT_SLOW, &mut out);
    assert!(recover(&mut equipment, &mut out) < 2 * WELL_MS + PROBE_MS);
}

#[test]
fn a_device_is_probed_once_at_a_time_and_no_answer_is_not_a_good_one() {
    let (mut equipment, mut out) = (Equipment::default(), samples::out());
    ill(&mut equipment, room(), kind::EQUIPMENT_SLOW, &mut out);
    out.now.mono_ms += PROBE_MS;
    equipment.due(&mut out);
    out.now.mono_ms += 10 * PROBE_MS;
    equipment.due(&mut out);
    assert_eq!((out.take_step().effects.len(), equipment.wake_at()), (1, None));
    equipment.probe_overdue(&room());
    assert_eq!(equipment.wake_at(), None, "it is still being asked");
    assert_eq!(equipment.probed(&room(), Outcome::Done, &mut out), []);
    assert!(equipment.wake_at().is_some());
}

#[test]
fn a_point_that_is_there_no_more_takes_its_faults_with_it() {
    let (mut equipment, mut out) = (Equipment::default(), samples::out());
    for kind in [kind::EQUIPMENT_SLOW, kind::EQUIPMENT_RANGE] {
        ill(&mut equipment, room(), kind, &mut out);
    }
    let courses = equipment.probed(&room(), Outcome::Health(Health::Gone), &mut out);
    assert!(courses.iter().all(|course| matches!(course, Course::Over(_, _, How::Moot))));
    assert_eq!((courses.len(), equipment.wake_at()), (2, None));
}

#[test]
fn no_more_faults_are_open_than_the_most_and_no_more_restless_points_remembered() {
    let (mut equipment, mut out) = (Equipment::default(), samples::out());
    for round in 0..(RESTLESS_MAX / ILL_MAX + 2) {
        for n in 0..=ILL_MAX {
            let point = PointId::new("d", format!("p{round}-{n}"));
            let course = ill(&mut equipment, point, kind::EQUIPMENT_RANGE, &mut out);
            assert_eq!(matches!(course, Some(Course::Ill { .. })), n < ILL_MAX);
        }
        let all: Vec<_> = equipment.watches.keys().cloned().collect();
        all.into_iter().for_each(|fault| _ = equipment.recovered(fault, round as u64));
    }
    assert_eq!(equipment.restless.len(), RESTLESS_MAX);
}

fn wish(number: u64) -> Wish {
    Wish { number, app: "a".parse().unwrap(), point: room(), value: Value::Integer(21), service: None }
}

fn set(equipment: &mut Equipment, outcome: Outcome, out: &mut Out) -> Option<Course> {
    equipment.write(wish(1), out);
    let step = out.take_step();
    let [effect] = &step.effects[..] else { panic!("{step:?}") };
    assert!(step.persist.iter().any(|change| format!("{change:?}").contains("Write")), "journaled before");
    equipment.written(effect.id, outcome, out)
}

#[test]
fn a_refusal_to_be_set_is_over_when_the_device_was_set_and_not_when_it_was_read() {
    let (mut equipment, mut out) = (Equipment::default(), samples::out());
    let no = || Outcome::Failed(Failure::new(kind::EQUIPMENT_REFUSED, "no"));
    assert!(matches!(set(&mut equipment, no(), &mut out), Some(Course::Ill { .. })));
    assert_eq!(equipment.wake_at(), Some(REFUSAL_MS));
    assert_eq!(equipment.probed(&room(), Outcome::Health(Health::Well), &mut out), []);
    assert_eq!(set(&mut equipment, Outcome::Done, &mut out), None);
    assert!(recover(&mut equipment, &mut out) < WELL_MS + 2 * PROBE_MS);
}

#[test]
fn a_device_that_never_says_whether_it_was_set_is_slow_and_its_late_word_changes_nothing() {
    let (mut equipment, mut out) = (Equipment::default(), samples::out());
    equipment.write(wish(1), &mut out);
    let id = out.take_step().effects[0].id;
    let course = equipment.write_overdue(id, &mut out);
    assert!(
        matches!(course, Some(Course::Ill { failure, .. }) if failure.kind.as_str() == kind::EQUIPMENT_SLOW)
    );
    let confirmed = |out: &mut Out| {
        let is_it = |change: &crate::effect::Persist| {
            matches!(change, crate::effect::Persist::Append(Lane::Event, record)
                if matches!(record.body, Body::Written { .. }))
        };
        out.take_step().persist.iter().filter(|change| is_it(change)).count()
    };
    assert_eq!(confirmed(&mut out), 1);
    assert_eq!((equipment.written(id, Outcome::Done, &mut out), confirmed(&mut out)), (None, 0));
}

#[test]
fn on_a_full_disk_a_point_is_set_and_leaves_no_record() {
    let (mut equipment, mut out) = (Equipment::default(), samples::out());
    out.storage_full = true;
    equipment.write(wish(1), &mut out);
    let step = out.take_step();
    assert_eq!((step.persist, step.effects.len()), (vec![], 1));
    out.storage_full = false;
    equipment.written(step.effects[0].id, Outcome::Done, &mut out);
    assert_eq!(out.take_step().persist, [], "no outcome without a beginning");
}
