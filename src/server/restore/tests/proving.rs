//! What is believed of records that survive elsewhere.

use super::*;
use crate::commit::contract::{SealedDisclosures, StoredCheckpoint};
use crate::crypto::SignKey;
use crate::ledger::NoteSigner;

/// The plan for the backup with these places of records. Nothing of the data folder is there, and the keys are those of the time
/// of the backup where they are `old`.
fn plan(machine: &Machine, old: bool, records: &[&str]) -> Result<RestorePlan, Failure> {
    machine.put_back(if old { "early" } else { "disk" });
    fs::remove_dir_all(machine.data()).unwrap();
    let records: Vec<PathBuf> = records.iter().map(|name| machine.at(name)).collect();
    machine.weigh(Some(&machine.at("backup")), &records)
}

/// The records of a plan that are folded in and missing.
fn weighed(machine: &Machine, old: bool, records: &[&str]) -> (u64, u64) {
    let plan = plan(machine, old, records).unwrap();
    assert_eq!(plan.breaks(), plan.lost.is_some(), "{records:?}");
    (plan.folded_in(), plan.missing())
}

/// The one bundle of entries in a folder, which is partial and has as many entries as its checkpoint.
fn bundle(machine: &Machine, name: &str) -> PathBuf {
    machine.at(name).join(format!("tile/entries/000.p/{}", size(machine, name)))
}

fn checkpoints(machine: &Machine, from: &str, to: &str) {
    fs::remove_dir_all(machine.at(to).join("checkpoints")).unwrap();
    copy(&machine.at(from).join("checkpoints"), &machine.at(to).join("checkpoints"));
    fs::copy(machine.at(from).join(CHECKPOINT_PATH), machine.at(to).join(CHECKPOINT_PATH)).unwrap();
}

#[test]
fn only_what_leads_to_a_checkpoint_of_our_own_is_folded_in() {
    let machine = history();
    let (has, older, newest) = (size(&machine, "backup/ledger"), size(&machine, "older"), size(&machine, "newest"));
    assert!(has < older && older < newest);
    assert_eq!(weighed(&machine, false, &[]), (0, newest - has));
    assert_eq!(weighed(&machine, false, &["older"]), (older - has, newest - older));
    assert_eq!(weighed(&machine, false, &["newest"]), (newest - has, 0));
    assert_eq!(weighed(&machine, false, &["older", "newest"]), (newest - has, 0));
    assert_eq!(weighed(&machine, false, &["backup"]), (0, newest - has), "nothing that the copy does not have");
    // The remembered checkpoint is as good as one in the folder.
    copy(&machine.at("newest"), &machine.at("bare"));
    fs::remove_dir_all(machine.at("bare/checkpoints")).unwrap();
    fs::remove_file(machine.at("bare/checkpoint")).unwrap();
    assert_eq!(weighed(&machine, false, &["bare"]), (newest - has, 0));
    assert_eq!(weighed(&machine, true, &["bare"]), (0, 0), "records that nothing signed covers are not believed");
    // With keys of before a folder may know of more than they do, and have less.
    assert_eq!(weighed(&machine, true, &["newest"]), (newest - has, 0));
    assert_eq!(
        plan(&machine, true, &["newest"]).unwrap().head.map(|note| note.lines().nth(1).unwrap().parse()),
        Some(Ok(newest))
    );
    assert_eq!(weighed(&machine, true, &["older"]), (older - has, 0));
    // Entries beyond the newest checkpoint at hand.
    checkpoints(&machine, "older", "newest");
    assert_eq!(weighed(&machine, true, &["newest"]), (older - has, 0));
}

#[test]
fn what_is_damaged_in_one_place_is_taken_from_another() {
    let machine = history();
    let (has, newest) = (size(&machine, "backup/ledger"), size(&machine, "newest"));
    let kept = LogFolder::new(&machine.at("newest")).kept().unwrap().into_iter().map(|(size, _)| size);
    let before_that = kept.filter(|size| *size < newest).max().unwrap();
    for at in ["start", "end", "all"] {
        let file = bundle(&machine, "newest");
        let before = fs::read(&file).unwrap();
        let mut bytes = before.clone();
        match at {
            "start" => bytes[100] ^= 1,
            "end" => *bytes.last_mut().unwrap() ^= 1,
            _ => bytes.clear(),
        }
        fs::write(&file, bytes).unwrap();
        // The first records are those of the copy, which the folder need not have right.
        let expected = BTreeMap::from([("start", newest - has), ("end", before_that - has), ("all", 0)]);
        assert_eq!(weighed(&machine, false, &["newest"]).0, expected[at], "{at}");
        copy(&machine.at("newest"), &machine.at("damaged"));
        fs::write(&file, before).unwrap();
        for order in [["damaged", "newest"], ["newest", "damaged"]] {
            assert_eq!(weighed(&machine, false, &order), (newest - has, 0), "{at}: {order:?}");
        }
    }
}

#[test]
fn a_checkpoint_by_another_key_proves_nothing() {
    let machine = history();
    let (has, newest) = (size(&machine, "backup/ledger"), size(&machine, "newest"));
    let origin = KeyName::parse(BASE).unwrap();
    let signer = NoteSigner::new(origin.clone(), SignKey::from_seed(&[9; 32]).unwrap());
    copy(&machine.at("newest"), &machine.at("forged"));
    fs::remove_dir_all(machine.at("forged/checkpoints")).unwrap();
    let note = Checkpoint::new(origin, newest + 5, Digest([7; 32])).sign(&[&signer]).unwrap();
    fs::write(machine.at("forged/checkpoint"), note).unwrap();
    fs::write(machine.at("forged/vkey"), format!("{}\n", signer.verifier().unwrap())).unwrap();
    let plan = plan(&machine, true, &["forged"]).unwrap();
    assert_eq!((plan.folded_in(), plan.missing()), (0, 0));
    assert!(plan.notes.iter().any(|note| note.contains("forged: no key of this server")), "{:?}", plan.notes);
    assert_eq!(weighed(&machine, false, &["forged"]), (newest - has, 0), "its entries are those that ledger.head covers");
}

/// Whoever has the keys, or a copy of them, signed another history.
#[test]
fn a_folder_that_contradicts_what_was_signed_is_named() {
    let mut machine = history();
    let signed = machine.signed.clone();
    machine.put_back("early");
    machine.signed.clear();
    let serving = machine.start().unwrap();
    serving.issues(100..130);
    machine.stop(serving);
    copy(&machine.data().join("ledger"), &machine.at("forked"));
    machine.signed = signed;
    let refused = |result: Result<RestorePlan, Failure>| {
        let told = result.map(|plan| plan.notes).unwrap_err().to_string();
        assert!(told.contains("forked") && told.contains("contradicts"), "{told}");
    };
    refused(plan(&machine, false, &["forked"]));
    refused(plan(&machine, false, &["newest", "forked"]));
    machine.put_back("disk");
    let in_place = machine.weigh(None, &[machine.at("forked")]);
    refused(in_place);
}

/// A stopped server spends nothing more; but one whose records survive elsewhere may have spent until then.
#[test]
fn a_copy_of_a_stopped_server_is_whole_unless_records_are_folded_in() {
    let mut machine = Machine::new();
    let serving = machine.start().unwrap();
    serving.issues(0..3);
    machine.stop(serving);
    copy(&machine.data(), &machine.at("backup"));
    let serving = machine.start().unwrap();
    serving.issues(3..6);
    block_on(serving.commit.checkpoint(StateCause::Stop)).unwrap();
    machine.stop(serving);
    copy(&machine.data(), &machine.at("stopped"));
    assert!(machine.weigh(Some(&machine.at("stopped")), &[]).unwrap().whole);
    let data = machine.data();
    let plan = machine.weigh(Some(&machine.at("backup")), std::slice::from_ref(&data)).unwrap();
    assert!(!plan.whole && !plan.breaks() && plan.epoch == 1 && plan.folded_in() > 3);
    fs::copy(machine.at("backup/commit.sqlite"), data.join("commit.sqlite")).unwrap();
    ["commit.sqlite-wal", "commit.sqlite-shm"].iter().for_each(|name| drop(fs::remove_file(data.join(name))));
    machine.keep("older");
    for step in 1.. {
        // What was done before a stop is not done again: from the beginning, so that it stops at each step.
        machine.put_back("older");
        STOP.set(Some(step));
        let done = machine.restore(None, std::slice::from_ref(&data));
        STOP.set(None);
        assert!(!machine.weigh(None, &[]).unwrap().whole, "stopped at {step}");
        if done.is_ok() {
            break;
        }
    }
}

/// What a stolen key signed after it was revoked proves nothing; what the key folder remembers is believed.
#[test]
fn a_checkpoint_that_a_revoked_key_alone_signed_proves_nothing() {
    let machine = history();
    let (has, newest) = (size(&machine, "backup/ledger"), size(&machine, "newest"));
    for name in ["early", "disk"] {
        machine.put_back(name);
        let dir = &machine.settings.keys.dir;
        let mut keys = LedgerKeys::open(dir).unwrap();
        let vkey = keys.entries().next().unwrap().vkey.clone();
        keys.revoke(&vkey, SystemClock.now()).unwrap();
        machine.keep(name);
    }
    assert_eq!(weighed(&machine, true, &["newest"]), (0, 0));
    assert_eq!(weighed(&machine, false, &["newest"]), (newest - has, 0));
}

/// Between weighing and doing somebody changes the records: nothing of the page in which that is gets into the store.
#[test]
fn records_that_are_changed_meanwhile_are_not_folded_in() {
    let machine = history();
    let whole = machine.records();
    machine.put_back("disk");
    let plan = machine.weigh(Some(&machine.at("backup")), &[machine.at("newest")]).unwrap();
    let file = bundle(&machine, "newest");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let refused = plan.carry_out(Some(&machine.at("backup")), &machine.data(), "a test", &mut |_, _, _| {}).unwrap_err();
    assert!(refused.to_string().contains("changed while they were read"), "{refused}");
    assert!(machine.start().is_ok() && machine.records() == whole, "the data are as they were");
}

/// The records of a store whose first ones were pruned.
struct Pruned(Arc<dyn RecordReader>, u64);

impl RecordReader for Pruned {
    fn count(&self) -> Result<u64, StoreReason> {
        self.0.count()
    }

    fn records(&self, select: Select, from: u64, limit: u32) -> Result<Vec<Stored>, StoreReason> {
        self.0.records(select, from.max(self.1), limit)
    }

    fn index_of(&self, jti: Jti) -> Result<Option<u64>, StoreReason> {
        self.0.index_of(jti)
    }

    fn disclosures(&self, index: u64) -> Result<Option<SealedDisclosures>, StoreReason> {
        self.0.disclosures(index)
    }

    fn subjects(&self, from: u64, limit: u32) -> Result<Vec<(u64, GenerationKey)>, StoreReason> {
        self.0.subjects(from, limit)
    }

    fn wrapped_key(&self, subject: &GenerationKey) -> Result<Option<Vec<u8>>, StoreReason> {
        self.0.wrapped_key(subject)
    }

    fn has_subject_key(&self, subject: &GenerationKey) -> Result<bool, StoreReason> {
        self.0.has_subject_key(subject)
    }

    fn missing_subject_keys(&self) -> Result<u64, StoreReason> {
        self.0.missing_subject_keys()
    }

    fn first(&self) -> Result<u64, StoreReason> {
        Ok(self.1)
    }

    fn checkpoint(&self) -> Result<StoredCheckpoint, StoreReason> {
        self.0.checkpoint()
    }

    fn log_bytes(&self) -> u64 {
        self.0.log_bytes()
    }
}

/// What was pruned is told by the tiles, as far as what follows leads to a checkpoint.
#[test]
fn the_tree_of_a_copy_whose_first_records_were_pruned_is_the_same() {
    let machine = history();
    let (data, keys) = (machine.data(), LedgerKeys::open(&machine.settings.keys.dir).unwrap());
    let (reader, place, base) = (store::reader(&data).unwrap(), LogPlace::of(&data), KeyName::parse(BASE).unwrap());
    let mut signed = Vec::new();
    assert!(place.signed((&keys, &base, false), &mut signed).unwrap());
    let count = reader.count().unwrap();
    let tree = |first, place: &LogPlace| CopyTree::of(&Pruned(Arc::clone(&reader), first), place, count, &signed);
    let whole = format!("{:?}", tree(0, &place).unwrap().frontier());
    for first in 1..count {
        assert_eq!(format!("{:?}", tree(first, &place).unwrap().frontier()), whole, "{first}");
    }
    let elsewhere = LogPlace::of(&machine.at("none"));
    assert!(tree(4, &elsewhere).is_err(), "nothing tells");
    let tile = data.join(format!("ledger/tile/0/000.p/{count}"));
    let mut bytes = fs::read(&tile).unwrap();
    bytes[0] ^= 1;
    fs::write(&tile, bytes).unwrap();
    assert!(tree(4, &place).is_err(), "a tile that was changed");
}
