//! The vocabulary of OAuth as validated values. No I/O, no keys, no clock: whatever holds one of these types holds a checked
//! value.

mod act;
mod client_id;
mod confirmation;
mod details;
mod exchange_mode;
mod foreign_name;
mod generation;
mod grant_type;
mod intent;
mod issuer;
mod jti;
mod may_act;
mod scope;
mod share;
mod single_use;
mod spiffe_id;
mod status;
mod subject;
mod target;
mod time;
mod token_type;

pub use act::{ActChain, ActReason, Actor, CHAIN_DEPTH_CEILING};
pub use client_id::{ClientId, ClientIdReason};
pub use confirmation::{Confirmation, ConfirmationMethod};
pub use details::{DetailsReason, TaskSpec};
pub use exchange_mode::{AskedMode, ExchangeMode};
pub use foreign_name::{ForeignName, ForeignNameReason, is_printable};
pub use generation::{Generation, GenerationKey, GenerationKind, Pseudonyms};
pub use grant_type::GrantType;
pub use intent::{Destination, Fact, Intent, IntentReason};
pub use issuer::{Issuer, IssuerReason};
pub use jti::{Jti, TaskId, Txn, UuidReason};
pub use may_act::{MayAct, MayActReason};
pub use scope::{Scope, ScopeReason, Scopes, ScopesOnApi};
pub use share::ShareKey;
pub use single_use::{JTI_BYTES_MAX, SingleUse, SingleUseKind};
pub use spiffe_id::{SpiffeId, SpiffeIdReason, SpiffePattern, TrustDomain};
pub use status::{ListId, ListIdReason, StatusPlace};
pub use subject::{RuleName, RuleNameReason, Subject};
pub use target::{Audience, Resource, TargetReason};
pub use time::{CLOCK_SKEW, Clock, NumericDate, Time};
pub use token_type::{TokenType, TokenTypeReason};
