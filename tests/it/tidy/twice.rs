//! One word, one meaning: type names that are defined more than once.

use std::collections::{BTreeMap, HashSet};

use super::source::Source;

/// There are no more such names than this; `Options` of commands is none of them.
const TWICE_MAX: usize = 8;

/// Names that are defined in more files than one, too many of them together, or a term of the glossary among them.
pub fn complaints(sources: &[Source], glossary: &str) -> Vec<String> {
    let twice = defined_twice(sources);
    let terms: HashSet<String> =
        glossary.split("**").skip(1).step_by(2).map(|term| term.to_lowercase().replace('-', " ")).collect();
    let terms = twice.iter().filter(|(name, _)| terms.contains(&spoken(name)));
    let mut complaints: Vec<String> = terms
        .map(|(name, files)| format!("`{name}` is a term of the glossary and is defined more than once: {files:?}"))
        .collect();
    if twice.len() > TWICE_MAX {
        complaints.push(format!("{} type names are defined more than once, {TWICE_MAX} may be: {twice:?}", twice.len()));
    }
    complaints
}

/// `ExchangeMode` as people say it: `exchange mode`.
fn spoken(name: &str) -> String {
    let spaced = name.chars().flat_map(|letter| letter.is_uppercase().then_some(' ').into_iter().chain([letter]));
    spaced.collect::<String>().trim().to_lowercase()
}

fn defined_twice(sources: &[Source]) -> BTreeMap<String, Vec<&str>> {
    let mut names: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for source in sources {
        for name in source.product.lines().filter_map(defined).filter(|name| !name.is_empty() && name != "Options") {
            names.entry(name).or_default().push(&source.path);
        }
    }
    names.retain(|_, files| files.len() > 1);
    names
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
    assert_eq!(defined_twice(&sources).into_iter().collect::<Vec<_>>(), [("Proof".to_owned(), vec!["src/a.rs", "src/b.rs"])]);
    assert_eq!(complaints(&sources, "- **proof**, **other thing**: a word (RFC 9449 §4)").len(), 1);
    assert!(complaints(&sources, "").is_empty());
    let many: Vec<Source> = (0..2)
        .map(|file| {
            let code: String = (0..=TWICE_MAX).map(|at| format!("struct T{at};\n")).collect();
            source(&format!("src/{file}.rs"), &code)
        })
        .collect();
    assert_eq!(complaints(&many, "").len(), 1);
}
