//! The beginning of a server: the files that it is started with, when they rest, and what they say in one place.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::failure::Failure;
use super::reconcile::reconcile;
use super::reload::warn;
use super::terms;
use crate::commit::{Commit, CommitReason};
use crate::config::{ChangedBy, Config, KeptFiles, Sources, StartState, Succession};
use crate::crypto::Digest;
use crate::deployment::Deployment;

/// How often, and with what pause, files that do not rest are read again.
const LOOKS: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// The configuration that a server is started with.
pub(super) struct StartConfiguration {
    pub(super) config: Config,
    pub(super) kept: KeptFiles,
    pub(super) digest: Digest,
}

/// Reads the configuration once two looks agree and nothing was written for as long as the settings say.
pub(super) async fn read(sources: &Sources) -> Result<StartConfiguration, Failure> {
    read_within(sources, (LOOKS, PAUSE)).await
}

async fn read_within(sources: &Sources, (looks, pause): (u32, Duration)) -> Result<StartConfiguration, Failure> {
    let mut loaded = sources.load();
    for _ in 0..looks {
        if loaded.rests(SystemTime::now()) {
            break;
        }
        tokio::time::sleep(pause).await;
        loaded = sources.load();
    }
    if !loaded.is_whole() {
        return Err(Failure::new("the files of the configuration are written all the time: start again when they rest"));
    }
    let config = loaded.config.map_err(Failure::configuration)?;
    warn(&config);
    Ok(StartConfiguration { config, kept: loaded.kept, digest: loaded.digest })
}

/// Says what the server runs on.
pub(super) fn announce(sources: &Sources, config: &Config, data: &Path) {
    let files: Vec<String> = sources.settings_files().iter().map(|file| whole(file)).collect();
    match files.is_empty() {
        true => tracing::info!("no settings file is given, and none was found: the settings are those compiled in"),
        false => tracing::info!("settings from {}", files.join(", ")),
    }
    for folder in config.folders() {
        tracing::info!("{} in {}", folder.counted(), whole(folder.path));
    }
    tracing::info!("keys in {}, data in {}", whole(&config.settings.keys.dir), whole(data));
}

fn whole(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Refuses to end anything where nothing at all was found to run on: then the server was started in the wrong folder.
pub(super) fn refuse_accident(sources: &Sources, config: &Config, succession: &Succession, data: &Path) -> Result<(), Failure> {
    let nothing = sources.settings_files().is_empty() && config.folders().iter().all(|folder| folder.count == 0);
    match nothing && !succession.ends.is_empty() {
        true => Err(Failure::new(format!(
            "no settings file is given, and neither one nor any trust rule, agent or API was found below {}; but the data \
             folder {} was served with a configuration, and everything of it would end: {succession}. Name its settings file \
             with --config",
            whole(Path::new(".")),
            data.display()
        ))),
        false => Ok(()),
    }
}

/// Puts the configuration of a start in force, unless it ends something. While the clock is not believed that is not recorded.
pub(super) async fn take_up(
    (commit, succession): (&Commit, &Succession),
    deployment: &Deployment,
    digest: &Digest,
    data: &Path,
) -> Result<StartState, Failure> {
    if !succession.ends.is_empty() {
        return Ok(StartState::Waits);
    }
    let origin = terms::is_another(digest, data).then_some((*digest, ChangedBy::Files));
    match reconcile(commit, deployment, origin).await {
        Ok(_) => terms::take_up(deployment, digest, data),
        Err(CommitReason::ClockDoubted) => return Ok(StartState::Unrecorded),
        Err(reason) => {
            return Err(Failure::new(format!("what the configuration has in force cannot be recorded: {reason}")));
        }
    }
    Ok(StartState::InForce)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::fs;

    use super::*;
    use crate::config::BETWEEN;

    /// Files that somebody writes all the time are never those of a start; once that is over they are, also while they are new.
    #[test]
    fn a_start_on_files_that_never_become_whole_is_refused() {
        let folder = std::env::temp_dir().join(format!("countersign-opening-{}", std::process::id()));
        for name in ["trust", "agents", "apis", "policies"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let file = folder.join("main.toml");
        fs::write(&file, "issuer = 'https://a.example'\n").unwrap();
        let sources = Sources { files: vec![file.clone()], ..Sources::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let read = || runtime.block_on(read_within(&sources, (5, Duration::ZERO)));
        let mut longer = fs::read_to_string(&file).unwrap();
        let write = move || {
            longer.push('\n');
            fs::write(&file, &longer).unwrap();
        };
        BETWEEN.set(Some(Box::new(write)));
        let refused = read().err().unwrap().to_string();
        BETWEEN.set(None);
        assert!(refused.contains("written all the time"), "{refused}");
        let started = read().ok().unwrap();
        assert_eq!(started.config.settings.issuer.as_str(), "https://a.example");
        fs::remove_dir_all(folder).unwrap();
    }
}
