//! Requests and answers for people: everything but what could be used again.

use std::fmt::Write;

use serde_json::Value;

use crate::answer::Answer;
use crate::jose::from_base64url;
use crate::request::Request;

const LONGEST: usize = 600;

/// A sentence is shorter than this, a signed token longer.
const TEXT_MAX: usize = 300;

/// The request, tokens and secrets elided.
pub(crate) fn request(request: &Request) -> String {
    let mut text = format!("    {} {}\n", request.method, request.url);
    for (name, value) in &request.headers {
        let value = if name.eq_ignore_ascii_case("authorization") { elide_header(value) } else { cut(value) };
        let _ = writeln!(text, "    {name}: {value}");
    }
    if let Some(raw) = &request.raw {
        let _ = writeln!(text, "    body: {} bytes", raw.len());
    }
    for (name, value) in &request.params {
        let _ = writeln!(text, "    {name} = {}", param(name, value));
    }
    text
}

/// The answer, issued tokens elided.
pub(crate) fn answer(answer: &Answer) -> String {
    let mut text = format!("    {}\n", answer.status);
    for name in ["content-type", "cache-control", "www-authenticate", "retry-after", "location"] {
        if let Some(value) = answer.header(name) {
            let _ = writeln!(text, "    {name}: {value}");
        }
    }
    let body = answer.json.as_ref().map_or_else(|| answer.body.clone(), |json| elide_long(json).to_string());
    let _ = writeln!(text, "    {}", cut(&body));
    match &answer.token {
        Some(Ok(token)) => {
            let _ = writeln!(text, "    issued: {} {}", token.header, elide_long(&token.claims));
        }
        Some(Err(what)) => {
            let _ = writeln!(text, "    issued: {what}");
        }
        None => {}
    }
    text
}

fn param(name: &str, value: &str) -> String {
    match name {
        "client_secret" => format!("<{} bytes>", value.len()),
        _ if value.matches('.').count() >= 2 || value.len() > 200 => elide(value),
        _ => cut(value),
    }
}

fn elide_header(value: &str) -> String {
    let (scheme, rest) = value.split_once(' ').unwrap_or(("", value));
    format!("{scheme} <{} bytes>", rest.len())
}

/// A JWT by header and claims, without the signature that would make it usable.
fn elide(token: &str) -> String {
    let part = |index: usize| {
        let bytes = from_base64url(token.split('.').nth(index)?).ok()?;
        String::from_utf8(bytes).ok().map(|text| cut(&text))
    };
    match (part(0), part(1)) {
        (Some(header), Some(claims)) => format!("<jwt {header} {claims}>"),
        _ => format!("<{} bytes>", token.len()),
    }
}

/// A value in which tokens, and whatever else is long, are replaced by their lengths.
fn elide_long(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(members.iter().map(|(name, value)| (name.clone(), elide_long(value))).collect()),
        Value::Array(items) => Value::Array(items.iter().map(elide_long).collect()),
        Value::String(text) if text.len() > TEXT_MAX => Value::from(format!("<{} bytes>", text.len())),
        other => other.clone(),
    }
}

/// At most a few hundred letters, on one line.
fn cut(text: &str) -> String {
    let line = |text: &str| text.replace('\n', "\\n").replace('\r', "\\r");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… ({} bytes)", line(text.get(..end).unwrap_or_default()), text.len()),
        None => line(text),
    }
}
