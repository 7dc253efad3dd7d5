#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use std::error::Error;

use crate::client::fixture::{KEY, Sent, World, good_claims, no_trust, own_key, secret, signed};
use crate::client::{AssertionReason, ClientReason};
use crate::jose::JoseReason;
use crate::trust::{PlatformReason, TrustReason};

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
        ClientReason::Trust(TrustReason::Audience.into()),
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

/// A workload that trades its own attestation learns of it what it would learn where it sends it as `client_assertion`.
#[test]
fn an_attestation_is_refused_for_the_same_reason_whichever_parameter_it_came_in() {
    let reasons: [fn() -> ClientReason; 12] = [
        || ClientReason::Jose(JoseReason::Parts),
        || ClientReason::Trust(TrustReason::Issuer.into()),
        || ClientReason::Trust(TrustReason::Expired.into()),
        || ClientReason::Trust(TrustReason::Early.into()),
        || ClientReason::Trust(TrustReason::Lifetime.into()),
        || ClientReason::Trust(TrustReason::Audience.into()),
        || ClientReason::Trust(TrustReason::Requirement.into()),
        || ClientReason::Trust(TrustReason::Platform(PlatformReason::PullRequest).into()),
        || ClientReason::Assertion(AssertionReason::AttestationAudience),
        || ClientReason::NoAgent,
        || ClientReason::SeveralAgents,
        || ClientReason::ClientIdDiffers,
    ];
    for reason in reasons {
        let (asserted, traded) = (reason().to_string(), ClientReason::MissingAttestation(Box::new(reason())).to_string());
        let told = asserted.strip_prefix("client_assertion: ").unwrap_or(&asserted);
        let expected = format!("client authentication is required; subject_token does not log in its workload: {told}");
        assert_eq!(traded, expected);
        assert!(traded.len() < 300 && !traded.contains("client_assertion"), "{traded}");
    }
}

#[test]
fn the_cause_goes_to_the_log() {
    let missing = ClientReason::MissingAttestation(Box::new(ClientReason::Trust(TrustReason::Expired.into())));
    let cause = missing.source().and_then(Error::source).unwrap();
    assert_eq!(cause.to_string(), TrustReason::Expired.to_string());
    assert_eq!(ClientReason::Unproven(JoseReason::Signature).to_string(), ClientReason::Stranger.to_string());
}
