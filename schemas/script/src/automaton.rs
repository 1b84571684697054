//! Content models as Glushkov automata: one state for each place where a name stands in the model, and one before
//! all of them.
//!
//! A model is deterministic (XML 1.0, fifth edition, 3.2.1 and appendix E) if no state has two transitions under
//! one name; others are refused. So a step is a look-up, and what is expected next can always be told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::definition::model::{Particle, Term};
use crate::limit::TRANSITIONS_MAX;

/// An automaton that accepts what a content model allows.
#[derive(Debug, Clone)]
pub(crate) struct Automaton {
    states: Vec<State>,
}

/// A state: a place in the model behind which something may follow. What may follow several places is kept once, so
/// that of `(a | b | …)*` there are not as many transitions as pairs of names.
#[derive(Debug, Clone, Default)]
struct State {
    next: Vec<Arc<Places>>,
    may_end: bool,
}

/// Places by the elements that lead to them.
type Places = BTreeMap<Arc<str>, Place>;

/// A state's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place(usize);

/// A model of which no automaton is made; reads after "the content model of <x>".
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ModelError {
    #[error("is not deterministic: a <{0}> may stand for two places in it")]
    Ambiguous(Arc<str>),
    #[error("is too large: all models together need more than {TRANSITIONS_MAX} transitions")]
    Large,
}

impl Automaton {
    /// Makes the automaton; takes what it costs from the budget.
    pub fn build(model: &Particle, budget: &mut usize) -> Result<Self, ModelError> {
        let mut builder = Builder { states: vec![State::default()], budget };
        let whole = builder.part(model)?;
        let mut start = Part { last: vec![Place::default()], ..Part::default() };
        builder.link(&mut start, &whole.first)?;
        let starting = start.last.iter().filter(|_| whole.may_be_absent);
        for place in whole.last.iter().chain(starting) {
            if let Some(state) = builder.states.get_mut(place.0) {
                state.may_end = true;
            }
        }
        Ok(Self { states: builder.states })
    }

    /// The place behind this element, if it may stand here.
    pub fn step(&self, place: Place, name: &str) -> Option<Place> {
        self.states.get(place.0)?.next.iter().find_map(|places| places.get(name)).copied()
    }

    /// Whether the content may end here.
    pub fn may_end(&self, place: Place) -> bool {
        self.states.get(place.0).is_some_and(|state| state.may_end)
    }

    /// The elements that may stand here, sorted.
    pub fn expected(&self, place: Place) -> BTreeSet<&str> {
        self.states.get(place.0).into_iter().flat_map(State::names).collect()
    }

    /// All elements that may stand anywhere.
    pub fn names(&self) -> BTreeSet<&str> {
        self.states.iter().flat_map(State::names).collect()
    }
}

impl State {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.next.iter().flat_map(|places| places.keys().map(|name| &**name))
    }
}

/// A part of a model: the places where it can begin and end, and what may follow the latter so far.
#[derive(Default)]
struct Part {
    may_be_absent: bool,
    first: Vec<(Arc<str>, Place)>,
    last: Vec<Place>,
    /// To which place an element leads from any of the last; none if from one to this and from another to that.
    after: BTreeMap<Arc<str>, Option<Place>>,
}

impl Part {
    /// Adds where an element leads from places among the last.
    fn follow(&mut self, name: &Arc<str>, place: Option<Place>) {
        let known = self.after.entry(Arc::clone(name)).or_insert(place);
        if *known != place {
            *known = None;
        }
    }
}

struct Builder<'b> {
    states: Vec<State>,
    budget: &'b mut usize,
}

impl Builder<'_> {
    fn part(&mut self, particle: &Particle) -> Result<Part, ModelError> {
        let mut part = match &particle.term {
            Term::Element(name) => self.element(name)?,
            Term::Sequence(parts) => self.sequence(parts)?,
            Term::Choice(parts) => self.choice(parts)?,
        };
        if particle.occurs.may_repeat() {
            let first = part.first.clone();
            self.link(&mut part, &first)?;
        }
        part.may_be_absent |= particle.occurs.may_be_absent();
        Ok(part)
    }

    fn element(&mut self, name: &Arc<str>) -> Result<Part, ModelError> {
        self.spend(1)?;
        let place = Place(self.states.len());
        self.states.push(State::default());
        Ok(Part { first: vec![(Arc::clone(name), place)], last: vec![place], ..Part::default() })
    }

    fn sequence(&mut self, parts: &[Particle]) -> Result<Part, ModelError> {
        let mut whole = Part { may_be_absent: true, ..Part::default() };
        for particle in parts {
            let part = self.part(particle)?;
            self.link(&mut whole, &part.first)?;
            if !part.may_be_absent {
                whole.last.clear();
                whole.after.clear();
            }
            whole.last.extend(part.last);
            part.after.iter().for_each(|(name, place)| whole.follow(name, *place));
            if whole.may_be_absent {
                whole.first.extend(part.first);
            }
            whole.may_be_absent &= part.may_be_absent;
        }
        Ok(whole)
    }

    fn choice(&mut self, parts: &[Particle]) -> Result<Part, ModelError> {
        let mut whole = Part::default();
        for particle in parts {
            let part = self.part(particle)?;
            whole.first.extend(part.first);
            whole.last.extend(part.last);
            part.after.iter().for_each(|(name, place)| whole.follow(name, *place));
            whole.may_be_absent |= part.may_be_absent;
        }
        Ok(whole)
    }

    /// Lets these places follow every last one of the part.
    fn link(&mut self, part: &mut Part, to: &[(Arc<str>, Place)]) -> Result<(), ModelError> {
        self.spend(to.len().saturating_add(part.last.len()))?;
        let mut places = Places::new();
        for (name, place) in to {
            let leads_elsewhere = part.after.get(name).is_some_and(|known| *known != Some(*place));
            if leads_elsewhere || *places.entry(Arc::clone(name)).or_insert(*place) != *place {
                return Err(ModelError::Ambiguous(Arc::clone(name)));
            }
        }
        if !part.last.is_empty() {
            places.iter().for_each(|(name, place)| part.follow(name, Some(*place)));
        }
        let places = Arc::new(places);
        for place in &part.last {
            self.states.get_mut(place.0).into_iter().for_each(|state| state.next.push(Arc::clone(&places)));
        }
        Ok(())
    }

    fn spend(&mut self, steps: usize) -> Result<(), ModelError> {
        *self.budget = self.budget.checked_sub(steps).ok_or(ModelError::Large)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::model::Occurs;
    use crate::definition::{Content, Definition};

    fn automaton(model: &str) -> Automaton {
        let names = ["a", "b", "c"].map(|name| format!("<!ELEMENT {name} EMPTY>")).concat();
        let definition = Definition::parse("d", format!("<!ELEMENT r {model}>{names}").as_bytes()).unwrap();
        match &definition.element("r").unwrap().content {
            Content::Children { automaton, .. } => automaton.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn accepts(automaton: &Automaton, word: &str) -> bool {
        let step = |place: Place, name: char| automaton.step(place, name.encode_utf8(&mut [0; 4]));
        word.chars().try_fold(Place::default(), step).is_some_and(|place| automaton.may_end(place))
    }

    #[test]
    fn a_model_accepts_what_it_says_and_nothing_else() {
        let cases: [(&str, &[&str], &[&str]); 8] = [
            ("(a)", &["a"], &["", "aa", "b"]),
            ("(a, b?)", &["a", "ab"], &["", "b", "abb", "ba"]),
            ("(a | b)*", &["", "a", "b", "abba"], &["c", "ac"]),
            ("(a+, (b | c)?)", &["a", "aa", "aab", "ac"], &["", "b", "abc"]),
            ("(a?, b*, c+)", &["c", "ac", "bbcc", "abc"], &["", "ab", "ba"]),
            ("((a, b)+, c)*", &["", "abc", "ababcabc"], &["ab", "c", "abcc"]),
            ("((a?, b?) | c)", &["", "a", "b", "ab", "c"], &["ac", "ba", "cc"]),
            ("(a, (b, (c, a?)*)?)", &["a", "ab", "abc", "abcac"], &["abca a", "aba"]),
        ];
        for (model, good, bad) in cases {
            let automaton = automaton(model);
            good.iter().for_each(|word| assert!(accepts(&automaton, word), "{model} {word}"));
            bad.iter().for_each(|word| assert!(!accepts(&automaton, word), "{model} {word}"));
        }
    }

    #[test]
    fn what_is_expected_is_known_at_every_place() {
        let automaton = automaton("(a+, (b | c)?)");
        let start = Place::default();
        assert_eq!(automaton.expected(start), BTreeSet::from(["a"]));
        let behind = automaton.step(start, "a").unwrap();
        assert_eq!(automaton.expected(behind), BTreeSet::from(["a", "b", "c"]));
        assert_eq!(automaton.names(), BTreeSet::from(["a", "b", "c"]));
    }

    #[test]
    fn a_model_that_costs_its_budget_is_made_and_a_larger_one_is_not() {
        let name = |name: &str| Particle { term: Term::Element(name.into()), occurs: Occurs::Once };
        let model = Particle { term: Term::Sequence(vec![name("a"), name("b")]), occurs: Occurs::Some };
        // Two names; that a leads to b, b to a, and the start to a, each to one place from one; b follows nothing.
        assert!(Automaton::build(&model, &mut 9).is_ok());
        assert_eq!(Automaton::build(&model, &mut 8).map(drop), Err(ModelError::Large));
    }
}
