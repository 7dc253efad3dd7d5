//! Hash, keyed hash, authenticated encryption and randomness, each a thin name over aws-lc-rs. No key material is ever printed.

mod digest;
mod seal;

pub use digest::{Digest, MacKey, random};
pub use seal::{SealKey, SealReason};
