//! An access token of ours as the credential of a request (RFC 6750 §2.1, RFC 9449 §7.1, RFC 8705 §3): by which scheme it comes,
//! and that the request proves the key that it is bound to.

use std::fmt;

use super::dpop;
use super::{Credentials, DpopProof, DpopReason, DpopRules, Endpoint, PeerCertificate};
use crate::oauth::{Confirmation, Time};

/// The access token of a request, as it came; nothing is believed yet.
#[derive(Clone, Copy)]
pub struct AccessToken<'a> {
    scheme: Scheme,
    text: &'a str,
    credentials: &'a Credentials,
}

/// The schemes by which an access token is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Dpop,
}

/// An access token does not count as it was sent. `Display` says what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessReason {
    /// No `Authorization` header, or one of another scheme.
    Missing,
    /// The header has no token, or more than one.
    Malformed,
    /// A DPoP proof beside the scheme `Bearer`.
    ProofUnasked,
    /// It is bound by `cnf.jkt`, and was sent as a bearer token.
    SentAsBearer,
    /// It is not bound by `cnf.jkt`, and was sent by the scheme `DPoP`.
    SentByDpop,
    /// It is bound to another certificate than the connection proved, if any.
    Certificate,
    /// It is bound to another key than the proof's.
    Key,
    /// The proof is refused.
    Proof(DpopReason),
}

impl<'a> AccessToken<'a> {
    /// The access token in the `Authorization` header.
    ///
    /// # Errors
    /// `Missing`, `Malformed`, `ProofUnasked`.
    pub fn of(credentials: &'a Credentials) -> Result<Self, AccessReason> {
        let (scheme, text) = credentials.authorization().ok_or(AccessReason::Missing).map(split)?;
        let scheme = match scheme {
            name if name.eq_ignore_ascii_case("Bearer") => Scheme::Bearer,
            name if name.eq_ignore_ascii_case("DPoP") => Scheme::Dpop,
            _ => return Err(AccessReason::Missing),
        };
        if text.is_empty() || text.contains([' ', ',']) {
            return Err(AccessReason::Malformed);
        }
        match (scheme, credentials.has_proof()) {
            (Scheme::Bearer, true) => Err(AccessReason::ProofUnasked),
            _ => Ok(Self { scheme, text, credentials }),
        }
    }

    /// The token.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The proof of the key that the token is bound to by its `cnf`, `binding`, where DPoP proves it; the commit must spend it.
    ///
    /// # Errors
    /// The scheme is another than the binding asks for, or the request does not prove that key to `endpoint`.
    pub fn prove(
        &self,
        binding: Option<Confirmation>,
        endpoint: Endpoint<'_>,
        rules: &DpopRules,
        now: Time,
    ) -> Result<Option<DpopProof>, AccessReason> {
        let proved = self.credentials.certificate().map(PeerCertificate::thumbprint);
        match (binding, self.scheme) {
            (Some(Confirmation::Dpop(key)), Scheme::Dpop) => {
                let header = self.credentials.dpop().ok_or(AccessReason::Proof(DpopReason::Missing))?;
                let proof = dpop::prove(header, endpoint, Some(self.text), rules, now).map_err(AccessReason::Proof)?;
                if proof.key.same_as(&key) { Ok(Some(proof)) } else { Err(AccessReason::Key) }
            }
            (Some(Confirmation::Dpop(_)), Scheme::Bearer) => Err(AccessReason::SentAsBearer),
            (_, Scheme::Dpop) => Err(AccessReason::SentByDpop),
            (Some(Confirmation::Certificate(bound)), Scheme::Bearer) => {
                if proved.is_some_and(|proved| proved.same_as(&bound)) {
                    Ok(None)
                } else {
                    Err(AccessReason::Certificate)
                }
            }
            (None, Scheme::Bearer) => Ok(None),
        }
    }
}

fn split(header: &str) -> (&str, &str) {
    let (scheme, text) = header.split_once(' ').unwrap_or((header, ""));
    (scheme, text.trim())
}

impl AccessReason {
    /// True where the proof is at fault, or the token was sent as if it needed none: the challenge then asks for `DPoP`.
    pub fn is_proof(self) -> bool {
        matches!(self, Self::ProofUnasked | Self::SentAsBearer | Self::Key | Self::Proof(_))
    }
}

impl fmt::Display for AccessReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "an access token is required: send it in the Authorization header, by the scheme Bearer or DPoP",
            Self::Malformed => "the Authorization header: one access token must follow the scheme",
            Self::ProofUnasked => "the DPoP header goes with the scheme DPoP; send the access token by that, or leave it out",
            Self::SentAsBearer => {
                "the access token is bound by its cnf.jkt; send it by the scheme DPoP, with a proof by that key"
            }
            Self::SentByDpop => "the access token is not bound by cnf.jkt; send it by the scheme Bearer",
            Self::Certificate => "the access token is bound by its cnf.x5t#S256; connect with that client certificate",
            Self::Key => "DPoP proof: the access token is bound by its cnf.jkt to another key",
            Self::Proof(reason) => return reason.fmt(f),
        })
    }
}

impl std::error::Error for AccessReason {}

/// Tokens are never printed.
impl fmt::Debug for AccessToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken")
    }
}
