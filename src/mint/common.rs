//! The claims and the parts of the record that an access token and a task token have in common.

use serde::Serialize;
use serde_json::value::RawValue;

use super::signers::{MintReason, Minting};
use crate::commit::{Disclosed, Effect, RecordHop};
use crate::crypto::{Digest, random};
use crate::ledger::record::{Disclosures, Evidence};
use crate::lifecycle::{AdmittedExchange, Dependencies};
use crate::oauth::{ActChain, ClientId, Generation, GenerationKind, Jti, SingleUse, Subject, Time, Txn};

/// The claims about actors and authentication: `act` (RFC 8693 §4.1), `acr`, `amr` and `auth_time` (RFC 9470 §6.2).
#[derive(Serialize)]
pub(super) struct DelegationClaims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    amr: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
}

impl<'a> DelegationClaims<'a> {
    /// The authentication of the subject, and `chain`, the part of the chain that the token shows.
    ///
    /// # Errors
    /// `Crypto` when the chain cannot be written, which is a bug.
    pub(super) fn of(exchange: &'a AdmittedExchange, chain: &ActChain) -> Result<Self, MintReason> {
        let authentication = exchange.subject().authentication();
        let act = chain.to_claim().map(RawValue::from_string).transpose().map_err(|_| MintReason::Crypto)?;
        let (acr, auth_time) = (authentication.acr.as_deref(), authentication.time.map(Time::seconds));
        Ok(Self { act, acr, amr: &authentication.amr, auth_time })
    }
}

/// The transaction that the subject token is in, or a new one.
pub(super) fn txn(exchange: &AdmittedExchange, now: Time) -> Result<Txn, MintReason> {
    match exchange.txn() {
        Some(txn) => Ok(txn),
        None => Ok(Txn::new(now, random().map_err(|_| MintReason::Crypto)?)),
    }
}

/// Every generation that the exchange depends on, with that of the key that `signs`, in place of the one that signed the subject
/// token; of the new hop or task; and of the transaction that begins here, where one does. The first epoch is not named.
pub(super) fn generations(
    exchange: &AdmittedExchange,
    dependencies: &Dependencies,
    minting: &Minting<'_>,
    (txn, signs): (Txn, Generation),
    (kind, name): (GenerationKind, &[u8; 16]),
) -> Vec<Generation> {
    let born = |kind, name: &[u8; 16]| Generation { key: minting.pseudonyms.pseudonym(kind, name), number: 0 };
    let stays = |generation: &&Generation| !minting.signers.is_generation(&generation.key) && !generation.is_first_epoch();
    let others = dependencies.generations().iter().filter(stays);
    let mut generations: Vec<Generation> = others.copied().chain([signs, born(kind, name)]).collect();
    if exchange.txn().is_none() {
        generations.push(born(GenerationKind::Transaction, txn.as_bytes()));
    }
    generations
}

/// Every agent of the subject token's chain, the one that asks now and the one that acts now, sorted.
pub(super) fn agents(exchange: &AdmittedExchange) -> Vec<ClientId> {
    let before = exchange.subject().own().map(|own| own.agents.as_slice()).unwrap_or_default();
    let now = [&exchange.client().agent().id, &exchange.current_actor().agent.id];
    let mut agents: Vec<ClientId> = before.iter().chain(now).cloned().collect();
    agents.sort_unstable();
    agents.dedup();
    agents
}

/// The name that its issuer has for a workload that trades its own attestation, and so stands as an agent.
pub(super) fn traded(exchange: &AdmittedExchange) -> Option<&Subject> {
    let itself = exchange.subject().rule().is_some() && exchange.subject().subject().rule().is_none();
    exchange.client().attested().map(|attested| &attested.subject).filter(|_| itself)
}

/// SHA-256 of each credential that was presented.
pub(super) fn evidence(exchange: &AdmittedExchange) -> Evidence {
    let client = exchange.client();
    let actor = exchange.actor().and_then(|actor| actor.review());
    let mut reviews: Vec<Digest> = [exchange.subject().review(), actor, client.review()].into_iter().flatten().collect();
    reviews.sort_unstable();
    reviews.dedup();
    Evidence {
        subject_token: exchange.subject().digest(),
        actor_token: exchange.actor().map(|actor| actor.digest()),
        client_assertion: client.evidence(),
        proof: client.proven().dpop().map(|proof| proof.evidence),
        reviews,
    }
}

/// The single-use values of the login, the proof and the subject token, all in the share of the client.
fn spends(exchange: &AdmittedExchange) -> Vec<SingleUse> {
    let share = exchange.client().share();
    let subject = exchange.subject().single_use().map(|value| SingleUse { share, ..value });
    exchange.client().spends().into_iter().chain(subject).collect()
}

/// The command to record a token that the key of the generation `signs` signed, and that lives until `expires`: no task is
/// opened, and nothing put into a status list.
pub(super) fn issue(
    (exchange, dependencies): (&AdmittedExchange, &Dependencies),
    minting: &Minting<'_>,
    (jti, txn, signs, expires): (Jti, Txn, Generation, Time),
    (record, effect, disclosures): (Vec<u8>, Effect, Disclosures),
) -> RecordHop {
    let subject = traded(exchange).unwrap_or(exchange.subject().subject());
    let subject = minting.pseudonyms.pseudonym(GenerationKind::Subject, subject.as_str().as_bytes());
    RecordHop {
        share: exchange.client().share(),
        jti,
        txn,
        record,
        generations: [dependencies.generations(), &[signs]].concat(),
        single_use: spends(exchange),
        deadline: expires.min(exchange.expiry_cap()),
        disclosed: Disclosed { subject, values: disclosures.into_json() },
        status: None,
        effect,
        counted: None,
        opens: None,
    }
}
