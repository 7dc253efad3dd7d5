//! The log of a data folder at its newest checkpoint, for proofs.

use std::path::Path;

use super::source::log_folder;
use crate::cli::output::Failed;
use crate::ledger::merkle::{Nodes, includes, inclusion, leaf_hash};
use crate::ledger::{CHECKPOINT_PATH, Checkpoint, NoteVerifier, TileNodes, TlogProof};
use crate::store::{LogFolder, VKEY_PATH};

/// A log in a folder with its newest checkpoint, which one of the keys signed.
pub(in crate::cli) struct LocalLog {
    folder: LogFolder,
    head: Checkpoint,
    note: String,
    known: Vec<NoteVerifier>,
}

/// Whether the signed tree holds a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Proved {
    /// It leads to the root that was signed over so many entries.
    Yes(u64),
    /// The newest checkpoint does not reach it yet.
    NotYet,
    /// It does not: the record, or a tile, was changed.
    No,
}

impl LocalLog {
    /// The log at `place`, a data folder or the folder of a log. Without `keys` those that lie beside it are believed, which
    /// shows that the log agrees with itself, but not whose it is.
    ///
    /// # Errors
    /// When there is none, or its checkpoint is not believed.
    pub(in crate::cli) fn open(place: &Path, keys: &[String]) -> Result<Self, Failed> {
        let (folder, _) = log_folder(place)?;
        let known = verifiers(&folder, keys)?;
        let note = folder.note(CHECKPOINT_PATH)?.ok_or_else(|| Failed::new("there is no checkpoint"))?;
        let named = |reason| Failed::new(format!("{}: {reason}", folder.path().join(CHECKPOINT_PATH).display()));
        let head = known.iter().find_map(|key| Checkpoint::open(&note, key.name(), &known).ok());
        let head = match (head, known.first()) {
            (Some(head), _) => head,
            (None, Some(key)) => Checkpoint::open(&note, key.name(), &known).map_err(named)?,
            (None, None) => return Err(Failed::new("there is no verifier key; give one with --key")),
        };
        Ok(Self { folder, head, note, known })
    }

    /// Where it lies.
    pub(super) fn folder(&self) -> &LogFolder {
        &self.folder
    }

    /// What its newest checkpoint says.
    pub(in crate::cli) fn head(&self) -> &Checkpoint {
        &self.head
    }

    /// The signed text of that.
    pub(super) fn note(&self) -> &str {
        &self.note
    }

    /// Whether `record` is the entry of this index.
    pub(in crate::cli) fn proves(&self, index: u64, record: &[u8]) -> Proved {
        let size = self.head.size();
        if index >= size {
            return Proved::NotYet;
        }
        let path = inclusion(&mut TileNodes::new(&self.folder, size), index, size).ok().flatten();
        let holds = path.is_some_and(|path| includes(leaf_hash(record), index, &path, size, self.head.root()));
        if holds { Proved::Yes(size) } else { Proved::No }
    }

    /// The proof of `record`, with the record itself as its extra data, verified as its receiver would.
    ///
    /// # Errors
    /// When the newest checkpoint does not reach it, or something was changed.
    pub(super) fn proof(&self, index: u64, record: Vec<u8>) -> Result<TlogProof, Failed> {
        let mut nodes = TileNodes::new(&self.folder, self.head.size());
        if nodes.node(0, index).is_ok_and(|leaf| leaf != leaf_hash(&record)) {
            return Err(Failed::new(format!("record {index} is not the one that was signed")));
        }
        let proof = TlogProof::build(&mut nodes, index, &self.head, &self.note)?;
        proof.verify(&record, self.head.origin(), &self.known)?;
        Ok(proof.with_extra(record)?)
    }
}

/// The keys that are believed: `keys`, or those that lie beside the log.
pub(super) fn verifiers(folder: &LogFolder, keys: &[String]) -> Result<Vec<NoteVerifier>, Failed> {
    let beside = if keys.is_empty() { folder.note(VKEY_PATH)?.unwrap_or_default() } else { String::new() };
    let texts = keys.iter().map(String::as_str).chain(beside.lines());
    let parsed = texts.map(|text| {
        NoteVerifier::parse(text.trim()).map_err(|reason| Failed::new(format!("the key {text:?} cannot be used: {reason}")))
    });
    let known = parsed.collect::<Result<Vec<_>, _>>()?;
    match known.first() {
        None => Err(Failed::new("no verifier key lies beside the log; give one with --key (countersign keys list prints it)")),
        Some(first) if known.iter().any(|key| key.name() != first.name()) => {
            Err(Failed::new("the verifier keys are those of several logs"))
        }
        Some(_) => Ok(known),
    }
}
