//! The W3C's XML conformance suite: invalid documents that bring their definition along are all found.
//!
//! The suite is not part of this repository. `XMLCONF` names the folder in which it was unpacked
//! (<https://www.w3.org/XML/Test/>, the one with `xmlconf.xml`); without it the test says that it was skipped. What a
//! document declares between `[` and `]` becomes its definition, what is left of it the script.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flotilla_script::{Definition, Diagnostics, Script};

/// What we refuse though the standard allows it, by parts of our diagnostics.
const RULES: &[&str] = &[
    "not supported",
    "standalone=",
    "a definition is one file",
    "is not declared",
    "no document of 64 levels satisfies it",
    "the file is larger",
    "this is not UTF-8",
];

/// Documents that are judged otherwise than the suite says, and why.
const OTHERWISE: &[(&[&str], &str)] = &[
    (
        &[
            "ibm-not-wf-P29-ibm29n03.xml",
            "ibm-not-wf-P29-ibm29n07.xml",
            "ibm-not-wf-P69-ibm69n06.xml",
            "ibm-not-wf-P69-ibm69n07.xml",
            "not-wf-sa-160",
            "not-wf-sa-161",
            "not-wf-sa-162",
        ],
        "a definition may refer to parameter entities within declarations, what a document brings along may not",
    ),
    (
        &["ibm-valid-P85-ibm85v01.xml", "ibm-valid-P87-ibm87v01.xml", "ibm-valid-P88-ibm88v01.xml"],
        "their names are longer than the limit",
    ),
    (&["rmt-e2e-9a", "rmt-e3e-06i"], "a default is checked though nothing falls back on it"),
];

/// A document of the suite.
struct Document {
    id: String,
    kind: String,
    path: PathBuf,
}

/// What we say of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Valid,
    Invalid,
    /// It uses what we refuse by name.
    Refused,
}

/// All documents that the suite's catalogs list.
fn documents(folder: &Path) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "xml") {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                documents.extend(text.split("<TEST ").skip(1).filter_map(|test| listed(test, &folder)));
            }
        }
    }
    documents.sort_by(|a, b| a.id.cmp(&b.id));
    documents
}

/// A document from its `<TEST …>`; none if it is of XML 1.1 or of an earlier edition.
fn listed(test: &str, folder: &Path) -> Option<Document> {
    let tag = test.split_once('>')?.0;
    let attribute = |name: &str| {
        let value = tag.split_once(&format!("{name}="))?.1;
        let quote = value.chars().next()?;
        Some(value[1..].split_once(quote)?.0.to_owned())
    };
    let is_old = attribute("EDITION").is_some_and(|editions| !editions.contains('5'));
    let is_other =
        attribute("RECOMMENDATION").is_some_and(|name| name.contains("1.1") || name.starts_with("NS"));
    let is_ours = !is_old && !is_other && attribute("VERSION").is_none_or(|version| version == "1.0");
    let path = folder.join(attribute("URI")?);
    (is_ours && path.exists()).then_some(())?;
    Some(Document { id: attribute("ID")?, kind: attribute("TYPE")?, path })
}

/// The name, the definition and the rest of a document that brings its definition along and no other.
fn parts(text: &str) -> Option<(String, String, String)> {
    let start = text.find("<!DOCTYPE")?;
    let behind = &text[start + "<!DOCTYPE".len()..];
    let (head, _) = behind.split_once('[')?;
    if head.contains('>') || head.contains("SYSTEM") || head.contains("PUBLIC") {
        return None;
    }
    let subset = &behind[head.len() + 1..];
    let end = end_of_subset(subset)?;
    let rest = subset[end + 1..].trim_start().strip_prefix('>')?;
    Some((head.trim().to_owned(), subset[..end].to_owned(), format!("{}{rest}", &text[..start])))
}

/// Where the `]` is that closes the subset, outside of values, comments and instructions.
fn end_of_subset(subset: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(c) = subset[at..].chars().next() {
        let rest = &subset[at..];
        let skipped = |open: &str, close: &str| {
            let inner = rest.strip_prefix(open)?;
            Some(open.len() + inner.find(close)? + close.len())
        };
        let step = skipped("<!--", "-->").or_else(|| skipped("<?", "?>"));
        let step = step.or_else(|| skipped("\"", "\"")).or_else(|| skipped("'", "'"));
        match (step, c) {
            (Some(step), _) => at += step,
            (None, ']') => return Some(at),
            (None, c) => at += c.len_utf8(),
        }
    }
    None
}

fn verdict(name: &str, subset: &str, script: &str) -> (Verdict, String) {
    let refusal = |Diagnostics(list): Diagnostics| {
        let is_ruled = |message: &str| RULES.iter().any(|rule| message.contains(rule));
        let all: Vec<String> = list.iter().map(ToString::to_string).collect();
        let is_refused = list.iter().all(|diagnostic| is_ruled(&diagnostic.message));
        (if is_refused { Verdict::Refused } else { Verdict::Invalid }, all.join("; "))
    };
    let definition = match Definition::parse("d.dtd", subset.as_bytes()) {
        Ok(definition) => definition,
        Err(errors) => return refusal(errors),
    };
    match Script::parse("s.xml", script.as_bytes(), &definition) {
        // An event list names the root.
        Ok(script) if script.root() != name => (Verdict::Invalid, "another root".to_owned()),
        Ok(_) => (Verdict::Valid, String::new()),
        Err(errors) => refusal(errors),
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test says so, and the counts are wanted")]
fn documents_of_the_conformance_suite_are_judged_as_it_says() {
    let Some(folder) = std::env::var_os("XMLCONF") else {
        return eprintln!("skipped: XMLCONF does not say where the W3C's conformance suite is");
    };
    let mut counts: BTreeMap<(String, Verdict), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for Document { id, kind, path } in documents(Path::new(&folder)) {
        let Ok(text) = String::from_utf8(fs::read(&path).unwrap()) else { continue };
        let Some((name, subset, script)) = parts(&text) else { continue };
        let (verdict, why) = verdict(&name, &subset, &script);
        *counts.entry((kind.clone(), verdict)).or_default() += 1;
        let is_right = match kind.as_str() {
            // What is refused by name may leave other things wrong.
            "valid" => verdict != Verdict::Invalid || why.contains("not supported"),
            "invalid" | "not-wf" => verdict != Verdict::Valid,
            _ => true,
        };
        let is_explained = OTHERWISE.iter().any(|(ids, _)| ids.contains(&id.as_str()));
        if !is_right && !is_explained {
            wrong.push(format!("{id} ({kind}): {verdict:?} {why}"));
        }
    }
    eprintln!("{counts:#?}");
    assert!(wrong.is_empty(), "{} are judged wrongly:\n{}", wrong.len(), wrong.join("\n"));
    assert!(
        counts.get(&("invalid".to_owned(), Verdict::Invalid)).is_some_and(|count| *count >= 50),
        "{counts:?}"
    );
}
