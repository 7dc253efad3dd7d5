//! Who takes part: one identity provider, three agents that call each other's APIs, ten policies; and the requests they send.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use countersign::jose::{Algorithm, SigningKey, generate_key};
use serde_json::json;

/// The kinds of exchange that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A user's fresh ID token from a foreign issuer.
    FirstHop,
    /// A fresh token of our own that has two hops behind it.
    ThirdHop,
    /// One ID token again and again: its signature is remembered, nothing else is.
    Repeated,
    /// A first hop whose token is bound to a key by a DPoP proof.
    Bound,
    /// A first hop by the grant type jwt-bearer: the signatures of `FirstHop`.
    Asserted,
    /// A client for itself, by its key: the signatures of `Repeated`.
    Itself,
    /// A first hop to another authorization server: the signatures of `FirstHop`.
    HandedOver,
}

/// Ten policies with heads as a company writes them.
pub const POLICIES: &str = include_str!("policies.cedar");

/// Ten policies that could apply to the first hop, by their heads.
pub const APPLYING: &str = include_str!("applying.cedar");

/// The policies: `POLICIES`, or as many as `EXCHANGE_BENCH_POLICIES` says, of which `APPLYING` could apply to the first hop and
/// the others, by their heads, to nothing that is asked.
fn policies() -> Vec<String> {
    let Ok(count) = std::env::var("EXCHANGE_BENCH_POLICIES") else { return vec![POLICIES.to_owned()] };
    let others: Vec<String> = (10..count.parse::<usize>().unwrap())
        .map(|number| {
            format!(
                "@id(\"other-{number}\") @allow_unknown(\"agents of a bench\")\n\
             permit (principal == Agent::\"other-{number}\", action == Action::\"exchange\", \
             resource in Api::\"https://crm.example\") when {{ context.depth <= 2 }};\n"
            )
        })
        .collect();
    // No file of a configuration is longer than 1 MiB.
    std::iter::once(APPLYING.to_owned()).chain(others.chunks(1_000).map(<[String]>::concat)).collect()
}

const USERS: u64 = 1_000;
const IDP: &str = "https://login.acme.example";
const FORM: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
    &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

/// The parties' keys.
pub struct Scene {
    issuer: String,
    idp: SigningKey,
    agents: [SigningKey; 3],
    holder: SigningKey,
    serial: AtomicU64,
}

/// One hop: who asks for what.
struct Hop {
    agent: &'static str,
    api: &'static str,
    scope: &'static str,
    subject_token_type: &'static str,
}

const HOPS: [Hop; 3] = [
    Hop { agent: "orchestrator", api: "https://research.example", scope: "customers.lookup", subject_token_type: "id_token" },
    Hop { agent: "researcher", api: "https://crm.example", scope: "contacts.read", subject_token_type: "access_token" },
    Hop { agent: "crm-gateway", api: "https://billing.example", scope: "invoices.read", subject_token_type: "access_token" },
];

impl Case {
    pub const ALL: [Self; 7] =
        [Self::FirstHop, Self::ThirdHop, Self::Repeated, Self::Bound, Self::Asserted, Self::Itself, Self::HandedOver];

    pub fn name(self) -> &'static str {
        match self {
            Self::FirstHop => "first_hop",
            Self::ThirdHop => "third_hop",
            Self::Repeated => "repeated_subject",
            Self::Bound => "dpop_first_hop",
            Self::Asserted => "jwt_bearer",
            Self::Itself => "client_credentials",
            Self::HandedOver => "id_jag",
        }
    }

    /// How many ES256 signatures must be verified: the assertion's, the subject token's unless it was before, and the proof's.
    pub fn verifications(self) -> u32 {
        match self {
            Self::Repeated | Self::Itself => 1,
            Self::FirstHop | Self::ThirdHop | Self::Asserted | Self::HandedOver => 2,
            Self::Bound => 3,
        }
    }
}

impl Scene {
    /// Makes keys and writes the configuration of a server that will listen on `port` below `folder`.
    pub fn new(folder: &Path, port: u16) -> Self {
        let key = || SigningKey::from_pem(&generate_key(Algorithm::ES256).unwrap(), Algorithm::ES256).unwrap();
        let issuer = format!("http://127.0.0.1:{port}");
        let scene = Self { issuer, idp: key(), agents: [key(), key(), key()], holder: key(), serial: AtomicU64::new(0) };
        scene.write(&folder.join("conf"));
        scene
    }

    pub fn settings(folder: &Path) -> PathBuf {
        folder.join("conf/countersign.toml")
    }

    fn write(&self, conf: &Path) {
        for part in ["trust", "agents", "apis", "policies"] {
            fs::create_dir_all(conf.join(part)).unwrap();
        }
        let put = |name: &str, text: String| fs::write(conf.join(name), text).unwrap();
        let issuer = &self.issuer;
        let public = issuer.trim_start_matches("http://");
        put("countersign.toml", format!("issuer = \"{issuer}\"\n[listen]\npublic = \"{public}\"\nops = \"127.0.0.1:0\"\n"));
        for (number, text) in policies().into_iter().enumerate() {
            put(&format!("policies/part-{number}.cedar"), text);
        }
        put("policies/partner.cedar", PARTNER_POLICY.to_owned());
        put("idp.jwks.json", jwks(&self.idp));
        put("trust/idp.toml", TRUST.to_owned());
        for (hop, key) in HOPS.iter().zip(&self.agents) {
            let (agent, team) = (hop.agent, if hop.agent == "crm-gateway" { "platform" } else { "research" });
            let foreign = "[[foreign_clients]]\ntrust = \"idp\"\nclient = \"orchestrator-at-idp\"\n";
            let foreign = if hop.agent == "orchestrator" { format!("{GRANT_TYPES}{foreign}") } else { String::new() };
            put(&format!("{agent}.jwks.json"), jwks(key));
            put(
                &format!("agents/{agent}.toml"),
                format!(
                    "id = \"{agent}\"\nowner = \"dana@acme.example\"\nteam = \"{team}\"\nkind = \"ai_agent\"\n{foreign}\
                     [[login]]\nmethod = \"private_key_jwt\"\njwks_file = \"../{agent}.jwks.json\"\n"
                ),
            );
        }
        // Those that policies name and nobody asks as.
        for (agent, team) in [("nightly", "platform"), ("desk", "support")] {
            let text = format!("id = \"{agent}\"\nowner = \"dana@acme.example\"\nteam = \"{team}\"\nkind = \"service\"\n");
            put(&format!("agents/{agent}.toml"), text);
        }
        for (name, text) in APIS {
            put(name, text.to_owned());
        }
    }

    /// A fresh ID token of some user, as identity providers write them.
    pub fn id_token(&self) -> String {
        let (now, serial) = (now(), self.serial.fetch_add(1, Ordering::Relaxed));
        let user = format!("00u1a2b3c4d5{:04}", serial % USERS);
        let claims = json!({
            "iss": IDP, "sub": user, "aud": "orchestrator-at-idp", "azp": "orchestrator-at-idp", "iat": now, "exp": now + 3600,
            "auth_time": now - 60, "nonce": format!("{serial:032x}"), "acr": "urn:okta:loa:2fa:any", "amr": ["mfa", "pwd", "otp"],
            "email": format!("{user}@acme.example"), "email_verified": true, "name": "Alice Example", "department": "sales",
            "at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng", "sid": "idx4mOtRk2mQYGq0K7c8tXw9A",
        });
        self.idp.sign("JWT", claims.to_string().as_bytes()).unwrap()
    }

    /// The whole HTTP request by which the agent of hop `hop` (from 0) exchanges `subject`, with a fresh assertion.
    pub fn request(&self, hop: usize, subject: &str) -> Vec<u8> {
        self.post(&self.form(hop, subject))
    }

    /// The whole HTTP request by which the agent of hop `hop` sends `subject` as an assertion, with a fresh one of its own.
    pub fn asserted_request(&self, hop: usize, subject: &str) -> Vec<u8> {
        let exchange = format!("&subject_token={subject}&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token");
        let form = self.form(hop, subject).replacen(&exchange, &format!("&assertion={subject}"), 1);
        self.post(&form.replacen("grant-type%3Atoken-exchange", "grant-type%3Ajwt-bearer", 1))
    }

    /// The request of the orchestrator for itself.
    pub fn own_request(&self) -> Vec<u8> {
        let (login, assertion) = (FORM.split_once('&').unwrap().1, self.assertion(0));
        self.post(&format!(
            "grant_type=client_credentials&{login}&client_assertion={assertion}&resource=https%3A%2F%2Fcrm.example\
             &scope=contacts.read"
        ))
    }

    /// The request of the orchestrator for the authorization server of a partner.
    pub fn hand_over_request(&self, subject: &str) -> Vec<u8> {
        let target = "&resource=https%3A%2F%2Fresearch.example&scope=customers.lookup";
        let partner = "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid-jag\
            &audience=https%3A%2F%2Fas.partner.example&scope=tickets.read";
        self.post(&self.form(0, subject).replacen(target, partner, 1))
    }

    fn post(&self, body: &str) -> Vec<u8> {
        let host = self.issuer.trim_start_matches("http://");
        let head = format!(
            "POST /token HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [&head, body].concat().into_bytes()
    }

    /// As `request`, with a fresh DPoP proof.
    pub fn bound_request(&self, hop: usize, subject: &str) -> Vec<u8> {
        let (now, serial) = (now(), self.serial.fetch_add(1, Ordering::Relaxed));
        let htu = format!("{}/token", self.issuer);
        let claims = json!({"jti": format!("{now:016x}-{serial:016x}"), "htm": "POST", "htu": htu, "iat": now});
        let proof = self.holder.sign_with_key("dpop+jwt", claims.to_string().as_bytes()).unwrap();
        let request = String::from_utf8(self.request(hop, subject)).unwrap();
        request.replacen("Accept:", &format!("DPoP: {proof}\r\nAccept:"), 1).into_bytes()
    }

    fn form(&self, hop: usize, subject: &str) -> String {
        let assertion = self.assertion(hop);
        let Hop { api, scope, subject_token_type, .. } = &HOPS[hop];
        let api = api.replace(':', "%3A").replace('/', "%2F");
        format!(
            "{FORM}&client_assertion={assertion}&subject_token={subject}\
             &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A{subject_token_type}&resource={api}&scope={scope}"
        )
    }

    pub fn assertion(&self, hop: usize) -> String {
        let (agent, serial, now) = (HOPS[hop].agent, self.serial.fetch_add(1, Ordering::Relaxed), now());
        let claims = json!({
            "iss": agent, "sub": agent, "aud": self.issuer, "jti": format!("{now:016x}-{serial:016x}"),
            "iat": now, "exp": now + 60,
        });
        self.agents[hop].sign("client-authentication+jwt", claims.to_string().as_bytes()).unwrap()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn jwks(key: &SigningKey) -> String {
    format!("{{\"keys\":[{}]}}", key.public_jwk())
}

const TRUST: &str = r#"name = "idp"
kind = "oidc"
issuer = "https://login.acme.example"
audiences = ["orchestrator-at-idp"]
algorithms = ["ES256"]
lifetime_max = "2h"
subject = { kind = "user", id = "{sub}", attributes = { department = "department" } }
require = { email_verified = true }
[keys]
jwks_file = "../idp.jwks.json"
"#;

const GRANT_TYPES: &str = "grant_types = [\"urn:ietf:params:oauth:grant-type:token-exchange\", \
    \"urn:ietf:params:oauth:grant-type:jwt-bearer\", \"client_credentials\"]\n";

const PARTNER_POLICY: &str = r#"@id("orchestrator-to-partner")
permit (principal == Agent::"orchestrator", action == Action::"hand_over", resource in Api::"https://tickets.example");
"#;

const APIS: [(&str, &str); 4] = [
    (
        "apis/tickets.toml",
        r#"id = "https://tickets.example"
destination = "partner"
default_scopes = ["tickets.read"]
[scopes]
"tickets.read" = { effect = "read" }
[authorization_server]
issuer = "https://as.partner.example"
clients = { orchestrator = "acme-orchestrator" }
"#,
    ),
    (
        "apis/research.toml",
        r#"id = "https://research.example"
agent = "researcher"
destination = "internal"
default_scopes = ["customers.lookup"]
[scopes]
"customers.lookup" = { data = ["pii"], effect = "read" }
"#,
    ),
    (
        "apis/crm.toml",
        r#"id = "https://crm.example"
agent = "crm-gateway"
destination = "internal"
default_scopes = ["contacts.read"]
[scopes]
"contacts.read" = { data = ["pii"], effect = "read" }
"contacts.health" = { data = ["special"], effect = "read" }
"contacts.delete" = { data = ["pii"], effect = "irreversible" }
[[derive]]
from = { api = "https://research.example", scope = "customers.lookup" }
to = "contacts.read"
"#,
    ),
    (
        "apis/billing.toml",
        r#"id = "https://billing.example"
destination = "internal"
default_scopes = ["invoices.read"]
[scopes]
"invoices.read" = { data = ["finance"], effect = "read" }
"invoices.void" = { data = ["finance"], effect = "irreversible" }
[[derive]]
from = { api = "https://crm.example", scope = "contacts.read" }
to = "invoices.read"
"#,
    ),
];
