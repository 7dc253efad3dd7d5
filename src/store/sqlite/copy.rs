//! A copy of the database as of one moment, while a server may write to it.

use std::path::Path;

use rusqlite::OpenFlags;

use super::folder::{self, connect, failed, private_file};
use crate::commit::contract::StoreReason;
use crate::files;

/// Copies the database of the data folder `from` into the folder `to`, where there is none: what one reading transaction sees,
/// durably, and for the owner alone. The keys of subjects lie in another file and are not copied.
///
/// # Errors
/// `Folder` where there is no database, or one there already; `Failed` when it cannot be read or written.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), StoreReason> {
    let (from, to) = (folder::database(from), folder::database(to));
    std::fs::metadata(&from).map_err(StoreReason::Folder)?;
    // SQLite fills a file that is empty, and leaves its permissions as they are.
    files::create(&to, b"", files::Access::Owner).map_err(StoreReason::Folder)?;
    let connection = connect(&from, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let path = to.to_str().ok_or_else(|| StoreReason::Folder(std::io::Error::other("its path is not UTF-8")))?;
    connection.execute("VACUUM INTO ?1", [path]).map_err(failed)?;
    private_file(&to).and_then(|file| file.sync_all()).map_err(StoreReason::Folder)
}
