//! One folder of an archive: a C2SP tlog-tiles log with full bundles packed, and archived states.
//!
//! | file | content |
//! |---|---|
//! | `tile/…` | hashes and entries; full bundles as LZ4 frames |
//! | `checkpoints/<size>` | the last checkpoint within every 65,536 entries, and the one that each run ended with |
//! | `state/<index>` | the state that the record of that index names |
//! | `first` | the index of the first entry, where that is not 0 |
//! | `vkey` | the verifier keys |
//! | `checkpoint` | the newest checkpoint; written last, once everything under it was proved |

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::log::LocalLog;
use crate::cli::output::Failure;
use crate::commit::ArchivedState;
use crate::files::{self, Access};
use crate::ledger::merkle::{includes, inclusion, leaf_hash};
use crate::ledger::{
    BundleEntries, CHECKPOINT_PATH, Checkpoint, FIRST_PATH, Record, RecordReason, TILE_WIDTH, Tile, TileKind, TileNodes,
    audit_from, tile_bytes, tiles_between,
};
use crate::store::{LogFolder, STATES, VKEY_PATH};

/// Of the checkpoints between two runs the last within every so many entries is kept.
const BLOCK: u64 = 65_536;

/// Tiles are written together up to so many bytes.
const FILES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What may lie in the folder of an archive that no run has finished yet.
const OWN: [&str; 6] = ["tile", "checkpoints", STATES, FIRST_PATH, VKEY_PATH, CHECKPOINT_PATH];

/// The folder of an archive, as it was found.
pub(super) struct Volume {
    dir: PathBuf,
    /// The index of the first entry.
    first: u64,
    /// The checkpoint that it ends with; none before the first run.
    before: Option<Checkpoint>,
}

/// An archive that was read back: its entries lead to a signed checkpoint, and its state is the one that its record names.
pub(super) struct WrittenVolume {
    first: u64,
    before: u64,
    until: u64,
    snapshot: u64,
    entries: usize,
}

impl Volume {
    /// The archive of `log` in `dir`; a new one begins with the entry `begins`.
    ///
    /// # Errors
    /// When something else is there.
    pub(super) fn open(dir: &Path, log: &LocalLog, begins: u64) -> Result<Self, Failure> {
        files::make_folder(dir, Access::Owner)?;
        let note = LogFolder::new(dir).note(CHECKPOINT_PATH)?;
        let Some(note) = note else {
            require_own(dir)?;
            return Ok(Self { dir: dir.to_owned(), first: begins, before: None });
        };
        let another = |what: String| Failure::new(format!("{} holds the archive of another log: {what}", dir.display()));
        let before = Checkpoint::open(&note, log.head().origin(), log.known()).map_err(|reason| another(reason.to_string()))?;
        if before.size() > log.head().size() {
            let (has, size) = (before.size(), log.head().size());
            return Err(another(format!("it has {has} entries, and the log {size}")));
        }
        Ok(Self { dir: dir.to_owned(), first: LogFolder::new(dir).first(true)?, before: Some(before) })
    }

    /// The number of entries, from the first of the log on, where it ends.
    pub(super) fn ends(&self) -> u64 {
        self.before.as_ref().map_or(self.first, Checkpoint::size)
    }

    /// The index of the first entry that is read to go on: where the bundle begins in which it ends.
    pub(super) fn goes_on_from(&self) -> u64 {
        self.ends() / u64::from(TILE_WIDTH) * u64::from(TILE_WIDTH)
    }

    /// Writes whatever `log` has more, and the state in `snapshot` by its index, reads all of it back, and proves it.
    ///
    /// # Errors
    /// What cannot be written, and what is not as it was signed.
    pub(super) fn write(self, log: &LocalLog, snapshot: &(u64, Vec<u8>)) -> Result<WrittenVolume, Failure> {
        let folder = LogFolder::new(&self.dir);
        let put = |path: &str, bytes: &[u8]| files::replace(&self.dir.join(path), bytes, Access::Owner);
        if self.first > 0 {
            put(FIRST_PATH, format!("{}\n", self.first).as_bytes())?;
        }
        let heads = self.checkpoints(log)?;
        let full = self.tiles(log, &heads, &folder)?;
        put(&format!("{STATES}/{}", snapshot.0), &snapshot.1)?;
        let keys: String = log.known().iter().map(|key| format!("{key}\n")).collect();
        put(VKEY_PATH, keys.as_bytes())?;
        for (head, note) in &heads {
            put(&format!("checkpoints/{}", head.size()), note.as_bytes())?;
        }
        let entries = self.prove(&folder, &heads, snapshot.0)?;
        put(CHECKPOINT_PATH, log.note().as_bytes())?;
        full.into_iter().try_for_each(|tile| folder.remove_partial(tile))?;
        let before = self.before.as_ref().map_or(self.first, Checkpoint::size);
        Ok(WrittenVolume { first: self.first, before, until: log.head().size(), snapshot: snapshot.0, entries })
    }

    /// Writes the tiles that it has not yet, the partial ones of each of these checkpoints too that no full one replaces; answers
    /// those that are full.
    fn tiles(&self, log: &LocalLog, heads: &[(Checkpoint, String)], folder: &LogFolder) -> Result<Vec<Tile>, Failure> {
        let (mut before, newest) = (self.before.as_ref().map_or(0, Checkpoint::size), log.head().size());
        let (mut full, mut files) = (Vec::new(), Vec::new());
        let needed = |tile: &Tile| !tile.is_pruned(self.first) && (tile.is_full() || !tile.full().is_within(newest));
        for (head, _) in heads {
            for tile in tiles_between(before, head.size()).filter(needed) {
                files.push((tile, tile_bytes(log.folder(), tile)?));
                full.extend(Some(tile).filter(Tile::is_full));
                if files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() >= FILES_BYTES_MAX {
                    folder.write(&std::mem::take(&mut files), Access::Owner)?;
                }
            }
            before = head.size();
        }
        folder.write(&files, Access::Owner)?;
        Ok(full)
    }

    /// The checkpoints that it gets: of those since it ended the last within each block, and the newest.
    fn checkpoints(&self, log: &LocalLog) -> Result<Vec<(Checkpoint, String)>, Failure> {
        let (newest, from) = (log.head().size(), self.ends());
        let kept: Vec<_> = log.folder().kept()?.into_iter().filter(|(size, _)| (from..newest).contains(size)).collect();
        let next = kept.iter().skip(1).map(|(size, _)| *size).chain([newest]);
        let last = kept.iter().zip(next).filter(|((size, _), next)| size / BLOCK != next / BLOCK).map(|(kept, _)| kept);
        let open = |note: &String| Checkpoint::open(note, log.head().origin(), log.known());
        let mut heads = last.map(|(_, note)| Ok((open(note)?, note.clone()))).collect::<Result<Vec<_>, Failure>>()?;
        heads.push((log.head().clone(), log.note().to_owned()));
        Ok(heads)
    }

    /// Everything from where it ended on, as it lies there now, leads to every checkpoint, that where it ended among them, and
    /// the state is the one that the entry at `snapshot` names. Answers the number of entries of the state.
    fn prove(&self, folder: &LogFolder, heads: &[(Checkpoint, String)], snapshot: u64) -> Result<usize, Failure> {
        let heads: Vec<Checkpoint> = self.before.iter().chain(heads.iter().map(|(head, _)| head)).cloned().collect();
        let from = self.goes_on_from().max(self.first);
        audit_from(folder, from, &heads, |_, entry| Record::parse(entry).map(drop).map_err(|reason: RecordReason| reason))?;
        let Some(head) = heads.last() else { return Err(Failure::new("there is no checkpoint")) };
        let record = entry(folder, head, snapshot)?;
        let state = folder.archived_state(snapshot)?.unwrap_or_default();
        Ok(ArchivedState::proved(snapshot, &state, &record).map_err(|reason| Failure::at(&self.dir, &reason))?.entries())
    }
}

impl WrittenVolume {
    /// The index of the first entry.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The number of entries that were added.
    pub(super) fn added(&self) -> u64 {
        self.until - self.before
    }

    /// The number of entries of the log that it covers.
    pub(super) fn until(&self) -> u64 {
        self.until
    }

    /// The index of the record that names the archived state.
    pub(super) fn snapshot(&self) -> u64 {
        self.snapshot
    }

    /// The number of entries of that state.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }
}

/// The entry at `index`, which leads to the root of `head`.
fn entry(folder: &LogFolder, head: &Checkpoint, index: u64) -> Result<Vec<u8>, Failure> {
    let absent = || Failure::new(format!("record {index}, which names the state, is not in the archive"));
    let tile = Tile::holding(TileKind::Entries, index, head.size()).ok_or_else(absent)?;
    let bytes = tile_bytes(folder, tile)?;
    let offset = usize::try_from(index - tile.start())?;
    let entry = BundleEntries::of(&bytes).nth(offset).ok_or_else(absent)??;
    let path = inclusion(&mut TileNodes::new(folder, head.size()), index, head.size())?.unwrap_or_default();
    let holds = includes(leaf_hash(entry), index, &path, head.size(), head.root());
    if holds { Ok(entry.to_vec()) } else { Err(absent()) }
}

/// Passes where nothing is in the folder but what a run that was broken off left.
fn require_own(dir: &Path) -> Result<(), Failure> {
    for found in fs::read_dir(dir)? {
        let name = found?.file_name();
        let own = name.to_str().is_some_and(|name| OWN.contains(&name) || name.starts_with('.'));
        if !own {
            return Err(Failure::new(format!("{} holds something else: {}", dir.display(), name.display())));
        }
    }
    Ok(())
}
