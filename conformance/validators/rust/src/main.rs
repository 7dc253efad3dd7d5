//! jsonwebtoken: verifies; the key set is fetched by the API itself.

use std::error::Error;
use std::io::BufRead;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Value, json};

// recipe
struct Validator {
    validation: Validation,
    keys: JwkSet,
}

impl Validator {
    /// Fetch the key set again where a kid is unknown, and not more often than every 30 seconds.
    fn new(http: &ureq::Agent, issuer: &str, audience: &str) -> Result<Self, ureq::Error> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let keys = http.get(format!("{issuer}/jwks")).call()?.body_mut().read_json()?;
        Ok(Self { validation, keys })
    }

    fn claims(&self, token: &str) -> Result<Value, Box<dyn Error>> {
        let kid = decode_header(token)?.kid.ok_or("no kid")?;
        let key = DecodingKey::from_jwk(self.keys.find(&kid).ok_or("an unknown kid")?)?;
        Ok(decode(token, &key, &self.validation)?.claims)
    }
}
// end

#[derive(Deserialize)]
struct Setup {
    issuer: String,
    audience: String,
    ca: String,
}

fn http(ca: &str) -> Result<ureq::Agent, Box<dyn Error>> {
    use ureq::tls::{Certificate, RootCerts, TlsConfig};
    let mut tls = TlsConfig::builder();
    if !ca.is_empty() {
        tls = tls.root_certs(RootCerts::from(vec![Certificate::from_pem(&std::fs::read(ca)?)?]));
    }
    Ok(ureq::Agent::config_builder().tls_config(tls.build()).build().new_agent())
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let setup: Setup = serde_json::from_slice(&std::fs::read(path)?)?;
    let validator = Validator::new(&http(&setup.ca)?, &setup.issuer, &setup.audience)?;
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line?)?;
        let token = asked.get("token").and_then(Value::as_str).unwrap_or_default();
        match validator.claims(token) {
            Ok(claims) => println!("{}", json!({ "case": asked.get("case"), "sub": claims.get("sub") })),
            Err(error) => println!("{}", json!({ "case": asked.get("case"), "detail": error.to_string() })),
        }
    }
    Ok(())
}
