//! Project Wycheproof's vectors for JWS and JWK sets, and where our verdicts differ from theirs, and why.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use serde_json::{Value, json};

use super::{Compact, KeySet, KeyUse};

const SIGNATURES: &str = include_str!("../../tests/vectors/wycheproof/json_web_signature_test.json");
const KEY_SETS: &str = include_str!("../../tests/vectors/wycheproof/json_web_key_test.json");

/// True when a signature counts, as far as it does not depend on the payload, which here is seldom the claims of a JWT.
fn accepted(keys: &Value, jws: &str) -> bool {
    let keys = if keys.get("keys").is_some() { keys.clone() } else { json!({ "keys": [keys] }) };
    let Ok(keys) = KeySet::parse(keys.to_string().as_bytes(), KeyUse::Signature) else { return false };
    let Ok(token) = Compact::parse(jws) else { return false };
    let Ok(algorithm) = token.algorithm() else { return false };
    let selected = keys.select(token.kid(), algorithm);
    selected.is_ok_and(|key| token.check_signature(key, algorithm).is_ok())
}

/// Tests of valid tokens that are refused here: an HMAC is nothing that a server without shared secrets could believe.
const HMAC: [u64; 10] = [1, 348, 352, 357, 358, 359, 372, 373, 376, 377];

/// As above, for sets of symmetric keys.
const HMAC_SETS: [u64; 4] = [2, 13, 14, 15];

/// RFC 7520, figure 20: `PS384` under a key whose `alg` says `PS256`, and the `alg` of a key is the only one it serves (RFC
/// 8725 §3.2).
const OTHER_ALG: [u64; 2] = [346, 350];

/// RFC 7520, figure 27: under a key whose `alg` is `ES521`, which is no algorithm's name (RFC 7518 §3.1): the key serves
/// none.
const UNKNOWN_ALG: [u64; 2] = [347, 351];

/// Runs one file: the numbers of the tests on which our verdict is another. Every one of them must be a refusal.
fn differing(file: &str) -> Vec<u64> {
    let file: Value = serde_json::from_str(file).unwrap();
    let (mut count, mut differing) = (0, Vec::new());
    for group in file["testGroups"].as_array().unwrap() {
        // Symmetric keys have no public half: what they sign is never accepted here.
        let keys = group.get("public").or(group.get("private")).unwrap();
        for test in group["tests"].as_array().unwrap() {
            count += 1;
            let jws = test["jws"].as_str().map_or_else(|| test["jws"].to_string(), str::to_owned);
            let expected = test["result"] == json!("valid");
            if accepted(keys, &jws) != expected {
                assert!(expected, "accepted though invalid: {} {}", group["comment"], test);
                differing.push(test["tcId"].as_u64().unwrap());
            }
        }
    }
    assert_eq!(count as u64, file["numberOfTests"].as_u64().unwrap());
    differing
}

#[test]
fn signatures_get_the_verdicts_of_wycheproof() {
    let mut known = [HMAC.as_slice(), &OTHER_ALG, &UNKNOWN_ALG].concat();
    known.sort_unstable();
    assert_eq!(differing(SIGNATURES), known);
}

#[test]
fn key_sets_get_the_verdicts_of_wycheproof() {
    assert_eq!(differing(KEY_SETS), HMAC_SETS);
}
