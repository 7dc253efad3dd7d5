//! Logins by the certificate of the connection: `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 §2), and
//! X509-SVIDs (`spiffe_x509`, draft-ietf-oauth-spiffe-client-auth §3.2).

use super::context::{AuthContext, AuthOutcome};
use super::login::CertificateLogin;
use super::{Attested, AuthMethod, CertificateReason, ClientReason, PeerCertificate};
use crate::catalog::Catalog;
use crate::oauth::{ClientId, SpiffeId};
use crate::trust::{TrustKind, TrustReason, VerifiedAssertion};
use crate::x509::{Roots, X509Reason};

/// Proves by its certificate the client that `client_id` names, by its id or by the SPIFFE ID of the certificate.
///
/// # Errors
/// `Certificate`, or `SeveralAgents` when a SPIFFE ID fits several.
pub(super) fn prove(
    context: &AuthContext<'_>,
    certificate: &PeerCertificate,
    client_id: &str,
) -> Result<AuthOutcome, ClientReason> {
    certificate.check_dates(context.now).map_err(CertificateReason::Itself)?;
    judge(context, certificate, client_id).map_err(|refused| match (refused, unjudged(context, certificate)) {
        (refused @ ClientReason::KeysUnavailable(_), _) | (refused, None) => refused,
        (_, Some(reason)) => ClientReason::KeysUnavailable(reason),
    })
}

/// Why nobody can judge the certificate now, if that is so of a rule or of an authority that it names. Whoever is refused is
/// judged by those too, so that a refusal costs and tells the same whether there is such a client and however it logs in.
fn unjudged(context: &AuthContext<'_>, certificate: &PeerCertificate) -> Option<TrustReason> {
    let by_a_rule = certificate.assertion(context.trust, context.now).err();
    let by_an_authority = context.logins.stand_in(certificate).and_then(|roots| certificate.validated(roots, context.now).err());
    let list = by_an_authority.filter(|reason| *reason == X509Reason::ListExpired).map(|_| TrustReason::ListExpired);
    by_a_rule.filter(TrustReason::is_no_verdict).or(list)
}

fn judge(context: &AuthContext<'_>, certificate: &PeerCertificate, client_id: &str) -> Result<AuthOutcome, ClientReason> {
    let workload = SpiffeId::parse(client_id).ok().filter(|_| !is_agent(context.catalog, client_id));
    let client = match &workload {
        Some(id) => match context.logins.agents_of_svid(id).as_slice() {
            [] => return Err(CertificateReason::Stranger.into()),
            [one] => ClientId::clone(one),
            _ => return Err(ClientReason::SeveralAgents),
        },
        None => ClientId::parse(client_id).map_err(|_| CertificateReason::Stranger)?,
    };
    let mut refused = CertificateReason::Stranger;
    let logins = context.logins.certificates_of(&client).iter();
    for login in logins.filter(|login| workload.is_none() || login.method() == AuthMethod::SpiffeX509) {
        match check(login, context, certificate, workload.as_ref()) {
            Ok(assertion) => return Ok(outcome(client, login.method(), certificate, assertion.as_ref())),
            // Whoever cannot judge now says nothing against the agent's other logins.
            Err(_) if refused.is_no_verdict() => {}
            Err(reason) => refused = reason,
        }
    }
    Err(refused.into())
}

/// Proves by its certificate the one agent that it means, where no `client_id` says which: by the trust rule that accepts the
/// certificate, as with any other attestation. Who logs in by a registered certificate, or by one of an authority, must say
/// who it is (RFC 8705 §2).
///
/// # Errors
/// `CertificateAlone`, or `SeveralAgents` when it fits several; `Certificate` for what the certificate says against itself.
pub(super) fn prove_alone(context: &AuthContext<'_>, certificate: &PeerCertificate) -> Result<AuthOutcome, ClientReason> {
    certificate.check_dates(context.now).map_err(CertificateReason::Itself)?;
    let assertion = certificate.assertion(context.trust, context.now).map_err(|reason| match reason {
        reason if reason.is_no_verdict() => ClientReason::KeysUnavailable(reason),
        reason => ClientReason::CertificateAlone(CertificateReason::Rule(reason)),
    })?;
    let method = match assertion.rule().kind() {
        TrustKind::Spiffe => AuthMethod::SpiffeX509,
        _ => AuthMethod::WorkloadX509,
    };
    match context.logins.agents_of_certificate(&assertion).as_slice() {
        [] => Err(ClientReason::CertificateAlone(CertificateReason::Stranger)),
        [one] => Ok(outcome(ClientId::clone(one), method, certificate, Some(&assertion))),
        _ => Err(ClientReason::SeveralAgents),
    }
}

fn is_agent(catalog: &Catalog, name: &str) -> bool {
    ClientId::parse(name).is_ok_and(|id| catalog.agent(&id).is_some())
}

fn outcome(
    client: ClientId,
    method: AuthMethod,
    certificate: &PeerCertificate,
    assertion: Option<&VerifiedAssertion>,
) -> AuthOutcome {
    AuthOutcome {
        instance: assertion.and_then(VerifiedAssertion::instance).map(str::to_owned),
        attested: assertion.map(Attested::from),
        key: certificate.key(),
        evidence: Some(certificate.thumbprint()),
        issued: assertion.map(VerifiedAssertion::issued),
        ..AuthOutcome::new(client, method)
    }
}

/// The assertion of a trust rule, where one accepts a certificate that serves this login.
fn check(
    login: &CertificateLogin,
    context: &AuthContext<'_>,
    certificate: &PeerCertificate,
    workload: Option<&SpiffeId>,
) -> Result<Option<VerifiedAssertion>, CertificateReason> {
    match login {
        CertificateLogin::Authority { roots, name } => {
            let leaf = certificate.validated(roots, context.now).map_err(CertificateReason::Chain)?;
            if name.is_of(&leaf) { Ok(None) } else { Err(CertificateReason::Name) }
        }
        CertificateLogin::Registered { certificates, keys } => {
            let key = certificate.key();
            let known = certificates.contains(&certificate.thumbprint()) || key.is_some_and(|key| keys.contains(&key));
            if known { Ok(None) } else { Err(CertificateReason::Unregistered) }
        }
        CertificateLogin::Svid { id } => {
            let svid = certificate.assertion(context.trust, context.now).map_err(CertificateReason::Svid)?;
            let named = svid.spiffe_id().filter(|_| svid.rule().kind() == TrustKind::Spiffe);
            let fits = |named: &SpiffeId| id.matches(named) && workload.is_none_or(|wanted| wanted == named);
            if named.as_ref().is_some_and(fits) { Ok(Some(svid)) } else { Err(CertificateReason::SvidOther) }
        }
        CertificateLogin::Rule { rule, .. } => {
            let validated = |roots: &Roots| certificate.validated(roots, context.now);
            let verified = context.trust.verify_path_under(rule, context.now, &validated);
            let assertion = verified.map_err(CertificateReason::Rule)?;
            if login.fits(&assertion) { Ok(Some(assertion)) } else { Err(CertificateReason::Name) }
        }
    }
}

#[cfg(test)]
mod tests;
