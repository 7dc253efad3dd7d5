//! The files that a configuration is read from. Everything looked at is noted, so that a change of any of it can be noticed,
//! and everything wrong is collected.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::toml::{self, Table};
use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Diagnostics, SourceLocation, SourceText};
use crate::files::read;

/// The settings of `conf/default.toml` as compiled in, and their name in diagnostics. Their relative paths are relative to
/// `conf`, as are those of the file.
pub(super) const DEFAULTS: (&str, &str) = ("conf/default.toml (compiled in)", include_str!("../../conf/default.toml"));

/// No file of a configuration is longer; key sets are the longest.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Nor is a revocation list of a large authority, which are the exception.
const LIST_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// No folder of a configuration holds more files.
const FOLDER_FILES_MAX: usize = 10_000;

/// One reading of a configuration: the files it has looked at, and what is wrong with them.
#[derive(Default)]
pub(super) struct LoadContext {
    errors: RefCell<Vec<Diagnostic>>,
    warnings: RefCell<Vec<Diagnostic>>,
    /// Lines that are no TOML: of what they do not say nothing further is told.
    illegible: RefCell<BTreeSet<(Arc<str>, u32)>>,
    seen: RefCell<BTreeMap<Looked, Digest>>,
}

/// One look at the file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Looked {
    File(PathBuf),
    List(PathBuf),
    Folder(PathBuf, &'static str),
}

/// Digests of every file and folder of a configuration as it was read. Equal when nothing has changed since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<Looked, Digest>);

impl LoadContext {
    /// Collects a mistake at `location`; the sentence says what would be right.
    pub(super) fn error(&self, location: SourceLocation, sentence: impl Into<String>) {
        self.report(Diagnostic::new(location, sentence));
    }

    /// Collects what is no mistake and may still surprise.
    pub(super) fn warn(&self, location: SourceLocation, sentence: impl Into<String>) {
        self.warnings.borrow_mut().push(Diagnostic::new(location, sentence));
    }

    /// Collects a mistake, unless its line could not even be read.
    pub(super) fn report(&self, diagnostic: Diagnostic) {
        let SourceLocation { file, line, .. } = &diagnostic.location;
        if !self.illegible.borrow().contains(&(file.clone(), *line)) {
            self.errors.borrow_mut().push(diagnostic);
        }
    }

    /// Collects a warning that says more than a sentence.
    pub(super) fn report_warning(&self, diagnostic: Diagnostic) {
        self.warnings.borrow_mut().push(diagnostic);
    }

    /// The legible part of a TOML text of the file called `name`; a mistake for each line that is not.
    pub(super) fn toml(&self, name: &str, text: &str) -> Table {
        let (table, errors) = toml::parse(&SourceText::new(name, text));
        let lines = errors.iter().map(|error| (error.location.file.clone(), error.location.line));
        self.illegible.borrow_mut().extend(lines);
        self.errors.borrow_mut().extend(errors);
        table
    }

    /// The text of a file; a mistake at `asked_at` when it cannot be had.
    pub(super) fn text(&self, path: &Path, asked_at: &SourceLocation) -> Option<String> {
        let read = read(path, FILE_BYTES_MAX);
        self.note(Looked::File(path.to_owned()), digest_of_file(&read));
        let problem = match read.map(String::from_utf8) {
            Ok(Ok(text)) => return Some(text),
            Ok(Err(_)) => "is not UTF-8".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        self.error(asked_at.clone(), format!("{} {problem}", path.display()));
        None
    }

    /// The bytes of a revocation list; a mistake at `asked_at` when they cannot be had.
    pub(super) fn list(&self, path: &Path, asked_at: &SourceLocation) -> Option<Vec<u8>> {
        let read = read(path, LIST_BYTES_MAX);
        self.note(Looked::List(path.to_owned()), digest_of_file(&read));
        let failed = |error| self.error(asked_at.clone(), format!("{} cannot be read: {error}", path.display()));
        read.map_err(failed).ok()
    }

    /// Notes a file that is read by somebody else.
    pub(super) fn watch(&self, path: PathBuf) {
        let digest = digest_of_file(&read(&path, FILE_BYTES_MAX));
        self.note(Looked::File(path), digest);
    }

    /// The text of a file that need not exist.
    pub(super) fn text_if_there(&self, path: &Path, asked_at: &SourceLocation) -> Option<String> {
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
    pub(super) fn files(
        &self,
        folder: &Path,
        extension: &'static str,
        asked_at: &SourceLocation,
        may_be_missing: bool,
    ) -> Vec<PathBuf> {
        let listed = list(folder, extension);
        self.note(Looked::Folder(folder.to_owned(), extension), digest_of_folder(&listed));
        let problem = match listed {
            Ok(paths) if paths.len() <= FOLDER_FILES_MAX => return paths.into_iter().collect(),
            Ok(_) => format!("holds more than {FOLDER_FILES_MAX} files"),
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_be_missing => return Vec::new(),
            Err(error) => format!("cannot be read: {error}"),
        };
        self.error(asked_at.clone(), format!("folder {} {problem}", folder.display()));
        Vec::new()
    }

    /// Every mistake, every warning, and the fingerprint of everything that was looked at.
    pub(super) fn finish(self) -> (Diagnostics, Diagnostics, Fingerprint) {
        let [errors, warnings] = [self.errors, self.warnings].map(|list| Diagnostics::new(list.into_inner()));
        (errors, warnings, Fingerprint(self.seen.into_inner()))
    }

    fn note(&self, looked: Looked, digest: Digest) {
        self.seen.borrow_mut().insert(looked, digest);
    }
}

impl Fingerprint {
    /// The fingerprint of the same files and folders as they are now.
    #[must_use]
    pub fn again(&self) -> Self {
        let look = |looked: &Looked| match looked {
            Looked::File(path) => digest_of_file(&read(path, FILE_BYTES_MAX)),
            Looked::List(path) => digest_of_file(&read(path, LIST_BYTES_MAX)),
            Looked::Folder(path, extension) => digest_of_folder(&list(path, extension)),
        };
        Self(self.0.keys().map(|looked| (looked.clone(), look(looked))).collect())
    }

    /// Takes in the present content of one file that was read; the others stand as they were.
    pub fn look_again_at(&mut self, path: &Path) {
        let looked = Looked::File(path.to_owned());
        if let Some(digest) = self.0.get_mut(&looked) {
            *digest = digest_of_file(&read(path, FILE_BYTES_MAX));
        }
    }
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
