//! One rule, one test.

use std::collections::BTreeSet;
use std::sync::Barrier;

use super::*;
use crate::commit::contract::SealedDisclosures;
use crate::crypto::SealKey;
use crate::lifecycle::StateView;

#[test]
fn a_receipt_names_the_durable_record_of_its_own_hop() {
    let rig = Rig::new();
    let commit = rig.start();
    for id in 0..3 {
        let wanted = issue(id, &[], &[id]);
        let (jti, digest) = (wanted.jti, Digest::of(&wanted.record));
        let receipt = block_on(commit.submit(wanted)).unwrap();
        let rows = rig.disk.rows();
        let row = &rows[usize::try_from(receipt.index()).unwrap()];
        assert_eq!((receipt.jti(), row.jti, receipt.record(), Digest::of(&row.record)), (jti, Some(jti), digest, digest));
        assert_eq!(receipt.at(), row.at);
    }
}

#[test]
fn disclosures_are_stored_encrypted_under_their_subjects_key() {
    let rig = Rig::new();
    let commit = rig.start();
    let receipts: Vec<Receipt> = (0..6).map(|id| block_on(commit.submit(issue(id, &[], &[]))).unwrap()).collect();
    let root = SealKey::new(&[1; 32]).unwrap();
    for receipt in &receipts {
        let (subject, sealed) = rig.disk.sealed(receipt.index()).unwrap();
        let sealed = SealedDisclosures { subject, wrapped_key: rig.disk.key(subject).unwrap(), sealed };
        assert_eq!(reveal(&root, &receipt.record(), &sealed).unwrap().as_slice(), b"[\"x\"]");
        assert!(reveal(&SealKey::new(&[2; 32]).unwrap(), &receipt.record(), &sealed).is_err(), "another root key");
        assert!(reveal(&root, &Digest([0; 32]), &sealed).is_err(), "another record");
        let other = SealedDisclosures { subject: GenerationKey([77; 16]), ..sealed };
        assert!(reveal(&root, &receipt.record(), &other).is_err(), "another subject");
    }
}

#[test]
fn a_subject_whose_key_does_not_open_keeps_nobody_else_from_being_served() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(commit.submit(issue(0, &[], &[]))).unwrap();
    block_on(commit.close());
    rig.disk.content().keys().get_mut(&GenerationKey([0; 16])).unwrap()[20] ^= 1;
    let commit = rig.start();
    assert_eq!(block_on(commit.submit(issue(4, &[], &[7]))).unwrap_err(), CommitReason::Unavailable);
    block_on(commit.submit(issue(5, &[], &[7]))).unwrap();
    assert_eq!(rig.disk.rows().len(), 2);
}

#[test]
fn a_single_use_value_submitted_at_once_by_eight_threads_is_accepted_once() {
    let rig = Rig::new();
    let commit = rig.start();
    for round in 0..50 {
        let barrier = Barrier::new(8);
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let submit = |id: u8| {
                let (commit, barrier) = (commit.clone(), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    block_on(commit.submit(issue(id, &[], &[round])))
                })
            };
            let threads: Vec<_> = (0..8).map(submit).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Err(CommitReason::Spent))).count(), 7);
    }
    assert_eq!(rig.disk.rows().len(), 50);
}

#[test]
fn a_value_twice_in_one_hop_is_refused() {
    let rig = Rig::new();
    assert_eq!(block_on(rig.start().submit(issue(1, &[], &[5, 5]))).unwrap_err(), CommitReason::Spent);
}

#[test]
fn a_refused_hop_spends_nothing() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(commit.end(death(&[1]))).unwrap();
    assert_eq!(block_on(commit.submit(issue(1, &[1], &[5]))).unwrap_err(), CommitReason::Died);
    let mut late = issue(2, &[], &[5]);
    late.deadline = Time::from_millis(START);
    assert_eq!(block_on(commit.submit(late)).unwrap_err(), CommitReason::Expired);
    block_on(commit.submit(issue(3, &[], &[5]))).unwrap();
}

#[test]
fn what_expired_between_the_checks_and_the_commit_is_refused() {
    let rig = Rig::new();
    let commit = rig.start();
    let wanted = issue(1, &[], &[1]);
    rig.step(59_999);
    block_on(commit.submit(wanted)).unwrap();
    rig.step(1);
    assert_eq!(block_on(commit.submit(issue(2, &[], &[]))).unwrap_err(), CommitReason::Expired);
    // An expired single-use value may have been forgotten, so it is refused as well.
    let mut forgotten = issue(3, &[], &[1]);
    forgotten.deadline = Time::from_millis(START + 900_000);
    assert_eq!(block_on(commit.submit(forgotten)).unwrap_err(), CommitReason::Expired);
}

#[test]
fn a_death_between_the_checks_and_the_commit_refuses_the_hop() {
    let rig = Rig::new();
    let commit = rig.start();
    let judged = issue(1, &[1, 2, 3], &[]);
    assert!(crate::lifecycle::liveness::alive(&*commit.state(), &judged.generations, rig.clock.now()).is_ok());
    block_on(commit.end(death(&[2]))).unwrap();
    assert_eq!(block_on(commit.submit(judged)).unwrap_err(), CommitReason::Died);
    block_on(commit.submit(issue(1, &[1, 3], &[]))).unwrap();
    let lives = commit.state().generations(&[GenerationKey([1; 16]), GenerationKey([2; 16])]);
    assert_eq!((lives[0].number, lives[1].number, lives[1].ended), (0, 1, Some(Time::from_millis(START))));
    assert_eq!(rig.kinds()[0], Kind::Death);
}

#[test]
fn deaths_and_spent_values_outlast_a_restart() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.end(death(&[1])).await.unwrap();
        commit.submit(issue(1, &[], &[5])).await.unwrap();
        commit.close().await;
        assert_eq!(commit.submit(issue(2, &[], &[])).await.unwrap_err(), CommitReason::Unavailable);
        let again = rig.start();
        assert_eq!(again.submit(issue(2, &[1], &[])).await.unwrap_err(), CommitReason::Died);
        assert_eq!(again.submit(issue(3, &[], &[5])).await.unwrap_err(), CommitReason::Spent);
        assert_eq!(again.submit(issue(4, &[], &[6])).await.unwrap().index(), 2);
    });
}

#[test]
fn a_clock_behind_the_newest_record_issues_nothing_and_still_ends_things() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(commit.submit(issue(1, &[], &[1]))).unwrap();
    rig.step(-1000);
    let receipt = block_on(commit.submit(issue(2, &[], &[2]))).unwrap();
    assert_eq!(receipt.at(), Time::from_millis(START), "within the tolerance the newest time stands in for the present");
    rig.step(-1);
    assert_eq!(block_on(commit.submit(issue(3, &[], &[3]))).unwrap_err(), CommitReason::ClockBehind);
    block_on(commit.end(death(&[1]))).unwrap();
    assert_eq!(rig.disk.rows().last().unwrap().at, Time::from_millis(START));
    // A restart forgets nothing of it.
    block_on(commit.close());
    let again = rig.start();
    assert_eq!(block_on(again.submit(issue(3, &[], &[3]))).unwrap_err(), CommitReason::ClockBehind);
    rig.step(1);
    block_on(again.submit(issue(3, &[], &[3]))).unwrap();
}

#[test]
fn nothing_is_accepted_again_after_it_was_forgotten_and_the_clock_went_back() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(commit.submit(issue(1, &[], &[1]))).unwrap();
    rig.step(60_001);
    let mut later = issue(2, &[], &[]);
    later.deadline = Time::from_millis(START + 900_000);
    block_on(commit.submit(later)).unwrap();
    assert_eq!(rig.disk.single_use(), 1, "the second of expiry is not over");
    rig.step(999);
    let mut later = issue(3, &[], &[]);
    later.deadline = Time::from_millis(START + 900_000);
    block_on(commit.submit(later)).unwrap();
    assert_eq!(rig.disk.single_use(), 0);
    rig.step(-1000);
    let mut replayed = issue(4, &[], &[1]);
    replayed.deadline = Time::from_millis(START + 900_000);
    assert_eq!(block_on(commit.submit(replayed)).unwrap_err(), CommitReason::Expired);
}

#[test]
#[allow(clippy::await_holding_lock, reason = "the lock is the disk, and stands still on purpose")]
fn an_answer_that_nobody_takes_is_recorded_as_withheld() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        for id in 0..20 {
            // Nothing is written while the disk is held.
            let held = rig.disk.content();
            let submitted = commit.clone();
            let task = tokio::spawn(async move { submitted.submit(issue(id, &[], &[])).await });
            tokio::task::yield_now().await;
            if id % 2 == 0 {
                // Gone before the answer.
                task.abort();
                tokio::task::yield_now().await;
                drop(held);
            } else {
                // Answered, because what was asked later is answered, and gone before looking at it.
                drop(held);
                std::thread::scope(|threads| threads.spawn(|| block_on(commit.spend(ShareKey::NOBODY, Vec::new()))).join())
                    .unwrap()
                    .unwrap();
                task.abort();
                tokio::task::yield_now().await;
            }
        }
        eventually(|| rig.disk.rows().len() == 40).await;
        let receipt = commit.submit(issue(99, &[], &[])).await.unwrap();
        commit.withhold(receipt);
        commit.close().await;
    });
    let rows = rig.disk.rows();
    let records: Vec<Record<'_>> = rows.iter().map(|row| Record::parse(&row.record).unwrap()).collect();
    for (row, record) in rows.iter().zip(&records).filter(|(_, record)| record.kind() == Kind::Hop) {
        let of_it =
            |withheld: &crate::ledger::record::WithheldRecord| withheld.index == row.index && Some(withheld.jti) == record.jti();
        let names = |other: &&Record<'_>| matches!(other, Record::Withheld(withheld) if of_it(withheld));
        assert_eq!(records.iter().filter(names).count(), 1, "{row:?}");
    }
    assert_eq!(rig.kinds().iter().filter(|kind| **kind == Kind::Hop).count(), 21);
    assert_eq!(rows.len(), 42);
}

#[test]
#[allow(clippy::await_holding_lock, reason = "the lock is the disk, and stands still on purpose")]
fn a_full_queue_answers_busy_and_keeps_a_place_for_deaths() {
    let mut rig = Rig::new();
    rig.limits.issues = 2;
    let commit = rig.start();
    block_on(async {
        // Nothing is written while the disk is held.
        let held = rig.disk.content();
        let tasks: Vec<_> = (0..2)
            .map(|id| {
                let commit = commit.clone();
                tokio::spawn(async move { commit.submit(issue(id, &[], &[])).await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(commit.submit(issue(3, &[], &[])).await.unwrap_err(), CommitReason::Full(Capacity::Queue, 1));
        let ending = commit.clone();
        let ended = tokio::spawn(async move { ending.end(death(&[1])).await });
        tokio::task::yield_now().await;
        drop(held);
        ended.await.unwrap().unwrap();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        commit.submit(issue(4, &[], &[])).await.unwrap();
    });
}

pub(super) fn refusal(agent: &str, at: i64) -> RefusalRecord<'static> {
    RefusalRecord::new(ClientId::parse(agent).unwrap(), Time::from_millis(at), "invalid_scope", "e".into(), "r".into())
}

#[test]
fn refusals_beyond_the_quota_are_counted_and_the_count_is_recorded() {
    let mut rig = Rig::new();
    rig.limits.refusals_per_minute = 3;
    let commit = rig.start();
    for agent in ["a", "a", "a", "a", "b", "a"] {
        block_on(commit.refuse(refusal(agent, START), Vec::new())).unwrap();
    }
    block_on(commit.refuse(refusal("a", START + 60_000), Vec::new())).unwrap();
    block_on(commit.refuse(refusal("a", START + 60_000), Vec::new())).unwrap();
    block_on(commit.close());
    let recorded = |row: &crate::commit::contract::Stored| match Record::parse(&row.record).unwrap() {
        Record::Refusal(record) => (record.agent.as_str().to_owned(), record.suppressed),
        other => panic!("{other:?}"),
    };
    let expected = [("a", 0), ("a", 0), ("a", 0), ("b", 0), ("a", 2), ("a", 0)].map(|(agent, n)| (agent.to_owned(), n));
    assert_eq!(rig.disk.rows().iter().map(recorded).collect::<Vec<_>>(), expected);
}

#[test]
fn refusals_never_take_the_place_of_hops() {
    let mut rig = Rig::new();
    (rig.limits.refusals, rig.limits.refusals_per_minute) = (4, 1000);
    let commit = rig.start();
    let held = rig.disk.content();
    (0..1000).for_each(|_| block_on(commit.refuse(refusal("a", START), Vec::new())).unwrap());
    drop(held);
    let receipt = block_on(commit.submit(issue(1, &[], &[]))).unwrap();
    assert!(receipt.index() <= 8, "{receipt:?}");
    // The writer held at most one batch besides the four places, and none of the rest is lost from the count.
    block_on(commit.refuse(refusal("a", START + 60_000), Vec::new())).unwrap();
    block_on(commit.close());
    let records: Vec<_> = rig.disk.rows();
    let count = |row: &crate::commit::contract::Stored| match Record::parse(&row.record).unwrap() {
        Record::Refusal(record) => 1 + record.suppressed,
        _ => 0,
    };
    assert_eq!(records.iter().map(count).sum::<u64>(), 1001);
}

#[test]
fn memory_that_is_full_refuses_and_forgets_nothing() {
    let mut rig = Rig::new();
    (rig.limits.single_use, rig.limits.generations) = (2, 1);
    let commit = rig.start();
    block_on(commit.submit(issue(1, &[], &[1, 2]))).unwrap();
    let full = |reason, bound| matches!(reason, CommitReason::Full(of, _) if of == bound);
    assert!(full(block_on(commit.submit(issue(2, &[], &[3]))).unwrap_err(), Capacity::SingleUse));
    assert_eq!(block_on(commit.submit(issue(2, &[], &[2]))).unwrap_err(), CommitReason::Spent);
    block_on(commit.submit(issue(3, &[], &[]))).unwrap();
    block_on(commit.end(death(&[1]))).unwrap();
    block_on(commit.submit(issue(4, &[], &[]))).unwrap();
    block_on(commit.end(death(&[2]))).unwrap();
    assert!(full(block_on(commit.submit(issue(5, &[], &[]))).unwrap_err(), Capacity::LiveEntries));
    assert_eq!(commit.state().len(), 2);
}

#[test]
fn what_is_too_large_is_refused() {
    let rig = Rig::new();
    let commit = rig.start();
    let mut wide = issue(1, &[], &[]);
    wide.record = vec![b' '; 65_536];
    assert_eq!(block_on(commit.submit(wide)).unwrap_err(), CommitReason::TooLarge);
    assert_eq!(block_on(commit.submit(issue(1, &[], &[1, 2, 3, 4, 5, 6, 7, 8, 9]))).unwrap_err(), CommitReason::TooLarge);
    let ids: Vec<u8> = (0..=255).chain([0]).collect();
    assert_eq!(block_on(commit.end(death(&ids))).unwrap_err(), CommitReason::TooLarge);
    assert_eq!(block_on(commit.end(death(&[]))).unwrap_err(), CommitReason::TooLarge);
    assert!(rig.disk.rows().is_empty() && commit.state().is_empty());
}

#[test]
fn a_death_that_may_be_forgotten_is_forgotten_then_and_not_before() {
    let rig = Rig::new();
    let commit = rig.start();
    let mut passing = death(&[1]);
    passing.until = Some(Time::from_millis(START + 10_000));
    block_on(commit.end(passing)).unwrap();
    rig.step(9_999);
    assert_eq!(block_on(commit.submit(issue(1, &[1], &[]))).unwrap_err(), CommitReason::Died);
    rig.step(1_001);
    block_on(commit.submit(issue(1, &[], &[]))).unwrap();
    assert_eq!(commit.state().len(), 0);
}

#[test]
fn closing_finishes_what_waits() {
    let rig = Rig::new();
    let commit = rig.start();
    let outcomes = block_on(async {
        let tasks: Vec<_> = (0..40)
            .map(|id| {
                let commit = commit.clone();
                tokio::spawn(async move { commit.submit(issue(id, &[], &[])).await })
            })
            .collect();
        tokio::task::yield_now().await;
        commit.close().await;
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(task.await.unwrap());
        }
        outcomes
    });
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(rig.disk.rows().len(), 40);
}

#[test]
fn the_writer_ends_with_the_last_handle() {
    let rig = Rig::new();
    let commit = rig.start();
    let state = Arc::downgrade(&commit.state());
    drop(commit);
    block_on(eventually(|| state.strong_count() == 0));
}

#[test]
fn damaged_newest_records_keep_the_commit_from_starting() {
    let damages: [fn(&mut Vec<crate::commit::contract::Stored>); 5] = [
        |rows| rows[1].record.push(b' '),
        |rows| rows[1].index = 7,
        |rows| rows.swap(1, 2),
        |rows| rows[1].jti = Some(Jti::from_bytes([0; 16])),
        |rows| rows[2].at = Time::from_millis(START - 1),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let rig = Rig::new();
        let commit = rig.start();
        for id in 1..4 {
            block_on(commit.submit(issue(id, &[], &[]))).unwrap();
        }
        block_on(commit.close());
        rig.disk.content().damage(damage);
        assert!(matches!(rig.tried(), Err(contract::StoreReason::Corrupt(_))), "damage {number}");
    }
}

#[test]
fn all_receipts_have_indexes_of_their_own() {
    let rig = Rig::new();
    let commit = rig.start();
    let indexes: BTreeSet<u64> = std::thread::scope(|scope| {
        let work = |thread: u8| {
            let commit = commit.clone();
            let submit = move |id: u8| block_on(commit.submit(issue(thread * 25 + id, &[], &[]))).unwrap().index();
            scope.spawn(move || (0..25).map(submit).collect::<Vec<_>>())
        };
        let threads: Vec<_> = (0..8).map(work).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(indexes, (0..200).collect());
}
