//! Every check of one foreign token or certificate under one trust rule, in the order in which they are made. A reader finds
//! here all that can refuse it; the files of the platforms hold only the grammar of their own claims.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};

use super::confirmation::foreign_confirmation;
use super::found::Seen;
use super::platform::{self, PlatformClaims, aws, azure, buildkite, gcp, github, gitlab, kubernetes, refuse_if};
use super::rule::IssuerSelector;
use super::{PlatformReason, SubjectKind, TrustKind, TrustReason, TrustRefusal, TrustRule};
use crate::crypto::Digest;
use crate::jose::{Cache, Compact, Object};
use crate::keys::KeyMaterial;
use crate::oauth::{CLOCK_SKEW, Confirmation, ForeignName, JTI_BYTES_MAX, SpiffeId, Time, TrustDomain, is_printable};
use crate::x509::{self, Leaf, Roots, X509Reason};

/// The `typ` of a client attestation (draft-ietf-oauth-attestation-based-client-auth §4).
pub(super) const CLIENT_ATTESTATION: &str = "oauth-client-attestation+jwt";

/// The `typ` of an identity assertion grant (draft-ietf-oauth-identity-assertion-authz-grant).
pub(super) const ID_JAG: &str = "oauth-id-jag+jwt";

/// A genuine, current foreign token that is meant for us, or a certificate, as the one rule that accepts it reads it. Made only
/// by the two functions below, which list every check.
#[derive(Clone)]
pub struct VerifiedAssertion {
    rule: Arc<TrustRule>,
    claims: Arc<Object>,
    digest: Digest,
    validity: Validity,
    id: ForeignName,
    instance: Option<ForeignName>,
    attributes: Vec<(String, String)>,
    confirmation: Option<Confirmation>,
    review: Option<Digest>,
}

/// A leaf whose chain led to a root. What it says is written as claims once, however often its holder presents it.
pub struct ValidatedLeaf {
    leaf: Leaf,
    claims: OnceLock<Arc<Object>>,
}

/// The times of a token that is current.
#[derive(Clone, Copy)]
pub(super) struct Validity {
    expires: Time,
    issued: Time,
}

impl VerifiedAssertion {
    /// Checks `token`, whose unverified claims are `claims`, under `rule`. `material` is what counts of the rule's keys; no key
    /// is touched before the claims are found to be of the rule's kind, and current. The signature may be known from `cache`.
    ///
    /// # Errors
    /// The first check that fails, with what was found; `KeysUnavailable` when it would take keys that are not there.
    pub(super) fn of_token(
        rule: &Arc<TrustRule>,
        token: &Compact<'_>,
        claims: &Object,
        material: Option<&KeyMaterial>,
        cache: &Cache,
        now: Time,
    ) -> Result<Self, TrustRefusal> {
        let keys = material.map(|material| &*material.keys);
        let seen = |reason| TrustRefusal::of(reason, &Seen { rule, token, claims, keys, now });
        Self::checked(rule, token, claims, material, cache, now).map_err(seen)
    }

    fn checked(
        rule: &Arc<TrustRule>,
        token: &Compact<'_>,
        claims: &Object,
        material: Option<&KeyMaterial>,
        cache: &Cache,
        now: Time,
    ) -> Result<Self, TrustReason> {
        check_enabled(rule)?;
        check_type(rule, token, claims)?;
        check_platform(rule, token, claims).map_err(TrustReason::Platform)?;
        let validity = check_dates(claims, now, rule.lifetime_max())?;
        let keys = &material.ok_or(TrustReason::KeysUnavailable)?.keys;
        let verified = token.verify_cached(keys, rule.algorithms(), cache, now)?;
        check_audience(rule, verified.claims())?;
        Self::read(rule, verified.into_claims(), token.digest(), validity)
    }

    /// Checks a certificate under `rule`. `validated` finds a path to the rule's roots, and may know one already. A certificate
    /// is for nobody in particular, so there is no audience to check.
    ///
    /// # Errors
    /// The first check that fails; `KeysUnavailable` when the rule's roots are not there.
    pub(super) fn of_certificate(
        rule: &Arc<TrustRule>,
        material: Option<KeyMaterial>,
        validated: &dyn Fn(&Roots) -> Result<Arc<ValidatedLeaf>, X509Reason>,
    ) -> Result<Self, TrustReason> {
        check_enabled(rule)?;
        let roots = material.ok_or(TrustReason::KeysUnavailable)?.roots.ok_or(X509Reason::Path)?;
        let leaf = validated(&roots)?;
        check_names(rule, &leaf)?;
        let validity = Validity { expires: leaf.not_after, issued: leaf.not_before };
        Self::read(rule, leaf.claims()?, leaf.thumbprint, validity)
    }

    /// The last checks, of claims that are genuine: the key that they are bound to, the rule's requirements, and its subject.
    fn read(rule: &Arc<TrustRule>, claims: Arc<Object>, digest: Digest, validity: Validity) -> Result<Self, TrustReason> {
        let confirmation = foreign_confirmation(&claims).map_err(TrustReason::Confirmation)?;
        check_requirements(rule, &claims)?;
        let id = rule.subject().id(&claims).ok_or(TrustReason::SubjectId)?;
        let instance = check_instance(rule, &claims)?;
        let (attributes, unread) = rule.subject().attributes(&claims);
        unread.into_iter().for_each(|claim| rule.tell_unread(claim, claims.find(claim)));
        Ok(Self { rule: Arc::clone(rule), claims, digest, validity, id, instance, attributes, confirmation, review: None })
    }
}

pub(super) fn check_enabled(rule: &TrustRule) -> Result<(), TrustReason> {
    if rule.enabled() { Ok(()) } else { Err(TrustReason::Disabled) }
}

/// Refuses what is signed by the same issuer but says something else (RFC 8725 §3.11, §3.12).
pub(super) fn check_type(rule: &TrustRule, token: &Compact<'_>, claims: &Object) -> Result<(), TrustReason> {
    match (rule.selector(), rule.kind()) {
        (IssuerSelector::TrustDomain(domain), _) => check_jwt_svid(token, claims, domain),
        (IssuerSelector::Roots, _) => Err(TrustReason::Issuer),
        (IssuerSelector::Issuer(_), TrustKind::Oauth) => check_access_token(rule, token, claims),
        (IssuerSelector::Issuer(_), TrustKind::IdJag) => check_id_jag(token, claims),
        (IssuerSelector::Issuer(_), TrustKind::ClientAttester) => check_client_attestation(rule, token, claims),
        (IssuerSelector::Issuer(_), _) => check_identity_token(rule, token, claims),
    }?;
    check_no_event(claims)
}

/// A security event or logout token identifies nobody (RFC 8417 §2.2).
fn check_no_event(claims: &Object) -> Result<(), TrustReason> {
    if claims.has("events") { Err(TrustReason::Event) } else { Ok(()) }
}

/// A JWT-SVID of a workload in `domain` (SPIFFE JWT-SVID §2, §3).
fn check_jwt_svid(token: &Compact<'_>, claims: &Object, domain: &TrustDomain) -> Result<(), TrustReason> {
    if token.header_names().any(|name| !matches!(name, "alg" | "kid" | "typ")) {
        return Err(TrustReason::HeaderMember);
    }
    if token.typ().is_some_and(|typ| !matches!(typ, "JWT" | "JOSE")) {
        return Err(TrustReason::Typ);
    }
    let id = spiffe_id(claims).ok_or(TrustReason::SpiffeId)?;
    let is_workload = id.trust_domain() == domain.as_str() && !id.path().is_empty();
    if is_workload { Ok(()) } else { Err(TrustReason::SpiffeId) }
}

/// An access token of another authorization server and nothing else (RFC 9068 §4), as far as `typ` tells.
fn check_access_token(rule: &TrustRule, token: &Compact<'_>, claims: &Object) -> Result<(), TrustReason> {
    if !rule.access_tokens().is_some_and(|form| form.has_type_of(token)) {
        return Err(TrustReason::AccessTyp);
    }
    check_texts(claims, &["sub", "azp", "jti", "client_id"])
}

/// An identity assertion grant and nothing else (draft-ietf-oauth-identity-assertion-authz-grant, Processing Rules): its issuer
/// signs ID tokens and access tokens by the same keys.
fn check_id_jag(token: &Compact<'_>, claims: &Object) -> Result<(), TrustReason> {
    if !token.typ_is(ID_JAG) {
        return Err(TrustReason::IdJagTyp);
    }
    check_texts(claims, &["sub", "jti", "client_id"])
}

/// An ID token (OpenID Connect Core §2) or an attestation that is named by `iss`: no access token and no explicitly typed JWT. A
/// platform that no specification names may write what it likes as `scope` of a workload.
fn check_identity_token(rule: &TrustRule, token: &Compact<'_>, claims: &Object) -> Result<(), TrustReason> {
    if token.typ().is_some() && !token.typ_is("jwt") {
        return Err(TrustReason::Typ);
    }
    let own_words = rule.kind() == TrustKind::Oidc && rule.subject_kind() == SubjectKind::Workload;
    if !own_words && (claims.has("scope") || claims.has("scp")) {
        return Err(TrustReason::AccessToken);
    }
    check_texts(claims, &["sub", "azp", "jti"])
}

/// A client attestation (draft-ietf-oauth-attestation-based-client-auth §4). It need not say by `iss` who issued it, which the
/// key that signed it does; what it says must be so.
fn check_client_attestation(rule: &TrustRule, token: &Compact<'_>, claims: &Object) -> Result<(), TrustReason> {
    if !token.typ_is(CLIENT_ATTESTATION) {
        return Err(TrustReason::AttestationTyp);
    }
    let others = claims.has("iss") && claims.text("iss")?.as_deref() != Some(rule.issuer());
    if others { Err(TrustReason::Issuer) } else { check_texts(claims, &["sub"]) }
}

/// Registered claims keep their type (RFC 7519 §4.1): the number 7 is not the subject "7". They name somebody, and are compared
/// with names that can be seen.
fn check_texts(claims: &Object, names: &[&'static str]) -> Result<(), TrustReason> {
    // A null jti is what serialisers write for none.
    for name in names.iter().filter(|name| **name != "jti" || claims.raw("jti") != Some("null")) {
        if claims.text(name)?.is_some_and(|text| !is_printable(&text)) {
            return Err(TrustReason::Unprintable(name));
        }
    }
    Ok(())
}

/// Refuses what no rule of the kind should accept: first tokens for the platform itself or for everybody, such as those for an
/// API server, a cloud, or with a default audience; then what the grammar of its claims shows. The claims are not verified yet;
/// nothing here trusts them.
pub(super) fn check_platform(rule: &TrustRule, token: &Compact<'_>, claims: &Object) -> Result<(), PlatformReason> {
    let claims = platform_claims(rule, claims);
    let foreign = |audience: &Cow<'_, str>| platform::is_foreign_audience(rule.kind(), rule.issuer(), audience);
    refuse_if(rule.kind().is_platform() && claims.audiences().iter().any(foreign), PlatformReason::Audience)?;
    match rule.kind() {
        TrustKind::Oidc | TrustKind::Spiffe | TrustKind::X509 => Ok(()),
        TrustKind::Oauth => check_access_claims(rule, claims),
        // Legacy tokens, a `sub` that the private claims contradict.
        TrustKind::Kubernetes => kubernetes::check(claims),
        // Pull requests unless `event_name` is pinned, a `sub` or `ref` that other claims contradict.
        TrustKind::Github => github::check(claims),
        // Forks, merge requests unless `pipeline_source` is pinned, contradictions.
        TrustKind::Gitlab => gitlab::check(claims),
        // Tag builds where the rule pins the branch, contradictions.
        TrustKind::Buildkite => buildkite::check(claims),
        // People, who have the same issuer and keys.
        TrustKind::Gcp => gcp::check(claims),
        // People of IAM Identity Center, and an account that `sub` contradicts.
        TrustKind::Aws => aws::check(claims),
        TrustKind::ClientAttester => check_attested_client(claims),
        TrustKind::IdJag => check_handed_over(claims),
        // Tokens for Graph, other tenants' tokens (the keys are shared), people.
        TrustKind::Azure => azure::check(claims, token),
    }
}

/// The claims that an access token has (RFC 9068 §2.2) and an ID token has not, whatever its `typ` is (RFC 8725 §3.12), by
/// the form that its issuer gives it.
fn check_access_claims(rule: &TrustRule, claims: PlatformClaims<'_>) -> Result<(), PlatformReason> {
    let Some(form) = rule.access_tokens() else { return Ok(()) };
    refuse_if(form.foreign.iter().any(|claim| claims.has(claim)), PlatformReason::IdToken)?;
    refuse_if(!form.marks.iter().all(|mark| mark.holds(claims.all())), PlatformReason::Unmarked)?;
    // Some providers leave it out where a client acts for itself; then the rule takes its subject from elsewhere.
    refuse_if(form.marks.is_empty() && claims.need("sub").is_err(), PlatformReason::Claim("sub"))?;
    refuse_if(!claims.has("iat"), PlatformReason::Claim("iat"))?;
    refuse_if(form.client(claims.all()).is_none(), PlatformReason::Client)?;
    refuse_if(form.scopes(claims.all()).is_none(), PlatformReason::Scopes)
}

/// The client that a client attestation names, and the whole key of the instance that it binds to it.
fn check_attested_client(claims: PlatformClaims<'_>) -> Result<(), PlatformReason> {
    refuse_if(claims.need("sub").is_err(), PlatformReason::Claim("sub"))?;
    refuse_if(claims.all().find("/cnf/jwk").is_none(), PlatformReason::Claim("cnf"))
}

/// The client that redeems it here, and the name by which it is redeemed once.
fn check_handed_over(claims: PlatformClaims<'_>) -> Result<(), PlatformReason> {
    let once = claims.need("jti").is_ok_and(|jti| (1..=JTI_BYTES_MAX).contains(&jti.len()));
    refuse_if(!once, PlatformReason::Claim("jti"))?;
    refuse_if(claims.need("client_id").is_err(), PlatformReason::Claim("client_id"))?;
    refuse_if(!claims.has("iat"), PlatformReason::Claim("iat"))
}

/// `exp`, `nbf` and `iat` at `now`, and the longest lifetime allowed (RFC 7519 §4.1.4 to §4.1.6).
pub(super) fn check_dates(claims: &Object, now: Time, lifetime_max: Duration) -> Result<Validity, TrustReason> {
    let expires = claims.date("exp")?.ok_or(TrustReason::NoExpiry)?;
    if expires <= now {
        return Err(TrustReason::Expired);
    }
    let (issued_at, not_before) = (claims.date("iat")?, claims.date("nbf")?);
    if [issued_at, not_before].into_iter().flatten().any(|time| time > now.plus(CLOCK_SKEW)) {
        return Err(TrustReason::Early);
    }
    // Without iat the lifetime cannot be known; what is left of it must at least be within bounds.
    if expires.since(issued_at.unwrap_or(now)) > lifetime_max {
        return Err(TrustReason::Lifetime);
    }
    // It may be as old as any token of the rule may be.
    Ok(Validity { expires, issued: issued_at.unwrap_or(expires.before(lifetime_max)) })
}

/// That the token is for us. Who takes a client attestation looks at its proof for that, and at what `aud` it may have.
pub(super) fn check_audience(rule: &TrustRule, claims: &Object) -> Result<(), TrustReason> {
    if rule.kind().is_for_everybody() {
        return Ok(());
    }
    let audiences = audiences(rule, claims)?;
    let ours = audiences.iter().any(|audience| rule.audiences().iter().any(|accepted| accepted == audience));
    if ours { Ok(()) } else { Err(TrustReason::Audience) }
}

/// Everybody whom the token is meant for, by `aud`; where its issuer leaves that out, by the client.
pub(super) fn audiences<'a>(rule: &TrustRule, claims: &'a Object) -> Result<Vec<Cow<'a, str>>, TrustReason> {
    let by_client = rule.access_tokens().filter(|form| form.client_is_audience && !claims.has("aud"));
    match by_client {
        Some(form) => Ok(form.client(claims).into_iter().collect()),
        None => Ok(claims.strings("aud")?.ok_or(TrustReason::Audience)?),
    }
}

/// An X509-SVID has one SPIFFE ID. A certificate with a SPIFFE ID is for the rule of its trust domain to judge, and for no
/// other.
fn check_names(rule: &TrustRule, leaf: &Leaf) -> Result<(), X509Reason> {
    match rule.selector() {
        IssuerSelector::TrustDomain(domain) => x509::spiffe_id(leaf, domain).map(drop),
        _ if leaf.uris.iter().any(|uri| x509::is_spiffe(uri)) => Err(X509Reason::SpiffeId),
        _ => Ok(()),
    }
}

pub(super) fn check_requirements(rule: &TrustRule, claims: &Object) -> Result<(), TrustReason> {
    if rule.require().iter().all(|requirement| requirement.holds(claims)) { Ok(()) } else { Err(TrustReason::Requirement) }
}

/// The running copy, as the rule reads it or else as its platform tells it.
pub(super) fn check_instance(rule: &TrustRule, claims: &Object) -> Result<Option<ForeignName>, TrustReason> {
    match rule.subject().instance(claims) {
        Some(instance) => instance.map(Some).ok_or(TrustReason::Instance),
        None => {
            let told = platform::instance(rule.kind(), platform_claims(rule, claims));
            told.map(ForeignName::parse).transpose().map_err(|_| TrustReason::Instance)
        }
    }
}

fn platform_claims<'a>(rule: &'a TrustRule, claims: &'a Object) -> PlatformClaims<'a> {
    PlatformClaims::new(claims, rule.issuer(), rule.require())
}

/// The SPIFFE ID in `sub`, if it is one.
pub(super) fn spiffe_id(claims: &Object) -> Option<SpiffeId> {
    claims.text("sub").ok().flatten().and_then(|sub| SpiffeId::parse(&sub).ok())
}

/// A certificate written as claims: `sub` is the SPIFFE ID or the subject's distinguished name. A kind of name that stands once
/// is a string, several are an array, which no matcher equals.
fn certificate_claims(leaf: &Leaf) -> Result<Object, TrustReason> {
    let mut members = Map::new();
    let sub = leaf.uris.iter().find(|uri| x509::is_spiffe(uri)).unwrap_or(&leaf.subject);
    members.insert("sub".to_owned(), sub.as_str().into());
    members.insert("issuer".to_owned(), leaf.issuer.as_str().into());
    members.insert("serial".to_owned(), leaf.serial.as_str().into());
    members.insert("x5t#S256".to_owned(), leaf.thumbprint.to_string().into());
    for (name, list) in [("uri", &leaf.uris), ("dns", &leaf.dns), ("email", &leaf.emails)] {
        match list.as_slice() {
            [] => {}
            [one] => drop(members.insert(name.to_owned(), one.as_str().into())),
            several => drop(members.insert(name.to_owned(), several.into())),
        }
    }
    let parts = leaf.parts.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    members.insert("subject".to_owned(), Value::Object(parts.collect()));
    Ok(Object::parse(Value::Object(members).to_string())?)
}

impl ValidatedLeaf {
    fn claims(&self) -> Result<Arc<Object>, TrustReason> {
        if let Some(written) = self.claims.get() {
            return Ok(Arc::clone(written));
        }
        let written = Arc::new(certificate_claims(&self.leaf)?);
        Ok(Arc::clone(self.claims.get_or_init(|| written)))
    }
}

impl From<Leaf> for ValidatedLeaf {
    fn from(leaf: Leaf) -> Self {
        Self { leaf, claims: OnceLock::new() }
    }
}

impl Deref for ValidatedLeaf {
    type Target = Leaf;

    fn deref(&self) -> &Leaf {
        &self.leaf
    }
}

impl VerifiedAssertion {
    /// The rule that accepted it.
    pub fn rule(&self) -> &Arc<TrustRule> {
        &self.rule
    }

    /// The subject's id under that rule.
    pub fn id(&self) -> &ForeignName {
        &self.id
    }

    /// The token's `iss`; for a JWT-SVID its trust domain as `spiffe://…`.
    pub fn issuer(&self) -> &str {
        self.rule.issuer()
    }

    /// All its claims; for a certificate, what it says written as claims.
    pub fn claims(&self) -> &Object {
        &self.claims
    }

    /// The SPIFFE ID in its `sub`, if that is one.
    pub fn spiffe_id(&self) -> Option<SpiffeId> {
        spiffe_id(self.claims())
    }

    /// Its `exp`, or the certificate's `notAfter`.
    pub fn expires(&self) -> Time {
        self.validity.expires
    }

    /// Its `iat`, or the certificate's `notBefore`; without `iat` the earliest instant that its rule allows.
    pub fn issued(&self) -> Time {
        self.validity.issued
    }

    /// The running copy of the workload, if the rule reads one.
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_ref().map(ForeignName::as_str)
    }

    /// The attributes that the rule reads, by name; each member of a set for itself.
    pub fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    /// Everybody whom the token is meant for: us, and perhaps others.
    pub fn audiences(&self) -> Vec<Cow<'_, str>> {
        audiences(&self.rule, self.claims()).unwrap_or_default()
    }

    /// The key that its holder must prove: its `cnf`. Whoever takes the token must ask for that proof.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.confirmation
    }

    /// The verdict of the cluster that issued it, by digest, where it was asked.
    pub fn review(&self) -> Option<Digest> {
        self.review
    }

    /// This assertion with the verdict of its cluster.
    pub(super) fn reviewed(self, verdict: Digest) -> Self {
        Self { review: Some(verdict), ..self }
    }

    /// The SHA-256 of the whole token, or of the certificate.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// Certificates name people and machines: never printed.
impl fmt::Debug for ValidatedLeaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValidatedLeaf")
    }
}

/// Claims are personal: never printed.
impl fmt::Debug for VerifiedAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedAssertion({})", self.rule.name())
    }
}

#[cfg(test)]
mod tests;
