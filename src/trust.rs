//! Who may vouch for whom, and their current keys. A trust rule names one issuer (or SPIFFE trust domain) and what its tokens
//! must say; [`Trust::vouch`] is the only way to a [`Vouched`] identity. [`Fetcher`] is the server's only outbound HTTP.

mod fetch;
mod keys;
mod matcher;
mod oidc;
mod reason;
mod refresh;
mod rule;
mod spiffe;
mod spiffe_id;
mod subject;
mod svid;
mod validity;
mod vouch;
mod vouched;
pub mod x509;

pub use fetch::{FetchReason, Fetcher, JSON_BYTES_MAX};
pub use keys::{KeyLocation, KeySource, Pace};
pub use matcher::{Literal, Matcher, MatcherReason, Requirement};
pub use reason::{TrustReason, TrustRuleReason};
pub use rule::{TrustKind, TrustRule, TrustRuleParts};
pub use spiffe_id::{SpiffeId, SpiffeIdReason, SpiffePattern, TrustDomain};
pub use subject::{SubjectKind, SubjectParts, TemplateReason};
pub use svid::{SvidReason, VouchedSvid};
pub use validity::CLOCK_SKEW;
pub use vouch::{DuplicateRule, Trust};
pub use vouched::Vouched;
