//! Signed notes (C2SP signed-note): text, an empty line, and signature lines, Ed25519 only.

mod key;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use key::{KeyName, NoteKeyReason, NoteSigner, NoteVerifier};

/// The most bytes of a note that are read: 16 post-quantum signatures fit several times over.
pub const NOTE_BYTES_MAX: usize = 256 * 1024;
/// The most signatures of a note that are read; the specification demands at least 16.
pub const NOTE_SIGNATURES_MAX: usize = 64;
const MARK: &str = "\u{2014} ";

/// A note that a known key signed.
#[derive(Clone, Debug)]
pub struct Note<'a, 'k> {
    text: &'a str,
    signers: Vec<&'k NoteVerifier>,
    unknown: usize,
}

impl<'a, 'k> Note<'a, 'k> {
    /// Opens a note: at least one of its signatures is by a key of `known`, and every such signature is good. Signatures by
    /// other keys are ignored.
    ///
    /// # Errors
    /// When the note is malformed, too large, signed by no known key, or carries a bad signature of a known key.
    pub fn open(note: &'a str, known: &'k [NoteVerifier]) -> Result<Self, NoteReason> {
        let (text, lines) = split(note)?;
        let (mut signers, mut unknown) = (Vec::new(), 0);
        for line in lines {
            let line = SignatureLine::parse(line).ok_or(NoteReason::Malformed)?;
            match known.iter().find(|key| key.name().as_str() == line.name && key.id() == line.id) {
                None => unknown += 1,
                Some(key) if !key.verifies(text, &line.signature) => return Err(NoteReason::BadSignature),
                Some(key) => signers.push(key),
            }
        }
        if signers.is_empty() { Err(NoteReason::Unsigned) } else { Ok(Self { text, signers, unknown }) }
    }

    /// The text, with its last newline.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The known keys that signed it.
    pub fn signers(&self) -> &[&'k NoteVerifier] {
        &self.signers
    }

    /// How many signatures are by keys that are not known.
    pub fn unknown(&self) -> usize {
        self.unknown
    }
}

/// The note of `text`, which ends in a newline, with one signature for each of `signers`.
///
/// # Errors
/// When the text cannot stand in a note, or nobody signs.
pub fn sign_note(text: &str, signers: &[&NoteSigner]) -> Result<String, NoteReason> {
    if signers.is_empty() {
        return Err(NoteReason::Unsigned);
    }
    if !text.ends_with('\n') || !is_plain(text) {
        return Err(NoteReason::Malformed);
    }
    let mut note = format!("{text}\n");
    for signer in signers {
        let signature = [&signer.id()[..], &signer.sign(text)].concat();
        note.push_str(&format!("{MARK}{} {}\n", signer.name(), STANDARD.encode(signature)));
    }
    Some(note).filter(|note| note.len() <= NOTE_BYTES_MAX).ok_or(NoteReason::TooLarge)
}

struct SignatureLine<'a> {
    name: &'a str,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, signature) = line.strip_prefix(MARK)?.split_once(' ')?;
        KeyName::check(name).ok()?;
        let bytes = STANDARD.decode(signature).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        (!signature.is_empty()).then(|| Self { name, id: *id, signature: signature.to_vec() })
    }
}

/// The text and the signature lines: the last empty line stands between them.
fn split(note: &str) -> Result<(&str, impl Iterator<Item = &str>), NoteReason> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteReason::TooLarge);
    }
    let signatures = note.rsplit_once("\n\n").map(|(_, signatures)| signatures).filter(|_| is_plain(note));
    let signatures = signatures.ok_or(NoteReason::Malformed)?;
    let text = note.strip_suffix(signatures).and_then(|text| text.strip_suffix('\n')).ok_or(NoteReason::Malformed)?;
    let lines = signatures.strip_suffix('\n').ok_or(NoteReason::Malformed)?;
    if lines.bytes().filter(|byte| *byte == b'\n').count() >= NOTE_SIGNATURES_MAX {
        return Err(NoteReason::TooLarge);
    }
    Ok((text, lines.split('\n')))
}

/// True when there is no ASCII control character but newlines.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte >= b' ' || byte == b'\n')
}

/// Why a note was not signed, or not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteReason {
    /// Not of the form of a note.
    Malformed,
    /// More bytes or signatures than are read.
    TooLarge,
    /// No signature by a known key.
    Unsigned,
    /// A signature with the name and id of a known key is not that key's.
    BadSignature,
}

impl fmt::Display for NoteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the signed note is malformed"),
            Self::TooLarge => {
                write!(f, "the signed note has more than {NOTE_BYTES_MAX} bytes or {NOTE_SIGNATURES_MAX} signatures")
            }
            Self::Unsigned => f.write_str("the signed note has no signature by a known key"),
            Self::BadSignature => f.write_str("the signed note has a bad signature in the name of a known key"),
        }
    }
}

impl std::error::Error for NoteReason {}

#[cfg(test)]
pub(crate) mod tests;
