//! The load: plain HTTP/1.1 over kept connections, on one thread, with requests that were signed beforehand.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

/// Connections to one server.
pub struct Load {
    runtime: Runtime,
    connections: Vec<Arc<tokio::sync::Mutex<Connection>>>,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// The outcome of a run.
pub struct Outcome {
    pub elapsed: Duration,
    /// From the moment at which each request was due to its answer, sorted.
    pub latencies: Vec<Duration>,
    /// The bodies of the answers, if they were wanted.
    pub bodies: Vec<Vec<u8>>,
}

/// State that all connections of a run share.
struct Run {
    requests: Vec<Vec<u8>>,
    next: AtomicUsize,
    began: Instant,
    /// The time between two requests; none to send the next one as soon as a connection is free.
    pace: Option<Duration>,
    keep: bool,
    done: Mutex<(Vec<Duration>, Vec<Vec<u8>>)>,
}

impl Load {
    pub fn new(address: SocketAddr, connections: usize) -> Self {
        // Looks at the sockets often: while pacing, tasks that wait for their moment spin.
        let runtime = Builder::new_current_thread().enable_all().event_interval(7).build().unwrap();
        let connect = || {
            let stream = runtime.block_on(TcpStream::connect(address)).unwrap();
            stream.set_nodelay(true).unwrap();
            Arc::new(tokio::sync::Mutex::new(Connection { stream, received: Vec::with_capacity(8192) }))
        };
        let connections = (0..connections).map(|_| connect()).collect();
        Self { runtime, connections }
    }

    /// Sends every request once, as many at a time as there are connections. Every answer must be 200.
    pub fn closed(&self, requests: Vec<Vec<u8>>) -> Outcome {
        self.run(requests, None, false)
    }

    /// As [`Self::closed`], keeping the answers.
    pub fn kept(&self, requests: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        self.run(requests, None, true).bodies
    }

    /// Sends `rate` requests a second, whether or not the earlier ones were answered, as far as there are connections.
    pub fn open(&self, requests: Vec<Vec<u8>>, rate: f64) -> Outcome {
        self.run(requests, Some(Duration::from_secs_f64(1.0 / rate)), false)
    }

    fn run(&self, requests: Vec<Vec<u8>>, pace: Option<Duration>, keep: bool) -> Outcome {
        let (next, done) = (AtomicUsize::new(0), Mutex::default());
        let run = Arc::new(Run { requests, next, began: Instant::now(), pace, keep, done });
        self.runtime.block_on(async {
            let work = |connection: &Arc<tokio::sync::Mutex<Connection>>| tokio::spawn(work(run.clone(), connection.clone()));
            let tasks: Vec<_> = self.connections.iter().map(work).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        let elapsed = run.began.elapsed();
        let (mut latencies, bodies) = std::mem::take(&mut *run.done.lock().unwrap());
        latencies.sort_unstable();
        Outcome { elapsed, latencies, bodies }
    }
}

impl Outcome {
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency in µs that the share `share` of the requests stays below.
    pub fn percentile(&self, share: f64) -> f64 {
        self.latencies[(share * (self.latencies.len() - 1) as f64) as usize].as_secs_f64() * 1e6
    }
}

async fn work(run: Arc<Run>, connection: Arc<tokio::sync::Mutex<Connection>>) {
    let mut connection = connection.lock().await;
    let (mut latencies, mut bodies) = (Vec::new(), Vec::new());
    loop {
        let at = run.next.fetch_add(1, Ordering::Relaxed);
        let Some(request) = run.requests.get(at) else { break };
        let due = match run.pace {
            None => Instant::now(),
            Some(pace) => until(run.began + pace.mul_f64(at as f64)).await,
        };
        let body = connection.ask(request).await;
        latencies.push(due.elapsed());
        if run.keep {
            bodies.push(body.to_vec());
        }
    }
    let mut done = run.done.lock().unwrap();
    done.0.extend(latencies);
    done.1.extend(bodies);
}

/// The runtime's own timer knows milliseconds only.
async fn until(due: Instant) -> Instant {
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
    due
}

impl Connection {
    async fn ask(&mut self, request: &[u8]) -> &[u8] {
        self.stream.write_all(request).await.unwrap();
        self.received.clear();
        loop {
            assert!(self.stream.read_buf(&mut self.received).await.unwrap() > 0, "the server closed a connection");
            if let Some(body) = complete(&self.received) {
                return &self.received[body..];
            }
        }
    }
}

/// The offset of the body, once all of it is there. Anything but 200 ends the benchmark.
fn complete(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&received[..head]).unwrap();
    let length = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let whole = received.len() == head + 4 + length.unwrap();
    if whole && !text.starts_with("HTTP/1.1 200") {
        panic!("{}", String::from_utf8_lossy(received));
    }
    whole.then_some(head + 4)
}
