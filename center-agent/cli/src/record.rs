//! A journal record as one line for people, with or without colours.

use flotilla_schemas::Value;
use flotilla_schemas::journal::{Body, Record};
use flotilla_schemas::time::rfc3339;

use crate::output::{BAD, BOLD, DIM, GOOD, NAME, WARN, plain, styled};

/// The record: when, who, what.
pub fn sentence(record: &Record) -> String {
    let doubt = if record.clock_ok { "" } else { " (clock not set)" };
    format!("{}{doubt}  {}", rfc3339(record.ts), body(&record.body))
}

fn body(body: &Body) -> String {
    match body {
        Body::Event { source, name, fields, service } => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}={}", text(value))).collect();
            let service = service.as_ref().map(|s| styled(DIM, format!("  [{s}]"))).unwrap_or_default();
            format!("{}  {}  {}{service}", styled(NAME, source), styled(BOLD, plain(name)), fields.join(" "))
        }
        Body::Write { app, point, value, service } => {
            let service = service.as_ref().map(|s| styled(DIM, format!("  [{s}]"))).unwrap_or_default();
            let what = format!("{} = {}", plain(&point.to_string()), text(value));
            format!("{}  {}  {what}{service}", styled(NAME, app), styled(BOLD, "sets"))
        }
        Body::Written { write, point, error, elapsed_ms } => {
            let (point, after) = (plain(&point.to_string()), format!("after {elapsed_ms} ms"));
            match error {
                None => format!("{}  {point} {after}, asked for by record {write}", styled(GOOD, "set")),
                Some(error) => format!("{}  {point} {after}: {}", styled(BAD, "not set"), plain(error)),
            }
        }
        Body::Fault(fault) => {
            let step = fault.step.as_ref().map(|step| format!(" at {}", plain(step))).unwrap_or_default();
            let fault_id = styled(DIM, &fault.fault);
            let what = format!("{} in {}{step}, attempt {}", fault.kind, fault.app, fault.attempt);
            format!("{}  {what}: {}  {fault_id}", styled(BAD, "fault"), plain(&fault.message))
        }
        Body::Restoration { fault, attempt, measure, cause, center } => {
            let by =
                center.as_ref().map_or("the edge itself".to_owned(), |center| format!("center {center}"));
            let what = format!("{measure}, attempt {attempt}, cause {}, decided by {by}", plain(cause));
            format!("{}  {what}  {}", styled(WARN, "restoration"), styled(DIM, fault))
        }
        Body::Closed(closed) => {
            let measure = closed.measure.map(|measure| format!(" by {measure}")).unwrap_or_default();
            let how = match closed.how {
                flotilla_schemas::fault::How::Cured => "cured",
                flotilla_schemas::fault::How::Moot => "moot",
                flotilla_schemas::fault::How::Unknown => "over",
            };
            let what =
                format!("{} in {} {how}{measure} after {} ms", closed.kind, closed.app, closed.open_ms);
            format!("{}  {what}  {}", styled(GOOD, "closed"), styled(DIM, &closed.fault))
        }
        Body::Command { id, done, message } => {
            let done = if *done { "done" } else { "refused" };
            format!("{}  {done}: {}  {}", styled(BOLD, "command"), plain(message), styled(DIM, id))
        }
        Body::Unknown => format!("{}  shown by a newer flotilla", styled(BOLD, "unknown")),
        Body::Dropped { lane, floor } => {
            let lane = lane.number();
            format!(
                "{}  lane {lane} was full: what is before record {floor} is gone",
                styled(WARN, "dropped")
            )
        }
    }
}

/// A value as a line shows it: text bare, a number to three decimals, everything else as JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => plain(text),
        Value::Number(number) => {
            format!("{number:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_schemas::{AppId, SessionId};
    use std::collections::BTreeMap;

    #[test]
    fn a_number_is_told_to_three_decimals() {
        let told = [22.5, 1042.3013156, 0.0, -3.0, 1e9].map(|number| text(&Value::Number(number)));
        assert_eq!(told, ["22.5", "1042.301", "0", "-3", "1000000000"]);
    }

    #[test]
    fn an_event_is_one_line_whatever_its_app_says() {
        let fields = BTreeMap::from([
            ("celsius".into(), Value::Number(22.5)),
            ("why".into(), Value::Text("a\nb".into())),
        ]);
        let body = Body::Event {
            source: AppId::new("aircon").unwrap(),
            name: "ro\tom".into(),
            fields,
            service: None,
        };
        let session = SessionId::new("s").unwrap();
        let record = Record { seq: 1, ts: 1_767_225_600_250, clock_ok: false, session, body };
        let line = anstream::adapter::strip_str(&sentence(&record)).to_string();
        assert_eq!(line, "2026-01-01T00:00:00.250Z (clock not set)  aircon  ro om  celsius=22.5 why=a b");
    }
}
