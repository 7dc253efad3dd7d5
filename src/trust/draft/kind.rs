//! The kind of an issuer: by what its tokens say, which nobody but it writes so, and else by its name and what it publishes.

use url::Url;

use super::matchers::text;
use crate::jose::{Compact, Object};
use crate::trust::{Provider, SubjectKind, TrustKind, tenant, verify};

/// An issuer whose kind is known.
pub(super) struct KnownIssuer {
    pub(super) kind: TrustKind,
    pub(super) provider: Option<Provider>,
    pub(super) by: &'static str,
}

/// Claims that a platform writes into every token, and no other issuer.
const SIGNS: [(&[&str], TrustKind, &str); 5] = [
    (&["/kubernetes.io/serviceaccount/uid"], TrustKind::Kubernetes, "its tokens name a service account of Kubernetes"),
    (&["repository_id", "repository_owner_id", "run_id"], TrustKind::Github, "its tokens name a run of GitHub Actions"),
    (&["project_path", "namespace_path", "pipeline_source"], TrustKind::Gitlab, "its tokens name a pipeline of GitLab"),
    (&["organization_slug", "pipeline_slug", "build_commit"], TrustKind::Buildkite, "its tokens name a build of Buildkite"),
    (&["/https:~1~1sts.amazonaws.com~1/aws_account"], TrustKind::Aws, "its tokens name an account of AWS"),
];

/// Claims that only tokens about people have, of those that OpenID Connect Core §2 and §5.1 know.
const OF_PEOPLE: [&str; 11] =
    ["nonce", "at_hash", "c_hash", "auth_time", "amr", "sid", "email", "preferred_username", "given_name", "family_name", "upn"];

pub(super) fn recognise(issuer: &str, metadata: Option<&Object>, sample: Option<(&Compact<'_>, &Object)>) -> KnownIssuer {
    let known = |kind, provider, by| KnownIssuer { kind, provider, by };
    let Some((token, claims)) = sample else { return by_name(issuer, metadata) };
    if verify::spiffe_id(claims).is_some() {
        return known(TrustKind::Spiffe, None, "the sub of its tokens is a SPIFFE ID");
    }
    if let Some((_, kind, by)) = SIGNS.iter().find(|(signs, ..)| signs.iter().all(|sign| claims.find(sign).is_some())) {
        return known(*kind, None, by);
    }
    if is_google(issuer, claims) {
        return known(TrustKind::Gcp, None, "its tokens name a service account of Google Cloud");
    }
    let provider = Provider::of_issuer(issuer).or_else(|| by_endpoints(metadata));
    if tenant(issuer).is_some() && is_application(claims) {
        return known(TrustKind::Azure, None, "its tokens name an application of a Microsoft Entra tenant");
    }
    if provider.is_some_and(|provider| is_access_token(provider, token, claims)) {
        return known(TrustKind::Oauth, provider, "the sample is an access token of its provider");
    }
    if token.typ_is("at+jwt") {
        return known(TrustKind::Oauth, None, "the typ of the sample is at+jwt");
    }
    known(TrustKind::Oidc, provider, "the sample is an ID token, or an attestation of no platform that has a kind")
}

/// People sign in with the same issuer, and their tokens are of a client.
fn is_google(issuer: &str, claims: &Object) -> bool {
    let of_account = text(claims, "email").is_some_and(|email| email.ends_with(".gserviceaccount.com"));
    of_account || (Some(issuer) == TrustKind::Gcp.default_issuer() && text(claims, "azp") == text(claims, "sub"))
}

fn is_application(claims: &Object) -> bool {
    let people = ["upn", "unique_name", "preferred_username", "scp", "amr"];
    let person = people.iter().any(|claim| claims.has(claim));
    let client = claims.has("appid") || claims.has("azp");
    let application = text(claims, "idtyp").map_or_else(|| text(claims, "oid") == text(claims, "sub"), |kind| kind == "app");
    claims.has("oid") && client && application && !person
}

fn is_access_token(provider: Provider, token: &Compact<'_>, claims: &Object) -> bool {
    let form = provider.access_tokens();
    let marked = form.marks.iter().all(|mark| mark.holds(claims)) && !form.foreign.iter().any(|claim| claims.has(claim));
    form.has_type_of(token) && marked && form.client(claims).is_some()
}

/// Providers that run under any host, by the paths of their endpoints.
fn by_endpoints(metadata: Option<&Object>) -> Option<Provider> {
    let endpoint = metadata?.text("token_endpoint").ok().flatten()?;
    match Url::parse(&endpoint).ok()?.path() {
        path if path.ends_with("/connect/token") => Some(Provider::Duende),
        path if path.ends_with("/as/token.oauth2") => Some(Provider::Ping),
        path if path.ends_with("/protocol/openid-connect/token") => Some(Provider::Keycloak),
        _ => None,
    }
}

fn by_name(issuer: &str, metadata: Option<&Object>) -> KnownIssuer {
    let known = |kind, by| KnownIssuer { kind, provider: None, by };
    let url = Url::parse(issuer).ok();
    let (host, path) = url.as_ref().map_or(("", ""), |url| (url.host_str().unwrap_or_default(), url.path()));
    let claims = |name: &str| supports(metadata, "claims_supported", name);
    let cluster =
        host.starts_with("oidc.eks.") || host.ends_with(".oic.prod-aks.azure.com") || host == "container.googleapis.com";
    match () {
        () if issuer.starts_with("spiffe://") => known(TrustKind::Spiffe, "it is a SPIFFE trust domain"),
        () if host == "token.actions.githubusercontent.com" || path == "/_services/token" || claims("repository_owner_id") => {
            known(TrustKind::Github, "it is the issuer of GitHub Actions")
        }
        () if host == "gitlab.com" || claims("project_path") => known(TrustKind::Gitlab, "it is a GitLab"),
        () if Some(issuer) == TrustKind::Buildkite.default_issuer() => {
            known(TrustKind::Buildkite, "it is the issuer of Buildkite")
        }
        () if Some(issuer) == TrustKind::Gcp.default_issuer() => known(TrustKind::Gcp, "it is the issuer of Google"),
        () if host.ends_with(".tokens.sts.global.api.aws") => known(TrustKind::Aws, "it is the issuer of an AWS account"),
        () if cluster || is_api_server(metadata) => {
            known(TrustKind::Kubernetes, "it publishes what a Kubernetes API server does")
        }
        () => {
            let provider = Provider::of_issuer(issuer).or_else(|| by_endpoints(metadata));
            KnownIssuer { kind: TrustKind::Oidc, provider, by: "nothing of it is particular to a platform" }
        }
    }
}

/// An API server has no endpoints but that of its keys.
fn is_api_server(metadata: Option<&Object>) -> bool {
    let endpoints = ["authorization_endpoint", "token_endpoint"];
    let without = metadata.is_some_and(|metadata| !endpoints.iter().any(|endpoint| metadata.has(endpoint)));
    without && supports(metadata, "response_types_supported", "id_token")
}

fn supports(metadata: Option<&Object>, list: &'static str, name: &str) -> bool {
    let listed = metadata.and_then(|metadata| metadata.strings(list).ok().flatten());
    listed.is_some_and(|listed| listed.iter().any(|one| one == name))
}

/// People or workloads, where the kind leaves that open. What only people have shows people; a workload is the narrower guess.
pub(super) fn subject(known: &KnownIssuer, claims: Option<&Object>) -> Option<SubjectKind> {
    if !matches!(known.kind, TrustKind::Oidc | TrustKind::Oauth) {
        return None;
    }
    let Some(claims) = claims else { return Some(SubjectKind::User) };
    let for_itself = |claims: &Object| {
        let form = known.provider.map(Provider::access_tokens).unwrap_or_default();
        let (client, sub) = (form.client(claims), text(claims, "sub"));
        let own =
            client.is_some_and(|client| sub.as_ref().is_none_or(|sub| *sub == *client || *sub == format!("{client}@clients")));
        own || text(claims, "gty").is_some_and(|grant| grant == "client-credentials")
    };
    let person = OF_PEOPLE.iter().any(|claim| claims.has(claim)) || known.provider.is_some();
    Some(match known.kind {
        TrustKind::Oauth if for_itself(claims) => SubjectKind::Workload,
        TrustKind::Oauth => SubjectKind::User,
        _ if person => SubjectKind::User,
        _ => SubjectKind::Workload,
    })
}
