//! A server in process on the configuration of the conformance cases, under a clock that can be put wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use countersign::client::Credentials;
use countersign::commit::{self, Commit, CommitReason};
use countersign::config::{self, ServerKeys, Sources};
use countersign::deployment::Deployment;
use countersign::error::{ErrorCode, ExchangeError};
use countersign::jose::{Algorithm, Cache};
use countersign::lifecycle::{Revocable, Revocation, TaskAction, TaskStatus};
use countersign::lines::{self, CallVerdict, LineContext, RequestRates};
use countersign::mint::{AnswerForm, IntrospectionResponse};
use countersign::oauth::{ClientId, Clock, Time};
use countersign::request::Form;
use countersign::store::{self, KeyFiles, LedgerKeys};
use countersign_conformance::Profile;
use countersign_conformance::fixture::{self, Addresses, Fixture};
use serde_json::{Value, json};

use crate::support::{Party, claims, declared, form, scratch};

/// Everything of a server but HTTP.
pub struct Stage {
    pub folder: PathBuf,
    pub fixture: Fixture,
    pub world: Deployment,
    pub commit: Commit,
    pub clock: Arc<Hand>,
    rates: RequestRates,
    profile: Profile,
}

/// The real clock, and by how many seconds it is wrong.
#[derive(Default)]
pub struct Hand(pub AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Time {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        Time::from_millis(i64::try_from(elapsed).unwrap() + 1000 * self.0.load(Ordering::SeqCst))
    }
}

impl Stage {
    pub fn new(name: &str) -> Self {
        let folder = scratch(name);
        let addresses = Addresses {
            issuer: "http://127.0.0.1:8693".to_owned(),
            public: "127.0.0.1:8693".to_owned(),
            ops: "127.0.0.1:8694".to_owned(),
            mtls: "127.0.0.1:8695".to_owned(),
            idp: "127.0.0.1:1".to_owned(),
        };
        let fixture = fixture::write(&folder, &addresses).unwrap();
        let profile = Profile::load(&fixture.profile).unwrap();
        let clock = Arc::new(Hand::default());
        let (world, commit) = open(&folder, &fixture, &clock, commit::Limits::default());
        Self { folder, fixture, world, commit, clock, rates: RequestRates::default(), profile }
    }

    /// The same server after a restart.
    pub async fn restarted(self) -> Self {
        self.restarted_with(commit::Limits::default()).await
    }

    /// The same server after a restart with other bounds.
    pub async fn restarted_with(mut self, limits: commit::Limits) -> Self {
        self.commit.close().await;
        (self.world, self.commit) = open(&self.folder, &self.fixture, &self.clock, limits);
        self
    }

    pub fn party(&self, agent: &str) -> Party {
        Party::new(&self.profile, agent).skewed(self.clock.0.load(Ordering::SeqCst))
    }

    pub fn api(&self, role: &str) -> String {
        self.profile.apis[role].id.clone()
    }

    /// What a line is given for a request with these credentials, now.
    pub fn context<'a>(&'a self, credentials: &'a Credentials) -> LineContext<'a> {
        let (deployment, commit, rates, now) = (&self.world, &self.commit, &self.rates, self.clock.now());
        LineContext { deployment, commit, credentials, rates, now }
    }

    /// One exchange as `agent`, which logs in with its own key.
    pub async fn exchange(
        &self,
        agent: &str,
        subject: &str,
        api: &str,
        more: &[(&str, &str)],
    ) -> Result<String, (ErrorCode, ExchangeError)> {
        let (assertion, api) = (self.party(agent).assertion(), self.api(api));
        let mut parameters = Party::request(&assertion, subject, more);
        parameters.push(("resource", &api));
        let (form, credentials) = sent(&parameters);
        let issued = lines::token(self.context(&credentials), &form).await;
        issued.map(|token| token.jwt().to_owned()).map_err(|refused| (refused.code, refused.reason))
    }

    /// Opens a task as `agent`; answers its id and its token.
    pub async fn open_task(
        &self,
        agent: &str,
        subject: &str,
        details: Value,
    ) -> Result<(String, String), (ErrorCode, ExchangeError)> {
        let (assertion, details) = (self.party(agent).assertion(), json!([details]).to_string());
        let (form, credentials) = sent(&[
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
            ("subject_token", subject),
            ("subject_token_type", declared(subject)),
            ("authorization_details", &details),
        ]);
        let opened = lines::open_task(self.context(&credentials), &form).await;
        opened.map(|task| (task.id().to_string(), task.jwt().to_owned())).map_err(|refused| (refused.code, refused.reason))
    }

    /// Does with a task what `agent` wishes; answers what stands of it and what is left of its budget.
    pub async fn tend(&self, agent: &str, id: &str, wish: TaskAction) -> Result<(TaskStatus, u64), (ErrorCode, ExchangeError)> {
        let (_, credentials) = sent(&self.about(agent, "-"));
        let tended = lines::act_on_task(self.context(&credentials), id, wish).await;
        tended.map(|tended| (tended.status, tended.task.left)).map_err(|refused| (refused.code, refused.reason))
    }

    /// What `agent` is told of `token`; both forms of the answer say the same.
    pub async fn told(&self, agent: &str, token: &str) -> Value {
        let mut told = Vec::new();
        for wanted in [AnswerForm::Json, AnswerForm::Jwt] {
            let (form, credentials) = sent(&self.about(agent, token));
            let answer = lines::introspect(self.context(&credentials), &form, wanted).await;
            told.push(match answer.unwrap() {
                IntrospectionResponse::Json(json) => serde_json::from_str(&json).unwrap(),
                IntrospectionResponse::Jwt(jwt) => claims(&jwt)["token_introspection"].clone(),
            });
        }
        assert_eq!(told[0], told[1]);
        told.remove(0)
    }

    /// Whether `agent` is told that `token` is active; anything else is told as that and nothing more.
    pub async fn active(&self, agent: &str, token: &str) -> bool {
        let told = self.told(agent, token).await;
        assert!(told["active"] == json!(true) || told == json!({ "active": false }), "{told}");
        told["active"] == json!(true)
    }

    /// Whether an evaluation that `agent` asks for takes `token` for alive, whatever it decides then, by both endpoints alike.
    pub async fn alive_when_evaluated(&self, agent: &str, token: &str) -> bool {
        let told = claims(token);
        let api = told["aud"].as_str().map_or_else(|| told["aud"][0].clone(), Value::from);
        let question = json!({
            "subject": { "type": "user", "id": told["sub"], "properties": { "token": token } },
            "action": { "name": "none" }, "resource": { "type": "api", "id": api },
        });
        let mut alive = Vec::new();
        for at in [("/access/v1/evaluation", false), ("/access/v1/evaluations", true)] {
            let (_, credentials) = sent(&self.about(agent, token));
            let answered = lines::evaluate(self.context(&credentials), &question.to_string(), at).await;
            let (verdicts, _) = answered.map_err(|refused| refused.code).unwrap();
            alive.extend(verdicts.iter().map(|verdict| *verdict != CallVerdict::Inactive));
        }
        assert_eq!(alive[0], alive[1]);
        alive[0]
    }

    pub async fn revoke(&self, agent: &str, token: &str) -> Result<(), ErrorCode> {
        let (form, credentials) = sent(&self.about(agent, token));
        let done = lines::revoke(self.context(&credentials), &form).await;
        done.map_err(|refused| refused.code)
    }

    /// Ends something, as an operator would.
    pub async fn end(&self, ends: Vec<Revocable>) -> Result<(), CommitReason> {
        let by = ClientId::parse("ops").unwrap();
        self.commit.end(Revocation { ends, by, reason: "told so".to_owned(), until: None }).await
    }

    fn about(&self, agent: &str, token: &str) -> Vec<(&'static str, String)> {
        vec![
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()),
            ("client_assertion", self.party(agent).assertion()),
            ("token", token.to_owned()),
        ]
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _kept = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn open(folder: &std::path::Path, fixture: &Fixture, clock: &Arc<Hand>, limits: commit::Limits) -> (Deployment, Commit) {
    let sources = Sources {
        default_file: folder.join("none.toml"),
        files: vec![fixture.config.clone()],
        environment: BTreeMap::new(),
        data: None,
    };
    let config = sources.load().config.unwrap_or_else(|complaints| panic!("{complaints}"));
    let algorithms = [Algorithm::ES256, Algorithm::RS256];
    let keys = KeyFiles::open_or_create(&folder.join("keys"), &algorithms, clock.now()).unwrap();
    let material = ServerKeys {
        signers: keys.signers().unwrap(),
        ancestry: keys.ancestry().unwrap(),
        pseudonyms: keys.pseudonyms().unwrap(),
        verified: Arc::new(Cache::new(4096)),
        sequences: Arc::default(),
    };
    let store = store::open(&fixture.data).unwrap();
    let commit_keys = keys.commit(&LedgerKeys::open(&folder.join("keys")).unwrap()).unwrap();
    let commit = Commit::start(store, Arc::clone(clock) as Arc<dyn Clock>, commit_keys, limits).unwrap();
    let world = config::deployment(config, material, None).unwrap_or_else(|complaints| panic!("{complaints}"));
    (world, commit)
}

pub fn sent<N: AsRef<str>, V: AsRef<str>>(parameters: &[(N, V)]) -> (Form, Credentials) {
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    let form = Form::decode(form(&parameters).as_bytes(), 32).unwrap();
    let credentials = Credentials::new(&form, None);
    (form, credentials)
}
