//! Asking what an exchange would be refused for now, whoever asks for it.

use crate::commit::command::{CommitCommand, CommitFacts, Reply, Requires, Staging};
use crate::commit::hindrance::Hindrance;
use crate::commit::receipt::CommitReason;

/// The command. It goes the way of every other, so that a writer that does not work does not answer it.
pub(in crate::commit) struct ProbeCommand {
    found: Vec<Hindrance>,
    reply: Reply<Vec<Hindrance>>,
}

impl ProbeCommand {
    pub(in crate::commit) fn new(reply: Reply<Vec<Hindrance>>) -> Self {
        Self { found: Vec::new(), reply }
    }
}

impl CommitCommand for ProbeCommand {
    fn requires(&self) -> Requires {
        Requires::Nothing
    }

    fn judge(&self, _: &CommitFacts<'_>) -> Result<(), CommitReason> {
        Ok(())
    }

    fn stage(&mut self, staging: &mut Staging<'_>) -> Result<(), CommitReason> {
        self.found = staging.hindrances();
        Ok(())
    }

    fn answer(&mut self, verdict: Result<(), CommitReason>) {
        if verdict.is_err() && !self.found.contains(&Hindrance::Store) {
            self.found.push(Hindrance::Store);
        }
        self.reply.send(Ok(std::mem::take(&mut self.found)));
    }
}
