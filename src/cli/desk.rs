//! Where local administration is done: by the socket of the server that runs on a data folder, or on the folder itself where none
//! does. Both say the same.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::launch::{complaints, material, with_causes};
use super::output::Failed;
use super::wire::{Answer, Wire};
use crate::commit::contract::{RecordReader, StoreReason};
use crate::commit::{self, Commit, Transition};
use crate::config::{self, Sources};
use crate::exchange::Deployment;
use crate::http::block_on;
use crate::jose::Cache;
use crate::ledger::Usage;
use crate::oauth::{ClientId, Clock};
use crate::ops::{self, OpsReason, Target};
use crate::store::{self, KeyFiles, SystemClock};

/// Which server is meant.
#[derive(Args)]
pub(super) struct Place {
    /// The server's data folder
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// A settings file of the server, where none runs on the folder; may repeat
    #[arg(long)]
    config: Vec<PathBuf>,
}

/// Which server is meant, and how its answer is told.
#[derive(Args)]
pub(super) struct Asking {
    #[command(flatten)]
    pub(super) place: Place,
    /// Print as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What came of it: the data, or a sentence that says why not.
pub(super) type Told = Result<Value, String>;

/// Where it is done.
pub(super) enum Admin {
    /// By the socket of a server.
    Server(Wire),
    /// On a folder whose lock this process holds.
    Folder(Box<Folder>),
}

/// A data folder and what its configuration means.
pub(super) struct Folder {
    world: Deployment,
    commit: Commit,
    records: Arc<dyn RecordReader>,
}

impl Admin {
    /// Does `work` at the desk of `place`, and closes what had to be opened for it.
    ///
    /// # Errors
    /// When there is neither a server nor a folder to work on.
    pub(super) fn at<T>(place: &Place, work: impl AsyncFnOnce(&Self) -> Result<T, Failed>) -> Result<T, Failed> {
        block_on(async {
            let desk = Self::open(place)?;
            let done = work(&desk).await;
            if let Self::Folder(folder) = &desk {
                folder.commit.close().await;
            }
            done
        })
    }

    fn open(place: &Place) -> Result<Self, Failed> {
        let socket = place.data.join("ops.sock");
        match UnixStream::connect(&socket) {
            Ok(_) => Wire::of_socket(&socket).map(Self::Server),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Folder::open(place).map(|folder| Self::Folder(Box::new(folder)))
            }
            Err(error) => Err(Failed::new(format!("{}: {error}", socket.display()))),
        }
    }

    /// Every agent of the inventory.
    pub(super) async fn agents(&self) -> Result<Told, Failed> {
        match self {
            Self::Server(wire) => told(&wire.get("http://ops/ops/agents").await?),
            Self::Folder(folder) => Ok(folder.agents().map_err(|reason| with_causes(&reason))),
        }
    }

    /// Every task that is remembered.
    pub(super) async fn tasks(&self) -> Result<Told, Failed> {
        match self {
            Self::Server(wire) => told(&wire.get("http://ops/ops/tasks").await?),
            Self::Folder(folder) => Ok(Ok(json!({ "tasks": ops::tasks(&folder.world, &folder.commit, SystemClock.now()) }))),
        }
    }

    /// Suspends, resumes or retires an agent.
    pub(super) async fn turn(&self, agent: &ClientId, turn: Transition, reason: Option<&str>) -> Result<Told, Failed> {
        match self {
            Self::Server(wire) => {
                let form = [("id", agent.as_str()), ("reason", reason.unwrap_or_default())];
                told(&wire.post_form(&format!("http://ops/ops/agents/{}", name(turn)), &form, None, None).await?)
            }
            Self::Folder(folder) => {
                let done = ops::turn(&folder.world, &folder.commit, agent, turn, reason).await;
                Ok(done.map(|()| json!({ "agent": agent.as_str() })).map_err(|reason| with_causes(&reason)))
            }
        }
    }

    /// Ends the target `what` that is called `value`.
    pub(super) async fn end(&self, what: &str, value: &str, agent: Option<&str>, reason: Option<&str>) -> Result<Told, Failed> {
        // What is written wrongly is a matter of usage, whoever would be asked.
        let target = Target::parse(what, value, agent)?;
        match self {
            Self::Server(wire) => {
                let (agent, reason) = (agent.unwrap_or_default(), reason.unwrap_or_default());
                let form = [("what", what), ("value", value), ("agent", agent), ("reason", reason)];
                told(&wire.post_form("http://ops/ops/revoke", &form, None, None).await?)
            }
            Self::Folder(folder) => {
                let done = ops::end(&folder.world, &folder.commit, &*folder.records, &target, reason).await;
                Ok(done.map(|done| json!(done)).map_err(|reason| with_causes(&reason)))
            }
        }
    }
}

impl Folder {
    fn open(place: &Place) -> Result<Self, Failed> {
        let data = &place.data;
        if !store::is_used(data) {
            return Err(Failed::new(format!("{}: no server runs on this folder and none ever did", data.display())));
        }
        let config = Sources::new(place.config.clone()).load().config.map_err(complaints)?;
        let clock = SystemClock;
        let files = KeyFiles::open(&config.settings.keys.dir, clock.now())?;
        let (root, material) = (Arc::new(files.root()?), material(&files, &Arc::new(Cache::new(1)), &Arc::default())?);
        let world = config::world(config, material, None).map_err(complaints)?;
        let failed = |reason: StoreReason| match reason {
            StoreReason::Locked => Failed::new(format!("a server uses {}, but its ops.sock does not answer", data.display())),
            other => Failed::new(format!("{}: {}", data.display(), with_causes(&other))),
        };
        let store = store::open(data).map_err(failed)?;
        let commit = Commit::start(store, Arc::new(clock), root, commit::Limits::default()).map_err(failed)?;
        let records = store::reader(data).map_err(failed)?;
        Ok(Self { world, commit, records })
    }

    fn agents(&self) -> Result<Value, OpsReason> {
        let mut usage = Usage::default();
        ops::catch_up(&mut usage, &*self.records)?;
        Ok(json!({ "agents": ops::inventory(&self.world, &*self.commit.state(), &usage, SystemClock.now()) }))
    }
}

fn name(turn: Transition) -> &'static str {
    match turn {
        Transition::Suspend => "suspend",
        Transition::Resume => "resume",
        Transition::Retire => "retire",
    }
}

/// What a server answered: data, or why not; a failure where it is no answer of this kind.
fn told(answer: &Answer) -> Result<Told, Failed> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (answer.status, body.get("error").and_then(Value::as_str)) {
        (200, _) => Ok(Ok(body)),
        (400, Some(why)) => Err(Failed::new(why)),
        (_, Some(why)) => Ok(Err(why.to_owned())),
        (status, None) => Err(Failed::new(format!("the server answered {status}; is it of another version?"))),
    }
}

/// The elements of an array of the answer; none where there is no such array.
pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A text of the answer, or a dash.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned()
}
