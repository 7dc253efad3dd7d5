//! Record schemas, the tree, proofs: pure formats and arithmetic. Knows nothing of tokens, requests, policy or databases.

mod disclosure;
mod hop;
pub mod record;

pub use disclosure::{Disclosure, Disclosures};
pub use hop::{Basis, Evidence, Hop, Inputs};
pub use record::{Record, RecordReason, Refusal};
