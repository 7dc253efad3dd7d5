//! Asking a server for something in the name of a subject: what `token exchange` and `task open` have in common. Errors are read
//! with the `oauth2` crate's types, as other clients read them.

use std::path::PathBuf;

use clap::Args;
use oauth2::basic::BasicErrorResponse;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::login::{LoginOptions, full, read};
use super::output::{Failed, Outcome};
use super::proof::ProofOptions;
use super::wire::{Answer, Wire};

const TYPE_PREFIX: &str = "urn:ietf:params:oauth:token-type:";

/// Whom to ask, on whose behalf, and as whom.
#[derive(Args)]
pub(super) struct Asking {
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
    login: LoginOptions,
    #[command(flatten)]
    proof: ProofOptions,
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
}

/// What is asked for, and so where.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    Token,
    Task,
}

/// Parameters of a form.
pub(super) type Parameters = Vec<(&'static str, String)>;

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    #[serde(flatten)]
    usual: Endpoints,
    /// Where clients with a certificate go (RFC 8705 §5).
    #[serde(default)]
    mtls_endpoint_aliases: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    token_endpoint: Option<String>,
    task_endpoint: Option<String>,
}

impl Asking {
    /// Asks for what is wanted with the subject token and the `parameters`. What is granted is for `tell`, unless all of it is
    /// printed as it is; a refusal is told here.
    pub(super) fn run<T: DeserializeOwned>(&self, wanted: Wanted, parameters: Parameters, tell: impl FnOnce(&T)) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(self.ask(wanted, parameters))?;
        if answer.status != 200 {
            return Ok(refused(&answer, self.json));
        }
        let granted: T = serde_json::from_slice(&answer.body)
            .map_err(|error| Failed::new(format!("the server's answer is no {}: {error}", wanted.answer())))?;
        if self.json {
            say!("{}", String::from_utf8_lossy(&answer.body));
        } else {
            tell(&granted);
        }
        Ok(true)
    }

    async fn ask(&self, wanted: Wanted, mut form: Parameters) -> Result<Answer, Failed> {
        let wire = Wire::with(&self.login.tls()?)?;
        let metadata = discover(&wire, &self.server).await?;
        form.push(("subject_token", read(&self.subject_token)?));
        form.push(("subject_token_type", token_type(&self.subject_token_type)));
        let authorization = self.login.prove(&metadata.issuer, &mut form)?;
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let url = metadata.endpoint(wanted, self.login.shows_certificate())?;
        let Some(prover) = self.proof.prover()? else {
            return wire.post_form(url, &form, authorization.as_deref(), None).await;
        };
        let answer = wire.post_form(url, &form, authorization.as_deref(), Some(&prover.proof(url, None)?)).await?;
        match answer.nonce.as_deref().filter(|_| wants_nonce(&answer)) {
            // What was refused spent nothing, so the login serves once more.
            Some(nonce) => wire.post_form(url, &form, authorization.as_deref(), Some(&prover.proof(url, Some(nonce))?)).await,
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

impl Metadata {
    fn endpoint(&self, wanted: Wanted, with_certificate: bool) -> Result<&str, Failed> {
        let alias = self.mtls_endpoint_aliases.of(wanted).filter(|_| with_certificate);
        alias.or_else(|| self.usual.of(wanted)).ok_or_else(|| {
            let what = match wanted {
                Wanted::Token => "issues no tokens",
                Wanted::Task => "opens no tasks",
            };
            Failed::new(format!("{} {what}: its metadata names no place for that", self.issuer))
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

/// Answers no, in the words of the server.
fn refused(answer: &Answer, json: bool) -> bool {
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
