//! A store and a log of many records in a folder: catching up, proofs, starts, verification.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::commit::contract::{Batch, Row, Select};
use countersign::commit::{Commit, CommitKeys, Limits, LogKeys, LogParts, Sequencer, recorded_state};
use countersign::crypto::{KeyedSum, MacKey, SignKey};
use countersign::ledger::record::StateCause;
use countersign::ledger::{KeyName, NoteSigner, Record, TileNodes, TlogProof};
use countersign::oauth::{Jti, Time, Txn};
use countersign::store::{self, SystemClock, TileFolder};

const BATCH: u64 = 10_000;

/// A folder below the build's that goes when all is measured.
pub struct Folder(pub PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

pub fn measure(size: u64) {
    let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ledger-bench-{}", std::process::id())));
    let (data, keys) = (folder.0.join("data"), folder.0.join("keys"));
    fs::create_dir_all(&keys).unwrap();
    let started = Instant::now();
    fill(&data, size, record);
    println!("fill           {:8.1} s for {size} records of {} bytes", started.elapsed().as_secs_f64(), record(0).2.len());
    fold(&data, size);
    // The digest of the state is one more.
    let size = size + 1;
    grow(&data, &keys, size);
    proofs(&data, &keys, size);
    starts(&data, &keys, size);
    verify(&data, size);
}

/// A record as a third hop has it; index and identifiers vary.
pub fn record(index: u64) -> (Jti, Txn, Vec<u8>) {
    let time = Time::from_millis(1_750_000_000_000 + i64::try_from(index).unwrap());
    let mut random = [0; 10];
    random.iter_mut().zip(index.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).for_each(|(to, from)| *to = from);
    let (jti, txn) = (Jti::new(time, random), Txn::new(time, random));
    let digest = |salt: &str| countersign::crypto::Digest::of(format!("{salt}{index}").as_bytes()).to_string();
    let (a, b, c, d) = (digest("a"), digest("b"), digest("c"), digest("d"));
    let actor = |name: &str| format!(r#"{{"iss":"https://sts.example","sub":"{name}","sub_profile":"ai_agent"}}"#);
    let chain = ["crm-gateway", "researcher", "orchestrator"].map(actor).join(",");
    let text = format!(
        r#"{{"_sd":["{a}"],"actor":"crm-gateway","at":{at},"audience":["https://billing.example"],"basis":"on_behalf_of",
        "chain":[{chain}],"client":"crm-gateway","depth":3,"evidence":{{"client_assertion":"{b}","subject_token":"{c}"}},
        "expires":{at},"inputs":{{"requested":"invoices.read","rule":"acme-idp","touched":["pii"]}},"jti":"{jti}",
        "kid":"{d}","kind":"hop","login":"private_key_jwt","policies":["billing-for-gateways"],"policy_set":"{a}",
        "scope":"invoices.read","token":"{b}","txn":"{txn}","v":1}}"#,
        at = time.millis(),
    );
    let text: String = text.lines().map(str::trim).collect();
    (jti, txn, text.into_bytes())
}

pub fn fill(data: &Path, size: u64, record: impl Fn(u64) -> (Jti, Txn, Vec<u8>)) {
    Record::parse(&record(7).2).unwrap();
    let mut store = store::open(data).unwrap();
    store.open().unwrap();
    for start in (0..size).step_by(usize::try_from(BATCH).unwrap()) {
        let row = |index| {
            let (jti, txn, record) = record(index);
            Row { index, jti: Some(jti), txn: Some(txn), record, sealed: None }
        };
        let rows = (start..(start + BATCH).min(size)).map(row).collect();
        let at = Time::from_millis(1_750_000_000_000 + i64::try_from(start).unwrap());
        let sum = KeyedSum::default().masked(&MacKey::new(&MacKey::new(&[1; 32]).derive("sum"))).unwrap().to_vec();
        let batch = Batch { rows, sum, ..Batch::at(at) };
        store.begin(&mut std::iter::empty()).unwrap();
        store.write(&batch).unwrap();
    }
}

/// All records are folded, as a rebuild does it; then the state is stored, so that a start begins from there.
fn fold(data: &Path, size: u64) {
    let reader = store::reader(data).unwrap();
    let (started, before) = (Instant::now(), times("/proc/self/stat".as_ref(), 11, 2));
    recorded_state(&*reader).unwrap();
    let (cpu, wall) = (times("/proc/self/stat".as_ref(), 11, 2) - before, started.elapsed().as_secs_f64());
    println!("fold           {:8.0} records per second of CPU, {:.0} by the clock", size as f64 / cpu, size as f64 / wall);
    let keys = CommitKeys::of_secrets(&[1; 32], &[1; 32]).unwrap();
    let commit = Commit::start(store::open(data).unwrap(), Arc::new(SystemClock), keys, Limits::default()).unwrap();
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        commit.checkpoint(StateCause::Start).await.unwrap();
        commit.close().await;
    });
}

/// Writer and sequencer as a server that starts has them.
fn start(data: &Path, folder: &Path) -> (Commit, Sequencer) {
    let store = store::open(data).unwrap();
    let keys = CommitKeys::of_secrets(&[1; 32], &[1; 32]).unwrap();
    let commit = Commit::start(store, Arc::new(SystemClock), keys, Limits::default()).unwrap();
    let signer = NoteSigner::new(KeyName::parse("log.example/ledger").unwrap(), SignKey::from_seed(&[1; 32]).unwrap());
    let known = vec![signer.verifier().unwrap()];
    fs::create_dir_all(data.join("ledger")).unwrap();
    fs::write(data.join("ledger/vkey"), format!("{}\n", known.first().unwrap())).unwrap();
    let parts = LogParts {
        records: store::reader(data).unwrap(),
        durable: commit.durable(),
        files: Arc::new(TileFolder::new(data, folder).unwrap()),
        trimmer: store::trimmer(data),
        keys: LogKeys { origin: signer.name().clone(), signers: vec![signer], known, earlier: Vec::new() },
        interval: Duration::from_millis(500),
    };
    let sequencer = Sequencer::start(parts, None);
    (commit, sequencer.unwrap())
}

pub fn grow(data: &Path, keys: &Path, size: u64) {
    let started = Instant::now();
    let (commit, sequencer) = start(data, keys);
    while sequencer.published().is_none_or(|published| published.head.size() < size) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_of("sequencer") as f64 / 1e3 / size as f64);
    let system = system_of("sequencer") * 1e6 / size as f64;
    println!(
        "tree           {:8.3} us CPU per record, {wall:.1} s in all: {:.3} hashing and reading, {system:.3} the kernel's",
        cpu,
        cpu - system
    );
    stop(&commit, &sequencer);
}

fn stop(commit: &Commit, sequencer: &Sequencer) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(commit.close());
    sequencer.close();
}

fn proofs(data: &Path, keys: &Path, size: u64) {
    let (commit, sequencer) = start(data, keys);
    let (records, files) = (store::reader(data).unwrap(), TileFolder::new(data, keys).unwrap());
    let published = sequencer.published().unwrap();
    let mut taken: Vec<f64> = (0..1_000)
        .map(|turn| {
            let jti = record((turn * 617_283) % (size - 1)).0;
            let started = Instant::now();
            let stored = records.records(Select::Jti(jti), 0, 1).unwrap().remove(0);
            let mut nodes = TileNodes::new(&files, published.head.size());
            let proof = TlogProof::build(&mut nodes, stored.index, &published.head, &published.note).unwrap();
            assert_eq!(proof.index(), stored.index);
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    taken.sort_by(f64::total_cmp);
    let at = |share: usize| taken.get(taken.len() * share / 100).copied().unwrap_or_default();
    println!("proof by jti   {:8.1} us median, {:.1} us at the 99th percentile", at(50), at(99));
    stop(&commit, &sequencer);
}

fn starts(data: &Path, keys: &Path, size: u64) {
    let mut taken = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        let (commit, sequencer) = start(data, keys);
        assert!(sequencer.published().unwrap().head.size() >= size);
        taken.push(started.elapsed().as_secs_f64() * 1e3);
        stop(&commit, &sequencer);
    }
    taken.sort_by(f64::total_cmp);
    println!("start          {:8.0} ms median: store recovered, log verified", taken.get(2).unwrap());
}

fn verify(data: &Path, size: u64) {
    for (what, place) in [("compared with the store", data.to_owned()), ("files alone", data.join("ledger"))] {
        let (started, before) = (Instant::now(), cpu_of_children());
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        assert!(command.args(["ledger", "verify"]).arg(place).stdout(Stdio::null()).status().unwrap().success());
        let (cpu, wall) = (cpu_of_children() - before, started.elapsed().as_secs_f64());
        println!(
            "ledger verify  {:8.0} records per second of CPU, {:.0} by the clock, {what}",
            size as f64 / cpu,
            size as f64 / wall
        );
    }
}

/// Seconds on a processor of all processes that were waited for; a tick is 10 ms.
fn cpu_of_children() -> f64 {
    times("/proc/self/stat".as_ref(), 13, 2)
}

/// Seconds on a processor in the kernel of the thread of that name.
fn system_of(thread: &str) -> f64 {
    named(thread).iter().map(|task| times(&task.join("stat"), 12, 1)).sum()
}

/// Fields of a `stat`, counted from behind the name, in seconds; a tick is 10 ms.
fn times(stat: &Path, first: usize, count: usize) -> f64 {
    let stat = fs::read_to_string(stat).unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    fields.skip(first).take(count).map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

/// Nanoseconds on a processor of the thread of that name.
fn cpu_of(thread: &str) -> u64 {
    let used = |task: &PathBuf| fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok();
    named(thread).iter().filter_map(used).sum()
}

fn named(thread: &str) -> Vec<PathBuf> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    tasks.filter(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == thread)).collect()
}
