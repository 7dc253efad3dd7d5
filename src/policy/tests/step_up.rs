//! RFC 9470: where only another login of the person is missing, the refusal says which.

use super::*;
use crate::token::Authentication;

/// `acr_values` and `max_age`.
type Login = (&'static [&'static str], Option<i64>);

const CONDITIONS: [(&str, Option<Login>); 12] = [
    (r#"context.acr == "gold""#, Some((&["gold"], None))),
    (r#"["gold", "platinum"].contains(context.acr)"#, Some((&["gold", "platinum"], None))),
    ("context.auth_age <= 300", Some((&[], Some(300)))),
    ("context.auth_age < 300", Some((&[], Some(299)))),
    (r#"context.acr == "gold" && context.auth_age <= 300"#, Some((&["gold"], Some(300)))),
    (r#"context.acr == "gold" || context.auth_age <= 60"#, Some((&[], Some(60)))),
    (r#"(context.acr == "gold" && context.auth_age <= 600) || (context.acr == "high" && context.auth_age <= 60)"#, BOTH),
    (r#"context.acr == "silver""#, None),
    (r#"context.acr == "gold" && context.purpose == "audit""#, None),
    (r#"context.purpose == "audit""#, None),
    (r#"context.amr.contains("hwk")"#, None),
    ("context.auth_age <= 300 && context.depth > 5", None),
];

/// Either context does within the shorter time.
const BOTH: Option<Login> = Some((&["gold", "high"], Some(60)));

/// A person who signed in an hour ago, with an acr of "silver".
fn asked(text: &str, origin: Origin) -> Result<Grant, Refused> {
    let authentication = Authentication {
        acr: Some("silver".into()),
        amr: vec!["pwd".into()],
        time: Some(Time::from_seconds(NOW.seconds() - 3600)),
    };
    let catalog = catalog();
    let subject = subject(origin).told(authentication, vec![]);
    exchanged(&policies(text), &catalog, &admitted(&catalog, "orchestrator", subject), "audience=crm")
}

#[test]
fn the_login_that_is_missing_is_told_and_helps() {
    let head = r#"(principal, action == Action::"exchange", resource)"#;
    for (condition, wanted) in CONDITIONS {
        for text in
            [format!("permit {head} when {{ {condition} }};"), format!("permit {head}; forbid {head} unless {{ {condition} }};")]
        {
            let told = match asked(&text, user()) {
                Ok(_) => {
                    assert_eq!(condition, r#"context.acr == "silver""#);
                    continue;
                }
                Err(refused) => refused.denial().reason().clone(),
            };
            let wanted =
                wanted.map(|(acrs, max_age)| StepUp { acr_values: acrs.iter().map(|acr| (*acr).into()).collect(), max_age });
            match (wanted, told) {
                (Some(wanted), DenialReason::StepUp(told)) => assert_eq!(told, wanted, "{text}"),
                (None, told) => assert_eq!(told, DenialReason::TargetRefused, "{text}"),
                (wanted, told) => unreachable!("{text}: {wanted:?} {told:?}"),
            }
        }
    }
}

/// Who acts for itself cannot sign in, and a person's approval is asked for before another login.
#[test]
fn nobody_but_a_person_is_sent_to_sign_in() {
    let head = r#"(principal, action == Action::"exchange", resource)"#;
    let text = format!(r#"permit {head} when {{ context.acr == "gold" }};"#);
    let mut origin = own(held(&[(CRM, "contacts.read")]), vec![]);
    assert!(matches!(asked(&text, origin).unwrap_err().denial().reason(), DenialReason::StepUp(_)), "a person's token of ours");
    origin = own(held(&[(CRM, "contacts.read")]), vec![]);
    if let Origin::Own(own) = &mut origin {
        own.kind = Some(crate::trust::SubjectKind::Workload);
    }
    assert_eq!(asked(&text, origin).unwrap_err().denial().reason(), &DenialReason::TargetRefused);
    let either = format!(r#"permit {head} when {{ context.acr == "gold" || context.approved }};"#);
    assert!(matches!(asked(&either, user()), Err(Refused::ApprovalNeeded(_))));
    let sentence = asked(&text, user()).unwrap_err().denial().to_string();
    assert!(sentence.contains("with acr gold") && sentence.ends_with("have the person sign in again and send that token"));
}
