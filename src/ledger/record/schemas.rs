//! The JSON Schema of each kind of record (draft 2020-12), as anybody may use it to read them. A later version stands beside.

use super::schema::Kind;

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Hop,
        Self::Task,
        Self::Refusal,
        Self::Withheld,
        Self::Death,
        Self::Suspension,
        Self::Resumption,
        Self::Retirement,
        Self::State,
        Self::Configuration,
        Self::Key,
        Self::Epoch,
        Self::Retention,
    ];

    /// The kind that goes by the name; none where none does.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The schema of records of this kind, of version 1, in canonical form (RFC 8785).
    pub fn canonical_schema(self) -> String {
        // Its members stand in their order, and no text in it has two blanks or ends in one, so this only takes the lines apart.
        self.json_schema().lines().map(str::trim_start).collect::<String>().replace("\": ", "\":")
    }

    /// The schema of records of this kind, of version 1, its members in alphabetical order.
    pub fn json_schema(self) -> &'static str {
        match self {
            Self::Hop => include_str!("schemas/hop.json"),
            Self::Task => include_str!("schemas/task.json"),
            Self::Refusal => include_str!("schemas/refusal.json"),
            Self::Withheld => include_str!("schemas/withheld.json"),
            Self::Death => include_str!("schemas/death.json"),
            Self::Suspension => include_str!("schemas/suspension.json"),
            Self::Resumption => include_str!("schemas/resumption.json"),
            Self::Retirement => include_str!("schemas/retirement.json"),
            Self::State => include_str!("schemas/state.json"),
            Self::Configuration => include_str!("schemas/configuration.json"),
            Self::Key => include_str!("schemas/key.json"),
            Self::Epoch => include_str!("schemas/epoch.json"),
            Self::Retention => include_str!("schemas/retention.json"),
        }
    }
}
