#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::fixture::{
    ATTESTER, ATTESTER_KEY, CLUSTER_KEY, ISSUER, KEY, NOW, OTHER_KEY, SECONDS, Sent, World, attestation_rules, attested_by,
    attesters, changed, good_claims, key, own_key, secret, signed, signed_under,
};
use crate::client::{AuthMethod, ClientAttestationReason as Reason, ClientReason, Nonces};
use crate::crypto::{Digest, MacKey};
use crate::jose::{Algorithm, JoseReason, SigningKey};
use crate::oauth::{Confirmation, Time};
use crate::trust::TrustReason;

/// The key of the instance.
static INSTANCE: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::ES256));

fn jwk(key: &SigningKey) -> Value {
    serde_json::from_str(&key.public_jwk()).unwrap()
}

/// A good client attestation of the agent `a` (draft-ietf-oauth-attestation-based-client-auth §4), and a good proof (§5.1).
fn attestation() -> Value {
    json!({"sub": "a", "iat": SECONDS - 5, "exp": SECONDS + 600, "cnf": {"jwk": jwk(&INSTANCE)}})
}

fn proof() -> Value {
    json!({"aud": ISSUER, "jti": "p-1", "iat": SECONDS})
}

fn attest(key: &SigningKey, claims: &Value) -> String {
    key.sign("oauth-client-attestation+jwt", claims.to_string().as_bytes()).unwrap()
}

fn prove(key: &SigningKey, claims: &Value) -> String {
    key.sign("oauth-client-attestation-pop+jwt", claims.to_string().as_bytes()).unwrap()
}

fn world() -> World {
    World::new(attesters(false))
        .agent("a", vec![attested_by("attester", false)])
        .agent("by-dpop", vec![attested_by("attester", true)])
        .agent("of-second", vec![attested_by("second", false)])
        .agent("by-key", vec![own_key(&KEY), secret("s", true, true)])
}

fn sent(attestation_changes: Value, proof_changes: Value) -> Sent {
    let attested = attest(&ATTESTER_KEY, &changed(attestation(), attestation_changes));
    Sent::attested(&attested, Some(&prove(&INSTANCE, &changed(proof(), proof_changes))))
}

fn reason(world: World, sent: &Sent) -> Reason {
    match world.try_login(sent).unwrap_err() {
        ClientReason::Attestation(reason) => reason,
        other => panic!("{other:?}"),
    }
}

/// Why its rule refuses an attestation.
fn told(reason: &Reason) -> Option<TrustReason> {
    if let Reason::Trust(refused) = reason { Some(refused.reason()) } else { None }
}

fn trust(reason: TrustReason) -> Reason {
    Reason::Trust(reason.into())
}

#[test]
fn an_attestation_and_its_proof_log_in_the_client_and_say_which_instance_it_is() {
    let client = world().try_login(&sent(json!({}), json!({}))).unwrap();
    let thumbprint = INSTANCE.verifying_key().thumbprint();
    assert_eq!((client.agent().id.as_str(), client.method()), ("a", AuthMethod::AttestJwt));
    assert_eq!((client.key(), client.instance()), (Some(thumbprint), Some(thumbprint.to_string().as_str())));
    assert_eq!((client.binding(), client.issued()), (None, Some(Time::from_seconds(SECONDS - 5))), "its proof is no DPoP proof");
    let attested = client.attested().unwrap();
    assert_eq!((attested.subject.as_str(), attested.expires), ("attester:a", Time::from_seconds(SECONDS + 600)));
    let spent = client.spends();
    assert_eq!((spent.len(), spent[0].expires), (1, Time::from_seconds(SECONDS + 60)), "remembered while it counts");
    for good in [
        sent(json!({}), json!({})).with("client_id", "a"),
        sent(json!({"iss": ATTESTER, "aud": [ISSUER, "https://other.example"], "more": {"x": null}}), json!({})),
        sent(json!({"iat": null, "jti": "x"}), json!({"aud": [ISSUER], "exp": SECONDS + 5, "nbf": SECONDS, "more": [1]})),
        sent(json!({}), json!({"challenge": attestation_rules().challenges.current(NOW), "iat": SECONDS - 4000})),
    ] {
        assert!(world().try_login(&good).is_ok());
    }
}

/// The single use is of the proof, in the share of its client: not of the attestation, and not of another client's `jti`.
#[test]
fn a_proof_counts_once_by_client_key_and_jti() {
    let second = json!({"sub": "of-second"});
    let spends = |sent: &Sent| world().try_login(sent).unwrap().spends()[0];
    let first = spends(&sent(json!({}), json!({})));
    assert_eq!(first, spends(&sent(json!({"more": 1}), json!({"more": 2}))));
    assert_ne!(first.digest, spends(&sent(json!({}), json!({"jti": "p-2"}))).digest);
    let of_second = attest(&CLUSTER_KEY, &changed(attestation(), second));
    let other = spends(&Sent::attested(&of_second, Some(&prove(&INSTANCE, &proof()))));
    assert_ne!((first.digest, first.share), (other.digest, other.share));
}

/// draft-ietf-oauth-attestation-based-client-auth §7.1: every member missing, wrong, or of another type.
#[test]
fn an_attestation_is_refused_for_what_is_wrong_with_it() {
    let private = json!({"jwk": changed(jwk(&INSTANCE), json!({"d": "AAAA"}))});
    let by_thumbprint = json!({"jkt": INSTANCE.verifying_key().thumbprint().to_string()});
    let platform = "the claim cnf is missing, or not what its platform writes";
    for (changes, why) in [
        (json!({"sub": null}), "the claim sub is missing"),
        (json!({"sub": 7}), "sub"),
        (json!({"sub": ""}), "the claim sub is missing"),
        (json!({"sub": "nobody"}), "no agent of that sub"),
        (json!({"sub": "by-key"}), "no agent of that sub"),
        (json!({"sub": "by-dpop"}), "no agent of that sub"),
        (json!({"sub": "of-second"}), "no agent of that sub"),
        (json!({"exp": null}), "the token has no exp"),
        (json!({"exp": "soon"}), "exp"),
        (json!({"exp": SECONDS}), "the token has expired"),
        (json!({"exp": SECONDS + 4000}), "lives longer"),
        (json!({"iat": SECONDS + 61}), "too far in the future"),
        (json!({"nbf": SECONDS + 61}), "too far in the future"),
        (json!({"iss": "https://other.example"}), "no attester that is trusted here"),
        (json!({"aud": "https://other.example"}), "its aud names other servers"),
        (json!({"aud": []}), "its aud names other servers"),
        (json!({"aud": 7}), "its aud names other servers"),
        (json!({"cnf": null}), platform),
        (json!({"cnf": {}}), platform),
        (json!({"cnf": by_thumbprint}), platform),
        (json!({"cnf": {"jwk": jwk(&INSTANCE), "jkt": "x"}}), "exactly one member"),
        (json!({"cnf": {"jwk": {}}}), "the jwk in the cnf"),
        (json!({"cnf": private}), "the jwk in the cnf"),
        (json!({"cnf": {"jwk": jwk(&OTHER_KEY)}}), "not signed by the key in the cnf"),
        (json!({"events": {}}), "reports an event"),
    ] {
        let told = reason(world(), &sent(changes.clone(), json!({}))).to_string();
        assert!(told.contains(why), "{changes}: {told}");
    }
    let good = Some(prove(&INSTANCE, &proof()));
    let typ = |typ: Value| {
        let header = changed(json!({"alg": "ES256", "kid": jwk(&ATTESTER_KEY)["kid"]}), json!({"typ": typ}));
        Sent::attested(&signed_under(&header, &ATTESTER_KEY, &attestation()), good.as_deref())
    };
    assert!(world().try_login(&typ(json!("application/OAuth-Client-Attestation+JWT"))).is_ok());
    for wrong in [json!(null), json!("JWT"), json!("oauth-client-attestation-pop+jwt"), json!("at+jwt")] {
        assert_eq!(told(&reason(world(), &typ(wrong))), Some(TrustReason::AttestationTyp));
    }
    let by = |key: &SigningKey| reason(world(), &Sent::attested(&attest(key, &attestation()), good.as_deref()));
    assert_eq!(told(&by(&OTHER_KEY)), Some(TrustReason::Jose(JoseReason::UnknownKey)), "of nobody who is trusted");
    assert_eq!(by(&CLUSTER_KEY), Reason::NoAgent, "of an attester who does not vouch for that client");
    for (text, why) in [("x", JoseReason::Parts), ("e30.e30.", JoseReason::Algorithm)] {
        assert_eq!(reason(world(), &Sent::attested(text, good.as_deref())), Reason::Jose(why));
    }
}

/// draft-ietf-oauth-attestation-based-client-auth §7.2: every member missing, wrong, or of another type.
#[test]
fn a_proof_is_refused_for_what_is_wrong_with_it() {
    let over = attestation_rules().challenges.current(Time::from_seconds(SECONDS - 200));
    let nonce = Nonces::new(MacKey::new(&[7; 32])).current(NOW);
    let others = Nonces::of_challenges(MacKey::new(&[8; 32])).current(NOW);
    for (changes, told) in [
        (json!({"aud": null}), Reason::ProofAudience),
        (json!({"aud": "https://other.example"}), Reason::ProofAudience),
        (json!({"aud": [ISSUER, "https://other.example"]}), Reason::ProofAudience),
        (json!({"aud": format!("{ISSUER}/token")}), Reason::ProofAudience),
        (json!({"jti": null}), Reason::ClaimMissing("jti")),
        (json!({"jti": 7}), Reason::ClaimType("jti")),
        (json!({"jti": ""}), Reason::JtiLength),
        (json!({"jti": "x".repeat(256)}), Reason::JtiLength),
        (json!({"iat": null}), Reason::ClaimMissing("iat")),
        (json!({"iat": "now"}), Reason::ClaimType("iat")),
        (json!({"iat": SECONDS - 60}), Reason::Old),
        (json!({"iat": SECONDS + 61}), Reason::Ahead),
        (json!({"exp": SECONDS}), Reason::Old),
        (json!({"nbf": SECONDS + 61}), Reason::Ahead),
        (json!({"challenge": 7}), Reason::ClaimType("challenge")),
        (json!({"challenge": ""}), Reason::ChallengeStale),
        (json!({"challenge": over}), Reason::ChallengeStale),
        (json!({"challenge": nonce}), Reason::ChallengeStale),
        (json!({"challenge": others}), Reason::ChallengeStale),
    ] {
        assert_eq!(reason(world(), &sent(json!({}), changes.clone())), told, "{changes}");
    }
    let shown = |text: &str| reason(world(), &Sent::attested(&attest(&ATTESTER_KEY, &attestation()), Some(text)));
    assert_eq!(shown(&prove(&OTHER_KEY, &proof())), Reason::Proof(JoseReason::Signature));
    assert_eq!(shown(&prove(&ATTESTER_KEY, &proof())), Reason::Proof(JoseReason::Signature), "not by the attester's key either");
    assert_eq!(shown(&prove(&key(Algorithm::EdDSA), &proof())), Reason::Proof(JoseReason::Signature));
    assert_eq!(shown(&prove(&key(Algorithm::ES384), &proof())), Reason::Proof(JoseReason::AlgorithmNotAllowed));
    for (header, told) in [
        (json!({"alg": "none", "typ": "oauth-client-attestation-pop+jwt"}), Reason::Proof(JoseReason::Algorithm)),
        (json!({"alg": "HS256", "typ": "oauth-client-attestation-pop+jwt"}), Reason::Proof(JoseReason::Algorithm)),
        (json!({"alg": "ES256"}), Reason::ProofTyp),
        (json!({"alg": "ES256", "typ": "oauth-client-attestation+jwt"}), Reason::ProofTyp),
        (json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk(&INSTANCE)}), Reason::Proof(JoseReason::HeaderMember)),
        (json!({"alg": "ES256", "typ": "client-authentication+jwt"}), Reason::ProofTyp),
    ] {
        assert_eq!(shown(&signed_under(&header, &INSTANCE, &proof())), told, "{header}");
    }
    assert_eq!(shown("a.b"), Reason::Proof(JoseReason::Parts));
}

/// draft-ietf-oauth-attestation-based-client-auth §6.1.
#[test]
fn a_challenge_that_is_required_must_be_there() {
    let required = || World { challenge_required: true, ..world() };
    assert_eq!(reason(required(), &sent(json!({}), json!({}))), Reason::ChallengeMissing);
    let challenge = attestation_rules().challenges.current(Time::from_seconds(SECONDS - 60));
    assert!(required().try_login(&sent(json!({}), json!({ "challenge": challenge }))).is_ok());
    assert!(
        Reason::ChallengeMissing.wants_challenge() && Reason::ChallengeStale.wants_challenge() && !Reason::Old.wants_challenge()
    );
    assert!(trust(TrustReason::Expired).is_stale() && !trust(TrustReason::Early).is_stale());
}

/// draft-ietf-oauth-attestation-based-client-auth §7.3: without a proof of its own the DPoP proof is it, and the login is bound.
#[test]
fn a_dpop_proof_in_its_place_must_be_by_the_key_of_the_attestation() {
    let attested = |client: &str| attest(&ATTESTER_KEY, &changed(attestation(), json!({ "sub": client })));
    let combined = Sent::attested(&attested("by-dpop"), None).and(Sent::dpop("any"));
    assert_eq!(world().refuses(&combined), "Key(MissingProof { kind: Dpop, other: false })", "it is looked at behind this");
    assert_eq!(reason(world(), &Sent::attested(&attested("a"), None).and(Sent::dpop("any"))), Reason::NoAgent);
    assert_eq!(reason(world(), &Sent::attested(&attested("by-dpop"), None)), Reason::ProofMissing);
    assert_eq!(reason(world(), &Sent::attestation_proof("any")), Reason::Missing);
    assert_eq!(reason(world(), &Sent::attestation_proof("any").and(Sent::dpop("any"))), Reason::Missing);
    let bound = Confirmation::Dpop(INSTANCE.verifying_key().thumbprint());
    assert_eq!(bound, Confirmation::Dpop(Digest::parse(&INSTANCE.verifying_key().thumbprint().to_string()).unwrap()));
}

#[test]
fn an_attestation_is_one_method_and_client_id_names_no_other() {
    let good = || sent(json!({}), json!({}));
    let others = [
        Sent::assertion(&signed(&KEY, &good_claims("by-key"))),
        Sent::secret("by-key", "s"),
        Sent::basic("by-key:s"),
        Sent::header("Bearer x"),
    ];
    for other in others {
        assert_eq!(world().refuses(&good().and(other)), "Several");
    }
    assert_eq!(world().refuses(&good().with("client_id", "by-key")), "ClientIdDiffers");
}

/// Who cannot show a genuine attestation learns nothing of the agents, also while the keys of an attester are out of reach.
#[test]
fn a_stranger_gets_one_answer_for_every_client() {
    let by_stranger = |world: World, client: &str| {
        let attested = attest(&OTHER_KEY, &changed(attestation(), json!({ "sub": client })));
        world.refuses(&Sent::attested(&attested, Some(&prove(&INSTANCE, &proof()))))
    };
    let clients = ["a", "by-dpop", "of-second", "by-key", "nobody"];
    let told = clients.map(|client| by_stranger(world(), client));
    assert!(told.iter().all(|one| *one == told[0] && one.contains("Jose")), "{told:?}");
    let silent = || World { trust: attesters(true), ..world() };
    let told = clients.map(|client| by_stranger(silent(), client));
    assert!(told.iter().all(|told| *told == "KeysUnavailable(KeysUnavailable)"), "{told:?}");
    assert!(silent().try_login(&sent(json!({}), json!({}))).is_ok(), "who is known does not wait for another's keys");
}

#[test]
fn every_sentence_is_fit_to_be_sent() {
    let reasons = [
        Reason::Missing,
        Reason::ProofMissing,
        Reason::Jose(JoseReason::Parts),
        trust(TrustReason::Issuer),
        trust(TrustReason::AttestationTyp),
        Reason::Audience,
        Reason::Key,
        Reason::NoAgent,
        Reason::Proof(JoseReason::AlgorithmNotAllowed),
        Reason::Proof(JoseReason::Signature),
        Reason::Proof(JoseReason::Claims),
        Reason::ProofTyp,
        Reason::ProofAudience,
        Reason::ClaimMissing("jti"),
        Reason::ClaimType("iat"),
        Reason::JtiLength,
        Reason::Old,
        Reason::Ahead,
        Reason::ChallengeMissing,
        Reason::ChallengeStale,
    ];
    for reason in reasons {
        let text = reason.to_string();
        assert!(text.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'), "{text}");
        assert!(text.starts_with("the header OAuth-Client-") && !text.ends_with('.') && text.len() < 260, "{text}");
    }
}

const VARIATIONS: u64 = 10_000;

/// Values that serialisers and attackers write in place of a member.
fn odd_values() -> Vec<Value> {
    let far = SECONDS + 100_000;
    vec![
        json!(null),
        json!(""),
        json!("a"),
        json!(ISSUER),
        json!([ISSUER]),
        json!([ISSUER, "x"]),
        json!([]),
        json!({}),
        json!(0),
        json!(SECONDS - 30),
        json!(SECONDS + 30),
        json!(SECONDS + 900),
        json!(far),
        json!(1.5),
        json!(true),
        json!(ATTESTER),
        json!({"jwk": jwk(&INSTANCE)}),
        json!({"jwk": jwk(&OTHER_KEY)}),
        json!({"jwk": null}),
        json!(attestation_rules().challenges.current(NOW)),
        json!("x".repeat(300)),
    ]
}

/// The strict reading of the two together.
fn is_good(attestation: &Value, proof: &Value) -> bool {
    let number = |claims: &Value, name: &str| claims.get(name).map(|value| value.as_f64().unwrap_or(f64::NAN));
    let now = SECONDS as f64;
    let absent_or = |found: Option<f64>, fits: &dyn Fn(f64) -> bool| found.is_none_or(fits);
    let text = |claims: &Value, name: &str| claims.get(name).map(|value| value.as_str().map(str::to_owned));
    let listed = |value: &Value| match value {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(all) => all.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    let audiences = |claims: &Value| claims.get("aud").map(listed);
    let issued = absent_or(number(attestation, "iat"), &|at| at <= now + 60.0);
    let lives = number(attestation, "exp").is_some_and(|ends| {
        ends > now && ends - number(attestation, "iat").unwrap_or(now) <= Duration::from_hours(1).as_secs_f64()
    });
    let ours = |list: Option<Vec<String>>| list.is_some_and(|list| list.iter().any(|one| one == ISSUER));
    let attested = text(attestation, "iss").is_none_or(|iss| iss.as_deref() == Some(ATTESTER))
        && text(attestation, "sub") == Some(Some("a".to_owned()))
        && audiences(attestation).is_none_or(ours)
        && attestation.get("cnf") == Some(&json!({"jwk": jwk(&INSTANCE)}))
        && absent_or(number(attestation, "nbf"), &|at| at <= now + 60.0)
        && issued
        && lives;
    let challenge = proof.get("challenge");
    let fresh = challenge == Some(&json!(attestation_rules().challenges.current(NOW)));
    let dated = number(proof, "iat").is_some_and(|at| fresh && at >= 0.0 || at > now - 60.0 && at <= now + 60.0);
    let proved = audiences(proof).flatten() == Some(vec![ISSUER.to_owned()])
        && text(proof, "jti").flatten().is_some_and(|jti| (1..=255).contains(&jti.len()))
        && absent_or(number(proof, "exp"), &|at| at > now)
        && absent_or(number(proof, "nbf"), &|at| at <= now + 60.0)
        && (challenge.is_none() || fresh)
        && dated;
    attested && proved
}

/// Changes some members of `claims`, each in `percent` of all cases.
fn vary(claims: &mut Value, names: &[&str], values: &[Value], roll: &mut dyn FnMut(usize) -> usize) {
    for name in names {
        if roll(100) < 7 {
            let value = values[roll(values.len())].clone();
            let members = claims.as_object_mut().unwrap();
            if roll(4) == 0 { drop(members.remove(*name)) } else { drop(members.insert((*name).to_owned(), value)) }
        }
    }
}

#[test]
fn whatever_the_two_say_they_log_in_where_both_are_good_and_nowhere_else() {
    let values = odd_values();
    let (mut good, mut bad) = (0, 0);
    for seed in 0..VARIATIONS {
        let mut state = seed;
        // SplitMix64.
        let mut roll = move |end: usize| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap() % end
        };
        let (mut attested, mut proved) = (attestation(), proof());
        vary(&mut attested, &["iss", "sub", "aud", "exp", "iat", "nbf", "cnf", "jti", "more"], &values, &mut roll);
        vary(&mut proved, &["aud", "jti", "iat", "exp", "nbf", "challenge", "nonce", "iss", "sub"], &values, &mut roll);
        let strict = is_good(&attested, &proved);
        let sent = Sent::attested(&attest(&ATTESTER_KEY, &attested), Some(&prove(&INSTANCE, &proved)));
        let outcome = world().try_login(&sent);
        assert_eq!(outcome.is_ok(), strict, "seed {seed}: {attested} {proved}: {:?}", outcome.err());
        assert!(!matches!(outcome, Err(ClientReason::KeysUnavailable(_))), "seed {seed}");
        *if strict { &mut good } else { &mut bad } += 1;
    }
    assert!(good > 1000 && bad > 1000, "{good} good, {bad} bad");
}
