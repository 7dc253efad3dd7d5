//! `uses.json`: how often each sealing key was used, in steps that are written before they are used. A random nonce is safe for
//! 2³² messages under one key; another follows long before.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::files::KeyFolder;
use super::reason::KeyFilesReason;
use super::role::{OWNER, SECRETS, USES};
use super::sum;

const VERSION: u32 = 1;

/// So many uses are written down at once.
const STEP: u32 = 1 << 20;

/// A key that was used so often is followed by another when somebody looks, every ten minutes.
pub(super) const ROTATE_AT: u64 = 1 << 30;

/// And seals nothing more when it was used so often: half of what is safe.
const USES_MAX: u64 = 1 << 31;

/// Only one server uses the folder, and in it one thread at a time writes the file.
static TURN: Mutex<()> = Mutex::new(());

/// The uses of the keys of one folder.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Uses {
    version: u32,
    keys: Vec<KeyUses>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyUses {
    /// The check value of the key.
    id: String,
    uses: u64,
}

impl Uses {
    /// Begins to count, where nobody has.
    pub(super) fn begin(folder: &KeyFolder) -> Result<(), KeyFilesReason> {
        if folder.has(USES) { Ok(()) } else { Self::none().write(folder) }
    }

    /// The uses that are written down; each is of one of the `listed` keys.
    ///
    /// # Errors
    /// `Lost` for a folder that has an owner and no such file; `Unlike` for one that counts other keys.
    pub(super) fn read(folder: &KeyFolder, listed: &[&str]) -> Result<Self, KeyFilesReason> {
        if !folder.has(USES) {
            folder.refuse_remains(USES, |name| name == OWNER)?;
            return Ok(Self::none());
        }
        let uses = Self::stored(folder)?;
        let known = uses.keys.iter().all(|key| listed.contains(&key.id.as_str()));
        if known { Ok(uses) } else { Err(KeyFilesReason::Unlike(folder.path(USES), SECRETS)) }
    }

    /// The uses of the key with the check value `id`.
    pub(super) fn of(&self, id: &str) -> u64 {
        self.keys.iter().find(|key| key.id == id).map_or(0, |key| key.uses)
    }

    /// Counts those of the `kept` keys only from now on.
    pub(super) fn retain(folder: &KeyFolder, kept: &[&str]) -> Result<(), KeyFilesReason> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut uses = Self::stored(folder)?;
        let before = uses.keys.len();
        uses.keys.retain(|key| kept.contains(&key.id.as_str()));
        if uses.keys.len() == before { Ok(()) } else { uses.write(folder) }
    }

    fn none() -> Self {
        Self { version: VERSION, keys: Vec::new() }
    }

    fn stored(folder: &KeyFolder) -> Result<Self, KeyFilesReason> {
        let uses: Option<Self> = sum::without(&folder.read(USES)?);
        uses.filter(|uses| uses.version == VERSION).ok_or_else(|| KeyFilesReason::Malformed(folder.path(USES)))
    }

    fn write(&self, folder: &KeyFolder) -> Result<(), KeyFilesReason> {
        let text = sum::with(self).ok_or_else(|| KeyFilesReason::Malformed(folder.path(USES)))?;
        folder.write(USES, text.as_bytes())
    }
}

/// Writes down one more step of uses of the key `id`, and returns how many those are; none where that cannot be done, or the key
/// was used as often as it may be.
pub(super) fn reserve(folder: &KeyFolder, id: &str) -> Option<u32> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let written = Uses::stored(folder).and_then(|mut uses| {
        let used = uses.of(id).saturating_add(STEP.into());
        if used > USES_MAX {
            return Ok(None);
        }
        uses.keys.retain(|key| key.id != id);
        uses.keys.push(KeyUses { id: id.to_owned(), uses: used });
        uses.write(folder).map(|()| Some(STEP))
    });
    match written {
        Ok(Some(step)) => Some(step),
        Ok(None) => {
            tracing::error!(key = id, "a key was used as often as it may be: `countersign keys rotate` makes another");
            None
        }
        Err(reason) => {
            tracing::error!("the uses of a key cannot be written down, so nothing is sealed: {reason}");
            None
        }
    }
}
