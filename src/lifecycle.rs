//! What is alive, what ends with what, and who may present what: pure rules over a view of the state.

pub mod liveness;

pub use liveness::{Dead, Life, State};
