//! The client side of HTTP, for commands that talk to a server.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Response, redirect};

use super::output::Failed;

/// An answer longer than this is not read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A client that follows no redirect and never waits for long: its requests carry tokens.
pub(super) struct Wire(Client);

/// Status and body of an answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Wire {
    pub(super) fn new() -> Result<Self, Failed> {
        let client = Client::builder().redirect(redirect::Policy::none()).timeout(Duration::from_secs(20)).no_proxy().build()?;
        Ok(Self(client))
    }

    /// A client of the socket at `path`; the host of its addresses is never looked up.
    pub(super) fn of_socket(path: &Path) -> Result<Self, Failed> {
        Ok(Self(Client::builder().unix_socket(path).timeout(Duration::from_secs(120)).build()?))
    }

    pub(super) async fn get(&self, url: &str) -> Result<Answer, Failed> {
        Self::read(self.0.get(url).send().await.map_err(|error| unreachable(url, &error))?).await
    }

    pub(super) async fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Result<Answer, Failed> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = self.0.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        Self::read(request.send().await.map_err(|error| unreachable(url, &error))?).await
    }

    async fn read(mut response: Response) -> Result<Answer, Failed> {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(Failed::new("the answer is longer than any of this server's should be"));
            }
        }
        Ok(Answer { status, body })
    }
}

fn unreachable(url: &str, error: &reqwest::Error) -> Failed {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Failed::new(format!("cannot reach {url}: {cause}; is the server running there?"))
}
