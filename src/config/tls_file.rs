//! `[tls]` and `[[proxy]]`: the TLS of this server, and who may tell about client certificates in front of it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use url::Url;

use super::certificate_file::certificates;
use super::fields::{address, line, secret_hash};
use super::load::LoadContext;
use super::reader::{TableReader, value};
use crate::crypto::Digest;
use crate::diagnostic::{Located, SourceLocation};

/// `[tls]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// TLS at the public address.
    pub public: bool,
    /// Our certificate chain and its key; without them we speak plain HTTP.
    pub identity: Option<IdentityFiles>,
    /// The public address asks clients for certificates.
    pub ask: bool,
    /// A second address, which asks clients for certificates.
    pub mtls: Option<SocketAddr>,
    /// The URL by which clients reach it, or whatever stands in front: the base of `mtls_endpoint_aliases` (RFC 8705 §5).
    pub mtls_url: Option<String>,
    /// The authority of `tls_client_auth` for logins that do not name their own.
    pub client_ca: Option<Located<PathBuf>>,
    /// The revocation lists of that authority.
    pub client_crl: Vec<Located<PathBuf>>,
}

/// The files of our certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// A PEM file: our own certificate, then those that lead to a root.
    pub certificate: Located<PathBuf>,
    /// A PEM file: the private key.
    pub key: Located<PathBuf>,
}

/// `[[proxy]]`: ends TLS in front of us, and may say which certificate a client showed there (RFC 9440).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Its name in the log.
    pub name: String,
    /// The addresses that it connects from.
    pub addresses: Vec<IpPrefix>,
    /// SHA-256 of the secret that it sends as `Client-Cert-Secret`.
    pub secret: Option<Digest>,
    /// The SHA-256 of the certificates, one of which it shows when it connects to us.
    pub certificates: Vec<Digest>,
}

/// An IP address, or all that begin with the same bits (CIDR, RFC 4632).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpPrefix {
    address: IpAddr,
    bits: u32,
}

impl TlsSettings {
    /// A client may show a certificate to us, or to a proxy that tells us.
    pub fn takes_certificates(&self, proxies: &[Proxy]) -> bool {
        !proxies.is_empty() || self.mtls.is_some() || (self.public && self.ask)
    }

    /// Reads the table.
    pub(super) fn read(mut reader: TableReader<'_>) -> Option<Self> {
        let (certificate, key) = (reader.take_path("certificate"), reader.take_path("key"));
        let location = reader.location_of(if reader.has("public") { "public" } else { "client_certificates" });
        let public = reader.take_boolean("public");
        let ask = reader.take_boolean("client_certificates");
        let mtls = reader.take_parsed("mtls", address);
        let mtls_url = reader.take_parsed("mtls_url", base);
        let client_ca = reader.take_path("client_ca");
        let crl_at = reader.has("client_crl").then(|| reader.location_of("client_crl"));
        let client_crl = reader.take_paths("client_crl").unwrap_or_default();
        let (context, partial) = (reader.context(), reader.is_partial());
        reader.finish();
        let error = |location: &SourceLocation, sentence: &str| context.error(location.clone(), sentence);
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(IdentityFiles { certificate, key }),
            (None, None) => None,
            (Some(Located { location, .. }), None) | (None, Some(Located { location, .. })) => {
                if !partial {
                    error(&location, "`certificate` and `key` go together in [tls]");
                }
                None
            }
        };
        match (&mtls, &mtls_url) {
            _ if partial => {}
            (Some(found), _) if identity.is_none() => error(&found.location, "`mtls` needs `certificate` and `key`"),
            (Some(found), None) => error(&found.location, "`mtls` needs `mtls_url`: by what URL clients reach it"),
            _ => {}
        }
        if (ask.is_some() || public.is_some()) && identity.is_none() && !partial {
            error(&location, "`public` and `client_certificates` need `certificate` and `key`");
        }
        match crl_at {
            Some(at) if client_ca.is_none() && !partial => error(&at, "`client_crl` goes with `client_ca`"),
            Some(at) if client_crl.is_empty() => error(&at, "`client_crl` must name at least one file, or be left out"),
            _ => {}
        }
        let public = identity.is_some() && public.is_none_or(|found| found.value);
        let ask = ask.map_or(mtls.is_none(), |ask| ask.value);
        Some(Self { public, identity, ask, mtls: value(mtls), mtls_url: value(mtls_url), client_ca, client_crl })
    }
}

impl Proxy {
    /// Reads one `[[proxy]]`.
    pub(super) fn read(mut reader: TableReader<'_>) -> Option<Self> {
        reader.need(&["name", "addresses"]);
        let name = reader.take_parsed("name", line);
        let addresses = reader.take_each("addresses", IpPrefix::parse);
        let secret = reader.take_parsed("secret_hash", secret_hash);
        let certificate = reader.take_path("certificate_file");
        let (context, location) = (reader.context(), reader.location().clone());
        reader.finish();
        let certificates = match &certificate {
            Some(file) => certificates(context, file)?,
            None => Vec::new(),
        };
        if secret.is_none() && certificates.is_empty() {
            let sentence = "a proxy proves itself by `secret_hash` or `certificate_file`; an address alone can be borrowed";
            context.error(location, sentence);
            return None;
        }
        let addresses: Vec<IpPrefix> = addresses?.into_iter().map(value).collect::<Option<_>>()?;
        let certificates = certificates.iter().map(|certificate| Digest::of(certificate)).collect();
        Some(Self { name: name?.value, addresses, secret: value(secret), certificates })
    }

    /// It connects from that address.
    pub fn is_at(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|network| network.has(address))
    }
}

impl IpPrefix {
    /// Reads an address, or one with the number of bits that count behind a slash.
    ///
    /// # Errors
    /// The form that would be right.
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

    /// The address begins with the same bits.
    pub fn has(&self, address: IpAddr) -> bool {
        let same = |one: u128, other: u128, width: u32| (one ^ other) >> (width - self.bits) == 0;
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(one), IpAddr::V4(other)) => same(one.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(one), IpAddr::V6(other)) => same(one.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

/// Our certificate and key, if they can be used together; a diagnostic says why not.
pub(super) fn identity(context: &LoadContext, tls: &TlsSettings) -> Option<Arc<CertifiedKey>> {
    let files = tls.identity.as_ref()?;
    let chain = certificates(context, &files.certificate);
    let text = context.text(&files.key.value, &files.key.location);
    let (chain, text) = (chain?, text?);
    let error = |location: &SourceLocation, sentence: &str| context.error(location.clone(), sentence);
    let Ok(key) = PrivateKeyDer::from_pem_slice(text.as_bytes()) else {
        error(&files.key.location, "the file has no private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)");
        return None;
    };
    match CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()) {
        Ok(key) => Some(Arc::new(key)),
        Err(rustls::Error::InconsistentKeys(_)) => {
            error(&files.key.location, "the key is not that of the first certificate in `certificate`");
            None
        }
        Err(_) => {
            error(&files.key.location, "the key is none that TLS can sign with: ECDSA on P-256, P-384 or P-521, Ed25519 or RSA");
            None
        }
    }
}

/// The base of endpoints: `https`, a host, perhaps a port and a path.
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
        let has = |network: &str, address: &str| IpPrefix::parse(network).unwrap().has(address.parse().unwrap());
        assert!(has("10.1.0.0/16", "10.1.255.1") && !has("10.1.0.0/16", "10.2.0.1"));
        assert!(has("192.0.2.7", "192.0.2.7") && !has("192.0.2.7", "192.0.2.8"));
        assert!(has("192.0.2.7", "::ffff:192.0.2.7") && !has("0.0.0.0/1", "::1"));
        assert!(has("2001:db8::/32", "2001:db8:1::1") && !has("2001:db8::/32", "2001:db9::1"));
        for wrong in ["", "host", "10.0.0.0/0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/x"] {
            assert!(IpPrefix::parse(wrong).is_err(), "{wrong}");
        }
    }
}
