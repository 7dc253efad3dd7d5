//! A clock that is wrong: nothing is recorded by it, and what goes on afterwards. The page of the document is done as it stands.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::disk::{shim, unavailable};
use crate::support::{Ledger, Party, Reply, Server, Site, form, get, post_form};

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
        self.set_seconds(days * DAY);
    }

    fn set_seconds(&self, seconds: i64) {
        fs::write(&self.clock, seconds.to_string()).unwrap();
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
        self.ask_at(days * DAY, None)
    }

    /// An exchange by a client whose clock is ahead by so much, of a fresh ID token or another `subject`.
    fn ask_at(&self, seconds: i64, subject: Option<&str>) -> Reply {
        let party = Party::new(&self.site.profile(), "orchestrator").skewed(seconds);
        let (assertion, fresh) = (party.assertion(), party.id_token(json!({})));
        let subject = subject.unwrap_or(&fresh);
        let request = Party::request(&assertion, subject, &[("resource", "https://assistant.example")]);
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
        self.is_hindered("clock_doubted: ")
    }

    fn is_hindered(&self, by: &str) -> bool {
        let told = get(self.site.ops, "/readyz").unwrap();
        let doubted = told.body().starts_with(by);
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

/// Row by row of the page: a time far ahead was believed, something was issued by it, and one command is the way out.
#[test]
fn one_command_is_the_way_out_of_a_clock_that_was_ahead() {
    let wrong = Wrong::new("clock-ahead");
    let (site, correct) = (&wrong.site, "countersign clock correct --data data");
    let mut server = Some(site.start_with(&wrong.environment()));
    let before = wrong.ask(0).text_of("access_token");
    wrong.set(400);
    said(&wrong.command("countersign clock accept --data data"), 0, "and the server goes on");
    assert_eq!(wrong.ask(400).status, 200);
    wrong.set(0);
    for (epoch, now) in [(1, 0), (2, 70)] {
        site.wait("the clock is behind", || get(site.ops, "/readyz").is_ok() && wrong.is_hindered("clock_behind: "));
        unavailable(&wrong.ask_at(now, None));
        if epoch == 2 {
            server.take().into_iter().for_each(Server::kill);
        }
        said(&wrong.command(correct), 0, &format!("and epoch {epoch} begins"));
        said(&wrong.command(correct), 1, "there is nothing to correct");
        if epoch == 2 {
            server = Some(site.start_with(&wrong.environment()));
        }
        assert!(site.ready());
        assert_eq!(wrong.ask_at(now, None).status, 401, "made within the minute that clocks may differ by");
        let later = now + 65;
        wrong.set_seconds(later);
        let dead = wrong.ask_at(later, Some(&before));
        assert_eq!(dead.text_of("error"), "invalid_request", "{}", dead.text);
        let fresh = wrong.ask_at(later, None);
        assert_eq!(fresh.status, 200, "{}", fresh.text);
        assert_eq!(wrong.ask_at(later, Some(&fresh.text_of("access_token"))).status, 200);
        if epoch == 1 {
            wrong.set(400);
            site.wait("the clock is doubted again", || wrong.is_doubted());
            said(&wrong.command("countersign clock accept --data data"), 0, "and the server goes on");
            assert_eq!(wrong.ask(400).status, 200);
            server.take().into_iter().for_each(Server::kill);
            wrong.set_seconds(70);
            server = Some(site.launch(&wrong.environment()));
        }
    }
    server.take().into_iter().for_each(Server::kill);
    let verified = Command::new(env!("CARGO_BIN_EXE_countersign")).args(["ledger", "verify"]).arg(&site.fixture.data).output();
    assert!(verified.as_ref().is_ok_and(|output| output.status.success()), "{verified:?}");
}
