//! `owner.json`: the one data folder that a key folder belongs to. Two servers that sign with the same keys write two
//! histories, so a copy of the data, or other data, is refused until somebody says that the keys are to be its own.
//!
//! | file | content |
//! |---|---|
//! | `KEYS/owner.json` | the id of the data folder, and where it was: its canonical path, device and inode |
//! | `KEYS/in-use.lock` | locked as long as a server runs, or a command that writes |
//! | `DATA/data.id` | the id of the data folder, made with it |

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::KeyFolder;
use super::known;
use super::reason::{KeyFilesReason, OwnerReason};
use super::role::{KeyCheck, OWNER, missing};
use super::{KeyFiles, LedgerKeys, sum};
use crate::crypto::random;
use crate::files::{self, Access};

const IN_USE: &str = "in-use.lock";
const DATA_ID: &str = "data.id";
const VERSION: u32 = 1;

/// The key folder, used by this process alone and for one data folder. The lock goes with the value, or with the process.
pub struct KeyClaim {
    keys: KeyFolder,
    data: PathBuf,
    /// The id of the data folder, where both folders agree on it.
    known: Option<String>,
    _lock: File,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    version: u32,
    data: String,
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl KeyClaim {
    /// Takes the key folder `dir`, made if it is not there, for the data folder `data`, which need not be there yet.
    ///
    /// # Errors
    /// `Owner` when another process uses it, or it belongs to another data folder or to the original of a copy.
    pub fn take(dir: &Path, data: &Path) -> Result<Self, KeyFilesReason> {
        let keys = KeyFolder::create(dir)?;
        let lock = lock(&keys)?;
        let refused = |reason| KeyFilesReason::Owner(dir.to_owned(), data.to_owned(), reason);
        let known = match (owner(&keys)?, id_of(data)?) {
            (None, None) => None,
            (None, Some(_)) => return Err(refused(OwnerReason::Unsaid)),
            (Some(owner), id) => Some(owner.admit(id, data).map_err(refused)?),
        };
        Ok(Self { keys, data: data.to_owned(), known, _lock: lock })
    }

    /// Takes the key folder `dir` for the data folder `data`, whatever it belonged to. That data folder is not served with these
    /// keys any more. Returns its path.
    ///
    /// # Errors
    /// `Owner` when another process uses the keys; `Absent` where there are no keys; `File` where there is no data folder.
    pub fn adopt(dir: &Path, data: &Path) -> Result<Option<PathBuf>, KeyFilesReason> {
        let keys = KeyFolder::open(dir)?;
        let lock = lock(&keys)?;
        let before = owner(&keys).ok().flatten().map(|owner| owner.path);
        Self { keys, data: data.to_owned(), known: None, _lock: lock }.write(&new_id()?)?;
        Ok(before)
    }

    /// Refuses keys that are not those that the data folder was written with.
    ///
    /// # Errors
    /// `Another` names those that the key folder does not list; `Lost` and `Malformed` are of what the data folder remembers.
    pub fn require_known(&self, files: &KeyFiles, ledger: &LedgerKeys) -> Result<(), KeyFilesReason> {
        let known = known::read(&self.data, &files.roots())?;
        if known.is_none() && id_of(&self.data)?.is_some() {
            return Err(known::lost(&self.data, DATA_ID));
        }
        let known = known.unwrap_or_default();
        let listed: Vec<KeyCheck> = files.checks().chain(ledger.checks()).collect();
        match missing(&known, &listed).into_iter().cloned().collect::<Vec<_>>() {
            missing if missing.is_empty() => Ok(()),
            missing => Err(KeyFilesReason::Another(self.keys.path(""), missing)),
        }
    }

    /// Says in both folders that they belong together, once everything is there that such a folder has, and remembers the keys in
    /// the data folder. True where that was not said before.
    ///
    /// # Errors
    /// See [`KeyFilesReason`].
    pub fn settle(&self, files: &KeyFiles, ledger: &LedgerKeys) -> Result<bool, KeyFilesReason> {
        remember(&self.data, files, ledger)?;
        match &self.known {
            Some(id) => self.write(id).map(|()| false),
            None => self.write(&new_id()?).map(|()| true),
        }
    }

    /// The keys are told first: a start that is interrupted between the two finds the folder at its place, and goes on.
    fn write(&self, id: &str) -> Result<(), KeyFilesReason> {
        let owner = Owner::of(id, &self.data)?;
        if self::owner(&self.keys).ok().flatten().as_ref() != Some(&owner) {
            let text = sum::with(&owner).ok_or_else(|| KeyFilesReason::Malformed(self.keys.path(OWNER)))?;
            self.keys.write(OWNER, text.as_bytes())?;
        }
        let path = self.data.join(DATA_ID);
        if id_of(&self.data).ok().flatten().as_deref() != Some(id) {
            let written = files::replace(&path, format!("{id}\n").as_bytes(), Access::Owner);
            written.map_err(|error| KeyFilesReason::File(path, error))?;
        }
        Ok(())
    }
}

/// Remembers in the data folder `data` which keys it is written with from now on. Those that were destroyed long ago and are not
/// listed any more are forgotten.
///
/// # Errors
/// `File` when that cannot be written.
pub fn remember(data: &Path, files: &KeyFiles, ledger: &LedgerKeys) -> Result<(), KeyFilesReason> {
    let roots = files.roots();
    let listed: Vec<KeyCheck> = files.checks().chain(ledger.checks()).collect();
    if known::read(data, &roots)?.as_ref() == Some(&listed) {
        return Ok(());
    }
    roots.first().map_or(Ok(()), |root| known::write(data, root, &listed))
}

/// Refuses the keys in `dir` for the data folder `data`, to be read by them, where both say that they belong to others. Where one
/// of them lies does not matter for that.
///
/// # Errors
/// `Owner`; what cannot be read. Where there are no keys there is nothing to refuse.
pub fn require_own(dir: &Path, data: &Path) -> Result<(), KeyFilesReason> {
    let keys = match KeyFolder::open(dir) {
        Err(KeyFilesReason::Absent(_)) => return Ok(()),
        keys => keys?,
    };
    match owner(&keys)?.zip(id_of(data)?) {
        Some((owner, id)) if owner.data != id => {
            Err(KeyFilesReason::Owner(dir.to_owned(), data.to_owned(), OwnerReason::Other(owner.path)))
        }
        _ => Ok(()),
    }
}

impl Owner {
    fn of(id: &str, data: &Path) -> Result<Self, KeyFilesReason> {
        let failed = |error| KeyFilesReason::File(data.to_owned(), error);
        let (path, found) = (fs::canonicalize(data).map_err(failed)?, fs::metadata(data).map_err(failed)?);
        Ok(Self { version: VERSION, data: id.to_owned(), path, device: found.dev(), inode: found.ino() })
    }

    /// The id that both agree on. A folder that was moved keeps its inode, one that was restored or mounted anew its path.
    fn admit(self, id: Option<String>, data: &Path) -> Result<String, OwnerReason> {
        let here = Self::of(&self.data, data).ok();
        let path = here.as_ref().is_none_or(|here| here.path == self.path);
        let inode = here.as_ref().is_some_and(|here| (here.device, here.inode) == (self.device, self.inode));
        match id {
            Some(id) if id != self.data => Err(OwnerReason::Other(self.path)),
            Some(_) if !path && !inode => Err(OwnerReason::Copy(self.path)),
            None if !path => Err(OwnerReason::Other(self.path)),
            _ => Ok(self.data),
        }
    }
}

fn lock(keys: &KeyFolder) -> Result<File, KeyFilesReason> {
    let path = keys.path(IN_USE);
    let file = files::keep(&path).map_err(|error| KeyFilesReason::File(path.clone(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(KeyFilesReason::Owner(keys.path(""), PathBuf::new(), OwnerReason::InUse)),
        Err(TryLockError::Error(error)) => Err(KeyFilesReason::File(path, error)),
    }
}

fn owner(keys: &KeyFolder) -> Result<Option<Owner>, KeyFilesReason> {
    if !keys.has(OWNER) {
        return Ok(None);
    }
    let owner: Option<Owner> = sum::without(&keys.read(OWNER)?);
    owner.filter(|owner| owner.version == VERSION).map(Some).ok_or_else(|| KeyFilesReason::Malformed(keys.path(OWNER)))
}

/// The id of a data folder; none where it has none.
fn id_of(data: &Path) -> Result<Option<String>, KeyFilesReason> {
    let path = data.join(DATA_ID);
    let read = files::read_if_there(&path, 1024).map_err(|error| KeyFilesReason::File(path.clone(), error))?;
    let Some(id) = read else { return Ok(None) };
    let id = id.trim_ascii_end();
    let sound = id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit);
    if sound { Ok(Some(String::from_utf8_lossy(id).into_owned())) } else { Err(KeyFilesReason::Malformed(path)) }
}

fn new_id() -> Result<String, KeyFilesReason> {
    let id = u128::from_be_bytes(random().map_err(|_| KeyFilesReason::Randomness)?);
    Ok(format!("{id:032x}"))
}
