//! A folder of configuration files that lives as long as a test.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::config::{Config, Loaded, Sources};

pub(super) struct Scene {
    root: PathBuf,
    environment: Vec<(String, String)>,
}

pub(super) const MAIN: &str = "[files]\ntrust = 'trust'\nagents = 'agents'\napis = 'apis'\npolicies = 'policies'\n";

pub(super) const IDP: &str = "name = 'idp'
kind = 'oidc'
issuer = 'https://idp.example'
audiences = ['us']
subject = { kind = 'user' }
[keys]
discovery = true
";

pub(super) const CLUSTER: &str = "name = 'cluster'
kind = 'oidc'
issuer = 'https://cluster.example'
audiences = ['us']
subject = { kind = 'workload' }
[keys]
discovery = true
";

pub(super) const AGENT: &str = "id = 'a'\nowner = 'o'\nteam = 't'\nkind = 'service'\n";

pub(super) const API: &str = "id = 'https://a.example'\ndestination = 'internal'\n[scopes]\nread = { effect = 'read' }\n";

/// A key set of one usable key, as JSON.
pub(super) const JWKS: &str = concat!(
    r#"{"keys":[{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"45eZULae8DxWC9ocnlpbHMPYEb94Qs4rgO_O1CSq5OE","#,
    r#""x":"5q4-mzq7nj4qZCsO2BS_YsmvXg43oJZC7nRnu9Mh3IE","y":"93p1g0ZtVl-DQqf2UKGcpUFjXnYzeXQnohTPASFGY9w"}]}"#
);

impl Scene {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("countersign-config-{}-{number}", std::process::id()));
        let scene = Self { root, environment: vec![] };
        for folder in ["trust", "agents", "apis", "policies"] {
            fs::create_dir_all(scene.root.join(folder)).unwrap();
        }
        scene.with("main.toml", MAIN)
    }

    pub(super) fn with(self, file: &str, text: &str) -> Self {
        fs::write(self.root.join(file), text).unwrap();
        self
    }

    /// Writes a file that others rewrite.
    pub(super) fn put(&self, file: &str, text: &str) {
        fs::write(self.root.join(file), text).unwrap();
    }

    pub(super) fn without(self, file: &str) -> Self {
        fs::remove_file(self.root.join(file)).unwrap();
        self
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn sources(&self) -> Sources {
        let files = vec![self.root.join("main.toml")];
        Sources { files, environment: self.environment.iter().cloned().collect(), ..Sources::default() }
    }

    pub(super) fn load(&self) -> Loaded {
        self.sources().load()
    }

    pub(super) fn config(&self) -> Config {
        self.load().config.unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
    }

    /// The diagnostics, one a line, without the folder's path.
    pub(super) fn diagnostics(&self) -> Vec<String> {
        let root = format!("{}/", self.root.display());
        let diagnostics = self.load().config.err().map(|diagnostics| diagnostics.to_string()).unwrap_or_default();
        diagnostics.lines().map(|line| line.replace(&root, "")).collect()
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.root).unwrap();
    }
}
