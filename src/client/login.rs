//! The ways in which agents may log in, as configured, indexed by the credentials that a request shows.

mod terms;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
pub use terms::{VouchedBy, VouchedLogin};

use super::{AuthMethod, CertificateName, Dated, PeerCertificate};
use crate::crypto::Digest;
use crate::jose::Algorithm;
use crate::keys::ClientJwks;
use crate::net::Fetcher;
use crate::oauth::{ClientId, Clock, RuleName, SpiffeId, SpiffePattern, Subject, Time};
use crate::trust::{Requirement, SubjectKind, TrustKind, VerifiedAssertion};
use crate::x509::Roots;

/// One way in which an agent may log in.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// A JWT that the client signs with its own key (RFC 7523 §2.2, as tightened by rfc7523bis).
    PrivateKeyJwt {
        /// The client's public keys.
        keys: ClientJwks,
        /// The algorithms that the client may sign by.
        algorithms: Vec<Algorithm>,
        /// True when `aud` may also be the token endpoint, for clients that cannot send the issuer identifier.
        accept_token_endpoint: bool,
    },
    /// A JWT-SVID (draft-ietf-oauth-spiffe-client-auth §3.1).
    SpiffeJwt {
        /// The workloads that may use it.
        id: SpiffePattern,
    },
    /// An attestation under a trust rule.
    WorkloadJwt {
        /// The rule.
        rule: RuleName,
        /// The requirements on its claims; all of them.
        matchers: Vec<Requirement>,
    },
    /// A certificate from an authority, with one name (RFC 8705 §2.1).
    TlsClientAuth {
        /// The authority.
        roots: Arc<Roots>,
        /// The name.
        name: CertificateName,
    },
    /// A certificate that is registered as it is, or by its key (RFC 8705 §2.2).
    SelfSignedTls {
        /// SHA-256 of certificates.
        certificates: Vec<Digest>,
        /// RFC 7638 thumbprints of keys.
        keys: Vec<Digest>,
    },
    /// An X509-SVID (draft-ietf-oauth-spiffe-client-auth §3.2).
    SpiffeX509 {
        /// The workloads that may use it.
        id: SpiffePattern,
    },
    /// A certificate under a trust rule of kind `x509`.
    WorkloadX509 {
        /// The rule.
        rule: RuleName,
        /// The requirements on the certificate; all of them.
        matchers: Vec<Requirement>,
    },
    /// A client attestation under a trust rule of kind `client_attester` (draft-ietf-oauth-attestation-based-client-auth).
    ClientAttestation {
        /// The rule.
        rule: RuleName,
        /// True where a DPoP proof shows the key of the instance; else a JWT of its own does.
        dpop: bool,
    },
    /// A client secret (RFC 6749 §2.3.1).
    Secret {
        /// The [`super::hash_secret`] of the secret.
        digest: Digest,
        /// True when it may be sent as `Authorization: Basic`.
        basic: bool,
        /// True when it may be sent in the body.
        post: bool,
    },
}

/// Every agent's logins.
#[derive(Debug, Default)]
pub struct ClientAuths {
    keys: HashMap<ClientId, Vec<KeyLogin>>,
    secrets: HashMap<ClientId, Vec<SecretLogin>>,
    spiffe: HashMap<Box<str>, ClientId>,
    certificates: HashMap<ClientId, Vec<CertificateLogin>>,
    svids: HashMap<Box<str>, ClientId>,
    workloads: HashMap<RuleName, Vec<WorkloadLogin>>,
    attested: HashMap<ClientId, Vec<AttestedLogin>>,
    dated: HashMap<ClientId, Vec<Dated>>,
    /// Some client publishes its keys.
    publishes: bool,
    /// Every authority of a login by certificate, once.
    authorities: Vec<Arc<Roots>>,
}

/// A contradiction in the logins of one agent, or between those of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginComplaint {
    /// The agent whose login it is.
    pub agent: ClientId,
    /// The position among the agent's logins, counted from zero.
    pub position: usize,
    /// The mistake.
    pub reason: LoginReason,
}

/// A mistake in a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginReason {
    /// A key set without a usable key.
    NoKey,
    /// A certificate that nobody could have issued.
    NoAuthority,
    /// No algorithm allowed.
    NoAlgorithm,
    /// A workload login that every workload of its rule would satisfy.
    NoRequirement,
    /// A secret that may be sent nowhere.
    NoPlace,
    /// A credential that would log in another agent too.
    Ambiguous(ClientId),
    /// A login that the agent has already.
    Repeated,
}

/// A way in which an agent logs in by certificate.
#[derive(Debug)]
pub(super) enum CertificateLogin {
    /// Issued by an authority, and with one name (RFC 8705 §2.1).
    Authority { roots: Arc<Roots>, name: CertificateName },
    /// Registered as it is, or by its key (RFC 8705 §2.2).
    Registered { certificates: Vec<Digest>, keys: Vec<Digest> },
    /// An X509-SVID.
    Svid { id: SpiffePattern },
    /// Accepted by a trust rule of kind `x509`, with claims that meet all of this.
    Rule { rule: RuleName, matchers: Vec<Requirement> },
}

#[derive(Debug)]
pub(super) struct KeyLogin {
    pub(super) keys: ClientJwks,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) accept_token_endpoint: bool,
}

#[derive(Debug)]
struct SecretLogin {
    digest: Digest,
    basic: bool,
    post: bool,
}

#[derive(Debug)]
struct WorkloadLogin {
    agent: ClientId,
    requirements: Vec<Requirement>,
}

#[derive(Debug, PartialEq, Eq)]
struct AttestedLogin {
    rule: RuleName,
    dpop: bool,
}

/// The logins that an unknown client's secret is compared with; nothing can prove them.
static NOBODY: [SecretLogin; 1] = [SecretLogin { digest: Digest([0; 32]), basic: false, post: false }];

impl ClientAuths {
    /// Puts the logins of all agents together.
    ///
    /// # Errors
    /// Every login that could never serve, would serve everybody, or would log in two agents at once. Logins that overlap only
    /// in part are no error: where a credential fits two agents, `client_id` says which.
    pub fn new(agents: impl IntoIterator<Item = (ClientId, Vec<ClientAuth>)>) -> Result<Self, Vec<LoginComplaint>> {
        let (mut logins, mut complaints) = (Self::default(), Vec::new());
        for (agent, list) in agents {
            for (position, login) in list.into_iter().enumerate() {
                if let Err(reason) = logins.add(&agent, login) {
                    complaints.push(LoginComplaint { agent: agent.clone(), position, reason });
                }
            }
        }
        if complaints.is_empty() { Ok(logins) } else { Err(complaints) }
    }

    /// True where the agent may log in by a certificate that a trust rule accepts, which may name a running copy of it.
    pub fn has_vouched_certificates(&self, agent: &ClientId) -> bool {
        let vouched = |login: &CertificateLogin| matches!(login, CertificateLogin::Rule { .. } | CertificateLogin::Svid { .. });
        self.certificates.get(agent).is_some_and(|logins| logins.iter().any(vouched))
    }

    /// These logins with those of their keys and certificates that run out by themselves. Only tells: whoever checks a
    /// credential looks at its own dates.
    #[must_use]
    pub fn with_dated(self, dated: impl IntoIterator<Item = (ClientId, Vec<Dated>)>) -> Self {
        Self { dated: dated.into_iter().collect(), ..self }
    }

    /// The keys and certificates of `client` that run out by themselves.
    pub fn dated_of(&self, client: &ClientId) -> &[Dated] {
        self.dated.get(client).map(Vec::as_slice).unwrap_or_default()
    }

    /// The keys and certificates of all clients that run out by themselves, in no order.
    pub fn dated(&self) -> impl Iterator<Item = &Dated> {
        self.dated.values().flatten()
    }

    /// These logins; keys that `previous` fetches from the same addresses are taken over with what was fetched.
    #[must_use]
    pub fn taking_over(mut self, previous: &Self) -> Self {
        let known: Vec<&ClientJwks> = previous.published().collect();
        for login in self.keys.values_mut().flatten() {
            login.keys = login.keys.clone().or_known(known.iter().copied());
        }
        self
    }

    /// Keeps the keys fresh that agents publish themselves (`jwks_uri`). Must be called on a tokio runtime.
    pub fn keep_fresh(&self, fetcher: &Fetcher, clock: &Arc<dyn Clock>) {
        self.published().for_each(|keys| keys.keep_fresh(fetcher, clock));
    }

    /// True where a client publishes its keys: then they are waited for sometimes, and so is a refusal.
    pub(super) fn waits_for_keys(&self) -> bool {
        self.publishes
    }

    /// How many key sets that clients publish are out of reach at `now`.
    pub fn keys_out_of_reach(&self, now: Time) -> usize {
        self.published().filter(|keys| !keys.is_at_hand(now)).count()
    }

    fn published(&self) -> impl Iterator<Item = &ClientJwks> {
        self.keys.values().flatten().map(|login| &login.keys)
    }

    /// The agents that this attestation logs in, by their logins or its rule, each once, sorted. A person's token logs in nobody.
    pub fn agents_of<'a>(&'a self, assertion: &'a VerifiedAssertion) -> Vec<&'a ClientId> {
        let rule = assertion.rule();
        let mut agents: Vec<&ClientId> = match (rule.subject_kind(), rule.kind()) {
            (SubjectKind::User, _) | (_, TrustKind::IdJag) => Vec::new(),
            (SubjectKind::Workload, TrustKind::Spiffe) => self.by_spiffe_id(assertion),
            (SubjectKind::Workload, TrustKind::ClientAttester) => self.by_attestation(assertion),
            (SubjectKind::Workload, _) => self.by_claims(assertion),
        };
        agents.extend(rule.agent());
        agents.sort_unstable();
        agents.dedup();
        agents
    }

    /// True where a login names the workload that `subject` is: by its SPIFFE ID. Whom others log in their claims say,
    /// and not the name alone.
    pub fn names(&self, subject: &Subject) -> bool {
        let Ok(id) = SpiffeId::parse(subject.id()) else { return false };
        let known = id.patterns().any(|pattern| self.spiffe.contains_key(&*pattern) || self.svids.contains_key(&*pattern));
        subject.rule().is_some() && known
    }

    /// The methods by which `client` may log in, each once.
    pub fn methods_of(&self, client: &ClientId) -> Vec<AuthMethod> {
        let secrets = self.secrets.get(client).map(Vec::as_slice).unwrap_or_default();
        let workloads = || self.workloads.values().flatten();
        let attested = |dpop| self.attested_logins(client).iter().any(|login| login.dpop == dpop);
        let methods = [
            (AuthMethod::PrivateKeyJwt, !self.keys_of(client).is_empty()),
            (AuthMethod::SpiffeJwt, self.spiffe.values().any(|agent| agent == client)),
            (AuthMethod::WorkloadJwt, workloads().any(|login| login.agent == *client)),
            (AuthMethod::AttestJwt, attested(false)),
            (AuthMethod::AttestJwtDpop, attested(true)),
            (AuthMethod::SecretBasic, secrets.iter().any(|login| login.basic)),
            (AuthMethod::SecretPost, secrets.iter().any(|login| login.post)),
        ];
        let mut methods: Vec<_> = methods.into_iter().filter(|(_, has)| *has).map(|(method, _)| method).collect();
        for method in self.certificates_of(client).iter().map(CertificateLogin::method) {
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        methods
    }

    /// The trust rules by whose client attestations agents log in, in no order, each as often as an agent names it.
    pub fn attesters(&self) -> impl Iterator<Item = &RuleName> {
        self.attested.values().flatten().map(|login| &login.rule)
    }

    /// True where client attestations under `rule` log `client` in, their key being shown so.
    pub(super) fn takes_attestation(&self, client: &ClientId, rule: &RuleName, dpop: bool) -> bool {
        self.attested_logins(client).iter().any(|login| login.rule == *rule && login.dpop == dpop)
    }

    fn attested_logins(&self, client: &ClientId) -> &[AttestedLogin] {
        self.attested.get(client).map(Vec::as_slice).unwrap_or_default()
    }

    /// The keys that `client` may sign its assertions with; none for an unknown client.
    pub(super) fn keys_of(&self, client: &ClientId) -> &[KeyLogin] {
        self.keys.get(client).map(Vec::as_slice).unwrap_or_default()
    }

    /// The ways in which `client` logs in by certificate; none for an unknown client.
    pub(super) fn certificates_of(&self, client: &ClientId) -> &[CertificateLogin] {
        self.certificates.get(client).map(Vec::as_slice).unwrap_or_default()
    }

    /// The authority that a certificate is judged by whose own client has none that it names: the first that it does name.
    pub(super) fn stand_in(&self, certificate: &PeerCertificate) -> Option<&Roots> {
        self.authorities.iter().map(|roots| &**roots).find(|roots| certificate.names(roots))
    }

    /// The agents that an X509-SVID of that workload may log in, each once.
    pub(super) fn agents_of_svid(&self, id: &SpiffeId) -> Vec<&ClientId> {
        let mut agents: Vec<&ClientId> = id.patterns().filter_map(|pattern| self.svids.get(&*pattern)).collect();
        agents.sort_unstable();
        agents.dedup();
        agents
    }

    /// The agents that a certificate logs in, as a trust rule reads it, each once, in alphabetical order.
    pub(super) fn agents_of_certificate(&self, assertion: &VerifiedAssertion) -> Vec<&ClientId> {
        if assertion.rule().kind() == TrustKind::Spiffe {
            return assertion.spiffe_id().map(|id| self.agents_of_svid(&id)).unwrap_or_default();
        }
        let fitting = self.certificates.iter().filter(|(_, logins)| logins.iter().any(|login| login.fits(assertion)));
        let mut agents: Vec<&ClientId> = fitting.map(|(agent, _)| agent).collect();
        agents.sort_unstable();
        agents
    }

    /// True when `secret` is one of the client's that may be sent this way. Takes the same time for an unknown client.
    pub(super) fn secret_proves(&self, client: Option<&ClientId>, secret: Digest, method: AuthMethod) -> bool {
        let known = client.and_then(|client| self.secrets.get(client)).map_or(NOBODY.as_slice(), Vec::as_slice);
        known.iter().fold(false, |proven, login| proven | (login.digest.same_as(&secret) & login.may_come_by(method)))
    }

    fn by_spiffe_id(&self, assertion: &VerifiedAssertion) -> Vec<&ClientId> {
        let Some(id) = assertion.spiffe_id() else { return Vec::new() };
        id.patterns().filter_map(|pattern| self.spiffe.get(&*pattern)).collect()
    }

    /// The agent that a client attestation names, where it logs in by those of that rule, by whichever proof.
    fn by_attestation(&self, assertion: &VerifiedAssertion) -> Vec<&ClientId> {
        let named = assertion.claims().text("sub").ok().flatten().and_then(|sub| ClientId::parse(&sub).ok());
        let known = named.and_then(|client| self.attested.get_key_value(&client));
        let rule = assertion.rule().name();
        known.filter(|(_, logins)| logins.iter().any(|login| login.rule == *rule)).map(|(client, _)| client).into_iter().collect()
    }

    fn by_claims(&self, assertion: &VerifiedAssertion) -> Vec<&ClientId> {
        let claims = assertion.claims();
        let logins = self.workloads.get(assertion.rule().name()).map(Vec::as_slice).unwrap_or_default();
        let fitting = logins.iter().filter(|login| login.requirements.iter().all(|requirement| requirement.holds(claims)));
        fitting.map(|login| &login.agent).collect()
    }

    fn add(&mut self, agent: &ClientId, login: ClientAuth) -> Result<(), LoginReason> {
        match login {
            ClientAuth::PrivateKeyJwt { keys, .. } if keys.is_empty() => Err(LoginReason::NoKey),
            ClientAuth::PrivateKeyJwt { algorithms, .. } if algorithms.is_empty() => Err(LoginReason::NoAlgorithm),
            ClientAuth::PrivateKeyJwt { keys, algorithms, accept_token_endpoint } => {
                self.publishes |= keys.is_published();
                self.keys.entry(agent.clone()).or_default().push(KeyLogin { keys, algorithms, accept_token_endpoint });
                Ok(())
            }
            ClientAuth::SpiffeJwt { id } => match self.spiffe.insert(id.to_string().into(), agent.clone()) {
                Some(other) => Err(LoginReason::taken(agent, &other)),
                None => Ok(()),
            },
            ClientAuth::TlsClientAuth { roots, .. } if roots.is_empty() => Err(LoginReason::NoAuthority),
            ClientAuth::TlsClientAuth { roots, name } => {
                if !self.authorities.iter().any(|known| known.digest().same_as(&roots.digest())) {
                    self.authorities.push(Arc::clone(&roots));
                }
                self.add_certificate(agent, CertificateLogin::Authority { roots, name })
            }
            ClientAuth::SelfSignedTls { certificates, keys } if certificates.is_empty() && keys.is_empty() => {
                Err(LoginReason::NoKey)
            }
            ClientAuth::SelfSignedTls { certificates, keys } => {
                self.add_certificate(agent, CertificateLogin::Registered { certificates, keys })
            }
            ClientAuth::SpiffeX509 { id } => match self.svids.insert(id.to_string().into(), agent.clone()) {
                Some(other) => Err(LoginReason::taken(agent, &other)),
                None => self.add_certificate(agent, CertificateLogin::Svid { id }),
            },
            ClientAuth::WorkloadJwt { rule, matchers } => self.add_workload(agent, rule, matchers),
            ClientAuth::WorkloadX509 { matchers, .. } if matchers.is_empty() => Err(LoginReason::NoRequirement),
            ClientAuth::WorkloadX509 { rule, matchers } => self.add_certificate(agent, CertificateLogin::Rule { rule, matchers }),
            ClientAuth::ClientAttestation { rule, dpop } => {
                let (logins, login) = (self.attested.entry(agent.clone()).or_default(), AttestedLogin { rule, dpop });
                let repeated = logins.contains(&login);
                logins.push(login);
                if repeated { Err(LoginReason::Repeated) } else { Ok(()) }
            }
            ClientAuth::Secret { basic: false, post: false, .. } => Err(LoginReason::NoPlace),
            ClientAuth::Secret { digest, basic, post } => {
                self.secrets.entry(agent.clone()).or_default().push(SecretLogin { digest, basic, post });
                Ok(())
            }
        }
    }

    fn add_certificate(&mut self, agent: &ClientId, login: CertificateLogin) -> Result<(), LoginReason> {
        self.certificates.entry(agent.clone()).or_default().push(login);
        Ok(())
    }

    /// Several agents may be the same workload: their attestations are matched by claims, which overlap anyway, and `client_id`
    /// says which of them it is.
    fn add_workload(&mut self, agent: &ClientId, rule: RuleName, requirements: Vec<Requirement>) -> Result<(), LoginReason> {
        if requirements.is_empty() {
            return Err(LoginReason::NoRequirement);
        }
        let logins = self.workloads.entry(rule).or_default();
        if logins.iter().any(|login| login.agent == *agent && same_members(&login.requirements, &requirements)) {
            return Err(LoginReason::Repeated);
        }
        logins.push(WorkloadLogin { agent: agent.clone(), requirements });
        Ok(())
    }
}

impl CertificateLogin {
    /// The method that it is.
    pub(super) fn method(&self) -> AuthMethod {
        match self {
            Self::Authority { .. } => AuthMethod::TlsClientAuth,
            Self::Registered { .. } => AuthMethod::SelfSignedTls,
            Self::Svid { .. } => AuthMethod::SpiffeX509,
            Self::Rule { .. } => AuthMethod::WorkloadX509,
        }
    }

    /// True when the login is for what a trust rule of kind `x509` accepted.
    pub(super) fn fits(&self, assertion: &VerifiedAssertion) -> bool {
        match self {
            Self::Rule { rule, matchers } => {
                rule == assertion.rule().name() && matchers.iter().all(|matcher| matcher.holds(assertion.claims()))
            }
            _ => false,
        }
    }
}

impl SecretLogin {
    fn may_come_by(&self, method: AuthMethod) -> bool {
        match method {
            AuthMethod::SecretBasic => self.basic,
            AuthMethod::SecretPost => self.post,
            _ => false,
        }
    }
}

impl LoginReason {
    fn taken(agent: &ClientId, by: &ClientId) -> Self {
        if agent == by { Self::Repeated } else { Self::Ambiguous(by.clone()) }
    }
}

fn same_members(one: &[Requirement], other: &[Requirement]) -> bool {
    one.iter().all(|requirement| other.contains(requirement)) && other.iter().all(|requirement| one.contains(requirement))
}

impl fmt::Display for LoginReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("the key set has no usable key"),
            Self::NoAuthority => {
                f.write_str("`ca_file` is missing in [login], and so is `client_ca` in [tls]: who issues the certificate")
            }
            Self::NoAlgorithm => f.write_str("no algorithm is allowed"),
            Self::NoRequirement => {
                f.write_str("match is empty, so every workload of the trust rule could log in; say which one may")
            }
            Self::NoPlace => f.write_str("the secret may be sent neither as Authorization: Basic nor in the body"),
            Self::Ambiguous(other) => write!(f, "the same credential already logs in the agent {other}"),
            Self::Repeated => f.write_str("the agent already has this login"),
        }
    }
}

impl fmt::Display for LoginComplaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent {}, login {}: {}", self.agent, self.position + 1, self.reason)
    }
}

#[cfg(test)]
mod tests;
