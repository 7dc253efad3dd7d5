//! The cost of the tree, on one core and without disk, and of a log of 1,000,000 records on disk:
//! `cargo bench --bench ledger`, or the latter alone with `-- disk`, or
//! finding among so many records with `-- find 1000000`.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a benchmark fails by panicking")]

#[path = "ledger/disk.rs"]
mod disk;
#[path = "ledger/find.rs"]
mod find;

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::time::Instant;

use countersign::crypto::SignKey;
use countersign::ledger::{Checkpoint, Edge, KeyName, LogFiles, NoteSigner, TileNodes, TlogProof, audit};

const SIZE: u64 = 1_000_000;
const ENTRY_BYTES: usize = 1_000;
/// Records between two checkpoints: 10,000 a second at two checkpoints a second.
const STEP: u64 = 5_000;

#[derive(Default)]
struct Memory(HashMap<String, Vec<u8>>);

impl LogFiles for Memory {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(path).cloned())
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "disk") {
        return disk::measure(SIZE);
    }
    append("append, drop", drop);
    if let Some(size) = std::env::args().skip_while(|argument| argument != "find").nth(1) {
        return find::measure(size.parse().unwrap());
    }
    let mut files = Memory::default();
    let edge = append("append, keep", |(path, bytes)| drop(files.0.insert(path, bytes)));

    let name = KeyName::parse("log.example/ledger").unwrap();
    let signer = NoteSigner::new(name.clone(), SignKey::from_seed(&[1; 32]).unwrap());
    let head = Checkpoint::new(name, SIZE, edge.root());
    let note = timed("checkpoint", 100, || head.sign(&[&signer]).unwrap());
    timed("load edge", 100, || assert_eq!(Edge::load(&files, SIZE).unwrap().root(), head.root()));
    let mut index = 0;
    timed("build proof", 1_000, || {
        index = (index + 617_283) % SIZE;
        TlogProof::build(&mut TileNodes::new(&files, SIZE), index, &head, &note).unwrap()
    });
    let started = Instant::now();
    let report = audit(&files, &[head], |_, _| Ok::<_, Infallible>(())).unwrap();
    println!("audit          {:8.0} records per second", report.entries as f64 / started.elapsed().as_secs_f64());
    drop(files);
    disk::measure(SIZE);
}

/// Grows a log to its size; what becomes of the files is the caller's, and timed too.
fn append(what: &str, mut file: impl FnMut((String, Vec<u8>))) -> Edge {
    let (mut edge, mut entry) = (Edge::empty(), vec![b'x'; ENTRY_BYTES]);
    let started = Instant::now();
    while edge.size() < SIZE {
        entry.iter_mut().zip(edge.size().to_be_bytes()).for_each(|(to, from)| *to = from);
        edge.append(&entry).unwrap();
        if edge.size().is_multiple_of(STEP) {
            edge.take().into_iter().for_each(|(tile, bytes)| file((tile.to_string(), bytes)));
        }
    }
    println!("{what:14} {:8.3} us per record of {ENTRY_BYTES} bytes", started.elapsed().as_secs_f64() * 1e6 / SIZE as f64);
    edge
}

fn timed<T>(what: &str, times: u32, mut run: impl FnMut() -> T) -> T {
    let started = Instant::now();
    (1..times).for_each(|_| drop(run()));
    let last = run();
    println!("{what:14} {:8.1} us", started.elapsed().as_secs_f64() * 1e6 / f64::from(times));
    last
}
