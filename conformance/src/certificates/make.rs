//! Making certificates.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, date_time_ymd,
};

/// Somebody who issues certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    above: Vec<String>,
    pub(super) pem: String,
    pub(super) der: Vec<u8>,
    pub(super) public: Vec<u8>,
}

/// A certificate with its key.
pub(super) struct Made {
    pub(super) leaf: String,
    above: Vec<String>,
    pub(super) der: Vec<u8>,
    pub(super) key: String,
    pub(super) public: Vec<u8>,
}

impl Authority {
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(failed)?;
        let params = authority(name);
        let made = params.self_signed(&key).map_err(failed)?;
        let (pem, der, public) = (made.pem(), made.der().to_vec(), key.public_key_raw().to_vec());
        Ok(Self { issuer: Issuer::new(params, key), above: Vec::new(), pem, der, public })
    }

    /// Another authority below this one.
    pub(super) fn below(&self, name: &str) -> io::Result<Self> {
        self.below_as(name, None)
    }

    /// Another authority below this one, with this serial number if one is given.
    pub(super) fn below_as(&self, name: &str, serial: Option<u64>) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = authority(name);
        params.serial_number = serial.map(Into::into);
        let made = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let (pem, der, public) = (made.pem(), made.der().to_vec(), key.public_key_raw().to_vec());
        Ok(Self { issuer: Issuer::new(params, key), above: vec![pem.clone()], pem, der, public })
    }

    /// The PEM of its list of the certificates with these serial numbers, from 2026 until that year.
    pub(super) fn list(&self, serials: &[u64], until: i32) -> io::Result<String> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(until, 1, 2),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).and_then(|list| list.pem()).map_err(failed)
    }

    pub(super) fn issue(&self, params: &CertificateParams) -> io::Result<Made> {
        let key = KeyPair::generate().map_err(failed)?;
        let made = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Made::of(&made, &key, self.above.clone()))
    }
}

impl Made {
    fn of(certificate: &rcgen::Certificate, key: &KeyPair, above: Vec<String>) -> Self {
        Self {
            leaf: certificate.pem(),
            above,
            der: certificate.der().to_vec(),
            key: key.serialize_pem(),
            public: key.public_key_raw().to_vec(),
        }
    }

    /// A certificate that vouches for itself, with a fresh key or with that of another.
    pub(super) fn alone(params: &CertificateParams, key: Option<&Self>) -> io::Result<Self> {
        let key = match key {
            Some(other) => KeyPair::from_pem(&other.key).map_err(failed)?,
            None => KeyPair::generate().map_err(failed)?,
        };
        Ok(Self::of(&params.self_signed(&key).map_err(failed)?, &key, Vec::new()))
    }

    /// The certificate and those between it and the root.
    pub(super) fn chain(&self) -> String {
        format!("{}{}", self.leaf, self.above.concat())
    }

    /// The chain without its intermediate certificates, as a misconfigured client shows it.
    pub(super) fn without_intermediates(self) -> Self {
        Self { above: Vec::new(), ..self }
    }
}

/// A template for `CN=name,OU=agents,O=Acme`, for a client of TLS.
pub(super) fn client(name: &str) -> CertificateParams {
    let mut params =
        named(&[(DnType::OrganizationName, "Acme"), (DnType::OrganizationalUnitName, "agents"), (DnType::CommonName, name)]);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// A template as `client` makes it, with subject alternative names (RFC 5280 §4.2.1.6).
pub(super) fn client_with(names: Vec<SanType>) -> CertificateParams {
    let mut params = client("mtls-name");
    params.subject_alt_names = names;
    params
}

/// `params` with this serial number.
pub(super) fn numbered(mut params: CertificateParams, serial: u64) -> CertificateParams {
    params.serial_number = Some(serial.into());
    params
}

/// An X509-SVID.
pub(super) fn svid(id: &str) -> io::Result<CertificateParams> {
    let mut params = client_with(vec![uri(id)?]);
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    Ok(params)
}

pub(super) fn server() -> CertificateParams {
    let mut params = client("server");
    params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(&[(DnType::OrganizationName, "Acme"), (DnType::CommonName, name)]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Valid from 2020 to 2049.
pub(super) fn named(parts: &[(DnType, &str)]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in parts {
        params.distinguished_name.push(kind.clone(), *value);
    }
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2049, 1, 1));
    params
}

pub(super) fn uri(text: &str) -> io::Result<SanType> {
    Ok(SanType::URI(text.try_into().map_err(failed)?))
}

pub(super) fn failed(error: impl Display) -> io::Error {
    io::Error::other(error.to_string())
}
