//! Keys of signed notes: a name, an id derived from it, and an Ed25519 key (C2SP signed-note, signatures).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::crypto::{Digest, Ed25519Reason, SignKey, VerifyKey};

const NAME_BYTES_MAX: usize = 256;
const VKEY_BYTES_MAX: usize = 512;
/// Ed25519 signatures of the note's text.
const ED25519: u8 = 1;

/// The name of a key, and of a log: not empty, without spaces, control characters and `+`; by custom a URL without scheme.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyName(String);

const RESTORED: &str = "/restored-";

impl KeyName {
    /// The name written so.
    ///
    /// # Errors
    /// When it is empty, longer than 256 bytes, or has a space, a control character or a `+`.
    pub fn parse(name: &str) -> Result<Self, NoteKeyReason> {
        Self::check(name)?;
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the log that begins when the records of this one were lost for the time `log`: what was signed under a name
    /// is contradicted under another. For 0 this one.
    ///
    /// # Errors
    /// When it is too long.
    pub fn restored(&self, log: u64) -> Result<Self, NoteKeyReason> {
        if log == 0 { Ok(self.clone()) } else { Self::parse(&format!("{self}{RESTORED}{log}")) }
    }

    /// The number by which [`restored`](Self::restored) makes this name of `base`; none where it does not.
    pub fn restored_from(&self, base: &Self) -> Option<u64> {
        let rest = self.0.strip_prefix(base.as_str())?;
        if rest.is_empty() {
            return Some(0);
        }
        let log = rest.strip_prefix(RESTORED)?.parse().ok()?;
        base.restored(log).ok().filter(|name| log > 0 && name == self).map(|_| log)
    }

    pub(super) fn check(name: &str) -> Result<(), NoteKeyReason> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(bad) { Err(NoteKeyReason::Name) } else { Ok(()) }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key that verifies notes; displays as the standard verifier key (`vkey`): `name+id+key`.
#[derive(Clone, Debug)]
pub struct NoteVerifier {
    name: KeyName,
    id: [u8; 4],
    key: VerifyKey,
}

impl NoteVerifier {
    /// The verifier of that name and key.
    pub fn new(name: KeyName, key: VerifyKey) -> Self {
        let id = key_id(&name, key.bytes());
        Self { name, id, key }
    }

    /// The verifier in a `vkey`.
    ///
    /// # Errors
    /// When it is malformed, not Ed25519 of type 1, or its id is not that of its name and key.
    pub fn parse(vkey: &str) -> Result<Self, NoteKeyReason> {
        if vkey.len() > VKEY_BYTES_MAX {
            return Err(NoteKeyReason::Form);
        }
        // The key may contain a `+` itself.
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteKeyReason::Form);
        };
        let name = KeyName::parse(name)?;
        let key = STANDARD.decode(key).map_err(|_| NoteKeyReason::Form)?;
        let key = key.strip_prefix(&[ED25519]).ok_or(NoteKeyReason::Kind)?;
        let key = key.try_into().map_err(|_| NoteKeyReason::Kind)?;
        let verifier = Self::new(name, VerifyKey::new(key).map_err(NoteKeyReason::Key)?);
        Some(verifier).filter(|verifier| verifier.to_string() == vkey).ok_or(NoteKeyReason::Id)
    }

    /// Its name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its id: the first four bytes of SHA-256(name, newline, type, key).
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// True when the signature is this key's over the text of a note.
    pub(super) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        self.key.verifies(text.as_bytes(), signature)
    }
}

impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519][..], self.key.bytes()].concat());
        write!(f, "{}+{:08x}+{key}", self.name, u32::from_be_bytes(self.id))
    }
}

/// A key that signs notes.
#[derive(Debug)]
pub struct NoteSigner {
    name: KeyName,
    id: [u8; 4],
    key: SignKey,
}

impl NoteSigner {
    /// The signer of that name and key.
    pub fn new(name: KeyName, key: SignKey) -> Self {
        let id = key_id(&name, &key.public());
        Self { name, id, key }
    }

    /// The key that verifies what this one signs.
    ///
    /// # Errors
    /// None in practice; the type of the primitive allows one.
    pub fn verifier(&self) -> Result<NoteVerifier, NoteKeyReason> {
        let key = VerifyKey::new(self.key.public()).map_err(NoteKeyReason::Key)?;
        Ok(NoteVerifier::new(self.name.clone(), key))
    }

    /// Its name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its id.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    pub(super) fn sign(&self, text: &str) -> [u8; 64] {
        self.key.sign(text.as_bytes())
    }
}

fn key_id(name: &KeyName, key: &[u8; 32]) -> [u8; 4] {
    let digest = Digest::of_parts(&[name.as_str().as_bytes(), &[b'\n', ED25519], key]);
    let [a, b, c, d, ..] = digest.0;
    [a, b, c, d]
}

/// Why a text names no key of notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKeyReason {
    /// The name cannot be one.
    Name,
    /// Not of the form name+id+key.
    Form,
    /// Not an Ed25519 key.
    Kind,
    /// The id is not that of the name and key.
    Id,
    /// The key itself is none.
    Key(Ed25519Reason),
}

impl fmt::Display for NoteKeyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("the name of a ledger key is empty, too long, or has a space or a plus sign"),
            Self::Form => f.write_str("the verifier key is not of the form name+id+key, the id in hex and the key in base64"),
            Self::Kind => f.write_str("the verifier key is not an Ed25519 key of signature type 1"),
            Self::Id => f.write_str("the id in the verifier key is not that of its name and key"),
            Self::Key(reason) => reason.fmt(f),
        }
    }
}

impl std::error::Error for NoteKeyReason {}
