//! `backup`: a copy of a data folder as it is at one moment, and what is in it.
//!
//! | file | content |
//! |---|---|
//! | `commit.sqlite` | records, state, and what no record holds |
//! | `ledger/` | the log as of its newest checkpoint before that, with archived states |
//! | `data.id`, `keys.known`, `served.json`, `in-force.json` | whose it is, and what it was served with |
//! | `manifest.json` | every other file with its length and SHA-256; it is written last |

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::admin::FolderOptions;
use super::audit::{AuditOutcome, examine};
use super::log::{LocalLog, LogSource, export, make_empty, records_of};
use super::output::{CommandResult, Failure, print};
use crate::commit::recorded_state;
use crate::crypto::Digest;
use crate::files::{self, Access};
use crate::ledger::{CHECKPOINT_PATH, Checkpoint};
use crate::oauth::Clock;
use crate::server::BESIDE;
use crate::store::{self, LEDGER_FOLDER, SystemClock};

/// The name of the list of all files.
const MANIFEST: &str = "manifest.json";

const VERSION: u32 = 1;

/// No manifest is longer.
const MANIFEST_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How often it is tried again where records are pruned meanwhile.
const ATTEMPTS: u32 = 5;

/// No file beside the database and the log is longer.
const BESIDE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a backup must not hold, and why, for whoever looks into it.
const LEFT_OUT: [(&str, &str); 2] = [
    (
        "subjects.sqlite",
        "the keys under which personal values are encrypted: back them up apart, encrypted, and no longer than needed",
    ),
    ("the key folder", "its keys must not lie where the data and its copies do"),
];

/// The options of `backup`.
#[derive(Args)]
pub(super) struct Options {
    /// A new or empty folder
    dir: PathBuf,
    #[command(flatten)]
    folder: FolderOptions,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    /// Seconds since 1970 when it was made.
    made: i64,
    /// The absolute path of the data folder.
    data: PathBuf,
    /// The number of records.
    records: u64,
    /// The checkpoint that the log in it ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<SignedSize>,
    /// What is not in it, and why.
    left_out: BTreeMap<String, String>,
    /// Every other file, by its path below the folder.
    files: BTreeMap<String, CopiedFile>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedSize {
    origin: String,
    size: u64,
    root: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CopiedFile {
    bytes: u64,
    sha256: String,
}

/// Makes the backup, and verifies it. Answers no where the copy is not in order, because the data are not.
pub(super) fn run(options: &Options) -> CommandResult {
    let (data, dir) = (options.folder.folder().data, options.dir.as_path());
    if !store::is_used(&data) {
        return Err(Failure::new(format!("{}: no server ever ran on this folder", data.display())));
    }
    if std::path::absolute(dir)?.starts_with(std::path::absolute(&data)?) {
        return Err(Failure::new(format!("{} lies in the data folder that is to be copied", dir.display())));
    }
    let manifest = copy_kept(&data, dir)?;
    if let Some(what) = verify(dir, &manifest)? {
        let reason = format!("the backup in {} is of no use: {what}", dir.display());
        print(options.json, &json!({ "ok": false, "reason": what }), reason);
        return Ok(false);
    }
    let Manifest { records, checkpoint, .. } = &manifest;
    let words = format!(
        "{records} records of {} are in {}, verified\nit does not hold subjects.sqlite, the keys of subjects, nor the key \
         folder: back those up apart from it",
        data.display(),
        dir.display(),
    );
    let left_out = &manifest.left_out;
    let told = json!({ "ok": true, "dir": dir, "records": records, "checkpoint": checkpoint, "left_out": left_out });
    print(options.json, &told, words);
    Ok(true)
}

/// Copies again where records were pruned meanwhile: their files go before they are copied.
fn copy_kept(data: &Path, dir: &Path) -> Result<Manifest, Failure> {
    let first = || records_of(data)?.first().map_err(|reason| Failure::at(data, &reason));
    let mut attempts = 0;
    loop {
        make_empty(dir, Access::Owner)?;
        files::close_folder(dir)?;
        let (before, copied) = (first()?, copy(data, dir));
        attempts += 1;
        match copied {
            Err(_) if first()? > before && attempts < ATTEMPTS => fs::remove_dir_all(dir)?,
            Err(why) if first()? > before => return Err(Failure::new(format!("{why}; records are being pruned: run it again"))),
            done => return done,
        }
    }
}

/// First a checkpoint, then the records, which are therefore no fewer; then the files of the newest checkpoint that reaches no
/// further than these: they stay, and the store may leave records to them that were published in between.
fn copy(data: &Path, dir: &Path) -> Result<Manifest, Failure> {
    let signed = data.join(LEDGER_FOLDER).join(CHECKPOINT_PATH).exists();
    let log = signed.then(|| LocalLog::open(data, &[])).transpose()?;
    store::copy_database(data, dir).map_err(|reason| Failure::at(data, &reason))?;
    let records = records_of(dir)?.count().map_err(|reason| Failure::at(dir, &reason))?;
    let log = log.map(|log| log.caught_up(records)).transpose()?;
    if let Some(log) = &log {
        let first = records_of(dir)?.first().map_err(|reason| Failure::at(dir, &reason))?;
        export(log, first, &dir.join(LEDGER_FOLDER), Access::Owner)?;
    }
    for name in BESIDE {
        if let Some(bytes) = files::read_if_there(&data.join(name), BESIDE_BYTES_MAX)? {
            files::create(&dir.join(name), &bytes, Access::Owner)?;
        }
    }
    let mut found = BTreeMap::new();
    listed(dir, Path::new(""), &mut found)?;
    let manifest = Manifest {
        version: VERSION,
        made: SystemClock.now().seconds(),
        data: std::path::absolute(data)?,
        records,
        checkpoint: log.as_ref().map(|log| SignedSize::of(log.head())),
        left_out: LEFT_OUT.map(|(name, why)| (name.to_owned(), why.to_owned())).into(),
        files: found,
    };
    files::create(&dir.join(MANIFEST), &serde_json::to_vec_pretty(&manifest)?, Access::Owner)?;
    Ok(manifest)
}

impl SignedSize {
    fn of(head: &Checkpoint) -> Self {
        Self { origin: head.origin().to_string(), size: head.size(), root: STANDARD.encode(head.root().0) }
    }
}

/// Every file below `within` of the backup `dir`, but the manifest.
fn listed(dir: &Path, within: &Path, found: &mut BTreeMap<String, CopiedFile>) -> io::Result<()> {
    for entry in fs::read_dir(dir.join(within))? {
        let entry = entry?;
        let path = within.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            listed(dir, &path, found)?;
        } else if path != Path::new(MANIFEST) {
            let (digest, bytes) = Digest::of_reader(files::open(&entry.path())?)?;
            let sha256 = digest.0.map(|byte| format!("{byte:02x}")).concat();
            found.insert(path.display().to_string(), CopiedFile { bytes, sha256 });
        }
    }
    Ok(())
}

/// A sentence where the backup in `dir` is not whole or not in order.
///
/// # Errors
/// When it has no manifest, or cannot be read.
pub(super) fn fault(dir: &Path) -> Result<Option<String>, Failure> {
    let bytes = files::read(&dir.join(MANIFEST), MANIFEST_BYTES_MAX);
    let bytes = bytes.map_err(|error| Failure::new(format!("{}: {error}", dir.join(MANIFEST).display())))?;
    let manifest: Manifest = serde_json::from_slice(&bytes)?;
    if manifest.version == VERSION { verify(dir, &manifest) } else { Ok(Some("it is of another version".to_owned())) }
}

/// A sentence where the backup in `dir` is not what `manifest` says, or is not in order.
fn verify(dir: &Path, manifest: &Manifest) -> Result<Option<String>, Failure> {
    let mut found = BTreeMap::new();
    listed(dir, Path::new(""), &mut found)?;
    let names = manifest.files.keys().chain(found.keys());
    if let Some(name) = names.into_iter().find(|name| manifest.files.get(*name) != found.get(*name)) {
        return Ok(Some(format!("{name} is not what its manifest says")));
    }
    let failed = |reason| Failure::at(dir, &reason);
    if records_of(dir)?.count().map_err(failed)? != manifest.records {
        return Ok(Some("it has not as many records as its manifest says".to_owned()));
    }
    if let Err(reason) = recorded_state(&*records_of(dir)?) {
        return Ok(Some(reason.to_string()));
    }
    if manifest.checkpoint.is_none() {
        return Ok(None);
    }
    let place = dir.to_str().ok_or_else(|| Failure::new("the path of the backup is not UTF-8"))?;
    match examine(&LogSource::open(place)?, &[], |_, _| {})? {
        AuditOutcome::Sound(_) => Ok(None),
        AuditOutcome::Unsound(what) => Ok(Some(what)),
    }
}
