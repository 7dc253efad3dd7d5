//! Files import one another in no circle: whoever reads one need not have read another that needs the first. A name that a module
//! re-exports counts as the file that defines it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::source::{Source, words};

/// The circles there may be, each with its reason. No new ones are added.
pub const EXCEPTIONS: &[(&[&str], &str)] = &[];

type Module = Vec<String>;

/// One `use` of a file: where it leads, and under which name it is known here.
struct Use {
    path: Module,
    name: String,
    again: bool,
}

/// What one file defines and imports.
struct File<'a> {
    source: &'a Source,
    defines: HashSet<&'a str>,
    uses: Vec<Use>,
}

/// The files of the server by their modules.
pub struct Tree<'a>(BTreeMap<Module, File<'a>>);

impl<'a> Tree<'a> {
    /// Reads what every file defines and imports.
    pub fn new(sources: &'a [Source]) -> Self {
        let product = sources.iter().filter(|source| !source.product.trim().is_empty() && source.path != "src/main.rs");
        Self(product.map(|source| (module(&source.path), File::new(source))).collect())
    }

    /// Circles of files that are no exception, and exceptions that are none any more.
    pub fn complaints(&self, exceptions: &[(&[&str], &str)]) -> Vec<String> {
        let circles = self.circles();
        let known = |circle: &BTreeSet<&str>| {
            exceptions.iter().any(|(files, _)| files.iter().copied().collect::<BTreeSet<_>>() == *circle)
        };
        let fresh = circles.iter().filter(|circle| !known(circle)).map(|circle| format!("these import one another: {circle:?}"));
        let gone = exceptions.iter().filter(|(files, _)| !circles.contains(&files.iter().copied().collect()));
        fresh
            .chain(gone.map(|(files, _)| format!("these no longer import one another, so they are no exception: {files:?}")))
            .collect()
    }

    fn circles(&self) -> Vec<BTreeSet<&str>> {
        let edges: BTreeMap<&Module, BTreeSet<&Module>> = self.0.keys().map(|module| (module, self.imports(module))).collect();
        let reach: BTreeMap<&Module, BTreeSet<&Module>> = edges.keys().map(|from| (*from, reachable(&edges, from))).collect();
        let mutual = |from: &&Module| {
            let others = reach[*from].iter().filter(|to| reach[**to].contains(*from));
            others.map(|module| self.0[*module].source.path.as_str()).collect::<BTreeSet<_>>()
        };
        let circles: BTreeSet<BTreeSet<&str>> = reach.keys().map(mutual).filter(|circle| circle.len() > 1).collect();
        circles.into_iter().collect()
    }

    /// The files whose definitions one file names, itself left out.
    fn imports(&self, from: &Module) -> BTreeSet<&Module> {
        let file = &self.0[from];
        let imported = file.uses.iter().filter(|known| !known.again).map(|known| known.path.clone());
        let rest = without_uses(&file.source.product);
        let named = paths(&rest).filter_map(|path| self.absolute(&path, from));
        let found = imported.chain(named).filter_map(|path| self.defining(&path, &mut HashSet::new()));
        found.filter(|module| *module != from).collect()
    }

    /// A path of an expression from the root of the crate, where it begins with a module.
    fn absolute(&self, path: &[String], from: &Module) -> Option<Module> {
        let first = path.first()?;
        let file = &self.0[from];
        match file.uses.iter().find(|known| known.name == *first) {
            Some(known) => Some(known.path.iter().chain(&path[1..]).cloned().collect()),
            None => rooted(path, from).or_else(|| {
                let inside: Module = from.iter().chain([first]).cloned().collect();
                self.0.contains_key(&inside).then(|| from.iter().chain(path).cloned().collect())
            }),
        }
    }

    /// The file that defines what a path from the root names, behind every re-export.
    fn defining(&self, path: &Module, seen: &mut HashSet<Module>) -> Option<&Module> {
        if !seen.insert(path.clone()) {
            return None;
        }
        let (length, (module, file)) =
            (0..=path.len()).rev().find_map(|length| Some((length, self.0.get_key_value(&path[..length])?)))?;
        let Some(name) = path.get(length) else { return Some(module) };
        if file.defines.contains(name.as_str()) {
            return Some(module);
        }
        // A name out of a crate of that name would lead to itself.
        let itself = |known: &&Use| known.path.get(..=length).is_some_and(|begin| *begin == path[..=length]);
        let again = file.uses.iter().filter(|known| known.name == *name || known.name == "*").filter(|known| !itself(known));
        again
            .filter_map(|known| {
                let rest = &path[length + usize::from(known.name != "*")..];
                let there = self.defining(&known.path.iter().chain(rest).cloned().collect(), seen)?;
                (known.name != "*" || self.0[there].defines.contains(name.as_str())).then_some(there)
            })
            .next()
            .or(Some(module))
    }
}

impl<'a> File<'a> {
    fn new(source: &'a Source) -> Self {
        let own = module(&source.path);
        let uses = statements(&source.product).flat_map(|(again, tree)| {
            let leaves = expand(&tree);
            leaves.into_iter().map(move |leaf| (again, leaf)).collect::<Vec<_>>()
        });
        let uses = uses.map(|(again, leaf)| Use::new(&leaf, again, &own)).collect();
        Self { source, defines: definitions(&source.product), uses }
    }
}

impl Use {
    fn new(leaf: &str, again: bool, own: &Module) -> Self {
        let (path, alias) = leaf.split_once(" as ").map_or((leaf, None), |(path, alias)| (path, Some(alias.trim())));
        // What begins otherwise is a module declared here, or another crate, which leads nowhere.
        let path = segments(path);
        let mut path = rooted(&path, own).unwrap_or_else(|| own.iter().chain(&path).cloned().collect());
        if path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = alias.map_or_else(|| path.last().cloned().unwrap_or_default(), str::to_owned);
        if name == "*" {
            path.pop();
        }
        Self { path, name, again }
    }
}

fn segments(path: &str) -> Module {
    path.split("::").map(|segment| segment.trim().to_owned()).filter(|segment| !segment.is_empty()).collect()
}

fn module(path: &str) -> Module {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// A path that begins with `crate`, `self` or `super`, from the root.
fn rooted(path: &[String], own: &Module) -> Option<Module> {
    let climbs = path.iter().take_while(|segment| *segment == "super").count();
    let (start, rest): (&[String], &[String]) = match path.first()?.as_str() {
        "crate" => (&[], &path[1..]),
        "self" => (own, &path[1..]),
        "super" => (own.get(..own.len().checked_sub(climbs)?)?, &path[climbs..]),
        _ => return None,
    };
    Some(start.iter().chain(rest).cloned().collect())
}

/// Every `use` statement, with whether it re-exports.
fn statements(code: &str) -> impl Iterator<Item = (bool, String)> {
    spans(code).into_iter().map(|(from, to)| {
        let (visibility, tree) = code[from..to].split_once("use ").unwrap_or_default();
        (visibility.contains("pub"), tree.trim_end_matches(';').split_whitespace().collect::<Vec<_>>().join(" "))
    })
}

/// Where the `use` statements stand, each with its visibility and its semicolon.
fn spans(code: &str) -> Vec<(usize, usize)> {
    let begins = |at: &usize| {
        let line = code[..*at].rfind('\n').map_or(0, |end| end + 1);
        let before = code[line..*at].trim();
        before.is_empty() || before == "pub" || (before.starts_with("pub(") && before.ends_with(')'))
    };
    let found = words(code, "use").into_iter().filter(begins);
    found
        .map(|at| {
            let line = code[..at].rfind('\n').map_or(0, |end| end + 1);
            (line, code[at..].find(';').map_or(code.len(), |end| at + end + 1))
        })
        .collect()
}

/// The code outside of `use` statements.
fn without_uses(code: &str) -> String {
    let mut rest = code.to_owned();
    spans(code).into_iter().rev().for_each(|(from, to)| rest.replace_range(from..to, ""));
    rest
}

/// `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut parts, mut depth) = (vec![String::new()], 0_i32);
    for character in inner.chars() {
        depth += i32::from(character == '{') - i32::from(character == '}');
        match character {
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(character),
        }
    }
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(part.trim())).map(|path| format!("{}{path}", prefix.trim())).collect()
}

fn definitions(code: &str) -> HashSet<&str> {
    let kinds = ["struct ", "enum ", "trait ", "type ", "fn ", "const ", "static ", "macro_rules! "];
    let part = |character: char| character.is_alphanumeric() || character == '_';
    let named = kinds.iter().flat_map(|kind| code.match_indices(kind).map(move |(at, _)| (at, &code[at + kind.len()..])));
    let alone = named.filter(|(at, _)| !code[..*at].ends_with(part));
    alone.map(|(_, rest)| &rest[..rest.find(|character| !part(character)).unwrap_or(rest.len())]).collect()
}

/// Every path of several segments.
fn paths(code: &str) -> impl Iterator<Item = Module> {
    let part = |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    let words = code.split(move |character| !part(character)).filter(|word| word.contains("::") && !word.starts_with(':'));
    words.map(segments).filter(|path| path.len() > 1)
}

fn reachable<'a>(edges: &BTreeMap<&'a Module, BTreeSet<&'a Module>>, from: &'a Module) -> BTreeSet<&'a Module> {
    let (mut found, mut waiting) = (BTreeSet::new(), vec![from]);
    while let Some(next) = waiting.pop() {
        waiting.extend(edges[next].iter().copied().filter(|module| found.insert(*module)));
    }
    found
}

#[test]
fn a_circle_is_seen_behind_re_exports_and_in_paths() {
    let room = |files: &[(&str, &str)]| files.iter().map(|(path, code)| Source::new(path, code)).collect::<Vec<_>>();
    let circle = |sources: &[Source]| Tree::new(sources).circles().len();
    for (first, second) in [
        ("use super::b::B;\npub struct A;", "use super::a::A;\npub struct B;"),
        ("use super::B;\npub struct A;", "use crate::room::{A};\npub struct B;"),
        ("pub struct A(super::b::B);", "use super::*;\npub struct B(crate::room::a::A);"),
        ("use super::{self as room};\npub struct A(room::B);", "use crate::room::A as Other;\npub struct B(Other);"),
    ] {
        let sources = room(&[
            ("src/lib.rs", "pub mod room;"),
            ("src/room.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;"),
            ("src/room/a.rs", first),
            ("src/room/b.rs", second),
        ]);
        let found = sources.iter().map(|source| source.text.as_str()).collect::<Vec<_>>().join("\n");
        assert_eq!(circle(&sources), 1, "{found}");
        let told = Tree::new(&sources).complaints(&[(&["src/room/a.rs", "src/room/b.rs"], "a reason")]);
        assert_eq!(told, Vec::<String>::new());
    }
    let straight = room(&[
        ("src/room.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;\npub fn both(_: A, _: B) {}"),
        ("src/room/a.rs", "pub struct A;\n#[cfg(test)]\nmod tests { use super::super::b::B; }"),
        ("src/room/b.rs", "use super::a::A;\nuse other::{other, others};\npub struct B(A);\nfn b() { other(others()) }"),
    ]);
    assert_eq!(circle(&straight), 0);
    assert_eq!(Tree::new(&straight).complaints(&[(&["src/room/a.rs", "src/room/b.rs"], "was one")]).len(), 1);
}
