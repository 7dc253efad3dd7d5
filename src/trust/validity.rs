//! When a token is current (RFC 7519 §4.1.4 to §4.1.6).

use std::time::Duration;

use super::TrustReason;
use crate::jose::Object;
use crate::oauth::Time;

/// How far ahead of ours another's clock may be: `iat` and `nbf` only. An `exp` is never stretched.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The times of a token that is current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) expires: Time,
    pub(super) issued_at: Option<Time>,
}

impl Validity {
    /// Reads `exp`, `nbf` and `iat` and holds them against `now` and the longest lifetime allowed.
    pub(super) fn read(claims: &Object, now: Time, lifetime_max: Duration) -> Result<Self, TrustReason> {
        let expires = claims.date("exp")?.ok_or(TrustReason::NoExpiry)?;
        if expires <= now {
            return Err(TrustReason::Expired);
        }
        let (issued_at, not_before) = (claims.date("iat")?, claims.date("nbf")?);
        if [issued_at, not_before].into_iter().flatten().any(|time| time > now.plus(CLOCK_SKEW)) {
            return Err(TrustReason::Early);
        }
        // Without iat the lifetime cannot be known; what is left of it must at least be within bounds.
        let from = issued_at.unwrap_or(now);
        if expires.since(from) > lifetime_max { Err(TrustReason::Lifetime) } else { Ok(Self { expires, issued_at }) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    const NOW: Time = Time::from_seconds(1_000_000);

    fn read(claims: &str) -> Result<Validity, TrustReason> {
        Validity::read(&Object::parse(claims).unwrap(), NOW, Duration::from_secs(3600))
    }

    /// Negative test 27.
    #[test]
    fn bounds_are_exact() {
        for (claims, reason) in [
            (r#"{"iat":999999}"#, Some(TrustReason::NoExpiry)),
            (r#"{"exp":1000000}"#, Some(TrustReason::Expired)),
            (r#"{"exp":999999.999}"#, Some(TrustReason::Expired)),
            (r#"{"exp":1000000.5}"#, None),
            (r#"{"exp":1000001}"#, None),
            (r#"{"exp":1000100,"iat":1000010}"#, None),
            (r#"{"exp":1000100,"iat":1000060}"#, None),
            (r#"{"exp":1000100,"iat":1000061}"#, Some(TrustReason::Early)),
            (r#"{"exp":1000100,"nbf":1000060}"#, None),
            (r#"{"exp":1000100,"nbf":1000061}"#, Some(TrustReason::Early)),
            (r#"{"exp":1000001,"iat":996401}"#, None),
            (r#"{"exp":1000002,"iat":996401}"#, Some(TrustReason::Lifetime)),
            (r#"{"exp":1003600}"#, None),
            (r#"{"exp":1003601}"#, Some(TrustReason::Lifetime)),
        ] {
            assert_eq!(read(claims).err(), reason, "{claims}");
        }
        for claims in [r#"{"exp":"1000001"}"#, r#"{"exp":null}"#, r#"{"exp":1e400}"#, r#"{"exp":99999999999999999999}"#] {
            assert!(matches!(read(claims), Err(TrustReason::Jose(_))), "{claims}");
        }
        assert!(matches!(read(r#"{"exp":1000001,"nbf":"0"}"#), Err(TrustReason::Jose(_))));
    }
}
