//! A hop: one issued token, one delegation step, as it will be recorded.

use std::fmt;

use crate::crypto::Digest;
use crate::oauth::{ActChain, ClientId, Jti, Resource, Scopes, Subject, Time, Txn};

/// One delegation step. Filled by `mint`; written as canonical JSON by [`Hop::record`].
#[derive(Debug)]
pub struct Hop {
    /// The issued token's `jti`.
    pub jti: Jti,
    /// The tree.
    pub txn: Txn,
    /// The hop whose token was the subject token; none for a first hop.
    pub parent: Option<Jti>,
    /// The number of hops from the first to this one, this one included.
    pub depth: u32,
    /// When the request came in.
    pub at: Time,
    /// The issued token's `exp`.
    pub expires: Time,
    /// In which role the client came by the subject token.
    pub basis: Basis,
    /// Who asked.
    pub client: ClientId,
    /// How it proved itself.
    pub login: &'static str,
    /// Which running copy of it, as attested.
    pub instance: Option<String>,
    /// On whose behalf. Personal when a trust rule vouched for it: then only a salted digest is recorded.
    pub subject: Subject,
    /// Who acts and acted, whole, current actor first. Actors that this server did not name are recorded as salted digests.
    pub chain: ActChain,
    /// Who acts by this hop, also where the token does not show it (impersonation).
    pub actor: ClientId,
    /// The token's audience.
    pub audience: Vec<Resource>,
    /// The token's scope.
    pub scopes: Scopes,
    /// SHA-256 of what was presented.
    pub evidence: Evidence,
    /// SHA-256 of the issued token.
    pub token: Digest,
    /// The key that signed it.
    pub kid: String,
    /// The policy set's digest.
    pub policy_set: Digest,
    /// The policies that decided, by id, sorted.
    pub policies: Vec<String>,
    /// What else the decision rested on.
    pub inputs: Inputs,
}

/// What was presented, by digest only.
#[derive(Debug, Default, Clone)]
pub struct Evidence {
    /// The subject token.
    pub subject_token: Option<Digest>,
    /// The actor token.
    pub actor_token: Option<Digest>,
    /// The client's assertion or attestation.
    pub client_assertion: Option<Digest>,
}

/// Enough of the decision's inputs to run it again.
#[derive(Debug, Default, Clone)]
pub struct Inputs {
    /// The trust rule that vouched for the subject.
    pub rule: Option<String>,
    /// The subject's attributes as mapped by the rule: personal, disclosed only.
    pub attributes: Vec<(String, String)>,
    /// The subject's authentication context class.
    pub acr: Option<String>,
    /// The subject's authentication methods.
    pub amr: Vec<String>,
    /// When the subject authenticated.
    pub auth_time: Option<Time>,
    /// The classes of data that the chain had touched before this hop, sorted.
    pub touched: Vec<String>,
    /// The scopes asked for, where any were named.
    pub requested: Option<Scopes>,
}

/// In which role the client came by the subject token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Another party's token or attestation; the client becomes the actor.
    Delegation,
    /// Our own token, by its client or current actor.
    Continuation,
    /// A workload trading its own attestation, or its own token.
    SelfExchange,
    /// Our own token, by the agent that its audience names as its own.
    OnBehalfOf,
    /// As the subject, where policy permits.
    Impersonation,
}

impl Basis {
    /// The name in records and in policy's `context.basis`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delegation => "delegation",
            Self::Continuation => "continuation",
            Self::SelfExchange => "self",
            Self::OnBehalfOf => "on_behalf_of",
            Self::Impersonation => "impersonation",
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
