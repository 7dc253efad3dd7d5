//! A request that nobody made: what `policy explain` and `policy test` ask about.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;
use serde::Deserialize;

use super::cedar::Action;
use super::cedar::truth::Datum;
use super::context::{Attribute, PolicyValue, ScopeContext};
use super::input::PolicyInput;
use super::vocabulary::Domain;
use crate::catalog::{Agent, Api, Catalog};
use crate::diagnostic::nearest;
use crate::oauth::{Audience, ClientId, Intent, Resource, Scopes, Time};
use crate::trust::SET;

/// A request as somebody writes it: JSON, in which everything but the client and the resource may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestText {
    action: Option<String>,
    client: String,
    actor: Option<String>,
    resource: String,
    scope: Option<String>,
    #[serde(default)]
    subject: SubjectText,
    authorization_details: Option<serde_json::Value>,
    #[serde(default)]
    context: BTreeMap<String, serde_json::Value>,
}

/// On whose behalf.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectText {
    rule: Option<String>,
    id: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, AttributeText>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum AttributeText {
    Text(String),
    Set(Vec<String>),
}

/// A request that is assumed, with everything that policy can read of it.
#[derive(Clone, Debug)]
pub struct AssumedRequest {
    pub(super) action: Action,
    pub(super) api: Arc<Api>,
    pub(super) scopes: Scopes,
    client: Arc<Agent>,
    actor: Arc<Agent>,
    now: Time,
    subject: [String; 4],
    attributes: Vec<(String, String)>,
    intent: Option<Intent>,
    /// The values of attributes that the request gives.
    given: BTreeMap<Attribute, Datum>,
}

/// The attributes that a request can give, by the form of their values.
const TEXTS: [Attribute; 8] = [
    Attribute::Instance,
    Attribute::Task,
    Attribute::Purpose,
    Attribute::Acr,
    Attribute::Binding,
    Attribute::Basis,
    Attribute::Trust,
    Attribute::Actor,
];
const SETS: [Attribute; 3] = [Attribute::Chain, Attribute::Touched, Attribute::Amr];
const NUMBERS: [Attribute; 2] = [Attribute::Depth, Attribute::AuthAge];

impl AssumedRequest {
    /// Reads a request that is assumed to come at `now`, where it does not say when.
    ///
    /// # Errors
    /// The first mistake, as a sentence.
    pub fn parse(text: &str, catalog: &Catalog, now: Time) -> Result<Self, String> {
        let written: RequestText = serde_json::from_str(text).map_err(|error| format!("is no request: {error}"))?;
        let action = action(written.action.as_deref())?;
        let client = agent(catalog, "client", &written.client)?;
        let actor = written.actor.map_or_else(|| Ok(Arc::clone(&client)), |id| agent(catalog, "actor", &id))?;
        let api = api(catalog, &written.resource)?;
        let scopes = scopes(&api, written.scope.as_deref())?;
        let (subject, attributes) = subject(written.subject, &client);
        let intent = written.authorization_details.map(|details| Intent::parse(&details.to_string())).transpose();
        let intent = intent.map_err(|reason| reason.to_string())?.flatten();
        let mut request = Self { action, api, scopes, client, actor, now, subject, attributes, intent, given: BTreeMap::new() };
        for (name, value) in written.context {
            request.give(&name, &value)?;
        }
        Ok(request)
    }

    fn give(&mut self, name: &str, value: &serde_json::Value) -> Result<(), String> {
        if name == Attribute::Time.as_str() {
            let read = value.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
            self.now =
                read.map(|time| Time::from_seconds(time.unix_timestamp())).ok_or("context.time must be an instant (RFC 3339)")?;
            return Ok(());
        }
        let can = TEXTS.into_iter().chain(SETS).chain(NUMBERS).chain([Attribute::Approved]);
        let Some(attribute) = can.clone().find(|attribute| attribute.as_str() == name) else {
            let near =
                nearest(name, can.map(Attribute::as_str)).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(format!("context.{name} is nothing that a request gives{near}"));
        };
        let datum = datum(attribute, value).ok_or_else(|| format!("context.{name} must be {}", wanted(attribute)))?;
        if let (Some(domain), Datum::Text(word)) =
            (Domain::at(&format!("context.{name}")).filter(|it| *it != Domain::Rule), &datum)
            && !domain.words().is_empty()
            && !domain.words().contains(&word.as_str())
        {
            return Err(format!("context.{name} must be one of {}", domain.words().join(", ")));
        }
        self.given.insert(attribute, datum);
        Ok(())
    }

    /// The attributes that it does not give, although requests can.
    pub(super) fn not_given(&self) -> impl Iterator<Item = Attribute> {
        TEXTS.into_iter().chain(SETS).chain(NUMBERS).filter(|attribute| !self.given.contains_key(attribute))
    }

    /// The request with another value at the path of an attribute; none where a request cannot have that there.
    pub(super) fn with(&self, path: &str, value: &Datum) -> Option<Self> {
        let mut other = self.clone();
        let (_, name) = path.split_once("context.")?;
        match (name.strip_prefix("subject."), value) {
            (Some("kind"), Datum::Text(kind)) => other.subject = with(other.subject, 3, kind),
            (Some("rule"), Datum::Text(rule)) => other.subject = with(other.subject, 1, rule),
            (Some(tag), Datum::Text(value)) => {
                other.attributes.retain(|(name, _)| name != tag);
                other.attributes.push((tag.to_owned(), value.clone()));
            }
            (Some(tag), Datum::Set(members)) => {
                let members = members.iter().filter_map(Datum::text);
                other.attributes.extend(members.map(|member| (format!("{tag}{SET}"), member.to_owned())));
            }
            // No chain has no hop, and nobody authenticates in the future.
            (None, Datum::Number(number)) if *number < i64::from(name == Attribute::Depth.as_str()) => return None,
            (None, value) => {
                let attribute = TEXTS.into_iter().chain(SETS).chain(NUMBERS).chain([Attribute::Approved]);
                let attribute = attribute.filter(|it| *it != Attribute::Actor).find(|attribute| attribute.as_str() == name)?;
                other.given.insert(attribute, value.clone());
            }
            _ => return None,
        }
        Some(other)
    }

    fn text(&self, attribute: Attribute) -> Option<&str> {
        self.given.get(&attribute).and_then(Datum::text)
    }

    fn set(&self, attribute: Attribute) -> Option<Vec<Cow<'_, str>>> {
        let Datum::Set(members) = self.given.get(&attribute)? else { return None };
        Some(members.iter().filter_map(Datum::text).map(Cow::Borrowed).collect())
    }

    fn number(&self, attribute: Attribute) -> Option<i64> {
        match self.given.get(&attribute)? {
            Datum::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The basis that the request does not name: the first hop of a person, or what the action says.
    fn basis(&self) -> &str {
        let usual = match (self.action, self.rule().is_empty()) {
            (Action::Impersonate, _) => "impersonation",
            (_, true) => "self",
            _ => "delegation",
        };
        self.text(Attribute::Basis).unwrap_or(usual)
    }

    fn rule(&self) -> &str {
        let [_, rule, ..] = &self.subject;
        rule
    }

    /// The rule that vouched first: that of the subject, where the request does not name it.
    fn trust(&self) -> &str {
        self.text(Attribute::Trust).unwrap_or_else(|| self.rule())
    }

    fn chain(&self) -> Vec<Cow<'_, str>> {
        self.set(Attribute::Chain).unwrap_or_else(|| vec![Cow::Borrowed(self.actor.id.as_str())])
    }
}

impl PolicyInput for AssumedRequest {
    fn client(&self) -> &Arc<Agent> {
        &self.client
    }

    fn acting(&self) -> &Arc<Agent> {
        &self.actor
    }

    fn now(&self) -> Time {
        self.now
    }

    fn is_bound(&self) -> bool {
        self.text(Attribute::Binding).is_some_and(|binding| binding != "none")
    }

    fn is_approved(&self) -> bool {
        self.given.get(&Attribute::Approved) == Some(&Datum::Flag(true))
    }

    fn approved(&self) -> Self {
        let mut approved = self.clone();
        approved.given.insert(Attribute::Approved, Datum::Flag(true));
        approved
    }

    fn intent(&self) -> Option<&Intent> {
        self.intent.as_ref()
    }

    fn value<'b>(&'b self, attribute: Attribute, on: ScopeContext<'b>) -> PolicyValue<'b> {
        match attribute {
            Attribute::Subject => PolicyValue::Subject(self.subject_id()),
            Attribute::Client => PolicyValue::Text(self.client.id.as_str()),
            Attribute::Actor => PolicyValue::Text(self.text(attribute).unwrap_or(self.actor.id.as_str())),
            Attribute::Chain => PolicyValue::Set(self.chain()),
            Attribute::Depth => {
                let depth = self.number(attribute).unwrap_or_else(|| i64::try_from(self.chain().len()).unwrap_or(i64::MAX));
                PolicyValue::Number(depth)
            }
            Attribute::Data | Attribute::Destination | Attribute::Effect => on.value(attribute, self.intent.as_ref()),
            Attribute::Intent => PolicyValue::Intent,
            Attribute::Purpose => {
                let stated = || self.intent.as_ref().and_then(Intent::purpose).unwrap_or_default();
                PolicyValue::Text(self.text(attribute).unwrap_or_else(stated))
            }
            Attribute::Touched | Attribute::Amr => PolicyValue::Set(self.set(attribute).unwrap_or_default()),
            Attribute::Time => PolicyValue::Instant(self.now),
            Attribute::AuthAge => PolicyValue::Number(self.number(attribute).unwrap_or(i64::MAX)),
            Attribute::Binding => PolicyValue::Text(self.text(attribute).unwrap_or("none")),
            Attribute::Approved => PolicyValue::Flag(self.is_approved()),
            Attribute::Basis => PolicyValue::Text(self.basis()),
            Attribute::Trust => PolicyValue::Text(self.trust()),
            Attribute::Instance | Attribute::Task | Attribute::Acr => PolicyValue::Text(self.text(attribute).unwrap_or_default()),
        }
    }

    fn subject_id(&self) -> &str {
        let [whole, ..] = &self.subject;
        whole
    }

    fn subject(&self) -> [(&'static str, &str); 3] {
        let [_, rule, id, kind] = &self.subject;
        [("kind", kind), ("rule", rule), ("id", id)]
    }

    fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }
}

fn with(mut subject: [String; 4], at: usize, value: &str) -> [String; 4] {
    if let Some(part) = subject.get_mut(at) {
        value.clone_into(part);
    }
    subject
}

fn action(name: Option<&str>) -> Result<Action, String> {
    let name = name.unwrap_or("exchange");
    let asked = Action::ALL.into_iter().filter(|action| *action != Action::PresentActor);
    let known = || asked.clone().map(Action::name).collect::<Vec<_>>().join(", ");
    asked.clone().find(|action| action.name() == name).ok_or_else(|| format!("action must be one of {}", known()))
}

fn agent(catalog: &Catalog, member: &str, id: &str) -> Result<Arc<Agent>, String> {
    let found = ClientId::parse(id).ok().and_then(|id| catalog.agent(&id)).cloned();
    let near = || nearest(id, catalog.agents().map(|agent| agent.id.as_str()));
    let near = || near().map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    found.ok_or_else(|| format!("{member} must be the id of an agent{}", near()))
}

fn api(catalog: &Catalog, name: &str) -> Result<Arc<Api>, String> {
    let by_id = Resource::parse(name).ok().and_then(|id| catalog.api(&id)).cloned();
    let by_name = || catalog.apis().find(|api| api.names.iter().any(|known: &Audience| known.as_str() == name)).cloned();
    let near = || nearest(name, catalog.apis().map(|api| api.id.as_str()));
    let near = || near().map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    by_id.or_else(by_name).ok_or_else(|| format!("resource must be the id or a name of an API{}", near()))
}

/// The scopes that are asked for; those that the API gives by default where none is named.
fn scopes(api: &Api, asked: Option<&str>) -> Result<Scopes, String> {
    let scopes =
        asked.map_or_else(|| Ok(api.default_scopes.clone()), Scopes::parse).map_err(|reason| format!("scope {reason}"))?;
    let known = || api.scopes.keys().map(|scope| scope.as_str());
    let unknown = scopes.iter().find(|scope| !api.scopes.contains_key(*scope));
    match unknown {
        Some(unknown) => {
            let near = nearest(unknown.as_str(), known()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Err(format!("{} has no scope {unknown}{near}", api.id))
        }
        None if scopes.is_empty() => Err(format!("scope is required: {} gives none by default", api.id)),
        None => Ok(scopes),
    }
}

/// The subject as `sub`, rule, id and kind, and its attributes. Without a rule the client acts for itself.
fn subject(written: SubjectText, client: &Agent) -> ([String; 4], Vec<(String, String)>) {
    let rule = written.rule.unwrap_or_default();
    let id = written.id.unwrap_or_else(|| if rule.is_empty() { client.id.to_string() } else { "somebody".to_owned() });
    let kind = written.kind.unwrap_or_else(|| if rule.is_empty() { "agent" } else { "user" }.to_owned());
    let whole = if rule.is_empty() { id.clone() } else { format!("{rule}:{id}") };
    let pairs = written.attributes.into_iter().flat_map(|(name, value)| match value {
        AttributeText::Text(text) => vec![(name, text)],
        AttributeText::Set(members) => {
            let name = format!("{}{SET}", name.strip_suffix(SET).unwrap_or(&name));
            members.into_iter().map(|member| (name.clone(), member)).collect()
        }
    });
    ([whole, rule, id, kind], pairs.collect())
}

fn datum(attribute: Attribute, value: &serde_json::Value) -> Option<Datum> {
    let text = |value: &serde_json::Value| value.as_str().map(|text| Datum::Text(text.to_owned()));
    match attribute {
        _ if SETS.contains(&attribute) => value.as_array()?.iter().map(text).collect::<Option<_>>().map(Datum::Set),
        _ if NUMBERS.contains(&attribute) => value.as_i64().map(Datum::Number),
        Attribute::Approved => value.as_bool().map(Datum::Flag),
        _ => text(value),
    }
}

fn wanted(attribute: Attribute) -> &'static str {
    match attribute {
        _ if SETS.contains(&attribute) => "a list of texts",
        _ if NUMBERS.contains(&attribute) => "a number",
        Attribute::Approved => "true or false",
        _ => "a text",
    }
}
