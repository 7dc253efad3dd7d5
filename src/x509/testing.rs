//! Authorities that live as long as a test.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, date_time_ymd,
};

use super::{RevocationList, Roots};
use crate::oauth::Time;

/// 2026-06-01.
pub(crate) const NOW: Time = Time::from_seconds(1_780_272_000);

pub(crate) struct Authority {
    pub(crate) der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

pub(crate) fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Acme");
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2060, 1, 1));
    params
}

pub(crate) fn ca(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub(crate) fn svid(id: &str) -> CertificateParams {
    let mut params = params("web");
    params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.is_ca = IsCa::ExplicitNoCa;
    params
}

pub(crate) fn root(name: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    let params = ca(name);
    let der = params.self_signed(&key).unwrap().der().to_vec();
    Authority { der, issuer: Issuer::new(params, key) }
}

impl Authority {
    pub(crate) fn with_key(params: CertificateParams, key: KeyPair, der: Vec<u8>) -> Self {
        Self { der, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Vec<u8> {
        self.issue_for(params, &KeyPair::generate().unwrap())
    }

    pub(crate) fn issue_for(&self, params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
        params.signed_by(key, &self.issuer).unwrap().der().to_vec()
    }

    pub(crate) fn authority(&self, params: CertificateParams) -> Authority {
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Authority { der, issuer: Issuer::new(params, key) }
    }

    /// A list of the certificates with these serial numbers, issued in May and in date until 2030.
    pub(crate) fn revoke(&self, serials: &[u64]) -> Vec<RevocationList> {
        RevocationList::read(&self.list(serials, |_| {})).unwrap()
    }

    pub(crate) fn list(&self, serials: &[u64], change: impl Fn(&mut CertificateRevocationListParams)) -> Vec<u8> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: date_time_ymd(2026, 5, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let mut params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 5, 2),
            next_update: date_time_ymd(2030, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        change(&mut params);
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_der([&self.der]).unwrap()
    }
}
