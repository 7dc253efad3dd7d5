//! Policies that can never apply, permits that demand nothing, and forbids that a request can go around: told from their
//! texts, by what they come to for every basis, depth and action that there is.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cedar::truth::{Datum, GivenValues, holds, numbers, reads};
use super::cedar::{Action, ParsedPolicy};
use super::decide::action;
use super::index::PolicyHead;
use super::vocabulary::{Domain, Vocabulary};
use crate::oauth::{CHAIN_DEPTH_CEILING, ExchangeMode};

/// As many combinations of values are looked at for one policy; beyond them nothing is said of it.
const COMBINATIONS_MAX: usize = 4096;

/// A policy with its JSON form.
pub(super) struct PolicyForm<'a> {
    pub(super) policy: &'a ParsedPolicy,
    json: Value,
}

/// An attribute, by the paths at which it is read, and the values that it can have.
type Axis = (&'static [&'static str], Vec<Datum>);

impl<'a> PolicyForm<'a> {
    pub(super) fn of(policy: &'a ParsedPolicy) -> Self {
        Self { policy, json: policy.form() }
    }

    /// True for a permit of everything to everybody.
    pub(super) fn permits_all(&self) -> bool {
        let PolicyHead { principal, resource, .. } = &self.policy.head;
        let demands = principal.is_some() || resource.is_some() || holds(&self.json, &GivenValues::new()) != Some(true);
        self.policy.permits && !demands
    }

    /// True where its conditions hold for no value of what they read.
    pub(super) fn never_applies(&self) -> bool {
        let mut combinations = vec![GivenValues::new()];
        for (paths, values) in self.axes() {
            if combinations.len().saturating_mul(values.len()) > COMBINATIONS_MAX {
                return false;
            }
            let with = |given: &GivenValues, value: &Datum| {
                let mut given = given.clone();
                given.extend(paths.iter().map(|path| (*path, value.clone())));
                given
            };
            combinations = combinations.iter().flat_map(|given| values.iter().map(move |value| with(given, value))).collect();
        }
        combinations.iter().all(|given| holds(&self.json, given) == Some(false))
    }

    /// The attributes that it reads of those whose values are known beforehand.
    fn axes(&self) -> Vec<Axis> {
        let deepest = i64::try_from(CHAIN_DEPTH_CEILING).unwrap_or(i64::MAX);
        let words = |domain: Domain| domain.words().into_iter().map(|word| Datum::Text(word.to_owned())).collect();
        let bases = self.modes().map(|mode| Datum::Text(mode.as_str().to_owned())).collect();
        let axes: [Axis; 7] = [
            (&["context.basis"], bases),
            (&["context.effect", "resource.effect"], words(Domain::Effect)),
            (&["context.destination"], words(Domain::Destination)),
            (&["context.binding"], words(Domain::Binding)),
            (&["context.subject.kind"], words(Domain::SubjectKind)),
            (&["context.depth"], self.numbers(1, deepest)),
            (&["context.auth_age"], self.numbers(0, i64::MAX)),
        ];
        let approved: Axis = (&["context.approved"], vec![Datum::Flag(false), Datum::Flag(true)]);
        axes.into_iter().chain([approved]).filter(|(paths, _)| paths.iter().any(|path| reads(&self.json, path))).collect()
    }

    /// The numbers between these bounds that its conditions can tell apart.
    fn numbers(&self, least: i64, most: i64) -> Vec<Datum> {
        let written = numbers(&self.json).into_iter().flat_map(|at| [at.saturating_sub(1), at, at.saturating_add(1)]);
        let all: BTreeSet<i64> = written.chain([least, most]).filter(|at| (least..=most).contains(at)).collect();
        all.into_iter().map(Datum::Number).collect()
    }

    /// The modes of exchange that its head admits.
    fn modes(&self) -> impl Iterator<Item = ExchangeMode> {
        let others = Action::ALL.into_iter().filter(|action| !Action::ISSUING.contains(action)).any(|action| self.admits(action));
        ExchangeMode::ALL.into_iter().filter(move |mode| others || self.admits(action(*mode)))
    }

    fn admits(&self, action: Action) -> bool {
        self.policy.head.actions.as_ref().is_none_or(|actions| actions.contains(&action.entity()))
    }

    /// True where it may apply to an exchange in that mode, given the other values.
    fn may_apply(&self, mode: ExchangeMode, others: &[(&'static str, Datum)]) -> bool {
        let mut given = GivenValues::from_iter(others.iter().cloned());
        given.insert("context.basis", Datum::Text(mode.as_str().to_owned()));
        given.insert("action", Datum::Text(action(mode).entity()));
        self.admits(action(mode)) && holds(&self.json, &given) != Some(false)
    }

    /// True where it may apply to that action, whatever the basis.
    fn may_apply_to(&self, action: Action) -> bool {
        let given = GivenValues::from([("action", Datum::Text(action.entity()))]);
        self.admits(action) && holds(&self.json, &given) != Some(false)
    }

    fn may_apply_in_any(&self, others: &[(&'static str, Datum)]) -> bool {
        ExchangeMode::ALL.into_iter().any(|mode| self.may_apply(mode, others))
    }
}

/// The ways around a forbid that one of `permits` leaves open, each as a sentence.
pub(super) fn ways_around(forbid: &PolicyForm<'_>, permits: &[PolicyForm<'_>], vocabulary: &Vocabulary) -> Vec<String> {
    if forbid.policy.permits {
        return Vec::new();
    }
    let meeting = || permits.iter().filter(|permit| meet(&permit.policy.head, &forbid.policy.head, vocabulary));
    let by_mode = around_by_mode(forbid, |mode| opened(meeting(), |permit| permit.may_apply(mode, &[])));
    let by_hand_over = around_by_hand_over(forbid, || opened(meeting(), |permit| permit.may_apply_to(Action::HandOver)));
    let by_depth = around_by_depth(forbid, vocabulary.depth_max, |depth| {
        opened(meeting(), |permit| permit.may_apply_in_any(&[("context.depth", depth.clone())]))
    });
    by_mode.into_iter().chain(by_hand_over).chain(by_depth).collect()
}

/// The id of the first of these permits that lets it through.
fn opened<'a>(mut permits: impl Iterator<Item = &'a PolicyForm<'a>>, lets: impl Fn(&PolicyForm<'_>) -> bool) -> Option<String> {
    permits.find(|permit| lets(permit)).map(|permit| permit.policy.id().to_owned())
}

/// Whoever may not come by another's token can come by its own of before, or through a task; or as the subject itself.
fn around_by_mode(forbid: &PolicyForm<'_>, open: impl Fn(ExchangeMode) -> Option<String>) -> Vec<String> {
    use ExchangeMode::{Continuation, Delegation, Impersonation};
    let told = |mode: ExchangeMode, why: &str| {
        let goes_around = forbid.may_apply(Delegation, &[]) && !forbid.may_apply(mode, &[]);
        let permit = goes_around.then(|| open(mode)).flatten()?;
        Some(format!("it forbids nothing {why}, where {permit} permits; cover that too, or say @allow_bypass(\"why\")"))
    };
    let continuation = told(Continuation, "where context.basis is \"continuation\", as for a token of before and in tasks");
    let impersonation = told(Impersonation, "where the action is impersonate");
    [continuation, impersonation].into_iter().flatten().collect()
}

/// What leaves for another authorization server is asked about by an action of its own.
fn around_by_hand_over(forbid: &PolicyForm<'_>, open: impl Fn() -> Option<String>) -> Option<String> {
    let goes_around = forbid.may_apply_to(Action::Exchange) && !forbid.may_apply_to(Action::HandOver);
    let permit = goes_around.then(open).flatten()?;
    Some(format!(
        "it forbids nothing where the action is hand_over, where {permit} permits; cover that too, or say @allow_bypass(\"why\")"
    ))
}

/// One hop more, and it does not apply.
fn around_by_depth(forbid: &PolicyForm<'_>, depth_max: u32, open: impl Fn(&Datum) -> Option<String>) -> Option<String> {
    if !reads(&forbid.json, "context.depth") {
        return None;
    }
    let depths = forbid.numbers(1, i64::from(depth_max));
    let applies = |depth: &Datum| forbid.may_apply_in_any(&[("context.depth", depth.clone())]);
    let first = depths.iter().position(applies)?;
    let (depth, permit) = depths.iter().skip(first).filter(|depth| !applies(depth)).find_map(|it| Some((it, open(it)?)))?;
    let Datum::Number(depth) = depth else { return None };
    Some(format!(
        "it forbids nothing at depth {depth}, where {permit} permits: one more hop goes around it; leave depth out, or say \
         @allow_bypass(\"why\")"
    ))
}

/// True where some request can meet both heads.
fn meet(one: &PolicyHead, other: &PolicyHead, vocabulary: &Vocabulary) -> bool {
    let meet = |one: &Option<String>, other: &Option<String>| match (one, other) {
        (Some(one), Some(other)) => one == other || is_in(one, other, vocabulary) || is_in(other, one, vocabulary),
        _ => true,
    };
    meet(&one.principal, &other.principal) && meet(&one.resource, &other.resource)
}

/// True where the first entity is in the second: an agent in its team, a scope in its API.
fn is_in(inner: &str, outer: &str, vocabulary: &Vocabulary) -> bool {
    let id = |entity: &str, kind: &str| Some(entity.strip_prefix(kind)?.strip_prefix("::\"")?.strip_suffix('"')?.to_owned());
    match (id(inner, "Agent"), id(outer, "Team"), id(inner, "Scope"), id(outer, "Api")) {
        (Some(agent), Some(team), ..) => vocabulary.teams.get(&agent) == Some(&team),
        (_, _, Some(scope), Some(api)) => scope.split_once(' ').is_some_and(|(of, _)| of == api),
        _ => false,
    }
}
