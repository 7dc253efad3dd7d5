//! The ways in which a client or a stranger is hostile: what it sends, again and again. The tests show who gets what meanwhile,
//! the benchmark how long it takes.

use std::cell::{Cell, OnceCell, RefCell};

use serde_json::{Value, json};

use super::{Party, form};

/// A name for the report, and what is sent.
pub struct Way {
    pub name: &'static str,
    pub sends: Sends,
    /// A status that it is answered sooner or later: 429 where it comes to a bound.
    pub gets: u16,
    /// It may be told to come back: what it asks for is not there yet, for nobody.
    pub may_wait: bool,
}

/// Whole requests, all different from one another where that matters.
pub enum Sends {
    /// One after the other on kept connections.
    Asks(fn(&Hostile) -> Vec<u8>),
    /// Each on a connection of its own.
    Connects(fn(&Hostile) -> Vec<u8>),
    /// Each on a connection that is kept then, and idle.
    Idles(fn(&Hostile) -> Vec<u8>),
    /// The beginning of a request, whose rest never comes.
    Begins(fn(&Hostile) -> Vec<u8>),
}

/// A client that is hostile, and a stranger too: its parts that are no client.
pub struct Hostile {
    party: Party,
    /// Tokens that were issued to it.
    tokens: RefCell<Vec<String>>,
    next: Cell<usize>,
    /// The request that it sends again and again.
    once: OnceCell<Vec<u8>>,
}

use Sends::{Asks, Begins, Connects, Idles};

/// All of them.
pub const WAYS: [Way; 24] = [
    // With a login that is good, or was.
    way("rubbish to introspect, by assertions of an hour", 429, Asks(|by| by.asks("/introspect", &[("token", "rubbish")], 3600))),
    way("rubbish to revoke, by assertions of an hour", 429, Asks(|by| by.asks("/revoke", &[("token", "rubbish")], 3600))),
    way("its own tokens revoked", 429, Asks(Hostile::revokes)),
    way("tasks opened", 429, Asks(Hostile::opens)),
    way("tokens for itself", 429, Asks(|by| by.exchanges(&json!({}), "https://crm.example"))),
    way("tokens with a place in a status list", 429, Asks(|by| by.exchanges(&json!({}), "https://reports.example"))),
    way("a target that is none, recorded each time", 400, Asks(|by| by.exchanges(&json!({}), "https://nowhere.example"))),
    way("a target that policy refuses, recorded each time", 400, Asks(|by| by.exchanges(&json!({}), "https://vault.example"))),
    way("subject tokens of 12 KiB", 429, Asks(|by| by.exchanges(&json!({ "x": "x".repeat(9_000) }), "https://crm.example"))),
    way("one assertion, again and again", 429, Asks(Hostile::replays)),
    waiting("tokens of an issuer whose keys cannot be had", 503, Asks(Hostile::unreachable)),
    waiting("proofs of its own records", 200, Asks(Hostile::proofs)),
    // Of a stranger, or in another's name.
    way("assertions in another's name, of another key", 429, Asks(Hostile::forges)),
    way(
        "a wrong secret in another's name",
        429,
        Asks(|_| post("/introspect", "token=x&client_id=legacy-post&client_secret=wrong")),
    ),
    way("names that nobody has", 429, Asks(|by| post("/token", &format!("client_id=nobody-{}&client_secret=x", by.count())))),
    way("bodies of 64 KiB", 429, Asks(|_| post("/token", &format!("client_id=x&client_secret={}", "x".repeat(65_000))))),
    way("64 parameters", 429, Asks(|_| post("/token", &"a=b&".repeat(64)))),
    way("paths that nothing is at", 404, Asks(|by| get(&format!("/{}", by.count())))),
    way("keys and metadata", 200, Asks(|_| get("/.well-known/oauth-authorization-server"))),
    way("a head of 16 KiB", 400, Connects(|_| format!("GET /jwks HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(16_000)).into_bytes())),
    way("no HTTP at all", 400, Connects(|by| format!("{}\r\n\r\n", by.count()).into_bytes())),
    way("a connection for each request", 200, Connects(|_| get("/jwks"))),
    way("idle connections", 200, Idles(|_| get("/jwks"))),
    way("requests that never end", 1, Begins(|_| post("/token", "grant_type=").into_iter().rev().skip(3).rev().collect())),
];

const fn way(name: &'static str, gets: u16, sends: Sends) -> Way {
    Way { name, sends, gets, may_wait: false }
}

const fn waiting(name: &'static str, gets: u16, sends: Sends) -> Way {
    Way { name, sends, gets, may_wait: true }
}

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Hostile {
    /// The agent that `party` is of.
    pub fn new(party: Party) -> Self {
        Self { party, tokens: RefCell::default(), next: Cell::default(), once: OnceCell::new() }
    }

    /// Tokens that were issued to it, for the ways that need some.
    pub fn holds(&self, tokens: Vec<String>) {
        *self.tokens.borrow_mut() = tokens;
    }

    /// An exchange of a person's ID token with `claims` for a token at `resource`.
    pub fn exchanges(&self, claims: &Value, resource: &str) -> Vec<u8> {
        let (assertion, subject) = (self.party.assertion(), self.party.id_token(claims.clone()));
        post("/token", &form(&Party::request(&assertion, &subject, &[("resource", resource)])))
    }

    /// A request for `path` with these parameters, and a login by an assertion that lives so many seconds.
    pub fn asks(&self, path: &str, parameters: &[(&str, &str)], seconds: i64) -> Vec<u8> {
        let assertion = self.party.assertion_with(json!({ "exp": self.party.now() + seconds }));
        let login = [("client_assertion_type", BEARER), ("client_assertion", assertion.as_str())];
        post(path, &form(&[&login, parameters].concat()))
    }

    fn count(&self) -> usize {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    fn token(&self) -> String {
        let tokens = self.tokens.borrow();
        tokens[self.count() % tokens.len()].clone()
    }

    fn revokes(&self) -> Vec<u8> {
        self.asks("/revoke", &[("token", &self.token())], 60)
    }

    fn proofs(&self) -> Vec<u8> {
        let token = self.token();
        let jti = super::claims(&token)["jti"].as_str().unwrap().to_owned();
        format!("GET /ledger/proof/{jti} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
    }

    /// A task, opened for a person.
    pub fn opens(&self) -> Vec<u8> {
        let details = r#"[{"type":"task","authority":[{"api":"https://crm.example","scopes":["contacts.read"]}]}]"#;
        let subject = self.party.id_token(json!({}));
        let kind = "urn:ietf:params:oauth:token-type:id_token";
        let parameters = [("subject_token", subject.as_str()), ("subject_token_type", kind), ("authorization_details", details)];
        self.asks("/tasks", &parameters, 60)
    }

    fn replays(&self) -> Vec<u8> {
        self.once.get_or_init(|| self.asks("/introspect", &[("token", "x")], 60)).clone()
    }

    fn unreachable(&self) -> Vec<u8> {
        let assertion = self.party.assertion();
        let token = self.party.vouched("idp-live", json!({ "jti": self.count().to_string() }));
        post("/token", &form(&Party::request(&assertion, &token, &[("resource", "https://crm.example")])))
    }

    fn forges(&self) -> Vec<u8> {
        let assertion = self.party.assertion_with(json!({ "iss": "orchestrator", "sub": "orchestrator" }));
        let login = [("client_assertion_type", BEARER), ("client_assertion", assertion.as_str()), ("token", "x")];
        post("/introspect", &form(&login))
    }
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let (kind, length) = ("application/x-www-form-urlencoded", body.len());
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    [head, body.to_owned()].concat().into_bytes()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes()
}
