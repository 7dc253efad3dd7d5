//! Damage that an attacker, or a restored backup, does to the records and files is noticed on start, and named.

use super::*;
use crate::ledger::{CHECKPOINT_PATH, CheckpointReason};

/// A log over 700 records, with checkpoints on the way.
fn grown() -> (Arc<Records>, Arc<Disk>) {
    let (records, disk, durable) = (Records::of(0), Arc::new(Disk::default()), Durable::default());
    let mut log = log_to(&records, &disk, durable.clone());
    for size in [10, 256, 600, 700] {
        records.grow(size);
        durable.set(size);
        log.advance().unwrap();
    }
    (records, disk)
}

fn noticed(records: &Arc<Records>, disk: &Arc<Disk>) -> SequencerReason {
    let steps = disk.steps();
    let reason = log(records, disk).advance().unwrap_err();
    assert_eq!(disk.steps(), steps, "nothing is written, let alone signed");
    reason
}

#[test]
fn a_truncated_store_is_told_with_what_is_missing() {
    let (records, disk) = grown();
    records.0.lock().unwrap().truncate(650);
    let reason = noticed(&records, &disk);
    assert!(matches!(reason, SequencerReason::Behind { records: 650, signed: 700 }));
    assert!(reason.to_string().contains("records 650 to 699 are missing"), "{reason}");
}

#[test]
fn an_older_copy_of_all_data_is_noticed_by_what_is_remembered_elsewhere() {
    let (records, disk) = grown();
    records.0.lock().unwrap().truncate(600);
    let older = disk.signed().unwrap().kept.into_iter().find(|(size, _)| *size == 600).unwrap().1;
    disk.put(CHECKPOINT_PATH, older.as_bytes());
    disk.lose("checkpoints/700");
    assert!(matches!(noticed(&records, &disk), SequencerReason::Behind { records: 600, signed: 700 }));
    // Where that is put back too, nothing shows it: this is what witnesses are for.
    disk.remember(Some(older));
    assert_eq!(log(&records, &disk).advance().unwrap().head.size(), 600);
}

#[test]
fn an_older_store_that_went_on_differently_is_noticed() {
    let (records, disk) = grown();
    let mut held = records.0.lock().unwrap();
    held.truncate(600);
    (600..750).for_each(|index| held.push(format!("another {index}").into_bytes()));
    drop(held);
    assert!(matches!(noticed(&records, &disk), SequencerReason::Changed(600)));
}

#[test]
fn swapped_and_changed_records_are_named() {
    for (one, other, first) in [(3, 9, 3), (255, 256, 255), (0, 699, 0)] {
        let (records, disk) = grown();
        records.0.lock().unwrap().swap(one, other);
        assert!(matches!(noticed(&records, &disk), SequencerReason::Changed(index) if index == first));
    }
    let (records, disk) = grown();
    records.0.lock().unwrap()[42].push(b' ');
    let reason = noticed(&records, &disk);
    assert!(reason.to_string().starts_with("record 42 in the store is not the one that was signed"), "{reason}");
    // Without tiles to compare with, it is still noticed, by the oldest checkpoint that contradicts.
    disk.lose("tile/");
    assert!(matches!(noticed(&records, &disk), SequencerReason::Contradiction(256, _)));
}

#[test]
fn records_far_back_are_covered_as_long_as_the_newest_block_reaches() {
    let (records, disk, durable) = (Records::of(140_000), Arc::new(Disk::default()), Durable::default());
    durable.set(140_000);
    log_to(&records, &disk, durable).advance().unwrap();
    records.0.lock().unwrap().swap(70_000, 70_001);
    assert!(matches!(noticed(&records, &disk), SequencerReason::Changed(70_000)));
    // Farther back it is left to an audit: hashing everything would delay the start.
    records.0.lock().unwrap().swap(70_000, 70_001);
    records.0.lock().unwrap().swap(5, 6);
    assert!(log(&records, &disk).advance().is_ok());
}

#[test]
fn forged_and_misplaced_checkpoints_are_not_believed() {
    let forged = |disk: &Disk, path: &str, seed: u8, size: u64| {
        let head = Checkpoint::new(signer(1).name().clone(), size, crate::crypto::Digest([7; 32]));
        disk.put(path, head.sign(&[&signer(seed)]).unwrap().as_bytes());
    };
    for path in [CHECKPOINT_PATH, "checkpoints/256", "checkpoints/690"] {
        let (records, disk) = grown();
        forged(&disk, path, 9, 690);
        let reason = noticed(&records, &disk);
        assert!(matches!(&reason, SequencerReason::Checkpoint(name, CheckpointReason::Note(_)) if name == path), "{reason}");
    }
    let (records, disk) = grown();
    disk.put(CHECKPOINT_PATH, b"not even a note");
    assert!(matches!(noticed(&records, &disk), SequencerReason::Checkpoint(..)));
    // Even the log's own key cannot make a checkpoint true.
    let (records, disk) = grown();
    forged(&disk, "checkpoints/690", 1, 690);
    assert!(matches!(noticed(&records, &disk), SequencerReason::Contradiction(690, _)));
    let (records, disk) = grown();
    forged(&disk, "checkpoints/650", 1, 640);
    assert!(matches!(noticed(&records, &disk), SequencerReason::Misplaced(650)));
}

#[test]
fn the_log_of_another_name_is_not_continued() {
    let (records, disk) = grown();
    let mut parts = keys(&[1]);
    parts.origin = KeyName::parse("other.example/ledger").unwrap();
    let mut log = log(&records, &disk);
    log.rekey(parts);
    assert!(matches!(log.advance(), Err(SequencerReason::Checkpoint(_, CheckpointReason::Origin))));
}

#[test]
fn somebody_else_who_signs_is_noticed() {
    let (records, disk, durable) = (Records::of(5), Arc::new(Disk::default()), Durable::default());
    durable.set(5);
    let mut log = log_to(&records, &disk, durable.clone());
    log.advance().unwrap();
    let other = Checkpoint::new(signer(1).name().clone(), 6, crate::crypto::Digest([7; 32])).sign(&[&signer(1)]).unwrap();
    disk.remember(Some(other));
    records.grow(7);
    durable.set(7);
    assert!(matches!(log.advance(), Err(SequencerReason::Store(StoreReason::Locked))));
    assert!(matches!(log.advance(), Err(SequencerReason::Contradiction(6, _))));
}
