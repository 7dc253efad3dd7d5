//! The log in a data folder: files named as C2SP tlog-tiles names them, so that any web server could serve them as they lie.
//!
//! | file | content |
//! |---|---|
//! | `DATA/ledger/checkpoint` | the published checkpoint |
//! | `DATA/ledger/tile/…` | hashes and entries; full bundles of entries packed, under their name and `.lz4` |
//! | `DATA/ledger/checkpoints/<size>` | earlier checkpoints |
//! | `DATA/ledger/state/<index>` | archived states |
//! | `DATA/ledger/vkey` | the verifier keys, one on a line, the newest last |
//! | `KEYS/ledger.head` | the newest signed checkpoint, written before it is published: an older copy of the data does not
//! bring it back |

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::keys::{KeyFilesReason, LedgerKeys};
use crate::commit::contract::{LogStore, StoreReason, StoredCheckpoints};
use crate::files::{Access, Changes, bounded, read_if_there};
use crate::ledger::{
    CHECKPOINT_PATH, Checkpoint, ENTRY_BYTES_MAX, FIRST_PATH, KeyName, LogFiles, NOTE_BYTES_MAX, NoteVerifier, TILE_WIDTH, Tile,
    TileFile, TileKind,
};

/// The folder of the log within a data folder.
pub const LEDGER_FOLDER: &str = "ledger";

/// The path of the verifier keys within the log.
pub const VKEY_PATH: &str = "vkey";

/// The folder of archived states within the log.
pub const STATES: &str = "state";

/// Behind the name of a file that is packed.
const PACKED: &str = ".lz4";

const KEPT: &str = "checkpoints";
const HEAD: &str = "ledger.head";

/// No file of a log is longer: a full bundle of the longest entries.
const FILE_BYTES_MAX: u64 = TILE_WIDTH as u64 * (ENTRY_BYTES_MAX as u64 + 2);

/// No archived state is longer.
const STATE_BYTES_MAX: u64 = 4 << 30;

/// A log in a folder, to be read: `DATA/ledger`, an exported copy, or anybody's; with the archives that have what was pruned of
/// it.
#[derive(Clone, Debug)]
pub struct LogFolder {
    path: PathBuf,
    archives: Vec<PathBuf>,
}

impl LogFolder {
    /// The log in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.to_owned(), archives: Vec::new() }
    }

    /// The same log, of which whatever is not there is read from these archives.
    #[must_use]
    pub fn with_archives(self, archives: &[PathBuf]) -> Self {
        Self { archives: archives.to_vec(), ..self }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folders that it lies in, its own first.
    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.path).chain(&self.archives)
    }

    /// The kept checkpoints by the size in their name, in rising order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn kept(&self) -> io::Result<Vec<(u64, String)>> {
        let mut kept = BTreeMap::new();
        for folder in self.folders() {
            for size in numbered(&folder.join(KEPT))? {
                if let Some(note) = note(&folder.join(KEPT).join(size.to_string()))? {
                    kept.entry(size).or_insert(note);
                }
            }
        }
        Ok(kept.into_iter().collect())
    }

    /// The indexes of the archived states, in rising order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn states(&self) -> io::Result<Vec<u64>> {
        let mut states = BTreeSet::new();
        for folder in self.folders() {
            states.extend(numbered(&folder.join(STATES))?);
        }
        Ok(states.into_iter().collect())
    }

    /// The bytes of the archived state of that index.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn archived_state(&self, index: u64) -> io::Result<Option<Vec<u8>>> {
        let read = |folder: &PathBuf| read_if_there(&folder.join(STATES).join(index.to_string()), STATE_BYTES_MAX).transpose();
        self.folders().find_map(read).transpose()
    }

    /// The newest archived state, with its index.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn newest_state(&self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let Some(index) = self.states()?.pop() else { return Ok(None) };
        Ok(self.archived_state(index)?.map(|bytes| (index, bytes)))
    }

    /// True where archives have what was pruned of it.
    pub fn has_archives(&self) -> bool {
        !self.archives.is_empty()
    }

    /// The index of the first entry that its archives have, and where `own` says so, the log itself.
    ///
    /// # Errors
    /// When that cannot be read, or is no number.
    pub fn first(&self, own: bool) -> io::Result<u64> {
        let mut first = None;
        for folder in self.folders().skip(usize::from(!own)) {
            let text = note(&folder.join(FIRST_PATH))?;
            let found = text.map_or(Ok(0), |text| first_of(&text))?;
            first = Some(first.map_or(found, |first: u64| first.min(found)));
        }
        Ok(first.unwrap_or(0))
    }

    /// The signed text at `path`.
    ///
    /// # Errors
    /// When it cannot be read; a text that is none is not told from a malformed note.
    pub fn note(&self, path: &str) -> io::Result<Option<String>> {
        note(&self.path.join(path))
    }

    /// Writes tiles, full bundles packed, for those whom `access` names: whole or not at all, and durable.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn write(&self, tiles: &[TileFile], access: Access) -> io::Result<()> {
        let mut files = Vec::with_capacity(tiles.len());
        for (tile, bytes) in tiles {
            files.push(match is_packed(*tile) {
                true => (self.packed(*tile), Cow::Owned(packed(bytes)?)),
                false => (self.path.join(tile.to_string()), Cow::Borrowed(bytes.as_slice())),
            });
        }
        let files: Vec<(PathBuf, &[u8])> = files.iter().map(|(path, bytes)| (path.clone(), &**bytes)).collect();
        let mut changes = Changes::with(&self.path, access);
        changes.replace(&files)?;
        changes.settle()
    }

    /// Removes a full tile, and the partial ones that it may have replaced.
    ///
    /// # Errors
    /// When one is there and cannot be removed.
    pub fn remove(&self, tile: Tile) -> io::Result<()> {
        let path = self.path.join(tile.to_string());
        unless_absent(fs::remove_file(self.packed(tile)))?;
        unless_absent(fs::remove_file(&path))?;
        self.remove_partial(tile)?;
        // Where other tiles are in it, it stays.
        let _others = path.parent().map(fs::remove_dir);
        Ok(())
    }

    /// Removes the partial tiles that a full one has replaced.
    ///
    /// # Errors
    /// When one is there and cannot be removed.
    pub fn remove_partial(&self, tile: Tile) -> io::Result<()> {
        unless_absent(fs::remove_dir_all(self.path.join(format!("{tile}.p"))))
    }

    /// No file of a log is longer.
    pub const BYTES_MAX: u64 = FILE_BYTES_MAX;

    /// The bytes of the bundle of this number with the most entries of those that lie there: full, or partial.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn widest_bundle(&self, number: u64) -> io::Result<Option<Vec<u8>>> {
        let tiles = (1..=TILE_WIDTH).rev().filter_map(|width| Tile::new(TileKind::Entries, number, width));
        for tile in tiles {
            if let Some(bytes) = self.read(&tile.to_string())? {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// The path and the bytes with which a file of a log lies in the folder of a server, where these are its path and its bytes
    /// in any folder.
    ///
    /// # Errors
    /// When it cannot be packed.
    pub fn as_stored(path: &str, bytes: Vec<u8>) -> io::Result<(String, Vec<u8>)> {
        match Tile::parse(path) {
            Ok(tile) if is_packed(tile) => Ok((format!("{tile}{PACKED}"), packed(&bytes)?)),
            _ => Ok((path.to_owned(), bytes)),
        }
    }

    /// The file of a packed tile.
    fn packed(&self, tile: Tile) -> PathBuf {
        self.path.join(format!("{tile}{PACKED}"))
    }

    /// Packs a full bundle that lies there as it is, as an earlier version left it.
    ///
    /// # Errors
    /// When it cannot be read, or not replaced.
    pub(super) fn pack(&self, tile: Tile) -> io::Result<()> {
        let plain = self.path.join(tile.to_string());
        let Some(bytes) = read_if_there(&plain, FILE_BYTES_MAX)? else { return Ok(()) };
        let mut changes = Changes::below(&self.path);
        changes.replace(&[(self.packed(tile), &packed(&bytes)?)])?;
        changes.settle()?;
        fs::remove_file(plain)
    }
}

impl LogFiles for LogFolder {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.folders().find_map(|folder| read_in(folder, path).transpose()).transpose()
    }
}

/// The bytes at `path` below a folder, unpacked.
fn read_in(folder: &Path, path: &str) -> io::Result<Option<Vec<u8>>> {
    let plain = read_if_there(&folder.join(path), FILE_BYTES_MAX)?;
    match Tile::parse(path) {
        Ok(tile) if plain.is_none() && is_packed(tile) => {
            let packed = read_if_there(&folder.join(format!("{tile}.lz4")), FILE_BYTES_MAX)?;
            packed.map(|packed| bounded(FrameDecoder::new(packed.as_slice()), FILE_BYTES_MAX)).transpose()
        }
        _ => Ok(plain),
    }
}

/// The files of a folder whose names are numbers, in no particular order; none where there is no folder.
fn numbered(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok().filter(|number| number.to_string() == name)));
    }
    Ok(numbers)
}

/// The text of a file, as a note has it.
fn note(path: &Path) -> io::Result<Option<String>> {
    let bytes = read_if_there(path, NOTE_BYTES_MAX as u64)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The index in the text of a `first` file.
///
/// # Errors
/// `InvalidData` where it is none.
pub fn first_of(text: &str) -> io::Result<u64> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "the index of the first entry of the log is no number");
    text.trim_end_matches('\n').parse().map_err(|_| wrong())
}

/// True for what never changes and is read seldom.
fn is_packed(tile: Tile) -> bool {
    tile.kind() == TileKind::Entries && tile.is_full()
}

/// The bytes as an LZ4 frame: two fifths of them. Deflate leaves a third, and takes five times as long, twice. Larger blocks save
/// next to nothing, and their buffers cost more than the packing.
fn packed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let info = FrameInfo::new().block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::with_capacity(bytes.len() / 2));
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// The log of one server, in its data folder; the newest checkpoint is remembered in its key folder.
#[derive(Clone, Debug)]
pub struct TileFolder {
    log: LogFolder,
    head: PathBuf,
}

impl TileFolder {
    /// The log in the data folder `data` of whoever holds that folder's lock.
    ///
    /// # Errors
    /// `Folder` when it cannot be made.
    pub fn new(data: &Path, keys: &Path) -> Result<Self, StoreReason> {
        let log = LogFolder::new(&data.join(LEDGER_FOLDER));
        let mut changes = Changes::below(data);
        changes.folder(log.path()).and_then(|()| changes.settle()).map_err(StoreReason::Folder)?;
        Ok(Self { log, head: keys.join(HEAD) })
    }

    /// The log as everybody reads it.
    pub fn log(&self) -> &LogFolder {
        &self.log
    }

    /// Lays the verifier keys beside the log, for those who take the folder as it is.
    ///
    /// # Errors
    /// `Folder` when the file cannot be written.
    pub fn write_keys(&self, keys: &[NoteVerifier]) -> Result<(), StoreReason> {
        let lines: String = keys.iter().map(|key| format!("{key}\n")).collect();
        self.replace(&[(self.log.path().join(VKEY_PATH), lines.as_bytes())], self.log.path())
    }

    /// Refuses the loss of the remembered checkpoint: an older copy of the data would be taken for the newest.
    ///
    /// # Errors
    /// `Head` when none is remembered although one was published; `File` when that cannot be read.
    pub fn refuse_lost_head(&self) -> Result<(), KeyFilesReason> {
        let failed = |error| KeyFilesReason::File(self.log.path().to_owned(), error);
        let published = self.log.note(CHECKPOINT_PATH).map_err(failed)?.is_some() || !self.log.kept().map_err(failed)?.is_empty();
        if self.head.exists() || !published {
            return Ok(());
        }
        Err(KeyFilesReason::Head(self.head.clone(), self.log.path().parent().unwrap_or(Path::new(".")).to_owned()))
    }

    /// Remembers the published checkpoint where the remembered one is lost: that the data are not older than that is not known
    /// any more. Returns its size.
    ///
    /// # Errors
    /// `Locked` when one is remembered; `Corrupt` when none was published that one of the `known` keys signed.
    pub fn accept_published(&self, origin: &KeyName, known: &[NoteVerifier]) -> Result<u64, StoreReason> {
        let note = self.log.note(CHECKPOINT_PATH).map_err(StoreReason::Folder)?.unwrap_or_default();
        let checkpoint = Checkpoint::open(&note, origin, known);
        let checkpoint = checkpoint.map_err(|_| StoreReason::Corrupt("no published checkpoint is signed by these keys"))?;
        self.swap(None, &note)?;
        Ok(checkpoint.size())
    }

    /// The remembered checkpoint, which one of the listed `keys` signed, whatever its log is called; none before there is one.
    ///
    /// # Errors
    /// `Folder` when it cannot be read; `Corrupt` when none of them signed it.
    pub fn remembered_head(folder: &Path, keys: &LedgerKeys) -> Result<Option<Checkpoint>, StoreReason> {
        let bytes = read_if_there(&folder.join(HEAD), NOTE_BYTES_MAX as u64).map_err(StoreReason::Folder)?;
        let Some(note) = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()) else { return Ok(None) };
        let opened = |origin: &KeyName| Checkpoint::open(&note, origin, &keys.verifiers(origin)).ok();
        let head = keys.origins().iter().find_map(opened);
        head.map(Some).ok_or(StoreReason::Corrupt("no listed key signed ledger.head"))
    }

    /// Remembers a checkpoint that was found elsewhere and is newer than the remembered one.
    ///
    /// # Errors
    /// `Folder` when it cannot be written.
    pub fn remember_head(folder: &Path, note: &str) -> Result<(), StoreReason> {
        let mut changes = Changes::below(folder);
        changes.replace(&[(folder.join(HEAD), note.as_bytes())]).and_then(|()| changes.settle()).map_err(StoreReason::Folder)
    }

    fn replace(&self, files: &[(PathBuf, &[u8])], below: &Path) -> Result<(), StoreReason> {
        let mut changes = Changes::below(below);
        changes.replace(files).and_then(|()| changes.settle()).map_err(StoreReason::Folder)
    }

    fn remembered(&self) -> Result<Option<String>, StoreReason> {
        let bytes = read_if_there(&self.head, NOTE_BYTES_MAX as u64).map_err(StoreReason::Folder)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}

impl LogFiles for TileFolder {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.log.read(path)
    }
}

impl LogStore for TileFolder {
    fn signed(&self) -> Result<StoredCheckpoints, StoreReason> {
        let published = self.log.note(CHECKPOINT_PATH).map_err(StoreReason::Folder)?;
        let kept = self.log.kept().map_err(StoreReason::Folder)?;
        Ok(StoredCheckpoints { swapped: self.remembered()?, published, kept })
    }

    fn write(&self, tiles: &[TileFile]) -> Result<(), StoreReason> {
        self.log.write(tiles, Access::Owner).map_err(StoreReason::Folder)
    }

    fn swap(&self, old: Option<&str>, new: &str) -> Result<(), StoreReason> {
        if self.remembered()?.as_deref() != old {
            return Err(StoreReason::Locked);
        }
        let folder = self.head.parent().unwrap_or(Path::new("."));
        self.replace(&[(self.head.clone(), new.as_bytes())], folder)
    }

    fn publish(&self, size: u64, note: &str) -> Result<(), StoreReason> {
        // In this order a kept checkpoint is never newer than the served one, which an audit takes for a served one put back.
        self.replace(&[(self.log.path().join(CHECKPOINT_PATH), note.as_bytes())], self.log.path())?;
        let kept = self.log.path().join(format!("{KEPT}/{size}"));
        self.replace(&[(kept, note.as_bytes())], self.log.path())
    }

    fn tidy(&self, checkpoints: &[u64], replaced_by: &[Tile]) -> Result<(), StoreReason> {
        let kept = checkpoints.iter().map(|size| fs::remove_file(self.log.path().join(format!("{KEPT}/{size}"))));
        let partial = replaced_by.iter().map(|tile| self.log.remove_partial(*tile));
        kept.map(unless_absent).chain(partial).collect::<io::Result<()>>().map_err(StoreReason::Folder)
    }
}

fn unless_absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
