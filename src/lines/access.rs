//! An access token of ours as the credential of a request: one order for every endpoint that takes one, proof of possession and
//! single use included. Nothing but the order.

use super::login::LineContext;
use crate::client::{AccessToken, Endpoint};
use crate::error::AccessError;
use crate::oauth::{Jti, SingleUse};

/// Passes where the request shows the access token of the hop `wanted` at `endpoint`: genuine, even if it has run out, by the
/// scheme that its binding asks for, and with the proof of the key that it is bound to, which is then spent.
///
/// # Errors
/// See [`AccessError`].
pub async fn show_access_token(context: LineContext<'_>, endpoint: Endpoint<'_>, wanted: Jti) -> Result<(), AccessError> {
    let LineContext { deployment, commit, credentials, now, .. } = context;
    let token = AccessToken::of(credentials).map_err(AccessError::Credential)?;
    let hop = deployment.own.hop_of(token.text()).map_err(AccessError::Token)?;
    let proof = token.prove(hop.confirmation(), endpoint, &deployment.dpop, now).map_err(AccessError::Credential)?;
    let share = hop.share();
    let spends: Vec<_> = proof.iter().map(|proof| SingleUse { share, ..proof.single_use }).collect();
    commit.look(&spends, now).map_err(AccessError::Commit)?;
    if hop.jti() != wanted {
        return Err(AccessError::OtherHop);
    }
    match spends.is_empty() {
        true => Ok(()),
        false => commit.spend(share, spends).await.map_err(AccessError::Commit),
    }
}
