//! Exchanges that were not needed: asked for again while the token of the last one was still good. Some clients renew long before
//! a token ends, or never keep one; the count shows it.

use std::fmt::Write;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::oauth::Time;
use crate::request::Form;

/// As many requests are remembered; one more takes the place of another, so that some repeats are missed and none is made up but
/// by a collision of 32 bits.
const PLACES: usize = 4_096;

/// A token that ends within so many seconds is renewed in good time.
const RENEWED_IN_TIME: i64 = 30;

/// The parameters that say what is asked for, and from what.
const ASKED: [&str; 6] = ["subject_token", "assertion", "actor_token", "resource", "audience", "scope"];

/// Of each value so much of the end is looked at: that of a token is its signature.
const END: usize = 64;

/// The requests that were granted lately, each as 32 bits of a keyed hash and the second in which its token ends.
pub(super) struct Repeats {
    places: Box<[AtomicU64]>,
    hash: RandomState,
    counted: AtomicU64,
}

impl Default for Repeats {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self { places, hash: RandomState::new(), counted: AtomicU64::new(0) }
    }
}

impl Repeats {
    /// Counts the request of `form`, granted at `now` for `expires_in` seconds, where its like is still good. One that presents
    /// no token is not looked at.
    pub(super) fn granted(&self, form: &Form, now: Time, expires_in: i64) {
        if form.get("subject_token").or(form.get("assertion")).is_none() {
            return;
        }
        let hash = self.hash_of(form);
        let Some(place) = usize::try_from(hash).ok().and_then(|hash| self.places.get(hash % PLACES)) else { return };
        let tag = hash >> 32 << 32;
        let ends = u32::try_from(now.seconds().saturating_add(expires_in)).unwrap_or(u32::MAX);
        let known = place.swap(tag | u64::from(ends), Ordering::Relaxed);
        let still_good = i64::try_from(known & u64::from(u32::MAX)).is_ok_and(|ends| ends > now.seconds() + RENEWED_IN_TIME);
        if known >> 32 << 32 == tag && still_good {
            self.counted.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn hash_of(&self, form: &Form) -> u64 {
        let mut hasher = self.hash.build_hasher();
        for name in ASKED {
            for value in form.all(name) {
                hasher.write(name.as_bytes());
                hasher.write(value.as_bytes().get(value.len().saturating_sub(END)..).unwrap_or_default());
                hasher.write_u8(0xff);
            }
        }
        hasher.finish()
    }

    /// The text to scrape.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("# TYPE countersign_exchanges_repeated_total counter\n");
        let _ = writeln!(text, "countersign_exchanges_repeated_total {}", self.counted.load(Ordering::Relaxed));
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::time::Duration;

    use super::*;

    const NOW: Time = Time::from_seconds(1_795_176_000);

    #[test]
    fn what_is_asked_for_again_before_it_ends_is_counted() {
        let repeats = Repeats::default();
        let ask = |form: &str, after: u64| {
            let before = repeats.counted.load(Ordering::Relaxed);
            repeats.granted(&Form::decode(form.as_bytes(), 64).unwrap(), NOW.plus(Duration::from_secs(after)), 300);
            repeats.counted.load(Ordering::Relaxed) - before
        };
        let form = "subject_token=a.b.c&resource=https://crm.example&scope=contacts.read";
        assert_eq!(ask(form, 0), 0);
        assert_eq!(
            ask(&format!("{form}&client_assertion=other"), 10),
            1,
            "whoever logs in by another assertion asks for the same"
        );
        assert_eq!(ask(&form.replace("a.b.c", "a.b.d"), 11), 0, "another token");
        assert_eq!(ask(&form.replace("read", "write"), 12), 0, "another scope");
        assert_eq!(ask(&form.replace("crm", "mail"), 13), 0, "another target");
        assert_eq!(ask(form, 10 + 300 - 30), 0, "renewed in time");
        assert_eq!(ask("scope=a&grant_type=client_credentials", 0) + ask("scope=a&grant_type=client_credentials", 1), 0);
        assert!(repeats.text().ends_with("countersign_exchanges_repeated_total 1\n"));
    }
}
