//! Whole sets of rules with one name: what every token response and every error response must keep.

use serde_json::Value;

use crate::answer::Answer;
use crate::case::Shape;
use crate::inflate::inflate;
use crate::jose::from_base64url;
use crate::request::Request;
use crate::values::now;

/// The rules of `shape` that `answer` breaks.
pub(super) fn broken(shape: &Shape, request: &Request, answer: &Answer) -> Vec<String> {
    let mut rules = Rules { answer, broken: Vec::new() };
    match shape {
        Shape::Any => return Vec::new(),
        Shape::Json => rules.json(),
        Shape::Inactive => rules.inactive(),
        Shape::StatusList => rules.status_list(request),
        Shape::Token => rules.token(true),
        Shape::Granted => rules.token(false),
        Shape::Error(codes) => rules.error(codes, request),
    }
    rules.broken
}

struct Rules<'a> {
    answer: &'a Answer,
    broken: Vec<String>,
}

/// Parameters whose values are secrets or evidence, and so may not come back in an error.
const SENSITIVE: [&str; 6] = ["token", "subject_token", "actor_token", "client_assertion", "client_secret", "assertion"];

impl Rules<'_> {
    fn must(&mut self, holds: bool, what: &str) {
        if !holds {
            self.broken.push(what.to_owned());
        }
    }

    fn json(&mut self) {
        let kind = self.answer.header("content-type").unwrap_or_default();
        let media = kind.split(';').next().unwrap_or_default().trim();
        let object = self.answer.json.as_ref().is_some_and(Value::is_object);
        self.must(media == "application/json" || media == "application/jwk-set+json", "content-type is not JSON");
        self.must(object, "the body is not a JSON object");
        self.must(self.answer.json.as_ref().is_none_or(|json| !has_null(json)), "the body has a null member");
    }

    /// RFC 6749 §5.1: nothing that carries tokens may be cached.
    fn not_stored(&mut self) {
        let control = self.answer.header("cache-control").unwrap_or_default();
        self.must(control.split(',').any(|word| word.trim() == "no-store"), "cache-control is not no-store");
    }

    /// RFC 7662 §2.2: no member but `active`.
    fn inactive(&mut self) {
        self.json();
        self.not_stored();
        let sole = self.answer.json == Some(serde_json::json!({ "active": false }));
        self.must(sole, "the answer is not active: false and nothing else");
    }

    /// RFC 6749 §5.1, and what standard clients stumble over; with a type where it was `exchanged` (RFC 8693 §2.2.1), and without
    /// one by any other grant.
    fn token(&mut self, exchanged: bool) {
        self.json();
        self.not_stored();
        let text = |name: &str| self.answer.json.as_ref().and_then(|json| json.get(name)).and_then(Value::as_str);
        let filled = |name: &str| text(name).is_some_and(|text| !text.is_empty());
        let (access_token, issued, kind) = (filled("access_token"), filled("issued_token_type"), filled("token_type"));
        let scope = self.member("scope").is_none_or(|scope| scope.as_str().is_some_and(|scope| !scope.trim().is_empty()));
        let expires_in = self.member("expires_in").is_some_and(|seconds| seconds.as_u64().is_some_and(|seconds| seconds > 0));
        self.must(access_token, "access_token is missing or no string");
        if exchanged {
            self.must(issued, "issued_token_type is missing or no string");
        } else {
            self.must(self.member("issued_token_type").is_none(), "issued_token_type is for token exchange alone");
        }
        self.must(kind, "token_type is missing or no string");
        self.must(expires_in, "expires_in is missing or no positive integer");
        self.must(scope, "scope is empty or no string");
        self.must(self.member("error").is_none(), "a success has an error member");
        self.access_token();
    }

    /// draft-ietf-oauth-status-list-21 §5.1, §8.2.
    fn status_list(&mut self, request: &Request) {
        let kind = self.answer.header("content-type").unwrap_or_default() == "application/statuslist+jwt";
        self.must(kind, "content-type is not application/statuslist+jwt");
        let list = match &self.answer.token {
            Some(Ok(list)) => list,
            Some(Err(what)) => return self.must(false, &format!("the list cannot be verified: {what}")),
            None => return self.must(false, "there is no list"),
        };
        let (claims, text) = (&list.claims, |name: &str| list.claims.get(name).and_then(Value::as_str).unwrap_or_default());
        let typ = list.header.get("typ").and_then(Value::as_str) == Some("statuslist+jwt");
        let algorithm = list.header.get("alg").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.must(typ, "typ is not statuslist+jwt");
        self.must(!algorithm.starts_with("HS") && algorithm != "none", "the list is not signed by an asymmetric key");
        let sub = text("sub").to_owned();
        self.must(request.url.split('?').next() == Some(sub.as_str()), "sub is not the address of the list");
        let number = |name: &str| claims.get(name).and_then(Value::as_i64);
        let (iat, exp, ttl) = (number("iat"), number("exp"), number("ttl"));
        self.must(iat.is_some_and(|iat| (now() - 60..=now() + 1).contains(&iat)), "iat is not of just now");
        self.must(exp.is_some_and(|exp| exp > now()), "exp is missing or past");
        self.must(ttl.is_some_and(|ttl| ttl > 0), "ttl is missing or no positive integer");
        let list = claims.get("status_list").cloned().unwrap_or_default();
        let bits = list.get("bits").and_then(Value::as_u64).is_some_and(|bits| [1, 2, 4, 8].contains(&bits));
        self.must(bits, "bits is not 1, 2, 4 or 8");
        let packed = list.get("lst").and_then(Value::as_str).unwrap_or_default();
        let unpacked = from_base64url(packed).and_then(|packed| inflate(&packed));
        self.must(unpacked.is_ok(), &format!("lst does not unpack: {}", unpacked.err().unwrap_or_default()));
        let nulls = has_null(claims);
        self.must(!nulls, "the list has a null claim");
    }

    /// The access token itself, when it is a JWT (RFC 9068 §2).
    fn access_token(&mut self) {
        let Some(token) = &self.answer.token else { return };
        let claims = match token {
            Ok(token) => &token.claims,
            Err(what) => return self.must(false, &format!("the access token cannot be verified: {what}")),
        };
        for name in ["iss", "sub", "client_id", "jti"] {
            let string = claims.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
            self.must(string, &format!("the claim {name} is missing or no string"));
        }
        let number = |name: &str| claims.get(name).and_then(Value::as_i64);
        let (Some(exp), Some(iat)) = (number("exp"), number("iat")) else {
            return self.must(false, "the claims exp and iat are not both integers");
        };
        self.must(claims.get("aud").is_some(), "the token has no aud");
        self.must(iat <= now() + 1, "the token was issued in the future");
        let told = self.member("expires_in").and_then(Value::as_i64).unwrap_or_default();
        self.must((exp - iat - told).abs() <= 1, "expires_in is not what exp says");
        self.must(!has_null(claims), "the token has a null claim");
        self.must(claims.get("may_act").is_none(), "may_act was copied into the token");
        let scope = claims.get("scope");
        self.must(scope.is_none_or(Value::is_string), "the claim scope is not one string");
        self.must(self.member("scope").is_none() || scope == self.member("scope"), "token and answer tell different scopes");
    }

    /// RFC 6749 §5.2.
    fn error(&mut self, codes: &[String], request: &Request) {
        self.json();
        self.not_stored();
        let code = self.member("error").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.must(codes.contains(&code), &format!("error is {code:?}, not {}", codes.join(" or ")));
        self.must(self.member("access_token").is_none(), "an error has an access_token");
        let described = self.member("error_description").and_then(Value::as_str).unwrap_or_default();
        let plain = described.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        self.must(plain, "error_description has a character outside RFC 6749 §5.2");
        let challenge = self.answer.header("www-authenticate").is_some();
        let tried = request.header("authorization").is_some();
        self.must(!challenge || tried, "a challenge, though the request had no Authorization header");
        self.must(self.answer.status != 401 || !tried || challenge, "401 to an Authorization header without a challenge");
        let echoed = request.params.iter().any(|(name, value)| {
            SENSITIVE.contains(&name.as_str()) && value.len() >= 8 && self.answer.body.contains(value.as_str())
        });
        self.must(!echoed, "the error echoes a token or secret");
    }

    fn member(&self, name: &str) -> Option<&Value> {
        self.answer.json.as_ref().and_then(|json| json.get(name))
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}
