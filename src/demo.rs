//! The issuers, agents and APIs that `quickstart` plays, used by tests too: real issuers with real signatures, in this
//! process, and a configuration folder that trusts them. Never used by the server itself.

mod api;
mod federation;
mod issuers;
mod party;

pub use api::{ApiReason, Validator};
pub use federation::{Federation, write_configuration};
pub use issuers::{DemoReason, Issuers, JwksServer};
pub use party::{CRM, RESEARCH};
