//! From bytes to text, and XML's classes of characters (XML 1.0, fifth edition, 2.2, 2.3 and 2.11).
//!
//! Refuses what is too large, not UTF-8, or holds characters that XML does not allow. A byte order mark is left
//! out and line ends become `\n`, so nothing behind this file needs to know of either.

use crate::diagnostic::{Position, Problem, Report, fail};

/// The text of a file, with `\n` for every line end and without a byte order mark.
pub(crate) fn decode(bytes: &[u8], bytes_max: usize) -> Result<String, Problem> {
    if bytes.len() > bytes_max {
        return fail(Position::START, format!("the file is larger than {bytes_max} bytes"));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(with_one_line_end(text.strip_prefix('\u{feff}').unwrap_or(text))),
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let good = with_one_line_end(&String::from_utf8_lossy(good));
            fail(Position::of(&good, good.len()), "this is not UTF-8")
        }
    }
}

fn with_one_line_end(text: &str) -> String {
    match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text.to_owned(),
    }
}

/// The text of an XML file; reports every character that XML does not allow.
pub(crate) fn decode_xml(bytes: &[u8], bytes_max: usize, report: &mut Report) -> Option<String> {
    let text = decode(bytes, bytes_max).map_err(|problem| report.problem(problem)).ok()?;
    let suspect = |bytes: &[u8]| bytes.iter().fold(false, |found, byte| found | may_begin_no_char(*byte));
    if !text.as_bytes().chunks(1024).any(suspect) {
        return Some(text);
    }
    let mut at = Position::START;
    let mut rest = text.as_str();
    while let Some((start, c)) = rest.char_indices().find(|(_, c)| !is_char(*c)) {
        let (before, from) = rest.split_at(start);
        at = at.behind(before);
        report.add(at, format!("the character U+{:04X} is not allowed", u32::from(c)));
        at = at.after(c);
        rest = from.get(c.len_utf8()..).unwrap_or_default();
    }
    report.is_empty().then_some(text)
}

/// Whether a character that is not allowed may begin with this byte: a control, U+FFFE or U+FFFF.
fn may_begin_no_char(byte: u8) -> bool {
    byte == 0xef || byte < b' ' && !matches!(byte, b'\t' | b'\n')
}

/// `Char`
pub(crate) fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// `S`
pub(crate) fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// `NameStartChar`
pub(crate) fn is_name_start(c: char) -> bool {
    matches!(c,
        ':' | 'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

/// `NameChar`
pub(crate) fn is_name_char(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' | ':' => true,
        '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}' => true,
        _ => !c.is_ascii() && is_name_start(c),
    }
}

/// `Nmtoken`
pub(crate) fn is_nmtoken(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_name_char)
}

/// `Name`
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(is_name_start) && text.chars().all(is_name_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_are_refused_where_they_stand() {
        let problem = decode(b"<a>\r\n\xc3\xa4\xff", 100).unwrap_err();
        assert_eq!((problem.at.line, problem.at.col), (2, 2));
        assert_eq!(problem.message, "this is not UTF-8");
    }

    #[test]
    fn a_file_of_the_limit_is_read_and_one_byte_more_is_not() {
        assert!(decode(b"<a/>", 4).is_ok());
        assert_eq!(decode(b"<a/>", 3).unwrap_err().message, "the file is larger than 3 bytes");
    }

    #[test]
    fn a_byte_order_mark_is_left_out_and_line_ends_are_made_one() {
        assert_eq!(decode("\u{feff}a\r\nb\rc\n".as_bytes(), 100).unwrap(), "a\nb\nc\n");
    }

    #[test]
    fn every_character_that_xml_forbids_is_reported() {
        let mut report = Report::new("f");
        assert!(decode_xml("<a>\n \u{1}\u{ffff}</a>".as_bytes(), 100, &mut report).is_none());
        let lines = "f:2:2: the character U+0001 is not allowed\nf:2:3: the character U+FFFF is not allowed";
        assert_eq!(report.finish().unwrap_err().to_string(), lines);
    }
}
