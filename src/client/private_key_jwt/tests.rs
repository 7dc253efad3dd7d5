#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::catalog::Status;
use crate::client::fixture::{
    ENDPOINT, ISSUER, KEY, OTHER_KEY, SECONDS, Sent, World, block_on, changed, good_claims, key, no_trust, own_key, secret,
    signed, signed_under,
};
use crate::client::{AuthenticatedClient, ClientAuth, ClientAuths};
use crate::jose::{Algorithm, KeySet, SigningKey, signatures_checked};
use crate::keys::{ClientJwks, RefreshPolicy};
use crate::net::Fetcher;
use crate::oauth::Clock;
use crate::patience::{PATIENCE, pass_async, until_async};

const CLIENT: &str = "researcher";

fn world() -> World {
    let legacy = ClientAuth::PrivateKeyJwt {
        keys: KeySet::of_signing_keys([&*KEY]).into(),
        algorithms: vec![Algorithm::ES256],
        accept_token_endpoint: true,
    };
    World::new(no_trust())
        .agent(CLIENT, vec![own_key(&KEY)])
        .agent("legacy", vec![legacy])
        .agent("other", vec![own_key(&OTHER_KEY)])
        .agent("rotating", vec![own_key(&OTHER_KEY), own_key(&KEY)])
        .agent("secretive", vec![secret("x", true, true)])
        .agent_that_is(Status::Suspended, "suspended", vec![own_key(&KEY)])
        .agent_that_is(Status::Retired, "retired", vec![own_key(&KEY)])
}

fn login(claims: &Value) -> Result<AuthenticatedClient, ClientReason> {
    world().try_login(&Sent::assertion(&signed(&KEY, claims)))
}

/// The outcome of a good assertion with these changes: `ok`, or the name of the reason.
fn verdict(changes: Value) -> String {
    verdict_for(CLIENT, changes)
}

fn verdict_for(client: &str, changes: Value) -> String {
    match login(&changed(good_claims(client), changes)) {
        Ok(proven) => format!("ok {}", proven.agent().id),
        Err(ClientReason::Assertion(reason)) => format!("{reason:?}"),
        Err(reason) => format!("{reason:?}"),
    }
}

#[test]
fn a_good_assertion_proves_the_client_and_its_key() {
    let text = signed(&KEY, &good_claims(CLIENT));
    let client = world().try_login(&Sent::assertion(&text).with("client_id", CLIENT)).unwrap();
    assert_eq!((client.agent().id.as_str(), client.method()), (CLIENT, AuthMethod::PrivateKeyJwt));
    assert_eq!(client.key(), Some(KEY.verifying_key().thumbprint()));
    assert_eq!(client.evidence(), Some(Digest::of(text.as_bytes())));
    assert!(client.instance().is_none() && client.attested().is_none() && !client.self_only());
}

#[test]
fn the_single_use_value_is_the_clients_and_the_jtis_until_exp() {
    let spent = login(&good_claims(CLIENT)).unwrap().spends()[0];
    assert_eq!(spent.digest, Digest::of(b"client_assertion\0researcher\0j-1").0);
    assert_eq!(spent.expires, Time::from_seconds(SECONDS + 300));
    let again = login(&changed(good_claims(CLIENT), json!({"exp": SECONDS + 100}))).unwrap().spends()[0];
    assert_eq!(again.digest, spent.digest);
    let legacy = login(&good_claims("legacy")).unwrap().spends()[0];
    assert_ne!(legacy.digest, spent.digest);
}

/// Negative test 28.
#[test]
fn aud_is_the_issuer_identifier_alone() {
    assert_eq!(verdict(json!({"aud": [ISSUER]})), "ok researcher");
    for aud in [
        json!(ENDPOINT),
        json!([ENDPOINT]),
        json!([ISSUER, ENDPOINT]),
        json!([ISSUER, "https://other.example"]),
        json!([ISSUER, ISSUER]),
        json!([]),
        json!(""),
        json!(7),
        json!({"x": ISSUER}),
        json!([7]),
        json!(format!("{ISSUER}/")),
        json!("HTTPS://sts.acme.example"),
        Value::Null,
    ] {
        assert_eq!(verdict(json!({"aud": aud})), "Audience", "{aud}");
    }
}

#[test]
fn the_agents_file_may_widen_aud_to_the_token_endpoint() {
    for aud in [json!(ISSUER), json!(ENDPOINT), json!([ENDPOINT])] {
        assert_eq!(verdict_for("legacy", json!({"aud": aud})), "ok legacy", "{aud}");
    }
    for aud in [json!([ISSUER, ENDPOINT]), json!("https://sts.acme.example/token/"), json!([]), Value::Null] {
        assert_eq!(verdict_for("legacy", json!({"aud": aud})), "AudienceOrEndpoint", "{aud}");
    }
}

/// Negative test 28: servers must not refuse a missing `typ`, and must refuse that of another kind of token.
#[test]
fn typ_is_absent_or_says_client_authentication() {
    let under = |typ: Value| {
        let header = changed(json!({"alg": "ES256", "kid": KEY.kid()}), json!({"typ": typ}));
        let text = signed_under(&header, &KEY, &good_claims(CLIENT));
        world().try_login(&Sent::assertion(&text)).map_err(|reason| format!("{reason:?}"))
    };
    let good = ["JWT", "jwt", "client-authentication+jwt", "application/client-authentication+jwt", "Client-Authentication+JWT"];
    assert!(under(Value::Null).is_ok());
    good.iter().for_each(|typ| assert!(under(json!(typ)).is_ok(), "{typ}"));
    for typ in
        ["at+jwt", "application/at+jwt", "JOSE", "dpop+jwt", "authorization-grant+jwt", "task+jwt", "", "client-authentication"]
    {
        assert_eq!(under(json!(typ)).unwrap_err(), "Assertion(Typ)", "{typ}");
    }
}

#[test]
fn exp_is_required_and_has_no_leeway() {
    assert_eq!(verdict(json!({"exp": null})), "ExpiryMissing");
    assert_eq!(verdict(json!({"exp": SECONDS})), "Expired");
    assert_eq!(verdict(json!({"exp": SECONDS - 1, "iat": null})), "Expired");
    assert_eq!(verdict(json!({"exp": SECONDS + 1})), "ok researcher");
    for exp in [json!("1800000300"), json!(1e300), json!(true), json!(-1), json!([1])] {
        assert_eq!(verdict(json!({"exp": exp})), r#"ClaimType("exp")"#, "{exp}");
    }
    assert_eq!(verdict(json!({"exp": SECONDS as f64 + 0.5})), "ok researcher");
}

#[test]
fn a_lifetime_is_an_hour_at_most() {
    assert_eq!(verdict(json!({"exp": SECONDS + 3600})), "ok researcher");
    assert_eq!(verdict(json!({"exp": SECONDS + 3601})), "Lifetime");
    assert_eq!(verdict(json!({"exp": SECONDS + 3600, "iat": null})), "ok researcher");
    assert_eq!(verdict(json!({"exp": SECONDS + 3601, "iat": null})), "Lifetime");
    assert_eq!(verdict(json!({"exp": SECONDS + 10, "iat": SECONDS - 3591})), "Lifetime");
    assert_eq!(verdict(json!({"exp": SECONDS + 10, "iat": SECONDS - 3590})), "ok researcher");
}

/// Negative test 27.
#[test]
fn iat_and_nbf_are_at_most_a_minute_ahead() {
    for name in ["iat", "nbf"] {
        for (ahead, expected) in [(10, "ok researcher"), (60, "ok researcher"), (61, "Ahead")] {
            assert_eq!(verdict(json!({name: SECONDS + ahead})), expected, "{name} {ahead}");
        }
    }
    assert_eq!(verdict(json!({"iat": "1800000000"})), r#"ClaimType("iat")"#);
    assert_eq!(verdict(json!({"nbf": {}})), r#"ClaimType("nbf")"#);
    assert_eq!(verdict(json!({"nbf": SECONDS - 1, "iat": SECONDS + 61})), "Ahead");
}

#[test]
fn jti_is_required_because_it_counts_once() {
    assert_eq!(verdict(json!({"jti": null})), "JtiMissing");
    assert_eq!(verdict(json!({"jti": ""})), "JtiLength");
    assert_eq!(verdict(json!({"jti": "x".repeat(255)})), "ok researcher");
    assert_eq!(verdict(json!({"jti": "x".repeat(256)})), "JtiLength");
    assert_eq!(verdict(json!({"jti": 7})), r#"ClaimType("jti")"#);
}

#[test]
fn iss_and_sub_are_the_client() {
    for changes in [
        json!({"iss": "nobody", "sub": "nobody"}),
        json!({"iss": "nobody"}),
        json!({"sub": "nobody"}),
        json!({"sub": "other"}),
        json!({"iss": "secretive", "sub": "secretive"}),
        json!({"iss": null}),
        json!({"sub": null}),
        json!({"iss": null, "sub": null}),
        json!({"iss": "Researcher", "sub": "Researcher"}),
    ] {
        assert_eq!(verdict(changes.clone()), "Stranger", "{changes}");
    }
    assert_eq!(verdict(json!({"iss": 7})), r#"Jose(ClaimType("iss"))"#);
    // Attack: another client's name over one's own signature.
    assert_eq!(verdict(json!({"iss": "other", "sub": "other"})), "Unproven(UnknownKey)");
}

#[test]
fn who_asks_cannot_tell_whether_a_client_exists() {
    let answer =
        |client: &str| world().try_login(&Sent::assertion(&signed(&OTHER_KEY, &good_claims(client)))).unwrap_err().to_string();
    let unknown = answer("nobody");
    for client in [CLIENT, "legacy", "secretive", "suspended", "retired"] {
        assert_eq!(answer(client), unknown, "{client}");
    }
}

/// Of every name, registered or not, whatever key its assertion names: one signature is verified, and refused.
#[test]
fn a_refusal_takes_the_work_of_one_verification_for_every_name() {
    let headers = [
        json!({"alg": "ES256"}),
        json!({"alg": "ES256", "kid": KEY.kid()}),
        json!({"alg": "ES256", "kid": "unknown"}),
        json!({"alg": "RS256", "kid": KEY.kid()}),
        json!({"alg": "EdDSA"}),
    ];
    for client in ["nobody", CLIENT, "legacy", "secretive", "suspended", "retired"] {
        for header in &headers {
            let text = signed_under(header, &OTHER_KEY, &good_claims(client));
            let before = signatures_checked();
            let refused = world().try_login(&Sent::assertion(&text)).unwrap_err();
            assert_eq!(signatures_checked() - before, 1, "{client} {header}: {refused:?}");
        }
    }
    let before = signatures_checked();
    assert!(login(&good_claims(CLIENT)).is_ok());
    assert_eq!(signatures_checked() - before, 1, "as many as a login takes that is granted");
}

/// As soon as some client publishes its keys, which may be waited for, every refusal that could tell of a client waits.
#[test]
fn a_refusal_waits_for_every_name_or_for_none() {
    let published = || {
        let keys = ClientJwks::refreshed("http://127.0.0.1:9/jwks".parse().unwrap(), RefreshPolicy::default());
        ClientAuth::PrivateKeyJwt { keys, algorithms: vec![Algorithm::ES256], accept_token_endpoint: false }
    };
    let waits = |world: World, client: &str, key: &SigningKey| world.waits(&Sent::assertion(&signed(key, &good_claims(client))));
    for client in ["nobody", CLIENT, "secretive", "suspended"] {
        assert!(!waits(world(), client, &OTHER_KEY), "{client}");
        assert!(waits(world().agent("published", vec![published()]), client, &OTHER_KEY), "{client}");
    }
    assert!(waits(world().agent("published", vec![published()]), "published", &OTHER_KEY));
    assert!(!waits(world().agent("published", vec![published()]), CLIENT, &KEY), "who proves itself waits for nobody");
    let answer = |client: &str| {
        let world = world().agent("published", vec![published()]);
        world.try_login(&Sent::assertion(&signed(&OTHER_KEY, &good_claims(client)))).unwrap_err().to_string()
    };
    assert_eq!(answer("published"), answer("nobody"), "keys that cannot be had are not told");
}

#[test]
fn only_who_holds_a_key_learns_which_claim_is_wrong() {
    let claims = changed(good_claims(CLIENT), json!({"aud": "x", "exp": 1, "jti": null}));
    let header = json!({"alg": "ES256", "kid": KEY.kid(), "typ": "at+jwt"});
    assert_eq!(world().refuses(&Sent::assertion(&signed_under(&header, &OTHER_KEY, &claims))), "Unproven(Signature)");
    assert_eq!(world().refuses(&Sent::assertion(&signed_under(&header, &KEY, &claims))), "Assertion(Typ)");
}

#[test]
fn client_id_must_agree() {
    let sent = Sent::assertion(&signed(&KEY, &good_claims(CLIENT)));
    for other in ["other", "nobody", "Researcher"] {
        assert_eq!(world().refuses(&sent.clone().with("client_id", other)), "ClientIdDiffers");
    }
}

/// Attacks 16 and 18.
#[test]
fn only_allowed_algorithms_and_registered_keys_verify() {
    let claims = good_claims(CLIENT);
    for (header, expected) in [
        (json!({"alg": "none"}), "Jose(Algorithm)"),
        (json!({"alg": "HS256", "kid": KEY.kid()}), "Jose(Algorithm)"),
        (json!({"kid": KEY.kid()}), "Jose(Algorithm)"),
        (json!({"alg": "ES384", "kid": KEY.kid()}), "Unproven(AlgorithmNotAllowed)"),
        (json!({"alg": "ES256", "kid": OTHER_KEY.kid()}), "Unproven(UnknownKey)"),
        (json!({"alg": "ES256", "jwk": {"kty": "EC"}}), "Jose(HeaderMember)"),
        (json!({"alg": "ES256", "jku": "https://evil.example"}), "Jose(HeaderMember)"),
    ] {
        let text = signed_under(&header, &KEY, &claims);
        assert_eq!(world().refuses(&Sent::assertion(&text)), expected, "{header}");
    }
    let rsa = key(Algorithm::RS256);
    let world = || {
        let login = ClientAuth::PrivateKeyJwt {
            keys: KeySet::of_signing_keys([&rsa]).into(),
            algorithms: vec![Algorithm::PS256],
            accept_token_endpoint: false,
        };
        World::new(no_trust()).agent(CLIENT, vec![login])
    };
    assert_eq!(world().refuses(&Sent::assertion(&signed(&rsa, &claims))), "Unproven(AlgorithmNotAllowed)");
}

#[test]
fn a_key_without_kid_in_the_token_and_a_second_login_serve() {
    let text = signed_under(&json!({"alg": "ES256"}), &KEY, &good_claims(CLIENT));
    assert!(world().try_login(&Sent::assertion(&text)).is_ok());
    for key in [&*KEY, &*OTHER_KEY] {
        let client = world().try_login(&Sent::assertion(&signed(key, &good_claims("rotating")))).unwrap();
        assert_eq!(client.key(), Some(key.verifying_key().thumbprint()));
    }
}

#[test]
fn suspended_and_retired_agents_learn_so_after_they_proved_themselves() {
    assert_eq!(verdict_for("suspended", json!({})), "Suspended");
    assert_eq!(verdict_for("retired", json!({})), "Retired");
    assert_eq!(verdict_for("suspended", json!({"exp": 1})), "Expired");
}

#[test]
fn what_is_no_jws_is_refused() {
    let good = signed(&KEY, &good_claims(CLIENT));
    for text in
        ["x", "a.b", "a.b.c.d", "..", &good.replace('.', "="), &format!("{good}="), &format!("{good}.x"), &good.repeat(99)]
    {
        assert!(world().refuses(&Sent::assertion(text)).starts_with("Jose("));
    }
}

/// A server that publishes what it is told to, and counts how often it was asked.
fn publisher(set: Arc<Mutex<String>>) -> (Url, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap()).parse().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _request = stream.read(&mut [0; 4096]).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let body = set.lock().unwrap().clone();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/jwk-set+json\r\nConnection: close";
            write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    (url, asked)
}

#[test]
fn keys_that_a_client_publishes_are_fetched_and_rotate() {
    let published = |keys: &[&SigningKey]| {
        let keys: Vec<String> = keys.iter().map(|key| key.public_jwk()).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    };
    let set = Arc::new(Mutex::new(published(&[&KEY])));
    let (url, asked) = publisher(Arc::clone(&set));
    let logins = |cool_down: Duration| {
        let pace = RefreshPolicy { interval: 2 * PATIENCE, cool_down, wait_max: PATIENCE, ..RefreshPolicy::default() };
        let keys = ClientJwks::refreshed(url.clone(), pace);
        let login = ClientAuth::PrivateKeyJwt { keys, algorithms: vec![Algorithm::ES256], accept_token_endpoint: false };
        ClientAuths::new([(ClientId::parse(CLIENT).unwrap(), vec![login])]).unwrap()
    };
    let clock: Arc<dyn Clock> = Arc::new(Stopped);
    block_on(async {
        let (fetcher, short) = (Fetcher::within(PATIENCE), Duration::from_millis(150));
        let text = |key: &SigningKey| signed(key, &good_claims(CLIENT));
        let proved = async |logins: &ClientAuths, key: &SigningKey| proves(logins, &text(key)).await;
        let (resting, first) = (logins(PATIENCE), logins(short));
        for logins in [&resting, &first] {
            logins.keep_fresh(&fetcher, &clock);
            assert_eq!(proved(logins, &KEY).await, "ok", "the first use waits for the fetch");
        }
        *set.lock().unwrap() = published(&[&KEY, &OTHER_KEY]);
        pass_async(short).await;
        assert_eq!(proved(&resting, &OTHER_KEY).await, "Unproven(UnknownKey)", "it was looked at just now");
        until_async("an unknown kid is looked for once more", async || proved(&first, &OTHER_KEY).await == "ok").await;
        // A reload keeps what was fetched and asks nobody.
        let fetches = asked.load(Ordering::SeqCst);
        let second = logins(short).taking_over(&first);
        second.keep_fresh(&fetcher, &clock);
        assert_eq!(proved(&second, &OTHER_KEY).await, "ok");
        assert_eq!(asked.load(Ordering::SeqCst), fetches);
        // A key that is withdrawn no longer counts once the set was fetched again.
        *set.lock().unwrap() = published(&[&OTHER_KEY]);
        until_async("it is fetched again", async || {
            assert_eq!(proved(&second, &key(Algorithm::ES256)).await, "Unproven(UnknownKey)");
            asked.load(Ordering::SeqCst) > fetches
        })
        .await;
        assert_eq!(proved(&second, &KEY).await, "Unproven(UnknownKey)");
    });
}

#[test]
fn keys_that_cannot_be_had_are_no_verdict() {
    let impatient = RefreshPolicy { wait_max: Duration::from_millis(20), ..RefreshPolicy::default() };
    let keys = ClientJwks::refreshed("http://127.0.0.1:9/jwks".parse().unwrap(), impatient);
    let login = ClientAuth::PrivateKeyJwt { keys, algorithms: vec![Algorithm::ES256], accept_token_endpoint: false };
    let world = World::new(no_trust()).agent(CLIENT, vec![login]);
    assert_eq!(world.refuses(&Sent::assertion(&signed(&KEY, &good_claims(CLIENT)))), "KeysUnpublished");
}

/// Keys that cannot be had make a refusal no verdict, in whichever order the logins stand, and hinder none that serves.
#[test]
fn keys_that_cannot_be_had_do_not_stand_in_the_way_of_others() {
    let world = |missing_first: bool| {
        let impatient = RefreshPolicy { wait_max: Duration::from_millis(20), ..RefreshPolicy::default() };
        let keys = ClientJwks::refreshed("http://127.0.0.1:9/jwks".parse().unwrap(), impatient);
        let missing = ClientAuth::PrivateKeyJwt { keys, algorithms: vec![Algorithm::ES256], accept_token_endpoint: false };
        let mut logins = vec![own_key(&KEY), missing];
        logins.rotate_left(usize::from(missing_first));
        World::new(no_trust()).agent(CLIENT, logins)
    };
    for missing_first in [false, true] {
        assert!(world(missing_first).try_login(&Sent::assertion(&signed(&KEY, &good_claims(CLIENT)))).is_ok());
        let refused = world(missing_first).refuses(&Sent::assertion(&signed(&OTHER_KEY, &good_claims(CLIENT))));
        assert_eq!(refused, "KeysUnpublished");
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Time {
        Time::from_seconds(SECONDS)
    }
}

async fn proves(logins: &ClientAuths, text: &str) -> String {
    let jws = Compact::parse(text).unwrap();
    let login = logins.keys_of(&ClientId::parse(CLIENT).unwrap());
    match verify(login, &jws, Time::from_seconds(SECONDS)).await {
        Ok(_) => "ok".to_owned(),
        Err(reason) => format!("{reason:?}"),
    }
}

proptest! {
    #[test]
    fn no_assertion_panics_or_logs_in(text in any::<String>(), claims in any::<Vec<u8>>(), dotted in "[A-Za-z0-9_.=-]{0,80}") {
        for text in [&text, &dotted] {
            prop_assert!(world().try_login(&Sent::assertion(text)).is_err());
            prop_assert!(world().try_login(&Sent::svid(text)).is_err());
            prop_assert!(world().try_login(&Sent::subject_token(text)).is_err());
        }
        prop_assert!(world().try_login(&Sent::assertion(&KEY.sign("JWT", &claims).unwrap())).is_err());
    }

    #[test]
    fn only_the_good_value_of_each_claim_logs_in(name in "iss|sub|aud|exp|jti", value in "[\"a-z0-9:/.{}\\[\\],-]{0,12}") {
        let value: Value = serde_json::from_str(&value).unwrap_or(Value::Null);
        let good = matches!((&*name, &value), ("jti", Value::String(text)) if !text.is_empty());
        prop_assert_eq!(login(&changed(good_claims(CLIENT), json!({name: value}))).is_ok(), good);
    }
}
