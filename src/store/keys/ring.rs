//! `keyring.json`: the signing keys, and the time at which each signs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files::KeyFolder;
use super::reason::KeyFilesReason;
use super::role::RING;
use super::sum;
use crate::jose::Algorithm;
use crate::oauth::Time;

const VERSION: u32 = 1;

/// So many that were destroyed are still listed.
const DESTROYED_MAX: usize = 64;

/// The keys in the order in which they were made. A ring written by a later version is refused, lest what we do not know be lost.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ring {
    version: u32,
    signing: Vec<RingEntry>,
}

/// One signing key. Times are whole seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RingEntry {
    /// The RFC 7638 thumbprint of its public half.
    pub kid: String,
    alg: String,
    created: i64,
    signs_from: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retires: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destroyed: Option<i64>,
}

impl RingEntry {
    pub(super) fn new(kid: &str, algorithm: Algorithm, created: Time, signs_from: Time) -> Self {
        let alg = algorithm.name().to_owned();
        Self {
            kid: kid.to_owned(),
            alg,
            created: created.seconds(),
            signs_from: signs_from.seconds(),
            retires: None,
            revoked: None,
            destroyed: None,
        }
    }

    /// The algorithm it signs by.
    pub fn algorithm(&self) -> Algorithm {
        Algorithm::parse(&self.alg).unwrap_or(Algorithm::ES256)
    }

    /// The time at which it was made and first published.
    pub fn created(&self) -> Time {
        Time::from_seconds(self.created)
    }

    /// The time from which it signs.
    pub fn signs_from(&self) -> Time {
        Time::from_seconds(self.signs_from)
    }

    /// The time from which it is published no longer, once another has been made to follow it.
    pub fn retires(&self) -> Option<Time> {
        self.retires.map(Time::from_seconds)
    }

    /// The time at which it was revoked.
    pub fn revoked(&self) -> Option<Time> {
        self.revoked.map(Time::from_seconds)
    }

    /// True when its private half is no more: it is listed only.
    pub fn is_destroyed(&self) -> bool {
        self.destroyed.is_some()
    }

    /// True where a key of this age is to be followed by another at `now`.
    pub(super) fn is_due(&self, after: Duration, now: Time) -> bool {
        self.retires.is_none() && self.created().plus(after) <= now
    }

    pub(super) fn is_retired(&self, now: Time) -> bool {
        self.retires().is_some_and(|retires| retires <= now)
    }

    /// A `kid` is a file's name; this one cannot leave the folder.
    fn is_sound(&self) -> bool {
        let legible = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        self.kid.len() == 43 && self.kid.bytes().all(legible) && Algorithm::parse(&self.alg).is_some()
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self { version: VERSION, signing: Vec::new() }
    }
}

impl Ring {
    pub(super) fn read(folder: &KeyFolder) -> Result<Self, KeyFilesReason> {
        let ring: Option<Self> = sum::without(&folder.read(RING)?);
        let sound = |ring: &Self| ring.version == VERSION && ring.signing.iter().all(RingEntry::is_sound);
        ring.filter(sound).ok_or_else(|| KeyFilesReason::Malformed(folder.path(RING)))
    }

    pub(super) fn write(&self, folder: &KeyFolder) -> Result<(), KeyFilesReason> {
        let text = sum::with(self).ok_or_else(|| KeyFilesReason::Malformed(folder.path(RING)))?;
        folder.write(RING, text.as_bytes())
    }

    /// Those whose private half is there.
    pub(super) fn entries(&self) -> impl Iterator<Item = &RingEntry> {
        self.all().filter(|entry| !entry.is_destroyed())
    }

    /// All that are listed.
    pub(super) fn all(&self) -> impl Iterator<Item = &RingEntry> {
        self.signing.iter()
    }

    pub(super) fn has(&self, algorithm: Algorithm) -> bool {
        self.entries().any(|entry| entry.algorithm() == algorithm)
    }

    pub(super) fn add(&mut self, entry: RingEntry) {
        self.signing.push(entry);
    }

    /// Sets when the keys of `algorithm` retire, where that is not set.
    pub(super) fn retire(&mut self, algorithm: Algorithm, at: Time) {
        let unset = |entry: &&mut RingEntry| entry.algorithm() == algorithm && entry.retires.is_none();
        self.signing.iter_mut().filter(unset).for_each(|entry| entry.retires = Some(at.seconds()));
    }

    /// Marks the keys as destroyed that were retired at `before`. Returns them.
    pub(super) fn destroy_retired(&mut self, before: Time, now: Time) -> Vec<RingEntry> {
        let gone = self.signing.iter_mut().filter(|entry| !entry.is_destroyed() && entry.is_retired(before));
        let gone = gone.map(|entry| {
            entry.destroyed = Some(now.seconds());
            entry.clone()
        });
        let gone = gone.collect();
        let mut surplus = self.signing.iter().filter(|entry| entry.is_destroyed()).count().saturating_sub(DESTROYED_MAX);
        self.signing.retain(|entry| {
            let goes = entry.is_destroyed() && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
        gone
    }

    /// Marks the key `kid` as revoked and destroyed. Of its algorithm the next key signs from `now` on, if there is one. Returns
    /// the key as it is listed from now on; none where it is not listed.
    pub(super) fn revoke(&mut self, kid: &str, now: Time) -> Option<RingEntry> {
        let entry = self.signing.iter_mut().find(|entry| entry.kid == kid)?;
        let at = Some(now.seconds());
        (entry.revoked, entry.destroyed) = (entry.revoked.or(at), entry.destroyed.or(at));
        let (revoked, algorithm) = (entry.clone(), entry.algorithm());
        let next = self.signing(algorithm, now).map(|entry| entry.kid.clone());
        let next = self.signing.iter_mut().find(|entry| Some(&entry.kid) == next.as_ref());
        if let Some(next) = next {
            next.signs_from = next.signs_from.min(now.seconds());
        }
        Some(revoked)
    }

    pub(super) fn signing(&self, algorithm: Algorithm, now: Time) -> Option<&RingEntry> {
        let known = || self.entries().filter(move |entry| entry.algorithm() == algorithm && !entry.is_retired(now));
        let ready = known().filter(|entry| entry.signs_from() <= now);
        ready.max_by_key(|entry| (entry.signs_from, entry.created)).or_else(|| known().min_by_key(|entry| entry.signs_from))
    }
}
