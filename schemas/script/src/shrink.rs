//! The shortest script that still does what a long one did.
//!
//! Children, subtrees and attributes are left out, elements are replaced by what is below them or by smaller ones,
//! values are cut, as long as the script stays valid and whoever asks says that it still fails; round after round,
//! until nothing can be done any more. Each step makes the script shorter, so there is an end to it. The same script
//! and answers give the same result.
//!
//! The caller asks for a candidate and answers for it, so the answer may take as long as a run of the script does.

mod edit;

use std::sync::Arc;

use crate::diagnostic::{Diagnostics, Position, Problem, Report};
use crate::draft::Node;
use crate::items::Items;
use crate::limit::SHRINK_BYTES_MAX;
use crate::script::Script;
use edit::Edit;

/// Makes a script shorter as long as it fails.
///
/// ```
/// use flotilla_script::{Definition, Items, Shrink, Values};
/// let definition = Definition::parse("d.dtd", b"<!ELEMENT r (a | b)*> <!ELEMENT a EMPTY> <!ELEMENT b (#PCDATA)>").unwrap();
/// let items = Items::of(&definition, "r", &Values::new()).unwrap();
/// let mut shrink = Shrink::new(items, "<r><a/><b>some text</b><a/><b/></r>", 1000).unwrap();
/// while let Some(script) = shrink.candidate() {
///     shrink.answer(script.contains('x'));
/// }
/// assert_eq!(shrink.shortest(), "<r>\n  <b>x</b>\n</r>\n");
/// assert!(shrink.is_minimal());
/// ```
#[derive(Debug)]
pub struct Shrink {
    items: Arc<Items>,
    best: Node,
    shortest: String,
    /// Its size as candidates are written, in bytes.
    size: usize,
    edits: Vec<Edit>,
    /// The next edit.
    at: usize,
    /// Whether this round has made the script shorter.
    is_shorter: bool,
    candidate: Option<(Node, String)>,
    tries: usize,
    bytes: usize,
    is_minimal: bool,
}

impl Shrink {
    /// Begins with a script that fails. At most `tries` candidates will come.
    pub fn new(items: Arc<Items>, script: &str, tries: usize) -> Result<Self, Diagnostics> {
        let read = Script::parse("script", script.as_bytes(), &items.definition)?;
        let Some(best) = Node::of(&read, &items) else {
            let message = format!("the root <{}> is not the one whose items these are", read.root());
            return Err(Report::new("script").finish_with(Problem { at: Position::START, message }));
        };
        Ok(Self {
            size: best.write(&items).len(),
            edits: edit::list(&best, &items),
            items,
            best,
            shortest: script.to_owned(),
            at: 0,
            is_shorter: false,
            candidate: None,
            tries,
            bytes: SHRINK_BYTES_MAX,
            is_minimal: false,
        })
    }

    /// A shorter script, valid like the first; nothing when there is none left to try.
    pub fn candidate(&mut self) -> Option<String> {
        while self.tries > 0 && self.bytes > 0 {
            let Some(edit) = self.edits.get(self.at) else {
                if !std::mem::take(&mut self.is_shorter) {
                    self.is_minimal = true;
                    return None;
                }
                self.at = 0;
                continue;
            };
            self.at += 1;
            let Some(node) = edit.apply(&self.best, &self.items) else { continue };
            let text = node.write(&self.items);
            self.bytes = self.bytes.saturating_sub(text.len());
            if text.len() < self.size
                && Script::parse("script", text.as_bytes(), &self.items.definition).is_ok()
            {
                self.tries -= 1;
                self.candidate = Some((node, text.clone()));
                return Some(text);
            }
        }
        None
    }

    /// Whether the last candidate still fails. Without a candidate nothing happens.
    pub fn answer(&mut self, fails: bool) {
        if let Some((node, text)) = self.candidate.take().filter(|_| fails) {
            self.size = text.len();
            (self.best, self.shortest) = (node, text);
            self.edits = edit::list(&self.best, &self.items);
            // What follows in the old list mostly follows in the new one; the next round sees to the rest.
            self.at = self.at.saturating_sub(1);
            self.is_shorter = true;
        }
    }

    /// The shortest script that is known to fail.
    pub fn shortest(&self) -> &str {
        &self.shortest
    }

    /// Whether nothing was left to try; false as long as there is, and when the tries were used up.
    pub fn is_minimal(&self) -> bool {
        self.is_minimal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Definition, Values};

    #[test]
    fn so_many_bytes_are_looked_at_and_no_more() {
        let definition = Definition::parse("d", b"<!ELEMENT r (a)*><!ELEMENT a EMPTY>").unwrap();
        let items = Items::of(&definition, "r", &Values::new()).unwrap();
        let mut shrink = Shrink::new(items, "<r><a/><a/><a/><a/></r>", 1000).unwrap();
        assert_eq!(shrink.bytes, SHRINK_BYTES_MAX);
        shrink.bytes = 1;
        assert!(shrink.candidate().is_some() && shrink.candidate().is_none() && !shrink.is_minimal());
    }
}
