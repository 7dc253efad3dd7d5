//! Why keys cannot be had: sentences for the operator, who is told what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::role::{KeyCheck, KeyRole, OWNER};

/// The reason for which keys cannot be had: sentences for the operator.
#[derive(Debug)]
pub enum KeyFilesReason {
    /// A file or the folder cannot be read or written.
    File(PathBuf, io::Error),
    /// There are no keys yet.
    Absent(PathBuf),
    /// Others than the owner have access.
    Exposed(PathBuf),
    /// The content is not that of such a file.
    Malformed(PathBuf),
    /// A list that is not there, with the first of the files that it once listed or stood beside. It is never made anew, because
    /// what they protect would be lost.
    Lost(PathBuf, String),
    /// The newest signed checkpoint is not remembered, although the log of the data folder has a published one.
    Head(PathBuf, PathBuf),
    /// The keys are not for the data folder: the key folder, the data folder, and why.
    Owner(PathBuf, PathBuf, OwnerReason),
    /// A data folder was written with keys that the key folder does not list.
    Another(PathBuf, Vec<KeyCheck>),
    /// A list has no key of this name.
    Unknown(PathBuf, String),
    /// A key is not there, which this list of the folder lists.
    Listed(PathBuf, &'static str),
    /// A secret is another than the one of this name that the list of the folder lists.
    Unlike(PathBuf, &'static str),
    /// As many secrets of a kind are kept as may be.
    Many(PathBuf, KeyRole),
    /// Listed or needed, and not there. It is never made anew, because what it protects would be lost.
    Missing(PathBuf),
    /// No randomness.
    Randomness,
}

/// Why the keys are not for this data folder. Sentences for the operator, who is told what to do.
#[derive(Debug, PartialEq, Eq)]
pub enum OwnerReason {
    /// Another process uses them.
    InUse,
    /// They belong to another data folder, which was at this path.
    Other(PathBuf),
    /// The data folder is a copy of the one that they belong to, which is or was at this path.
    Copy(PathBuf),
    /// The data folder was used with keys, and these do not say whose they are.
    Unsaid,
}

impl fmt::Display for KeyFilesReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Absent(path) => write!(f, "{} holds no keys; `countersign keys generate` makes them", path.display()),
            Self::Exposed(path) => {
                write!(f, "{} is open to others than its owner; take their access away (chmod go-rwx)", path.display())
            }
            Self::Malformed(path) => write!(f, "{} does not hold what it should", path.display()),
            Self::Missing(path) => write!(f, "{} is missing; put it back from a backup", path.display()),
            Self::Lost(path, beside) => write!(
                f,
                "{} is missing, although {beside} is there; put it back from a backup. New keys would end everything that was \
                 issued; who wants that takes an empty key folder",
                path.display()
            ),
            Self::Head(path, data) => write!(
                f,
                "{} is missing, although the ledger in {} has a published checkpoint: whether an older copy of the data was put \
                 back could not be told. Put it back from a backup, or give that up for what was signed so far: countersign keys \
                 accept-checkpoint --data {1}",
                path.display(),
                data.display()
            ),
            Self::Another(keys, missing) => another(f, keys, missing),
            Self::Listed(path, list) => {
                write!(f, "{} is missing, which {list} lists; put back from a backup what was there", path.display())
            }
            Self::Unlike(path, list) => {
                write!(f, "{} is not the one that {list} lists; put back from a backup what was there", path.display())
            }
            Self::Unknown(path, name) => write!(f, "{} lists no key {name}", path.display()),
            Self::Many(path, of) => {
                write!(f, "{} keeps as many keys of the kind {} as may be kept", path.display(), of.name())
            }
            Self::Owner(keys, data, reason) => reason.tell(f, keys, data),
            Self::Randomness => f.write_str("no random bytes can be had"),
        }
    }
}

impl std::error::Error for KeyFilesReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::File(_, error) = self { Some(error) } else { None }
    }
}

impl OwnerReason {
    /// The sentence about the key folder `keys` and the data folder `data`.
    fn tell(&self, f: &mut fmt::Formatter<'_>, keys: &Path, data: &Path) -> fmt::Result {
        let (keys, data) = (keys.display(), data.display());
        let adopt = format!("countersign keys adopt --data {data}");
        match self {
            Self::InUse => write!(
                f,
                "another server uses the key folder {keys}; two servers with the same keys would sign two histories, so each \
                 needs a key folder of its own (`dir` of [keys])"
            ),
            Self::Other(other) => write!(
                f,
                "the key folder {keys} belongs to the data folder {}, as its {OWNER} says, not to {data}; \
                 give this one a key folder of its own (`dir` of [keys]), \
                 or say that the keys are to be its own from now on: {adopt}",
                other.display()
            ),
            Self::Copy(original) => write!(
                f,
                "{data} is a copy of {}, which the key folder {keys} belongs to; what was revoked or used there since is unknown \
                 here. Where the copy is to take the place of the original: {adopt}",
                original.display()
            ),
            Self::Unsaid => write!(
                f,
                "{keys}/{OWNER} is missing, and {data} was used with keys before; put it back from a backup, or, where these are \
                 the keys of this data folder: {adopt}"
            ),
        }
    }
}

/// The sentence about keys that are `missing` in the folder `keys`.
fn another(f: &mut fmt::Formatter<'_>, keys: &Path, missing: &[KeyCheck]) -> fmt::Result {
    let named = |check: &KeyCheck| format!("the {} key {} ({})", check.of.name(), check.id, check.of.list());
    let named: Vec<String> = missing.iter().take(4).map(named).collect();
    let more = missing.len().saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    write!(
        f,
        "{} lacks keys that this data folder was written with: {}{more}. With other keys the records would mean something else: \
         put the files of that time back from a backup",
        keys.display(),
        named.join(", "),
    )
}
