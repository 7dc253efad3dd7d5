#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use proptest::prelude::*;

use super::*;
use crate::catalog::Status;
use crate::client::ClientAuths;
use crate::client::fixture::{KEY, Sent, World, no_trust, own_key, secret};

const BOT: &str = "https://agent.example:8443/bot";

fn world() -> World {
    let both = |text| vec![secret(text, true, true)];
    World::new(no_trust())
        // The client of RFC 6749 §2.3.1.
        .agent("s6BhdRkqt3", both("gX1fBat3bV"))
        .agent("basic-only", vec![secret("basic-secret", true, false)])
        .agent("post-only", vec![secret("post-secret", false, true)])
        .agent("rotating", vec![secret("old-secret", true, false), secret("new-secret", true, true)])
        .agent("keyed", vec![own_key(&KEY)])
        .agent("https://agent.example", both("middle-secret"))
        .agent(BOT, both("bot-secret"))
        .agent_that_is(Status::Suspended, "suspended", both("s-secret"))
        .agent_that_is(Status::Retired, "retired", both("r-secret"))
}

fn who(sent: &Sent) -> String {
    world().try_login(sent).unwrap().agent().id.to_string()
}

#[test]
fn rfc_6749_2_3_1_examples_log_in() {
    let client = world().try_login(&Sent::header("Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW")).unwrap();
    assert_eq!((client.agent().id.as_str(), client.method()), ("s6BhdRkqt3", AuthMethod::SecretBasic));
    assert!(client.key().is_none() && client.evidence().is_none() && client.spends().is_empty() && !client.self_only());
    let client = world().try_login(&Sent::secret("s6BhdRkqt3", "gX1fBat3bV")).unwrap();
    assert_eq!((client.agent().id.as_str(), client.method()), ("s6BhdRkqt3", AuthMethod::SecretPost));
}

#[test]
fn an_id_with_colons_logs_in_in_both_encodings() {
    assert_eq!(who(&Sent::basic("https%3A%2F%2Fagent.example%3A8443%2Fbot:bot-secret")), BOT);
    assert_eq!(who(&Sent::basic(format!("{BOT}:bot-secret"))), BOT);
    assert_eq!(who(&Sent::basic("https://agent.example:middle-secret")), "https://agent.example");
    assert_eq!(who(&Sent::basic("https%3A//agent.example:middle%2Dsecret")), "https://agent.example");
}

#[test]
fn what_reads_as_form_encoded_is_not_tried_raw() {
    // The first colon ends the registered id `https`; only an unknown one lets the raw reading count.
    let world =
        World::new(no_trust()).agent("https", vec![secret("x", true, true)]).agent(BOT, vec![secret("bot-secret", true, true)]);
    assert_eq!(world.refuses(&Sent::basic(format!("{BOT}:bot-secret"))), "Secret");
}

#[test]
fn raw_takes_the_longest_registered_id() {
    let world =
        || World::new(no_trust()).agent("a:b", vec![secret("c:d", true, true)]).agent("a:b:c", vec![secret("e", true, true)]);
    assert_eq!(world().try_login(&Sent::basic("a:b:c:e")).unwrap().agent().id.as_str(), "a:b:c");
    assert_eq!(world().refuses(&Sent::basic("a:b:c:d")), "Secret");
    assert_eq!(world().try_login(&Sent::basic("a%3Ab:c:d")).unwrap().agent().id.as_str(), "a:b");
}

#[test]
fn a_secret_of_any_characters_comes_form_encoded_or_as_it_is() {
    for (stored, encoded) in
        [("one+two", "one%2Btwo"), ("50%25", "50%2525"), ("a b", "a+b"), ("%zz", "%25zz"), ("a:b/c", "a%3Ab%2Fc")]
    {
        let world = || World::new(no_trust()).agent("bot", vec![secret(stored, true, true)]);
        for sent in [stored, encoded] {
            assert!(world().try_login(&Sent::basic(format!("bot:{sent}"))).is_ok(), "{stored} as {sent}");
        }
        assert!(world().try_login(&Sent::secret("bot", stored)).is_ok(), "{stored} in the body");
        assert_eq!(world().refuses(&Sent::basic(format!("bot:{encoded}%20"))), "Secret");
    }
    // What is read as it is begins behind the id, wherever that ends.
    let world = World::new(no_trust()).agent("a:b", vec![secret("b:x", true, true)]);
    assert_eq!(world.refuses(&Sent::basic("a:b:x")), "Secret");
}

#[test]
fn the_scheme_is_basic_in_any_case() {
    assert_eq!(who(&Sent::header("basic  czZCaGRSa3F0MzpnWDFmQmF0M2JW ")), "s6BhdRkqt3");
    for header in ["", "Bearer x", "Digest x", "DPoP a.b.c", "Basicx y", "czZCaGRSa3F0MzpnWDFmQmF0M2JW"] {
        assert_eq!(world().refuses(&Sent::header(header)), "Scheme", "{header}");
    }
}

#[test]
fn padding_may_be_left_out() {
    assert_eq!(who(&Sent::header("Basic YmFzaWMtb25seTpiYXNpYy1zZWNyZXQ")), "basic-only");
}

#[test]
fn every_failure_has_one_answer() {
    let stored = hash_secret("gX1fBat3bV").to_string();
    for sent in [
        Sent::basic("s6BhdRkqt3:wrong"),
        Sent::basic("s6BhdRkqt3:gX1fBat3bV "),
        Sent::basic("s6BhdRkqt3:"),
        Sent::basic(format!("s6BhdRkqt3:{stored}")),
        Sent::basic("s6bhdrkqt3:gX1fBat3bV"),
        Sent::basic("nobody:gX1fBat3bV"),
        Sent::basic("keyed:gX1fBat3bV"),
        Sent::basic("post-only:post-secret"),
        Sent::basic("suspended:wrong"),
        Sent::basic("no colon"),
        Sent::basic(":"),
        Sent::basic(""),
        Sent::basic([0xff, b':', 0xfe]),
        Sent::basic("a".repeat(10_000)),
        Sent::basic(":".repeat(2_000)),
        Sent::header("Basic"),
        Sent::header("Basic %%%"),
        Sent::secret("s6BhdRkqt3", "wrong"),
        Sent::secret("nobody", "gX1fBat3bV"),
        Sent::secret("not an id", "gX1fBat3bV"),
        Sent::secret("keyed", "gX1fBat3bV"),
        Sent::secret("basic-only", "basic-secret"),
        Sent::secret("retired", "wrong"),
    ] {
        assert_eq!(world().refuses(&sent), "Secret");
    }
}

#[test]
fn nobody_has_no_secret_at_all() {
    let logins = ClientAuths::default();
    for method in [AuthMethod::SecretBasic, AuthMethod::SecretPost] {
        assert!(!logins.secret_proves(None, Digest([0; 32]), method));
    }
}

#[test]
fn a_secret_comes_only_the_way_it_may() {
    assert_eq!(who(&Sent::basic("basic-only:basic-secret")), "basic-only");
    assert_eq!(who(&Sent::secret("post-only", "post-secret")), "post-only");
}

#[test]
fn two_secrets_serve_while_one_replaces_the_other() {
    assert_eq!(who(&Sent::basic("rotating:old-secret")), "rotating");
    assert_eq!(who(&Sent::basic("rotating:new-secret")), "rotating");
    assert_eq!(world().refuses(&Sent::secret("rotating", "old-secret")), "Secret");
}

#[test]
fn client_id_beside_the_header_must_agree() {
    assert_eq!(who(&Sent::basic("s6BhdRkqt3:gX1fBat3bV").with("client_id", "s6BhdRkqt3")), "s6BhdRkqt3");
    assert_eq!(world().refuses(&Sent::basic("s6BhdRkqt3:gX1fBat3bV").with("client_id", "keyed")), "ClientIdDiffers");
    assert_eq!(world().refuses(&Sent::basic("s6BhdRkqt3:wrong").with("client_id", "keyed")), "Secret");
}

#[test]
fn suspended_and_retired_agents_learn_so_after_they_proved_themselves() {
    assert_eq!(world().refuses(&Sent::basic("suspended:s-secret")), "Suspended");
    assert_eq!(world().refuses(&Sent::secret("retired", "r-secret")), "Retired");
}

proptest! {
    #[test]
    fn no_header_panics_or_logs_in(header in any::<String>(), pair in any::<Vec<u8>>()) {
        prop_assert!(world().try_login(&Sent::header(&header)).is_err());
        prop_assert!(world().try_login(&Sent::basic(pair)).is_err());
    }

    #[test]
    fn no_pair_near_the_truth_panics(pair in "(https|s6BhdRkqt3|a)?[:%+A-Fa-f0-9/.]{0,40}") {
        prop_assert!(world().try_login(&Sent::basic(pair)).is_err());
    }
}
