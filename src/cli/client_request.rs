//! A client's request in the name of a subject: the common part of `token exchange` and `task open`. Errors are read
//! with the `oauth2` crate's types, as other clients read them.

use std::path::PathBuf;

use clap::Args;
use oauth2::basic::BasicErrorResponse;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::client_auth::{ClientAuthOptions, DpopOptions, full, read};
use super::http_client::{HttpClient, HttpReply};
use super::output::{CommandResult, Failure};

const TYPE_PREFIX: &str = "urn:ietf:params:oauth:token-type:";

/// The server to ask, the subject token, and the client that asks.
#[derive(Args)]
pub(super) struct ClientRequest {
    /// The server's issuer identifier
    #[arg(long, default_value = "http://127.0.0.1:8693")]
    server: String,
    /// A file with the subject token; `-` for standard input
    #[arg(long)]
    subject_token: PathBuf,
    /// Its type: access_token, id_token, jwt or a URI
    #[arg(long, default_value = "jwt")]
    subject_token_type: String,
    #[command(flatten)]
    client: ClientAuthOptions,
    #[command(flatten)]
    dpop: DpopOptions,
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
}

/// The thing that is asked for: each has its endpoint.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    Token,
    Task,
}

/// Parameters of a form.
pub(super) type Parameters = Vec<(&'static str, String)>;

#[derive(Deserialize)]
struct ServerMetadata {
    issuer: String,
    #[serde(flatten)]
    usual: Endpoints,
    /// The endpoints for clients with a certificate (RFC 8705 §5).
    #[serde(default)]
    mtls_endpoint_aliases: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    token_endpoint: Option<String>,
    task_endpoint: Option<String>,
}

impl ClientRequest {
    /// Asks for what is wanted with the subject token and the `parameters`. What is granted is for `print`, unless all of it is
    /// printed as it is; a refusal is printed here.
    pub(super) fn run<T: DeserializeOwned>(
        &self,
        wanted: Wanted,
        parameters: Parameters,
        print: impl FnOnce(&T),
    ) -> CommandResult {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(self.ask(wanted, parameters))?;
        if answer.status != 200 {
            return Ok(refused(&answer, self.json));
        }
        let granted: T = serde_json::from_slice(&answer.body)
            .map_err(|error| Failure::new(format!("the server's answer is no {}: {error}", wanted.answer())))?;
        if self.json {
            say!("{}", String::from_utf8_lossy(&answer.body));
        } else {
            print(&granted);
        }
        Ok(true)
    }

    async fn ask(&self, wanted: Wanted, mut form: Parameters) -> Result<HttpReply, Failure> {
        let http = HttpClient::with(&self.client.tls()?)?;
        let metadata = discover(&http, &self.server).await?;
        form.push(("subject_token", read(&self.subject_token)?));
        form.push(("subject_token_type", token_type(&self.subject_token_type)));
        let authorization = self.client.prove(&metadata.issuer, &mut form)?;
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let url = metadata.endpoint(wanted, self.client.shows_certificate())?;
        let Some(prover) = self.dpop.prover()? else {
            return http.post_form(url, &form, authorization.as_deref(), None).await;
        };
        let answer = http.post_form(url, &form, authorization.as_deref(), Some(&prover.proof(url, None)?)).await?;
        match answer.nonce.as_deref().filter(|_| wants_nonce(&answer)) {
            // What was refused spent nothing, so the login serves once more.
            Some(nonce) => http.post_form(url, &form, authorization.as_deref(), Some(&prover.proof(url, Some(nonce))?)).await,
            None => Ok(answer),
        }
    }
}

impl Wanted {
    fn answer(self) -> &'static str {
        match self {
            Self::Token => "token response",
            Self::Task => "opened task",
        }
    }
}

impl ServerMetadata {
    fn endpoint(&self, wanted: Wanted, with_certificate: bool) -> Result<&str, Failure> {
        let alias = self.mtls_endpoint_aliases.of(wanted).filter(|_| with_certificate);
        alias.or_else(|| self.usual.of(wanted)).ok_or_else(|| {
            let what = match wanted {
                Wanted::Token => "issues no tokens",
                Wanted::Task => "opens no tasks",
            };
            Failure::new(format!("{} {what}: its metadata names no place for that", self.issuer))
        })
    }
}

impl Endpoints {
    fn of(&self, wanted: Wanted) -> Option<&str> {
        match wanted {
            Wanted::Token => self.token_endpoint.as_deref(),
            Wanted::Task => self.task_endpoint.as_deref(),
        }
    }
}

/// The URI of a type of token that is given by its short name.
pub(super) fn token_type(name: &str) -> String {
    full(name, TYPE_PREFIX)
}

/// RFC 9449 §8.
fn wants_nonce(answer: &HttpReply) -> bool {
    let error = serde_json::from_slice::<BasicErrorResponse>(&answer.body);
    answer.status == 400 && error.is_ok_and(|error| error.error().as_ref() == "use_dpop_nonce")
}

/// RFC 8414 §3.1: the well-known path goes between host and path of the issuer. Its `issuer` must be the one asked for (§3.3).
async fn discover(http: &HttpClient, server: &str) -> Result<ServerMetadata, Failure> {
    let mut url = url::Url::parse(server).map_err(|_| Failure::new("--server must be the issuer's URL"))?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    let answer = http.get(url.as_str()).await?;
    let metadata: ServerMetadata = serde_json::from_slice(&answer.body)
        .map_err(|_| Failure::new(format!("{url} has no authorization server metadata (status {})", answer.status)))?;
    match metadata.issuer.trim_end_matches('/') == server.trim_end_matches('/') {
        true => Ok(metadata),
        false => Err(Failure::new(format!("{url} speaks for another issuer, {}; name that one with --server", metadata.issuer))),
    }
}

/// Answers no, in the words of the server.
fn refused(answer: &HttpReply, json: bool) -> bool {
    if json {
        say!("{}", String::from_utf8_lossy(&answer.body));
        return false;
    }
    match serde_json::from_slice::<BasicErrorResponse>(&answer.body) {
        Ok(error) => eprintln!("refused: {error}"),
        Err(_) => eprintln!("refused with status {} and no OAuth error", answer.status),
    }
    false
}
