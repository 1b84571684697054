//! The structure that ARCHITECTURE.md draws, held: who may depend on whom, what a core may name, how a file begins; and
//! how long files and functions are, told.

mod lengths;
mod modules;
mod paths;
mod source;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lengths::Lengths;
use modules::Crate;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in a manifest's `[dependencies]`.
fn dependencies(package: &str) -> BTreeSet<String> {
    let manifest: toml::Table = read(&format!("{package}/Cargo.toml")).parse().unwrap();
    let names =
        manifest.get("dependencies").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
    names.cloned().collect()
}

const PACKAGES: [&str; 13] = [
    "schemas",
    "schemas/script",
    "broker",
    "broker/client",
    "broker/machine",
    "edge-agent",
    "edge-agent/core",
    "edge-agent/sandbox",
    "center-agent",
    "center-agent/core",
    "center-agent/cli",
    "tests",
    "tests/load",
];

#[test]
fn what_cannot_do_io_depends_on_nothing_that_can() {
    let pure = ["flotilla-schemas", "flotilla-script", "serde", "serde_json", "thiserror"];
    for core in ["edge-agent/core", "center-agent/core"] {
        let foreign: Vec<_> =
            dependencies(core).into_iter().filter(|name| !pure.contains(&name.as_str())).collect();
        assert!(foreign.is_empty(), "{core} depends on {foreign:?}");
    }
    let parsing = ["flotilla-schemas", "schemars", "serde", "serde_json", "sxd-document", "thiserror"];
    let foreign: Vec<_> =
        dependencies("schemas/script").into_iter().filter(|name| !parsing.contains(&name.as_str())).collect();
    assert!(foreign.is_empty(), "schemas/script depends on {foreign:?}");
}

#[test]
fn packages_import_downwards_alone() {
    let ours = |package: &str| -> BTreeSet<String> {
        const OURS: [&str; 11] = [
            "flotilla-schemas",
            "flotilla-script",
            "flotilla-broker",
            "flotilla-link",
            "flotilla-machine",
            "edge-core",
            "flotilla-sandbox",
            "edge-agent",
            "center-core",
            "center-agent",
            "flotilla",
        ];
        dependencies(package).into_iter().filter(|name| OURS.contains(&name.as_str())).collect()
    };
    let allowed = |package: &str, names: &[&str]| {
        let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let beyond: Vec<_> = ours(package).difference(&names).cloned().collect();
        assert!(beyond.is_empty(), "{package} imports {beyond:?}");
    };
    allowed("schemas", &[]);
    allowed("broker", &["flotilla-machine", "flotilla-schemas"]);
    allowed("broker/client", &["flotilla-schemas"]);
    allowed("broker/machine", &["flotilla-schemas"]);
    allowed("edge-agent/sandbox", &["flotilla-schemas", "flotilla-script"]);
    let agents = ["flotilla-sandbox", "flotilla-link", "flotilla-machine", "flotilla-schemas"];
    allowed("edge-agent", &[&["edge-core"], &agents[..]].concat());
    allowed("center-agent", &[&["center-core", "flotilla-script"], &agents[..]].concat());
}

#[test]
fn a_library_has_one_user() {
    for (library, user) in [
        ("redb", "broker/machine"),
        ("rumqttc", "broker/client"),
        ("rumqttd", "broker"),
        ("sxd-document", "schemas/script"),
        ("wasmtime", "edge-agent/sandbox"),
    ] {
        let users: Vec<_> =
            PACKAGES.into_iter().filter(|package| dependencies(package).contains(library)).collect();
        assert_eq!(users, [user], "{library}");
    }
}

#[test]
fn a_gateway_is_built_without_a_compiler() {
    let manifest: toml::Table = read("edge-agent/Cargo.toml").parse().unwrap();
    let sandbox = &manifest["dependencies"]["flotilla-sandbox"];
    assert!(sandbox.get("features").is_none(), "{sandbox}");
    let features = manifest["features"].as_table().unwrap();
    let default = features["default"].as_array().unwrap();
    assert!(
        !default.iter().any(|name| name.as_str() == Some("compiler")) && features.contains_key("compiler")
    );
}

/// Packages whose modules still lean on one another.
const TANGLED: [&str; 1] = ["edge-agent/core"];

/// The crates of a package that are no tests.
fn crates(package: &str) -> Vec<Crate> {
    let roots = ["lib.rs", "main.rs"].map(|file| root().join(package).join("src").join(file));
    roots.iter().filter(|file| file.exists()).map(|file| Crate::read(file)).collect()
}

#[test]
fn no_module_leans_on_one_that_leans_on_it() {
    let cycles = |package: &str| crates(package).iter().flat_map(Crate::cycles).collect::<Vec<_>>();
    let tangled: Vec<String> = PACKAGES
        .into_iter()
        .filter(|package| !TANGLED.contains(package))
        .flat_map(|package| cycles(package).into_iter().map(move |cycle| format!("{package}: {cycle}")))
        .collect();
    assert!(tangled.is_empty(), "{}", tangled.join("\n"));
}

#[test]
fn lengths_are_told() {
    let told = PACKAGES.map(|package| format!("{package:<20} {}", Lengths::of(&crates(package))));
    println!("{:<20} {}\n{}", "lines, without tests", lengths::HEAD, told.join("\n"));
}

/// Every Rust file of the workspace and of the samples.
fn sources() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = ["schemas", "broker", "edge-agent", "center-agent", "tests", "deploy"]
        .into_iter()
        .map(|folder| root().join(folder))
        .collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            match path.extension() {
                _ if path.is_dir() && entry.file_name() != "target" => folders.push(path),
                Some(extension) if extension == "rs" => files.push(path),
                _ => {}
            }
        }
    }
    assert!(files.len() > 100, "{}", files.len());
    files
}

#[test]
fn a_file_says_first_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|path| !std::fs::read_to_string(path).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn no_file_has_the_name_of_a_drawer() {
    let drawers = ["util", "utils", "helper", "helpers", "common", "misc", "manager"];
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|path| drawers.iter().any(|name| path.file_stem().unwrap() == *name))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// What is built of a file: neither its tests nor its comments.
fn built(path: &Path) -> String {
    let is_test =
        path.file_stem().unwrap() == "tests" || !path.components().any(|part| part.as_os_str() == "src");
    let text = if is_test { String::new() } else { std::fs::read_to_string(path).unwrap() };
    let code = text.split("#[cfg(test)]").next().unwrap_or_default().lines();
    code.filter(|line| !line.trim_start().starts_with("//")).collect()
}

#[test]
fn a_kind_of_fault_is_named_in_one_place() {
    const NAMES: &str = "schemas/src/fault/kind.rs";
    let names = read(NAMES);
    let name = |line: &'_ str| Some(format!("{:?}", line.strip_prefix("pub const ")?.split('"').nth(1)?));
    let kinds: Vec<String> = names.lines().filter_map(name).collect();
    assert!(kinds.len() > 20, "{kinds:?}");
    let names_one = |path: &PathBuf| {
        let code = built(path);
        kinds.iter().any(|kind| code.contains(kind))
    };
    let others = sources().into_iter().filter(|path| !path.ends_with(NAMES) && names_one(path));
    assert_eq!(others.collect::<Vec<_>>(), [] as [PathBuf; 0]);
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    let left: Vec<_> = sources()
        .into_iter()
        .filter(|path| marks.iter().any(|mark| std::fs::read_to_string(path).unwrap().contains(mark)))
        .collect();
    assert!(left.is_empty(), "{left:#?}");
}
