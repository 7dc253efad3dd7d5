//! What the server should do, by brute force over plain sets and nothing of the server's code.

use std::collections::{BTreeMap, BTreeSet};

use super::universe::{AgentPlan, ApiPlan, IDP, ISSUER, LIFETIME, LIFETIME_MAX, Universe};

pub type Scopes = BTreeSet<String>;

/// An actor: who named it, and its name there.
pub type Actor = (String, String);

/// What is presented.
pub enum Subject<'a> {
    /// An ID token.
    Foreign { azp: String, exp: i64, chain: Vec<Actor>, may_act: Option<Actor> },
    /// One of our tokens.
    Own(&'a Link),
}

/// What is asked.
pub struct Request<'a> {
    pub agent: &'a str,
    pub subject: Subject<'a>,
    pub targets: Vec<String>,
    pub scopes: Option<Scopes>,
    pub narrow: bool,
    pub impersonate: bool,
}

/// What should come out, or came out: one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub held: BTreeMap<String, Scopes>,
    /// The least ever held on each API of the chain.
    pub history: BTreeMap<String, Scopes>,
    /// Whole, current actor first.
    pub chain: Vec<Actor>,
    pub client: String,
    pub depth: usize,
    pub exp: i64,
}

/// The token that this request should get, or why it should get none.
pub fn expect(universe: &Universe, request: &Request<'_>, now: i64) -> Result<Link, &'static str> {
    let client = universe.agent(request.agent);
    let (before, exp, depth) = match &request.subject {
        Subject::Foreign { chain, exp, .. } => (chain.clone(), *exp, 1),
        Subject::Own(link) => (link.chain.clone(), link.exp, link.depth + 1),
    };
    if exp <= now {
        return Err("expired");
    }
    may_present(universe, request, client)?;
    let acts = (ISSUER.to_owned(), client.id.clone());
    let chain = match before.first() == Some(&acts) || request.impersonate {
        true => before.clone(),
        false => [vec![acts], before].concat(),
    };
    let inactive = |(iss, name): &Actor| iss == ISSUER && !universe.agent(name).active;
    let asked_before = matches!(&request.subject, Subject::Own(link) if !universe.agent(&link.client).active);
    if !client.active || asked_before || chain.iter().any(inactive) {
        return Err("inactive");
    }
    if depth.max(chain.len()) > universe.depth_max {
        return Err("deep");
    }
    let (held, lifetime) = authority(universe, request, depth)?;
    let mut history = match &request.subject {
        Subject::Foreign { .. } => BTreeMap::new(),
        Subject::Own(link) => link.history.clone(),
    };
    history.extend(held.clone());
    Ok(Link { held, history, chain, client: client.id.clone(), depth, exp: exp.min(now + lifetime) })
}

fn may_present(universe: &Universe, request: &Request<'_>, client: &AgentPlan) -> Result<(), &'static str> {
    let ours = (ISSUER.to_owned(), client.id.clone());
    match &request.subject {
        Subject::Foreign { azp, chain, may_act, .. } => {
            if *azp != client.foreign() {
                return Err("presenter");
            }
            let names = |(iss, name): &Actor| match iss.as_str() {
                "" => *name == client.id || *name == client.foreign(),
                ISSUER => *name == client.id,
                IDP => *name == client.foreign(),
                _ => false,
            };
            if may_act.as_ref().is_some_and(|actor| !names(actor)) {
                return Err("may_act");
            }
            let limited = !chain.is_empty() || may_act.is_some();
            if request.impersonate && limited { Err("impersonation of a delegated token") } else { Ok(()) }
        }
        Subject::Own(link) => {
            let of_api = link.held.keys().any(|api| universe.api(api).agent.as_ref() == Some(&client.id));
            if link.client != client.id && link.chain.first() != Some(&ours) && !of_api {
                return Err("presenter");
            }
            let delegated = request.impersonate && !link.chain.is_empty();
            if delegated { Err("impersonation of a delegated token") } else { Ok(()) }
        }
    }
}

/// What is granted on each API, and for how long at most.
fn authority(universe: &Universe, request: &Request<'_>, depth: usize) -> Result<(BTreeMap<String, Scopes>, i64), &'static str> {
    let targets: Vec<String> = match (&request.subject, request.targets.is_empty()) {
        (Subject::Own(_), true) => sent(universe, request).into_keys().collect(),
        _ => request.targets.clone(),
    };
    let apis: BTreeMap<&str, &ApiPlan> = targets.iter().map(|id| (id.as_str(), universe.api(id))).collect();
    if apis.is_empty() || (apis.len() > 1 && !apis.values().all(|api| api.group)) {
        return Err("target");
    }
    let (mut held, mut lifetime) = (BTreeMap::new(), LIFETIME_MAX);
    let mut known = Scopes::new();
    let mut short = false;
    for (id, api) in &apis {
        let within = within(universe, api, request);
        let asked = request.scopes.clone().unwrap_or_else(|| api.defaults.intersection(&within).cloned().collect());
        let asked: Scopes = asked.intersection(&api.scopes).cloned().collect();
        let mut granted = Scopes::new();
        for scope in asked.intersection(&within) {
            if let Some(limit) = permitted(universe, request, (id, scope), depth) {
                granted.insert(scope.clone());
                lifetime = limit.map_or(lifetime, |limit| lifetime.min(limit));
            }
        }
        lifetime = lifetime.min(api.lifetime.unwrap_or(LIFETIME));
        known.extend(api.scopes.iter().cloned());
        short |= granted.len() < asked.len();
        if granted.is_empty() {
            return Err("nothing on a target");
        }
        held.insert((*id).to_owned(), granted);
    }
    let unknown = request.scopes.as_ref().is_some_and(|scopes| !scopes.is_subset(&known));
    let too_wide = request.scopes.is_some() && !request.narrow && (short || unknown);
    if too_wide { Err("scope") } else { Ok((held, lifetime)) }
}

/// The authority of our own subject token as far as it counts for whoever presents it: who is neither its client nor its actor
/// was sent it as an API, and has the part of that API only.
fn sent(universe: &Universe, request: &Request<'_>) -> BTreeMap<String, Scopes> {
    let Subject::Own(link) = &request.subject else { return BTreeMap::new() };
    let ours = (ISSUER.to_owned(), request.agent.to_owned());
    let all = link.client == request.agent || link.chain.first() == Some(&ours);
    let counts = |api: &String| all || universe.api(api).agent.as_deref() == Some(request.agent);
    link.held.iter().filter(|(api, _)| counts(api)).map(|(api, scopes)| (api.clone(), scopes.clone())).collect()
}

/// What the subject token can give on an API.
fn within(universe: &Universe, api: &ApiPlan, request: &Request<'_>) -> Scopes {
    let Subject::Own(link) = &request.subject else { return api.scopes.clone() };
    let sent = sent(universe, request);
    let mut within = sent.get(&api.id).cloned().unwrap_or_default();
    for (from, scope, to) in &api.derive {
        if sent.get(from).is_some_and(|held| held.contains(scope)) {
            within.insert(to.clone());
        }
    }
    if let Some(before) = link.history.get(&api.id) {
        within.retain(|scope| before.contains(scope));
    }
    within
}

/// Whether policy permits the scope, and for how long at most if it says.
fn permitted(universe: &Universe, request: &Request<'_>, (api, scope): (&str, &str), depth: usize) -> Option<Option<i64>> {
    let agent = universe.agent(request.agent);
    let action = if request.impersonate { "impersonate" } else { "exchange" };
    let applies = universe.policies.iter().filter(|policy| {
        policy.action.is_none_or(|known| known == action)
            && policy.agent.as_ref().is_none_or(|known| *known == agent.id)
            && policy.team.as_ref().is_none_or(|known| *known == agent.team)
            && policy.api.as_ref().is_none_or(|known| known == api)
            && policy.scope.as_ref().is_none_or(|known| known == scope)
            && policy.depth_most.is_none_or(|most| depth <= most)
    });
    let (permits, forbids): (Vec<_>, Vec<_>) = applies.partition(|policy| policy.permit);
    let shortest = permits.iter().filter_map(|policy| policy.lifetime).min();
    (!permits.is_empty() && forbids.is_empty()).then_some(shortest)
}
