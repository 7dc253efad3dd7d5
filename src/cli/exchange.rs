//! `token exchange`: an RFC 8693 client for people. The answer is read with the `oauth2` crate's types, as other clients read it;
//! its request builders know no extension grants, so the request is written here.

use std::path::PathBuf;

use clap::Args;
use oauth2::basic::BasicTokenType;
use oauth2::{ExtraTokenFields, StandardTokenResponse, TokenResponse};
use serde::{Deserialize, Serialize};

use super::ask::{Asking, Parameters, Wanted, token_type};
use super::login::read;
use super::output::{Failed, Outcome};
use crate::request::TOKEN_EXCHANGE;

/// The options of `token exchange`.
#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    asking: Asking,
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

#[derive(Debug, Serialize, Deserialize)]
struct Extra {
    issued_token_type: String,
    txn: Option<String>,
}

impl ExtraTokenFields for Extra {}

/// Exchanges a token and prints the new one.
pub(super) fn run(options: &Options) -> Outcome {
    options.asking.run(Wanted::Token, parameters(options)?, granted)
}

fn parameters(options: &Options) -> Result<Parameters, Failed> {
    let mut form = vec![("grant_type", TOKEN_EXCHANGE.to_owned())];
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

fn granted(response: &StandardTokenResponse<Extra, BasicTokenType>) {
    say!("{}", response.access_token().secret());
    let scopes: Vec<&str> = response.scopes().into_iter().flatten().map(|scope| scope.as_str()).collect();
    let seconds = response.expires_in().map_or(0, |span| span.as_secs());
    let txn = response.extra_fields().txn.as_deref().unwrap_or("(none)");
    eprintln!("good for {seconds} s, scope: {}, transaction {txn}", scopes.join(" "));
}
