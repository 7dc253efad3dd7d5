//! The data folder, private to its owner and used by one server at a time, and connections to its database.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::commit::contract::StoreReason;
use crate::files::{self, Access};

/// The databases' files; the log of each and its index lie beside it under names that SQLite gives them.
const DATABASE: &str = "commit.sqlite";
const SUBJECTS: &str = "subjects.sqlite";
const LOCK: &str = "commit.lock";

/// How long a connection waits for another one's lock.
const BUSY: Duration = Duration::from_secs(2);

/// More than there are: one that does not fit would be parsed again at every commit, and push out the next.
const STATEMENTS: usize = 64;

/// A data folder that this process alone writes to. The lock goes with the value, or with the process.
#[derive(Debug)]
pub(super) struct LockedFolder {
    path: PathBuf,
    _lock: File,
}

impl LockedFolder {
    pub(super) fn take(path: &Path) -> Result<Self, StoreReason> {
        make_private(path).map_err(StoreReason::Folder)?;
        let lock = private_file(&path.join(LOCK)).map_err(StoreReason::Folder)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreReason::Locked),
            Err(TryLockError::Error(cause)) => return Err(StoreReason::Folder(cause)),
        }
        // SQLite gives the log and its index the permissions of the database.
        private_file(&path.join(DATABASE)).map_err(StoreReason::Folder)?;
        files::flush_folder(path).map_err(StoreReason::Folder)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        database(&self.path)
    }

    pub(super) fn subjects(&self) -> PathBuf {
        subjects(&self.path)
    }
}

/// The database in a data folder.
pub(super) fn database(folder: &Path) -> PathBuf {
    folder.join(DATABASE)
}

/// The keys of subjects in a data folder.
pub(super) fn subjects(folder: &Path) -> PathBuf {
    folder.join(SUBJECTS)
}

/// True where a server has used the folder before.
pub(crate) fn is_used(folder: &Path) -> bool {
    database(folder).exists()
}

/// A connection that never checkpoints by itself, not even when it is closed.
pub(super) fn connect(database: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(database, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

pub(super) fn failed(cause: rusqlite::Error) -> StoreReason {
    StoreReason::Failed(Box::new(cause))
}

/// Makes the folder with mode 0700, or closes an existing one to others if it is empty or already ours.
fn make_private(path: &Path) -> io::Result<()> {
    files::make_folder(path, Access::Owner)?;
    let open_to_others = fs::metadata(path)?.permissions().mode() & 0o077 != 0;
    if !open_to_others {
        return Ok(());
    }
    let ours = path.join(LOCK).exists() || fs::read_dir(path)?.next().is_none();
    if !ours {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is open to other users and holds other things"));
    }
    files::close_folder(path)
}

/// Makes the file with mode 0600, or closes an existing one to others.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    let file = files::keep(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}
