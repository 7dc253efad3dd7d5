//! `secrets.json`: the secrets of the server, each with a check value by which it is told from any other, and each kind with
//! those that it had before.
//!
//! | kind | what it does | an earlier one is kept |
//! |---|---|---|
//! | `anc` | seals the ancestry in tokens | until no task token sealed under it can be left |
//! | `pseudonym` | makes the pseudonyms under which state is kept | for ever: what was recorded under it counts |
//! | `root` | wraps the keys of personal data | until a server has wrapped all of them under the next |
//! | `state` | is the source of the keys of what lies in the store besides records | there is one only |

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::files::{self, KeyFolder, Secret};
use super::reason::KeyFilesReason;
use super::role::{KeyCheck, KeyRole, OWNER, SECRETS, TASK_LIFETIME_MAX, TOKEN_LIFETIME_MAX};
use super::sum;
use super::uses::ROTATE_AT;
use crate::crypto::{MacKey, random};
use crate::oauth::Time;

const VERSION: u32 = 1;

/// The kinds, in the order in which they are made.
pub(super) const KINDS: [KeyRole; 4] = [KeyRole::Pseudonym, KeyRole::Ancestry, KeyRole::Root, KeyRole::State];

/// No more secrets of one kind are kept: each is tried, or asked under, where the current one does not answer.
const KEPT_MAX: usize = 32;

/// So many that were destroyed are still listed.
const DESTROYED_MAX: usize = 64;

/// The secrets of one key folder.
pub(super) struct Secrets(Vec<KeptSecret>);

struct KeptSecret {
    entry: SecretEntry,
    /// None once it is destroyed.
    secret: Option<Secret>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretList {
    version: u32,
    secrets: Vec<SecretEntry>,
}

/// One secret. Times are whole seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretEntry {
    /// Its role.
    pub of: KeyRole,
    /// Its check value.
    pub id: String,
    file: String,
    created: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destroyed: Option<i64>,
}

impl SecretEntry {
    /// The time at which it was made, or first listed.
    pub fn created(&self) -> Time {
        Time::from_seconds(self.created)
    }

    /// The time from which another was used in its place.
    pub fn replaced(&self) -> Option<Time> {
        self.replaced.map(Time::from_seconds)
    }

    /// True when it is listed only, because of what it once protected nothing is left.
    pub fn is_destroyed(&self) -> bool {
        self.destroyed.is_some()
    }

    fn new(of: KeyRole, secret: &Secret, file: Option<String>, now: Time) -> Self {
        let id = check(of, secret);
        let file = file.unwrap_or_else(|| format!("{}-{id}.key", of.name()));
        Self { of, id, file, created: now.seconds(), replaced: None, destroyed: None }
    }

    /// A file's name that cannot leave the folder.
    fn is_sound(&self) -> bool {
        let legible = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let id = self.id.len() == 22 && self.id.bytes().all(legible);
        id && (self.file == first_file(self.of) || self.file == format!("{}-{}.key", self.of.name(), self.id))
    }

    /// True where nothing that an earlier one protects can be left at `now`.
    fn is_over(&self, now: Time) -> bool {
        let kept = TASK_LIFETIME_MAX + TOKEN_LIFETIME_MAX;
        self.of == KeyRole::Ancestry && self.replaced().is_some_and(|replaced| replaced.plus(kept) < now)
    }
}

impl Secrets {
    /// Makes those that a first start has not made yet; what exists is never replaced.
    pub(super) fn make(folder: &KeyFolder, now: Time) -> Result<(), KeyFilesReason> {
        KINDS.into_iter().try_for_each(|of| make(folder, of))?;
        Self::list(folder, now)
    }

    /// Lists the secrets of an earlier version, or of a start that was interrupted, which are the first of their kinds.
    pub(super) fn list(folder: &KeyFolder, now: Time) -> Result<(), KeyFilesReason> {
        if folder.has(SECRETS) { Ok(()) } else { Self::unlisted(folder, now)?.write(folder) }
    }

    /// The secrets of the folder. Those that are not listed yet count as made at `now`.
    pub(super) fn read(folder: &KeyFolder, now: Time) -> Result<Self, KeyFilesReason> {
        if !folder.has(SECRETS) {
            folder.refuse_remains(SECRETS, |name| name == OWNER)?;
            return Self::unlisted(folder, now);
        }
        let list: Option<SecretList> = sum::without(&folder.read(SECRETS)?);
        let sound = |list: &SecretList| list.version == VERSION && list.secrets.iter().all(SecretEntry::is_sound);
        let list = list.filter(sound).ok_or_else(|| KeyFilesReason::Malformed(folder.path(SECRETS)))?;
        let kept = list.secrets.into_iter().map(|entry| {
            let secret = if entry.is_destroyed() { None } else { Some(listed(folder, &entry)?) };
            Ok(KeptSecret { entry, secret })
        });
        let secrets = Self(kept.collect::<Result<_, KeyFilesReason>>()?);
        let complete = KINDS.iter().all(|of| secrets.kept(*of).next().is_some());
        if complete { Ok(secrets) } else { Err(KeyFilesReason::Malformed(folder.path(SECRETS))) }
    }

    /// The entry of each, the oldest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &SecretEntry> {
        self.0.iter().map(|kept| &kept.entry)
    }

    /// The entry of the current one of a kind.
    pub(super) fn current(&self, of: KeyRole) -> Option<&SecretEntry> {
        self.0.iter().rev().find(|kept| kept.entry.of == of && kept.secret.is_some()).map(|kept| &kept.entry)
    }

    /// Those of one kind that are kept, the current one first.
    pub(super) fn kept(&self, of: KeyRole) -> impl Iterator<Item = &Secret> {
        self.0.iter().rev().filter(move |kept| kept.entry.of == of).filter_map(|kept| kept.secret.as_ref())
    }

    /// Makes another secret of the kind, which is the current one from now on, and destroys those that are over.
    ///
    /// # Errors
    /// `Many` when as many are kept as may be.
    pub(super) fn rotate(&mut self, folder: &KeyFolder, of: KeyRole, now: Time) -> Result<SecretEntry, KeyFilesReason> {
        let gone = self.destroy(now, |entry| entry.is_over(now));
        if self.kept(of).count() >= KEPT_MAX {
            return Err(KeyFilesReason::Many(folder.path(SECRETS), of));
        }
        let secret = new_secret()?;
        let entry = SecretEntry::new(of, &secret, None, now);
        folder.write(&entry.file, files::encode(&secret).as_bytes())?;
        let before = self.0.iter_mut().filter(|kept| kept.entry.of == of);
        before.for_each(|kept| kept.entry.replaced = kept.entry.replaced.or(Some(now.seconds())));
        self.0.push(KeptSecret { entry: entry.clone(), secret: Some(secret) });
        self.write(folder)?;
        gone.iter().try_for_each(|name| folder.remove(name))?;
        Ok(entry)
    }

    /// Destroys the earlier root keys among those with these check `ids`, and the files that a crash left of others.
    pub(super) fn destroy_roots(&mut self, folder: &KeyFolder, ids: &[String], now: Time) -> Result<Vec<String>, KeyFilesReason> {
        let is_meant = |entry: &SecretEntry| entry.of == KeyRole::Root && entry.replaced.is_some() && ids.contains(&entry.id);
        let destroyed: Vec<String> =
            self.entries().filter(|entry| is_meant(entry) && !entry.is_destroyed()).map(|entry| entry.id.clone()).collect();
        let mut gone = self.destroy(now, is_meant);
        if !destroyed.is_empty() {
            self.write(folder)?;
        }
        let left = self.entries().filter(|entry| entry.is_destroyed() && folder.has(&entry.file));
        gone.extend(left.map(|entry| entry.file.clone()));
        gone.iter().try_for_each(|name| folder.remove(name))?;
        Ok(destroyed)
    }

    /// Marks those as destroyed that nothing needs any more. Returns the names of their files.
    fn destroy(&mut self, now: Time, is_over: impl Fn(&SecretEntry) -> bool) -> Vec<String> {
        let mut gone = Vec::new();
        for kept in self.0.iter_mut().filter(|kept| kept.secret.is_some() && is_over(&kept.entry)) {
            (kept.secret, kept.entry.destroyed) = (None, Some(now.seconds()));
            gone.push(kept.entry.file.clone());
        }
        let mut surplus = self.entries().filter(|entry| entry.is_destroyed()).count().saturating_sub(DESTROYED_MAX);
        self.0.retain(|kept| {
            let goes = kept.entry.is_destroyed() && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
        gone
    }

    fn unlisted(folder: &KeyFolder, now: Time) -> Result<Self, KeyFilesReason> {
        // Version 0.1.0 had none.
        make(folder, KeyRole::State)?;
        let one = |of: KeyRole| {
            let (file, secret) = (first_file(of), read_secret(folder, &first_file(of))?);
            Ok(KeptSecret { entry: SecretEntry::new(of, &secret, Some(file), now), secret: Some(secret) })
        };
        KINDS.into_iter().map(one).collect::<Result<_, KeyFilesReason>>().map(Self)
    }

    fn write(&self, folder: &KeyFolder) -> Result<(), KeyFilesReason> {
        let list = SecretList { version: VERSION, secrets: self.entries().cloned().collect() };
        let text = sum::with(&list).ok_or_else(|| KeyFilesReason::Malformed(folder.path(SECRETS)))?;
        folder.write(SECRETS, text.as_bytes())
    }
}

/// The check value of a secret: it tells one from another, and nothing about either.
fn check(of: KeyRole, secret: &Secret) -> String {
    KeyCheck::of_secret(of, &MacKey::new(secret)).id
}

fn listed(folder: &KeyFolder, entry: &SecretEntry) -> Result<Secret, KeyFilesReason> {
    let secret = decoded(folder, &entry.file, &folder.read_listed(&entry.file, SECRETS)?)?;
    let same = check(entry.of, &secret) == entry.id;
    if same { Ok(secret) } else { Err(KeyFilesReason::Unlike(folder.path(&entry.file), SECRETS)) }
}

fn read_secret(folder: &KeyFolder, name: &str) -> Result<Secret, KeyFilesReason> {
    decoded(folder, name, &folder.read(name)?)
}

fn decoded(folder: &KeyFolder, name: &str, text: &str) -> Result<Secret, KeyFilesReason> {
    files::decode(text).ok_or_else(|| KeyFilesReason::Malformed(folder.path(name)))
}

/// Makes the first secret of a kind, unless it is there.
fn make(folder: &KeyFolder, of: KeyRole) -> Result<(), KeyFilesReason> {
    let name = first_file(of);
    if folder.has(&name) { Ok(()) } else { folder.write(&name, files::encode(&new_secret()?).as_bytes()) }
}

fn new_secret() -> Result<Secret, KeyFilesReason> {
    Ok(Zeroizing::new(random().map_err(|_| KeyFilesReason::Randomness)?))
}

/// The file of the first secret of a kind.
fn first_file(of: KeyRole) -> String {
    format!("{}.key", of.name())
}

impl SecretEntry {
    /// True where a secret of this age, and used so often, is to be replaced at `now`.
    pub(super) fn is_due(&self, after: Duration, uses: u64, now: Time) -> bool {
        self.of != KeyRole::State && self.replaced.is_none() && (self.created().plus(after) <= now || uses >= ROTATE_AT)
    }
}
