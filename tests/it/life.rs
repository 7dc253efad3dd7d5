//! What ends with what. Every path that issues or tells is walked with every kind of death: once the commit has answered, each of
//! them says no to everything that came from what ended, and yes to everything else.

pub mod stage;
mod tasks;
mod wire;

use std::path::Path;
use std::sync::atomic::Ordering;

use countersign::commit::{CommitReason, Limits};
use countersign::error::{ErrorCode, ExchangeError};
use countersign::lifecycle::{Revocable, TaskAction, TaskStatus};
use countersign::oauth::{ClientId, Clock, GenerationKind, Jti, Resource, RuleName, Subject, TaskId, Txn};
use serde_json::json;

use crate::support::{Ledger, claims};
use stage::Stage;

/// A chain of three hops, and one that shares nothing with it but the APIs.
struct Trees {
    /// What the first hop was exchanged for.
    id_token: String,
    /// The agent that may see the token, the agent and the API of the next step, and the token: first hop first.
    hops: Vec<(&'static str, &'static str, String)>,
    sibling: String,
    instance: String,
    /// A task of the gateway that depends on the first hop, or that the hops are in: its id and its token.
    task: (String, String),
}

const KINDS: [GenerationKind; 8] = [
    GenerationKind::Hop,
    GenerationKind::Transaction,
    GenerationKind::Agent,
    GenerationKind::Instance,
    GenerationKind::Subject,
    GenerationKind::Rule,
    GenerationKind::Api,
    GenerationKind::Task,
];

/// Every handler of a client, by whichever method, the file of the line behind it, and the stage that asks there whether things
/// are alive. Whoever adds one lists it here, and walks it in [`dead`] and [`living`].
const HANDLERS: [(&str, &str, &str); 7] = [
    ("endpoints::introspect", "src/lines/introspect.rs", "lifecycle::visible("),
    ("endpoints::revoke", "src/lines/revoke.rs", "lifecycle::revocation("),
    ("endpoints::token", "src/lines/exchange.rs", "lifecycle::admit("),
    ("evaluation::answer", "src/lines/evaluate.rs", "lifecycle::callable("),
    ("tasks::act", "src/lines/task.rs", "lifecycle::change_task("),
    ("tasks::look", "src/lines/task.rs", "lifecycle::change_task("),
    ("tasks::open", "src/lines/task.rs", "lifecycle::admit("),
];

#[test]
fn every_path_knows_every_death() {
    run(async {
        let stage = Stage::new("life-paths");
        for kind in KINDS {
            let trees = match kind {
                GenerationKind::Task => grow_in_a_task(&stage).await,
                _ => grow(&stage, kind.label()).await,
            };
            living(&stage, &trees).await;
            stage.end(ending(&stage, kind, &trees)).await.unwrap();
            if kind == GenerationKind::Agent {
                // Until then it does not even log in.
                stage.clock.0.fetch_add(62, Ordering::SeqCst);
            }
            dead(&stage, &trees, kind).await;
            assert!(stage.active("crm-agent", &trees.sibling).await, "{kind:?}: a sibling died");
            stage.exchange("crm-agent", &trees.sibling, "billing", &[]).await.unwrap();
            // Evidence counts again.
            stage.clock.0.fetch_add(62, Ordering::SeqCst);
        }
    });
}

#[test]
fn a_new_path_must_be_walked_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let mut handlers = Vec::new();
    for entry in std::fs::read_dir(root.join("src/http/public")).unwrap() {
        let path = entry.unwrap().path();
        let (file, code) = (path.file_stem().unwrap().to_str().unwrap(), std::fs::read_to_string(&path).unwrap());
        // `form::handle` hands what a client sent to a line.
        let of_clients = code.split("async fn ").skip(1).filter(|function| function.contains(" handle("));
        handlers.extend(of_clients.map(|function| format!("{file}::{}", function.split('(').next().unwrap())));
    }
    handlers.sort_unstable();
    assert_eq!(handlers, HANDLERS.map(|(handler, ..)| handler), "a handler of clients is not in the list, or is gone");
    for (handler, line, stage) in HANDLERS {
        assert_eq!(read(line).matches(stage).count(), 1, "{handler} does not ask what is alive");
    }
    // Every grant type walks the one line of the exchange.
    assert_eq!(read("src/lines/token.rs").matches("exchange(context, &request)").count(), 1);
    // What is admitted; what is shown and what is revoked; a task before and after it is changed.
    for (file, calls) in [("admit", 1), ("call", 1), ("dependencies", 1), ("issued", 2), ("task_admission", 2)] {
        let code = read(&format!("src/lifecycle/{file}.rs"));
        // What joins is alive by the same predicate.
        let asks: usize = ["alive(rules.state, ", "join(rules.state, "].iter().map(|call| code.matches(call).count()).sum();
        assert_eq!(asks, calls, "{file} has a predicate of its own");
    }
}

#[test]
fn revoking_any_hop_ends_what_follows_and_nothing_before() {
    run(async {
        let stage = Stage::new("life-cascade");
        for revoked in 0..3 {
            let trees = grow(&stage, &format!("cascade-{revoked}")).await;
            let (_, _, token) = &trees.hops[revoked];
            let client = claims(token)["client_id"].as_str().unwrap().to_owned();
            stage.revoke(&client, token).await.unwrap();
            for (at, (agent, api, token)) in trees.hops.iter().enumerate() {
                assert_eq!(stage.active(agent, token).await, at < revoked, "hop {at} after hop {revoked} was revoked");
                assert_eq!(stage.exchange(agent, token, api, &[]).await.is_ok(), at < revoked);
            }
            assert!(stage.active("crm-agent", &trees.sibling).await);
            stage.revoke(&client, token).await.unwrap();
        }
        let folder = stage.fixture.data.clone();
        stage.commit.close().await;
        let deaths = Ledger::read(&folder).deaths();
        assert_eq!(deaths.len(), 3, "a token that is dead already is not ended again");
        assert_eq!(deaths[0]["by"], "gateway");
        assert_eq!(deaths[1]["by"], "analyst");
        for death in &deaths {
            assert_eq!(
                (&death["ends"][0]["of"], &death["reason"]),
                (&json!("hop"), &json!("revoked by the client it was issued to"))
            );
        }
    });
}

/// A revocation is never refused and always acts; whoever makes more than are remembered of one client ends more, and gets
/// nothing new.
#[test]
fn whoever_revokes_more_than_is_remembered_of_one_client_ends_all_of_its_own() {
    run(async {
        for (by, is_client) in [("gateway", true), ("analyst", false)] {
            let limits = Limits { generations: 24, ..Limits::default() };
            let stage = Stage::new(&format!("life-many-{by}")).restarted_with(limits).await;
            let id_token = stage.party("gateway").id_token(json!({ "sub": "many" }));
            let mut tokens = Vec::new();
            for _ in 0..20 {
                tokens.push(stage.exchange("gateway", &id_token, "assistant", &[]).await.unwrap());
            }
            let mut revoked = 0;
            while stage.active("analyst", &tokens[19]).await {
                stage.revoke(by, &tokens[revoked]).await.unwrap();
                assert!(!stage.active("analyst", &tokens[revoked]).await, "{by}: revocation {revoked} does not act");
                revoked += 1;
            }
            assert!((8..19).contains(&revoked), "{by}: {revoked}");
            for token in &tokens {
                assert!(!stage.active("analyst", token).await, "{by}");
            }
            // Whoever's agent has ended logs in again with what was signed since.
            stage.clock.0.fetch_add(62, Ordering::SeqCst);
            let more = stage.exchange("gateway", &id_token, "assistant", &[]).await;
            let is_share = matches!(&more, Err((_, ExchangeError::Commit(CommitReason::Share(..)))));
            assert_eq!((is_share, more.is_ok()), (is_client, !is_client), "{by}: {more:?}");
        }
    });
}

#[test]
fn nothing_that_was_issued_while_its_parent_was_revoked_lives() {
    run(async {
        let stage = std::sync::Arc::new(Stage::new("life-race"));
        for round in 0..10 {
            let trees = grow(&stage, &format!("race-{round}")).await;
            let (_, _, root) = trees.hops[0].clone();
            let mut issuing = tokio::task::JoinSet::new();
            for _ in 0..16 {
                let (stage, root) = (std::sync::Arc::clone(&stage), root.clone());
                issuing.spawn(async move { stage.exchange("analyst", &root, "crm", &[]).await });
            }
            tokio::task::yield_now().await;
            stage.revoke("gateway", &root).await.unwrap();
            for issued in issuing.join_all().await.into_iter().flatten() {
                assert!(!stage.active("crm-agent", &issued).await);
            }
        }
    });
}

#[test]
fn the_hop_of_an_actor_token_counts_too() {
    run(async {
        let stage = Stage::new("life-actor");
        let attestation = stage.party("worker").vouched("cluster", json!({}));
        let more = [
            ("actor_token", attestation.as_str()),
            ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("scope", "customers.lookup"),
        ];
        let id_token = stage.party("gateway").id_token(json!({ "sub": "actor" }));
        let token = stage.exchange("gateway", &id_token, "assistant", &more).await.unwrap();
        assert!(stage.active("analyst", &token).await);
        let worker = ClientId::parse("worker").unwrap();
        stage.end(Revocable::agent(&worker, &stage.world.pseudonyms)).await.unwrap();
        assert!(!stage.active("analyst", &token).await);
        assert!(stage.exchange("analyst", &token, "crm", &[]).await.is_err());
    });
}

#[test]
fn a_death_outlives_a_restart_and_a_clock_that_is_set_back() {
    run(async {
        let stage = Stage::new("life-clock");
        let trees = grow(&stage, "clock").await;
        let (_, _, root) = trees.hops[0].clone();
        stage.revoke("gateway", &root).await.unwrap();
        let stage = stage.restarted().await;
        dead(&stage, &trees, GenerationKind::Hop).await;
        // Long after, the death is forgotten; a clock that is set back then brings nothing back.
        stage.clock.0.fetch_add(100 * 86_400, Ordering::SeqCst);
        stage.end(Revocable::rule(&RuleName::parse("idp-twin").unwrap(), &stage.world.pseudonyms)).await.unwrap();
        assert_eq!(stage.commit.state().len(), 1, "only the death that may never be forgotten is left");
        stage.clock.0.fetch_sub(100 * 86_400, Ordering::SeqCst);
        let stage = stage.restarted().await;
        let refused = stage.exchange("analyst", &root, "crm", &[]).await;
        assert_eq!(refused.unwrap_err().0, ErrorCode::TemporarilyUnavailable);
        assert_eq!(stage.revoke("gateway", &root).await, Ok(()), "a death is recorded whatever the clock says");
        assert!(stage.commit.state().floor() > stage.clock.now());
    });
}

#[test]
fn an_agent_that_the_files_suspend_or_a_rule_that_they_disable_takes_its_tokens_along_and_back() {
    run(async {
        let mut stage = Stage::new("life-files");
        let trees = grow(&stage, "files").await;
        let edits = [
            ("agents/worker.toml", "status = \"active\"", "status = \"suspended\""),
            // Asked for the first hop, and acts in none.
            ("agents/gateway.toml", "status = \"active\"", "status = \"suspended\""),
            ("trust/idp.toml", "kind ", "enabled = false\nkind "),
        ];
        for (file, before, after) in edits {
            let path = stage.folder.join("conf").join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(before), "{file}");
            std::fs::write(&path, text.replacen(before, after, 1)).unwrap();
            stage = stage.restarted().await;
            for (agent, _, token) in &trees.hops {
                assert!(!stage.active(agent, token).await, "{file}");
            }
            assert!(stage.active("crm-agent", &trees.sibling).await, "{file}");
            std::fs::write(&path, text).unwrap();
            stage = stage.restarted().await;
            living(&stage, &trees).await;
        }
    });
}

/// Every path says yes to every token.
async fn living(stage: &Stage, trees: &Trees) {
    for (agent, api, token) in &trees.hops {
        assert!(stage.active(agent, token).await);
        assert!(stage.alive_when_evaluated(agent, token).await);
        stage.exchange(agent, token, api, &[]).await.unwrap();
    }
    assert!(stage.active("crm-agent", &trees.sibling).await);
    let (id, token) = &trees.task;
    stage.exchange("gateway", token, "assistant", &[]).await.unwrap();
    stage.open_task("gateway", token, child()).await.unwrap();
    for action in [TaskAction::Look, TaskAction::Heartbeat] {
        assert_eq!(stage.tend("gateway", id, action).await.unwrap().0, TaskStatus::Active);
    }
}

fn is_ended(status: TaskStatus) -> bool {
    status == TaskStatus::Ended
}

/// Every path says no to every token.
async fn dead(stage: &Stage, trees: &Trees, kind: GenerationKind) {
    for (agent, api, token) in &trees.hops {
        assert!(!stage.active(agent, token).await, "{kind:?}: introspection");
        assert!(!stage.alive_when_evaluated(agent, token).await, "{kind:?}: evaluation");
        let (code, why) = stage.exchange(agent, token, api, &[]).await.expect_err("on behalf of the subject");
        assert_eq!(code, ErrorCode::InvalidRequest, "{kind:?}: {why}");
        assert!(why.to_string().contains("has ended"), "{kind:?}: {why}");
        let client = claims(token)["client_id"].as_str().unwrap().to_owned();
        let (_, why) = stage.exchange(&client, token, api, &[]).await.expect_err("continuation");
        assert!(why.to_string().contains("has ended"), "{kind:?}: {why}");
    }
    let (id, token) = &trees.task;
    let entered = stage.exchange("gateway", token, "assistant", &[]).await.map(drop);
    let opened = stage.open_task("gateway", token, child()).await.map(drop);
    let beaten = stage.tend("gateway", id, TaskAction::Heartbeat).await.map(drop);
    let looked = stage.tend("gateway", id, TaskAction::Look).await.map(|(status, _)| status);
    // A minute after a task is over nothing tells of it any more.
    let (ways, told) = match kind {
        GenerationKind::Agent => (vec![("entering", entered), ("a child", opened)], looked.is_err() && beaten.is_err()),
        _ => (vec![("entering", entered), ("a child", opened), ("a heartbeat", beaten)], looked.is_ok_and(is_ended)),
    };
    assert!(told, "{kind:?}");
    for (way, refused) in ways {
        let (code, why) = refused.expect_err(way);
        assert_eq!(code, ErrorCode::InvalidRequest, "{kind:?}: {way}: {why}");
        assert!(why.to_string().contains("has ended"), "{kind:?}: {way}: {why}");
    }
    let again = stage.exchange("gateway", &trees.id_token, "assistant", &[]).await;
    let outdated = [GenerationKind::Subject, GenerationKind::Rule].contains(&kind);
    assert_eq!(again.is_err(), outdated, "{kind:?}: evidence older than the end of what it vouches for");
}

async fn grow(stage: &Stage, name: &str) -> Trees {
    let attestation = stage.party("worker").vouched("cluster", json!({}));
    let instance = claims(&attestation)["kubernetes.io"]["pod"]["uid"].as_str().unwrap().to_owned();
    let actor = [("actor_token", attestation.as_str()), ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt")];
    let id_token = stage.party("gateway").id_token(json!({ "sub": name }));
    let first = stage.exchange("gateway", &id_token, "assistant", &actor).await.unwrap();
    let second = stage.exchange("analyst", &first, "crm", &[]).await.unwrap();
    let third = stage.exchange("crm-agent", &second, "billing", &[]).await.unwrap();
    let hops = vec![("analyst", "crm", first), ("crm-agent", "billing", second), ("billing-agent", "archive", third)];
    let other = stage.party("analyst").vouched("idp-twin", json!({ "sub": name }));
    let sibling = stage.exchange("analyst", &other, "crm", &[]).await.unwrap();
    let ceiling = json!({
        "type": "task", "expires_in": 600, "heartbeat": 300,
        "authority": [{"api": stage.api("assistant"), "scopes": ["customers.lookup"]}],
    });
    let task = stage.open_task("gateway", &hops[0].2, ceiling).await.unwrap();
    Trees { id_token, hops, sibling, instance, task }
}

/// The same, but all of it in a task.
async fn grow_in_a_task(stage: &Stage) -> Trees {
    let id_token = stage.party("gateway").id_token(json!({ "sub": "task" }));
    let pairs =
        [("assistant", "customers.lookup"), ("crm", "contacts.read"), ("billing", "invoices.read"), ("archive", "archive.read")];
    let authority: Vec<_> = pairs.iter().map(|(api, scope)| json!({"api": stage.api(api), "scopes": [scope]})).collect();
    let ceiling = json!({ "type": "task", "expires_in": 600, "heartbeat": 300, "authority": authority });
    let task = stage.open_task("gateway", &id_token, ceiling).await.unwrap();
    let first = stage.exchange("gateway", &task.1, "assistant", &[]).await.unwrap();
    let second = stage.exchange("analyst", &first, "crm", &[]).await.unwrap();
    let third = stage.exchange("crm-agent", &second, "billing", &[]).await.unwrap();
    for token in [&first, &second, &third] {
        assert_eq!(claims(token)["task"], json!(task.0));
    }
    let hops = vec![("analyst", "crm", first), ("crm-agent", "billing", second), ("billing-agent", "archive", third)];
    let other = stage.party("analyst").vouched("idp-twin", json!({ "sub": "task" }));
    let sibling = stage.exchange("analyst", &other, "crm", &[]).await.unwrap();
    Trees { id_token, hops, sibling, instance: String::new(), task }
}

/// A child of any task here.
fn child() -> serde_json::Value {
    json!({
        "type": "task", "budget": {"exchanges": 1},
        "authority": [{"api": "https://assistant.example", "scopes": ["customers.lookup"]}],
    })
}

fn ending(stage: &Stage, kind: GenerationKind, trees: &Trees) -> Vec<Revocable> {
    let key = &stage.world.pseudonyms;
    let root = claims(&trees.hops[0].2);
    let text = |name: &str| root[name].as_str().unwrap();
    match kind {
        GenerationKind::Hop => Revocable::hop(Jti::parse(text("jti")).unwrap(), Txn::parse(text("txn")).unwrap(), key),
        GenerationKind::Transaction => Revocable::transaction(Txn::parse(text("txn")).unwrap(), key),
        GenerationKind::Agent => Revocable::agent(&ClientId::parse("gateway").unwrap(), key),
        GenerationKind::Instance => Revocable::instance(&ClientId::parse("worker").unwrap(), &trees.instance, key),
        GenerationKind::Subject => {
            let (rule, id) = text("sub").split_once(':').unwrap();
            Revocable::subject(&Subject::of_sealed(RuleName::parse(rule).unwrap(), id), key)
        }
        GenerationKind::Api => Revocable::api(&Resource::parse(&stage.api("assistant")).unwrap(), key),
        GenerationKind::Key => unreachable!("no tree hangs on a key"),
        GenerationKind::Rule => Revocable::rule(&RuleName::parse("idp").unwrap(), key),
        GenerationKind::Task => {
            let id = TaskId::parse(&trees.task.0).unwrap();
            vec![countersign::lifecycle::StateView::task(&*stage.commit.state(), &id).unwrap().terms.revocable()]
        }
    }
}

fn run(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work);
}
