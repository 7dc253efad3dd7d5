//! Rust source as a tidy rule wants it: code without comments and strings, with and without tests.

use std::fs;
use std::path::Path;

/// One source file.
pub struct Source {
    /// Relative to the repository, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// With comments, strings and characters blanked; every line and column keeps its place.
    pub code: String,
    /// As `code`, with modules for tests blanked too; empty when the whole file is one.
    pub product: String,
}

impl Source {
    /// Takes a file apart.
    pub fn new(path: &str, text: &str) -> Self {
        let code = blank_literals(text);
        let whole = path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/");
        let product = if whole { String::new() } else { blank_tests(&code) };
        Self { path: path.to_owned(), text: text.to_owned(), code, product }
    }

    /// The lines of the product's code, numbered from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.product.lines().enumerate().map(|(number, line)| (number + 1, line))
    }
}

/// Every `.rs` file below `folders`, in order of path. A folder that is not there is a mistake of whoever names it.
pub fn sources(root: &Path, folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| collect(&root.join(folder), &mut paths));
    paths.sort();
    let relative = |path: &std::path::PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let sources = paths.iter().map(|path| Source::new(&relative(path), &fs::read_to_string(path).unwrap())).collect();
    without_tests(sources)
}

/// Files that are declared for tests only hold no product.
fn without_tests(mut sources: Vec<Source>) -> Vec<Source> {
    let files: Vec<String> = sources.iter().flat_map(test_files).collect();
    sources.iter_mut().filter(|source| files.contains(&source.path)).for_each(|source| source.product.clear());
    sources
}

/// The files behind every `#[cfg(test)] mod name;`.
fn test_files(source: &Source) -> Vec<String> {
    let declared = source.code.split("#[cfg(test)]").skip(1).filter_map(|rest| rest.trim_start().strip_prefix("mod "));
    let names = declared.filter_map(|rest| rest.split_once(';')).map(|(name, _)| name).filter(|name| !name.contains('{'));
    names.map(|name| format!("{}/{name}.rs", module_folder(&source.path))).collect()
}

/// Where the modules that a file declares lie.
pub fn module_folder(path: &str) -> String {
    let stem = path.trim_end_matches(".rs");
    ["/lib", "/main"].iter().find_map(|root| stem.strip_suffix(root)).unwrap_or(stem).to_owned()
}

fn collect(folder: &Path, paths: &mut Vec<std::path::PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// The byte offset behind the brace that closes the one at `open`, or the end.
pub fn close(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return offset + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The places where `word` stands, not as part of a longer name.
pub fn words(code: &str, word: &str) -> Vec<usize> {
    let part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = code.as_bytes();
    let alone = |at: &usize| !(part(at.checked_sub(1).and_then(|before| bytes.get(before))) || part(bytes.get(at + word.len())));
    code.match_indices(word).map(|(at, _)| at).filter(alone).collect()
}

/// The line, from 1, in which `offset` lies.
pub fn line(code: &str, offset: usize) -> usize {
    code[..offset].matches('\n').count() + 1
}

fn blank_tests(code: &str) -> String {
    let mut product = code.to_owned();
    while let Some(at) = product.find("#[cfg(test)]") {
        let rest = &product[at..];
        let end = match (rest.find('{'), rest.find(';')) {
            (Some(open), semicolon) if semicolon.is_none_or(|semicolon| open < semicolon) => close(&product, at + open),
            (_, Some(semicolon)) => at + semicolon + 1,
            _ => product.len(),
        };
        blank(&mut product, at, end);
    }
    product
}

fn blank(text: &mut String, from: usize, to: usize) {
    let blanked: String = text[from..to].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    text.replace_range(from..to, &blanked);
}

/// Blanks comments, strings and characters. Not a lexer of all of Rust: of what is written here.
fn blank_literals(text: &str) -> String {
    let mut code = text.to_owned();
    let mut at = 0;
    while at < text.len() {
        let end = literal_end(text, at);
        if end > at {
            blank(&mut code, at, end);
        }
        at = end.max(at + 1);
    }
    code
}

/// Where the literal or comment that begins at `at` ends; `at` itself when none does.
fn literal_end(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let rest = &bytes[at..];
    let inside_name = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'"', ..] => at + quoted(rest, b'"'),
        [b'r', b'"' | b'#', ..] if !inside_name => raw(rest).map_or(at, |length| at + length),
        [b'b', b'r', ..] if !inside_name => raw(&rest[1..]).map_or(at, |length| at + 1 + length),
        [b'\'', b'\\', ..] => at + quoted(rest, b'\''),
        [b'\'', ..] => at + character(&text.get(at..).unwrap_or_default()[1..]),
        _ => at,
    }
}

/// A character has its closing quote right behind it; a lifetime has not.
fn character(rest: &str) -> usize {
    let mut characters = rest.chars();
    match (characters.next(), characters.next()) {
        (Some(one), Some('\'')) => one.len_utf8() + 2,
        _ => 0,
    }
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn raw(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = &rest[hashes + 2..];
    let length = body.windows(close.len()).position(|window| window == close)?;
    Some(hashes + 2 + length + close.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

#[test]
#[should_panic(expected = "src/gone: ")]
fn a_folder_that_is_gone_is_told() {
    sources(Path::new(env!("CARGO_MANIFEST_DIR")), &["src/gone"]);
}

#[test]
fn comments_strings_and_tests_are_no_code() {
    let text = "fn a<'x>() { b(\"{ // }\", 'c', '\\'', r#\"\"{\"#, b'\"'); } // todo!()\n\
                /* } /* } */ */\n#[cfg(test)]\nmod tests { fn d() {} }\nfn e() {}\n";
    let source = Source::new("src/a.rs", text);
    assert_eq!(source.code.len(), text.len());
    assert!(!source.code.contains("todo"));
    assert_eq!((source.code.matches('{').count(), source.product.matches('{').count()), (4, 2), "{}", source.code);
    assert!(source.product.contains("fn a<'x>") && source.product.contains("fn e()") && !source.product.contains("fn d"));
    assert_eq!(Source::new("src/a/tests.rs", text).product, "");
    let declared = [Source::new("src/a.rs", "#[cfg(test)]\nmod vectors;\nmod b;"), Source::new("src/a/vectors.rs", "fn c() {}")];
    assert_eq!(without_tests(declared.into())[1].product, "");
}
