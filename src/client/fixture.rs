//! A small world of agents for the tests of this room, with real keys.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Waker};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    AssertionAudience, AuthenticatedClient, ClientAttestationRules, ClientAuth, ClientAuths, ClientReason, Credentials,
    IdentifiedClient, JWT_BEARER, JWT_SPIFFE, Nonces, hash_secret,
};
use crate::catalog::{Agent, AgentKind, Api, BoundTokens, Catalog, Status, VelocityLimits};
use crate::crypto::MacKey;
use crate::jose::{Algorithm, KeySet, KeyUse, SigningKey, generate_key};
use crate::keys::{BundleProfile, KeyLocation, KeySource, RefreshPolicy};
use crate::oauth::{ClientId, Issuer, RuleName, SpiffePattern, Time, TrustDomain};
use crate::request::Form;
use crate::trust::{
    IssuerSelector, Literal, Matcher, Requirement, SubjectKind, SubjectMapping, Template, TrustKind, TrustRule, TrustRuleParts,
    TrustStore,
};

pub(super) const ISSUER: &str = "https://sts.acme.example";
pub(super) const ENDPOINT: &str = "https://sts.acme.example/token";
pub(super) const SECONDS: i64 = 1_800_000_000;
pub(super) const NOW: Time = Time::from_seconds(SECONDS);

pub(super) static KEY: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::ES256));
pub(super) static OTHER_KEY: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::ES256));

pub(super) fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::from_pem(&generate_key(algorithm).unwrap(), algorithm).unwrap()
}

/// A login under way.
type Login<'a> = Pin<Box<dyn Future<Output = Result<IdentifiedClient, ClientReason>> + 'a>>;

/// Agents and their logins, and who vouches for workloads.
pub(super) struct World {
    pub(super) agents: Vec<Agent>,
    pub(super) logins: Vec<(ClientId, Vec<ClientAuth>)>,
    pub(super) trust: TrustStore,
    pub(super) challenge_required: bool,
}

/// The credentials that a request sends.
#[derive(Clone, Default)]
pub(super) struct Sent {
    parameters: Vec<(&'static str, String)>,
    header: Option<String>,
    subject_token: Option<String>,
    attestation: Option<String>,
    attestation_proof: Option<String>,
    dpop: Option<String>,
}

impl World {
    pub(super) fn new(trust: TrustStore) -> Self {
        Self { agents: Vec::new(), logins: Vec::new(), trust, challenge_required: false }
    }

    pub(super) fn agent(self, id: &str, logins: Vec<ClientAuth>) -> Self {
        self.agent_that_is(Status::Active, id, logins)
    }

    pub(super) fn agent_that_is(mut self, status: Status, id: &str, logins: Vec<ClientAuth>) -> Self {
        let id = ClientId::parse(id).unwrap();
        let (owner, team) = ("dana@acme.example".to_owned(), "research".to_owned());
        let (foreign_clients, bound, requests_per_second) = (Vec::new(), BoundTokens::default(), None);
        let (known, kind) = (id.clone(), AgentKind::AiAgent);
        self.agents.push(Agent {
            id,
            owner,
            team,
            kind,
            status,
            foreign_clients,
            bound,
            requests_per_second,
            default_target: None,
            velocity: VelocityLimits::default(),
        });
        self.logins.push((known, logins));
        self
    }

    /// The outcome of the request.
    pub(super) fn try_login(self, sent: &Sent) -> Result<AuthenticatedClient, ClientReason> {
        self.logging_in(sent, |client| block_on(client).and_then(IdentifiedClient::confirmed))
    }

    /// True when the request waits for something.
    pub(super) fn waits(self, sent: &Sent) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.logging_in(sent, |client| block_on(async { pin!(client).poll(&mut cx).is_pending() }))
    }

    fn logging_in<T>(self, sent: &Sent, run: impl FnOnce(Login<'_>) -> T) -> T {
        let catalog = Catalog::new(self.agents, Vec::<Api>::new(), &[]).unwrap();
        let logins = ClientAuths::new(self.logins).unwrap();
        let audience = AssertionAudience { issuer: Issuer::parse(ISSUER).unwrap(), token_endpoint: ENDPOINT.to_owned() };
        let credentials = Credentials::new(&sent.form(), sent.header.as_deref()).with_dpop(sent.dpop.as_deref());
        let credentials = credentials.with_attestation(sent.attestation.as_deref(), sent.attestation_proof.as_deref());
        let subject_token = sent.subject_token.as_deref();
        let rules = ClientAttestationRules { challenge_required: self.challenge_required, ..attestation_rules() };
        let rules = (&audience, &rules);
        let client = super::authenticate(&logins, &catalog, &self.trust, &credentials, subject_token, rules, NOW);
        run(Box::pin(client))
    }

    /// The reason why the request is refused, as the code calls it.
    pub(super) fn refuses(self, sent: &Sent) -> String {
        format!("{:?}", self.try_login(sent).unwrap_err())
    }
}

impl Sent {
    pub(super) fn assertion(text: &str) -> Self {
        Self::default().with("client_assertion_type", JWT_BEARER).with("client_assertion", text)
    }

    pub(super) fn svid(text: &str) -> Self {
        Self::default().with("client_assertion_type", JWT_SPIFFE).with("client_assertion", text)
    }

    pub(super) fn secret(client: &str, secret: &str) -> Self {
        Self::default().with("client_id", client).with("client_secret", secret)
    }

    /// `pair` is what stands inside the header, encoded in whichever way the test means.
    pub(super) fn basic(pair: impl AsRef<[u8]>) -> Self {
        Self::header(&format!("Basic {}", STANDARD.encode(pair)))
    }

    pub(super) fn header(header: &str) -> Self {
        Self { header: Some(header.to_owned()), ..Self::default() }
    }

    pub(super) fn subject_token(text: &str) -> Self {
        Self { subject_token: Some(text.to_owned()), ..Self::default() }
    }

    pub(super) fn attested(attestation: &str, proof: Option<&str>) -> Self {
        Self { attestation: Some(attestation.to_owned()), attestation_proof: proof.map(str::to_owned), ..Self::default() }
    }

    pub(super) fn attestation_proof(proof: &str) -> Self {
        Self { attestation_proof: Some(proof.to_owned()), ..Self::default() }
    }

    pub(super) fn dpop(proof: &str) -> Self {
        Self { dpop: Some(proof.to_owned()), ..Self::default() }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.parameters.push((name, value.to_owned()));
        self
    }

    /// Both at once.
    pub(super) fn and(self, other: Self) -> Self {
        let parameters = self.parameters.into_iter().chain(other.parameters).collect();
        Self {
            parameters,
            header: self.header.or(other.header),
            subject_token: self.subject_token.or(other.subject_token),
            attestation: self.attestation.or(other.attestation),
            attestation_proof: self.attestation_proof.or(other.attestation_proof),
            dpop: self.dpop.or(other.dpop),
        }
    }

    fn form(&self) -> Form {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        self.parameters.iter().for_each(|(name, value)| _ = body.append_pair(name, value));
        Form::decode(body.finish().as_bytes(), 64).unwrap()
    }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A login by `key`, which the client may use by its own algorithm.
pub(super) fn own_key(key: &SigningKey) -> ClientAuth {
    ClientAuth::PrivateKeyJwt {
        keys: KeySet::of_signing_keys([key]).into(),
        algorithms: vec![key.algorithm()],
        accept_token_endpoint: false,
    }
}

pub(super) fn secret(secret: &str, basic: bool, post: bool) -> ClientAuth {
    ClientAuth::Secret { digest: hash_secret(secret), basic, post }
}

/// The claims of a good assertion of `client` (rfc7523bis §3).
pub(super) fn good_claims(client: &str) -> Value {
    json!({"iss": client, "sub": client, "aud": ISSUER, "exp": SECONDS + 300, "iat": SECONDS, "jti": "j-1"})
}

/// `base` with the members of `changes`; `null` takes a member away.
pub(super) fn changed(base: Value, changes: Value) -> Value {
    let (Value::Object(mut base), Value::Object(changes)) = (base, changes) else { panic!("two objects") };
    for (name, value) in changes {
        match value {
            Value::Null => _ = base.remove(&name),
            value => _ = base.insert(name, value),
        }
    }
    Value::Object(base)
}

pub(super) fn signed(key: &SigningKey, claims: &Value) -> String {
    key.sign("client-authentication+jwt", claims.to_string().as_bytes()).unwrap()
}

/// With a header of one's own.
pub(super) fn signed_under(header: &Value, key: &SigningKey, claims: &Value) -> String {
    let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = URL_SAFE_NO_PAD.encode(key.sign_bytes(message.as_bytes()).unwrap());
    format!("{message}.{signature}")
}

pub(super) fn no_trust() -> TrustStore {
    TrustStore::new(Vec::new(), None).unwrap()
}

pub(super) const CLUSTER: &str = "https://k8s.acme.example";
pub(super) const PEOPLE: &str = "https://login.acme.example";
pub(super) const SILENT: &str = "https://silent.example";
/// Another name of this server, which the trust rules accept.
pub(super) const ALIAS: &str = "https://exchange.acme.example";

pub(super) static CLUSTER_KEY: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::ES256));
pub(super) static SPIRE_KEY: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::ES256));

/// A cluster, a SPIFFE trust domain, people, and an issuer whose keys cannot be had.
pub(super) fn federation() -> TrustStore {
    let issuer = |text: &str| IssuerSelector::Issuer(Issuer::parse(text).unwrap());
    let fixed = |key: &SigningKey| KeySource::Fixed(Arc::new(KeySet::of_signing_keys([key])));
    let bundle = format!(r#"{{"keys":[{}]}}"#, SPIRE_KEY.public_jwk().replace(r#""sig""#, r#""jwt-svid""#));
    let bundle = KeySource::Fixed(Arc::new(KeySet::parse(bundle.as_bytes(), KeyUse::JwtSvid).unwrap()));
    let nowhere = KeyLocation::Uri("https://silent.example/jwks".parse().unwrap());
    let impatient = RefreshPolicy { wait_max: Duration::from_millis(5), ..RefreshPolicy::default() };
    let workload = SubjectKind::Workload;
    let domain = IssuerSelector::TrustDomain(TrustDomain::parse("acme.example").unwrap());
    let spire = parts("spire", TrustKind::Spiffe, domain, workload, bundle);
    let mut cluster = parts("cluster", TrustKind::Oidc, issuer(CLUSTER), workload, fixed(&CLUSTER_KEY));
    cluster.subject.instance = Some(Template::parse("{/kubernetes.io/pod/uid}").unwrap());
    let people = parts("people", TrustKind::Oidc, issuer(PEOPLE), SubjectKind::User, fixed(&CLUSTER_KEY));
    let silent = parts("silent", TrustKind::Oidc, issuer(SILENT), workload, KeySource::Remote(nowhere, impatient));
    let rules = [spire, cluster, people, silent].map(|parts| TrustRule::new(parts).unwrap());
    TrustStore::new(rules.into(), None).unwrap()
}

pub(super) const ATTESTER: &str = "https://attester.acme.example";
pub(super) static ATTESTER_KEY: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::ES256));

/// Two attesters; the keys of the second cannot be had where it is `silent`.
pub(super) fn attesters(silent: bool) -> TrustStore {
    let issuer = |text: &str| IssuerSelector::Issuer(Issuer::parse(text).unwrap());
    let fixed = |key: &SigningKey| KeySource::Fixed(Arc::new(KeySet::of_signing_keys([key])));
    let impatient = RefreshPolicy { wait_max: Duration::from_millis(5), ..RefreshPolicy::default() };
    let nowhere = KeySource::Remote(KeyLocation::Uri("https://silent.example/jwks".parse().unwrap()), impatient);
    let attester = |name: &str, iss: &str, keys| {
        let whole = parts(name, TrustKind::ClientAttester, issuer(iss), SubjectKind::Workload, keys);
        TrustRule::new(TrustRuleParts { audiences: Vec::new(), ..whole }).unwrap()
    };
    let second = if silent { nowhere } else { fixed(&CLUSTER_KEY) };
    TrustStore::new(vec![attester("attester", ATTESTER, fixed(&ATTESTER_KEY)), attester("second", SILENT, second)], None).unwrap()
}

pub(super) fn attested_by(rule: &str, dpop: bool) -> ClientAuth {
    ClientAuth::ClientAttestation { rule: RuleName::parse(rule).unwrap(), dpop }
}

pub(super) fn attestation_rules() -> ClientAttestationRules {
    ClientAttestationRules {
        age_max: Duration::from_secs(60),
        known: Arc::default(),
        challenges: Nonces::of_challenges(MacKey::new(&[7; 32])),
        challenge_required: false,
    }
}

/// A SPIFFE trust domain whose bundle cannot be had.
pub(super) fn bundleless() -> TrustStore {
    let url = "https://silent.example/bundle".parse().unwrap();
    let nowhere = KeyLocation::Bundle { url, profile: BundleProfile::Web };
    let keys = KeySource::Remote(nowhere, RefreshPolicy { wait_max: Duration::from_millis(5), ..RefreshPolicy::default() });
    let domain = IssuerSelector::TrustDomain(TrustDomain::parse("acme.example").unwrap());
    let spire = parts("spire", TrustKind::Spiffe, domain, SubjectKind::Workload, keys);
    TrustStore::new(vec![TrustRule::new(spire).unwrap()], None).unwrap()
}

fn parts(name: &str, kind: TrustKind, selector: IssuerSelector, subject: SubjectKind, keys: KeySource) -> TrustRuleParts {
    let parts = TrustRuleParts::for_tests(name, kind, selector, keys);
    TrustRuleParts {
        audiences: vec![ISSUER.to_owned(), ALIAS.to_owned()],
        lifetime_max: Duration::from_secs(3600),
        subject: SubjectMapping { kind: subject, ..parts.subject },
        ..parts
    }
}

pub(super) fn spiffe(pattern: &str) -> ClientAuth {
    ClientAuth::SpiffeJwt { id: SpiffePattern::parse(pattern).unwrap() }
}

pub(super) fn workload(rule: &str, matchers: &[(&str, &str)]) -> ClientAuth {
    let is = |(claim, value): &(&str, &str)| Requirement::new(claim, Matcher::Is(Literal::Text((*value).to_owned()))).unwrap();
    ClientAuth::WorkloadJwt { rule: RuleName::parse(rule).unwrap(), matchers: matchers.iter().map(is).collect() }
}
