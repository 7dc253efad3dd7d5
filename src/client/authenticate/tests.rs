#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use std::error::Error;

use crate::client::fixture::{KEY, Sent, World, good_claims, no_trust, own_key, secret, signed};
use crate::client::{AssertionReason, ClientReason};
use crate::jose::JoseReason;
use crate::trust::TrustReason;

fn world() -> World {
    World::new(no_trust()).agent("a", vec![own_key(&KEY), secret("s", true, true)])
}

/// RFC 6749 §2.3, negative test 31: two methods are refused even when both are good.
#[test]
fn two_methods_are_refused_even_when_both_are_good() {
    let assertion = || Sent::assertion(&signed(&KEY, &good_claims("a")));
    for one in [assertion(), Sent::secret("a", "s"), Sent::basic("a:s")] {
        assert!(world().try_login(&one).is_ok());
    }
    assert_eq!(world().refuses(&assertion().and(Sent::secret("a", "s"))), "Several");
    assert_eq!(world().refuses(&assertion().and(Sent::basic("a:s"))), "Several");
    assert_eq!(world().refuses(&Sent::secret("a", "s").and(Sent::basic("a:s"))), "Several");
    assert_eq!(world().refuses(&assertion().and(assertion())), r#"Repeated("client_assertion")"#);
}

#[test]
fn a_login_of_an_agent_that_is_not_registered_is_refused() {
    let mut world = world();
    world.agents.clear();
    assert_eq!(world.refuses(&Sent::assertion(&signed(&KEY, &good_claims("a")))), "Stranger");
}

/// RFC 6749 §5.2 restricts `error_description`; the sentences name what would help.
#[test]
fn every_sentence_is_fit_to_be_sent() {
    use AssertionReason as Claim;
    let claims = [
        Claim::Typ,
        Claim::Subject,
        Claim::Audience,
        Claim::AudienceOrEndpoint,
        Claim::AttestationAudience,
        Claim::ExpiryMissing,
        Claim::Expired,
        Claim::Lifetime,
        Claim::Ahead,
        Claim::JtiMissing,
        Claim::JtiLength,
        Claim::ClaimType("exp"),
    ];
    let others = [
        ClientReason::Missing,
        ClientReason::MissingAttestation(Box::new(ClientReason::NoAgent)),
        ClientReason::Several,
        ClientReason::Repeated("client_id"),
        ClientReason::Scheme,
        ClientReason::Secret,
        ClientReason::ClientIdMissing,
        ClientReason::ClientIdDiffers,
        ClientReason::AssertionType,
        ClientReason::AssertionMissing,
        ClientReason::Jose(JoseReason::Parts),
        ClientReason::Unproven(JoseReason::Signature),
        ClientReason::Stranger,
        ClientReason::SvidAsJwt,
        ClientReason::JwtAsSvid,
        ClientReason::Trust(TrustReason::Audience),
        ClientReason::KeysUnavailable(TrustReason::KeysUnavailable),
        ClientReason::NoAgent,
        ClientReason::SeveralAgents,
        ClientReason::Suspended,
        ClientReason::Retired,
    ];
    for reason in claims.into_iter().map(ClientReason::from).chain(others) {
        let text = reason.to_string();
        assert!(text.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'), "{text}");
        assert!(text.starts_with(|first: char| first.is_ascii_lowercase()) && !text.ends_with('.') && text.len() < 250, "{text}");
    }
}

#[test]
fn the_cause_goes_to_the_log_and_not_into_the_sentence() {
    let missing = ClientReason::MissingAttestation(Box::new(ClientReason::Trust(TrustReason::Expired)));
    assert_eq!(missing.to_string(), ClientReason::Missing.to_string());
    let cause = missing.source().and_then(Error::source).unwrap();
    assert_eq!(cause.to_string(), TrustReason::Expired.to_string());
    assert_eq!(ClientReason::Unproven(JoseReason::Signature).to_string(), ClientReason::Stranger.to_string());
}
