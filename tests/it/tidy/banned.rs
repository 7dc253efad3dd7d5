//! Calls that are not made here, each with what is done instead.

use super::source::{Source, words};

/// A call, the places that may make it, and what everybody else does.
struct Ban {
    call: &'static str,
    except: &'static [&'static str],
    instead: &'static str,
}

const CLOCKS: &[&str] = &[
    "src/http/",
    "src/http.rs",
    "src/commit/",
    "src/commit.rs",
    "src/store/",
    "src/config/",
    "src/cli/",
    "src/demo",
    "src/server",
];
const SPEAKERS: &[&str] = &["src/cli", "src/demo"];
const SETTINGS: &[&str] = &["src/config", "src/cli"];

const BANS: &[Ban] = &[
    Ban { call: "SystemTime::now", except: CLOCKS, instead: "take the time as an argument" },
    Ban { call: "Instant::now", except: CLOCKS, instead: "take the time as an argument" },
    Ban { call: "OffsetDateTime::now_utc", except: CLOCKS, instead: "take the time as an argument" },
    Ban { call: "Utc::now", except: &[], instead: "take the time as an argument" },
    Ban { call: "todo!", except: &[], instead: "do it, or refuse" },
    Ban { call: "unimplemented!", except: &[], instead: "do it, or refuse" },
    Ban { call: "dbg!", except: &[], instead: "tracing" },
    Ban { call: "println!", except: SPEAKERS, instead: "tracing" },
    Ban { call: "print!", except: SPEAKERS, instead: "tracing" },
    Ban { call: "eprintln!", except: SPEAKERS, instead: "tracing" },
    Ban { call: "eprint!", except: SPEAKERS, instead: "tracing" },
    Ban { call: ".unwrap()", except: &[], instead: "return the error" },
    Ban { call: ".expect(", except: &[], instead: "return the error" },
    Ban { call: "env::var", except: SETTINGS, instead: "take it as an argument; config reads the environment" },
    Ban { call: "env::vars", except: SETTINGS, instead: "take it as an argument; config reads the environment" },
    Ban { call: "env::var_os", except: SETTINGS, instead: "take it as an argument; config reads the environment" },
    Ban {
        call: "thread::sleep",
        except: &["src/cli", "src/demo", "src/commit", "src/server"],
        instead: "tokio::time, or no waiting",
    },
    Ban { call: "process::exit", except: &[], instead: "return an ExitCode" },
    Ban { call: "danger_accept_invalid_certs", except: &[], instead: "a trusted certificate" },
];

/// Banned calls in the product's code.
pub fn complaints(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for ban in BANS.iter().filter(|ban| !ban.except.iter().any(|place| source.path.starts_with(place))) {
        for (number, _) in source.lines().filter(|(_, line)| holds(line, ban.call)) {
            complaints.push(format!("{}:{number}: {} is not called here; instead: {}", source.path, ban.call, ban.instead));
        }
    }
    complaints
}

/// Tests that nobody runs.
pub fn ignored_tests(source: &Source) -> Vec<String> {
    let ignored = |line: &&str| line.trim_start().starts_with("#[") && !words(line, "ignore").is_empty();
    let lines = source.code.lines().enumerate().filter(|(_, line)| ignored(line));
    lines.map(|(number, _)| format!("{}:{}: a test that is ignored tests nothing", source.path, number + 1)).collect()
}

/// Tests that measure or assume how long something takes: only `support/patience.rs` reads a clock and waits.
pub fn clocks_in_tests(source: &Source) -> Vec<String> {
    let concerned = source.path.starts_with("tests/it/") && source.path != "tests/it/support/patience.rs";
    let calls = ["Instant::now", "SystemTime::elapsed", ".elapsed(", "thread::sleep", "time::sleep"];
    let lines = source.code.lines().enumerate().filter(|_| concerned);
    let told = lines.flat_map(|(number, line)| calls.iter().filter(|call| holds(line, call)).map(move |call| (number + 1, call)));
    told.map(|(number, call)| {
        format!("{}:{number}: {call} in a test; instead: wait for the event by support::patience", source.path)
    })
    .collect()
}

fn holds(line: &str, call: &str) -> bool {
    match call.starts_with('.') {
        true => line.contains(call),
        false => !words(line, call).is_empty(),
    }
}

#[test]
fn every_ban_can_be_broken() {
    for ban in BANS {
        let code = format!("fn a() {{ x{} }}", ban.call)
            .replace("x.", "x.")
            .replace(" x", if ban.call.starts_with('.') { " x" } else { " " });
        assert!(!complaints(&Source::new("src/oauth/a.rs", &code)).is_empty(), "{code}");
        assert!(complaints(&Source::new("src/oauth/a.rs", &format!("// {}\n", ban.call))).is_empty());
        assert!(complaints(&Source::new("src/oauth/a.rs", &format!("#[cfg(test)]\nmod tests {{ {} }}", ban.call))).is_empty());
        for place in ban.except {
            let allowed = complaints(&Source::new(&format!("{place}/x.rs"), &code));
            assert!(allowed.iter().all(|told| !told.contains(ban.instead)), "{allowed:?}");
        }
    }
}

#[test]
fn a_test_that_assumes_how_long_something_takes_is_seen() {
    for code in
        ["thread::sleep(x)", "tokio::time::sleep(x).await", "assert!(began.elapsed() < LIMIT)", "std::time::Instant::now()"]
    {
        assert_eq!(clocks_in_tests(&Source::new("tests/it/a.rs", &format!("fn a() {{ {code} }}"))).len(), 1, "{code}");
        assert!(clocks_in_tests(&Source::new("tests/it/support/patience.rs", code)).is_empty());
    }
}

#[test]
fn an_ignored_test_is_seen() {
    for attribute in ["#[ignore]", "#[ignore = \"slow\"]", "#[cfg_attr(unix, ignore)]"] {
        assert_eq!(ignored_tests(&Source::new("tests/it/a.rs", &format!("#[test]\n{attribute}\nfn a() {{}}"))).len(), 1);
    }
    assert!(ignored_tests(&Source::new("tests/it/a.rs", "#[test]\nfn ignore() {} // #[ignore]")).is_empty());
}
