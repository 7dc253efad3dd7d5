//! Durations as people write them: a whole number and a unit.

use std::fmt;
use std::time::Duration;

/// The text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DurationReason;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads `500ms`, `30s`, `5m`, `2h` or `1d`.
///
/// # Errors
/// Anything else: no unit, a sign, a fraction, blanks, or more than ten years.
pub(super) fn parse(text: &str) -> Result<Duration, DurationReason> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or(DurationReason)?;
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(DurationReason)?;
    let number: u64 = number.parse().map_err(|_| DurationReason)?;
    let span = number.checked_mul(*millis).map(Duration::from_millis).ok_or(DurationReason)?;
    (span <= Duration::from_hours(24 * 3653)).then_some(span).ok_or(DurationReason)
}

/// The right spelling of a duration that has blanks, capitals, or the unit's whole name.
pub(super) fn meant(text: &str) -> Option<String> {
    let lower: String = text.chars().filter(|char| !char.is_whitespace()).flat_map(char::to_lowercase).collect();
    let digits = lower.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = lower.split_at_checked(digits)?;
    let names = ["ms|msec|millis|milliseconds", "s|sec|secs|second|seconds", "m|min|mins|minute|minutes"];
    let longer = ["h|hr|hrs|hour|hours", "d|day|days"];
    let named = |names: &&&str| names.split('|').any(|name| name == unit);
    let unit = names.iter().chain(&longer).find(named)?.split('|').next()?;
    let right = format!("{number}{unit}");
    (parse(&right).is_ok() && right != text).then_some(right)
}

/// Writes a duration with the largest unit that fits it exactly.
pub(super) fn show(span: Duration) -> String {
    let millis = span.as_millis();
    let fits = |unit: &&(&str, u64)| millis >= u128::from(unit.1) && millis.is_multiple_of(u128::from(unit.1));
    let (unit, size) = UNITS.iter().rev().find(fits).unwrap_or(&("ms", 1));
    format!("{}{unit}", millis / u128::from(*size))
}

impl fmt::Display for DurationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a whole number with a unit: ms, s, m, h or d, as in \"5m\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_number_and_a_unit_and_nothing_else() {
        for (text, millis) in [("500ms", 500), ("0s", 0), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "m", "-5m", "+5m", "5 m", "1.5h", "5M", "5min", "1h30m", "99999999999999999999s", "9999d", "٥m"] {
            assert_eq!(parse(text), Err(DurationReason), "{text}");
        }
    }

    #[test]
    fn a_slip_is_told_from_nonsense() {
        for (text, right) in [("5min", "5m"), ("5 m", "5m"), ("5M", "5m"), ("24 hours", "24h"), ("1Day", "1d"), ("30sec", "30s")]
        {
            assert_eq!(meant(text).as_deref(), Some(right), "{text}");
        }
        for text in ["", "5", "m", "5x", "-5m", "1.5h", "1h30m", "5m", "99999999999999999999s"] {
            assert_eq!(meant(text), None, "{text}");
        }
    }

    #[test]
    fn shows_what_it_reads() {
        for text in ["500ms", "90s", "5m", "90m", "2h", "1d", "0ms"] {
            assert_eq!(parse(text).map(show).as_deref(), Ok(text));
        }
    }
}
