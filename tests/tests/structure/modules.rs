//! Cycles between the modules of a crate: files that cannot be understood one after the other.
//!
//! A module is a file. It leans on those that define what its paths name: paths in `use` or in place, that begin with
//! `crate`, `self`, `super` or a child of its own. To declare a child is not to lean on it, nor is to name it to others:
//! a `pub use` counts only if the file itself takes that name, and what others take through it counts for the file that
//! defines it. So a folder's `mod.rs` may offer what its files hold. It may also put together what they do; but if they
//! lean on what it defines itself, that is a cycle as any other, and what they share wants a file of its own.
//!
//! Methods are called without a path, so they are not seen: a type whose methods stand in several files is no cycle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::paths::{Name, Written, written};
use crate::source::{Token, tokens};

/// For each module, those that it leans on, each with a path by which it does.
type Leanings = BTreeMap<Name, BTreeMap<Name, Name>>;

/// The modules of one crate.
pub struct Crate(BTreeMap<Name, Module>);

/// A file.
pub struct Module {
    pub file: PathBuf,
    pub tokens: Vec<Token>,
    children: BTreeSet<String>,
    paths: Vec<Written>,
}

impl Crate {
    /// Reads the crate that begins with this file. Modules that only tests compile are left out.
    pub fn read(file: &Path) -> Self {
        let mut modules = BTreeMap::new();
        let mut waiting = vec![(Name::new(), file.to_owned(), file.parent().unwrap().to_owned())];
        while let Some((name, file, folder)) = waiting.pop() {
            let module = Module::read(&file);
            for child in &module.children {
                let (beside, inside) = (folder.join(format!("{child}.rs")), folder.join(child));
                let file = if beside.exists() { beside } else { inside.join("mod.rs") };
                waiting.push((join(&name, child), file, inside));
            }
            modules.insert(name, module);
        }
        Self(modules)
    }

    /// Its files.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.0.values()
    }

    /// For each module that leans on itself by way of others and was not named before, the shortest way.
    pub fn cycles(&self) -> Vec<String> {
        let leanings: Leanings = self.0.keys().map(|name| (name.clone(), self.leanings(name))).collect();
        let mut named = BTreeSet::new();
        let mut cycles = Vec::new();
        for name in leanings.keys() {
            if !named.contains(name)
                && let Some(round) = round(&leanings, name)
            {
                cycles.push(told(&leanings, &round));
                named.extend(round);
            }
        }
        cycles
    }

    fn leanings(&self, name: &Name) -> BTreeMap<Name, Name> {
        let module = &self.0[name];
        let takes = |written: &&Written| !written.is_offered || module.takes(written);
        let definer = |written: &Written| Some((self.definer(name, &written.path)?, written.path.clone()));
        module.paths.iter().filter(takes).filter_map(definer).filter(|(other, _)| other != name).collect()
    }

    /// The module that defines what this path leads to, as it is written in `from`; nothing if that is another crate's.
    fn definer(&self, from: &[String], path: &[String]) -> Option<Name> {
        let (head, rest) = path.split_first()?;
        match head.as_str() {
            "crate" => self.below(&[], rest),
            "self" => self.below(from, rest),
            "super" => self.below(&from[..from.len().checked_sub(1)?], rest),
            child if self.0[from].children.contains(child) => self.below(from, path),
            _ => None,
        }
    }

    fn below(&self, module: &[String], path: &[String]) -> Option<Name> {
        let Some((head, rest)) = path.split_first() else { return Some(module.to_vec()) };
        let Module { children, paths, .. } = &self.0[module];
        if head == "super" {
            return self.definer(module, path);
        }
        if children.contains(head) {
            return self.below(&join(module, head), rest);
        }
        match paths.iter().find(|written| written.alias.as_ref() == Some(head)) {
            Some(import) => self.definer(module, &[&import.path, rest].concat()),
            None => Some(module.to_vec()),
        }
    }
}

impl Module {
    fn read(file: &Path) -> Self {
        let source =
            std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let tokens = tokens(&source);
        let declarations = tokens.windows(3).filter(|of| of[0].text == "mod" && of[2].text == ";");
        let children = declarations.map(|of| of[1].text.clone()).collect();
        let paths = written(&tokens, &children);
        Self { file: file.to_owned(), tokens, children, paths }
    }

    /// Whether the file uses the name that it offers.
    fn takes(&self, offered: &Written) -> bool {
        let is_its = |token: &&Token| Some(&token.text) == offered.alias.as_ref();
        self.tokens.iter().filter(is_its).count() > 1
    }
}

fn join(module: &[String], child: &str) -> Name {
    [module, &[child.to_owned()]].concat()
}

/// The shortest way from a module back to itself.
fn round(leanings: &Leanings, from: &Name) -> Option<Vec<Name>> {
    let mut ways = VecDeque::from([vec![from.clone()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in leanings[way.last()?].keys() {
            let longer = [&way[..], std::slice::from_ref(next)].concat();
            if next == from {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push_back(longer);
            }
        }
    }
    None
}

fn told(leanings: &Leanings, round: &[Name]) -> String {
    let shown = |name: &Name| if name.is_empty() { "the root".to_owned() } else { name.join("::") };
    let step =
        |pair: &[Name]| format!(" → {} ({})", shown(&pair[1]), leanings[&pair[0]][&pair[1]].join("::"));
    shown(&round[0]) + &round.windows(2).map(step).collect::<String>()
}

#[test]
fn a_cycle_is_told_and_a_parent_that_offers_what_its_children_hold_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("room")).unwrap();
    file("lib.rs", "mod door; mod room; pub use room::{Chair as Seat, Table};");
    file("room/mod.rs", "mod chair; mod table; pub use {chair::Chair, table::Table};");
    file("room/chair.rs", "use super::Table; pub struct Chair(Table);");
    file("room/table.rs", "pub struct Table; #[cfg(test)] mod tests { use super::super::Chair; }");
    file("door.rs", "fn enter(seat: crate::Seat) {}");
    let cycles = || Crate::read(&folder.path().join("lib.rs")).cycles();
    assert!(cycles().is_empty());
    file(
        "room/table.rs",
        "pub struct Table; impl Table { fn hit() -> impl Fn() + use<> { crate::door::slam::<u8> } }",
    );
    let round = "door → room::chair (crate::Seat) → room::table (super::Table) → door (crate::door::slam)";
    assert_eq!(cycles(), [round]);
    file(
        "room/mod.rs",
        "mod chair; mod table; pub use {chair::Chair, table::Table}; pub fn leave(_: Chair) {}",
    );
    file("room/table.rs", "pub struct Table; use super::leave as go;");
    assert_eq!(
        cycles(),
        ["room → room::chair (chair::Chair) → room::table (super::Table) → room (super::leave)"]
    );
}
