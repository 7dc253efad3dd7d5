//! `agent`: the inventory of agents and their life cycle.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::admin::{Admin, AdminOptions, caveats, counts_again, verdict};
use super::output::{CommandResult, Failure, print};
use super::text::{instant, items, text};
use crate::admin::AgentQuery;
use crate::commit::Transition;
use crate::oauth::ClientId;

/// The sub-commands of `agent`.
#[derive(Subcommand)]
pub(super) enum AgentCommand {
    /// Every agent: owner, status, last use, and whether a key or certificate is near its end
    List(AdminOptions),
    /// One agent: also its logins, keys and certificates near expiry, and what it may do and never did
    Show(ShowOptions),
    /// Nothing is issued to it and none of its tokens is active until it is resumed; or to one running copy of it
    Suspend(SuspendOptions),
    /// It goes on where it was suspended; its file may still say otherwise
    Resume(SuspendOptions),
    /// Its credentials may be in other hands: everything of it ends, and only what is issued after that counts for it
    Compromise(ChangeOptions),
    /// It never acts again, whatever its file says; everything issued under it ends
    Retire(RetireOptions),
}

/// The options of `agent show`.
#[derive(Args)]
pub(super) struct ShowOptions {
    /// The agent
    id: String,
    #[command(flatten)]
    admin: AdminOptions,
}

/// The options of what changes an agent.
#[derive(Args)]
pub(super) struct ChangeOptions {
    /// The agent
    id: String,
    /// Why, for the record; nothing personal
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    admin: AdminOptions,
}

/// The options of `agent suspend` and `agent resume`.
#[derive(Args)]
pub(super) struct SuspendOptions {
    #[command(flatten)]
    change: ChangeOptions,
    /// Only this running copy of it, as it is attested: a pod's UID, a job's run, the thumbprint of a key
    #[arg(long, allow_hyphen_values = true)]
    instance: Option<String>,
}

/// The options of `agent retire`.
#[derive(Args)]
pub(super) struct RetireOptions {
    #[command(flatten)]
    change: ChangeOptions,
    /// Do it: it cannot be undone
    #[arg(long)]
    yes: bool,
}

/// Does what was asked.
pub(super) fn run(command: &AgentCommand) -> CommandResult {
    match command {
        AgentCommand::List(options) => list(options),
        AgentCommand::Show(options) => show(options),
        AgentCommand::Suspend(SuspendOptions { change: options, instance }) => {
            change(options, instance.as_deref(), Transition::Suspend)
        }
        AgentCommand::Resume(SuspendOptions { change: options, instance }) => {
            change(options, instance.as_deref(), Transition::Resume)
        }
        AgentCommand::Compromise(options) => compromise(options),
        AgentCommand::Retire(options) if options.yes => change(&options.change, None, Transition::Retire),
        AgentCommand::Retire(_) => Err(Failure::new("a retired agent never acts again; say --yes to retire it")),
    }
}

fn list(options: &AdminOptions) -> CommandResult {
    let agents = agents(options)?;
    if options.json {
        say!("{}", json!({ "agents": agents }));
        return Ok(true);
    }
    let width = agents.iter().map(|agent| text(agent, "/id").chars().count()).max().unwrap_or_default();
    for agent in &agents {
        let (id, holds) = (text(agent, "/id"), text(agent, "/status/holds"));
        let (owner, last) = (text(agent, "/owner"), moment(agent.pointer("/last_use")));
        say!("{id:width$}  {holds:9}  {:12}  {owner}, last used {last}{}", text(agent, "/kind"), mark(agent));
    }
    Ok(true)
}

/// Answers no when there is no such agent.
fn show(options: &ShowOptions) -> CommandResult {
    let wanted = AgentQuery::One(&options.id);
    let answer = Admin::run(&options.admin, async |admin| admin.agents(wanted).await)?.map_err(Failure::new)?;
    let Some(agent) = items(&answer, "/agents").first().cloned() else {
        let data = json!({ "ok": false, "reason": "there is no such agent" });
        print(options.admin.json, &data, format!("there is no agent {} in the configuration", options.id));
        return Ok(false);
    };
    print(options.admin.json, &agent, described(&agent).join("\n"));
    Ok(true)
}

fn described(agent: &Value) -> Vec<String> {
    let word = |pointer: &str| text(agent, pointer);
    let number = |pointer: &str| agent.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let mut lines = vec![
        format!("{} ({}, team {})", word("/id"), word("/kind"), word("/team")),
        format!("  owner       {}", word("/owner")),
        format!(
            "  status      {}: its file says {}, the record {}",
            word("/status/holds"),
            word("/status/file"),
            word("/status/recorded")
        ),
        format!("  last use    {}", moment(agent.pointer("/last_use"))),
        format!("  hops        asked for {}, acts in {}", number("/hops_asked"), number("/hops_acted")),
    ];
    for limit in items(agent, "/velocity") {
        let of = |pointer: &str| limit.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        lines.push(format!("  velocity    {}: {} of {} in the last hour", text(limit, "/effect"), of("/used"), of("/per_hour")));
    }
    for instance in items(agent, "/instances") {
        lines.push(format!("  instance    {}: {}", text(instance, "/instance"), text(instance, "/status")));
    }
    for login in items(agent, "/logins") {
        let hops = login.pointer("/hops").and_then(Value::as_u64).unwrap_or_default();
        let configured = login.pointer("/configured") == Some(&Value::Bool(true));
        let gone = if configured { "" } else { ", no longer in its file" };
        let last = moment(login.pointer("/last_use"));
        lines.push(format!("  login       {}: {hops} hops, last {last}{gone}", text(login, "/method")));
    }
    for end in items(agent, "/near_expiry") {
        let word = |pointer: &str| text(end, pointer);
        let (verb, when) = (if expired(end) { "EXPIRED" } else { "expires" }, moment(end.pointer("/not_after")));
        let (what, name, held_by) = (word("/what"), word("/name"), word("/held_by"));
        lines.push(format!("  {verb}     {when}: {what} {name} in {held_by}, for {} ({})", word("/login"), word("/named_at")));
    }
    for unused in items(agent, "/never_used") {
        let scopes: Vec<&str> = items(unused, "/scopes").iter().filter_map(Value::as_str).collect();
        lines.push(format!("  never used  {} on {}", scopes.join(" "), text(unused, "/api")));
    }
    lines
}

/// That some key or certificate needs a look.
fn mark(agent: &Value) -> &'static str {
    match items(agent, "/near_expiry") {
        [] => "",
        ends if ends.iter().any(expired) => "  [expired key or certificate]",
        _ => "  [near expiry]",
    }
}

fn expired(end: &Value) -> bool {
    end.pointer("/expired") == Some(&Value::Bool(true))
}

fn change(options: &ChangeOptions, instance: Option<&str>, transition: Transition) -> CommandResult {
    let (id, reason) = (options.agent()?, options.reason.as_deref());
    let answer = Admin::run(&options.admin, async |admin| admin.change_agent((&id, instance), transition, reason).await)?;
    let done = match transition {
        Transition::Suspend => "suspended",
        Transition::Resume => "resumed",
        Transition::Retire => "retired",
    };
    let who = instance.map_or_else(|| id.to_string(), |instance| format!("{instance} of {id}"));
    let mut members = Map::new();
    members.insert("agent".to_owned(), options.id.as_str().into());
    members.extend(instance.map(|instance| ("instance".to_owned(), instance.into())));
    let (caveats, words) = match &answer {
        Ok(outcome) => {
            members.insert("done".to_owned(), done.into());
            (caveats(outcome), format!("{who} is {done}"))
        }
        Err(why) => (vec![why.clone()], format!("{who} is not {done}")),
    };
    members.insert("ok".to_owned(), caveats.is_empty().into());
    if !caveats.is_empty() {
        members.insert("reason".to_owned(), caveats.join("; ").into());
    }
    let words = [words].iter().chain(&caveats).cloned().collect::<Vec<_>>().join(": ");
    print(options.admin.json, &Value::Object(members), words);
    Ok(caveats.is_empty())
}

/// Answers no when there is no such agent, or it is not recorded.
fn compromise(options: &ChangeOptions) -> CommandResult {
    let (id, reason) = (options.agent()?, options.reason.as_deref());
    let done = match Admin::run(&options.admin, async |admin| admin.compromise(&id, reason).await)? {
        Ok(done) => done,
        Err(why) => {
            let data = json!({ "ok": false, "agent": options.id, "reason": why });
            print(options.admin.json, &data, format!("nothing of {id} was ended: {why}"));
            return Ok(false);
        }
    };
    let caveats = caveats(&done);
    print(options.admin.json, &verdict(&done, &caveats), compromised(&done, &caveats).join("\n"));
    Ok(caveats.is_empty())
}

/// What ended, and what is left to do.
fn compromised(done: &Value, caveats: &[String]) -> Vec<String> {
    let (id, tasks) = (text(done, "/agent"), done.pointer("/tasks").and_then(Value::as_u64).unwrap_or_default());
    let mut lines = vec![format!("ended everything of {id}: its tokens, those about it, its running copies, {tasks} tasks")];
    lines.extend(counts_again(done));
    lines.extend(caveats.iter().cloned());
    lines.push("what is left to do:".to_owned());
    for login in items(done, "/logins") {
        lines.push(format!("  {}: {}", text(login, "/method"), text(login, "/advice")));
    }
    for api in items(done, "/apis") {
        let api = api.as_str().unwrap_or("-");
        lines.push(format!("  it is the agent of {api} and has seen its tokens: countersign revoke --api {api} ends them"));
    }
    lines.push(format!("  until that is done: countersign agent suspend {id}"));
    lines
}

impl ChangeOptions {
    fn agent(&self) -> Result<ClientId, Failure> {
        ClientId::parse(&self.id).map_err(|reason| Failure::new(format!("the id of an agent {reason}")))
    }
}

/// Every agent, page by page.
fn agents(options: &AdminOptions) -> Result<Vec<Value>, Failure> {
    Admin::run(options, async |admin| {
        let (mut agents, mut after) = (Vec::new(), String::new());
        loop {
            let page = admin.agents(AgentQuery::After(&after)).await?.map_err(Failure::new)?;
            agents.extend_from_slice(items(&page, "/agents"));
            match page.pointer("/next").and_then(Value::as_str) {
                Some(next) => next.clone_into(&mut after),
                None => return Ok(agents),
            }
        }
    })
}

fn moment(seconds: Option<&Value>) -> String {
    seconds.and_then(Value::as_i64).map_or_else(|| "never".to_owned(), instant)
}
