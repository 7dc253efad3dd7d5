#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

const NOW: Time = Time::from_seconds(1_000_000);

fn read(claims: &str) -> Result<Validity, TrustReason> {
    check_dates(&Object::parse(claims).unwrap(), NOW, Duration::from_secs(3600))
}

/// Negative test 27.
#[test]
fn bounds_are_exact() {
    for (claims, reason) in [
        (r#"{"iat":999999}"#, Some(TrustReason::NoExpiry)),
        (r#"{"exp":1000000}"#, Some(TrustReason::Expired)),
        (r#"{"exp":999999.999}"#, Some(TrustReason::Expired)),
        (r#"{"exp":1000000.5}"#, None),
        (r#"{"exp":1000001}"#, None),
        (r#"{"exp":1000100,"iat":1000010}"#, None),
        (r#"{"exp":1000100,"iat":1000060}"#, None),
        (r#"{"exp":1000100,"iat":1000061}"#, Some(TrustReason::Early)),
        (r#"{"exp":1000100,"nbf":1000060}"#, None),
        (r#"{"exp":1000100,"nbf":1000061}"#, Some(TrustReason::Early)),
        (r#"{"exp":1000001,"iat":996401}"#, None),
        (r#"{"exp":1000002,"iat":996401}"#, Some(TrustReason::Lifetime)),
        (r#"{"exp":1003600}"#, None),
        (r#"{"exp":1003601}"#, Some(TrustReason::Lifetime)),
    ] {
        assert_eq!(read(claims).err(), reason, "{claims}");
    }
    for claims in [r#"{"exp":"1000001"}"#, r#"{"exp":null}"#, r#"{"exp":1e400}"#, r#"{"exp":99999999999999999999}"#] {
        assert!(matches!(read(claims), Err(TrustReason::Jose(_))), "{claims}");
    }
    assert!(matches!(read(r#"{"exp":1000001,"nbf":"0"}"#), Err(TrustReason::Jose(_))));
}

fn checked(header: &str, claims: &str) -> Result<(), TrustReason> {
    let token = format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let token = Compact::parse(&token).unwrap();
    let claims = token.unverified_claims().unwrap();
    check_jwt_svid(&token, claims, &TrustDomain::parse("td.example").unwrap()).and_then(|()| check_no_event(claims))
}

/// Negative test 38: SPIFFE JWT-SVID §2.
#[test]
fn the_header_has_alg_kid_and_typ_only() {
    let with = |header: &str| checked(header, r#"{"sub":"spiffe://td.example/a"}"#);
    assert_eq!(with(r#"{"alg":"ES256"}"#), Ok(()));
    assert_eq!(with(r#"{"alg":"ES256","kid":"k","typ":"JOSE"}"#), Ok(()));
    assert_eq!(with(r#"{"alg":"ES256","kid":"k","typ":"JWT","x":1}"#), Err(TrustReason::HeaderMember));
    assert_eq!(with(r#"{"alg":"ES256","cty":"JWT"}"#), Err(TrustReason::HeaderMember));
    assert_eq!(with(r#"{"alg":"ES256","typ":"at+jwt"}"#), Err(TrustReason::Typ));
}

/// Negative test 39: SPIFFE JWT-SVID §3.
#[test]
fn the_subject_is_a_workload_of_the_domain() {
    let with = |claims: &str| checked(r#"{"alg":"ES256"}"#, claims);
    assert_eq!(with(r#"{"sub":"spiffe://other.example/a"}"#), Err(TrustReason::SpiffeId));
    assert_eq!(with(r#"{"sub":"spiffe://td.example"}"#), Err(TrustReason::SpiffeId));
    assert_eq!(with(r#"{"sub":7}"#), Err(TrustReason::SpiffeId));
    assert_eq!(with(r#"{"sub":"spiffe://td.example/a","events":{}}"#), Err(TrustReason::Event));
}
