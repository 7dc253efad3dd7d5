//! Files that only their owner can read, replaced whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::reason::KeyFilesReason;
use crate::files::{self, Access};

const FILE_BYTES_MAX: u64 = 64 * 1024;

/// 32 random bytes, kept for as long as what they protect.
pub(super) type Secret = Zeroizing<[u8; 32]>;

/// The folder that keys are kept in.
#[derive(Clone)]
pub(super) struct KeyFolder(PathBuf);

/// While it is held nobody else makes or rotates keys. Released when dropped, or when the process ends.
pub(super) struct Lock(#[allow(dead_code, reason = "held for its drop")] File);

impl KeyFolder {
    /// The folder at `path`, made if it is not there.
    pub(super) fn create(path: &Path) -> Result<Self, KeyFilesReason> {
        let made = files::make_folder(path, Access::Owner);
        made.map_err(|error| KeyFilesReason::File(path.to_owned(), error)).map(|()| Self(path.to_owned()))
    }

    /// The folder at `path`, which must be there.
    pub(super) fn open(path: &Path) -> Result<Self, KeyFilesReason> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Ok(Self(path.to_owned())),
            Ok(_) => Err(KeyFilesReason::Malformed(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(KeyFilesReason::Absent(path.to_owned())),
            Err(error) => Err(KeyFilesReason::File(path.to_owned(), error)),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    /// Refuses the loss of the file `name` while there is a file that `tells` of it.
    pub(super) fn refuse_remains(&self, name: &str, tells: impl Fn(&str) -> bool) -> Result<(), KeyFilesReason> {
        let failed = |error| KeyFilesReason::File(self.0.clone(), error);
        let mut beside: Vec<String> = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(failed)? {
            beside.extend(entry.map_err(failed)?.file_name().into_string().ok().filter(|name| tells(name)));
        }
        beside.sort_unstable();
        beside.into_iter().next().map_or(Ok(()), |beside| Err(KeyFilesReason::Lost(self.path(name), beside)))
    }

    /// Waits until nobody else makes or rotates keys.
    pub(super) fn lock(&self) -> Result<Lock, KeyFilesReason> {
        let path = self.path(".lock");
        let locked = files::keep(&path).and_then(|file| file.lock().map(|()| Lock(file)));
        locked.map_err(|error| KeyFilesReason::File(path, error))
    }

    /// Closes the folder to others. It may have been there before its first keys.
    pub(super) fn seal(&self) -> Result<(), KeyFilesReason> {
        files::close_folder(&self.0).map_err(|error| KeyFilesReason::File(self.0.clone(), error))
    }

    /// Whoever can write to the folder can put other keys into it.
    pub(super) fn refuse_writable(&self) -> Result<(), KeyFilesReason> {
        let found = fs::metadata(&self.0).map_err(|error| KeyFilesReason::File(self.0.clone(), error))?;
        if found.permissions().mode() & 0o022 == 0 { Ok(()) } else { Err(KeyFilesReason::Exposed(self.0.clone())) }
    }

    /// The text of the file `name`, which the file `list` lists.
    pub(super) fn read_listed(&self, name: &str, list: &'static str) -> Result<Zeroizing<String>, KeyFilesReason> {
        self.read(name).map_err(|reason| match reason {
            KeyFilesReason::Missing(path) => KeyFilesReason::Listed(path, list),
            other => other,
        })
    }

    /// The text of a file that nobody else can read.
    pub(super) fn read(&self, name: &str) -> Result<Zeroizing<String>, KeyFilesReason> {
        let path = self.path(name);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => KeyFilesReason::Missing(path.clone()),
            io::ErrorKind::InvalidData => KeyFilesReason::Malformed(path.clone()),
            _ => KeyFilesReason::File(path.clone(), error),
        };
        let file = files::open(&path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if found.permissions().mode() & 0o077 != 0 {
            return Err(KeyFilesReason::Exposed(path));
        }
        if found.len() > FILE_BYTES_MAX {
            return Err(KeyFilesReason::Malformed(path));
        }
        let mut text = Zeroizing::new(String::with_capacity(usize::try_from(found.len()).unwrap_or(0) + 1));
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        Ok(text)
    }

    /// Puts `bytes` in place of the file `name`: durable when this returns, and never half there.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), KeyFilesReason> {
        let written = files::replace(&self.path(name), bytes, Access::Owner);
        written.map_err(|error| KeyFilesReason::File(self.path(name), error))
    }

    /// Removes a file that need not be there.
    pub(super) fn remove(&self, name: &str) -> Result<(), KeyFilesReason> {
        let removed = files::remove(&self.path(name)).and_then(|()| files::flush_folder(&self.0));
        removed.map_err(|error| KeyFilesReason::File(self.path(name), error))
    }
}

/// A secret as its file holds it.
pub(super) fn encode(secret: &Secret) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(44));
    URL_SAFE_NO_PAD.encode_string(secret.as_slice(), &mut text);
    text.push('\n');
    text
}

/// The secret that a file holds.
pub(super) fn decode(text: &str) -> Option<Secret> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.trim_ascii_end()).ok()?);
    let mut secret = Zeroizing::new([0; 32]);
    if bytes.len() != secret.len() {
        return None;
    }
    secret.copy_from_slice(&bytes);
    Some(secret)
}
