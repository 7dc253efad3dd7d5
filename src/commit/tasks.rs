//! The terms of tasks, sealed: as they are opened, and as they lie in the store. Their digest stands in the record of the task.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::{Digest, MessageKeys, SealReason};
use crate::lifecycle::TaskTerms;
use crate::oauth::{ClientId, Generation, GenerationKey, Resource, Scopes, ScopesOnApi, TaskId, Time, Txn};

const TASK_LABEL: &[u8] = b"countersign/task/2/";

/// Seals the terms of tasks, each under a key of its own: their purpose is the opener's words.
#[derive(Clone, Debug)]
pub struct TermsSealer(Arc<MessageKeys>);

/// A task that begins when its record is durable. Made only by [`TermsSealer::seal`].
#[derive(Debug)]
pub struct SealedTask {
    terms: TaskTerms,
    sealed: Vec<u8>,
    digest: Digest,
}

impl TermsSealer {
    pub(super) fn new(keys: Arc<MessageKeys>) -> Self {
        Self(keys)
    }

    /// Seals the terms of a task.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn seal(&self, terms: TaskTerms) -> Result<SealedTask, SealReason> {
        let packed = Zeroizing::new(postcard::to_allocvec(&packed(&terms)).map_err(|_| SealReason)?);
        let sealed = self.0.seal(&[TASK_LABEL, terms.id.as_bytes()].concat(), &packed)?;
        Ok(SealedTask { digest: Digest::of(&sealed), terms, sealed })
    }

    /// The terms of the task `id`, as they were sealed; none where any byte is another, or the key.
    pub(super) fn open(&self, id: TaskId, sealed: &[u8]) -> Option<TaskTerms> {
        let opened = self.0.open(&[TASK_LABEL, id.as_bytes()].concat(), sealed).ok()?;
        unpacked(postcard::from_bytes(&opened).ok()?).filter(|terms| terms.id == id)
    }
}

impl SealedTask {
    /// The terms.
    pub fn terms(&self) -> &TaskTerms {
        &self.terms
    }

    /// SHA-256 of the sealed terms.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The terms, and the sealed bytes.
    pub(super) fn into_parts(self) -> (TaskTerms, Vec<u8>) {
        (self.terms, self.sealed)
    }
}

#[derive(Serialize, Deserialize)]
struct PackedTerms<'a> {
    id: [u8; 16],
    key: [u8; 16],
    txn: [u8; 16],
    parent: Option<[u8; 16]>,
    opener: &'a str,
    holder: &'a str,
    opened: i64,
    deadline: i64,
    heartbeat: Option<u64>,
    budget: u64,
    #[serde(borrow)]
    authority: Vec<(&'a str, String)>,
    purpose: &'a str,
    #[serde(borrow)]
    data_classes: Vec<&'a str>,
    generations: Vec<([u8; 16], u64)>,
}

#[derive(Deserialize)]
struct EarlierTerms<'a> {
    id: [u8; 16],
    txn: [u8; 16],
    parent: Option<[u8; 16]>,
    opener: &'a str,
    holder: &'a str,
    opened: i64,
    deadline: i64,
    heartbeat: Option<u64>,
    budget: u64,
    #[serde(borrow)]
    authority: Vec<(&'a str, String)>,
    purpose: &'a str,
    #[serde(borrow)]
    data_classes: Vec<&'a str>,
    generations: Vec<([u8; 16], u64)>,
}

/// The terms of the task with the pseudonym `key` as version 0.1.0 packed them.
pub(super) fn earlier(key: GenerationKey, terms: &[u8]) -> Option<TaskTerms> {
    let earlier: EarlierTerms<'_> = postcard::from_bytes(terms).ok()?;
    let EarlierTerms { id, txn, parent, opener, holder, opened, deadline, heartbeat, budget, .. } = earlier;
    let EarlierTerms { authority, purpose, data_classes, generations, .. } = earlier;
    unpacked(PackedTerms {
        id,
        key: key.0,
        txn,
        parent,
        opener,
        holder,
        opened,
        deadline,
        heartbeat,
        budget,
        authority,
        purpose,
        data_classes,
        generations,
    })
}

fn packed(task: &TaskTerms) -> PackedTerms<'_> {
    PackedTerms {
        id: *task.id.as_bytes(),
        key: task.key.0,
        txn: *task.txn.as_bytes(),
        parent: task.parent.map(|parent| *parent.as_bytes()),
        opener: task.opener.as_str(),
        holder: task.holder.as_str(),
        opened: task.opened.millis(),
        deadline: task.deadline.millis(),
        heartbeat: task.heartbeat.map(|span| span.as_secs()),
        budget: task.budget,
        authority: task.authority.iter().map(|held| (held.api.as_str(), held.scopes.to_string())).collect(),
        purpose: &task.purpose,
        data_classes: task.data_classes.iter().map(String::as_str).collect(),
        generations: task.generations.iter().map(|generation| (generation.key.0, generation.number)).collect(),
    }
}

fn unpacked(packed: PackedTerms<'_>) -> Option<TaskTerms> {
    let held = |(api, scopes): (&str, String)| {
        Some(ScopesOnApi { api: Resource::parse(api).ok()?, scopes: Scopes::parse(&scopes).ok()? })
    };
    Some(TaskTerms {
        id: TaskId::from_bytes(packed.id),
        key: GenerationKey(packed.key),
        txn: Txn::from_bytes(packed.txn),
        parent: packed.parent.map(TaskId::from_bytes),
        opener: ClientId::parse(packed.opener).ok()?,
        holder: ClientId::parse(packed.holder).ok()?,
        opened: Time::from_millis(packed.opened),
        deadline: Time::from_millis(packed.deadline),
        heartbeat: packed.heartbeat.map(Duration::from_secs),
        budget: packed.budget,
        authority: packed.authority.into_iter().map(held).collect::<Option<_>>()?,
        purpose: packed.purpose.to_owned(),
        data_classes: packed.data_classes.into_iter().map(str::to_owned).collect(),
        generations: packed.generations.into_iter().map(|(key, number)| Generation { key: GenerationKey(key), number }).collect(),
    })
}
