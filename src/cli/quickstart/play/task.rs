//! The task that the work happens in: opened first, completed last.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{Login, Play, body, plain, refusal};
use crate::cli::output::Failed;
use crate::cli::quickstart::report::Verdict;
use crate::cli::wire::Answer;
use crate::demo::{CRM, RESEARCH};
use crate::oauth::TokenType;

/// A task as its opener knows it.
pub(super) struct Task {
    id: String,
    pub(super) token: String,
}

/// As often it is asked whether a token is still active before that counts as never.
const ASKED_MAX: u32 = 100;

impl Play<'_> {
    /// The orchestrator opens a task on alice's behalf.
    pub(super) async fn task(&mut self, alice: &str) -> Result<Option<Task>, Failed> {
        let details = json!([{
            "type": "task",
            "purpose": "account-review",
            "authority": [
                {"api": RESEARCH, "scopes": ["customers.lookup"]},
                {"api": CRM, "scopes": ["contacts.read", "contacts.list"]},
            ],
            "expires_in": 3600,
            "budget": {"exchanges": 10},
        }]);
        let more = [
            ("subject_token", alice),
            ("subject_token_type", TokenType::IdToken.as_str()),
            ("authorization_details", &details.to_string()),
        ];
        let answer = self.asked("/tasks", &self.orchestrator()?, &more).await?;
        let told = body(&answer);
        let text = |name: &str| told.get(name).and_then(Value::as_str).map(str::to_owned);
        let task = text("task").zip(text("task_token")).map(|(id, token)| Task { id, token });
        let outcome = match &task {
            Some(_) => format!("opened for {} s, and bound to the orchestrator's key", plain(&told, "expires_in")),
            None => refusal(&answer),
        };
        self.report.tell(Verdict {
            step: "task",
            title: "A task: the orchestrator says what it is going to do for alice, and is held to it",
            expected: "opened",
            outcome,
            ok: answer.status == 200 && task.is_some(),
            details: vec![
                format!("purpose account-review; at most 10 exchanges; {RESEARCH} customers.lookup"),
                format!("                                              {CRM} contacts.read contacts.list"),
            ],
            more: vec![("task", json!(task.as_ref().map(|task| &task.id)))],
        });
        Ok(task)
    }

    /// Completes the task, and asks each API at once about what it received. `hops` are the tokens with who may ask.
    pub(super) async fn completed(&mut self, task: &Task, hops: [(&str, &str); 3]) -> Result<(), Failed> {
        let mut before = 0;
        for (asks, token) in hops {
            before += u32::from(self.is_active(asks, token).await?);
        }
        let began = Instant::now();
        let answer = self.asked(&format!("/tasks/{}/complete", task.id), &self.orchestrator()?, &[]).await?;
        let answered = began.elapsed();
        self.ended = Some(Instant::now());
        let mut died = Vec::new();
        for (asks, token) in hops {
            died.extend(self.death(asks, token).await?);
        }
        let entered = self.entered(task).await?;
        let ended = body(&answer).get("status") == Some(&"ended".into());
        let count = died.len();
        let all: Duration = died.iter().sum();
        let millis = |span: Duration| format!("{:.1} ms", span.as_secs_f64() * 1000.0);
        self.report.tell(Verdict {
            step: "task_completed",
            title: "The task is completed, and everything that came from it is dead for whoever asks",
            expected: "3 of 3 tokens inactive, and the task shut",
            outcome: format!("{count} of 3 inactive at the first question, {} after the answer", millis(all)),
            ok: ended && before == 3 && count == 3 && entered.status == 400,
            details: vec![
                format!("before  {before} of 3 tokens active at introspection"),
                format!("done    recorded durably and answered in {}", millis(answered)),
                format!("after   each API is told inactive, asked one after the other, in {}", millis(all)),
                format!("shut    {}", plain(&body(&entered), "error_description")),
            ],
            more: vec![
                ("answered_ms", json!(answered.as_secs_f64() * 1000.0)),
                ("all_inactive_ms", json!(all.as_secs_f64() * 1000.0)),
                ("active_before", json!(before)),
                ("inactive_after", json!(count)),
            ],
        });
        Ok(())
    }

    /// How long it took until `asks` was told that `token` is inactive; none when it had to ask more than once.
    async fn death(&self, asks: &str, token: &str) -> Result<Option<Duration>, Failed> {
        let began = Instant::now();
        for asked in 0..ASKED_MAX {
            if !self.is_active(asks, token).await? {
                return Ok((asked == 0).then(|| began.elapsed()));
            }
        }
        Ok(None)
    }

    async fn is_active(&self, asks: &str, token: &str) -> Result<bool, Failed> {
        let login = if asks == "researcher" { self.researcher()? } else { self.gateway()? };
        let told: Map<String, Value> = body(&self.asked("/introspect", &login, &[("token", token)]).await?);
        Ok(told.get("active") == Some(&true.into()))
    }

    /// The task token once more, after the end.
    async fn entered(&self, task: &Task) -> Result<Answer, Failed> {
        let more = [
            ("grant_type", crate::request::TOKEN_EXCHANGE),
            ("subject_token", task.token.as_str()),
            ("subject_token_type", TokenType::Jwt.as_str()),
            ("resource", RESEARCH),
        ];
        self.asked("/token", &self.orchestrator()?, &more).await
    }

    async fn asked(&self, path: &str, login: &Login, more: &[(&str, &str)]) -> Result<Answer, Failed> {
        let mut form = vec![("client_assertion", login.assertion.as_str()), ("client_assertion_type", login.kind)];
        form.extend(more);
        self.wire.post_form(&format!("{}{path}", self.federation.issuer), &form, None, None).await
    }
}
