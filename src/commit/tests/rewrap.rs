//! Another root key: every key of a subject is wrapped under it, step by step, whatever happens between.

use super::memory::Fault;
use super::*;
use crate::commit::contract::{SealedDisclosures, StoreReason};
use crate::crypto::{Digest, SealKey};

/// More than two pages.
const SUBJECTS: u8 = 150;

/// The root key that is made of the first of these bytes, after those of the others.
fn root(bytes: &[u8]) -> RootKey {
    let key = |byte: &u8| SealKey::new(&[*byte; 32]).unwrap();
    let ids = bytes.iter().flat_map(|byte| keys(*byte).root.ids).collect();
    RootKey { key: Arc::new(key(&bytes[0]).after(bytes[1..].iter().map(key).collect())), ids }
}

fn of(id: u8) -> RecordHop {
    let disclosed = Disclosed { subject: GenerationKey([id; 16]), values: Zeroizing::new(vec![id]) };
    RecordHop { disclosed, ..issue(id, &[], &[]) }
}

/// A commit on a store with keys of subjects under the root key 1.
fn filled(rig: &Rig) -> Commit {
    let commit = rig.start();
    for id in 0..SUBJECTS {
        block_on(commit.submit(of(id))).unwrap();
    }
    commit
}

fn start(rig: &Rig, bytes: &[u8]) -> Result<Commit, StoreReason> {
    let store = MemoryStore::new(&rig.disk, &rig.faults);
    let keys = CommitKeys { root: root(bytes), ..keys(1) };
    Commit::start(Box::new(store), rig.clock.clone(), keys, rig.limits.clone())
}

/// The steps to the root key 2, one of which is the last.
async fn step(commit: &Commit, step: RewrapStep) -> Result<Option<RewrapStep>, CommitReason> {
    let done = commit.rewrap(step.clone()).await?;
    assert_eq!(done.damaged, 0);
    Ok(match step {
        RewrapStep::Take(_) if !done.others => None,
        RewrapStep::Take(_) => Some(RewrapStep::Page(None)),
        RewrapStep::Page(_) if done.last.is_some() => Some(RewrapStep::Page(done.last)),
        RewrapStep::Page(_) => Some(RewrapStep::Settle),
        RewrapStep::Settle => None,
    })
}

/// At most so many steps. Returns how many there were.
fn steps(commit: &Commit, first: RewrapStep, most: usize) -> usize {
    let (mut next, mut count) = (Some(first), 0);
    while let Some(one) = next.take().filter(|_| count < most) {
        next = block_on(step(commit, one)).unwrap();
        count += 1;
    }
    count
}

/// How many records disclose under the root key alone, and how many have something to disclose.
fn readable(rig: &Rig, bytes: &[u8]) -> (usize, usize) {
    let (root, rows) = (root(bytes).key, rig.disk.rows());
    let sealed = rows.iter().filter_map(|row| Some((row, rig.disk.sealed(row.index)?)));
    let opens = |(row, (subject, sealed)): (&contract::Stored, (GenerationKey, Vec<u8>))| {
        let Some(wrapped_key) = rig.disk.key(subject) else { return false };
        reveal(&root, &Digest::of(&row.record), &SealedDisclosures { subject, wrapped_key, sealed }).is_ok()
    };
    (sealed.clone().filter(|one| opens(one.clone())).count(), sealed.count())
}

#[test]
fn all_keys_are_wrapped_under_the_next_root_key_while_hops_are_recorded() {
    let rig = Rig::new();
    let commit = filled(&rig);
    let erased = GenerationKey([3; 16]);
    rig.disk.content().keys().remove(&erased);
    let (mut next, mut id) = (Some(RewrapStep::Take(root(&[2, 1]))), SUBJECTS);
    while let Some(one) = next {
        next = block_on(step(&commit, one)).unwrap();
        // Of a new subject, and of a known one.
        block_on(commit.submit(of(id))).unwrap();
        block_on(commit.submit(RecordHop { disclosed: of(id - 1).disclosed, ..of(id + 50) })).unwrap();
        let (all, of) = readable(&rig, &[2, 1]);
        assert_eq!(all, of - 1, "whatever was disclosed is readable at every moment");
        id += 1;
    }
    let (under_the_new, of) = readable(&rig, &[2]);
    assert_eq!(under_the_new, of - 1);
    assert_eq!(rig.disk.key(erased), None, "it stays erased");
    assert_eq!(rig.disk.content().roots(), root(&[2]).ids);
    assert_eq!(block_on(commit.rewrap(RewrapStep::Take(root(&[2])))).unwrap(), RewrapProgress::default(), "nothing is left");
    block_on(commit.submit(of_known(4))).unwrap();
}

fn of_known(id: u8) -> RecordHop {
    RecordHop { disclosed: of(id).disclosed, ..of(id + 240) }
}

#[test]
fn a_crash_between_any_two_steps_loses_no_key_and_the_next_start_finishes() {
    let total = {
        let rig = Rig::new();
        steps(&filled(&rig), RewrapStep::Take(root(&[2, 1])), usize::MAX)
    };
    assert!(total > 4, "several pages");
    for crash in 0..=total {
        let rig = Rig::new();
        steps(&filled(&rig), RewrapStep::Take(root(&[2, 1])), crash);
        assert_eq!(readable(&rig, &[2, 1]).0, usize::from(SUBJECTS), "after {crash} steps");
        let commit = start(&rig, &[2, 1]).unwrap();
        block_on(commit.submit(of_known(5))).unwrap();
        steps(&commit, RewrapStep::Take(root(&[2, 1])), usize::MAX);
        assert_eq!(readable(&rig, &[2]).0, usize::from(SUBJECTS) + 1, "after {crash} steps");
        drop(commit);
        start(&rig, &[2]).unwrap();
    }
}

#[test]
fn a_store_that_fails_at_any_step_goes_on_and_so_do_the_steps() {
    for fault in [Fault::Roots, Fault::Rewrap, Fault::Begin] {
        let rig = Rig::new();
        let commit = filled(&rig);
        let (mut next, mut failed) = (RewrapStep::Take(root(&[2, 1])), 0);
        loop {
            rig.faults.set(fault, 1);
            let mut done = block_on(step(&commit, next.clone()));
            rig.faults.heal();
            failed += usize::from(done.is_err());
            block_on(until_async("the step is done", async || {
                if done.is_err() {
                    done = step(&commit, next.clone()).await;
                }
                done.is_ok()
            }));
            let Some(after) = done.unwrap() else { break };
            next = after;
        }
        assert!(failed > 0, "{fault:?}");
        block_on(commit.submit(of_known(6))).unwrap();
        assert_eq!(readable(&rig, &[2]).0, usize::from(SUBJECTS) + 1, "{fault:?}");
    }
}

#[test]
fn a_start_without_a_root_key_that_wraps_is_refused() {
    let rig = Rig::new();
    let commit = filled(&rig);
    block_on(commit.close());
    let refused = |bytes: &[u8]| match start(&rig, bytes) {
        Err(StoreReason::Roots(ids)) => ids,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[2]), root(&[1]).ids);
    let commit = start(&rig, &[2, 1]).unwrap();
    block_on(commit.close());
    assert_eq!(refused(&[2]), root(&[1]).ids, "nothing was wrapped anew yet");
    let commit = start(&rig, &[2, 1]).unwrap();
    let before = rig.disk.content().clone();
    steps(&commit, RewrapStep::Take(root(&[2, 1])), usize::MAX);
    block_on(commit.close());
    assert_eq!(refused(&[1]), root(&[2]).ids);
    start(&rig, &[2]).unwrap();
    // The copy of before, put back when the root key 1 is destroyed.
    *rig.disk.content() = before;
    assert_eq!(refused(&[2]), root(&[1]).ids);
}

#[test]
fn a_damaged_key_is_told_and_keeps_no_other_from_being_wrapped_anew() {
    let rig = Rig::new();
    let commit = filled(&rig);
    rig.disk.content().keys().get_mut(&GenerationKey([7; 16])).unwrap()[20] ^= 1;
    assert!(block_on(commit.rewrap(RewrapStep::Take(root(&[2, 1])))).unwrap().others);
    let first = block_on(commit.rewrap(RewrapStep::Page(None))).unwrap();
    assert_eq!((first.damaged, first.rewrapped, first.last), (1, 63, Some(GenerationKey([63; 16]))));
    let again = block_on(commit.rewrap(RewrapStep::Page(None))).unwrap();
    assert_eq!((again.damaged, again.rewrapped), (1, 0), "what was wrapped anew is left alone");
}
