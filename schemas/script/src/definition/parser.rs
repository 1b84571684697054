//! From the text of a definition to its declarations. Goes on at the next `<!` after an error.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attribute::{Kind, Presence};
use super::input::{Frame, Input};
use super::model::{Occurs, Particle, Term};
use crate::diagnostic::{Position, Problem, Report, fail, shown};
use crate::limit::{ATTRIBUTES_MAX, DECLARATIONS_MAX, MODEL_DEPTH_MAX};
use crate::literal::{self, attribute_value, comment, declaration, instruction};
use crate::text::is_name_char;

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

    fn element(&mut self, frame: Frame, at: Position) -> Result<(), Problem> {
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
            let name = self.input.cursor().name("the name of an element")?;
            if !names.insert(name.as_str().into()) {
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
            let name = self.input.cursor().name("the name of an element or `(`")?;
            Particle { term: Term::Element(name.into()), occurs: self.occurs() }
        };
        self.input.white()?;
        Ok(particle)
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

    fn attlist(&mut self, frame: Frame) -> Result<(), Problem> {
        self.space()?;
        let element = self.input.cursor().name("the name of an element")?;
        loop {
            let parted = self.input.white()?;
            if self.input.peek() == Some('>') {
                return self.close(frame);
            }
            if !parted {
                return self.space();
            }
            let at = self.input.at();
            let name = self.input.cursor().name("the name of an attribute or `>`")?;
            self.space()?;
            let kind = self.kind()?;
            self.space()?;
            let presence = self.presence(&kind)?;
            self.declare(&element, name, Attribute { at, kind, presence })?;
        }
    }

    /// Keeps the first declaration of an attribute: that one holds.
    fn declare(&mut self, element: &str, name: String, attribute: Attribute) -> Result<(), Problem> {
        let attributes = self.declared.attributes.entry(element.to_owned()).or_default();
        if attributes.len() >= ATTRIBUTES_MAX {
            return fail(attribute.at, format!("<{element}> has more than {ATTRIBUTES_MAX} attributes"));
        }
        attributes.entry(name).or_insert(attribute);
        Ok(())
    }

    fn kind(&mut self) -> Result<Kind, Problem> {
        let cursor = self.input.cursor();
        let at = cursor.at();
        if cursor.eat("(") {
            return self.words();
        }
        let word = cursor.take_while(is_name_char);
        match word.as_str() {
            "CDATA" => Ok(Kind::Cdata),
            "ID" => Ok(Kind::Id),
            "IDREF" => Ok(Kind::Idref),
            "IDREFS" => Ok(Kind::Idrefs),
            "NMTOKEN" => Ok(Kind::Nmtoken),
            "NMTOKENS" => Ok(Kind::Nmtokens),
            "ENTITY" | "ENTITIES" | "NOTATION" => {
                fail(at, format!("attributes of type {word} are not supported"))
            }
            "" => fail(at, format!("expected the type of an attribute, found {}", cursor.found())),
            _ => fail(at, format!("expected the type of an attribute, found {}", shown(&word))),
        }
    }

    fn words(&mut self) -> Result<Kind, Problem> {
        let mut words: Vec<String> = Vec::new();
        loop {
            self.input.white()?;
            let at = self.input.at();
            let word = self.input.cursor().take_while(is_name_char);
            if word.is_empty() {
                return fail(at, format!("expected a word, found {}", self.input.cursor().found()));
            }
            if words.contains(&word) {
                self.report.add(at, format!("{} is listed twice", shown(&word)));
            }
            words.push(word);
            self.input.white()?;
            if !self.input.cursor().eat("|") {
                self.expect(")")?;
                return Ok(Kind::OneOf(words));
            }
        }
    }

    fn presence(&mut self, kind: &Kind) -> Result<Presence, Problem> {
        let cursor = self.input.cursor();
        if cursor.eat("#REQUIRED") {
            return Ok(Presence::Required);
        }
        if cursor.eat("#IMPLIED") {
            return Ok(Presence::Implied);
        }
        let is_fixed = cursor.eat("#FIXED");
        if is_fixed {
            self.space()?;
        }
        let value = kind.normalise(attribute_value(self.input.cursor(), self.report)?);
        Ok(if is_fixed { Presence::Fixed(value) } else { Presence::Supplied(value) })
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
