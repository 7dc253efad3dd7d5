//! From a step to what goes over the wire.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::case::{Field, Step};
use crate::profile::Login;
use crate::values::{Missing, Values, form_encode};

/// A request, ready to be sent and to be shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// The HTTP method.
    pub(crate) method: String,
    /// The whole address.
    pub(crate) url: String,
    /// The headers in order.
    pub(crate) headers: Vec<(String, String)>,
    /// The form parameters in order.
    pub(crate) params: Vec<(String, String)>,
    /// The certificate that the client shows.
    pub(crate) certificate: Option<String>,
    /// A body that is not simply the parameters.
    pub(crate) raw: Option<String>,
}

const FORM: &str = "application/x-www-form-urlencoded";

impl Request {
    /// Fills in the templates of `step` and adds the client's login.
    ///
    /// # Errors
    /// When a template has no value.
    pub(crate) fn build(step: &Step, values: &Values<'_>) -> Result<Self, Missing> {
        let certificate = certificate(step, values)?;
        let url = address(step, values, certificate.is_some())?;
        let mut request = Self { method: step.method.clone(), url, certificate, ..Self::default() };
        for field in &step.fields {
            match field {
                Field::Param(name, value) => request.params.push((name.clone(), values.text(value)?)),
                Field::Header(name, value) => request.headers.push((name.clone(), values.text(value)?)),
                Field::Body(text) => request.raw = Some(values.text(text)?),
            }
        }
        if let Some(role) = &step.client {
            request.log_in(role, values)?;
        }
        let typed = request.header("content-type").is_some();
        if !typed && request.raw.is_none() && !request.params.is_empty() {
            request.headers.push(("Content-Type".to_owned(), FORM.to_owned()));
        }
        Ok(request)
    }

    /// The body: the raw text, then the parameters, form-encoded.
    pub(crate) fn body(&self) -> String {
        let encode = |(name, value): &(String, String)| format!("{}={}", form_encode(name), form_encode(value));
        let params = self.params.iter().map(encode);
        let raw = self.raw.iter().filter(|raw| !raw.is_empty()).cloned();
        raw.chain(params).collect::<Vec<_>>().join("&")
    }

    /// The first header of that name, given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn log_in(&mut self, role: &str, values: &Values<'_>) -> Result<(), Missing> {
        let client = values.client(role)?;
        let mut param = |name: &str, value: &str| self.params.push((name.to_owned(), value.to_owned()));
        match &client.login {
            Login::PrivateKeyJwt { .. } | Login::Attestation { .. } => {
                let (kind, assertion) = values.client_assertion(role)?;
                param("client_assertion_type", kind);
                param("client_assertion", &assertion);
            }
            Login::Certificate { .. } => param("client_id", &client.id),
            Login::ClientSecretPost { secret } => {
                param("client_id", &client.id);
                param("client_secret", secret);
            }
            Login::ClientSecretBasic { secret } => {
                let credentials = STANDARD.encode(format!("{}:{}", form_encode(&client.id), form_encode(secret)));
                self.headers.push(("Authorization".to_owned(), format!("Basic {credentials}")));
            }
        }
        Ok(())
    }
}

/// An endpoint that the server may or may not have.
fn named(endpoint: &str, without: &str) -> Result<String, Missing> {
    if endpoint.is_empty() { Err(Missing::Profile(without.to_owned())) } else { Ok(endpoint.to_owned()) }
}

/// `with NAME` says which; else that of the client's login. `with none` shows none.
fn certificate(step: &Step, values: &Values<'_>) -> Result<Option<String>, Missing> {
    let login = step.client.as_ref().map(|role| values.client(role)).transpose()?.map(|client| &client.login);
    let certificate = match (&step.certificate, login) {
        (Some(name), _) if name == "none" => return Ok(None),
        (Some(name), _) | (None, Some(Login::Certificate { certificate: name })) => name.clone(),
        _ => return Ok(None),
    };
    values.shown(&certificate).map(|_| Some(certificate))
}

fn address(step: &Step, values: &Values<'_>, with_certificate: bool) -> Result<String, Missing> {
    let target = values.text(&step.target)?;
    let alias = |name: &str| values.endpoints().aliases.get(name).filter(|_| with_certificate).cloned();
    if let Some(alias) = alias(target.as_str()) {
        return Ok(alias);
    }
    match target.as_str() {
        "token" => Ok(values.endpoints().token.clone()),
        "jwks" => named(&values.endpoints().jwks, "the server publishes no keys"),
        "introspect" => named(&values.endpoints().introspection, "metadata names no introspection_endpoint"),
        "revoke" => named(&values.endpoints().revocation, "metadata names no revocation_endpoint"),
        path if path.starts_with('/') => Ok(format!("{}{path}", values.profile().server)),
        url if url.starts_with("http://") || url.starts_with("https://") => Ok(target),
        _ => Err(Missing::Case(format!("{target} is neither token, jwks, introspect, revoke, a path nor an address"))),
    }
}
