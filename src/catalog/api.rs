//! A registered resource server.

use std::collections::BTreeMap;
use std::iter;
use std::time::Duration;

use crate::jose::Algorithm;
pub use crate::oauth::Destination;
use crate::oauth::{Audience, ClientId, Issuer, Resource, Scope, Scopes};

/// An API as registered: what its tokens look like and what its scopes mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The `aud` of its tokens; what `resource` and `audience` are compared with (RFC 8707 §2).
    pub id: Resource,
    /// Logical names that `audience` may use instead (RFC 8693 §2.1).
    pub names: Vec<Audience>,
    /// The agent as which this API exchanges onward the tokens that it receives (on-behalf-of).
    pub agent: Option<ClientId>,
    /// The destination of data that is handed to it.
    pub destination: Destination,
    /// The scopes of a request without `scope`.
    pub default_scopes: Scopes,
    /// The longest lifetime of its tokens; the server's `tokens.lifetime` when absent.
    pub lifetime: Option<Duration>,
    /// The algorithm that signs its tokens.
    pub signing_alg: Algorithm,
    /// The `typ` header of its tokens: `at+jwt` (RFC 9068 §2.1), or `JWT` for validators that refuse that.
    pub typ: String,
    /// The part of the chain of actors that its tokens show.
    pub chain: ChainShown,
    /// The demand that its tokens be bound to a key.
    pub sender_constraint: ConstraintRequirement,
    /// APIs of one group may share a token; their scope names never collide.
    pub group: Option<String>,
    /// Its scopes and what they mean.
    pub scopes: BTreeMap<Scope, ScopeInfo>,
    /// Steps by which authority held on another API becomes authority here.
    pub derive: Vec<Derive>,
    /// The status list of its tokens, for offline validators; none when absent.
    pub status_list: Option<StatusList>,
    /// The other authorization server that issues its access tokens; none where this one does.
    pub authorization_server: Option<AuthorizationServer>,
}

/// Another authorization server, to which agents are handed over by identity assertion grants
/// (draft-ietf-oauth-identity-assertion-authz-grant).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// Its issuer identifier (RFC 8414 §2): the `aud` of what is for it.
    pub issuer: Issuer,
    /// The agents that are its clients, each with its `client_id` there.
    pub clients: BTreeMap<ClientId, String>,
}

impl Api {
    /// The values of `typ` that validators of access tokens know.
    pub const TYPS: [&'static str; 2] = ["at+jwt", "JWT"];

    /// The algorithms of access tokens. RS256 is for validators that know nothing else; several refuse EdDSA.
    pub const SIGNING_ALGS: [(&'static str, Algorithm); 3] =
        [("ES256", Algorithm::ES256), ("RS256", Algorithm::RS256), ("EdDSA", Algorithm::EdDSA)];

    /// True where `resource` means this API: by its id or a name, in any spelling of the same URI.
    pub fn is_meant_by(&self, resource: &Resource) -> bool {
        let form = resource.common_form();
        self.texts().any(|(_, text)| text == resource.as_str() || form.is_some() && common_form(text) == form)
    }

    /// The forms that all spellings of its id and names have in common, of those that can be a `resource`.
    pub(super) fn forms(&self) -> impl Iterator<Item = String> {
        self.texts().filter_map(|(_, text)| common_form(text))
    }

    /// Its id and its names, by the fields of its file.
    pub(super) fn texts(&self) -> impl Iterator<Item = (String, &str)> {
        let names = self.names.iter().enumerate().map(|(position, name)| (format!("names/{position}"), name.as_str()));
        iter::once(("id".to_owned(), self.id.as_str())).chain(names)
    }
}

/// The form that all spellings of a `resource` have in common (RFC 3986 §6.2.3); none for what is no URI.
pub(super) fn common_form(text: &str) -> Option<String> {
    Resource::parse(text).ok()?.common_form()
}

/// The meaning of one scope of an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeInfo {
    /// Classes of the data it reaches, as policies name them.
    pub data: Vec<String>,
    /// The worst that using it can do.
    pub effect: ScopeEffect,
}

/// Publication of the status of an API's tokens (draft-ietf-oauth-status-list-21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusList {
    /// Bits that a list has for each token.
    pub bits: StatusBits,
    /// `ttl`: the time that a validator may keep a list before it asks again.
    pub ttl: Duration,
}

/// Statuses that a list can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatusBits {
    /// Valid or not; a suspended token is not.
    One,
    /// Valid, invalid or suspended.
    Two,
}

impl StatusList {
    /// The list of `status_list = true`.
    pub const DEFAULT: Self = Self { bits: StatusBits::One, ttl: Duration::from_secs(10) };
}

impl StatusBits {
    /// Bits per token.
    pub const fn count(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

/// One step by which authority held on another API becomes authority on this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derive {
    /// The API on which it is held.
    pub from_api: Resource,
    /// The scope that is held there.
    pub from_scope: Scope,
    /// The scope that it may become here.
    pub to: Scope,
}

named! {
    /// The worst that using a scope can do.
    pub enum ScopeEffect {
        /// Nothing changes.
        Read = "read",
        /// Can be undone by the same means.
        Reversible = "reversible",
        /// Can be undone with effort.
        Recoverable = "recoverable",
        /// Cannot be undone.
        Irreversible = "irreversible",
    }
}

named! {
    /// The part of the chain of actors that a token shows.
    pub enum ChainShown {
        /// All of it, nested (RFC 8693 §4.1).
        Full = "full",
        /// The current actor only; our records keep the rest.
        Current = "current",
    }
}

named! {
    /// The demand that a token be bound to a key of its holder.
    pub enum ConstraintRequirement {
        /// Bearer tokens only.
        None = "none",
        /// Bound when the client binds it.
        Optional = "optional",
        /// Never issued unbound.
        Required = "required",
    }
}
