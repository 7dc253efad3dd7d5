//! Who takes part in the demonstration: one user, three agents, two APIs, and the files that say so.

/// The API that researches: its agent is `researcher`.
pub const RESEARCH: &str = "https://research.example";

/// The customer relations API: its agent is `crm-gateway`.
pub const CRM: &str = "https://crm.example";

/// The files below `conf/`, with `{…}` to be filled in.
pub(super) const FILES: [(&str, &str); 10] = [
    (
        "countersign.toml",
        r#"# Written by quickstart; the issuers it trusts live only as long as that process.
issuer = "{issuer}"

[listen]
public = "{public}"
ops    = "{ops}"

[keys]
dir = "../keys"

[files]
trust    = "trust"
agents   = "agents"
apis     = "apis"
policies = "policies"
# These files are written once, and whole.
settle   = "10ms"
"#,
    ),
    (
        "trust/idp.toml",
        r#"# The users' identity provider.
name         = "idp"
kind         = "oidc"
issuer       = "{idp}"
audiences    = ["orchestrator-at-idp"]
algorithms   = ["ES256"]
lifetime_max = "2h"
subject      = { kind = "user", id = "{sub}", attributes = { department = "department" } }

[keys]
discovery = true
"#,
    ),
    (
        "trust/cluster.toml",
        r#"# A cluster that attests its workloads. Its subjects are service accounts by their uid, its instances are pods.
name         = "cluster"
kind         = "kubernetes"
issuer       = "{cluster}"
audiences    = ["{issuer}"]
algorithms   = ["ES256"]

[require]
"/kubernetes.io/serviceaccount/uid" = ["5f0c7a52-crm-gateway"]
"#,
    ),
    (
        "trust/mesh.toml",
        r#"# A SPIFFE trust domain, by its bundle endpoint.
name         = "mesh"
kind         = "spiffe"
trust_domain = "mesh.example"
audiences    = ["{issuer}"]

[keys]
bundle_url     = "{bundle}"
bundle_profile = "https_web"
"#,
    ),
    (
        "agents/orchestrator.toml",
        r#"id    = "orchestrator"
owner = "dana@acme.example"
team  = "research"
kind  = "ai_agent"

[[foreign_clients]]
trust  = "idp"
client = "orchestrator-at-idp"

[[login]]
method    = "private_key_jwt"
jwks_file = "../orchestrator.jwks.json"
"#,
    ),
    (
        "agents/researcher.toml",
        r#"id    = "researcher"
owner = "dana@acme.example"
team  = "research"
kind  = "ai_agent"

[[login]]
method    = "spiffe_jwt"
spiffe_id = "spiffe://mesh.example/ns/prod/sa/researcher"
"#,
    ),
    (
        "agents/crm-gateway.toml",
        r#"id    = "crm-gateway"
owner = "kim@acme.example"
team  = "platform"
kind  = "service"

[[login]]
method = "workload_jwt"
trust  = "cluster"
match  = { "/kubernetes.io/serviceaccount/uid" = "5f0c7a52-crm-gateway" }
"#,
    ),
    (
        "apis/research.toml",
        r#"id             = "https://research.example"
names          = ["research"]
agent          = "researcher"
destination    = "internal"
default_scopes = ["customers.lookup"]

[scopes]
"customers.lookup" = { data = ["pii"], effect = "read" }
"#,
    ),
    (
        "apis/crm.toml",
        r#"id             = "https://crm.example"
names          = ["crm"]
agent          = "crm-gateway"
destination    = "internal"
default_scopes = ["contacts.read"]
status_list    = { bits = 1, ttl = "2s" }

[scopes]
"contacts.read"   = { data = ["pii"], effect = "read" }
"contacts.list"   = { data = ["pii"], effect = "read" }
"contacts.delete" = { data = ["pii"], effect = "irreversible" }

[[derive]]
from = { api = "https://research.example", scope = "customers.lookup" }
to   = "contacts.read"

[[derive]]
from = { api = "https://research.example", scope = "customers.lookup" }
to   = "contacts.list"
"#,
    ),
    (
        "policies/demo.cedar",
        r#"// The research team may act for anybody of sales, three hops deep, two minutes at a time.
@id("research-for-sales")
@lifetime("2m")
permit (principal in Team::"research", action == Action::"exchange", resource)
when {
  context.depth <= 3 && resource.effect == "read" &&
  context.subject.hasTag("department") && context.subject.getTag("department") == "sales"
};

// It opens tasks for reviews of accounts, and nothing else, of at most a day.
@id("research-tasks")
@lifetime("1d")
permit (principal in Team::"research", action == Action::"open_task", resource)
when { context.purpose == "account-review" && resource.effect == "read" };

// The gateway of the CRM trades what it receives for something narrower.
@id("gateway-narrows")
permit (principal == Agent::"crm-gateway", action == Action::"exchange", resource in Api::"https://crm.example")
when { context.basis == "on_behalf_of" && resource.effect == "read" };

// A workload may have a token of its own.
@id("workload-for-itself")
permit (principal, action == Action::"exchange", resource == Scope::"https://research.example customers.lookup")
when { context.basis == "self" };
"#,
    ),
];
