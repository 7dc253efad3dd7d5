//! What can be asked of the one writer.

use zeroize::Zeroizing;

use crate::oauth::{ClientId, Generation, GenerationKey, Jti, SingleUse, Time, Txn};

/// One request to change the state; all of it happens, durably, or none of it.
#[derive(Debug)]
pub enum Command {
    /// Record a hop, if everything it depends on lives and every single-use value is unspent.
    Issue(Issue),
    /// Record that an authenticated client was refused; beyond its quota it is only counted.
    Refusal(Refusal),
    /// End things: every generation behind the keys starts its next life, and with it dies whatever was issued under the old one.
    Death(Death),
}

/// A hop to record.
#[derive(Debug)]
pub struct Issue {
    /// The hop: the token's `jti`.
    pub jti: Jti,
    /// The tree it belongs to.
    pub txn: Txn,
    /// The canonical record (`ledger::Hop::record`), at most 65,535 bytes.
    pub record: Vec<u8>,
    /// Every generation the token depends on; each must be current.
    pub generations: Vec<Generation>,
    /// What is spent by this hop.
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
    /// The disclosures (`ledger::disclosure`), one JSON array of strings; never written unencrypted.
    pub values: Zeroizing<Vec<u8>>,
}

/// A refusal to record.
#[derive(Debug)]
pub struct Refusal {
    /// Whose request was refused; refusals of strangers are not recorded.
    pub agent: ClientId,
    /// The canonical record without its `suppressed` member, at most 1,024 bytes.
    pub record: Vec<u8>,
}

/// An ending to record.
#[derive(Debug)]
pub struct Death {
    /// What ends.
    pub keys: Vec<GenerationKey>,
    /// The canonical record of it.
    pub record: Vec<u8>,
    /// When the death may be forgotten because nothing issued under the old lives could still be presented; none for ever.
    pub until: Option<Time>,
}
