//! The claims of assertions and proofs in sentences.

/// The type of a claim of assertions and proofs, for sentences; dates in milliseconds lie beyond every calendar.
pub(super) fn kind_of(claim: &str) -> &'static str {
    match claim {
        "exp" | "iat" | "nbf" => "a number of seconds since 1970",
        _ => "a string",
    }
}
