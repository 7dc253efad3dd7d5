//! What policies decide, asked beforehand: by `policy explain`, `policy test` and `policy check`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::foreign::say;
use crate::support::{Party, Site, form, post_form};

fn sample(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The samples are tested by their own tests, and every policy of them decides in one.
#[test]
fn the_samples_pass_their_own_tests_and_are_covered() {
    let (folder, config) = (sample("conf/policies/tests"), sample("conf/default.toml"));
    let [folder, config] = [&folder, &config].map(|path| path.to_str().unwrap());
    let said = say(&["policy", "test", folder, "--config", config, "--covered"], "");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("ok      person-reads-contacts") && said.out.contains(" tests, 0 failed"), "{said:?}");
    let checked = say(&["policy", "check", "--config", config], "");
    assert!(checked.code == 0 && !checked.out.contains("warning"), "{checked:?}");
}

/// A test that expects something else fails, and says what was found; its results are read by build servers too.
#[test]
fn a_test_that_fails_is_told_and_written_as_junit() {
    let site = Site::new("policy-tests");
    let config = site.fixture.config.to_str().unwrap();
    let (tests, junit) = (site.folder.join("tests"), site.folder.join("junit.xml"));
    fs::create_dir_all(&tests).unwrap();
    let put = |name: &str, expect: Value| {
        let request = json!({ "client": "orchestrator", "resource": "crm", "subject": { "rule": "idp", "id": "a<b" } });
        fs::write(tests.join(name), json!({ "request": request, "expect": expect }).to_string()).unwrap();
    };
    put("1-good.json", json!({ "decision": "permit", "policies": ["exchange#2"] }));
    put("2-other.json", json!({ "decision": "deny" }));
    put("3-policies.json", json!({ "decision": "permit", "policies": ["exchange#1"] }));
    put("4-lifetime.json", json!({ "decision": "permit", "lifetime": 60 }));
    fs::write(tests.join("5-broken.json"), "{").unwrap();
    fs::write(tests.join("notes.txt"), "no test").unwrap();
    let folder = tests.to_str().unwrap();
    let said = say(&["policy", "test", folder, "--config", config, "--junit", junit.to_str().unwrap()], "");
    assert_eq!(said.code, 1, "{said:?}");
    for words in [
        "ok      1-good",
        "FAILED  2-other: expected deny, decided permit (exchange#2)",
        "FAILED  3-policies: other policies decided: exchange#2",
        "FAILED  4-lifetime: expected a lifetime of 60 s, found none",
        "FAILED  5-broken: is no test",
        "decided in no test: exchange#1",
        "5 tests, 4 failed",
    ] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
    let xml = fs::read_to_string(junit).unwrap();
    assert!(
        xml.contains("tests=\"5\" failures=\"4\"") && xml.contains("<testcase classname=\"policy\" name=\"1-good\"/>"),
        "{xml}"
    );
    fs::remove_file(tests.join("5-broken.json")).unwrap();
    ["2-other", "3-policies", "4-lifetime"]
        .iter()
        .for_each(|name| fs::remove_file(tests.join(name).with_extension("json")).unwrap());
    let run = |more: &[&str]| say(&[&["policy", "test", folder, "--config", config], more].concat(), "");
    assert_eq!((run(&[]).code, run(&["--covered"]).code), (0, 1), "most policies decide in no test");
    let json: Value = serde_json::from_str(&run(&["--json"]).out).unwrap();
    assert_eq!((&json["ok"], json["tests"].as_array().unwrap().len()), (&json!(true), 1));
}

/// What is in force answers, not what the files say by now: the same request is decided as it is explained.
#[test]
fn a_server_explains_what_it_then_does() {
    let site = Site::new("policy-explains");
    let folder = site.folder.join("requests");
    fs::create_dir_all(&folder).unwrap();
    let ask = |name: &str, scope: &str| {
        let file = folder.join(name);
        let request = json!({ "client": "orchestrator", "resource": "crm", "scope": scope, "subject": { "rule": "idp" } });
        fs::write(&file, request.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (read, delete) = (ask("read.json", "contacts.read"), ask("delete.json", "contacts.delete"));
    let _server = site.start();
    let party = Party::new(&site.profile(), "orchestrator");
    for (file, scope, status) in [(&read, "contacts.read", 200), (&delete, "contacts.delete", 400)] {
        let assertion = party.assertion();
        let subject = party.id_token(json!({}));
        let more = [("audience", "crm"), ("scope", scope)];
        let reply = post_form(site.public, "/token", &form(&Party::request(&assertion, &subject, &more))).unwrap();
        assert_eq!(reply.status, status, "{}", reply.text);
        let data = site.fixture.data.to_str().unwrap();
        let said = say(&["policy", "explain", file, "--data", data, "--json"], "");
        let told: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
        assert_eq!((told["decision"] == "permit", said.code == 0), (status == 200, status == 200), "{said:?}");
    }
    let config = site.fixture.config.to_str().unwrap();
    let said = say(&["policy", "explain", &delete, "--config", config], "");
    assert!(said.out.contains("contacts.delete: deny, exchange#") && said.out.contains(" stood in the way"), "{said:?}");
    fs::write(&read, r#"{ "client": "orchestratr", "resource": "crm" }"#).unwrap();
    let said = say(&["policy", "explain", &read, "--config", config], "");
    assert!(said.code == 2 && said.err.contains("did you mean orchestrator?"), "{said:?}");
}

/// Exceptions are listed as long as they live, the one that is over first in front.
#[test]
fn living_exceptions_are_listed() {
    let site = Site::new("policy-exceptions");
    let config = site.fixture.config.to_str().unwrap();
    let exception = |id: &str, expires: &str| {
        format!(
            "@id(\"{id}\") @exception(\"no-access\") @owner(\"dana@acme.example\") @reason(\"audit\") @expires(\"{expires}\")\n\
             permit (principal == Agent::\"worker\", action == Action::\"exchange\", resource in Api::\"https://crm.example\");\n"
        )
    };
    let text = [exception("later", "2999-01-31"), exception("over", "2020-01-31"), exception("sooner", "2998-01-31")].concat();
    fs::write(site.folder.join("conf/policies/exceptions.cedar"), text).unwrap();
    let said = say(&["policy", "check", "--config", config], "");
    assert_eq!(said.code, 0, "{said:?}");
    let lines: Vec<&str> = said.out.lines().filter(|line| line.starts_with("exception ")).collect();
    assert_eq!(lines.len(), 2, "{said:?}");
    assert!(lines[0].starts_with("exception sooner from no-access: audit (dana@acme.example), until 2998-02-01T"), "{lines:?}");
    assert!(lines[1].starts_with("exception later") && lines[1].ends_with(" days left"), "{lines:?}");
    fs::write(site.folder.join("conf/policies/slip.cedar"), "forbid (principal == Agent::\"wroker\", action, resource);\n")
        .unwrap();
    let said = say(&["policy", "check", "--config", config], "");
    assert!(said.code == 1 && said.out.contains("slip.cedar:1: there is no agent \"wroker\""), "{said:?}");
}

/// RFC 9470: the client learns which login is missing, and has what it asked for after it.
#[test]
fn a_login_that_is_too_weak_or_too_old_is_told_by_rfc_9470() {
    let site = Site::new("policy-step-up");
    let guard = "forbid (principal is Agent, action, resource == Scope::\"https://crm.example contacts.write\")\n\
                 unless { context.acr == \"gold\" && context.auth_age <= 300 };\n";
    fs::write(site.folder.join("conf/policies/step-up.cedar"), guard).unwrap();
    let _server = site.start();
    let party = Party::new(&site.profile(), "orchestrator");
    let ask = |claims: Value| {
        let (assertion, subject) = (party.assertion(), party.id_token(claims));
        let more = [("audience", "crm"), ("scope", "contacts.write")];
        post_form(site.public, "/token", &form(&Party::request(&assertion, &subject, &more))).unwrap()
    };
    let refused = ask(json!({}));
    assert_eq!(
        (refused.status, refused.text_of("error")),
        (400, "insufficient_user_authentication".to_owned()),
        "{}",
        refused.text
    );
    assert_eq!(refused.text_of("acr_values"), "gold");
    assert_eq!(refused.json()["max_age"], 300);
    let after = ask(json!({ "acr": "gold", "auth_time": party.now() - 10 }));
    assert_eq!(after.status, 200, "{}", after.text);
}
