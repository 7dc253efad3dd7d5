//! Every check of client authentication, in order. A request proves its client by one method; then it proves the keys that its
//! login and tokens are bound to; then the client is an agent that may act.

use std::sync::Arc;

use super::context::{AuthContext, AuthOutcome};
use super::credentials::{AssertionKind, Presented};
use super::{
    AssertionAudience, Attested, AuthMethod, ClientAttestationRules, ClientAuths, ClientReason, Credentials, DpopReason,
    DpopRules, Endpoint, PeerCertificate, ProvenKeys, attestation, client_attestation, dpop, mtls, private_key_jwt, secret,
};
use crate::catalog::{Agent, Catalog, Status};
use crate::crypto::Digest;
use crate::jose::{Compact, JoseReason};
use crate::oauth::{Confirmation, ShareKey, SingleUse, Time};
use crate::trust::TrustStore;

/// A registered agent by what its request says, before the commit was asked whether its login was used. Made only by
/// [`authenticate`]; nothing follows from it but an [`UnspentClient`].
#[derive(Debug)]
pub struct IdentifiedClient(AuthenticatedClient);

/// A registered agent whose login was not used yet, before the keys count that its request proves. Made only of an
/// [`IdentifiedClient`].
#[derive(Debug)]
pub struct UnspentClient(AuthenticatedClient);

/// A registered agent that proved itself. Made only of an [`UnspentClient`].
#[derive(Debug)]
pub struct AuthenticatedClient {
    agent: Arc<Agent>,
    outcome: AuthOutcome,
    proven: ProvenKeys,
}

/// A DPoP proof does not count.
#[derive(Debug)]
pub enum ProofError<E> {
    /// It fails a check of RFC 9449 §4.3.
    Refused(DpopReason),
    /// It was used before, as whoever remembers says.
    Used(E),
}

/// Finds out which agent sent the request. `fallback` is the subject token: without any client authentication it may log in its
/// own subject. Nothing is spent here: the commit spends [`AuthenticatedClient::spends`].
///
/// # Errors
/// The first check that fails. That a client exists is never told to who cannot prove to be it.
pub async fn authenticate(
    logins: &ClientAuths,
    catalog: &Catalog,
    trust: &TrustStore,
    credentials: &Credentials,
    fallback: Option<&str>,
    (audience, attestations): (&AssertionAudience, &ClientAttestationRules),
    now: Time,
) -> Result<IdentifiedClient, ClientReason> {
    let context = AuthContext { logins, catalog, trust, audience, attestations, client_id: credentials.client_id(), now };
    let certificate = credentials.certificate();
    // One method, and all of it.
    let outcome = match credentials.presented()? {
        // The secret is the client's, and may come this way.
        Presented::Header(header) => secret::basic(&context, header)?,
        Presented::Secret { client, secret } => secret::post(&context, client, secret)?,
        // The client's own assertion, a JWT-SVID or an attestation, by what it says of itself.
        Presented::Assertion { kind, text } => by_assertion(&context, kind, text).await?,
        // What an attester says of an instance of the client, with a proof of that instance's key.
        Presented::Attestation { attestation, proof } => client_attestation::prove(&context, attestation, proof).await?,
        // The certificate of the connection, or else the subject token.
        Presented::Nothing => by_connection(&context, certificate, fallback).await?,
    };
    // The client is registered.
    let agent = catalog.agent(&outcome.client).ok_or(ClientReason::Stranger)?.clone();
    // `client_id` names no other. With an attestation it may be the SPIFFE ID too; there it was judged already.
    if outcome.attested.is_none() && context.client_id.is_some_and(|id| id != outcome.client.as_str()) {
        return Err(ClientReason::ClientIdDiffers);
    }
    let proven = ProvenKeys { certificate: certificate.map(PeerCertificate::thumbprint), dpop: None };
    Ok(IdentifiedClient(AuthenticatedClient { agent, outcome, proven }))
}

impl IdentifiedClient {
    /// This client, if `unspent` passes its login: one that was used before is nobody from here on, whatever else is wrong.
    ///
    /// # Errors
    /// What `unspent` says.
    pub fn unspent<E>(self, unspent: impl FnOnce(&[SingleUse]) -> Result<(), E>) -> Result<UnspentClient, E> {
        unspent(self.0.outcome.single_use.as_slice())?;
        Ok(UnspentClient(self.0))
    }

    /// The client, if it proved the key that its login is bound to, and may act at all.
    #[cfg(test)]
    pub(super) fn confirmed(self) -> Result<AuthenticatedClient, ClientReason> {
        UnspentClient(self.0).confirmed()
    }
}

impl UnspentClient {
    /// This client with the key that the `DPoP` header proves to `endpoint`, where the request has one, if `unspent` passes that
    /// proof.
    ///
    /// # Errors
    /// The first check of RFC 9449 §4.3 that the proof fails, the single use last.
    pub fn prove<E>(
        mut self,
        credentials: &Credentials,
        endpoint: Endpoint<'_>,
        (rules, now): (&DpopRules, Time),
        unspent: impl FnOnce(&[SingleUse]) -> Result<(), E>,
    ) -> Result<Self, ProofError<E>> {
        if let Some(header) = credentials.dpop() {
            let mut proof = dpop::prove(header, endpoint, None, rules, now).map_err(ProofError::Refused)?;
            proof.single_use.share = self.0.share();
            unspent(&[proof.single_use]).map_err(ProofError::Used)?;
            self.0.proven.dpop = Some(proof);
        }
        Ok(self)
    }

    /// The client, if it proved the key that its login is bound to, and may act at all.
    ///
    /// # Errors
    /// `Key`, `Suspended`, `Retired`.
    pub fn confirmed(self) -> Result<AuthenticatedClient, ClientReason> {
        match (self.0.proven.missed(self.0.outcome.confirmation), self.0.agent.status) {
            (Some(missed), _) => Err(ClientReason::Key(missed)),
            (None, Status::Suspended) => Err(ClientReason::Suspended),
            (None, Status::Retired) => Err(ClientReason::Retired),
            (None, Status::Active) => Ok(self.0),
        }
    }

    /// The agent.
    pub fn agent(&self) -> &Arc<Agent> {
        &self.0.agent
    }

    /// True when its login is good for itself; else it counts with the proof of the key that it is bound to, and without that
    /// this may be anybody.
    pub fn is_certain(&self) -> bool {
        self.0.proven.missed(self.0.outcome.confirmation).is_none()
    }

    /// The single-use values without which this is nobody.
    pub fn login_values(&self) -> Vec<SingleUse> {
        self.0.login_values()
    }
}

/// The unverified claims only route: the rules that apply are found by what the token says of itself.
async fn by_assertion(context: &AuthContext<'_>, kind: AssertionKind, text: &str) -> Result<AuthOutcome, ClientReason> {
    let jws = Compact::parse(text).map_err(ClientReason::Jose)?;
    // Before the client is looked up, so that the answer does not depend on it.
    jws.algorithm().map_err(ClientReason::Jose)?;
    let claims = jws.unverified_claims().map_err(ClientReason::Jose)?;
    let (iss, sub) = (claims.text("iss").map_err(ClientReason::Jose)?, claims.text("sub").map_err(ClientReason::Jose)?);
    // A client has its keys registered; also before it is looked up.
    if iss.is_some() && iss == sub && jws.names_key_address() {
        return Err(ClientReason::Jose(JoseReason::HeaderMember));
    }
    let svid = sub.as_deref().is_some_and(attestation::claims_spiffe_id);
    match (kind, svid) {
        (AssertionKind::JwtSpiffe, true) => attestation::spiffe_jwt(context, &jws).await,
        (AssertionKind::JwtSpiffe, false) => Err(ClientReason::JwtAsSvid),
        (AssertionKind::JwtBearer, true) => Err(ClientReason::SvidAsJwt),
        (AssertionKind::JwtBearer, false) => {
            let login = async || match private_key_jwt::client(context, iss.as_deref(), sub.as_deref()) {
                Some(client) => private_key_jwt::prove(context, &jws, client).await,
                None => attestation::workload_jwt(context, &jws).await,
            };
            if iss == sub { private_key_jwt::alike(context, &jws, login()).await } else { login().await }
        }
    }
}

/// Without any other method the certificate logs in the client that `client_id` names (RFC 8705 §2), or without `client_id` the
/// one that a trust rule's word on it means. Where it logs in nobody, the subject token may, as it could without a certificate.
async fn by_connection(
    context: &AuthContext<'_>,
    certificate: Option<&PeerCertificate>,
    subject_token: Option<&str>,
) -> Result<AuthOutcome, ClientReason> {
    let Some(certificate) = certificate else {
        return attestation::fallback(context, subject_token).await;
    };
    let proved = match context.client_id {
        Some(client_id) => mtls::prove(context, certificate, client_id),
        None => mtls::prove_alone(context, certificate),
    };
    match proved {
        Ok(outcome) => Ok(outcome),
        Err(refused) => attestation::fallback(context, subject_token).await.map_err(|reason| match reason {
            ClientReason::KeysUnavailable(_) => reason,
            _ => refused,
        }),
    }
}

impl AuthenticatedClient {
    /// The agent.
    pub fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }
    /// Its share of what is bounded.
    pub fn share(&self) -> ShareKey {
        ShareKey::of(&self.agent.id)
    }
    /// The method by which it logged in.
    pub fn method(&self) -> AuthMethod {
        self.outcome.method
    }
    /// The running copy of it, as attested.
    pub fn instance(&self) -> Option<&str> {
        self.outcome.instance.as_deref()
    }
    /// The subject of the attestation, where one was the login.
    pub fn attested(&self) -> Option<&Attested> {
        self.outcome.attested.as_ref()
    }
    /// The key that the attestation was bound to by which it logged in, and that it proved.
    pub fn binding(&self) -> Option<Confirmation> {
        self.outcome.confirmation
    }
    /// The RFC 7638 thumbprint of the key it proved.
    pub fn key(&self) -> Option<Digest> {
        self.outcome.key
    }
    /// SHA-256 of the assertion or attestation.
    pub fn evidence(&self) -> Option<Digest> {
        self.outcome.evidence
    }
    /// The verdict of the cluster that issued that, by digest, where it was asked.
    pub fn review(&self) -> Option<Digest> {
        self.outcome.review
    }
    /// The instant at which that was issued; none where nobody issued anything, as for a secret.
    pub fn issued(&self) -> Option<Time> {
        self.outcome.issued
    }
    /// The single-use values of this request, which the commit must spend: the login's and the proof's.
    pub fn spends(&self) -> Vec<SingleUse> {
        self.outcome.single_use.into_iter().chain(self.proven.dpop.map(|proof| proof.single_use)).collect()
    }
    /// The single-use values without which this is nobody: the login's, and the proof's where the login is bound to its key.
    pub fn login_values(&self) -> Vec<SingleUse> {
        let bound = matches!(self.outcome.confirmation, Some(Confirmation::Dpop(_)));
        let proof = self.proven.dpop.filter(|_| bound).map(|proof| proof.single_use);
        self.outcome.single_use.into_iter().chain(proof).collect()
    }
    /// The keys that the request proved, beside its login.
    pub fn proven(&self) -> &ProvenKeys {
        &self.proven
    }
    /// True when the subject token itself served as the login, which allows a self-exchange and nothing else.
    pub fn self_only(&self) -> bool {
        self.outcome.self_only
    }
}

#[cfg(test)]
impl AuthenticatedClient {
    /// A client as if it had proved itself.
    pub(crate) fn for_tests(agent: Arc<Agent>) -> Self {
        let outcome = AuthOutcome::new(agent.id.clone(), AuthMethod::PrivateKeyJwt);
        Self { agent, outcome, proven: ProvenKeys::default() }
    }

    /// This client with these keys proved.
    pub(crate) fn proving(self, proven: ProvenKeys) -> Self {
        Self { proven, ..self }
    }
}

#[cfg(test)]
mod tests;
