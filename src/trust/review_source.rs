//! The API server of a cluster, as a trust rule names it.

use url::Url;

use crate::keys::Reach;

/// The API server that is asked, and how it is reached.
#[derive(Clone, Debug)]
pub struct ReviewSource {
    /// Its address; what stands below it is asked.
    pub api: Url,
    /// How it is reached. It answers the logged in only, so that there is a token.
    pub reach: Reach,
}
