//! The listeners: the public ones, plain HTTP or HTTPS with the same application behind each, and those of the operators. Every
//! connection has a deadline and is one of a bounded number.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::error::DispatchError;
use actix_http::{HttpServiceBuilder, Protocol};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, Error};
use rustls::ServerConfig;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

use super::connection::{Connection, Link};
use super::connection_limit::{ConnectionLimits, ConnectionPermit, ConnectionPlaces};
use super::plain::not_found;
use super::state::AppState;
use super::tls::TlsSetup;
use super::{admin, client_cert, health, public, socket};

/// From the accepted connection to the end of its handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// From the first byte to the end of the head of a connection's first request.
const HEAD: Duration = Duration::from_secs(10);

/// Between two requests of a connection.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Connections at a time to the operators' address, half of all at most from one address; and to the socket.
const OPERATORS: usize = 64;

/// Connections that a thread may have beyond the places: those on their way in, and out. Where it has as many it takes no more,
/// whoever they are, and nobody decides.
const PASSING: usize = 1024;

/// For a connection that is being closed.
const PARTING: Duration = Duration::from_secs(2);

/// The settings of the public listeners.
#[derive(Clone, Debug)]
pub struct ListenerSettings<'a> {
    /// The path of the issuer, under which its endpoints live.
    pub path: &'a str,
    /// Threads that answer requests; 0 means one per core.
    pub workers: usize,
    /// The connections that clients may have.
    pub connections: ConnectionLimits,
    /// Their TLS; none where all are plain HTTP.
    pub tls: Option<TlsSetup>,
}

/// A bound socket, with its TLS; none for plain HTTP.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) tls: Option<ServerConfig>,
}

/// A server for all public listeners, which share its threads.
///
/// # Errors
/// When a socket cannot be used.
pub(super) fn public_server(
    state: &Data<AppState>,
    listeners: Vec<Listener>,
    settings: &ListenerSettings<'_>,
) -> io::Result<Server> {
    let threads = match settings.workers {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        workers => workers,
    };
    let places = ConnectionPlaces::new(settings.connections);
    state.metrics.count_connections(&places);
    let mut builder = Server::build().workers(threads).disable_signals().shutdown_timeout(10);
    builder = builder.max_concurrent_connections(settings.connections.connections + PASSING);
    for Listener { socket, tls } in listeners {
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let acceptor = Acceptor { state: state.clone(), places: Arc::clone(&places), tls };
        let (path, ending) = (settings.path.to_owned(), builder.graceful_shutdown_signal());
        builder = builder.listen("public", socket, move || {
            let (http, path) = (http(&ending).on_connect_ext(client_cert::note), path.clone());
            let routes = move |config: &mut ServiceConfig| public::routes(config, &path);
            acceptor.clone().service().and_then(http.finish(application(&acceptor.state, routes)))
        })?;
    }
    Ok(builder.run())
}

/// A server for the operators' address, with a thread of its own, so that it answers however busy the public listeners are.
///
/// # Errors
/// When the socket cannot be used.
pub(super) fn ops_server(state: &Data<AppState>, socket: TcpListener) -> io::Result<Server> {
    let builder = apart();
    let limits = ConnectionLimits { connections: OPERATORS, per_address: OPERATORS / 2, configured: OPERATORS };
    let acceptor = Acceptor { state: state.clone(), places: ConnectionPlaces::new(limits), tls: None };
    let ending = builder.graceful_shutdown_signal();
    let server = builder.listen("ops", socket, move || {
        acceptor.clone().service().and_then(http(&ending).finish(application(&acceptor.state, health::routes)))
    })?;
    Ok(server.run())
}

/// A server for the socket in the data folder. The kernel tells the peer's user, once per connection.
///
/// # Errors
/// When the socket cannot be used.
pub(super) fn local_server(state: &Data<AppState>, socket: UnixListener) -> io::Result<Server> {
    let (builder, ours) = (apart(), socket::owner(&socket)?);
    let builder = builder.max_concurrent_connections(OPERATORS);
    let (state, ending) = (state.clone(), builder.graceful_shutdown_signal());
    let server = builder.listen_uds("local", socket, move || {
        let http = http(&ending).on_connect_ext(move |connection: &Connection, data| {
            if let Some(auditor) = socket::auditor(connection.peer_user(), ours) {
                data.insert(auditor);
            }
        });
        let acceptor = fn_service(move |stream: UnixStream| {
            let connection = Connection::new(Link::Local(stream), ConnectionPermit::uncounted());
            std::future::ready(Ok::<_, DispatchError>((connection, Protocol::Http1, None)))
        });
        acceptor.and_then(http.finish(application(&state, local_routes)))
    })?;
    Ok(server.run())
}

/// The routes of the socket: everything that is not for clients.
fn local_routes(config: &mut ServiceConfig) {
    public::ledger_routes(config, "");
    admin::routes(config);
    health::routes(config);
}

/// One thread and a few connections, whatever the public listeners are busy with.
fn apart() -> ServerBuilder {
    Server::build().workers(1).disable_signals().shutdown_timeout(10).max_concurrent_connections(OPERATORS + PASSING)
}

/// HTTP as it is spoken on every connection.
fn http<S>(ending: &GracefulShutdownSignal) -> HttpServiceBuilder<Connection, S>
where
    S: ServiceFactory<actix_http::Request, Config = ()>,
    S::Error: Into<actix_http::Response<BoxBody>> + 'static,
    S::InitError: Debug,
    <S::Service as Service<actix_http::Request>>::Future: 'static,
{
    let ending = ending.clone();
    let http = HttpServiceBuilder::default().keep_alive(KEEP_ALIVE).client_request_timeout(HEAD);
    http.client_disconnect_timeout(PARTING).graceful_shutdown_signal(move || {
        let ending = ending.clone();
        async move { ending.notified().await }
    })
}

/// The handlers of the requests of a connection.
fn application<R: FnOnce(&mut ServiceConfig)>(
    state: &Data<AppState>,
    routes: R,
) -> impl ServiceFactory<
    actix_http::Request,
    Config = (),
    Response = actix_web::dev::ServiceResponse,
    Error = actix_web::HttpResponse,
    InitError = (),
> + use<R> {
    let app = App::new().app_data(state.clone()).configure(routes);
    let app = app.default_service(web::to(not_found)).into_factory();
    map_config(app.map_err(|error: Error| error.error_response()), |()| AppConfig::default())
}

/// Admits the connections of one TCP listener.
#[derive(Clone)]
struct Acceptor {
    state: Data<AppState>,
    places: Arc<ConnectionPlaces>,
    tls: Option<TlsAcceptor>,
}

impl Acceptor {
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
            let acceptor = self.clone();
            async move { acceptor.admit(stream).await.map_err(DispatchError::Io) }
        })
    }

    async fn admit(&self, stream: TcpStream) -> io::Result<(Connection, Protocol, Option<SocketAddr>)> {
        let peer = stream.peer_addr()?;
        let is_proxy = self.state.is_proxy(peer.ip());
        let permit = self.places.permit(peer.ip(), is_proxy).ok_or(io::ErrorKind::QuotaExceeded)?;
        let link = handshake(stream, self.tls.as_ref()).await?;
        Ok((Connection::new(link, permit), Protocol::Http1, Some(peer)))
    }
}

/// The TLS handshake, where there is one.
async fn handshake(stream: TcpStream, tls: Option<&TlsAcceptor>) -> io::Result<Link> {
    // Without it a new TLS connection stalls until the peer's delayed acknowledgement of the session tickets.
    stream.set_nodelay(true)?;
    match tls {
        None => Ok(Link::Plain(stream)),
        Some(tls) => Ok(Link::Tls(Box::new(tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await??))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::sign::CertifiedKey;
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::http::tls::{TlsIdentity, server_config};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(listener.accept(), TcpStream::connect(address));
        (ours.unwrap().0, theirs.unwrap())
    }

    fn client_and_server() -> (TlsConnector, TlsAcceptor) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let identity = CertifiedKey::from_der(vec![certificate.der().clone()], der, &provider).unwrap();
        let server = server_config(TlsIdentity::new(Arc::new(identity)), true).unwrap();
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server)))
    }

    #[tokio::test]
    async fn no_connection_waits_for_acknowledgements() {
        let (ours, _theirs) = pair().await;
        let Link::Plain(plain) = handshake(ours, None).await.unwrap() else { panic!("TLS that nobody asked for") };
        assert!(plain.nodelay().unwrap());
        let ((ours, theirs), (connector, acceptor)) = (pair().await, client_and_server());
        let name = ServerName::try_from("localhost").unwrap();
        let (link, client) = tokio::join!(handshake(ours, Some(&acceptor)), connector.connect(name, theirs));
        let Link::Tls(stream) = link.unwrap() else { panic!("no TLS") };
        assert!(stream.get_ref().0.nodelay().unwrap());
        client.unwrap();
    }
}
