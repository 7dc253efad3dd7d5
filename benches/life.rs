//! The cost of liveness for a token eight hops deep while 1,000,000 other things are remembered as ended, of their memory, and
//! of sealing and opening the ancestry of such a token: `cargo bench --bench life`. The best of several rounds counts: whatever
//! else the machine does only ever adds.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::commit::{Commit, CommitKeys, Limits, Revocable, Revocation};
use countersign::crypto::{Digest, MacKey, SealKey};
use countersign::ledger::record::StateCause;
use countersign::lifecycle::alive;
use countersign::oauth::{
    ActChain, Actor, ClientId, Clock, Generation, GenerationKey, GenerationKind, Jti, Pseudonyms, Resource, RuleName, Scopes,
    ScopesOnApi, Subject, Txn,
};
use countersign::store::{self, SystemClock};
use countersign::token::{Ancestry, AncestryKind, IssuedClaims};
use countersign::trust::SubjectKind;

const DEAD: u64 = 1_000_000;
const DEPTH: u32 = 8;
const ROUNDS: u32 = 15;
const TIMES: u32 = 20_000;

/// The server's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let folder = std::env::temp_dir().join(format!("countersign-life-{}", std::process::id()));
    sealing(&ancestry(1), "1");
    sealing(&ancestry(3), "3");
    let token = ancestry(DEPTH);
    println!("a token at depth {DEPTH} depends on {} generations", token.own.generations.len());
    sealing(&token, "8");
    liveness(&folder, &token.own.generations);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn sealing(token: &Ancestry, depth: &str) {
    let key = SealKey::new(&[7; 32]).unwrap();
    let sealed = token.seal(&key, AncestryKind::Access).unwrap();
    println!("anc            {:8} characters at depth {depth}", sealed.len());
    best("seal anc", || token.seal(&key, AncestryKind::Access).unwrap());
    best("open anc", || Ancestry::open(&key, AncestryKind::Access, token.own.jti, &sealed).unwrap());
}

fn liveness(folder: &Path, generations: &[Generation]) {
    let before = resident();
    let commit = start(folder, 0);
    let state = commit.state();
    best("alive, no dead", || alive(&*state, generations, SystemClock.now()).unwrap());
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(commit.close());
    fill(folder);
    let (started, commit) = (Instant::now(), start(folder, DEAD));
    println!("start          {:8.0} ms with {DEAD} dead", started.elapsed().as_secs_f64() * 1e3);
    let state = commit.state();
    println!("memory         {:8.1} bytes for each", (resident() - before) * 1e6 / DEAD as f64);
    best("alive", || alive(&*state, generations, SystemClock.now()).unwrap());
}

fn start(folder: &Path, dead: u64) -> Commit {
    let limits = Limits { generations: 2_000_000, ..Limits::default() };
    let store = store::open(folder).unwrap();
    let commit =
        Commit::start(store, Arc::new(SystemClock), CommitKeys::of_secrets(&[1; 32], &[1; 32]).unwrap(), limits).unwrap();
    assert_eq!(commit.state().len() as u64, dead);
    commit
}

/// As operators would: 250 things at a time, each for an hour.
fn fill(folder: &Path) {
    let commit = start(folder, 0);
    let until = Some(SystemClock.now().plus(Duration::from_hours(1)));
    let thing = |index: u64| {
        let name = Digest::of(&index.to_be_bytes());
        let txn = Some(Txn::new(SystemClock.now(), [3; 10]));
        Revocable { key: key(&name.0), kind: GenerationKind::Hop, name: None, txn }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for from in (0..DEAD).step_by(250) {
        let (ends, by) = ((from..from + 250).map(thing).collect(), ClientId::parse("ops").unwrap());
        runtime.block_on(commit.end(Revocation { ends, by, reason: "bench".to_owned(), until })).unwrap();
    }
    runtime.block_on(async {
        commit.checkpoint(StateCause::Stop).await.unwrap();
        commit.close().await;
    });
}

fn key(name: &[u8]) -> GenerationKey {
    Pseudonyms::new(MacKey::new(&[2; 32]), Vec::new()).pseudonym(GenerationKind::Hop, name)
}

/// As the third party's token of a chain of eight agents: each hop, each agent, the transaction, the subject and two rules.
fn ancestry(depth: u32) -> Ancestry {
    let agents: Vec<ClientId> = (0..depth).map(|at| ClientId::parse(&format!("agent-number-{at}")).unwrap()).collect();
    let chain = agents.iter().fold(ActChain::default(), |chain, agent| {
        chain.extended(Actor::agent("https://sts.example", agent.as_str(), "ai_agent", None))
    });
    let held = |api: u32| ScopesOnApi {
        api: Resource::parse(&format!("https://api-{api}.example")).unwrap(),
        scopes: Scopes::parse("contacts.read contacts.list").unwrap(),
    };
    let generations = (0..2 * depth + 4).map(|at| Generation { key: key(&at.to_be_bytes()), number: 0 }).collect();
    let (jti, txn) = (Jti::new(SystemClock.now(), [1; 10]), Txn::new(SystemClock.now(), [2; 10]));
    let rule = RuleName::parse("acme-idp").unwrap();
    let own = IssuedClaims {
        jti,
        txn,
        depth,
        client: agents.last().unwrap().clone(),
        agents,
        kind: Some(SubjectKind::User),
        trust: Some(rule.clone()),
        basis: None,
        held: vec![held(1)],
        history: (0..depth).map(held).collect(),
        touched: vec!["pii".to_owned()],
        purpose: String::new(),
        details: None,
        generations,
        task: None,
    };
    let attributes = vec![("department".to_owned(), "sales".to_owned())];
    Ancestry { subject: Subject::of_sealed(rule.clone(), "0oa1b2c3d4e5f6"), attributes, chain, own }
}

fn best<T>(what: &str, mut run: impl FnMut() -> T) {
    let round = |_| {
        let started = Instant::now();
        (0..TIMES).for_each(|_| drop(black_box(run())));
        started.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
    };
    let least = (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min);
    println!("{what:14} {least:8.3} us");
}

/// Megabytes that this process holds.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1e3
}
