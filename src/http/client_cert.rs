//! The certificate that a client showed: to this server in its handshake, or to a proxy in front of it that may forward it
//! (RFC 9440).

use actix_http::Extensions;
use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::connection::Connection;
use super::strangers::KnownConnection;
use crate::client::{PeerCertificate, hash_secret};
use crate::config::{Proxy, Settings};
use crate::request::RequestReason;

/// RFC 9440 §2.2 and §2.3.
const CLIENT_CERT: &str = "client-cert";
const CLIENT_CERT_CHAIN: &str = "client-cert-chain";

/// The header by which a proxy without a certificate of its own proves itself.
const SECRET: &str = "client-cert-secret";

/// Headers in which load balancers write certificates in ways of their own: AWS, Envoy, nginx, Traefik, Azure, Cloudflare. Meshes
/// send some with every request, so they are passed over, and named where a certificate is missed.
const OTHERS: [(HeaderName, &str); 7] = [
    (HeaderName::from_static("x-amzn-mtls-clientcert"), "X-Amzn-Mtls-Clientcert"),
    (HeaderName::from_static("x-forwarded-client-cert"), "X-Forwarded-Client-Cert"),
    (HeaderName::from_static("ssl-client-cert"), "SSL-Client-Cert"),
    (HeaderName::from_static("x-ssl-client-cert"), "X-SSL-Client-Cert"),
    (HeaderName::from_static("x-forwarded-tls-client-cert"), "X-Forwarded-Tls-Client-Cert"),
    (HeaderName::from_static("x-arr-clientcert"), "X-ARR-ClientCert"),
    (HeaderName::from_static("cf-client-cert-der-base64"), "Cf-Client-Cert-Der-Base64"),
];

/// The first header with a certificate that does not count here, whoever sends it.
pub(super) fn not_counting(headers: &HeaderMap) -> Option<&'static str> {
    OTHERS.iter().find(|(name, _)| headers.contains_key(name)).map(|(_, shown)| *shown)
}

/// As for certificates in a handshake.
const CERTIFICATES_MAX: usize = 9;
const HEADER_BYTES_MAX: usize = 48 * 1024;

/// Byte sequences are padded, and parsers should not insist (RFC 8941 §4.2.7).
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// The ways in which clients can show certificates.
#[derive(Clone, Debug, Default)]
pub struct Frontend {
    /// The proxies that may forward the certificates that clients showed to them.
    pub(super) proxies: Vec<Proxy>,
    /// A client can show a certificate, to this server or to a proxy.
    pub(super) certificates: bool,
    /// The URL under which clients are asked for a certificate, where that is not the issuer's (RFC 8705 §5).
    pub(super) mtls_url: Option<String>,
}

impl Frontend {
    /// The frontend of a server with these settings.
    pub fn of(settings: &Settings) -> Self {
        let (tls, proxies) = (&settings.tls, settings.proxies.clone());
        Self { certificates: tls.takes_certificates(&proxies), proxies, mtls_url: tls.mtls_url.clone() }
    }
}

/// Notes the certificate of a new connection, for all its requests, and that nobody has proved itself on it.
pub(super) fn note(connection: &Connection, data: &mut Extensions) {
    data.insert(KnownConnection::default());
    let Some(chain) = connection.certificates() else { return };
    data.insert(PeerCertificate::new(chain.iter().map(|certificate| certificate.to_vec())));
}

/// The certificate that the client of this request showed.
///
/// # Errors
/// Headers about a certificate that do not come from a proxy that the configuration names, or that cannot be read: they are
/// refused, never ignored.
pub(super) fn certificate(request: &HttpRequest, frontend: &Frontend) -> Result<Option<PeerCertificate>, RequestReason> {
    let (shown, headers) = (request.conn_data::<PeerCertificate>(), request.headers());
    let sent = [CLIENT_CERT, CLIENT_CERT_CHAIN, SECRET].iter().find(|name| headers.contains_key(**name));
    match (proxy(request, shown, frontend), sent) {
        (Some(_), _) => forwarded(headers),
        (None, Some(name)) => Err(RequestReason::Forwarded(name)),
        (None, None) => Ok(shown.cloned()),
    }
}

/// The proxy that this request comes through, if it proves to be one that the configuration names.
fn proxy<'a>(request: &HttpRequest, shown: Option<&PeerCertificate>, frontend: &'a Frontend) -> Option<&'a Proxy> {
    let address = request.peer_addr()?.ip();
    frontend.proxies.iter().filter(|proxy| proxy.is_at(address)).find(|proxy| {
        let secret = sole(request.headers(), SECRET).ok().flatten();
        let knows = proxy.secret.zip(secret).is_some_and(|(wanted, sent)| hash_secret(sent).same_as(&wanted));
        knows || shown.is_some_and(|certificate| proxy.certificates.contains(&certificate.thumbprint()))
    })
}

/// The certificate that the client showed to the proxy; none when it showed none.
fn forwarded(headers: &HeaderMap) -> Result<Option<PeerCertificate>, RequestReason> {
    let chain = headers.get_all(CLIENT_CERT_CHAIN).map(|value| value.to_str().map_err(|_| unreadable(CLIENT_CERT_CHAIN)));
    let chain: Vec<&str> = chain.collect::<Result<_, _>>()?;
    let Some(leaf) = sole(headers, CLIENT_CERT)? else {
        return if chain.is_empty() { Ok(None) } else { Err(unreadable(CLIENT_CERT_CHAIN)) };
    };
    forwarded_chain(leaf, &chain).map(|certificates| Some(PeerCertificate::new(certificates)))
}

/// The certificates in DER, the client's own first, that the value of `Client-Cert` and those of `Client-Cert-Chain` hold
/// (RFC 9440 §2.2, §2.3). Nobody has verified them.
///
/// # Errors
/// When one is no byte sequence, or they are too many or too long.
pub fn forwarded_chain(leaf: &str, chain: &[&str]) -> Result<Vec<Vec<u8>>, RequestReason> {
    if leaf.len() + chain.iter().map(|value| value.len()).sum::<usize>() > HEADER_BYTES_MAX {
        return Err(unreadable(CLIENT_CERT_CHAIN));
    }
    let mut certificates = vec![bytes(leaf).ok_or(unreadable(CLIENT_CERT))?];
    for item in chain.iter().flat_map(|value| value.split(',')).take(CERTIFICATES_MAX) {
        certificates.push(bytes(item).ok_or(unreadable(CLIENT_CERT_CHAIN))?);
    }
    if certificates.len() <= CERTIFICATES_MAX { Ok(certificates) } else { Err(unreadable(CLIENT_CERT_CHAIN)) }
}

/// The text of a header that may come once.
fn sole<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, RequestReason> {
    let mut values = headers.get_all(name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| unreadable(name)),
        (Some(_), Some(_)) => Err(RequestReason::Repeated(name)),
    }
}

/// A byte sequence (RFC 8941 §3.3.5): base64 between colons. No parameters are defined for these.
fn bytes(item: &str) -> Option<Vec<u8>> {
    let inner = item.trim_matches([' ', '\t']).strip_prefix(':')?.strip_suffix(':')?;
    BASE64.decode(inner).ok().filter(|bytes| !bytes.is_empty())
}

fn unreadable(name: &'static str) -> RequestReason {
    RequestReason::ForwardedMalformed(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use actix_web::test::TestRequest;

    use super::*;
    use crate::crypto::Digest;

    fn told(headers: &[(&str, &str)]) -> Result<Option<Digest>, RequestReason> {
        let request = headers.iter().fold(TestRequest::post(), |request, header| request.append_header(*header));
        forwarded(request.to_http_request().headers()).map(|certificate| certificate.map(|certificate| certificate.thumbprint()))
    }

    fn frontend(addresses: &str) -> Frontend {
        let network = crate::config::IpPrefix::parse(addresses).unwrap();
        let secret = Some(hash_secret("of the edge"));
        let edge = Proxy { name: "edge".to_owned(), addresses: vec![network], secret, certificates: Vec::new() };
        Frontend { proxies: vec![edge], ..Frontend::default() }
    }

    /// RFC 9440 §4: these headers count from a proxy that is known and has proved itself, and are passed over from nobody else.
    #[test]
    fn only_a_proxy_at_its_address_and_with_its_secret_may_tell() {
        let from = |address: &str, headers: &[(&str, &str)]| {
            let address = std::net::SocketAddr::new(address.parse().unwrap(), 40_000);
            let request =
                headers.iter().fold(TestRequest::post().peer_addr(address), |request, header| request.append_header(*header));
            let shown = certificate(&request.to_http_request(), &frontend("10.1.0.0/16"));
            shown.map(|certificate| certificate.map(|certificate| certificate.thumbprint()))
        };
        let (told, secret) = (("Client-Cert", ":AQID:"), ("Client-Cert-Secret", "of the edge"));
        assert_eq!(from("10.1.2.3", &[told, secret]), Ok(Some(Digest::of(&[1, 2, 3]))));
        assert_eq!(from("10.1.2.3", &[secret]), Ok(None), "its client showed none");
        assert_eq!(from("10.1.2.3", &[]), Ok(None), "a client at that address");
        for headers in [&[told][..], &[told, ("Client-Cert-Secret", "of another")], &[told, secret, secret]] {
            assert_eq!(from("10.1.2.3", headers), Err(RequestReason::Forwarded(CLIENT_CERT)), "{headers:?}");
        }
        assert_eq!(from("10.2.2.3", &[told, secret]), Err(RequestReason::Forwarded(CLIENT_CERT)), "from elsewhere");
        assert_eq!(from("10.2.2.3", &[secret]), Err(RequestReason::Forwarded(SECRET)));
        assert_eq!(from("10.2.2.3", &[("Client-Cert-Chain", ":AQID:")]), Err(RequestReason::Forwarded(CLIENT_CERT_CHAIN)));
    }

    /// RFC 8941 §3.3.5.
    #[test]
    fn byte_sequences_stand_between_colons() {
        assert_eq!(bytes(":AQID:").unwrap(), [1, 2, 3]);
        assert_eq!(bytes(" \t:AQI=: ").unwrap(), [1, 2]);
        assert_eq!(bytes(":AQI:").unwrap(), [1, 2], "without its padding");
        for wrong in ["", ":", "::", "AQID", ":AQID", "AQID:", ":AQ ID:", ":AQID:;a=1", ":AQ_D:", "\"AQID\"", ":AQID::"] {
            assert!(bytes(wrong).is_none(), "{wrong}");
        }
    }

    /// RFC 9440 §A, figure 2: the certificate of bdc@example.com.
    const RFC_9440: &str = concat!(
        ":",
        "MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaW",
        "F0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnX",
        "XfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHS",
        "MEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRj",
        "QGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5Xarm",
        "Pk0wmuydBVoU4hBVZ1yhk=",
        ":"
    );

    #[test]
    fn the_header_of_the_rfc_is_read() {
        let der = bytes(RFC_9440).unwrap();
        let plain = crate::x509::UnverifiedCertificate::read(&der).unwrap();
        let dates = [plain.not_before, plain.not_after].map(|date| date.seconds());
        assert_eq!(dates, [1_579_042_533, 1_611_442_533], "2020-01-14 and 2021-01-23, 22:55:33");
        assert!(plain.key.is_some() && der.windows(15).any(|part| part == b"bdc@example.com"));
        assert_eq!(told(&[("Client-Cert", RFC_9440)]), Ok(Some(Digest::of(&der))));
    }

    /// RFC 9440 §2.2 and §2.3.
    #[test]
    fn one_certificate_and_its_chain_are_read() {
        assert_eq!(told(&[]), Ok(None));
        assert_eq!(told(&[("Client-Cert", ":AQID:")]), Ok(Some(Digest::of(&[1, 2, 3]))));
        let chain = [("Client-Cert", ":AQID:"), ("Client-Cert-Chain", ":AQ==:, :Ag==:"), ("Client-Cert-Chain", ":Aw==:")];
        assert_eq!(told(&chain), Ok(Some(Digest::of(&[1, 2, 3]))));
        assert_eq!(told(&[("Client-Cert-Chain", ":AQID:")]), Err(unreadable(CLIENT_CERT_CHAIN)));
        assert_eq!(told(&[("Client-Cert", ":AQID:"), ("Client-Cert-Chain", "")]), Err(unreadable(CLIENT_CERT_CHAIN)));
        assert_eq!(told(&[("Client-Cert", ":AQID:, :AQID:")]), Err(unreadable(CLIENT_CERT)));
        assert_eq!(told(&[("Client-Cert", ":AQID:"), ("Client-Cert", ":AQID:")]), Err(RequestReason::Repeated(CLIENT_CERT)));
        let many = [":AQ==:"; 9].join(",");
        assert_eq!(told(&[("Client-Cert", ":AQID:"), ("Client-Cert-Chain", &many)]), Err(unreadable(CLIENT_CERT_CHAIN)));
        let long = format!(":{}:", "A".repeat(HEADER_BYTES_MAX));
        assert_eq!(told(&[("Client-Cert", &long)]), Err(unreadable(CLIENT_CERT_CHAIN)));
    }
}
