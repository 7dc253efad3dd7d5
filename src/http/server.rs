//! Binds the sockets and runs the listeners on them.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::rt::{self, System};
use actix_web::web::Data;

use super::listener::{self, Listener, ListenerSettings};
use super::socket;
use super::state::AppState;
use super::tls::{self, TlsSetup};

/// The bound sockets of all listeners. They are bound first, so that an address in use is noticed before anything starts.
pub struct Sockets {
    public: TcpListener,
    mtls: Option<TcpListener>,
    ops: TcpListener,
    local: Option<UnixListener>,
}

/// The running listeners. They go on when this is dropped.
pub struct Running {
    handles: Vec<ServerHandle>,
}

/// Runs `work` on this thread in the system that servers need around them.
pub fn block_on<F: Future>(work: F) -> F::Output {
    System::new().block_on(work)
}

/// A socket that cannot be bound.
#[derive(Debug)]
pub struct ServeError {
    address: String,
    cause: io::Error,
}

/// Binds the public address and the operators'.
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
    /// Binds the second public address too, if there is one: clients are asked for certificates there (RFC 8705 §5).
    ///
    /// # Errors
    /// Names the address that cannot be bound.
    pub fn with_mtls(self, address: Option<SocketAddr>) -> Result<Self, ServeError> {
        Ok(Self { mtls: address.map(listen).transpose()?, ..self })
    }

    /// Binds the socket `ops.sock` in the data folder `data` too, which the caller holds the lock of: it is for local
    /// administration and auditors. Where there can be none, which is logged, the server runs without.
    #[must_use]
    pub fn with_local(self, data: &Path) -> Self {
        let local = socket::bind(data);
        if let Err(cause) = &local {
            tracing::warn!(%cause, "there is no socket in {}: the ledger's entries are in its files only", data.display());
        }
        Self { local: local.ok(), ..self }
    }
}

/// Starts the listeners, inside [`block_on`].
///
/// # Errors
/// When a socket or the cryptography cannot be used.
pub fn serve(state: Arc<AppState>, sockets: Sockets, settings: ListenerSettings<'_>) -> io::Result<Running> {
    let state = Data::from(state);
    let listeners = public_listeners(sockets.public, sockets.mtls, settings.tls.as_ref())?;
    let public = listener::public_server(&state, listeners, &settings)?;
    let ops = listener::ops_server(&state, sockets.ops)?;
    let local = sockets.local.map(|socket| listener::local_server(&state, socket)).transpose()?;
    let spawned = [Some(public), Some(ops), local].into_iter().flatten().map(|server| {
        let handle = server.handle();
        // A server answers only while somebody waits for it.
        drop(rt::spawn(server));
        handle
    });
    Ok(Running { handles: spawned.collect() })
}

/// The public sockets, each with its TLS.
fn public_listeners(public: TcpListener, mtls: Option<TcpListener>, setup: Option<&TlsSetup>) -> io::Result<Vec<Listener>> {
    let tls = |wanted: bool, ask: bool| match setup.filter(|_| wanted) {
        Some(setup) => tls::server_config(Arc::clone(&setup.identity), ask).map(Some).map_err(io::Error::other),
        None => Ok(None),
    };
    let (speaks, asks) = setup.map_or((false, false), |setup| (setup.public, setup.ask));
    let mut listeners = vec![Listener { socket: public, tls: tls(speaks, asks)? }];
    if let Some(socket) = mtls {
        listeners.push(Listener { socket, tls: tls(true, true)? });
    }
    Ok(listeners)
}

impl Running {
    /// Stops the listeners after the requests under way.
    pub async fn stop(self) {
        for handle in self.handles {
            handle.stop(true).await;
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.cause)
    }
}

impl std::error::Error for ServeError {}
