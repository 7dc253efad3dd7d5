//! Where something was written, so that a complaint can point at it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A line of a file. Line 0 means the whole of it; an empty file name, that nobody wrote it in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file as the operator names it, or what else the thing came from.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: u32,
}

impl Default for Place {
    fn default() -> Self {
        Self { file: "".into(), line: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 { write!(f, ":{}", self.line) } else { Ok(()) }
    }
}

/// The places of an entry's fields: `default_scopes`, `derive/0/from`, `scopes/contacts.read`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    whole: Place,
    lines: BTreeMap<String, u32>,
}

impl Places {
    /// The places of an entry that begins at `whole`.
    pub fn new(whole: Place) -> Self {
        Self { whole, lines: BTreeMap::new() }
    }

    /// Notes that the field at `path` begins at `line` of the entry's file.
    pub fn note(&mut self, path: String, line: u32) {
        self.lines.insert(path, line);
    }

    /// Notes that what stands at `path` is the entry of which `part` has the places.
    pub fn graft(&mut self, path: &str, part: &Places) {
        self.lines.extend(part.lines.iter().map(|(inner, line)| (format!("{path}/{inner}"), *line)));
        self.lines.insert(path.to_owned(), part.whole.line);
    }

    /// Where the field at `path` is written.
    pub fn found(&self, path: &str) -> Option<Place> {
        self.lines.get(path).map(|line| Place { file: self.whole.file.clone(), line: *line })
    }

    /// Where the field at `path` is written, or the nearest thing that encloses it.
    pub fn of(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Place { file: self.whole.file.clone(), line: *line };
            }
            match path.rsplit_once('/') {
                Some((outer, _)) => path = outer,
                None => return self.whole.clone(),
            }
        }
    }
}

/// An entry with the places of its fields.
#[derive(Clone, Debug)]
pub struct Filed<T> {
    /// The entry.
    pub entry: T,
    /// Where its fields are written.
    pub places: Places,
}

impl<T> From<T> for Filed<T> {
    fn from(entry: T) -> Self {
        Self { entry, places: Places::default() }
    }
}
