//! What a fault is answered: a function of the list and the record alone.

use flotilla_schemas::countermeasure::{Countermeasures, Question};
use flotilla_schemas::fault::{Answer, Fault};
use flotilla_schemas::{CenterId, EdgeId};

/// What the list says about a fault.
pub fn answer(list: &Countermeasures, center: &CenterId, edge: &EdgeId, fault: &Fault) -> Answer {
    let Fault { kind, app, message, attempt, .. } = fault;
    let answered = list.answer(&Question { kind, app, message, attempt: *attempt });
    Answer {
        v: 1,
        edge: edge.clone(),
        fault: fault.fault.clone(),
        attempt: *attempt,
        list_ver: list.version,
        cause: answered.cause,
        measure: answered.measure,
        center: center.clone(),
    }
}
