//! Which policies stood in the way: for the log and the record, not for the caller.

/// What policies had to say against a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    pub(super) erred: Vec<String>,
    pub(super) forbade: Vec<String>,
}

impl Explanation {
    /// The policies that raised an error, by id, sorted. Each of them denied what it was asked about.
    pub fn erred(&self) -> &[String] {
        &self.erred
    }

    /// The policies that forbade, by id, sorted. Where both lists are empty, no policy permitted.
    pub fn forbade(&self) -> &[String] {
        &self.forbade
    }

    pub(super) fn add(&mut self, erred: Vec<String>, forbade: Vec<String>) {
        merge(&mut self.erred, erred);
        merge(&mut self.forbade, forbade);
    }
}

/// Adds to a sorted list without repeats.
pub(super) fn merge(into: &mut Vec<String>, more: impl IntoIterator<Item = String>) {
    for item in more {
        if let Err(at) = into.binary_search(&item) {
            into.insert(at, item);
        }
    }
}
