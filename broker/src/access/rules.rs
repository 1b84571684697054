//! Who may write and read what. A fleet's tree is split by writer, so the rules are one line each.
//!
//! | role | writes | reads |
//! |---|---|---|
//! | edge | below its own `edge/<id>/` | `to/<id>/`, `catalog/`, `blob/`, `gate/` and its own subtree |
//! | center | what centers write, its own `center/<id>/` and `peer/<id>`; what edges write it may empty | everything |
//! | operator | nothing: what people decide goes to a center | everything but chunks |
//! | dashboard | nothing | reports: what is flat and made for people, and `$SYS` |
//! | maker | `maker/<id>/offer` | below its own `maker/<id>/` |
//!
//! Everyone is of one fleet, and another fleet's topics do not exist for it. Whatever is written is a topic of the
//! protocol; nobody writes outside of it. The filter of an edge or a maker must lie in what it may read. A person's
//! filter may be wider (`#`): what may not be read is left out of the deliveries, and so is what is another fleet's.

use clap::ValueEnum;
use flotilla_schemas::topic::{Tree, Writer};
use flotilla_schemas::{EdgeId, FleetId, IdError};

/// What a user is to the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// The agent of one gateway.
    Edge,
    /// A center agent.
    Center,
    /// A person who looks into everything.
    Operator,
    /// A person or a program that reads reports.
    Dashboard,
    /// Who publishes apps and advisories.
    Maker,
}

impl Role {
    /// All of them, in the order of the table above.
    pub const ALL: [Self; 5] = [Self::Edge, Self::Center, Self::Operator, Self::Dashboard, Self::Maker];

    /// As it is written in the access file and in front of user names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Center => "center",
            Self::Operator => "operator",
            Self::Dashboard => "dashboard",
            Self::Maker => "maker",
        }
    }

    /// Whether a message of a client's fleet that matches a filter which was granted may reach it in this role.
    pub(crate) fn may_receive(self, topic: &str) -> bool {
        let Reads { of, except } = reads(self);
        match self {
            // A center reads everything; filters of edges and makers lie in what they may read.
            Self::Center | Self::Edge | Self::Maker => true,
            // What people may read has no `%i` in it.
            Self::Operator | Self::Dashboard => {
                of.iter().any(|allowed| covers(allowed, "", topic))
                    && !except.iter().any(|denied| covers(denied, "", topic))
            }
        }
    }
}

/// What decides about what a client reads, its own id apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reader {
    pub role: Role,
    /// The client's fleet; none is every fleet, for people at a broker where nobody proves who it is.
    pub fleet: Option<FleetId>,
}

#[cfg(test)]
impl From<Role> for Reader {
    fn from(role: Role) -> Self {
        Self { role, fleet: Some(FleetId::default()) }
    }
}

impl Reader {
    /// Whether what is said in a fleet's tree, or in none, concerns this one.
    pub(crate) fn sees(&self, fleet: Option<&str>) -> bool {
        match (&self.fleet, fleet) {
            (Some(own), Some(fleet)) => own.as_str() == fleet,
            _ => true,
        }
    }

    /// Whether a message that matches a filter which was granted may reach this one.
    pub(crate) fn may_receive(&self, topic: &str) -> bool {
        self.sees(Tree::fleet_in(topic)) && self.role.may_receive(topic)
    }
}

/// Someone with a role; `id` is the edge's, center's or maker's, or the person's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub reader: Reader,
    pub id: String,
}

/// What a role may read: filters in which `%i` stands for the client's own id, and exceptions from them.
struct Reads {
    of: &'static [&'static str],
    except: &'static [&'static str],
}

const CHUNKS: &[&str] = &["+/v1/blob/#", "+/v1/edge/+/blob/#"];

const REPORTS: &[&str] = &[
    "+/v1/edge/+/avail",
    "+/v1/edge/+/status",
    "+/v1/edge/+/inventory",
    "+/v1/edge/+/release/+/+",
    "+/v1/edge/+/event/+",
    "+/v1/edge/+/fault/+/+",
    "+/v1/edge/+/notice",
    "+/v1/center/+/+",
    "+/v1/app/+",
    "+/v1/script/+",
    "+/v1/rollout/+",
    "+/v1/gate/+",
    "+/v1/advisory/+",
    "+/v1/distribution/+/+/+",
    "$SYS/#",
];

fn reads(role: Role) -> Reads {
    let everything = &["#", "$SYS/#"];
    match role {
        Role::Edge => Reads {
            of: &["+/v1/to/%i/#", "+/v1/edge/%i/#", "+/v1/catalog/#", "+/v1/blob/#", "+/v1/gate/#"],
            except: &[],
        },
        Role::Center => Reads { of: everything, except: &[] },
        Role::Operator => Reads { of: everything, except: CHUNKS },
        Role::Dashboard => Reads { of: REPORTS, except: &[] },
        Role::Maker => Reads { of: &["+/v1/maker/%i/#"], except: &[] },
    }
}

impl Subject {
    /// Who has this name in a role: an id, with its fleet's unless that has the default name ([`FleetId::qualify`]).
    pub(crate) fn named(role: Role, name: &str) -> Result<Self, IdError> {
        let (id, fleet) = FleetId::split(name)?;
        Ok(Self { reader: Reader { role, fleet: Some(fleet) }, id: EdgeId::new(id)?.into() })
    }

    pub(crate) fn may_publish(&self, topic: &str) -> bool {
        let Ok((tree, topic)) = Tree::locate(topic) else { return false };
        if self.reader.fleet.as_ref() != Some(tree.fleet()) {
            return false;
        }
        match (self.reader.role, topic.writer()) {
            (Role::Edge, Writer::Edge(writer)) => writer.as_str() == self.id,
            (Role::Center, Writer::Center(writer)) => writer.as_str() == self.id,
            (Role::Center, Writer::Centers) => true,
            (Role::Maker, Writer::Maker(writer)) => writer.as_str() == self.id,
            _ => false,
        }
    }

    /// Whether it may empty what is retained there: a center, what an edge of its fleet has left.
    pub(crate) fn may_empty(&self, topic: &str) -> bool {
        let Ok((tree, topic)) = Tree::locate(topic) else { return false };
        let own = self.reader.role == Role::Center && self.reader.fleet.as_ref() == Some(tree.fleet());
        own && matches!(topic.writer(), Writer::Edge(_))
    }

    pub(crate) fn may_subscribe(&self, filter: &str) -> bool {
        // A wildcard is every fleet: it is left to the deliveries.
        if !self.reader.sees(Tree::fleet_in(filter).filter(|fleet| *fleet != "+")) {
            return false;
        }
        let Reads { of, except } = reads(self.reader.role);
        match self.reader.role {
            Role::Center => true,
            Role::Edge | Role::Maker => of.iter().any(|allowed| covers(allowed, &self.id, filter)),
            Role::Operator | Role::Dashboard => {
                of.iter().any(|allowed| overlap(allowed, filter))
                    && !except.iter().any(|denied| covers(denied, &self.id, filter))
            }
        }
    }
}

/// Whether all that `filter` matches lies in `wide`, whose `%i` stands for `id`. A topic is a filter, too.
pub(crate) fn covers(wide: &str, id: &str, filter: &str) -> bool {
    if is_apart(wide, filter) {
        return false;
    }
    let mut narrow = filter.split('/');
    for level in wide.split('/') {
        let level = if level == "%i" { id } else { level };
        match (level, narrow.next()) {
            ("#", _) => return true,
            ("+", Some(other)) if other != "#" => {}
            (level, Some(other)) if level == other => {}
            _ => return false,
        }
    }
    narrow.next().is_none()
}

/// Whether some topic matches both filters.
fn overlap(a: &str, b: &str) -> bool {
    if is_apart(a, b) || is_apart(b, a) {
        return false;
    }
    let (mut a, mut b) = (a.split('/'), b.split('/'));
    loop {
        match (a.next(), b.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == "+" || b == "+" => {}
            _ => return false,
        }
    }
}

/// A wildcard does not match the `$` that a broker's own topics begin with.
fn is_apart(wide: &str, filter: &str) -> bool {
    wide.starts_with(['#', '+']) && filter.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_covers_what_lies_in_it_and_overlaps_what_meets_it() {
        for (wide, filter, expected) in [
            ("#", "a/b", (true, true)),
            ("#", "$SYS/a", (false, false)),
            ("+/a", "$SYS/a", (false, false)),
            ("$SYS/#", "$SYS/a", (true, true)),
            ("$SYS/#", "#", (false, false)),
            ("a/#", "a", (true, true)),
            ("a/#", "#", (false, true)),
            ("a/+", "a/#", (false, true)),
            ("a/+", "a/b", (true, true)),
            ("a/+", "a/b/c", (false, false)),
            ("a/+", "+/b", (false, true)),
            ("a/b", "a/+", (false, true)),
            ("a/b", "a", (false, false)),
            ("a/%i", "a/me", (true, false)),
            ("a/%i/#", "a/+/x", (false, true)),
            ("a/b", "a/b", (true, true)),
        ] {
            assert_eq!((covers(wide, "me", filter), overlap(wide, filter)), expected, "{wide} {filter}");
        }
    }

    #[test]
    fn every_report_is_a_topic_of_the_protocol() {
        for report in REPORTS.iter().filter(|report| !report.starts_with('$')) {
            let report =
                report.replace("release/+", "release/app").replace("distribution/+", "distribution/app");
            let topic = ["x", "status"].map(|last| match report.rsplit_once("/+") {
                Some((head, "")) => format!("{head}/{last}").replace('+', "x"),
                _ => report.replace('+', "x"),
            });
            assert!(topic.iter().any(|topic| Tree::locate(topic).is_ok()), "{report}: {topic:?}");
        }
    }

    #[test]
    fn another_fleets_topics_are_neither_written_nor_asked_for_nor_delivered() {
        let names =
            [(Role::Edge, "e1"), (Role::Center, "c1"), (Role::Operator, "anna"), (Role::Dashboard, "wall")];
        for (role, id) in names {
            let subject = Subject::named(role, &format!("{id}@north")).unwrap();
            for below in ["edge/e1/status", "edge/e1/want", "center/c1/avail", "to/e1/desired", "catalog/a"] {
                let [own, other] = ["north", "fleet"].map(|fleet| format!("{fleet}/v1/{below}"));
                assert!(!subject.may_publish(&other) && !subject.may_subscribe(&other), "{id} {other}");
                assert!(!subject.reader.may_receive(&other), "{id} {other}");
                assert!(role != Role::Center || subject.reader.may_receive(&own), "{id} {own}");
            }
            assert!(!subject.may_subscribe("fleet/v1/#"));
        }
        let anna = Subject::named(Role::Operator, "anna@north").unwrap();
        assert!(["#", "+/v1/#", "north/v1/#", "x/y"].iter().all(|filter| anna.may_subscribe(filter)));
        assert!(anna.reader.may_receive("north/v1/to/e1/desired") && anna.reader.may_receive("$SYS/x"));
    }

    #[test]
    fn a_center_may_empty_what_an_edge_of_its_fleet_has_left_and_write_nothing_there() {
        let center = Subject::named(Role::Center, "c1@north").unwrap();
        let left = "north/v1/edge/e1/status";
        assert!(center.may_empty(left) && !center.may_publish(left));
        assert!(
            !center.may_empty("fleet/v1/edge/e1/status") && !center.may_empty("north/v1/center/c2/avail")
        );
        let edge = Subject::named(Role::Edge, "e2@north").unwrap();
        assert!(!edge.may_empty(left));
    }
}
