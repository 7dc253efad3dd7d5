//! What only shows when settings, trust rules, agents and APIs are seen together.

use std::collections::{BTreeMap, BTreeSet};

use super::agent_file::AgentFile;
use super::desk::Desk;
use super::login_file::{LoginFile, trust_domain_of};
use super::trust_file::{IssuerFile, SubjectKindFile, TrustFile};
use super::{Complaint, Settings, span};
use crate::catalog::{Agent, Api, Catalog, CatalogComplaint, Filed};
use crate::oauth::RuleName;

/// The catalog. What nothing goes by is told unless it is `declared` in a file that has other mistakes.
pub(super) fn catalog(
    desk: &Desk,
    declared: &BTreeSet<String>,
    rules: &[TrustFile],
    agents: Vec<Filed<Agent>>,
    apis: Vec<Filed<Api>>,
) -> Option<Catalog> {
    let names: Vec<RuleName> = rules.iter().map(|rule| rule.name.clone()).collect();
    match Catalog::new(agents, apis, &names) {
        Ok(catalog) => Some(catalog),
        Err(complaints) => {
            complaints
                .into_iter()
                .filter_map(|complaint| told(complaint, declared))
                .for_each(|complaint| desk.complain(complaint));
            None
        }
    }
}

fn told(complaint: CatalogComplaint, declared: &BTreeSet<String>) -> Option<Complaint> {
    let told = Complaint::new(complaint.place, complaint.reason.to_string());
    match complaint.unknown {
        Some(unknown) if declared.contains(&unknown.name) => None,
        Some(unknown) => Some(told.near(&unknown.name, unknown.known.iter().map(String::as_str))),
        None => Some(told),
    }
}

/// Everything else that two files can contradict each other in.
pub(super) fn check(
    desk: &Desk,
    settings: &Settings,
    declared: &BTreeSet<String>,
    rules: &[TrustFile],
    agents: &[AgentFile],
    apis: &[Filed<Api>],
) {
    let view = View { desk, settings, declared, rules, agents };
    view.rule_names();
    rules.iter().for_each(|rule| view.rule(rule));
    agents.iter().flat_map(|agent| &agent.logins).for_each(|login| view.login(login));
    apis.iter().for_each(|api| view.api(api));
}

struct View<'a> {
    desk: &'a Desk,
    settings: &'a Settings,
    declared: &'a BTreeSet<String>,
    rules: &'a [TrustFile],
    agents: &'a [AgentFile],
}

impl View<'_> {
    fn rule_names(&self) {
        let mut first = BTreeMap::new();
        for rule in self.rules {
            if let Some(there) = first.insert(&rule.name, &rule.place) {
                let sentence = format!("trust rule \"{}\" exists already at {there}", rule.name);
                self.desk.complain(Complaint::new(rule.place.clone(), sentence));
            }
        }
    }

    fn rule(&self, rule: &TrustFile) {
        if matches!(&rule.issuer, IssuerFile::Oidc(issuer) if *issuer == self.settings.issuer) {
            let sentence = "a trust rule cannot name our own issuer; what we issued is known without one";
            self.desk.complain(Complaint::new(rule.place.clone(), sentence));
        }
        for presenter in &rule.presenters {
            let known = || self.agents.iter().map(|file| file.agent.entry.id.as_str());
            if !known().any(|id| id == presenter.value.as_str()) && !self.declared.contains(presenter.value.as_str()) {
                let complaint = Complaint::new(presenter.place.clone(), format!("there is no agent \"{}\"", presenter.value));
                self.desk.complain(complaint.near(presenter.value.as_str(), known()));
            }
        }
    }

    fn login(&self, login: &LoginFile) {
        match login {
            LoginFile::SpiffeJwt { spiffe_id } => {
                let domain = trust_domain_of(&spiffe_id.value);
                let domains = || {
                    self.rules
                        .iter()
                        .filter_map(|rule| if let IssuerFile::Spiffe(name) = &rule.issuer { Some(name.as_str()) } else { None })
                };
                if !domains().any(|known| known == domain) {
                    let sentence = format!("no trust rule of kind \"spiffe\" has the trust domain \"{domain}\"");
                    self.desk.complain(Complaint::new(spiffe_id.place.clone(), sentence).near(domain, domains()));
                }
            }
            LoginFile::WorkloadJwt { trust, .. } => match self.rules.iter().find(|rule| rule.name == trust.value) {
                Some(rule) if rule.subject.kind == SubjectKindFile::User => {
                    let sentence = format!("trust rule \"{}\" vouches for people, and an agent is no person", rule.name);
                    self.desk.complain(Complaint::new(trust.place.clone(), sentence));
                }
                None if !self.declared.contains(trust.value.as_str()) => {
                    let complaint = Complaint::new(trust.place.clone(), format!("there is no trust rule \"{}\"", trust.value));
                    self.desk.complain(complaint.near(trust.value.as_str(), self.rules.iter().map(|rule| rule.name.as_str())));
                }
                _ => {}
            },
            LoginFile::PrivateKeyJwt { .. } | LoginFile::Secret { .. } => {}
        }
    }

    fn api(&self, api: &Filed<Api>) {
        let complain = |field: &str, sentence: String| self.desk.complain(Complaint::new(api.places.of(field), sentence));
        let most = self.settings.tokens.lifetime_max;
        if api.entry.lifetime.is_some_and(|lifetime| lifetime > most) {
            complain("lifetime", format!("`lifetime` must not exceed `lifetime_max` of [tokens], {}", span::show(most)));
        }
        if !self.settings.keys.algorithms.contains(&api.entry.signing_alg) {
            complain("signing_alg", format!("{} is not among `algorithms` of [keys]", api.entry.signing_alg));
        }
        if api.entry.id.as_str() == self.settings.issuer.as_str() {
            complain("id", "an API cannot have our own issuer as its id".to_owned());
        }
    }
}
