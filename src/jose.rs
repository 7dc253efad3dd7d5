//! JWS and JWK over keys in memory, under an allow-list of algorithms (RFC 7515, RFC 7517, RFC 8725). Knows nothing of the
//! meaning of claims, of issuers, of time or of the network. `josekit` reads and prints keys, `aws-lc-rs` signs and verifies.

mod algorithm;
mod cache;
mod compact;
mod jwk;
mod key_set;
mod nobody;
mod object;
mod proof;
mod reason;
mod sign;
mod verify;
#[cfg(test)]
mod wycheproof;

pub use algorithm::Algorithm;
pub use cache::Cache;
#[cfg(test)]
pub(crate) use compact::signatures_checked;
pub use compact::{COMPACT_BYTES_MAX, Compact, Verified};
pub use jwk::{KeyUse, public_thumbprint};
pub use key_set::{KEY_SET_BYTES_MAX, KEYS_MAX, KeySet, LeftOutKey};
pub use object::Object;
pub use proof::{EmbeddedKeyJws, EmbeddedKeyReason, ProofKeys, verify_by_confirmed_key};
pub use reason::{JoseReason, KeyReason, KeySetReason};
pub use sign::{SigningKey, generate_key};
pub use verify::VerifyingKey;

#[doc(hidden)]
pub use verify::keys_parsed;
