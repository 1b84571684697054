//! From the text of a definition to its declarations. Goes on at the next `<!` after an error.

mod attlist;
mod element;
mod entity;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attribute::{Kind, Presence};
use super::input::{Frame, Input, Load};
use super::model::Particle;
use crate::diagnostic::{Position, Problem, Report, fail};
use crate::literal::{self, comment, declaration, instruction};

/// All that a definition declares.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub elements: BTreeMap<Arc<str>, (Position, Written)>,
    pub attributes: BTreeMap<String, Attributes>,
    pub notations: BTreeSet<String>,
    /// Unparsed entities, by name, and their notations.
    pub unparsed: BTreeMap<String, (Position, String)>,
}

/// What an element may hold, as it is written.
#[derive(Debug)]
pub(crate) enum Written {
    Empty,
    Any,
    Mixed(BTreeSet<Arc<str>>),
    Children(Particle),
}

/// The attributes of an element.
pub(crate) type Attributes = BTreeMap<Arc<str>, Attribute>;

/// An attribute and where it is declared.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub at: Position,
    pub kind: Type,
    pub presence: Presence,
}

/// The type of an attribute as it is written. What names entities or notations can be checked only when all are
/// declared.
#[derive(Debug)]
pub(crate) enum Type {
    Plain(Kind),
    Entity,
    Entities,
    Notation(Vec<String>),
}

/// Reads all declarations; reports what is wrong with them.
pub(crate) fn parse(text: &str, load: &mut Load<'_>, report: &mut Report) -> Declared {
    let mut parser = Parser {
        input: Input::new(text, load),
        report,
        sections: Vec::new(),
        declared: Declared::default(),
        names: 0,
    };
    if let Err(problem) = declaration(parser.input.cursor(), literal::Kind::Definition) {
        parser.report.problem(problem);
    }
    loop {
        let offset = parser.input.offset();
        match parser.declaration() {
            Ok(true) => {}
            Ok(false) => break,
            Err(mut problem) => {
                if let Some((file, Position { line, col })) = parser.input.within() {
                    problem.message = format!("{file}:{line}:{col}: {}", problem.message);
                }
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

struct Parser<'r, 'l> {
    input: Input<'l>,
    report: &'r mut Report,
    /// The INCLUDE sections that are open.
    sections: Vec<(Frame, Position)>,
    declared: Declared,
    /// How many names there are in content models.
    names: usize,
}

impl Parser<'_, '_> {
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
            Some(_) if cursor.eat("<!ENTITY") => self.entity(frame)?,
            Some(_) if cursor.eat("<!NOTATION") => self.notation(frame, at)?,
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
            let cursor = self.input.cursor();
            return fail(cursor.at(), format!("expected INCLUDE or IGNORE, found {}", cursor.found()));
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

#[cfg(test)]
mod tests {
    use crate::definition::Definition;
    use crate::limit::{ATTRIBUTES_MAX, DECLARATIONS_MAX, MODEL_DEPTH_MAX, MODEL_NAMES_MAX, WORDS_MAX};

    fn error(text: &str) -> String {
        Definition::parse("d", text.as_bytes()).map_or_else(|errors| errors.to_string(), |_| String::new())
    }

    #[test]
    fn all_that_is_supported_is_read() {
        let text = "<?xml encoding='UTF-8'?><!-- c --><?p i?>
            <!ELEMENT r ((a | b?)+, (c, d*)) >
            <!ELEMENT a EMPTY> <!ELEMENT b (#PCDATA)> <!ELEMENT c ( #PCDATA | a | b )* > <!ELEMENT d ANY>
            <!ATTLIST a> <!ATTLIST a k CDATA 'x &amp; y' l ID #IMPLIED m IDREF #IMPLIED n IDREFS #IMPLIED>
            <!ATTLIST a o NMTOKEN #REQUIRED p NMTOKENS #FIXED ' 1  2 ' q ( yes|no ) \"no\">
            <![ INCLUDE [ <!ELEMENT e EMPTY> <![IGNORE[ <![INCLUDE[ ]]> <!ELEMENT ]]> ]]>";
        assert_eq!(error(text), "");
    }

    #[test]
    fn the_first_declaration_of_an_attribute_holds() {
        let text = "<!ELEMENT r EMPTY><!ATTLIST r a CDATA '1'><!ATTLIST r a CDATA #REQUIRED>";
        let definition = Definition::parse("d", text.as_bytes()).unwrap();
        let attribute = &definition.element("r").unwrap().attributes["a"];
        assert_eq!(attribute.presence.value().map(|value| &**value), Some("1"));
    }

    #[test]
    fn what_is_not_a_declaration_is_refused_where_it_stands() {
        let cases = [
            ("text", "d:1:1: expected a declaration, found `t`"),
            ("<!ELEMENT>", "d:1:10: expected white space, found `>`"),
            ("<!ELEMENT 1>", "d:1:11: expected the name of an element, found `1`"),
            ("<!ELEMENT r EMPTY", "d:1:18: expected `>`, found the end of the text"),
            ("<!ELEMENT r EMPTY ANY>", "d:1:19: expected `>`, found `A`"),
            ("<!ELEMENT r (a, b | c)>", "d:1:19: `,` and `|` in one group need parentheses between them"),
            ("<!ELEMENT r ()>", "d:1:14: expected the name of an element or `(`, found `)`"),
            ("<!ELEMENT r (a b)>", "d:1:16: expected `)`, found `b`"),
            ("<!ELEMENT r (#PCDATA | a)>", "d:1:26: expected `*` behind a mixed model, found `>`"),
            ("<!ELEMENT r (#PCDATA, a)*>", "d:1:21: expected `)`, found `,`"),
            ("<!ELEMENT r (#PCDATA | r | r)*>", "d:1:28: <r> is named twice in a mixed model"),
            ("<!ELEMENT r ANY>\n<!ELEMENT r EMPTY>", "d:2:1: <r> is declared twice"),
            ("<!ATTLIST r a>", "d:1:14: expected white space, found `>`"),
            ("<!ATTLIST r a TEXT ''>", "d:1:15: expected the type of an attribute, found `TEXT`"),
            ("<!ATTLIST r a (x | x) 'x'>", "d:1:20: `x` is listed twice"),
            ("<!ATTLIST r a (x |) 'x'>", "d:1:19: expected a word, found `)`"),
            ("<!ATTLIST r a CDATA>", "d:1:20: expected white space, found `>`"),
            ("<!ATTLIST r a CDATA #MAYBE>", "d:1:21: expected a quoted value, found `#`"),
            ("<!ATTLIST r a CDATA ''b CDATA ''>", "d:1:23: expected white space, found `b`"),
            ("<![MAYBE[]]>", "d:1:4: expected INCLUDE or IGNORE, found `M`"),
            ("<![INCLUDE[ <!ELEMENT r ANY>", "d:1:1: this INCLUDE section is never closed"),
            ("<![INCLUDE[ text", "d:1:13: expected a declaration, found `t`"),
            ("<![IGNORE[ <![ ]]>", "d:1:1: this IGNORE section is never closed"),
            ("<!ELEMENT r ANY>]]>", "d:1:17: `]]>` closes nothing"),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let cases = [
            (
                "<!ENTITY e 'x'><!ATTLIST r a CDATA '&e;'>",
                "d:1:37: general entities are not supported: `&e;`",
            ),
            ("<!ELEMENT x:r ANY>", "d:1:11: `x:r`: a `:` in a name is not supported"),
            ("<!ELEMENT r (x:a)>", "d:1:14: `x:a`: a `:` in a name is not supported"),
            (
                "<!ATTLIST r x:a CDATA ''>",
                "d:1:13: `x:a`: a `:` in a name is not supported, except in `xml:` attributes",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text), expected, "{text}");
        }
    }

    #[test]
    fn reading_goes_on_behind_a_declaration_that_is_wrong() {
        let expected = [
            "d:1:13: expected EMPTY, ANY or `(`, found `<`",
            "d:1:23: expected the name of an element, found `>`",
            "d:3:2: expected a declaration, found `x`",
            "d:4:11: expected the name of an element, found `<`",
            "d:4:25: expected the type of an attribute, found `)`",
        ];
        let errors = error("<!ELEMENT a <!ELEMENT >\n<!ELEMENT b ANY>\n x\n<!ELEMENT <!ATTLIST b a )>");
        assert_eq!(errors.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_definition_of_the_limits_is_read_and_one_beyond_is_not() {
        let declarations =
            |n: usize| error(&(0..n).map(|i| format!("<!ELEMENT e{i} ANY>\n")).collect::<String>());
        assert_eq!(declarations(DECLARATIONS_MAX), "");
        assert_eq!(declarations(DECLARATIONS_MAX + 1), "d:1025:1: there are more than 1024 elements");

        let attributes = |n: usize| {
            let list: String = (0..n).map(|i| format!("\na{i} CDATA ''")).collect();
            error(&format!("<!ELEMENT r ANY><!ATTLIST r{list}>"))
        };
        assert_eq!(attributes(ATTRIBUTES_MAX), "");
        assert_eq!(attributes(ATTRIBUTES_MAX + 1), "d:66:1: <r> has more than 64 attributes");

        let words = |n: usize| {
            let list: Vec<String> = (0..n).map(|i| format!("\nw{i}")).collect();
            error(&format!("<!ELEMENT r ANY><!ATTLIST r a ({}) #IMPLIED>", list.join("|")))
        };
        assert_eq!(words(WORDS_MAX), "");
        assert_eq!(words(WORDS_MAX + 1), "d:258:1: there are more than 256 words");

        let nested = |n: usize| error(&format!("<!ELEMENT r {}r{}>", "(".repeat(n), ")?".repeat(n)));
        assert_eq!(nested(MODEL_DEPTH_MAX), "");
        assert_eq!(nested(MODEL_DEPTH_MAX + 1), "d:1:46: a content model is nested deeper than 32");

        let names = |n: usize| {
            let declared = "<!ELEMENT a EMPTY><!ELEMENT b EMPTY>";
            error(&format!("{declared}<!ELEMENT r (a{})><!ELEMENT s (b)>", ", a".repeat(n - 2)))
        };
        assert_eq!(names(MODEL_NAMES_MAX), "");
        assert!(names(MODEL_NAMES_MAX + 1).ends_with(": there are more than 16384 names in content models"));
    }
}
