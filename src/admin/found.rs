//! Records that were found, as they are told: what is personal only with the key that opens it.

use serde_json::{Map, Value, json};

use super::find::FoundRecords;
use super::reason::AdminReason;
use crate::commit::contract::{RecordReader, StoreReason, Stored};
use crate::commit::{RevealReason, reveal};
use crate::crypto::{Digest, SealKey};
use crate::ledger::record::Disclosure;

impl FoundRecords {
    /// The page as JSON: `records`, each with its `index`, the `record`, and `disclosed` where there is a `root` key; `next`, after
    /// which the next page begins; `first`, before which all records are pruned.
    ///
    /// # Errors
    /// `Malformed` where the key opens nothing here; `Store`.
    pub fn told(&self, records: &dyn RecordReader, root: Option<&SealKey>) -> Result<Value, AdminReason> {
        let one = |stored: &Stored| -> Result<Value, AdminReason> {
            let record: Value = serde_json::from_slice(&stored.record).map_err(|_| damaged())?;
            let mut told = json!({"index": stored.index, "record": record});
            let disclosed = root.map_or(Ok(Map::new()), |root| disclosed(records, stored, root))?;
            if let (false, Some(told)) = (disclosed.is_empty(), told.as_object_mut()) {
                told.insert("disclosed".to_owned(), Value::Object(disclosed));
            }
            Ok(told)
        };
        let page = self.records.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        Ok(json!({"records": page, "next": self.next, "first": self.first}))
    }
}

/// The clear values of a record by name; those of actors that another server named under `actor`.
fn disclosed(records: &dyn RecordReader, stored: &Stored, root: &SealKey) -> Result<Map<String, Value>, AdminReason> {
    let Some(sealed) = records.disclosures(stored.index).map_err(AdminReason::Store)? else { return Ok(Map::new()) };
    let clear = match reveal(root, &Digest::of(&stored.record), &sealed) {
        Ok(clear) => clear,
        // The subject came again after its key was destroyed.
        Err(RevealReason::Subject) => return Ok(Map::new()),
        Err(RevealReason::Root) => {
            return Err(AdminReason::Malformed("these keys do not open the disclosures of this ledger".to_owned()));
        }
    };
    let list = Disclosure::parse_all(&clear).map_err(|_| damaged())?;
    let value = |one: &Disclosure| serde_json::from_str(one.value.get()).unwrap_or_default();
    Ok(list.iter().map(|one| (one.name.clone().unwrap_or_else(|| "actor".to_owned()), value(one))).collect())
}

fn damaged() -> AdminReason {
    AdminReason::Store(StoreReason::Corrupt("a record"))
}
