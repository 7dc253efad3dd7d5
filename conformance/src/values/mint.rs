//! Tokens made from templates: right by default, wrong exactly where a case says so.

use aws_lc_rs::hmac;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::case::Arg;
use crate::jose::{Key, base64url};
use crate::profile::{Login, TestIssuer};

use super::{Missing, Values, fresh_id, lacks};

/// A token about to be signed.
struct Draft<'a> {
    header: Members,
    claims: Members,
    key: &'a Key,
    tricks: Tricks,
}

/// Members in order, each value as raw JSON.
#[derive(Default)]
struct Members(Vec<(String, String)>);

/// The `@…` arguments of a token.
#[derive(Default)]
struct Tricks {
    sign: String,
    payload: Option<String>,
    append: Option<String>,
    header_append: Option<String>,
    form: String,
}

impl Values<'_> {
    /// `${jwt TRUST …}`, `${assertion CLIENT …}` and `${proof KEY …}`.
    pub(super) fn mint(&self, function: &str, args: &[Arg]) -> Result<String, Missing> {
        let mut args = args.iter();
        let first = args.next().filter(|arg| arg.key.is_none()).ok_or_else(|| bad("the first argument is a role"))?;
        let role = self.text(&first.value)?;
        let mut draft = match function {
            "jwt" => self.issuer_draft(&role)?,
            "proof" => self.proof_draft(&role)?,
            _ => self.assertion_draft(&role)?,
        };
        for arg in args {
            self.apply(&mut draft, arg)?;
        }
        draft.finish()
    }

    /// The `client_assertion` and `client_assertion_type` of the client of that role.
    pub(crate) fn client_assertion(&self, role: &str) -> Result<(&'static str, String), Missing> {
        let kind = match &self.client(role)?.login {
            Login::PrivateKeyJwt { .. } => "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            Login::Attestation { assertion_type, .. } if assertion_type.ends_with(":jwt-spiffe") => {
                "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
            }
            _ => "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        };
        Ok((kind, self.assertion_draft(role)?.finish()?))
    }

    fn issuer_draft(&self, role: &str) -> Result<Draft<'_>, Missing> {
        let issuer = self.profile().trust.get(role).ok_or_else(|| lacks("trust", role))?;
        let key = self.signing_key(&issuer.key)?;
        let mut claims = Members::default();
        if let Some(name) = &issuer.issuer {
            claims.set("iss", &Value::from(name.as_str()));
        }
        claims.set("aud", &issuer.audience);
        self.times(&mut claims, issuer);
        issuer.claims.iter().for_each(|(name, value)| claims.set(name, value));
        Ok(Draft { header: header(key, &issuer.typ), claims, key, tricks: Tricks::default() })
    }

    fn times(&self, claims: &mut Members, issuer: &TestIssuer) {
        claims.set("iat", &Value::from(self.now));
        claims.set("exp", &Value::from(self.now + issuer.lifetime));
        if issuer.jti {
            claims.set("jti", &Value::from(fresh_id()));
        }
    }

    fn assertion_draft(&self, role: &str) -> Result<Draft<'_>, Missing> {
        let client = self.client(role)?;
        match &client.login {
            Login::Attestation { trust, claims, .. } => {
                let mut draft = self.issuer_draft(trust)?;
                claims.iter().for_each(|(name, value)| draft.claims.set(name, value));
                Ok(draft)
            }
            Login::PrivateKeyJwt { key } => {
                let key = self.signing_key(key)?;
                let mut claims = Members::default();
                claims.set("iss", &Value::from(client.id.as_str()));
                claims.set("sub", &Value::from(client.id.as_str()));
                claims.set("aud", &Value::from(self.profile().issuer.as_str()));
                claims.set("iat", &Value::from(self.now));
                claims.set("exp", &Value::from(self.now + 60));
                claims.set("jti", &Value::from(fresh_id()));
                Ok(Draft { header: header(key, ""), claims, key, tricks: Tricks::default() })
            }
            _ => Err(bad(&format!("client {role} logs in with a secret and signs no assertion"))),
        }
    }

    /// A DPoP proof for the token endpoint (RFC 9449 §4.2).
    fn proof_draft(&self, key: &str) -> Result<Draft<'_>, Missing> {
        let key = self.signing_key(key)?;
        let mut header = Members::default();
        header.set("typ", &Value::from("dpop+jwt"));
        header.set("alg", &Value::from(key.alg.as_str()));
        header.set("jwk", &key.bare_jwk());
        let mut claims = Members::default();
        claims.set("jti", &Value::from(fresh_id()));
        claims.set("htm", &Value::from("POST"));
        claims.set("htu", &Value::from(self.endpoints().token.as_str()));
        claims.set("iat", &Value::from(self.now));
        Ok(Draft { header, claims, key, tricks: Tricks::default() })
    }

    pub(super) fn signing_key(&self, name: &str) -> Result<&Key, Missing> {
        self.profile().key(name).map(|key| key.as_ref()).ok_or_else(|| lacks("key", name))
    }

    fn apply<'d>(&'d self, draft: &mut Draft<'d>, arg: &Arg) -> Result<(), Missing> {
        let value = self.text(&arg.value)?;
        let Some(name) = &arg.key else {
            let name = value.strip_prefix('-').ok_or_else(|| bad(&format!("{value} is neither name=value nor -name")))?;
            match name.strip_prefix("header.") {
                Some(name) => draft.header.remove(name),
                None => draft.claims.remove(name),
            }
            return Ok(());
        };
        if let Some(trick) = name.strip_prefix('@') {
            return self.trick(draft, trick, value);
        }
        match name.strip_prefix("header.") {
            Some(name) => draft.header.put(name, json_or_string(&value)),
            None => draft.claims.put(name, self.claim(name, &value)),
        }
        Ok(())
    }

    fn trick<'d>(&'d self, draft: &mut Draft<'d>, trick: &str, value: String) -> Result<(), Missing> {
        match trick {
            "key" => {
                draft.key = self.signing_key(&value)?;
                draft.header.put("alg", json_or_string(&draft.key.alg));
                draft.header.put("kid", json_or_string(&draft.key.kid));
            }
            "signer" => draft.key = self.signing_key(&value)?,
            "sign" => draft.tricks.sign = value,
            "payload" => draft.tricks.payload = Some(value),
            "append" => draft.tricks.append = Some(value),
            "header-append" => draft.tricks.header_append = Some(value),
            "form" => draft.tricks.form = value,
            other => return Err(bad(&format!("there is no @{other}"))),
        }
        Ok(())
    }

    /// In the four time claims `+60` and `-60` mean: seconds from now.
    fn claim(&self, name: &str, value: &str) -> String {
        let relative = matches!(name, "exp" | "iat" | "nbf" | "auth_time") && value.starts_with(['+', '-']);
        match value.parse::<i64>() {
            Ok(seconds) if relative => (self.now + seconds).to_string(),
            _ => json_or_string(value),
        }
    }
}

impl Draft<'_> {
    fn finish(self) -> Result<String, Missing> {
        let Tricks { sign, payload, append, header_append, form } = self.tricks;
        let header = self.header.json(header_append.as_deref());
        let payload = payload.unwrap_or_else(|| self.claims.json(append.as_deref()));
        let signed = format!("{}.{}", base64url(header), base64url(payload));
        let signature = match sign.as_str() {
            "" => self.key.sign(signed.as_bytes()),
            "none" => Ok(Vec::new()),
            "public-key-as-secret" => self.key.mac_with_public_key(signed.as_bytes()),
            "empty-secret" => Ok(mac(b"", signed.as_bytes())),
            "zeros" => Ok(vec![0; 64]),
            other => Err(format!("there is no @sign={other}")),
        };
        let signature = base64url(signature.map_err(Missing::Case)?);
        assemble(&signed, &signature, &form)
    }
}

/// The serialisation: compact, unless `form` asks for one that no receiver should take.
fn assemble(signed: &str, signature: &str, form: &str) -> Result<String, Missing> {
    let (header, payload) = signed.split_once('.').unwrap_or((signed, ""));
    match form {
        "" => Ok(format!("{signed}.{signature}")),
        "two-parts" => Ok(signed.to_owned()),
        "four-parts" => Ok(format!("{signed}.{signature}.{signature}")),
        "five-parts" => Ok(format!("{header}..{payload}.{signature}.{signature}")),
        "padded" => Ok(format!("{header}==.{payload}==.{signature}==")),
        "spaced" => Ok(format!("{header} .{payload}.{signature}")),
        "json" => Ok(format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#)),
        other => Err(bad(&format!("there is no @form={other}"))),
    }
}

fn mac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

fn header(key: &Key, typ: &str) -> Members {
    let mut header = Members::default();
    header.set("alg", &Value::from(key.alg.as_str()));
    if !key.kid.is_empty() {
        header.set("kid", &Value::from(key.kid.as_str()));
    }
    if !typ.is_empty() {
        header.set("typ", &Value::from(typ));
    }
    header
}

impl Members {
    fn set(&mut self, name: &str, value: &Value) {
        self.put(name, value.to_string());
    }

    fn put(&mut self, name: &str, raw: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => *value = raw,
            None => self.0.push((name.to_owned(), raw)),
        }
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// The object; `append` is put behind the last member as it stands, so that a member can be doubled.
    fn json(&self, append: Option<&str>) -> String {
        let members = self.0.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())));
        let members: Vec<String> = members.chain(append.map(str::to_owned)).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// Valid JSON stays as it stands; anything else becomes a JSON string.
fn json_or_string(value: &str) -> String {
    match serde_json::from_str::<&RawValue>(value) {
        Ok(raw) => raw.get().to_owned(),
        Err(_) => Value::from(value).to_string(),
    }
}

fn bad(what: &str) -> Missing {
    Missing::Case(what.to_owned())
}
