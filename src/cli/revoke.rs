//! `revoke`: death by ancestry, as an operator.

use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::desk::{Admin, Asking};
use super::output::Outcome;

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
    #[arg(long, group = "what", num_args = 2, value_names = ["AGENT", "INSTANCE"])]
    instance: Option<Vec<String>>,
    /// Every token about this subject: the sub of its tokens, <trust rule>:<id>, or an agent's id
    #[arg(long, group = "what")]
    subject: Option<String>,
    /// Every token that rests on what this trust rule vouched for
    #[arg(long, group = "what", value_name = "NAME")]
    rule: Option<String>,
    /// Why, for the record; nothing personal
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

/// Ends what is named. Answers no when nothing goes by that name, or it could not be recorded.
pub(super) fn run(options: &Options) -> Outcome {
    let (what, value, agent) = options.asked();
    let told = Admin::at(&options.asking.place, async |desk| desk.end(what, &value, agent, options.reason.as_deref()).await)?;
    match (&told, options.asking.json) {
        (Ok(done), true) => say!("{}", json!({ "ok": true, "done": done })),
        (Err(why), true) => say!("{}", json!({ "ok": false, "reason": why })),
        (Ok(done), false) => {
            let text = |name: &str| done.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            say!("ended {} {}: nothing that came from it is accepted here any more", text("ended"), text("name"));
        }
        (Err(why), false) => say!("nothing was ended: {why}"),
    }
    Ok(told.is_ok())
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
        ];
        if let Some([agent, instance]) = self.instance.as_deref() {
            return ("instance", instance.clone(), Some(agent));
        }
        let asked = named.into_iter().find_map(|(what, value)| Some((what, value.clone()?)));
        asked.map(|(what, value)| (what, value, None)).unwrap_or_default()
    }
}
