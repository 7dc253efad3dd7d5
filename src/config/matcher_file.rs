//! Typed matchers: what a claim must be. There are no patterns, so there is nothing to anchor.

use super::Diagnostic;
use super::desk::Desk;
use super::reader::{Located, Reader, all, short};
use super::tree::{Node, Value};
use crate::catalog::Place;
use crate::trust::{Literal, Matcher, MatcherReason, Requirement};

/// A claim and what it must be, and where that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatcherFile {
    /// The claim and its matcher.
    pub requirement: Requirement,
    /// Where it is written.
    pub place: Place,
}

/// The matchers of the table at `key`, in alphabetical order of their claims; none when there is no such table or anything is
/// wrong in it.
pub(super) fn take(reader: &mut Reader<'_>, key: &'static str) -> Option<Vec<MatcherFile>> {
    all(take_each(reader, key)?.into_iter())
}

/// The same, each for itself.
pub(super) fn take_each(reader: &mut Reader<'_>, key: &'static str) -> Option<Vec<Option<MatcherFile>>> {
    let mut table = reader.take_table(key)?;
    let entries = table.take_rest();
    Some(entries.into_iter().map(|(claim, node)| matcher(&table, claim, node)).collect())
}

/// The name of a claim as files write it. Its error completes a sentence.
pub(super) fn claim(name: &str) -> Result<String, &'static str> {
    let escapes_well = name.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    match name {
        "" => Err("must not be empty"),
        _ if name.starts_with('/') && !escapes_well => Err("is no JSON Pointer: ~ is written ~0, / in a name ~1"),
        _ => Ok(name.to_owned()),
    }
}

fn matcher(reader: &Reader<'_>, name: String, node: Node) -> Option<MatcherFile> {
    let (desk, place) = (reader.desk(), node.place.clone());
    let name = claim(&name).map_err(|reason| {
        desk.complain(Diagnostic::new(place.clone(), format!("claim `{}` {reason}", short(&name))));
    });
    let name = name.ok()?;
    let found = match node.value {
        Value::Table(_) => special(reader.sub_table(&name, node)?)?,
        _ => Located { value: plain(desk, &name, node)?, place: place.clone() },
    };
    let near = match &found.value {
        Matcher::Prefix(prefix) if !prefix.is_empty() => Some(format!("{}/", short(prefix))),
        _ => None,
    };
    let complain = |reason: MatcherReason| {
        let complaint = Diagnostic::new(found.place, format!("what `{}` is compared with {reason}", short(&name)));
        let nearest = near.filter(|_| reason == MatcherReason::Prefix);
        desk.complain(Diagnostic { nearest, ..complaint });
    };
    let requirement = Requirement::new(&name, found.value).map_err(complain).ok()?;
    Some(MatcherFile { requirement, place })
}

fn plain(desk: &Desk, name: &str, node: Node) -> Option<Matcher> {
    let matcher = match node.value {
        Value::Array(items) => all(items.into_iter().map(|item| literal(item.value))).map(Matcher::OneOf),
        value => literal(value).map(Matcher::Is),
    };
    if matcher.is_none() {
        let wanted = "a string, a whole number, true or false, [\"one\", \"of\"], { prefix = \"a/\" } or { present = true }";
        desk.complain(Diagnostic::new(node.place, format!("what `{}` is compared with must be {wanted}", short(name))));
    }
    matcher
}

fn literal(value: Value) -> Option<Literal> {
    match value {
        Value::Text(text) => Some(Literal::Text(text)),
        Value::Boolean(truth) => Some(Literal::Bool(truth)),
        Value::Integer(number) => Some(Literal::Number(number)),
        _ => None,
    }
}

fn special(mut reader: Reader<'_>) -> Option<Located<Matcher>> {
    let prefix = reader.take_text("prefix");
    let present = reader.take_boolean("present");
    let (desk, place) = (reader.desk(), reader.place().clone());
    reader.finish();
    let complaint = match (prefix, present) {
        (Some(Located { value, place }), None) => return Some(Located { value: Matcher::Prefix(value), place }),
        (None, Some(Located { value: true, place })) => return Some(Located { value: Matcher::Present, place }),
        (None, Some(found)) => Diagnostic::new(found.place, "`present` must be true; a claim cannot be required to be absent"),
        (None, None) => Diagnostic::new(place, "a matcher must have `prefix` or `present`"),
        (Some(_), Some(_)) => Diagnostic::new(place, "a matcher cannot have both `prefix` and `present`"),
    };
    desk.complain(complaint);
    None
}
