//! Proofs to hand out (C2SP tlog-proof): where an entry stands in the tree of a signed checkpoint; verified offline.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{Checkpoint, CheckpointReason};
use super::merkle::{Nodes, includes, inclusion, leaf_hash};
use super::note::{KeyName, NOTE_BYTES_MAX, NoteVerifier};
use crate::crypto::Digest;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// A tree of less than 2⁶⁴ entries has no longer path.
const PATH_MAX: usize = 64;
/// The most bytes of extra data.
pub const EXTRA_BYTES_MAX: usize = 64 * 1024;
const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + 2 * EXTRA_BYTES_MAX;

/// The proof that an entry is in the log; displays as the text of a `.tlog-proof` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    extra: Option<Vec<u8>>,
    index: u64,
    path: Vec<Digest>,
    checkpoint: String,
}

impl TlogProof {
    /// Proves entry `index` in the tree of `head`, of which `checkpoint` is the signed text. What comes out has been
    /// verified: nodes that do not lead to the signed root prove nothing.
    ///
    /// # Errors
    /// When the entry is beyond the checkpoint, a hash is not at hand, or the hashes are not those that were signed.
    pub fn build<N: Nodes>(
        nodes: &mut N,
        index: u64,
        head: &Checkpoint,
        checkpoint: &str,
    ) -> Result<Self, TlogProofReason<N::Error>> {
        let path = inclusion(nodes, index, head.size()).map_err(TlogProofReason::Nodes)?.ok_or(TlogProofReason::Beyond)?;
        let leaf = nodes.node(0, index).map_err(TlogProofReason::Nodes)?;
        if !includes(leaf, index, &path, head.size(), head.root()) {
            return Err(TlogProofReason::Wrong);
        }
        Ok(Self { extra: None, index, path, checkpoint: checkpoint.to_owned() })
    }

    /// This proof with extra data, which nothing vouches for.
    ///
    /// # Errors
    /// When there are more than 64 KiB of it.
    pub fn with_extra(self, extra: Vec<u8>) -> Result<Self, TlogProofReason> {
        if extra.len() > EXTRA_BYTES_MAX { Err(TlogProofReason::Extra) } else { Ok(Self { extra: Some(extra), ..self }) }
    }

    /// Reads the text of a proof; it proves nothing yet.
    ///
    /// # Errors
    /// When it is malformed or too long.
    pub fn parse(text: &str) -> Result<Self, TlogProofReason> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(TlogProofReason::Malformed);
        }
        let proof = Self::parse_loosely(text).ok_or(TlogProofReason::Malformed)?;
        Some(proof).filter(|proof| proof.to_string() == text).ok_or(TlogProofReason::Malformed)
    }

    /// Verifies that `entry` is in the log `origin`, by its checkpoint signed with one of its keys in `known`; returns that
    /// checkpoint.
    ///
    /// # Errors
    /// When the checkpoint is not believed, or the path does not lead from the entry to its root.
    pub fn verify(&self, entry: &[u8], origin: &KeyName, known: &[NoteVerifier]) -> Result<Checkpoint, TlogProofReason> {
        let head = Checkpoint::open(&self.checkpoint, origin, known).map_err(TlogProofReason::Checkpoint)?;
        let holds = includes(leaf_hash(entry), self.index, &self.path, head.size(), head.root());
        if holds { Ok(head) } else { Err(TlogProofReason::Wrong) }
    }

    /// The index of the entry in the log.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The extra data; nothing vouches for it.
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    fn parse_loosely(text: &str) -> Option<Self> {
        let (head, checkpoint) = text.split_once("\n\n")?;
        let mut lines = head.split('\n').peekable();
        lines.next().filter(|line| *line == FIRST_LINE)?;
        let extra = match lines.next_if(|line| line.starts_with("extra ")) {
            Some(line) => Some(STANDARD.decode(line.strip_prefix("extra ")?).ok()?),
            None => None,
        };
        let index = lines.next()?.strip_prefix("index ")?.parse().ok()?;
        let path: Vec<_> = lines.map(|line| Some(Digest(STANDARD.decode(line).ok()?.try_into().ok()?))).collect::<Option<_>>()?;
        let fits = path.len() <= PATH_MAX && extra.as_ref().is_none_or(|extra| extra.len() <= EXTRA_BYTES_MAX);
        fits.then(|| Self { extra, index, path, checkpoint: checkpoint.to_owned() })
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", STANDARD.encode(hash.0))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why there is no proof, or why it proves nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum TlogProofReason<E = std::convert::Infallible> {
    /// The text is not that of a proof.
    Malformed,
    /// The extra data is too long.
    Extra,
    /// The entry is beyond the checkpoint.
    Beyond,
    /// The checkpoint is not believed.
    Checkpoint(CheckpointReason),
    /// The path does not lead from the entry to the signed root.
    Wrong,
    /// A hash is not at hand.
    Nodes(E),
}

impl<E: fmt::Display> fmt::Display for TlogProofReason<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the ledger proof is malformed"),
            Self::Extra => write!(f, "the extra data of the ledger proof is longer than {EXTRA_BYTES_MAX} bytes"),
            Self::Beyond => f.write_str("the entry is not yet in a published checkpoint"),
            Self::Checkpoint(reason) => reason.fmt(f),
            Self::Wrong => f.write_str("the ledger proof does not lead from the entry to the signed root"),
            Self::Nodes(reason) => reason.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for TlogProofReason<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Nodes(reason) = self { reason.source() } else { None }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::ledger::merkle::{root, tests::Stored};
    use crate::ledger::note::tests::{signer, verifiers};

    fn proof(index: u64, size: u64) -> (TlogProof, KeyName, Vec<NoteVerifier>) {
        let (mut nodes, log) = (Stored::new(size), signer("log.example", 1));
        let head = Checkpoint::new(log.name().clone(), size, root(&mut nodes, size).unwrap());
        let signed = head.sign(&[&log]).unwrap();
        let proof = TlogProof::build(&mut nodes, index, &head, &signed).unwrap();
        (proof, log.name().clone(), verifiers(&[&log]))
    }

    #[test]
    fn a_proof_is_the_text_that_the_specification_shows() {
        let (proof, ..) = proof(5, 8);
        let text = proof.clone().with_extra(b"extra".to_vec()).unwrap().to_string();
        let lines: Vec<_> = text.split('\n').collect();
        assert_eq!(lines.first_chunk::<3>().unwrap(), &["c2sp.org/tlog-proof@v1", "extra ZXh0cmE=", "index 5"]);
        assert!(lines.iter().skip(3).take(3).all(|line| line.len() == 44));
        assert_eq!(lines.get(6..9).unwrap(), ["", "log.example", "8"]);
        assert_eq!(TlogProof::parse(&text).unwrap().extra(), Some(b"extra".as_slice()));
        assert_eq!(TlogProof::parse(&proof.to_string()), Ok(proof.clone()));
        let longest = proof.clone().with_extra(vec![0; EXTRA_BYTES_MAX]).unwrap();
        assert_eq!(TlogProof::parse(&longest.to_string()), Ok(longest));
        assert_eq!(proof.with_extra(vec![0; EXTRA_BYTES_MAX + 1]), Err(TlogProofReason::Extra));
    }

    #[test]
    fn a_proof_proves_one_entry_at_one_place() {
        for (index, size) in [(0, 1), (0, 2), (6, 7), (255, 256), (256, 257), (3, 1_000), (999, 1_000)] {
            let (proof, origin, known) = proof(index, size);
            let proof = TlogProof::parse(&proof.to_string()).unwrap();
            let entry = index.to_be_bytes();
            assert_eq!(proof.verify(&entry, &origin, &known).unwrap().size(), size);
            assert_eq!(proof.verify(&(index + 1).to_be_bytes(), &origin, &known), Err(TlogProofReason::Wrong));
            let moved = TlogProof { index: index ^ 1, ..proof.clone() };
            assert_eq!(moved.verify(&entry, &origin, &known), Err(TlogProofReason::Wrong));
            let other = verifiers(&[&signer("log.example", 2)]);
            assert!(matches!(proof.verify(&entry, &origin, &other), Err(TlogProofReason::Checkpoint(_))));
        }
    }

    #[test]
    fn no_changed_byte_of_a_proof_passes() {
        let (proof, origin, known) = proof(5, 8);
        let text = proof.to_string();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            *changed.get_mut(at).unwrap() ^= 1;
            let read = String::from_utf8(changed).ok().and_then(|text| TlogProof::parse(&text).ok());
            assert!(read.is_none_or(|proof| proof.verify(&5_u64.to_be_bytes(), &origin, &known).is_err()), "byte {at}");
        }
    }

    #[test]
    fn hashes_that_were_not_signed_build_no_proof() {
        let log = signer("log.example", 1);
        let head = Checkpoint::new(log.name().clone(), 7, Digest([0; 32]));
        assert_eq!(TlogProof::build(&mut Stored::new(8), 3, &head, "").unwrap_err(), TlogProofReason::Wrong);
        assert_eq!(TlogProof::build(&mut Stored::new(8), 7, &head, "").unwrap_err(), TlogProofReason::Beyond);
    }

    #[test]
    fn malformed_proofs_are_refused() {
        let text = proof(5, 8).0.to_string();
        let hash = format!("{}\n", STANDARD.encode([0; 32]));
        let malformed = [
            String::new(),
            text.replace("@v1", "@v2"),
            text.replace("index 5", "index 05"),
            text.replace("index 5", "index +5"),
            text.replace("index 5", "index"),
            text.replace("index 5", "extra ZXh0cmE=\nextra ZXh0cmE=\nindex 5"),
            text.replace("index 5\n", "index 5\nextra ZXh0cmE=\n"),
            text.replace("index 5\n", "index 5\nAAAA\n"),
            text.replace("index 5\n", &format!("index 5\n{}", hash.repeat(62))),
            text.replace('\n', "\r\n"),
            format!("{text}{}", "x".repeat(PROOF_BYTES_MAX)),
        ];
        for text in malformed {
            assert_eq!(TlogProof::parse(&text), Err(TlogProofReason::Malformed), "{text:?}");
        }
    }
}
