//! The certificates, authorities and keys of logins that run out by themselves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::AuthMethod;
use crate::diagnostic::SourceLocation;
use crate::oauth::Time;

/// The time before its end from which a key or certificate is told to be near it.
pub const NEAR: Duration = Duration::from_hours(30 * 24);

/// A key or certificate of a login that has an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// The kind of key or certificate.
    pub kind: DatedKind,
    /// The login that goes by it.
    pub login: AuthMethod,
    /// Its name: SHA-256 of a certificate in base64url, the issuer of a revocation list, the `kid` of a key or its
    /// number in the set.
    pub name: String,
    /// The file that holds it, or what else does.
    pub held_by: Arc<str>,
    /// The line of the configuration that names it.
    pub place: SourceLocation,
    /// The last instant at which it counts.
    pub not_after: Time,
}

/// The kinds of things that have an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatedKind {
    /// A certificate that is registered as it is.
    Certificate,
    /// A certificate of who issues certificates.
    Authority,
    /// The list by which an authority takes certificates back: from its end on nobody logs in by one of them.
    RevocationList,
    /// A JWK with `exp`. RFC 7517 has no such member; OpenID Federation has.
    Key,
}

/// How near something is to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExpiryState {
    /// It ends within [`NEAR`].
    Near,
    /// It has ended.
    Expired,
}

impl ExpiryState {
    /// How near `not_after` is at `now`; none where that is further away than [`NEAR`].
    pub fn of(not_after: Time, now: Time) -> Option<Self> {
        match (now > not_after, now.plus(NEAR) >= not_after) {
            (true, _) => Some(Self::Expired),
            (_, true) => Some(Self::Near),
            _ => None,
        }
    }
}

impl Dated {
    /// How near its end it is at `now`. A revocation list is made for days, so that only its end is told.
    pub fn expiry(&self, now: Time) -> Option<ExpiryState> {
        let told = ExpiryState::of(self.not_after, now);
        told.filter(|expiry| *expiry == ExpiryState::Expired || self.kind != DatedKind::RevocationList)
    }
}

impl DatedKind {
    /// As told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Authority => "authority",
            Self::RevocationList => "revocation list",
            Self::Key => "key",
        }
    }
}

/// `certificate 4Dt… in agent.pem`.
impl fmt::Display for Dated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} in {}", self.kind.as_str(), self.name, self.held_by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_revocation_list_only_the_end_is_told() {
        let end = Time::from_seconds(1_800_000_000);
        let dated = |kind| Dated {
            kind,
            login: AuthMethod::TlsClientAuth,
            name: "CN=root".to_owned(),
            held_by: "ca.crl".into(),
            place: SourceLocation::default(),
            not_after: end,
        };
        let (list, authority) = (dated(DatedKind::RevocationList), dated(DatedKind::Authority));
        assert_eq!((list.expiry(end), authority.expiry(end)), (None, Some(ExpiryState::Near)));
        assert_eq!(list.expiry(end.plus(Duration::from_secs(1))), Some(ExpiryState::Expired));
    }

    #[test]
    fn near_is_thirty_days_and_the_last_instant_still_counts() {
        let end = Time::from_seconds(1_800_000_000);
        let at = |seconds: i64| ExpiryState::of(end, Time::from_seconds(1_800_000_000 + seconds));
        assert_eq!([at(-30 * 86_400 - 1), at(-30 * 86_400)], [None, Some(ExpiryState::Near)]);
        assert_eq!([at(0), at(1)], [Some(ExpiryState::Near), Some(ExpiryState::Expired)]);
    }
}
