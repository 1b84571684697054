//! What scripts and definitions write alike: references, attribute values, comments, processing instructions and
//! the declaration at the beginning (XML 1.0, fifth edition, 2.3, 2.5, 2.6, 2.8, 3.3.3, 4.1 and 4.3.1).
//!
//! Refuses by name: every general entity but the five that XML itself declares, encodings other than UTF-8, and
//! `standalone="yes"`, which would deny the definition.

use crate::cursor::Cursor;
use crate::diagnostic::{Problem, Report, fail, shown};
use crate::text::{is_char, is_name_char, is_white};

/// Passes a reference to a character, from its `&` to its `;`.
pub(crate) fn reference(cursor: &mut Cursor) -> Result<char, Problem> {
    let at = cursor.at();
    cursor.expect("&")?;
    let number = cursor.eat("#");
    let radix = if number && cursor.eat("x") { 16 } else { 10 };
    let name = cursor.take_while(is_name_char).to_owned();
    if name.is_empty() || !cursor.eat(";") {
        return fail(at, "a reference is not complete; a `&` of its own is written `&amp;`");
    }
    if number {
        let c = u32::from_str_radix(&name, radix).ok().and_then(char::from_u32);
        return match c.filter(|c| is_char(*c)) {
            Some(c) => Ok(c),
            None => {
                fail(at, format!("a reference to {}, which is not a character that is allowed", shown(&name)))
            }
        };
    }
    match name.as_str() {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => fail(at, format!("general entities are not supported: {}", shown(&format!("&{name};")))),
    }
}

/// Passes the opening quote; returns it.
pub(crate) fn quote(cursor: &mut Cursor) -> Result<char, Problem> {
    match cursor.peek() {
        Some(quote @ ('"' | '\'')) => {
            cursor.bump();
            Ok(quote)
        }
        _ => fail(cursor.at(), format!("expected a quoted value, found {}", cursor.found())),
    }
}

/// Passes an attribute's value with its quotes and leaves it in `value`; literal white space becomes spaces.
pub(crate) fn attribute_value(
    cursor: &mut Cursor,
    report: &mut Report,
    value: &mut String,
) -> Result<(), Problem> {
    let start = cursor.at();
    let quote = quote(cursor)?;
    value.clear();
    loop {
        match cursor.peek() {
            None => return fail(start, "this value is never closed"),
            Some('<') => return fail(cursor.at(), "a `<` in a value is written `&lt;`"),
            Some('&') => match reference(cursor) {
                Ok(c) => value.push(c),
                Err(problem) => report.problem(problem),
            },
            Some(c) if c == quote => {
                cursor.bump();
                return Ok(());
            }
            Some(c) if is_white(c) => {
                cursor.bump();
                value.push(' ');
            }
            Some(_) => *value += cursor.take_while(|c| c != quote && !is_white(c) && !matches!(c, '<' | '&')),
        }
    }
}

/// Passes a comment, from its `<!--` to its `-->`.
pub(crate) fn comment(cursor: &mut Cursor) -> Result<(), Problem> {
    let start = cursor.at();
    cursor.expect("<!--")?;
    if !cursor.skip_through("--") {
        return fail(start, "this comment is never closed");
    }
    match cursor.eat(">") {
        true => Ok(()),
        false => fail(cursor.at(), "`--` is not allowed within a comment"),
    }
}

/// Passes a processing instruction, from its `<?` to its `?>`. Nothing is processed.
pub(crate) fn instruction(cursor: &mut Cursor) -> Result<(), Problem> {
    let start = cursor.at();
    cursor.expect("<?")?;
    let target = cursor.name("the name of a processing instruction")?.to_owned();
    if target.eq_ignore_ascii_case("xml") {
        return fail(
            start,
            format!("`<?{target}` is allowed only as the XML declaration, at the very beginning"),
        );
    }
    if cursor.eat("?>") {
        return Ok(());
    }
    if !cursor.white() {
        return fail(cursor.at(), format!("expected white space or `?>`, found {}", cursor.found()));
    }
    match cursor.skip_through("?>") {
        true => Ok(()),
        false => fail(start, "this processing instruction is never closed"),
    }
}

/// What a text is, as far as its declaration differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Script,
    Definition,
}

/// Passes `<?xml version="1.0" encoding="UTF-8"?>`, if that is next.
pub(crate) fn declaration(cursor: &mut Cursor, kind: Kind) -> Result<(), Problem> {
    let mut ahead = cursor.clone();
    if !ahead.eat("<?xml") || !ahead.peek().is_some_and(is_white) {
        return Ok(());
    }
    *cursor = ahead;
    let at = cursor.at();
    let version = pseudo_attribute(cursor, "version")?;
    if !version.as_deref().map_or(kind == Kind::Definition, is_version) {
        return fail(at, "expected ` version=\"1.0\"`");
    }
    let encoding = pseudo_attribute(cursor, "encoding")?;
    if !encoding.as_deref().map_or(kind == Kind::Script, |name| name.eq_ignore_ascii_case("UTF-8")) {
        return fail(at, "expected ` encoding=\"UTF-8\"`: no other encoding is supported");
    }
    let standalone = if kind == Kind::Script { pseudo_attribute(cursor, "standalone")? } else { None };
    if standalone.is_some_and(|word| word != "no") {
        return fail(
            at,
            "expected ` standalone=\"no\"` or nothing: a script always depends on its definition",
        );
    }
    cursor.white();
    cursor.expect("?>")
}

fn is_version(text: &str) -> bool {
    text.strip_prefix("1.")
        .is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()))
}

fn pseudo_attribute(cursor: &mut Cursor, name: &str) -> Result<Option<String>, Problem> {
    let mut ahead = cursor.clone();
    if !(ahead.white() && ahead.eat(name)) {
        return Ok(None);
    }
    *cursor = ahead;
    cursor.white();
    cursor.expect("=")?;
    cursor.white();
    let start = cursor.at();
    let quote = quote(cursor)?;
    match cursor.take_through(quote.encode_utf8(&mut [0; 4])) {
        Some(value) => Ok(Some(value.to_owned())),
        None => fail(start, "this value is never closed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stand_for_characters() {
        for (text, c) in
            [("&#65;", 'A'), ("&#x1F600;", '😀'), ("&amp;", '&'), ("&quot;", '"'), ("&#9;", '\t')]
        {
            assert_eq!(reference(&mut Cursor::new(text)).unwrap(), c);
        }
        let bad = [
            "&",
            "&;",
            "&a",
            "&#;",
            "&#x;",
            "&#xg;",
            "&#-1;",
            "&#+1;",
            "&#X41;",
            "&#0;",
            "&#xD800;",
            "&#xFFFE;",
            "&#x110000;",
            "&#99999999999;",
        ];
        for text in bad {
            assert!(reference(&mut Cursor::new(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_declaration_is_of_xml_1_in_utf8() {
        let read = |kind, text: &str| {
            let mut cursor = Cursor::new(text);
            declaration(&mut cursor, kind).map(|()| cursor.offset()).map_err(|problem| problem.message)
        };
        for text in ["<?xml version='1.0'?>", "<?xml version = \"1.1\" encoding='utf-8' standalone='no' ?>"] {
            assert_eq!(read(Kind::Script, text), Ok(text.len()), "{text}");
        }
        for text in ["<?xml encoding='UTF-8'?>", "<?xml version='1.0' encoding='UTF-8'?>"] {
            assert_eq!(read(Kind::Definition, text), Ok(text.len()), "{text}");
        }
        let cases = [
            (Kind::Script, "<?xml encoding='UTF-8'?>", "expected ` version=\"1.0\"`"),
            (Kind::Script, "<?xml version='2.0'?>", "expected ` version=\"1.0\"`"),
            (
                Kind::Script,
                "<?xml version='1.0' encoding='latin1'?>",
                "expected ` encoding=\"UTF-8\"`: no other encoding is supported",
            ),
            (
                Kind::Definition,
                "<?xml version='1.0'?>",
                "expected ` encoding=\"UTF-8\"`: no other encoding is supported",
            ),
            (
                Kind::Script,
                "<?xml version='1.0' standalone='yes'?>",
                "expected ` standalone=\"no\"` or nothing: a script always depends on its definition",
            ),
            (Kind::Definition, "<?xml encoding='UTF-8' standalone='no'?>", "expected `?>`, found `s`"),
            (Kind::Script, "<?xml version='1.0'encoding='UTF-8'?>", "expected `?>`, found `e`"),
        ];
        for (kind, text, error) in cases {
            assert_eq!(read(kind, text), Err(error.to_owned()), "{text}");
        }
    }
}
