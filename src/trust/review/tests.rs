#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use super::*;
use crate::keys::Reach;

fn reviewer() -> Reviewer {
    let api = Url::parse("https://rancher.example/k8s/clusters/c-1/").unwrap();
    Reviewer::new(ReviewSource { api, reach: Reach::default() })
}

#[test]
fn one_workload_leaves_as_many_places_as_it_takes() {
    let reviewer = reviewer();
    let mut held: Vec<_> = std::iter::from_fn(|| reviewer.slot("greedy")).collect();
    assert_eq!(held.len(), IN_FLIGHT_MAX / 2);
    let others: Vec<_> = (0..IN_FLIGHT_MAX).filter_map(|number| reviewer.slot(&format!("other-{number}"))).collect();
    assert_eq!(others.len(), IN_FLIGHT_MAX / 2, "each of the others has one");
    assert!(reviewer.slot("late").is_none() && reviewer.slot("greedy").is_none());
    held.clear();
    assert!(reviewer.slot("late").is_some());
    drop(others);
    assert!(lock(&reviewer.in_flight).is_empty(), "all places are given back");
}

#[test]
fn a_good_verdict_counts_for_two_seconds_and_few_are_remembered() {
    let (reviewer, now) = (reviewer(), Time::from_seconds(1_800_000_000));
    let token = |number: usize| Digest::of(&number.to_be_bytes());
    reviewer.remember(token(0), token(7), now);
    assert_eq!(reviewer.known(token(0), now.plus(Duration::from_millis(1999))), Some(token(7)));
    assert_eq!(reviewer.known(token(0), now.plus(RECENT)), None);
    assert_eq!(reviewer.known(token(0), now.before(Duration::from_secs(1))), None, "the clock was set back");
    assert_eq!(reviewer.known(token(1), now), None);
    (0..3 * RECENT_MAX).for_each(|number| reviewer.remember(token(number), token(7), now));
    assert!(lock(&reviewer.recent).len() <= RECENT_MAX);
}

#[test]
fn the_api_may_stand_below_a_path() {
    let expected = "https://rancher.example/k8s/clusters/c-1/apis/authentication.k8s.io/v1/tokenreviews";
    assert_eq!(address(&reviewer().source.api).as_str(), expected);
}
