//! `DATA/served.json`: the settings files and the key folder that a data folder was last served with, so that a command that is
//! told the data folder alone finds them. It decides nothing: whose the keys are is said in both folders.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf, absolute};

use serde::{Deserialize, Serialize};

use super::reason::KeyFilesReason;
use super::sum;
use crate::files::{self, Access};

const NAME: &str = "served.json";
const VERSION: u32 = 1;

/// The file is no longer.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The places of everything that a data folder is served with; every path is absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedWith {
    version: u32,
    /// The settings files, in the order in which they are read.
    pub settings: Vec<PathBuf>,
    /// The folders of [files], where there was no settings file that names them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub folders: BTreeMap<String, PathBuf>,
    /// The key folder.
    pub keys: PathBuf,
}

impl ServedWith {
    /// These `settings` files, or `folders` where there are none, and the folder `keys`.
    ///
    /// # Errors
    /// When there is no current directory that a path could be relative to.
    pub fn new(settings: &[PathBuf], folders: &[(&str, &Path)], keys: &Path) -> io::Result<Self> {
        let settings = settings.iter().map(absolute).collect::<io::Result<Vec<_>>>()?;
        let folders = folders.iter().filter(|_| settings.is_empty());
        let folders = folders.map(|(name, path)| Ok(((*name).to_owned(), absolute(path)?))).collect::<io::Result<_>>()?;
        Ok(Self { version: VERSION, settings, folders, keys: absolute(keys)? })
    }

    /// These places with another key folder.
    ///
    /// # Errors
    /// As of [`Self::new`].
    pub fn with_keys(self, keys: &Path) -> io::Result<Self> {
        Ok(Self { keys: absolute(keys)?, ..self })
    }

    /// The places that the data folder `data` remembers; none where none were remembered.
    ///
    /// # Errors
    /// `File` and `Malformed` when that cannot be read.
    pub fn of(data: &Path) -> Result<Option<Self>, KeyFilesReason> {
        let path = data.join(NAME);
        let read = files::read_if_there(&path, FILE_BYTES_MAX).map_err(|error| KeyFilesReason::File(path.clone(), error))?;
        let Some(text) = read else { return Ok(None) };
        let served = sum::without(&String::from_utf8_lossy(&text)).filter(|served: &Self| served.version == VERSION);
        served.map(Some).ok_or(KeyFilesReason::Malformed(path))
    }

    /// Remembers them in the data folder `data`.
    ///
    /// # Errors
    /// `File` when that cannot be written.
    pub fn remember(&self, data: &Path) -> Result<(), KeyFilesReason> {
        if Self::of(data).ok().flatten().as_ref() == Some(self) {
            return Ok(());
        }
        let path = data.join(NAME);
        let text = sum::with(self).ok_or_else(|| KeyFilesReason::Malformed(path.clone()))?;
        files::replace(&path, text.as_bytes(), Access::Owner).map_err(|error| KeyFilesReason::File(path, error))
    }
}
