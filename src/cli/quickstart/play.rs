//! The steps.

mod task;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::evidence;
use super::report::{StepReport, StepResult};
use crate::cli::http_client::{HttpClient, HttpReply};
use crate::cli::output::Failure;
use crate::cli::replay::{self, Outline};
use crate::cli::text;
use crate::client::{JWT_BEARER, JWT_SPIFFE};
use crate::demo::{CRM, Federation, Issuers, RESEARCH, Validator};
use crate::oauth::{Clock, GrantType, Time, TokenType, Txn};
use crate::store::{KeyFiles, SystemClock};

/// The demonstration under way.
pub(super) struct Play<'a> {
    federation: &'a Federation,
    issuers: &'a Issuers,
    data: PathBuf,
    http: HttpClient,
    report: StepReport,
    started: Instant,
    /// When the task was completed.
    ended: Option<Instant>,
}

/// A client assertion, by which an agent authenticates.
struct Assertion {
    jwt: String,
    assertion_type: &'static str,
}

/// One exchange to ask for.
struct ExchangeStep<'a> {
    client: Assertion,
    subject: &'a str,
    subject_type: TokenType,
    more: &'a [(&'a str, &'a str)],
}

impl<'a> Play<'a> {
    pub(super) fn new(
        federation: &'a Federation,
        issuers: &'a Issuers,
        data: &Path,
        report: StepReport,
        started: Instant,
    ) -> Result<Self, Failure> {
        Ok(Self { federation, issuers, data: data.to_owned(), http: HttpClient::new()?, report, started, ended: None })
    }

    pub(super) fn all_ok(&self) -> bool {
        self.report.all_ok()
    }

    /// Every step in order; a step that depends on one that failed is not played.
    pub(super) async fn run(&mut self) -> Result<(), Failure> {
        self.begin().await?;
        let alice = self.issuers.id_token(&self.federation.idp, "alice", "sales", self.now())?;
        let Some(task) = self.task(&alice).await? else { return Ok(()) };
        let Some(first) = self.first(&task.token).await? else { return Ok(()) };
        let Some(second) = self.second(&first).await? else { return Ok(()) };
        let Some(third) = self.third(&second).await? else { return Ok(()) };
        self.refusals(&alice, &first, &second).await?;
        self.validated(&third).await?;
        let valid = self.with_status([&second, &third], 0).await?;
        self.completed(&task, [("researcher", &first), ("crm-gateway", &second), ("crm-gateway", &third)]).await?;
        self.listed([&second, &third], valid).await?;
        evidence::verified(&self.data, &mut self.report).await?;
        evidence::tampered(&self.data, &mut self.report)?;
        self.replayed(&third)
    }

    fn now(&self) -> Time {
        SystemClock.now()
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        let url = format!("{}/.well-known/oauth-authorization-server", self.federation.issuer);
        let answer = self.http.get(&url).await?;
        let millis = self.started.elapsed().as_millis();
        let details = vec![
            format!("issuer {}; its trusted issuers are in this process", self.federation.issuer),
            "no shared secret: orchestrator signs assertions, researcher has a JWT-SVID,".to_owned(),
            "crm-gateway a token of its cluster".to_owned(),
        ];
        self.report.add(StepResult {
            step: "serve",
            title: "The server answers, and its metadata is where clients look",
            expected: "200",
            outcome: format!("{}, {millis} ms after start", answer.status),
            ok: answer.status == 200,
            details,
            more: vec![("issuer", json!(self.federation.issuer))],
        });
        Ok(())
    }

    async fn first(&mut self, task: &str) -> Result<Option<String>, Failure> {
        let more = [("resource", RESEARCH), ("scope", "customers.lookup")];
        let ask = ExchangeStep { client: self.orchestrator()?, subject: task, subject_type: TokenType::Jwt, more: &more };
        let title = "First hop: the orchestrator acts for alice at the research API";
        self.hop("first_hop", title, ask, &["orchestrator"]).await
    }

    async fn second(&mut self, first: &str) -> Result<Option<String>, Failure> {
        let more = [("resource", CRM), ("scope", "contacts.read contacts.list")];
        let ask = ExchangeStep { client: self.researcher()?, subject: first, subject_type: TokenType::AccessToken, more: &more };
        let title = "Second hop: the research API's agent goes on to the CRM, on alice's behalf";
        self.hop("second_hop", title, ask, &["researcher", "orchestrator"]).await
    }

    async fn third(&mut self, second: &str) -> Result<Option<String>, Failure> {
        let more = [("audience", "crm"), ("scope", "contacts.read")];
        let ask = ExchangeStep { client: self.gateway()?, subject: second, subject_type: TokenType::AccessToken, more: &more };
        let title = "Third hop: the CRM's gateway narrows what it received and passes it on";
        self.hop("third_hop", title, ask, &["crm-gateway", "researcher", "orchestrator"]).await
    }

    /// A hop that must succeed with exactly these actors, current one first.
    async fn hop(&mut self, step: &str, title: &str, ask: ExchangeStep<'_>, actors: &[&str]) -> Result<Option<String>, Failure> {
        let answer = self.exchange(&ask).await?;
        let token = body(&answer).get("access_token").and_then(Value::as_str).map(str::to_owned);
        let claims = token.as_deref().and_then(text::claims).unwrap_or_default();
        let chain = chain(&claims);
        let ok = answer.status == 200 && chain == actors && claims.get("sub") == Some(&"idp:alice".into());
        let details = vec![
            format!("asked   {}", ask.more.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("  ")),
            format!("token   sub {}, aud {}", plain(&claims, "sub"), plain(&claims, "aud")),
            format!("scope   {}", plain(&claims, "scope")),
            format!("acting  {}", chain.join(", for ")),
        ];
        let outcome = match &token {
            Some(_) => format!("issued, good for {} s", plain(&body(&answer), "expires_in")),
            None => refusal(&answer),
        };
        let more = vec![("act", json!(chain)), ("txn", claims.get("txn").cloned().unwrap_or_default())];
        self.report.add(StepResult { step, title, expected: "issued", outcome, ok, details, more });
        Ok(token.filter(|_| ok))
    }

    async fn refusals(&mut self, alice: &str, first: &str, second: &str) -> Result<(), Failure> {
        let more = [("resource", CRM), ("scope", "contacts.delete")];
        let ask = ExchangeStep { client: self.researcher()?, subject: first, subject_type: TokenType::AccessToken, more: &more };
        self.refused("over_ask", "Refused: the researcher asks for more than it was given", ask, "invalid_scope").await?;
        let more = [("resource", CRM), ("impersonate", "true")];
        let ask = ExchangeStep { client: self.gateway()?, subject: second, subject_type: TokenType::AccessToken, more: &more };
        let title = "Refused: the gateway asks for a token that names nobody but alice";
        self.refused("laundering", title, ask, "invalid_request").await?;
        let more = [("resource", RESEARCH)];
        let ask = ExchangeStep { client: self.researcher()?, subject: alice, subject_type: TokenType::IdToken, more: &more };
        let title = "Refused: the researcher presents an ID token issued to the orchestrator";
        self.refused("stolen_token", title, ask, "invalid_request").await
    }

    async fn refused(&mut self, step: &str, title: &str, ask: ExchangeStep<'_>, expected: &str) -> Result<(), Failure> {
        let answer = self.exchange(&ask).await?;
        let body = body(&answer);
        let error = body.get("error").and_then(Value::as_str).unwrap_or_default();
        let ok = answer.status == 400 && error == expected;
        let details = vec![format!("answer  {}", plain(&body, "error_description"))];
        let more = vec![("error_id", body.get("error_id").cloned().unwrap_or_default())];
        self.report.add(StepResult { step, title, expected, outcome: refusal(&answer), ok, details, more });
        Ok(())
    }

    /// The API's side: metadata, then its `jwks_uri`, then a library that is not ours.
    async fn validated(&mut self, token: &str) -> Result<(), Failure> {
        let url = format!("{}/.well-known/oauth-authorization-server", self.federation.issuer);
        let metadata = body(&self.http.get(&url).await?);
        let keys = self.http.get(&plain(&metadata, "jwks_uri")).await?;
        let verdict = Validator::new(&self.federation.issuer, CRM, &keys.body)?.validate(token, self.now());
        let elsewhere = Validator::new(&self.federation.issuer, RESEARCH, &keys.body)?.validate(token, self.now());
        let outcome = match (&verdict, &elsewhere) {
            (Ok(_), Err(_)) => "the CRM accepts it, the research API does not".to_owned(),
            (Ok(_), Ok(_)) => "accepted by an API that it is not for".to_owned(),
            (Err(reason), _) => format!("not accepted: {reason}"),
        };
        self.report.add(StepResult {
            step: "api_validates",
            title: "The CRM validates the token by discovery and keys, with its own library",
            expected: "accepted by the CRM alone",
            outcome,
            ok: verdict.is_ok() && elsewhere.is_err(),
            details: Vec::new(),
            more: Vec::new(),
        });
        Ok(())
    }

    /// The last step names the transaction and the data folder, so that `replay` can be run on it.
    fn replayed(&mut self, token: &str) -> Result<(), Failure> {
        let claims = text::claims(token).unwrap_or_default();
        let txn = Txn::parse(&plain(&claims, "txn")).map_err(|_| Failure::new("the token names no transaction"))?;
        let root = KeyFiles::open(&self.data.join("keys"), self.now())?.root()?;
        let mut outline = Outline::default();
        replay::read(&self.data, txn, Some(&root), (&[], &[]), |step| outline.add(&step))?;
        let (hops, data) = (outline.hops(), self.data.display().to_string());
        let mut details = Vec::new();
        outline.lines(txn, |line| details.push(line.to_owned()));
        details.push(format!("again:  countersign replay {txn} --data {data}"));
        self.report.add(StepResult {
            step: "replay",
            title: "The transaction, replayed from the records alone",
            expected: "3 hops",
            outcome: format!("{hops} hops of transaction {txn}"),
            ok: hops == 3,
            details,
            more: vec![("txn", json!(txn.to_string())), ("data", json!(data))],
        });
        Ok(())
    }

    fn orchestrator(&self) -> Result<Assertion, Failure> {
        Ok(Assertion { jwt: self.issuers.assertion(&self.federation.issuer, self.now())?, assertion_type: JWT_BEARER })
    }

    fn researcher(&self) -> Result<Assertion, Failure> {
        Ok(Assertion { jwt: self.issuers.svid(&self.federation.issuer, self.now())?, assertion_type: JWT_SPIFFE })
    }

    fn gateway(&self) -> Result<Assertion, Failure> {
        let federation = self.federation;
        let jwt = self.issuers.cluster_token(&federation.cluster, &federation.issuer, self.now())?;
        Ok(Assertion { jwt, assertion_type: JWT_BEARER })
    }

    async fn exchange(&self, ask: &ExchangeStep<'_>) -> Result<HttpReply, Failure> {
        let mut form = vec![
            ("grant_type", GrantType::TokenExchange.as_str()),
            ("client_assertion", &ask.client.jwt),
            ("client_assertion_type", ask.client.assertion_type),
            ("subject_token", ask.subject),
            ("subject_token_type", ask.subject_type.as_str()),
        ];
        form.extend(ask.more);
        self.http.post_form(&format!("{}/token", self.federation.issuer), &form, None, None).await
    }
}

fn body(answer: &HttpReply) -> Map<String, Value> {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

fn refusal(answer: &HttpReply) -> String {
    format!("{} {}", answer.status, plain(&body(answer), "error"))
}

fn plain(object: &Map<String, Value>, name: &str) -> String {
    match object.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "-".to_owned(),
    }
}

/// The actors by name, current one first.
fn chain(claims: &Map<String, Value>) -> Vec<String> {
    let mut names = Vec::new();
    let mut next = claims.get("act");
    while let Some(Value::Object(actor)) = next.filter(|_| names.len() < 16) {
        names.push(plain(actor, "sub"));
        next = actor.get("act");
    }
    names
}
