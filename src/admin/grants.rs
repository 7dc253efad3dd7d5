//! The grants of third parties: which foreign clients, workloads and issuers reach which agents and APIs, through the trust rules
//! and maps in force, and when each was last used.

use std::sync::Arc;

use serde::Serialize;

use crate::catalog::{Agent, Status};
use crate::client::{VouchedBy, VouchedLogin};
use crate::deployment::Deployment;
use crate::ledger::Usage;
use crate::lifecycle::StateView;
use crate::oauth::{ClientId, Time};
use crate::trust::TrustRule;

/// The most rules of a page.
pub const GRANT_PAGE_MAX: usize = 50;

/// A part of all trust rules, with what each grants.
#[derive(Debug, Serialize)]
pub struct GrantPage {
    /// The rules, in alphabetical order.
    pub rules: Vec<RuleGrants>,
    /// The rule after which the next part begins; none in the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The grants of one trust rule.
#[derive(Debug, Serialize)]
pub struct RuleGrants {
    /// The rule.
    pub rule: String,
    /// Its kind.
    pub kind: &'static str,
    /// The issuer whom it is about.
    pub issuer: String,
    /// False where it admits nobody.
    pub enabled: bool,
    /// What it requires of every token, in words.
    pub requires: Vec<String>,
    /// Whom it lets reach what.
    pub grants: Vec<GrantReport>,
}

/// A way by which somebody else's client or workload reaches an agent.
#[derive(Debug, Serialize)]
pub struct GrantReport {
    /// The agent.
    pub agent: String,
    /// Its status: the stricter of its file's and the record's.
    pub status: &'static str,
    /// `login`: they are the agent. `subject_token`: the agent acts for them.
    pub by: &'static str,
    /// Who: the client at the issuer, or the workloads.
    pub who: String,
    /// The APIs that policy may permit, with their scopes.
    pub apis: Vec<ReachedApi>,
    /// Seconds since 1970 when it was last used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_use: Option<i64>,
    /// False where the records do not tell: they are pruned, or name the agent and not which of its grants it was.
    pub use_known: bool,
}

/// An API with the scopes that can be reached on it.
#[derive(Debug, Serialize)]
pub struct ReachedApi {
    /// The API.
    pub api: String,
    /// The scopes.
    pub scopes: Vec<String>,
}

/// What the records tell of the use of a grant.
enum LastUse {
    At(Time),
    Never,
    Unknown,
}

/// The deployment with what the records say of it.
struct Grants<'a> {
    deployment: &'a Deployment,
    state: &'a dyn StateView,
    usage: &'a Usage,
    logins: Vec<VouchedLogin>,
}

/// The grants of the rules whose names come after `after`, as many rules as a page has.
pub fn grants(deployment: &Deployment, state: &dyn StateView, usage: &Usage, after: &str) -> GrantPage {
    let mut rules: Vec<&Arc<TrustRule>> = deployment.trust.rules().filter(|rule| rule.name().as_str() > after).collect();
    rules.sort_unstable_by_key(|rule| rule.name().as_str());
    let is_last = rules.len() <= GRANT_PAGE_MAX;
    rules.truncate(GRANT_PAGE_MAX);
    let next = rules.last().filter(|_| !is_last).map(|rule| rule.name().to_string());
    let logins = deployment.logins.vouched_logins();
    let all = Grants { deployment, state, usage, logins };
    GrantPage { rules: rules.into_iter().map(|rule| all.of(rule)).collect(), next }
}

impl Grants<'_> {
    fn of(&self, rule: &TrustRule) -> RuleGrants {
        let mut grants: Vec<GrantReport> = self.logins.iter().filter_map(|login| self.login(rule, login)).collect();
        grants.extend(self.presented(rule));
        RuleGrants {
            rule: rule.name().to_string(),
            kind: rule.kind().name(),
            issuer: rule.issuer().to_owned(),
            enabled: rule.enabled(),
            requires: rule.require().iter().map(ToString::to_string).collect(),
            grants,
        }
    }

    fn login(&self, rule: &TrustRule, login: &VouchedLogin) -> Option<GrantReport> {
        let by_rule = match &login.by {
            VouchedBy::Rule(name) => name == rule.name(),
            VouchedBy::Domain(domain) => rule.trust_domain().is_some() && domain == rule.issuer(),
        };
        let agent = by_rule.then(|| self.deployment.catalog.agent(&login.agent))??;
        let alike = self.logins.iter().filter(|other| (&other.agent, other.method) == (&login.agent, login.method)).count();
        let used = self.usage.of(&login.agent).logins.get(login.method.as_str()).map(|(_, last)| *last);
        let last = self.last(used, alike == 1);
        Some(self.report(agent, "login", login.who.clone(), self.reached(agent, None), &last))
    }

    /// Those whose tokens an agent may present: the clients that its file lists, or every workload of a rule that names it.
    fn presented(&self, rule: &TrustRule) -> Vec<GrantReport> {
        let mut agents: Vec<&Arc<Agent>> = self.deployment.catalog.agents().collect();
        agents.sort_unstable_by_key(|agent| agent.id.as_str());
        let mut grants = Vec::new();
        for agent in agents {
            let clients = agent.foreign_clients.iter().filter(|(named, _)| named == rule.name());
            let mut whose: Vec<String> = clients.map(|(_, client)| format!("client {client}")).collect();
            if rule.presenters().contains(&agent.id) {
                whose.push("every workload of the rule".to_owned());
            }
            let last = self.last(self.usage.last_under(rule.name().as_str(), &agent.id), whose.len() == 1);
            let report = |who| self.report(agent, "subject_token", who, self.reached(agent, Some(rule)), &last);
            grants.extend(whose.into_iter().map(report));
        }
        grants
    }

    /// The last use of a grant, where the agent was seen to use such a one at `used`; `alone` where it has no other of its kind.
    fn last(&self, used: Option<Time>, alone: bool) -> LastUse {
        match used {
            Some(time) if alone => LastUse::At(time),
            None if self.usage.is_whole() => LastUse::Never,
            _ => LastUse::Unknown,
        }
    }

    /// The APIs that some policy may permit the agent, as the heads of the policies say; of access tokens only what their rule
    /// makes of their scopes.
    fn reached(&self, agent: &Agent, by_token_of: Option<&TrustRule>) -> Vec<ReachedApi> {
        let mapped = by_token_of.filter(|rule| rule.access_tokens().is_some()).map(TrustRule::scopes);
        let mut reached: Vec<ReachedApi> = Vec::new();
        for api in self.deployment.catalog.apis() {
            let given = |scope: &_| mapped.is_none_or(|maps| maps.iter().any(|map| map.api == api.id && map.to == *scope));
            let permitted = |scope: &&_| given(scope) && self.deployment.policies.may_permit(agent, api, scope);
            let scopes: Vec<String> = api.scopes.keys().filter(permitted).map(ToString::to_string).collect();
            if !scopes.is_empty() {
                reached.push(ReachedApi { api: api.id.to_string(), scopes });
            }
        }
        reached.sort_unstable_by(|one, other| one.api.cmp(&other.api));
        reached
    }

    fn report(&self, agent: &Agent, by: &'static str, who: String, apis: Vec<ReachedApi>, last: &LastUse) -> GrantReport {
        let (last_use, use_known) = match last {
            LastUse::At(time) => (Some(time.seconds()), true),
            LastUse::Never => (None, true),
            LastUse::Unknown => (None, false),
        };
        let status = self.status(&agent.id, agent.status);
        GrantReport { agent: agent.id.to_string(), status: status.as_str(), by, who, apis, last_use, use_known }
    }

    fn status(&self, id: &ClientId, file: Status) -> Status {
        file.stricter(super::agents::recorded_status(self.deployment.recorded_status(id, self.state)))
    }
}
