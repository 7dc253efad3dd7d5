//! Unpacking a status list: ZLIB (RFC 1950) around DEFLATE (RFC 1951), written from the standards so that no packer's mistake is
//! shared, and the values in it (draft-ietf-oauth-status-list-21 §4.1).

/// No list is longer, unpacked: 2^20 tokens of 8 bits.
const BYTES_MAX: usize = 1 << 20;

const LENGTHS: [(u16, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

const DISTANCES: [(u16, u32); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

/// In which order the lengths of the code lengths' codes stand (RFC 1951 §3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The unpacked bytes of `packed`.
///
/// # Errors
/// A sentence saying what is wrong with it.
pub(crate) fn inflate(packed: &[u8]) -> Result<Vec<u8>, String> {
    let [method, flags, rest @ ..] = packed else { return Err("no ZLIB header".to_owned()) };
    let (deflate, window, check) = (method & 15 == 8, method >> 4 <= 7, (u16::from(*method) * 256 + u16::from(*flags)) % 31 == 0);
    if !(deflate && window && check) || flags & 32 != 0 {
        return Err("the ZLIB header is wrong (RFC 1950 §2.2)".to_owned());
    }
    let (body, sum) = rest.split_last_chunk::<4>().ok_or("no checksum at the end")?;
    let mut bits = Bits { bytes: body, at: 0 };
    let mut out = Vec::new();
    while !block(&mut bits, &mut out)? {}
    if bits.at.div_ceil(8) != body.len() {
        return Err("something stands behind the last block".to_owned());
    }
    if adler(&out) != u32::from_be_bytes(*sum) {
        return Err("the checksum is another".to_owned());
    }
    Ok(out)
}

/// The value at place `index` of a list with so many `bits` each.
pub(crate) fn status(bytes: &[u8], bits: u64, index: u64) -> Result<u8, String> {
    if ![1, 2, 4, 8].contains(&bits) {
        return Err(format!("bits is {bits}, not 1, 2, 4 or 8"));
    }
    let byte = usize::try_from(index * bits / 8).ok().and_then(|at| bytes.get(at));
    let byte = byte.ok_or_else(|| format!("place {index} is outside the list of {} bytes", bytes.len()))?;
    let value = u16::from(*byte) >> (index * bits % 8) & ((1 << bits) - 1);
    u8::try_from(value).map_err(|error| error.to_string())
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Result<u32, String> {
        let byte = self.bytes.get(self.at / 8).ok_or("it ends in the middle")?;
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        Ok(u32::from(bit))
    }

    /// A number, lowest bit first.
    fn number(&mut self, count: u32) -> Result<u32, String> {
        (0..count).try_fold(0, |number, place| Ok(number | self.bit()? << place))
    }
}

/// A canonical Huffman code: how many symbols have each length, and the symbols in order of their codes.
struct Code {
    counts: [u16; 16],
    symbols: Vec<u16>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        let mut symbols: Vec<(u8, u16)> = lengths.iter().copied().zip(0..).filter(|(length, _)| *length > 0).collect();
        symbols.sort_unstable();
        for (length, _) in &symbols {
            if let Some(count) = counts.get_mut(usize::from(*length)) {
                *count += 1;
            }
        }
        Self { counts, symbols: symbols.into_iter().map(|(_, symbol)| symbol).collect() }
    }

    /// The next symbol: codes of one length are consecutive, and follow those that are shorter (RFC 1951 §3.2.2).
    fn symbol(&self, bits: &mut Bits<'_>) -> Result<u16, String> {
        let (mut code, mut first, mut index) = (0u32, 0u32, 0usize);
        for count in self.counts.iter().skip(1) {
            code |= bits.bit()?;
            let count = u32::from(*count);
            if code < first + count {
                let at = index + usize::try_from(code - first).map_err(|error| error.to_string())?;
                return self.symbols.get(at).copied().ok_or_else(|| "a code that nothing has".to_owned());
            }
            index += usize::try_from(count).map_err(|error| error.to_string())?;
            (first, code) = ((first + count) << 1, code << 1);
        }
        Err("a code that nothing has".to_owned())
    }
}

/// Unpacks one block; says whether it was the last.
fn block(bits: &mut Bits<'_>, out: &mut Vec<u8>) -> Result<bool, String> {
    let last = bits.bit()? == 1;
    match bits.number(2)? {
        0 => stored(bits, out)?,
        1 => {
            let lengths = [vec![8; 144], vec![9; 112], vec![7; 24], vec![8; 8]].concat();
            coded(bits, out, &Code::new(&lengths), &Code::new(&[5; 30]))?;
        }
        2 => {
            let (literals, distances) = codes(bits)?;
            coded(bits, out, &literals, &distances)?;
        }
        _ => return Err("a block of a kind that there is not".to_owned()),
    }
    Ok(last)
}

fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    bits.at = bits.at.div_ceil(8) * 8;
    let (length, complement) = (bits.number(16)?, bits.number(16)?);
    if length ^ 0xffff != complement {
        return Err("the length of a stored block is wrong".to_owned());
    }
    for _ in 0..length {
        push(out, bits.number(8)?)?;
    }
    Ok(())
}

fn codes(bits: &mut Bits<'_>) -> Result<(Code, Code), String> {
    let size = |number: u32| usize::try_from(number).unwrap_or_default();
    let (literals, distances, count) = (size(bits.number(5)?) + 257, size(bits.number(5)?) + 1, size(bits.number(4)?) + 4);
    let mut lengths = [0u8; 19];
    for place in ORDER.iter().take(count) {
        let length = u8::try_from(bits.number(3)?).unwrap_or_default();
        if let Some(to) = lengths.get_mut(*place) {
            *to = length;
        }
    }
    let code = Code::new(&lengths);
    let mut all: Vec<u8> = Vec::new();
    while all.len() < literals + distances {
        let (value, times) = match code.symbol(bits)? {
            16 => (*all.last().ok_or("nothing to repeat")?, 3 + bits.number(2)?),
            17 => (0, 3 + bits.number(3)?),
            18 => (0, 11 + bits.number(7)?),
            length => (u8::try_from(length).map_err(|error| error.to_string())?, 1),
        };
        all.extend((0..times).map(|_| value));
    }
    let (literal, distance) = all.split_at_checked(literals).ok_or("too few code lengths")?;
    if distance.len() != distances {
        return Err("too many code lengths".to_owned());
    }
    Ok((Code::new(literal), Code::new(distance)))
}

fn coded(bits: &mut Bits<'_>, out: &mut Vec<u8>, literals: &Code, distances: &Code) -> Result<(), String> {
    loop {
        let symbol = literals.symbol(bits)?;
        match symbol {
            0..256 => push(out, u32::from(symbol))?,
            256 => return Ok(()),
            _ => {
                let extended = |table: &[(u16, u32)], at: u16, bits: &mut Bits<'_>| -> Result<usize, String> {
                    let (base, extra) = table.get(usize::from(at)).copied().ok_or("a length or distance that there is not")?;
                    usize::try_from(u32::from(base) + bits.number(extra)?).map_err(|error| error.to_string())
                };
                let length = extended(&LENGTHS, symbol - 257, bits)?;
                let code = distances.symbol(bits)?;
                let distance = extended(&DISTANCES, code, bits)?;
                for _ in 0..length {
                    let from = out.len().checked_sub(distance).ok_or("a distance to before the beginning")?;
                    let byte = out.get(from).copied().ok_or("a distance to nowhere")?;
                    push(out, u32::from(byte))?;
                }
            }
        }
    }
}

fn push(out: &mut Vec<u8>, byte: u32) -> Result<(), String> {
    if out.len() >= BYTES_MAX {
        return Err("it unpacks to more than any list has".to_owned());
    }
    out.push(u8::try_from(byte).map_err(|error| error.to_string())?);
    Ok(())
}

fn adler(bytes: &[u8]) -> u32 {
    let (one, two) = bytes
        .iter()
        .fold((1u32, 0u32), |(one, two), byte| ((one + u32::from(*byte)) % 65_521, (one + u32::from(*byte) + two) % 65_521));
    two << 16 | one
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
    use super::*;
    use crate::jose::from_base64url;

    #[test]
    fn the_examples_of_the_specification_unpack() {
        // draft-ietf-oauth-status-list-21 §4.2.
        let one = inflate(&from_base64url("eNrbuRgAAhcBXQ").unwrap()).unwrap();
        assert_eq!(one, [0xb9, 0xa3]);
        let values: Vec<u8> = (0..16).map(|index| status(&one, 1, index).unwrap()).collect();
        assert_eq!(values, [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]);
        assert!(status(&one, 1, 16).is_err(), "outside");
        let two = inflate(&from_base64url("eNo76fITAAPfAgc").unwrap()).unwrap();
        let values: Vec<u8> = (0..12).map(|index| status(&two, 2, index).unwrap()).collect();
        assert_eq!(values, [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]);
    }

    #[test]
    fn the_long_vector_of_the_specification_unpacks() {
        // draft-ietf-oauth-status-list-21 §C.1: 2^20 places, so there are codes of its own and long repeats in it.
        let bytes = inflate(&from_base64url(VECTOR).unwrap()).unwrap();
        assert_eq!(bytes.len(), 1 << 17);
        let set: Vec<u64> = (0..1 << 20).filter(|index| status(&bytes, 1, *index) == Ok(1)).collect();
        assert_eq!(set, [0, 1993, 25460, 159_495, 495_669, 554_353, 645_645, 723_232, 854_545, 934_534, 1_000_345]);
    }

    #[test]
    fn what_is_damaged_never_unpacks_to_anything_else() {
        let whole = from_base64url(VECTOR).unwrap();
        let bytes = inflate(&whole).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x01;
            assert!(inflate(&damaged).is_ok_and(|same| same == bytes) || inflate(&damaged).is_err(), "byte {at}");
            assert!(inflate(&whole[..at]).is_err(), "cut at {at}");
        }
        // A stored block.
        let stored = [0x78, 0x01, 0x01, 2, 0, 0xfd, 0xff, 0xb9, 0xa3, 0x02, 0x17, 0x01, 0x5d];
        assert_eq!(inflate(&stored).unwrap(), [0xb9, 0xa3]);
    }

    const VECTOR: &str = concat!(
        "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAAAJsLCQAAAAAAAAAAADjelAAA",
        "AAAAAAAAKjDMAQAAAACAZC8L2AEb",
    );
}
