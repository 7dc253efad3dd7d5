//! Clients that take time and places: each is bounded, and others are served meanwhile.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::METADATA;
use super::client::{Client, answer, ask, connect_from, post};
use crate::support::Site;
use crate::support::patience::{PATIENCE, pass};

const HALF_A_HEAD: &[u8] = b"POST /token HTTP/1.1\r\nhost: a\r\nx-slow: ";
const HALF_A_BODY: &[u8] =
    b"POST /token HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 1000\r\n\r\ngrant";

const READY: &[u8] = b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n";

/// Everybody else, while others misbehave.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// The answer to a head that did not arrive in time.
const LATE_HEAD: &str = "HTTP/1.1 408 ";

/// The answer to the request before: between two requests the connection is closed without a word.
const NOTHING_MORE: &str = "HTTP/1.1 200 ";

/// The answer to a body that did not arrive in time.
const LATE_BODY: &str = "the body must arrive within 10 seconds";

/// A slow client sends a byte now and then, and gives up its place all the same: it is told so.
#[test]
fn slow_clients_give_up_their_places() {
    let site = Site::new("tls-slow");
    let _server = site.start();
    let slow = |name: &'static str, secure: bool, told: &'static str, start: Vec<u8>| {
        let (address, client) = (if secure { site.mtls } else { site.public }, Client::new(&site));
        thread::spawn(move || match secure {
            true => (name, told, drip(&mut client.connect(address).unwrap(), &start)),
            false => (name, told, drip(&mut TcpStream::connect(address).unwrap(), &start)),
        })
    };
    let second_head = [METADATA, HALF_A_HEAD].concat();
    let second_body = [METADATA, HALF_A_BODY].concat();
    let clients = [
        slow("head", false, LATE_HEAD, HALF_A_HEAD.to_vec()),
        slow("body", false, LATE_BODY, HALF_A_BODY.to_vec()),
        slow("second head", false, NOTHING_MORE, second_head.clone()),
        slow("second body", false, LATE_BODY, second_body),
        slow("head in TLS", true, LATE_HEAD, HALF_A_HEAD.to_vec()),
        slow("body in TLS", true, LATE_BODY, HALF_A_BODY.to_vec()),
        slow("second head in TLS", true, NOTHING_MORE, second_head),
    ];
    let health = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".as_slice();
    let second_head = [health, HALF_A_HEAD].concat();
    let operators = [("head", LATE_HEAD, HALF_A_HEAD.to_vec()), ("second head", NOTHING_MORE, second_head)];
    let operators = operators.map(|(name, told, start)| {
        let (ops, local, again) = (site.ops, site.fixture.data.join("ops.sock"), start.clone());
        let at_the_address = thread::spawn(move || (name, told, drip(&mut TcpStream::connect(ops).unwrap(), &start)));
        let at_the_socket = thread::spawn(move || (name, told, drip(&mut UnixStream::connect(&local).unwrap(), &again)));
        [at_the_address, at_the_socket]
    });
    let mut silent = TcpStream::connect(site.mtls).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let ended = silent.read(&mut [0; 1]);
    assert!(
        matches!(&ended, Ok(0)) || ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset),
        "whoever begins no handshake is not waited for: {ended:?}"
    );
    for client in clients.into_iter().chain(operators.into_iter().flatten()) {
        let (name, told, answer) = client.join().unwrap();
        let answer = answer.unwrap_or_else(|| panic!("{name}: the connection is still open"));
        assert!(answer.contains(told), "{name}: {answer}");
    }
}

/// Sends `start`, then a byte a second, until the server has closed: everything that it answered; none when it has not closed.
fn drip(stream: &mut (impl Read + Write + Timed), start: &[u8]) -> Option<String> {
    stream.wait_at_most(Duration::from_secs(1));
    let (mut answer, mut sent) = (Vec::new(), stream.write_all(start));
    for _ in 0..PATIENCE.as_secs() {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(read @ 1..) => answer.extend_from_slice(&bytes[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock && sent.is_ok() => sent = stream.write_all(b"a"),
            Ok(_) | Err(_) => return Some(String::from_utf8_lossy(&answer).into_owned()),
        }
    }
    None
}

trait Timed {
    fn wait_at_most(&self, time: Duration);
}

impl Timed for TcpStream {
    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

impl Timed for UnixStream {
    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

impl Timed for super::client::Stream {
    fn wait_at_most(&self, time: Duration) {
        self.sock.set_read_timeout(Some(time)).unwrap();
    }
}

#[test]
fn one_address_does_not_take_all_the_places() {
    let site = Site::new("tls-places");
    let _server = site.start_with(&[("COUNTERSIGN__LIMITS__CONNECTIONS_PER_ADDRESS", Path::new("64"))]);
    for (address, secure) in [(site.public, false), (site.mtls, true)] {
        let greedy = Ipv4Addr::new(127, 0, 0, if secure { 5 } else { 4 });
        let client = Client::new(&site);
        let ask_for = |mut stream: TcpStream| match secure {
            true => client.shake(stream).and_then(|mut stream| ask(&mut stream, METADATA).map(|_| stream.sock)),
            false => ask(&mut stream, METADATA).map(|_| stream),
        };
        let taken = places(greedy, address, ask_for);
        site.wait("of one address 64 are open", || (1..=64).contains(&taken.iter().filter(|stream| is_open(stream)).count()));
        served(&site, address, secure, STRANGER);
        drop(taken);
        site.wait("its places are given back", || try_served(&site, address, secure, greedy));
    }
}

#[test]
fn one_address_does_not_take_the_operators_places() {
    let site = Site::new("tls-ops-places");
    let _server = site.start();
    let taken = places(Ipv4Addr::new(127, 0, 0, 4), site.ops, |mut stream| ask(&mut stream, READY).map(|_| stream));
    site.wait("of one address 32 are open", || (1..=32).contains(&taken.iter().filter(|stream| is_open(stream)).count()));
    assert!(site.ready(), "an operator is served meanwhile");
    let mut local = UnixStream::connect(site.fixture.data.join("ops.sock")).unwrap();
    assert!(ask(&mut local, READY).unwrap().starts_with("HTTP/1.1 200"));
}

/// The connections from `source` that are answered, of a hundred that are all kept open.
fn places(source: Ipv4Addr, address: SocketAddr, ask_for: impl Fn(TcpStream) -> io::Result<TcpStream>) -> Vec<TcpStream> {
    let ask_for = |stream: TcpStream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        ask_for(stream)
    };
    (0..100).filter_map(|_| connect_from(source, address).and_then(ask_for).ok()).collect()
}

/// False where the server has closed; what it said before is passed over.
fn is_open(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let ended = loop {
        match stream.read(&mut [0; 4096]) {
            Ok(1..) => {}
            Ok(0) => break true,
            Err(error) => break error.kind() != ErrorKind::WouldBlock,
        }
    };
    stream.set_nonblocking(false).unwrap();
    !ended
}

fn served(site: &Site, address: SocketAddr, secure: bool, source: Ipv4Addr) {
    assert!(try_served(site, address, secure, source), "a client is not served");
}

fn try_served(site: &Site, address: SocketAddr, secure: bool, source: Ipv4Addr) -> bool {
    let Ok(mut stream) = connect_from(source, address) else { return false };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let answer = match secure {
        true => Client::new(site).shake(stream).and_then(|mut stream| ask(&mut stream, METADATA)),
        false => ask(&mut stream, METADATA),
    };
    answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// Handshakes as fast as three threads can begin them: complete ones, ones that end after the first message, and garbage.
#[test]
fn a_flood_of_handshakes_leaves_others_served_and_memory_bounded() {
    let site = Site::new("tls-flood");
    let mut server = site.start();
    served(&site, site.mtls, true, STRANGER);
    let (before, over) = (server.resident_kib(), AtomicBool::new(false));
    thread::scope(|scope| {
        for kind in 0..3_u8 {
            let (site, over) = (&site, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    flood(site, kind);
                }
            });
        }
        for _ in 0..15 {
            served(&site, site.mtls, true, STRANGER);
            pass(Duration::from_millis(100));
        }
        over.store(true, Ordering::Relaxed);
    });
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < 64 * 1024, "the server holds {grown} KiB more than before");
    assert!(server.alive() && site.ready());
}

fn flood(site: &Site, kind: u8) {
    match kind {
        0 => drop(Client::new(site).connect(site.mtls)),
        1 => {
            // The head of a record that promises a long hello.
            let stream = TcpStream::connect(site.mtls);
            drop(stream.and_then(|mut stream| stream.write_all(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")));
        }
        _ => drop(TcpStream::connect(site.mtls).and_then(|mut stream| stream.write_all(&[0xff; 2048]))),
    }
}

#[test]
fn oversized_heads_are_refused_and_others_served() {
    let site = Site::new("tls-heads");
    let mut server = site.start();
    served(&site, site.mtls, true, STRANGER);
    let before = server.resident_kib();
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(1_000_000));
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    for head in [long, many] {
        for _ in 0..20 {
            let mut stream = Client::new(&site).connect(site.mtls).unwrap();
            // A server that has heard enough may answer and close before everything is sent.
            let _sent = stream.write_all(head.as_bytes()).and_then(|()| stream.flush());
            if let Ok(answer) = answer(&mut stream) {
                assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
            }
        }
    }
    served(&site, site.mtls, true, STRANGER);
    let mut stream = Client::new(&site).connect(site.mtls).unwrap();
    assert!(ask(&mut stream, &post("/token", "")).unwrap().starts_with("HTTP/1.1 4"));
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < 64 * 1024, "the server holds {grown} KiB more than before");
    assert!(server.alive());
}
