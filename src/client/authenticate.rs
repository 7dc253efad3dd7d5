//! One request, one method, one registered agent.

use std::sync::Arc;

use super::credentials::{AssertionKind, Presented};
use super::{
    Attested, AuthMethod, AuthenticatedClient, ClientAuths, ClientReason, Credentials, IdentifiedClient, PeerCertificate,
    ProvenKeys, attestation,
};
use super::{mtls, private_key_jwt, secret, spiffe, workload};
use crate::catalog::{Agent, Catalog};
use crate::crypto::Digest;
use crate::jose::Compact;
use crate::oauth::{ClientId, Confirmation, Issuer, SingleUse, Time};
use crate::trust::TrustStore;

/// What this server is called in the `aud` of a client assertion.
#[derive(Clone, Debug)]
pub struct AssertionAudience {
    /// The issuer identifier: the one name that counts (rfc7523bis §3).
    pub issuer: Issuer,
    /// The address of the token endpoint, for agents whose file allows it.
    pub token_endpoint: String,
}

/// Finds out which agent sent the request. `fallback` is the subject token: without any client authentication it may log in its
/// own subject. Nothing is spent here: the commit spends [`AuthenticatedClient::spends`].
///
/// # Errors
/// Why the client is not authenticated, or that it is but suspended or retired. Whether a client exists is never told to who
/// cannot prove to be it.
pub async fn authenticate(
    logins: &ClientAuths,
    catalog: &Catalog,
    trust: &TrustStore,
    credentials: &Credentials,
    fallback: Option<&str>,
    audience: &AssertionAudience,
    now: Time,
) -> Result<IdentifiedClient, ClientReason> {
    let room = AuthContext { logins, catalog, trust, audience, client_id: credentials.client_id(), now };
    let proof = match credentials.presented()? {
        Presented::Header(header) => secret::basic(header, logins, catalog)?,
        Presented::Secret { client, secret } => secret::post(client, secret, logins, catalog)?,
        Presented::Assertion { kind, text } => assertion(&room, kind, text).await?,
        Presented::Nothing => nothing(&room, credentials.certificate(), fallback).await?,
    };
    let certificate = credentials.certificate().map(PeerCertificate::thumbprint);
    let client = AuthenticatedClient { proven: ProvenKeys { certificate, dpop: None }, ..room.admit(proof)? };
    Ok(IdentifiedClient(client))
}

/// What every method looks at.
pub(super) struct AuthContext<'a> {
    pub(super) logins: &'a ClientAuths,
    pub(super) catalog: &'a Catalog,
    pub(super) trust: &'a TrustStore,
    pub(super) audience: &'a AssertionAudience,
    pub(super) client_id: Option<&'a str>,
    pub(super) now: Time,
}

/// What a method found out: who, and what the proof says besides.
pub(super) struct Proof {
    pub(super) client: ClientId,
    pub(super) method: AuthMethod,
    pub(super) instance: Option<String>,
    pub(super) attested: Option<Attested>,
    pub(super) binding: Option<Confirmation>,
    pub(super) key: Option<Digest>,
    pub(super) evidence: Option<Digest>,
    pub(super) single_use: Option<SingleUse>,
    pub(super) self_only: bool,
}

impl Proof {
    /// A proof that says nothing besides.
    pub(super) fn new(client: ClientId, method: AuthMethod) -> Self {
        let (instance, attested, binding, key, evidence, single_use) = (None, None, None, None, None, None);
        Self { client, method, instance, attested, binding, key, evidence, single_use, self_only: false }
    }
}

/// Without any other method the certificate logs in the client that `client_id` names (RFC 8705 §2), or without `client_id` the
/// one that a trust rule's word on it means. Where it logs in nobody, the subject token may, as it could without a certificate.
async fn nothing(
    room: &AuthContext<'_>,
    certificate: Option<&PeerCertificate>,
    subject_token: Option<&str>,
) -> Result<Proof, ClientReason> {
    let Some(certificate) = certificate else {
        return attestation::fallback(room, subject_token).await;
    };
    let proved = match room.client_id {
        Some(client_id) => mtls::prove(room, certificate, client_id),
        None => mtls::prove_alone(room, certificate),
    };
    match proved {
        Ok(proof) => Ok(proof),
        Err(refused) => attestation::fallback(room, subject_token).await.map_err(|reason| match reason {
            ClientReason::KeysUnavailable(_) => reason,
            _ => refused,
        }),
    }
}

/// The unverified claims only route: whose rules apply is decided by what the token says of itself.
async fn assertion(room: &AuthContext<'_>, kind: AssertionKind, text: &str) -> Result<Proof, ClientReason> {
    let jws = Compact::parse(text).map_err(ClientReason::Jose)?;
    // Before the client is looked up, so that the answer does not depend on it.
    jws.algorithm().map_err(ClientReason::Jose)?;
    let claims = jws.unverified_claims().map_err(ClientReason::Jose)?;
    let (iss, sub) = (claims.text("iss").map_err(ClientReason::Jose)?, claims.text("sub").map_err(ClientReason::Jose)?);
    let svid = sub.as_deref().is_some_and(spiffe::is_spiffe_id);
    match (kind, svid) {
        (AssertionKind::JwtSpiffe, true) => spiffe::prove(room, &jws).await,
        (AssertionKind::JwtSpiffe, false) => Err(ClientReason::JwtAsSvid),
        (AssertionKind::JwtBearer, true) => Err(ClientReason::SvidAsJwt),
        (AssertionKind::JwtBearer, false) => match private_key_jwt::client(room, iss.as_deref(), sub.as_deref()) {
            Some(client) => private_key_jwt::prove(room, &jws, client).await,
            None => workload::prove(room, &jws).await,
        },
    }
}

impl AuthContext<'_> {
    /// The agent as registered. Whether it may act at all is told to who proves to be it.
    fn admit(&self, proof: Proof) -> Result<AuthenticatedClient, ClientReason> {
        let agent = self.catalog.agent(&proof.client).ok_or(ClientReason::Stranger)?;
        self.refuse_other_name(&proof)?;
        Ok(admitted(agent.clone(), proof))
    }

    /// With an attestation `client_id` may be the SPIFFE ID too; there it was judged already.
    fn refuse_other_name(&self, proof: &Proof) -> Result<(), ClientReason> {
        let agrees = proof.attested.is_some() || self.client_id.is_none_or(|id| id == proof.client.as_str());
        if agrees { Ok(()) } else { Err(ClientReason::ClientIdDiffers) }
    }
}

fn admitted(agent: Arc<Agent>, proof: Proof) -> AuthenticatedClient {
    AuthenticatedClient {
        agent,
        method: proof.method,
        instance: proof.instance,
        attested: proof.attested,
        binding: proof.binding,
        key: proof.key,
        evidence: proof.evidence,
        single_use: proof.single_use,
        self_only: proof.self_only,
        proven: ProvenKeys::default(),
    }
}

#[cfg(test)]
mod tests;
