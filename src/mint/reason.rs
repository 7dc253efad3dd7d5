//! Why nothing was minted or released.

use std::fmt;

/// Why a granted token was not minted, or a minted one not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintReason {
    /// No key signs under the API's algorithm now.
    NoKey,
    /// The signature, a seal or randomness failed.
    Crypto,
    /// The ancestry or the record would be longer than any may be.
    TooLarge,
    /// The receipt is for another hop or another record: a bug, and no token leaves.
    ReceiptForeign,
}

impl fmt::Display for MintReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoKey => "no signing key is ready for the algorithm of this API",
            Self::Crypto => "the token could not be signed",
            Self::TooLarge => {
                "the history of this delegation is too large to carry on; ask for fewer scopes or start a new transaction"
            }
            Self::ReceiptForeign => "the receipt does not fit the token",
        })
    }
}

impl std::error::Error for MintReason {}
