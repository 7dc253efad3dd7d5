//! A token on trial: what every trust rule that looks at it finds, and what it would mean here. Nothing is recorded, nothing is
//! spent, and nothing of the token is kept.

use serde::Serialize;

use crate::catalog::Status;
use crate::deployment::Deployment;
use crate::jose::Compact;
use crate::lifecycle::{EVIDENCE_SKEW, InactiveStatus, StateView, VouchedState, vouched_states};
use crate::oauth::{ClientId, RuleName, Subject, Time};
use crate::token::{obtained_by, presentable};
use crate::trust::{SubjectKind, Trial, TrialCheck, TrustKind, TrustStore, VerifiedAssertion, visible};

/// A token as all rules that look at it see it.
#[derive(Debug, Serialize)]
pub struct TokenTrial {
    /// True where exactly one rule accepts it, and nothing ended that keeps it from counting.
    pub ok: bool,
    /// The rules that look at it.
    pub rules: Vec<RuleTrial>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// True where the state of a data folder was asked too: what was ended, suspended or retired.
    pub with_state: bool,
}

/// A token as one rule sees it.
#[derive(Debug, Serialize)]
pub struct RuleTrial {
    /// The rule.
    pub rule: String,
    /// Its kind.
    pub kind: &'static str,
    /// Every check, in the order in which a server makes them.
    pub checks: Vec<CheckReport>,
    /// The meaning of the token, where the rule accepts it.
    pub accepted: Option<TokenMeaning>,
}

/// One check of a token.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// Its name.
    pub check: String,
    /// True where it passes.
    pub ok: bool,
    /// What the token has there.
    pub found: String,
    /// What is wanted there.
    pub wanted: String,
    /// Why it fails, as a server answers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The meaning here of a token that is accepted.
#[derive(Debug, Serialize)]
pub struct TokenMeaning {
    /// The subject.
    pub subject: String,
    /// `user` or `workload`.
    pub subject_kind: &'static str,
    /// The running copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The attributes that policies see, each with its value.
    pub attributes: Vec<(String, String)>,
    /// The scopes that the rule makes of those of an access token, as `theirs is ours of an API`; none for another token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The client that obtained it, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The agents that it logs in.
    pub agents: Vec<String>,
    /// The agents that may present it as a subject token, beside itself.
    pub presenters: Vec<String>,
}

/// The ground of a trial: the rules with their keys, and what there is beside them.
#[derive(Clone, Copy)]
pub struct TrialGround<'a> {
    /// The rules.
    pub trust: &'a TrustStore,
    /// The configuration that they are of; none where they stand alone.
    pub deployment: Option<&'a Deployment>,
    /// The state of the server's records, where there is one.
    pub state: Option<&'a dyn StateView>,
}

impl<'a> TrialGround<'a> {
    /// The rules of a configuration.
    pub fn of(deployment: &'a Deployment, state: Option<&'a dyn StateView>) -> Self {
        Self { trust: &deployment.trust, deployment: Some(deployment), state }
    }
}

/// Tries `token` under every rule that looks at it, or under the rule `only`.
pub async fn try_token(ground: TrialGround<'_>, token: &Compact<'_>, only: Option<&RuleName>, now: Time) -> TokenTrial {
    let with_state = ground.state.is_some();
    match ground.trust.trials(token, only, now).await {
        Err(refused) => {
            let found = refused.found().map_or_else(|| refused.to_string(), |found| format!("{refused} ({found})"));
            let own = ground.is_own(token).then_some("; it is this server's own: `countersign token inspect` reads it");
            let found = Some(found + own.unwrap_or_default());
            TokenTrial { ok: false, rules: Vec::new(), found, with_state }
        }
        Ok(trials) => {
            let rules: Vec<RuleTrial> = trials.iter().map(|trial| ground.report(trial, now)).collect();
            let accepting = rules.iter().filter(|rule| rule.accepted.is_some()).count();
            let whole = |rule: &&RuleTrial| rule.accepted.is_some() && rule.checks.iter().all(|check| check.ok);
            TokenTrial { ok: accepting == 1 && rules.iter().filter(whole).count() == 1, rules, found: None, with_state }
        }
    }
}

impl TrialGround<'_> {
    fn is_own(&self, token: &Compact<'_>) -> bool {
        let issuer = token.unverified_claims().ok().and_then(|claims| claims.text("iss").ok().flatten());
        issuer.zip(self.deployment).is_some_and(|(issuer, deployment)| *issuer == *deployment.issuer.as_str())
    }

    fn report(&self, trial: &Trial, now: Time) -> RuleTrial {
        let mut checks: Vec<CheckReport> = trial.checks.iter().map(CheckReport::of).collect();
        let accepted = trial.accepted.as_ref().map(|assertion| {
            let subject = Subject::foreign(trial.rule.name(), assertion.id());
            let meant = self.meaning(assertion, &subject);
            if let Some(deployment) = self.deployment {
                let read = presentable(assertion, &deployment.issuer, now);
                let found = delegation(assertion);
                checks.push(CheckReport::new("act, may_act", &found, "what can be honoured here", read.as_ref().err()));
                let ended = |state| ended(deployment, state, (assertion, &subject), &meant.agents, now);
                checks.extend(self.state.map(ended));
            }
            meant
        });
        RuleTrial { rule: trial.rule.name().to_string(), kind: trial.rule.kind().name(), checks, accepted }
    }

    fn meaning(&self, assertion: &VerifiedAssertion, subject: &Subject) -> TokenMeaning {
        let (rule, claims) = (assertion.rule(), assertion.claims());
        let client = obtained_by(rule, claims).ok().flatten();
        let presenters = match (rule.subject_kind(), self.deployment) {
            (SubjectKind::Workload, _) => rule.presenters().iter().map(ToString::to_string).collect(),
            (SubjectKind::User, deployment) => {
                deployment.map(|deployment| of_client(rule.name(), client.as_deref(), deployment)).unwrap_or_default()
            }
        };
        let agents = self.deployment.map(|deployment| deployment.logins.agents_of(assertion)).unwrap_or_default();
        TokenMeaning {
            subject: subject.to_string(),
            subject_kind: rule.subject_kind().name(),
            instance: assertion.instance().map(str::to_owned),
            attributes: attributes(assertion),
            scopes: scopes(assertion),
            client: client
                .as_deref()
                .map(visible)
                .filter(|_| rule.subject_kind() == SubjectKind::User || rule.kind() == TrustKind::Oauth),
            agents: agents.into_iter().map(ToString::to_string).collect(),
            presenters,
        }
    }
}

/// The attributes with every character visible.
fn attributes(assertion: &VerifiedAssertion) -> Vec<(String, String)> {
    assertion.attributes().iter().map(|(name, value)| (name.clone(), visible(value))).collect()
}

/// The token's words on who acts and who may.
fn delegation(assertion: &VerifiedAssertion) -> String {
    let told = |claim: &&str| Some(format!("{claim} {}", visible(assertion.claims().raw(claim)?)));
    let told: Vec<String> = ["act", "may_act"].iter().filter_map(told).collect();
    if told.is_empty() { "absent".to_owned() } else { told.join(", ") }
}

/// The meaning of the scopes of an access token here.
fn scopes(assertion: &VerifiedAssertion) -> Option<Vec<String>> {
    let rule = assertion.rule();
    let named = rule.access_tokens()?.scopes(assertion.claims()).unwrap_or_default();
    let mapped = rule.scopes().iter().filter(|map| named.iter().any(|name| name == map.from.as_str()));
    Some(mapped.map(|map| format!("{} is {} of {}", map.from, map.to, map.api)).collect())
}

/// The agents whose files list that client of the rule's issuer, in alphabetical order.
fn of_client(rule: &RuleName, client: Option<&str>, deployment: &Deployment) -> Vec<String> {
    let listed = |client: &str| {
        let agents = deployment.catalog.agents().filter(|agent| agent.is_foreign_client(rule, client));
        let mut agents: Vec<String> = agents.map(|agent| agent.id.to_string()).collect();
        agents.sort_unstable();
        agents
    };
    client.map(listed).unwrap_or_default()
}

/// Nothing that the token vouches for ended since it was issued, nor is suspended or retired.
fn ended(
    deployment: &Deployment,
    state: &dyn StateView,
    (assertion, subject): (&VerifiedAssertion, &Subject),
    agents: &[String],
    now: Time,
) -> CheckReport {
    let agent = agents.first().filter(|_| agents.len() == 1).and_then(|id| ClientId::parse(id).ok());
    let named = (subject, agent.as_ref(), assertion.instance());
    let states = vouched_states((state, &deployment.pseudonyms), named, assertion.issued(), now);
    let file = agent.as_ref().and_then(|id| deployment.catalog.agent(id)).map(|agent| agent.status);
    let mut told: Vec<String> = states.iter().filter(|state| !state.counts).map(|state| not_counting(state, now)).collect();
    told.extend(
        file.filter(|status| *status != Status::Active).map(|status| format!("the agent's file says {}", status.as_str())),
    );
    let ago = format!("issued {} s ago", now.since(assertion.issued()).as_secs());
    CheckReport {
        check: "not ended".to_owned(),
        ok: told.is_empty(),
        found: [ago].into_iter().chain(told.iter().cloned()).collect::<Vec<_>>().join("; "),
        wanted: "issued after the last end of all that it vouches for; nothing suspended or retired".to_owned(),
        reason: (!told.is_empty()).then(|| "what it vouches for was ended, suspended or retired".to_owned()),
    }
}

fn not_counting(state: &VouchedState, now: Time) -> String {
    match (state.inactive, state.ended) {
        (Some(InactiveStatus::Suspended), _) => format!("the {} is suspended", state.thing),
        (Some(InactiveStatus::Retired), _) => format!("the {} is retired", state.thing),
        (None, Some(ended)) => {
            let (ago, skew) = (now.since(ended).as_secs(), EVIDENCE_SKEW.as_secs());
            format!("the {} was ended {ago} s ago, and what is issued until {skew} s after that does not count", state.thing)
        }
        (None, None) => format!("the {} does not count", state.thing),
    }
}

impl CheckReport {
    fn of(check: &TrialCheck) -> Self {
        Self::new(&check.name, &check.found, &check.wanted, check.refused.as_ref())
    }

    fn new(check: &str, found: &str, wanted: &str, refused: Option<&impl ToString>) -> Self {
        Self {
            check: check.to_owned(),
            ok: refused.is_none(),
            found: found.to_owned(),
            wanted: wanted.to_owned(),
            reason: refused.map(ToString::to_string),
        }
    }
}
