//! A state as it is archived: every entry of it, in a form that has one spelling.
//!
//! An entry is the length of its key in four bytes, big-endian, its key, the length of its value and its value; entries stand in
//! the order of their keys. The record at the index that the file is named by has the digest of the state (`docs/records.md`).

use super::contract::{StateRow, StoreReason};
use super::fold::Fold;
use crate::ledger::record::{Record, StateRecord};

/// A state that was archived, and whose digest a record names.
#[derive(Debug)]
pub struct ArchivedState {
    index: u64,
    fold: Fold,
    rows: Vec<StateRow>,
}

impl ArchivedState {
    /// The state in `bytes`, which the record at `index` names.
    ///
    /// # Errors
    /// `Corrupt` for bytes that are no archived state; `Diverged` where the record is not of it.
    pub fn proved(index: u64, bytes: &[u8], record: &[u8]) -> Result<Self, StoreReason> {
        match Record::parse(record) {
            Ok(Record::State(record)) => Self::named(index, bytes, &record),
            _ => Err(StoreReason::Diverged(format!("record {index} names no state"))),
        }
    }

    /// The same, of the record as it was read.
    ///
    /// # Errors
    /// As of [`proved`](Self::proved).
    pub fn named(index: u64, bytes: &[u8], record: &StateRecord) -> Result<Self, StoreReason> {
        let rows = read(bytes).ok_or(StoreReason::Corrupt("an archived state"))?;
        let fold = Fold::of_rows(&rows)?;
        match fold.hash.digest().same_as(&record.digest) {
            true => Ok(Self { index, fold, rows }),
            false => Err(StoreReason::Diverged(format!("the archived state {index} is not the one that record {index} names"))),
        }
    }

    /// The index of the record that names it.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The number of its entries.
    pub fn entries(&self) -> usize {
        self.rows.len()
    }

    /// The fold, with which the record after that of its index goes on.
    pub fn into_fold(self) -> Fold {
        self.fold
    }
}

/// The bytes of a state with these entries.
pub fn archived(mut rows: Vec<StateRow>) -> Vec<u8> {
    rows.sort_unstable();
    let mut bytes = Vec::new();
    for part in rows.iter().flat_map(|row| [&row.key, &row.value]) {
        bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// The entries, where they stand in order and each once.
fn read(mut bytes: &[u8]) -> Option<Vec<StateRow>> {
    let mut rows: Vec<StateRow> = Vec::new();
    while !bytes.is_empty() {
        let (key, rest) = part(bytes)?;
        let (value, rest) = part(rest)?;
        rows.push(StateRow { key: key.to_vec(), value: value.to_vec() });
        bytes = rest;
    }
    rows.is_sorted_by(|one, next| one.key < next.key).then_some(rows)
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::ledger::record::StateCause;
    use crate::oauth::{Time, Txn};

    fn rows() -> Vec<StateRow> {
        let row = |key: &[u8], value: &[u8]| StateRow { key: key.to_vec(), value: value.to_vec() };
        let hold = |byte| [&[11], Txn::from_bytes([byte; 16]).as_bytes().as_slice()].concat();
        vec![row(&hold(2), &[2, 3, b'o', b'p', b's', 1, b'x']), row(&[3], &[]), row(&[4, b'a'], &[]), row(&[13], &[128, 4])]
    }

    #[test]
    fn an_archived_state_is_believed_where_the_record_names_it() {
        let bytes = archived(rows());
        let fold = Fold::of_rows(&rows()).unwrap();
        let record = fold.hash.record(Time::from_millis(0), StateCause::Interval);
        let proved = ArchivedState::named(7, &bytes, &record).unwrap();
        assert_eq!((proved.index(), proved.entries()), (7, 4));
        assert_eq!(proved.into_fold().hash.digest(), record.digest);
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            if let Some(byte) = other.get_mut(at) {
                *byte ^= 1;
            }
            assert!(ArchivedState::named(7, &other, &record).is_err(), "byte {at}");
            assert!(ArchivedState::named(7, bytes.get(..at).unwrap(), &record).is_err(), "{at} bytes");
        }
        assert!(ArchivedState::named(7, &[bytes.clone(), bytes].concat(), &record).is_err(), "each entry stands once");
    }
}
