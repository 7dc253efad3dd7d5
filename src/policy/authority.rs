//! What the subject token gives, before policy has its say: the targets of a request and the scopes within reach on each of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::grant::{Denial, TargetDenial};
use crate::catalog::{Api, Catalog};
use crate::lifecycle::AdmittedExchange;
use crate::oauth::{Resource, Scope, Scopes, ScopesOnApi};
use crate::request::ExchangeRequest;
use crate::token::{IssuedClaims, Origin};

/// The APIs that a request is for: every `resource` and `audience`, or the audience of our own subject token.
///
/// # Errors
/// RFC 8693 §2.2.2: a target that cannot be told, that nobody registered, or several that do not form one group.
pub(super) fn targets(
    catalog: &Catalog,
    standing: &AdmittedExchange,
    request: &ExchangeRequest,
) -> Result<Vec<Arc<Api>>, Denial> {
    let mut found: Vec<Arc<Api>> = Vec::new();
    for resource in request.resources() {
        add(&mut found, catalog.api(resource), TargetDenial::UnknownResource)?;
    }
    for audience in request.audiences() {
        add(&mut found, catalog.api_named(audience), TargetDenial::UnknownAudience)?;
    }
    if found.is_empty() {
        for held in standing.subject().own().iter().flat_map(|own| &own.held) {
            add(&mut found, catalog.api(&held.api), TargetDenial::Gone)?;
        }
    }
    match found.as_slice() {
        [] => Err(Denial::target(TargetDenial::Missing)),
        [_] => Ok(found),
        [first, rest @ ..] if first.group.is_some() && rest.iter().all(|api| api.group == first.group) => Ok(found),
        _ => Err(Denial::target(TargetDenial::Several)),
    }
}

fn add(found: &mut Vec<Arc<Api>>, api: Option<&Arc<Api>>, otherwise: TargetDenial) -> Result<(), Denial> {
    let api = api.ok_or_else(|| Denial::target(otherwise))?;
    if found.iter().all(|known| known.id != api.id) {
        found.push(api.clone());
    }
    Ok(())
}

/// The scopes of `api` that the subject token could give: authority(in), as far as it concerns this API. Unknown means none.
pub(super) fn reachable(api: &Api, standing: &AdmittedExchange) -> Scopes {
    match standing.subject().origin() {
        Origin::Own(own) => within_task(api, own, within_history(api, own, held_or_derived(api, own))),
        Origin::Task(own, _) => within_task(api, own, within_history(api, own, declared(api, own))),
        Origin::User { .. } | Origin::Attestation { .. } => {
            let declared: Scopes = api.scopes.keys().cloned().collect();
            let mapped = |ceiling: &[ScopesOnApi]| {
                let here = ceiling.iter().filter(|held| held.api == api.id);
                here.fold(Scopes::default(), |all, held| all.union(&held.scopes)).intersection(&declared)
            };
            standing.subject().scope_limit().map_or_else(|| declared.clone(), mapped)
        }
    }
}

/// What the ceiling gives on the API, as far as the API still declares it.
fn declared(api: &Api, own: &IssuedClaims) -> Scopes {
    let held = own.held.iter().filter(|held| held.api == api.id).flat_map(|held| held.scopes.iter());
    held.filter(|scope| api.scopes.contains_key(*scope)).cloned().collect()
}

/// In a task never more than its ceiling, and no scope that by now touches data of another class, whatever the way to it.
fn within_task(api: &Api, own: &IssuedClaims, scopes: Scopes) -> Scopes {
    let Some(task) = &own.task else { return scopes };
    let capped = scopes.intersection(&task.authority_on(&api.id));
    let touches = |class: &String| task.data_classes.contains(class);
    let allowed = |scope: &&Scope| api.scopes.get(*scope).is_some_and(|info| info.data.iter().all(touches));
    capped.iter().filter(allowed).cloned().collect()
}

/// What is held on the API, and one declared step from what is held elsewhere; never what the API no longer declares.
fn held_or_derived(api: &Api, own: &IssuedClaims) -> Scopes {
    let held = own.held.iter().filter(|held| held.api == api.id).flat_map(|held| held.scopes.iter());
    let edges = api.derive.iter().filter(|edge| holds(&own.held, &edge.from_api, &edge.from_scope)).map(|edge| &edge.to);
    held.chain(edges).filter(|scope| api.scopes.contains_key(*scope)).cloned().collect()
}

fn holds(held: &[ScopesOnApi], api: &Resource, scope: &Scope) -> bool {
    held.iter().any(|held| held.api == *api && held.scopes.contains(scope))
}

/// On an API that is already in the chain never more than was held there.
fn within_history(api: &Api, own: &IssuedClaims, scopes: Scopes) -> Scopes {
    own.history.iter().filter(|held| held.api == api.id).fold(scopes, |left, held| left.intersection(&held.scopes))
}

/// What is asked of one API.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) api: Arc<Api>,
    pub(super) reachable: Scopes,
    /// The scopes asked for that are within reach: named by the request, or else the API's defaults.
    pub(super) within: Scopes,
    /// The scopes of this API that the request names and that are out of reach.
    pub(super) beyond: Scopes,
}

impl Ask {
    /// # Errors
    /// When nothing at all is within reach on the API.
    pub(super) fn new(api: Arc<Api>, standing: &AdmittedExchange, request: &ExchangeRequest) -> Result<Self, Denial> {
        let reachable = reachable(&api, standing);
        if reachable.is_empty() {
            return Err(Denial::target(TargetDenial::Unreachable));
        }
        let (within, beyond) = match request.scope() {
            None => (api.default_scopes.intersection(&reachable), Scopes::default()),
            Some(asked) => {
                let declared: Scopes = asked.iter().filter(|scope| api.scopes.contains_key(*scope)).cloned().collect();
                (declared.intersection(&reachable), declared.difference(&reachable))
            }
        };
        Ok(Self { api, reachable, within, beyond })
    }
}

/// How many of the scopes that the request names no target declares.
pub(super) fn undeclared(asks: &[Ask], request: &ExchangeRequest) -> usize {
    let declared: BTreeSet<&Scope> = asks.iter().flat_map(|ask| ask.api.scopes.keys()).collect();
    request.scope().map_or(0, |asked| asked.iter().filter(|scope| !declared.contains(scope)).count())
}
