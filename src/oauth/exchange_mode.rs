//! In which mode a token is exchanged (RFC 8693 §1.1).

use std::fmt;

/// How the client came by the subject token, and how it stands to the subject: delegation and impersonation of RFC 8693 §1.1,
/// and the kinds of delegation that presenter rules tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeMode {
    /// Another party's token or attestation; the client becomes the actor.
    Delegation,
    /// Our own token, by its client or current actor.
    Continuation,
    /// A workload trading its own attestation, or its own token.
    SelfExchange,
    /// Our own token, by the agent that its audience names as its own.
    OnBehalfOf,
    /// As the subject, where policy permits.
    Impersonation,
}

/// The mode that a request asks for by a parameter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedMode {
    /// None: what the tokens themselves say.
    Any,
    /// Impersonation, and nothing else: `impersonate=true`.
    Impersonation,
    /// On behalf of the subject, and nothing else: `requested_token_use=on_behalf_of`.
    OnBehalfOf,
}

impl ExchangeMode {
    /// Every mode.
    pub const ALL: [Self; 5] = [Self::Delegation, Self::Continuation, Self::SelfExchange, Self::OnBehalfOf, Self::Impersonation];

    /// The name in the member `basis` of records and in policy's `context.basis`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delegation => "delegation",
            Self::Continuation => "continuation",
            Self::SelfExchange => "self",
            Self::OnBehalfOf => "on_behalf_of",
            Self::Impersonation => "impersonation",
        }
    }
}

impl fmt::Display for ExchangeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
