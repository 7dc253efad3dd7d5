//! The keys of others: sources, caches and refreshing of JWK sets and SPIFFE trust bundles. Knows the name of the rule or client
//! that keys are for, and nothing else of rules, tokens or requests. What is fetched is fetched by a task of its own; a request
//! reads what is there and at most asks it to hurry.

mod bundle;
mod cache;
mod reach;
mod reason;
mod refresh;
mod rule_keys;
mod sequence;
mod source;
mod spiffe_tls;
mod state;
mod workload;

pub(crate) use bundle::KeyMaterial;
pub use bundle::{TrustBundle, TrustBundleReason};
pub use cache::ClientJwks;
pub(crate) use cache::JwksCache;
pub use reach::Reach;
pub use reason::{KeysUnavailable, RefreshReason};
pub use refresh::{IssuerSurvey, survey};
pub use rule_keys::KeyState;
pub(crate) use rule_keys::RuleKeys;
pub use sequence::{Older, SequenceStore, Sequences};
pub use source::{BundleProfile, KeyLocation, KeySource, RefreshPolicy};
pub use workload::{WorkloadApi, WorkloadApiReason};
