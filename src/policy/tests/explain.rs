//! The answer beforehand is the answer: an assumed request is decided as the same request is when it is made, and the nearest
//! that is told is permitted.

use proptest::prelude::*;

use super::index::Dice;
use super::*;
use crate::binding::SenderConstraint;
use crate::policy::cedar::{Action, SharedContext};
use crate::policy::context::ScopeContext;
use crate::policy::policies::RequestResource;
use crate::policy::request_context::RequestContext;

/// The request that `admitted(&catalog, "orchestrator", subject(user()))` is, for a scope of the CRM.
fn assumed(catalog: &Catalog, scope: &str) -> AssumedRequest {
    let text = format!(
        r#"{{"client": "orchestrator", "resource": "crm", "scope": "{scope}",
             "subject": {{"rule": "acme-idp", "id": "ann", "kind": "user"}},
             "context": {{"instance": "pod-1", "chain": [], "depth": 1}}}}"#
    );
    AssumedRequest::parse(&text, catalog, NOW).unwrap()
}

fn answers_agree(rolls: Vec<u16>) {
    let mut dice = Dice::new(rolls);
    let text: String = (0..dice.below(10)).map(|_| super::index::policy(&mut dice)).collect();
    let policies = Policies::unvalidated(&[(PathBuf::from("p.cedar"), text.clone())]);
    let (catalog, limits) = (catalog(), limits());
    let subject = subject(user());
    let admitted = admitted(&catalog, "orchestrator", subject);
    let context = RequestContext::new(&admitted, &SenderConstraint::NONE, &limits.issuer, NOW);
    let api = catalog.api(&Resource::parse(CRM).unwrap()).unwrap();
    for (scope, info) in &api.scopes {
        let asked = RequestResource::Scope(api.clone(), scope.clone());
        let agent = catalog.agent(&ClientId::parse("orchestrator").unwrap()).unwrap();
        let template = policies.template(Action::Exchange, agent, &asked).unwrap();
        let made = template.decide(&context, ScopeContext { api, info }, &mut SharedContext::new());
        let told = policies.explain(&assumed(&catalog, scope.as_str()));
        assert_eq!(told.decision == PolicyVerdict::Permit, made.allowed, "{text}");
        let mut deciding = made.deciding.clone();
        deciding.sort_unstable();
        if made.allowed {
            assert_eq!(told.scopes[0].policies, deciding, "{text}");
        }
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn an_assumed_request_is_decided_like_the_request(rolls in proptest::collection::vec(any::<u16>(), 80)) {
        answers_agree(rolls);
    }
}

fn explained(text: &str, request: &str) -> PolicyExplanation {
    let request = AssumedRequest::parse(request, &catalog(), NOW).unwrap();
    policies(text).explain(&request)
}

const REQUEST: &str = r#"{"client": "orchestrator", "resource": "crm", "subject": {"rule": "acme-idp"}}"#;

/// A permit with a condition, and the change that is told where it does not hold.
#[test]
fn the_nearest_request_is_told() {
    for (condition, nearest) in [
        (r#"context.acr == "gold""#, r#"context.acr = "gold""#),
        ("context.auth_age <= 300", "context.auth_age = 299"),
        (r#"context.purpose == "audit" && context.depth <= 3"#, r#"context.purpose = "audit""#),
        (r#"context.amr.contains("hwk")"#, r#"context.amr = ["hwk"]"#),
        (r#"context.binding != "none""#, r#"context.binding = "dpop""#),
        (
            r#"context.subject.hasTag("department") && context.subject.getTag("department") == "sales""#,
            r#"context.subject.department = "sales""#,
        ),
        (
            r#"context.subject.sets.hasTag("groups") && context.subject.sets.getTag("groups").contains("finance")"#,
            r#"context.subject.groups = ["finance"]"#,
        ),
        (r#"context.acr == "gold" && context.purpose == "audit""#, r#"context.acr = "gold" and context.purpose = "audit""#),
        (r#"context.client == "researcher""#, ""),
    ] {
        let text =
            format!(r#"@id("one") permit (principal, action == Action::"exchange", resource is Scope) when {{ {condition} }};"#);
        let told = explained(&text, REQUEST);
        assert_eq!(told.decision, PolicyVerdict::Deny, "{condition}");
        assert_eq!(told.scopes[0].nearest.join(" and "), nearest, "{condition}");
        let unmet: Vec<_> = told.scopes[0].unmet.iter().map(|unmet| unmet.policy.as_str()).collect();
        assert_eq!(unmet, ["one"], "{condition}");
    }
}

#[test]
fn what_stood_in_the_way_and_what_was_missing_is_told() {
    let permit = r#"@id("reads") permit (principal, action == Action::"exchange", resource is Scope)
                    when { context.depth <= 3 && context.acr == "gold" };"#;
    let told = explained(permit, REQUEST);
    let [scope] = &told.scopes[..] else { unreachable!("one scope") };
    assert_eq!((scope.scope.as_str(), scope.decision), ("contacts.read", PolicyVerdict::Deny));
    assert_eq!(scope.unmet[0].conditions, [r#"context.acr == "gold""#], "the depth is well");
    assert_eq!(told.not_given, ["acr", "depth"]);
    let forbid =
        format!("{permit}\n@id(\"no\") forbid (principal is Agent, action, resource is Scope) when {{ context.depth > 1 }};");
    let deep = REQUEST.replace("\"subject\"", r#""context": {"acr": "gold", "depth": 2}, "subject""#);
    let told = explained(&forbid, &deep);
    assert_eq!(
        (told.scopes[0].policies.clone(), told.scopes[0].nearest.clone()),
        (vec!["no".into()], vec!["context.depth = 1".into()])
    );
    let approval = r#"@id("asks") @approval("person") permit (principal, action == Action::"exchange", resource is Scope);"#;
    let told = explained(approval, REQUEST);
    assert_eq!(
        (told.decision, told.scopes[0].nearest.join(" ")),
        (PolicyVerdict::ApprovalNeeded, "context.approved = true".into())
    );
    let bound = r#"@sender_constraint("required") permit (principal, action == Action::"exchange", resource is Scope);"#;
    assert_eq!(explained(bound, REQUEST).scopes[0].nearest, [r#"context.binding = "dpop""#]);
    let lives = explained(r#"@lifetime("2m") permit (principal, action == Action::"exchange", resource is Scope);"#, REQUEST);
    assert_eq!((lives.decision, lives.scopes[0].lifetime, lives.not_given.len()), (PolicyVerdict::Permit, Some(120), 0));
}

/// Whoever writes a request is told of each slip, with what would be right.
#[test]
fn a_request_that_is_none_is_refused() {
    for (text, words) in [
        ("{", "is no request"),
        (r#"{"resource": "crm"}"#, "missing field `client`"),
        (r#"{"client": "orchestratr", "resource": "crm"}"#, "did you mean orchestrator?"),
        (r#"{"client": "orchestrator", "resource": "crn"}"#, "resource must be the id or a name of an API"),
        (r#"{"client": "orchestrator", "resource": "crm", "scope": "contacts.raed"}"#, "did you mean contacts.read?"),
        (r#"{"client": "orchestrator", "resource": "crm", "scop": "x"}"#, "unknown field `scop`"),
        (r#"{"client": "orchestrator", "resource": "crm", "action": "exchnage"}"#, "must be one of exchange"),
        (r#"{"client": "orchestrator", "resource": "crm", "context": {"dept": 1}}"#, "did you mean depth?"),
        (r#"{"client": "orchestrator", "resource": "crm", "context": {"depth": "1"}}"#, "context.depth must be a number"),
        (r#"{"client": "orchestrator", "resource": "crm", "context": {"basis": "delegate"}}"#, "must be one of delegation"),
        (r#"{"client": "orchestrator", "resource": "crm", "context": {"time": "now"}}"#, "an instant"),
        (r#"{"client": "orchestrator", "resource": "crm", "context": {"data": ["x"]}}"#, "nothing that a request gives"),
    ] {
        let refused = AssumedRequest::parse(text, &catalog(), NOW).unwrap_err();
        assert!(refused.contains(words), "{text}: {refused}");
    }
}
