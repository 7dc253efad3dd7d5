//! actix, status codes, headers, limits. Knows no rule of OAuth beyond the wire.

mod administer;
mod door;
mod form;
mod introspect;
mod ledger;
mod metadata;
mod metrics;
mod ops;
mod refuse;
mod respond;
mod revoke;
mod server;
mod socket;
mod status;
mod tasks;
mod token;

pub use door::{Door, DoorLimits};
pub use ledger::LedgerDoor;
pub use server::{Running, ServeError, Sockets, bind, block_on, serve};
