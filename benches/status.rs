//! How late the status lists are with 100,000 living descendants of one thing that is suspended, resumed and at last revoked:
//! `cargo bench --bench status`, or with as many as a number behind `--` says. Each time is from the commit's answer until the
//! signed lists, unpacked, say it of every token; meanwhile more tokens are issued under the same thing. Then the same of tokens
//! that end one by one, with the number of tokens that are looked at for it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, unreachable_pub, reason = "a benchmark fails by panicking")]

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::catalog::{Catalog, StatusBits};
use countersign::commit::{
    Commit, CommitKeys, Disclosed, Effect, Limits, RecordHop, Registration, Revocable, Revocation, ShownList, StatusChange,
    Transition,
};
use countersign::crypto::{Digest, MacKey, SealKey, random};
use countersign::jose::{Algorithm, Cache, KeySet, SigningKey, generate_key};
use countersign::mint::{Minting, SignerEntry, Signers, status_list};
use countersign::oauth::{
    ClientId, Clock, Generation, GenerationKey, GenerationKind, Issuer, Jti, ListId, Pseudonyms, Resource, ShareKey, StatusPlace,
    Time, Txn,
};
use countersign::store::{self, SystemClock};
use countersign::token::IssuerKeys;
use flate2::read::ZlibDecoder;
use zeroize::Zeroizing;

const TOKENS: usize = 100_000;
const TURNS: usize = 100;
/// Tokens that end one by one.
const SINGLE: usize = 50;
/// Generations that each token depends on: a chain of four hops by three agents, its subject, two rules and its transaction.
const GENERATIONS: usize = 12;
/// The thing that all of them depend on.
const ROOT: GenerationKey = GenerationKey([0xaa; 16]);

fn main() {
    let folder = std::env::temp_dir().join(format!("countersign-status-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(&folder));
    std::fs::remove_dir_all(&folder).unwrap();
}

async fn measure(folder: &std::path::Path) {
    let store = store::open(folder).unwrap();
    let keys = CommitKeys::of_secrets(&[1; 32], &[1; 32]).unwrap();
    let tokens = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(TOKENS);
    // With room for those that are issued meanwhile.
    let limits = Limits { status: tokens + TOKENS, ..Limits::default() };
    let commit = Commit::start(store, Arc::new(SystemClock), keys, limits).unwrap();
    let started = Instant::now();
    let places = registered(&commit, tokens).await;
    println!(
        "registered     {tokens} tokens in {:.1} s, {} lists",
        started.elapsed().as_secs_f64(),
        commit.status_lists().all().len()
    );
    println!("memory         {:.0} bytes per token and what it depends on", resident() / tokens as f64);

    let stop = Arc::new(AtomicBool::new(false));
    let issuing = tokio::spawn(issuing(commit.clone(), Arc::clone(&stop)));
    let key = Keys::new();
    one_by_one(&commit, &key, &places).await;
    let places = &places[SINGLE..];
    let mut late: Vec<f64> = Vec::new();
    for turn in 0..TURNS {
        let (turn, value) = if turn % 2 == 0 { (Transition::Suspend, 2) } else { (Transition::Resume, 0) };
        let by = ClientId::parse("bench").unwrap();
        commit.hold(StatusChange { turn, things: vec![root_ending()], by, reason: "bench".into() }, Vec::new()).await.unwrap();
        late.push(until_told(&commit, &key, places, value).await);
    }
    report("suspended, resumed", &mut late);
    let by = ClientId::parse("bench").unwrap();
    let death = Revocation { ends: vec![root_ending()], by, reason: "bench".into(), until: None };
    commit.end(death).await.unwrap();
    let revoked = until_told(&commit, &key, places, 1).await;
    println!("revoked        {revoked:.0} ms until every one of them is told as invalid");
    stop.store(true, Ordering::SeqCst);
    let (issued, refused) = issuing.await.unwrap();
    println!("meanwhile      {issued} tokens more were issued, {refused} refused");
    commit.close().await;
    let started = Instant::now();
    let store = store::open(folder).unwrap();
    let commit =
        Commit::start(store, Arc::new(SystemClock), CommitKeys::of_secrets(&[1; 32], &[1; 32]).unwrap(), Limits::default());
    match commit {
        Ok(commit) => println!("restart        {} tokens, {:.2} s", commit.status_lists().len(), started.elapsed().as_secs_f64()),
        // The records of this benchmark are no records; what is measured comes before they are looked at.
        Err(_) => println!("restart        {:.2} s to read {tokens} tokens", started.elapsed().as_secs_f64()),
    }
}

/// Ends tokens, one after the other.
async fn one_by_one(commit: &Commit, keys: &Keys, places: &[StatusPlace]) {
    let (mut late, before, looked) = (Vec::new(), Instant::now(), commit.status_lists().looked());
    for (serial, place) in places.iter().take(SINGLE).enumerate() {
        let ends = vec![Revocable { key: own(serial as u64, 1).key, ..root_ending() }];
        let by = ClientId::parse("bench").unwrap();
        commit.end(Revocation { ends, by, reason: "bench".into(), until: None }).await.unwrap();
        late.push(until_told(commit, keys, std::slice::from_ref(place), 1).await);
    }
    report("one by one", &mut late);
    let looked = commit.status_lists().looked() - looked;
    println!(
        "looked at      {looked} tokens in {:.1} s, those that were issued meanwhile among them",
        before.elapsed().as_secs_f64()
    );
}

fn root_ending() -> Revocable {
    Revocable { key: ROOT, kind: GenerationKind::Subject, name: None, txn: None }
}

/// Registers tokens with their hops, many at once. Returns the places.
async fn registered(commit: &Commit, count: usize) -> Vec<StatusPlace> {
    let mut places = Vec::with_capacity(count);
    while places.len() < count {
        let mut issuing = tokio::task::JoinSet::new();
        for _ in 0..500.min(count - places.len()) {
            let (issue, place) = issue(commit);
            places.push(place);
            let commit = commit.clone();
            issuing.spawn(async move { commit.submit(issue).await.map(drop) });
        }
        issuing.join_all().await.into_iter().for_each(|done| done.unwrap());
    }
    places
}

/// About 500 tokens a second, until it is told to stop.
async fn issuing(commit: Commit, stop: Arc<AtomicBool>) -> (u64, u64) {
    let (mut issued, mut refused) = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        match commit.submit(issue(&commit).0).await {
            Ok(_) => issued += 1,
            Err(_) => refused += 1,
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (issued, refused)
}

fn issue(commit: &Commit) -> (RecordHop, StatusPlace) {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let now = SystemClock.now();
    let api = Resource::parse("https://crm.example").unwrap();
    let expires = now.plus(Duration::from_secs(900));
    let place = commit.status_lists().reserve((&api, StatusBits::Two), expires, ShareKey::NOBODY).unwrap();
    let mut generations: Vec<Generation> = (1..GENERATIONS).map(|number| own(serial, number)).collect();
    generations.push(Generation { key: ROOT, number: 0 });
    let at = place.place();
    let (jti, txn) = (Jti::new(now, random().unwrap()), Txn::new(now, random().unwrap()));
    let issue = RecordHop {
        share: ShareKey::NOBODY,
        jti,
        txn,
        record: vec![b'x'; 1_000],
        generations: generations.clone(),
        single_use: Vec::new(),
        deadline: expires,
        disclosed: Disclosed { subject: ROOT, values: Zeroizing::new(Vec::new()) },
        status: Some(Box::new(Registration { place, expires, share: ShareKey::NOBODY, generations })),
        effect: Effect::Nothing,
        counted: None,
        opens: None,
    };
    (issue, at)
}

/// A thing that the token of that serial number depends on and no other does; pseudonyms look like random bytes.
fn own(serial: u64, number: usize) -> Generation {
    let digest = Digest::of_parts(&[&serial.to_be_bytes(), &number.to_be_bytes()]);
    Generation { key: GenerationKey(*digest.0.first_chunk().unwrap()), number: 0 }
}

/// The issuer and the keys that sign lists.
struct Keys {
    issuer: Issuer,
    signers: Signers,
    own: IssuerKeys,
    pseudonyms: Pseudonyms,
}

impl Keys {
    fn new() -> Self {
        let pem = generate_key(Algorithm::ES256).unwrap();
        let key = SigningKey::from_pem(&pem, Algorithm::ES256).unwrap();
        let signers = Signers::new(
            vec![SignerEntry { key, signs_from: Time::from_millis(0), retires: None, published: true }],
            &Pseudonyms::new(MacKey::new(&[1; 32]), Vec::new()),
        );
        let issuer = Issuer::parse("https://sts.example").unwrap();
        let set = Arc::new(KeySet::of_signing_keys([]));
        let own = IssuerKeys::new(issuer.clone(), set, SealKey::new(&[1; 32]).unwrap(), Arc::new(Cache::new(1)));
        Self { issuer, signers, own, pseudonyms: Pseudonyms::new(MacKey::new(&[1; 32]), Vec::new()) }
    }
}

/// Milliseconds until the lists, signed as who asks would get them, say `value` of every token.
async fn until_told(commit: &Commit, keys: &Keys, places: &[StatusPlace], value: u8) -> f64 {
    let started = Instant::now();
    let register = commit.status_lists();
    loop {
        let shown: HashMap<ListId, Arc<ShownList>> =
            register.all().into_iter().filter_map(|list| Some((list, register.shown(&list)?))).collect();
        if says(places, value, |list| &shown[list].bytes) {
            let signed: HashMap<ListId, String> =
                shown.iter().map(|(list, shown)| (*list, signed(commit, keys, shown))).collect();
            let elapsed = started.elapsed().as_secs_f64() * 1e3;
            let told: HashMap<ListId, Vec<u8>> = signed.iter().map(|(list, jwt)| (*list, unpacked(jwt))).collect();
            assert!(says(places, value, |list| &told[list]), "what is signed says the same");
            return elapsed;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "the lists never said it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn says<'a>(places: &[StatusPlace], value: u8, list: impl Fn(&ListId) -> &'a Vec<u8>) -> bool {
    places.iter().all(|place| list(&place.list)[place.index as usize / 4] >> (place.index % 4 * 2) & 3 == value)
}

fn signed(commit: &Commit, keys: &Keys, shown: &ShownList) -> String {
    let minting = Minting { issuer: &keys.issuer, signers: &keys.signers, own: &keys.own, pseudonyms: &keys.pseudonyms };
    status_list(shown, &minting, &Catalog::default(), commit.status_lists().checked(), SystemClock.now()).unwrap().jwt
}

fn unpacked(jwt: &str) -> Vec<u8> {
    let payload = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let packed = URL_SAFE_NO_PAD.decode(claims["status_list"]["lst"].as_str().unwrap()).unwrap();
    let mut bytes = Vec::new();
    ZlibDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn report(what: &str, late: &mut [f64]) {
    late.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| late[((late.len() - 1) as f64 * part).round() as usize];
    println!("{what}: {} turns, median {:.0} ms, p99 {:.0} ms, most {:.0} ms", late.len(), at(0.5), at(0.99), at(1.0));
}

/// Resident memory in bytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}
