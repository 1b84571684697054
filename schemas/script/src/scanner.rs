//! From the text of a script to its tags and texts, with their places.
//!
//! Refuses whatever is not well-formed (XML 1.0, fifth edition), and by name: DOCTYPE, general entities, `:` in
//! names, and more than [`crate::limit`] allows. Where the next tag is in no doubt it goes on after an error;
//! otherwise it stops, and what was read so far can still be validated.
//!
//! What it leaves behind: in a scan without errors start and end tags pair up, there is one root, and two texts are
//! never neighbours.

use crate::cursor::Cursor;
use crate::diagnostic::{Position, Problem, Report, fail};
use crate::limit::{ATTRIBUTES_MAX, DEPTH_MAX, ELEMENTS_MAX};
use crate::literal::{Kind, attribute_value, comment, declaration, instruction, reference};
use crate::text::is_white;

/// What a script consists of, in document order.
#[derive(Debug)]
pub(crate) enum Event {
    /// A start tag, or an empty-element tag, which an [`Event::End`] at the same place follows.
    Start(Tag),
    /// All text between two tags, comments left out.
    Text(Text),
    /// A comment or a processing instruction within the root element.
    Aside(Position),
    /// The end of the innermost element.
    End(Position),
}

/// A start tag.
#[derive(Debug)]
pub(crate) struct Tag {
    pub name: String,
    pub attributes: Vec<Attribute>,
    pub at: Position,
}

/// An attribute as it was written, or as the definition supplies it.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub name: String,
    pub value: String,
    pub at: Position,
}

/// The text between two tags.
#[derive(Debug)]
pub(crate) struct Text {
    pub text: String,
    /// The first character that is not white space, or else the first.
    pub at: Position,
    /// Whether it is white space and nothing else.
    pub is_white: bool,
    /// Whether it was written without CDATA sections and references.
    pub is_literal: bool,
}

/// The events of the script, up to the error that stopped the scan, if one did.
pub(crate) fn scan(text: &str, report: &mut Report) -> Vec<Event> {
    let cursor = Cursor::new(text);
    let mut scanner =
        Scanner { cursor, report, events: Vec::new(), run: None, open: Vec::new(), elements: 0 };
    if let Err(problem) = scanner.document() {
        scanner.report.problem(problem);
    }
    scanner.events
}

struct Scanner<'r> {
    cursor: Cursor,
    report: &'r mut Report,
    events: Vec<Event>,
    run: Option<Text>,
    open: Vec<(String, Position)>,
    elements: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Problem> {
        declaration(&mut self.cursor, Kind::Script)?;
        self.around_the_root()?;
        if self.cursor.looks_at("</") || !self.cursor.looks_at("<") {
            return fail(
                self.cursor.at(),
                format!("expected the root element, found {}", self.cursor.found()),
            );
        }
        self.start_tag()?;
        while let Some((name, start)) = self.open.last() {
            if self.cursor.peek().is_none() {
                let Position { line, col } = start;
                let message = format!("the text ends within <{name}>, which was opened at {line}:{col}");
                return fail(self.cursor.at(), message);
            }
            self.content()?;
        }
        self.around_the_root()?;
        match self.cursor.peek() {
            None => Ok(()),
            Some(_) => fail(self.cursor.at(), "nothing but comments may follow the root element"),
        }
    }

    fn around_the_root(&mut self) -> Result<(), Problem> {
        loop {
            self.cursor.white();
            if self.cursor.looks_at("<!--") {
                comment(&mut self.cursor)?;
            } else if self.cursor.looks_at("<?") {
                instruction(&mut self.cursor)?;
            } else if self.cursor.looks_at("<!DOCTYPE") {
                let message = "a DOCTYPE is not supported: a script is read by its registered definition";
                return fail(self.cursor.at(), message);
            } else {
                return Ok(());
            }
        }
    }

    fn content(&mut self) -> Result<(), Problem> {
        let at = self.cursor.at();
        if self.cursor.looks_at("</") {
            self.end_tag()
        } else if self.cursor.looks_at("<!--") {
            self.events.push(Event::Aside(at));
            comment(&mut self.cursor)
        } else if self.cursor.looks_at("<![CDATA[") {
            self.cdata()
        } else if self.cursor.looks_at("<?") {
            self.events.push(Event::Aside(at));
            instruction(&mut self.cursor)
        } else if self.cursor.looks_at("<!") {
            fail(at, "a declaration is not allowed within a script")
        } else if self.cursor.looks_at("<") {
            self.start_tag()
        } else {
            self.text();
            Ok(())
        }
    }

    fn start_tag(&mut self) -> Result<(), Problem> {
        let at = self.cursor.at();
        self.cursor.expect("<")?;
        let name = self.cursor.name("the name of an element")?;
        let attributes = self.attributes(&name)?;
        let is_empty = self.cursor.eat("/");
        self.cursor.expect(">")?;
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return fail(at, format!("there are more than {ELEMENTS_MAX} elements"));
        }
        if self.open.len() >= DEPTH_MAX {
            return fail(at, format!("elements are nested deeper than {DEPTH_MAX}"));
        }
        self.end_run();
        self.events.push(Event::Start(Tag { name: name.clone(), attributes, at }));
        match is_empty {
            true => self.events.push(Event::End(at)),
            false => self.open.push((name, at)),
        }
        Ok(())
    }

    fn attributes(&mut self, element: &str) -> Result<Vec<Attribute>, Problem> {
        let mut attributes: Vec<Attribute> = Vec::new();
        loop {
            let parted = self.cursor.white();
            let at = self.cursor.at();
            if matches!(self.cursor.peek(), Some('>' | '/')) {
                return Ok(attributes);
            }
            if !parted {
                return fail(at, format!("expected white space or `>`, found {}", self.cursor.found()));
            }
            let name = self.cursor.name("an attribute or `>`")?;
            self.cursor.white();
            self.cursor.expect("=")?;
            self.cursor.white();
            let value = attribute_value(&mut self.cursor, self.report)?;
            if attributes.iter().any(|other| other.name == name) {
                self.report.add(at, format!("{name} of <{element}> is given twice"));
            } else if attributes.len() >= ATTRIBUTES_MAX {
                return fail(at, format!("<{element}> has more than {ATTRIBUTES_MAX} attributes"));
            } else {
                attributes.push(Attribute { name, value, at });
            }
        }
    }

    fn end_tag(&mut self) -> Result<(), Problem> {
        let at = self.cursor.at();
        self.cursor.expect("</")?;
        let name = self.cursor.name("the name of an element")?;
        self.cursor.white();
        self.cursor.expect(">")?;
        if let Some((open, start)) = self.open.last().filter(|(open, _)| *open != name) {
            let Position { line, col } = start;
            self.report
                .add(at, format!("</{name}> does not close <{open}>, which was opened at {line}:{col}"));
        }
        self.end_run();
        // A tag that closes an outer element closes what is open within it; a stray one closes nothing.
        if let Some(depth) = self.open.iter().rposition(|(open, _)| *open == name) {
            let closed = self.open.split_off(depth);
            self.events.extend(closed.iter().map(|_| Event::End(at)));
        }
        Ok(())
    }

    fn text(&mut self) {
        while let Some(c) = self.cursor.peek().filter(|c| *c != '<') {
            let at = self.cursor.at();
            match c {
                '&' => match reference(&mut self.cursor) {
                    Ok(c) => self.push(c, at, false),
                    Err(problem) => self.report.problem(problem),
                },
                ']' if self.cursor.eat("]]>") => self.report.add(at, "`]]>` in a text is written `]]&gt;`"),
                c => {
                    self.cursor.bump();
                    self.push(c, at, true);
                }
            }
        }
    }

    fn cdata(&mut self) -> Result<(), Problem> {
        let start = self.cursor.at();
        self.cursor.expect("<![CDATA[")?;
        self.run(start).is_literal = false;
        while !self.cursor.eat("]]>") {
            let at = self.cursor.at();
            match self.cursor.bump() {
                Some(c) => self.push(c, at, false),
                None => return fail(start, "this CDATA section is never closed"),
            }
        }
        Ok(())
    }

    fn push(&mut self, c: char, at: Position, is_literal: bool) {
        let run = self.run(at);
        if run.is_white && !is_white(c) {
            run.is_white = false;
            run.at = at;
        }
        run.is_literal &= is_literal;
        run.text.push(c);
    }

    /// The text since the last tag; comments between do not part it.
    fn run(&mut self, at: Position) -> &mut Text {
        let empty = || Text { text: String::new(), at, is_white: true, is_literal: true };
        self.run.get_or_insert_with(empty)
    }

    fn end_run(&mut self) {
        self.events.extend(self.run.take().map(Event::Text));
    }
}
