//! What only shows when settings, trust rules, agents and APIs are seen together.

use std::collections::{BTreeMap, BTreeSet};

use super::agent_file::AgentFile;
use super::desk::Desk;
use super::login_file::LoginFile;
use super::matcher_file::MatcherFile;
use super::reader::Located;
use super::trust_file::TrustFile;
use super::{Diagnostic, Settings, span};
use crate::catalog::{Agent, Api, Catalog, CatalogComplaint, Filed, Place};
use crate::keys::KeySource;
use crate::oauth::{RuleName, SpiffePattern};
use crate::trust::{IssuerSelector, ScopeMap, SubjectKind, TrustKind, TrustRuleParts, mistaken};

/// The catalog. What nothing goes by is told unless it is `declared` in a file that has other mistakes.
pub(super) fn catalog(
    desk: &Desk,
    declared: &BTreeSet<String>,
    rules: &[TrustFile],
    agents: Vec<Filed<Agent>>,
    apis: Vec<Filed<Api>>,
) -> Option<Catalog> {
    let names: Vec<RuleName> = rules.iter().map(|file| file.rule.name.clone()).collect();
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

fn told(complaint: CatalogComplaint, declared: &BTreeSet<String>) -> Option<Diagnostic> {
    let told = Diagnostic::new(complaint.place, complaint.reason.to_string());
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
    rules.iter().for_each(|file| view.scopes(file, apis));
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
            if let Some(there) = first.insert(&rule.rule.name, &rule.place) {
                let sentence = format!("trust rule \"{}\" exists already at {there}", rule.rule.name);
                self.desk.complain(Diagnostic::new(rule.place.clone(), sentence));
            }
        }
    }

    fn rule(&self, rule: &TrustFile) {
        if rule.rule.selector.issuer() == Some(self.settings.issuer.as_str()) {
            let sentence = "a trust rule cannot name our own issuer; what we issued is known without one";
            self.desk.complain(Diagnostic::new(rule.place.clone(), sentence));
        }
        for (presenter, place) in rule.rule.presenters.iter().zip(&rule.presenters) {
            let known = || self.agents.iter().map(|file| file.agent.entry.id.as_str());
            if !known().any(|id| id == presenter.as_str()) && !self.declared.contains(presenter.as_str()) {
                let complaint = Diagnostic::new(place.clone(), format!("there is no agent \"{presenter}\""));
                self.desk.complain(complaint.near(presenter.as_str(), known()));
            }
        }
    }

    fn login(&self, login: &LoginFile) {
        match login {
            LoginFile::SpiffeJwt { spiffe_id } => self.spiffe_login(spiffe_id),
            LoginFile::WorkloadJwt { trust, matchers } => self.workload_login(trust, matchers, false),
            LoginFile::WorkloadX509 { trust, matchers } => self.workload_login(trust, matchers, true),
            LoginFile::SpiffeX509 { spiffe_id } => self.svid_login(spiffe_id),
            LoginFile::TlsClientAuth { .. } | LoginFile::SelfSignedTls { .. } => {}
            LoginFile::PrivateKeyJwt { .. } | LoginFile::Secret { .. } => {}
        }
    }

    fn spiffe_login(&self, id: &Located<SpiffePattern>) {
        let wanted = id.value.trust_domain();
        let domain = |file: &'_ TrustFile| match &file.rule.selector {
            IssuerSelector::TrustDomain(domain) => Some(domain.as_str().to_owned()),
            IssuerSelector::Issuer(_) | IssuerSelector::Roots => None,
        };
        let known: Vec<String> = self.rules.iter().filter_map(domain).collect();
        if !known.iter().any(|known| known == wanted) && !self.declared.contains(wanted) {
            let sentence = format!("no trust rule of kind \"spiffe\" has the trust domain \"{wanted}\"");
            self.desk.complain(Diagnostic::new(id.place.clone(), sentence).near(wanted, known.iter().map(String::as_str)));
        }
        let of_domain = self.rules.iter().filter(|rule| domain(rule).as_deref() == Some(wanted));
        of_domain.for_each(|rule| self.spiffe_audience(rule));
    }

    /// The bundle of the trust domain must say who issues X509-SVIDs in it.
    fn svid_login(&self, id: &Located<SpiffePattern>) {
        let wanted = id.value.trust_domain();
        let of_domain =
            |file: &&TrustFile| matches!(&file.rule.selector, IssuerSelector::TrustDomain(domain) if domain.as_str() == wanted);
        let mut rules = self.rules.iter().filter(of_domain).peekable();
        if rules.peek().is_none() && !self.declared.contains(wanted) {
            let sentence = format!("no trust rule of kind \"spiffe\" has the trust domain \"{wanted}\"");
            self.desk.complain(Diagnostic::new(id.place.clone(), sentence));
        }
        let silent = |rule: &&TrustFile| matches!(&rule.rule.keys, KeySource::Bundle(bundle) if bundle.roots().is_empty());
        for rule in rules.filter(silent) {
            let sentence = "the bundle has no key with `use` \"x509-svid\" and `x5c`, so no X509-SVID logs in under this rule";
            self.desk.warn(Diagnostic::new(rule.place.clone(), sentence));
        }
    }

    /// A JWT-SVID that logs in has the issuer identifier as its only audience, so a rule that does not admit it admits no login.
    fn spiffe_audience(&self, rule: &TrustFile) {
        let issuer = self.settings.issuer.as_str();
        if !rule.rule.audiences.iter().any(|audience| audience == issuer) {
            let sentence =
                format!("`audiences` must name our issuer, {issuer}: agents log in under this rule, and their SVIDs are for it");
            self.desk.complain(Diagnostic::new(rule.place.clone(), sentence));
        }
    }

    fn workload_login(&self, trust: &Located<RuleName>, matchers: &[MatcherFile], by_certificate: bool) {
        let name = trust.value.as_str();
        let complain = |sentence: String| Diagnostic::new(trust.place.clone(), sentence);
        match self.rules.iter().map(|file| &file.rule).find(|rule| rule.name == trust.value) {
            Some(rule) if rule.subject.kind == SubjectKind::User => {
                self.desk.complain(complain(format!("trust rule \"{name}\" vouches for people, and an agent is no person")));
            }
            None if !self.declared.contains(name) => {
                let complaint = complain(format!("there is no trust rule \"{name}\""));
                self.desk.complain(complaint.near(name, self.rules.iter().map(|file| file.rule.name.as_str())));
            }
            Some(rule) if (rule.kind == TrustKind::X509) != by_certificate => {
                let method = if by_certificate { "workload_jwt" } else { "workload_x509" };
                self.desk.complain(complain(format!(
                    "trust rule \"{name}\" is of kind \"{}\"; `method` must be \"{method}\"",
                    rule.kind
                )));
            }
            Some(rule) => matchers.iter().for_each(|matcher| self.workload_matcher(rule, matcher)),
            None => {}
        }
    }

    fn workload_matcher(&self, rule: &TrustRuleParts, matcher: &MatcherFile) {
        if let Some(reason) = mistaken(rule.kind, &matcher.requirement) {
            self.desk.complain(Diagnostic::new(matcher.place.clone(), reason.to_string()));
        }
    }

    /// A scope can only come to mean what exists here.
    fn scopes(&self, file: &TrustFile, apis: &[Filed<Api>]) {
        for (position, map) in file.rule.scopes.iter().enumerate() {
            self.scope(map, &file.places.of(&format!("map/{position}/to")), apis);
        }
    }

    fn scope(&self, map: &ScopeMap, place: &Place, apis: &[Filed<Api>]) {
        let complain = |sentence: String| Diagnostic::new(place.clone(), sentence);
        match apis.iter().find(|api| api.entry.id == map.api) {
            Some(api) if api.entry.scopes.contains_key(&map.to) => {}
            Some(api) => {
                let known = api.entry.scopes.keys().map(|scope| scope.as_str());
                self.desk.complain(complain(format!("{} has no scope \"{}\"", map.api, map.to)).near(map.to.as_str(), known));
            }
            None if self.declared.contains(map.api.as_str()) => {}
            None => {
                let known = apis.iter().map(|api| api.entry.id.as_str());
                self.desk.complain(complain(format!("there is no API \"{}\"", map.api)).near(map.api.as_str(), known));
            }
        }
    }

    fn api(&self, api: &Filed<Api>) {
        let complain = |field: &str, sentence: String| self.desk.complain(Diagnostic::new(api.places.of(field), sentence));
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
