//! The text of a definition with its parameter entities put in where they are referred to (XML 1.0, fifth edition,
//! 4.4.8 and 4.4.5).
//!
//! References are followed between declarations and between the words of a declaration, with a space on either
//! side, and within the values of entities as they stand. How much they put in, and how deep they nest, is bounded;
//! an entity that contains itself meets the second bound.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::cursor::Cursor;
use crate::diagnostic::{Position, Problem, Report, fail, shown};
use crate::limit::{DEFINITION_BYTES_MAX, ENTITY_DEPTH_MAX, EXPANSION_BYTES_MAX};
use crate::literal::{Kind, declaration, quote, reference};
use crate::text::{decode_xml, is_name_start, is_white};

/// What a reference stands for, and the file in which that stands if it has one.
type Referred = (Rc<str>, Option<Rc<str>>);

/// Gives the text of an external parameter entity by its system identifier, or says why it does not.
pub(crate) type Load<'l> = dyn FnMut(&str) -> Result<Vec<u8>, String> + 'l;

pub(crate) struct Input<'l> {
    file: Cursor,
    /// The entities that are being read, the innermost last.
    stack: Vec<Inner>,
    entities: BTreeMap<String, Entity>,
    load: &'l mut Load<'l>,
    expansions: usize,
    expanded_bytes: usize,
}

/// An entity that is being read.
struct Inner {
    frame: Frame,
    cursor: Cursor,
    /// Its file, if it has one.
    file: Option<Rc<str>>,
}

/// A parameter entity.
#[derive(Clone)]
pub(crate) enum Entity {
    Internal(Rc<str>),
    /// What stands in a file of its own, by its system identifier.
    External(Rc<str>),
}

/// Which text a character comes from: the file (0) or one expansion of an entity. What begins in one may not end
/// in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame(usize);

impl<'l> Input<'l> {
    pub fn new(text: &str, load: &'l mut Load<'l>) -> Self {
        Self {
            file: Cursor::new(text),
            stack: Vec::new(),
            entities: BTreeMap::new(),
            load,
            expansions: 0,
            expanded_bytes: 0,
        }
    }

    /// The innermost text that is not at its end. A literal is read from here, so it ends where it began.
    pub fn cursor(&mut self) -> &mut Cursor {
        while self.stack.last().is_some_and(|inner| inner.cursor.peek().is_none()) {
            self.stack.pop();
        }
        self.stack.last_mut().map_or(&mut self.file, |inner| &mut inner.cursor)
    }

    /// The text that the next character comes from.
    pub fn frame(&mut self) -> Frame {
        self.cursor();
        self.stack.last().map_or(Frame(0), |inner| inner.frame)
    }

    pub fn at(&mut self) -> Position {
        self.cursor().at()
    }

    pub fn peek(&mut self) -> Option<char> {
        self.cursor().peek()
    }

    /// Passes white space and puts in what is referred to; whether there was any of either.
    pub fn white(&mut self) -> Result<bool, Problem> {
        let mut parted = false;
        loop {
            let cursor = self.cursor();
            match cursor.peek() {
                Some(c) if is_white(c) => drop(cursor.white()),
                Some('%') if cursor.peek_second().is_some_and(is_name_start) => {
                    let at = cursor.at();
                    let (text, file) = self.entity(self.stack.len())?;
                    self.expansions += 1;
                    let padded = format!("{text} ").into();
                    let (frame, cursor) = (Frame(self.expansions), Cursor::standing_for(padded, at));
                    self.stack.push(Inner { frame, cursor, file });
                }
                _ => return Ok(parted),
            }
            parted = true;
        }
    }

    /// Declares an entity, unless it already is: the first declaration holds.
    pub fn declare(&mut self, name: String, entity: Entity) {
        self.entities.entry(name).or_insert(entity);
    }

    /// The place in the file of the innermost entity that has one.
    pub fn within(&self) -> Option<(Rc<str>, Position)> {
        let named = |inner: &Inner| Some((inner.file.clone()?, inner.cursor.within()));
        self.stack.iter().rev().find_map(named)
    }

    /// Passes the value of an entity with its quotes; returns it with its references put in.
    pub fn entity_value(&mut self) -> Result<String, Problem> {
        let start = self.at();
        let quote = quote(self.cursor())?;
        let Some(raw) = self.cursor().take_through(quote.encode_utf8(&mut [0; 4])).map(Rc::from) else {
            return fail(start, "this value is never closed");
        };
        let mut value = String::new();
        self.put_in(Cursor::standing_for(raw, start), 0, &mut value)?;
        Ok(value)
    }

    fn put_in(&mut self, mut raw: Cursor, depth: usize, value: &mut String) -> Result<(), Problem> {
        while let Some(c) = raw.peek() {
            if c == '%' {
                let (text, _) = self.referred(&mut raw, depth)?;
                self.put_in(Cursor::standing_for(text, raw.at()), depth + 1, value)?;
            } else if raw.looks_at("&#") {
                value.push(reference(&mut raw)?);
            } else if c == '&' && depth == 0 {
                value.push_str(&general_reference(&mut raw)?);
            } else {
                value.extend(raw.bump());
            }
        }
        Ok(())
    }

    fn entity(&mut self, depth: usize) -> Result<Referred, Problem> {
        let mut cursor = self.cursor().clone();
        let referred = self.referred(&mut cursor, depth)?;
        *self.cursor() = cursor;
        Ok(referred)
    }

    /// Passes `%name;`; returns what it stands for.
    fn referred(&mut self, cursor: &mut Cursor, depth: usize) -> Result<Referred, Problem> {
        let at = cursor.at();
        cursor.expect("%")?;
        let name = cursor.name("the name of a parameter entity")?.to_owned();
        cursor.expect(";")?;
        let Some(entity) = self.entities.get(&name).cloned() else {
            return fail(at, format!("the parameter entity %{name}; is not declared"));
        };
        if depth >= ENTITY_DEPTH_MAX {
            return fail(
                at,
                format!("%{name}; nests entities deeper than {ENTITY_DEPTH_MAX}, or contains itself"),
            );
        }
        let (text, file) = match entity {
            Entity::Internal(text) => (text, None),
            Entity::External(id) => (self.loaded(&name, &id, at)?, Some(id)),
        };
        self.expanded_bytes += text.len();
        if self.expanded_bytes > EXPANSION_BYTES_MAX {
            return fail(at, format!("parameter entities put in more than {EXPANSION_BYTES_MAX} bytes"));
        }
        Ok((text, file))
    }

    /// The text of an external entity, without its declaration.
    fn loaded(&mut self, name: &str, id: &str, at: Position) -> Result<Rc<str>, Problem> {
        let failed = |why: String| Problem { at, message: format!("%{name}; ({}): {why}", shown(id)) };
        let bytes = (self.load)(id).map_err(failed)?;
        let mut report = Report::new(id);
        let text = decode_xml(&bytes, DEFINITION_BYTES_MAX, &mut report);
        report.finish().map_err(|errors| Problem { at, message: errors.to_string() })?;
        let mut cursor = Cursor::new(&text.unwrap_or_default());
        declaration(&mut cursor, Kind::Definition)
            .map_err(|Problem { message, .. }| Problem { at, message: format!("{id}:1:1: {message}") })?;
        Ok(cursor.rest().into())
    }

    /// Leaves every entity and goes on at the file's next `<!`, which is not before `offset`.
    pub fn resume_behind(&mut self, offset: usize) {
        self.stack.clear();
        while self.file.peek().is_some() && (self.file.offset() <= offset || !self.file.looks_at("<!")) {
            self.file.bump();
        }
    }

    /// How much of the file was read, in bytes.
    pub fn offset(&self) -> usize {
        self.file.offset()
    }
}

/// Passes a reference to a general entity, which stands for itself here.
fn general_reference(raw: &mut Cursor) -> Result<String, Problem> {
    raw.expect("&")?;
    let name = raw.name("the name of an entity; a `&` of its own is written `&#38;#38;`")?.to_owned();
    raw.expect(";")?;
    Ok(format!("&{name};"))
}

#[cfg(test)]
mod tests {
    use crate::definition::Definition;
    use crate::limit::{ENTITY_DEPTH_MAX, EXPANSION_BYTES_MAX};

    fn error(text: &str) -> String {
        Definition::parse("d", text.as_bytes()).map_or_else(|errors| errors.to_string(), |_| String::new())
    }

    #[test]
    fn entities_are_put_in_between_and_within_declarations() {
        let text = "<!ENTITY % leaf 'EMPTY'> <!ENTITY % two '<!ELEMENT a %leaf;><!ELEMENT b %leaf;>'> %two;
            <!ENTITY % a-or-b '(a | b)'> <!ENTITY % when 'INCLUDE'>
            <![%when;[<!ELEMENT r (%a-or-b;, c)>]]>
            <!ENTITY % unused '%a-or-b;'> <!ELEMENT c %a-or-b;> <!ATTLIST c %unused-twice;>";
        assert_eq!(error(text), "d:4:77: the parameter entity %unused-twice; is not declared");
        assert_eq!(error(&text.replace(" %unused-twice;", "")), "");
    }

    #[test]
    fn references_to_characters_count_where_an_entity_is_declared() {
        // As in appendix D of XML 1.0: what `&#37;` stands for begins a reference when the text is put in.
        let text = "<!ENTITY % leaf '<!ELEMENT r EMPTY>'><!ENTITY % begin '&#37;leaf;'>%begin;";
        assert_eq!(error(text), "");
    }

    #[test]
    fn the_first_declaration_of_an_entity_holds() {
        assert_eq!(error("<!ENTITY % e 'EMPTY'><!ENTITY % e 'wrong'><!ELEMENT r %e;>"), "");
    }

    #[test]
    fn a_reference_is_a_word_of_its_own() {
        let text = "<!ENTITY % e 'b'><!ELEMENT ab EMPTY><!ELEMENT r (a%e;)>";
        assert_eq!(error(text), "d:1:51: expected `)`, found `b`");
        let text = "<!ENTITY % a \"a CDATA ''\"><!ELEMENT r ANY><!ATTLIST r %a;b CDATA ''>";
        assert_eq!(error(text), "");
    }

    #[test]
    fn what_is_wrong_in_an_entity_is_shown_at_the_reference() {
        assert_eq!(
            error("<!ENTITY % e '\n(1)'>\n<!ELEMENT r %e;>"),
            "d:3:13: expected the name of an element or `(`, found `1`"
        );
    }

    #[test]
    fn what_begins_in_an_entity_ends_in_it() {
        let cases = [
            (
                "<!ENTITY % e 'EMPTY>'><!ELEMENT r %e;",
                "d:1:35: a declaration must end in the entity in which it began",
            ),
            (
                "<!ENTITY % e 'r)'><!ELEMENT r (%e;>",
                "d:1:32: a group must end in the entity in which it began",
            ),
            (
                "<!ENTITY % e '<![INCLUDE['>%e;]]><!ELEMENT r ANY>",
                "d:1:31: an INCLUDE section must end in the entity in which it began",
            ),
            ("<!ENTITY % e '<!-- '>%e; --><!ELEMENT r ANY>", "d:1:22: this comment is never closed"),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text).lines().next(), Some(expected), "{text}");
        }
    }

    #[test]
    fn an_entity_that_contains_itself_is_refused() {
        let message = "nests entities deeper than 16, or contains itself";
        let within = "<!ENTITY % a '&#37;a;'> %a;";
        assert_eq!(error(within), format!("d:1:25: %a; {message}"));
        let in_a_value = "<!ENTITY % a '&#37;b;'><!ENTITY % b '&#37;a;'><!ENTITY % c '%a;'>";
        assert_eq!(error(in_a_value), format!("d:1:60: %a; {message}"));
    }

    #[test]
    fn entities_of_the_deepest_nesting_are_put_in_and_deeper_ones_are_not() {
        let nested = |n: usize| {
            let links: String = (1..n).map(|i| format!("<!ENTITY % e{i} '&#37;e{};'>", i + 1)).collect();
            error(&format!("{links}<!ENTITY % e{n} '<!ELEMENT r ANY>'>\n%e1;"))
        };
        assert_eq!(nested(ENTITY_DEPTH_MAX), "");
        let message = "d:2:1: %e17; nests entities deeper than 16, or contains itself";
        assert_eq!(nested(ENTITY_DEPTH_MAX + 1), message);
    }

    #[test]
    fn entities_put_in_as_much_as_the_limit_and_no_more() {
        let size = EXPANSION_BYTES_MAX / 32;
        let expand = |bytes: usize, more: &str| {
            let text = format!("<!ENTITY % e '{}'><!ENTITY % one ' '><!ELEMENT r ANY>", " ".repeat(bytes));
            error(&format!("{text}{}\n{more}", "%e;".repeat(32)))
        };
        assert_eq!(expand(size, ""), "");
        assert_eq!(expand(size, "%one;"), "d:2:1: parameter entities put in more than 1048576 bytes");
    }

    #[test]
    fn entities_that_double_themselves_are_refused() {
        let doubling: String = (1..40).map(|i| format!("<!ENTITY % e{} '%e{i};%e{i};'>", i + 1)).collect();
        let errors = error(&format!("<!ENTITY % e1 'xxxxxxxx'>{doubling}"));
        assert!(errors.contains("parameter entities put in more than 1048576 bytes"), "{errors}");
    }
}
