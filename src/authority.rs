//! authority(in): the targets of a request, and the scopes that the subject token gives on each of them before policy has its
//! say (promise 2). It reads the admitted exchange, the catalog and the request, and nothing else.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::catalog::{Agent, Api, Catalog};
use crate::lifecycle::AdmittedExchange;
use crate::oauth::{Resource, Scope, Scopes, ScopesOnApi, TokenType};
use crate::request::RequestedToken;
use crate::token::{IssuedClaims, Origin};

/// The APIs that a token is asked for, at least one and several only of one group, each with authority within reach. Made only
/// by [`targets`].
#[derive(Debug)]
pub struct Targets(Vec<Target>);

/// One API of the audience, and the scopes asked for on it.
#[derive(Debug)]
pub struct Target {
    api: Arc<Api>,
    reachable: Scopes,
    within: Scopes,
    beyond: Scopes,
}

/// No target can be told, or nothing is within reach on it: `invalid_target` (RFC 8693 §2.2.2). `Display` is the public
/// sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityReason {
    /// A `resource` that is no API's id.
    UnknownResource,
    /// An `audience` that is no API's name or id.
    UnknownAudience,
    /// No target, and neither the subject token nor the client's file says one.
    Missing,
    /// No target, and the one that the subject token says is no longer registered.
    Gone,
    /// Several targets that are not one group.
    Several,
    /// The subject token gives nothing on a target.
    Unreachable,
    /// An access token is asked for, for an API whose access tokens another authorization server issues.
    Elsewhere,
    /// An identity assertion grant is asked for without one `audience`.
    ServerMissing,
    /// An identity assertion grant is asked for, for an authorization server that no API names.
    UnknownServer,
    /// Several APIs stand behind the authorization server, and no `resource` says which.
    ResourceMissing,
    /// The client has no id at that authorization server.
    NoClientThere,
}

/// Resolves every `resource` and `audience` of `request`, or without one the targets that are [`implied`] by what is presented,
/// and computes the scopes within reach on each.
///
/// # Errors
/// See [`AuthorityReason`].
pub fn targets(
    catalog: &Catalog,
    admitted: &AdmittedExchange,
    request: &RequestedToken,
    implied: &[Resource],
) -> Result<Targets, AuthorityReason> {
    let handed_over = request.token_type() == TokenType::IdJag;
    let apis = if handed_over {
        behind(catalog, request)?
    } else if request.names_target() {
        named(catalog, request)?
    } else {
        unnamed(catalog, implied)?
    };
    one_group(apis)?.into_iter().map(|api| Target::new(api, admitted, request)).collect::<Result<_, _>>().map(Targets)
}

/// The API behind the authorization server that `audience` names by its issuer identifier: the one that `resource` says, or the
/// only one (draft-ietf-oauth-identity-assertion-authz-grant, Token Exchange).
fn behind(catalog: &Catalog, request: &RequestedToken) -> Result<Vec<Arc<Api>>, AuthorityReason> {
    let [audience] = request.audiences() else { return Err(AuthorityReason::ServerMissing) };
    let behind = catalog.apis_behind(audience.as_str());
    if behind.is_empty() {
        return Err(AuthorityReason::UnknownServer);
    }
    match (request.resources(), behind.as_slice()) {
        ([], [only]) => Ok(vec![Arc::clone(only)]),
        ([], _) => Err(AuthorityReason::ResourceMissing),
        ([one], behind) => {
            let named = catalog.api_at(one).filter(|api| behind.iter().any(|known| known.id == api.id));
            named.map(|api| vec![Arc::clone(api)]).ok_or(AuthorityReason::UnknownResource)
        }
        _ => Err(AuthorityReason::Several),
    }
}

fn named(catalog: &Catalog, request: &RequestedToken) -> Result<Vec<Arc<Api>>, AuthorityReason> {
    let mut apis = Vec::new();
    for resource in request.resources() {
        add(&mut apis, catalog.api_at(resource).ok_or(AuthorityReason::UnknownResource)?);
    }
    for audience in request.audiences() {
        add(&mut apis, catalog.api_named(audience).ok_or(AuthorityReason::UnknownAudience)?);
    }
    Ok(apis)
}

fn unnamed(catalog: &Catalog, implied: &[Resource]) -> Result<Vec<Arc<Api>>, AuthorityReason> {
    let mut apis = Vec::new();
    for id in implied {
        add(&mut apis, catalog.api(id).ok_or(AuthorityReason::Gone)?);
    }
    Ok(apis)
}

/// The ids of the APIs that a request of `agent` without a target is for: those that its subject token is `presented_for`. Where
/// there are none, or they are all the agent's own, the one API that declares every scope that is asked for, where scopes may
/// say it, or else the default target of the agent's file.
pub fn implied(catalog: &Catalog, agent: &Agent, presented_for: Vec<Resource>, request: &RequestedToken) -> Vec<Resource> {
    let own = |id: &Resource| catalog.api(id).is_some_and(|api| api.agent.as_ref() == Some(&agent.id));
    if !presented_for.iter().all(own) {
        return presented_for;
    }
    let by_scope = request.scope_for_target().and_then(|asked| catalog.api_with(asked)).map(|api| &api.id);
    by_scope.or(agent.default_target.as_ref()).map_or(presented_for, |id| vec![id.clone()])
}

fn add(apis: &mut Vec<Arc<Api>>, api: &Arc<Api>) {
    if apis.iter().all(|known| known.id != api.id) {
        apis.push(Arc::clone(api));
    }
}

fn one_group(apis: Vec<Arc<Api>>) -> Result<Vec<Arc<Api>>, AuthorityReason> {
    match apis.as_slice() {
        [] => Err(AuthorityReason::Missing),
        [_] => Ok(apis),
        [first, rest @ ..] if first.group.is_some() && rest.iter().all(|api| api.group == first.group) => Ok(apis),
        _ => Err(AuthorityReason::Several),
    }
}

/// The scopes of `api` that the subject token could give: authority(in) on this API. Unknown means none.
pub fn reachable(api: &Api, admitted: &AdmittedExchange) -> Scopes {
    match admitted.subject().origin() {
        Origin::Own(own) => within_task(api, own, within_history(api, own, held_or_derived(api, admitted.held()))),
        Origin::Task(own, _) => within_task(api, own, within_history(api, own, declared(api, own))),
        Origin::IdJag { resources, scope, .. } => handed(api, resources, scope.as_ref()),
        Origin::User { .. } | Origin::Attestation { .. } | Origin::Client { .. } => {
            let limit = admitted.subject().scope_limit();
            let mapped = |scope: &&Scope| limit.is_none_or(|limit| holds(limit, &api.id, scope));
            api.scopes.keys().filter(mapped).cloned().collect()
        }
    }
}

/// What an identity assertion grant gives on the API: nothing where it is for others, and without `scope` the API's defaults, as
/// a request without it (RFC 6749 §3.3).
fn handed(api: &Api, resources: &[Resource], scope: Option<&Scopes>) -> Scopes {
    if !(resources.is_empty() || resources.iter().any(|resource| api.is_meant_by(resource))) {
        return Scopes::default();
    }
    let given = scope.unwrap_or(&api.default_scopes);
    given.iter().filter(|scope| api.scopes.contains_key(*scope)).cloned().collect()
}

/// The scopes of the task's authority on the API, as far as the API still declares them.
fn declared(api: &Api, own: &IssuedClaims) -> Scopes {
    ScopesOnApi::on(&own.held, &api.id).filter(|scope| api.scopes.contains_key(*scope)).cloned().collect()
}

/// In a task never more than its authority, and no scope that by now touches data of another class, whatever the way to it.
fn within_task(api: &Api, own: &IssuedClaims, scopes: Scopes) -> Scopes {
    let Some(task) = &own.task else { return scopes };
    let capped = scopes.intersection(&task.authority_on(&api.id));
    let touches = |class: &String| task.data_classes.contains(class);
    let allowed = |scope: &&Scope| api.scopes.get(*scope).is_some_and(|info| info.data.iter().all(touches));
    capped.iter().filter(allowed).cloned().collect()
}

/// The scopes held on the API, and one declared step from those held elsewhere; never one that the API no longer declares.
fn held_or_derived(api: &Api, held: &[ScopesOnApi]) -> Scopes {
    let edges = api.derive.iter().filter(|edge| holds(held, &edge.from_api, &edge.from_scope)).map(|edge| &edge.to);
    let held = ScopesOnApi::on(held, &api.id);
    held.chain(edges).filter(|scope| api.scopes.contains_key(*scope)).cloned().collect()
}

fn holds(held: &[ScopesOnApi], api: &Resource, scope: &Scope) -> bool {
    held.iter().any(|held| held.api == *api && held.scopes.contains(scope))
}

/// On an API that is already in the chain never more than was held there.
fn within_history(api: &Api, own: &IssuedClaims, scopes: Scopes) -> Scopes {
    own.history.iter().filter(|held| held.api == api.id).fold(scopes, |left, held| left.intersection(&held.scopes))
}

impl Targets {
    /// The targets, in the order in which the request names them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Target> {
        self.0.iter()
    }

    /// The APIs, in the same order.
    pub fn into_apis(self) -> Vec<Arc<Api>> {
        self.0.into_iter().map(|target| target.api).collect()
    }

    /// The scopes in `asked` that no target declares.
    pub fn undeclared<'a>(&self, asked: &'a Scopes) -> Vec<&'a Scope> {
        let declared: BTreeSet<&Scope> = self.iter().flat_map(|target| target.api.scopes.keys()).collect();
        asked.iter().filter(|scope| !declared.contains(scope)).collect()
    }
}

impl Target {
    /// # Errors
    /// `Unreachable` when no scope at all is within reach on the API.
    fn new(api: Arc<Api>, admitted: &AdmittedExchange, request: &RequestedToken) -> Result<Self, AuthorityReason> {
        match (&api.authorization_server, request.token_type()) {
            (Some(_), TokenType::AccessToken) => return Err(AuthorityReason::Elsewhere),
            (Some(server), _) if !server.clients.contains_key(&admitted.client().agent().id) => {
                return Err(AuthorityReason::NoClientThere);
            }
            _ => {}
        }
        let reachable = reachable(&api, admitted);
        if reachable.is_empty() {
            return Err(AuthorityReason::Unreachable);
        }
        let (within, beyond) = match request.scope() {
            // A grant that says its scopes was asked for with them.
            None if matches!(admitted.subject().origin(), Origin::IdJag { .. }) => (reachable.clone(), Scopes::default()),
            None => (api.default_scopes.intersection(&reachable), Scopes::default()),
            Some(asked) => {
                let declared: Scopes = asked.iter().filter(|scope| api.scopes.contains_key(*scope)).cloned().collect();
                (declared.intersection(&reachable), declared.difference(&reachable))
            }
        };
        Ok(Self { api, reachable, within, beyond })
    }

    /// The API.
    pub fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// The scopes asked for that are within reach: named by the request, or else the API's defaults.
    pub fn within(&self) -> &Scopes {
        &self.within
    }

    /// The scopes of this API that the request names and that are out of reach.
    pub fn beyond(&self) -> &Scopes {
        &self.beyond
    }

    /// The scopes within reach that are not asked for.
    pub fn unrequested(&self) -> Scopes {
        self.reachable.difference(&self.within)
    }
}

impl fmt::Display for AuthorityReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownResource => "resource is neither the id of a registered API nor one of its names",
            Self::UnknownAudience => "audience is not the name or id of a registered API",
            Self::Missing => {
                "resource or audience is required: this subject_token does not say where to, nor do the scopes asked for, nor \
                 default_target in the file of the agent"
            }
            Self::Gone => "the audience of subject_token is no longer registered; name a target by resource or audience",
            Self::Several => "resource and audience name APIs that may not share a token; ask for one token each",
            Self::Elsewhere => {
                "resource or audience: another authorization server issues the access tokens of this API; ask for \
                 urn:ietf:params:oauth:token-type:id-jag with audience = its issuer identifier"
            }
            Self::ServerMissing => "audience is required once: the issuer identifier of the other authorization server",
            Self::UnknownServer => "audience is the issuer identifier of no authorization server that an API here names",
            Self::ResourceMissing => "resource is required: several APIs stand behind that authorization server",
            Self::NoClientThere => {
                "audience: this client is none of that authorization server; have it listed in [authorization_server] clients of \
                 the file of the API"
            }
            Self::Unreachable => "resource or audience: subject_token gives no authority on this target",
        })
    }
}
