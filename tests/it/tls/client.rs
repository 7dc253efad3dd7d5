//! A client of TLS over a blocking socket, as plain as that for HTTP, so that each byte and each moment is the test's own.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme, StreamOwned, SupportedProtocolVersion};

use crate::support::Site;
use crate::support::patience::PATIENCE;

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// What a client brings.
pub struct Client {
    config: ClientConfig,
}

/// Shows a certificate, whoever has its key.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Client {
    /// One that trusts the authority of the site's server and shows nothing.
    pub fn new(site: &Site) -> Self {
        Self::trusting(&held(site, "server-ca"), rustls::ALL_VERSIONS)
    }

    /// The same, in some versions of TLS only.
    pub fn trusting(authority: &Path, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let mut config = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots).with_no_client_auth();
        config.resumption = Resumption::disabled();
        Self { config }
    }

    /// The same, showing the certificate in one file with the key in another.
    pub fn showing(mut self, certificate: &Path, key: &Path) -> Self {
        let chain = CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        let key = aws_lc_rs::sign::any_supported_type(&PrivateKeyDer::from_pem_file(key).unwrap()).unwrap();
        let key: Arc<dyn SigningKey> = key;
        self.config.client_auth_cert_resolver = Arc::new(Shows(Arc::new(CertifiedKey::new(chain, key))));
        self
    }

    /// The same, resuming sessions.
    pub fn resuming(mut self) -> Self {
        self.config.resumption = Resumption::in_memory_sessions(8);
        self
    }

    /// The same, speaking only that protocol inside.
    pub fn speaking(mut self, protocol: &str) -> Self {
        self.config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        self
    }

    /// Connects and shakes hands.
    pub fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        self.shake(stream)
    }

    /// Shakes hands on a connection.
    pub fn shake(&self, mut stream: TcpStream) -> io::Result<Stream> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let mut connection = ClientConnection::new(Arc::new(self.config.clone()), name).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }
}

/// A PEM file that a client holds.
pub fn held(site: &Site, name: &str) -> std::path::PathBuf {
    site.folder.join("test-certs").join(format!("{name}.pem"))
}

/// Sends bytes and reads one answer with a length.
pub fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> io::Result<String> {
    stream.write_all(request)?;
    stream.flush()?;
    answer(stream)
}

/// Reads one answer with a length.
pub fn answer(stream: &mut impl Read) -> io::Result<String> {
    let mut text = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(&bytes[..read]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        if length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap()) {
            return Ok(so_far);
        }
    }
}

/// A form for `path`, keeping the connection.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = "host: a\r\ncontent-type: application/x-www-form-urlencoded";
    format!("POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// A connection from another loopback address than others use.
pub fn connect_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((source, 0)))?;
        let stream = tokio::time::timeout(PATIENCE, socket.connect(address)).await??.into_std()?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    })
}
