//! What can be asked of the one writer.

use zeroize::Zeroizing;

use super::register::Registration;
use crate::oauth::{Generation, GenerationKey, Jti, SingleUse, Time, Txn};

pub use crate::ledger::record::RefusalRecord;
use crate::lifecycle::TaskTerms;
pub use crate::lifecycle::{Revocable, Revocation, StatusChange, Transition};

/// No command spends more values.
pub(super) const SINGLE_USE_MAX: usize = 8;

/// A hop to record, or the opening of a task, which has a token too.
#[derive(Debug)]
pub struct RecordHop {
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
    /// The status list that the token stands in, where an API asks for that.
    pub status: Option<Box<Registration>>,
    /// The task whose budget pays for this hop: one exchange.
    pub charge: Option<GenerationKey>,
    /// The task that begins with this record, where it is no hop.
    pub opens: Option<NewTask>,
}

/// A task that begins when its record is durable.
#[derive(Debug)]
pub struct NewTask {
    /// Its pseudonym.
    pub key: GenerationKey,
    /// What there is to know of it.
    pub task: TaskTerms,
    /// The task out of whose budget its own comes.
    pub out_of: Option<GenerationKey>,
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
