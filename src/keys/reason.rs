//! Why keys were not refreshed, and that there are none.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use ::spiffe::WorkloadApiError;
use tokio::task::JoinError;
use url::Url;

use super::{Older, TrustBundleReason};
use crate::jose::KeySetReason;
use crate::net::FetchReason;

/// No key of an issuer is fresh enough: no verdict, which is not a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysUnavailable;

/// Why a refresh brought no keys. For logs: an issuer's address is not for callers.
#[derive(Debug)]
pub enum RefreshReason {
    /// No document was fetched.
    Fetch(FetchReason),
    /// Discovery metadata that is no JSON object of unique members, or has no `issuer` or `jwks_uri`.
    Metadata,
    /// Discovery metadata of that issuer, where another was asked for.
    OtherIssuer(String),
    /// Discovery names that address for its keys, on a host that the rule does not name.
    Host(Url),
    /// A bundle that is older than one that was seen, or does not say how old it is.
    RolledBack(Older),
    /// The runtime stopped before a bundle could be compared with those that were seen, or that task failed.
    Unadmitted(JoinError),
    /// The key set itself.
    KeySet(KeySetReason),
    /// The bundle itself.
    Bundle(TrustBundleReason),
    /// The SPIFFE Workload API gives nothing, or something else than bundles.
    Workload(WorkloadApiError),
    /// The SPIFFE Workload API does not answer.
    Silent,
    /// The file with the token for the fetch cannot be used, for that reason.
    TokenFile(PathBuf, String),
}

impl RefreshReason {
    /// True when the agent has taken back all bundles (SPIFFE Workload API §5.2.2 and §6.2.2).
    pub(super) fn is_denial(&self) -> bool {
        matches!(self, Self::Workload(WorkloadApiError::PermissionDenied(_) | WorkloadApiError::NoIdentityIssued))
    }
}

impl From<FetchReason> for RefreshReason {
    fn from(reason: FetchReason) -> Self {
        Self::Fetch(reason)
    }
}

impl fmt::Display for RefreshReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(reason) if reason.is_forbidden() => write!(f, "{reason}; a trust rule names networks in keys.networks"),
            Self::Fetch(reason) => reason.fmt(f),
            Self::Metadata => f.write_str("the discovery document is no JSON object with the texts issuer and jwks_uri"),
            Self::OtherIssuer(named) => write!(
                f,
                "the discovery document names the issuer {named}, which is not the issuer of the rule: both must be the same to \
                 the letter"
            ),
            Self::Host(uri) => {
                let (host, port) = (uri.host_str().unwrap_or_default(), uri.port().map(|port| format!(":{port}")));
                let (host, scheme) = (format!("{host}{}", port.unwrap_or_default()), uri.scheme());
                write!(f, "the discovery document puts the keys on a host that the rule does not name ({scheme}://{host}); ")?;
                write!(f, "if they belong there, add \"{host}\" to keys.hosts")
            }
            Self::RolledBack(older) => older.fmt(f),
            Self::Unadmitted(error) => {
                write!(f, "the version of the bundle could not be compared with those seen before ({error}); it is fetched again")
            }
            Self::KeySet(reason) => write!(f, "the key set {reason}"),
            Self::Bundle(reason) => write!(f, "the bundle {reason}"),
            Self::Workload(error) if self.is_denial() => {
                write!(f, "the Workload API gives this server no bundles ({error}); register it with the agent")
            }
            Self::Workload(error) => write!(f, "the Workload API: {error}"),
            Self::TokenFile(path, why) => write!(f, "the token for the fetch cannot be had from {}: {why}", path.display()),
            Self::Silent => f.write_str("the Workload API did not answer in time"),
        }
    }
}

impl Error for RefreshReason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Fetch(reason) => reason.source(),
            Self::Unadmitted(error) => Some(error),
            Self::KeySet(reason) => Some(reason),
            Self::Bundle(reason) => Some(reason),
            Self::Workload(error) => Some(error),
            Self::RolledBack(older) => Some(older),
            Self::Metadata | Self::OtherIssuer(_) | Self::Host(_) | Self::Silent | Self::TokenFile(..) => None,
        }
    }
}

impl fmt::Display for KeysUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the keys cannot be had at the moment; try again later")
    }
}

impl Error for KeysUnavailable {}
