//! Key sets as issuers publish them: 10,000 variations of a good one. Whatever stands beside a key, its tokens verify, and no
//! token verifies that would not under the strict reading of RFC 7517 and RFC 7518.

use countersign::jose::{Algorithm, Compact, KeySet, KeyUse, SigningKey, generate_key};
use serde_json::{Map, Value, json};

use crate::chains::rng::Rng;

const VARIATIONS: u64 = 10_000;

/// Members that say nothing of what a key verifies: those of RFC 7517 §4, of the private and symmetric keys of RFC 7518 §6, and
/// what issuers add. The secret ones are only ever written empty here.
const UNUSED: [&str; 17] = [
    "x5u",
    "x5c",
    "x5t",
    "x5t#S256",
    "n",
    "e",
    "oth",
    "d",
    "p",
    "q",
    "dp",
    "dq",
    "qi",
    "k",
    "issuer",
    "exp",
    "cloud_instance_name",
];
const SECRET: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
const USED: [&str; 8] = ["kty", "crv", "x", "y", "kid", "alg", "use", "key_ops"];

/// An issuer's key with a token that it signed.
struct Signer {
    jwk: Map<String, Value>,
    token: String,
}

impl Signer {
    fn new(algorithm: Algorithm) -> Self {
        let key = SigningKey::from_pem(&generate_key(algorithm).unwrap(), algorithm).unwrap();
        let token = key.sign("JWT", br#"{"iss":"https://idp.example","sub":"a"}"#).unwrap();
        Self { jwk: serde_json::from_str(&key.public_jwk()).unwrap(), token }
    }

    fn verifies_in(&self, set: &KeySet) -> bool {
        Compact::parse(&self.token).unwrap().verify_in(set, &Algorithm::ALL).is_ok()
    }

    /// The strict reading of an entry that is this signer's, but for some members.
    fn is_good(&self, entry: &Map<String, Value>) -> bool {
        let is = |name: &str| entry.get(name) == self.jwk.get(name);
        let absent = |name: &str| entry.get(name).is_none_or(Value::is_null);
        let operations = match entry.get("key_ops") {
            None | Some(Value::Null) => true,
            Some(Value::Array(list)) => list.is_empty() || (list.iter().all(Value::is_string) && list.contains(&json!("verify"))),
            Some(_) => false,
        };
        let named = ["alg", "use"].into_iter().all(|name| is(name) || absent(name));
        operations && named && ["kty", "crv", "x", "y", "kid"].into_iter().all(is)
    }
}

/// What serialisers, tools and people write.
fn odd_value(rng: &mut Rng) -> Value {
    let values = [
        json!(null),
        json!(""),
        json!([]),
        json!({}),
        json!(0),
        json!(1.5),
        json!(true),
        json!("AQAB="),
        json!("+/=="),
        json!("sig"),
        json!("enc"),
        json!("sign"),
        json!("ES256"),
        json!("RS256"),
        json!("RSA-OAEP"),
        json!(["verify"]),
        json!(["sign"]),
        json!(["verify", 7]),
        json!("verify"),
        json!(["MIIC="]),
        json!("-----BEGIN CERTIFICATE-----"),
        json!([null]),
        json!("a\u{202e}b"),
        json!("EC"),
        json!("RSA"),
        json!("oct"),
        json!("P-256"),
        json!("secp256k1"),
        json!("x".repeat(300)),
        json!({"a": [{"b": null}]}),
    ];
    rng.pick(&values).clone()
}

/// An entry that is nobody's key.
fn stranger(rng: &mut Rng, signers: &[Signer]) -> String {
    let of_another_type = json!({"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA", "kid": "pq"});
    let for_encryption = json!({"kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "kid": "e", "n": "AQAB", "e": "AQAB"});
    let by_certificate = json!({"kty": "RSA", "alg": "RS512", "use": "sig", "kid": "cas", "x5c": ["MIIC"]});
    match rng.below(8) {
        0 => "null".to_owned(),
        1 => odd_value(rng).to_string(),
        2 => of_another_type.to_string(),
        3 => for_encryption.to_string(),
        4 => by_certificate.to_string(),
        5 => r#"{"kty":"EC","kty":"EC","crv":"P-256"}"#.to_owned(),
        6 => format!("{}{}", "[".repeat(60), "]".repeat(60)),
        _ => {
            let mut entry = rng.pick(signers).jwk.clone();
            entry.remove(*rng.pick(&["x", "kty", "crv"]));
            Value::Object(entry).to_string()
        }
    }
}

struct Scene {
    issuers: [Signer; 3],
    /// One whose entry is changed in members that count.
    changed: Signer,
    /// One who has published nothing.
    absent: Signer,
}

/// One variation: the entries, whether the changed key is good in it, and whose `kid` another key has too.
fn vary(rng: &mut Rng, scene: &Scene) -> (Vec<String>, bool, Option<usize>) {
    let mut entries: Vec<String> = Vec::new();
    for signer in &scene.issuers {
        let mut entry = signer.jwk.clone();
        for name in rng.some(&UNUSED, 15) {
            let value =
                if SECRET.contains(&name) { rng.pick(&[json!(null), json!(""), json!([])]).clone() } else { odd_value(rng) };
            entry.insert(name.to_owned(), value);
        }
        if rng.chance(20) {
            entry.insert("key_ops".to_owned(), rng.pick(&[json!(null), json!([]), json!(["verify"])]).clone());
        }
        for name in ["alg", "use"] {
            if rng.chance(15) {
                entry.insert(name.to_owned(), Value::Null);
            }
        }
        entries.push(Value::Object(entry).to_string());
        if rng.chance(10) {
            entries.push(entries.last().unwrap().clone());
        }
    }
    let shared = rng.chance(15).then(|| rng.below(scene.issuers.len() - 1));
    if let Some(whose) = shared {
        let mut entry = Signer::new(Algorithm::ES256).jwk;
        entry.insert("kid".to_owned(), scene.issuers[whose].jwk["kid"].clone());
        entry.insert("alg".to_owned(), Value::Null);
        entries.push(Value::Object(entry).to_string());
    }
    let mut changed = scene.changed.jwk.clone();
    for name in rng.some(&USED, 12) {
        match rng.chance(20) {
            true => drop(changed.remove(name)),
            false => drop(changed.insert(name.to_owned(), odd_value(rng))),
        }
    }
    entries.push(Value::Object(changed.clone()).to_string());
    for _ in 0..rng.below(4) {
        entries.push(stranger(rng, &scene.issuers));
    }
    for at in (1..entries.len()).rev() {
        entries.swap(at, rng.below(at + 1));
    }
    (entries, scene.changed.is_good(&changed), shared)
}

#[test]
fn whatever_stands_beside_a_key_its_tokens_verify_and_no_others_do() {
    let of = |algorithm| Signer::new(algorithm);
    let scene = Scene {
        issuers: [of(Algorithm::ES256), of(Algorithm::ES256), of(Algorithm::EdDSA)],
        changed: of(Algorithm::ES256),
        absent: of(Algorithm::ES256),
    };
    let (mut good, mut bad, mut ambiguous) = (0, 0, 0);
    for seed in 0..VARIATIONS {
        let mut rng = Rng::new(seed);
        let (entries, changed_is_good, shared) = vary(&mut rng, &scene);
        let mark = if rng.chance(10) { "\u{feff}" } else { "" };
        let beside = if rng.chance(20) { format!(",\"next\":{}", odd_value(&mut rng)) } else { String::new() };
        let text = format!("{mark}{{\"keys\":[{}]{beside}}}", entries.join(","));
        let set = KeySet::parse(text.as_bytes(), KeyUse::Signature);
        let set = set.unwrap_or_else(|reason| panic!("seed {seed}: the set {reason}: {text}"));
        for (at, signer) in scene.issuers.iter().enumerate() {
            assert_eq!(signer.verifies_in(&set), shared != Some(at), "seed {seed}: key {at} of {text}");
        }
        assert_eq!(scene.changed.verifies_in(&set), changed_is_good, "seed {seed}: {text}");
        assert!(!scene.absent.verifies_in(&set), "seed {seed}: {text}");
        let names = set.left_out().iter().map(|key| key.number).collect::<Vec<_>>();
        assert!(names.is_sorted() && names.len() + set.keys().len() == entries.len(), "seed {seed}: {text}");
        *if changed_is_good { &mut good } else { &mut bad } += 1;
        ambiguous += usize::from(shared.is_some());
    }
    assert!(good > 1000 && bad > 1000 && ambiguous > 1000, "{good} good, {bad} bad, {ambiguous} ambiguous");
}

/// The servers of one SPIFFE domain add a key at every start.
#[test]
fn a_domain_of_many_servers_fits_in() {
    let last = Signer::new(Algorithm::ES256);
    let svid = |kid: &str| {
        let mut entry = last.jwk.clone();
        entry.extend([("use".to_owned(), json!("jwt-svid")), ("kid".to_owned(), json!(kid))]);
        Value::Object(entry)
    };
    let mut keys: Vec<Value> = (0..1500).map(|number| svid(&format!("old-{number}"))).collect();
    keys.push(svid(last.jwk["kid"].as_str().unwrap()));
    let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), KeyUse::JwtSvid).unwrap();
    assert!(set.left_out().is_empty() && set.keys().len() == 1501 && last.verifies_in(&set));
}
