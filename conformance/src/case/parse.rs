//! From text to [`Case`], with a complaint for every line that means nothing.

use std::path::Path;

use super::{Case, Check, Complaint, Expect, Field, Item, Shape, Step, Template, names};

/// Parses the text of one file.
///
/// # Errors
/// Every complaint, with its line.
pub fn parse(name: &str, file: &Path, text: &str) -> Result<Case, Vec<Complaint>> {
    let mut parser = Parser::default();
    for (index, line) in text.lines().enumerate() {
        parser.line = index + 1;
        if let Err(what) = parser.take(line) {
            parser.complain(what);
        }
    }
    parser.finish_step();
    let rule = parser.rule.join(" ");
    if !rule.contains(": ") {
        parser.line = 1;
        parser.complain("the file must begin with a comment: where the rule is written, a colon, the rule".to_owned());
    }
    if !parser.items.iter().any(|item| matches!(item, Item::Step(_))) && parser.complaints.is_empty() {
        parser.complain("the case has no request".to_owned());
    }
    let case = Case { name: name.to_owned(), file: file.to_owned(), rule, requires: parser.requires, items: parser.items };
    let mut complaints = parser.complaints;
    if complaints.is_empty() {
        complaints = names::check(&case);
    }
    let complaints: Vec<Complaint> =
        complaints.into_iter().map(|(line, what)| Complaint { file: file.to_owned(), line, what }).collect();
    if complaints.is_empty() { Ok(case) } else { Err(complaints) }
}

#[derive(Default)]
struct Parser {
    line: usize,
    rule: Vec<String>,
    begun: bool,
    requires: Vec<String>,
    items: Vec<Item>,
    step: Option<Draft>,
    complaints: Vec<(usize, String)>,
}

/// A step whose expectation is still to come.
struct Draft {
    line: usize,
    method: String,
    target: Template,
    client: Option<String>,
    certificate: Option<String>,
    name: Option<String>,
    fields: Vec<Field>,
    expect: Option<Expect>,
}

impl Parser {
    fn take(&mut self, line: &str) -> Result<(), String> {
        let text = line.trim();
        if let Some(comment) = text.strip_prefix('#') {
            if !self.begun {
                self.rule.push(comment.trim().to_owned());
            }
            return Ok(());
        }
        self.begun = true;
        if text.is_empty() {
            return Ok(());
        }
        if line.starts_with([' ', '\t']) { self.indented(text) } else { self.directive(text) }
    }

    fn directive(&mut self, text: &str) -> Result<(), String> {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match word {
            "expect" => return self.expect(rest),
            "requires" if self.items.is_empty() && self.step.is_none() => {
                self.requires.extend(rest.split_whitespace().map(str::to_owned));
                return Ok(());
            }
            "requires" => return Err("requires stands before the first step".to_owned()),
            _ => self.finish_step(),
        }
        match word {
            "let" => self.binding(rest),
            method if method.bytes().all(|byte| byte.is_ascii_uppercase()) => self.request(method, rest),
            other => Err(format!("there is no directive {other}")),
        }
    }

    fn binding(&mut self, rest: &str) -> Result<(), String> {
        let (name, value) = rest.split_once('=').ok_or("a binding is let NAME = VALUE")?;
        let name = identifier(name.trim())?;
        self.items.push(Item::Let { line: self.line, name, value: Template::parse(value.trim())? });
        Ok(())
    }

    fn request(&mut self, method: &str, rest: &str) -> Result<(), String> {
        let (rest, name) = match rest.rsplit_once(" -> ") {
            Some((rest, name)) => (rest, Some(identifier(name.trim())?)),
            None => (rest, None),
        };
        let (rest, certificate) = match rest.rsplit_once(" with ") {
            Some((rest, certificate)) => (rest, Some(role(certificate.trim())?)),
            None => (rest, None),
        };
        let (target, client) = match rest.rsplit_once(" as ") {
            Some((target, client)) => (target, Some(role(client.trim())?)),
            None => (rest, None),
        };
        let target = target.trim();
        if target.is_empty() || target.contains(char::is_whitespace) && !target.starts_with("${") {
            return Err("a request is METHOD TARGET [as CLIENT] [with CERTIFICATE] [-> NAME]".to_owned());
        }
        let target = Template::parse(target)?;
        let (method, fields) = (method.to_owned(), Vec::new());
        self.step = Some(Draft { line: self.line, method, target, client, certificate, name, fields, expect: None });
        Ok(())
    }

    fn expect(&mut self, rest: &str) -> Result<(), String> {
        let expect = Expect::parse(self.line, rest)?;
        let step = self.step.as_mut().ok_or("expect stands under a request")?;
        if step.expect.is_some() {
            return Err("a request has one expect".to_owned());
        }
        step.expect = Some(expect);
        Ok(())
    }

    fn indented(&mut self, text: &str) -> Result<(), String> {
        let line = self.line;
        let step = self.step.as_mut().ok_or("an indented line stands under a request or an expect")?;
        match &mut step.expect {
            Some(expect) => expect.checks.push(Check::parse(line, text)?),
            None => step.fields.push(field(text)?),
        }
        Ok(())
    }

    fn finish_step(&mut self) {
        let Some(draft) = self.step.take() else { return };
        let Some(expect) = draft.expect else {
            self.complaints.push((draft.line, "the request has no expect".to_owned()));
            return;
        };
        if draft.name.is_some() && expect.shape == Shape::Any && expect.checks.is_empty() {
            self.complaints.push((expect.line, "an answer that is used later must be checked for its shape".to_owned()));
        }
        let Draft { line, method, target, client, certificate, name, fields, .. } = draft;
        self.items.push(Item::Step(Box::new(Step { line, method, target, client, certificate, name, fields, expect })));
    }

    fn complain(&mut self, what: String) {
        self.complaints.push((self.line, what));
    }
}

fn field(text: &str) -> Result<Field, String> {
    if let Some(body) = text.strip_prefix("body:") {
        return Ok(Field::Body(Template::parse(body.trim())?));
    }
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    if let Some(header) = name.strip_suffix(':') {
        return Ok(Field::Header(header.to_owned(), Template::parse(rest)?));
    }
    match rest.strip_prefix('=') {
        Some(value) => Ok(Field::Param(name.to_owned(), Template::parse(value.trim())?)),
        None => Err("under a request stand name = value, Name: value, or body: text".to_owned()),
    }
}

fn identifier(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    plain.then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is not a name: a-z, 0-9 and _"))
}

fn role(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    plain.then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is not the role of a client"))
}
