//! Who subject and actor are: claim rules per kind of token, and the chain. Facts only; no judgement of rights.

mod subject;

pub use subject::{Authentication, Held, Origin, Own, VerifiedActor, VerifiedSubject};
