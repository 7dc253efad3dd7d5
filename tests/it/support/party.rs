//! The parties of an exchange, as their own libraries would write their tokens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_conformance::Profile;
use countersign_conformance::jose::Key;
use serde_json::{Map, Value, json};

/// An agent with the key that it logs in with, and the issuers that vouch for people.
#[derive(Clone)]
pub struct Party {
    profile: Profile,
    agent: String,
    skew: i64,
}

impl Party {
    /// The agent of that role.
    pub fn new(profile: &Profile, agent: &str) -> Self {
        Self { profile: profile.clone(), agent: agent.to_owned(), skew: 0 }
    }

    /// The same, with a clock that is so many seconds off.
    pub fn skewed(self, skew: i64) -> Self {
        Self { skew, ..self }
    }

    /// A fresh client assertion (RFC 7523 §2.2), good for a minute.
    pub fn assertion(&self) -> String {
        self.assertion_with(json!({}))
    }

    /// A client assertion with claims beside or instead of the usual; those that are null are left out.
    pub fn assertion_with(&self, claims: Value) -> String {
        let client = &self.profile.clients[&self.agent];
        let (id, aud, now) = (&client.id, &self.profile.issuer, self.now());
        let usual = json!({ "iss": id, "sub": id, "aud": aud, "iat": now, "exp": now + 60, "jti": fresh() });
        jwt(self.key(&self.agent), "JWT", &merged([usual, claims]))
    }

    /// A fresh DPoP proof by the test key `key` for the token endpoint (RFC 9449 §4.2).
    pub fn proof(&self, key: &str) -> String {
        self.proof_at(key, "/token")
    }

    /// A fresh DPoP proof by the test key `key` for the endpoint at `path`.
    pub fn proof_at(&self, key: &str, path: &str) -> String {
        self.proof_for(key, ("POST", path), json!({}))
    }

    /// A fresh DPoP proof by the test key `key` for that method and path, with claims beside or instead of the usual.
    pub fn proof_for(&self, key: &str, (method, path): (&str, &str), more: Value) -> String {
        let key = self.key(key);
        let htu = format!("{}{path}", self.profile.issuer);
        let claims = json!({ "jti": fresh(), "htm": method, "htu": htu, "iat": self.now() });
        let header = json!({ "typ": "dpop+jwt", "alg": key.alg, "jwk": key.bare_jwk() });
        under(key, &header, &merged([claims, more]).to_string())
    }

    /// The RFC 7638 thumbprint of the test key `key`.
    pub fn thumbprint(&self, key: &str) -> String {
        self.key(key).thumbprint().unwrap()
    }

    /// A client attestation of this agent for the test key `key`, with claims beside or instead of the usual
    /// (draft-ietf-oauth-attestation-based-client-auth §4).
    pub fn client_attestation(&self, key: &str, more: Value) -> String {
        let (now, cnf) = (self.now(), json!({ "jwk": self.key(key).bare_jwk() }));
        let usual = json!({ "sub": self.profile.clients[&self.agent].id, "iat": now, "exp": now + 300, "cnf": cnf });
        jwt(self.key("attester"), "oauth-client-attestation+jwt", &merged([usual, more]))
    }

    /// A fresh proof that this is who holds the test key `key` of a client attestation
    /// (draft-ietf-oauth-attestation-based-client-auth §5.1).
    pub fn attestation_proof(&self, key: &str, more: Value) -> String {
        let key = self.key(key);
        let usual = json!({ "aud": self.profile.issuer, "jti": fresh(), "iat": self.now() });
        let header = json!({ "typ": "oauth-client-attestation-pop+jwt", "alg": key.alg });
        under(key, &header, &merged([usual, more]).to_string())
    }

    /// An ID token of the people's identity provider, with claims beside or instead of the usual.
    pub fn id_token(&self, claims: Value) -> String {
        self.vouched("idp", claims)
    }

    /// A token of that test issuer, with claims beside or instead of the usual; those that are null are left out.
    pub fn vouched(&self, trust: &str, claims: Value) -> String {
        let issuer = &self.profile.trust[trust];
        let now = self.now();
        let usual = json!({ "iss": issuer.issuer, "aud": issuer.audience, "iat": now, "exp": now + 300, "jti": fresh() });
        let azp = self.profile.clients[&self.agent].names.get(trust).map(|azp| json!({ "azp": azp })).unwrap_or(json!({}));
        let typ = if issuer.typ.contains('+') { &issuer.typ } else { "JWT" };
        jwt(self.key(&issuer.key), typ, &merged([Value::Object(issuer.claims.clone()), usual, azp, claims]))
    }

    /// An ID token with one more member behind the usual ones, as it stands: it may repeat one.
    pub fn id_token_with(&self, member: &str) -> String {
        let usual = claims(&self.id_token(json!({}))).to_string();
        signed(self.key("idp"), "JWT", &format!("{},{member}}}", usual.trim_end_matches('}')))
    }

    /// `token` with one member as it stands instead of what it has under that name, signed again by the test key `key`.
    pub fn altered(&self, token: &str, key: &str, name: &str, raw: &str) -> String {
        let (mut members, header) = (claims(token), token.split('.').next().unwrap_or_default());
        members.as_object_mut().unwrap().remove(name);
        let members = members.to_string();
        let text = format!("{},\"{name}\":{raw}}}", members.strip_suffix('}').unwrap());
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(text));
        let signature = URL_SAFE_NO_PAD.encode(self.key(key).sign(signed.as_bytes()).unwrap());
        format!("{signed}.{signature}")
    }

    /// The public half of the test key `key`.
    pub fn public_jwk(&self, key: &str) -> Value {
        self.key(key).public_jwk()
    }

    /// The parameters of an exchange of `subject_token`, with the login by `assertion`.
    pub fn request<'a>(assertion: &'a str, subject_token: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let kind = declared(subject_token);
        let mut parameters = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
            ("subject_token", subject_token),
            ("subject_token_type", kind),
        ];
        parameters.extend_from_slice(more);
        parameters
    }

    /// Its clock, in seconds since 1970.
    pub fn now(&self) -> i64 {
        now() + self.skew
    }

    fn key(&self, name: &str) -> &Key {
        self.profile.key(name).expect(name)
    }
}

/// The type that a token is declared as, by what its header says.
pub fn declared(token: &str) -> &'static str {
    match decoded(token.split('.').next().unwrap_or_default())["typ"].as_str() {
        Some("at+jwt") => "urn:ietf:params:oauth:token-type:access_token",
        Some("task+jwt") => "urn:ietf:params:oauth:token-type:jwt",
        _ => "urn:ietf:params:oauth:token-type:id_token",
    }
}

/// The parameters as a form.
pub fn form(parameters: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// All members, the later instead of the earlier, without those that are null.
fn merged<const N: usize>(sources: [Value; N]) -> Value {
    let members = sources.into_iter().flat_map(|source| source.as_object().cloned().unwrap_or_default());
    let mut all: Map<String, Value> = members.collect();
    all.retain(|_, value| !value.is_null());
    Value::Object(all)
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> Value {
    decoded(token.split('.').nth(1).unwrap_or_default())
}

fn decoded(part: &str) -> Value {
    URL_SAFE_NO_PAD.decode(part).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
}

fn jwt(key: &Key, typ: &str, claims: &Value) -> String {
    signed(key, typ, &claims.to_string())
}

fn signed(key: &Key, typ: &str, claims: &str) -> String {
    under(key, &json!({ "alg": key.alg, "kid": key.kid, "typ": typ }), claims)
}

fn under(key: &Key, header: &Value, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn fresh() -> String {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{nanos:x}-{:x}", SERIAL.fetch_add(1, Ordering::Relaxed))
}
