#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use super::*;
use crate::jose::{Compact, KeySet, keys_parsed};

#[test]
fn every_algorithm_signs_what_it_verifies_and_names_its_key() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::from_pem(&generate_key(algorithm).unwrap(), algorithm).unwrap();
        let token = key.sign("task+jwt", br#"{"sub":"a"}"#).unwrap();
        let compact = Compact::parse(&token).unwrap();
        assert_eq!(compact.header_names().collect::<Vec<_>>(), ["alg", "kid", "typ"]);
        assert_eq!((compact.typ(), compact.kid()), (Some("task+jwt"), Some(key.kid())));
        let verified = compact.verify_in(&KeySet::of_signing_keys([&key]), &[algorithm]).unwrap();
        assert_eq!(verified.key().to_string(), key.kid());
        assert_eq!(verified.claims().as_str(), r#"{"sub":"a"}"#);
    }
}

/// RFC 7518 §3.4: R and S side by side, each at its full length.
#[test]
fn ecdsa_signatures_have_the_fixed_form() {
    for (algorithm, length) in [(Algorithm::ES256, 64), (Algorithm::ES384, 96), (Algorithm::ES512, 132)] {
        let key = SigningKey::from_pem(&generate_key(algorithm).unwrap(), algorithm).unwrap();
        for _ in 0..20 {
            assert_eq!(key.sign_bytes(b"x").unwrap().len(), length);
        }
    }
}

/// RFC 8037 appendix A.1 and A.4.
#[test]
fn ed25519_signs_as_published() {
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let der = base64::engine::general_purpose::STANDARD.encode([&prefix[..], &seed].concat());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    let key = SigningKey::from_pem(&pem, Algorithm::EdDSA).unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let signature = key.sign_bytes(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc").unwrap();
    let expected = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(URL_SAFE_NO_PAD.encode(signature), expected);
}

#[test]
fn a_key_of_another_type_is_refused() {
    let pem = generate_key(Algorithm::ES256).unwrap();
    for algorithm in [Algorithm::ES384, Algorithm::RS256, Algorithm::EdDSA] {
        assert_eq!(SigningKey::from_pem(&pem, algorithm).unwrap_err(), KeyReason::Malformed, "{algorithm}");
    }
    assert_eq!(SigningKey::from_pem("", Algorithm::ES256).unwrap_err(), KeyReason::Malformed);
    let key = SigningKey::from_pem(&pem, Algorithm::ES256).unwrap();
    assert!(!format!("{key:?}").contains(pem.lines().nth(1).unwrap()));
}

#[test]
fn types_are_quoted_so_that_nothing_can_be_added_to_the_header() {
    let key = SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap();
    let token = key.sign(r#"x","jku":"y"#, b"{}").unwrap();
    assert_eq!(Compact::parse(&token).unwrap().header_names().count(), 3);
}

#[test]
fn parsing_a_key_is_counted() {
    let pem = generate_key(Algorithm::ES256).unwrap();
    let before = keys_parsed();
    SigningKey::from_pem(&pem, Algorithm::ES256).unwrap();
    assert!(keys_parsed() > before);
}
