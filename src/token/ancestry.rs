//! The `anc` claim: what a token of ours depends on and descends from, sealed so that only our replicas read it. Its length tells
//! only which step of [`PADDING`] bytes it falls into, and two seals of the same ancestry have nothing in common.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{IssuedClaims, TaskMembership};
use crate::crypto::{Digest, SealKey};
use crate::oauth::{
    ActChain, ClientId, ExchangeMode, Generation, GenerationKey, Jti, Resource, RuleName, Scopes, ScopesOnApi, Subject, TaskId,
    Time, Txn,
};
use crate::trust::SubjectKind;

/// No ancestry is longer than this before sealing; what would be is refused when it is issued.
pub const ANCESTRY_BYTES_MAX: usize = 6 * 1024;

/// Every ancestry is padded to a multiple of this many bytes.
const PADDING: usize = 256;

/// For which kind of token an ancestry is sealed. It is bound into the seal with its version, so that a blob of another kind or
/// version never opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AncestryKind {
    /// An access token.
    Access,
    /// A task token.
    Task,
}

impl AncestryKind {
    fn purpose(self) -> &'static [u8] {
        match self {
            Self::Access => b"countersign anc v3\0",
            Self::Task => b"countersign task v2\0",
        }
    }
}

/// The descent of a token that this server issues: the content of its `anc`. Written when it is minted, read when it comes back.
#[derive(Debug)]
pub struct Ancestry {
    /// The subject.
    pub subject: Subject,
    /// The subject's attributes, as its trust rule mapped them.
    pub attributes: Vec<(String, String)>,
    /// The whole chain, however much of it the token shows.
    pub chain: ActChain,
    /// The hop, its transaction, and the authority that it gives.
    pub own: IssuedClaims,
}

/// The ancestry cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AncestryReason;

#[derive(Serialize, Deserialize)]
struct PackedAncestry<'a> {
    txn: [u8; 16],
    depth: u32,
    client: &'a str,
    #[serde(borrow)]
    agents: Vec<&'a str>,
    rule: Option<&'a str>,
    person: bool,
    id: &'a str,
    #[serde(borrow)]
    attributes: Vec<(&'a str, &'a str)>,
    #[serde(borrow)]
    chain: Vec<(&'a str, &'a str, &'a str)>,
    #[serde(borrow)]
    held: Vec<(&'a str, Vec<&'a str>)>,
    #[serde(borrow)]
    history: Vec<(&'a str, Vec<&'a str>)>,
    #[serde(borrow)]
    touched: Vec<&'a str>,
    purpose: &'a str,
    details: Option<[u8; 32]>,
    generations: Vec<([u8; 16], u64)>,
    #[serde(borrow)]
    task: Option<PackedMembership<'a>>,
    /// The trust rule that vouched first, where it is another than that of the subject. Ancestries of before end in front of it.
    trust: Option<&'a str>,
    /// The mode of the exchange.
    basis: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct PackedMembership<'a> {
    id: [u8; 16],
    level: u32,
    #[serde(borrow)]
    authority: Vec<(&'a str, Vec<&'a str>)>,
    purpose: &'a str,
    #[serde(borrow)]
    data_classes: Vec<&'a str>,
    deadline: i64,
    under: Option<[u8; 16]>,
    requires_proof: bool,
}

impl Ancestry {
    /// The `anc` claim for the token whose `jti` is `self.own.jti`.
    ///
    /// # Errors
    /// When it would be longer than [`ANCESTRY_BYTES_MAX`], or there is no randomness.
    pub fn seal(&self, key: &SealKey, kind: AncestryKind) -> Result<String, AncestryReason> {
        let mut plain = postcard::to_allocvec(&self.packed()).map_err(|_| AncestryReason)?;
        if plain.len() > ANCESTRY_BYTES_MAX {
            return Err(AncestryReason);
        }
        plain.resize(plain.len().next_multiple_of(PADDING), 0);
        let sealed = key.seal(&context(kind, self.own.jti), &plain).map_err(|_| AncestryReason)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens the `anc` claim of the token of this kind whose `jti` is `jti`.
    ///
    /// # Errors
    /// When it was sealed by somebody else, for another token or kind of token, or was changed.
    pub fn open(key: &SealKey, kind: AncestryKind, jti: Jti, claim: &str) -> Result<Self, AncestryReason> {
        if claim.len() > 2 * ANCESTRY_BYTES_MAX {
            return Err(AncestryReason);
        }
        let sealed = URL_SAFE_NO_PAD.decode(claim).map_err(|_| AncestryReason)?;
        let mut plain = key.open(&context(kind, jti), &sealed).map_err(|_| AncestryReason)?;
        // One of before may end with its last member and without padding: zeros read as no further ones.
        plain.extend([0; 2]);
        let (packed, _padding) = postcard::take_from_bytes::<PackedAncestry<'_>>(&plain).map_err(|_| AncestryReason)?;
        packed.unpacked(jti).ok_or(AncestryReason)
    }

    fn packed(&self) -> PackedAncestry<'_> {
        PackedAncestry {
            txn: *self.own.txn.as_bytes(),
            depth: self.own.depth,
            client: self.own.client.as_str(),
            agents: self.own.agents.iter().map(ClientId::as_str).collect(),
            rule: self.subject.rule().map(RuleName::as_str),
            person: self.own.kind == Some(SubjectKind::User),
            id: self.subject.id(),
            attributes: self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            chain: self.chain.parts().collect(),
            held: packed_held(&self.own.held),
            history: packed_held(&self.own.history),
            touched: self.own.touched.iter().map(String::as_str).collect(),
            purpose: &self.own.purpose,
            details: self.own.details.map(|details| details.0),
            generations: self.own.generations.iter().map(|generation| (generation.key.0, generation.number)).collect(),
            task: self.own.task.as_ref().map(packed_task),
            trust: self.own.trust.as_ref().filter(|trust| self.subject.rule() != Some(trust)).map(RuleName::as_str),
            basis: self.own.basis.map(ExchangeMode::as_str),
        }
    }
}

impl PackedAncestry<'_> {
    fn unpacked(self, jti: Jti) -> Option<Ancestry> {
        let subject = match self.rule {
            Some(rule) => Subject::of_sealed(RuleName::parse(rule).ok()?, self.id),
            None => Subject::agent(&ClientId::parse(self.id).ok()?),
        };
        let trust = self.trust.or(self.rule).map(RuleName::parse).transpose().ok()?;
        let generation = |(key, number)| Generation { key: GenerationKey(key), number };
        let own = IssuedClaims {
            jti,
            txn: Txn::from_bytes(self.txn),
            depth: self.depth,
            client: ClientId::parse(self.client).ok()?,
            agents: self.agents.into_iter().map(|agent| ClientId::parse(agent).ok()).collect::<Option<_>>()?,
            kind: self.rule.map(|_| if self.person { SubjectKind::User } else { SubjectKind::Workload }),
            trust,
            basis: self.basis.and_then(|name| ExchangeMode::ALL.into_iter().find(|mode| mode.as_str() == name)),
            held: unpacked_held(self.held)?,
            history: unpacked_held(self.history)?,
            touched: self.touched.into_iter().map(str::to_owned).collect(),
            purpose: self.purpose.to_owned(),
            details: self.details.map(Digest),
            generations: self.generations.into_iter().map(generation).collect(),
            task: self.task.map(unpacked_task).map_or(Some(None), |task| task.map(Some))?,
        };
        let attributes = self.attributes.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(Ancestry { subject, attributes, chain: ActChain::of_parts(self.chain), own })
    }
}

fn context(kind: AncestryKind, jti: Jti) -> Vec<u8> {
    [kind.purpose(), jti.as_bytes()].concat()
}

fn packed_task(task: &TaskMembership) -> PackedMembership<'_> {
    PackedMembership {
        id: *task.id.as_bytes(),
        level: task.level,
        authority: packed_held(&task.authority),
        purpose: &task.purpose,
        data_classes: task.data_classes.iter().map(String::as_str).collect(),
        deadline: task.deadline.millis(),
        under: task.under.map(|hop| *hop.as_bytes()),
        requires_proof: task.requires_proof,
    }
}

fn unpacked_task(packed: PackedMembership<'_>) -> Option<TaskMembership> {
    Some(TaskMembership {
        id: TaskId::from_bytes(packed.id),
        level: packed.level,
        authority: unpacked_held(packed.authority)?,
        purpose: packed.purpose.to_owned(),
        data_classes: packed.data_classes.into_iter().map(str::to_owned).collect(),
        deadline: Time::from_millis(packed.deadline),
        under: packed.under.map(Jti::from_bytes),
        requires_proof: packed.requires_proof,
    })
}

fn packed_held(held: &[ScopesOnApi]) -> Vec<(&str, Vec<&str>)> {
    held.iter().map(|held| (held.api.as_str(), held.scopes.iter().map(|scope| scope.as_str()).collect())).collect()
}

fn unpacked_held(held: Vec<(&str, Vec<&str>)>) -> Option<Vec<ScopesOnApi>> {
    let unpacked = |(api, scopes): (&str, Vec<&str>)| {
        let scopes: Option<Scopes> = scopes.into_iter().map(|scope| crate::oauth::Scope::parse(scope).ok()).collect();
        Some(ScopesOnApi { api: Resource::parse(api).ok()?, scopes: scopes? })
    };
    held.into_iter().map(unpacked).collect()
}

impl fmt::Display for AncestryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ancestry of the token cannot be sealed or opened")
    }
}

impl std::error::Error for AncestryReason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::oauth::{Actor, Scope};

    fn ancestry(depth: u32) -> Ancestry {
        let now = Time::from_seconds(1_800_000_000);
        let held = ScopesOnApi { api: Resource::parse("https://crm.example").unwrap(), scopes: Scopes::parse("a b").unwrap() };
        let chain = (0..depth).fold(ActChain::default(), |chain, hop| {
            chain.extended(Actor::agent("https://us.example", &format!("agent-{hop}"), "ai_agent", Some("pod")))
        });
        let generations = (0..depth as u8 * 3).map(|n| Generation { key: GenerationKey([n; 16]), number: n.into() }).collect();
        Ancestry {
            subject: Subject::of_sealed(RuleName::parse("idp").unwrap(), "alice"),
            attributes: vec![("department".into(), "sales".into())],
            chain,
            own: IssuedClaims {
                jti: Jti::new(now, [1; 10]),
                txn: Txn::new(now, [2; 10]),
                depth,
                client: ClientId::parse("agent-0").unwrap(),
                agents: vec![ClientId::parse("agent-0").unwrap()],
                kind: Some(SubjectKind::User),
                trust: Some(RuleName::parse("idp").unwrap()),
                basis: Some(ExchangeMode::Delegation),
                held: vec![held.clone()],
                history: vec![held],
                touched: vec!["pii".into()],
                purpose: "report".into(),
                details: Some(Digest::of(b"[]")),
                generations,
                task: depth.is_multiple_of(2).then(task),
            },
        }
    }

    fn task() -> TaskMembership {
        let authority =
            vec![ScopesOnApi { api: Resource::parse("https://crm.example").unwrap(), scopes: Scopes::parse("a b c").unwrap() }];
        TaskMembership {
            id: TaskId::from_bytes([3; 16]),
            level: 2,
            authority,
            purpose: "review".into(),
            data_classes: vec!["pii".into()],
            deadline: Time::from_seconds(1_800_003_600),
            under: Some(Jti::from_bytes([4; 16])),
            requires_proof: true,
        }
    }

    #[test]
    fn what_was_sealed_opens_the_same() {
        let key = SealKey::new(&[7; 32]).unwrap();
        let before = ancestry(8);
        let after = Ancestry::open(&key, AncestryKind::Access, before.own.jti, &before.seal(&key, AncestryKind::Access).unwrap())
            .unwrap();
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
    }

    /// The trust rule is that of the subject; or another, where an agent traded its own attestation.
    #[test]
    fn who_vouched_first_is_known_at_every_hop() {
        let key = SealKey::new(&[7; 32]).unwrap();
        let rule = |name| RuleName::parse(name).ok();
        for (subject, trust) in [
            (Subject::of_sealed(rule("idp").unwrap(), "alice"), rule("idp")),
            (Subject::agent(&ClientId::parse("agent-0").unwrap()), rule("spiffe")),
            (Subject::agent(&ClientId::parse("agent-0").unwrap()), None),
        ] {
            let mut before = ancestry(2);
            (before.subject, before.own.trust) = (subject, trust.clone());
            let sealed = before.seal(&key, AncestryKind::Access).unwrap();
            assert_eq!(Ancestry::open(&key, AncestryKind::Access, before.own.jti, &sealed).unwrap().own.trust, trust);
        }
    }

    /// Tokens that were issued before it stood there are read, whether or not padding follows their last member.
    #[test]
    fn an_ancestry_of_before_is_read() {
        let key = SealKey::new(&[7; 32]).unwrap();
        let mut before = ancestry(3);
        before.own.basis = None;
        for padded in [false, true] {
            let mut plain = postcard::to_allocvec(&before.packed()).unwrap();
            assert_eq!([plain.pop(), plain.pop()], [Some(0); 2], "no other rule than the subject's, and no mode");
            if padded {
                plain.resize(plain.len().next_multiple_of(PADDING), 0);
            }
            let sealed = key.seal(&context(AncestryKind::Access, before.own.jti), &plain).unwrap();
            let opened = Ancestry::open(&key, AncestryKind::Access, before.own.jti, &URL_SAFE_NO_PAD.encode(sealed)).unwrap();
            assert_eq!((opened.own.trust, opened.own.basis), (RuleName::parse("idp").ok(), None));
            before.own.depth += 1;
        }
    }

    #[test]
    fn opens_for_its_own_hop_and_under_its_own_key_only() {
        let key = SealKey::new(&[7; 32]).unwrap();
        let before = ancestry(2);
        let claim = before.seal(&key, AncestryKind::Access).unwrap();
        assert!(Ancestry::open(&key, AncestryKind::Access, Jti::from_bytes([9; 16]), &claim).is_err());
        assert!(Ancestry::open(&SealKey::new(&[8; 32]).unwrap(), AncestryKind::Access, before.own.jti, &claim).is_err());
        assert!(Ancestry::open(&key, AncestryKind::Access, before.own.jti, "AAAA").is_err());
        assert!(Ancestry::open(&key, AncestryKind::Task, before.own.jti, &claim).is_err(), "no kind opens the other's");
    }

    #[test]
    fn length_tells_little_and_two_seals_tell_nothing() {
        let key = SealKey::new(&[7; 32]).unwrap();
        let (one, other) =
            (ancestry(1).seal(&key, AncestryKind::Access).unwrap(), ancestry(1).seal(&key, AncestryKind::Access).unwrap());
        assert_ne!(one, other);
        let sizes: std::collections::BTreeSet<usize> =
            (1..=8).map(|depth| ancestry(depth).seal(&key, AncestryKind::Access).unwrap().len()).collect();
        assert!(sizes.len() <= 6, "{sizes:?}");
    }

    #[test]
    fn an_ancestry_beyond_its_bound_is_refused_and_never_cut() {
        let mut long = ancestry(1);
        let scope = |n: usize| Scope::parse(&format!("{n:0>200}")).unwrap();
        long.own.history =
            vec![ScopesOnApi { api: Resource::parse("https://x.example").unwrap(), scopes: (0..40).map(scope).collect() }];
        assert_eq!(long.seal(&SealKey::new(&[7; 32]).unwrap(), AncestryKind::Access).unwrap_err(), AncestryReason);
    }
}
