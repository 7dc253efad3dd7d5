//! The tree of a transaction, in words.

use std::collections::HashMap;

use serde_json::Value;

use super::step::Step;
use crate::cli::text::confirmation;
use crate::oauth::Txn;

/// The tree of the records of a transaction, each in a few lines: children below their parents.
#[derive(Default)]
pub(crate) struct Outline {
    branches: Vec<Branch>,
    /// The position of what other records refer to, by its id.
    named: HashMap<String, usize>,
    hops: usize,
}

/// A record in the tree.
struct Branch {
    lines: Vec<String>,
    children: Vec<usize>,
    is_root: bool,
}

impl Outline {
    /// Adds the next record, in the order of the ledger: a parent's precedes its children's.
    pub(crate) fn add(&mut self, step: &Step) {
        let (at, parent) =
            (self.branches.len(), parents(step).into_iter().flatten().find_map(|name| self.named.get(&name).copied()));
        if let Some(parent) = parent.and_then(|parent| self.branches.get_mut(parent)) {
            parent.children.push(at);
        }
        self.branches.push(Branch { lines: described(step), children: Vec::new(), is_root: parent.is_none() });
        self.hops += usize::from(step.is_hop());
        if let Some(name) = step.name() {
            self.named.entry(name).or_insert(at);
        }
    }

    /// How many hops there are.
    pub(crate) fn hops(&self) -> usize {
        self.hops
    }

    /// Has every line taken, one hop in two or three.
    pub(crate) fn lines(&self, txn: Txn, mut take: impl FnMut(&str)) {
        take(&format!("transaction {txn}: {} hops, {} records", self.hops, self.branches.len()));
        let roots = self.branches.iter().filter(|branch| branch.is_root).rev();
        let mut open: Vec<(&Branch, usize)> = roots.map(|root| (root, 1)).collect();
        while let Some((branch, level)) = open.pop() {
            for (number, text) in branch.lines.iter().enumerate() {
                match number {
                    0 => take(&format!("{}└─ {text}", "   ".repeat(level - 1))),
                    _ => take(&format!("{}{text}", "   ".repeat(level))),
                }
            }
            let children = branch.children.iter().rev().filter_map(|child| self.branches.get(*child));
            open.extend(children.map(|child| (child, level + 1)));
        }
    }
}

/// The hop or task that a record hangs from, by its id: a hop's parent, or the task that it enters; a task's parent, or the hop
/// that it was opened under; a refusal's subject token; a withheld record's own hop; the task that ended or is held.
fn parents(step: &Step) -> [Option<String>; 2] {
    let of = |record: &Value, name: &str| record.get(name).and_then(Value::as_str).map(str::to_owned);
    let member = |name: &str| of(&step.record, name);
    let thing = |list: &str| step.record.get(list).and_then(|list| of(list.get(0)?, "name"));
    match step.record.get("kind").and_then(Value::as_str) {
        Some("withheld") => [member("jti"), None],
        Some("task") => [member("parent"), member("hop")],
        Some("death") => [thing("ends"), None],
        Some("suspension" | "resumption" | "retirement") => [thing("things"), None],
        _ => [member("parent"), member("task")],
    }
}

fn described(step: &Step) -> Vec<String> {
    match step.record.get("kind").and_then(Value::as_str) {
        Some("hop") => hop(step),
        Some("task") => task(step),
        Some("death") => vec![format!("ended {}: {}, asked by {}", step.instant("at"), step.text("reason"), step.text("by"))],
        Some(kind @ ("suspension" | "resumption" | "retirement")) => {
            vec![format!("{kind} {}: {}, asked by {}", step.instant("at"), step.text("reason"), step.text("by"))]
        }
        Some("refusal") => {
            vec![format!("refused: {} asked, {} ({})", step.text("agent"), step.text("error"), step.text("reason"))]
        }
        Some("retention") => {
            vec![format!("{} {}: {}, asked by {}", step.text("what"), step.instant("at"), step.text("reason"), step.text("by"))]
        }
        Some("withheld") => vec![format!("withheld: the token of hop {} never left", step.text("jti"))],
        _ => vec![format!("{} at index {}", step.text("kind"), step.index)],
    }
}

fn task(step: &Step) -> Vec<String> {
    let purpose = match step.disclosed.get("purpose").and_then(Value::as_str) {
        Some(purpose) => format!(" ({purpose})"),
        None => String::new(),
    };
    let authority = step.record.get("authority").and_then(Value::as_array).into_iter().flatten();
    let text = |pairs: &Value, name: &str| pairs.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let authority: Vec<String> = authority.map(|pairs| format!("{}: {}", text(pairs, "api"), text(pairs, "scope"))).collect();
    let (client, holder) = (step.text("client"), step.text("holder"));
    let held = if client == holder { String::new() } else { format!(", held by {holder}") };
    vec![
        format!("task{purpose} of {client}{held} for {}: {}", step.subject(), authority.join("; ")),
        format!(
            "opened {}, until {}, {} exchanges, login {}, policy {}",
            step.instant("at"),
            step.instant("expires"),
            step.text("budget"),
            step.text("login"),
            step.text("policies"),
        ),
        format!("task {}, {}", step.text("task"), step.proof()),
    ]
}

fn hop(step: &Step) -> Vec<String> {
    let (actor, client) = (step.text("actor"), step.text("client"));
    let through = if actor == client { String::new() } else { format!(" (asked for by {client})") };
    let mut lines = vec![
        format!("{actor}{through} for {} at {}: {}", step.subject(), step.text("audience"), step.text("scope")),
        format!(
            "{} {}, valid until {}, login {}, policy {}",
            step.text("basis"),
            step.instant("at"),
            step.instant("expires"),
            step.text("login"),
            step.text("policies"),
        ),
        format!("hop {}, {}", step.text("jti"), step.proof()),
    ];
    lines.extend(bound(step));
    lines
}

/// The keys on both sides of a hop, where there are any.
fn bound(step: &Step) -> Option<String> {
    let key = |name: &str| step.record.get("binding")?.get(name).and_then(confirmation);
    let issued = key("issued")?;
    let before = key("subject").map_or_else(String::new, |before| format!("; its subject token to {before}"));
    Some(format!("bound to {issued}{before}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn step(index: u64, record: Value) -> Step {
        Step { index, record, disclosed: BTreeMap::new(), inclusion: None }
    }

    fn shown(records: Vec<Value>) -> Vec<String> {
        let mut outline = Outline::default();
        (0..).zip(records).for_each(|(index, record)| outline.add(&step(index, record)));
        let (mut lines, txn) = (Vec::new(), Txn::from_bytes([1; 16]));
        outline.lines(txn, |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn children_stand_below_their_parents_in_the_order_of_the_ledger() {
        let lines = shown(vec![
            json!({"kind": "task", "task": "t"}),
            json!({"kind": "hop", "jti": "a", "task": "t"}),
            json!({"kind": "hop", "jti": "b", "parent": "a", "task": "t"}),
            json!({"kind": "hop", "jti": "c", "parent": "elsewhere"}),
            json!({"kind": "withheld", "jti": "b"}),
            json!({"kind": "hop", "jti": "d", "parent": "a"}),
            json!({"kind": "death", "ends": [{"name": "t"}]}),
        ]);
        let told = lines.iter().filter(|line| ["hop ", "task t", "withheld", "ended"].iter().any(|word| line.contains(word)));
        let told = told.filter(|line| !line.contains(" hops, ")).map(|line| {
            let (level, text) = (line.chars().take_while(|at| *at == ' ').count() / 3, line.trim_start_matches([' ', '└', '─']));
            format!("{level} {}", text.split([',', ':']).next().unwrap_or_default())
        });
        assert_eq!(lines.first(), Some(&format!("transaction {}: 4 hops, 7 records", Txn::from_bytes([1; 16]))));
        assert_eq!(told.collect::<Vec<_>>(), ["1 task t", "2 hop a", "3 hop b", "3 withheld", "3 hop d", "1 ended -", "1 hop c"]);
    }

    #[test]
    fn a_hundred_thousand_hops_of_one_parent_are_walked_once_each() {
        let hop = |number: u32| json!({"kind": "hop", "jti": number.to_string(), "parent": "0"});
        let lines = shown((0..100_000).map(hop).collect());
        assert_eq!(lines.len(), 1 + 3 * 100_000);
    }
}
