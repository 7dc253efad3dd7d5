//! The contract of the index that finds records. It is derived from them, holds nothing that they do not say, and is made anew
//! where it is lost, damaged, or of other records.

use super::contract::StoreReason;
use crate::crypto::Digest;
use crate::ledger::record::Term;
use crate::oauth::Time;

/// An index of records by their terms.
pub trait FindIndex: Send {
    /// The records that it has.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn extent(&mut self) -> Result<IndexExtent, StoreReason>;

    /// Empties it.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn clear(&mut self) -> Result<(), StoreReason>;

    /// Adds a page that follows what it has, in one step; one that another process added meanwhile is left.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn add(&mut self, page: &IndexedPage) -> Result<(), StoreReason>;

    /// At most `limit` indexes, from `from` on, of records that may be selected: every one that is, and some within an edge of
    /// the time span that are not.
    ///
    /// # Errors
    /// See [`StoreReason`].
    fn select(&mut self, wanted: &Selection, from: u64, limit: usize) -> Result<Vec<u64>, StoreReason>;
}

/// How far an index reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexExtent {
    /// The index of the first record that it does not have.
    pub next: u64,
    /// The digest of the record before that; none where there is none.
    pub last: Option<Digest>,
    /// The index of the first record whose subject it does not have.
    pub next_subject: u64,
}

/// Consecutive records, or subjects of records, by their terms.
#[derive(Debug)]
pub struct IndexedPage {
    /// The extent that they follow.
    pub after: IndexExtent,
    /// The extent with them.
    pub until: IndexExtent,
    /// The terms of each, and the time of each where the page is of records.
    pub entries: Vec<(u64, Option<Time>, Vec<Term>)>,
}

/// The records that are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Each has at least one of these terms, of every list.
    pub all: Vec<Vec<Term>>,
    /// Only these, sorted; none for any.
    pub within: Option<Vec<u64>>,
    /// Only those of this instant or later.
    pub since: Option<Time>,
    /// Only those of before this instant.
    pub until: Option<Time>,
}
