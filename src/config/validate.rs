//! Contradictions that only show when settings, trust rules, agents and APIs are seen together.

use std::collections::{BTreeMap, BTreeSet};

use super::agent_file::{AgentFile, LoginFile};
use super::duration;
use super::load::LoadContext;
use super::settings::Settings;
use super::trust_file::TrustFile;
use crate::catalog::{Api, Catalog};
use crate::client::ClientAuth;
use crate::diagnostic::{Declared, Diagnostic, NameKind, SourceLocation};
use crate::keys::KeySource;
use crate::oauth::{RuleName, SpiffePattern};
use crate::trust::{IssuerSelector, Requirement, ScopeMap, SubjectKind, TrustKind, TrustRuleParts, mistaken};

/// Everything that was read of a configuration.
pub(super) struct Validation<'a> {
    pub(super) context: &'a LoadContext,
    pub(super) settings: &'a Settings,
    pub(super) rules: &'a [TrustFile],
    pub(super) agents: &'a [AgentFile],
    pub(super) apis: &'a [Declared<Api>],
    /// The names that files give their entries, whatever else is wrong with them: of these it is never told that nothing goes by
    /// them, for the file that declares one has its own mistakes to tell.
    pub(super) declared: &'a BTreeSet<(NameKind, String)>,
}

impl Validation<'_> {
    /// Reports every contradiction; the catalog when agents and APIs have none.
    pub(super) fn run(&self) -> Option<Catalog> {
        self.rule_names();
        self.rules.iter().for_each(|rule| self.rule(rule));
        self.agents.iter().flat_map(|agent| &agent.logins).for_each(|login| self.login(login));
        self.apis.iter().for_each(|api| self.api(api));
        let names: Vec<RuleName> = self.rules.iter().map(|file| file.rule.name.clone()).collect();
        let agents: Vec<_> = self.agents.iter().map(|file| file.agent.clone()).collect();
        let report = |found: Vec<Diagnostic>| found.into_iter().for_each(|diagnostic| self.report(diagnostic));
        Catalog::new(agents, self.apis.to_vec(), &names).map_err(report).ok()
    }

    fn rule_names(&self) {
        let mut first = BTreeMap::new();
        for TrustFile { rule, location, .. } in self.rules {
            if let Some(there) = first.insert(&rule.name, location) {
                self.error(location, format!("trust rule \"{}\" exists already at {there}", rule.name));
            }
        }
    }

    fn rule(&self, file: &TrustFile) {
        if file.rule.selector.issuer() == Some(self.settings.issuer.as_str()) {
            self.error(&file.location, "a trust rule cannot name our own issuer; what we issued is known without one");
        }
        let ours = |audience: &String| audience == self.settings.issuer.as_str();
        if file.rule.kind == TrustKind::IdJag && !file.rule.audiences.iter().all(ours) {
            let sentence = "audiences of kind \"id_jag\" must be our issuer identifier, alone";
            self.error(&file.locations.of("audiences"), sentence);
        }
        let known = || self.agents.iter().map(|file| file.agent.entry.id.as_str());
        let at = file.locations.of("agent");
        let agent = file.rule.agent.iter().map(|agent| (agent, &at));
        for (named, location) in file.rule.presenters.iter().zip(&file.presenters).chain(agent) {
            if !known().any(|id| id == named.as_str()) {
                let sentence = format!("there is no agent \"{named}\"");
                self.unknown((NameKind::Agent, named.as_str()), location, sentence, known());
            }
        }
        for (position, map) in file.rule.scopes.iter().enumerate() {
            self.mapped(map, &file.locations.of(&format!("map/{position}/to")));
        }
    }

    /// A scope can only come to mean what exists here.
    fn mapped(&self, map: &ScopeMap, location: &SourceLocation) {
        match self.apis.iter().find(|api| api.entry.id == map.api) {
            Some(api) if api.entry.scopes.contains_key(&map.to) => {}
            Some(api) => {
                let known = api.entry.scopes.keys().map(|scope| scope.as_str());
                let sentence = format!("{} has no scope \"{}\"", map.api, map.to);
                self.context.report(Diagnostic::new(location.clone(), sentence).near(map.to.as_str(), known));
            }
            None => {
                let known = self.apis.iter().map(|api| api.entry.id.as_str());
                self.unknown((NameKind::Api, map.api.as_str()), location, format!("there is no API \"{}\"", map.api), known);
            }
        }
    }

    fn login(&self, login: &LoginFile) {
        match &login.auth {
            ClientAuth::SpiffeJwt { id } => {
                self.rules_of_domain(id, &login.location).iter().for_each(|rule| self.spiffe_audience(rule));
            }
            ClientAuth::SpiffeX509 { id } => {
                self.rules_of_domain(id, &login.location).iter().for_each(|rule| self.svid_authorities(rule));
            }
            ClientAuth::WorkloadJwt { rule, matchers } => self.workload_login(login, rule, matchers, false),
            ClientAuth::WorkloadX509 { rule, matchers } => self.workload_login(login, rule, matchers, true),
            ClientAuth::ClientAttestation { rule, .. } => self.attested_login(login, rule),
            ClientAuth::TlsClientAuth { .. }
            | ClientAuth::SelfSignedTls { .. }
            | ClientAuth::PrivateKeyJwt { .. }
            | ClientAuth::Secret { .. } => {}
        }
    }

    fn rules_of_domain(&self, id: &SpiffePattern, location: &SourceLocation) -> Vec<&TrustFile> {
        let wanted = id.trust_domain();
        let domain = |file: &'_ TrustFile| match &file.rule.selector {
            IssuerSelector::TrustDomain(domain) => Some(domain.as_str().to_owned()),
            IssuerSelector::Issuer(_) | IssuerSelector::Roots => None,
        };
        let found: Vec<_> = self.rules.iter().filter(|rule| domain(rule).as_deref() == Some(wanted)).collect();
        if found.is_empty() {
            let known: Vec<String> = self.rules.iter().filter_map(domain).collect();
            let sentence = format!("no trust rule of kind \"spiffe\" has the trust domain \"{wanted}\"");
            self.unknown((NameKind::TrustDomain, wanted), location, sentence, known.iter().map(String::as_str));
        }
        found
    }

    /// A JWT-SVID that logs in has the issuer identifier as its only audience, so a rule that does not admit it admits no login.
    fn spiffe_audience(&self, file: &TrustFile) {
        let issuer = self.settings.issuer.as_str();
        if !file.rule.audiences.iter().any(|audience| audience == issuer) {
            let sentence =
                format!("`audiences` must name our issuer, {issuer}: agents log in under this rule, and their SVIDs are for it");
            self.error(&file.location, sentence);
        }
    }

    /// The bundle of the trust domain must say who issues X509-SVIDs in it.
    fn svid_authorities(&self, file: &TrustFile) {
        if matches!(&file.rule.keys, KeySource::Bundle(bundle) if bundle.roots().is_empty()) {
            let sentence = "the bundle has no key with `use` \"x509-svid\" and `x5c`, so no X509-SVID logs in under this rule";
            self.context.warn(file.location.clone(), sentence);
        }
    }

    /// The trust rule that a login names.
    fn rule_of_login(&self, login: &LoginFile, name: &RuleName) -> Option<&TrustRuleParts> {
        let found = self.rules.iter().map(|file| &file.rule).find(|rule| rule.name == *name);
        if found.is_none() {
            let known = self.rules.iter().map(|file| file.rule.name.as_str());
            let sentence = format!("there is no trust rule \"{name}\"");
            self.unknown((NameKind::TrustRule, name.as_str()), &login.location, sentence, known);
        }
        found
    }

    fn attested_login(&self, login: &LoginFile, name: &RuleName) {
        if let Some(rule) = self.rule_of_login(login, name).filter(|rule| rule.kind != TrustKind::ClientAttester) {
            let sentence = format!(
                "trust rule \"{name}\" is of kind \"{}\"; client attestations are taken under rules of kind \"client_attester\"",
                rule.kind
            );
            self.error(&login.location, sentence);
        }
    }

    fn workload_login(&self, login: &LoginFile, name: &RuleName, matchers: &[Requirement], by_certificate: bool) {
        let Some(rule) = self.rule_of_login(login, name) else { return };
        if rule.kind == TrustKind::ClientAttester {
            let sentence = format!(
                "trust rule \"{name}\" is of kind \"client_attester\"; `method` must be \"attest_jwt_client_auth\" or \
                 \"attest_jwt_client_auth_dpop\""
            );
            self.error(&login.location, sentence);
        } else if rule.kind == TrustKind::IdJag {
            self.error(&login.location, format!("trust rule \"{name}\" is of kind \"id_jag\", whose grants log in nobody"));
        } else if rule.subject.kind == SubjectKind::User {
            self.error(&login.location, format!("trust rule \"{name}\" vouches for people, and an agent is no person"));
        } else if (rule.kind == TrustKind::X509) != by_certificate {
            let method = if by_certificate { "workload_jwt" } else { "workload_x509" };
            let sentence = format!("trust rule \"{name}\" is of kind \"{}\"; `method` must be \"{method}\"", rule.kind);
            self.error(&login.location, sentence);
        } else {
            let mistakes = matchers.iter().map(|matcher| mistaken(rule.kind, matcher));
            for (location, reason) in login.matchers.iter().zip(mistakes).filter_map(|(at, reason)| Some((at, reason?))) {
                self.error(location, reason.to_string());
            }
        }
    }

    fn api(&self, api: &Declared<Api>) {
        let error = |field: &str, sentence: String| self.error(&api.locations.of(field), sentence);
        let most = self.settings.tokens.lifetime_max;
        if api.entry.lifetime.is_some_and(|lifetime| lifetime > most) {
            error("lifetime", format!("`lifetime` must not exceed `lifetime_max` of [tokens], {}", duration::show(most)));
        }
        if !self.settings.keys.algorithms.contains(&api.entry.signing_alg) {
            error("signing_alg", format!("{} is not among `algorithms` of [keys]", api.entry.signing_alg));
        }
        if api.entry.id.as_str() == self.settings.issuer.as_str() {
            error("id", "an API cannot have our own issuer as its id".to_owned());
        }
        let server = api.entry.authorization_server.as_ref();
        if server.is_some_and(|server| server.issuer == self.settings.issuer) {
            error(
                "authorization_server/issuer",
                "is our own; leave out [authorization_server] for APIs of this server".to_owned(),
            );
        }
    }

    fn error(&self, location: &SourceLocation, sentence: impl Into<String>) {
        self.context.error(location.clone(), sentence);
    }

    fn unknown<'a>(
        &self,
        (kind, name): (NameKind, &str),
        location: &SourceLocation,
        sentence: String,
        known: impl Iterator<Item = &'a str>,
    ) {
        self.report(Diagnostic::new(location.clone(), sentence).unknown(kind, name, known));
    }

    fn report(&self, diagnostic: Diagnostic) {
        if !diagnostic.unknown.as_ref().is_some_and(|name| self.declared.contains(name)) {
            self.context.report(diagnostic);
        }
    }
}
