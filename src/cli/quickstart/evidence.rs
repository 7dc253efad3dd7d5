//! The steps about the ledger itself.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::report::{StepReport, StepResult};
use crate::cli::audit::{AuditOutcome, examine};
use crate::cli::log::{LocalLog, LogSource, export, records_of};
use crate::cli::output::Failure;
use crate::files::{self, Access};
use crate::ledger::tiles;

/// The number of looks at whether the newest checkpoint covers everything, and the time in between: a minute in all, because the
/// machine may be busy.
const LOOKS: u32 = 1200;
const PAUSE: Duration = Duration::from_millis(50);

/// Verifies the ledger as an auditor would, once a checkpoint covers what was recorded.
pub(super) async fn verified(data: &Path, report: &mut StepReport) -> Result<(), Failure> {
    let reader = records_of(data)?;
    let covered = |records| LocalLog::open(data, &[]).is_ok_and(|log| log.head().size() >= records);
    // Refusals are recorded after they were answered.
    tokio::time::sleep(PAUSE).await;
    let mut records = reader.count()?;
    for _ in 0..LOOKS {
        if covered(records) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        records = reader.count()?;
    }
    let audited = examine(&LogSource::open(&data.to_string_lossy())?, &[], |_, _| ())?;
    let size = if let AuditOutcome::Sound(sound) = &audited { sound.head.size() } else { 0 };
    let data = data.display();
    let mut details: Vec<String> = audited.to_string().lines().map(str::to_owned).collect();
    details.push(format!("again:  countersign ledger verify {data}"));
    report.add(StepResult {
        step: "ledger",
        title: "The ledger is verified from nothing but its files",
        expected: "every record in a signed tree",
        outcome: format!("{size} of {records} records in the signed tree"),
        ok: matches!(audited, AuditOutcome::Sound(_)) && size >= records,
        details,
        more: vec![("size", json!(size))],
    });
    Ok(())
}

/// Flips one bit in a copy, which is noticed.
pub(super) fn tampered(data: &Path, report: &mut StepReport) -> Result<(), Failure> {
    let copy = data.join("tampered-copy");
    remove(&copy)?;
    let log = LocalLog::open(data, &[])?;
    export(&log, 0, &copy, Access::Everybody)?;
    let Some(bundle) = tiles(log.head().size()).next() else { return Err(Failure::new("the ledger is empty")) };
    let path = copy.join(bundle.to_string());
    let mut bytes = files::read(&path, u64::MAX)?;
    let middle = bytes.len() / 2;
    bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 1);
    files::replace(&path, &bytes, Access::Owner)?;
    let audited = examine(&LogSource::open(&copy.to_string_lossy())?, &[], |_, _| ())?;
    remove(&copy)?;
    let (ok, outcome) = match audited {
        AuditOutcome::Unsound(what) => (true, format!("noticed: {what}")),
        AuditOutcome::Sound(_) => (false, "not noticed".to_owned()),
    };
    report.add(StepResult {
        step: "tamper",
        title: "One bit is flipped in a copy of the ledger",
        expected: "noticed",
        outcome,
        ok,
        details: vec![format!("the bit is in byte {middle} of {bundle}")],
        more: Vec::new(),
    });
    Ok(())
}

fn remove(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
