//! A complete configuration of a Countersign server for these cases, and the profile that goes with it.
//!
//! The texts are the files under `conformance/fixture/`; only addresses are filled in. All keys are test keys that anybody may
//! read: never let a real server trust them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::jose::Key;

/// Where the server under test and the issuer that the runner plays are.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The server's issuer identifier.
    pub issuer: String,
    /// The public listener, `host:port`.
    pub public: String,
    /// The ops listener, `host:port`.
    pub ops: String,
    /// A free `host:port` on loopback for the issuer that is found by discovery.
    pub idp: String,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The server's configuration file: `countersign serve --config`.
    pub config: PathBuf,
    /// A folder for what the server writes: `--data`.
    pub data: PathBuf,
    /// The profile for the runner.
    pub profile: PathBuf,
}

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixture");

/// The cases that this package ships.
pub const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases");

/// The keys that the identity provider publishes: one it signs with, one more of the same kind, and two of other kinds.
const IDP_SET: [&str; 4] = ["idp", "idp-second", "idp-es384", "idp-rsa"];

/// Writes configuration, keys and profile into `folder`.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write(folder: &Path, addresses: &Addresses) -> io::Result<Fixture> {
    let source = Path::new(SOURCE);
    copy(&source.join("conf"), &folder.join("conf"), addresses)?;
    copy(&source.join("keys"), &folder.join("test-keys"), addresses)?;
    let profile = folder.join("profile.toml");
    fs::write(&profile, fill(&fs::read_to_string(source.join("profile.toml"))?, addresses))?;
    publish(&source.join("keys"), &folder.join("conf/jwks"))?;
    let data = folder.join("data");
    fs::create_dir_all(&data)?;
    Ok(Fixture { config: folder.join("conf/countersign.toml"), data, profile })
}

fn copy(from: &Path, to: &Path, addresses: &Addresses) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target, addresses)?;
        } else {
            fs::write(target, fill(&fs::read_to_string(&path)?, addresses))?;
        }
    }
    Ok(())
}

fn fill(text: &str, addresses: &Addresses) -> String {
    text.replace("@ISSUER@", &addresses.issuer)
        .replace("@SERVER@", &format!("http://{}", addresses.public))
        .replace("@PUBLIC@", &addresses.public)
        .replace("@OPS@", &addresses.ops)
        .replace("@IDP@", &format!("http://{}", addresses.idp))
}

/// Writes the public halves: one key set per key, the identity provider's, and the SPIFFE bundles.
fn publish(keys: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut idp = Vec::new();
    for entry in fs::read_dir(keys)? {
        let path = entry?.path();
        let key = Key::from_jwk(&fs::read_to_string(&path)?).map_err(io::Error::other)?.public_jwk();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().trim_end_matches(".jwk.json").to_owned();
        fs::write(to.join(format!("{name}.json")), json!({ "keys": [key] }).to_string())?;
        if name.starts_with("spiffe-") {
            fs::write(to.join(format!("{name}.bundle.json")), bundle(&key).to_string())?;
        }
        if IDP_SET.contains(&name.as_str()) {
            idp.push(key);
        }
    }
    fs::write(to.join("idp-set.json"), json!({ "keys": idp }).to_string())
}

/// As SPIRE writes it: `use` says what the key is for, and there is no `alg`.
fn bundle(key: &Value) -> Value {
    let mut key = key.clone();
    if let Some(members) = key.as_object_mut() {
        members.remove("alg");
        members.insert("use".to_owned(), Value::from("jwt-svid"));
    }
    json!({ "keys": [key], "spiffe_sequence": 1, "spiffe_refresh_hint": 300 })
}
