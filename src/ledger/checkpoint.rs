//! Checkpoints (C2SP tlog-checkpoint): the head of the tree as a signed note of three lines.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::note::{KeyName, Note, NoteReason, NoteSigner, NoteVerifier, sign_note};
use crate::crypto::Digest;

/// The head of a log: which log, how many entries, and the root over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: KeyName,
    size: u64,
    root: Digest,
}

impl Checkpoint {
    /// The head of the log `origin` at `size` entries.
    pub fn new(origin: KeyName, size: u64, root: Digest) -> Self {
        Self { origin, size, root }
    }

    /// Opens a signed checkpoint of the log `origin`: a key of `known` that bears the log's own name signed it, and no known
    /// key's signature in it is bad.
    ///
    /// # Errors
    /// When it is malformed, another log's, or not signed so.
    pub fn open(note: &str, origin: &KeyName, known: &[NoteVerifier]) -> Result<Self, CheckpointReason> {
        let note = Note::open(note, known)?;
        let checkpoint = Self::parse(note.text()).ok_or(CheckpointReason::Form)?;
        if checkpoint.origin != *origin {
            return Err(CheckpointReason::Origin);
        }
        // A witness's signature alone says only that it saw the checkpoint.
        let by_log = note.signers().iter().any(|key| key.name() == origin);
        if by_log { Ok(checkpoint) } else { Err(CheckpointReason::Note(NoteReason::Unsigned)) }
    }

    /// The signed checkpoint: one key signs, or two while one takes over from the other.
    ///
    /// # Errors
    /// When nobody signs, or under another name than the log's.
    pub fn sign(&self, signers: &[&NoteSigner]) -> Result<String, CheckpointReason> {
        if signers.iter().any(|signer| *signer.name() != self.origin) {
            return Err(CheckpointReason::Origin);
        }
        Ok(sign_note(&self.text(), signers)?)
    }

    /// The log.
    pub fn origin(&self) -> &KeyName {
        &self.origin
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> Digest {
        self.root
    }

    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }

    /// The checkpoint with exactly this text; one with extension lines is none of ours.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let root = STANDARD.decode(root).ok()?;
        let origin = KeyName::parse(origin).ok()?;
        let checkpoint = Self { origin, size: size.parse().ok()?, root: Digest(root.try_into().ok()?) };
        Some(checkpoint).filter(|checkpoint| checkpoint.text() == text)
    }
}

/// Why a checkpoint was not signed, or not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointReason {
    /// The note around it.
    Note(NoteReason),
    /// The text is not that of a checkpoint without extension lines.
    Form,
    /// It is another log's.
    Origin,
}

impl From<NoteReason> for CheckpointReason {
    fn from(reason: NoteReason) -> Self {
        Self::Note(reason)
    }
}

impl fmt::Display for CheckpointReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(reason) => write!(f, "the checkpoint is not believed: {reason}"),
            Self::Form => f.write_str("the checkpoint is not of the form origin, size, root"),
            Self::Origin => f.write_str("the checkpoint is that of another log"),
        }
    }
}

impl std::error::Error for CheckpointReason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::ledger::note::tests::{signer, verifiers};

    const TEXT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let checkpoint = Checkpoint::parse(TEXT).unwrap();
        assert_eq!((checkpoint.origin().as_str(), checkpoint.size()), ("example.com/behind-the-sofa", 20_852_163));
        assert_eq!(checkpoint.text(), TEXT);
    }

    #[test]
    fn there_is_one_spelling_of_a_checkpoint() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        let refused = [
            String::new(),
            format!("o\n1\n{root}"),
            format!("o\n1\n{root}\nextension\n"),
            format!("o\n1\n{root}\n\n"),
            format!("\n1\n{root}\n"),
            format!("o o\n1\n{root}\n"),
            format!("o\n01\n{root}\n"),
            format!("o\n+1\n{root}\n"),
            format!("o\n-1\n{root}\n"),
            format!("o\n\n{root}\n"),
            format!("o\n1 \n{root}\n"),
            format!("o\n18446744073709551616\n{root}\n"),
            "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n".to_owned(),
            "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n".to_owned(),
            "o\n1\nCsUYapGGPo4dkMgIAUqom_Xajj7h2fB2MPA3j2jxq2I=\n".to_owned(),
            "o\n1\nAAAA\n".to_owned(),
        ];
        for text in refused {
            assert_eq!(Checkpoint::parse(&text), None, "{text:?}");
        }
        assert!(Checkpoint::parse(&format!("o\n18446744073709551615\n{root}\n")).is_some());
        assert!(Checkpoint::parse(&format!("o\n0\n{root}\n")).is_some());
    }

    #[test]
    fn only_the_log_itself_can_sign_its_checkpoint() {
        let (old, new, witness) = (signer("log.example", 1), signer("log.example", 2), signer("witness.example", 3));
        let origin = old.name().clone();
        let checkpoint = Checkpoint::new(origin.clone(), 7, Digest([9; 32]));
        let both = checkpoint.sign(&[&old, &new]).unwrap();
        for known in [verifiers(&[&old]), verifiers(&[&new]), verifiers(&[&old, &new, &witness])] {
            assert_eq!(Checkpoint::open(&both, &origin, &known), Ok(checkpoint.clone()));
        }
        let unsigned = CheckpointReason::Note(NoteReason::Unsigned);
        assert_eq!(Checkpoint::open(&both, &origin, &verifiers(&[&witness])), Err(unsigned));
        assert_eq!(checkpoint.sign(&[&witness]), Err(CheckpointReason::Origin));
        let witnessed = sign_note(&checkpoint.text(), &[&witness]).unwrap();
        assert_eq!(Checkpoint::open(&witnessed, &origin, &verifiers(&[&old, &witness])), Err(unsigned));
        let other = KeyName::parse("other.example").unwrap();
        assert_eq!(Checkpoint::open(&both, &other, &verifiers(&[&old])), Err(CheckpointReason::Origin));
        let extended = sign_note(&format!("{}more\n", checkpoint.text()), &[&old]).unwrap();
        assert_eq!(Checkpoint::open(&extended, &origin, &verifiers(&[&old])), Err(CheckpointReason::Form));
    }
}
