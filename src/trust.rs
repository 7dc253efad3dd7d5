//! Who may vouch for whom, and their current keys. A trust rule names one issuer (or SPIFFE trust domain) and what its tokens
//! must say; [`TrustStore::vouch`] is the only way to a [`VerifiedAssertion`] identity. [`Fetcher`] is the server's only outbound
//! HTTP.

mod binding;
mod bundle;
mod fetch;
mod keys;
mod kind;
mod lint;
mod matcher;
mod oidc;
mod platform;
mod published;
mod reason;
mod refresh;
mod remote;
mod rule;
mod sequence;
mod spiffe;
mod spiffe_id;
mod subject;
mod validity;
mod vouch;
mod vouched;
mod workload;
pub mod x509;

pub use binding::{Confirmation, ConfirmationMethod, ConfirmationReason};
pub use bundle::{BundleReason, TrustBundle};
pub use fetch::{FetchReason, Fetcher, JSON_BYTES_MAX, Network};
pub use keys::{BundleProfile, KeyLocation, KeySource, KeyState, RefreshPolicy};
pub use kind::TrustKind;
pub use lint::{Finding, Severity, example, findings};
pub use matcher::{Literal, Matcher, MatcherReason, Requirement};
pub use platform::{ClaimFact, Nature, PlatformReason, Shape, claim_of, claims_of, tenant};
pub use published::ClientJwks;
pub use reason::{TrustReason, TrustRuleReason};
pub use rule::{ScopeMap, TrustRule, TrustRuleParts, mistaken, mistakes};
pub use sequence::{Older, SequenceStore, Sequences};
pub use spiffe_id::{SpiffeId, SpiffeIdReason, SpiffePattern, TrustDomain};
pub use subject::{SubjectKind, SubjectParts, TemplateReason};
pub use validity::CLOCK_SKEW;
pub use vouch::{DuplicateRule, TrustStore};
pub use vouched::VerifiedAssertion;
pub use workload::{WorkloadApi, WorkloadApiReason};
