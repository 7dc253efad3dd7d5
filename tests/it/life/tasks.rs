//! Tasks under a clock that the test moves: days of work in tokens of minutes, and everything that may end it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use countersign::error::ErrorCode;
use countersign::lifecycle::{Revocable, StatusChange, TaskAction, TaskStatus, Transition};
use countersign::oauth::{ClientId, RuleName, Subject};
use serde_json::{Value, json};

use super::run;
use super::stage::Stage;
use crate::support::patience::until_async;
use crate::support::{Ledger, claims};

const DAY: i64 = 86_400;

fn wanted(more: Value) -> Value {
    let mut details = json!({
        "type": "task", "purpose": "account-review",
        "authority": [{"api": "https://crm.example", "scopes": ["contacts.read", "contacts.write"]}],
    });
    details.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    details
}

async fn opened(stage: &Stage, more: Value) -> (String, String) {
    let id_token = stage.party("orchestrator").id_token(json!({}));
    stage.open_task("orchestrator", &id_token, wanted(more)).await.unwrap()
}

async fn entered(stage: &Stage, token: &str) -> Result<String, (ErrorCode, String)> {
    let done = stage.exchange("orchestrator", token, "crm", &[("scope", "contacts.read")]).await;
    done.map_err(|(code, why)| (code, why.to_string()))
}

fn later(stage: &Stage, seconds: i64) {
    stage.clock.0.fetch_add(seconds, Ordering::SeqCst);
}

#[test]
fn a_task_of_thirty_days_works_in_tokens_of_five_minutes() {
    run(async {
        let stage = Stage::new("tasks-days");
        let (_, token) = opened(&stage, json!({ "expires_in": 30 * DAY })).await;
        let deadline = claims(&token)["exp"].as_i64().unwrap();
        assert_eq!(deadline - claims(&token)["iat"].as_i64().unwrap(), 30 * DAY);
        let mut before = None;
        for _day in 0..30 {
            let issued = entered(&stage, &token).await.unwrap();
            let (iat, exp) = (claims(&issued)["iat"].as_i64().unwrap(), claims(&issued)["exp"].as_i64().unwrap());
            assert!(exp - iat <= 300 && exp <= deadline);
            assert!(stage.active("crm-agent", &issued).await);
            if let Some(before) = before.replace(issued) {
                assert!(!stage.active("crm-agent", &before).await, "yesterday's token has run out");
            }
            later(&stage, DAY - 2);
        }
        later(&stage, 30);
        let issued = entered(&stage, &token).await.unwrap();
        assert_eq!(claims(&issued)["exp"].as_i64().unwrap(), deadline, "no token outlives its task");
        later(&stage, 40);
        assert!(!stage.active("crm-agent", &issued).await);
        let (code, why) = entered(&stage, &token).await.unwrap_err();
        assert_eq!(code, ErrorCode::InvalidRequest, "{why}");
    });
}

#[test]
fn a_subject_that_is_revoked_on_day_two_ends_the_task() {
    run(async {
        let mut stage = Stage::new("tasks-subject");
        let (id, token) = opened(&stage, json!({ "expires_in": 30 * DAY })).await;
        later(&stage, 2 * DAY);
        let issued = entered(&stage, &token).await.unwrap();
        let (rule, name) =
            claims(&issued)["sub"].as_str().unwrap().split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let subject = Subject::of_sealed(RuleName::parse(&rule).unwrap(), &name);
        stage.end(Revocable::subject(&subject, &stage.world.pseudonyms)).await.unwrap();
        for _ in 0..2 {
            assert!(!stage.active("crm-agent", &issued).await);
            assert!(entered(&stage, &token).await.unwrap_err().1.contains("has ended"));
            assert_eq!(stage.tend("orchestrator", &id, TaskAction::Look).await.unwrap().0, TaskStatus::Ended);
            stage = stage.restarted().await;
        }
        later(&stage, 61);
        let again = opened(&stage, json!({})).await;
        entered(&stage, &again.1).await.expect("a person who logs in again begins a new life");
    });
}

#[test]
fn a_clock_set_back_an_hour_revives_nothing_and_issues_nothing() {
    run(async {
        let mut stage = Stage::new("tasks-clock");
        let (id, token) = opened(&stage, json!({ "expires_in": 7 * DAY, "heartbeat": 60 })).await;
        let issued = entered(&stage, &token).await.unwrap();
        later(&stage, 61);
        assert!(!stage.active("crm-agent", &issued).await, "the heartbeat was missed");
        assert!(entered(&stage, &token).await.unwrap_err().1.contains("has ended"), "and nobody had to write that");
        wait_for(&stage, || stage.commit.durable().records() >= 3).await;
        later(&stage, -3600);
        for _ in 0..2 {
            assert!(!told_active(&stage, &issued).await);
            assert!(entered(&stage, &token).await.is_err());
            assert!(stage.tend("orchestrator", &id, TaskAction::Heartbeat).await.is_err());
            stage = stage.restarted().await;
        }
        later(&stage, 3600);
        assert!(entered(&stage, &token).await.unwrap_err().1.contains("has ended"));
        let folder = stage.fixture.data.clone();
        stage.commit.close().await;
        let deaths = Ledger::read(&folder).deaths();
        assert_eq!((deaths.len(), &deaths[0]["by"]), (1, &json!("server")));
        assert_eq!(deaths[0]["reason"], "its heartbeat was missed");
        assert_eq!(deaths[0]["ends"][0]["name"], json!(id));
    });
}

/// While the clock is behind nobody is told anything.
async fn told_active(stage: &Stage, token: &str) -> bool {
    use countersign::lifecycle::StateView;
    let own = countersign::token::verify_own(token, &stage.world.own, stage.commit.state().floor()).unwrap();
    let now = countersign::oauth::Clock::now(&*stage.clock);
    let state: &dyn StateView = &*stage.commit.state();
    countersign::lifecycle::alive(state, &own.own().generations, now).is_ok()
}

async fn wait_for(_stage: &Stage, done: impl Fn() -> bool) {
    until_async("what time brings", done).await;
}

#[test]
fn an_agent_suspended_and_resumed_between_two_hops() {
    run(async {
        let mut stage = Stage::new("tasks-agent");
        let (_, token) = opened(&stage, json!({ "expires_in": DAY })).await;
        let first = entered(&stage, &token).await.unwrap();
        let agent = ClientId::parse("orchestrator").unwrap();
        let turn = |turn, stage: &Stage| StatusChange {
            turn,
            things: Revocable::agent(&agent, &stage.world.pseudonyms),
            by: ClientId::parse("ops").unwrap(),
            reason: "told so".to_owned(),
        };
        stage.commit.hold(turn(Transition::Suspend, &stage), vec![]).await.unwrap();
        for _ in 0..2 {
            assert!(!stage.active("crm-agent", &first).await);
            assert!(entered(&stage, &token).await.unwrap_err().1.contains("is suspended"));
            let carried = stage.exchange("crm-agent", &first, "billing", &[]).await;
            assert!(carried.unwrap_err().1.to_string().contains("is suspended"), "what it handed on is suspended with it");
            stage = stage.restarted().await;
        }
        stage.commit.hold(turn(Transition::Resume, &stage), vec![]).await.unwrap();
        assert!(stage.active("crm-agent", &first).await);
        entered(&stage, &token).await.unwrap();
    });
}

#[test]
fn heartbeats_keep_a_task_and_a_missed_one_ends_it_for_good() {
    run(async {
        let mut stage = Stage::new("tasks-heartbeat");
        let (id, token) = opened(&stage, json!({ "expires_in": DAY, "heartbeat": 60 })).await;
        for _ in 0..4 {
            later(&stage, 50);
            assert_eq!(stage.tend("orchestrator", &id, TaskAction::Heartbeat).await.unwrap().0, TaskStatus::Active);
            stage = stage.restarted().await;
            entered(&stage, &token).await.expect("it was durable");
        }
        later(&stage, 61);
        assert!(stage.tend("orchestrator", &id, TaskAction::Heartbeat).await.is_err(), "too late");
        assert!(entered(&stage, &token).await.is_err());
    });
}

#[test]
fn a_task_that_is_suspended_overnight_needs_no_heartbeat_until_it_is_resumed() {
    run(async {
        let mut stage = Stage::new("tasks-overnight");
        let (id, token) = opened(&stage, json!({ "expires_in": DAY, "heartbeat": 60 })).await;
        later(&stage, 59);
        assert_eq!(stage.tend("orchestrator", &id, TaskAction::Suspend).await.unwrap().0, TaskStatus::Suspended);
        later(&stage, 9 * 3600);
        assert!(entered(&stage, &token).await.unwrap_err().1.contains("is suspended"));
        stage = stage.restarted().await;
        assert_eq!(stage.tend("orchestrator", &id, TaskAction::Resume).await.unwrap().0, TaskStatus::Active);
        later(&stage, 59);
        let issued = entered(&stage, &token).await.unwrap();
        stage.tend("orchestrator", &id, TaskAction::Suspend).await.unwrap();
        later(&stage, 120);
        stage.tend("orchestrator", &id, TaskAction::Resume).await.unwrap();
        assert!(stage.active("crm-agent", &issued).await, "what was issued before goes on");
        later(&stage, 61);
        assert!(!stage.active("crm-agent", &issued).await, "the waiting began anew");
        assert!(stage.tend("orchestrator", &id, TaskAction::Resume).await.is_err(), "and what missed it is over");
    });
}

#[test]
fn no_parallelism_spends_more_than_there_is() {
    run(async {
        let stage = Arc::new(Stage::new("tasks-budget"));
        let (id, token) = opened(&stage, json!({ "budget": {"exchanges": 20} })).await;
        let mut work = tokio::task::JoinSet::new();
        for one in 0..60 {
            let (stage, token) = (Arc::clone(&stage), token.clone());
            work.spawn(async move {
                match one % 4 {
                    0 => stage.open_task("orchestrator", &token, wanted(json!({ "budget": {"exchanges": 3} }))).await.map(|_| 3),
                    _ => stage.exchange("orchestrator", &token, "crm", &[("scope", "contacts.read")]).await.map(|_| 1),
                }
            });
        }
        let done = work.join_all().await;
        let spent: u64 = done.iter().filter_map(|done| done.as_ref().ok()).sum();
        assert!((18..=20).contains(&spent), "{spent}");
        for (code, why) in done.into_iter().filter_map(Result::err) {
            assert!(why.to_string().contains("budget"), "{why}");
            assert!(matches!(code, ErrorCode::InvalidRequest | ErrorCode::InvalidAuthorizationDetails), "{code:?}");
        }
        let left = stage.tend("orchestrator", &id, TaskAction::Look).await.unwrap().1;
        assert_eq!(spent + left, 20, "what is left is what was not spent");
        let stage = Arc::into_inner(stage).unwrap().restarted().await;
        assert_eq!(stage.tend("orchestrator", &id, TaskAction::Look).await.unwrap().1, left, "a restart gives nothing back");
    });
}

#[test]
fn completing_ends_every_descendant_of_every_child_and_nothing_else() {
    run(async {
        let stage = Stage::new("tasks-complete");
        let (id, token) = opened(&stage, json!({})).await;
        let other = opened(&stage, json!({})).await;
        let (child, child_token) = stage
            .open_task("orchestrator", &token, wanted(json!({ "holder": "analyst", "budget": {"exchanges": 5} })))
            .await
            .unwrap();
        let by_child = stage.exchange("analyst", &child_token, "crm", &[]).await.unwrap();
        assert_eq!((&claims(&by_child)["task"], &claims(&by_child)["act"]["sub"]), (&json!(child), &json!("analyst")));
        let direct = entered(&stage, &token).await.unwrap();
        let apart = entered(&stage, &other.1).await.unwrap();
        assert!(stage.tend("mallory", &id, TaskAction::Complete).await.is_err());
        assert_eq!(stage.tend("orchestrator", &id, TaskAction::Complete).await.unwrap().0, TaskStatus::Ended);
        for token in [&by_child, &direct] {
            assert!(!stage.active("crm-agent", token).await);
        }
        assert!(stage.exchange("analyst", &child_token, "crm", &[]).await.is_err());
        assert_eq!(stage.tend("analyst", &child, TaskAction::Look).await.unwrap().0, TaskStatus::Ended);
        assert!(stage.active("crm-agent", &apart).await, "another task goes on");
        assert_eq!(
            stage.tend("orchestrator", &id, TaskAction::Complete).await.unwrap().0,
            TaskStatus::Ended,
            "once more is no error"
        );
    });
}

#[test]
fn whoever_counts_for_less_does_not_resume() {
    run(async {
        let stage = Stage::new("tasks-ranks");
        let (_, token) = opened(&stage, json!({})).await;
        let details = wanted(json!({ "holder": "analyst", "budget": {"exchanges": 9} }));
        let (child, child_token) = stage.open_task("orchestrator", &token, details).await.unwrap();
        let work = async || stage.exchange("analyst", &child_token, "crm", &[]).await.is_ok();
        let wish = async |who: &str, wish| stage.tend(who, &child, wish).await.map(|(status, _)| status);
        assert!(work().await);
        assert_eq!(wish("analyst", TaskAction::Suspend).await.unwrap(), TaskStatus::Suspended);
        assert!(!work().await);
        assert_eq!(wish("analyst", TaskAction::Resume).await.unwrap(), TaskStatus::Active, "its own suspension");
        assert!(work().await);
        assert_eq!(wish("orchestrator", TaskAction::Suspend).await.unwrap(), TaskStatus::Suspended);
        assert_eq!(wish("analyst", TaskAction::Suspend).await.unwrap(), TaskStatus::Suspended);
        assert!(wish("analyst", TaskAction::Resume).await.is_err(), "its opener's suspension");
        let stage_again = &stage;
        let things = {
            use countersign::lifecycle::StateView;
            stage_again.commit.state().task(&child.parse_task()).unwrap().terms.revocable()
        };
        let ops = StatusChange {
            turn: Transition::Suspend,
            things: vec![things],
            by: ClientId::parse("ops").unwrap(),
            reason: "x".into(),
        };
        stage.commit.hold(ops.clone(), vec![]).await.unwrap();
        assert!(wish("orchestrator", TaskAction::Resume).await.is_err(), "the operator's suspension");
        assert!(wish("orchestrator", TaskAction::Heartbeat).await.is_err(), "only the holder sends heartbeats");
        stage.commit.hold(StatusChange { turn: Transition::Resume, ..ops }, vec![]).await.unwrap();
        assert!(work().await);
    });
}

trait ParseTask {
    fn parse_task(&self) -> countersign::oauth::TaskId;
}

impl ParseTask for String {
    fn parse_task(&self) -> countersign::oauth::TaskId {
        countersign::oauth::TaskId::parse(self).unwrap()
    }
}

#[test]
fn a_revoked_hop_ends_the_task_that_was_opened_under_it_also_when_the_hop_is_long_gone() {
    run(async {
        let mut stage = Stage::new("tasks-under");
        let id_token = stage.party("orchestrator").id_token(json!({}));
        let hop = stage.exchange("orchestrator", &id_token, "crm", &[]).await.unwrap();
        let details = json!({
            "type": "task", "expires_in": 10 * DAY,
            "authority": [{"api": "https://crm.example", "scopes": ["contacts.read"]}],
        });
        let (_, token) = stage.open_task("orchestrator", &hop, details).await.unwrap();
        entered(&stage, &token).await.unwrap();
        stage.revoke("orchestrator", &hop).await.unwrap();
        for _ in 0..3 {
            assert!(entered(&stage, &token).await.unwrap_err().1.contains("has ended"));
            later(&stage, DAY);
            opened(&stage, json!({})).await;
            stage = stage.restarted().await;
        }
    });
}
