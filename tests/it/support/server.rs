//! The real binary, on free ports, with the configuration of the conformance cases.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use countersign_conformance::fixture::{self, Addresses, Fixture};
use countersign_conformance::{IssuerServer, Profile, Report, run};

use super::http::{get, post_form};
use super::party::{Party, form};
use super::patience::until;

/// A folder with a configuration, and the addresses that it names. Removed when the test succeeded.
pub struct Site {
    /// Everything lies in here.
    pub folder: PathBuf,
    /// The files.
    pub fixture: Fixture,
    /// Where tokens are asked for.
    pub public: SocketAddr,
    /// Where certificates are asked for.
    pub mtls: SocketAddr,
    /// Where health is told.
    pub ops: SocketAddr,
}

/// A running server; it is killed when this is dropped.
pub struct Server {
    child: Child,
}

impl Site {
    /// Writes a configuration into a fresh folder.
    pub fn new(name: &str) -> Self {
        let folder = scratch(name);
        let (public, ops, mtls, idp) = (free(), free(), free(), free());
        let addresses = Addresses {
            issuer: format!("http://{public}"),
            public: public.to_string(),
            ops: ops.to_string(),
            mtls: mtls.to_string(),
            idp: idp.to_string(),
        };
        let fixture = fixture::write(&folder, &addresses).expect("the configuration can be written");
        Self { folder, fixture, public, ops, mtls }
    }

    /// The parties that the configuration knows.
    pub fn profile(&self) -> Profile {
        Profile::load(&self.fixture.profile).expect("the profile can be read")
    }

    /// Starts a server and waits until it takes records.
    pub fn start(&self) -> Server {
        self.start_with(&[])
    }

    /// Starts a server with some environment variables more, and waits until it takes records.
    pub fn start_with(&self, environment: &[(&str, &Path)]) -> Server {
        let mut server = self.launch(environment);
        self.wait_ready(&mut server);
        server
    }

    /// Starts a server with some environment variables more.
    pub fn launch(&self, environment: &[(&str, &Path)]) -> Server {
        self.launch_in(&[], environment)
    }

    /// Starts a server as the end of the command `before`.
    pub fn launch_in(&self, before: &[&str], environment: &[(&str, &Path)]) -> Server {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut words = before.iter().copied().chain([env!("CARGO_BIN_EXE_countersign")]);
        let child = Command::new(words.next().unwrap())
            .args(words)
            .arg("serve")
            .arg("--config")
            .arg(&self.fixture.config)
            .arg("--data")
            .arg(&self.fixture.data)
            .current_dir(&self.folder)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the server can be started");
        Server { child }
    }

    /// Starts a server and runs every conformance case against it.
    pub fn conform(&self) -> (Server, Report) {
        self.conform_with(&self.profile(), &[], None)
    }

    /// Starts a server with some environment variables more, and runs those cases against it whose names contain `filter`.
    pub fn conform_with(&self, profile: &Profile, environment: &[(&str, &Path)], filter: Option<&str>) -> (Server, Report) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        // The issuers first: a server that could not fetch keys waits before it tries again.
        let _issuers = runtime.block_on(IssuerServer::serve_all(profile)).unwrap();
        let server = self.start_with(environment);
        let report = runtime.block_on(run(profile, Path::new(fixture::CASES), filter));
        (server, report.unwrap_or_else(|error| panic!("{error}")))
    }

    /// Plays the issuers that are found over the network, until what it returns is dropped.
    pub fn issuers(&self) -> (tokio::runtime::Runtime, Vec<IssuerServer>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let issuers = runtime.block_on(IssuerServer::serve_all(&self.profile())).unwrap();
        (runtime, issuers)
    }

    /// Where the server's words go.
    pub fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// How often the log says `words`.
    pub fn said(&self, words: &str) -> usize {
        fs::read_to_string(self.log()).unwrap().matches(words).count()
    }

    /// Whether the agent of the CRM is told that `token` is active.
    pub fn active(&self, token: &str) -> bool {
        let assertion = Party::new(&self.profile(), "crm-agent").assertion();
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let body = form(&[("client_assertion_type", kind), ("client_assertion", &assertion), ("token", token)]);
        let reply = post_form(self.public, "/introspect", &body).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["active"] == true
    }

    /// The reason that the metrics give for a configuration that is not in force.
    pub fn pending(&self) -> String {
        let text = get(self.ops, "/metrics").map(|reply| reply.text).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("countersign_configuration_pending{") && line.ends_with(" 1"));
        line.and_then(|line| line.split('"').nth(1)).unwrap_or_default().to_owned()
    }

    /// Whether the server says that it takes records.
    pub fn ready(&self) -> bool {
        get(self.ops, "/readyz").is_ok_and(|reply| reply.status == 200)
    }

    /// Waits until `what` holds.
    pub fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        until(what, holds);
    }

    /// Waits until a server takes records.
    pub fn wait_ready(&self, server: &mut Server) {
        until("the server is ready", || {
            if let Some(status) = server.child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.words());
            }
            self.ready()
        });
    }

    fn words(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Server {
    /// SIGKILL: nothing is finished, nothing is said.
    pub fn kill(mut self) {
        self.end();
    }

    /// SIGTERM: everything is finished.
    pub fn stop(mut self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "the server cannot be told");
        assert!(self.child.wait().unwrap().success(), "it ends in order");
    }

    /// SIGHUP: the configuration is read again.
    pub fn hang_up(&self) {
        let told = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "the server cannot be told");
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn end(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("what the server left is in {}; its last words:\n{}", self.folder.display(), self.words());
        } else {
            let _kept = fs::remove_dir_all(&self.folder);
        }
    }
}

/// An empty folder of that name.
pub fn scratch(name: &str) -> PathBuf {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{number}", std::process::id()));
    let _absent = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A port below those that the system gives to outgoing connections, so that none takes it while a server restarts.
pub fn free() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
