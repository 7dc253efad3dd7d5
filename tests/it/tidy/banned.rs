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

const FILES: &[&str] = &["src/files.rs"];
const READ: &str = "crate::files, which reads regular files only";
const MADE: &str = "crate::files, which makes files durable, whole, and their folder's owner's";

/// Who reads JSON by other means than `json`: the reader itself, and whoever reads what this server wrote, or what its
/// operator wrote or is answered.
const READERS: &[&str] = &[
    "src/json",
    "src/ledger/",
    "src/store/",
    "src/mint/task_token.rs",
    "src/http/public/respond.rs",
    "src/server/restore/place.rs",
    "src/server/terms.rs",
    "src/policy/assumed.rs",
    "src/config/keys_file.rs",
    "src/config/dated.rs",
    "src/trust/lint/example.rs",
    "src/cli",
    "src/demo",
];
const JOSE: &[&str] = &["src/jose/"];
const STRICTLY: &str = "json::read, or a member of a jose::Object: strangers' JSON is read strictly";

const BANS: &[Ban] = &[
    Ban { call: "fs::read", except: FILES, instead: READ },
    Ban { call: "fs::read_to_string", except: FILES, instead: READ },
    Ban { call: "File::open", except: FILES, instead: READ },
    Ban { call: "fs::write", except: FILES, instead: MADE },
    Ban { call: "fs::copy", except: FILES, instead: MADE },
    Ban { call: "fs::rename", except: FILES, instead: MADE },
    Ban { call: "fs::hard_link", except: FILES, instead: MADE },
    Ban { call: "fs::create_dir", except: FILES, instead: MADE },
    Ban { call: "fs::create_dir_all", except: FILES, instead: MADE },
    Ban { call: "fs::set_permissions", except: FILES, instead: MADE },
    Ban { call: "File::create", except: FILES, instead: MADE },
    Ban { call: "File::create_new", except: FILES, instead: MADE },
    Ban { call: "File::options", except: FILES, instead: MADE },
    Ban { call: "fs::OpenOptions", except: FILES, instead: MADE },
    Ban { call: "OpenOptions::new", except: FILES, instead: MADE },
    Ban { call: "DirBuilder", except: FILES, instead: MADE },
    Ban { call: "OpenOptionsExt", except: FILES, instead: MADE },
    Ban { call: "chown", except: FILES, instead: MADE },
    Ban { call: "UnixListener::bind", except: FILES, instead: MADE },
    Ban { call: "tokio::fs", except: &[], instead: READ },
    Ban { call: "serde_json::from_str", except: READERS, instead: STRICTLY },
    Ban { call: "serde_json::from_slice", except: READERS, instead: STRICTLY },
    Ban { call: "serde_json::from_reader", except: &[], instead: STRICTLY },
    Ban { call: "serde_json::from_value", except: READERS, instead: STRICTLY },
    Ban { call: "serde_json::Deserializer", except: &["src/json"], instead: STRICTLY },
    Ban { call: "serde_json::StreamDeserializer", except: &[], instead: STRICTLY },
    Ban { call: "Jwk::from_bytes", except: JOSE, instead: "jose reads keys, of texts that were checked" },
    Ban { call: "web::Json", except: &[], instead: STRICTLY },
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

/// The files that read a clock and wait for tests, for those of `tests/it` and for unit tests.
const PATIENT: [&str; 2] = ["tests/it/support/patience.rs", "src/patience.rs"];

const HASTY: [&str; 9] = [
    "Instant::now",
    "SystemTime::elapsed",
    ".elapsed(",
    "thread::sleep",
    "time::sleep",
    "time::timeout",
    ".recv_timeout(",
    ".wait_timeout(",
    "park_timeout",
];

/// Tests that measure or assume how long something takes. A ceiling of `PATIENCE` is none of them.
pub fn clocks_in_tests(source: &Source) -> Vec<String> {
    let concerned =
        ["tests/it/", "src/"].iter().any(|root| source.path.starts_with(root)) && !PATIENT.contains(&source.path.as_str());
    // What stands in the code of a file and not in that of the product is a test.
    let product = source.product.lines().chain(std::iter::repeat(""));
    let lines = source.code.lines().zip(product).enumerate().filter(|_| concerned);
    let told = lines.flat_map(|(number, (line, product))| {
        HASTY
            .iter()
            .filter(move |call| holds(line, call) && !holds(product, call) && !line.contains("PATIENCE"))
            .map(move |call| (number + 1, call))
    });
    told.map(|(number, call)| format!("{}:{number}: {call} in a test; instead: wait for the event by `patience`", source.path))
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
    for code in [
        "thread::sleep(x)",
        "tokio::time::sleep(x).await",
        "assert!(began.elapsed() < LIMIT)",
        "std::time::Instant::now()",
        "tokio::time::timeout(x, y).await",
        "x.recv_timeout(y)",
    ] {
        let code = format!("fn a() {{ {code} }}");
        for path in ["tests/it/a.rs", "src/keys/tests.rs", "src/keys/tests/a.rs"] {
            assert_eq!(clocks_in_tests(&Source::new(path, &code)).len(), 1, "{path}: {code}");
        }
        let within = format!("{code}\n#[cfg(test)]\nmod tests {{\n    {code}\n}}\n");
        assert_eq!(clocks_in_tests(&Source::new("src/keys/a.rs", &within)).len(), 1, "{within}");
        assert!(clocks_in_tests(&Source::new("src/keys/a.rs", &code)).is_empty(), "the product may, where other rules let it");
        for path in PATIENT {
            assert!(clocks_in_tests(&Source::new(path, &code)).is_empty());
        }
    }
}

#[test]
fn an_ignored_test_is_seen() {
    for attribute in ["#[ignore]", "#[ignore = \"slow\"]", "#[cfg_attr(unix, ignore)]"] {
        assert_eq!(ignored_tests(&Source::new("tests/it/a.rs", &format!("#[test]\n{attribute}\nfn a() {{}}"))).len(), 1);
    }
    assert!(ignored_tests(&Source::new("tests/it/a.rs", "#[test]\nfn ignore() {} // #[ignore]")).is_empty());
}
