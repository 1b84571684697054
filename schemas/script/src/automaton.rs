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

/// A state: a place in the model behind which something may follow.
#[derive(Debug, Clone, Default)]
struct State {
    next: BTreeMap<Arc<str>, Place>,
    may_end: bool,
}

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
        let start = [Place::default()];
        builder.link(&start, &whole.first)?;
        let starting = start.iter().filter(|_| whole.may_be_absent);
        for place in whole.last.iter().chain(starting) {
            if let Some(state) = builder.states.get_mut(place.0) {
                state.may_end = true;
            }
        }
        Ok(Self { states: builder.states })
    }

    /// The place behind this element, if it may stand here.
    pub fn step(&self, place: Place, name: &str) -> Option<Place> {
        self.states.get(place.0)?.next.get(name).copied()
    }

    /// Whether the content may end here.
    pub fn may_end(&self, place: Place) -> bool {
        self.states.get(place.0).is_some_and(|state| state.may_end)
    }

    /// The elements that may stand here, sorted.
    pub fn expected(&self, place: Place) -> impl Iterator<Item = &str> {
        self.states.get(place.0).into_iter().flat_map(|state| state.next.keys().map(|name| &**name))
    }

    /// All elements that may stand anywhere.
    pub fn names(&self) -> BTreeSet<&str> {
        self.states.iter().flat_map(|state| state.next.keys().map(|name| &**name)).collect()
    }
}

/// A part of a model: the places where it can begin and end.
struct Part {
    may_be_absent: bool,
    first: Vec<(Arc<str>, Place)>,
    last: Vec<Place>,
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
            self.link(&part.last, &part.first)?;
        }
        part.may_be_absent |= particle.occurs.may_be_absent();
        Ok(part)
    }

    fn element(&mut self, name: &Arc<str>) -> Result<Part, ModelError> {
        self.spend()?;
        let place = Place(self.states.len());
        self.states.push(State::default());
        Ok(Part { may_be_absent: false, first: vec![(Arc::clone(name), place)], last: vec![place] })
    }

    fn sequence(&mut self, parts: &[Particle]) -> Result<Part, ModelError> {
        let mut whole = Part { may_be_absent: true, first: Vec::new(), last: Vec::new() };
        for particle in parts {
            let part = self.part(particle)?;
            self.link(&whole.last, &part.first)?;
            if whole.may_be_absent {
                whole.first.extend(part.first);
            }
            if !part.may_be_absent {
                whole.last.clear();
            }
            whole.last.extend(part.last);
            whole.may_be_absent &= part.may_be_absent;
        }
        Ok(whole)
    }

    fn choice(&mut self, parts: &[Particle]) -> Result<Part, ModelError> {
        let mut whole = Part { may_be_absent: false, first: Vec::new(), last: Vec::new() };
        for particle in parts {
            let part = self.part(particle)?;
            whole.first.extend(part.first);
            whole.last.extend(part.last);
            whole.may_be_absent |= part.may_be_absent;
        }
        Ok(whole)
    }

    fn link(&mut self, from: &[Place], to: &[(Arc<str>, Place)]) -> Result<(), ModelError> {
        for place in from {
            for (name, next) in to {
                self.spend()?;
                let Some(state) = self.states.get_mut(place.0) else { continue };
                if *state.next.entry(Arc::clone(name)).or_insert(*next) != *next {
                    return Err(ModelError::Ambiguous(Arc::clone(name)));
                }
            }
        }
        Ok(())
    }

    fn spend(&mut self) -> Result<(), ModelError> {
        *self.budget = self.budget.checked_sub(1).ok_or(ModelError::Large)?;
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
        assert_eq!(automaton.expected(start).collect::<Vec<_>>(), ["a"]);
        let behind = automaton.step(start, "a").unwrap();
        assert_eq!(automaton.expected(behind).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(automaton.names().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn a_model_that_costs_its_budget_is_made_and_a_larger_one_is_not() {
        let name = |name: &str| Particle { term: Term::Element(name.into()), occurs: Occurs::Once };
        let model = Particle { term: Term::Sequence(vec![name("a"), name("b")]), occurs: Occurs::Some };
        // Two names, and the transitions to a, from a to b and from b to a.
        assert!(Automaton::build(&model, &mut 5).is_ok());
        assert_eq!(Automaton::build(&model, &mut 4).map(drop), Err(ModelError::Large));
    }
}
