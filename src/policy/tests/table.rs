//! The decisions of product.md ("which target", "which scope"), of RFC 8693 §2.2.2 and of what policy may do, row by row.

use super::*;
use crate::oauth::{ActChain, Actor};
use crate::policy::unknown_scopes::UnknownScopes;
use crate::token::Authentication;

const ALL: &str = r#"@id("all") permit (principal, action == Action::"exchange", resource);"#;

fn decided(policy: &str, origin: Origin, parameters: &str) -> Result<Grant, Refused> {
    let catalog = catalog();
    let admitted = admitted(&catalog, "orchestrator", subject(origin));
    exchanged(&policies(policy), &catalog, &admitted, parameters)
}

fn given(policy: &str, origin: Origin, parameters: &str) -> Vec<String> {
    granted(&decided(policy, origin, parameters).unwrap())
}

/// Refused for its target before policy is asked.
fn no_target(policy: &str, origin: Origin, parameters: &str) -> AuthorityReason {
    match decided(policy, origin, parameters) {
        Err(Refused::Authority(reason)) => reason,
        other => unreachable!("{parameters}: {other:?}"),
    }
}

/// Refused by policy.
fn denial(policy: &str, origin: Origin, parameters: &str) -> Denial {
    decided(policy, origin, parameters).unwrap_err().denial()
}

fn reason(policy: &str, origin: Origin, parameters: &str) -> DenialReason {
    denial(policy, origin, parameters).reason().clone()
}

/// The scopes that are refused by name, and how many are not known.
fn scope_denial(policy: &str, origin: Origin, parameters: &str) -> (String, usize) {
    match reason(policy, origin, parameters) {
        DenialReason::Scope(reason) => (reason.refused.to_string(), reason.unknown.count()),
        other => unreachable!("{parameters}: {other:?}"),
    }
}

fn lookup() -> Origin {
    own(held(&[(ASSISTANT, "customers.lookup")]), held(&[(ASSISTANT, "customers.lookup")]))
}

#[test]
fn every_resource_and_audience_must_be_registered() {
    assert_eq!(no_target(ALL, user(), "resource=https://else.example"), AuthorityReason::UnknownResource);
    assert_eq!(no_target(ALL, user(), "resource=https://crm.example/x"), AuthorityReason::UnknownResource);
    assert_eq!(no_target(ALL, user(), "audience=else"), AuthorityReason::UnknownAudience);
    assert_eq!(no_target(ALL, user(), "resource=https://crm.example&audience=else"), AuthorityReason::UnknownAudience);
    assert_eq!(no_target(ALL, user(), "audience=crm&resource=https://else.example"), AuthorityReason::UnknownResource);
}

#[test]
fn a_target_is_found_by_id_and_audience_also_by_name() {
    for parameters in
        ["resource=https://crm.example", "audience=crm", "audience=https://crm.example", "audience=crm&audience=crm"]
    {
        assert_eq!(given(ALL, user(), parameters), ["https://crm.example contacts.read"], "{parameters}");
    }
    assert_eq!(no_target(ALL, user(), "resource=crm:"), AuthorityReason::UnknownResource);
}

#[test]
fn without_a_target_the_audience_of_our_own_token_is_meant() {
    assert_eq!(given(ALL, lookup(), ""), ["https://assistant.example customers.lookup"]);
    assert_eq!(no_target(ALL, user(), ""), AuthorityReason::Missing);
    assert_eq!(no_target(ALL, own(held(&[("https://gone.example", "a")]), vec![]), ""), AuthorityReason::Gone);
    assert_eq!(no_target(ALL, own(vec![], vec![]), ""), AuthorityReason::Missing);
}

/// The APIs granted to an agent whose file names a default target, and who is the agent of the assistant.
fn with_default(origin: Origin, parameters: &str) -> Vec<String> {
    let (mut agents, mut apis) = (agents(), apis());
    agents[0].default_target = Some(Resource::parse(CRM).unwrap());
    apis[1].agent = Some(agents[0].id.clone());
    let catalog = Catalog::new(agents, apis, &[]).unwrap();
    let admitted = admitted(&catalog, "orchestrator", subject(origin));
    granted(&exchanged(&policies(ALL), &catalog, &admitted, parameters).unwrap())
}

#[test]
fn the_default_target_counts_where_nothing_else_says_one() {
    let crm = [format!("{CRM} contacts.read")];
    assert_eq!(with_default(user(), ""), crm, "a foreign token says none");
    assert_eq!(with_default(lookup(), ""), crm, "a token for an API of the agent itself");
    let elsewhere = own(held(&[("https://mail.example", "mail.read")]), held(&[("https://mail.example", "mail.read")]));
    assert_eq!(with_default(elsewhere, ""), ["https://mail.example mail.read"], "what the token says goes before");
    assert_eq!(with_default(user(), "audience=https://mail.example"), ["https://mail.example mail.read"]);
    assert_eq!(with_default(lookup(), "resource=https://assistant.example"), ["https://assistant.example customers.lookup"]);
}

#[test]
fn several_targets_must_be_one_group_and_each_gets_a_scope() {
    let both = "resource=https://mail.example&resource=https://calendar.example";
    assert_eq!(no_target(ALL, user(), "resource=https://crm.example&resource=https://mail.example"), AuthorityReason::Several);
    assert_eq!(no_target(ALL, user(), "resource=https://mail.example&audience=crm"), AuthorityReason::Several);
    assert_eq!(
        no_target(ALL, user(), "resource=https://crm.example&resource=https://assistant.example"),
        AuthorityReason::Several,
        "having no group is not a group"
    );
    let parts = given(ALL, user(), &format!("{both}&scope=calendar.read+mail.read+calendar.write"));
    assert_eq!(parts, ["https://mail.example mail.read", "https://calendar.example calendar.read calendar.write"]);
    assert_eq!(reason(ALL, user(), &format!("{both}&scope=mail.read")), DenialReason::TargetEmpty);
    assert_eq!(reason(ALL, user(), both), DenialReason::TargetEmpty, "the calendar has no defaults");
    let own = own(held(&[("https://mail.example", "mail.read"), ("https://calendar.example", "calendar.read")]), vec![]);
    assert_eq!(decided(ALL, own, "scope=mail.read+calendar.read").unwrap().scopes().to_string(), "calendar.read mail.read");
}

#[test]
fn in_a_group_policy_may_not_leave_a_target_without_scope() {
    let both = "resource=https://mail.example&resource=https://calendar.example&scope_mode=narrow&scope=mail.read+calendar.write";
    let partly = r#"permit (principal, action, resource in Api::"https://mail.example") when { principal is Agent };
                    permit (principal is Agent, action, resource == Scope::"https://calendar.example calendar.read");"#;
    assert_eq!(reason(partly, user(), both), DenialReason::TargetEmpty);
    let not_at_all = r#"permit (principal is Agent, action, resource in Api::"https://mail.example");"#;
    assert_eq!(reason(not_at_all, user(), both), DenialReason::TargetRefused);
}

#[test]
fn a_target_on_which_nothing_is_reachable_is_an_invalid_target() {
    assert_eq!(no_target(ALL, lookup(), "resource=https://mail.example"), AuthorityReason::Unreachable);
    assert_eq!(no_target(ALL, own(held(&[(CRM, "contacts.none")]), vec![]), "audience=crm"), AuthorityReason::Unreachable);
    let read_elsewhere = own(held(&[("https://mail.example", "customers.lookup")]), vec![]);
    assert_eq!(no_target(ALL, read_elsewhere, "audience=crm"), AuthorityReason::Unreachable, "scopes of two APIs never mix");
}

#[test]
fn a_target_that_policy_denies_whole_is_an_invalid_target_and_otherwise_the_scope_is() {
    let none = r#"forbid (principal, action, resource in Api::"https://crm.example");"#;
    let read = r#"permit (principal, action == Action::"exchange", resource == Scope::"https://crm.example contacts.read");"#;
    assert_eq!(reason(&format!("{ALL}{none}"), user(), "audience=crm"), DenialReason::TargetRefused);
    assert_eq!(reason("", user(), "audience=crm"), DenialReason::TargetRefused);
    assert_eq!(scope_denial(read, user(), "audience=crm&scope=contacts.delete"), ("contacts.delete".into(), 0));
    assert_eq!(scope_denial(read, user(), "audience=crm&scope=contacts.delete&scope_mode=narrow"), ("contacts.delete".into(), 0));
}

#[test]
fn asking_too_widely_names_the_scopes_and_narrow_gives_the_permitted_part() {
    let read = r#"permit (principal, action == Action::"exchange", resource) when { resource.effect == "read" };"#;
    let wide = "audience=crm&scope=contacts.write+contacts.read+contacts.delete";
    assert_eq!(scope_denial(read, user(), wide), ("contacts.delete contacts.write".into(), 0));
    assert_eq!(given(read, user(), &format!("{wide}&scope_mode=narrow")), ["https://crm.example contacts.read"]);
    let held_read = || own(held(&[(CRM, "contacts.read contacts.write")]), vec![]);
    assert_eq!(scope_denial(ALL, held_read(), wide), ("contacts.delete".into(), 0));
    assert_eq!(
        given(ALL, held_read(), &format!("{wide}&scope_mode=narrow")),
        ["https://crm.example contacts.read contacts.write"]
    );
}

#[test]
fn unknown_scopes_are_counted_and_never_echoed() {
    let parameters = "audience=crm&scope=contacts.read+my.secret+customers.lookup";
    assert_eq!(scope_denial(ALL, user(), parameters), (String::new(), 2));
    let sentence = denial(ALL, user(), parameters).to_string();
    assert!(!sentence.contains("secret") && sentence.contains('2'), "{sentence}");
    assert_eq!(given(ALL, user(), &format!("{parameters}&scope_mode=narrow")), ["https://crm.example contacts.read"]);
    assert_eq!(scope_denial(ALL, user(), "audience=crm&scope=x&scope_mode=narrow"), (String::new(), 1));
}

#[test]
fn no_scope_asked_gives_the_defaults_that_are_held() {
    let held_write = own(held(&[(CRM, "contacts.write")]), vec![]);
    assert_eq!(scope_denial(ALL, held_write, "audience=crm"), (String::new(), 0));
    let held_both = own(held(&[(CRM, "contacts.read contacts.write")]), vec![]);
    assert_eq!(given(ALL, held_both, "audience=crm"), ["https://crm.example contacts.read"]);
    assert_eq!(scope_denial(ALL, user(), "resource=https://calendar.example"), (String::new(), 0), "it has no defaults");
}

#[test]
fn one_declared_step_derives_and_nothing_is_regained() {
    assert_eq!(given(ALL, lookup(), "audience=crm"), ["https://crm.example contacts.read"]);
    assert_eq!(scope_denial(ALL, lookup(), "audience=crm&scope=contacts.write"), ("contacts.write".into(), 0));
    let been_there =
        |scopes| own(held(&[(ASSISTANT, "customers.lookup")]), held(&[(ASSISTANT, "customers.lookup"), (CRM, scopes)]));
    assert_eq!(no_target(ALL, been_there("contacts.write"), "audience=crm"), AuthorityReason::Unreachable);
    assert_eq!(no_target(ALL, been_there(""), "audience=crm"), AuthorityReason::Unreachable);
    assert_eq!(given(ALL, been_there("contacts.read"), "audience=crm"), ["https://crm.example contacts.read"]);
}

#[test]
fn a_step_is_taken_once_not_twice() {
    let mut apis = apis();
    apis[3].derive = vec![derive(CRM, "contacts.read", "calendar.read")];
    let catalog = Catalog::new(agents(), apis, &[]).unwrap();
    let admitted = admitted(&catalog, "orchestrator", subject(lookup()));
    let refused = exchanged(&policies(ALL), &catalog, &admitted, "resource=https://calendar.example").unwrap_err();
    assert_eq!(refused, Refused::Authority(AuthorityReason::Unreachable));
}

#[test]
fn a_policy_that_errors_denies() {
    let overflow = "context.depth + 9223372036854775807 > 0";
    for effect in ["forbid", "permit"] {
        let text =
            format!(r#"{ALL} @id("bad") {effect} (principal, action == Action::"exchange", resource) when {{ {overflow} }};"#);
        let denial = denial(&text, user(), "audience=crm");
        assert_eq!(denial.explanation.erred, ["bad"], "{effect}");
        assert!(denial.explanation.forbade.is_empty());
    }
    let elsewhere =
        format!(r#"{ALL} forbid (principal, action, resource == Scope::"{CRM} contacts.delete") when {{ {overflow} }};"#);
    let elsewhere = elsewhere.replace("action,", r#"action == Action::"exchange","#);
    assert_eq!(given(&elsewhere, user(), "audience=crm"), ["https://crm.example contacts.read"]);
    let both = "audience=crm&scope=contacts.read+contacts.delete";
    assert_eq!(scope_denial(&elsewhere, user(), both), ("contacts.delete".into(), 0));
}

#[test]
fn the_grant_names_who_decided_and_on_what() {
    let text = r#"@id("z") permit (principal in Team::"research", action == Action::"exchange", resource);
                  permit (principal, action == Action::"exchange", resource);
                  @id("unused") permit (principal in Team::"platform", action, resource);
                  @id("a") permit (principal, action, resource == Scope::"https://crm.example contacts.write");"#;
    let grant = decided(text, lookup(), "audience=crm").unwrap();
    assert_eq!(grant.policies(), ["test#2", "z"]);
    assert_eq!(grant.policy_set(), policies(text).digest());
    assert_eq!(grant.touched(), ["notes", "pii"]);
    let grant = decided(text, user(), "audience=crm&scope=contacts.read+contacts.write").unwrap();
    assert_eq!(grant.policies(), ["a", "test#2", "z"]);
    assert_eq!(grant.touched(), ["pii"]);
}

#[test]
fn what_forbade_is_explained_and_the_rest_is_granted() {
    let text = format!(
        r#"{ALL} @id("no") forbid (principal is Agent, action, resource is Scope) when {{ resource.effect != "read" }};"#
    );
    let denial = denial(&text, user(), "audience=crm&scope=contacts.write");
    assert_eq!(denial.explanation.forbade, ["no"]);
    let grant = decided(&text, user(), "audience=crm&scope=contacts.write+contacts.read&scope_mode=narrow").unwrap();
    assert_eq!(grant.policies(), ["all"]);
}

#[test]
fn a_token_lives_as_long_as_the_shortest_of_all_limits() {
    let mut apis = apis();
    apis[1].lifetime = Some(Duration::from_secs(7200));
    let catalog = Catalog::new(agents(), apis, &[]).unwrap();
    let seconds = |text: &str, parameters: &str, subject_lives: u64| {
        let subject = VerifiedSubject::for_tests(ann(), user(), NOW.plus(Duration::from_millis(subject_lives)));
        let admitted = admitted(&catalog, "orchestrator", subject);
        match exchanged(&policies(text), &catalog, &admitted, parameters) {
            Ok(grant) => Ok(grant.expires().since(NOW).as_secs()),
            Err(refused) => Err(refused.denial().reason().clone()),
        }
    };
    let short =
        format!(r#"{ALL} @lifetime("2m") permit (principal, action, resource is Scope) when {{ resource.effect == "read" }};"#);
    let hour = format!(r#"{ALL} @lifetime("1h") permit (principal, action == Action::"exchange", resource);"#);
    let both = "audience=crm&scope=contacts.read+contacts.write";
    assert_eq!(seconds(ALL, "audience=crm", 9_999_000), Ok(300), "the server's default");
    assert_eq!(seconds(ALL, "audience=https://assistant.example", 9_999_000), Ok(900), "no API exceeds the maximum");
    assert_eq!(seconds(&short, "audience=crm", 9_999_000), Ok(120));
    assert_eq!(seconds(&short, both, 9_999_000), Ok(120), "the shortest of all scopes");
    assert_eq!(seconds(&short, "audience=crm&scope=contacts.write", 9_999_000), Ok(300));
    assert_eq!(seconds(&hour, "audience=crm", 9_999_000), Ok(300), "a policy never lengthens");
    assert_eq!(seconds(&short, "audience=crm", 59_999), Ok(59), "never beyond what was presented, in whole seconds");
    assert_eq!(seconds(ALL, "audience=crm", 999), Err(DenialReason::Expired));
    assert_eq!(seconds(ALL, "audience=crm", 0), Err(DenialReason::Expired));
}

#[test]
fn presenting_another_agent_needs_a_policy_of_its_own() {
    let catalog = catalog();
    let admitted = acting(&catalog, "orchestrator", "researcher", subject(user()), ExchangeMode::Delegation);
    let ask = |text: &str| exchanged(&policies(text), &catalog, &admitted, "audience=crm");
    let denied = |text: &str| ask(text).unwrap_err().denial().reason().clone();
    let exchange = r#"@id("x") permit (principal == Agent::"researcher", action == Action::"exchange", resource);"#;
    let present = r#"@id("p") @lifetime("1m")
        permit (principal == Agent::"orchestrator", action == Action::"present_actor", resource == Agent::"researcher");"#;
    let reverse = present
        .replace("orchestrator", "x")
        .replace("researcher", "orchestrator")
        .replace("Agent::\"x\"", "Agent::\"researcher\"");
    assert_eq!(denied(exchange), DenialReason::PresentActor);
    assert_eq!(denied(&format!("{exchange}{reverse}")), DenialReason::PresentActor);
    let grant = ask(&format!("{exchange}{present}")).unwrap();
    assert_eq!((grant.policies().join(" "), grant.expires().since(NOW).as_secs()), ("p x".to_owned(), 60));
    let for_client = exchange.replace("researcher", "orchestrator");
    assert_eq!(denied(&format!("{for_client}{present}")), DenialReason::TargetRefused, "the actor is the principal");
}

#[test]
fn impersonation_needs_its_own_action_and_the_client_is_the_principal() {
    let catalog = catalog();
    let admitted = acting(&catalog, "orchestrator", "orchestrator", subject(user()), ExchangeMode::Impersonation);
    let ask = |text: &str| exchanged(&policies(text), &catalog, &admitted, "audience=crm&impersonate=true");
    assert_eq!(ask(ALL).unwrap_err().denial().reason(), &DenialReason::Impersonation);
    let permit = r#"permit (principal == Agent::"orchestrator", action == Action::"impersonate", resource);"#;
    assert!(ask(permit).is_ok());
    assert!(ask(&permit.replace("orchestrator", "researcher")).is_err());
}

#[test]
fn policy_reads_what_the_request_is() {
    let catalog = catalog();
    let ours = |name| Actor::agent("https://sts.example", name, "ai_agent", None);
    let chain = ActChain::default()
        .extended(Actor::agent("https://evil.example", "researcher", "x", None))
        .extended(ours("orchestrator"));
    let authentication = Authentication {
        acr: Some("gold".into()),
        amr: vec!["pwd".into()],
        time: Some(Time::from_millis(NOW.millis() - 61_500)),
    };
    let told =
        subject(user()).told(authentication, vec![("department".into(), "sales".into()), ("department".into(), "sales".into())]);
    let admitted = admitted(&catalog, "orchestrator", told).with_chain(chain);
    let holds = |condition: &str| {
        let text = format!(r#"permit (principal, action == Action::"exchange", resource) when {{ {condition} }};"#);
        exchanged(&policies(&text), &catalog, &admitted, "audience=crm").is_ok()
    };
    for condition in [
        r#"context.subject == Subject::"acme-idp:ann" && context.subject.kind == "user" && context.subject.id == "ann""#,
        r#"context.subject.rule == "acme-idp" && context.trust == "acme-idp""#,
        r#"context.subject.hasTag("department") && context.subject.getTag("department") == "sales""#,
        r#"!(context.subject.hasTag("mail"))"#,
        r#"context.client == "orchestrator" && context.actor == "orchestrator" && context.instance == "pod-1""#,
        r#"context.chain == ["orchestrator", "https://evil.example|researcher"] && context.depth == 1"#,
        r#"context.task == "" && context.purpose == "" && context.binding == "none" && !context.approved"#,
        r#"context.data == ["pii"] && context.data == resource.data && context.touched.isEmpty()"#,
        r#"context.destination == "internal" && context.effect == "read" && resource.effect == context.effect"#,
        r#"context.time == datetime("2026-11-20T12:00:00Z")"#,
        r#"context.acr == "gold" && context.amr == ["pwd"] && context.auth_age == 61"#,
        r#"context.basis == "delegation" && principal.owner == "dana@acme.example" && principal.kind == "ai_agent""#,
        r#"[context, context].contains(context) && context has subject.kind"#,
    ] {
        assert!(holds(condition), "{condition}");
        assert!(!holds(&format!("!({condition})")), "not {condition}");
    }
}

#[test]
fn at_the_second_hop_who_vouched_is_known_and_what_is_not_is_empty_or_the_greatest_number() {
    for condition in [
        r#"context.auth_age == 9223372036854775807 && context.acr == "" && context.amr.isEmpty()"#,
        r#"context.trust == "acme-idp" && context.chain.isEmpty()"#,
        r#"context.subject.kind == "user" && context.subject.rule == "acme-idp""#,
        r#"context.depth == 2 && context.touched == ["notes"]"#,
    ] {
        let text = format!(r#"permit (principal, action == Action::"exchange", resource) when {{ {condition} }};"#);
        assert!(decided(&text, lookup(), "").is_ok(), "{condition}");
    }
}

#[test]
fn a_denial_carries_what_decided() {
    let text = format!(
        r#"{ALL} @id("no") forbid (principal, action == Action::"exchange", resource in Api::"{CRM}");
        @id("bad") permit (principal, action == Action::"exchange", resource)
        when {{ context.depth + 9223372036854775807 > 0 }};"#
    );
    let denied = denial(&text, user(), "audience=crm");
    assert_eq!(denied.policies(), ["bad", "no"]);
    assert_eq!(denied.policy_set(), Some(policies(&text).digest()));
    let implied = denial("", lookup(), "");
    assert_eq!((implied.policies(), implied.policy_set()), (vec![], Some(policies("").digest())));
}

#[test]
fn approval_is_needed_where_it_alone_would_make_a_grant() {
    let guarded = format!(
        r#"{ALL} @id("guard") forbid (principal is Agent, action, resource is Scope)
        when {{ resource.effect == "irreversible" && !context.approved }};"#
    );
    let Err(Refused::ApprovalNeeded(needed)) = decided(&guarded, user(), "audience=crm&scope=contacts.delete") else {
        unreachable!("approval is needed")
    };
    assert!(matches!(needed.reason(), DenialReason::Scope(_)));
    assert_eq!(needed.policies(), ["guard"]);
    let approved = r#"permit (principal, action == Action::"exchange", resource) when { context.approved };"#;
    assert!(matches!(decided(approved, user(), "audience=crm"), Err(Refused::ApprovalNeeded(_))));
    let wide = "audience=crm&scope=contacts.delete+contacts.none";
    assert!(matches!(decided(&guarded, user(), wide), Err(Refused::Denial(_))), "what no approval makes good");
    let held = own(held(&[(CRM, "contacts.read")]), vec![]);
    assert!(matches!(decided(&guarded, held, "audience=crm&scope=contacts.delete"), Err(Refused::Denial(_))), "out of reach");
    let short = subject_that_lives(999);
    assert!(matches!(short(&guarded), Err(Refused::Denial(_))), "an approval lengthens nothing");
}

/// An exchange of a subject token that lives so many milliseconds more.
fn subject_that_lives(millis: u64) -> impl Fn(&str) -> Result<Grant, Refused> {
    move |text| {
        let catalog = catalog();
        let subject = VerifiedSubject::for_tests(ann(), user(), NOW.plus(Duration::from_millis(millis)));
        exchanged(&policies(text), &catalog, &admitted(&catalog, "orchestrator", subject), "audience=crm")
    }
}

#[test]
fn every_sentence_is_fit_for_error_description() {
    let scope = |refused: &str, undeclared, asked| {
        let unknown = scopes_of(undeclared);
        let narrow = unknown.len() == 3;
        let unknown = UnknownScopes::new(&unknown.iter().collect::<Vec<_>>(), None);
        DenialReason::Scope(ScopeDenial { refused: scopes_of(refused), unknown, asked, narrow })
    };
    let many: Vec<String> = (10..40).map(|n| format!("s{n}")).collect();
    use AuthorityReason::{Gone, Missing, Several, UnknownAudience, UnknownResource, Unreachable};
    let targets = [Gone, Missing, Several, UnknownAudience, UnknownResource, Unreachable];
    let mut all: Vec<String> = targets.iter().map(ToString::to_string).collect();
    use DenialReason::{Expired, Impersonation, PresentActor, TargetEmpty, TargetRefused};
    let denials = [TargetRefused, TargetEmpty, Impersonation, PresentActor, Expired];
    let scopes = [scope("a b", "openid", true), scope(&many.join(" "), "", true), scope("", "x y z", true), scope("", "", false)];
    for denial in denials.into_iter().chain(scopes).map(Denial::before_policy) {
        all.extend([denial.to_string(), format!("{denial:#}")]);
    }
    for sentence in all {
        let fit = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\' || byte == b' ';
        assert!(sentence.bytes().all(fit) && sentence.len() < 250, "{sentence}");
        assert!(sentence.starts_with(|letter: char| letter.is_ascii_lowercase()) && !sentence.ends_with('.'), "{sentence}");
        assert!(!sentence.contains("  "), "{sentence}");
    }
}
