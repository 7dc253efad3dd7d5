//! The decisions of product.md ("which target", "which scope"), of RFC 8693 §2.2.2 and of what policy may do, row by row.

use super::*;
use crate::oauth::{ActChain, Actor};
use crate::token::Authentication;

const ALL: &str = r#"@id("all") permit (principal, action == Action::"exchange", resource);"#;

fn decided(policy: &str, origin: Origin, parameters: &str) -> Result<Grant, Denial> {
    let catalog = catalog();
    let standing = standing(&catalog, "orchestrator", subject(origin));
    decide(&policies(policy), &catalog, &standing, &request(parameters), &limits(), NOW)
}

fn given(policy: &str, origin: Origin, parameters: &str) -> Vec<String> {
    granted(&decided(policy, origin, parameters).unwrap())
}

fn target_denial(policy: &str, origin: Origin, parameters: &str) -> TargetDenial {
    match decided(policy, origin, parameters) {
        Err(Denial::Target(reason, _)) => reason,
        other => unreachable!("{parameters}: {other:?}"),
    }
}

/// The scopes that are refused by name, and how many are not known.
fn scope_denial(policy: &str, origin: Origin, parameters: &str) -> (String, usize) {
    match decided(policy, origin, parameters) {
        Err(Denial::Scope(reason, _)) => (reason.refused().to_string(), reason.undeclared()),
        other => unreachable!("{parameters}: {other:?}"),
    }
}

fn lookup() -> Origin {
    own(held(&[(ASSISTANT, "customers.lookup")]), held(&[(ASSISTANT, "customers.lookup")]))
}

#[test]
fn every_resource_and_audience_must_be_registered() {
    assert_eq!(target_denial(ALL, user(), "resource=https://else.example"), TargetDenial::UnknownResource);
    assert_eq!(target_denial(ALL, user(), "resource=https://crm.example/"), TargetDenial::UnknownResource);
    assert_eq!(target_denial(ALL, user(), "audience=else"), TargetDenial::UnknownAudience);
    assert_eq!(target_denial(ALL, user(), "resource=https://crm.example&audience=else"), TargetDenial::UnknownAudience);
    assert_eq!(target_denial(ALL, user(), "audience=crm&resource=https://else.example"), TargetDenial::UnknownResource);
}

#[test]
fn a_target_is_found_by_id_and_audience_also_by_name() {
    for parameters in
        ["resource=https://crm.example", "audience=crm", "audience=https://crm.example", "audience=crm&audience=crm"]
    {
        assert_eq!(given(ALL, user(), parameters), ["https://crm.example contacts.read"], "{parameters}");
    }
    assert_eq!(target_denial(ALL, user(), "resource=crm:"), TargetDenial::UnknownResource);
}

#[test]
fn without_a_target_the_audience_of_our_own_token_is_meant() {
    assert_eq!(given(ALL, lookup(), ""), ["https://assistant.example customers.lookup"]);
    assert_eq!(target_denial(ALL, user(), ""), TargetDenial::Missing);
    assert_eq!(target_denial(ALL, own(held(&[("https://gone.example", "a")]), vec![]), ""), TargetDenial::Gone);
    assert_eq!(target_denial(ALL, own(vec![], vec![]), ""), TargetDenial::Missing);
}

#[test]
fn several_targets_must_be_one_group_and_each_gets_a_scope() {
    let both = "resource=https://mail.example&resource=https://calendar.example";
    assert_eq!(target_denial(ALL, user(), "resource=https://crm.example&resource=https://mail.example"), TargetDenial::Several);
    assert_eq!(target_denial(ALL, user(), "resource=https://mail.example&audience=crm"), TargetDenial::Several);
    assert_eq!(
        target_denial(ALL, user(), "resource=https://crm.example&resource=https://assistant.example"),
        TargetDenial::Several,
        "having no group is not a group"
    );
    let parts = given(ALL, user(), &format!("{both}&scope=calendar.read+mail.read+calendar.write"));
    assert_eq!(parts, ["https://mail.example mail.read", "https://calendar.example calendar.read calendar.write"]);
    assert_eq!(target_denial(ALL, user(), &format!("{both}&scope=mail.read")), TargetDenial::Empty);
    assert_eq!(target_denial(ALL, user(), both), TargetDenial::Empty, "the calendar has no defaults");
    let own = own(held(&[("https://mail.example", "mail.read"), ("https://calendar.example", "calendar.read")]), vec![]);
    assert_eq!(decided(ALL, own, "scope=mail.read+calendar.read").unwrap().scopes().to_string(), "calendar.read mail.read");
}

#[test]
fn in_a_group_policy_may_not_leave_a_target_without_scope() {
    let both = "resource=https://mail.example&resource=https://calendar.example&scope_mode=narrow&scope=mail.read+calendar.write";
    let partly = r#"permit (principal, action, resource in Api::"https://mail.example") when { principal is Agent };
                    permit (principal is Agent, action, resource == Scope::"https://calendar.example calendar.read");"#;
    assert_eq!(target_denial(partly, user(), both), TargetDenial::Empty);
    let not_at_all = r#"permit (principal is Agent, action, resource in Api::"https://mail.example");"#;
    assert_eq!(target_denial(not_at_all, user(), both), TargetDenial::Refused);
}

#[test]
fn a_target_on_which_nothing_is_reachable_is_an_invalid_target() {
    assert_eq!(target_denial(ALL, lookup(), "resource=https://mail.example"), TargetDenial::Unreachable);
    assert_eq!(target_denial(ALL, own(held(&[(CRM, "contacts.none")]), vec![]), "audience=crm"), TargetDenial::Unreachable);
    let read_elsewhere = own(held(&[("https://mail.example", "customers.lookup")]), vec![]);
    assert_eq!(target_denial(ALL, read_elsewhere, "audience=crm"), TargetDenial::Unreachable, "scopes of two APIs never mix");
}

#[test]
fn a_target_that_policy_denies_whole_is_an_invalid_target_and_otherwise_the_scope_is() {
    let none = r#"forbid (principal, action, resource in Api::"https://crm.example");"#;
    let read = r#"permit (principal, action == Action::"exchange", resource == Scope::"https://crm.example contacts.read");"#;
    assert_eq!(target_denial(&format!("{ALL}{none}"), user(), "audience=crm"), TargetDenial::Refused);
    assert_eq!(target_denial("", user(), "audience=crm"), TargetDenial::Refused);
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
    let sentence = decided(ALL, user(), parameters).unwrap_err().to_string();
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
    assert_eq!(target_denial(ALL, been_there("contacts.write"), "audience=crm"), TargetDenial::Unreachable);
    assert_eq!(target_denial(ALL, been_there(""), "audience=crm"), TargetDenial::Unreachable);
    assert_eq!(given(ALL, been_there("contacts.read"), "audience=crm"), ["https://crm.example contacts.read"]);
}

#[test]
fn a_step_is_taken_once_not_twice() {
    let mut apis = apis();
    apis[3].derive = vec![derive(CRM, "contacts.read", "calendar.read")];
    let catalog = Catalog::new(agents(), apis, &[]).unwrap();
    let standing = standing(&catalog, "orchestrator", subject(lookup()));
    let denial = decide(&policies(ALL), &catalog, &standing, &request("resource=https://calendar.example"), &limits(), NOW);
    assert_eq!(denial.unwrap_err(), Denial::target(TargetDenial::Unreachable));
}

#[test]
fn a_policy_that_errors_denies() {
    let overflow = "context.depth + 9223372036854775807 > 0";
    for effect in ["forbid", "permit"] {
        let text =
            format!(r#"{ALL} @id("bad") {effect} (principal, action == Action::"exchange", resource) when {{ {overflow} }};"#);
        let denial = decided(&text, user(), "audience=crm").unwrap_err();
        assert_eq!(denial.explanation().unwrap().erred(), ["bad"], "{effect}");
        assert!(denial.explanation().unwrap().forbade().is_empty());
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
    assert_eq!((grant.touched(), grant.impersonation()), (["pii".to_owned()].as_slice(), false));
}

#[test]
fn what_forbade_is_explained_also_where_the_rest_is_granted() {
    let text = format!(
        r#"{ALL} @id("no") forbid (principal is Agent, action, resource is Scope) when {{ resource.effect != "read" }};"#
    );
    let denial = decided(&text, user(), "audience=crm&scope=contacts.write").unwrap_err();
    assert_eq!(denial.explanation().unwrap().forbade(), ["no"]);
    let grant = decided(&text, user(), "audience=crm&scope=contacts.write+contacts.read&scope_mode=narrow").unwrap();
    assert_eq!(grant.explanation().forbade(), ["no"]);
    assert_eq!(grant.policies(), ["all"]);
}

#[test]
fn a_token_lives_as_long_as_the_shortest_of_all_limits() {
    let mut apis = apis();
    apis[1].lifetime = Some(Duration::from_secs(7200));
    let catalog = Catalog::new(agents(), apis, &[]).unwrap();
    let seconds = |text: &str, parameters: &str, subject_lives: u64| {
        let subject = VerifiedSubject::for_tests(ann(), user(), NOW.plus(Duration::from_millis(subject_lives)));
        let standing = standing(&catalog, "orchestrator", subject);
        decide(&policies(text), &catalog, &standing, &request(parameters), &limits(), NOW)
            .map(|grant| grant.expires().since(NOW).as_secs())
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
    assert_eq!(seconds(ALL, "audience=crm", 999), Err(Denial::Expired));
    assert_eq!(seconds(ALL, "audience=crm", 0), Err(Denial::Expired));
}

#[test]
fn presenting_another_agent_needs_a_policy_of_its_own() {
    let catalog = catalog();
    let standing = acting(&catalog, "orchestrator", "researcher", subject(user()), ExchangeMode::Delegation);
    let ask = |text: &str| decide(&policies(text), &catalog, &standing, &request("audience=crm"), &limits(), NOW);
    let exchange = r#"@id("x") permit (principal == Agent::"researcher", action == Action::"exchange", resource);"#;
    let present = r#"@id("p") @lifetime("1m")
        permit (principal == Agent::"orchestrator", action == Action::"present_actor", resource == Agent::"researcher");"#;
    let reverse = present
        .replace("orchestrator", "x")
        .replace("researcher", "orchestrator")
        .replace("Agent::\"x\"", "Agent::\"researcher\"");
    assert_eq!(ask(exchange).unwrap_err(), Denial::PresentActor(Explanation::default()));
    assert_eq!(ask(&format!("{exchange}{reverse}")).unwrap_err(), Denial::PresentActor(Explanation::default()));
    let grant = ask(&format!("{exchange}{present}")).unwrap();
    assert_eq!((grant.policies().join(" "), grant.expires().since(NOW).as_secs()), ("p x".to_owned(), 60));
    let for_client = exchange.replace("researcher", "orchestrator");
    assert_eq!(
        ask(&format!("{for_client}{present}")).unwrap_err(),
        Denial::target(TargetDenial::Refused),
        "the actor is the principal"
    );
}

#[test]
fn impersonation_needs_its_own_action_and_the_client_is_the_principal() {
    let catalog = catalog();
    let standing = acting(&catalog, "orchestrator", "orchestrator", subject(user()), ExchangeMode::Impersonation);
    let ask =
        |text: &str| decide(&policies(text), &catalog, &standing, &request("audience=crm&impersonate=true"), &limits(), NOW);
    assert_eq!(ask(ALL).unwrap_err(), Denial::Impersonation(Explanation::default()));
    let permit = r#"permit (principal == Agent::"orchestrator", action == Action::"impersonate", resource);"#;
    assert!(ask(permit).unwrap().impersonation());
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
    let standing = standing(&catalog, "orchestrator", told).with_chain(chain);
    let holds = |condition: &str| {
        let text = format!(r#"permit (principal, action == Action::"exchange", resource) when {{ {condition} }};"#);
        decide(&policies(&text), &catalog, &standing, &request("audience=crm"), &limits(), NOW).is_ok()
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
fn what_is_not_known_is_empty_or_less_than_zero() {
    for condition in [
        r#"context.auth_age == -1 && context.acr == "" && context.amr.isEmpty()"#,
        r#"context.trust == "" && context.chain.isEmpty()"#,
        r#"context.subject.kind == "user" && context.subject.rule == "acme-idp""#,
        r#"context.depth == 2 && context.touched == ["notes"]"#,
    ] {
        let text = format!(r#"permit (principal, action == Action::"exchange", resource) when {{ {condition} }};"#);
        assert!(decided(&text, lookup(), "").is_ok(), "{condition}");
    }
}

#[test]
fn every_sentence_is_fit_for_error_description() {
    let found = Explanation::default;
    let scope = |refused: &str, undeclared, asked| {
        Denial::Scope(ScopeDenial { refused: scopes_of(refused), undeclared, asked, narrow: undeclared == 3 }, found())
    };
    let many: Vec<String> = (10..40).map(|n| format!("s{n}")).collect();
    use TargetDenial::{Empty, Gone, Missing, Refused, Several, UnknownAudience, UnknownResource, Unreachable};
    let targets = [Empty, Gone, Missing, Refused, Several, UnknownAudience, UnknownResource, Unreachable];
    let mut all: Vec<Denial> = targets.map(Denial::target).into();
    all.extend([Denial::Impersonation(found()), Denial::PresentActor(found()), Denial::Expired]);
    all.extend([scope("a b", 1, true), scope(&many.join(" "), 0, true), scope("", 3, true), scope("", 0, false)]);
    for denial in all {
        let sentence = denial.to_string();
        let fit = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\' || byte == b' ';
        assert!(sentence.bytes().all(fit) && sentence.len() < 250, "{sentence}");
        assert!(sentence.starts_with(|letter: char| letter.is_ascii_lowercase()) && !sentence.ends_with('.'), "{sentence}");
        assert!(!sentence.contains("  "), "{sentence}");
    }
}
