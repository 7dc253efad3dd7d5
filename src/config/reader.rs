//! Reads one table key by key. Each `take_` method checks what it takes and reports a mistake where it is written; `finish`
//! reports every key that nobody took.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::duration;
use super::load::{DEFAULTS, LoadContext};
use super::toml::{Node, Table, TomlValue};
use crate::diagnostic::{Diagnostic, FieldLocations, Located, SourceLocation};

/// A table that is being read.
pub(super) struct TableReader<'a> {
    context: &'a LoadContext,
    table: Table,
    location: SourceLocation,
    /// The name of the table as its author wrote it: `tokens`, `login`; empty for a whole file.
    name: String,
    /// Another layer has the keys that are missing.
    partial: bool,
    asked: Vec<&'static str>,
}

impl<'a> TableReader<'a> {
    /// Begins to read the table of a whole file.
    pub(super) fn new(context: &'a LoadContext, table: Table, location: SourceLocation) -> Self {
        Self { context, table, location, name: String::new(), partial: false, asked: Vec::new() }
    }

    /// Reads a layer of a table: a missing key is no mistake.
    pub(super) fn partial(mut self) -> Self {
        self.partial = true;
        self
    }

    /// The table is a layer, in which keys may be missing.
    pub(super) fn is_partial(&self) -> bool {
        self.partial
    }

    /// The location of the table.
    pub(super) fn location(&self) -> &SourceLocation {
        &self.location
    }

    /// The reading that the table belongs to.
    pub(super) fn context(&self) -> &'a LoadContext {
        self.context
    }

    /// Reports a mistake.
    pub(super) fn error(&self, location: SourceLocation, sentence: impl Into<String>) {
        self.context.error(location, sentence);
    }

    /// The location of `key`, or of the table when the key is not written.
    pub(super) fn location_of(&self, key: &str) -> SourceLocation {
        self.table.get(key).map_or(&self.location, |node| &node.location).clone()
    }

    /// The key is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The locations of everything in the table that is not read yet.
    pub(super) fn locations(&self) -> FieldLocations {
        let mut locations = FieldLocations::new(self.location.clone());
        note(&mut locations, "", &self.table);
        locations
    }

    /// A string.
    pub(super) fn take_text(&mut self, key: &'static str) -> Option<Located<String>> {
        let node = self.take(key)?;
        self.text(key, node)
    }

    /// A string that `parse` accepts. Its error completes the sentence "`key` …".
    pub(super) fn take_parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Located<T>> {
        let Located { value, location } = self.take_text(key)?;
        let checked = parse(&value).map_err(|reason| self.error(location.clone(), format!("`{key}` {reason}")));
        checked.ok().map(|value| Located { value, location })
    }

    /// One of a few words.
    pub(super) fn take_choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Option<Located<T>> {
        let found = self.take_text(key)?;
        self.choose(key, found, choices)
    }

    /// An array of strings. From the environment, words separated by commas.
    pub(super) fn take_texts(&mut self, key: &'static str) -> Option<Vec<Located<String>>> {
        let Located { value, location } = self.take(key)?;
        match value {
            TomlValue::Array(items) => all(items.into_iter().map(|item| self.text(key, item))),
            TomlValue::Text(words) if is_environment(&location) => {
                let word = |word: &str| Located { value: word.trim().to_owned(), location: location.clone() };
                Some(words.split(',').map(word).collect())
            }
            other => self.wrong(key, location, "an array of strings", &other),
        }
    }

    /// An array of strings, each parsed; none for each that `parse` does not accept.
    pub(super) fn take_each<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<Option<Located<T>>>> {
        let texts = self.take_texts(key)?;
        let checked = |Located { value, location }: Located<String>| match parse(&value) {
            Ok(value) => Some(Located { value, location }),
            Err(reason) => {
                self.error(location, format!("each of `{key}` {reason}"));
                None
            }
        };
        Some(texts.into_iter().map(checked).collect())
    }

    /// An array of words out of a few; none when any is another.
    pub(super) fn take_choices<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Option<Vec<Located<T>>> {
        let texts = self.take_texts(key)?;
        all(texts.into_iter().map(|found| self.choose(key, found, choices)))
    }

    /// `true` or `false`.
    pub(super) fn take_boolean(&mut self, key: &'static str) -> Option<Located<bool>> {
        let Located { value, location } = self.take(key)?;
        match value {
            TomlValue::Boolean(value) => Some(Located { value, location }),
            other => self.wrong(key, location, "true or false", &other),
        }
    }

    /// A whole number within `range`.
    pub(super) fn take_integer(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<Located<i64>> {
        let Located { value, location } = self.take(key)?;
        let number = match value {
            TomlValue::Integer(number) => number,
            TomlValue::Text(text) if is_environment(&location) && text.parse::<i64>().is_ok() => text.parse().ok()?,
            other => return self.wrong(key, location, "a whole number", &other),
        };
        if range.contains(&number) {
            return Some(Located { value: number, location });
        }
        self.error(location, format!("`{key}` must be {} to {}, not {number}", range.start(), range.end()));
        None
    }

    /// A duration within `range`.
    pub(super) fn take_duration(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Located<Duration>> {
        let Located { value: text, location } = self.take_text(key)?;
        let value = duration::parse(&text).map_err(|reason| {
            let diagnostic = Diagnostic::new(location.clone(), format!("`{key}` {reason}"));
            self.context.report(diagnostic.meaning(duration::meant(&text)));
        });
        let value = value.ok()?;
        if range.contains(&value) {
            return Some(Located { value, location });
        }
        let [least, most, is] = [*range.start(), *range.end(), value].map(duration::show);
        self.error(location, format!("`{key}` must be {least} to {most}, not {is}"));
        None
    }

    /// A path; a relative one is relative to the file that has it.
    pub(super) fn take_path(&mut self, key: &'static str) -> Option<Located<PathBuf>> {
        let found = self.take_text(key)?;
        self.path(found, &format!("`{key}`"))
    }

    /// A path, or an array of paths.
    pub(super) fn take_paths(&mut self, key: &'static str) -> Option<Vec<Located<PathBuf>>> {
        if !matches!(self.table.get(key).map(|node| &node.value), Some(TomlValue::Array(_))) {
            return self.take_path(key).map(|path| vec![path]);
        }
        let texts = self.take_texts(key)?;
        all(texts.into_iter().map(|found| self.path(found, &format!("each of `{key}`"))))
    }

    /// A table in the table.
    pub(super) fn take_table(&mut self, key: &'static str) -> Option<TableReader<'a>> {
        let node = self.take(key)?;
        self.sub_table(key, node)
    }

    /// An array of tables.
    pub(super) fn take_tables(&mut self, key: &'static str) -> Vec<TableReader<'a>> {
        let Some(Located { value, location }) = self.take(key) else { return Vec::new() };
        match value {
            TomlValue::Array(items) => items.into_iter().filter_map(|item| self.sub_table(key, item)).collect(),
            other => self.wrong(key, location, &format!("written as [[{key}]]"), &other).unwrap_or_default(),
        }
    }

    /// Whatever is written at `key`.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.asked.push(key);
        self.table.remove(key)
    }

    /// All keys that are left, for a table whose keys are not ours to choose.
    pub(super) fn take_rest(&mut self) -> Table {
        std::mem::take(&mut self.table)
    }

    /// The table at `node`, which stands under `key`.
    pub(super) fn sub_table(&self, key: &str, node: Node) -> Option<TableReader<'a>> {
        match node.value {
            TomlValue::Table(table) => {
                let name = key.to_owned();
                Some(TableReader { name, partial: self.partial, ..TableReader::new(self.context, table, node.location) })
            }
            other => self.wrong(key, node.location, "a table", &other),
        }
    }

    /// Reports each of `keys` that is not written.
    pub(super) fn need(&self, keys: &[&str]) {
        for key in keys.iter().filter(|key| !self.partial && !self.has(key)) {
            self.error(self.location.clone(), format!("`{key}` is missing{}", self.whence()));
        }
    }

    /// Reports `key` when it is written, with a sentence that says why it cannot be.
    pub(super) fn refuse(&mut self, key: &'static str, why: &str) {
        if let Some(node) = self.table.remove(key) {
            self.error(node.location, format!("`{key}` {why}"));
        }
    }

    /// Reports every key that nobody took.
    pub(super) fn finish(self) {
        for (key, node) in &self.table {
            let sentence = format!("unknown key `{}`{}", short(key), self.whence());
            let diagnostic = Diagnostic::new(node.location.clone(), sentence);
            self.context.report(diagnostic.near(key, self.asked.iter().copied()));
        }
    }

    /// The one of `choices` that was found at `key`.
    pub(super) fn choose<T: Copy>(&self, key: &str, found: Located<String>, choices: &[(&'static str, T)]) -> Option<Located<T>> {
        let Located { value: word, location } = found;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == word) {
            return Some(Located { value: *value, location });
        }
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let sentence = format!("`{key}` must be {}, not \"{}\"", one_of(&names), short(&word));
        self.context.report(Diagnostic::new(location, sentence).near(&word, choices.iter().map(|(name, _)| *name)));
        None
    }

    fn text(&self, key: &str, node: Node) -> Option<Located<String>> {
        match node.value {
            TomlValue::Text(value) => Some(Located { value, location: node.location }),
            other => self.wrong(key, node.location, "a string", &other),
        }
    }

    fn path(&self, Located { value, location }: Located<String>, what: &str) -> Option<Located<PathBuf>> {
        if value.is_empty() {
            self.error(location, format!("{what} must be a path"));
            return None;
        }
        Some(Located { value: beside(&location, self.context.home(), &value), location })
    }

    fn wrong<T>(&self, key: &str, location: SourceLocation, wanted: &str, found: &TomlValue) -> Option<T> {
        self.error(location, format!("`{key}` must be {wanted}, not {}", found.kind()));
        None
    }

    fn whence(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) }
    }
}

/// All of them, after every one was looked at; none when any is missing.
pub(super) fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let looked_at: Vec<Option<T>> = items.collect();
    looked_at.into_iter().collect()
}

/// The value without its location.
pub(super) fn value<T>(found: Option<Located<T>>) -> Option<T> {
    found.map(|found| found.value)
}

/// Enough of a word to recognise it.
pub(super) fn short(word: &str) -> String {
    let legible: String = word.chars().take(60).map(|char| if char.is_control() { '?' } else { char }).collect();
    if legible.len() < word.len() { format!("{legible}…") } else { legible }
}

/// `path` as seen from the file at `location`; from the environment, as seen from the current directory; as compiled in, as seen
/// from the folder `home`.
fn beside(location: &SourceLocation, home: &Path, path: &str) -> PathBuf {
    match Path::new(&*location.file).parent() {
        // What stands above `conf` there stands beside a settings file that is in no folder of that name. And what does not exist
        // has no way up.
        Some(_) if &*location.file == DEFAULTS.0 => match path.strip_prefix("../") {
            Some(path) if home.file_name().is_some_and(|name| name == "conf") => home.with_file_name(path),
            Some(path) => home.join(path),
            None => home.join(path),
        },
        Some(folder) if !is_environment(location) => folder.join(path),
        _ => PathBuf::from(path),
    }
}

/// Values without a line come from the environment, where everything is a string.
fn is_environment(location: &SourceLocation) -> bool {
    location.line == 0
}

fn one_of(names: &[String]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        _ => names.concat(),
    }
}

fn note(locations: &mut FieldLocations, path: &str, table: &Table) {
    for (key, node) in table {
        note_node(locations, format!("{path}{key}"), node);
    }
}

fn note_node(locations: &mut FieldLocations, path: String, node: &Node) {
    match &node.value {
        TomlValue::Table(table) => note(locations, &format!("{path}/"), table),
        TomlValue::Array(items) => {
            items.iter().enumerate().for_each(|(position, item)| note_node(locations, format!("{path}/{position}"), item));
        }
        _ => {}
    }
    locations.note(path, node.location.clone());
}
