//! The ledger of a data folder, read as an auditor would: from the first record to the last.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use countersign::commit::contract::{Select, Stored};
use countersign::crypto::Digest;
use countersign::ledger::Record;
use countersign::oauth::Jti;
use countersign::store;

/// Every record of a data folder.
pub struct Ledger {
    records: Vec<Stored>,
}

/// What the records say about hops.
#[derive(Default)]
pub struct Hops {
    /// The digest of the token of every hop.
    pub tokens: HashMap<Jti, Digest>,
    /// The digest of every client assertion that a hop was issued on.
    pub assertions: HashSet<Digest>,
}

impl Ledger {
    /// Reads all records; a server may be running.
    pub fn read(data: &Path) -> Self {
        let reader = store::reader(data).expect("the records can be read");
        let mut records: Vec<Stored> = Vec::new();
        loop {
            let from = records.last().map_or(0, |last| last.index + 1);
            let more = reader.records(Select::All, from, 1000).expect("the records can be read");
            if more.is_empty() {
                return Self { records };
            }
            records.extend(more);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Every record as it stands, in order.
    pub fn everything(&self) -> Vec<serde_json::Value> {
        self.of(|_| true)
    }

    /// Every death as it stands in its record.
    pub fn deaths(&self) -> Vec<serde_json::Value> {
        self.of(|record| matches!(record, Record::Revocation(_)))
    }

    /// Every refusal as it stands in its record.
    pub fn refusals(&self) -> Vec<serde_json::Value> {
        self.of(|record| matches!(record, Record::Refusal(_)))
    }

    fn of(&self, kind: impl Fn(&Record<'_>) -> bool) -> Vec<serde_json::Value> {
        let wanted = |stored: &&Stored| Record::parse(&stored.record).is_ok_and(|record| kind(&record));
        self.records.iter().filter(wanted).map(|stored| serde_json::from_slice(&stored.record).unwrap()).collect()
    }

    /// Every hop with its record.
    pub fn hops(&self) -> impl Iterator<Item = (Jti, &[u8])> {
        let of_hop = |stored: &&Stored| matches!(Record::parse(&stored.record), Ok(Record::Hop(_)));
        self.records.iter().filter(of_hop).filter_map(|stored| Some((stored.jti?, stored.record.as_slice())))
    }

    /// Checks what has to hold of every ledger, and tells what it says about hops: indexes run from 0 without gap or repeat,
    /// every record is canonical, no hop is recorded twice, every parent is there before its child, no assertion was accepted
    /// twice.
    pub fn verified(&self) -> Hops {
        let mut hops = Hops::default();
        for (expected, stored) in (0..).zip(&self.records) {
            assert_eq!(stored.index, expected, "an index is missing or was used twice");
            let record = Record::parse(&stored.record).unwrap_or_else(|reason| panic!("record {expected}: {reason}"));
            if let Record::Task(task) = &record
                && let Some(assertion) = task.evidence.client_assertion
            {
                assert!(hops.assertions.insert(assertion), "record {expected}: an assertion was accepted twice");
            }
            let Record::Hop(hop) = record else { continue };
            assert_eq!(stored.jti, Some(hop.jti), "record {expected} is filed under another hop");
            assert!(hops.tokens.insert(hop.jti, hop.token).is_none(), "hop {} is recorded twice", hop.jti);
            assert!(hop.parent.is_none_or(|parent| hops.tokens.contains_key(&parent)), "hop {} is an orphan", hop.jti);
            if let Some(assertion) = hop.evidence.client_assertion {
                assert!(hops.assertions.insert(assertion), "record {expected}: an assertion was accepted twice");
            }
        }
        hops
    }
}
