#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

mod owner;
mod rotation;
use crate::ledger::KeyName;

/// RSA keys take a second to make.
const BOTH: [Algorithm; 2] = [Algorithm::ES256, Algorithm::EdDSA];
const NOW: Time = Time::from_seconds(1_800_000_000);

struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("countersign-keys-{}-{number}", std::process::id())))
    }

    fn open(&self) -> KeyFiles {
        KeyFiles::open_or_create(&self.0, &BOTH, NOW).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.0.join(name)).unwrap().permissions().mode() & 0o777
    }

    fn remove(&self, gone: impl Fn(&str) -> bool) {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.filter(|name| gone(name)).for_each(|name| fs::remove_file(self.0.join(name)).unwrap());
    }

    fn refusal(&self) -> String {
        let text = KeyFiles::open_or_create(&self.0, &BOTH, NOW).unwrap_err().to_string();
        text.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn hours(count: u64) -> Duration {
    Duration::from_hours(count)
}

fn kid(files: &KeyFiles, now: Time) -> String {
    files.signing_key(Algorithm::ES256, now).unwrap().kid().to_owned()
}

#[test]
fn a_first_start_makes_what_later_ones_find() {
    let home = Home::new();
    let first = home.open();
    assert_eq!(first.entries().count(), 2);
    let ids = |files: &KeyFiles| files.secrets().map(|entry| (entry.of, entry.id.clone())).collect::<Vec<_>>();
    assert_eq!(ids(&first).len(), 4);
    let again = KeyFiles::open(&home.0, NOW).unwrap();
    assert_eq!(again.entries().collect::<Vec<_>>(), first.entries().collect::<Vec<_>>());
    assert_eq!(ids(&again), ids(&first));
    assert_eq!(again.signers().unwrap().algorithms(), BOTH);
    let key = again.signing_key(Algorithm::EdDSA, NOW).unwrap();
    assert_eq!(key.algorithm(), Algorithm::EdDSA);
    assert!(again.signing_key(Algorithm::RS256, NOW).is_none());
}

#[test]
fn only_the_owner_has_access() {
    let home = Home::new();
    fs::create_dir_all(&home.0).unwrap();
    fs::set_permissions(&home.0, Permissions::from_mode(0o755)).unwrap();
    let files = home.open();
    assert_eq!(home.mode("."), 0o700);
    let pem = format!("{}.pem", kid(&files, NOW));
    for name in ["keyring.json", "pseudonym.key", "anc.key", "root.key", pem.as_str()] {
        assert_eq!(home.mode(name), 0o600, "{name}");
        fs::set_permissions(home.0.join(name), Permissions::from_mode(0o640)).unwrap();
        assert_eq!(home.refusal(), format!("{name} is open to others than its owner; take their access away (chmod go-rwx)"));
        fs::set_permissions(home.0.join(name), Permissions::from_mode(0o600)).unwrap();
    }
    fs::set_permissions(&home.0, Permissions::from_mode(0o720)).unwrap();
    assert!(home.refusal().contains("is open to others"));
}

#[test]
fn what_is_missing_or_changed_is_refused_and_never_made_anew() {
    for name in ["pseudonym.key", "anc.key", "root.key"] {
        let home = Home::new();
        home.open();
        fs::remove_file(home.0.join(name)).unwrap();
        assert_eq!(home.refusal(), format!("{name} is missing, which secrets.json lists; put back from a backup what was there"));
        assert!(!home.0.join(name).exists());
    }
    let home = Home::new();
    let files = home.open();
    let [first, second]: [String; 2] =
        files.entries().map(|entry| format!("{}.pem", entry.kid)).collect::<Vec<_>>().try_into().unwrap();
    fs::copy(home.0.join(&second), home.0.join(&first)).unwrap();
    assert_eq!(home.refusal(), format!("{first} does not hold what it should"));
    fs::write(home.0.join(&first), generate_key(Algorithm::ES256).unwrap().as_bytes()).unwrap();
    assert_eq!(home.refusal(), format!("{first} does not hold what it should"), "another key under the same name");
    fs::write(
        home.0.join("keyring.json"),
        r#"{"version":1,"signing":[{"kid":"../x","alg":"ES256","created":0,"signs_from":0}]}"#,
    )
    .unwrap();
    assert_eq!(home.refusal(), "keyring.json does not hold what it should");
    fs::write(home.0.join("keyring.json"), r#"{"version":1,"signing":[],"ledger":[]}"#).unwrap();
    assert_eq!(home.refusal(), "keyring.json does not hold what it should");
    fs::write(home.0.join("keyring.json"), r#"{"version":1,"signing":[]}"#).unwrap();
    fs::write(home.0.join("anc.key"), "c2hvcnQ\n").unwrap();
    assert_eq!(home.refusal(), "anc.key does not hold what it should");
}

#[test]
fn an_interrupted_first_start_is_taken_up_again() {
    let home = Home::new();
    home.open();
    let secret = fs::read(home.0.join("root.key")).unwrap();
    home.remove(|name| name.ends_with(".json") || name == "anc.key" || name.ends_with(".pem"));
    fs::write(home.0.join(".keyring.json.new"), "half").unwrap();
    let files = home.open();
    assert_eq!(fs::read(home.0.join("root.key")).unwrap(), secret);
    assert_eq!(files.entries().count(), 2);
    assert!(!home.0.join(".keyring.json.new").exists());
}

#[test]
fn opening_makes_nothing() {
    let home = Home::new();
    assert!(matches!(KeyFiles::open(&home.0, NOW), Err(KeyFilesReason::Absent(_))));
    fs::create_dir_all(&home.0).unwrap();
    assert!(matches!(KeyFiles::open(&home.0, NOW), Err(KeyFilesReason::Absent(_))));
    assert_eq!(fs::read_dir(&home.0).unwrap().count(), 0);
}

#[test]
fn an_algorithm_that_is_added_later_signs_at_once() {
    let home = Home::new();
    KeyFiles::open_or_create(&home.0, &[Algorithm::ES256], NOW).unwrap();
    let files = home.open();
    assert_eq!(files.entries().count(), 2);
    assert!(files.signing_key(Algorithm::EdDSA, NOW).is_some());
}

/// Published two hours before it signs, and two hours beyond the longest token that it signed.
#[test]
fn rotation_gives_notice_before_and_after() {
    let home = Home::new();
    let mut files = home.open();
    let old = kid(&files, NOW);
    let new = files.rotate(Algorithm::ES256, NOW, Duration::ZERO).unwrap();
    assert_eq!(new.signs_from(), NOW.plus(hours(2)));
    let published = |files: &KeyFiles, now| files.published(now).map(|(entry, _)| entry.kid.clone()).collect::<Vec<_>>();
    assert!(published(&files, NOW).contains(&new.kid));
    assert_eq!(kid(&files, NOW.plus(hours(2) - Duration::from_secs(1))), old);
    assert_eq!(kid(&files, NOW.plus(hours(2))), new.kid);
    let last = NOW.plus(hours(2 + 24 + 2) - Duration::from_secs(1));
    assert!(published(&files, last).contains(&old));
    assert!(!published(&files, NOW.plus(hours(28))).contains(&old));
    assert_eq!(kid(&KeyFiles::open(&home.0, NOW).unwrap(), NOW.plus(hours(2))), new.kid);
}

#[test]
fn a_longer_delay_is_kept_and_other_algorithms_are_left_alone() {
    let home = Home::new();
    let mut files = home.open();
    let new = files.rotate(Algorithm::ES256, NOW, hours(48)).unwrap();
    assert_eq!(new.signs_from(), NOW.plus(hours(48)));
    let other = files.entries().find(|entry| entry.algorithm() == Algorithm::EdDSA).unwrap();
    assert_eq!(other.retires(), None);
}

#[test]
fn rotation_destroys_keys_whose_time_is_over_and_no_others() {
    let home = Home::new();
    let mut files = home.open();
    let first = kid(&files, NOW);
    let second = files.rotate(Algorithm::ES256, NOW, Duration::ZERO).unwrap();
    let published_no_more = KeyFiles::open(&home.0, NOW.plus(hours(28))).unwrap().signers().unwrap();
    assert!(!published_no_more.published(NOW).contains(&first), "validators know it no longer");
    assert!(format!("{:?}", published_no_more.key_set()).contains(&first), "but it reads the tokens of tasks");
    let later = NOW.plus(hours(28 + 90 * 24));
    let third = files.rotate(Algorithm::ES256, later, Duration::ZERO).unwrap();
    let kids: Vec<_> =
        files.entries().filter(|entry| entry.algorithm() == Algorithm::ES256).map(|entry| entry.kid.clone()).collect();
    assert_eq!(kids, [second.kid.clone(), third.kid]);
    assert!(!home.0.join(format!("{first}.pem")).exists());
    assert!(home.0.join(format!("{}.pem", second.kid)).exists());
    assert_eq!(kid(&files, later), second.kid);
}

#[test]
fn what_another_process_rotated_is_not_lost() {
    let home = Home::new();
    let (mut one, mut two) = (home.open(), home.open());
    let first = one.rotate(Algorithm::ES256, NOW, Duration::ZERO).unwrap();
    let second = two.rotate(Algorithm::EdDSA, NOW, Duration::ZERO).unwrap();
    let kids: Vec<_> = KeyFiles::open(&home.0, NOW).unwrap().entries().map(|entry| entry.kid.clone()).collect();
    assert!(kids.contains(&first.kid) && kids.contains(&second.kid) && kids.len() == 4);
}

/// A lost list beside the keys that it listed: new keys would have been made without a word.
#[test]
fn a_lost_list_is_never_begun_anew_beside_its_keys() {
    let home = Home::new();
    let kid = kid(&home.open(), NOW);
    let origin = KeyName::parse("log.example/ledger").unwrap();
    LedgerKeys::open_or_create(&home.0, &origin, NOW).unwrap();
    home.remove(|name| name == "keyring.json");
    assert!(home.refusal().starts_with("keyring.json is missing, although "), "{}", home.refusal());
    assert!(home.0.join(format!("{kid}.pem")).exists());
    home.remove(|name| name == "ledger.json");
    let lost = LedgerKeys::open_or_create(&home.0, &origin, NOW).err().unwrap().to_string();
    assert!(lost.contains("ledger.json is missing, although ledger-"), "{lost}");
}

/// A list that an earlier version wrote has no sum: it is read, and gets one.
#[test]
fn a_list_without_a_sum_gets_one_and_then_notices_every_flipped_bit() {
    let home = Home::new();
    home.open();
    let path = home.0.join("keyring.json");
    let mut old: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    old.as_object_mut().unwrap().remove("sum").unwrap();
    fs::write(&path, old.to_string()).unwrap();
    home.open();
    let good = fs::read(&path).unwrap();
    assert!(String::from_utf8_lossy(&good).contains("\"sum\""));
    for (at, bit) in (0..good.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut bad = good.clone();
        bad[at] ^= 1 << bit;
        fs::write(&path, &bad).unwrap();
        assert_eq!(home.refusal(), "keyring.json does not hold what it should", "bit {bit} of byte {at}");
    }
}
