//! Proofs of keys: nonces that are required, and what is presented by many at the same instant.

mod foreign;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};
use std::thread;

use countersign::commit::Limits;
use countersign::error::ErrorCode;
use countersign::lines;
use countersign_conformance::Outcome;
use countersign_conformance::profile::Login;

use crate::life::stage::{Stage, sent};
use crate::support::{Ledger, Party, Site};

/// How many rounds a race has where the environment does not say: `COUNTERSIGN_RACE_ROUNDS=10000` for the whole one.
const ROUNDS: usize = 60;
const THREADS: usize = 8;

#[test]
fn a_server_that_requires_nonces_hands_them_out() {
    let site = Site::new("nonces");
    let mut profile = site.profile();
    profile.capabilities.insert("dpop-nonce".to_owned());
    let environment = [("COUNTERSIGN__DPOP__NONCE", Path::new("required"))];
    let (_server, report) = site.conform_with(&profile, &environment, Some("dpop-nonce/"));
    for case in &report.cases {
        assert!(matches!(case.outcome, Outcome::Passed), "{}: {:?}", case.name, case.outcome);
    }
    assert!(report.cases.len() >= 10);
    the_command_line_proves_a_key(&site);
    the_command_line_opens_a_task_and_enters_it(&site);
}

#[test]
fn a_server_that_requires_challenges_hands_them_out() {
    let site = Site::new("challenges");
    let mut profile = site.profile();
    profile.capabilities.insert("attestation-challenge".to_owned());
    let environment = [("COUNTERSIGN__CLIENT_ATTESTATION__CHALLENGE", Path::new("required"))];
    let (_server, report) = site.conform_with(&profile, &environment, Some("client-attestation/6.1-"));
    for case in &report.cases {
        assert!(matches!(case.outcome, Outcome::Passed), "{}: {:?}", case.name, case.outcome);
    }
    assert!(report.cases.len() >= 3);
}

/// `token exchange --dpop` makes a key, proves it, and proves it once more with the nonce that the server wants.
fn the_command_line_proves_a_key(site: &Site) {
    let party = Party::new(&site.profile(), "legacy");
    let [subject, secret, key] = ["subject", "secret", "holder.pem"].map(|name| site.folder.join(name));
    fs::write(&subject, party.id_token(serde_json::json!({}))).unwrap();
    let Login::ClientSecretBasic { secret: text } = &site.profile().clients["legacy"].login else { panic!("a secret") };
    fs::write(&secret, text).unwrap();
    let mut thumbprints = Vec::new();
    for _ in 0..2 {
        let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["token", "exchange", "--json", "--dpop", "--client-id", "legacy", "--resource", "https://crm.example"])
            .args(["--server", &format!("http://{}", site.public), "--subject-token-type", "id_token"])
            .args([Path::new("--subject-token"), &subject, Path::new("--secret-file"), &secret, Path::new("--dpop-key"), &key])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["token_type"], "DPoP");
        thumbprints.push(answer["cnf"]["jkt"].as_str().unwrap().to_owned());
    }
    assert_eq!(thumbprints[0], thumbprints[1], "the key in the file is kept");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
}

/// `task open` proves the key by which alone its token can be used.
fn the_command_line_opens_a_task_and_enters_it(site: &Site) {
    let [subject, secret, key, task] = ["subject", "secret", "holder.pem", "task"].map(|name| site.folder.join(name));
    let run = |words: &[&str], subject: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(words).args(["--client-id", "legacy", "--server", &format!("http://{}", site.public)]);
        command.args([Path::new("--subject-token"), subject, Path::new("--secret-file"), &secret]).output().unwrap()
    };
    let key = key.to_str().unwrap();
    let open = |more: &[&str]| {
        let words =
            ["task", "open", "--subject-token-type", "id_token", "--purpose", "review", "--expires-in", "60", "--budget", "1"];
        run(&[&words, more].concat(), &subject)
    };
    let crm = ["--authority", "https://crm.example=contacts.read"];
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();

    let output = open(&[&crm[..], &["--dpop", "--dpop-key", key]].concat());
    let (token, words) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{words}");
    let claims = crate::support::claims(token.trim_end());
    assert!(words.starts_with(&format!("task {} ends at ", claims["task"].as_str().unwrap())), "{words}");
    assert!(words.contains(", in 60 s, ") && !words.contains(token.trim_end()), "{words}");
    fs::write(&task, &token).unwrap();
    let enter = ["token", "exchange", "--json", "--resource", "https://crm.example", "--dpop", "--dpop-key", key];
    let codes = [(); 2].map(|()| run(&enter, &task).status.code());
    assert_eq!(codes, [Some(0), Some(1)], "the budget is one exchange");

    let output = open(&[&crm[..], &["--dpop", "--dpop-key", key, "--json"]].concat());
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["authorization_details"][0]["budget"]["exchanges"], 1);
    let output = open(&crm);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "a secret proves no key");
    assert!(text(&output.stderr).starts_with("refused: "), "{}", text(&output.stderr));
    assert_eq!(open(&["--authority", "https://crm.example"]).status.code(), Some(2), "a mistake of usage");
}

/// RFC 7523 §3, RFC 9449 §11.1: each counts once, whoever is first.
#[test]
fn of_all_who_present_the_same_at_the_same_instant_one_succeeds() {
    let stage = Arc::new(Stage::new("race"));
    let rounds = std::env::var("COUNTERSIGN_RACE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let party = stage.party("orchestrator");
    let subject = party.id_token(serde_json::json!({}));
    let (mut assertions, mut proofs) = (Race::start(&stage, &subject), Race::start(&stage, &subject));
    for round in 0..rounds {
        let (assertion, proof) = (party.assertion(), party.proof("holder"));
        // The same login with a proof of everybody's own, then the same proof with a login of everybody's own.
        let same_login = (0..THREADS).map(|_| (assertion.clone(), Some(party.proof("holder")))).collect();
        assertions.run(same_login, ErrorCode::InvalidClient, round);
        let same_proof = (0..THREADS).map(|_| (party.assertion(), Some(proof.clone()))).collect();
        proofs.run(same_proof, ErrorCode::InvalidDpopProof, round);
    }
}

/// What cannot be remembered is refused, and what is remembered is never forgotten before its time: not when there is no room for
/// more, and not by a restart.
#[tokio::test]
async fn a_full_memory_refuses_and_forgets_nothing() {
    // One client leaves as much to others: it is full for all with room for one.
    let limits = |single_use| Limits { single_use, ..Limits::default() };
    let mut stage = Stage::new("full").restarted_with(limits(8)).await;
    let subject = stage.party("orchestrator").id_token(serde_json::json!({}));
    let fresh = |stage: &Stage| (stage.party("orchestrator").assertion(), stage.party("orchestrator").proof("holder"));
    let (one, other) = (fresh(&stage), fresh(&stage));
    assert_eq!(ask(&stage, &subject, &one).await, Ok(()));
    assert_eq!(ask(&stage, &subject, &other).await, Ok(()));
    stage = stage.restarted_with(limits(5)).await;
    for _ in 0..2 {
        assert_eq!(
            ask(&stage, &subject, &fresh(&stage)).await,
            Err(ErrorCode::TemporarilyUnavailable),
            "there is no room for more"
        );
        let login = stage.party("orchestrator").assertion();
        assert_eq!(ask(&stage, &subject, &(login, one.1.clone())).await, Err(ErrorCode::InvalidDpopProof));
        let proof = stage.party("orchestrator").proof("holder");
        assert_eq!(ask(&stage, &subject, &(other.0.clone(), proof)).await, Err(ErrorCode::InvalidClient));
        stage = stage.restarted_with(limits(5)).await;
    }
    // Once the clock is put forward all that is remembered can no longer be accepted; what is signed by that clock can.
    stage.clock.0.store(120, Ordering::SeqCst);
    let later = fresh(&stage);
    assert_eq!(ask(&stage, &subject, &later).await, Ok(()));
    assert_eq!(ask(&stage, &subject, &later).await, Err(ErrorCode::InvalidClient));
}

/// keycloak/keycloak#51205: who held the key of what came in, and who holds that of what went out, can be told ever after.
#[tokio::test]
async fn both_keys_of_a_hop_are_in_its_record() {
    let stage = Stage::new("both-keys");
    let subject = stage.party("orchestrator").id_token(serde_json::json!({}));
    let hop = async |agent: &str, subject: &str, api: &str, key: &str| {
        let (assertion, proof, api) = (stage.party(agent).assertion(), stage.party(agent).proof(key), stage.api(api));
        let mut parameters = Party::request(&assertion, subject, &[]);
        parameters.push(("resource", &api));
        let (form, credentials) = sent(&parameters);
        let credentials = credentials.with_dpop(Some(&proof));
        let issued = lines::token(stage.context(&credentials), &form).await;
        issued.unwrap_or_else(|refused| panic!("{}", refused.reason)).jwt().to_owned()
    };
    let first = hop("orchestrator", &subject, "crm", "holder").await;
    let second = hop("crm-agent", &first, "billing", "holder-next").await;
    let [holder, next] = [&first, &second].map(|token| crate::support::claims(token)["cnf"].clone());
    assert!(holder["jkt"].is_string() && next["jkt"].is_string() && holder != next);
    let hops: Vec<serde_json::Value> =
        Ledger::read(&stage.fixture.data).hops().map(|(_, record)| serde_json::from_slice(record).unwrap()).collect();
    assert_eq!(hops[0]["binding"], serde_json::json!({ "issued": holder }));
    assert_eq!(hops[1]["binding"], serde_json::json!({ "issued": next, "subject": holder }));
}

async fn ask(stage: &Stage, subject: &str, (assertion, proof): &(String, String)) -> Result<(), ErrorCode> {
    let api = stage.api("crm");
    let mut parameters = Party::request(assertion, subject, &[]);
    parameters.push(("resource", &api));
    let (form, credentials) = sent(&parameters);
    let credentials = credentials.with_dpop(Some(proof));
    let done = lines::token(stage.context(&credentials), &form).await;
    done.map(|_| ()).map_err(|refused| refused.code)
}

type Presented = (String, Option<String>);

/// Threads that wait for each other before each round.
struct Race {
    orders: Vec<std::sync::mpsc::Sender<Presented>>,
    outcomes: std::sync::mpsc::Receiver<Result<(), ErrorCode>>,
}

impl Race {
    fn start(stage: &Arc<Stage>, subject: &str) -> Self {
        let barrier = Arc::new(Barrier::new(THREADS));
        let (tell, outcomes) = std::sync::mpsc::channel();
        let runner = |_| {
            let (order, orders) = std::sync::mpsc::channel::<Presented>();
            let (stage, barrier, tell, subject) = (stage.clone(), barrier.clone(), tell.clone(), subject.to_owned());
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                for (assertion, proof) in orders {
                    let mut parameters = Party::request(&assertion, &subject, &[]);
                    let api = stage.api("crm");
                    parameters.push(("resource", &api));
                    let (form, credentials) = sent(&parameters);
                    let credentials = credentials.with_dpop(proof.as_deref());
                    barrier.wait();
                    let done = runtime.block_on(lines::token(stage.context(&credentials), &form));
                    tell.send(done.map(|_| ()).map_err(|refused| refused.code)).unwrap();
                }
            });
            order
        };
        Self { orders: (0..THREADS).map(runner).collect(), outcomes }
    }

    fn run(&mut self, presented: Vec<Presented>, refusal: ErrorCode, round: usize) {
        for (order, presented) in self.orders.iter().zip(presented) {
            order.send(presented).unwrap();
        }
        let outcomes: Vec<_> = self.outcomes.iter().take(THREADS).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "round {round}: {outcomes:?}");
        assert_eq!(
            outcomes.iter().filter(|outcome| **outcome == Err(refusal)).count(),
            THREADS - 1,
            "round {round}: {outcomes:?}"
        );
    }
}
