#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::client::fixture::{ISSUER, NOW, SECONDS, changed, key};
use crate::crypto::MacKey;
use crate::jose::{EmbeddedKeyReason, JoseReason, KeyReason, SigningKey};

static KEY: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::ES256));

fn rules() -> DpopRules {
    DpopRules {
        bases: vec![ISSUER.to_owned()],
        age_max: Duration::from_secs(60),
        known: Arc::default(),
        nonces: Nonces::new(MacKey::new(&[7; 32])),
        nonce_required: false,
    }
}

fn good() -> Value {
    json!({"jti": "p-1", "htm": "POST", "htu": "https://sts.acme.example/token", "iat": SECONDS})
}

fn proof(changes: Value) -> String {
    KEY.sign_with_key("dpop+jwt", changed(good(), changes).to_string().as_bytes()).unwrap()
}

fn proved(text: &str, rules: &DpopRules) -> Result<DpopProof, DpopReason> {
    prove(text, Endpoint::post("/token"), None, rules, NOW)
}

fn refused(changes: Value) -> DpopReason {
    proved(&proof(changes), &rules()).unwrap_err()
}

/// A proof under a header of one's own.
fn under(header: &Value) -> String {
    let message = [header, &good()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(KEY.sign_bytes(message.as_bytes()).unwrap()))
}

fn jwk() -> Value {
    let public: Value = serde_json::from_str(&KEY.public_jwk()).unwrap();
    changed(public, json!({"kid": null, "use": null, "alg": null}))
}

#[test]
fn a_good_proof_proves_its_key_once() {
    let one = proved(&proof(json!({})), &rules()).unwrap();
    assert_eq!(one.key, KEY.verifying_key().thumbprint());
    assert_eq!(one.single_use.expires, Time::from_seconds(SECONDS + 60), "remembered until it would be too old");
    assert_eq!(one.single_use.kind, SingleUseKind::Proof);
    // Signed anew, written in another way: the same key, address and jti are the same use.
    let again = proved(&proof(json!({"iat": SECONDS - 5, "htu": "HTTPS://STS.acme.example:443/token"})), &rules()).unwrap();
    assert_eq!(one.single_use.digest, again.single_use.digest);
    let other = proved(&proof(json!({"jti": "p-2"})), &rules()).unwrap();
    assert_ne!(one.single_use.digest, other.single_use.digest);
    let elsewhere = proof(json!({"htu": "https://sts.acme.example/tasks"}));
    let elsewhere = prove(&elsewhere, Endpoint::post("/tasks"), None, &rules(), NOW).unwrap();
    assert_ne!(one.single_use.digest, elsewhere.single_use.digest, "each endpoint has jtis of its own");
}

#[test]
fn check_2_the_header_is_one_well_formed_jwt() {
    let two = format!("{0}, {0}", proof(json!({})));
    for text in ["", "a.b", "a.b.c.d", "not a jwt", &two] {
        assert!(matches!(proved(text, &rules()).unwrap_err(), DpopReason::Proof(EmbeddedKeyReason::Jose(_))), "{text}");
    }
}

#[test]
fn check_3_the_required_claims_are_there() {
    for name in ["jti", "htm", "htu", "iat"] {
        assert_eq!(refused(json!({name: null})), DpopReason::ClaimMissing(name));
        assert_eq!(refused(json!({name: ["x"]})), DpopReason::ClaimType(name));
    }
    assert_eq!(refused(json!({"jti": ""})), DpopReason::JtiLength);
    assert_eq!(refused(json!({"jti": "x".repeat(256)})), DpopReason::JtiLength);
}

#[test]
fn check_4_the_type_is_dpop_jwt() {
    let with = |typ: Value| {
        proved(&under(&changed(json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk()}), json!({"typ": typ}))), &rules())
    };
    assert!(with(json!("dpop+jwt")).is_ok() && with(json!("application/DPoP+JWT")).is_ok());
    for typ in [json!(null), json!("JWT"), json!("at+jwt"), json!("dpop"), json!("client-authentication+jwt")] {
        assert_eq!(with(typ).unwrap_err(), DpopReason::Typ);
    }
}

#[test]
fn check_5_the_algorithm_is_one_of_those_published() {
    let with = |alg: &str| proved(&under(&json!({"alg": alg, "typ": "dpop+jwt", "jwk": jwk()})), &rules()).unwrap_err();
    for alg in ["none", "HS256", "", "es256"] {
        assert_eq!(with(alg), DpopReason::Proof(EmbeddedKeyReason::Jose(JoseReason::Algorithm)), "{alg}");
    }
    assert_eq!(with("ES384"), DpopReason::Proof(EmbeddedKeyReason::Jose(JoseReason::AlgorithmNotAllowed)));
    assert_eq!(with("EdDSA"), DpopReason::Proof(EmbeddedKeyReason::Key(KeyReason::Algorithm)), "the key is for another");
    let pinned = under(&json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": changed(jwk(), json!({"alg": "ES384"}))}));
    assert_eq!(
        proved(&pinned, &rules()).unwrap_err(),
        DpopReason::Proof(EmbeddedKeyReason::Key(KeyReason::Algorithm)),
        "it says so"
    );
}

/// The members that common clients write beside the members that RFC 9449 §4.2 asks for: WebCrypto exports `ext` and `key_ops`.
#[test]
fn a_public_key_may_say_more_about_itself() {
    for more in [json!({"key_ops": ["verify"], "ext": true}), json!({"alg": "ES256", "use": "sig", "kid": "k-1"})] {
        let text = under(&json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": changed(jwk(), more)}));
        assert_eq!(proved(&text, &rules()).unwrap().key, KEY.verifying_key().thumbprint());
    }
}

#[test]
fn check_6_the_signature_is_that_of_the_key_in_the_header() {
    let other: Value = serde_json::from_str(&key(Algorithm::ES256).public_jwk()).unwrap();
    let under_other = under(&json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": other}));
    assert_eq!(proved(&under_other, &rules()).unwrap_err(), DpopReason::Proof(EmbeddedKeyReason::Jose(JoseReason::Signature)));
    assert_eq!(
        proved(&under(&json!({"alg": "ES256", "typ": "dpop+jwt"})), &rules()).unwrap_err(),
        DpopReason::Proof(EmbeddedKeyReason::KeyMissing)
    );
}

#[test]
fn check_7_the_key_is_public() {
    for member in ["d", "k", "p", "q", "dp", "dq", "qi", "oth"] {
        let private = changed(jwk(), json!({member: "AAAA"}));
        let text = under(&json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": private}));
        assert_eq!(proved(&text, &rules()).unwrap_err(), DpopReason::Proof(EmbeddedKeyReason::KeyPrivate), "{member}");
    }
    for bad in [json!("x"), json!([]), json!({}), json!({"kty": "oct"}), changed(jwk(), json!({"x": "AAAA"}))] {
        let refused = proved(&under(&json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": bad})), &rules()).unwrap_err();
        assert!(matches!(refused, DpopReason::Proof(EmbeddedKeyReason::Key(_) | EmbeddedKeyReason::KeyMissing)), "{refused:?}");
    }
}

#[test]
fn check_8_the_method_is_that_of_the_request() {
    for htm in ["GET", "post", "PUT", "", "POST "] {
        assert_eq!(refused(json!({"htm": htm})), DpopReason::Htm("POST"), "{htm}");
    }
}

#[test]
fn check_9_the_address_is_that_of_the_endpoint() {
    let same = [
        "https://sts.acme.example/token",
        "https://sts.acme.example/token?a=b",
        "https://sts.acme.example/token#f",
        "https://sts.acme.example:443/token",
        "HTTPS://STS.ACME.EXAMPLE/token",
        "https://sts.acme.example/%74oken",
        "https://sts.acme.example/x/../token",
        "https://sts.acme.example/./token",
    ];
    for htu in same {
        assert!(proved(&proof(json!({"htu": htu})), &rules()).is_ok(), "{htu}");
    }
    let others = [
        "http://sts.acme.example/token",
        "http://sts.acme.example:443/token",
        "https://:password@sts.acme.example/token",
        "https://sts.acme.example:8443/token",
        "https://sts.acme.example/token/",
        "https://sts.acme.example/Token",
        "https://sts.acme.example/token%2F",
        "https://sts.acme.example/introspect",
        "https://sts.acme.example",
        "https://sts.acme.example.evil.example/token",
        "https://evil.example/token",
        "https://sts.acme.example@evil.example/token",
        "https://user@sts.acme.example/token",
        "https://sts.acme.example\\token",
        "https:/sts.acme.example/token",
        "https:///sts.acme.example/token",
        "https:sts.acme.example/token",
        " https://sts.acme.example/token",
        "https://sts.acme.example/to\tken",
        "//sts.acme.example/token",
        "/token",
        "",
        "https://sts.acme.example/%",
        "https://sts.acme.example/%zz",
        "https://sts.acme.example/%+4oken",
        "https://sts.acm\u{e9}.example/token",
    ];
    for htu in others {
        assert_eq!(refused(json!({"htu": htu})), DpopReason::Htu, "{htu}");
    }
    assert_eq!(refused(json!({"htu": format!("https://sts.acme.example/token?{}", "x".repeat(2048))})), DpopReason::Htu);
}

#[test]
fn an_endpoint_may_have_several_addresses_and_a_jti_counts_once_at_all_of_them() {
    let rules = DpopRules { bases: vec![ISSUER.to_owned(), "https://mtls.acme.example:9443/as".to_owned()], ..rules() };
    let at = |htu: &str| proved(&proof(json!({"htu": htu})), &rules);
    let one = at("https://sts.acme.example/token").unwrap();
    let other = at("https://MTLS.acme.example:9443/as/token?x").unwrap();
    assert_eq!(one.single_use.digest, other.single_use.digest);
    assert_eq!(at("https://mtls.acme.example:9443/token").unwrap_err(), DpopReason::Htu);
    assert_eq!(at("https://mtls.acme.example/as/token").unwrap_err(), DpopReason::Htu);
}

/// RFC 3986 §6.2.2.1 and §6.2.2.2; a client may normalise what it read in the metadata.
#[test]
fn an_address_counts_however_it_is_escaped() {
    let bases = ["http://127.0.0.1:8693", "https://acme.example/a-b_c.d~e", "https://acme.example/caf%C3%a9"];
    let rules = DpopRules { bases: bases.map(str::to_owned).into(), ..rules() };
    let at = |htu: &str| proved(&proof(json!({"htu": htu})), &rules).map(|_| ());
    for htu in
        ["https://acme.example/a%2Db%5fc%2ed%7Ee/token", "https://acme.example/caf%c3%A9/token", "http://127.0.0.1:8693/token"]
    {
        assert_eq!(at(htu), Ok(()), "{htu}");
    }
    for htu in ["http:///127.0.0.1:8693/token", "http:127.0.0.1:8693/token", "https://acme.example/caf\u{e9}/token"] {
        assert_eq!(at(htu), Err(DpopReason::Htu), "{htu}");
    }
}

#[test]
fn check_9_the_path_that_was_asked_has_one_spelling() {
    let asked = |path: &str, htu: &str| {
        let htu = format!("https://sts.acme.example{htu}");
        prove(&proof(json!({ "htu": htu, "htm": "GET" })), Endpoint::get(path), None, &rules(), NOW)
    };
    for path in ["/tasks/./a", "/tasks/b/../a", "/tasks/%61", "/tasks/a?b", "/tasks/a#b", "/tasks/a\0", "/tasks/\u{e4}"] {
        for htu in ["/tasks/a", path] {
            assert_eq!(asked(path, htu).unwrap_err(), DpopReason::Htu, "{path} {htu}");
        }
    }
}

#[test]
fn check_10_the_nonce_is_one_of_ours() {
    let rules = DpopRules { nonce_required: true, ..rules() };
    let with = |nonce: Value| proved(&proof(json!({"nonce": nonce})), &rules);
    let nonce = rules.nonces.current(NOW);
    assert_eq!(with(json!(null)).unwrap_err(), DpopReason::NonceMissing);
    assert_eq!(with(json!("guess")).unwrap_err(), DpopReason::NonceStale);
    assert_eq!(with(json!(7)).unwrap_err(), DpopReason::ClaimType("nonce"));
    assert_eq!(with(json!(nonce)).unwrap().single_use.expires, NOW.plus(Nonces::lifetime()));
    let late =
        prove(&proof(json!({"nonce": nonce})), Endpoint::post("/token"), None, &rules, NOW.plus(Nonces::lifetime())).unwrap_err();
    assert_eq!(late, DpopReason::NonceStale);
    assert!(DpopReason::NonceStale.wants_nonce() && DpopReason::NonceMissing.wants_nonce() && !DpopReason::Old.wants_nonce());
    // Who has a nonce needs no clock.
    assert!(proved(&proof(json!({"nonce": nonce, "iat": SECONDS - 86_400})), &rules).is_ok());
}

/// RFC 9449 §11.1: what was accepted by its nonce is remembered for as long as the nonce counts. It must not count by its `iat`
/// once that is over.
#[test]
fn a_nonce_of_ours_that_is_over_is_refused_where_none_is_asked_for() {
    let rules = rules();
    let nonce = rules.nonces.current(Time::from_seconds(SECONDS - 150));
    let text = proof(json!({"nonce": nonce, "iat": SECONDS + 60}));
    let until = proved(&text, &rules).unwrap().single_use.expires;
    assert_eq!(until, Time::from_seconds(SECONDS + 30));
    assert_eq!(prove(&text, Endpoint::post("/token"), None, &rules, until).unwrap_err(), DpopReason::NonceStale);
    let ahead = rules.nonces.current(Time::from_seconds(SECONDS + 90));
    assert_eq!(proved(&proof(json!({"nonce": ahead})), &rules).unwrap_err(), DpopReason::NonceStale);
}

#[test]
fn check_11_the_proof_was_made_just_now() {
    let at = |iat: i64| proved(&proof(json!({"iat": iat})), &rules()).map(|proof| proof.single_use.expires);
    assert_eq!(at(SECONDS - 59), Ok(Time::from_seconds(SECONDS + 1)));
    assert_eq!(at(SECONDS - 60), Err(DpopReason::Old));
    assert_eq!(at(SECONDS + 60), Ok(Time::from_seconds(SECONDS + 120)));
    assert_eq!(at(SECONDS + 61), Err(DpopReason::Ahead));
    assert!(proved(&proof(json!({"iat": SECONDS as f64 + 0.25})), &rules()).is_ok(), "a NumericDate may be a fraction");
    assert_eq!(refused(json!({"iat": "now"})), DpopReason::ClaimType("iat"));
    assert_eq!(refused(json!({"iat": 1e300})), DpopReason::ClaimType("iat"));
    // A nonce that is not ours, where none is asked for, changes nothing.
    assert_eq!(refused(json!({"iat": SECONDS - 60, "nonce": "x"})), DpopReason::Old);
}

/// RFC 9449 §4.1: the proof of the RFC, at its time and its server.
#[test]
fn the_proof_of_the_rfc_is_accepted_at_its_time() {
    let text = concat!(
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR",
        "nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaH",
        "RtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLv",
        "qRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
    );
    let rules = DpopRules { bases: vec!["https://server.example.com".to_owned()], ..rules() };
    let proof = prove(text, Endpoint::post("/token"), None, &rules, Time::from_seconds(1_562_262_616)).unwrap();
    assert_eq!(proof.key.to_string(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!(prove(text, Endpoint::post("/token"), None, &rules, NOW).unwrap_err(), DpopReason::Old);
}

#[test]
fn sentences_are_printable() {
    let proofs = [EmbeddedKeyReason::KeyMissing, EmbeddedKeyReason::KeyPrivate, EmbeddedKeyReason::Key(KeyReason::Malformed)];
    let of_proofs = proofs.into_iter().chain([EmbeddedKeyReason::Jose(JoseReason::Signature)]).map(DpopReason::Proof);
    use DpopReason::{
        Ahead, Ath, ClaimMissing, ClaimType, Htm, Htu, JtiLength, Missing, NonceMissing, NonceStale, Old, Repeated, Typ,
    };
    let all = [
        Repeated,
        ClaimMissing("jti"),
        ClaimType("iat"),
        JtiLength,
        Typ,
        Htm("GET"),
        Htu,
        NonceMissing,
        NonceStale,
        Old,
        Ahead,
        Ath,
        Missing,
    ];
    for reason in of_proofs.chain(all) {
        let sentence = reason.to_string();
        assert!(sentence.is_ascii() && !sentence.contains(['"', '\\']) && sentence.contains("DPoP"), "{sentence}");
    }
}
