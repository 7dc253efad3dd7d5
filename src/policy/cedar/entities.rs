//! Entities and values as the engine has them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::catalog::{Agent, Api, ScopeInfo};
use crate::oauth::{Scope, Time};
use crate::policy::context::{PolicyValue, UsedAttributes};
use crate::policy::input::PolicyInput;

/// The types of entities that questions are made of; reading a name costs as much as a small policy.
static KINDS: LazyLock<Vec<EntityTypeName>> = LazyLock::new(|| KIND_NAMES.iter().filter_map(|kind| kind.parse().ok()).collect());
const KIND_NAMES: [&str; 9] = ["Action", "Agent", "Api", "Intent", "Numbers", "Scope", "Sets", "Subject", "Team"];

pub(super) fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    let kind = KINDS.iter().find(|known| known.basename() == kind)?.clone();
    Some(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// The intent and its numbers: there is one of each in a question.
pub(super) fn stated_uids() -> Option<[EntityUid; 2]> {
    Some([uid("Intent", "stated")?, uid("Numbers", "stated")?])
}

pub(super) fn scope_uid(api: &Api, scope: &Scope) -> Option<EntityUid> {
    uid("Scope", &format!("{} {scope}", api.id))
}

pub(super) fn agent_entity(agent: &Agent) -> Option<Entity> {
    let attributes = [("owner", PolicyValue::Text(&agent.owner)), ("kind", PolicyValue::Text(agent.kind.as_str()))];
    Entity::new(uid("Agent", agent.id.as_str())?, named(attributes)?, HashSet::from([uid("Team", &agent.team)?])).ok()
}

pub(super) fn scope_entity(api: &Api, scope: &Scope, info: &ScopeInfo) -> Option<Entity> {
    let data = PolicyValue::Set(info.data.iter().map(|class| class.as_str().into()).collect());
    let attributes = named([("data", data), ("effect", PolicyValue::Text(info.effect.as_str()))])?;
    Entity::new(scope_uid(api, scope)?, attributes, HashSet::from([uid("Api", api.id.as_str())?])).ok()
}

fn named<'a>(values: impl IntoIterator<Item = (&'a str, PolicyValue<'a>)>) -> Option<HashMap<String, RestrictedExpression>> {
    values.into_iter().map(|(name, value)| Some((name.to_owned(), expression(value)?))).collect()
}

/// The subject, whose tags are texts, and its sets, whose tags are sets: those only where a policy mentions them.
pub(super) fn subject(request: &impl PolicyInput, used: UsedAttributes) -> Option<Vec<Entity>> {
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let id = request.subject_id();
    let held = if used.contains_sets() { Some(uid("Sets", id)?) } else { None };
    let tags: BTreeMap<&str, &str> = request.texts().collect();
    let tags = tags.into_iter().map(|(name, value)| (name.to_owned(), text(value)));
    let sets = held.iter().map(|held| ("sets".to_owned(), RestrictedExpression::new_entity_uid(held.clone())));
    let attributes = request.subject().map(|(name, value)| (name.to_owned(), text(value))).into_iter().chain(sets);
    let subject = Entity::new_with_tags(uid("Subject", id)?, attributes, [], tags).ok()?;
    let sets = held.map(|held| sets_of(request, held));
    std::iter::once(Some(subject)).chain(sets).collect()
}

fn sets_of(request: &impl PolicyInput, held: EntityUid) -> Option<Entity> {
    let mut sets = BTreeMap::<&str, Vec<RestrictedExpression>>::new();
    for (name, member) in request.members() {
        sets.entry(name).or_default().push(RestrictedExpression::new_string(member.to_owned()));
    }
    let sets = sets.into_iter().map(|(name, members)| (name.to_owned(), RestrictedExpression::new_set(members)));
    Entity::new_with_tags(held, [], [], sets).ok()
}

pub(super) fn expression(value: PolicyValue<'_>) -> Option<RestrictedExpression> {
    let text = |value: String| RestrictedExpression::new_string(value);
    Some(match value {
        PolicyValue::Text(value) => text(value.to_owned()),
        PolicyValue::Name(value) => text(value),
        PolicyValue::Set(values) => RestrictedExpression::new_set(values.into_iter().map(|value| text(value.into_owned()))),
        PolicyValue::Number(value) => RestrictedExpression::new_long(value),
        PolicyValue::Flag(value) => RestrictedExpression::new_bool(value),
        PolicyValue::Instant(value) => RestrictedExpression::new_datetime(instant(value)?),
        PolicyValue::Intent => RestrictedExpression::new_entity_uid(stated_uids()?.into_iter().next()?),
        PolicyValue::Subject(value) => RestrictedExpression::new_entity_uid(uid("Subject", value)?),
    })
}

/// The instant in whole seconds, as the engine's `datetime` reads it.
fn instant(time: Time) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(time.seconds()).ok()?.format(&Rfc3339).ok()
}
