//! What commands print: plain lines, aligned tables, and JSON, one value a line.
//!
//! Colours reach a terminal only (`NO_COLOR` is heeded). Text that came from elsewhere is stripped of control
//! characters, so a message of an app cannot play with the operator's terminal. A closed pipe is the reader's way of
//! saying that it has seen enough: see [`is_closed`].

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// Headings and names.
pub const BOLD: Style = Style::new().bold();
/// What matters less.
pub const DIM: Style = Style::new().dimmed();
/// What is as it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What wants attention.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// What is wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Ids in running text.
pub const NAME: Style = AnsiColor::Cyan.on_default();

/// A text in a style.
pub fn styled(style: Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Text from elsewhere without control characters, each of them a space.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The word for so many: `rule`, `rules`.
pub fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

/// Prints a line to standard output.
pub fn line(text: impl fmt::Display) -> io::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")
}

/// Prints a line on what is going on to standard error: progress, hints, what was refused.
pub fn note(text: impl fmt::Display) {
    // Nobody is left to be told when standard error is gone.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Prints a value as one line of JSON.
pub fn json(value: &impl Serialize) -> io::Result<()> {
    line(serde_json::to_string(value)?)
}

/// Prints an error with its causes, as it reads after "failed to".
pub fn error(error: &(dyn Error + 'static)) {
    note(format!("{} failed to {}", styled(BAD, "error:"), chain(error)));
}

/// An error and its causes in one text. A cause that its error already quotes is left out.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// Whether the error is that nobody reads standard output any more.
pub fn is_closed(error: &(dyn Error + 'static)) -> bool {
    let closed = |e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref().is_some_and(closed) || error.source().is_some_and(is_closed)
}

/// A table with a heading. Columns of numbers are aligned to the right.
#[derive(Debug)]
pub struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Debug)]
pub struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    /// A text in a style.
    pub fn new(text: impl fmt::Display, style: Style) -> Self {
        Self { text: plain(&text.to_string()), style, right: false }
    }

    /// A text.
    pub fn text(text: impl fmt::Display) -> Self {
        Self::new(text, Style::new())
    }

    /// A number.
    pub fn number(number: impl fmt::Display) -> Self {
        Self { right: true, ..Self::text(number) }
    }

    /// The same cell in this style.
    pub fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl Table {
    /// A table without rows.
    pub fn new<const N: usize>(heading: [&'static str; N]) -> Self {
        Self { heading: heading.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it has as many cells as the heading.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    /// Prints it, or what there is to say when it has no row.
    pub fn print(&self, empty: &str) -> io::Result<()> {
        if self.rows.is_empty() { line(styled(DIM, empty)) } else { line(self) }
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(Cell::width);
        cells.chain(self.heading.get(column).map(|h| h.len())).max().unwrap_or(0)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right =
            |column: usize| self.rows.first().and_then(|row| row.get(column)).is_some_and(|c| c.right);
        let heading: Vec<Cell> = (self.heading.iter().enumerate())
            .map(|(column, text)| Cell { text: (*text).into(), style: BOLD, right: right(column) })
            .collect();
        let last = self.heading.len().saturating_sub(1);
        for (at, row) in std::iter::once(&heading).chain(&self.rows).enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            for (column, cell) in row.iter().enumerate() {
                let pad = " ".repeat(self.width(column).saturating_sub(cell.width()));
                let gap = if column == last { "" } else { "  " };
                let text = styled(cell.style, &cell.text);
                match (cell.right, column == last) {
                    (true, _) => write!(f, "{pad}{text}{gap}")?,
                    (false, true) => write!(f, "{text}")?,
                    (false, false) => write!(f, "{text}{pad}{gap}")?,
                }
            }
        }
        Ok(())
    }
}

/// The word that a plain enumeration has in JSON.
pub fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

/// All of them, or a dash.
pub fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "-".into() } else { items.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_to_the_right() {
        let mut table = Table::new(["EDGE", "RECORDS", "MODE"]);
        table.row([Cell::text("e1"), Cell::number(7), Cell::new("operating", GOOD)]);
        table.row([Cell::text("küche-12"), Cell::number(12_345), Cell::text("degraded")]);
        let text = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(
            text,
            "EDGE      RECORDS  MODE\n\
             e1              7  operating\n\
             küche-12    12345  degraded"
        );
    }

    #[test]
    fn text_from_elsewhere_cannot_steer_the_terminal() {
        let mut table = Table::new(["MESSAGE"]);
        table.row([Cell::text("a\u{1b}[2Jb\nc\u{7}")]);
        let text = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(text, "MESSAGE\na [2Jb c ");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("read the file")]
    struct Outer(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("read the file: {0}")]
    struct Quoting(#[source] io::Error);

    #[test]
    fn an_error_is_told_with_its_cause_once() {
        let error = Outer(io::Error::other("disk on fire"));
        assert_eq!(chain(&error), "read the file: disk on fire");
        let quoting = Quoting(io::Error::other("disk on fire"));
        assert_eq!(chain(&quoting), "read the file: disk on fire");
        assert!(!is_closed(&error));
        assert!(is_closed(&Outer(io::ErrorKind::BrokenPipe.into())));
    }
}
