//! openidconnect: discovery, and then as with oauth2.

use std::error::Error;

use openidconnect::core::{CoreClient, CoreProviderMetadata};
use openidconnect::{AuthType, ClientId, ClientSecret, HttpRequest, IssuerUrl, OAuth2TokenResponse, SyncHttpClient, reqwest};

// recipe
const EXCHANGE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";

fn exchange(
    http: &reqwest::blocking::Client,
    issuer: &str,
    (id, secret): (&str, Option<&str>),
    auth: AuthType,
    grant: &str,
    parameters: Vec<(&str, &str)>,
) -> Result<String, Box<dyn Error>> {
    let metadata = CoreProviderMetadata::discover(&IssuerUrl::new(issuer.to_owned())?, http)?;
    let secret = secret.map(|secret| ClientSecret::new(secret.to_owned()));
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new(id.to_owned()), secret).set_auth_type(auth);
    let with_grant = |mut request: HttpRequest| {
        let body = String::from_utf8_lossy(request.body()).replacen("client_credentials", grant, 1);
        *request.body_mut() = body.into_bytes();
        http.call(request)
    };
    let request = parameters.into_iter().fold(client.exchange_client_credentials()?, |request, (name, value)| {
        request.add_extra_param(name.to_owned(), value.to_owned())
    });
    Ok(request.request(&with_grant)?.access_token().secret().clone())
}
// end

fn main() -> Result<(), Box<dyn Error>> {
    countersign_clients::run(|setup, given| {
        let text = |name| countersign_clients::text(given, name);
        let auth = if text("auth") == "basic" { AuthType::BasicAuth } else { AuthType::RequestBody };
        let secret = Some(text("client_secret")).filter(|secret| !secret.is_empty());
        let own = text("grant").replace(':', "%3A");
        let grant = if own.ends_with("token-exchange") { EXCHANGE } else { &own };
        let http = countersign_clients::http(setup)?;
        exchange(&http, &setup.issuer, (text("client_id"), secret), auth, grant, countersign_clients::parameters(given))
    })
}
