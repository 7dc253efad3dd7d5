//! The words of a trial: what a token has, and what its rule wants, in the order of the checks.

use crate::jose::KeySet;
use crate::oauth::{CLOCK_SKEW, Time};
use crate::trust::found::{Seen, list, visible};
use crate::trust::rule::IssuerSelector;
use crate::trust::verify::{CLIENT_ATTESTATION, ID_JAG, audiences, check_instance};
use crate::trust::{PlatformReason, TrustKind, TrustReason, TrustRule};

/// A rule, by what it wants. `keys` are those that count now.
pub(super) struct RuleWants<'a> {
    pub(super) rule: &'a TrustRule,
    pub(super) keys: Option<&'a KeySet>,
}

pub(super) fn enabled(rule: &TrustRule) -> String {
    if rule.enabled() { "enabled" } else { "enabled = false" }.to_owned()
}

impl RuleWants<'_> {
    pub(super) fn typ(&self) -> String {
        match (self.rule.selector(), self.rule.access_tokens()) {
            (IssuerSelector::TrustDomain(domain), _) => {
                format!("\"JWT\", \"JOSE\" or none; no header but alg, kid and typ; a workload of {domain} in sub")
            }
            (IssuerSelector::Roots, _) => "a certificate: a rule of kind x509 takes no token".to_owned(),
            (IssuerSelector::Issuer(_), Some(form)) => {
                let named = |typ: &String| if typ.is_empty() { "none".to_owned() } else { format!("{typ:?}") };
                form.types.iter().map(named).collect::<Vec<_>>().join(" or ")
            }
            _ if self.rule.kind() == TrustKind::ClientAttester => format!("{CLIENT_ATTESTATION:?}"),
            _ if self.rule.kind() == TrustKind::IdJag => format!("{ID_JAG:?}"),
            (IssuerSelector::Issuer(_), None) => "\"JWT\" or none".to_owned(),
        }
    }

    pub(super) fn of_kind(&self) -> String {
        match self.rule.kind() {
            TrustKind::Oauth => "an access token of the form that the rule tells".to_owned(),
            TrustKind::Oidc | TrustKind::Spiffe | TrustKind::X509 => "nothing besides".to_owned(),
            TrustKind::IdJag => "an agent's id in client_id, and a jti that is used once".to_owned(),
            TrustKind::ClientAttester => "an agent's id in sub, and the key of its instance as jwk in cnf".to_owned(),
            kind => format!("what {kind} writes for a workload and for this server"),
        }
    }

    pub(super) fn dates(&self) -> String {
        let (most, skew) = (self.rule.lifetime_max().as_secs(), CLOCK_SKEW.as_secs());
        format!("exp ahead, and {most} s after iat at most; iat and nbf no more than {skew} s ahead")
    }

    pub(super) fn signature(&self) -> String {
        let algorithms: Vec<&str> = self.rule.algorithms().iter().map(|algorithm| algorithm.name()).collect();
        let Some(keys) = self.keys else { return "the issuer's keys, which cannot be had now".to_owned() };
        let named = |kid: Option<&str>| kid.unwrap_or("without kid").to_owned();
        let kids: Vec<String> = keys.keys().iter().map(|key| named(key.kid())).collect();
        format!("by one of the keys {}; alg one of {}", list(&kids), list(&algorithms))
    }

    pub(super) fn audiences(&self) -> String {
        match self.rule.audiences() {
            [] => "none, or this server".to_owned(),
            [one] => visible(&format!("{one:?}")),
            several => format!("one of {}", list(several)),
        }
    }

    #[allow(clippy::unused_self, reason = "each check has its method")]
    pub(super) fn confirmation(&self) -> String {
        "none, or one key that whoever presents the token proves".to_owned()
    }

    pub(super) fn instance(&self) -> String {
        match &self.rule.subject().instance {
            Some(template) => template.to_string(),
            None => format!("as {} tells it, if it does", self.rule.kind()),
        }
    }
}

impl Seen<'_> {
    pub(super) fn typ(&self, outcome: &Result<(), TrustReason>) -> String {
        let typ = self.token.typ().map_or("none".to_owned(), |typ| visible(&format!("{typ:?}")));
        match outcome {
            Err(TrustReason::AccessToken) => format!("{typ}, with scope or scp"),
            Err(TrustReason::SpiffeId) => format!("{typ}, sub {}", self.claims.raw("sub").map_or("absent".to_owned(), visible)),
            Err(TrustReason::HeaderMember) => {
                let names: Vec<&str> = self.token.header_names().collect();
                format!("{typ}, headers {}", list(&names))
            }
            Err(TrustReason::Unprintable(claim)) => {
                format!("{claim} {}", self.claims.raw(claim).map_or("absent".to_owned(), visible))
            }
            Err(TrustReason::Jose(_)) => outcome.err().and_then(|reason| self.found(reason)).unwrap_or(typ),
            _ => typ,
        }
    }

    pub(super) fn of_kind(&self, outcome: &Result<(), TrustReason>) -> String {
        let Err(reason) = outcome else { return self.of_its_kind().to_owned() };
        let told = |claim: &&str| Some(format!("{claim} {}", visible(self.claims.find(claim)?)));
        let told: Vec<String> = self.decisive(*reason).iter().filter_map(told).collect();
        match told.as_slice() {
            [] => self.found(*reason).unwrap_or_else(|| "something else".to_owned()),
            told => told.join(", "),
        }
    }

    fn of_its_kind(&self) -> &'static str {
        match self.rule.kind() {
            TrustKind::Oauth => "an access token",
            TrustKind::Oidc | TrustKind::Spiffe | TrustKind::X509 => "nothing against it",
            TrustKind::ClientAttester => "an agent's, with a key",
            TrustKind::IdJag => "for an agent, and used once",
            _ => "a workload's, for this server",
        }
    }

    /// The claims by which a check of the kind decides, as far as its reason tells.
    fn decisive(&self, reason: TrustReason) -> Vec<&str> {
        let TrustReason::Platform(reason) = reason else { return Vec::new() };
        let form = self.rule.access_tokens();
        match reason {
            PlatformReason::Claim(claim) => vec![claim],
            PlatformReason::Subject | PlatformReason::Contradiction => vec!["sub"],
            PlatformReason::Audience => vec!["aud"],
            PlatformReason::Person => vec!["sub", "azp", "email", "hd", "idtyp"],
            PlatformReason::PullRequest => vec!["event_name", "pipeline_source", "sub"],
            PlatformReason::Tag => vec!["build_branch", "build_tag"],
            PlatformReason::Fork => vec!["project_id", "job_project_id"],
            PlatformReason::Tenant => vec!["tid"],
            PlatformReason::IdToken => form.map_or_else(Vec::new, |form| form.foreign.iter().map(String::as_str).collect()),
            PlatformReason::Client => form.map_or_else(Vec::new, |form| form.client.iter().map(String::as_str).collect()),
            PlatformReason::Legacy | PlatformReason::Unmarked | PlatformReason::Scopes => Vec::new(),
        }
    }

    pub(super) fn dates(&self) -> String {
        let told = |claim: &'static str| match (self.claims.date(claim), self.claims.raw(claim)) {
            (Ok(Some(time)), _) if time > self.now => format!("{claim} {} s ahead", time.since(self.now).as_secs()),
            (Ok(Some(time)), _) => format!("{claim} {} s ago", self.now.since(time).as_secs()),
            (_, raw) => format!("{claim} {}", raw.map_or("absent".to_owned(), visible)),
        };
        let lives = self.lives().map(|seconds| format!("; it lives {seconds} s")).unwrap_or_default();
        format!("{}{lives}", ["exp", "iat", "nbf"].map(told).join(", "))
    }

    fn lives(&self) -> Option<u64> {
        let date = |claim| -> Option<Time> { self.claims.date(claim).ok().flatten() };
        Some(date("exp")?.since(date("iat")?).as_secs())
    }

    pub(super) fn signature(&self) -> String {
        let kid = self.token.kid().map_or("no kid".to_owned(), |kid| visible(&format!("kid {kid:?}")));
        let algorithm = self.token.algorithm().map_or("an alg that is not supported".to_owned(), |alg| format!("alg {alg}"));
        format!("{kid}, {algorithm}")
    }

    pub(super) fn audiences(&self) -> String {
        match audiences(self.rule, self.claims) {
            Ok(found) => list(&found),
            Err(_) => self.claims.raw("aud").map_or("absent".to_owned(), visible),
        }
    }

    pub(super) fn subject(&self) -> String {
        match self.rule.subject().id(self.claims) {
            Some(id) => visible(id.as_str()),
            None => self.rule.subject().id.unfilled(self.claims).unwrap_or_else(|| "nothing".to_owned()),
        }
    }

    pub(super) fn instance(&self) -> String {
        match check_instance(self.rule, self.claims) {
            Ok(Some(instance)) => visible(instance.as_str()),
            Ok(None) => "none".to_owned(),
            Err(reason) => self.found(reason).unwrap_or_else(|| "no name".to_owned()),
        }
    }
}
