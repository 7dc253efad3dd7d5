//! Bundles from the network: versions, policy, and endpoints that prove a SPIFFE ID.

use std::collections::HashMap;
use std::io;

use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::keys::{BundleProfile, Reach, SequenceStore, Sequences};
use crate::net::Network;
use crate::oauth::{SpiffeId, TrustDomain};
use crate::x509::{Authority, root, svid};

const SVID: &str = "spiffe://td.example/a";

fn bundle(keys: &[&SigningKey], rest: &str) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.public_jwk().replace(r#""use":"sig""#, r#""use":"jwt-svid""#)).collect();
    format!(r#"{{"keys":[{}]{rest}}}"#, keys.join(","))
}

fn mesh(location: KeyLocation, policy: RefreshPolicy) -> TrustStore {
    TrustStore::new(vec![rule(KeySource::Remote(location, policy))], None).unwrap()
}

fn rule(keys: KeySource) -> TrustRule {
    let parts = TrustRuleParts::for_tests(
        "mesh",
        TrustKind::Spiffe,
        IssuerSelector::TrustDomain(TrustDomain::parse("td.example").unwrap()),
        keys,
    );
    TrustRule::new(parts).unwrap()
}

async fn present(trust: &TrustStore, key: &SigningKey) -> Option<TrustReason> {
    let token = key.sign("JWT", format!(r#"{{"sub":"{SVID}","aud":["us"],"exp":{}}}"#, NOW + 50_000).as_bytes()).unwrap();
    trust.verify(&Compact::parse(&token).unwrap(), Time::from_seconds(NOW)).await.err().map(|refused| refused.reason())
}

/// Negative test 41: SPIFFE Trust Domain and Bundle §4.1.1 and §3.
#[test]
fn a_newer_bundle_replaces_an_empty_one_kills_and_an_older_one_is_refused() {
    run(async {
        let (origin, key) = (Origin::start().await, key());
        let serve =
            |keys: &[&SigningKey], rest: &str| origin.set(|answers| answers.keys = ok("application/json", &bundle(keys, rest)));
        serve(&[&key], r#","spiffe_sequence":5"#);
        let policy = RefreshPolicy { interval: Duration::from_millis(100), cool_down: Duration::from_millis(20), ..policy() };
        let trust = mesh(KeyLocation::Bundle { url: origin.uri(), profile: BundleProfile::Web }, policy);
        trust.keep_fresh(&patient(), &clock());
        assert_eq!(present(&trust, &key).await, None);
        let unknown = Some(TrustReason::Jose(JoseReason::UnknownKey));
        // The first may have begun before the answer changed, the second has not.
        let later = async || {
            let before = state(&trust).fetches;
            until_async("two fetches end", async || state(&trust).fetches >= before + 2).await;
        };
        serve(&[], r#","spiffe_sequence":6"#);
        later().await;
        assert_eq!(present(&trust, &key).await, unknown, "an empty bundle kills");
        for older in [r#","spiffe_sequence":5"#, ""] {
            serve(&[&key], older);
            later().await;
            assert_eq!(present(&trust, &key).await, unknown, "{older}");
        }
        serve(&[&key], r#","spiffe_sequence":7"#);
        later().await;
        assert_eq!(present(&trust, &key).await, None);
    });
}

/// A store as a data folder is: there for the next start.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<HashMap<TrustDomain, u64>>>);

impl SequenceStore for Kept {
    fn read(&self) -> io::Result<HashMap<TrustDomain, u64>> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn keep(&self, domain: &TrustDomain, sequence: u64) -> io::Result<()> {
        self.0.lock().unwrap().insert(domain.clone(), sequence);
        Ok(())
    }
}

/// SPIFFE Trust Domain and Bundle §4.1.1: neither a restart nor another address makes an old bundle new. Nobody gets a verdict
/// by it until somebody says that the publisher counts anew.
#[test]
fn neither_a_restart_nor_another_address_rolls_a_bundle_back() {
    run(async {
        let (origin, another, key, kept) = (Origin::start().await, Origin::start().await, key(), Kept::default());
        let numbered = |origin: &Origin, rest: &str| {
            origin.set(|answers| answers.keys = ok("application/json", &bundle(&[&key], rest)));
        };
        let policy = RefreshPolicy { interval: Duration::from_millis(100), ..policy() };
        let of = |origin: &Origin| {
            let location = KeyLocation::Bundle { url: origin.uri(), profile: BundleProfile::Web };
            rule(KeySource::Remote(location, policy))
        };
        let file = |rest: &str| rule(KeySource::Bundle(Arc::new(TrustBundle::parse(bundle(&[&key], rest).as_bytes()).unwrap())));
        let start = |rule: TrustRule| {
            let sequences = Arc::new(Sequences::kept_in(Box::new(kept.clone())).unwrap());
            let trust = TrustStore::remembering(vec![rule], None, sequences).unwrap();
            trust.keep_fresh(&patient(), &clock());
            trust
        };
        numbered(&origin, r#","spiffe_sequence":5"#);
        let first = start(of(&origin));
        assert_eq!(present(&first, &key).await, None);
        for (older, at) in [(r#","spiffe_sequence":4"#, &origin), (r#","spiffe_sequence":4"#, &another), ("", &origin)] {
            numbered(at, older);
            assert_eq!(present(&start(of(at)), &key).await, Some(TrustReason::KeysUnavailable), "{older}");
            let reloaded = TrustStore::new(vec![of(&another)], Some(&first)).unwrap();
            reloaded.keep_fresh(&patient(), &clock());
            numbered(&another, older);
            assert_eq!(present(&reloaded, &key).await, Some(TrustReason::KeysUnavailable), "another address, {older}");
        }
        let stale = start(file(r#","spiffe_sequence":4"#));
        assert_eq!(present(&stale, &key).await, Some(TrustReason::KeysUnavailable), "a file");
        assert_eq!(stale.key_states(Time::from_seconds(NOW)).first().map(|state| state.usable), Some(false));
        for current in [r#","spiffe_sequence":5"#, r#","spiffe_sequence":6"#, ""] {
            assert_eq!(
                present(&start(file(current)), &key).await,
                None,
                "a file is as good as an endpoint; without a number, better"
            );
        }
        numbered(&another, r#","spiffe_sequence":6"#);
        assert_eq!(present(&start(of(&another)), &key).await, None);
        numbered(&another, r#","spiffe_sequence":1"#);
        let running = start(of(&another));
        assert_eq!(present(&running, &key).await, Some(TrustReason::KeysUnavailable));
        kept.0.lock().unwrap().clear();
        until_async("the publisher counts anew", async || present(&running, &key).await.is_none()).await;
        assert_eq!(kept.0.lock().unwrap().values().copied().collect::<Vec<_>>(), [1]);
    });
}

#[test]
fn the_refresh_hint_is_the_pace_within_bounds() {
    let location = KeyLocation::Bundle { url: Url::parse("https://td.example/").unwrap(), profile: BundleProfile::Web };
    let state = CacheState::new(FetchTarget::whole(location, RefreshPolicy::default()), Arc::default());
    let material = || KeyMaterial::of_bundle(&TrustBundle::parse(bundle(&[], "").as_bytes()).unwrap());
    let then = |hint: u64| {
        let rhythm = Schedule::after(&state, Ok((material(), Some(Duration::from_secs(hint)))), 0, clock().as_ref());
        (rhythm.rest + rhythm.then).as_secs()
    };
    assert_eq!([1, 60, 300, 3600, 86_400].map(then), [60, 60, 300, 3600, 3600]);
}

/// Serves `body` over TLS as whoever `authority` says that it is.
async fn endpoint(authority: &Authority, id: &str, body: String) -> String {
    let key = KeyPair::generate().unwrap();
    let der = authority.issue_for(&svid(id), &key);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = config.with_no_client_auth().with_single_cert(vec![CertificateDer::from(der)], private).unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, body) = (acceptor.clone(), body.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(ok("application/json", &body).as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    format!("https://127.0.0.1:{port}/")
}

/// SPIFFE Federation §5.2.2.4: the endpoint's SPIFFE ID and its bundle decide, not its name.
#[test]
fn an_endpoint_proves_its_spiffe_id() {
    run(async {
        let (ours, theirs, key) = (root("td"), root("other"), key());
        let authority =
            |one: &Authority| format!(r#"{{"keys":[{{"kty":"EC","use":"x509-svid","x5c":["{}"]}}]}}"#, STANDARD.encode(&one.der));
        let profile = |bundle: &str, id: &str, own: bool| BundleProfile::Spiffe {
            id: SpiffeId::parse(id).unwrap(),
            bootstrap: Arc::new(TrustBundle::parse(bundle.as_bytes()).unwrap()),
            own,
        };
        let fetched = async |url: &str, profile: BundleProfile| {
            let location = KeyLocation::Bundle { url: Url::parse(url).unwrap(), profile };
            let state = CacheState::new(FetchTarget::whole(location.clone(), policy()), Arc::default());
            fetch_keys(&location, &state.route().await.unwrap(), &patient()).await.map(|(material, _)| material.keys.keys().len())
        };
        let server = "spiffe://td.example/spire/server";
        let url = endpoint(&ours, server, bundle(&[&key], "")).await;
        assert_eq!(fetched(&url, profile(&authority(&ours), server, true)).await.unwrap(), 1);
        for wrong in [
            profile(&authority(&theirs), server, true),
            profile(&authority(&ours), "spiffe://td.example/other", true),
            profile(&authority(&ours), "spiffe://other.example/spire/server", false),
            profile(r#"{"keys":[]}"#, server, true),
            BundleProfile::Web,
        ] {
            let failed = fetched(&url, wrong).await.unwrap_err();
            assert!(matches!(failed, RefreshReason::Fetch(FetchReason::Network(_))), "{failed}");
        }
    });
}

/// The bundle that a self-serving endpoint served last is what it must prove itself by next; a foreign endpoint's bundle never
/// changes so.
#[tokio::test]
async fn the_latest_bundle_of_its_own_domain_authenticates_the_next_fetch() {
    let (old, new) = (root("old"), root("new"));
    let json =
        |one: &Authority| format!(r#"{{"keys":[{{"kty":"EC","use":"x509-svid","x5c":["{}"]}}]}}"#, STANDARD.encode(&one.der));
    let bootstrap = Arc::new(TrustBundle::parse(json(&old).as_bytes()).unwrap());
    let served = KeyMaterial::of_bundle(&TrustBundle::parse(json(&new).as_bytes()).unwrap());
    for own in [true, false] {
        let id = SpiffeId::parse("spiffe://td.example/spire/server").unwrap();
        let profile = BundleProfile::Spiffe { id, bootstrap: Arc::clone(&bootstrap), own };
        let location = KeyLocation::Bundle { url: Url::parse("https://td.example/").unwrap(), profile };
        let reach = Reach { networks: vec![Network::parse("10.0.0.0/8").unwrap()], ..Reach::default() };
        let within = KeyLocation::Within(Box::new(location), Box::new(reach));
        let state = CacheState::new(FetchTarget::whole(within, policy()), Arc::default());
        let roots = |state: &CacheState| state.spiffe_server().unwrap().roots.digest();
        assert_eq!(roots(&state), bootstrap.roots().digest());
        assert_eq!(state.route().await.unwrap().networks.len(), 1);
        state.fetched.store(Some(Arc::new(Fetched { material: served.clone(), at: Time::from_seconds(NOW) })));
        assert_eq!(roots(&state) == new.roots().digest(), own);
    }
}
