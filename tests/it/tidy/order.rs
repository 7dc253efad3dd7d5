//! The straight line: a module imports only modules listed above it, and stages meet only in the lines.

use super::source::{Source, line, words};

/// The files that see a whole line.
const LINES: [&str; 6] = [
    "src/lines/evaluate.rs",
    "src/lines/exchange.rs",
    "src/lines/introspect.rs",
    "src/lines/login.rs",
    "src/lines/revoke.rs",
    "src/lines/task.rs",
];

/// What only a line calls: the room and the function in it.
const STAGES: [(&str, &str); 21] = [
    ("lifecycle", "admit_task"),
    ("lifecycle", "change_task"),
    ("authority", "targets"),
    ("binding", "bind"),
    ("binding", "bind_task"),
    ("policy", "open"),
    ("mint", "open"),
    ("client", "authenticate"),
    ("token", "verify_subject"),
    ("token", "verify_actor"),
    ("lifecycle", "require_active"),
    ("lifecycle", "admit"),
    ("lifecycle", "depend"),
    ("policy", "decide"),
    ("mint", "sign"),
    ("token", "verify_own"),
    ("lifecycle", "visible"),
    ("lifecycle", "callable"),
    ("policy", "recheck"),
    ("lifecycle", "revocation"),
    ("mint", "introspection_response"),
];

/// The rooms in the order of `lib.rs`.
pub fn rooms(sources: &[Source]) -> Vec<String> {
    let library =
        sources.iter().find(|source| source.path == "src/lib.rs").map(|source| source.code.as_str()).unwrap_or_default();
    let declared = library.lines().filter_map(|line| line.trim().strip_prefix("pub mod "));
    declared.map(|name| name.trim_end_matches(';').to_owned()).collect()
}

/// Imports of modules that are listed below.
pub fn complaints(rooms: &[String], sources: &[Source]) -> Vec<String> {
    let place = |room: &str| rooms.iter().position(|known| known == room);
    let mut complaints = Vec::new();
    for source in sources {
        let own = room(&source.path);
        let Some(here) = place(&own) else { continue };
        for (at, path) in paths(source) {
            let there = path.split("::").next().unwrap_or_default();
            if place(there).is_some_and(|there| there > here) {
                complaints.push(format!("{}:{at}: {own} is above {there} in lib.rs, so it may not name it", source.path));
            }
        }
    }
    complaints
}

/// Stages called from anywhere but the line.
pub fn stage_complaints(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !LINES.contains(&source.path.as_str())) {
        let own = room(&source.path);
        let submits = words(&source.product, "submit").into_iter().filter(|at| source.product[..*at].ends_with('.'));
        if own != "commit" {
            complaints.extend(submits.map(|at| told(source, line(&source.product, at), "Commit::submit")));
        }
        for (room, function) in STAGES.iter().filter(|(room, _)| *room != own) {
            let named = format!("{room}::{function}");
            let imported = paths(source).into_iter().filter(|(_, path)| *path == named).map(|(at, _)| at);
            let called = words(&source.product, &named).into_iter().map(|at| line(&source.product, at));
            let mut lines: Vec<usize> = imported.chain(called).collect();
            lines.sort_unstable();
            lines.dedup();
            complaints.extend(lines.into_iter().map(|at| told(source, at, &named)));
        }
    }
    complaints
}

fn told(source: &Source, at: usize, stage: &str) -> String {
    format!("{}:{at}: only the lines call {stage}; stages meet there", source.path)
}

/// The room that a file belongs to.
fn room(path: &str) -> String {
    path.strip_prefix("src/").unwrap_or(path).split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
}

/// Every path from the root of this crate, with its line: `crate::a::{b, c::d}` gives `a::b` and `a::c::d`.
fn paths(source: &Source) -> Vec<(usize, String)> {
    let code = &source.product;
    let depth = source.path.trim_start_matches("src/").trim_end_matches(".rs").split('/').count();
    let climb = format!("{}::", vec!["super"; depth].join("::"));
    let mut found = Vec::new();
    for start in ["crate::", &climb] {
        for at in code.match_indices(start).map(|(at, _)| at) {
            let inside = code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':');
            if !inside {
                let tree = tree(&code[at + start.len()..]);
                found.extend(expand(&tree).into_iter().map(|path| (line(code, at), path)));
            }
        }
    }
    found
}

/// The text of a path or tree of paths, without white space.
fn tree(code: &str) -> String {
    let mut depth = 0_i32;
    let mut text = String::new();
    for character in code.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        let part = character.is_alphanumeric() || matches!(character, '_' | ':');
        let goes_on = part || (character == '{' && text.ends_with("::")) || (depth >= 1) || (depth == 0 && character == '}');
        if depth < 0 || !goes_on {
            break;
        }
        if !character.is_whitespace() {
            text.push(character);
        }
    }
    text
}

fn expand(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else { return vec![tree.trim_end_matches("::self").to_owned()] };
    let prefix = &tree[..open];
    let inner = tree[open + 1..].strip_suffix('}').unwrap_or(&tree[open + 1..]);
    let mut parts = vec![String::new()];
    let mut depth = 0_i32;
    for character in inner.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(character);
    }
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.flat_map(|part| expand(&part)).map(|path| format!("{prefix}{path}")).collect()
}

#[test]
fn importing_downwards_is_seen_in_every_spelling() {
    let rooms: Vec<String> = ["oauth", "token", "mint"].map(str::to_owned).into();
    for (path, code) in [
        ("src/token.rs", "use crate::mint::X;"),
        ("src/token/own.rs", "use crate::{oauth::Y, mint::{Z}};"),
        ("src/token.rs", "fn a() { crate::mint::b(); }"),
        ("src/token.rs", "use super::mint::X;"),
        ("src/token/own.rs", "fn a(_: super::super::mint::X) {}"),
        ("src/oauth/act.rs", "pub(in crate::token) struct X;"),
    ] {
        let complaints = complaints(&rooms, &[Source::new(path, code)]);
        assert_eq!(complaints.len(), 1, "{code}: {complaints:?}");
    }
    for code in
        ["use crate::oauth::X;", "use crate::token::X;", "// crate::mint\n", "#[cfg(test)]\nmod tests { use crate::mint::X; }"]
    {
        assert_eq!(complaints(&rooms, &[Source::new("src/token/own.rs", code)]), Vec::<String>::new(), "{code}");
    }
}

#[test]
fn a_stage_called_outside_the_line_is_seen() {
    for code in [
        "fn a() { client::authenticate(); }",
        "use crate::token::{X, verify_subject};",
        "use crate::lifecycle::admit;",
        "fn a() { policy::decide() }",
        "fn a() { mint::sign() }",
        "async fn a(c: &Commit) { c.submit(x).await }",
    ] {
        assert_eq!(stage_complaints(&[Source::new("src/http/token.rs", code)]).len(), 1, "{code}");
        assert!(LINES.iter().all(|line| stage_complaints(&[Source::new(line, code)]).is_empty()));
    }
    assert!(stage_complaints(&[Source::new("src/mint/x.rs", "fn a() { key.sign(b); }")]).is_empty());
}

#[test]
fn trees_of_paths_are_read_whole() {
    let code = "use crate::{a::{self, b}, c};\nuse crate::d;";
    let source = Source::new("src/x/y.rs", code);
    let found: Vec<String> = paths(&source).into_iter().map(|(_, path)| path).collect();
    assert_eq!(found, ["a::self", "a::b", "c", "d"]);
}
