//! A token is treated alike whichever grant type carried it (promise 7): the same verdict, the same token, the same sentence.

mod chaining;
mod tokens;

use serde_json::{Value, json};

use crate::support::{Party, Reply, Site, claims, form, post_form};
use tokens::{Presented, tokens};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// The kinds of token that count once begin so.
const ONCE: &str = "an identity assertion grant";

/// A way to authenticate: its name, and the header and parameters of one request.
type Login = (&'static str, fn(&Site) -> Credentials);

/// A header, and parameters.
type Credentials = (Option<(&'static str, String)>, Vec<(&'static str, String)>);

/// Nobody, agents by keys of their own, a workload, one by a secret, one that no policy permits anything, one that may ask for
/// itself alone, one that is suspended, and two logins that are wrong.
const LOGINS: [Login; 13] = [
    ("nobody", |_| (None, vec![])),
    ("the orchestrator", |site| signed(site, "orchestrator")),
    ("the gateway", |site| signed(site, "gateway")),
    ("the agent of the CRM", |site| signed(site, "crm-agent")),
    ("the agent of the assistant", |site| signed(site, "analyst")),
    ("mallory", |site| signed(site, "mallory")),
    ("one that is suspended", |site| signed(site, "suspended")),
    ("the agent of the CRM by its secret", |_| basic("crm-agent")),
    ("the robot", |_| basic("robot")),
    ("the worker", |site| attested(JWT_BEARER, party(site, "worker").vouched("cluster", json!({})))),
    ("the fleet", |site| attested(JWT_BEARER, party(site, "fleet").vouched("fleet", json!({})))),
    ("a workload that nobody registered", |site| {
        attested(JWT_BEARER, party(site, "worker").vouched("cluster", json!({"sub": "x"})))
    }),
    ("a wrong secret", |_| (Some(("Authorization", "Basic cm9ib3Q6d3Jvbmc=".to_owned())), vec![])),
];

pub fn party(site: &Site, agent: &str) -> Party {
    Party::new(&site.profile(), agent)
}

fn signed(site: &Site, agent: &str) -> Credentials {
    attested(JWT_BEARER, party(site, agent).assertion())
}

fn attested(kind: &'static str, assertion: String) -> Credentials {
    (None, vec![("client_assertion_type", kind.to_owned()), ("client_assertion", assertion)])
}

/// The secret that these agents of the fixture share.
fn basic(agent: &str) -> Credentials {
    use base64::Engine;
    let pair = format!("{agent}:OKszAMK32DUvcBh9PJmLxWpW9sC3yFBbO2u3iLx9-ME");
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    (Some(("Authorization", format!("Basic {encoded}"))), vec![])
}

/// Sends `parameters` with that login, and a DPoP proof if one is to be shown.
fn ask(site: &Site, login: Login, proof: bool, parameters: &[(&str, &str)]) -> Reply {
    let (header, more) = login.1(site);
    let own: Vec<(&str, &str)> =
        more.iter().map(|(name, value)| (*name, value.as_str())).chain(parameters.iter().copied()).collect();
    let body = form(&own);
    let mut head = format!("POST /token HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", site.public);
    for (name, value) in header.into_iter().chain(proof.then(|| ("DPoP", party(site, "orchestrator").proof("holder")))) {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n", body.len());
    crate::support::exchange_bytes(site.public, format!("{head}{body}").as_bytes()).unwrap()
}

/// All that an answer decides, in words that grant types share: of a token what it says, of a refusal its code and sentence.
fn verdict(reply: &Reply) -> Value {
    let body = reply.json();
    let Some(token) = body["access_token"].as_str() else {
        return json!([reply.status, body["error"], body["error_description"].as_str().unwrap_or_default()]);
    };
    let claims = claims(token);
    let kept = ["iss", "sub", "aud", "client_id", "scope", "act", "acr", "amr", "cnf", "task"];
    let said: Vec<&Value> = kept.iter().map(|name| &claims[*name]).collect();
    json!([reply.status, body["token_type"], body["scope"], said])
}

/// The verdict that an assertion must get where the exchange of the same token got `exchanged` (RFC 8693 §2.2.2, RFC 7523 §3.1).
fn as_assertion(exchanged: &Reply) -> Value {
    let mut verdict = verdict(exchanged);
    if exchanged.status == 200 {
        return verdict;
    }
    let sentence = verdict[2].as_str().unwrap().to_owned();
    let of_token = sentence.starts_with("subject_token: ") || sentence.starts_with("it, or ");
    let alone = sentence.starts_with("client authentication is required; subject_token does not log in");
    match verdict[1].as_str().unwrap() {
        "invalid_request" if of_token => verdict[1] = json!("invalid_grant"),
        // What cannot stand alone is no grant; and 401 is for who must authenticate.
        "invalid_client" if alone => (verdict[0], verdict[1]) = (json!(400), json!("invalid_grant")),
        _ => {}
    }
    verdict[2] = json!(sentence.replace("subject_token", "assertion"));
    verdict
}

#[test]
fn a_token_is_treated_alike_whichever_grant_type_carried_it() {
    let site = Site::new("grant-types");
    let (_issuers, _server) = (site.issuers(), site.start());
    let mut granted = 0;
    for Presented(name, make) in tokens() {
        let mut token = make(&site);
        let mut fresh = |site: &Site| {
            if name.starts_with(ONCE) {
                token = make(site);
            }
            token.clone()
        };
        for login in LOGINS {
            for proof in [false, true] {
                let token = fresh(&site);
                let wanted = [("resource", "https://crm.example"), ("scope", "contacts.read")];
                let exchange = [("grant_type", EXCHANGE), ("subject_token", &token), ("subject_token_type", JWT)];
                let exchanged = ask(&site, login, proof, &[&exchange[..], &wanted].concat());
                let token = fresh(&site);
                let assertion = [("grant_type", ASSERTION), ("assertion", token.as_str())];
                let asserted = ask(&site, login, proof, &[&assertion[..], &wanted].concat());
                granted += usize::from(exchanged.status == 200);
                assert_eq!(verdict(&asserted), as_assertion(&exchanged), "{name}, by {}, with a proof: {proof}", login.0);
                assert!(asserted.json()["issued_token_type"].is_null());
            }
        }
    }
    assert!(granted >= 20, "only {granted} were granted");
}

/// An agent that asks for itself by an attestation is told what it would be told if it traded that attestation.
#[test]
fn an_attestation_gets_for_its_agent_what_it_gets_as_a_subject_token() {
    let site = Site::new("grant-types-itself");
    let _server = site.start();
    let worker = |site: &Site, more: Value| party(site, "worker").vouched("cluster", more);
    let svid = |site: &Site, more: Value| party(site, "researcher").vouched("spiffe-acme", more);
    let now = party(&site, "worker").now();
    let differences = [
        json!({}),
        json!({ "act": { "note": 1 } }),
        json!({ "act": { "sub": "somebody" } }),
        json!({ "may_act": { "sub": "worker" } }),
        json!({ "may_act": { "sub": "somebody" } }),
        json!({ "exp": now + 20 }),
        json!({ "exp": now - 61 }),
        json!({ "acr": "high", "auth_time": now - 5 }),
    ];
    for more in differences {
        for (kind, attestation) in [(JWT_BEARER, worker(&site, more.clone())), (JWT_SPIFFE, svid(&site, more.clone()))] {
            for scope in ["contacts.read", "contacts.write", "contacts.delete", "secrets.read"] {
                let login = [("client_assertion_type", kind), ("client_assertion", &attestation)];
                let wanted = [("resource", "https://crm.example"), ("scope", scope)];
                let post =
                    |own: &[(&str, &str)]| post_form(site.public, "/token", &form(&[&login[..], &wanted, own].concat())).unwrap();
                let traded = post(&[("grant_type", EXCHANGE), ("subject_token", &attestation), ("subject_token_type", JWT)]);
                let itself = post(&[("grant_type", "client_credentials")]);
                let acts = claims(&traded.text_of("access_token"))["act"].is_object();
                match acts {
                    // A chain goes on by exchange, never by a grant type that is for the client alone.
                    true => assert_eq!(itself.text_of("error"), "invalid_grant", "{more}"),
                    false => assert_eq!(verdict(&itself)[3], verdict(&traded)[3], "{more} {}", itself.body()),
                }
                assert_eq!(itself.status == 200, traded.status == 200 && !acts, "{more} {}", itself.body());
            }
        }
    }
}

/// What an agent's file does not list is refused before anything else is told, and on behalf asks only who was sent the token.
#[test]
fn a_grant_type_is_asked_by_whom_it_is_for() {
    let site = Site::new("grant-types-allowed");
    let _server = site.start();
    let id_token = party(&site, "orchestrator").id_token(json!({}));
    let crm = ("resource", "https://crm.example");
    let (robot, orchestrator, agent) = (LOGINS[8], LOGINS[1], LOGINS[3]);
    let itself = [("grant_type", "client_credentials"), crm];
    let exchange = [("grant_type", EXCHANGE), ("subject_token", id_token.as_str()), ("subject_token_type", JWT), crm];
    let assertion = [("grant_type", ASSERTION), ("assertion", id_token.as_str()), crm];
    assert_eq!(ask(&site, robot, false, &itself).status, 200);
    for (login, parameters) in [(orchestrator, &itself[..]), (robot, &exchange[..]), (robot, &assertion[..])] {
        let refused = ask(&site, login, false, parameters);
        assert_eq!(refused.text_of("error"), "unauthorized_client", "{} {}", login.0, refused.body());
    }
    let hop = ask(&site, orchestrator, false, &exchange);
    let token = hop.text_of("access_token");
    let on_behalf = [("grant_type", ASSERTION), ("assertion", token.as_str()), ("requested_token_use", "on_behalf_of")];
    let asked = |login, more| ask(&site, login, false, &[&on_behalf[..], &[more]].concat());
    assert_eq!(asked(agent, ("resource", "https://billing.example")).status, 200);
    assert_eq!(asked(orchestrator, crm).text_of("error"), "invalid_grant");
}

/// A grant of another server is good for the client that it names, for what it says, and once, whichever parameter carries it.
#[test]
fn a_grant_of_another_server_counts_once_for_the_client_that_it_names() {
    let site = Site::new("grant-types-redeemed");
    let _server = site.start();
    let (orchestrator, analyst) = (LOGINS[1], LOGINS[4]);
    let grant = |more: Value| party(&site, "orchestrator").vouched("partner-as", more);
    let redeem = |login, grant: &str, more: &[(&str, &str)]| {
        ask(&site, login, false, &[&[("grant_type", ASSERTION), ("assertion", grant)], more].concat())
    };
    let once = grant(json!({}));
    let beyond = redeem(orchestrator, &once, &[("scope", "contacts.write")]);
    assert_eq!(beyond.text_of("error"), "invalid_scope", "{}", beyond.body());
    assert_eq!(redeem(orchestrator, &once, &[]).status, 200, "what was refused has spent nothing");
    assert_eq!(redeem(orchestrator, &once, &[]).text_of("error"), "invalid_grant");
    let exchange = [("grant_type", EXCHANGE), ("subject_token", once.as_str()), ("subject_token_type", JWT)];
    let again = ask(&site, orchestrator, false, &exchange);
    assert!(again.text_of("error_description").starts_with("subject_token was used before"), "{}", again.body());
    let us = format!("http://{}", site.public);
    for (login, more) in [(analyst, json!({})), (orchestrator, json!({ "aud": [us, "https://elsewhere.example"] }))] {
        let refused = redeem(login, &grant(more), &[]);
        assert_eq!(refused.text_of("error"), "invalid_grant", "{} {}", login.0, refused.body());
    }
    let elsewhere = redeem(orchestrator, &grant(json!({})), &[("resource", "https://reports.example")]);
    assert_eq!(elsewhere.text_of("error"), "invalid_target", "{}", elsewhere.body());
}

/// What leaves for another server takes a policy of its own, and is good for minutes.
#[test]
fn what_is_handed_over_takes_a_policy_of_its_own_and_lives_for_five_minutes() {
    let site = Site::new("grant-types-handed");
    let _server = site.start();
    let orchestrator = party(&site, "orchestrator");
    let id_token = orchestrator.id_token(json!({ "exp": orchestrator.now() + 1800 }));
    let exchange = [("grant_type", EXCHANGE), ("subject_token", id_token.as_str()), ("subject_token_type", JWT)];
    let id_jag = ("requested_token_type", "urn:ietf:params:oauth:token-type:id-jag");
    let hand_over = |more: &[(&str, &str)]| ask(&site, LOGINS[1], false, &[&exchange[..], &[id_jag], more].concat());
    let partner = ("audience", "https://as.partner.example");
    // A policy permits to exchange for it, were it an API of this server.
    let unasked = hand_over(&[partner, ("resource", "https://wiki.partner.example")]);
    assert_eq!(unasked.text_of("error"), "invalid_target", "{}", unasked.body());
    let access = ask(&site, LOGINS[1], false, &[&exchange[..], &[("resource", "https://wiki.partner.example")]].concat());
    assert_eq!(access.text_of("error"), "invalid_target", "{}", access.body());
    let handed = hand_over(&[("audience", "https://as.vendor.example")]);
    assert_eq!(handed.status, 200, "{}", handed.body());
    let told = claims(&handed.text_of("access_token"));
    assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 300);
    assert_eq!((handed.text_of("token_type"), told["anc"].is_null()), ("N_A".to_owned(), true));
}
