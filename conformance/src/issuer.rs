//! The issuers that the runner plays over HTTP: a discovery document and a key set, on loopback.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::fixture;
use crate::profile::{Profile, TestIssuer};
use crate::values::origin_and_path;

/// A running issuer; it ends when this is dropped.
#[derive(Debug)]
pub struct IssuerServer {
    task: JoinHandle<()>,
}

impl IssuerServer {
    /// Serves every issuer of the profile that says `serve = true`, unless something already listens at its address: then that
    /// is taken to be an earlier call of this function.
    ///
    /// # Errors
    /// When an address cannot be used.
    pub async fn serve_all(profile: &Profile) -> Result<Vec<Self>, String> {
        let mut hosts: BTreeMap<String, Vec<Documents>> = BTreeMap::new();
        for issuer in profile.trust.values().filter(|issuer| issuer.serve || issuer.bundle.is_some()) {
            let (name, documents) = Documents::of(profile, issuer)?;
            let (origin, _) = origin_and_path(&name);
            let address = origin.strip_prefix("http://").ok_or_else(|| format!("{name} is not an http address"))?;
            hosts.entry(address.to_owned()).or_default().push(documents);
        }
        let mut servers = Vec::new();
        for (address, documents) in hosts {
            match StdListener::bind(&address) {
                Ok(listener) => servers.push(Self::start(listener, Arc::new(documents)).map_err(|error| error.to_string())?),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(format!("{address}: {error}")),
            }
        }
        Ok(servers)
    }

    fn start(listener: StdListener, documents: Arc<Vec<Documents>>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let documents = Arc::clone(&documents);
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(Duration::from_secs(10), answer(stream, &documents)).await;
                });
            }
        });
        Ok(Self { task })
    }
}

impl Drop for IssuerServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The documents that an issuer serves, by path.
struct Documents(Vec<(String, String)>);

impl Documents {
    /// The address of an issuer, and what is found below it.
    fn of(profile: &Profile, issuer: &TestIssuer) -> Result<(String, Self), String> {
        let key = profile.key(&issuer.key).ok_or("an issuer that is served needs a key")?.public_jwk();
        if let Some(address) = &issuer.bundle {
            let path = origin_and_path(address).1.to_owned();
            return Ok((address.clone(), Self(vec![(path, fixture::bundle(&key).to_string())])));
        }
        let name = issuer.issuer.clone().ok_or("an issuer that is served needs a name")?;
        let mut keys = vec![key];
        keys.extend(issuer.more_keys.iter().filter_map(|more| profile.key(more)).map(|key| key.public_jwk()));
        let documents = Self::new(&name, &keys);
        Ok((name, documents))
    }

    fn new(issuer: &str, keys: &[serde_json::Value]) -> Self {
        let base = issuer.trim_end_matches('/');
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{base}/authorize"),
            "jwks_uri": format!("{base}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        let path = origin_and_path(base).1;
        let (metadata_path, keys_path) = (format!("{path}/.well-known/openid-configuration"), format!("{path}/keys"));
        Self(vec![(metadata_path, metadata.to_string()), (keys_path, json!({ "keys": keys }).to_string())])
    }

    fn at(&self, path: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == path).map(|(_, body)| body.as_str())
    }
}

/// Answers one request and closes: HTTP/1.1 at its plainest.
async fn answer(mut stream: TcpStream, documents: &[Documents]) -> io::Result<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < 16 * 1024 {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        head.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split_whitespace().nth(1).unwrap_or_default();
    let (status, body) = documents.iter().find_map(|all| all.at(path)).map_or(("404 Not Found", "{}"), |body| ("200 OK", body));
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
