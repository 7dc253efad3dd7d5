//! Clients that take time and places: each is bounded, and others are served meanwhile.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::METADATA;
use super::client::{Client, answer, ask, connect_from, post};
use crate::support::Site;
use crate::support::patience::{PATIENCE, pass, until};

const HALF_A_HEAD: &[u8] = b"POST /token HTTP/1.1\r\nhost: a\r\nx-slow: ";
const HALF_A_BODY: &[u8] =
    b"POST /token HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 1000\r\n\r\ngrant";

/// Everybody else, while others misbehave.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A slow client sends a byte now and then, and gives up its place all the same.
#[test]
fn slow_clients_give_up_their_places() {
    let site = Site::new("tls-slow");
    let _server = site.start();
    let slow = |name: &'static str, secure: bool, start: Vec<u8>| {
        let (address, client) = (if secure { site.mtls } else { site.public }, Client::new(&site));
        thread::spawn(move || match secure {
            true => (name, drip(&mut client.connect(address).unwrap(), &start)),
            false => (name, drip(&mut TcpStream::connect(address).unwrap(), &start)),
        })
    };
    let second_head = [METADATA, HALF_A_HEAD].concat();
    let second_body = [METADATA, HALF_A_BODY].concat();
    let clients = [
        slow("head", false, HALF_A_HEAD.to_vec()),
        slow("body", false, HALF_A_BODY.to_vec()),
        slow("second head", false, second_head.clone()),
        slow("second body", false, second_body),
        slow("head in TLS", true, HALF_A_HEAD.to_vec()),
        slow("body in TLS", true, HALF_A_BODY.to_vec()),
        slow("second head in TLS", true, second_head),
    ];
    let health = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".as_slice();
    let operators = [("head", HALF_A_HEAD.to_vec()), ("second head", [health, HALF_A_HEAD].concat())].map(|(name, start)| {
        let (ops, local, again) = (site.ops, site.fixture.data.join("ops.sock"), start.clone());
        let at_the_address = thread::spawn(move || (name, drip(&mut TcpStream::connect(ops).unwrap(), &start)));
        let at_the_socket = thread::spawn(move || (name, drip(&mut UnixStream::connect(&local).unwrap(), &again)));
        [at_the_address, at_the_socket]
    });
    let mut silent = TcpStream::connect(site.mtls).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(silent.read(&mut [0; 1]).unwrap_or(0), 0, "whoever begins no handshake is not waited for");
    for client in clients.into_iter().chain(operators.into_iter().flatten()) {
        let (name, ended) = client.join().unwrap();
        assert!(ended, "{name}: the connection is still open");
    }
}

/// Sends `start`, then a byte a second, until the server has closed.
fn drip(stream: &mut (impl Read + Write + Timed), start: &[u8]) -> bool {
    stream.wait_at_most(Duration::from_secs(1));
    if stream.write_all(start).is_err() {
        return true;
    }
    for _ in 0..PATIENCE.as_secs() {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return true,
        }
        if stream.write_all(b"a").is_err() {
            return true;
        }
    }
    false
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
        until("another client is served while one address holds all the places that it may", || {
            let taken: Vec<TcpStream> = (0..300).map(|_| connect_from(greedy, address).unwrap()).collect();
            // A refused one is closed at once, a half-open one is waited for.
            until("no more are open than may be", || open(&taken) <= 64);
            served(&site, address, secure, STRANGER);
            open(&taken) > 0
        });
        site.wait("its places are given back", || try_served(&site, address, secure, greedy));
    }
}

#[test]
fn one_address_does_not_take_the_operators_places() {
    let site = Site::new("tls-ops-places");
    let _server = site.start();
    let greedy = Ipv4Addr::new(127, 0, 0, 4);
    until("an operator is served while one address holds all the places that it may", || {
        let taken: Vec<TcpStream> = (0..200).map(|_| connect_from(greedy, site.ops).unwrap()).collect();
        until("no more are open than may be", || open(&taken) <= 32);
        site.ready() && open(&taken) > 0
    });
    let mut local = UnixStream::connect(site.fixture.data.join("ops.sock")).unwrap();
    assert!(ask(&mut local, b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").unwrap().starts_with("HTTP/1.1 200"));
}

/// How many of the connections the server has not closed.
fn open(streams: &[TcpStream]) -> usize {
    let is_open = |stream: &&TcpStream| {
        stream.set_nonblocking(true).unwrap();
        matches!(stream.peek(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    };
    streams.iter().filter(is_open).count()
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
