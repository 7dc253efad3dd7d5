//! Unknown is worst: each attribute that the schema has, and what it is where nothing is known, in each direction in which a
//! policy can ask.

mod told;

use super::*;
use crate::policy::cedar::SCHEMA;
use crate::token::Authentication;

/// How an attribute stands where a request tells as little as it can.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    /// It has a value: this server says it, or the files must.
    Always,
    /// It is empty where there is none of what it names, which is then a fact: policies ask about it in either direction.
    OrNone,
    /// Nobody may have told it. It is then the worst that it could be where a policy says what counts, and where a policy says
    /// what does not count, that is warned of.
    OrNot,
}

use Known::{Always, OrNone, OrNot};

/// The name and the type of an attribute, and how it stands.
type Row = (&'static str, &'static str, Known);

/// Every declaration of the schema with its attributes: name, type, and how it stands. That is so at every hop: how the subject
/// authenticated, its kind, its tags and the trust rule that vouched first are in our own tokens and come back from there.
const SCHEMA_ROWS: [(&str, &[Row]); 8] = [
    ("entity Agent in [Team] {", &[("owner", "String", Always), ("kind", "String", Always)]),
    (
        "entity Subject {",
        &[("kind", "String", Always), ("rule", "String", OrNone), ("id", "String", Always), ("sets", "Sets", Always)],
    ),
    ("entity Intent {", &[("numbers", "Numbers", Always)]),
    ("entity Api {", &[("destination", "String", Always)]),
    ("entity Scope in [Api] {", &[("data", "Set<String>", Always), ("effect", "String", Always)]),
    // Of the actions that this version never asks about.
    ("entity Task {", &[("purpose", "String", OrNone)]),
    ("type Exchange = {", &CONTEXT),
    ("type Review = {", &REVIEW),
];

const CONTEXT: [Row; 21] = [
    ("subject", "Subject", Always),
    ("client", "String", Always),
    ("actor", "String", Always),
    ("chain", "Set<String>", OrNone),
    ("depth", "Long", Always),
    ("instance", "String", OrNot),
    // Who leaves out its task or purpose could have named any other.
    ("task", "String", OrNone),
    ("purpose", "String", OrNone),
    // Those that the API's file lists.
    ("data", "Set<String>", Always),
    // Foreign tokens have touched nothing here.
    ("touched", "Set<String>", OrNone),
    ("destination", "String", Always),
    ("effect", "String", Always),
    ("time", "datetime", Always),
    ("acr", "String", OrNot),
    ("amr", "Set<String>", OrNot),
    ("auth_age", "Long", OrNot),
    ("binding", "String", Always),
    ("approved", "Bool", Always),
    ("basis", "String", Always),
    ("trust", "String", OrNot),
    ("intent", "Intent", Always),
];

const REVIEW: [Row; 4] =
    [("time", "datetime", Always), ("acr", "String", OrNot), ("amr", "Set<String>", OrNot), ("auth_age", "Long", OrNot)];

/// The attributes that a policy on an exchange can ask about, by their paths.
fn attributes() -> impl Iterator<Item = (String, &'static str, Known)> {
    let below = |opening: &str| match opening {
        "entity Agent in [Team] {" => Some("principal"),
        "entity Subject {" => Some("context.subject"),
        "entity Intent {" => Some("context.intent"),
        "entity Scope in [Api] {" => Some("resource"),
        "type Exchange = {" => Some("context"),
        // An API is only named, and nothing leads to a task.
        _ => None,
    };
    let of = move |(opening, rows): (&str, &'static [Row])| {
        let path = below(opening);
        rows.iter().filter_map(move |(name, kind, known)| Some((format!("{}.{name}", path?), *kind, *known)))
    };
    SCHEMA_ROWS.into_iter().flat_map(of)
}

#[test]
fn every_attribute_of_the_schema_has_a_row() {
    let code = || SCHEMA.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let openings: Vec<&str> = code().filter(|line| line.ends_with('{') && !line.starts_with("action ")).collect();
    assert_eq!(openings, SCHEMA_ROWS.map(|(opening, _)| opening));
    for (opening, rows) in SCHEMA_ROWS {
        let body = code().skip_while(|line| *line != opening).skip(1).take_while(|line| !line.starts_with('}'));
        let declared: Vec<_> = body.filter_map(|line| line.strip_suffix(',')?.split_once(": ")).collect();
        assert_eq!(declared, rows.iter().map(|row| (row.0, row.1)).collect::<Vec<_>>(), "{opening}");
    }
    // Beside attributes there are the tags of subjects and intents, of their sets and numbers, alone.
    let tags: Vec<_> = code().filter(|line| line.contains("tags")).collect();
    let tagged = ["} tags String;", "entity Sets tags Set<String>;", "} tags String;", "entity Numbers tags Long;"];
    assert_eq!(tags, tagged);
    assert!(!SCHEMA.contains("?:"), "an attribute that may be absent has no row here");
}

/// A request that tells as little as it can.
fn least(catalog: &Catalog) -> AdmittedExchange {
    let mut origin = own(held(&[(CRM, "contacts.read")]), vec![]);
    if let Origin::Own(own) = &mut origin {
        (own.touched, own.trust) = (vec![], None);
    }
    let told = subject(origin).told(Authentication::default(), vec![]);
    admitted(catalog, "orchestrator", told).without_instance()
}

/// Whether it is granted.
fn granted_by(text: &str) -> bool {
    let catalog = catalog();
    exchanged(&policies(text), &catalog, &least(&catalog), "audience=crm&scope=contacts.read").is_ok()
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
    for (path, kind, _) in attributes().filter(|(_, _, known)| *known != Always) {
        for condition in counting(kind) {
            is_worst(&condition.replace('~', &path));
        }
    }
}

/// Conditions by values that count: none of them is to be found where an attribute of that type is not known.
fn counting(kind: &str) -> Vec<String> {
    let texts = |conditions: &[&str]| conditions.iter().map(|it| (*it).to_owned()).collect();
    match kind {
        "String" => texts(&[r#"~ == "zz""#, r#"["zz", "b"].contains(~)"#, r#"~ like "zz*""#, r#"~ like "*zz""#]),
        "Set<String>" => texts(&[
            r#"~.contains("zz")"#,
            r#"~.containsAny(["zz", "b"])"#,
            r#"~.containsAll(["zz"])"#,
            r#"~ == ["zz"]"#,
            "!(~.isEmpty())",
        ]),
        "Long" => {
            let bounds = ["0", "1", "300", "86400", "9223372036854775806"];
            let conditions = ["~ < #", "~ <= #", "~ == #", "~ + 1 > #", "~ - 1 < #", "~ * 2 > #", "!(~ > #)"];
            let all = bounds.iter().flat_map(|bound| conditions.map(|condition| condition.replace('#', bound)));
            all.chain(texts(&["~ < 0", "~ == -1"])).collect()
        }
        other => unreachable!("nothing is said of a {other} that is not known"),
    }
}

/// An attribute is warned of where it can be unknown, and nowhere else.
#[test]
fn what_does_not_count_is_warned_of_where_it_can_be_unknown_and_nowhere_else() {
    let scope = r#"(principal is Agent, action == Action::"exchange", resource is Scope)"#;
    for (path, kind, known) in attributes() {
        let other = match kind {
            "String" => r#"~ != "a""#,
            "Set<String>" => r#"!~.contains("a")"#,
            "Long" => "~ > 300",
            "Bool" => "!~",
            "datetime" => r#"~ > datetime("2020-01-01")"#,
            "Subject" => r#"~ != Subject::"a""#,
            "Sets" => r#"~ != Sets::"a""#,
            "Intent" => r#"~ != Intent::"a""#,
            "Numbers" => r#"~ != Numbers::"a""#,
            new => unreachable!("nothing is said of a {new}"),
        };
        let condition = other.replace('~', &path);
        for text in [
            format!("permit {scope} when {{ {condition} }};"),
            format!("permit {scope}; forbid {scope} unless {{ {condition} }};"),
        ] {
            let found = policies(&text);
            let told: Vec<String> = found.warnings().iter().map(ToString::to_string).collect();
            assert_eq!(
                told.iter().any(|told| told.contains(&format!("where {path} is not known"))),
                known == OrNot,
                "{text} {told:?}"
            );
            assert_eq!(told.is_empty(), known != OrNot, "{text} {told:?}");
        }
    }
}

/// Membership is asked of a set, which nobody can write into another's name.
#[test]
fn the_sets_of_a_subject_are_asked_for_their_members() {
    let catalog = catalog();
    let permit = |condition: &str| {
        let scope = r#"(principal is Agent, action == Action::"exchange", resource is Scope)"#;
        policies(&format!("permit {scope} when {{ {condition} }};"))
    };
    let has = r#"context.subject.sets.hasTag("groups") && context.subject.sets.getTag("groups")"#;
    for (attributes, condition, granted) in [
        (&[("groups[]", "finance"), ("groups[]", "all")][..], format!(r#"{has}.contains("finance")"#), true),
        (&[("groups[]", "finance"), ("groups[]", "all")], format!(r#"{has}.containsAll(["all", "finance"])"#), true),
        (&[("groups[]", "finance2"), ("groups[]", "all finance")], format!(r#"{has}.contains("finance")"#), false),
        (&[("groups", "finance")], format!(r#"{has}.contains("finance")"#), false),
        (&[("groups[]", "finance")], r#"context.subject.hasTag("groups")"#.to_owned(), false),
        (&[("groups[]", "finance")], r#"context.subject.hasTag("groups[]")"#.to_owned(), false),
        (&[], format!(r#"{has}.contains("finance")"#), false),
    ] {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut origin = own(held(&[(CRM, "contacts.read")]), vec![]);
        if let Origin::Own(own) = &mut origin {
            own.touched = vec![];
        }
        let told = subject(origin).told(Authentication::default(), attributes);
        let asked = admitted(&catalog, "orchestrator", told).without_instance();
        let answer = exchanged(&permit(&condition), &catalog, &asked, "audience=crm&scope=contacts.read");
        assert_eq!(answer.is_ok(), granted, "{condition}");
    }
}

/// A policy that reads a tag has to ask whether it is there, so only to ask whether it is not is to say so by name.
#[test]
fn a_tag_that_is_not_there_is_warned_of_where_that_helps() {
    let scope = r#"(principal, action == Action::"exchange", resource)"#;
    let tag = r#"context.subject.hasTag("d") && context.subject.getTag("d") == "a""#;
    for (warned, granted, policy) in [
        (false, false, "permit ~ when { # };".to_owned()),
        (true, true, "permit ~ unless { # };".to_owned()),
        (true, true, "permit ~; forbid ~ when { # };".to_owned()),
        (false, false, "permit ~; forbid ~ unless { # };".to_owned()),
        (false, true, r#"permit ~; forbid ~ when { # } unless { !context.subject.hasTag("d") };"#.to_owned()),
        (false, false, r#"permit ~ when { context.subject.hasTag("d") } unless { # };"#.to_owned()),
        (false, true, r#"permit ~ when { !context.subject.hasTag("d") };"#.to_owned()),
    ] {
        let text = policy.replace('~', scope).replace('#', tag);
        let told: Vec<String> = policies(&text).warnings().iter().map(ToString::to_string).collect();
        assert_eq!((!told.is_empty(), granted_by(&text)), (warned, granted), "{text}: {told:?}");
        assert!(told.iter().all(|told| told.contains("where a tag of context.subject is not known")), "{told:?}");
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
