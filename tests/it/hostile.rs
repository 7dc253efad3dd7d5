//! One client or stranger that is hostile in any of many ways, and who gets what meanwhile: everybody else all that they ask for.
//! Answers are counted; how long they take is for the benchmark of the same ways.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use serde_json::json;

use crate::support::patience::PATIENCE;
use crate::support::{Party, Site, claims, form};
use crate::tls::client::{ask, connect_from};

mod ways;

use ways::{Hostile, Sends, WAYS, Way};

/// Small enough that each of the ways, if it were not for shares, would fill what it fills.
const LIMITS: [(&str, &str); 9] = [
    ("SINGLE_USE", "1000"),
    ("TASKS", "16"),
    ("STATUS_TOKENS", "32"),
    ("LIVE_ENTRIES", "1000"),
    ("QUEUE", "8"),
    ("CONNECTIONS", "64"),
    ("CONNECTIONS_PER_ADDRESS", "64"),
    ("STRANGERS_PER_SECOND", "1"),
    ("STRANGERS_BURST", "100"),
];

/// What is sent by the hostile, in all; every so many, the others ask for something each.
const SENT: usize = 600;
const BETWEEN: usize = 60;

/// A client's own address: not that of the fixture's proxy.
fn connected(site: &Site, number: u8) -> TcpStream {
    let stream = connect_from(Ipv4Addr::new(127, 3, 0, number), site.public).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The status of the answer; 0 where the connection was closed instead.
fn status(stream: &mut TcpStream, request: &[u8]) -> u16 {
    ask(stream, request).map_or(0, |answer| answer.split(' ').nth(1).unwrap().parse().unwrap())
}

/// One that is hostile in a way, and what it was answered.
struct Attack {
    by: Hostile,
    kept: TcpStream,
    held: Vec<TcpStream>,
    answered: BTreeMap<u16, usize>,
}

impl Attack {
    fn new(site: &Site) -> Self {
        let by = Hostile::new(Party::new(&site.profile(), "analyst"));
        let mut kept = connected(site, 1);
        let tokens = (0..8).map(|_| {
            let answer = ask(&mut kept, &by.exchanges(&json!({}), "https://crm.example")).unwrap();
            let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
            body["access_token"].as_str().unwrap().to_owned()
        });
        by.holds(tokens.collect());
        Self { by, kept, held: Vec::new(), answered: BTreeMap::new() }
    }

    fn goes_on(&mut self, site: &Site, way: &Way) {
        let (request, stream) = match way.sends {
            Sends::Asks(make) => (make(&self.by), None),
            Sends::Connects(make) | Sends::Idles(make) | Sends::Begins(make) => (make(&self.by), Some(connected(site, 1))),
        };
        let status = match (&way.sends, stream) {
            (Sends::Begins(_), Some(mut stream)) => {
                let begun = std::io::Write::write_all(&mut stream, &request);
                self.held.push(stream);
                u16::from(begun.is_ok())
            }
            (Sends::Idles(_), Some(mut stream)) => {
                let status = status(&mut stream, &request);
                self.held.push(stream);
                status
            }
            (_, Some(mut stream)) => status(&mut stream, &request),
            (_, None) => status(&mut self.kept, &request),
        };
        if status == 0 && matches!(way.sends, Sends::Asks(_)) {
            self.kept = connected(site, 1);
        }
        *self.answered.entry(status).or_default() += 1;
    }
}

/// Others that ask for what they always ask for.
struct Others {
    orchestrator: Party,
    gateway: Party,
}

impl Others {
    fn new(site: &Site) -> Self {
        let party = |role: &str| Party::new(&site.profile(), role);
        Self { orchestrator: party("orchestrator"), gateway: party("gateway") }
    }

    /// The statuses of an exchange, of an introspection and of a revocation of its token, and of a newcomer's exchange.
    fn ask(&self, site: &Site) -> Vec<u16> {
        let mut kept = connected(site, 2);
        let exchange = |party: &Party| Hostile::new(party.clone()).exchanges(&json!({}), "https://crm.example");
        let answer = ask(&mut kept, &exchange(&self.orchestrator)).unwrap();
        let body = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<serde_json::Value>(body).ok());
        let token = body.and_then(|body| Some(body["access_token"].as_str()?.to_owned())).unwrap_or_else(|| panic!("{answer}"));
        let by = Hostile::new(self.orchestrator.clone());
        let told = ["/introspect", "/revoke"].map(|path| status(&mut kept, &by.asks(path, &[("token", &token)], 60)));
        let newcomer = status(&mut connected(site, 3), &exchange(&self.gateway));
        [&told[..], &[newcomer]].concat()
    }
}

/// The statuses that a hostile client may get: never one that says that the server is at its end.
const MAY: [u16; 9] = [0, 1, 200, 400, 401, 404, 413, 429, 431];

fn attacked(number: usize, way: &Way) -> BTreeMap<u16, usize> {
    let names: Vec<String> = LIMITS.iter().map(|(name, _)| format!("COUNTERSIGN__LIMITS__{name}")).collect();
    let limits: Vec<(&str, &Path)> =
        names.iter().zip(LIMITS).map(|(name, (_, value))| (name.as_str(), Path::new(value))).collect();
    let site = Site::new(&format!("hostile-{number}"));
    let _server = site.start_with(&limits);
    let (mut attack, others) = (Attack::new(&site), Others::new(&site));
    for _ in 0..SENT / BETWEEN {
        (0..BETWEEN).for_each(|_| attack.goes_on(&site, way));
        assert_eq!(others.ask(&site), [200, 200, 200], "{}: {:?}", way.name, attack.answered);
    }
    // What is filled by now, somebody else still has a part of.
    let by = Hostile::new(others.orchestrator.clone());
    let rest = [by.opens(), by.exchanges(&json!({}), "https://reports.example")];
    let rest = rest.map(|request| status(&mut connected(&site, 2), &request));
    assert_eq!(rest, [200, 200], "{}: {:?}", way.name, attack.answered);
    let may = |status: &u16| MAY.contains(status) || *status == 503 && way.may_wait;
    assert!(attack.answered.keys().all(may), "{}: {:?}", way.name, attack.answered);
    assert!(attack.answered.contains_key(&way.gets), "{}: {:?}", way.name, attack.answered);
    attack.answered
}

fn everybody_else_gets_what_they_ask_for(part: usize) {
    for (number, way) in WAYS.iter().enumerate().filter(|(number, _)| number % 3 == part) {
        let answered = attacked(number, way);
        println!("{:<50} {answered:?}", way.name);
    }
}

#[test]
fn whatever_one_client_does_everybody_else_gets_what_they_ask_for() {
    everybody_else_gets_what_they_ask_for(0);
}

#[test]
fn whatever_one_client_does_everybody_else_gets_what_they_ask_for_too() {
    everybody_else_gets_what_they_ask_for(1);
}

#[test]
fn whatever_one_client_does_everybody_else_gets_what_they_ask_for_still() {
    everybody_else_gets_what_they_ask_for(2);
}
