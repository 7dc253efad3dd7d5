//! How an address of keys may be reached, where that is not the public Internet with its public authorities: as an operator
//! says it in a trust rule.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use url::Url;

use super::{RefreshReason, spiffe_tls};
use crate::files;
use crate::net::{Bearer, Network, Route};
use crate::x509::Roots;

/// No token of a platform is longer.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

/// How an address may be reached beyond what every address may.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Networks that its name may lead to although they are not public.
    pub networks: Vec<Network>,
    /// The authorities by which its server proves itself, in place of the public ones.
    pub authorities: Option<Arc<Roots>>,
    /// The file with a bearer token for it (RFC 6750 §2.1), which is read anew for each fetch: platforms replace it.
    pub token_file: Option<PathBuf>,
    /// True where it may be plain `http`, within `networks` and on this machine.
    pub plain: bool,
    /// The HTTP proxy through which it is reached, which then resolves its name.
    pub proxy: Option<Url>,
}

impl Reach {
    /// True for what every address may.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// The way to its server now.
    ///
    /// # Errors
    /// When the token that it takes is not there.
    pub(crate) async fn route(&self) -> Result<Route, RefreshReason> {
        let bearer = self.bearer().await?;
        Ok(Route { networks: self.networks.clone(), tls: self.tls(), bearer, plain: self.plain, proxy: self.proxy.clone() })
    }

    /// TLS with the authorities, where there are any.
    fn tls(&self) -> Option<ClientConfig> {
        spiffe_tls::config_under(self.authorities.as_ref()?)
    }

    /// The token that is in the file now.
    async fn bearer(&self) -> Result<Option<Bearer>, RefreshReason> {
        let Some(path) = self.token_file.clone() else { return Ok(None) };
        let read = tokio::task::spawn_blocking(move || (files::read_text(&path, TOKEN_BYTES_MAX), path)).await;
        let (text, path) = read.map_err(|_| RefreshReason::Silent)?;
        let token = text.map_err(|error| RefreshReason::TokenFile(path.clone(), error.to_string()))?;
        let token = token.trim();
        match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Some(Bearer(token.to_owned()))),
            false => Err(RefreshReason::TokenFile(path, "it holds no token".to_owned())),
        }
    }
}

impl PartialEq for Reach {
    fn eq(&self, other: &Self) -> bool {
        let identity = |reach: &Self| (reach.authorities.as_ref().map(|roots| roots.digest()), reach.plain);
        let ways = |reach: &Self| (reach.networks.clone(), reach.token_file.clone(), reach.proxy.clone());
        identity(self) == identity(other) && ways(self) == ways(other)
    }
}

impl Eq for Reach {}
