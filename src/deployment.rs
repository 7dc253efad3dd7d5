//! The configuration in force.

use std::collections::HashSet;
use std::sync::Arc;

use crate::catalog::{Catalog, Status};
use crate::client::{AssertionAudience, ClientAttestationRules, ClientAuths, DpopRules};
use crate::lifecycle::{InactiveStatus, Rules, StateView};
use crate::mint::{Minting, Signers};
use crate::oauth::{ClientId, GenerationKey, GenerationKind, Issuer, Pseudonyms, Time};
use crate::policy::{Policies, TokenLimits};
use crate::token::IssuerKeys;
use crate::trust::TrustStore;

/// The configuration in force, with its keys. A reload swaps it whole; a request keeps the one that it began with.
#[derive(Debug)]
pub struct Deployment {
    /// The issuer identifier of this server (RFC 8414 §2).
    pub issuer: Issuer,
    /// The values of `aud` that a client assertion may have.
    pub audience: AssertionAudience,
    /// The registered agents and APIs.
    pub catalog: Catalog,
    /// The client authentication methods of the agents.
    pub logins: ClientAuths,
    /// The trust rules, with the keys of the issuers that they name.
    pub trust: Arc<TrustStore>,
    /// The policy set.
    pub policies: Policies,
    /// The keys that sign tokens.
    pub signers: Signers,
    /// The keys that verify and open the tokens of this server.
    pub own: IssuerKeys,
    /// The keys of the pseudonyms under which state is kept.
    pub pseudonyms: Pseudonyms,
    /// The rules for DPoP proofs (RFC 9449).
    pub dpop: DpopRules,
    /// The rules for the proofs of client attestations.
    pub client_attestations: ClientAttestationRules,
    /// The limits of lifetimes and tasks.
    pub limits: TokenLimits,
    /// The most hops of a chain.
    pub depth_max: u32,
    /// True where the metadata lists the scopes of all APIs.
    pub scopes_supported: bool,
    /// The origins whose pages may read answers of the token endpoint.
    pub origins: Vec<String>,
    /// How often a client may ask per second whose file does not say; 0 for as often as it likes.
    pub requests_per_second: u32,
}

/// The path of the token endpoint below the issuer identifier.
pub const TOKEN_PATH: &str = "/token";

/// The path of the introspection endpoint below the issuer identifier.
pub const INTROSPECT_PATH: &str = "/introspect";

/// The path below the issuer identifier at which one use of a token is decided on (AuthZEN Authorization API 1.0 §10.1).
pub const EVALUATION_PATH: &str = "/access/v1/evaluation";

/// The path below the issuer identifier at which several are.
pub const EVALUATIONS_PATH: &str = "/access/v1/evaluations";

/// The path of the revocation endpoint below the issuer identifier.
pub const REVOKE_PATH: &str = "/revoke";

/// The path below the issuer identifier at which challenges for proofs of client attestations are to be had.
pub const CHALLENGE_PATH: &str = "/challenge";

/// The path below the issuer identifier at which tasks are opened, and below which each task stands.
pub const TASKS_PATH: &str = "/tasks";

/// The path below the issuer identifier below which the proof of each hop stands.
pub const PROOFS_PATH: &str = "/ledger/proof";

impl Deployment {
    /// The rules of liveness and delegation over `state` at `now`.
    pub(crate) fn rules<'a>(&'a self, state: &'a dyn StateView, now: Time) -> Rules<'a> {
        Rules {
            issuer: &self.issuer,
            catalog: &self.catalog,
            trust: &self.trust,
            state,
            pseudonyms: &self.pseudonyms,
            depth_max: self.depth_max,
            now,
        }
    }

    /// The keys and names with which tokens are minted.
    pub(crate) fn minting(&self) -> Minting<'_> {
        Minting { issuer: &self.issuer, signers: &self.signers, own: &self.own, pseudonyms: &self.pseudonyms }
    }

    /// The recorded status of `agent` where it is not active. The stricter of this and its file's counts.
    pub fn recorded_status(&self, agent: &ClientId, state: &dyn StateView) -> Option<InactiveStatus> {
        let keys: Vec<_> = self.pseudonyms.every(GenerationKind::Agent, agent.as_str().as_bytes()).collect();
        state.generations(&keys).into_iter().filter_map(|state| state.inactive).max()
    }

    /// The agents that are not active in their files and the trust rules that are disabled: no token that depends on one of them
    /// is active.
    pub(crate) fn inactive(&self) -> HashSet<GenerationKey> {
        let inactive = self.catalog.agents().filter(|agent| agent.status != Status::Active);
        let agents = inactive.map(|agent| (GenerationKind::Agent, agent.id.as_str()));
        let disabled = self.trust.rules().filter(|rule| !rule.enabled());
        let rules = disabled.map(|rule| (GenerationKind::Rule, rule.name().as_str()));
        agents.chain(rules).flat_map(|(kind, name)| self.pseudonyms.every(kind, name.as_bytes())).collect()
    }
}
