//! HTTP to the server under test: discovery once, then requests over kept-alive connections.

use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, redirect};
use serde_json::Value;

use crate::answer::Answer;
use crate::jose::decode_and_verify;
use crate::profile::Profile;
use crate::request::Request;
use crate::values::{Endpoints, origin_and_path};

/// The way to the server.
pub(crate) struct Wire {
    /// Where its endpoints are.
    pub(crate) endpoints: Endpoints,
    client: Client,
    keys: Value,
}

const PATIENCE: Duration = Duration::from_secs(30);
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
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(PATIENCE)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| error.to_string())?;
        let mut wire = Self { endpoints: Endpoints::default(), client, keys: Value::Null };
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
        let mut builder = self.client.request(method, &request.url);
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

fn sentence(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
