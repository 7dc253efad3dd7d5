//! Whose the keys are, and which keys the data was written with: every loss, swap and flipped bit of a key folder.

use std::os::unix::fs::OpenOptionsExt;

use super::*;
use crate::commit::contract::LogStore;
use crate::ledger::{CHECKPOINT_PATH, Checkpoint};
use crate::store::TileFolder;

/// A data folder, with its keys beside it.
struct Place {
    keys: Home,
    data: Home,
}

impl Place {
    fn new() -> Self {
        let place = Self { keys: Home::new(), data: Home::new() };
        fs::create_dir_all(&place.data.0).unwrap();
        place
    }

    /// One that was used: with a ledger, rotated keys, and everything said.
    fn used() -> Self {
        let place = Self::new();
        let (mut files, mut ledger, claim) = place.start_for(&place.data.0, NOW).unwrap();
        claim.settle(&files, &ledger).unwrap();
        for of in [KeyRole::Ancestry, KeyRole::Pseudonym, KeyRole::Root] {
            files.rotate_secret(of, NOW).unwrap();
        }
        files.ancestry().unwrap().seal(b"", b"counted").unwrap();
        files.rotate(Algorithm::ES256, NOW, Duration::ZERO).unwrap();
        ledger.rotate(&origin(), NOW).unwrap();
        remember(&place.data.0, &files, &ledger).unwrap();
        let head = Checkpoint::new(origin(), 0, crate::ledger::merkle::empty_root());
        let signers = ledger.signers(&origin(), NOW).unwrap();
        let note = head.sign(&[signers.last().unwrap()]).unwrap();
        let log = TileFolder::new(&place.data.0, &place.keys.0).unwrap();
        log.swap(None, &note).unwrap();
        log.publish(0, &note).unwrap();
        place
    }

    fn take(&self) -> Result<KeyClaim, String> {
        self.take_for(&self.data.0)
    }

    fn take_for(&self, data: &Path) -> Result<KeyClaim, String> {
        self.start_for(data, NOW).map(|(_, _, claim)| claim)
    }

    /// All that a start of the server asks of its keys.
    fn start_for(&self, data: &Path, now: Time) -> Result<(KeyFiles, LedgerKeys, KeyClaim), String> {
        let start = || -> Result<_, KeyFilesReason> {
            let claim = KeyClaim::take(&self.keys.0, data)?;
            let files = KeyFiles::open_or_create(&self.keys.0, &BOTH, now)?;
            claim.require_known(&files, &LedgerKeys::open(&self.keys.0)?)?;
            let log = TileFolder::new(data, &self.keys.0).unwrap();
            log.refuse_lost_head()?;
            let ledger = LedgerKeys::open_or_create(&self.keys.0, &origin(), now)?;
            ledger.signers(&origin(), now)?;
            if let Some(head) = log.signed().unwrap().swapped
                && Checkpoint::open(&head, &origin(), &ledger.verifiers(&origin())).is_err()
            {
                // Which the sequencer says when it starts.
                return Err(KeyFilesReason::Malformed(self.keys.0.join("ledger.head")));
            }
            files.signers()?;
            Ok((files, ledger, claim))
        };
        start().map_err(|reason| reason.to_string())
    }

    fn settle(&self) -> bool {
        let (files, ledger, claim) = self.start_for(&self.data.0, NOW).unwrap();
        claim.settle(&files, &ledger).unwrap()
    }
}

fn origin() -> KeyName {
    KeyName::parse("log.example/ledger").unwrap()
}

#[test]
fn keys_serve_one_process_at_a_time() {
    let place = Place::new();
    let first = place.take().unwrap();
    assert!(place.take().err().unwrap().starts_with("another server uses the key folder"));
    drop(first);
    place.take().unwrap();
}

#[test]
fn keys_serve_one_data_folder_wherever_it_is_moved() {
    let place = Place::new();
    assert!(place.settle(), "it is said once");
    assert!(!place.settle());
    let moved = Home::new();
    fs::rename(&place.data.0, &moved.0).unwrap();
    let (files, ledger, claim) = place.start_for(&moved.0, NOW).unwrap();
    claim.settle(&files, &ledger).unwrap();
    drop(claim);
    fs::create_dir_all(&place.data.0).unwrap();
    assert!(place.take().err().unwrap().contains("belongs to the data folder"), "another, where it was before");
    let other = Place::new();
    other.settle();
    let refusal = place.take_for(&other.data.0).err().unwrap();
    assert!(refusal.contains("belongs to the data folder") && refusal.contains("countersign keys adopt --data"), "{refusal}");
    // And other data in the folder that was theirs.
    fs::copy(other.data.0.join("data.id"), moved.0.join("data.id")).unwrap();
    assert!(place.take_for(&moved.0).err().unwrap().contains("belongs to the data folder"));
}

#[test]
fn a_copy_of_the_data_is_refused_until_it_adopts_the_keys_and_then_the_original_is() {
    let place = Place::new();
    place.settle();
    let copy = Home::new();
    fs::create_dir_all(&copy.0).unwrap();
    for name in ["data.id", "keys.known"] {
        fs::copy(place.data.0.join(name), copy.0.join(name)).unwrap();
    }
    let refusal = place.take_for(&copy.0).err().unwrap();
    assert!(refusal.contains("is a copy of") && refusal.contains("countersign keys adopt --data"), "{refusal}");
    let before = KeyClaim::adopt(&place.keys.0, &copy.0).unwrap();
    assert_eq!(before, Some(fs::canonicalize(&place.data.0).unwrap()));
    place.take_for(&copy.0).unwrap();
    assert!(place.take().err().unwrap().contains("belongs to the data folder"));
}

#[test]
fn an_owner_that_is_lost_or_half_told_is_noticed() {
    let place = Place::new();
    place.settle();
    place.data.remove(|name| name == "data.id");
    place.settle();
    place.keys.remove(|name| name == "owner.json");
    assert!(place.take().err().unwrap().contains("owner.json is missing"));
}

/// A deployment of an earlier version has neither owner, nor lists of secrets, nor remembered keys.
#[test]
fn a_deployment_of_an_earlier_version_is_taken_up_once() {
    let place = Place::used();
    place.keys.remove(|name| ["owner.json", "secrets.json", "uses.json", "state.key"].contains(&name));
    place.data.remove(|name| name == "data.id" || name == "keys.known");
    assert!(place.settle());
    assert!(!place.settle());
}

/// Every file of a used key folder is lost, truncated, swapped with that of another deployment, and has each of its bits flipped.
#[test]
fn no_file_of_a_used_key_folder_changes_without_notice() {
    let (place, other) = (Place::used(), Place::used());
    place.take().unwrap();
    let names = |home: &Home| {
        let names = fs::read_dir(&home.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != ".lock" && name != "in-use.lock").collect();
        names.sort();
        names
    };
    let mine = names(&place.keys);
    assert_eq!(mine.len(), 5 + 3 * 2 + 1 + 3 + 2 + 1, "{mine:?}");
    for name in &mine {
        let path = place.keys.0.join(name);
        let good = fs::read(&path).unwrap();
        let refused = |how: &str| {
            let refusal = place.take().err().unwrap_or_default();
            assert!(refusal.contains(name.as_str()), "{name} {how}: {refusal}");
        };
        fs::remove_file(&path).unwrap();
        refused("lost");
        assert!(!path.exists(), "{name} is not made anew");
        for bytes in [&good[..0], &good[..good.len() / 2], &good[..good.len() - 2]] {
            put(&path, bytes);
            refused("truncated");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            put(&path, &bad);
            // White space between other things may read the same.
            if place.take().is_ok() {
                assert!(good[at].is_ascii_whitespace() && bad[at].is_ascii_whitespace(), "byte {at} of {name} is flipped");
            } else {
                refused("flipped");
            }
        }
        if let Ok(theirs) = fs::read(other.keys.0.join(name)) {
            put(&path, &theirs);
            refused("swapped");
        }
        put(&path, &good);
        place.take().unwrap();
    }
}

/// A well-formed secret of elsewhere, with a list that fits it: only the data folder can tell.
#[test]
fn another_secret_with_a_list_that_fits_is_not_the_one_that_the_data_knows() {
    for of in [KeyRole::Pseudonym, KeyRole::Ancestry, KeyRole::Root, KeyRole::State] {
        let (place, other) = (Place::new(), Place::new());
        place.settle();
        other.settle();
        let name = format!("{}.key", of.name());
        fs::copy(other.keys.0.join(&name), place.keys.0.join(&name)).unwrap();
        // As if nothing had ever been listed.
        let owner = fs::read(place.keys.0.join("owner.json")).unwrap();
        place.keys.remove(|name| name == "owner.json" || name == "secrets.json");
        KeyFiles::open_or_create(&place.keys.0, &BOTH, NOW).unwrap();
        put(&place.keys.0.join("owner.json"), &owner);
        let refusal = place.take().err().unwrap();
        assert!(refusal.contains(&format!("the {} key", of.name())) && refusal.contains("secrets.json"), "{refusal}");
    }
}

#[test]
fn what_the_data_folder_remembers_of_keys_is_not_lost_or_changed_either() {
    let place = Place::used();
    let path = place.data.0.join("keys.known");
    let good = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(place.take().err().unwrap().contains("keys.known is missing, although data.id is there"));
    put(&path, good.replacen("signing", "ledger", 1).as_bytes());
    assert!(place.take().err().unwrap().contains("keys.known does not hold what it should"));
}

#[test]
fn a_lost_head_is_given_up_by_a_command_only() {
    let place = Place::used();
    place.keys.remove(|name| name == "ledger.head");
    let refusal = place.take().err().unwrap();
    assert!(refusal.contains("ledger.head is missing") && refusal.contains("accept-checkpoint"), "{refusal}");
    let log = TileFolder::new(&place.data.0, &place.keys.0).unwrap();
    let known = LedgerKeys::open(&place.keys.0).unwrap().verifiers(&origin());
    fs::rename(place.data.0.join("ledger").join(CHECKPOINT_PATH), place.data.0.join("ledger/away")).unwrap();
    assert!(log.accept_published(&origin(), &known).is_err());
    fs::rename(place.data.0.join("ledger/away"), place.data.0.join("ledger").join(CHECKPOINT_PATH)).unwrap();
    assert_eq!(log.accept_published(&origin(), &known).unwrap(), 0);
    place.take().unwrap();
}

fn put(path: &Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
}
