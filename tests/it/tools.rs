//! Tools know the house: a command that is told the data folder alone finds the settings and keys of its server, wherever it is
//! run; what it writes belongs to whom the folder belongs to; and nothing but regular files is read.

mod kinds;
mod owners;
mod quickstart;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Party, Server, Site, form, post_form};

/// The commands that open a data folder, their arguments, and the exit codes while a server runs on it and while none does. The
/// words in braces are of the site. What ends something comes last.
const COMMANDS: &[(&str, &str, i32, i32)] = &[
    ("task list", "", 0, 0),
    ("task complete", "018f0000-0000-7000-8000-000000000000", 1, 1),
    ("agent list", "", 0, 0),
    ("agent show", "orchestrator", 0, 0),
    ("agent suspend", "orchestrator", 0, 0),
    ("agent resume", "orchestrator", 0, 0),
    ("revoke", "--txn {txn}", 0, 0),
    ("replay", "{txn}", 0, 0),
    ("replay", "{txn} --disclose", 0, 0),
    ("ledger find", "--jti {jti}", 0, 0),
    ("ledger prove", "{jti}", 0, 0),
    ("ledger export", "{fresh}", 0, 0),
    ("ledger hold", "{txn}", 0, 0),
    ("ledger holds", "", 0, 0),
    ("ledger release", "{txn}", 0, 0),
    ("archive", "{fresh}-archive", 0, 0),
    ("backup", "{fresh}-backup", 0, 0),
    ("restore", "--in-place", 2, 2),
    ("check", "", 0, 0),
    ("keys generate", "", 0, 0),
    ("keys list", "", 0, 0),
    ("keys rotate", "--all", 0, 0),
    ("keys adopt", "--yes", 2, 0),
    ("keys accept-checkpoint", "--yes", 2, 2),
    ("policy check", "", 0, 0),
    ("policy explain", "{request}", 0, 0),
    ("trust forget", "unknown.example", 1, 1),
    ("trust try", "{token}", 0, 0),
    ("trust inventory", "", 0, 0),
    ("config accept", "--yes", 1, 1),
    ("clock accept", "", 0, 0),
    ("clock correct", "", 1, 1),
    ("state rebuild", "", 2, 0),
    ("agent compromise", "researcher", 0, 0),
    ("agent retire", "researcher --yes", 0, 0),
    ("keys revoke", "{kid}", 0, 0),
];

/// Those that take `--data` and open no folder that was used before; a secret is of no folder.
const OTHERS: [&str; 3] = ["serve", "quickstart", "keys secret"];

pub fn countersign() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.current_dir("/");
    command
}

pub fn words(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

/// A command in the root folder, with the data folder as all that it is told.
pub fn told(data: &Path, command: &str, arguments: &[&str]) -> Output {
    let mut told = countersign();
    told.args(command.split(' ')).args(arguments).arg("--data").arg(data).output().unwrap()
}

fn keys(site: &Site) -> PathBuf {
    site.fixture.config.parent().unwrap().parent().unwrap().join("keys")
}

fn refused(output: &Output, told: &[&str]) {
    assert_eq!(output.status.code(), Some(2), "{}", words(output));
    assert!(told.iter().all(|told| words(output).contains(told)), "{told:?} in {}", words(output));
}

/// Issues a token and waits until its hop is proved; answers its transaction and its jti.
fn issued(site: &Site) -> (String, String) {
    let party = Party::new(&site.profile(), "orchestrator");
    let (assertion, id_token) = (party.assertion(), party.id_token(json!({})));
    let request = Party::request(&assertion, &id_token, &[("resource", "https://crm.example")]);
    let reply = post_form(site.public, "/token", &form(&request)).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    let token = reply.text_of("access_token");
    let claims = crate::support::claims(&token);
    let text = |name: &str| claims[name].as_str().unwrap().to_owned();
    let (txn, jti) = (text("txn"), text("jti"));
    site.wait("the hop is in a checkpoint", || told(&site.fixture.data, "ledger prove", &[&jti]).status.success());
    (txn, jti)
}

/// The commands below `of` that take `--data`, by what `--help` says.
fn with_data(of: &str, found: &mut BTreeSet<String>) {
    let output = countersign().args(of.split_whitespace()).arg("--help").output().unwrap();
    let help = words(&output);
    let below = help.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
    let below: Vec<&str> = below.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    let names = below.iter().filter(|name| **name != "help");
    let names: Vec<String> = names.map(|name| format!("{of} {name}").trim().to_owned()).collect();
    if names.is_empty() && help.contains("--data ") {
        found.insert(of.to_owned());
    }
    names.iter().for_each(|name| with_data(name, found));
}

#[test]
fn the_walk_leaves_no_command_out() {
    let mut found = BTreeSet::new();
    with_data("", &mut found);
    let walked: BTreeSet<String> = COMMANDS.iter().map(|(name, ..)| *name).chain(OTHERS).map(str::to_owned).collect();
    assert_eq!(found, walked);
}

fn walk(site: &Site, running: bool, values: &[(&str, &str)]) {
    let kid = told(&site.fixture.data, "keys list", &["--json"]);
    let listed: Value = serde_json::from_slice(&kid.stdout).unwrap_or_else(|_| panic!("{}", words(&kid)));
    let kid = listed.as_array().unwrap().iter().find(|key| key["revoked"].is_null()).unwrap()["kid"].as_str().unwrap().to_owned();
    let fresh = site.folder.join(format!("exported-{running}"));
    for (name, arguments, while_running, while_stopped) in COMMANDS {
        let mut arguments = arguments.replace("{kid}", &kid).replace("{fresh}", fresh.to_str().unwrap());
        values.iter().for_each(|(word, value)| arguments = arguments.replace(word, value));
        let output = told(&site.fixture.data, name, &arguments.split_whitespace().collect::<Vec<_>>());
        let expected = if running { while_running } else { while_stopped };
        assert_eq!(output.status.code(), Some(*expected), "running: {running}: {name} {arguments}: {}", words(&output));
    }
    let verified = countersign().args(["ledger", "verify"]).arg(&site.fixture.data).output().unwrap();
    assert!(verified.status.success(), "{}", words(&verified));
    let against = countersign().args(["check", "--against"]).arg(&site.fixture.data).output().unwrap();
    assert!(against.status.success() && !words(&against).contains("0 agents"), "{}", words(&against));
}

#[test]
fn every_command_finds_what_the_data_folder_is_served_with() {
    let site = Site::new("tools-walk");
    let server = site.start();
    let (txn, jti) = issued(&site);
    let token = site.folder.join("id_token");
    let lasting = json!({ "exp": std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 3000 });
    fs::write(&token, Party::new(&site.profile(), "orchestrator").id_token(lasting)).unwrap();
    let token = token.to_str().unwrap().to_owned();
    let request = site.folder.join("request.json");
    fs::write(&request, r#"{ "client": "orchestrator", "resource": "crm", "subject": { "rule": "idp" } }"#).unwrap();
    let request = request.to_str().unwrap().to_owned();
    site.wait("the newest checkpoint is remembered", || keys(&site).join("ledger.head").exists());
    let values = [("{txn}", txn.as_str()), ("{jti}", &jti), ("{token}", &token), ("{request}", &request)];
    walk(&site, true, &values);
    let agents = words(&told(&site.fixture.data, "agent list", &[]));
    server.kill();
    let alone = words(&told(&site.fixture.data, "agent list", &[]));
    assert_eq!(alone.lines().count(), agents.lines().count(), "by the socket and on the folder the same:\n{agents}\n{alone}");
    walk(&site, false, &values);
}

/// Commands that go by the keys, in a form that writes nothing.
const BY_KEYS: [(&str, &[&str]); 5] =
    [("task list", &[]), ("agent list", &[]), ("keys list", &[]), ("check", &[]), ("state rebuild", &[])];

#[test]
fn keys_of_another_data_folder_are_refused() {
    let (site, other) = (Site::new("tools-own"), Site::new("tools-other"));
    for site in [&site, &other] {
        stop(site.start());
    }
    let (keys, config) = (keys(&other), other.fixture.config.clone());
    for (command, arguments) in BY_KEYS.iter().copied().chain([("replay", &["018f0000-0000-7000-8000-000000000000"][..])]) {
        let with =
            |option, value: &Path| told(&site.fixture.data, command, &[arguments, &[option, value.to_str().unwrap()]].concat());
        refused(&with("--keys", &keys), &["belongs to the data folder", "It was last served with the keys in"]);
        if command != "replay" {
            refused(&with("--config", &config), &["belongs to the data folder"]);
            let own = with("--config", &site.fixture.config);
            assert!(own.status.success(), "{command}: {}", words(&own));
        }
    }
}

#[test]
fn what_moved_is_told_and_named_and_found_again_after_a_start() {
    let mut site = Site::new("tools-moved");
    stop(site.start());
    let (data, keys, config) = (site.fixture.data.clone(), keys(&site), site.fixture.config.clone());
    let (new_keys, new_config) = (keys.with_file_name("keys-moved"), config.with_file_name("moved.toml"));
    fs::rename(&keys, &new_keys).unwrap();
    refused(&told(&data, "task list", &[]), &["key folder", "keys, which is not there any more", "--keys DIR"]);
    done(&told(&data, "task list", &["--keys", new_keys.to_str().unwrap()]));
    assert!(!keys.exists(), "nothing is made where they were");
    fs::rename(&new_keys, &keys).unwrap();
    fs::rename(&config, &new_config).unwrap();
    refused(&told(&data, "task list", &[]), &["settings file", config.to_str().unwrap(), "not there any more", "--config FILE"]);
    done(&told(&data, "task list", &["--config", new_config.to_str().unwrap()]));
    site.fixture.config = new_config;
    stop(site.start());
    done(&told(&data, "task list", &[]));
    let moved = data.with_file_name("data-moved");
    fs::rename(&data, &moved).unwrap();
    done(&told(&moved, "task list", &[]));
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", words(output));
}

fn stop(server: Server) {
    server.kill();
}
