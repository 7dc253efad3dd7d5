//! Files on disk, through one place. Only regular files are read. What is ours is replaced whole or not at all, is durable, and
//! belongs to whom its folder belongs to, also where the superuser writes it.
//!
//! A symbolic link is read as what it leads to: so Kubernetes lays out config maps and secrets. What is written is never written
//! through one.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Those who may read what is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The owner alone: modes 0600 and 0700.
    Owner,
    /// Everybody: modes 0644 and 0755, less what the umask takes.
    Everybody,
}

impl Access {
    fn of_file(self) -> u32 {
        if self == Self::Owner { 0o600 } else { 0o644 }
    }

    fn of_folder(self) -> u32 {
        if self == Self::Owner { 0o700 } else { 0o755 }
    }
}

/// The regular file at `path`, to be read. Nothing else is waited for, nor opened: a FIFO has no writer, a device may act.
///
/// # Errors
/// `NotFound` where there is none; others say what is there instead.
pub fn open(path: &Path) -> io::Result<File> {
    regular(&fs::metadata(path)?)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    // Another may have been put in its place since.
    regular(&file.metadata()?)?;
    Ok(file)
}

/// The bytes of the regular file at `path`.
///
/// # Errors
/// As of [`open`], and when it is longer than `bytes_max`.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    bounded(open(path)?, bytes_max)
}

/// The bytes of the regular file at `path`; none where there is no file.
///
/// # Errors
/// As of [`read`], but for `NotFound`.
pub fn read_if_there(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    match read(path, bytes_max) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// The text of the regular file at `path`.
///
/// # Errors
/// As of [`read`], and `InvalidData` when it is not UTF-8.
pub fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    text(read(path, bytes_max)?)
}

/// The text of what a person named on the command line for this once: it may be a pipe of their shell, which is waited for.
///
/// # Errors
/// When it cannot be read, is longer than `bytes_max`, or is not UTF-8.
pub fn read_argument(path: &Path, bytes_max: u64) -> io::Result<String> {
    text(bounded(File::open(path)?, bytes_max)?)
}

/// The bytes of an open file.
///
/// # Errors
/// When it cannot be read, or is longer than `bytes_max`.
pub fn bounded(file: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > bytes_max {
        false => Ok(bytes),
        true if bytes_max >> 20 > 0 => Err(io::Error::other(format!("it is longer than {} MiB", bytes_max >> 20))),
        true => Err(io::Error::other(format!("it is longer than {} KiB", bytes_max >> 10))),
    }
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

fn regular(found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::other(format!("it is {what}, not a file; only regular files are read")))
}

/// Changes below one folder. What was replaced is durable once they are settled, together, for each folder is flushed once.
pub struct Changes {
    top: PathBuf,
    touched: BTreeSet<PathBuf>,
    access: Access,
}

impl Changes {
    /// Changes below `top` that only its owner may read.
    pub fn below(top: &Path) -> Self {
        Self::with(top, Access::Owner)
    }

    /// Changes below `top` that those may read whom `access` names.
    pub fn with(top: &Path, access: Access) -> Self {
        Self { top: top.to_owned(), touched: BTreeSet::new(), access }
    }

    /// Makes a folder that may be there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&mut self, path: &Path) -> io::Result<()> {
        make_folder(path, self.access)?;
        // Also what was there: an attempt that failed may have made it and not flushed what it stands in.
        let within = path.ancestors().skip(1).take_while(|ancestor| ancestor.starts_with(&self.top));
        self.touched.extend(within.map(Path::to_owned));
        Ok(())
    }

    /// Puts bytes in place of what may be at each path. The flush comes before the rename: a crash leaves the old or the new. All
    /// are written before the first is flushed, so that one turn of the file system's journal takes them together.
    ///
    /// # Errors
    /// When one cannot be written; those before it may be replaced by then.
    pub fn replace(&mut self, files: &[(PathBuf, &[u8])]) -> io::Result<()> {
        let written: io::Result<Vec<_>> = files.iter().map(|(path, bytes)| self.beside(path, bytes)).collect();
        let written = written?;
        written.iter().try_for_each(|(file, _)| file.sync_all())?;
        written.iter().zip(files).try_for_each(|((_, temporary), (path, _))| fs::rename(temporary, path))
    }

    /// Writes a new file in the folder of `path`.
    fn beside(&mut self, path: &Path, bytes: &[u8]) -> io::Result<(File, PathBuf)> {
        let folder = folder_of(path);
        self.folder(folder)?;
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".new");
        let temporary = folder.join(name);
        remove(&temporary)?;
        let mut file = make(&temporary, self.access)?;
        file.write_all(bytes)?;
        self.touched.insert(folder.to_owned());
        Ok((file, temporary))
    }

    /// Flushes the folders that were changed: a rename is durable when its folder is.
    ///
    /// # Errors
    /// When one cannot be flushed.
    pub fn settle(self) -> io::Result<()> {
        self.touched.iter().try_for_each(|folder| flush_folder(folder))
    }
}

/// Puts `bytes` in place of what may be at `path`: durable when this returns, and never half there.
///
/// # Errors
/// When that cannot be done.
pub fn replace(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut changes = Changes::with(folder_of(path), access);
    changes.replace(&[(path.to_owned(), bytes)])?;
    changes.settle()
}

/// Puts a file where there is none.
///
/// # Errors
/// `AlreadyExists` where there is something; and when that cannot be done.
pub fn create(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    make_folder(folder_of(path), access)?;
    let mut file = make(path, access)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    flush_folder(folder_of(path))
}

/// A file that is kept open, for its lock or by a database: made if it is not there, its content left as it is.
///
/// # Errors
/// When something else is there, a symbolic link among them, or it cannot be opened.
pub fn keep(path: &Path) -> io::Result<File> {
    let made = make(path, Access::Owner);
    if !made.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
        return made;
    }
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Err(io::Error::other("it is a symbolic link; what the server writes must be a file of its own"));
    }
    regular(&found)?;
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)
}

/// Removes a file that need not be there.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Puts the file or folder `from` in place of a file that may be at `to`, on the same file system: durable once both folders are
/// flushed, and never half there.
///
/// # Errors
/// When it is not there, or that cannot be done.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Makes a folder, and those that it stands in, where they are not there.
///
/// # Errors
/// When one cannot be made.
pub fn make_folder(path: &Path, access: Access) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    make_folder(folder_of(path), access)?;
    match DirBuilder::new().mode(access.of_folder()).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made?,
    }
    let folder = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(path)?;
    hand_over(&folder, path)
}

/// Takes others' access to a folder away.
///
/// # Errors
/// When that cannot be done.
pub fn close_folder(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(Access::Owner.of_folder()))
}

/// Makes durable what was put into a folder or taken out of it.
///
/// # Errors
/// When that cannot be done.
pub fn flush_folder(path: &Path) -> io::Result<()> {
    File::open(if path.as_os_str().is_empty() { Path::new(".") } else { path })?.sync_all()
}

/// A socket at `path`, which only the folder's owner reaches; one that a killed server left behind is replaced.
///
/// # Errors
/// When it cannot be made.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    remove(path)?;
    // The folder is closed to others, also between these steps.
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(Access::Owner.of_file()))?;
    if let Some((user, group)) = heir(&fs::symlink_metadata(path)?, path)? {
        where_it_may(lchown(path, Some(user), Some(group)))?;
    }
    Ok(listener)
}

/// A new file, which is there only now: never one that somebody else laid there.
fn make(path: &Path, access: Access) -> io::Result<File> {
    let file = OpenOptions::new().create_new(true).read(true).write(true).mode(access.of_file()).open(path)?;
    hand_over(&file, path)?;
    Ok(file)
}

/// Gives what the superuser has just made at `path` to the owner of the folder that it is in, who has to use it.
fn hand_over(made: &File, path: &Path) -> io::Result<()> {
    match heir(&made.metadata()?, path)? {
        Some((user, group)) => where_it_may(fchown(made, Some(user), Some(group))),
        None => Ok(()),
    }
}

/// A superuser of a container may not give files away, or not to users outside of it; then what was made stays as it is.
fn where_it_may(given: io::Result<()>) -> io::Result<()> {
    match given {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => Ok(()),
        given => given,
    }
}

/// The user and group to whom what was `made` at `path` goes; nobody where only the superuser could give it, and did not make it.
fn heir(made: &Metadata, path: &Path) -> io::Result<Option<(u32, u32)>> {
    let folder = fs::metadata(folder_of(path))?;
    let theirs = made.uid() == 0 && folder.uid() != 0;
    Ok(theirs.then(|| (folder.uid(), folder.gid())))
}

/// The folder that `path` is in; the current one for a bare name.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests;
