//! The task that the work happens in: opened first, completed last; and how its end reaches whoever asks and whoever reads
//! status lists.

use std::io::Read;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::ZlibDecoder;
use serde_json::{Map, Value, json};

use super::{Assertion, Play, body, plain, refusal};
use crate::cli::http_client::HttpReply;
use crate::cli::output::Failure;
use crate::cli::quickstart::report::StepResult;
use crate::cli::text;
use crate::demo::{CRM, RESEARCH, Validator};
use crate::oauth::TokenType;

/// A task as its opener knows it.
pub(super) struct PlayedTask {
    id: String,
    pub(super) token: String,
}

/// The longest status list, unpacked, in bytes.
const BYTES_MAX: u64 = 1 << 20;

/// After so long a status list counts as one that never tells of an end: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

impl Play<'_> {
    /// The orchestrator opens a task on alice's behalf.
    pub(super) async fn task(&mut self, alice: &str) -> Result<Option<PlayedTask>, Failure> {
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
        let response = body(&answer);
        let text = |name: &str| response.get(name).and_then(Value::as_str).map(str::to_owned);
        let task = text("task").zip(text("task_token")).map(|(id, token)| PlayedTask { id, token });
        let outcome = match &task {
            Some(_) => format!("opened for {} s, and bound to the orchestrator's key", plain(&response, "expires_in")),
            None => refusal(&answer),
        };
        self.report.add(StepResult {
            step: "task",
            title: "A task: the orchestrator says what it will do for alice, and is held to it",
            expected: "opened",
            outcome,
            ok: answer.status == 200 && task.is_some(),
            details: vec![
                "purpose account-review; at most 10 exchanges".to_owned(),
                format!("may     {RESEARCH} customers.lookup"),
                format!("        {CRM} contacts.read contacts.list"),
            ],
            more: vec![("task", json!(task.as_ref().map(|task| &task.id)))],
        });
        Ok(task)
    }

    /// Completes the task, and asks each API at once about what it received. `hops` are the tokens with who may ask.
    pub(super) async fn completed(&mut self, task: &PlayedTask, hops: [(&str, &str); 3]) -> Result<(), Failure> {
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
        self.report.add(StepResult {
            step: "task_completed",
            title: "The task is completed: everything that came from it is dead",
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

    /// How long it took until `asks` was told that `token` is inactive; none when it was told that it is active.
    async fn death(&self, asks: &str, token: &str) -> Result<Option<Duration>, Failure> {
        let began = Instant::now();
        Ok((!self.is_active(asks, token).await?).then(|| began.elapsed()))
    }

    async fn is_active(&self, asks: &str, token: &str) -> Result<bool, Failure> {
        let client = if asks == "researcher" { self.researcher()? } else { self.gateway()? };
        let response: Map<String, Value> = body(&self.asked("/introspect", &client, &[("token", token)]).await?);
        Ok(response.get("active") == Some(&true.into()))
    }

    /// The task token once more, after the end.
    async fn entered(&self, task: &PlayedTask) -> Result<HttpReply, Failure> {
        let more = [
            ("grant_type", crate::oauth::GrantType::TokenExchange.as_str()),
            ("subject_token", task.token.as_str()),
            ("subject_token_type", TokenType::Jwt.as_str()),
            ("resource", RESEARCH),
        ];
        self.asked("/token", &self.orchestrator()?, &more).await
    }

    async fn asked(&self, path: &str, client: &Assertion, more: &[(&str, &str)]) -> Result<HttpReply, Failure> {
        let mut form = vec![("client_assertion", client.jwt.as_str()), ("client_assertion_type", client.assertion_type)];
        form.extend(more);
        self.http.post_form(&format!("{}{path}", self.federation.issuer), &form, None, None).await
    }

    /// The view of an API that never asks about a token: looks at the signed status lists until they say that the tokens are
    /// invalid; so many were `valid` before the task was completed.
    pub(super) async fn listed(&mut self, tokens: [&str; 2], valid: usize) -> Result<(), Failure> {
        let ended = self.ended.unwrap_or(self.started);
        let mut invalid = self.with_status(tokens, 1).await?;
        while invalid < tokens.len() && ended.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(20)).await;
            invalid = self.with_status(tokens, 1).await?;
        }
        let millis = ended.elapsed().as_secs_f64() * 1000.0;
        self.report.add(StepResult {
            step: "status_list",
            title: "An API that never asks about a token reads it in the signed status list",
            expected: "2 of 2 tokens invalid",
            outcome: format!("{invalid} of 2 invalid, {millis:.0} ms after the task was completed"),
            ok: valid == tokens.len() && invalid == tokens.len(),
            details: vec![
                format!("before  {valid} of 2 tokens valid in the list that they name"),
                "after   both bits are set; who keeps the list learns of it one ttl later".to_owned(),
            ],
            more: vec![("listed_ms", json!(millis)), ("invalid", json!(invalid))],
        });
        Ok(())
    }

    /// The number of tokens of which their lists say `value`.
    pub(super) async fn with_status(&self, tokens: [&str; 2], value: u8) -> Result<usize, Failure> {
        let mut count = 0;
        for token in tokens {
            count += usize::from(self.status(token).await? == Some(value));
        }
        Ok(count)
    }

    /// The value of a token in the status list that it names (draft-ietf-oauth-status-list-21 §8.3).
    async fn status(&self, token: &str) -> Result<Option<u8>, Failure> {
        let claims = text::claims(token).unwrap_or_default();
        let place = |name: &str| claims.get("status")?.get("status_list")?.get(name);
        let (Some(index), Some(uri)) = (place("idx").and_then(Value::as_u64), place("uri").and_then(Value::as_str)) else {
            return Ok(None);
        };
        let keys = self.http.get(&format!("{}/jwks", self.federation.issuer)).await?;
        let api = Validator::new(&self.federation.issuer, CRM, &keys.body)?;
        let answer = self.http.get(uri).await?;
        let list = api.status_list(&String::from_utf8_lossy(&answer.body), uri, self.now())?;
        let list = list.claim("status_list").cloned().unwrap_or_default();
        let packed = URL_SAFE_NO_PAD.decode(list.get("lst").and_then(Value::as_str).unwrap_or_default())?;
        let mut bytes = Vec::new();
        ZlibDecoder::new(packed.as_slice()).take(BYTES_MAX).read_to_end(&mut bytes)?;
        let bits = list.get("bits").and_then(Value::as_u64).filter(|bits| matches!(bits, 1 | 2)).unwrap_or(1);
        let byte = usize::try_from(index * bits / 8).ok().and_then(|at| bytes.get(at));
        Ok(byte.map(|byte| byte >> (index * bits % 8) & ((1 << bits) - 1)))
    }
}
