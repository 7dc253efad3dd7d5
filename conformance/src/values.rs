//! Values of templates: looked up in the profile and in earlier answers, or made afresh.

mod mint;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::answer::Answer;
use crate::case::{Arg, Part, Template};
use crate::jose::base64url;
use crate::profile::{Client, Login, Profile};
use crate::shown::Shown;

/// Why a template has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The profile does not have it: the case does not apply to this server.
    Profile(String),
    /// The case asks for something that is not there.
    Case(String),
}

/// Addresses that the profile gives or metadata told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    /// The token endpoint.
    pub(crate) token: String,
    /// The `jwks_uri`; empty when the server publishes no keys.
    pub(crate) jwks: String,
    /// The introspection endpoint (RFC 7662); empty when metadata names none.
    pub(crate) introspection: String,
    /// The `mtls_endpoint_aliases` (RFC 8705 §5), by `token`, `introspect`, `revoke`.
    pub(crate) aliases: BTreeMap<String, String>,
    /// The revocation endpoint (RFC 7009); empty when metadata names none.
    pub(crate) revocation: String,
    /// The `task_endpoint`; empty when metadata names none.
    pub(crate) tasks: String,
}

/// The values of one running case.
pub(crate) struct Values<'a> {
    profile: &'a Profile,
    endpoints: &'a Endpoints,
    bound: HashMap<String, Bound>,
    now: i64,
}

enum Bound {
    Text(String),
    Answer(Box<Answer>),
}

static SERIAL: AtomicU64 = AtomicU64::new(0);

const NESTED_MAX: usize = 10_000;
const REPEATED_MAX: usize = 4 * 1024 * 1024;

impl<'a> Values<'a> {
    /// No bindings yet; the present is read here, once for the whole case.
    pub(crate) fn new(profile: &'a Profile, endpoints: &'a Endpoints) -> Self {
        Self { profile, endpoints, bound: HashMap::new(), now: now() }
    }

    /// Binds a text.
    pub(crate) fn bind(&mut self, name: &str, value: String) {
        self.bound.insert(name.to_owned(), Bound::Text(value));
    }

    /// Binds an answer.
    pub(crate) fn bind_answer(&mut self, name: &str, answer: Answer) {
        self.bound.insert(name.to_owned(), Bound::Answer(Box::new(answer)));
    }

    /// The profile.
    pub(crate) fn profile(&self) -> &'a Profile {
        self.profile
    }

    /// The addresses.
    pub(crate) fn endpoints(&self) -> &'a Endpoints {
        self.endpoints
    }

    /// The present value of `template`.
    ///
    /// # Errors
    /// When a name or argument has no value.
    pub(crate) fn text(&self, template: &Template) -> Result<String, Missing> {
        let mut text = String::new();
        for part in &template.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Name(name) => text.push_str(&self.name(name)?),
                Part::Call(function, args) => text.push_str(&self.call(function, args)?),
            }
        }
        Ok(text)
    }

    /// The client of that role.
    ///
    /// # Errors
    /// When the profile has none.
    pub(crate) fn client(&self, role: &str) -> Result<&'a Client, Missing> {
        self.profile.clients.get(role).ok_or_else(|| lacks("client", role))
    }

    /// The certificate of that name.
    ///
    /// # Errors
    /// When the profile has none.
    pub(crate) fn shown(&self, name: &str) -> Result<&'a Shown, Missing> {
        self.profile.certificates.get(name).map(|shown| &**shown).ok_or_else(|| lacks("certificate", name))
    }

    fn name(&self, name: &str) -> Result<String, Missing> {
        if let Some(offset) = name.strip_prefix("now") {
            let seconds: i64 = if offset.is_empty() { 0 } else { offset.parse().map_err(|_| wrong(name))? };
            return Ok((self.now + seconds).to_string());
        }
        let (root, path) = name.split_once('.').map_or((name, ""), |(root, path)| (root, path));
        match (root, self.bound.get(root)) {
            (_, Some(Bound::Text(text))) if path.is_empty() => Ok(text.clone()),
            (_, Some(Bound::Answer(answer))) if path == "body" => Ok(answer.body.clone()),
            (_, Some(Bound::Answer(answer))) if path.starts_with("header.") => {
                let header = path.strip_prefix("header.").and_then(|name| answer.header(name));
                header.map(str::to_owned).ok_or_else(|| wrong(name))
            }
            (_, Some(Bound::Answer(answer))) => answer.at(path).map(as_text).ok_or_else(|| wrong(name)),
            ("issuer", _) => Ok(self.profile.issuer.clone()),
            ("path", _) => Ok(origin_and_path(&self.profile.issuer).1.trim_end_matches('/').to_owned()),
            ("server", _) => Ok(self.profile.server.clone()),
            ("token_endpoint", _) => Ok(self.endpoints.token.clone()),
            ("jwks_uri", _) => Ok(self.endpoints.jwks.clone()),
            ("depth", _) => Ok(self.profile.max_depth.to_string()),
            ("newline", _) => Ok("\n".to_owned()),
            ("space", _) => Ok(" ".to_owned()),
            ("grant", _) => Ok("urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
            ("type", _) => Ok(format!("urn:ietf:params:oauth:token-type:{path}")),
            ("client" | "api" | "trust", _) => self.party(root, path),
            _ => Err(wrong(name)),
        }
    }

    /// `client.ROLE[.kind|.TRUST]`, `api.ROLE[.name|.SCOPE]`, `trust.ROLE[.audience]`.
    fn party(&self, root: &str, path: &str) -> Result<String, Missing> {
        let (role, member) = path.split_once('.').unwrap_or((path, ""));
        let found = match root {
            "client" => self.profile.clients.get(role).and_then(|client| match member {
                "" => Some(client.id.clone()),
                "kind" => Some(client.kind.clone()),
                other => client.names.get(other).cloned(),
            }),
            "api" => self.profile.apis.get(role).and_then(|api| match member {
                "" => Some(api.id.clone()),
                "name" => Some(api.name.clone()).filter(|name| !name.is_empty()),
                other => api.scopes.get(other).cloned(),
            }),
            _ => self.profile.trust.get(role).and_then(|trust| match member {
                "" => trust.issuer.clone(),
                "audience" => Some(as_text(&trust.audience)),
                _ => None,
            }),
        };
        found.ok_or_else(|| lacks(root, path))
    }

    fn call(&self, function: &str, args: &[Arg]) -> Result<String, Missing> {
        if matches!(function, "jwt" | "assertion" | "proof") {
            return self.mint(function, args);
        }
        let values = args.iter().map(|arg| self.text(&arg.value)).collect::<Result<Vec<_>, _>>()?;
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        match (function, values.as_slice()) {
            ("subject", [trust, id]) => {
                let issuer = self.profile.trust.get(*trust).ok_or_else(|| lacks("trust", trust))?;
                Ok(issuer.subject.replace("{}", id))
            }
            ("secret", [role]) => match &self.client(role)?.login {
                Login::ClientSecretBasic { secret } | Login::ClientSecretPost { secret } => Ok(secret.clone()),
                _ => Err(lacks("secret of client", role)),
            },
            ("base64", [text]) => Ok(STANDARD.encode(text)),
            ("base64url", [text]) => Ok(base64url(text)),
            ("form", [text]) => Ok(form_encode(text)),
            ("repeat", [times, text]) => repeat(times, text),
            ("acts", [depth]) => acts(depth),
            ("segment", [index, token]) => {
                let index: usize = index.parse().map_err(|_| wrong(index))?;
                token.split('.').nth(index).map(str::to_owned).ok_or_else(|| wrong("segment"))
            }
            ("flip", [token]) => Ok(flip(token)),
            ("id", []) => Ok(fresh_id()),
            ("certificate", [name]) => self.shown(name)?.base64(0).map(str::to_owned).ok_or_else(|| wrong(name)),
            ("issuing-certificate", [name]) => self.shown(name)?.base64(1).map(str::to_owned).ok_or_else(|| wrong(name)),
            ("x5t", [name]) => self.shown(name)?.thumbprint().ok_or_else(|| wrong(name)),
            ("jwk", [key]) => Ok(self.signing_key(key)?.bare_jwk().to_string()),
            ("private-jwk", [key]) => Ok(self.signing_key(key)?.private_jwk().to_string()),
            ("thumbprint", [key]) => self.signing_key(key)?.thumbprint().map_err(Missing::Case),
            _ => Err(wrong(function)),
        }
    }
}

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// A text that no other call returns, in this run or another.
pub(crate) fn fresh_id() -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{nanos:x}-{:x}-{:x}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed))
}

/// `application/x-www-form-urlencoded`, one name or value.
pub(crate) fn form_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// A JSON string's text; anything else as JSON.
pub(crate) fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Splits an address after its host and port.
pub(crate) fn origin_and_path(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    url.split_at_checked(path).unwrap_or((url, ""))
}

fn repeat(times: &str, text: &str) -> Result<String, Missing> {
    let times: usize = times.parse().map_err(|_| wrong("repeat"))?;
    if times.saturating_mul(text.len()) > REPEATED_MAX {
        return Err(Missing::Case("repeat makes at most 4 MiB".to_owned()));
    }
    Ok(text.repeat(times))
}

/// `depth` act objects, one in the other.
fn acts(depth: &str) -> Result<String, Missing> {
    let depth: usize = depth.parse().ok().filter(|depth| (1..=NESTED_MAX).contains(depth)).ok_or_else(|| wrong("acts"))?;
    let mut text = String::new();
    for hop in 1..depth {
        text.push_str(&format!("{{\"sub\":\"actor-{hop}\",\"act\":"));
    }
    text.push_str(&format!("{{\"sub\":\"actor-{depth}\"}}"));
    text.push_str(&"}".repeat(depth - 1));
    Ok(text)
}

/// The token with one bit of its signature turned.
fn flip(token: &str) -> String {
    let Some((signed, signature)) = token.rsplit_once('.') else { return token.to_owned() };
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let rest: String = signature.chars().skip(1).collect();
    format!("{signed}.{first}{rest}")
}

fn lacks(what: &str, role: &str) -> Missing {
    Missing::Profile(format!("the profile has no {what} {role}"))
}

fn wrong(what: &str) -> Missing {
    Missing::Case(format!("{what} has no value here"))
}
