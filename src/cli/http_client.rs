//! The client side of HTTP, for commands that talk to a server.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Certificate, Client, Identity, Response, redirect};

use super::output::Failure;

/// The longest body that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A client that follows no redirect and never waits for long: its requests carry tokens.
pub(super) struct HttpClient(Client);

/// The certificates of a connection, in PEM.
#[derive(Default)]
pub(super) struct TlsOptions {
    /// The authorities of the server's certificate; none for those that this machine trusts.
    pub(super) authorities: Option<Vec<u8>>,
    /// Our certificate and its key.
    pub(super) identity: Option<Vec<u8>>,
}

/// A response, with the nonce that the next DPoP proof must carry (RFC 9449 §8).
pub(super) struct HttpReply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) nonce: Option<String>,
}

impl HttpClient {
    pub(super) fn new() -> Result<Self, Failure> {
        Self::with(&TlsOptions::default())
    }

    /// A client that trusts these authorities and shows this certificate.
    pub(super) fn with(tls: &TlsOptions) -> Result<Self, Failure> {
        let mut client = Client::builder().redirect(redirect::Policy::none()).timeout(Duration::from_secs(20)).no_proxy();
        if let Some(pem) = &tls.authorities {
            client = client.tls_certs_only(Certificate::from_pem_bundle(pem)?);
        }
        if let Some(pem) = &tls.identity {
            client = client.identity(Identity::from_pem(pem)?);
        }
        Ok(Self(client.build()?))
    }

    /// A client of the socket at `path`; the host of its addresses is never looked up.
    pub(super) fn of_socket(path: &Path) -> Result<Self, Failure> {
        Ok(Self(Client::builder().unix_socket(path).timeout(Duration::from_secs(120)).build()?))
    }

    pub(super) async fn get(&self, url: &str) -> Result<HttpReply, Failure> {
        Self::read(self.0.get(url).send().await.map_err(|error| unreachable(url, &error))?).await
    }

    pub(super) async fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<&str>,
        proof: Option<&str>,
    ) -> Result<HttpReply, Failure> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = self.0.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(proof) = proof {
            request = request.header("DPoP", proof);
        }
        Self::read(request.send().await.map_err(|error| unreachable(url, &error))?).await
    }

    async fn read(mut response: Response) -> Result<HttpReply, Failure> {
        let status = response.status().as_u16();
        let nonce = response.headers().get("DPoP-Nonce").and_then(|nonce| nonce.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(Failure::new("the answer is longer than any of this server's should be"));
            }
        }
        Ok(HttpReply { status, body, nonce })
    }
}

fn unreachable(url: &str, error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Failure::new(format!("cannot reach {url}: {cause}; is the server running there?"))
}
