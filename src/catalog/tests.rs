#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use super::*;
use crate::diagnostic::NameKind;
use crate::jose::Algorithm;
use crate::oauth::{Scope, Scopes};

fn agent(id: &str) -> Agent {
    Agent {
        id: ClientId::parse(id).unwrap(),
        owner: "dana@acme.example".into(),
        team: "research".into(),
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

fn api(id: &str, scopes: &[&str]) -> Api {
    let info = ScopeInfo { data: vec![], effect: ScopeEffect::Read };
    Api {
        id: Resource::parse(id).unwrap(),
        names: vec![],
        agent: None,
        destination: Destination::Internal,
        default_scopes: Scopes::default(),
        lifetime: None,
        signing_alg: Algorithm::ES256,
        typ: "at+jwt".into(),
        chain: ChainShown::Full,
        sender_constraint: ConstraintRequirement::Optional,
        group: None,
        scopes: scopes.iter().map(|scope| (Scope::parse(scope).unwrap(), info.clone())).collect(),
        derive: vec![],
        status_list: None,
        authorization_server: None,
    }
}

fn rule(name: &str) -> RuleName {
    RuleName::parse(name).unwrap()
}

fn complaints(agents: Vec<Agent>, apis: Vec<Api>) -> Vec<String> {
    let result = Catalog::new(agents, apis, &[rule("acme-idp")]);
    result.err().unwrap_or_default().iter().map(|complaint| complaint.message.clone()).collect()
}

fn derive(from: &str, scope: &str, to: &str) -> Derive {
    let parsed = |text| Scope::parse(text).unwrap();
    Derive { from_api: Resource::parse(from).unwrap(), from_scope: parsed(scope), to: parsed(to) }
}

#[test]
fn no_resource_can_mean_two_apis() {
    let named = |id: &str, name: &str| {
        let names = vec![Audience::parse(name).unwrap()];
        Api { names, ..api(id, &["a"]) }
    };
    let (crm, other) = ("https://crm.example", "https://other.example");
    for (first, second) in [
        (api(crm, &["a"]), api("https://crm.example/", &["a"])),
        (api(crm, &["a"]), api("HTTPS://CRM.example:443", &["a"])),
        (api(crm, &["a"]), named(other, "https://crm.example:443/")),
        (named(crm, "https://x.example/a/../b"), named(other, "https://x.example/b")),
    ] {
        let told = complaints(vec![], vec![first, second]);
        assert!(matches!(told.as_slice(), [one] if one.contains(" means the same as ")), "{told:?}");
    }
    let alike = named(crm, "https://crm.example/");
    assert!(complaints(vec![], vec![alike, api("https://crm.example/x", &["a"]), api("urn:crm", &["a"])]).is_empty());
}

#[test]
fn a_default_target_is_a_registered_api() {
    let client = |target| Agent { default_target: Some(Resource::parse(target).unwrap()), ..agent("a") };
    let crm = || vec![api("https://crm.example", &["a"])];
    assert_eq!(complaints(vec![client("https://crn.example")], crm()), ["there is no API \"https://crn.example\""]);
    assert!(complaints(vec![client("https://crm.example")], crm()).is_empty());
}

#[test]
fn a_name_that_is_a_uri_counts_as_resource() {
    let mut crm = api("https://crm.example", &["a"]);
    crm.names = ["crm", "https://crm.example/mcp", "urn:acme:crm"].map(|name| Audience::parse(name).unwrap()).into();
    let catalog = Catalog::new(Vec::<Agent>::new(), vec![crm], &[]).unwrap();
    let at = |text| {
        let (resource, api) = (Resource::parse(text).unwrap(), catalog.apis().next().unwrap());
        assert_eq!(catalog.api_at(&resource).is_some(), api.is_meant_by(&resource), "{text}: one comparison, looked up or not");
        api.is_meant_by(&resource)
    };
    assert!(
        ["https://crm.example", "https://crm.example/mcp", "https://CRM.example:443/mcp", "urn:acme:crm"].into_iter().all(at)
    );
    assert!(!["https://crm.example/mcp/", "urn:acme:CRM", "https://crm.example/MCP"].into_iter().any(at));
}

#[test]
fn finds_agents_and_apis_by_id_and_name() {
    let mut crm = api("https://crm.example", &["contacts.read"]);
    crm.names = vec![Audience::parse("crm").unwrap(), Audience::parse("https://crm.example").unwrap()];
    crm.agent = Some(ClientId::parse("crm-api").unwrap());
    crm.default_scopes = Scopes::parse("contacts.read").unwrap();
    let mut client = agent("crm-api");
    client.foreign_clients = vec![(rule("acme-idp"), "0oa1".into())];
    let catalog = Catalog::new(vec![client], vec![crm], &[rule("acme-idp")]).unwrap();
    let named = |name| catalog.api_named(&Audience::parse(name).unwrap()).map(|api| api.id.to_string());
    assert_eq!(named("crm").as_deref(), Some("https://crm.example"));
    assert_eq!(named("https://crm.example").as_deref(), Some("https://crm.example"));
    assert_eq!(named("CRM"), None);
    assert!(catalog.api(&Resource::parse("https://crm.example/").unwrap()).is_none());
    let at = |text| catalog.api_at(&Resource::parse(text).unwrap()).is_some();
    for same in ["https://crm.example", "https://crm.example/", "HTTPS://CRM.example", "https://crm.example:443/"] {
        assert!(at(same), "{same}");
    }
    for other in ["https://crm.example//", "https://crm.example/x", "http://crm.example", "https://crm.example:444", "crm:x"] {
        assert!(!at(other), "{other}");
    }
    let agent = catalog.agent(&ClientId::parse("crm-api").unwrap()).unwrap();
    assert!(agent.is_foreign_client(&rule("acme-idp"), "0oa1"));
    assert!(!agent.is_foreign_client(&rule("other"), "0oa1"));
    assert_eq!((catalog.agents().count(), catalog.apis().count()), (1, 1));
}

#[test]
fn an_agent_id_is_unique_and_no_subject() {
    assert_eq!(complaints(vec![agent("a"), agent("a")], vec![]), ["agent \"a\" is registered already"]);
    assert_eq!(complaints(vec![agent("acme-idp:7")], vec![]).len(), 1);
    assert!(complaints(vec![agent("acme-idp"), agent("acme-idp2:7")], vec![]).is_empty());
}

#[test]
fn foreign_clients_name_known_rules() {
    let mut client = agent("a");
    client.foreign_clients = vec![(rule("acme-idq"), "x".into())];
    let complaints = Catalog::new(vec![client], Vec::<Api>::new(), &[rule("acme-idp")]).unwrap_err();
    assert_eq!(complaints[0].message, "there is no trust rule \"acme-idq\"");
    assert_eq!(complaints[0].unknown, Some((NameKind::TrustRule, "acme-idq".to_owned())));
    assert_eq!(complaints[0].nearest.as_deref(), Some("acme-idp"));
}

#[test]
fn names_never_mean_two_apis() {
    let mut one = api("https://one.example", &[]);
    let mut two = api("https://two.example", &[]);
    one.names = vec![Audience::parse("x").unwrap()];
    two.names = vec![Audience::parse("x").unwrap(), Audience::parse("https://one.example").unwrap()];
    let found = complaints(vec![], vec![one.clone(), two]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], "the name \"x\" already means API \"https://one.example\"");
    assert_eq!(complaints(vec![], vec![one.clone(), one]), ["API \"https://one.example\" is registered already"]);
}

#[test]
fn no_agent_takes_the_name_of_the_operators_or_the_server() {
    for id in ["ops", "server"] {
        let told = format!("agent id \"{id}\" has a meaning of its own in the records; choose another");
        assert_eq!(complaints(vec![agent(id)], vec![]), [told]);
    }
}

#[test]
fn an_api_names_only_what_exists() {
    let mut one = api("https://one.example", &["a"]);
    one.agent = Some(ClientId::parse("nobody").unwrap());
    one.default_scopes = Scopes::parse("a b").unwrap();
    one.typ = "jwt".into();
    one.lifetime = Some(std::time::Duration::ZERO);
    one.derive = vec![
        derive("https://one.example", "a", "a"),
        derive("https://none.example", "a", "a"),
        derive("https://two.example", "nope", "missing"),
    ];
    let two = api("https://two.example", &["b"]);
    let found = complaints(vec![], vec![one, two]);
    assert_eq!(
        found,
        [
            "there is no agent \"nobody\"",
            "`typ` must be \"at+jwt\" or \"JWT\"",
            "`lifetime` must be at least 1s",
            "API \"https://one.example\" has no scope \"b\"",
            "an API cannot derive authority from itself",
            "there is no API \"https://none.example\"",
            "API \"https://one.example\" has no scope \"missing\"",
            "API \"https://two.example\" has no scope \"nope\"",
        ]
    );
}

#[test]
fn apis_of_a_group_share_tokens_but_no_scope() {
    let mut one = api("https://one.example", &["a", "shared"]);
    let mut two = api("https://two.example", &["b", "shared"]);
    assert!(complaints(vec![], vec![one.clone(), two.clone()]).is_empty());
    one.group = Some("suite".into());
    two.group = Some("suite".into());
    two.signing_alg = Algorithm::RS256;
    let found = complaints(vec![], vec![one, two]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("scope \"shared\" collides"));
    assert!(found[1].starts_with("`signing_alg` differs"));
}

#[test]
fn no_group_both_refuses_and_demands_bound_tokens() {
    let with = |constraints: &[ConstraintRequirement]| {
        let member = |(at, constraint): (usize, &ConstraintRequirement)| Api {
            group: Some("suite".into()),
            sender_constraint: *constraint,
            ..api(&format!("https://{at}.example"), &[&format!("s{at}")])
        };
        complaints(vec![], constraints.iter().enumerate().map(member).collect())
    };
    use ConstraintRequirement::{None, Optional, Required};
    assert!(with(&[Optional, Required, Required]).is_empty() && with(&[None, Optional, None]).is_empty());
    let found = with(&[Optional, Required, None]);
    assert!(
        found.len() == 1 && found[0].contains("`sender_constraint` differs from that of API \"https://2.example\""),
        "{found:?}"
    );
}

#[test]
fn the_stricter_status_wins() {
    assert_eq!(Status::Active.stricter(Status::Suspended), Status::Suspended);
    assert_eq!(Status::Retired.stricter(Status::Suspended), Status::Retired);
}
