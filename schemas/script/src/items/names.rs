//! The names of items, as a person reads them. An element's items are told apart even where its model says the same
//! in two places.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::item::{ItemId, ItemsError};
use crate::limit::{ITEMS_MAX, SHOWN_CHARS_MAX};

#[derive(Debug, Default)]
pub(super) struct Names {
    /// Each item's name, and the element (by number) that it belongs to.
    pub list: Vec<(String, usize)>,
    /// How often a name was given.
    given: BTreeMap<String, usize>,
}

impl Names {
    /// A new item of this element.
    pub fn add(&mut self, element: usize, name: String) -> Result<ItemId, ItemsError> {
        if self.list.len() >= ITEMS_MAX {
            return Err(ItemsError::Many);
        }
        let times = self.given.entry(name.clone()).or_insert(0);
        *times += 1;
        let name = if *times == 1 { name } else { format!("{name} (place {times})") };
        self.list.push((name, element));
        Ok(ItemId(self.list.len() - 1))
    }
}

/// As much of a thing's text as a name shows.
pub(super) fn clipped(thing: &impl fmt::Display) -> String {
    let mut clip = Clip { text: String::new(), left: SHOWN_CHARS_MAX };
    // What does not fit ends the writing, so a large model is not written out to be thrown away.
    match write!(clip, "{thing}") {
        Ok(()) => clip.text,
        Err(fmt::Error) => clip.text + "…",
    }
}

struct Clip {
    text: String,
    left: usize,
}

impl Write for Clip {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(c);
        }
        Ok(())
    }
}
