//! A copy takes the place of the data.
//!
//! It is made ready in `DATA/restoring`, beside the data as they are: a crash leaves these. One rename makes it `DATA/restored`,
//! with what is left to do in `plan.json`: from then on no server starts on the folder, and whoever says restore again finishes
//! that, however often it is broken off. Another rename, to `DATA/restored.done`, says that it is done.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, Access};
use crate::ledger::KeyName;
use crate::oauth::Clock;
use crate::server::failure::Failure;
use crate::store::{self, KeyClaim, LEDGER_FOLDER, LedgerKeys, LogFolder, SystemClock, TileFolder};

/// The folder within a data folder in which a copy is made ready.
const ASIDE: &str = "restoring";

/// The same once it is.
const READY: &str = "restored";

/// The same once everything has its place, and nothing is left to do but to remove it.
const DONE: &str = "restored.done";

const PLAN: &str = "plan.json";
const PLAN_BYTES_MAX: u64 = 64 * 1024;

const DATABASE: &str = "commit.sqlite";

/// The logs of the database.
const LOGS: [&str; 2] = ["commit.sqlite-wal", "commit.sqlite-shm"];

/// Small files of a data folder that a backup has, and that are put back where they are gone.
pub const BESIDE: [&str; 5] = ["data.id", "keys.known", "served.json", "in-force.json", "names.json"];

/// What is left to do for the keys when the data are in their place.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyTasks {
    /// The key folder.
    pub(super) keys: PathBuf,
    /// The keys belonged to a data folder that is gone, and become this one's.
    pub(super) adopts: bool,
    /// The log that begins, whose key is to be made.
    pub(super) origin: Option<String>,
    /// The newest signed checkpoint, where it was found elsewhere.
    pub(super) head: Option<String>,
}

impl KeyTasks {
    /// Takes the keys for the data folder `data`, if they are not those of one that is gone.
    ///
    /// # Errors
    /// When they are used, or another's.
    pub(super) fn claim(&self, data: &Path) -> Result<Option<KeyClaim>, Failure> {
        match KeyClaim::take(&self.keys, data) {
            Err(reason) if !self.adopts => Err(reason.into()),
            claim => Ok(claim.ok()),
        }
    }

    /// Does it, last of all: without the key of its log nothing starts.
    ///
    /// # Errors
    /// When a file of the key folder cannot be written.
    pub(super) fn settle(&self, data: &Path) -> Result<(), Failure> {
        if self.adopts {
            KeyClaim::adopt(&self.keys, data)?;
        }
        step()?;
        if let Some(origin) = &self.origin {
            LedgerKeys::open_or_create(&self.keys, &KeyName::parse(origin)?, SystemClock.now())?;
        }
        step()?;
        if let Some(head) = &self.head {
            TileFolder::remember_head(&self.keys, head).map_err(|reason| Failure::at(&self.keys, &reason))?;
        }
        step()
    }
}

/// Between two steps. A test stops here, as a crash would.
///
/// # Errors
/// In tests.
pub(super) fn step() -> Result<(), Failure> {
    #[cfg(test)]
    tests_stop()?;
    Ok(())
}

#[cfg(test)]
thread_local! {
    /// So many steps are done before the stop.
    pub(super) static STOP: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
fn tests_stop() -> Result<(), Failure> {
    match STOP.get() {
        Some(0) => Err(Failure::new("stopped between two steps")),
        left => {
            STOP.set(left.map(|left| left - 1));
            Ok(())
        }
    }
}

/// Makes the copy in `dir` ready beside the data in `data`; `begin` does what is to be done to it there.
///
/// # Errors
/// What cannot be read or written, and those of `begin`.
pub(super) fn make_ready(
    dir: &Path,
    data: &Path,
    tasks: &KeyTasks,
    begin: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<(), Failure> {
    files::make_folder(data, Access::Owner)?;
    files::close_folder(data)?;
    let aside = data.join(ASIDE);
    absent(fs::remove_dir_all(&aside))?;
    copied(dir, &aside, Path::new(""))?;
    files::make_folder(&aside.join(LEDGER_FOLDER), Access::Owner)?;
    step()?;
    // Nothing is read by it here, and the data folder has its own.
    files::create(&aside.join("subjects.sqlite"), b"", Access::Owner)?;
    begin(&aside)?;
    step()?;
    if fs::metadata(aside.join(LOGS[0])).is_ok_and(|log| log.len() > 0) {
        return Err(Failure::new(format!("somebody reads {}: nothing was done", aside.join(DATABASE).display())));
    }
    files::create(&aside.join(PLAN), &serde_json::to_vec(tasks)?, Access::Owner)?;
    step()?;
    files::rename(&aside, &data.join(READY))?;
    Ok(files::flush_folder(data)?)
}

/// True where a copy was made ready in the data folder `data`, and that it took its place was not told yet.
pub(super) fn is_unfinished(data: &Path) -> bool {
    data.join(READY).exists() || data.join(DONE).exists()
}

/// Refuses a data folder whose place a copy is taking.
///
/// # Errors
/// Names the way out.
pub(crate) fn refuse_unfinished(data: &Path) -> Result<(), Failure> {
    if !data.join(READY).exists() {
        return Ok(());
    }
    let data = data.display();
    Err(Failure::new(format!(
        "{data}: a restore was broken off here; countersign restore --in-place --data {data} --yes finishes it"
    )))
}

/// Puts what was made ready in the place of the data in `data`, and does what is left to do for the keys.
///
/// # Errors
/// When a server runs on it; what cannot be read or written. It may be called again.
pub(super) fn finish(data: &Path) -> Result<(), Failure> {
    let (ready, done) = (data.join(READY), data.join(DONE));
    if ready.exists() {
        put_in_place(&ready, data)?;
        files::rename(&ready, &done)?;
        files::flush_folder(data)?;
    }
    step()?;
    Ok(absent(fs::remove_dir_all(&done))?)
}

fn put_in_place(ready: &Path, data: &Path) -> Result<(), Failure> {
    let tasks: KeyTasks = serde_json::from_slice(&files::read(&ready.join(PLAN), PLAN_BYTES_MAX)?)?;
    // Held from here on: no server runs on it.
    let store = store::open(data).map_err(|reason| Failure::at(data, &reason))?;
    let claim = tasks.claim(data)?;
    step()?;
    put_database(ready, data)?;
    step()?;
    put_log(ready, data)?;
    step()?;
    for name in BESIDE.iter().filter(|name| !data.join(name).exists()) {
        absent(files::rename(&ready.join(name), &data.join(name)))?;
    }
    files::flush_folder(ready)?;
    files::flush_folder(data)?;
    step()?;
    drop((store, claim));
    tasks.settle(data)
}

fn put_database(ready: &Path, data: &Path) -> Result<(), Failure> {
    if !ready.join(DATABASE).exists() {
        return Ok(());
    }
    // Those of the database that is given up would be taken for those of the new one.
    LOGS.iter().try_for_each(|log| files::remove(&data.join(log)))?;
    files::flush_folder(data)?;
    step()?;
    files::rename(&ready.join(DATABASE), &data.join(DATABASE))?;
    Ok(files::flush_folder(data)?)
}

fn put_log(ready: &Path, data: &Path) -> Result<(), Failure> {
    let (log, before, new) = (data.join(LEDGER_FOLDER), ready.join("ledger-before"), ready.join(LEDGER_FOLDER));
    if !new.exists() {
        return Ok(());
    }
    if !before.exists() {
        absent(files::rename(&log, &before))?;
    }
    step()?;
    Ok(files::rename(&new, &log)?)
}

/// Copies every file below `within` of the backup `dir`, durably, and the log as a server has it.
fn copied(dir: &Path, to: &Path, within: &Path) -> Result<(), Failure> {
    files::make_folder(&to.join(within), Access::Owner)?;
    for entry in fs::read_dir(dir.join(within))? {
        let entry = entry?;
        let path = within.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copied(dir, to, &path)?;
        } else {
            copy_file(dir, to, &path)?;
        }
    }
    Ok(files::flush_folder(&to.join(within))?)
}

fn copy_file(dir: &Path, to: &Path, path: &Path) -> Result<(), Failure> {
    let mut from = files::open(&dir.join(path))?;
    if let Some(within) = path.strip_prefix(LEDGER_FOLDER).ok().and_then(Path::to_str) {
        let (within, bytes) = LogFolder::as_stored(within, files::bounded(from, LogFolder::BYTES_MAX)?)?;
        return written(&mut bytes.as_slice(), &to.join(LEDGER_FOLDER).join(within));
    }
    written(&mut from, &to.join(path))
}

fn written(from: &mut impl io::Read, to: &Path) -> Result<(), Failure> {
    let mut file = files::keep(to)?;
    io::copy(from, &mut file)?;
    Ok(file.sync_all()?)
}

/// What is not there need not be moved or removed.
fn absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
