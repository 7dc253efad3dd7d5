//! Entry bundles (C2SP tlog-tiles, log entries): up to 256 entries, each after its length in two bytes, most significant first.

use std::fmt;

use super::tile::TILE_WIDTH;

/// The most bytes that an entry may have.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// A bundle that is being filled.
#[derive(Clone, Debug, Default)]
pub struct EntryBundle {
    bytes: Vec<u8>,
    width: u16,
}

impl EntryBundle {
    /// The bundle that begins with the first `width` entries in the bytes of a bundle file; what may follow them is left out.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn load(bytes: &[u8], width: u16) -> Result<Self, EntryBundleReason> {
        let mut entries = BundleEntries::of(bytes);
        for number in 0..width {
            entries.next().ok_or(EntryBundleReason::Missing(number))??;
        }
        let taken = bytes.len() - entries.rest.len();
        Ok(Self { bytes: bytes.get(..taken).unwrap_or_default().to_vec(), width })
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// When the entry is longer than 65,535 bytes, or the bundle full.
    pub fn push(&mut self, entry: &[u8]) -> Result<(), EntryBundleReason> {
        let length = u16::try_from(entry.len()).map_err(|_| EntryBundleReason::EntryTooLong)?;
        if self.width >= TILE_WIDTH {
            return Err(EntryBundleReason::Full);
        }
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(entry);
        self.width += 1;
        Ok(())
    }

    /// The bytes of its file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of its file, of which it is then empty.
    pub fn take(&mut self) -> Vec<u8> {
        self.width = 0;
        let next = Vec::with_capacity(self.bytes.len());
        std::mem::replace(&mut self.bytes, next)
    }

    /// How many entries it has.
    pub fn width(&self) -> u16 {
        self.width
    }
}

/// The entries in the bytes of a bundle, in order. After an error there is nothing more.
#[derive(Clone, Debug)]
pub struct BundleEntries<'a> {
    rest: &'a [u8],
    number: u16,
}

impl<'a> BundleEntries<'a> {
    /// The entries in these bytes.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, number: 0 }
    }
}

impl<'a> Iterator for BundleEntries<'a> {
    type Item = Result<&'a [u8], EntryBundleReason>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = self.rest.split_first_chunk::<2>();
        let split = split.and_then(|(length, rest)| rest.split_at_checked(usize::from(u16::from_be_bytes(*length))));
        let (entry, rest) = split.unwrap_or_default();
        self.rest = rest;
        if self.number >= TILE_WIDTH {
            self.rest = &[];
            return Some(Err(EntryBundleReason::Full));
        }
        self.number += 1;
        Some(split.map(|_| entry).ok_or(EntryBundleReason::Cut(self.number - 1)))
    }
}

/// Why a bundle could not be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryBundleReason {
    /// An entry is longer than its length field can say.
    EntryTooLong,
    /// It has 256 entries, and no more go in.
    Full,
    /// The bytes end within the entry of this number, from 0 within the bundle.
    Cut(u16),
    /// The bytes end before the entry of this number, from 0 within the bundle.
    Missing(u16),
}

impl fmt::Display for EntryBundleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntryTooLong => write!(f, "a ledger entry is longer than {ENTRY_BYTES_MAX} bytes"),
            Self::Full => write!(f, "the entry bundle holds more than {TILE_WIDTH} entries"),
            Self::Cut(number) => write!(f, "the entry bundle ends within its entry {number}"),
            Self::Missing(number) => write!(f, "the entry bundle ends before its entry {number}"),
        }
    }
}

impl std::error::Error for EntryBundleReason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn entries_stand_after_their_big_endian_length() {
        let mut bundle = EntryBundle::default();
        let long = vec![7; 0x0102];
        [b"".as_slice(), b"ab", &long].iter().for_each(|entry| bundle.push(entry).unwrap());
        let expected = [&[0, 0, 0, 2, b'a', b'b', 1, 2][..], &long].concat();
        assert_eq!(bundle.bytes(), expected);
        assert_eq!(BundleEntries::of(&expected).collect::<Result<Vec<_>, _>>().unwrap(), [b"".as_slice(), b"ab", &long]);
        assert_eq!(EntryBundle::load(&expected, 2).unwrap().bytes(), &expected[..6]);
        assert_eq!(EntryBundle::load(&expected, 4).unwrap_err(), EntryBundleReason::Missing(3));
    }

    #[test]
    fn an_entry_of_65536_bytes_is_refused() {
        let mut bundle = EntryBundle::default();
        bundle.push(&vec![0; 65_535]).unwrap();
        assert_eq!(bundle.push(&vec![0; 65_536]), Err(EntryBundleReason::EntryTooLong));
        assert_eq!((bundle.width(), bundle.bytes().len()), (1, 65_537));
    }

    #[test]
    fn neither_cut_nor_overfull_bundles_are_read() {
        let read = |bytes: &[u8]| BundleEntries::of(bytes).collect::<Result<Vec<_>, _>>().unwrap_err();
        assert_eq!(read(&[0]), EntryBundleReason::Cut(0));
        assert_eq!(read(&[0, 0, 0, 2, 9]), EntryBundleReason::Cut(1));
        assert_eq!(read(&[0; 2 * 257]), EntryBundleReason::Full);
        let mut bundle = EntryBundle::load(&[0; 2 * 257], 256).unwrap();
        assert_eq!(bundle.push(b""), Err(EntryBundleReason::Full));
        assert_eq!((bundle.take().len(), bundle.width(), bundle.bytes().len()), (512, 0, 0));
    }
}
