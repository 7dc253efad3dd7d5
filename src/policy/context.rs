//! The context of a policy request: its attributes, named and typed as the schema has them.

use std::borrow::Cow;

use crate::catalog::{Api, ScopeInfo};
use crate::oauth::{Intent, Time};

/// The part of the context that belongs to the scope that is decided on.
#[derive(Clone, Copy)]
pub(super) struct ScopeContext<'a> {
    pub(super) api: &'a Api,
    pub(super) info: &'a ScopeInfo,
}

/// The value of an attribute.
pub(super) enum PolicyValue<'a> {
    Text(&'a str),
    Name(String),
    Set(Vec<Cow<'a, str>>),
    Number(i64),
    Flag(bool),
    Instant(Time),
    Subject(&'a str),
    /// The entity of the intent, whose tags are its values.
    Intent,
}

named! {
    /// An attribute of the context.
    pub(super) enum Attribute {
        Subject = "subject", Client = "client", Actor = "actor", Chain = "chain", Depth = "depth", Instance = "instance",
        Task = "task", Purpose = "purpose", Data = "data", Touched = "touched", Destination = "destination", Effect = "effect",
        Time = "time", Acr = "acr", Amr = "amr", AuthAge = "auth_age", Binding = "binding", Approved = "approved",
        Basis = "basis", Trust = "trust", Intent = "intent",
    }
}

/// A set of attributes: those that some policies mention. What no policy mentions need not be built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UsedAttributes(u32);

impl UsedAttributes {
    pub(super) const ALL: Self = Self(u32::MAX);

    /// The sets of the subject, which are an entity of their own.
    pub(super) const SETS: Self = Self(1 << 31);

    /// The attribute called `name`; everything when there is none of that name.
    pub(super) fn named(name: &str) -> Self {
        let found = Attribute::NAMES.iter().find(|(known, _)| *known == name);
        found.map_or(Self::ALL, |(_, attribute)| Self(1 << *attribute as u32))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn contains(self, attribute: Attribute) -> bool {
        self.0 & (1 << attribute as u32) != 0
    }

    pub(super) fn contains_sets(self) -> bool {
        self.0 & Self::SETS.0 != 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Attribute> {
        Attribute::NAMES.into_iter().map(|(_, attribute)| attribute).filter(move |attribute| self.contains(*attribute))
    }

    /// True where a context of these attributes is the same for every scope of a request.
    pub(super) fn same_for_all_scopes(self) -> bool {
        ![Attribute::Data, Attribute::Destination, Attribute::Effect].iter().any(|attribute| self.contains(*attribute))
    }
}

impl<'a> ScopeContext<'a> {
    /// The value of an attribute that belongs to the scope. An intent adds to what the API declares and takes nothing away:
    /// further classes of data, a destination that is farther.
    pub(super) fn value(&self, attribute: Attribute, intent: Option<&'a Intent>) -> PolicyValue<'a> {
        match attribute {
            Attribute::Data => {
                let more = intent.map(Intent::data_classes).unwrap_or_default().iter();
                let all = self.info.data.iter().chain(more.filter(|class| !self.info.data.contains(class)));
                PolicyValue::Set(all.map(|class| Cow::Borrowed(class.as_str())).collect())
            }
            Attribute::Destination => {
                let farther = intent.and_then(Intent::destination).max(Some(self.api.destination));
                PolicyValue::Text(farther.unwrap_or(self.api.destination).as_str())
            }
            _ => PolicyValue::Text(self.info.effect.as_str()),
        }
    }
}

/// Texts as a set.
pub(super) fn texts(values: &[String]) -> PolicyValue<'_> {
    PolicyValue::Set(values.iter().map(|value| Cow::Borrowed(value.as_str())).collect())
}
