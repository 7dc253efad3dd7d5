//! Test certificates, made afresh with the configuration: authorities, the server's own, and those that clients show.

mod clients;
mod make;

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::jose::base64url;
use make::{Authority, Made, failed};

/// Folders of certificates below that of a fixture: those that clients hold, and those that the configuration names.
const HELD: &str = "test-certs";
const NAMED: &str = "conf/certs";

/// Makes all certificates, and writes them into `folder`.
///
/// # Errors
/// When one cannot be made or written.
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    let (held, named) = (folder.join(HELD), folder.join(NAMED));
    fs::create_dir_all(&held)?;
    fs::create_dir_all(&named)?;
    let server_ca = Authority::new("Server CA")?;
    let server = server_ca.issue(&make::server())?;
    fs::write(held.join("server-ca.pem"), &server_ca.pem)?;
    fs::write(named.join("server.pem"), server.chain())?;
    fs::write(named.join("server.key.pem"), &server.key)?;
    let authorities = clients::Authorities::new()?;
    fs::write(named.join("clients-ca.pem"), &authorities.acme.pem)?;
    for (name, lists) in authorities.lists()? {
        fs::write(named.join(name), lists)?;
    }
    for (name, made) in clients::all(&authorities)? {
        fs::write(held.join(format!("{name}.pem")), format!("{}{}", made.chain(), made.key))?;
        fs::write(named.join(format!("{name}.pem")), &made.leaf)?;
        fs::write(named.join(format!("{name}.x5c.json")), json!({ "keys": [jwk(&made, true)] }).to_string())?;
        fs::write(named.join(format!("{name}.jwk.json")), json!({ "keys": [jwk(&made, false)] }).to_string())?;
    }
    add_authority(&folder.join("conf/jwks/spiffe-acme.bundle.json"), &authorities.spiffe_acme)?;
    add_authority(&folder.join("conf/jwks/spiffe-other.bundle.json"), &authorities.spiffe_other)
}

/// Puts an authority into a SPIFFE bundle, as SPIRE writes it.
fn add_authority(bundle: &Path, authority: &Authority) -> io::Result<()> {
    let mut json: Value = serde_json::from_str(&fs::read_to_string(bundle)?).map_err(failed)?;
    let (x, y) = coordinates(&authority.public);
    let entry =
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "x509-svid", "x5c": [STANDARD.encode(&authority.der)] });
    if let Some(keys) = json.get_mut("keys").and_then(Value::as_array_mut) {
        keys.push(entry);
    }
    fs::write(bundle, json.to_string())
}

fn jwk(made: &Made, with_certificate: bool) -> Value {
    let (x, y) = coordinates(&made.public);
    let mut jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
    if let Some(members) = jwk.as_object_mut().filter(|_| with_certificate) {
        members.insert("x5c".to_owned(), json!([STANDARD.encode(&made.der)]));
    }
    jwk
}

/// Of an uncompressed point.
fn coordinates(point: &[u8]) -> (String, String) {
    let coordinate = |range: std::ops::Range<usize>| base64url(point.get(range).unwrap_or_default());
    (coordinate(1..33), coordinate(33..65))
}
