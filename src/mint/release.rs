//! The one release: a signed token has no wire form until its own record is durable.

use zeroize::Zeroizing;

use super::signers::MintReason;
use crate::commit::Receipt;
use crate::crypto::Digest;
use crate::oauth::{Jti, Txn};

/// A signed token on its way to the record. No accessor shows it.
#[derive(Debug)]
pub(super) struct Unreleased {
    jwt: Zeroizing<String>,
    jti: Jti,
    txn: Txn,
    record: Digest,
    expires_in: i64,
}

/// A signed token that may leave. Made only by [`Unreleased::release`].
pub(super) struct Released(Unreleased);

impl Unreleased {
    /// `jwt`, which expires in so many seconds, and the bytes that must be durable as the record of `jti` before it leaves.
    pub(super) fn new(jwt: Zeroizing<String>, (jti, txn): (Jti, Txn), record: &[u8], expires_in: i64) -> Self {
        Self { jwt, jti, txn, record: Digest::of(record), expires_in }
    }

    /// Lets it go, against the commit's word that its own record is durable.
    ///
    /// # Errors
    /// `ReceiptForeign` when the receipt is for anything else.
    pub(super) fn release(self, receipt: &Receipt) -> Result<Released, MintReason> {
        let own = receipt.jti() == self.jti && receipt.record() == self.record;
        if own { Ok(Released(self)) } else { Err(MintReason::ReceiptForeign) }
    }
}

impl Released {
    pub(super) fn jwt(&self) -> &str {
        &self.0.jwt
    }

    pub(super) fn txn(&self) -> Txn {
        self.0.txn
    }

    pub(super) fn expires_in(&self) -> i64 {
        self.0.expires_in
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::sync::Arc;

    use super::*;
    use crate::commit::{Commit, CommitKeys, Disclosed, Limits, RecordHop};
    use crate::ledger::record::{Record, WithheldRecord};
    use crate::oauth::{Clock, GenerationKey, ShareKey, Time};
    use crate::store::{self, SystemClock};

    fn issue(jti: Jti, txn: Txn, record: &[u8], deadline: Time) -> RecordHop {
        let disclosed = Disclosed { subject: GenerationKey([1; 16]), values: Zeroizing::default() };
        let (generations, single_use, status, counted, effect, opens) = Default::default();
        let (share, record) = (ShareKey::NOBODY, record.to_vec());
        RecordHop { share, jti, txn, record, generations, single_use, deadline, disclosed, status, counted, effect, opens }
    }

    #[test]
    fn a_token_leaves_against_the_receipt_of_its_own_record_only() {
        let folder = std::env::temp_dir().join(format!("countersign-release-{}", std::process::id()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (own, other, txn) = (Jti::from_bytes([1; 16]), Jti::from_bytes([2; 16]), Txn::from_bytes([3; 16]));
        let deadline = SystemClock.now().plus(std::time::Duration::from_secs(60));
        let record = Record::Withheld(WithheldRecord::new(SystemClock.now(), 0, own, txn)).to_bytes().unwrap();
        let (receipt, foreign) = runtime.block_on(async {
            let store = store::open(&folder).unwrap();
            let keys = CommitKeys::of_secrets(&[1; 32], &[1; 32]).unwrap();
            let commit = Commit::start(store, Arc::new(SystemClock), keys, Limits::default()).unwrap();
            let receipt = commit.submit(issue(own, txn, &record, deadline)).await.unwrap();
            let foreign = commit.submit(issue(other, txn, &record, deadline)).await.unwrap();
            commit.close().await;
            (receipt, foreign)
        });
        std::fs::remove_dir_all(&folder).unwrap();
        let token = |record: &[u8]| Unreleased::new(Zeroizing::new("a.b.c".to_owned()), (own, txn), record, 60);
        let refused = |token: Unreleased, receipt| token.release(receipt).err().map(|reason| reason.to_string());
        let foreign_receipt = Some(MintReason::ReceiptForeign.to_string());
        assert_eq!(refused(token(&record), &foreign), foreign_receipt, "the receipt of another hop");
        assert_eq!(refused(token(b"another record"), &receipt), foreign_receipt, "the receipt of another record of this hop");
        assert_eq!(token(&record).release(&receipt).map(|token| token.jwt().to_owned()).unwrap(), "a.b.c");
    }
}
