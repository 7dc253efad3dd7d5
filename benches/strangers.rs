//! The cost of strangers: `cargo bench --bench strangers`. The first answer of a new client while 10,000 idle connections of 20
//! addresses are open, and the time that a refusal takes for a client that there is and for one that there is not.
//! `docs/benchmarks.md` explains the figures.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss, reason = "a benchmark fails by panicking")]

#[path = "server/mod.rs"]
mod server;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Instant;

use server::Server;

const IDLE: usize = 10_000;
const ADDRESSES: u8 = 20;
const NEWCOMERS: u8 = 200;
const REFUSALS: usize = 5_000;
const GET: &[u8] = b"GET /jwks HTTP/1.1\r\nhost: a\r\n\r\n";

fn main() {
    let needed = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(needed > 12_000, "the benchmark itself needs open files for {IDLE} connections");
    let server = Server::start("strangers", &[("COUNTERSIGN__LIMITS__STRANGERS_BURST", "1000000")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connect = |source: Ipv4Addr| -> io::Result<TcpStream> {
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((source, 0)))?;
            socket.connect(server.public).await?.into_std()
        })?;
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let quiet = first_answers(&connect, 3);
    let idle: Vec<TcpStream> = (0..IDLE)
        .filter_map(|number| {
            let hog = u8::try_from(number % usize::from(ADDRESSES)).unwrap();
            let mut stream = connect(Ipv4Addr::new(127, 0, 2, hog + 1)).ok()?;
            ask(&mut stream, GET).ok().map(|_| stream)
        })
        .collect();
    println!("{} of {IDLE} connections of {ADDRESSES} addresses were answered and are kept idle", idle.len());
    let busy = first_answers(&connect, 4);
    println!("the first answer of a new client: median {} us, slowest {} us", busy[busy.len() / 2], busy[busy.len() - 1]);
    println!("without the others: median {} us, slowest {} us", quiet[quiet.len() / 2], quiet[quiet.len() - 1]);
    drop(idle);
    let mut stream = connect(Ipv4Addr::LOCALHOST).unwrap();
    for client in ["legacy-post", "nobody"] {
        let body = format!("token=x&client_id={client}&client_secret=wrong");
        let head = "POST /introspect HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded";
        let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes();
        let (before, began) = (server.cpu(), Instant::now());
        (0..REFUSALS).for_each(|_| drop(ask(&mut stream, &request).unwrap()));
        let each = |micros: f64| micros / REFUSALS as f64;
        let (cpu, wall) = (each(server.cpu() - before), each(began.elapsed().as_secs_f64() * 1e6));
        println!("a refusal of {client}: {cpu:.0} us of CPU, {wall:.0} us of wall time");
    }
}

/// The times in microseconds from connecting to the first answer, of new clients, sorted.
fn first_answers(connect: &impl Fn(Ipv4Addr) -> io::Result<TcpStream>, network: u8) -> Vec<u128> {
    let mut times: Vec<u128> = (1..=NEWCOMERS)
        .map(|number| {
            let began = Instant::now();
            let mut stream = connect(Ipv4Addr::new(127, 0, network, number)).unwrap();
            ask(&mut stream, GET).unwrap();
            began.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    times
}

/// Sends a request and reads an answer with a length.
fn ask(stream: &mut TcpStream, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let (mut answer, mut bytes) = (Vec::new(), [0; 8192]);
    loop {
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&bytes[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
        if body.len() >= length {
            return Ok(answer);
        }
    }
}
