//! The sequencer on a disk in memory that fails as told, between any two of its steps.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod disk;
mod faults;
mod tampering;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::commit::contract::{LogStore, RecordReader, SealedDisclosures, Select, StoreTrimmer, Stored, StoredCheckpoint};
use crate::commit::receipt::Durable;
use crate::crypto::SignKey;
use crate::ledger::{AuditReason, AuditReport, Checkpoint, KeyName, LogFiles, NoteSigner, audit};
use crate::oauth::Time;
use crate::patience::until;
use disk::Disk;

/// Records in memory, which a test may change as an attacker would.
#[derive(Default)]
struct Records(Mutex<Vec<Vec<u8>>>);

impl Records {
    fn of(count: u64) -> Arc<Self> {
        let records = Self::default();
        records.grow(count);
        Arc::new(records)
    }

    fn grow(&self, count: u64) {
        let mut records = self.0.lock().unwrap();
        (records.len() as u64..count).for_each(|index| records.push(format!("record {index}").into_bytes()));
    }
}

impl RecordReader for Records {
    fn count(&self) -> Result<u64, StoreReason> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn records(&self, _: Select, from: u64, limit: u32) -> Result<Vec<Stored>, StoreReason> {
        let stored = |(index, record): (u64, &Vec<u8>)| Stored {
            index,
            at: Time::from_millis(0),
            jti: None,
            txn: None,
            record: record.clone(),
        };
        Ok((0..).zip(&*self.0.lock().unwrap()).skip(from as usize).take(limit as usize).map(stored).collect())
    }

    fn index_of(&self, _: crate::oauth::Jti) -> Result<Option<u64>, StoreReason> {
        Ok(None)
    }

    fn disclosures(&self, _: u64) -> Result<Option<SealedDisclosures>, StoreReason> {
        Ok(None)
    }

    fn subjects(&self, _: u64, _: u32) -> Result<Vec<(u64, crate::oauth::GenerationKey)>, StoreReason> {
        Ok(Vec::new())
    }

    fn wrapped_key(&self, _: &crate::oauth::GenerationKey) -> Result<Option<Vec<u8>>, StoreReason> {
        Ok(None)
    }

    fn has_subject_key(&self, _: &crate::oauth::GenerationKey) -> Result<bool, StoreReason> {
        Ok(false)
    }

    fn missing_subject_keys(&self) -> Result<u64, StoreReason> {
        Ok(0)
    }

    fn first(&self) -> Result<u64, StoreReason> {
        Ok(0)
    }

    fn checkpoint(&self) -> Result<StoredCheckpoint, StoreReason> {
        Ok(StoredCheckpoint::default())
    }

    fn log_bytes(&self) -> u64 {
        0
    }
}

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new(KeyName::parse("log.example/ledger").unwrap(), SignKey::from_seed(&[seed; 32]).unwrap())
}

fn keys(seeds: &[u8]) -> LogKeys {
    let known = seeds.iter().map(|seed| signer(*seed).verifier().unwrap()).collect();
    LogKeys {
        origin: signer(1).name().clone(),
        signers: seeds.iter().map(|seed| signer(*seed)).collect(),
        known,
        earlier: Vec::new(),
    }
}

/// A log over those records and that disk, as a server that starts has it.
fn log(records: &Arc<Records>, disk: &Arc<Disk>) -> LogWriter {
    let durable = Durable::default();
    durable.set(records.count().unwrap());
    log_to(records, disk, durable)
}

fn log_to(records: &Arc<Records>, disk: &Arc<Disk>, durable: Durable) -> LogWriter {
    log_by(records, disk, durable, Trimmer::of(disk))
}

fn log_by(records: &Arc<Records>, disk: &Arc<Disk>, durable: Durable, trimmer: Trimmer) -> LogWriter {
    let (records, files, trimmer) = (Arc::clone(records), Arc::clone(disk), Box::new(trimmer));
    LogWriter::new(LogParts { records, durable, files, trimmer, keys: keys(&[1]), interval: Duration::from_secs(1) })
}

/// A trimmer that leaves nothing to a bundle that is not published by then.
struct Trimmer {
    disk: Arc<Disk>,
    trimmed: Arc<AtomicU64>,
    /// So many attempts fail.
    faults: u32,
}

impl Trimmer {
    fn of(disk: &Arc<Disk>) -> Self {
        Self { disk: Arc::clone(disk), trimmed: Arc::default(), faults: 0 }
    }
}

impl StoreTrimmer for Trimmer {
    fn trimmed(&mut self) -> Result<u64, StoreReason> {
        Ok(self.trimmed.load(Ordering::SeqCst))
    }

    fn trim(&mut self, bundle: u64) -> Result<(), StoreReason> {
        if self.faults > 0 {
            self.faults -= 1;
            return Err(StoreReason::Failed("as planned".into()));
        }
        let (known, end) = (keys(&[1, 2]), (bundle + 1) * 256);
        let published = self.disk.read("checkpoint").unwrap().unwrap();
        let published = Checkpoint::open(&String::from_utf8(published).unwrap(), &known.origin, &known.known).unwrap();
        assert!(published.size() >= end, "bundle {bundle} is not published: {published:?}");
        assert!(self.disk.read(&format!("tile/entries/{bundle:03}")).unwrap().is_some(), "bundle {bundle} is not there");
        assert_eq!(self.trimmed.swap(end, Ordering::SeqCst), bundle * 256, "in order, and once");
        Ok(())
    }
}

/// Audits the files against every checkpoint that anybody ever saw.
fn verify(disk: &Disk) -> Result<AuditReport, AuditReason> {
    let known = keys(&[1, 2]);
    let open = |note: &String| Checkpoint::open(note, &known.origin, &known.known).unwrap();
    let mut heads: Vec<Checkpoint> = disk.seen().iter().map(open).collect();
    heads.sort_by_key(Checkpoint::size);
    audit(disk, &heads, |_, _| Ok::<_, std::convert::Infallible>(()))
}

#[test]
fn the_log_follows_the_records_and_keeps_its_checkpoints() {
    let (records, disk, durable) = (Records::of(0), Arc::new(Disk::default()), Durable::default());
    let mut log = log_to(&records, &disk, durable.clone());
    for size in [0, 1, 255, 256, 257, 1_000, 70_000] {
        records.grow(size);
        durable.set(size);
        assert_eq!(log.advance().unwrap().head.size(), size);
        assert_eq!(verify(&disk).unwrap().entries, size);
    }
    assert_eq!(disk.kept(), [0, 1, 255, 256, 257, 1_000, 65_536 + 1_000, 70_000]);
    let writes = disk.steps();
    log.advance().unwrap();
    assert_eq!(disk.steps(), writes, "nothing is written while nothing is recorded");
    assert!(disk.paths().iter().all(|path| !path.starts_with("tile/0/000.p")), "replaced partial tiles are removed");
}

#[test]
fn what_is_not_durable_is_not_signed() {
    let (records, disk, durable) = (Records::of(9), Arc::new(Disk::default()), Durable::default());
    durable.set(5);
    assert_eq!(log_to(&records, &disk, durable).advance().unwrap().head.size(), 5);
}

#[test]
fn lost_files_are_made_again_from_the_records() {
    let (records, disk) = (Records::of(700), Arc::new(Disk::default()));
    let before = log(&records, &disk).advance().unwrap().note.clone();
    for lost in ["tile/", "tile/1", "tile/entries/002", "tile/0/002"] {
        disk.lose(lost);
        let mut log = log(&records, &disk);
        assert_eq!(log.recover().unwrap().unwrap().note, before, "{lost}");
        assert_eq!(verify(&disk).unwrap().entries, 700, "{lost}");
    }
    disk.lose("");
    records.grow(800);
    assert_eq!(log(&records, &disk).advance().unwrap().head.size(), 800, "the remembered checkpoint is enough");
    verify(&disk).unwrap();
}

#[test]
fn what_is_published_is_left_to_the_bundles_a_few_at_a_time() {
    let (records, disk, durable) = (Records::of(3_000), Arc::new(Disk::default()), Durable::default());
    durable.set(255);
    let trimmer = Trimmer::of(&disk);
    let trimmed = Arc::clone(&trimmer.trimmed);
    let mut log = log_by(&records, &disk, durable.clone(), trimmer);
    for (size, left) in [(255, 0), (256, 256), (300, 256), (3_000, 256 + 8 * 256), (3_000, 11 * 256), (3_000, 11 * 256)] {
        durable.set(size);
        assert_eq!(log.advance().unwrap().head.size(), size);
        log.trim();
        assert_eq!(trimmed.load(Ordering::SeqCst), left, "{size}");
    }
}

#[test]
fn a_failure_to_trim_stops_nothing_and_is_tried_again_later() {
    let (records, disk, durable) = (Records::of(300), Arc::new(Disk::default()), Durable::default());
    durable.set(300);
    let trimmer = Trimmer { faults: 1, ..Trimmer::of(&disk) };
    let trimmed = Arc::clone(&trimmer.trimmed);
    let mut log = log_by(&records, &disk, durable, trimmer);
    for _ in 0..=64 {
        assert_eq!(log.advance().unwrap().head.size(), 300);
        log.trim();
        assert_eq!(trimmed.load(Ordering::SeqCst), 0);
    }
    log.trim();
    assert_eq!(trimmed.load(Ordering::SeqCst), 256);
}

#[test]
fn a_new_key_signs_beside_the_old_one() {
    let (records, disk) = (Records::of(3), Arc::new(Disk::default()));
    let mut log = log(&records, &disk);
    let alone = log.advance().unwrap();
    log.rekey(keys(&[1, 2]));
    let both = log.advance().unwrap();
    assert_eq!(both.head, alone.head);
    for seed in [1, 2] {
        let known = keys(&[seed]);
        assert_eq!(Checkpoint::open(&both.note, &known.origin, &known.known).unwrap(), both.head);
    }
    log.rekey(LogKeys { signers: vec![signer(2)], ..keys(&[1, 2]) });
    log.advance().unwrap();
    verify(&disk).unwrap();
}

#[test]
fn the_thread_publishes_within_its_interval_and_ends_when_told() {
    let (records, disk, durable) = (Records::of(0), Arc::new(Disk::default()), Durable::default());
    let parts = LogParts {
        records: Arc::clone(&records) as Arc<dyn RecordReader>,
        durable: durable.clone(),
        files: Arc::clone(&disk) as Arc<dyn LogStore>,
        trimmer: Box::new(Trimmer::of(&disk)),
        keys: keys(&[1]),
        interval: Duration::from_millis(20),
    };
    let sequencer = Sequencer::start(parts, None).unwrap();
    let size = |sequencer: &Sequencer| sequencer.published().map(|published| published.head.size());
    let wait = |wanted: u64| until(&format!("{wanted} is published"), || size(&sequencer) == Some(wanted));
    wait(0);
    records.grow(4);
    durable.set(4);
    wait(4);
    records.grow(6);
    durable.set(6);
    sequencer.close();
    assert_eq!(size(&sequencer), Some(6), "the end comes after everything durable is published");
    assert_eq!(sequencer.failure(), None);
}
