//! Why a client did not prove itself.

use std::error::Error;
use std::fmt;

use super::claim::kind_of;
use super::{ClientAttestationReason, MissingProof};
use crate::jose::JoseReason;
use crate::trust::{TrustReason, TrustRefusal};
use crate::x509::X509Reason;

/// Why a client is not authenticated. The sentences about keys, secrets and clients do not tell whether a client exists;
/// `source` does, for the log.
#[derive(Debug)]
pub enum ClientReason {
    /// No client authentication, and no subject token that could take its place.
    Missing,
    /// No client authentication, and the subject token does not log anybody in, for the reason inside.
    MissingAttestation(Box<ClientReason>),
    /// Two methods in one request (RFC 6749 §2.3).
    Several,
    /// A parameter that may come once came more often (RFC 6749 §3.2).
    Repeated(&'static str),
    /// An `Authorization` header of another scheme than `Basic`.
    Scheme,
    /// An unknown client, a wrong secret, or one sent in a way that is not this client's.
    Secret,
    /// `client_secret` without `client_id`.
    ClientIdMissing,
    /// `client_id` names somebody else than the credential does.
    ClientIdDiffers,
    /// `client_assertion_type` is missing or unknown.
    AssertionType,
    /// `client_assertion_type` without `client_assertion`.
    AssertionMissing,
    /// The assertion is not a JWS that we read.
    Jose(JoseReason),
    /// No registered key of the client verifies the assertion.
    Unproven(JoseReason),
    /// No client and no issuer of that name is registered. Who asks cannot tell it from `Unproven`.
    Stranger,
    /// The client's keys cannot be had at the moment where it publishes them. Who asks cannot tell it from `Unproven`.
    KeysUnpublished,
    /// The assertion's claims break a rule.
    Assertion(AssertionReason),
    /// A JWT-SVID sent as `jwt-bearer`.
    SvidAsJwt,
    /// Something else than a JWT-SVID sent as `jwt-spiffe`.
    JwtAsSvid,
    /// No trust rule accepts the attestation.
    Trust(TrustRefusal),
    /// The keys that would verify the attestation cannot be had at the moment: not the client's fault.
    KeysUnavailable(TrustReason),
    /// The attestation is genuine but logs in no agent.
    NoAgent,
    /// The attestation or certificate logs in several agents, and `client_id` does not say which.
    SeveralAgents,
    /// The client attestation or its proof does not log in.
    Attestation(ClientAttestationReason),
    /// The certificate of the connection does not log in the client that `client_id` names.
    Certificate(CertificateReason),
    /// The attestation is bound to a key that the request did not prove.
    Key(MissingProof),
    /// Without `client_id` the certificate of the connection logs in nobody.
    CertificateAlone(CertificateReason),
    /// The agent proved itself but is suspended.
    Suspended,
    /// The agent proved itself but is retired.
    Retired,
    /// The credential was issued before something that it vouches for was ended.
    Outdated,
}

/// The rule that the claims of a client assertion break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssertionReason {
    /// An explicit `typ` of another kind of token (RFC 8725 §3.11).
    Typ,
    /// `iss` or `sub` is missing, or they differ (RFC 7523 §3).
    Subject,
    /// `aud` is not the issuer identifier alone (rfc7523bis §3).
    Audience,
    /// `aud` is neither the issuer identifier nor the token endpoint, alone.
    AudienceOrEndpoint,
    /// `aud` of an attestation is not one of its rule's audiences, alone.
    AttestationAudience,
    /// No `exp`.
    ExpiryMissing,
    /// `exp` has passed.
    Expired,
    /// Lives longer than an hour.
    Lifetime,
    /// `iat` or `nbf` lies more than 60 s ahead.
    Ahead,
    /// No `jti`.
    JtiMissing,
    /// `jti` is empty or longer than 255 bytes.
    JtiLength,
    /// A claim has the wrong JSON type.
    ClaimType(&'static str),
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

impl ClientReason {
    /// The fault of the attestation itself, whichever parameter it came in. It is told to whoever holds it, and is about
    /// its own claims.
    fn of_attestation(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jose(reason) => fmt::Display::fmt(reason, f),
            Self::Trust(refused) => fmt::Display::fmt(refused, f),
            Self::Assertion(reason) => fmt::Display::fmt(reason, f),
            Self::NoAgent => f.write_str(concat!(
                "it is genuine but logs in no registered agent; ",
                "a [[login]] of an agent's file whose spiffe_id or match fits it would"
            )),
            other => fmt::Display::fmt(other, f),
        }
    }

    /// The meaning of a trust rule's refusal for a login.
    pub(super) fn of_trust(refused: TrustRefusal) -> Self {
        match refused.reason() {
            reason if reason.is_no_verdict() => Self::KeysUnavailable(reason),
            _ => Self::Trust(refused),
        }
    }
}

impl CertificateReason {
    /// True when nobody can tell now.
    pub(super) fn is_no_verdict(&self) -> bool {
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

impl From<ClientAttestationReason> for ClientReason {
    fn from(reason: ClientAttestationReason) -> Self {
        Self::Attestation(reason)
    }
}

impl From<AssertionReason> for ClientReason {
    fn from(reason: AssertionReason) -> Self {
        Self::Assertion(reason)
    }
}

const UNPROVEN: &str = concat!(
    "client_assertion: no registered key of the client named by iss and sub verifies it, ",
    "or there is no such client or trusted issuer; check iss, sub, kid, alg and the key, ",
    "and if the client publishes its keys try again in a few seconds"
);

const OUTDATED: &str = concat!(
    "the credential was issued before the agent, or something else that it vouches for, was ended; ",
    "get a new one, a minute after that or later"
);

impl fmt::Display for ClientReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingAttestation(reason) => {
                f.write_str("client authentication is required; subject_token does not log in its workload: ")?;
                return reason.of_attestation(f);
            }
            Self::Missing => {
                concat!(
                    "client authentication is required: send client_assertion and client_assertion_type, a client certificate ",
                    "with client_id, or a client secret"
                )
            }
            Self::Several => concat!(
                "one request must use one method of client authentication: ",
                "the Authorization header, client_secret, client_assertion or OAuth-Client-Attestation"
            ),
            Self::Repeated(name) => return write!(f, "{name} must not be repeated"),
            Self::Scheme => "the Authorization header: the only scheme for client authentication here is Basic",
            Self::Secret => concat!(
                "the client is unknown, its secret is wrong, or it must authenticate in another way; ",
                "check client_id and client_secret"
            ),
            Self::ClientIdMissing => "client_secret must come with client_id",
            Self::ClientIdDiffers => "client_id must name the client that the credential proves, or be left out",
            Self::AssertionType => concat!(
                "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer, ",
                "or urn:ietf:params:oauth:client-assertion-type:jwt-spiffe for a JWT-SVID"
            ),
            Self::AssertionMissing => "client_assertion is required with client_assertion_type",
            Self::Jose(_) | Self::Assertion(_) | Self::Trust(_) | Self::NoAgent => {
                f.write_str("client_assertion: ")?;
                return self.of_attestation(f);
            }
            Self::Unproven(_) | Self::Stranger | Self::KeysUnpublished => UNPROVEN,
            Self::SvidAsJwt => {
                "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-spiffe for a JWT-SVID"
            }
            Self::JwtAsSvid => concat!(
                "client_assertion: only a JWT-SVID, whose sub is a SPIFFE ID, goes with jwt-spiffe; ",
                "use urn:ietf:params:oauth:client-assertion-type:jwt-bearer for other JWTs"
            ),
            Self::KeysUnavailable(reason @ TrustReason::ListExpired) => return write!(f, "the client certificate: {reason}"),
            Self::KeysUnavailable(reason @ TrustReason::ReviewUnavailable) => return reason.fmt(f),
            Self::KeysUnavailable(_) => "the keys that verify the attestation cannot be had at the moment; try again later",
            Self::Attestation(reason) => return reason.fmt(f),
            Self::SeveralAgents => "the credential fits several agents; send the id of one of them as client_id",
            Self::Certificate(CertificateReason::Itself(reason)) => return write!(f, "the client certificate: {reason}"),
            Self::Certificate(_) => concat!(
                "the client certificate does not log in the client that client_id names, or there is no such client; check ",
                "client_id, and in the agent's file tls_client_auth (authority and name), self_signed_tls_client_auth, ",
                "spiffe_x509 or workload_x509"
            ),
            Self::CertificateAlone(_) => "the client certificate alone does not say which agent logs in; send client_id with it",
            Self::Key(missed) => return write!(f, "the attestation that logs in {missed}"),
            Self::Suspended => "the agent is suspended; its owner or an operator can resume it (status in the agent's file)",
            Self::Retired => "the agent is retired and will not act again; register another",
            Self::Outdated => OUTDATED,
        })
    }
}

impl Error for ClientReason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::MissingAttestation(reason) => Some(&**reason),
            Self::Jose(reason) | Self::Unproven(reason) => Some(reason),
            Self::Trust(refused) => Some(refused),
            Self::KeysUnavailable(reason) => Some(reason),
            Self::Assertion(reason) => Some(reason),
            Self::Attestation(reason) => reason.source(),
            Self::Certificate(reason) | Self::CertificateAlone(reason) => Some(reason),
            _ => None,
        }
    }
}

impl fmt::Display for AssertionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Typ => "typ must be client-authentication+jwt or JWT, or be left out",
            Self::Subject => "iss and sub must both be the client_id",
            Self::Audience => concat!(
                "aud must be the issuer identifier of this server alone; ",
                "assertion_audience in the agent's file can allow the token endpoint instead"
            ),
            Self::AudienceOrEndpoint => "aud must be the issuer identifier of this server alone, or its token endpoint alone",
            Self::AttestationAudience => {
                "aud must be one audience of this server alone, of those in audiences of the trust rule's file"
            }
            Self::ExpiryMissing => "exp is required",
            Self::Expired => "it has expired; sign a new one for each request, and check the clock that signed it",
            Self::Lifetime => "exp must lie at most an hour after iat, or after now without iat",
            Self::Ahead => "iat and nbf must lie at most 60 seconds ahead; check the clock that signed it",
            Self::JtiMissing => "jti is required, a new one for each assertion, because each is accepted once",
            Self::JtiLength => "jti must have 1 to 255 bytes",
            Self::ClaimType(claim) => return write!(f, "the claim {claim} must be {}", kind_of(claim)),
        })
    }
}

impl Error for AssertionReason {}

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
