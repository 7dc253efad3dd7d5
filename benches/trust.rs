//! The cost of a foreign token that is verified for the first time, over the bare signature that it needs:
//! `cargo bench --bench trust`, with `-- --json` for one line of JSON. Limit: 6 CPU µs, with 1 and with 1,000 issuers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, unreachable_pub, reason = "a benchmark fails by panicking")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::jose::{Algorithm, Compact, KeySet, SigningKey, generate_key};
use countersign::keys::KeySource;
use countersign::oauth::{Issuer, RuleName, Time};
use countersign::trust::{
    AccessTokenForm, IssuerSelector, Literal, Matcher, Requirement, SubjectKind, SubjectMapping, Template, TrustKind, TrustRule,
    TrustRuleParts, TrustStore,
};
use serde_json::{Value, json};

const NOW: Time = Time::from_seconds(1_767_225_700);
/// More than are remembered, so that none is met twice.
const TOKENS: usize = 20_000;
const ROUNDS: usize = 5;

fn main() {
    let key = SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap();
    let mut report = serde_json::Map::new();
    for (name, kind, claims) in shapes() {
        let tokens: Vec<String> = (0..TOKENS).map(|turn| token(&key, &claims, turn)).collect();
        let bare = least(|| signatures(&key, &tokens));
        for issuers in [1, 1_000] {
            let over = least(|| vouched(&key, kind, issuers, &tokens)) - bare;
            println!("{name:12} {issuers:5} issuers: {over:6.2} us over a signature of {bare:6.2} us");
            report.insert(format!("{name}_{issuers}"), json!(over));
        }
    }
    if std::env::args().any(|argument| argument == "--json") {
        println!("{}", Value::Object(report));
    }
}

fn shapes() -> [(&'static str, TrustKind, Value); 3] {
    let github = json!({
        "sub": "repo:acme/app:ref:refs/heads/main", "repository": "acme/app", "repository_id": "74", "repository_owner": "acme",
        "repository_owner_id": "65", "job_workflow_ref": "acme/w/.github/workflows/d.yml@refs/heads/main",
        "ref": "refs/heads/main", "ref_type": "branch", "event_name": "push", "run_id": "1234567", "run_attempt": "1",
        "actor": "octocat", "actor_id": "12", "workflow": "deploy", "runner_environment": "github-hosted",
    });
    let cluster = json!({
        "sub": "system:serviceaccount:prod:web", "kubernetes.io": {
            "namespace": "prod", "node": {"name": "n", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
            "pod": {"name": "web-0", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
            "serviceaccount": {"name": "web", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
        },
    });
    let person = json!({"sub": "alice", "azp": "0oa", "email_verified": true, "auth_time": 1_767_225_600});
    [("oidc", TrustKind::Oidc, person), ("kubernetes", TrustKind::Kubernetes, cluster), ("github", TrustKind::Github, github)]
}

fn token(key: &SigningKey, claims: &Value, turn: usize) -> String {
    let mut claims = claims.clone();
    let members = claims.as_object_mut().unwrap();
    members.insert("iss".to_owned(), issuer(0).into());
    members.insert("aud".to_owned(), "https://sts.example".into());
    members.insert("iat".to_owned(), 1_767_225_600.into());
    members.insert("exp".to_owned(), 1_767_225_900.into());
    members.insert("jti".to_owned(), format!("0194b014-8517-7cef-b232-{turn:012}").into());
    key.sign("JWT", claims.to_string().as_bytes()).unwrap()
}

fn issuer(number: usize) -> String {
    format!("https://issuer-{number}.example")
}

fn federation(key: &SigningKey, kind: TrustKind, issuers: usize) -> TrustStore {
    let keys = Arc::new(KeySet::of_signing_keys([key]));
    let require = match kind {
        TrustKind::Github => vec![("repository_id", "74"), ("ref", "refs/heads/main")],
        TrustKind::Kubernetes => vec![("/kubernetes.io/serviceaccount/uid", "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798")],
        _ => Vec::new(),
    };
    let rule = |number: usize| TrustRuleParts {
        name: RuleName::parse(&format!("rule-{number}")).unwrap(),
        kind,
        selector: IssuerSelector::Issuer(Issuer::parse(&issuer(number)).unwrap()),
        audiences: vec!["https://sts.example".to_owned()],
        algorithms: vec![Algorithm::ES256],
        lifetime_max: Duration::from_secs(3600),
        subject: SubjectMapping {
            kind: if kind == TrustKind::Oidc { SubjectKind::User } else { SubjectKind::Workload },
            id: Template::parse(kind.default_id()).unwrap(),
            instance: None,
            attributes: BTreeMap::new(),
        },
        require: require
            .iter()
            .map(|(claim, text)| Requirement::new(claim, Matcher::Is(Literal::Text((*text).to_owned()))).unwrap())
            .collect(),
        presenters: Vec::new(),
        agent: None,
        enabled: true,
        keys: KeySource::Fixed(Arc::clone(&keys)),
        scopes: Vec::new(),
        access_tokens: AccessTokenForm::default(),
        review: None,
    };
    TrustStore::new((0..issuers).map(|number| TrustRule::new(rule(number)).unwrap()).collect(), None).unwrap()
}

/// µs per token, from its text to an identity.
fn vouched(key: &SigningKey, kind: TrustKind, issuers: usize, tokens: &[String]) -> f64 {
    let trust = federation(key, kind, issuers);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let begun = Instant::now();
        for token in tokens {
            black_box(trust.verify(&Compact::parse(token).unwrap(), NOW).await.unwrap());
        }
        per(begun, tokens)
    })
}

/// µs per token for its signature alone, over bytes and a key that are ready.
fn signatures(key: &SigningKey, tokens: &[String]) -> f64 {
    let jwk: Value = serde_json::from_str(&key.public_jwk()).unwrap();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [vec![4], part("x"), part("y")].concat()).unwrap();
    let ready: Vec<(&str, Vec<u8>)> = tokens
        .iter()
        .map(|token| token.rsplit_once('.').unwrap())
        .map(|(signed, signature)| (signed, URL_SAFE_NO_PAD.decode(signature).unwrap()))
        .collect();
    let begun = Instant::now();
    for (signed, signature) in &ready {
        public.verify_sig(black_box(signed.as_bytes()), signature).unwrap();
    }
    per(begun, tokens)
}

fn per(begun: Instant, tokens: &[String]) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6 / tokens.len() as f64
}

/// The least of some rounds: what the machine's other work does not add to.
fn least(round: impl Fn() -> f64) -> f64 {
    (0..ROUNDS).map(|_| round()).fold(f64::MAX, f64::min)
}
