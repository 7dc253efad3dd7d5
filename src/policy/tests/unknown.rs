//! Unknown is worst: each attribute that the schema has, and what it is where nothing is known, in each direction in which a
//! policy can ask.

use super::*;
use crate::policy::cedar::SCHEMA;
use crate::token::Authentication;

/// What an attribute is where a request tells as little as it can.
enum Unknown {
    /// It is always known: this server says it itself.
    Never,
    /// The greatest number.
    Greatest,
    /// An empty text.
    Empty,
    /// A set without anything in it.
    Nothing,
}

use Unknown::{Empty, Greatest, Never, Nothing};

const CONTEXT: [(&str, &str, Unknown); 20] = [
    ("subject", "Subject", Never),
    ("client", "String", Never),
    ("actor", "String", Never),
    ("chain", "Set<String>", Nothing),
    ("depth", "Long", Never),
    ("instance", "String", Empty),
    ("task", "String", Empty),
    ("purpose", "String", Empty),
    ("data", "Set<String>", Never),
    ("touched", "Set<String>", Nothing),
    ("destination", "String", Never),
    ("effect", "String", Never),
    ("time", "datetime", Never),
    ("acr", "String", Empty),
    ("amr", "Set<String>", Nothing),
    ("auth_age", "Long", Greatest),
    ("binding", "String", Never),
    ("approved", "Bool", Never),
    ("basis", "String", Never),
    ("trust", "String", Empty),
];

const SUBJECT: [(&str, &str, Unknown); 3] = [("kind", "String", Empty), ("rule", "String", Never), ("id", "String", Never)];

/// Attributes of a declaration of the schema: name and type, in order.
fn declared(opening: &str) -> Vec<(&'static str, &'static str)> {
    let after = SCHEMA.split_once(opening).unwrap().1;
    let body = after.split_once('}').unwrap().0;
    body.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(": ")).collect()
}

#[test]
fn every_attribute_of_the_schema_has_a_row() {
    let rows = |table: &[(&'static str, &'static str, Unknown)]| table.iter().map(|row| (row.0, row.1)).collect::<Vec<_>>();
    assert_eq!(declared("type Exchange = {"), rows(&CONTEXT));
    assert_eq!(declared("entity Subject {"), rows(&SUBJECT));
    for attribute in declared("type Review = {") {
        assert!(rows(&CONTEXT).contains(&attribute), "{attribute:?}");
    }
}

/// Whether a request that tells as little as it can is granted.
fn granted_by(text: &str) -> bool {
    let catalog = catalog();
    let mut origin = own(held(&[(CRM, "contacts.read")]), vec![]);
    if let Origin::Own(own) = &mut origin {
        (own.kind, own.touched) = (None, vec![]);
    }
    let told = subject(origin).told(Authentication::default(), vec![]);
    let admitted = admitted(&catalog, "orchestrator", told).without_instance();
    exchanged(&policies(text), &catalog, &admitted, "audience=crm&scope=contacts.read").is_ok()
}

/// That what is asked for is not found: nothing is permitted where it must hold, and all is forbidden where it must not fail.
fn is_worst(condition: &str) {
    let scope = r#"(principal, action == Action::"exchange", resource)"#;
    let (permit, forbid) = (format!("permit {scope}"), format!("permit {scope}; forbid {scope}"));
    assert!(!granted_by(&format!("{permit} when {{ {condition} }};")), "permit when {condition}");
    assert!(!granted_by(&format!("{forbid} unless {{ {condition} }};")), "forbid unless {condition}");
    assert!(!granted_by(&format!("{forbid} when {{ !({condition}) }};")), "forbid when not {condition}");
}

#[test]
fn what_is_not_known_is_worst_in_each_direction_that_a_policy_can_ask() {
    assert!(granted_by(r#"permit (principal, action == Action::"exchange", resource);"#), "but for policy it is granted");
    let context = CONTEXT.iter().map(|(name, _, unknown)| (format!("context.{name}"), unknown));
    let subject = SUBJECT.iter().map(|(name, _, unknown)| (format!("context.subject.{name}"), unknown));
    for (path, unknown) in context.chain(subject) {
        match unknown {
            Never => {}
            Greatest => {
                for bound in ["0", "1", "300", "86400", "9223372036854775806"] {
                    for condition in ["< ~", "<= ~", "== ~", "+ 1 > ~", "- 1 < ~", "* 2 > ~"] {
                        is_worst(&format!("{path} {}", condition.replace('~', bound)));
                    }
                    is_worst(&format!("!({path} > {bound})"));
                }
                is_worst(&format!("{path} < 0"));
                is_worst(&format!("{path} == -1"));
            }
            Empty => {
                for condition in [r#"~ == "a""#, r#"["a", "b"].contains(~)"#, r#"~ like "a*""#, r#"~ like "*a""#] {
                    is_worst(&condition.replace('~', &path));
                }
            }
            Nothing => {
                for condition in [
                    r#"~.contains("a")"#,
                    r#"~.containsAny(["a", "b"])"#,
                    r#"~.containsAll(["a"])"#,
                    r#"~ == ["a"]"#,
                    "!(~.isEmpty())",
                ] {
                    is_worst(&condition.replace('~', &path));
                }
            }
        }
    }
}

#[test]
fn what_is_known_is_not_taken_for_unknown() {
    let known = |time: i64| {
        let catalog = catalog();
        let authentication =
            Authentication { acr: Some("gold".into()), amr: vec!["hwk".into()], time: Some(Time::from_seconds(time)) };
        let admitted = admitted(&catalog, "orchestrator", subject(user()).told(authentication, vec![]));
        let fresh = policies(
            r#"permit (principal, action == Action::"exchange", resource)
            when { context.auth_age >= 0 && context.auth_age <= 300 && context.acr == "gold" && context.amr.contains("hwk") };"#,
        );
        exchanged(&fresh, &catalog, &admitted, "audience=crm").is_ok()
    };
    let now = NOW.seconds();
    assert!(known(now) && known(now - 300) && !known(now - 301));
}
