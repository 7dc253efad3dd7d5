//! `token inspect`: a token in words.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::output::{Failed, Outcome};

/// The options of `token inspect`.
#[derive(Args)]
pub(super) struct Options {
    /// The token; `-` reads it from standard input, so that it stays out of the shell's history
    token: String,
    /// Print header and claims as JSON
    #[arg(long)]
    json: bool,
}

/// Explains a token. Its signature is not verified.
pub(super) fn run(options: &Options) -> Outcome {
    let token = match options.token.as_str() {
        "-" => from_standard_input()?,
        given => given.to_owned(),
    };
    let (header, claims) =
        decoded(token.trim()).ok_or_else(|| Failed::new("this is not a JWT in compact form (header.claims.signature)"))?;
    if options.json {
        say!("{}", json!({"header": header, "claims": claims, "verified": false}));
    } else {
        words(&header, &claims).iter().for_each(|line| say!("{line}"));
    }
    Ok(true)
}

fn from_standard_input() -> Result<String, Failed> {
    let mut text = String::new();
    std::io::stdin().take(64 * 1024).read_to_string(&mut text)?;
    Ok(text)
}

fn decoded(token: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let mut parts = token.split('.');
    let mut object = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok();
    let both = (object()?, object()?);
    (parts.count() == 1).then_some(both)
}

/// The claims of a token, unverified.
pub(super) fn claims(token: &str) -> Option<Map<String, Value>> {
    decoded(token).map(|(_, claims)| claims)
}

/// One line per fact, in the order in which people ask.
pub(super) fn words(header: &Map<String, Value>, claims: &Map<String, Value>) -> Vec<String> {
    let mut lines = vec![format!(
        "{}, signed with {} by key {}; the signature is not verified here",
        kind(header),
        text(header, "alg"),
        text(header, "kid")
    )];
    let mut say = |label: &str, words: String| lines.push(format!("  {label:<12} {words}"));
    say("issued by", text(claims, "iss"));
    say("on behalf of", text(claims, "sub"));
    if claims.contains_key("client_id") {
        say("asked for by", text(claims, "client_id"));
    }
    actors(claims).into_iter().enumerate().for_each(|(position, actor)| {
        say(if position == 0 { "acting" } else { "before it" }, actor);
    });
    say("usable at", text(claims, "aud"));
    if claims.contains_key("scope") {
        say("may", text(claims, "scope"));
    }
    if let Some(key) = claims.get("cnf").and_then(bound_to) {
        say("bound to", key);
    }
    for (label, claim) in [("issued", "iat"), ("valid until", "exp")] {
        if let Some(seconds) = claims.get(claim).and_then(Value::as_i64) {
            say(label, instant(seconds));
        }
    }
    for (label, claim) in [("transaction", "txn"), ("hop", "jti")] {
        if claims.contains_key(claim) {
            say(label, text(claims, claim));
        }
    }
    lines
}

/// The key that a `cnf` names (RFC 7800 §3).
pub(super) fn bound_to(cnf: &Value) -> Option<String> {
    let (member, thumbprint) = cnf.as_object()?.iter().next()?;
    let kind = if member == "jkt" { "the key" } else { "the certificate" };
    Some(format!("{kind} {} ({member})", thumbprint.as_str().unwrap_or("?")))
}

fn kind(header: &Map<String, Value>) -> &'static str {
    match header.get("typ").and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref() {
        Some("at+jwt" | "application/at+jwt") => "an access token",
        Some("client-authentication+jwt") => "a client assertion",
        _ => "a JWT",
    }
}

/// The chain in words, current actor first. Nesting beyond any chain is cut, for display only.
fn actors(claims: &Map<String, Value>) -> Vec<String> {
    let mut actors = Vec::new();
    let mut next = claims.get("act");
    while let Some(Value::Object(actor)) = next.filter(|_| actors.len() < 32) {
        let instance = actor.get("instance").map(|_| format!(", instance {}", text(actor, "instance"))).unwrap_or_default();
        actors.push(format!("{} ({}{instance})", text(actor, "sub"), text(actor, "iss")));
        next = actor.get("act");
    }
    actors
}

fn text(object: &Map<String, Value>, name: &str) -> String {
    match object.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
        None => "(nothing)".to_owned(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A `NumericDate` as people write it.
pub(super) fn instant(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}
