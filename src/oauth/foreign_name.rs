//! Names that others gave, as far as they may stand in what this server issues and records.

use std::fmt;

/// A longer name is refused, in bytes.
const LENGTH_MAX: usize = 2048;

/// A name out of somebody else's token that may stand in one of ours: `sub`, an actor's name, a running copy, a method of
/// authentication. 1 to 2,048 bytes of characters that can be seen, so that no two names look alike that are not, and none
/// moves the cursor of whoever reads it in a terminal or a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignName(String);

/// Why a text is no such name. `Display` completes a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignNameReason;

impl ForeignName {
    /// Checks `text` and keeps it unchanged.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character that [`is_printable`] does not admit.
    pub fn parse(text: impl Into<String>) -> Result<Self, ForeignNameReason> {
        let text = text.into();
        let fits = (1..=LENGTH_MAX).contains(&text.len()) && is_printable(&text);
        if fits { Ok(Self(text)) } else { Err(ForeignNameReason) }
    }

    /// The name as it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, for whoever keeps it.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// True where every character can be seen: no control character (C0, DEL, C1), none that separates lines or paragraphs, and
/// none that is invisible or turns the direction of what follows (the format characters of Unicode, category Cf).
pub fn is_printable(text: &str) -> bool {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte);
    text.bytes().all(plain) || !text.chars().any(is_unseen)
}

/// The list stands here, not in a library, so that no update of a library changes which names are admitted.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

impl fmt::Display for ForeignName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ForeignNameReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must have 1 to 2048 bytes of characters that can be seen")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_script_are_kept_as_they_came() {
        for name in ["a", "al ice", "CN=Schlüssel,O=Ü", "山田", "google-oauth2|116205478", "\u{1f642}", "a\u{a0}b", "\"\\\u{301}"]
        {
            assert_eq!(ForeignName::parse(name).map(ForeignName::into_string), Ok(name.to_owned()));
        }
        assert!(ForeignName::parse("x".repeat(LENGTH_MAX)).is_ok());
    }

    #[test]
    fn what_cannot_be_seen_is_in_no_name() {
        let unseen = ['\0', '\t', '\n', '\r', '\x1b', '\x7f', '\u{80}', '\u{85}', '\u{9b}', '\u{9f}', '\u{200b}', '\u{200d}'];
        let turning = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}'];
        let lines = ['\u{2028}', '\u{2029}', '\u{feff}', '\u{ad}', '\u{e0041}'];
        for character in unseen.into_iter().chain(turning).chain(lines) {
            for name in [format!("{character}"), format!("{character}a"), format!("a{character}"), format!("ä{character}b")] {
                assert_eq!(ForeignName::parse(name.as_str()), Err(ForeignNameReason), "{}", name.escape_unicode());
            }
        }
        assert!(ForeignName::parse("").is_err() && ForeignName::parse("x".repeat(LENGTH_MAX + 1)).is_err());
    }
}
