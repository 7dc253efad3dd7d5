//! Reads one table key by key. Each `take_` method checks what it takes and complains where it is written; `finish` complains of
//! every key that nobody took.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::desk::Desk;
use super::tree::{Node, Table, Value};
use super::{DEFAULTS, Diagnostic, span};
use crate::catalog::{Place, Places};

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value, checked.
    pub value: T,
    /// Where it is written.
    pub place: Place,
}

/// A table that is being read.
pub(super) struct Reader<'a> {
    desk: &'a Desk,
    table: Table,
    place: Place,
    /// The name of the table as its author wrote it: `tokens`, `login`; empty for a whole file.
    name: String,
    /// Whether keys may be missing because another layer has them.
    partial: bool,
    asked: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// Begins to read `table`, which stands at `place`.
    pub(super) fn new(desk: &'a Desk, table: Table, place: Place) -> Self {
        Self { desk, table, place, name: String::new(), partial: false, asked: Vec::new() }
    }

    /// The same, of a layer: what is missing is no mistake.
    pub(super) fn partial(mut self) -> Self {
        self.partial = true;
        self
    }

    /// Whether this is a layer, in which things may be missing.
    pub(super) fn is_partial(&self) -> bool {
        self.partial
    }

    /// Where the table stands.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Where complaints go and files come from.
    pub(super) fn desk(&self) -> &'a Desk {
        self.desk
    }

    /// Where `key` is written, or else the table.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.table.get(key).map_or(&self.place, |node| &node.place).clone()
    }

    /// Whether `key` is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The lines of everything in the table that is not read yet.
    pub(super) fn places(&self) -> Places {
        let mut places = Places::new(self.place.clone());
        note(&mut places, "", &self.table);
        places
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
        let Located { value, place } = self.take_text(key)?;
        let checked =
            parse(&value).map_err(|reason| self.desk.complain(Diagnostic::new(place.clone(), format!("`{key}` {reason}"))));
        checked.ok().map(|value| Located { value, place })
    }

    /// One of a few words.
    pub(super) fn take_choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Option<Located<T>> {
        let found = self.take_text(key)?;
        self.choose(key, found, choices)
    }

    /// An array of strings, each with its place. From the environment, words separated by commas.
    pub(super) fn take_texts(&mut self, key: &'static str) -> Option<Vec<Located<String>>> {
        let node = self.take(key)?;
        match node.value {
            Value::Array(items) => all(items.into_iter().map(|item| self.text(key, item))),
            Value::Text(words) if is_environment(&node.place) => {
                let found = |word: &str| Located { value: word.trim().to_owned(), place: node.place.clone() };
                Some(words.split(',').map(found).collect())
            }
            other => self.wrong(key, &node.place, "an array of strings", &other),
        }
    }

    /// An array of strings, with what `parse` makes of each that it accepts.
    pub(super) fn take_each<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<Option<Located<T>>>> {
        let desk = self.desk;
        let checked = |Located { value, place }: Located<String>| match parse(&value) {
            Ok(value) => Some(Located { value, place }),
            Err(reason) => {
                desk.complain(Diagnostic::new(place, format!("each of `{key}` {reason}")));
                None
            }
        };
        Some(self.take_texts(key)?.into_iter().map(checked).collect())
    }

    /// An array of some of a few words; none when any is another.
    pub(super) fn take_choices<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Option<Vec<Located<T>>> {
        let texts = self.take_texts(key)?;
        all(texts.into_iter().map(|found| self.choose(key, found, choices)))
    }

    /// `true` or `false`.
    pub(super) fn take_boolean(&mut self, key: &'static str) -> Option<Located<bool>> {
        let Node { place, value } = self.take(key)?;
        match value {
            Value::Boolean(value) => Some(Located { value, place }),
            other => self.wrong(key, &place, "true or false", &other),
        }
    }

    /// A whole number within `range`.
    pub(super) fn take_integer(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<Located<i64>> {
        let Node { place, value } = self.take(key)?;
        let number = match value {
            Value::Integer(number) => number,
            Value::Text(text) if is_environment(&place) && text.parse::<i64>().is_ok() => text.parse().ok()?,
            other => return self.wrong(key, &place, "a whole number", &other),
        };
        if range.contains(&number) {
            return Some(Located { value: number, place });
        }
        let sentence = format!("`{key}` must be {} to {}, not {number}", range.start(), range.end());
        self.desk.complain(Diagnostic::new(place, sentence));
        None
    }

    /// A span of time within `range`.
    pub(super) fn take_span(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Located<Duration>> {
        let Located { value: text, place } = self.take_text(key)?;
        let told = |reason| {
            self.desk.complain(Diagnostic::new(place.clone(), format!("`{key}` {reason}")).meaning(span::meant(&text)));
        };
        let found = Located { value: span::parse(&text).map_err(told).ok()?, place: place.clone() };
        if range.contains(&found.value) {
            return Some(found);
        }
        let [least, most, is] = [*range.start(), *range.end(), found.value].map(span::show);
        self.desk.complain(Diagnostic::new(found.place, format!("`{key}` must be {least} to {most}, not {is}")));
        None
    }

    /// A path; a relative one is relative to the file that has it.
    pub(super) fn take_path(&mut self, key: &'static str) -> Option<Located<PathBuf>> {
        let Located { value, place } = self.take_text(key)?;
        if value.is_empty() {
            self.desk.complain(Diagnostic::new(place, format!("`{key}` must be a path")));
            return None;
        }
        Some(Located { value: beside(&place, &value), place })
    }

    /// A path, or an array of paths.
    pub(super) fn take_paths(&mut self, key: &'static str) -> Option<Vec<Located<PathBuf>>> {
        if !matches!(self.table.get(key).map(|node| &node.value), Some(Value::Array(_))) {
            return self.take_path(key).map(|path| vec![path]);
        }
        let desk = self.desk;
        let path = |Located { value, place }: Located<String>| match value.as_str() {
            "" => {
                desk.complain(Diagnostic::new(place, format!("each of `{key}` must be a path")));
                None
            }
            text => Some(Located { value: beside(&place, text), place }),
        };
        all(self.take_texts(key)?.into_iter().map(path))
    }

    /// A table in the table.
    pub(super) fn take_table(&mut self, key: &'static str) -> Option<Reader<'a>> {
        let node = self.take(key)?;
        self.sub_table(key, node)
    }

    /// An array of tables.
    pub(super) fn take_tables(&mut self, key: &'static str) -> Vec<Reader<'a>> {
        let Some(node) = self.take(key) else { return Vec::new() };
        match node.value {
            Value::Array(items) => items.into_iter().filter_map(|item| self.sub_table(key, item)).collect(),
            other => self.wrong(key, &node.place, &format!("written as [[{key}]]"), &other).unwrap_or_default(),
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
    pub(super) fn sub_table(&self, key: &str, node: Node) -> Option<Reader<'a>> {
        match node.value {
            Value::Table(table) => {
                Some(Reader { name: key.to_owned(), partial: self.partial, ..Reader::new(self.desk, table, node.place) })
            }
            other => self.wrong(key, &node.place, "a table", &other),
        }
    }

    /// Complains of each of `keys` that is not written.
    pub(super) fn need(&self, keys: &[&str]) {
        for key in keys.iter().filter(|key| !self.partial && !self.has(key)) {
            self.desk.complain(Diagnostic::new(self.place.clone(), format!("`{key}` is missing{}", self.whence())));
        }
    }

    /// Complains of `key` when it is written, with a sentence that says why it cannot be.
    pub(super) fn refuse(&mut self, key: &'static str, why: &str) {
        if let Some(node) = self.table.remove(key) {
            self.desk.complain(Diagnostic::new(node.place, format!("`{key}` {why}")));
        }
    }

    /// Complains of every key that nobody took.
    pub(super) fn finish(self) {
        for (key, node) in &self.table {
            let sentence = format!("unknown key `{}`{}", short(key), self.whence());
            self.desk.complain(Diagnostic::new(node.place.clone(), sentence).near(key, self.asked.iter().copied()));
        }
    }

    fn text(&self, key: &str, node: Node) -> Option<Located<String>> {
        match node.value {
            Value::Text(value) => Some(Located { value, place: node.place }),
            other => self.wrong(key, &node.place, "a string", &other),
        }
    }

    /// Which of `choices` was found at `key`.
    pub(super) fn choose<T: Copy>(&self, key: &str, found: Located<String>, choices: &[(&'static str, T)]) -> Option<Located<T>> {
        let Located { value: word, place } = found;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == word) {
            return Some(Located { value: *value, place });
        }
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let sentence = format!("`{key}` must be {}, not \"{}\"", one_of(&names), short(&word));
        self.desk.complain(Diagnostic::new(place, sentence).near(&word, choices.iter().map(|(name, _)| *name)));
        None
    }

    fn wrong<T>(&self, key: &str, place: &Place, wanted: &str, found: &Value) -> Option<T> {
        self.desk.complain(Diagnostic::new(place.clone(), format!("`{key}` must be {wanted}, not {}", found.kind())));
        None
    }

    fn whence(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) }
    }
}

/// `path` as seen from the file at `place`; from the environment, as seen from the current directory.
fn beside(place: &Place, path: &str) -> PathBuf {
    match Path::new(&*place.file).parent() {
        // The folder of the compiled-in file need not exist, and what does not exist has no way up.
        Some(folder) if &*place.file == DEFAULTS.0 => match path.strip_prefix("../") {
            Some(path) => folder.with_file_name(path),
            None => folder.join(path),
        },
        Some(folder) if !is_environment(place) => folder.join(path),
        _ => PathBuf::from(path),
    }
}

/// Values without a line come from the environment, where everything is a string.
fn is_environment(place: &Place) -> bool {
    place.line == 0
}

/// All of them, after every one was looked at; none when any is missing.
pub(super) fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let looked_at: Vec<Option<T>> = items.collect();
    looked_at.into_iter().collect()
}

fn one_of(names: &[String]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        _ => names.concat(),
    }
}

/// Enough of a word to recognise it.
pub(super) fn short(word: &str) -> String {
    let legible: String = word.chars().take(60).map(|char| if char.is_control() { '?' } else { char }).collect();
    if legible.len() < word.len() { format!("{legible}…") } else { legible }
}

fn note(places: &mut Places, path: &str, table: &Table) {
    for (key, node) in table {
        note_node(places, format!("{path}{key}"), node);
    }
}

fn note_node(places: &mut Places, path: String, node: &Node) {
    match &node.value {
        Value::Table(table) => note(places, &format!("{path}/"), table),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(position, item)| note_node(places, format!("{path}/{position}"), item));
        }
        _ => {}
    }
    places.note(path, node.place.line);
}
