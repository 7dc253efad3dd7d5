//! Looks at the file system: what was read of each file and folder, and what tells that it was written meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::crypto::Digest;
use crate::files;

#[cfg(test)]
thread_local! {
    /// Done before each look of this thread: whoever writes does not wait until a reading is over.
    pub(crate) static BETWEEN: std::cell::RefCell<Option<Box<dyn FnMut()>>> = const { std::cell::RefCell::new(None) };
}

/// No file of a configuration is longer; key sets are the longest.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Nor is a revocation list of a large authority, which are the exception.
const LIST_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// No folder of a configuration holds more files.
pub(super) const FOLDER_FILES_MAX: usize = 10_000;

/// As deep is looked for files that are not read.
const UNREAD_DEPTH_MAX: usize = 3;

/// A file or folder that a configuration is read from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Looked {
    /// A file.
    File(PathBuf),
    /// A revocation list.
    List(PathBuf),
    /// The names in a folder that end in an extension.
    Folder(PathBuf, &'static str),
    /// Everything else in the folder, and what ends in the extension in the folders below it.
    Unread(PathBuf, &'static str),
}

/// The outcome of one look.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// The bytes of a file.
    Bytes(Arc<[u8]>),
    /// The files in a folder.
    Files(Arc<BTreeSet<PathBuf>>),
    /// There was nothing to be had.
    Failed(io::ErrorKind, Arc<str>),
}

/// Size, times and identity of a file or folder; they change with every writing, also where the content does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// A look with everything that tells whether another one agrees with it.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) content: Content,
    stamp: FileStamp,
}

/// The files and folders of a configuration as they were read, with their content: it can be read from them again.
#[derive(Clone, Debug, Default)]
pub struct KeptFiles(pub(super) Arc<BTreeMap<Looked, Look>>);

/// Digests and stamps of every file and folder of a configuration as it was read. Equal when nothing was written since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<Looked, (Digest, FileStamp)>);

impl Looked {
    /// Looks once.
    pub(super) fn look(&self) -> Look {
        #[cfg(test)]
        BETWEEN.with_borrow_mut(|between| between.iter_mut().for_each(|step| step()));
        let (content, stamp) = match self {
            Self::File(path) => read(path, FILE_BYTES_MAX),
            Self::List(path) => read(path, LIST_BYTES_MAX),
            Self::Folder(path, extension) => list(path, names(path, extension)),
            Self::Unread(path, extension) => list(path, unread(path, extension)),
        };
        Look { content, stamp }
    }

    fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::List(path) | Self::Folder(path, _) | Self::Unread(path, _) => path,
        }
    }

    /// True for names only: what is read stands under files.
    fn is_listing(&self) -> bool {
        matches!(self, Self::Folder(..) | Self::Unread(..))
    }
}

impl Look {
    /// One that there is nothing of among the files that were kept.
    pub(super) fn not_kept() -> Self {
        Self { content: Content::Failed(io::ErrorKind::NotFound, "it was not read before".into()), stamp: FileStamp::default() }
    }

    fn digest(&self) -> Digest {
        match &self.content {
            Content::Bytes(bytes) => Digest::of_parts(&[b"file\0", bytes]),
            Content::Files(paths) => {
                let names: Vec<&[u8]> = paths.iter().flat_map(|path| [path.as_os_str().as_encoded_bytes(), b"\0"]).collect();
                Digest::of_parts(&names)
            }
            Content::Failed(_, why) => Digest::of_parts(&[b"error\0", why.as_bytes()]),
        }
    }
}

impl KeptFiles {
    /// Their fingerprint.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.0.iter().map(|(looked, look)| (looked.clone(), (look.digest(), look.stamp))).collect())
    }
}

impl Fingerprint {
    /// The fingerprint of these files as they are now.
    pub(super) fn of_files(paths: impl Iterator<Item = PathBuf>) -> Self {
        Self(paths.map(|path| (Looked::File(path), (Digest::of(b""), FileStamp::default()))).collect()).again()
    }

    /// The fingerprint of the same files and folders as they are now.
    #[must_use]
    pub fn again(&self) -> Self {
        let look = |looked: &Looked| {
            let look = looked.look();
            (looked.clone(), (look.digest(), look.stamp))
        };
        Self(self.0.keys().map(look).collect())
    }

    /// True where everything holds the same, whenever it was written.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.contents().eq(other.contents())
    }

    /// The files that were read here and are not read in `other`.
    pub(super) fn lost_in<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Path> {
        self.0.keys().filter(|looked| !looked.is_listing() && !other.0.contains_key(looked)).map(Looked::path)
    }

    /// The digest of all content. Files are named as seen from the folder `home`.
    pub(super) fn digest(&self, home: &Path, environment: &BTreeMap<String, String>) -> Digest {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for (looked, digest) in self.contents().filter(|(looked, _)| !looked.is_listing()) {
            let whole = std::path::absolute(looked.path()).unwrap_or_else(|_| looked.path().to_owned());
            let path = whole.strip_prefix(home).unwrap_or(&whole);
            parts.push([path.as_os_str().as_encoded_bytes(), b"\0", digest.0.as_slice()].concat());
        }
        parts.extend(environment.iter().map(|(name, value)| format!("{name}={value}\0").into_bytes()));
        Digest::of_parts(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// How long ago, at `now`, any of them was written last; none where that cannot be told or lies in the future.
    pub(super) fn rests_since(&self, now: SystemTime) -> Option<Duration> {
        let newest = self.0.values().map(|(_, stamp)| stamp.modified).max()?;
        let newest = SystemTime::UNIX_EPOCH + Duration::new(u64::try_from(newest.0).ok()?, u32::try_from(newest.1).ok()?);
        now.duration_since(newest).ok()
    }

    fn contents(&self) -> impl Iterator<Item = (&Looked, &Digest)> {
        self.0.iter().map(|(looked, (digest, _))| (looked, digest))
    }
}

fn read(path: &Path, bytes_max: u64) -> (Content, FileStamp) {
    let mut stamp = FileStamp::default();
    let mut read = || {
        stamp = FileStamp::of(&fs::metadata(path)?);
        let file = files::open(path)?;
        stamp = FileStamp::of(&file.metadata()?);
        files::bounded(file, bytes_max)
    };
    let content = read().map_or_else(|error| failed(&error), |bytes| Content::Bytes(bytes.into()));
    (content, stamp)
}

fn list(folder: &Path, names: io::Result<BTreeSet<PathBuf>>) -> (Content, FileStamp) {
    let stamp = fs::metadata(folder).map(|metadata| FileStamp::of(&metadata)).unwrap_or_default();
    let content = names.map_or_else(|error| failed(&error), |paths| Content::Files(paths.into()));
    (content, stamp)
}

/// One more than the limit is listed, so that the excess shows.
fn names(folder: &Path, extension: &str) -> io::Result<BTreeSet<PathBuf>> {
    let mut paths = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let hidden = name.as_encoded_bytes().first() == Some(&b'.');
        let wanted = Path::new(&name).extension().is_some_and(|found| found == extension);
        if wanted && !hidden && paths.len() <= FOLDER_FILES_MAX {
            paths.insert(folder.join(name));
        }
    }
    Ok(paths)
}

/// The files of a folder that [`names`] leaves out, and those that it would list in the folders below; folders whose names begin
/// with a dot are left alone, as they hold versions of what a link in the folder names.
fn unread(folder: &Path, extension: &str) -> io::Result<BTreeSet<PathBuf>> {
    let (mut paths, mut below) = (BTreeSet::new(), vec![(folder.to_owned(), 0)]);
    while let Some((here, depth)) = below.pop() {
        for entry in fs::read_dir(&here)? {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            let hidden = name.as_encoded_bytes().first() == Some(&b'.');
            let wanted = Path::new(&name).extension().is_some_and(|found| found == extension);
            match path.is_dir() {
                true if !hidden && depth < UNREAD_DEPTH_MAX => below.push((path, depth + 1)),
                false if paths.len() <= FOLDER_FILES_MAX && (depth == 0) == (hidden || !wanted) => drop(paths.insert(path)),
                _ => {}
            }
        }
    }
    Ok(paths)
}

fn failed(error: &io::Error) -> Content {
    Content::Failed(error.kind(), error.to_string().into())
}

impl FileStamp {
    fn of(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec()).max((metadata.ctime(), metadata.ctime_nsec()));
        Self { device: metadata.dev(), inode: metadata.ino(), bytes: metadata.len(), modified }
    }
}
