//! Text with `${…}` in it: names that stand for values, and functions that make values.

/// A text of literal parts, names and calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<Part>);

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Literal text.
    Text(String),
    /// `${name}` or `${name.with.path}`.
    Name(String),
    /// `${function argument…}`.
    Call(String, Vec<Arg>),
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// `name` of `name=value`, in functions that make tokens.
    pub key: Option<String>,
    /// The value.
    pub value: Template,
}

/// The functions, with the least and the greatest number of arguments.
const FUNCTIONS: [(&str, usize, usize); 19] = [
    ("proof", 1, 64),
    ("jwk", 1, 1),
    ("private-jwk", 1, 1),
    ("thumbprint", 1, 1),
    ("jwt", 1, 64),
    ("assertion", 1, 64),
    ("subject", 2, 2),
    ("secret", 1, 1),
    ("base64", 1, 1),
    ("base64url", 1, 1),
    ("form", 1, 1),
    ("repeat", 2, 2),
    ("acts", 1, 1),
    ("segment", 2, 2),
    ("flip", 1, 1),
    ("id", 0, 0),
    ("certificate", 1, 1),
    ("issuing-certificate", 1, 1),
    ("x5t", 1, 1),
];

impl Template {
    /// Parses `text`.
    ///
    /// # Errors
    /// An unclosed `${`, an unknown function, or a wrong number of arguments.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let end = closing(after).ok_or("a ${ is never closed")?;
            let (inside, behind) = after.split_at_checked(end).ok_or("a ${ is never closed")?;
            parts.push(Part::parse(inside)?);
            rest = behind.strip_prefix('}').unwrap_or(behind);
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// True for the name of a function.
    pub fn is_function(name: &str) -> bool {
        FUNCTIONS.iter().any(|(known, _, _)| *known == name)
    }

    /// Every name used anywhere in it.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.collect_names(&mut names);
        names
    }

    fn collect_names<'a>(&'a self, names: &mut Vec<&'a str>) {
        for part in &self.0 {
            match part {
                Part::Text(_) => {}
                Part::Name(name) => names.push(name),
                Part::Call(_, args) => args.iter().for_each(|arg| arg.value.collect_names(names)),
            }
        }
    }
}

impl Part {
    fn parse(inside: &str) -> Result<Self, String> {
        let mut words = words(inside).into_iter();
        let first = words.next().ok_or("${} is empty")?;
        let function = FUNCTIONS.iter().find(|(name, _, _)| *name == first);
        let Some((name, least, most)) = function else {
            return match words.next() {
                None => Ok(Self::Name(first)),
                Some(_) => Err(format!("there is no function {first}")),
            };
        };
        let keyed = matches!(*name, "jwt" | "assertion" | "proof");
        let args = words.map(|word| Arg::parse(&word, keyed)).collect::<Result<Vec<_>, _>>()?;
        if args.len() < *least || args.len() > *most {
            return Err(format!("{name} takes {least} to {most} arguments, not {}", args.len()));
        }
        Ok(Self::Call(first, args))
    }
}

impl Arg {
    fn parse(word: &str, keyed: bool) -> Result<Self, String> {
        let plain = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.@/:-".contains(&b));
        let (key, value) = match word.split_once('=') {
            Some((key, value)) if keyed && plain(key) => (Some(key.to_owned()), value),
            _ => (None, word),
        };
        Ok(Self { key, value: Template::parse(value)? })
    }
}

/// The offset of the brace that closes a `${`, counted from behind that `${`.
fn closing(text: &str) -> Option<usize> {
    let mut walk = Walk::default();
    text.char_indices().find(|(_, letter)| walk.step(*letter) && *letter == '}' && walk.depth < 0).map(|(at, _)| at)
}

/// Splits at white space outside of brackets and quotes.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut walk) = (Vec::new(), String::new(), Walk::default());
    for letter in text.chars() {
        let outside = walk.step(letter) && walk.depth == 0;
        if outside && letter.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(letter);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Depth of brackets and whether a JSON string is open.
#[derive(Default)]
struct Walk {
    depth: i32,
    quoted: bool,
    escaped: bool,
}

impl Walk {
    /// Takes one letter; says whether it stands outside of quotes.
    fn step(&mut self, letter: char) -> bool {
        let escaped = std::mem::take(&mut self.escaped);
        match letter {
            '\\' if self.quoted => self.escaped = !escaped,
            '"' if !escaped => self.quoted = !self.quoted,
            '{' | '[' if !self.quoted => self.depth += 1,
            '}' | ']' if !self.quoted => self.depth -= 1,
            _ => {}
        }
        !self.quoted
    }
}
