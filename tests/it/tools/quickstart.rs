//! Every command that the README names works with the `--data` of `quickstart`, while it runs and afterwards.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{countersign, told, words};
use crate::support::{claims, free, get, patience, scratch};

const README: &str = include_str!("../../../README.md");

/// The arguments, and the exit codes while quickstart runs and afterwards.
type Walked = (&'static str, i32, i32);

/// The commands of the README's table with arguments, and their exit codes while quickstart runs and afterwards. Those without
/// arguments are of no data folder, or run themselves below. The words in braces are of the run.
const COMMANDS: &[(&str, Option<Walked>)] = &[
    ("quickstart", None),
    ("serve", None),
    ("check", Some(("", 0, 0))),
    ("init", None),
    ("keys generate", Some(("", 0, 0))),
    ("keys rotate", Some(("", 0, 0))),
    ("keys list", Some(("", 0, 0))),
    ("keys secret", Some(("", 0, 0))),
    ("token exchange", None),
    ("token inspect", None),
    ("agent list", Some(("", 0, 0))),
    ("agent show", Some(("orchestrator", 0, 0))),
    ("agent suspend", Some(("orchestrator", 0, 0))),
    ("agent resume", Some(("orchestrator", 0, 0))),
    ("revoke", Some(("--txn {txn}", 0, 0))),
    ("task open", None),
    ("task list", Some(("", 0, 0))),
    ("task complete", Some(("018f0000-0000-7000-8000-000000000000", 1, 1))),
    ("replay", Some(("{txn} --disclose", 0, 0))),
    ("policy check", Some(("", 0, 0))),
    ("policy explain", None),
    ("policy test", None),
    ("trust check", None),
    ("trust try", None),
    ("trust add", None),
    ("trust inventory", Some(("", 0, 0))),
    ("trust forget", Some(("mesh.example", 0, 1))),
    ("ledger verify", None),
    ("ledger find", Some(("--jti {jti}", 0, 0))),
    ("ledger prove", Some(("{jti}", 0, 0))),
    ("ledger export", Some(("{fresh}", 0, 0))),
    ("archive", Some(("{fresh}-archive", 0, 0))),
    ("ledger hold", Some(("{txn}", 0, 0))),
    ("ledger holds", Some(("", 0, 0))),
    ("ledger release", Some(("{txn}", 0, 0))),
    ("config accept", Some(("--yes", 1, 1))),
    ("backup", None),
    ("restore", None),
    ("clock accept", Some(("", 0, 0))),
    ("clock correct", Some(("", 1, 1))),
    ("state rebuild", Some(("", 2, 0))),
    ("completions", None),
    ("agent compromise", Some(("researcher", 0, 0))),
    ("agent retire", Some(("researcher --yes", 0, 0))),
];

/// The names in the README's table of commands, as `keys generate|rotate` has two.
fn named() -> BTreeSet<String> {
    let table = README.replace("\\|", "|");
    let table = table.split("| Command | Does |").nth(1).unwrap().split("\n\n").next().unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next().map(|cell| cell.to_owned()));
    let mut named = BTreeSet::new();
    for cell in cells {
        for command in cell.split('`').filter(|part| part.starts_with(|first: char| first.is_ascii_lowercase())) {
            let words: Vec<&str> =
                command.split(' ').filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase())).collect();
            let below = words.get(1).map_or_else(Vec::new, |below| below.split('|').collect());
            match below.is_empty() {
                true => drop(named.insert(words[0].to_owned())),
                false => named.extend(below.iter().map(|name| format!("{} {name}", words[0]))),
            }
        }
    }
    named
}

/// The commands that the README shows to be tried by hand, for this data folder and server.
fn by_hand(data: &Path, server: &str) -> String {
    let section = README.split("## By hand").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = section.split("```console\n").skip(1).map(|block| block.split("```").next().unwrap());
    let lines: String =
        blocks.collect::<Vec<_>>().join("").lines().map(|line| format!("{}\n", line.trim_start_matches("$ "))).collect();
    let binary = env!("CARGO_BIN_EXE_countersign");
    let lines = lines.replace("curl -s", "curl -sf").replace("http://127.0.0.1:8693", server);
    let lines = lines
        .replace("data/quickstart", data.to_str().unwrap())
        .replace("token exchange", &format!("token exchange --server {server}"));
    format!("set -e\n{}", lines.replace("target/release/countersign", binary))
}

fn walk(data: &Path, folder: &Path, running: bool, values: &[(&str, &str)]) {
    let fresh = folder.join(format!("exported-{running}"));
    for (name, how) in COMMANDS {
        let Some((arguments, while_running, afterwards)) = how else { continue };
        let mut arguments = arguments.replace("{fresh}", fresh.to_str().unwrap());
        values.iter().for_each(|(word, value)| arguments = arguments.replace(word, value));
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let expected = if running { while_running } else { afterwards };
        let answer = || told(data, name, &arguments);
        // What is proved is published behind the commit.
        let published = |words: &str| !words.contains("not in a published checkpoint yet");
        let mut output = answer();
        patience::until(name, || {
            published(&words(&output)) || {
                output = answer();
                false
            }
        });
        assert_eq!(output.status.code(), Some(*expected), "running: {running}: {name} {arguments:?}: {}", words(&output));
    }
    let verified = countersign().args(["ledger", "verify"]).arg(data).output().unwrap();
    assert!(verified.status.success(), "{}", words(&verified));
    let rule = countersign().args(["trust", "check"]).arg(data.join("conf/trust/acme-idp.toml")).output().unwrap();
    assert!(rule.status.code() != Some(2), "{}", words(&rule));
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn spawn(arguments: &[&str], log: &Path) -> Running {
    let log = File::create(log).unwrap();
    let mut command = countersign();
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.spawn().unwrap())
}

#[test]
fn the_readme_names_no_other_command() {
    assert_eq!(named(), COMMANDS.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
fn every_command_of_the_readme_works_on_the_data_of_quickstart() {
    let folder = scratch("tools-quickstart");
    let (data, log) = (folder.join("quick"), folder.join("log"));
    let mut public = free();
    while std::net::TcpListener::bind((public.ip(), public.port() + 1)).is_err() {
        public = free();
    }
    let (port, server) = (public.port().to_string(), format!("http://{public}"));
    let mut quickstart = spawn(&["quickstart", "--data", data.to_str().unwrap(), "--port", &port], &log);
    patience::until("quickstart has played", || {
        let ended = quickstart.0.try_wait().unwrap();
        assert!(ended.is_none(), "{}", fs::read_to_string(&log).unwrap());
        fs::read_to_string(&log).unwrap().contains("until Ctrl-C")
    });
    let tried = Command::new("sh").args(["-c", &by_hand(&data, &server)]).current_dir(&folder).output().unwrap();
    assert!(tried.status.success(), "{}", words(&tried));
    let said = claims(fs::read_to_string(folder.join("first")).unwrap().trim());
    let text = |name: &str| said[name].as_str().unwrap().to_owned();
    let (txn, jti) = (text("txn"), text("jti"));
    walk(&data, &folder, true, &[("{txn}", &txn), ("{jti}", &jti)]);
    drop(quickstart);
    walk(&data, &folder, false, &[("{txn}", &txn), ("{jti}", &jti)]);
    let config = data.join("conf/countersign.toml");
    let _served = spawn(&["serve", "--data", data.to_str().unwrap(), "--config", config.to_str().unwrap()], &log);
    let ops = (public.ip(), public.port() + 1).into();
    patience::until("it is served", || get(ops, "/readyz").is_ok_and(|reply| reply.status == 200));
    let _kept = fs::remove_dir_all(&folder);
}
