//! The outcome: what may be issued, or why nothing may.

use std::fmt;
use std::sync::Arc;

use super::explain::Explanation;
use super::opening::TaskDenial;
use crate::catalog::{Api, StatusBits};
use crate::crypto::Digest;
use crate::lifecycle::{BindingReason, SenderConstraint};
use crate::oauth::{ExchangeMode, Resource, Scopes, ScopesOnApi, Time};

/// What may be issued, and which policies decided. Made only by [`decide`](super::decide).
#[derive(Debug)]
pub struct Grant {
    pub(super) apis: Vec<Arc<Api>>,
    pub(super) scopes: Scopes,
    pub(super) held: Vec<ScopesOnApi>,
    pub(super) expires: Time,
    pub(super) policies: Vec<String>,
    pub(super) policy_set: Digest,
    pub(super) touched: Vec<String>,
    pub(super) basis: ExchangeMode,
    pub(super) bound: SenderConstraint,
    pub(super) explanation: Explanation,
}

/// Why nothing is issued. `Display` is the public sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The target: `invalid_target` (RFC 8693 §2.2.2).
    Target(TargetDenial, Explanation),
    /// The scope: `invalid_scope` (RFC 6749 §5.2).
    Scope(ScopeDenial, Explanation),
    /// Impersonation is not permitted.
    Impersonation(Explanation),
    /// The client may not present the credential of this actor.
    PresentActor(Explanation),
    /// The keys that were proved do not do.
    Binding(BindingReason),
    /// A task, as it was wanted.
    Task(TaskDenial, Explanation),
    /// What was presented runs out before a token could be of use.
    Expired,
}

/// What is wrong with the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetDenial {
    /// A `resource` that is no API's id.
    UnknownResource,
    /// An `audience` that is no API's name or id.
    UnknownAudience,
    /// No target, and the subject token says none.
    Missing,
    /// No target, and the one that the subject token says is no longer registered.
    Gone,
    /// Several targets that are not one group.
    Several,
    /// The subject token gives nothing on a target.
    Unreachable,
    /// Policy permits nothing on a target.
    Refused,
    /// One of several targets got no scope.
    Empty,
}

/// Which scopes cannot be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeDenial {
    pub(super) refused: Scopes,
    pub(super) undeclared: usize,
    pub(super) asked: bool,
    pub(super) narrow: bool,
}

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

    /// In whose lists the status of the token stands, and how much they tell. APIs of one group ask for the same.
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

    /// In which role the client asked.
    pub fn basis(&self) -> ExchangeMode {
        self.basis
    }

    /// What the token is bound to.
    pub fn bound(&self) -> &SenderConstraint {
        &self.bound
    }

    /// Whether the token is to show no actor.
    pub fn impersonation(&self) -> bool {
        self.basis == ExchangeMode::Impersonation
    }

    /// What policies had to say against the part that was not granted.
    pub fn explanation(&self) -> &Explanation {
        &self.explanation
    }
}

impl Denial {
    /// Which policies stood in the way.
    pub fn explanation(&self) -> Option<&Explanation> {
        match self {
            Self::Target(_, found)
            | Self::Scope(_, found)
            | Self::Task(_, found)
            | Self::Impersonation(found)
            | Self::PresentActor(found) => Some(found),
            Self::Binding(_) | Self::Expired => None,
        }
    }

    pub(super) fn target(reason: TargetDenial) -> Self {
        Self::Target(reason, Explanation::default())
    }
}

impl ScopeDenial {
    /// The scopes that the target declares and that cannot be given.
    pub fn refused(&self) -> &Scopes {
        &self.refused
    }

    /// How many scopes were asked for that no target declares. They are not named: they are the caller's words.
    pub fn undeclared(&self) -> usize {
        self.undeclared
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(reason, _) => reason.fmt(f),
            Self::Scope(reason, _) => reason.fmt(f),
            Self::Task(reason, _) => reason.fmt(f),
            Self::Impersonation(_) => {
                f.write_str("impersonate: policy does not permit it here; leave it out to be named as the actor")
            }
            Self::PresentActor(_) => {
                f.write_str("actor_token: policy does not permit this client to present it; send a credential of its own or none")
            }
            Self::Binding(reason) => reason.fmt(f),
            Self::Expired => f.write_str("subject_token or actor_token is about to expire; obtain a fresh one"),
        }
    }
}

impl std::error::Error for Denial {}

impl fmt::Display for TargetDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownResource => "resource is not the id of a registered API",
            Self::UnknownAudience => "audience is not the name or id of a registered API",
            Self::Missing => "resource or audience is required: this subject_token does not say where to",
            Self::Gone => "the audience of subject_token is no longer registered; name a target by resource or audience",
            Self::Several => "resource and audience name APIs that may not share a token; ask for one token each",
            Self::Unreachable => "resource or audience: subject_token gives no authority on this target",
            Self::Refused => "resource or audience: policy permits nothing on this target",
            Self::Empty => "resource or audience: one of the targets got no scope; ask for one of its scopes or leave it out",
        })
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
        if self.undeclared > 0 {
            write!(f, " {} of its scopes the target does not know;", self.undeclared)?;
        }
        f.write_str(match self.narrow {
            true => " nothing is left to give; ask for others",
            false => " ask for less, or send scope_mode=narrow for the permitted part",
        })
    }
}
