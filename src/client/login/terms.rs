//! The logins of an agent in words, so that one that is taken away can be told. Nothing secret stands in them.

use super::{CertificateLogin, ClientAuths, KeyLogin};
use crate::client::CertificateName;
use crate::crypto::Digest;
use crate::oauth::ClientId;

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
        let workloads = workloads.map(|(rule, login)| {
            let claims: Vec<String> = login.requirements.iter().map(ToString::to_string).collect();
            format!("login by {rule} where {}", claims.join(" and "))
        });
        let attested = self.attested_logins(client).iter().map(|login| match login.dpop {
            true => format!("login by client attestation of {} with a DPoP proof", login.rule),
            false => format!("login by client attestation of {}", login.rule),
        });
        let certificates = self.certificates_of(client).iter().flat_map(certificates);
        keys.chain(attested).chain(secrets).chain(svids).chain(workloads).chain(certificates).collect()
    }
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
            let claims: Vec<String> = matchers.iter().map(ToString::to_string).collect();
            vec![format!("login by certificate under {rule} where {}", claims.join(" and "))]
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
