//! From files to what the stages use: rules, logins and policies; and from a whole configuration to the world that it means.

use std::path::PathBuf;
use std::sync::Arc;

use super::desk::Desk;
use super::reader::{Located, all};
use super::{AgentFile, Config, Diagnostic, Diagnostics, DpopNonce, LoginFile, PolicyText, Settings, TrustFile, dated};
use crate::catalog::Place;
use crate::client::{AssertionAudience, AuthMethod, ClientAuth, ClientAuths, Dated, DpopRules, LoginComplaint, Nonces};
use crate::crypto::{MacKey, SealKey};
use crate::deployment::{Deployment, TOKEN_PATH};
use crate::jose::Cache;
use crate::keys::Sequences;
use crate::mint::Signers;
use crate::oauth::ClientId;
use crate::policy::{Policies, PolicyComplaint, TaskLimits, TokenLimits};
use crate::token::IssuerKeys;
use crate::trust::{
    DuplicateRule, Severity, SubjectKind, TrustKind, TrustRule, TrustRuleParts, TrustRuleReason, TrustStore, findings,
};
use crate::x509::Roots;

/// The keys of a world, parsed.
#[derive(Debug)]
pub struct ServerKeys {
    /// The keys that sign.
    pub signers: Signers,
    /// The key that seals ancestries.
    pub ancestry: SealKey,
    /// The key of the pseudonyms.
    pub pseudonyms: MacKey,
    /// What remembers which of our own tokens were verified.
    pub verified: Arc<Cache>,
    /// The newest bundles of trust domains, as far as they are known.
    pub sequences: Arc<Sequences>,
}

/// Rules, logins and policies as the stages use them.
#[derive(Debug)]
pub(super) struct Parts {
    rules: Vec<TrustRule>,
    pub(super) logins: ClientAuths,
    policies: Policies,
}

impl Parts {
    /// What the files mean. None when anything is wrong in them beyond what each alone could tell; the complaints say what.
    pub(super) fn new(
        desk: &Desk,
        client_ca: Option<(&Located<PathBuf>, &Arc<Roots>)>,
        rules: &[TrustFile],
        agents: &[AgentFile],
        policies: &[PolicyText],
    ) -> Option<Self> {
        let dated = dated(agents, client_ca, rules);
        let rules = rules.iter().map(|file| rule(desk, file, agents));
        let logins = logins(desk, agents, client_ca.map(|(_, roots)| roots));
        let (rules, policies) = (all(rules), self::policies(desk, policies));
        Some(Self { rules: rules?, logins: logins?.with_dated(dated), policies: policies? })
    }
}

/// The world that `config` means under `keys`. `previous`, which it replaces, hands on what it fetched.
///
/// # Errors
/// When two trust rules have one name, which no configuration that was read has.
pub fn world(config: Config, keys: ServerKeys, previous: Option<&Deployment>) -> Result<Deployment, Diagnostics> {
    let Parts { rules, logins, policies } = config.parts;
    let trust = TrustStore::remembering(rules, previous.map(|world| &*world.trust), keys.sequences).map_err(twice)?;
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
            nonces: Nonces::new(keys.pseudonyms.clone()),
            nonce_required: settings.dpop.nonce == DpopNonce::Required,
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
        depth_max: u32::try_from(settings.tokens.chain_depth_max).unwrap_or(u32::MAX),
        issuer: settings.issuer,
    })
}

/// Where our endpoints are: below the issuer identifier, and where clients are asked for certificates.
fn bases(settings: &Settings) -> Vec<String> {
    let path = settings.issuer.path();
    let alias = settings.tls.mtls_url.iter().map(|base| format!("{}{path}", base.trim_end_matches('/')));
    std::iter::once(settings.issuer.join("")).chain(alias).collect()
}

fn twice(rule: DuplicateRule) -> Diagnostics {
    let place = Place { file: "the configuration".into(), line: 0 };
    Diagnostics::new(vec![Diagnostic::new(place, format!("two trust rules are called \"{}\"", rule.0))])
}

/// The rule that a file means.
pub(super) fn meant(desk: &Desk, file: &TrustFile, agents: &[AgentFile]) -> Option<TrustRule> {
    let complain = |reasons: Vec<TrustRuleReason>| {
        reasons.iter().for_each(|reason| desk.complain(Diagnostic::new(file.place_of(reason), reason.to_string())));
    };
    TrustRule::new(TrustRuleParts { audiences: audiences(&file.rule, agents), ..file.rule.clone() }).map_err(complain).ok()
}

/// The rule that a file means; whom it admits beyond what its author may have meant is warned of.
fn rule(desk: &Desk, file: &TrustFile, agents: &[AgentFile]) -> Option<TrustRule> {
    let rule = meant(desk, file, agents)?;
    let warned = findings(&rule).into_iter().filter(|finding| finding.severity != Severity::Note);
    warned.for_each(|finding| desk.warn(Diagnostic::new(file.place.clone(), format!("{}; see `trust check`", finding.sentence))));
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

fn logins(desk: &Desk, agents: &[AgentFile], client_ca: Option<&Arc<Roots>>) -> Option<ClientAuths> {
    let made =
        agents.iter().map(|file| (file.agent.entry.id.clone(), file.logins.iter().map(|file| login(file, client_ca)).collect()));
    let complain = |list: Vec<LoginComplaint>| list.iter().for_each(|complaint| desk.complain(told(complaint, agents)));
    ClientAuths::new(made).map_err(complain).ok()
}

/// What of each agent's logins runs out by itself.
fn dated(
    agents: &[AgentFile],
    client_ca: Option<(&Located<PathBuf>, &Arc<Roots>)>,
    rules: &[TrustFile],
) -> Vec<(ClientId, Vec<Dated>)> {
    let authority = client_ca.map(|(file, roots)| dated::of_roots(AuthMethod::TlsClientAuth, roots, file)).unwrap_or_default();
    let of_agent = |file: &AgentFile| file.logins.iter().flat_map(|login| dated::of_login(login, &authority, rules)).collect();
    agents.iter().map(|file| (file.agent.entry.id.clone(), of_agent(file))).collect()
}

fn told(complaint: &LoginComplaint, agents: &[AgentFile]) -> Diagnostic {
    let file = agents.iter().find(|file| file.agent.entry.id == complaint.agent);
    let place = file.map(|file| file.agent.places.of(&format!("login/{}", complaint.position))).unwrap_or_default();
    Diagnostic::new(place, complaint.reason.to_string())
}

fn login(file: &LoginFile, client_ca: Option<&Arc<Roots>>) -> ClientAuth {
    match file {
        LoginFile::PrivateKeyJwt { keys, token_endpoint_audience, algorithms, .. } => ClientAuth::PrivateKeyJwt {
            keys: keys.clone(),
            algorithms: algorithms.clone(),
            accept_token_endpoint: *token_endpoint_audience,
        },
        LoginFile::SpiffeJwt { spiffe_id } => ClientAuth::SpiffeJwt { id: spiffe_id.value.clone() },
        LoginFile::WorkloadX509 { trust, matchers } => ClientAuth::WorkloadX509 {
            rule: trust.value.clone(),
            matchers: matchers.iter().map(|matcher| matcher.requirement.clone()).collect(),
        },
        LoginFile::WorkloadJwt { trust, matchers } => ClientAuth::WorkloadJwt {
            rule: trust.value.clone(),
            matchers: matchers.iter().map(|matcher| matcher.requirement.clone()).collect(),
        },
        LoginFile::TlsClientAuth { roots, name, .. } => ClientAuth::TlsClientAuth {
            roots: roots.clone().or_else(|| client_ca.cloned()).unwrap_or_default(),
            name: name.clone(),
        },
        LoginFile::SelfSignedTls { certificates, keys, .. } => {
            ClientAuth::SelfSignedTls { certificates: certificates.clone(), keys: keys.clone() }
        }
        LoginFile::SpiffeX509 { spiffe_id } => ClientAuth::SpiffeX509 { id: spiffe_id.value.clone() },
        LoginFile::Secret { hash, basic } => ClientAuth::Secret { digest: *hash, basic: *basic, post: !*basic },
    }
}

fn policies(desk: &Desk, files: &[PolicyText]) -> Option<Policies> {
    let texts: Vec<(PathBuf, String)> = files.iter().map(|file| (PathBuf::from(&*file.file), file.text.clone())).collect();
    let told = |found: &PolicyComplaint| {
        let place = Place { file: found.file.to_string_lossy().into(), line: u32::try_from(found.line).unwrap_or(0) };
        Diagnostic::new(place, found.message.clone())
    };
    let policies = Policies::parse(&texts).map_err(|list| list.iter().for_each(|found| desk.complain(told(found)))).ok()?;
    policies.warnings().iter().for_each(|found| desk.warn(told(found)));
    Some(policies)
}
