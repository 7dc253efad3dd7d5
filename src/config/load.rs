//! The files that a configuration is read from. Everything looked at is noted, so that a change of any of it can be noticed,
//! and everything wrong is collected.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::look::{Content, FOLDER_FILES_MAX, KeptFiles, Look, Looked};
use super::toml::{self, Table};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceLocation, SourceText};

/// The settings of `conf/default.toml` as compiled in, and their name in diagnostics. Their relative paths are relative to the
/// folder of the first settings file.
pub(super) const DEFAULTS: (&str, &str) = ("conf/default.toml (compiled in)", include_str!("../../conf/default.toml"));

/// One reading of a configuration: the files it has looked at, and what is wrong with them.
#[derive(Default)]
pub(super) struct LoadContext {
    errors: RefCell<Vec<Diagnostic>>,
    warnings: RefCell<Vec<Diagnostic>>,
    /// Lines that are no TOML: of what they do not say nothing further is told.
    illegible: RefCell<BTreeSet<(Arc<str>, u32)>>,
    /// The first look at each file and folder; it counts for the whole reading.
    seen: RefCell<BTreeMap<Looked, Look>>,
    /// The files that are read instead of those on disk.
    kept: Option<KeptFiles>,
    /// The folder that the paths of the compiled-in defaults are relative to.
    home: PathBuf,
}

impl LoadContext {
    /// A reading whose compiled-in paths are relative to the folder `home`; of the files `kept`, where there are some.
    pub(super) fn new(home: PathBuf, kept: Option<KeptFiles>) -> Self {
        Self { kept, home, ..Self::default() }
    }

    /// The folder that the paths of the compiled-in defaults are relative to.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

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
        let problem = match self.bytes(Looked::File(path.to_owned())).map(|bytes| String::from_utf8(bytes.to_vec())) {
            Ok(Ok(text)) => return Some(text),
            Ok(Err(_)) => "is not UTF-8".to_owned(),
            Err((_, why)) => format!("cannot be read: {why}"),
        };
        self.error(asked_at.clone(), format!("{} {problem}", path.display()));
        None
    }

    /// The bytes of a revocation list; a mistake at `asked_at` when they cannot be had.
    pub(super) fn list(&self, path: &Path, asked_at: &SourceLocation) -> Option<Vec<u8>> {
        let failed = |(_, why)| self.error(asked_at.clone(), format!("{} cannot be read: {why}", path.display()));
        self.bytes(Looked::List(path.to_owned())).map_err(failed).ok().map(|bytes| bytes.to_vec())
    }

    /// The text of a file that need not exist.
    pub(super) fn text_if_there(&self, path: &Path, asked_at: &SourceLocation) -> Option<String> {
        match self.bytes(Looked::File(path.to_owned())) {
            Err((io::ErrorKind::NotFound, _)) => None,
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
        let problem = match self.look(Looked::Folder(folder.to_owned(), extension)).content {
            Content::Files(paths) if paths.len() <= FOLDER_FILES_MAX => return paths.iter().cloned().collect(),
            Content::Files(_) => format!("holds more than {FOLDER_FILES_MAX} files"),
            Content::Failed(io::ErrorKind::NotFound, _) if may_be_missing => return Vec::new(),
            Content::Failed(_, why) => format!("cannot be read: {why}"),
            Content::Bytes(_) => "is not a folder".to_owned(),
        };
        self.error(asked_at.clone(), format!("folder {} {problem}", folder.display()));
        Vec::new()
    }

    /// The files in a folder that [`Self::files`] does not list: those of other names, and those in folders below it.
    pub(super) fn unread(&self, folder: &Path, extension: &'static str) -> Vec<PathBuf> {
        match self.look(Looked::Unread(folder.to_owned(), extension)).content {
            Content::Files(paths) => paths.iter().cloned().collect(),
            Content::Failed(..) | Content::Bytes(_) => Vec::new(),
        }
    }

    /// Every mistake, every warning, and everything that was looked at.
    pub(super) fn finish(self) -> (Diagnostics, Diagnostics, KeptFiles) {
        let [errors, warnings] = [self.errors, self.warnings].map(|list| Diagnostics::new(list.into_inner()));
        (errors, warnings, KeptFiles(Arc::new(self.seen.into_inner())))
    }

    fn bytes(&self, looked: Looked) -> Result<Arc<[u8]>, (io::ErrorKind, Arc<str>)> {
        match self.look(looked).content {
            Content::Bytes(bytes) => Ok(bytes),
            Content::Failed(kind, why) => Err((kind, why)),
            Content::Files(_) => Err((io::ErrorKind::IsADirectory, "it is a folder".into())),
        }
    }

    fn look(&self, looked: Looked) -> Look {
        let fresh = || match &self.kept {
            Some(kept) => kept.0.get(&looked).cloned().unwrap_or_else(Look::not_kept),
            None => looked.look(),
        };
        self.seen.borrow_mut().entry(looked.clone()).or_insert_with(fresh).clone()
    }
}
