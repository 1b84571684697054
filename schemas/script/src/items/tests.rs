//! What is an item, and what is none.

use super::*;
use crate::limit::ITEMS_MAX;

fn items(root: &str, text: &str, values: &[(&str, Option<&str>, &str)]) -> Result<Arc<Items>, ItemsError> {
    let definition = Definition::parse("d", text.as_bytes()).unwrap();
    let mut wanted = Values::new();
    for (element, attribute, value) in values {
        let place = Place { element: (*element).to_owned(), attribute: attribute.map(str::to_owned) };
        wanted.entry(place).or_default().push((*value).to_owned());
    }
    Items::of(&definition, root, &wanted)
}

fn names(root: &str, text: &str, values: &[(&str, Option<&str>, &str)]) -> Vec<String> {
    let items = items(root, text, values).unwrap();
    items.ids().map(|id| items.name(id).to_owned()).collect()
}

/// The items of the model of <r>, without its name.
fn of_model(model: &str) -> Vec<String> {
    let leaves = ["a", "b", "c"].map(|name| format!("<!ELEMENT {name} EMPTY>")).concat();
    let names = names("r", &format!("<!ELEMENT r {model}>{leaves}"), &[]);
    names.iter().filter_map(|name| name.strip_prefix("<r>: ")).map(str::to_owned).collect()
}

#[test]
fn alternatives_and_repetitions_are_items() {
    assert_eq!(of_model("(a)"), [""; 0]);
    assert_eq!(of_model("(a?, b)"), ["<a>? 0", "<a>? 1"]);
    assert_eq!(of_model("(a*, b+)"), ["<a>* 0", "<a>* 1", "<a>* 2+", "<b>+ 1", "<b>+ 2+"]);
    assert_eq!(of_model("(a | b)"), ["branch 1 <a>", "branch 2 <b>"]);
    assert_eq!(
        of_model("((a, b) | c)?"),
        ["((<a>, <b>) | <c>)? 0", "((<a>, <b>) | <c>)? 1", "branch 1 (<a>, <b>)", "branch 2 <c>",]
    );
}

#[test]
fn what_no_reading_of_a_model_shows_is_no_item() {
    // The group is entered for an element, so `a?` is there whenever it is taken.
    assert_eq!(of_model("(a? | b)*")[3..], ["branch 1 <a>?", "<a>? 1", "branch 2 <b>"]);
    // Nothing is the first alternative that may be.
    assert_eq!(
        of_model("(a? | b*)"),
        ["branch 1 <a>?", "<a>? 0", "<a>? 1", "branch 2 <b>*", "<b>* 1", "<b>* 2+",]
    );
    // Parentheses around one part add nothing to it.
    for (model, items) in [
        ("(a*)+", ["<a>* 0", "<a>* 1", "<a>* 2+"]),
        ("((a+)?)", ["<a>* 0", "<a>* 1", "<a>* 2+"]),
        ("((a?)+)?", ["<a>* 0", "<a>* 1", "<a>* 2+"]),
    ] {
        assert_eq!(of_model(model), items, "{model}");
    }
    assert_eq!(of_model("((a?)?)"), ["<a>? 0", "<a>? 1"]);
    assert_eq!(of_model("((a+)+)"), ["<a>+ 1", "<a>+ 2+"]);
}

#[test]
fn two_places_that_read_alike_have_names_of_their_own() {
    let found = of_model("((a, b?), (c, b?))");
    assert_eq!(found, ["<b>? 0", "<b>? 1", "<b>? 0 (place 2)", "<b>? 1 (place 2)"]);
}

#[test]
fn a_name_shows_no_more_of_a_model_than_its_limit() {
    let many: Vec<String> = (0..200).map(|i| format!("e{i}")).collect();
    let leaves: String = many.iter().map(|name| format!("<!ELEMENT {name} EMPTY>")).collect();
    let names = names("r", &format!("<!ELEMENT r ({})*>{leaves}", many.join("|")), &[]);
    let longest = names.iter().map(|name| name.chars().count()).max();
    assert_eq!(longest, Some("<r>: …* 2+".chars().count() + crate::limit::SHOWN_CHARS_MAX));
}

#[test]
fn a_name_shows_no_more_of_a_value_than_its_limit() {
    let long = "x".repeat(1024);
    let names = names(
        "r",
        "<!ELEMENT r (#PCDATA)> <!ATTLIST r a CDATA #IMPLIED>",
        &[("r", None, &long), ("r", Some("a"), &long)],
    );
    let shown = format!("\"{}…", "x".repeat(crate::limit::SHOWN_CHARS_MAX - 1));
    assert!(
        names.contains(&format!("<r>: text {shown}")) && names.contains(&format!("<r a={shown}>")),
        "{names:?}"
    );
}

#[test]
fn text_children_and_attributes_are_items() {
    let text = "<!ELEMENT r (#PCDATA | a)*> <!ELEMENT a EMPTY> <!ELEMENT other EMPTY>
        <!ATTLIST a speed (low | high) 'low' id ID #IMPLIED must CDATA #REQUIRED fixed CDATA #FIXED 'x'>";
    let expected = [
        "<a>",
        "<a>: fixed present",
        "<a>: fixed absent",
        "<a>: id present",
        "<a>: id absent",
        "<a>: speed present",
        "<a>: speed absent",
        "<a speed=\"low\">",
        "<a speed=\"high\">",
        "<r>",
        "<r>: with text",
        "<r>: without text",
        "<r>: with <a>",
    ];
    assert_eq!(names("r", text, &[]), expected);
}

#[test]
fn values_that_are_wanted_are_items_where_they_may_stand() {
    let text = "<!ELEMENT r (#PCDATA)>
        <!ATTLIST r c CDATA #REQUIRED n NMTOKEN #REQUIRED i ID #REQUIRED w (x|y) #REQUIRED f CDATA #FIXED 'x'>";
    let of = |attribute| move |value| ("r", attribute, value);
    let values: Vec<_> =
        ["16", " ", ""].map(of(None)).into_iter().chain(["16 °C", ""].map(of(Some("c")))).collect();
    let more = [("n", "16"), ("n", "1 6"), ("n", " 16"), ("i", "x"), ("w", "z"), ("f", "y"), ("none", "x")];
    let values = [values, more.map(|(name, value)| ("r", Some(name), value)).to_vec()].concat();
    let wanted: Vec<String> = names("r", text, &values)
        .into_iter()
        .filter(|name| name.contains('"') && !name.contains(" w="))
        .collect();
    assert_eq!(wanted, ["<r>: text \"16\"", "<r c=\"16 °C\">", "<r c=\"\">", "<r n=\"16\">"]);
}

#[test]
fn a_root_that_is_not_declared_is_refused() {
    let error = items("s", "<!ELEMENT r EMPTY>", &[]).unwrap_err().to_string();
    assert_eq!(error, "the root <s> is not declared in the definition");
}

#[test]
fn a_definition_of_the_most_items_is_covered_and_one_of_more_is_not() {
    // 255 elements that may contain each other: 3 items each and one for each pair; one more is too many.
    let any = |n: usize| (0..n).map(|i| format!("<!ELEMENT e{i} ANY>")).collect::<String>();
    assert_eq!(items("e0", &any(254), &[]).unwrap().len(), 254 * (254 + 3));
    const { assert!(254 * (254 + 3) <= ITEMS_MAX && 255 * (255 + 3) > ITEMS_MAX) };
    assert_eq!(items("e0", &any(255), &[]).unwrap_err(), ItemsError::Many);
}

#[test]
fn a_root_of_which_no_script_is_small_enough_is_refused() {
    let doubling = |n: usize| {
        let links: String = (1..n).map(|i| format!("<!ELEMENT e{i} (e{0}, e{0})>", i + 1)).collect();
        items("e1", &format!("{links}<!ELEMENT e{n} EMPTY>"), &[]).map(drop)
    };
    assert_eq!(doubling(14), Ok(()));
    let error = doubling(15).unwrap_err().to_string();
    assert_eq!(error, "the smallest script with the root <e1> has more than 16384 elements");
    assert!(doubling(64).is_err());
}
