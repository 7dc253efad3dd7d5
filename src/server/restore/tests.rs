//! A restore is broken off between any two of its steps: the old data serve as before, or nobody is served until the same was
//! said again. Whatever happens, nothing is signed twice with different roots, and nothing revives.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod proving;

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::sync::Arc;

use super::place::STOP;
use super::*;
use crate::commit::tests::{death, holding, issue};
use crate::commit::{Commit, CommitReason, Limits, RecordHop, Transition};
use crate::config::{Settings, Sources};
use crate::crypto::random;
use crate::ledger::{CHECKPOINT_PATH, audit};
use crate::lifecycle::{InactiveStatus, StateView};
use crate::oauth::{Generation, GenerationKey, Jti, ShareKey, SingleUse, SingleUseKind};
use crate::server::ledger::{self, LedgerSigning};
use crate::store::{KeyClaim, LogFolder};

const BASE: &str = "log.example/ledger";

/// A machine with a data folder, its keys, and copies of both.
struct Machine {
    top: PathBuf,
    settings: Settings,
    /// A value that was spent after the backup.
    spent: Option<SingleUse>,
    /// The root that was signed at each size of each log.
    signed: BTreeMap<(String, u64), Digest>,
}

/// A server without listeners.
struct Serving {
    commit: Commit,
    signing: LedgerSigning,
    _claim: KeyClaim,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _absent = fs::remove_dir_all(&self.top);
    }
}

/// Not by another program: while one is started it holds whatever locks the other tests have.
fn copy(from: &Path, to: &Path) {
    let _absent = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => assert!(fs::copy(&from, &to).is_ok(), "{}", from.display()),
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

impl Machine {
    fn new() -> Self {
        let top = std::env::temp_dir().join(format!("countersign-restore-{}", Jti::from_bytes(random().unwrap())));
        for name in ["trust", "agents", "apis", "policies"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        let file = top.join("main.toml");
        fs::write(&file, "issuer = 'https://a.example'\n").unwrap();
        let mut settings = Sources { files: vec![file], ..Sources::default() }.load().config.unwrap().settings;
        (settings.keys.dir, settings.ledger.origin) = (top.join("keys"), BASE.to_owned());
        Self { top, settings, spent: None, signed: BTreeMap::new() }
    }

    fn data(&self) -> PathBuf {
        self.top.join("data")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.top.join(name)
    }

    fn start(&self) -> Result<Serving, Failure> {
        let (data, keys) = (self.data(), &self.settings.keys);
        refuse_unfinished(&data)?;
        let store = store::open(&data).map_err(|reason| Failure::at(&data, &reason))?;
        let claim = KeyClaim::take(&keys.dir, &data)?;
        let files = KeyFiles::open_or_create(&keys.dir, &keys.algorithms, SystemClock.now())?;
        let known = LedgerKeys::open(&keys.dir)?;
        claim.require_known(&files, &known)?;
        let commit = Commit::start(store, Arc::new(SystemClock), files.commit(&known)?, Limits::default());
        let commit = commit.map_err(|reason| Failure::at(&data, &reason))?;
        let (signing, _) = ledger::start(&self.settings, &data, &commit, SystemClock.now())?;
        claim.settle(&files, &LedgerKeys::open(&keys.dir)?)?;
        Ok(Serving { commit, signing, _claim: claim })
    }

    /// Ends the server as a kill does, and notes what it signed.
    fn stop(&mut self, serving: Serving) {
        block_on(serving.commit.close());
        serving.signing.sequencer.close();
        drop(serving);
        let folder = LogFolder::new(&self.data().join("ledger"));
        let notes = folder.kept().unwrap().into_iter().map(|(_, note)| note);
        for note in notes.chain(folder.note(CHECKPOINT_PATH).unwrap()) {
            let lines: Vec<&str> = note.lines().collect();
            let known = LedgerKeys::open(&self.settings.keys.dir).unwrap();
            let origin = KeyName::parse(lines[0]).unwrap();
            let head = Checkpoint::open(&note, &origin, &known.verifiers(&origin)).unwrap();
            let before = *self.signed.entry((lines[0].to_owned(), head.size())).or_insert(head.root());
            assert_eq!(before, head.root(), "{origin} at size {}", head.size());
        }
    }

    fn weigh(&self, dir: Option<&Path>, records: &[PathBuf]) -> Result<RestorePlan, Failure> {
        let data = self.data();
        let (copy, keys) = (dir.unwrap_or(&data), self.settings.keys.dir.as_path());
        RestorePlan::weigh(RestoreFolders { copy, data: &data, records, keys, base: BASE })
    }

    /// What the command does.
    fn restore(&self, dir: Option<&Path>, records: &[PathBuf]) -> Result<(), Failure> {
        if RestorePlan::is_unfinished(&self.data()) {
            return RestorePlan::finish(&self.data());
        }
        self.weigh(dir, records)?.carry_out(dir, &self.data(), "a test", &mut |_, _, _| {})
    }

    fn records(&self) -> Vec<Vec<u8>> {
        let page = store::reader(&self.data()).unwrap().records(Select::All, 0, 10_000).unwrap();
        page.into_iter().map(|stored| stored.record).collect()
    }

    /// Keeps data and keys under a name, as a disk that is put back.
    fn keep(&self, name: &str) {
        [("data", self.data()), ("keys", self.at("keys"))].iter().filter(|(_, from)| from.exists()).for_each(|(what, from)| {
            copy(from, &self.at(&format!("{name}-{what}")));
        });
    }

    fn put_back(&self, name: &str) {
        for what in ["data", "keys"] {
            let _absent = fs::remove_dir_all(self.at(what));
            let kept = self.at(&format!("{name}-{what}"));
            if kept.exists() {
                copy(&kept, &self.at(what));
            }
        }
    }
}

impl Serving {
    fn epoch(&self) -> u64 {
        self.commit.state().epoch()
    }

    fn hop(&self, id: u8) -> RecordHop {
        let mut hop = issue(id, &[], &[]);
        let number = self.epoch();
        hop.generations.extend((number > 0).then_some(Generation { key: GenerationKey::EPOCH, number }));
        RecordHop { deadline: Time::from_millis(SystemClock.now().millis() + 60_000), ..hop }
    }

    fn issues(&self, ids: std::ops::Range<u8>) {
        ids.for_each(|id| assert!(block_on(self.commit.submit(self.hop(id))).is_ok()));
    }

    fn spends(&self, value: Option<SingleUse>) -> bool {
        value.is_some_and(|value| block_on(self.commit.spend(ShareKey::NOBODY, vec![value])).is_ok())
    }

    fn retired(&self) -> bool {
        let known = self.commit.state().generations(&[GenerationKey([2; 16])])[0];
        known.inactive == Some(InactiveStatus::Retired)
    }
}

/// A history: a backup, then an agent is retired and things are issued; what survives of that lies in `newest` and, up to a
/// smaller checkpoint, in `older`. In `disk-data` and `disk-keys` is how it ended.
fn history() -> Machine {
    let mut machine = Machine::new();
    let serving = machine.start().unwrap();
    serving.issues(0..6);
    block_on(serving.commit.end(death(&[1]))).unwrap();
    machine.stop(serving);
    machine.keep("early");
    copy(&machine.data(), &machine.at("backup"));
    fs::remove_file(machine.at("backup/subjects.sqlite")).unwrap();
    let serving = machine.start().unwrap();
    block_on(serving.commit.hold(holding(Transition::Retire, &[2]), vec![])).unwrap();
    serving.issues(10..13);
    let now = SystemClock.now();
    let expires = Time::from_millis(now.millis() + 3_600_000);
    let (kind, share) = (SingleUseKind::Assertion, ShareKey::NOBODY);
    let spent = SingleUse { digest: [7; 32], expires, issued: now, kind, share };
    block_on(serving.commit.spend(ShareKey::NOBODY, vec![spent])).unwrap();
    machine.spent = Some(spent);
    machine.stop(serving);
    copy(&machine.data().join("ledger"), &machine.at("older"));
    let serving = machine.start().unwrap();
    serving.issues(20..29);
    machine.stop(serving);
    copy(&machine.data().join("ledger"), &machine.at("newest"));
    machine.keep("disk");
    machine
}

/// One way to restore in this history.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Not with the backup, but after its database was put in place.
    in_place: bool,
    /// The data folder is gone.
    gone: bool,
    records: &'static [&'static str],
    /// Records that are missing by then.
    missing: bool,
}

const WAYS: [Way; 8] = [
    Way { in_place: false, gone: false, records: &[], missing: true },
    Way { in_place: false, gone: false, records: &["older"], missing: true },
    Way { in_place: false, gone: false, records: &["newest"], missing: false },
    Way { in_place: false, gone: false, records: &["data"], missing: false },
    Way { in_place: false, gone: true, records: &["older", "newest"], missing: false },
    Way { in_place: true, gone: false, records: &[], missing: true },
    Way { in_place: true, gone: false, records: &["older"], missing: true },
    Way { in_place: true, gone: false, records: &["data"], missing: false },
];

impl Way {
    /// Makes what is there before it.
    fn begin(self, machine: &Machine) -> Option<PathBuf> {
        machine.put_back("disk");
        let data = machine.data();
        if self.gone {
            fs::remove_dir_all(&data).unwrap();
        }
        if !self.in_place {
            return Some(machine.at("backup"));
        }
        ["commit.sqlite-wal", "commit.sqlite-shm"].iter().for_each(|name| drop(fs::remove_file(data.join(name))));
        fs::copy(machine.at("backup/commit.sqlite"), data.join("commit.sqlite")).unwrap();
        None
    }

    fn records(self, machine: &Machine) -> Vec<PathBuf> {
        self.records.iter().map(|name| machine.at(name)).collect()
    }
}

/// The size of the newest checkpoint in a folder.
fn size(machine: &Machine, name: &str) -> u64 {
    let note = fs::read_to_string(machine.at(name).join(CHECKPOINT_PATH)).unwrap();
    note.lines().nth(1).unwrap().parse().unwrap()
}

/// The restored server: nothing that ended lives, what survived is there as it was, and things are issued again.
fn judge(machine: &mut Machine, way: Way, whole: &[Vec<u8>]) {
    if way.gone {
        let _there = fs::copy(machine.at("disk-data/subjects.sqlite"), machine.data().join("subjects.sqlite"));
    }
    let serving = machine.start().unwrap();
    let epoch = serving.epoch();
    assert_eq!(serving.commit.state().is_held(), way.missing, "{way:?}");
    assert!(epoch > 0 && serving.retired() != (way.missing && way.records.is_empty()), "{way:?}: {epoch}");
    if way.missing {
        // In place another begins where the first one's epoch began and its key was not made: nobody can tell that from a key
        // that is lost.
        assert!((1..=1 + u64::from(way.in_place)).contains(&log_of_epoch(epoch)), "{way:?}");
        block_on(serving.commit.remember(Default::default(), Some((Digest([1; 32]), "ops")))).unwrap();
    }
    let before = RecordHop { generations: vec![Generation { key: GenerationKey::EPOCH, number: epoch - 1 }], ..serving.hop(40) };
    assert_eq!(block_on(serving.commit.submit(before)).unwrap_err(), CommitReason::Died, "{way:?}: of an epoch before");
    assert!(!serving.spends(machine.spent), "{way:?}: what was spent counts again");
    serving.issues(41..44);
    machine.stop(serving);
    let records = machine.records();
    let same = records.iter().zip(whole).take_while(|(one, other)| one == other).count();
    let has = if way.records.is_empty() { "backup/ledger" } else { "older" };
    let least = if way.missing { size(machine, has) } else { whole.len() as u64 };
    assert!(same as u64 >= least, "{way:?}: {same} of {least}");
    let folder = LogFolder::new(&machine.data().join("ledger"));
    let known = LedgerKeys::open(&machine.settings.keys.dir).unwrap();
    let origin = KeyName::parse(BASE).unwrap().restored(log_of_epoch(epoch)).unwrap();
    let note = folder.note(CHECKPOINT_PATH).unwrap().unwrap();
    let head = Checkpoint::open(&note, &origin, &known.verifiers(&origin)).unwrap();
    let audited = audit(&folder, &[head], |index, entry| {
        assert_eq!(records[usize::try_from(index).unwrap()], entry);
        Ok::<_, std::convert::Infallible>(())
    });
    assert_eq!(audited.unwrap().entries, records.len() as u64, "{way:?}");
}

/// What is there after the stop: the old data, as they were; or nothing that starts; or what is to be, in full.
fn stopped(machine: &mut Machine, way: Way, whole: &[Vec<u8>], step: u32) {
    let records = machine.data().join("commit.sqlite").exists().then(|| store::reader(&machine.data()).is_ok());
    let old = !way.in_place && records == Some(true) && machine.records() == whole;
    let Ok(serving) = machine.start() else { return };
    let done = serving.epoch() > 0 && (serving.retired() || serving.commit.state().is_held());
    let old = old && serving.epoch() == 0 && serving.retired();
    assert!(old || done, "{way:?} stopped at {step}: something revived");
    assert!(!serving.spends(machine.spent), "{way:?} stopped at {step}: what was spent counts again");
    machine.stop(serving);
}

fn each_step(way: Way) {
    let mut machine = history();
    let whole = machine.records();
    for step in 0.. {
        let dir = way.begin(&machine);
        let records = way.records(&machine);
        STOP.set(Some(step));
        let done = machine.restore(dir.as_deref(), &records);
        STOP.set(None);
        let signed = machine.signed.clone();
        if done.is_err() {
            machine.keep("crash");
            stopped(&mut machine, way, &whole, step);
            machine.signed.clone_from(&signed);
            machine.put_back("crash");
            machine.restore(dir.as_deref(), &records).unwrap_or_else(|reason| panic!("{way:?} stopped at {step}: {reason}"));
        }
        judge(&mut machine, way, &whole);
        machine.signed = signed;
        if done.is_ok() {
            assert!(step > 3, "{way:?}: {step} steps");
            return;
        }
    }
}

#[test]
fn a_restore_that_is_broken_off_anywhere_is_finished_by_the_same_again() {
    WAYS.into_iter().filter(|way| !way.in_place).for_each(each_step);
}

#[test]
fn one_in_place_that_is_broken_off_anywhere_is_finished_by_the_same_again() {
    WAYS.into_iter().filter(|way| way.in_place).for_each(each_step);
}
