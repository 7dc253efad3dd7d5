//! Administration: operators revoke, suspend, resume and retire, and look at agents and tasks; by the socket of a server that
//! runs, and in the same way on the data folder where none does.

mod agents;
mod reason;
mod revoke;
mod tasks;

pub use agents::{AgentReport, ExpiryReport, LoginReport, StatusReport, UnusedScopes, catch_up, change_status, inventory};
pub use reason::AdminReason;
pub use revoke::{RevokeTarget, RevokedTarget, revoke, revoke_key};
pub use tasks::{TaskReport, tasks};
