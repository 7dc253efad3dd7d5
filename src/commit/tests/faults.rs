//! The store fails, at every point at which it can.

use super::memory::Fault;
use super::*;
use crate::lifecycle::StateView;

/// Every failure must leave as many records as `hops`, each with a receipt or withheld, and a service that goes on.
fn serves_again(rig: &Rig, commit: &Commit, id: u8) {
    let mut served = None;
    block_on(until_async("it serves again", async || {
        served = match commit.submit(issue(id, &[], &[])).await {
            Err(CommitReason::Unavailable) => None,
            other => Some(other.unwrap()),
        };
        served.is_some()
    }));
    let receipt = served.unwrap();
    let row = &rig.disk.rows()[usize::try_from(receipt.index()).unwrap()];
    assert_eq!((row.jti, &row.record), (Some(receipt.jti()), &issue(id, &[], &[]).record));
}

#[test]
fn a_store_that_fails_once_gives_no_receipt_and_serves_again() {
    for fault in [Fault::Key, Fault::Begin, Fault::Apply, Fault::FlushLost] {
        let rig = Rig::new();
        let commit = rig.start();
        block_on(commit.submit(issue(1, &[], &[1]))).unwrap();
        rig.faults.set(fault, 1);
        assert_eq!(block_on(commit.submit(issue(2, &[], &[2]))).unwrap_err(), CommitReason::Unavailable, "{fault:?}");
        serves_again(&rig, &commit, 3);
        // What was not issued was not spent.
        block_on(commit.submit(issue(2, &[], &[2]))).unwrap();
        assert_eq!(block_on(commit.submit(issue(4, &[], &[1]))).unwrap_err(), CommitReason::Spent);
        assert_eq!(rig.kinds(), [Kind::Hop; 3]);
    }
}

#[test]
fn a_hop_that_is_durable_although_its_flush_failed_is_recorded_as_withheld() {
    let rig = Rig::new();
    let commit = rig.start();
    rig.faults.set(Fault::FlushLanded, 1);
    assert_eq!(block_on(commit.submit(issue(1, &[], &[1]))).unwrap_err(), CommitReason::Unavailable);
    serves_again(&rig, &commit, 2);
    assert_eq!(rig.kinds(), [Kind::Hop, Kind::Withheld, Kind::Hop]);
    let rows = rig.disk.rows();
    let Record::Withheld(withheld) = Record::parse(&rows[1].record).unwrap() else { panic!("withheld") };
    assert_eq!((withheld.index, Some(withheld.jti)), (0, rows[0].jti));
    assert_eq!(block_on(commit.submit(issue(3, &[], &[1]))).unwrap_err(), CommitReason::Spent);
}

#[test]
fn a_store_that_fails_for_ever_issues_nothing_until_it_is_healed() {
    for fault in [Fault::Key, Fault::Begin, Fault::Apply, Fault::FlushLost, Fault::FlushLanded] {
        let rig = Rig::new();
        let commit = rig.start();
        rig.faults.set(fault, u32::MAX);
        rig.faults.set(Fault::Open, 3);
        for id in 0..40 {
            assert_eq!(block_on(commit.submit(issue(id, &[], &[]))).unwrap_err(), CommitReason::Unavailable, "{fault:?}");
            pass(std::time::Duration::from_micros(300));
        }
        rig.faults.heal();
        serves_again(&rig, &commit, 99);
        block_on(commit.close());
        let kinds = rig.kinds();
        let hops = kinds.iter().filter(|kind| **kind == Kind::Hop).count();
        let withheld = kinds.iter().filter(|kind| **kind == Kind::Withheld).count();
        assert_eq!(hops, withheld + 1, "every hop but the last is withheld: {fault:?} {kinds:?}");
    }
}

#[test]
fn a_death_that_cannot_be_recorded_acts_and_stops_issuance_until_it_is() {
    for fault in [Fault::Begin, Fault::FlushLanded, Fault::FlushLost] {
        let rig = Rig::new();
        let commit = rig.start();
        rig.faults.set(fault, 1);
        rig.faults.set(Fault::Open, u32::MAX);
        assert_eq!(block_on(commit.end(death(&[1]))).unwrap_err(), CommitReason::Unavailable);
        // A second one, while the store is known to be broken.
        assert_eq!(block_on(commit.end(death(&[2]))).unwrap_err(), CommitReason::Unavailable);
        let key = |id| [GenerationKey([id; 16])];
        assert_eq!((commit.state().generations(&key(1))[0].number, commit.state().generations(&key(2))[0].number), (1, 1));
        assert_eq!(block_on(commit.submit(issue(1, &[], &[]))).unwrap_err(), CommitReason::Unavailable);
        rig.faults.heal();
        // It is recorded without being asked again.
        block_on(eventually(|| rig.disk.rows().len() == 2));
        serves_again(&rig, &commit, 1);
        assert_eq!(rig.kinds(), [Kind::Death, Kind::Death, Kind::Hop], "{fault:?}");
        assert_eq!((commit.state().generations(&key(1))[0].number, commit.state().generations(&key(2))[0].number), (1, 1));
        block_on(commit.close());
        let again = rig.start();
        assert_eq!(block_on(again.submit(issue(2, &[1], &[]))).unwrap_err(), CommitReason::Died);
        assert_eq!(block_on(again.submit(issue(2, &[2], &[]))).unwrap_err(), CommitReason::Died);
    }
}

#[test]
fn a_death_waits_for_the_last_moment_to_be_recorded() {
    let mut rig = Rig::new();
    rig.limits.retry = std::time::Duration::from_secs(3600);
    let commit = rig.start();
    rig.faults.set(Fault::Begin, 1);
    assert_eq!(block_on(commit.end(death(&[1]))).unwrap_err(), CommitReason::Unavailable);
    block_on(commit.close());
    assert_eq!(rig.kinds(), [Kind::Death]);
}

#[test]
fn a_refusal_that_could_not_be_recorded_is_counted() {
    let rig = Rig::new();
    let commit = rig.start();
    rig.faults.set(Fault::Begin, 1);
    block_on(commit.refuse(super::rules::refusal("a", START), Vec::new())).unwrap();
    serves_again(&rig, &commit, 1);
    block_on(eventually(|| !rig.disk.rows().is_empty()));
    block_on(commit.refuse(super::rules::refusal("a", START), Vec::new())).unwrap();
    block_on(commit.close());
    let rows = rig.disk.rows();
    let last = Record::parse(&rows.last().unwrap().record).unwrap();
    let counted = match &last {
        Record::Refusal(refusal) => refusal.suppressed,
        other => panic!("{other:?}"),
    };
    assert_eq!(counted, 1);
}

#[test]
fn a_store_that_comes_back_without_what_it_acknowledged_is_never_used_again() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(commit.submit(issue(1, &[], &[]))).unwrap();
    block_on(commit.submit(issue(2, &[], &[]))).unwrap();
    rig.faults.set(Fault::Begin, 1);
    rig.faults.set(Fault::Forgets, 1);
    for _ in 0..20 {
        assert_eq!(block_on(commit.submit(issue(3, &[], &[]))).unwrap_err(), CommitReason::Unavailable);
        pass(std::time::Duration::from_millis(1));
    }
    assert_eq!(rig.kinds(), [Kind::Hop], "no index was used twice");
}
