//! Rules that come and go while exchanges run without a pause.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::support::patience::until;
use crate::support::{Party, Reply, Site, form, post_form};

const CRM: &str = "https://crm.example";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What came of one exchange.
struct Outcome {
    /// The configuration that was known to be in force when it began, by the number of changes before it.
    under: usize,
    /// The changes that had been made, in force or not, when it had ended.
    made: usize,
    status: u16,
    token: String,
}

/// Exchanges by one way, one after another, until told to stop.
struct Way {
    ask: fn(&Site) -> Reply,
    done: Mutex<Vec<Outcome>>,
}

/// How often the configuration was changed.
#[derive(Default)]
struct Changes {
    made: AtomicUsize,
    in_force: AtomicUsize,
}

/// A pod's token that somebody else presents.
fn as_subject(site: &Site) -> Reply {
    present(site, "cluster-a")
}

/// The same under another rule, of the same issuer.
fn of_another_rule(site: &Site) -> Reply {
    present(site, "cluster-b")
}

fn present(site: &Site, rule: &str) -> Reply {
    let gateway = Party::new(&site.profile(), "gateway");
    let mut parameters = vec![("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"), ("resource", CRM)];
    let (assertion, token) = (gateway.assertion(), gateway.vouched(rule, json!({})));
    parameters.extend(Party::request(&assertion, &token, &[]).into_iter().filter(|(name, _)| *name != "subject_token_type"));
    post_form(site.public, "/token", &form(&parameters)).unwrap()
}

/// A pod that logs in with its token and acts for a person.
fn as_actor(site: &Site) -> Reply {
    let deployer = Party::new(&site.profile(), "deployer");
    let account = json!({ "name": "web", "uid": "24ee3fa4-a7e2-420f-9f9a-dbc4507c3798" });
    let pod = json!({ "namespace": "prod", "serviceaccount": account });
    let login = deployer.vouched("cluster-a", json!({ "kubernetes.io": pod }));
    let person = deployer.id_token(json!({ "azp": "0oa-deployer" }));
    let mut parameters = Party::request(&login, &person, &[("resource", CRM)]);
    parameters.retain(|(name, _)| *name != "client_assertion_type");
    parameters.push(("client_assertion_type", JWT_BEARER));
    post_form(site.public, "/token", &form(&parameters)).unwrap()
}

impl Way {
    fn new(ask: fn(&Site) -> Reply) -> Self {
        Self { ask, done: Mutex::default() }
    }

    fn run(&self, site: &Site, changes: &Changes, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let under = changes.in_force.load(Ordering::SeqCst);
            let reply = (self.ask)(site);
            let token = if reply.status == 200 { reply.text_of("access_token") } else { String::new() };
            let made = changes.made.load(Ordering::SeqCst);
            self.done.lock().unwrap().push(Outcome { under, made, status: reply.status, token });
        }
    }

    /// How many passed of those that no other configuration than that one can have judged, and how many there were.
    fn passed(&self, under: usize) -> (usize, usize) {
        let done = self.done.lock().unwrap();
        let within: Vec<&Outcome> = done.iter().filter(|outcome| outcome.under == under && outcome.made == under).collect();
        (within.iter().filter(|outcome| outcome.status == 200).count(), within.len())
    }

    /// The last tokens that were issued to those that began before that change was in force, and a few of the others.
    fn tokens(&self, before: usize) -> Vec<String> {
        let done = self.done.lock().unwrap();
        let earlier = done.iter().rev().filter(|outcome| outcome.under < before && !outcome.token.is_empty());
        earlier
            .map(|outcome| outcome.token.clone())
            .enumerate()
            .filter(|(at, _)| *at < 20 || at % 20 == 0)
            .map(|(_, token)| token)
            .collect()
    }
}

/// How often a changed configuration was put in force.
fn reloads(site: &Site) -> usize {
    fs::read_to_string(site.log()).unwrap().matches("the changed configuration is in force").count()
}

/// Makes a change and waits until it is in force; its number.
fn change(site: &Site, changes: &Changes, make: impl Fn()) -> usize {
    let before = reloads(site);
    changes.made.fetch_add(1, Ordering::SeqCst);
    make();
    site.wait("the reload", || reloads(site) > before);
    changes.in_force.fetch_add(1, Ordering::SeqCst) + 1
}

/// Attack 26. Whatever runs at that moment: what begins after the change is judged by it alone, what a disabled or removed
/// rule vouched for is dead, as subject and as actor, and nobody else notices.
#[test]
fn a_rule_changes_under_load_and_nothing_passes_that_it_no_longer_admits() {
    let site = Site::new("trust-load");
    let file = site.folder.join("conf/trust/cluster-a.toml");
    let agent = site.folder.join("conf/agents/deployer.toml");
    let (file, agent) = (&file, &agent);
    let (rule, login) = (fs::read_to_string(file).unwrap(), fs::read_to_string(agent).unwrap());
    let _server = site.start();
    let ways = [Way::new(as_subject), Way::new(as_actor), Way::new(of_another_rule)];
    let (changes, stop) = (Changes::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        for way in &ways {
            scope.spawn(|| way.run(&site, &changes, &stop));
        }
        // Also where an assertion fails: a scope waits for its threads.
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let judged = |admits: bool| {
                let under = changes.in_force.load(Ordering::SeqCst);
                for way in &ways[..2] {
                    until("some were judged by the configuration in force", || way.passed(under).1 > 2);
                    let (passed, all) = way.passed(under);
                    assert!(passed == if admits { all } else { 0 }, "{passed} of {all}, where admitted is {admits}");
                }
            };
            let step = |admits: bool, make: &dyn Fn()| {
                judged(admits);
                change(&site, &changes, make)
            };
            let put = |text: String| move || fs::write(file, &text).unwrap();
            step(true, &put(rule.replace("4ee3fa4", "0000000")));
            let on = step(false, &put(rule.clone()));
            let gone = step(true, &|| {
                fs::write(agent, login.split("[[login]]\nmethod = \"workload_jwt\"\ntrust  = \"cluster-a\"").next().unwrap())
                    .unwrap();
                fs::remove_file(file).unwrap();
            });
            let issued: Vec<String> = ways[..2].iter().flat_map(|way| way.tokens(gone)).collect();
            assert!(issued.len() > 4, "{}", issued.len());
            assert!(on < gone && ways[..2].iter().all(|way| way.passed(on).0 > 2));
            site.wait("nothing of it lives", || issued.iter().all(|token| !site.active(token)));
            // A look at the files may have fallen between the two.
            changes.made.fetch_add(1, Ordering::SeqCst);
            changes.in_force.fetch_add(1, Ordering::SeqCst);
            step(false, &|| {
                fs::write(file, &rule).unwrap();
                fs::write(agent, &login).unwrap();
            });
            assert!(issued.iter().all(|token| !site.active(token)), "a death is not undone by editing");
            // For a minute evidence is no newer than the end, as far as clocks can tell.
            changes.made.fetch_add(1, Ordering::SeqCst);
            changes.in_force.fetch_add(1, Ordering::SeqCst);
            judged(false);
        }));
        stop.store(true, Ordering::Relaxed);
        told.unwrap();
    });
    let others = ways[2].done.lock().unwrap();
    assert!(others.len() > 10 && others.iter().all(|outcome| outcome.status == 200), "another rule noticed");
    assert!(others.iter().rev().take(3).all(|outcome| site.active(&outcome.token)));
}
