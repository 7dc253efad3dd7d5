//! Random bytes, and authenticated encryption: AES-256-GCM with a random 96-bit nonce before the ciphertext (NIST SP 800-38D
//! §8.2.2).

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::MacKey;

/// A key that seals and opens, with the ones before it, which open only. A random nonce is safe for 2³² messages under one key.
pub struct SealKey {
    key: LessSafeKey,
    earlier: Vec<Self>,
    leave: Option<Leave>,
}

/// The leave to use a key so many times more. It is asked for when it is used up, and whoever gives it has written it down.
struct Leave {
    left: AtomicI64,
    ask: Box<dyn Fn() -> Option<u32> + Send + Sync>,
    turn: Mutex<()>,
}

impl Leave {
    /// Takes one use. Whoever finds none left waits for its turn, and asks unless somebody else has.
    fn take(&self) -> Result<(), SealReason> {
        if self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let more = (self.ask)().filter(|more| *more > 0).ok_or(SealReason)?;
        self.left.store(i64::from(more) - 1, Ordering::Relaxed);
        Ok(())
    }
}

/// Sealing or opening failed: wrong key, wrong context, changed bytes, or no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealReason;

impl SealKey {
    /// A key from 32 secret bytes.
    ///
    /// # Errors
    /// None for 32 bytes; the type of the primitive allows one.
    pub fn new(secret: &[u8; 32]) -> Result<Self, SealReason> {
        let key = UnboundKey::new(&AES_256_GCM, secret).map_err(|_| SealReason)?;
        Ok(Self { key: LessSafeKey::new(key), earlier: Vec::new(), leave: None })
    }

    /// The key that follows the `earlier` ones: it opens what they sealed.
    #[must_use]
    pub fn after(self, earlier: Vec<Self>) -> Self {
        Self { earlier, ..self }
    }

    /// The key, counted: `ask` is called before it seals for the first time and whenever what it gave leave for is used up, and
    /// says how many times more it may seal; nothing is sealed where it says none.
    #[must_use]
    pub fn counted(self, ask: impl Fn() -> Option<u32> + Send + Sync + 'static) -> Self {
        Self { leave: Some(Leave { left: AtomicI64::new(0), ask: Box::new(ask), turn: Mutex::new(()) }), ..self }
    }

    /// Nonce, ciphertext and tag of `plain`, bound to `context`.
    ///
    /// # Errors
    /// When there is no randomness, or no leave for one more use.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealReason> {
        self.leave.as_ref().map_or(Ok(()), Leave::take)?;
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let body = sealed.get_mut(NONCE_LEN..).ok_or(SealReason)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(context), body).map_err(|_| SealReason)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// The plain text that was sealed under this key, or one before it, for `context`.
    ///
    /// # Errors
    /// When any byte of it, the key or the context is another.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealReason> {
        let earlier = || self.earlier.iter().find_map(|key| key.open(context, sealed).ok());
        self.open_alone(context, sealed).or_else(|reason| earlier().ok_or(reason))
    }

    /// The plain text that was sealed under this key itself, and not under one before it.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and when it was sealed under one before it.
    pub fn open_alone(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealReason> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(SealReason)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealReason)?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = self.key.open_in_place(nonce, Aad::from(context), &mut body).map_err(|_| SealReason)?.len();
        body.truncate(plain);
        Ok(body)
    }
}

/// A secret under which every message is sealed with a key of its own: HMAC-SHA-256 of its context. As long as few messages share
/// a context, no number of them comes near the bound of one key.
pub struct MessageKeys {
    secret: MacKey,
    earlier: Vec<Self>,
}

impl MessageKeys {
    /// The keys that come of 32 secret bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self { secret: MacKey::new(secret), earlier: Vec::new() }
    }

    /// The keys that follow the `earlier` ones, and open what those sealed.
    #[must_use]
    pub fn after(self, earlier: Vec<Self>) -> Self {
        Self { earlier, ..self }
    }

    /// Nonce, ciphertext and tag of `plain`, bound to `context`.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealReason> {
        self.key(context)?.seal(context, plain)
    }

    /// The plain text that was sealed under this secret, or one before it, for `context`.
    ///
    /// # Errors
    /// When any byte of it, the secret or the context is another.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealReason> {
        let earlier = || self.earlier.iter().find_map(|keys| keys.open(context, sealed).ok());
        self.key(context)?.open(context, sealed).or_else(|reason| earlier().ok_or(reason))
    }

    fn key(&self, context: &[u8]) -> Result<SealKey, SealReason> {
        SealKey::new(&Zeroizing::new(self.secret.full(&[b"message\0", context])))
    }
}

impl fmt::Debug for MessageKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageKeys")
    }
}

/// `N` random bytes from the operating system's generator.
///
/// # Errors
/// None in practice; without randomness nothing may be issued, so the caller must refuse.
pub fn random<const N: usize>() -> Result<[u8; N], SealReason> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| SealReason)?;
    Ok(bytes)
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey")
    }
}

impl fmt::Display for SealReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sealed bytes could not be made or opened")
    }
}

impl std::error::Error for SealReason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use std::sync::Arc;

    use super::*;

    #[test]
    fn opens_only_what_was_sealed_for_the_same_context() {
        let key = SealKey::new(&[7; 32]).unwrap();
        let sealed = key.seal(b"anc", b"plain").unwrap();
        assert_eq!(key.open(b"anc", &sealed).unwrap().as_slice(), b"plain");
        assert!(key.open(b"other", &sealed).is_err());
        assert!(SealKey::new(&[8; 32]).unwrap().open(b"anc", &sealed).is_err());
        assert!(key.open(b"anc", &sealed[..10]).is_err());
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(key.open(b"anc", &changed).is_err(), "byte {position}");
        }
    }

    #[test]
    fn the_newest_key_seals_and_the_earlier_ones_open() {
        let key = |byte| SealKey::new(&[byte; 32]).unwrap();
        let old = key(7).seal(b"anc", b"plain").unwrap();
        let newest = key(9).after(vec![key(8), key(7)]);
        assert_eq!(newest.open(b"anc", &old).unwrap().as_slice(), b"plain");
        let new = newest.seal(b"anc", b"plain").unwrap();
        assert!(key(9).open(b"anc", &new).is_ok() && key(7).open(b"anc", &new).is_err());
        assert!(newest.open(b"other", &old).is_err());
    }

    #[test]
    fn each_context_has_a_key_of_its_own() {
        let keys = |byte| MessageKeys::new(&[byte; 32]);
        let sealed = keys(7).seal(b"one", b"plain").unwrap();
        assert_eq!(keys(9).after(vec![keys(8), keys(7)]).open(b"one", &sealed).unwrap().as_slice(), b"plain");
        assert!(keys(7).open(b"other", &sealed).is_err() && keys(8).open(b"one", &sealed).is_err());
        // Another key, not only another context of the same.
        let key = |context: &[u8]| keys(7).key(context).unwrap();
        assert!(key(b"one").open(b"one", &sealed).is_ok() && key(b"other").open(b"one", &sealed).is_err());
        assert!(SealKey::new(&[7; 32]).unwrap().open(b"one", &sealed).is_err());
    }

    #[test]
    fn a_counted_key_asks_for_every_step_and_seals_nothing_without_leave() {
        let asked = Arc::new(AtomicI64::new(0));
        let counts = Arc::clone(&asked);
        let leave = move || (counts.fetch_add(1, Ordering::SeqCst) < 3).then_some(8);
        let key = Arc::new(SealKey::new(&[7; 32]).unwrap().counted(leave));
        let work = |key: Arc<SealKey>| std::thread::spawn(move || (0..16).filter(|_| key.seal(b"", b"").is_ok()).count());
        let threads: Vec<_> = (0..4).map(|_| work(Arc::clone(&key))).collect();
        assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), 3 * 8);
        assert!(asked.load(Ordering::SeqCst) > 3);
    }

    #[test]
    fn the_same_plain_text_never_looks_the_same_twice() {
        let key = SealKey::new(&[7; 32]).unwrap();
        assert_ne!(key.seal(b"", b"plain").unwrap(), key.seal(b"", b"plain").unwrap());
    }
}
