//! Runs an exchange for every case of the file that is named, and says what came of it, a line of JSON each.

use std::collections::HashMap;
use std::error::Error;

use oauth2::basic::BasicErrorResponse;
use oauth2::reqwest;
use serde::Deserialize;

pub type Case = HashMap<String, serde_json::Value>;

#[derive(Deserialize)]
pub struct Setup {
    pub issuer: String,
    ca: String,
    cases: Vec<Case>,
}

pub fn text<'a>(given: &'a Case, name: &str) -> &'a str {
    given.get(name).and_then(|value| value.as_str()).unwrap_or_default()
}

/// The parameters that a case has beside the grant and the login.
pub fn parameters(given: &Case) -> Vec<(&str, &str)> {
    let names = [
        "subject_token",
        "subject_token_type",
        "actor_token",
        "actor_token_type",
        "resource",
        "scope",
        "assertion",
        "requested_token_use",
    ];
    names.into_iter().map(|name| (name, text(given, name))).filter(|(_, value)| !value.is_empty()).collect()
}

/// An HTTP client that trusts the authority of the setup and follows no redirect.
pub fn http(setup: &Setup) -> Result<reqwest::blocking::Client, Box<dyn Error>> {
    let mut builder = reqwest::blocking::ClientBuilder::new().redirect(reqwest::redirect::Policy::none());
    if !setup.ca.is_empty() {
        builder = builder.add_root_certificate(reqwest::Certificate::from_pem(&std::fs::read(&setup.ca)?)?);
    }
    Ok(builder.build()?)
}

pub fn run(exchange: impl Fn(&Setup, &Case) -> Result<String, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let setup: Setup = serde_json::from_slice(&std::fs::read(path)?)?;
    for given in &setup.cases {
        let line = match exchange(&setup, given) {
            Ok(token) => serde_json::json!({ "case": text(given, "case"), "token": token }),
            Err(error) => {
                let code = code(error.as_ref());
                serde_json::json!({ "case": text(given, "case"), "error": code, "detail": format!("{error:?}") })
            }
        };
        println!("{line}");
    }
    Ok(())
}

type Failed = oauth2::RequestTokenError<oauth2::HttpClientError<reqwest::Error>, BasicErrorResponse>;

fn code(error: &(dyn Error + 'static)) -> Option<String> {
    match error.downcast_ref::<Failed>()? {
        oauth2::RequestTokenError::ServerResponse(answer) => Some(answer.error().as_ref().to_owned()),
        _ => None,
    }
}
