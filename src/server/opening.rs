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
    let mut loaded = sources.load();
    for _ in 0..LOOKS {
        if loaded.rests(SystemTime::now()) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
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
