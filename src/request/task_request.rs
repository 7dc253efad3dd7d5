//! A request to open a task: a subject token, and one `authorization_details` of type `task` (RFC 9396 §2).

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::{Form, PresentedToken, RequestReason, required_token};
use crate::oauth::{ClientId, Resource, Scopes};

/// A well-formed request to open a task. Made only by [`TaskRequest::parse`].
#[derive(Debug)]
pub struct TaskRequest {
    subject: PresentedToken,
    wanted: TaskSpec,
}

/// The task that is wanted, as the request says it. What it leaves out, the server decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSpec {
    /// The ceiling: scopes by API, at least one.
    pub authority: Vec<(Resource, Scopes)>,
    /// What it is for.
    pub purpose: Option<String>,
    /// The classes of data that it may touch, sorted.
    pub data_classes: Option<Vec<String>>,
    /// How long it may take.
    pub expires_in: Option<Duration>,
    /// How many exchanges it may make.
    pub exchanges: Option<u64>,
    /// How long it lives without a heartbeat.
    pub heartbeat: Option<Duration>,
    /// Who works on it.
    pub holder: Option<ClientId>,
}

/// What is wrong with the details of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailsReason {
    /// Not a JSON array with exactly one object of type `task`, or members that are unknown or of the wrong type.
    Malformed,
    /// `authority` is empty, too long, names an API twice, or holds what is no API id or no scope.
    Authority,
    /// `purpose` is too long or not printable.
    Purpose,
    /// `data_classes` has too many, or one that is no name.
    DataClasses,
    /// `expires_in`, `budget` or `heartbeat` is not a positive number in its range.
    Number(&'static str),
    /// `holder` is no agent's id.
    Holder,
}

/// The most APIs of one ceiling, scopes of one API, classes of data.
const APIS_MAX: usize = 16;
const SCOPES_MAX: usize = 64;
const CLASSES_MAX: usize = 32;

/// The most characters of a purpose, and of a class of data.
const PURPOSE_MAX: usize = 128;
const CLASS_MAX: usize = 64;

/// A hundred years: longer is nonsense and would only invite overflow.
const SECONDS_MAX: u64 = 3_155_760_000;

/// The greatest integer that every JSON reader holds exactly (RFC 7493 §2.2).
const EXCHANGES_MAX: u64 = (1 << 53) - 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Details {
    #[serde(rename = "type")]
    kind: String,
    authority: Vec<Pairs>,
    purpose: Option<String>,
    data_classes: Option<Vec<String>>,
    expires_in: Option<u64>,
    budget: Option<Budget>,
    heartbeat: Option<u64>,
    holder: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pairs {
    api: String,
    scopes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    exchanges: u64,
}

/// Parameters of an exchange that have no meaning here: refused by name, never ignored.
const OTHERS: [&str; 9] = [
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "resource",
    "audience",
    "scope",
    "scope_mode",
    "impersonate",
    "grant_type",
];

impl TaskRequest {
    /// Reads a request to open a task.
    ///
    /// # Errors
    /// A parameter that is missing, repeated or not of this request; `Task` for its details.
    pub fn parse(form: &Form) -> Result<Self, RequestReason> {
        let once = ["subject_token", "subject_token_type", "authorization_details"];
        if let Some(repeated) = once.into_iter().find(|name| form.all(name).nth(1).is_some()) {
            return Err(RequestReason::Repeated(repeated));
        }
        if let Some(other) = OTHERS.iter().find(|name| form.get(name).is_some()) {
            return Err(RequestReason::Unsupported(other));
        }
        let subject = required_token(form)?;
        let details = form.get("authorization_details").ok_or(RequestReason::Task(DetailsReason::Malformed))?;
        let wanted = TaskSpec::parse(details).map_err(RequestReason::Task)?;
        Ok(Self { subject, wanted })
    }

    /// On whose behalf, or the task under which a child is opened: `subject_token`.
    pub fn subject(&self) -> &PresentedToken {
        &self.subject
    }

    /// The task.
    pub fn wanted(&self) -> &TaskSpec {
        &self.wanted
    }
}

impl TaskSpec {
    /// Reads the details of one task.
    ///
    /// # Errors
    /// See [`DetailsReason`].
    pub fn parse(json: &str) -> Result<Self, DetailsReason> {
        let [details] = serde_json::from_str::<[Details; 1]>(json).map_err(|_| DetailsReason::Malformed)?;
        if details.kind != "task" {
            return Err(DetailsReason::Malformed);
        }
        Ok(Self {
            authority: authority(details.authority)?,
            purpose: details.purpose.map(purpose).transpose()?,
            data_classes: details.data_classes.map(classes).transpose()?,
            expires_in: seconds("expires_in", details.expires_in)?,
            exchanges: positive("budget", details.budget.map(|budget| budget.exchanges), EXCHANGES_MAX)?,
            heartbeat: seconds("heartbeat", details.heartbeat)?,
            holder: details.holder.map(|id| ClientId::parse(&id).map_err(|_| DetailsReason::Holder)).transpose()?,
        })
    }
}

fn authority(pairs: Vec<Pairs>) -> Result<Vec<(Resource, Scopes)>, DetailsReason> {
    let mut read: Vec<(Resource, Scopes)> = Vec::new();
    for Pairs { api, scopes } in pairs {
        let api = Resource::parse(&api).map_err(|_| DetailsReason::Authority)?;
        let fits = (1..=SCOPES_MAX).contains(&scopes.len()) && read.iter().all(|(known, _)| *known != api);
        let scopes = scopes.iter().map(|scope| crate::oauth::Scope::parse(scope).ok()).collect::<Option<Scopes>>();
        read.push((api, scopes.filter(|_| fits).ok_or(DetailsReason::Authority)?));
    }
    if (1..=APIS_MAX).contains(&read.len()) { Ok(read) } else { Err(DetailsReason::Authority) }
}

fn purpose(text: String) -> Result<String, DetailsReason> {
    let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if printable && text.len() <= PURPOSE_MAX { Ok(text) } else { Err(DetailsReason::Purpose) }
}

fn classes(mut names: Vec<String>) -> Result<Vec<String>, DetailsReason> {
    names.sort_unstable();
    names.dedup();
    let named = |name: &String| (1..=CLASS_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    if names.len() <= CLASSES_MAX && names.iter().all(named) { Ok(names) } else { Err(DetailsReason::DataClasses) }
}

fn seconds(name: &'static str, value: Option<u64>) -> Result<Option<Duration>, DetailsReason> {
    positive(name, value, SECONDS_MAX).map(|value| value.map(Duration::from_secs))
}

fn positive(name: &'static str, value: Option<u64>, max: u64) -> Result<Option<u64>, DetailsReason> {
    match value {
        Some(value) if !(1..=max).contains(&value) => Err(DetailsReason::Number(name)),
        other => Ok(other),
    }
}

impl fmt::Display for DetailsReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("authorization_details")?;
        f.write_str(match self {
            Self::Malformed => {
                " must be a JSON array of one object of type task, with authority and, as needed, purpose, data_classes, \
                 expires_in, budget, heartbeat and holder"
            }
            Self::Authority => {
                ": authority must be a list of 1 to 16 objects, each with the id of another api and its scopes, 1 to 64"
            }
            Self::Purpose => ": purpose must have at most 128 printable ASCII characters",
            Self::DataClasses => ": data_classes must be at most 32 names of at most 64 characters",
            Self::Number(name) => return write!(f, ": {name} must be a positive number"),
            Self::Holder => ": holder must be the id of an agent",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    const LEAST: &str = r#"[{"type":"task","authority":[{"api":"https://crm.example","scopes":["a","b"]}]}]"#;

    fn with(more: &str) -> Result<TaskSpec, DetailsReason> {
        TaskSpec::parse(&LEAST.replace(r#""task","#, &format!(r#""task",{more},"#)))
    }

    #[test]
    fn reads_what_it_is_told_and_leaves_out_what_it_is_not() {
        let least = TaskSpec::parse(LEAST).unwrap();
        assert_eq!(least.authority, [(Resource::parse("https://crm.example").unwrap(), Scopes::parse("a b").unwrap())]);
        assert_eq!((least.purpose, least.data_classes, least.expires_in, least.exchanges), (None, None, None, None));
        let more = with(
            r#""purpose":"review","data_classes":["pii","b","pii"],"expires_in":60,"budget":{"exchanges":3},"heartbeat":5,"holder":"x""#,
        );
        let more = more.unwrap();
        assert_eq!((more.purpose.as_deref(), more.exchanges), (Some("review"), Some(3)));
        assert_eq!(more.data_classes.unwrap(), ["b", "pii"]);
        assert_eq!((more.expires_in, more.heartbeat), (Some(Duration::from_secs(60)), Some(Duration::from_secs(5))));
        assert_eq!(more.holder, Some(ClientId::parse("x").unwrap()));
    }

    #[test]
    fn rfc_9396_refuses_what_is_unknown_missing_or_out_of_range() {
        let object = LEAST.trim_matches(['[', ']']);
        for text in [
            "",
            "null",
            "{}",
            "[]",
            &format!("{object}]}}"),
            &format!("[{object}]}},{object}]}}]"),
            &LEAST.replace("\"task\"", "\"intent\""),
            &LEAST.replace("\"type\":\"task\",", ""),
            &LEAST.replace("\"type\"", "\"type\":\"task\",\"type\""),
            &LEAST.replace("\"api\"", "\"locations\""),
            &LEAST.replace("]}]}]", "],\"more\":1}]}]"),
        ] {
            assert_eq!(TaskSpec::parse(text), Err(DetailsReason::Malformed), "{text}");
        }
        for text in [
            &LEAST.replace("https://crm.example", "crm"),
            &LEAST.replace("\"a\",\"b\"", ""),
            &LEAST.replace("\"a\",\"b\"", "\"a b\""),
            r#"[{"type":"task","authority":[]}]"#,
        ] {
            assert_eq!(TaskSpec::parse(text), Err(DetailsReason::Authority), "{text}");
        }
        for (more, reason) in [
            (r#""unknown":1"#, DetailsReason::Malformed),
            (r#""budget":{"exchanges":1,"spend":2}"#, DetailsReason::Malformed),
            (r#""budget":{}"#, DetailsReason::Malformed),
            (r#""expires_in":"60""#, DetailsReason::Malformed),
            (r#""expires_in":-1"#, DetailsReason::Malformed),
            (r#""expires_in":0"#, DetailsReason::Number("expires_in")),
            (r#""budget":{"exchanges":0}"#, DetailsReason::Number("budget")),
            (r#""heartbeat":18446744073709551615"#, DetailsReason::Number("heartbeat")),
            (r#""purpose":"a\nb""#, DetailsReason::Purpose),
            (r#""data_classes":[""]"#, DetailsReason::DataClasses),
            (r#""holder":"""#, DetailsReason::Holder),
        ] {
            assert_eq!(with(more).unwrap_err(), reason, "{more}");
        }
    }
}
