//! The lines: each is the order in which the stages judge one kind of request, and nothing but the order. Only lines see more
//! than one stage.

mod access;
mod evaluate;
mod exchange;
mod introspect;
mod login;
mod rate;
mod refused;
mod revoke;
mod task;
mod token;

pub use access::show_access_token;
pub use evaluate::{CallVerdict, evaluate};
pub use introspect::introspect;
pub use login::LineContext;
pub use rate::RequestRates;
pub use refused::{AnsweredRefusal, RefusedRequest};
pub use revoke::revoke;
pub use task::{TaskOutcome, act_on_task, open_task};
pub use token::{grant_types, token};
