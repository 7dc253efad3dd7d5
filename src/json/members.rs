//! The members of one object, in the order in which they came.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::JsonReason;
use super::text::{NameText, string};
use super::unique::refuse_repeats;

/// The members of a JSON object, in the order in which they came; none of them twice. Each value is kept as it was written.
pub struct Members<'a>(Entries<'a>);

pub(crate) type Entries<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

impl<'a> Members<'a> {
    /// Reads an object. Nothing inside its values is looked at.
    ///
    /// # Errors
    /// When it is none, or repeats a member.
    pub fn read(text: &'a str) -> Result<Self, JsonReason> {
        let ObjectEntries(entries) = serde_json::from_str(text)?;
        let mut names: Vec<&str> = entries.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        refuse_repeats(names.into_iter())?;
        Ok(Self(entries))
    }

    /// The members of an object as they were written, one that is repeated too; none where it is no object.
    pub(crate) fn written(text: &'a str) -> Option<Entries<'a>> {
        serde_json::from_str(text).ok().map(|ObjectEntries(entries)| entries)
    }

    /// The members sorted by name.
    pub(crate) fn sorted(text: &'a str) -> Result<Entries<'a>, JsonReason> {
        let ObjectEntries(mut entries) = serde_json::from_str(text)?;
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        refuse_repeats(entries.iter().map(|(name, _)| name.as_ref()))?;
        Ok(entries)
    }

    /// The members.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// The member called `name`.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The string member called `name`.
    ///
    /// # Errors
    /// When it is there and no string.
    pub fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, JsonReason> {
        self.get(name).map(|value| string(value.get()).ok_or(JsonReason)).transpose()
    }
}

/// The member `name` of `object`, a text that is known to be good, as it was written. Nothing behind it is looked at.
pub(crate) fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    // The text is known to be good, so an error only says that the search ended early.
    let _ended_early = serde_json::Deserializer::from_str(object).deserialize_map(Seek { name, found: &mut found });
    found
}

struct Seek<'s, 'de> {
    name: &'s str,
    found: &'s mut Option<&'de str>,
}

impl<'de> Visitor<'de> for Seek<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(NameText(name)) = map.next_key()? {
            if name == self.name {
                *self.found = Some(map.next_value::<&RawValue>()?.get());
                return Err(de::Error::custom("found"));
            }
            map.next_value::<de::IgnoredAny>()?;
        }
        Ok(())
    }
}

struct ObjectEntries<'a>(Entries<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for ObjectEntries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor).map(Self)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(16);
        while let Some((NameText(name), value)) = map.next_entry()? {
            entries.push((name, value));
        }
        Ok(entries)
    }
}
