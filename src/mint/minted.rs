//! A token that has no wire form until its hop is durable.

use zeroize::Zeroizing;

use super::claims::{self, Identity};
use super::release::{Released, Unreleased};
use super::shared;
use super::{MintReason, Signers};
use crate::binding::SenderConstraint;
use crate::commit::{Receipt, RecordHop, Registration, ReservedPlace};
use crate::crypto::{Digest, MacKey, random};
use crate::ledger::{Bindings, Hop, Inputs};
use crate::lifecycle::{AdmittedExchange, key_of};
use crate::oauth::{GenerationKind, Issuer, Jti, Scopes, Time, Txn};
use crate::policy::Grant;
use crate::token::{Ancestry, IssuedClaims, IssuerKeys, ScopesOnApi, Sealed};

/// A signed token, not yet recorded. No accessor shows it; made only by [`sign`].
#[derive(Debug)]
pub struct MintedToken {
    token: Unreleased,
    scope: String,
    bound: SenderConstraint,
}

/// A token that may leave: its hop is durable. Made only by [`MintedToken::release`].
pub struct IssuedToken {
    token: Released,
    scope: String,
    bound: SenderConstraint,
}

/// What minting needs besides standing and grant.
pub struct Minting<'a> {
    /// Our issuer identifier.
    pub issuer: &'a Issuer,
    /// The keys that sign.
    pub signers: &'a Signers,
    /// The key that seals ancestries.
    pub own: &'a IssuerKeys,
    /// The key of the pseudonyms.
    pub pseudonyms: &'a MacKey,
}

/// Signs the token that `grant` permits, and writes the hop that must be recorded before it leaves. `place` is where its status
/// will stand, where an API asks for that.
///
/// # Errors
/// See [`MintReason`].
pub fn sign(
    standing: &AdmittedExchange,
    grant: &Grant,
    requested: Option<&Scopes>,
    place: Option<ReservedPlace>,
    minting: &Minting<'_>,
    now: Time,
) -> Result<(MintedToken, RecordHop), MintReason> {
    let api = grant.apis().first().ok_or(MintReason::NoKey)?;
    let key = minting.signers.ready(api.signing_alg, now).ok_or(MintReason::NoKey)?;
    let jti = Jti::new(now, random().map_err(|_| MintReason::Crypto)?);
    let txn = shared::txn(standing, now)?;
    let ancestry = ancestry(standing, grant, minting, (jti, txn));
    let sealed = ancestry.seal(minting.own.ancestry(), Sealed::Access).map_err(|_| MintReason::TooLarge)?;
    let status = place.as_ref().map(ReservedPlace::place);
    let claims = claims::of(standing, grant, &Identity { issuer: minting.issuer, jti, txn, now, status, ancestry: &sealed })?;
    let jwt = Zeroizing::new(key.sign(&api.typ, &claims).map_err(|_| MintReason::Crypto)?);
    let hop = Hop {
        inputs: inputs(standing, requested),
        status,
        ..hop(standing, grant, (jti, txn, now), (Digest::of(jwt.as_bytes()), key.kid()))
    };
    let record = hop.record(minting.issuer).map_err(|_| MintReason::TooLarge)?;
    let token = Unreleased::new(jwt, (jti, txn), &record.0, grant.expires().seconds() - now.seconds());
    let minted = MintedToken { token, scope: grant.scopes().to_string(), bound: *grant.constraint() };
    let issue = RecordHop {
        status: place.map(|place| {
            let expires = Time::from_seconds(grant.expires().seconds());
            Box::new(Registration { place, expires, generations: ancestry.own.generations })
        }),
        charge: standing.task().map(|task| key_of(task.id, minting.pseudonyms)),
        ..shared::issue(standing, minting, (jti, txn, grant.expires()), record)
    };
    Ok((minted, issue))
}

impl MintedToken {
    /// Lets the token go, against the commit's word that its own hop is durable.
    ///
    /// # Errors
    /// `ReceiptForeign` when the receipt is for anything else.
    pub fn release(self, receipt: &Receipt) -> Result<IssuedToken, MintReason> {
        let Self { token, scope, bound } = self;
        token.release(receipt).map(|token| IssuedToken { token, scope, bound })
    }
}

impl IssuedToken {
    /// The token, to be sent.
    pub fn jwt(&self) -> &str {
        self.token.jwt()
    }

    /// Its transaction.
    pub fn txn(&self) -> Txn {
        self.token.txn()
    }

    /// Whole seconds until it expires, counted from the request.
    pub fn expires_in(&self) -> i64 {
        self.token.expires_in()
    }

    /// What it is bound to, and its `token_type`.
    pub fn bound(&self) -> &SenderConstraint {
        &self.bound
    }

    /// Its scope, space-delimited; may be empty.
    pub fn scope(&self) -> &str {
        &self.scope
    }
}

fn ancestry(standing: &AdmittedExchange, grant: &Grant, minting: &Minting<'_>, (jti, txn): (Jti, Txn)) -> Ancestry {
    let own = IssuedClaims {
        jti,
        txn,
        depth: standing.depth(),
        client: standing.client().agent().id.clone(),
        agents: shared::agents(standing),
        kind: standing.subject().kind(),
        held: grant.held().to_vec(),
        history: history(standing, grant),
        touched: grant.touched().to_vec(),
        generations: shared::generations(standing, minting, txn, (GenerationKind::Hop, jti.as_bytes())),
        task: standing.task().cloned(),
    };
    let subject = standing.subject();
    Ancestry {
        subject: subject.subject().clone(),
        attributes: subject.attributes().to_vec(),
        chain: standing.chain().clone(),
        own,
    }
}

/// The least that was held on every API of the chain: what is granted now takes the place of what was held there before.
fn history(standing: &AdmittedExchange, grant: &Grant) -> Vec<ScopesOnApi> {
    let before = standing.subject().own().map(|own| own.history.as_slice()).unwrap_or_default();
    let elsewhere = before.iter().filter(|held| grant.held().iter().all(|granted| granted.api != held.api));
    elsewhere.chain(grant.held()).cloned().collect()
}

fn hop(standing: &AdmittedExchange, grant: &Grant, (jti, txn, now): (Jti, Txn, Time), (token, kid): (Digest, &str)) -> Hop {
    let subject = standing.subject();
    let client = standing.client();
    Hop {
        jti,
        txn,
        parent: standing.parent(),
        task: standing.task().map(|task| task.id),
        depth: standing.depth(),
        at: now,
        expires: Time::from_seconds(grant.expires().seconds()),
        basis: standing.mode(),
        client: client.agent().id.clone(),
        login: client.method().as_str(),
        instance: standing.current_actor().instance.clone(),
        subject: subject.subject().clone(),
        chain: standing.chain().clone(),
        actor: standing.current_actor().agent.id.clone(),
        audience: grant.apis().iter().map(|api| api.id.clone()).collect(),
        scopes: grant.scopes().clone(),
        evidence: shared::evidence(standing),
        binding: Bindings { issued: grant.constraint().issued(), subject: grant.constraint().subject() },
        token,
        kid: kid.to_owned(),
        policy_set: grant.policy_set(),
        policies: grant.policies().to_vec(),
        inputs: Inputs::default(),
        status: None,
    }
}

fn inputs(standing: &AdmittedExchange, requested: Option<&Scopes>) -> Inputs {
    let subject = standing.subject();
    let authentication = subject.authentication();
    Inputs {
        rule: subject.subject().rule().map(|rule| rule.as_str().to_owned()),
        attributes: subject.attributes().to_vec(),
        acr: authentication.acr.clone(),
        amr: authentication.amr.clone(),
        auth_time: authentication.time,
        touched: subject.own().map(|own| own.touched.clone()).unwrap_or_default(),
        requested: requested.cloned(),
    }
}
