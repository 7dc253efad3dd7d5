#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use crate::fixture::testing::profile;
use crate::jose::{decode_and_verify, from_base64url};
use serde_json::json;

fn text(values: &Values<'_>, template: &str) -> Result<String, Missing> {
    values.text(&Template::parse(template).unwrap())
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&from_base64url(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

#[test]
fn names_come_from_the_profile() {
    let (profile, endpoints) =
        (profile(), Endpoints { token: "http://t".to_owned(), jwks: "http://k".to_owned(), ..Endpoints::default() });
    let values = Values::new(&profile, &endpoints);
    for (template, wanted) in [
        ("${client.legacy-url}", "https://legacy.example/agent"),
        ("${client.worker.kind}", "service"),
        ("${client.orchestrator.idp}", "0oa-orchestrator"),
        ("${api.crm} ${api.crm.name} ${api.crm.read}", "https://crm.example crm contacts.read"),
        ("${trust.idp}", "https://login.acme.example"),
        ("${subject idp alice}", "idp:alice"),
        ("${token_endpoint}${jwks_uri}", "http://thttp://k"),
        ("${type.jwt}", "urn:ietf:params:oauth:token-type:jwt"),
        ("${form a b:c}", "a+b%3Ac"),
        ("${base64 a:b}", "YTpi"),
        ("${repeat 3 ab}", "ababab"),
        ("${acts 2}", r#"{"sub":"actor-1","act":{"sub":"actor-2"}}"#),
        ("${segment 1 a.b.c}", "b"),
    ] {
        let template = if template.contains("a b:c") { "${form a${space}b:c}" } else { template };
        assert_eq!(text(&values, template).unwrap(), wanted, "{template}");
    }
    let later: i64 = text(&values, "${now+60}").unwrap().parse().unwrap();
    assert!((later - now() - 60).abs() <= 1);
    assert_ne!(text(&values, "${id}"), text(&values, "${id}"));
}

#[test]
fn what_the_profile_lacks_is_told_apart_from_nonsense() {
    let (profile, endpoints) = (profile(), Endpoints::default());
    let values = Values::new(&profile, &endpoints);
    for template in ["${client.nobody}", "${api.crm.no-such-scope}", "${jwt nobody}", "${secret orchestrator}"] {
        assert!(matches!(text(&values, template), Err(Missing::Profile(_))), "{template}");
    }
    for template in ["${jwt idp @sign=x}", "${jwt idp @nothing=x}", "${jwt idp sub}", "${repeat x y}", "${segment 9 a.b}"] {
        assert!(matches!(text(&values, template), Err(Missing::Case(_))), "{template}");
    }
}

#[test]
fn a_token_is_right_but_for_what_the_case_changes() {
    let (profile, endpoints) = (profile(), Endpoints::default());
    let values = Values::new(&profile, &endpoints);
    let keys = json!({ "keys": [profile.key("idp").unwrap().public_jwk()] });
    let token = text(&values, r#"${jwt idp sub=bob exp=+60 act={"sub":"x"} -azp header.x=1 n="+5"}"#).unwrap();
    let decoded = decode_and_verify(&token, &keys).unwrap();
    let claims = &decoded.claims;
    assert_eq!((&claims["sub"], &claims["act"]["sub"], &claims["n"]), (&json!("bob"), &json!("x"), &json!("+5")));
    assert_eq!(claims["exp"].as_i64().unwrap(), claims["iat"].as_i64().unwrap() + 60);
    assert!(claims.get("azp").is_none());
    assert_eq!(decoded.header, json!({"alg": "ES256", "kid": "idp", "typ": "JWT", "x": 1}));
    assert_ne!(claims["jti"], part(&text(&values, "${jwt idp}").unwrap(), 1)["jti"]);
}

#[test]
fn tricks_do_what_their_names_say() {
    let (profile, endpoints) = (profile(), Endpoints::default());
    let values = Values::new(&profile, &endpoints);
    let keys = json!({ "keys": [profile.key("idp").unwrap().public_jwk()] });
    let make = |template: &str| text(&values, template).unwrap();
    assert!(make("${jwt idp @sign=none}").ends_with('.'));
    assert_eq!(part(&make("${jwt idp @key=idp-rsa}"), 0)["alg"], "RS256");
    for broken in [
        "${flip ${jwt idp}}",
        "${jwt idp @sign=zeros}",
        "${jwt idp @key=stranger header.kid=idp}",
        "${jwt idp header.alg=HS256 @sign=public-key-as-secret}",
    ] {
        assert!(decode_and_verify(&make(broken), &keys).is_err(), "{broken}");
    }
    for (form, dots) in [("two-parts", 1), ("four-parts", 3), ("five-parts", 4)] {
        assert_eq!(make(&format!("${{jwt idp @form={form}}}")).matches('.').count(), dots);
    }
    let doubled = make(r#"${jwt idp sub=alice @append="sub":"bob"}"#);
    let payload = String::from_utf8(from_base64url(doubled.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!(payload.matches("\"sub\":").count(), 2);
    assert_eq!(make("${jwt idp @payload=[1]}").split('.').nth(1).unwrap(), base64url("[1]"));
}

#[test]
fn client_assertions_follow_the_login_of_the_client() {
    let (profile, endpoints) = (profile(), Endpoints::default());
    let values = Values::new(&profile, &endpoints);
    let claims = part(&text(&values, "${assertion orchestrator}").unwrap(), 1);
    assert_eq!(
        (&claims["iss"], &claims["sub"], &claims["aud"]),
        (&json!("orchestrator"), &json!("orchestrator"), &json!(profile.issuer))
    );
    let (kind, svid) = values.client_assertion("researcher").unwrap();
    assert!(kind.ends_with(":jwt-spiffe"));
    assert_eq!(part(&svid, 1)["aud"], json!([profile.issuer]));
}
