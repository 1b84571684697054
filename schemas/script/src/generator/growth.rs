//! How one script grows.
//!
//! Element by element, depth first: what is wanted is taken wherever it can be, and where nothing is, the way leads
//! to what is nearest. What is taken at one place is no longer wanted at the next. Deep down, and once the script is
//! large, each element gets its smallest content.

use std::sync::Arc;

use super::wanted::{NEVER, Wanted};
use crate::chance::Chance;
use crate::definition::Presence;
use crate::draft::{Child, Node};
use crate::items::model::{Branch, Part, Term};
use crate::items::{Attribute, Choice, Content, ItemId, Items, Mixed};
use crate::limit::{DEPTH_MAX, ELEMENTS_MAX, GROWTH_BYTES_MAX, GROWTH_DEPTH_MAX, REPEATS_MAX};

/// What is done where nothing is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// The least.
    Bare,
    /// Anything.
    Wild,
}

/// A value that must stand somewhere.
#[derive(Debug, Clone)]
pub(crate) struct Forced {
    pub element: usize,
    /// The attribute, by number; none means the text.
    pub attribute: Option<usize>,
    pub value: Arc<str>,
}

pub(crate) struct Growth<'g> {
    pub items: &'g Items,
    pub wanted: Wanted<'g>,
    pub chance: &'g mut Chance,
    pub style: Style,
    pub forced: Option<Forced>,
    /// How deep it grows.
    pub depth_max: usize,
    /// How many elements there are.
    pub elements: usize,
    /// How large the script is, roughly.
    pub bytes: usize,
}

impl<'g> Growth<'g> {
    /// With the least of what nobody wants.
    pub fn new(items: &'g Items, chance: &'g mut Chance, wanted: Wanted<'g>) -> Self {
        let (style, depth_max) = (Style::Bare, GROWTH_DEPTH_MAX);
        Self { items, wanted, chance, style, forced: None, depth_max, elements: 0, bytes: 0 }
    }

    /// The script, unless it has become too large or its references to ids cannot be settled.
    pub fn script(&mut self) -> Option<String> {
        let mut root = self.element(self.items.root, 1);
        let is_right = self.elements <= ELEMENTS_MAX && root.settle_ids(self.items);
        is_right.then(|| root.write(self.items))
    }

    /// The smallest element of this kind.
    pub fn least(&mut self, number: usize) -> Node {
        self.depth_max = 0;
        self.element(number, 1)
    }

    /// An element at this depth, the root's being 1.
    fn element(&mut self, number: usize, depth: usize) -> Node {
        let mut node = Node { element: number, attributes: Vec::new(), children: Vec::new() };
        self.elements += 1;
        let items = self.items;
        let Some(element) = items.element(number).filter(|_| self.elements <= ELEMENTS_MAX) else {
            return node;
        };
        // Two tags, each on a line of its own.
        self.bytes += 2 * (element.name.len() + 2 * depth) + 5;
        self.wanted.take(Some(element.item));
        for (i, attribute) in element.attributes.iter().enumerate() {
            if let Some(value) = self.attribute(number, i, attribute) {
                self.bytes += attribute.name.len() + value.len() + 4;
                node.attributes.push((i, value));
            }
        }
        match &element.content {
            Content::Empty => {}
            Content::Mixed(mixed) => self.mixed(number, mixed, depth, &mut node.children),
            Content::Children(part) => self.part(part, depth, &mut node.children),
        }
        node
    }

    fn grows(&self, depth: usize) -> bool {
        depth < self.depth_max && self.bytes < GROWTH_BYTES_MAX && self.elements < ELEMENTS_MAX
    }

    /// Whether something is done that nobody wants.
    fn likes(&mut self) -> bool {
        self.style == Style::Wild && self.chance.once_in(2)
    }

    /// Whether an element at this depth has room for what this needs below it.
    fn fits(&self, term: &Term, depth: usize) -> bool {
        term.cost(&self.items.elements).fits(DEPTH_MAX.saturating_sub(depth))
    }

    fn part(&mut self, part: &Part, depth: usize, children: &mut Vec<Child>) {
        let mut count = 0;
        while self.goes_on(part, count, depth) {
            self.term(&part.term, depth, children);
            count += 1;
        }
        self.wanted.take(part.counts.of(count));
    }

    /// Whether a part that occurred so often occurs once more. Of the counts that are wanted, more go before fewer,
    /// because they show more besides.
    fn goes_on(&mut self, part: &Part, count: usize, depth: usize) -> bool {
        if count == 0 && !part.occurs.may_be_absent() {
            return true;
        }
        let most = if part.occurs.may_repeat() { REPEATS_MAX } else { 1 };
        if count >= most || !self.grows(depth) || !self.fits(&part.term, depth) {
            return false;
        }
        let counts = part.counts;
        if self.wanted.has(counts.many) && count < 2 {
            true
        } else if !self.wanted.has(counts.many) && self.wanted.has(counts.one) {
            count == 0
        } else if !self.wanted.has(counts.many) && self.wanted.has(counts.zero) {
            false
        } else {
            self.wanted.of_term(&part.term) < NEVER || self.likes()
        }
    }

    fn term(&mut self, term: &Term, depth: usize, children: &mut Vec<Child>) {
        match term {
            Term::Element(number) => children.push(Child::Element(self.element(*number, depth + 1))),
            Term::Sequence(parts) => parts.iter().for_each(|part| self.part(part, depth, children)),
            Term::Choice(branches) => {
                if let Some(branch) = self.branch(branches, depth) {
                    self.wanted.take(Some(branch.item));
                    self.part(&branch.part, depth, children);
                }
            }
        }
    }

    /// The alternative that is nearest to what is wanted; without one the smallest, or any.
    fn branch<'b>(&mut self, branches: &'b [Branch], depth: usize) -> Option<&'b Branch> {
        let items = self.items;
        let smallest = || branches.iter().min_by_key(|branch| branch.part.cost(&items.elements));
        if !self.grows(depth) {
            return smallest();
        }
        let mut distance = |branch: &Branch| {
            let fits = self.fits(&branch.part.term, depth);
            fits.then(|| self.wanted.of_branch(branch.item, &branch.part))
        };
        let distances: Vec<_> = branches.iter().map(|branch| (distance(branch), branch)).collect();
        match nearest(distances) {
            (NEVER, _) if self.style == Style::Bare => smallest(),
            (_, among) => self.chance.pick(&among).copied().or_else(smallest),
        }
    }

    fn mixed(&mut self, element: usize, mixed: &Mixed, depth: usize, children: &mut Vec<Child>) {
        let before = children.len();
        while let Some(value) = self.text(element, mixed, children.len() == before) {
            self.bytes += value.len();
            children.push(Child::Text(value));
            let wants_more = mixed.texts.iter().any(|text| self.wanted.has(text.item));
            // Two texts are two only with an element between them.
            if !wants_more || !self.child(mixed, depth, children, true) {
                break;
            }
        }
        let has_text = children.len() > before;
        self.wanted.take(Some(if has_text { mixed.with_text } else { mixed.without_text }));
        while children.len() < before + REPEATS_MAX && self.child(mixed, depth, children, false) {}
    }

    /// The text that stands here, if one does.
    fn text(&mut self, element: usize, mixed: &Mixed, is_first: bool) -> Option<Arc<str>> {
        let forced = self.forced_value(element, None);
        if forced.is_some() {
            return forced;
        }
        let wants = mixed.texts.iter().any(|text| self.wanted.has(text.item));
        let wants_none = self.wanted.has(Some(mixed.without_text));
        let wants_first = self.wanted.has(Some(mixed.with_text)) || !wants_none && self.likes();
        if wants || is_first && wants_first { self.value(&mixed.texts) } else { None }
    }

    /// Puts in a child if one is wanted, or if one must part two texts; whether it did.
    fn child(&mut self, mixed: &Mixed, depth: usize, children: &mut Vec<Child>, must: bool) -> bool {
        if !self.grows(depth) {
            return false;
        }
        let mut distance = |(number, item): &(usize, ItemId)| {
            let fits = self.fits(&Term::Element(*number), depth);
            fits.then(|| match self.wanted.has(Some(*item)) {
                true => 0,
                false => self.wanted.distance(*number).saturating_add(1),
            })
        };
        let distances: Vec<_> = mixed.children.iter().map(|child| (distance(child), child)).collect();
        let (distance, among) = nearest(distances);
        if distance == NEVER && !must && !self.likes() {
            return false;
        }
        let Some((number, item)) = self.chance.pick(&among).copied() else { return false };
        self.wanted.take(Some(*item));
        children.push(Child::Element(self.element(*number, depth + 1)));
        true
    }

    /// The value to write, if one is written.
    fn attribute(&mut self, element: usize, number: usize, attribute: &Attribute) -> Option<Arc<str>> {
        let forced = self.forced_value(element, Some(number));
        let is_written = forced.is_some()
            || attribute.presence == Presence::Required
            || self.wanted.has(attribute.present)
            || attribute.values.iter().any(|choice| self.wanted.has(choice.item))
            || attribute.is_possible() && !self.wanted.has(attribute.absent) && self.likes();
        self.wanted.take(if is_written { attribute.present } else { attribute.absent });
        if !is_written {
            // What is supplied is shown too.
            let supplied = attribute.presence.value();
            let shown = attribute.values.iter().find(|choice| Some(&choice.value) == supplied);
            self.wanted.take(shown.and_then(|choice| choice.item));
            return None;
        }
        // An id gets its name when all are known.
        forced.or_else(|| self.value(&attribute.values)).or_else(|| Some("".into()))
    }

    /// A value that is wanted, or else any.
    fn value(&mut self, values: &[Choice]) -> Option<Arc<str>> {
        let wanted = values.iter().find(|choice| self.wanted.has(choice.item));
        let choice = wanted.or_else(|| self.chance.pick(values))?;
        self.wanted.take(choice.item);
        Some(Arc::clone(&choice.value))
    }

    fn forced_value(&mut self, element: usize, attribute: Option<usize>) -> Option<Arc<str>> {
        let here = |forced: &Forced| forced.element == element && forced.attribute == attribute;
        let forced = self.forced.take_if(|forced| here(forced))?;
        self.wanted.took_from(element);
        Some(forced.value)
    }
}

/// The least of the distances, and what is so near. What has no distance has no room either.
fn nearest<T>(distances: Vec<(Option<usize>, T)>) -> (usize, Vec<T>) {
    let least = distances.iter().filter_map(|(distance, _)| *distance).min().unwrap_or(NEVER);
    let among = distances.into_iter().filter(|(distance, _)| *distance == Some(least));
    (least, among.map(|(_, thing)| thing).collect())
}
