//! A place in a text that moves forward: what the scanner and the definition's parser read with.
//!
//! A cursor over the replacement text of an entity stands still at the reference to it, so whatever is wrong in
//! there is shown at a place that exists in the file.

use std::rc::Rc;

use crate::diagnostic::{Position, Problem, fail};
use crate::limit::NAME_BYTES_MAX;
use crate::text::{is_name_char, is_name_start, is_white};

/// The one prefix that needs no declaration (Namespaces in XML 1.0, 3).
const XML_PREFIX: &str = "xml:";

#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    text: Rc<str>,
    offset: usize,
    at: Position,
    /// Where the reference is for which this text stands.
    anchor: Option<Position>,
}

impl Cursor {
    /// At the beginning of a file.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), offset: 0, at: Position::START, anchor: None }
    }

    /// At the beginning of a text that stands for the reference at this place.
    pub fn standing_for(text: Rc<str>, at: Position) -> Self {
        Self { text, offset: 0, at: Position::START, anchor: Some(at) }
    }

    pub fn at(&self) -> Position {
        self.anchor.unwrap_or(self.at)
    }

    /// The place in this text itself.
    pub fn within(&self) -> Position {
        self.at
    }

    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What has not been passed.
    pub fn rest(&self) -> &str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The character behind the next one.
    pub fn peek_second(&self) -> Option<char> {
        self.rest().chars().nth(1)
    }

    pub fn looks_at(&self, literal: &str) -> bool {
        self.rest().starts_with(literal)
    }

    /// Passes so many bytes; returns them.
    fn pass(&mut self, bytes: usize) -> &str {
        let end = self.offset + bytes;
        let passed = self.text.get(self.offset..end).unwrap_or_default();
        self.at = self.at.behind(passed);
        self.offset = end;
        passed
    }

    /// Passes one character.
    pub fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at = self.at.after(c);
        self.offset += c.len_utf8();
        Some(c)
    }

    /// Passes this literal, if it is next.
    pub fn eat(&mut self, literal: &str) -> bool {
        let eaten = self.looks_at(literal);
        if eaten {
            self.pass(literal.len());
        }
        eaten
    }

    /// Passes characters while they are of a kind.
    pub fn take_while(&mut self, kind: impl Fn(char) -> bool) -> &str {
        let rest = self.rest();
        let bytes = rest.find(|c| !kind(c)).unwrap_or(rest.len());
        self.pass(bytes)
    }

    /// Passes everything up to this literal and the literal too; nothing if there is no such literal.
    pub fn take_through(&mut self, literal: &str) -> Option<&str> {
        // A search for one character is several times as fast.
        let rest = self.rest();
        let first = literal.chars().next()?;
        let mut found = rest.match_indices(first).map(|(at, _)| at);
        let bytes = found.find(|at| rest.get(*at..).is_some_and(|rest| rest.starts_with(literal)))?;
        self.pass(bytes + literal.len()).get(..bytes)
    }

    /// Passes everything up to this literal and the literal too; whether there is such a literal.
    pub fn skip_through(&mut self, literal: &str) -> bool {
        self.take_through(literal).is_some()
    }

    /// Passes white space; whether there was any.
    pub fn white(&mut self) -> bool {
        !self.take_while(is_white).is_empty()
    }

    /// Passes a name, without `:`.
    pub fn name(&mut self, what: &str) -> Result<&str, Problem> {
        let at = self.at();
        let name = self.any_name(what)?;
        match name.contains(':') {
            false => Ok(name),
            true => fail(at, format!("`{name}`: a `:` in a name is not supported")),
        }
    }

    /// Passes the name of an attribute: without `:`, but for the prefix that XML itself binds (`xml:space`,
    /// `xml:lang`).
    pub fn attribute_name(&mut self, what: &str) -> Result<&str, Problem> {
        let at = self.at();
        let name = self.any_name(what)?;
        let local = name.strip_prefix(XML_PREFIX).unwrap_or(name);
        match local.starts_with(is_name_start) && !local.contains(':') {
            true => Ok(name),
            false => {
                fail(at, format!("`{name}`: a `:` in a name is not supported, except in `xml:` attributes"))
            }
        }
    }

    fn any_name(&mut self, what: &str) -> Result<&str, Problem> {
        let at = self.at();
        if !self.peek().is_some_and(is_name_start) {
            return fail(at, format!("expected {what}, found {}", self.found()));
        }
        let name = self.take_while(is_name_char);
        if name.len() > NAME_BYTES_MAX {
            return fail(at, format!("a name is longer than {NAME_BYTES_MAX} bytes"));
        }
        Ok(name)
    }

    /// Passes this literal or says what stands in its place.
    pub fn expect(&mut self, literal: &str) -> Result<(), Problem> {
        match self.eat(literal) {
            true => Ok(()),
            false => fail(self.at(), format!("expected `{literal}`, found {}", self.found())),
        }
    }

    /// The next character in words, for a message.
    pub fn found(&self) -> String {
        self.peek().map_or("the end of the text".to_owned(), |c| format!("`{}`", c.escape_debug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_limit_is_read_and_a_longer_one_is_not() {
        let name = "n".repeat(NAME_BYTES_MAX);
        assert_eq!(Cursor::new(&name).name("a name").unwrap(), name);
        let problem = Cursor::new(&format!("{name}n")).name("a name").unwrap_err();
        assert_eq!(problem.message, "a name is longer than 256 bytes");
    }

    #[test]
    fn the_one_prefix_that_xml_binds_is_read_in_attributes_alone() {
        let read = |text: &str| {
            Cursor::new(text).attribute_name("a name").map(str::to_owned).map_err(|problem| problem.message)
        };
        assert_eq!(read("xml:space=").as_deref(), Ok("xml:space"));
        for name in ["x:a", "xml:", "xml:a:b", "xml:1", "xmlns:a", ":a", "XML:space"] {
            let message = format!("`{name}`: a `:` in a name is not supported, except in `xml:` attributes");
            assert_eq!(read(name), Err(message));
        }
        assert!(Cursor::new("xml:space").name("a name").is_err());
    }

    #[test]
    fn a_replacement_text_stands_where_its_reference_does() {
        let at = Position { line: 3, col: 7 };
        let mut cursor = Cursor::standing_for("a\nb".into(), at);
        assert_eq!(cursor.take_through("b"), Some("a\n"));
        assert_eq!(cursor.at(), at);
    }
}
