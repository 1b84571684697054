//! Verdicts agree with another implementation's: `xmllint --noout --dtdvalid` over mutated scripts.
//!
//! Scripts over five definitions are mutated by a seeded generator and read by both. Where the verdicts differ, it
//! must be for one of the [`RULES`], each of which says why.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by it")]

mod oracle;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::thread;

use flotilla_script::{Definition, Diagnostics, Script};
use oracle::verdicts;

/// How many mutated scripts there are of each definition.
const SCRIPTS: usize = 2000;

/// How many of all must be found valid, and how many invalid, for the comparison to mean anything.
const VERDICTS_MIN: usize = 1500;

/// Why we refuse what `xmllint` accepts: a part of our diagnostic, and the reason.
const RULES: &[(&str, &str)] = &[
    (
        "a `:` in a name is not supported",
        "namespaces are no part of a definition, and parsers differ over them",
    ),
    (
        "a DOCTYPE is not supported",
        "a script is read by its registered definition, not by one that it brings",
    ),
    ("standalone=", "a script cannot be independent of its definition"),
    (
        "expected ` version=",
        "a version has digits behind its point (XML 1.0, fifth edition, 2.8); xmllint takes `1.`",
    ),
    ("text is not allowed", "white space as CDATA or reference is text between elements; xmllint is laxer"),
];

const DEFINITIONS: &[(&str, &str)] = &[
    (
        include_str!("../../../deploy/samples/scripts/air-conditioner/definition.dtd"),
        include_str!("../../../deploy/samples/scripts/air-conditioner/script.xml"),
    ),
    (
        include_str!("../../../deploy/samples/scripts/meter/definition.dtd"),
        include_str!("../../../deploy/samples/scripts/meter/script.xml"),
    ),
    (
        "<!ELEMENT recipe (title, (step | note | loop)*, end?)>
        <!ELEMENT title (#PCDATA)>
        <!ELEMENT step (#PCDATA | note | b)*>
        <!ATTLIST step id ID #IMPLIED after IDREFS #IMPLIED words NMTOKENS 'a b' fixed CDATA #FIXED 'x y'>
        <!ELEMENT note ANY>
        <!ATTLIST note of IDREF #IMPLIED n NMTOKEN #IMPLIED>
        <!ELEMENT b (#PCDATA)>
        <!ELEMENT loop (step+)>
        <!ATTLIST loop times CDATA #REQUIRED>
        <!ELEMENT end EMPTY>",
        "<recipe>
          <title>Bread &amp; <![CDATA[<butter>]]></title>
          <step id='s1'>mix <b>well</b><!-- by hand --></step>
          <step id='s2' after='s1' words=' c  d '>rest <note n='5'>an hour</note></step>
          <loop times='3'><step id='s3' after='s1 s2' fixed='x y'>bake</step></loop>
          <note of='s3'>then <step>cool</step></note>
          <end/>
        </recipe>",
    ),
    (
        "<!ELEMENT m ((a, (b | c)?)+, ((d, e*) | f)*, (g | (h, i?))?)>
        <!ELEMENT a EMPTY> <!ELEMENT b EMPTY> <!ELEMENT c (a?, b?, c?)> <!ELEMENT d (#PCDATA)> <!ELEMENT e EMPTY>
        <!ELEMENT f (f | g)?> <!ELEMENT g EMPTY> <!ELEMENT h ((((i)+)))> <!ELEMENT i (#PCDATA)>",
        "<m><a/><a/><b/><a/><c><a/><c><b/></c></c><d/><e/><e/><f><f><g/></f></f><d>x</d><h><i/><i>t</i></h><i/></m>",
    ),
    (
        "<!ENTITY % both 'left | right'>
        <!ENTITY % side 'side (%both;) \"left\"'>
        <!ENTITY % more 'INCLUDE'>
        <!ELEMENT turn ((%both;), turn?)>
        <!ATTLIST turn %side; n CDATA #IMPLIED>
        <![%more;[<!ELEMENT left EMPTY>]]>
        <![IGNORE[<!ELEMENT left ANY>]]>
        <!ELEMENT right (#PCDATA)>
        <!ATTLIST right by (1 | 2) #REQUIRED>",
        "<?xml version='1.0'?><!-- turns --><turn side='right'><right by='1'>now</right>
        <turn n='1'><left/><turn side = 'left'><left></left></turn></turn></turn><?done?>",
    ),
];

/// What is put in somewhere.
const PIECES: &[&str] = &[
    "<!-- c -->",
    "<!-- c -- d -->",
    "<?p i?>",
    "<?xml version='1.0'?>",
    "<![CDATA[ ]]>",
    "<![CDATA[]]>",
    "<![CDATA[x]]>",
    "&#32;",
    "&#x41;",
    "&#0;",
    "&#xFFFF;",
    "&amp;",
    "&lt;",
    "&foo;",
    "&",
    "]]>",
    "<!DOCTYPE a>",
    "text",
    " ",
    "\n",
    "<",
    ">",
    "<a/>",
    "<b>",
    "</b>",
    "<note/>",
    "<step>s</step>",
    "<end/>",
    "<stop/>",
    "<wind speed='low'/>",
    "<energy/>",
    "<left/>",
    "<x/>",
    "<x:y/>",
    "\u{e9}",
    "\r\n",
];

/// A word with white space around it.
const SPACED: &str = " low ";

/// What an attribute's value becomes.
const VALUES: &[&str] = &[
    "low", "high", "fast", "", " low ", "s1", "s2", "s1 s2", "s9", "1", "2", "left", "right", "x y", "x  y",
    "a&lt;b", "a<b", "&foo;", "-5", "5 6", "&#9;", "wh", "kwh", "summer",
];

/// What an attribute's or an element's name becomes.
const NAMES: &[&str] = &[
    "a", "b", "c", "f", "g", "step", "note", "end", "speed", "id", "of", "n", "unit", "side", "x", "x:y",
    "1x", "energy", "wind", "hold", "left", "right", "words",
];

/// A splitmix64 generator: the same scripts in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.next(from.len())]
    }
}

/// A script as tags and what is between them.
fn tokens(script: &str) -> Vec<String> {
    let parts = script.split_inclusive('>').flat_map(|part| {
        let (text, tag) = part.split_at(part.find('<').unwrap_or(part.len()));
        [text.to_owned(), tag.to_owned()]
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// The tokens of the element that begins here, or this token alone.
fn subtree(tokens: &[String], start: usize) -> Range<usize> {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(start) {
        depth += match token.as_str() {
            t if t.starts_with("</") => -1,
            t if t.starts_with("<!") || t.starts_with("<?") || t.ends_with("/>") || !t.starts_with('<') => 0,
            _ => 1,
        };
        if depth <= 0 {
            return start..i + 1;
        }
    }
    start..start + 1
}

fn mutate(tokens: &mut Vec<String>, chance: &mut Chance) {
    let at = chance.next(tokens.len());
    let part = subtree(tokens, at);
    match chance.next(12) {
        0 => drop(tokens.drain(part)),
        1 => {
            let copy = tokens[part].to_vec();
            let to = chance.next(tokens.len());
            tokens.splice(to..to, copy);
        }
        2 => {
            let moved: Vec<String> = tokens.drain(part).collect();
            let to = chance.next(tokens.len() + 1);
            tokens.splice(to..to, moved);
        }
        3 => drop(tokens.remove(at)),
        4 | 5 => tokens.insert(at, chance.pick(PIECES).to_owned()),
        6 => edit(&mut tokens[at], chance),
        7 | 8 => revalue(&mut tokens[at], chance),
        9 => {
            tokens[at] =
                tokens[at].replacen(' ', &format!(" {}='{}' ", chance.pick(NAMES), chance.pick(VALUES)), 1)
        }
        10 => rename(&mut tokens[at], chance),
        _ => {
            let name = chance.pick(NAMES);
            tokens.insert(part.end, format!("</{name}>"));
            tokens.insert(part.start, format!("<{name}>"));
        }
    }
    if tokens.is_empty() {
        tokens.push(String::new());
    }
}

/// Changes, removes or inserts one character.
fn edit(token: &mut String, chance: &mut Chance) {
    let mut chars: Vec<char> = token.chars().collect();
    let at = chance.next(chars.len().max(1));
    let c = chance
        .pick(&["<", ">", "&", "\"", "'", "/", "=", "!", " ", "-", ":", "x", "0", "?", "]", "\u{1}", "\t"]);
    match (chance.next(3), at < chars.len()) {
        (0, true) => drop(chars.remove(at)),
        (1, true) => chars[at] = c.chars().next().unwrap(),
        _ => chars.insert(at, c.chars().next().unwrap()),
    }
    *token = chars.into_iter().collect();
}

fn revalue(token: &mut String, chance: &mut Chance) {
    let quotes: Vec<usize> = token.match_indices(['"', '\'']).map(|(i, _)| i).collect();
    if let [.., start, end] = quotes[..quotes.len() - quotes.len() % 2] {
        token.replace_range(start + 1..end, chance.pick(VALUES));
    }
}

/// Changes the first name, of a tag or of an attribute.
fn rename(token: &mut String, chance: &mut Chance) {
    let end = token.find([' ', '>', '/', '=']).unwrap_or(token.len());
    if token.starts_with('<') && end > 1 {
        token.replace_range(1..end, chance.pick(NAMES));
    }
}

fn mutants(seed: u64, script: &str) -> Vec<String> {
    let mut chance = Chance(seed);
    let mutant = |_| {
        let mut tokens = tokens(script);
        for _ in 0..=chance.next(3) {
            mutate(&mut tokens, &mut chance);
        }
        tokens.concat()
    };
    (0..SCRIPTS).map(mutant).collect()
}

/// Why we may refuse what `xmllint` accepts: every diagnostic comes under a rule.
fn is_explained(ours: &Result<Script, Diagnostics>) -> bool {
    let is_ruled = |message: &str| RULES.iter().any(|(part, _)| message.contains(part));
    matches!(ours, Err(Diagnostics(list)) if list.iter().all(|diagnostic| is_ruled(&diagnostic.message)))
}

/// Of those that we accept and `xmllint` refuses, those for which there is no reason. One reason there is: it
/// validates after it has parsed, and no longer leaves out the white space around a value that is one word.
fn unexplained<'s>(folder: &Path, accepted: Vec<&'s String>) -> Vec<&'s String> {
    let trimmed: Vec<String> = accepted.iter().map(|script| script.replace(SPACED, SPACED.trim())).collect();
    let verdicts = verdicts(folder, "d.dtd", &trimmed);
    let explained = |script: &str, trimmed: &str, is_valid: bool| trimmed != script && is_valid;
    let all = accepted.into_iter().zip(trimmed).zip(verdicts);
    all.filter(|((script, trimmed), valid)| !explained(script, trimmed, *valid))
        .map(|((s, _), _)| s)
        .collect()
}

/// How many we find valid and invalid, and where the verdicts differ for no reason.
fn compare(seed: u64, dtd: &str, script: &str) -> (usize, usize, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("d.dtd"), dtd).unwrap();
    let definition = Definition::parse("d.dtd", dtd.as_bytes()).unwrap();
    let parse = |script: &str| Script::parse("s.xml", script.as_bytes(), &definition);
    let original = verdicts(folder.path(), "d.dtd", &[script.to_owned()]);
    assert_eq!(original, [parse(script).is_ok()]);
    let scripts = mutants(seed, script);
    let theirs = verdicts(folder.path(), "d.dtd", &scripts);
    let (mut valid, mut differing, mut accepted) = (0, Vec::new(), Vec::new());
    for (script, theirs) in scripts.iter().zip(theirs) {
        let ours = parse(script);
        valid += usize::from(ours.is_ok());
        if ours.is_ok() && !theirs {
            accepted.push(script);
        } else if ours.is_err() && theirs && !is_explained(&ours) {
            differing.push(format!("{script}\nxmllint accepts, we do not: {:?}\n", ours.map(drop)));
        }
    }
    let accepted = unexplained(folder.path(), accepted).into_iter();
    differing.extend(accepted.map(|script| format!("{script}\nwe accept, xmllint does not\n")));
    (valid, scripts.len() - valid, differing)
}

#[test]
fn verdicts_on_mutated_scripts_agree_with_xmllint() {
    if !oracle::has_xmllint() {
        return;
    }
    let results: Vec<_> = thread::scope(|scope| {
        let compare = |(seed, &(dtd, script))| scope.spawn(move || compare(seed, dtd, script));
        let running: Vec<_> = (1..).zip(DEFINITIONS).map(compare).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let differing: Vec<&String> = results.iter().flat_map(|(_, _, differing)| differing).collect();
    assert!(differing.is_empty(), "{} verdicts differ:\n{differing:#?}", differing.len());
    let valid: usize = results.iter().map(|(valid, ..)| valid).sum();
    let invalid: usize = results.iter().map(|(_, invalid, _)| invalid).sum();
    assert_eq!(valid + invalid, SCRIPTS * DEFINITIONS.len());
    assert!(valid >= VERDICTS_MIN && invalid >= VERDICTS_MIN, "{valid} valid, {invalid} invalid");
}
