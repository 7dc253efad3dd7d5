//! What is alive, what ends with what, and who may present what: pure rules over a view of the state.

mod admit;
pub mod liveness;
mod may_act;
mod presenter;
mod reason;
mod standing;

pub use admit::{Rules, admit};
pub use liveness::{Dead, Life, State, alive};
pub use reason::StandingReason;
pub use standing::{Acting, Standing};
