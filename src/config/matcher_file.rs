//! Typed matchers: what a claim must be. There are no patterns, so there is nothing to anchor.

use super::reader::{TableReader, all, short};
use super::toml::{Node, TomlValue};
use crate::diagnostic::{Diagnostic, Located};
use crate::trust::{Literal, Matcher, MatcherReason, Requirement};

/// The matchers of the table at `key`, in alphabetical order of their claims; none when there is no such table or anything is
/// wrong in it.
pub(super) fn take(reader: &mut TableReader<'_>, key: &'static str) -> Option<Vec<Located<Requirement>>> {
    all(take_each(reader, key)?.into_iter())
}

/// The matchers of the table at `key`; none for each that is wrong.
pub(super) fn take_each(reader: &mut TableReader<'_>, key: &'static str) -> Option<Vec<Option<Located<Requirement>>>> {
    let mut table = reader.take_table(key)?;
    let entries = table.take_rest();
    Some(entries.into_iter().map(|(claim, node)| matcher(&table, &claim, node)).collect())
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

fn matcher(reader: &TableReader<'_>, name: &str, node: Node) -> Option<Located<Requirement>> {
    let location = node.location.clone();
    let wrong = |reason| reader.error(location.clone(), format!("claim `{}` {reason}", short(name)));
    let name = claim(name).map_err(wrong).ok()?;
    let found = match node.value {
        TomlValue::Table(_) => special(reader.sub_table(&name, node)?)?,
        _ => Located { value: plain(reader, &name, node)?, location: location.clone() },
    };
    let near = match &found.value {
        Matcher::Prefix(prefix) if !prefix.is_empty() => Some(format!("{}/", short(prefix))),
        _ => None,
    };
    let wrong = |reason: MatcherReason| {
        let diagnostic = Diagnostic::new(found.location, format!("what `{}` is compared with {reason}", short(&name)));
        reader.context().report(diagnostic.meaning(near.filter(|_| reason == MatcherReason::Prefix)));
    };
    let value = Requirement::new(&name, found.value).map_err(wrong).ok()?;
    Some(Located { value, location })
}

fn plain(reader: &TableReader<'_>, name: &str, node: Node) -> Option<Matcher> {
    let matcher = match node.value {
        TomlValue::Array(items) => all(items.into_iter().map(|item| literal(item.value))).map(Matcher::OneOf),
        value => literal(value).map(Matcher::Is),
    };
    if matcher.is_none() {
        let wanted = "a string, a whole number, true or false, [\"one\", \"of\"], { prefix = \"a/\" }, { present = true } or \
                      { contains = \"a\" }";
        reader.error(node.location, format!("what `{}` is compared with must be {wanted}", short(name)));
    }
    matcher
}

fn literal(value: TomlValue) -> Option<Literal> {
    match value {
        TomlValue::Text(text) => Some(Literal::Text(text)),
        TomlValue::Boolean(truth) => Some(Literal::Bool(truth)),
        TomlValue::Integer(number) => Some(Literal::Number(number)),
        _ => None,
    }
}

fn special(mut reader: TableReader<'_>) -> Option<Located<Matcher>> {
    let prefix = reader.take_text("prefix");
    let present = reader.take_boolean("present");
    let contains = match reader.take("contains") {
        Some(node) => Some(contained(&reader, node)?),
        None => None,
    };
    let (context, location) = (reader.context(), reader.location().clone());
    reader.finish();
    let (location, sentence) = match (prefix, present, contains) {
        (Some(Located { value, location }), None, None) => return Some(Located { value: Matcher::Prefix(value), location }),
        (None, Some(Located { value: true, location }), None) => return Some(Located { value: Matcher::Present, location }),
        (None, None, Some(literals)) => return Some(Located { value: Matcher::Contains(literals), location }),
        (None, Some(found), None) => (found.location, "`present` must be true; a claim cannot be required to be absent"),
        (None, None, None) => (location, "a matcher must have `prefix`, `present` or `contains`"),
        _ => (location, "a matcher must have one of `prefix`, `present` and `contains` alone"),
    };
    context.error(location, sentence);
    None
}

/// A value that must be in a list, or several, one of which must.
fn contained(reader: &TableReader<'_>, node: Node) -> Option<Vec<Literal>> {
    let literals = match node.value {
        TomlValue::Array(items) => all(items.into_iter().map(|item| literal(item.value))),
        value => literal(value).map(|one| vec![one]),
    };
    if literals.is_none() {
        let wanted = "a string, a whole number, true or false, or a list of them, one of which must be there";
        reader.error(node.location, format!("`contains` must be {wanted}"));
    }
    literals
}
