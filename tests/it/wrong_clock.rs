//! A clock that is wrong: nothing is recorded by it, and what goes on afterwards. The page of the document is done as it stands.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::disk::{shim, unavailable};
use crate::support::{Ledger, Party, Reply, Site, form, get, post_form};

const DOCUMENT: &str = include_str!("../../docs/operators.md");
const DAY: i64 = 86_400;

/// A site, and the clock of its machine.
struct Wrong {
    site: Site,
    shim: PathBuf,
    clock: PathBuf,
}

impl Wrong {
    fn new(name: &str) -> Self {
        let site = Site::new(name);
        let (shim, clock) = (shim(&site.folder, "wrong_clock"), site.folder.join("clock"));
        fs::write(&clock, "0").unwrap();
        Self { site, shim, clock }
    }

    fn set(&self, days: i64) {
        fs::write(&self.clock, (days * DAY).to_string()).unwrap();
    }

    fn environment(&self) -> [(&str, &Path); 2] {
        [("LD_PRELOAD", &self.shim), ("COUNTERSIGN_SHIM_CLOCK", &self.clock)]
    }

    /// A command of the document, on this site's data, by the clock of its machine.
    fn command(&self, command: &str) -> Output {
        assert!(DOCUMENT.lines().any(|line| line == format!("$ {command}")), "the page does not have: {command}");
        let words = command
            .split(' ')
            .skip(1)
            .map(|word| if word == "data" { self.site.fixture.data.as_os_str() } else { word.as_ref() });
        let mut run = Command::new(env!("CARGO_BIN_EXE_countersign"));
        run.args(words).envs(self.environment()).current_dir(&self.site.folder).output().unwrap()
    }

    fn ask(&self, days: i64) -> Reply {
        let party = Party::new(&self.site.profile(), "orchestrator").skewed(days * DAY);
        let (assertion, subject) = (party.assertion(), party.id_token(json!({})));
        let request = Party::request(&assertion, &subject, &[("resource", "https://assistant.example")]);
        post_form(self.site.public, "/token", &form(&request)).unwrap()
    }

    fn retire(&self, agent: &str) {
        let path = self.site.fixture.config.with_file_name("agents").join(format!("{agent}.toml"));
        let text = fs::read_to_string(&path).unwrap();
        let retired = text.replace("status = \"active\"", "status = \"retired\"");
        assert_ne!(text, retired);
        fs::write(&path, retired).unwrap();
    }

    fn is_doubted(&self) -> bool {
        let told = get(self.site.ops, "/readyz").unwrap();
        let doubted = told.body().starts_with("clock_doubted: ");
        assert!(
            !doubted || DOCUMENT.lines().any(|line| told.body().trim_end() == line),
            "the page shows another: {}",
            told.body()
        );
        doubted
    }

    fn records(&self) -> usize {
        Ledger::read(&self.site.fixture.data).len()
    }
}

fn said(output: &Output, code: i32, words: &str) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(code) && text.contains(words), "{output:?}");
}

#[test]
fn a_clock_that_leaps_ahead_is_doubted_until_it_is_right_or_accepted() {
    let wrong = Wrong::new("clock-leaps");
    let server = wrong.site.start_with(&wrong.environment());
    assert_eq!(wrong.ask(0).status, 200);
    let before = wrong.records();
    wrong.set(400);
    wrong.site.wait("the clock is doubted", || wrong.is_doubted());
    unavailable(&wrong.ask(0));
    assert_eq!(wrong.records(), before, "nothing is recorded by that clock");
    wrong.set(0);
    assert!(wrong.site.ready(), "a right clock goes on");
    assert_eq!(wrong.ask(0).status, 200);
    wrong.set(400);
    said(&wrong.command("countersign clock accept --data data"), 0, "and the server goes on");
    assert!(wrong.site.ready());
    assert_eq!(wrong.ask(400).status, 200);
    server.kill();
}

/// What the files end while the clock is doubted is neither recorded nor forgotten: while the server runs, and at a start that
/// would have ended something.
#[test]
fn a_configuration_that_comes_while_the_clock_is_doubted_is_in_force_when_it_is_right() {
    let wrong = Wrong::new("clock-reload");
    let (site, taken) = (&wrong.site, "the changed configuration is in force");
    let server = site.start_with(&wrong.environment());
    assert_eq!(wrong.ask(0).status, 200);
    wrong.set(400);
    site.wait("the clock is doubted", || wrong.is_doubted());
    wrong.retire("crm-agent");
    site.wait("it waits", || site.pending() == "unrecorded");
    assert_eq!(site.said(taken), 0);
    wrong.set(0);
    site.wait("it is in force", || site.said(taken) == 1 && site.pending().is_empty());
    assert_eq!(wrong.ask(0).status, 200);
    server.kill();
    wrong.set(40);
    wrong.retire("researcher");
    let server = site.launch(&wrong.environment());
    site.wait("it waits", || site.pending() == "unrecorded");
    assert_eq!(site.said(taken), 1);
    wrong.set(0);
    site.wait("it is in force", || site.said(taken) == 2 && site.ready());
    assert_eq!(wrong.ask(0).status, 200);
    server.kill();
}

#[test]
fn a_clock_long_after_the_newest_record_is_doubted_at_a_start() {
    let wrong = Wrong::new("clock-late");
    let server = wrong.site.start_with(&wrong.environment());
    assert_eq!(wrong.ask(0).status, 200);
    server.kill();
    let before = wrong.records();
    wrong.set(40);
    let server = wrong.site.launch(&wrong.environment());
    wrong.site.wait("the clock is doubted", || get(wrong.site.ops, "/readyz").is_ok() && wrong.is_doubted());
    let revoke = "countersign revoke --agent orchestrator --data data";
    said(&wrong.command(revoke), 1, "is not recorded yet");
    assert_eq!(wrong.records(), before);
    server.kill();
    let accepted = wrong.command("countersign clock accept --data data");
    said(&accepted, 0, "the next start");
    let server = wrong.site.start_with(&wrong.environment());
    assert_eq!(wrong.ask(40).status, 200);
    server.kill();
}
