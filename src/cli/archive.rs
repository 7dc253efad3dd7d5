//! `archive`: entries, checkpoints and the state are put into a folder, read back and proved there; then that is recorded, so
//! that what is old enough may be pruned.

mod volume;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::admin::{Admin, AdminOptions};
use super::log::{LocalLog, records_of};
use super::output::{CommandResult, Failure, print};
use crate::commit::contract::{StoreReason, StoredCheckpoint};
use crate::commit::{RecordedArchive, archived, recorded_state};
use crate::files::{self, Access};
use crate::ledger::TILE_WIDTH;
use crate::store::{self, LEDGER_FOLDER, LogFolder, STATES};
use volume::{Volume, WrittenVolume};

/// How often, and with what pause, it is looked whether a checkpoint covers the state; no interval is longer than a minute.
const LOOKS: u32 = 1_500;
const PAUSE: Duration = Duration::from_millis(50);

/// Archived states that stay beside the log: the newest, and the one before.
const STATES_KEPT: usize = 2;

/// The options of `archive`.
#[derive(Args)]
pub(super) struct Options {
    /// The folder of an archive, to be gone on with, or a new one, which begins where the last archive ended
    dir: PathBuf,
    /// Begin a new folder with the oldest record that is kept
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Archives, and says what and up to where.
pub(super) fn run(options: &Options) -> CommandResult {
    let data = options.admin.folder.folder().data;
    if !store::is_used(&data) {
        return Err(Failure::new(format!("{}: no server ever ran on this folder", data.display())));
    }
    if std::path::absolute(&options.dir)?.starts_with(std::path::absolute(&data)?) {
        return Err(Failure::new(format!("{} lies in the data folder that is to be archived", options.dir.display())));
    }
    let written = Admin::run(&options.admin, async |admin| {
        let grows = match admin.record_state().await? {
            Ok(done) => done.get("recorded") == Some(&Value::Bool(true)),
            Err(why) => return Ok(Err(why)),
        };
        let (log, state) = covered(&data, grows).await?;
        let written = archive(options, &data, &log, &state)?;
        // Only now: everything that was written was read back and proved.
        Ok(admin.archived(log.head().size(), written.until(), written.snapshot()).await?.map(|_| written))
    })?;
    match written {
        Ok(written) => {
            tidy(&data)?;
            told(options, &written);
            Ok(true)
        }
        Err(why) => {
            print(options.admin.json, &json!({ "ok": false, "reason": why }), format!("nothing is archived: {why}"));
            Ok(false)
        }
    }
}

/// A state as it is archived, by the index of the record that names it.
type SnapshotFile = (u64, Vec<u8>);

/// The newest stored state, and the log with a checkpoint over the record that names it, which is waited for while the log
/// `grows`. Where a server was killed before that was signed, the state that was archived last.
async fn covered(data: &Path, grows: bool) -> Result<(LocalLog, SnapshotFile), Failure> {
    let failed = |reason: StoreReason| Failure::at(data, &reason);
    let StoredCheckpoint { index: Some(index), rows } = records_of(data)?.checkpoint().map_err(failed)? else {
        return Err(Failure::new("no state is stored yet; start the server once"));
    };
    let mut log = LocalLog::open(data, &[])?;
    for _ in 0..if grows { LOOKS } else { 0 } {
        if log.head().size() > index {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        log = LocalLog::open(data, &[])?;
    }
    if log.head().size() > index {
        return Ok((log, (index, archived(rows))));
    }
    let before = recorded_state(&*records_of(data)?).map_err(failed)?.retention().archive.filter(|_| !grows);
    let bytes = before.map(|archive| log.folder().archived_state(archive.snapshot)).transpose()?.flatten();
    match before.zip(bytes) {
        Some((archive, bytes)) => Ok((log, (archive.snapshot, bytes))),
        None => Err(Failure::new("the newest state is under no signed checkpoint; start the server, which signs it")),
    }
}

/// Writes and proves.
fn archive(options: &Options, data: &Path, log: &LocalLog, snapshot: &SnapshotFile) -> Result<WrittenVolume, Failure> {
    let failed = |reason: StoreReason| Failure::at(data, &reason);
    let reader = records_of(data)?;
    let kept = reader.first().map_err(failed)?;
    let before = recorded_state(&*reader).map_err(failed)?.retention().archive;
    let begins = if options.all { kept } else { kept.max(ends(before)) };
    let volume = Volume::open(&options.dir, log, begins)?;
    if volume.goes_on_from() < kept {
        return Err(Failure::new(format!(
            "the archive in {} ends with record {}, and the records before {kept} are pruned by now; they are in the archive \
             that was written last. Go on with that one, or with a new folder",
            options.dir.display(),
            volume.ends().saturating_sub(1)
        )));
    }
    let written = volume.write(log, snapshot)?;
    // The server goes on from it, when the records before it are pruned.
    files::replace(&data.join(LEDGER_FOLDER).join(STATES).join(snapshot.0.to_string()), &snapshot.1, Access::Owner)?;
    Ok(written)
}

/// Where the last archive ended: the beginning of the bundle in which it did.
fn ends(archive: Option<RecordedArchive>) -> u64 {
    let width = u64::from(TILE_WIDTH);
    archive.map_or(0, |archive| archive.until.min(archive.snapshot) / width * width)
}

/// Removes archived states that are no longer needed.
fn tidy(data: &Path) -> Result<(), Failure> {
    let log = data.join(LEDGER_FOLDER);
    let states = LogFolder::new(&log).states()?;
    let mut gone = states.iter().rev().skip(STATES_KEPT);
    Ok(gone.try_for_each(|index| files::remove(&log.join(STATES).join(index.to_string())))?)
}

fn told(options: &Options, written: &WrittenVolume) {
    let (dir, until, snapshot) = (options.dir.display(), written.until(), written.snapshot());
    let (added, first) = (written.added(), written.first());
    let words = format!(
        "{added} records more are in {dir}, which has those from {first} to {}, and the state of record {snapshot}: read back \
         and proved\nverify it:  countersign ledger verify {dir} --key VKEY",
        until.saturating_sub(1)
    );
    let told: Value = json!({ "ok": true, "dir": dir.to_string(), "first": first, "added": added, "until": until,
        "snapshot": snapshot, "entries": written.entries() });
    print(options.admin.json, &told, words);
}
