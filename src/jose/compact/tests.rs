#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "tests fail by panicking")]
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::jose::{KeyUse, SigningKey, generate_key};

const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const A2_KEY: &str = "\
    {\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm\
    4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UT\
    o7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAc\
    DTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}";
const A2_SIGNATURE: &str = "\
    cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZ\
    cAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-e\
    OkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const A3_KEY: &str = "\
    {\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue65\
    9LNpXW6pCyStikYjKIWI5a0\"}";
const A3_SIGNATURE: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const A4_KEY: &str = "\
    {\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9ts\
    z4qUxcWceqwQGk\",\"y\":\"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2\"}";
const A4: &str = "\
    eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_\
    7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
const RFC_8037_KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const RFC_8037_A4: &str = "\
    eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iyl\
    Gjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn keys(jwks: &[&str]) -> KeySet {
    KeySet::parse(format!(r#"{{"keys":[{}]}}"#, jwks.join(",")).as_bytes(), KeyUse::Signature).unwrap()
}

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn verify(token: &str, keys: &KeySet) -> Result<Verified, JoseReason> {
    Compact::parse(token)?.verify_in(keys, &Algorithm::ALL)
}

static ES256: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::ES256));
static RS256: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::RS256));

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::from_pem(&generate_key(algorithm).unwrap(), algorithm).unwrap()
}

/// A token with any header, genuinely signed by `key`.
fn signed(header: &str, payload: &str, key: &SigningKey) -> String {
    let message = format!("{}.{}", encoded(header), encoded(payload));
    let signature = key.sign_bytes(message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn rfc_7515_a2_and_a3_verify() {
    for (header, signature, key) in [("RS256", A2_SIGNATURE, A2_KEY), ("ES256", A3_SIGNATURE, A3_KEY)] {
        let token = format!("{}.{CLAIMS}.{signature}", encoded(&format!(r#"{{"alg":"{header}"}}"#)));
        let verified = verify(&token, &keys(&[key])).unwrap();
        assert_eq!(verified.claims().text("iss"), Ok(Some("joe".into())));
        assert_eq!(verified.claims().date("exp"), Ok(Some(Time::from_seconds(1_300_819_380))));
        assert_eq!(verified.claims().raw("http://example.com/is_root"), Some("true"));
    }
}

#[test]
fn rfc_7515_a4_and_rfc_8037_a4_have_good_signatures_over_what_is_not_claims() {
    for (token, key, algorithm) in [(A4, A4_KEY, Algorithm::ES512), (RFC_8037_A4, RFC_8037_KEY, Algorithm::EdDSA)] {
        let set = keys(&[key]);
        let compact = Compact::parse(token).unwrap();
        assert_eq!(compact.check_signature(&set.keys()[0], algorithm), Ok(()));
        assert_eq!(verify(token, &set).unwrap_err(), JoseReason::Claims);
        let changed = token.replace(".UGF5", ".UGF6").replace(".RXho", ".RXhi").replace(".RXhh", ".RXhi");
        assert_eq!(Compact::parse(&changed).unwrap().check_signature(&set.keys()[0], algorithm), Err(JoseReason::Signature));
    }
}

#[test]
fn rfc_7515_a1_hmac_and_a5_none_are_refused() {
    let a1 = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    let a5 = format!("eyJhbGciOiJub25lIn0.{CLAIMS}.");
    for token in [a1, a5] {
        assert_eq!(verify(&token, &keys(&[A2_KEY, A3_KEY])).unwrap_err(), JoseReason::Algorithm);
    }
}

/// Negative test 21.
#[test]
fn the_header_never_chooses_an_algorithm_that_the_key_and_the_issuer_do_not_allow() {
    let set = KeySet::of_signing_keys([&*ES256, &*RS256]);
    let named = |alg: &str, kid: &str| format!(r#"{{"alg":{alg},"kid":"{kid}"}}"#);
    for alg in ["\"none\"", "\"None\"", "\"nOnE\"", "\"HS256\"", "\"es256\"", "\"ES256K\"", "null", "5", "[\"ES256\"]", "\"\""] {
        let token = signed(&named(alg, ES256.kid()), "{}", &ES256);
        assert_eq!(verify(&token, &set).unwrap_err(), JoseReason::Algorithm, "{alg}");
    }
    assert_eq!(verify(&signed(r#"{"typ":"JWT"}"#, "{}", &ES256), &set).unwrap_err(), JoseReason::Algorithm);
    for (alg, key) in [("ES384", &*ES256), ("RS256", &*ES256), ("PS256", &*RS256), ("RS384", &*RS256), ("EdDSA", &*ES256)] {
        let token = signed(&named(&format!("\"{alg}\""), key.kid()), "{}", key);
        assert_eq!(verify(&token, &set).unwrap_err(), JoseReason::AlgorithmNotAllowed, "{alg}");
    }
    let token = RS256.sign("JWT", b"{}").unwrap();
    let compact = Compact::parse(&token).unwrap();
    assert!(compact.verify_in(&set, &[Algorithm::RS256]).is_ok());
    assert_eq!(compact.verify_in(&set, &[Algorithm::ES256]).unwrap_err(), JoseReason::AlgorithmNotAllowed);
    assert_eq!(compact.verify_in(&set, &[]).unwrap_err(), JoseReason::AlgorithmNotAllowed);
    assert_eq!(compact.verify(ES256.verifying_key()).unwrap_err(), JoseReason::AlgorithmNotAllowed);
}

/// Negative test 22.
#[test]
fn a_kid_names_the_only_key_that_is_tried() {
    let (one, other) = (key(Algorithm::ES256), key(Algorithm::ES256));
    let set = KeySet::of_signing_keys([&one, &other]);
    let by = |kid: &str| signed(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#), "{}", &other);
    assert!(verify(&by(other.kid()), &set).is_ok());
    assert_eq!(verify(&by(one.kid()), &set).unwrap_err(), JoseReason::Signature);
    assert_eq!(verify(&by("unknown"), &set).unwrap_err(), JoseReason::UnknownKey);
    let without = signed(r#"{"alg":"ES256"}"#, "{}", &other);
    assert_eq!(verify(&without, &set).unwrap_err(), JoseReason::AmbiguousKey);
    assert!(verify(&without, &KeySet::of_signing_keys([&other, &*RS256])).is_ok());
    assert_eq!(verify(&without, &KeySet::of_signing_keys([&*RS256])).unwrap_err(), JoseReason::AmbiguousKey);
    assert_eq!(verify(&by(other.kid()), &KeySet::of_signing_keys([])).unwrap_err(), JoseReason::UnknownKey);
}

/// Negative test 23.
#[test]
fn header_members_that_choose_a_key_or_change_the_meaning_are_refused() {
    for name in ["x5u", "jwk", "x5c", "crit", "zip", "b64", "enc"] {
        let token = signed(&format!(r#"{{"alg":"ES256","{name}":"https://x.example"}}"#), "{}", &ES256);
        assert_eq!(Compact::parse(&token).unwrap_err(), JoseReason::HeaderMember, "{name}");
    }
    let addressed = signed(r#"{"alg":"ES256","jku":"https://x.example"}"#, "{}", &ES256);
    assert!(
        Compact::parse(&addressed).unwrap().names_key_address()
            && verify(&addressed, &KeySet::of_signing_keys([&*ES256])).is_ok()
    );
    assert!(!Compact::parse(&signed(r#"{"alg":"ES256"}"#, "{}", &ES256)).unwrap().names_key_address());
    let long = "k".repeat(256);
    for header in [
        r#"{"alg":"ES256","kid":7}"#.to_owned(),
        r#"{"alg":"ES256","typ":[]}"#.to_owned(),
        r#"{"alg":"ES256","alg":"ES256"}"#.to_owned(),
        r#"{"alg":"ES256","\u0061lg":"none"}"#.to_owned(),
        format!(r#"{{"alg":"ES256","kid":"{long}"}}"#),
        "[]".to_owned(),
        "ES256".to_owned(),
    ] {
        assert_eq!(Compact::parse(&signed(&header, "{}", &ES256)).unwrap_err(), JoseReason::Header, "{header}");
    }
}

/// Negative test 24.
#[test]
fn only_the_canonical_compact_form_is_read() {
    let token = ES256.sign("at+jwt", br#"{"sub":"a"}"#).unwrap();
    let set = KeySet::of_signing_keys([&*ES256]);
    assert!(verify(&token, &set).is_ok());
    let parts: Vec<&str> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let json = format!(r#"{{"payload":"{payload}","protected":"{header}","signature":"{signature}"}}"#);
    let polyglot = format!(r#"{{"protected":"{header}","x":".","payload":"{payload}","y":".","signature":"{signature}"}}"#);
    for (text, reason) in [
        (String::new(), JoseReason::Parts),
        (header.to_owned(), JoseReason::Parts),
        (format!("{header}.{payload}"), JoseReason::Parts),
        (format!("{token}.x"), JoseReason::Parts),
        (format!("{header}.e.{payload}.{signature}.t"), JoseReason::Parts),
        (format!(".{payload}.{signature}"), JoseReason::Parts),
        (json, JoseReason::Parts),
        (polyglot, JoseReason::Encoding),
        (format!("{token}="), JoseReason::Encoding),
        (format!("{token}\n"), JoseReason::Encoding),
        (format!(" {token}"), JoseReason::Encoding),
        (format!("{header}.{} {}.{signature}", &payload[..4], &payload[4..]), JoseReason::Encoding),
        (format!("{header}.{}+.{signature}", &payload[1..]), JoseReason::Encoding),
        (format!("{header}.{payload}\u{e9}.{signature}"), JoseReason::Encoding),
        ("a".repeat(COMPACT_BYTES_MAX + 1), JoseReason::Long),
    ] {
        assert_eq!(Compact::parse(&text).unwrap_err(), reason, "{text:.80}");
    }
    for payload in [r#"{"sub":"a","sub":"b"}"#, "[]", "x", "", &format!("{}1{}", r#"{"a":"#.repeat(40), "}".repeat(40))] {
        let token = ES256.sign("JWT", payload.as_bytes()).unwrap();
        assert_eq!(Compact::parse(&token).unwrap().unverified_claims().unwrap_err(), JoseReason::Claims);
        assert_eq!(verify(&token, &set).unwrap_err(), JoseReason::Claims);
    }
}

#[test]
fn base64_with_loose_trailing_bits_is_refused() {
    let token = ES256.sign("JWT", br#"{"a":1}"#).unwrap();
    let last = token.chars().last().unwrap();
    // 64 bytes leave two significant bits in the last character: four trailing ones are free to a lenient decoder.
    let other =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().find(|next| *next as u32 == last as u32 + 1);
    let changed = format!("{}{}", &token[..token.len() - 1], other.unwrap());
    assert_eq!(Compact::parse(&changed).unwrap_err(), JoseReason::Encoding);
}

#[test]
fn typ_is_compared_as_a_media_type() {
    let typed = |typ: &str| signed(&format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#), "{}", &ES256);
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        let token = typed(typ);
        let compact = Compact::parse(&token).unwrap();
        assert!(compact.typ_is("at+jwt"), "{typ}");
        assert!(!compact.typ_is("jwt"));
        assert_eq!(compact.typ(), Some(typ));
    }
    assert!(!Compact::parse(&typed("xapplication/at+jwt")).unwrap().typ_is("at+jwt"));
    assert!(!Compact::parse(&signed(r#"{"alg":"ES256"}"#, "{}", &ES256)).unwrap().typ_is("jwt"));
}

#[test]
fn a_cached_signature_is_believed_for_the_same_token_and_a_current_key_only() {
    let (cache, now) = (Cache::default(), Time::from_seconds(1000));
    let token = ES256.sign("JWT", br#"{"exp":2000}"#).unwrap();
    let (set, empty) = (KeySet::of_signing_keys([&*ES256]), KeySet::of_signing_keys([]));
    let compact = Compact::parse(&token).unwrap();
    assert!(compact.verify_cached(&set, &[Algorithm::ES256], &cache, now).is_ok());
    assert_eq!(cache.len(), 1);
    assert!(compact.verify_cached(&set, &[Algorithm::ES256], &cache, now).is_ok());
    assert_eq!(compact.verify_cached(&empty, &[Algorithm::ES256], &cache, now).unwrap_err(), JoseReason::UnknownKey);
    assert_eq!(compact.verify_cached(&set, &[Algorithm::RS256], &cache, now).unwrap_err(), JoseReason::AlgorithmNotAllowed);
    let forged = signed(&format!(r#"{{"alg":"ES256","kid":"{}"}}"#, ES256.kid()), r#"{"exp":2000}"#, &RS256);
    let forged = Compact::parse(&forged).unwrap();
    assert_eq!(forged.verify_cached(&set, &[Algorithm::ES256], &cache, now).unwrap_err(), JoseReason::Signature);
    assert_eq!(cache.len(), 1);
    let undated = ES256.sign("JWT", b"{}").unwrap();
    assert!(Compact::parse(&undated).unwrap().verify_cached(&set, &[Algorithm::ES256], &cache, now).is_ok());
    assert_eq!(cache.len(), 1);
}

/// The cache is consulted: what it is told to know needs no good signature any more.
#[test]
fn a_signature_is_not_verified_twice() {
    let (cache, now) = (Cache::default(), Time::from_seconds(1000));
    let token = signed(&format!(r#"{{"alg":"ES256","kid":"{}"}}"#, ES256.kid()), "{}", &RS256);
    let compact = Compact::parse(&token).unwrap();
    cache.remember(compact.digest(), ES256.verifying_key().thumbprint(), Time::from_seconds(2000), now);
    let set = KeySet::of_signing_keys([&*ES256]);
    assert!(compact.verify_cached(&set, &[Algorithm::ES256], &cache, now).is_ok());
    assert!(compact.verify_cached(&set, &[Algorithm::ES256], &cache, Time::from_seconds(2000)).is_err());
    assert!(compact.verify_in(&set, &[Algorithm::ES256]).is_err());
}

#[test]
fn the_sets_of_two_issuers_never_mix() {
    let (mine, theirs) = (key(Algorithm::ES256), key(Algorithm::ES256));
    let same_kid = |key: &SigningKey| keys(&[&key.public_jwk().replace(key.kid(), "k1")]);
    let token = signed(r#"{"alg":"ES256","kid":"k1"}"#, "{}", &theirs);
    assert!(verify(&token, &same_kid(&theirs)).is_ok());
    assert_eq!(verify(&token, &same_kid(&mine)).unwrap_err(), JoseReason::Signature);
    let both = format!(r#"{{"keys":[{},{}]}}"#, mine.public_jwk(), theirs.public_jwk());
    let both = both.replace(mine.kid(), "k1").replace(theirs.kid(), "k1");
    let both = KeySet::parse(both.as_bytes(), KeyUse::Signature).unwrap();
    assert_eq!(verify(&token, &both).unwrap_err(), JoseReason::UnknownKey, "the kid names neither");
}

/// The `kid` of a token is a hint (RFC 7515 §4.1.4): it says nothing where no key has one, and something where any has.
#[test]
fn the_only_key_of_a_set_needs_no_kid() {
    let (mine, other) = (key(Algorithm::ES256), key(Algorithm::ES256));
    let nameless = |key: &SigningKey| key.public_jwk().replace(&format!("\"kid\":\"{}\"", key.kid()), "\"x-was\":\"\"");
    let token = |by: &SigningKey| signed(r#"{"alg":"ES256","kid":"k1"}"#, "{}", by);
    assert!(verify(&token(&mine), &keys(&[&nameless(&mine)])).is_ok());
    // The one that is named may have come since.
    assert_eq!(verify(&token(&other), &keys(&[&nameless(&mine)])).unwrap_err(), JoseReason::UnknownKey);
    let two = keys(&[&nameless(&mine), &nameless(&other)]);
    assert_eq!(verify(&token(&mine), &two).unwrap_err(), JoseReason::UnknownKey);
    let mixed = keys(&[&nameless(&mine), &other.public_jwk()]);
    assert_eq!(verify(&token(&mine), &mixed).unwrap_err(), JoseReason::UnknownKey);
}

proptest! {
    #[test]
    fn parse_never_panics(text in ".{0,300}") {
        let _ = Compact::parse(&text);
    }

    #[test]
    fn parse_never_panics_on_dotted_base64(text in "[A-Za-z0-9_=.-]{0,300}") {
        let _ = Compact::parse(&text).map(|compact| (compact.algorithm(), compact.unverified_claims().is_ok()));
    }

    #[test]
    fn a_changed_character_never_verifies(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
        let token = ES256.sign("at+jwt", br#"{"iss":"https://idp.example","sub":"alice","exp":2000}"#).unwrap();
        let at = at.index(token.len());
        let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        prop_assume!(changed != token);
        prop_assert!(verify(&changed, &KeySet::of_signing_keys([&*ES256])).is_err());
    }
}
