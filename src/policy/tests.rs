#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::unreachable, reason = "tests fail by panicking")]
#![allow(clippy::result_large_err, reason = "a refusal is looked at once")]

mod annotations;
mod explain;
mod index;
mod intent;
mod loader;
mod narrowness;
mod step_up;
mod table;
mod task;
mod unknown;

use std::path::PathBuf;

use super::*;
use crate::authority::{AuthorityReason, implied, targets};
use crate::binding::{BindingReason, bind, bind_task};
use crate::catalog::{
    Agent, AgentKind, Api, BoundTokens, Catalog, ChainShown, ConstraintRequirement, Derive, Destination, ScopeEffect, ScopeInfo,
    Status, VelocityLimits,
};
use crate::client::AuthenticatedClient;
use crate::lifecycle::{AdmittedExchange, CurrentActor};
use crate::oauth::{Audience, ClientId, ExchangeMode, Jti, Resource, RuleName, Scope, Scopes, ScopesOnApi, Subject, Time, Txn};
use crate::request::{ExchangeRequest, Form, TokenRequest};
use crate::token::{IssuedClaims, Origin, VerifiedSubject};

/// 2026-11-20T12:00:00Z.
const NOW: Time = Time::from_seconds(1_795_176_000);
const CRM: &str = "https://crm.example";
const ASSISTANT: &str = "https://assistant.example";

fn agent(id: &str, team: &str) -> Agent {
    Agent {
        id: ClientId::parse(id).unwrap(),
        owner: "dana@acme.example".into(),
        team: team.into(),
        kind: AgentKind::AiAgent,
        status: Status::Active,
        foreign_clients: vec![],
        requests_per_second: None,
        grant_types: crate::catalog::AllowedGrantTypes::default(),
        default_target: None,
        velocity: VelocityLimits::default(),
        bound: BoundTokens::default(),
    }
}

/// An API with scopes written `name`, `name:class` or `name:class:effect`.
fn api(id: &str, defaults: &str, scopes: &[&str]) -> Api {
    let effect = |name: &str| ScopeEffect::NAMES.iter().find(|(known, _)| *known == name).unwrap().1;
    let info = |text: &str| {
        let mut parts = text.split(':');
        let scope = Scope::parse(parts.next().unwrap()).unwrap();
        let data = parts.next().filter(|class| !class.is_empty()).map(str::to_owned).into_iter().collect();
        (scope, ScopeInfo { data, effect: effect(parts.next().unwrap_or("read")) })
    };
    Api {
        id: Resource::parse(id).unwrap(),
        names: vec![],
        agent: None,
        destination: Destination::Internal,
        default_scopes: scopes_of(defaults),
        lifetime: None,
        signing_alg: crate::jose::Algorithm::ES256,
        typ: "at+jwt".into(),
        chain: ChainShown::Full,
        sender_constraint: ConstraintRequirement::Optional,
        group: None,
        scopes: scopes.iter().map(|text| info(text)).collect(),
        derive: vec![],
        status_list: None,
        authorization_server: None,
    }
}

fn scopes_of(text: &str) -> Scopes {
    if text.is_empty() { Scopes::default() } else { Scopes::parse(text).unwrap() }
}

fn derive(from: &str, scope: &str, to: &str) -> Derive {
    Derive { from_api: Resource::parse(from).unwrap(), from_scope: Scope::parse(scope).unwrap(), to: Scope::parse(to).unwrap() }
}

fn agents() -> Vec<Agent> {
    vec![agent("orchestrator", "research"), agent("researcher", "research"), agent("crm-api", "platform")]
}

/// The CRM, reached from the assistant by one step, and two APIs of one group.
fn apis() -> Vec<Api> {
    let mut crm =
        api(CRM, "contacts.read", &["contacts.read:pii", "contacts.write:pii:reversible", "contacts.delete:pii:irreversible"]);
    crm.names = vec![Audience::parse("crm").unwrap()];
    crm.derive = vec![derive(ASSISTANT, "customers.lookup", "contacts.read")];
    let mut mail = api("https://mail.example", "mail.read", &["mail.read:pii", "mail.send:pii:irreversible"]);
    let mut calendar = api("https://calendar.example", "", &["calendar.read", "calendar.write"]);
    (mail.group, calendar.group) = (Some("office".into()), Some("office".into()));
    vec![crm, api(ASSISTANT, "customers.lookup", &["customers.lookup", "notes.write::reversible"]), mail, calendar]
}

fn catalog() -> Catalog {
    Catalog::new(agents(), apis(), &[]).unwrap()
}

fn policies(text: &str) -> Policies {
    Policies::parse(&[(PathBuf::from("test.cedar"), text.to_owned())]).unwrap()
}

fn limits() -> TokenLimits {
    TokenLimits {
        issuer: Issuer::parse("https://sts.example").unwrap(),
        lifetime: Duration::from_secs(300),
        lifetime_max: Duration::from_secs(900),
        tasks: TaskLimits {
            lifetime: Duration::from_secs(3600),
            lifetime_max: Duration::from_secs(30 * 86_400),
            budget: 100,
            budget_max: 1000,
            depth: 3,
        },
    }
}

fn held(pairs: &[(&str, &str)]) -> Vec<ScopesOnApi> {
    pairs.iter().map(|(api, scopes)| ScopesOnApi { api: Resource::parse(api).unwrap(), scopes: scopes_of(scopes) }).collect()
}

fn own(held: Vec<ScopesOnApi>, history: Vec<ScopesOnApi>) -> Origin {
    Origin::Own(IssuedClaims {
        kind: Some(crate::trust::SubjectKind::User),
        trust: RuleName::parse("acme-idp").ok(),
        basis: None,
        jti: Jti::parse("01939b5e-0000-7000-8000-000000000001").unwrap(),
        txn: Txn::parse("01939b5e-0000-7000-8000-000000000002").unwrap(),
        depth: 1,
        client: ClientId::parse("orchestrator").unwrap(),
        agents: Vec::new(),
        held,
        history,
        touched: vec!["notes".into()],
        purpose: String::new(),
        details: None,
        generations: vec![],
        task: None,
    })
}

fn user() -> Origin {
    Origin::User { rule: RuleName::parse("acme-idp").unwrap(), issuer: "https://login.acme.example".into(), client: None }
}

fn ann() -> Subject {
    Subject::of_sealed(RuleName::parse("acme-idp").unwrap(), "ann")
}

fn subject(origin: Origin) -> VerifiedSubject {
    VerifiedSubject::for_tests(ann(), origin, NOW.plus(Duration::from_secs(3600)))
}

/// `client` before policy, acting itself.
fn admitted(catalog: &Catalog, client: &str, subject: VerifiedSubject) -> AdmittedExchange {
    acting(catalog, client, client, subject, ExchangeMode::Delegation)
}

fn acting(catalog: &Catalog, client: &str, actor: &str, subject: VerifiedSubject, mode: ExchangeMode) -> AdmittedExchange {
    let agent = |id| catalog.agent(&ClientId::parse(id).unwrap()).unwrap().clone();
    let acting = CurrentActor { agent: agent(actor), instance: Some("pod-1".into()) };
    AdmittedExchange::for_tests(AuthenticatedClient::for_tests(agent(client)), subject, acting, mode)
}

/// A request with these parameters beside the subject token, written as a form.
fn request(parameters: &str) -> ExchangeRequest {
    let form = format!(
        "grant_type={}&subject_token=t&subject_token_type=urn:ietf:params:oauth:token-type:access_token&{parameters}",
        crate::oauth::GrantType::TokenExchange.as_str()
    );
    ExchangeRequest::parse(&TokenRequest::parse(&Form::decode(form.as_bytes(), 64).unwrap()).unwrap()).unwrap()
}

/// The stage that refused, and its reason.
#[derive(Debug, PartialEq)]
enum Refused {
    Authority(AuthorityReason),
    Binding(BindingReason),
    Denial(Denial),
    ApprovalNeeded(Denial),
}

/// The three stages of an exchange in their order: targets, binding, policy.
fn exchanged(policies: &Policies, catalog: &Catalog, admitted: &AdmittedExchange, parameters: &str) -> Result<Grant, Refused> {
    let request = request(parameters);
    let wanted = request.wanted();
    let presented = admitted.held().iter().map(|held| held.api.clone()).collect();
    let implied = implied(catalog, admitted.client().agent(), presented, wanted);
    let targets = targets(catalog, admitted, wanted, &implied).map_err(Refused::Authority)?;
    let constraint = bind(admitted, &targets).map_err(Refused::Binding)?;
    outcome(decide(policies, admitted, targets, constraint, wanted, &limits(), NOW))
}

fn outcome<G>(outcome: PolicyOutcome<G>) -> Result<G, Refused> {
    match outcome {
        PolicyOutcome::Grant(grant) => Ok(grant),
        PolicyOutcome::Denial(denial) => Err(Refused::Denial(denial)),
        PolicyOutcome::ApprovalNeeded(denial) => Err(Refused::ApprovalNeeded(denial)),
    }
}

impl Refused {
    fn denial(self) -> Denial {
        match self {
            Self::Denial(denial) => denial,
            other => unreachable!("{other:?}"),
        }
    }
}

/// The authority granted, as `api scope …` lines.
fn granted(grant: &Grant) -> Vec<String> {
    grant.held().iter().map(|held| format!("{} {}", held.api, held.scopes)).collect()
}

/// So many random cases, or as many as `PROPTEST_CASES` says.
fn cases(usual: u32) -> proptest::test_runner::Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    proptest::test_runner::Config { cases: asked.unwrap_or(usual), failure_persistence: None, ..Default::default() }
}
