//! Who may connect, write and read what. The tree is split by writer, so the rules are one line each.
//!
//! | role | client id | writes | reads |
//! |---|---|---|---|
//! | edge | `edge-<id>` | below its own `edge/<id>/` | `to/<id>/`, `catalog/`, `blob/`, `gate/` and its own subtree |
//! | center | `center-<id>` | what centers write, its own `center/<id>/` and `peer/<id>` | everything |
//! | dashboard | anything else | nothing | everything but chunks |
//!
//! Whatever is written is a topic of the protocol; nobody writes outside of it. An edge's filter must lie in what
//! it may read. A dashboard's filter may be wider (`#`): what it may not read is left out of its deliveries.
//! Without passwords the client id alone says who someone is, so such a broker listens on loopback only.

use flotilla_schemas::topic::Writer;
use flotilla_schemas::{CenterId, EdgeId, IdError, Topic};

/// What a client is to the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    Edge(EdgeId),
    Center(CenterId),
    Dashboard,
}

impl Role {
    /// The role that a client id claims; refuses `edge-` and `center-` with something after it that is no id.
    pub(crate) fn of(client_id: &str) -> Result<Self, IdError> {
        if let Some(id) = client_id.strip_prefix("edge-") {
            return Ok(Self::Edge(id.parse()?));
        }
        match client_id.strip_prefix("center-") {
            Some(id) => Ok(Self::Center(id.parse()?)),
            None => Ok(Self::Dashboard),
        }
    }

    pub(crate) fn may_publish(&self, topic: &str) -> bool {
        let Ok(topic) = topic.parse::<Topic>() else { return false };
        match (self, topic.writer()) {
            (Self::Edge(edge), Writer::Edge(writer)) => *edge == writer,
            (Self::Center(center), Writer::Center(writer)) => *center == writer,
            (Self::Center(_), Writer::Centers) => true,
            _ => false,
        }
    }

    pub(crate) fn may_subscribe(&self, filter: &str) -> bool {
        match self {
            Self::Edge(edge) => is_for_edge(filter, edge),
            Self::Center(_) => true,
            Self::Dashboard => !is_chunk(filter),
        }
    }

    /// Whether a delivery through a filter that was granted may reach this client.
    pub(crate) fn may_receive(&self, topic: &str) -> bool {
        *self != Self::Dashboard || !is_chunk(topic)
    }
}

fn is_for_edge(filter: &str, edge: &EdgeId) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    match levels.as_slice() {
        ["fleet", "v1", "to" | "edge", id, _, ..] => *id == edge.as_str(),
        ["fleet", "v1", "catalog" | "blob" | "gate", _, ..] => true,
        _ => false,
    }
}

/// True of chunk topics and of filters that match nothing else.
fn is_chunk(topic: &str) -> bool {
    let levels: Vec<&str> = topic.split('/').collect();
    matches!(levels.as_slice(), ["fleet", "v1", "blob", _, ..] | ["fleet", "v1", "edge", _, "blob", _, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(client_id: &str) -> Role {
        Role::of(client_id).unwrap()
    }

    #[test]
    fn a_client_id_says_who_it_is_and_a_bad_one_is_nobody() {
        assert_eq!(role("edge-e1"), Role::Edge(EdgeId::new("e1").unwrap()));
        assert_eq!(role("center-c1"), Role::Center(CenterId::new("c1").unwrap()));
        assert_eq!(role("mosqsub|12"), Role::Dashboard);
        assert!(Role::of("edge-E1").is_err());
        assert!(Role::of("center-").is_err());
    }

    /// Per topic: may edge e1, edge e2, center c1, center c2, a dashboard publish to it.
    #[test]
    fn each_topic_is_written_by_its_writer_alone() {
        for (topic, expected) in [
            ("fleet/v1/edge/e1/status", [true, false, false, false, false]),
            ("fleet/v1/edge/e1/fault/app/app.trap", [true, false, false, false, false]),
            ("fleet/v1/edge/e1/blob/00", [true, false, false, false, false]),
            ("fleet/v1/to/e1/desired", [false, false, true, true, false]),
            ("fleet/v1/catalog/targets", [false, false, true, true, false]),
            ("fleet/v1/blob/7f", [false, false, true, true, false]),
            ("fleet/v1/center/c1/avail", [false, false, true, false, false]),
            ("fleet/v1/peer/c2", [false, false, false, true, false]),
            ("fleet/v1/maker/m/ask", [false, false, true, true, false]),
            ("fleet/v1/maker/m/advisory", [false; 5]),
            ("fleet/v1/local/e1/service", [false; 5]),
            ("fleet/v1/edge/e1/unknown", [false; 5]),
            ("home/lamp", [false; 5]),
        ] {
            let clients = ["edge-e1", "edge-e2", "center-c1", "center-c2", "dashboard"];
            assert_eq!(clients.map(|client| role(client).may_publish(topic)), expected, "{topic}");
        }
    }

    /// Per filter: may edge e1, center c1, a dashboard subscribe to it.
    #[test]
    fn an_edge_reads_what_is_for_it_or_for_all() {
        for (filter, expected) in [
            ("fleet/v1/to/e1/#", [true, true, true]),
            ("fleet/v1/to/e2/#", [false, true, true]),
            ("fleet/v1/to/+/desired", [false, true, true]),
            ("fleet/v1/to/#", [false, true, true]),
            ("fleet/v1/catalog/#", [true, true, true]),
            ("fleet/v1/gate/+", [true, true, true]),
            ("fleet/v1/edge/e1/#", [true, true, true]),
            ("fleet/v1/edge/e2/status", [false, true, true]),
            ("fleet/v1/blob/+", [true, true, false]),
            ("fleet/v1/edge/+/blob/+", [false, true, false]),
            ("#", [false, true, true]),
            ("+/v1/to/e1/#", [false, true, true]),
        ] {
            let clients = ["edge-e1", "center-c1", "dashboard"];
            assert_eq!(clients.map(|client| role(client).may_subscribe(filter)), expected, "{filter}");
        }
    }

    #[test]
    fn a_dashboard_receives_everything_but_chunks() {
        let topics =
            ["fleet/v1/blob/7f", "fleet/v1/edge/e1/blob/00", "fleet/v1/edge/e1/status", "fleet/v1/to/e1/ack"];
        assert_eq!(topics.map(|topic| role("dashboard").may_receive(topic)), [false, false, true, true]);
        assert_eq!(topics.map(|topic| role("center-c1").may_receive(topic)), [true; 4]);
    }
}
