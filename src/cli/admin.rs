//! Local administration: by the socket of the server that runs on a data folder, or on the folder itself where none does. Both
//! say the same.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::http_client::{HttpClient, HttpReply};
use super::output::Failure;
use super::text::instant;
use crate::admin::{self, AdminReason, AgentQuery, ArchivedRecords, RevokeTarget, TrialGround};
use crate::commit::Transition;
use crate::config::{Succession, data_folder};
use crate::deployment::Deployment;
use crate::http::block_on;
use crate::jose::Compact;
use crate::ledger::Usage;
use crate::net::Fetcher;
use crate::oauth::{ClientId, Clock, RuleName, TaskId, Txn};
use crate::server::{DataFolder, Offline, with_causes};
use crate::store::{self, KeyFilesReason, SystemClock, VouchedClock};

/// A data folder, and what a command is told of the server on it.
#[derive(Args, Clone)]
pub(super) struct FolderOptions {
    /// The server's data folder; beside the first settings file where it is not named
    #[arg(long)]
    data: Option<PathBuf>,
    /// A settings file of the server instead of those that the data folder was last served with; may repeat
    #[arg(long)]
    config: Vec<PathBuf>,
    /// The key folder of the server instead of the one that the data folder was last served with
    #[arg(long)]
    keys: Option<PathBuf>,
}

impl FolderOptions {
    /// The options of a command that has them already.
    pub(super) fn new(data: PathBuf, config: Vec<PathBuf>, keys: Option<PathBuf>) -> Self {
        Self { data: Some(data), config, keys }
    }

    /// The data folder that is meant.
    pub(super) fn folder(&self) -> DataFolder {
        let data = self.data.clone().unwrap_or_else(|| data_folder(&self.config));
        DataFolder { data, config: self.config.clone(), keys: self.keys.clone() }
    }
}

/// The options of every command of administration.
#[derive(Args)]
pub(super) struct AdminOptions {
    #[command(flatten)]
    pub(super) folder: FolderOptions,
    /// Print as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The data that was asked for or what was done, or a sentence that says why not.
pub(super) type AdminAnswer = Result<Value, String>;

/// A server, or its data folder, under administration.
pub(super) enum Admin {
    /// By the socket of the server.
    Server(HttpClient),
    /// On the data folder, whose lock this process holds.
    Folder(Box<Offline>),
}

impl Admin {
    /// Does `work` on the server or folder that the options name, and closes what had to be opened for it.
    ///
    /// # Errors
    /// When there is neither a server nor a folder to work on.
    pub(super) fn run<T>(options: &AdminOptions, work: impl AsyncFnOnce(&Self) -> Result<T, Failure>) -> Result<T, Failure> {
        block_on(async {
            let admin = Self::open(options)?;
            let done = work(&admin).await;
            if let Self::Folder(folder) = &admin {
                folder.close().await;
            }
            done
        })
    }

    fn open(options: &AdminOptions) -> Result<Self, Failure> {
        let folder = options.folder.folder();
        let socket = folder.data.join("ops.sock");
        match UnixStream::connect(&socket) {
            Ok(_) => HttpClient::of_socket(&socket).map(Self::Server),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(Self::Folder(Box::new(Offline::open(&folder)?)))
            }
            Err(error) => Err(Failure::new(format!("{}: {error}", socket.display()))),
        }
    }

    /// Says that the clock is right: to the server, or for the next start.
    pub(super) fn accept_clock(options: &AdminOptions) -> Result<AdminAnswer, Failure> {
        let DataFolder { data, .. } = options.folder.folder();
        let socket = data.join("ops.sock");
        if UnixStream::connect(&socket).is_ok() {
            let client = HttpClient::of_socket(&socket)?;
            return block_on(async { answer(&client.post_form("http://ops/ops/clock/accept", &[], None, None).await?) });
        }
        if !store::is_used(&data) {
            return Err(Failure::new(format!("{}: no server runs on this folder and none ever did", data.display())));
        }
        let now = SystemClock.now();
        VouchedClock::new(&data).write(now).map_err(|error| Failure::at(&data, &error))?;
        Ok(Ok(json!({ "now": now.seconds(), "recorded": false })))
    }

    /// Ends the epoch of a clock that was wrong.
    pub(super) async fn correct_clock(&self, options: &AdminOptions, reason: Option<&str>) -> Result<AdminAnswer, Failure> {
        let done = match self {
            Self::Server(client) => {
                let form = [("reason", reason.unwrap_or_default())];
                let form = form.into_iter().filter(|(_, reason)| !reason.is_empty()).collect::<Vec<_>>();
                answer(&client.post_form("http://ops/ops/clock/correct", &form, None, None).await?)?
            }
            Self::Folder(folder) => {
                let done = admin::correct_clock(&folder.commit, &SystemClock, reason).await;
                done.map(|done| json!(done)).map_err(|reason| with_causes(&reason))
            }
        };
        if done.is_ok() {
            // Somebody may have vouched for the time that was wrong.
            let data = options.folder.folder().data;
            VouchedClock::new(&data).remove().map_err(|error| Failure::at(&data, &error))?;
        }
        Ok(done)
    }

    /// A page of the inventory of agents.
    pub(super) async fn agents(&self, wanted: AgentQuery<'_>) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => {
                let parameter = match wanted {
                    AgentQuery::One(id) => ("id", id),
                    AgentQuery::After(id) => ("after", id),
                };
                answer(&client.get(&address("http://ops/ops/agents", &[parameter])).await?)
            }
            Self::Folder(folder) => Ok(agents(folder, wanted).map_err(|reason| with_causes(&reason))),
        }
    }

    /// A page of the tasks that are remembered, those opened before `after`.
    pub(super) async fn tasks(&self, after: Option<&str>, limit: usize) -> Result<AdminAnswer, Failure> {
        // What is written wrongly is a matter of usage, whoever would be asked.
        let task = after.map(TaskId::parse).transpose();
        let task = task.map_err(|_| Failure::new("--after takes the id of a task, the next of the page before"))?;
        match self {
            Self::Server(client) => {
                let limit = limit.to_string();
                let parameters = [("after", after.unwrap_or_default()), ("limit", &limit)];
                answer(&client.get(&address("http://ops/ops/tasks", &parameters)).await?)
            }
            Self::Folder(folder) => {
                let page = admin::task_page(&folder.deployment, &folder.commit, task, limit, SystemClock.now());
                Ok(Ok(json!(page)))
            }
        }
    }

    /// A page of the grants of third parties: those of the rules after `after`.
    pub(super) async fn grants(&self, after: &str) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => answer(&client.get(&address("http://ops/ops/trust/grants", &[("after", after)])).await?),
            Self::Folder(folder) => {
                let mut usage = Usage::default();
                let counted = admin::catch_up(&mut usage, &*folder.records);
                let page = || admin::grants(&folder.deployment, &*folder.commit.state(), &usage, after);
                Ok(counted.map(|()| json!(page())).map_err(|reason| with_causes(&reason)))
            }
        }
    }

    /// Tries a token under the rules in force, or under one of them. The answer says besides whether a changed configuration
    /// waits.
    pub(super) async fn try_token(&self, token: &str, rule: Option<&RuleName>) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => {
                let rule = rule.map(|rule| ("rule", rule.as_str()));
                let form: Vec<_> = [("token", token)].into_iter().chain(rule).collect();
                answer(&client.post_form("http://ops/ops/trust/try", &form, None, None).await?)
            }
            Self::Folder(folder) => {
                let token = Compact::parse(token).map_err(|reason| Failure::new(format!("the token {reason}")))?;
                let clock: Arc<dyn Clock> = Arc::new(SystemClock);
                folder.deployment.trust.keep_fresh(&Fetcher::new(), &clock);
                let state = folder.commit.state();
                let ground = TrialGround::of(&folder.deployment, Some(&*state));
                let tried = admin::try_token(ground, &token, rule, clock.now()).await;
                Ok(Ok(json!({ "tried": tried, "waits": false })))
            }
        }
    }

    /// The decision of the policies in force on a request that is assumed.
    pub(super) async fn explain_policy(&self, request: &str) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => {
                let url = "http://ops/ops/policy/explain";
                answer(&client.post_form(url, &[("request", request)], None, None).await?)
            }
            Self::Folder(folder) => {
                let Deployment { policies, catalog, .. } = &folder.deployment;
                let explained = admin::explain_policy(policies, catalog, request, SystemClock.now());
                Ok(explained.map(|explained| json!(explained)).map_err(|reason| with_causes(&reason)))
            }
        }
    }

    /// The configuration that is not in force yet, with what it brings and ends.
    pub(super) async fn configuration(&self) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => answer(&client.get("http://ops/ops/configuration").await?),
            Self::Folder(folder) => {
                let Succession { comes, ends, needs_acceptance } = folder.succession();
                let waits = json!({ "digest": folder.digest().to_string(), "comes": comes, "ends": ends,
                    "state": if needs_acceptance { "needs_acceptance" } else { "ends_wait" } });
                Ok(Ok(json!({ "waits": Some(waits).filter(|_| !ends.is_empty()) })))
            }
        }
    }

    /// Accepts the configuration with this digest.
    pub(super) async fn accept_configuration(&self, digest: &str) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => {
                let url = "http://ops/ops/configuration/accept";
                answer(&client.post_form(url, &[("digest", digest)], None, None).await?)
            }
            Self::Folder(folder) => {
                let done = folder.accept().await;
                Ok(done.map(|()| json!({ "digest": digest, "in_force": true })).map_err(|reason| reason.to_string()))
            }
        }
    }

    /// Has the digest of the state recorded, with which an archive ends. Where no server runs the last one did.
    pub(super) async fn record_state(&self) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => answer(&client.post_form("http://ops/ops/ledger/state", &[], None, None).await?),
            Self::Folder(_) => Ok(Ok(json!({ "recorded": false }))),
        }
    }

    /// Says that archives have the first `until` records, and the state that the record at `snapshot` names; `signed` are under
    /// the newest checkpoint.
    pub(super) async fn archived(&self, signed: u64, until: u64, snapshot: u64) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => {
                let (until, snapshot) = (until.to_string(), snapshot.to_string());
                let form = [("until", until.as_str()), ("snapshot", snapshot.as_str())];
                answer(&client.post_form("http://ops/ops/ledger/archived", &form, None, None).await?)
            }
            Self::Folder(folder) => {
                let archive = ArchivedRecords { until, snapshot };
                let done = admin::archived(&folder.commit, &*folder.records, signed, archive).await;
                Ok(done.map(|done| json!(done)).map_err(|reason| with_causes(&reason)))
            }
        }
    }

    /// Every transaction that is held.
    pub(super) async fn holds(&self) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => answer(&client.get("http://ops/ops/ledger/holds").await?),
            Self::Folder(folder) => Ok(Ok(json!({ "holds": admin::holds(&folder.commit) }))),
        }
    }

    /// Holds a transaction, or releases it.
    pub(super) async fn hold(&self, txn: Txn, holds: bool, reason: Option<&str>) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => {
                let (name, reason) = (txn.to_string(), reason.map(|reason| ("reason", reason)));
                let form: Vec<_> = std::iter::once(("txn", name.as_str())).chain(reason).collect();
                let url = if holds { "http://ops/ops/ledger/hold" } else { "http://ops/ops/ledger/release" };
                answer(&client.post_form(url, &form, None, None).await?)
            }
            Self::Folder(folder) if holds => {
                let done = admin::hold(&folder.commit, &*folder.records, txn, reason).await;
                Ok(done.map(|done| json!(done)).map_err(|reason| with_causes(&reason)))
            }
            Self::Folder(folder) => {
                let done = admin::release(&folder.commit, txn, reason).await;
                Ok(done.map(|()| json!({ "txn": txn.to_string() })).map_err(|reason| with_causes(&reason)))
            }
        }
    }

    /// Suspends, resumes or retires an agent, or suspends or resumes a running copy of it.
    pub(super) async fn change_agent(
        &self,
        (agent, instance): (&ClientId, Option<&str>),
        transition: Transition,
        reason: Option<&str>,
    ) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => {
                let (instance, reason) = (instance.unwrap_or_default(), reason.unwrap_or_default());
                let form = [("id", agent.as_str()), ("instance", instance), ("reason", reason)];
                let url = format!("http://ops/ops/agents/{}", name(transition));
                answer(&client.post_form(&url, &form, None, None).await?)
            }
            Self::Folder(folder) => {
                let at = (agent, instance);
                let done = admin::change_status(&folder.deployment, &folder.commit, at, transition, reason).await;
                let target = match instance {
                    Some(instance) => RevokeTarget::Instance(agent.clone(), instance.to_owned()),
                    None => RevokeTarget::Agent(agent.clone()),
                };
                Ok(told(done.map(|done| (done.recorded, done)), &target, folder))
            }
        }
    }

    /// Ends everything of an agent.
    pub(super) async fn compromise(&self, agent: &ClientId, reason: Option<&str>) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => {
                let form = [("id", agent.as_str()), ("reason", reason.unwrap_or_default())];
                answer(&client.post_form("http://ops/ops/agents/compromise", &form, None, None).await?)
            }
            Self::Folder(folder) => {
                let done = admin::compromise(&folder.deployment, &folder.commit, agent, reason).await;
                Ok(told(done.map(|done| (done.recorded, done)), &RevokeTarget::Agent(agent.clone()), folder))
            }
        }
    }

    /// Revokes a key of the server.
    pub(super) async fn revoke_key(&self, name: &str, reason: Option<&str>) -> Result<AdminAnswer, Failure> {
        match self {
            Self::Server(client) => {
                let form = [("key", name), ("reason", reason.unwrap_or_default())];
                answer(&client.post_form("http://ops/ops/keys/revoke", &form, None, None).await?)
            }
            Self::Folder(folder) => {
                let now = SystemClock.now();
                if let Err(reason @ KeyFilesReason::Unknown(..)) = store::find_key(&folder.keys, name, now) {
                    return Ok(Err(reason.to_string()));
                }
                let done = admin::revoke_key(&folder.deployment, &folder.commit, name, now, reason).await;
                store::revoke_key(&folder.keys, name, now)?;
                folder.record_keys().await?;
                Ok(done.map(|done| json!(done)).map_err(|reason| with_causes(&reason)))
            }
        }
    }

    /// Ends the target of the kind `what` that is called `value`.
    pub(super) async fn end(
        &self,
        what: &str,
        value: &str,
        agent: Option<&str>,
        reason: Option<&str>,
    ) -> Result<AdminAnswer, Failure> {
        // What is written wrongly is a matter of usage, whoever would be asked.
        let target = RevokeTarget::parse(what, value, agent)?;
        match self {
            Self::Server(client) => {
                let (agent, reason) = (agent.unwrap_or_default(), reason.unwrap_or_default());
                let form = [("what", what), ("value", value), ("agent", agent), ("reason", reason)];
                answer(&client.post_form("http://ops/ops/revoke", &form, None, None).await?)
            }
            Self::Folder(folder) => {
                let done = admin::revoke(&folder.deployment, &folder.commit, &*folder.records, &target, reason).await;
                Ok(told(done.map(|done| (done.recorded, done)), &target, folder))
            }
        }
    }
}

/// What was done on a folder. What could not be recorded there acts nowhere: no server holds to it.
fn told<T: Serialize>(done: Result<(bool, T), AdminReason>, target: &RevokeTarget, folder: &Offline) -> AdminAnswer {
    match done {
        Ok((true, done)) => Ok(json!(admin::recognised(done, target, &folder.deployment, &*folder.records))),
        Ok((false, _)) => Err("it could not be recorded, and no server runs that would hold to it; do it again".to_owned()),
        Err(reason) => Err(with_causes(&reason)),
    }
}

/// The sentences that qualify what was done, where it is not recorded yet or nothing knows the name: then the answer is no.
pub(super) fn caveats(done: &Value) -> Vec<String> {
    let is_false = |pointer: &str| done.pointer(pointer) == Some(&Value::Bool(false));
    let meant = done.pointer("/nearest").and_then(Value::as_str).map(|near| format!("; did you mean {near}?"));
    let unrecorded = "it acts from now on but is not recorded yet: it will be when the store takes records again and the \
                      clock is believed, and nothing is issued until then";
    let unknown = format!(
        "nothing known by that name: recorded all the same, so that nothing of it from before counts{}",
        meant.unwrap_or_default()
    );
    let found = [(is_false("/recorded"), unrecorded.to_owned()), (is_false("/known"), unknown)];
    found.into_iter().filter(|(holds, _)| *holds).map(|(_, sentence)| sentence).collect()
}

/// What was done as JSON, and why the answer is no where it is.
pub(super) fn verdict(done: &Value, caveats: &[String]) -> Value {
    match caveats {
        [] => json!({ "ok": true, "done": done }),
        caveats => json!({ "ok": false, "done": done, "reason": caveats.join("; ") }),
    }
}

/// The sentence that says since when evidence must have been issued to count again, where anything vouches for what ended.
pub(super) fn counts_again(done: &Value) -> Option<String> {
    let from = done.pointer("/counts_from").and_then(Value::as_i64)?;
    Some(format!("what vouches for it counts if it was issued at {} or later", instant(from)))
}

/// The sentence that says until when an end is remembered, where that is not for ever.
pub(super) fn remembered(done: &Value) -> Option<String> {
    let until = done.pointer("/remembered_until").and_then(Value::as_i64)?;
    Some(format!("that is remembered until {} at least; by then nothing from before can be presented any more", instant(until)))
}

fn agents(folder: &Offline, wanted: AgentQuery<'_>) -> Result<Value, AdminReason> {
    let mut usage = Usage::default();
    admin::catch_up(&mut usage, &*folder.records)?;
    folder.recall().map_err(AdminReason::Store)?;
    Ok(json!(admin::inventory(&folder.deployment, &folder.commit, &usage, wanted, SystemClock.now())))
}

/// The address with these parameters, those that have a value.
fn address(url: &str, parameters: &[(&str, &str)]) -> String {
    let with_values = parameters.iter().filter(|(_, value)| !value.is_empty());
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(with_values).finish();
    format!("{url}?{query}")
}

fn name(transition: Transition) -> &'static str {
    match transition {
        Transition::Suspend => "suspend",
        Transition::Resume => "resume",
        Transition::Retire => "retire",
    }
}

/// The data or the reason in a server's reply; a failure where it is no reply of this kind.
fn answer(reply: &HttpReply) -> Result<AdminAnswer, Failure> {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match (reply.status, body.get("error").and_then(Value::as_str)) {
        (200, _) => Ok(Ok(body)),
        (400, Some(why)) => Err(Failure::new(why)),
        (_, Some(why)) => Ok(Err(why.to_owned())),
        (status, None) => Err(Failure::new(format!("the server answered {status}; is it of another version?"))),
    }
}
