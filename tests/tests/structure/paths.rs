//! The paths in a file that lead to something of its own crate: those that are imported, and those in its code.

use std::collections::BTreeSet;

use crate::source::Token;

/// A path by its names: of a module below its crate, or as it is written.
pub type Name = Vec<String>;

/// A path as it is written.
pub struct Written {
    pub path: Name,
    /// What an import calls it. All of a module (`*`) has no name.
    pub alias: Option<String>,
    /// A `pub use`.
    pub is_offered: bool,
}

/// All of them, in the order of the file whose child modules have these names.
pub fn written(tokens: &[Token], children: &BTreeSet<String>) -> Vec<Written> {
    let mut reader = Reader { tokens, at: 0, found: Vec::new() };
    reader.read(children);
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Vec<Written>,
}

impl Reader<'_> {
    fn read(&mut self, children: &BTreeSet<String>) {
        while self.at < self.tokens.len() {
            let (before, here, next) = (self.text(-1), self.text(0), self.text(1));
            let begins = ["crate", "self", "super"].contains(&here) || children.contains(here);
            if here == "use" && next != "<" {
                let is_offered = ["pub", ")"].contains(&before);
                self.at += 1;
                self.tree(&[], Some(is_offered));
            } else if begins && next == "::" && before != "::" {
                self.tree(&[], None);
            } else {
                self.at += 1;
            }
        }
    }

    fn text(&self, ahead: isize) -> &str {
        let token = self.at.checked_add_signed(ahead).and_then(|at| self.tokens.get(at));
        token.map_or("", |token| &token.text)
    }

    /// Reads a path, or the branches of one. Whether it is offered is known of imports alone.
    fn tree(&mut self, stem: &[String], import: Option<bool>) {
        let mut path = stem.to_vec();
        loop {
            match self.text(0) {
                "{" => return self.branches(&path, import),
                "self" if !stem.is_empty() => {}
                name => path.push(name.to_owned()),
            }
            self.at += 1;
            // What follows `::` is a name, a branching or a star; else it is the generics of a call.
            if self.text(0) != "::" || self.text(1) == "<" {
                break;
            }
            self.at += 1;
        }
        if import.is_some() && self.text(0) == "as" {
            self.at += 2;
        }
        let name = if self.text(-2) == "as" { self.text(-1) } else { &path[path.len() - 1] };
        let alias = import.filter(|_| name != "*").map(|_| name.to_owned());
        self.found.push(Written { path, alias, is_offered: import == Some(true) });
    }

    fn branches(&mut self, stem: &[String], import: Option<bool>) {
        while !["}", ""].contains(&self.text(0)) {
            // The brace, or the comma before the next branch.
            self.at += 1;
            if self.text(0) != "}" {
                self.tree(stem, import);
            }
        }
        self.at += 1;
    }
}
