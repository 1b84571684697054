//! What a topic and a filter must look like before anything else sees them.
//!
//! Topics are printable ASCII, as the protocol's are. `$SYS` is the broker's own to write and anybody's to ask for;
//! other `$` topics do not exist. Who may use a topic is decided in [`crate::access`].

use crate::limits::Limits;

/// What is wrong with a topic or a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TopicError {
    #[error("it is empty")]
    Empty,
    #[error("it is too long")]
    TooLong,
    #[error("it has too many levels")]
    TooDeep,
    #[error("it holds a character that is not printable ASCII")]
    Character,
    #[error("it begins with $")]
    Reserved,
    #[error("it has a wildcard where none may be")]
    Wildcard,
}

/// A shared subscription's filter: `$share/<name>/<filter>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share<'a> {
    pub name: &'a str,
    pub filter: &'a str,
}

impl<'a> Share<'a> {
    /// Nothing if it is not one.
    pub(crate) fn of(filter: &'a str) -> Option<Self> {
        let (name, filter) = filter.strip_prefix("$share/")?.split_once('/')?;
        Some(Self { name, filter })
    }
}

/// Checks a topic that someone publishes to and returns it as text.
pub(crate) fn check_name<'a>(topic: &'a [u8], limits: &Limits) -> Result<&'a str, TopicError> {
    let topic = check(topic, limits)?;
    match topic {
        topic if topic.starts_with('$') => Err(TopicError::Reserved),
        topic if topic.contains(['+', '#']) => Err(TopicError::Wildcard),
        topic => Ok(topic),
    }
}

/// Checks a filter that someone subscribes to, shared or not: `+` fills a level, `#` fills the last one.
pub(crate) fn check_filter(filter: &str, limits: &Limits) -> Result<(), TopicError> {
    let filter = check(filter.as_bytes(), limits)?;
    let filter = match Share::of(filter) {
        Some(share) if share.name.is_empty() || share.name.contains(['+', '#']) => {
            return Err(TopicError::Wildcard);
        }
        Some(share) if share.filter.is_empty() => return Err(TopicError::Empty),
        Some(share) => share.filter,
        None => filter,
    };
    if filter.starts_with('$') && !filter.starts_with("$SYS/") {
        return Err(TopicError::Reserved);
    }
    let last = filter.split('/').count() - 1;
    let sane = |(i, level): (usize, &str)| match level {
        "+" => true,
        "#" => i == last,
        other => !other.contains(['+', '#']),
    };
    if filter.split('/').enumerate().all(sane) { Ok(()) } else { Err(TopicError::Wildcard) }
}

fn check<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, TopicError> {
    if bytes.len() > limits.topic_bytes {
        return Err(TopicError::TooLong);
    }
    if !bytes.iter().all(|b| matches!(b, b' '..=b'~')) {
        return Err(TopicError::Character);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| TopicError::Character)?;
    match text {
        "" => Err(TopicError::Empty),
        text if text.split('/').count() > limits.topic_levels => Err(TopicError::TooDeep),
        text => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_printable_ascii_without_wildcards_within_its_limits() {
        let limits = Limits { topic_bytes: 10, topic_levels: 3, ..Limits::default() };
        let check = |topic: &str| check_name(topic.as_bytes(), &limits).map(|_| ());
        for good in ["a", "a/b/c", "/a", "a//b", "a b"] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for (bad, error) in [
            ("", TopicError::Empty),
            ("ä/b", TopicError::Character),
            ("a\0", TopicError::Character),
            ("$SYS/x", TopicError::Reserved),
            ("a/+", TopicError::Wildcard),
            ("a#", TopicError::Wildcard),
            ("a/b/c/d", TopicError::TooDeep),
            ("aaaaaaaaaaa", TopicError::TooLong),
        ] {
            assert_eq!(check(bad), Err(error), "{bad:?}");
        }
        assert_eq!(check_name(&[0xff], &limits), Err(TopicError::Character));
    }

    #[test]
    fn a_wildcard_fills_a_level_and_the_hash_ends_a_filter() {
        let limits = Limits::default();
        for good in ["#", "+", "a/#", "+/a/+", "a/+/#"] {
            assert_eq!(check_filter(good, &limits), Ok(()), "{good}");
        }
        for bad in ["a#", "a/b#", "#/a", "a+/b", "++", "a/#/b"] {
            assert_eq!(check_filter(bad, &limits), Err(TopicError::Wildcard), "{bad}");
        }
        for good in ["$share/g/a", "$share/g/+/#", "$share/g//", "$SYS/#", "$share/g/$SYS/+"] {
            assert_eq!(check_filter(good, &limits), Ok(()), "{good}");
        }
        for (bad, error) in [
            ("$share/g", TopicError::Reserved),
            ("$share//a", TopicError::Wildcard),
            ("$share/+/a", TopicError::Wildcard),
            ("$share/g/", TopicError::Empty),
            ("$share/g/a#", TopicError::Wildcard),
            ("$share/g/$share/h/a", TopicError::Reserved),
            ("$other/a", TopicError::Reserved),
        ] {
            assert_eq!(check_filter(bad, &limits), Err(error), "{bad}");
        }
    }
}
