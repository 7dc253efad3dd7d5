//! Generations: what a token's life depends on.

use std::sync::Arc;

use crate::crypto::MacKey;

/// The keyed pseudonym of one thing that can end: a subject, agent, instance, trust rule, API, task, transaction, hop or key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GenerationKey(pub [u8; 16]);

/// The kind of thing that a generation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GenerationKind {
    /// A subject.
    Subject,
    /// A registered client.
    Agent,
    /// One running copy of an agent.
    Instance,
    /// A trust rule.
    Rule,
    /// A registered API.
    Api,
    /// A task.
    Task,
    /// A transaction: all hops of one tree.
    Transaction,
    /// One hop and what descends from it.
    Hop,
    /// A key of this server: what it signed, and nothing that came of that.
    Key,
}

/// A thing and the generation of it under which a token was issued. The token lives while the number is still the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation {
    /// The thing.
    pub key: GenerationKey,
    /// The number of times that the thing was ended before: 0 for the first generation. Of a running copy, whose end is forgotten
    /// some day, the time of that end, so that no two of its generations ever have the same.
    pub number: u64,
}

/// A number from here on is a time, in milliseconds since 1970, that is in 2004 or later; no count comes so far.
const DATED: u64 = 1 << 40;

impl GenerationKey {
    /// The server itself, whose generation is the epoch: no keyed pseudonym, which this could only be by chance.
    pub const EPOCH: Self = Self(*b"countersignepoch");
}

impl Generation {
    /// True where it began at an end that is forgotten some day; what joined it then lives on.
    pub fn is_dated(&self) -> bool {
        self.number >= DATED
    }

    /// True for the epoch that everything is in which names none.
    pub fn is_first_epoch(&self) -> bool {
        self.key == GenerationKey::EPOCH && self.number == 0
    }
}

impl GenerationKind {
    /// Every kind.
    pub const ALL: [Self; 9] =
        [Self::Subject, Self::Agent, Self::Instance, Self::Rule, Self::Api, Self::Task, Self::Transaction, Self::Hop, Self::Key];

    /// The label under which a name of this kind is pseudonymised; no two kinds share one.
    pub fn label(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Agent => "agent",
            Self::Instance => "instance",
            Self::Rule => "rule",
            Self::Api => "api",
            Self::Task => "task",
            Self::Transaction => "txn",
            Self::Hop => "hop",
            Self::Key => "key",
        }
    }
}

/// The keys of the pseudonyms under which state is kept: the current one, and those before it. Whatever joins a token does so
/// under the current one; what was recorded under an earlier one goes on counting, so whoever asks about a name asks under all.
#[derive(Clone, Debug)]
pub struct Pseudonyms {
    current: MacKey,
    earlier: Arc<[MacKey]>,
}

impl Pseudonyms {
    /// The `current` key, and the `earlier` ones.
    pub fn new(current: MacKey, earlier: Vec<MacKey>) -> Self {
        Self { current, earlier: earlier.into() }
    }

    /// The current key.
    pub fn current(&self) -> &MacKey {
        &self.current
    }

    /// The pseudonym under which the thing called `name` joins a token.
    pub fn pseudonym(&self, kind: GenerationKind, name: &[u8]) -> GenerationKey {
        pseudonym(&self.current, kind, name)
    }

    /// The pseudonyms under which it may have been recorded before the current key was made.
    pub fn earlier(&self, kind: GenerationKind, name: &[u8]) -> impl Iterator<Item = GenerationKey> {
        self.earlier.iter().map(move |key| pseudonym(key, kind, name))
    }

    /// Every pseudonym of it, the current one first.
    pub fn every(&self, kind: GenerationKind, name: &[u8]) -> impl Iterator<Item = GenerationKey> {
        std::iter::once(self.pseudonym(kind, name)).chain(self.earlier(kind, name))
    }

    /// The pseudonym of it that stands among `generations`; the current one where none does.
    pub fn known_in(&self, generations: &[Generation], kind: GenerationKind, name: &[u8]) -> GenerationKey {
        let known = |key: &GenerationKey| generations.iter().any(|generation| generation.key == *key);
        let current = self.pseudonym(kind, name);
        if known(&current) { current } else { self.earlier(kind, name).find(known).unwrap_or(current) }
    }
}

/// The first 16 bytes of HMAC-SHA-256(kind, 0x00, name).
fn pseudonym(key: &MacKey, kind: GenerationKind, name: &[u8]) -> GenerationKey {
    GenerationKey(key.mac(&[kind.label().as_bytes(), &[0], name]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_differ_by_kind_name_and_key() {
        let key = Pseudonyms::new(MacKey::new(&[1; 32]), vec![]);
        let of = |kind| key.pseudonym(kind, b"x");
        assert_ne!(of(GenerationKind::Agent), of(GenerationKind::Subject));
        assert_ne!(of(GenerationKind::Agent), key.pseudonym(GenerationKind::Agent, b"y"));
        assert_eq!(of(GenerationKind::Agent), of(GenerationKind::Agent));
        let other = Pseudonyms::new(MacKey::new(&[2; 32]), vec![MacKey::new(&[1; 32])]);
        let current = other.pseudonym(GenerationKind::Agent, b"x");
        assert_ne!(of(GenerationKind::Agent), current);
        assert_eq!(other.every(GenerationKind::Agent, b"x").collect::<Vec<_>>(), [current, of(GenerationKind::Agent)]);
    }

    #[test]
    fn a_thing_goes_on_under_the_pseudonym_that_it_began_under() {
        let before = Pseudonyms::new(MacKey::new(&[1; 32]), vec![]);
        let after = Pseudonyms::new(MacKey::new(&[2; 32]), vec![MacKey::new(&[1; 32])]);
        let (old, new) = (before.pseudonym(GenerationKind::Task, b"t"), after.pseudonym(GenerationKind::Task, b"t"));
        let known_in = |key| after.known_in(&[Generation { key, number: 0 }], GenerationKind::Task, b"t");
        assert_eq!((known_in(old), known_in(new)), (old, new));
        assert_eq!(after.known_in(&[], GenerationKind::Task, b"t"), new);
    }
}
