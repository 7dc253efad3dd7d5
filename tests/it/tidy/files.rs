//! What lies where: every file is compiled, the top level is complete, documents have one title.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::source::{Source, module_folder, words};

const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "keys",
    "conf",
    "conformance",
    "tests",
    "fuzz",
    "docker-compose.yml",
    "Dockerfile",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "LICENSE",
    "deny.toml",
    "rustfmt.toml",
    ".gitignore",
    ".ci/run",
];

const ARCHITECTURE_LINES_MAX: usize = 200;
const DOCUMENT_WIDTH_MAX: usize = 120;

/// Folders that are not ours to judge, or not written by hand.
const SKIPPED: &[&str] = &["target", ".git", "data", "corpus", "artifacts", "node_modules"];

/// Which of these words are a slip: said of the place where this was written, not of the thing. Each in two halves, because this
/// file is read too.
const WORKPLACE: &[(&str, &str)] = &[
    ("/wo", "rk/"),
    ("work", "tree"),
    ("sub", "agent"),
    ("BRIEF", ".md"),
    ("API", ".md"),
    ("clau", "de"),
    ("anthro", "pic"),
    ("copi", "lot"),
    ("chat", "gpt"),
];

/// What must be there and is not.
pub fn missing(root: &Path) -> Vec<String> {
    TOP_LEVEL.iter().filter(|name| !root.join(name).exists()).map(|name| format!("{name} is missing")).collect()
}

/// Every text that is not Rust, with its path.
pub fn texts(root: &Path) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    collect(root, root, &mut texts);
    texts.sort();
    texts
}

/// Documents without exactly one title, lines that are too wide, and an architecture that is too long to be read.
pub fn document_complaints(texts: &[(String, String)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in texts.iter().filter(|(path, _)| path.ends_with(".md")) {
        let titles = titles(text);
        if titles != 1 || !text.starts_with("# ") {
            complaints.push(format!("{path}: a document begins with its one title; this one has {titles}"));
        }
        let lines = text.lines().count();
        if path == "ARCHITECTURE.md" && lines > ARCHITECTURE_LINES_MAX {
            complaints.push(format!("{path}: {lines} lines, at most {ARCHITECTURE_LINES_MAX}"));
        }
        complaints.extend(wide_lines(path, text));
    }
    complaints
}

/// Lines that a terminal would break. In documents of the top level every line counts, below it prose only: a table of a
/// reference may be wide, and so may an example.
fn wide_lines(path: &str, text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let free = path.contains('/') && (fenced || line.trim_start().starts_with('|'));
        let width = line.chars().count();
        if width > DOCUMENT_WIDTH_MAX && !free {
            complaints.push(format!("{path}:{}: {width} columns, at most {DOCUMENT_WIDTH_MAX}", number + 1));
        }
    }
    complaints
}

/// Words that tell where this was written.
pub fn workplace(path: &str, text: &str) -> Vec<String> {
    let lower = text.to_ascii_lowercase();
    let slips =
        WORKPLACE.iter().map(|(one, two)| format!("{one}{two}")).filter(|word| lower.contains(&word.to_ascii_lowercase()));
    slips.map(|word| format!("{path}: speaks of {word}")).collect()
}

/// Files that no `mod` line reaches.
pub fn unreachable(sources: &[Source], roots: &[&str]) -> Vec<String> {
    let known: BTreeSet<&str> = sources.iter().map(|source| source.path.as_str()).collect();
    let mut reached: BTreeSet<String> = roots.iter().map(|root| (*root).to_owned()).collect();
    let mut waiting: Vec<String> = reached.iter().cloned().collect();
    while let Some(path) = waiting.pop() {
        let Some(source) = sources.iter().find(|source| source.path == path) else { continue };
        for child in children(source).into_iter().filter(|child| known.contains(child.as_str())) {
            if reached.insert(child.clone()) {
                waiting.push(child);
            }
        }
    }
    let lost = sources.iter().filter(|source| !reached.contains(&source.path));
    lost.map(|source| format!("{}: no mod line reaches it, so it is not compiled", source.path)).collect()
}

/// The files that the `mod` lines of a file may mean.
fn children(source: &Source) -> Vec<String> {
    let folder = module_folder(&source.path);
    let mut children = Vec::new();
    for at in words(&source.code, "mod") {
        let name: String =
            source.code[at + 3..].trim_start().chars().take_while(|next| next.is_alphanumeric() || *next == '_').collect();
        if source.code[at + 3..].trim_start()[name.len()..].starts_with(';') {
            children.push(format!("{folder}/{name}.rs"));
        }
    }
    children
}

fn titles(text: &str) -> usize {
    let mut fenced = false;
    let mut titles = 0;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        titles += usize::from(!fenced && line.starts_with("# "));
    }
    titles
}

fn collect(root: &Path, folder: &Path, texts: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let ours = ["md", "toml", "cedar", "cedarschema", "case", "yml"]
            .iter()
            .any(|extension| name.ends_with(&format!(".{extension}")));
        if path.is_dir() && !SKIPPED.contains(&name) {
            collect(root, &path, texts);
        } else if path.is_file() && (ours || name == "run" || name == "Dockerfile") {
            let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            texts.push((relative, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn a_file_that_is_not_compiled_is_seen() {
    let sources = ["src/lib.rs", "src/a.rs", "src/a/b.rs", "src/a/c.rs"];
    let text = |path: &str| match path {
        "src/lib.rs" => "pub mod a;",
        "src/a.rs" => "mod b;\n// mod c;\nmod inline { }",
        _ => "",
    };
    let sources = sources.map(|path| Source::new(path, text(path)));
    assert_eq!(unreachable(&sources, &["src/lib.rs"]), ["src/a/c.rs: no mod line reaches it, so it is not compiled"]);
}

#[test]
fn a_document_without_one_title_or_too_long_is_seen() {
    let complaints = |path: &str, text: &str| document_complaints(&[(path.to_owned(), text.to_owned())]).len();
    assert_eq!(complaints("a.md", "# A\n```sh\n# a comment\n```\n## B\n"), 0);
    assert_eq!(complaints("a.md", "# A\n# B\n"), 1);
    assert_eq!(complaints("a.md", "text\n"), 1);
    assert_eq!(complaints("ARCHITECTURE.md", &format!("# A\n{}", "\n".repeat(199))), 0);
    assert_eq!(complaints("ARCHITECTURE.md", &format!("# A\n{}", "\n".repeat(200))), 1);
    let wide = "x".repeat(121);
    assert_eq!(complaints("docs/a.md", &format!("# A\n| {wide} |\n```\n{wide}\n```\n")), 0);
    assert_eq!(complaints("docs/a.md", &format!("# A\n{wide}\n")), 1);
    assert_eq!(complaints("a.md", &format!("# A\n| {wide} |\n```\n{wide}\n```\n")), 2);
}

#[test]
fn a_missing_file_and_a_slip_are_seen() {
    assert_eq!(missing(Path::new("/nowhere")).len(), TOP_LEVEL.len());
    for (one, two) in WORKPLACE {
        assert_eq!(workplace("a", &format!("see {}{two}", one.to_uppercase())).len(), 1);
    }
    assert!(workplace("a", "works in a network").is_empty());
}
