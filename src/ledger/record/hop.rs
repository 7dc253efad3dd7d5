//! The record of a hop: one issued token, one delegation step.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::schema::{Kind, RECORD_BYTES_MAX, RecordReason, ascending, written};
use super::text::{Many, Millis, One, Optional};
use crate::crypto::Digest;
use crate::oauth::{ClientId, Confirmation, ExchangeMode, Jti, Resource, Scopes, StatusPlace, TaskId, Time, Txn};

/// A hop. Members stand in alphabetical order, so that serialising it *is* canonicalising it; empty members are left out.
/// Personal values stand only as the digests that a [`Discloser`](super::Discloser) gives, in members `_sd` (RFC 9901 §4.2.4.1)
/// and as elements `...` of `chain` (RFC 9901 §4.2.4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HopRecord<'a> {
    /// The digest of the subject's disclosure, where a trust rule vouched for the subject.
    #[serde(rename = "_sd", default, skip_serializing_if = "Vec::is_empty", with = "Many")]
    pub sd: Vec<Digest>,
    /// The agent that acts by this hop, also where the token does not show it (impersonation).
    #[serde(with = "One")]
    pub actor: ClientId,
    /// The instant at which the request came in.
    #[serde(with = "Millis")]
    pub at: Time,
    /// The token's `aud`, as API ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "Many")]
    pub audience: Vec<Resource>,
    /// How the client came by the subject token.
    #[serde(with = "One")]
    pub basis: ExchangeMode,
    /// The keys that holders of the token and of the subject token must prove.
    #[serde(default, skip_serializing_if = "Confirmations::is_empty")]
    pub binding: Confirmations,
    /// The whole chain, current actor first.
    #[serde(default, skip_serializing_if = "Vec::is_empty", borrow)]
    pub chain: Vec<ActorRecord<'a>>,
    /// The agent that asked.
    #[serde(with = "One")]
    pub client: ClientId,
    /// The number of hops from the first to this one, this one included.
    pub depth: u32,
    /// Digests of the credentials that were presented.
    #[serde(default, skip_serializing_if = "Evidence::is_empty")]
    pub evidence: Evidence,
    /// The token's `exp`.
    #[serde(with = "Millis")]
    pub expires: Time,
    /// The issuer identifier of the other authorization server that it was handed to; none for an access token.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub handed_to: Option<Cow<'a, str>>,
    /// Further inputs of the decision.
    #[serde(default, skip_serializing_if = "Inputs::is_empty", borrow)]
    pub inputs: Inputs<'a>,
    /// The running copy of the client, as attested.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub instance: Option<Cow<'a, str>>,
    /// The token's `jti`.
    #[serde(with = "One")]
    pub jti: Jti,
    /// The `kid` of the key that signed the token.
    #[serde(borrow)]
    pub kid: Cow<'a, str>,
    /// Always [`Kind::Hop`].
    pub kind: Kind,
    /// The method by which the client authenticated.
    #[serde(borrow)]
    pub login: Cow<'a, str>,
    /// The hop whose token was the subject token; none for a first hop, and for one that enters a task.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub parent: Option<Jti>,
    /// The ids of the policies that decided, sorted.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub policies: Cow<'a, [String]>,
    /// The digest of the policy set.
    #[serde(with = "One")]
    pub policy_set: Digest,
    /// The token's `scope`.
    #[serde(default, skip_serializing_if = "Scopes::is_empty", with = "One")]
    pub scope: Scopes,
    /// The token's place in a status list, where an API asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusPlace>,
    /// The subject, where it is an agent of this server; else its digest stands in `_sd`.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub subject: Option<AgentSubject<'a>>,
    /// The task that the hop is in.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub task: Option<TaskId>,
    /// SHA-256 of the issued token.
    #[serde(with = "One")]
    pub token: Digest,
    /// The transaction: the tree of hops.
    #[serde(with = "One")]
    pub txn: Txn,
    /// Always [`VERSION`](super::VERSION).
    pub v: u32,
}

/// A subject that may stand in the clear: an agent of this server. Made only by
/// [`Discloser::subject`](super::Discloser::subject).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSubject<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// One actor of a chain: shown when this server named it, else only the digest of its disclosure. Made only by
/// [`Discloser::chain`](super::Discloser::chain).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActorRecord<'a> {
    /// The digest of the disclosure that holds a foreign actor's members; nothing else is then present.
    #[serde(rename = "...", default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub(super) hidden: Option<Digest>,
    /// The attested running copy.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub(super) instance: Option<Cow<'a, str>>,
    /// This server's issuer identifier.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub(super) iss: Option<Cow<'a, str>>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub(super) sub: Option<Cow<'a, str>>,
    /// The agent's kind.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub(super) sub_profile: Option<Cow<'a, str>>,
}

/// The confirmations on both sides of a hop, as they stand in `cnf` (RFC 7800 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmations {
    /// The confirmation of the issued token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Confirmation>,
    /// The confirmation of the subject token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Confirmation>,
}

/// SHA-256 of each credential that was presented, and of what its issuer was asked about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The actor token.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub actor_token: Option<Digest>,
    /// The client's assertion or attestation.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub client_assertion: Option<Digest>,
    /// The DPoP proof.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub proof: Option<Digest>,
    /// The verdicts of clusters that were asked about the tokens that they issued, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "Many")]
    pub reviews: Vec<Digest>,
    /// The subject token.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "Optional")]
    pub subject_token: Option<Digest>,
}

/// Further inputs of the decision, enough to make it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs<'a> {
    /// The digests of the disclosures of `acr`, `amr` and `auth_time`, as far as they are known, of `attested`, and of
    /// `authorization_details`.
    #[serde(rename = "_sd", default, skip_serializing_if = "Vec::is_empty", with = "Many")]
    pub sd: Vec<Digest>,
    /// The subject's attributes.
    #[serde(default, skip_serializing_if = "AttributeDigests::is_empty")]
    pub attributes: AttributeDigests,
    /// The scopes asked for.
    #[serde(default, skip_serializing_if = "Scopes::is_empty", with = "One")]
    pub requested: Scopes,
    /// The trust rule that vouched for the subject.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub rule: Option<Cow<'a, str>>,
    /// The classes of data that the chain had touched before, sorted.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub touched: Cow<'a, [String]>,
}

/// The subject's attributes, each a disclosure of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeDigests {
    /// The digests of the disclosures.
    #[serde(rename = "_sd", with = "Many")]
    pub sd: Vec<Digest>,
}

impl HopRecord<'_> {
    /// The canonical form (RFC 8785).
    ///
    /// # Errors
    /// `Long` beyond 65,535 bytes; `Time` for a time before 1970 or after 9999.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordReason> {
        written(self, RECORD_BYTES_MAX)
    }

    /// True when it keeps the rules that the shape alone does not enforce.
    pub(super) fn holds(&self) -> bool {
        let one_subject = self.subject.is_some() != (self.sd.len() == 1) && self.sd.len() <= 1;
        let digests = [&self.sd, &self.inputs.sd, &self.inputs.attributes.sd];
        let sorted = digests.iter().all(|digests| ascending(digests));
        self.kind == Kind::Hop && one_subject && sorted && self.depth > 0 && self.chain.iter().all(ActorRecord::holds)
    }
}

impl ActorRecord<'_> {
    /// Its `iss` and `sub`, where this server named it; none where it is hidden.
    pub fn shown(&self) -> Option<(&str, &str)> {
        self.iss.as_deref().zip(self.sub.as_deref())
    }

    /// The digest of the disclosure that holds its members, where another server named it.
    pub fn hidden(&self) -> Option<Digest> {
        self.hidden
    }

    /// True when it is either shown or hidden, and nothing in between.
    pub(super) fn holds(&self) -> bool {
        let shown = self.iss.is_some() && self.sub.is_some();
        let other = self.instance.is_some() || self.iss.is_some() || self.sub.is_some() || self.sub_profile.is_some();
        if self.hidden.is_some() { !other } else { shown }
    }
}

impl Confirmations {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Evidence {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Inputs<'_> {
    fn is_empty(&self) -> bool {
        let Self { sd, attributes, requested, rule, touched } = self;
        sd.is_empty() && attributes.is_empty() && requested.is_empty() && rule.is_none() && touched.is_empty()
    }
}

impl AttributeDigests {
    fn is_empty(&self) -> bool {
        self.sd.is_empty()
    }
}
