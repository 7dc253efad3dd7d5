//! Identity chaining (draft-ietf-oauth-identity-chaining §2): two servers of this kind, one chain, two ledgers.

use std::fs;

use countersign::crypto::Digest;
use serde_json::{Value, json};

use super::{ASSERTION, EXCHANGE, JWT_BEARER, party};
use crate::support::patience::until;
use crate::support::{Ledger, Reply, Site, claims, form, post_form};

const SHARED: &str = "https://shared.example";

/// Registers the shared API at `site`: as one of its own, or as one behind `other`.
fn register(site: &Site, other: Option<&Site>) {
    let conf = site.fixture.config.parent().unwrap();
    let server = other.map_or(String::new(), |other| {
        let derived = format!("from = {{ api = \"{SHARED}/{}\", scope = \"shared.read\" }}", site.public);
        let derived = format!("{derived}\nto = \"shared.read\"");
        let clients = "clients = { orchestrator = \"orchestrator\" }";
        format!("[[derive]]\n{derived}\n[authorization_server]\nissuer = \"http://{}\"\n{clients}\n", other.public)
    });
    let scopes = "[scopes]\n\"shared.read\" = { effect = \"read\" }\n\"shared.write\" = { effect = \"reversible\" }";
    let api = format!(
        "id = \"{SHARED}/{}\"\ndestination = \"partner\"\ndefault_scopes = [\"shared.read\"]\n{scopes}\n{server}",
        other.unwrap_or(site).public
    );
    let action = if other.is_some() { "hand_over" } else { "exchange" };
    let name = if other.is_some() { "theirs" } else { "ours" };
    let resource = format!("Api::\"{SHARED}/{}\"", other.unwrap_or(site).public);
    let policy = format!("permit (principal in Team::\"research\", action == Action::\"{action}\", resource in {resource});\n");
    fs::write(conf.join(format!("apis/{name}.toml")), api).unwrap();
    fs::write(conf.join(format!("policies/{name}.cedar")), policy).unwrap();
}

/// Has `site` take the grants of `other`.
fn trust(site: &Site, other: &Site) {
    let conf = site.fixture.config.parent().unwrap();
    let rule = format!(
        "name = \"neighbour\"\nkind = \"id_jag\"\nissuer = \"http://{other}\"\naudiences = [\"http://{site}\"]\n\
         subject = {{ kind = \"user\", id = \"{{sub}}\" }}\n[keys]\njwks_uri = \"http://{other}/jwks\"\n",
        other = other.public,
        site = site.public
    );
    fs::write(conf.join("trust/neighbour.toml"), rule).unwrap();
}

fn ask(site: &Site, parameters: &[(&str, &str)]) -> Reply {
    let assertion = party(site, "orchestrator").assertion();
    let login = [("client_assertion_type", JWT_BEARER), ("client_assertion", assertion.as_str())];
    post_form(site.public, "/token", &form(&[&login[..], parameters].concat())).unwrap()
}

/// Hands the orchestrator over from `site`, on behalf of whoever `subject` is about.
fn hand_over(site: &Site, other: &Site, subject: (&str, &str), scope: &str) -> Reply {
    let audience = format!("http://{}", other.public);
    let kind = ("requested_token_type", "urn:ietf:params:oauth:token-type:id-jag");
    let asked = [("grant_type", EXCHANGE), ("audience", &audience), ("scope", scope), kind];
    ask(site, &[&asked[..], &[("subject_token", subject.0), ("subject_token_type", subject.1)]].concat())
}

/// Redeems `grant`. Until the keys of its issuer are there nobody can say whether it is good, and it is not spent.
fn redeem(site: &Site, grant: &str, more: &[(&str, &str)]) -> Reply {
    let mut reply = None;
    until("the keys of the neighbour are there", || {
        let asked = ask(site, &[&[("grant_type", ASSERTION), ("assertion", grant)], more].concat());
        reply.insert(asked).status != 503
    });
    reply.unwrap()
}

/// The record of the hop that issued `token`.
fn hop(site: &Site, token: &str) -> Value {
    let digest = Digest::of(token.as_bytes()).to_string();
    let found = Ledger::read(&site.fixture.data).everything().into_iter().find(|record| record["token"] == json!(digest));
    found.expect("the hop is recorded")
}

#[test]
fn a_chain_goes_on_at_another_server_and_both_ledgers_know_the_token_that_went() {
    let (here, there) = (Site::new("chaining-here"), Site::new("chaining-there"));
    register(&here, Some(&there));
    register(&there, None);
    register(&there, Some(&here));
    register(&here, None);
    let _here = here.start();
    trust(&there, &here);
    let _there = there.start();

    let id_token = || party(&here, "orchestrator").id_token(json!({}));
    let subject = "urn:ietf:params:oauth:token-type:id_token";
    let handed = hand_over(&here, &there, (&id_token(), subject), "shared.read shared.write");
    assert_eq!(handed.status, 200, "{}", handed.text);
    let grant = handed.text_of("access_token");
    let issued = redeem(&there, &grant, &[("scope", "shared.read")]);
    assert_eq!(issued.status, 200, "{}", issued.text);
    let token = issued.text_of("access_token");

    // One chain: whoever acted here stands behind whoever acts there, each by its own server.
    let (act, issuer) = (&claims(&token)["act"], |site: &Site| json!(format!("http://{}", site.public)));
    assert_eq!((&act["sub"], &act["iss"]), (&json!("orchestrator"), &issuer(&there)));
    assert_eq!((&act["act"]["sub"], &act["act"]["iss"]), (&json!("orchestrator"), &issuer(&here)));
    assert_eq!(claims(&token)["sub"], json!("neighbour:idp:alice"));

    // Both ledgers: the token that went is a hop of the one, and the evidence of a hop of the other.
    let (left, came) = (hop(&here, &grant), hop(&there, &token));
    assert_eq!(left["handed_to"], issuer(&there));
    assert_eq!(left["basis"], json!("delegation"));
    assert_eq!(came["evidence"]["subject_token"], left["token"]);
    assert_eq!((&came["handed_to"], came["chain"].as_array().map(Vec::len)), (&Value::Null, Some(2)));

    // Once, and never wider than it says.
    assert_eq!(redeem(&there, &grant, &[]).text_of("error"), "invalid_grant");
    let narrow = hand_over(&here, &there, (&id_token(), subject), "shared.read").text_of("access_token");
    assert_eq!(redeem(&there, &narrow, &[("scope", "shared.write")]).text_of("error"), "invalid_scope");
    // Where it was issued it is nothing, and in the name of another client neither.
    assert_eq!(redeem(&here, &narrow, &[]).text_of("error"), "invalid_grant");

    // The other way as well; and what came from here does not come back as somebody else's word on who acted here.
    trust(&here, &there);
    let back = || hand_over(&there, &here, (&party(&there, "orchestrator").id_token(json!({})), subject), "shared.read");
    let mut came = String::new();
    until("the neighbour is trusted", || {
        let grant = back().text_of("access_token");
        let answer = redeem(&here, &grant, &[]);
        came = grant;
        answer.status == 200
    });
    let evidence = json!(Digest::of(came.as_bytes()).to_string());
    let known = Ledger::read(&here.fixture.data).everything();
    assert!(known.iter().any(|record| record["kind"] == json!("hop") && record["evidence"]["subject_token"] == evidence));
    let round = hand_over(&there, &here, (&token, "urn:ietf:params:oauth:token-type:access_token"), "shared.read");
    assert_eq!(round.status, 200, "{}", round.text);
    let returned = redeem(&here, &round.text_of("access_token"), &[]);
    assert_eq!(returned.text_of("error"), "invalid_grant", "{}", returned.text);
}
