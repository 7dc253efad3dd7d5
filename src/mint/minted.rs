//! A token that has no wire form until its hop is durable.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::claims::{self, Identity};
use super::release::{Released, Unreleased};
use super::signers::{MintReason, Minting};
use super::{common, id_jag};
use crate::binding::SenderConstraint;
use crate::commit::{Effect, Receipt, RecordHop, Registration, ReservedPlace};
use crate::crypto::{Digest, random};
use crate::ledger::record::{Confirmations, Discloser, Disclosures, HopRecord, Inputs, Kind, RecordReason, VERSION};
use crate::lifecycle::{AdmittedExchange, Dependencies};
use crate::oauth::{
    Generation, GenerationKind, GrantType, Intent, Issuer, Jti, Scopes, ScopesOnApi, StatusPlace, Time, TokenType, Txn,
};
use crate::policy::Grant;
use crate::token::{Ancestry, AncestryKind, Authentication, IssuedClaims};

/// A signed token, not yet recorded. No accessor shows it; made only by [`sign`].
#[derive(Debug)]
pub struct MintedToken {
    token: Unreleased,
    issued_type: Option<TokenType>,
    scope: String,
    details: Option<String>,
    constraint: SenderConstraint,
}

/// A token that may leave: its hop is durable. Made only by [`MintedToken::release`].
pub struct IssuedToken {
    token: Released,
    issued_type: Option<TokenType>,
    scope: String,
    details: Option<String>,
    constraint: SenderConstraint,
}

/// A token as signed, by what its record says of it.
struct SignedToken<'a> {
    jti: Jti,
    txn: Txn,
    now: Time,
    status: Option<StatusPlace>,
    digest: Digest,
    kid: &'a str,
}

/// Signs the token that `grant` permits, and writes the hop that must be recorded before it leaves. `place` is the place of its
/// status in a status list, where an API asks for one.
///
/// # Errors
/// See [`MintReason`].
pub fn sign(
    exchange: &AdmittedExchange,
    dependencies: &Dependencies,
    grant: &Grant,
    requested: Option<&Scopes>,
    place: Option<ReservedPlace>,
    minting: &Minting<'_>,
    now: Time,
) -> Result<(MintedToken, RecordHop), MintReason> {
    let api = grant.apis().first().ok_or(MintReason::NoKey)?;
    let key = minting.signers.ready(api.signing_alg, now).ok_or(MintReason::NoKey)?;
    let jti = Jti::new(now, random().map_err(|_| MintReason::Crypto)?);
    let txn = common::txn(exchange, now)?;
    let signs = minting.signers.generation(key)?;
    let ancestry = ancestry((exchange, dependencies), grant, minting, (jti, txn, signs));
    let sealed = ancestry.seal(minting.own.ancestry(), AncestryKind::Access).map_err(|_| MintReason::TooLarge)?;
    let status = place.as_ref().map(ReservedPlace::place);
    let identity = Identity { issuer: minting.issuer, jti, txn, now, status, ancestry: &sealed };
    let (typ, claims) = match &api.authorization_server {
        Some(server) => (id_jag::TYP, id_jag::of(exchange, grant, &identity, (api, server))?),
        None => (api.typ.as_str(), claims::of(exchange, grant, &identity)?),
    };
    let jwt = Zeroizing::new(key.sign(typ, &claims).map_err(|_| MintReason::Crypto)?);
    let signed = SignedToken { jti, txn, now, status, digest: Digest::of(jwt.as_bytes()), kid: key.kid() };
    let record = record(exchange, grant, requested, (&signed, minting.issuer)).map_err(|_| MintReason::TooLarge)?;
    let token = Unreleased::new(jwt, (jti, txn), &record.0, grant.expires().seconds() - now.seconds());
    let issued_type = if api.authorization_server.is_some() { TokenType::IdJag } else { TokenType::AccessToken };
    let issued_type = (exchange.grant_type() == Some(GrantType::TokenExchange)).then_some(issued_type);
    let (scope, details) = (grant.scopes().to_string(), grant.intent().map(|intent| intent.as_str().to_owned()));
    let minted = MintedToken { token, issued_type, scope, details, constraint: *grant.constraint() };
    let issue = RecordHop {
        status: place.map(|place| {
            let expires = Time::from_seconds(grant.expires().seconds());
            let share = exchange.client().share();
            Box::new(Registration { place, expires, share, generations: ancestry.own.generations })
        }),
        ..common::issue((exchange, dependencies), minting, (jti, txn, signs, grant.expires()), record)
    };
    Ok((minted, issue))
}

impl MintedToken {
    /// Lets the token go, against the commit's word that its own hop is durable.
    ///
    /// # Errors
    /// `ReceiptForeign` when the receipt is for anything else.
    pub fn release(self, receipt: &Receipt) -> Result<IssuedToken, MintReason> {
        let Self { token, issued_type, scope, details, constraint } = self;
        token.release(receipt).map(|token| IssuedToken { token, issued_type, scope, details, constraint })
    }
}

impl IssuedToken {
    /// The token, to be sent.
    pub fn jwt(&self) -> &str {
        self.token.jwt()
    }

    /// Its type, which the answer names where token exchange was asked for and nowhere else (RFC 8693 §2.2.1, RFC 6749 §5.1).
    pub fn issued_type(&self) -> Option<TokenType> {
        self.issued_type
    }

    /// Its transaction.
    pub fn txn(&self) -> Txn {
        self.token.txn()
    }

    /// Whole seconds until it expires, counted from the request.
    pub fn expires_in(&self) -> i64 {
        self.token.expires_in()
    }

    /// Its sender constraint, and its `token_type`.
    pub fn constraint(&self) -> &SenderConstraint {
        &self.constraint
    }

    /// Its `authorization_details`, a JSON array, as granted (RFC 9396 §7); none where it has none.
    pub fn details(&self) -> Option<&str> {
        self.details.as_deref()
    }

    /// Its scope, space-delimited; may be empty.
    pub fn scope(&self) -> &str {
        &self.scope
    }
}

fn ancestry(
    (exchange, dependencies): (&AdmittedExchange, &Dependencies),
    grant: &Grant,
    minting: &Minting<'_>,
    (jti, txn, signs): (Jti, Txn, Generation),
) -> Ancestry {
    let own = IssuedClaims {
        jti,
        txn,
        depth: exchange.depth(),
        client: exchange.client().agent().id.clone(),
        agents: common::agents(exchange),
        kind: exchange.subject().kind(),
        trust: exchange.subject().trust().cloned(),
        basis: Some(exchange.mode()),
        held: grant.held().to_vec(),
        history: history(exchange, grant),
        touched: grant.touched().to_vec(),
        purpose: grant.purpose().to_owned(),
        details: grant.intent().map(Intent::digest),
        generations: common::generations(exchange, dependencies, minting, (txn, signs), (GenerationKind::Hop, jti.as_bytes())),
        task: exchange.task().cloned(),
    };
    let subject = exchange.subject();
    Ancestry {
        subject: subject.subject().clone(),
        attributes: subject.attributes().to_vec(),
        chain: exchange.chain().clone(),
        own,
    }
}

/// The least that was held on every API of the chain: what is granted now takes the place of what was held there before.
fn history(exchange: &AdmittedExchange, grant: &Grant) -> Vec<ScopesOnApi> {
    let before = exchange.subject().own().map(|own| own.history.as_slice()).unwrap_or_default();
    let elsewhere = before.iter().filter(|held| grant.held().iter().all(|granted| granted.api != held.api));
    elsewhere.chain(grant.held()).cloned().collect()
}

/// The record of the hop, in canonical form, its effect, and the clear values behind its salted digests.
fn record(
    exchange: &AdmittedExchange,
    grant: &Grant,
    requested: Option<&Scopes>,
    (signed, issuer): (&SignedToken<'_>, &Issuer),
) -> Result<(Vec<u8>, Effect, Disclosures), RecordReason> {
    let (client, actor) = (exchange.client(), exchange.current_actor());
    let mut discloser = Discloser::default();
    let (sd, subject) = discloser.subject(exchange.subject().subject(), "")?;
    let hop = HopRecord {
        sd,
        actor: actor.agent.id.clone(),
        at: signed.now,
        audience: grant.apis().iter().map(|api| api.id.clone()).collect(),
        basis: exchange.mode(),
        binding: Confirmations { issued: grant.constraint().issued(), subject: grant.constraint().subject() },
        chain: discloser.chain(exchange.chain(), issuer)?,
        client: client.agent().id.clone(),
        depth: exchange.depth(),
        evidence: common::evidence(exchange),
        expires: Time::from_seconds(grant.expires().seconds()),
        handed_to: handed_to(grant),
        inputs: inputs(exchange, grant, requested, &mut discloser)?,
        instance: actor.instance.as_deref().map(Cow::Borrowed),
        jti: signed.jti,
        kid: Cow::Borrowed(signed.kid),
        kind: Kind::Hop,
        login: Cow::Borrowed(client.method().as_str()),
        parent: exchange.parent(),
        policies: Cow::Borrowed(grant.policies()),
        policy_set: grant.policy_set(),
        scope: grant.scopes().clone(),
        status: signed.status,
        subject,
        task: exchange.task().map(|task| task.id),
        token: signed.digest,
        txn: signed.txn,
        v: VERSION,
    };
    Ok((hop.to_bytes()?, Effect::of_hop(&hop), discloser.finish()))
}

/// The issuer identifier of the authorization server that the token is for, where it is no access token of ours.
fn handed_to(grant: &Grant) -> Option<Cow<'_, str>> {
    let server = grant.apis().first()?.authorization_server.as_ref()?;
    Some(Cow::Borrowed(server.issuer.as_str()))
}

fn inputs<'a>(
    exchange: &'a AdmittedExchange,
    grant: &Grant,
    requested: Option<&Scopes>,
    discloser: &mut Discloser,
) -> Result<Inputs<'a>, RecordReason> {
    let subject = exchange.subject();
    let Authentication { acr, amr, time } = subject.authentication();
    let mut sd = discloser.authentication(acr.as_deref(), amr, *time)?;
    let traded = common::traded(exchange);
    if let Some(name) = traded {
        sd.push(discloser.attested(name)?);
    }
    if let Some(intent) = grant.intent() {
        sd.push(discloser.details(intent)?);
    }
    sd.sort_unstable();
    Ok(Inputs {
        sd,
        attributes: discloser.attributes(subject.attributes())?,
        requested: requested.cloned().unwrap_or_default(),
        rule: traded.unwrap_or(subject.subject()).rule().map(|rule| Cow::Borrowed(rule.as_str())),
        touched: Cow::Borrowed(subject.own().map(|own| own.touched.as_slice()).unwrap_or_default()),
    })
}
