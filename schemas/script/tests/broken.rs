//! Broken samples are refused, each where it is broken and with what was expected.
//!
//! Each case changes one thing in the sample script of the air conditioner.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use flotilla_script::{Definition, EventList, Script};

const DEFINITION: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/definition.dtd");
const SCRIPT: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/script.xml");
const EVENTS: &str = include_str!("../../../deploy/samples/scripts/air-conditioner/events-large.json");

/// What is in the sample, what stands there instead, and what is said of it.
const CASES: &[(&str, &str, &str)] = &[
    (
        "      <temperature>22</temperature>\n",
        "",
        "script.xml:5:7: <wind> is not allowed here in <air-conditioner-initialization>; expected <temperature>",
    ),
    (
        "      <wind speed=\"medium\"/>\n",
        "",
        "script.xml:6:5: <air-conditioner-initialization> is not complete; expected <wind>",
    ),
    (
        "<wind speed=\"low\"/>",
        "<wind speed=\"gale\"/>",
        "script.xml:15:11: speed of <wind>: expected `low`, `medium` or `high`, found `gale`",
    ),
    (
        "<hold celsius=\"23\"/>",
        "<hold/>",
        "script.xml:16:5: <hold> lacks celsius; expected a word of letters, digits, `.`, `-`, `_` and `:`",
    ),
    ("<stop/>", "<halt/>", "script.xml:18:5: <halt> is not declared in the definition"),
    ("<stop/>", "<stop>now</stop>", "script.xml:18:11: text is not allowed in <stop>; expected </stop>"),
    (
        "<stop/>\n",
        "<stop/><stop/>\n",
        "script.xml:18:12: <stop> is not allowed here in <control>; expected </control>",
    ),
    (
        "  </initialization>\n",
        "  </initialisation>\n",
        "script.xml:12:3: </initialisation> does not close <initialization>, which was opened at 3:3",
    ),
    (
        "22</temperature>",
        "2&half;</temperature>",
        "script.xml:5:21: general entities are not supported: `&half;`",
    ),
    (
        "<air-conditioner-control>\n",
        "<!DOCTYPE air-conditioner-control SYSTEM \"definition.dtd\">\n<air-conditioner-control>\n",
        "script.xml:2:1: a DOCTYPE is not supported: a script is read by its registered definition",
    ),
    (
        "    <stop/>\n  </control>\n</air-conditioner-control>\n",
        "",
        "script.xml:18:1: the text ends within <control>, which was opened at 13:3",
    ),
    (
        "22</temperature>",
        "35</temperature>",
        "script.xml:5:20: the text of <temperature>: 35.0 is not a number from 16 to 30",
    ),
    (
        "tolerance=\"1.5\"",
        "tolerance=\"wide\"",
        "script.xml:10:26: tolerance of <hold>: \"wide\" is not a number from 0.5 to 5",
    ),
];

#[test]
fn broken_samples_are_refused_where_they_are_broken() {
    let definition = Definition::parse("definition.dtd", DEFINITION.as_bytes()).unwrap();
    let events = EventList::parse("events.json", EVENTS.as_bytes()).unwrap();
    for (whole, broken, expected) in CASES {
        let text = SCRIPT.replacen(whole, broken, 1);
        assert_ne!(text, SCRIPT, "{whole} is not in the sample");
        let error = match Script::parse("script.xml", text.as_bytes(), &definition) {
            Err(errors) => errors.to_string(),
            Ok(script) => script.plan(&events).unwrap_err().to_string(),
        };
        assert_eq!(error, *expected);
    }
}
