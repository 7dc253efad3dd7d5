//! A task that was opened, as it will be recorded.

use std::borrow::Cow;

use super::Evidence;
use super::disclosure::{Discloser, Disclosures};
use super::hop::recorded;
use super::record::{self, Kind, PairsRecord, RecordReason, TaskRecord};
use crate::crypto::Digest;
use crate::oauth::{ActChain, ClientId, Issuer, Jti, Resource, Scopes, Subject, TaskId, Time, Txn};

/// One task. Filled by `mint`; written as canonical JSON by [`Opened::record`].
#[derive(Debug)]
pub struct Opened {
    /// The task.
    pub task: TaskId,
    /// The task token's `jti`.
    pub jti: Jti,
    /// The tree.
    pub txn: Txn,
    /// The task that it is a child of.
    pub parent: Option<TaskId>,
    /// The hop whose token it was opened with.
    pub hop: Option<Jti>,
    /// When the request came in.
    pub at: Time,
    /// Its deadline, in whole seconds.
    pub expires: Time,
    /// Who opened it.
    pub client: ClientId,
    /// How it proved itself.
    pub login: &'static str,
    /// Who works on it.
    pub holder: ClientId,
    /// On whose behalf. Personal when a trust rule vouched for it.
    pub subject: Subject,
    /// Who acts and acted, whole, current actor first.
    pub chain: ActChain,
    /// The ceiling.
    pub authority: Vec<(Resource, Scopes)>,
    /// What it is for; recorded by digest only.
    pub purpose: String,
    /// The classes of data that may be touched in it, sorted.
    pub data_classes: Vec<String>,
    /// How many exchanges it may make.
    pub budget: u64,
    /// How many seconds it lives without a heartbeat.
    pub heartbeat: Option<u64>,
    /// SHA-256 of what was presented.
    pub evidence: Evidence,
    /// SHA-256 of the task token.
    pub token: Digest,
    /// The key that signed it.
    pub kid: String,
    /// The policy set's digest.
    pub policy_set: Digest,
    /// The policies that decided, by id, sorted.
    pub policies: Vec<String>,
}

impl Opened {
    /// The canonical record, and the clear values behind its salted digests.
    ///
    /// # Errors
    /// As for [`Hop::record`](super::Hop::record).
    pub fn record(&self, issuer: &Issuer) -> Result<(Vec<u8>, Disclosures), RecordReason> {
        let mut discloser = Discloser::new();
        let record = self.disclosing(issuer, &mut discloser)?;
        let bytes = record::written(&record, record::RECORD_BYTES_MAX)?;
        Ok((bytes, discloser.finish()))
    }

    fn disclosing<'a>(&'a self, issuer: &Issuer, discloser: &mut Discloser) -> Result<TaskRecord<'a>, RecordReason> {
        let mut sd = Vec::new();
        if !self.purpose.is_empty() {
            sd.push(discloser.member("purpose", &self.purpose)?);
        }
        let subject = match self.subject.rule() {
            Some(_) => {
                sd.push(discloser.member("subject", self.subject.as_str())?);
                None
            }
            None => Some(Cow::Borrowed(self.subject.as_str())),
        };
        sd.sort_unstable();
        let chain: Result<_, _> = self.chain.iter().map(|actor| recorded(actor, issuer, discloser)).collect();
        let pairs = |(api, scope): &(Resource, Scopes)| PairsRecord { api: api.clone(), scope: scope.clone() };
        Ok(TaskRecord {
            sd,
            at: self.at,
            authority: self.authority.iter().map(pairs).collect(),
            budget: self.budget,
            chain: chain?,
            client: self.client.clone(),
            data_classes: Cow::Borrowed(&self.data_classes),
            evidence: self.evidence.record(),
            expires: self.expires,
            heartbeat: self.heartbeat,
            holder: self.holder.clone(),
            hop: self.hop,
            jti: self.jti,
            kid: Cow::Borrowed(&self.kid),
            kind: Kind::Task,
            login: Cow::Borrowed(self.login),
            parent: self.parent,
            policies: Cow::Borrowed(&self.policies),
            policy_set: self.policy_set,
            subject,
            task: self.task,
            token: self.token,
            txn: self.txn,
            v: record::version(),
        })
    }
}
