//! Scopes (RFC 6749 §3.3).

use std::fmt;
use std::sync::Arc;

use super::Resource;

/// One scope token: 1 to 255 characters of `scope-token` (RFC 6749 §3.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Arc<str>);

/// Why a string is not a scope or list of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeReason {
    /// A token is empty, too long, or has a character outside the grammar.
    Grammar,
    /// More than 64 scopes.
    Count,
}

/// More scopes than this in one request or token are refused.
const SCOPES_MAX: usize = 64;

impl Scope {
    /// Checks `text` and keeps it unchanged.
    ///
    /// # Errors
    /// `Grammar` when it is not a `scope-token`.
    pub fn parse(text: &str) -> Result<Self, ScopeReason> {
        let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let fits = !text.is_empty() && text.len() <= 255 && text.bytes().all(allowed);
        fits.then(|| Self(text.into())).ok_or(ScopeReason::Grammar)
    }

    /// The token as registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of scopes, in alphabetical order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Parses a space-delimited list; repeats collapse.
    ///
    /// # Errors
    /// `Grammar` for a malformed token or a doubled space, `Count` beyond 64 scopes.
    pub fn parse(text: &str) -> Result<Self, ScopeReason> {
        let mut scopes = Vec::new();
        for token in text.split(' ') {
            if scopes.len() == SCOPES_MAX {
                return Err(ScopeReason::Count);
            }
            scopes.push(Scope::parse(token)?);
        }
        Ok(scopes.into_iter().collect())
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when `scope` is in the set.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.binary_search(scope).is_ok()
    }

    /// The scopes in alphabetical order.
    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.0.iter()
    }

    /// True when every scope of `self` is in `other`.
    pub fn is_subset(&self, other: &Scopes) -> bool {
        self.iter().all(|scope| other.contains(scope))
    }

    /// The scopes that both sets hold.
    pub fn intersection(&self, other: &Scopes) -> Scopes {
        self.iter().filter(|scope| other.contains(scope)).cloned().collect()
    }

    /// The scopes that `self` holds and `other` does not.
    pub fn difference(&self, other: &Scopes) -> Scopes {
        self.iter().filter(|scope| !other.contains(scope)).cloned().collect()
    }

    /// The scopes that either set holds.
    pub fn union(&self, other: &Scopes) -> Scopes {
        self.iter().chain(other.iter()).cloned().collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }
}

/// Space-delimited, as the `scope` parameter and claim want it (RFC 8693 §4.2).
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, scope) in self.0.iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

/// Scopes on one API. Scopes of two APIs never mix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopesOnApi {
    /// The API's id.
    pub api: Resource,
    /// The scopes, as that API declares them.
    pub scopes: Scopes,
}

impl ScopesOnApi {
    /// The scopes that `held` has on `api`; none where it has nothing there.
    pub fn on<'a>(held: &'a [Self], api: &'a Resource) -> impl Iterator<Item = &'a Scope> {
        held.iter().filter(|held| held.api == *api).flat_map(|held| held.scopes.iter())
    }
}

impl fmt::Display for ScopeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grammar => "must be scope tokens separated by single spaces",
            Self::Count => "must not name more than 64 scopes",
        })
    }
}
