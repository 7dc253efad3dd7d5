//! `trust inventory`: who of elsewhere reaches which agents and APIs, and when they last did.

use std::fs;

use serde_json::{Value, json};

use crate::support::foreign::{Said, say};
use crate::support::{Party, Site, form, post_form};

fn inventory(site: &Site, more: &[&str]) -> Said {
    let data = site.fixture.data.to_str().unwrap();
    say(&[&["trust", "inventory", "--data", data][..], more].concat(), "")
}

/// The grants of that rule by that agent, each as who, APIs, last use and whether that is known.
fn grants(page: &Value, rule: &str, agent: &str) -> Vec<(String, Vec<String>, bool, bool)> {
    let rules = page["rules"].as_array().unwrap();
    let rule = rules.iter().find(|one| one["rule"] == rule).unwrap_or_else(|| panic!("{rule} is not there: {page}"));
    let of_agent = rule["grants"].as_array().unwrap().iter().filter(|grant| grant["agent"] == agent);
    let apis = |grant: &Value| grant["apis"].as_array().unwrap().iter().map(|api| api["api"].as_str().unwrap().into()).collect();
    let told = |grant: &Value| {
        let who = format!("{} {}", grant["by"].as_str().unwrap(), grant["who"].as_str().unwrap());
        (who, apis(grant), grant["last_use"].is_i64(), grant["use_known"] == true)
    };
    of_agent.map(told).collect()
}

#[test]
fn every_way_in_is_told_with_its_last_use_by_the_server_and_on_its_folder() {
    let site = Site::new("inventory");
    let server = site.start();
    let page = inventory(&site, &["--json"]).json();
    let names: Vec<&str> = page["rules"].as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap()).collect();
    let mut files = fs::read_dir(site.folder.join("conf/trust")).unwrap().count();
    files -= usize::from(site.folder.join("conf/trust/README.md").exists());
    assert!(names.is_sorted() && names.len() == files, "every rule once, in order: {names:?}");
    let client = "subject_token client 0oa-orchestrator";
    let before = grants(&page, "idp", "orchestrator");
    assert_eq!((before[0].0.as_str(), before[0].2, before[0].3), (client, false, true), "never, and that is known: {before:?}");
    assert!(before[0].1.contains(&"https://crm.example".to_owned()), "{before:?}");
    let mapped = grants(&page, "other-as", "orchestrator");
    assert!(mapped[0].1.iter().all(|api| ["https://crm.example", "https://files.example"].contains(&&**api)), "{mapped:?}");
    assert!(!mapped[0].1.is_empty(), "what the rule maps can be reached: {mapped:?}");
    let login = grants(&page, "cluster-a", "deployer");
    assert_eq!(login[0].0, "login /kubernetes.io/serviceaccount/uid is \"24ee3fa4-a7e2-420f-9f9a-dbc4507c3798\"");
    let whole = grants(&page, "cluster-a", "gateway");
    assert_eq!(whole[0].0, "subject_token every workload of the rule");
    let svid = grants(&page, "spiffe-acme", "researcher");
    assert!(svid.iter().any(|grant| grant.0.starts_with("login spiffe://acme.example/")), "{svid:?}");

    let party = Party::new(&site.profile(), "orchestrator");
    let (assertion, id_token) = (party.assertion(), party.id_token(json!({})));
    let request = Party::request(&assertion, &id_token, &[("resource", "https://crm.example")]);
    assert_eq!(post_form(site.public, "/token", &form(&request)).unwrap().status, 200);
    let used = |page: &Value| grants(page, "idp", "orchestrator")[0].2;
    site.wait("the use is told", || used(&inventory(&site, &["--json"]).json()));
    let running = inventory(&site, &["--json"]).json();
    assert!(!grants(&running, "other-as", "orchestrator")[0].2, "under another rule it did nothing");
    server.stop();
    let stopped = inventory(&site, &["--json"]).json();
    assert_eq!(stopped, running, "on the folder the same");
}

/// A use that the records do not tell apart is not told as one, nor as none.
#[test]
fn the_use_of_one_of_two_clients_of_an_agent_is_not_known() {
    let site = Site::new("inventory-two");
    let agent = site.folder.join("conf/agents/orchestrator.toml");
    let text = fs::read_to_string(&agent).unwrap();
    let second = "[[foreign_clients]]\ntrust  = \"idp\"\nclient = \"0oa-second\"\n\n[[login]]";
    fs::write(&agent, text.replacen("[[login]]", second, 1)).unwrap();
    let _server = site.start();
    let known = |page: &Value| grants(page, "idp", "orchestrator").iter().map(|grant| grant.3).collect::<Vec<_>>();
    assert_eq!(known(&inventory(&site, &["--json"]).json()), [true, true], "neither was ever used");
    let party = Party::new(&site.profile(), "orchestrator");
    let (assertion, id_token) = (party.assertion(), party.id_token(json!({})));
    let request = Party::request(&assertion, &id_token, &[("resource", "https://crm.example")]);
    assert_eq!(post_form(site.public, "/token", &form(&request)).unwrap().status, 200);
    site.wait("one was used", || known(&inventory(&site, &["--json"]).json()) == [false, false]);
    let words = inventory(&site, &[]).out;
    assert!(words.lines().any(|line| line.starts_with("orchestrator") && line.ends_with("  -")), "{words}");
}

#[test]
fn the_table_fits_80_columns_and_tells_what_is_disabled_or_reaches_nobody() {
    let site = Site::new("inventory-table");
    let rule = site.folder.join("conf/trust/azure.toml");
    fs::write(&rule, format!("enabled = false\n{}", fs::read_to_string(&rule).unwrap().replace("presenters", "# presenters")))
        .unwrap();
    let server = site.start();
    let words = inventory(&site, &[]).out;
    assert!(words.starts_with("AGENT ") && words.lines().all(|line| line.chars().count() <= 80), "{words}");
    for told in [
        "disabled: it admits nobody",
        "  reaches nobody: no agent names the rule",
        "  only where oid is one of \"8911b4f4-2b4e-46ce-b854-ebeebffe7bc6\"",
        "never",
    ] {
        assert!(words.contains(told), "{told} in {words}");
    }
    assert_eq!(inventory(&site, &["--all"]).out, words, "they are one page");
    let after = inventory(&site, &["--after", "idp", "--json"]).json();
    assert!(after["rules"].as_array().unwrap().iter().all(|rule| rule["rule"].as_str().unwrap() > "idp"), "{after}");
    assert_eq!(inventory(&site, &["--all", "--after", "idp"]).code, 2);
    assert_eq!(say(&["agent", "suspend", "gateway", "--data", site.fixture.data.to_str().unwrap()], "").code, 0);
    assert!(inventory(&site, &[]).out.contains("gateway"), "it is there still");
    let page = inventory(&site, &["--json"]).json();
    let gateway = page["rules"].as_array().unwrap().iter().flat_map(|rule| rule["grants"].as_array().unwrap());
    assert!(gateway.filter(|grant| grant["agent"] == "gateway").all(|grant| grant["status"] == "suspended"), "{page}");
    server.stop();
}
