//! The profile: what a server under test is like, and which parties it knows. Read from TOML.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::jose::Key;
use crate::shown::Shown;

/// Everything that cases need to know about one server.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The server's address: scheme, host and port. Paths in cases are taken from here.
    pub server: String,
    /// The server's issuer identifier.
    pub issuer: String,
    /// The token endpoint; found by metadata when absent.
    pub token_endpoint: Option<String>,
    /// The key set; found by metadata when absent.
    pub jwks_uri: Option<String>,
    /// The longest chain the server allows, in hops.
    pub max_depth: u32,
    /// Capabilities of the server beyond the least; a case that requires others is skipped.
    pub capabilities: BTreeSet<String>,
    /// The clients, by role.
    pub clients: BTreeMap<String, Client>,
    /// The issuers that the runner plays, by role.
    pub trust: BTreeMap<String, TestIssuer>,
    /// The resource servers, by role.
    pub apis: BTreeMap<String, Api>,
    /// Certificates that clients hold, by name.
    pub certificates: BTreeMap<String, Arc<Shown>>,
    /// Who issued the server's own certificate, in PEM.
    pub server_ca: Option<Vec<u8>>,
    keys: BTreeMap<String, Arc<Key>>,
}

/// A client of the server, and how it authenticates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// The `act.sub_profile` of the client in issued tokens.
    #[serde(default)]
    pub kind: String,
    /// Other names of it, by role of the issuer that knows it by that name.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    /// How it authenticates.
    pub login: Login,
}

/// How a client authenticates.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub enum Login {
    /// `private_key_jwt` (RFC 7523 §2.2).
    PrivateKeyJwt {
        /// The name of its key.
        key: String,
    },
    /// A token of a test issuer as `client_assertion`.
    Attestation {
        /// The `client_assertion_type`.
        assertion_type: String,
        /// The role of the issuer.
        trust: String,
        /// Claims beside the issuer's defaults.
        claims: Map<String, Value>,
    },
    /// A client certificate and `client_id` (RFC 8705 §2).
    Certificate {
        /// The name of the certificate.
        certificate: String,
    },
    /// HTTP Basic (RFC 6749 §2.3.1), form-encoded.
    ClientSecretBasic {
        /// The secret.
        secret: String,
    },
    /// `client_id` and `client_secret` in the form.
    ClientSecretPost {
        /// The secret.
        secret: String,
    },
}

/// An issuer that the runner plays.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestIssuer {
    /// The `iss` claim; absent for issuers that write none.
    pub issuer: Option<String>,
    /// The name of its key.
    pub key: String,
    /// The default `aud`: a string or an array.
    pub audience: Value,
    /// The form of `sub` in issued tokens; `{}` stands for the id.
    pub subject: String,
    /// Default lifetime in seconds.
    #[serde(default = "five_minutes")]
    pub lifetime: i64,
    /// True where tokens of this issuer have a `jti` by default.
    #[serde(default)]
    pub jti: bool,
    /// The default `typ`; empty for none.
    #[serde(default = "plain_jwt")]
    pub typ: String,
    /// Default claims beside `iss`, `aud`, `iat`, `exp`, `jti`.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// True where the runner serves this issuer's discovery document and keys at its own address (loopback, http).
    #[serde(default)]
    pub serve: bool,
    /// Further keys that it publishes.
    #[serde(default)]
    pub more_keys: Vec<String>,
    /// The address at which the runner serves this issuer's key as a SPIFFE bundle (loopback, http).
    pub bundle: Option<String>,
}

/// A resource server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Its identifier: the `resource`, and the `aud` of what is issued for it.
    pub id: String,
    /// Its logical name for `audience`.
    #[serde(default)]
    pub name: String,
    /// Its scopes, by role.
    #[serde(default)]
    pub scopes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    server: String,
    issuer: Option<String>,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    #[serde(default = "four")]
    max_depth: u32,
    #[serde(default)]
    capabilities: BTreeSet<String>,
    /// A folder of certificates with their keys, one PEM file each.
    certificates: Option<String>,
    server_ca: Option<String>,
    keys: BTreeMap<String, String>,
    clients: BTreeMap<String, Client>,
    trust: BTreeMap<String, TestIssuer>,
    apis: BTreeMap<String, Api>,
}

impl Profile {
    /// Reads a profile; key files are relative to it.
    ///
    /// # Errors
    /// A sentence naming the file and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let file: File = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut keys = BTreeMap::new();
        for (name, key) in &file.keys {
            let path = folder.join(key);
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let key = Key::from_jwk(&text).map_err(|error| format!("{}: {error}", path.display()))?;
            keys.insert(name.clone(), Arc::new(key));
        }
        let certificates = file.certificates.as_ref().map(|certificates| Shown::load_all(&folder.join(certificates)));
        let server_ca =
            file.server_ca.as_ref().map(|file| std::fs::read(folder.join(file)).map_err(|error| format!("{file}: {error}")));
        let mut profile = Self::assemble(file, keys);
        profile.certificates = certificates.transpose()?.unwrap_or_default();
        profile.server_ca = server_ca.transpose()?;
        profile.check().map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(profile)
    }

    /// Aims the same profile at another address.
    pub fn aim(&mut self, server: &str) {
        let server = server.trim_end_matches('/').to_owned();
        if self.issuer == self.server {
            self.issuer.clone_from(&server);
        }
        self.server = server;
    }

    /// The key called `name`.
    pub fn key(&self, name: &str) -> Option<&Arc<Key>> {
        self.keys.get(name)
    }

    fn assemble(file: File, keys: BTreeMap<String, Arc<Key>>) -> Self {
        let server = file.server.trim_end_matches('/').to_owned();
        Self {
            issuer: file.issuer.unwrap_or_else(|| server.clone()),
            server,
            token_endpoint: file.token_endpoint,
            jwks_uri: file.jwks_uri,
            max_depth: file.max_depth,
            capabilities: file.capabilities,
            clients: file.clients,
            trust: file.trust,
            apis: file.apis,
            keys,
            certificates: BTreeMap::new(),
            server_ca: None,
        }
    }

    fn check(&self) -> Result<(), String> {
        for (role, client) in &self.clients {
            match &client.login {
                Login::PrivateKeyJwt { key } => self.require_key(key, role)?,
                Login::Certificate { certificate } if !self.certificates.contains_key(certificate) => {
                    return Err(format!("client {role} shows the certificate {certificate}, which this profile does not have"));
                }
                Login::Attestation { trust, .. } if !self.trust.contains_key(trust) => {
                    return Err(format!("client {role} logs in through {trust}, which is no issuer of this profile"));
                }
                _ => {}
            }
        }
        self.trust.iter().try_for_each(|(role, issuer)| self.require_key(&issuer.key, role))
    }

    fn require_key(&self, key: &str, role: &str) -> Result<(), String> {
        self.keys.contains_key(key).then_some(()).ok_or_else(|| format!("{role} uses the key {key}, which is not in [keys]"))
    }
}

fn five_minutes() -> i64 {
    300
}

fn plain_jwt() -> String {
    "JWT".to_owned()
}

fn four() -> u32 {
    4
}
