//! What of a login runs out by itself, with the file that holds it and the line that names it.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value as Json;

use super::TrustFile;
use super::keys_file::Jwks;
use super::login_file::LoginFile;
use super::reader::Located;
use crate::catalog::Place;
use crate::client::{AuthMethod, Dated, DatedKind};
use crate::crypto::Digest;
use crate::keys::KeySource;
use crate::oauth::{NumericDate, Time};
use crate::trust::IssuerSelector;
use crate::x509::{RevocationList, Roots, UnverifiedCertificate};

/// Everything of a login that has an end: of what the login itself names, and of the authorities that it means by a trust rule or
/// by `client_ca`. What is fetched is not there yet.
pub(super) fn of_login(login: &LoginFile, client_ca: &[Dated], rules: &[TrustFile]) -> Vec<Dated> {
    match login {
        LoginFile::TlsClientAuth { roots: None, .. } => client_ca.to_vec(),
        LoginFile::TlsClientAuth { dated, .. }
        | LoginFile::SelfSignedTls { dated, .. }
        | LoginFile::PrivateKeyJwt { dated, .. } => dated.clone(),
        LoginFile::WorkloadX509 { trust, .. } => {
            let rules = rules.iter().filter(|file| file.rule.name == trust.value);
            rules.flat_map(|rule| of_rule(AuthMethod::WorkloadX509, rule)).collect()
        }
        LoginFile::SpiffeX509 { spiffe_id } => {
            let domain = spiffe_id.value.trust_domain();
            let is_of =
                |file: &&TrustFile| matches!(&file.rule.selector, IssuerSelector::TrustDomain(named) if named.as_str() == domain);
            rules.iter().filter(is_of).flat_map(|rule| of_rule(AuthMethod::SpiffeX509, rule)).collect()
        }
        LoginFile::SpiffeJwt { .. } | LoginFile::WorkloadJwt { .. } | LoginFile::Secret { .. } => Vec::new(),
    }
}

/// The authorities in a file.
pub(super) fn of_roots(login: AuthMethod, roots: &Roots, file: &Located<PathBuf>) -> Vec<Dated> {
    let held_by: Arc<str> = file.value.to_string_lossy().into();
    authorities(login, roots, &held_by, &file.place)
}

/// The certificates in a file.
pub(super) fn of_certificates<C: AsRef<[u8]>>(login: AuthMethod, certificates: &[C], file: &Located<PathBuf>) -> Vec<Dated> {
    let held_by: Arc<str> = file.value.to_string_lossy().into();
    certificates.iter().filter_map(|der| certificate(login, der.as_ref(), &held_by, &file.place)).collect()
}

/// The keys of a set that say when they end (`exp`, as in OpenID Federation; RFC 7517 has no such member).
pub(super) fn of_keys(login: AuthMethod, jwks: &Jwks) -> Vec<Dated> {
    let dated = |(position, entry): (usize, Entry)| {
        let NumericDate(not_after) = serde_json::from_value(entry.exp?).ok()?;
        let kid = entry.kid.as_ref().and_then(Json::as_str).map(str::to_owned);
        let name = kid.unwrap_or_else(|| format!("{}", position + 1));
        Some(new(DatedKind::Key, login, name, &jwks.place.file, &jwks.place, not_after))
    };
    entries(jwks).into_iter().enumerate().filter_map(dated).collect()
}

/// The certificates in a key set: of each key the first (RFC 7517 §4.7).
pub(super) fn of_x5c(login: AuthMethod, jwks: &Jwks) -> Vec<Dated> {
    let first = |entry: Entry| STANDARD.decode(entry.x5c?.get(0)?.as_str()?).ok();
    let ders = entries(jwks).into_iter().filter_map(first);
    ders.filter_map(|der| certificate(login, &der, &jwks.place.file, &jwks.place)).collect()
}

#[derive(Deserialize)]
struct Set {
    #[serde(default)]
    keys: Vec<Entry>,
}

/// Of any type, so that a member that is written wrongly hides no other.
#[derive(Deserialize)]
struct Entry {
    kid: Option<Json>,
    exp: Option<Json>,
    x5c: Option<Json>,
}

fn entries(jwks: &Jwks) -> Vec<Entry> {
    serde_json::from_str(&jwks.json).map_or_else(|_| Vec::new(), |set: Set| set.keys)
}

fn of_rule(login: AuthMethod, rule: &TrustFile) -> Vec<Dated> {
    let held_by: Arc<str> = format!("trust rule {}", rule.rule.name).into();
    match &rule.rule.keys {
        KeySource::Roots(roots) => authorities(login, roots, &held_by, &rule.place),
        KeySource::Bundle(bundle) => authorities(login, bundle.roots(), &held_by, &rule.place),
        KeySource::Remote(..) | KeySource::Fixed(_) => Vec::new(),
    }
}

fn authorities(login: AuthMethod, roots: &Roots, held_by: &Arc<str>, place: &Place) -> Vec<Dated> {
    let dated =
        |(digest, not_after): &(Digest, Time)| new(DatedKind::Authority, login, digest.to_string(), held_by, place, *not_after);
    // A list counts until its next is due, not at that instant.
    let list = |list: &RevocationList| {
        let last = Time::from_seconds(list.ends().seconds() - 1);
        new(DatedKind::RevocationList, login, list.issuer().to_owned(), held_by, place, last)
    };
    roots.ends().iter().map(dated).chain(roots.lists().iter().map(list)).collect()
}

fn certificate(login: AuthMethod, der: &[u8], held_by: &Arc<str>, place: &Place) -> Option<Dated> {
    let plain = UnverifiedCertificate::read(der).ok()?;
    Some(new(DatedKind::Certificate, login, Digest::of(der).to_string(), held_by, place, plain.not_after))
}

fn new(kind: DatedKind, login: AuthMethod, name: String, held_by: &Arc<str>, place: &Place, not_after: Time) -> Dated {
    Dated { kind, login, name, held_by: Arc::clone(held_by), place: place.clone(), not_after }
}
