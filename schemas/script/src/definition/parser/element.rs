//! Element declarations and content models (XML 1.0, fifth edition, 3.2).

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::super::input::Frame;
use super::super::model::{Occurs, Particle, Term};
use super::{Parser, Written};
use crate::diagnostic::{Position, Problem, fail};
use crate::limit::{DECLARATIONS_MAX, MODEL_DEPTH_MAX, MODEL_NAMES_MAX};

impl Parser<'_, '_> {
    pub(super) fn element(&mut self, frame: Frame, at: Position) -> Result<(), Problem> {
        self.space()?;
        let name: Arc<str> = self.input.cursor().name("the name of an element")?.into();
        self.space()?;
        let content = self.content()?;
        self.close(frame)?;
        if self.declared.elements.len() >= DECLARATIONS_MAX {
            return fail(at, format!("there are more than {DECLARATIONS_MAX} elements"));
        }
        match self.declared.elements.entry(name) {
            Entry::Vacant(entry) => drop(entry.insert((at, content))),
            Entry::Occupied(entry) => self.report.add(at, format!("<{}> is declared twice", entry.key())),
        }
        Ok(())
    }

    fn content(&mut self) -> Result<Written, Problem> {
        let frame = self.input.frame();
        let cursor = self.input.cursor();
        if cursor.eat("EMPTY") {
            return Ok(Written::Empty);
        }
        if cursor.eat("ANY") {
            return Ok(Written::Any);
        }
        if !cursor.eat("(") {
            return fail(cursor.at(), format!("expected EMPTY, ANY or `(`, found {}", cursor.found()));
        }
        self.input.white()?;
        match self.input.cursor().eat("#PCDATA") {
            true => self.mixed(frame).map(Written::Mixed),
            false => self.group(frame, 1).map(Written::Children),
        }
    }

    fn mixed(&mut self, frame: Frame) -> Result<BTreeSet<Arc<str>>, Problem> {
        let mut names = BTreeSet::new();
        self.input.white()?;
        while self.input.cursor().eat("|") {
            self.input.white()?;
            let at = self.input.at();
            let name = self.child("the name of an element")?;
            if !names.insert(Arc::clone(&name)) {
                self.report.add(at, format!("<{name}> is named twice in a mixed model"));
            }
            self.input.white()?;
        }
        self.end_group(frame)?;
        let cursor = self.input.cursor();
        match cursor.eat("*") || names.is_empty() {
            true => Ok(names),
            false => {
                fail(cursor.at(), format!("expected `*` behind a mixed model, found {}", cursor.found()))
            }
        }
    }

    /// Passes the rest of a group, behind its `(`.
    fn group(&mut self, frame: Frame, depth: usize) -> Result<Particle, Problem> {
        if depth > MODEL_DEPTH_MAX {
            return fail(self.input.at(), format!("a content model is nested deeper than {MODEL_DEPTH_MAX}"));
        }
        let mut parts = vec![self.particle(depth)?];
        let separator = self.input.peek().filter(|c| matches!(c, ',' | '|'));
        while let Some(separator) = separator.filter(|separator| self.input.peek() == Some(*separator)) {
            self.expect(separator.encode_utf8(&mut [0; 4]))?;
            parts.push(self.particle(depth)?);
        }
        if separator.is_some() && matches!(self.input.peek(), Some(',' | '|')) {
            return fail(self.input.at(), "`,` and `|` in one group need parentheses between them");
        }
        self.end_group(frame)?;
        let term = if separator == Some('|') { Term::Choice(parts) } else { Term::Sequence(parts) };
        Ok(Particle { term, occurs: self.occurs() })
    }

    /// Passes a name or a group, with the white space on both sides.
    fn particle(&mut self, depth: usize) -> Result<Particle, Problem> {
        self.input.white()?;
        let frame = self.input.frame();
        let particle = if self.input.cursor().eat("(") {
            self.group(frame, depth + 1)?
        } else {
            let name = self.child("the name of an element or `(`")?;
            Particle { term: Term::Element(name), occurs: self.occurs() }
        };
        self.input.white()?;
        Ok(particle)
    }

    fn child(&mut self, what: &str) -> Result<Arc<str>, Problem> {
        self.names += 1;
        if self.names > MODEL_NAMES_MAX {
            return fail(
                self.input.at(),
                format!("there are more than {MODEL_NAMES_MAX} names in content models"),
            );
        }
        self.input.cursor().name(what).map(Arc::from)
    }

    fn end_group(&mut self, frame: Frame) -> Result<(), Problem> {
        let (end, at) = (self.input.frame(), self.input.at());
        self.expect(")")?;
        match end == frame {
            true => Ok(()),
            false => fail(at, "a group must end in the entity in which it began"),
        }
    }

    fn occurs(&mut self) -> Occurs {
        let cursor = self.input.cursor();
        if cursor.eat("?") {
            Occurs::Optional
        } else if cursor.eat("*") {
            Occurs::Any
        } else if cursor.eat("+") {
            Occurs::Some
        } else {
            Occurs::Once
        }
    }
}
