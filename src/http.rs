//! actix, status codes, headers, limits. Knows no rule of OAuth beyond the wire.

mod administer;
mod connection;
mod door;
mod endpoints;
mod error_response;
mod form;
mod gate;
mod ledger;
mod listener;
mod metadata;
mod metrics;
mod ops;
mod peer;
mod respond;
mod server;
mod socket;
mod status;
mod tls;
mod tasks;

pub use door::{AppState, Frontend, InputLimits};
pub use ledger::LedgerState;
pub use peer::forwarded_chain;
pub use server::{ConnectionLimits, Running, ServeError, Serving, Sockets, TlsSetup, bind, block_on, serve};
pub use tls::{TlsIdentity, install_provider};
