//! Credentials that end by themselves, with the file that holds each and the line that names it.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::keys_file::Jwks;
use crate::client::{AuthMethod, Dated, DatedKind};
use crate::crypto::Digest;
use crate::diagnostic::{Located, SourceLocation};
use crate::oauth::{NumericDate, Time};
use crate::x509::{RevocationList, Roots, UnverifiedCertificate};

/// The authorities in a file, and the lists by which they take certificates back.
pub(super) fn of_roots(login: AuthMethod, roots: &Roots, file: &Located<PathBuf>) -> Vec<Dated> {
    authorities(login, roots, &file.value.to_string_lossy().into(), &file.location)
}

/// The authorities that `held_by` has, and the lists by which they take certificates back.
pub(super) fn authorities(login: AuthMethod, roots: &Roots, held_by: &Arc<str>, location: &SourceLocation) -> Vec<Dated> {
    let dated = |(digest, not_after): &(Digest, Time)| {
        new(DatedKind::Authority, login, digest.to_string(), held_by, location, *not_after)
    };
    // A list counts until its next is due, not at that instant.
    let list = |list: &RevocationList| {
        let last = Time::from_seconds(list.ends().seconds() - 1);
        let held_by = list.file().unwrap_or(held_by);
        new(DatedKind::RevocationList, login, list.issuer().to_owned(), held_by, location, last)
    };
    roots.ends().iter().map(dated).chain(roots.lists().iter().map(list)).collect()
}

/// The certificates in a file.
pub(super) fn of_certificates<C: AsRef<[u8]>>(login: AuthMethod, certificates: &[C], file: &Located<PathBuf>) -> Vec<Dated> {
    let held_by: Arc<str> = file.value.to_string_lossy().into();
    certificates.iter().filter_map(|der| certificate(login, der.as_ref(), &held_by, &file.location)).collect()
}

/// The keys of a set that say when they end (`exp`, as in OpenID Federation; RFC 7517 has no such member).
pub(super) fn of_keys(login: AuthMethod, jwks: &Jwks) -> Vec<Dated> {
    let mut dated = Vec::new();
    for (position, key) in jwks.members.iter().enumerate() {
        let Some(Ok(NumericDate(not_after))) = key.exp.clone().map(serde_json::from_value) else { continue };
        let kid = key.kid.as_ref().and_then(Json::as_str).map(str::to_owned);
        let name = kid.unwrap_or_else(|| (position + 1).to_string());
        dated.push(new(DatedKind::Key, login, name, &jwks.location.file, &jwks.location, not_after));
    }
    dated
}

/// The certificates in a key set: of each key the first (RFC 7517 §4.7).
pub(super) fn of_x5c(login: AuthMethod, jwks: &Jwks) -> Vec<Dated> {
    let ders = jwks.members.iter().filter_map(|key| STANDARD.decode(key.x5c.as_ref()?.get(0)?.as_str()?).ok());
    ders.filter_map(|der| certificate(login, &der, &jwks.location.file, &jwks.location)).collect()
}

fn certificate(login: AuthMethod, der: &[u8], held_by: &Arc<str>, location: &SourceLocation) -> Option<Dated> {
    let plain = UnverifiedCertificate::read(der).ok()?;
    Some(new(DatedKind::Certificate, login, Digest::of(der).to_string(), held_by, location, plain.not_after))
}

fn new(
    kind: DatedKind,
    login: AuthMethod,
    name: String,
    held_by: &Arc<str>,
    location: &SourceLocation,
    not_after: Time,
) -> Dated {
    Dated { kind, login, name, held_by: Arc::clone(held_by), place: location.clone(), not_after }
}
