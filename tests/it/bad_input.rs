//! What nobody should send: a clear error, bounded memory, no record, and a server that goes on.

use std::io::Write;
use std::net::TcpStream;

use serde_json::json;

use crate::support::{Ledger, Party, Reply, Server, Site, exchange_bytes, form, post_form};

const TARGET: (&str, &str) = ("resource", "https://assistant.example");

/// How much more memory a server may hold after all of this than before.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

#[test]
fn strangers_get_a_clear_error_and_leave_no_record() {
    let site = Site::new("strangers");
    let mut server = site.start();
    let party = Party::new(&site.profile(), "orchestrator");
    works(&site, &party);
    let (records, memory) = (Ledger::read(&site.fixture.data).len(), server.resident_kib());
    for (name, body) in bodies(&party) {
        for _ in 0..2 {
            refused(name, &post_form(site.public, "/token", &body).unwrap(), &[400, 401, 413]);
        }
    }
    broken_http(&site);
    assert_eq!(Ledger::read(&site.fixture.data).len(), records, "a stranger's request was recorded");
    lives(&site, &mut server, &party, memory);
}

#[test]
fn tokens_of_the_wrong_shape_get_a_clear_error_and_no_hop() {
    let site = Site::new("shapes");
    let mut server = site.start();
    let party = Party::new(&site.profile(), "orchestrator");
    works(&site, &party);
    let (hops, memory) = (hops(&site), server.resident_kib());
    for (name, token) in tokens(&party) {
        let reply = post_form(site.public, "/token", &form(&Party::request(&party.assertion(), &token, &[TARGET]))).unwrap();
        refused(&name, &reply, &[400]);
        assert_eq!(reply.text_of("error"), "invalid_request", "{name}: {}", reply.body());
    }
    assert_eq!(hops, self::hops(&site), "a hop was recorded for a token that was refused");
    lives(&site, &mut server, &party, memory);
}

/// Requests without a valid login.
fn bodies(party: &Party) -> Vec<(&'static str, String)> {
    let subject = party.id_token(json!({}));
    let usual = form(&Party::request("none", &subject, &[TARGET]));
    let repeat = |pair: &str, times: usize| format!("{usual}&{}", vec![pair; times].join("&"));
    vec![
        ("a body of 1 MB", format!("{usual}&padding={}", "x".repeat(1_000_000))),
        ("one parameter of 1 MB", format!("subject_token={}", "x".repeat(1_000_000))),
        ("10,000 parameters", repeat("a=b", 10_000)),
        ("10,000 resources", repeat("resource=https%3A%2F%2Fassistant.example", 10_000)),
        ("a repeated parameter", repeat("grant_type=x", 1)),
        ("a broken escape", format!("{usual}&scope=%zz")),
        ("bytes that are not text", format!("{usual}&scope=%ff%fe")),
        ("a null character", format!("{usual}&scope=%00")),
        ("nothing", String::new()),
        ("only ampersands", "&".repeat(10_000)),
        ("JSON instead of a form", json!({ "grant_type": "x" }).to_string()),
        ("a forged login", usual.clone()),
        ("a token of dots", form(&Party::request("....", ".....", &[TARGET]))),
    ]
}

fn broken_http(site: &Site) {
    let form = "content-type: application/x-www-form-urlencoded";
    for (name, text) in [
        ("no HTTP at all", "\0\u{1}\u{2}garbage\r\n\r\n".to_owned()),
        ("TLS on a plain port", "\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n".to_owned()),
        ("no length", format!("POST /token HTTP/1.1\r\nhost: a\r\n{form}\r\n\r\n")),
        ("a negative length", format!("POST /token HTTP/1.1\r\nhost: a\r\n{form}\r\ncontent-length: -1\r\n\r\n")),
        ("two lengths", format!("POST /token HTTP/1.1\r\nhost: a\r\n{form}\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na=")),
        (
            "length and chunks",
            format!(
                "POST /token HTTP/1.1\r\nhost: a\r\n{form}\r\nconnection: close\r\n\
                 content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ),
        ("broken chunks", format!("POST /token HTTP/1.1\r\nhost: a\r\n{form}\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n")),
        ("a very long header", format!("POST /token HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(1_000_000))),
        ("very many headers", format!("POST /token HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(10_000))),
        ("a very long path", format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(1_000_000))),
    ] {
        if let Ok(reply) =
            exchange_bytes(site.public, text.replace("HTTP/1.1\r\n", "HTTP/1.1\r\nconnection: close\r\n").as_bytes())
        {
            assert!((400..500).contains(&reply.status), "{name}: {}", reply.text);
        }
    }
    let _half: Vec<TcpStream> = (0..200).map(|_| half_a_request(site)).collect();
    let reply = post_form(site.public, "/token", "").unwrap();
    refused("among 200 half requests", &reply, &[400, 401]);
}

fn half_a_request(site: &Site) -> TcpStream {
    let mut stream = TcpStream::connect(site.public).unwrap();
    stream.write_all(b"POST /token HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\ngrant").unwrap();
    stream
}

/// ID tokens that are signed by the right key and wrong all the same.
fn tokens(party: &Party) -> Vec<(String, String)> {
    let nested = (0..1000).fold("{\"sub\":\"a\"}".to_owned(), |inner, _| format!("{{\"sub\":\"a\",\"act\":{inner}}}"));
    let arrays = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let mut tokens = vec![
        ("act 1,000 deep".to_owned(), party.id_token_with(&format!("\"act\":{nested}"))),
        ("arrays 1,000 deep".to_owned(), party.id_token_with(&format!("\"x\":{arrays}"))),
        ("a repeated sub".to_owned(), party.id_token_with("\"sub\":\"bob\"")),
        ("a repeated member inside act".to_owned(), party.id_token_with("\"act\":{\"sub\":\"a\",\"sub\":\"b\"}")),
        ("a repeated member under another spelling".to_owned(), party.id_token_with("\"\\u0073ub\":\"bob\"")),
        ("a token of 1 MB".to_owned(), party.id_token_with(&format!("\"x\":\"{}\"", "y".repeat(60_000)))),
    ];
    let wrong = [json!(null), json!(true), json!(-1), json!(1e300), json!("1"), json!([1]), json!({}), json!("")];
    for claim in ["iss", "sub", "aud", "exp", "iat", "nbf", "act", "may_act", "azp"] {
        // Absent and null, a number of aud's type, and dates that are dates, are other questions.
        for value in wrong.iter().filter(|value| !acceptable(claim, value)) {
            tokens.push((format!("{claim} is {value}"), party.id_token(json!({ claim: value }))));
        }
    }
    tokens
}

/// What a lenient reader may take for the claim's absence or for a value of its type.
fn acceptable(claim: &str, value: &serde_json::Value) -> bool {
    let absent = value.is_null() && !matches!(claim, "iss" | "sub" | "aud" | "exp");
    let past = matches!(claim, "iat" | "nbf") && value == &json!(-1);
    let text = claim == "sub" && value == &json!("1");
    absent || past || text || (claim == "azp" && value == &json!(""))
}

/// A 4xx with an OAuth error (RFC 6749 §5.2) in printable ASCII, under a reference id.
fn refused(name: &str, reply: &Reply, statuses: &[u16]) {
    assert!(statuses.contains(&reply.status), "{name}: {}", reply.text);
    let (error, sentence) = (reply.text_of("error"), reply.text_of("error_description"));
    assert!(error.starts_with("invalid_") || error.starts_with("unsupported_"), "{name}: {}", reply.text);
    let clear = |character: char| matches!(character, ' '..='~') && character != '"' && character != '\\';
    assert!(sentence.len() > 10 && sentence.len() < 400 && sentence.chars().all(clear), "{name}: {sentence}");
    assert!(!reply.text_of("error_id").is_empty(), "{name}: {}", reply.text);
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{name}");
}

fn works(site: &Site, party: &Party) {
    let body = form(&Party::request(&party.assertion(), &party.id_token(json!({})), &[TARGET]));
    let reply = post_form(site.public, "/token", &body).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
}

fn lives(site: &Site, server: &mut Server, party: &Party, memory: u64) {
    works(site, party);
    assert!(server.alive() && site.ready());
    let grown = server.resident_kib().saturating_sub(memory);
    assert!(grown < GROWTH_KIB_MAX, "the server holds {grown} KiB more than before");
}

fn hops(site: &Site) -> usize {
    Ledger::read(&site.fixture.data).verified().tokens.len()
}
