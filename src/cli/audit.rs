//! Verifies a whole log from nothing but its files, and the records of the store beside it.

mod folded;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::log::{LogSource, records_of, verifiers};
use super::output::Failure;
use crate::commit::contract::{RecordReader, Select, Stored, StoredCheckpoint};
use crate::commit::{NamedFold, RecordedState, recorded_state};
use crate::ledger::merkle::{includes, inclusion, leaf_hash};
use crate::ledger::{
    AuditReason, AuditReport, CHECKPOINT_PATH, Checkpoint, CheckpointReason, LogFiles, NoteReason, NoteVerifier, Record,
    RecordReason, TileNodes, audit_from,
};
use crate::oauth::GenerationKind;
use crate::server::with_causes;
use crate::store::{self, LogFolder};
use folded::FoldedState;

/// Records between two words on how far it is.
const PROGRESS: u64 = 50_000;

/// Records read at once.
const PAGE: u32 = 1_024;

/// The result of verifying a log.
pub(super) enum AuditOutcome {
    /// Everything is in order.
    Sound(Sound),
    /// The first thing that is not, with what and where.
    Unsound(String),
}

/// A log that is in order.
pub(super) struct Sound {
    pub(super) head: Checkpoint,
    report: AuditReport,
    /// The index of the first entry that it has.
    first: u64,
    /// Archived states that are those that records name.
    states: u64,
    /// Kept checkpoints over fewer entries than those that are pruned.
    older: usize,
    /// Records that are held although those around them are pruned.
    held: u64,
    /// The state was folded from the entries.
    folded: bool,
    /// The records of the store were compared with the entries, and its state with what follows from them.
    records: bool,
    /// Kept checkpoints that none of the given keys signed.
    unsigned: usize,
    /// Keys of subjects that were made since the copy of `subjects.sqlite` that lies beside the store.
    missing_keys: u64,
}

impl AuditOutcome {
    /// The result for machines.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Unsound(what) => json!({"ok": false, "reason": what}),
            Self::Sound(Sound { head, report, first, states, older, held, folded, records, unsigned, missing_keys }) => json!({
                "ok": true,
                "origin": head.origin().as_str(),
                "size": head.size(),
                "root": STANDARD.encode(head.root().0),
                "first": first,
                "entries": report.entries,
                "archived_states": states,
                "held": held,
                "state_folded": folded,
                "checkpoints_of_pruned": older,
                "tiles": report.tiles,
                "checkpoints": report.checkpoints,
                "store_compared": records,
                "checkpoints_by_other_keys": unsigned,
                "missing_subject_keys": missing_keys,
            }),
        }
    }
}

impl fmt::Display for AuditOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sound { head, report, first, states, older, held, folded, records, unsigned, missing_keys } = match self {
            Self::Unsound(what) => return write!(f, "NOT IN ORDER: {what}"),
            Self::Sound(sound) => sound,
        };
        let AuditReport { entries, tiles, checkpoints } = report;
        write!(f, "in order: {entries} entries, {tiles} tiles, {checkpoints} checkpoints of {}", head.origin())?;
        write!(f, "\nroot {} at size {}", STANDARD.encode(head.root().0), head.size())?;
        if *first > 0 {
            write!(f, "\nit has the entries from {first} on: those before are pruned, and in an archive")?;
        }
        if *held > 0 {
            write!(f, "\n{held} records of those before are held, and proved")?;
        }
        if *states > 0 {
            write!(f, "\narchived states that records name: {states}")?;
        }
        if !*folded {
            f.write_str("\nthe state was not folded, for there is no archived state to begin with")?;
        }
        if *older > 0 {
            write!(f, "\n{older} checkpoints over fewer entries than are pruned were left out")?;
        }
        if *records {
            f.write_str("\nthe records in the store are those in the log, and lead to the state in it")?;
        }
        if *unsigned > 0 {
            write!(f, "\n{unsigned} kept checkpoints are signed by other keys and were left out")?;
        }
        if *missing_keys > 0 {
            write!(f, "\nsubjects.sqlite is missing, or older than the store: {missing_keys} keys of subjects are not in it")?;
        }
        Ok(())
    }
}

/// Verifies the log at `source`: it is derived again from its entries and held against every checkpoint, every entry is
/// parsed, and where there is a store its records are compared. `progress` hears how many entries of how many are verified.
///
/// # Errors
/// When it cannot be looked at: no log, no key.
pub(super) fn examine(source: &LogSource, keys: &[String], mut progress: impl FnMut(u64, u64)) -> Result<AuditOutcome, Failure> {
    let known = keys_of(source, keys)?;
    let (heads, unsigned) = match heads(source, &known, !keys.is_empty())? {
        Ok(found) => found,
        Err(what) => return Ok(AuditOutcome::Unsound(what)),
    };
    let first = source.first()?;
    let (heads, older) = from_first(heads, first);
    let Some(head) = heads.last().cloned() else { return Err(Failure::new("there is no checkpoint")) };
    let mut records = match source.data() {
        Some(data) if store::is_used(data) => Some(StoredRecords::open(data)?),
        _ => None,
    };
    let (mut state, mut revoked) = (FoldedState::new(source.folder(), first, head.size())?, Vec::new());
    let report = audit_from(source, first, &heads, |index, entry| {
        if index.is_multiple_of(PROGRESS) {
            progress(index, head.size());
        }
        let record = Record::parse(entry)?;
        state.take(index, &record);
        revoked.extend(revoked_keys(&record).map(|name| (index, name)));
        if let Some(records) = &mut records {
            records.compare(index, entry, &record, state.fold());
        }
        Ok::<_, RecordReason>(())
    });
    let report = match report {
        Ok(report) => report,
        Err(reason) => return Ok(AuditOutcome::Unsound(with_causes_once(&reason))),
    };
    let differs = records.as_mut().and_then(|records| records.differs.take());
    if let Some(what) = differs.or(state.fault.take()) {
        return Ok(AuditOutcome::Unsound(what));
    }
    if let Some(what) = shown_by_revoked(source, &known, &revoked)? {
        return Ok(AuditOutcome::Unsound(what));
    }
    let missing_keys = records.as_ref().map_or(Ok(0), |records| records.reader.missing_subject_keys());
    let missing_keys = missing_keys.map_err(|reason| Failure::new(with_causes(&reason)))?;
    let held = match records.as_ref().map(|records| records.kept(source, &head, state.fold())).transpose()? {
        Some(Err(what)) => return Ok(AuditOutcome::Unsound(what)),
        held => held.and_then(Result::ok).unwrap_or_default(),
    };
    let (states, folded, records) = (state.compared, state.fold().is_some(), records.is_some());
    Ok(AuditOutcome::Sound(Sound { head, report, first, states, older, held, folded, records, unsigned, missing_keys }))
}

/// The checkpoints of a log that has the entries from `first` on, and the number of those over fewer.
fn from_first(mut heads: Vec<Checkpoint>, first: u64) -> (Vec<Checkpoint>, usize) {
    let all = heads.len();
    heads.retain(|head| head.size() >= first);
    let older = all - heads.len();
    (heads, older)
}

/// The keys that a record revokes, by name.
fn revoked_keys(record: &Record<'_>) -> impl Iterator<Item = String> {
    let ends = if let Record::Revocation(record) = record { record.ends.as_slice() } else { &[] };
    let keys = ends.iter().filter(|end| end.of == GenerationKind::Key);
    keys.filter_map(|end| end.name.as_deref().map(str::to_owned)).collect::<Vec<_>>().into_iter()
}

/// A sentence where a revoked key alone signed the newest checkpoint: its signature shows nothing after the last one that another
/// key signed.
fn shown_by_revoked(source: &LogSource, known: &[NoteVerifier], revoked: &[(u64, String)]) -> Result<Option<String>, Failure> {
    let by = |key: &NoteVerifier| revoked.iter().find(|(_, name)| *name == key.to_string());
    let Some((index, name)) = known.iter().find_map(by) else { return Ok(None) };
    let others: Vec<NoteVerifier> = known.iter().filter(|key| by(key).is_none()).cloned().collect();
    let shown = !others.is_empty() && heads(source, &others, true)?.is_ok();
    Ok((!shown).then(|| {
        format!(
            "the key {name} was revoked by record {index}, and none of the other keys given signed the newest checkpoint: what \
             came after the last one that another key or a witness signed is shown by nothing"
        )
    }))
}

/// Only an unreadable file has a cause that the sentence does not say.
fn with_causes_once(reason: &AuditReason) -> String {
    match reason {
        AuditReason::File(_) => with_causes(reason),
        _ => reason.to_string(),
    }
}

fn keys_of(source: &LogSource, keys: &[String]) -> Result<Vec<NoteVerifier>, Failure> {
    match source.folder() {
        Some(folder) => verifiers(folder, keys),
        None if keys.is_empty() => {
            Err(Failure::new("give the verifier key of the log with --key (countersign keys list prints it)"))
        }
        None => verifiers(&LogFolder::new(Path::new("")), keys),
    }
}

/// The believed checkpoints in rising order, the served one last, and the number of others that no known key signed; or a
/// sentence that says what is wrong with one.
type TrustedCheckpoints = Result<(Vec<Checkpoint>, usize), String>;

fn heads(source: &LogSource, known: &[NoteVerifier], others_are_fine: bool) -> Result<TrustedCheckpoints, Failure> {
    let kept = source.folder().map(LogFolder::kept).transpose()?.unwrap_or_default();
    let served =
        source.read(CHECKPOINT_PATH).map_err(|error| Failure::new(format!("{CHECKPOINT_PATH}: {}", with_causes(&error))))?;
    let Some(served) = served else { return Err(Failure::new("there is no checkpoint")) };
    let served = String::from_utf8_lossy(&served).into_owned();
    let Some(origin) = known.first().map(NoteVerifier::name) else { return Err(Failure::new("there is no verifier key")) };
    let (mut heads, mut unsigned) = (Vec::new(), 0);
    for (size, note) in kept {
        match Checkpoint::open(&note, origin, known) {
            Ok(head) if head.size() == size => heads.push(head),
            Ok(head) => return Ok(Err(format!("checkpoints/{size} is the checkpoint of size {}", head.size()))),
            Err(CheckpointReason::Note(NoteReason::Unsigned)) if others_are_fine => unsigned += 1,
            Err(reason) => return Ok(Err(format!("checkpoints/{size}: {reason}"))),
        }
    }
    let head = match Checkpoint::open(&served, origin, known) {
        Ok(head) => head,
        Err(reason) => return Ok(Err(format!("{CHECKPOINT_PATH}: {reason}"))),
    };
    if let Some(newer) = heads.last().filter(|newer| newer.size() > head.size()) {
        return Ok(Err(format!(
            "{CHECKPOINT_PATH} covers {} entries, but one over {} was signed: an older copy was put back",
            head.size(),
            newer.size()
        )));
    }
    // Usually the newest kept one is the same.
    if heads.last() != Some(&head) {
        heads.push(head);
    }
    Ok(Ok((heads, unsigned)))
}

/// The records of a store, read along with the entries.
struct StoredRecords {
    reader: Arc<dyn RecordReader>,
    page: std::vec::IntoIter<Stored>,
    /// The index of the first record that is kept.
    first: u64,
    /// The state as of its newest checkpoint.
    state: StoredCheckpoint,
    /// The first difference.
    differs: Option<String>,
}

impl StoredRecords {
    fn open(data: &Path) -> Result<Self, Failure> {
        let reader = records_of(data)?;
        let failed = |reason| Failure::at(data, &reason);
        let (first, state) = (reader.first().map_err(failed)?, reader.checkpoint().map_err(failed)?);
        Ok(Self { reader, page: Vec::new().into_iter(), first, state, differs: None })
    }

    /// The number of records that are held although those around them are pruned, each proved; or a sentence where more is pruned
    /// than is recorded, or one that is held is not what was signed.
    fn kept(&self, source: &LogSource, head: &Checkpoint, fold: Option<&NamedFold>) -> Result<Result<u64, String>, Failure> {
        // Where nothing is archived to begin with, as the stored state has it, which a record names.
        let stored = if fold.is_none() { recorded_state(&*self.reader).ok() } else { None };
        let retention = fold.map(NamedFold::retention).or_else(|| stored.as_ref().map(RecordedState::retention));
        let Some(retention) = retention else {
            return Ok(Err("the stored state is not the one that its record names".to_owned()));
        };
        if self.first > retention.first {
            let (first, recorded) = (self.first, retention.first);
            return Ok(Err(format!("the records before {first} are gone, but only those before {recorded} were pruned")));
        }
        let (mut nodes, mut held) = (TileNodes::new(source, head.size()), 0);
        for txn in retention.holds.keys() {
            let found = self.reader.records(Select::Txn(*txn), 0, PAGE).map_err(|reason| Failure::new(with_causes(&reason)))?;
            for stored in found.iter().take_while(|stored| stored.index < self.first) {
                let path = inclusion(&mut nodes, stored.index, head.size()).ok().flatten().unwrap_or_default();
                if !includes(leaf_hash(&stored.record), stored.index, &path, head.size(), head.root()) {
                    return Ok(Err(format!("record {}, which is held, is not the one that was signed", stored.index)));
                }
                held += 1;
            }
        }
        Ok(Ok(held))
    }

    /// Compares a record with its entry, and the state with what the records lead to where its checkpoint is.
    fn compare(&mut self, index: u64, entry: &[u8], record: &Record<'_>, fold: Option<&NamedFold>) {
        // What is pruned is in an archive alone.
        if self.differs.is_none() && index >= self.first {
            self.differs = self.difference(index, entry, record);
        }
        if let Some(fold) = fold.filter(|_| self.differs.is_none() && self.state.index == Some(index)) {
            self.differs = fold.difference(&self.state.rows).map(|what| format!("the state is not what the records say: {what}"));
        }
    }

    fn difference(&mut self, index: u64, entry: &[u8], record: &Record<'_>) -> Option<String> {
        if self.page.as_slice().is_empty() {
            match self.reader.records(Select::All, index, PAGE) {
                Ok(page) => self.page = page.into_iter(),
                Err(reason) => return Some(format!("the records cannot be read: {}", with_causes(&reason))),
            }
        }
        let Some(stored) = self.page.next().filter(|stored| stored.index == index) else {
            return Some(format!(
                "record {index} is missing in the store: it was truncated, or an older copy of it was put back"
            ));
        };
        if stored.record != entry {
            return Some(format!("record {index} in the store is not the one that was signed"));
        }
        // What it is found by must be what it says.
        let filed = record.jti() == stored.jti && record.txn() == stored.txn;
        (!filed).then(|| format!("record {index} in the store is filed under another hop or transaction"))
    }
}
