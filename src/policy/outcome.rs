//! The three outcomes of policy: a grant, a denial that names what decided, or that a person's approval is needed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::login::StepUp;
use super::unknown_scopes::UnknownScopes;
use crate::binding::SenderConstraint;
use crate::catalog::{Api, StatusBits};
use crate::crypto::Digest;
use crate::oauth::{ClientId, Intent, Resource, Scopes, ScopesOnApi, Time};

/// The outcome of asking policy; `G` is what it grants. There is no fourth.
#[derive(Debug)]
pub enum PolicyOutcome<G> {
    /// Permitted.
    Grant(G),
    /// Not permitted.
    Denial(Denial),
    /// Not permitted, and it would be with the approval of a person (`context.approved`). This server does not ask for
    /// approvals, so it is refused as the denial that it is.
    ApprovalNeeded(Denial),
}

/// The access token that may be issued, and the policies that decided. Made only by [`decide`](super::decide()).
#[derive(Debug)]
pub struct Grant {
    pub(super) apis: Vec<Arc<Api>>,
    pub(super) scopes: Scopes,
    pub(super) held: Vec<ScopesOnApi>,
    pub(super) expires: Time,
    pub(super) policies: Vec<String>,
    pub(super) policy_set: Digest,
    pub(super) touched: Vec<String>,
    pub(super) intent: Option<Intent>,
    pub(super) purpose: String,
    pub(super) constraint: SenderConstraint,
    pub(super) shows_current: bool,
}

/// The task that may be opened, and the policies that decided. Made only by [`open`](super::open()).
#[derive(Debug)]
pub struct TaskGrant {
    pub(super) authority: Vec<ScopesOnApi>,
    pub(super) purpose: String,
    pub(super) data_classes: Vec<String>,
    pub(super) deadline: Time,
    pub(super) budget: u64,
    pub(super) heartbeat: Option<Duration>,
    pub(super) holder: ClientId,
    pub(super) level: u32,
    pub(super) requires_proof: bool,
    pub(super) policies: Vec<String>,
    pub(super) policy_set: Digest,
}

/// A denial, with the evidence that its record carries. `Display` is the public sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub(super) reason: DenialReason,
    pub(super) explanation: Explanation,
    pub(super) policy_set: Option<Digest>,
}

/// The reason for a denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// Policy permits nothing on a target: `invalid_target` (RFC 8693 §2.2.2).
    TargetRefused,
    /// One of several targets got no scope: `invalid_target` (RFC 8693 §2.2.2).
    TargetEmpty,
    /// The scope: `invalid_scope` (RFC 6749 §5.2).
    Scope(ScopeDenial),
    /// Impersonation is not permitted.
    Impersonation,
    /// The client may not present the credential of this actor.
    PresentActor,
    /// Policy permits it for a token that is bound to a key, and no key was proved: `invalid_dpop_proof` (RFC 9449 §5).
    Unbound,
    /// The intent: `invalid_authorization_details` (RFC 9396 §5).
    Intent(IntentDenial),
    /// The task: `invalid_authorization_details` (RFC 9396 §5).
    Task(TaskDenial),
    /// Policy permits it after a stronger or fresher login of the person: `insufficient_user_authentication` (RFC 9470).
    StepUp(StepUp),
    /// Everything presented runs out before a token could be of use.
    Expired,
}

/// The scopes that cannot be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeDenial {
    pub(super) refused: Scopes,
    pub(super) unknown: UnknownScopes,
    pub(super) asked: bool,
    pub(super) narrow: bool,
}

/// The first thing in an intent that cannot be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentDenial {
    /// Another purpose than that of the task, or than an intent before it in the chain stated.
    Purpose,
    /// Classes of data that the task does not have.
    DataClasses,
}

/// The first thing in a task request that cannot be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskDenial {
    /// An `api` that is no API's id.
    UnknownApi,
    /// Scopes of a registered API that it does not declare.
    Undeclared(UnknownScopes),
    /// Scopes of a registered API that the subject token does not give.
    Beyond(Resource, Scopes),
    /// Scopes of a registered API that policy does not permit.
    Refused(Resource, Scopes),
    /// Another purpose than the parent's.
    Purpose,
    /// Classes of data that the parent task does not have, or that do not cover the authority.
    DataClasses,
    /// A longer time than there is: at most so many seconds.
    Deadline(i64),
    /// More exchanges than there are.
    Budget(u64),
    /// One more task below another than there may be.
    Level,
    /// The holder is no registered and active agent.
    Holder,
    /// A holder other than the opener for a task that is no child.
    HolderOfRoot,
}

/// The policies that stood in the way of a request, by id, sorted. Where both lists are empty, no policy permitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Explanation {
    /// Those that raised an error. Each of them denied what it was asked about.
    pub(super) erred: Vec<String>,
    /// Those that forbade, and those whose terms were not met.
    pub(super) forbade: Vec<String>,
}

/// The name in `erred` of a question that the engine could not be asked, which denies it. No policy.
pub(super) const UNANSWERABLE: &str = "(request)";

/// As many scopes are named in one sentence; the others are counted.
const NAMED_MAX: usize = 16;

impl Grant {
    /// The APIs: the audience.
    pub fn apis(&self) -> &[Arc<Api>] {
        &self.apis
    }

    /// All scopes, of all APIs. In a group no two APIs have a scope of the same name.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The scopes by API; every API of the audience has some.
    pub fn held(&self) -> &[ScopesOnApi] {
        &self.held
    }

    /// The API in whose status lists the token stands, and their bits per token. APIs of one group ask for the same.
    pub fn status_list(&self) -> Option<(&Resource, StatusBits)> {
        self.apis.iter().find_map(|api| Some((&api.id, api.status_list?.bits)))
    }

    /// The token's `exp`, in whole seconds, after `now`.
    pub fn expires(&self) -> Time {
        self.expires
    }

    /// The policies that permitted, by id, sorted.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// The digest of the whole set of policies and its schema.
    pub fn policy_set(&self) -> Digest {
        self.policy_set
    }

    /// The classes of data that the chain has touched when this token is used, sorted.
    pub fn touched(&self) -> &[String] {
        &self.touched
    }

    /// The intent that was stated, as granted: whole.
    pub fn intent(&self) -> Option<&Intent> {
        self.intent.as_ref()
    }

    /// The purpose that intents of the chain stated, this one's included; empty where none did.
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// True where the token shows the current actor only, as an API that it is for or a policy that decided wants.
    pub fn shows_current(&self) -> bool {
        self.shows_current
    }

    /// The key that the token is bound to, or none.
    pub fn constraint(&self) -> &SenderConstraint {
        &self.constraint
    }
}

impl TaskGrant {
    /// The authority that no token issued in it exceeds.
    pub fn authority(&self) -> &[ScopesOnApi] {
        &self.authority
    }

    /// Its purpose.
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// The classes of data that may be touched in it, sorted.
    pub fn data_classes(&self) -> &[String] {
        &self.data_classes
    }

    /// Its deadline, in whole seconds, after `now`.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// The number of exchanges it may make.
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// The time it lives without a heartbeat.
    pub fn heartbeat(&self) -> Option<Duration> {
        self.heartbeat
    }

    /// The agent that works on it.
    pub fn holder(&self) -> &ClientId {
        &self.holder
    }

    /// The number of tasks that lie one above the other, this one included.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// True where it is opened with a proof of a key or under a bound token, so that nothing unbound may be issued in it.
    pub fn requires_proof(&self) -> bool {
        self.requires_proof
    }

    /// The policies that permitted, by id, sorted.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// The digest of the whole set of policies and its schema.
    pub fn policy_set(&self) -> Digest {
        self.policy_set
    }
}

impl Denial {
    /// A denial before policy was asked.
    pub(super) fn before_policy(reason: DenialReason) -> Self {
        Self { reason, explanation: Explanation::default(), policy_set: None }
    }

    /// The reason.
    pub fn reason(&self) -> &DenialReason {
        &self.reason
    }

    /// The policies that stood in the way, by id, sorted.
    pub fn policies(&self) -> Vec<String> {
        self.explanation.policies()
    }

    /// The digest of the whole set of policies and its schema; none where policy was not asked.
    pub fn policy_set(&self) -> Option<Digest> {
        self.policy_set
    }
}

impl Explanation {
    fn policies(&self) -> Vec<String> {
        let mut all = self.forbade.clone();
        merge(&mut all, self.erred.iter().filter(|id| *id != UNANSWERABLE).cloned());
        all
    }

    pub(super) fn add(&mut self, erred: Vec<String>, forbade: Vec<String>) {
        merge(&mut self.erred, erred);
        merge(&mut self.forbade, forbade);
    }
}

/// Adds to a sorted list without repeats.
pub(super) fn merge(into: &mut Vec<String>, more: impl IntoIterator<Item = String>) {
    for item in more {
        if let Err(at) = into.binary_search(&item) {
            into.insert(at, item);
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            DenialReason::TargetRefused => f.write_str("resource or audience: policy permits nothing on this target"),
            DenialReason::TargetEmpty => {
                f.write_str("resource or audience: one of the targets got no scope; ask for one of its scopes or leave it out")
            }
            DenialReason::Scope(reason) => reason.fmt(f),
            DenialReason::Task(reason) => reason.fmt(f),
            DenialReason::Intent(reason) => reason.fmt(f),
            DenialReason::Impersonation => {
                f.write_str("impersonate: policy does not permit it here; leave it out to be named as the actor")
            }
            DenialReason::PresentActor => {
                f.write_str("actor_token: policy does not permit this client to present it; send a credential of its own or none")
            }
            DenialReason::StepUp(login) => login.fmt(f),
            DenialReason::Unbound => f.write_str(concat!(
                "policy permits this for bound tokens only (@sender_constraint) and no key was proved; ",
                "send a DPoP header with a proof, or connect with a client certificate"
            )),
            DenialReason::Expired => f.write_str("subject_token or actor_token is about to expire; obtain a fresh one"),
        }
    }
}

impl fmt::Display for ScopeDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.asked {
            return f.write_str("scope is required: no default scope of this target can be given");
        }
        f.write_str("scope asks for too much:")?;
        if !self.refused.is_empty() {
            self.refused.iter().take(NAMED_MAX).try_for_each(|scope| write!(f, " {scope}"))?;
            match self.refused.len().saturating_sub(NAMED_MAX) {
                0 => f.write_str(" may not be given;")?,
                more => write!(f, " and {more} more may not be given;")?,
            }
        }
        if self.unknown.count() > 0 {
            f.write_str(" ")?;
            self.unknown.fmt(f)?;
            f.write_str(";")?;
        }
        f.write_str(match self.narrow {
            true => " nothing is left to give; ask for others",
            false => " ask for less, or send scope_mode=narrow for the permitted part",
        })
    }
}

impl fmt::Display for IntentDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("authorization_details: ")?;
        f.write_str(match self {
            Self::Purpose => "purpose of an intent must be that of the task, and that which was stated before in the chain",
            Self::DataClasses => "data_classes of an intent must be among those of the task",
        })
    }
}

impl fmt::Display for TaskDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("authorization_details: ")?;
        match self {
            Self::UnknownApi => f.write_str("an api of authority is not the id of a registered API; name each as in resource"),
            Self::Undeclared(unknown) => {
                unknown.fmt(f)?;
                f.write_str("; ask for declared ones")
            }
            Self::Beyond(api, scopes) => write!(f, "subject_token does not give this authority on {api}: {scopes}"),
            Self::Refused(api, scopes) => write!(f, "policy does not permit to put this of {api} into a task: {scopes}"),
            Self::Purpose => f.write_str("purpose must be that of the parent task, or what an intent before it stated"),
            Self::DataClasses => {
                f.write_str("data_classes must cover every scope of authority, and be among those of the parent task")
            }
            Self::Deadline(seconds) => write!(f, "expires_in must be at most {seconds} here"),
            Self::Budget(0) => f.write_str("budget: the parent task has none left"),
            Self::Budget(most) => write!(f, "budget must be at most {most} exchanges here"),
            Self::Level => f.write_str("tasks lie as deep under each other as this server allows; open it under a higher one"),
            Self::Holder => f.write_str("holder is not a registered and active agent"),
            Self::HolderOfRoot => f.write_str("holder: a task for another agent is opened as a child, with a task token"),
        }
    }
}
