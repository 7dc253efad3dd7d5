//! What is in front of the server and tells which certificate a client showed (RFC 9440), on the real binary: one proxy proves
//! itself by a certificate of its own, one by a secret from its address, and strangers prove nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use super::client::{Client, ask, connect_from, held, post};
use super::{body, status};
use crate::support::{Party, Server, Site, form};

/// Where the proxy is that proves itself by its certificate.
const EDGE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);

/// Where the proxy is that proves itself by a secret.
const INNER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);

/// Where nobody is a proxy.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);

/// The certificate of the first proxy. An agent logs in by the same one, so that taking it for a client's would be seen.
const PROXY: &str = "dns";

/// The header by which the second one proves itself.
pub const SECRET: (&str, &str) = ("Client-Cert-Secret", "a proxy of the conformance cases");

#[test]
fn a_proxy_that_proves_itself_by_its_certificate_tells_its_clients_certificates() {
    let site = Site::new("tls-proxy-certificate");
    let _server = site.start_behind_proxies();
    let mut proxy = showing(&site, PROXY).shake(connect_from(EDGE, site.mtls).unwrap()).unwrap();
    let mut told = |agent: &str, headers: &[(&str, &str)]| ask(&mut proxy, &exchange(&site, agent, headers)).unwrap();
    let dn = certificate(&site, "dn");
    let answer = told("mtls-bound", &[("Client-Cert", &dn)]);
    assert_eq!(status(&answer), 200, "{answer}");
    // Bound to what its client showed, and not to what it shows itself.
    assert_eq!(body(&answer)["cnf"]["x5t#S256"], json!(thumbprint(&site, "dn")));
    // One connection carries the requests of many clients: each is judged by its own header.
    assert_eq!(status(&told("mtls-dn", &[("Client-Cert", &certificate(&site, "ip"))])), 401);
    assert_eq!(status(&told("mtls-ip", &[("Client-Cert", &certificate(&site, "ip"))])), 200);
    assert_eq!(status(&told("mtls-ip", &[])), 401, "what the request before it told is forgotten");
    // Its own certificate is nobody's login, with the header or without it.
    assert_eq!(status(&told("mtls-dns", &[])), 401);
    assert_eq!(status(&told("mtls-dns", &[("Client-Cert", &dn)])), 401);
    assert_eq!(status(&told("mtls-dns", &[("Client-Cert", &certificate(&site, PROXY))])), 200, "unless a client showed it");
    let between = chain(&site, "dn-between");
    let with_chain = [("Client-Cert", between[0].as_str()), ("Client-Cert-Chain", between[1].as_str())];
    assert_eq!(status(&told("mtls-dn", &with_chain)), 200);
    assert_eq!(status(&told("mtls-dn", &[("Client-Cert", "no byte sequence")])), 400);
    assert_eq!(status(&told("mtls-dn", &[("Client-Cert-Chain", &between[1])])), 400);
}

#[test]
fn a_proxy_that_proves_itself_by_secret_and_address_tells_its_clients_certificates() {
    let site = Site::new("tls-proxy-secret");
    let _server = site.start_behind_proxies();
    let dn = certificate(&site, "dn");
    let told = [("Client-Cert", dn.as_str()), SECRET];
    let from = |source: Ipv4Addr, headers: &[(&str, &str)]| {
        status(&ask(&mut connect_from(source, site.public).unwrap(), &exchange(&site, "mtls-dn", headers)).unwrap())
    };
    assert_eq!(from(INNER, &told), 200);
    assert_eq!(from(INNER, &[SECRET]), 401, "a client that showed none");
    assert_eq!(from(INNER, &told[..1]), 400, "an address alone can be borrowed");
    assert_eq!(from(INNER, &[told[0], ("Client-Cert-Secret", "another")]), 400);
    assert_eq!(from(EDGE, &told), 400, "the secret of one proxy is not that of another");
    assert_eq!(from(ELSEWHERE, &told), 400, "and worth nothing elsewhere");
    // By its own handshake it proves nothing but the secret counts there too.
    let mut stream = showing(&site, "ip").shake(connect_from(INNER, site.mtls).unwrap()).unwrap();
    assert_eq!(status(&ask(&mut stream, &exchange(&site, "mtls-dn", &told)).unwrap()), 200);
    assert_eq!(status(&ask(&mut stream, &exchange(&site, "mtls-ip", &[SECRET])).unwrap()), 401, "its own is not its client's");
    assert_eq!(status(&ask(&mut stream, &exchange(&site, "mtls-ip", &[])).unwrap()), 200, "without it it is a client itself");
}

#[test]
fn what_a_stranger_says_of_certificates_is_refused() {
    let site = Site::new("tls-proxy-stranger");
    let _server = site.start_behind_proxies();
    let dn = certificate(&site, "dn");
    let header = [("Client-Cert", dn.as_str())];
    let refused = |stream: &mut dyn Both, agent: &str, headers: &[(&str, &str)]| {
        let answer = ask(&mut &mut *stream, &exchange(&site, agent, headers)).unwrap();
        assert_eq!((status(&answer), body(&answer)["error"].as_str()), (400, Some("invalid_request")), "{answer}");
    };
    // At the proxy's address with no certificate, with another, and in plain HTTP.
    refused(&mut Client::new(&site).shake(connect_from(EDGE, site.mtls).unwrap()).unwrap(), "mtls-dn", &header);
    refused(&mut showing(&site, "ip").shake(connect_from(EDGE, site.mtls).unwrap()).unwrap(), "mtls-dn", &header);
    refused(&mut connect_from(EDGE, site.public).unwrap(), "mtls-dn", &header);
    // A certificate with the proxy's names is not the pinned one.
    refused(&mut showing(&site, "dns-wildcard").shake(connect_from(EDGE, site.mtls).unwrap()).unwrap(), "mtls-dn", &header);
    // With the proxy's certificate and key, from elsewhere: a client like any other.
    let mut elsewhere = showing(&site, PROXY).shake(connect_from(ELSEWHERE, site.mtls).unwrap()).unwrap();
    refused(&mut elsewhere, "mtls-dn", &header);
    refused(&mut elsewhere, "mtls-dns", &[("Client-Cert-Chain", &dn)]);
    assert_eq!(status(&ask(&mut elsewhere, &exchange(&site, "mtls-dns", &[])).unwrap()), 200);
    // With its certificate and without the key nobody gets so far.
    let copied = Client::new(&site).showing(&held(&site, PROXY), &held(&site, "ip"));
    let copied = copied.shake(connect_from(EDGE, site.mtls).unwrap());
    assert!(copied.and_then(|mut stream| ask(&mut stream, &exchange(&site, "mtls-dn", &header))).is_err());
}

/// A connection, whatever is spoken on it.
trait Both: Read + Write {}
impl<S: Read + Write> Both for S {}

fn showing(site: &Site, name: &str) -> Client {
    Client::new(site).showing(&held(site, name), &held(site, name))
}

/// The certificates that a client holds, each as RFC 9440 §2.1 writes it.
fn chain(site: &Site, name: &str) -> Vec<String> {
    let chain = CertificateDer::pem_file_iter(held(site, name)).unwrap();
    chain.map(|certificate| format!(":{}:", STANDARD.encode(certificate.unwrap()))).collect()
}

/// The first of them.
pub fn certificate(site: &Site, name: &str) -> String {
    chain(site, name).remove(0)
}

/// The SHA-256 thumbprint of the certificate that a client holds (RFC 8705 §3.1).
pub fn thumbprint(site: &Site, name: &str) -> String {
    let certificate = CertificateDer::from_pem_file(held(site, name)).unwrap();
    countersign::crypto::Digest::of(&certificate).to_string()
}

/// An exchange by the agent of that id, with these headers besides.
fn exchange(site: &Site, agent: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let token = Party::new(&site.profile(), "orchestrator").id_token(json!({ "azp": "0oa-mtls" }));
    let parameters = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("client_id", agent),
        ("subject_token", token.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("resource", "https://crm.example"),
    ];
    let plain = String::from_utf8(post("/token", &form(&parameters))).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    plain.replacen("host: a\r\n", &format!("host: a\r\n{headers}"), 1).into_bytes()
}

impl Site {
    /// Starts a server that knows two proxies.
    fn start_behind_proxies(&self) -> Server {
        let config = fs::read_to_string(&self.fixture.config).unwrap();
        assert!(config.contains(r#"addresses   = ["127.0.0.1"]"#));
        let config = config.replace(r#"addresses   = ["127.0.0.1"]"#, &format!(r#"addresses   = ["{INNER}"]"#));
        let proxy =
            format!("[[proxy]]\nname = \"front\"\naddresses = [\"{EDGE}/32\"]\ncertificate_file = \"certs/{PROXY}.pem\"\n\n");
        fs::write(&self.fixture.config, config.replacen("[[proxy]]", &format!("{proxy}[[proxy]]"), 1)).unwrap();
        self.start_with(&[] as &[(&str, &Path)])
    }
}
