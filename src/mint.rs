//! Claims of an issued token (RFC 9068 §2.2, RFC 8693 §4), the key that signs it, its release against a receipt, and the
//! introspection response about it.

mod claims;
mod common;
mod id_jag;
mod introspection;
mod minted;
mod release;
mod signers;
mod status_list;
mod task_token;

pub use introspection::{AnswerForm, IntrospectionResponse, introspection_response};
pub use minted::{IssuedToken, MintedToken, sign};
pub use signers::{MintReason, Minting, SignerEntry, Signers};
pub use status_list::{SignedList, status_aggregation_uri, status_list, status_uri};
pub use task_token::{IssuedTaskToken, MintedTaskToken, open};
