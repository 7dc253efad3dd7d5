//! Values that files of several kinds have in the same form.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use super::reader::{TableReader, all};
use crate::crypto::Digest;
use crate::diagnostic::{FieldLocations, Located};
use crate::jose::Algorithm;
use crate::oauth::Issuer;

/// Requests per second; 0 bounds nothing.
pub(super) const RATES: RangeInclusive<i64> = 0..=1_000_000;

/// Tokens in an hour.
pub(super) const VELOCITIES: RangeInclusive<i64> = 1..=1_000_000;

/// Text for people and policies, on one line.
pub(super) fn line(text: &str) -> Result<String, &'static str> {
    let fits = !text.trim().is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("must have 1 to 255 bytes without control characters") }
}

/// An address to listen at.
pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be an IP address and a port, as in \"127.0.0.1:8693\"")
}

/// The address of a key set or bundle: like an issuer's, except that a query is allowed.
pub(super) fn jwks_uri(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "must be an absolute URL".to_owned())?;
    let (address, _) = text.split_once('?').unwrap_or((text, ""));
    Issuer::parse(address).map_err(|reason| reason.to_string())?;
    if url.fragment().is_some() { Err("must not have a fragment".to_owned()) } else { Ok(url) }
}

/// The hash of a secret. Never repeats what it refuses: it may be the secret itself.
pub(super) fn secret_hash(text: &str) -> Result<Digest, &'static str> {
    const WANTED: &str =
        "must be \"sha256:\" and the SHA-256 of the secret in base64url without padding, which `countersign keys` makes";
    let encoded = text.strip_prefix("sha256:").ok_or(WANTED)?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| WANTED)?;
    bytes.try_into().map(Digest).map_err(|_| WANTED)
}

/// The signature algorithms that `algorithms` names.
pub(super) fn take_algorithms(reader: &mut TableReader<'_>) -> Option<Vec<Algorithm>> {
    let names = Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
    let location = reader.location_of("algorithms");
    let texts = reader.take_texts("algorithms")?;
    if texts.is_empty() {
        reader.error(location, "`algorithms` must name at least one, or else nothing could be accepted");
        return None;
    }
    let chosen =
        texts.into_iter().map(|found| asymmetric(reader, found).and_then(|found| reader.choose("algorithms", found, &names)));
    Some(all(chosen)?.into_iter().map(|found| found.value).collect())
}

/// A spelling near `none` or `HS256` is no help to anybody who wrote that.
fn asymmetric(reader: &TableReader<'_>, found: Located<String>) -> Option<Located<String>> {
    let name = found.value.to_ascii_lowercase();
    if name != "none" && !name.starts_with("hs") {
        return Some(found);
    }
    let sentence = "`algorithms` must be signatures with a key pair; unsigned tokens and shared secrets are never accepted";
    reader.error(found.location, sentence);
    None
}

/// The entries that `read` makes of the tables of the array at `key`, the locations of those that it accepts noted by their new
/// positions.
pub(super) fn take_entries<T>(
    reader: &mut TableReader<'_>,
    locations: &mut FieldLocations,
    key: &'static str,
    read: impl Fn(TableReader<'_>) -> Option<T>,
) -> Vec<T> {
    let mut entries = Vec::new();
    for entry in reader.take_tables(key) {
        let part = entry.locations();
        if let Some(entry) = read(entry) {
            locations.graft(&format!("{key}/{}", entries.len()), &part);
            entries.push(entry);
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_as_its_hash_only() {
        assert_eq!(secret_hash("sha256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"), Ok(Digest::of(b"abc")));
        for bad in ["", "abc", "sha256:", "sha256:YWJj", "sha256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0="] {
            let refused = secret_hash(bad).err().unwrap_or_default();
            assert!(!refused.is_empty());
        }
    }
}
