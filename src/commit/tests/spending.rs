//! Spending without issuing, ending together with spending, and what is forgotten.

use super::memory::Fault;
use super::*;
use crate::lifecycle::{StateView, alive};

const LATER: i64 = START + 60_000;

fn value(id: u8) -> Vec<SingleUse> {
    vec![SingleUse {
        digest: [id; 32],
        expires: Time::from_millis(LATER),
        issued: Time::from_millis(START),
        kind: SingleUseKind::Assertion,
        share: ShareKey::NOBODY,
    }]
}

#[test]
fn a_value_is_spent_once_by_whatever_spends_it() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.spend(ShareKey::NOBODY, value(1)).await.unwrap();
        assert_eq!(commit.spend(ShareKey::NOBODY, value(1)).await, Err(CommitReason::Spent));
        assert_eq!(commit.submit(issue(1, &[], &[1])).await.unwrap_err(), CommitReason::Spent);
        assert_eq!(commit.end_spending(death(&[1]), value(1)).await, Err(CommitReason::Spent));
        assert!(
            alive(&*commit.state(), &issue(1, &[1], &[]).generations, rig.clock.now()).is_ok(),
            "what was refused did not end anything"
        );
        commit.end_spending(death(&[1]), value(2)).await.unwrap();
        assert_eq!(commit.spend(ShareKey::NOBODY, value(2)).await, Err(CommitReason::Spent));
        assert_eq!(commit.submit(issue(1, &[1], &[])).await.unwrap_err(), CommitReason::Died);
        commit.close().await;
    });
    assert_eq!((rig.kinds(), rig.disk.single_use()), (vec![Kind::Death], 2), "spending alone leaves no record");
    let commit = rig.start();
    for id in [1, 2] {
        assert_eq!(block_on(commit.spend(ShareKey::NOBODY, value(id))), Err(CommitReason::Spent), "a restart forgets nothing");
    }
}

#[test]
fn nothing_is_spent_that_cannot_be_written() {
    for fault in [Fault::Begin, Fault::Apply, Fault::FlushLost] {
        let rig = Rig::new();
        let commit = rig.start();
        rig.faults.set(fault, 1);
        rig.faults.set(Fault::Open, 2);
        assert_eq!(block_on(commit.spend(ShareKey::NOBODY, value(1))), Err(CommitReason::Unavailable), "{fault:?}");
        block_on(eventually(|| block_on_other(commit.clone(), value(1)) == Ok(())));
    }
}

#[test]
fn a_look_spends_nothing_and_sees_what_was_spent_also_after_a_restart() {
    let rig = Rig::new();
    let commit = rig.start();
    let look = |commit: &Commit, id: u8| commit.look(&value(id), rig.clock.now());
    assert_eq!([look(&commit, 1), look(&commit, 1)], [Ok(()); 2]);
    block_on(commit.spend(ShareKey::NOBODY, value(1))).unwrap();
    assert_eq!([look(&commit, 1), look(&commit, 2)], [Err(CommitReason::Spent), Ok(())]);
    block_on(commit.close());
    let commit = rig.start();
    assert_eq!([look(&commit, 1), look(&commit, 2)], [Err(CommitReason::Spent), Ok(())]);
}

/// A look waits for nobody: it is answered while the store is held, whatever the writer is about.
#[test]
fn a_look_is_answered_while_the_store_is_held() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(commit.spend(ShareKey::NOBODY, value(1))).unwrap();
    let held = rig.disk.content();
    let writing = std::thread::spawn({
        let commit = commit.clone();
        move || block_on(commit.spend(ShareKey::NOBODY, value(2)))
    });
    assert_eq!(commit.look(&value(1), rig.clock.now()), Err(CommitReason::Spent));
    drop(held);
    writing.join().unwrap().unwrap();
}

#[test]
fn what_was_forgotten_counts_no_more_for_whoever_looks_with_an_older_clock() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(commit.spend(ShareKey::NOBODY, value(1))).unwrap();
    let before = rig.clock.now();
    rig.step(61_000);
    block_on(commit.spend(ShareKey::NOBODY, Vec::new())).unwrap();
    assert_eq!(commit.look(&value(1), before), Err(CommitReason::ClockBehind));
    assert_eq!(commit.look(&value(1), rig.clock.now()), Err(CommitReason::Expired));
}

#[test]
fn a_value_whose_batch_was_lost_counts_again_once_the_store_is_read() {
    let rig = Rig::new();
    let commit = rig.start();
    rig.faults.set(Fault::FlushLost, 1);
    assert_eq!(block_on(commit.spend(ShareKey::NOBODY, value(1))), Err(CommitReason::Unavailable));
    block_on(eventually(|| {
        let _asked = block_on_other(commit.clone(), Vec::new());
        commit.look(&value(1), rig.clock.now()) == Ok(())
    }));
}

/// Neither a record nor the quota is to be had with a login that was used.
#[test]
fn a_refusal_of_a_used_login_is_neither_recorded_nor_counted() {
    let mut rig = Rig::new();
    rig.limits.refusals_per_minute = 2;
    let commit = rig.start();
    let refuse = |id: u8| block_on(commit.refuse(super::rules::refusal("a", START), value(id)));
    block_on(commit.spend(ShareKey::NOBODY, value(1))).unwrap();
    for _ in 0..30 {
        assert_eq!(refuse(1), Err(CommitReason::Spent));
    }
    assert_eq!([refuse(2), refuse(2), refuse(2)], [Ok(()); 3], "a refusal spends nothing");
    block_on(commit.spend(ShareKey::NOBODY, value(2))).unwrap();
    block_on(commit.close());
    let suppressed = |row: &contract::Stored| match Record::parse(&row.record).unwrap() {
        Record::Refusal(record) => record.suppressed,
        other => panic!("{other:?}"),
    };
    assert_eq!(rig.rows().iter().map(suppressed).collect::<Vec<_>>(), [0, 0], "the genuine ones have the whole quota");
}

/// The look is early and the refusal late: what is spent in between is found by the writer, in its order.
#[test]
fn a_refusal_behind_the_spending_of_its_login_is_a_strangers() {
    let rig = Rig::new();
    let commit = rig.start();
    let held = rig.disk.content();
    // These wait in this order, and then the writer goes on.
    let refusing = commit.refuse(super::rules::refusal("a", START), value(1));
    let (spent, refused, ()) =
        block_on(async { tokio::join!(commit.spend(ShareKey::NOBODY, value(1)), refusing, async move { drop(held) }) });
    assert_eq!((spent, refused), (Ok(()), Err(CommitReason::Spent)));
    block_on(commit.close());
    assert_eq!(rig.kinds(), []);
}

#[test]
fn a_login_that_is_spent_while_its_refusal_waits_takes_no_place() {
    let mut rig = Rig::new();
    rig.limits.refusals_per_minute = 1;
    let commit = rig.start();
    block_on(async {
        for id in 1..=50 {
            let spending = tokio::spawn({
                let commit = commit.clone();
                async move { commit.spend(ShareKey::NOBODY, value(id)).await }
            });
            tokio::task::yield_now().await;
            let minute = START + 60_000 * i64::from(id);
            let refused = commit.refuse(super::rules::refusal("a", minute), value_until(id, minute + 60_000)).await;
            spending.await.unwrap().unwrap();
            let again = commit.refuse(super::rules::refusal("a", minute), Vec::new()).await;
            assert_eq!(again, Ok(()));
            assert!(matches!(refused, Ok(()) | Err(CommitReason::Spent)), "{refused:?}");
        }
        commit.close().await;
    });
    let (mut records, mut suppressed) = (0, 0);
    for row in rig.rows() {
        let Record::Refusal(record) = Record::parse(&row.record).unwrap() else { panic!("no refusal") };
        (records, suppressed) = (records + 1, suppressed + record.suppressed);
    }
    assert_eq!(records, 50, "one a minute, whoever came first: a used login takes no place; {suppressed} went unrecorded");
}

fn value_until(id: u8, expires: i64) -> Vec<SingleUse> {
    value(id).into_iter().map(|value| SingleUse { expires: Time::from_millis(expires), ..value }).collect()
}

#[test]
fn a_death_that_acts_but_is_not_durable_is_not_vouched_for() {
    let rig = Rig::new();
    let commit = rig.start();
    rig.faults.set(Fault::Begin, 1);
    rig.faults.set(Fault::Open, u32::MAX);
    block_on(async {
        assert_eq!(commit.end_spending(death(&[1]), value(1)).await, Err(CommitReason::Unavailable));
        assert_eq!(commit.state().generations(&[GenerationKey([1; 16])])[0].number, 1, "it acts");
        assert_eq!(commit.spend(ShareKey::NOBODY, Vec::new()).await, Err(CommitReason::Unavailable));
        rig.faults.heal();
        eventually(|| commit.is_available()).await;
        commit.spend(ShareKey::NOBODY, Vec::new()).await.unwrap();
        assert_eq!(
            commit.spend(ShareKey::NOBODY, value(1)).await,
            Err(CommitReason::Spent),
            "it was spent with the death in the end"
        );
    });
    assert_eq!(rig.kinds(), [Kind::Death]);
}

#[test]
fn a_death_is_recorded_though_no_more_values_can_be_remembered_or_the_clock_was_set_back() {
    let mut rig = Rig::new();
    rig.limits.single_use = 1;
    let commit = rig.start();
    block_on(commit.spend(ShareKey::NOBODY, value(1))).unwrap();
    let full = block_on(commit.spend(ShareKey::NOBODY, value(2)));
    assert!(matches!(full, Err(CommitReason::Full(Capacity::SingleUse, _))), "{full:?}");
    block_on(commit.end_spending(death(&[1]), value(2))).unwrap();
    assert_eq!(block_on(commit.spend(ShareKey::NOBODY, value(2))), Err(CommitReason::Spent));
    rig.step(120_000);
    block_on(commit.end(death(&[2]))).unwrap();
    rig.step(-120_000);
    assert_eq!(block_on(commit.spend(ShareKey::NOBODY, value(3))), Err(CommitReason::ClockBehind));
    block_on(commit.end_spending(death(&[3]), value(3))).unwrap();
    assert_eq!(rig.kinds(), [Kind::Death; 3]);
}

#[test]
fn what_was_forgotten_stays_over_when_the_clock_is_set_back() {
    let rig = Rig::new();
    let commit = rig.start();
    let until = Some(Time::from_millis(LATER));
    block_on(commit.end(Revocation { until, ..death(&[1]) })).unwrap();
    let state = commit.state();
    assert!(state.floor().millis() <= START);
    rig.step(61_000);
    block_on(commit.spend(ShareKey::NOBODY, Vec::new())).unwrap();
    assert_eq!(state.len(), 0);
    assert!(state.floor().millis() >= LATER);
    rig.step(-61_000);
    // That it was forgotten is recorded, with the time.
    assert_eq!(block_on(commit.submit(issue(1, &[1], &[]))).unwrap_err(), CommitReason::ClockBehind);
    block_on(commit.close());
    let commit = rig.start();
    assert_eq!(block_on(commit.submit(issue(1, &[1], &[]))).unwrap_err(), CommitReason::ClockBehind);
}

fn block_on_other(commit: Commit, values: Vec<SingleUse>) -> Result<(), CommitReason> {
    std::thread::spawn(move || block_on(commit.spend(ShareKey::NOBODY, values))).join().unwrap()
}
