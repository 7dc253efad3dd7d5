//! The certificates that clients show: each is right for one way to log in, or wrong in one way.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType, date_time_ymd,
};

use super::make::{Authority, Made, client, client_with, failed, named, numbered, svid, uri};

/// Those who issue them.
pub(super) struct Authorities {
    pub(super) acme: Authority,
    foreign: Authority,
    between: Authority,
    revoked: Authority,
    unlisted: Authority,
    pub(super) spiffe_acme: Authority,
    pub(super) spiffe_other: Authority,
}

impl Authorities {
    pub(super) fn new() -> io::Result<Self> {
        let acme = Authority::new("Clients CA")?;
        Ok(Self {
            between: acme.below("Listed")?,
            revoked: acme.below_as("Revoked", Some(REVOKED_AUTHORITY))?,
            unlisted: acme.below("Unlisted")?,
            acme,
            foreign: Authority::new("Clients CA")?,
            spiffe_acme: Authority::new("acme.example")?,
            spiffe_other: Authority::new("other.example")?,
        })
    }

    /// Their revocation lists, by file name: those in force, those that take one more back, and one that is out of date.
    pub(super) fn lists(&self) -> io::Result<[(&'static str, String); 3]> {
        let lists = |serials: &[u64], until: i32| {
            let (root, between) = (self.acme.list(serials, until)?, self.between.list(&[REVOKED], 2049)?);
            Ok::<_, io::Error>(format!("{root}{between}{}", self.revoked.list(&[], 2049)?))
        };
        let revoked = [REVOKED, REVOKED_AUTHORITY];
        Ok([
            ("clients.crl", lists(&revoked, 2049)?),
            ("clients-later.crl", lists(&[REVOKED, REVOKED_AUTHORITY, REVOKED_LATER], 2049)?),
            ("clients-ended.crl", lists(&revoked, 2026)?),
        ])
    }
}

/// Serial numbers of what is taken back.
const REVOKED: u64 = 7;
const REVOKED_AUTHORITY: u64 = 8;
const REVOKED_LATER: u64 = 9;

/// All of them, by name.
pub(super) fn all(by: &Authorities) -> io::Result<Vec<(&'static str, Made)>> {
    let mut all = by_authority(by)?;
    all.extend(by_name(by)?);
    all.extend(by_rule(by)?);
    all.extend(alone()?);
    all.extend(svids(by)?);
    Ok(all)
}

fn by_authority(by: &Authorities) -> io::Result<Vec<(&'static str, Made)>> {
    let good = client("mtls-dn");
    let with = |change: fn(&mut CertificateParams)| {
        let mut params = good.clone();
        change(&mut params);
        by.acme.issue(&params)
    };
    let acme = (DnType::OrganizationName, "Acme");
    let other_unit = [acme.clone(), (DnType::OrganizationalUnitName, "other"), (DnType::CommonName, "mtls-dn")];
    let reversed = [(DnType::CommonName, "mtls-dn"), (DnType::OrganizationalUnitName, "agents"), acme.clone()];
    let other_case = [acme, (DnType::OrganizationalUnitName, "agents"), (DnType::CommonName, "MTLS-DN")];
    let between = by.acme.below("Intermediate")?;
    Ok(vec![
        ("dn", by.acme.issue(&good)?),
        ("dn-second", by.acme.issue(&good)?),
        ("dn-foreign", by.foreign.issue(&good)?),
        ("dn-alone", Made::alone(&good, None)?),
        ("dn-expired", with(|params| params.not_after = date_time_ymd(2021, 1, 1))?),
        ("dn-early", with(|params| params.not_before = date_time_ymd(2048, 1, 1))?),
        ("dn-ca", with(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))?),
        ("dn-server", with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])?),
        ("dn-any-use", with(|params| params.extended_key_usages = Vec::new())?),
        ("dn-other-unit", by.acme.issue(&named(&other_unit))?),
        ("dn-reversed", by.acme.issue(&named(&reversed))?),
        ("dn-other-case", by.acme.issue(&named(&other_case))?),
        ("dn-in-one-value", by.acme.issue(&named(&[(DnType::CommonName, "mtls-dn,OU=agents,O=Acme")]))?),
        ("dn-between", between.issue(&good)?),
        ("dn-between-left-out", between.issue(&good)?.without_intermediates()),
    ])
}

fn by_name(by: &Authorities) -> io::Result<Vec<(&'static str, Made)>> {
    let dns = |name: &str| Ok::<_, io::Error>(SanType::DnsName(name.try_into().map_err(failed)?));
    let ip = |last: u8| SanType::IpAddress(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
    let email = |name: &str| Ok::<_, io::Error>(SanType::Rfc822Name(name.try_into().map_err(failed)?));
    let issue = |names: Vec<SanType>| by.acme.issue(&client_with(names));
    let only_common_name = named(&[(DnType::CommonName, "mtls.acme.example")]);
    Ok(vec![
        ("dns", issue(vec![dns("other.acme.example")?, dns("mtls.acme.example")?])?),
        ("dns-wildcard", issue(vec![dns("*.acme.example")?])?),
        ("dns-as-uri", issue(vec![uri("mtls.acme.example")?])?),
        ("dns-in-subject", by.acme.issue(&only_common_name)?),
        ("uri", issue(vec![uri("https://acme.example/agents/mtls")?])?),
        ("uri-longer", issue(vec![uri("https://acme.example/agents/mtls/x")?])?),
        ("ip", issue(vec![ip(7)])?),
        ("ip-other", issue(vec![ip(8)])?),
        ("ip-as-dns", issue(vec![dns("192.0.2.7")?])?),
        ("email", issue(vec![email("mtls@acme.example")?])?),
        ("email-other", issue(vec![email("Mtls@acme.example")?])?),
    ])
}

/// For a rule that says `dns`, `/subject/CN`, `email` or `uri`, under revocation lists.
fn by_rule(by: &Authorities) -> io::Result<Vec<(&'static str, Made)>> {
    let dns = SanType::DnsName("rule.acme.example".try_into().map_err(failed)?);
    let good = client_with(vec![dns.clone()]);
    let with = |change: fn(&mut CertificateParams)| {
        let mut params = good.clone();
        change(&mut params);
        by.acme.issue(&params)
    };
    let email = SanType::Rfc822Name("other@acme.example".try_into().map_err(failed)?);
    let unit = |unit: &str, name: &str| {
        let parts = [(DnType::OrganizationName, "Acme"), (DnType::OrganizationalUnitName, unit), (DnType::CommonName, name)];
        by.acme.issue(&named(&parts))
    };
    Ok(vec![
        ("rule-dns", by.acme.issue(&numbered(good.clone(), REVOKED_LATER))?),
        ("rule-second", by.acme.issue(&good)?),
        ("rule-any-use", with(|params| params.extended_key_usages = Vec::new())?),
        ("rule-with-email", by.acme.issue(&client_with(vec![dns, email]))?),
        ("rule-between", by.between.issue(&good)?),
        ("rule-name", unit("batch", "nightly")?),
        ("rule-name-other-unit", unit("other", "nightly")?),
        ("rule-name-in-one-value", by.acme.issue(&named(&[(DnType::CommonName, "nightly,OU=batch")]))?),
        ("rule-revoked", by.acme.issue(&numbered(good.clone(), REVOKED))?),
        ("rule-between-revoked", by.between.issue(&numbered(good.clone(), REVOKED))?),
        ("rule-between-left-out", by.between.issue(&good)?.without_intermediates()),
        ("rule-below-revoked", by.revoked.issue(&good)?),
        ("rule-below-unlisted", by.unlisted.issue(&good)?),
        ("rule-foreign", by.foreign.issue(&good)?),
        ("rule-early", with(|params| params.not_before = date_time_ymd(2048, 1, 1))?),
        ("rule-ca", with(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))?),
        ("rule-server", with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])?),
    ])
}

fn alone() -> io::Result<Vec<(&'static str, Made)>> {
    let params = client("mtls-self");
    let mut authority = params.clone();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut expired = params.clone();
    expired.not_after = date_time_ymd(2021, 1, 1);
    let key = Made::alone(&params, None)?;
    let renewed = Made::alone(&client("mtls-key-renewed"), Some(&key))?;
    let late = Made::alone(&expired, Some(&key))?;
    Ok(vec![
        ("self", Made::alone(&params, None)?),
        ("self-same-name", Made::alone(&params, None)?),
        ("self-expired", Made::alone(&expired, None)?),
        // As `openssl req -x509` makes them.
        ("self-authority", Made::alone(&authority, None)?),
        ("key-renewed", renewed),
        ("key-expired", late),
        ("key", key),
    ])
}

fn svids(by: &Authorities) -> io::Result<Vec<(&'static str, Made)>> {
    const MTLS: &str = "spiffe://acme.example/ns/prod/sa/mtls";
    let with = |change: fn(&mut CertificateParams)| {
        let mut params = svid(MTLS)?;
        change(&mut params);
        by.spiffe_acme.issue(&params)
    };
    let issue = |id: &str| by.spiffe_acme.issue(&svid(id)?);
    let two = client_with(vec![uri(MTLS)?, uri("spiffe://acme.example/ns/prod/sa/other")?]);
    let dns = SanType::DnsName("mtls.acme.example".try_into().map_err(failed)?);
    Ok(vec![
        ("svid", issue(MTLS)?),
        ("svid-with-dns", by.spiffe_acme.issue(&client_with(vec![dns.clone(), uri(MTLS)?]))?),
        ("svid-two-uris", by.spiffe_acme.issue(&two)?),
        ("svid-no-uri", by.spiffe_acme.issue(&client_with(vec![dns]))?),
        ("svid-ca", with(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))?),
        ("svid-signs", with(|params| params.key_usages.push(KeyUsagePurpose::KeyCertSign))?),
        ("svid-signs-lists", with(|params| params.key_usages.push(KeyUsagePurpose::CrlSign))?),
        ("svid-no-usage", with(|params| params.key_usages = Vec::new())?),
        ("svid-agrees-only", with(|params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement])?),
        ("svid-server-only", with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])?),
        ("svid-expired", with(|params| params.not_after = date_time_ymd(2021, 1, 1))?),
        ("svid-of-domain", issue("spiffe://acme.example")?),
        ("svid-in-capitals", issue("spiffe://ACME.example/ns/prod/sa/mtls")?),
        ("svid-sibling", issue("spiffe://acme.example/ns/prod/sa/other")?),
        ("svid-below", issue("spiffe://acme.example/ns/prod/sa/mtls/x")?),
        ("svid-fleet", issue("spiffe://acme.example/fleet/7")?),
        ("svid-fleet-itself", issue("spiffe://acme.example/fleet")?),
        ("svid-fleet-lookalike", issue("spiffe://acme.example/fleetX/7")?),
        // The right name from the authority of another trust domain, and the other way round.
        ("svid-by-other", by.spiffe_other.issue(&svid(MTLS)?)?),
        ("svid-of-other", issue("spiffe://other.example/ns/prod/sa/mtls")?),
        ("svid-by-clients-ca", by.acme.issue(&svid(MTLS)?)?),
    ])
}
