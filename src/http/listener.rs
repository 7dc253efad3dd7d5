//! The public listeners: plain HTTP or HTTPS, the same application behind each.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::web::{self, Data};
use actix_web::{App, Error};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::connection::{Connection, Link};
use super::gate::{Gate, Seat};
use super::server::{not_found, public_routes};
use super::{Crowd, Door, peer};

/// From the accepted connection to the end of its handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// From the first byte to the end of the head of a connection's first request.
const HEAD: Duration = Duration::from_secs(10);

/// Between two requests of a connection.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// For a connection that is being closed.
const PARTING: Duration = Duration::from_secs(2);

/// A bound socket, and how it speaks TLS if it does.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) tls: Option<ServerConfig>,
}

/// A server for all public listeners, which share its `workers` threads; 0 for one per core. `path` is that of the issuer.
///
/// # Errors
/// When a socket cannot be used.
pub(super) fn server(
    door: &Data<Door>,
    listeners: Vec<Listener>,
    path: &str,
    workers: usize,
    crowd: Crowd,
) -> io::Result<Server> {
    let threads = match workers {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        workers => workers,
    };
    let gate = Gate::new(crowd.per_address);
    let mut builder = Server::build().workers(threads).disable_signals().shutdown_timeout(10);
    builder = builder.max_concurrent_connections(crowd.connections.div_ceil(threads));
    for Listener { socket, tls } in listeners {
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let entrance = Entrance { door: door.clone(), gate: Arc::clone(&gate), tls };
        let (path, ending) = (path.to_owned(), builder.graceful_shutdown_signal());
        builder = builder.listen("public", socket, move || {
            let ending = ending.clone();
            let http = HttpService::build()
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(HEAD)
                .client_disconnect_timeout(PARTING)
                .graceful_shutdown_signal(move || {
                    let ending = ending.clone();
                    async move { ending.notified().await }
                })
                .on_connect_ext(peer::introduce);
            entrance.clone().service().and_then(http.finish(application(&entrance.door, &path)))
        })?;
    }
    Ok(builder.run())
}

/// What answers the requests of a connection.
fn application(
    door: &Data<Door>,
    path: &str,
) -> impl ServiceFactory<
    actix_http::Request,
    Config = (),
    Response = actix_web::dev::ServiceResponse,
    Error = actix_web::HttpResponse,
    InitError = (),
> + use<> {
    let path = path.to_owned();
    let app = App::new().app_data(door.clone()).configure(move |config| public_routes(config, &path));
    let app = app.default_service(web::to(not_found)).into_factory();
    map_config(app.map_err(|error: Error| error.error_response()), |()| AppConfig::default())
}

/// Where connections come in.
#[derive(Clone)]
struct Entrance {
    door: Data<Door>,
    gate: Arc<Gate>,
    tls: Option<TlsAcceptor>,
}

impl Entrance {
    fn service(
        self,
    ) -> impl ServiceFactory<
        TcpStream,
        Config = (),
        Response = (Connection, Protocol, Option<SocketAddr>),
        Error = DispatchError,
        InitError = (),
    > {
        fn_service(move |stream: TcpStream| {
            let entrance = self.clone();
            async move { entrance.admit(stream).await.map_err(DispatchError::Io) }
        })
    }

    async fn admit(&self, stream: TcpStream) -> io::Result<(Connection, Protocol, Option<SocketAddr>)> {
        let peer = stream.peer_addr()?;
        let seat = self.seat(peer.ip()).ok_or(io::ErrorKind::QuotaExceeded)?;
        // Without it every new TLS connection stalls for the peer's delayed acknowledgement.
        stream.set_nodelay(true)?;
        let link = match &self.tls {
            None => Link::Plain(stream),
            Some(tls) => Link::Tls(Box::new(tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await??)),
        };
        Ok((Connection::new(link, seat), Protocol::Http1, Some(peer)))
    }

    /// Behind a proxy are many clients.
    fn seat(&self, address: IpAddr) -> Option<Seat> {
        match self.door.is_proxy(address) {
            true => Some(self.gate.uncounted()),
            false => self.gate.seat(address),
        }
    }
}
