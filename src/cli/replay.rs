//! `replay`: a transaction as the tree of its hops, from the records alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::archived::{archived_records, elsewhere};
use super::log::{Inclusion, LocalLog, records_of};
use super::output::{CommandResult, Failure, print};
use super::text::{confirmation, instant, plain};
use crate::commit::contract::{RecordReader, Select, Stored};
use crate::commit::{RevealReason, reveal};
use crate::crypto::{Digest, SealKey};
use crate::ledger::record::Disclosure;
use crate::ledger::{CHECKPOINT_PATH, Record};
use crate::oauth::{Clock, Txn};
use crate::server::DataFolder;
use crate::store::{KeyFiles, LEDGER_FOLDER, SystemClock};

/// The most records that are read of one transaction.
const RECORDS_MAX: u32 = 10_000;

/// The options of `replay`.
#[derive(Args)]
pub(super) struct Options {
    /// The transaction: the `txn` of any of its tokens
    txn: String,
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
    /// Print the records as JSON
    #[arg(long)]
    json: bool,
}

/// One record of the transaction, with what was disclosed of it.
pub(super) struct Step {
    pub(super) index: u64,
    pub(super) record: Value,
    disclosed: BTreeMap<String, Value>,
    /// Its place in the signed tree; none where there is no tree.
    inclusion: Option<Inclusion>,
}

/// Prints the tree. Answers no when no hop of such a transaction is recorded.
pub(super) fn run(options: &Options) -> CommandResult {
    let txn = Txn::parse(&options.txn).map_err(|_| Failure::new("the transaction must be a UUID, the txn of a token"))?;
    let root = if options.disclose || options.keys.is_some() { Some(root(options)?) } else { None };
    let steps = read(&options.data, txn, root.as_ref(), (&options.key, &options.archive))?;
    let records: Vec<Value> = steps.iter().map(Step::json).collect();
    let words = match steps.is_empty() {
        true => {
            let first = records_of(&options.data)?.first()?;
            let elsewhere = elsewhere(first, &options.archive);
            format!("no hop of transaction {txn} is recorded in {}{elsewhere}", options.data.display())
        }
        false => tree(txn, &steps).join("\n"),
    };
    print(options.json, &json!({"txn": options.txn, "records": records}), words);
    let contradicted = steps.iter().any(|step| step.inclusion == Some(Inclusion::No));
    Ok(!steps.is_empty() && !contradicted)
}

/// The keys that open what is disclosed.
fn root(options: &Options) -> Result<SealKey, Failure> {
    let folder = DataFolder { data: options.data.clone(), config: Vec::new(), keys: options.keys.clone() };
    Ok(KeyFiles::open(&folder.key_folder()?, SystemClock.now())?.root()?)
}

/// Every record of `txn`, in the order of the ledger.
pub(super) fn read(
    data: &Path,
    txn: Txn,
    root: Option<&SealKey>,
    (keys, archives): (&[String], &[PathBuf]),
) -> Result<Vec<Step>, Failure> {
    let reader = records_of(data)?;
    let failed = |reason| Failure::at(data, &reason);
    let mut stored = reader.records(Select::Txn(txn), 0, RECORDS_MAX).map_err(failed)?;
    let pruned = archived_records(data, archives, reader.first().map_err(failed)?, |record| record.txn() == Some(txn))?;
    // What is held is in both.
    stored.extend(pruned);
    stored.sort_by_key(|stored| stored.index);
    stored.dedup_by_key(|stored| stored.index);
    // Opened after the records were read, so that it covers what it can.
    let log = data.join(LEDGER_FOLDER).join(CHECKPOINT_PATH).exists().then(|| LocalLog::open(data, keys)).transpose()?;
    let log = log.map(|log| log.with_archives(archives));
    stored.iter().map(|stored| step(&*reader, stored, root, log.as_ref())).collect()
}

fn step(reader: &dyn RecordReader, stored: &Stored, root: Option<&SealKey>, log: Option<&LocalLog>) -> Result<Step, Failure> {
    let damaged = || Failure::new(format!("record {} is damaged; do not trust this ledger before it is verified", stored.index));
    Record::parse(&stored.record).map_err(|_| damaged())?;
    let record = serde_json::from_slice(&stored.record).map_err(|_| damaged())?;
    let disclosed = match root {
        Some(root) => disclosures(reader, stored, root)?,
        None => BTreeMap::new(),
    };
    let inclusion = log.map(|log| log.inclusion(stored.index, &stored.record));
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

impl Step {
    fn json(&self) -> Value {
        let (proved, size) = match self.inclusion {
            Some(Inclusion::Yes(size)) => (json!(true), Some(size)),
            Some(Inclusion::No) => (json!(false), None),
            Some(Inclusion::NotYet) | None => (Value::Null, None),
        };
        let mut object = json!({"index": self.index, "record": self.record, "proved": proved});
        if let (Some(size), Some(object)) = (size, object.as_object_mut()) {
            object.insert("proved_in_size".to_owned(), json!(size));
        }
        if let (false, Some(object)) = (self.disclosed.is_empty(), object.as_object_mut()) {
            object.insert("disclosed".to_owned(), json!(self.disclosed));
        }
        object
    }

    pub(super) fn is_hop(&self) -> bool {
        self.record.get("kind") == Some(&"hop".into())
    }

    /// The id by which other records refer to it.
    fn name(&self) -> Option<String> {
        match self.record.get("kind").and_then(Value::as_str) {
            Some("hop") => Some(self.text("jti")),
            Some("task") => Some(self.text("task")),
            _ => None,
        }
    }

    fn proof(&self) -> String {
        match self.inclusion {
            Some(Inclusion::Yes(size)) => format!("index {}, proved in the signed tree of {size}", self.index),
            Some(Inclusion::NotYet) => format!("index {}, not yet in a checkpoint", self.index),
            Some(Inclusion::No) => format!("index {}, NOT THE RECORD THAT WAS SIGNED: verify the ledger", self.index),
            None => format!("index {}, no signed tree beside it", self.index),
        }
    }

    fn text(&self, name: &str) -> String {
        self.record.get(name).map_or_else(|| "-".to_owned(), plain)
    }

    fn instant(&self, name: &str) -> String {
        self.record.get(name).and_then(Value::as_i64).map_or_else(|| "-".to_owned(), |millis| instant(millis.div_euclid(1000)))
    }

    fn subject(&self) -> String {
        let disclosed = self.disclosed.get("subject").and_then(Value::as_str);
        let shown = self.record.get("subject").and_then(Value::as_str);
        disclosed.or(shown).unwrap_or("a person (sealed; --keys discloses)").to_owned()
    }
}

/// The tree, one hop in two lines, children below their parents.
pub(super) fn tree(txn: Txn, steps: &[Step]) -> Vec<String> {
    let hops = steps.iter().filter(|step| step.is_hop()).count();
    let mut lines = vec![format!("transaction {txn}: {hops} hops, {} records", steps.len())];
    let roots = steps.iter().filter(|step| parent(step, steps).is_none());
    roots.for_each(|root| branch(root, steps, 1, &mut lines));
    lines
}

/// A parent's record precedes its children's, so this ends; depth is bounded by the chain's.
fn branch(step: &Step, steps: &[Step], level: usize, lines: &mut Vec<String>) {
    let indent = "   ".repeat(level);
    lines.extend(described(step).into_iter().enumerate().map(|(line, text)| match line {
        0 => format!("{}└─ {text}", "   ".repeat(level - 1)),
        _ => format!("{indent}{text}"),
    }));
    let own = step.name();
    let children = steps.iter().filter(|child| child.index > step.index && own.is_some() && parent(child, steps) == own);
    children.for_each(|child| branch(child, steps, level + 1, lines));
}

/// The hop or task that a record hangs from: a hop's parent, or the task that it enters; a task's parent, or the hop that it was
/// opened under; a refusal's subject token; a withheld record's own hop; the task that ended or is held.
fn parent(step: &Step, steps: &[Step]) -> Option<String> {
    let of = |record: &Value, name: &str| record.get(name).and_then(Value::as_str).map(str::to_owned);
    let member = |name: &str| of(&step.record, name);
    let thing = |list: &str| step.record.get(list).and_then(|list| of(list.get(0)?, "name"));
    let candidates = match step.record.get("kind").and_then(Value::as_str) {
        Some("withheld") => [member("jti"), None],
        Some("task") => [member("parent"), member("hop")],
        Some("death") => [thing("ends"), None],
        Some("suspension" | "resumption" | "retirement") => [thing("things"), None],
        _ => [member("parent"), member("task")],
    };
    let known = |name: &String| steps.iter().any(|other| other.index < step.index && other.name().as_ref() == Some(name));
    candidates.into_iter().flatten().find(known)
}

fn described(step: &Step) -> Vec<String> {
    match step.record.get("kind").and_then(Value::as_str) {
        Some("hop") => hop(step),
        Some("task") => task(step),
        Some("death") => vec![format!("ended {}: {}, asked by {}", step.instant("at"), step.text("reason"), step.text("by"))],
        Some(kind @ ("suspension" | "resumption" | "retirement")) => {
            vec![format!("{kind} {}: {}, asked by {}", step.instant("at"), step.text("reason"), step.text("by"))]
        }
        Some("refusal") => {
            vec![format!("refused: {} asked, {} ({})", step.text("agent"), step.text("error"), step.text("reason"))]
        }
        Some("retention") => {
            vec![format!("{} {}: {}, asked by {}", step.text("what"), step.instant("at"), step.text("reason"), step.text("by"))]
        }
        Some("withheld") => vec![format!("withheld: the token of hop {} never left", step.text("jti"))],
        _ => vec![format!("{} at index {}", step.text("kind"), step.index)],
    }
}

fn task(step: &Step) -> Vec<String> {
    let purpose = match step.disclosed.get("purpose").and_then(Value::as_str) {
        Some(purpose) => format!(" ({purpose})"),
        None => String::new(),
    };
    let authority = step.record.get("authority").and_then(Value::as_array).into_iter().flatten();
    let text = |pairs: &Value, name: &str| pairs.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let authority: Vec<String> = authority.map(|pairs| format!("{}: {}", text(pairs, "api"), text(pairs, "scope"))).collect();
    let (client, holder) = (step.text("client"), step.text("holder"));
    let held = if client == holder { String::new() } else { format!(", held by {holder}") };
    vec![
        format!("task{purpose} of {client}{held} for {}: {}", step.subject(), authority.join("; ")),
        format!(
            "opened {}, until {}, {} exchanges, login {}, policy {}",
            step.instant("at"),
            step.instant("expires"),
            step.text("budget"),
            step.text("login"),
            step.text("policies"),
        ),
        format!("task {}, {}", step.text("task"), step.proof()),
    ]
}

fn hop(step: &Step) -> Vec<String> {
    let (actor, client) = (step.text("actor"), step.text("client"));
    let through = if actor == client { String::new() } else { format!(" (asked for by {client})") };
    let mut lines = vec![
        format!("{actor}{through} for {} at {}: {}", step.subject(), step.text("audience"), step.text("scope")),
        format!(
            "{} {}, valid until {}, login {}, policy {}",
            step.text("basis"),
            step.instant("at"),
            step.instant("expires"),
            step.text("login"),
            step.text("policies"),
        ),
        format!("hop {}, {}", step.text("jti"), step.proof()),
    ];
    lines.extend(bound(step));
    lines
}

/// The keys on both sides of a hop, where there are any.
fn bound(step: &Step) -> Option<String> {
    let key = |name: &str| step.record.get("binding")?.get(name).and_then(confirmation);
    let issued = key("issued")?;
    let before = key("subject").map_or_else(String::new, |before| format!("; its subject token to {before}"));
    Some(format!("bound to {issued}{before}"))
}
