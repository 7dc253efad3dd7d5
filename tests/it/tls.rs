//! TLS on the real binary: what is spoken and what is not, certificates that change, and clients that do not mean well.

pub mod client;
mod crowd;
pub mod proxy;

use std::cell::RefCell;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion};
use serde_json::{Value, json};

use crate::support::patience::PATIENCE;
use crate::support::{Party, Site, form};
use client::{Client, ask, held, post};

const METADATA: &[u8] = b"GET /.well-known/oauth-authorization-server HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn tls_1_3_and_1_2_are_spoken_with_http_1_1_inside_and_nothing_else() {
    let site = Site::new("tls-versions");
    let _server = site.start();
    for (version, wanted) in [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)] {
        let mut stream = Client::trusting(&held(&site, "server-ca"), &[version]).connect(site.mtls).unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(wanted));
        assert!(ask(&mut stream, METADATA).unwrap().starts_with("HTTP/1.1 200"));
    }
    let http = Client::new(&site).speaking("http/1.1").connect(site.mtls).unwrap();
    assert_eq!(http.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
    assert!(Client::new(&site).speaking("h2").connect(site.mtls).is_err(), "a protocol that is not spoken");
    // TLS 1.1 in the record and in the hello, and no TLS at all.
    let old = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x02\
        0123456789abcdef0123456789abcdef\x00\x00\x02\x00\x2f\x01\x00";
    for bytes in [old.as_slice(), METADATA] {
        let mut stream = TcpStream::connect(site.mtls).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
        assert_ne!(answer.first(), Some(&0x16), "a handshake went on");
    }
}

#[test]
fn a_certificate_without_its_key_is_nobodys() {
    let site = Site::new("tls-possession");
    let _server = site.start();
    for version in [&TLS13, &TLS12] {
        let client = || Client::trusting(&held(&site, "server-ca"), &[version]);
        let mut honest = client().showing(&held(&site, "dn"), &held(&site, "dn")).connect(site.mtls).unwrap();
        assert_eq!(status(&ask(&mut honest, &exchange(&site, "mtls-dn")).unwrap()), 200);
        let stolen = client().showing(&held(&site, "dn"), &held(&site, "dns")).connect(site.mtls);
        let answer = stolen.and_then(|mut stream| ask(&mut stream, &exchange(&site, "mtls-dn")));
        assert!(answer.is_err(), "a certificate was believed without its key: {answer:?}");
    }
}

/// The answer does not tell which agents there are; the log tells what was wrong, of whom, under the same reference.
#[test]
fn the_log_tells_why_a_certificate_logs_in_nobody() {
    let site = Site::new("tls-log");
    let _server = site.start();
    for (certificate, cause) in [
        ("self", "does not vouch for it: no path leads from the certificate to a trusted root"),
        ("dns", "it has not the name that the agent's login says"),
    ] {
        let mut stream =
            Client::new(&site).showing(&held(&site, certificate), &held(&site, certificate)).connect(site.mtls).unwrap();
        let answer = ask(&mut stream, &exchange(&site, "mtls-dn")).unwrap();
        assert_eq!(status(&answer), 401);
        let (told, id) = (body(&answer)["error_description"].clone(), body(&answer)["error_id"].clone());
        assert!(!told.as_str().unwrap().contains(cause), "{told}");
        let logged = || fs::read_to_string(site.log()).unwrap();
        site.wait("the refusal is logged", || logged().contains(id.as_str().unwrap()));
        let log = logged();
        let line = log.lines().find(|line| line.contains(id.as_str().unwrap())).unwrap();
        assert!(line.contains(cause) && line.contains("mtls-dn"), "{line}");
    }
}

#[test]
fn a_resumed_session_is_still_that_of_its_certificate() {
    let site = Site::new("tls-resumption");
    let _server = site.start();
    for version in [&TLS13, &TLS12] {
        let client = Client::trusting(&held(&site, "server-ca"), &[version]).resuming();
        let client = client.showing(&held(&site, "dn"), &held(&site, "dn"));
        let mut first = client.connect(site.mtls).unwrap();
        assert_eq!(status(&ask(&mut first, &exchange(&site, "mtls-bound")).unwrap()), 200);
        let mut second = client.connect(site.mtls).unwrap();
        assert_eq!(second.conn.handshake_kind(), Some(HandshakeKind::Resumed));
        let answer = ask(&mut second, &exchange(&site, "mtls-bound")).unwrap();
        assert_eq!(status(&answer), 200);
        assert!(body(&answer)["cnf"]["x5t#S256"].is_string(), "{answer}");
        assert_eq!(status(&ask(&mut second, &exchange(&site, "mtls-dns")).unwrap()), 401);
    }
}

#[test]
fn a_changed_certificate_is_used_without_a_restart_and_a_broken_one_never() {
    let site = Site::new("tls-reload");
    let server = site.start();
    let mut kept = Client::new(&site).connect(site.mtls).unwrap();
    ask(&mut kept, METADATA).unwrap();
    let named = |name: &str| site.folder.join("conf/certs").join(name);
    let before = fs::read(named("server.key.pem")).unwrap();
    let (ca, certificate, key) = identity();
    let new_ca = site.folder.join("new-ca.pem");
    fs::write(&new_ca, ca).unwrap();
    let new = Client::trusting(&new_ca, rustls::ALL_VERSIONS);
    assert!(new.connect(site.mtls).is_err());
    fs::write(named("server.pem"), &certificate).unwrap();
    // The key does not fit yet: nothing of it may be used.
    server.hang_up();
    site.wait("the misfit is told", || fs::read_to_string(site.log()).unwrap().contains("not that of the first certificate"));
    assert!(Client::new(&site).connect(site.mtls).is_ok() && new.connect(site.mtls).is_err());
    fs::write(named("server.key.pem"), key).unwrap();
    site.wait("the new certificate is used", || new.connect(site.mtls).is_ok());
    assert!(Client::new(&site).connect(site.mtls).is_err(), "the old one is not");
    assert!(ask(&mut kept, METADATA).is_ok(), "a connection goes on");
    fs::write(named("server.key.pem"), before).unwrap();
    server.hang_up();
    site.wait("the misfit is told again", || {
        fs::read_to_string(site.log()).unwrap().matches("not that of the first").count() > 1
    });
    assert!(new.connect(site.mtls).is_ok());
}

/// A list that is exchanged counts without a restart, also for a connection that has logged in; when it is out of date nobody can
/// tell, which is no refusal.
#[test]
fn what_a_new_revocation_list_takes_back_logs_in_nobody_from_then_on() {
    let site = Site::new("tls-revoked");
    let _server = site.start();
    let list = site.folder.join("conf/certs/clients.crl");
    let put = |name: &str| fs::copy(site.folder.join("conf/certs").join(name), &list).unwrap();
    let show = |name: &str| Client::new(&site).showing(&held(&site, name), &held(&site, name)).connect(site.mtls).unwrap();
    let log_in = |stream: &mut _| ask(stream, &exchange(&site, "mtls-rule")).unwrap();
    let (mut kept, mut other) = (show("rule-dns"), show("rule-second"));
    assert_eq!((status(&log_in(&mut kept)), status(&log_in(&mut other))), (200, 200));
    put("clients-later.crl");
    let kept = RefCell::new(kept);
    site.wait("the new list counts", || status(&log_in(&mut *kept.borrow_mut())) == 401);
    assert_eq!(status(&log_in(&mut show("rule-dns"))), 401);
    assert_eq!(status(&log_in(&mut other)), 200, "and nobody else");
    put("clients-ended.crl");
    site.wait("the list that has ended counts", || status(&log_in(&mut *kept.borrow_mut())) == 503);
    let answer = log_in(&mut other);
    assert!(status(&answer) == 503 && body(&answer)["error"] == "temporarily_unavailable", "{answer}");
    assert!(answer.to_ascii_lowercase().contains("retry-after:"), "{answer}");
    fs::write(&list, "nonsense").unwrap();
    site.wait("the broken list is told", || {
        fs::read_to_string(site.log()).unwrap().contains("the changed configuration is not used")
    });
    assert_eq!(status(&log_in(&mut other)), 503, "a broken file puts nothing in force");
    put("clients-later.crl");
    let other = RefCell::new(other);
    site.wait("the list counts again", || status(&log_in(&mut *other.borrow_mut())) == 200);
}

#[test]
fn the_public_address_speaks_tls_where_the_settings_say_so() {
    let site = Site::new("tls-public");
    let _server = site.start_on_tls();
    let mut stream = Client::new(&site).connect(site.public).unwrap();
    let answer = ask(&mut stream, METADATA).unwrap();
    assert_eq!(body(&answer)["issuer"], json!(format!("http://{}", site.public)));
    let mut plain = TcpStream::connect(site.public).unwrap();
    assert!(ask(&mut plain, METADATA).is_err());
    // With `mtls` given, only that one asks for certificates.
    let showing = || Client::new(&site).showing(&held(&site, "dn"), &held(&site, "dn"));
    let mut unasked = showing().connect(site.public).unwrap();
    assert_eq!(status(&ask(&mut unasked, &exchange(&site, "mtls-dn")).unwrap()), 401);
    let mut asked = showing().connect(site.mtls).unwrap();
    assert_eq!(status(&ask(&mut asked, &exchange(&site, "mtls-dn")).unwrap()), 200);
}

#[test]
fn people_exchange_by_certificate_too() {
    let site = Site::new("tls-cli");
    let _server = site.start();
    let token = site.folder.join("alice.id_token");
    fs::write(&token, Party::new(&site.profile(), "orchestrator").id_token(json!({ "azp": "0oa-mtls" }))).unwrap();
    let exchange = |client: &str, certificate: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["token", "exchange", "--json", "--client-id", client, "--resource", "https://crm.example"]);
        command.arg("--server").arg(format!("http://{}", site.public)).arg("--subject-token").arg(&token);
        command.args(["--subject-token-type", "id_token"]).arg("--cacert").arg(held(&site, "server-ca"));
        command.arg("--cert").arg(held(&site, certificate)).output().unwrap()
    };
    let granted = exchange("mtls-bound", "dn");
    assert_eq!(granted.status.code(), Some(0), "{granted:?}");
    let answer: Value = serde_json::from_slice(&granted.stdout).unwrap();
    assert!(answer["cnf"]["x5t#S256"].is_string(), "{answer}");
    let refused = exchange("mtls-dn", "dns");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(serde_json::from_slice::<Value>(&refused.stdout).unwrap()["error"], "invalid_client");
}

/// An exchange by the agent of that id, which proves itself by its certificate.
fn exchange(site: &Site, agent: &str) -> Vec<u8> {
    let token = Party::new(&site.profile(), "orchestrator").id_token(json!({ "azp": "0oa-mtls" }));
    let parameters = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("client_id", agent),
        ("subject_token", token.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("resource", "https://crm.example"),
    ];
    post("/token", &form(&parameters))
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// An authority, a certificate of it for this machine, and its key.
fn identity() -> (String, String, String) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    (ca_pem, certificate.pem(), key.serialize_pem())
}

impl Site {
    /// Starts a server whose public address speaks TLS too.
    fn start_on_tls(&self) -> crate::support::Server {
        let config = fs::read_to_string(&self.fixture.config).unwrap();
        assert!(config.contains("public      = false"));
        fs::write(&self.fixture.config, config.replace("public      = false", "public      = true")).unwrap();
        self.start_with(&[] as &[(&str, &Path)])
    }
}
