//! `spiffe_jwt`: a JWT-SVID as client assertion (draft-ietf-oauth-spiffe-client-auth §3.1).

use std::borrow::Cow;

use super::authenticate::{AuthContext, Proof};
use super::{AssertionReason, ClientReason, attestation};
use crate::jose::Compact;
use crate::trust::{SpiffeId, TrustKind, VerifiedAssertion};

/// Proves a client by a JWT-SVID. They are cached and reused, so no single use is demanded.
///
/// # Errors
/// Why it is no acceptable JWT-SVID, that its `aud` is not the issuer identifier alone, or that it logs in no agent or several.
pub(super) async fn prove(room: &AuthContext<'_>, jws: &Compact<'_>) -> Result<Proof, ClientReason> {
    let vouched = attestation::vouch(room, jws).await?;
    if vouched.rule().kind() != TrustKind::Spiffe {
        return Err(ClientReason::JwtAsSvid);
    }
    match vouched.audiences().as_slice() {
        [one] if one == room.audience.issuer.as_str() => attestation::login(room, &vouched),
        _ => Err(AssertionReason::Audience.into()),
    }
}

/// Whether a subject claims to be a SPIFFE ID; whether it is a good one is for the trust rules to say.
pub(super) fn is_spiffe_id(sub: &str) -> bool {
    sub.get(..9).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe://"))
}

/// The SPIFFE ID that was vouched for.
pub(super) fn id_of(vouched: &VerifiedAssertion) -> Option<SpiffeId> {
    vouched.claims().text("sub").ok().flatten().and_then(|sub| SpiffeId::parse(&sub).ok())
}

/// Every pattern that matches the SPIFFE ID `id`: itself, and each path above it followed by `/*`
/// (draft-ietf-oauth-spiffe-client-auth §4.1), as [`crate::trust::SpiffePattern`] displays them.
pub(super) fn patterns(id: &SpiffeId) -> impl Iterator<Item = Cow<'_, str>> {
    let (text, path_at) = (id.as_str(), id.as_str().len() - id.path().len());
    let above = text.rmatch_indices('/').map(|(at, _)| at).take_while(move |at| *at >= path_at);
    let below = above.filter_map(|at| text.get(..at)).map(|parent| Cow::Owned(format!("{parent}/*")));
    std::iter::once(Cow::Borrowed(text)).chain(below)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use proptest::prelude::*;

    use super::*;
    use crate::trust::SpiffePattern;

    fn found(pattern: &str, id: &SpiffeId) -> bool {
        patterns(id).any(|text| text == SpiffePattern::parse(pattern).unwrap().to_string())
    }

    #[test]
    fn patterns_are_the_id_and_every_path_above_it() {
        let id = SpiffeId::parse("spiffe://acme.example/workloads/a").unwrap();
        let all: Vec<_> = patterns(&id).collect();
        assert_eq!(all, ["spiffe://acme.example/workloads/a", "spiffe://acme.example/workloads/*", "spiffe://acme.example/*"]);
    }

    /// Negative test 32.
    #[test]
    fn a_star_stands_for_whole_segments_below() {
        let found = |path: &str| {
            let id = SpiffeId::parse(&format!("spiffe://acme.example{path}")).unwrap();
            found("spiffe://acme.example/workloads/*", &id)
        };
        assert!(found("/workloads/a") && found("/workloads/a/b"));
        assert!(
            !found("/workloadsX") && !found("/workloads") && !found("/workloadsX/a") && !found("/x/workloads/a") && !found("")
        );
    }

    proptest! {
        #[test]
        fn the_index_finds_what_the_pattern_matches(pattern in "spiffe://t(/[ab]){0,2}(/\\*)?", id in "spiffe://t(/[ab]){0,3}") {
            let id = SpiffeId::parse(&id).unwrap();
            prop_assert_eq!(found(&pattern, &id), SpiffePattern::parse(&pattern).unwrap().matches(&id));
        }
    }
}
