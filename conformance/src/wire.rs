//! HTTP to the server under test: discovery once, then requests over kept-alive connections.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Identity, Method, Response, redirect};
use serde_json::Value;

use crate::answer::Answer;
use crate::jose::decode_and_verify;
use crate::profile::Profile;
use crate::request::Request;
use crate::values::{Endpoints, origin_and_path};

/// The way to the server.
pub(crate) struct Wire {
    /// Its endpoints.
    pub(crate) endpoints: Endpoints,
    client: Client,
    /// One for each certificate that was ever shown: a connection is that of one client.
    showing: Mutex<HashMap<String, Client>>,
    profile: Profile,
    keys: Value,
}

/// After so long an answer is taken for one that never comes: the machine may be busy, and no case passes by the time it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);
/// RFC 9701 §5: the answer is the token.
const INTROSPECTION_JWT: &str = "application/token-introspection+jwt";
/// draft-ietf-oauth-status-list-21 §8.2: the answer is the list.
const STATUS_LIST_JWT: &str = "application/statuslist+jwt";
const ANSWER_MAX: usize = 4 * 1024 * 1024;

impl Wire {
    /// Finds the endpoints and the keys.
    ///
    /// # Errors
    /// A sentence saying what could not be had.
    pub(crate) async fn connect(profile: &Profile) -> Result<Self, String> {
        let client = client(profile, None)?;
        let showing = Mutex::new(HashMap::new());
        let mut wire = Self { endpoints: Endpoints::default(), client, showing, profile: profile.clone(), keys: Value::Null };
        wire.endpoints = wire.discover(profile).await?;
        if !wire.endpoints.jwks.is_empty() {
            wire.keys = wire.get_json(&wire.endpoints.jwks).await?;
        }
        Ok(wire)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When there is no answer at all.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, String> {
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
        let mut builder = self.client_for(request)?.request(method, &request.url);
        for (name, value) in &request.headers {
            let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|error| error.to_string())?;
            builder = builder.header(name, value);
        }
        let body = request.body();
        if !body.is_empty() {
            builder = builder.body(body);
        }
        let response = builder.send().await.map_err(|error| sentence(&error))?;
        self.read(response).await
    }

    fn client_for(&self, request: &Request) -> Result<Client, String> {
        let Some(name) = &request.certificate else { return Ok(self.client.clone()) };
        let mut showing = self.showing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = showing.get(name) {
            return Ok(known.clone());
        }
        let made = client(&self.profile, Some(name))?;
        showing.insert(name.clone(), made.clone());
        Ok(made)
    }

    async fn read(&self, mut response: Response) -> Result<Answer, String> {
        let status = response.status().as_u16();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Vec<(String, String)> =
            response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| sentence(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_MAX {
                return Err("the answer is longer than 4 MiB".to_owned());
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        let json: Option<Value> = serde_json::from_str(&body).ok();
        let kinds = [INTROSPECTION_JWT, STATUS_LIST_JWT];
        let signed =
            headers.iter().any(|(name, value)| name == "content-type" && kinds.iter().any(|kind| value.starts_with(kind)));
        let issued = json.as_ref().and_then(|json| json.get("access_token")).and_then(Value::as_str);
        let issued = issued.or(signed.then_some(body.as_str()));
        let readable = issued.filter(|_| !self.keys.is_null());
        let token = readable.map(|token| decode_and_verify(token, &self.keys));
        Ok(Answer { status, headers, body, json, token })
    }

    /// RFC 8414 §3: the well-known part goes between host and path of the issuer.
    async fn discover(&self, profile: &Profile) -> Result<Endpoints, String> {
        if let (Some(token), jwks) = (&profile.token_endpoint, &profile.jwks_uri) {
            return Ok(Endpoints { token: token.clone(), jwks: jwks.clone().unwrap_or_default(), ..Endpoints::default() });
        }
        let path = origin_and_path(&profile.issuer).1.trim_end_matches('/');
        let url = format!("{}/.well-known/oauth-authorization-server{path}", profile.server);
        let metadata = self.get_json(&url).await?;
        let text = |name: &str| metadata.get(name).and_then(Value::as_str).map(str::to_owned);
        let token = text("token_endpoint").ok_or_else(|| format!("{url} names no token_endpoint"))?;
        Ok(Endpoints {
            token,
            jwks: profile.jwks_uri.clone().or(text("jwks_uri")).unwrap_or_default(),
            introspection: text("introspection_endpoint").unwrap_or_default(),
            revocation: text("revocation_endpoint").unwrap_or_default(),
            aliases: aliases(&metadata),
            tasks: text("task_endpoint").unwrap_or_default(),
        })
    }

    async fn get_json(&self, url: &str) -> Result<Value, String> {
        let request = Request { method: "GET".to_owned(), url: url.to_owned(), ..Request::default() };
        let answer = self.send(&request).await.map_err(|error| format!("{url}: {error}"))?;
        match answer.json {
            Some(json) if answer.status == 200 => Ok(json),
            _ => Err(format!("{url} answers {} without JSON", answer.status)),
        }
    }
}

/// RFC 8705 §5.
fn aliases(metadata: &Value) -> BTreeMap<String, String> {
    let names = [
        ("token", "token_endpoint"),
        ("introspect", "introspection_endpoint"),
        ("revoke", "revocation_endpoint"),
        ("tasks", "task_endpoint"),
    ];
    let alias = |name: &str| metadata.get("mtls_endpoint_aliases")?.get(name)?.as_str().map(str::to_owned);
    names.into_iter().filter_map(|(short, name)| Some((short.to_owned(), alias(name)?))).collect()
}

/// A client that trusts the server's authority, and shows that certificate.
fn client(profile: &Profile, certificate: Option<&str>) -> Result<Client, String> {
    let mut builder = Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(PATIENCE).tcp_nodelay(true);
    if let Some(pem) = &profile.server_ca {
        builder = builder.tls_certs_only([Certificate::from_pem(pem).map_err(|error| sentence(&error))?]);
    }
    if let Some(shown) = certificate.and_then(|name| profile.certificates.get(name)) {
        builder = builder.identity(Identity::from_pem(&shown.pem).map_err(|error| sentence(&error))?);
    }
    builder.build().map_err(|error| sentence(&error))
}

fn sentence(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
