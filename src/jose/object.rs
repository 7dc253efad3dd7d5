//! JSON objects that are read member by member.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::JoseReason;
use crate::json::{self, JsonReason, Members, string, strings};
use crate::oauth::{NumericDate, Time};

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
        let entries = Members::sorted(&text)?;
        entries.iter().try_for_each(|(_, value)| check_nested(value.get()))?;
        let members = entries.into_iter().map(|(name, value)| Member::new(&text, name, value)).collect();
        Ok(Self { text, members })
    }

    /// The member called `name`, as it was written.
    pub fn raw(&self, name: &str) -> Option<&str> {
        let at = self.members.binary_search_by(|member| member.name.as_str(&self.text).cmp(name)).ok()?;
        self.members.get(at).map(|member| member.value.of(&self.text))
    }

    /// The member called `name`, read as a `T`; none where it is not of that shape.
    pub fn member<'a, T: Deserialize<'a>>(&'a self, name: &str) -> Option<T> {
        self.raw(name).and_then(|raw| json::read_checked(raw).ok())
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
        let read = |raw| json::read_checked(raw).map(|NumericDate(time)| time);
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

    /// The whole object as a structure.
    ///
    /// # Errors
    /// `Claims` when it is not of that shape.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, JoseReason> {
        Ok(json::read_checked(&self.text)?)
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

/// One step of a JSON Pointer (RFC 6901 §4).
fn unescaped(step: &str) -> Cow<'_, str> {
    if step.contains('~') { Cow::Owned(step.replace("~1", "/").replace("~0", "~")) } else { Cow::Borrowed(step) }
}

fn within<'a>(value: &'a str, step: &str) -> Option<&'a str> {
    if value.starts_with('[') {
        let canonical = step == "0" || !step.starts_with(['0', '+']);
        let position: usize = step.parse().ok().filter(|_| canonical)?;
        return json::read_checked::<Vec<&RawValue>>(value).ok()?.get(position).map(|found| found.get());
    }
    json::member(value, step)
}

fn check_nested(value: &str) -> Result<(), JsonReason> {
    if value.starts_with(['{', '[']) { json::check(value, 2) } else { Ok(()) }
}

impl From<JsonReason> for JoseReason {
    fn from(_: JsonReason) -> Self {
        Self::Claims
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
