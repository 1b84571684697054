//! Generated scripts: valid, covering, the same for the same seed, and bounded.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by it")]

mod oracle;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use flotilla_script::limit::{GROWTH_DEPTH_MAX, REPEATS_MAX, STALLS_MAX};
use flotilla_script::{Budget, Coverage, Definition, End, Generator, Items, Place, Script, Values};

const AIR_CONDITIONER: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/definition.dtd");

/// A definition with each feature that there is.
const EVERYTHING: &str = "
    <!ELEMENT r (head, (a? , b*)*, (c | (d, e)+ | f?), any?)> <!ATTLIST r xml:lang NMTOKEN 'en'>
    <!ELEMENT head (#PCDATA)> <!ELEMENT any ANY>
    <!ELEMENT a EMPTY> <!ATTLIST a id ID #REQUIRED speed (low | high) 'low' n NMTOKENS #IMPLIED>
    <!ELEMENT b (#PCDATA | a | b)*> <!ATTLIST b to IDREF #REQUIRED all IDREFS #IMPLIED>
    <!ELEMENT c EMPTY> <!ATTLIST c id ID #IMPLIED fixed CDATA #FIXED 'a  b'>
    <!ELEMENT d EMPTY> <!ATTLIST d to IDREF 'home'> <!ELEMENT e (f?, e?)> <!ELEMENT f EMPTY>";

fn items(definition: &str, root: &str) -> Arc<Items> {
    let definition = Definition::parse("d.dtd", definition.as_bytes()).unwrap();
    Items::of(&definition, root, &Values::new()).unwrap()
}

fn place(element: &str, attribute: Option<&str>) -> Place {
    Place { element: element.to_owned(), attribute: attribute.map(str::to_owned) }
}

/// All scripts, and what they leave uncovered.
fn cover(items: &Arc<Items>, seed: u64) -> (Vec<String>, Option<End>, Vec<String>) {
    let mut generator = Generator::new(Arc::clone(items), seed, Budget::default());
    let scripts = generator.by_ref().map(|script| script.text).collect();
    let missing = generator.coverage().missing().map(|id| items.name(id).to_owned()).collect();
    (scripts, generator.end(), missing)
}

/// The deepest nesting of a script that is written with two spaces a level.
fn depth(script: &str) -> usize {
    script.lines().map(|line| line.len() - line.trim_start().len()).max().unwrap() / 2 + 1
}

#[test]
fn the_air_conditioner_is_covered_by_few_scripts() {
    let items = items(AIR_CONDITIONER, "air-conditioner-control");
    for seed in 0..20 {
        let (scripts, end, missing) = cover(&items, seed);
        assert_eq!((end, missing.as_slice()), (Some(End::Complete), &[][..]), "{seed}");
        assert!(scripts.len() <= 5, "{} scripts with the seed {seed}", scripts.len());
    }
}

#[test]
fn every_feature_of_definitions_is_covered() {
    let items = items(EVERYTHING, "r");
    for seed in 0..20 {
        let (_, end, missing) = cover(&items, seed);
        assert_eq!((end, missing.as_slice()), (Some(End::Complete), &[][..]), "{seed}");
    }
}

#[test]
fn what_each_script_is_said_to_cover_is_what_it_shows() {
    let definition = Definition::parse("d.dtd", EVERYTHING.as_bytes()).unwrap();
    let items = items(EVERYTHING, "r");
    let mut coverage = Coverage::new(Arc::clone(&items));
    for script in Generator::new(Arc::clone(&items), 1, Budget::default()) {
        let read = Script::parse("s.xml", script.text.as_bytes(), &definition).unwrap();
        assert_eq!(coverage.mark(&read), script.covers);
        assert!(coverage.mark(&read).is_empty());
    }
    assert_eq!(coverage.covered(), items.len());
}

#[test]
fn the_same_seed_makes_the_same_scripts_and_another_makes_others() {
    let items = items(EVERYTHING, "r");
    assert_eq!(cover(&items, 7), cover(&items, 7));
    assert_ne!(cover(&items, 7), cover(&items, 8));
    let random = |seed| {
        let mut generator = Generator::new(Arc::clone(&items), seed, Budget::default());
        (0..50).map(|_| generator.random().unwrap().text).collect::<Vec<_>>()
    };
    assert_eq!(random(7), random(7));
    assert_ne!(random(7), random(8));
}

#[test]
fn fontconfigs_definition_is_covered_whole_within_its_budget() {
    let path = "/usr/share/xml/fontconfig/fonts.dtd";
    let Ok(definition) = fs::read_to_string(path) else {
        oracle::skips(&format!("{path} is missing; install fontconfig-config"));
        return;
    };
    let (scripts, end, missing) = cover(&items(&definition, "fontconfig"), 0);
    assert_eq!((end, missing.as_slice()), (Some(End::Complete), &[][..]));
    assert!(scripts.len() <= 100, "{} scripts", scripts.len());
}

/// DocBook's definition and the files that it consists of.
fn docbook() -> Option<Definition> {
    let folder = Path::new("/usr/share/xml/docbook/schema/dtd/4.5");
    let Ok(text) = fs::read(folder.join("docbookx.dtd")) else {
        oracle::skips(&format!("{} is missing; install docbook-xml", folder.display()));
        return None;
    };
    // The character entities have an absolute path.
    let load = |id: &str| fs::read(folder.join(id)).map_err(|error| error.to_string());
    Some(Definition::parse_with("docbookx.dtd", &text, load).unwrap())
}

#[test]
fn docbooks_definition_is_covered_as_far_as_its_budget_goes() {
    let Some(definition) = docbook() else { return };
    let items = Items::of(&definition, "book", &Values::new()).unwrap();
    let budget = Budget { scripts: 60, ..Budget::default() };
    let mut generator = Generator::new(Arc::clone(&items), 0, budget);
    let shown: usize = generator.by_ref().map(|script| script.covers.len()).sum();
    let coverage = generator.coverage();
    assert_eq!(generator.end(), Some(End::Scripts));
    assert!(coverage.total() > 30_000 && shown > 5000, "{shown} of {}", coverage.total());
    assert_eq!(coverage.missing().count(), coverage.total() - shown);
}

#[test]
fn xmllint_finds_every_generated_script_valid() {
    if !oracle::has_xmllint() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (definition, root) in [(AIR_CONDITIONER, "air-conditioner-control"), (EVERYTHING, "r")] {
        let items = items(definition, root);
        let mut generator = Generator::new(Arc::clone(&items), 3, Budget::default());
        let random: Vec<String> = (0..200).map(|_| generator.random().unwrap().text).collect();
        let scripts = [cover(&items, 3).0, random].concat();
        fs::write(folder.path().join("d.dtd"), definition).unwrap();
        let verdicts = oracle::verdicts(folder.path(), "d.dtd", &scripts);
        let invalid: Vec<&String> =
            scripts.iter().zip(verdicts).filter(|(_, valid)| !valid).map(|(script, _)| script).collect();
        assert!(invalid.is_empty(), "{invalid:#?}");
    }
}

#[test]
fn values_that_are_wanted_are_taken_each() {
    let definition = Definition::parse("d.dtd", AIR_CONDITIONER.as_bytes()).unwrap();
    let bounds = |low: &str, high: &str| vec![low.to_owned(), high.to_owned()];
    let values = Values::from([
        (place("temperature", None), bounds("16", "30")),
        (place("hold", Some("celsius")), bounds("16", "30")),
        (place("hold", Some("tolerance")), bounds("0.5", "5")),
    ]);
    let items = Items::of(&definition, "air-conditioner-control", &values).unwrap();
    let (scripts, end, _) = cover(&items, 0);
    assert_eq!(end, Some(End::Complete));
    let whole = scripts.concat();
    for part in [">16<", ">30<", "celsius=\"16\"", "celsius=\"30\"", "tolerance=\"0.5\"", "tolerance=\"5\""] {
        assert!(whole.contains(part), "{part} is not in {whole}");
    }
    assert!(!whole.contains(">text<") && !whole.contains("word"), "{whole}");
}

#[test]
fn a_value_can_be_had_at_its_place_in_a_small_script() {
    let generator = Generator::new(items(EVERYTHING, "r"), 0, Budget::default());
    let with = |element, attribute, value| generator.with(&place(element, attribute), value);
    let text = with("head", None, "5 < 6").unwrap();
    assert!(text.contains("<head>5 &lt; 6</head>") && text.len() < 100, "{text}");
    assert!(with("a", Some("n"), "x y").unwrap().contains("n=\"x y\""));
    assert!(with("c", Some("fixed"), "b").unwrap().contains("fixed=\"b\""), "allowed or not");
    let nowhere = [("a", Some("none")), ("a", Some("id")), ("b", Some("to")), ("c", None), ("none", None)];
    for (element, attribute) in nowhere {
        assert_eq!(with(element, attribute, "x"), None, "{element} {attribute:?}");
    }
}

#[test]
fn a_budget_ends_the_scripts_and_says_which_part_of_it_did() {
    let items = items(EVERYTHING, "r");
    let end = |budget| {
        let mut generator = Generator::new(Arc::clone(&items), 0, budget);
        (generator.by_ref().count(), generator.end().unwrap())
    };
    let whole = Budget::default();
    assert_eq!(end(Budget { scripts: 2, ..whole }), (2, End::Scripts));
    assert_eq!(end(Budget { bytes: 1, ..whole }), (1, End::Bytes));
    assert_eq!(end(Budget { elements: 1, ..whole }), (1, End::Elements));
    assert_eq!(end(Budget { scripts: 0, ..whole }), (0, End::Scripts));
}

#[test]
fn what_is_out_of_reach_ends_the_scripts_after_some_in_vain() {
    // <e1> fits into a script as its root and nowhere below one.
    let links: String = (1..64).map(|i| format!("<!ELEMENT e{i} (e{})>", i + 1)).collect();
    let (scripts, end, missing) =
        cover(&items(&format!("<!ELEMENT r (e1?)> {links} <!ELEMENT e64 EMPTY>"), "r"), 0);
    assert_eq!((scripts, end), (vec!["<r/>\n".to_owned()], Some(End::Stalled)));
    assert_eq!(missing.len(), 65);
    assert_eq!(End::Stalled.to_string(), format!("{STALLS_MAX} scripts in a row showed nothing new"));
}

#[test]
fn what_would_be_too_large_is_left_alone() {
    // <e1> needs 2^20 elements, <e18> 7.
    let links: String = (1..20).map(|i| format!("<!ELEMENT e{i} (e{0}, e{0})>", i + 1)).collect();
    let definition = format!("<!ELEMENT r (e1?, e18?)> {links} <!ELEMENT e20 EMPTY>");
    let (scripts, end, missing) = cover(&items(&definition, "r"), 0);
    assert_eq!((scripts.len(), end), (2, Some(End::Stalled)));
    assert_eq!((missing[0].as_str(), missing.last().unwrap().as_str()), ("<e1>", "<r>: <e1>? 1"));
    assert_eq!(missing.len(), 18);
}

#[test]
fn growth_ends_at_its_depth_and_repetition_at_its_number() {
    // What lies deeper than scripts grow is reached one by one.
    let links: String = (1..40).map(|i| format!("<!ELEMENT e{i} (e{}?)>", i + 1)).collect();
    let (scripts, end, _) = cover(&items(&format!("{links} <!ELEMENT e40 EMPTY>"), "e1"), 0);
    assert_eq!((depth(&scripts[0]), end), (GROWTH_DEPTH_MAX, Some(End::Complete)));

    let names: Vec<String> = (0..2 * REPEATS_MAX).map(|i| format!("e{i}")).collect();
    let leaves: String = names.iter().map(|name| format!("<!ELEMENT {name} EMPTY>")).collect();
    let (scripts, end, _) =
        cover(&self::items(&format!("<!ELEMENT r ({})*>{leaves}", names.join("|")), "r"), 0);
    assert_eq!(end, Some(End::Complete));
    assert_eq!(scripts.iter().map(|script| script.matches("<e").count()).max(), Some(REPEATS_MAX));
}
