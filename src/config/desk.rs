//! The files that a configuration is read from. Everything looked at is noted, so that a change of any of it can be noticed,
//! and everything wrong is collected.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Diagnostic, Diagnostics};
use crate::catalog::Place;
use crate::crypto::Digest;

/// No file of a configuration is longer; key sets are the longest.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Nor is a revocation list of a large authority, which are the exception.
const LIST_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// No folder of a configuration holds more files.
const FOLDER_FILES_MAX: usize = 10_000;

/// What the reading of one configuration has looked at and found wrong.
#[derive(Default)]
pub(super) struct Desk {
    complaints: RefCell<Vec<Diagnostic>>,
    warnings: RefCell<Vec<Diagnostic>>,
    illegible: RefCell<BTreeSet<Place>>,
    seen: RefCell<BTreeMap<Looked, Digest>>,
}

/// One look at the file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Looked {
    File(PathBuf),
    List(PathBuf),
    Folder(PathBuf, &'static str),
}

/// What every file and folder of a configuration looked like when it was read. Equal when nothing has changed since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<Looked, Digest>);

impl Desk {
    /// Collects a mistake, unless its line could not even be read.
    pub(super) fn complain(&self, complaint: Diagnostic) {
        if !self.illegible.borrow().contains(&complaint.place) {
            self.complaints.borrow_mut().push(complaint);
        }
    }

    /// Collects that a line cannot be read.
    pub(super) fn complain_of_line(&self, complaint: Diagnostic) {
        self.illegible.borrow_mut().insert(complaint.place.clone());
        self.complaints.borrow_mut().push(complaint);
    }

    /// Collects what is no mistake and may still surprise.
    pub(super) fn warn(&self, complaint: Diagnostic) {
        self.warnings.borrow_mut().push(complaint);
    }

    /// The text of a file; a complaint at `asked_at` when it cannot be had.
    pub(super) fn text(&self, path: &Path, asked_at: &Place) -> Option<String> {
        let read = read(path, FILE_BYTES_MAX);
        self.note(Looked::File(path.to_owned()), digest_of_file(&read));
        let problem = match read.map(String::from_utf8) {
            Ok(Ok(text)) => return Some(text),
            Ok(Err(_)) => "is not UTF-8".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        self.complain(Diagnostic::new(asked_at.clone(), format!("{} {problem}", path.display())));
        None
    }

    /// The bytes of a revocation list; a complaint at `asked_at` when they cannot be had.
    pub(super) fn list(&self, path: &Path, asked_at: &Place) -> Option<Vec<u8>> {
        let read = read(path, LIST_BYTES_MAX);
        self.note(Looked::List(path.to_owned()), digest_of_file(&read));
        let complain =
            |error| self.complain(Diagnostic::new(asked_at.clone(), format!("{} cannot be read: {error}", path.display())));
        read.map_err(complain).ok()
    }

    /// Notes a file that is read by somebody else.
    pub(super) fn watch(&self, path: PathBuf) {
        let digest = digest_of_file(&read(&path, FILE_BYTES_MAX));
        self.note(Looked::File(path), digest);
    }

    /// The text of a file that need not exist.
    pub(super) fn text_if_there(&self, path: &Path, asked_at: &Place) -> Option<String> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.note(Looked::File(path.to_owned()), digest_of_file(&Err(error)));
                None
            }
            _ => self.text(path, asked_at),
        }
    }

    /// The files of a folder whose names end in `.extension`, in alphabetical order, hidden ones left out. A folder that is not
    /// there is a mistake unless `may_be_missing`.
    pub(super) fn files(&self, folder: &Path, extension: &'static str, asked_at: &Place, may_be_missing: bool) -> Vec<PathBuf> {
        let listed = list(folder, extension);
        self.note(Looked::Folder(folder.to_owned(), extension), digest_of_folder(&listed));
        let problem = match listed {
            Ok(paths) if paths.len() <= FOLDER_FILES_MAX => return paths.into_iter().collect(),
            Ok(_) => format!("holds more than {FOLDER_FILES_MAX} files"),
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_be_missing => return Vec::new(),
            Err(error) => format!("cannot be read: {error}"),
        };
        self.complain(Diagnostic::new(asked_at.clone(), format!("folder {} {problem}", folder.display())));
        Vec::new()
    }

    /// Everything that was wrong, everything that may surprise, and what everything looked like.
    pub(super) fn finish(self) -> (Diagnostics, Diagnostics, Fingerprint) {
        let [complaints, warnings] = [self.complaints, self.warnings].map(|list| Diagnostics::new(list.into_inner()));
        (complaints, warnings, Fingerprint(self.seen.into_inner()))
    }

    fn note(&self, looked: Looked, digest: Digest) {
        self.seen.borrow_mut().insert(looked, digest);
    }
}

impl Fingerprint {
    /// What the same files and folders look like now.
    #[must_use]
    pub fn again(&self) -> Self {
        let look = |looked: &Looked| match looked {
            Looked::File(path) => digest_of_file(&read(path, FILE_BYTES_MAX)),
            Looked::List(path) => digest_of_file(&read(path, LIST_BYTES_MAX)),
            Looked::Folder(path, extension) => digest_of_folder(&list(path, extension)),
        };
        Self(self.0.keys().map(|looked| (looked.clone(), look(looked))).collect())
    }
}

impl Fingerprint {
    /// Notes what a file that was read looks like now; the others stand as they were.
    pub fn look_again_at(&mut self, path: &Path) {
        let looked = Looked::File(path.to_owned());
        if let Some(digest) = self.0.get_mut(&looked) {
            *digest = digest_of_file(&read(path, FILE_BYTES_MAX));
        }
    }
}

fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it is longer than {} MiB", bytes_max >> 20)));
    }
    Ok(bytes)
}

/// One more than the limit is listed, so that the excess shows.
fn list(folder: &Path, extension: &str) -> io::Result<BTreeSet<PathBuf>> {
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

fn digest_of_file(read: &io::Result<Vec<u8>>) -> Digest {
    match read {
        Ok(bytes) => Digest::of_parts(&[b"file\0", bytes]),
        Err(error) => Digest::of_parts(&[b"error\0", error.to_string().as_bytes()]),
    }
}

fn digest_of_folder(listed: &io::Result<BTreeSet<PathBuf>>) -> Digest {
    match listed {
        Ok(paths) => {
            let names: Vec<&[u8]> = paths.iter().flat_map(|path| [path.as_os_str().as_encoded_bytes(), b"\0"]).collect();
            Digest::of_parts(&names)
        }
        Err(error) => Digest::of_parts(&[b"error\0", error.to_string().as_bytes()]),
    }
}
