//! Tasks, as they are opened and as they lie in the store: their terms as one block of bytes, the rest beside it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::contract::{StoreReason, StoredTask};
use super::subject_keys::SubjectKeys;
use crate::lifecycle::{Task, TaskTerms};
use crate::oauth::{ClientId, Generation, GenerationKey, Resource, Scopes, ScopesOnApi, TaskId, Time, Txn};

/// A task that begins when its record is durable.
#[derive(Debug)]
pub struct NewTask {
    /// Its pseudonym.
    pub key: GenerationKey,
    /// Its terms.
    pub task: TaskTerms,
    /// The task out of whose budget its own comes.
    pub out_of: Option<GenerationKey>,
}

#[derive(Serialize, Deserialize)]
struct PackedTerms<'a> {
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

/// The task as it is stored under `key`; none when it cannot be written, which is a bug.
pub(super) fn stored(key: GenerationKey, task: &Task) -> Option<StoredTask> {
    let fixed = postcard::to_allocvec(&packed(&task.terms)).ok()?;
    let suspended_by = task.suspended_by.as_ref().map(ToString::to_string);
    Some(StoredTask { key, fixed, left: task.left, suspended_by, forget: task.terms.forget() })
}

/// Seals the terms of tasks that go to the store. Nothing that a caller wrote lies there in the clear.
///
/// # Errors
/// `Failed` when there is no randomness.
pub(super) fn seal_all(tasks: &mut [StoredTask], keys: &SubjectKeys) -> Result<(), StoreReason> {
    for task in tasks {
        task.fixed = keys.seal_task(task.key, &task.fixed).map_err(|reason| StoreReason::Failed(Box::new(reason)))?;
    }
    Ok(())
}

/// The tasks that were stored.
///
/// # Errors
/// `Corrupt` where the bytes of one are damaged, or sealed under another root key.
pub(super) fn read_all(stored: &[StoredTask], keys: &SubjectKeys) -> Result<Vec<(GenerationKey, Task)>, StoreReason> {
    stored
        .iter()
        .map(|stored| {
            read(stored, keys)
                .ok_or(StoreReason::Corrupt("the terms of a task, unless the root key of the key folder is another than before"))
        })
        .collect()
}

/// Version 0.1.0 left the terms unsealed; such a task is taken up as it lies there, and sealed when it is next stored.
fn read(stored: &StoredTask, keys: &SubjectKeys) -> Option<(GenerationKey, Task)> {
    let opened = keys.open_task(stored.key, &stored.fixed);
    let terms = opened.as_ref().map_or(&stored.fixed, |terms| &**terms);
    let packed = postcard::from_bytes::<PackedTerms<'_>>(terms).ok()?;
    let suspended_by = stored.suspended_by.as_deref().map(ClientId::parse).transpose().ok()?;
    Some((stored.key, Task { terms: Arc::new(unpacked(packed)?), left: stored.left, suspended_by }))
}

fn packed(task: &TaskTerms) -> PackedTerms<'_> {
    PackedTerms {
        id: *task.id.as_bytes(),
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
