//! Record schemas, the tree, proofs: pure formats and arithmetic. Knows nothing of tokens, requests, policy or databases.

mod hop;

pub use hop::{Basis, Evidence, Hop, Inputs};
