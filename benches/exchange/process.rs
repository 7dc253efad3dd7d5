//! Other processes: started on a core of their own where there are two, measured by `/proc`, ended by signal.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::scene::Scene;

/// The core of the server and of the floor's parts; the load client has the other one.
pub const SERVER_CORE: &str = "0";
pub const CLIENT_CORE: &str = "1";

/// A child process; killed when dropped.
pub struct Process {
    child: Child,
}

/// `program` on core `core`, if this machine has `taskset` and a second core.
pub fn pinned(core: &str, program: &Path) -> Command {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if !Path::new("/usr/bin/taskset").exists() || (cores < 2 && std::env::var_os("EXCHANGE_BENCH_PINNED").is_none()) {
        return Command::new(program);
    }
    let mut command = Command::new("/usr/bin/taskset");
    command.args(["-c", core]).arg(program);
    command
}

/// The release binary, or another one that `EXCHANGE_BENCH_SERVER` names, serving `folder` with its data in `folder/data`.
pub fn server(folder: &Path) -> Process {
    let other = std::env::var("EXCHANGE_BENCH_SERVER");
    let program = other.unwrap_or_else(|_| env!("CARGO_BIN_EXE_countersign").to_owned());
    let mut command = pinned(SERVER_CORE, Path::new(&program));
    command.arg("serve").arg("--config").arg(Scene::settings(folder)).arg("--data").arg(folder.join("data"));
    Process::spawn(command.current_dir(folder))
}

impl Process {
    pub fn spawn(command: &mut Command) -> Self {
        let log = std::env::var_os("EXCHANGE_BENCH_LOG").map_or(Stdio::null(), |_| Stdio::inherit());
        Self { child: command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap() }
    }

    /// Waits until something listens at `address`.
    pub fn wait_for(&mut self, address: SocketAddr) {
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "the process ended at once; EXCHANGE_BENCH_LOG=1 shows why");
            assert!(began.elapsed() < Duration::from_secs(300), "nothing listens at {address}");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Nanoseconds of CPU that the threads of the process have used.
    pub fn cpu(&self) -> u64 {
        cpu_by_thread(self.child.id()).iter().map(|(_, used)| used).sum()
    }

    /// Nanoseconds of CPU of each thread, by its name.
    pub fn threads(&self) -> Vec<(String, u64)> {
        cpu_by_thread(self.child.id())
    }

    /// Resident memory in MB (10⁶ bytes).
    pub fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() * 1024.0 / 1e6
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, and waits.
    pub fn stop(mut self) {
        // It answers a moment before it listens to signals.
        std::thread::sleep(Duration::from_millis(50));
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(asked.success() && self.child.wait().unwrap().success(), "the process did not stop cleanly");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// Nanoseconds of CPU that the calling thread has used.
pub fn own_cpu() -> u64 {
    used(&fs::read_to_string("/proc/thread-self/schedstat").unwrap())
}

fn cpu_by_thread(process: u32) -> Vec<(String, u64)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|task| task.unwrap().path());
    let read = |task: std::path::PathBuf| {
        let name = fs::read_to_string(task.join("comm")).ok()?.trim().to_owned();
        Some((name, used(&fs::read_to_string(task.join("schedstat")).ok()?)))
    };
    tasks.filter_map(read).collect()
}

fn used(schedstat: &str) -> u64 {
    schedstat.split(' ').next().unwrap().parse().unwrap()
}
