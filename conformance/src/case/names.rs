//! Names must be known where they are used, bound once, and used at all.

use std::collections::BTreeMap;

use super::{Case, Item, Template};

/// Names that need no binding.
const GIVEN: [&str; 13] = [
    "issuer",
    "path",
    "server",
    "token_endpoint",
    "jwks_uri",
    "depth",
    "newline",
    "space",
    "grant",
    "type",
    "client",
    "api",
    "trust",
];

/// Complaints about names, with their lines.
pub(super) fn check(case: &Case) -> Vec<(usize, String)> {
    let mut bound: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    let mut complaints = Vec::new();
    for item in &case.items {
        let (line, templates): (usize, Vec<&Template>) = match item {
            Item::Let { line, value, .. } => (*line, vec![value]),
            Item::Step(step) => (step.line, step.templates().collect()),
        };
        for name in templates.into_iter().flat_map(Template::names) {
            if let Err(what) = mark(&mut bound, name) {
                complaints.push((line, what));
            }
        }
        let binds = match item {
            Item::Let { name, .. } => Some(name),
            Item::Step(step) => step.name.as_ref(),
        };
        let Some(name) = binds.map(String::as_str) else { continue };
        let given = GIVEN.contains(&name) || name == "now" || Template::is_function(name);
        if given || bound.insert(name, (line, false)).is_some() {
            complaints.push((line, format!("{name} already has a meaning")));
        }
    }
    let unused = bound.iter().filter(|(_, (_, used))| !used);
    complaints.extend(unused.map(|(name, (line, _))| (*line, format!("{name} is never used"))));
    complaints
}

fn mark(bound: &mut BTreeMap<&str, (usize, bool)>, name: &str) -> Result<(), String> {
    let root = name.split(['.', '+', '-']).next().unwrap_or(name);
    if let Some((_, used)) = bound.get_mut(root) {
        *used = true;
        return Ok(());
    }
    (GIVEN.contains(&root) || root == "now").then_some(()).ok_or_else(|| format!("nothing is called {root} here"))
}
