//! The server's only outbound HTTP. It goes to hosts that an operator named and to addresses that are public or named too,
//! follows no redirect, and believes little.

mod address;
mod peer;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(super) use address::Lookup;
pub use address::Network;
pub(super) use peer::Peer;

use address::{Forbidden, Gate, System};

use ::spiffe::WorkloadApiError;
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Client, ClientBuilder, Response, StatusCode, redirect};
use url::{Host, Url};

use super::Older;
use crate::jose::KeySetReason;

/// A longer answer is refused.
pub const JSON_BYTES_MAX: usize = 256 * 1024;

/// So much of where a redirect leads is told.
const REDIRECT_SHOWN: usize = 300;

const TIMEOUT: Duration = Duration::from_secs(5);
const JSON_TYPES: [&str; 2] = ["application/json", "application/jwk-set+json"];

/// Fetches JSON. Cheap to clone; the connection pools behind it are made at the first fetch, not at start-up.
#[derive(Clone, Debug)]
pub struct Fetcher {
    /// By the networks that may be reached beside public ones: few rules name any.
    clients: Arc<Mutex<HashMap<Vec<Network>, Client>>>,
    lookup: Arc<dyn Lookup>,
    timeout: Duration,
}

/// How an address may be reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    /// Networks that its name may lead to although they are not public.
    pub(super) networks: Vec<Network>,
    /// Who must answer, where that is not for the public PKI to say.
    pub(super) peer: Option<Peer>,
}

/// A JSON document, unread, and how long its publisher says that it may be kept.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    pub(super) max_age: Option<Duration>,
}

/// Why nothing was fetched. For logs: an issuer's address is not for callers.
#[derive(Debug)]
pub enum FetchReason {
    /// Neither `https`, nor `http` on a loopback host; or with user information.
    Address,
    /// The HTTP client cannot be made, as without any trusted root certificate.
    Client,
    /// No connection, no TLS, no answer in time, or it broke off.
    Network(reqwest::Error),
    /// A status other than 200.
    Status(u16),
    /// A redirect, with this status and to this address. It is not followed.
    Redirect(u16, Option<Url>),
    /// A content type that is not JSON.
    ContentType,
    /// More than [`JSON_BYTES_MAX`] bytes.
    Long,
    /// Discovery metadata that is no JSON object, names another issuer, or has no `jwks_uri`.
    Metadata,
    /// Discovery names a host for its keys that the rule does not name.
    Host,
    /// A bundle that is older than one that was seen, or does not say how old it is.
    RolledBack(Older),
    /// The key set itself.
    KeySet(KeySetReason),
    /// The SPIFFE Workload API gives nothing, or something else than bundles.
    Workload(WorkloadApiError),
    /// The SPIFFE Workload API does not answer.
    Silent,
}

impl Fetcher {
    /// A fetcher that has not connected yet. From the first byte sent to the last received it waits five seconds.
    pub fn new() -> Self {
        Self::within(TIMEOUT)
    }

    pub(super) fn within(timeout: Duration) -> Self {
        Self { clients: Arc::default(), lookup: Arc::new(System), timeout }
    }

    /// The same with another source of addresses.
    #[cfg(test)]
    pub(super) fn looking_up(self, lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, clients: Arc::default(), ..self }
    }

    /// One `GET`. Nothing of an answer is kept unless all of it is good.
    pub(super) async fn get_json(&self, uri: &Url, way: &Route) -> Result<Answer, FetchReason> {
        if !is_allowed(uri) {
            return Err(FetchReason::Address);
        }
        let client = self.client(way).ok_or(FetchReason::Client)?;
        let request = client.get(uri.clone()).header(ACCEPT, JSON_TYPES.join(", ")).timeout(self.timeout);
        let answer = request.send().await.map_err(FetchReason::Network)?;
        if answer.status().is_redirection() {
            return Err(FetchReason::Redirect(answer.status().as_u16(), target(uri, &answer)));
        }
        if answer.status() != StatusCode::OK {
            return Err(FetchReason::Status(answer.status().as_u16()));
        }
        if !answer.headers().get(CONTENT_TYPE).is_some_and(is_json) {
            return Err(FetchReason::ContentType);
        }
        let max_age = answer.headers().get(CACHE_CONTROL).and_then(max_age);
        Ok(Answer { body: read(answer).await?, max_age })
    }

    /// Who must answer may change with each bundle, so such a client is made for one fetch.
    fn client(&self, way: &Route) -> Option<Client> {
        if let Some(peer) = &way.peer {
            return self.builder(&way.networks).tls_backend_preconfigured(peer::tls(peer.clone())?).build().ok();
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&way.networks) {
            return Some(client.clone());
        }
        let client = self.builder(&way.networks).build().ok()?;
        clients.insert(way.networks.clone(), client.clone());
        Some(client)
    }

    fn builder(&self, networks: &[Network]) -> ClientBuilder {
        let gate = Gate { lookup: Arc::clone(&self.lookup), networks: networks.to_vec() };
        let builder = Client::builder().redirect(redirect::Policy::none()).no_proxy().referer(false);
        builder.user_agent("countersign").pool_max_idle_per_host(1).dns_resolver(Arc::new(gate))
    }
}

impl Default for Fetcher {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a redirect leads, for people to read: without what may be secret in it.
fn target(uri: &Url, answer: &Response) -> Option<Url> {
    let mut target = uri.join(answer.headers().get(LOCATION)?.to_str().ok()?).ok()?;
    target.set_query(None);
    target.set_fragment(None);
    target.set_username("").and_then(|()| target.set_password(None)).ok().filter(|()| target.has_host())?;
    Some(target)
}

async fn read(mut answer: Response) -> Result<Vec<u8>, FetchReason> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(FetchReason::Network)? {
        if body.len() + chunk.len() > JSON_BYTES_MAX {
            return Err(FetchReason::Long);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Whether `uri` may be fetched at all: `https`, or `http` on a loopback host, and no user information.
pub(super) fn is_allowed(uri: &Url) -> bool {
    let loopback = match uri.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let scheme = uri.scheme() == "https" || (uri.scheme() == "http" && loopback);
    scheme && uri.has_host() && uri.username().is_empty() && uri.password().is_none()
}

/// Host and port.
pub(super) fn authority(uri: &Url) -> Option<(&str, u16)> {
    Some((uri.host_str()?, uri.port_or_known_default()?))
}

/// Whether `host`, as `host` or `host:port` in a rule, is where `uri` leads, over TLS.
pub(super) fn names(host: &str, uri: &Url) -> bool {
    let named = Url::parse(&format!("https://{host}/"));
    uri.scheme() == "https" && named.is_ok_and(|named| authority(&named).is_some() && authority(&named) == authority(uri))
}

fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.to_str().ok().and_then(|text| text.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| JSON_TYPES.iter().any(|json| essence.eq_ignore_ascii_case(json)))
}

/// RFC 9111 §5.2.2.1.
fn max_age(cache_control: &HeaderValue) -> Option<Duration> {
    let mut directives = cache_control.to_str().ok()?.split(',').map(str::trim);
    directives.find_map(|directive| directive.strip_prefix("max-age=")?.parse().ok()).map(Duration::from_secs)
}

/// Whether the connection was not made because of where the name leads.
fn is_forbidden(cause: &reqwest::Error) -> bool {
    let mut causes = std::iter::successors(Some(cause as &(dyn std::error::Error + 'static)), |error| error.source());
    causes.any(|error| error.is::<Forbidden>())
}

impl fmt::Display for FetchReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the address is neither https nor http on a loopback host",
            Self::Client => "the HTTP client cannot be made; are there root certificates?",
            Self::Network(cause) if is_forbidden(cause) => return Forbidden.fmt(f),
            Self::Network(cause) if cause.is_timeout() => "there was no complete answer in time",
            Self::Network(cause) if cause.is_connect() => "no connection could be made",
            Self::Network(_) => "the connection broke off",
            Self::Status(status) => return write!(f, "the answer has the status {status} instead of 200"),
            Self::Redirect(status, Some(target)) => {
                let written: String = target.as_str().chars().take(REDIRECT_SHOWN).collect();
                return write!(
                    f,
                    "the answer is a redirect ({status}) to {written}, which is not followed; \
                     if that is the right address, write it in place of the one that redirects"
                );
            }
            Self::Redirect(status, None) => {
                return write!(f, "the answer is a redirect ({status}) to no address; write the final one");
            }
            Self::ContentType => "the answer is not application/json or application/jwk-set+json",
            Self::Long => "the answer is longer than 256 KiB",
            Self::Metadata => "the discovery document is malformed or names another issuer",
            Self::Host => "the discovery document puts the keys on a host that the rule does not name; add it to keys.hosts",
            Self::RolledBack(older) => return older.fmt(f),
            Self::KeySet(reason) => return write!(f, "the key set {reason}"),
            Self::Workload(error @ (WorkloadApiError::PermissionDenied(_) | WorkloadApiError::NoIdentityIssued)) => {
                return write!(f, "the Workload API gives this server no bundles ({error}); register it with the agent");
            }
            Self::Workload(error) => return write!(f, "the Workload API: {error}"),
            Self::Silent => "the Workload API did not answer in time",
        })
    }
}

impl std::error::Error for FetchReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Network(cause) => Some(cause),
            Self::KeySet(reason) => Some(reason),
            Self::Workload(error) => Some(error),
            Self::RolledBack(older) => Some(older),
            _ => None,
        }
    }
}
