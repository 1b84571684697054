//! Entity and notation declarations (XML 1.0, fifth edition, 4.2 and 4.7).
//!
//! A general entity may be declared; nothing may refer to it. Of unparsed entities and notations the names count,
//! which attributes may have as values. Nothing of what they name is ever opened.

use std::rc::Rc;

use super::super::input::{Entity, Frame};
use super::Parser;
use crate::diagnostic::{Position, Problem, fail, shown};
use crate::literal::quote;

impl Parser<'_, '_> {
    pub(super) fn entity(&mut self, frame: Frame) -> Result<(), Problem> {
        self.space()?;
        let is_parameter = self.input.cursor().eat("%");
        if is_parameter {
            self.space()?;
        }
        let name = self.input.cursor().name("the name of an entity")?.to_owned();
        self.space()?;
        let at = self.input.at();
        match self.external_id()? {
            Some(id) if is_parameter => self.input.declare(name, Entity::External(id)),
            Some(_) => self.unparsed(name, at)?,
            None => {
                let text = self.input.entity_value()?;
                if is_parameter {
                    self.input.declare(name, Entity::Internal(text.into()));
                }
            }
        }
        self.close(frame)
    }

    /// Passes the rest of an external general entity; keeps it if it is unparsed. The first declaration holds.
    fn unparsed(&mut self, name: String, at: Position) -> Result<(), Problem> {
        let parted = self.input.white()?;
        if !parted || !self.input.cursor().eat("NDATA") {
            return Ok(());
        }
        self.space()?;
        let notation = self.input.cursor().name("the name of a notation")?.to_owned();
        self.declared.unparsed.entry(name).or_insert((at, notation));
        Ok(())
    }

    pub(super) fn notation(&mut self, frame: Frame, at: Position) -> Result<(), Problem> {
        self.space()?;
        let name = self.input.cursor().name("the name of a notation")?.to_owned();
        self.space()?;
        if self.input.cursor().eat("PUBLIC") {
            self.public_id()?;
            let parted = self.input.white()?;
            if parted && self.input.peek() != Some('>') {
                self.identifier()?;
            }
        } else if self.external_id()?.is_none() {
            let cursor = self.input.cursor();
            return fail(cursor.at(), format!("expected SYSTEM or PUBLIC, found {}", cursor.found()));
        }
        if !self.declared.notations.insert(name.clone()) {
            self.report.add(at, format!("the notation {} is declared twice", shown(&name)));
        }
        self.close(frame)
    }

    /// Passes `SYSTEM "…"` or `PUBLIC "…" "…"`, if that is next; returns the system identifier.
    fn external_id(&mut self) -> Result<Option<Rc<str>>, Problem> {
        if self.input.cursor().eat("PUBLIC") {
            self.public_id()?;
        } else if !self.input.cursor().eat("SYSTEM") {
            return Ok(None);
        }
        self.space()?;
        self.identifier().map(|id| Some(id.into()))
    }

    fn public_id(&mut self) -> Result<(), Problem> {
        self.space()?;
        let at = self.input.at();
        let id = self.identifier()?;
        match id.chars().find(|c| !is_public_id_char(*c)) {
            None => Ok(()),
            Some(c) => fail(at, format!("a public identifier cannot have `{}`", c.escape_debug())),
        }
    }

    fn identifier(&mut self) -> Result<String, Problem> {
        let cursor = self.input.cursor();
        let start = cursor.at();
        let quote = quote(cursor)?;
        match cursor.take_through(quote.encode_utf8(&mut [0; 4])) {
            Some(value) => Ok(value.to_owned()),
            None => fail(start, "this value is never closed"),
        }
    }
}

/// `PubidChar`
fn is_public_id_char(c: char) -> bool {
    matches!(c, ' ' | '\n') || c.is_ascii_alphanumeric() || "-'()+,./:=?;!*#@$_%".contains(c)
}

#[cfg(test)]
mod tests {
    use crate::definition::Definition;

    fn error(text: &str) -> String {
        Definition::parse("d", text.as_bytes()).map_or_else(|errors| errors.to_string(), |_| String::new())
    }

    /// A definition whose parts are these files.
    fn error_with(text: &str, files: &[(&str, &str)]) -> String {
        let load = |id: &str| match files.iter().find(|(name, _)| *name == id) {
            Some((_, text)) => Ok(text.as_bytes().to_vec()),
            None => Err("there is no such file".to_owned()),
        };
        Definition::parse_with("d", text.as_bytes(), load)
            .map_or_else(|errors| errors.to_string(), |_| String::new())
    }

    #[test]
    fn what_nobody_opens_may_be_declared() {
        let text = "<!ELEMENT r ANY> <!ENTITY e 'x &amp; %p; &e;'> <!ENTITY e SYSTEM 'x'> <!ENTITY f PUBLIC '-//a' \"b\">
            <!NOTATION n SYSTEM 'x'> <!NOTATION m PUBLIC '-//m'> <!NOTATION o PUBLIC '-//o' 'x' >
            <!ENTITY pic SYSTEM 'x' NDATA n> <!ENTITY % unused SYSTEM 'file:///etc/passwd'>";
        let text = format!("<!ENTITY % p 'y'>{text}");
        assert_eq!(error(&text), "");
    }

    #[test]
    fn attributes_name_entities_and_notations_that_are_declared() {
        let declared =
            "<!NOTATION n SYSTEM 'x'> <!ENTITY pic SYSTEM 'x' NDATA n> <!ENTITY pac SYSTEM 'x' NDATA n>";
        let text =
            "<!ELEMENT r (#PCDATA)> <!ATTLIST r e ENTITY 'pic' s ENTITIES ' pic  pac ' n NOTATION ( n ) 'n'>";
        assert_eq!(error(&format!("{declared}{text}")), "");
        let cases = [
            ("<!ATTLIST r e ENTITY 'x'>", "e of <r>: expected `pac` or `pic`, found `x`"),
            ("<!ATTLIST r e ENTITIES 'pic x'>", "e of <r>: expected `pac` or `pic`, found `pic x`"),
            ("<!ATTLIST r e NOTATION (m) #IMPLIED>", "e of <r>: the notation `m` is not declared"),
            ("<!ATTLIST r e NOTATION (n) #IMPLIED f NOTATION (n) 'n'>", "f of <r> is a second notation"),
            ("<!ENTITY q SYSTEM 'x' NDATA m>", "the entity `q`: the notation `m` is not declared"),
            ("<!NOTATION n SYSTEM 'y'>", "the notation `n` is declared twice"),
        ];
        for (more, expected) in cases {
            let found = error(&format!("{declared}<!ELEMENT r (#PCDATA)>{more}"));
            assert!(found.ends_with(&format!(": {expected}")), "{more}: {found}");
        }
        assert!(
            error("<!ELEMENT r EMPTY><!ATTLIST r e NOTATION (n) #IMPLIED><!NOTATION n SYSTEM 'x'>")
                .ends_with("e of <r> is a notation of an element without content")
        );
        assert_eq!(
            error("<!ELEMENT r EMPTY><!ATTLIST r e ENTITY #REQUIRED>"),
            "d:1:31: e of <r> is #REQUIRED and names an unparsed entity, but none is declared"
        );
    }

    #[test]
    fn declarations_that_are_not_complete_are_refused_where_they_stand() {
        let cases = [
            ("<!ENTITY e>", "d:1:11: expected white space, found `>`"),
            (
                "<!ENTITY e 'a & b'>",
                "d:1:12: expected the name of an entity; a `&` of its own is written `&#38;#38;`, found ` `",
            ),
            ("<!ENTITY e 'a' NDATA n>", "d:1:16: expected `>`, found `N`"),
            ("<!ENTITY e SYSTEM>", "d:1:18: expected white space, found `>`"),
            ("<!ENTITY e PUBLIC 'a'>", "d:1:22: expected white space, found `>`"),
            ("<!ENTITY e PUBLIC '{' 'a'>", "d:1:19: a public identifier cannot have `{`"),
            ("<!ENTITY % e SYSTEM 'a' NDATA n>", "d:1:25: expected `>`, found `N`"),
            ("<!NOTATION n>", "d:1:13: expected white space, found `>`"),
            ("<!NOTATION n 'x'>", "d:1:14: expected SYSTEM or PUBLIC, found `\\'`"),
            ("<!NOTATION n SYSTEM 'x>", "d:1:21: this value is never closed"),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text), expected, "{text}");
        }
    }

    #[test]
    fn what_stands_in_other_files_is_read_where_it_is_given() {
        let files = [
            ("a", "<?xml encoding='UTF-8'?>\n<!ELEMENT a EMPTY><!ENTITY % b PUBLIC '-//b' 'b'>%b;"),
            ("b", "<!ELEMENT b (a)>"),
            ("content", "(a, b)"),
            ("wrong", "<!ELEMENT c EMPTY>\n <!ELEMENT 1>"),
            ("latin", "<?xml encoding='latin1'?>"),
            ("itself", "<!ENTITY % again SYSTEM 'itself'>%again;"),
        ];
        let of = |id: &str| format!("<!ENTITY % x SYSTEM '{id}'>%x;");
        let content = "<!ENTITY % content SYSTEM 'content'> <!ELEMENT r %content;>";
        assert_eq!(error_with(&format!("{}{content}", of("a")), &files), "");
        let cases = [
            ("wrong", "d:1:29: wrong:2:12: expected the name of an element, found `1`"),
            ("latin", "d:1:29: latin:1:1: expected ` encoding=\"UTF-8\"`: no other encoding is supported"),
            ("none", "d:1:28: %x; (`none`): there is no such file"),
            ("itself", "d:1:30: itself:1:34: %again; nests entities deeper than 16, or contains itself"),
        ];
        for (id, expected) in cases {
            assert_eq!(error_with(&of(id), &files), expected);
        }
        assert_eq!(
            error(&of("a")),
            "d:1:25: %x; (`a`): a definition is one file; external entities are not supported"
        );
    }
}
