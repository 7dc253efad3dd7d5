//! One proof by itself (C2SP tlog-proof): the record that it carries is the one that the log signed. Or a bundle of evidence.

use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::evidence;
use super::log::verifiers;
use super::output::{CommandResult, Failure, print};
use crate::files;
use crate::ledger::{Checkpoint, EVIDENCE_BYTES_MAX, NoteVerifier, Record, TlogProof, TlogProofReason};
use crate::server::with_causes;
use crate::store::LogFolder;

/// True where `place` names a proof or a bundle, and no log: whatever is there and no folder, or `-` for what is piped in.
pub(super) fn is_proof(place: &str) -> bool {
    let path = Path::new(place);
    place == "-" || path.exists() && !path.is_dir()
}

/// Verifies the proof at `place` by the verifier `keys` of its log, and shows its record. Answers no where it proves nothing.
///
/// # Errors
/// When it cannot be read, or no key is given: a proof says of itself only that it agrees with itself.
pub(super) fn verify(place: &str, keys: &[String], as_json: bool) -> CommandResult {
    if keys.is_empty() {
        return Err(Failure::new(
            "a proof alone does not say whose log it is of: give the log's verifier key with --key (countersign keys list prints \
             it)",
        ));
    }
    let known = verifiers(&LogFolder::new(Path::new("")), keys)?;
    let text = read(place)?;
    // A proof begins with the name of its specification.
    if text.starts_with('{') {
        return evidence::verify(&text, &known, as_json);
    }
    let (told, words) = match proven(&text, &known) {
        Ok(proven) => (true, proven),
        Err(what) => (false, ShownProof { told: json!({"ok": false, "reason": what}), words: format!("NOT IN ORDER: {what}") }),
    };
    print(as_json, &words.told, &words.words);
    Ok(told)
}

/// What a proof shows, for machines and for people.
struct ShownProof {
    told: Value,
    words: String,
}

fn proven(text: &str, known: &[NoteVerifier]) -> Result<ShownProof, String> {
    let proof = TlogProof::parse(text).map_err(|reason| reason.to_string())?;
    let index = proof.index();
    let bare = "the proof carries no record (a line `extra`), so it shows nothing by itself; ask an auditor for one with the \
                record, or run `countersign ledger prove` on the data folder";
    let entry = proof.extra().ok_or(bare)?;
    let origin = known.first().map(NoteVerifier::name).ok_or("there is no verifier key")?;
    let head = proof.verify(entry, origin, known).map_err(|reason| unproven(&reason, index))?;
    Record::parse(entry).map_err(|reason| format!("entry {index} is in the log, and no record: {reason}"))?;
    Ok(shown(&head, index, entry))
}

fn unproven(reason: &TlogProofReason, index: u64) -> String {
    match reason {
        TlogProofReason::Wrong => format!(
            "the record in `extra` is not entry {index} of the tree that was signed, or the path to it was changed: nothing is \
             proved"
        ),
        TlogProofReason::Checkpoint(reason) => format!("the checkpoint in the proof: {reason}"),
        other => other.to_string(),
    }
}

fn shown(head: &Checkpoint, index: u64, record: &[u8]) -> ShownProof {
    let (origin, size, root) = (head.origin(), head.size(), STANDARD.encode(head.root().0));
    let record: Value = serde_json::from_slice(record).unwrap_or_default();
    let pretty = serde_json::to_string_pretty(&record).unwrap_or_default();
    let words = format!("in order: entry {index} of {origin}\nroot {root} at size {size}\n{pretty}");
    ShownProof {
        told: json!({"ok": true, "origin": origin.as_str(), "index": index, "size": size, "root": root, "record": record}),
        words,
    }
}

fn read(place: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{place}: {}", with_causes(&error)));
    if place != "-" {
        return files::read_argument(Path::new(place), EVIDENCE_BYTES_MAX).map_err(failed);
    }
    let mut text = String::new();
    std::io::stdin().take(EVIDENCE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}
