//! A task token: what enters a task, and nothing else.

use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::release::{Released, Unreleased};
use super::shared::{self, DelegationClaims};
use super::{MintReason, Minting};
use crate::commit::{NewTask, Receipt, RecordHop};
use crate::crypto::{Digest, random};
use crate::ledger::Opened;
use crate::lifecycle::{AdmittedTask, TaskTerms, key_of};
use crate::oauth::{ClientId, Generation, GenerationKind, Jti, TaskId, Time, Txn};
use crate::policy::TaskGrant;
use crate::token::{Ancestry, IssuedClaims, ScopesOnApi, Sealed, TASK_TYP, TaskMembership};

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

/// The names that a new task gets.
struct Names {
    id: TaskId,
    jti: Jti,
    txn: Txn,
    now: Time,
}

#[derive(Serialize)]
struct Claims<'a> {
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
    people: DelegationClaims<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
    authorization_details: &'a RawValue,
    anc: &'a str,
}

/// RFC 7800 §3.1, by thumbprint.
#[derive(Serialize)]
struct Confirmation {
    jkt: String,
}

/// What was granted, in the form in which it was asked for (RFC 9396 §7).
#[derive(Serialize)]
struct Details<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    authority: Vec<Pairs<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    purpose: &'a str,
    data_classes: &'a [String],
    expires_in: i64,
    budget: Budget,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat: Option<u64>,
    holder: &'a str,
}

#[derive(Serialize)]
struct Pairs<'a> {
    api: &'a str,
    scopes: Vec<&'a str>,
}

#[derive(Serialize)]
struct Budget {
    exchanges: u64,
}

/// Signs the token of the task that `grant` permits, and writes the record that must be durable before it leaves.
///
/// # Errors
/// See [`MintReason`].
pub fn open(
    opening: &AdmittedTask,
    grant: &TaskGrant,
    minting: &Minting<'_>,
    now: Time,
) -> Result<(MintedTaskToken, RecordHop), MintReason> {
    let names = names(opening, now)?;
    let ancestry = ancestry(opening, grant, minting, &names);
    let anc = ancestry.seal(minting.own.ancestry(), Sealed::Task).map_err(|_| MintReason::TooLarge)?;
    let details = details(grant, now)?;
    let claims = claims(opening, grant, (minting, &names), &details, &anc)?;
    let key = minting.signers.algorithms().into_iter().find_map(|algorithm| minting.signers.ready(algorithm, now));
    let key = key.ok_or(MintReason::NoKey)?;
    let jwt = Zeroizing::new(key.sign(TASK_TYP, &claims).map_err(|_| MintReason::Crypto)?);
    let opened = opened(opening, grant, &names, (Digest::of(jwt.as_bytes()), key.kid()));
    let record = opened.record(minting.issuer).map_err(|_| MintReason::TooLarge)?;
    let Names { id, jti, txn, .. } = names;
    let token = Unreleased::new(jwt, (jti, txn), &record.0, grant.deadline().seconds() - now.seconds());
    let minted = MintedTaskToken { token, id, details };
    let issue = RecordHop {
        opens: Some(NewTask {
            key: key_of(id, minting.pseudonyms),
            task: fixed(opening, grant, &names, ancestry.own.generations),
            out_of: opening.parent().map(|parent| key_of(parent.fixed.id, minting.pseudonyms)),
        }),
        ..shared::issue(opening.admitted(), minting, (jti, txn, grant.deadline()), record)
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

fn names(opening: &AdmittedTask, now: Time) -> Result<Names, MintReason> {
    let random = || random().map_err(|_| MintReason::Crypto);
    let txn = shared::txn(opening.admitted(), now)?;
    Ok(Names { id: TaskId::new(now, random()?), jti: Jti::new(now, random()?), txn, now })
}

/// What the token freezes: subject, chain, ceiling and everything that the task depends on.
fn ancestry(opening: &AdmittedTask, grant: &TaskGrant, minting: &Minting<'_>, names: &Names) -> Ancestry {
    let (standing, subject) = (opening.admitted(), opening.admitted().subject());
    let before = subject.own();
    let own = IssuedClaims {
        jti: names.jti,
        txn: names.txn,
        // Opening is no hop.
        depth: before.map_or(0, |own| own.depth),
        client: grant.holder().clone(),
        agents: shared::agents(standing),
        kind: subject.kind(),
        held: grant.authority().to_vec(),
        history: before.map(|own| own.history.clone()).unwrap_or_default(),
        touched: before.map(|own| own.touched.clone()).unwrap_or_default(),
        generations: shared::generations(standing, minting, names.txn, (GenerationKind::Task, names.id.as_bytes())),
        task: Some(TaskMembership {
            id: names.id,
            level: grant.level(),
            authority: grant.authority().to_vec(),
            purpose: grant.purpose().to_owned(),
            data_classes: grant.data_classes().to_vec(),
            deadline: grant.deadline(),
            under: subject.hop().or_else(|| standing.task().and_then(|task| task.under)),
            bound: grant.requires_proof(),
        }),
    };
    let (attributes, chain) = (subject.attributes().to_vec(), standing.chain().clone());
    Ancestry { subject: subject.subject().clone(), attributes, chain, own }
}

fn claims(
    opening: &AdmittedTask,
    grant: &TaskGrant,
    (minting, names): (&Minting<'_>, &Names),
    details: &str,
    anc: &str,
) -> Result<Vec<u8>, MintReason> {
    let standing = opening.admitted();
    let claims = Claims {
        iss: minting.issuer.as_str(),
        sub: standing.subject().subject().as_str(),
        aud: minting.issuer.as_str(),
        client_id: grant.holder().as_str(),
        exp: grant.deadline().seconds(),
        iat: names.now.seconds(),
        jti: names.jti.to_string(),
        txn: names.txn.to_string(),
        task: names.id.to_string(),
        people: DelegationClaims::of(standing, standing.chain())?,
        cnf: bound(opening, grant.holder()).map(|key| Confirmation { jkt: key.to_string() }),
        authorization_details: serde_json::from_str(details).map_err(|_| MintReason::Crypto)?,
        anc,
    };
    serde_json::to_vec(&claims).map_err(|_| MintReason::Crypto)
}

/// Whoever opens a task for itself is held to the key it did it with. Which keys another agent has, its own registration says,
/// and it may replace them while the task lasts.
fn bound(opening: &AdmittedTask, holder: &ClientId) -> Option<Digest> {
    (opening.admitted().client().agent().id == *holder).then(|| opening.key())
}

fn details(grant: &TaskGrant, now: Time) -> Result<String, MintReason> {
    let details = Details {
        kind: "task",
        authority: grant.authority().iter().map(pairs).collect(),
        purpose: grant.purpose(),
        data_classes: grant.data_classes(),
        expires_in: grant.deadline().seconds() - now.seconds(),
        budget: Budget { exchanges: grant.budget() },
        heartbeat: grant.heartbeat().map(|span| span.as_secs()),
        holder: grant.holder().as_str(),
    };
    serde_json::to_string(&[details]).map_err(|_| MintReason::Crypto)
}

fn pairs(held: &ScopesOnApi) -> Pairs<'_> {
    Pairs { api: held.api.as_str(), scopes: held.scopes.iter().map(|scope| scope.as_str()).collect() }
}

fn opened(opening: &AdmittedTask, grant: &TaskGrant, names: &Names, (token, kid): (Digest, &str)) -> Opened {
    let (standing, client) = (opening.admitted(), opening.admitted().client());
    Opened {
        task: names.id,
        jti: names.jti,
        txn: names.txn,
        parent: opening.parent().map(|parent| parent.fixed.id),
        hop: standing.parent(),
        at: names.now,
        expires: grant.deadline(),
        client: client.agent().id.clone(),
        login: client.method().as_str(),
        holder: grant.holder().clone(),
        subject: standing.subject().subject().clone(),
        chain: standing.chain().clone(),
        authority: grant.authority().iter().map(|held| (held.api.clone(), held.scopes.clone())).collect(),
        purpose: grant.purpose().to_owned(),
        data_classes: grant.data_classes().to_vec(),
        budget: grant.budget(),
        heartbeat: grant.heartbeat().map(|span| span.as_secs()),
        evidence: shared::evidence(standing),
        token,
        kid: kid.to_owned(),
        policy_set: grant.policy_set(),
        policies: grant.policies().to_vec(),
    }
}

fn fixed(opening: &AdmittedTask, grant: &TaskGrant, names: &Names, generations: Vec<Generation>) -> TaskTerms {
    TaskTerms {
        id: names.id,
        txn: names.txn,
        parent: opening.parent().map(|parent| parent.fixed.id),
        opener: opening.admitted().client().agent().id.clone(),
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
