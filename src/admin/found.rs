//! Records that were found, as they are told: what is personal only with the key that opens it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::find::FoundRecords;
use super::reason::AdminReason;
use crate::commit::contract::{RecordReader, StoreReason, Stored};
use crate::commit::{RevealReason, reveal};
use crate::crypto::{Digest, SealKey};
use crate::ledger::record::Disclosure;

/// A page of records.
#[derive(Debug, Serialize)]
pub struct FoundPage {
    /// The records, in the order of the ledger.
    pub records: Vec<FoundRecord>,
    /// The index after which the next page begins; none where that is all.
    pub next: Option<u64>,
    /// The index of the first record that is kept: those before are pruned, and not found.
    pub first: u64,
}

/// A record that was found.
#[derive(Debug, Serialize)]
pub struct FoundRecord {
    /// Its index.
    pub index: u64,
    /// The record, as it stands in the ledger.
    pub record: Box<RawValue>,
    /// What was disclosed of it, by name; actors that another server named under `actor`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub disclosed: BTreeMap<String, Box<RawValue>>,
}

impl FoundRecords {
    /// The page to be told; what is personal in it only with a `root` key.
    ///
    /// # Errors
    /// `Malformed` where the key opens nothing here; `Store`.
    pub fn told(self, records: &dyn RecordReader, root: Option<&SealKey>) -> Result<FoundPage, AdminReason> {
        let one = |stored: Stored| -> Result<FoundRecord, AdminReason> {
            let disclosed = root.map_or(Ok(BTreeMap::new()), |root| disclosed(records, &stored, root))?;
            let text = String::from_utf8(stored.record).map_err(|_| damaged())?;
            let record = RawValue::from_string(text).map_err(|_| damaged())?;
            Ok(FoundRecord { index: stored.index, record, disclosed })
        };
        let Self { records: found, next, first } = self;
        Ok(FoundPage { records: found.into_iter().map(one).collect::<Result<_, _>>()?, next, first })
    }
}

fn disclosed(
    records: &dyn RecordReader,
    stored: &Stored,
    root: &SealKey,
) -> Result<BTreeMap<String, Box<RawValue>>, AdminReason> {
    let Some(sealed) = records.disclosures(stored.index).map_err(AdminReason::Store)? else { return Ok(BTreeMap::new()) };
    let clear = match reveal(root, &Digest::of(&stored.record), &sealed) {
        Ok(clear) => clear,
        // The subject came again after its key was destroyed.
        Err(RevealReason::Subject) => return Ok(BTreeMap::new()),
        Err(RevealReason::Root) => {
            return Err(AdminReason::Malformed("these keys do not open the disclosures of this ledger".to_owned()));
        }
    };
    let list = Disclosure::parse_all(&clear).map_err(|_| damaged())?;
    Ok(list.into_iter().map(|one| (one.name.unwrap_or_else(|| "actor".to_owned()), one.value)).collect())
}

fn damaged() -> AdminReason {
    AdminReason::Store(StoreReason::Corrupt("a record"))
}
