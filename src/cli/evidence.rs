//! Evidence bundles: written by `replay --bundle`, and verified without a ledger.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use serde_json::value::RawValue;

use super::log::{LocalLog, records_of};
use super::output::{CommandResult, Failure, print};
use crate::admin::{self, FindQuery};
use crate::commit::contract::{RecordReader, Stored};
use crate::commit::reveal;
use crate::crypto::{Digest, SealKey};
use crate::files::{self, Access};
use crate::ledger::merkle::{consistency, inclusion};
use crate::ledger::record::{Disclosure, Field, Kind, Term};
use crate::ledger::{Checkpoint, EVIDENCE_FORMAT, EarlierCheckpoint, EvidenceBundle, NoteVerifier, ProvedRecord, Record};
use crate::oauth::Txn;
use crate::store;

/// Earlier checkpoints that are shown to be extended: the oldest that is kept, and those after the records.
const EARLIER_MAX: usize = 8;

/// What goes into a bundle.
pub(super) struct WantedEvidence<'a> {
    /// The data folder, and what else a log may be read from.
    pub(super) data: &'a Path,
    pub(super) archives: &'a [PathBuf],
    pub(super) keys: &'a [String],
    /// The key that opens what is personal, and the names of what is disclosed of it; no name for everything.
    pub(super) root: Option<&'a SealKey>,
    pub(super) names: &'a [String],
}

/// Writes the bundle of a transaction to `file`, after it was verified as its receiver would.
///
/// # Errors
/// When the newest checkpoint does not reach a record yet, something was changed, or the file cannot be written.
pub(super) fn write(wanted: &WantedEvidence<'_>, txn: Txn, records: Vec<Stored>, file: &Path) -> Result<u64, Failure> {
    let log = LocalLog::open(wanted.data, wanted.keys)?.with_archives(wanted.archives);
    let reader = records_of(wanted.data)?;
    let records = with_keys(wanted.data, &*reader, records)?;
    let size = log.head().size();
    if let Some(newest) = records.last().filter(|newest| newest.index >= size) {
        let index = newest.index;
        return Err(Failure::new(format!(
            "record {index} is not in a published checkpoint yet; the server publishes one shortly"
        )));
    }
    let mut nodes = log.nodes();
    let mut proved = Vec::new();
    for stored in &records {
        let path = inclusion(&mut nodes, stored.index, size)?.unwrap_or_default();
        let record = String::from_utf8(stored.record.clone())?;
        let disclosures = disclosures(&*reader, stored, wanted)?;
        proved.push(ProvedRecord { disclosures, index: stored.index, path: encoded(&path), record });
    }
    let bundle = EvidenceBundle {
        checkpoint: log.note().to_owned(),
        count: proved.len() as u64,
        earlier: earlier(&log)?,
        format: EVIDENCE_FORMAT.to_owned(),
        records: proved,
        schemas: schemas(&records)?,
        txn: txn.to_string(),
    };
    let text = bundle.text()?;
    EvidenceBundle::parse(&text)?.verify(log.head().origin(), log.known())?;
    files::replace(file, text.as_bytes(), Access::Owner).map_err(|error| Failure::at(file, &error))?;
    Ok(bundle.count)
}

/// The records with those of the life of every key that signed a token of theirs.
fn with_keys(data: &Path, reader: &dyn RecordReader, mut records: Vec<Stored>) -> Result<Vec<Stored>, Failure> {
    let kid = |stored: &Stored| match Record::parse(&stored.record) {
        Ok(Record::Hop(hop)) => Some(hop.kid.into_owned()),
        Ok(Record::Task(task)) => Some(task.kid.into_owned()),
        _ => None,
    };
    let kids: BTreeSet<String> = records.iter().filter_map(kid).collect();
    let mut index = store::find_index(data).map_err(|reason| Failure::at(data, &reason))?;
    let mut query = FindQuery { limit: admin::FIND_PAGE_MAX, ..FindQuery::default() };
    query.terms.push(Term::new(Field::Kind, Kind::Key.name()));
    loop {
        let found = admin::find(&mut *index, reader, &query, None)?;
        let is_one = |stored: &Stored| matches!(Record::parse(&stored.record), Ok(Record::Key(key)) if kids.contains(&*key.id));
        records.extend(found.records.into_iter().filter(is_one));
        match found.next {
            Some(next) => query.from = next + 1,
            None => break,
        }
    }
    records.sort_by_key(|stored| stored.index);
    records.dedup_by_key(|stored| stored.index);
    Ok(records)
}

/// The disclosures of a record that were chosen, as their digests were made of them.
fn disclosures(reader: &dyn RecordReader, stored: &Stored, wanted: &WantedEvidence<'_>) -> Result<Vec<String>, Failure> {
    let Some((root, sealed)) = wanted.root.zip(reader.disclosures(stored.index)?) else { return Ok(Vec::new()) };
    // What was sealed under a key that is destroyed stays closed.
    let Ok(clear) = reveal(root, &Digest::of(&stored.record), &sealed) else { return Ok(Vec::new()) };
    let all: Vec<String> = serde_json::from_slice(&clear)?;
    let name = |text: &String| Disclosure::parse(text).ok().map(|one| one.name.unwrap_or_else(|| "actor".to_owned()));
    let chosen = |text: &String| wanted.names.is_empty() || name(text).is_some_and(|name| wanted.names.contains(&name));
    Ok(all.into_iter().filter(chosen).collect())
}

fn earlier(log: &LocalLog) -> Result<Vec<EarlierCheckpoint>, Failure> {
    let (size, mut nodes, mut found) = (log.head().size(), log.nodes(), Vec::new());
    let opened = |note: &String| Checkpoint::open(note, log.head().origin(), log.known()).ok();
    let kept: Vec<_> =
        log.folder().kept()?.into_iter().filter(|(kept, note)| (1..size).contains(kept) && opened(note).is_some()).collect();
    let newest = kept.iter().rev().take(EARLIER_MAX - 1).rev();
    let oldest = kept.iter().take(kept.len().saturating_sub(EARLIER_MAX - 1).min(1));
    for (kept, note) in oldest.chain(newest) {
        // Where its tiles are pruned nothing is shown of it.
        let Ok(Some(path)) = consistency(&mut nodes, *kept, size) else { continue };
        found.push(EarlierCheckpoint { checkpoint: note.clone(), path: encoded(&path) });
    }
    Ok(found)
}

fn schemas(records: &[Stored]) -> Result<Vec<Box<RawValue>>, Failure> {
    let kind = |stored: &Stored| Record::parse(&stored.record).ok().map(|record| record.kind().name());
    let kinds: BTreeSet<&str> = records.iter().filter_map(kind).collect();
    let kinds = kinds.into_iter().filter_map(Kind::parse);
    Ok(kinds.map(|kind| RawValue::from_string(kind.canonical_schema())).collect::<Result<_, _>>()?)
}

fn encoded(path: &[Digest]) -> Vec<String> {
    path.iter().map(|hash| STANDARD.encode(hash.0)).collect()
}

/// Verifies a bundle by the keys of its log, and tells what it shows. Answers no where it proves nothing.
pub(super) fn verify(text: &str, known: &[NoteVerifier], as_json: bool) -> CommandResult {
    let origin = known.first().map(NoteVerifier::name).ok_or_else(|| Failure::new("there is no verifier key"))?;
    let verified = EvidenceBundle::parse(text).and_then(|bundle| Ok((bundle.verify(origin, known)?, bundle)));
    let (head, bundle) = match verified {
        Ok(verified) => verified,
        Err(reason) => {
            let (place, what) = (&reason.place, &reason.what);
            print(as_json, &json!({"ok": false, "place": place, "reason": what}), format!("NOT IN ORDER: {reason}"));
            return Ok(false);
        }
    };
    let EvidenceBundle { txn, count, earlier, records, .. } = &bundle;
    let (size, root) = (head.size(), STANDARD.encode(head.root().0));
    let disclosed: usize = records.iter().map(|record| record.disclosures.len()).sum();
    let words = format!(
        "in order: {count} records of transaction {txn}, {disclosed} disclosures\nroot {root} at size {size} of {origin}, which \
         extends {} earlier checkpoints\nwhat is in it is what was signed; that nothing else was signed of it only the log shows",
        earlier.len()
    );
    let told = json!({"ok": true, "origin": origin.as_str(), "txn": txn, "records": count, "disclosures": disclosed,
        "size": size, "root": root, "earlier": earlier.len()});
    print(as_json, &told, words);
    Ok(true)
}
