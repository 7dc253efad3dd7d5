#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SanType, date_time_ymd,
};

use super::*;
use crate::client::fixture::{
    ISSUER, NOW, SECONDS, SILENT, SPIRE_KEY, attestation_rules, block_on, bundleless, federation, no_trust, spiffe,
};
use crate::client::{
    AssertionAudience, AuthenticatedClient, CertificateName, ClientAuth, ClientAuths, Credentials, IdentifiedClient,
};
use crate::oauth::{SpiffePattern, Time};
use crate::request::Form;
use crate::trust::{TrustReason, TrustStore};
use crate::x509::{RevocationList, UnverifiedCertificate, X509Reason, signatures_checked};

/// The certificate of RFC 8705 §A, and its thumbprint there.
const RFC_8705: &str = "MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAxODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzEN\
    MAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsD\
    Sb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOVbUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=";
const RFC_8705_X5T: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
const RFC_8705_JWK: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"1yfLHCpXqFjxCeHHHMVDTcLscpb07KUxudBmOMn8C7Q","y":"8_coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8"}]}"#;

/// Within the dates of every certificate here.
const SOON: Time = Time::from_seconds(1_800_000_030);

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<Roots>,
}

impl Ca {
    fn new() -> Self {
        Self::called("CA")
    }

    fn called(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let roots = Roots::from_der([params.self_signed(&key).unwrap().der()]).unwrap();
        Self { issuer: Issuer::new(params, key), roots: Arc::new(roots) }
    }

    fn issue(&self, params: &CertificateParams) -> PeerCertificate {
        let made = params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap();
        PeerCertificate::new([made.der().to_vec()])
    }

    /// This authority, which has taken back the certificate of that number, by a list until that year.
    fn taking_back(&self, serial: u64, until: i32) -> Arc<Roots> {
        let revoked = RevokedCertParams {
            serial_number: serial.into(),
            revocation_time: date_time_ymd(2026, 1, 2),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 3),
            next_update: date_time_ymd(until, 1, 15),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let der = list.signed_by(&self.issuer).unwrap();
        Arc::new(Roots::clone(&self.roots).under(RevocationList::read(der.der()).unwrap()))
    }

    fn login(&self, name: &str) -> ClientAuth {
        ClientAuth::TlsClientAuth { roots: Arc::clone(&self.roots), name: CertificateName::Dns(name.to_owned()) }
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2028, 1, 1));
    params
}

fn dns(name: &str) -> CertificateParams {
    let mut params = params("agent");
    params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
    params
}

fn log_in(
    logins: Vec<(&str, Vec<ClientAuth>)>,
    trust: &TrustStore,
    certificate: &PeerCertificate,
    client_id: &str,
    now: Time,
) -> Result<AuthenticatedClient, ClientReason> {
    log_in_with(logins, trust, certificate, client_id, now, None)
}

fn log_in_with(
    logins: Vec<(&str, Vec<ClientAuth>)>,
    trust: &TrustStore,
    certificate: &PeerCertificate,
    client_id: &str,
    now: Time,
    subject_token: Option<&str>,
) -> Result<AuthenticatedClient, ClientReason> {
    use crate::catalog::{Agent, AgentKind, Api, BoundTokens, Status, VelocityLimits};
    let agent = |id: &str| Agent {
        id: ClientId::parse(id).unwrap(),
        owner: "dana@acme.example".to_owned(),
        team: "research".to_owned(),
        kind: AgentKind::AiAgent,
        status: Status::Active,
        foreign_clients: Vec::new(),
        requests_per_second: None,
        default_target: None,
        velocity: VelocityLimits::default(),
        bound: BoundTokens::default(),
    };
    let catalog = Catalog::new(logins.iter().map(|(id, _)| agent(id)).collect::<Vec<_>>(), Vec::<Api>::new(), &[]).unwrap();
    let logins = ClientAuths::new(logins.into_iter().map(|(id, list)| (ClientId::parse(id).unwrap(), list))).unwrap();
    let issuer = crate::oauth::Issuer::parse("https://sts.acme.example").unwrap();
    let audience = AssertionAudience { issuer, token_endpoint: String::new() };
    let form = Form::decode(format!("client_id={client_id}").as_bytes(), 8).unwrap();
    let credentials = Credentials::new(&form, None).with_certificate(Some(certificate.clone()));
    let rules = (&audience, &attestation_rules());
    let client = crate::client::authenticate(&logins, &catalog, trust, &credentials, subject_token, rules, now);
    block_on(client).and_then(IdentifiedClient::confirmed)
}

fn why(result: Result<AuthenticatedClient, ClientReason>) -> Option<CertificateReason> {
    match result.err()? {
        ClientReason::Certificate(reason) => Some(reason),
        _ => None,
    }
}

/// Whoever shows a certificate that names an authority of some client is judged by that, whomever he says that he is; on the same
/// connection a second time by nothing.
#[test]
fn a_refusal_costs_the_same_for_every_client_and_is_remembered() {
    let (ours, other, forger) = (Ca::new(), Ca::called("other"), Ca::new());
    let logins = || {
        vec![
            ("elsewhere", vec![other.login("a.x")]),
            ("known", vec![ours.login("a.x")]),
            ("pinned", vec![ClientAuth::SelfSignedTls { certificates: vec![crate::crypto::Digest([1; 32])], keys: Vec::new() }]),
        ]
    };
    for client in ["known", "nobody", "elsewhere", "pinned"] {
        let forged = forger.issue(&dns("a.x"));
        let cost = || {
            let before = signatures_checked();
            assert!(log_in(logins(), &no_trust(), &forged, client, SOON).is_err());
            signatures_checked() - before
        };
        assert_eq!([cost(), cost()], [1, 0], "{client}");
    }
    assert!(log_in(logins(), &no_trust(), &ours.issue(&dns("a.x")), "known", SOON).is_ok());
}

/// RFC 8705 §A: the certificate, its `x5t#S256`, and the JWK of its key.
#[test]
fn the_thumbprint_is_that_of_the_rfc() {
    use base64::Engine;
    let der = base64::engine::general_purpose::STANDARD.decode(RFC_8705).unwrap();
    let certificate = PeerCertificate::new([der.clone()]);
    assert_eq!(certificate.thumbprint().to_string(), RFC_8705_X5T);
    let keys = crate::jose::KeySet::parse(RFC_8705_JWK.as_bytes(), crate::jose::KeyUse::Signature).unwrap();
    let key = keys.keys().first().unwrap().thumbprint();
    assert_eq!(certificate.key(), Some(key));
    assert_eq!(certificate.check_dates(NOW), Err(X509Reason::Expired));
    assert_eq!(UnverifiedCertificate::read(&der).unwrap().not_after, Time::from_seconds(1_651_495_029));
    let registered = ClientAuth::SelfSignedTls { certificates: Vec::new(), keys: vec![key] };
    let expired = log_in(vec![("a", vec![registered])], &no_trust(), &certificate, "a", NOW);
    assert_eq!(why(expired), Some(CertificateReason::Itself(X509Reason::Expired)));
}

#[test]
fn the_authority_and_the_one_name_log_in_and_nothing_less() {
    let (ca, other) = (Ca::new(), Ca::new());
    let certificate = ca.issue(&dns("a.acme.example"));
    let logins =
        || vec![("a", vec![ca.login("b.acme.example"), ca.login("a.acme.example")]), ("b", vec![other.login("a.acme.example")])];
    let client = log_in(logins(), &no_trust(), &certificate, "a", NOW).unwrap();
    assert_eq!((client.agent().id.as_str(), client.method()), ("a", AuthMethod::TlsClientAuth));
    assert_eq!(client.proven().certificate(), Some(certificate.thumbprint()));
    assert!(client.key().is_some() && client.key() == certificate.key());
    assert!(client.attested().is_none() && client.evidence() == Some(certificate.thumbprint()));
    let refused = |id: &str| why(log_in(logins(), &no_trust(), &certificate, id, NOW)).unwrap();
    assert_eq!(refused("b"), CertificateReason::Chain(X509Reason::Path));
    assert_eq!(refused("nobody"), CertificateReason::Stranger);
    let named_otherwise = log_in(vec![("a", vec![ca.login("b.acme.example")])], &no_trust(), &certificate, "a", NOW);
    assert_eq!(why(named_otherwise), Some(CertificateReason::Name));
}

/// Who guesses learns nothing: the sentence is the same whatever was wrong.
#[test]
fn the_answer_does_not_tell_which_clients_there_are() {
    let (ca, other) = (Ca::new(), Ca::new());
    let certificate = other.issue(&dns("a.acme.example"));
    let told = |id: &str| {
        let logins = vec![("a", vec![ca.login("a.acme.example")]), ("b", Vec::new())];
        log_in(logins, &no_trust(), &certificate, id, NOW).unwrap_err().to_string()
    };
    assert_eq!(told("a"), told("b"));
    assert_eq!(told("a"), told("nobody"));
    assert_eq!(told("a"), told("spiffe://acme.example/nobody"));
}

#[test]
fn a_path_that_was_found_is_remembered_for_a_minute_and_for_its_roots_only() {
    let (ca, other) = (Ca::new(), Ca::new());
    let certificate = ca.issue(&dns("a.acme.example"));
    let first = certificate.validated(&ca.roots, NOW).unwrap();
    assert!(Arc::ptr_eq(&first, &certificate.validated(&ca.roots, SOON).unwrap()));
    assert_eq!(certificate.validated(&other.roots, NOW).unwrap_err(), X509Reason::Path, "other roots ask anew");
    assert_eq!(certificate.validated(&Roots::default(), NOW).unwrap_err(), X509Reason::Path, "and none at all too");
    let later = certificate.validated(&ca.roots, NOW.plus(Duration::from_secs(61))).unwrap();
    assert!(!Arc::ptr_eq(&first, &later));
    assert!(!Arc::ptr_eq(&later, &certificate.validated(&ca.roots, NOW).unwrap()), "a clock that was set back asks anew");
    assert_eq!(certificate.validated(&ca.roots, Time::from_seconds(1_830_300_000)).unwrap_err(), X509Reason::Expired);
    assert_eq!(certificate.validated(&ca.roots, Time::from_seconds(1_700_000_000)).unwrap_err(), X509Reason::Early);
}

/// Within the minute for which a path is remembered the certificate itself may run out.
#[test]
fn a_path_is_not_remembered_beyond_the_certificates_own_dates() {
    let (ca, mut params) = (Ca::new(), dns("a.acme.example"));
    params.not_after = time::OffsetDateTime::from_unix_timestamp(NOW.seconds() + 30).unwrap();
    let certificate = ca.issue(&params);
    assert!(certificate.validated(&ca.roots, SOON).is_ok());
    assert_eq!(certificate.validated(&ca.roots, SOON.plus(Duration::from_secs(1))).unwrap_err(), X509Reason::Expired);
}

/// RFC 8705 §2.1.2: each name is looked for among the names of its own kind, and compared as that kind is.
#[test]
fn a_name_is_compared_as_its_kind_demands() {
    let ca = Ca::new();
    let mut params = dns("a.acme.example");
    params.subject_alt_names.push(SanType::URI("urn:acme:a".try_into().unwrap()));
    let leaf = ca.issue(&params).validated(&ca.roots, NOW).unwrap();
    assert!(CertificateName::Dns("A.Acme.EXAMPLE".to_owned()).is_of(&leaf), "RFC 4343: host names have no case");
    assert!(
        !CertificateName::Uri("URN:acme:a".to_owned()).is_of(&leaf) && CertificateName::Uri("urn:acme:a".to_owned()).is_of(&leaf)
    );
    assert!(
        !CertificateName::Dns("urn:acme:a".to_owned()).is_of(&leaf) && !CertificateName::Uri("urn:acme".to_owned()).is_of(&leaf)
    );
}

const SPIFFE: &str = "spiffe://acme.example/a";

fn svid_login(pattern: &str) -> ClientAuth {
    ClientAuth::SpiffeX509 { id: SpiffePattern::parse(pattern).unwrap() }
}

/// draft-ietf-oauth-spiffe-client-auth §3.2: with a SPIFFE ID as `client_id` an X509-SVID logs in, and nothing else that the
/// agent has.
#[test]
fn a_spiffe_id_as_client_id_is_for_svids_unless_an_agent_is_called_so() {
    let ca = Ca::new();
    let certificate = ca.issue(&dns("a.acme.example"));
    let both = vec![("a", vec![svid_login(SPIFFE), ca.login("a.acme.example")])];
    assert_eq!(why(log_in(both, &no_trust(), &certificate, SPIFFE, NOW)), Some(CertificateReason::Svid(TrustReason::Issuer)));
    let called = log_in(vec![(SPIFFE, vec![ca.login("a.acme.example")])], &no_trust(), &certificate, SPIFFE, NOW).unwrap();
    assert_eq!((called.agent().id.as_str(), called.method()), (SPIFFE, AuthMethod::TlsClientAuth));
    let overlapping = vec![("a", vec![svid_login(SPIFFE)]), ("b", vec![svid_login("spiffe://acme.example/*")])];
    let refused = log_in(overlapping, &no_trust(), &certificate, SPIFFE, NOW).unwrap_err();
    assert!(matches!(refused, ClientReason::SeveralAgents), "{refused:?}");
}

/// A bundle that cannot be had makes a refusal no verdict, in whichever order the logins stand, and hinders none that serves.
#[test]
fn a_bundle_that_cannot_be_had_does_not_stand_in_the_way_of_other_logins() {
    let (ca, mut params) = (Ca::new(), dns("a.acme.example"));
    params.subject_alt_names.push(SanType::URI(SPIFFE.try_into().unwrap()));
    let certificate = ca.issue(&params);
    for svid_first in [true, false] {
        let logins = |name: &str| {
            let mut logins = vec![ca.login(name), svid_login(SPIFFE)];
            logins.rotate_left(usize::from(svid_first));
            vec![("a", logins)]
        };
        assert!(log_in(logins("a.acme.example"), &bundleless(), &certificate, "a", NOW).is_ok());
        let refused = log_in(logins("b.acme.example"), &bundleless(), &certificate, "a", NOW).unwrap_err();
        assert!(matches!(refused, ClientReason::KeysUnavailable(TrustReason::KeysUnavailable)), "{refused:?}");
    }
}

/// A certificate that logs in nobody takes nothing away: the subject token may speak for its own subject as without one.
#[test]
fn a_certificate_that_logs_in_nobody_leaves_the_subject_token_its_say() {
    use serde_json::json;
    let certificate = Ca::new().issue(&dns("a.acme.example"));
    let attested = |claims: serde_json::Value| {
        let text = SPIRE_KEY.sign("JWT", claims.to_string().as_bytes()).unwrap();
        log_in_with(vec![("a", vec![spiffe(SPIFFE)])], &federation(), &certificate, "a", NOW, Some(&text))
    };
    let client = attested(json!({"sub": SPIFFE, "aud": ISSUER, "exp": SECONDS + 60})).unwrap();
    assert_eq!((client.method(), client.self_only()), (AuthMethod::SpiffeJwt, true));
    assert_eq!(client.proven().certificate(), Some(certificate.thumbprint()));
    assert_eq!(why(attested(json!({"sub": SPIFFE, "aud": ISSUER, "exp": SECONDS - 60}))), Some(CertificateReason::Stranger));
    let silent = attested(json!({"iss": SILENT, "sub": "x", "aud": ISSUER, "exp": SECONDS + 60})).unwrap_err();
    assert!(matches!(silent, ClientReason::KeysUnavailable(_)), "no verdict on either: {silent:?}");
}

#[test]
fn an_svid_without_authorities_of_its_trust_domain_is_refused() {
    let ca = Ca::new();
    let mut params = params("agent");
    params.subject_alt_names = vec![SanType::URI("spiffe://acme.example/a".try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let certificate = ca.issue(&params);
    let login = || ClientAuth::SpiffeX509 { id: SpiffePattern::parse("spiffe://acme.example/a").unwrap() };
    let refused = log_in(vec![("a", vec![login()])], &no_trust(), &certificate, "a", NOW);
    assert_eq!(why(refused), Some(CertificateReason::Svid(TrustReason::Issuer)));
}

/// RFC 5280 §6.3: what was taken back logs in nobody from then on, also over a connection that logged in before; a list that is
/// out of date is no verdict, unless another login of the agent serves.
#[test]
fn a_revoked_certificate_logs_in_nobody() {
    let ca = Ca::new();
    let mut params = dns("a.acme.example");
    params.serial_number = Some(7_u64.into());
    let certificate = ca.issue(&params);
    let by = |roots: &Arc<Roots>| ClientAuth::TlsClientAuth {
        roots: Arc::clone(roots),
        name: CertificateName::Dns("a.acme.example".to_owned()),
    };
    let result = |logins: Vec<ClientAuth>| log_in(vec![("a", logins)], &no_trust(), &certificate, "a", NOW);
    assert!(result(vec![by(&ca.roots)]).is_ok());
    assert!(result(vec![by(&ca.taking_back(8, 2028))]).is_ok());
    let revoked = result(vec![by(&ca.taking_back(7, 2028))]);
    assert_eq!(why(revoked), Some(CertificateReason::Chain(X509Reason::Revoked)));
    let (old, other) = (ca.taking_back(8, 2027), Ca::new());
    for logins in [vec![by(&old)], vec![by(&old), by(&other.roots)], vec![by(&other.roots), by(&old)]] {
        let unjudged = result(logins).unwrap_err();
        assert!(matches!(unjudged, ClientReason::KeysUnavailable(TrustReason::ListExpired)), "{unjudged}");
        assert!(unjudged.to_string().starts_with("the client certificate: the revocation list"), "{unjudged}");
    }
    assert!(result(vec![by(&old), by(&ca.roots)]).is_ok());
}
