//! Mistakes in policies that compile and do not do what they say: each is told with its file, its line and a remedy.

use std::fs;

use super::scene::Scene;
use crate::policy::{NameSort, NamesBySort};
use crate::store::InForceFile;

/// Two APIs with a step from one to the other, three agents of two teams, and a rule that maps an attribute and a set.
fn scene() -> Scene {
    let rule = "name = 'acme-idp'\nkind = 'oidc'\nissuer = 'https://idp.example'\naudiences = ['us']\n\
                subject = { kind = 'user', attributes = { department = 'dept', 'groups[]' = 'groups' } }\n\
                [keys]\ndiscovery = true\n";
    let agent = |id: &str, team: &str| format!("id = '{id}'\nowner = 'dana@acme.example'\nteam = '{team}'\nkind = 'ai_agent'\n");
    let crm = "id = 'https://crm.example'\ndestination = 'internal'\n[scopes]\n\
               'contacts.read' = { data = ['pii'], effect = 'read' }\n\
               'contacts.delete' = { data = ['pii'], effect = 'irreversible' }\n\
               [[derive]]\nfrom = { api = 'https://assistant.example', scope = 'lookup' }\nto = 'contacts.read'\n";
    let assistant =
        "id = 'https://assistant.example'\ndestination = 'internal'\n[scopes]\nlookup = { data = ['notes'], effect = 'read' }\n";
    let scene = Scene::new().with("trust/idp.toml", rule).with("apis/crm.toml", crm).with("apis/assistant.toml", assistant);
    let scene = scene.with("agents/o.toml", &agent("orchestrator", "research"));
    scene.with("agents/r.toml", &agent("researcher", "research")).with("agents/c.toml", &agent("crm-api", "platform"))
}

const ALLOWED: &str = "@id(\"reads\")\n\
                       permit (principal in Team::\"research\", action == Action::\"exchange\", resource is Scope) \
                       when { resource.effect == \"read\" };\n";

/// The mistakes and the warnings of a folder of policies with this file in it.
fn told(scene: &Scene, text: &str) -> (Vec<String>, Vec<String>) {
    scene.put("policies/p.cedar", text);
    let root = scene.path("");
    let short = |line: String| line.replace(&format!("{}/", root.display()), "").replace(&root.display().to_string(), "");
    match scene.load().config {
        Ok(config) => (Vec::new(), config.warnings.iter().map(|warning| short(warning.to_string())).collect()),
        Err(mistakes) => (mistakes.iter().map(|mistake| short(mistake.to_string())).collect(), Vec::new()),
    }
}

/// A condition with a slip in it, and the sentence that it is told by.
const SLIPS: [(&str, &str); 28] = [
    (r#"context.touched.containsAny(["ppi"])"#, r#"class of data of a scope "ppi""#),
    (r#"context.touched.containsAll(["notes", "piii"])"#, r#"class of data of a scope "piii""#),
    (r#"resource.data.contains("Pii")"#, r#"did you mean "pii""#),
    (r#"context.data == ["pii", "note"]"#, r#"did you mean "notes""#),
    (r#"["pii", "secret"].containsAny(context.touched)"#, r#"class of data of a scope "secret""#),
    (r#"resource.effect == "Read""#, r#"did you mean "read""#),
    (r#""irreversable" == context.effect"#, r#"did you mean "irreversible""#),
    (r#"!(resource.effect != "reed")"#, r#"did you mean "read""#),
    (r#"["reversible", "recoverible"].contains(context.effect)"#, r#"did you mean "recoverable""#),
    (r#"context.effect == (if context.depth > 2 then "read" else "write")"#, r#"effect "write""#),
    (r#"context["effect"] == "none""#, r#"effect "none""#),
    (r#"context.basis == "delegate""#, r#"did you mean "delegation""#),
    (r#"["self", "on-behalf-of"].contains(context.basis)"#, r#"did you mean "on_behalf_of""#),
    (r#"context.destination == "extern""#, r#"did you mean "external""#),
    (r#"context.destination == """#, r#"destination """#),
    (r#"context.binding == "tls""#, r#"did you mean "mtls""#),
    (r#"context.client == "reseacher""#, r#"did you mean "researcher""#),
    (r#"context.actor like "orchestrater*""#, r#"agent "orchestrater*""#),
    (r#"context.chain.contains("orchestartor")"#, r#"did you mean "orchestrator""#),
    (r#"context.chain.containsAny(["crm_api"])"#, r#"did you mean "crm-api""#),
    (r#"context.subject.rule == "acme_idp""#, r#"did you mean "acme-idp""#),
    (r#"context.subject.kind == "person""#, r#"kind of subject "person""#),
    (r#"context.subject.hasTag("dept") && context.subject.getTag("department") == "x""#, r#"trust rule maps "dept""#),
    (r#"context.subject.sets.hasTag("group")"#, r#"did you mean "groups""#),
    (r#"context.subject == Subject::"acme:ann""#, r#""acme:ann""#),
    (r#"principal.owner == "dana@acme.exmaple""#, r#"did you mean "dana@acme.example""#),
    (r#"principal.kind == "agent""#, r#"did you mean "ai_agent""#),
    (r#"principal in [Agent::"orchestrator", Agent::"reseacher"]"#, r#"did you mean "researcher""#),
];

/// Cedar's strict typing refuses a tag that is read without being asked for, so its row asks by the wrong name only.
#[test]
fn slips_in_conditions_are_mistakes_of_forbids_and_of_permits() {
    let scene = scene();
    for (condition, told_by) in SLIPS {
        let condition = condition.replace(r#" && context.subject.getTag("department") == "x""#, "");
        for effect in ["forbid", "permit"] {
            let head = "(principal is Agent, action == Action::\"exchange\", resource is Scope)";
            let text = format!("{ALLOWED}\n// A slip in line 6: \"{effect}\".\n{effect} {head}\nwhen {{\n  {condition}\n}};\n");
            let (mistakes, _) = told(&scene, &text);
            assert_eq!(mistakes.len(), 1, "{condition}: {mistakes:?}");
            assert!(mistakes[0].starts_with("policies/p.cedar:7: there is no "), "{condition}: {mistakes:?}");
            assert!(mistakes[0].contains(told_by), "{told_by}: {mistakes:?}");
            let remedy = if effect == "forbid" { "or take it out" } else { "say @allow_unknown(\"why\")" };
            assert!(mistakes[0].contains(remedy), "{mistakes:?}");
            let allowed = text.replace(&format!("\n{effect} {head}"), &format!("\n@allow_unknown(\"soon\") {effect} {head}"));
            let (mistakes, _) = told(&scene, &allowed);
            assert_eq!(mistakes.is_empty(), effect == "permit", "{allowed}: {mistakes:?}");
        }
    }
}

/// A policy set with a mistake, the line that is told, and the words.
const SEEDED: [(&str, u32, &str); 24] = [
    (r#"forbid (principal == Agent::"reseacher", action, resource is Scope);"#, 3, r#"did you mean "researcher""#),
    (r#"forbid (principal in Team::"reserch", action, resource is Scope);"#, 3, r#"did you mean "research""#),
    (r#"forbid (principal is Agent in Team::"ops", action, resource is Scope);"#, 3, r#"there is platform, research"#),
    (
        r#"forbid (principal is Agent, action, resource in Api::"https://crn.example");"#,
        3,
        r#"did you mean "https://crm.example""#,
    ),
    (
        r#"forbid (principal is Agent, action, resource == Scope::"https://crm.example contacts.raed");"#,
        3,
        r#"did you mean "https://crm.example contacts.read""#,
    ),
    (r#"forbid (principal, action == Action::"present_actor", resource == Agent::"crmapi");"#, 3, r#"did you mean "crm-api""#),
    (r#"forbid (principal is Agent, action, resource is Scope) when { context.depth < 1 };"#, 3, "so it forbids nothing"),
    (r#"forbid (principal is Agent, action, resource is Scope) when { context.depth > 99 };"#, 3, "so it forbids nothing"),
    (r#"forbid (principal is Agent, action, resource is Scope) when { context.auth_age < 0 };"#, 3, "so it forbids nothing"),
    (
        r#"forbid (principal is Agent, action, resource is Scope)
           when { resource.effect == "read" && context.effect == "irreversible" };"#,
        3,
        "so it forbids nothing",
    ),
    (
        r#"forbid (principal, action == Action::"impersonate", resource is Scope) when { context.basis == "delegation" };"#,
        3,
        "so it forbids nothing",
    ),
    (r#"forbid (principal is Agent, action, resource is Scope) unless { true };"#, 3, "mpossible"),
    (r#"@allow_unknown("x") forbid (principal is Agent, action, resource is Scope);"#, 3, "@allow_unknown belongs on a permit"),
    (r#"@lifetme("2m") permit (principal == Agent::"crm-api", action, resource is Scope);"#, 3, "did you mean @lifetime?"),
    (r#"@lifetime("2 m") permit (principal == Agent::"crm-api", action, resource is Scope);"#, 3, r#"such as "2m""#),
    (r#"@sender_constraint("yes") permit (principal == Agent::"crm-api", action, resource is Scope);"#, 3, r#""required""#),
    (r#"@chain("full") permit (principal == Agent::"crm-api", action, resource is Scope);"#, 3, r#"must be "current""#),
    (r#"@approval("two") permit (principal == Agent::"crm-api", action, resource is Scope);"#, 3, r#""two-persons""#),
    (r#"@approval("person") forbid (principal == Agent::"crm-api", action, resource is Scope);"#, 3, "belongs on a permit"),
    (r#"@exception("x") permit (principal == Agent::"crm-api", action, resource is Scope);"#, 3, "@owner is missing"),
    (r#"@expires("2027-01-31") permit (principal == Agent::"crm-api", action, resource is Scope);"#, 3, "@exception is missing"),
    (
        r#"@exception("x") @owner("o") @reason("r") @expires("soon")
           permit (principal == Agent::"crm-api", action, resource is Scope);"#,
        3,
        r#"such as "2027-01-31""#,
    ),
    (r#"@allow_unknown("") permit (principal == Agent::"crm-api", action, resource is Scope);"#, 3, "must say something"),
    (r#"@allow_bypass("x") permit (principal == Agent::"crm-api", action, resource is Scope);"#, 3, "belongs on a forbid"),
];

#[test]
fn seeded_mistakes_are_told_with_line_and_remedy() {
    let scene = scene();
    for (policy, line, words) in SEEDED {
        let (mistakes, _) = told(&scene, &format!("{ALLOWED}{policy}\n"));
        let at = format!("policies/p.cedar:{line}: ");
        assert!(mistakes.iter().any(|it| it.starts_with(&at) && it.contains(words)), "{policy}: {mistakes:?}");
    }
}

/// What may be meant so is told and counts all the same.
#[test]
fn what_may_surprise_is_warned_of() {
    let scene = scene();
    let forbid = r#"forbid (principal is Agent, action == Action::"exchange", resource in Api::"https://crm.example")"#;
    let person = "context.subject.kind == \"user\"";
    for (policy, words) in [
        ("permit (principal, action, resource);".to_owned(), "permits everything to every agent"),
        (
            "permit (principal is Agent, action == Action::\"exchange\", resource is Scope) when { true };".to_owned(),
            "permits everything",
        ),
        (
            "permit (principal == Agent::\"crm-api\", action, resource is Scope) when { context.depth > 99 };".to_owned(),
            "hold for no request, so it never permits",
        ),
        (format!("{forbid} when {{ context.basis == \"delegation\" && {person} }};"), "where context.basis is \"continuation\""),
        (format!("{forbid} unless {{ context.basis != \"delegation\" }};"), "where context.basis is \"continuation\""),
        (
            format!("{forbid} when {{ [\"delegation\", \"self\"].contains(context.basis) }};"),
            "a token of before and in tasks, where reads",
        ),
        (format!("{forbid} when {{ context.depth == 1 && {person} }};"), "at depth 2, where reads permits"),
        (format!("{forbid} when {{ context.depth < 3 }};"), "at depth 3, where reads permits"),
        (
            format!(
                "permit (principal == Agent::\"orchestrator\", action == Action::\"impersonate\", resource is Scope);\n{forbid};"
            ),
            "where the action is impersonate, where p#2 permits",
        ),
        (
            format!(
                "permit (principal == Agent::\"orchestrator\", action == Action::\"hand_over\", resource is Scope);\n{forbid};"
            ),
            "where the action is hand_over, where p#2 permits",
        ),
    ] {
        let (mistakes, warnings) = told(&scene, &format!("{ALLOWED}{policy}\n"));
        assert!(mistakes.is_empty(), "{policy}: {mistakes:?}");
        assert!(warnings.iter().any(|it| it.starts_with("policies/p.cedar:") && it.contains(words)), "{policy}: {warnings:?}");
        if let Some(said) = policy.strip_prefix("forbid") {
            let (_, warnings) = told(&scene, &format!("{ALLOWED}@allow_bypass(\"meant so\")\nforbid{said}\n"));
            assert!(!warnings.iter().any(|it| it.contains("@allow_bypass")), "{warnings:?}");
        }
    }
}

/// Sound sets: nothing of them is told.
#[test]
fn sound_sets_are_not_spoken_of() {
    let scene = scene();
    for policies in [
        "",
        r#"forbid (principal is Agent, action, resource is Scope)
           when { resource.effect == "irreversible" && !context.approved };"#,
        r#"forbid (principal is Agent, action, resource is Scope)
           when { context.destination != "internal" && context.touched.containsAny(["pii"]) };"#,
        r#"forbid (principal is Agent, action, resource is Scope) when { context.depth > 3 };"#,
        r#"forbid (principal is Agent, action == Action::"impersonate", resource is Scope);"#,
        r#"forbid (principal is Agent, action, resource is Scope) when { context.basis == "self" };"#,
        r#"forbid (principal is Agent, action, resource in Api::"https://crm.example") when { context.auth_age > 3600 };"#,
        r#"forbid (principal is Agent, action, resource is Scope) unless { context.subject.rule == "acme-idp" };"#,
        r#"@exception("effects") @owner("dana@acme.example") @reason("cleaning up") @expires("2999-01-31") @lifetime("1m")
           @sender_constraint("required") @chain("current") @approval("two-persons")
           permit (principal == Agent::"crm-api", action == Action::"exchange", resource in Api::"https://crm.example")
           when { context.basis == "on_behalf_of" && context.chain.contains("https://else.example|bot") };"#,
        r#"permit (principal in Team::"platform", action == Action::"exchange",
                   resource == Scope::"https://assistant.example lookup")
           when { context.subject.hasTag("department") && context.subject.getTag("department") == "sales" &&
                  context.subject.sets.hasTag("groups") && context.subject.sets.getTag("groups").contains("emea") &&
                  context.client like "crm*" && context.purpose == "anything" && context.acr == "gold" };"#,
    ] {
        let (mistakes, warnings) = told(&scene, &format!("{ALLOWED}{policies}\n"));
        assert!(mistakes.is_empty() && warnings.is_empty(), "{policies}: {mistakes:?} {warnings:?}");
    }
}

/// A policy in a file that is not read is lost: what looks like one is a mistake, what else lies there is told or left alone.
#[test]
fn files_that_are_not_read_are_told() {
    for (file, mistake, warned) in [
        ("policies/guard.ceder", true, false),
        ("policies/guard.CEDAR", true, false),
        ("policies/guard.cedr", true, false),
        ("policies/team/guard.cedar", true, false),
        ("policies/team/deep/guard.cedar", true, false),
        ("policies/guard.cedar.bak", false, true),
        ("policies/guard", false, true),
        ("policies/.guard.cedar", false, true),
        ("policies/README.md", false, false),
        ("policies/schema.cedarschema", false, false),
        ("policies/tests/reads.json", false, false),
        ("policies/..2026_11_30/guard.cedar", false, false),
    ] {
        let scene = scene();
        fs::create_dir_all(scene.path(file).parent().unwrap()).unwrap();
        scene.put(file, "forbid (principal, action, resource);\n");
        let (mistakes, warnings) = told(&scene, ALLOWED);
        let of_file = |list: &[String]| list.iter().any(|it| it.starts_with(&format!("{file}: ")) && it.contains("not read"));
        assert_eq!((of_file(&mistakes), of_file(&warnings)), (mistake, warned), "{file}: {mistakes:?} {warnings:?}");
        assert_eq!(mistakes.len() + warnings.len(), usize::from(mistake || warned), "{mistakes:?} {warnings:?}");
    }
}

/// A file that begins to lie there is seen by the watch, like any other.
#[test]
fn a_file_that_is_not_read_changes_the_fingerprint() {
    let scene = scene();
    let before = scene.load();
    fs::create_dir_all(scene.path("policies/team")).unwrap();
    scene.put("policies/team/guard.cedar", "forbid (principal, action, resource);\n");
    assert!(!before.fingerprint.says_the_same_as(&before.fingerprint.again()));
}

#[test]
fn required_guardrails_must_be_there() {
    let scene = scene().with("main.toml", &format!("{}[policies]\nrequired = ['no-irreversible']\n", super::scene::MAIN));
    let (mistakes, _) = told(&scene, ALLOWED);
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].starts_with("main.toml:7: `required` names \"no-irreversible\""), "{mistakes:?}");
    let guard = |id: &str, effect: &str| {
        format!(
            "{ALLOWED}@id(\"{id}\")\n{effect} (principal == Agent::\"crm-api\", action, resource is Scope) \
             when {{ context.depth > 1 }};\n"
        )
    };
    assert!(told(&scene, &guard("no-irreversible", "forbid")).0.is_empty());
    assert_eq!(told(&scene, &guard("no-irreversible", "permit")).0.len(), 1, "a permit guards nothing");
    let slip = told(&scene, &guard("no-irreversable", "forbid")).0;
    assert!(slip[0].ends_with("did you mean \"no-irreversable\"?"), "{slip:?}");
    let scene = scene.env("COUNTERSIGN__POLICIES__REQUIRED", "reads,no-irreversible");
    assert_eq!(told(&scene, &guard("no-irreversible", "forbid")).0.len(), 1, "reads is a permit");
}

/// A rogue agent's file can be taken away at once, whatever policies still say of it.
#[test]
fn names_that_are_recorded_only_warn() {
    let scene = scene();
    let text = format!("{ALLOWED}forbid (principal == Agent::\"rogue\", action, resource is Scope);\n");
    assert_eq!(told(&scene, &text).0.len(), 1);
    let data = scene.path("data");
    fs::create_dir_all(&data).unwrap();
    let mut names = NamesBySort::new();
    names.add(NameSort::Agent, "rogue");
    InForceFile::of_names(&data).write(names.to_json().as_bytes()).unwrap();
    let config = scene.sources().on(&data).load().config.unwrap();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("p.cedar:3: no file has the agent \"rogue\" any more"), "{warnings:?}");
    fs::write(InForceFile::of_names(&data).path(), "[]").unwrap();
    assert!(scene.sources().on(&data).load().config.is_err(), "what cannot be read knows no names");
}
