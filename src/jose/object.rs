//! JSON objects without repeated members (RFC 8725 §3.10 in spirit; RFC 7519 §4 lets a parser refuse them).

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::JoseReason;
use crate::oauth::{NumericDate, Time};

/// Objects and arrays nested deeper than this are refused; the outermost object counts.
const DEPTH_MAX: usize = 32;

/// A JSON object that was checked to repeat no member at any depth. It keeps the text and where its members are; a member is
/// parsed when it is asked for.
#[derive(Clone)]
pub struct Object {
    text: String,
    members: Vec<Member>,
}

#[derive(Clone)]
struct Member {
    name: Name,
    value: Span,
}

/// Names are kept by place; only those written with escapes are kept by value.
#[derive(Clone)]
enum Name {
    At(Span),
    Unescaped(Box<str>),
}

#[derive(Clone, Copy)]
struct Span(usize, usize);

impl Object {
    /// Checks the whole text once.
    ///
    /// # Errors
    /// `Claims` when it is not one JSON object in UTF-8, repeats a member at any depth, or is nested deeper than 32.
    pub fn parse(text: impl Into<Vec<u8>>) -> Result<Self, JoseReason> {
        let text = String::from_utf8(text.into()).map_err(|_| JoseReason::Claims)?;
        let ObjectEntries(mut entries) = serde_json::from_str(&text).map_err(|_| JoseReason::Claims)?;
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        refuse_repeats(entries.iter().map(|(name, _)| name.as_ref()))?;
        entries.iter().try_for_each(|(_, value)| check_nested(value))?;
        let members = entries.into_iter().map(|(name, value)| Member::new(&text, name, value)).collect();
        Ok(Self { text, members })
    }

    /// The member called `name`, as it was written.
    pub fn raw(&self, name: &str) -> Option<&str> {
        let at = self.members.binary_search_by(|member| member.name.as_str(&self.text).cmp(name)).ok()?;
        self.members.get(at).map(|member| member.value.of(&self.text))
    }

    /// The member called `name`.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.raw(name).and_then(|raw| serde_json::from_str(raw).ok())
    }

    /// True when there is a member called `name`, whatever its value.
    pub fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// The names of the members, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str(&self.text))
    }

    /// The string member called `name`.
    ///
    /// # Errors
    /// `ClaimType` when it is there and not a string.
    pub fn text(&self, name: &'static str) -> Result<Option<Cow<'_, str>>, JoseReason> {
        self.raw(name).map(|raw| string(raw).ok_or(JoseReason::ClaimType(name))).transpose()
    }

    /// The `NumericDate` member called `name` (RFC 7519 §2).
    ///
    /// # Errors
    /// `ClaimType` when it is there and not a number, or beyond the year 9999.
    pub fn date(&self, name: &'static str) -> Result<Option<Time>, JoseReason> {
        let read = |raw| serde_json::from_str(raw).map(|NumericDate(time)| time);
        self.raw(name).map(|raw| read(raw).map_err(|_| JoseReason::ClaimType(name))).transpose()
    }

    /// The member called `name`, which is a string or an array of strings, as `aud` is (RFC 7519 §4.1.3).
    ///
    /// # Errors
    /// `ClaimType` when it is there and neither.
    pub fn strings(&self, name: &'static str) -> Result<Option<Vec<Cow<'_, str>>>, JoseReason> {
        self.raw(name).map(|raw| strings(raw).ok_or(JoseReason::ClaimType(name))).transpose()
    }

    /// The value that a JSON Pointer names (RFC 6901), as it was written.
    pub fn pointer(&self, pointer: &str) -> Option<&str> {
        let mut steps = pointer.strip_prefix('/')?.split('/').map(unescaped);
        let first = self.raw(&steps.next()?)?;
        steps.try_fold(first, |value, step| within(value, &step))
    }

    /// The member called `path`; when `path` begins with `/`, the value that it names as a JSON Pointer. As it was written.
    pub fn find(&self, path: &str) -> Option<&str> {
        if path.starts_with('/') { self.pointer(path) } else { self.raw(path) }
    }

    /// The text of the whole object.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Member {
    fn new(text: &str, name: Cow<'_, str>, value: &RawValue) -> Self {
        let name = match name {
            Cow::Borrowed(name) => Name::At(Span::within(text, name)),
            Cow::Owned(name) => Name::Unescaped(name.into()),
        };
        Self { name, value: Span::within(text, value.get()) }
    }
}

impl Name {
    fn as_str<'a>(&'a self, text: &'a str) -> &'a str {
        match self {
            Self::At(span) => span.of(text),
            Self::Unescaped(name) => name,
        }
    }
}

impl Span {
    /// The span of `part`, which is borrowed from `text`.
    fn within(text: &str, part: &str) -> Self {
        let start = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        Self(start, start + part.len())
    }

    fn of(self, text: &str) -> &str {
        text.get(self.0..self.1).unwrap_or_default()
    }
}

/// The string that `raw`, a JSON value, is; none for another type.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

fn strings(raw: &str) -> Option<Vec<Cow<'_, str>>> {
    match string(raw) {
        Some(one) => Some(vec![one]),
        None => serde_json::from_str::<Vec<&RawValue>>(raw).ok()?.into_iter().map(|item| string(item.get())).collect(),
    }
}

/// One step of a JSON Pointer (RFC 6901 §4).
fn unescaped(step: &str) -> Cow<'_, str> {
    if step.contains('~') { Cow::Owned(step.replace("~1", "/").replace("~0", "~")) } else { Cow::Borrowed(step) }
}

fn within<'a>(value: &'a str, step: &str) -> Option<&'a str> {
    if value.starts_with('[') {
        let canonical = step == "0" || !step.starts_with(['0', '+']);
        let position: usize = step.parse().ok().filter(|_| canonical)?;
        return serde_json::from_str::<Vec<&RawValue>>(value).ok()?.get(position).map(|found| found.get());
    }
    let mut found = None;
    // The text is known to be good, so an error only says that the search ended early.
    let _ended_early = serde_json::Deserializer::from_str(value).deserialize_map(Seek { step, found: &mut found });
    found
}

/// Looks for one member of an object, and at nothing behind it.
struct Seek<'s, 'de> {
    step: &'s str,
    found: &'s mut Option<&'de str>,
}

impl<'de> Visitor<'de> for Seek<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(NameText(name)) = map.next_key()? {
            if name == self.step {
                *self.found = Some(map.next_value::<&RawValue>()?.get());
                return Err(de::Error::custom("found"));
            }
            map.next_value::<de::IgnoredAny>()?;
        }
        Ok(())
    }
}

fn refuse_repeats<'a>(sorted: impl Iterator<Item = &'a str>) -> Result<(), JoseReason> {
    let mut last = None;
    for name in sorted {
        if last.replace(name) == Some(name) {
            return Err(JoseReason::Claims);
        }
    }
    Ok(())
}

fn check_nested(value: &RawValue) -> Result<(), JoseReason> {
    if !value.get().starts_with(['{', '[']) {
        return Ok(());
    }
    let mut json = serde_json::Deserializer::from_str(value.get());
    Nested(2).deserialize(&mut json).map_err(|_| JoseReason::Claims)
}

/// The members of one object, as they came.
struct ObjectEntries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for ObjectEntries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor).map(Self)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

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

/// A member's name, borrowed where it was written without escapes.
struct NameText<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for NameText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor).map(Self)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// Walks a nested value at this depth, keeping nothing.
struct Nested(usize);

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Nested {
    fn inner<E: de::Error>(&self) -> Result<usize, E> {
        if self.0 > DEPTH_MAX { Err(E::custom("nested too deeply")) } else { Ok(self.0 + 1) }
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while seq.next_element_seed(Nested(inner))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut names = Vec::new();
        while let Some(NameText(name)) = map.next_key()? {
            names.push(name);
            map.next_value_seed(Nested(inner))?;
        }
        names.sort_unstable();
        refuse_repeats(names.iter().map(Cow::as_ref)).map_err(de::Error::custom)
    }
}

/// Claims are personal: never printed.
impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Object")
    }
}

#[cfg(test)]
mod tests;
