//! Logins by certificate, as written.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::keys_file::{Jwks, take_jwks};
use super::reader::TableReader;
use super::{certificate_file, dated};
use crate::client::{AuthMethod, CertificateName, ClientAuth, Dated};
use crate::crypto::Digest;
use crate::x509::{DistinguishedName, Roots, UnverifiedCertificate};

/// The names of which a login has exactly one (RFC 8705 §2.1.2).
const NAMES: [&str; 5] = ["subject_dn", "san_dns", "san_uri", "san_ip", "san_email"];

/// `tls_client_auth`: the name of the certificate, its authority (none for that of `[tls]`), and the ends of the authority.
pub(super) fn authority(reader: &mut TableReader<'_>) -> Option<(CertificateName, Option<Arc<Roots>>, Vec<Dated>)> {
    let given = NAMES.iter().filter(|name| reader.has(name)).count();
    let file = reader.take_path("ca_file");
    if file.is_none() {
        reader.refuse("crl_file", "goes with `ca_file`; lists for `client_ca` are `client_crl` in [tls]");
    }
    let lists = certificate_file::take_lists(reader, "crl_file");
    let names = [
        reader.take_parsed("subject_dn", |text| DistinguishedName::parse(text).map(CertificateName::Subject)),
        reader.take_parsed("san_dns", |text| word(text).map(CertificateName::Dns)),
        reader.take_parsed("san_uri", |text| word(text).map(CertificateName::Uri)),
        reader.take_parsed("san_ip", ip),
        reader.take_parsed("san_email", email),
    ];
    if given != 1 {
        let sentence = "[login] must have exactly one of `subject_dn`, `san_dns`, `san_uri`, `san_ip` and `san_email`";
        reader.error(reader.location().clone(), sentence);
        return None;
    }
    let (roots, dated) = match &file {
        Some(file) => {
            let roots = certificate_file::roots(reader.context(), file, lists?)?;
            let dated = dated::of_roots(AuthMethod::TlsClientAuth, &roots, file);
            (Some(roots), dated)
        }
        None => (None, Vec::new()),
    };
    let name = names.into_iter().flatten().next()?;
    Some((name.value, roots, dated))
}

/// `self_signed_tls_client_auth`, and the ends of what is registered.
pub(super) fn registered(reader: &mut TableReader<'_>) -> Option<(ClientAuth, Vec<Dated>)> {
    let file = reader.take_path("certificate_file");
    let jwks = take_jwks(reader);
    if file.is_none() && jwks.is_none() {
        let sentence = "[login] must have `certificate_file`, `jwks_file` or `jwks`: which certificate is the agent's";
        reader.error(reader.location().clone(), sentence);
        return None;
    }
    let (mut certificates, mut dated) = (Vec::new(), Vec::new());
    if let Some(file) = file {
        let read = certificate_file::certificates(reader.context(), &file)?;
        certificates.extend(read.iter().map(|certificate| Digest::of(certificate)));
        dated.extend(dated::of_certificates(AuthMethod::SelfSignedTls, &read, &file));
    }
    let mut keys = Vec::new();
    if let Some(jwks) = jwks {
        let shown = x5c(&jwks);
        if shown.iter().any(Option::is_none) {
            reader.error(reader.location().clone(), "`x5c` of a key is not a certificate in base64");
            return None;
        }
        if shown.is_empty() {
            // Any certificate of the keys will do then.
            keys.extend(jwks.set.keys().iter().map(|key| key.thumbprint()));
        }
        certificates.extend(shown.into_iter().flatten());
        dated.extend(dated::of_x5c(AuthMethod::SelfSignedTls, &jwks));
        dated.extend(dated::of_keys(AuthMethod::SelfSignedTls, &jwks));
    }
    Some((ClientAuth::SelfSignedTls { certificates, keys }, dated))
}

/// The digest of the first certificate of every key that has one (RFC 7517 §4.7); none inside for what is no certificate.
fn x5c(jwks: &Jwks) -> Vec<Option<Digest>> {
    let chains = jwks.members.iter().filter_map(|key| key.x5c.as_ref());
    let first = |chain: &Json| {
        let der = STANDARD.decode(chain.get(0)?.as_str()?).ok()?;
        UnverifiedCertificate::read(&der).is_ok().then(|| Digest::of(&der))
    };
    chains.filter(|chain| chain.as_array().is_none_or(|chain| !chain.is_empty())).map(first).collect()
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
