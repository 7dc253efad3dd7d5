//! Trust rules from outside: no verdict is not a refusal, rules come and go without a restart, `trust check` tells who passes.

mod adding;
mod attested;
mod claims;
pub mod cluster;
mod inventory;
mod key_sets;
mod load;
mod pages;
mod trying;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use countersign_conformance::fixture;

use serde_json::{Value, json};

use crate::support::{Party, Site, form, get, post_form, scratch};

/// An exchange of a CI job's token by the agent that may present it.
fn present(site: &Site, token: &str) -> crate::support::Reply {
    let gateway = Party::new(&site.profile(), "gateway");
    let assertion = gateway.assertion();
    let mut parameters = Party::request(&assertion, token, &[("resource", "https://files.example")]);
    parameters.retain(|(name, _)| *name != "subject_token_type");
    parameters.push(("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"));
    post_form(site.public, "/token", &form(&parameters)).unwrap()
}

fn usable(site: &Site, rule: &str) -> String {
    let metrics = get(site.ops, "/metrics").unwrap();
    let name = format!("countersign_trust_keys_usable{{rule=\"{rule}\"}} ");
    metrics.body().lines().find_map(|line| line.strip_prefix(&name)).expect(&name).to_owned()
}

/// Negative test 49: 503 and not 400 where an issuer's keys cannot be had, and nobody else notices.
#[test]
fn an_issuer_that_cannot_be_reached_is_no_verdict_until_it_can() {
    let site = Site::new("trust-down");
    let _server = site.start();
    let gateway = Party::new(&site.profile(), "gateway");
    let reply = present(&site, &gateway.vouched("gitlab", json!({})));
    assert_eq!((reply.status, reply.text_of("error")), (503, "temporarily_unavailable".to_owned()), "{}", reply.text);
    assert!(reply.header("retry-after").is_some(), "{}", reply.text);
    assert_eq!((usable(&site, "gitlab"), usable(&site, "cluster-a")), ("0".to_owned(), "1".to_owned()));
    assert_eq!(present(&site, &gateway.vouched("cluster-a", json!({}))).status, 200);
    let _issuers = site.issuers();
    site.wait("the keys are fetched", || usable(&site, "gitlab") == "1");
    let reply = present(&site, &gateway.vouched("gitlab", json!({})));
    assert_eq!(reply.status, 200, "{}", reply.text);
}

/// A rule that is added, changed, disabled and removed counts so without a restart.
#[test]
fn rules_come_and_go_without_a_restart() {
    let site = Site::new("trust-reload");
    let file = site.folder.join("conf/trust/cluster-a.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let agent = site.folder.join("conf/agents/deployer.toml");
    let login = fs::read_to_string(&agent).unwrap();
    fs::write(&agent, login.split("[[login]]\nmethod = \"workload_jwt\"\ntrust  = \"cluster-a\"").next().unwrap()).unwrap();
    let _server = site.start();
    let token = || Party::new(&site.profile(), "gateway").vouched("cluster-a", json!({}));
    let passes = || present(&site, &token()).status == 200;
    assert!(!passes());
    fs::write(&file, &text).unwrap();
    site.wait("the rule counts", passes);
    fs::write(&file, text.replace("14ee3fa4", "00000000")).unwrap();
    site.wait("the changed rule refuses", || !passes());
    fs::write(&file, &text).unwrap();
    site.wait("the rule counts again", passes);
    fs::write(&file, format!("enabled = false\n{text}")).unwrap();
    site.wait("the disabled rule refuses", || !passes());
    fs::write(&file, "kind = 'nonsense'").unwrap();
    site.wait("the broken file is told", || {
        fs::read_to_string(site.log()).unwrap().contains("the changed configuration is not used")
    });
    assert!(!passes(), "a broken file puts nothing in force");
    fs::remove_file(&file).unwrap();
    site.wait("the server lives on", || site.ready());
}

/// Serves what `bundle` holds as the bundle of the domain `live.example`, for as long as the test runs.
fn serve_bundle(site: &Site, bundle: &Arc<Mutex<String>>) {
    let profile = site.profile();
    let address = profile.trust["spiffe-live"].bundle.as_ref().unwrap().strip_prefix("http://").unwrap().to_owned();
    let (listener, bundle) = (TcpListener::bind(address.split_once('/').unwrap().0).unwrap(), Arc::clone(bundle));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (mut request, body) = ([0; 4096], bundle.lock().unwrap().clone());
            let head =
                format!("Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            let _ = stream.read(&mut request).and_then(|_| stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()));
        }
    });
}

/// SPIFFE Trust Domain and Bundle §4.1.1: a restart makes no old bundle new. What is answered is no verdict, the log says what to
/// do, and when that is done the server goes on by itself.
#[test]
fn a_bundle_that_was_rolled_back_over_a_restart_is_refused_until_an_operator_forgets_the_newer() {
    let site = Site::new("trust-rollback");
    let file = fs::read_to_string(site.folder.join("conf/jwks/spiffe-live.bundle.json")).unwrap();
    let numbered = |sequence: u64| {
        let mut bundle: Value = serde_json::from_str(&file).unwrap();
        bundle["spiffe_sequence"] = json!(sequence);
        bundle.to_string()
    };
    let bundle = Arc::new(Mutex::new(numbered(9)));
    serve_bundle(&site, &bundle);
    let token = || Party::new(&site.profile(), "gateway").vouched("spiffe-live", json!({ "iss": "https://spire.live.example" }));
    let server = site.start();
    site.wait("the bundle is fetched", || usable(&site, "spiffe-live") == "1");
    assert_eq!(present(&site, &token()).status, 200);
    server.kill();
    *bundle.lock().unwrap() = numbered(8);
    let server = site.start();
    let reply = present(&site, &token());
    assert_eq!((reply.status, reply.text_of("error")), (503, "temporarily_unavailable".to_owned()), "{}", reply.text);
    assert_eq!(usable(&site, "spiffe-live"), "0");
    let log = fs::read_to_string(site.log()).unwrap();
    assert!(log.contains("the bundle has the spiffe_sequence 8, and 9 was seen before"), "{log}");
    assert!(log.contains("`countersign trust forget live.example`"), "{log}");
    let forget = |domain: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        let output = command.args(["trust", "forget", domain, "--json", "--data"]).arg(&site.fixture.data).output().unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
    };
    assert_eq!(forget("nobody.example").0, Some(1), "nothing is known of it");
    assert_eq!(forget("Not A Domain").0, Some(2));
    let told = json!({ "ok": true, "trust_domain": "live.example", "forgotten": 9 });
    assert_eq!(forget("live.example"), (Some(0), told));
    site.wait("the server goes on", || usable(&site, "spiffe-live") == "1");
    assert_eq!(present(&site, &token()).status, 200);
    server.kill();
    fs::write(site.fixture.data.join("bundle-sequences.json"), "{").unwrap();
    let mut again = Command::new(env!("CARGO_BIN_EXE_countersign"));
    let again =
        again.args(["serve", "--config"]).arg(&site.fixture.config).arg("--data").arg(&site.fixture.data).output().unwrap();
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.code() == Some(2) && said.contains("bundle-sequences.json: is not what was written"), "{said}");
}

/// Every kind of rule has tokens in the shape of its platform, enough of them that pass and that do not.
#[test]
fn every_platform_has_its_corpus() {
    let corpora: [(&str, &[&str]); 10] = [
        ("oauth", &["foreign-access-token"]),
        ("spiffe", &["spiffe", "spiffe-bundle"]),
        ("kubernetes", &["kubernetes", "kubernetes-platform"]),
        ("github", &["github"]),
        ("gitlab", &["gitlab"]),
        ("buildkite", &["buildkite"]),
        ("gcp", &["gcp"]),
        ("aws", &["aws"]),
        ("azure", &["azure"]),
        ("x509", &["x509-rule"]),
    ];
    for (kind, folders) in corpora {
        let (mut accepted, mut refused) = (0, 0);
        for folder in folders {
            for case in fs::read_dir(Path::new(fixture::CASES).join(folder)).unwrap() {
                let text = fs::read_to_string(case.unwrap().path()).unwrap();
                let last = text.lines().rfind(|line| line.starts_with("expect ")).unwrap();
                if last.starts_with("expect 200") { accepted += 1 } else { refused += 1 }
            }
        }
        assert!(accepted >= 8 && refused >= 12, "{kind}: {accepted} accepted, {refused} refused");
    }
}

fn check(file: &str, text: &str, more: &[&str]) -> (i32, String) {
    let folder = scratch("trust-check");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(file);
    fs::write(&path, text).unwrap();
    let command =
        Command::new(env!("CARGO_BIN_EXE_countersign")).args(["trust", "check"]).arg(&path).args(more).output().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    (command.status.code().unwrap(), String::from_utf8(command.stdout).unwrap())
}

#[test]
fn trust_check_answers_by_its_exit_code() {
    let good = "name = 'gh'\nkind = 'github'\naudiences = ['https://sts.example']\n\
                require = { repository_id = '74', ref = 'refs/heads/main', \
                job_workflow_ref = 'a/b/.github/w.yml@refs/heads/main' }\n";
    let (code, words) = check("r.toml", good, &[]);
    assert_eq!(code, 0, "{words}");
    let (code, words) = check("r.toml", &good.replace("repository_id = '74'", "repository = 'acme/app'"), &[]);
    assert!(code == 1 && words.contains("[recyclable-name]") && words.contains("repository_id\":\"999999999"), "{words}");
    let (code, words) = check("r.toml", &good.replace("repository_id = '74', ", ""), &[]);
    assert!(code == 1 && words.contains("[recyclable-name]"), "names of workflows can be taken too: {words}");
    let (code, words) = check("r.toml", &good.replace("kind", "knd"), &[]);
    assert!(code == 1 && words.contains("r.toml:2: unknown key `knd`; did you mean \"kind\"?"), "{words}");
    let slip = good.replace("job_workflow_ref", "repositry = 'a/b', job_workflow_ref");
    let (code, words) = check("r.toml", &slip, &[]);
    let doubt = "r.toml:4: claim `repositry` is none that kind \"github\" is known to have; an absent claim never matches; did";
    assert!(code == 0 && words.contains(doubt) && words.contains("0 errors, 0 dangers, 1 warning, 1 note"), "{words}");
    let policy = r#"{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity",
        "Principal":{"Federated":"arn:aws:iam::1:oidc-provider/token.actions.githubusercontent.com"},
        "Condition":{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:acme/*"}}}]}"#;
    let (code, json) = check("role.json", policy, &["--json"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    let codes: Vec<&str> = report["findings"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert!(code == 1 && report["ok"] == false && codes.contains(&"missing-audience") && codes.contains(&"wildcard"), "{json}");
    assert_eq!(check("role.json", "{}", &[]).0, 2);
}

/// Whoever mends one mistake must not be told the next only then.
#[test]
fn trust_check_tells_all_mistakes_of_a_file_at_once() {
    let text = "kind = 'github'\nissuer = 'https://github.acme.example/_services/token'\nlifetime_max = '3 days'\n\
                audiences = ['https://github.acme.example/acme']\nsubject = { id = '{actor_id}/{x' }\n\
                [require]\nrepository_id = 74\nref = 'refs/heads/*'\n[keys]\njwks_file = 'absent.json'\n";
    let (code, words) = check("r.toml", text, &["--json"]);
    let report: Value = serde_json::from_str(&words).unwrap();
    let told: Vec<&str> = report["complaints"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let expected = [
        ":1: `name` is missing",
        ":3: `lifetime_max` must be",
        ":4: audiences must not name https://github.acme.example/acme",
        ":5: `id` must have braces in pairs",
        ":7: require repository_id can never match: the platform writes a string there",
        ":8: what `ref` is compared with has a '*'",
        ":10: ",
    ];
    assert!(code == 1 && told.len() == expected.len(), "{words}");
    assert!(told.iter().zip(expected).all(|(told, expected)| told.contains(expected)), "{words}");
    let wrong_type = text.replace("ref = 'refs/heads/*'\n", "");
    let (_, words) = check("r.toml", &wrong_type, &[]);
    assert!(words.contains(":7: require repository_id can never match: the platform writes a string there"), "{words}");
}
