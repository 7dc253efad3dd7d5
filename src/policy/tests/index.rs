//! A request that meets only the policies that could apply to it is decided as if it met them all.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::binding::SenderConstraint;
use crate::policy::cedar::{Action, PolicyDecision, ResourceRef, SharedContext, oracle, request_head};
use crate::policy::context::ScopeContext;
use crate::policy::index::{Index, PolicyHead, RequestHead};
use crate::policy::policies::RequestResource;
use crate::policy::request_context::RequestContext;

/// A source of choices that proptest can shrink.
pub(super) struct Dice(std::vec::IntoIter<u16>);

impl Dice {
    pub(super) fn new(rolls: Vec<u16>) -> Self {
        Self(rolls.into_iter())
    }

    pub(super) fn below(&mut self, sides: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % sides
    }

    pub(super) fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

const PRINCIPALS: [&str; 8] = [
    "principal",
    "principal is Agent",
    r#"principal == Agent::"orchestrator""#,
    r#"principal == Agent::"researcher""#,
    r#"principal in Agent::"orchestrator""#,
    r#"principal in Team::"research""#,
    r#"principal is Agent in Team::"research""#,
    r#"principal in Team::"platform""#,
];

const ACTIONS: [&str; 6] = [
    r#"action == Action::"exchange""#,
    r#"action == Action::"exchange""#,
    r#"action == Action::"impersonate""#,
    r#"action == Action::"present_actor""#,
    r#"action in [Action::"exchange", Action::"impersonate"]"#,
    r#"action in [Action::"exchange", Action::"impersonate", Action::"present_actor"]"#,
];

const RESOURCES: [&str; 9] = [
    "resource",
    "resource",
    "resource is Scope",
    r#"resource in Api::"https://crm.example""#,
    r#"resource is Scope in Api::"https://crm.example""#,
    r#"resource in Api::"https://assistant.example""#,
    r#"resource == Scope::"https://crm.example contacts.read""#,
    r#"resource in Team::"research""#,
    r#"resource == Agent::"researcher""#,
];

/// Conditions that hold, that do not, and that raise an error.
const CONDITIONS: [&str; 18] = [
    "true",
    "context.depth <= 1",
    r#"context.subject.hasTag("department") && context.subject.getTag("department") == "sales""#,
    r#"context.subject.kind == "user""#,
    r#"context.data.contains("pii")"#,
    r#"resource is Scope && resource.effect == "read""#,
    r#"context has destination && context.destination == "internal""#,
    r#"principal is Agent && principal.kind == "ai_agent""#,
    "context.depth + 9223372036854775807 > 0",
    "context.depth > 1 && context.auth_age * 9223372036854775807 > 0",
    r#"[context].contains(context)"#,
    r#"(if context.depth > 1 then context else context).destination == "internal""#,
    r#"resource is Scope && resource.data.containsAny(["pii", "notes"])"#,
    r#"principal in Team::"platform" || context.chain.contains("orchestrator")"#,
    r#"["continuation", "delegation"].contains(context.basis) && !context.approved"#,
    r#"context.subject == Subject::"acme-idp:ann" && context.client != context.actor"#,
    r#"if context has acr && context.acr == "gold" then resource is Scope else context.auth_age > 300"#,
    r#"context.touched.isEmpty() || context.time > datetime("2030-01-01")"#,
];

pub(super) fn policy(dice: &mut Dice) -> String {
    let effect = dice.one_of(&["permit", "permit", "forbid"]);
    let head = [dice.one_of(&PRINCIPALS), dice.one_of(&ACTIONS), dice.one_of(&RESOURCES)].join(", ");
    let second = match dice.below(4) {
        0 => format!(" unless {{ {} }}", dice.one_of(&CONDITIONS)),
        1 => format!(" when {{ {} }}", dice.one_of(&CONDITIONS)),
        _ => String::new(),
    };
    format!("{effect} ({head}) when {{ {} }}{second};", dice.one_of(&CONDITIONS))
}

/// Parses without validation: impossible heads are wanted here.
fn unvalidated(dice: &mut Dice) -> Policies {
    let text: String = (0..dice.below(12)).map(|_| policy(dice)).collect();
    Policies::unvalidated(&[(PathBuf::from("p.cedar"), text)])
}

fn asked(catalog: &Catalog, dice: &mut Dice) -> RequestResource {
    let scopes = [(CRM, "contacts.read"), (CRM, "contacts.delete"), (ASSISTANT, "customers.lookup")];
    match dice.below(4) {
        3 => RequestResource::Agent(
            catalog.agent(&ClientId::parse(dice.one_of(&["researcher", "crm-api"])).unwrap()).unwrap().clone(),
        ),
        at => {
            let api = catalog.api(&Resource::parse(scopes[at].0).unwrap()).unwrap();
            RequestResource::Scope(api.clone(), Scope::parse(scopes[at].1).unwrap())
        }
    }
}

pub(super) fn sets(decision: &PolicyDecision) -> (bool, BTreeSet<String>, BTreeSet<String>) {
    (decision.allowed, decision.deciding.iter().cloned().collect(), decision.erred.iter().cloned().collect())
}

fn sliced_and_whole_agree(rolls: Vec<u16>) {
    let mut dice = Dice::new(rolls);
    let catalog = catalog();
    let policies = unvalidated(&mut dice);
    let origin = if dice.below(2) == 0 { user() } else { own(held(&[]), vec![]) };
    let tags = (0..dice.below(2)).map(|_| ("department".to_owned(), "sales".to_owned())).collect();
    let subject = subject(origin).told(crate::token::Authentication::default(), tags);
    let admitted = admitted(&catalog, "orchestrator", subject);
    let limits = limits();
    let context = RequestContext::new(&admitted, &SenderConstraint::NONE, &limits.issuer, NOW);
    let mut shared = SharedContext::new();
    for _ in 0..REQUESTS {
        let asked = asked(&catalog, &mut dice);
        let resource = asked.resource().unwrap();
        let action = match resource {
            ResourceRef::Agent(_) => Action::PresentActor,
            ResourceRef::Scope(..) => [Action::Exchange, Action::Impersonate][dice.below(2)],
        };
        let api = catalog.api(&Resource::parse(CRM).unwrap()).unwrap();
        let on = match resource {
            ResourceRef::Scope(api, _, info) => ScopeContext { api, info },
            ResourceRef::Agent(_) => ScopeContext { api, info: api.scopes.values().next().unwrap() },
        };
        let agent = catalog.agent(&ClientId::parse(dice.one_of(&["orchestrator", "crm-api"])).unwrap()).unwrap();
        let sliced = policies.template(action, agent, &asked).unwrap().decide(&context, on, &mut shared);
        let whole = oracle::answer(policies.policies(), (action, agent, resource), &context, on);
        assert_eq!(sets(&sliced), sets(&whole));
    }
}

/// Requests put to one set.
const REQUESTS: u32 = 8;

/// The sets of 5,000 pairs of a set and a request, or of as many as `COUNTERSIGN_PAIRS` says.
fn pairs() -> proptest::test_runner::Config {
    let pairs = std::env::var("COUNTERSIGN_PAIRS").map_or(5_000, |pairs| pairs.parse::<u32>().unwrap());
    cases(pairs.div_ceil(REQUESTS))
}

proptest! {
    #![proptest_config(pairs())]

    #[test]
    fn a_slice_decides_like_the_whole(rolls in proptest::collection::vec(any::<u16>(), 120)) {
        sliced_and_whole_agree(rolls);
    }
}

#[test]
fn every_random_policy_is_one_that_validation_lets_through_or_only_finds_impossible() {
    for (action, resource) in [(0, 1), (3, 1), (5, 0)] {
        for condition in CONDITIONS {
            let text = format!("permit (principal, {}, {}) when {{ {condition} }};", ACTIONS[action], RESOURCES[resource]);
            Policies::parse(&[(PathBuf::from("p.cedar"), text)]).unwrap();
        }
    }
}

#[test]
fn an_index_finds_what_a_head_demands() {
    let some = |text: &str| Some(text.to_owned());
    let heads = [
        PolicyHead::default(),
        PolicyHead { principal: some("T"), ..PolicyHead::default() },
        PolicyHead { principal: some("A"), resource: some("R"), ..PolicyHead::default() },
        PolicyHead { actions: Some(vec!["x".into(), "y".into()]), resource: some("S"), ..PolicyHead::default() },
        PolicyHead { principal: some("R"), resource: some("A"), ..PolicyHead::default() },
    ];
    let index = Index::new(heads.iter());
    let ask = |action: &str, principals: &[&str], resources: &[&str]| {
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let kinds = ("A", "R");
        index.applying(&RequestHead { principals: all(principals), action: action.into(), resources: all(resources), kinds })
    };
    assert_eq!(ask("x", &["A", "T"], &["S", "R"]), [0, 1, 2, 3]);
    assert_eq!(ask("z", &["A", "T"], &["S", "R"]), [0, 1, 2]);
    assert_eq!(ask("x", &["B"], &["Q"]), [0]);
}

#[test]
fn a_request_meets_only_the_policies_that_could_apply() {
    let text = r#"permit (principal in Team::"research", action == Action::"exchange", resource in Api::"https://crm.example");
                  permit (principal in Team::"platform", action == Action::"exchange", resource in Api::"https://crm.example");
                  permit (principal, action == Action::"impersonate", resource);
                  forbid (principal is Agent, action, resource);"#;
    let (policies, catalog) = (policies(text), catalog());
    let agent = catalog.agent(&ClientId::parse("orchestrator").unwrap()).unwrap();
    let api = catalog.api(&Resource::parse(CRM).unwrap()).unwrap();
    let (scope, info) = api.scopes.iter().next().unwrap();
    let question = request_head(Action::Exchange, agent, ResourceRef::Scope(api, scope, info)).unwrap();
    assert_eq!(policies.index().applying(&question), [0, 3]);
}

#[test]
fn memory_is_bounded_and_never_mistakes_one_agent_for_another() {
    let policies = policies(r#"permit (principal in Team::"research", action == Action::"exchange", resource);"#);
    for round in 0..1200 {
        let team = ["research", "platform"][round % 2];
        let catalog = Catalog::new(vec![agent("orchestrator", team), agent("crm-api", "platform")], apis(), &[]).unwrap();
        let admitted = admitted(&catalog, "orchestrator", subject(user()));
        let allowed = exchanged(&policies, &catalog, &admitted, "audience=crm").is_ok();
        assert_eq!(allowed, team == "research");
    }
    assert!((1..=2048).contains(&policies.remembered()));
}
