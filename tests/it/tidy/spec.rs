//! Specifications are cited in one form, so that every rule of a document can be found by searching: number, space, section sign.

/// Citations in another form.
pub fn complaints(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for what in line_complaints(line) {
            complaints.push(format!("{path}:{}: {what}: {}", number + 1, line.trim()));
        }
    }
    complaints
}

fn line_complaints(line: &str) -> Vec<&'static str> {
    let cited = line.match_indices("RFC").filter_map(|(at, name)| after_number(&line[at + name.len()..]));
    let signs = line.match_indices('\u{a7}').filter_map(|(at, sign)| after_sign(&line[at + sign.len()..]));
    cited.chain(signs).collect()
}

/// What follows the letters.
fn after_number(rest: &str) -> Option<&'static str> {
    // A name in x509-parser.
    if rest.starts_with("822Name") {
        return None;
    }
    if rest.starts_with(|next: char| next.is_ascii_digit())
        || rest.starts_with('-') && rest[1..].starts_with(|next: char| next.is_ascii_digit())
    {
        return Some("a space stands before the number");
    }
    let number = rest.strip_prefix(' ')?;
    let digits = number.chars().take_while(char::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    let follows = number[digits..].trim_start_matches([',', ' ']).to_ascii_lowercase();
    let worded = ["section", "sec.", "sect.", "chapter"].iter().any(|word| follows.starts_with(word));
    let bare = number[digits..].starts_with(' ') && dotted(&follows);
    if !(3..=5).contains(&digits) {
        Some("a number of three to five digits follows")
    } else if worded || bare {
        Some("the section is written with the sign, as in \u{a7}4.1")
    } else {
        number[digits..].starts_with(", \u{a7}").then_some("no comma stands before the section")
    }
}

/// Whether a bare section number such as `3.11` begins here.
fn dotted(text: &str) -> bool {
    let whole = text.trim_start_matches(|character: char| character.is_ascii_digit());
    whole.len() < text.len() && whole.starts_with('.') && whole[1..].starts_with(|next: char| next.is_ascii_digit())
}

fn after_sign(rest: &str) -> Option<&'static str> {
    let follows = rest.starts_with(|next: char| next.is_ascii_digit() || next.is_ascii_uppercase());
    (!follows).then_some("the number follows the section sign at once")
}

#[test]
fn other_forms_of_citation_are_seen() {
    let rfc = |rest: &str| format!("// {}{rest}", "RF\u{43}");
    let sign = '\u{a7}';
    for bad in ["8693", "-8693", " 8693 section 4.1", " 8693, Section 4.1", " 8693 3.11", " 86", " 869300"] {
        assert_eq!(complaints("a", &rfc(bad)).len(), 1, "{bad}");
    }
    assert_eq!(complaints("a", &rfc(&format!(" 8693, {sign}4.1"))).len(), 1);
    assert_eq!(complaints("a", &rfc(&format!(" 8693 {sign} 4.1"))).len(), 1);
    for good in [" 8693", "s", " 8693 is", " 8693, then", " 8693 2 times", " 8414."] {
        assert!(complaints("a", &rfc(good)).is_empty(), "{good}");
    }
    assert!(complaints("a", &rfc(&format!(" 8693 {sign}4.1 and {sign}A.2"))).is_empty());
}
