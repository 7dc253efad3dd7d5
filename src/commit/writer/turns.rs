//! Whose commands are in the next batch. A client that has many waiting does not fill it while others have some: its further ones
//! wait for the batch behind, so that a command of anybody else waits for a short batch, however much one client sends.

use std::collections::{HashMap, VecDeque};

use crate::commit::command::CommitCommand;
use crate::oauth::ShareKey;

/// While several clients are about, a batch takes so many commands of each.
const EACH: usize = 8;

/// A client is about for so many batches after its last command.
const ABOUT: u64 = 32;

/// More clients than this are not told apart; whoever is about is found out anew.
const CLIENTS_MAX: usize = 1024;

/// The commands that wait, in the order in which they came.
#[derive(Default)]
pub(super) struct Turns {
    waiting: VecDeque<Box<dyn CommitCommand>>,
    /// The number of the next batch, and that of the last in which each client had a command.
    next: u64,
    about: HashMap<ShareKey, u64>,
}

impl Turns {
    /// True while commands wait.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The commands of the next batch, in their order: of those that waited and those that `arrived` all that are nobody's share,
    /// which deaths and operators' are, and of each client as many as its turn has.
    pub(super) fn take(&mut self, arrived: impl Iterator<Item = Box<dyn CommitCommand>>) -> Vec<Box<dyn CommitCommand>> {
        self.waiting.extend(arrived);
        self.next += 1;
        self.note();
        if self.about.len() < 2 {
            return self.waiting.drain(..).collect();
        }
        let (mut taken, mut of) = (Vec::with_capacity(self.waiting.len()), HashMap::<ShareKey, usize>::new());
        for command in std::mem::take(&mut self.waiting) {
            let (who, of_client) = (command.share(), of.entry(command.share()).or_default());
            *of_client += 1;
            if who.is_nobody() || *of_client <= EACH {
                taken.push(command);
            } else {
                self.waiting.push_back(command);
            }
        }
        taken
    }

    /// Notes who is about.
    fn note(&mut self) {
        let next = self.next;
        if self.about.len() >= CLIENTS_MAX {
            self.about.clear();
        }
        let clients = self.waiting.iter().map(|command| command.share()).filter(|who| !who.is_nobody());
        self.about.extend(clients.map(|who| (who, next)));
        self.about.retain(|_, last| next - *last < ABOUT);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::commit::command::{CommitFacts, Staging};
    use crate::commit::receipt::CommitReason;
    use crate::oauth::ClientId;

    /// A command of somebody, with a number, which it leaves when it is answered.
    struct Of(ShareKey, usize, Arc<Mutex<Vec<usize>>>);

    impl CommitCommand for Of {
        fn share(&self) -> ShareKey {
            self.0
        }

        fn judge(&self, _: &CommitFacts<'_>) -> Result<(), CommitReason> {
            Ok(())
        }

        fn stage(&mut self, _: &mut Staging<'_>) -> Result<(), CommitReason> {
            Ok(())
        }

        fn answer(&mut self, _: Result<(), CommitReason>) {
            self.2.lock().unwrap().push(self.1);
        }
    }

    fn client(id: &str) -> ShareKey {
        ShareKey::of(&ClientId::parse(id).unwrap())
    }

    fn many(who: ShareKey, count: usize) -> Vec<Box<dyn CommitCommand>> {
        many_to(who, count, &Arc::default())
    }

    fn many_to(who: ShareKey, count: usize, answered: &Arc<Mutex<Vec<usize>>>) -> Vec<Box<dyn CommitCommand>> {
        (0..count).map(|number| Box::new(Of(who, number, Arc::clone(answered))) as Box<dyn CommitCommand>).collect()
    }

    fn counts(batch: &[Box<dyn CommitCommand>], of: &[ShareKey]) -> Vec<usize> {
        of.iter().map(|who| batch.iter().filter(|command| command.share() == *who).count()).collect()
    }

    #[test]
    fn a_client_alone_fills_a_batch() {
        let mut turns = Turns::default();
        for _ in 0..100 {
            assert_eq!(turns.take(many(client("a"), 500).into_iter()).len(), 500);
        }
        assert!(!turns.is_waiting());
    }

    #[test]
    fn while_others_are_about_nobody_fills_a_batch_and_everybody_gets_on() {
        let (a, b, ops) = (client("a"), client("b"), ShareKey::NOBODY);
        let mut turns = Turns::default();
        let first = turns.take(many(a, 500).into_iter().chain(many(b, 1)).chain(many(ops, 20)));
        assert_eq!(counts(&first, &[a, b, ops]), [EACH, 1, 20], "what is nobody's share never waits");
        let batches: Vec<usize> = (0..).map(|_| turns.take(std::iter::empty()).len()).take_while(|count| *count > 0).collect();
        let alone = batches.iter().position(|count| *count > EACH).unwrap();
        assert_eq!((batches[..alone].len() as u64, batches.iter().sum::<usize>()), (ABOUT - 1, 500 - EACH), "then it is alone");
        assert!(!turns.is_waiting());
    }

    #[test]
    fn of_one_client_the_order_stays() {
        let (a, b) = (client("a"), client("b"));
        let mut turns = Turns::default();
        let mut seen = Vec::new();
        let answered = Arc::default();
        let mut next: Vec<_> = many_to(a, 30, &answered).into_iter().chain(many(b, 30)).collect();
        while !next.is_empty() || turns.is_waiting() {
            let mut batch = turns.take(std::mem::take(&mut next).into_iter());
            let of_both = counts(&batch, &[a, b]);
            batch.iter_mut().for_each(|command| command.answer(Ok(())));
            seen.push((of_both[0], of_both[1]));
        }
        assert_eq!(seen, [(8, 8), (8, 8), (8, 8), (6, 6)]);
        assert!(answered.lock().unwrap().iter().copied().eq(0..30));
    }
}
