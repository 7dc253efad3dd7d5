//! What is held without being ended: suspension is separate from death and comes back; retirement ends and never comes back.

use super::Revocable;
use crate::oauth::ClientId;

/// Something to record that holds things, or holds them no longer.
#[derive(Clone, Debug)]
pub struct StatusChange {
    /// What happens to them.
    pub turn: Transition,
    /// To which things, at most 256.
    pub things: Vec<Revocable>,
    /// Who asked for it: an agent, or `ops`.
    pub by: ClientId,
    /// Why, in words that hold nothing personal; at most 1,024 bytes.
    pub reason: String,
}

/// What happens to a thing that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Nothing is issued or active under it until it is resumed.
    Suspend,
    /// What was issued under it, and everything else, goes on as if it had not been suspended.
    Resume,
    /// Its life ends, and nothing new joins it, for ever.
    Retire,
}
