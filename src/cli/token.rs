//! `token`: an RFC 8693 client for people, and a token in words. The answer of an exchange is read with the `oauth2` crate's
//! types, as other clients read it; its request builders know no extension grants, so the request is written here.

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use oauth2::basic::BasicTokenType;
use oauth2::{ExtraTokenFields, StandardTokenResponse, TokenResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::client_auth::read;
use super::client_request::{ClientRequest, Parameters, Wanted, token_type};
use super::output::{CommandResult, Failure};
use super::text::{confirmation, decode, instant, plain};
use crate::oauth::GrantType;

/// The sub-commands of `token`.
#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Ask a server for a token exchange (RFC 8693)
    Exchange(Box<ExchangeOptions>),
    /// Explain a token in words; nothing is verified
    Inspect(InspectOptions),
}

/// The options of `token exchange`.
#[derive(Args)]
pub(super) struct ExchangeOptions {
    #[command(flatten)]
    request: ClientRequest,
    /// A file with the actor token
    #[arg(long)]
    actor_token: Option<PathBuf>,
    /// Its type
    #[arg(long, default_value = "jwt")]
    actor_token_type: String,
    /// The URI of an API the token is for; may repeat
    #[arg(long)]
    resource: Vec<String>,
    /// The name of an API the token is for; may repeat
    #[arg(long)]
    audience: Vec<String>,
    /// The scopes to ask for, separated by spaces
    #[arg(long)]
    scope: Option<String>,
    /// Take the permitted part when the scope asked for is too wide
    #[arg(long)]
    narrow: bool,
    /// Ask to act as the subject, where policy permits
    #[arg(long)]
    impersonate: bool,
}

/// The options of `token inspect`.
#[derive(Args)]
pub(super) struct InspectOptions {
    /// The token; `-` reads it from standard input, so that it stays out of the shell's history
    token: String,
    /// Print header and claims as JSON
    #[arg(long)]
    json: bool,
}

/// Does what was asked.
pub(super) fn run(command: &TokenCommand) -> CommandResult {
    match command {
        TokenCommand::Exchange(options) => exchange(options),
        TokenCommand::Inspect(options) => inspect(options),
    }
}

/// The members of a token response that RFC 6749 does not have.
#[derive(Debug, Serialize, Deserialize)]
struct ExchangeFields {
    issued_token_type: String,
    txn: Option<String>,
}

impl ExtraTokenFields for ExchangeFields {}

/// Exchanges a token and prints the new one.
fn exchange(options: &ExchangeOptions) -> CommandResult {
    options.request.run(Wanted::Token, parameters(options)?, granted)
}

fn parameters(options: &ExchangeOptions) -> Result<Parameters, Failure> {
    let mut form = vec![("grant_type", GrantType::TokenExchange.as_str().to_owned())];
    if let Some(actor) = &options.actor_token {
        form.push(("actor_token", read(actor)?));
        form.push(("actor_token_type", token_type(&options.actor_token_type)));
    }
    form.extend(options.resource.iter().map(|resource| ("resource", resource.clone())));
    form.extend(options.audience.iter().map(|audience| ("audience", audience.clone())));
    form.extend(options.scope.iter().map(|scope| ("scope", scope.clone())));
    if options.narrow {
        form.push(("scope_mode", "narrow".to_owned()));
    }
    if options.impersonate {
        form.push(("impersonate", "true".to_owned()));
    }
    Ok(form)
}

fn granted(response: &StandardTokenResponse<ExchangeFields, BasicTokenType>) {
    say!("{}", response.access_token().secret());
    let scopes: Vec<&str> = response.scopes().into_iter().flatten().map(|scope| scope.as_str()).collect();
    let seconds = response.expires_in().map_or(0, |span| span.as_secs());
    let txn = response.extra_fields().txn.as_deref().unwrap_or("(none)");
    eprintln!("good for {seconds} s, scope: {}, transaction {txn}", scopes.join(" "));
}

/// Explains a token. Its signature is not verified.
fn inspect(options: &InspectOptions) -> CommandResult {
    let token = match options.token.as_str() {
        "-" => from_standard_input()?,
        given => given.to_owned(),
    };
    let (header, claims) =
        decode(token.trim()).ok_or_else(|| Failure::new("this is not a JWT in compact form (header.claims.signature)"))?;
    if options.json {
        say!("{}", json!({"header": header, "claims": claims, "verified": false}));
    } else {
        words(&header, &claims).iter().for_each(|line| say!("{line}"));
    }
    Ok(true)
}

fn from_standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().take(64 * 1024).read_to_string(&mut text)?;
    Ok(text)
}

/// One line per fact, in the order in which people ask.
fn words(header: &Map<String, Value>, claims: &Map<String, Value>) -> Vec<String> {
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
    if let Some(key) = claims.get("cnf").and_then(confirmation) {
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
    object.get(name).map_or_else(|| "(nothing)".to_owned(), plain)
}
