//! The issuers: an identity provider, a cluster and a SPIFFE trust domain, with keys made at start.

use std::fmt;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use serde_json::{Value, json};

use crate::crypto::random;
use crate::jose::{Algorithm, SigningKey, generate_key};
use crate::oauth::{Jti, Time};

/// How long the tokens of these issuers live.
const LIFETIME: Duration = Duration::from_hours(1);

/// Three issuers and a client's key, all throw-away.
pub struct Issuers {
    idp: SigningKey,
    cluster: SigningKey,
    mesh: SigningKey,
    orchestrator: SigningKey,
    orchestrator_pem: String,
}

/// A demonstration part that could not be made.
#[derive(Debug)]
pub struct DemoReason(pub(super) String);

impl Issuers {
    /// Makes the keys.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new() -> Result<Self, DemoReason> {
        let (orchestrator, pem) = key()?;
        Ok(Self { idp: key()?.0, cluster: key()?.0, mesh: key()?.0, orchestrator, orchestrator_pem: pem })
    }

    /// An ID token of the identity provider at `issuer` for the user `sub` of `department`, obtained by the orchestrator.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn id_token(&self, issuer: &str, sub: &str, department: &str, now: Time) -> Result<String, DemoReason> {
        let claims = json!({
            "iss": issuer, "sub": sub, "aud": "orchestrator-at-idp", "azp": "orchestrator-at-idp",
            "iat": now.seconds(), "exp": now.plus(LIFETIME).seconds(), "auth_time": now.seconds(), "department": department,
        });
        signed(&self.idp, "JWT", &claims)
    }

    /// A service account token in the shape of Kubernetes, for `audience`.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn cluster_token(&self, issuer: &str, audience: &str, now: Time) -> Result<String, DemoReason> {
        let account = json!({
            "namespace": "prod",
            "node": {"name": "node-1", "uid": "646e7c5e-node"},
            "pod": {"name": "crm-gateway-7d9c", "uid": "0b8e6d1c-pod"},
            "serviceaccount": {"name": "crm-gateway", "uid": "5f0c7a52-crm-gateway"},
        });
        let claims = json!({
            "iss": issuer, "sub": "system:serviceaccount:prod:crm-gateway", "aud": [audience],
            "iat": now.seconds(), "nbf": now.seconds(), "exp": now.plus(LIFETIME).seconds(),
            "jti": "aed34954-b33a-4142-b1ec-389d6bbb4936", "kubernetes.io": account,
        });
        signed(&self.cluster, "JWT", &claims)
    }

    /// A JWT-SVID of the trust domain `mesh.example` for the researcher, as SPIRE writes it.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn svid(&self, audience: &str, now: Time) -> Result<String, DemoReason> {
        let claims = json!({
            "sub": "spiffe://mesh.example/ns/prod/sa/researcher", "aud": [audience],
            "exp": now.plus(LIFETIME).seconds(), "iat": now.seconds(),
        });
        signed(&self.mesh, "JWT", &claims)
    }

    /// A client assertion of the orchestrator, good for one minute and one use (RFC 7523 §2.2).
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn assertion(&self, audience: &str, now: Time) -> Result<String, DemoReason> {
        let jti = Jti::new(now, random().map_err(|error| DemoReason(error.to_string()))?);
        let claims = json!({
            "iss": "orchestrator", "sub": "orchestrator", "aud": audience, "jti": jti.to_string(),
            "iat": now.seconds(), "exp": now.seconds() + 60,
        });
        signed(&self.orchestrator, "client-authentication+jwt", &claims)
    }

    /// The orchestrator's private key, for trying by hand.
    pub fn orchestrator_pem(&self) -> &str {
        &self.orchestrator_pem
    }

    /// The orchestrator's public keys.
    pub fn orchestrator_jwks(&self) -> String {
        jwks(&self.orchestrator)
    }

    /// The trust domain's bundle: keys with `use: jwt-svid` and no `alg`, as SPIRE publishes them.
    pub fn bundle(&self) -> String {
        let mut key: Value = serde_json::from_str(&self.mesh.public_jwk()).unwrap_or_default();
        if let Some(members) = key.as_object_mut() {
            members.remove("alg");
            members.insert("use".to_owned(), "jwt-svid".into());
        }
        json!({"keys": [key], "spiffe_sequence": 1, "spiffe_refresh_hint": 300}).to_string()
    }
}

/// Serves discovery and keys of the identity provider (`/idp`) and the cluster (`/cluster`), and the bundle of the trust domain
/// (`/bundle`), on loopback.
pub struct JwksServer {
    base: String,
    server: Server,
}

impl JwksServer {
    /// Binds a free loopback port.
    ///
    /// # Errors
    /// When there is none.
    pub fn start(issuers: &Issuers) -> Result<Self, DemoReason> {
        let failed = |error: std::io::Error| DemoReason(format!("the demonstration's issuers cannot listen: {error}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
        let base = format!("http://{}", listener.local_addr().map_err(failed)?);
        let mut documents: Vec<(String, String)> = [("idp", &issuers.idp), ("cluster", &issuers.cluster)]
            .into_iter()
            .flat_map(|(name, key)| {
                let issuer = format!("{base}/{name}");
                let metadata = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/jwks")}).to_string();
                [(format!("/{name}/.well-known/openid-configuration"), metadata), (format!("/{name}/jwks"), jwks(key))]
            })
            .collect();
        documents.push(("/bundle".to_owned(), issuers.bundle()));
        let documents = Data::new(documents);
        let app = move || App::new().app_data(documents.clone()).default_service(web::to(document));
        let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).map_err(failed)?.run();
        Ok(Self { base, server })
    }

    /// The issuer identifier of the identity provider.
    pub fn idp(&self) -> String {
        format!("{}/idp", self.base)
    }

    /// The issuer identifier of the cluster.
    pub fn cluster(&self) -> String {
        format!("{}/cluster", self.base)
    }

    /// The address of the trust domain's bundle.
    pub fn bundle(&self) -> String {
        format!("{}/bundle", self.base)
    }

    /// The running server, to be awaited.
    pub fn into_server(self) -> Server {
        self.server
    }
}

async fn document(request: actix_web::HttpRequest, documents: Data<Vec<(String, String)>>) -> HttpResponse {
    match documents.iter().find(|(path, _)| path == request.path()) {
        Some((_, body)) => HttpResponse::Ok().content_type("application/json").body(body.clone()),
        None => HttpResponse::NotFound().finish(),
    }
}

fn key() -> Result<(SigningKey, String), DemoReason> {
    let failed = |error: crate::jose::KeyReason| DemoReason(format!("a key cannot be made: {error}"));
    let pem = generate_key(Algorithm::ES256).map_err(failed)?;
    Ok((SigningKey::from_pem(&pem, Algorithm::ES256).map_err(failed)?, pem.to_string()))
}

fn jwks(key: &SigningKey) -> String {
    format!("{{\"keys\":[{}]}}", key.public_jwk())
}

fn signed(key: &SigningKey, typ: &str, claims: &Value) -> Result<String, DemoReason> {
    key.sign(typ, claims.to_string().as_bytes()).map_err(|error| DemoReason(format!("a token cannot be signed: {error}")))
}

impl fmt::Display for DemoReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DemoReason {}
