//! Files against the real binary: what is rewritten, taken away, put back, accepted; and a server that is started elsewhere.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use countersign::server::{DataFolder, Offline};
use serde_json::{Value, json};

use crate::support::patience::{pass, until};
use crate::support::{Ledger, Party, Reply, Site, form, get, number, post_form};

const CRM: &str = "https://crm.example";

fn asked(site: &Site, more: &[(&str, &str)]) -> Reply {
    let party = Party::new(&site.profile(), "orchestrator");
    let (assertion, token) = (party.assertion(), party.id_token(json!({})));
    post_form(site.public, "/token", &form(&Party::request(&assertion, &token, &[&[("resource", CRM)], more].concat()))).unwrap()
}

fn issued(site: &Site) -> String {
    let reply = asked(site, &[]);
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

fn folder(site: &Site) -> PathBuf {
    site.fixture.config.parent().unwrap().to_owned()
}

fn countersign(current: &Path, arguments: &[&OsStr]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_countersign")).args(arguments).current_dir(current).output().unwrap()
}

/// `config accept`, and how it ended.
fn accept(site: &Site, yes: bool) -> (i32, String) {
    let (data, config) = (site.fixture.data.as_os_str(), site.fixture.config.as_os_str());
    let [accept, named, by, yes_word] = ["accept", "--data", "--config", "--yes"].map(OsStr::new);
    let all = [OsStr::new("config"), accept, named, data, by, config, yes_word];
    let output = countersign(&site.folder, if yes { &all } else { &all[..6] });
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn set(site: &Site, settle: &str, ends: &str) {
    let text = fs::read_to_string(&site.fixture.config).unwrap();
    let text = text.replace("\"100ms\"", &format!("\"{settle}\"")).replace("\"200ms\"", &format!("\"{ends}\""));
    fs::write(&site.fixture.config, text).unwrap();
}

/// Attack: files that are rewritten under a server that answers. A forbid is in force at every instant, nothing ends that comes
/// back, and nothing is taken up that was only on the way. `COUNTERSIGN_REWRITES` for more.
#[test]
fn what_is_rewritten_is_never_out_of_force() {
    let site = Site::new("files-rewritten");
    // The server is started on files that rest, and then wants them to rest for longer than anything here takes.
    let server = site.start();
    set(&site, "5m", "10m");
    site.wait("its own settings are taken up", || site.said("the changed configuration is in force") == 1);
    let (token, done) = (issued(&site), AtomicBool::new(false));
    let folder = folder(&site);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut asked_for = 0;
            while !done.load(Ordering::SeqCst) {
                assert_eq!(asked(&site, &[]).status, 200, "what the policies permit");
                let wide = asked(&site, &[("scope", "contacts.delete")]);
                assert_ne!(wide.status, 200, "what a policy forbids: {}", wide.text);
                asked_for += 1;
            }
            asked_for
        });
        for round in 0..number("COUNTERSIGN_REWRITES", 60) {
            let files =
                ["policies/exchange.cedar", "agents/orchestrator.toml", "trust/idp.toml", "apis/crm.toml", "countersign.toml"];
            rewrite(&folder.join(files[round % files.len()]), round / files.len());
        }
        done.store(true, Ordering::SeqCst);
        assert!(load.join().unwrap() > 0);
    });
    assert!(site.active(&token), "nothing ended that came back");
    assert_eq!(site.said("the changed configuration is in force"), 1);
    // Whoever accepts a change that ends nothing hurries it, also one that the server has not looked at yet.
    let file = folder.join("agents/orchestrator.toml");
    fs::write(&file, format!("{}# another one\n", fs::read_to_string(&file).unwrap())).unwrap();
    let (code, text) = accept(&site, true);
    assert_eq!(code, 0, "{text}");
    assert_eq!(site.said("the changed configuration is in force"), 2);
    assert!(site.active(&token));
    server.kill();
}

/// In place and in pieces; by a file beside it; or taken away, and copied back.
fn rewrite(path: &Path, way: usize) {
    let text = fs::read_to_string(path).unwrap();
    let beside = path.with_extension("beside");
    let target = if way % 3 == 1 { &beside } else { path };
    if way % 3 == 2 {
        fs::remove_file(path).unwrap();
        pass(Duration::from_millis(7));
    }
    for share in 0..=3 {
        fs::write(target, &text[..text.floor_char_boundary(text.len() * share / 3)]).unwrap();
        pass(Duration::from_millis(7));
    }
    if way % 3 == 1 {
        fs::rename(beside, path).unwrap();
    }
}

/// A slip that is saved ends nothing while it can be undone, and what would end all of a kind waits for a person: while the
/// server runs, when it is started, and where none runs.
#[test]
fn what_would_end_everything_is_not_taken_up_before_somebody_accepts_it() {
    let site = Site::new("files-accepted");
    let server = site.start();
    let token = issued(&site);
    enable_all(&site, false);
    site.wait("it is told", || site.pending() == "needs_acceptance");
    assert!(site.said("say `countersign config accept`") == 1 && site.active(&token));
    issued(&site);
    let (code, text) = accept(&site, false);
    assert!(
        code == 2 && text.contains("ends: trust rule idp (not in force any more)") && text.contains("--yes"),
        "{code} {text}"
    );
    enable_all(&site, true);
    site.wait("nothing waits", || site.pending().is_empty());
    assert!(site.active(&token));
    server.kill();
    enable_all(&site, false);
    let mut child = serve(&site, &site.folder);
    site.wait("it is told", || site.pending() == "needs_acceptance");
    let [ready, refused] = ["/readyz", "/healthz"].map(|path| get(site.ops, path).unwrap().status);
    assert_eq!((ready, refused), (503, 200));
    let reply = asked(&site, &[]);
    assert_eq!((reply.status, reply.text_of("error").as_str()), (503, "temporarily_unavailable"));
    enable_all(&site, true);
    site.wait("it is ready", || site.ready());
    assert!(site.active(&token), "nothing ended");
    end(&mut child);
    enable_all(&site, false);
    let before = check(&site);
    assert!(before.contains("ends: trust rule idp (not in force any more)") && before.contains("config accept"), "{before}");
    let (code, text) = accept(&site, true);
    assert_eq!(code, 0, "{text}");
    enable_all(&site, true);
    let _server = site.start();
    assert!(!site.active(&token), "what was accepted is not undone by editing");
    let ledger = Ledger::read(&site.fixture.data);
    ledger.verified();
    let by: Vec<Value> = ledger.everything().into_iter().filter(|record| record["kind"] == "configuration").collect();
    assert!(by.iter().all(|record| record["digest"].is_string()), "{by:?}");
    let by: Vec<&str> = by.iter().filter_map(|record| record["by"].as_str()).collect();
    assert_eq!((by.first(), by.contains(&"ops"), by.last()), (Some(&"files"), true, Some(&"files")), "{by:?}");
}

/// What is accepted where no server runs is what was shown: nothing that was written since, whatever it holds.
#[test]
fn what_was_written_since_it_was_shown_is_not_accepted() {
    let site = Site::new("files-written-since");
    let server = site.start();
    let token = issued(&site);
    server.kill();
    enable_all(&site, false);
    let folder = DataFolder { data: site.fixture.data.clone(), config: vec![site.fixture.config.clone()], keys: None };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let accepted = |meanwhile: &dyn Fn()| {
        let _inside = runtime.enter();
        let offline = Offline::open(&folder).unwrap_or_else(|why| panic!("{why}"));
        assert!(offline.succession().needs_acceptance);
        meanwhile();
        let accepted = runtime.block_on(offline.accept()).map_err(|why| why.to_string());
        runtime.block_on(offline.close());
        accepted
    };
    let records = || Ledger::read(&site.fixture.data).everything();
    let before = records().len();
    let again = || enable_all(&site, false);
    let another = || fs::write(folder.config[0].with_file_name("trust/new.toml"), "").unwrap();
    for written in [&again as &dyn Fn(), &another] {
        let refused = accepted(written).unwrap_err();
        assert!(refused.contains("look again at what ends"), "{refused}");
        fs::remove_file(folder.config[0].with_file_name("trust/new.toml")).unwrap_or_default();
    }
    assert!(records()[before..].iter().all(|record| record["kind"] != "death"), "nothing ended");
    accepted(&|| ()).unwrap();
    enable_all(&site, true);
    let _server = site.start();
    assert!(!site.active(&token), "what is accepted is");
}

/// The same while it runs: accepted, it is in force at once.
#[test]
fn what_is_accepted_is_in_force() {
    let site = Site::new("files-hurried");
    set(&site, "100ms", "10m");
    let _server = site.start();
    let (token, file) = (issued(&site), folder(&site).join("trust/idp.toml"));
    let text = fs::read_to_string(&file).unwrap();
    let slip = text.replace("https://login.acme.example", "https://login.acme.example/");
    assert_ne!(text, slip);
    fs::write(&file, &slip).unwrap();
    site.wait("it waits", || site.pending() == "ends_wait");
    assert!(site.said("trust rule idp (another one by that name); until then it can be undone") == 1);
    fs::write(&file, &text).unwrap();
    site.wait("nothing waits", || site.pending().is_empty());
    assert!(site.active(&token), "a slip that is undone ends nothing");
    fs::write(&file, &slip).unwrap();
    site.wait("it waits", || site.pending() == "ends_wait");
    let (code, text) = accept(&site, true);
    assert_eq!(code, 0, "{text}");
    assert!(!site.active(&token));
    let (code, text) = accept(&site, true);
    assert!(code == 1 && text.contains("no configuration waits"), "{code} {text}");
}

/// Started from another folder it is the same server; and with no settings at all it is none that ends anything.
#[test]
fn a_server_is_what_its_files_say_wherever_it_is_started() {
    let site = Site::new("files-elsewhere");
    // The folders are those beside the settings file, unless it names others.
    let text = fs::read_to_string(&site.fixture.config).unwrap();
    let named = ["trust    = \"trust\"\n", "agents   = \"agents\"\n", "apis     = \"apis\"\n", "policies = \"policies\"\n"];
    let text = named.iter().fold(text, |text, line| text.replace(line, "")).replace("dir = \"../keys\"\n", "");
    fs::write(&site.fixture.config, text).unwrap();
    let server = site.start();
    let token = issued(&site);
    server.kill();
    let elsewhere = site.folder.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let mut child = serve(&site, &elsewhere);
    site.wait("it is ready", || site.ready());
    assert!(site.active(&token));
    end(&mut child);
    let keys = site.folder.join("keys");
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("serve").arg("--data").arg(&site.fixture.data).current_dir(&elsewhere).env("COUNTERSIGN__KEYS__DIR", &keys);
    command.env("COUNTERSIGN__LISTEN__PUBLIC", site.public.to_string());
    command.env("COUNTERSIGN__LISTEN__OPS", site.ops.to_string()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    until("it has ended or it answers", || child.try_wait().unwrap().is_some() || get(site.ops, "/healthz").is_ok());
    let _ended = child.kill();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("Name its settings file with --config") && told.contains("0 trust rules in "), "{told}");
    let _server = site.start();
    assert!(site.active(&token), "nothing ended");
    let output = countersign(&elsewhere, &[OsStr::new("check")]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("no settings file is given") && told.contains("0 agents in conf/agents"), "{told}");
}

fn check(site: &Site) -> String {
    let [check, config, against] = ["check", "--config", "--against"].map(OsStr::new);
    let (settings, data) = (site.fixture.config.as_os_str(), site.fixture.data.as_os_str());
    let output = countersign(&site.folder, &[check, config, settings, against, data]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether every trust rule is enabled.
fn enable_all(site: &Site, enabled: bool) {
    for entry in fs::read_dir(folder(site).join("trust")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = fs::read_to_string(&path).unwrap().replace("enabled = false\n", "");
            fs::write(&path, if enabled { text } else { format!("enabled = false\n{text}") }).unwrap();
        }
    }
}

/// A server that need not become ready.
fn serve(site: &Site, current: &Path) -> Child {
    let log = fs::File::options().append(true).open(site.log()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("serve").arg("--config").arg(&site.fixture.config).arg("--data").arg(&site.fixture.data);
    let child = command.current_dir(current).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    until("it listens", || TcpStream::connect(site.ops).is_ok());
    child
}

fn end(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}
