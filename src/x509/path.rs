//! The paths that a chain could take to a root, and the bounds on looking for one: whoever sends certificates is nobody yet.
//!
//! A path is found by names first, in the order in which the certificates were sent, and only then by signatures. So a chain of
//! many certificates that all have the same name costs no more than a straight one.

use std::sync::atomic::{AtomicU32, Ordering};

use rustls_pki_types::{AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, TrustAnchor};
use webpki::ALL_VERIFICATION_ALGS;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// A longer chain is refused, the leaf included.
pub const CHAIN_MAX: usize = 8;

/// Paths of one chain that are looked at by signatures.
const PATHS_MAX: usize = 4;

/// Certificates that are looked at by their names, once for each path that they could be on.
const STEPS_MAX: usize = 64;

/// Signatures of one chain that may be wrong: no more are checked then. A right one was made by who holds a key of a path.
pub(super) const WRONG_MAX: u32 = 4;

/// Signatures of one chain that are checked, those of revocation lists too.
const CHECKS_MAX: u32 = 64;

/// The longest RSA key of a certificate that is sent, in bits.
const RSA_BITS_MAX: usize = 4096;

/// Certificates of one name on a path: a root that was renewed vouches for itself once.
const NAMESAKES_MAX: usize = 2;

/// A certificate that may issue others, by its names.
pub(super) struct Issuing<'a> {
    der: &'a [u8],
    subject: Vec<u8>,
    issuer: Vec<u8>,
}

impl<'a> Issuing<'a> {
    /// Reads a certificate; none where it may not issue any, or cannot be read. webpki takes the basic constraint for enough; RFC
    /// 5280 §4.2.1.3 wants `keyCertSign` as well where a key usage is told.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let may_issue = certificate.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
        let [subject, issuer] = [certificate.subject(), certificate.issuer()].map(|name| content(name.as_raw()).to_vec());
        (may_issue && !is_oversized(&certificate)).then_some(Self { der, subject, issuer })
    }
}

/// True for a certificate with an RSA key that is longer than any that is accepted here: it is refused before a signature by it
/// is looked at.
pub fn has_oversized_key(der: &[u8]) -> bool {
    // A longer key does not fit in.
    der.len() > RSA_BITS_MAX / 8 && X509Certificate::from_der(der).is_ok_and(|(_, certificate)| is_oversized(&certificate))
}

fn is_oversized(certificate: &X509Certificate<'_>) -> bool {
    matches!(certificate.public_key().parsed(), Ok(PublicKey::RSA(key)) if key.key_size() > RSA_BITS_MAX)
}

/// The intermediate certificates of every path from who names `issuer` to one of `roots`, the nearest first: as the chain was
/// sent where that is one, four at most. Names alone decide.
pub(super) fn paths<'a>(issuer: &'a [u8], others: &'a [Issuing<'a>], roots: &[TrustAnchor<'_>]) -> Vec<Vec<CertificateDer<'a>>> {
    let mut search = Search { others, roots, steps: 0, found: Vec::new() };
    search.walk(issuer, &mut Vec::new());
    search.found.into_iter().map(|path| path.into_iter().map(|one| CertificateDer::from(one.der)).collect()).collect()
}

struct Search<'a, 'r> {
    others: &'a [Issuing<'a>],
    roots: &'r [TrustAnchor<'r>],
    steps: usize,
    found: Vec<Vec<&'a Issuing<'a>>>,
}

impl<'a> Search<'a, '_> {
    fn walk(&mut self, issuer: &[u8], path: &mut Vec<&'a Issuing<'a>>) {
        self.steps += 1;
        if self.roots.iter().any(|root| root.subject.as_ref() == issuer) {
            self.found.push(path.clone());
        }
        for next in self.others {
            if self.found.len() >= PATHS_MAX || self.steps >= STEPS_MAX || path.len() >= CHAIN_MAX {
                return;
            }
            let namesakes = path.iter().filter(|one| one.subject == next.subject).count();
            if next.subject == issuer && namesakes < NAMESAKES_MAX && !path.iter().any(|one| std::ptr::eq(*one, next)) {
                path.push(next);
                self.walk(&next.issuer, path);
                path.pop();
            }
        }
    }
}

/// The name in the form in which roots have it: without the head of its sequence.
pub(super) fn content(sequence: &[u8]) -> &[u8] {
    let length = sequence.get(1).copied().unwrap_or_default();
    let head = if length < 0x80 { 2 } else { 2 + usize::from(length & 0x7f) };
    sequence.get(head..).unwrap_or_default()
}

/// The signatures of one chain that were checked, and those that were wrong.
#[derive(Debug, Default)]
pub(super) struct SignatureBudget {
    checked: AtomicU32,
    wrong: AtomicU32,
}

impl SignatureBudget {
    pub(super) fn checked(&self) -> u32 {
        self.checked.load(Ordering::Relaxed)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.wrong.load(Ordering::Relaxed) >= WRONG_MAX || self.checked() >= CHECKS_MAX
    }

    /// Every algorithm, as far as this budget goes: then no signature is right.
    pub(super) fn algorithms(&self) -> Vec<BudgetedAlgorithm<'_>> {
        ALL_VERIFICATION_ALGS.iter().map(|algorithm| BudgetedAlgorithm { algorithm: *algorithm, budget: self }).collect()
    }
}

/// An algorithm that counts what it checks.
#[derive(Debug)]
pub(super) struct BudgetedAlgorithm<'b> {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    budget: &'b SignatureBudget,
}

impl SignatureVerificationAlgorithm for BudgetedAlgorithm<'_> {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        if self.budget.is_spent() {
            return Err(InvalidSignature);
        }
        self.budget.checked.fetch_add(1, Ordering::Relaxed);
        #[cfg(test)]
        CHECKED.set(CHECKED.get() + 1);
        let verified = self.algorithm.verify_signature(public_key, message, signature);
        if verified.is_err() {
            self.budget.wrong.fetch_add(1, Ordering::Relaxed);
        }
        verified
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }

    fn fips(&self) -> bool {
        self.algorithm.fips()
    }
}

#[cfg(test)]
thread_local! {
    static CHECKED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// The signatures of certificates that this thread has checked.
#[cfg(test)]
pub(crate) fn signatures_checked() -> u32 {
    CHECKED.get()
}

#[cfg(test)]
mod tests;
