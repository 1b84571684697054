//! From the text of a definition to its declarations. Goes on at the next `<!` after an error.

mod attlist;
mod element;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attribute::{Kind, Presence};
use super::input::{Frame, Input};
use super::model::Particle;
use crate::diagnostic::{Position, Problem, Report, fail};
use crate::literal::{self, comment, declaration, instruction};

/// All that a definition declares.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub elements: BTreeMap<Arc<str>, (Position, Written)>,
    pub attributes: BTreeMap<String, BTreeMap<String, Attribute>>,
}

/// What an element may hold, as it is written.
#[derive(Debug)]
pub(crate) enum Written {
    Empty,
    Any,
    Mixed(BTreeSet<Arc<str>>),
    Children(Particle),
}

/// An attribute and where it is declared.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub at: Position,
    pub kind: Kind,
    pub presence: Presence,
}

/// Reads all declarations; reports what is wrong with them.
pub(crate) fn parse(text: &str, report: &mut Report) -> Declared {
    let mut parser =
        Parser { input: Input::new(text), report, sections: Vec::new(), declared: Declared::default() };
    if let Err(problem) = declaration(parser.input.cursor(), literal::Kind::Definition) {
        parser.report.problem(problem);
    }
    loop {
        let offset = parser.input.offset();
        match parser.declaration() {
            Ok(true) => {}
            Ok(false) => break,
            Err(problem) => {
                parser.report.problem(problem);
                parser.input.resume_behind(offset);
            }
        }
    }
    if let Some((_, at)) = parser.sections.last().filter(|_| parser.report.is_empty()) {
        parser.report.add(*at, "this INCLUDE section is never closed");
    }
    parser.declared
}

struct Parser<'r> {
    input: Input,
    report: &'r mut Report,
    /// The INCLUDE sections that are open.
    sections: Vec<(Frame, Position)>,
    declared: Declared,
}

impl Parser<'_> {
    /// Passes one declaration; whether there was one.
    fn declaration(&mut self) -> Result<bool, Problem> {
        self.input.white()?;
        let frame = self.input.frame();
        let cursor = self.input.cursor();
        let at = cursor.at();
        match cursor.peek() {
            None => return Ok(false),
            Some(_) if cursor.looks_at("<!--") => comment(cursor)?,
            Some(_) if cursor.looks_at("<?") => instruction(cursor)?,
            Some(_) if cursor.eat("<![") => self.section(frame, at)?,
            Some(_) if cursor.eat("]]>") => self.end_section(frame, at)?,
            Some(_) if cursor.eat("<!ELEMENT") => self.element(frame, at)?,
            Some(_) if cursor.eat("<!ATTLIST") => self.attlist(frame)?,
            Some(_) if cursor.eat("<!ENTITY") => self.entity(frame, at)?,
            Some(_) if cursor.looks_at("<!NOTATION") => return fail(at, "notations are not supported"),
            Some(_) => return fail(at, format!("expected a declaration, found {}", cursor.found())),
        }
        Ok(true)
    }

    fn section(&mut self, frame: Frame, at: Position) -> Result<(), Problem> {
        self.input.white()?;
        if self.input.cursor().eat("INCLUDE") {
            self.input.white()?;
            self.expect("[")?;
            self.sections.push((frame, at));
            return Ok(());
        }
        if !self.input.cursor().eat("IGNORE") {
            return fail(at, format!("expected INCLUDE or IGNORE, found {}", self.input.cursor().found()));
        }
        self.input.white()?;
        self.expect("[")?;
        let cursor = self.input.cursor();
        let mut depth = 1_usize;
        while depth > 0 {
            if cursor.eat("<![") {
                depth += 1;
            } else if cursor.eat("]]>") {
                depth -= 1;
            } else if cursor.bump().is_none() {
                return fail(at, "this IGNORE section is never closed");
            }
        }
        Ok(())
    }

    fn end_section(&mut self, frame: Frame, at: Position) -> Result<(), Problem> {
        match self.sections.pop() {
            Some((begun, _)) if begun == frame => Ok(()),
            Some(_) => fail(at, "an INCLUDE section must end in the entity in which it began"),
            None => fail(at, "`]]>` closes nothing"),
        }
    }

    fn entity(&mut self, frame: Frame, at: Position) -> Result<(), Problem> {
        self.space()?;
        if !self.input.cursor().eat("%") {
            return fail(at, "general entities are not supported");
        }
        self.space()?;
        let name = self.input.cursor().name("the name of a parameter entity")?;
        self.space()?;
        if self.input.cursor().looks_at("SYSTEM") || self.input.cursor().looks_at("PUBLIC") {
            return fail(at, format!("%{name};: external entities are not supported"));
        }
        let text = self.input.entity_value()?;
        self.close(frame)?;
        self.input.declare(name, text);
        Ok(())
    }

    fn space(&mut self) -> Result<(), Problem> {
        match self.input.white()? {
            true => Ok(()),
            false => {
                fail(self.input.at(), format!("expected white space, found {}", self.input.cursor().found()))
            }
        }
    }

    fn expect(&mut self, literal: &str) -> Result<(), Problem> {
        self.input.cursor().expect(literal)
    }

    /// Passes the end of a declaration.
    fn close(&mut self, frame: Frame) -> Result<(), Problem> {
        self.input.white()?;
        let (end, at) = (self.input.frame(), self.input.at());
        self.expect(">")?;
        match end == frame {
            true => Ok(()),
            false => fail(at, "a declaration must end in the entity in which it began"),
        }
    }
}
