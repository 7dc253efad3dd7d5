//! Certificates that their issuers took back, by lists that the configuration names (RFC 5280 §5). Nothing is fetched.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateRevocationListDer, TrustAnchor};
use webpki::{
    CertRevocationList, ExpirationPolicy, OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::crypto::Digest;
use crate::oauth::Time;

/// No authority has more lists.
const LISTS_MAX: usize = 256;

/// A list by which an authority takes back certificates that it issued.
#[derive(Clone)]
pub struct RevocationList(Arc<ListContents>, Option<Arc<str>>);

struct ListContents {
    list: CertRevocationList<'static>,
    key: Option<Vec<u8>>,
    issuer: String,
    issued: Time,
    ends: Time,
    digest: Digest,
}

/// Why a file has no revocation lists. `Display` completes a sentence about the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationListReason {
    /// Neither a list in DER nor one in PEM.
    Malformed,
    /// A list that says only what changed since another.
    Delta,
    /// A list about certificates of another issuer, or about some reasons only.
    Partial,
    /// A list without `nextUpdate`.
    Endless,
    /// More lists than anybody needs.
    Long,
}

impl RevocationList {
    /// The lists in a file: one in DER, or the `X509 CRL` sections of PEM text. Their signatures are looked at when a
    /// certificate is, for only then is it known who issued it.
    ///
    /// # Errors
    /// See [`RevocationListReason`].
    pub fn read(file: &[u8]) -> Result<Vec<Self>, RevocationListReason> {
        // 0x30 begins a sequence in DER and is a digit in text.
        if file.first() == Some(&0x30) {
            return Ok(vec![Self::from_der(file)?]);
        }
        let sections: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(file).collect();
        match sections.map_err(|_| RevocationListReason::Malformed)?.as_slice() {
            [] => Err(RevocationListReason::Malformed),
            many if many.len() > LISTS_MAX => Err(RevocationListReason::Long),
            lists => lists.iter().map(|der| Self::from_der(der)).collect(),
        }
    }

    fn from_der(der: &[u8]) -> Result<Self, RevocationListReason> {
        let (rest, read) = CertificateRevocationList::from_der(der).map_err(|_| RevocationListReason::Malformed)?;
        let ends = read.next_update().ok_or(RevocationListReason::Endless)?;
        let list = OwnedCertRevocationList::from_der(der).map_err(RevocationListReason::of)?;
        if !rest.is_empty() {
            return Err(RevocationListReason::Malformed);
        }
        Ok(Self(
            Arc::new(ListContents {
                list: list.into(),
                key: authority_key(read.extensions()),
                issuer: read.issuer().to_string(),
                issued: Time::from_seconds(read.last_update().timestamp()),
                ends: Time::from_seconds(ends.timestamp()),
                digest: Digest::of(der),
            }),
            None,
        ))
    }

    /// This list, out of the file `name`.
    #[must_use]
    pub fn in_file(self, name: Arc<str>) -> Self {
        Self(self.0, Some(name))
    }

    /// The file that it is in, where that is known.
    pub fn file(&self) -> Option<&Arc<str>> {
        self.1.as_ref()
    }

    /// Its issuer's name, for people.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// `nextUpdate`: from then on this list says nothing.
    pub fn ends(&self) -> Time {
        self.0.ends
    }

    /// True when it names `root` as its issuer.
    pub(super) fn is_by(&self, root: &TrustAnchor<'_>) -> bool {
        self.0.list.issuer() == root.subject.as_ref()
    }

    pub(super) fn digest(&self) -> Digest {
        self.0.digest
    }
}

/// The lists by which the certificates of `chain` are to be judged. Of several from one issuer the first that is about a
/// certificate decides: one by the very key that signed a certificate of the chain, and the newest of those.
pub(super) fn lists_for<'a, C: AsRef<[u8]>>(lists: &'a [RevocationList], chain: &[C]) -> Vec<&'a CertRevocationList<'static>> {
    if lists.is_empty() {
        return Vec::new();
    }
    let signers: BTreeSet<Vec<u8>> = chain.iter().filter_map(|der| signer(der.as_ref())).collect();
    let fits = |list: &RevocationList| list.0.key.as_ref().is_some_and(|key| signers.contains(key));
    let mut ordered: Vec<&RevocationList> = lists.iter().collect();
    ordered.sort_by_key(|list| (!fits(list), Reverse(list.0.issued)));
    ordered.into_iter().map(|list| &list.0.list).collect()
}

/// Every certificate of the path below the root must be on the word of a list that is in date; none where there are no lists.
pub(super) fn options<'a>(lists: &'a [&'a CertRevocationList<'static>]) -> Option<webpki::RevocationOptions<'a>> {
    let builder = RevocationOptionsBuilder::new(lists).ok()?;
    let strict = builder.with_depth(RevocationCheckDepth::Chain).with_status_policy(UnknownStatusPolicy::Deny);
    Some(strict.with_expiration_policy(ExpirationPolicy::Enforce).build())
}

fn signer(der: &[u8]) -> Option<Vec<u8>> {
    X509Certificate::from_der(der).ok().and_then(|(_, certificate)| authority_key(certificate.extensions()))
}

/// RFC 5280 §4.2.1.1 and §5.2.1: which of the issuer's keys signed.
fn authority_key(extensions: &[X509Extension<'_>]) -> Option<Vec<u8>> {
    extensions.iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(named) => named.key_identifier.as_ref().map(|key| key.0.to_vec()),
        _ => None,
    })
}

impl RevocationListReason {
    fn of(error: webpki::Error) -> Self {
        use webpki::Error;
        match error {
            Error::UnsupportedDeltaCrl => Self::Delta,
            Error::UnsupportedIndirectCrl
            | Error::UnsupportedRevocationReasonsPartitioning
            | Error::UnsupportedCrlIssuingDistributionPoint => Self::Partial,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevocationList({}, {})", self.0.issuer, self.0.digest)
    }
}

impl fmt::Display for RevocationListReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "has no revocation list (RFC 5280 version 2, in DER or in PEM as X509 CRL)",
            Self::Delta => "has a delta list, which says only what changed; name the complete one",
            Self::Partial => "has a list about certificates of other issuers or about some reasons only; name a complete one",
            Self::Endless => "has a list without nextUpdate, of which nobody could tell whether it is the latest",
            Self::Long => "has more than 256 revocation lists",
        })
    }
}

impl std::error::Error for RevocationListReason {}

#[cfg(test)]
mod tests;
