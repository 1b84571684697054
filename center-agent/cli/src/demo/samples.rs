//! The samples that the demo publishes, built into the program so that it works anywhere.
//!
//! They are written out to the demo's folder, where a person can look at them, change them and publish them again.

use std::fs;
use std::io;
use std::path::Path;

macro_rules! samples {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../../deploy/samples/", $path)) as &[u8])),*]
    };
}

const SAMPLES: &[(&str, &[u8])] = samples![
    "apps/aircon-north/app.toml",
    "apps/aircon-north/app.wasm",
    "apps/aircon-south/app.toml",
    "apps/aircon-south/app.wasm",
    "apps/meter/app.toml",
    "apps/meter/app.wasm",
    "scripts/air-conditioner/script.toml",
    "scripts/air-conditioner/script.xml",
    "scripts/air-conditioner/definition.dtd",
    "scripts/air-conditioner/events-large.json",
    "scripts/air-conditioner/events-small.json",
    "scripts/air-conditioner/equipment.toml",
    "scripts/meter/script.toml",
    "scripts/meter/script.xml",
    "scripts/meter/definition.dtd",
    "scripts/meter/events.json",
    "scripts/meter/equipment.toml",
    "equipment/e1.toml",
    "equipment/e2.toml",
    "equipment/e3.toml",
    "countermeasures.toml",
];

/// Writes the samples below the folder, and equipment for so many edges: from the fourth on, like the first's.
pub fn write(dir: &Path, edges: u8) -> io::Result<()> {
    for (path, bytes) in SAMPLES {
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)?;
    }
    for edge in 4..=edges {
        fs::copy(dir.join("equipment/e1.toml"), dir.join(format!("equipment/e{edge}.toml")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_gets_equipment() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 5).unwrap();
        for edge in 1..=5 {
            assert!(dir.path().join(format!("equipment/e{edge}.toml")).exists(), "{edge}");
        }
    }
}
