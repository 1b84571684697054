//! Scripts made from a definition: until every item has been shown, or at random.
//!
//! A script takes what no script before it has shown wherever it can, and goes towards the nearest of it elsewhere.
//! What it has shown is read off its text again, as for any script. When one shows nothing new, the next is steered
//! to a single item, chosen by chance, and does elsewhere what chance says; after many of those in vain the
//! generator gives up and says so. The same items and seed give the same scripts. There is no clock: a caller whose
//! time is out stops asking.

pub(crate) mod growth;
pub(crate) mod wanted;

use std::sync::Arc;

use crate::chance::Chance;
use crate::coverage::Coverage;
use crate::items::{Attribute, ItemId, Items, Place};
use crate::limit::{DEPTH_MAX, STALLS_MAX};
use crate::script::Script;
use growth::{Forced, Growth, Style};
use wanted::Wanted;

/// How much is generated at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Scripts.
    pub scripts: usize,
    /// Bytes of all scripts together.
    pub bytes: usize,
    /// Elements of all scripts together, those among them that showed nothing new and were thrown away.
    pub elements: usize,
}

impl Default for Budget {
    /// 4,096 scripts, 16 MiB, 4 million elements.
    fn default() -> Self {
        Self { scripts: 4096, bytes: 16 << 20, elements: 4_000_000 }
    }
}

/// A generated script, valid by its definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The script.
    pub text: String,
    /// What it shows that none before it did, in the order of the items.
    pub covers: Vec<ItemId>,
}

/// Why no more scripts come; reads after "stopped: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// There is nothing left to show.
    #[error("everything is covered")]
    Complete,
    /// The budget's scripts are used up.
    #[error("as many scripts as were asked for")]
    Scripts,
    /// The budget's bytes are used up.
    #[error("the scripts are as large as was asked for")]
    Bytes,
    /// The budget's elements are used up.
    #[error("as many elements were tried as was asked for")]
    Elements,
    /// Script after script showed nothing new.
    #[error("{STALLS_MAX} scripts in a row showed nothing new")]
    Stalled,
}

/// Makes scripts that cover a definition; as an iterator, those that together show everything.
///
/// ```
/// use flotilla_script::{Budget, Definition, End, Generator, Items, Values};
/// let definition = Definition::parse("d.dtd", b"<!ELEMENT r (a?, b*)> <!ELEMENT a EMPTY> <!ELEMENT b (#PCDATA)>").unwrap();
/// let items = Items::of(&definition, "r", &Values::new()).unwrap();
/// let mut generator = Generator::new(items, 1, Budget::default());
/// let scripts: Vec<String> = generator.by_ref().map(|script| script.text).collect();
/// assert_eq!(generator.end(), Some(End::Complete));
/// assert_eq!(generator.coverage().covered(), generator.coverage().total());
/// assert!(scripts.len() <= 4, "{scripts:?}");
/// ```
#[derive(Debug)]
pub struct Generator {
    items: Arc<Items>,
    chance: Chance,
    coverage: Coverage,
    left: Budget,
    /// How many scripts in a row have shown nothing new.
    stalls: usize,
    end: Option<End>,
}

impl Generator {
    /// Begins with nothing shown.
    pub fn new(items: Arc<Items>, seed: u64, budget: Budget) -> Self {
        let coverage = Coverage::new(Arc::clone(&items));
        Self { items, chance: Chance::new(seed), coverage, left: budget, stalls: 0, end: None }
    }

    /// What has been shown so far.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Why no more scripts come; nothing as long as they do.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// A script that chance makes, whatever was shown before. Nothing if none of many was valid, as where ids are
    /// needed and hardly ever there.
    pub fn random(&mut self) -> Option<Generated> {
        (0..STALLS_MAX).find_map(|_| {
            let wanted = Wanted::these(&self.items, []);
            let mut growth = Growth::new(&self.items, &mut self.chance, wanted);
            growth.style = Style::Wild;
            let text = growth.script()?;
            Some(Generated { covers: self.mark(&text)?, text })
        })
    }

    /// A small script in which this value stands at this place, whether the definition allows it or not. Nothing if
    /// no script was found that has the place, or if the place is an ID or refers to one: those get names that fit.
    pub fn with(&self, place: &Place, value: &str) -> Option<String> {
        let element = self.items.number(&place.element)?;
        let declared = &self.items.element(element)?.attributes;
        let attribute = match &place.attribute {
            Some(name) => {
                let here = |attribute: &Attribute| *attribute.name == **name && !attribute.is_settled();
                Some(declared.iter().position(here)?)
            }
            None => None,
        };
        let mut wanted = Wanted::these(&self.items, []);
        wanted.add_element(element);
        let mut chance = Chance::new(0);
        let mut growth = Growth::new(&self.items, &mut chance, wanted);
        growth.depth_max = DEPTH_MAX;
        growth.forced = Some(Forced { element, attribute, value: value.into() });
        growth.script().filter(|_| growth.forced.is_none())
    }

    /// A script that is wanted for what is missing, and shows some of it.
    fn attempt(&mut self) -> Option<Generated> {
        let missing: Vec<ItemId> = self.coverage.missing().collect();
        let target = if self.stalls == 0 { None } else { self.chance.pick(&missing).copied() };
        let wanted = match target {
            None => Wanted::these(&self.items, missing),
            Some(target) => Wanted::these(&self.items, [target]),
        };
        let mut growth = Growth::new(&self.items, &mut self.chance, wanted);
        if target.is_some() {
            (growth.style, growth.depth_max) = (Style::Wild, DEPTH_MAX);
        }
        let text = growth.script();
        self.left.elements = self.left.elements.saturating_sub(growth.elements);
        let text = text?;
        let covers = self.mark(&text)?;
        if covers.is_empty() { None } else { Some(Generated { text, covers }) }
    }

    /// What the script shows that is new, read as anybody else's is.
    fn mark(&mut self, text: &str) -> Option<Vec<ItemId>> {
        let script = self.read(text)?;
        Some(self.coverage.mark(&script))
    }

    fn read(&self, text: &str) -> Option<Script> {
        Script::parse("generated", text.as_bytes(), &self.items.definition).ok()
    }

    fn why_end(&self) -> Option<End> {
        let ends = [
            (self.coverage.covered() == self.coverage.total(), End::Complete),
            (self.left.scripts == 0, End::Scripts),
            (self.left.bytes == 0, End::Bytes),
            (self.left.elements == 0, End::Elements),
            (self.stalls >= STALLS_MAX, End::Stalled),
        ];
        ends.into_iter().find(|(holds, _)| *holds).map(|(_, end)| end)
    }
}

impl Iterator for Generator {
    type Item = Generated;

    /// The next script that shows something new.
    fn next(&mut self) -> Option<Generated> {
        loop {
            self.end = self.why_end();
            if self.end.is_some() {
                return None;
            }
            match self.attempt() {
                Some(script) => {
                    self.stalls = 0;
                    self.left.scripts -= 1;
                    self.left.bytes = self.left.bytes.saturating_sub(script.text.len());
                    return Some(script);
                }
                None => self.stalls += 1,
            }
        }
    }
}
