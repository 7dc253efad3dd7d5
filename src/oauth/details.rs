//! Rich authorization (RFC 9396): the one object that an `authorization_details` holds here, read, checked and written.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ClientId, Resource, Scope, Scopes, ScopesOnApi};
use crate::json;

/// An object of type `task` (RFC 9396 §2): a bounded piece of work, as it is asked for, granted (RFC 9396 §7) and shown in its
/// token. The server decides on what a request leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSpec {
    /// The most that may be held in the task: scopes by API, at least one.
    pub authority: Vec<ScopesOnApi>,
    /// The purpose, of at most 128 printable ASCII characters.
    pub purpose: Option<String>,
    /// The classes of data that may be touched in it, sorted.
    pub data_classes: Option<Vec<String>>,
    /// The time until its deadline, in whole seconds.
    pub expires_in: Option<Duration>,
    /// The number of exchanges that may be made in it: `budget.exchanges`.
    pub exchanges: Option<u64>,
    /// The longest time without a heartbeat that it outlives, in whole seconds.
    pub heartbeat: Option<Duration>,
    /// The agent that works on it.
    pub holder: Option<ClientId>,
}

/// Why `authorization_details` hold no task.
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

/// The most APIs of one authority, scopes of one API, classes of data.
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

/// The JSON object.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskObject<'a> {
    r#type: Cow<'a, str>,
    authority: Vec<ApiObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_classes: Option<Cow<'a, [String]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<BudgetObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiObject<'a> {
    api: Cow<'a, str>,
    scopes: Vec<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetObject {
    exchanges: u64,
}

impl TaskSpec {
    /// Reads a JSON array that holds one object of type `task`.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, DetailsReason> {
        let [object]: [TaskObject<'_>; 1] = json::read(text).map_err(|_| DetailsReason::Malformed)?;
        if object.r#type != "task" {
            return Err(DetailsReason::Malformed);
        }
        Ok(Self {
            authority: authority(&object.authority)?,
            purpose: object.purpose.map(purpose).transpose()?,
            data_classes: object.data_classes.map(classes).transpose()?,
            expires_in: seconds("expires_in", object.expires_in)?,
            exchanges: positive("budget", object.budget.map(|budget| budget.exchanges), EXCHANGES_MAX)?,
            heartbeat: seconds("heartbeat", object.heartbeat)?,
            holder: object.holder.map(|id| ClientId::parse(&id).map_err(|_| DetailsReason::Holder)).transpose()?,
        })
    }

    /// The JSON array that [`parse`](Self::parse) reads, members in a fixed order, scopes in alphabetical order.
    ///
    /// # Errors
    /// None in practice; the type of the serialiser allows one.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&[TaskObject {
            r#type: Cow::Borrowed("task"),
            authority: self.authority.iter().map(ApiObject::from).collect(),
            purpose: self.purpose.as_deref().map(Cow::Borrowed),
            data_classes: self.data_classes.as_deref().map(Cow::Borrowed),
            expires_in: self.expires_in.map(|span| span.as_secs()),
            budget: self.exchanges.map(|exchanges| BudgetObject { exchanges }),
            heartbeat: self.heartbeat.map(|span| span.as_secs()),
            holder: self.holder.as_ref().map(|holder| Cow::Borrowed(holder.as_str())),
        }])
    }
}

impl<'a> From<&'a ScopesOnApi> for ApiObject<'a> {
    fn from(held: &'a ScopesOnApi) -> Self {
        let scopes = held.scopes.iter().map(|scope| Cow::Borrowed(scope.as_str())).collect();
        Self { api: Cow::Borrowed(held.api.as_str()), scopes }
    }
}

fn authority(objects: &[ApiObject<'_>]) -> Result<Vec<ScopesOnApi>, DetailsReason> {
    let mut read: Vec<ScopesOnApi> = Vec::new();
    for ApiObject { api, scopes } in objects {
        let api = Resource::parse(api).map_err(|_| DetailsReason::Authority)?;
        let fits = (1..=SCOPES_MAX).contains(&scopes.len()) && read.iter().all(|known| known.api != api);
        let scopes = scopes.iter().map(|scope| Scope::parse(scope).ok()).collect::<Option<Scopes>>();
        read.push(ScopesOnApi { api, scopes: scopes.filter(|_| fits).ok_or(DetailsReason::Authority)? });
    }
    if (1..=APIS_MAX).contains(&read.len()) { Ok(read) } else { Err(DetailsReason::Authority) }
}

pub(super) fn purpose(text: Cow<'_, str>) -> Result<String, DetailsReason> {
    let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if printable && text.len() <= PURPOSE_MAX { Ok(text.into_owned()) } else { Err(DetailsReason::Purpose) }
}

pub(super) fn classes(names: Cow<'_, [String]>) -> Result<Vec<String>, DetailsReason> {
    let mut names = names.into_owned();
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
        let (api, scopes) = (Resource::parse("https://crm.example").unwrap(), Scopes::parse("a b").unwrap());
        assert_eq!(least.authority, [ScopesOnApi { api, scopes }]);
        assert_eq!(least.to_json().unwrap(), LEAST);
        assert_eq!((least.purpose, least.data_classes, least.expires_in, least.exchanges), (None, None, None, None));
        let more = with(
            r#""purpose":"review","data_classes":["pii","b","pii"],"expires_in":60,"budget":{"exchanges":3},"heartbeat":5,"holder":"x""#,
        );
        let more = more.unwrap();
        assert_eq!(TaskSpec::parse(&more.to_json().unwrap()), Ok(more.clone()), "what is written reads back the same");
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
            r#"[["task",[{"api":"https://crm.example","scopes":["a"]}]]]"#,
            r#"["task"]"#,
            &LEAST.replace(r#"{"api":"https://crm.example","scopes":["a","b"]}"#, r#"["https://crm.example",["a"]]"#),
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
            (r#""budget":[5]"#, DetailsReason::Malformed),
            (r#""budget":null"#, DetailsReason::Malformed),
            (r#""holder":null"#, DetailsReason::Malformed),
            (r#""purpose":null"#, DetailsReason::Malformed),
            (r#""budget":{"exchanges":1,"exchanges":2}"#, DetailsReason::Malformed),
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
