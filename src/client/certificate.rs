//! The certificate that the client showed.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::crypto::Digest;
use crate::oauth::Time;
use crate::trust::x509::{self, Leaf, Plain, Roots, Usage, X509Reason};
use crate::trust::{TrustReason, TrustStore, VerifiedAssertion};

/// A certificate chain by whose first certificate's key the handshake was signed: with us, or with a proxy that tells us
/// (RFC 9440). Who issued it is not judged. Cheap to clone; one is made per connection, and remembers what was found out.
#[derive(Clone)]
pub struct PeerCertificate(Arc<Shown>);

struct Shown {
    chain: Vec<Vec<u8>>,
    thumbprint: Digest,
    plain: OnceLock<Result<Plain, X509Reason>>,
    last: Mutex<Option<Verdict>>,
}

/// A path that was found.
struct Verdict {
    roots: Digest,
    at: Time,
    leaf: Arc<Leaf>,
}

/// How long a path that was found counts, so that a connection costs no signature per request. Within it an issuing certificate
/// may run out; the client's own is looked at each time, and other roots always ask anew.
const VERDICT: Duration = Duration::from_secs(60);

impl PeerCertificate {
    /// The chain in DER, the client's own certificate first.
    pub fn new(chain: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let chain: Vec<Vec<u8>> = chain.into_iter().collect();
        let thumbprint = Digest::of(chain.first().map(Vec::as_slice).unwrap_or_default());
        Self(Arc::new(Shown { chain, thumbprint, plain: OnceLock::new(), last: Mutex::new(None) }))
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

    /// What the certificate says, if a path leads from it to `roots`.
    pub(super) fn validated(&self, roots: &Roots, now: Time) -> Result<Arc<Leaf>, X509Reason> {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verdict) = last.as_ref().filter(|verdict| verdict.counts(roots, now)) {
            return Ok(Arc::clone(&verdict.leaf));
        }
        let leaf = Arc::new(x509::validate(roots, &self.0.chain, now, Usage::Client)?);
        *last = Some(Verdict { roots: roots.digest(), at: now, leaf: Arc::clone(&leaf) });
        Ok(leaf)
    }

    /// Whom the certificate names, by the trust rule that accepts it: for an X509-SVID that of its trust domain.
    pub(super) fn vouched(&self, trust: &TrustStore, now: Time) -> Result<VerifiedAssertion, TrustReason> {
        trust.vouch_validated(&self.0.chain, now, &|roots| self.validated(roots, now))
    }

    fn plain(&self) -> Result<&Plain, X509Reason> {
        let read = || self.0.chain.first().ok_or(X509Reason::Empty).and_then(|leaf| Plain::read(leaf));
        self.0.plain.get_or_init(read).as_ref().map_err(|reason| *reason)
    }
}

impl Verdict {
    fn counts(&self, roots: &Roots, now: Time) -> bool {
        let current = now >= self.at && now <= self.at.plus(VERDICT) && now <= self.leaf.not_after;
        current && self.roots.same_as(&roots.digest())
    }
}

/// Certificates name people and machines: never printed.
impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerCertificate")
    }
}
