//! What a topic and a filter must look like before anything else sees them.
//!
//! Topics are ASCII without control characters, because the router panics on others; `$` topics are the broker's
//! own, and there are none. Who may use a topic is decided in [`crate::access`].

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

/// Checks a topic that someone publishes to and returns it as text.
pub(crate) fn check_name<'a>(topic: &'a [u8], limits: &Limits) -> Result<&'a str, TopicError> {
    let topic = check(topic, limits)?;
    if topic.contains(['+', '#']) { Err(TopicError::Wildcard) } else { Ok(topic) }
}

/// Checks a filter that someone subscribes to: `+` fills a level, `#` fills the last one.
pub(crate) fn check_filter(filter: &str, limits: &Limits) -> Result<(), TopicError> {
    let filter = check(filter.as_bytes(), limits)?;
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
        text if text.starts_with('$') => Err(TopicError::Reserved),
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
        assert_eq!(check_filter("$share/g/a", &limits), Err(TopicError::Reserved));
    }
}
