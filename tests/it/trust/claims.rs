//! Claims as issuers write them: 10,000 variations of a good ID token. What is required refuses where it is odd, what only
//! describes does not, and nothing is read that is not there as it should be.

use std::fs;

use countersign::config;
use countersign::jose::{Algorithm, Compact, SigningKey, generate_key};
use countersign::oauth::Time;
use countersign::trust::TrustStore;
use serde_json::{Map, Value, json};

use crate::chains::rng::Rng;
use crate::support::scratch;

const VARIATIONS: u64 = 10_000;
const NOW: i64 = 1_800_000_000;

const RULE: &str = "name = 'idp'\nkind = 'oidc'\nissuer = 'https://idp.example'\naudiences = ['us']\nalgorithms = ['ES256']\n\
                    require = { email_verified = true }\n\
                    subject = { kind = 'user', id = '{sub}', attributes = { role = 'role', 'groups[]' = '/realm/groups' } }\n\
                    [keys]\njwks_file = 'keys.json'\n";

fn good() -> Map<String, Value> {
    let claims = json!({
        "iss": "https://idp.example", "sub": "alice", "aud": ["us", "other"], "exp": NOW + 300, "iat": NOW - 5, "nbf": NOW - 5,
        "jti": "1", "azp": "app", "email_verified": true, "acr": "1", "amr": ["pwd"], "auth_time": NOW - 60, "role": "admin",
        "realm": {"groups": ["a", "b"]},
    });
    claims.as_object().unwrap().clone()
}

/// Claims that may be odd, some of them absent in a good token.
const CLAIMS: [&str; 18] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "azp",
    "email_verified",
    "acr",
    "amr",
    "auth_time",
    "role",
    "realm",
    "events",
    "scope",
    "cnf",
    "act",
];

fn odd_value(rng: &mut Rng) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(NOW),
        json!(NOW + 30),
        json!(NOW + 3000),
        json!(NOW + 100_000),
        json!(NOW as f64 + 100.25),
        json!(NOW * 1000),
        json!(""),
        json!("us"),
        json!("alice"),
        json!("true"),
        json!("a\u{202e}b"),
        json!("a\nb"),
        json!("2026-11-29T18:52:01.180Z"),
        json!([]),
        json!([null]),
        json!(["us"]),
        json!(["us", 7]),
        json!(["a", "b"]),
        json!([["us"]]),
        json!({}),
        json!({"groups": "a"}),
        json!({"groups": ["a", "a"]}),
        json!({"groups": ["a", 1]}),
        json!({"groups": null}),
        json!({"sub": "x"}),
        json!("https://idp.example/"),
    ];
    rng.pick(&values).clone()
}

/// The strict reading of what makes a token good.
fn is_good(claims: &Map<String, Value>) -> bool {
    let is = |name: &str, value: Value| claims.get(name) == Some(&value);
    let date = |name: &str| claims.get(name).and_then(Value::as_f64).filter(|at| (0.0..=253_402_300_799.0).contains(at));
    let seen = |text: &str| !text.chars().any(|one| one.is_control() || one == '\u{202e}');
    let name = |name: &str| claims.get(name).and_then(Value::as_str).is_some_and(seen);
    let past = |name: &str| !claims.contains_key(name) || date(name).is_some_and(|at| at <= NOW as f64 + 60.0);
    let audience = match claims.get("aud") {
        Some(Value::String(one)) => one == "us",
        Some(Value::Array(list)) => list.iter().all(Value::is_string) && list.contains(&json!("us")),
        _ => false,
    };
    let issued = if claims.contains_key("iat") { date("iat") } else { Some(NOW as f64) };
    let lives = date("exp").zip(issued).is_some_and(|(ends, begins)| ends > NOW as f64 && ends - begins <= 3600.0);
    let described =
        (!claims.contains_key("jti") || is("jti", json!(null)) || name("jti")) && (!claims.contains_key("azp") || name("azp"));
    let absent = ["events", "scope", "cnf"].iter().all(|name| !claims.contains_key(*name));
    let subject = name("sub") && !is("sub", json!(""));
    is("iss", json!("https://idp.example"))
        && is("email_verified", json!(true))
        && subject
        && audience
        && lives
        && past("iat")
        && past("nbf")
        && described
        && absent
}

/// The attributes that a strict reading finds.
fn attributes(claims: &Map<String, Value>) -> Vec<(String, String)> {
    let mut told = Vec::new();
    match claims.get("realm").and_then(|realm| realm.get("groups")) {
        Some(Value::String(one)) => told.push(one.clone()),
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
            told.extend(list.iter().map(|one| one.as_str().unwrap().to_owned()));
        }
        _ => {}
    }
    told.sort();
    told.dedup();
    let mut told: Vec<_> = told.into_iter().map(|group| ("groups[]".to_owned(), group)).collect();
    match claims.get("role") {
        Some(Value::String(role)) => told.push(("role".to_owned(), role.clone())),
        Some(scalar @ (Value::Number(_) | Value::Bool(_))) => told.push(("role".to_owned(), scalar.to_string())),
        _ => {}
    }
    told
}

#[test]
fn whatever_a_token_says_besides_it_counts_where_it_is_good_and_nowhere_else() {
    let folder = scratch("trust-claims");
    fs::create_dir_all(&folder).unwrap();
    let key = SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap();
    fs::write(folder.join("rule.toml"), RULE).unwrap();
    fs::write(folder.join("keys.json"), format!("{{\"keys\":[{}]}}", key.public_jwk())).unwrap();
    let (rule, complaints, _) = config::trust_rule(&folder.join("rule.toml"));
    let trust = TrustStore::new(vec![rule.unwrap_or_else(|| panic!("{complaints}"))], None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..VARIATIONS {
        let mut rng = Rng::new(seed);
        let mut claims = good();
        for name in rng.some(&CLAIMS, 6) {
            match rng.chance(25) {
                true => drop(claims.remove(name)),
                false => drop(claims.insert(name.to_owned(), odd_value(&mut rng))),
            }
        }
        let text = Value::Object(claims.clone()).to_string();
        let token = key.sign("JWT", text.as_bytes()).unwrap();
        let verdict = runtime.block_on(trust.verify(&Compact::parse(&token).unwrap(), Time::from_seconds(NOW)));
        assert_eq!(verdict.is_ok(), is_good(&claims), "seed {seed}: {text}: {:?}", verdict.err());
        if let Ok(assertion) = &verdict {
            let mut told = assertion.attributes().to_vec();
            told.sort();
            assert_eq!(told, attributes(&claims), "seed {seed}: {text}");
            assert_eq!(assertion.id().as_str(), claims["sub"].as_str().unwrap());
        }
        *if verdict.is_ok() { &mut accepted } else { &mut refused } += 1;
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
    fs::remove_dir_all(&folder).unwrap();
}
