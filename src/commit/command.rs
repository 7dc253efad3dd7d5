//! What can be asked of the one writer.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::ledger::record::{DeathRecord, EndingRecord, Record};
use crate::oauth::{Generation, GenerationKey, Jti, SingleUse, Time, Txn};

pub use crate::ledger::Refusal;
pub use crate::lifecycle::{Death, Ending};

/// No command spends more values.
pub(super) const SINGLE_USE_MAX: usize = 8;

/// A hop to record.
#[derive(Debug)]
pub struct Issue {
    /// The hop: the token's `jti`.
    pub jti: Jti,
    /// The tree it belongs to.
    pub txn: Txn,
    /// The canonical record of this hop (`ledger::Hop::record`), at most 65,535 bytes. The commit does not read it; a start
    /// does, and refuses a store whose newest records are no records of the hops that they are stored for.
    pub record: Vec<u8>,
    /// Every generation the token depends on; each must be current.
    pub generations: Vec<Generation>,
    /// What is spent by this hop, at most 8 values.
    pub single_use: Vec<SingleUse>,
    /// The earliest expiry of anything the hop rests on; it must lie after the commit's own present.
    pub deadline: Time,
    /// The clear values behind the record's salted digests.
    pub disclosed: Disclosed,
}

/// Clear values, to be encrypted under the key of the subject they are about and stored beside the record.
#[derive(Debug)]
pub struct Disclosed {
    /// The pseudonym of the subject.
    pub subject: GenerationKey,
    /// The disclosures (`ledger::Disclosures::into_json`), one JSON array of strings; empty when there are none; never written
    /// unencrypted.
    pub values: Zeroizing<Vec<u8>>,
}

/// Whether the record of `death`, whatever the time and the numbers, has no more bytes than a record may have.
pub(super) fn fits(death: &Death) -> bool {
    let ends = death.ends.iter().map(|end| ending_record(end, u64::MAX)).collect();
    let latest = Time::from_seconds(253_402_300_799);
    let record = DeathRecord::new(latest, death.by.as_str(), &death.reason, death.until, ends);
    !death.ends.is_empty() && death.ends.len() <= 256 && death.reason.len() <= 1024 && Record::Death(record).to_bytes().is_ok()
}

/// One ending as it stands in the record, with the number of the life that begins.
pub(super) fn ending_record(end: &Ending, number: u64) -> EndingRecord<'_> {
    EndingRecord { key: end.key, name: end.name.as_deref().map(Cow::Borrowed), number, of: end.kind }
}
