//! Each crate is used for what it is good at, and named in its rooms only.

use super::source::{Source, line, words};

/// Where a crate may be named: prefixes of paths, and how many files at most below the one marked so.
struct Home {
    crate_name: &'static str,
    rooms: &'static [&'static str],
    /// In at most one file below this prefix.
    single: &'static [&'static str],
}

const HOMES: &[Home] = &[
    Home { crate_name: "josekit", rooms: &["src/jose/", "src/jose.rs", "src/demo/"], single: &[] },
    // The same name stands for the cryptography of TLS where rustls is told what to use.
    Home {
        crate_name: "aws_lc_rs",
        rooms: &[
            "src/crypto",
            "src/jose",
            "src/http/tls.rs",
            "src/http/listener.rs",
            "src/config/tls_file.rs",
            "src/keys/spiffe_tls.rs",
        ],
        single: &[],
    },
    Home { crate_name: "tokio_rustls", rooms: &["src/http/"], single: &[] },
    Home { crate_name: "actix_http", rooms: &["src/http/"], single: &[] },
    Home { crate_name: "actix_server", rooms: &["src/http/"], single: &[] },
    Home { crate_name: "actix_service", rooms: &["src/http/"], single: &[] },
    Home { crate_name: "cedar_policy", rooms: &["src/policy/cedar.rs", "src/policy/cedar/"], single: &[] },
    Home { crate_name: "serde_jcs", rooms: &["src/json/canonical.rs", "src/ledger/record/tests.rs"], single: &[] },
    Home { crate_name: "rusqlite", rooms: &["src/store/sqlite"], single: &[] },
    Home { crate_name: "roaring", rooms: &["src/store/sqlite"], single: &[] },
    Home { crate_name: "reqwest", rooms: &["src/net", "src/cli", "src/demo"], single: &[] },
    Home { crate_name: "futures_core", rooms: &["src/keys/workload/"], single: &[] },
    Home { crate_name: "webpki", rooms: &["src/x509"], single: &[] },
    Home { crate_name: "x509_parser", rooms: &["src/x509"], single: &[] },
    Home { crate_name: "config", rooms: &[], single: &["src/config"] },
    Home { crate_name: "actix_web", rooms: &["src/http", "src/demo/"], single: &["src/cli"] },
    Home { crate_name: "oauth2", rooms: &["src/cli/client_request.rs", "src/cli/token.rs"], single: &[] },
    Home { crate_name: "flate2", rooms: &["src/mint/status_list.rs"], single: &["src/cli"] },
    Home { crate_name: "lz4_flex", rooms: &["src/store/tiles.rs"], single: &[] },
    Home { crate_name: "postcard", rooms: &["src/token/ancestry.rs", "src/commit/entry.rs", "src/commit/tasks.rs"], single: &[] },
    Home { crate_name: "clap", rooms: &["src/cli"], single: &[] },
    Home { crate_name: "clap_complete", rooms: &["src/cli"], single: &[] },
    Home { crate_name: "toml", rooms: &["src/config", "src/demo", "src/cli"], single: &[] },
    Home { crate_name: "libc", rooms: &["src/files.rs"], single: &[] },
    Home { crate_name: "rlimit", rooms: &["src/server/limits.rs"], single: &[] },
];

/// Crates that are named where they do not live.
pub fn complaints(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for home in HOMES {
        let mut lodgers: Vec<(&str, &str)> = Vec::new();
        for source in sources {
            let Some(at) = uses(source, home.crate_name) else { continue };
            if home.rooms.iter().any(|room| source.path.starts_with(room)) {
                continue;
            }
            match home.single.iter().find(|room| source.path.starts_with(**room)) {
                Some(room) if lodgers.iter().all(|(other, _)| other != room) => lodgers.push((room, &source.path)),
                Some(room) => {
                    complaints.push(format!("{}:{at}: {} is named in one file below {room} only", source.path, home.crate_name))
                }
                None => complaints.push(format!("{}:{at}: {} is not named here", source.path, home.crate_name)),
            }
        }
    }
    complaints
}

/// The line in which a file first names a crate: `name::`, where no module of that name is meant.
fn uses(source: &Source, name: &str) -> Option<usize> {
    let code = &source.product;
    let ours = words(code, name).iter().any(|at| ["crate::", "super::"].iter().any(|root| code[..*at].ends_with(root)))
        || code.split("crate::{").skip(1).any(|tree| tree.split(';').next().is_some_and(|tree| !words(tree, name).is_empty()));
    let names = |at: &usize| {
        let follows = code[at + name.len()..].trim_start();
        let before = &code[..*at];
        let path =
            follows.starts_with("::") || (before.ends_with("use ") && (follows.starts_with(';') || follows.starts_with("as ")));
        let root = !before.ends_with("::") || before.trim_end_matches("::").ends_with([' ', '\n', '(', '<', '&', '{']);
        path && root
    };
    let first = words(code, name).into_iter().find(names)?;
    (!ours).then(|| line(code, first))
}

#[test]
fn a_crate_outside_its_rooms_is_seen() {
    for home in HOMES {
        let name = home.crate_name;
        for code in [
            format!("use {name}::X;"),
            format!("fn a(x: {name}::X) {{}}"),
            format!("use ::{name}::X;"),
            format!("use {name} as y;"),
        ] {
            assert_eq!(complaints(&[Source::new("src/error.rs", &code)]).len(), 1, "{code}");
            for room in home.rooms.iter().chain(home.single) {
                let file = format!("{}/x.rs", room.trim_end_matches(".rs").trim_end_matches('/'));
                let file = if room.ends_with(".rs") { (*room).to_owned() } else { file };
                assert!(complaints(&[Source::new(&file, &code)]).is_empty(), "{file}: {code}");
            }
        }
    }
    let twice = ["src/cli/a.rs", "src/cli/b.rs"].map(|path| Source::new(path, "use flate2::X;"));
    assert_eq!(complaints(&twice).len(), 1);
    for code in [
        "use crate::config::{self, X};\nfn a() { config::b() }",
        "use crate::{config, http};\nfn a() { config::b() }",
        "// config::X",
    ] {
        assert!(complaints(&[Source::new("src/cli/serve.rs", code)]).is_empty(), "{code}");
    }
}
