//! Nonces for DPoP proofs (RFC 9449 §8), and challenges for the proofs of client attestations
//! (draft-ietf-oauth-attestation-based-client-auth §6): no state, a new one every half minute, and known to every replica with
//! the same key.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::MacKey;
use crate::oauth::Time;

/// A new nonce begins every so many seconds.
const SLOT_SECONDS: i64 = 30;

/// As many slots after its own a nonce is still accepted: it counts for two and a half to three minutes.
const SLOTS: i64 = 5;

/// Bound into every nonce, so that the key's other uses never make one.
const PURPOSE: &str = "dpop nonce v1";

/// Bound into every challenge, so that none is a nonce.
const CHALLENGE: &str = "attestation challenge v1";

/// Makes nonces and knows them again: a nonce is the number of its half minute and a MAC over that.
#[derive(Clone, Debug)]
pub struct Nonces {
    key: MacKey,
    purpose: &'static str,
}

/// The standing of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Worth {
    /// It is ours, and counts until then.
    Until(Time),
    /// It is ours, but counts no longer, or not yet.
    Over,
    /// It is none of ours.
    Nothing,
}

impl Nonces {
    /// Nonces under `key`.
    pub fn new(key: MacKey) -> Self {
        Self { key, purpose: PURPOSE }
    }

    /// Challenges under `key`.
    pub fn of_challenges(key: MacKey) -> Self {
        Self { key, purpose: CHALLENGE }
    }

    /// The nonce of the present.
    pub fn current(&self, now: Time) -> String {
        self.at(slot(now))
    }

    /// The standing of `nonce` at `now`.
    pub(in crate::client) fn worth(&self, nonce: &str, now: Time) -> Worth {
        let Some((at, number, mac)) = parts(nonce) else { return Worth::Nothing };
        if !self.key.verifies(self.purpose, &number, &mac) {
            return Worth::Nothing;
        }
        // One ahead: the clocks of two replicas differ.
        match slot(now).checked_sub(at).is_some_and(|slots| (-1..=SLOTS).contains(&slots)) {
            true => Worth::Until(Time::from_seconds((at + SLOTS + 1) * SLOT_SECONDS)),
            false => Worth::Over,
        }
    }

    /// How long a nonce counts at most, and its `jti`s are remembered.
    pub const fn lifetime() -> Duration {
        Duration::from_secs((SLOT_SECONDS * (SLOTS + 1)).unsigned_abs())
    }

    fn at(&self, slot: i64) -> String {
        let number = slot.to_be_bytes();
        URL_SAFE_NO_PAD.encode([number.as_slice(), &self.key.tag(self.purpose, &number)].concat())
    }
}

/// The number of its half minute, the same in bytes, and the MAC.
fn parts(nonce: &str) -> Option<(i64, [u8; 8], [u8; 16])> {
    let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
    let (number, mac) = bytes.split_first_chunk()?;
    Some((i64::from_be_bytes(*number), *number, mac.try_into().ok()?))
}

fn slot(time: Time) -> i64 {
    time.seconds().div_euclid(SLOT_SECONDS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "tests fail by panicking")]
    use super::*;

    const NOW: Time = Time::from_seconds(1_800_000_000);

    fn nonces(secret: u8) -> Nonces {
        Nonces::new(MacKey::new(&[secret; 32]))
    }

    #[test]
    fn a_nonce_counts_for_its_time_with_every_replica_and_with_nobody_else() {
        let nonce = nonces(1).current(NOW);
        let expires = NOW.plus(Nonces::lifetime());
        assert_eq!(nonces(1).worth(&nonce, NOW), Worth::Until(expires));
        assert_eq!(nonces(1).worth(&nonce, Time::from_millis(expires.millis() - 1)), Worth::Until(expires));
        assert_eq!(nonces(1).worth(&nonce, expires), Worth::Over);
        assert_eq!([nonces(2).worth(&nonce, NOW), nonces(2).worth(&nonce, expires)], [Worth::Nothing; 2]);
        assert_ne!(nonce, nonces(1).current(NOW.plus(Duration::from_secs(30))));
        assert_eq!(nonce, nonces(1).current(NOW.plus(Duration::from_secs(29))));
        // A replica whose clock is half a minute behind takes it too, but no nonce of the future beyond that.
        assert_eq!(nonces(1).worth(&nonce, Time::from_seconds(NOW.seconds() - 30)), Worth::Until(expires));
        assert_eq!(nonces(1).worth(&nonce, Time::from_seconds(NOW.seconds() - 31)), Worth::Over);
    }

    #[test]
    fn what_is_no_nonce_of_ours_is_none() {
        let nonce = nonces(1).current(NOW);
        let mut changed = URL_SAFE_NO_PAD.decode(&nonce).unwrap();
        let all_changes = (0..changed.len() * 8).map(|bit| {
            changed[bit / 8] ^= 1 << (bit % 8);
            let text = URL_SAFE_NO_PAD.encode(&changed);
            changed[bit / 8] ^= 1 << (bit % 8);
            text
        });
        let short = nonce[..31].to_owned();
        let extremes = [i64::MIN, i64::MAX, -1, 0].map(|slot| nonces(1).at(slot));
        for bad in all_changes.chain([String::new(), short, format!("{nonce}="), format!("{nonce}AAAA")]) {
            assert_eq!(nonces(1).worth(&bad, NOW), Worth::Nothing, "{bad}");
        }
        for over in extremes {
            assert_eq!(nonces(1).worth(&over, NOW), Worth::Over, "{over}");
        }
    }

    #[test]
    fn a_nonce_is_made_of_the_characters_that_the_rfc_allows() {
        // RFC 9449 §8.1: NQCHAR.
        assert!(nonces(1).current(NOW).bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
    }
}
