//! The limits of an app whose `app.toml` leaves them out: a multiple of what a proof saw, or the stated defaults.
//!
//! A proof speaks of one component; that of another one is refused. What the manifest says itself stands. The limits
//! are signed with the app, so that every script is proven again under the very ones that hold.

use std::path::Path;

use flotilla_schemas::Digest;
use flotilla_schemas::app::Manifest;
use flotilla_schemas::proof::{PROOF_BYTES_MAX, Proof};
use serde::Deserialize;
use toml::Table;

use crate::edges::bytes;
use crate::publish::{self, PublishError, progress};
use crate::toml_file;

/// What `flotilla script check --prove --json` prints, as far as it matters here.
#[derive(Deserialize)]
struct Checked {
    proof: Proof,
}

/// Gives the app of the folder what its manifest leaves out, by the proof in the file.
pub fn fill(manifest: &mut Manifest, dir: &Path, wasm: &[u8], file: &Path) -> Result<(), PublishError> {
    let proof = publish::read(file, PROOF_BYTES_MAX as u64)?;
    let unfit = |why: String| PublishError::unfit(dir, &[format!("{}: {why}", file.display())]);
    let Checked { proof } = serde_json::from_slice(&proof).map_err(|error| {
        unfit(format!("{error}; it is to hold what flotilla script check --prove --json prints"))
    })?;
    let app = &manifest.app;
    if proof.apps.get(app).is_some_and(|proven| *proven != Digest::of(wasm)) {
        return Err(unfit(format!("what was proven is another component of {app}; prove it again")));
    }
    let seen = proof.limits(app).ok_or_else(|| unfit(format!("{app} is not called in what was proven")))?;
    let written: Table = toml_file::read(&dir.join("app.toml"))?;
    let written = |key: &str| written.get("limits").and_then(|limits| limits.get(key)).is_some();
    if !written("memory_bytes") {
        manifest.limits.memory_bytes = seen.memory_bytes;
    }
    if !written("deadline_ms") {
        manifest.limits.deadline_ms = seen.deadline_ms;
    }
    let (memory, deadline_ms) = (bytes(manifest.limits.memory_bytes.into()), manifest.limits.deadline_ms);
    progress("limited", format!("to {memory} and {deadline_ms} ms for an operation"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_schemas::app::Limits;
    use serde_json::json;

    /// What the folder's app may use whose `app.toml` has these limits, when 1 MiB and 300 ms of it were seen.
    fn filled(limits: &str, app: &str, wasm: &[u8]) -> Result<Limits, String> {
        let dir = tempfile::tempdir().unwrap();
        let head = "app = \"meter\"\nmaker = \"west\"\nversion = \"1.0.0\"\nresidence = \"resident\"\n";
        std::fs::write(dir.path().join("app.toml"), format!("{head}{limits}")).unwrap();
        let slowest =
            json!({app: {"operation": "read", "step": "start energy", "busy_us": 0, "waited_ms": 300}});
        let measured = json!({"runtime": "r", "slowest": slowest, "stack_bytes": 4096, "elapsed_ms": 1});
        let cast = json!({"standing_in": {}, "runs": 1, "calls": 1, "failures": 0, "memory_bytes": {app: 1_048_576},
            "faults": [], "measured": measured});
        let list = json!({"events": "meter", "items": [], "scripts": 1, "end": "complete", "outside": 0, "casts": [cast]});
        let proof = json!({"v": 1, "seed": 1, "apps": {app: Digest::of(b"proven")}, "lists": [list]});
        let file = dir.path().join("proof.json");
        std::fs::write(&file, json!({"ok": true, "proof": proof}).to_string()).unwrap();
        let mut manifest: Manifest = toml_file::read(&dir.path().join("app.toml")).unwrap();
        fill(&mut manifest, dir.path(), wasm, &file).map_err(|error| error.to_string())?;
        Ok(manifest.limits)
    }

    #[test]
    fn what_a_manifest_leaves_out_is_a_multiple_of_what_was_seen() {
        let limits = |memory_bytes, deadline_ms| Ok(Limits { memory_bytes, deadline_ms });
        assert_eq!(filled("", "meter", b"proven"), limits(2 * 1_048_576, 3_000));
        assert_eq!(filled("[limits]\ndeadline_ms = 50", "meter", b"proven"), limits(2 * 1_048_576, 50));
        let both = "[limits]\ndeadline_ms = 50\nmemory_bytes = 131072";
        assert_eq!(filled(both, "meter", b"proven"), limits(131_072, 50));
    }

    #[test]
    fn a_proof_of_another_app_or_component_says_nothing_of_this_one() {
        let error = filled("", "meter", b"built again").unwrap_err();
        assert!(error.ends_with("what was proven is another component of meter; prove it again"), "{error}");
        let error = filled("", "other", b"proven").unwrap_err();
        assert!(error.ends_with("meter is not called in what was proven"), "{error}");
    }
}
