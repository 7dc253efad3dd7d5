//! Policy files: strict, every complaint with its line.

use super::*;

fn complaints(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<_> = files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
    let found = Policies::parse(&files).err().unwrap_or_default();
    found.iter().map(|complaint| format!("{} {}", complaint.location, complaint.message)).collect()
}

#[test]
fn the_samples_are_valid_and_permit_something() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/policies");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "cedar"));
    let files: Vec<_> = paths.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect();
    let policies = Policies::parse(&files).unwrap();
    assert!(policies.warnings().is_empty(), "{:?}", policies.warnings());
    let catalog = catalog();
    let decided = |client: &str, parameters: &str| {
        let admitted = admitted(&catalog, client, subject(user()));
        exchanged(&policies, &catalog, &admitted, parameters).map(|grant| grant.policies().join(" "))
    };
    assert_eq!(decided("orchestrator", "audience=crm").unwrap(), "research-crm-read");
    assert_eq!(decided("researcher", "audience=https://assistant.example").unwrap(), "research-assistant");
    assert!(decided("crm-api", "audience=https://assistant.example").is_err(), "only on behalf of");
    assert!(decided("orchestrator", "audience=crm&scope=contacts.delete").is_err());
}

#[test]
fn no_policies_permit_nothing_and_say_so() {
    let none = Policies::parse(&[]).unwrap();
    assert!(none.is_empty() && none.warnings()[0].message.contains("refused"));
    let only_forbid = policies("forbid (principal, action, resource);");
    assert_eq!((only_forbid.len(), only_forbid.warnings().len()), (1, 1));
    let never_asked = policies(r#"permit (principal, action == Action::"approve", resource);"#);
    assert_eq!((never_asked.warnings().len(), never_asked.warnings()[0].location.line), (1, 1));
}

#[test]
fn all_complaints_come_at_once_with_their_lines() {
    let broken = "permit (principal, action, resource);\n\npermit (principal action, resource);\n";
    let wrong = concat!(
        "// a comment\n",
        "permit (principal in Team::\"research\", action == Action::\"exchange\", resource)\n",
        "when {\n  context.depht <= 3\n};\n",
        "permit (principal, action == Action::\"exchnage\", resource);\n",
        "permit (principal, action == Action::\"exchange\", resource)\nwhen { resource.data == 3 };\n",
    );
    let found = complaints(&[("a.cedar", broken), ("b.cedar", wrong)]);
    assert!(found[0].starts_with("a.cedar:3 "), "{found:#?}");
    let lines: Vec<&str> = found.iter().map(|complaint| complaint.split(' ').next().unwrap()).collect();
    for line in ["b.cedar:4", "b.cedar:6", "b.cedar:8"] {
        assert!(lines.contains(&line), "{line}: {found:#?}");
    }
    assert!(found.iter().any(|complaint| complaint.contains("depht")), "{found:#?}");
}

#[test]
fn what_would_error_or_mislead_at_run_time_is_refused() {
    for (line, text) in [
        (1, r#"permit (principal == ?principal, action, resource);"#),
        (1, r#"permit (principal, action == Action::"exchange", resource) when { Agent::"x".owner == "dana" };"#),
        (1, r#"permit (principal, action == Action::"exchange", resource) when { context.subject.getTag("x") == "y" };"#),
        (1, r#"permit (principal, action == Action::"exchange", resource) when { context.scope == "y" };"#),
        (2, "permit (principal, action, resource);\n@lifetime(\"2 m\") permit (principal, action, resource);"),
        (1, r#"@lifetime("0s") permit (principal, action, resource);"#),
        (1, r#"@lifetime("99999999999999999999s") permit (principal, action, resource);"#),
        (1, r#"@lifetime("2m") forbid (principal, action, resource);"#),
        (1, r#"@lifetme("2m") permit (principal, action, resource);"#),
        (1, r#"@id("") permit (principal, action, resource);"#),
        (1, r#"@id("a b") permit (principal, action, resource);"#),
        (2, "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);"),
        (2, "@id(\"t#2\") permit (principal, action, resource);\nforbid (principal, action, resource);"),
    ] {
        let found = complaints(&[("t.cedar", text)]);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert!(found[0].starts_with(&format!("t.cedar:{line} ")), "{text}: {found:#?}");
    }
    assert_eq!(complaints(&[("long.cedar", &"/".repeat(1024 * 1024 + 1))]).len(), 1);
}

#[test]
fn ids_follow_the_order_in_the_file() {
    let text: String =
        (1..=12).map(|n| format!("forbid (principal, action, resource == Scope::\"https://crm.example s{n}\");\n")).collect();
    let policies = Policies::parse(&[(PathBuf::from("x/t.cedar"), text)]).unwrap();
    let catalog = Catalog::new(agents(), vec![api(CRM, "s11", &["s11"])], &[]).unwrap();
    let admitted = admitted(&catalog, "orchestrator", subject(user()));
    let denial = exchanged(&policies, &catalog, &admitted, "audience=https://crm.example").unwrap_err().denial();
    assert_eq!(denial.explanation.forbade, ["t#11"]);
}

#[test]
fn the_digest_is_of_names_and_texts_in_any_order() {
    let digest = |files: &[(&str, &str)]| {
        let files: Vec<_> = files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        Policies::parse(&files).unwrap().digest()
    };
    let (one, other) =
        (("x/a.cedar", "permit (principal, action, resource);"), ("x/b.cedar", "forbid (principal, action, resource);"));
    assert_eq!(digest(&[one, other]), digest(&[other, one]));
    assert_eq!(digest(&[one]), digest(&[("y/a.cedar", one.1)]));
    assert_ne!(digest(&[one]), digest(&[("x/a2.cedar", one.1)]));
    assert_ne!(digest(&[one]), digest(&[("x/a.cedar", other.1)]));
    assert_ne!(digest(&[one]), digest(&[]));
}
