//! Access tokens (RFC 9068) and task tokens that this server issued.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Ancestry, AncestryKind, Authentication, IssuedClaims, Origin, TokenReason, VerifiedSubject};
use crate::crypto::{Digest, SealKey};
use crate::jose::{Algorithm, Cache, Compact, KeySet};
use crate::oauth::{
    ActChain, ClientId, Confirmation, Issuer, Jti, NumericDate, Scopes, ScopesOnApi, ShareKey, Subject, TaskId, Time, Txn,
};

/// The keys that read our own tokens: the public halves of every key that still verifies, and the key of the ancestry.
#[derive(Debug)]
pub struct IssuerKeys {
    issuer: Issuer,
    keys: Arc<KeySet>,
    ancestry: SealKey,
    cache: Arc<Cache>,
}

/// One of our own access tokens: genuine, current, and with the ancestry that was sealed into it. Made only by `verify_own`.
#[derive(Debug)]
pub struct VerifiedIssued {
    subject: Subject,
    chain: ActChain,
    shown: ActChain,
    own: IssuedClaims,
    attributes: Vec<(String, String)>,
    issued_at: Time,
    expires: Time,
    authentication: Authentication,
    digest: Digest,
    confirmation: Option<Confirmation>,
    details: Option<Box<RawValue>>,
}

/// The hop of a genuine access token of ours, which may have run out. Made only by `hop_of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenuineHop {
    jti: Jti,
    confirmation: Option<Confirmation>,
    share: ShareKey,
}

/// The `typ` of task tokens: nothing else takes them.
pub const TASK_TYP: &str = "task+jwt";

/// The algorithms under which this server signs.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA];

#[derive(Deserialize)]
struct SignedClaims<'a> {
    iss: &'a str,
    /// The one text with somebody else's name in it, which may be written with escapes.
    #[serde(borrow)]
    sub: Cow<'a, str>,
    client_id: &'a str,
    exp: NumericDate,
    iat: NumericDate,
    jti: &'a str,
    txn: &'a str,
    anc: &'a str,
    #[serde(default)]
    scope: &'a str,
    #[serde(borrow)]
    act: Option<&'a RawValue>,
    acr: Option<String>,
    #[serde(default)]
    amr: Vec<String>,
    auth_time: Option<NumericDate>,
    task: Option<&'a str>,
    #[serde(borrow)]
    authorization_details: Option<&'a RawValue>,
    cnf: Option<Confirmation>,
}

impl IssuerKeys {
    /// Brings together what reads our tokens.
    pub fn new(issuer: Issuer, keys: Arc<KeySet>, ancestry: SealKey, cache: Arc<Cache>) -> Self {
        Self { issuer, keys, ancestry, cache }
    }

    /// Our issuer identifier.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The tokens whose signatures need not be verified again.
    pub fn verified(&self) -> &Cache {
        &self.cache
    }

    /// The key that seals ancestries.
    pub fn ancestry(&self) -> &SealKey {
        &self.ancestry
    }

    /// True when `jws` claims that we issued it. Nothing is believed yet: this only picks the rules that it must keep.
    pub(super) fn issued(&self, jws: &Compact<'_>) -> Result<bool, TokenReason> {
        let claims = jws.unverified_claims()?;
        let iss = claims.text("iss").map_err(|_| TokenReason::Claims)?;
        Ok(iss.as_deref() == Some(self.issuer.as_str()))
    }

    /// The hop whose access token `token` is: genuine, whether or not it still lives. It gives no right but to the proof of its
    /// own record.
    ///
    /// # Errors
    /// When none of the keys that are still published signed it, or it is no access token of ours.
    pub fn hop_of(&self, token: &str) -> Result<GenuineHop, TokenReason> {
        let jws = Compact::parse(token)?;
        if !self.issued(&jws)? || !(jws.typ_is("at+jwt") || jws.typ_is("JWT")) {
            return Err(TokenReason::NotAccessToken);
        }
        let verified = jws.verify_in(&self.keys, &ALGORITHMS)?;
        let claims: SignedClaims<'_> = verified.claims().read().map_err(|_| TokenReason::Claims)?;
        let jti = Jti::parse(claims.jti).map_err(|_| TokenReason::Claims)?;
        let client = ClientId::parse(claims.client_id).map_err(|_| TokenReason::Claims)?;
        Ok(GenuineHop { jti, confirmation: claims.cnf, share: ShareKey::of(&client) })
    }

    /// Verifies one of our own access tokens.
    ///
    /// # Errors
    /// When we did not sign it, it is no access token, has run out, or its ancestry does not fit it.
    pub(super) fn verify(&self, jws: &Compact<'_>, now: Time) -> Result<VerifiedIssued, TokenReason> {
        if jws.typ_is(TASK_TYP) {
            return Err(TokenReason::TaskToken);
        }
        if !(jws.typ_is("at+jwt") || jws.typ_is("JWT")) {
            return Err(TokenReason::NotAccessToken);
        }
        self.read(jws, AncestryKind::Access, now)
    }

    /// Verifies one of our own task tokens.
    ///
    /// # Errors
    /// When we did not sign it, it is no task token, its task is past its deadline, or its ancestry does not fit it.
    pub(super) fn verify_task(&self, jws: &Compact<'_>, now: Time) -> Result<VerifiedSubject, TokenReason> {
        if !jws.typ_is(TASK_TYP) {
            return Err(TokenReason::NotAccessToken);
        }
        let token = self.read(jws, AncestryKind::Task, now)?;
        // Whoever enters a task proves this key by logging in with it; it is not what issued tokens are bound to.
        let key = match token.confirmation {
            Some(Confirmation::Dpop(key)) => Some(key),
            Some(Confirmation::Certificate(_)) => return Err(TokenReason::Claims),
            None => None,
        };
        let subject = VerifiedSubject::from(VerifiedIssued { confirmation: None, ..token });
        match subject.origin {
            Origin::Own(own) if own.task.is_some() => Ok(VerifiedSubject { origin: Origin::Task(own, key), ..subject }),
            _ => Err(TokenReason::Ancestry),
        }
    }

    fn read(&self, jws: &Compact<'_>, kind: AncestryKind, now: Time) -> Result<VerifiedIssued, TokenReason> {
        // A token of ours was verified once; while it lives its signature need not be verified again. Everything else is.
        let verified = jws.verify_cached(&self.keys, &ALGORITHMS, &self.cache, now)?;
        let claims: SignedClaims<'_> = verified.claims().read().map_err(|_| TokenReason::Claims)?;
        if claims.exp.0 <= now {
            return Err(TokenReason::Expired);
        }
        let jti = Jti::parse(claims.jti).map_err(|_| TokenReason::Claims)?;
        let ancestry = Ancestry::open(&self.ancestry, kind, jti, claims.anc).map_err(|_| TokenReason::Ancestry)?;
        let shown = self.agree(&claims, &ancestry, kind)?;
        Ok(VerifiedIssued {
            subject: ancestry.subject,
            chain: ancestry.chain,
            shown,
            own: ancestry.own,
            attributes: ancestry.attributes,
            issued_at: claims.iat.0,
            expires: claims.exp.0,
            authentication: Authentication { acr: claims.acr, amr: claims.amr, time: claims.auth_time.map(|date| date.0) },
            digest: jws.digest(),
            confirmation: claims.cnf,
            details: claims.authorization_details.map(ToOwned::to_owned),
        })
    }

    /// The signed claims and the sealed ancestry must tell the same story. Returns the part of the chain that the claims show.
    fn agree(&self, claims: &SignedClaims<'_>, ancestry: &Ancestry, kind: AncestryKind) -> Result<ActChain, TokenReason> {
        let shown = claims.act.map(|act| ActChain::parse(act, self.issuer.as_str())).transpose().map_err(TokenReason::Act)?;
        let shown = shown.unwrap_or_default();
        let chain = shown == ancestry.chain || shown == ancestry.chain.outermost();
        // A task token shows its authority as details, which this server never reads back.
        let held = if kind == AncestryKind::Task { Scopes::default() } else { all(&ancestry.own.held) };
        let details = claims.authorization_details.filter(|_| kind == AncestryKind::Access);
        let details = details.map(|details| Digest::of(details.get().as_bytes()));
        let task = claims.task.map(TaskId::parse).transpose().map_err(|_| TokenReason::Claims)?;
        let scopes = if claims.scope.is_empty() { Some(Scopes::default()) } else { Scopes::parse(claims.scope).ok() };
        let same = claims.iss == self.issuer.as_str()
            && claims.sub == ancestry.subject.as_str()
            && claims.client_id == ancestry.own.client.as_str()
            && Txn::parse(claims.txn) == Ok(ancestry.own.txn)
            && scopes == Some(held)
            && details == ancestry.own.details
            && task == ancestry.own.task.as_ref().map(|task| task.id);
        if same && chain { Ok(shown) } else { Err(TokenReason::Ancestry) }
    }
}

impl GenuineHop {
    /// The share of the client that it was issued to.
    pub fn share(&self) -> ShareKey {
        self.share
    }

    /// The hop.
    pub fn jti(&self) -> Jti {
        self.jti
    }

    /// The `cnf` of its token: the key that whoever shows it must prove.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.confirmation
    }
}

impl VerifiedIssued {
    /// The subject.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The whole chain of those who acted so far.
    pub fn chain(&self) -> &ActChain {
        &self.chain
    }

    /// The part of the chain that the token itself shows.
    pub fn shown(&self) -> &ActChain {
        &self.shown
    }

    /// Its content: hop, authority and generations.
    pub fn own(&self) -> &IssuedClaims {
        &self.own
    }

    /// The subject's attributes, as they were sealed into it.
    pub fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    /// `iat`.
    pub fn issued_at(&self) -> Time {
        self.issued_at
    }

    /// `exp`.
    pub fn expires(&self) -> Time {
        self.expires
    }

    /// Its `cnf`: the key that its holder must prove.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.confirmation
    }

    /// Its `authorization_details`, in canonical form.
    pub fn details(&self) -> Option<&RawValue> {
        self.details.as_deref()
    }

    /// The authentication of the subject.
    pub fn authentication(&self) -> &Authentication {
        &self.authentication
    }
}

impl From<VerifiedIssued> for VerifiedSubject {
    fn from(token: VerifiedIssued) -> Self {
        Self {
            subject: token.subject,
            origin: Origin::Own(token.own),
            chain: token.chain,
            may_act: None,
            issued: token.issued_at,
            expires: token.expires,
            authentication: token.authentication,
            attributes: token.attributes,
            scope_limit: None,
            digest: Some(token.digest),
            confirmation: token.confirmation,
            review: None,
            single_use: None,
        }
    }
}

fn all(held: &[ScopesOnApi]) -> Scopes {
    held.iter().flat_map(|held| held.scopes.iter().cloned()).collect()
}
