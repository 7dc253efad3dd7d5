//! Ways to log in by certificate, as written.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::desk::Desk;
use super::login_file::LoginFile;
use super::reader::{Located, Reader};
use super::{Diagnostic, dated, keys_file, revocation, tls_file};
use crate::client::{AuthMethod, CertificateName};
use crate::crypto::Digest;
use crate::jose::KeySet;
use crate::oauth::SpiffePattern;
use crate::x509::{DistinguishedName, RevocationList, Roots, UnverifiedCertificate};

/// The names of which a login has exactly one (RFC 8705 §2.1.2).
const NAMES: [&str; 5] = ["subject_dn", "san_dns", "san_uri", "san_ip", "san_email"];

/// `tls_client_auth`.
pub(super) fn authority(reader: &mut Reader<'_>) -> Option<LoginFile> {
    let place = reader.place().clone();
    let given = NAMES.iter().filter(|name| reader.has(name)).count();
    let file = reader.take_path("ca_file");
    if file.is_none() {
        reader.refuse("crl_file", "goes with `ca_file`; lists for `client_ca` are `client_crl` in [tls]");
    }
    let lists = revocation::take(reader, "crl_file");
    let names = [
        reader.take_parsed("subject_dn", |text| DistinguishedName::parse(text).map(CertificateName::Subject)),
        reader.take_parsed("san_dns", |text| word(text).map(CertificateName::Dns)),
        reader.take_parsed("san_uri", |text| word(text).map(CertificateName::Uri)),
        reader.take_parsed("san_ip", ip),
        reader.take_parsed("san_email", email),
    ];
    if given != 1 {
        let sentence = "[login] must have exactly one of `subject_dn`, `san_dns`, `san_uri`, `san_ip` and `san_email`";
        reader.desk().complain(Diagnostic::new(place, sentence));
        return None;
    }
    let roots = match &file {
        Some(file) => Some(roots(reader.desk(), file, lists?)?),
        None => None,
    };
    let dated =
        roots.iter().zip(&file).flat_map(|(roots, file)| dated::of_roots(AuthMethod::TlsClientAuth, roots, file)).collect();
    let name = names.into_iter().flatten().next()?;
    Some(LoginFile::TlsClientAuth { roots, name: name.value, dated })
}

/// `self_signed_tls_client_auth`.
pub(super) fn registered(reader: &mut Reader<'_>) -> Option<LoginFile> {
    let place = reader.place().clone();
    let file = reader.take_path("certificate_file");
    let jwks = keys_file::take_jwks_text(reader);
    if file.is_none() && jwks.is_none() {
        let sentence = "[login] must have `certificate_file`, `jwks_file` or `jwks`: which certificate is the agent's";
        reader.desk().complain(Diagnostic::new(place, sentence));
        return None;
    }
    let (mut certificates, mut dated) = (Vec::new(), Vec::new());
    if let Some(file) = file {
        let read = tls_file::certificates(reader.desk(), &file)?;
        certificates.extend(read.iter().map(|certificate| Digest::of(certificate)));
        dated.extend(dated::of_certificates(AuthMethod::SelfSignedTls, &read, &file));
    }
    let mut keys = Vec::new();
    if let Some(jwks) = jwks {
        let shown = x5c(&jwks.json);
        if shown.iter().any(Option::is_none) {
            reader.desk().complain(Diagnostic::new(place, "`x5c` of a key is not a certificate in base64"));
            return None;
        }
        certificates.extend(shown.into_iter().flatten());
        keys.extend(keys_alone(&jwks.json, &jwks.set));
        dated.extend(dated::of_x5c(AuthMethod::SelfSignedTls, &jwks));
        dated.extend(dated::of_keys(AuthMethod::SelfSignedTls, &jwks));
    }
    Some(LoginFile::SelfSignedTls { certificates, keys, dated })
}

/// `spiffe_x509`.
pub(super) fn svid(reader: &mut Reader<'_>) -> Option<LoginFile> {
    reader.need(&["spiffe_id"]);
    let spiffe_id = reader.take_parsed("spiffe_id", SpiffePattern::parse)?;
    Some(LoginFile::SpiffeX509 { spiffe_id })
}

/// The authorities in a PEM file, under revocation lists where there are any.
pub(super) fn roots(desk: &Desk, file: &Located<PathBuf>, lists: Vec<RevocationList>) -> Option<Arc<Roots>> {
    let certificates = tls_file::certificates(desk, file)?;
    let complain = |reason| {
        let sentence = format!("{}: {reason}", file.value.display());
        desk.complain(Diagnostic::new(file.place.clone(), sentence));
    };
    let roots = Roots::from_der(certificates).map_err(complain).ok()?.under(lists);
    revocation::warn_of_unlisted(desk, &file.place, &roots);
    Some(Arc::new(roots))
}

#[derive(Deserialize)]
struct Set {
    #[serde(default)]
    keys: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    x5c: Vec<String>,
}

/// The digest of the first certificate of every key that has one (RFC 7517 §4.7); nothing inside where it is no certificate.
fn x5c(json: &str) -> Vec<Option<Digest>> {
    let entries = serde_json::from_str(json).map_or_else(|_| Vec::new(), |set: Set| set.keys);
    let first = entries.iter().filter_map(|entry| entry.x5c.first());
    first
        .map(|text| STANDARD.decode(text).ok().filter(|der| UnverifiedCertificate::read(der).is_ok()).map(|der| Digest::of(&der)))
        .collect()
}

/// The thumbprints of the keys of a set in which no key has a certificate: any certificate of theirs will do then.
fn keys_alone(json: &str, set: &KeySet) -> Vec<Digest> {
    match x5c(json).is_empty() {
        true => set.keys().iter().map(|key| key.thumbprint()).collect(),
        false => Vec::new(),
    }
}

fn word(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty() && text.len() <= 2048 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits && !text.contains('*') {
        Ok(text.to_owned())
    } else {
        Err("must be one name in visible ASCII; there are no wildcards")
    }
}

fn ip(text: &str) -> Result<CertificateName, &'static str> {
    text.parse::<IpAddr>().map(CertificateName::Ip).map_err(|_| "must be an IP address")
}

fn email(text: &str) -> Result<CertificateName, &'static str> {
    match text.rsplit_once('@') {
        Some((name, host)) if !name.is_empty() && !host.is_empty() && word(text).is_ok() => {
            Ok(CertificateName::Email(text.to_owned()))
        }
        _ => Err("must be an e-mail address"),
    }
}
