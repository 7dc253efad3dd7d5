//! An agent that serves the Workload API on a Unix socket and does what it is told, by frames and bytes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

const SERVICE: &str = "/SpiffeWorkloadAPI";

/// The reply to a call, at once and after every change.
#[derive(Clone)]
pub(super) enum Reply {
    /// A message with these bundles.
    Bundles(Vec<(String, Vec<u8>)>),
    /// As above, and then the end of the stream.
    BundlesAndEnd(Vec<(String, Vec<u8>)>),
    /// A message of so many bytes.
    Oversized(usize),
    /// A message that is none.
    Garbage,
    /// The end of the stream with a gRPC status.
    Status(u32),
    /// Nothing.
    Hang,
}

/// It ends, with its connections and its socket, when it is dropped.
pub(super) struct Agent {
    path: PathBuf,
    replies: Arc<Replies>,
    task: AbortHandle,
}

struct Replies {
    jwt: watch::Sender<Reply>,
    x509: watch::Sender<Reply>,
    calls: AtomicUsize,
    refused: AtomicUsize,
    next: Mutex<Option<Reply>>,
}

impl Agent {
    pub(super) fn start(path: PathBuf) -> Self {
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let replies = Arc::new(Replies {
            jwt: watch::channel(Reply::Hang).0,
            x509: watch::channel(Reply::Hang).0,
            calls: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            next: Mutex::new(None),
        });
        let serving = Arc::clone(&replies);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, Arc::clone(&serving)));
            }
        });
        Self { path, replies, task: task.abort_handle() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn jwt(&self, reply: Reply) {
        self.replies.jwt.send_replace(reply);
    }

    pub(super) fn x509(&self, reply: Reply) {
        self.replies.x509.send_replace(reply);
    }

    /// Sets the reply to the next call for JWT bundles; streams that are open are told nothing.
    pub(super) fn quietly(&self, reply: impl Fn() -> Reply) {
        *self.replies.next.lock().unwrap() = Some(reply());
    }

    pub(super) fn calls(&self) -> usize {
        self.replies.calls.load(Ordering::SeqCst)
    }

    /// How many calls came without the header that every call must have.
    pub(super) fn refused(&self) -> usize {
        self.replies.refused.load(Ordering::SeqCst)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn connection(stream: UnixStream, replies: Arc<Replies>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut calls = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        calls.spawn(call_of(request, respond, Arc::clone(&replies)));
    }
}

async fn call_of(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>, replies: Arc<Replies>) {
    let method = request.uri().path().strip_prefix(SERVICE).unwrap_or_default().to_owned();
    let header = request.headers().get("workload.spiffe.io").is_some_and(|value| value == "true");
    let (mut changes, field) = match method.as_str() {
        "/FetchJWTBundles" => (replies.jwt.subscribe(), 1),
        "/FetchX509Bundles" => (replies.x509.subscribe(), 2),
        _ => return refuse(&mut respond, 12),
    };
    if !header {
        replies.refused.fetch_add(1, Ordering::SeqCst);
        return refuse(&mut respond, 3);
    }
    replies.calls.fetch_add(1, Ordering::SeqCst);
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = respond.send_response(head, false).unwrap();
    let quiet = if field == 1 { replies.next.lock().unwrap().take() } else { None };
    let mut reply = quiet.unwrap_or_else(|| changes.borrow_and_update().clone());
    while send(&mut stream, &reply, field) && changes.changed().await.is_ok() {
        reply = changes.borrow_and_update().clone();
    }
}

/// A refusal without a message: its status stands in the headers.
fn refuse(respond: &mut SendResponse<Bytes>, status: u32) {
    let head = Response::builder().header("content-type", "application/grpc").header("grpc-status", status);
    let _ = respond.send_response(head.body(()).unwrap(), true);
}

/// True when the stream goes on.
fn send(stream: &mut SendStream<Bytes>, reply: &Reply, field: u8) -> bool {
    match reply {
        Reply::Bundles(bundles) => stream.send_data(frame(&message(bundles, field)), false).is_ok(),
        Reply::BundlesAndEnd(bundles) => {
            let _ = stream.send_data(frame(&message(bundles, field)), false);
            end(stream, 0)
        }
        Reply::Oversized(bytes) => stream.send_data(frame(&vec![0; *bytes]), false).is_ok(),
        Reply::Garbage => stream.send_data(frame(&[0xff; 32]), false).is_ok(),
        Reply::Status(status) => end(stream, *status),
        Reply::Hang => true,
    }
}

fn end(stream: &mut SendStream<Bytes>, status: u32) -> bool {
    let _ = stream.send_trailers(HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), status.into())]));
    false
}

/// A message as gRPC sends it: not compressed, its length before it.
fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

/// `map<string, bytes>` as the field `field`: one entry each, of a key as field 1 and a value as field 2.
fn message(bundles: &[(String, Vec<u8>)], field: u8) -> Vec<u8> {
    let entry =
        |(domain, bundle): &(String, Vec<u8>)| bytes_of(field, &[bytes_of(1, domain.as_bytes()), bytes_of(2, bundle)].concat());
    bundles.iter().flat_map(entry).collect()
}

fn bytes_of(field: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![field << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    [out, bytes.to_vec()].concat()
}

/// One call for JWT bundles, with `header` as what every call must say: its status, or that a message came.
pub(super) async fn call(path: &Path, header: Option<&str>) -> String {
    let (mut client, connection) = h2::client::handshake(UnixStream::connect(path).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("http://localhost{SERVICE}/FetchJWTBundles"));
    request = header.into_iter().fold(request, |request, value| request.header("workload.spiffe.io", value));
    let (response, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
    body.send_data(frame(&[]), true).unwrap();
    let mut response = response.await.unwrap();
    match response.headers().get("grpc-status") {
        Some(status) => status.to_str().unwrap().to_owned(),
        None => response.body_mut().data().await.map_or("nothing", |_| "a message").to_owned(),
    }
}
