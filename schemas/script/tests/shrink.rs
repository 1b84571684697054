//! Shrinking ends at the shortest script that still fails, within its bounds.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::sync::Arc;

use flotilla_script::{Budget, Definition, Generator, Items, Script, Shrink, Values};

const DEFINITION: &str = "
    <!ELEMENT r (head, (step | loop)*, tail?)> <!ELEMENT head (#PCDATA)> <!ELEMENT tail EMPTY>
    <!ELEMENT loop (step | loop)+> <!ATTLIST loop times NMTOKEN '2'>
    <!ELEMENT step (#PCDATA | b)*> <!ATTLIST step id ID #IMPLIED after IDREF #IMPLIED mode (fast | slow) #IMPLIED>
    <!ELEMENT b EMPTY>";

fn items() -> Arc<Items> {
    let definition = Definition::parse("d.dtd", DEFINITION.as_bytes()).unwrap();
    Items::of(&definition, "r", &Values::new()).unwrap()
}

/// The shortest script that fails, how many were tried, and whether nothing was left to try.
fn shrink(script: &str, tries: usize, fails: impl Fn(&str) -> bool) -> (String, usize, bool) {
    let definition = Definition::parse("d.dtd", DEFINITION.as_bytes()).unwrap();
    let mut shrink = Shrink::new(items(), script, tries).unwrap();
    let (mut tried, mut bytes) = (0, usize::MAX);
    while let Some(candidate) = shrink.candidate() {
        assert!(Script::parse("s", candidate.as_bytes(), &definition).is_ok(), "{candidate}");
        assert!(candidate.len() < bytes);
        tried += 1;
        shrink.answer(fails(&candidate));
        bytes = if fails(&candidate) { candidate.len() } else { bytes };
    }
    (shrink.shortest().to_owned(), tried, shrink.is_minimal())
}

/// Large scripts that chance has made.
fn large() -> Vec<String> {
    let mut generator = Generator::new(items(), 5, Budget::default());
    let scripts = (0..400).filter_map(|_| generator.random()).map(|script| script.text);
    scripts.filter(|text| (300..1500).contains(&text.len())).collect()
}

#[test]
fn what_is_left_is_what_the_failure_needs() {
    let cases: [(&str, &str); 5] = [
        ("<b/>", "<r>\n  <head/>\n  <step><b/></step>\n</r>\n"),
        ("<tail/>", "<r>\n  <head/>\n  <tail/>\n</r>\n"),
        ("mode=\"slow\"", "<r>\n  <head/>\n  <step mode=\"slow\"/>\n</r>\n"),
        ("<loop", "<r>\n  <head/>\n  <loop>\n    <step/>\n  </loop>\n</r>\n"),
        ("after=\"i1\"", "<r>\n  <head/>\n  <step after=\"i1\" id=\"i1\"/>\n</r>\n"),
    ];
    let large = large();
    for (needed, shortest) in cases {
        let scripts: Vec<&String> = large.iter().filter(|script| script.contains(needed)).take(3).collect();
        assert_eq!(scripts.len(), 3, "{needed}");
        for script in scripts {
            let (found, tried, is_minimal) = shrink(script, 10_000, |text| text.contains(needed));
            // Which of two elements has the id is a matter of the script.
            let is_shortest =
                found.len() == shortest.len() || needed.starts_with("after") && found.len() < 70;
            assert!(is_shortest && is_minimal, "{needed} in {tried} tries: {found}");
        }
    }
}

#[test]
fn two_causes_that_belong_together_are_kept_together() {
    let fails = |text: &str| text.matches("<loop").count() >= 2 && text.contains("fast");
    let script = large().into_iter().find(|text| fails(text)).unwrap();
    let (found, ..) = shrink(&script, 10_000, fails);
    assert_eq!(found.matches("<loop").count(), 2);
    assert!(found.matches("<step").count() <= 3 && found.len() < 140, "{found}");
}

#[test]
fn a_text_is_cut_to_the_part_that_matters() {
    let script = "<r><head>one two three</head><loop times='12345'><step/></loop></r>";
    assert_eq!(shrink(script, 1000, |text| text.contains("thr")).0, "<r>\n  <head>thr</head>\n</r>\n");
    let (found, ..) = shrink(script, 1000, |text| text.contains("times=\"") && text.contains("34"));
    assert_eq!(found, "<r>\n  <head/>\n  <loop times=\"34\">\n    <step/>\n  </loop>\n</r>\n");
}

#[test]
fn the_tries_are_the_most_that_are_made() {
    let script = large().into_iter().next().unwrap();
    let (found, tried, is_minimal) = shrink(&script, 3, |_| false);
    assert!(tried == 3 && !is_minimal && found == script);
    assert_eq!(shrink(&script, 0, |_| true), (script.clone(), 0, false));
    let (found, _, is_minimal) = shrink(&script, 1_000_000, |_| false);
    assert!(is_minimal && found == script);
}

#[test]
fn the_same_script_shrinks_in_the_same_way() {
    let script = large().into_iter().next().unwrap();
    let fails = |text: &str| text.contains("<step");
    assert_eq!(shrink(&script, 1000, fails), shrink(&script, 1000, fails));
}

#[test]
fn what_is_not_a_script_of_the_items_is_refused() {
    let error = |script| Shrink::new(items(), script, 1).unwrap_err().to_string();
    assert_eq!(error("<step/>"), "script:1:1: the root <step> is not the one whose items these are");
    assert_eq!(error("<r/>"), "script:1:1: <r> is not complete; expected <head>");
}
