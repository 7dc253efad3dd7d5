//! The keys of the ledger: Ed25519 keys as PKCS#8 in PEM, listed in `ledger.json` beside the ring of signing keys.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files::KeyFolder;
use super::reason::KeyFilesReason;
use super::role::{KeyCheck, KeyRole, LEDGER_RING, OWNER};
use super::sum;
use crate::crypto::SignKey;
use crate::ledger::record::KeyEvent;
use crate::ledger::{KeyName, NoteSigner, NoteVerifier};
use crate::oauth::Time;

/// How long an old key goes on signing beside the one that follows it, so that whoever verifies has time to learn the new one.
pub const LEDGER_OVERLAP: Duration = Duration::from_hours(30 * 24);

const VERSION: u32 = 1;

/// The ledger's keys of one folder.
pub struct LedgerKeys {
    folder: KeyFolder,
    ring: LedgerRing,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct LedgerRing {
    version: u32,
    keys: Vec<LedgerKey>,
}

/// One key of the ledger. Times are whole seconds since the epoch. It stays listed for ever: what it signed is to be verified.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerKey {
    /// The verifier key in its standard form; it names the log.
    pub vkey: String,
    created: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retires: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<i64>,
}

impl LedgerKey {
    /// The time at which it was made.
    pub fn created(&self) -> Time {
        Time::from_seconds(self.created)
    }

    /// The time from which it signs no longer, once another has been made to follow it.
    pub fn retires(&self) -> Option<Time> {
        self.retires.map(Time::from_seconds)
    }

    /// The time at which it was revoked: what it alone signed after the last checkpoint before is worth nothing.
    pub fn revoked(&self) -> Option<Time> {
        self.revoked.map(Time::from_seconds)
    }

    fn signs(&self, now: Time) -> bool {
        self.revoked.is_none() && self.retires().is_none_or(|retires| retires > now)
    }

    fn verifier(&self) -> Option<NoteVerifier> {
        NoteVerifier::parse(&self.vkey).ok()
    }
}

impl LedgerKeys {
    /// The ledger's keys in `dir`, a key folder that was made before. The log `origin` gets its first key here.
    ///
    /// # Errors
    /// See [`KeyFilesReason`].
    pub fn open_or_create(dir: &Path, origin: &KeyName, now: Time) -> Result<Self, KeyFilesReason> {
        let mut keys = Self::open(dir)?;
        if keys.of(origin).next().is_none() {
            let folder = keys.folder.clone();
            let _lock = folder.lock()?;
            keys = Self::read(folder.clone())?;
            if keys.of(origin).next().is_none() {
                keys.add(origin, now)?;
            }
        }
        if !sum::is_in(&keys.folder.read(LEDGER_RING)?) {
            keys.write()?;
        }
        Ok(keys)
    }

    /// The ledger's keys in `dir`; none before the first start.
    ///
    /// # Errors
    /// See [`KeyFilesReason`].
    pub fn open(dir: &Path) -> Result<Self, KeyFilesReason> {
        Self::read(KeyFolder::open(dir)?)
    }

    /// Makes a key that signs from now on. Those before it sign beside it for [`LEDGER_OVERLAP`] more; the private halves of
    /// those whose time is over are destroyed.
    ///
    /// # Errors
    /// See [`KeyFilesReason`]. The keys on disk are then those of before, or already those of after.
    pub fn rotate(&mut self, origin: &KeyName, now: Time) -> Result<LedgerKey, KeyFilesReason> {
        let folder = self.folder.clone();
        let _lock = folder.lock()?;
        *self = Self::read(folder.clone())?;
        let until = now.plus(LEDGER_OVERLAP).seconds();
        let theirs = |key: &&mut LedgerKey| key.verifier().is_some_and(|verifier| verifier.name() == origin);
        self.ring.keys.iter_mut().filter(theirs).for_each(|key| key.retires = key.retires.or(Some(until)));
        let added = self.add(origin, now)?;
        let retired = self.ring.keys.iter().filter(|key| !key.signs(now)).filter_map(LedgerKey::verifier);
        for verifier in retired {
            folder.remove(&pem_name(&verifier))?;
        }
        Ok(added)
    }

    /// Revokes the key `vkey`: it signs no more from now on, another does, made at once if there is none, and its private half is
    /// destroyed. It stays listed. Returns the key that signs.
    ///
    /// # Errors
    /// `Unknown` when it is none of this folder's. See [`KeyFilesReason`] for others.
    pub fn revoke(&mut self, vkey: &str, now: Time) -> Result<LedgerKey, KeyFilesReason> {
        let folder = self.folder.clone();
        let _lock = folder.lock()?;
        *self = Self::read(folder.clone())?;
        let unknown = || KeyFilesReason::Unknown(folder.path(LEDGER_RING), vkey.to_owned());
        let key = self.ring.keys.iter_mut().find(|key| key.vkey == vkey).ok_or_else(unknown)?;
        let verifier = key.verifier().ok_or_else(unknown)?;
        key.revoked = key.revoked.or(Some(now.seconds()));
        let next = self.of(verifier.name()).map(|(key, _)| key).rfind(|key| key.signs(now)).cloned();
        let next = match next {
            Some(next) => self.write().map(|()| next)?,
            None => self.add(verifier.name(), now)?,
        };
        folder.remove(&pem_name(&verifier))?;
        Ok(next)
    }

    /// The check values of all that are listed.
    pub(super) fn checks(&self) -> impl Iterator<Item = KeyCheck> {
        self.ring.keys.iter().map(|key| KeyCheck { of: KeyRole::Ledger, id: key.vkey.clone() })
    }

    /// All that are listed, each with the newest event in its life at `now`.
    pub(super) fn events(&self, now: Time) -> impl Iterator<Item = (KeyCheck, KeyEvent)> {
        self.checks().zip(&self.ring.keys).map(move |(check, key)| match key.revoked {
            Some(_) => (check, KeyEvent::Revoke),
            None if key.signs(now) => (check, KeyEvent::Begin),
            None => (check, KeyEvent::Retire),
        })
    }

    /// Those that sign for the log `origin` at `now`, parsed.
    ///
    /// # Errors
    /// `Missing` when a private half is not there; it is never made anew.
    pub fn signers(&self, origin: &KeyName, now: Time) -> Result<Vec<NoteSigner>, KeyFilesReason> {
        let signing = self.of(origin).filter(|(key, _)| key.signs(now));
        signing.map(|(_, verifier)| self.signer(&verifier)).collect()
    }

    /// The number of the newest log that follows the log `base` and has a key; 0 where none does.
    pub fn newest_log(&self, base: &KeyName) -> u64 {
        let names = self.ring.keys.iter().filter_map(LedgerKey::verifier);
        names.filter_map(|verifier| verifier.name().restored_from(base)).max().unwrap_or(0)
    }

    /// The name of every log that a key is listed for.
    pub fn origins(&self) -> Vec<KeyName> {
        let mut names: Vec<KeyName> = self.ring.keys.iter().filter_map(|key| Some(key.verifier()?.name().clone())).collect();
        names.dedup();
        names
    }

    /// Those that ever signed for the log `origin`, the oldest first.
    pub fn verifiers(&self, origin: &KeyName) -> Vec<NoteVerifier> {
        self.of(origin).map(|(_, verifier)| verifier).collect()
    }

    /// The same without those that were revoked, whose signature alone shows nothing any more.
    pub fn unrevoked(&self, origin: &KeyName) -> Vec<NoteVerifier> {
        self.of(origin).filter(|(key, _)| key.revoked.is_none()).map(|(_, verifier)| verifier).collect()
    }

    /// The entry of each key, the oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &LedgerKey> {
        self.ring.keys.iter()
    }

    fn of<'a>(&'a self, origin: &'a KeyName) -> impl DoubleEndedIterator<Item = (&'a LedgerKey, NoteVerifier)> {
        let verifiers = self.ring.keys.iter().filter_map(|key| Some((key, key.verifier()?)));
        verifiers.filter(move |(_, verifier)| verifier.name() == origin)
    }

    fn signer(&self, verifier: &NoteVerifier) -> Result<NoteSigner, KeyFilesReason> {
        let name = pem_name(verifier);
        let malformed = || KeyFilesReason::Malformed(self.folder.path(&name));
        let text = self.folder.read_listed(&name, LEDGER_RING)?;
        let key = SignKey::from_pem(&text).map_err(|_| malformed())?;
        // Other bytes may say the same; but they are not those that were written.
        let same = key.to_pem().is_ok_and(|written| *written == *text);
        let signer = NoteSigner::new(verifier.name().clone(), key);
        if same && signer.id() == verifier.id() { Ok(signer) } else { Err(malformed()) }
    }

    /// The private half is durable before the ring names it.
    fn add(&mut self, origin: &KeyName, now: Time) -> Result<LedgerKey, KeyFilesReason> {
        let key = SignKey::generate().map_err(|_| KeyFilesReason::Randomness)?;
        let pem = key.to_pem().map_err(|_| KeyFilesReason::Randomness)?;
        let verifier = NoteSigner::new(origin.clone(), key).verifier().map_err(|_| KeyFilesReason::Randomness)?;
        self.folder.write(&pem_name(&verifier), pem.as_bytes())?;
        let entry = LedgerKey { vkey: verifier.to_string(), created: now.seconds(), retires: None, revoked: None };
        self.ring.keys.push(entry.clone());
        self.write()?;
        Ok(entry)
    }

    fn write(&self) -> Result<(), KeyFilesReason> {
        let text = sum::with(&self.ring).ok_or_else(|| KeyFilesReason::Malformed(self.folder.path(LEDGER_RING)))?;
        self.folder.write(LEDGER_RING, text.as_bytes())
    }

    fn read(folder: KeyFolder) -> Result<Self, KeyFilesReason> {
        if !folder.has(LEDGER_RING) {
            folder.refuse_remains(LEDGER_RING, |name| is_ledger_pem(name) || name == OWNER)?;
            return Ok(Self { folder, ring: LedgerRing { version: VERSION, keys: Vec::new() } });
        }
        folder.refuse_writable()?;
        let ring = sum::without(&folder.read(LEDGER_RING)?);
        let sound = |ring: &LedgerRing| ring.version == VERSION && ring.keys.iter().all(|key| key.verifier().is_some());
        let ring = ring.filter(sound).ok_or_else(|| KeyFilesReason::Malformed(folder.path(LEDGER_RING)))?;
        Ok(Self { folder, ring })
    }
}

/// The id is made of hexadecimal digits only, so that the name cannot leave the folder.
fn pem_name(verifier: &NoteVerifier) -> String {
    format!("ledger-{:08x}.pem", u32::from_be_bytes(verifier.id()))
}

/// True for the name of a ledger key's private half.
pub(super) fn is_ledger_pem(name: &str) -> bool {
    name.strip_prefix("ledger-").is_some_and(|rest| rest.ends_with(".pem"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;
    use crate::store::KeyFiles;

    #[test]
    fn old_and_new_key_both_sign_for_a_while() {
        let dir = std::env::temp_dir().join(format!("countersign-ledger-keys-{}", std::process::id()));
        let (origin, start) = (KeyName::parse("log.example/ledger").unwrap(), Time::from_seconds(1_000_000));
        KeyFiles::open_or_create(&dir, &[], start).unwrap();
        let mut keys = LedgerKeys::open_or_create(&dir, &origin, start).unwrap();
        let again = LedgerKeys::open_or_create(&dir, &origin, start).unwrap();
        assert_eq!(keys.ring.keys, again.ring.keys);
        let first = keys.ring.keys[0].vkey.clone();
        let second = keys.rotate(&origin, start.plus(Duration::from_secs(5))).unwrap().vkey;
        let signing = |keys: &LedgerKeys, now: Time| {
            let signers = keys.signers(&origin, now).unwrap();
            signers.iter().map(|signer| signer.verifier().unwrap().to_string()).collect::<Vec<_>>()
        };
        let end = start.plus(Duration::from_secs(5)).plus(LEDGER_OVERLAP);
        assert_eq!(signing(&keys, Time::from_seconds(end.seconds() - 1)), [first.clone(), second.clone()]);
        assert_eq!(signing(&keys, end), std::slice::from_ref(&second));
        keys.rotate(&origin, end).unwrap();
        assert_eq!(keys.verifiers(&origin).len(), 3, "what the first key signed can still be verified");
        assert!(!keys.folder.has(&pem_name(&NoteVerifier::parse(&first).unwrap())));
        assert!(LedgerKeys::open(&dir).unwrap().verifiers(&KeyName::parse("other.example").unwrap()).is_empty());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
