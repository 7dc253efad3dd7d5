//! The newest version of each trust domain's bundle, so that nobody rolls one back (SPIFFE Trust Domain and Bundle §4.1.1): not
//! by another address, and not by waiting for a restart.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::oauth::TrustDomain;

/// The highest `spiffe_sequence` of each trust domain, as far back as its memory goes: without a store, to the start of the
/// process.
#[derive(Debug, Default)]
pub struct Sequences {
    highest: Mutex<HashMap<TrustDomain, KnownSequence>>,
    store: Option<Box<dyn SequenceStore>>,
}

#[derive(Clone, Copy, Debug)]
struct KnownSequence {
    sequence: u64,
    /// True when the store has it too: only then its absence there is somebody's word.
    kept: bool,
}

/// A store in which the highest sequences outlive the process.
pub trait SequenceStore: fmt::Debug + Send + Sync {
    /// All that is kept.
    ///
    /// # Errors
    /// When it cannot be read, or is not what such a store holds.
    fn read(&self) -> io::Result<HashMap<TrustDomain, u64>>;

    /// Keeps what is seen of one domain, unless it is kept already: durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    fn keep(&self, domain: &TrustDomain, sequence: u64) -> io::Result<()>;
}

/// A bundle is older than one that was seen, or does not say how old it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Older {
    domain: TrustDomain,
    sequence: Option<u64>,
    highest: u64,
}

impl Sequences {
    /// The sequences that `store` keeps, and goes on keeping.
    ///
    /// # Errors
    /// When they cannot be read. Nobody could tell then what was rolled back.
    pub fn kept_in(store: Box<dyn SequenceStore>) -> io::Result<Self> {
        let kept = store.read()?.into_iter().map(|(domain, sequence)| (domain, KnownSequence { sequence, kept: true }));
        Ok(Self { highest: Mutex::new(kept.collect()), store: Some(store) })
    }

    /// Admits a bundle with this number to be put in force; its number counts from then on. It may wait for a disk.
    ///
    /// # Errors
    /// When it is older. An operator's word that the domain counts anew is looked for first.
    pub(super) fn admit(&self, domain: &TrustDomain, sequence: Option<u64>) -> Result<(), Older> {
        // Held to the end: else of two addresses of one domain the slower could put its older number over the newer one.
        let mut all = self.highest.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = all.get(domain).copied();
        if let Some(KnownSequence { sequence: highest, kept }) = seen.filter(|seen| sequence < Some(seen.sequence))
            && !(kept && self.is_forgotten(domain))
        {
            return Err(Older { domain: domain.clone(), sequence, highest });
        }
        match sequence {
            Some(sequence) => all.insert(domain.clone(), KnownSequence { sequence, kept: self.is_kept(domain, sequence) }),
            None => all.remove(domain),
        };
        Ok(())
    }

    /// True when somebody took the domain out of the store while this process ran.
    fn is_forgotten(&self, domain: &TrustDomain) -> bool {
        let kept = self.store.as_ref().map(|store| store.read());
        kept.is_some_and(|kept| kept.is_ok_and(|kept| !kept.contains_key(domain)))
    }

    /// Gives the number to the store; false when it could not be kept.
    fn is_kept(&self, domain: &TrustDomain, sequence: u64) -> bool {
        self.store.as_ref().is_some_and(|store| match store.keep(domain, sequence) {
            Ok(()) => true,
            // The bundle is as good without, and only a restart would be forgetful; the next fetch tries again.
            Err(error) => {
                tracing::warn!(%domain, sequence, %error, "the version of the bundle cannot be kept for the next start");
                false
            }
        })
    }
}

impl fmt::Display for Older {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, sequence, highest } = self;
        match sequence {
            Some(sequence) => write!(f, "the bundle has the spiffe_sequence {sequence}, and {highest} was seen before")?,
            None => write!(f, "the bundle has no spiffe_sequence, and {highest} was seen before")?,
        }
        write!(f, "; if its publisher counts anew, `countersign trust forget {domain}` makes that known")
    }
}

impl std::error::Error for Older {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::sync::{Arc, OnceLock, Weak};

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Option<HashMap<TrustDomain, u64>>>>);

    impl SequenceStore for Kept {
        fn read(&self) -> io::Result<HashMap<TrustDomain, u64>> {
            self.0.lock().unwrap().clone().ok_or_else(|| io::Error::other("broken"))
        }

        fn keep(&self, domain: &TrustDomain, sequence: u64) -> io::Result<()> {
            let mut kept = self.0.lock().unwrap();
            kept.as_mut().map(|kept| kept.insert(domain.clone(), sequence)).ok_or_else(|| io::Error::other("broken"))?;
            Ok(())
        }
    }

    #[test]
    fn a_number_never_falls_unless_somebody_says_so() {
        let (kept, td) = (Kept::default(), TrustDomain::parse("td.example").unwrap());
        let other = TrustDomain::parse("other.example").unwrap();
        assert!(Sequences::kept_in(Box::new(kept.clone())).is_err(), "what cannot be read is not taken for nothing");
        *kept.0.lock().unwrap() = Some(HashMap::new());
        let sequences = Sequences::kept_in(Box::new(kept.clone())).unwrap();
        for number in [None, Some(0), Some(5), Some(5), Some(7)] {
            assert_eq!(sequences.admit(&td, number), Ok(()), "{number:?}");
        }
        assert_eq!(sequences.admit(&other, Some(1)), Ok(()), "each domain counts for itself");
        for _restart in 0..2 {
            let sequences = Sequences::kept_in(Box::new(kept.clone())).unwrap();
            for number in [None, Some(0), Some(6)] {
                let older = sequences.admit(&td, number).unwrap_err();
                assert_eq!(older, Older { domain: td.clone(), sequence: number, highest: 7 });
                assert!(older.to_string().contains("`countersign trust forget td.example`"), "{older}");
            }
            assert_eq!(sequences.admit(&td, Some(7)), Ok(()));
        }
        kept.0.lock().unwrap().as_mut().unwrap().remove(&td);
        assert_eq!(sequences.admit(&td, Some(2)), Ok(()), "a running server hears of it");
        assert_eq!(sequences.admit(&td, Some(1)).unwrap_err().highest, 2);
        assert_eq!(kept.read().unwrap().get(&td), Some(&2));
        *kept.0.lock().unwrap() = None;
        assert_eq!(sequences.admit(&td, Some(1)).unwrap_err().highest, 2, "a broken store forgets nothing");
        assert_eq!(sequences.admit(&td, Some(9)), Ok(()), "and stops nothing newer");
        *kept.0.lock().unwrap() = Some(HashMap::new());
        assert_eq!(sequences.admit(&td, Some(8)).unwrap_err().highest, 9, "what was never kept is not forgotten by its absence");
        assert_eq!(sequences.admit(&td, Some(9)), Ok(()));
        assert_eq!(kept.read().unwrap().get(&td), Some(&9), "what could not be kept is kept later");
    }

    /// A disk that is so slow that whoever else may admit a bundle meanwhile does.
    #[derive(Debug)]
    struct Slow(Arc<OnceLock<Weak<Sequences>>>, Kept);

    impl SequenceStore for Slow {
        fn read(&self) -> io::Result<HashMap<TrustDomain, u64>> {
            self.1.read()
        }

        fn keep(&self, domain: &TrustDomain, sequence: u64) -> io::Result<()> {
            let sequences = self.0.get().unwrap().upgrade().unwrap();
            let free = sequences.highest.try_lock().is_ok();
            // Whoever finds it taken waits until this one is done.
            if free && sequence == 9 {
                sequences.admit(domain, Some(8)).unwrap();
            }
            self.1.keep(domain, sequence)
        }
    }

    #[test]
    fn of_two_addresses_of_one_domain_the_slower_does_not_bring_back_an_older_bundle() {
        let (itself, kept) = (Arc::<OnceLock<_>>::default(), Kept(Arc::new(Mutex::new(Some(HashMap::new())))));
        let slow = Slow(Arc::clone(&itself), kept);
        let sequences = Arc::new(Sequences::kept_in(Box::new(slow)).unwrap());
        itself.set(Arc::downgrade(&sequences)).unwrap();
        let td = TrustDomain::parse("td.example").unwrap();
        sequences.admit(&td, Some(9)).unwrap();
        assert_eq!(sequences.admit(&td, Some(8)).unwrap_err().highest, 9);
    }
}
