//! A complete configuration of a Countersign server for these cases, and the profile that goes with it.
//!
//! The texts are the files under `conformance/fixture/`; only addresses are filled in. All keys are test keys that anybody may
//! read: never let a real server trust them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::certificates;
use crate::jose::Key;

/// Addresses of the server under test and of the issuer that the runner plays.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The server's issuer identifier.
    pub issuer: String,
    /// The public listener, `host:port`.
    pub public: String,
    /// The ops listener, `host:port`.
    pub ops: String,
    /// The listener that asks for certificates, `host:port`.
    pub mtls: String,
    /// A free `host:port` on loopback for the issuer that is found by discovery.
    pub idp: String,
}

/// The files that were written.
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

/// Capabilities that the fixture's server has only when it is told by its environment.
#[cfg(test)]
const OTHER_SERVER: [&str; 2] = ["attestation-challenge", "dpop-nonce"];

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
    certificates::write(folder)?;
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
        .replace("@MTLS@", &addresses.mtls)
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
pub(crate) fn bundle(key: &Value) -> Value {
    let mut key = key.clone();
    if let Some(members) = key.as_object_mut() {
        members.remove("alg");
        members.insert("use".to_owned(), Value::from("jwt-svid"));
    }
    json!({ "keys": [key], "spiffe_sequence": 1, "spiffe_refresh_hint": 300 })
}

#[cfg(test)]
pub(crate) mod testing {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::profile::Profile;

    /// A folder of its own for each caller.
    pub(crate) fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("conformance-{}", crate::values::fresh_id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Addresses that nobody listens at.
    pub(crate) fn addresses() -> Addresses {
        let at = |port: u16| format!("127.0.0.1:{port}");
        Addresses { issuer: "http://127.0.0.1:1".to_owned(), public: at(1), ops: at(2), mtls: at(4), idp: at(3) }
    }

    /// The fixture's profile.
    pub(crate) fn profile() -> Profile {
        let folder = folder();
        let fixture = write(&folder, &addresses()).unwrap();
        let profile = Profile::load(&fixture.profile).unwrap();
        fs::remove_dir_all(folder).unwrap();
        profile
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

    use super::testing::{addresses, folder, profile};
    use super::*;
    use crate::case::{self, Item, Template};

    #[test]
    fn the_fixture_is_complete_and_filled_in() {
        let folder = folder();
        let fixture = write(&folder, &addresses()).unwrap();
        let config = fs::read_to_string(&fixture.config).unwrap();
        assert!(config.contains("issuer = \"http://127.0.0.1:1\"") && !config.contains('@'));
        for kind in ["trust", "agents", "apis"] {
            for entry in fs::read_dir(folder.join("conf").join(kind)).unwrap() {
                let path = entry.unwrap().path();
                let text = fs::read_to_string(&path).unwrap();
                let table: toml::Table = toml::from_str(&text).unwrap();
                assert!(!text.contains("@ISSUER@") && !text.contains("@IDP@"), "{}", path.display());
                for name in ["jwks_file", "bundle_file"] {
                    let login = table.get("login").and_then(|login| login.get(0)?.get(name));
                    let file = login.or(table.get("keys").and_then(|keys| keys.get(name))).and_then(toml::Value::as_str);
                    assert!(file.is_none_or(|file| path.parent().unwrap().join(file).exists()), "{}", path.display());
                }
            }
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn published_keys_are_public() {
        let folder = folder();
        publish(&Path::new(SOURCE).join("keys"), &folder).unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            let set: Value = serde_json::from_str(&fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
            for key in set["keys"].as_array().unwrap() {
                assert!(["d", "p", "q", "dp", "dq", "qi"].iter().all(|name| key.get(name).is_none()));
            }
        }
        let idp: Value = serde_json::from_str(&fs::read_to_string(folder.join("idp-set.json")).unwrap()).unwrap();
        assert_eq!(idp["keys"].as_array().unwrap().len(), IDP_SET.len());
        fs::remove_dir_all(folder).unwrap();
    }

    /// Nothing that a case names is missing from our own profile, so that nothing is skipped by a slip of the pen.
    #[test]
    fn no_case_is_skipped_against_the_fixture() {
        let profile = profile();
        for case in case::load(Path::new(CASES)).unwrap() {
            for required in &case.requires {
                let known = profile.capabilities.contains(required) || OTHER_SERVER.contains(&required.as_str());
                assert!(known, "{}: {required}", case.name);
            }
            for item in &case.items {
                let Item::Step(step) = item else { continue };
                assert!(step.client.as_ref().is_none_or(|client| profile.clients.contains_key(client)), "{}", case.name);
            }
        }
    }

    /// Every template of every case has a value, as far as it does not speak of an answer.
    #[test]
    fn every_value_of_every_case_can_be_made() {
        let profile = profile();
        let endpoints =
            crate::values::Endpoints { token: "http://t".to_owned(), jwks: "http://k".to_owned(), ..Default::default() };
        for case in case::load(Path::new(CASES)).unwrap() {
            let mut values = crate::values::Values::new(&profile, &endpoints);
            let mut answers: Vec<String> = Vec::new();
            for item in &case.items {
                let known = |template: &&Template| {
                    let of_answer = |name: &&str| answers.iter().any(|answer| name.starts_with(&format!("{answer}.")));
                    !template.names().iter().any(of_answer)
                };
                match item {
                    Item::Let { name, value, .. } if !known(&value) => values.bind(name, "of an answer".to_owned()),
                    Item::Let { name, value, .. } => values.bind(name, values.text(value).unwrap()),
                    Item::Step(step) => {
                        for template in step.templates().filter(known) {
                            values.text(template).map_err(|missing| format!("{}: {missing:?}", case.name)).unwrap();
                        }
                        answers.extend(step.name.clone());
                    }
                }
            }
        }
    }
}
