//! The certificate of a connection, and the one name by which a certificate is known to be a client's (RFC 8705 §2.1.2).

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::crypto::Digest;
use crate::oauth::{SpiffeId, Time};
use crate::trust::{TrustReason, TrustStore, ValidatedLeaf, VerifiedAssertion};
use crate::x509::{self, DistinguishedName, Leaf, Roots, TlsRole, UnverifiedCertificate, X509Reason};

/// A certificate chain by whose first certificate's key the handshake was signed: with us, or with a proxy that tells us
/// (RFC 9440). Who issued it is not judged. Cheap to clone; one is made per connection, and remembers what was found out.
#[derive(Clone)]
pub struct PeerCertificate(Arc<PeerChain>);

/// The one name by which a certificate is known to be a client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// `tls_client_auth_subject_dn`: the whole subject.
    Subject(DistinguishedName),
    /// `tls_client_auth_san_dns`: a `dNSName`. There are no wildcards.
    Dns(String),
    /// `tls_client_auth_san_uri`: a `uniformResourceIdentifier`, compared byte by byte.
    Uri(String),
    /// `tls_client_auth_san_ip`: an `iPAddress`, compared as a number.
    Ip(IpAddr),
    /// `tls_client_auth_san_email`: an `rfc822Name`.
    Email(String),
}

struct PeerChain {
    chain: Vec<Vec<u8>>,
    thumbprint: Digest,
    plain: OnceLock<Result<UnverifiedCertificate, X509Reason>>,
    claimed: OnceLock<Result<Option<SpiffeId>, X509Reason>>,
    judged: Mutex<Vec<JudgedPath>>,
}

/// The outcome of looking for a path: the leaf at its end, or why there is none.
struct JudgedPath {
    roots: Digest,
    at: Time,
    outcome: Result<Arc<ValidatedLeaf>, X509Reason>,
}

/// The newest outcomes that are remembered, each of other roots.
const PATHS_MAX: usize = 8;

/// How long that counts, so that a connection costs no signature per request, granted or refused. Within it an issuing
/// certificate may run out; the client's own is looked at each time, and other roots always ask anew.
const PATH_LIFETIME: Duration = Duration::from_secs(60);

impl PeerCertificate {
    /// The chain in DER, the client's own certificate first.
    pub fn new(chain: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let chain: Vec<Vec<u8>> = chain.into_iter().collect();
        let thumbprint = Digest::of(chain.first().map(Vec::as_slice).unwrap_or_default());
        Self(Arc::new(PeerChain {
            chain,
            thumbprint,
            plain: OnceLock::new(),
            claimed: OnceLock::new(),
            judged: Mutex::default(),
        }))
    }

    /// SHA-256 of the certificate, to which tokens are bound: `x5t#S256` (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> Digest {
        self.0.thumbprint
    }

    /// The RFC 7638 thumbprint of its key, where a JWK can hold such a key.
    pub(super) fn key(&self) -> Option<Digest> {
        self.plain().ok().and_then(|plain| plain.key)
    }

    /// Refuses a certificate that does not count at `now`.
    pub(super) fn check_dates(&self, now: Time) -> Result<(), X509Reason> {
        self.plain()?.check_dates(now)
    }

    /// The certificate as read, if a path leads from it to `roots`.
    pub(super) fn validated(&self, roots: &Roots, now: Time) -> Result<Arc<ValidatedLeaf>, X509Reason> {
        let mut judged = self.0.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = judged.iter().find(|path| path.counts(roots, now)) {
            return path.outcome.clone();
        }
        let validated = x509::validate(roots, &self.0.chain, now, TlsRole::Client);
        let outcome = validated.map(|leaf| Arc::new(ValidatedLeaf::from(leaf)));
        judged.retain(|path| !path.roots.same_as(&roots.digest()));
        if judged.len() >= PATHS_MAX {
            judged.remove(0);
        }
        judged.push(JudgedPath { roots: roots.digest(), at: now, outcome: outcome.clone() });
        outcome
    }

    /// True when a certificate of the chain names one of `roots` as its issuer: then signatures say whether that is so.
    pub(super) fn names(&self, roots: &Roots) -> bool {
        roots.are_named_by(&self.0.chain)
    }

    /// The subject that the certificate names, by the trust rule that accepts it: for an X509-SVID that of its trust domain.
    pub(super) fn assertion(&self, trust: &TrustStore, now: Time) -> Result<VerifiedAssertion, TrustReason> {
        trust.verify_path(self.claimed()?, now, &|roots| self.validated(roots, now))
    }

    fn plain(&self) -> Result<&UnverifiedCertificate, X509Reason> {
        let read = || self.leaf().and_then(UnverifiedCertificate::read);
        self.0.plain.get_or_init(read).as_ref().map_err(|reason| *reason)
    }

    fn claimed(&self) -> Result<Option<&SpiffeId>, X509Reason> {
        let read = || self.leaf().and_then(x509::claimed_spiffe_id);
        self.0.claimed.get_or_init(read).as_ref().map(Option::as_ref).map_err(|reason| *reason)
    }

    fn leaf(&self) -> Result<&[u8], X509Reason> {
        self.0.chain.first().map(Vec::as_slice).ok_or(X509Reason::Empty)
    }
}

impl JudgedPath {
    fn counts(&self, roots: &Roots, now: Time) -> bool {
        let outlives = self.outcome.as_ref().is_ok_and(|leaf| now > leaf.not_after);
        let current = now >= self.at && now <= self.at.plus(PATH_LIFETIME) && !outlives;
        current && self.roots.same_as(&roots.digest())
    }
}

impl CertificateName {
    /// True when the certificate has that name.
    pub fn is_of(&self, leaf: &Leaf) -> bool {
        match self {
            Self::Subject(wanted) => DistinguishedName::parse(&leaf.subject).is_ok_and(|subject| subject == *wanted),
            Self::Dns(wanted) => leaf.dns.iter().any(|name| name.eq_ignore_ascii_case(wanted)),
            Self::Uri(wanted) => leaf.uris.iter().any(|uri| uri == wanted),
            Self::Ip(wanted) => leaf.ips.iter().any(|address| address == wanted),
            Self::Email(wanted) => leaf.emails.iter().any(|address| same_mailbox(address, wanted)),
        }
    }
}

/// RFC 5280 §7.5: the part before the at sign byte by byte, the host without regard to case.
fn same_mailbox(one: &str, other: &str) -> bool {
    match (one.rsplit_once('@'), other.rsplit_once('@')) {
        (Some((name, host)), Some((other_name, other_host))) => name == other_name && host.eq_ignore_ascii_case(other_host),
        _ => false,
    }
}

/// Certificates name people and machines: never printed.
impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerCertificate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_chain_at_all_is_refused_as_that() {
        let empty = PeerCertificate::new([]);
        assert_eq!((empty.claimed(), empty.plain()), (Err(X509Reason::Empty), Err(X509Reason::Empty)));
    }

    #[test]
    fn mailboxes_are_the_same_but_for_the_case_of_their_host() {
        assert!(same_mailbox("dana@acme.example", "dana@ACME.example"));
        assert!(!same_mailbox("dana@acme.example", "Dana@acme.example") && !same_mailbox("dana", "dana"));
    }
}
