//! What operators revoke, suspend and compromise against the real binary, and that what is said is what was done.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::agents::json_of;
use crate::disk::compiled;
use crate::support::{Ledger, Party, Reply, Site, claims, form, post_form};

const CRM: &str = "https://crm.example";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// A running copy of the worker.
pub const POD: &str = "0c6ef5c4-39a1-4f0c-9f6e-6d6f8f4f3b11";

/// Kind 8: a typing error is seen, and what was asked for is done all the same.
#[test]
fn a_name_that_nothing_knows_is_told_and_ended_all_the_same() {
    let site = Site::new("revoking-names");
    let mut server = Some(site.start());
    token(&site);
    acted(&site, POD);
    assert_eq!(traded(&site, POD).status, 200);
    for running in [true, false] {
        if !running && let Some(server) = server.take() {
            server.kill();
        }
        let cases: [(&[&str], Option<&str>); 9] = [
            (&["--agent", "orchestratr"], Some("did you mean orchestrator?")),
            (&["--agent", "nobody-at-all"], None),
            (&["--rule", "clustre"], Some("did you mean cluster?")),
            (&["--api", "https://crm.exampel"], Some("did you mean https://crm.example?")),
            (&["--instance", "worker", "0c6ef5c4-39a1-4f0c-9f6e-6d6f8f4f3b12"], Some(POD)),
            (&["--subject", "idp:alicf"], None),
            (&["--subject", "nobody-at-all"], None),
            (&["--subject", "ipd:alice"], None),
            (&["--subject", "spiffe-acme:spiffe://acme.example/ns/prod/sa/reseacher"], None),
        ];
        for (what, meant) in cases {
            let told = json_of(&site, &[&["revoke"], what].concat(), 1);
            let why = told["reason"].as_str().unwrap();
            assert!(why.contains("nothing known by that name: recorded all the same"), "{what:?}: {told}");
            assert_eq!(why.contains("did you mean"), meant.is_some(), "{what:?}: {told}");
            assert!(why.contains(meant.unwrap_or_default()), "{what:?}: {told}");
            assert_eq!((&told["done"]["recorded"], &told["ok"]), (&json!(true), &json!(false)), "{what:?}: {told}");
            assert!(told["done"]["counts_from"].is_i64(), "{what:?}: {told}");
        }
        let known: [&[&str]; 5] = [
            // Known by the record of what it traded.
            &["--subject", "cluster:system:serviceaccount:prod:worker"],
            &["--subject", "idp:alice"],
            &["--subject", "spiffe-acme:spiffe://acme.example/ns/prod/sa/researcher"],
            &["--instance", "worker", POD],
            &["--subject", "gateway"],
        ];
        for what in known {
            let told = json_of(&site, &[&["revoke"], what].concat(), 0);
            assert_eq!((&told["ok"], told.get("reason")), (&json!(true), None), "{what:?}: {told}");
            // No certificate names a running copy of that agent.
            assert_eq!(told["done"]["remembered_until"].is_i64(), what[0] == "--instance", "{what:?}: {told}");
        }
    }
    let deaths = Ledger::read(&site.fixture.data).deaths();
    assert_eq!(deaths.len(), 28);
    let refused = json_of(&site, &["agent", "suspend", "orchestratr"], 1);
    assert!(refused["reason"].as_str().unwrap().ends_with("did you mean orchestrator?"), "{refused}");
}

/// Kind 8: while the disk is full a death acts, and says so.
#[test]
fn what_cannot_be_recorded_says_that_it_acts_and_is_recorded_later() {
    let site = Site::new("revoking-disk");
    let (shim, control) = (compiled(&site.folder), site.folder.join("disk"));
    let _server = site.start_with(&[("LD_PRELOAD", &shim), ("COUNTERSIGN_SHIM", &control)]);
    let token = token(&site);
    fs::write(&control, "f").unwrap();
    for command in
        [&["revoke", "--subject", "idp:alice"][..], &["agent", "suspend", "analyst"], &["agent", "compromise", "worker"]]
    {
        let told = json_of(&site, command, 1).to_string();
        assert!(told.contains("it acts from now on but is not recorded yet"), "{command:?}: {told}");
        assert!(!told.contains("nothing was ended") && !told.contains("is not suspended"), "{command:?}: {told}");
    }
    fs::remove_file(&control).unwrap();
    site.wait("service resumes", || site.ready());
    assert!(!active(&site, &token));
    let ends: Vec<Value> = Ledger::read(&site.fixture.data).deaths().iter().map(|death| death["ends"][0]["of"].clone()).collect();
    assert!(ends.contains(&json!("subject")) && ends.contains(&json!("agent")), "{ends:?}");
}

/// One pod is suspended, and its agent goes on.
#[test]
fn a_running_copy_is_suspended_and_resumed() {
    let site = Site::new("revoking-instance");
    let mut server = Some(site.start());
    let (token, other) = (acted(&site, POD), acted(&site, "another-pod"));
    for running in [true, false] {
        let change = |server: &mut Option<_>, what: &str| {
            if !running {
                drop(server.take());
            }
            let told = json_of(&site, &["agent", what, "worker", "--instance", POD, "--reason", "drill"], 0);
            assert_eq!(told["instance"], json!(POD), "{told}");
            let shown = json_of(&site, &["agent", "show", "worker"], 0);
            server.get_or_insert_with(|| site.start());
            (shown["instances"].clone(), shown["status"]["holds"].clone())
        };
        let (instances, status) = change(&mut server, "suspend");
        assert_eq!((instances, status), (json!([{ "instance": POD, "status": "suspended" }]), json!("active")));
        assert!(!active(&site, &token) && active(&site, &other), "running {running}");
        let refused = act(&site, POD);
        assert!(refused.status == 400 && refused.text.contains("is suspended"), "{}", refused.text);
        let refused = traded(&site, POD);
        assert!(refused.status == 401 && refused.text.contains("suspended"), "{}", refused.text);
        assert_eq!(traded(&site, "another-pod").status, 200);
        assert_eq!(change(&mut server, "resume").0, Value::Null);
        assert!(active(&site, &token) && active(&site, &other), "running {running}");
        assert_eq!(traded(&site, POD).status, 200);
    }
    let told = json_of(&site, &["agent", "suspend", "worker", "--instance", "never-seen"], 1);
    assert!(told["reason"].as_str().unwrap().contains("nothing known by that name"), "{told}");
}

/// Everything of a compromised agent ends, and it is told what else there is to do.
#[test]
fn a_compromised_agent_begins_anew_with_fresh_evidence() {
    let site = Site::new("revoking-compromise");
    let mut server = Some(site.start());
    for running in [true, false] {
        let (agent, login) = if running { ("crm-agent", "private_key_jwt") } else { ("worker", "workload_jwt") };
        let party = Party::new(&site.profile(), agent);
        let old = if running { party.assertion() } else { party.vouched("cluster", json!({})) };
        let traded = traded(&site, POD);
        assert_eq!(traded.status, 200, "{}", traded.text);
        if !running && let Some(server) = server.take() {
            server.kill();
        }
        let told = json_of(&site, &["agent", "compromise", agent, "--reason", "keys in a log"], 0);
        let done = &told["done"];
        assert_eq!((&told["ok"], &done["agent"], &done["recorded"]), (&json!(true), &json!(agent), &json!(true)), "{told}");
        assert_eq!((&done["logins"][0]["method"], &done["logins"][0]["rotate"]), (&json!(login), &json!(running)), "{told}");
        assert_eq!(done["apis"] == json!([CRM]), running, "the tokens that it has seen: {told}");
        server.get_or_insert_with(|| site.start());
        let kinds: Vec<Value> = Ledger::read(&site.fixture.data).deaths().last().unwrap()["ends"]
            .as_array()
            .unwrap()
            .iter()
            .map(|end| end["of"].clone())
            .collect();
        assert!(kinds.contains(&json!("agent")) && kinds.contains(&json!("subject")), "{kinds:?}");
        let refused = asked(&site, &[("client_assertion", &old), ("token", "-")], "/introspect");
        assert!(refused.status == 401 && refused.text.contains("issued before"), "{}", refused.text);
        if !running {
            assert!(!active_for(&site, "analyst", &traded.text_of("access_token")));
        }
    }
}

/// A token of the orchestrator for the CRM.
pub fn token(site: &Site) -> String {
    let party = Party::new(&site.profile(), "orchestrator");
    let body = form(&Party::request(&party.assertion(), &party.id_token(json!({})), &[("resource", CRM)]));
    let reply = post_form(site.public, "/token", &body).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

/// A token in which the pod acts.
pub fn acted(site: &Site, pod: &str) -> String {
    let reply = act(site, pod);
    assert_eq!(reply.status, 200, "{}", reply.text);
    let token = reply.text_of("access_token");
    assert_eq!(claims(&token)["act"]["instance"], pod);
    token
}

/// The gateway presents what the cluster says of a pod of the worker.
pub fn act(site: &Site, pod: &str) -> Reply {
    let gateway = Party::new(&site.profile(), "gateway");
    let actor = attested(site, pod);
    let more = [("resource", CRM), ("actor_token", actor.as_str()), ("actor_token_type", JWT)];
    let body = form(&Party::request(&gateway.assertion(), &gateway.id_token(json!({})), &more));
    post_form(site.public, "/token", &body).unwrap()
}

/// The pod trades what the cluster says of it.
pub fn traded(site: &Site, pod: &str) -> Reply {
    let parameters = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", &attested(site, pod)),
        ("subject_token_type", JWT),
        ("resource", CRM),
    ];
    post_form(site.public, "/token", &form(&parameters)).unwrap()
}

fn attested(site: &Site, pod: &str) -> String {
    let account = json!({ "name": "worker", "uid": "5f0c1d8e-7d2f-4a53-9f5e-2f0f6f1f9a01" });
    let pod = json!({ "namespace": "prod", "serviceaccount": account, "pod": { "name": "worker", "uid": pod } });
    Party::new(&site.profile(), "worker").vouched("cluster", json!({ "kubernetes.io": pod }))
}

fn active(site: &Site, token: &str) -> bool {
    active_for(site, "crm-agent", token)
}

fn active_for(site: &Site, agent: &str, token: &str) -> bool {
    let assertion = Party::new(&site.profile(), agent).assertion();
    let reply = asked(site, &[("client_assertion", &assertion), ("token", token)], "/introspect");
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["active"] == true
}

fn asked(site: &Site, parameters: &[(&str, &str)], path: &str) -> Reply {
    let kind = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    post_form(site.public, path, &form(&[&[kind], parameters].concat())).unwrap()
}

/// Kind 6: an API that comes back with another agent or other effects is another API, whether or not a server ran meanwhile.
#[test]
fn an_api_that_is_taken_away_or_changed_takes_its_tokens_along() {
    let site = Site::new("revoking-apis");
    let server = site.start();
    let file = site.fixture.config.parent().unwrap().join("apis/crm.toml");
    let before = fs::read_to_string(&file).unwrap();
    let write = "\"contacts.write\" = { data = [], effect = \"reversible\" }\n";
    assert!(before.contains(write));
    let more = format!("{write}\"contacts.list\" = {{ data = [], effect = \"read\" }}\n");
    let changes = [
        ("another scope", before.replace(write, &more), true),
        ("another lifetime", before.replace("5m", "4m"), true),
        ("another agent", before.replace("\"crm-agent\"", "\"analyst\""), false),
        ("another effect", before.replace(write, &write.replace("reversible", "recoverable")), false),
        ("no agent", before.replace("agent             = \"crm-agent\"\n", ""), false),
    ];
    for (what, after, lives) in changes {
        let token = token(&site);
        assert_ne!(after, before, "{what}");
        for text in [&after, &before] {
            let known = reloads(&site);
            fs::write(&file, text).unwrap();
            site.wait(what, || reloads(&site) > known);
            // Without an agent the API is told nothing of any token; and a scope that is taken away again is one less.
            assert!(!lives || text == &before || active(&site, &token), "{what}");
        }
        assert!(lives || !active(&site, &token), "{what}");
    }
    let token = token(&site);
    server.kill();
    fs::write(&file, before.replace("\"crm-agent\"", "\"analyst\"")).unwrap();
    site.start().kill();
    fs::write(&file, &before).unwrap();
    let _server = site.start();
    assert!(!active(&site, &token), "while no server ran");
}

fn reloads(site: &Site) -> usize {
    fs::read_to_string(site.log()).unwrap().matches("the changed configuration is in force").count()
}

/// Kind 6: what a change of the files narrows without ending is told before it is made and when it is, with the command that ends
/// it.
#[test]
fn what_a_configuration_takes_back_is_told() {
    let site = Site::new("revoking-narrowed");
    let folder = site.fixture.config.parent().unwrap().to_owned();
    let check = || {
        let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["check", "--config"])
            .arg(&site.fixture.config)
            .arg("--against")
            .arg(&site.fixture.data)
            .current_dir(&site.folder)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(check().contains("it is not remembered what is in force here"), "before the first start");
    let server = site.start();
    let token = token(&site);
    let before = check();
    assert!(!before.contains("is narrowed") && !before.contains("is another one"), "{before}");
    server.kill();
    let edits = [
        ("trust/cluster.toml", "presenters   = [\"gateway\"]", "presenters   = []"),
        ("trust/idp.toml", "require      = { email_verified = true }", "require      = { email_verified = true, hd = \"acme\" }"),
        ("agents/orchestrator.toml", "client = \"live-orchestrator\"", "client = \"other\""),
        ("agents/gateway.toml", "../jwks/gateway.json", "../jwks/analyst.json"),
        ("apis/crm.toml", "destination       = \"internal\"", "destination       = \"external\""),
        (
            "apis/files.toml",
            "id                = \"https://files.example\"",
            "id = \"https://files.example\"\nagent = \"analyst\"",
        ),
    ];
    for (file, old, new) in edits {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert!(text.contains(old), "{file}: {text}");
        fs::write(folder.join(file), text.replacen(old, new, 1)).unwrap();
    }
    let told = [
        "trust rule cluster is narrowed (no longer presenter gateway): what was issued before lives on; `countersign revoke \
         --rule cluster` ends it",
        "trust rule idp is narrowed (now required: hd is \"acme\")",
        "agent orchestrator is narrowed (no longer foreign client live-orchestrator under idp-live)",
        "agent gateway is narrowed (no longer login by key ",
        "API https://crm.example is narrowed (no longer destination internal)",
        "API https://files.example is another one (no longer without an agent): what was issued under it before ends",
    ];
    let checked = check();
    let _server = site.start();
    let log = fs::read_to_string(site.log()).unwrap();
    for sentence in told {
        assert!(checked.contains(sentence), "{sentence}\n{checked}");
        assert!(log.contains(sentence), "{sentence}\n{log}");
    }
    assert!(active(&site, &token), "it lives on");
    assert!(!check().contains("is narrowed"), "by now it is in force");
}
