//! The two listeners.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::rt::{self, System};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};

use super::{Door, metadata, ops, token};

/// Bound sockets, so that an address in use is told before anything starts.
pub struct Sockets {
    public: TcpListener,
    ops: TcpListener,
}

/// A running server. It goes on when this is dropped.
pub struct Running {
    handles: [ServerHandle; 2],
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
    let listen =
        |address: SocketAddr| TcpListener::bind(address).map_err(|cause| ServeError { address: address.to_string(), cause });
    Ok(Sockets { public: listen(public)?, ops: listen(ops)? })
}

impl Sockets {
    /// The addresses that were really bound (port 0 picks a free one).
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.public.local_addr()?, self.ops.local_addr()?))
    }
}

/// Starts both listeners, inside [`block_on`]. `path` is the path of the issuer, under which its endpoints live; `workers` 0
/// means one per core.
///
/// # Errors
/// When a socket cannot be used.
pub fn serve(door: Arc<Door>, sockets: Sockets, path: &str, workers: usize) -> io::Result<Running> {
    let door = Data::from(door);
    let (public_door, path) = (door.clone(), path.to_owned());
    let mut public = HttpServer::new(move || {
        let (door, path) = (public_door.clone(), path.clone());
        App::new().app_data(door).configure(move |config| public_routes(config, &path)).default_service(web::to(not_found))
    })
    // Without it every new TLS connection stalls for the peer's delayed acknowledgement.
    .tcp_nodelay(true)
    .client_request_timeout(Duration::from_secs(10))
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(10)
    .disable_signals();
    if workers > 0 {
        public = public.workers(workers);
    }
    let ops =
        HttpServer::new(move || App::new().app_data(door.clone()).configure(ops_routes).default_service(web::to(not_found)))
            .workers(1)
            .disable_signals();
    let servers = [public.listen(sockets.public)?.run(), ops.listen(sockets.ops)?.run()];
    let handles = servers.each_ref().map(Server::handle);
    // A server answers only while somebody waits for it.
    servers.into_iter().for_each(|server| drop(rt::spawn(server)));
    Ok(Running { handles })
}

impl Running {
    /// Stops both listeners after the requests under way.
    pub async fn stop(self) {
        for handle in self.handles {
            handle.stop(true).await;
        }
    }
}

fn public_routes(config: &mut ServiceConfig, path: &str) {
    let token_path = format!("{path}/token");
    config.service(web::resource(token_path).route(web::post().to(token::token)).default_service(web::to(post_only)));
    config.route(&format!("{path}/jwks"), web::get().to(metadata::jwks));
    config.route(&format!("{path}/.well-known/jwks.json"), web::get().to(metadata::jwks));
    config.route(&format!("{path}/authorize"), web::to(metadata::authorize));
    config.route(&format!("/.well-known/oauth-authorization-server{path}"), web::get().to(metadata::metadata));
    config.route(&format!("/.well-known/openid-configuration{path}"), web::get().to(metadata::metadata));
    if !path.is_empty() {
        config.route(&format!("{path}/.well-known/openid-configuration"), web::get().to(metadata::metadata));
    }
}

fn ops_routes(config: &mut ServiceConfig) {
    config.route("/healthz", web::get().to(ops::healthz));
    config.route("/readyz", web::get().to(ops::readyz));
    config.route("/metrics", web::get().to(ops::metrics));
}

/// What is not served is 404: clients that try several addresses move on only then.
async fn not_found() -> HttpResponse {
    HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("not found\n")
}

async fn post_only() -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header(("Allow", "POST"))
        .content_type("text/plain; charset=utf-8")
        .body("the token endpoint takes POST with application/x-www-form-urlencoded\n")
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.cause)
    }
}

impl std::error::Error for ServeError {}
