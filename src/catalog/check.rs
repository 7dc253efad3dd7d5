//! What only shows when agents, APIs and trust rules are seen together.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::time::Duration;

use super::{Agent, Api, CatalogComplaint, CatalogReason, ConstraintRequirement, Filed, Place, Unknown};
use crate::oauth::{ClientId, Resource, RuleName, Scope};

/// Every contradiction, agents first.
pub(super) fn all(agents: &[Filed<Agent>], apis: &[Filed<Api>], rules: &[RuleName]) -> Vec<CatalogComplaint> {
    let mut view = View { agents, apis, rules, complaints: Vec::new() };
    view.agents_once();
    agents.iter().for_each(|agent| view.agent(agent));
    view.names_once();
    apis.iter().for_each(|api| view.api(api));
    view.groups();
    view.complaints
}

struct View<'a> {
    agents: &'a [Filed<Agent>],
    apis: &'a [Filed<Api>],
    rules: &'a [RuleName],
    complaints: Vec<CatalogComplaint>,
}

impl View<'_> {
    fn agents_once(&mut self) {
        let mut first: HashMap<&ClientId, Place> = HashMap::new();
        for agent in self.agents {
            let (id, place) = (&agent.entry.id, agent.places.of("id"));
            match first.get(id) {
                Some(there) => self.complain(place, CatalogReason::AgentTwice(id.clone(), there.clone())),
                None => drop(first.insert(id, place)),
            }
        }
    }

    fn agent(&mut self, agent: &Filed<Agent>) {
        let id = &agent.entry.id;
        if *id == ClientId::operators() || *id == ClientId::server() {
            self.complain(agent.places.of("id"), CatalogReason::AgentReserved(id.clone()));
        }
        let prefix = id.as_str().split_once(':').map(|(prefix, _)| prefix);
        if let Some(rule) = self.rules.iter().find(|rule| Some(rule.as_str()) == prefix) {
            self.complain(agent.places.of("id"), CatalogReason::AgentLikeSubject(id.clone(), rule.clone()));
        }
        for (position, (rule, _)) in agent.entry.foreign_clients.iter().enumerate() {
            if !self.rules.contains(rule) {
                let place = agent.places.of(&format!("foreign_clients/{position}/trust"));
                let reason = CatalogReason::NoRule(rule.clone());
                self.unknown(place, reason, rule, self.rules.iter().map(ToString::to_string).collect());
            }
        }
    }

    fn names_once(&mut self) {
        let mut ids: HashMap<&str, &Filed<Api>> = HashMap::new();
        for api in self.apis {
            match ids.get(api.entry.id.as_str()) {
                Some(first) => {
                    let reason = CatalogReason::ApiTwice(api.entry.id.clone(), first.places.of("id"));
                    self.complain(api.places.of("id"), reason);
                }
                None => drop(ids.insert(api.entry.id.as_str(), api)),
            }
        }
        for api in self.apis {
            for (position, name) in api.entry.names.iter().enumerate() {
                let holder = *ids.entry(name.as_str()).or_insert(api);
                if holder.entry.id != api.entry.id {
                    let reason = CatalogReason::NameTaken(name.as_str().to_owned(), holder.entry.id.clone());
                    self.complain(api.places.of(&format!("names/{position}")), reason);
                }
            }
        }
    }

    fn api(&mut self, api: &Filed<Api>) {
        if let Some(agent) = api.entry.agent.as_ref().filter(|id| !self.has_agent(id)) {
            let known = self.agents.iter().map(|agent| agent.entry.id.to_string()).collect();
            self.unknown(api.places.of("agent"), CatalogReason::NoAgent(agent.clone()), agent, known);
        }
        if !Api::TYPS.contains(&api.entry.typ.as_str()) {
            self.complain(api.places.of("typ"), CatalogReason::Typ);
        }
        if api.entry.lifetime.is_some_and(|lifetime| lifetime < Duration::from_secs(1)) {
            self.complain(api.places.of("lifetime"), CatalogReason::NoLifetime);
        }
        for scope in api.entry.default_scopes.iter() {
            self.scope_of(api, scope, api.places.of(&format!("default_scopes/{scope}")));
        }
        (0..api.entry.derive.len()).for_each(|position| self.derive(api, position));
    }

    fn derive(&mut self, api: &Filed<Api>, position: usize) {
        let Some(derive) = api.entry.derive.get(position) else { return };
        let place = |field: &str| api.places.of(&format!("derive/{position}/{field}"));
        self.scope_of(api, &derive.to, place("to"));
        if derive.from_api == api.entry.id {
            return self.complain(place("from/api"), CatalogReason::DeriveFromSelf);
        }
        let apis = self.apis;
        match apis.iter().find(|from| from.entry.id == derive.from_api) {
            Some(from) => self.scope_of(from, &derive.from_scope, place("from/scope")),
            None => {
                let reason = CatalogReason::NoApi(derive.from_api.clone());
                let known = apis.iter().map(|api| api.entry.id.to_string()).collect();
                self.unknown(place("from/api"), reason, &derive.from_api, known);
            }
        }
    }

    fn groups(&mut self) {
        let mut groups: BTreeMap<&str, Vec<&Filed<Api>>> = BTreeMap::new();
        for api in self.apis {
            if let Some(group) = &api.entry.group {
                groups.entry(group).or_default().push(api);
            }
        }
        for (group, members) in groups {
            self.group_scopes(group, &members);
            self.group_tokens(group, &members);
            self.group_bindings(group, &members);
        }
    }

    fn group_scopes(&mut self, group: &str, members: &[&Filed<Api>]) {
        let mut holders: HashMap<&Scope, &Resource> = HashMap::new();
        for api in members {
            for scope in api.entry.scopes.keys() {
                let holder = *holders.entry(scope).or_insert(&api.entry.id);
                if *holder != api.entry.id {
                    let reason = CatalogReason::ScopeTaken(scope.clone(), group.to_owned(), holder.clone());
                    self.complain(api.places.of(&format!("scopes/{scope}")), reason);
                }
            }
        }
    }

    fn group_tokens(&mut self, group: &str, members: &[&Filed<Api>]) {
        let Some((first, others)) = members.split_first() else { return };
        for api in others {
            let (this, that) = (&api.entry, &first.entry);
            let differs = [
                ("signing_alg", this.signing_alg != that.signing_alg),
                ("typ", this.typ != that.typ),
                ("chain", this.chain != that.chain),
                ("status_list", this.status_list != that.status_list),
            ];
            for (field, _) in differs.into_iter().filter(|(_, differs)| *differs) {
                let reason = CatalogReason::GroupDiffers(field, group.to_owned(), that.id.clone());
                self.complain(api.places.of(field), reason);
            }
        }
    }

    /// A token cannot be both never bound and always bound.
    fn group_bindings(&mut self, group: &str, members: &[&Filed<Api>]) {
        let of = |constraint| move |api: &&&Filed<Api>| api.entry.sender_constraint == constraint;
        let Some(bearer) = members.iter().find(of(ConstraintRequirement::None)) else { return };
        for api in members.iter().filter(of(ConstraintRequirement::Required)) {
            let reason = CatalogReason::GroupDiffers("sender_constraint", group.to_owned(), bearer.entry.id.clone());
            self.complain(api.places.of("sender_constraint"), reason);
        }
    }

    fn has_agent(&self, id: &ClientId) -> bool {
        self.agents.iter().any(|agent| agent.entry.id == *id)
    }

    fn scope_of(&mut self, api: &Filed<Api>, scope: &Scope, place: Place) {
        if !api.entry.scopes.contains_key(scope) {
            let known = api.entry.scopes.keys().map(ToString::to_string).collect();
            self.unknown(place, CatalogReason::NoScope(scope.clone(), api.entry.id.clone()), scope, known);
        }
    }

    fn complain(&mut self, place: Place, reason: CatalogReason) {
        self.complaints.push(CatalogComplaint { place, reason, unknown: None });
    }

    fn unknown(&mut self, place: Place, reason: CatalogReason, name: impl Display, known: Vec<String>) {
        let unknown = Some(Unknown { name: name.to_string(), known });
        self.complaints.push(CatalogComplaint { place, reason, unknown });
    }
}
