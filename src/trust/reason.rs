//! Why a foreign token or certificate is refused.

use std::fmt;

use super::ConfirmationReason;
use crate::jose::JoseReason;
use crate::keys::KeysUnavailable;
use crate::x509::X509Reason;

/// Why a foreign token is refused, in the order of the checks. `Display` is a public sentence: it never says which issuers,
/// audiences or values are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrustReason {
    /// No rule is for the token's issuer or trust domain.
    Issuer,
    /// The rule for it is switched off.
    Disabled,
    /// `typ` says that it is something else.
    Typ,
    /// `typ` is none that the rule takes for access tokens.
    AccessTyp,
    /// `typ` is not that of a client attestation.
    AttestationTyp,
    /// An identity assertion grant that does not say so by its `typ`.
    IdJagTyp,
    /// A header member that JWT-SVIDs may not have (SPIFFE JWT-SVID §2).
    HeaderMember,
    /// A foreign access token, which needs a rule of kind `oauth`.
    AccessToken,
    /// A logout token or security event.
    Event,
    /// `sub` is no SPIFFE ID of a workload.
    SpiffeId,
    /// The named claim has characters that cannot be seen.
    Unprintable(&'static str),
    /// Not what its platform gives to a workload.
    Platform(PlatformReason),
    /// No `exp`.
    NoExpiry,
    /// `exp` has passed.
    Expired,
    /// `iat` or `nbf` is more than a minute ahead.
    Early,
    /// It lives longer than the rule allows.
    Lifetime,
    /// The JWS or a claim's type is wrong, or the signature does not verify.
    Jose(JoseReason),
    /// The certificate chain proves nothing.
    Certificate(X509Reason),
    /// `aud` does not name us.
    Audience,
    /// It is bound to a key in a way that is not understood.
    Confirmation(ConfirmationReason),
    /// A claim that the rule requires is absent or has another value.
    Requirement,
    /// A claim that makes up the subject's id is absent or unusable.
    SubjectId,
    /// A claim that makes up the instance is absent or unusable.
    Instance,
    /// More than one rule vouches for it.
    Ambiguous,
    /// The cluster that issued it says that it stands for nobody any more, or for somebody else than it says.
    Review,
    /// The revocation list by which a certificate would be judged is out of date: no verdict.
    ListExpired,
    /// The cluster that issued it cannot be asked now: no verdict.
    ReviewUnavailable,
    /// The issuer's keys cannot be had now: no verdict, which is not a refusal.
    KeysUnavailable,
}

/// Why a token is not what its platform gives to a workload. `Display` is a public sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlatformReason {
    /// A claim that the platform always writes is missing or of another type.
    Claim(&'static str),
    /// `sub` is not of the platform's grammar.
    Subject,
    /// `sub` and the other claims say different things.
    Contradiction,
    /// For the platform itself, or for everybody.
    Audience,
    /// Of a kind that was never meant to leave the platform: a legacy token, or one for another API.
    Legacy,
    /// A person's.
    Person,
    /// From a pull or merge request, whose code may be anybody's.
    PullRequest,
    /// From the build of a tag, where the rule decides by the branch.
    Tag,
    /// From a fork.
    Fork,
    /// Another tenant's.
    Tenant,
    /// An ID token where an access token is wanted.
    IdToken,
    /// Not marked as the access tokens of its issuer are.
    Unmarked,
    /// No claim, or claims that differ, for the client that obtained it.
    Client,
    /// Its scopes are neither a text nor a list of texts.
    Scopes,
}

impl TrustReason {
    /// True when nobody can tell now, so that the answer is to come back and not that it is refused.
    pub fn is_no_verdict(&self) -> bool {
        matches!(self, Self::ListExpired | Self::ReviewUnavailable | Self::KeysUnavailable)
    }
}

impl From<JoseReason> for TrustReason {
    fn from(reason: JoseReason) -> Self {
        Self::Jose(reason)
    }
}

impl From<X509Reason> for TrustReason {
    fn from(reason: X509Reason) -> Self {
        match reason {
            X509Reason::ListExpired => Self::ListExpired,
            reason => Self::Certificate(reason),
        }
    }
}

impl From<KeysUnavailable> for TrustReason {
    fn from(_: KeysUnavailable) -> Self {
        Self::KeysUnavailable
    }
}

impl fmt::Display for TrustReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Issuer | Self::Disabled => "the issuer of the token is not trusted here; a trust rule must name it",
            Self::Typ => "the typ of the token says that it is not an identity token or attestation",
            Self::AccessTyp => concat!(
                "the typ of the token is none that its trust rule takes for access tokens; ",
                "provider or [access_token] in the rule's file says which there are"
            ),
            Self::IdJagTyp => "the typ of an identity assertion grant is oauth-id-jag+jwt",
            Self::AttestationTyp => "the typ of a client attestation is oauth-client-attestation+jwt, and it is sent by itself",
            Self::HeaderMember => "the header of a JWT-SVID may have alg, kid and typ only",
            Self::AccessToken => concat!(
                "the token is an access token of another server, by its scope or scp; a trust rule of kind oauth takes it, ",
                "where provider or [access_token] tells its form"
            ),
            Self::Event => "the token reports an event and identifies nobody",
            Self::SpiffeId => "the sub of the token is not the SPIFFE ID of a workload",
            Self::Unprintable(claim) => {
                return write!(f, "the claim {claim} of the token has control, invisible or direction characters");
            }
            Self::Platform(reason) => return reason.fmt(f),
            Self::Certificate(reason) => return reason.fmt(f),
            Self::Confirmation(reason) => return reason.fmt(f),
            Self::NoExpiry => "the token has no exp",
            Self::Expired => "the token has expired",
            Self::Early => "the iat or nbf of the token is too far in the future",
            Self::Lifetime => "the token lives longer than its trust rule allows",
            Self::Jose(reason) => return reason.fmt(f),
            Self::Audience => "the aud of the token does not name this server",
            Self::Requirement => "the claims of the token do not meet its trust rule",
            Self::SubjectId => "a claim that its trust rule takes the subject from is missing or unusable in the token",
            Self::Instance => "a claim that its trust rule takes the instance from is missing or unusable in the token",
            Self::Ambiguous => "more than one trust rule accepts the token",
            Self::Review => {
                "the cluster that issued the token does not vouch for it any more; its pod or service account may be gone"
            }
            Self::ReviewUnavailable => {
                "the cluster that issued the token cannot be asked about it at the moment; try again later"
            }
            Self::ListExpired => return X509Reason::ListExpired.fmt(f),
            Self::KeysUnavailable => "the keys of the issuer of the token cannot be had at the moment; try again later",
        })
    }
}

impl fmt::Display for PlatformReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claim(name) => return write!(f, "the claim {name} is missing, or not what its platform writes"),
            Self::Subject => "the sub of the token is not one that its platform writes for a workload",
            Self::Contradiction => "the sub of the token contradicts its other claims",
            Self::Audience => {
                "the aud of the token names its own platform or everybody; ask the platform for a token for this server"
            }
            Self::Legacy => "the token is of a kind that is not meant for others; ask the platform for a token for this server",
            Self::Person => "the token is a person's, and its trust rule is about workloads",
            Self::PullRequest => "the token comes from a pull or merge request, which its trust rule does not admit",
            Self::Tag => "the token comes from the build of a tag, and its trust rule is about branches",
            Self::Fork => "the token comes from a fork",
            Self::Tenant => "the tid of the token is not the tenant of its issuer",
            Self::IdToken => "the token is an ID token, and its trust rule is about access tokens",
            Self::Unmarked => "the token has not the claims by which its trust rule knows access tokens",
            Self::Client => "no claim that its trust rule looks at says which client obtained the token, or several differ",
            Self::Scopes => "the scopes of the token are neither a text nor a list of texts",
        })
    }
}

impl std::error::Error for PlatformReason {}

impl std::error::Error for TrustReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Jose(reason) => Some(reason),
            Self::Platform(reason) => Some(reason),
            Self::Certificate(reason) => Some(reason),
            Self::Confirmation(reason) => Some(reason),
            _ => None,
        }
    }
}
