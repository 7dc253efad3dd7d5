//! Logins by the certificate of the connection: `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 §2), and X509-SVIDs
//! (`spiffe_x509`, draft-ietf-oauth-spiffe-client-auth §3.2).

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::authenticate::{AuthContext, Proof};
use super::{Attested, AuthMethod, CertificateName, ClientReason, PeerCertificate, spiffe};
use crate::catalog::Catalog;
use crate::crypto::Digest;
use crate::oauth::{ClientId, RuleName};
use crate::trust::x509::{Roots, X509Reason};
use crate::trust::{Requirement, SpiffeId, SpiffePattern, TrustKind, TrustReason, VerifiedAssertion};

/// A way in which an agent logs in by certificate.
#[derive(Debug)]
pub(super) enum CertificateLogin {
    /// Issued by an authority, and with one name (RFC 8705 §2.1).
    Authority { roots: Arc<Roots>, name: CertificateName },
    /// Registered as it is, or by its key (RFC 8705 §2.2).
    Registered { certificates: Vec<Digest>, keys: Vec<Digest> },
    /// An X509-SVID.
    Svid { id: SpiffePattern },
    /// What a trust rule of kind `x509` vouches for, and of it what says all this.
    Rule { rule: RuleName, matchers: Vec<Requirement> },
}

/// Why a certificate logs in nobody. Only the log tells: in an answer it would tell which clients there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateReason {
    /// The certificate itself has expired, does not count yet, or cannot be read. That is told.
    Itself(X509Reason),
    /// No agent of that name, or SPIFFE ID, logs in by certificate.
    Stranger,
    /// No path leads to the authority of the agent.
    Chain(X509Reason),
    /// The authority issued it, but it has not the name that the agent's file says.
    Name,
    /// It is none that is registered for the agent.
    Unregistered,
    /// The rule of the trust domain refuses it.
    Svid(TrustReason),
    /// The trust rule of kind `x509` refuses it.
    Rule(TrustReason),
    /// It is the X509-SVID of another workload than the agent's file, or `client_id`, says.
    SvidOther,
}

/// Proves by its certificate the client that `client_id` names, by its id or by the SPIFFE ID of the certificate.
///
/// # Errors
/// `Certificate`, or `SeveralAgents` when a SPIFFE ID fits several.
pub(super) fn prove(room: &AuthContext<'_>, certificate: &PeerCertificate, client_id: &str) -> Result<Proof, ClientReason> {
    certificate.check_dates(room.now).map_err(CertificateReason::Itself)?;
    let workload = SpiffeId::parse(client_id).ok().filter(|_| !is_agent(room.catalog, client_id));
    let client = match &workload {
        Some(id) => match room.logins.agents_of_svid(id).as_slice() {
            [] => return Err(CertificateReason::Stranger.into()),
            [one] => ClientId::clone(one),
            _ => return Err(ClientReason::SeveralAgents),
        },
        None => ClientId::parse(client_id).map_err(|_| CertificateReason::Stranger)?,
    };
    let mut refused = CertificateReason::Stranger;
    let logins = room.logins.certificates_of(&client).iter();
    for login in logins.filter(|login| workload.is_none() || login.method() == AuthMethod::SpiffeX509) {
        match login.prove(room, certificate, workload.as_ref()) {
            Ok(svid) => return Ok(proof(client, login.method(), certificate, svid)),
            // Whoever cannot judge now says nothing against the agent's other logins.
            Err(_) if refused.is_no_verdict() => {}
            Err(reason) => refused = reason,
        }
    }
    Err(refused.into())
}

/// Proves by its certificate the one agent that it means, where no `client_id` says which: by the trust rule that vouches for
/// the certificate, as with any other attestation. Who logs in by a registered certificate, or by one of an authority, must say
/// who it is (RFC 8705 §2).
///
/// # Errors
/// `CertificateAlone`, or `SeveralAgents` when it fits several; `Certificate` for what the certificate says against itself.
pub(super) fn prove_alone(room: &AuthContext<'_>, certificate: &PeerCertificate) -> Result<Proof, ClientReason> {
    certificate.check_dates(room.now).map_err(CertificateReason::Itself)?;
    let vouched = certificate.vouched(room.trust, room.now).map_err(|reason| match reason {
        reason if reason.is_no_verdict() => ClientReason::KeysUnavailable(reason),
        reason => ClientReason::CertificateAlone(CertificateReason::Rule(reason)),
    })?;
    let method = match vouched.rule().kind() {
        TrustKind::Spiffe => AuthMethod::SpiffeX509,
        _ => AuthMethod::WorkloadX509,
    };
    match room.logins.agents_of_certificate(&vouched).as_slice() {
        [] => Err(ClientReason::CertificateAlone(CertificateReason::Stranger)),
        [one] => Ok(proof(ClientId::clone(one), method, certificate, Some(vouched))),
        _ => Err(ClientReason::SeveralAgents),
    }
}

fn is_agent(catalog: &Catalog, name: &str) -> bool {
    ClientId::parse(name).is_ok_and(|id| catalog.agent(&id).is_some())
}

fn proof(client: ClientId, method: AuthMethod, certificate: &PeerCertificate, svid: Option<VerifiedAssertion>) -> Proof {
    let attested = |svid: &VerifiedAssertion| Attested {
        rule: svid.rule().name().clone(),
        id: svid.id().to_owned(),
        expires: svid.expires(),
    };
    Proof {
        instance: svid.as_ref().and_then(VerifiedAssertion::instance).map(str::to_owned),
        attested: svid.as_ref().map(attested),
        key: certificate.key(),
        evidence: Some(certificate.thumbprint()),
        ..Proof::new(client, method)
    }
}

impl CertificateLogin {
    /// How it is called.
    pub(super) fn method(&self) -> AuthMethod {
        match self {
            Self::Authority { .. } => AuthMethod::TlsClientAuth,
            Self::Registered { .. } => AuthMethod::SelfSignedTls,
            Self::Svid { .. } => AuthMethod::SpiffeX509,
            Self::Rule { .. } => AuthMethod::WorkloadX509,
        }
    }

    /// Whether the login is for what a trust rule of kind `x509` vouches for.
    pub(super) fn fits(&self, vouched: &VerifiedAssertion) -> bool {
        match self {
            Self::Rule { rule, matchers } => {
                rule == vouched.rule().name() && matchers.iter().all(|matcher| matcher.holds(vouched.claims()))
            }
            _ => false,
        }
    }

    /// What was vouched for, where somebody vouches for a certificate that serves.
    fn prove(
        &self,
        room: &AuthContext<'_>,
        certificate: &PeerCertificate,
        workload: Option<&SpiffeId>,
    ) -> Result<Option<VerifiedAssertion>, CertificateReason> {
        match self {
            Self::Authority { roots, name } => {
                let leaf = certificate.validated(roots, room.now).map_err(CertificateReason::Chain)?;
                if name.is_of(&leaf) { Ok(None) } else { Err(CertificateReason::Name) }
            }
            Self::Registered { certificates, keys } => {
                let key = certificate.key();
                let known = certificates.contains(&certificate.thumbprint()) || key.is_some_and(|key| keys.contains(&key));
                if known { Ok(None) } else { Err(CertificateReason::Unregistered) }
            }
            Self::Svid { id } => {
                let svid = certificate.vouched(room.trust, room.now).map_err(CertificateReason::Svid)?;
                let named = spiffe::id_of(&svid).filter(|_| svid.rule().kind() == TrustKind::Spiffe);
                let fits = |named: &SpiffeId| id.matches(named) && workload.is_none_or(|wanted| wanted == named);
                if named.as_ref().is_some_and(fits) { Ok(Some(svid)) } else { Err(CertificateReason::SvidOther) }
            }
            Self::Rule { rule, .. } => {
                let validated = |roots: &Roots| certificate.validated(roots, room.now);
                let vouched = room.trust.vouch_leaf(rule, room.now, validated).map_err(CertificateReason::Rule)?;
                if self.fits(&vouched) { Ok(Some(vouched)) } else { Err(CertificateReason::Name) }
            }
        }
    }
}

impl CertificateReason {
    fn is_no_verdict(&self) -> bool {
        match self {
            Self::Svid(reason) | Self::Rule(reason) => reason.is_no_verdict(),
            Self::Chain(reason) => *reason == X509Reason::ListExpired,
            _ => false,
        }
    }
}

impl From<CertificateReason> for ClientReason {
    fn from(reason: CertificateReason) -> Self {
        match reason {
            CertificateReason::Svid(reason) | CertificateReason::Rule(reason) if reason.is_no_verdict() => {
                Self::KeysUnavailable(reason)
            }
            CertificateReason::Chain(X509Reason::ListExpired) => Self::KeysUnavailable(TrustReason::ListExpired),
            reason => Self::Certificate(reason),
        }
    }
}

/// For the log, except where a certificate speaks against itself.
impl fmt::Display for CertificateReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Itself(reason) => reason.fmt(f),
            Self::Stranger => f.write_str("no agent of that client_id logs in by certificate"),
            Self::Chain(reason) => write!(f, "the authority of the agent's login does not vouch for it: {reason}"),
            Self::Name => f.write_str("it has not the name that the agent's login says"),
            Self::Unregistered => f.write_str("neither it nor its key is registered for the agent"),
            Self::Svid(reason) => write!(f, "it is no X509-SVID that logs in: {reason}"),
            Self::Rule(reason) => write!(f, "its trust rule refuses it: {reason}"),
            Self::SvidOther => f.write_str("it is the X509-SVID of another workload"),
        }
    }
}

impl Error for CertificateReason {}

#[cfg(test)]
mod tests;
