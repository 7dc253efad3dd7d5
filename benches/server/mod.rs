//! A server on the configuration of the conformance cases, for benchmarks that measure it from outside.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use countersign_conformance::fixture::{self, Addresses};

/// It is killed, and its folder removed, when this is dropped.
pub(crate) struct Server {
    /// The folder with its configuration, keys and data.
    pub(crate) folder: PathBuf,
    /// The profile of the conformance cases.
    pub(crate) profile: PathBuf,
    /// Its address for plain HTTP.
    pub(crate) public: SocketAddr,
    /// Its address for TLS with client certificates.
    pub(crate) mtls: SocketAddr,
    process: Child,
}

impl Server {
    /// Starts it with these variables in its environment; `name` is the benchmark's.
    pub(crate) fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}-{}", std::process::id()));
        let [public, ops, mtls, idp] = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        let addresses = Addresses {
            issuer: format!("http://{public}"),
            public: public.to_string(),
            ops: ops.to_string(),
            mtls: mtls.to_string(),
            idp: idp.to_string(),
        };
        let fixture = fixture::write(&folder, &addresses).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["serve".as_ref(), "--config".as_ref(), fixture.config.as_os_str()])
            .args(["--data".as_ref(), fixture.data.as_os_str()])
            .envs(variables.iter().copied())
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while TcpStream::connect(mtls).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "the server does not start");
            thread::sleep(Duration::from_millis(20));
        }
        Self { profile: fixture.profile, folder, public, mtls, process }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// User and system time so far, in microseconds; the system counts in hundredths of a second.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) * 10_000.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
        let _kept = fs::remove_dir_all(&self.folder);
    }
}
