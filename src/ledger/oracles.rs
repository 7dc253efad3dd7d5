//! The published crates `tlog_tiles` and `signed_note` say the same as we do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use signed_note::{Note as TheirNote, Signer as _, StandardSigner, StandardVerifier, Verifier as _, VerifierList};
use tlog_tiles::{Hash, HashReader, TileHashReader, TileReader};

use super::merkle::{self, leaf_hash};
use super::note::tests::{signer, verifiers};
use super::testlog::{TestLog, entry, largest};
use super::{
    CHECKPOINT_PATH, Checkpoint, LogFiles, Note, NoteReason, Tile, TileKind, TileNodes, TlogProof, sign_note, tiles_between,
};
use crate::crypto::Digest;

const SIZES: [u64; 8] = [1, 255, 256, 257, 65_536, 70_000, 1_000_000, 10_000_000];

/// The sizes of interest, up to what the environment asks for.
fn sizes() -> Vec<u64> {
    SIZES.into_iter().filter(|size| *size <= largest()).collect()
}

/// Our tiles behind their reader: only the paths differ, and theirs are never printed.
impl TileReader for TestLog {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let path = |tile: &tlog_tiles::Tile| ours(tile).to_string();
        Ok(tiles.iter().map(|tile| self.read(&path(tile)).unwrap().unwrap()).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

fn ours(tile: &tlog_tiles::Tile) -> Tile {
    Tile::new(TileKind::Hashes(tile.level()), tile.level_index(), u16::try_from(tile.width()).unwrap()).unwrap()
}

fn theirs(hashes: &[Digest]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash(hash.0)).collect()
}

/// All hashes that they store for a log, computed by them.
struct TheirHashes(Vec<Hash>);

impl HashReader for TheirHashes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

#[test]
fn roots_are_those_that_they_compute_from_the_entries() {
    let sizes = sizes();
    let log = TestLog::published_at(&sizes);
    let mut hashes = TheirHashes(Vec::new());
    let mut heads = log.heads.iter();
    let mut next = heads.next();
    for index in 0..*sizes.last().unwrap() {
        let more = tlog_tiles::stored_hashes(index, &entry(index), &hashes).unwrap();
        hashes.0.extend(more);
        if let Some(head) = next.filter(|head| head.size() == index + 1) {
            assert_eq!(tlog_tiles::tree_hash(head.size(), &hashes).unwrap().0, head.root().0, "{}", head.size());
            next = heads.next();
        }
    }
    assert!(next.is_none());
}

#[test]
fn they_accept_our_tiles_and_make_the_same_proofs() {
    let sizes = sizes();
    let log = TestLog::published_at(&sizes);
    for (number, head) in log.heads.iter().enumerate() {
        let (size, root) = (head.size(), Hash(head.root().0));
        let reader = TileHashReader::new(size, root, &log);
        assert_eq!(tlog_tiles::tree_hash(size, &reader).unwrap(), root);
        let mut nodes = TileNodes::new(&log, size);
        assert_eq!(merkle::root(&mut nodes, size).unwrap(), head.root());
        for index in (0..size).step_by(usize::try_from(size / 7 + 1).unwrap()).chain([size - 1]) {
            let path = merkle::inclusion(&mut nodes, index, size).unwrap().unwrap();
            assert_eq!(theirs(&path), tlog_tiles::prove_record(size, index, &reader).unwrap(), "{index} of {size}");
            let leaf = leaf_hash(&entry(index));
            tlog_tiles::check_record(&theirs(&path), size, root, index, Hash(leaf.0)).unwrap();
            assert!(merkle::includes(leaf, index, &path, size, head.root()), "{index} of {size}");
        }
        for old in &log.heads[..number] {
            let path = merkle::consistency(&mut nodes, old.size(), size).unwrap().unwrap();
            assert_eq!(theirs(&path), tlog_tiles::prove_tree(size, old.size(), &reader).unwrap(), "{} to {size}", old.size());
            assert!(merkle::extends((old.size(), old.root()), (size, head.root()), &path), "{} to {size}", old.size());
        }
    }
}

#[test]
fn proofs_from_tiles_verify_and_lying_tiles_prove_nothing() {
    let mut log = TestLog::published_at(&[70_000]);
    let (head, known) = (log.heads[0].clone(), log.known());
    let note = String::from_utf8(log.files[CHECKPOINT_PATH].clone()).unwrap();
    let build = |log: &TestLog, index| TlogProof::build(&mut TileNodes::new(log, 70_000), index, &head, &note);
    for index in [0, 255, 256, 65_535, 65_536, 69_999] {
        let proof = TlogProof::parse(&build(&log, index).unwrap().to_string()).unwrap();
        assert_eq!(proof.verify(&entry(index), head.origin(), &known).as_ref(), Ok(&head), "{index}");
    }
    log.files.get_mut("tile/0/003").unwrap()[40] ^= 1;
    assert!(build(&log, 770).is_err());
    assert!(build(&log, 70).is_ok());
    log.files.remove("tile/0/000");
    assert_eq!(build(&log, 70).unwrap_err().to_string(), "tile/0/000 is missing");
}

#[test]
fn they_believe_our_checkpoint() {
    let log = TestLog::published_at(&[257]);
    let note = TheirNote::from_bytes(&log.files[CHECKPOINT_PATH]).unwrap();
    let verifier = StandardVerifier::new(&log.known()[0].to_string()).unwrap();
    let (verified, unverified) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.size()), ("log.example/ledger", 257));
    assert_eq!((checkpoint.hash().0, checkpoint.extension()), (log.heads[0].root().0, ""));
}

/// Their signer of the same name and seed.
fn their_signer(name: &str, seed: u8) -> StandardSigner {
    let id = u32::from_be_bytes(signer(name, seed).id());
    let key = STANDARD.encode([&[1][..], &[seed; 32]].concat());
    StandardSigner::new(&format!("PRIVATE+KEY+{name}+{id:08x}+{key}")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn tiles_between_two_sizes_are_theirs(old in 0..1_u64 << 48, more in 0..200_000_u64) {
        let expected: Vec<_> = tlog_tiles::Tile::new_tiles(8, old, old + more).iter().map(ours).collect();
        let hashes: Vec<_> = tiles_between(old, old + more).filter(|tile| tile.kind() != TileKind::Entries).collect();
        prop_assert_eq!(&hashes, &expected);
        let bundles = tiles_between(old, old + more).filter(|tile| tile.kind() == TileKind::Entries);
        let level_0 = expected.iter().filter(|tile| tile.kind() == TileKind::Hashes(0));
        prop_assert!(bundles.map(|tile| (tile.index(), tile.width())).eq(level_0.map(|tile| (tile.index(), tile.width()))));
        for tile in hashes.iter().take(300) {
            prop_assert_eq!(Tile::parse(&tile.to_string()).unwrap(), *tile);
        }
    }

    #[test]
    fn any_text_is_a_path_only_in_its_own_spelling(
        path in "(tile/)?([0-9]{1,2}|entries)/(x[0-9]{2,3}/){0,3}[0-9]{2,4}(\\.p/[0-9]{1,3})?"
    ) {
        if let Ok(tile) = Tile::parse(&path) {
            prop_assert_eq!(tile.to_string(), path);
        }
    }

    #[test]
    fn notes_pass_both_ways(name in "[a-z/.]{1,20}", seed: u8, text in "[^\\pC]{0,40}(\n[^\\pC]{0,40}){0,4}") {
        let text = format!("{text}\n");
        let (mine, other) = (signer(&name, seed), their_signer(&name, seed));
        let note = sign_note(&text, &[&mine]).unwrap();
        let mut expected = TheirNote::new(text.as_bytes(), &[]).unwrap();
        expected.add_sigs(&[&other]).unwrap();
        prop_assert_eq!(note.as_bytes(), expected.to_bytes());
        let known = verifiers(&[&mine]);
        let read = TheirNote::from_bytes(note.as_bytes()).unwrap();
        prop_assert_eq!(read.text(), text.as_bytes());
        prop_assert_eq!(Note::open(&note, &known).unwrap().text(), text);
        let vkey = known[0].to_string();
        prop_assert_eq!(StandardVerifier::new(&vkey).unwrap().key_id(), other.key_id());
    }

    #[test]
    fn changed_notes_are_read_alike(at in 0..200_usize, to: u8, cut in 0..4_usize) {
        let mine = signer("log.example", 1);
        let mut note = sign_note("one\ntwo\n", &[&mine, &signer("w.example", 2)]).unwrap().into_bytes();
        let at = at % note.len();
        note[at] = to;
        if cut == 0 { note.truncate(at) }
        let known = verifiers(&[&mine]);
        let list = VerifierList::new(vec![Box::new(StandardVerifier::new(&known[0].to_string()).unwrap())]);
        let theirs = TheirNote::from_bytes(&note).is_ok_and(|note| note.verify(&list).is_ok());
        let text = std::str::from_utf8(&note).map_err(|_| NoteReason::Malformed);
        let ours = text.and_then(|note| Note::open(note, &known).map(|_| ()));
        // We refuse DEL too, which their readers let stand in the names of keys.
        let theirs = theirs && !note.contains(&0x7f);
        prop_assert_eq!(ours.is_ok(), theirs, "{:?} {:?}", ours, String::from_utf8_lossy(&note));
    }

    #[test]
    fn checkpoints_are_read_alike(
        text in "[a-z]{0,3}\n0{0,1}[0-9]{0,3}\n(CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=|AAAA)?\n?(x\n)?"
    ) {
        let theirs = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).ok().filter(|read| read.extension().is_empty());
        let log = signer("log.example", 1);
        let ours = sign_note(&text, &[&log]).ok().and_then(|note| {
            let origin = text.split('\n').next().and_then(|origin| super::KeyName::parse(origin).ok())?;
            // The key bears another name than these origins: only the text is judged.
            Some(Checkpoint::open(&note, &origin, &verifiers(&[&log])) != Err(super::CheckpointReason::Form))
        });
        prop_assert_eq!(ours.unwrap_or(false), theirs.is_some(), "{:?}", text);
    }
}
