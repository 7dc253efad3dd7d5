//! The server's outbound HTTP: one guarded fetcher. It goes to hosts that an operator named and to addresses that are public or
//! named too, follows no redirect, and believes little. It knows nothing of what it fetches.

mod address;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) use address::Lookup;
pub use address::Network;

use address::{AddressFilter, Forbidden, SystemResolver};

use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Client, ClientBuilder, Response, StatusCode, redirect};
use rustls::ClientConfig;
use url::{Host, Url};

/// The longest answer that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The longest part of a redirect's target that is told, in characters.
const REDIRECT_SHOWN: usize = 300;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Fetches documents. Cheap to clone; the connection pools behind it are made at the first fetch, not at start-up.
#[derive(Clone, Debug)]
pub struct Fetcher {
    /// By the networks that may be reached beside public ones: few addresses name any.
    clients: Arc<Mutex<HashMap<Vec<Network>, Client>>>,
    lookup: Arc<dyn Lookup>,
    timeout: Duration,
}

/// How an address may be reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    /// Networks that its name may lead to although they are not public.
    pub(crate) networks: Vec<Network>,
    /// TLS for a server that proves itself otherwise than by the public PKI.
    pub(crate) tls: Option<ClientConfig>,
}

/// A document, unread, and its `max-age` (RFC 9111 §5.2.2.1).
#[derive(Debug)]
pub(crate) struct FetchedDocument {
    pub(crate) body: Vec<u8>,
    pub(crate) max_age: Option<Duration>,
}

/// The content types that are asked for, in lower case and without parameters.
pub(crate) type MediaTypes = &'static [&'static str];

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
    /// Another content type than one of these.
    ContentType(MediaTypes),
    /// More than [`BODY_BYTES_MAX`] bytes.
    Long,
}

impl Fetcher {
    /// A fetcher that has not connected yet. From the first byte sent to the last received it waits five seconds.
    pub fn new() -> Self {
        Self::within(TIMEOUT)
    }

    pub(crate) fn within(timeout: Duration) -> Self {
        Self { clients: Arc::default(), lookup: Arc::new(SystemResolver), timeout }
    }

    /// This fetcher with another source of addresses.
    #[cfg(test)]
    pub(crate) fn looking_up(self, lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, clients: Arc::default(), ..self }
    }

    /// One `GET` for a document of one of these types. Nothing of an answer is kept unless all of it is good.
    pub(crate) async fn get(&self, uri: &Url, types: MediaTypes, route: &Route) -> Result<FetchedDocument, FetchReason> {
        if !may_fetch(uri) {
            return Err(FetchReason::Address);
        }
        let client = self.client(route).ok_or(FetchReason::Client)?;
        let request = client.get(uri.clone()).header(ACCEPT, types.join(", ")).timeout(self.timeout);
        let answer = request.send().await.map_err(FetchReason::Network)?;
        if answer.status().is_redirection() {
            return Err(FetchReason::Redirect(answer.status().as_u16(), target(uri, &answer)));
        }
        if answer.status() != StatusCode::OK {
            return Err(FetchReason::Status(answer.status().as_u16()));
        }
        if !answer.headers().get(CONTENT_TYPE).is_some_and(|sent| is_one_of(types, sent)) {
            return Err(FetchReason::ContentType(types));
        }
        let max_age = answer.headers().get(CACHE_CONTROL).and_then(max_age);
        Ok(FetchedDocument { body: read(answer).await?, max_age })
    }

    /// A client with TLS of its own is made for one fetch: who must answer may change with each.
    fn client(&self, route: &Route) -> Option<Client> {
        if let Some(tls) = &route.tls {
            return self.builder(&route.networks).tls_backend_preconfigured(tls.clone()).build().ok();
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&route.networks) {
            return Some(client.clone());
        }
        let client = self.builder(&route.networks).build().ok()?;
        clients.insert(route.networks.clone(), client.clone());
        Some(client)
    }

    fn builder(&self, networks: &[Network]) -> ClientBuilder {
        let filter = AddressFilter { lookup: Arc::clone(&self.lookup), networks: networks.to_vec() };
        let builder = Client::builder().redirect(redirect::Policy::none()).no_proxy().referer(false);
        builder.user_agent("countersign").pool_max_idle_per_host(1).dns_resolver(Arc::new(filter))
    }
}

impl Default for Fetcher {
    fn default() -> Self {
        Self::new()
    }
}

/// The target of a redirect for people to read: without what may be secret in it.
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
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(FetchReason::Long);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// True for `https`, or `http` on a loopback host, without user information.
pub(crate) fn may_fetch(uri: &Url) -> bool {
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
pub(crate) fn authority(uri: &Url) -> Option<(&str, u16)> {
    Some((uri.host_str()?, uri.port_or_known_default()?))
}

/// True when `uri` leads to `host`, which is `host` or `host:port`, over TLS.
pub(crate) fn leads_to(host: &str, uri: &Url) -> bool {
    let named = Url::parse(&format!("https://{host}/"));
    uri.scheme() == "https" && named.is_ok_and(|named| authority(&named).is_some() && authority(&named) == authority(uri))
}

fn is_one_of(types: MediaTypes, content_type: &HeaderValue) -> bool {
    let essence = content_type.to_str().ok().and_then(|text| text.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| types.iter().any(|wanted| essence.eq_ignore_ascii_case(wanted)))
}

/// RFC 9111 §5.2.2.1.
fn max_age(cache_control: &HeaderValue) -> Option<Duration> {
    let mut directives = cache_control.to_str().ok()?.split(',').map(str::trim);
    directives.find_map(|directive| directive.strip_prefix("max-age=")?.parse().ok()).map(Duration::from_secs)
}

impl FetchReason {
    /// True when no connection was made because the name leads to an address that may not be reached.
    pub(crate) fn is_forbidden(&self) -> bool {
        let mut causes = std::iter::successors(std::error::Error::source(self), |error| error.source());
        causes.any(|error| error.is::<Forbidden>())
    }
}

impl fmt::Display for FetchReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the address is neither https nor http on a loopback host",
            Self::Client => "the HTTP client cannot be made; are there root certificates?",
            Self::Network(_) if self.is_forbidden() => return Forbidden.fmt(f),
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
            Self::ContentType(types) => return write!(f, "the answer is not {}", types.join(" or ")),
            Self::Long => "the answer is longer than 1 MiB",
        })
    }
}

impl std::error::Error for FetchReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Network(cause) => Some(cause),
            _ => None,
        }
    }
}
