//! `check`: the whole configuration, and every complaint about it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::output::{CommandResult, Failure};
use super::text::instant;
use crate::client::ExpiryState;
use crate::config::{self, Config, Sources, Succession};
use crate::crypto::Digest;
use crate::deployment::Deployment;
use crate::diagnostic::{Diagnostic, Diagnostics, SourceLocation};
use crate::oauth::{Clock, Time};
use crate::server::{DataFolder, repeating_agents, retired_in_record, stand_in_keys, succession_on, taken_back};
use crate::store::{self, SystemClock};
use crate::trust::TrustRule;
use crate::x509::UnverifiedCertificate;

/// The options of `check`.
#[derive(Args)]
pub(super) struct Options {
    /// A settings file, over conf/default.toml; may repeat, later ones win, and COUNTERSIGN__… of the environment over all
    #[arg(long)]
    config: Vec<PathBuf>,
    /// The server's data folder: also tells where the record is stricter than the files. Without --config the files are checked
    /// that it was last served with
    #[arg(long)]
    data: Option<PathBuf>,
    /// The data folder of a server: also tells what this configuration takes back of what is in force there, what ends with
    /// that, and what is narrowed and lives on
    #[arg(long, value_name = "DATA")]
    against: Option<PathBuf>,
    /// The key folder of the server instead of the one that the data folder was last served with
    #[arg(long)]
    keys: Option<PathBuf>,
    /// Print the complaints as JSON
    #[arg(long)]
    json: bool,
}

/// Validates everything that `serve` would read, except the server's own keys; fetches nothing.
pub(super) fn run(options: &Options) -> CommandResult {
    let folder = options.data.as_ref().or(options.against.as_ref());
    let folder = folder.map(|data| DataFolder { data: data.clone(), config: options.config.clone(), keys: options.keys.clone() });
    let sources = folder.as_ref().map_or_else(|| Ok(Sources::new(options.config.clone())), DataFolder::sources)?;
    let config = match sources.load().config {
        Ok(config) => config,
        Err(complaints) => return Ok(complain(&complaints, options.json)),
    };
    let recorded = match (&options.data, &folder) {
        (Some(data), Some(folder)) => retired(&config, &folder.keys_of(&config)?, data)?,
        _ => Vec::new(),
    };
    let now = SystemClock.now();
    let own = own_certificates(&config, now);
    let succession = options
        .against
        .as_deref()
        .filter(|data| store::is_used(data))
        .map(|data| succession_on(&config, data))
        .transpose()?
        .unwrap_or_default();
    let ground = Ground::of(&sources, &config, succession);
    let warnings: Vec<_> = config.warnings.iter().cloned().chain(recorded).chain(own).chain(unused_proxy(&config)).collect();
    match config::deployment(config, stand_in_keys()?, None) {
        Ok(deployment) => {
            let ends = deployment
                .logins
                .dated()
                .filter_map(|dated| near(&dated.place, &dated.to_string(), dated.not_after, dated.expiry(now)));
            let against = options.against.as_deref().map(|data| taken(&deployment, data)).transpose()?.unwrap_or_default();
            let repeating = options.against.as_deref().map(|data| repeating(data, now)).transpose()?.unwrap_or_default();
            let warnings = warnings.into_iter().chain(ends).chain(against).chain(repeating).collect();
            Ok(approve(&Diagnostics::new(warnings), &ground, options.json))
        }
        Err(complaints) => Ok(complain(&complaints, options.json)),
    }
}

/// Warnings about agents that are retired in the record of the data folder, and not in their files.
fn retired(config: &Config, keys: &Path, data: &Path) -> Result<Vec<Diagnostic>, Failure> {
    let place = SourceLocation::file(data.display().to_string());
    let warning = |id| {
        Diagnostic::new(place.clone(), format!("agent \"{id}\" is retired in the record and stays so, whatever its file says"))
    };
    Ok(retired_in_record(config, keys, data)?.into_iter().map(warning).collect())
}

/// Warnings about what the configuration takes back of what is in force on the data folder.
fn taken(deployment: &Deployment, data: &Path) -> Result<Vec<Diagnostic>, Failure> {
    let place = SourceLocation::file(data.display().to_string());
    match taken_back(deployment, data) {
        Ok(Some(changes)) => Ok(changes.iter().map(|change| Diagnostic::new(place.clone(), change.to_string())).collect()),
        Ok(None) => {
            Ok(vec![Diagnostic::new(place, "it is not remembered what is in force here; a start of this version remembers")])
        }
        Err(error) => Err(Failure::new(format!("{}: what is in force cannot be read: {error}", data.display()))),
    }
}

/// Warnings about agents whose clients ask for tokens that they still hold.
fn repeating(data: &Path, now: Time) -> Result<Vec<Diagnostic>, Failure> {
    let place = SourceLocation::file(data.display().to_string());
    let read = |error| Failure::new(format!("{}: the records cannot be read: {error}", data.display()));
    let agents = if store::is_used(data) { repeating_agents(data, now).map_err(read)? } else { Vec::new() };
    Ok(agents.iter().map(|agent| Diagnostic::new(place.clone(), agent.to_string())).collect())
}

/// A warning where the environment names a proxy and keys are fetched past it.
fn unused_proxy(config: &Config) -> Option<Diagnostic> {
    let variable = config::proxy_variable().filter(|_| config.trust_rules().iter().any(TrustRule::fetches_directly))?;
    let sentence = format!("{variable} is set, and keys are not fetched through it; `proxy` in [keys] of a trust rule is used");
    Some(Diagnostic::new(SourceLocation::file("the environment"), sentence))
}

/// Warnings about certificates of the chain that the server shows to clients which have expired or soon will.
fn own_certificates(config: &Config, now: Time) -> Vec<Diagnostic> {
    let Some((chain, files)) = config.identity.as_ref().zip(config.settings.tls.identity.as_ref()) else { return Vec::new() };
    let file = &files.certificate;
    let ends = chain.cert.iter().filter_map(|der| Some((Digest::of(der), UnverifiedCertificate::read(der).ok()?.not_after)));
    let named = ends.map(|(digest, not_after)| (format!("server certificate {digest} in {}", file.value.display()), not_after));
    named.filter_map(|(name, not_after)| near(&file.location, &name, not_after, ExpiryState::of(not_after, now))).collect()
}

fn near(place: &SourceLocation, name: &str, not_after: Time, expiry: Option<ExpiryState>) -> Option<Diagnostic> {
    let verb = match expiry? {
        ExpiryState::Expired => "has expired, at",
        ExpiryState::Near => "expires within 30 days, at",
    };
    Some(Diagnostic::new(place.clone(), format!("{name} {verb} {}", instant(not_after.seconds()))))
}

/// A number of things: one without the plural's `s`.
fn counted_of(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// The files that a configuration stands on, and what it changes where it was compared.
struct Ground {
    settings: Vec<String>,
    folders: Vec<(String, String)>,
    counts: String,
    succession: Succession,
}

impl Ground {
    fn of(sources: &Sources, config: &Config, succession: Succession) -> Self {
        let settings = sources.settings_files().iter().map(|file| file.display().to_string()).collect();
        let folders = config.folders();
        Self {
            settings,
            folders: folders.iter().map(|folder| (folder.counted(), folder.path.display().to_string())).collect(),
            counts: folders.map(|folder| folder.counted()).join(", "),
            succession,
        }
    }

    fn say(&self) {
        match self.settings.as_slice() {
            [] => say!("no settings file is given, and none was found: the settings are those compiled in"),
            files => say!("settings from {}", files.join(", ")),
        }
        self.folders.iter().for_each(|(counted, path)| say!("{counted} in {path}"));
        self.succession.comes.iter().for_each(|come| say!("comes into force: {come}"));
        self.succession.ends.iter().for_each(|end| say!("ends: {end}"));
        if self.succession.needs_acceptance {
            say!("it would end so much that it is not taken up before `countersign config accept`");
        }
    }

    fn json(&self) -> serde_json::Value {
        let folders: Vec<_> = self.folders.iter().map(|(counted, path)| json!({"holds": counted, "path": path})).collect();
        let Succession { comes, ends, needs_acceptance } = &self.succession;
        json!({"settings": self.settings, "folders": folders, "comes": comes, "ends": ends, "needs_acceptance": needs_acceptance})
    }
}

fn approve(warnings: &Diagnostics, ground: &Ground, json: bool) -> bool {
    if json {
        let warnings: serde_json::Value = serde_json::from_str(&warnings.to_json()).unwrap_or_default();
        say!("{}", json!({"ok": true, "warnings": warnings, "ground": ground.json()}));
    } else {
        ground.say();
        warnings.iter().for_each(|warning| say!("warning: {warning}"));
        say!("the configuration is valid: {}", ground.counts);
    }
    true
}

fn complain(complaints: &Diagnostics, json: bool) -> bool {
    if json {
        let list: serde_json::Value = serde_json::from_str(&complaints.to_json()).unwrap_or_default();
        say!("{}", json!({"ok": false, "complaints": list}));
    } else {
        say!("{complaints}");
        say!("{}; nothing of this configuration would be used", counted_of(complaints.len(), "complaint"));
    }
    false
}
