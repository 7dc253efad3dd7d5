//! Claims of an issued token (RFC 9068 §2.2, RFC 8693 §4), the key that signs it, and its release against a receipt.

mod claims;
mod minted;
mod reason;
mod signers;

pub use minted::{IssuedToken, MintedToken, Minting, sign};
pub use reason::MintReason;
pub use signers::{SignerEntry, Signers};
