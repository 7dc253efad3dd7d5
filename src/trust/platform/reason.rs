//! Why a platform's token is refused whatever the rule says.

use std::fmt;

/// Why a token is not what its platform gives to a workload. `Display` is a public sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlatformReason {
    /// A claim that the platform always writes is missing or of another type.
    Claim(&'static str),
    /// `sub` is not of the platform's grammar.
    Subject,
    /// `sub` and the other claims say different things.
    Contradiction,
    /// For the platform itself, or for everybody.
    Audience,
    /// Of a kind that was never meant to leave the platform: a legacy token, or one for another API.
    Legacy,
    /// A person's.
    Person,
    /// From a pull or merge request, whose code may be anybody's.
    PullRequest,
    /// From the build of a tag, where the rule decides by the branch.
    Tag,
    /// From a fork.
    Fork,
    /// Another tenant's.
    Tenant,
    /// An ID token where an access token is wanted.
    IdToken,
}

impl fmt::Display for PlatformReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claim(name) => return write!(f, "the claim {name}, which its platform always writes, is missing or unusable"),
            Self::Subject => "the sub of the token is not one that its platform writes for a workload",
            Self::Contradiction => "the sub of the token contradicts its other claims",
            Self::Audience => {
                "the aud of the token names its own platform or everybody; ask the platform for a token for this server"
            }
            Self::Legacy => "the token is of a kind that is not meant for others; ask the platform for a token for this server",
            Self::Person => "the token is a person's, and its trust rule is about workloads",
            Self::PullRequest => "the token comes from a pull or merge request, which its trust rule does not admit",
            Self::Tag => "the token comes from the build of a tag, and its trust rule is about branches",
            Self::Fork => "the token comes from a fork",
            Self::Tenant => "the tid of the token is not the tenant of its issuer",
            Self::IdToken => "the token is an ID token, and its trust rule is about access tokens",
        })
    }
}

impl std::error::Error for PlatformReason {}
