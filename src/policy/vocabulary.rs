//! The names that policies can speak of: those that catalog and trust rules have, those that the schema knows, and those that
//! were in force before, which the data folder remembers.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{AgentKind, Catalog, Destination, ScopeEffect};
use crate::oauth::{ConfirmationMethod, ExchangeMode};
use crate::trust::{SET, SubjectKind, TrustRule};

named! {
    /// A kind of name that files give.
    pub enum NameSort {
        /// The id of an agent.
        Agent = "agent",
        /// The team of an agent.
        Team = "team",
        /// The owner of an agent.
        Owner = "owner",
        /// The id of an API.
        Api = "api",
        /// The id of an API, a blank and a scope.
        Scope = "scope",
        /// A class of data.
        Class = "data",
        /// A trust rule.
        Rule = "rule",
        /// An attribute of a subject.
        Attribute = "attribute",
        /// An attribute of a subject that is a set, without its brackets.
        Set = "set",
    }
}

/// Names by their kind, such as those that a server once had in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamesBySort(BTreeMap<NameSort, BTreeSet<String>>);

/// The names that one place of a policy can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    Agent,
    Team,
    Owner,
    Api,
    Scope,
    Subject,
    Chain,
    Class,
    Rule,
    Attribute,
    Set,
    Effect,
    Destination,
    Basis,
    Binding,
    SubjectKind,
    AgentKind,
}

impl NamesBySort {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads what [`Self::to_json`] wrote; none where it is something else. Kinds that are not known here are left out.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let read: BTreeMap<String, BTreeSet<String>> = crate::json::read(std::str::from_utf8(text).ok()?).ok()?;
        let sort = |name: &str| NameSort::NAMES.iter().find(|(known, _)| *known == name).map(|(_, sort)| *sort);
        Some(Self(read.into_iter().filter_map(|(name, names)| Some((sort(&name)?, names))).collect()))
    }

    /// A JSON object with a list of names for each kind.
    pub fn to_json(&self) -> String {
        let named: BTreeMap<&str, _> = self.0.iter().map(|(sort, names)| (sort.as_str(), names)).collect();
        serde_json::to_string_pretty(&named).unwrap_or_default()
    }

    /// These names and those of `other`.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        for (sort, names) in &other.0 {
            self.0.entry(*sort).or_default().extend(names.iter().cloned());
        }
        self
    }

    /// Adds a name.
    pub fn add(&mut self, sort: NameSort, name: &str) {
        self.0.entry(sort).or_default().insert(name.to_owned());
    }

    fn of(&self, sort: NameSort) -> impl Iterator<Item = &String> {
        self.0.get(&sort).into_iter().flatten()
    }

    fn has(&self, sort: NameSort, name: &str) -> bool {
        self.0.get(&sort).is_some_and(|names| names.contains(name))
    }
}

/// All names that policies are compared with.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    names: NamesBySort,
    recorded: NamesBySort,
    /// The team of each agent.
    pub(super) teams: BTreeMap<String, String>,
    /// The most hops that a chain has.
    pub(super) depth_max: u32,
}

/// How a name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameStanding {
    /// Something has it.
    Present,
    /// Something had it once.
    Once,
    /// Nothing ever had it.
    Never,
}

impl Domain {
    /// The domain of the ids of a type of entity; none where they are compared with nothing.
    pub(super) fn of_entity(kind: &str) -> Option<Self> {
        let kinds = [
            ("Agent", Self::Agent),
            ("Team", Self::Team),
            ("Api", Self::Api),
            ("Scope", Self::Scope),
            ("Subject", Self::Subject),
            ("Sets", Self::Subject),
        ];
        kinds.into_iter().find(|(name, _)| *name == kind).map(|(_, domain)| domain)
    }

    /// The domain of an attribute by its path; none where it can be anything.
    pub(super) fn at(path: &str) -> Option<Self> {
        Some(match path {
            "context.client" | "context.actor" => Self::Agent,
            "context.chain" => Self::Chain,
            "context.data" | "context.touched" | "resource.data" => Self::Class,
            "context.destination" => Self::Destination,
            "context.effect" | "resource.effect" => Self::Effect,
            "context.basis" => Self::Basis,
            "context.binding" => Self::Binding,
            "context.trust" | "context.subject.rule" => Self::Rule,
            "context.subject.kind" => Self::SubjectKind,
            "principal.owner" | "resource.owner" => Self::Owner,
            "principal.kind" | "resource.kind" => Self::AgentKind,
            _ => return None,
        })
    }

    /// The thing that goes by such a name, in words.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Team => "team of an agent",
            Self::Owner => "owner of an agent",
            Self::Api => "API",
            Self::Scope => "scope of an API",
            Self::Subject => "trust rule or agent that a subject's id begins with",
            Self::Chain => "agent or foreign actor (iss|sub)",
            Self::Class => "class of data of a scope",
            Self::Rule => "trust rule",
            Self::Attribute => "attribute of a subject that a trust rule maps",
            Self::Set => "set of a subject that a trust rule maps",
            Self::Effect => "effect",
            Self::Destination => "destination",
            Self::Basis => "basis",
            Self::Binding => "binding",
            Self::SubjectKind => "kind of subject",
            Self::AgentKind => "kind of agent",
        }
    }

    fn sort(self) -> Option<NameSort> {
        Some(match self {
            Self::Agent | Self::Chain | Self::Subject => NameSort::Agent,
            Self::Team => NameSort::Team,
            Self::Owner => NameSort::Owner,
            Self::Api => NameSort::Api,
            Self::Scope => NameSort::Scope,
            Self::Class => NameSort::Class,
            Self::Rule => NameSort::Rule,
            Self::Attribute => NameSort::Attribute,
            Self::Set => NameSort::Set,
            Self::Effect | Self::Destination | Self::Basis | Self::Binding | Self::SubjectKind | Self::AgentKind => return None,
        })
    }

    /// The words of the schema that it has, whatever the files say; the empty one is for what there is none of.
    pub(super) fn words(self) -> Vec<&'static str> {
        match self {
            Self::Effect => ScopeEffect::NAMES.iter().map(|(name, _)| *name).collect(),
            Self::Destination => Destination::NAMES.iter().map(|(name, _)| *name).collect(),
            Self::Basis => ExchangeMode::ALL.iter().map(|mode| mode.as_str()).collect(),
            Self::Binding => vec!["none", ConfirmationMethod::Dpop.as_str(), ConfirmationMethod::Certificate.as_str()],
            Self::SubjectKind => vec![SubjectKind::User.name(), SubjectKind::Workload.name(), "agent", ""],
            Self::AgentKind => AgentKind::NAMES.iter().map(|(name, _)| *name).collect(),
            Self::Rule => vec![""],
            _ => Vec::new(),
        }
    }
}

impl Vocabulary {
    /// The names of a configuration whose chains have at most `depth_max` hops, and those `recorded` before it.
    pub fn new<'a>(catalog: &Catalog, rules: impl Iterator<Item = &'a TrustRule>, depth_max: u32, recorded: NamesBySort) -> Self {
        let mut names = NamesBySort::new();
        let mut add = |sort: NameSort, name: &str| names.add(sort, name);
        for rule in rules {
            add(NameSort::Rule, rule.name().as_str());
            for name in rule.subject().attributes.keys() {
                match name.strip_suffix(SET) {
                    Some(set) => add(NameSort::Set, set),
                    None => add(NameSort::Attribute, name),
                }
            }
        }
        for agent in catalog.agents() {
            add(NameSort::Agent, agent.id.as_str());
            add(NameSort::Team, &agent.team);
            add(NameSort::Owner, &agent.owner);
        }
        for api in catalog.apis() {
            add(NameSort::Api, api.id.as_str());
            for (scope, info) in &api.scopes {
                add(NameSort::Scope, &format!("{} {scope}", api.id));
                info.data.iter().for_each(|class| add(NameSort::Class, class));
            }
        }
        let teams = catalog.agents().map(|agent| (agent.id.to_string(), agent.team.clone())).collect();
        Self { names, recorded, teams, depth_max }
    }

    /// The names that the configuration has.
    pub fn names(&self) -> &NamesBySort {
        &self.names
    }

    /// How `name` stands in a place of that domain.
    pub(super) fn standing(&self, domain: Domain, name: &str) -> NameStanding {
        let in_names = |names: &NamesBySort| match domain {
            Domain::Chain if name.contains('|') => true,
            Domain::Subject => {
                let rule = name.split_once(':').map(|(rule, _)| rule);
                names.has(NameSort::Agent, name) || rule.is_some_and(|rule| names.has(NameSort::Rule, rule))
            }
            domain => domain.sort().is_some_and(|sort| names.has(sort, name)),
        };
        match () {
            () if domain.words().contains(&name) || in_names(&self.names) => NameStanding::Present,
            () if in_names(&self.recorded) => NameStanding::Once,
            () => NameStanding::Never,
        }
    }

    /// How the names stand that a pattern matches, given by the texts between its asterisks: as the best of them does.
    pub(super) fn standing_of_pattern(&self, domain: Domain, pieces: &[String]) -> NameStanding {
        let matching = |names: &NamesBySort| domain.sort().is_some_and(|sort| names.of(sort).any(|name| matches(name, pieces)));
        match () {
            () if domain.words().iter().any(|word| matches(word, pieces)) || matching(&self.names) => NameStanding::Present,
            () if matching(&self.recorded) => NameStanding::Once,
            () => NameStanding::Never,
        }
    }

    /// The names that are there now, to find the nearest of.
    pub(super) fn present(&self, domain: Domain) -> impl Iterator<Item = &str> {
        let named = domain.sort().into_iter().flat_map(|sort| self.names.of(sort)).map(String::as_str);
        domain.words().into_iter().filter(|word| !word.is_empty()).chain(named)
    }
}

/// True where `text` is the pieces in their order with anything between each two.
fn matches(text: &str, pieces: &[String]) -> bool {
    let [first, middle @ .., last] = pieces else {
        return pieces.first().is_none_or(|only| only == text);
    };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for piece in middle {
        let Some(at) = rest.find(piece.as_str()) else { return false };
        rest = rest.get(at.saturating_add(piece.len())..).unwrap_or_default();
    }
    rest.ends_with(last.as_str())
}
