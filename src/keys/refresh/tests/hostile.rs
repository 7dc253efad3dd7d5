//! Issuers that do everything wrong, all at once, beside one that does everything right.

use std::net::IpAddr;
use std::pin::Pin;

use super::*;
use crate::net::{FetchReason, Lookup, Network};
use crate::patience::at_once;

/// Answers each path in its own bad way.
async fn misbehave(mut stream: tokio::net::TcpStream, canary: String) {
    let mut request = vec![0; 4096];
    let read = stream.read(&mut request).await.unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..read]).into_owned();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    match request.split_whitespace().nth(1).unwrap_or_default() {
        "/hang" => std::future::pending().await,
        "/redirect" => {
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {canary}\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        "/error" => drop(stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await),
        "/huge" => {
            let _ = stream.write_all(format!("{head}Content-Length: 10485760\r\n\r\n").as_bytes()).await;
            let block = vec![b' '; 64 * 1024];
            while stream.write_all(&block).await.is_ok() {}
        }
        "/endless" => {
            let _ = stream.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await;
            while stream.write_all(b"4\r\n    \r\n").await.is_ok() {}
        }
        "/html" => drop(stream.write_all(ok("text/html", "<html>").as_bytes()).await),
        "/slow" => {
            let _ = stream.write_all(format!("{head}Content-Length: 1000\r\n\r\n").as_bytes()).await;
            while stream.write_all(b" ").await.is_ok() {
                pass_async(Duration::from_millis(20)).await;
            }
        }
        _ => {}
    }
}

async fn serve(answer: impl Fn(tokio::net::TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}

/// A zone that answers with a public address first, and with loopback ever after.
#[derive(Debug, Default)]
struct Flipping(AtomicUsize);

impl Lookup for Flipping {
    fn lookup(&self, _host: String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        // 192.88.99.1 is a public address that nobody answers at.
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        let address: IpAddr = if first { [192, 88, 99, 1].into() } else { [127, 0, 0, 1].into() };
        Box::pin(async move { Ok(vec![address]) })
    }
}

fn rule(name: &str, issuer: &str, location: KeyLocation, policy: RefreshPolicy) -> TrustRule {
    let parts = TrustRuleParts::for_tests(
        name,
        TrustKind::Oidc,
        IssuerSelector::Issuer(Issuer::parse(issuer).unwrap()),
        KeySource::Remote(location, policy),
    );
    TrustRule::new(parts).unwrap()
}

async fn present(trust: &TrustStore, issuer: &str, key: &SigningKey) -> Result<VerifiedAssertion, TrustReason> {
    let claims = format!(r#"{{"iss":"{issuer}","sub":"a","aud":"us","exp":{}}}"#, NOW + 50_000);
    let token = key.sign("JWT", claims.as_bytes()).unwrap();
    trust.verify(&Compact::parse(&token).unwrap(), Time::from_seconds(NOW)).await.map_err(|refused| refused.reason())
}

/// Negative tests 48 and 49; attacks 33 and 36.
#[test]
fn bad_issuers_are_bounded_and_the_others_do_not_notice() {
    run(async {
        let touched = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&touched);
        let canary = serve(move |_stream| {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async {})
        });
        let canary = canary.await;
        let port = canary.rsplit(':').next().unwrap().to_owned();
        let bad = format!("http://{canary}/");
        let bad = serve(move |stream| Box::pin(misbehave(stream, bad.clone()))).await;
        let (origin, key) = (Origin::start().await, key());
        origin.set(|answers| answers.keys = published(&[&key]));
        let policy = RefreshPolicy { interval: Duration::from_millis(100), ..policy() };
        let paths = ["hang", "redirect", "error", "huge", "endless", "html", "slow"];
        let at = |path: &str| KeyLocation::Uri(Url::parse(&format!("http://{bad}/{path}")).unwrap());
        let mut rules: Vec<TrustRule> =
            paths.iter().map(|path| rule(path, &format!("https://{path}.example"), at(path), policy)).collect();
        let flip = KeyLocation::Uri(Url::parse(&format!("https://flip.example:{port}/keys")).unwrap());
        rules.push(rule("flip", "https://flip.example", flip, policy));
        rules.push(rule("good", &origin.address, KeyLocation::Uri(origin.uri()), policy));
        let trust = Arc::new(TrustStore::new(rules, None).unwrap());
        let began = Began::now();
        trust.keep_fresh(&Fetcher::within(Duration::from_secs(1)).looking_up(Arc::new(Flipping::default())), &clock());
        until_async("the good keys come", async || present(&trust, &origin.address, &key).await.is_ok()).await;
        let others: Vec<_> = paths
            .iter()
            .copied()
            .chain(["flip"])
            .map(|path| {
                let (trust, key) = (Arc::clone(&trust), key.clone());
                tokio::spawn(async move { present(&trust, &format!("https://{path}.example"), &key).await.err() })
            })
            .collect();
        tokio::task::yield_now().await;
        for _ in 0..50 {
            assert!(at_once(present(&trust, &origin.address, &key)).is_ok(), "whoever has its keys waits for nobody");
        }
        for other in others {
            assert_eq!(other.await.unwrap(), Some(TrustReason::KeysUnavailable));
        }
        let states = || trust.key_states(Time::from_seconds(NOW)).into_iter().filter(|state| state.rule.as_str() != "good");
        until_async("each bad one fails again", async || states().all(|state| state.failures >= 2)).await;
        assert_eq!(touched.load(Ordering::SeqCst), 0, "a redirect or a flipped name led to the canary");
        let states = trust.key_states(Time::from_seconds(NOW));
        assert!(states.iter().all(|state| state.usable == (state.rule.as_str() == "good")), "{states:?}");
        let most = 2 + began.room_for(policy.interval);
        assert!(states.iter().filter(|state| !state.usable).all(|state| state.failures <= most), "{most}: {states:?}");
    });
}

/// Attack 33: what a name leads to is checked, and the connection goes to what was checked.
#[test]
fn a_name_leads_to_private_addresses_only_where_they_are_named() {
    run(async {
        let (origin, key) = (Origin::start().await, key());
        origin.set(|answers| answers.keys = published(&[&key]));
        let port = origin.address.rsplit(':').next().unwrap();
        // Plain http is for loopback hosts, so a name of our own is reached under the name that means loopback.
        let uri = Url::parse(&format!("http://localhost:{port}/keys")).unwrap();
        let looking = |address: [u8; 4]| patient().looking_up(Arc::new(Fixed(address)));
        assert!(looking([127, 0, 0, 1]).get(&uri, JSON_TYPES, &Route::default()).await.is_ok());
        for address in [[10, 0, 0, 1], [169, 254, 169, 254], [192, 168, 0, 1], [0, 0, 0, 0]] {
            let failed = looking(address).get(&uri, JSON_TYPES, &Route::default()).await.unwrap_err();
            assert!(failed.to_string().contains("neither public nor"), "{failed}");
        }
        let https = Url::parse(&format!("https://internal.example:{port}/keys")).unwrap();
        let failed = looking([127, 0, 0, 1]).get(&https, JSON_TYPES, &Route::default()).await.unwrap_err();
        assert!(failed.to_string().contains("neither public nor"), "{failed}");
        let route = Route { networks: vec![Network::parse("127.0.0.0/8").unwrap()], ..Route::default() };
        let failed = looking([127, 0, 0, 1]).get(&https, JSON_TYPES, &route).await.unwrap_err();
        assert!(matches!(failed, FetchReason::Network(_)) && !failed.to_string().contains("neither public"), "{failed}");
    });
}

#[derive(Debug)]
struct Fixed([u8; 4]);

impl Lookup for Fixed {
    fn lookup(&self, _host: String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        let address = self.0.into();
        Box::pin(async move { Ok(vec![address]) })
    }
}

/// Attack 36: as many unknown `kid`s as the machine can send cost one fetch per cool-down and leave nothing behind.
#[test]
fn a_flood_of_unknown_kids_leaves_nothing_behind() {
    run(async {
        let (origin, known) = (Origin::start().await, key());
        origin.set(|answers| answers.keys = published(&[&known]));
        let policy = RefreshPolicy { cool_down: Duration::from_secs(30), ..policy() };
        let trust = Arc::new(super::trust(origin.issuer(), KeyLocation::Uri(origin.uri()), policy));
        trust.keep_fresh(&patient(), &clock());
        assert!(present(&trust, &origin.address, &known).await.is_ok());
        let strangers: Vec<SigningKey> = (0..8).map(|_| key()).collect();
        let floods: Vec<_> = (0..2_000)
            .map(|turn| {
                let (trust, key, issuer) = (Arc::clone(&trust), strangers[turn % 8].clone(), origin.address.clone());
                tokio::spawn(async move { present(&trust, &issuer, &key).await.err() })
            })
            .collect();
        for flood in floods {
            assert_eq!(flood.await.unwrap(), Some(TrustReason::Jose(JoseReason::UnknownKey)));
        }
        assert_eq!(origin.asked(), 1);
        assert_eq!(trust.remembered(), 1, "only the token that verified is remembered");
    });
}

/// Strangers who ask of one issuer, by however many names and keys, cost nobody else a fetch, and keep nobody else's new key
/// from being found: there is one task per address that the configuration names, and it rests after each fetch, whoever asks.
#[test]
fn a_flood_at_one_issuer_asks_no_other_and_the_other_finds_its_new_key() {
    run(async {
        let (flooded, other) = (Origin::start().await, Origin::start().await);
        let (known, old, new) = (key(), key(), key());
        flooded.set(|answers| answers.keys = published(&[&known]));
        other.set(|answers| answers.keys = published(&[&old]));
        let policy = RefreshPolicy { cool_down: PATIENCE, ..policy() };
        let of = |name, origin: &Origin, policy| rule(name, &origin.address, KeyLocation::Uri(origin.uri()), policy);
        let quick = RefreshPolicy { cool_down: Duration::from_millis(50), ..policy };
        let rules = vec![of("flooded", &flooded, policy), of("other", &other, quick)];
        let trust = Arc::new(TrustStore::new(rules, None).unwrap());
        trust.keep_fresh(&patient(), &clock());
        assert!(present(&trust, &flooded.address, &known).await.is_ok() && present(&trust, &other.address, &old).await.is_ok());
        let strangers: Vec<SigningKey> = (0..8).map(|_| key()).collect();
        for turn in 0..1_000 {
            let nowhere = format!("https://nobody-{turn}.example");
            assert!(present(&trust, &flooded.address, &strangers[turn % 8]).await.is_err());
            assert!(present(&trust, &nowhere, &strangers[turn % 8]).await.is_err());
        }
        assert_eq!((flooded.asked(), other.asked()), (1, 1));
        other.set(|answers| answers.keys = published(&[&old, &new]));
        until_async("the new key is found", async || present(&trust, &other.address, &new).await.is_ok()).await;
        assert_eq!((flooded.asked(), other.asked()), (1, 2));
    });
}
