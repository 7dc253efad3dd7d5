//! Hash, keyed hash, signature of the ledger, authenticated encryption and randomness, each a thin name over aws-lc-rs. No
//! key material is ever printed.

mod digest;
mod ed25519;
mod seal;
mod set_hash;

pub use digest::{Digest, MacKey};
pub use ed25519::{Ed25519Reason, SignKey, VerifyKey};
pub use seal::{MessageKeys, SealKey, SealReason, random};
pub use set_hash::{KeyedSum, SetHash};
