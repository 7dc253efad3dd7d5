//! `revoke`: death by ancestry, as an operator.

use clap::{ArgGroup, Args};
use serde_json::json;

use super::admin::{Admin, AdminOptions, caveats, counts_again, remembered, verdict};
use super::output::{CommandResult, print};
use super::text::text;

/// The options of `revoke`.
#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(false))]
pub(super) struct Options {
    /// The hop of this token, and every token that descends from it
    #[arg(long, group = "what")]
    token: Option<String>,
    /// The hop with this jti, and every token that descends from it
    #[arg(long, group = "what", value_name = "JTI")]
    hop: Option<String>,
    /// Every token of this transaction
    #[arg(long, group = "what")]
    txn: Option<String>,
    /// This task, its children, and every token that was issued in them
    #[arg(long, group = "what", value_name = "ID")]
    task: Option<String>,
    /// Every token that this agent asked for or acts in
    #[arg(long, group = "what", value_name = "ID")]
    agent: Option<String>,
    /// Every token that one attested running copy of an agent asked for or acts in
    #[arg(long, group = "what", num_args = 2, value_names = ["AGENT", "INSTANCE"], allow_hyphen_values = true)]
    instance: Option<Vec<String>>,
    /// Every token about this subject: the sub of its tokens, <trust rule>:<id>, or an agent's id
    #[arg(long, group = "what")]
    subject: Option<String>,
    /// Every token that rests on what this trust rule vouched for
    #[arg(long, group = "what", value_name = "NAME")]
    rule: Option<String>,
    /// Every token for this API, and every token that descends from one
    #[arg(long, group = "what", value_name = "ID")]
    api: Option<String>,
    /// Why, for the record; nothing personal
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Ends what is named. Answers no when nothing goes by that name, or it is not recorded.
pub(super) fn run(options: &Options) -> CommandResult {
    let (what, value, agent) = options.asked();
    let reason = options.reason.as_deref();
    let answer = Admin::run(&options.admin, async |admin| admin.end(what, &value, agent, reason).await)?;
    let done = match answer {
        Ok(done) => done,
        Err(why) => {
            print(options.admin.json, &json!({ "ok": false, "reason": why }), format!("nothing was ended: {why}"));
            return Ok(false);
        }
    };
    let (ended, name, caveats) = (text(&done, "/ended"), text(&done, "/name"), caveats(&done));
    let begins = format!("ended {ended} {name}: nothing that came from it is accepted here any more");
    let words = caveats.iter().cloned().chain([begins]).chain(counts_again(&done)).chain(remembered(&done));
    let words: Vec<String> = words.collect();
    print(options.admin.json, &verdict(&done, &caveats), words.join("\n"));
    Ok(caveats.is_empty())
}

impl Options {
    fn asked(&self) -> (&'static str, String, Option<&str>) {
        let named = [
            ("token", &self.token),
            ("hop", &self.hop),
            ("txn", &self.txn),
            ("task", &self.task),
            ("agent", &self.agent),
            ("subject", &self.subject),
            ("rule", &self.rule),
            ("api", &self.api),
        ];
        if let Some([agent, instance]) = self.instance.as_deref() {
            return ("instance", instance.clone(), Some(agent));
        }
        let asked = named.into_iter().find_map(|(what, value)| Some((what, value.clone()?)));
        asked.map(|(what, value)| (what, value, None)).unwrap_or_default()
    }
}
