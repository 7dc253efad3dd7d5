#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

mod bundle;
mod discovery;
mod hostile;
mod reach;

use super::*;
use crate::jose::{Algorithm, Compact, JoseReason, SigningKey, generate_key};
use crate::keys::source::FetchTarget;
use crate::keys::state::Fetched;
use crate::keys::{KeySource, KeyState, RefreshPolicy};
use crate::oauth::Time;
use crate::patience::{Began, PATIENCE, pass_async, until_async};
use crate::trust::{IssuerSelector, TrustKind, TrustReason, TrustRule, TrustRuleParts, TrustStore, VerifiedAssertion};

const NOW: i64 = 1_000_000;

/// An issuer over HTTP that answers what it is told to.
#[derive(Clone)]
struct Origin {
    address: String,
    answers: Arc<Mutex<Answers>>,
    asked: Arc<AtomicUsize>,
}

#[derive(Clone, Default)]
struct Answers {
    discovery: String,
    keys: String,
    delay: Duration,
}

impl Origin {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            answers: Arc::default(),
            asked: Arc::default(),
        };
        let (answers, asked) = (Arc::clone(&origin.answers), Arc::clone(&origin.asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answers, asked) = (answers.lock().unwrap().clone(), Arc::clone(&asked));
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let read = stream.read(&mut request).await.unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..read]).into_owned();
                    let answer = match request.contains("openid-configuration") {
                        true => answers.discovery,
                        false => {
                            asked.fetch_add(1, Ordering::SeqCst);
                            pass_async(answers.delay).await;
                            answers.keys
                        }
                    };
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        origin
    }

    fn set(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.answers.lock().unwrap());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn uri(&self) -> Url {
        Url::parse(&format!("{}/keys", self.address)).unwrap()
    }

    fn issuer(&self) -> Issuer {
        Issuer::parse(&self.address).unwrap()
    }
}

fn moved(status: &str, to: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn ok(content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn published(keys: &[&SigningKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
    ok("application/jwk-set+json; charset=utf-8", &format!(r#"{{"keys":[{}]}}"#, keys.join(",")))
}

fn key() -> SigningKey {
    SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap()
}

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Time {
        Time::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// Nobody is asked anew by himself, and everybody waits for the first answer.
fn policy() -> RefreshPolicy {
    RefreshPolicy {
        interval: 4 * PATIENCE,
        cool_down: Duration::from_millis(150),
        retry: Duration::from_millis(50),
        max_stale: Duration::from_secs(1000),
        wait_max: PATIENCE,
    }
}

fn patient() -> Fetcher {
    Fetcher::within(PATIENCE)
}

fn trust(issuer: Issuer, location: KeyLocation, policy: RefreshPolicy) -> TrustStore {
    let parts =
        TrustRuleParts::for_tests("idp", TrustKind::Oidc, IssuerSelector::Issuer(issuer), KeySource::Remote(location, policy));
    TrustStore::new(vec![TrustRule::new(parts).unwrap()], None).unwrap()
}

async fn vouch(trust: &TrustStore, origin: &Origin, key: &SigningKey, now: i64) -> Result<VerifiedAssertion, TrustReason> {
    let claims = format!(r#"{{"iss":"{}","sub":"a","aud":"us","exp":{}}}"#, origin.address, NOW + 50_000);
    let token = key.sign("JWT", claims.as_bytes()).unwrap();
    trust.verify(&Compact::parse(&token).unwrap(), Time::from_seconds(now)).await.map_err(|refused| refused.reason())
}

fn state(trust: &TrustStore) -> KeyState {
    trust.key_states(Time::from_seconds(NOW)).remove(0)
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(Hands(AtomicI64::new(NOW)))
}

#[test]
fn discovery_leads_to_the_keys_and_the_first_token_waits_for_them() {
    run(async {
        let (origin, key) = (Origin::start().await, key());
        origin.set(|answers| {
            let metadata = format!(r#"{{"issuer":"{0}","jwks_uri":"{0}/keys","authorization_endpoint":""}}"#, origin.address);
            answers.discovery = ok("application/json", &metadata);
            answers.keys = published(&[&key]);
            answers.delay = Duration::from_millis(100);
        });
        let location = KeyLocation::Discovery { issuer: origin.issuer(), hosts: Vec::new() };
        let trust = trust(origin.issuer(), location, policy());
        trust.keep_fresh(&patient(), &clock());
        trust.keep_fresh(&patient(), &clock());
        assert!(vouch(&trust, &origin, &key, NOW).await.is_ok());
        assert_eq!(origin.asked(), 1);
    });
}

/// However many wait for a fetch, nobody's token is refused for it.
#[test]
fn all_who_come_before_the_first_answer_wait_for_it() {
    run(async {
        let (origin, known) = (Origin::start().await, key());
        origin.set(|answers| {
            answers.keys = published(&[&known]);
            answers.delay = Duration::from_millis(200);
        });
        let trust = Arc::new(trust(origin.issuer(), KeyLocation::Uri(origin.uri()), policy()));
        trust.keep_fresh(&patient(), &clock());
        let waits = |key: &Arc<SigningKey>| {
            let (trust, origin, key) = (Arc::clone(&trust), origin.clone(), Arc::clone(key));
            async move { vouch(&trust, &origin, &key, NOW).await.err() }
        };
        let (hostile, known) = (Arc::new(key()), Arc::new(known));
        let mut flood = tokio::task::JoinSet::new();
        (0..300).for_each(|_| drop(flood.spawn(waits(&hostile))));
        assert_eq!(waits(&known).await, None);
        assert!(flood.join_all().await.into_iter().all(|told| told == Some(TrustReason::Jose(JoseReason::UnknownKey))));
    });
}

/// Negative test 22; attack 36.
#[test]
fn a_flood_of_unknown_kids_costs_one_fetch_per_cool_down_and_a_new_key_is_found() {
    run(async {
        let (origin, old, new) = (Origin::start().await, key(), key());
        origin.set(|answers| answers.keys = published(&[&old]));
        let flood = async |trust: &TrustStore| {
            for _ in 0..50 {
                let refused = vouch(trust, &origin, &key(), NOW).await.err();
                assert_eq!(refused, Some(TrustReason::Jose(JoseReason::UnknownKey)));
                // The task that fetches must have its chance to do so.
                pass_async(Duration::from_millis(2)).await;
            }
        };
        let location = || KeyLocation::Uri(origin.uri());
        let resting = trust(origin.issuer(), location(), RefreshPolicy { cool_down: PATIENCE, ..policy() });
        resting.keep_fresh(&patient(), &clock());
        assert!(vouch(&resting, &origin, &old, NOW).await.is_ok());
        flood(&resting).await;
        assert_eq!(origin.asked(), 1, "the issuer was asked again while resting");
        let (began, before) = (Began::now(), origin.asked());
        let trust = trust(origin.issuer(), location(), policy());
        trust.keep_fresh(&patient(), &clock());
        assert!(vouch(&trust, &origin, &old, NOW).await.is_ok());
        origin.set(|answers| answers.keys = published(&[&old, &new]));
        until_async("the new key is found", async || vouch(&trust, &origin, &new, NOW).await.is_ok()).await;
        assert_eq!(origin.asked(), before + 2);
        until_async("the flood makes it ask again", async || {
            flood(&trust).await;
            origin.asked() >= before + 4
        })
        .await;
        let asked = (origin.asked() - before) as u64;
        assert!(asked <= 1 + began.room_for(policy().cool_down), "asked {asked} times");
    });
}

/// Negative tests 48 and 49.
#[test]
fn bad_answers_change_nothing_and_old_keys_count_until_the_ceiling() {
    run(async {
        let (origin, key) = (Origin::start().await, key());
        origin.set(|answers| answers.keys = published(&[&key]));
        let policy = RefreshPolicy { interval: Duration::from_millis(200), cool_down: Duration::from_millis(20), ..policy() };
        let trust = trust(origin.issuer(), KeyLocation::Uri(origin.uri()), policy);
        trust.keep_fresh(&patient(), &clock());
        assert!(vouch(&trust, &origin, &key, NOW).await.is_ok());
        origin.set(|answers| answers.keys = "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into());
        until_async("bad answers come", async || state(&trust).failures >= 2).await;
        assert!(vouch(&trust, &origin, &key, NOW + 999).await.is_ok());
        assert_eq!(vouch(&trust, &origin, &key, NOW + 1000).await.err(), Some(TrustReason::KeysUnavailable));
    });
}

/// Negative test 48.
#[test]
fn what_is_not_a_plain_small_json_answer_is_refused() {
    run(async {
        let (origin, fetcher) = (Origin::start().await, patient());
        let far = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let cut = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\nConnection: close\r\n\r\n{}";
        let untyped = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        for (answer, reason) in [
            (far.to_owned(), "a redirect (302) to http://127.0.0.1:1/, which is not followed; if that is the right address"),
            (moved("301", "/new/keys?secret=1#x"), "/new/keys, which is not followed"),
            (moved("308", "https://user:secret@keys.example/jwks"), "(308) to https://keys.example/jwks, which"),
            (moved("307", "mailto:somebody"), "(307) to no address"),
            (moved("303", &format!("https://keys.example/{}", "a".repeat(1000))), "aaa, which is not followed"),
            ("HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(), "status 404"),
            ("HTTP/1.1 204 No\r\nConnection: close\r\n\r\n".to_owned(), "status 204"),
            (ok("text/html", "{}"), "not application/json but text/html"),
            (ok("text/plain; x=application/json", "{}"), "not application/json"),
            (untyped.to_owned(), "not application/json: it has no content type"),
            (ok("application/json\r\nContent-Encoding: gzip", "{}"), "compressed (gzip)"),
            (ok("application/json", &" ".repeat(net::BODY_BYTES_MAX + 1)), "longer"),
            (ok("application/json", &" ".repeat(10 * 1024 * 1024)), "longer"),
            (cut.to_owned(), "broke off"),
            (ok("application/json", "[]"), "the key set is not a JWK set"),
            (ok("application/json", r#"{"keys":[{"kty":"oct","k":"AA"}]}"#), "private"),
        ] {
            origin.set(|answers| answers.keys = answer);
            let failed = fetch_keys(&KeyLocation::Uri(origin.uri()), &Route::default(), &fetcher).await.unwrap_err().to_string();
            assert!(failed.contains(reason) && failed.len() < 600 && !failed.contains("secret"), "{failed}");
        }
        origin.set(|answers| {
            answers.keys = cut.to_owned();
            answers.delay = 2 * PATIENCE;
        });
        let hasty = Fetcher::within(Duration::from_millis(100));
        let failed = fetch_keys(&KeyLocation::Uri(origin.uri()), &Route::default(), &hasty).await.unwrap_err().to_string();
        assert!(failed.contains("in time"), "{failed}");
        for uri in ["http://idp.example/keys", "file:///etc/passwd", "https://user@idp.example/", "http://127.0.0.1.example/"] {
            let failed = fetcher.get(&Url::parse(uri).unwrap(), JSON_TYPES, &Route::default()).await.unwrap_err();
            assert!(matches!(failed, FetchReason::Address), "{uri}");
        }
    });
}

/// Attacks 27 and 34: discovery cannot send us to a host that the operator did not name.
#[test]
fn discovery_is_believed_about_its_own_issuer_and_named_hosts_only() {
    run(async {
        let (origin, fetcher) = (Origin::start().await, patient());
        let location = |hosts: &[&str]| KeyLocation::Discovery {
            issuer: origin.issuer(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        };
        for (issuer, uri, hosts, reason) in [
            (
                "https://other.example",
                format!("{}/keys", origin.address),
                &[][..],
                "names the issuer https://other.example, which is not",
            ),
            (
                &origin.address,
                "https://keys.example/jwks".to_owned(),
                &[],
                "(https://keys.example); if they belong there, add \"keys.example\" to keys.hosts",
            ),
            (&origin.address, "https://keys.example:8443/jwks".to_owned(), &["keys.example"], "add \"keys.example:8443\""),
            (&origin.address, "http://keys.example/jwks".to_owned(), &["keys.example"], "does not name"),
            (&origin.address, "http://127.0.0.1:1/jwks".to_owned(), &["127.0.0.1:1"], "does not name"),
            (&origin.address, "/keys".to_owned(), &[], "texts issuer and jwks_uri"),
        ] {
            let metadata = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{uri}"}}"#);
            origin.set(|answers| answers.discovery = ok("application/json", &metadata));
            let failed = fetch_keys(&location(hosts), &Route::default(), &fetcher).await.unwrap_err().to_string();
            assert!(failed.contains(reason), "{uri}: {failed}");
        }
        assert_eq!(origin.asked(), 0);
        assert!(net::leads_to("keys.example", &Url::parse("https://keys.example/jwks").unwrap()));
        assert!(net::leads_to("keys.example:8443", &Url::parse("https://keys.example:8443/jwks").unwrap()));
    });
}

/// A slow issuer costs its own callers their patience and nobody else anything.
#[test]
fn an_issuer_that_hangs_is_no_verdict_after_a_bounded_wait() {
    run(async {
        let (origin, key) = (Origin::start().await, key());
        origin.set(|answers| answers.delay = 2 * PATIENCE);
        let trust = trust(
            origin.issuer(),
            KeyLocation::Uri(origin.uri()),
            RefreshPolicy { wait_max: Duration::from_millis(50), ..policy() },
        );
        trust.keep_fresh(&patient(), &clock());
        assert_eq!(vouch(&trust, &origin, &key, NOW).await.err(), Some(TrustReason::KeysUnavailable));
        assert_eq!(state(&trust).fetches, 0, "it waited as long as the fetch");
    });
}

#[test]
fn a_reload_keeps_the_keys_and_the_task() {
    run(async {
        let (origin, key) = (Origin::start().await, key());
        origin.set(|answers| answers.keys = published(&[&key]));
        let before = trust(origin.issuer(), KeyLocation::Uri(origin.uri()), policy());
        before.keep_fresh(&patient(), &clock());
        assert!(vouch(&before, &origin, &key, NOW).await.is_ok());
        let rules = before.rules().map(|rule| (**rule).clone()).collect();
        let after = TrustStore::new(rules, Some(&before)).unwrap();
        drop(before);
        after.keep_fresh(&patient(), &clock());
        assert!(vouch(&after, &origin, &key, NOW).await.is_ok());
        assert_eq!(origin.asked(), 1);
    });
}

#[test]
fn failures_back_off_and_max_age_is_bounded() {
    let uri = Url::parse("https://idp.example/keys").unwrap();
    let state = CacheState::new(FetchTarget::whole(KeyLocation::Uri(uri), RefreshPolicy::default()), Arc::default());
    let clock = Hands(AtomicI64::new(NOW));
    let failed = |failures| Schedule::after(&state, Err(FetchReason::Client.into()), failures, &clock).rest.as_secs();
    assert_eq!([1, 2, 3, 7, 8, 9, 40, 1000].map(failed), [2, 4, 8, 128, 256, 300, 300, 300]);
    let keys = Arc::new(KeySet::parse(br#"{"keys":[]}"#, KeyUse::Signature).unwrap());
    let then = |max_age: Option<u64>| {
        let rhythm = Schedule::after(
            &state,
            Ok((KeyMaterial { keys: Arc::clone(&keys), roots: None }, max_age.map(Duration::from_secs))),
            0,
            &clock,
        );
        (rhythm.rest.as_secs(), rhythm.then.as_secs())
    };
    assert_eq!(then(None), (30, 270));
    assert_eq!(then(Some(0)), (30, 30));
    assert_eq!(then(Some(600)), (30, 570));
    assert_eq!(then(Some(86_400)), (30, 3570));
}

/// A publisher that asks for a long pause does not end its keys by it.
#[test]
fn the_pace_of_a_rule_stays_within_its_ceiling() {
    let then = |refresh: u64, max_stale: u64, max_age: Option<u64>| {
        let seconds = Duration::from_secs;
        let policy = RefreshPolicy { interval: seconds(refresh), max_stale: seconds(max_stale), ..RefreshPolicy::default() };
        let location = KeyLocation::Uri(Url::parse("https://idp.example/keys").unwrap());
        let state = CacheState::new(FetchTarget::whole(location, policy), Arc::default());
        let keys = Arc::new(KeySet::parse(br#"{"keys":[]}"#, KeyUse::Signature).unwrap());
        let fetched = Ok((KeyMaterial { keys, roots: None }, max_age.map(seconds)));
        let rhythm = Schedule::after(&state, fetched, 0, clock().as_ref());
        (rhythm.rest + rhythm.then).as_secs()
    };
    assert_eq!(then(60, 300, None), 60);
    assert_eq!(then(60, 300, Some(1)), 30);
    assert_eq!(then(60, 300, Some(86_400)), 150);
    assert_eq!(then(43_200, 86_400, Some(86_400)), 43_200);
    assert_eq!(then(3600, 86_400, Some(86_400)), 43_200);
}
