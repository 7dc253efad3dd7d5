//! What can be asked of the one writer.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::ledger::record::{DeathRecord, EndingRecord, Record};
use crate::oauth::{ClientId, Generation, GenerationKey, GenerationKind, Jti, SingleUse, Time, Txn};

pub use crate::ledger::Refusal;

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

/// An ending to record. The writer gives it its time and the numbers of the lives that begin.
#[derive(Clone, Debug)]
pub struct Death {
    /// What ends, at most 256 things.
    pub ends: Vec<Ending>,
    /// Who asked for it: an agent, or `ops`.
    pub by: ClientId,
    /// Why, in words that hold nothing personal; at most 1,024 bytes.
    pub reason: String,
    /// When the death may be forgotten because nothing issued under the old lives could still be presented; none for ever. Only a
    /// thing under which nothing new can be issued (a hop, a transaction, a task) may have one: forgetting returns it to life 0.
    pub until: Option<Time>,
}

/// One thing that ends.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Its keyed pseudonym.
    pub key: GenerationKey,
    /// What it is.
    pub kind: GenerationKind,
    /// Its name, for replay; none where it is personal.
    pub name: Option<String>,
}

impl Death {
    /// Whether its record, whatever the time and the numbers, has no more bytes than a record may have.
    pub(super) fn fits(&self) -> bool {
        let ends = self.ends.iter().map(|end| end.record(u64::MAX)).collect();
        let latest = Time::from_seconds(253_402_300_799);
        let record = DeathRecord::new(latest, self.by.as_str(), &self.reason, self.until, ends);
        !self.ends.is_empty() && self.ends.len() <= 256 && self.reason.len() <= 1024 && Record::Death(record).to_bytes().is_ok()
    }
}

impl Ending {
    /// As it stands in the record, with the number of the life that begins.
    pub(super) fn record(&self, number: u64) -> EndingRecord<'_> {
        EndingRecord { key: self.key, name: self.name.as_deref().map(Cow::Borrowed), number, of: self.kind }
    }
}
