//! The listeners.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::http::Method;
use actix_web::rt::{self, System};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, Route};

use super::listener::{self, Listener};
use super::tls::{self, TlsIdentity};
use super::{AppState, administer, endpoints, ledger, metadata, ops, socket, status, tasks};

/// Bound sockets, so that an address in use is told before anything starts.
pub struct Sockets {
    public: TcpListener,
    mtls: Option<TcpListener>,
    ops: TcpListener,
    local: Option<UnixListener>,
}

/// A running server. It goes on when this is dropped.
pub struct Running {
    handles: Vec<ServerHandle>,
}

/// Runs `work` on this thread in the system that servers need around them.
pub fn block_on<F: Future>(work: F) -> F::Output {
    System::new().block_on(work)
}

/// Why the server does not run.
#[derive(Debug)]
pub struct ServeError {
    address: String,
    cause: io::Error,
}

/// Binds both listeners.
///
/// # Errors
/// Names the address that cannot be bound.
pub fn bind(public: SocketAddr, ops: SocketAddr) -> Result<Sockets, ServeError> {
    Ok(Sockets { public: listen(public)?, mtls: None, ops: listen(ops)?, local: None })
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).map_err(|cause| ServeError { address: address.to_string(), cause })
}

impl Sockets {
    /// The addresses that were really bound (port 0 picks a free one).
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.public.local_addr()?, self.ops.local_addr()?))
    }

    /// The same with a second public address, if there is one.
    ///
    /// # Errors
    /// Names the address that cannot be bound.
    pub fn with_mtls(self, address: Option<SocketAddr>) -> Result<Self, ServeError> {
        Ok(Self { mtls: address.map(listen).transpose()?, ..self })
    }

    /// The same with the socket `ops.sock` in the data folder `data`, which the caller holds the lock of: local
    /// administration and auditors come in there. Where there can be none, which is logged, the server runs without.
    #[must_use]
    pub fn with_local(self, data: &Path) -> Self {
        let local = socket::bind(data);
        if let Err(cause) = &local {
            tracing::warn!(%cause, "there is no socket in {}: the ledger's entries are in its files only", data.display());
        }
        Self { local: local.ok(), ..self }
    }
}

/// How the public listeners serve.
#[derive(Clone, Debug)]
pub struct Serving<'a> {
    /// The path of the issuer, under which its endpoints live.
    pub path: &'a str,
    /// Threads that answer requests; 0 means one per core.
    pub workers: usize,
    /// How many connections there may be.
    pub crowd: ConnectionLimits,
    /// How they speak TLS, if they do.
    pub tls: Option<TlsSetup>,
}

/// How many connections clients may have.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// At a time; who comes later waits.
    pub connections: usize,
    /// Of these from one address; further ones are closed at once.
    pub per_address: usize,
}

/// How the public listeners speak TLS.
#[derive(Clone, Debug)]
pub struct TlsSetup {
    /// The certificate in use.
    pub identity: Arc<TlsIdentity>,
    /// Whether the first public address speaks TLS at all. The second always does.
    pub public: bool,
    /// Whether the first public address asks clients for certificates. The second always does.
    pub ask: bool,
}

/// Starts the listeners, inside [`block_on`].
///
/// # Errors
/// When a socket or the cryptography cannot be used.
pub fn serve(door: Arc<AppState>, sockets: Sockets, serving: Serving<'_>) -> io::Result<Running> {
    let door = Data::from(door);
    let tls = |wanted: bool, ask: bool| match serving.tls.as_ref().filter(|_| wanted) {
        Some(speaks) => tls::server_config(Arc::clone(&speaks.identity), ask).map(Some).map_err(io::Error::other),
        None => Ok(None),
    };
    let (speaks, asks) = serving.tls.as_ref().map_or((false, false), |speaks| (speaks.public, speaks.ask));
    let mut listeners = vec![Listener { socket: sockets.public, tls: tls(speaks, asks)? }];
    if let Some(socket) = sockets.mtls {
        listeners.push(Listener { socket, tls: tls(true, true)? });
    }
    let public = listener::server(&door, listeners, serving.path, serving.workers, serving.crowd)?;
    let ops = listener::ops_server(&door, sockets.ops)?;
    let local = sockets.local.map(|socket| listener::local_server(&door, socket)).transpose()?;
    let servers = [Some(public), Some(ops), local];
    let spawned = servers.into_iter().flatten().map(|server| {
        let handle = server.handle();
        // A server answers only while somebody waits for it.
        drop(rt::spawn(server));
        handle
    });
    Ok(Running { handles: spawned.collect() })
}

impl Running {
    /// Stops the listeners after the requests under way.
    pub async fn stop(self) {
        for handle in self.handles {
            handle.stop(true).await;
        }
    }
}

pub(super) fn public_routes(config: &mut ServiceConfig, path: &str) {
    let form = |name: &str, post: Route| web::resource(format!("{path}/{name}")).route(post).default_service(web::to(post_only));
    config.service(form("token", web::post().to(endpoints::token)));
    config.service(form("introspect", web::post().to(endpoints::introspect)));
    config.service(form("revoke", web::post().to(endpoints::revoke)));
    config.service(form("tasks", web::post().to(tasks::open)));
    config.service(form("tasks/{id}/{wish}", web::post().to(tasks::act)));
    config.route(&format!("{path}/tasks/{{id}}"), web::get().to(tasks::look));
    config.route(&format!("{path}/jwks"), web::get().to(metadata::jwks));
    config.route(&format!("{path}/.well-known/jwks.json"), web::get().to(metadata::jwks));
    config.route(&format!("{path}/authorize"), web::to(metadata::authorize));
    config.route(&format!("/.well-known/oauth-authorization-server{path}"), web::get().to(metadata::metadata));
    config.route(&format!("/.well-known/openid-configuration{path}"), web::get().to(metadata::metadata));
    for route in [Route::new().method(Method::GET), Route::new().method(Method::HEAD)] {
        config.route(&format!("{path}/status/{{list}}"), route.to(status::list));
    }
    config.route(&format!("{path}/status"), web::get().to(status::aggregation));
    ledger_routes(config, path);
    if !path.is_empty() {
        config.route(&format!("{path}/.well-known/openid-configuration"), web::get().to(metadata::metadata));
    }
}

fn ledger_routes(config: &mut ServiceConfig, path: &str) {
    let prefix = format!("{path}/ledger/");
    let get = web::get().to(move |request, door| ledger::get(request, door, prefix.len()));
    config.route(&format!("{path}/ledger/{{file:.*}}"), get);
}

pub(super) fn local_routes(config: &mut ServiceConfig) {
    ledger_routes(config, "");
    administer::routes(config);
    ops_routes(config);
}

pub(super) fn ops_routes(config: &mut ServiceConfig) {
    config.route("/healthz", web::get().to(ops::healthz));
    config.route("/readyz", web::get().to(ops::readyz));
    config.route("/metrics", web::get().to(ops::metrics));
}

async fn post_only() -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header(("Allow", "POST"))
        .content_type("text/plain; charset=utf-8")
        .body("this endpoint takes POST with application/x-www-form-urlencoded\n")
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.cause)
    }
}

impl std::error::Error for ServeError {}
