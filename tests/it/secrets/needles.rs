//! A word of its own in every place of a request where a caller can put one: no answer tells it, unless it is a scope, and nobody
//! writes it down.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::{Party, Reply, Site, exchange_bytes, form};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const PATHS: [&str; 6] = ["/token", "/tasks", "/introspect", "/revoke", "/tasks/unknown/heartbeat", "/tasks/unknown/complete"];

/// Parameters besides those that `request.rs` lists.
const MORE: [&str; 6] = ["resource", "audience", "token", "token_type_hint", "assertion", "anything_else"];

const HEADERS: [&str; 16] = [
    "authorization",
    "dpop",
    "client-cert",
    "client-cert-chain",
    "x-ssl-client-cert",
    "forwarded",
    "x-forwarded-for",
    "user-agent",
    "cookie",
    "origin",
    "referer",
    "accept",
    "accept-language",
    "traceparent",
    "x-request-id",
    "x-anything",
];

/// How every needle begins, and how the Base64 of one does that stands at its beginning.
pub const COMMON: [&str; 2] = ["needle-7d1f9c", "bmVlZGxlLTdkMWY5"];

/// Places in which a word changes nothing: the request of the known client is in order, and done.
const HARMLESS: [&str; 2] = ["anything_else", "user-agent"];

/// Paths and parameters with whose needles the known client is refused once it has proved itself, which the ledger holds.
pub const RECORDED: [(&str, &str); 6] = [
    ("/token", "scope"),
    ("/token", "resource"),
    ("/token", "audience"),
    ("/token", "subject_token"),
    ("/tasks", "authorization_details"),
    ("/tasks", "subject_token"),
];

/// Words that are unlike any other.
struct Needles<'a> {
    site: &'a Site,
    made: Vec<String>,
}

/// Sends requests with a needle in every place, by a client that proves itself and by a stranger. The `error_id` of every
/// refusal of the known client, by path and parameter.
pub fn in_every_place(site: &Site) -> HashMap<(&'static str, String), Vec<String>> {
    let (mut needles, mut refused) = (Needles { site, made: Vec::new() }, HashMap::<_, Vec<_>>::new());
    let listed = parameters();
    assert!(listed.len() >= 20 && listed.iter().any(|name| name == "scope"), "{listed:?}");
    for path in PATHS {
        for name in listed.iter().map(String::as_str).chain(MORE) {
            for (known, values) in [(true, needles.values(name)), (false, needles.values(name))] {
                for value in values {
                    let reply = needles.send(path, known, Some((name, &value)), None);
                    if known && reply.status != 200 {
                        refused.entry((path, name.to_owned())).or_default().push(reply.text_of("error_id"));
                    }
                }
            }
        }
        for header in HEADERS {
            for known in [true, false] {
                let needle = needles.next();
                let basic = format!("Basic {}", STANDARD.encode(format!("{needle}:{needle}")));
                needles.made.push(STANDARD.encode(format!("{needle}:")).trim_end_matches('=').to_owned());
                let values = [needle.clone(), format!("Bearer {needle}"), format!("DPoP {needle}"), basic];
                let values = if header == "authorization" { &values[..] } else { &values[..1] };
                for value in values {
                    needles.send(path, known, None, Some((header, value)));
                }
            }
        }
    }
    needles.addresses();
    assert!(needles.made.iter().all(|needle| COMMON.iter().any(|common| needle.starts_with(common))));
    refused
}

/// The parameters that the server knows by name.
fn parameters() -> Vec<String> {
    let source = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/request.rs")).unwrap();
    let listed =
        source.split("const ONCE: [&str;").nth(1).and_then(|rest| rest.split("];").next()).expect("the list in request.rs");
    listed.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

impl Needles<'_> {
    fn next(&mut self) -> String {
        let needle = format!("needle-7d1f9c-{:05x}", self.made.len());
        self.made.push(needle.clone());
        needle
    }

    /// What a parameter may hold with a needle in it.
    fn values(&mut self, name: &str) -> Vec<String> {
        let mut values = vec![self.next()];
        match name {
            "scope" => values.push(format!("contacts.read {}", self.next())),
            "resource" => values.push(format!("https://{}.example/{}", self.next(), self.next())),
            "token" | "subject_token" | "actor_token" | "client_assertion" => {
                values.push(format!("eyJ9.{}.{}", self.next(), self.next()))
            }
            "authorization_details" => values.extend(self.details()),
            _ => {}
        }
        values
    }

    /// Details of a task with a needle in one member each; some of them are well-formed and open one.
    fn details(&mut self) -> Vec<String> {
        let members = ["type", "purpose", "data_classes", "holder", "anything", "api", "scope"];
        let details = members.map(|member| {
            let needle = self.next();
            let mut task = json!({
                "type": "task",
                "authority": [{ "api": "https://crm.example", "scopes": ["contacts.read"] }],
                "purpose": self.next(),
            });
            match member {
                "data_classes" => task[member] = json!([needle]),
                "api" => task["authority"][0]["api"] = json!(format!("https://{needle}.example")),
                "scope" => task["authority"][0]["scopes"] = json!(["contacts.read", needle]),
                _ => task[member] = json!(needle),
            }
            json!([task]).to_string()
        });
        details.into()
    }

    /// Sends one request that is in order but for the needle.
    fn send(&self, path: &str, known: bool, parameter: Option<(&str, &str)>, header: Option<(&str, &str)>) -> Reply {
        let party = Party::new(&self.site.profile(), "orchestrator");
        let (assertion, subject) = (party.assertion(), party.id_token(json!({})));
        let authority = json!([{ "type": "task", "authority": [{ "api": "https://crm.example", "scopes": ["contacts.read"] }] }]);
        let authority = authority.to_string();
        let mut parameters = match path {
            "/token" => Party::request(&assertion, &subject, &[("resource", "https://crm.example")]),
            "/tasks" => {
                let kind = ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token");
                vec![("subject_token", subject.as_str()), kind, ("authorization_details", &authority)]
            }
            _ => vec![("token", subject.as_str())],
        };
        parameters.retain(|(name, _)| !name.starts_with("client_"));
        if known {
            parameters.extend([("client_assertion_type", JWT_BEARER), ("client_assertion", assertion.as_str())]);
        }
        if let Some((name, value)) = parameter {
            parameters.retain(|(other, _)| *other != name);
            parameters.push((name, value));
        }
        let reply = self.ask(&format!("POST {path}"), header, &form(&parameters));
        let place = parameter.or(header).map_or("", |(name, _)| name);
        let in_order = known && HARMLESS.contains(&place) && ["/token", "/tasks"].contains(&path);
        assert!(!in_order || reply.status == 200, "{path} with a word in {place}: {}", reply.text);
        reply
    }

    /// Needles in addresses and queries.
    fn addresses(&mut self) {
        for path in
            ["/{}", "/tasks/{}", "/status/{}", "/ledger/proof/{}", "/ledger/tile/{}", "/.well-known/{}", "/transactions/{}"]
        {
            let path = path.replace("{}", &self.next());
            self.ask(&format!("GET {path}"), None, "");
            let query = self.next();
            self.ask(&format!("GET {path}?client_assertion={query}&client_id={query}"), None, "");
        }
    }

    fn ask(&self, line: &str, header: Option<(&str, &str)>, body: &str) -> Reply {
        let (address, length) = (self.site.public, body.len());
        let header = header.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{header}\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n"
        );
        let reply: Reply = exchange_bytes(address, format!("{head}{body}").as_bytes()).unwrap();
        let sent = format!("{header}{body}");
        // What a task is for is told to whoever opened it.
        let own = line == "POST /tasks" && reply.status == 200;
        // Scopes that the target does not know are told to the client that asked for them.
        let of_scopes = ["invalid_scope", "invalid_authorization_details"].contains(&reply.text_of("error").as_str());
        let own = own || of_scopes && sent.contains("scope") && reply.text.contains(" does not know needle-");
        let told = self.made.iter().find(|needle| sent.contains(needle.as_str()) && reply.text.contains(needle.as_str()));
        assert!(own || told.is_none(), "{line} {sent}\n{}", reply.text);
        reply
    }
}
