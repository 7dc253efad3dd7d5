//! `ledger verify`

use std::fmt;
use std::io::{IsTerminal, Write, stderr};
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

use super::local::verifiers;
use super::source::Source;
use crate::cli::launch::with_causes;
use crate::cli::output::{Failed, Outcome};
use crate::commit::contract::{RecordReader, Select, Stored};
use crate::ledger::{
    AuditReport, CHECKPOINT_PATH, Checkpoint, CheckpointReason, Files, NoteReason, NoteVerifier, Record, RecordReason, audit,
};
use crate::store::{self, LogFolder};

/// Records between two words on how far it is.
const PROGRESS: u64 = 50_000;

/// Records read at once.
const PAGE: u32 = 1_024;

/// The options of `ledger verify`.
#[derive(Args)]
pub(in crate::cli) struct Options {
    /// A server's data folder, the folder of a log, or the URL below which a log is served
    place: String,
    /// A verifier key (vkey) of the log, from somebody you trust; may repeat. Without it those beside the log are believed, which
    /// shows that the log agrees with itself, but not whose it is
    #[arg(long)]
    key: Vec<String>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// What was found.
pub(in crate::cli) enum Finding {
    /// Everything is in order.
    Sound(Sound),
    /// The first thing that is not, with what and where.
    Unsound(String),
}

/// What was verified.
pub(in crate::cli) struct Sound {
    pub(in crate::cli) head: Checkpoint,
    pub(in crate::cli) report: AuditReport,
    /// Whether the records of the store were held against the entries.
    records: bool,
    /// Kept checkpoints that none of the given keys signed.
    unsigned: usize,
}

/// Verifies and says what was found. Answers no when anything is not in order.
pub(super) fn run(options: &Options) -> Outcome {
    let source = Source::open(&options.place)?;
    let told = stderr().is_terminal() && !options.json;
    let finding = examine(&source, &options.key, |at, of| {
        if told {
            progress(at, of)
        }
    })?;
    if told {
        eprint!("\r\x1b[K");
    }
    let sound = matches!(finding, Finding::Sound(_));
    match options.json {
        true => say!("{}", finding.json()),
        false => {
            say!("{finding}");
            if sound && options.key.is_empty() {
                say!("the verifier keys were those beside the log; with --key VKEY it is also shown whose log it is");
            }
        }
    }
    Ok(sound)
}

fn progress(at: u64, of: u64) {
    eprint!("\r{at} of {of} entries verified\x1b[K");
    let _unseen = stderr().flush();
}

impl Finding {
    fn json(&self) -> Value {
        match self {
            Self::Unsound(what) => json!({"ok": false, "reason": what}),
            Self::Sound(Sound { head, report, records, unsigned }) => json!({
                "ok": true,
                "origin": head.origin().as_str(),
                "size": head.size(),
                "root": STANDARD.encode(head.root().0),
                "entries": report.entries,
                "tiles": report.tiles,
                "checkpoints": report.checkpoints,
                "store_compared": records,
                "checkpoints_by_other_keys": unsigned,
            }),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sound { head, report, records, unsigned } = match self {
            Self::Unsound(what) => return write!(f, "NOT IN ORDER: {what}"),
            Self::Sound(sound) => sound,
        };
        let AuditReport { entries, tiles, checkpoints } = report;
        write!(f, "in order: {entries} entries, {tiles} tiles, {checkpoints} checkpoints of {}", head.origin())?;
        write!(f, "\nroot {} at size {}", STANDARD.encode(head.root().0), head.size())?;
        if *records {
            f.write_str("\nthe records in the store are those in the log")?;
        }
        if *unsigned > 0 {
            write!(f, "\n{unsigned} kept checkpoints are signed by other keys and were left out")?;
        }
        Ok(())
    }
}

/// Verifies the log at `source`: it is derived again from its entries and held against every checkpoint, every entry is
/// parsed, and where there is a store its records are compared. `told` hears how far it is.
///
/// # Errors
/// When it cannot be looked at: no log, no key.
pub(in crate::cli) fn examine(source: &Source, keys: &[String], mut told: impl FnMut(u64, u64)) -> Result<Finding, Failed> {
    let known = keys_of(source, keys)?;
    let (heads, unsigned) = match heads(source, &known, !keys.is_empty())? {
        Ok(found) => found,
        Err(what) => return Ok(Finding::Unsound(what)),
    };
    let Some(head) = heads.last().cloned() else { return Err(Failed::new("there is no checkpoint")) };
    let mut records = match source.data() {
        Some(data) if data.join("commit.sqlite").exists() => Some(Records::open(data)?),
        _ => None,
    };
    let report = audit(source, &heads, |index, entry| {
        if index.is_multiple_of(PROGRESS) {
            told(index, head.size());
        }
        let record = Record::parse(entry)?;
        if let Some(records) = &mut records {
            records.compare(index, entry, &record);
        }
        Ok::<_, RecordReason>(())
    });
    let report = match report {
        Ok(report) => report,
        Err(reason) => return Ok(Finding::Unsound(with_causes_once(&reason))),
    };
    if let Some(what) = records.as_mut().and_then(|records| records.differs.take()) {
        return Ok(Finding::Unsound(what));
    }
    Ok(Finding::Sound(Sound { head, report, records: records.is_some(), unsigned }))
}

/// Only an unreadable file has a cause that the sentence does not say.
fn with_causes_once(reason: &crate::ledger::AuditReason) -> String {
    match reason {
        crate::ledger::AuditReason::File(_) => with_causes(reason),
        _ => reason.to_string(),
    }
}

fn keys_of(source: &Source, keys: &[String]) -> Result<Vec<NoteVerifier>, Failed> {
    match source.folder() {
        Some(folder) => verifiers(folder, keys),
        None if keys.is_empty() => {
            Err(Failed::new("give the verifier key of the log with --key (countersign keys list prints it)"))
        }
        None => verifiers(&LogFolder::new(Path::new("")), keys),
    }
}

/// The believed checkpoints in rising order, the served one last, and how many others no known key signed; or what is wrong
/// with one.
type Heads = Result<(Vec<Checkpoint>, usize), String>;

fn heads(source: &Source, known: &[NoteVerifier], others_are_fine: bool) -> Result<Heads, Failed> {
    let kept = source.folder().map(LogFolder::kept).transpose()?.unwrap_or_default();
    let served =
        source.read(CHECKPOINT_PATH).map_err(|error| Failed::new(format!("{CHECKPOINT_PATH}: {}", with_causes(&error))))?;
    let Some(served) = served else { return Err(Failed::new("there is no checkpoint")) };
    let served = String::from_utf8_lossy(&served).into_owned();
    let Some(origin) = known.first().map(NoteVerifier::name) else { return Err(Failed::new("there is no verifier key")) };
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
struct Records {
    reader: Arc<dyn RecordReader>,
    page: std::vec::IntoIter<Stored>,
    /// The first difference.
    differs: Option<String>,
}

impl Records {
    fn open(data: &Path) -> Result<Self, Failed> {
        let reader =
            store::reader(data).map_err(|reason| Failed::new(format!("{}: {}", data.display(), with_causes(&reason))))?;
        Ok(Self { reader, page: Vec::new().into_iter(), differs: None })
    }

    fn compare(&mut self, index: u64, entry: &[u8], record: &Record<'_>) {
        if self.differs.is_none() {
            self.differs = self.difference(index, entry, record);
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
