//! `[tls]` and `[[proxy]]`: how clients reach us, and whose word about their certificates counts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use url::Url;

use super::agent_file::line;
use super::desk::Desk;
use super::login_file::secret_hash;
use super::reader::{Located, Reader};
use super::{Diagnostic, Settings};
use crate::catalog::Place;
use crate::crypto::Digest;

/// `[tls]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Whether the public address speaks TLS.
    pub public: bool,
    /// Our certificate chain and its key; without them we speak plain HTTP.
    pub identity: Option<IdentityFiles>,
    /// Whether the public address asks clients for certificates.
    pub ask: bool,
    /// A second address, which asks clients for certificates.
    pub mtls: Option<SocketAddr>,
    /// By what URL clients reach it, or whatever stands in front: the base of `mtls_endpoint_aliases` (RFC 8705 §5).
    pub mtls_url: Option<String>,
    /// Who issues the certificates of `tls_client_auth`, where a login does not name its own authority.
    pub client_ca: Option<Located<PathBuf>>,
    /// Files with the lists by which those take certificates back.
    pub client_crl: Vec<Located<PathBuf>>,
}

/// Where our certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// A PEM file: our own certificate, then those that lead to a root.
    pub certificate: Located<PathBuf>,
    /// A PEM file: the private key.
    pub key: Located<PathBuf>,
}

/// `[[proxy]]`: where TLS ends in front of us, and who may say which certificate a client showed there (RFC 9440).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// What it is called in the log.
    pub name: String,
    /// Where it connects from.
    pub addresses: Vec<Network>,
    /// SHA-256 of what it sends as `Client-Cert-Secret`.
    pub secret: Option<Digest>,
    /// The SHA-256 of the certificates, one of which it shows when it connects to us.
    pub certificates: Vec<Digest>,
}

/// An IP address, or those that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Tls {
    /// Whether a client may show a certificate to us, or to a proxy that tells us.
    pub fn takes_certificates(&self, proxies: &[Proxy]) -> bool {
        !proxies.is_empty() || self.mtls.is_some() || (self.public && self.ask)
    }

    /// Reads the table.
    pub(super) fn read(mut reader: Reader<'_>) -> Option<Self> {
        let (certificate, key) = (reader.take_path("certificate"), reader.take_path("key"));
        let place = reader.place_of(if reader.has("public") { "public" } else { "client_certificates" });
        let public = reader.take_boolean("public");
        let ask = reader.take_boolean("client_certificates");
        let mtls = reader.take_parsed("mtls", super::settings::address);
        let mtls_url = reader.take_parsed("mtls_url", base);
        let client_ca = reader.take_path("client_ca");
        let crl_at = reader.has("client_crl").then(|| reader.place_of("client_crl"));
        let client_crl = reader.take_paths("client_crl").unwrap_or_default();
        let (desk, partial) = (reader.desk(), reader.is_partial());
        reader.finish();
        let complain = |place: &Place, sentence: &str| desk.complain(Diagnostic::new(place.clone(), sentence));
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(IdentityFiles { certificate, key }),
            (None, None) => None,
            (Some(Located { place, .. }), None) | (None, Some(Located { place, .. })) => {
                if !partial {
                    complain(&place, "`certificate` and `key` go together in [tls]");
                }
                None
            }
        };
        match (&mtls, &mtls_url) {
            _ if partial => {}
            (Some(found), _) if identity.is_none() => complain(&found.place, "`mtls` needs `certificate` and `key`"),
            (Some(found), None) => complain(&found.place, "`mtls` needs `mtls_url`: by what URL clients reach it"),
            _ => {}
        }
        if (ask.is_some() || public.is_some()) && identity.is_none() && !partial {
            complain(&place, "`public` and `client_certificates` need `certificate` and `key`");
        }
        match crl_at {
            Some(at) if client_ca.is_none() && !partial => complain(&at, "`client_crl` goes with `client_ca`"),
            Some(at) if client_crl.is_empty() => complain(&at, "`client_crl` must name at least one file, or be left out"),
            _ => {}
        }
        let public = identity.is_some() && public.is_none_or(|found| found.value);
        let ask = ask.map_or(mtls.is_none(), |ask| ask.value);
        Some(Self {
            public,
            identity,
            ask,
            mtls: mtls.map(|found| found.value),
            mtls_url: mtls_url.map(|found| found.value),
            client_ca,
            client_crl,
        })
    }
}

impl Proxy {
    /// Reads one `[[proxy]]`.
    pub(super) fn read(mut reader: Reader<'_>) -> Option<Self> {
        reader.need(&["name", "addresses"]);
        let name = reader.take_parsed("name", line);
        let addresses = reader.take_each("addresses", Network::parse);
        let secret = reader.take_parsed("secret_hash", secret_hash);
        let certificate = reader.take_path("certificate_file");
        let (desk, place) = (reader.desk(), reader.place().clone());
        reader.finish();
        let certificates = match &certificate {
            Some(file) => certificates(desk, file)?,
            None => Vec::new(),
        };
        if secret.is_none() && certificates.is_empty() {
            let sentence = "a proxy proves itself by `secret_hash` or `certificate_file`; an address alone can be borrowed";
            desk.complain(Diagnostic::new(place, sentence));
            return None;
        }
        let addresses: Vec<Network> =
            addresses?.into_iter().map(|found| found.map(|found| found.value)).collect::<Option<_>>()?;
        let certificates = certificates.iter().map(|certificate| Digest::of(certificate)).collect();
        Some(Self { name: name?.value, addresses, secret: secret.map(|found| found.value), certificates })
    }

    /// Whether it connects from there.
    pub fn is_at(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|network| network.has(address))
    }
}

impl Network {
    /// Reads an address, or one with the number of bits that count behind a slash.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "must be an IP address, or a network as in \"10.1.0.0/16\"";
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| WANTED)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| WANTED))?;
        match (1..=most).contains(&bits) {
            true => Ok(Self { address, bits }),
            false => Err(WANTED),
        }
    }

    /// Whether the address is in it.
    pub fn has(&self, address: IpAddr) -> bool {
        let same = |one: u128, other: u128, width: u32| (one ^ other) >> (width - self.bits) == 0;
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(one), IpAddr::V4(other)) => same(one.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(one), IpAddr::V6(other)) => same(one.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

/// Our certificate and key, if they can be used together. A complaint says why not.
pub(super) fn identity(desk: &Desk, settings: &Settings) -> Option<Arc<CertifiedKey>> {
    let files = settings.tls.identity.as_ref()?;
    let chain = certificates(desk, &files.certificate);
    let text = desk.text(&files.key.value, &files.key.place);
    let (chain, text) = (chain?, text?);
    let complain = |place: &Place, sentence: &str| desk.complain(Diagnostic::new(place.clone(), sentence));
    let Ok(key) = PrivateKeyDer::from_pem_slice(text.as_bytes()) else {
        complain(&files.key.place, "the file has no private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)");
        return None;
    };
    match CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()) {
        Ok(key) => Some(Arc::new(key)),
        Err(rustls::Error::InconsistentKeys(_)) => {
            complain(&files.key.place, "the key is not that of the first certificate in `certificate`");
            None
        }
        Err(_) => {
            complain(&files.key.place, "the key is none that TLS can sign with: ECDSA on P-256, P-384 or P-521, Ed25519 or RSA");
            None
        }
    }
}

/// The certificates in a PEM file, at least one.
pub(super) fn certificates(desk: &Desk, file: &Located<PathBuf>) -> Option<Vec<CertificateDer<'static>>> {
    let text = desk.text(&file.value, &file.place)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Some(chain),
        _ => {
            desk.complain(Diagnostic::new(file.place.clone(), format!("{} has no certificate in PEM", file.value.display())));
            None
        }
    }
}

/// Where endpoints begin: `https`, a host, perhaps a port and a path.
fn base(text: &str) -> Result<String, &'static str> {
    const WANTED: &str = "must be an https URL without query and fragment, and without a slash at its end";
    let url = Url::parse(text).map_err(|_| WANTED)?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && !text.ends_with('/');
    if url.scheme() == "https" && url.has_host() && plain { Ok(text.to_owned()) } else { Err(WANTED) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn networks_have_the_addresses_that_begin_alike() {
        let has = |network: &str, address: &str| Network::parse(network).unwrap().has(address.parse().unwrap());
        assert!(has("10.1.0.0/16", "10.1.255.1") && !has("10.1.0.0/16", "10.2.0.1"));
        assert!(has("192.0.2.7", "192.0.2.7") && !has("192.0.2.7", "192.0.2.8"));
        assert!(has("192.0.2.7", "::ffff:192.0.2.7") && !has("0.0.0.0/1", "::1"));
        assert!(has("2001:db8::/32", "2001:db8:1::1") && !has("2001:db8::/32", "2001:db9::1"));
        for wrong in ["", "host", "10.0.0.0/0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/x"] {
            assert!(Network::parse(wrong).is_err(), "{wrong}");
        }
    }
}
