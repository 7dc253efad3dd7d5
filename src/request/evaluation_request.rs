//! A request for decisions on tokens in use (OpenID AuthZEN Authorization API 1.0 §6 and §7).

use serde::Deserialize;

use super::RequestReason;
use crate::json;

/// A well-formed request for one or more decisions. Made only by [`EvaluationRequest::parse`].
#[derive(Debug)]
pub struct EvaluationRequest {
    /// The questions, in their order.
    pub asked: Vec<AskedEvaluation>,
    /// The verdict behind which no question is answered any more (§7.1.2.1); none where all are.
    pub stops_at: Option<bool>,
    /// True where the answer is a list.
    pub listed: bool,
}

/// One question: may this token be used for this scope of that API now?
#[derive(Debug)]
pub struct AskedEvaluation {
    /// The subject of the token, as its issuer or this server names it: `subject.id`.
    pub subject: String,
    /// The access token: `subject.properties.token`.
    pub token: String,
    /// `action.name`: a scope.
    pub scope: String,
    /// `resource.id`: the id or a name of an API.
    pub api: String,
    /// `context.data`: classes of data that the call touches beside those of the scope.
    pub data: Vec<String>,
}

/// As many questions stand in one request.
const ASKED_MAX: usize = 32;

/// Members that are not known are passed over, as the specification has it (§10.1.1).
#[derive(Deserialize)]
struct BodyText {
    subject: Option<AskedSubjectText>,
    action: Option<ActionText>,
    resource: Option<ResourceText>,
    context: Option<ContextText>,
    #[serde(default)]
    evaluations: Vec<ItemText>,
    #[serde(default)]
    options: OptionsText,
}

#[derive(Default, Deserialize)]
struct ItemText {
    subject: Option<AskedSubjectText>,
    action: Option<ActionText>,
    resource: Option<ResourceText>,
    context: Option<ContextText>,
}

#[derive(Deserialize)]
struct AskedSubjectText {
    r#type: Option<String>,
    id: Option<String>,
    #[serde(default)]
    properties: PropertiesText,
}

#[derive(Default, Deserialize)]
struct PropertiesText {
    token: Option<String>,
}

#[derive(Deserialize)]
struct ActionText {
    name: Option<String>,
}

#[derive(Deserialize)]
struct ResourceText {
    r#type: Option<String>,
    id: Option<String>,
}

#[derive(Deserialize)]
struct ContextText {
    #[serde(default)]
    data: Vec<String>,
}

#[derive(Default, Deserialize)]
struct OptionsText {
    evaluations_semantic: Option<String>,
}

impl EvaluationRequest {
    /// Reads the body of a request; where it may hold many questions (`listed`), `evaluations` has those, and the members
    /// beside it stand for what each of them leaves out.
    ///
    /// # Errors
    /// `Json` for a text that is none of that form, `Missing` and `Value` for a member of it, `TooMany`.
    pub fn parse(text: &str, listed: bool) -> Result<Self, RequestReason> {
        let body: BodyText = json::read(text).map_err(|_| RequestReason::Json)?;
        let listed = listed && !body.evaluations.is_empty();
        let stops_at = body.options.stops_at()?.filter(|_| listed);
        let own = [ItemText::default()];
        let items = if listed { &body.evaluations[..] } else { &own[..] };
        if items.len() > ASKED_MAX {
            return Err(RequestReason::Value("evaluations", "a list of 32 at most"));
        }
        let asked = items.iter().map(|item| asked(item, &body)).collect::<Result<_, _>>()?;
        Ok(Self { asked, stops_at, listed })
    }
}

impl OptionsText {
    fn stops_at(&self) -> Result<Option<bool>, RequestReason> {
        match self.evaluations_semantic.as_deref() {
            None | Some("execute_all") => Ok(None),
            Some("deny_on_first_deny") => Ok(Some(false)),
            Some("permit_on_first_permit") => Ok(Some(true)),
            Some(_) => Err(RequestReason::Value(
                "options.evaluations_semantic",
                "execute_all, deny_on_first_deny or permit_on_first_permit",
            )),
        }
    }
}

fn asked(item: &ItemText, body: &BodyText) -> Result<AskedEvaluation, RequestReason> {
    let subject = item.subject.as_ref().or(body.subject.as_ref()).ok_or(RequestReason::Missing("subject"))?;
    let action = item.action.as_ref().or(body.action.as_ref()).ok_or(RequestReason::Missing("action"))?;
    let resource = item.resource.as_ref().or(body.resource.as_ref()).ok_or(RequestReason::Missing("resource"))?;
    let context = item.context.as_ref().or(body.context.as_ref());
    given(&subject.r#type, "subject.type")?;
    if given(&resource.r#type, "resource.type")? != "api" {
        return Err(RequestReason::Value("resource.type", "api, with the id of an API as resource.id"));
    }
    Ok(AskedEvaluation {
        subject: given(&subject.id, "subject.id")?.to_owned(),
        token: given(&subject.properties.token, "subject.properties.token")?.to_owned(),
        scope: given(&action.name, "action.name")?.to_owned(),
        api: given(&resource.id, "resource.id")?.to_owned(),
        data: context.map(|context| context.data.clone()).unwrap_or_default(),
    })
}

fn given<'a>(member: &'a Option<String>, name: &'static str) -> Result<&'a str, RequestReason> {
    member.as_deref().filter(|text| !text.is_empty()).ok_or(RequestReason::Missing(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;
    use serde_json::{Value, json};

    fn whole() -> Value {
        json!({
            "subject": { "type": "user", "id": "ann", "properties": { "token": "a.b.c", "more": [1] } },
            "action": { "name": "contacts.read", "properties": { "method": "GET" } },
            "resource": { "type": "api", "id": "crm" },
            "context": { "data": ["pii"], "time": "2026" },
            "unknown": 7,
        })
    }

    fn parsed(body: &Value, listed: bool) -> Result<EvaluationRequest, RequestReason> {
        EvaluationRequest::parse(&body.to_string(), listed)
    }

    /// §10.1.1: a required attribute that is omitted is a bad request; unknown fields are ignored.
    #[test]
    fn every_required_member_is_asked_for_by_name() {
        let request = parsed(&whole(), false).unwrap();
        let [asked] = &request.asked[..] else { panic!("{request:?}") };
        assert_eq!((asked.subject.as_str(), asked.token.as_str(), asked.api.as_str()), ("ann", "a.b.c", "crm"));
        assert_eq!((asked.scope.as_str(), &asked.data[..], request.listed), ("contacts.read", &["pii".to_owned()][..], false));
        for path in [
            "/subject",
            "/subject/type",
            "/subject/id",
            "/subject/properties/token",
            "/action",
            "/action/name",
            "/resource",
            "/resource/type",
            "/resource/id",
        ] {
            let (parent, name) = path.rsplit_once('/').unwrap();
            let mut body = whole();
            body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
            let missing = path.trim_start_matches('/').replace('/', ".");
            assert!(matches!(parsed(&body, false), Err(RequestReason::Missing(told)) if told == missing), "{path}");
        }
        for bad in ["", "[]", "{\"subject\":1}", "{\"subject\":{},\"subject\":{}}", "null"] {
            assert!(EvaluationRequest::parse(bad, false).is_err(), "{bad}");
        }
    }

    /// §7.1.1: the members beside the list are the defaults of its items, and an item's own take their place whole.
    #[test]
    fn a_list_takes_what_it_leaves_out_from_beside_it() {
        let mut body = whole();
        body["evaluations"] = json!([{ "action": { "name": "contacts.delete" } }, { "context": {} }]);
        let request = parsed(&body, true).unwrap();
        let told: Vec<_> = request.asked.iter().map(|asked| (asked.scope.as_str(), asked.data.len())).collect();
        assert_eq!((told, request.stops_at), (vec![("contacts.delete", 1), ("contacts.read", 0)], None));
        assert_eq!(parsed(&body, false).unwrap().asked.len(), 1, "at the other endpoint it is a member that is not known");
        body["evaluations"] = json!([]);
        assert!(!parsed(&body, true).unwrap().listed, "an empty list is no list");
        body["evaluations"] = vec![json!({}); ASKED_MAX + 1].into();
        assert!(parsed(&body, true).is_err());
        body["evaluations"] = json!([{}]);
        for (semantic, stops_at) in
            [("execute_all", None), ("deny_on_first_deny", Some(false)), ("permit_on_first_permit", Some(true))]
        {
            body["options"] = json!({ "evaluations_semantic": semantic });
            assert_eq!(parsed(&body, true).unwrap().stops_at, stops_at);
        }
        body["options"] = json!({ "evaluations_semantic": "other" });
        assert!(parsed(&body, true).is_err());
    }
}
