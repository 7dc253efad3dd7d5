//! Layers of files and environment → [`Settings`] (as typed) → [`Config`] (as meant), collecting every mistake.

mod load;
mod toml;
mod duration;
mod reader;
mod layers;
mod fields;
mod keys_file;
mod certificate_file;
mod matcher_file;
mod settings;
mod tls_file;
mod trust_file;
mod agent_file;
mod certificate_login;
mod dated;
mod api_file;
mod validate;
mod build;
mod folders;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use agent_file::{ASSERTION_ALGORITHMS, LoginFile};
pub use build::{Config, PolicyText, ServerKeys, deployment};
pub use load::Fingerprint;
pub use settings::{DpopNonce, KeySettings, LedgerAccess, LimitSettings, Settings, StoreEngine};
pub use tls_file::{IpPrefix, Proxy, TlsSettings};
pub use trust_file::TrustFile;
pub use watch::watch;

use crate::diagnostic::{Diagnostics, SourceLocation};
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
}

/// The outcome of one reading.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, or everything that is wrong with it.
    pub config: Result<Config, Diagnostics>,
    /// The state of every file and folder that was looked at.
    pub fingerprint: Fingerprint,
}

/// The lists of keys in their folder, as `store` writes them.
const KEY_LISTS: [&str; 3] = ["keyring.json", "ledger.json", "secrets.json"];

/// Read before all files given, when it is there.
pub const DEFAULT_FILE: &str = "conf/default.toml";

impl Sources {
    /// `files` over the defaults, under the environment of this process.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let text =
            |(name, value): (std::ffi::OsString, std::ffi::OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self { default_file: DEFAULT_FILE.into(), files, environment: std::env::vars_os().filter_map(text).collect() }
    }

    /// Reads everything.
    pub fn load(&self) -> Loaded {
        let context = LoadContext::default();
        let read = self.settings(&context).and_then(|settings| {
            // What `keys rotate` and `keys revoke` change is to be noticed as well.
            key_lists(&settings).for_each(|list| context.watch(list));
            folders::read(&context, settings)
        });
        let (errors, warnings, fingerprint) = context.finish();
        let config = match read {
            Some(config) if errors.is_empty() => Ok(Config { warnings, ..config }),
            _ => Err(errors),
        };
        Loaded { config, fingerprint }
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
            let text = context.text(file, &SourceLocation::file(&*name));
            layers.extend(text.map(|text| context.toml(&name, &text)));
        }
        match layers::environment(&self.environment) {
            Ok(environment) => layers.push(environment),
            Err(message) => context.error(SourceLocation::file("the environment"), format!("cannot be read: {message}")),
        }
        layers
    }
}

/// One trust rule alone, without the agents that go by it: the rule if it makes sense, the mistakes of its file, and warnings.
pub fn trust_rule(path: &Path) -> (Option<TrustRule>, Diagnostics, Diagnostics) {
    let context = LoadContext::default();
    let name = path.to_string_lossy();
    let location = SourceLocation::line(&*name, 1);
    let table = context.text(path, &location).map(|text| context.toml(&name, &text));
    let file = table.and_then(|table| TrustFile::read(TableReader::new(&context, table, location)));
    let rule = file.and_then(|file| build::trust_rule(&context, &file, &[]));
    let (errors, warnings, _) = context.finish();
    (rule.filter(|_| errors.is_empty()), errors, warnings)
}

/// The lists of keys in the folder that `settings` name.
pub fn key_lists(settings: &Settings) -> impl Iterator<Item = PathBuf> {
    KEY_LISTS.iter().map(|list| settings.keys.dir.join(list))
}

#[cfg(test)]
mod tests;
