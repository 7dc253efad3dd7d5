//! An evidence bundle: what the ledger holds of one transaction, in one file that is verified without the ledger. Canonical JSON
//! (RFC 8785), described in `docs/ledger.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::checkpoint::Checkpoint;
use super::merkle::{extends, includes, leaf_hash};
use super::note::{KeyName, NoteVerifier};
use super::record::{Disclosure, Kind, Record};
use crate::crypto::Digest;
use crate::oauth::{Jti, Txn};

/// The first member of the file says what it is.
pub const EVIDENCE_FORMAT: &str = "countersign evidence bundle 1";

/// The most bytes of a file.
pub const EVIDENCE_BYTES_MAX: u64 = 256 << 20;

/// The content of a bundle. Members stand in alphabetical order, so that serialising it *is* canonicalising it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceBundle {
    /// The signed checkpoint that every record is proved under.
    pub checkpoint: String,
    /// The number of records.
    pub count: u64,
    /// Earlier checkpoints that it extends, in the order of their sizes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierCheckpoint>,
    /// Always [`EVIDENCE_FORMAT`].
    pub format: String,
    /// The records of the transaction, and those of the keys that signed in it, in the order of the ledger.
    pub records: Vec<ProvedRecord>,
    /// The JSON Schema of each kind of record in it, in the order of their identifiers.
    pub schemas: Vec<Box<RawValue>>,
    /// The transaction.
    pub txn: String,
}

/// A signed checkpoint, and the proof that a later one extends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlierCheckpoint {
    /// The signed note.
    pub checkpoint: String,
    /// The consistency proof (RFC 6962 §2.1.2), each hash in base64.
    pub path: Vec<String>,
}

/// A record with its proof, and as many of its disclosures as were chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvedRecord {
    /// Disclosures (RFC 9901 §4.2), each as its digest was made of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disclosures: Vec<String>,
    /// Its index in the ledger.
    pub index: u64,
    /// The inclusion proof (RFC 6962 §2.1.1), each hash in base64.
    pub path: Vec<String>,
    /// The record, byte for byte.
    pub record: String,
}

/// Why a bundle proves nothing, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceReason {
    /// The member, as `records/3`.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
}

impl EvidenceBundle {
    /// The text of its file.
    ///
    /// # Errors
    /// None of what it holds cannot be written; the writer allows one.
    pub fn text(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|text| text + "\n")
    }

    /// Reads the text of a file, in its canonical form alone; it proves nothing yet.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, EvidenceReason> {
        let read: Self = serde_json::from_str(text).map_err(|error| {
            wrong("file", format!("it is no evidence bundle (line {}, column {})", error.line(), error.column()))
        })?;
        if read.format != EVIDENCE_FORMAT {
            return Err(wrong("format", format!("only {EVIDENCE_FORMAT:?} is known here")));
        }
        let same = read.text().is_ok_and(|canonical| canonical == text);
        if same { Ok(read) } else { Err(wrong("file", "it is not in its canonical form, so somebody wrote it anew")) }
    }

    /// Verifies everything in it by the keys of the log `origin`, and answers the checkpoint that it is proved under.
    ///
    /// # Errors
    /// The first thing that is not in order.
    pub fn verify(&self, origin: &KeyName, known: &[NoteVerifier]) -> Result<Checkpoint, EvidenceReason> {
        let head = Checkpoint::open(&self.checkpoint, origin, known).map_err(|reason| wrong("checkpoint", reason))?;
        self.verify_earlier(&head, origin, known)?;
        if self.count != self.records.len() as u64 || self.records.is_empty() {
            return Err(wrong("count", format!("it says {} records, and there are {}", self.count, self.records.len())));
        }
        let txn = Txn::parse(&self.txn).map_err(|_| wrong("txn", "it is no UUID"))?;
        let (mut story, mut before) = (Story::of(txn), None);
        for (number, proved) in self.records.iter().enumerate() {
            let place = format!("records/{number}");
            if before.is_some_and(|before| before >= proved.index) {
                return Err(wrong(&place, "the records are not in the order of the ledger, or one stands there twice"));
            }
            before = Some(proved.index);
            proved.verify(&head).and_then(|record| story.add(proved.index, &record)).map_err(|what| wrong(&place, what))?;
        }
        story.end(&self.schemas)?;
        Ok(head)
    }

    fn verify_earlier(&self, head: &Checkpoint, origin: &KeyName, known: &[NoteVerifier]) -> Result<(), EvidenceReason> {
        let mut size = 0;
        for (number, earlier) in self.earlier.iter().enumerate() {
            let place = format!("earlier/{number}");
            let old = Checkpoint::open(&earlier.checkpoint, origin, known).map_err(|reason| wrong(&place, reason))?;
            let path = hashes(&earlier.path).map_err(|what| wrong(&place, what))?;
            if old.size() <= size || old.size() >= head.size() {
                return Err(wrong(&place, "earlier checkpoints are not in the order of their sizes, below the newest"));
            }
            if !extends((old.size(), old.root()), (head.size(), head.root()), &path) {
                return Err(wrong(&place, "the newest checkpoint does not extend it, or the proof of that was changed"));
            }
            size = old.size();
        }
        Ok(())
    }
}

impl ProvedRecord {
    /// The record, where it is the one that was signed at its place, and its disclosures are its own.
    fn verify(&self, head: &Checkpoint) -> Result<Record<'_>, String> {
        let (bytes, path) = (self.record.as_bytes(), hashes(&self.path)?);
        if !includes(leaf_hash(bytes), self.index, &path, head.size(), head.root()) {
            return Err(format!("it is not entry {} of the tree that was signed, or the path to it was changed", self.index));
        }
        let record = Record::parse(bytes).map_err(|reason| format!("entry {}: {reason}", self.index))?;
        let mut free = digests(&serde_json::from_slice(bytes).unwrap_or_default());
        for disclosure in &self.disclosures {
            let read = Disclosure::parse(disclosure).map_err(|_| "a disclosure is malformed".to_owned())?;
            if !free.remove(&read.digest.to_string()) {
                return Err("a disclosure is not of this record, or stands there twice".to_owned());
            }
        }
        Ok(record)
    }
}

/// What the records refer to among each other.
struct Story {
    txn: Txn,
    hops: BTreeMap<Jti, u64>,
    tasks: BTreeSet<String>,
    kinds: BTreeSet<&'static str>,
}

impl Story {
    fn of(txn: Txn) -> Self {
        let (hops, tasks, kinds) = Default::default();
        Self { txn, hops, tasks, kinds }
    }

    /// Takes the next record: it is of the transaction or of a key, and what it came of stands before it.
    fn add(&mut self, index: u64, record: &Record<'_>) -> Result<(), String> {
        self.kinds.insert(record.kind().name());
        match (record.txn(), record) {
            (Some(txn), _) if txn == self.txn => {}
            (None, Record::Key(_)) => {}
            _ => return Err("it is a record of something else".to_owned()),
        }
        match record {
            Record::Hop(hop) => {
                if hop.parent.is_some_and(|parent| !self.hops.contains_key(&parent)) {
                    return Err("the hop that it came of is not there: the chain is cut".to_owned());
                }
                if hop.task.is_some_and(|task| !self.tasks.contains(&task.to_string())) {
                    return Err("the task that it is in is not there: the chain is cut".to_owned());
                }
                self.hops.insert(hop.jti, index);
            }
            Record::Task(task) => {
                if task.parent.is_some_and(|parent| !self.tasks.contains(&parent.to_string())) {
                    return Err("the task that it is a child of is not there: the chain is cut".to_owned());
                }
                self.tasks.insert(task.task.to_string());
                // Its token may be the subject token of hops, and be withheld.
                self.hops.insert(task.jti, index);
            }
            Record::Withheld(record) if self.hops.get(&record.jti) != Some(&record.index) => {
                return Err("the hop that was withheld is not there".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&self, schemas: &[Box<RawValue>]) -> Result<(), EvidenceReason> {
        let known: Vec<Kind> = self.kinds.iter().filter_map(|kind| Kind::parse(kind)).collect();
        if schemas.len() != known.len() {
            return Err(wrong("schemas", format!("there are {} and not one for each kind of record", schemas.len())));
        }
        for (number, (kind, schema)) in known.iter().zip(schemas).enumerate() {
            if schema.get() != kind.canonical_schema() {
                return Err(wrong(
                    &format!("schemas/{number}"),
                    format!("it is not the schema of records of kind {}", kind.name()),
                ));
            }
        }
        Ok(())
    }
}

/// Every digest under which something personal stands in a record.
fn digests(record: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match record {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("_sd", Value::Array(list)) => found.extend(list.iter().filter_map(Value::as_str).map(str::to_owned)),
                    ("...", Value::String(digest)) => drop(found.insert(digest.clone())),
                    (_, value) => found.extend(digests(value)),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| found.extend(digests(item))),
        _ => {}
    }
    found
}

fn hashes(path: &[String]) -> Result<Vec<Digest>, String> {
    let hash = |text: &String| Some(Digest(STANDARD.decode(text).ok()?.try_into().ok()?));
    path.iter().map(hash).collect::<Option<_>>().ok_or_else(|| "a hash of the path is malformed".to_owned())
}

fn wrong(place: &str, what: impl fmt::Display) -> EvidenceReason {
    EvidenceReason { place: place.to_owned(), what: what.to_string() }
}

impl fmt::Display for EvidenceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl std::error::Error for EvidenceReason {}
