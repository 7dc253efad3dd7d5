//! From a configuration to the world that it means: rules, logins and policies as the stages use them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Complaint, Complaints, Config, IssuerFile, KeysFile, LoginFile, MatcherFile, SubjectKindFile, TestFile, TrustFile};
use crate::catalog::Place;
use crate::client::{AssertionAudience, Login, Logins};
use crate::crypto::{MacKey, SealKey};
use crate::exchange::World;
use crate::jose::Cache;
use crate::mint::Signers;
use crate::oauth::ClientId;
use crate::policy::{Limits, Policies};
use crate::token::OwnKeys;
use crate::trust::{
    KeyLocation, KeySource, Literal, Matcher, Pace, Requirement, SpiffePattern, SubjectKind, SubjectParts, Trust, TrustDomain,
    TrustKind, TrustRule, TrustRuleParts,
};

/// The keys of a world, parsed.
#[derive(Debug)]
pub struct KeyMaterial {
    /// The keys that sign.
    pub signers: Signers,
    /// The key that seals ancestries.
    pub ancestry: SealKey,
    /// The key of the pseudonyms.
    pub pseudonyms: MacKey,
    /// What remembers which of our own tokens were verified.
    pub verified: Arc<Cache>,
}

/// The world that `config` means under `keys`. `previous`, which it replaces, hands on what it fetched.
///
/// # Errors
/// What is wrong with rules, logins and policies beyond what the files alone could tell.
pub fn world(config: Config, keys: KeyMaterial, previous: Option<&World>) -> Result<World, Complaints> {
    let mut complaints = Vec::new();
    let trust = trust(&config, previous, &mut complaints);
    let logins = logins(&config, &mut complaints);
    let policies = policies(&config, &mut complaints);
    let (Some(trust), Some(logins), Some(policies), true) = (trust, logins, policies, complaints.is_empty()) else {
        return Err(Complaints::new(complaints));
    };
    let settings = config.settings;
    let token_endpoint = settings.issuer.join("/token");
    let own_set = Arc::new(keys.signers.key_set());
    Ok(World {
        audience: AssertionAudience { issuer: settings.issuer.clone(), token_endpoint },
        own: OwnKeys::new(settings.issuer.clone(), own_set, keys.ancestry, keys.verified),
        catalog: config.catalog,
        logins,
        trust: Arc::new(trust),
        policies,
        signers: keys.signers,
        pseudonyms: keys.pseudonyms,
        limits: Limits {
            issuer: settings.issuer.clone(),
            lifetime: settings.tokens.lifetime,
            lifetime_max: settings.tokens.lifetime_max,
        },
        depth_max: u32::try_from(settings.tokens.chain_depth_max).unwrap_or(u32::MAX),
        issuer: settings.issuer,
    })
}

fn trust(config: &Config, previous: Option<&World>, complaints: &mut Vec<Complaint>) -> Option<Trust> {
    let mut rules = Vec::new();
    for file in &config.rules {
        match TrustRule::new(parts(file, config)) {
            Ok(rule) => rules.push(rule),
            Err(reasons) => {
                complaints.extend(reasons.iter().map(|reason| Complaint::new(file.place.clone(), reason.to_string())));
            }
        }
    }
    let trust = Trust::new(rules, previous.map(|world| &*world.trust));
    trust.map_err(|twice| complaints.push(Complaint::new(nowhere(), format!("two trust rules are called {}", twice.0)))).ok()
}

fn parts(file: &TrustFile, config: &Config) -> TrustRuleParts {
    let (kind, issuer, trust_domain) = match &file.issuer {
        IssuerFile::Oidc(issuer) => (TrustKind::Oidc, Some(issuer.clone()), None),
        IssuerFile::Spiffe(domain) => (TrustKind::Spiffe, None, TrustDomain::parse(domain).ok()),
    };
    TrustRuleParts {
        name: file.name.clone(),
        kind,
        issuer,
        trust_domain,
        audiences: audiences(file, config),
        algorithms: file.algorithms.clone(),
        lifetime_max: file.lifetime_max,
        subject: SubjectParts {
            kind: match file.subject.kind {
                SubjectKindFile::User => SubjectKind::User,
                SubjectKindFile::Workload => SubjectKind::Workload,
            },
            id: file.subject.id.clone(),
            instance: file.subject.instance.clone(),
            attributes: file.subject.attributes.clone(),
        },
        require: file.require.iter().map(|matcher| (matcher.claim.clone(), self::matcher(matcher))).collect(),
        presenters: file.presenters.iter().map(|presenter| presenter.value.clone()).collect(),
        enabled: file.enabled,
        keys: keys(file),
    }
}

/// An ID token's audience is the client that obtained it. Listing that client at an agent (`foreign_clients`) makes it an audience of
/// the rule; that the agent itself presents the token is checked when it does.
fn audiences(file: &TrustFile, config: &Config) -> Vec<String> {
    let mut audiences = file.audiences.clone();
    if file.subject.kind == SubjectKindFile::User {
        let clients = config.catalog.agents().flat_map(|agent| &agent.foreign_clients);
        audiences.extend(clients.filter(|(rule, _)| *rule == file.name).map(|(_, client)| client.clone()));
    }
    audiences
}

fn keys(file: &TrustFile) -> KeySource {
    match (&file.keys, &file.issuer) {
        (KeysFile::Given(keys), _) => KeySource::Fixed(Arc::new(keys.clone())),
        (KeysFile::JwksUri(uri), _) => KeySource::Remote(KeyLocation::Uri(uri.clone()), Pace::default()),
        (KeysFile::Discovery, IssuerFile::Oidc(issuer)) => {
            KeySource::Remote(KeyLocation::Discovery { issuer: issuer.clone(), hosts: Vec::new() }, Pace::default())
        }
        // The files' reader refuses discovery for a trust domain; without keys nothing is admitted.
        (KeysFile::Discovery, IssuerFile::Spiffe(_)) => KeySource::Fixed(Arc::new(crate::jose::KeySet::of_signing_keys([]))),
    }
}

fn matcher(file: &MatcherFile) -> Matcher {
    match &file.test {
        TestFile::Exact(text) => Matcher::Is(Literal::Text(text.clone())),
        TestFile::OneOf(texts) => Matcher::OneOf(texts.iter().cloned().map(Literal::Text).collect()),
        TestFile::Boolean(value) => Matcher::Is(Literal::Bool(*value)),
        TestFile::Integer(value) => Matcher::Is(Literal::Number(*value)),
        TestFile::Prefix(prefix) => Matcher::Prefix(prefix.clone()),
        TestFile::Present => Matcher::Present,
    }
}

fn logins(config: &Config, complaints: &mut Vec<Complaint>) -> Option<Logins> {
    let before = complaints.len();
    let mut agents: Vec<(ClientId, Vec<Login>)> = Vec::new();
    for (agent, files) in &config.logins {
        let logins = files.iter().filter_map(|file| login(file).map_err(|complaint| complaints.push(complaint)).ok());
        agents.push((agent.clone(), logins.collect()));
    }
    match Logins::new(agents) {
        Ok(logins) if complaints.len() == before => Some(logins),
        Ok(_) => None,
        Err(list) => {
            complaints.extend(list.iter().map(|complaint| Complaint::new(nowhere(), complaint.to_string())));
            None
        }
    }
}

fn login(file: &LoginFile) -> Result<Login, Complaint> {
    Ok(match file {
        LoginFile::PrivateKeyJwt { keys, token_endpoint_audience, algorithms } => Login::PrivateKeyJwt {
            keys: keys.clone(),
            algorithms: algorithms.clone(),
            accept_token_endpoint: *token_endpoint_audience,
        },
        LoginFile::SpiffeJwt { spiffe_id } => Login::SpiffeJwt {
            id: SpiffePattern::parse(&spiffe_id.value)
                .map_err(|reason| Complaint::new(spiffe_id.place.clone(), format!("spiffe_id {reason}")))?,
        },
        LoginFile::WorkloadJwt { trust, matchers } => Login::WorkloadJwt {
            rule: trust.value.clone(),
            matchers: matchers.iter().map(requirement).collect::<Result<_, _>>()?,
        },
        LoginFile::Secret { hash, basic } => Login::Secret { digest: *hash, basic: *basic, post: !*basic },
    })
}

fn requirement(file: &MatcherFile) -> Result<Requirement, Complaint> {
    Requirement::new(&file.claim, matcher(file)).map_err(|reason| Complaint::new(file.place.clone(), reason.to_string()))
}

fn policies(config: &Config, complaints: &mut Vec<Complaint>) -> Option<Policies> {
    let texts: Vec<(PathBuf, String)> =
        config.policies.iter().map(|policy| (PathBuf::from(&*policy.file), policy.text.clone())).collect();
    let names: HashMap<PathBuf, Arc<str>> =
        config.policies.iter().map(|policy| (PathBuf::from(&*policy.file), Arc::clone(&policy.file))).collect();
    let place = |file: &PathBuf, line: usize| Place {
        file: names.get(file).cloned().unwrap_or_else(|| file.to_string_lossy().into()),
        line: u32::try_from(line).unwrap_or(0),
    };
    let complain = |list: Vec<crate::policy::PolicyComplaint>| {
        complaints.extend(list.into_iter().map(|found| Complaint::new(place(&found.file, found.line), found.message)));
    };
    Policies::parse(&texts).map_err(complain).ok()
}

fn nowhere() -> Place {
    Place { file: "the configuration".into(), line: 0 }
}
