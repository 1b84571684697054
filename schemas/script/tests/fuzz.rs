//! Whatever is fed to a reader, it answers, and what it accepts holds.
//!
//! Each input is a good text in which some places are replaced by pieces that mean something, or by raw bytes. A
//! test runs for about a second; `BOLERO_RANDOM_ITERATIONS=10000000` makes so many inputs of it, and
//! `cargo bolero test` searches for coverage.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

use std::sync::{Arc, LazyLock};

use flotilla_script::{
    Budget, Coverage, Definition, Diagnostics, EventList, Generator, Items, PlanError, Script, Shrink, Values,
};

const AIR_CONDITIONER: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/definition.dtd");
const COOLING: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/script.xml");
const LARGE: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/events-large.json");
const FEATURES: &str = "<?xml encoding='UTF-8'?><!ENTITY % leaf 'EMPTY'><!ENTITY % two '<!ELEMENT a %leaf;>'> %two;
    <!NOTATION n PUBLIC 'x'><!ENTITY pic SYSTEM 'p' NDATA n><!ENTITY g '&g;&#38;'><![INCLUDE[<!ELEMENT b ANY>]]>
    <!ELEMENT r ((a | b?)+, (c, d*)?)><!ELEMENT c (#PCDATA | a)*><!ELEMENT d EMPTY><![IGNORE[ <![ ]]> ]]>
    <!ATTLIST c i ID #IMPLIED t IDREF #IMPLIED x NOTATION (n) 'n' y ENTITIES #IMPLIED w (u|v) 'u' step-event CDATA #FIXED 'e'>";

/// A change: where, how many bytes go, and which piece comes.
type Change = (u16, u8, u8);

/// The most changes of a text: with more of them hardly one gets far into a reader.
const CHANGES_MAX: usize = 12;

/// Numbers of pieces from here on are bytes of their own, which as a rule are no UTF-8.
const BYTES_FROM: u8 = 250;

/// The text after the changes.
fn changed(text: &str, changes: &[Change], pieces: &[&str]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (at, count, piece) in changes.iter().take(CHANGES_MAX) {
        let start = usize::from(*at) % (bytes.len() + 1);
        let end = (start + usize::from(*count) % 24).min(bytes.len());
        let new = match *piece {
            byte @ BYTES_FROM.. => vec![byte],
            piece => pieces[usize::from(piece) % pieces.len()].as_bytes().to_vec(),
        };
        bytes.splice(start..end, new);
    }
    bytes
}

/// Each diagnostic has a place and says something on one line of its own.
fn check(errors: &Diagnostics) {
    assert!(!errors.0.is_empty());
    for diagnostic in &errors.0 {
        assert!(diagnostic.line > 0 && diagnostic.col > 0 && !diagnostic.message.is_empty());
    }
}

const XML: &[&str] = &[
    "<",
    ">",
    "/>",
    "</",
    "=",
    "\"",
    "'",
    "&",
    ";",
    "&#",
    "&amp;",
    "&#x41;",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?",
    "?>",
    "<?xml version='1.0'?>",
    "<!DOCTYPE a [",
    " ",
    "\n",
    "\r\n",
    "\t",
    "\u{feff}",
    "\u{1f600}",
    "<hold celsius='20'/>",
    "<wind speed='low'/>",
    "<temperature>",
    "</temperature>",
    "<stop/>",
    "<control>",
    "</control>",
    " speed='high'",
    " xml:space='preserve'",
    " tolerance='9'",
    "20",
    "-1e400",
    "text",
];

#[test]
fn no_script_makes_a_reader_panic() {
    static DEFINITION: LazyLock<Definition> =
        LazyLock::new(|| Definition::parse("d.dtd", AIR_CONDITIONER.as_bytes()).unwrap());
    static ITEMS: LazyLock<Arc<Items>> =
        LazyLock::new(|| Items::of(&DEFINITION, "air-conditioner-control", &Values::new()).unwrap());
    let list = EventList::parse("e.json", LARGE.as_bytes()).unwrap();
    bolero::check!().with_type::<Vec<Change>>().for_each(|changes| {
        let text = changed(COOLING, changes, XML);
        match Script::parse("s.xml", &text, &DEFINITION) {
            Err(errors) => check(&errors),
            Ok(script) => {
                match script.plan(&list) {
                    Ok(steps) => assert!(!steps.is_empty()),
                    Err(PlanError::Unmapped(errors) | PlanError::Invalid(errors)) => check(&errors),
                }
                let mut coverage = Coverage::new(Arc::clone(&ITEMS));
                let shown = coverage.mark(&script).len();
                let text = std::str::from_utf8(&text).unwrap();
                if let Ok(mut shrink) = Shrink::new(Arc::clone(&ITEMS), text, 1) {
                    assert!(shown > 0);
                    shrink.candidate();
                }
            }
        }
    });
}

const DTD: &[&str] = &[
    "<!ELEMENT ",
    "<!ATTLIST ",
    "<!ENTITY ",
    "<!ENTITY % ",
    "<!NOTATION ",
    "<![INCLUDE[",
    "<![IGNORE[",
    "]]>",
    "<!--",
    "-->",
    "<?",
    "?>",
    ">",
    "(",
    ")",
    ",",
    "|",
    "?",
    "*",
    "+",
    "#PCDATA",
    "EMPTY",
    "ANY",
    "CDATA ",
    "ID ",
    "IDREF ",
    "IDREFS ",
    "NMTOKENS ",
    "ENTITY ",
    "NOTATION ",
    "#REQUIRED",
    "#IMPLIED",
    "#FIXED ",
    "%",
    "%two;",
    "%leaf;",
    "&#37;",
    "&",
    ";",
    "\"",
    "'",
    "SYSTEM ",
    "PUBLIC ",
    "NDATA ",
    "a",
    "b",
    "r",
    "c ",
    "xml:lang",
    " ",
    "\n",
    "\u{feff}",
    "\u{e9}",
];

#[test]
fn no_definition_makes_a_reader_panic_and_what_it_allows_can_be_said() {
    bolero::check!().with_type::<(bool, Vec<Change>)>().for_each(|(which, changes)| {
        let text = changed(if *which { FEATURES } else { AIR_CONDITIONER }, changes, DTD);
        let definition = match Definition::parse("d.dtd", &text) {
            Ok(definition) => definition,
            Err(errors) => return check(&errors),
        };
        for root in definition.roots() {
            let Ok(items) = Items::of(&definition, root, &Values::new()) else { continue };
            let budget = Budget { scripts: 2, elements: 500, ..Budget::default() };
            let mut generator = Generator::new(Arc::clone(&items), 0, budget);
            let shown = generator.by_ref().map(|script| script.covers.len()).sum::<usize>();
            let coverage = generator.coverage();
            assert_eq!((coverage.covered(), coverage.missing().count()), (shown, items.len() - shown));
        }
    });
}

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "1e999",
    "-0",
    "9223372036854775808",
    "\"none\"",
    "\"start hold\"",
    "\"text temperature\"",
    "\"args\"",
    "\"from\"",
    "\"const\"",
    "\"type\"",
    "\"number\"",
    "\"integer\"",
    "\"list\"",
    "\"record\"",
    "\"option\"",
    "\"of\"",
    "\"min\"",
    "\"max\"",
    "\"@celsius\"",
    "\"text\"",
    " ",
    "\n",
    "\u{e9}",
];

#[test]
fn no_event_list_makes_a_reader_panic() {
    let definition = Definition::parse("d.dtd", AIR_CONDITIONER.as_bytes()).unwrap();
    let script = Script::parse("s.xml", COOLING.as_bytes(), &definition).unwrap();
    bolero::check!().with_type::<Vec<Change>>().for_each(|changes| {
        match EventList::parse("e.json", &changed(LARGE, changes, JSON)) {
            Err(errors) => check(&errors),
            Ok(list) => {
                let fits = list.check(&definition);
                let plan = script.plan(&list);
                // A list that fits its definition leaves no step event of a valid script out.
                assert!(fits.is_err() || !matches!(plan, Err(PlanError::Unmapped(_))));
            }
        }
    });
}
