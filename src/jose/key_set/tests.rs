#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use super::*;
use crate::jose::generate_key;

const RFC_7638_KEY: &str = "\
    {\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJEC\
    PebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb\
    9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur\
    -kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}";
const P256: &str = "\
    \"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659\
    LNpXW6pCyStikYjKIWI5a0\"";
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn set(keys: &str) -> Result<KeySet, KeySetReason> {
    KeySet::parse(format!(r#"{{"keys":[{keys}]}}"#).as_bytes(), KeyUse::Signature)
}

/// Why the only key of the set is left out.
fn skipped(key: &str) -> KeyReason {
    let set = set(key).unwrap();
    assert!(set.is_empty());
    set.left_out()[0].reason
}

#[test]
fn thumbprints_are_those_of_rfc_7638_3_1_and_rfc_8037_a3() {
    let thumbprint = |key| set(key).unwrap().keys()[0].thumbprint().to_string();
    assert_eq!(thumbprint(RFC_7638_KEY), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(thumbprint(ED25519), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn a_key_serves_the_one_algorithm_of_its_alg_or_curve_or_those_of_rsa() {
    let algorithms = |key: &str| set(key).unwrap().keys()[0].algorithms().collect::<Vec<_>>();
    assert_eq!(algorithms(RFC_7638_KEY), [Algorithm::RS256]);
    assert_eq!(algorithms(&RFC_7638_KEY.replace(r#""alg":"RS256","#, "")), Algorithm::RSA);
    assert_eq!(algorithms(&format!("{{{P256}}}")), [Algorithm::ES256]);
    assert_eq!(algorithms(ED25519), [Algorithm::EdDSA]);
}

#[test]
fn keys_that_cannot_verify_are_left_out_with_a_reason() {
    let with = |member: &str| format!("{{{P256},{member}}}");
    assert_eq!(skipped(&with(r#""use":"enc""#)), KeyReason::Encryption);
    assert_eq!(skipped(&with(r#""use":"sign""#)), KeyReason::Use);
    assert_eq!(skipped(&with(r#""key_ops":"verify""#)), KeyReason::Malformed);
    assert_eq!(skipped(&with(r#""use":"jwt-svid""#)), KeyReason::Use);
    assert_eq!(skipped(&with(r#""key_ops":["sign"]"#)), KeyReason::Use);
    assert_eq!(skipped(&with(r#""alg":"ES384""#)), KeyReason::Algorithm);
    assert_eq!(skipped(&with(r#""alg":"HS256""#)), KeyReason::Algorithm);
    assert_eq!(skipped(&with(r#""alg":"none""#)), KeyReason::Algorithm);
    assert_eq!(skipped(&with(r#""alg":7"#)), KeyReason::Malformed);
    assert_eq!(skipped(&with(r#""kid":"""#)), KeyReason::Malformed);
    assert_eq!(skipped(&format!("{{{P256}}}").replace("P-256", "P-384")), KeyReason::Malformed);
    assert_eq!(skipped(&format!("{{{P256}}}").replace("P-256", "secp256k1")), KeyReason::Type);
    assert_eq!(skipped(&format!("{{{P256}}}").replace("x_FE", "x_FF")), KeyReason::Malformed);
    assert_eq!(skipped(r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#), KeyReason::Type);
    assert_eq!(skipped(r#"{"kty":"FUTURE"}"#), KeyReason::Type);
    assert_eq!(skipped("{}"), KeyReason::Malformed);
    assert_eq!(skipped(&RFC_7638_KEY.replace("AQAB", "Aw")), KeyReason::Strength);
    assert_eq!(skipped(&RFC_7638_KEY.replace("AQAB", "AQAA")), KeyReason::Strength);
    let short = format!(r#"{{"kty":"RSA","e":"AQAB","n":"{}"}}"#, "qw".repeat(85));
    assert_eq!(skipped(&short), KeyReason::Strength);
    let one_good = set(&format!("{{{P256}}},{ED25519},{}", with(r#""use":"enc""#))).unwrap();
    assert_eq!((one_good.keys().len(), one_good.left_out().len()), (2, 1));
}

#[test]
fn a_set_that_publishes_a_secret_is_refused_whole_and_what_serialisers_write_for_none_is_no_secret() {
    for secret in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
        for value in [r#""AA""#, "7", "{}", r#"[{"r":"AA"}]"#, "true"] {
            let of = |entry: String| set(&format!("{ED25519},{entry}"));
            assert_eq!(of(format!(r#"{{{P256},"{secret}":{value}}}"#)).unwrap_err(), KeySetReason::Private, "{secret} {value}");
            // Also where the entry is no good key otherwise, or repeats it.
            assert_eq!(of(format!(r#"{{"{secret}":{value}}}"#)).unwrap_err(), KeySetReason::Private, "{secret} {value}");
            let twice = format!(r#"{{{P256},"{secret}":null,"{secret}":{value}}}"#);
            assert_eq!(of(twice).unwrap_err(), KeySetReason::Private, "{secret} {value}");
        }
        for value in ["null", r#""""#, "[]"] {
            let set = set(&format!(r#"{ED25519},{{{P256},"{secret}":{value}}}"#)).unwrap();
            assert_eq!((set.keys().len(), set.left_out()), (2, [].as_slice()), "{secret} {value}");
        }
    }
    assert_eq!(set(r#"{"kty":"oct","k":"AA"}"#).unwrap_err(), KeySetReason::Private);
}

#[test]
fn a_document_that_is_no_set_is_refused_and_an_odd_entry_is_not() {
    let many = vec!["{}"; KEYS_MAX + 1].join(",");
    assert_eq!(set(&many).unwrap_err(), KeySetReason::Count);
    for json in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"keys":[],"keys":[]}"#, "{\"keys\":[]}\u{feff}"] {
        assert_eq!(KeySet::parse(json.as_bytes(), KeyUse::Signature).unwrap_err(), KeySetReason::Malformed, "{json}");
    }
    assert_eq!(KeySet::parse(&vec![b' '; KEY_SET_BYTES_MAX + 1], KeyUse::Signature).unwrap_err(), KeySetReason::Long);
    for odd in ["1", "null", "[]", "\"x\"", "{}", r#"{"kty":"EC","kty":"EC"}"#, r#"{"kty":["EC"]}"#] {
        let set = set(&format!("{odd},{ED25519}")).unwrap();
        let told: Vec<String> = set.left_out().iter().map(ToString::to_string).collect();
        assert_eq!((set.keys().len(), told), (1, vec!["key 1 is not a well-formed key".to_owned()]), "{odd}");
    }
    let marked = format!("\u{feff}\n {{\"keys\":[{ED25519}]}}");
    assert_eq!(KeySet::parse(marked.as_bytes(), KeyUse::Signature).unwrap().keys().len(), 1);
}

#[test]
fn a_kid_that_names_two_keys_for_one_algorithm_names_none_and_a_key_that_is_there_twice_counts_once() {
    let told = |keys: &str| {
        let set = set(keys).unwrap();
        (set.keys().len(), set.left_out().iter().map(|key| (key.number, key.reason)).collect::<Vec<_>>())
    };
    let (p256, ed25519) =
        (|kid| format!(r#"{{{P256},"kid":"{kid}"}}"#), |kid| ED25519.replace('}', &format!(r#","kid":"{kid}"}}"#)));
    assert_eq!(told(&format!("{},{}", p256("a"), p256("a"))), (1, vec![(2, KeyReason::Repeated)]));
    assert_eq!(told(&format!("{{{P256}}},{},{{{P256}}}", p256("a"))), (2, vec![(3, KeyReason::Repeated)]));
    assert_eq!(told(&format!("{},{}", p256("a"), p256("b"))), (2, vec![]));
    assert_eq!(told(&format!("{},{}", p256("a"), ed25519("a"))), (2, vec![]), "the algorithm tells them apart");
    // The same key under two sets of algorithms is one key.
    let rsa = RFC_7638_KEY.replace(r#""alg":"RS256","#, "");
    assert_eq!(told(&format!("{rsa},{RFC_7638_KEY}")), (2, vec![]));
    let other = RFC_7638_KEY.replace("0vx7", "0vx8").replace("DKgw", "DKgQ");
    let shared = vec![(1, KeyReason::SharedKid), (3, KeyReason::SharedKid)];
    assert_eq!(told(&format!("{RFC_7638_KEY},{ED25519},{other}")), (1, shared));
    let shared = (1..4).map(|number| (number, KeyReason::SharedKid)).collect();
    assert_eq!(told(&format!("{rsa},{other},{}", other.replace("RS256", "PS256"))), (0, shared));
    let named = set(&format!("{},{}", p256("a"), p256("a"))).unwrap();
    assert_eq!(named.left_out()[0].to_string(), r#"key 2 (kid "a") is in the set already"#);
    let unseen = set(r#"{"kty":"FUTURE","kid":"a\u202eb"}"#).unwrap();
    assert!(unseen.left_out()[0].to_string().starts_with("key 1 has a key type"));
}

/// Negative test 41, as far as it concerns keys: SPIFFE Trust Domain and Bundle §4.
#[test]
fn a_bundle_yields_its_jwt_svid_keys_only() {
    let bundle = format!(
        r#"{{"keys":[{{{P256},"kid":"j","use":"jwt-svid"}},
        {{{P256},"kid":"x","use":"x509-svid","x5c":["AA=="]}},{{{P256},"kid":"w","use":"wit-svid"}},{{{P256},"kid":"n"}},
        {{{P256},"kid":"s","use":"sig"}}],"spiffe_sequence":18446744073709551615,"spiffe_refresh_hint":300}}"#
    );
    let bundle = KeySet::parse(bundle.as_bytes(), KeyUse::JwtSvid).unwrap();
    assert_eq!(bundle.keys().iter().map(VerifyingKey::kid).collect::<Vec<_>>(), [Some("j")]);
    assert_eq!(bundle.left_out().len(), 4);
    assert_eq!(bundle.sequence(), Some(u64::MAX));
    assert_eq!(bundle.refresh_hint(), Some(Duration::from_secs(300)));
    assert!(KeySet::parse(br#"{"keys":[]}"#, KeyUse::JwtSvid).unwrap().is_empty());
}

#[test]
fn the_digest_of_a_set_follows_its_keys_and_not_their_order() {
    let (one, other) = (format!(r#"{{{P256},"kid":"a"}}"#), ED25519);
    let digest = |keys: &str| set(keys).unwrap().digest();
    assert_eq!(digest(&format!("{one},{other}")), digest(&format!("{other} , {one}")));
    assert_ne!(digest(&one), digest(other));
    assert_ne!(digest(&one), digest(&one.replace("\"a\"", "\"b\"")));
}

#[test]
fn what_a_signing_key_publishes_is_a_key_set_of_one() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
        let key = SigningKey::from_pem(&generate_key(algorithm).unwrap(), algorithm).unwrap();
        let published = set(&key.public_jwk()).unwrap();
        assert_eq!(published.digest(), KeySet::of_signing_keys([&key]).digest());
        assert_eq!(published.keys()[0].kid(), Some(key.kid()));
        assert!(key.public_jwk().contains(r#""use":"sig""#) && key.public_jwk().contains(&format!(r#""alg":"{algorithm}""#)));
    }
}
