//! Tokens, records and answers as people read them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Header and claims of a JWT in compact form, unverified.
pub(super) fn decode(token: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let mut parts = token.split('.');
    let mut object = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok();
    let both = (object()?, object()?);
    (parts.count() == 1).then_some(both)
}

/// The claims of a token, unverified.
pub(super) fn claims(token: &str) -> Option<Map<String, Value>> {
    decode(token).map(|(_, claims)| claims)
}

/// The key that a `cnf` names (RFC 7800 §3).
pub(super) fn confirmation(cnf: &Value) -> Option<String> {
    let (member, thumbprint) = cnf.as_object()?.iter().next()?;
    let kind = if member == "jkt" { "the key" } else { "the certificate" };
    Some(format!("{kind} {} ({member})", thumbprint.as_str().unwrap_or("?")))
}

/// A `NumericDate` as people write it (RFC 3339).
pub(super) fn instant(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}

/// A text as it is, the elements of an array one after the other, anything else as JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// The elements of an array of an answer; none where there is no such array.
pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A text of an answer, or a dash.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned()
}
