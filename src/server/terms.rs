//! The terms of a configuration: what its trust rules, agents and APIs allow and demand, in words. Those in force are kept in the
//! data folder, so that the log, and `check --against` before anything is put in force, can tell what a change takes back: what
//! ends with it, and what is narrowed while that which was issued before lives on.
//!
//! They stand in a file and not among what the store remembers, because they tell and do not decide: what ends is decided by the
//! store alone, and a file that people can read is easier to look at, to compare and to lose.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::catalog::{Agent, Api, ConstraintRequirement, Status};
use crate::crypto::Digest;
use crate::deployment::Deployment;
use crate::policy::{NamesBySort, Vocabulary};
use crate::store::InForceFile;
use crate::trust::TrustRule;

const VERSION: u32 = 1;

/// The terms of everything that a configuration has in force, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigurationTerms {
    version: u32,
    agents: BTreeMap<String, PrincipalTerms>,
    apis: BTreeMap<String, PrincipalTerms>,
    rules: BTreeMap<String, PrincipalTerms>,
    /// The digest of the configuration; none where a version wrote them that knew of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// The terms of one trust rule, agent or API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalTerms {
    /// Without any one of these it is another one, and what was issued before ends.
    rests_on: BTreeSet<String>,
    /// What it allows.
    allows: BTreeSet<String>,
    /// What it demands.
    demands: BTreeSet<String>,
    /// The longest times that it allows, in seconds.
    longest: BTreeMap<String, u64>,
}

/// One trust rule, agent or API of which a configuration takes something back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenBack {
    /// The kind: `trust rule`, `agent` or `API`.
    kind: TermsOwner,
    /// Its name.
    name: String,
    /// True where what was issued before ends.
    pub ends: bool,
    /// The terms that changed.
    terms: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TermsOwner {
    Rule,
    Agent,
    Api,
}

/// What `deployment` takes back of what is in force on the data folder `data`, as it is remembered there; none where nothing is.
///
/// # Errors
/// When the file cannot be read.
pub fn taken_back(deployment: &Deployment, data: &Path) -> io::Result<Option<Vec<TakenBack>>> {
    let before = remembered(&InForceFile::new(data))?;
    Ok(before.map(|before| ConfigurationTerms::of(deployment).taken_from(&before)))
}

/// True where the configuration with this digest is not known to be the one in force on the data folder `data`.
pub(super) fn is_another(digest: &Digest, data: &Path) -> bool {
    let before = remembered(&InForceFile::new(data)).ok().flatten().and_then(|before| before.digest);
    before.as_deref() != Some(&*digest.to_string())
}

/// Logs what `deployment`, which comes into force, takes back of what was, and remembers its terms. That this cannot be done is
/// logged: it decides nothing.
pub(super) fn take_up(deployment: &Deployment, digest: &Digest, data: &Path) {
    let (file, now) = (InForceFile::new(data), ConfigurationTerms::of(deployment));
    let now = ConfigurationTerms { digest: Some(digest.to_string()), ..now };
    let before = remembered(&file).unwrap_or_else(|error| {
        tracing::warn!(%error, file = %file.path().display(), "what was in force cannot be read, nor what is narrowed told");
        None
    });
    for change in before.iter().flat_map(|before| now.taken_from(before)) {
        tracing::warn!("{change}");
    }
    remember_names(deployment, data);
    if before.as_ref() == Some(&now) {
        return;
    }
    let written = serde_json::to_vec_pretty(&now).map_err(io::Error::from).and_then(|text| file.write(&text));
    if let Err(error) = written {
        tracing::warn!(%error, file = %file.path().display(), "what is in force cannot be remembered");
    }
}

/// Adds the names of `deployment` to those that ever were in force: a policy that goes on naming one is no mistake. That this
/// cannot be done is logged.
fn remember_names(deployment: &Deployment, data: &Path) {
    let file = InForceFile::of_names(data);
    let rules = deployment.trust.rules().map(|rule| &**rule);
    let vocabulary = Vocabulary::new(&deployment.catalog, rules, deployment.depth_max, NamesBySort::new());
    let before = file.read().ok().flatten().and_then(|text| NamesBySort::parse(&text)).unwrap_or_default();
    let all = before.clone().with(vocabulary.names());
    if all == before {
        return;
    }
    if let Err(error) = file.write(all.to_json().as_bytes()) {
        tracing::warn!(%error, file = %file.path().display(), "the names that are in force cannot be remembered");
    }
}

fn remembered(file: &InForceFile) -> io::Result<Option<ConfigurationTerms>> {
    let Some(text) = file.read()? else { return Ok(None) };
    let terms: ConfigurationTerms = serde_json::from_slice(&text)?;
    Ok(Some(terms).filter(|terms| terms.version == VERSION))
}

impl ConfigurationTerms {
    fn of(deployment: &Deployment) -> Self {
        let catalog = &deployment.catalog;
        let agents = catalog.agents().filter(|agent| agent.status != Status::Retired);
        let rules = deployment.trust.rules().filter(|rule| rule.enabled());
        Self {
            version: VERSION,
            agents: agents.map(|agent| (agent.id.to_string(), of_agent(agent, deployment))).collect(),
            apis: catalog.apis().map(|api| (api.id.to_string(), of_api(api))).collect(),
            rules: rules.map(|rule| (rule.name().to_string(), of_rule(rule))).collect(),
            digest: None,
        }
    }

    /// What these terms take back of those `before`, in their order.
    fn taken_from(&self, before: &Self) -> Vec<TakenBack> {
        let kinds = [
            (TermsOwner::Rule, &before.rules, &self.rules),
            (TermsOwner::Agent, &before.agents, &self.agents),
            (TermsOwner::Api, &before.apis, &self.apis),
        ];
        let of_kind = |(kind, before, now): (TermsOwner, &BTreeMap<String, PrincipalTerms>, &BTreeMap<_, PrincipalTerms>)| {
            let one = |(name, terms): (&String, &PrincipalTerms)| {
                let (ends, terms) = now.get(name).map_or_else(|| (true, Vec::new()), |now| now.taken_from(terms));
                (ends || !terms.is_empty()).then(|| TakenBack { kind, name: name.clone(), ends, terms })
            };
            before.iter().filter_map(one).collect::<Vec<_>>()
        };
        kinds.into_iter().flat_map(of_kind).collect()
    }
}

impl PrincipalTerms {
    /// Whether what was issued under the terms `before` ends, and what of them is taken back.
    fn taken_from(&self, before: &Self) -> (bool, Vec<String>) {
        let gone: Vec<String> = before.rests_on.difference(&self.rests_on).map(|term| format!("no longer {term}")).collect();
        if !gone.is_empty() {
            return (true, gone);
        }
        let allowed = before.allows.difference(&self.allows).map(|term| format!("no longer {term}"));
        let demanded = self.demands.difference(&before.demands).map(|term| format!("now {term}"));
        let shorter = before.longest.iter().filter_map(|(name, longest)| {
            let now = self.longest.get(name).filter(|now| *now < longest)?;
            Some(format!("{name} {now} s, not {longest} s"))
        });
        (false, allowed.chain(demanded).chain(shorter).collect())
    }
}

fn of_rule(rule: &TrustRule) -> PrincipalTerms {
    let audiences = rule.audiences().iter().map(|audience| format!("audience {audience}"));
    let algorithms = rule.algorithms().iter().map(|algorithm| format!("algorithm {algorithm}"));
    let presenters = rule.presenters().iter().map(|agent| format!("presenter {agent}"));
    let scopes = rule.scopes().iter().map(|map| format!("scope {} as {} on {}", map.from, map.to, map.api));
    let required = rule.require().iter().map(|requirement| format!("required: {requirement}"));
    let review = rule.review().map(|review| format!("required: a review by {}", review.api));
    PrincipalTerms {
        rests_on: [format!("issuer {} of kind {}", rule.issuer(), rule.kind().name())].into(),
        allows: audiences.chain(algorithms).chain(presenters).chain(scopes).collect(),
        demands: required.chain(review).collect(),
        longest: [("lifetime_max".to_owned(), rule.lifetime_max().as_secs())].into(),
    }
}

fn of_agent(agent: &Agent, deployment: &Deployment) -> PrincipalTerms {
    let clients = agent.foreign_clients.iter().map(|(rule, client)| format!("foreign client {client} under {rule}"));
    let bound =
        [("dpop_bound_access_tokens", agent.bound.dpop), ("tls_client_certificate_bound_access_tokens", agent.bound.certificate)];
    PrincipalTerms {
        allows: clients.chain(deployment.logins.terms_of(&agent.id)).collect(),
        demands: bound.into_iter().filter(|(_, bound)| *bound).map(|(name, _)| name.to_owned()).collect(),
        ..PrincipalTerms::default()
    }
}

fn of_api(api: &Api) -> PrincipalTerms {
    let agent = api.agent.as_ref().map_or_else(|| "without an agent".to_owned(), |agent| format!("of agent {agent}"));
    let scopes = api.scopes.iter().map(|(scope, info)| format!("scope {scope} with effect {}", info.effect.as_str()));
    let derive = api.derive.iter().map(|step| format!("{} from {} of {}", step.to, step.from_scope, step.from_api));
    let touched = api.scopes.iter().flat_map(|(scope, info)| info.data.iter().map(move |class| (scope, class)));
    let constraint = (api.sender_constraint == ConstraintRequirement::Required).then(|| "sender_constraint required".to_owned());
    PrincipalTerms {
        rests_on: [agent].into_iter().chain(scopes).collect(),
        allows: [format!("destination {}", api.destination.as_str())].into_iter().chain(derive).collect(),
        demands: touched.map(|(scope, class)| format!("{class} touched by {scope}")).chain(constraint).collect(),
        longest: api.lifetime.iter().map(|longest| ("lifetime".to_owned(), longest.as_secs())).collect(),
    }
}

impl TermsOwner {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Rule => ("trust rule", "--rule"),
            Self::Agent => ("agent", "--agent"),
            Self::Api => ("API", "--api"),
        }
    }
}

impl fmt::Display for TakenBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, option) = self.kind.words();
        let (name, terms) = (&self.name, self.terms.join(", "));
        match (self.ends, self.terms.is_empty()) {
            (true, true) => write!(f, "{kind} {name} is not in force any more: what was issued under it before ends"),
            (true, false) => write!(f, "{kind} {name} is another one ({terms}): what was issued under it before ends"),
            (false, _) => write!(
                f,
                "{kind} {name} is narrowed ({terms}): what was issued before lives on; \
                 `countersign revoke {option} {name}` ends it"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(allows: &[&str], demands: &[&str], longest: u64) -> PrincipalTerms {
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let longest = [("lifetime_max".to_owned(), longest)].into();
        PrincipalTerms { rests_on: set(&["issuer a"]), allows: set(allows), demands: set(demands), longest }
    }

    fn told(before: &PrincipalTerms, now: Option<&PrincipalTerms>) -> Vec<String> {
        let of = |terms: Option<&PrincipalTerms>| ConfigurationTerms {
            rules: terms.map(|terms| ("idp".to_owned(), terms.clone())).into_iter().collect(),
            ..ConfigurationTerms::default()
        };
        of(now).taken_from(&of(Some(before))).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_taken_back_is_told_and_what_is_given_is_not() {
        let before = terms(&["audience a", "audience b"], &["required: x is 1"], 60);
        assert_eq!(told(&before, Some(&before)), Vec::<String>::new());
        assert_eq!(told(&before, Some(&terms(&["audience a", "audience b", "audience c"], &[], 90))), Vec::<String>::new());
        let narrowed = told(&before, Some(&terms(&["audience a"], &["required: x is 1", "required: y is 2"], 30)));
        assert_eq!(
            narrowed,
            [concat!(
                "trust rule idp is narrowed (no longer audience b, now required: y is 2, lifetime_max 30 s, not 60 s): ",
                "what was issued before lives on; `countersign revoke --rule idp` ends it"
            )]
        );
        assert_eq!(told(&before, None), ["trust rule idp is not in force any more: what was issued under it before ends"]);
        let other = PrincipalTerms { rests_on: ["issuer b".to_owned()].into(), ..before.clone() };
        assert_eq!(
            told(&before, Some(&other)),
            ["trust rule idp is another one (no longer issuer a): what was issued under it before ends"]
        );
    }
}
