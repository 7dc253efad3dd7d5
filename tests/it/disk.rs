//! The commit on a disk that really fails: every receipt is backed by a durable record, and service resumes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use countersign::commit::contract::{RecordReader, Select};
use countersign::commit::{Commit, CommitReason, Disclosed, Issue, Limits, Receipt};
use countersign::crypto::{Digest, SealKey, random};
use countersign::ledger::record::{Kind, Record, WithheldRecord};
use countersign::oauth::{Clock, GenerationKey, Jti, SingleUse, Time, Txn};
use countersign::store::sqlite::{SqliteReader, SqliteStore};

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Time::from_millis(i64::try_from(since.as_millis()).unwrap())
    }
}

/// Runs `child` under the shim: the program under test is this test binary itself.
#[test]
fn a_failing_disk_yields_no_receipt_and_service_resumes() {
    let folder = env::temp_dir().join(format!("countersign-disk-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for fault in ["flush", "write", "both"] {
        let data = folder.join(fault);
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "disk::child", "--nocapture"])
            .env("LD_PRELOAD", crate::shim::failing_disk(&folder))
            .env("FAILING_DISK", folder.join("fail"))
            .env("FAILING_DISK_UNDER", fs::canonicalize(&folder).unwrap().join(fault))
            .env("FAILING_DISK_DATA", &data)
            .env("FAILING_DISK_FAULT", fault)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success() && told.contains("the disk failed and recovered"), "{fault}: {told}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// Does nothing unless the test above runs it.
#[test]
fn child() {
    let (Ok(data), Ok(fault)) = (env::var("FAILING_DISK_DATA"), env::var("FAILING_DISK_FAULT")) else { return };
    let flag = PathBuf::from(env::var("FAILING_DISK").unwrap());
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(drive(Path::new(&data), &flag, &fault));
    println!("the disk failed and recovered");
}

async fn drive(data: &Path, flag: &Path, fault: &str) {
    let commit = start(data);
    let mut receipts = Vec::new();
    for round in 0..5 {
        for _ in 0..20 {
            receipts.push(commit.submit(issue()).await.unwrap());
        }
        fs::write(flag, fault).unwrap();
        for _ in 0..10 {
            assert_eq!(commit.submit(issue()).await.unwrap_err(), CommitReason::Unavailable, "round {round}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        fs::remove_file(flag).unwrap();
        receipts.push(resumed(&commit).await);
    }
    commit.close().await;
    verify(data, &receipts);
}

fn start(data: &Path) -> Commit {
    let store = Box::new(SqliteStore::new(data).unwrap());
    let limits = Limits { retry: Duration::from_millis(5), ..Limits::default() };
    Commit::start(store, Arc::new(Wall), Arc::new(SealKey::new(&[1; 32]).unwrap()), limits).unwrap()
}

async fn resumed(commit: &Commit) -> Receipt {
    for _ in 0..1000 {
        match commit.submit(issue()).await {
            Err(CommitReason::Unavailable) => tokio::time::sleep(Duration::from_millis(5)).await,
            other => return other.unwrap(),
        }
    }
    panic!("service does not resume within five seconds");
}

fn issue() -> Issue {
    let (jti, txn) = (Jti::new(Wall.now(), random().unwrap()), Txn::new(Wall.now(), random().unwrap()));
    let later = Wall.now().plus(Duration::from_secs(60));
    Issue {
        jti,
        txn,
        record: Record::Withheld(WithheldRecord::new(Wall.now(), u64::MAX >> 11, jti, txn)).to_bytes().unwrap(),
        generations: vec![],
        single_use: vec![SingleUse { digest: random().unwrap(), expires: later }],
        deadline: later,
        disclosed: Disclosed { subject: GenerationKey([1; 16]), values: b"[]".to_vec().into() },
    }
}

/// Every receipt has its record, and every record has a receipt or a record that says it was withheld.
fn verify(data: &Path, receipts: &[Receipt]) {
    let reader = SqliteReader::open(data).unwrap();
    let stored = reader.records(Select::All, 0, 10_000).unwrap();
    assert!(stored.iter().zip(0..).all(|(stored, index)| stored.index == index));
    let mut told: Vec<u64> = receipts.iter().map(Receipt::index).collect();
    for receipt in receipts {
        let stored = &stored[usize::try_from(receipt.index()).unwrap()];
        assert_eq!((stored.jti, Digest::of(&stored.record)), (Some(receipt.jti()), receipt.record()));
    }
    for stored in &stored {
        // What stands in for a hop names no index that exists.
        match Record::parse(&stored.record).unwrap() {
            Record::Withheld(withheld) if withheld.index < u64::MAX >> 11 => told.extend([withheld.index, stored.index]),
            record => assert_eq!(record.kind(), Kind::Withheld),
        }
    }
    told.sort_unstable();
    assert!(told.iter().copied().eq(0..stored.len() as u64), "{told:?}");
}
