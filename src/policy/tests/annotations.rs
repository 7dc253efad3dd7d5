//! The annotations of permits: each narrows what is granted, and an exception stops counting by itself.

use proptest::prelude::*;

use super::index::Dice;
use super::*;
use crate::binding::SenderConstraint;
use crate::policy::cedar::{Action, SharedContext};
use crate::policy::context::ScopeContext;
use crate::policy::policies::RequestResource;
use crate::policy::request_context::RequestContext;

const PERMIT: &str = r#"permit (principal, action == Action::"exchange", resource);"#;

fn asked(text: &str) -> Result<Grant, Refused> {
    let catalog = catalog();
    exchanged(&policies(text), &catalog, &admitted(&catalog, "orchestrator", subject(user())), "audience=crm")
}

/// The strictest counts, whichever of the permits says it.
#[test]
fn a_sender_constraint_is_required_by_any_permit_that_has_a_part() {
    for text in
        [format!("@sender_constraint(\"required\") {PERMIT}"), format!("{PERMIT}\n@sender_constraint(\"required\") {PERMIT}")]
    {
        let denial = asked(&text).unwrap_err().denial();
        assert_eq!(denial.reason(), &DenialReason::Unbound);
        assert!(denial.to_string().contains("send a DPoP header"), "{denial}");
        assert!(denial.policies().contains(&"test#1".to_owned()), "the record names what stood in the way");
    }
    let of_another = r#"@sender_constraint("required") permit (principal == Agent::"crm-api", action, resource is Scope);"#;
    assert!(asked(&format!("{PERMIT}\n{of_another}")).is_ok(), "it has no part in this");
    let elsewhere = r#"@sender_constraint("required")
        permit (principal, action == Action::"exchange", resource == Scope::"https://crm.example contacts.write");"#;
    assert_eq!(asked(elsewhere).unwrap_err().denial().reason(), &DenialReason::TargetRefused, "nobody asked for that scope");
}

#[test]
fn a_chain_that_is_to_be_hidden_is_shown_by_none() {
    assert!(!asked(PERMIT).unwrap().shows_current());
    assert!(asked(&format!("@chain(\"current\") {PERMIT}")).unwrap().shows_current());
    assert!(asked(&format!("{PERMIT}\n@chain(\"current\") {PERMIT}")).unwrap().shows_current());
}

/// Whoever says who has to approve cannot be outvoted by a permit that does not.
#[test]
fn what_has_to_be_approved_is_not_granted_before() {
    for approvers in ["person", "two-persons"] {
        for text in [format!("@approval(\"{approvers}\") {PERMIT}"), format!("{PERMIT}\n@approval(\"{approvers}\") {PERMIT}")] {
            assert!(matches!(asked(&text), Err(Refused::ApprovalNeeded(_))), "{text}");
        }
        let forbidden = format!("@approval(\"{approvers}\") {PERMIT}\nforbid (principal, action, resource);");
        assert!(matches!(asked(&forbidden), Err(Refused::Denial(_))), "approval would not help");
    }
}

/// An exception of these dates.
fn exception(expires: &str, id: &str) -> String {
    format!(
        "@id(\"{id}\") @exception(\"no-access\") @owner(\"dana@acme.example\") @reason(\"audit\") \
         @expires(\"{expires}\") {PERMIT}"
    )
}

#[test]
fn an_exception_stops_counting_by_itself() {
    for (expires, counts) in [
        ("2026-11-20T12:00:01Z", true),
        ("2026-11-20T12:00:00Z", false),
        ("2026-11-20T13:00:00+02:00", false),
        ("2026-11-20", true),
        ("2026-11-19", false),
        ("2027-01-31", true),
    ] {
        assert_eq!(asked(&exception(expires, "x")).is_ok(), counts, "{expires}");
    }
    let both = format!("{}\n{}", exception("2026-11-19", "over"), exception("2026-11-21", "lives"));
    assert_eq!(asked(&both).unwrap().policies(), ["lives"], "the record names only what counted");
    let erring =
        exception("2026-11-19", "over").replace("resource);", "resource) when { context.depth + 9223372036854775807 > 0 };");
    assert!(asked(&format!("{PERMIT}\n{erring}")).is_ok(), "nor does its error count");
    let living = erring.replace("2026-11-19", "2026-11-21");
    assert!(asked(&format!("{PERMIT}\n{living}")).is_err());
    let set = policies(&both);
    let [(id, told)] = set.exceptions(NOW)[..] else { unreachable!("one lives") };
    assert_eq!((id, told.owner.as_str(), told.expires.since(NOW).as_secs()), ("lives", "dana@acme.example", 36 * 3600));
}

/// A set with exceptions that are over decides as the set without them does.
fn over_is_as_if_it_were_not_there(rolls: Vec<u16>) {
    let mut dice = Dice::new(rolls);
    let (mut with, mut without) = (String::new(), String::new());
    for number in 0..dice.below(8) {
        let policy = super::index::policy(&mut dice);
        let named = |id: &str| format!("@id(\"p{number}\") {id}{policy}\n");
        if policy.starts_with("permit") && dice.below(2) == 0 {
            with += &named(r#"@exception("e") @owner("o") @reason("r") @expires("2026-11-19") "#);
        } else {
            with += &named("");
            without += &named("");
        }
    }
    let set = |text: String| Policies::unvalidated(&[(PathBuf::from("p.cedar"), text)]);
    let (with, without, catalog, limits) = (set(with), set(without), catalog(), limits());
    let admitted = admitted(&catalog, "orchestrator", subject(user()));
    let context = RequestContext::new(&admitted, &SenderConstraint::NONE, &limits.issuer, NOW);
    let api = catalog.api(&Resource::parse(CRM).unwrap()).unwrap();
    for (scope, info) in &api.scopes {
        let asked = RequestResource::Scope(api.clone(), scope.clone());
        let decided = |set: &Policies| {
            let agent = catalog.agent(&ClientId::parse("orchestrator").unwrap()).unwrap();
            let template = set.template(Action::Exchange, agent, &asked).unwrap();
            let decision = template.decide(&context, ScopeContext { api, info }, &mut SharedContext::new());
            super::index::sets(&set.counted(decision, NOW))
        };
        assert_eq!(decided(&with), decided(&without));
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn an_exception_that_is_over_changes_nothing(rolls in proptest::collection::vec(any::<u16>(), 80)) {
        over_is_as_if_it_were_not_there(rolls);
    }
}
