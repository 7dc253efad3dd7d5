//! The time that others wait while one is hostile: `cargo bench --bench hostile`. Two clients ask at a steady pace, alone and
//! then beside one that sends as fast as it can in each of many ways, all of them on one core and the server on another.
//! `docs/benchmarks.md` explains the figures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking"
)]
#![allow(unreachable_pub, reason = "parts of the tests are used here")]

#[path = "../tests/it/support/party.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod party;
#[path = "server/mod.rs"]
mod server;
#[path = "../tests/it/hostile/ways.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod ways;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use countersign_conformance::Profile;
use party::{Party, claims, form};
use serde_json::{Value, json};
use server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use ways::{Hostile, Sends, WAYS, Way};

/// Requests a second of each of the others.
const PACE: u32 = 100;
const SECONDS: u32 = 5;
/// The last part of its address.
const HOSTILE: u8 = 1;
/// Connections of the hostile.
const CONNECTIONS: usize = 64;
/// Requests that it has at hand, and begins anew with at the end.
const AT_HAND: usize = 8_000;

fn main() {
    let _raised = rlimit::increase_nofile_limit(u64::MAX);
    let server =
        Server::start("hostile", &[("COUNTERSIGN__LIMITS__REQUESTS_PER_SECOND", "1000"), ("COUNTERSIGN__LIMITS__WORKERS", "1")]);
    let profile = Profile::load(&server.profile).unwrap();
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    pin(server.id(), 0);
    pin(std::process::id(), 1);
    let quiet = others(&server, &profile);
    println!("{:<52} {:>8} {:>8} {:>6}  statuses of the others; of the hostile", "", "p50 us", "p99 us", "times");
    report("nobody is hostile", &quiet, &quiet, &BTreeMap::new());
    for way in WAYS.iter().filter(|way| filter.as_ref().is_none_or(|filter| way.name.contains(filter.as_str()))) {
        let attack = Attack::new(&server, &profile, way);
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            behind();
            attack.run(&theirs)
        });
        let seen = others(&server, &profile);
        stop.store(true, Ordering::Relaxed);
        report(way.name, &seen, &quiet, &thread.join().unwrap());
        // What it holds is free again, and what it began is over.
        thread::sleep(Duration::from_secs(2));
    }
}

/// All threads of a process run on this core from now on: the server has one for itself.
fn pin(process: u32, core: u8) {
    let done = Command::new("taskset").args(["-apc", &core.to_string(), &process.to_string()]).stdout(Stdio::null()).status();
    assert!(done.is_ok_and(|done| done.success()), "taskset is needed");
}

/// This thread gives way to the others': their clocks are not to wait for the one who is hostile.
fn behind() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    let thread = thread.file_name().unwrap().to_str().unwrap();
    let done = Command::new("renice").args(["-n", "19", "-p", thread]).stdout(Stdio::null()).status();
    assert!(done.is_ok_and(|done| done.success()), "renice is needed");
}

fn report(name: &str, seen: &Seen, quiet: &Seen, hostile: &BTreeMap<u16, usize>) {
    let times = seen.percentile(0.99) / quiet.percentile(0.99);
    println!(
        "{name:<52} {:>8.0} {:>8.0} {times:>6.1}  {:?}; {hostile:?}",
        seen.percentile(0.5),
        seen.percentile(0.99),
        seen.statuses
    );
}

/// The times that others waited, sorted, and what they were answered.
#[derive(Default)]
struct Seen {
    micros: Vec<f64>,
    statuses: BTreeMap<u16, usize>,
}

impl Seen {
    fn percentile(&self, share: f64) -> f64 {
        self.micros[(share * (self.micros.len() - 1) as f64) as usize]
    }
}

/// Two clients, each from an address of its own on connections that it keeps: one exchanges, one introspects.
fn others(server: &Server, profile: &Profile) -> Seen {
    let (orchestrator, gateway) = (Party::new(profile, "orchestrator"), Party::new(profile, "gateway"));
    let count = (PACE * SECONDS) as usize;
    let (exchanger, asker) = (Hostile::new(orchestrator), Hostile::new(gateway));
    let exchanges = (0..count).map(|_| exchanger.exchanges(&json!({}), "https://crm.example")).collect();
    let asks = (0..count).map(|_| asker.asks("/introspect", &[("token", "rubbish")], 60)).collect();
    let address = server.public;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut seen = Seen::default();
    runtime.block_on(async {
        let (one, other) = tokio::join!(paced(address, 2, exchanges), paced(address, 3, asks));
        for (micros, status) in one.into_iter().chain(other) {
            seen.micros.push(micros);
            *seen.statuses.entry(status).or_default() += 1;
        }
    });
    seen.micros.sort_by(f64::total_cmp);
    seen
}

/// Sends each request at its time, on eight connections in turn, and measures from that time on.
async fn paced(address: SocketAddr, number: u8, requests: Vec<Vec<u8>>) -> Vec<(f64, u16)> {
    let began = Instant::now() + Duration::from_millis(200);
    let mut lanes: Vec<Vec<(Instant, Vec<u8>)>> = vec![Vec::new(); 8];
    for (at, request) in requests.into_iter().enumerate() {
        lanes[at % 8].push((began + Duration::from_secs(1) / PACE * u32::try_from(at).unwrap(), request));
    }
    let lanes: JoinSet<_> = lanes.into_iter().map(|lane| paced_lane(address, number, lane)).collect();
    lanes.join_all().await.concat()
}

async fn paced_lane(address: SocketAddr, number: u8, requests: Vec<(Instant, Vec<u8>)>) -> Vec<(f64, u16)> {
    let (mut stream, mut seen) = (connect(address, number).await, Vec::new());
    for (due, request) in requests {
        tokio::time::sleep_until(due.into()).await;
        // The timer counts in milliseconds; what it is late by is not the server's.
        let sent = Instant::now();
        let status = ask(&mut stream, &request).await;
        seen.push((sent.elapsed().as_secs_f64() * 1e6, status));
        if status == 0 {
            stream = connect(address, number).await;
        }
    }
    seen
}

async fn connect(address: SocketAddr, number: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 3, 0, number), 0))).unwrap();
    if number == HOSTILE {
        // Else so many closed connections keep their ports for a minute that looking for a free one holds up everybody here.
        socket.set_zero_linger().unwrap();
    }
    let stream = socket.connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The status of the answer; 0 where the connection is closed instead.
async fn ask(stream: &mut TcpStream, request: &[u8]) -> u16 {
    if stream.write_all(request).await.is_err() {
        return 0;
    }
    let mut answer = Vec::with_capacity(4096);
    loop {
        if !matches!(stream.read_buf(&mut answer).await, Ok(1..)) {
            return 0;
        }
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
        if answer.len() >= head + 4 + length {
            return text.split(' ').nth(1).unwrap().parse().unwrap();
        }
    }
}

/// One that is hostile in a way, with what it sends.
struct Attack {
    address: SocketAddr,
    sends: &'static Sends,
    requests: Vec<Vec<u8>>,
}

impl Attack {
    fn new(server: &Server, profile: &Profile, way: &'static Way) -> Self {
        let by = Hostile::new(Party::new(profile, "analyst"));
        let address = server.public;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        by.holds(runtime.block_on(async {
            let mut tokens = Vec::new();
            for _ in 0..64 {
                tokens.push(token(address, &by.exchanges(&json!({}), "https://crm.example")).await);
            }
            tokens
        }));
        let (Sends::Asks(make) | Sends::Connects(make) | Sends::Idles(make) | Sends::Begins(make)) = way.sends;
        Self { address, sends: &way.sends, requests: (0..AT_HAND).map(|_| make(&by)).collect() }
    }

    /// Sends until it is told to stop.
    fn run(self, stop: &Arc<AtomicBool>) -> BTreeMap<u16, usize> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let all = Arc::new(self);
        runtime.block_on(async {
            let lanes: JoinSet<_> = (0..CONNECTIONS).map(|lane| Arc::clone(&all).lane(lane, Arc::clone(stop))).collect();
            let mut all = BTreeMap::new();
            for answered in lanes.join_all().await {
                answered.into_iter().for_each(|(status, count)| *all.entry(status).or_default() += count);
            }
            all
        })
    }

    async fn lane(self: Arc<Self>, lane: usize, stop: Arc<AtomicBool>) -> BTreeMap<u16, usize> {
        let (mut answered, mut held) = (BTreeMap::new(), Vec::new());
        let mut kept = connect(self.address, HOSTILE).await;
        for request in self.requests.iter().cycle().skip(lane * AT_HAND / CONNECTIONS) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let status = match self.sends {
                Sends::Asks(_) => ask(&mut kept, request).await,
                Sends::Connects(_) => ask(&mut connect(self.address, HOSTILE).await, request).await,
                Sends::Idles(_) => {
                    held.push(connect(self.address, HOSTILE).await);
                    ask(held.last_mut().unwrap(), request).await
                }
                Sends::Begins(_) => {
                    held.push(connect(self.address, HOSTILE).await);
                    u16::from(held.last_mut().unwrap().write_all(request).await.is_ok())
                }
            };
            if status == 0 && matches!(self.sends, Sends::Asks(_)) {
                kept = connect(self.address, HOSTILE).await;
            }
            // As many as it can keep open itself.
            if held.len() > 200 {
                held.remove(0);
            }
            *answered.entry(status).or_default() += 1;
        }
        answered
    }
}

async fn token(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(address, HOSTILE).await;
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    loop {
        stream.read_buf(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer);
        let body = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
        if let Some(token) = body.and_then(|body| body["access_token"].as_str().map(str::to_owned)) {
            return token;
        }
    }
}
