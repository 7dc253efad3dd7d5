//! Who may vouch for whom: trust rules, the matchers and platforms that they are written in, and the checks of foreign tokens
//! and certificates. A trust rule names one issuer (or SPIFFE trust domain, or PKI) and what its tokens must say;
//! [`TrustStore::verify`] and its like are the only way to a [`VerifiedAssertion`] (`verify.rs` lists every check).

mod access_token;
mod confirmation;
mod draft;
mod found;
mod kind;
mod lint;
mod matcher;
mod platform;
mod reason;
mod review;
mod review_source;
mod rule;
mod store;
mod subject;
mod trial;
mod verify;

pub use access_token::{AccessTokenForm, Provider};
pub use confirmation::ConfirmationReason;
pub use draft::{DraftMatcher, RuleDraft};
pub(crate) use found::visible;
pub use found::{RefusalDetail, TrustRefusal};
pub use kind::TrustKind;
pub use lint::{Finding, Severity, example, findings};
pub use matcher::{Literal, Matcher, MatcherReason, Requirement};
pub use platform::{ClaimFact, Nature, Shape, claim_of, claims_of, tenant};
pub use reason::{PlatformReason, TrustReason};
pub use review_source::ReviewSource;
pub use rule::{IssuerSelector, ScopeMap, TrustRule, TrustRuleParts, TrustRuleReason, mistaken, mistakes};
pub use store::{DuplicateRule, TrustStore};
pub use subject::{SET, SubjectKind, SubjectMapping, Template, TemplateReason};
pub use trial::{Trial, TrialCheck};
pub use verify::{ValidatedLeaf, VerifiedAssertion};
