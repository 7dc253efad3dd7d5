//! `ledger export`

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::local::LocalLog;
use crate::cli::output::{Failed, Outcome};
use crate::ledger::{CHECKPOINT_PATH, Tile, tile_bytes, tiles_between};
use crate::store::VKEY_PATH;

/// The options of `ledger export`.
#[derive(Args)]
pub(in crate::cli) struct Options {
    /// Where to: a new or empty folder
    dir: PathBuf,
    /// The server's data folder
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Copies, and says what.
pub(super) fn run(options: &Options) -> Outcome {
    let log = LocalLog::open(&options.data, &[])?;
    let files = export(&log, &options.dir)?;
    let (dir, head) = (options.dir.display(), log.head());
    match options.json {
        true => {
            say!("{}", json!({"dir": dir.to_string(), "origin": head.origin().as_str(), "size": head.size(), "files": files}))
        }
        false => say!(
            "{} entries of {} in {files} files are in {dir}\nverify them:  countersign ledger verify {dir} --key VKEY",
            head.size(),
            head.origin()
        ),
    }
    Ok(true)
}

/// Writes the log as of its newest checkpoint below `dir`; the checkpoint comes last. Says how many files that are.
pub(in crate::cli) fn export(log: &LocalLog, dir: &Path) -> Result<u64, Failed> {
    fs::create_dir_all(dir)?;
    if fs::read_dir(dir)?.next().is_some() {
        return Err(Failed::new(format!("{} is not empty", dir.display())));
    }
    let mut files = 0;
    let mut write = |path: &str, bytes: &[u8]| -> Result<(), Failed> {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap_or(dir))?;
        fs::write(path, bytes)?;
        files += 1;
        Ok(())
    };
    let (newest, mut before) = (log.head().size(), 0);
    let kept: Vec<_> = log.folder().kept()?.into_iter().filter(|(size, _)| *size <= newest).collect();
    for size in kept.iter().map(|(size, _)| *size).chain([newest]) {
        // A partial tile of an older checkpoint is needed until the full one is there.
        let needed = |tile: &Tile| tile.is_full() || !tile.full().is_within(newest);
        for tile in tiles_between(before, size).filter(needed) {
            write(&tile.to_string(), &tile_bytes(log.folder(), tile)?)?;
        }
        before = size;
    }
    for (size, note) in kept {
        write(&format!("checkpoints/{size}"), note.as_bytes())?;
    }
    if let Some(keys) = log.folder().note(VKEY_PATH)? {
        write(VKEY_PATH, keys.as_bytes())?;
    }
    write(CHECKPOINT_PATH, log.note().as_bytes())?;
    Ok(files)
}
