//! From the text of a script to its tags and texts, with their places.
//!
//! Refuses whatever is not well-formed (XML 1.0, fifth edition), and by name: DOCTYPE, general entities, `:` in
//! names (but `xml:space` and the like), and more than [`crate::limit`] allows. Where the next tag is in no doubt it
//! goes on after an error; otherwise it stops, and what was read so far can still be validated.
//!
//! What it leaves behind: in a scan without errors start and end tags pair up, there is one root, and two texts are
//! never neighbours.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cursor::Cursor;
use crate::definition::STEP_EVENT;
use crate::diagnostic::{Position, Problem, Report, fail};
use crate::limit::{ATTRIBUTES_MAX, DEPTH_MAX, ELEMENTS_MAX};
use crate::literal::{Kind, attribute_value, comment, declaration, instruction, reference};
use crate::text::is_white;

/// What a script consists of, in document order.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
pub(crate) struct Tag {
    pub name: Arc<str>,
    pub attributes: Vec<Attribute>,
    pub at: Position,
}

impl Tag {
    /// This attribute, if the tag has it.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| *attribute.name == *name)
    }

    /// The name of its step events, in a script that is valid.
    pub fn event_name(&self) -> &Arc<str> {
        self.attribute(STEP_EVENT).map_or(&self.name, |attribute| &attribute.value)
    }

    /// Whether the attribute, which is one of this tag's, stands in the script: one that is supplied has its tag's
    /// place.
    pub fn wrote(&self, attribute: &Attribute) -> bool {
        attribute.at != self.at
    }
}

/// An attribute as it was written, or as the definition supplies it, then at its tag's place.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub name: Arc<str>,
    pub value: Arc<str>,
    pub at: Position,
}

/// The text between two tags.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    /// Nothing if it is white space and nothing else.
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
    let mut scanner = Scanner {
        cursor,
        report,
        events: Vec::new(),
        names: BTreeSet::new(),
        value: String::new(),
        run: Run::default(),
        open: Vec::new(),
        elements: 0,
    };
    if let Err(problem) = scanner.document() {
        scanner.report.problem(problem);
    }
    scanner.events
}

struct Scanner<'r> {
    cursor: Cursor,
    report: &'r mut Report,
    events: Vec<Event>,
    /// Every name that was read, once: a script has few of them.
    names: BTreeSet<Arc<str>>,
    /// The value that is being read.
    value: String,
    run: Run,
    open: Vec<(Arc<str>, Position)>,
    elements: usize,
}

/// The text since the last tag; comments between do not part it.
#[derive(Default)]
struct Run {
    begun: Option<Text>,
    /// What it says so far. Most runs say nothing, so the memory is used again.
    text: String,
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
        if !self.cursor.looks_at("<") {
            self.text();
            Ok(())
        } else if self.cursor.looks_at("</") {
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
        } else {
            self.start_tag()
        }
    }

    fn start_tag(&mut self) -> Result<(), Problem> {
        let at = self.cursor.at();
        self.cursor.expect("<")?;
        let name = known(&mut self.names, self.cursor.name("the name of an element")?);
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
        self.events.extend(self.run.end());
        self.events.push(Event::Start(Tag { name: Arc::clone(&name), attributes, at }));
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
            let name = known(&mut self.names, self.cursor.attribute_name("an attribute or `>`")?);
            self.cursor.white();
            self.cursor.expect("=")?;
            self.cursor.white();
            attribute_value(&mut self.cursor, self.report, &mut self.value)?;
            if attributes.iter().any(|other| other.name == name) {
                self.report.add(at, format!("{name} of <{element}> is given twice"));
            } else if attributes.len() >= ATTRIBUTES_MAX {
                return fail(at, format!("<{element}> has more than {ATTRIBUTES_MAX} attributes"));
            } else {
                attributes.push(Attribute { name, value: self.value.as_str().into(), at });
            }
        }
    }

    fn end_tag(&mut self) -> Result<(), Problem> {
        let at = self.cursor.at();
        self.cursor.expect("</")?;
        let name = known(&mut self.names, self.cursor.name("the name of an element")?);
        self.cursor.white();
        self.cursor.expect(">")?;
        if let Some((open, start)) = self.open.last().filter(|(open, _)| *open != name) {
            let Position { line, col } = start;
            self.report
                .add(at, format!("</{name}> does not close <{open}>, which was opened at {line}:{col}"));
        }
        self.events.extend(self.run.end());
        // A tag that closes an outer element closes what is open within it; one that closes nothing is misspelt.
        let outer = self.open.iter().rposition(|(open, _)| *open == name);
        let closed = outer.unwrap_or(self.open.len().saturating_sub(1));
        self.events.extend(self.open.drain(closed..).map(|_| Event::End(at)));
        Ok(())
    }

    fn text(&mut self) {
        while let Some(c) = self.cursor.peek().filter(|c| *c != '<') {
            let at = self.cursor.at();
            match c {
                '&' => match reference(&mut self.cursor) {
                    Ok(c) => self.run.push(c.encode_utf8(&mut [0; 4]), at, false),
                    Err(problem) => self.report.problem(problem),
                },
                ']' if self.cursor.eat("]]>") => self.report.add(at, "`]]>` in a text is written `]]&gt;`"),
                ']' => {
                    self.cursor.bump();
                    self.run.push("]", at, true);
                }
                _ => {
                    let text = self.cursor.take_while(|c| !matches!(c, '<' | '&' | ']'));
                    self.run.push(text, at, true);
                }
            }
        }
    }

    fn cdata(&mut self) -> Result<(), Problem> {
        let start = self.cursor.at();
        self.cursor.expect("<![CDATA[")?;
        self.run.begin(start).is_literal = false;
        let at = self.cursor.at();
        match self.cursor.take_through("]]>") {
            Some(text) => self.run.push(text, at, false),
            None => return fail(start, "this CDATA section is never closed"),
        }
        Ok(())
    }
}

/// The name as it was first read.
fn known(names: &mut BTreeSet<Arc<str>>, name: &str) -> Arc<str> {
    if let Some(known) = names.get(name) {
        return Arc::clone(known);
    }
    let name: Arc<str> = name.into();
    names.insert(Arc::clone(&name));
    name
}

impl Run {
    /// The run, which begins here if it has not begun.
    fn begin(&mut self, at: Position) -> &mut Text {
        self.begun.get_or_insert_with(|| Text { text: String::new(), at, is_white: true, is_literal: true })
    }

    /// Adds what begins at this place.
    fn push(&mut self, text: &str, at: Position, is_literal: bool) {
        let run = self.begin(at);
        if run.is_white
            && let Some(start) = text.find(|c| !is_white(c))
        {
            run.is_white = false;
            run.at = at.behind(text.get(..start).unwrap_or_default());
        }
        run.is_literal &= is_literal;
        self.text.push_str(text);
    }

    fn end(&mut self) -> Option<Event> {
        let mut run = self.begun.take()?;
        if !run.is_white {
            run.text.clone_from(&self.text);
        }
        self.text.clear();
        Some(Event::Text(run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events in short, and what is reported.
    fn read(text: &str) -> (String, String) {
        let mut report = Report::new("s");
        let show = |event: &Event| match event {
            Event::Start(tag) => {
                let attributes =
                    tag.attributes.iter().map(|a| format!(" {}={}@{}", a.name, a.value, a.at.col));
                format!("<{}{}>@{}:{}", tag.name, attributes.collect::<String>(), tag.at.line, tag.at.col)
            }
            Event::Text(text) => format!("{:?}@{}:{}", text.text, text.at.line, text.at.col),
            Event::Aside(at) => format!("aside@{}:{}", at.line, at.col),
            Event::End(at) => format!("end@{}:{}", at.line, at.col),
        };
        let events: Vec<String> = scan(text, &mut report).iter().map(show).collect();
        (events.join(" "), report.finish().map_or_else(|errors| errors.to_string(), |()| String::new()))
    }

    #[test]
    fn tags_and_texts_come_with_their_places() {
        let (events, errors) =
            read("<?xml version='1.0'?>\n<a b = '1'\n  c=\"2\">\n  hé <b/>\n</a >\n<!-- end -->");
        assert_eq!(errors, "");
        assert_eq!(events, "<a b=1@4 c=2@3>@2:1 \"\\n  hé \"@4:3 <b>@4:6 end@4:6 \"\"@4:10 end@5:1");
    }

    #[test]
    fn what_stands_between_two_tags_is_one_text() {
        let (events, errors) = read("<a> x<!-- c -->&lt;<?p i?><![CDATA[<&]]>&#x41;</a>");
        assert_eq!(errors, "");
        assert_eq!(events, "<a>@1:1 aside@1:6 aside@1:20 \" x<<&A\"@1:5 end@1:47");
    }

    #[test]
    fn references_and_sections_make_a_text_not_literal() {
        let is_literal = |text: &str| {
            let events = scan(&format!("<a>{text}</a>"), &mut Report::new("s"));
            events.iter().any(|event| matches!(event, Event::Text(text) if text.is_literal))
        };
        assert!(is_literal(" ") && is_literal(" <!-- -->"));
        assert!(!is_literal("&#32;") && !is_literal("<![CDATA[]]>") && !is_literal("x&lt;"));
    }

    #[test]
    fn white_space_in_a_value_becomes_spaces_unless_it_is_a_reference() {
        assert_eq!(read("<a b='1\n2\t3&#10;4'/>").0, "<a b=1 2 3\n4@4>@1:1 end@1:1");
    }

    #[test]
    fn what_is_not_well_formed_is_refused_where_it_stands() {
        let cases = [
            ("", "s:1:1: expected the root element, found the end of the text"),
            ("text", "s:1:1: expected the root element, found `t`"),
            ("</a>", "s:1:1: expected the root element, found `<`"),
            ("<1/>", "s:1:2: expected the name of an element, found `1`"),
            ("<a>\n<b></a>", "s:2:4: </a> does not close <b>, which was opened at 2:1"),
            ("<a>\n", "s:2:1: the text ends within <a>, which was opened at 1:1"),
            ("<a/>\n<b/>", "s:2:1: nothing but comments may follow the root element"),
            ("<a b='1'c='2'/>", "s:1:9: expected white space or `>`, found `c`"),
            ("<a b='1' b='2'/>", "s:1:10: b of <a> is given twice"),
            ("<a b=1/>", "s:1:6: expected a quoted value, found `1`"),
            ("<a b='1/>", "s:1:6: this value is never closed"),
            ("<a b='<'/>", "s:1:7: a `<` in a value is written `&lt;`"),
            ("<a b/>", "s:1:5: expected `=`, found `/`"),
            ("<a / >", "s:1:5: expected `>`, found ` `"),
            ("<a>x & y</a>", "s:1:6: a reference is not complete; a `&` of its own is written `&amp;`"),
            ("<a>]]></a>", "s:1:4: `]]>` in a text is written `]]&gt;`"),
            ("<a><![CDATA[</a>", "s:1:4: this CDATA section is never closed"),
            ("<a><!-- -- --></a>", "s:1:11: `--` is not allowed within a comment"),
            ("<a><!-- </a>", "s:1:4: this comment is never closed"),
            ("<a><?p!?></a>", "s:1:7: expected white space or `?>`, found `!`"),
            ("<a><?p </a>", "s:1:4: this processing instruction is never closed"),
            (
                " <?xml version='1.0'?><a/>",
                "s:1:2: `<?xml` is allowed only as the XML declaration, at the very beginning",
            ),
            ("<a><!ELEMENT b ANY></a>", "s:1:4: a declaration is not allowed within a script"),
        ];
        for (text, error) in cases {
            assert_eq!(read(text).1, error, "{text}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let cases = [
            (
                "<!DOCTYPE a><a/>",
                "s:1:1: a DOCTYPE is not supported: a script is read by its registered definition",
            ),
            ("<a>&b;</a>", "s:1:4: general entities are not supported: `&b;`"),
            ("<a b='&c;'/>", "s:1:7: general entities are not supported: `&c;`"),
            ("<x:a/>", "s:1:2: `x:a`: a `:` in a name is not supported"),
            ("<a x:b='1'/>", "s:1:4: `x:b`: a `:` in a name is not supported, except in `xml:` attributes"),
        ];
        for (text, error) in cases {
            assert_eq!(read(text).1, error, "{text}");
        }
    }

    #[test]
    fn the_scan_goes_on_where_the_next_tag_is_in_no_doubt() {
        let (events, errors) = read("<a>\n<b c='&x;' c='2'>&#0;</a>\n<d/>");
        let expected = [
            "s:2:7: general entities are not supported: `&x;`",
            "s:2:12: c of <b> is given twice",
            "s:2:18: a reference to `0`, which is not a character that is allowed",
            "s:2:22: </a> does not close <b>, which was opened at 2:1",
            "s:3:1: nothing but comments may follow the root element",
        ];
        assert_eq!(errors.lines().collect::<Vec<_>>(), expected);
        assert_eq!(events, "<a>@1:1 \"\"@1:4 <b c=@4>@2:1 end@2:22 end@2:22");
    }

    #[test]
    fn a_script_of_the_limits_is_read_and_one_beyond_is_not() {
        let deep = |n: usize| read(&format!("{}{}", "<a>".repeat(n), "</a>".repeat(n))).1;
        assert_eq!(deep(DEPTH_MAX), "");
        assert_eq!(deep(DEPTH_MAX + 1), "s:1:193: elements are nested deeper than 64");
        let many = |n: usize| read(&format!("<a>{}</a>", "<b/>".repeat(n - 1))).1;
        assert_eq!(many(ELEMENTS_MAX), "");
        assert_eq!(many(ELEMENTS_MAX + 1), "s:1:65536: there are more than 16384 elements");
        let wide =
            |n: usize| read(&format!("<a{}/>", (0..n).map(|i| format!(" b{i}='1'")).collect::<String>())).1;
        assert_eq!(wide(ATTRIBUTES_MAX), "");
        assert_eq!(wide(ATTRIBUTES_MAX + 1), "s:1:506: <a> has more than 64 attributes");
    }
}
