//! Verifying what the server issued, as a resource server would: by the key set it publishes.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::Value;

use super::from_base64url;

/// A JWT taken apart. It exists only when its signature was right.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The JOSE header.
    pub header: Value,
    /// The claims.
    pub claims: Value,
    /// The payload exactly as signed.
    pub payload: String,
    /// The key of the set that verified it.
    pub key: Value,
}

/// Takes `jwt` apart and verifies it with the key of `keys` (a JWK set) that its `kid` names.
///
/// # Errors
/// A sentence saying what is wrong with the token or the key set.
pub fn decode_and_verify(jwt: &str, keys: &Value) -> Result<Decoded, String> {
    let (signed, signature) = jwt.rsplit_once('.').ok_or("the token is not a compact JWS")?;
    let (header, payload) = signed.split_once('.').filter(|(_, p)| !p.contains('.')).ok_or("the token has not three parts")?;
    let payload = String::from_utf8(from_base64url(payload)?).map_err(|_| "the payload is not UTF-8")?;
    let header = json(&from_base64url(header)?, "header")?;
    let claims = json(payload.as_bytes(), "payload")?;
    let key = select(&header, keys)?;
    verify(&header, key, signed.as_bytes(), &from_base64url(signature)?)?;
    Ok(Decoded { header, claims, payload, key: key.clone() })
}

fn json(bytes: &[u8], part: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("the {part} is not JSON: {error}"))?;
    value.is_object().then_some(value).ok_or_else(|| format!("the {part} is not a JSON object"))
}

fn select<'a>(header: &Value, keys: &'a Value) -> Result<&'a Value, String> {
    let kid = header.get("kid").and_then(Value::as_str).ok_or("the header has no kid")?;
    let set = keys.get("keys").and_then(Value::as_array).ok_or("the key set has no member keys")?;
    let mut named = set.iter().filter(|key| key.get("kid").and_then(Value::as_str) == Some(kid));
    let key = named.next().ok_or_else(|| format!("the key set has no key {kid}"))?;
    named.next().is_none().then_some(key).ok_or_else(|| format!("the key set has two keys {kid}"))
}

fn verify(header: &Value, key: &Value, message: &[u8], signature: &[u8]) -> Result<(), String> {
    let alg = header.get("alg").and_then(Value::as_str).ok_or("the header has no alg")?;
    if key.get("alg").and_then(Value::as_str).is_some_and(|named| named != alg) {
        return Err(format!("the header says {alg} but the key is for another algorithm"));
    }
    let member = |name: &str| from_base64url(key.get(name).and_then(Value::as_str).unwrap_or_default());
    let outcome = match alg {
        "ES256" | "ES384" => {
            let point = [vec![4], member("x")?, member("y")?].concat();
            let algorithm = if alg == "ES256" { &ECDSA_P256_SHA256_FIXED } else { &ECDSA_P384_SHA384_FIXED };
            UnparsedPublicKey::new(algorithm, point).verify(message, signature)
        }
        "EdDSA" => UnparsedPublicKey::new(&ED25519, member("x")?).verify(message, signature),
        "RS256" => {
            let public = RsaPublicKeyComponents { n: member("n")?, e: member("e")? };
            public.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
        }
        other => return Err(format!("this runner cannot verify {other}")),
    };
    outcome.map_err(|_| "the signature is wrong".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::jose::{Key, base64url};
    use serde_json::json;

    /// RFC 7515 appendix A.3.
    #[test]
    fn the_example_of_rfc_7515_verifies() {
        let key = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
        let signed =
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let signature = from_base64url(signature).unwrap();
        assert_eq!(verify(&json!({"alg": "ES256"}), &key, signed.as_bytes(), &signature), Ok(()));
        assert!(verify(&json!({"alg": "ES256"}), &key, b"other", &signature).is_err());
    }

    #[test]
    fn every_kind_of_key_signs_what_its_public_half_verifies() {
        for name in ["idp", "idp-es384", "idp-rsa", "idp-ed25519"] {
            let path = format!("{}/fixture/keys/{name}.jwk.json", env!("CARGO_MANIFEST_DIR"));
            let key = Key::from_jwk(&std::fs::read_to_string(path).unwrap()).unwrap();
            let header = json!({"alg": key.alg, "kid": key.kid});
            let signed = format!("{}.{}", base64url(header.to_string()), base64url(r#"{"sub":"x"}"#));
            let token = format!("{signed}.{}", base64url(key.sign(signed.as_bytes()).unwrap()));
            let set = json!({"keys": [key.public_jwk()]});
            assert_eq!(decode_and_verify(&token, &set).unwrap().claims, json!({"sub": "x"}), "{name}");
            assert!(decode_and_verify(&token, &json!({"keys": []})).is_err());
            let doubled = json!({"keys": [key.public_jwk(), key.public_jwk()]});
            assert!(decode_and_verify(&token, &doubled).is_err());
        }
    }
}
