//! The task token: it enters its task, and nothing else.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::common::{self, DelegationClaims};
use super::release::{Released, Unreleased};
use super::signers::{MintReason, Minting};
use crate::commit::{Effect, Receipt, RecordHop, SealedTask, TermsSealer};
use crate::crypto::{Digest, random};
use crate::ledger::record::{AuthorityRecord, Discloser, Disclosures, Kind, RecordReason, TaskRecord, VERSION};
use crate::lifecycle::{AdmittedTask, Dependencies, TaskTerms};
use crate::oauth::{ClientId, Confirmation, Generation, GenerationKind, Issuer, Jti, TaskId, TaskSpec, Time, Txn};
use crate::policy::TaskGrant;
use crate::token::{Ancestry, AncestryKind, IssuedClaims, TASK_TYP, TaskMembership};

/// A task and its signed token, not yet recorded. No accessor shows it; made only by [`open`].
#[derive(Debug)]
pub struct MintedTaskToken {
    token: Unreleased,
    id: TaskId,
    details: String,
}

/// A task whose token may leave. Made only by [`MintedTaskToken::release`].
pub struct IssuedTaskToken {
    token: Released,
    id: TaskId,
    details: String,
}

/// The ids that a new task gets, and the instant at which it begins.
struct Names {
    id: TaskId,
    jti: Jti,
    txn: Txn,
    now: Time,
}

/// A task token as signed, by what its record says of it.
struct SignedTask<'a> {
    names: &'a Names,
    token: Digest,
    kid: &'a str,
    sealed: &'a SealedTask,
}

#[derive(Serialize)]
struct TaskTokenClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
    txn: String,
    task: String,
    #[serde(flatten)]
    delegation: DelegationClaims<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
    authorization_details: &'a RawValue,
    anc: &'a str,
}

/// Signs the token of the task that `grant` permits, and writes the record that must be durable before it leaves. The record
/// names the `declared` of its data classes; the others are the opener's words, which stand in no record.
///
/// # Errors
/// See [`MintReason`].
pub fn open(
    task: &AdmittedTask,
    dependencies: &Dependencies,
    grant: &TaskGrant,
    (declared, sealer): (&[String], &TermsSealer),
    minting: &Minting<'_>,
    now: Time,
) -> Result<(MintedTaskToken, RecordHop), MintReason> {
    let names = names(task, now)?;
    let key = minting.signers.algorithms().into_iter().find_map(|algorithm| minting.signers.ready(algorithm, now));
    let key = key.ok_or(MintReason::NoKey)?;
    let signs = minting.signers.generation(key)?;
    let ancestry = ancestry((task, dependencies), grant, minting, (&names, signs));
    let anc = ancestry.seal(minting.own.ancestry(), AncestryKind::Task).map_err(|_| MintReason::TooLarge)?;
    let details = details(grant, now)?;
    let claims = claims(task, grant, (minting, &names), &details, &anc)?;
    let jwt = Zeroizing::new(key.sign(TASK_TYP, &claims).map_err(|_| MintReason::Crypto)?);
    let signed = (Digest::of(jwt.as_bytes()), key.kid());
    let generations = ancestry.own.generations.into_iter().filter(|on| *on != signs).collect();
    let terms = terms(task, grant, &names, minting, generations);
    let sealed = sealer.seal(terms).map_err(|_| MintReason::Crypto)?;
    let signed = SignedTask { names: &names, token: signed.0, kid: signed.1, sealed: &sealed };
    let record = record(task, grant, declared, &signed, minting.issuer).map_err(|_| MintReason::TooLarge)?;
    let Names { id, jti, txn, .. } = names;
    let token = Unreleased::new(jwt, (jti, txn), &record.0, grant.deadline().seconds() - now.seconds());
    let minted = MintedTaskToken { token, id, details };
    let issue = RecordHop {
        counted: None,
        opens: Some(Box::new(sealed)),
        ..common::issue((task.admitted(), dependencies), minting, (jti, txn, signs, grant.deadline()), record)
    };
    Ok((minted, issue))
}

impl MintedTaskToken {
    /// Lets the token go, against the commit's word that the opening of its own task is durable.
    ///
    /// # Errors
    /// `ReceiptForeign` when the receipt is for anything else.
    pub fn release(self, receipt: &Receipt) -> Result<IssuedTaskToken, MintReason> {
        let Self { token, id, details } = self;
        token.release(receipt).map(|token| IssuedTaskToken { token, id, details })
    }
}

impl IssuedTaskToken {
    /// The task token, to be sent.
    pub fn jwt(&self) -> &str {
        self.token.jwt()
    }

    /// The task.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The transaction of all its hops.
    pub fn txn(&self) -> Txn {
        self.token.txn()
    }

    /// Whole seconds until its deadline, counted from the request.
    pub fn expires_in(&self) -> i64 {
        self.token.expires_in()
    }

    /// `authorization_details` as granted: a JSON array.
    pub fn details(&self) -> &str {
        &self.details
    }
}

fn names(task: &AdmittedTask, now: Time) -> Result<Names, MintReason> {
    let random = || random().map_err(|_| MintReason::Crypto);
    let txn = common::txn(task.admitted(), now)?;
    Ok(Names { id: TaskId::new(now, random()?), jti: Jti::new(now, random()?), txn, now })
}

/// The content that the token freezes: subject, chain, authority and every generation that the task depends on.
fn ancestry(
    (task, dependencies): (&AdmittedTask, &Dependencies),
    grant: &TaskGrant,
    minting: &Minting<'_>,
    (names, signs): (&Names, Generation),
) -> Ancestry {
    let (exchange, subject) = (task.admitted(), task.admitted().subject());
    let before = subject.own();
    let own = IssuedClaims {
        jti: names.jti,
        txn: names.txn,
        // Opening is no hop.
        depth: before.map_or(0, |own| own.depth),
        client: grant.holder().clone(),
        agents: common::agents(exchange),
        kind: subject.kind(),
        trust: subject.trust().cloned(),
        basis: None,
        held: grant.authority().to_vec(),
        history: before.map(|own| own.history.clone()).unwrap_or_default(),
        touched: before.map(|own| own.touched.clone()).unwrap_or_default(),
        purpose: before.map(|own| own.purpose.clone()).unwrap_or_default(),
        details: None,
        generations: common::generations(
            exchange,
            dependencies,
            minting,
            (names.txn, signs),
            (GenerationKind::Task, names.id.as_bytes()),
        ),
        task: Some(TaskMembership {
            id: names.id,
            level: grant.level(),
            authority: grant.authority().to_vec(),
            purpose: grant.purpose().to_owned(),
            data_classes: grant.data_classes().to_vec(),
            deadline: grant.deadline(),
            under: subject.hop().or_else(|| exchange.task().and_then(|task| task.under)),
            requires_proof: grant.requires_proof(),
        }),
    };
    let (attributes, chain) = (subject.attributes().to_vec(), exchange.chain().clone());
    Ancestry { subject: subject.subject().clone(), attributes, chain, own }
}

fn claims(
    task: &AdmittedTask,
    grant: &TaskGrant,
    (minting, names): (&Minting<'_>, &Names),
    details: &str,
    anc: &str,
) -> Result<Vec<u8>, MintReason> {
    let exchange = task.admitted();
    let claims = TaskTokenClaims {
        iss: minting.issuer.as_str(),
        sub: exchange.subject().subject().as_str(),
        aud: minting.issuer.as_str(),
        client_id: grant.holder().as_str(),
        exp: grant.deadline().seconds(),
        iat: names.now.seconds(),
        jti: names.jti.to_string(),
        txn: names.txn.to_string(),
        task: names.id.to_string(),
        delegation: DelegationClaims::of(exchange, exchange.chain())?,
        cnf: holder_key(task, grant.holder()).map(Confirmation::Dpop),
        authorization_details: serde_json::from_str(details).map_err(|_| MintReason::Crypto)?,
        anc,
    };
    serde_json::to_vec(&claims).map_err(|_| MintReason::Crypto)
}

/// Whoever opens a task for itself is held to the key it did it with. Which keys another agent has, its own registration says,
/// and it may replace them while the task lasts.
fn holder_key(task: &AdmittedTask, holder: &ClientId) -> Option<Digest> {
    (task.admitted().client().agent().id == *holder).then(|| task.key())
}

/// The task as granted, in the form in which it was asked for (RFC 9396 §7).
fn details(grant: &TaskGrant, now: Time) -> Result<String, MintReason> {
    let remaining = grant.deadline().seconds() - now.seconds();
    let spec = TaskSpec {
        authority: grant.authority().to_vec(),
        purpose: Some(grant.purpose().to_owned()).filter(|purpose| !purpose.is_empty()),
        data_classes: Some(grant.data_classes().to_vec()),
        expires_in: Some(Duration::from_secs(u64::try_from(remaining).unwrap_or_default())),
        exchanges: Some(grant.budget()),
        heartbeat: grant.heartbeat(),
        holder: Some(grant.holder().clone()),
    };
    spec.to_json().map_err(|_| MintReason::Crypto)
}

/// The record of the task, in canonical form, its effect, and the clear values behind its salted digests.
fn record(
    task: &AdmittedTask,
    grant: &TaskGrant,
    declared: &[String],
    SignedTask { names, token, kid, sealed }: &SignedTask<'_>,
    issuer: &Issuer,
) -> Result<(Vec<u8>, Effect, Disclosures), RecordReason> {
    let (exchange, client) = (task.admitted(), task.admitted().client());
    let mut discloser = Discloser::default();
    let (sd, subject) = discloser.subject(exchange.subject().subject(), grant.purpose())?;
    let task = TaskRecord {
        sd,
        at: names.now,
        authority: grant.authority().iter().map(AuthorityRecord::from).collect(),
        budget: grant.budget(),
        chain: discloser.chain(exchange.chain(), issuer)?,
        client: client.agent().id.clone(),
        data_classes: Cow::Borrowed(declared),
        evidence: common::evidence(exchange),
        expires: grant.deadline(),
        heartbeat: grant.heartbeat().map(|span| span.as_secs()),
        holder: grant.holder().clone(),
        hop: exchange.parent(),
        jti: names.jti,
        kid: Cow::Borrowed(kid),
        kind: Kind::Task,
        login: Cow::Borrowed(client.method().as_str()),
        parent: task.parent().map(|parent| parent.terms.id),
        policies: Cow::Borrowed(grant.policies()),
        policy_set: grant.policy_set(),
        subject,
        task: names.id,
        terms: Some(sealed.digest()),
        token: *token,
        txn: names.txn,
        v: VERSION,
    };
    Ok((task.to_bytes()?, Effect::of_task(&task), discloser.finish()))
}

fn terms(
    task: &AdmittedTask,
    grant: &TaskGrant,
    names: &Names,
    minting: &Minting<'_>,
    generations: Vec<Generation>,
) -> TaskTerms {
    TaskTerms {
        id: names.id,
        key: minting.pseudonyms.pseudonym(GenerationKind::Task, names.id.as_bytes()),
        txn: names.txn,
        parent: task.parent().map(|parent| parent.terms.id),
        opener: task.admitted().client().agent().id.clone(),
        holder: grant.holder().clone(),
        opened: names.now,
        deadline: grant.deadline(),
        heartbeat: grant.heartbeat(),
        budget: grant.budget(),
        authority: grant.authority().to_vec(),
        purpose: grant.purpose().to_owned(),
        data_classes: grant.data_classes().to_vec(),
        generations,
    }
}
