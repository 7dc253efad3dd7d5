//! HTTP at its plainest: one request per connection over a blocking socket, so that nothing is repaired, repeated or hidden.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::patience::PATIENCE;

/// No answer that the tests expect has more bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Head and body as they came.
    pub text: String,
    /// Where the body begins in `text`.
    body: usize,
}

impl Reply {
    /// The body.
    pub fn body(&self) -> &str {
        &self.text[self.body..]
    }

    /// The body as JSON; `null` when it is not.
    pub fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap_or_default()
    }

    /// The text of a member of the body; empty when there is none.
    pub fn text_of(&self, member: &str) -> String {
        self.json().get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.text[..self.body].lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

/// Sends a form to `path` and reads the answer.
pub fn post_form(address: SocketAddr, path: &str, body: &str) -> io::Result<Reply> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n"
    );
    exchange_bytes(address, format!("{head}{body}").as_bytes())
}

/// Reads `path`.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Reply> {
    exchange_bytes(address, format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())
}

/// Sends bytes as they are and reads until the server closes.
pub fn exchange_bytes(address: SocketAddr, bytes: &[u8]) -> io::Result<Reply> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    exchange_over(stream, bytes)
}

/// Sends bytes as they are over a connection and reads until the server closes it.
pub fn exchange_over(mut stream: impl Read + Write, bytes: &[u8]) -> io::Result<Reply> {
    // A server that has heard enough may answer and close before everything is sent.
    let sent = stream.write_all(bytes);
    let mut answer = Vec::new();
    let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
    match parse(&answer) {
        Some(reply) => Ok(reply),
        None => Err(sent.and(read.map(drop)).err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())),
    }
}

/// A whole answer: one cut off on the way is none, for a client would not believe it either.
fn parse(answer: &[u8]) -> Option<Reply> {
    let text = String::from_utf8_lossy(answer).into_owned();
    let body = text.find("\r\n\r\n")? + 4;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let reply = Reply { status, text, body };
    let whole = reply.header("content-length").is_none_or(|length| length.parse() == Ok(reply.body().len()));
    whole.then_some(reply)
}
