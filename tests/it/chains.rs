//! Random chains through the whole line, in process: nothing ever widens, no history is lost.
//!
//! Each universe is a random configuration; in it, chains are grown under a clock that jumps. A model that shares no code
//! with the server says what each request should get, down to the scope, the second of expiry and the chain of actors. In the
//! end the records alone must tell every chain again.

mod model;
pub mod rng;
mod universe;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use countersign::client::Credentials;
use countersign::commit::{self, Commit, CommitReason};
use countersign::config::{self, ServerKeys, Sources};
use countersign::crypto::Digest;
use countersign::deployment::Deployment;
use countersign::error::ExchangeError;
use countersign::jose::{Algorithm, Cache, SigningKey, generate_key};
use countersign::ledger::Record;
use countersign::lines::{self, LineContext, RequestRates};
use countersign::mint::IssuedToken;
use countersign::oauth::{Clock, Time};
use countersign::request::Form;
use countersign::store::{self, KeyFiles, LedgerKeys};
use serde_json::{Value, json};

use crate::support::{Ledger, claims, form, number, scratch};
use model::{Actor, Link, Request, Subject};
use rng::Rng;
use universe::{IDP, ISSUER, Universe};

const CHAINS_PER_UNIVERSE: usize = 100;
const CHAINS_AT_ONCE: usize = 32;

/// A clock that stands still until it is pushed.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Time {
        Time::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// A universe that runs.
struct Stage {
    universe: Universe,
    world: Deployment,
    commit: Commit,
    clock: Arc<Hand>,
    idp: SigningKey,
    counts: Mutex<Counts>,
}

/// How often what happened: refusals by the model's reason, tokens under `ISSUED`.
type Counts = BTreeMap<&'static str, usize>;

const ISSUED: &str = "issued";

/// Every reason that the model knows; each has to occur, or the test would show less than it seems to.
const REASONS: [&str; 9] = [
    "expired",
    "presenter",
    "may_act",
    "impersonation of a delegated token",
    "inactive",
    "deep",
    "target",
    "nothing on a target",
    "scope",
];

impl Stage {
    fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }
}

/// One issued token and where it came from.
struct Grown {
    token: String,
    jti: String,
    txn: String,
    sub: String,
    parent: Option<usize>,
    link: Link,
}

#[test]
fn nothing_widens_and_no_history_is_lost() {
    let chains = number("COUNTERSIGN_CHAINS", 5_000);
    let seed = u64::try_from(number("COUNTERSIGN_SEED", 20_260_701)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (mut counts, mut deepest) = (Counts::new(), 0);
    for number in 0..chains.div_ceil(CHAINS_PER_UNIVERSE) {
        let (more, depth) = runtime.block_on(one_universe(seed.wrapping_add(u64::try_from(number).unwrap() << 20)));
        more.into_iter().for_each(|(what, count)| *counts.entry(what).or_default() += count);
        deepest = deepest.max(depth);
    }
    println!("{chains} chains, the deepest has {deepest} hops: {counts:?}");
    assert!(counts[ISSUED] > chains, "this few tokens show little");
    assert!(deepest >= 5, "no chain became deeper than {deepest}");
    let never: Vec<_> = REASONS.iter().filter(|reason| !counts.contains_key(**reason)).collect();
    assert!(chains < 1000 || never.is_empty(), "nothing was ever refused for {never:?}");
}

/// Grows chains in one universe and checks its records. Returns what happened how often, and the depth reached.
async fn one_universe(seed: u64) -> (Counts, usize) {
    let folder = scratch(&format!("chains-{seed}"));
    let stage = Arc::new(build(&folder, seed));
    let mut growing = tokio::task::JoinSet::new();
    let mut trees = Vec::new();
    for number in 0..CHAINS_PER_UNIVERSE {
        if growing.len() == CHAINS_AT_ONCE {
            trees.push(growing.join_next().await.unwrap().unwrap());
        }
        let (stage, seed) = (Arc::clone(&stage), seed.wrapping_add(1 + u64::try_from(number).unwrap()));
        growing.spawn(async move { grow(&stage, seed).await });
    }
    trees.extend(growing.join_all().await);
    stage.commit.close().await;
    recorded(&folder.join("data"), &trees);
    let deepest = trees.iter().flatten().map(|grown| grown.link.depth).max().unwrap_or_default();
    std::fs::remove_dir_all(&folder).unwrap();
    let counts = stage.counts.lock().unwrap().clone();
    (counts, deepest)
}

fn build(folder: &Path, seed: u64) -> Stage {
    let universe = Universe::new(&mut Rng::new(seed));
    let idp = SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap();
    universe.write(&folder.join("conf"), &format!("{{\"keys\":[{}]}}", idp.public_jwk()));
    let clock = Arc::new(Hand(AtomicI64::new(1_900_000_000)));
    let sources = Sources {
        default_file: folder.join("none.toml"),
        files: vec![folder.join("conf/countersign.toml")],
        environment: BTreeMap::new(),
        data: None,
    };
    let config = sources.load().config.unwrap_or_else(|complaints| panic!("seed {seed}: {complaints}"));
    let keys = KeyFiles::open_or_create(&folder.join("keys"), &[Algorithm::ES256], clock.now()).unwrap();
    let material = ServerKeys {
        signers: keys.signers().unwrap(),
        ancestry: keys.ancestry().unwrap(),
        pseudonyms: keys.pseudonyms().unwrap(),
        verified: Arc::new(Cache::new(4096)),
        sequences: Arc::default(),
    };
    let store = store::open(&folder.join("data")).unwrap();
    let commit_keys = keys.commit(&LedgerKeys::open(&folder.join("keys")).unwrap()).unwrap();
    let commit = Commit::start(store, Arc::clone(&clock) as Arc<dyn Clock>, commit_keys, commit::Limits::default()).unwrap();
    let world = config::deployment(config, material, None).unwrap_or_else(|complaints| panic!("seed {seed}: {complaints}"));
    Stage { universe, world, commit, clock, idp, counts: Mutex::default() }
}

/// One tree of tokens: a first hop, and some that grow on it.
async fn grow(stage: &Stage, seed: u64) -> Vec<Grown> {
    let mut rng = Rng::new(seed ^ 0x5bd1_e995);
    let mut grown: Vec<Grown> = Vec::new();
    for _ in 0..4 + rng.below(10) {
        if rng.chance(6) {
            stage.clock.0.fetch_add(i64::try_from(rng.below(8)).unwrap(), Ordering::SeqCst);
        }
        // Mostly the newest, so that chains become deep.
        let parent = match grown.len() {
            0 => None,
            length if rng.chance(85) => Some(length - 1),
            length => Some(rng.below(length)),
        };
        let next = match parent {
            None => first(stage, &mut rng).await,
            Some(at) => later(stage, &mut rng, &grown[at]).await.map(|next| Grown { parent: Some(at), ..next }),
        };
        grown.extend(next);
    }
    grown
}

async fn first(stage: &Stage, rng: &mut Rng) -> Option<Grown> {
    let now = stage.clock.now().seconds();
    let agents = &stage.universe.agents;
    let (holder, asker) = (rng.below(agents.len()), rng.below(agents.len()));
    let client = &agents[if rng.chance(90) { holder } else { asker }];
    let (azp, exp) = (agents[holder].foreign(), now + i64::try_from(rng.below(900)).unwrap());
    let chain: Vec<Actor> =
        (0..if rng.chance(20) { rng.below(4) } else { 0 }).map(|hop| (IDP.to_owned(), format!("helper-{hop}"))).collect();
    let may_act = rng.chance(20).then(|| any_actor(rng, &client.id, &client.foreign()));
    let sub = format!("user-{}", rng.below(50));
    let id_token = id_token(stage, (&sub, &azp), (now, exp), &chain, may_act.as_ref());
    let targets = targets(stage, rng, None);
    let request = Request {
        agent: &client.id,
        subject: Subject::Foreign { azp, exp, chain, may_act },
        scopes: scopes(stage, rng, &targets, None),
        targets,
        narrow: rng.chance(30),
        impersonate: rng.chance(10),
    };
    let (link, token) = ask(stage, &request, &id_token).await?;
    let said = claims(&token);
    assert_eq!(said["sub"], format!("idp:{sub}"), "the subject is another one");
    Some(named(token, &said, link))
}

async fn later(stage: &Stage, rng: &mut Rng, parent: &Grown) -> Option<Grown> {
    let universe = &stage.universe;
    let api_agents = parent.link.held.keys().filter_map(|api| universe.api(api).agent.clone());
    let mut likely: Vec<String> = api_agents.collect();
    likely.push(parent.link.client.clone());
    let agent = if rng.chance(85) { rng.pick(&likely).clone() } else { rng.pick(&universe.agents).id.clone() };
    let targets = targets(stage, rng, Some(&parent.link));
    let request = Request {
        agent: &agent,
        subject: Subject::Own(&parent.link),
        scopes: scopes(stage, rng, &targets, Some(&parent.link)),
        targets,
        narrow: rng.chance(40),
        impersonate: rng.chance(8),
    };
    let (link, token) = ask(stage, &request, &parent.token).await?;
    let said = claims(&token);
    assert_eq!((&said["sub"], &said["txn"]), (&json!(parent.sub), &json!(parent.txn)), "subject or transaction changed");
    assert!(link.exp <= parent.link.exp && link.depth == parent.link.depth + 1);
    assert!(link.chain.ends_with(&parent.link.chain), "history was rewritten");
    Some(named(token, &said, link))
}

fn named(token: String, said: &Value, link: Link) -> Grown {
    let text = |claim: &str| said[claim].as_str().unwrap().to_owned();
    Grown { token, jti: text("jti"), txn: text("txn"), sub: text("sub"), parent: None, link }
}

/// Asks the line and compares with the model; the token, where one was issued.
async fn ask(stage: &Stage, request: &Request<'_>, subject_token: &str) -> Option<(Link, String)> {
    let now = stage.clock.now();
    let expected = model::expect(&stage.universe, request, now.seconds());
    let body = body(stage, request, subject_token);
    let form = Form::decode(body.as_bytes(), 64).unwrap();
    let credentials = Credentials::new(&form, None);
    let (deployment, commit, rates) = (&stage.world, &stage.commit, &RequestRates::default());
    let context = LineContext { deployment, commit, credentials: &credentials, rates, now };
    let answer = lines::token(context, &form).await;
    match (answer, expected) {
        (Ok(token), Ok(link)) => {
            stage.count(ISSUED);
            agrees(stage, &token, &link, now.seconds());
            Some((link, token.jwt().to_owned()))
        }
        (Err(refused), Ok(_)) if matches!(refused.reason, ExchangeError::Commit(CommitReason::Expired)) => None,
        (Err(_), Err(why)) => {
            stage.count(why);
            None
        }
        (Ok(token), Err(why)) => panic!("issued against the model ({why}): {body}\n{}", claims(token.jwt())),
        (Err(refused), Ok(link)) => panic!("refused against the model: {}\n{body}\n{link:?}", refused.reason),
    }
}

/// The token says exactly what the model says.
fn agrees(stage: &Stage, token: &IssuedToken, link: &Link, now: i64) {
    let said = claims(token.jwt());
    let told = |what: &str| format!("{what}: {said}\n{link:?}");
    let list = |value: &Value| match value {
        Value::String(one) => BTreeSet::from([one.clone()]),
        other => other.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect(),
    };
    assert_eq!(list(&said["aud"]), link.held.keys().cloned().collect(), "{}", told("aud"));
    let scopes: BTreeSet<String> = said["scope"].as_str().unwrap().split(' ').map(str::to_owned).collect();
    assert_eq!(scopes, link.held.values().flatten().cloned().collect(), "{}", told("scope"));
    assert_eq!((&said["exp"], &said["iat"]), (&json!(link.exp), &json!(now)), "{}", told("times"));
    assert_eq!((&said["client_id"], &said["iss"]), (&json!(link.client), &json!(ISSUER)), "{}", told("client"));
    assert!(said.get("may_act").is_none(), "{}", told("may_act is never copied"));
    let current_only = link.held.keys().any(|api| stage.universe.api(api).current_only);
    let shown = if current_only { &link.chain[..link.chain.len().min(1)] } else { &link.chain[..] };
    assert_eq!(actors(&said["act"]), shown, "{}", told("act"));
    assert_eq!(token.expires_in(), link.exp - now);
}

fn actors(act: &Value) -> Vec<Actor> {
    let mut actors = Vec::new();
    let mut next = act;
    while next.is_object() {
        actors.push((next["iss"].as_str().unwrap().to_owned(), next["sub"].as_str().unwrap().to_owned()));
        next = &next["act"];
    }
    actors
}

/// The records alone tell every tree again: who asked, on what, for what, until when, under which parent.
fn recorded(data: &Path, trees: &[Vec<Grown>]) {
    let ledger = Ledger::read(data);
    let hops = ledger.verified();
    assert_eq!(hops.tokens.len(), trees.iter().map(Vec::len).sum::<usize>(), "hops are missing or too many");
    let by_jti: BTreeMap<String, &[u8]> = ledger.hops().map(|(jti, record)| (jti.to_string(), record)).collect();
    for tree in trees {
        for grown in tree {
            let Ok(Record::Hop(hop)) = Record::parse(by_jti[&grown.jti]) else { panic!("{} is no hop", grown.jti) };
            let parent = grown.parent.map(|at| tree[at].jti.clone());
            assert_eq!(hop.parent.map(|parent| parent.to_string()), parent);
            assert_eq!((hop.txn.to_string(), hop.token), (grown.txn.clone(), Digest::of(grown.token.as_bytes())));
            assert_eq!(hop.expires, Time::from_seconds(grown.link.exp));
            assert_eq!(
                (usize::try_from(hop.depth).unwrap(), hop.client.as_str()),
                (grown.link.depth, grown.link.client.as_str())
            );
            let audience: BTreeSet<&str> = hop.audience.iter().map(|api| api.as_str()).collect();
            assert_eq!(audience, grown.link.held.keys().map(String::as_str).collect());
            let scopes: BTreeSet<String> = hop.scope.iter().map(ToString::to_string).collect();
            assert_eq!(scopes, grown.link.held.values().flatten().cloned().collect());
            chain_recorded(&hop.chain, &grown.link.chain);
        }
    }
}

/// Our actors by name, foreign ones by the digest of their disclosure, none left out.
fn chain_recorded(recorded: &[countersign::ledger::record::ActorRecord<'_>], chain: &[Actor]) {
    assert_eq!(recorded.len(), chain.len());
    for (actor, (iss, sub)) in recorded.iter().zip(chain) {
        match iss == ISSUER {
            true => assert_eq!(actor.shown(), Some((ISSUER, sub.as_str()))),
            false => assert!(actor.hidden().is_some() && actor.shown().is_none()),
        }
    }
}

fn body(stage: &Stage, request: &Request<'_>, subject_token: &str) -> String {
    let kind = match &request.subject {
        Subject::Foreign { .. } => "urn:ietf:params:oauth:token-type:id_token",
        Subject::Own(_) => "urn:ietf:params:oauth:token-type:access_token",
    };
    let secret = stage.universe.agent(request.agent).secret();
    let scope = request.scopes.as_ref().map(|scopes| scopes.iter().cloned().collect::<Vec<_>>().join(" "));
    let mut parameters = vec![
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("client_id", request.agent),
        ("client_secret", &secret),
        ("subject_token", subject_token),
        ("subject_token_type", kind),
    ];
    parameters.extend(request.targets.iter().map(|target| ("resource", target.as_str())));
    parameters.extend(scope.iter().map(|scope| ("scope", scope.as_str())));
    parameters.extend(request.narrow.then_some(("scope_mode", "narrow")));
    parameters.extend(request.impersonate.then_some(("impersonate", "true")));
    form(&parameters)
}

/// Some APIs; none at all where the subject token's own may do.
fn targets(stage: &Stage, rng: &mut Rng, parent: Option<&Link>) -> Vec<String> {
    let ids: Vec<String> = stage.universe.apis.iter().map(|api| api.id.clone()).collect();
    match rng.below(10) {
        0 => vec![ids[2].clone(), ids[3].clone()],
        1 => rng.some(&ids, 40),
        2..=5 if parent.is_some() => Vec::new(),
        _ => vec![rng.pick(&ids).clone()],
    }
}

/// Some scopes of the targets; now and then one that is nobody's.
fn scopes(stage: &Stage, rng: &mut Rng, targets: &[String], parent: Option<&Link>) -> Option<BTreeSet<String>> {
    if rng.chance(35) {
        return None;
    }
    let held = parent.map(|link| link.held.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let targets = if targets.is_empty() { &held } else { targets };
    let known: Vec<String> = targets.iter().flat_map(|id| stage.universe.api(id).scopes.iter().cloned()).collect();
    let mut scopes: BTreeSet<String> = rng.some(&known, 45).into_iter().collect();
    if rng.chance(4) {
        scopes.insert("nobody.knows".to_owned());
    }
    (!scopes.is_empty()).then_some(scopes)
}

/// Whom a `may_act` may name: the agent under any of its names, or somebody else.
fn any_actor(rng: &mut Rng, id: &str, foreign: &str) -> Actor {
    let iss = rng.pick(&["", IDP, ISSUER, "https://other.example"]).to_owned();
    (iss.to_owned(), rng.pick(&[id, foreign, foreign, "agent-0", "somebody"]).to_string())
}

fn id_token(stage: &Stage, (sub, azp): (&str, &str), (now, exp): (i64, i64), chain: &[Actor], may_act: Option<&Actor>) -> String {
    let mut all = json!({ "iss": IDP, "sub": sub, "aud": ISSUER, "azp": azp, "iat": now, "exp": exp });
    let members = all.as_object_mut().unwrap();
    let nested = chain.iter().rev().fold(None, |inner: Option<Value>, (_, sub)| {
        let mut actor = json!({ "sub": sub });
        inner.map(|inner| actor.as_object_mut().unwrap().insert("act".to_owned(), inner));
        Some(actor)
    });
    nested.map(|act| members.insert("act".to_owned(), act));
    may_act.map(|(iss, sub)| {
        let named = if iss.is_empty() { json!({ "sub": sub }) } else { json!({ "iss": iss, "sub": sub }) };
        members.insert("may_act".to_owned(), named)
    });
    stage.idp.sign("JWT", all.to_string().as_bytes()).unwrap()
}
