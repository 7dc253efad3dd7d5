//! A registered resource server.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::jose::Algorithm;
use crate::oauth::{Audience, ClientId, Resource, Scope, Scopes};

/// An API as registered: what its tokens look like and what its scopes mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The `aud` of its tokens; what `resource` and `audience` are compared with (RFC 8707 §2).
    pub id: Resource,
    /// Logical names that `audience` may use instead (RFC 8693 §2.1).
    pub names: Vec<Audience>,
    /// As which agent this API exchanges onward the tokens that it receives.
    pub agent: Option<ClientId>,
    /// Where data goes that is handed to it.
    pub destination: Destination,
    /// What a request without `scope` asks for.
    pub default_scopes: Scopes,
    /// How long its tokens live at most; the server's `tokens.lifetime` when absent.
    pub lifetime: Option<Duration>,
    /// How its tokens are signed.
    pub signing_alg: Algorithm,
    /// The `typ` header of its tokens: `at+jwt` (RFC 9068 §2.1), or `JWT` for validators that refuse that.
    pub typ: String,
    /// How much of the chain of actors its tokens show.
    pub chain: ChainShown,
    /// Whether its tokens must be bound to a key.
    pub sender_constraint: ConstraintRequirement,
    /// APIs of one group may share a token; their scope names never collide.
    pub group: Option<String>,
    /// Its scopes and what they mean.
    pub scopes: BTreeMap<Scope, ScopeInfo>,
    /// What authority held on another API may become here.
    pub derive: Vec<Derive>,
    /// How the status of its tokens is published for who validates offline; not at all when absent.
    pub status_list: Option<StatusList>,
}

impl Api {
    /// The values of `typ` that validators of access tokens know.
    pub const TYPS: [&'static str; 2] = ["at+jwt", "JWT"];

    /// How access tokens can be signed. RS256 is for validators that know nothing else; several refuse EdDSA.
    pub const SIGNING_ALGS: [(&'static str, Algorithm); 3] =
        [("ES256", Algorithm::ES256), ("RS256", Algorithm::RS256), ("EdDSA", Algorithm::EdDSA)];
}

/// What one scope of an API gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeInfo {
    /// Classes of the data it reaches, as policies name them.
    pub data: Vec<String>,
    /// The worst that using it can do.
    pub effect: Effect,
}

/// How the status of an API's tokens is published (draft-ietf-oauth-status-list-21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusList {
    /// How much a list tells of each token.
    pub bits: StatusBits,
    /// How long a validator may keep a list before it asks again.
    pub ttl: Duration,
}

/// How much a status list tells of each token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatusBits {
    /// Valid or not; a suspended token is not.
    One,
    /// Valid, invalid or suspended.
    Two,
}

impl StatusList {
    /// What `status_list = true` means.
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

/// Declares an enum whose variants have a name in files and policies.
macro_rules! named {
    ($(#[$meta:meta])* $type:ident { $($(#[$variant_meta:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type { $($(#[$variant_meta])* $variant,)+ }

        impl $type {
            /// Every value under its name.
            pub const NAMES: &'static [(&'static str, Self)] = &[$(($name, Self::$variant)),+];

            /// The name in files and policies.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

named! {
    /// Where data goes that is handed to an API.
    Destination {
        /// Stays with us.
        Internal = "internal",
        /// Goes to somebody we have an agreement with.
        Partner = "partner",
        /// Leaves.
        External = "external",
    }
}

named! {
    /// The worst that using a scope can do.
    Effect {
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
    /// How much of the chain of actors a token shows.
    ChainShown {
        /// All of it, nested (RFC 8693 §4.1).
        Full = "full",
        /// The current actor only; our records keep the rest.
        Current = "current",
    }
}

named! {
    /// Whether a token must be bound to a key of its holder.
    ConstraintRequirement {
        /// Bearer tokens only.
        None = "none",
        /// Bound when the client binds it.
        Optional = "optional",
        /// Never issued unbound.
        Required = "required",
    }
}
