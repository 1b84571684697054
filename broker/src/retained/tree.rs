//! Values by topic, found by filter in one walk that visits only branches that can match.
//!
//! A walk gives a page and goes on after the last topic of the page before, so that whoever reads a large tree holds
//! neither a copy of it nor its lock. Topics come in the order of their levels, parents first. Depth is bounded by
//! whoever checks topics.

use std::collections::BTreeMap;
use std::ops::Bound;

/// One level: the value of the topic that ends here, and the levels below.
#[derive(Debug)]
pub(crate) struct Tree<T> {
    value: Option<T>,
    below: BTreeMap<Box<str>, Tree<T>>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { value: None, below: BTreeMap::new() }
    }
}

impl<T: Clone> Tree<T> {
    pub(crate) fn get(&self, topic: &str) -> Option<&T> {
        let mut node = self;
        for level in topic.split('/') {
            node = node.below.get(level)?;
        }
        node.value.as_ref()
    }

    /// Puts a value and returns the one before.
    pub(crate) fn insert(&mut self, topic: &str, value: T) -> Option<T> {
        let mut node = self;
        for level in topic.split('/') {
            node = node.below.entry(level.into()).or_default();
        }
        node.value.replace(value)
    }

    /// Takes a value out, and every branch that holds nothing more.
    pub(crate) fn remove(&mut self, topic: &str) -> Option<T> {
        let (level, rest) = match topic.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (topic, None),
        };
        let node = self.below.get_mut(level)?;
        let value = match rest {
            Some(rest) => node.remove(rest),
            None => node.value.take(),
        };
        if node.value.is_none() && node.below.is_empty() {
            self.below.remove(level);
        }
        value
    }

    /// Up to `page` values whose topics match `filter` and come after `after`.
    pub(crate) fn page(&self, filter: &str, after: Option<&str>, page: usize) -> Vec<T> {
        let filter: Vec<&str> = filter.split('/').collect();
        let after: Option<Vec<&str>> = after.map(|topic| topic.split('/').collect());
        let mut found = Vec::new();
        self.walk(&filter, after.as_deref(), page, &mut found);
        found
    }

    fn walk(&self, filter: &[&str], after: Option<&[&str]>, page: usize, found: &mut Vec<T>) {
        match filter {
            [] => self.take(after, page, found),
            ["#"] => {
                self.take(after, page, found);
                self.walk_below(filter, after, page, found);
            }
            ["+", rest @ ..] => self.walk_below(rest, after, page, found),
            [level, rest @ ..] => {
                let (passed, after) = match after.and_then(<[&str]>::split_first) {
                    Some((first, after)) => (level < first, (level == first).then_some(after)),
                    None => (false, None),
                };
                if let Some(node) = self.below.get(*level).filter(|_| !passed) {
                    node.walk(rest, after, page, found);
                }
            }
        }
    }

    fn walk_below(&self, filter: &[&str], after: Option<&[&str]>, page: usize, found: &mut Vec<T>) {
        let (start, rest) = match after.and_then(<[&str]>::split_first) {
            Some((first, rest)) => (Bound::Included(*first), Some((*first, rest))),
            None => (Bound::Unbounded, None),
        };
        for (level, node) in self.below.range::<str, _>((start, Bound::Unbounded)) {
            if found.len() >= page {
                return;
            }
            let after = rest.and_then(|(first, rest)| (**level == *first).then_some(rest));
            node.walk(filter, after, page, found);
        }
    }

    /// The value here, unless `after` is this topic or one below it.
    fn take(&self, after: Option<&[&str]>, page: usize, found: &mut Vec<T>) {
        if after.is_none() && found.len() < page {
            found.extend(self.value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPICS: [&str; 9] = ["a", "a/b", "a/b/c", "a/bb", "a/c/c", "b", "b/b/c", "/a", "a//c"];

    fn tree() -> Tree<String> {
        let mut tree = Tree::default();
        for topic in TOPICS {
            tree.insert(topic, topic.to_owned());
        }
        tree
    }

    #[test]
    fn a_filter_finds_exactly_what_the_router_would_match() {
        for filter in
            ["#", "+", "a", "a/#", "a/+", "+/b/#", "+/+/c", "a/b/c", "a/b/c/#", "x", "+/+", "/#", "a//+"]
        {
            let matching = |topic: &&str| rumqttd::protocol::matches(topic, filter);
            let mut expected: Vec<&str> = TOPICS.into_iter().filter(matching).collect();
            let mut found = tree().page(filter, None, usize::MAX);
            expected.sort();
            found.sort();
            assert_eq!(found, expected, "{filter}");
        }
    }

    #[test]
    fn pages_of_any_size_add_up_to_the_whole_without_repeating() {
        for filter in ["#", "a/#", "+/+", "+/b/#", "a/b", "a/b/#", "+/+/c"] {
            let tree = tree();
            let whole = tree.page(filter, None, usize::MAX);
            for size in 1..5 {
                let mut pages: Vec<String> = Vec::new();
                loop {
                    let page = tree.page(filter, pages.last().map(String::as_str), size);
                    assert!(page.len() <= size);
                    if page.is_empty() {
                        break;
                    }
                    pages.extend(page);
                }
                assert_eq!(pages, whole, "{filter} by {size}");
            }
        }
    }

    #[test]
    fn removing_everything_leaves_an_empty_tree() {
        let mut tree = tree();
        assert_eq!(tree.remove("a/x"), None);
        assert_eq!(tree.remove("a/b"), Some("a/b".to_owned()));
        assert_eq!(tree.get("a/b/c").map(String::as_str), Some("a/b/c"));
        for topic in TOPICS {
            tree.remove(topic);
        }
        assert!(tree.below.is_empty());
    }
}
