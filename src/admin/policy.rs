//! What policy would decide on a request that somebody assumes. Nothing of it is recorded.

use super::reason::AdminReason;
use crate::catalog::Catalog;
use crate::oauth::Time;
use crate::policy::{AssumedRequest, Policies, PolicyExplanation};

/// Decides on the request that `text` describes, as it would be at `now`.
///
/// # Errors
/// `Malformed` when the text describes none.
pub fn explain_policy(policies: &Policies, catalog: &Catalog, text: &str, now: Time) -> Result<PolicyExplanation, AdminReason> {
    let request = AssumedRequest::parse(text, catalog, now).map_err(AdminReason::Malformed)?;
    Ok(policies.explain(&request))
}
