//! Random histories against a model that is simple enough to be believed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::task::JoinHandle;

use super::memory::Fault;
use super::*;
use crate::lifecycle::StateView;

#[derive(Clone, Debug)]
enum Step {
    /// Submitted together, in this order; whether in one batch or several is up to the writer.
    Together(Vec<Ask>),
    /// The clock moves.
    Clock(i64),
    /// The commit is closed and started again.
    Restart,
    /// The store will fail.
    Fail(Fault, u32),
}

#[derive(Clone, Debug)]
enum Ask {
    Issue { generations: Vec<(u8, u64)>, single_use: Vec<u8>, lifetime: i64 },
    End(Vec<u8>),
}

fn ask() -> impl Strategy<Value = Ask> {
    let issue = (vec((0..3u8, 0..3u64), 0..3), vec(0..6u8, 0..3), -2_000..40_000i64);
    prop_oneof![
        5 => issue.prop_map(|(generations, single_use, lifetime)| Ask::Issue { generations, single_use, lifetime }),
        1 => vec(0..3u8, 1..3).prop_map(Ask::End),
    ]
}

fn step(faulty: bool) -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(Fault::Key),
        Just(Fault::Begin),
        Just(Fault::Apply),
        Just(Fault::FlushLost),
        Just(Fault::FlushLanded),
        Just(Fault::Open)
    ];
    prop_oneof![
        6 => vec(ask(), 1..9).prop_map(Step::Together),
        2 => (-1_500..30_000i64).prop_map(Step::Clock),
        1 => Just(Step::Restart),
        (if faulty { 2 } else { 0 }) => (fault, 1..3u32).prop_map(|(fault, times)| Step::Fail(fault, times)),
    ]
}

/// The answers that the commit owes, one command after the other.
#[derive(Default)]
struct Model {
    records: u64,
    newest: i64,
    /// No time before it is the present.
    floor: i64,
    lives: BTreeMap<u8, u64>,
    spent: BTreeMap<u8, i64>,
    /// Those that a start finds: they are forgotten with the first record after they were in memory.
    stored: BTreeMap<u8, i64>,
}

/// Values expire a minute after the start, so that some of them do within a history.
const EXPIRES: i64 = START + 60_000;

/// From then on they are forgotten.
const FORGOTTEN: i64 = EXPIRES + 1_000;

impl Model {
    fn answer(&mut self, ask: &Ask, clock: i64) -> Result<Option<u64>, CommitReason> {
        let now = clock.max(self.floor);
        if now >= FORGOTTEN && !self.spent.is_empty() {
            self.spent.clear();
            self.floor = now;
        }
        match ask {
            // What is named twice ends once.
            Ask::End(ids) => {
                let distinct: BTreeSet<u8> = ids.iter().copied().collect();
                distinct.into_iter().for_each(|id| *self.lives.entry(id).or_default() += 1);
            }
            Ask::Issue { generations, single_use, lifetime } => {
                self.judge(generations, single_use, clock + lifetime, clock)?;
                self.spent.extend(single_use.iter().map(|id| (*id, EXPIRES)));
            }
        }
        (self.newest, self.floor, self.stored) = (now, now, self.spent.clone());
        self.records += 1;
        Ok(matches!(ask, Ask::Issue { .. }).then_some(self.records - 1))
    }

    fn judge(&self, generations: &[(u8, u64)], single_use: &[u8], deadline: i64, clock: i64) -> Result<(), CommitReason> {
        let now = clock.max(self.floor);
        if self.floor - clock > 1_000 {
            return Err(CommitReason::ClockBehind);
        }
        if !single_use.is_empty() && EXPIRES <= now {
            return Err(CommitReason::Expired);
        }
        let distinct: BTreeSet<_> = single_use.iter().collect();
        if distinct.len() < single_use.len() || single_use.iter().any(|id| self.spent.contains_key(id)) {
            return Err(CommitReason::Spent);
        }
        if deadline <= now {
            return Err(CommitReason::Expired);
        }
        let ended = generations.iter().any(|(id, number)| self.lives.get(id).copied().unwrap_or(0) != *number);
        if ended { Err(CommitReason::Died) } else { Ok(()) }
    }
}

type Answer = Result<Option<Receipt>, CommitReason>;

fn asked(commit: &Commit, ask: &Ask, id: u8, clock: i64) -> JoinHandle<Answer> {
    let commit = commit.clone();
    match ask.clone() {
        Ask::End(ids) => tokio::spawn(async move { commit.end(death(&ids)).await.map(|()| None) }),
        Ask::Issue { generations, single_use, lifetime } => {
            let mut wanted = issue(id, &[], &single_use);
            let generation = |(id, number)| Generation { key: GenerationKey([id; 16]), number };
            wanted.generations = generations.into_iter().map(generation).collect();
            wanted.deadline = Time::from_millis(clock + lifetime);
            tokio::spawn(async move { commit.submit(wanted).await.map(Some) })
        }
    }
}

async fn together(commit: &Commit, asks: &[Ask], next: &mut u8, clock: i64) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut tasks = Vec::new();
    for ask in asks {
        *next = next.wrapping_add(1);
        tasks.push(asked(commit, ask, *next, clock));
    }
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_answer_is_the_models(steps in vec(step(false), 1..30)) {
        let rig = Rig::new();
        let (mut commit, mut model, mut next) = (rig.start(), Model::default(), 0);
        block_on(async {
            for step in &steps {
                let clock = rig.clock.now().millis();
                match step {
                    Step::Together(asks) => {
                        let expected: Vec<_> = asks.iter().map(|ask| model.answer(ask, clock)).collect();
                        let answers = together(&commit, asks, &mut next, clock).await;
                        let index = |answer: Answer| answer.map(|receipt| receipt.map(|receipt| receipt.index()));
                        assert_eq!(answers.into_iter().map(index).collect::<Vec<_>>(), expected);
                    }
                    Step::Clock(by) => rig.step(*by),
                    Step::Restart => {
                        commit.close().await;
                        commit = rig.start();
                        (model.floor, model.spent) = (model.newest, model.stored.clone());
                    }
                    Step::Fail(..) => {}
                }
            }
            let lives = commit.state().generations(&[0, 1, 2].map(|id| GenerationKey([id; 16])));
            let numbers: Vec<u64> = lives.iter().map(|life| life.number).collect();
            assert_eq!(numbers, [0, 1, 2].map(|id| model.lives.get(&id).copied().unwrap_or(0)));
        });
        prop_assert_eq!(rig.disk.rows().len() as u64, model.records);
    }

    #[test]
    fn whatever_fails_no_receipt_is_without_its_record(steps in vec(step(true), 1..30)) {
        let rig = Rig::new();
        let (mut commit, mut next, mut receipts) = (rig.start(), 0, Vec::new());
        block_on(async {
            for step in &steps {
                let clock = rig.clock.now().millis();
                match step {
                    Step::Together(asks) => {
                        let answers = together(&commit, asks, &mut next, clock).await;
                        receipts.extend(answers.into_iter().filter_map(|answer| answer.ok().flatten()));
                    }
                    Step::Clock(by) => rig.step(*by),
                    Step::Restart => {
                        rig.faults.heal();
                        commit.close().await;
                        commit = rig.start();
                    }
                    Step::Fail(fault, times) => rig.faults.set(*fault, *times),
                }
            }
            rig.faults.heal();
            commit.close().await;
        });
        assert_told(&rig, &receipts);
    }
}

/// Every receipt names a durable record of its own; every hop without a receipt is withheld. (That indexes and values are used
/// once, and that time runs forwards, the store itself asserts.)
fn assert_told(rig: &Rig, receipts: &[Receipt]) {
    let rows = rig.disk.rows();
    let mut told = BTreeSet::new();
    for receipt in receipts {
        let row = &rows[usize::try_from(receipt.index()).unwrap()];
        assert_eq!((row.jti, Digest::of(&row.record)), (Some(receipt.jti()), receipt.record()));
        assert!(told.insert(receipt.index()), "one index, one receipt");
    }
    for row in &rows {
        if let Record::Withheld(withheld) = Record::parse(&row.record).unwrap() {
            assert!(told.insert(withheld.index), "withheld once, and only without a receipt");
        }
    }
    let hops = rows.iter().filter(|row| Record::parse(&row.record).unwrap().kind() == Kind::Hop);
    assert!(hops.map(|row| row.index).eq(told), "every hop has a receipt or is withheld");
}
