//! `trust try`: every check in its order with what it finds and wants, whom the token logs in, and what it means here; by the
//! configuration alone, by a file alone, by the server, and on its folder where none runs.

use std::fs;

use serde_json::{Value, json};

use crate::support::foreign::{ForeignKey, Said, say};
use crate::support::{Party, Site, get, scratch};

/// The checks that a server makes, in their order, but for the requirements, which stand between the two.
const BEFORE: [&str; 7] = ["in force", "typ", "kind", "exp, iat, nbf", "signature", "aud", "cnf"];
const AFTER: [&str; 3] = ["subject", "instance", "act, may_act"];

fn offline(site: &Site, token: &str, more: &[&str]) -> Said {
    let config = site.fixture.config.to_str().unwrap();
    say(&[&["trust", "try", "-", "--config", config][..], more].concat(), token)
}

fn on_data(site: &Site, token: &str, more: &[&str]) -> Said {
    let data = site.fixture.data.to_str().unwrap();
    say(&[&["trust", "try", "-", "--data", data][..], more].concat(), token)
}

/// The names of the checks that fail under the rule, each with what is found, wanted and answered.
fn failing(tried: &Value, rule: &str) -> Vec<(String, String)> {
    let rules = tried["rules"].as_array().unwrap();
    let rule = rules.iter().find(|one| one["rule"] == rule).unwrap_or_else(|| panic!("{rule} does not look: {tried}"));
    let failing = rule["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false);
    failing
        .map(|check| {
            let text = |name: &str| check[name].as_str().unwrap_or_else(|| panic!("{name} of {check}")).to_owned();
            assert!(!text("wanted").is_empty() && !text("reason").is_empty(), "{check}");
            (text("check"), format!("{} | {} | {}", text("found"), text("wanted"), text("reason")))
        })
        .collect()
}

/// The good token of each platform passes every check, in the order in which a server makes them.
#[test]
fn the_token_of_every_platform_passes_every_check_in_order() {
    let site = Site::new("try-good");
    let _issuers = site.issuers();
    let profile = site.profile();
    let party = Party::new(&profile, "gateway");
    let mut kinds = std::collections::BTreeSet::new();
    for rule in profile.trust.keys().filter(|rule| *rule != "spiffe-live") {
        let token = party.vouched(rule, json!({}));
        let said = offline(&site, &token, &["--rule", rule, "--json"]);
        let tried = said.json();
        assert_eq!((said.code, &tried["ok"]), (0, &json!(true)), "{rule}: {tried}");
        assert!(failing(&tried, rule).is_empty(), "{rule}: {tried}");
        let names: Vec<&str> =
            tried["rules"][0]["checks"].as_array().unwrap().iter().map(|check| check["check"].as_str().unwrap()).collect();
        assert_eq!(names[..BEFORE.len()], BEFORE, "{rule}");
        assert_eq!(names[names.len() - AFTER.len()..], AFTER, "{rule}");
        assert!(
            names[BEFORE.len()..names.len() - AFTER.len()].iter().all(|name| name.starts_with("require ")),
            "{rule}: {names:?}"
        );
        assert!(tried["rules"][0]["accepted"]["subject"].as_str().unwrap().starts_with(&format!("{rule}:")), "{rule}");
        kinds.insert(tried["rules"][0]["kind"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds.len(), 12, "every kind but x509, which takes no token: {kinds:?}");
}

/// The rule of one file over tokens of `key`, with `more` lines in it.
fn rule_file(folder: &std::path::Path, key: &ForeignKey, more: &str) -> String {
    fs::write(folder.join("keys.json"), key.set().to_string()).unwrap();
    let text = format!(
        "name = 'cluster'\nkind = 'kubernetes'\nissuer = 'https://kubernetes.acme.example'\n\
         audiences = ['https://sts.example']\n{more}\n\
         [require]\n'/kubernetes.io/namespace' = 'prod'\nzone = 7\n[keys]\njwks_file = 'keys.json'\n"
    );
    let path = folder.join("cluster.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn pod(more: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://kubernetes.acme.example", "aud": ["https://sts.example"], "zone": 7,
        "sub": "system:serviceaccount:prod:web",
        "kubernetes.io": { "namespace": "prod", "serviceaccount": { "name": "web", "uid": "14ee" }, "pod": { "uid": "5e0b" } },
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

/// One bad token for each check fails that check and no other, and is told what was found and what is wanted.
#[test]
fn each_check_that_fails_tells_what_it_found_and_what_it_wants() {
    let folder = scratch("try-checks");
    let (key, other) = (ForeignKey::rsa(), ForeignKey::elliptic());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let good = key.token(None, &pod(&json!({})));
    let file = rule_file(&folder, &key, "");
    assert_eq!(say(&["trust", "try", "-", "--file", &file], &good).code, 0);
    let kubernetes = |member: &str, value: Value| {
        let mut all = pod(&json!({}))["kubernetes.io"].clone();
        all[member] = value;
        json!({ "kubernetes.io": all })
    };
    let of = |more: Value| key.token(None, &pod(&more));
    let cases: [(&str, &str, String, &[&str]); 12] = [
        ("in force", "enabled = false", good.clone(), &["enabled = false", "| enabled |"]),
        ("typ", "", key.token(Some("at+jwt"), &pod(&json!({}))), &["\"at+jwt\"", "\"JWT\" or none"]),
        ("typ", "", of(json!({ "scope": "a" })), &["none, with scope or scp"]),
        ("kind", "", of(json!({ "sub": "system:serviceaccount:prod:other" })), &["sub \"system:serviceaccount:prod:other\""]),
        ("exp, iat, nbf", "", of(json!({ "iat": now - 900, "exp": now - 300 })), &["s ago", "expired"]),
        (
            "exp, iat, nbf",
            "",
            of(json!({ "iat": now, "exp": now + 86_400 })),
            &["; it lives 86400 s", "3600 s after iat at most"],
        ),
        ("signature", "", other.token(None, &pod(&json!({}))), &["kid \"idp\", alg ES256", "keys \"github\"; alg one of"]),
        ("aud", "", of(json!({ "aud": ["https://else.example"] })), &["\"https://else.example\" | \"https://sts.example\""]),
        ("cnf", "", of(json!({ "cnf": { "kid": "a" } })), &["{\"kid\":\"a\"}", "one key that whoever presents"]),
        ("require zone", "", of(json!({ "zone": "7" })), &["\"7\" | is 7 |"]),
        ("subject", "subject = { id = '{zone}/{team}' }", good.clone(), &["team is absent | {zone}/{team} |"]),
        ("instance", "", of(kubernetes("pod", json!({ "uid": "a\u{7}b" }))), &["no name", "as kubernetes tells it"]),
    ];
    for (check, more, token, told) in cases {
        let file = rule_file(&folder, &key, more);
        let said = say(&["trust", "try", "-", "--file", &file, "--json"], &token);
        let failing = failing(&said.json(), "cluster");
        assert_eq!(failing.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [check], "{said:?}");
        assert!(told.iter().all(|told| failing[0].1.contains(told)), "{check}: {told:?} in {}", failing[0].1);
        assert_eq!((said.code, &said.json()["ok"]), (1, &json!(false)), "{check}");
        let words = say(&["trust", "try", "-", "--file", &file], &token);
        assert!(words.code == 1 && words.out.contains(&format!("  NO  {check}: ")), "{}", words.out);
        assert!(words.out.contains("      wanted: ") && !words.out.contains(&token), "{}", words.out);
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// Whatever a token says, nothing of it steers a terminal, and of what is long only the beginning is told.
#[test]
fn what_cannot_be_seen_in_a_token_is_made_visible() {
    let folder = scratch("try-unseen");
    let key = ForeignKey::rsa();
    let file = rule_file(&folder, &key, "");
    let hostile = "\u{1b}[2J\u{202e}\u{200b}\u{7}\n\u{9b}2J";
    let mut claims = pod(&json!({}));
    claims["aud"] = json!([hostile, "x".repeat(5000)]);
    claims["zone"] = json!(hostile);
    claims["cnf"] = json!({ hostile: hostile });
    claims["kubernetes.io"]["pod"]["uid"] = json!(hostile);
    let token = key.token(Some("JWT"), &claims);
    for said in
        [say(&["trust", "try", "-", "--file", &file], &token), say(&["trust", "try", "-", "--file", &file, "--json"], &token)]
    {
        let unseen = |one: char| (one.is_control() && one != '\n') || matches!(one, '\u{202e}' | '\u{200b}');
        assert!(said.code == 1 && !said.out.contains(unseen), "{:?}", said.out);
        assert!(
            said.out.contains("u{202e}") || said.out.contains("u202e") || said.out.contains("cannot be shown"),
            "{:?}",
            said.out
        );
        assert!(said.out.lines().all(|line| line.len() < 6000) && !said.out.contains(&"x".repeat(1000)), "{:?}", said.out);
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_token_of_no_rule_and_what_is_no_token_are_told_apart() {
    let site = Site::new("try-stranger");
    let party = Party::new(&site.profile(), "gateway");
    let stranger = party.vouched("cluster-a", json!({ "iss": "https://kubernetes.default.svc.cluster.local/" }));
    let said = offline(&site, &stranger, &[]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("no rule looks at the token: ") && said.out.contains("which is another issuer"), "{}", said.out);
    assert_eq!(offline(&site, &stranger, &["--json"]).json()["rules"], json!([]));
    let known = party.vouched("cluster-a", json!({}));
    let said = offline(&site, &known, &["--rule", "nobody"]);
    assert!(said.code == 1 && said.out.contains("there is no rule nobody"), "{said:?}");
    for (text, told) in [("", "three parts"), ("a.b", "a.b"), ("not a token", ""), (&known[..known.len() - 3], "")] {
        let said = offline(&site, text, &["--rule", "cluster-a"]);
        let refused = said.code == 2 && said.err.starts_with("countersign: -: ");
        assert!(refused || said.code == 1, "{text:?} ({told}): {said:?}");
        assert!(text.len() < 20 || !said.err.contains(text), "{said:?}");
    }
    let own = format!("http://{}", site.public);
    let said = offline(&site, &party.vouched("cluster-a", json!({ "iss": own })), &[]);
    assert!(said.code == 1 && said.out.contains("it is this server's own"), "{}", said.out);
    assert_eq!(say(&["trust", "try", "/absent/token"], "").code, 2);
    let conflict = say(&["trust", "try", "-", "--file", "a.toml", "--rule", "b"], "");
    assert_eq!(conflict.code, 2, "{conflict:?}");
}

/// Why keys cannot be had is told on the error output, once, and the check says that they cannot.
#[test]
fn keys_that_cannot_be_fetched_are_told_with_the_reason() {
    let site = Site::new("try-unreachable");
    let token = Party::new(&site.profile(), "gateway").vouched("gitlab", json!({}));
    let said = offline(&site, &token, &["--rule", "gitlab", "--json"]);
    let failing = failing(&said.json(), "gitlab");
    assert!(said.code == 1 && failing.len() == 1 && failing[0].0 == "signature", "{said:?}");
    assert!(failing[0].1.contains("cannot be had now") && said.err.contains("the connection was refused"), "{said:?}");
}

/// A proxy that the environment names is told not to be used, where keys would be fetched past it.
#[test]
fn a_proxy_of_the_environment_is_told_not_to_be_used() {
    let site = Site::new("try-proxy");
    let config = site.fixture.config.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        let output = command.args(arguments).env("HTTPS_PROXY", "http://127.0.0.1:1").output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat()
    };
    let checked = run(&["check", "--config", config]);
    assert!(checked.contains("warning: the environment: HTTPS_PROXY is set, and keys are not fetched through it"), "{checked}");
    let token = site.folder.join("token");
    fs::write(&token, Party::new(&site.profile(), "gateway").vouched("gitlab", json!({}))).unwrap();
    let tried = run(&["trust", "try", token.to_str().unwrap(), "--rule", "gitlab", "--config", config]);
    assert!(tried.contains("the proxy of the environment is not used to fetch keys"), "{tried}");
}

/// Two clusters have one issuer: both rules are shown, and one accepts.
#[test]
fn every_rule_of_an_issuer_is_shown_and_one_must_accept() {
    let site = Site::new("try-twins");
    let party = Party::new(&site.profile(), "gateway");
    let token = party.vouched("cluster-a", json!({}));
    let tried = offline(&site, &token, &["--json"]).json();
    assert_eq!((&tried["ok"], tried["rules"].as_array().unwrap().len()), (&json!(true), 2), "{tried}");
    assert_eq!(failing(&tried, "cluster-b").iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["signature"], "{tried}");
    let file = site.folder.join("conf/trust/cluster-a.toml");
    let twin = fs::read_to_string(&file).unwrap().replace("\"cluster-a\"", "\"cluster-twin\"");
    fs::write(site.folder.join("conf/trust/twin.toml"), twin).unwrap();
    let said = offline(&site, &token, &[]);
    assert!(said.code == 1 && said.out.contains("more than one rule accepts the token, so none counts"), "{said:?}");
}

/// Whom a token logs in, who may present it, and what the rule makes of its scopes and claims.
#[test]
fn the_meaning_of_a_token_is_told() {
    let site = Site::new("try-meaning");
    let _issuers = site.issuers();
    let profile = site.profile();
    let party = Party::new(&profile, "orchestrator");
    let tried = |rule: &str, claims: Value| offline(&site, &party.vouched(rule, claims), &["--rule", rule]).out;
    let account = json!({ "kubernetes.io": { "namespace": "prod",
        "serviceaccount": { "name": "web", "uid": "24ee3fa4-a7e2-420f-9f9a-dbc4507c3798" } } });
    let words = tried("cluster-a", account);
    assert!(words.contains("  subject     cluster-a:24ee3fa4-a7e2-420f-9f9a-dbc4507c3798 (workload)\n"), "{words}");
    assert!(words.contains("  logs in     deployer\n") && words.contains("  presented   by gateway\n"), "{words}");
    let words = tried("cluster-a", json!({}));
    assert!(words.contains("  logs in     nobody: no [[login]]"), "{words}");
    assert!(words.contains("  instance    5e0bd49b-f040-43b0-99b7-22765a53f7f3\n"), "{words}");
    let words = tried("other-as", json!({}));
    let told = ["  scope       crm:read is contacts.read of https://crm.example\n", "  client      as-orchestrator\n"];
    assert!(told.iter().all(|told| words.contains(told)) && words.contains("  presented   by orchestrator\n"), "{words}");
    let words = tried("other-as", json!({ "scope": "openid", "client_id": "nobody-here" }));
    assert!(words.contains("  scope       none: no [[map]]") && words.contains("  presented   by nobody: no agent's"), "{words}");
    let words = tried("aws", json!({}));
    assert!(words.contains("  attribute   team = data-engineering\n"), "{words}");
    let words = tried("idp", json!({}));
    assert!(
        words.contains("  logs in     nobody: a person's token") && words.contains("  presented   by orchestrator\n"),
        "{words}"
    );
    let refused = offline(&site, &party.vouched("idp", json!({ "may_act": { "sub": "a", "cnf": {} } })), &["--json"]);
    assert_eq!(
        failing(&refused.json(), "idp").iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
        ["act, may_act"],
        "{refused:?}"
    );
}

fn ops(site: &Site, arguments: &[&str]) -> i32 {
    say(&[arguments, &["--data", site.fixture.data.to_str().unwrap()]].concat(), "").code
}

fn records(site: &Site) -> String {
    let text = get(site.ops, "/metrics").unwrap().text;
    text.lines().find(|line| line.starts_with("countersign_ledger_records")).unwrap_or_default().to_owned()
}

/// By the server: its rules and keys, and what its records have ended. Nothing is recorded, spent, logged or kept.
#[test]
fn the_running_server_tries_by_what_is_in_force_there() {
    let site = Site::new("try-running");
    let server = site.start();
    let gateway = Party::new(&site.profile(), "gateway");
    let token = gateway.vouched("cluster-a", json!({}));
    let before = records(&site);
    let said = on_data(&site, &token, &[]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("  ok  not ended: issued ") && said.out.contains("  presented   by gateway\n"), "{}", said.out);
    assert_eq!(on_data(&site, &token, &["--rule", "cluster-a", "--json"]).json()["with_state"], true);
    let foreign = ForeignKey::rsa().token(None, &json!({ "iss": "https://nobody.example" }));
    assert_eq!(on_data(&site, &foreign, &[]).code, 1);
    assert_eq!(on_data(&site, "no token", &[]).code, 2);
    assert_eq!(records(&site), before, "nothing was recorded");
    let log = fs::read_to_string(site.log()).unwrap();
    assert!(token.split('.').all(|part| !log.contains(part)), "the log has a part of the token");
    let reply = super::present(&site, &token);
    assert_eq!(reply.status, 200, "it is as good as before: {}", reply.text);
    // A file that cannot be read changes nothing of what is in force.
    let file = site.folder.join("conf/trust/cluster-a.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, "kind = 'nonsense'").unwrap();
    assert_eq!(offline(&site, &token, &[]).code, 2);
    assert_eq!(on_data(&site, &token, &[]).code, 0);
    fs::write(&file, &text).unwrap();
    assert_eq!(ops(&site, &["revoke", "--rule", "cluster-a"]), 0);
    let said = on_data(&site, &token, &["--json"]);
    let failing_now = failing(&said.json(), "cluster-a");
    assert!(said.code == 1 && failing_now.len() == 1 && failing_now[0].0 == "not ended", "{said:?}");
    assert!(failing_now[0].1.contains("the rule was ended "), "{failing_now:?}");
    assert_eq!(super::present(&site, &token).status, 400, "and so the server refuses it");
    server.stop();
    let said = on_data(&site, &token, &[]);
    assert!(said.code == 1 && said.out.contains("  NO  not ended: "), "the folder says the same: {said:?}");
}

/// A login that would be refused because its agent is suspended is told to be.
#[test]
fn an_agent_that_is_suspended_is_told() {
    let site = Site::new("try-suspended");
    let _server = site.start();
    let account = json!({ "name": "web", "uid": "24ee3fa4-a7e2-420f-9f9a-dbc4507c3798" });
    let pod = json!({ "kubernetes.io": { "namespace": "prod", "serviceaccount": account } });
    let token = Party::new(&site.profile(), "deployer").vouched("cluster-a", pod);
    assert_eq!(on_data(&site, &token, &["--rule", "cluster-a"]).code, 0);
    assert_eq!(ops(&site, &["agent", "suspend", "deployer"]), 0);
    let said = on_data(&site, &token, &["--rule", "cluster-a"]);
    assert!(said.code == 1 && said.out.contains("the agent is suspended"), "{said:?}");
}

/// What is in force answers, and not a changed configuration that somebody has to accept first; that it waits is told.
#[test]
fn a_changed_configuration_that_waits_is_not_asked() {
    let site = Site::new("try-waits");
    let _server = site.start();
    let token = Party::new(&site.profile(), "gateway").vouched("cluster-a", json!({}));
    for rule in fs::read_dir(site.folder.join("conf/trust")).unwrap().map(|rule| rule.unwrap().path()) {
        let text = fs::read_to_string(&rule).unwrap();
        fs::write(&rule, format!("enabled = false\n{text}")).unwrap();
    }
    site.wait("it waits", || site.pending() == "needs_acceptance");
    let said = on_data(&site, &token, &[]);
    assert!(said.code == 0 && said.out.contains("a changed configuration waits and was not asked"), "{said:?}");
    assert_eq!(failing(&offline(&site, &token, &["--json"]).json(), "cluster-a")[0].0, "in force");
}
