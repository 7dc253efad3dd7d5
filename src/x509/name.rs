//! Distinguished names as text (RFC 4514 §2), so that no value of one attribute can read like another attribute.

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

#[cfg(test)]
mod tests {
    use super::*;

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
