#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

use serde_json::json;

use super::*;
use crate::case::{Item, parse};
use crate::fixture::testing::profile;
use crate::jose::Decoded;
use crate::values::{Endpoints, now};

/// The rules of `expectation` (the text behind and below `expect`) that `answer` to `request` breaks.
fn unmet_for(expectation: &str, request: &Request, answer: &Answer) -> Vec<Unmet> {
    let text = format!("# RFC 9999: r.\nPOST token\nexpect {expectation}\n");
    let case = parse("x", std::path::Path::new("x"), &text).unwrap();
    let Item::Step(step) = &case.items[0] else { panic!() };
    let (profile, endpoints) = (profile(), Endpoints::default());
    check(&step.expect, request, answer, &Values::new(&profile, &endpoints)).unwrap()
}

fn unmet(expectation: &str, answer: &Answer) -> Vec<Unmet> {
    unmet_for(expectation, &Request::default(), answer)
}

fn answer(status: u16, body: Value) -> Answer {
    let headers = [("content-type", "application/json"), ("cache-control", "no-store")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Answer { status, headers, body: body.to_string(), json: Some(body), token: None }
}

fn success() -> Answer {
    let scope = "a b";
    let body =
        json!({"access_token": "x.y.z", "issued_token_type": "urn:x", "token_type": "Bearer", "expires_in": 60, "scope": scope});
    let claims = json!({"iss": "i", "sub": "s", "client_id": "c", "jti": "j", "aud": "a", "iat": now(), "exp": now() + 60,
        "scope": scope, "list": [1, "x"], "n": 5, "act": {"sub": "o", "iss": "i"}});
    let header = json!({"alg": "ES256", "kid": "k"});
    let token = Decoded { header, payload: claims.to_string(), claims, key: json!({"use": "sig"}) };
    Answer { token: Some(Ok(token)), ..answer(200, body) }
}

/// Changes the body of a success, or removes a member with `null`.
fn body_with(name: &str, value: Value) -> Answer {
    let mut answer = success();
    answer.json.as_mut().unwrap()[name] = value;
    answer
}

fn claims_with(name: &str, value: Value) -> Answer {
    let mut answer = success();
    let token = answer.token.as_mut().unwrap().as_mut().unwrap();
    match value {
        Value::Null => drop(token.claims.as_object_mut().unwrap().remove(name)),
        value => token.claims[name] = value,
    }
    answer
}

#[test]
fn every_comparison_has_a_green_and_a_red_side() {
    for (green, red) in [
        ("body.scope == a b", "body.scope == b a"),
        ("body.scope != b a", "body.scope != a b"),
        ("body.expires_in == 60.0", "body.expires_in == \"60\""),
        ("claims.n <= 5", "claims.n <= 4"),
        ("claims.n >= 5", "claims.n >= 6"),
        ("claims.act present", "claims.cnf present"),
        ("claims.cnf absent", "claims.act absent"),
        ("body contains Bearer", "body contains DPoP"),
        ("claims.list contains x", "claims.list contains y"),
        ("claims.list lacks 2", "claims.list lacks 1"),
        ("body.scope scopes b a", "body.scope scopes a"),
        ("body.expires_in is integer", "body.expires_in is string"),
        ("claims.list is array", "claims.act is array"),
        ("claims.act == {\"iss\":\"i\",\"sub\":\"o\"}", "claims.act == {\"sub\":\"o\"}"),
        ("header.cache-control contains no-store", "header.pragma contains no-cache"),
        ("jose.alg == ES256", "jose.alg == RS256"),
        ("key.use == sig", "key.use == enc"),
        ("payload contains \"sub\":\"o\"", "payload contains mallory"),
        ("claims.list.1 == x", "claims.list.0 == x"),
    ] {
        assert_eq!(unmet(&format!("200\n  {green}"), &success()), [], "{green}");
        let found = unmet(&format!("200\n  {red}"), &success());
        assert_eq!(found.len(), 1, "{red}");
        assert_eq!(found[0].line, 4);
    }
}

/// A comparison with something that is not there is never kept, not even a negative one.
#[test]
fn a_missing_place_is_only_absent() {
    for comparison in ["== x", "!= x", "lacks x", "<= 1", "present"] {
        assert_eq!(unmet(&format!("200\n  claims.missing {comparison}"), &success()).len(), 1, "{comparison}");
    }
}

#[test]
fn the_status_is_one_of_those_named() {
    assert_eq!(unmet("200,201", &success()), []);
    assert_eq!(unmet("400", &success())[0].line, 3);
}

#[test]
fn a_token_response_keeps_every_rule_of_its_shape() {
    assert_eq!(unmet("200 token", &success()), []);
    let mut spoiled = vec![
        ("null", body_with("refresh_token", Value::Null)),
        ("access_token", body_with("access_token", json!(1))),
        ("issued_token_type", body_with("issued_token_type", json!(""))),
        ("token_type", body_with("token_type", json!([]))),
        ("expires_in text", body_with("expires_in", json!("60"))),
        ("expires_in fraction", body_with("expires_in", json!(60.5))),
        ("expires_in not exp", body_with("expires_in", json!(90))),
        ("error", body_with("error", json!("x"))),
        ("iat in the future", claims_with("iat", json!(now() + 30))),
        ("may_act", claims_with("may_act", json!({"sub": "x"}))),
        ("null claim", claims_with("x", json!([null]))),
    ];
    for name in ["iss", "sub", "client_id", "jti", "aud", "exp", "iat", "scope"] {
        spoiled.push((name, claims_with(name, Value::Null)));
    }
    for (what, answer) in &spoiled {
        assert!(!unmet("200 token", answer).is_empty(), "{what}");
    }
    assert!(!unmet("200 token", &body_with("scope", json!(""))).is_empty());
    let unverified = Answer { token: Some(Err("the signature is wrong".to_owned())), ..success() };
    assert!(unmet("200 token", &unverified)[0].what.contains("signature"));
    for name in ["content-type", "cache-control"] {
        let mut answer = success();
        answer.headers.retain(|(known, _)| known != name);
        assert_eq!(unmet("200 token", &answer).len(), 1, "{name}");
    }
}

#[test]
fn an_error_response_keeps_every_rule_of_its_shape() {
    let error = |code: &str, text: &str| answer(400, json!({"error": code, "error_description": text}));
    let good = error("invalid_request", "subject_token is required");
    assert_eq!(unmet("400 error invalid_target,invalid_request", &good), []);
    assert_eq!(unmet("400 error invalid_target", &good).len(), 1);
    assert_eq!(unmet("400 error invalid_request", &error("invalid_request", "a \"quoted\" word")).len(), 1);
    assert_eq!(unmet("400 error invalid_request", &error("invalid_request", "naïve")).len(), 1);
    let leaking = answer(400, json!({"error": "invalid_request", "access_token": "x"}));
    assert_eq!(unmet("400 error invalid_request", &leaking).len(), 1);
    let mut cached = good.clone();
    cached.headers.retain(|(name, _)| name != "cache-control");
    assert_eq!(unmet("400 error invalid_request", &cached).len(), 1);
}

#[test]
fn an_error_does_not_echo_tokens() {
    let params = vec![("subject_token".to_owned(), "secret.token.value".to_owned())];
    let request = Request { params, ..Request::default() };
    let echo = answer(400, json!({"error": "invalid_request", "error_description": "bad token secret.token.value"}));
    assert_eq!(unmet_for("400 error invalid_request", &request, &echo).len(), 1);
    assert_eq!(unmet_for("400 error invalid_request", &Request::default(), &echo), []);
}

/// RFC 6749 §5.2: the challenge belongs to requests that used the Authorization header, and to those only.
#[test]
fn a_challenge_answers_an_authorization_header() {
    let headers = vec![("Authorization".to_owned(), "Basic x".to_owned())];
    let (with, without) = (Request { headers, ..Request::default() }, Request::default());
    let plain = answer(401, json!({"error": "invalid_client"}));
    let mut challenged = plain.clone();
    challenged.headers.push(("www-authenticate".to_owned(), "Basic".to_owned()));
    assert_eq!(unmet_for("401 error invalid_client", &with, &challenged), []);
    assert_eq!(unmet_for("401 error invalid_client", &without, &plain), []);
    assert_eq!(unmet_for("401 error invalid_client", &with, &plain).len(), 1);
    assert_eq!(unmet_for("401 error invalid_client", &without, &challenged).len(), 1);
}
