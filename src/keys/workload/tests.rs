#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize};

use tokio::net::{TcpListener, UnixStream};

use super::*;
use crate::jose::{Algorithm, Compact, JoseReason, SigningKey, generate_key};
use crate::keys::{KeyLocation, KeySource, KeyState, RefreshPolicy};
use crate::net::Fetcher;
use crate::oauth::Time;
use crate::patience::{Began, PATIENCE, pass_async, until_async};
use crate::trust::{IssuerSelector, TrustKind, TrustReason, TrustRule, TrustRuleParts, TrustStore};
use crate::x509::{Authority, NOW, X509Reason, root, svid};
use agent::{Agent, Reply};

mod agent;

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Time {
        Time::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(Hands(AtomicI64::new(NOW.seconds())))
}

fn policy() -> RefreshPolicy {
    RefreshPolicy {
        interval: 4 * PATIENCE,
        cool_down: Duration::from_millis(150),
        retry: Duration::from_millis(50),
        max_stale: Duration::from_secs(1000),
        wait_max: PATIENCE,
    }
}

fn rule(domain: &str, socket: &Path, policy: RefreshPolicy) -> TrustRule {
    rule_at(&format!("unix://{}", socket.display()), domain, policy)
}

fn rule_at(address: &str, domain: &str, policy: RefreshPolicy) -> TrustRule {
    let api = WorkloadApi::parse(address).unwrap();
    TrustRule::new(TrustRuleParts::for_tests(
        &domain.replace('.', "-"),
        TrustKind::Spiffe,
        IssuerSelector::TrustDomain(TrustDomain::parse(domain).unwrap()),
        KeySource::Remote(KeyLocation::Workload(api), policy),
    ))
    .unwrap()
}

fn mesh(socket: &Path, policy: RefreshPolicy) -> TrustStore {
    let trust = TrustStore::new(vec![rule("td.example", socket, policy)], None).unwrap();
    trust.keep_fresh(&Fetcher::new(), &clock());
    trust
}

fn key() -> SigningKey {
    SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap()
}

/// A JWK set as agents send it: without `use`.
fn jwks(keys: &[&SigningKey]) -> Vec<u8> {
    let keys: Vec<_> =
        keys.iter().map(|key| key.public_jwk().replace(r#""use":"sig","#, "").replace(r#","use":"sig""#, "")).collect();
    assert!(!keys.concat().contains(r#""use""#), "{keys:?}");
    format!(r#"{{"keys":[{}]}}"#, keys.join(",")).into_bytes()
}

fn bundles(of: &[(&str, Vec<u8>)]) -> Reply {
    Reply::Bundles(of.iter().map(|(domain, bundle)| (format!("spiffe://{domain}"), bundle.clone())).collect())
}

async fn present_at(trust: &TrustStore, domain: &str, key: &SigningKey, now: Time) -> Option<TrustReason> {
    let claims = format!(r#"{{"sub":"spiffe://{domain}/a","aud":["us"],"exp":{}}}"#, NOW.seconds() + 50_000);
    let token = key.sign("JWT", claims.as_bytes()).unwrap();
    trust.verify(&Compact::parse(&token).unwrap(), now).await.err().map(|refused| refused.reason())
}

async fn present(trust: &TrustStore, key: &SigningKey) -> Option<TrustReason> {
    present_at(trust, "td.example", key, NOW).await
}

fn certificate(trust: &TrustStore, domain: &str, authority: &Authority) -> Option<TrustReason> {
    let leaf = authority.issue(&svid(&format!("spiffe://{domain}/a")));
    trust.verify_certificate(&[leaf], NOW).err()
}

fn state(trust: &TrustStore) -> KeyState {
    trust.key_states(NOW).remove(0)
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn socket() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("countersign-agent-{}-{}.sock", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
    std::env::temp_dir().join(name)
}

const UNKNOWN_KEY: Option<TrustReason> = Some(TrustReason::Jose(JoseReason::UnknownKey));
const NO_VERDICT: Option<TrustReason> = Some(TrustReason::KeysUnavailable);
const NO_PATH: Option<TrustReason> = Some(TrustReason::Certificate(X509Reason::Path));

/// SPIFFE Workload API §4.3: an update is the whole of what counts, and counts at once; own and federated domains alike.
#[test]
fn both_profiles_of_own_and_federated_domains_are_delivered_and_updated_at_once() {
    run(async {
        let (agent, (old, new), (ours, theirs)) = (Agent::start(socket()), (key(), key()), (root("td"), root("partner")));
        agent.jwt(bundles(&[("td.example", jwks(&[&old])), ("partner.example", jwks(&[&new]))]));
        agent.x509(bundles(&[("td.example", ours.der.clone()), ("partner.example", theirs.der.clone())]));
        let rules = ["td.example", "partner.example"].map(|domain| rule(domain, agent.path(), policy()));
        let trust = TrustStore::new(rules.into(), None).unwrap();
        trust.keep_fresh(&Fetcher::new(), &clock());
        assert_eq!(present(&trust, &old).await, None);
        assert_eq!(present_at(&trust, "partner.example", &new, NOW).await, None);
        until_async("no roots", async || certificate(&trust, "td.example", &ours).is_none()).await;
        until_async("no roots of the partner", async || certificate(&trust, "partner.example", &theirs).is_none()).await;
        assert_eq!(certificate(&trust, "td.example", &theirs), NO_PATH, "a root of another domain");
        assert_eq!(present_at(&trust, "partner.example", &old, NOW).await, UNKNOWN_KEY, "a key of another domain");
        let calls = agent.calls();
        agent.jwt(bundles(&[("td.example", jwks(&[&new]))]));
        until_async("the new key is not in force", async || present(&trust, &new).await.is_none()).await;
        assert_eq!(present(&trust, &old).await, UNKNOWN_KEY);
        let both = [ours.der.clone(), theirs.der.clone()].concat();
        agent.x509(bundles(&[("td.example", both)]));
        until_async("the second root is not in force", async || certificate(&trust, "td.example", &theirs).is_none()).await;
        assert_eq!(certificate(&trust, "td.example", &ours), None, "several certificates stand one after the other");
        assert!(state(&trust).usable);
        assert!(agent.calls() <= calls + 2, "an update needs no new call beyond those that unknown keys ask for");
        assert_eq!(agent.refused(), 0);
    });
}

/// SPIFFE Workload API §4.4, §4.6, §6.3: what an update does not have counts no more, and that is a verdict. §4.5: a message
/// without any bundle is none.
#[test]
fn a_bundle_that_is_empty_or_no_longer_delivered_counts_no_more() {
    run(async {
        let (agent, key, ours) = (Agent::start(socket()), key(), root("td"));
        let trust = mesh(agent.path(), policy());
        let other = ("other.example", jwks(&[&key]));
        let serve = async |jwt: Reply, x509: Reply| {
            agent.jwt(jwt);
            agent.x509(x509);
            until_async("not delivered", async || {
                present(&trust, &key).await.is_none() && certificate(&trust, "td.example", &ours).is_none()
            })
            .await;
        };
        for (jwt, x509) in [
            (bundles(&[("td.example", jwks(&[]))]), bundles(&[("td.example", Vec::new())])),
            (bundles(std::slice::from_ref(&other)), bundles(&[("other.example", ours.der.clone())])),
        ] {
            serve(bundles(&[("td.example", jwks(&[&key]))]), bundles(&[("td.example", ours.der.clone())])).await;
            agent.jwt(jwt);
            agent.x509(x509);
            until_async("the key still counts", async || present(&trust, &key).await == UNKNOWN_KEY).await;
            until_async("the root still counts", async || certificate(&trust, "td.example", &ours) == NO_PATH).await;
        }
        serve(bundles(&[("td.example", jwks(&[&key]))]), bundles(&[("td.example", ours.der.clone())])).await;
        let before = state(&trust).failures;
        agent.jwt(bundles(&[]));
        agent.x509(bundles(&[]));
        until_async("nobody told", async || state(&trust).failures >= before + 2).await;
        assert_eq!(present(&trust, &key).await, None);
        assert_eq!(certificate(&trust, "td.example", &ours), None);
    });
}

/// Starting waits for nobody; an agent that goes away costs nothing until the ceiling, and is found again.
#[test]
fn an_agent_may_come_go_and_come_back() {
    run(async {
        let (path, key, ours) = (socket(), key(), root("td"));
        let policy = RefreshPolicy { wait_max: Duration::from_millis(20), ..policy() };
        let trust = mesh(&path, policy);
        assert_eq!(present(&trust, &key).await, NO_VERDICT);
        assert_eq!(certificate(&trust, "td.example", &ours), NO_VERDICT);
        assert!(!state(&trust).usable);
        let delivering = |path: PathBuf| {
            let agent = Agent::start(path);
            agent.jwt(bundles(&[("td.example", jwks(&[&key]))]));
            agent.x509(bundles(&[("td.example", ours.der.clone())]));
            agent
        };
        let agent = delivering(path.clone());
        until_async("the agent is not found", async || state(&trust).usable).await;
        assert_eq!(present(&trust, &key).await, None);
        drop(agent);
        let failed = state(&trust).failures;
        until_async("its absence is not noticed", async || state(&trust).failures > failed + 2).await;
        let ceiling = Time::from_seconds(NOW.seconds() + 1000);
        assert_eq!(present_at(&trust, "td.example", &key, Time::from_seconds(NOW.seconds() + 999)).await, None);
        assert_eq!(present_at(&trust, "td.example", &key, ceiling).await, NO_VERDICT);
        let fetches = state(&trust).fetches;
        let agent = delivering(path);
        agent.jwt(bundles(&[("td.example", jwks(&[]))]));
        until_async("the agent is not found again", async || {
            state(&trust).fetches > fetches && present(&trust, &key).await == UNKNOWN_KEY
        })
        .await;
    });
}

/// One profile may be switched off (SPIFFE Workload API §1); an agent that closes streams at once is not flooded with calls.
#[test]
fn each_stream_fails_for_itself_and_failures_back_off() {
    run(async {
        let (agent, key, ours) = (Agent::start(socket()), key(), root("td"));
        agent.jwt(Reply::Status(12));
        agent.x509(bundles(&[("td.example", ours.der.clone())]));
        // No stream lasts long enough to count as settled, so that failures only ever add up.
        let policy = RefreshPolicy { cool_down: PATIENCE, wait_max: Duration::from_millis(20), ..policy() };
        let trust = mesh(agent.path(), policy);
        until_async("no roots", async || certificate(&trust, "td.example", &ours).is_none()).await;
        assert_eq!(present(&trust, &key).await, NO_VERDICT);
        assert!(!state(&trust).usable);
        let (began, before) = (Began::now(), agent.calls());
        agent.x509(Reply::BundlesAndEnd(vec![("spiffe://td.example".into(), ours.der.clone())]));
        until_async("both are asked again", async || agent.calls() >= before + 7).await;
        let calls = (agent.calls() - before) as u64;
        // Each pause is twice the one before, in either stream; one of them pauses already.
        let most = 1 + 2 * u64::from((began.room_for(policy.retry) + 1).ilog2());
        assert!(calls <= most, "{calls} calls in the time of {most}");
        assert_eq!(certificate(&trust, "td.example", &ours), None);
    });
}

/// SPIFFE Workload API §5.2.2 and §6.2.2: who is not entitled any more ceases to use what it has.
#[test]
fn an_agent_that_refuses_us_takes_everything_back() {
    run(async {
        let (agent, key, ours) = (Agent::start(socket()), key(), root("td"));
        agent.jwt(bundles(&[("td.example", jwks(&[&key]))]));
        agent.x509(bundles(&[("td.example", ours.der.clone())]));
        let trust = mesh(agent.path(), RefreshPolicy { wait_max: Duration::from_millis(20), ..policy() });
        until_async("nothing delivered", async || state(&trust).usable).await;
        agent.jwt(Reply::Status(7));
        agent.x509(Reply::Status(7));
        until_async("the keys still count", async || present(&trust, &key).await == NO_VERDICT).await;
        until_async("the roots still count", async || certificate(&trust, "td.example", &ours) == NO_VERDICT).await;
    });
}

/// A message that cannot be read, is too much or does not come changes nothing.
#[test]
fn bad_messages_are_bounded_and_change_nothing() {
    run(async {
        let (agent, key, ours) = (Agent::start(socket()), key(), root("td"));
        let good = |agent: &Agent| {
            agent.jwt(bundles(&[("td.example", jwks(&[&key]))]));
            agent.x509(bundles(&[("td.example", ours.der.clone())]));
        };
        good(&agent);
        let trust = mesh(agent.path(), policy());
        until_async("nothing delivered", async || state(&trust).usable).await;
        let private = br#"{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"AA","y":"AA","d":"AA"}]}"#.to_vec();
        let nameless = br#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#.to_vec();
        let many =
            format!(r#"{{"keys":[{}]}}"#, (0..2100).map(|at| format!(r#"{{"kid":"{at}"}}"#)).collect::<Vec<_>>().join(","));
        for (jwt, x509) in [
            (bundles(&[("td.example", b"[".to_vec())]), bundles(&[("td.example", b"0".to_vec())])),
            (bundles(&[("td.example", private)]), bundles(&[("td.example", [&ours.der[..], b"x"].concat())])),
            (bundles(&[("td.example", nameless)]), bundles(&[("no domain", ours.der.clone())])),
            (bundles(&[("td.example", many.into_bytes())]), bundles(&[("td.example", ours.der.repeat(1025))])),
            (Reply::Oversized(5 << 20), Reply::Oversized(5 << 20)),
            (Reply::Garbage, Reply::Garbage),
            (Reply::Status(14), Reply::Status(14)),
        ] {
            let before = state(&trust).failures;
            agent.jwt(jwt);
            agent.x509(x509);
            until_async("nobody told", async || state(&trust).failures >= before + 2).await;
            assert_eq!(present(&trust, &key).await, None);
            assert_eq!(certificate(&trust, "td.example", &ours), None);
            good(&agent);
            let fetches = state(&trust).fetches;
            until_async("it is not asked again", async || state(&trust).fetches >= fetches + 2).await;
            pass_async(Duration::from_millis(250)).await;
        }
    });
}

/// A stopped agent keeps its socket open: whoever waits for it waits a bounded time.
#[test]
fn an_agent_that_hangs_is_no_verdict_after_a_bounded_wait() {
    run(async {
        let (agent, key) = (Agent::start(socket()), key());
        agent.jwt(Reply::Hang);
        agent.x509(Reply::Hang);
        let trust = mesh(agent.path(), RefreshPolicy { wait_max: Duration::from_millis(50), ..policy() });
        assert_eq!(present(&trust, &key).await, NO_VERDICT);
        assert_eq!(certificate(&trust, "td.example", &root("td")), NO_VERDICT);
        assert_eq!(state(&trust).fetches, 0);
        until_async("it is waited for without end", async || state(&trust).failures >= 2 && agent.calls() >= 4).await;
    });
}

/// SPIFFE Workload API §6.2.2: the keys are those of JWT-SVIDs, said or not; what says that it is for something else is for
/// nothing.
#[test]
fn a_key_counts_unless_it_says_that_it_is_for_something_else() {
    run(async {
        let (agent, key) = (Agent::start(socket()), key());
        agent.x509(bundles(&[("td.example", Vec::new())]));
        let trust = mesh(agent.path(), policy());
        for (named, counts) in [("jwt-svid", true), ("x509-svid", false), ("sig", true), ("enc", false), ("jwt-svid", true)] {
            let jwks = String::from_utf8(jwks(&[&key])).unwrap().replace("[{", &format!(r#"[{{"use":"{named}","#));
            agent.jwt(bundles(&[("td.example", jwks.into_bytes())]));
            let expected = if counts { None } else { UNKNOWN_KEY };
            until_async(named, async || present(&trust, &key).await == expected).await;
        }
    });
}

/// Attack 36, and: a quiet stream proves nothing for ever.
#[test]
fn a_quiet_agent_is_asked_anew_at_the_pace_and_a_flood_of_unknown_kids_asks_once_per_cool_down() {
    run(async {
        let (agent, old, new) = (Agent::start(socket()), key(), key());
        agent.jwt(bundles(&[("td.example", jwks(&[&old]))]));
        agent.x509(bundles(&[("td.example", root("td").der)]));
        let quick = RefreshPolicy { interval: Duration::from_millis(200), ..policy() };
        let trust = mesh(agent.path(), quick);
        assert_eq!(present(&trust, &old).await, None);
        until_async("it is not asked anew", async || state(&trust).fetches >= 6).await;
        assert_eq!(state(&trust).failures, 0);
        drop(trust);
        let start = async |policy: RefreshPolicy| {
            let trust = mesh(agent.path(), policy);
            assert_eq!(present(&trust, &old).await, None);
            until_async("no roots", async || state(&trust).usable).await;
            trust
        };
        let resting = start(RefreshPolicy { cool_down: PATIENCE, ..policy() }).await;
        let before = agent.calls();
        for _ in 0..50 {
            assert_eq!(present(&resting, &key()).await, UNKNOWN_KEY);
            // The task that asks must have its chance to do so.
            pass_async(Duration::from_millis(2)).await;
        }
        assert_eq!(agent.calls(), before, "the agent was asked again while resting");
        let trust = start(policy()).await;
        let before = agent.calls();
        agent.quietly(|| bundles(&[("td.example", jwks(&[&old, &new]))]));
        until_async("the new key is found", async || present(&trust, &new).await.is_none()).await;
        assert_eq!(agent.calls(), before + 1);
    });
}

/// SPIFFE Workload Endpoint §3: over TCP as over a Unix socket.
#[test]
fn an_agent_may_listen_on_a_port_of_this_machine() {
    run(async {
        let (agent, key) = (Agent::start(socket()), key());
        agent.jwt(bundles(&[("td.example", jwks(&[&key]))]));
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, path) = (format!("tcp://{}", port.local_addr().unwrap()), agent.path().to_owned());
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = port.accept().await {
                let mut inside = UnixStream::connect(&path).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut outside, &mut inside).await });
            }
        });
        let trust = TrustStore::new(vec![rule_at(&address, "td.example", policy())], None).unwrap();
        trust.keep_fresh(&Fetcher::new(), &clock());
        assert_eq!(present(&trust, &key).await, None);
        assert_eq!(agent.refused(), 0);
    });
}

#[test]
fn a_reload_keeps_the_bundles_and_the_streams() {
    run(async {
        let (agent, key) = (Agent::start(socket()), key());
        agent.jwt(bundles(&[("td.example", jwks(&[&key]))]));
        agent.x509(bundles(&[("td.example", root("td").der)]));
        let before = mesh(agent.path(), policy());
        until_async("nothing delivered", async || state(&before).usable).await;
        let after = TrustStore::new(vec![rule("td.example", agent.path(), policy())], Some(&before)).unwrap();
        drop(before);
        after.keep_fresh(&Fetcher::new(), &clock());
        assert_eq!(present(&after, &key).await, None);
        assert_eq!(agent.calls(), 2);
        assert_eq!(state(&after).fetches, 2);
    });
}

/// SPIFFE Workload Endpoint §3: who does not say `workload.spiffe.io: true` is refused. So that the tests above mean something.
#[test]
fn the_agent_of_these_tests_refuses_calls_without_the_header() {
    run(async {
        let agent = Agent::start(socket());
        agent.jwt(bundles(&[("td.example", jwks(&[]))]));
        assert_eq!(agent::call(agent.path(), None).await, "3");
        assert_eq!(agent::call(agent.path(), Some("True")).await, "3");
        assert_eq!(agent.refused(), 2);
        assert_eq!(agent::call(agent.path(), Some("true")).await, "a message");
    });
}
