//! From files to the values that the stages use: rules, client authentication and policies; and from a whole configuration to
//! the deployment that it describes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::agent_file::{AgentFile, LoginFile};
use super::dated;
use super::load::LoadContext;
use super::policy_folder::PolicyText;
use super::reader::all;
use super::settings::Settings;
use super::trust_file::TrustFile;
use crate::catalog::Catalog;
use crate::client::{
    AssertionAudience, AuthMethod, ClientAttestationRules, ClientAuth, ClientAuths, Dated, DpopRules, LoginComplaint, Nonces,
};
use crate::crypto::SealKey;
use crate::deployment::{Deployment, TOKEN_PATH};
use crate::diagnostic::{Diagnostic, Diagnostics, Located, SourceLocation};
use crate::jose::Cache;
use crate::keys::{KeySource, Sequences};
use crate::mint::Signers;
use crate::oauth::{ClientId, Pseudonyms};
use crate::policy::{Comparison, NamesBySort, Policies, TaskLimits, TokenLimits, Vocabulary};
use crate::token::IssuerKeys;
use crate::trust::{
    DuplicateRule, IssuerSelector, Severity, SubjectKind, TrustKind, TrustRule, TrustRuleParts, TrustRuleReason, TrustStore,
    findings,
};
use crate::x509::Roots;

/// A whole configuration in which nothing is wrong.
#[derive(Debug)]
pub struct Config {
    /// The main settings.
    pub settings: Settings,
    /// Agents and APIs.
    pub catalog: Catalog,
    /// Trust rules, disabled ones too, in the order of their files' names.
    pub rules: Vec<TrustFile>,
    /// The logins of each agent.
    pub logins: BTreeMap<ClientId, Vec<LoginFile>>,
    /// The policies as written.
    pub policies: Vec<PolicyText>,
    /// No mistakes, but things that may surprise.
    pub warnings: Diagnostics,
    /// Our certificate and its key, if we speak TLS.
    pub identity: Option<Arc<CertifiedKey>>,
    pub(super) inputs: StageInputs,
}

/// The keys of a deployment, parsed.
#[derive(Debug)]
pub struct ServerKeys {
    /// The keys that sign.
    pub signers: Signers,
    /// The key that seals ancestries, with those before it.
    pub ancestry: SealKey,
    /// The keys of the pseudonyms.
    pub pseudonyms: Pseudonyms,
    /// The cache of our own tokens whose signature was verified.
    pub verified: Arc<Cache>,
    /// The newest bundles of trust domains, as far as they are known.
    pub sequences: Arc<Sequences>,
}

/// Rules, logins and policies as the stages use them.
#[derive(Debug)]
pub(super) struct StageInputs {
    rules: Vec<TrustRule>,
    pub(super) logins: ClientAuths,
    policies: Policies,
}

impl StageInputs {
    /// Builds them from their files. None when anything is wrong that no file alone could tell; the diagnostics say what.
    pub(super) fn new(
        context: &LoadContext,
        client_ca: Option<(&Located<PathBuf>, &Arc<Roots>)>,
        rules: &[TrustFile],
        agents: &[AgentFile],
        policies: &[PolicyText],
    ) -> Option<Self> {
        let dated = dated(agents, client_ca, rules);
        let rules = rules.iter().map(|file| linted_rule(context, file, agents));
        let logins = logins(context, agents, client_ca.map(|(_, roots)| roots));
        let (rules, policies) = (all(rules), self::policies(context, policies));
        Some(Self { rules: rules?, logins: logins?.with_dated(dated), policies: policies? })
    }
}

impl StageInputs {
    /// Reports names in the policies that nothing has, in `catalog`, in the trust rules or, as it is `recorded`, before; policies
    /// that cannot do what they seem to; and required ones that are not there.
    pub(super) fn compare_policies(&self, context: &LoadContext, settings: &Settings, catalog: &Catalog, recorded: NamesBySort) {
        let depth_max = u32::try_from(settings.tokens.chain_depth_max).unwrap_or(u32::MAX);
        let vocabulary = Vocabulary::new(catalog, self.rules.iter(), depth_max, recorded);
        let Comparison { mistakes, warnings } = self.policies.compare(&vocabulary);
        let required = settings.policies.required.iter().map(|id| (id.value.as_str(), &id.location));
        mistakes.into_iter().chain(self.policies.missing(required)).for_each(|mistake| context.report(mistake));
        warnings.into_iter().for_each(|warning| context.report_warning(warning));
    }
}

impl Config {
    /// The trust rules, as they are verified by.
    pub fn trust_rules(&self) -> &[TrustRule] {
        &self.inputs.rules
    }

    /// The policies, as they are decided by.
    pub fn policy_set(&self) -> &Policies {
        &self.inputs.policies
    }

    /// The folders that it was read from, and how much was found in each.
    pub fn folders(&self) -> [FolderContent<'_>; 4] {
        let files = &self.settings.files;
        let (agents, apis) = (self.catalog.agents().count(), self.catalog.apis().count());
        let counted = [
            ("trust rule", self.rules.len(), &files.trust),
            ("agent", agents, &files.agents),
            ("API", apis, &files.apis),
            ("policy file", self.policies.len(), &files.policies),
        ];
        counted.map(|(thing, count, path)| FolderContent { thing, count, path: &path.value })
    }
}

/// The number of things of a kind in a folder.
#[derive(Clone, Copy, Debug)]
pub struct FolderContent<'a> {
    /// The kind: `trust rule`, `agent`, `API`, `policy file`.
    pub thing: &'static str,
    /// How many.
    pub count: usize,
    /// The folder.
    pub path: &'a Path,
}

impl FolderContent<'_> {
    /// The number with the word: one without the plural's `s`.
    pub fn counted(&self) -> String {
        format!("{} {}{}", self.count, self.thing, if self.count == 1 { "" } else { "s" })
    }
}

/// The deployment of `config` under `keys`. `previous`, which it replaces, hands on what it fetched.
///
/// # Errors
/// When two trust rules have one name, which no configuration that was read has.
pub fn deployment(config: Config, keys: ServerKeys, previous: Option<&Deployment>) -> Result<Deployment, Diagnostics> {
    let StageInputs { rules, logins, policies } = config.inputs;
    let trust = TrustStore::remembering(rules, previous.map(|previous| &*previous.trust), keys.sequences).map_err(twice)?;
    let settings = config.settings;
    let token_endpoint = settings.issuer.join(TOKEN_PATH);
    let own_set = Arc::new(keys.signers.key_set());
    let logins = match previous {
        Some(previous) => logins.taking_over(&previous.logins),
        None => logins,
    };
    Ok(Deployment {
        audience: AssertionAudience { issuer: settings.issuer.clone(), token_endpoint },
        own: IssuerKeys::new(settings.issuer.clone(), own_set, keys.ancestry, keys.verified),
        catalog: config.catalog,
        logins,
        trust: Arc::new(trust),
        policies,
        signers: keys.signers,
        dpop: DpopRules {
            bases: bases(&settings),
            age_max: settings.dpop.proof_age,
            known: previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.dpop.known)),
            nonces: Nonces::new(keys.pseudonyms.current().clone()),
            nonce_required: settings.dpop.nonce_required,
        },
        client_attestations: ClientAttestationRules {
            age_max: settings.client_attestation.proof_age,
            known: previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.client_attestations.known)),
            challenges: Nonces::of_challenges(keys.pseudonyms.current().clone()),
            challenge_required: settings.client_attestation.challenge_required,
        },
        pseudonyms: keys.pseudonyms,
        limits: TokenLimits {
            issuer: settings.issuer.clone(),
            lifetime: settings.tokens.lifetime,
            lifetime_max: settings.tokens.lifetime_max,
            tasks: TaskLimits {
                lifetime: settings.tasks.lifetime,
                lifetime_max: settings.tasks.lifetime_max,
                budget: settings.tasks.budget_default,
                budget_max: settings.tasks.budget_max,
                depth: settings.tasks.depth,
            },
        },
        scopes_supported: settings.web.scopes_supported,
        origins: settings.web.origins,
        requests_per_second: settings.limits.requests_per_second,
        depth_max: u32::try_from(settings.tokens.chain_depth_max).unwrap_or(u32::MAX),
        issuer: settings.issuer,
    })
}

/// The base URLs of our endpoints: the issuer identifier, and the address that asks clients for certificates.
fn bases(settings: &Settings) -> Vec<String> {
    let path = settings.issuer.path();
    let alias = settings.tls.mtls_url.iter().map(|base| format!("{}{path}", base.trim_end_matches('/')));
    std::iter::once(settings.issuer.join("")).chain(alias).collect()
}

fn twice(rule: DuplicateRule) -> Diagnostics {
    let location = SourceLocation::file("the configuration");
    Diagnostics::new(vec![Diagnostic::new(location, format!("two trust rules are called \"{}\"", rule.0))])
}

/// The rule of a file.
pub(super) fn trust_rule(context: &LoadContext, file: &TrustFile, agents: &[AgentFile]) -> Option<TrustRule> {
    let wrong = |reasons: Vec<TrustRuleReason>| {
        reasons.iter().for_each(|reason| context.error(file.location_of(reason), reason.to_string()));
    };
    TrustRule::new(TrustRuleParts { audiences: audiences(&file.rule, agents), ..file.rule.clone() }).map_err(wrong).ok()
}

/// The rule of a file, with a warning of each way in which it admits more than its author may have meant.
fn linted_rule(context: &LoadContext, file: &TrustFile, agents: &[AgentFile]) -> Option<TrustRule> {
    let rule = trust_rule(context, file, agents)?;
    let warned = findings(&rule).into_iter().filter(|finding| finding.severity != Severity::Note);
    warned.for_each(|finding| context.warn(file.location.clone(), format!("{}; see `trust check`", finding.sentence)));
    Some(rule)
}

/// An ID token's audience is the client that obtained it. Listing that client at an agent (`foreign_clients`) makes it an
/// audience of the rule; that the agent itself presents the token is checked when it does.
fn audiences(rule: &TrustRuleParts, agents: &[AgentFile]) -> Vec<String> {
    let mut audiences = rule.audiences.clone();
    if rule.subject.kind == SubjectKind::User && rule.kind == TrustKind::Oidc {
        let clients = agents.iter().flat_map(|agent| &agent.agent.entry.foreign_clients);
        audiences.extend(clients.filter(|(name, _)| *name == rule.name).map(|(_, client)| client.clone()));
    }
    audiences
}

/// The logins of all agents; those by a certificate of an authority that they do not name, under `client_ca`.
fn logins(context: &LoadContext, agents: &[AgentFile], client_ca: Option<&Arc<Roots>>) -> Option<ClientAuths> {
    let auth = |login: &LoginFile| match (login.auth.clone(), client_ca) {
        (ClientAuth::TlsClientAuth { name, .. }, Some(roots)) if login.shared_authority => {
            ClientAuth::TlsClientAuth { roots: Arc::clone(roots), name }
        }
        (auth, _) => auth,
    };
    let of_agent = |file: &AgentFile| (file.agent.entry.id.clone(), file.logins.iter().map(auth).collect());
    let wrong = |list: Vec<LoginComplaint>| list.iter().for_each(|reason| context.report(located(reason, agents)));
    ClientAuths::new(agents.iter().map(of_agent)).map_err(wrong).ok()
}

fn located(complaint: &LoginComplaint, agents: &[AgentFile]) -> Diagnostic {
    let file = agents.iter().find(|file| file.agent.entry.id == complaint.agent);
    let location = file.map(|file| file.agent.locations.of(&format!("login/{}", complaint.position))).unwrap_or_default();
    Diagnostic::new(location, complaint.reason.to_string())
}

/// The credentials of each agent that end by themselves. Those that are fetched are not there yet.
fn dated(
    agents: &[AgentFile],
    client_ca: Option<(&Located<PathBuf>, &Arc<Roots>)>,
    rules: &[TrustFile],
) -> Vec<(ClientId, Vec<Dated>)> {
    let authority = client_ca.map(|(file, roots)| dated::of_roots(AuthMethod::TlsClientAuth, roots, file)).unwrap_or_default();
    let of_login = |login: &LoginFile| match &login.auth {
        ClientAuth::TlsClientAuth { .. } if login.shared_authority => authority.clone(),
        ClientAuth::WorkloadX509 { rule, .. } => dated_of_rules(AuthMethod::WorkloadX509, rules, |file| file.rule.name == *rule),
        ClientAuth::SpiffeX509 { id } => dated_of_rules(
            AuthMethod::SpiffeX509,
            rules,
            |file| matches!(&file.rule.selector, IssuerSelector::TrustDomain(domain) if domain.as_str() == id.trust_domain()),
        ),
        _ => login.dated.clone(),
    };
    let of_agent = |file: &AgentFile| (file.agent.entry.id.clone(), file.logins.iter().flat_map(of_login).collect());
    agents.iter().map(of_agent).collect()
}

/// The authorities that a login means by a trust rule.
fn dated_of_rules(login: AuthMethod, rules: &[TrustFile], meant: impl Fn(&TrustFile) -> bool) -> Vec<Dated> {
    let mut dated = Vec::new();
    for rule in rules.iter().filter(|rule| meant(rule)) {
        let held_by = format!("trust rule {}", rule.rule.name).into();
        match &rule.rule.keys {
            KeySource::Roots(roots) => dated.extend(dated::authorities(login, roots, &held_by, &rule.location)),
            KeySource::Bundle(bundle) => dated.extend(dated::authorities(login, bundle.roots(), &held_by, &rule.location)),
            KeySource::Remote(..) | KeySource::Fixed(_) => {}
        }
    }
    dated
}

fn policies(context: &LoadContext, files: &[PolicyText]) -> Option<Policies> {
    let texts: Vec<(PathBuf, String)> = files.iter().map(|file| (PathBuf::from(&*file.file), file.text.clone())).collect();
    let wrong = |found: Vec<Diagnostic>| found.into_iter().for_each(|diagnostic| context.report(diagnostic));
    let policies = Policies::parse(&texts).map_err(wrong).ok()?;
    policies.warnings().iter().for_each(|warning| context.report_warning(warning.clone()));
    Some(policies)
}
