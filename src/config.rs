//! Layers of files and environment → [`Settings`] (as typed) → [`Config`] (as meant), collecting every complaint.

mod agent_file;
mod build;
mod api_file;
mod certificate_login;
mod complaint;
mod cross;
mod dated;
mod desk;
mod folders;
mod keys_file;
mod layers;
mod login_file;
mod matcher_file;
mod reader;
mod revocation;
mod settings;
mod span;
mod tls_file;
mod tree;
mod trust_file;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use agent_file::AgentFile;
pub use build::{ServerKeys, world};
pub use complaint::{Diagnostic, Diagnostics};
pub use desk::Fingerprint;
pub use login_file::{ASSERTION_ALGORITHMS, LoginFile};
pub use matcher_file::MatcherFile;
pub use reader::Located;
pub use settings::{CommitStore, Dpop, DpopNonce, Files, Keys, Ledger, LedgerAccess, Limits, Listen, Settings, Tokens};
pub use tls_file::{IdentityFiles, Network, Proxy, Tls};
pub use trust_file::TrustFile;
pub use watch::watch;

use rustls::sign::CertifiedKey;

use crate::catalog::{Catalog, Place};
use crate::oauth::ClientId;
use crate::trust::TrustRule;
use build::Parts;
use desk::Desk;
use reader::Reader;
use tree::Table;

/// A whole configuration in which nothing is wrong.
#[derive(Debug)]
pub struct Config {
    /// The main settings.
    pub settings: Settings,
    /// Agents and APIs.
    pub catalog: Catalog,
    /// Trust rules, disabled ones too, in the order of their files' names.
    pub rules: Vec<TrustFile>,
    /// The ways in which each agent logs in.
    pub logins: BTreeMap<ClientId, Vec<LoginFile>>,
    /// The policies as written.
    pub policies: Vec<PolicyText>,
    /// What is no mistake and may still surprise.
    pub warnings: Diagnostics,
    /// Our certificate and its key, where we speak TLS.
    pub identity: Option<Arc<CertifiedKey>>,
    parts: Parts,
}

/// A policy file as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyText {
    /// The file, as complaints name it.
    pub file: Arc<str>,
    /// What is in it.
    pub text: String,
}

/// Where a configuration is read from.
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
    /// What everything that was read looked like.
    pub fingerprint: Fingerprint,
}

/// The list of keys in their folder, as `store` writes it.
const KEYRING: &str = "keyring.json";

/// Read before all files given, when it is there.
pub const DEFAULT_FILE: &str = "conf/default.toml";

/// [`DEFAULT_FILE`] as compiled in, and how complaints name it. Its relative paths are relative to `conf`, as are those of the
/// file.
const DEFAULTS: (&str, &str) = ("conf/default.toml (compiled in)", include_str!("../conf/default.toml"));

impl Sources {
    /// `files` over the defaults, under the environment of this process.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let text =
            |(name, value): (std::ffi::OsString, std::ffi::OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self { default_file: DEFAULT_FILE.into(), files, environment: std::env::vars_os().filter_map(text).collect() }
    }

    /// Reads everything.
    pub fn load(&self) -> Loaded {
        let desk = Desk::default();
        let made = self.settings(&desk).and_then(|settings| {
            // What `keys rotate` changes is to be noticed as well.
            desk.watch(keyring(&settings));
            folders::read(&desk, settings)
        });
        let (complaints, warnings, fingerprint) = desk.finish();
        let config = match made {
            Some(config) if complaints.is_empty() => Ok(Config { warnings, ..config }),
            _ => Err(complaints),
        };
        Loaded { config, fingerprint }
    }

    /// Each layer is read alone first, so that mistakes in what another layer overrides are told as well.
    fn settings(&self, desk: &Desk) -> Option<Settings> {
        let layers = self.layers(desk);
        for layer in &layers {
            Settings::read(Reader::new(desk, layer.clone(), whole("")).partial());
        }
        match layers::merge(&layers) {
            Ok(merged) => Settings::read(Reader::new(desk, merged, whole(DEFAULT_FILE))),
            Err(message) => {
                desk.complain(Diagnostic::new(whole("the settings"), format!("cannot be merged: {message}")));
                None
            }
        }
    }

    fn layers(&self, desk: &Desk) -> Vec<Table> {
        let mut layers = vec![toml(desk, DEFAULTS.0, DEFAULTS.1)];
        if !self.default_file.as_os_str().is_empty() {
            let name = self.default_file.to_string_lossy();
            let text = desk.text_if_there(&self.default_file, &whole(&name));
            layers.extend(text.map(|text| toml(desk, &name, &text)));
        }
        for file in &self.files {
            let name = file.to_string_lossy();
            layers.extend(desk.text(file, &whole(&name)).map(|text| toml(desk, &name, &text)));
        }
        match layers::environment(&self.environment) {
            Ok(environment) => layers.push(environment),
            Err(message) => desk.complain(Diagnostic::new(whole("the environment"), format!("cannot be read: {message}"))),
        }
        layers
    }
}

/// One trust rule alone, without the agents that go by it: the rule where it makes sense, what is wrong with its file, and what
/// may surprise.
pub fn trust_rule(path: &Path) -> (Option<TrustRule>, Diagnostics, Diagnostics) {
    let desk = Desk::default();
    let name = path.to_string_lossy();
    let place = Place { file: name.as_ref().into(), line: 1 };
    let table = desk.text(path, &place).map(|text| toml(&desk, &name, &text));
    let file = table.and_then(|table| TrustFile::read(Reader::new(&desk, table, place)));
    let rule = file.and_then(|file| build::meant(&desk, &file, &[]));
    let (complaints, warnings, _) = desk.finish();
    (rule.filter(|_| complaints.is_empty()), complaints, warnings)
}

/// The list of keys that `settings` mean.
pub fn keyring(settings: &Settings) -> PathBuf {
    settings.keys.dir.join(KEYRING)
}

/// The table of the TOML file called `name`; what is wrong in it is complained of.
fn toml(desk: &Desk, name: &str, text: &str) -> Table {
    let (table, complaints) = tree::parse(&name.into(), text);
    complaints.into_iter().for_each(|complaint| desk.complain_of_line(complaint));
    table
}

/// The whole of something.
fn whole(name: &str) -> Place {
    Place { file: name.into(), line: 0 }
}

#[cfg(test)]
mod tests;
