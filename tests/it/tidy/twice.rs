//! One word, one meaning: type names that are defined more than once.

use std::collections::BTreeMap;

use super::source::Source;

/// Type names that are defined more than once; `Options` of commands is none of them.
pub fn complaints(sources: &[Source]) -> Vec<String> {
    let mut names: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for source in sources {
        for name in types(source).filter(|name| name != "Options") {
            names.entry(name).or_default().push(&source.path);
        }
    }
    let twice = names.into_iter().filter(|(_, files)| files.len() > 1);
    twice.map(|(name, files)| format!("`{name}` is defined more than once: {files:?}")).collect()
}

/// The types that the product's code of a file defines.
pub fn types(source: &Source) -> impl Iterator<Item = String> {
    source.product.lines().filter_map(defined).filter(|name| !name.is_empty())
}

/// The type that a line begins to define; associated types, which are indented, are none.
fn defined(line: &str) -> Option<String> {
    let text = line.trim_start();
    let text = match text.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => text,
    };
    let kinds = ["struct ", "enum ", "trait ", "union "];
    let rest = kinds.iter().find_map(|kind| text.strip_prefix(kind)).or_else(|| {
        let alias = text.strip_prefix("type ")?;
        line.starts_with(|first: char| !first.is_whitespace()).then_some(alias)
    })?;
    let end = rest.find(|character: char| !(character.is_alphanumeric() || character == '_')).unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

#[test]
fn what_is_defined_twice_is_seen() {
    let source = |path: &str, code: &str| Source::new(path, code);
    let sources = [
        source("src/a.rs", "pub struct Proof;\nimpl X for Y {\n    type Item = u8;\n}\nstruct Options;"),
        source("src/b.rs", "pub(super) enum Proof { A }\nimpl X for Z {\n    type Item = u8;\n}\nstruct Options;"),
        source("src/c.rs", "type Other = u8;\n#[cfg(test)]\nmod tests { struct Proof; }"),
    ];
    assert_eq!(complaints(&sources), ["`Proof` is defined more than once: [\"src/a.rs\", \"src/b.rs\"]"]);
    assert!(complaints(&sources[1..]).is_empty());
}
