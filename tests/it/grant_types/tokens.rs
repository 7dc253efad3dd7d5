//! Every kind of token that somebody may present.

use serde_json::json;

use super::{JWT, party};
use crate::support::{Party, Site, form, post_form};

/// A kind of token, and how a fresh one is made.
pub struct Presented(pub &'static str, pub fn(&Site) -> String);

/// Every kind.
pub fn tokens() -> Vec<Presented> {
    vec![
        Presented("an ID token", |site| party(site, "orchestrator").id_token(json!({}))),
        Presented("an ID token of another client", |site| party(site, "analyst").id_token(json!({}))),
        Presented("an ID token of a client that nobody knows", |site| {
            party(site, "orchestrator").id_token(json!({ "azp": "x" }))
        }),
        Presented("an ID token that has expired", |site| party(site, "orchestrator").id_token(json!({ "exp": 1 }))),
        Presented("an ID token for others", |site| party(site, "orchestrator").id_token(json!({ "aud": "x" }))),
        Presented("an ID token that the rule does not accept", |site| {
            party(site, "orchestrator").id_token(json!({ "email_verified": false }))
        }),
        Presented("an ID token whose may_act names the orchestrator", |site| {
            party(site, "orchestrator").id_token(json!({ "may_act": { "sub": "orchestrator" } }))
        }),
        Presented("an ID token whose may_act names another", |site| {
            party(site, "orchestrator").id_token(json!({ "may_act": { "sub": "somebody" } }))
        }),
        Presented("an ID token with act", |site| party(site, "orchestrator").id_token(json!({ "act": { "sub": "a" } }))),
        Presented("an ID token of an issuer that nobody trusts", |site| {
            party(site, "orchestrator").id_token(json!({ "iss": "https://x.example" }))
        }),
        Presented("an attestation", |site| party(site, "worker").vouched("cluster", json!({}))),
        Presented("an attestation with act", |site| party(site, "worker").vouched("cluster", json!({ "act": { "sub": "a" } }))),
        Presented("an attestation that the rule does not accept", |site| {
            party(site, "worker").vouched("cluster", json!({ "kubernetes.io": { "namespace": "dev" } }))
        }),
        Presented("an attestation that its rule gives an agent", |site| party(site, "fleet").vouched("fleet", json!({}))),
        Presented("a JWT-SVID", |site| party(site, "researcher").vouched("spiffe-acme", json!({}))),
        Presented("an identity assertion grant", |site| party(site, "orchestrator").vouched("partner-as", json!({}))),
        Presented("an identity assertion grant of a workload", |site| {
            party(site, "gateway").vouched("partner-machines", json!({}))
        }),
        Presented("an identity assertion grant for another client", |site| {
            party(site, "orchestrator").vouched("partner-as", json!({ "client_id": "x" }))
        }),
        Presented("an identity assertion grant with act", |site| {
            party(site, "orchestrator").vouched("partner-as", json!({ "act": { "sub": "a" } }))
        }),
        Presented("an access token of another server", |site| party(site, "orchestrator").vouched("other-as", json!({}))),
        Presented("a client assertion", |site| party(site, "orchestrator").assertion()),
        Presented("a DPoP proof", |site| party(site, "orchestrator").proof("holder")),
        Presented("an access token of ours", |site| issued(site, &[])),
        Presented("a bound access token of ours", |site| issued(site, &[("DPoP", &party(site, "orchestrator").proof("holder"))])),
        Presented("an access token of ours with another signature", |site| {
            party(site, "orchestrator").altered(&issued(site, &[]), "stranger", "scope", "\"contacts.read\"")
        }),
        Presented("a task token", task),
        Presented("no token at all", |_| "x".to_owned()),
        Presented("a JWT without anything in it", |_| "e30.e30.e30".to_owned()),
    ]
}

/// An access token of ours for the CRM, which the orchestrator got on behalf of alice.
fn issued(site: &Site, headers: &[(&str, &str)]) -> String {
    let orchestrator = party(site, "orchestrator");
    let (assertion, id_token) = (orchestrator.assertion(), orchestrator.id_token(json!({})));
    let body = form(&Party::request(&assertion, &id_token, &[("resource", "https://crm.example")]));
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "POST /token HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{fields}\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        site.public,
        body.len()
    );
    let reply = crate::support::exchange_bytes(site.public, format!("{head}{body}").as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("access_token")
}

/// The token of a task that the orchestrator opened with its own key, on behalf of alice.
fn task(site: &Site) -> String {
    let orchestrator = party(site, "orchestrator");
    let (assertion, id_token) = (orchestrator.assertion(), orchestrator.id_token(json!({})));
    let authority = json!([{ "api": "https://crm.example", "scopes": ["contacts.read"] }]);
    let details =
        json!([{ "type": "task", "authority": authority, "expires_in": 60, "budget": { "exchanges": 50 } }]).to_string();
    let reply = post_form(
        site.public,
        "/tasks",
        &form(&[
            ("client_assertion_type", super::JWT_BEARER),
            ("client_assertion", &assertion),
            ("subject_token", &id_token),
            ("subject_token_type", JWT),
            ("authorization_details", &details),
        ]),
    );
    let reply = reply.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text_of("task_token")
}
