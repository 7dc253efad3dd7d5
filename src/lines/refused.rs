//! The error of a line: the reason, with the evidence that the record of the refusal holds.

use crate::authority;
use crate::catalog::Catalog;
use crate::crypto::Digest;
use crate::error::{ErrorCode, ExchangeError, Profile};
use crate::oauth::{Audience, ClientId, Jti, Resource, Scopes, ScopesOnApi, Txn};
use crate::policy::Denial;
use crate::request::RequestReason;
use crate::token::VerifiedSubject;

/// A request that a line refused.
#[derive(Debug)]
pub struct RefusedRequest {
    /// The OAuth error code, by the error table of the request's profile.
    pub code: ErrorCode,
    /// The reason of the stage that refused it.
    pub reason: ExchangeError,
    /// The evidence of an authenticated client's request. Absent for a stranger's, which is not recorded.
    pub evidence: Option<Box<RequestEvidence>>,
}

/// The evidence that the record of a refusal holds (docs/records.md).
#[derive(Debug)]
pub struct RequestEvidence {
    /// The authenticated client.
    pub agent: ClientId,
    /// SHA-256 of the subject token, or of the token to introspect or revoke.
    pub subject_token: Option<Digest>,
    /// The transaction of that token, where this server issued it.
    pub txn: Option<Txn>,
    /// The hop of that token, where it is an access token of this server.
    pub parent: Option<Jti>,
    /// The targets asked for, as far as they are registered.
    pub audience: Vec<Resource>,
    /// The scopes asked for, as far as an API declares them.
    pub requested: Option<Scopes>,
    /// The policies that decided, by id, sorted.
    pub policies: Vec<String>,
    /// The digest of the policy set, where policy was asked.
    pub policy_set: Option<Digest>,
}

/// The token, targets and scopes of a request, borrowed from it: nothing is copied, hashed or looked up unless it is refused.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    /// The subject token, or the token to introspect or revoke.
    pub(super) token: Option<&'a str>,
    /// Every `resource`.
    pub(super) resources: &'a [Resource],
    /// Every `audience`.
    pub(super) audiences: &'a [Audience],
    /// `scope`.
    pub(super) scope: Option<&'a Scopes>,
    /// The authority of a task, as scopes by API.
    pub(super) authority: &'a [ScopesOnApi],
}

/// The place of a request's token in the ledger, known once the token is verified.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lineage {
    /// Its transaction.
    pub(super) txn: Option<Txn>,
    /// Its hop, where it is an access token.
    pub(super) parent: Option<Jti>,
}

impl RefusedRequest {
    /// The refusal of a request before its client logged in. Reasons of that time have the same code in every profile.
    pub fn before_login(reason: ExchangeError) -> Self {
        Self { code: reason.code(Profile::TOKEN_EXCHANGE), reason, evidence: None }
    }
}

impl From<RequestReason> for RefusedRequest {
    fn from(reason: RequestReason) -> Self {
        Self::before_login(ExchangeError::Request(reason))
    }
}

impl Asked<'_> {
    /// The evidence of the refusal for `reason` of what `agent` asked for.
    pub(super) fn evidence(
        &self,
        agent: &ClientId,
        lineage: Lineage,
        reason: &ExchangeError,
        catalog: &Catalog,
    ) -> RequestEvidence {
        let denial = reason.denial();
        let audience = match reason.targets() {
            [] => self.targets(catalog),
            resolved => resolved.to_vec(),
        };
        RequestEvidence {
            agent: agent.clone(),
            subject_token: self.token.map(|token| Digest::of(token.as_bytes())),
            txn: lineage.txn,
            parent: lineage.parent,
            audience,
            requested: self.scopes(catalog),
            policies: denial.map(|denial| denial.explanation().policies()).unwrap_or_default(),
            policy_set: denial.and_then(Denial::policy_set),
        }
    }

    /// The ids of the registered APIs that are asked for, in the order of the request.
    fn targets(&self, catalog: &Catalog) -> Vec<Resource> {
        let ids = self.resources.iter().chain(self.authority.iter().map(|on_api| &on_api.api));
        authority::registered(catalog, ids, self.audiences)
    }

    /// The scopes that are asked for and that an API declares. Others are the caller's words, which stand in no record.
    fn scopes(&self, catalog: &Catalog) -> Option<Scopes> {
        let of_task = self.authority.iter().map(|on_api| &on_api.scopes);
        let asked = self.scope.into_iter().chain(of_task).fold(Scopes::default(), |all, scopes| all.union(scopes));
        Some(catalog.declared(&asked).into_owned()).filter(|declared| !declared.is_empty())
    }
}

impl Lineage {
    /// The lineage of a verified subject token; empty where another server issued it.
    pub(super) fn of(subject: &VerifiedSubject) -> Self {
        Self { txn: subject.own().map(|own| own.txn), parent: subject.hop() }
    }
}
