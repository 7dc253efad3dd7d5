//! Our own keys on disk: signing keys as PKCS#8 in PEM, listed in `keyring.json`, and three secrets.

mod files;
mod ledger;
mod owner;
mod ring;
mod sum;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::crypto::{MacKey, SealKey, random};
use crate::jose::{Algorithm, SigningKey, generate_key};
use crate::mint::{SignerEntry, Signers};
use crate::oauth::{Pseudonyms, Time};
pub use files::KeyFilesReason;
use files::{KeyFolder, Secret};
pub use ledger::{LEDGER_OVERLAP, LedgerKey, LedgerKeys};
use owner::OWNER;
pub use owner::{KeyClaim, OwnerReason};
pub use ring::RingEntry;
use ring::{RING, Ring};

/// How long a key is published before it signs, and how long beyond the last token that it signed: validators hold on to the
/// keys that they know, some for an hour and more.
pub const KEY_NOTICE: Duration = Duration::from_hours(2);

/// No configuration lets an access token live longer.
const TOKEN_LIFETIME_MAX: Duration = Duration::from_hours(24);

/// No configuration lets a task take longer: so long a key that is published no more still reads the task tokens that it signed.
const TASK_LIFETIME_MAX: Duration = Duration::from_hours(90 * 24);

/// The signing keys and secrets of this server.
pub struct KeyFiles {
    folder: KeyFolder,
    ring: Ring,
    keys: Vec<SigningKey>,
    opened: Time,
    pseudonym: Secret,
    anc: Secret,
    root: Secret,
}

impl KeyFiles {
    /// The keys in `dir`. On first start they are made, a key that signs at once for each of `algorithms`; later one is added
    /// for each algorithm that has none.
    ///
    /// # Errors
    /// See [`KeyFilesReason`]. Whatever is there and not in order is left alone.
    pub fn open_or_create(dir: &Path, algorithms: &[Algorithm], now: Time) -> Result<Self, KeyFilesReason> {
        let folder = KeyFolder::create(dir)?;
        if folder.has(RING) {
            let files = Self::read(folder.clone(), now)?;
            if algorithms.iter().all(|algorithm| files.ring.has(*algorithm)) {
                return files.summed();
            }
        } else {
            let key = |name: &str| name.ends_with(".pem") && !ledger::is_ledger_pem(name);
            folder.refuse_remains(RING, |name| key(name) || name == OWNER)?;
        }
        let _lock = folder.lock()?;
        if !folder.has(RING) {
            folder.seal()?;
            SECRETS.iter().try_for_each(|name| make_secret(&folder, name))?;
            Ring::default().write(&folder)?;
        }
        let mut files = Self::read(folder, now)?;
        for algorithm in algorithms {
            if !files.ring.has(*algorithm) {
                files.add(*algorithm, now, now)?;
            }
        }
        Ok(files)
    }

    /// The keys in `dir` as they are at `now`, which must be there.
    ///
    /// # Errors
    /// See [`KeyFilesReason`].
    pub fn open(dir: &Path, now: Time) -> Result<Self, KeyFilesReason> {
        let folder = KeyFolder::open(dir)?;
        match folder.has(RING) {
            true => Self::read(folder, now),
            false => {
                folder.refuse_remains(RING, |name| name.ends_with(".pem") || name == OWNER)?;
                Err(KeyFilesReason::Absent(dir.to_owned()))
            }
        }
    }

    /// Adds a key for `algorithm`, published from now on, that signs after `delay`, but no sooner than [`KEY_NOTICE`]. The keys
    /// before it stay published until that long after the last access token that they can have signed, and are destroyed when no
    /// task token can be left of theirs either.
    ///
    /// # Errors
    /// See [`KeyFilesReason`]. The keys on disk are then those of before, or already those of after.
    pub fn rotate(&mut self, algorithm: Algorithm, now: Time, delay: Duration) -> Result<RingEntry, KeyFilesReason> {
        let folder = self.folder.clone();
        let _lock = folder.lock()?;
        *self = Self::read(folder.clone(), now)?;
        let signs_from = now.plus(delay.max(KEY_NOTICE));
        self.ring.retire(algorithm, signs_from.plus(TOKEN_LIFETIME_MAX).plus(KEY_NOTICE));
        let gone = self.ring.remove_retired(now.before(TASK_LIFETIME_MAX));
        let added = self.add(algorithm, now, signs_from)?;
        self.keys.retain(|key| !gone.iter().any(|entry| entry.kid == key.kid()));
        gone.iter().try_for_each(|entry| folder.remove(&pem_name(&entry.kid)))?;
        Ok(added)
    }

    /// The key that signs by `algorithm` at `now`: the newest whose time has come, or, where none's has, the one whose comes
    /// first.
    pub fn signing_key(&self, algorithm: Algorithm, now: Time) -> Option<&SigningKey> {
        self.ring.signing(algorithm, now).and_then(|entry| self.key(&entry.kid))
    }

    /// All keys that validators are to know at `now`, each with its entry in the ring.
    pub fn published(&self, now: Time) -> impl Iterator<Item = (&RingEntry, &SigningKey)> {
        self.entries().filter(move |entry| !entry.is_retired(now)).filter_map(|entry| Some((entry, self.key(&entry.kid)?)))
    }

    /// The ring's entry of each key, the oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &RingEntry> {
        self.ring.entries()
    }

    /// The keys as the mint takes them, each marked if it was to be published when it was read.
    ///
    /// # Errors
    /// `Missing` when there is none: nothing could be signed.
    pub fn signers(&self) -> Result<Signers, KeyFilesReason> {
        let entry = |(entry, key): (&RingEntry, &SigningKey)| SignerEntry {
            key: key.clone(),
            signs_from: entry.signs_from(),
            retires: entry.retires(),
            published: !entry.is_retired(self.opened),
        };
        let known = self.entries().filter_map(|entry| Some((entry, self.key(&entry.kid)?)));
        let entries: Vec<SignerEntry> = known.map(entry).collect();
        if !entries.iter().any(|entry| entry.published) {
            Err(KeyFilesReason::Missing(self.folder.path(RING)))
        } else {
            Ok(Signers::new(entries))
        }
    }

    /// The keys by which live state knows subjects, agents and the like.
    pub fn pseudonyms(&self) -> Pseudonyms {
        Pseudonyms::new(MacKey::new(&self.pseudonym), Vec::new())
    }

    /// The key by which the ancestry in tokens is sealed.
    ///
    /// # Errors
    /// None for a secret of the right length, which it has.
    pub fn ancestry(&self) -> Result<SealKey, KeyFilesReason> {
        SealKey::new(&self.anc).map_err(|_| KeyFilesReason::Randomness)
    }

    /// The key by which the keys of personal data are wrapped.
    ///
    /// # Errors
    /// None for a secret of the right length, which it has.
    pub fn root(&self) -> Result<SealKey, KeyFilesReason> {
        SealKey::new(&self.root).map_err(|_| KeyFilesReason::Randomness)
    }

    /// A list that an earlier version wrote gets its sum.
    fn summed(self) -> Result<Self, KeyFilesReason> {
        if !sum::is_in(&self.folder.read(RING)?) {
            let _lock = self.folder.lock()?;
            Ring::read(&self.folder)?.write(&self.folder)?;
        }
        Ok(self)
    }

    fn read(folder: KeyFolder, now: Time) -> Result<Self, KeyFilesReason> {
        folder.refuse_writable()?;
        let ring = Ring::read(&folder)?;
        let keys = ring.entries().map(|entry| read_key(&folder, entry)).collect::<Result<_, _>>()?;
        let [pseudonym, anc, root] = SECRETS.map(|name| read_secret(&folder, name));
        Ok(Self { ring, keys, pseudonym: pseudonym?, anc: anc?, root: root?, opened: now, folder })
    }

    /// The key is durable before the ring names it.
    fn add(&mut self, algorithm: Algorithm, now: Time, signs_from: Time) -> Result<RingEntry, KeyFilesReason> {
        let pem = generate_key(algorithm).map_err(|_| KeyFilesReason::Randomness)?;
        let key = SigningKey::from_pem(&pem, algorithm).map_err(|_| KeyFilesReason::Randomness)?;
        let entry = RingEntry::new(key.kid(), algorithm, now, signs_from);
        self.folder.write(&pem_name(key.kid()), pem.as_bytes())?;
        self.ring.add(entry.clone());
        self.ring.write(&self.folder)?;
        self.keys.push(key);
        Ok(entry)
    }

    fn key(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid() == kid)
    }
}

const SECRETS: [&str; 3] = ["pseudonym.key", "anc.key", "root.key"];

fn pem_name(kid: &str) -> String {
    format!("{kid}.pem")
}

fn read_key(folder: &KeyFolder, entry: &RingEntry) -> Result<SigningKey, KeyFilesReason> {
    let name = pem_name(&entry.kid);
    let malformed = || KeyFilesReason::Malformed(folder.path(&name));
    let key = SigningKey::from_pem(&folder.read(&name)?, entry.algorithm()).map_err(|_| malformed())?;
    if key.kid() == entry.kid { Ok(key) } else { Err(malformed()) }
}

/// A start that was interrupted left some of them; what exists is never replaced.
fn make_secret(folder: &KeyFolder, name: &str) -> Result<(), KeyFilesReason> {
    if folder.has(name) {
        return Ok(());
    }
    let secret: Secret = Zeroizing::new(random().map_err(|_| KeyFilesReason::Randomness)?);
    folder.write(name, files::encode(&secret).as_bytes())
}

fn read_secret(folder: &KeyFolder, name: &str) -> Result<Secret, KeyFilesReason> {
    files::decode(&folder.read(name)?).ok_or_else(|| KeyFilesReason::Malformed(folder.path(name)))
}

impl fmt::Debug for KeyFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries().map(|entry| &entry.kid)).finish()
    }
}

#[cfg(test)]
mod tests;
