//! The server's outbound HTTP: one guarded fetcher. It goes to hosts that an operator named and to addresses that are public or
//! named too, follows no redirect, and believes little. It knows nothing of what it fetches.

mod address;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) use address::Lookup;
pub use address::Network;

use address::{AddressFilter, Forbidden, SystemResolver, Unresolved};

use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, redirect};
use rustls::ClientConfig;
use url::{Host, Url};

/// The longest answer that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The longest part of a redirect's target that is told, in characters.
const REDIRECT_SHOWN: usize = 300;

/// The longest part of a header that is told, in characters.
const HEADER_SHOWN: usize = 100;

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
    /// A bearer token for it (RFC 6750 §2.1).
    pub(crate) bearer: Option<Bearer>,
    /// True where plain `http` may be spoken, to `networks` and this machine alone.
    pub(crate) plain: bool,
    /// The HTTP proxy through which it is reached (RFC 9110 §9.3.6); it, and not this server, resolves the name.
    pub(crate) proxy: Option<Url>,
}

/// A bearer token. Never printed.
#[derive(Clone)]
pub(crate) struct Bearer(pub(crate) String);

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
    /// Plain `http` to an address outside the networks that are named for it.
    Plain,
    /// The HTTP client cannot be made, as without any trusted root certificate.
    Client,
    /// No connection, no TLS, no answer in time, or it broke off.
    Network(reqwest::Error),
    /// A status other than 200.
    Status(u16),
    /// A redirect, with this status and to this address. It is not followed.
    Redirect(u16, Option<Url>),
    /// Another content type than JSON; with the one that came.
    ContentType(Option<String>),
    /// Compressed, which was not asked for; with the name of the compression.
    Encoded(String),
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
        let answer = self.ask(Method::GET, uri, types, route)?.send().await.map_err(FetchReason::Network)?;
        taken(answer, uri, types, &[StatusCode::OK]).await
    }

    /// One `POST` of a JSON document, for a document of one of these types. As [`Self::get`] otherwise.
    pub(crate) async fn post(
        &self,
        uri: &Url,
        document: String,
        types: MediaTypes,
        route: &Route,
    ) -> Result<FetchedDocument, FetchReason> {
        let request = self.ask(Method::POST, uri, types, route)?.header(CONTENT_TYPE, "application/json").body(document);
        let answer = request.send().await.map_err(FetchReason::Network)?;
        taken(answer, uri, types, &[StatusCode::OK, StatusCode::CREATED]).await
    }

    fn ask(&self, method: Method, uri: &Url, types: MediaTypes, route: &Route) -> Result<RequestBuilder, FetchReason> {
        if !may_fetch(uri, route.plain) {
            return Err(FetchReason::Address);
        }
        if uri.scheme() == "http" && !may_be_plain(uri, &route.networks) {
            return Err(FetchReason::Plain);
        }
        let client = self.client(route, uri.scheme() == "http").ok_or(FetchReason::Client)?;
        let request = client.request(method, uri.clone()).header(ACCEPT, types.join(", ")).timeout(self.timeout);
        Ok(match &route.bearer {
            Some(token) => request.bearer_auth(&token.0),
            None => request,
        })
    }

    /// A client that is not for everybody is made for one fetch: who must answer may change with each.
    fn client(&self, route: &Route, plain: bool) -> Option<Client> {
        if route.tls.is_some() || plain || route.proxy.is_some() {
            let builder = self.builder(&route.networks, plain, route.proxy.as_ref())?;
            return match &route.tls {
                Some(tls) => builder.tls_backend_preconfigured(tls.clone()).build().ok(),
                None => builder.build().ok(),
            };
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&route.networks) {
            return Some(client.clone());
        }
        let client = self.builder(&route.networks, false, None)?.build().ok()?;
        clients.insert(route.networks.clone(), client.clone());
        Some(client)
    }

    fn builder(&self, networks: &[Network], plain: bool, proxy: Option<&Url>) -> Option<ClientBuilder> {
        let (lookup, networks) = (Arc::clone(&self.lookup), networks.to_vec());
        let named = proxy.and_then(Url::host_str).map(str::to_owned);
        let filter = AddressFilter { lookup, networks, public: !plain, proxy: named };
        let builder = Client::builder().redirect(redirect::Policy::none()).referer(false).user_agent("countersign");
        let builder = match proxy {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy.clone()).ok()?),
            None => builder.no_proxy(),
        };
        Some(builder.pool_max_idle_per_host(1).dns_resolver(Arc::new(filter)))
    }
}

impl Default for Fetcher {
    fn default() -> Self {
        Self::new()
    }
}

/// The document of an answer from `uri`, where all of it is good.
async fn taken(answer: Response, uri: &Url, types: MediaTypes, good: &[StatusCode]) -> Result<FetchedDocument, FetchReason> {
    if answer.status().is_redirection() {
        return Err(FetchReason::Redirect(answer.status().as_u16(), target(uri, &answer)));
    }
    if !good.contains(&answer.status()) {
        return Err(FetchReason::Status(answer.status().as_u16()));
    }
    let header = |name| answer.headers().get(name).and_then(|sent: &HeaderValue| sent.to_str().ok());
    if let Some(encoding) = header(CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(FetchReason::Encoded(shown(encoding)));
    }
    if !header(CONTENT_TYPE).is_some_and(|sent| is_json(types, sent)) {
        return Err(FetchReason::ContentType(header(CONTENT_TYPE).map(shown)));
    }
    let max_age = answer.headers().get(CACHE_CONTROL).and_then(max_age);
    Ok(FetchedDocument { body: read(answer).await?, max_age })
}

/// As if `answer` had come from `uri`.
#[cfg(test)]
pub(crate) async fn as_if_from(
    uri: &Url,
    answer: ::http::Response<Vec<u8>>,
    types: MediaTypes,
) -> Result<FetchedDocument, FetchReason> {
    taken(Response::from(answer), uri, types, &[StatusCode::OK]).await
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

/// True for `https`, or `http` on a loopback host or where it may be `plain`, without user information.
pub(crate) fn may_fetch(uri: &Url, plain: bool) -> bool {
    let scheme = uri.scheme() == "https" || (uri.scheme() == "http" && (plain || is_loopback(uri)));
    scheme && uri.has_host() && uri.username().is_empty() && uri.password().is_none()
}

/// True where what is sent in the clear stays on this machine or in `networks`, as far as the address itself tells; names are
/// looked at when they are resolved.
fn may_be_plain(uri: &Url, networks: &[Network]) -> bool {
    let named = |address: IpAddr| networks.iter().any(|network| network.contains(address));
    match uri.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || named(address.into()),
        Some(Host::Ipv6(address)) => address.is_loopback() || named(address.into()),
        Some(Host::Domain(_)) => true,
        None => false,
    }
}

fn is_loopback(uri: &Url) -> bool {
    match uri.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
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

/// One of these types, or another whose text is JSON (RFC 6839 §3.1).
fn is_json(types: MediaTypes, content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let structured = essence.strip_prefix("application/").is_some_and(|subtype| subtype.ends_with("+json"));
    structured || types.iter().any(|wanted| essence == *wanted)
}

/// What another server sent, for people to read.
fn shown(text: &str) -> String {
    text.chars().filter(|shown| matches!(shown, ' '..='~')).take(HEADER_SHOWN).collect()
}

/// RFC 9111 §5.2.2.1.
fn max_age(cache_control: &HeaderValue) -> Option<Duration> {
    let mut directives = cache_control.to_str().ok()?.split(',').map(str::trim);
    directives.find_map(|directive| directive.strip_prefix("max-age=")?.parse().ok()).map(Duration::from_secs)
}

impl FetchReason {
    /// True when no connection was made because the name leads to an address that may not be reached.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.cause::<Forbidden>().is_some()
    }

    /// Every cause, the outermost first. An `io::Error` is no source of what it wraps, so that is looked into.
    fn causes(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        std::iter::successors(std::error::Error::source(self), |cause| {
            let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| cause.source())
        })
    }

    /// The cause of that type, however deep it lies.
    fn cause<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.causes().find_map(|cause| cause.downcast_ref())
    }

    /// Why there was no connection, or it broke off: a name, a port, a certificate and a network are mended by different people.
    fn of_network(&self, cause: &reqwest::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(unresolved) = self.cause::<Unresolved>() {
            return fmt::Display::fmt(unresolved, f);
        }
        let refused = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        };
        match (self.cause::<rustls::Error>(), self.causes().any(refused)) {
            (Some(error @ rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)), _) => {
                write!(f, "the certificate of the server is by no authority that is trusted here ({error})")
            }
            (Some(error), _) => write!(f, "there is no TLS with the server: {error}"),
            (None, true) => f.write_str("the connection was refused: nothing listens there"),
            _ if cause.is_timeout() => f.write_str("there was no complete answer in time"),
            _ if cause.is_connect() => f.write_str("no connection could be made"),
            _ => f.write_str("the connection broke off"),
        }
    }
}

impl fmt::Display for FetchReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the address is neither https nor http on a loopback host",
            Self::Plain => "plain http goes to this machine and to networks that are named for it only",
            Self::Client => "the HTTP client cannot be made; are there root certificates?",
            Self::Network(_) if self.is_forbidden() => return Forbidden.fmt(f),
            Self::Network(cause) => return self.of_network(cause, f),
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
            Self::ContentType(None) => "the answer is not application/json: it has no content type",
            Self::ContentType(Some(sent)) => return write!(f, "the answer is not application/json but {sent}"),
            Self::Encoded(encoding) => {
                return write!(f, "the answer is compressed ({encoding}), which was not asked for; have it sent as it is");
            }
            Self::Long => "the answer is longer than 1 MiB",
        })
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer")
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
