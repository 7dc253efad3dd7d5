//! Our own keys on disk: signing keys as PKCS#8 in PEM, listed in `keyring.json`, and secrets, listed in `secrets.json`.

mod files;
mod known;
mod ledger;
mod owner;
mod reason;
mod ring;
mod role;
mod secrets;
mod served;
mod sum;
mod uses;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::commit::contract::KeyList;
use crate::commit::{CommitKeys, RootKey, SUM, TASK_TERMS};
use crate::crypto::{MacKey, MessageKeys, SealKey};
use crate::jose::{Algorithm, SigningKey, generate_key};
use crate::ledger::record::KeyEvent;
use crate::mint::{SignerEntry, Signers};
use crate::oauth::{Pseudonyms, Time};
use files::KeyFolder;
pub use ledger::{LEDGER_OVERLAP, LedgerKey, LedgerKeys};
pub use owner::{KeyClaim, remember, require_own};
pub use reason::{KeyFilesReason, OwnerReason};
use ring::Ring;
pub use ring::RingEntry;
pub use role::{KeyCheck, KeyRole, missing};
use role::{OWNER, RING, SECRETS, TASK_LIFETIME_MAX, TOKEN_LIFETIME_MAX, USES};
pub use secrets::SecretEntry;
use secrets::Secrets;
pub use served::ServedWith;
use uses::Uses;

/// How long a key is published before it signs, and how long beyond the last token that it signed: validators hold on to the
/// keys that they know, some for an hour and more.
pub const KEY_NOTICE: Duration = Duration::from_hours(2);

/// The ages at which keys are followed by others.
#[derive(Clone, Copy, Debug)]
pub struct KeyAges {
    /// Of signing keys, and of the key of ancestries.
    pub signing: Duration,
    /// Of the key of the pseudonyms, and of the root key.
    pub secrets: Duration,
}

/// The signing keys and secrets of this server.
pub struct KeyFiles {
    folder: KeyFolder,
    ring: Ring,
    keys: Vec<SigningKey>,
    opened: Time,
    secrets: Secrets,
    uses: Uses,
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
            let files = Self::read_settled(&folder, now)?;
            if algorithms.iter().all(|algorithm| files.ring.has(*algorithm)) {
                return files.listed();
            }
        } else {
            let key = |name: &str| name.ends_with(".pem") && !ledger::is_ledger_pem(name);
            folder.refuse_remains(RING, |name| key(name) || name == OWNER)?;
        }
        let _lock = folder.lock()?;
        if !folder.has(RING) {
            folder.seal()?;
            Secrets::make(&folder, now)?;
            Ring::default().write(&folder)?;
        }
        let mut files = Self::read(folder, now)?;
        Secrets::list(&files.folder, now)?;
        Uses::begin(&files.folder)?;
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
            true => Self::read_settled(&folder, now),
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
        let gone = self.ring.destroy_retired(now.before(TASK_LIFETIME_MAX), now);
        let added = self.add(algorithm, now, signs_from)?;
        self.keys.retain(|key| !gone.iter().any(|entry| entry.kid == key.kid()));
        gone.iter().try_for_each(|entry| folder.remove(&pem_name(&entry.kid)))?;
        Ok(added)
    }

    /// Makes another secret of the kind `of`, which is used from now on. What lives under the one before goes on: it is kept as
    /// long as that can be.
    ///
    /// # Errors
    /// See [`KeyFilesReason`].
    pub fn rotate_secret(&mut self, of: KeyRole, now: Time) -> Result<SecretEntry, KeyFilesReason> {
        let folder = self.folder.clone();
        let _lock = folder.lock()?;
        *self = Self::read(folder.clone(), now)?;
        let entry = self.secrets.rotate(&folder, of, now)?;
        Uses::begin(&folder)?;
        self.count_kept()?;
        Ok(entry)
    }

    /// Destroys the earlier ones of the root keys with these check `ids`, under which nothing is wrapped any more, and whatever
    /// is left of keys that were destroyed before. Returns the check values of those that were not.
    ///
    /// # Errors
    /// See [`KeyFilesReason`].
    pub fn destroy_roots(&mut self, ids: &[String], now: Time) -> Result<Vec<String>, KeyFilesReason> {
        let folder = self.folder.clone();
        let _lock = folder.lock()?;
        *self = Self::read(folder.clone(), now)?;
        let destroyed = self.secrets.destroy_roots(&folder, ids, now)?;
        self.count_kept()?;
        Ok(destroyed)
    }

    fn count_kept(&self) -> Result<(), KeyFilesReason> {
        let kept = self.secrets.entries().filter(|entry| !entry.is_destroyed()).map(|entry| entry.id.as_str());
        Uses::retain(&self.folder, &kept.collect::<Vec<_>>())
    }

    /// Makes the keys that follow those that are old enough, or were used often enough. Returns the check values of the new ones.
    ///
    /// # Errors
    /// See [`KeyFilesReason`].
    pub fn renew(&mut self, ages: &KeyAges, now: Time) -> Result<Vec<KeyCheck>, KeyFilesReason> {
        let mut renewed = Vec::new();
        let old: Vec<Algorithm> =
            self.entries().filter(|entry| entry.is_due(ages.signing, now)).map(RingEntry::algorithm).collect();
        for algorithm in old {
            let id = self.rotate(algorithm, now, Duration::ZERO)?.kid;
            renewed.push(KeyCheck { of: KeyRole::Signing, id });
        }
        let age = |of| if of == KeyRole::Ancestry { ages.signing } else { ages.secrets };
        let old: Vec<KeyRole> = self
            .secrets()
            .filter(|entry| entry.is_due(age(entry.of), self.uses.of(&entry.id), now))
            .map(|entry| entry.of)
            .collect();
        for of in old {
            let id = self.rotate_secret(of, now)?.id;
            renewed.push(KeyCheck { of, id });
        }
        Ok(renewed)
    }

    /// Revokes the signing key `kid`: it is published and signs no more, and verifies nothing; its private half is destroyed. The
    /// next key of its algorithm signs at once, and is made where there is none.
    ///
    /// # Errors
    /// `Unknown` when it is none of this folder's. See [`KeyFilesReason`] for others.
    pub fn revoke(&mut self, kid: &str, now: Time) -> Result<RingEntry, KeyFilesReason> {
        let folder = self.folder.clone();
        let _lock = folder.lock()?;
        *self = Self::read(folder.clone(), now)?;
        let unknown = || KeyFilesReason::Unknown(folder.path(RING), kid.to_owned());
        let revoked = self.ring.revoke(kid, now).ok_or_else(unknown)?;
        self.keys.retain(|key| key.kid() != kid);
        match self.ring.signing(revoked.algorithm(), now) {
            Some(_) => self.ring.write(&folder)?,
            None => self.add(revoked.algorithm(), now, now).map(drop)?,
        }
        folder.remove(&pem_name(kid))?;
        Ok(revoked)
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

    /// The ring's entry of each key that is there, the oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &RingEntry> {
        self.ring.entries()
    }

    /// The entry of each signing key that is listed, also of those that are no more.
    pub fn all_entries(&self) -> impl Iterator<Item = &RingEntry> {
        self.ring.all()
    }

    /// The entry of each secret that is listed, the oldest first.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretEntry> {
        self.secrets.entries()
    }

    /// The check values of everything that is listed.
    fn checks(&self) -> impl Iterator<Item = KeyCheck> {
        let signing = self.ring.all().map(|entry| KeyCheck { of: KeyRole::Signing, id: entry.kid.clone() });
        self.secrets.entries().map(|entry| KeyCheck { of: entry.of, id: entry.id.clone() }).chain(signing)
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
            Ok(Signers::new(entries, &self.pseudonyms()?))
        }
    }

    /// The keys by which live state knows subjects, agents and the like.
    ///
    /// # Errors
    /// None: there is a secret of each kind.
    pub fn pseudonyms(&self) -> Result<Pseudonyms, KeyFilesReason> {
        let mut keys = self.secrets.kept(KeyRole::Pseudonym).map(|secret| MacKey::new(secret));
        let current = keys.next().ok_or_else(|| KeyFilesReason::Missing(self.folder.path(SECRETS)))?;
        Ok(Pseudonyms::new(current, keys.collect()))
    }

    /// The keys by which the ancestry in tokens is sealed.
    ///
    /// # Errors
    /// None for secrets of the right length, which they have.
    pub fn ancestry(&self) -> Result<SealKey, KeyFilesReason> {
        self.sealing(KeyRole::Ancestry)
    }

    /// The keys by which the keys of personal data are wrapped.
    ///
    /// # Errors
    /// None for secrets of the right length, which they have.
    pub fn root(&self) -> Result<SealKey, KeyFilesReason> {
        self.sealing(KeyRole::Root)
    }

    /// Those keys, with their check values.
    ///
    /// # Errors
    /// None for secrets of the right length, which they have.
    pub fn root_key(&self) -> Result<RootKey, KeyFilesReason> {
        let mut ids: Vec<String> = self
            .secrets()
            .filter(|entry| entry.of == KeyRole::Root && !entry.is_destroyed())
            .map(|entry| entry.id.clone())
            .collect();
        ids.reverse();
        Ok(RootKey { key: Arc::new(self.root()?), ids })
    }

    fn sealing(&self, of: KeyRole) -> Result<SealKey, KeyFilesReason> {
        let keys = self.secrets.kept(of).map(|secret| SealKey::new(secret)).collect::<Result<Vec<_>, _>>();
        let keys = keys.map_err(|_| KeyFilesReason::Randomness)?;
        let mut keys = keys.into_iter();
        let missing = || KeyFilesReason::Missing(self.folder.path(SECRETS));
        let (current, entry) = keys.next().zip(self.secrets.current(of)).ok_or_else(missing)?;
        let (folder, id) = (self.folder.clone(), entry.id.clone());
        Ok(current.counted(move || uses::reserve(&folder, &id)).after(keys.collect()))
    }

    /// The keys of the terms of tasks.
    fn terms(&self) -> Result<MessageKeys, KeyFilesReason> {
        let keys = |secret: &files::Secret| MessageKeys::new(&MacKey::new(secret).derive(TASK_TERMS));
        let mut kept = self.secrets.kept(KeyRole::State).map(keys);
        let current = kept.next().ok_or_else(|| KeyFilesReason::Missing(self.folder.path(SECRETS)))?;
        Ok(current.after(kept.collect()))
    }

    fn roots(&self) -> Vec<MacKey> {
        self.secrets.kept(KeyRole::Root).map(|secret| MacKey::new(secret)).collect()
    }

    /// What an earlier version wrote gets its sum, and a list of the secrets.
    fn listed(self) -> Result<Self, KeyFilesReason> {
        let summed = sum::is_in(&self.folder.read(RING)?);
        Uses::begin(&self.folder)?;
        if !summed || !self.folder.has(SECRETS) {
            let _lock = self.folder.lock()?;
            Ring::read(&self.folder)?.write(&self.folder)?;
            Secrets::list(&self.folder, self.opened)?;
        }
        Ok(self)
    }

    /// Everything that is listed here and of the `ledger`, each with the newest event in its life.
    pub fn events(&self, ledger: &LedgerKeys) -> KeyList {
        let over = |is_over: bool| if is_over { KeyEvent::Retire } else { KeyEvent::Begin };
        let signing = self.ring.all().map(|entry| match entry.revoked() {
            Some(_) => KeyEvent::Revoke,
            None => over(entry.is_destroyed()),
        });
        let secrets = self.secrets.entries().map(|entry| over(entry.is_destroyed()));
        self.checks().zip(secrets.chain(signing)).chain(ledger.events(self.opened)).collect()
    }

    /// The keys of the commit: the root key, and those that come from the secret of what lies in the store besides records.
    ///
    /// # Errors
    /// None for secrets of the right length, which they have.
    pub fn commit(&self, ledger: &LedgerKeys) -> Result<CommitKeys, KeyFilesReason> {
        let sums = self.secrets.kept(KeyRole::State).map(|secret| MacKey::new(&MacKey::new(secret).derive(SUM))).collect();
        let (root, terms) = (self.root_key()?, Arc::new(self.terms()?));
        Ok(CommitKeys { root, terms, sums, listed: self.events(ledger) })
    }

    /// The keys, where somebody may be changing them: a list of before may name a file that is destroyed by now, so a mistake
    /// counts only where the lists are the same afterwards.
    fn read_settled(folder: &KeyFolder, now: Time) -> Result<Self, KeyFilesReason> {
        let lists = || [RING, SECRETS, USES].map(|list| folder.read(list).ok());
        let mut before = lists();
        loop {
            let read = Self::read(folder.clone(), now);
            let after = lists();
            if read.is_ok() || after == before {
                return read;
            }
            before = after;
        }
    }

    fn read(folder: KeyFolder, now: Time) -> Result<Self, KeyFilesReason> {
        folder.refuse_writable()?;
        let ring = Ring::read(&folder)?;
        let keys = ring.entries().map(|entry| read_key(&folder, entry)).collect::<Result<_, _>>()?;
        let secrets = Secrets::read(&folder, now)?;
        let uses = Uses::read(&folder, &secrets.entries().map(|entry| entry.id.as_str()).collect::<Vec<_>>())?;
        Ok(Self { ring, keys, secrets, uses, opened: now, folder })
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

fn pem_name(kid: &str) -> String {
    format!("{kid}.pem")
}

fn read_key(folder: &KeyFolder, entry: &RingEntry) -> Result<SigningKey, KeyFilesReason> {
    let name = pem_name(&entry.kid);
    let malformed = || KeyFilesReason::Malformed(folder.path(&name));
    let key = SigningKey::from_pem(&folder.read_listed(&name, RING)?, entry.algorithm()).map_err(|_| malformed())?;
    if key.kid() == entry.kid { Ok(key) } else { Err(malformed()) }
}

/// The role of the key `name` in the key folder `dir`: a signing key by its `kid`, a key of the ledger by its verifier key.
///
/// # Errors
/// `Unknown` when it is neither. See [`KeyFilesReason`] for others.
pub fn find_key(dir: &Path, name: &str, now: Time) -> Result<KeyRole, KeyFilesReason> {
    let files = KeyFiles::open(dir, now)?;
    if files.all_entries().any(|entry| entry.kid == name) {
        return Ok(KeyRole::Signing);
    }
    let ledger = LedgerKeys::open(dir)?;
    let known = ledger.entries().any(|key| key.vkey == name);
    if known { Ok(KeyRole::Ledger) } else { Err(KeyFilesReason::Unknown(dir.to_owned(), name.to_owned())) }
}

/// Revokes the key `name` in the key folder `dir`. Another signs in its place.
///
/// # Errors
/// As for [`find_key`].
pub fn revoke_key(dir: &Path, name: &str, now: Time) -> Result<(), KeyFilesReason> {
    match find_key(dir, name, now)? {
        KeyRole::Ledger => LedgerKeys::open(dir)?.revoke(name, now).map(drop),
        _ => KeyFiles::open(dir, now)?.revoke(name, now).map(drop),
    }
}

impl fmt::Debug for KeyFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries().map(|entry| &entry.kid)).finish()
    }
}

#[cfg(test)]
mod tests;
