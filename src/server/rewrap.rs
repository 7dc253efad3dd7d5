//! After another root key: the running writer takes it, every key of a subject is wrapped under it, and the root keys before it
//! are destroyed. A start finishes what another has begun.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::failure::Failure;
use crate::commit::{Commit, CommitReason, RewrapStep, RootKey};
use crate::oauth::Clock;
use crate::store::KeyFiles;

/// The pause between two steps, in which the writer is left to others.
const PAUSE: Duration = Duration::from_millis(10);

/// The pause between two attempts, while the store or the key folder does not let it.
const RETRY: Duration = Duration::from_secs(5);

/// Hands root keys to the task that wraps under them.
#[derive(Clone)]
pub(super) struct Rewrapping(watch::Sender<RootKey>);

/// The task. It ends with the last [`Rewrapping`].
struct RewrapTask {
    roots: watch::Receiver<RootKey>,
    commit: Commit,
    keys: PathBuf,
    clock: Arc<dyn Clock>,
}

/// The end of an attempt.
enum Outcome {
    /// No other root key wraps anything any more.
    Done,
    /// Damaged keys keep the root keys before from being destroyed.
    Damaged,
    /// There is another root key by now.
    Overtaken,
}

impl Rewrapping {
    /// Begins with `root`, which the writer has, in a task of this runtime.
    pub(super) fn start(commit: Commit, keys: &Path, root: RootKey, clock: Arc<dyn Clock>) -> Self {
        let (sender, mut roots) = watch::channel(root);
        roots.mark_changed();
        tokio::spawn(RewrapTask { roots, commit, keys: keys.to_owned(), clock }.run());
        Self(sender)
    }

    /// Goes on with `root`, if it is another one, or has others before it.
    pub(super) fn take(&self, root: RootKey) {
        self.0.send_if_modified(|before| {
            let is_new = before.ids != root.ids;
            if is_new {
                *before = root;
            }
            is_new
        });
    }
}

impl RewrapTask {
    async fn run(mut self) {
        while self.roots.changed().await.is_ok() {
            let root = self.roots.borrow_and_update().clone();
            while let Err(why) = self.attempt(&root).await {
                tracing::error!(
                    "the keys of subjects are not all wrapped under the newest root key yet, which is tried again: {why}"
                );
                sleep(RETRY).await;
                if self.roots.has_changed().unwrap_or(true) {
                    break;
                }
            }
        }
    }

    async fn attempt(&self, root: &RootKey) -> Result<(), Failure> {
        match self.rewrap(root).await? {
            Outcome::Done => self.destroy(root).await,
            Outcome::Damaged | Outcome::Overtaken => Ok(()),
        }
    }

    async fn rewrap(&self, root: &RootKey) -> Result<Outcome, CommitReason> {
        if !self.commit.rewrap(RewrapStep::Take(root.clone())).await?.others {
            return Ok(Outcome::Done);
        }
        let (mut last, mut rewrapped, mut damaged) = (None, 0, 0);
        loop {
            let page = self.commit.rewrap(RewrapStep::Page(last)).await?;
            (last, rewrapped, damaged) = (page.last, rewrapped + page.rewrapped, damaged + page.damaged);
            if last.is_none() {
                break;
            }
            sleep(PAUSE).await;
            if self.roots.has_changed().unwrap_or(true) {
                return Ok(Outcome::Overtaken);
            }
        }
        if damaged > 0 {
            tracing::error!(
                damaged,
                "no root key opens these keys in subjects.sqlite; the earlier root keys are kept until one does"
            );
            return Ok(Outcome::Damaged);
        }
        self.commit.rewrap(RewrapStep::Settle).await?;
        tracing::info!(rewrapped, "every key of a subject is wrapped under the newest root key");
        Ok(Outcome::Done)
    }

    /// Destroys every root key but the newest.
    async fn destroy(&self, root: &RootKey) -> Result<(), Failure> {
        let earlier: Vec<String> = root.ids.iter().skip(1).cloned().collect();
        let (keys, now) = (self.keys.clone(), self.clock.now());
        let work = move || KeyFiles::open(&keys, now)?.destroy_roots(&earlier, now);
        let destroyed = tokio::task::spawn_blocking(work).await??;
        for id in destroyed {
            tracing::info!(key = id, "an earlier root key is destroyed: no key of a subject is wrapped under it any more");
        }
        Ok(())
    }
}
