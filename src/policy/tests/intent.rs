//! What an intent changes: it is read by policy, it never talks down what an API declares, and it never gives anything.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::catalog::Destination;
use crate::oauth::{Intent, TaskId};
use crate::policy::intent::stated;
use crate::policy::outcome::IntentDenial;
use crate::token::TaskMembership;

const SCOPE: &str = r#"(principal, action == Action::"exchange", resource)"#;

/// The orchestrator with a token of ours of a chain in which `purpose` was stated; in a task where one is given.
fn under(purpose: &str, task: Option<TaskMembership>) -> AdmittedExchange {
    let mut origin = own(held(&[(CRM, "contacts.read")]), vec![]);
    if let Origin::Own(own) = &mut origin {
        (own.purpose, own.task) = (purpose.into(), task);
    }
    admitted(&catalog(), "orchestrator", subject(origin))
}

fn task(purpose: &str) -> TaskMembership {
    TaskMembership {
        id: TaskId::from_bytes([7; 16]),
        level: 1,
        authority: held(&[(CRM, "contacts.read")]),
        purpose: purpose.into(),
        data_classes: vec!["pii".into()],
        deadline: NOW.plus(Duration::from_secs(3600)),
        under: None,
        requires_proof: false,
    }
}

/// The parameters of a request with an intent of these members.
fn wanting(members: &str) -> String {
    let details = format!(r#"[{{"type":"intent"{members}}}]"#);
    let escaped: String = details.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("audience=crm&scope=contacts.read&authorization_details={escaped}")
}

fn decided(text: &str, admitted: &AdmittedExchange, members: &str) -> Result<Grant, Refused> {
    exchanged(&policies(text), &catalog(), admitted, &wanting(members))
}

#[test]
fn a_purpose_that_is_settled_stays() {
    let permit = format!(r#"permit {SCOPE} when {{ context.purpose == "report" }};"#);
    let (report, other) = (r#","purpose":"report""#, r#","purpose":"payroll""#);
    let refused = DenialReason::Intent(IntentDenial::Purpose);
    let rows = [
        (under("", None), report, None),
        (under("", None), "", Some(DenialReason::TargetRefused)),
        (under("", None), other, Some(DenialReason::TargetRefused)),
        (under("report", None), "", None),
        (under("report", None), report, None),
        (under("report", None), other, Some(refused.clone())),
        (under("payroll", None), report, Some(refused.clone())),
        (under("", Some(task("report"))), "", None),
        (under("", Some(task("report"))), report, None),
        (under("", Some(task("report"))), other, Some(refused.clone())),
        (under("", Some(task("payroll"))), report, Some(refused.clone())),
        (under("", Some(task(""))), report, Some(refused.clone())),
        (under("report", Some(task("payroll"))), report, Some(refused)),
    ];
    for (at, (admitted, members, expected)) in rows.into_iter().enumerate() {
        let decided = decided(&permit, &admitted, members);
        assert_eq!(decided.as_ref().ok().map(Grant::purpose), expected.is_none().then_some("report"), "row {at}");
        assert_eq!(decided.err().map(|refused| refused.denial().reason().clone()), expected, "row {at}");
    }
}

#[test]
fn in_a_task_no_class_is_stated_that_it_does_not_have() {
    let permit = format!("permit {SCOPE};");
    let admitted = under("", Some(task("")));
    assert!(decided(&permit, &admitted, r#","data_classes":["pii"]"#).is_ok());
    let refused = decided(&permit, &admitted, r#","data_classes":["pii","special"]"#).unwrap_err();
    assert_eq!(refused.denial().reason(), &DenialReason::Intent(IntentDenial::DataClasses));
}

/// Every set of classes and every destination that an intent can state, against every one that a forbid can look for.
#[test]
fn what_an_api_declares_is_never_talked_down() {
    let admitted = under("", None);
    let classes = ["pii", "special", "other"];
    for stated in 0..8_usize {
        let stated: Vec<&str> = (0..3).filter(|bit| stated & (1 << bit) != 0).map(|bit| classes[bit]).collect();
        for looked_for in classes {
            let text = format!(r#"permit {SCOPE}; forbid {SCOPE} when {{ context.data.contains("{looked_for}") }};"#);
            let members = format!(r#","data_classes":{}"#, serde_json::to_string(&stated).unwrap());
            let decided = decided(&text, &admitted, &members);
            // The CRM declares that contacts.read reaches pii.
            assert_eq!(decided.is_err(), looked_for == "pii" || stated.contains(&looked_for), "{stated:?} {looked_for}");
            if let Ok(grant) = decided {
                let touched: BTreeSet<&str> = grant.touched().iter().map(String::as_str).collect();
                assert!(["pii", "notes"].into_iter().chain(stated.iter().copied()).all(|class| touched.contains(class)));
            }
        }
    }
    for (at, (name, _)) in Destination::NAMES.into_iter().enumerate() {
        let text = format!(r#"permit {SCOPE} when {{ context.destination == "{name}" }};"#);
        for (stated_at, (stated, _)) in Destination::NAMES.into_iter().enumerate() {
            let decided = decided(&text, &admitted, &format!(r#","destination":"{stated}""#));
            assert_eq!(decided.is_ok(), at == stated_at, "{name} {stated}: the CRM is internal, so nothing is nearer");
        }
    }
    let mut far = apis();
    far.iter_mut().for_each(|api| api.destination = Destination::External);
    let far = Catalog::new(agents(), far, &[]).unwrap();
    let text = policies(&format!(r#"permit {SCOPE} when {{ context.destination != "external" }};"#));
    for (stated, _) in Destination::NAMES {
        assert!(exchanged(&text, &far, &admitted, &wanting(&format!(r#","destination":"{stated}""#))).is_err(), "{stated}");
    }
}

#[test]
fn a_policy_reads_action_and_parameters() {
    let rows = r#"context.intent.numbers.hasTag("parameters/rows") && context.intent.numbers.getTag("parameters/rows") <= 100"#;
    let action = r#"context.intent.hasTag("action") && context.intent.getTag("action") == "contacts.export""#;
    let permit = format!("permit {SCOPE} when {{ {rows} && {action} }};");
    let asked = |members: &str| decided(&permit, &under("", None), members).is_ok();
    assert!(asked(r#","action":"contacts.export","parameters":{"rows":100}"#));
    assert!(asked(r#","action":"contacts.export","parameters":{"rows":1e2,"more":[{"rows":900}]}"#));
    for members in [
        "",
        r#","action":"contacts.export""#,
        r#","action":"contacts.export","parameters":{"rows":101}"#,
        r#","action":"contacts.export","parameters":{"rows":"100"}"#,
        r#","action":"contacts.export","parameters":{"rows":99.5}"#,
        r#","action":"contacts.export","parameters":{"parameters/rows":1}"#,
        r#","action":"other","parameters":{"rows":100,"action":"contacts.export"}"#,
    ] {
        assert!(!asked(members), "{members}");
    }
}

/// Members of an intent, each as it may be stated.
const MEMBERS: [&[&str]; 4] = [
    &["", r#","purpose":"a""#, r#","purpose":"b""#],
    &["", r#","action":"x""#, r#","action":"y""#],
    &["", r#","data_classes":["pii"]"#, r#","data_classes":["special","other"]"#],
    &["", r#","destination":"partner""#, r#","parameters":{"rows":7}"#],
];

proptest! {
    #![proptest_config(cases(256))]

    /// Hop after hop, each with the intent that it likes: no purpose follows another, what was touched stays touched, what is
    /// granted is what is granted without an intent, and is never more than its policy gives without one.
    #[test]
    fn no_chain_widens_by_what_it_states(hops in prop::collection::vec(prop::array::uniform4(0..3_usize), 1..6)) {
        let permit = format!("permit {SCOPE};");
        let (mut settled, mut touched) = (String::new(), BTreeSet::new());
        for hop in hops {
            let members: String = MEMBERS.iter().zip(hop).map(|(values, at)| values[at]).collect();
            let mut origin = own(held(&[(CRM, "contacts.read")]), vec![]);
            if let Origin::Own(own) = &mut origin {
                own.purpose.clone_from(&settled);
                own.touched.extend(touched.iter().cloned());
            }
            let admitted = admitted(&catalog(), "orchestrator", subject(origin));
            let plain = exchanged(&policies(&permit), &catalog(), &admitted, "audience=crm&scope=contacts.read").unwrap();
            let intent = Intent::parse(&format!(r#"[{{"type":"intent"{members}}}]"#)).unwrap().unwrap();
            let allowed = stated(&admitted, Some(&intent)).is_ok();
            prop_assert_eq!(allowed, settled.is_empty() || intent.purpose().is_none_or(|purpose| purpose == settled));
            let Ok(grant) = decided(&permit, &admitted, &members) else {
                prop_assert!(!allowed);
                continue;
            };
            prop_assert_eq!(grant.held(), plain.held());
            prop_assert_eq!(grant.expires(), plain.expires());
            prop_assert!(settled.is_empty() || grant.purpose() == settled);
            prop_assert!(touched.iter().all(|class| grant.touched().contains(class)));
            prop_assert!(intent.data_classes().iter().all(|class| grant.touched().contains(class)));
            settled = grant.purpose().to_owned();
            touched = grant.touched().iter().cloned().collect();
        }
    }
}
