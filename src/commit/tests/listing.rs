//! Status lists: what is registered with a hop, and what the lists say after everything that can happen to it.

use std::collections::HashSet;

use super::*;
use crate::catalog::StatusBits;
use crate::lifecycle::status::{PLACES, TAKEN_MAX};
use crate::oauth::{Resource, StatusPlace};

pub(super) const EXPIRES: i64 = START + 60_000;

pub(super) fn api() -> Resource {
    Resource::parse("https://crm.example").unwrap()
}

/// A hop that depends on life 0 of `generations` and stands in a list.
pub(crate) fn listed(commit: &Commit, id: u8, bits: StatusBits, generations: &[u8]) -> (RecordHop, StatusPlace) {
    let place = commit.status_lists().reserve((&api(), bits), Time::from_millis(EXPIRES), ShareKey::NOBODY).unwrap();
    let at = place.place();
    let issue = issue(id, generations, &[]);
    let registration = Registration {
        place,
        expires: Time::from_millis(EXPIRES),
        share: ShareKey::NOBODY,
        generations: issue.generations.clone(),
    };
    let status = Some(Box::new(registration));
    (RecordHop { status, ..issue }, at)
}

/// The status that the list shows there; none if there is no such list.
pub(super) fn told(commit: &Commit, place: StatusPlace) -> Option<u8> {
    let shown = commit.status_lists().shown(&place.list)?;
    let width = u32::from(shown.key.bits.count());
    let byte = shown.bytes[(place.index * width / 8) as usize];
    Some(byte >> (place.index * width % 8) & ((1 << width) - 1))
}

fn holding(turn: Transition, id: u8) -> StatusChange {
    StatusChange { turn, things: death(&[id]).ends, by: ClientId::parse("ops").unwrap(), reason: "told so".into() }
}

#[test]
fn a_list_says_of_each_token_what_became_of_it() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        let (first, one) = listed(&commit, 1, StatusBits::One, &[1, 2]);
        let (second, two) = listed(&commit, 2, StatusBits::Two, &[2, 3]);
        let (third, other) = listed(&commit, 3, StatusBits::Two, &[4]);
        for issue in [first, second, third] {
            commit.submit(issue).await.unwrap();
        }
        assert_eq!([one, two, other].map(|place| told(&commit, place)), [Some(0); 3]);
        commit.hold(holding(Transition::Suspend, 2), vec![]).await.unwrap();
        eventually(|| (told(&commit, one), told(&commit, two)) == (Some(1), Some(2))).await;
        commit.hold(holding(Transition::Resume, 2), vec![]).await.unwrap();
        eventually(|| (told(&commit, one), told(&commit, two)) == (Some(0), Some(0))).await;
        commit.end(death(&[3])).await.unwrap();
        eventually(|| told(&commit, two) == Some(1)).await;
        assert_eq!((told(&commit, one), told(&commit, other)), (Some(0), Some(0)), "others live");
        // What the files hold is told as suspended.
        commit.status_lists().hold(HashSet::from([GenerationKey([4; 16])]));
        eventually(|| told(&commit, other) == Some(2)).await;
        commit.status_lists().hold(HashSet::new());
        eventually(|| told(&commit, other) == Some(0)).await;
    });
}

#[test]
fn a_list_tells_of_a_task_that_time_has_ended_and_not_of_one_that_was_kept_alive() {
    // Time alone must be enough: the writer is not to record the end before the list is looked at.
    let mut rig = Rig::new();
    rig.limits.sweep = std::time::Duration::from_hours(1);
    let commit = rig.start();
    block_on(async {
        let heartbeat = Some(std::time::Duration::from_secs(10));
        let terms = TaskTerms { heartbeat, ..super::tasks::terms(7, 3, 50_000, None, &[1]) };
        let task = terms.id;
        commit.submit(opened(7, &[1], terms)).await.unwrap();
        let (issue, place) = listed(&commit, 1, StatusBits::One, &[1, 7]);
        commit.submit(issue).await.unwrap();
        let looked = || commit.status_lists().checked() == rig.clock.now();
        rig.step(6_000);
        commit.beat(task, ShareKey::NOBODY, Vec::new()).await.unwrap();
        rig.step(6_000);
        eventually(looked).await;
        assert_eq!(told(&commit, place), Some(0), "the heartbeat came");
        rig.step(4_000);
        eventually(|| told(&commit, place) == Some(1)).await;
    });
}

#[test]
fn lists_are_made_again_from_the_store() {
    let rig = Rig::new();
    let commit = rig.start();
    let (dead, living) = block_on(async {
        let (first, dead) = listed(&commit, 1, StatusBits::One, &[1]);
        let (second, living) = listed(&commit, 2, StatusBits::One, &[2]);
        commit.submit(first).await.unwrap();
        commit.submit(second).await.unwrap();
        commit.end(death(&[1])).await.unwrap();
        commit.close().await;
        (dead, living)
    });
    let commit = rig.start();
    // Nobody waits for the first look.
    assert_eq!((told(&commit, dead), told(&commit, living)), (Some(1), Some(0)));
    assert_eq!(commit.status_lists().len(), 2);
    for _ in 0..1000 {
        let place = commit
            .status_lists()
            .reserve((&api(), StatusBits::One), Time::from_millis(EXPIRES), ShareKey::NOBODY)
            .unwrap()
            .place();
        assert!(place != dead && place != living, "a place is given once");
    }
}

#[test]
fn a_token_that_was_issued_while_its_parent_died_is_told_as_dead() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        let mut count = 0;
        for round in 0..50u8 {
            let (issue, place) = listed(&commit, round, StatusBits::One, &[round + 1]);
            let (issued, ended) = tokio::join!(commit.submit(issue), commit.end(death(&[round + 1])));
            ended.unwrap();
            if issued.is_ok() {
                count += 1;
                eventually(|| told(&commit, place) == Some(1)).await;
            }
        }
        assert!(count > 0, "none was issued before its parent died");
    });
}

#[test]
fn a_place_is_free_again_only_when_its_hop_was_not_recorded() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        commit.end(death(&[1])).await.unwrap();
        let (refused, place) = listed(&commit, 1, StatusBits::One, &[1]);
        assert_eq!(commit.submit(refused).await.unwrap_err(), CommitReason::Died);
        assert_eq!((commit.status_lists().len(), told(&commit, place)), (0, Some(0)));
        // Of a whole list, three quarters are given; then the next part begins.
        let register = commit.status_lists();
        let places: Vec<ReservedPlace> = (0..=TAKEN_MAX)
            .map(|_| register.reserve((&api(), StatusBits::One), Time::from_millis(EXPIRES), ShareKey::NOBODY).unwrap())
            .collect();
        let distinct: HashSet<StatusPlace> = places.iter().map(ReservedPlace::place).collect();
        assert_eq!(distinct.len(), places.len());
        assert!(distinct.iter().all(|place| place.index < PLACES));
        let in_first = distinct.iter().filter(|other| other.list == place.list).count();
        assert_eq!((in_first, register.all().len()), (TAKEN_MAX as usize, 2));
        drop(places);
        let again = register.reserve((&api(), StatusBits::One), Time::from_millis(EXPIRES), ShareKey::NOBODY).unwrap();
        assert_eq!(again.place().list, place.list);
    });
}

#[test]
fn what_has_expired_is_forgotten_with_its_list() {
    let rig = Rig::new();
    let commit = rig.start();
    block_on(async {
        let (issue, place) = listed(&commit, 1, StatusBits::One, &[1]);
        commit.submit(issue).await.unwrap();
        eventually(|| commit.status_lists().len() == 1).await;
        // A minute of leeway after the token's expiry its dependencies go, after that of the window the list.
        rig.step(60_000 + 60_000 + 1_000);
        eventually(|| commit.status_lists().is_empty()).await;
        assert_eq!(told(&commit, place), Some(0));
        rig.step(15 * 60_000 + 60_000);
        eventually(|| commit.status_lists().all().is_empty()).await;
    });
}

#[test]
fn there_is_a_limit_to_what_is_remembered() {
    let mut rig = Rig::new();
    rig.limits.status = 1;
    let commit = rig.start();
    block_on(async {
        let (issue, _) = listed(&commit, 1, StatusBits::One, &[1]);
        commit.submit(issue).await.unwrap();
        let more = commit.status_lists().reserve((&api(), StatusBits::One), Time::from_millis(EXPIRES), ShareKey::NOBODY);
        assert_eq!(more.unwrap_err(), CommitReason::Full(Capacity::StatusTokens, 121));
    });
}

#[test]
fn what_is_in_force_is_remembered() {
    let rig = Rig::new();
    let commit = rig.start();
    assert_eq!(commit.in_force(), None);
    let known = std::collections::BTreeSet::from([contract::ConfiguredPrincipal::Agent(ClientId::parse("a").unwrap())]);
    block_on(async {
        commit.remember(known.clone(), None).await.unwrap();
        commit.close().await;
    });
    let commit = rig.start();
    assert_eq!(commit.in_force(), Some(known.clone()));
    block_on(async {
        rig.faults.set(memory::Fault::FlushLost, 1);
        assert_eq!(commit.remember(std::collections::BTreeSet::new(), None).await, Err(CommitReason::Unavailable));
        eventually(|| commit.in_force().as_ref() == Some(&known)).await;
    });
}
