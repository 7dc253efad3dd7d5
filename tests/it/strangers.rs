//! What strangers cost: places for connections, refusals, log lines and series of metrics, each bounded, with others served
//! meanwhile. Who is served is counted; nothing here depends on how long anything takes.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign::http::ENDPOINTS;
use serde_json::{Value, json};

use crate::support::patience::PATIENCE;
use crate::support::{Party, Server, Site, form, get};
use crate::tls::client::{ask, connect_from, post};

const METADATA: &[u8] = b"GET /.well-known/oauth-authorization-server HTTP/1.1\r\nhost: a\r\n\r\n";

const CONNECTIONS: &str = "countersign_bound_fill{bound=\"connections\"}";

/// The address of a stranger, one of 65,536.
fn stranger(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// A kept-alive connection of that stranger that was answered; none where it has no place.
fn idle(site: &Site, number: u16) -> Option<TcpStream> {
    let mut stream = connect_from(stranger(number), site.public).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    ask(&mut stream, METADATA).ok().filter(|answer| answer.starts_with("HTTP/1.1 200")).map(|_| stream)
}

fn metric(site: &Site, name: &str) -> u64 {
    let text = get(site.ops, "/metrics").unwrap().text;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let closed = matches!(stream.read(&mut [0; 1]), Ok(0));
    stream.set_nonblocking(false).unwrap();
    closed
}

fn small(site: &Site) -> Server {
    site.start_with(&[
        ("COUNTERSIGN__LIMITS__CONNECTIONS", Path::new("64")),
        ("COUNTERSIGN__LIMITS__CONNECTIONS_PER_ADDRESS", Path::new("64")),
    ])
}

#[test]
fn idle_connections_yield_to_new_ones_the_longest_idle_of_who_holds_most_first() {
    let site = Site::new("strangers-idle");
    let _server = small(&site);
    // One that holds most, and then more others than there is room for.
    let greedy: Vec<TcpStream> = (0..10).filter_map(|_| idle(&site, 1)).collect();
    assert_eq!((greedy.len(), metric(&site, CONNECTIONS)), (10, 10));
    let others: Vec<TcpStream> = (100..163).filter_map(|number| idle(&site, number)).collect();
    assert_eq!(others.len(), 63, "every newcomer is served, more than there are places");
    let yielded = usize::try_from(metric(&site, "countersign_connections_yielded_total")).unwrap();
    let closed = |streams: &[TcpStream]| streams.iter().map(is_closed).collect::<Vec<_>>();
    let count = |streams: &[TcpStream]| closed(streams).into_iter().filter(|closed| *closed).count();
    site.wait("those that gave way are closed", || count(&greedy) + count(&others) >= yielded);
    assert!(closed(&greedy)[..9].iter().all(|closed| *closed), "first of who held most: {:?}", closed(&greedy));
    let (first, last) = others.split_at(yielded - count(&greedy));
    assert!(count(first) == first.len() && count(last) == 0, "then the longest idle: {:?}", closed(&others));
    assert!(metric(&site, CONNECTIONS) <= 64);
}

#[test]
fn addresses_that_take_all_that_they_can_get_leave_a_share_to_others() {
    let site = Site::new("strangers-share");
    let _server = small(&site);
    let held: Vec<TcpStream> = (1..=3).flat_map(|hog| (0..40).filter_map(|_| idle(&site, hog)).collect::<Vec<_>>()).collect();
    site.wait("a quarter is left", || held.iter().filter(|stream| !is_closed(stream)).count() <= 48 + 3);
    assert!(metric(&site, CONNECTIONS) <= 48 + 3);
    assert!((100..110).all(|number| idle(&site, number).is_some()), "and others are served");
}

#[test]
fn the_soft_limit_of_open_files_is_raised_and_what_the_hard_one_lowers_is_told() {
    let told = |name: &str, limit: &str| {
        let site = Site::new(name);
        let mut server = site.launch_in(&["sh", "-c", &format!("ulimit {limit}; exec \"$@\""), "sh"], &[]);
        site.wait_ready(&mut server);
        let told = site.said("fewer connections at a time");
        (metric(&site, "countersign_bound_max{bound=\"connections\"}"), metric(&site, "countersign_connections_configured"), told)
    };
    assert_eq!(told("strangers-soft", "-Sn 256"), (8192, 8192, 0));
    assert_eq!(told("strangers-hard", "-n 512"), (280, 8192, 1));
}

const JUNK: &str = "token=x&client_id=nobody&client_secret=wrong";

/// A request that nobody proves itself by, on a connection of its own; the fixture's proxy is at 127.0.0.1.
fn junk(site: &Site) -> (String, u16) {
    let mut stream = connect_from(stranger(9), site.public).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let answer = ask(&mut stream, &post("/introspect", JUNK)).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (answer, status)
}

fn party(site: &Site) -> Party {
    Party::new(&site.profile(), "orchestrator")
}

fn exchange(site: &Site) -> Vec<u8> {
    let party = party(site);
    let body = form(&Party::request(&party.assertion(), &party.id_token(json!({})), &[("resource", "https://crm.example")]));
    post("/token", &body)
}

#[test]
fn an_address_of_which_too_many_were_refused_waits_and_others_do_not() {
    let site = Site::new("strangers-refused");
    let limits = [
        ("COUNTERSIGN__LIMITS__STRANGERS_PER_SECOND", Path::new("1")),
        ("COUNTERSIGN__LIMITS__STRANGERS_BURST", Path::new("100")),
    ];
    let _server = site.start_with(&limits);
    let mut client = connect_from(stranger(9), site.public).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(ask(&mut client, &exchange(&site)).unwrap().starts_with("HTTP/1.1 200"), "it proves itself on its connection");
    let mut answers = (0..5_000).map(|_| junk(&site));
    let waits = answers.find(|(_, status)| *status == 429).map(|(answer, _)| answer).unwrap();
    let seconds = waits.lines().find_map(|line| line.strip_prefix("retry-after: ")?.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds >= 1) && waits.contains("from this address were refused"), "{waits}");
    assert!(answers.by_ref().take(50).filter(|(_, status)| *status == 429).count() > 0);
    let turned_away = metric(&site, "countersign_share_exhausted_total{bound=\"stranger_addresses\"}");
    let told = "countersign_too_many_requests_total{limit=\"refused_of_address\",client=\"a stranger\"}";
    assert!(turned_away > 1 && metric(&site, told) == turned_away);
    assert!(ask(&mut client, &exchange(&site)).unwrap().starts_with("HTTP/1.1 200"), "beside them on its own connection");
    let mut elsewhere = connect_from(stranger(1), site.public).unwrap();
    elsewhere.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(ask(&mut elsewhere, &exchange(&site)).unwrap().starts_with("HTTP/1.1 200"), "from another address");
}

#[test]
fn of_a_flood_of_refusals_a_few_are_logged_and_all_are_counted() {
    let site = Site::new("strangers-log");
    let _server = site.start_with(&[("COUNTERSIGN__LIMITS__STRANGERS_BURST", Path::new("1000000"))]);
    let before = fs::metadata(site.log()).unwrap().len();
    let mut stream = TcpStream::connect(site.public).unwrap();
    let request = post("/introspect", JUNK);
    for _ in 0..3_000 {
        assert!(ask(&mut stream, &request).unwrap().starts_with("HTTP/1.1 401"));
    }
    let log = || plain(&fs::read_to_string(site.log()).unwrap());
    let counted = || {
        let (log, mark) = (log(), "left_out=");
        let full = log.lines().filter(|line| line.contains("refused error_id=")).count();
        let others = log.lines().filter_map(|line| line.split(mark).nth(1)?.split_whitespace().next()?.parse::<usize>().ok());
        full + others.sum::<usize>()
    };
    site.wait("all are counted", || counted() == 3_000);
    let seconds = log().lines().filter(|line| line.contains("left_out=")).count() + 2;
    let grown = usize::try_from(fs::metadata(site.log()).unwrap().len() - before).unwrap();
    assert!(grown < seconds * 21 * 400, "{grown} bytes in about {seconds} seconds");
}

/// A log without its colours.
fn plain(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |whole, part| whole + part.split_once('m').map_or(part, |(_, rest)| rest))
}

/// A request of that round whose every part a stranger made up: method, path, headers, logins and parameters, at every endpoint.
fn made_up(round: usize, mut value: impl FnMut() -> String) -> String {
    let (endpoint, path) = (&ENDPOINTS[round % ENDPOINTS.len()], value());
    let method = match round / ENDPOINTS.len() % 3 {
        0 if endpoint.method != "*" => endpoint.method.to_owned(),
        1 => "POST".to_owned(),
        _ => value().to_uppercase(),
    };
    let path = match round % 5 {
        0 => format!("/{path}"),
        _ => endpoint.path.replace("{id}", &path).replace("{jti}", &path).replace("{list}", &path).replace("{file:.*}", &path),
    };
    let names = ["client_id", "client_secret", "grant_type", "resource", "audience", "scope", "token", "client_assertion"];
    let body = names.map(|name| format!("{name}={}", value())).join("&") + &format!("&{}={}", value(), value());
    let login = match round % 3 {
        0 => format!("Basic {}", STANDARD.encode(format!("{}:{}", value(), value()))),
        1 => format!("DPoP {}", value()),
        _ => format!("Bearer {}", value()),
    };
    format!(
        "{method} {path}?{}={} HTTP/1.1\r\nhost: {}\r\nuser-agent: {}\r\nx-{}: {}\r\nauthorization: {login}\r\ndpop: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        value(),
        value(),
        value(),
        value(),
        value(),
        value(),
        value(),
        body.len()
    )
}

/// 10^5 values that strangers made up, in every place that something could be counted by; with and without the 429 that their
/// address gets.
#[test]
fn nothing_that_strangers_make_up_is_a_series() {
    let site = Site::new("strangers-series");
    let limits = [
        ("COUNTERSIGN__LIMITS__STRANGERS_PER_SECOND", Path::new("1")),
        ("COUNTERSIGN__LIMITS__STRANGERS_BURST", Path::new("100")),
    ];
    let _server = site.start_with(&limits);
    let series = || -> BTreeSet<String> {
        let text = get(site.ops, "/metrics").unwrap().body().to_owned();
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
    };
    let (before, mut count, mut statuses) = (series(), 0_u32, BTreeSet::new());
    let mut value = || {
        count += 1;
        format!("m{count}")
    };
    let mut stream: Option<TcpStream> = None;
    for round in 0..6_000 {
        // Half of them from an address of their own, which is looked at.
        let address = if round % 2 == 0 { stranger(1) } else { stranger(1_000 + round as u16) };
        let request = made_up(round, &mut value);
        let known = if round % 2 == 0 { stream.take() } else { None };
        let mut kept = known.unwrap_or_else(|| connect_from(address, site.public).unwrap());
        kept.set_read_timeout(Some(PATIENCE)).unwrap();
        if let Ok(answer) = ask(&mut kept, request.as_bytes()) {
            statuses.extend(answer.split(' ').nth(1).map(str::to_owned));
            if round % 2 == 0 {
                stream = Some(kept);
            }
        }
    }
    assert!(count >= 100_000, "{count}");
    assert!(["400", "401", "404", "429"].iter().all(|status| statuses.contains(*status)), "{statuses:?}");
    let after = series();
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(after.len() < 250, "{}", after.len());
    let text = get(site.ops, "/metrics").unwrap().text;
    assert!((1..=count).all(|number| number % 997 != 0 || !text.contains(&format!("m{number}\""))));
}

/// Every setting of `[limits]` is told by a series, or it is told here why it fills nothing.
#[test]
fn every_limit_of_the_settings_is_in_the_metrics() {
    let site = Site::new("strangers-limits");
    let _server = site.start();
    let text = get(site.ops, "/metrics").unwrap().text;
    let defaults = include_str!("../../conf/default.toml");
    let limits = defaults.split("[limits]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names = limits.lines().filter(|line| !line.starts_with('#')).filter_map(|line| Some(line.split_once(" = ")?.0));
    let mut count = 0;
    for name in names {
        count += 1;
        let series = match name {
            // One request alone, and threads.
            "body_bytes_max" | "parameters_max" | "workers" => continue,
            "requests_per_second" | "refusals_per_minute" => "countersign_refusals_unrecorded_total".to_owned(),
            "connections_per_address" => "countersign_share_exhausted_total{bound=\"connections\"}".to_owned(),
            "strangers_per_second" | "strangers_burst" => "countersign_bound_fill{bound=\"stranger_addresses\"}".to_owned(),
            bound => format!("countersign_bound_fill{{bound=\"{bound}\"}}"),
        };
        assert!(text.contains(&format!("{series} ")), "{name}: {text}");
    }
    assert!(count > 12, "{count}");
}

/// What ends something passes from an address that is told to wait for everything else, and junk there has an end too.
#[test]
fn a_death_passes_from_an_address_of_which_too_many_were_refused() {
    let site = Site::new("strangers-deaths");
    let limits = [
        ("COUNTERSIGN__LIMITS__STRANGERS_PER_SECOND", Path::new("1")),
        ("COUNTERSIGN__LIMITS__STRANGERS_BURST", Path::new("100")),
    ];
    let _server = site.start_with(&limits);
    let fresh = |request: &[u8]| {
        let mut stream = connect_from(stranger(9), site.public).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        ask(&mut stream, request).unwrap()
    };
    let issued = fresh(&exchange(&site));
    let token = serde_json::from_str::<Value>(issued.split_once("\r\n\r\n").unwrap().1).unwrap()["access_token"].clone();
    (0..5_000).map(|_| junk(&site)).find(|(_, status)| *status == 429).unwrap();
    let revocation = || {
        let login = party(&site).assertion();
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        post(
            "/revoke",
            &form(&[("token", token.as_str().unwrap()), ("client_assertion_type", kind), ("client_assertion", &login)]),
        )
    };
    let revoked = fresh(&revocation());
    assert!(revoked.starts_with("HTTP/1.1 200"), "{revoked}");
    assert!(!site.active(token.as_str().unwrap()));
    let refused = (0..2_000).map(|_| fresh(&post("/revoke", JUNK))).find(|answer| answer.starts_with("HTTP/1.1 429"));
    assert!(refused.is_some(), "junk that says it ends something is bounded too");
}

/// The `date` of an answer, in seconds of its day, by the server's clock.
fn second(answer: &str) -> u64 {
    let date = answer.lines().find_map(|line| line.strip_prefix("date: ")).unwrap();
    let time = date.split(' ').nth(4).unwrap();
    time.split(':').fold(0, |sum, part| sum * 60 + part.parse::<u64>().unwrap())
}

/// Keys that nobody has, one in each token: an address costs the issuer one look, and then waits itself.
#[test]
fn an_issuer_is_asked_once_however_many_unknown_keys_an_address_names() {
    let site = Site::new("strangers-keys");
    let _issuers = site.issuers();
    let limits = [
        ("COUNTERSIGN__LIMITS__STRANGERS_PER_SECOND", Path::new("1")),
        ("COUNTERSIGN__LIMITS__STRANGERS_BURST", Path::new("200")),
    ];
    let _server = site.start_with(&limits);
    let good = Party::new(&site.profile(), "deployer").vouched("github", json!({}));
    let rest = good.split_once('.').unwrap().1;
    let fetches = || metric(&site, "countersign_trust_key_fetches_total{rule=\"github\"}");
    site.wait("the issuer was asked", || fetches() > 0 && metric(&site, "countersign_trust_keys_usable{rule=\"github\"}") == 1);
    let (before, mut dates, mut waits) = (fetches(), Vec::new(), 0);
    for number in 0..1_000 {
        let header =
            URL_SAFE_NO_PAD.encode(json!({ "alg": "ES256", "kid": format!("unknown-{number}"), "typ": "JWT" }).to_string());
        let token = format!("{header}.{rest}");
        let body = form(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", &token),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("resource", "https://crm.example"),
        ]);
        let mut stream = connect_from(stranger(9), site.public).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let answer = ask(&mut stream, &post("/token", &body)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401") || answer.starts_with("HTTP/1.1 429"), "{answer}");
        waits += usize::from(answer.starts_with("HTTP/1.1 429"));
        dates.push(second(&answer));
    }
    // One for being asked, and one each time that the task has rested again.
    let passed = (dates[999] + 86_400 - dates[0]) % 86_400;
    let asked = fetches() - before;
    assert!(asked <= 2 + passed / 30, "{asked} in {passed} s");
    assert!(waits > 0, "the address waits");
}

fn json_of(site: &Site, arguments: &[&str]) -> Vec<Value> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(arguments)
        .args(["--json", "--data"])
        .arg(&site.fixture.data)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn open_task(site: &Site, stream: &mut TcpStream) -> String {
    let party = party(site);
    let details = r#"[{"type":"task","authority":[{"api":"https://crm.example","scopes":["contacts.read"]}]}]"#;
    let body = form(&[
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &party.assertion()),
        ("subject_token", &party.id_token(json!({}))),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("authorization_details", details),
    ]);
    let answer = ask(stream, &post("/tasks", &body)).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str::<Value>(body).unwrap()["task"].as_str().unwrap().to_owned()
}

#[test]
fn tasks_are_listed_in_pages_and_all_of_them_as_they_come() {
    let site = Site::new("strangers-tasks");
    let server = site.start();
    let mut stream = TcpStream::connect(site.public).unwrap();
    let opened: Vec<String> = (0..260).map(|_| open_task(&site, &mut stream)).collect();
    let newest: BTreeSet<&String> = opened.iter().collect();
    let newest: Vec<&String> = newest.into_iter().rev().collect();
    let ids = |page: &Value| -> Vec<String> {
        page["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    };
    let check = || {
        let [page] = &json_of(&site, &["task", "list", "--limit", "2"])[..] else { panic!("one page is one line") };
        assert_eq!(ids(page).iter().collect::<Vec<_>>(), newest[..2]);
        assert_eq!(page["next"].as_str(), Some(newest[1].as_str()));
        let [page] = &json_of(&site, &["task", "list", "--limit", "250", "--after", newest[1]])[..] else { panic!("one page") };
        assert_eq!(ids(page).iter().collect::<Vec<_>>(), newest[2..252]);
        let pages = json_of(&site, &["task", "list", "--all"]);
        assert_eq!(pages.len(), 2);
        assert_eq!(pages.iter().flat_map(ids).collect::<Vec<_>>().iter().collect::<Vec<_>>(), newest);
        assert!(pages[0]["next"].is_string() && pages[1].get("next").is_none());
    };
    check();
    server.kill();
    check();
}
