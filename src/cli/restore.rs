//! `restore`: a backup takes the place of the data, or what was put in their place counts, and the server goes on with what
//! survives elsewhere and without what is missing.

use std::io::{IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::admin::FolderOptions;
use super::backup;
use super::output::{CommandResult, Failure, print};
use crate::config::Settings;
use crate::server::{DataFolder, RestoreFolders, RestorePlan};
use crate::store;

/// Records between two words on how far it is.
const PROGRESS: u64 = 50_000;

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
    /// A folder with a log in which newer records may survive: that of an export, an archive or a backup, or the data folder; may
    /// repeat
    #[arg(long, value_name = "FOLDER")]
    records: Vec<PathBuf>,
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
    let data = options.folder.folder().data;
    if RestorePlan::is_unfinished(&data) {
        return finish(options, &data);
    }
    if let Some(what) = options.dir.as_deref().map(backup::fault).transpose()?.flatten() {
        print(options.json, &json!({ "ok": false, "reason": what }), format!("nothing was done: {what}"));
        return Ok(false);
    }
    let copy = options.dir.clone().unwrap_or_else(|| data.clone());
    if !store::is_used(&copy) {
        return Err(Failure::new(format!("{}: there are no records", copy.display())));
    }
    let settings = settings(options, &copy, &data)?;
    let (keys, base, records) = (settings.keys.dir.as_path(), settings.ledger.origin.as_str(), options.records.as_slice());
    let plan = RestorePlan::weigh(RestoreFolders { copy: &copy, data: &data, records, keys, base })?;
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
    let shown = stderr().is_terminal() && !options.json;
    plan.carry_out(options.dir.as_deref(), &data, &options.reason, &mut |what, at, of| tell(shown, what, at, of))?;
    if shown {
        eprint!("\r\x1b[K");
    }
    let epoch = (!plan.whole).then_some(plan.epoch);
    let told = json!({ "ok": true, "records": plan.records, "folded_in": plan.folded_in(), "missing": plan.missing(),
        "epoch": epoch, "origin": plan.origin().as_str(), "held": plan.breaks() });
    let next = match plan.breaks() {
        true => "done: start the server, which serves nobody until countersign config accept",
        false => "done: start the server",
    };
    print(options.json, &told, next);
    Ok(true)
}

/// Finishes what was broken off.
fn finish(options: &Options, data: &Path) -> CommandResult {
    if !options.yes {
        return Err(Failure::new(format!("{}: a restore was broken off here; say --yes to finish it", data.display())));
    }
    RestorePlan::finish(data)?;
    let words = "a restore that was broken off is finished: start the server, which says where a configuration is to be accepted";
    print(options.json, &json!({ "ok": true, "finished": true }), words);
    Ok(true)
}

/// The settings of the server: what is not there any more tells nothing, and then the copy says what it was served with.
fn settings(options: &Options, copy: &Path, data: &Path) -> Result<Settings, Failure> {
    let folder = options.folder.folder();
    let told = if store::is_used(data) { folder } else { DataFolder { data: copy.to_owned(), ..folder } };
    Ok(told.configuration_of_any()?.settings)
}

fn tell(shown: bool, what: &str, at: u64, of: u64) {
    if shown && at.is_multiple_of(PROGRESS) {
        eprint!("\r{at} of {of} records {what}\x1b[K");
        let _unseen = stderr().flush();
    }
}

/// What is lost, and what follows.
fn words(plan: &RestorePlan) -> Vec<String> {
    let mut lines = vec![format!("{} records go on", plan.records)];
    lines.extend(plan.notes.iter().cloned());
    if let Some((size, place)) = plan.proved_by() {
        let folded = plan.folded_in();
        lines.push(format!(
            "{folded} more that survive go on too: they lead to the checkpoint over {size} that is signed in {place}"
        ));
    }
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
    if plan.folded_in() > 0 && plan.lost.is_none() {
        lines.push("no record that was signed is missing; what was disclosed in those that survive elsewhere is".to_owned());
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
    } else {
        lines.push("nothing is held, and the log goes on under its name".to_owned());
    }
    lines
}
