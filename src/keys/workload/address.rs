//! The address at which an agent serves the Workload API.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use ::spiffe::transport::Endpoint;

/// The address of a SPIFFE Workload Endpoint (SPIFFE Workload Endpoint §4): a Unix socket, or a TCP port of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadApi {
    text: String,
    endpoint: Endpoint,
}

/// Why a string is no such address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadApiReason {
    /// Neither `unix:` nor `tcp:`.
    Scheme,
    /// Nearly right; this would be.
    Spelling(String),
    /// The path is empty, needs escapes, or is longer than a socket's path may be.
    Path,
    /// No IP address and port.
    Address,
    /// An address that other machines may have too. Whoever serves there says whom to trust.
    Elsewhere,
}

/// The bytes that `sun_path` holds, less its final zero.
const PATH_BYTES_MAX: usize = 107;

impl WorkloadApi {
    /// Reads `unix:///absolute/path` or `tcp://127.0.0.1:8081`.
    ///
    /// # Errors
    /// See [`WorkloadApiReason`].
    pub fn parse(text: &str) -> Result<Self, WorkloadApiReason> {
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        let endpoint = match scheme {
            "unix" => Endpoint::Unix(path(rest)?),
            "tcp" => loopback(rest)?,
            "" if rest.starts_with('/') => return Err(WorkloadApiReason::Spelling(format!("unix://{rest}"))),
            _ => return Err(WorkloadApiReason::Scheme),
        };
        Ok(Self { text: text.to_owned(), endpoint })
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }
}

/// No authority, an absolute path, nothing else.
fn path(rest: &str) -> Result<PathBuf, WorkloadApiReason> {
    let path = format!("/{}", rest.trim_start_matches('/'));
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"%?#".contains(&byte));
    if !plain || !(2..=PATH_BYTES_MAX).contains(&path.len()) {
        return Err(WorkloadApiReason::Path);
    }
    if rest == format!("//{path}") { Ok(path.into()) } else { Err(WorkloadApiReason::Spelling(format!("unix://{path}"))) }
}

/// An IP address, a port, nothing else.
fn loopback(rest: &str) -> Result<Endpoint, WorkloadApiReason> {
    let authority = rest.trim_matches('/');
    if let Some(port) = authority.strip_prefix("localhost:").filter(|port| port.parse::<u16>().is_ok()) {
        return Err(WorkloadApiReason::Spelling(format!("tcp://127.0.0.1:{port}")));
    }
    let address: SocketAddr = authority.parse().map_err(|_| WorkloadApiReason::Address)?;
    match address.port() {
        0 => Err(WorkloadApiReason::Address),
        _ if !address.ip().is_loopback() => Err(WorkloadApiReason::Elsewhere),
        _ if rest != format!("//{authority}") => Err(WorkloadApiReason::Spelling(format!("tcp://{authority}"))),
        port => Ok(Endpoint::Tcp { host: address.ip(), port }),
    }
}

impl fmt::Display for WorkloadApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for WorkloadApiReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "must be unix:///path/of/the/socket, or tcp:// with a loopback address and a port",
            Self::Spelling(right) => return write!(f, "must be written {right}"),
            Self::Path => "must have an absolute path of at most 107 bytes that needs no escapes, as in unix:///run/agent.sock",
            Self::Address => "must have an IP address and a port and nothing else, as in tcp://127.0.0.1:8081",
            Self::Elsewhere => "must have an address of this machine only, as in tcp://127.0.0.1:8081; prefer unix:",
        })
    }
}

impl std::error::Error for WorkloadApiReason {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    /// SPIFFE Workload Endpoint §4.
    #[test]
    fn an_address_is_a_socket_of_this_machine_in_one_spelling() {
        for text in ["unix:///run/spire/sockets/agent.sock", "tcp://127.0.0.1:8081", "tcp://[::1]:8081", "tcp://127.9.9.9:1"] {
            assert_eq!(WorkloadApi::parse(text).unwrap().to_string(), text);
        }
        let long = format!("unix:///{}", "a".repeat(PATH_BYTES_MAX));
        for (text, reason) in [
            ("", "must be unix:///path"),
            ("http://127.0.0.1:8081", "must be unix:///path"),
            ("run/agent.sock", "must be unix:///path"),
            ("/run/agent.sock", "must be written unix:///run/agent.sock"),
            ("unix:/run/agent.sock", "must be written unix:///run/agent.sock"),
            ("unix:run/agent.sock", "must be written unix:///run/agent.sock"),
            ("unix://run/agent.sock", "must be written unix:///run/agent.sock"),
            ("unix:////run/agent.sock", "must be written unix:///run/agent.sock"),
            ("unix:///", "must have an absolute path"),
            ("unix:///run/agent.sock?x=1", "must have an absolute path"),
            ("unix:///run/agent%20.sock", "must have an absolute path"),
            ("unix:///run/agent .sock", "must have an absolute path"),
            (&long, "must have an absolute path"),
            ("tcp:127.0.0.1:8081", "must be written tcp://127.0.0.1:8081"),
            ("tcp://127.0.0.1:8081/", "must be written tcp://127.0.0.1:8081"),
            ("tcp://localhost:8081", "must be written tcp://127.0.0.1:8081"),
            ("tcp://127.0.0.1", "must have an IP address and a port"),
            ("tcp://127.0.0.1:0", "must have an IP address and a port"),
            ("tcp://127.0.0.1:8081/foo", "must have an IP address and a port"),
            ("tcp://agent.example:8081", "must have an IP address and a port"),
            ("tcp://user@127.0.0.1:8081", "must have an IP address and a port"),
            ("tcp://10.0.0.5:8081", "must have an address of this machine"),
            ("tcp://0.0.0.0:8081", "must have an address of this machine"),
        ] {
            let refused = WorkloadApi::parse(text).unwrap_err().to_string();
            assert!(refused.starts_with(reason), "{text}: {refused}");
        }
    }
}
