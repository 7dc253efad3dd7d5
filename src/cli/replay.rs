//! `replay`: a transaction as the tree of its hops, from the records alone.

mod named;
mod step;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::archived::{archived_records, elsewhere};
use super::evidence::{self, WantedEvidence};
use super::log::{Inclusion, LocalLog, RecentNodes, records_of};
use super::output::{CommandResult, Failure, print, put};
use crate::commit::contract::{RecordReader, Select, Stored};
use crate::commit::{RevealReason, reveal};
use crate::crypto::{Digest, SealKey};
use crate::ledger::record::Disclosure;
use crate::ledger::{CHECKPOINT_PATH, Record};
use crate::oauth::{Clock, Txn};
use crate::server::DataFolder;
use crate::store::{KeyFiles, LEDGER_FOLDER, SystemClock};
use step::Step;
pub(super) use tree::Outline;

/// Records that are read at a time.
const PAGE: u32 = 1_000;

/// The options of `replay`.
#[derive(Args)]
pub(super) struct Options {
    /// The transaction: the `txn` of any of its tokens, the `jti` of one, a task in it, or the error_id of a refusal
    id: String,
    /// The server's data folder
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Disclose personal values instead of counting them, by the keys that the data folder was last served with
    #[arg(long)]
    disclose: bool,
    /// Disclose them by the keys in this folder
    #[arg(long)]
    keys: Option<PathBuf>,
    /// A verifier key (vkey) of the ledger to believe instead of those beside it; may repeat
    #[arg(long)]
    key: Vec<String>,
    /// The folder of an archive that has what was pruned; may repeat
    #[arg(long)]
    archive: Vec<PathBuf>,
    /// Only what was so by this instant, as 2026-12-01T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = super::find::instant, conflicts_with = "bundle")]
    at: Option<i64>,
    /// Write the records with everything that proves them into a file that `ledger verify` verifies anywhere
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Disclose in the bundle only what goes by these names, as subject,purpose,acr; an actor of elsewhere is actor
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "bundle")]
    disclose_only: Vec<String>,
    /// Print the records as JSON
    #[arg(long)]
    json: bool,
}

/// Prints the tree, or the records as they are read. Answers no when no hop of such a transaction is recorded.
pub(super) fn run(options: &Options) -> CommandResult {
    let Some(txn) = named::transaction(&options.data, &options.id)? else { return Ok(false) };
    let root =
        if options.disclose || !options.disclose_only.is_empty() || options.keys.is_some() { Some(root(options)?) } else { None };
    if let Some(file) = &options.bundle {
        return bundle(options, txn, root.as_ref(), file);
    }
    let (mut count, mut contradicted, mut outline) = (0_u64, false, Outline::default());
    let read = read(&options.data, txn, root.as_ref(), (&options.key, &options.archive), |step| {
        if options.at.is_some_and(|at| !step.is_of(at)) {
            return;
        }
        contradicted |= step.inclusion == Some(Inclusion::No);
        match options.json {
            true if count == 0 => put(format_args!("{{\"txn\":{},\"records\":[{}", json!(txn.to_string()), step.json())),
            true => put(format_args!(",{}", step.json())),
            false => outline.add(&step),
        }
        count += 1;
    });
    match (options.json, count) {
        (true, 0) if read.is_ok() => say!("{}", json!({ "txn": txn.to_string(), "records": [] })),
        (true, 0) => {}
        // What was read before a failure stands there, and is not whole.
        (true, _) if read.is_err() => say!(""),
        (true, _) => say!("]}}"),
        (false, 0) if read.is_ok() => {
            let elsewhere = elsewhere(records_of(&options.data)?.first()?, &options.archive);
            say!("no hop of transaction {txn} is recorded in {}{elsewhere}", options.data.display());
        }
        (false, _) if read.is_ok() => outline.lines(txn, |line| say!("{line}")),
        (false, _) => {}
    }
    read.map(|()| count > 0 && !contradicted)
}

/// Writes the bundle. Answers no where there is nothing to put into it.
fn bundle(options: &Options, txn: Txn, root: Option<&SealKey>, file: &Path) -> CommandResult {
    let (data, archives) = (options.data.as_path(), options.archive.as_slice());
    let mut records = Vec::new();
    each(data, &*records_of(data)?, txn, archives, |stored| {
        records.push(stored.clone());
        Ok(())
    })?;
    if records.is_empty() {
        say!("no hop of transaction {txn} is recorded in {}", data.display());
        return Ok(false);
    }
    let wanted = WantedEvidence { data, archives, keys: &options.key, root, names: &options.disclose_only };
    let count = evidence::write(&wanted, txn, records, file)?;
    let file = file.display();
    let words =
        format!("{count} records of transaction {txn} are in {file}\nverify them:  countersign ledger verify {file} --key VKEY");
    print(options.json, &json!({"txn": txn.to_string(), "records": count, "file": file.to_string()}), words);
    Ok(true)
}

/// The keys that open what is disclosed.
fn root(options: &Options) -> Result<SealKey, Failure> {
    let folder = DataFolder { data: options.data.clone(), config: Vec::new(), keys: options.keys.clone() };
    Ok(KeyFiles::open(&folder.key_folder()?, SystemClock.now())?.root()?)
}

/// Has every record of `txn` taken, in the order of the ledger and as they are read.
pub(super) fn read(
    data: &Path,
    txn: Txn,
    root: Option<&SealKey>,
    (keys, archives): (&[String], &[PathBuf]),
    mut take: impl FnMut(Step),
) -> Result<(), Failure> {
    let reader = records_of(data)?;
    // Opened after that, so that it covers what it can.
    let log = data.join(LEDGER_FOLDER).join(CHECKPOINT_PATH).exists().then(|| LocalLog::open(data, keys)).transpose()?;
    let log = log.map(|log| log.with_archives(archives));
    let mut nodes = log.as_ref().map(LocalLog::nodes);
    each(data, &*reader, txn, archives, |stored| {
        take(step(&*reader, stored, root, log.as_ref().zip(nodes.as_mut()))?);
        Ok(())
    })
}

/// Has every record of `txn` shown, in the order of the ledger.
fn each(
    data: &Path,
    reader: &dyn RecordReader,
    txn: Txn,
    archives: &[PathBuf],
    mut show: impl FnMut(&Stored) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |reason| Failure::at(data, &reason);
    let first = reader.first().map_err(failed)?;
    pruned(data, reader, txn, (archives, first))?.iter().try_for_each(&mut show)?;
    let mut from = first;
    loop {
        let page = reader.records(Select::Txn(txn), from, PAGE).map_err(failed)?;
        let Some(last) = page.last() else { return Ok(()) };
        from = last.index + 1;
        page.iter().try_for_each(&mut show)?;
    }
}

/// The records of `txn` before the index `first`, of which the store has those that are held, and the archives all.
fn pruned(
    data: &Path,
    reader: &dyn RecordReader,
    txn: Txn,
    (archives, first): (&[PathBuf], u64),
) -> Result<Vec<Stored>, Failure> {
    let (mut found, mut from) = (archived_records(data, archives, first, |record| record.txn() == Some(txn))?, 0);
    while from < first {
        let page = reader.records(Select::Txn(txn), from, PAGE).map_err(|reason| Failure::at(data, &reason))?;
        let Some(last) = page.last() else { break };
        from = last.index + 1;
        found.extend(page.into_iter().filter(|stored| stored.index < first));
    }
    found.sort_by_key(|stored| stored.index);
    found.dedup_by_key(|stored| stored.index);
    Ok(found)
}

fn step(
    reader: &dyn RecordReader,
    stored: &Stored,
    root: Option<&SealKey>,
    log: Option<(&LocalLog, &mut RecentNodes<'_>)>,
) -> Result<Step, Failure> {
    let damaged = || Failure::new(format!("record {} is damaged; do not trust this ledger before it is verified", stored.index));
    Record::parse(&stored.record).map_err(|_| damaged())?;
    let record = serde_json::from_slice(&stored.record).map_err(|_| damaged())?;
    let disclosed = match root {
        Some(root) => disclosures(reader, stored, root)?,
        None => BTreeMap::new(),
    };
    let inclusion = log.map(|(log, nodes)| log.inclusion(nodes, stored.index, &stored.record));
    Ok(Step { index: stored.index, record, disclosed, inclusion })
}

/// The clear values of a record by name; those of foreign actors under `actor`.
fn disclosures(reader: &dyn RecordReader, stored: &Stored, root: &SealKey) -> Result<BTreeMap<String, Value>, Failure> {
    let Some(sealed) = reader.disclosures(stored.index)? else { return Ok(BTreeMap::new()) };
    let clear = match reveal(root, &Digest::of(&stored.record), &sealed) {
        Ok(clear) => clear,
        // The subject came again after its key was destroyed.
        Err(RevealReason::Subject) => return Ok(BTreeMap::new()),
        Err(RevealReason::Root) => return Err(Failure::new("these keys do not open the disclosures of this ledger")),
    };
    let list = Disclosure::parse_all(&clear)?;
    let value = |raw: &serde_json::value::RawValue| serde_json::from_str(raw.get()).unwrap_or_default();
    Ok(list.into_iter().map(|one| (one.name.clone().unwrap_or_else(|| "actor".to_owned()), value(&one.value))).collect())
}
