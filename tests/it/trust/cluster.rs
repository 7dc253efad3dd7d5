//! A stock cluster: an API server under an authority of its own, which answers only the logged in, with an issuer that is the
//! address of nothing outside, and is asked by TokenReview whether a pod is still there. Its answers are those of kube-apiserver.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign::config;
use countersign::jose::{Algorithm, Compact, SigningKey, generate_key};
use countersign::net::Fetcher;
use countersign::oauth::{Clock, Time};
use countersign::trust::{TrustReason, TrustStore, VerifiedAssertion};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::support::foreign::say;
use crate::support::patience::PATIENCE;
use crate::support::{Ledger, Reply, Site, form, post_form};
use crate::tls::client::held;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const UID: &str = "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798";
const POD: &str = "5e0bd49b-f040-43b0-99b7-22765a53f7f3";
/// The token of the server's own service account.
const OWN: &str = "eyJhbGciOiJSUzI1NiJ9.e30.b3du";

/// The answer to a TokenReview: its status line, its content type and its body.
type Answer = (&'static str, &'static str, String);

/// The cluster, which runs as long as the test.
pub struct Cluster {
    port: u16,
    key: SigningKey,
    answer: Arc<Mutex<Answer>>,
    /// The bodies of the reviews that were asked for.
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Cluster {
    fn start(site: &Site) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let key = SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap();
        let (answer, asked) = (Arc::new(Mutex::new(good(&status(json!({}))))), Arc::default());
        let cluster = Self { port, key, answer, asked };
        let (answer, asked, jwks) = (Arc::clone(&cluster.answer), Arc::clone(&cluster.asked), cluster.jwks());
        let config = Arc::new(tls(site));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, answer, asked, jwks) = (Arc::clone(&config), Arc::clone(&answer), Arc::clone(&asked), jwks.clone());
                thread::spawn(move || serve(stream, config, &answer, &asked, &jwks));
            }
        });
        cluster
    }

    /// A cluster that the configuration of `site` knows, with an agent that its pod logs in.
    pub fn installed(site: &Site) -> Self {
        let (cluster, conf) = (Self::start(site), site.fixture.config.parent().unwrap());
        fs::write(conf.join("trust/stock.toml"), cluster.rule(site)).unwrap();
        fs::write(conf.join("trust/token"), OWN).unwrap();
        let agent = format!(
            "id = 'stock-web'\nowner = 'dana@acme.example'\nteam = 'platform'\nkind = 'service'\n\
             [[login]]\nmethod = 'workload_jwt'\ntrust = 'stock'\nmatch = {{ '/kubernetes.io/serviceaccount/uid' = '{UID}' }}\n"
        );
        fs::write(conf.join("agents/stock-web.toml"), agent).unwrap();
        cluster
    }

    /// A self-exchange of the pod, by a token of its own for each `number`.
    pub fn exchange(&self, site: &Site, number: u32) -> Reply {
        let token = self.token(site, json!({ "n": number }));
        let parameters = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", token.as_str()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("resource", "https://crm.example"),
        ];
        post_form(site.public, "/token", &form(&parameters)).unwrap()
    }

    fn jwks(&self) -> String {
        format!("{{\"keys\":[{}]}}", self.key.public_jwk())
    }

    /// The rule of a stock cluster: these lines, and its name.
    fn rule(&self, site: &Site) -> String {
        let (ca, port) = (held(site, "server-ca"), self.port);
        format!(
            "name = 'stock'\nkind = 'kubernetes'\nissuer = '{ISSUER}'\naudiences = ['{}']\n\
             keys = {{ jwks_uri = 'https://127.0.0.1:{port}/openid/v1/jwks', ca_file = '{}', token_file = 'token', \
             networks = ['127.0.0.0/8'] }}\nreview = {{ api = 'https://127.0.0.1:{port}' }}\n",
            site.profile().issuer,
            ca.display()
        )
    }

    fn token(&self, site: &Site, more: Value) -> String {
        let (now, aud) = (now(), site.profile().issuer);
        let mut claims = json!({
            "iss": ISSUER, "aud": [aud], "sub": "system:serviceaccount:prod:web", "jti": format!("{now}-{more}"),
            "iat": now, "nbf": now, "exp": now + 600,
            "kubernetes.io": {
                "namespace": "prod", "serviceaccount": { "name": "web", "uid": UID }, "pod": { "name": "web-0", "uid": POD },
            },
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.key.sign("JWT", claims.to_string().as_bytes()).unwrap()
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn tls(site: &Site) -> ServerConfig {
    let file = |name: &str| site.folder.join("conf/certs").join(name);
    let chain = CertificateDer::pem_file_iter(file("server.pem")).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    config.with_no_client_auth().with_single_cert(chain, key).unwrap()
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A status of a TokenReview for the pod, with members beside or instead of the usual; those that are null are left out.
fn status(more: Value) -> Value {
    let extra = json!({
        "authentication.kubernetes.io/credential-id": ["JTI=aed34954-b33a-4142-b1ec-389d6bbb4936"],
        "authentication.kubernetes.io/node-name": ["node-1"],
        "authentication.kubernetes.io/pod-name": ["web-0"], "authentication.kubernetes.io/pod-uid": [POD],
    });
    let groups = ["system:serviceaccounts", "system:serviceaccounts:prod", "system:authenticated"];
    let user = json!({ "username": "system:serviceaccount:prod:web", "uid": UID, "groups": groups, "extra": extra });
    let mut status = json!({ "authenticated": true, "user": user, "audiences": null });
    for (name, value) in more.as_object().unwrap() {
        status[name] = value.clone();
    }
    status.as_object_mut().unwrap().retain(|name, value| name == "audiences" || !value.is_null());
    status
}

/// An answer with that status; audiences that are null are those that were asked about.
fn good(status: &Value) -> Answer {
    let fields = json!({ "f:spec": { "f:audiences": {}, "f:token": {} } });
    let managed = json!([{ "manager": "countersign", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields }]);
    let review = json!({
        "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
        "metadata": { "creationTimestamp": null, "managedFields": managed }, "status": status,
    });
    ("201 Created", "application/json", review.to_string())
}

fn failure(status: &'static str, reason: &str) -> Answer {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason });
    (status, "application/json", body.to_string())
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    answer: &Mutex<Answer>,
    asked: &Mutex<Vec<Value>>,
    jwks: &str,
) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut stream = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    let (head, body) = request(&mut stream)?;
    let credential = format!("authorization: bearer {}", OWN.to_ascii_lowercase());
    let logged_in = head.lines().any(|line| line.to_ascii_lowercase() == credential);
    let review = head.starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1");
    let (status, content_type, text) = match (logged_in, review) {
        (false, _) => failure("401 Unauthorized", "Unauthorized"),
        (true, false) => ("200 OK", "application/jwk-set+json", jwks.to_owned()),
        (true, true) => {
            let review: Value = serde_json::from_str(&body).ok()?;
            asked.lock().unwrap().push(review.clone());
            let (status, content_type, text) = answer.lock().unwrap().clone();
            let whole = text.replace("\"audiences\":null", &format!("\"audiences\":{}", review["spec"]["audiences"]));
            (status, content_type, whole)
        }
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nLocation: https://127.0.0.1:1/\r\n");
    let answer = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len());
    stream.write_all(answer.as_bytes()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

fn request(stream: &mut impl Read) -> Option<(String, String)> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut part).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(part.get(..read)?);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok();
        if body.len() >= head.lines().find_map(length).unwrap_or(0) {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

#[derive(Debug)]
struct Wall;

impl Clock for Wall {
    fn now(&self) -> Time {
        Time::from_seconds(now())
    }
}

/// The federation of the one rule, as its file says it.
fn federation(site: &Site, rule: &str) -> TrustStore {
    let file = site.folder.join("stock.toml");
    fs::write(&file, rule).unwrap();
    fs::write(site.folder.join("token"), format!("{OWN}\n")).unwrap();
    let (rule, complaints, _) = config::trust_rule(&file);
    TrustStore::new(vec![rule.unwrap_or_else(|| panic!("{complaints}"))], None).unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(future)
}

async fn verify(trust: &TrustStore, token: &str, after: u64) -> Result<VerifiedAssertion, (TrustReason, String)> {
    let now = Time::from_seconds(now()).plus(Duration::from_secs(after));
    let verdict = trust.verify(&Compact::parse(token).unwrap(), now).await;
    verdict.map_err(|refused| (refused.reason(), refused.found().map(ToString::to_string).unwrap_or_default()))
}

#[test]
fn a_stock_cluster_works_by_a_few_lines_and_is_asked_about_its_tokens() {
    let site = Site::new("cluster");
    let cluster = Cluster::start(&site);
    run(async {
        let trust = federation(&site, &cluster.rule(&site));
        let clock: Arc<dyn Clock> = Arc::new(Wall);
        trust.keep_fresh(&Fetcher::new(), &clock);
        let token = cluster.token(&site, json!({}));
        let accepted = verify(&trust, &token, 0).await.unwrap();
        assert_eq!((accepted.id().as_str(), accepted.instance()), (UID, Some(POD)));
        assert!(accepted.review().is_some());
        let asked = cluster.asked.lock().unwrap().clone();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0]["spec"], json!({ "token": token, "audiences": [site.profile().issuer] }));
        assert_eq!((&asked[0]["kind"], &asked[0]["apiVersion"]), (&json!("TokenReview"), &json!("authentication.k8s.io/v1")));
        // Within two seconds a verdict serves for the same token, and only a good one.
        assert_eq!(verify(&trust, &token, 0).await.unwrap().review(), accepted.review());
        assert_eq!(cluster.asked(), 1);
        let error = "[invalid bearer token, service account token has been invalidated]";
        cluster.answers(good(&json!({ "user": {}, "error": error })));
        let (reason, found) = verify(&trust, &token, 5).await.unwrap_err();
        assert_eq!(reason, TrustReason::Review);
        assert!(found.contains("has been invalidated") && !found.contains(&token), "{found}");
        let part: String = token.split('.').nth(1).unwrap().chars().take(40).collect();
        cluster.answers(good(&json!({ "error": format!("cannot parse {part}") })));
        let (reason, found) = verify(&trust, &token, 10).await.unwrap_err();
        assert_eq!(reason, TrustReason::Review);
        assert!(found.contains("and repeats it") && !found.contains(&part), "{found}");
        // What does not pass the other checks is not sent anywhere.
        let before = cluster.asked();
        for (more, wanted) in [
            (json!({ "aud": ["https://other.example"] }), TrustReason::Audience),
            (json!({ "exp": now() - 1 }), TrustReason::Expired),
        ] {
            assert_eq!(verify(&trust, &cluster.token(&site, more), 0).await.unwrap_err().0, wanted);
        }
        let signed = |end: usize| format!("{}{}", &token[..token.len() - end], "A".repeat(end));
        assert!(verify(&trust, &signed(20), 0).await.is_err());
        assert_eq!(cluster.asked(), before);
    });
}

/// Whatever the API server answers, a token counts where it says that it is this very account's and pod's for us, and nowhere
/// else.
#[test]
fn whatever_an_api_server_answers_it_vouches_for_the_very_pod_or_not_at_all() {
    let site = Site::new("cluster-answers");
    let cluster = Cluster::start(&site);
    let user = |name: &str, value: Value| {
        let mut user = status(json!({}))["user"].clone();
        user[name] = value;
        json!({ "user": user })
    };
    let (no, down) = (TrustReason::Review, TrustReason::ReviewUnavailable);
    let text = |body: &str| ("201 Created", "application/json", body.to_owned());
    let whole = good(&status(json!({}))).2;
    let answers: Vec<(Answer, Option<TrustReason>)> = vec![
        (good(&status(json!({}))), None),
        (("200 OK", "application/json", whole.clone()), None),
        (good(&status(user("extra", json!({})))), None),
        (good(&status(json!({ "audiences": [] }))), Some(no)),
        (good(&status(json!({ "audiences": ["https://kubernetes.default.svc"] }))), Some(no)),
        (good(&status(json!({ "audiences": "x" }))), Some(no)),
        (good(&status(json!({ "authenticated": false }))), Some(no)),
        (good(&status(json!({ "authenticated": null }))), Some(no)),
        (good(&status(json!({ "authenticated": "true" }))), Some(no)),
        (good(&status(json!({ "authenticated": 1 }))), Some(no)),
        (good(&status(user("uid", json!("other")))), Some(no)),
        (good(&status(user("uid", json!(null)))), Some(no)),
        (good(&status(user("username", json!("system:serviceaccount:prod:other")))), Some(no)),
        (good(&status(user("extra", json!({ "authentication.kubernetes.io/pod-uid": ["other"] })))), Some(no)),
        (good(&status(json!({ "user": null }))), Some(down)),
        (good(&json!({})), Some(no)),
        (good(&json!(null)), Some(down)),
        (failure("401 Unauthorized", "Unauthorized"), Some(down)),
        (failure("403 Forbidden", "Forbidden"), Some(down)),
        (failure("429 Too Many Requests", "TooManyRequests"), Some(down)),
        (failure("500 Internal Server Error", "InternalError"), Some(down)),
        (failure("201 Created", "Odd"), Some(down)),
        (("302 Found", "application/json", whole.clone()), Some(down)),
        (("202 Accepted", "application/json", whole.clone()), Some(down)),
        (("201 Created", "text/html", whole.clone()), Some(down)),
        (text("[]"), Some(down)),
        (text(""), Some(down)),
        (text(&whole[..whole.len() - 1]), Some(down)),
        (text(&whole.replace("\"status\":", "\"status\":{},\"status\":")), Some(down)),
        (text(&format!("{whole}{}", " ".repeat(1024 * 1024))), Some(down)),
    ];
    run(async {
        let trust = federation(&site, &cluster.rule(&site));
        let clock: Arc<dyn Clock> = Arc::new(Wall);
        trust.keep_fresh(&Fetcher::new(), &clock);
        for (number, (answer, wanted)) in answers.into_iter().enumerate() {
            cluster.answers(answer.clone());
            let verdict = verify(&trust, &cluster.token(&site, json!({ "n": number })), 0).await;
            assert_eq!(verdict.err().map(|(reason, _)| reason), wanted, "{number}: {answer:?}");
        }
        fs::write(site.folder.join("token"), "stale").unwrap();
        let (reason, found) = verify(&trust, &cluster.token(&site, json!({ "n": "stale" })), 0).await.unwrap_err();
        assert_eq!(reason, down);
        assert!(found.contains("the status 401"), "{found}");
        // Whoever looks at rules offline asks nobody.
        let offline = TrustStore::new(Vec::new(), None).unwrap();
        assert_eq!(verify(&offline, &cluster.token(&site, json!({})), 0).await.unwrap_err().0, TrustReason::Issuer);
    });
}

/// The verdict stands in the record; a pod that is gone gets nothing, and while nobody can tell the answer is to come back.
#[test]
fn the_verdict_is_recorded_and_a_pod_that_is_gone_gets_nothing() {
    let site = Site::new("cluster-server");
    let cluster = Cluster::installed(&site);
    let server = site.start();
    let ask = |number: u32| cluster.exchange(&site, number);
    let reply = ask(1);
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(cluster.asked(), 1, "once for the login and the subject token");
    cluster.answers(failure("503 Service Unavailable", "ServiceUnavailable"));
    let reply = ask(2);
    assert_eq!((reply.status, reply.text_of("error")), (503, "temporarily_unavailable".to_owned()), "{}", reply.text);
    cluster.answers(good(&json!({ "user": {}, "error": "service account token has been invalidated" })));
    let reply = ask(3);
    assert_eq!((reply.status, reply.text_of("error")), (401, "invalid_client".to_owned()), "{}", reply.text);
    assert!(reply.text_of("error_description").contains("its pod or service account may be gone"), "{}", reply.text);
    assert_eq!((site.said("has been invalidated"), site.said("cannot be asked about its tokens")), (1, 1));
    server.stop();
    let records = Ledger::read(&site.fixture.data).everything();
    let hops: Vec<&Value> = records.iter().filter(|record| record["kind"] == "hop").collect();
    let verdict = json!({ "audiences": [site.profile().issuer], "pod_uid": POD, "uid": UID });
    let digest = countersign::crypto::Digest::of(verdict.to_string().as_bytes()).to_string();
    assert_eq!(hops.iter().map(|hop| &hop["evidence"]["reviews"]).collect::<Vec<_>>(), [&json!([digest])]);
}

/// `trust try` asks the cluster as a server does, and no stranger's token is sent there.
#[test]
fn a_trial_has_the_verdict_of_the_cluster() {
    let site = Site::new("cluster-try");
    let cluster = Cluster::installed(&site);
    let config = site.fixture.config.to_str().unwrap();
    let tries = |token: &str| say(&["trust", "try", "-", "--rule", "stock", "--config", config], token);
    let good_token = cluster.token(&site, json!({}));
    let said = tries(&good_token);
    assert!(said.code == 0 && said.out.contains("  ok  TokenReview: vouched for\n"), "{said:?}");
    let asked = cluster.asked();
    let other = tries(&cluster.token(&site, json!({ "aud": "https://else.example" })));
    assert!(other.code == 1 && cluster.asked() == asked && !other.out.contains("TokenReview"), "{other:?}");
    cluster.answers(good(&json!({ "authenticated": false, "error": "gone" })));
    let said = tries(&good_token);
    assert!(said.code == 1 && said.out.contains("rule stock (kubernetes) refuses the token"), "{said:?}");
    assert!(said.out.contains("  NO  TokenReview: ") && said.out.contains("wanted: the cluster vouches for it"), "{said:?}");
}
