//! A client that asks for itself and shows no token (RFC 6749 §4.4): its login is all there is to say of it.

use std::time::Duration;

use super::{Authentication, Origin, VerifiedSubject};
use crate::client::AuthenticatedClient;
use crate::oauth::{ActChain, Subject, Time};

/// Longer than any token may live, for a login that says no end.
const BEYOND: Duration = Duration::from_hours(24 * 365);

/// The client as its own subject. Nothing that is issued on it lives longer than the attestation that logged it in, where one
/// did; a client assertion is no such bound.
pub fn client_itself(client: &AuthenticatedClient, now: Time) -> VerifiedSubject {
    let attested = client.attested();
    VerifiedSubject {
        subject: Subject::agent(&client.agent().id),
        origin: Origin::Client { rule: attested.and_then(|known| known.subject.rule().cloned()) },
        chain: ActChain::default(),
        may_act: None,
        issued: client.issued().unwrap_or(now),
        expires: attested.map_or(now.plus(BEYOND), |known| known.expires),
        authentication: Authentication::default(),
        attributes: Vec::new(),
        scope_limit: None,
        digest: None,
        confirmation: None,
        review: None,
        single_use: None,
    }
}
