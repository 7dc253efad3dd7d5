//! Claims of an issued token (RFC 9068 §2.2, RFC 8693 §4), the key that signs it, its release against a receipt, and what is
//! told of it later.

mod claims;
mod minted;
mod reason;
mod release;
mod shared;
mod signers;
mod status_list;
mod task;
mod told;

pub use minted::{IssuedToken, MintedToken, Minting, sign};
pub use reason::MintReason;
pub use signers::{SignerEntry, Signers};
pub use status_list::{SignedList, status_aggregation_uri, status_list, status_uri};
pub use task::{IssuedTaskToken, MintedTaskToken, open};
pub use told::{AnswerForm, IntrospectionResponse, tell};
