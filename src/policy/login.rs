//! Step-up authentication (RFC 9470): what a login of the subject would have to be for policy to permit.

use std::fmt;

/// The login that is missing: one of these contexts, or one that is no older, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepUp {
    /// The authentication contexts that would do (`acr_values`); empty where the one that there is does.
    pub acr_values: Vec<String>,
    /// The greatest age of the authentication that would do, in seconds (`max_age`).
    pub max_age: Option<i64>,
}

/// The public sentence.
impl fmt::Display for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("subject_token: policy permits this after another login of the person:")?;
        if !self.acr_values.is_empty() {
            write!(f, " with acr {}", self.acr_values.join(" or "))?;
        }
        let and = if self.acr_values.is_empty() { "" } else { " and" };
        self.max_age.map_or(Ok(()), |age| write!(f, "{and} at most {age} s ago"))?;
        f.write_str("; have the person sign in again and send that token")
    }
}
