//! Pages of the documents that are done as they stand: their commands, and the lines that these are shown to print.

use std::path::Path;
use std::process::{Command, Stdio};

/// A command of the document and the lines that it prints there.
pub struct Step {
    /// The command.
    pub command: String,
    /// The lines that it prints.
    pub output: Vec<String>,
}

/// A line of a page as the reader's shell runs it in `folder`, with `countersign` on its path; what it says goes to its output.
pub fn shell(folder: &Path, line: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_countersign")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec 2>&1; {line}")]).current_dir(folder).env("PATH", path).stdin(Stdio::null());
    command
}

/// The commands of all console blocks in order. A command that ends in `\` goes on in the next line.
pub fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), output: Vec::new() }),
                (None, Some(step)) if step.command.ends_with('\\') => step.command.push_str(&format!("\n{line}")),
                (None, Some(step)) => step.output.push(line.to_owned()),
                (None, None) => panic!("output before any command: {line}"),
            }
        }
    }
    steps
}

/// `…` in a line stands for anything; as a line of its own, for any lines.
pub fn matches(shown: &[String], printed: &[&str]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((line, later)), _) if line == "…" => (0..=printed.len()).any(|skipped| matches(later, &printed[skipped..])),
        (Some((line, later)), Some((first, rest))) => fits(line, first) && matches(later, rest),
        (Some(_), None) => false,
    }
}

pub fn fits(shown: &str, printed: &str) -> bool {
    let parts: Vec<&str> = shown.split('…').collect();
    let Some((first, rest)) = parts.split_first() else { return false };
    let Some(mut left) = printed.strip_prefix(first) else { return false };
    let Some((last, middle)) = rest.split_last() else { return left.is_empty() };
    for part in middle {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}
