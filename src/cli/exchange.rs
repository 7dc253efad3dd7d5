//! `token exchange`: an RFC 8693 client for people. The answer is read with the `oauth2` crate's types, as other clients read it;
//! its request builders know no extension grants, so the request is written here.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use oauth2::basic::{BasicErrorResponse, BasicTokenType};
use oauth2::{ExtraTokenFields, StandardTokenResponse, TokenResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::output::{Failed, Outcome};
use super::proof::ProofOptions;
use super::wire::{Answer, Tls, Wire};
use crate::crypto::random;
use crate::jose::{Algorithm, SigningKey};
use crate::oauth::{Clock, Jti};
use crate::request::TOKEN_EXCHANGE;
use crate::store::SystemClock;

const TYPE_PREFIX: &str = "urn:ietf:params:oauth:token-type:";
const ASSERTION_PREFIX: &str = "urn:ietf:params:oauth:client-assertion-type:";

/// The options of `token exchange`.
#[derive(Args)]
pub(super) struct Options {
    /// The server's issuer identifier
    #[arg(long, default_value = "http://127.0.0.1:8693")]
    server: String,
    /// A file with the subject token; `-` for standard input
    #[arg(long)]
    subject_token: PathBuf,
    /// Its type: access_token, id_token, jwt or a URI
    #[arg(long, default_value = "jwt")]
    subject_token_type: String,
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
    #[command(flatten)]
    login: LoginOptions,
    #[command(flatten)]
    proof: ProofOptions,
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
}

/// How the client proves itself; without any of these the subject token itself is the login.
#[derive(Args)]
struct LoginOptions {
    /// The client's id
    #[arg(long)]
    client_id: Option<String>,
    /// A client certificate (PEM, with those that lead to its root), to log in with or to bind the token to; its key is in --key,
    /// or in the same file
    #[arg(long)]
    cert: Option<PathBuf>,
    /// Who may have issued the server's certificate (PEM); without it, those that this machine trusts
    #[arg(long)]
    cacert: Option<PathBuf>,
    /// private_key_jwt: a file with the client's private key (PKCS#8 PEM); with --cert, the key of the certificate
    #[arg(long, requires = "client_id")]
    key: Option<PathBuf>,
    /// The algorithm of that key
    #[arg(long, default_value = "ES256")]
    alg: String,
    /// A file with an attestation to log in with (JWT-SVID or another workload's token)
    #[arg(long, conflicts_with = "secret_file")]
    assertion: Option<PathBuf>,
    /// Its type: jwt-bearer or jwt-spiffe
    #[arg(long, default_value = "jwt-bearer")]
    assertion_type: String,
    /// client_secret_basic: a file with the client's secret
    #[arg(long, requires = "client_id")]
    secret_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    token_endpoint: String,
    /// Where clients with a certificate go (RFC 8705 §5).
    #[serde(default)]
    mtls_endpoint_aliases: Aliases,
}

#[derive(Default, Deserialize)]
struct Aliases {
    token_endpoint: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Extra {
    issued_token_type: String,
    txn: Option<String>,
}

impl ExtraTokenFields for Extra {}

/// Exchanges a token and prints the new one.
pub(super) fn run(options: &Options) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(exchange(options))?;
    if answer.status == 200 { granted(&answer, options.json) } else { refused(&answer, options.json) }
}

async fn exchange(options: &Options) -> Result<Answer, Failed> {
    let wire = Wire::with(&options.login.tls()?)?;
    let metadata = discover(&wire, &options.server).await?;
    let mut form = parameters(options)?;
    let authorization = options.login.prove(&metadata, &mut form)?;
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let alias = metadata.mtls_endpoint_aliases.token_endpoint.as_ref().filter(|_| options.login.cert.is_some());
    let url = alias.unwrap_or(&metadata.token_endpoint);
    let Some(prover) = options.proof.prover()? else {
        return wire.post_form(url, &form, authorization.as_deref(), None).await;
    };
    let answer = wire.post_form(url, &form, authorization.as_deref(), Some(&prover.proof(url, None)?)).await?;
    match answer.nonce.as_deref().filter(|_| wants_nonce(&answer)) {
        // What was refused spent nothing, so the login serves once more.
        Some(nonce) => wire.post_form(url, &form, authorization.as_deref(), Some(&prover.proof(url, Some(nonce))?)).await,
        None => Ok(answer),
    }
}

/// RFC 9449 §8.
fn wants_nonce(answer: &Answer) -> bool {
    let error = serde_json::from_slice::<BasicErrorResponse>(&answer.body);
    answer.status == 400 && error.is_ok_and(|error| error.error().as_ref() == "use_dpop_nonce")
}

/// RFC 8414 §3.1: the well-known path goes between host and path of the issuer. Its `issuer` must be the one asked for (§3.3).
async fn discover(wire: &Wire, server: &str) -> Result<Metadata, Failed> {
    let mut url = url::Url::parse(server).map_err(|_| Failed::new("--server must be the issuer's URL"))?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    let answer = wire.get(url.as_str()).await?;
    let metadata: Metadata = serde_json::from_slice(&answer.body)
        .map_err(|_| Failed::new(format!("{url} has no authorization server metadata (status {})", answer.status)))?;
    match metadata.issuer.trim_end_matches('/') == server.trim_end_matches('/') {
        true => Ok(metadata),
        false => Err(Failed::new(format!("{url} speaks for another issuer, {}; name that one with --server", metadata.issuer))),
    }
}

fn parameters(options: &Options) -> Result<Vec<(&'static str, String)>, Failed> {
    let mut form = vec![
        ("grant_type", TOKEN_EXCHANGE.to_owned()),
        ("subject_token", read(&options.subject_token)?),
        ("subject_token_type", full(&options.subject_token_type, TYPE_PREFIX)),
    ];
    if let Some(actor) = &options.actor_token {
        form.push(("actor_token", read(actor)?));
        form.push(("actor_token_type", full(&options.actor_token_type, TYPE_PREFIX)));
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

impl LoginOptions {
    /// What the connection is made with.
    fn tls(&self) -> Result<Tls, Failed> {
        let authorities = self.cacert.as_deref().map(read).transpose()?.map(String::into_bytes);
        let parts = self.cert.iter().chain(self.key.iter().filter(|_| self.cert.is_some())).map(|file| read(file));
        let parts: Vec<String> = parts.collect::<Result<_, _>>()?;
        let identity = Some(parts.join("\n")).filter(|_| self.cert.is_some()).map(String::into_bytes);
        Ok(Tls { authorities, identity })
    }

    /// Adds what proves the client; answers the `Authorization` header where the method uses one.
    fn prove(&self, metadata: &Metadata, form: &mut Vec<(&'static str, String)>) -> Result<Option<String>, Failed> {
        if self.key.is_some() && self.cert.is_none() && (self.assertion.is_some() || self.secret_file.is_some()) {
            return Err(Failed::new("--key goes with --assertion or --secret-file only as the key of --cert"));
        }
        if let (Some(file), Some(id)) = (&self.secret_file, &self.client_id) {
            let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(id), encoded(&read(file)?));
            return Ok(Some(format!("Basic {}", STANDARD.encode(pair))));
        }
        form.extend(self.client_id.iter().map(|id| ("client_id", id.clone())));
        let key = self.key.as_ref().filter(|_| self.cert.is_none());
        let assertion = match (key, &self.client_id, &self.assertion) {
            (Some(key), Some(id), _) => Some(assertion(key, &self.alg, id, &metadata.issuer)?),
            (_, _, Some(file)) => Some(read(file)?),
            _ => None,
        };
        if let Some(assertion) = assertion {
            form.push(("client_assertion", assertion));
            form.push(("client_assertion_type", full(&self.assertion_type, ASSERTION_PREFIX)));
        }
        Ok(None)
    }
}

/// A client assertion for the issuer alone, good for one minute (RFC 7523 §2.2).
fn assertion(key: &Path, alg: &str, id: &str, issuer: &str) -> Result<String, Failed> {
    let algorithm = Algorithm::parse(alg).ok_or_else(|| Failed::new("--alg must be ES256, RS256 or EdDSA"))?;
    let key = SigningKey::from_pem(&read(key)?, algorithm)?;
    let now = SystemClock.now();
    let jti = Jti::new(now, random()?).to_string();
    let (iat, exp) = (now.seconds(), now.seconds() + 60);
    let claims = json!({"iss": id, "sub": id, "aud": issuer, "iat": iat, "exp": exp, "jti": jti});
    Ok(key.sign("client-authentication+jwt", claims.to_string().as_bytes())?)
}

fn read(file: &Path) -> Result<String, Failed> {
    let named = |error: std::io::Error| Failed::new(format!("cannot read {}: {error}", file.display()));
    let text = match file.as_os_str().to_str() {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().take(64 * 1024).read_to_string(&mut text).map_err(named)?;
            text
        }
        _ => fs::read_to_string(file).map_err(named)?,
    };
    Ok(text.trim_end().to_owned())
}

fn full(name: &str, prefix: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("{prefix}{name}") }
}

fn granted(answer: &Answer, json: bool) -> Outcome {
    let response: StandardTokenResponse<Extra, BasicTokenType> = serde_json::from_slice(&answer.body)
        .map_err(|error| Failed::new(format!("the server's answer is no token response: {error}")))?;
    if json {
        say!("{}", String::from_utf8_lossy(&answer.body));
        return Ok(true);
    }
    say!("{}", response.access_token().secret());
    let scopes: Vec<&str> = response.scopes().into_iter().flatten().map(|scope| scope.as_str()).collect();
    let seconds = response.expires_in().map_or(0, |span| span.as_secs());
    let txn = response.extra_fields().txn.as_deref().unwrap_or("(none)");
    eprintln!("good for {seconds} s, scope: {}, transaction {txn}", scopes.join(" "));
    Ok(true)
}

fn refused(answer: &Answer, json: bool) -> Outcome {
    if json {
        say!("{}", String::from_utf8_lossy(&answer.body));
        return Ok(false);
    }
    match serde_json::from_slice::<BasicErrorResponse>(&answer.body) {
        Ok(error) => eprintln!("refused: {error}"),
        Err(_) => eprintln!("refused with status {} and no OAuth error", answer.status),
    }
    Ok(false)
}
