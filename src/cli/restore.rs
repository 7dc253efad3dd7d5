//! `restore`: a backup takes the place of the data, or what was put in their place counts, and the server goes on without what is
//! missing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::admin::FolderOptions;
use super::backup;
use super::output::{CommandResult, Failure, print};
use crate::files::{self, Access};
use crate::server::{DataFolder, RestorePlan};
use crate::store::{self, KeyClaim, LEDGER_FOLDER};

/// The folder within a data folder in which a copy is made ready.
const ASIDE: &str = "restoring";

const DATABASE: &str = "commit.sqlite";

/// The options of `restore`.
#[derive(Args)]
pub(super) struct Options {
    /// The folder of a backup; or --in-place for an older copy that lies in the data folder already
    #[arg(required_unless_present = "in_place", conflicts_with = "in_place")]
    dir: Option<PathBuf>,
    /// Go on with what lies in the data folder
    #[arg(long)]
    in_place: bool,
    #[command(flatten)]
    folder: FolderOptions,
    /// Why, for the record; nothing personal
    #[arg(long, default_value = "a copy of the data was put in place")]
    reason: String,
    /// Say that you know what is lost
    #[arg(long)]
    yes: bool,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Says what is lost, and does it when told so.
pub(super) fn run(options: &Options) -> CommandResult {
    let folder = options.folder.folder();
    let data = folder.data.clone();
    if let Some(what) = options.dir.as_deref().map(backup::fault).transpose()?.flatten() {
        print(options.json, &json!({ "ok": false, "reason": what }), format!("nothing was done: {what}"));
        return Ok(false);
    }
    let copy = options.dir.clone().unwrap_or_else(|| data.clone());
    if !store::is_used(&copy) {
        return Err(Failure::new(format!("{}: there are no records", copy.display())));
    }
    // What is not there any more tells nothing: then the copy says what it was served with.
    let told = if store::is_used(&data) { folder.clone() } else { DataFolder { data: copy.clone(), ..folder.clone() } };
    let settings = told.configuration_of_any()?.settings;
    let plan = RestorePlan::weigh(&copy, &settings.keys.dir, &settings.ledger.origin)?;
    if options.in_place && plan.whole {
        print(options.json, &json!({ "ok": true, "missing": 0 }), "nothing is missing, and nothing was done");
        return Ok(true);
    }
    if !options.json {
        words(&plan).iter().for_each(|line| say!("{line}"));
    }
    if !options.yes {
        return Err(Failure::new("nothing was done; say --yes to go on so"));
    }
    // Keys that belonged to a data folder that is gone become this one's; nobody may use them meanwhile.
    let gone = !store::is_used(&data);
    let claim = match KeyClaim::take(&settings.keys.dir, &data) {
        Err(reason) if !gone => return Err(reason.into()),
        claim => claim.ok(),
    };
    match &options.dir {
        Some(dir) => put_in_place(dir, &data, &plan, &options.reason)?,
        None => plan.begin(&data, &options.reason)?,
    }
    drop(claim);
    if gone {
        KeyClaim::adopt(&settings.keys.dir, &data)?;
    }
    plan.settle()?;
    let epoch = (!plan.whole).then_some(plan.epoch);
    let told = json!({ "ok": true, "records": plan.records, "missing": plan.missing(), "epoch": epoch,
        "origin": plan.origin().as_str(), "held": plan.breaks() });
    let next = match plan.breaks() {
        true => "done: start the server, which serves nobody until countersign config accept",
        false => "done: start the server",
    };
    print(options.json, &told, next);
    Ok(true)
}

/// What is lost, and what follows.
fn words(plan: &RestorePlan) -> Vec<String> {
    let mut lines = vec![format!("{} records go on", plan.records)];
    if let Some(lost) = &plan.lost {
        let missing = plan.missing();
        lines.push(format!(
            "{missing} records that {} signed at size {} are missing, with all that they ended",
            lost.origin, lost.size
        ));
    }
    if plan.whole {
        lines.push("nothing is missing: everything goes on".to_owned());
        return lines;
    }
    lines.push(
        "what was spent since the copy was made is not known: every token and task of before ends, and assertions,".to_owned(),
    );
    lines.push("proofs and attestations count if they are issued more than a minute later".to_owned());
    if plan.breaks() {
        lines.push(
            "agents, rules and APIs are held until countersign config accept: look whom lost records had retired".to_owned(),
        );
        lines.push(format!("the log goes on as {}, with a new verifier key", plan.origin()));
    }
    lines
}

/// Makes the copy ready aside, and puts it in place of the records by one rename; then its log. A crash before that leaves the
/// data as they were, one after it a folder that no server starts on, or the new; and this may be run again.
fn put_in_place(dir: &Path, data: &Path, plan: &RestorePlan, reason: &str) -> Result<(), Failure> {
    files::make_folder(data, Access::Owner)?;
    files::close_folder(data)?;
    let aside = data.join(ASIDE);
    remove(fs::remove_dir_all(&aside))?;
    copied(dir, &aside, Path::new(""))?;
    // Nothing is read by it here, and the data folder has its own.
    files::create(&aside.join("subjects.sqlite"), b"", Access::Owner)?;
    if !plan.whole {
        plan.begin(&aside, reason)?;
    }
    // Held from here on: no server runs on it. What its log holds is copied into the database that is given up.
    let mut before = store::open(data).map_err(|reason| Failure::at(data, &reason))?;
    if let Err(reason) = before.open() {
        tracing::warn!(%reason, "the data that are replaced could not be read");
    }
    drop(before);
    for log in ["commit.sqlite-wal", "commit.sqlite-shm"] {
        files::remove(&data.join(log))?;
        files::remove(&aside.join(log))?;
    }
    files::rename(&aside.join(DATABASE), &data.join(DATABASE))?;
    files::flush_folder(data)?;
    let (log, gone) = (data.join(LEDGER_FOLDER), aside.join("ledger-before"));
    remove(files::rename(&log, &gone))?;
    remove(files::rename(&aside.join(LEDGER_FOLDER), &log))?;
    for name in backup::BESIDE {
        if !data.join(name).exists() {
            remove(files::rename(&aside.join(name), &data.join(name)))?;
        }
    }
    files::flush_folder(data)?;
    Ok(remove(fs::remove_dir_all(&aside))?)
}

/// Copies every file below `within` of the backup `dir`, durably.
fn copied(dir: &Path, to: &Path, within: &Path) -> Result<(), Failure> {
    files::make_folder(&to.join(within), Access::Owner)?;
    for entry in fs::read_dir(dir.join(within))? {
        let entry = entry?;
        let path = within.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copied(dir, to, &path)?;
        } else {
            let mut file = files::keep(&to.join(&path))?;
            io::copy(&mut files::open(&entry.path())?, &mut file)?;
            file.sync_all()?;
        }
    }
    Ok(files::flush_folder(&to.join(within))?)
}

/// What is not there need not be moved or removed.
fn remove(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
