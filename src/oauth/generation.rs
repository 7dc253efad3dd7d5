//! Generations: what a token's life depends on.

/// The keyed pseudonym of one thing that can end: a subject, agent, instance, trust rule, task, transaction or hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GenerationKey(pub [u8; 16]);

/// What kind of thing a generation counts the lives of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GenerationKind {
    /// On whose behalf.
    Subject,
    /// A registered client.
    Agent,
    /// One running copy of an agent.
    Instance,
    /// A trust rule.
    Rule,
    /// A task.
    Task,
    /// All hops of one tree.
    Transaction,
    /// One hop and what descends from it.
    Hop,
}

/// A thing and the life of it under which a token was issued. The token lives while the number is still the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation {
    /// Of what.
    pub key: GenerationKey,
    /// Which life: 0 until the thing was ended for the first time.
    pub number: u64,
}

impl GenerationKind {
    /// The label under which a name of this kind is pseudonymised; no two kinds share one.
    pub fn label(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Agent => "agent",
            Self::Instance => "instance",
            Self::Rule => "rule",
            Self::Task => "task",
            Self::Transaction => "txn",
            Self::Hop => "hop",
        }
    }
}
