//! A disk in memory. One step of it can be made to fail.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use super::*;
use crate::commit::contract::StoredCheckpoints;
use crate::ledger::{CHECKPOINT_PATH, LogFiles, Tile, TileFile};

/// How a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing happens, and it is told.
    Refused,
    /// It happens, and yet failure is told.
    Landed,
    /// Half of it happens, and failure is told.
    Short,
    /// The process ends before it.
    KilledBefore,
    /// The process ends after it.
    KilledAfter,
    /// It seems to be done; a crash so many steps later undoes it, as when the flush of a rename was not kept.
    LostRename(usize),
    /// It fails, and so does everything after it until the disk is mended.
    Forever,
}

/// The content of the disk, and how it fails.
#[derive(Default)]
pub(super) struct Disk(Mutex<State>);

#[derive(Default)]
struct State {
    files: Content,
    remembered: Option<String>,
    /// Every checkpoint that was ever remembered or served.
    seen: Vec<String>,
    steps: usize,
    plan: Option<(usize, Fault)>,
    /// The changes that a crash undoes: files with their content before, and the remembered checkpoint.
    undo: Vec<(String, Option<Vec<u8>>)>,
    undo_remembered: Option<Option<String>>,
    /// The step at which the process ends.
    dies_at: Option<usize>,
    dead: bool,
}

type Content = BTreeMap<String, Vec<u8>>;

impl Disk {
    /// The step of that number, from 0, fails so.
    pub(super) fn plan(&self, step: usize, fault: Fault) {
        self.0.lock().unwrap().plan = Some((step, fault));
    }

    /// Works from now on.
    pub(super) fn mend(&self) {
        self.0.lock().unwrap().plan = None;
    }

    /// True once the process has ended; it starts again after this.
    pub(super) fn crashed(&self) -> bool {
        let mut state = self.0.lock().unwrap();
        if !state.dead {
            return false;
        }
        for (path, bytes) in std::mem::take(&mut state.undo) {
            match bytes {
                Some(bytes) => drop(state.files.insert(path, bytes)),
                None => drop(state.files.remove(&path)),
            }
        }
        if let Some(remembered) = state.undo_remembered.take() {
            state.remembered = remembered;
        }
        (state.dead, state.dies_at) = (false, None);
        true
    }

    pub(super) fn steps(&self) -> usize {
        self.0.lock().unwrap().steps
    }

    pub(super) fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap().seen.clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.0.lock().unwrap().files.keys().cloned().collect()
    }

    pub(super) fn kept(&self) -> Vec<u64> {
        self.signed().unwrap().kept.iter().map(|(size, _)| *size).collect()
    }

    /// Removes everything below a path.
    pub(super) fn lose(&self, below: &str) {
        self.0.lock().unwrap().files.retain(|path, _| !path.starts_with(below));
    }

    pub(super) fn put(&self, path: &str, bytes: &[u8]) {
        self.0.lock().unwrap().files.insert(path.to_owned(), bytes.to_vec());
    }

    pub(super) fn remember(&self, note: Option<String>) {
        self.0.lock().unwrap().remembered = note;
    }

    /// One step: `work` is told how much of it happens, in halves.
    fn step(&self, work: impl FnOnce(&mut State, u8)) -> Result<(), StoreReason> {
        let mut state = self.0.lock().unwrap();
        let step = state.steps;
        state.steps += 1;
        if state.dead || state.dies_at.is_some_and(|at| at <= step) {
            state.dead = true;
            return Err(StoreReason::Failed("the process has ended".into()));
        }
        let fault = state.plan.filter(|(at, fault)| *at == step || (*fault == Fault::Forever && *at < step));
        let fault = fault.map(|(_, fault)| fault);
        let halves = match fault {
            Some(Fault::Refused | Fault::Forever | Fault::KilledBefore) => 0,
            Some(Fault::Short) => 1,
            _ => 2,
        };
        let before = (state.files.clone(), state.remembered.clone());
        if halves > 0 {
            work(&mut state, halves);
        }
        state.dead = matches!(fault, Some(Fault::KilledBefore | Fault::KilledAfter));
        match fault {
            None => Ok(()),
            Some(Fault::LostRename(later)) => {
                state.dies_at = Some(step + later);
                state.undo = difference(&before.0, &state.files);
                state.undo_remembered = (before.1 != state.remembered).then_some(before.1);
                Ok(())
            }
            Some(_) => Err(StoreReason::Failed("as planned".into())),
        }
    }
}

/// The step that makes `old` of `new` again.
fn difference(old: &Content, new: &Content) -> Vec<(String, Option<Vec<u8>>)> {
    let changed = new.iter().filter(|(path, bytes)| old.get(*path) != Some(bytes));
    let undone = changed.map(|(path, _)| (path.clone(), old.get(path).cloned()));
    let removed = old.iter().filter(|(path, _)| !new.contains_key(*path));
    undone.chain(removed.map(|(path, bytes)| (path.clone(), Some(bytes.clone())))).collect()
}

impl LogFiles for Disk {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().files.get(path).cloned())
    }
}

impl LogStore for Disk {
    fn signed(&self) -> Result<StoredCheckpoints, StoreReason> {
        let state = self.0.lock().unwrap();
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let kept = state.files.iter().filter_map(|(path, bytes)| {
            let size = path.strip_prefix("checkpoints/")?.parse().unwrap();
            Some((size, text(bytes)))
        });
        let mut kept: Vec<(u64, String)> = kept.collect();
        kept.sort_unstable();
        Ok(StoredCheckpoints { swapped: state.remembered.clone(), published: state.files.get(CHECKPOINT_PATH).map(text), kept })
    }

    fn write(&self, tiles: &[TileFile]) -> Result<(), StoreReason> {
        // Each tile is a step of its own; a short one lies there cut.
        tiles.iter().try_for_each(|(tile, bytes)| {
            self.step(|state, halves| {
                let length = bytes.len() * usize::from(halves) / 2;
                state.files.insert(tile.to_string(), bytes[..length].to_vec());
            })
        })
    }

    fn swap(&self, old: Option<&str>, new: &str) -> Result<(), StoreReason> {
        if self.0.lock().unwrap().remembered.as_deref() != old {
            return Err(StoreReason::Locked);
        }
        self.step(|state, halves| {
            // Replaced whole or not at all.
            if halves == 2 {
                state.remembered = Some(new.to_owned());
                state.seen.push(new.to_owned());
            }
        })
    }

    fn publish(&self, size: u64, note: &str) -> Result<(), StoreReason> {
        self.step(|state, halves| {
            state.files.insert(CHECKPOINT_PATH.to_owned(), note.as_bytes().to_vec());
            state.seen.push(note.to_owned());
            if halves == 2 {
                state.files.insert(format!("checkpoints/{size}"), note.as_bytes().to_vec());
            }
        })
    }

    fn tidy(&self, checkpoints: &[u64], replaced_by: &[Tile]) -> Result<(), StoreReason> {
        self.step(|state, halves| {
            checkpoints.iter().for_each(|size| drop(state.files.remove(&format!("checkpoints/{size}"))));
            if halves == 2 {
                let partial = |path: &String| replaced_by.iter().any(|tile| path.starts_with(&format!("{tile}.p/")));
                state.files.retain(|path, _| !partial(path));
            }
        })
    }
}
