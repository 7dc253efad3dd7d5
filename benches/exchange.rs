//! The cost of an exchange: `cargo bench --bench exchange`, with `-- --json` for one line of JSON at the end, with `-- --grow`
//! to show that exchanges do not slow as the store grows to 1,000,000 records. `docs/benchmarks.md` explains the figures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::cast_possible_truncation,
    unreachable_pub,
    reason = "a benchmark fails by panicking"
)]

#[path = "exchange/floor.rs"]
mod floor;
#[path = "exchange/load.rs"]
mod load;
#[path = "exchange/process.rs"]
mod process;
#[path = "exchange/report.rs"]
mod report;
#[path = "exchange/scene.rs"]
mod scene;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use countersign::commit::contract::{Select, Stored};
use countersign::store;
use floor::Sizes;
use load::Load;
use process::Process;
use report::Figures;
use scene::{Case, Scene};

const ROUNDS: usize = 3;
const IN_FLIGHT: [usize; 2] = [1, 32];
/// Exchanges of one case in one round, by number in flight.
const EXCHANGES: [usize; 2] = [1_500, 6_000];
const HTTP_REQUESTS: [usize; 2] = [4_000, 20_000];
const STARTS: usize = 9;
/// After so many exchanges memory is measured again.
const LOADED: u64 = 100_000;
/// Requests signed at a time; an assertion lives for a minute.
const CHUNK: usize = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["floor", rest @ ..] => part(rest),
        _ if on_the_other_core() => {}
        _ => bench(&words),
    }
}

/// Runs this program again on the client's core, once.
fn on_the_other_core() -> bool {
    const PINNED: &str = "EXCHANGE_BENCH_PINNED";
    if std::env::var_os(PINNED).is_some() {
        return false;
    }
    let mut again = process::pinned(process::CLIENT_CORE, &std::env::current_exe().unwrap());
    panic!("{}", again.args(std::env::args().skip(1)).env(PINNED, "1").exec())
}

/// One bare part, in a process of its own: prints CPU µs.
fn part(words: &[&str]) {
    let number = |at: usize| words[at].parse::<usize>().unwrap();
    let sizes = |from: usize| Sizes {
        assertion: number(from),
        subject: number(from + 1),
        issued: number(from + 2),
        record: number(from + 3),
        disclosure: number(from + 4),
        ..Sizes::default()
    };
    let cost = match words[0] {
        "crypto" => floor::crypto(number(1) as u32, words[2] == "own", &sizes(3)),
        "policy" => floor::cedar(scene::POLICIES),
        "applying" => floor::cedar(scene::APPLYING),
        "commit" => floor::sqlite(Path::new(words[1]), number(2), &sizes(3)),
        "http" => floor::http(number(1) as u16, number(2)),
        other => panic!("no part is called {other}"),
    };
    println!("{cost}");
}

fn bench(words: &[&str]) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("exchange-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let bench = Bench::new(folder.clone());
    if words.contains(&"--grow") {
        let to = words.iter().find_map(|word| word.strip_prefix("--records=")).map_or(1_000_000, |count| count.parse().unwrap());
        bench.grow(to);
    } else if let Some(case) = words.iter().find_map(|word| word.strip_prefix("--profile=")) {
        bench.profile(case);
    } else {
        let figures = bench.run();
        figures.print();
        if words.contains(&"--json") {
            println!("{}", figures.json());
        }
    }
    drop(bench);
    fs::remove_dir_all(&folder).unwrap();
}

struct Bench {
    folder: PathBuf,
    address: SocketAddr,
    scene: Scene,
}

impl Bench {
    fn new(folder: PathBuf) -> Self {
        let port = free_port();
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), scene: Scene::new(&folder, port), folder }
    }

    fn run(&self) -> Figures {
        let mut figures = Figures::default();
        self.start_up();
        figures.startup_ms = report::median((0..STARTS).map(|_| self.start_up()).collect());
        let server = self.start();
        std::thread::sleep(Duration::from_secs(1));
        figures.rss_idle_mb = server.resident();
        self.rounds(&server, &mut figures);
        self.latencies(&mut figures);
        self.fill(&mut figures);
        figures.rss_loaded_mb = server.resident();
        server.stop();
        figures.startup_loaded_ms = report::median((0..STARTS).map(|_| self.start_up()).collect());
        figures
    }

    fn start(&self) -> Process {
        let mut server = process::server(&self.folder);
        server.wait_for(self.address);
        server
    }

    /// Milliseconds from the start of the process to the answer to its first request.
    fn start_up(&self) -> f64 {
        let request = self.requests(Case::FirstHop, 1);
        let began = Instant::now();
        let server = self.start();
        Load::new(self.address, 1).closed(request);
        let took = began.elapsed().as_secs_f64() * 1e3;
        server.stop();
        took
    }

    /// Requests that were never sent before.
    fn requests(&self, case: Case, count: usize) -> Vec<Vec<u8>> {
        let repeated = self.scene.id_token();
        match case {
            Case::FirstHop => (0..count).map(|_| self.scene.request(0, &self.scene.id_token())).collect(),
            Case::Bound => (0..count).map(|_| self.scene.bound_request(0, &self.scene.id_token())).collect(),
            Case::Repeated => (0..count).map(|_| self.scene.request(0, &repeated)).collect(),
            Case::Asserted => (0..count).map(|_| self.scene.asserted_request(0, &self.scene.id_token())).collect(),
            Case::Itself => (0..count).map(|_| self.scene.own_request()).collect(),
            Case::HandedOver => (0..count).map(|_| self.scene.hand_over_request(&self.scene.id_token())).collect(),
            Case::ThirdHop => self.two_hops(count).iter().map(|token| self.scene.request(2, token)).collect(),
        }
    }

    /// Tokens with two hops behind them, all from one first hop.
    fn two_hops(&self, count: usize) -> Vec<String> {
        let load = Load::new(self.address, 32);
        let first = load.kept(vec![self.scene.request(0, &self.scene.id_token())]);
        let first = access_token(&first[0]);
        let second = load.kept((0..count).map(|_| self.scene.request(1, &first)).collect());
        second.iter().map(|body| access_token(body)).collect()
    }

    fn rounds(&self, server: &Process, figures: &mut Figures) {
        for round in 0..ROUNDS {
            for (at, case) in Case::ALL.into_iter().enumerate() {
                let sizes = self.sizes(case);
                for (size, in_flight) in IN_FLIGHT.into_iter().enumerate() {
                    let requests = self.requests(case, EXCHANGES[size]);
                    let load = Load::new(self.address, in_flight);
                    let (outcome, cost) = cost_of(server, &load, requests);
                    let cell = figures.cells.entry((at, in_flight)).or_default();
                    cell.parts.push(self.floor(case, in_flight, HTTP_REQUESTS[size], &sizes));
                    cell.server.push(cost);
                    cell.rate.push(outcome.rate());
                }
            }
            eprintln!("round {} of {ROUNDS}", round + 1);
        }
    }

    /// The floor of one case: crypto, HTTP, policy, commit.
    fn floor(&self, case: Case, in_flight: usize, requests: usize, sizes: &Sizes) -> [f64; 4] {
        let Sizes { assertion, subject, issued, record, disclosure, request, response } = *sizes;
        let bytes = [assertion, subject, issued, record, disclosure].map(|bytes| bytes.to_string());
        let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
        let kind = if case == Case::ThirdHop { "own" } else { "foreign" };
        let crypto = alone(&[&["crypto", &case.verifications().to_string(), kind], &bytes[..]].concat());
        let policy = alone(&["policy"]);
        let commit = alone(&[&["commit", self.folder.to_str().unwrap(), &in_flight.to_string()], &bytes[..]].concat());
        [crypto, self.bare_http(in_flight, requests, request, response), policy, commit]
    }

    /// CPU µs of one bare form POST of `request` bytes, answered with `response` bytes.
    fn bare_http(&self, in_flight: usize, count: usize, request: usize, response: usize) -> f64 {
        let port = free_port();
        let mut command = process::pinned(process::SERVER_CORE, &std::env::current_exe().unwrap());
        let mut server = Process::spawn(command.args(["floor", "http", &port.to_string(), &response.to_string()]));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        server.wait_for(address);
        let mut sample = self.scene.request(0, &"x".repeat(request / 3));
        let fill = request.saturating_sub(sample.len());
        sample = self.scene.request(0, &"x".repeat(request / 3 + fill));
        let load = Load::new(address, in_flight);
        load.closed(vec![sample.clone(); 500]);
        cost_of(&server, &load, vec![sample; count]).1
    }

    /// How large things are in this case, as the server made them.
    fn sizes(&self, case: Case) -> Sizes {
        let request = self.requests(case, 1).remove(0);
        let text = String::from_utf8(request.clone()).unwrap();
        let value = |name: &str| text.split(&format!("&{name}=")).nth(1)?.split('&').next().map(str::len);
        let field = |name: &str| value(name).unwrap_or_default();
        let answers = Load::new(self.address, 1).kept(vec![request.clone()]);
        let store = self.folder.join("data/commit.sqlite");
        let store = rusqlite::Connection::open_with_flags(store, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let length = |sql: &str| store.query_row(sql, [], |row| row.get::<_, usize>(0)).unwrap();
        Sizes {
            assertion: field("client_assertion"),
            subject: field("subject_token").max(field("assertion")),
            issued: access_token(&answers[0]).len(),
            record: self.newest().record.len(),
            disclosure: length("SELECT length(sealed) - 28 FROM disclosures ORDER BY idx DESC LIMIT 1"),
            request: request.len(),
            response: answers[0].len(),
        }
    }

    /// The newest record.
    fn newest(&self) -> Stored {
        let reader = store::reader(&self.folder.join("data")).unwrap();
        reader.records(Select::All, reader.count().unwrap() - 1, 1).unwrap().remove(0)
    }

    /// Latencies at half of the rate that 32 in flight reached.
    fn latencies(&self, figures: &mut Figures) {
        for (at, case) in Case::ALL.into_iter().enumerate() {
            let rate = report::median(figures.cells[&(at, 32)].rate.clone()) / 2.0;
            let load = Load::new(self.address, 64);
            load.closed(self.requests(case, 200));
            let outcome = load.open(self.requests(case, (rate * 3.0) as usize), rate);
            figures.latency.insert(at, (outcome.percentile(0.5), outcome.percentile(0.99), rate));
        }
    }

    /// Exchanges until there were as many as memory is to be measured after.
    fn fill(&self, figures: &mut Figures) {
        let load = Load::new(self.address, 32);
        while self.records() < LOADED {
            let missing = (LOADED - self.records()) as usize;
            load.closed(self.requests(Case::FirstHop, missing.min(CHUNK)));
        }
        figures.records = self.records();
    }

    fn records(&self) -> u64 {
        // The server listens before its store is there.
        store::reader(&self.folder.join("data")).and_then(|reader| reader.count()).unwrap_or(0)
    }

    /// Exchanges until the store holds `to` records; tells on the way what one costs.
    fn grow(&self, to: u64) {
        let server = self.start();
        let load = Load::new(self.address, 32);
        println!("{:>9}{:>12}{:>12}{:>9}{:>10}", "records", "server µs", "per second", "p99 µs", "RSS MB");
        let step = (to / 20).max(CHUNK as u64);
        let (mut costs, mut next) = (Vec::new(), step);
        while self.records() < to {
            let (outcome, cost) = cost_of(&server, &load, self.requests(Case::FirstHop, CHUNK));
            costs.push((cost, outcome.rate(), outcome.percentile(0.99)));
            let records = self.records();
            if records >= next {
                next += step;
                let of = |figure: &dyn Fn(&(f64, f64, f64)) -> f64| report::median(costs.iter().map(figure).collect());
                let (cost, rate, p99) = (of(&|all| all.0), of(&|all| all.1), of(&|all| all.2));
                println!("{records:>9}{cost:>12.1}{rate:>12.0}{p99:>9.0}{:>10.1}", server.resident());
                costs.clear();
            }
        }
        drop(load);
        server.stop();
        let starts = report::median((0..STARTS).map(|_| self.start_up()).collect());
        println!("start to first exchange with {} records: {starts:.1} ms", self.records());
    }

    /// Keeps the server busy with one case for a while, and tells which of its threads did what.
    fn profile(&self, case: &str) {
        let case = Case::ALL.into_iter().find(|known| known.name() == case).unwrap();
        let server = self.start();
        let set = |name, default| std::env::var(name).map_or(default, |count| count.parse().unwrap());
        let load = Load::new(self.address, set("IN_FLIGHT", 32));
        // It listens before its store is there; the first answer comes after.
        load.closed(self.requests(case, 1));
        println!("server process {}", server.id());
        for _ in 0..set("CHUNKS", 5) {
            let (before, records) = (server.threads(), self.records());
            let requests = self.requests(case, set("CHUNK", CHUNK));
            let (outcome, cost) = cost_of(&server, &load, requests);
            let grown = (self.records() - records) as f64;
            let used = server
                .threads()
                .into_iter()
                .zip(before)
                .map(|((name, after), (_, before))| format!("{name} {:.1}", (after - before) as f64 / 1e3 / grown));
            println!("{cost:.1} µs at {:.0}/s: {}", outcome.rate(), used.collect::<Vec<_>>().join(", "));
        }
        drop(load);
        server.stop();
    }
}

/// Sends `requests` and tells what each cost the process, in CPU µs.
fn cost_of(server: &Process, load: &Load, requests: Vec<Vec<u8>>) -> (load::Outcome, f64) {
    let (before, count) = (server.cpu(), requests.len());
    let outcome = load.closed(requests);
    (outcome, (server.cpu() - before) as f64 / 1e3 / count as f64)
}

/// Runs one bare part in a process of its own.
fn alone(words: &[&str]) -> f64 {
    let mut command = process::pinned(process::SERVER_CORE, &std::env::current_exe().unwrap());
    let output = command.arg("floor").args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn access_token(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
