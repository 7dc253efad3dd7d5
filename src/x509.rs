//! Certificate chains of an enterprise PKI or a SPIFFE trust domain: the path by webpki (RFC 5280 §6), names and extensions by
//! x509-parser. Nothing here reads a clock, a file or the network.

mod name;
mod path;
mod unverified;
mod reason;
mod refusals;
mod revocation;
#[cfg(test)]
mod testing;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

pub use name::{DistinguishedName, NameReason};
#[cfg(test)]
pub(crate) use path::signatures_checked;
pub use path::{CHAIN_MAX, has_oversized_key};
pub use reason::X509Reason;
pub use revocation::{RevocationList, RevocationListReason};
#[cfg(test)]
pub(crate) use testing::{Authority, NOW, ca, params, root, svid};
pub use unverified::UnverifiedCertificate;

use path::{Issuing, SignatureBudget};
use refusals::Refusals;

use crate::crypto::Digest;
use crate::oauth::{SpiffeId, Time, TrustDomain};

const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
const ROOTS_MAX: usize = 1024;
const NAMES_MAX: usize = 64;

/// The certificates that chains may end in. Which certificates a peer sends never adds to them.
#[derive(Clone)]
pub struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    ends: Vec<(Digest, Time)>,
    lists: Vec<RevocationList>,
    digest: Digest,
    refused: Refusals,
}

/// The side of a TLS connection that a leaf proves (RFC 5280 §4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsRole {
    /// A client: an extended key usage, where there is one, has `clientAuth`.
    Client,
    /// A server: an extended key usage, where there is one, has `serverAuth`.
    Server,
}

/// A certificate whose chain led to a root at the instant that was asked about. Made by [`validate`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// `uniformResourceIdentifier` names, in the order of the certificate.
    pub uris: Vec<String>,
    /// `dNSName` names.
    pub dns: Vec<String>,
    /// `iPAddress` names.
    pub ips: Vec<IpAddr>,
    /// `rfc822Name` names.
    pub emails: Vec<String>,
    /// The subject as RFC 4514 §2 writes it: the last relative name first, special characters escaped. May be empty.
    pub subject: String,
    /// The issuer in the same form.
    pub issuer: String,
    /// Single-valued parts of the subject by their RFC 4514 §3 name: `CN`, `O`, `OU` … A part that stands twice is left out.
    pub parts: Vec<(String, String)>,
    /// The serial number in lower-case hexadecimal.
    pub serial: String,
    /// `notBefore`: the first instant at which it counts.
    pub not_before: Time,
    /// `notAfter`: the last instant at which it counts.
    pub not_after: Time,
    /// SHA-256 of the certificate in DER: the `x5t#S256` of RFC 8705 §3.1.
    pub thumbprint: Digest,
    usages: KeyUsages,
}

/// The basic constraint and key usage of a leaf (RFC 5280 §4.2.1.3, §4.2.1.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct KeyUsages {
    critical: bool,
    digital_signature: bool,
    signs_certificates: bool,
    signs_lists: bool,
    ca: bool,
}

/// Nobody.
impl Default for Roots {
    fn default() -> Self {
        Self { anchors: Vec::new(), ends: Vec::new(), lists: Vec::new(), digest: Digest::of(b""), refused: Refusals::default() }
    }
}

impl Roots {
    /// Roots from DER. A certificate that is not a CA's may stand here too: then it vouches for itself alone.
    ///
    /// # Errors
    /// When one cannot be read, or there are more than 1024.
    pub fn from_der<C: AsRef<[u8]>>(certificates: impl IntoIterator<Item = C>) -> Result<Self, X509Reason> {
        Self::of(certificates.into_iter().map(|der| anchor(der.as_ref())))
    }

    /// As [`Self::from_der`], without those that cannot be read: to leave one out takes trust away and never adds any.
    ///
    /// # Errors
    /// When there are more than 1024.
    pub fn from_readable<C: AsRef<[u8]>>(certificates: impl IntoIterator<Item = C>) -> Result<Self, X509Reason> {
        Self::of(certificates.into_iter().map(|der| anchor(der.as_ref())).filter(Result::is_ok))
    }

    /// The names and keys of the roots, for a TLS client that is to believe them.
    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    fn of(
        read: impl Iterator<Item = Result<(TrustAnchor<'static>, Digest, Option<Time>), X509Reason>>,
    ) -> Result<Self, X509Reason> {
        let (mut anchors, mut ends, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        for one in read {
            let (anchor, digest, not_after) = one?;
            anchors.push(anchor);
            ends.extend(not_after.map(|not_after| (digest, not_after)));
            digests.push(digest);
            if anchors.len() > ROOTS_MAX {
                return Err(X509Reason::Long);
            }
        }
        digests.sort_unstable();
        let all: Vec<&[u8]> = digests.iter().map(|digest| digest.0.as_slice()).collect();
        Ok(Self { anchors, ends, digest: Digest::of_parts(&all), ..Self::default() })
    }

    /// Roots from the `CERTIFICATE` sections of PEM text.
    ///
    /// # Errors
    /// As [`Self::from_der`]; and when there is no such section.
    pub fn from_pem(pem: &str) -> Result<Self, X509Reason> {
        let sections: Result<Vec<CertificateDer<'_>>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = sections.map_err(|_| X509Reason::Malformed)?;
        if certificates.is_empty() { Err(X509Reason::Empty) } else { Self::from_der(certificates) }
    }

    /// These roots under revocation lists. Where there is one, every certificate of a path below its root must be on the word
    /// of a list: of its own issuer, in date, and without it.
    #[must_use]
    pub fn under(mut self, lists: Vec<RevocationList>) -> Self {
        let mut digests: Vec<Digest> = lists.iter().map(RevocationList::digest).collect();
        digests.sort_unstable();
        let all: Vec<&[u8]> = std::iter::once(&self.digest).chain(&digests).map(|digest| digest.0.as_slice()).collect();
        if !lists.is_empty() {
            self.digest = Digest::of_parts(&all);
        }
        Self { lists, refused: Refusals::default(), ..self }
    }

    /// True when no chain can end here.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// True when a certificate of `chain` names one of these as its issuer.
    pub fn are_named_by<C: AsRef<[u8]>>(&self, chain: &[C]) -> bool {
        chain.iter().filter_map(|der| X509Certificate::from_der(der.as_ref()).ok()).any(|(_, certificate)| {
            let issuer = path::content(certificate.issuer().as_raw());
            self.anchors.iter().any(|root| root.subject.as_ref() == issuer)
        })
    }

    /// How many certificates there are.
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// SHA-256 of each certificate and the last instant that it names for itself. Validation does not look at that: a root
    /// counts for as long as it is configured (RFC 5280 §6.1.1).
    pub fn ends(&self) -> &[(Digest, Time)] {
        &self.ends
    }

    /// The revocation lists that these roots stand under.
    pub fn lists(&self) -> &[RevocationList] {
        &self.lists
    }

    /// How many of the roots have no list of their own although there are lists: below those nobody is accepted.
    pub fn without_list(&self) -> usize {
        let lacks = |root: &&TrustAnchor<'_>| !self.lists.iter().any(|list| list.is_by(root));
        if self.lists.is_empty() { 0 } else { self.anchors.iter().filter(lacks).count() }
    }

    /// The identity of the set with its revocation lists, in any order.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// One root, the SHA-256 of its certificate, and the last instant that it names for itself.
fn anchor(der: &[u8]) -> Result<(TrustAnchor<'static>, Digest, Option<Time>), X509Reason> {
    let anchor = anchor_from_trusted_cert(&CertificateDer::from(der)).map_err(|_| X509Reason::Malformed)?.to_owned();
    Ok((anchor, Digest::of(der), UnverifiedCertificate::read(der).ok().map(|plain| plain.not_after)))
}

/// Validates `chain`, the leaf first and whatever else the peer sent behind it in any order, against `roots` as of `now`, and
/// reads the leaf (RFC 5280 §6.1). Revocation counts as the lists of `roots` say it, and not at all where there are none. The
/// signatures that are checked are bounded, and a chain that cost some and led nowhere is refused for a minute without any.
///
/// # Errors
/// Why there is no path to a root, or what about a certificate cannot be read.
pub fn validate<C: AsRef<[u8]>>(roots: &Roots, chain: &[C], now: Time, role: TlsRole) -> Result<Leaf, X509Reason> {
    let facts = read(chain)?;
    let identity = refusals::identity(chain);
    if let Some(reason) = roots.refused.of(&identity, now) {
        return Err(reason);
    }
    let budget = SignatureBudget::default();
    let led = lead(roots, chain, now, role, &budget);
    if let (Err(reason), 1..) = (led, budget.checked()) {
        roots.refused.remember(identity, reason, now);
    }
    led.map(|()| facts)
}

/// The leaf of a chain that is not too long.
fn read<C: AsRef<[u8]>>(chain: &[C]) -> Result<Leaf, X509Reason> {
    let leaf = chain.first().ok_or(X509Reason::Empty)?.as_ref();
    let long = |certificate: &C| certificate.as_ref().len() > CERTIFICATE_BYTES_MAX;
    match chain.len() > CHAIN_MAX || chain.iter().any(long) || has_oversized_key(leaf) {
        true => Err(X509Reason::Long),
        false => Leaf::read(leaf),
    }
}

/// Finds a path to one of `roots`: of those that there are by name, the first that is one by signature.
fn lead<C: AsRef<[u8]>>(
    roots: &Roots,
    chain: &[C],
    now: Time,
    role: TlsRole,
    budget: &SignatureBudget,
) -> Result<(), X509Reason> {
    let (leaf, others) = chain.split_first().ok_or(X509Reason::Empty)?;
    let der = CertificateDer::from(leaf.as_ref());
    let end = EndEntityCert::try_from(&der).map_err(X509Reason::of_path)?;
    let seconds = u64::try_from(now.seconds()).map_err(|_| X509Reason::Early)?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let lists = revocation::lists_for(&roots.lists, chain);
    let algorithms = budget.algorithms();
    let algorithms: Vec<&dyn SignatureVerificationAlgorithm> = algorithms.iter().map(|one| one as _).collect();
    let verify = |path: &[CertificateDer<'_>]| {
        let (usage, revocation) = (role.extended(), revocation::options(&lists));
        let verified = end.verify_for_usage(&algorithms, &roots.anchors, path, time, usage, revocation, None);
        verified.map(drop).map_err(X509Reason::of_path)
    };
    let others: Vec<Issuing<'_>> = others.iter().map(AsRef::as_ref).filter_map(Issuing::read).collect();
    let (_, plain) = X509Certificate::from_der(leaf.as_ref()).map_err(|_| X509Reason::Malformed)?;
    let paths = path::paths(path::content(plain.issuer().as_raw()), &others, &roots.anchors);
    if paths.is_empty() {
        // What the leaf says against itself is told all the same.
        return verify(&[]);
    }
    let mut refused = X509Reason::Path;
    for path in paths {
        match verify(&path) {
            Ok(()) => return Ok(()),
            Err(_) if budget.is_spent() => break,
            Err(reason) if refused == X509Reason::Path => refused = reason,
            Err(_) => {}
        }
    }
    Err(refused)
}

/// The SPIFFE ID of an X509-SVID of a workload in `domain` (X509-SVID §2 to §5).
///
/// # Errors
/// The rule of the specification that the leaf breaks.
pub fn spiffe_id(leaf: &Leaf, domain: &TrustDomain) -> Result<SpiffeId, X509Reason> {
    let [uri] = leaf.uris.as_slice() else { return Err(X509Reason::UriCount) };
    let id = SpiffeId::parse(uri).map_err(|_| X509Reason::SpiffeId)?;
    if id.trust_domain() != domain.as_str() || id.path().is_empty() {
        return Err(X509Reason::SpiffeId);
    }
    leaf.usages.of_a_svid().then_some(id).ok_or(X509Reason::KeyUsage)
}

/// The SPIFFE ID that a certificate claims, before anything of it is believed; none where it claims none. It only routes.
///
/// # Errors
/// When the certificate cannot be read, or it claims a SPIFFE ID that is none.
pub fn claimed_spiffe_id(der: &[u8]) -> Result<Option<SpiffeId>, X509Reason> {
    let leaf = Leaf::read(der)?;
    let claimed = leaf.uris.iter().find(|uri| is_spiffe(uri));
    claimed.map(|uri| SpiffeId::parse(uri).map_err(|_| X509Reason::SpiffeId)).transpose()
}

/// True for a URI that claims to be a SPIFFE ID, a good one or not.
pub(crate) fn is_spiffe(uri: &str) -> bool {
    uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:"))
}

impl TlsRole {
    fn extended(self) -> KeyUsage {
        match self {
            Self::Client => KeyUsage::client_auth(),
            Self::Server => KeyUsage::server_auth(),
        }
    }
}

impl KeyUsages {
    /// X509-SVID §4.1 to §4.3, for leaves.
    fn of_a_svid(self) -> bool {
        self.critical && self.digital_signature && !self.signs_certificates && !self.signs_lists && !self.ca
    }
}

impl Leaf {
    fn read(der: &[u8]) -> Result<Self, X509Reason> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| X509Reason::Malformed)?;
        if !rest.is_empty() {
            return Err(X509Reason::Malformed);
        }
        let instant = |time: x509_parser::time::ASN1Time| Time::from_seconds(time.timestamp());
        let mut leaf = Self {
            uris: Vec::new(),
            dns: Vec::new(),
            ips: Vec::new(),
            emails: Vec::new(),
            subject: name::text(certificate.subject())?,
            issuer: name::text(certificate.issuer())?,
            parts: name::parts(certificate.subject()),
            serial: certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
            not_before: instant(certificate.validity().not_before),
            not_after: instant(certificate.validity().not_after),
            thumbprint: Digest::of(der),
            usages: usages(&certificate)?,
        };
        leaf.read_names(&certificate)?;
        Ok(leaf)
    }

    fn read_names(&mut self, certificate: &X509Certificate<'_>) -> Result<(), X509Reason> {
        let Some(names) = certificate.subject_alternative_name().map_err(|_| X509Reason::Malformed)? else { return Ok(()) };
        let names = &names.value.general_names;
        if names.len() > NAMES_MAX {
            return Err(X509Reason::Long);
        }
        for name in names {
            match name {
                GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
                GeneralName::DNSName(name) => self.dns.push((*name).to_owned()),
                GeneralName::RFC822Name(address) => self.emails.push((*address).to_owned()),
                GeneralName::IPAddress(bytes) => self.ips.push(ip(bytes)?),
                GeneralName::Invalid(..) => return Err(X509Reason::Malformed),
                _ => {}
            }
        }
        Ok(())
    }
}

/// RFC 5280 §4.2.1.6: four octets or sixteen, in network order.
fn ip(bytes: &[u8]) -> Result<IpAddr, X509Reason> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).map_err(|_| X509Reason::Malformed)
}

fn usages(certificate: &X509Certificate<'_>) -> Result<KeyUsages, X509Reason> {
    let ca = certificate.basic_constraints().map_err(|_| X509Reason::Malformed)?.is_some_and(|found| found.value.ca);
    let Some(usage) = certificate.key_usage().map_err(|_| X509Reason::Malformed)? else {
        return Ok(KeyUsages { ca, ..KeyUsages::default() });
    };
    Ok(KeyUsages {
        critical: usage.critical,
        digital_signature: usage.value.digital_signature(),
        signs_certificates: usage.value.key_cert_sign(),
        signs_lists: usage.value.crl_sign(),
        ca,
    })
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({} certificates, {} lists, {})", self.anchors.len(), self.lists.len(), self.digest)
    }
}

#[cfg(test)]
mod tests;
