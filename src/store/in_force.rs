//! What the configuration in force allows, in a small file of the data folder that people can read. It decides nothing.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{self, Access};

/// The files' names in the data folder.
const NAME: &str = "in-force.json";
const NAMES: &str = "names.json";

/// No file is longer.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The file in one data folder.
#[derive(Clone, Debug)]
pub struct InForceFile {
    folder: PathBuf,
    name: &'static str,
}

impl InForceFile {
    /// The file in the data folder `data`, which must be there when it is written.
    pub fn new(data: &Path) -> Self {
        Self { folder: data.to_owned(), name: NAME }
    }

    /// The file beside it of all names that ever were in force.
    pub fn of_names(data: &Path) -> Self {
        Self { folder: data.to_owned(), name: NAMES }
    }

    /// The path of the file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(self.name)
    }

    /// Its content; none where it was never written.
    ///
    /// # Errors
    /// When it cannot be read, or is longer than anything that is written.
    pub fn read(&self) -> io::Result<Option<Vec<u8>>> {
        files::read_if_there(&self.path(), FILE_BYTES_MAX)
    }

    /// Replaces its content, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, text: &[u8]) -> io::Result<()> {
        files::replace(&self.path(), text, Access::Owner)
    }
}
