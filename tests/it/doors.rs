//! One order for every endpoint: each that authenticates a client, and each that takes an access token of ours, is asked with
//! every kind of credential, and gives one answer per kind. The endpoints are those that the server has routes for.

mod attested;
mod calls;
mod certificates;
mod groups;
mod hidden;

use countersign::http::{ENDPOINTS, Takes};
use countersign::lifecycle::TaskAction;
use serde_json::{Value, json};
use std::time::Duration;

use crate::support::patience::pass;
use crate::support::{Ledger, Party, Reply, Site, claims, exchange_bytes, exchange_over, form};
use crate::tls::client::{Client, held};

pub const CRM: &str = "https://crm.example";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// An endpoint, and everything of a good request to it but the credentials.
#[derive(Clone)]
pub struct Door {
    pub method: &'static str,
    pub path: String,
    pub parameters: Vec<(&'static str, String)>,
}

/// The credentials of a request.
#[derive(Clone, Default)]
pub struct Shown {
    pub headers: Vec<(&'static str, String)>,
    pub parameters: Vec<(&'static str, String)>,
    /// The certificate that the connection proves, by the name of its file.
    pub certificate: Option<&'static str>,
}

/// A kind of credential: the agent whose request it is, the status and error that every endpoint answers, and how it is made for
/// one of them.
struct Kind(&'static str, &'static str, (u16, &'static str), fn(&Site, &Door) -> Shown);

const NOBODY: (u16, &str) = (401, "invalid_client");
const BAD_PROOF: (u16, &str) = (400, "invalid_dpop_proof");
const GOOD: (u16, &str) = (200, "");

const KINDS: [Kind; 24] = [
    Kind("a fresh assertion", "orchestrator", GOOD, |site, _| assertion(&party(site, "orchestrator").assertion())),
    Kind("a fresh assertion with a proof", "orchestrator", GOOD, |site, door| {
        assertion(&party(site, "orchestrator").assertion()).proof(&proof(site, "holder", door))
    }),
    Kind("a used assertion", "orchestrator", NOBODY, |site, _| assertion(&used(site))),
    Kind("a used assertion with a good proof", "orchestrator", NOBODY, |site, door| {
        assertion(&used(site)).proof(&proof(site, "holder", door))
    }),
    Kind("a used assertion with a bad proof", "orchestrator", NOBODY, |site, _| assertion(&used(site)).proof("x.y.z")),
    Kind("a fresh assertion with a used proof", "orchestrator", BAD_PROOF, |site, door| {
        let login = || assertion(&party(site, "orchestrator").assertion());
        let proof = proof(site, "holder", door);
        assert_eq!(ask(site, door, &login().proof(&proof)).status, 200, "{}", door.path);
        login().proof(&proof)
    }),
    Kind("a fresh assertion with a proof for another endpoint", "orchestrator", BAD_PROOF, |site, door| {
        let proof = party(site, "orchestrator").proof_for("holder", (door.method, "/elsewhere"), json!({}));
        assertion(&party(site, "orchestrator").assertion()).proof(&proof)
    }),
    Kind("a fresh assertion with a proof for another method", "orchestrator", BAD_PROOF, |site, door| {
        let proof = party(site, "orchestrator").proof_for("holder", ("PUT", &door.path), json!({}));
        assertion(&party(site, "orchestrator").assertion()).proof(&proof)
    }),
    Kind("a fresh assertion with two proofs", "orchestrator", BAD_PROOF, |site, door| {
        let login = assertion(&party(site, "orchestrator").assertion());
        login.proof(&proof(site, "holder", door)).proof(&proof(site, "holder", door))
    }),
    Kind("a bound attestation with its proof", "researcher", GOOD, |site, door| {
        attestation(site).proof(&proof(site, "holder", door))
    }),
    Kind("a bound attestation without proof", "researcher", NOBODY, |site, _| attestation(site)),
    Kind("a bound attestation with another's proof", "researcher", NOBODY, |site, door| {
        attestation(site).proof(&proof(site, "holder-next", door))
    }),
    Kind("a bound attestation with a used proof", "researcher", BAD_PROOF, |site, door| {
        let proof = proof(site, "holder", door);
        assert_eq!(ask(site, door, &attestation(site).proof(&proof)).status, 200, "{}", door.path);
        attestation(site).proof(&proof)
    }),
    // Whether the proof was used is looked at before anything that it proves.
    Kind("a bound attestation with another's used proof", "researcher", BAD_PROOF, |site, door| {
        let proof = proof(site, "holder-next", door);
        assert_eq!(ask(site, door, &attestation_of(site, "holder-next").proof(&proof)).status, 200, "{}", door.path);
        attestation(site).proof(&proof)
    }),
    Kind("a suspended agent", "orchestrator", NOBODY, |site, _| assertion(&party(site, "suspended").assertion())),
    Kind("a retired agent", "orchestrator", NOBODY, |site, _| assertion(&party(site, "retired").assertion())),
    Kind("a retired agent with a good proof", "orchestrator", NOBODY, |site, door| {
        assertion(&party(site, "retired").assertion()).proof(&proof(site, "holder", door))
    }),
    Kind("signed by another agent", "orchestrator", NOBODY, |site, _| {
        assertion(&party(site, "mallory").assertion_with(json!({ "iss": "orchestrator", "sub": "orchestrator" })))
    }),
    Kind("of a client that nobody knows", "orchestrator", NOBODY, |site, _| {
        assertion(&party(site, "mallory").assertion_with(json!({ "iss": "nobody", "sub": "nobody" })))
    }),
    Kind("malformed", "orchestrator", NOBODY, |_, _| assertion("x.y.z")),
    Kind("none", "orchestrator", NOBODY, |_, _| Shown::default()),
    Kind("a token as bearer", "orchestrator", NOBODY, |site, _| Shown::default().header("Authorization", &bearer(site))),
    Kind("two methods", "orchestrator", (400, "invalid_request"), |site, _| {
        assertion(&party(site, "orchestrator").assertion()).header("Authorization", "Basic bGVnYWN5Ong=")
    }),
    Kind("two Authorization headers", "orchestrator", (400, "invalid_request"), |_, _| {
        Shown::default().header("Authorization", "Basic bGVnYWN5Ong=").header("Authorization", "Basic bGVnYWN5Ong=")
    }),
];

#[test]
fn every_endpoint_of_clients_answers_every_kind_of_credential_alike() {
    let site = Site::new("doors-clients");
    let _server = site.start();
    let mut cells = 0;
    for Kind(name, agent, (status, error), shown) in KINDS.iter().chain(&certificates::KINDS).chain(&attested::KINDS) {
        for door in doors(&site, agent) {
            let reply = ask(&site, &door, &shown(&site, &door));
            let cell = format!("{} {} with {name}: {}", door.method, door.path, reply.text);
            assert_eq!((reply.status, reply.text_of("error").as_str()), (*status, *error), "{cell}");
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{cell}");
            cells += 1;
        }
    }
    assert_eq!(cells, (KINDS.len() + certificates::KINDS.len() + attested::KINDS.len()) * 11);
    let refusals = Ledger::read(&site.fixture.data).refusals();
    assert!(!refusals.is_empty(), "who logged in and showed a bad proof is recorded");
    for refusal in refusals {
        let certain = ["orchestrator", "mtls-dn"].map(Value::from).contains(&refusal["agent"]);
        assert!(certain && refusal["error"] == "invalid_dpop_proof", "{refusal}");
    }
}

/// The endpoints that authenticate clients, with good requests of `agent`: those about tasks are about a new one that it holds.
pub fn doors(site: &Site, agent: &str) -> Vec<Door> {
    let task = open_task(site, agent);
    let mut doors = Vec::new();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.takes == Takes::ClientAuthentication) {
        let path = endpoint.path.replace("{id}", &task);
        let parameters = parameters(site, agent, endpoint.path);
        match endpoint.path.contains("{action}") {
            false => doors.push(Door { method: endpoint.method, path, parameters }),
            true => doors.extend(TaskAction::NAMED.map(|(_, name)| Door {
                method: endpoint.method,
                path: path.replace("{action}", name),
                parameters: parameters.clone(),
            })),
        }
    }
    doors
}

fn parameters(site: &Site, agent: &str, path: &str) -> Vec<(&'static str, String)> {
    let subject = || {
        let kind = "urn:ietf:params:oauth:token-type:id_token".to_owned();
        vec![("subject_token", party(site, agent).id_token(json!({}))), ("subject_token_type", kind)]
    };
    let more = match path {
        "/token" => {
            vec![("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()), ("resource", CRM.to_owned())]
        }
        "/tasks" => {
            let pair = json!({ "api": CRM, "scopes": ["contacts.read"] });
            vec![("authorization_details", json!([{ "type": "task", "authority": [pair], "heartbeat": 3600 }]).to_string())]
        }
        "/introspect" | "/revoke" => return vec![("token", "-".to_owned())],
        "/access/v1/evaluation" | "/access/v1/evaluations" => {
            return vec![("json", evaluation("-", "ann", "contacts.read").to_string())];
        }
        "/tasks/{id}" | "/tasks/{id}/{action}" => return Vec::new(),
        new => panic!("{new} has no expectations here"),
    };
    [subject(), more].concat()
}

/// The question whether `token` of `subject` may be used for `scope` of the CRM.
pub fn evaluation(token: &str, subject: &str, scope: &str) -> Value {
    json!({
        "subject": { "type": "user", "id": subject, "properties": { "token": token } },
        "action": { "name": scope },
        "resource": { "type": "api", "id": CRM },
    })
}

/// A new task of that agent, which proves a key.
pub fn open_task(site: &Site, agent: &str) -> String {
    let door = Door { method: "POST", path: "/tasks".to_owned(), parameters: parameters(site, agent, "/tasks") };
    let login = match agent {
        "researcher" => attestation(site),
        agent if agent.starts_with("mtls-") => certificates::of(agent),
        agent => assertion(&party(site, agent).assertion()),
    };
    let reply = ask(site, &door, &login.proof(&proof(site, "holder", &door)));
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("task")
}

/// Sends a request to `door` with these credentials.
pub fn ask(site: &Site, door: &Door, shown: &Shown) -> Reply {
    let json = door.parameters.iter().find(|(name, _)| *name == "json");
    let parameters: Vec<(&str, &str)> = door
        .parameters
        .iter()
        .chain(&shown.parameters)
        .filter(|(name, _)| *name != "json")
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let body = form(&parameters);
    let headers: String = shown.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (public, method, path) = (site.public, door.method, &door.path);
    let head = format!("HTTP/1.1\r\nhost: {public}\r\nconnection: close\r\n{headers}");
    let request = match (json, method) {
        (Some((_, json)), _) => {
            format!("{method} {path}?{body} {head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{json}", json.len())
        }
        (None, "GET") => format!("GET {path}?{body} {head}\r\n"),
        _ => format!(
            "{method} {path} {head}content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
    };
    match shown.certificate {
        None => exchange_bytes(public, request.as_bytes()).unwrap(),
        Some(name) => {
            let client = Client::new(site).showing(&held(site, name), &held(site, name));
            exchange_over(client.connect(site.mtls).unwrap(), request.as_bytes()).unwrap()
        }
    }
}

impl Shown {
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn proof(self, proof: &str) -> Self {
        self.header("DPoP", proof)
    }

    pub fn parameter(mut self, name: &'static str, value: &str) -> Self {
        self.parameters.push((name, value.to_owned()));
        self
    }

    /// Over a connection that proves that certificate.
    pub fn connected_with(self, certificate: &'static str) -> Self {
        Self { certificate: Some(certificate), ..self }
    }
}

pub fn party(site: &Site, agent: &str) -> Party {
    Party::new(&site.profile(), agent)
}

pub fn assertion(text: &str) -> Shown {
    Shown::default().parameter("client_assertion_type", JWT_BEARER).parameter("client_assertion", text)
}

/// An attestation of the researcher that is bound to the key `holder`.
fn attestation(site: &Site) -> Shown {
    attestation_of(site, "holder")
}

/// An attestation of the researcher that is bound to that test key.
fn attestation_of(site: &Site, key: &str) -> Shown {
    attestation_with(site, json!({ "jkt": party(site, "researcher").thumbprint(key) }))
}

/// An attestation of the researcher with that `cnf`.
fn attestation_with(site: &Site, cnf: Value) -> Shown {
    let text = party(site, "researcher").vouched("spiffe-acme", json!({ "iss": null, "jti": null, "cnf": cnf }));
    Shown::default().parameter("client_assertion_type", JWT_SPIFFE).parameter("client_assertion", &text)
}

fn proof(site: &Site, key: &str, door: &Door) -> String {
    party(site, "orchestrator").proof_for(key, (door.method, &door.path), json!({}))
}

/// An assertion of the orchestrator that was used.
fn used(site: &Site) -> String {
    let text = party(site, "orchestrator").assertion();
    let door = Door { method: "POST", path: "/introspect".to_owned(), parameters: vec![("token", "-".to_owned())] };
    assert_eq!(ask(site, &door, &assertion(&text)).status, 200);
    text
}

fn bearer(site: &Site) -> String {
    format!("Bearer {}", token(site, None))
}

/// A token for the CRM, bound to that test key if any.
pub fn token(site: &Site, key: Option<&str>) -> String {
    let party = party(site, "orchestrator");
    let door = Door { method: "POST", path: "/token".to_owned(), parameters: parameters(site, "orchestrator", "/token") };
    let login = assertion(&party.assertion());
    let shown = key.map_or(login.clone(), |key| login.proof(&party.proof(key)));
    let reply = ask(site, &door, &shown);
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

/// The credentials of an endpoint that takes the access token of a hop: what is shown, with the token that is bound by DPoP, one
/// that is not, and the path of the hop of either; the status, and the error of the challenge, whose scheme is named first.
struct TokenKind(&'static str, (u16, &'static str), fn(&Site, &Hop<'_>) -> Shown);

struct Hop<'a> {
    token: &'a str,
    path: &'a str,
}

fn by(scheme: &str, token: &str) -> Shown {
    Shown::default().header("Authorization", &format!("{scheme} {token}"))
}

fn with_ath(site: &Site, key: &str, (method, path): (&str, &str), token: &str) -> String {
    let ath = countersign::crypto::Digest::of(token.as_bytes()).to_string();
    party(site, "orchestrator").proof_for(key, (method, path), json!({ "ath": ath }))
}

/// Of a hop whose token is bound by DPoP.
const BOUND: [TokenKind; 15] = [
    TokenKind("its proof", (200, ""), |site, hop| {
        by("DPoP", hop.token).proof(&with_ath(site, "holder", ("GET", hop.path), hop.token))
    }),
    TokenKind("as a bearer token", (401, "DPoP invalid_token"), |_, hop| by("Bearer", hop.token)),
    TokenKind("as a bearer token with its proof", (400, "DPoP invalid_request"), |site, hop| {
        by("Bearer", hop.token).proof(&with_ath(site, "holder", ("GET", hop.path), hop.token))
    }),
    TokenKind("as a bearer token with a certificate", (401, "DPoP invalid_token"), |_, hop| {
        by("Bearer", hop.token).connected_with("dn")
    }),
    TokenKind("no proof", (401, "DPoP invalid_dpop_proof"), |_, hop| by("DPoP", hop.token)),
    TokenKind("another's proof", (401, "DPoP invalid_dpop_proof"), |site, hop| {
        by("DPoP", hop.token).proof(&with_ath(site, "holder-next", ("GET", hop.path), hop.token))
    }),
    TokenKind("a proof for no token", (401, "DPoP invalid_dpop_proof"), |site, hop| {
        by("DPoP", hop.token).proof(&party(site, "orchestrator").proof_for("holder", ("GET", hop.path), json!({})))
    }),
    TokenKind("a proof for another token", (401, "DPoP invalid_dpop_proof"), |site, hop| {
        by("DPoP", hop.token).proof(&with_ath(site, "holder", ("GET", hop.path), "another"))
    }),
    TokenKind("a proof for another endpoint", (401, "DPoP invalid_dpop_proof"), |site, hop| {
        by("DPoP", hop.token).proof(&with_ath(site, "holder", ("GET", "/token"), hop.token))
    }),
    TokenKind("a proof for another method", (401, "DPoP invalid_dpop_proof"), |site, hop| {
        by("DPoP", hop.token).proof(&with_ath(site, "holder", ("POST", hop.path), hop.token))
    }),
    TokenKind("two proofs", (401, "DPoP invalid_dpop_proof"), |site, hop| {
        let proof = || with_ath(site, "holder", ("GET", hop.path), hop.token);
        by("DPoP", hop.token).proof(&proof()).proof(&proof())
    }),
    TokenKind("a used proof", (401, "DPoP invalid_dpop_proof"), |site, hop| {
        let shown = by("DPoP", hop.token).proof(&with_ath(site, "holder", ("GET", hop.path), hop.token));
        assert_eq!(look(site, hop.path, &shown).status, 200);
        shown
    }),
    TokenKind("none", (401, "Bearer "), |_, _| Shown::default()),
    TokenKind("a token of another hop", (403, "Bearer insufficient_scope"), |site, _| by("Bearer", &token(site, None))),
    TokenKind("a token of another hop with its proof", (403, "Bearer insufficient_scope"), |site, hop| {
        let other = token(site, Some("holder"));
        by("DPoP", &other).proof(&with_ath(site, "holder", ("GET", hop.path), &other))
    }),
];

/// Of a hop whose token is not bound.
const UNBOUND: [TokenKind; 12] = [
    TokenKind("as a bearer token", (200, ""), |_, hop| by("Bearer", hop.token)),
    TokenKind("with a certificate", (200, ""), |_, hop| by("Bearer", hop.token).connected_with("dn")),
    TokenKind("in another case", (200, ""), |_, hop| by("bearer", hop.token)),
    TokenKind("by the scheme DPoP", (401, "Bearer invalid_token"), |_, hop| by("DPoP", hop.token)),
    TokenKind("by the scheme DPoP with a proof", (401, "Bearer invalid_token"), |site, hop| {
        by("DPoP", hop.token).proof(&with_ath(site, "holder", ("GET", hop.path), hop.token))
    }),
    TokenKind("with a proof", (400, "DPoP invalid_request"), |site, hop| {
        by("Bearer", hop.token).proof(&with_ath(site, "holder", ("GET", hop.path), hop.token))
    }),
    TokenKind("a foreign token", (401, "Bearer invalid_token"), |site, _| {
        by("Bearer", &party(site, "orchestrator").id_token(json!({})))
    }),
    TokenKind("malformed", (401, "Bearer invalid_token"), |_, _| by("Bearer", "x.y.z")),
    TokenKind("two tokens", (400, "Bearer invalid_request"), |_, hop| by("Bearer", &format!("{} x", hop.token))),
    TokenKind("a login of a client", (401, "Bearer "), |_, _| by("Basic", "bGVnYWN5Ong=")),
    // Not the token is at fault, so no challenge asks for another.
    TokenKind("two headers that carry none", (400, ""), |_, hop| {
        by("Bearer", hop.token).header("Content-Type", "text/plain").header("Content-Type", "text/plain")
    }),
    TokenKind("two headers", (400, "Bearer invalid_request"), |_, hop| {
        by("Bearer", hop.token).header("Authorization", &format!("Bearer {}", hop.token))
    }),
];

#[test]
fn every_endpoint_that_takes_our_token_asks_for_the_proof_of_its_key() {
    let site = Site::new("doors-tokens");
    let _server = site.start();
    let doors: Vec<&str> =
        ENDPOINTS.iter().filter(|endpoint| endpoint.takes == Takes::AccessToken).map(|endpoint| endpoint.path).collect();
    assert_eq!(doors, ["/ledger/proof/{jti}"], "a new one has no expectations here");
    let certified = certificates::token(&site);
    let tokens =
        [(token(&site, Some("holder")), &BOUND[..]), (token(&site, None), &UNBOUND[..]), (certified, &certificates::TOKENS[..])];
    for (token, kinds) in &tokens {
        let path = doors[0].replace("{jti}", claims(token)["jti"].as_str().unwrap());
        let hop = Hop { token, path: &path };
        let ready = &kinds[0].2;
        site.wait("the hop is in a checkpoint", || look(&site, &path, &ready(&site, &hop)).status == 200);
        for TokenKind(name, (status, challenge), shown) in *kinds {
            let reply = look(&site, &path, &shown(&site, &hop));
            let told = format!("{name}: {}", reply.text);
            assert_eq!(reply.status, *status, "{told}");
            let (scheme, error) = challenge.split_once(' ').unwrap_or_default();
            let header = reply.header("www-authenticate").unwrap_or_default();
            assert!(header.starts_with(scheme), "{told}");
            assert!(!scheme.is_empty() || header.is_empty(), "{told}");
            assert_eq!(header.contains("error="), !error.is_empty(), "{told}");
            assert!(error.is_empty() || header.contains(&format!("error=\"{error}\"")), "{told}");
            assert!(!reply.text.contains(token.as_str()), "{told}");
            // None is a client's that logged in, so none is recorded.
            let id = reply.text_of("error_id");
            assert_eq!(id.is_empty(), *status == 200, "{told}");
            assert!(*status == 200 || !reply.text_of("error_description").is_empty(), "{told}");
        }
        // Under the same reference in the log, which has the first refusals of every second.
        pass(Duration::from_millis(1100));
        let TokenKind(_, _, shown) = kinds.iter().find(|kind| kind.1.0 != 200).unwrap();
        let id = look(&site, &path, &shown(&site, &hop)).text_of("error_id");
        site.wait("the log has the reference", || site.said(&id) == 1);
    }
    assert_eq!(Ledger::read(&site.fixture.data).refusals(), Vec::<Value>::new());
}

fn look(site: &Site, path: &str, shown: &Shown) -> Reply {
    ask(site, &Door { method: "GET", path: path.to_owned(), parameters: Vec::new() }, shown)
}

/// An answer but for what differs in any two: its time and the reference of an error.
pub fn whole(reply: &Reply) -> (Vec<String>, Value) {
    let head = reply.text.split("\r\n\r\n").next().unwrap_or_default();
    let varies = |line: &&str| !line.starts_with("date:") && !line.starts_with("content-length:");
    let mut body = reply.json();
    if let Some(members) = body.as_object_mut() {
        members.remove("error_id");
    }
    let mut head: Vec<String> = head.lines().filter(varies).map(str::to_owned).collect();
    // The order of headers is nobody's.
    head.sort_unstable_by_key(|line| (!line.starts_with("HTTP/"), line.clone()));
    (head, if body.is_null() { json!(reply.body()) } else { body })
}
