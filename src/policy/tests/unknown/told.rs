//! Where what is not known would help the caller: each operator, in each position, with everything that can stand around it.

use super::*;

const SCOPE: &str = r#"(principal, action == Action::"exchange", resource)"#;

/// Conditions on an attribute, and what they come to where it is not known; none where they raise an error.
type Conditions = &'static [(&'static str, Option<bool>)];

const TEXT: Conditions = &[
    (r#"~ == "low""#, Some(false)),
    (r#""low" == ~"#, Some(false)),
    (r#"~ != "low""#, Some(true)),
    (r#"["low", "none"].contains(~)"#, Some(false)),
    (r#"[~].contains("low")"#, Some(false)),
    (r#"["low", "none"].containsAll([~])"#, Some(false)),
    (r#"["low", "none"].containsAny([~])"#, Some(false)),
    (r#"~ like "low*""#, Some(false)),
    (r#"~ like "*""#, Some(true)),
    (r#"(~ == "low") == false"#, Some(true)),
    (r#"(if ~ == "low" then 1 else 2) < 2"#, Some(false)),
    ("~ == context.client", Some(false)),
    ("~ != context.client", Some(true)),
    ("context.data.contains(~)", Some(false)),
];

/// On a text that is read as the first one.
const NAME: Conditions = &[(r#"~ == "low""#, Some(false)), (r#"~ != "low""#, Some(true)), (r#"~ like "low*""#, Some(false))];

const SET: Conditions = &[
    (r#"~.contains("pwd")"#, Some(false)),
    (r#"~.containsAny(["pwd", "sms"])"#, Some(false)),
    (r#"["pwd", "sms"].containsAny(~)"#, Some(false)),
    (r#"~.containsAll(["pwd", "sms"])"#, Some(false)),
    (r#"["pwd", "sms"].containsAll(~)"#, Some(true)),
    (r#"~ == ["pwd"]"#, Some(false)),
    (r#"~ != ["pwd"]"#, Some(true)),
    ("~.contains(context.client)", Some(false)),
    ("context.data.containsAll(~)", Some(true)),
    ("~ != context.data", Some(true)),
];

const NUMBER: Conditions = &[
    ("~ < 300", Some(false)),
    ("~ <= 300", Some(false)),
    ("~ > 300", Some(true)),
    ("~ >= 300", Some(true)),
    ("~ == 300", Some(false)),
    ("~ != 300", Some(true)),
    ("~ - 1 > 300", Some(true)),
    ("~ + 1 > 300", None),
    ("~ * 2 < 300", None),
    ("~ < context.depth", Some(false)),
    ("context.depth < ~", Some(true)),
];

/// On a tag, which none can be read without.
const TAG: Conditions = &[
    (r#"~.hasTag("d") && ~.getTag("d") == "low""#, Some(false)),
    (r#"~.hasTag("d") && ~.getTag("d") != "low""#, Some(false)),
    (r#"~.hasTag("d") && ["low", "none"].contains(~.getTag("d"))"#, Some(false)),
    (r#"~.hasTag("d") && ~.getTag("d") like "l*""#, Some(false)),
    (r#"~.hasTag("d") && ~.getTag("d") == context.client"#, Some(false)),
    (r#"if ~.hasTag("d") then ~.getTag("d") != "low" else false"#, Some(false)),
    (r#"if ~.hasTag("d") then ~.getTag("d") == "low" else true"#, Some(true)),
];

/// The attributes, their conditions, and the condition that says by name that they are known.
const ASKED: [(&str, Conditions, &str); 6] = [
    ("context.acr", TEXT, r#"~ != """#),
    ("context.instance", NAME, r#"~ != """#),
    ("context.trust", NAME, r#"~ != """#),
    ("context.subject", TAG, r#"!(!~.hasTag("d"))"#),
    ("context.amr", SET, "!~.isEmpty()"),
    ("context.auth_age", NUMBER, "~ != 9223372036854775807"),
];

/// Where a condition can stand, and true where it must hold for the policy to apply.
const POSITIONS: [(&str, bool); 12] = [
    ("when { ~ }", true),
    ("when { !(~) }", false),
    ("when { !(!(~)) }", true),
    ("unless { ~ }", false),
    ("unless { !(~) }", true),
    ("when { context.depth > 0 } unless { ~ }", false),
    ("when { context.depth > 0 && (~) }", true),
    ("when { (~) || context.depth > 99 }", true),
    ("when { !((~) || context.depth > 99) }", false),
    ("when { if ~ then true else false }", true),
    ("when { if ~ then false else true }", false),
    ("when { if context.depth > 0 then (~) else context.depth > 99 }", true),
];

/// What stands around a condition.
enum Around {
    /// Nothing.
    Nothing,
    /// That the attribute is known, and the condition.
    Known,
    /// That the attribute is not known, or the condition.
    NotKnown,
}

const AROUND: [(&str, Around); 3] =
    [("~", Around::Nothing), ("KNOWN && (~)", Around::Known), ("!(KNOWN) || (~)", Around::NotKnown)];

#[test]
fn every_place_where_what_is_not_known_helps_is_told_unless_the_policy_says_it_by_name() {
    let catalog = catalog();
    let least = least(&catalog);
    let effects = [(format!("permit {SCOPE}"), true), (format!("permit {SCOPE}; forbid {SCOPE}"), false)];
    for (path, conditions, known) in ASKED {
        for (condition, comes_to) in conditions {
            policies(&format!("permit {SCOPE} when {{ {} }};", condition.replace('~', path)));
            for ((effect, permits), (position, holds), (around, what)) in places_of(&effects) {
                let inner = around.replace('~', condition).replace("KNOWN", known);
                let text = format!("{effect} {};", position.replace('~', &inner).replace('~', path));
                let read = Policies::unvalidated(&[(PathBuf::from("t.cedar"), text.clone())]);
                let warned = read.policies().iter().any(|policy| !policy.unknown_helps().is_empty());
                let granted = exchanged(&read, &catalog, &least, "audience=crm&scope=contacts.read").is_ok();
                let wanted = *holds == *permits;
                let expected = match (what, wanted) {
                    (Around::Nothing, _) => (*comes_to == Some(wanted), *comes_to == Some(wanted)),
                    (Around::Known, true) | (Around::NotKnown, false) => (false, false),
                    (Around::Known, false) | (Around::NotKnown, true) => (false, true),
                };
                assert_eq!((warned, granted), expected, "{text}");
            }
        }
    }
}

type Place<'a> = (&'a (String, bool), &'a (&'static str, bool), &'a (&'static str, Around));

/// Every effect in every position with everything around.
fn places_of(effects: &[(String, bool)]) -> impl Iterator<Item = Place<'_>> {
    let around = |position| AROUND.iter().map(move |around| (position, around));
    let places = POSITIONS.iter().flat_map(around);
    effects.iter().flat_map(move |effect| places.clone().map(move |(position, around)| (effect, position, around)))
}

#[test]
fn a_warning_names_the_place_and_says_what_helps() {
    let told = |text: &str| policies(text).warnings().iter().map(ToString::to_string).collect::<Vec<_>>();
    let permit = format!("// One.\npermit {SCOPE} when {{ context.acr != \"low\" && !context.amr.contains(\"pwd\") }};");
    let acr = concat!(
        r#"test.cedar:2: where context.acr is not known, context.acr != "low" holds, in the caller's favour; "#,
        r#"say which values count (when context.acr == "high"), "#,
        r#"or by name what is to be where it is not known (context.acr == "")"#
    );
    let amr = concat!(
        r#"test.cedar:2: where context.amr is not known, context.amr.contains("pwd") does not hold, in the caller's favour; "#,
        r#"say which values count (when context.amr.contains("hwk")), "#,
        r#"or by name what is to be where it is not known (context.amr.isEmpty())"#
    );
    assert_eq!(told(&permit), [acr, amr]);
    let forbid = format!("permit {SCOPE};\nforbid {SCOPE} when {{ context.trust == \"user\" || context.auth_age < 60 }};");
    let age = concat!(
        r#"test.cedar:2: where context.auth_age is not known, context.auth_age < 60 does not hold, in the caller's favour; "#,
        r#"say which values count (unless context.auth_age <= 300), "#,
        r#"or by name what is to be where it is not known (context.auth_age == 9223372036854775807)"#
    );
    let trust = concat!(
        r#"test.cedar:2: where context.trust is not known, context.trust == "user" does not hold, "#,
        r#"in the caller's favour; say which values count (unless context.trust == "staff"), "#,
        r#"or by name what is to be where it is not known (context.trust == "")"#
    );
    assert_eq!(told(&forbid), [age, trust]);
}

#[test]
fn what_is_said_otherwise_is_not_warned_of() {
    for (warned, policy) in [
        (false, r#"permit ~ when { context.acr == "high" && context.acr != "low" };"#),
        (false, r#"permit ~ when { context.acr == "high" } unless { context.acr == "low" };"#),
        (false, r#"permit ~ when { if context.acr == "" then false else context.acr != "low" };"#),
        (false, r#"permit ~ when { ["", "high"].contains(context.acr) };"#),
        (false, r#"permit ~; forbid ~ when { ["", "low"].contains(context.acr) };"#),
        (false, r#"permit ~ when { context.client != "low" || context has acr };"#),
        (false, r#"permit ~ when { principal.kind != "low" && resource.effect != "read" };"#),
        (false, r#"permit ~ when { context.subject.hasTag("d") && context.subject.getTag("d") != "x" };"#),
        (true, r#"permit ~ when { context.subject.hasTag("acr") && context.subject.getTag("acr") != context.acr };"#),
        (true, r#"permit ~ when { context.acr != "" && !context.amr.contains("pwd") };"#),
        (true, r#"permit ~ when { context["acr"] != "low" || context.acr != "" };"#),
        (true, r#"permit ~ when { context.acr != "low" && (context.acr != "" || context.depth > 0) };"#),
    ] {
        let found = policies(&policy.replace('~', SCOPE));
        assert_eq!(!found.warnings().is_empty(), warned, "{policy}: {:?}", found.warnings());
    }
}

#[test]
fn what_is_shipped_gives_no_warning() {
    for folder in ["conf/policies", "conformance/fixture/conf/policies", "src/cli/init/policies", "benches/exchange"] {
        let entries = std::fs::read_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "cedar"));
        let files: Vec<_> = paths.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect();
        assert!(!files.is_empty(), "{folder}");
        let policies = Policies::parse(&files).unwrap();
        assert!(policies.warnings().is_empty(), "{folder}: {:?}", policies.warnings());
    }
}
