//! `trust inventory`: which foreign clients, workloads and issuers reach which agents and APIs, and when they last did.

use clap::Args;
use serde_json::{Value, json};

use super::admin::{Admin, AdminOptions};
use super::output::{CommandResult, Failure};
use super::text::{instant, items, text};

/// The options of `trust inventory`.
#[derive(Args)]
pub(super) struct InventoryOptions {
    /// Only the rules after this one, as a list names it at its end
    #[arg(long, value_name = "RULE", conflicts_with = "all")]
    after: Option<String>,
    /// All rules, page by page; with --json a line for each page
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    admin: AdminOptions,
}

/// The columns: agent, who, APIs and last use. With two blanks between them they have 80 characters.
const COLUMNS: [usize; 4] = [14, 20, 30, 10];

/// The length of a date as in 2026-11-30.
const DATE: usize = 10;

/// The greatest length of a line.
const WIDTH: usize = 80;

/// Prints a page as soon as it is there, and with `--all` those after it.
pub(super) fn run(options: &InventoryOptions) -> CommandResult {
    Admin::run(&options.admin, async |admin| {
        let mut after = options.after.clone().unwrap_or_default();
        loop {
            let page = admin.grants(&after).await?.map_err(Failure::new)?;
            let next = page.pointer("/next").and_then(Value::as_str).map(str::to_owned);
            match options.admin.json {
                true => say!("{page}"),
                false => in_words(&page).iter().for_each(|line| say!("{line}")),
            }
            match next {
                Some(next) if options.all => after = next,
                Some(next) if !options.admin.json => {
                    say!("there are more: --after {next}, or --all");
                    return Ok(true);
                }
                _ => return Ok(true),
            }
        }
    })
}

fn in_words(page: &Value) -> Vec<String> {
    let rules = items(page, "/rules");
    if rules.is_empty() {
        return vec!["there is no trust rule, so nobody of elsewhere reaches anything".to_owned()];
    }
    let head = row(["AGENT", "WHO THERE", "APIS", "LAST USE"].map(str::to_owned));
    head.into_iter().chain(rules.iter().flat_map(rule_in_words)).collect()
}

fn rule_in_words(rule: &Value) -> Vec<String> {
    let disabled = rule.pointer("/enabled") == Some(&Value::Bool(false));
    let state = if disabled { ", disabled: it admits nobody" } else { "" };
    let title = format!("{} ({}) {}{state}", text(rule, "/rule"), text(rule, "/kind"), text(rule, "/issuer"));
    let mut lines = wrapped(&title, WIDTH);
    let required: Vec<&str> = items(rule, "/requires").iter().filter_map(Value::as_str).collect();
    if !required.is_empty() {
        let all = format!("only where {}", required.join(" and "));
        lines.extend(wrapped(&all, WIDTH - 2).iter().map(|line| format!("  {line}")));
    }
    match items(rule, "/grants") {
        [] => lines.push("  reaches nobody: no agent names the rule, and it names none".to_owned()),
        grants => lines.extend(grants.iter().flat_map(grant_row)),
    }
    lines
}

fn grant_row(grant: &Value) -> Vec<String> {
    let status = Some(text(grant, "/status")).filter(|status| status != "active");
    let agent = text(grant, "/agent") + &status.map(|status| format!(" ({status})")).unwrap_or_default();
    let logs_in = grant.pointer("/by") == Some(&json!("login"));
    let who = format!("{}{}", if logs_in { "logs in: " } else { "" }, text(grant, "/who"));
    let apis: Vec<String> = items(grant, "/apis").iter().map(|api| text(api, "/api")).collect();
    let apis = if apis.is_empty() { "none".to_owned() } else { apis.join(" ") };
    row([agent, who, apis, last_use(grant)])
}

fn last_use(grant: &Value) -> String {
    match (grant.pointer("/last_use").and_then(Value::as_i64), grant.pointer("/use_known") == Some(&Value::Bool(true))) {
        (Some(seconds), _) => instant(seconds).chars().take(DATE).collect(),
        (None, true) => "never".to_owned(),
        (None, false) => "-".to_owned(),
    }
}

/// A row of cells. What is longer than its column goes on below it.
fn row(cells: [String; 4]) -> Vec<String> {
    let wrapped: Vec<Vec<String>> = cells.iter().zip(COLUMNS).map(|(cell, width)| wrapped(cell, width)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
    let line = |at: usize| {
        let cells =
            wrapped.iter().zip(COLUMNS).map(|(cell, width)| format!("{:width$}", cell.get(at).map_or("", String::as_str)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

/// The text in lines of that width: broken between words, and where a word is longer, inside it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        for (at, piece) in letters.chunks(width).enumerate() {
            let piece: String = piece.iter().collect();
            match lines.last_mut().filter(|line| at == 0 && line.chars().count() + 1 + piece.chars().count() <= width) {
                Some(line) => *line = format!("{line} {piece}"),
                None => lines.push(piece),
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_80_characters_whatever_is_told() {
        let long = "a".repeat(200);
        let who = format!("sub is {long}");
        let grant = json!({ "agent": long, "status": "suspended", "by": "login", "who": who, "use_known": true,
            "apis": [{ "api": format!("https://{long}.example") }, { "api": "https://b.example" }], "last_use": 1_796_000_000 });
        let rule = json!({ "rule": long, "kind": "oidc", "issuer": format!("https://{long}"), "requires": [long],
            "enabled": false, "grants": [grant] });
        let other = json!({ "rule": "b", "kind": "spiffe", "issuer": "spiffe://b", "enabled": true });
        let lines = in_words(&json!({ "rules": [rule, other] }));
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        assert_eq!(lines.iter().map(|line| line.matches('a').count()).sum::<usize>() / 200, 6, "nothing is lost");
        assert!(
            lines.iter().any(|line| line.ends_with("2026-11-30")) && lines.iter().any(|line| line.contains("reaches nobody"))
        );
    }

    #[test]
    fn a_use_that_is_not_known_is_no_use_that_never_was() {
        let told = |grant: Value| last_use(&grant);
        assert_eq!(told(json!({ "use_known": true })), "never");
        assert_eq!(told(json!({ "use_known": false })), "-");
    }
}
