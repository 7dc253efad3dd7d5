//! What an API knows that never asks the server about a token: the signed status list.

use std::io::Read;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::ZlibDecoder;
use serde_json::{Value, json};

use super::Play;
use crate::cli::inspect;
use crate::cli::output::Failed;
use crate::cli::quickstart::report::Verdict;
use crate::demo::{CRM, Validator};

/// No list is longer, unpacked.
const BYTES_MAX: u64 = 1 << 20;

/// What is not told by then is not told in time.
const PATIENCE: Duration = Duration::from_secs(2);

impl Play<'_> {
    /// Looks at the lists until they say that the tokens are invalid; so many were `valid` before the task was completed.
    pub(super) async fn listed(&mut self, tokens: [&str; 2], valid: usize) -> Result<(), Failed> {
        let ended = self.ended.unwrap_or(self.started);
        let mut invalid = self.told(tokens, 1).await?;
        while invalid < tokens.len() && ended.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(20)).await;
            invalid = self.told(tokens, 1).await?;
        }
        let millis = ended.elapsed().as_secs_f64() * 1000.0;
        self.report.tell(Verdict {
            step: "status_list",
            title: "The same for an API that never asks about a token: it reads the signed status list",
            expected: "2 of 2 tokens invalid within 2 s",
            outcome: format!("{invalid} of 2 invalid, {millis:.0} ms after the task was completed"),
            ok: valid == tokens.len() && invalid == tokens.len(),
            details: vec![
                format!("before  {valid} of 2 tokens valid in the list that they name"),
                "after   both bits are set; a validator that keeps the list for its ttl learns of it one ttl later".to_owned(),
            ],
            more: vec![("listed_ms", json!(millis)), ("invalid", json!(invalid))],
        });
        Ok(())
    }

    /// Of how many of the tokens their lists say `value`.
    pub(super) async fn told(&self, tokens: [&str; 2], value: u8) -> Result<usize, Failed> {
        let mut count = 0;
        for token in tokens {
            count += usize::from(self.status(token).await? == Some(value));
        }
        Ok(count)
    }

    /// What its list says of a token (draft-ietf-oauth-status-list-21 §8.3).
    async fn status(&self, token: &str) -> Result<Option<u8>, Failed> {
        let claims = inspect::claims(token).unwrap_or_default();
        let place = |name: &str| claims.get("status")?.get("status_list")?.get(name);
        let (Some(index), Some(uri)) = (place("idx").and_then(Value::as_u64), place("uri").and_then(Value::as_str)) else {
            return Ok(None);
        };
        let keys = self.wire.get(&format!("{}/jwks", self.federation.issuer)).await?;
        let api = Validator::new(&self.federation.issuer, CRM, &keys.body)?;
        let answer = self.wire.get(uri).await?;
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
