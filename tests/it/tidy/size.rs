//! Short lines, short functions, short files.

use super::source::{Source, close, line, words};

const FILE_LINES_MAX: usize = 500;
const LINE_WIDTH_MAX: usize = 130;
const UNBREAKABLE: usize = 100;
/// In `src`, and everywhere else.
const FUNCTION_LINES_MAX: [usize; 2] = [60, 70];
const FUNCTION_LINES_P90: usize = 18;
const FUNCTION_LINES_MEDIAN: usize = 7;

/// Files, functions and lines that are too long.
pub fn file_complaints(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        complaints.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", source.path));
    }
    for (number, text) in source.text.lines().enumerate() {
        let width = text.chars().count();
        // What cannot be broken, a test vector or an address, may be longer.
        let vector = text.split(' ').any(|word| word.chars().count() > UNBREAKABLE);
        if width > LINE_WIDTH_MAX && !vector {
            complaints.push(format!("{}:{}: {width} columns, at most {LINE_WIDTH_MAX}", source.path, number + 1));
        }
    }
    let [in_src, elsewhere] = FUNCTION_LINES_MAX;
    let most = if source.path.starts_with("src/") { in_src } else { elsewhere };
    for (at, lines) in functions(&source.code).into_iter().filter(|(_, lines)| *lines > most) {
        complaints.push(format!("{}:{at}: a function of {lines} lines, at most {most}", source.path));
    }
    complaints
}

/// Whether most functions are short.
pub fn distribution_complaints(sources: &[Source]) -> Vec<String> {
    let mut lengths: Vec<usize> = sources.iter().flat_map(|source| functions(&source.product)).map(|(_, lines)| lines).collect();
    lengths.sort_unstable();
    let at = |percent: usize| lengths.get(lengths.len() * percent / 100).copied().unwrap_or_default();
    let limits = [("half", at(50), FUNCTION_LINES_MEDIAN), ("nine tenths", at(90), FUNCTION_LINES_P90)];
    let broken = limits.into_iter().filter(|(_, is, most)| is > most);
    broken
        .map(|(share, is, most)| format!("{share} of the functions have up to {is} lines; at most {most} is the rule"))
        .collect()
}

/// The line and the number of lines of every function with a body.
fn functions(code: &str) -> Vec<(usize, usize)> {
    let named = |at: &usize| code[at + 2..].trim_start().starts_with(|first: char| first.is_alphabetic() || first == '_');
    words(code, "fn").into_iter().filter(named).filter_map(|at| body(code, at)).collect()
}

fn body(code: &str, at: usize) -> Option<(usize, usize)> {
    let mut depth = 0_i32;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => {
                let first = line(code, at);
                return Some((first, line(code, close(code, offset) - 1) - first + 1));
            }
            _ => {}
        }
    }
    None
}

#[test]
fn long_files_lines_and_functions_are_seen() {
    let one = |text: &str| file_complaints(&Source::new("src/a.rs", text)).len();
    assert_eq!(one(&"\n".repeat(500)), 0);
    assert_eq!(one(&"\n".repeat(501)), 1);
    assert_eq!(one(&"x y ".repeat(32)), 0);
    assert_eq!(one(&"x y ".repeat(33)), 1);
    assert_eq!(one(&format!("// {}", "x".repeat(128))), 0);
    for (path, most) in ["src/a.rs", "tests/it/a.rs"].into_iter().zip(FUNCTION_LINES_MAX) {
        let of = |lines: usize| file_complaints(&Source::new(path, &format!("fn a() {{{}}}", "\n".repeat(lines - 1)))).len();
        assert_eq!((of(most), of(most + 1)), (0, 1), "{path}");
    }
}

#[test]
fn a_function_is_measured_from_its_name_to_its_closing_brace() {
    let code = "trait T { fn a(); fn b(x: [u8; 4]) -> u8 {\n if x { y }\n }\n}\ntype F = fn(u8);\n\
                async fn c<T>(t: T)\nwhere T: Fn() {\n}";
    assert_eq!(functions(code), [(1, 3), (6, 3)]);
}

#[test]
fn many_long_functions_are_seen() {
    let function = |lines: usize| format!("fn a() {{{}}}\n", "\n".repeat(lines - 1));
    let mixed = |short: usize, long: usize, lines: usize| function(1).repeat(short) + &function(lines).repeat(long);
    let complaints = |text: &str| distribution_complaints(&[Source::new("src/a.rs", text)]).len();
    assert_eq!(complaints(&mixed(95, 5, 60)), 0);
    assert_eq!(complaints(&mixed(80, 20, 31)), 1);
    assert_eq!(complaints(&mixed(40, 60, 10)), 1);
    assert_eq!(complaints(&mixed(40, 60, 40)), 2);
}
