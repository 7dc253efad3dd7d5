//! Contradictions that only show when agents, APIs and trust rules are seen together.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::agent::Agent;
use super::api::{Api, ConstraintRequirement, common_form};
use crate::diagnostic::{Declared, Diagnostic, NameKind, SourceLocation};
use crate::oauth::{ClientId, Resource, RuleName, Scope};

/// Every contradiction, agents first.
pub(super) fn all(agents: &[Declared<Agent>], apis: &[Declared<Api>], rules: &[RuleName]) -> Vec<Diagnostic> {
    let mut check = CatalogCheck { agents, apis, rules, found: Vec::new() };
    check.agents_once();
    agents.iter().for_each(|agent| {
        check.agent(agent);
        check.default_target(agent);
    });
    check.names_once();
    check.forms_once();
    apis.iter().for_each(|api| check.api(api));
    check.groups();
    check.found
}

struct CatalogCheck<'a> {
    agents: &'a [Declared<Agent>],
    apis: &'a [Declared<Api>],
    rules: &'a [RuleName],
    found: Vec<Diagnostic>,
}

impl CatalogCheck<'_> {
    fn agents_once(&mut self) {
        let mut first: HashMap<&ClientId, SourceLocation> = HashMap::new();
        for agent in self.agents {
            let (id, location) = (&agent.entry.id, agent.locations.of("id"));
            match first.get(id) {
                Some(there) => self.error(location, format!("agent \"{id}\" is registered already{}", elsewhere(there))),
                None => drop(first.insert(id, location)),
            }
        }
    }

    fn agent(&mut self, agent: &Declared<Agent>) {
        let id = &agent.entry.id;
        if *id == ClientId::operators() || *id == ClientId::server() {
            let sentence = format!("agent id \"{id}\" has a meaning of its own in the records; choose another");
            self.error(agent.locations.of("id"), sentence);
        }
        let prefix = id.as_str().split_once(':').map(|(prefix, _)| prefix);
        if let Some(rule) = self.rules.iter().find(|rule| Some(rule.as_str()) == prefix) {
            let sentence =
                format!("agent id \"{id}\" begins with \"{rule}:\" and could be taken for a subject of trust rule \"{rule}\"");
            self.error(agent.locations.of("id"), sentence);
        }
        for (position, (rule, _)) in agent.entry.foreign_clients.iter().enumerate() {
            if !self.rules.contains(rule) {
                let location = agent.locations.of(&format!("foreign_clients/{position}/trust"));
                let known = self.rules.iter().map(RuleName::as_str);
                let sentence = format!("there is no trust rule \"{rule}\"");
                self.unknown((NameKind::TrustRule, rule.as_str()), location, sentence, known);
            }
        }
    }

    fn default_target(&mut self, agent: &Declared<Agent>) {
        let Some(wanted) = &agent.entry.default_target else { return };
        let apis = self.apis;
        let known = || apis.iter().map(|api| api.entry.id.as_str());
        if known().all(|id| id != wanted.as_str()) {
            let sentence = format!("there is no API \"{wanted}\"");
            self.unknown((NameKind::Api, wanted.as_str()), agent.locations.of("default_target"), sentence, known());
        }
    }

    fn names_once(&mut self) {
        let mut ids: HashMap<&str, &Declared<Api>> = HashMap::new();
        for api in self.apis {
            let id = api.entry.id.as_str();
            match ids.get(id) {
                Some(first) => {
                    let first = elsewhere(&first.locations.of("id"));
                    self.error(api.locations.of("id"), format!("API \"{id}\" is registered already{first}"));
                }
                None => drop(ids.insert(id, api)),
            }
        }
        for api in self.apis {
            for (position, name) in api.entry.names.iter().enumerate() {
                let holder = *ids.entry(name.as_str()).or_insert(api);
                if holder.entry.id != api.entry.id {
                    let sentence = format!("the name \"{name}\" already means API \"{}\"", holder.entry.id);
                    self.error(api.locations.of(&format!("names/{position}")), sentence);
                }
            }
        }
    }

    /// Nothing that a `resource` could say means two APIs (RFC 3986 §6.2.3).
    fn forms_once(&mut self) {
        let mut holders: HashMap<String, (&Resource, &str)> = HashMap::new();
        for api in self.apis {
            for (field, text) in api.entry.texts() {
                let Some(form) = common_form(text) else { continue };
                let (holder, first) = *holders.entry(form).or_insert((&api.entry.id, text));
                // That two texts are one is told elsewhere.
                if *holder != api.entry.id && first != text {
                    let sentence = format!(
                        "\"{text}\" means the same as \"{first}\" of API \"{holder}\": clients write the host, a default port \
                         and an empty path in different ways (RFC 3986 §6.2.3); choose another"
                    );
                    self.error(api.locations.of(&field), sentence);
                }
            }
        }
    }

    fn api(&mut self, api: &Declared<Api>) {
        let agents = self.agents;
        let known = || agents.iter().map(|agent| agent.entry.id.as_str());
        if let Some(agent) = api.entry.agent.as_ref().filter(|id| known().all(|known| known != id.as_str())) {
            let sentence = format!("there is no agent \"{agent}\"");
            self.unknown((NameKind::Agent, agent.as_str()), api.locations.of("agent"), sentence, known());
        }
        if !Api::TYPS.contains(&api.entry.typ.as_str()) {
            self.error(api.locations.of("typ"), "`typ` must be \"at+jwt\" or \"JWT\"");
        }
        if api.entry.lifetime.is_some_and(|lifetime| lifetime < Duration::from_secs(1)) {
            self.error(api.locations.of("lifetime"), "`lifetime` must be at least 1s");
        }
        for scope in api.entry.default_scopes.iter() {
            self.scope_of(api, scope, api.locations.of(&format!("default_scopes/{scope}")));
        }
        (0..api.entry.derive.len()).for_each(|position| self.derive(api, position));
        self.elsewhere(api);
    }

    /// What another authorization server issues has nothing that only our own access tokens have.
    fn elsewhere(&mut self, api: &Declared<Api>) {
        let Some(server) = &api.entry.authorization_server else { return };
        let Api { agent, group, status_list, .. } = &api.entry;
        for (field, written) in [("agent", agent.is_some()), ("group", group.is_some()), ("status_list", status_list.is_some())] {
            if written {
                let sentence =
                    format!("`{field}` is for APIs whose access tokens this server issues; see [authorization_server]");
                self.error(api.locations.of(field), sentence);
            }
        }
        let agents = self.agents;
        let known = || agents.iter().map(|agent| agent.entry.id.as_str());
        for client in server.clients.keys().filter(|client| known().all(|known| known != client.as_str())) {
            let location = api.locations.of(&format!("authorization_server/clients/{client}"));
            let sentence = format!("there is no agent \"{client}\"");
            self.unknown((NameKind::Agent, client.as_str()), location, sentence, known());
        }
    }

    fn derive(&mut self, api: &Declared<Api>, position: usize) {
        let Some(derive) = api.entry.derive.get(position) else { return };
        let location = |field: &str| api.locations.of(&format!("derive/{position}/{field}"));
        self.scope_of(api, &derive.to, location("to"));
        if derive.from_api == api.entry.id {
            return self.error(location("from/api"), "an API cannot derive authority from itself");
        }
        let apis = self.apis;
        match apis.iter().find(|from| from.entry.id == derive.from_api) {
            Some(from) => self.scope_of(from, &derive.from_scope, location("from/scope")),
            None => {
                let (wanted, known) = (&derive.from_api, apis.iter().map(|api| api.entry.id.as_str()));
                let sentence = format!("there is no API \"{wanted}\"");
                self.unknown((NameKind::Api, wanted.as_str()), location("from/api"), sentence, known);
            }
        }
    }

    fn groups(&mut self) {
        let mut groups: BTreeMap<&str, Vec<&Declared<Api>>> = BTreeMap::new();
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

    fn group_scopes(&mut self, group: &str, members: &[&Declared<Api>]) {
        let mut holders: HashMap<&Scope, &Resource> = HashMap::new();
        for api in members {
            for scope in api.entry.scopes.keys() {
                let holder = *holders.entry(scope).or_insert(&api.entry.id);
                if *holder != api.entry.id {
                    let sentence = format!("scope \"{scope}\" collides with that of API \"{holder}\" in group \"{group}\"");
                    self.error(api.locations.of(&format!("scopes/{scope}")), sentence);
                }
            }
        }
    }

    fn group_tokens(&mut self, group: &str, members: &[&Declared<Api>]) {
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
                self.differs(field, api, first, group);
            }
        }
    }

    /// A token cannot be both never bound and always bound.
    fn group_bindings(&mut self, group: &str, members: &[&Declared<Api>]) {
        let of = |constraint| move |api: &&&Declared<Api>| api.entry.sender_constraint == constraint;
        let Some(bearer) = members.iter().find(of(ConstraintRequirement::None)) else { return };
        for api in members.iter().filter(of(ConstraintRequirement::Required)) {
            self.differs("sender_constraint", api, bearer, group);
        }
    }

    fn differs(&mut self, field: &str, api: &Declared<Api>, from: &Declared<Api>, group: &str) {
        let id = &from.entry.id;
        let sentence = format!("`{field}` differs from that of API \"{id}\" in group \"{group}\", and one token must serve both");
        self.error(api.locations.of(field), sentence);
    }

    fn scope_of(&mut self, api: &Declared<Api>, scope: &Scope, location: SourceLocation) {
        if !api.entry.scopes.contains_key(scope) {
            let sentence = format!("API \"{}\" has no scope \"{scope}\"", api.entry.id);
            let known = api.entry.scopes.keys().map(|scope| scope.as_str());
            self.found.push(Diagnostic::new(location, sentence).near(scope.as_str(), known));
        }
    }

    fn error(&mut self, location: SourceLocation, sentence: impl Into<String>) {
        self.found.push(Diagnostic::new(location, sentence));
    }

    fn unknown<'b>(
        &mut self,
        (kind, name): (NameKind, &str),
        location: SourceLocation,
        sentence: String,
        known: impl Iterator<Item = &'b str>,
    ) {
        self.found.push(Diagnostic::new(location, sentence).unknown(kind, name, known));
    }
}

fn elsewhere(location: &SourceLocation) -> String {
    if location.file.is_empty() { String::new() } else { format!(" at {location}") }
}
