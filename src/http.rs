//! actix, status codes, headers, limits. Knows no rule of OAuth beyond the wire.
//!
//! `server` runs the listeners, `listener` admits connections, `state` is what all handlers share; `public`, `health` and `admin`
//! are the routes of clients, of operators' monitoring, and of local administration.

mod admin;
mod bounds;
mod client_cert;
mod connection;
mod connection_limit;
mod health;
mod listener;
mod log_sample;
mod metadata;
mod metrics;
mod plain;
mod public;
mod read_order;
mod repeats;
mod readiness;
mod server;
mod socket;
mod state;
mod strangers;
mod tls;
mod too_many;

pub use client_cert::{Frontend, forwarded_chain};
pub use connection_limit::ConnectionLimits;
pub use listener::ListenerSettings;
pub use public::{ENDPOINTS, PublicEndpoint, Takes};
pub use server::{Running, ServeError, Sockets, bind, block_on, serve};
pub use state::{AppState, InputLimits, LedgerState};
pub use strangers::StrangerLimits;
pub use tls::{TlsIdentity, TlsSetup, install_provider};
