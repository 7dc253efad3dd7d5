//! A hop: one issued token, one delegation step, as it will be recorded.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::disclosure::{Discloser, Disclosures};
use super::record::{
    self, ActorRecord, AttributesRecord, BindingsRecord, EvidenceRecord, HopRecord, InputsRecord, Kind, RecordReason,
};
use crate::client::Confirmation;
use crate::crypto::Digest;
use crate::oauth::{ActChain, Actor, ClientId, Issuer, Jti, Resource, Scopes, StatusPlace, Subject, TaskId, Time, Txn};

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
    /// The task that it is in.
    pub task: Option<TaskId>,
    /// When the request came in.
    pub at: Time,
    /// The issued token's `exp`.
    pub expires: Time,
    /// In which role the client came by the subject token.
    pub basis: ExchangeMode,
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
    /// What the issued token and the subject token are bound to.
    pub binding: Bindings,
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
    /// Where its status stands, where an API asks for that.
    pub status: Option<StatusPlace>,
}

impl Hop {
    /// The canonical record of this hop, and the clear values behind its salted digests. Personal are: a subject that a trust
    /// rule vouched for, its attributes, `acr`, `amr` and `auth_time`, and every actor that `issuer` (this server) did not
    /// name.
    ///
    /// # Errors
    /// `Long` beyond 65,535 bytes; `Actor` when an actor named by `issuer` has members that this server never writes; `Malformed`
    /// for an instant before 1970 or after 9999; `Salt` without randomness.
    pub fn record(&self, issuer: &Issuer) -> Result<(Vec<u8>, Disclosures), RecordReason> {
        let mut discloser = Discloser::new();
        let record = self.disclosing(issuer, &mut discloser)?;
        let bytes = record::written(&record, record::RECORD_BYTES_MAX)?;
        Ok((bytes, discloser.finish()))
    }

    fn disclosing<'a>(&'a self, issuer: &Issuer, discloser: &mut Discloser) -> Result<HopRecord<'a>, RecordReason> {
        let (sd, subject) = match self.subject.rule() {
            Some(_) => (vec![discloser.member("subject", self.subject.as_str())?], None),
            None => (Vec::new(), Some(Cow::Borrowed(self.subject.as_str()))),
        };
        let chain: Result<_, _> = self.chain.iter().map(|actor| recorded(actor, issuer, discloser)).collect();
        Ok(HopRecord {
            sd,
            actor: self.actor.clone(),
            at: self.at,
            audience: Cow::Borrowed(&self.audience),
            basis: self.basis,
            binding: self.binding.record(),
            chain: chain?,
            client: self.client.clone(),
            depth: self.depth,
            evidence: self.evidence.record(),
            expires: self.expires,
            inputs: self.inputs.record(discloser)?,
            instance: self.instance.as_deref().map(Cow::Borrowed),
            jti: self.jti,
            kid: Cow::Borrowed(&self.kid),
            kind: Kind::Hop,
            login: Cow::Borrowed(self.login),
            parent: self.parent,
            policies: Cow::Borrowed(&self.policies),
            policy_set: self.policy_set,
            scope: Some(self.scopes.clone()).filter(|scopes| !scopes.is_empty()),
            status: self.status,
            subject,
            task: self.task,
            token: self.token,
            txn: self.txn,
            v: record::version(),
        })
    }
}

/// An actor of this server is shown, every other one only by digest.
pub(super) fn recorded<'a>(
    actor: &'a Actor,
    issuer: &Issuer,
    discloser: &mut Discloser,
) -> Result<ActorRecord<'a>, RecordReason> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Members<'a> {
        #[serde(borrow)]
        iss: Cow<'a, str>,
        #[serde(borrow)]
        sub: Cow<'a, str>,
        #[serde(borrow)]
        sub_profile: Option<Cow<'a, str>>,
        #[serde(borrow)]
        instance: Option<Cow<'a, str>>,
    }
    if actor.iss() != issuer.as_str() {
        let members: &RawValue = serde_json::from_str(actor.members()).map_err(|_| RecordReason::Malformed)?;
        return Ok(ActorRecord { hidden: Some(discloser.element(members)?), ..ActorRecord::default() });
    }
    let members: Members<'a> = serde_json::from_str(actor.members()).map_err(|_| RecordReason::Actor)?;
    let Members { iss, sub, sub_profile, instance } = members;
    Ok(ActorRecord { hidden: None, instance, iss: Some(iss), sub: Some(sub), sub_profile })
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
    /// The DPoP proof.
    pub proof: Option<Digest>,
}

/// The keys on both sides of a hop.
#[derive(Debug, Default, Clone, Copy)]
pub struct Bindings {
    /// What the issued token is bound to.
    pub issued: Option<Confirmation>,
    /// What the subject token was bound to.
    pub subject: Option<Confirmation>,
}

impl Bindings {
    fn record(&self) -> BindingsRecord {
        BindingsRecord { issued: self.issued, subject: self.subject }
    }
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

impl Evidence {
    pub(super) fn record(&self) -> EvidenceRecord {
        let Self { subject_token, actor_token, client_assertion, proof } = *self;
        EvidenceRecord { actor_token, client_assertion, proof, subject_token }
    }
}

impl Inputs {
    fn record(&self, discloser: &mut Discloser) -> Result<InputsRecord<'_>, RecordReason> {
        let mut sd = Vec::new();
        if let Some(acr) = &self.acr {
            sd.push(discloser.member("acr", acr)?);
        }
        if !self.amr.is_empty() {
            sd.push(discloser.member("amr", &self.amr)?);
        }
        if let Some(time) = self.auth_time {
            sd.push(discloser.member("auth_time", &time.seconds())?);
        }
        let attributes: Result<Vec<_>, _> = self.attributes.iter().map(|(name, value)| discloser.member(name, value)).collect();
        let mut attributes = attributes?;
        // Sorted, so that their order tells nothing (RFC 9901 §4.2.4.1).
        sd.sort_unstable();
        attributes.sort_unstable();
        Ok(InputsRecord {
            sd,
            attributes: AttributesRecord { sd: attributes },
            requested: self.requested.clone().filter(|scopes| !scopes.is_empty()),
            rule: self.rule.as_deref().map(Cow::Borrowed),
            touched: Cow::Borrowed(&self.touched),
        })
    }
}

/// In which role the client came by the subject token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeMode {
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

impl ExchangeMode {
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

impl fmt::Display for ExchangeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
