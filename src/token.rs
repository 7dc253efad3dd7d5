//! Who subject and actor are: claim rules per kind of token, and the chain. Facts only; no judgement of rights.

mod actor;
mod ancestry;
mod client_itself;
mod foreign;
mod own;
mod reason;
mod subject;

pub use actor::verify_actor;
pub use ancestry::{ANCESTRY_BYTES_MAX, Ancestry, AncestryKind, AncestryReason};
pub use client_itself::client_itself;
pub use foreign::{obtained_by, presentable};
pub use own::{GenuineHop, IssuerKeys, TASK_TYP, VerifiedIssued};
pub use reason::TokenReason;
pub use subject::{Authentication, IssuedClaims, Origin, TaskMembership, VerifiedActor, VerifiedSubject};

use crate::jose::Compact;
use crate::oauth::{Time, TokenType};
use crate::request::PresentedToken;
use crate::trust::TrustStore;

/// Verifies the subject token by the rules of its declared type and of whoever issued it (RFC 8693 §2.1). Its issuer decides the
/// path, never the parameter that carried it.
///
/// # Errors
/// Why it is not genuine, not current, not from a trusted issuer or not meant for us.
pub async fn verify_subject(
    presented: &PresentedToken,
    own: &IssuerKeys,
    trust: &TrustStore,
    now: Time,
) -> Result<VerifiedSubject, TokenReason> {
    let jws = Compact::parse(presented.text())?;
    match (own.issued(&jws)?, presented.declared()) {
        (true, TokenType::Jwt) if jws.typ_is(TASK_TYP) => own.verify_task(&jws, now),
        (true, TokenType::IdToken) => Err(TokenReason::DeclaredWrongly),
        (true, _) => own.verify(&jws, now).map(VerifiedSubject::from),
        (false, TokenType::AccessToken) => Err(TokenReason::ForeignAccessToken),
        (false, declared) => foreign::verify(&jws, declared, trust, own.issuer(), now).await,
    }
}

/// Verifies one of our own access tokens, where nothing else will do: to introspect or to revoke it.
///
/// # Errors
/// Why it is not ours, not an access token, or not current.
pub fn verify_own(text: &str, own: &IssuerKeys, now: Time) -> Result<VerifiedIssued, TokenReason> {
    let jws = Compact::parse(text)?;
    if own.issued(&jws)? { own.verify(&jws, now) } else { Err(TokenReason::ForeignAccessToken) }
}
