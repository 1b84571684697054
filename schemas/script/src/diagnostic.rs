//! What is wrong with a text, and where: [`Diagnostic`], and [`Report`], which gathers all of them.
//!
//! A reader returns a [`Problem`] where it cannot go on, and reports to the [`Report`] where it can.

use std::fmt;

use crate::limit::{DIAGNOSTICS_MAX, EXPECTED_MAX, SHOWN_CHARS_MAX};

/// One thing that is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub col: u32,
    /// What is wrong and, where it can be said, what was expected.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.col, self.message)
    }
}

/// All that is wrong with a text, in the order of its places; never empty. At most
/// [`DIAGNOSTICS_MAX`] and one that says how many more there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Diagnostic::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Diagnostics {}

/// A place in a text. Both count from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub line: u32,
    pub col: u32,
}

impl Position {
    pub const START: Self = Self { line: 1, col: 1 };

    /// The place behind this character.
    pub fn after(self, c: char) -> Self {
        match c {
            '\n' => Self { line: self.line.saturating_add(1), col: 1 },
            _ => Self { line: self.line, col: self.col.saturating_add(1) },
        }
    }

    /// The place behind this text.
    pub fn behind(self, text: &str) -> Self {
        // Every character has one byte that does not continue another.
        text.bytes().filter(|byte| byte & 0xc0 != 0x80).fold(self, |at, byte| at.after(byte.into()))
    }

    /// The place at this byte of the text; within a character, that behind it.
    pub fn of(text: &str, offset: usize) -> Self {
        let end = (offset..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        Self::START.behind(text.get(..end).unwrap_or(text))
    }
}

/// What keeps a reader from going on.
#[derive(Debug)]
pub(crate) struct Problem {
    pub at: Position,
    pub message: String,
}

/// A problem as the error of anything.
pub(crate) fn fail<T>(at: Position, message: impl Into<String>) -> Result<T, Problem> {
    Err(Problem { at, message: message.into() })
}

/// A text of any length, to stand in a message.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => format!("`{text}`"),
        Some((end, _)) => format!("`{}`…", text.get(..end).unwrap_or_default()),
    }
}

/// `a, b or c`, to stand after `expected`; of a long list only the beginning.
pub(crate) fn alternatives(items: impl IntoIterator<Item = String>) -> String {
    let mut items: Vec<String> = items.into_iter().collect();
    if items.len() > EXPECTED_MAX {
        let more = items.split_off(EXPECTED_MAX).len();
        items.push(format!("{more} others"));
    }
    match items.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// Gathers what is wrong with one file.
#[derive(Debug)]
pub(crate) struct Report {
    file: String,
    list: Vec<Problem>,
    left_out: usize,
}

impl Report {
    pub fn new(file: &str) -> Self {
        Self { file: file.to_owned(), list: Vec::new(), left_out: 0 }
    }

    pub fn add(&mut self, at: Position, message: impl Into<String>) {
        if self.list.len() < DIAGNOSTICS_MAX {
            self.list.push(Problem { at, message: message.into() });
        } else {
            self.left_out += 1;
        }
    }

    pub fn problem(&mut self, problem: Problem) {
        self.add(problem.at, problem.message);
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The diagnostics, of which this is the last.
    pub fn finish_with(mut self, problem: Problem) -> Diagnostics {
        self.problem(problem);
        self.into_diagnostics()
    }

    /// The diagnostics in the order of their places, or nothing if there are none.
    pub fn finish(self) -> Result<(), Diagnostics> {
        if self.list.is_empty() { Ok(()) } else { Err(self.into_diagnostics()) }
    }

    fn into_diagnostics(mut self) -> Diagnostics {
        self.list.sort_by_key(|problem| problem.at);
        if let (Some(last), 1..) = (self.list.last(), self.left_out) {
            let message = format!("{} more errors are left out", self.left_out);
            self.list.push(Problem { at: last.at, message });
        }
        let file = self.file;
        let diagnostic = |Problem { at: Position { line, col }, message }| Diagnostic {
            file: file.clone(),
            line,
            col,
            message,
        };
        Diagnostics(self.list.into_iter().map(diagnostic).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnostics_come_in_the_order_of_their_places() {
        let mut report = Report::new("a.xml");
        report.add(Position { line: 2, col: 14 }, "second");
        report.add(Position { line: 2, col: 3 }, "first");
        assert_eq!(report.finish().unwrap_err().to_string(), "a.xml:2:3: first\na.xml:2:14: second");
    }

    #[test]
    fn diagnostics_beyond_the_limit_are_counted() {
        let mut report = Report::new("a.xml");
        for _ in 0..DIAGNOSTICS_MAX + 3 {
            report.add(Position::START, "wrong");
        }
        let Diagnostics(list) = report.finish().unwrap_err();
        assert_eq!(list.len(), DIAGNOSTICS_MAX + 1);
        assert_eq!(list[DIAGNOSTICS_MAX].message, "3 more errors are left out");
    }

    #[test]
    fn a_message_shows_no_more_than_its_limits() {
        let at_limit = "ä".repeat(SHOWN_CHARS_MAX);
        assert_eq!(shown(&at_limit), format!("`{at_limit}`"));
        assert_eq!(shown(&format!("{at_limit}b")), format!("`{at_limit}`…"));
        let names = |n: usize| alternatives((1..=n).map(|i| i.to_string()));
        assert_eq!((names(1), names(3)), ("1".to_owned(), "1, 2 or 3".to_owned()));
        assert_eq!(names(EXPECTED_MAX), "1, 2, 3, 4, 5, 6, 7 or 8");
        assert_eq!(names(EXPECTED_MAX + 2), "1, 2, 3, 4, 5, 6, 7, 8 or 2 others");
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(Position::of("ä\nöü<", 7), Position { line: 2, col: 3 });
        for text in ["", "aä\u{1f600}", "\n", "a\n\nöü", "ab\nc\n"] {
            let start = Position { line: 3, col: 7 };
            assert_eq!(start.behind(text), text.chars().fold(start, Position::after), "{text:?}");
        }
    }
}
