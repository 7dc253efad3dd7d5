//! `conformance`: runs the cases against a server. See the package's `README.md`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use countersign_conformance::fixture::{self, Addresses};
use countersign_conformance::{IssuerServer, Profile, Report, run};

const USAGE: &str = "\
usage: conformance --profile FILE [--url URL] [--cases DIR] [--filter TEXT] [--json]
       conformance fixture DIR [--public HOST:PORT] [--ops HOST:PORT] [--mtls HOST:PORT] [--idp HOST:PORT] [--issuer URL]
       conformance issuers --profile FILE     (serves the profile's issuers until it is interrupted)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Arguments::parse(&arguments).and_then(|arguments| arguments.execute()) {
        Ok(code) => code,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::from(2)
        }
    }
}

#[derive(Default)]
struct Arguments {
    words: Vec<String>,
    options: Vec<(String, String)>,
    json: bool,
}

const OPTIONS: [&str; 9] = ["--profile", "--url", "--cases", "--filter", "--public", "--ops", "--mtls", "--idp", "--issuer"];

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--json" => parsed.json = true,
                name if OPTIONS.contains(&name) => {
                    let value = rest.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
                    parsed.options.push((name.to_owned(), value.clone()));
                }
                name if name.starts_with('-') => return Err(format!("there is no option {name}\n{USAGE}")),
                word => parsed.words.push(word.to_owned()),
            }
        }
        Ok(parsed)
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn execute(&self) -> Result<ExitCode, String> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => self.cases(),
            ["fixture", folder] => self.fixture(Path::new(folder)),
            ["issuers"] => self.issuers(),
            _ => Err(USAGE.to_owned()),
        }
    }

    fn profile(&self) -> Result<Profile, String> {
        let path = self.option("--profile").ok_or_else(|| USAGE.to_owned())?;
        let mut profile = Profile::load(Path::new(path))?;
        if let Some(url) = self.option("--url") {
            profile.aim(url);
        }
        Ok(profile)
    }

    fn cases(&self) -> Result<ExitCode, String> {
        let cases = PathBuf::from(self.option("--cases").unwrap_or(fixture::CASES));
        let report = runtime()?.block_on(run(&self.profile()?, &cases, self.option("--filter")));
        let report: Report = report.map_err(|error| error.to_string())?;
        if self.json {
            println!("{}", report.to_json());
        } else {
            println!("{report}");
        }
        let (_, failed, _) = report.counts();
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn fixture(&self, folder: &Path) -> Result<ExitCode, String> {
        let public = self.option("--public").unwrap_or("127.0.0.1:18693").to_owned();
        let addresses = Addresses {
            issuer: self.option("--issuer").map_or_else(|| format!("http://{public}"), str::to_owned),
            public,
            mtls: self.option("--mtls").unwrap_or("127.0.0.1:18696").to_owned(),
            ops: self.option("--ops").unwrap_or("127.0.0.1:18694").to_owned(),
            idp: self.option("--idp").unwrap_or("127.0.0.1:18695").to_owned(),
        };
        let fixture = fixture::write(folder, &addresses).map_err(|error| error.to_string())?;
        println!("countersign serve --config {} --data {}", fixture.config.display(), fixture.data.display());
        println!("conformance --profile {}", fixture.profile.display());
        Ok(ExitCode::SUCCESS)
    }

    fn issuers(&self) -> Result<ExitCode, String> {
        let profile = self.profile()?;
        runtime()?.block_on(async {
            let _servers = IssuerServer::serve_all(&profile).await?;
            std::future::pending::<Result<ExitCode, String>>().await
        })
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Runtime::new().map_err(|error| error.to_string())
}
