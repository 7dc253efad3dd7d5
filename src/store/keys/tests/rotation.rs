//! What follows what, and what is left of it.

use super::*;
use crate::oauth::{GenerationKey, GenerationKind};

fn days(count: u64) -> Duration {
    hours(24 * count)
}

fn pseudonym(files: &KeyFiles) -> GenerationKey {
    files.pseudonyms().unwrap().pseudonym(GenerationKind::Agent, b"worker")
}

#[test]
fn what_an_earlier_secret_sealed_opens_as_long_as_a_token_of_it_can_live() {
    let home = Home::new();
    let mut files = home.open();
    let old = files.ancestry().unwrap().seal(b"anc", b"task").unwrap();
    files.rotate_secret(KeyRole::Ancestry, NOW).unwrap();
    let new = files.ancestry().unwrap().seal(b"anc", b"task").unwrap();
    let last = NOW.plus(days(91));
    files.rotate_secret(KeyRole::Ancestry, last).unwrap();
    let again = KeyFiles::open(&home.0, last).unwrap();
    assert!([&old, &new].iter().all(|sealed| again.ancestry().unwrap().open(b"anc", sealed).is_ok()));
    files.rotate_secret(KeyRole::Ancestry, last.plus(days(1))).unwrap();
    let again = KeyFiles::open(&home.0, last).unwrap();
    assert!(again.ancestry().unwrap().open(b"anc", &old).is_err() && again.ancestry().unwrap().open(b"anc", &new).is_ok());
    assert!(!home.0.join("anc.key").exists(), "it is destroyed");
    assert_eq!(again.secrets().filter(|entry| entry.is_destroyed()).count(), 1, "and listed");
}

#[test]
fn names_join_under_the_new_pseudonym_and_are_asked_about_under_all() {
    let home = Home::new();
    let mut files = home.open();
    let before = pseudonym(&files);
    for day in 1..31 {
        files.rotate_secret(KeyRole::Pseudonym, NOW.plus(days(400 * day))).unwrap();
    }
    let again = KeyFiles::open(&home.0, NOW).unwrap();
    assert_ne!(pseudonym(&again), before);
    assert_eq!(again.pseudonyms().unwrap().every(GenerationKind::Agent, b"worker").last(), Some(before), "for ever");
    files.rotate_secret(KeyRole::Pseudonym, NOW).unwrap();
    let full = files.rotate_secret(KeyRole::Pseudonym, NOW).unwrap_err();
    assert!(full.to_string().contains("keeps as many keys of the kind pseudonym as may be kept"), "{full}");
}

#[test]
fn keys_are_followed_by_others_at_their_age_and_no_sooner() {
    let home = Home::new();
    let mut files = home.open();
    let ages = KeyAges { signing: days(90), secrets: days(365) };
    assert_eq!(files.renew(&ages, NOW.plus(days(90) - Duration::from_secs(1))).unwrap(), []);
    let of = |checks: Vec<KeyCheck>| checks.into_iter().map(|check| check.of).collect::<Vec<_>>();
    assert_eq!(of(files.renew(&ages, NOW.plus(days(90))).unwrap()), [KeyRole::Signing, KeyRole::Signing, KeyRole::Ancestry]);
    assert_eq!(files.renew(&ages, NOW.plus(days(91))).unwrap(), [], "the new ones are young");
    let year = of(files.renew(&ages, NOW.plus(days(365))).unwrap());
    assert!(year.contains(&KeyRole::Pseudonym) && year.contains(&KeyRole::Root), "{year:?}");
}

#[test]
fn a_revoked_signing_key_is_gone_at_once_and_another_signs() {
    let home = Home::new();
    let mut files = home.open();
    let old = kid(&files, NOW);
    files.revoke(&old, NOW).unwrap();
    let again = KeyFiles::open(&home.0, NOW).unwrap();
    assert_ne!(kid(&again, NOW), old, "one was made");
    assert!(!again.signers().unwrap().published(NOW).contains(&old));
    assert!(!format!("{:?}", again.signers().unwrap().key_set()).contains(&old), "it verifies nothing either");
    assert!(!home.0.join(format!("{old}.pem")).exists());
    assert_eq!(again.all_entries().find(|entry| entry.kid == old).unwrap().revoked(), Some(NOW));
    let pending = files.rotate(Algorithm::ES256, NOW, Duration::ZERO).unwrap().kid;
    files.revoke(&kid(&files, NOW), NOW).unwrap();
    assert_eq!(kid(&files, NOW), pending, "the next one signs before its time");
    assert!(files.revoke("nobody", NOW).unwrap_err().to_string().contains("lists no key nobody"));
}

#[test]
fn a_revoked_ledger_key_signs_no_more_and_stays_listed() {
    let home = Home::new();
    home.open();
    let origin = KeyName::parse("log.example/ledger").unwrap();
    let mut keys = LedgerKeys::open_or_create(&home.0, &origin, NOW).unwrap();
    let first = keys.entries().next().unwrap().vkey.clone();
    let next = keys.revoke(&first, NOW).unwrap();
    let again = LedgerKeys::open(&home.0).unwrap();
    let signing: Vec<String> =
        again.signers(&origin, NOW).unwrap().iter().map(|signer| signer.verifier().unwrap().to_string()).collect();
    assert_eq!(signing, [next.vkey]);
    assert_eq!(again.entries().next().unwrap().revoked(), Some(NOW));
    assert_eq!(again.verifiers(&origin).len(), 2, "what it signed before can still be verified");
    assert_eq!(
        fs::read_dir(&home.0)
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("ledger-") })
            .count(),
        1
    );
}

/// The uses are written down before they are used, a step at a time, and count over a restart.
#[test]
fn a_key_that_was_used_often_is_followed_by_another_long_before_its_bound() {
    let home = Home::new();
    let files = home.open();
    let id = |files: &KeyFiles| files.secrets().filter(|entry| entry.of == KeyRole::Ancestry).last().unwrap().id.clone();
    let first = id(&files);
    let uses = |id: &str| {
        let text = fs::read_to_string(home.0.join("uses.json")).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let found = file["keys"].as_array().unwrap().iter().find(|key| key["id"] == id).cloned();
        found.map_or(0, |key| key["uses"].as_u64().unwrap())
    };
    let key = files.ancestry().unwrap();
    assert_eq!(uses(&first), 0, "not before it seals");
    (0..100).for_each(|_| drop(key.seal(b"", b"").unwrap()));
    assert_eq!(uses(&first), 1 << 20);
    KeyFiles::open(&home.0, NOW).unwrap().ancestry().unwrap().seal(b"", b"").unwrap();
    assert_eq!(uses(&first), 2 << 20, "a start begins another step");
    let set = |uses: u64| {
        let text = sum::with(&serde_json::json!({ "version": 1, "keys": [{ "id": first, "uses": uses }] })).unwrap();
        fs::write(home.0.join("uses.json"), text).unwrap();
    };
    set((1 << 30) - (1 << 20));
    let ages = KeyAges { signing: days(90), secrets: days(365) };
    assert_eq!(KeyFiles::open(&home.0, NOW).unwrap().renew(&ages, NOW).unwrap(), []);
    uses::reserve(&files.folder, &first).unwrap();
    assert_eq!(KeyFiles::open(&home.0, NOW).unwrap().renew(&ages, NOW).unwrap().len(), 1, "at 2³⁰");
    let again = KeyFiles::open(&home.0, NOW).unwrap();
    assert_ne!(id(&again), first);
    set((1 << 31) - (1 << 20));
    assert!(uses::reserve(&files.folder, &first).is_some() && uses::reserve(&files.folder, &first).is_none());
    assert_eq!(uses(&first), 1 << 31);
    assert!(KeyFiles::open(&home.0, NOW).is_ok() && again.ancestry().unwrap().seal(b"", b"").is_ok());
}

#[test]
fn earlier_root_keys_are_destroyed_when_nothing_is_wrapped_under_them() {
    let home = Home::new();
    let mut files = home.open();
    let (first, wrapped) = (files.root_key().unwrap(), files.root().unwrap().seal(b"key", b"secret").unwrap());
    files.rotate_secret(KeyRole::Root, NOW).unwrap();
    let again = KeyFiles::open(&home.0, NOW).unwrap();
    let both = again.root_key().unwrap();
    assert_eq!(both.ids[1..], first.ids);
    assert!(both.key.open(b"key", &wrapped).is_ok() && both.key.open_alone(b"key", &wrapped).is_err());
    let destroy = |ids: &[String]| KeyFiles::open(&home.0, NOW).unwrap().destroy_roots(ids, NOW).unwrap();
    // Meanwhile there is one more, which nobody has heard of yet.
    files.rotate_secret(KeyRole::Root, NOW).unwrap();
    let lost = fs::read(home.0.join("root.key")).unwrap();
    assert_eq!(destroy(&both.ids[1..]), first.ids);
    assert!(!home.0.join("root.key").exists());
    let left = KeyFiles::open(&home.0, NOW).unwrap().root_key().unwrap();
    assert_eq!((left.ids.len(), &left.ids[1]), (2, &both.ids[0]));
    assert!(left.key.open(b"key", &wrapped).is_err());
    assert_eq!(destroy(&left.ids), [both.ids[0].clone()], "never the current one");
    // A crash between the list and the file.
    fs::write(home.0.join("root.key"), lost).unwrap();
    fs::set_permissions(home.0.join("root.key"), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(destroy(&[]), Vec::<String>::new());
    assert!(!home.0.join("root.key").exists());
    assert_eq!(KeyFiles::open(&home.0, NOW).unwrap().root_key().unwrap().ids, left.ids[..1]);
}

/// Whoever reads the folder while keys are made and destroyed gets those of before or those of after.
#[test]
fn keys_are_read_whole_while_they_change() {
    let home = Home::new();
    home.open();
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for _ in 0..40 {
                let mut files = KeyFiles::open(&home.0, NOW).unwrap();
                let earlier = files.secrets().filter(|entry| entry.of == KeyRole::Root).map(|entry| entry.id.clone());
                let earlier: Vec<String> = earlier.collect();
                files.rotate_secret(KeyRole::Root, NOW).unwrap();
                files.destroy_roots(&earlier, NOW).unwrap();
            }
        });
        while !changes.is_finished() {
            KeyFiles::open(&home.0, NOW).unwrap();
        }
    });
}
