//! The logins of an agent in words, so that one that is taken away can be told. Nothing secret stands in them.

use super::{CertificateLogin, ClientAuths, KeyLogin};
use crate::client::{AuthMethod, CertificateName};
use crate::crypto::Digest;
use crate::oauth::{ClientId, RuleName, SpiffeId};
use crate::trust::Requirement;

/// A login by which somebody whom a trust rule vouches for is an agent here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VouchedLogin {
    /// The agent.
    pub agent: ClientId,
    /// The authentication method.
    pub method: AuthMethod,
    /// The rule; an SVID's is that of its trust domain.
    pub by: VouchedBy,
    /// Those whom it admits, in words.
    pub who: String,
}

/// How the rule of a login is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VouchedBy {
    /// By its name.
    Rule(RuleName),
    /// By the trust domain, as `spiffe://…`.
    Domain(String),
}

impl ClientAuths {
    /// Everything that `client` may log in with, one term for each credential; in no order.
    pub fn terms_of(&self, client: &ClientId) -> Vec<String> {
        let keys = self.keys_of(client).iter().flat_map(keys);
        let secrets = self.secrets.get(client).map(Vec::as_slice).unwrap_or_default().iter();
        // The digest of a secret is not told: it can be tried.
        let secrets = secrets.map(|login| format!("login by secret {}", Digest::of(&login.digest.0)));
        let svids = self.spiffe.iter().filter(|(_, agent)| *agent == client);
        let svids = svids.map(|(id, _)| format!("login by JWT-SVID of {id}"));
        let workloads = self.workloads.iter().flat_map(|(rule, logins)| logins.iter().map(move |login| (rule, login)));
        let workloads = workloads.filter(|(_, login)| login.agent == *client);
        let workloads = workloads.map(|(rule, login)| format!("login by {rule} where {}", conditions(&login.requirements)));
        let attested = self.attested_logins(client).iter().map(|login| match login.dpop {
            true => format!("login by client attestation of {} with a DPoP proof", login.rule),
            false => format!("login by client attestation of {}", login.rule),
        });
        let certificates = self.certificates_of(client).iter().flat_map(certificates);
        keys.chain(attested).chain(secrets).chain(svids).chain(workloads).chain(certificates).collect()
    }
}

impl ClientAuths {
    /// Every login that a trust rule vouches for, by agent.
    pub fn vouched_logins(&self) -> Vec<VouchedLogin> {
        let svid = |agent: &ClientId, method, id: &str| {
            let domain = SpiffeId::parse(id.trim_end_matches("/*")).map(|id| format!("spiffe://{}", id.trust_domain()));
            VouchedLogin { agent: agent.clone(), method, by: VouchedBy::Domain(domain.unwrap_or_default()), who: id.to_owned() }
        };
        let under = |agent: &ClientId, method, rule: &RuleName, requirements: &[Requirement]| {
            let by = VouchedBy::Rule(rule.clone());
            VouchedLogin { agent: agent.clone(), method, by, who: conditions(requirements) }
        };
        let svids = self.spiffe.iter().map(|(id, agent)| svid(agent, AuthMethod::SpiffeJwt, id));
        let certified = self.svids.iter().map(|(id, agent)| svid(agent, AuthMethod::SpiffeX509, id));
        let workloads = self.workloads.iter().flat_map(|(rule, logins)| {
            logins.iter().map(move |login| under(&login.agent, AuthMethod::WorkloadJwt, rule, &login.requirements))
        });
        let certificates = self.certificates.iter().flat_map(|(agent, logins)| {
            logins.iter().filter_map(move |login| match login {
                CertificateLogin::Rule { rule, matchers } => Some(under(agent, AuthMethod::WorkloadX509, rule, matchers)),
                _ => None,
            })
        });
        let attested = self.attested.iter().flat_map(|(agent, logins)| {
            logins.iter().map(move |login| VouchedLogin {
                agent: agent.clone(),
                method: if login.dpop { AuthMethod::AttestJwtDpop } else { AuthMethod::AttestJwt },
                by: VouchedBy::Rule(login.rule.clone()),
                who: "every instance that is attested for it".to_owned(),
            })
        });
        let all = svids.chain(certified).chain(workloads).chain(certificates).chain(attested);
        let mut logins: Vec<VouchedLogin> = all.collect();
        logins.sort_unstable_by(|one, other| (&one.agent, &one.who).cmp(&(&other.agent, &other.who)));
        logins
    }
}

fn conditions(requirements: &[Requirement]) -> String {
    requirements.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

fn keys(login: &KeyLogin) -> Vec<String> {
    login.keys.described().into_iter().map(|key| format!("login by key {key}")).collect()
}

fn certificates(login: &CertificateLogin) -> Vec<String> {
    match login {
        CertificateLogin::Authority { name, .. } => vec![format!("login by certificate with {}", words(name))],
        CertificateLogin::Registered { certificates, keys } => {
            let certificates = certificates.iter().map(|digest| format!("login by certificate {digest}"));
            certificates.chain(keys.iter().map(|key| format!("login by certificate with key {key}"))).collect()
        }
        CertificateLogin::Svid { id } => vec![format!("login by X509-SVID of {id}")],
        CertificateLogin::Rule { rule, matchers } => {
            vec![format!("login by certificate under {rule} where {}", conditions(matchers))]
        }
    }
}

fn words(name: &CertificateName) -> String {
    match name {
        CertificateName::Subject(name) => format!("subject {}", Digest::of(format!("{name:?}").as_bytes())),
        CertificateName::Dns(name) => format!("dns {name}"),
        CertificateName::Uri(name) => format!("uri {name}"),
        CertificateName::Ip(name) => format!("ip {name}"),
        CertificateName::Email(name) => format!("email {name}"),
    }
}
