#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
use super::*;
use crate::crypto::SignKey;

pub(crate) fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::new(KeyName::parse(name).unwrap(), SignKey::from_seed(&[seed; 32]).unwrap())
}

pub(crate) fn verifiers(signers: &[&NoteSigner]) -> Vec<NoteVerifier> {
    signers.iter().map(|signer| signer.verifier().unwrap()).collect()
}

/// Key and note of the documentation of golang.org/x/mod/sumdb/note.
const GO_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#[test]
fn the_note_of_the_go_documentation_is_believed() {
    let known = [NoteVerifier::parse(GO_VKEY).unwrap()];
    assert_eq!(known[0].to_string(), GO_VKEY);
    let note = Note::open(GO_NOTE, &known).unwrap();
    assert!(note.text().ends_with("your problem is.\n"));
    assert_eq!((note.signers().len(), note.unknown()), (1, 0));
}

#[test]
fn verifier_keys_have_one_spelling() {
    let refused = [
        ("", NoteKeyReason::Form),
        ("PeterNeumann+c74f20a3", NoteKeyReason::Form),
        ("PeterNeumann+c74f20a3+!", NoteKeyReason::Form),
        ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", NoteKeyReason::Name),
        ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", NoteKeyReason::Name),
        ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", NoteKeyReason::Id),
        ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", NoteKeyReason::Id),
        ("PeterNeumanN+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", NoteKeyReason::Id),
        ("PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", NoteKeyReason::Kind),
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10Q=", NoteKeyReason::Kind),
    ];
    for (vkey, reason) in refused {
        assert_eq!(NoteVerifier::parse(vkey).unwrap_err(), reason, "{vkey}");
    }
}

#[test]
fn unknown_signatures_are_ignored_and_bad_ones_of_known_keys_refused() {
    let (ours, other) = (signer("log.example", 1), signer("witness.example", 2));
    let note = sign_note("text\n", &[&ours, &other]).unwrap();
    let opened = |keys: &[&NoteSigner]| Note::open(&note, &verifiers(keys)).map(|note| (note.signers().len(), note.unknown()));
    assert_eq!(opened(&[&ours]), Ok((1, 1)));
    assert_eq!(opened(&[&ours, &other]), Ok((2, 0)));
    assert_eq!(opened(&[&signer("log.example", 3)]), Err(NoteReason::Unsigned));
    assert_eq!(opened(&[&signer("other.example", 1)]), Err(NoteReason::Unsigned));
    assert_eq!(opened(&[]), Err(NoteReason::Unsigned));

    // The other's signature under our name and id: bad, although ours before it is good.
    let forged = [&ours.id()[..], &other.sign("text\n")].concat();
    let forged = format!("{}{MARK}log.example {}\n", sign_note("text\n", &[&ours]).unwrap(), STANDARD.encode(forged));
    assert_eq!(Note::open(&forged, &verifiers(&[&ours])).unwrap_err(), NoteReason::BadSignature);
}

#[test]
fn no_changed_byte_passes() {
    let ours = signer("log.example", 1);
    let (note, known) = (sign_note("one\n\ntwo\n", &[&ours]).unwrap(), verifiers(&[&ours]));
    assert_eq!(Note::open(&note, &known).unwrap().text(), "one\n\ntwo\n");
    for at in 0..note.len() {
        let mut changed = note.clone().into_bytes();
        changed[at] ^= 1;
        let opened = String::from_utf8(changed).is_ok_and(|changed| Note::open(&changed, &known).is_ok());
        assert!(!opened, "byte {at}");
    }
}

#[test]
fn malformed_notes_are_refused() {
    let ours = signer("log.example", 1);
    let (note, known) = (sign_note("text\n", &[&ours]).unwrap(), verifiers(&[&ours]));
    let malformed = [
        String::new(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        note.trim_end().to_owned(),
        format!("{note}\n"),
        format!("{note}more\n"),
        note.replace('\u{2014}', "-"),
        note.replace("text\n\n", "text\n"),
        note.replace("text", "te\txt"),
        note.replace("text", "te\rxt"),
        note.replace("log.example ", "log.example  "),
        note.replace("log.example ", " "),
        note.replace("log.example ", "log+example "),
        format!("{note}{MARK}short AAAA\n"),
        format!("{note}{MARK}four AAAAAA==\n"),
    ];
    for text in malformed {
        assert_eq!(Note::open(&text, &known).unwrap_err(), NoteReason::Malformed, "{text:?}");
    }
    for text in ["", "text", "a\0\n", "a\r\n"] {
        assert_eq!(sign_note(text, &[&ours]), Err(NoteReason::Malformed), "{text:?}");
    }
    assert_eq!(sign_note("text\n", &[]), Err(NoteReason::Unsigned));
}

#[test]
fn sizes_and_counts_are_bounded_but_not_too_tightly() {
    let (ours, known) = (signer("log.example", 1), verifiers(&[&signer("log.example", 1)]));
    let note = sign_note("text\n", &[&ours]).unwrap();
    // Sixteen signatures of post-quantum size beside ours.
    let large = format!("{MARK}pq.example {}\n", STANDARD.encode(vec![7; 5_000]));
    assert_eq!(Note::open(&format!("{note}{}", large.repeat(16)), &known).unwrap().unknown(), 16);
    let small = format!("{MARK}w.example AAAAAAA=\n");
    assert!(Note::open(&format!("{note}{}", small.repeat(63)), &known).is_ok());
    assert_eq!(Note::open(&format!("{note}{}", small.repeat(64)), &known).unwrap_err(), NoteReason::TooLarge);
    let long = format!("{}\n", "x".repeat(NOTE_BYTES_MAX));
    assert_eq!(sign_note(&long, &[&ours]), Err(NoteReason::TooLarge));
    assert_eq!(Note::open(&format!("{long}{note}"), &known).unwrap_err(), NoteReason::TooLarge);
}
