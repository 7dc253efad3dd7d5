//! actix, status codes, headers, limits. Knows no rule of OAuth beyond the wire.

mod administer;
mod connection;
mod door;
mod form;
mod gate;
mod introspect;
mod ledger;
mod listener;
mod metadata;
mod metrics;
mod ops;
mod peer;
mod refuse;
mod respond;
mod revoke;
mod server;
mod socket;
mod status;
mod tls;
mod tasks;
mod token;

pub use door::{Door, DoorLimits, Front};
pub use ledger::LedgerDoor;
pub use peer::forwarded_chain;
pub use server::{Crowd, Running, ServeError, Serving, Sockets, Speaks, bind, block_on, serve};
pub use tls::{TlsIdentity, install_provider};
