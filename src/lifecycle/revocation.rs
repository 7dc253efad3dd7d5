//! Revocation and suspension: the changes of status that the ledger records. A token depends on generations, so ending one of
//! them ends every token under it; nothing has to be listed. Suspension comes back; retirement ends and never comes back.

use crate::oauth::{ClientId, GenerationKey, GenerationKind, Jti, Pseudonyms, Resource, RuleName, Subject, Time, Txn};

/// A revocation to record. The writer gives it its time and the numbers of the generations that begin.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// The things that end, at most 256.
    pub ends: Vec<Revocable>,
    /// The agent that asked for it, or `ops`.
    pub by: ClientId,
    /// The reason, in words that hold nothing personal; at most 1,024 bytes.
    pub reason: String,
    /// The time after which the revocation may be forgotten, because nothing issued under the old generations could still be
    /// presented; none for ever. Forgetting returns a thing to generation 0, so only one under which nothing new can be issued
    /// (a hop, a transaction, a task, a key) may have one; and a running copy, whose generations have a time for a number.
    pub until: Option<Time>,
}

/// One thing that can be revoked, suspended or retired.
#[derive(Clone, Debug)]
pub struct Revocable {
    /// Its keyed pseudonym.
    pub key: GenerationKey,
    /// Its kind.
    pub kind: GenerationKind,
    /// Its name, for replay; none where it is personal.
    pub name: Option<String>,
    /// The transaction that it belongs to, where it is a task, a transaction or a hop: replay finds it there.
    pub txn: Option<Txn>,
}

/// A suspension, resumption or retirement to record.
#[derive(Clone, Debug)]
pub struct StatusChange {
    /// The transition.
    pub turn: Transition,
    /// The things it applies to, at most 256.
    pub things: Vec<Revocable>,
    /// The agent that asked for it, or `ops`.
    pub by: ClientId,
    /// The reason, in words that hold nothing personal; at most 1,024 bytes.
    pub reason: String,
}

/// A change of status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Nothing is issued or active under it until it is resumed.
    Suspend,
    /// It is active again; everything issued under it goes on as if it had not been suspended.
    Resume,
    /// Its generation ends, and nothing new joins it, for ever.
    Retire,
}

/// The status of a thing that may not act although its generation is current; the later is the stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InactiveStatus {
    /// It comes back, and everything under it, when it is resumed.
    Suspended,
    /// It never comes back.
    Retired,
}

/// Each is one revocable per key that pseudonyms were ever made with: what is revoked is so under all of them.
impl Revocable {
    /// One token of `txn`, and every token that descends from it.
    pub fn hop(jti: Jti, txn: Txn, pseudonyms: &Pseudonyms) -> Vec<Self> {
        within(txn, named(GenerationKind::Hop, jti.as_bytes(), &jti.to_string(), pseudonyms))
    }

    /// Every token of one tree.
    pub fn transaction(txn: Txn, pseudonyms: &Pseudonyms) -> Vec<Self> {
        within(txn, named(GenerationKind::Transaction, txn.as_bytes(), &txn.to_string(), pseudonyms))
    }

    /// Every token that an agent asked for or acts in.
    pub fn agent(id: &ClientId, pseudonyms: &Pseudonyms) -> Vec<Self> {
        named(GenerationKind::Agent, id.as_str().as_bytes(), id.as_str(), pseudonyms)
    }

    /// Every token that one attested running copy of an agent asked for or acts in.
    pub fn instance(agent: &ClientId, instance: &str, pseudonyms: &Pseudonyms) -> Vec<Self> {
        let name = instance_name(agent, instance);
        named(GenerationKind::Instance, name.as_bytes(), &format!("{agent} {instance}"), pseudonyms)
    }

    /// Every token about a subject. Its name is recorded only where it is an agent's.
    pub fn subject(subject: &Subject, pseudonyms: &Pseudonyms) -> Vec<Self> {
        let mut things = named(GenerationKind::Subject, subject.as_str().as_bytes(), subject.as_str(), pseudonyms);
        if subject.rule().is_some() {
            things.iter_mut().for_each(|thing| thing.name = None);
        }
        things
    }

    /// Every token that a key of this server signed, by its `kid`; or, by its verifier key, a key of the ledger.
    pub fn key(name: &str, pseudonyms: &Pseudonyms) -> Vec<Self> {
        named(GenerationKind::Key, name.as_bytes(), name, pseudonyms)
    }

    /// Every token that rests on what a trust rule vouched for.
    pub fn rule(rule: &RuleName, pseudonyms: &Pseudonyms) -> Vec<Self> {
        named(GenerationKind::Rule, rule.as_str().as_bytes(), rule.as_str(), pseudonyms)
    }

    /// Every token for an API, everything that descends from one, and every task with authority on it.
    pub fn api(api: &Resource, pseudonyms: &Pseudonyms) -> Vec<Self> {
        named(GenerationKind::Api, api.as_str().as_bytes(), api.as_str(), pseudonyms)
    }
}

fn named(kind: GenerationKind, bytes: &[u8], name: &str, pseudonyms: &Pseudonyms) -> Vec<Revocable> {
    let one = |key| Revocable { key, kind, name: Some(name.to_owned()), txn: None };
    pseudonyms.every(kind, bytes).map(one).collect()
}

fn within(txn: Txn, mut things: Vec<Revocable>) -> Vec<Revocable> {
    things.iter_mut().for_each(|thing| thing.txn = Some(txn));
    things
}

/// The name that the pseudonym of an instance is computed from. A client id has no zero byte, so the two cannot run together.
pub(super) fn instance_name(agent: &ClientId, instance: &str) -> String {
    format!("{agent}\0{instance}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::crypto::MacKey;

    #[test]
    fn what_ends_does_so_under_every_pseudonym_that_it_has() {
        let pseudonyms = Pseudonyms::new(MacKey::new(&[2; 32]), vec![MacKey::new(&[1; 32])]);
        let (agent, txn) = (ClientId::parse("orchestrator").unwrap(), Txn::from_bytes([9; 16]));
        let api = Resource::parse("https://crm.example").unwrap();
        let all = [
            Revocable::hop(Jti::from_bytes([1; 16]), txn, &pseudonyms),
            Revocable::transaction(txn, &pseudonyms),
            Revocable::agent(&agent, &pseudonyms),
            Revocable::instance(&agent, "pod-1", &pseudonyms),
            Revocable::subject(&Subject::agent(&agent), &pseudonyms),
            Revocable::key("k1", &pseudonyms),
            Revocable::rule(&RuleName::parse("cluster").unwrap(), &pseudonyms),
            Revocable::api(&api, &pseudonyms),
        ];
        for things in all {
            let keys: Vec<GenerationKey> = things.iter().map(|thing| thing.key).collect();
            assert!(matches!(keys.as_slice(), [one, other] if one != other), "{things:?}");
        }
    }
}
