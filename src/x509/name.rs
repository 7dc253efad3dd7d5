//! Distinguished names as text (RFC 4514 §2), written so that no value of one attribute can read like another attribute, and
//! read again to be compared.

use std::collections::BTreeSet;
use std::fmt;

use x509_parser::asn1_rs::{Oid, ToDer};
use x509_parser::prelude::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name};

use super::X509Reason;

const NAME_BYTES_MAX: usize = 2048;

/// RFC 4514 §3, and the e-mail address of old certificates (RFC 2985 §5.2.1).
const SHORT: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.5", "serialNumber"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// A subject as RFC 4514 writes it, compared part by part: how its text is spelled does not count, its parts and their order
/// do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinguishedName(Vec<BTreeSet<(String, AttributeValue)>>);

/// Why a text is no distinguished name. `Display` completes a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameReason;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum AttributeValue {
    Text(String),
    Encoded(Vec<u8>),
}

/// The whole name, the last relative name first.
///
/// # Errors
/// `Long` beyond 2,048 bytes, `Malformed` when a value cannot be written.
pub(super) fn text(name: &X509Name<'_>) -> Result<String, X509Reason> {
    let mut relative: Vec<String> = name.iter().map(relative).collect::<Result<_, _>>()?;
    relative.reverse();
    let text = relative.join(",");
    if text.len() > NAME_BYTES_MAX { Err(X509Reason::Long) } else { Ok(text) }
}

/// The attributes that stand once and are text, by their short name.
pub(super) fn parts(name: &X509Name<'_>) -> Vec<(String, String)> {
    let all: Vec<(String, &str)> =
        name.iter_attributes().filter_map(|one| Some((label(one.attr_type()), one.as_str().ok()?))).collect();
    let once = |label: &str| all.iter().filter(|(other, _)| other == label).count() == 1;
    all.iter().filter(|(label, _)| once(label)).map(|(label, value)| (label.clone(), (*value).to_owned())).collect()
}

fn relative(name: &RelativeDistinguishedName<'_>) -> Result<String, X509Reason> {
    let attributes: Vec<String> = name.iter().map(attribute).collect::<Result<_, _>>()?;
    Ok(attributes.join("+"))
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> Result<String, X509Reason> {
    let label = label(attribute.attr_type());
    match attribute.as_str() {
        Ok(value) => Ok(format!("{label}={}", escaped(value))),
        Err(_) => {
            let der = attribute.attr_value().to_der_vec().map_err(|_| X509Reason::Malformed)?;
            Ok(format!("{label}=#{}", der.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
        }
    }
}

fn label(oid: &Oid<'_>) -> String {
    let dotted = oid.to_id_string();
    SHORT.iter().find(|(known, _)| *known == dotted).map_or(dotted, |(_, short)| (*short).to_owned())
}

/// RFC 4514 §2.4.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, character) in value.chars().enumerate() {
        let edge = (at == 0 && matches!(character, ' ' | '#')) || (at == last && character == ' ');
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => text.extend(['\\', character]),
            _ if edge => text.extend(['\\', character]),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                control.encode_utf8(&mut bytes).bytes().for_each(|byte| text.push_str(&format!("\\{byte:02x}")));
            }
            other => text.push(other),
        }
    }
    text
}

impl DistinguishedName {
    /// Reads the string representation of a name (RFC 4514 §2). Blanks beside separators do not count.
    ///
    /// # Errors
    /// When it is none, is empty, or has an attribute type that is neither well known nor a dotted number.
    pub fn parse(text: &str) -> Result<Self, NameReason> {
        let relative = split(text, ',')?.into_iter().map(|relative| {
            let attributes: Vec<_> = split(relative, '+')?.into_iter().map(read_attribute).collect::<Result<_, _>>()?;
            let (count, set) = (attributes.len(), BTreeSet::from_iter(attributes));
            if set.len() == count { Ok(set) } else { Err(NameReason) }
        });
        Ok(Self(relative.collect::<Result<_, _>>()?))
    }
}

/// The parts between separators that are not escaped.
fn split(text: &str, separator: char) -> Result<Vec<&str>, NameReason> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, character) in text.char_indices() {
        if character == separator && !escaped {
            parts.push(text.get(start..at).ok_or(NameReason)?);
            start = at + separator.len_utf8();
        }
        escaped = character == '\\' && !escaped;
    }
    parts.push(text.get(start..).ok_or(NameReason)?);
    Ok(parts)
}

fn read_attribute(text: &str) -> Result<(String, AttributeValue), NameReason> {
    let (name, value) = text.split_once('=').ok_or(NameReason)?;
    let value = trimmed(value);
    let value = match value.strip_prefix('#') {
        Some(digits) => encoded(hexadecimal(digits)?),
        None => AttributeValue::Text(unescaped(value)?),
    };
    Ok((oid(name.trim_matches(' '))?, value))
}

fn oid(name: &str) -> Result<String, NameReason> {
    if let Some((oid, _)) = SHORT.iter().find(|(_, short)| short.eq_ignore_ascii_case(name)) {
        return Ok((*oid).to_owned());
    }
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let dotted = name.strip_prefix("OID.").unwrap_or(name);
    if dotted.contains('.') && dotted.split('.').all(number) { Ok(dotted.to_owned()) } else { Err(NameReason) }
}

/// Without blanks at the edges, as far as they are not escaped.
fn trimmed(value: &str) -> &str {
    let value = value.trim_start_matches(' ');
    let end = value.trim_end_matches(' ');
    let backslashes = end.bytes().rev().take_while(|byte| *byte == b'\\').count();
    match backslashes % 2 == 1 && end.len() < value.len() {
        true => value.get(..=end.len()).unwrap_or(end),
        false => end,
    }
}

/// RFC 4514 §2.4: a backslash and the character itself, or two hexadecimal digits for a byte.
fn unescaped(value: &str) -> Result<String, NameReason> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => escape(&mut rest)?,
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | 0 => return Err(NameReason),
            plain => plain,
        });
    }
    String::from_utf8(bytes).map_err(|_| NameReason)
}

fn escape(rest: &mut std::str::Bytes<'_>) -> Result<u8, NameReason> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let first = rest.next().ok_or(NameReason)?;
    match digit(first) {
        Some(high) => Ok(high * 16 + rest.next().and_then(digit).ok_or(NameReason)?),
        None if b" \"#+,;<=>\\".contains(&first) => Ok(first),
        None => Err(NameReason),
    }
}

/// A value in BER: text, where it is one of the types of strings by which names are written, or else as it is.
fn encoded(der: Vec<u8>) -> AttributeValue {
    let text = match der.as_slice() {
        // UTF8String, PrintableString and IA5String of one byte of length.
        [0x0c | 0x13 | 0x16, length, text @ ..] if *length < 0x80 && usize::from(*length) == text.len() => {
            str::from_utf8(text).ok()
        }
        _ => None,
    };
    text.map(str::to_owned).map_or(AttributeValue::Encoded(der), AttributeValue::Text)
}

fn hexadecimal(digits: &str) -> Result<Vec<u8>, NameReason> {
    let pair = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or(NameReason);
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(NameReason);
    }
    (0..digits.len()).step_by(2).map(pair).collect()
}

impl fmt::Display for NameReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be a distinguished name by RFC 4514, as in \"CN=orchestrator,OU=agents,O=Acme\", most specific part first",
        )
    }
}

impl std::error::Error for NameReason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        DistinguishedName::parse(one).unwrap() == DistinguishedName::parse(other).unwrap()
    }

    /// The examples of RFC 4514 §4.
    #[test]
    fn names_are_read_as_the_rfc_shows_them() {
        for text in [
            "UID=jsmith,DC=example,DC=net",
            "OU=Sales+CN=J.  Smith,DC=example,DC=net",
            "CN=James \\\"Jim\\\" Smith\\, III,DC=example,DC=net",
            "CN=Before\\0dAfter,DC=example,DC=net",
            "1.3.6.1.4.1.1466.0=#04024869",
            "CN=Lu\\C4\\8Di\\C4\\87",
        ] {
            assert!(DistinguishedName::parse(text).is_ok(), "{text}");
        }
        assert!(same("CN=Lu\\C4\\8Di\\C4\\87", "CN=Lu\u{10d}i\u{107}"));
    }

    /// RFC 4514 §2.4: the BER of a string is that string.
    #[test]
    fn a_string_that_is_written_in_hexadecimal_is_that_string() {
        for encoded in ["0c094f464242522d313233", "13094f464242522d313233", "16094F464242522D313233"] {
            assert!(same(&format!("CN=x,2.5.4.97=#{encoded}"), "CN=x,2.5.4.97=OFBBR-123"), "{encoded}");
        }
        for other in ["0c084f464242522d313233", "04094f464242522d313233", "0c02c328", "0c0a4f464242522d313233"] {
            assert!(!same(&format!("2.5.4.97=#{other}"), "2.5.4.97=OFBBR-123"), "{other}");
        }
    }

    #[test]
    fn spelling_does_not_count_and_parts_do() {
        assert!(same("CN=web,O=Acme", "cn=web, o = Acme") && same("CN=web", "2.5.4.3=web") && same("CN=web", "OID.2.5.4.3=web"));
        assert!(same("OU=a+CN=b", "CN=b+OU=a") && same("CN=a\\2cb", "CN=a\\,b") && same("CN=\\ a\\ ", "CN=\\20a\\20"));
        assert!(
            same("CN=a\\\\", "CN=a\\5c")
                && same("CN=a\\\\,O=b", "CN=a\\5c,O=b")
                && same("CN=a , O=b ", "CN=a,O=b")
                && same("CN=a=b", "CN=a\\=b")
        );
        assert!(!same("CN=web,O=Acme", "O=Acme,CN=web") && !same("CN=web", "CN=Web") && !same("CN=a+OU=b", "CN=a,OU=b"));
        assert!(!same("CN=web", "CN=web,O=Acme") && !same("CN=a\\, O=b", "CN=a,O=b") && !same("CN=#6161", "CN=\\#6161"));
        assert!(!same("CN=a", "CN=a\\ ") && !same("DC=a,DC=b", "DC=b,DC=a"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "web",
            "CN",
            "=a",
            "CN=a,",
            ",CN=a",
            "CN=a\"b",
            "CN=a\\",
            "CN=a\\zz",
            "XX=a",
            "1=a",
            "1.=a",
            "CN=#0",
            "CN=#",
            "CN=#+4",
            "CN=a+CN=a",
        ] {
            assert!(DistinguishedName::parse(text).is_err(), "{text}");
        }
        assert!(DistinguishedName::parse("CN=\\ff").is_err(), "not UTF-8");
    }

    #[test]
    fn a_value_cannot_read_like_another_attribute() {
        for (value, written) in [
            ("web", "web"),
            ("web,O=Acme", "web\\,O\\=Acme"),
            ("a+b", "a\\+b"),
            (" a ", "\\ a\\ "),
            ("#1", "\\#1"),
            ("a#1", "a#1"),
            ("a\\", "a\\\\"),
            ("a\0b", "a\\00b"),
            ("a\u{e9}", "a\u{e9}"),
            ("", ""),
        ] {
            assert_eq!(escaped(value), written);
        }
    }
}
