//! A log in a folder or behind a URL, and the records beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, redirect};
use tokio::runtime::{Builder, Runtime};

use super::output::Failure;
use crate::commit::contract::RecordReader;
use crate::crypto::Digest;
use crate::files::{self, Access};
use crate::ledger::merkle::{self, Nodes, leaf_hash};
use crate::ledger::{
    CHECKPOINT_PATH, Checkpoint, ENTRY_BYTES_MAX, FIRST_PATH, LogFiles, NodeReason, NoteVerifier, TILE_WIDTH, Tile, TileNodes,
    TlogProof, tile_bytes, tiles_between,
};
use crate::store::{self, LEDGER_FOLDER, LogFolder, STATES, VKEY_PATH};

/// No file of a log is longer: a full bundle of the longest entries.
const FILE_BYTES_MAX: usize = TILE_WIDTH as usize * (ENTRY_BYTES_MAX + 2);

/// The place that a log is read from.
pub(super) enum LogSource {
    /// A folder; with the records, where it is a server's data folder.
    Folder(LogFolder, Option<PathBuf>),
    /// A web server.
    Web(WebLog),
}

/// A log behind a URL.
pub(super) struct WebLog {
    prefix: String,
    client: Client,
    runtime: Runtime,
}

impl LogSource {
    /// The log at `place`: a URL, the folder of a log, or a server's data folder.
    ///
    /// # Errors
    /// When there is no log there.
    pub(super) fn open(place: &str) -> Result<Self, Failure> {
        if place.starts_with("http://") || place.starts_with("https://") {
            return WebLog::new(place).map(Self::Web);
        }
        let (folder, data) = log_folder(Path::new(place))?;
        Ok(Self::Folder(folder, data))
    }

    /// Its folder, where it is in one.
    pub(super) fn folder(&self) -> Option<&LogFolder> {
        if let Self::Folder(folder, _) = self { Some(folder) } else { None }
    }

    /// The same log, of which whatever is pruned is read from these archives.
    ///
    /// # Errors
    /// When it is behind a URL.
    pub(super) fn with_archives(self, archives: &[PathBuf]) -> Result<Self, Failure> {
        match self {
            _ if archives.is_empty() => Ok(self),
            Self::Folder(folder, data) => Ok(Self::Folder(folder.with_archives(archives), data)),
            Self::Web(_) => Err(Failure::new("an archive goes with a folder, not with a URL")),
        }
    }

    /// The index of the first entry that it has.
    ///
    /// # Errors
    /// When that cannot be read.
    pub(super) fn first(&self) -> Result<u64, Failure> {
        match self {
            Self::Folder(folder, Some(data)) if !folder.has_archives() && store::is_used(data) => {
                records_of(data)?.first().map_err(|reason| Failure::at(data, &reason))
            }
            // What is not told of a data folder's own log is told by its archives.
            Self::Folder(folder, data) => Ok(folder.first(data.is_none())?),
            Self::Web(web) => match web.runtime.block_on(web.get(FIRST_PATH))? {
                Some(text) => Ok(store::first_of(&String::from_utf8_lossy(&text))?),
                None => Ok(0),
            },
        }
    }

    /// The data folder whose records it is the log of.
    pub(super) fn data(&self) -> Option<&Path> {
        if let Self::Folder(_, data) = self { data.as_deref() } else { None }
    }
}

/// The folder of the log at `place`, and `place` itself where it is a data folder.
pub(super) fn log_folder(place: &Path) -> Result<(LogFolder, Option<PathBuf>), Failure> {
    let within = place.join(LEDGER_FOLDER);
    if within.join(CHECKPOINT_PATH).exists() {
        return Ok((LogFolder::new(&within), Some(place.to_owned())));
    }
    if place.join(CHECKPOINT_PATH).exists() {
        return Ok((LogFolder::new(place), None));
    }
    Err(Failure::new(format!(
        "there is no log in {}: neither {CHECKPOINT_PATH} nor {LEDGER_FOLDER}/{CHECKPOINT_PATH}",
        place.display()
    )))
}

impl LogFiles for LogSource {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Folder(folder, _) => folder.read(path),
            Self::Web(web) => web.runtime.block_on(web.get(path)),
        }
    }
}

impl WebLog {
    fn new(url: &str) -> Result<Self, Failure> {
        let client = Client::builder().redirect(redirect::Policy::none()).timeout(Duration::from_secs(60)).build()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { prefix: url.trim_end_matches('/').to_owned(), client, runtime })
    }

    async fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let url = format!("{}/{path}", self.prefix);
        let mut answer = self.client.get(&url).send().await.map_err(|error| io::Error::other(error.without_url()))?;
        match answer.status().as_u16() {
            200 => {}
            404 | 410 => return Ok(None),
            401 | 403 => {
                let what = "the server shows it to auditors only; let it be exported (countersign ledger export) and verify that";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
            }
            status => return Err(io::Error::other(format!("{url} was answered {status}"))),
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| io::Error::other(error.without_url()))? {
            body.extend_from_slice(&chunk);
            if body.len() > FILE_BYTES_MAX {
                return Err(io::Error::other("the answer is longer than any file of a log can be"));
            }
        }
        Ok(Some(body))
    }
}

/// A log in a folder with its newest checkpoint, which one of the keys signed.
pub(super) struct LocalLog {
    folder: LogFolder,
    head: Checkpoint,
    note: String,
    known: Vec<NoteVerifier>,
}

/// The nodes of a log, of each height the two that were wanted last: those that neighbours have in common, each of which takes
/// many hashes to compute.
pub(super) struct RecentNodes<'a> {
    nodes: TileNodes<'a, LogFolder>,
    recent: Vec<[Option<(u64, Digest)>; 2]>,
}

/// The answer to whether the signed tree holds a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inclusion {
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
    pub(super) fn open(place: &Path, keys: &[String]) -> Result<Self, Failure> {
        let (folder, _) = log_folder(place)?;
        let known = verifiers(&folder, keys)?;
        let note = folder.note(CHECKPOINT_PATH)?.ok_or_else(|| Failure::new("there is no checkpoint"))?;
        let named = |reason| Failure::new(format!("{}: {reason}", folder.path().join(CHECKPOINT_PATH).display()));
        let head = known.iter().find_map(|key| Checkpoint::open(&note, key.name(), &known).ok());
        let head = match (head, known.first()) {
            (Some(head), _) => head,
            (None, Some(key)) => Checkpoint::open(&note, key.name(), &known).map_err(named)?,
            (None, None) => return Err(Failure::new("there is no verifier key; give one with --key")),
        };
        Ok(Self { folder, head, note, known })
    }

    /// The same log as of the newest checkpoint that is kept and covers no more than `records`, unless that is older.
    ///
    /// # Errors
    /// When the kept checkpoints cannot be read.
    pub(super) fn caught_up(self, records: u64) -> Result<Self, Failure> {
        let opened = |note: &String| Checkpoint::open(note, self.head.origin(), &self.known).ok();
        let kept = self.folder.kept()?.into_iter().rev().filter(|(size, _)| *size <= records);
        let newer = kept.into_iter().find_map(|(_, note)| Some((opened(&note)?, note)));
        match newer.filter(|(head, _)| head.size() > self.head.size()) {
            Some((head, note)) => Ok(Self { head, note, ..self }),
            None => Ok(self),
        }
    }

    /// The same log, of which whatever is pruned is read from these archives.
    pub(super) fn with_archives(self, archives: &[PathBuf]) -> Self {
        Self { folder: self.folder.with_archives(archives), ..self }
    }

    /// The keys by which it is believed.
    pub(super) fn known(&self) -> &[NoteVerifier] {
        &self.known
    }

    /// The folder that it lies in.
    pub(super) fn folder(&self) -> &LogFolder {
        &self.folder
    }

    /// Its newest checkpoint.
    pub(super) fn head(&self) -> &Checkpoint {
        &self.head
    }

    /// The signed note of its newest checkpoint.
    pub(super) fn note(&self) -> &str {
        &self.note
    }

    /// The nodes of its tree, for looking for one record after the other.
    pub(super) fn nodes(&self) -> RecentNodes<'_> {
        RecentNodes { nodes: TileNodes::new(&self.folder, self.head.size()), recent: Vec::new() }
    }

    /// Looks for `record` as the entry of this index.
    pub(super) fn inclusion(&self, nodes: &mut RecentNodes<'_>, index: u64, record: &[u8]) -> Inclusion {
        let size = self.head.size();
        if index >= size {
            return Inclusion::NotYet;
        }
        let path = merkle::inclusion(nodes, index, size).ok().flatten();
        let holds = path.is_some_and(|path| merkle::includes(leaf_hash(record), index, &path, size, self.head.root()));
        if holds { Inclusion::Yes(size) } else { Inclusion::No }
    }

    /// The proof of `record`, with the record itself as its extra data, verified as its receiver would.
    ///
    /// # Errors
    /// When the newest checkpoint does not reach it, or something was changed.
    pub(super) fn proof(&self, index: u64, record: Vec<u8>) -> Result<TlogProof, Failure> {
        let mut nodes = TileNodes::new(&self.folder, self.head.size());
        if nodes.node(0, index).is_ok_and(|leaf| leaf != leaf_hash(&record)) {
            return Err(Failure::new(format!("record {index} is not the one that was signed")));
        }
        let proof = TlogProof::build(&mut nodes, index, &self.head, &self.note)?;
        proof.verify(&record, self.head.origin(), &self.known)?;
        Ok(proof.with_extra(record)?)
    }
}

impl Nodes for RecentNodes<'_> {
    type Error = NodeReason;

    fn node(&mut self, height: u32, index: u64) -> Result<Digest, NodeReason> {
        let at = usize::try_from(height).map_err(|_| NodeReason::Beyond)?;
        if let Some((_, node)) = self.recent.get(at).and_then(|recent| recent.iter().flatten().find(|(known, _)| *known == index))
        {
            return Ok(*node);
        }
        let node = self.nodes.node(height, index)?;
        if self.recent.len() <= at {
            self.recent.resize(at + 1, [None; 2]);
        }
        if let Some(recent) = self.recent.get_mut(at) {
            *recent = [Some((index, node)), recent[0]];
        }
        Ok(node)
    }
}

/// Writes the log as of its newest checkpoint below `dir`, for those whom `access` names; the checkpoint comes last. Of what is
/// pruned before `first` it has what is held. Answers the number of files.
pub(super) fn export(log: &LocalLog, first: u64, dir: &Path, access: Access) -> Result<u64, Failure> {
    make_empty(dir, access)?;
    let mut written = 0;
    let mut write = |path: &str, bytes: &[u8]| -> Result<(), Failure> {
        files::replace(&dir.join(path), bytes, access)?;
        written += 1;
        Ok(())
    };
    let (newest, mut before) = (log.head().size(), 0);
    let kept: Vec<_> = log.folder().kept()?.into_iter().filter(|(size, _)| (first..=newest).contains(size)).collect();
    for size in kept.iter().map(|(size, _)| *size).chain([newest]) {
        // A partial tile of an older checkpoint is needed until the full one is there.
        let needed = |tile: &Tile| tile.is_full() || !tile.full().is_within(newest);
        for tile in tiles_between(before, size).filter(needed) {
            match tile_bytes(log.folder(), tile) {
                Err(NodeReason::Missing(_)) if tile.is_pruned(first) => {}
                bytes => write(&tile.to_string(), &bytes?)?,
            }
        }
        before = size;
    }
    for index in log.folder().states()?.into_iter().filter(|index| (first..newest).contains(index)) {
        let bytes = log.folder().archived_state(index)?;
        bytes.map_or(Ok(()), |bytes| write(&format!("{STATES}/{index}"), &bytes))?;
    }
    if first > 0 {
        write(FIRST_PATH, format!("{first}\n").as_bytes())?;
    }
    for (size, note) in kept {
        write(&format!("checkpoints/{size}"), note.as_bytes())?;
    }
    if let Some(keys) = log.folder().note(VKEY_PATH)? {
        write(VKEY_PATH, keys.as_bytes())?;
    }
    write(CHECKPOINT_PATH, log.note().as_bytes())?;
    Ok(written)
}

/// Makes the folder `dir`, or takes one in which nothing is.
pub(super) fn make_empty(dir: &Path, access: Access) -> Result<(), Failure> {
    files::make_folder(dir, access)?;
    if fs::read_dir(dir)?.next().is_some() {
        return Err(Failure::new(format!("{} is not empty", dir.display())));
    }
    Ok(())
}

/// The records of the data folder `data`.
pub(super) fn records_of(data: &Path) -> Result<Arc<dyn RecordReader>, Failure> {
    store::reader(data).map_err(|reason| Failure::at(data, &reason))
}

/// The keys that are believed: `keys`, or those that lie beside the log.
pub(super) fn verifiers(folder: &LogFolder, keys: &[String]) -> Result<Vec<NoteVerifier>, Failure> {
    let beside = if keys.is_empty() { folder.note(VKEY_PATH)?.unwrap_or_default() } else { String::new() };
    let texts = keys.iter().map(String::as_str).chain(beside.lines());
    let parsed = texts.map(|text| {
        NoteVerifier::parse(text.trim()).map_err(|reason| Failure::new(format!("the key {text:?} cannot be used: {reason}")))
    });
    let known = parsed.collect::<Result<Vec<_>, _>>()?;
    match known.first() {
        None => Err(Failure::new("no verifier key lies beside the log; give one with --key (countersign keys list prints it)")),
        Some(first) if known.iter().any(|key| key.name() != first.name()) => {
            Err(Failure::new("the verifier keys are those of several logs"))
        }
        Some(_) => Ok(known),
    }
}
