//! What is cited exists: numbered negative tests and attacks, and the tests and cases that documents name.

use std::collections::BTreeSet;

use super::source::{Source, words};

/// The documents that number what is cited, and the words that cite it.
const NUMBERED: [(&str, &str); 3] =
    [("docs/negative-tests.md", "negative test"), ("docs/attacks.md", "attack"), ("SECURITY.md", "promise")];

/// Folders of cases whose names begin with a number of a document.
const NUMBERED_CASES: [(&str, &str); 2] =
    [("conformance/cases/negative/", "docs/negative-tests.md"), ("conformance/cases/attacks/", "docs/attacks.md")];

/// Documents in which every test, case and file that is named must exist.
const NAMING: [&str; 6] =
    ["docs/negative-tests.md", "docs/attacks.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"];

/// Folders whose files must exist whichever document names them.
const OURS: [&str; 5] = ["src/", "tests/", "benches/", "conformance/cases", "fuzz/fuzz_targets"];

/// Folders below which the former name files.
const BELOW: [&str; 3] = ["", "src/", "conformance/cases/"];

/// What the name of a case or a module leaves out.
const EXTENSIONS: [&str; 2] = [".case", ".rs"];

/// A path and the text that stands there.
type Text = (String, String);

/// Numbers that are cited and stand in no document, and documents that do not count from 1.
pub fn number_complaints(texts: &[Text]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (document, what) in NUMBERED {
        let known = numbered(texts.iter().find(|(path, _)| path == document).map_or("", |(_, text)| text));
        if known.is_empty() || known.iter().enumerate().any(|(at, number)| at + 1 != *number) {
            complaints.push(format!("{document}: its items are numbered from 1, without gaps"));
        }
        let cited = texts.iter().flat_map(|(path, text)| cited(text, what).into_iter().map(move |number| (path, number)));
        let named = texts.iter().filter_map(|(path, _)| Some((path, case_number(path, document)?)));
        for (path, number) in cited.chain(named).filter(|(_, number)| !known.contains(number)) {
            complaints.push(format!("{path}: there is no {what} {number} in {document}"));
        }
    }
    complaints
}

/// Tests and cases that are named and do not exist.
pub fn name_complaints(texts: &[Text], sources: &[Source]) -> Vec<String> {
    let functions: BTreeSet<&str> = sources.iter().flat_map(|source| functions(&source.code)).collect();
    let paths: Vec<&str> =
        texts.iter().map(|(path, _)| path.as_str()).chain(sources.iter().map(|one| one.path.as_str())).collect();
    let mut complaints = Vec::new();
    let exists = |span: &str| {
        let below = BELOW.iter().flat_map(|folder| paths.iter().filter_map(move |known| known.strip_prefix(folder)));
        below.into_iter().any(|name| names(span, name))
    };
    for (path, text) in texts.iter().filter(|(path, _)| path.ends_with(".md")) {
        let strict = NAMING.contains(&path.as_str());
        let missing = |span: &&str| match is_path(span) {
            true => (strict || OURS.iter().any(|folder| span.starts_with(folder))) && !exists(span),
            false => strict && is_test(span) && !functions.contains(span),
        };
        complaints.extend(spans(text).filter(missing).map(|span| format!("{path}: {span} is no test, case or file of ours")));
    }
    complaints
}

/// The numbers at the beginning of the lines of a list.
fn numbered(text: &str) -> Vec<usize> {
    text.lines().filter_map(|line| line.split_once(". ")?.0.parse().ok()).collect()
}

/// The numbers behind `what`, as in "attack 3" or "Attacks 29 to 31, and 33".
fn cited(text: &str, what: &str) -> Vec<usize> {
    let lower = text.to_ascii_lowercase();
    let mut numbers = Vec::new();
    for (at, _) in lower.match_indices(what) {
        let mut rest = &lower[at + what.len()..];
        rest = rest.strip_prefix('s').unwrap_or(rest);
        while let Some(next) = [" ", ", ", " and ", " to ", ", and "].iter().find_map(|joint| number(rest.strip_prefix(joint)?)) {
            numbers.push(next.0);
            rest = next.1;
        }
    }
    numbers
}

/// A number and what follows it.
fn number(text: &str) -> Option<(usize, &str)> {
    let digits = text.len() - text.trim_start_matches(|next: char| next.is_ascii_digit()).len();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

fn case_number(path: &str, document: &str) -> Option<usize> {
    let (folder, _) = NUMBERED_CASES.iter().find(|(_, numbers)| *numbers == document)?;
    path.strip_prefix(folder)?.split_once('-')?.0.parse().ok()
}

fn functions(code: &str) -> impl Iterator<Item = &str> {
    let name = |at: usize| code[at + 2..].trim_start();
    let end = |name: &str| name.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(name.len());
    words(code, "fn").into_iter().map(move |at| &name(at)[..end(name(at))])
}

/// What stands between backticks, outside of examples.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

/// Whether `span` names the file `known`, with or without its extension, a folder that it lies in, or, with a `*` at the end, all
/// that begins so.
fn names(span: &str, known: &str) -> bool {
    match span.strip_suffix('*') {
        Some(begins) => known.starts_with(begins),
        None => {
            known.strip_prefix(span).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || EXTENSIONS.contains(&rest))
        }
    }
}

/// Whether this is written as a path or the beginning of one.
fn is_path(span: &str) -> bool {
    let plain = span.chars().all(|next| next.is_ascii_alphanumeric() || "/.-_*".contains(next));
    plain && span.contains('/') && !span.starts_with(['/', '.']) && !span.ends_with('/')
}

/// Whether this is written as a test: a sentence of four words or more.
fn is_test(span: &str) -> bool {
    let plain = span.chars().all(|next| next.is_ascii_lowercase() || next.is_ascii_digit() || next == '_');
    plain && span.matches('_').count() > 2
}

#[test]
fn numbers_that_stand_nowhere_are_seen() {
    let document = |path: &str, items: usize| (path.to_owned(), (1..=items).map(|item| format!("{item}. x\n")).collect());
    let all = |path: &str, text: String| {
        let known = [document("docs/negative-tests.md", 3), document("docs/attacks.md", 12), document("SECURITY.md", 1)];
        number_complaints(&known.into_iter().chain([(path.to_owned(), text)]).collect::<Vec<Text>>()).len()
    };
    for (wrong, text) in
        [(1, "negative test 4"), (1, "Negative tests 2, 3 and 4."), (2, "Attacks 12 to 14, 15"), (0, "an attack")]
    {
        assert_eq!(all("a.rs", text.to_owned()), wrong, "{text}");
    }
    assert_eq!(all("conformance/cases/attacks/13-a.case", String::new()), 1);
    assert_eq!(all("conformance/cases/attacks/12-a.case", String::new()), 0);
    assert_eq!(number_complaints(&[document("docs/negative-tests.md", 3)]).len(), 2);
}

#[test]
fn tests_and_cases_that_are_not_there_are_seen() {
    let sources = [Source::new("tests/it/a.rs", "fn it_is_as_it_should() {}")];
    let complaints = |span: &str| {
        let texts = ["conformance/cases/wire/get.case", "docs/life.md"].map(|path| (path.to_owned(), String::new()));
        let document = ("SECURITY.md".to_owned(), format!("# A\n```sh\n`a/b`\n```\n`{span}`"));
        name_complaints(&texts.into_iter().chain([document]).collect::<Vec<Text>>(), &sources).len()
    };
    for good in [
        "wire/get",
        "wire/g*",
        "wire/*",
        "docs/life.md",
        "tests/it/a.rs",
        "tests/it",
        "tests/it/a",
        "it_is_as_it_should",
        "act",
        "/token",
        "a_b_c",
    ] {
        assert_eq!(complaints(good), 0, "{good}");
    }
    for bad in ["wire/put", "wire/ge", "wires/*", "docs/death.md", "docs/life", "tests/i", "it_is_as_it_is_not"] {
        assert_eq!(complaints(bad), 1, "{bad}");
    }
}
