//! What is alive, what ends with what, and who may present what: pure rules over a view of the state.

pub mod liveness;
mod standing;

pub use liveness::{Dead, Life, State};
pub use standing::{Acting, Standing};
