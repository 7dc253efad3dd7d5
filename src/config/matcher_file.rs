//! Typed matchers: what a claim must be. There are no patterns, so there is nothing to anchor.

use super::Complaint;
use super::reader::{Found, Reader, all, short};
use super::tree::{Node, Value};
use crate::catalog::Place;

/// A claim and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatcherFile {
    /// The claim's name, or with a `/` at its beginning a JSON Pointer into the claims (RFC 6901).
    pub claim: String,
    /// What it must be.
    pub test: TestFile,
    /// Where it is written.
    pub place: Place,
}

/// What a claim must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestFile {
    /// This string.
    Exact(String),
    /// One of these strings.
    OneOf(Vec<String>),
    /// This boolean.
    Boolean(bool),
    /// This whole number.
    Integer(i64),
    /// A string that begins with this, which ends in `/`: whole segments.
    Prefix(String),
    /// There.
    Present,
}

/// The matchers of the table at `key`, in alphabetical order of their claims; none when there is no such table or anything is wrong in it.
pub(super) fn take(reader: &mut Reader<'_>, key: &'static str) -> Option<Vec<MatcherFile>> {
    let mut table = reader.take_table(key)?;
    let entries = table.take_rest();
    all(entries.into_iter().map(|(claim, node)| matcher(&table, claim, node)))
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
    let desk = reader.desk();
    let complain = |sentence: String| desk.complain(Complaint::new(node.place.clone(), sentence));
    if let Err(reason) = claim(&name) {
        complain(format!("claim `{}` {reason}", short(&name)));
        return None;
    }
    let place = node.place.clone();
    let test = match node.value {
        Value::Text(text) => Some(TestFile::Exact(text)),
        Value::Boolean(truth) => Some(TestFile::Boolean(truth)),
        Value::Integer(number) => Some(TestFile::Integer(number)),
        Value::Array(items) if !items.is_empty() => texts(items).map(TestFile::OneOf),
        Value::Table(_) => {
            return reader.sub_table(&name, node).and_then(special).map(|test| MatcherFile { claim: name, test, place });
        }
        _ => None,
    };
    if test.is_none() {
        let wanted = "a string, a whole number, true or false, [\"one\", \"of\"], { prefix = \"a/\" } or { present = true }";
        complain(format!("what `{}` is compared with must be {wanted}", short(&name)));
    }
    test.map(|test| MatcherFile { claim: name, test, place })
}

fn texts(items: Vec<Node>) -> Option<Vec<String>> {
    let text = |item: Node| if let Value::Text(text) = item.value { Some(text) } else { None };
    items.into_iter().map(text).collect()
}

fn special(mut reader: Reader<'_>) -> Option<TestFile> {
    let prefix = reader.take_text("prefix");
    let present = reader.take_boolean("present");
    let (desk, place) = (reader.desk(), reader.place().clone());
    let empty = prefix.is_none() && present.is_none();
    reader.finish();
    match (prefix, present) {
        (Some(prefix), None) => whole_segments(prefix).map_err(|complaint| desk.complain(complaint)).ok(),
        (None, Some(Found { value: true, .. })) => Some(TestFile::Present),
        (None, Some(present)) => {
            desk.complain(Complaint::new(present.place, "`present` must be true; a claim cannot be required to be absent"));
            None
        }
        _ => {
            let what = if empty { "must have `prefix` or `present`" } else { "cannot have both `prefix` and `present`" };
            desk.complain(Complaint::new(place, format!("a matcher {what}")));
            None
        }
    }
}

/// Without the slash, "acme/app" would admit "acme/app-of-somebody-else".
fn whole_segments(prefix: Found<String>) -> Result<TestFile, Complaint> {
    if prefix.value.len() > 1 && prefix.value.ends_with('/') {
        return Ok(TestFile::Prefix(prefix.value));
    }
    let mut complaint = Complaint::new(prefix.place, "`prefix` must end in '/', so that it means whole segments");
    complaint.nearest = Some(format!("{}/", short(&prefix.value))).filter(|_| !prefix.value.is_empty());
    Err(complaint)
}
