//! Generations: what a token's life depends on.

use crate::crypto::MacKey;

/// The keyed pseudonym of one thing that can end: a subject, agent, instance, trust rule, API, task, transaction or hop.
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
}

/// A thing and the generation of it under which a token was issued. The token lives while the number is still the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation {
    /// The thing.
    pub key: GenerationKey,
    /// The number of times that the thing was ended before: 0 for the first generation.
    pub number: u64,
}

impl GenerationKind {
    /// Every kind.
    pub const ALL: [Self; 8] =
        [Self::Subject, Self::Agent, Self::Instance, Self::Rule, Self::Api, Self::Task, Self::Transaction, Self::Hop];

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
        }
    }
}

impl MacKey {
    /// The pseudonym of the thing called `name` among those of its kind: the first 16 bytes of HMAC-SHA-256(kind, 0x00, name).
    pub fn pseudonym(&self, kind: GenerationKind, name: &[u8]) -> GenerationKey {
        GenerationKey(self.mac(&[kind.label().as_bytes(), &[0], name]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_differ_by_kind_name_and_key() {
        let key = MacKey::new(&[1; 32]);
        let of = |kind| key.pseudonym(kind, b"x");
        assert_ne!(of(GenerationKind::Agent), of(GenerationKind::Subject));
        assert_ne!(of(GenerationKind::Agent), key.pseudonym(GenerationKind::Agent, b"y"));
        assert_ne!(of(GenerationKind::Agent), MacKey::new(&[2; 32]).pseudonym(GenerationKind::Agent, b"x"));
        assert_eq!(of(GenerationKind::Agent), of(GenerationKind::Agent));
    }
}
