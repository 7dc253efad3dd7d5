//! The cost of TLS: `cargo bench --bench tls`. New connections per second and core, and the share of a kept-alive connection with
//! a client certificate in an exchange, both in CPU time of the server alone. `docs/benchmarks.md` explains the figures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking"
)]

#[path = "server/mod.rs"]
mod server;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_conformance::Profile;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use server::Server;

const CONNECTIONS: usize = 4_000;
const EXCHANGES: usize = 6_000;
const ROUNDS: usize = 3;
const GET: &[u8] = b"GET /jwks HTTP/1.1\r\nhost: a\r\n\r\n";

fn main() {
    let scene = Scene::start();
    for (name, client) in [("new connections", scene.client(None)), ("the same with a certificate", scene.client(Some("dn")))] {
        let (cpu, wall) = best(|| scene.measured(CONNECTIONS, || connect(&client, scene.server.mtls)));
        let per_second = 1e6 / cpu;
        println!("{name}: {cpu:.0} us of CPU each, {per_second:.0} per second and core; {wall:.0} us of wall time one by one");
    }
    let resuming = scene.resuming();
    let (cpu, _) = best(|| scene.measured(CONNECTIONS, || connect(&resuming, scene.server.mtls)));
    println!("resumed connections: {cpu:.0} us of CPU each, {:.0} per second and core", 1e6 / cpu);
    let plain = || -> Box<dyn Wire> { Box::new(scene.plain()) };
    let mutual = scene.client(Some("dn"));
    let mutual = || -> Box<dyn Wire> { Box::new(open(&mutual, scene.server.mtls)) };
    let mut figures = Vec::new();
    for _ in 0..ROUNDS {
        figures.push([
            scene.exchanges(&plain, &Scene::by_assertion),
            scene.exchanges(&mutual, &Scene::by_assertion),
            scene.exchanges(&mutual, &|scene| scene.by_certificate("mtls-dn")),
            scene.exchanges(&mutual, &|scene| scene.by_certificate("mtls-bound")),
        ]);
    }
    let names = [
        "an exchange by private_key_jwt over plain HTTP",
        "the same over a kept-alive connection with a certificate",
        "an exchange by tls_client_auth over it",
        "the same with a token that is bound",
    ];
    for (at, name) in names.into_iter().enumerate() {
        let least = figures.iter().map(|round| round[at]).fold(f64::MAX, f64::min);
        println!("{name}: {least:.1} us of CPU");
    }
}

/// The least CPU and wall time of some rounds, in microseconds each.
fn best(round: impl Fn() -> (f64, f64)) -> (f64, f64) {
    (0..ROUNDS).map(|_| round()).fold((f64::MAX, f64::MAX), |least, one| (least.0.min(one.0), least.1.min(one.1)))
}

fn connect(client: &Arc<ClientConfig>, address: SocketAddr) {
    let mut stream = open(client, address);
    assert!(ask(&mut stream, GET).starts_with("HTTP/1.1 200"));
}

fn open(client: &Arc<ClientConfig>, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
    StreamOwned::new(ClientConnection::new(Arc::clone(client), name).unwrap(), stream)
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// Sends a request and reads one answer with a length.
fn ask(stream: &mut dyn Wire, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    stream.flush().unwrap();
    let (mut text, mut bytes) = (String::new(), [0; 16_384]);
    loop {
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "the server closed after {text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() >= length.parse::<usize>().unwrap() {
            return text;
        }
    }
}

/// A server with one worker.
struct Scene {
    server: Server,
    profile: Profile,
}

impl Scene {
    fn start() -> Self {
        let server = Server::start("tls", &[("COUNTERSIGN__LIMITS__WORKERS", "1")]);
        Self { profile: Profile::load(&server.profile).unwrap(), server }
    }

    /// A client with that certificate, which resumes nothing.
    fn client(&self, certificate: Option<&str>) -> Arc<ClientConfig> {
        let mut config = self.config(certificate);
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }

    fn resuming(&self) -> Arc<ClientConfig> {
        Arc::new(self.config(Some("dn")))
    }

    fn config(&self, certificate: Option<&str>) -> ClientConfig {
        let held = |name: &str| self.server.folder.join("test-certs").join(format!("{name}.pem"));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(held("server-ca")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let Some(name) = certificate else { return builder.with_no_client_auth() };
        let chain = CertificateDer::pem_file_iter(held(name)).unwrap().collect::<Result<_, _>>().unwrap();
        builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(held(name)).unwrap()).unwrap()
    }

    /// CPU time of the server and wall time per call, in microseconds.
    fn measured(&self, count: usize, mut work: impl FnMut()) -> (f64, f64) {
        (0..count / 20).for_each(|_| work());
        let (cpu, wall) = (self.server.cpu(), Instant::now());
        (0..count).for_each(|_| work());
        let each = |time: f64| time / count as f64;
        (each(self.server.cpu() - cpu), each(wall.elapsed().as_secs_f64() * 1e6))
    }

    fn plain(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.public).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn exchanges(&self, connection: &dyn Fn() -> Box<dyn Wire>, body: &dyn Fn(&Self) -> String) -> f64 {
        // An ID token serves many times, an assertion once.
        let requests: Vec<Vec<u8>> = (0..EXCHANGES).map(|_| post(&body(self))).collect();
        let (mut next, mut stream) = (requests.iter(), connection());
        let (cpu, _) = self.measured(EXCHANGES * 19 / 20, || {
            let answer = ask(&mut *stream, next.next().unwrap());
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        });
        cpu
    }

    fn by_assertion(&self) -> String {
        let claims = json!({ "iss": "orchestrator", "sub": "orchestrator", "aud": self.profile.issuer, "exp": now() + 600 });
        let assertion = self.signed("orchestrator", claims);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        self.form(&[("client_assertion_type", kind), ("client_assertion", &assertion)], "0oa-orchestrator")
    }

    fn by_certificate(&self, client: &str) -> String {
        self.form(&[("client_id", client)], "0oa-mtls")
    }

    fn form(&self, login: &[(&str, &str)], azp: &str) -> String {
        let issuer = &self.profile.trust["idp"];
        let mut claims = json!({ "iss": issuer.issuer, "aud": issuer.audience, "exp": now() + 600, "iat": now(), "azp": azp });
        claims.as_object_mut().unwrap().extend(issuer.claims.clone().into_iter().filter(|(name, _)| name != "azp"));
        let token = self.signed(&issuer.key, claims);
        let rest = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
            ("resource", "https://crm.example"),
            ("subject_token", token.as_str()),
        ];
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(login.iter().chain(&rest)).finish()
    }

    fn signed(&self, key: &str, mut claims: Value) -> String {
        static SERIAL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        claims["jti"] = json!(format!("bench-{serial}"));
        let key = self.profile.key(key).unwrap();
        let header = json!({ "alg": key.alg, "kid": key.kid, "typ": "JWT" }).to_string();
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()).unwrap()))
    }
}

fn post(body: &str) -> Vec<u8> {
    let head = "POST /token HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}
