//! The error of a line: the reason, and the record of the refusal.

use crate::catalog::Catalog;
use crate::commit::Commit;
use crate::crypto::Digest;
use crate::error::{ErrorCode, ExchangeError, Profile};
use crate::ledger::record::RefusalRecord;
use crate::lifecycle::AdmissionReason;
use crate::oauth::{Audience, ClientId, Jti, Resource, Scopes, ScopesOnApi, SingleUse, Time, Txn};
use crate::policy::{Denial, PolicyOutcome};
use crate::request::RequestReason;
use crate::token::VerifiedSubject;

/// A request that a line refused.
#[derive(Debug)]
pub struct RefusedRequest {
    /// The OAuth error code, by the error table of the request's profile.
    pub code: ErrorCode,
    /// The reason of the stage that refused it.
    pub reason: ExchangeError,
    /// The error table of the request.
    pub(super) profile: Profile,
    /// The record of an authenticated client's request, still without its `error_id`. Absent for a stranger's, which is not
    /// recorded.
    pub record: Option<Box<RefusalRecord<'static>>>,
    /// The single-use values of the login in whose name it is recorded, which the commit looks at once more.
    pub(super) login: Vec<SingleUse>,
}

/// A refusal as it is answered and logged.
#[derive(Debug)]
pub struct AnsweredRefusal {
    /// The OAuth error code.
    pub code: ErrorCode,
    /// The reason.
    pub reason: ExchangeError,
    /// The sentence of the reason for the caller alone, which may hold words of the request.
    pub sentence: String,
    /// The agent that asked; none for a stranger.
    pub agent: Option<ClientId>,
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

/// The facts that the record of a request's refusal needs, known while its line runs: those of its token once that is verified.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    /// Its transaction.
    pub(super) txn: Option<Txn>,
    /// True once this very request has spent the values of its login.
    pub(super) spent: bool,
    /// Its hop, where it is an access token.
    pub(super) parent: Option<Jti>,
    /// The ids of the APIs that it is presented for, where the request names no target.
    pub(super) apis: Vec<Resource>,
}

impl RefusedRequest {
    /// The refusal of a request before its client logged in. Reasons of that time have the same code in every profile.
    pub fn before_login(reason: ExchangeError) -> Self {
        let profile = Profile::TOKEN_EXCHANGE;
        Self { code: reason.code(profile), reason, profile, record: None, login: Vec::new() }
    }

    /// True where revocation must not tell the refusal: the client may not revoke the token, and learns neither whose it is nor
    /// whether it lives (RFC 7009 §2.2: the answer is that of a token that never was one).
    pub fn is_hidden(&self) -> bool {
        matches!(self.reason, ExchangeError::Admission(AdmissionReason::Revoker))
    }

    /// Has the refusal recorded under `error_id` if its client is authenticated. Where its login was used meanwhile it is the
    /// refusal of a stranger by then, for just that.
    pub async fn recorded(self, commit: &Commit, error_id: &str) -> AnsweredRefusal {
        let Self { code, reason, profile, record, login } = self;
        let answered = |code, reason, agent| AnsweredRefusal { sentence: profile.told(&reason), code, reason, agent };
        let Some(record) = record else { return answered(code, reason, None) };
        let agent = record.agent.clone();
        match commit.refuse(RefusalRecord { error_id: error_id.to_owned().into(), ..*record }, login).await {
            Ok(()) => answered(code, reason, Some(agent)),
            Err(used) => {
                let reason = ExchangeError::Commit(used);
                answered(reason.code(profile), reason, None)
            }
        }
    }
}

impl From<RequestReason> for RefusedRequest {
    fn from(reason: RequestReason) -> Self {
        Self::before_login(ExchangeError::Request(reason))
    }
}

impl Asked<'_> {
    /// The record of the refusal of what `agent` asked for, with the code and the sentence that `profile` has for the `reason`.
    pub(super) fn record(
        &self,
        agent: &ClientId,
        lineage: Lineage,
        (profile, reason): (Profile, &ExchangeError),
        (catalog, now): (&Catalog, Time),
    ) -> RefusalRecord<'static> {
        let denial = reason.denial();
        RefusalRecord {
            subject_token: self.token.map(|token| Digest::of(token.as_bytes())),
            txn: lineage.txn,
            parent: lineage.parent,
            audience: self.targets(&lineage.apis, catalog),
            requested: self.scopes(catalog),
            policies: denial.map(Denial::policies).unwrap_or_default().into(),
            policy_set: denial.and_then(Denial::policy_set),
            ..RefusalRecord::new(agent.clone(), now, reason.code(profile).as_str(), String::new(), profile.sentence(reason))
        }
    }

    /// The ids of the registered APIs that are asked for, in the order of the request, each once; or those that are `implied`.
    fn targets(&self, implied: &[Resource], catalog: &Catalog) -> Vec<Resource> {
        let ids = self.resources.iter().chain(self.authority.iter().map(|on_api| &on_api.api)).chain(implied);
        let by_name = self.audiences.iter().filter_map(|name| catalog.api_named(name));
        let mut targets = Vec::new();
        for api in ids.filter_map(|id| catalog.api_at(id)).chain(by_name) {
            if !targets.contains(&api.id) {
                targets.push(api.id.clone());
            }
        }
        targets
    }

    /// The scopes that are asked for and that an API declares. Others are the caller's words, which stand in no record.
    fn scopes(&self, catalog: &Catalog) -> Scopes {
        let of_task = self.authority.iter().map(|on_api| &on_api.scopes);
        let asked = self.scope.into_iter().chain(of_task).fold(Scopes::default(), |all, scopes| all.union(scopes));
        catalog.declared(&asked).into_owned()
    }
}

impl Lineage {
    /// The lineage of a verified subject token; empty where another server issued it.
    pub(super) fn of(subject: &VerifiedSubject) -> Self {
        Self { txn: subject.own().map(|own| own.txn), parent: subject.hop(), ..Self::default() }
    }
}

/// The grant of policy.
///
/// # Errors
/// `Denied` or `ApprovalNeeded`.
pub(super) fn granted<G>(outcome: PolicyOutcome<G>) -> Result<G, ExchangeError> {
    match outcome {
        PolicyOutcome::Grant(grant) => Ok(grant),
        PolicyOutcome::Denial(denial) => Err(ExchangeError::Denied(Box::new(denial))),
        PolicyOutcome::ApprovalNeeded(denial) => Err(ExchangeError::ApprovalNeeded(Box::new(denial))),
    }
}
