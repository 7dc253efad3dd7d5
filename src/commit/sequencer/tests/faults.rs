//! A fault at every step: after each, recovery, a clean audit, and no checkpoint that anybody saw is ever contradicted.

use super::disk::Fault;
use super::*;

const SIZES: [u64; 7] = [0, 3, 200, 255, 256, 300, 600];

const FAULTS: [Fault; 9] = [
    Fault::Refused,
    Fault::Landed,
    Fault::Short,
    Fault::KilledBefore,
    Fault::KilledAfter,
    Fault::Forever,
    Fault::LostRename(1),
    Fault::LostRename(2),
    Fault::LostRename(3),
];

/// Grows the log through all sizes on that disk; says how many attempts failed.
fn run(disk: &Arc<Disk>, undone: bool) -> usize {
    let (records, durable) = (Records::of(0), Durable::default());
    let mut log = log_to(&records, disk, durable.clone());
    let mut failures = 0;
    for size in SIZES {
        records.grow(size);
        durable.set(size);
        let mut attempts = 0;
        while let Err(reason) = log.advance() {
            assert!(matches!(reason, SequencerReason::Store(StoreReason::Failed(_))), "{reason}");
            failures += 1;
            if !undone {
                served_is_whole(disk);
            }
            attempts += 1;
            if disk.crashed() {
                log = log_to(&records, disk, durable.clone());
            }
            if attempts == 3 {
                disk.mend();
            }
        }
    }
    // A crash that was due may still be due.
    if disk.crashed() {
        log = log_to(&records, disk, durable);
    }
    assert_eq!(log.advance().unwrap().head.size(), 600);
    failures
}

/// The checkpoint served at this instant, before anything recovers: its tiles are there, and it is remembered.
fn served_is_whole(disk: &Disk) {
    let (signed, known) = (disk.signed().unwrap(), keys(&[1]));
    let Some(served) = signed.published else { return };
    let open = |note: &str| Checkpoint::open(note, &known.origin, &known.known).unwrap();
    assert!(open(&signed.swapped.unwrap()).size() >= open(&served).size(), "served before it was remembered");
    audit(disk, &[open(&served)], |_, _| Ok::<_, std::convert::Infallible>(())).unwrap();
}

#[test]
fn a_fault_at_any_step_leaves_a_log_that_verifies() {
    let whole = Arc::new(Disk::default());
    assert_eq!(run(&whole, false), 0);
    let steps = whole.steps();
    assert!(steps > 30, "{steps}");
    let mut failures = 0;
    for fault in FAULTS {
        for step in 0..steps {
            let disk = Arc::new(Disk::default());
            disk.plan(step, fault);
            failures += run(&disk, matches!(fault, Fault::LostRename(_)));
            let report = verify(&disk).unwrap_or_else(|reason| panic!("{fault:?} at step {step}: {reason}"));
            assert_eq!(report.entries, 600, "{fault:?} at step {step}");
        }
    }
    assert!(failures > steps * 6, "only {failures} faults were noticed at all");
}
