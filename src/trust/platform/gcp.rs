//! Identity tokens of Google Cloud service accounts (Compute Engine: "Verify the identity of instances"). People who sign in
//! with Google get tokens of the same issuer and the same keys.

use super::claim::{ClaimFact, PlatformClaims, Shape, is_number, refuse_if};
use crate::trust::PlatformReason;

pub(super) const CLAIMS: &[ClaimFact] = &[
    ClaimFact::id("sub", r#""112179062720391305885""#),
    ClaimFact::id("azp", r#""112179062720391305885""#),
    ClaimFact::name("email", r#""deployer@acme-prod.iam.gserviceaccount.com""#),
    ClaimFact::context("email_verified", "true").of(Shape::Boolean),
    ClaimFact::name("/google/compute_engine/project_id", r#""acme-prod""#),
    ClaimFact::id("/google/compute_engine/project_number", "739419398126").of(Shape::Integer),
    ClaimFact::context("/google/compute_engine/zone", r#""europe-west1-b""#),
    ClaimFact::context("/google/compute_engine/instance_id", r#""152986662232938449""#),
    ClaimFact::context("/google/compute_engine/instance_name", r#""web-1""#),
    ClaimFact::context("/google/compute_engine/instance_creation_timestamp", "1496952205").of(Shape::Integer),
    ClaimFact::context("/google/compute_engine/instance_confidentiality", "1").of(Shape::Integer),
    ClaimFact::context("/google/compute_engine/license_id", r#"["1001"]"#).of(Shape::List),
];

const PEOPLE: [&str; 5] = ["hd", "at_hash", "nonce", "given_name", "picture"];

pub(in crate::trust) fn check(claims: PlatformClaims<'_>) -> Result<(), PlatformReason> {
    let sub = claims.need("sub")?;
    refuse_if(!is_number(&sub), PlatformReason::Subject)?;
    refuse_if(PEOPLE.iter().any(|claim| claims.has(claim)), PlatformReason::Person)?;
    let azp = claims.need("azp")?;
    refuse_if(azp.ends_with(".apps.googleusercontent.com"), PlatformReason::Person)?;
    let account = match claims.at("email") {
        Some(email) => email.ends_with(".gserviceaccount.com") && claims.is_true("email_verified"),
        None => !claims.has("email") && azp == sub,
    };
    refuse_if(!account, PlatformReason::Person)
}
