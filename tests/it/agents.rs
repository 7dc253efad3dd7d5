//! Operators against the real binary: by the socket and on the folder, what the files end, and what a reload may not change.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::patience::{pass, until};
use crate::support::{Ledger, Party, Reply, Server, Site, claims, form, get, post_form};

/// Runs `countersign` on the site's folder; says with what code it ended.
fn command(site: &Site, arguments: &[&str]) -> (i32, Output) {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(arguments)
        .arg("--data")
        .arg(&site.fixture.data)
        .arg("--config")
        .arg(&site.fixture.config)
        .current_dir(&site.folder)
        .output()
        .unwrap();
    (output.status.code().unwrap(), output)
}

/// Runs a command that ends with `code`; answers what it printed as JSON.
pub fn json_of(site: &Site, arguments: &[&str], code: i32) -> Value {
    let (ended, output) = command(site, &[arguments, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(ended, code, "{arguments:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

fn issued(site: &Site, agent: &str, resource: &str) -> String {
    let reply = asked(site, agent, resource);
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

fn issued_about(site: &Site, agent: &str, claims: Value) -> String {
    let party = Party::new(&site.profile(), agent);
    exchanged(site, &party, &party.id_token(claims))
}

/// A token of a person for whom another provider vouches.
fn issued_under_twin(site: &Site, claims: Value) -> String {
    let party = Party::new(&site.profile(), "analyst");
    exchanged(site, &party, &party.vouched("idp-twin", claims))
}

fn exchanged(site: &Site, party: &Party, token: &str) -> String {
    let body = form(&Party::request(&party.assertion(), token, &[("resource", CRM)]));
    let reply = post_form(site.public, "/token", &body).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

fn asked(site: &Site, agent: &str, resource: &str) -> Reply {
    let party = Party::new(&site.profile(), agent);
    let body = form(&Party::request(&party.assertion(), &party.id_token(json!({})), &[("resource", resource)]));
    post_form(site.public, "/token", &body).unwrap()
}

fn edit(site: &Site, file: &str, before: &str, after: &str) {
    let path = site.fixture.config.parent().unwrap().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(before), "{file}: {text}");
    fs::write(&path, text.replacen(before, after, 1)).unwrap();
}

const CRM: &str = "https://crm.example";

/// The same commands, with a server and without one.
#[test]
fn an_agent_is_suspended_resumed_and_retired() {
    let site = Site::new("agents-life");
    let mut server = Some(site.start());
    let token = issued(&site, "orchestrator", CRM);
    for running in [true, false] {
        let ended = |server: &mut Option<Server>| {
            if !running && let Some(server) = server.take() {
                server.kill();
            }
        };
        let again = |server: &mut Option<Server>| {
            if server.is_none() {
                *server = Some(site.start());
            }
        };
        ended(&mut server);
        assert_eq!(json_of(&site, &["agent", "suspend", "orchestrator", "--reason", "drill"], 0)["done"], "suspended");
        let shown = json_of(&site, &["agent", "show", "orchestrator"], 0);
        assert_eq!(shown["status"], json!({ "file": "active", "recorded": "suspended", "holds": "suspended" }));
        again(&mut server);
        assert!(!site.active(&token), "running {running}");
        let refused = asked(&site, "orchestrator", CRM);
        assert_eq!((refused.status, refused.text_of("error").as_str()), (401, "invalid_client"), "{}", refused.text);
        ended(&mut server);
        assert_eq!(json_of(&site, &["agent", "resume", "orchestrator"], 0)["done"], "resumed");
        again(&mut server);
        assert!(site.active(&token), "running {running}: what is suspended comes back");
        issued(&site, "orchestrator", CRM);
    }
    let (code, output) = command(&site, &["agent", "retire", "orchestrator"]);
    assert_eq!(code, 2, "without --yes: {}", String::from_utf8_lossy(&output.stderr));
    assert!(site.active(&token));
    json_of(&site, &["agent", "retire", "orchestrator", "--yes"], 0);
    assert!(!site.active(&token));
    assert_eq!(json_of(&site, &["agent", "resume", "orchestrator"], 1)["ok"], false);
    // No editing of its file brings it back.
    edit(&site, "agents/orchestrator.toml", "status = \"active\"", "status = \"active\" # really");
    let server = server.unwrap();
    server.hang_up();
    site.wait("the log says so", || site.said("is retired in the record and stays so") > 0);
    assert_eq!(asked(&site, "orchestrator", CRM).status, 401);
    server.kill();
    let (code, output) = command_check(&site);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(code == 0 && text.contains("orchestrator") && text.contains("retired in the record"), "{text}");
    let _server = site.start();
    assert_eq!(asked(&site, "orchestrator", CRM).status, 401);
}

fn command_check(site: &Site) -> (i32, Output) {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["check", "--config"])
        .arg(&site.fixture.config)
        .arg("--data")
        .arg(&site.fixture.data)
        .current_dir(&site.folder)
        .output()
        .unwrap();
    (output.status.code().unwrap(), output)
}

#[test]
fn what_operators_revoke_dies_with_all_that_came_from_it() {
    let site = Site::new("agents-revoke");
    let server = site.start();
    // The widest last, of tokens from before all: for a minute after its end nothing that a rule vouches for counts.
    let options = ["--token", "--hop", "--txn", "--agent", "--subject", "--rule", "--api"];
    let tokens = options.map(|option| match option {
        "--agent" => issued(&site, "gateway", CRM),
        "--api" => issued_under_twin(&site, json!({})),
        _ => issued_about(&site, "orchestrator", json!({ "sub": option })),
    });
    for (option, token) in options.into_iter().zip(tokens) {
        let claims = claims(&token);
        let value = match option {
            "--token" => token.clone(),
            "--hop" => claims["jti"].as_str().unwrap().to_owned(),
            "--txn" => claims["txn"].as_str().unwrap().to_owned(),
            "--subject" => claims["sub"].as_str().unwrap().to_owned(),
            "--agent" => claims["client_id"].as_str().unwrap().to_owned(),
            "--api" => CRM.to_owned(),
            _ => "idp".to_owned(),
        };
        assert!(site.active(&token), "{option}");
        let done = json_of(&site, &["revoke", option, &value], 0);
        assert_eq!(done["ok"], true, "{done}");
        assert!(!done.to_string().contains(&token), "a token is never told");
        assert!(!site.active(&token), "{option}");
    }
    for (option, value, code) in [
        ("--hop", "018bcfe5-6800-7aea-a596-6c26f8ad9100", 1),
        ("--txn", "018bcfe5-6800-7aea-a596-6c26f8ad9100", 1),
        ("--agent", "nobody", 1),
        ("--rule", "nothing", 1),
        ("--hop", "x", 2),
        ("--token", "x", 2),
        ("--subject", "x", 1),
        ("--subject", "x:", 2),
    ] {
        assert_eq!(command(&site, &["revoke", option, value]).0, code, "{option} {value}");
    }
    assert_eq!(command(&site, &["revoke"]).0, 2);
    assert_eq!(command(&site, &["revoke", "--agent", "a", "--rule", "b"]).0, 2);
    server.kill();
    // Without a server too; and then it counts for the next one.
    let server = site.start();
    let token = issued_under_twin(&site, json!({}));
    server.kill();
    json_of(&site, &["revoke", "--token", &token, "--reason", "found in a log"], 0);
    let _server = site.start();
    assert!(!site.active(&token));
    let deaths = Ledger::read(&site.fixture.data).deaths();
    assert_eq!(deaths.last().unwrap()["reason"], "found in a log");
    assert!(deaths.iter().all(|death| death["by"] == "ops"));
}

#[test]
fn the_inventory_tells_what_an_agent_did_and_never_did() {
    let site = Site::new("agents-inventory");
    let _server = site.start();
    let listed = json_of(&site, &["agent", "list"], 0);
    let ids: Vec<&str> = listed["agents"].as_array().unwrap().iter().map(|agent| agent["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted() && ids.contains(&"https://legacy.example/agent"));
    let before = json_of(&site, &["agent", "show", "orchestrator"], 0);
    assert_eq!((&before["hops_asked"], before.get("last_use")), (&json!(0), None));
    assert!(unused(&before, CRM).contains(&"contacts.read".to_owned()), "{before}");
    issued(&site, "orchestrator", CRM);
    issued(&site, "orchestrator", CRM);
    let after = json_of(&site, &["agent", "show", "orchestrator"], 0);
    assert_eq!((&after["hops_asked"], &after["hops_acted"]), (&json!(2), &json!(2)));
    assert!(after["last_use"].is_i64() && after["owner"].is_string());
    let logins = after["logins"].as_array().unwrap().iter();
    let used: Vec<_> = logins.filter(|login| login["hops"] != 0).map(|login| (&login["method"], &login["hops"])).collect();
    assert_eq!(used, [(&json!("private_key_jwt"), &json!(2))]);
    assert!(!unused(&after, CRM).contains(&"contacts.read".to_owned()), "{after}");
    assert_eq!(command(&site, &["agent", "show", "nobody"]).0, 1);
    assert_eq!(json_of(&site, &["agent", "show", "suspended"], 0)["status"]["holds"], "suspended");
    // By the socket only.
    for address in [site.ops, site.public] {
        assert_eq!(get(address, "/ops/agents").unwrap().status, 404);
        assert_eq!(post_form(address, "/ops/agents/suspend", "id=orchestrator").unwrap().status, 404);
    }
}

/// By the socket, on the folder, and in `check`.
#[test]
fn an_expired_certificate_is_told_with_its_file_and_line() {
    let site = Site::new("agents-expiry");
    let agents = site.fixture.config.parent().unwrap().join("agents");
    let mut params = rcgen::CertificateParams::default();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    fs::write(agents.join("old.pem"), certificate.pem()).unwrap();
    let text = fs::read_to_string(agents.join("orchestrator.toml")).unwrap();
    let login = "\n[[login]]\nmethod = \"self_signed_tls_client_auth\"\ncertificate_file = \"old.pem\"\n";
    fs::write(agents.join("orchestrator.toml"), format!("{text}{login}")).unwrap();
    let line = format!("orchestrator.toml:{}", text.lines().count() + 4);
    let mut server = Some(site.start());
    for running in [true, false] {
        if let Some(server) = server.take_if(|_| !running) {
            server.kill();
        }
        let shown = json_of(&site, &["agent", "show", "orchestrator"], 0);
        let ends = shown["near_expiry"].as_array().unwrap();
        assert_eq!(ends.len(), 1, "running {running}: {shown}");
        assert_eq!((&ends[0]["expired"], &ends[0]["not_after"]), (&json!(true), &json!(1_609_459_200)));
        assert!(
            ends[0]["held_by"].as_str().unwrap().ends_with("old.pem") && ends[0]["named_at"].as_str().unwrap().ends_with(&line)
        );
        let methods: Vec<&Value> = shown["logins"].as_array().unwrap().iter().map(|login| &login["method"]).collect();
        assert!(methods.contains(&&json!("self_signed_tls_client_auth")), "{methods:?}");
        let said = |arguments: &[&str]| String::from_utf8(command(&site, arguments).1.stdout).unwrap();
        let listed = said(&["agent", "list"]);
        let marked = |agent: &str| {
            let mut lines = listed.lines().filter(|line| line.starts_with(&format!("{agent} ")));
            lines.next().unwrap().ends_with("[expired key or certificate]")
        };
        assert!(marked("orchestrator") && !marked("worker"), "{listed}");
        assert!(said(&["agent", "show", "orchestrator"]).contains("EXPIRED     2021-01-01T00:00:00Z: certificate "));
    }
    let (code, output) = command_check(&site);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        code == 0 && text.contains(&format!("{line}: certificate ")) && text.contains("old.pem has expired, at 2021-"),
        "{text}"
    );
}

#[test]
fn tasks_are_listed_and_completed() {
    let site = Site::new("agents-tasks");
    let server = site.start();
    let party = Party::new(&site.profile(), "orchestrator");
    let details = json!([{ "type": "task", "purpose": "drill", "authority": [{ "api": CRM, "scopes": ["contacts.read"] }] }]);
    let opened = [(); 2].map(|()| {
        let reply = post_form(
            site.public,
            "/tasks",
            &form(&[
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", &party.assertion()),
                ("subject_token", &party.id_token(json!({}))),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
                ("authorization_details", &details.to_string()),
            ]),
        )
        .unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.text_of("task")
    });
    let listed = json_of(&site, &["task", "list"], 0);
    let tasks = listed["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 2, "{listed}");
    assert_eq!(
        (&tasks[0]["status"], &tasks[0]["purpose"], &tasks[0]["holder"]),
        (&json!("active"), &json!("drill"), &json!("orchestrator"))
    );
    json_of(&site, &["task", "complete", &opened[0]], 0);
    server.kill();
    json_of(&site, &["revoke", "--task", &opened[1]], 0);
    let listed = json_of(&site, &["task", "list"], 0);
    assert!(listed["tasks"].as_array().unwrap().iter().all(|task| task["status"] == "ended"), "{listed}");
    assert_eq!(command(&site, &["task", "complete", "018bcfe5-6800-7aea-a596-6c26f8ad9100"]).0, 1);
    assert_eq!(command(&site, &["task", "complete", "x"]).0, 2);
}

fn unused(agent: &Value, api: &str) -> Vec<String> {
    let found = agent["never_used"].as_array().unwrap().iter().find(|unused| unused["api"] == api);
    let scopes = found.and_then(|unused| unused["scopes"].as_array()).cloned().unwrap_or_default();
    scopes.iter().map(|scope| scope.as_str().unwrap().to_owned()).collect()
}

/// Also of chains whose actor logged in under the rule, and whatever the files say later.
#[test]
fn a_rule_that_the_files_disable_is_ended_in_the_record() {
    let site = Site::new("agents-rule");
    let server = site.start();
    let profile = site.profile();
    let worker = Party::new(&profile, "worker").vouched("cluster", json!({}));
    let party = Party::new(&profile, "gateway");
    let more =
        [("resource", CRM), ("actor_token", worker.as_str()), ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt")];
    let body = form(&Party::request(&party.assertion(), &party.id_token(json!({})), &more));
    let reply = post_form(site.public, "/token", &body).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    let (chained, other) = (reply.text_of("access_token"), issued(&site, "orchestrator", CRM));
    assert!(site.active(&chained) && site.active(&other));
    let reloads = site.said("the changed configuration is in force");
    assert_eq!(reloads, 0, "a first start is no change of the configuration");
    edit(&site, "trust/cluster.toml", "kind ", "enabled = false\nkind ");
    site.wait("the reload", || site.said("the changed configuration is in force") > reloads);
    site.wait("nothing of it lives", || !site.active(&chained));
    assert!(site.active(&other));
    edit(&site, "trust/cluster.toml", "enabled = false\nkind ", "kind ");
    site.wait("the reload", || site.said("the changed configuration is in force") > reloads + 1);
    assert!(!site.active(&chained), "a death is not undone by editing");
    server.kill();
    // The same while no server runs.
    let server = site.start();
    assert!(site.active(&other));
    server.kill();
    edit(&site, "trust/idp.toml", "kind ", "enabled = false\nkind ");
    let server = site.start();
    assert!(!site.active(&other));
    server.kill();
    edit(&site, "trust/idp.toml", "enabled = false\nkind ", "kind ");
    let _server = site.start();
    assert!(!site.active(&other), "a death is not undone by editing");
    let ledger = Ledger::read(&site.fixture.data);
    ledger.verified();
    let names: Vec<Value> = ledger.deaths().iter().map(|death| death["ends"][0]["name"].clone()).collect();
    assert!(names.contains(&json!("cluster")) && names.contains(&json!("idp")), "{names:?}");
}

/// Attack 32: a name that another issuer gets vouches for other people from then on, whoever had it before. Also while no server
/// runs.
#[test]
fn a_rule_that_gets_another_issuer_takes_along_what_the_one_before_vouched_for() {
    let site = Site::new("agents-issuer");
    let server = site.start();
    let token = issued(&site, "orchestrator", CRM);
    edit(&site, "trust/idp.toml", "lifetime_max = \"1h\"", "lifetime_max = \"59m\"");
    site.wait("the reload", || site.said("the changed configuration is in force") > 0);
    assert!(site.active(&token), "what else changes about a rule ends nothing");
    edit(&site, "trust/idp.toml", "login.acme.example", "login.other.example");
    site.wait("the reload", || site.said("the changed configuration is in force") > 1);
    assert!(!site.active(&token));
    edit(&site, "trust/idp.toml", "login.other.example", "login.acme.example");
    site.wait("the reload", || site.said("the changed configuration is in force") > 2);
    assert!(!site.active(&token), "a death is not undone by editing");
    let token = issued_under_twin(&site, json!({}));
    server.kill();
    edit(&site, "trust/idp-twin.toml", "login.twin.example", "login.other.example");
    let _server = site.start();
    assert!(!site.active(&token));
}

/// What cannot be recorded does not take effect before it can be: then it does by itself.
#[test]
fn a_reload_whose_deaths_cannot_be_recorded_does_not_take_effect() {
    let site = Site::new("agents-reload-disk");
    let (shim, control) = (crate::disk::compiled(&site.folder), site.folder.join("disk"));
    let _server = site.start_with(&[("LD_PRELOAD", &shim), ("COUNTERSIGN_SHIM", &control)]);
    let token = issued(&site, "orchestrator", CRM);
    fs::write(&control, "f").unwrap();
    edit(&site, "trust/idp.toml", "kind ", "enabled = false\nkind ");
    site.wait("it waits", || site.pending() == "unrecorded");
    assert_eq!(site.said("the changed configuration is in force"), 0);
    fs::remove_file(&control).unwrap();
    site.wait("service resumes", || site.ready() && site.said("the changed configuration is in force") == 1);
    assert!(!site.active(&token));
    assert_ne!(asked(&site, "orchestrator", CRM).status, 200, "the rule is disabled");
}

#[test]
fn what_changes_with_a_restart_only_is_said() {
    let site = Site::new("agents-restart");
    let server = site.start();
    let settings = fs::read_to_string(&site.fixture.config).unwrap();
    fs::write(&site.fixture.config, format!("{settings}\n[limits]\nqueue = 77\n")).unwrap();
    site.wait("the log says so", || site.said("these change with a restart only: [limits]") > 0);
    fs::write(&site.fixture.config, &settings).unwrap();
    server.hang_up();
    site.wait("the configuration of before is taken", || site.said("the changed configuration is in force") > 0);
}

#[test]
fn who_asks_to_stop_early_is_heard() {
    let site = Site::new("agents-early-stop");
    for after in [0, 2, 5, 10, 20, 40, 80, 160, 320] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .arg("serve")
            .arg("--config")
            .arg(&site.fixture.config)
            .arg("--data")
            .arg(&site.fixture.data)
            .current_dir(&site.folder)
            .stderr(fs::File::create(site.log()).unwrap())
            .spawn()
            .unwrap();
        until("it listens", || std::net::TcpStream::connect(site.public).is_ok());
        // Whatever of it is there by now, it stops in order.
        pass(Duration::from_millis(after));
        let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(told.success());
        let ended = child.wait().unwrap();
        assert_eq!(ended.code(), Some(0), "after {after} ms: {}", fs::read_to_string(site.log()).unwrap());
    }
    let left = fs::metadata(Path::new(&site.fixture.data).join("commit.sqlite-wal")).map_or(0, |log| log.len());
    assert_eq!(left, 0, "the store was closed");
    drop(site.start());
}
