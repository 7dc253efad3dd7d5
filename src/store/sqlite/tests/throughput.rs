//! What a record costs. Not run by default:
//! `cargo test --release --lib throughput -- --ignored --nocapture`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::*;
use crate::ledger::{Basis, Evidence, Hop, Inputs};
use crate::oauth::{ActChain, Actor, Issuer, Resource, RuleName, Scopes, Subject};

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Time {
        time(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
    }
}

#[test]
#[ignore = "a measure, not a test"]
fn throughput() {
    let issuer = Issuer::parse("https://sts.example").unwrap();
    let hop = hop();
    let began = own_cpu();
    let (mut bytes, mut disclosed) = (0, 0);
    for _ in 0..100_000 {
        let (record, disclosures) = hop.record(&issuer).unwrap();
        (bytes, disclosed) = (record.len(), disclosures.into_json().len());
    }
    println!("hop record: {bytes} bytes, {disclosed} bytes disclosed, {:.2} us of CPU", (own_cpu() - began) as f64 / 1e8);
    let (record, _) = hop.record(&issuer).unwrap();
    let began = own_cpu();
    (0..100_000).for_each(|_| drop(Record::parse(&record).unwrap()));
    println!("parsed: {:.2} us of CPU", (own_cpu() - began) as f64 / 1e8);
    for (in_flight, seconds) in [(1, 3), (8, 3), (32, 6), (128, 4)] {
        measure(in_flight, Duration::from_secs(seconds));
    }
}

fn measure(in_flight: usize, span: Duration) {
    let scratch = Scratch::new();
    let store = Box::new(SqliteStore::new(&scratch.0).unwrap());
    let root = Arc::new(SealKey::new(&[1; 32]).unwrap());
    let commit = Commit::start(store, Arc::new(Wall), root, Limits::default()).unwrap();
    let before = (cpu("commit"), cpu("checkpoint"), Instant::now());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut latencies: Vec<f64> = runtime.block_on(async {
        let work = |_| tokio::spawn(client(commit.clone(), span));
        let tasks: Vec<_> = (0..in_flight).map(work).collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.unwrap());
        }
        latencies
    });
    let (elapsed, records) = (before.2.elapsed().as_secs_f64(), latencies.len() as f64);
    let per_record = |name, before: u64| (cpu(name) - before) as f64 / 1000.0 / records;
    let (writer, checkpoint) = (per_record("commit", before.0), per_record("checkpoint", before.1));
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[(share * (records - 1.0)) as usize];
    println!(
        "{in_flight} in flight: {:.0} records/s; CPU per record {writer:.1} us writer + {checkpoint:.1} us checkpoints; \
         p50 {:.0} p99 {:.0} us",
        records / elapsed,
        at(0.5),
        at(0.99)
    );
    block_on(commit.close());
}

/// One caller: asks, waits, asks again. What it costs to make the command is not in the writer's figures.
async fn client(commit: Commit, span: Duration) -> Vec<f64> {
    let (issuer, until, mut latencies) = (Issuer::parse("https://sts.example").unwrap(), Instant::now() + span, Vec::new());
    let mut hop = hop();
    while Instant::now() < until {
        (hop.jti, hop.txn) = (Jti::new(Wall.now(), random().unwrap()), Txn::new(Wall.now(), random().unwrap()));
        let (record, disclosures) = hop.record(&issuer).unwrap();
        let expires = Wall.now().plus(Duration::from_secs(60));
        let subject: [u8; 1] = random().unwrap();
        let generation = |id| crate::oauth::Generation { key: GenerationKey([id; 16]), number: 0 };
        let issue = Issue {
            jti: hop.jti,
            txn: hop.txn,
            record,
            generations: (0..8).map(generation).collect(),
            single_use: vec![SingleUse { digest: random().unwrap(), expires }],
            deadline: expires,
            disclosed: Disclosed { subject: GenerationKey([subject[0]; 16]), values: disclosures.into_json() },
        };
        let asked = Instant::now();
        commit.submit(issue).await.unwrap();
        latencies.push(micros(asked));
    }
    latencies
}

fn hop() -> Hop {
    let (client, rule) = (ClientId::parse("orchestrator").unwrap(), RuleName::parse("acme-idp").unwrap());
    let actor = Actor::agent("https://sts.example", "orchestrator", "ai_agent", Some("pod-7f9c"));
    Hop {
        jti: Jti::from_bytes([1; 16]),
        txn: Txn::from_bytes([2; 16]),
        parent: None,
        depth: 1,
        at: Wall.now(),
        expires: Wall.now().plus(Duration::from_secs(300)),
        basis: Basis::Delegation,
        actor: client.clone(),
        client,
        login: "private_key_jwt",
        instance: Some("pod-7f9c".into()),
        subject: Subject::foreign(&rule, "00u1a2b3c4d5"),
        chain: ActChain::default().extended(actor),
        audience: vec![Resource::parse("https://crm.example").unwrap()],
        scopes: Scopes::parse("contacts.read contacts.list").unwrap(),
        evidence: Evidence { subject_token: Some(Digest([1; 32])), actor_token: None, client_assertion: Some(Digest([2; 32])) },
        token: Digest([3; 32]),
        kid: Digest([4; 32]).to_string(),
        policy_set: Digest([5; 32]),
        policies: vec!["research.cedar/0".into()],
        inputs: Inputs {
            rule: Some("acme-idp".into()),
            attributes: vec![("department".into(), "research".into())],
            acr: Some("urn:mace:incommon:iap:silver".into()),
            amr: vec!["pwd".into(), "otp".into()],
            auth_time: Some(Wall.now()),
            touched: vec!["pii".into()],
            requested: Some(Scopes::parse("contacts.read").unwrap()),
        },
    }
}

fn micros(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

/// Nanoseconds of CPU that the threads of this name have used (Linux).
fn cpu(name: &str) -> u64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let named = tasks.filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name));
    named.filter_map(|task| used(&task)).sum()
}

fn own_cpu() -> u64 {
    used(std::path::Path::new("/proc/thread-self")).unwrap()
}

fn used(task: &std::path::Path) -> Option<u64> {
    fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
}
