//! Layers of files and environment → [`Settings`] (as typed) → [`Config`] (as meant), collecting every mistake.

mod look;
mod load;
mod toml;
mod duration;
mod reader;
mod layers;
mod fields;
mod keys_file;
mod certificate_file;
mod matcher_file;
mod policy_folder;
mod limit_settings;
mod folder_settings;
mod settings;
mod tls_file;
mod web_settings;
mod trust_file;
mod agent_file;
mod certificate_login;
mod dated;
mod api_file;
mod validate;
mod build;
mod folders;
mod candidate;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use agent_file::{ASSERTION_ALGORITHMS, LoginFile};
pub use build::{Config, FolderContent, ServerKeys, deployment};
pub use candidate::{CandidateBoard, CandidateReport, CandidateState, ChangedBy, StartState, Succession, TakeOutcome};
pub use limit_settings::LimitSettings;
#[cfg(test)]
pub(crate) use look::BETWEEN;
pub use look::{Fingerprint, KeptFiles};
pub use policy_folder::{PolicySettings, PolicyText};
pub use settings::{KeySettings, LedgerAccess, Settings, StoreEngine};
pub use tls_file::{IpPrefix, Proxy, TlsSettings};
pub use trust_file::TrustFile;
pub use watch::{ConfigurationWatch, Successor, watch};

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostics, SourceLocation};
use crate::policy::NamesBySort;
use crate::store::InForceFile;
use crate::trust::TrustRule;
use load::{DEFAULTS, LoadContext};
use reader::TableReader;
use toml::Table;

/// The files and variables that a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file that is read first when it is there; usually [`DEFAULT_FILE`].
    pub default_file: PathBuf,
    /// The files given with `--config`, in that order.
    pub files: Vec<PathBuf>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// The data folder that remembers the names of before, where there is one.
    pub data: Option<PathBuf>,
}

/// The outcome of one reading.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, or everything that is wrong with it.
    pub config: Result<Config, Diagnostics>,
    /// Everything that was looked at.
    pub kept: KeptFiles,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The digest of the whole configuration: of what the files hold and the environment sets.
    pub digest: Digest,
}

/// The lists of keys in their folder, as `store` writes them.
const KEY_LISTS: [&str; 3] = ["keyring.json", "ledger.json", "secrets.json"];

/// The variables that say where folders are.
const PLACES: [&str; 5] = [
    "COUNTERSIGN__FILES__TRUST",
    "COUNTERSIGN__FILES__AGENTS",
    "COUNTERSIGN__FILES__APIS",
    "COUNTERSIGN__FILES__POLICIES",
    "COUNTERSIGN__KEYS__DIR",
];

/// Read when no file is given and it is there.
pub const DEFAULT_FILE: &str = "conf/default.toml";

impl Loaded {
    /// True where at `now` nothing was written for as long as the settings want, and another look agrees with this one.
    pub fn rests(&self, now: SystemTime) -> bool {
        let settle = self.config.as_ref().map_or(Duration::ZERO, |config| config.settings.files.settle);
        let rests = self.fingerprint.rests_since(now).is_none_or(|rests| rests >= settle);
        rests && self.is_whole()
    }

    /// True where another look agrees with this one: of what was written while it was read there was no such configuration.
    pub fn is_whole(&self) -> bool {
        self.fingerprint.again() == self.fingerprint
    }
}

impl Sources {
    /// `files` over the defaults, under the environment of this process. Without any, [`DEFAULT_FILE`] where it is.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let text =
            |(name, value): (std::ffi::OsString, std::ffi::OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        let default_file = if files.is_empty() { DEFAULT_FILE.into() } else { PathBuf::new() };
        Self { default_file, files, environment: std::env::vars_os().filter_map(text).collect(), data: None }
    }

    /// The same for the server on the data folder `data`, which remembers the names of before.
    #[must_use]
    pub fn on(self, data: &Path) -> Self {
        Self { data: Some(data.to_owned()), ..self }
    }

    /// Reads everything.
    pub fn load(&self) -> Loaded {
        self.read(None)
    }

    /// Reads everything from files as they were read before.
    pub fn load_kept(&self, kept: &KeptFiles) -> Loaded {
        self.read(Some(kept.clone()))
    }

    /// The settings files that are there to be read.
    pub fn settings_files(&self) -> Vec<&Path> {
        let default = Some(&self.default_file).filter(|file| !file.as_os_str().is_empty() && file.exists());
        default.into_iter().chain(&self.files).map(PathBuf::as_path).collect()
    }

    fn read(&self, kept: Option<KeptFiles>) -> Loaded {
        let context = LoadContext::new(home(&self.files), kept);
        let recorded = self.recorded(&context);
        let read = self.settings(&context).and_then(|settings| folders::read(&context, settings, recorded));
        let (errors, warnings, kept) = context.finish();
        let config = match read {
            Some(config) if errors.is_empty() => Ok(Config { warnings, ..config }),
            _ => Err(errors),
        };
        let fingerprint = kept.fingerprint();
        // Where the folders are is no part of what they say.
        let is_ours = |name: &str| name.starts_with("COUNTERSIGN__") && !PLACES.contains(&name);
        let ours = self.environment.iter().filter(|(name, _)| is_ours(name));
        let environment = ours.map(|(name, value)| (name.clone(), value.clone())).collect();
        let digest = fingerprint.digest(&home(&self.files), &environment);
        Loaded { config, kept, fingerprint, digest }
    }

    /// The names that were in force before on the data folder.
    fn recorded(&self, context: &LoadContext) -> NamesBySort {
        let names = self.data.as_deref().map(|data| InForceFile::of_names(data).read().map(|text| (data, text)));
        let Some(Ok((data, Some(text)))) = names else { return NamesBySort::new() };
        NamesBySort::parse(&text).unwrap_or_else(|| {
            let file = InForceFile::of_names(data).path();
            context.warn(SourceLocation::file(file.to_string_lossy()), "names of before cannot be read from it; remove it");
            NamesBySort::new()
        })
    }

    /// Each layer is read alone first, so that mistakes in what another layer overrides are told as well.
    fn settings(&self, context: &LoadContext) -> Option<Settings> {
        let layers = self.layers(context);
        for layer in &layers {
            Settings::read(TableReader::new(context, layer.clone(), SourceLocation::default()).partial());
        }
        match layers::merge(&layers) {
            Ok(merged) => Settings::read(TableReader::new(context, merged, SourceLocation::file(DEFAULT_FILE))),
            Err(message) => {
                context.error(SourceLocation::file("the settings"), format!("cannot be merged: {message}"));
                None
            }
        }
    }

    fn layers(&self, context: &LoadContext) -> Vec<Table> {
        let mut layers = vec![context.toml(DEFAULTS.0, DEFAULTS.1)];
        if !self.default_file.as_os_str().is_empty() {
            let name = self.default_file.to_string_lossy();
            let text = context.text_if_there(&self.default_file, &SourceLocation::file(&*name));
            layers.extend(text.map(|text| context.toml(&name, &text)));
        }
        for file in &self.files {
            let name = file.to_string_lossy();
            let Some(text) = context.text(file, &SourceLocation::file(&*name)) else { continue };
            if text.trim().is_empty() {
                context.error(SourceLocation::line(&*name, 1), "an empty settings file is taken for one that is being written");
            }
            layers.push(context.toml(&name, &text));
        }
        match layers::environment(&self.environment) {
            Ok(environment) => layers.push(environment),
            Err(message) => context.error(SourceLocation::file("the environment"), format!("cannot be read: {message}")),
        }
        layers
    }
}

/// The data folder where none is named: beside the first of the settings `files`, and beside their folder where that is called
/// `conf`; below the current directory where there are none.
pub fn data_folder(files: &[PathBuf]) -> PathBuf {
    let home = home(files);
    if home.file_name().is_some_and(|name| name == "conf") { home.with_file_name("data") } else { home.join("data") }
}

/// The folder that everything lies in which no file names: that of the first settings file.
fn home(files: &[PathBuf]) -> PathBuf {
    let whole = files.first().map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone()));
    whole.as_deref().and_then(Path::parent).map_or_else(|| PathBuf::from("conf"), Path::to_path_buf)
}

/// One trust rule alone, without the agents that go by it: the rule if it makes sense, the mistakes of its file, and warnings.
pub fn trust_rule(path: &Path) -> (Option<TrustRule>, Diagnostics, Diagnostics) {
    let context = LoadContext::default();
    let text = context.text(path, &SourceLocation::line(path.to_string_lossy(), 1));
    rule_of(context, path, text)
}

/// As [`trust_rule`], of a text that is not written yet and would stand at `path`.
pub fn trust_rule_text(path: &Path, text: String) -> (Option<TrustRule>, Diagnostics, Diagnostics) {
    rule_of(LoadContext::default(), path, Some(text))
}

fn rule_of(context: LoadContext, path: &Path, text: Option<String>) -> (Option<TrustRule>, Diagnostics, Diagnostics) {
    let name = path.to_string_lossy();
    let table = text.map(|text| context.toml(&name, &text));
    let file = table.and_then(|table| TrustFile::read(TableReader::new(&context, table, SourceLocation::line(&*name, 1))));
    let rule = file.and_then(|file| build::trust_rule(&context, &file, &[]));
    let (errors, warnings, _) = context.finish();
    (rule.filter(|_| errors.is_empty()), errors, warnings)
}

/// The variable of the environment that names a proxy, where one is set: what fetches keys does not go by it.
pub fn proxy_variable() -> Option<&'static str> {
    const NAMES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    NAMES.into_iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// The lists of keys in the folder that `settings` name.
pub fn key_lists(settings: &Settings) -> impl Iterator<Item = PathBuf> {
    KEY_LISTS.iter().map(|list| settings.keys.dir.join(list))
}

#[cfg(test)]
mod tests;
