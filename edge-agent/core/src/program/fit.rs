//! What of a release runs on this edge, what that takes, and what can never run here.

use std::collections::BTreeMap;

use flotilla_schemas::app::Residence;
use flotilla_schemas::desired::Work;
use flotilla_schemas::fault::{Failure, Kind, kind};
use flotilla_schemas::release::Release;
use flotilla_schemas::{AppId, Artifact};

use super::service::Opened;
use super::waits::Waits;
use crate::config::Config;
use crate::effect::Code;

/// What of a release runs here: machine code for this runtime, or the component where the edge compiles.
pub(crate) fn code(config: &Config, release: &Release) -> Result<Code, Failure> {
    if let Some(machine) = release.machine.get(&config.runtime) {
        return Ok(Code::Machine(machine.clone()));
    }
    if config.compiles {
        return Ok(Code::Wasm(release.wasm.clone()));
    }
    let (app, version, runtime) = (release.app(), release.manifest.version, &config.runtime);
    let target = runtime.split('/').nth(1).unwrap_or(runtime);
    let text = format!(
        "{app} {version} has no machine code for {runtime}; publish its next version also with --target {target}, \
         by a flotilla of this edge's version"
    );
    Err(Failure::new(kind::RUNTIME, text))
}

/// Whether its code stays where it was brought for as long as it is installed: on a disk, unless it is transient.
pub(crate) fn is_kept(config: &Config, release: &Release) -> bool {
    config.profile.disk && !is_transient(release)
}

/// Whether it is deleted after each run.
pub(crate) fn is_transient(release: &Release) -> bool {
    release.manifest.residence == Residence::Transient
}

/// Whether it keeps an app from ever running here.
pub(crate) fn is_unfit(kind: &Kind) -> bool {
    [kind::RUNTIME, kind::TOO_LARGE].contains(&kind.as_str())
}

/// What an app takes: its code, its memory, and without a disk the file of its code.
pub(crate) fn memory_of(config: &Config, release: &Release) -> u64 {
    let code = code(config, release);
    let bytes = code.map_or(0, |code| code.artifact().size + file_bytes(config, code.artifact()));
    bytes + u64::from(release.manifest.limits.memory_bytes)
}

/// What a file takes of the memory for apps.
pub(crate) fn file_bytes(config: &Config, artifact: &Artifact) -> u64 {
    if config.profile.disk { 0 } else { artifact.size }
}

/// The code of a release that can run here at all: there is some, and it is not larger than all memory for apps.
pub(crate) fn fits(config: &Config, release: &Release) -> Result<Code, Failure> {
    let code = code(config, release)?;
    let (needs, max) = (memory_of(config, release), config.profile.memory_bytes_max);
    let Some(max) = max.filter(|max| needs > *max) else { return Ok(code) };
    let (app, version) = (release.app(), release.manifest.version);
    let text = format!(
        "{app} {version} needs {needs} bytes of code and memory, more than the {max} that this edge gives its apps; \
         start the edge with a greater --memory-mib, or publish it with a smaller limits.memory_bytes"
    );
    Err(Failure::new(kind::TOO_LARGE, text))
}

/// What of a service can never run here: by app, why.
pub(crate) fn unfit(config: &Config, opened: &Opened) -> Result<BTreeMap<AppId, Failure>, Waits> {
    match &opened.service.work {
        Work::Script { .. } if !config.runs_scripts() => return Err(Waits::NoScripts),
        Work::App(app) if opened.own_call().is_none() => return Err(Waits::NoOwnRun(app.clone())),
        Work::Script { .. } | Work::App(_) => {}
    }
    let releases = opened.apps.values().map(|(_, release)| release);
    Ok(releases.filter_map(|release| Some((release.app().clone(), fits(config, release).err()?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn an_app_is_fit_where_there_is_code_and_room_for_it() {
        let (config, app) = (samples::config(), samples::app("meter"));
        assert!(fits(&config, &app.release()).is_ok());
        let foreign = Config { runtime: "another".into(), ..config.clone() };
        assert_eq!(fits(&foreign, &app.release()).unwrap_err().kind.as_str(), kind::RUNTIME);
        let compiling = Config { compiles: true, ..foreign };
        assert!(matches!(fits(&compiling, &app.release()), Ok(Code::Wasm(_))));
        let mut small = config;
        small.profile.memory_bytes_max = Some(memory_of(&small, &app.release()) - 1);
        let failure = fits(&small, &app.release()).unwrap_err();
        assert!(failure.kind.as_str() == kind::TOO_LARGE && is_unfit(&failure.kind), "{failure:?}");
    }

    #[test]
    fn without_a_disk_the_file_of_its_code_takes_memory_too() {
        let (config, app) = (samples::config(), samples::app("meter"));
        let mut diskless = config.clone();
        diskless.profile.disk = false;
        let size = code(&config, &app.release()).unwrap().artifact().size;
        assert_eq!(memory_of(&diskless, &app.release()), memory_of(&config, &app.release()) + size);
    }
}
