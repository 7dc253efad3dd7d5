//! A connection that always has a deadline: whoever sends slowly, reads slowly, or says nothing gives up its place.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use super::connection_limit::ConnectionPermit;
use super::read_order::ReadTurn;

/// From the first byte of a request to the first byte of its answer.
const REQUEST: Duration = Duration::from_secs(30);

/// From the first byte of an answer to the last one taken.
const ANSWER: Duration = Duration::from_secs(60);

/// Without a byte in either direction. Longer than what the HTTP layer allows between two requests.
const IDLE: Duration = Duration::from_secs(90);

/// The beginning of an interim answer (RFC 9110 §15.2.1).
const GO_ON: &[u8] = b"HTTP/1.1 100 ";

/// A connection that was admitted, with or without TLS.
pub(super) struct Connection {
    link: Link,
    /// The first byte of the request under way.
    asked: Option<Instant>,
    /// The first byte of the answer under way.
    answering: Option<Instant>,
    moved: Instant,
    alarm: Pin<Box<Sleep>>,
    permit: ConnectionPermit,
    /// Its place in the order of reads; none for those that are always in turn.
    turn: Option<ReadTurn>,
}

/// The transport of a connection.
pub(super) enum Link {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Local(UnixStream),
}

impl Connection {
    pub(super) fn new(link: Link, mut permit: ConnectionPermit) -> Self {
        let now = Instant::now();
        let alarm = Box::pin(sleep_until(now + IDLE));
        permit.rest();
        let turn = permit.lane().map(ReadTurn::new);
        Self { link, asked: None, answering: None, moved: now, alarm, permit, turn }
    }

    /// The certificates that the peer proved to hold the first one's key of, its own first. None without TLS.
    pub(super) fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        match &self.link {
            Link::Plain(_) | Link::Local(_) => None,
            Link::Tls(stream) => stream.get_ref().1.peer_certificates(),
        }
    }

    /// The user whose process is at the other end, where that is on this machine and the kernel tells.
    pub(super) fn peer_user(&self) -> Option<u32> {
        match &self.link {
            Link::Local(stream) => stream.peer_cred().ok().map(|peer| peer.uid()),
            Link::Plain(_) | Link::Tls(_) => None,
        }
    }

    fn deadline(&self) -> Instant {
        let asked = self.asked.map(|since| since + REQUEST);
        let answering = self.answering.map(|since| since + ANSWER);
        asked.into_iter().chain(answering).min().unwrap_or(self.moved + IDLE)
    }

    /// Ready when the deadline has passed; else the task is woken when it has. The alarm is only ever set where it would ring too
    /// late: most rings find that the deadline has moved on.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let deadline = self.deadline();
        if self.alarm.deadline() > deadline {
            self.alarm.as_mut().reset(deadline);
        }
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            if deadline <= Instant::now() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.alarm.as_mut().reset(deadline);
        }
    }

    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.poll_overdue(cx).map(Err)
    }

    /// Between two requests the connection ends, as if its peer had closed it, when its place was given to another.
    fn wait_for_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.permit.is_given_or_wakes(cx.waker()) && self.is_idle() {
            true => Poll::Ready(Ok(())),
            false => self.wait(cx),
        }
    }

    /// True where something came that is not to be read before others had their turn.
    fn is_out_of_turn(&mut self, cx: &mut Context<'_>) -> bool {
        let stream = match &self.link {
            Link::Plain(stream) => stream,
            Link::Tls(stream) => stream.get_ref().0,
            Link::Local(_) => return false,
        };
        let Some(turn) = self.turn.as_mut().filter(|_| stream.poll_read_ready(cx).is_ready()) else { return false };
        !turn.take_or_wait(cx.waker(), std::time::Instant::now())
    }

    fn is_idle(&self) -> bool {
        self.asked.is_none() && self.answering.is_none()
    }

    /// The first `count` of `bytes` are written: of an answer, unless it is the word to go on with a request that waits for it.
    fn wrote(&mut self, bytes: &[u8], count: usize) {
        if count > 0 {
            self.moved = Instant::now();
        }
        if count > 0 && !bytes.starts_with(GO_ON) {
            self.asked = None;
            self.answering.get_or_insert(self.moved);
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_out_of_turn(cx) {
            return this.wait_for_more(cx);
        }
        let before = buffer.filled().len();
        let read = match &mut this.link {
            Link::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Link::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
            Link::Local(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if read.is_pending() {
            return this.wait_for_more(cx);
        }
        if buffer.filled().len() > before {
            let now = Instant::now();
            this.permit.begin();
            this.moved = now;
            let since = *this.asked.get_or_insert(now);
            if now.duration_since(since) > REQUEST {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.link {
            Link::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Link::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
            Link::Local(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        match written {
            Poll::Pending => this.wait(cx),
            Poll::Ready(Ok(count)) => {
                this.wrote(bytes, count);
                written
            }
            Poll::Ready(Err(_)) => written,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = match &mut this.link {
            Link::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Link::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Link::Local(stream) => Pin::new(stream).poll_flush(cx),
        };
        match flushed {
            Poll::Pending => this.wait(cx),
            Poll::Ready(_) => {
                if this.answering.take().is_some() && this.is_idle() {
                    this.permit.rest();
                }
                flushed
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = match &mut this.link {
            Link::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Link::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Link::Local(stream) => Pin::new(stream).poll_shutdown(cx),
        };
        if shut.is_pending() { this.wait(cx) } else { shut }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::http::connection_limit::{ConnectionLimits, ConnectionPlaces};
    use crate::patience::pass_async;

    /// A connection and its client.
    async fn pair() -> (Connection, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(listener.accept(), TcpStream::connect(address));
        (Connection::new(Link::Plain(ours.unwrap().0), ConnectionPermit::uncounted()), theirs.unwrap())
    }

    async fn read(connection: &mut Connection) -> Result<usize, io::ErrorKind> {
        connection.read(&mut [0; 8]).await.map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn every_state_has_its_deadline() {
        let (mut connection, mut client) = pair().await;
        assert_eq!(connection.deadline(), connection.moved + IDLE);
        client.write_all(b"GET").await.unwrap();
        assert_eq!(read(&mut connection).await, Ok(3));
        let asked = connection.asked.unwrap();
        client.write_all(b" /").await.unwrap();
        assert_eq!(read(&mut connection).await, Ok(2));
        assert_eq!((connection.asked, connection.deadline()), (Some(asked), asked + REQUEST), "more bytes win no time");
        connection.write_all(b"HTTP").await.unwrap();
        assert_eq!((connection.asked, connection.deadline()), (None, connection.answering.unwrap() + ANSWER));
        connection.flush().await.unwrap();
        assert_eq!(connection.deadline(), connection.moved + IDLE);
    }

    #[tokio::test]
    async fn whoever_falls_silent_gives_up_its_place() {
        for (asked, answering, moved) in [(Some(REQUEST), None, IDLE / 2), (None, Some(ANSWER), IDLE / 2), (None, None, IDLE)] {
            let (mut connection, _client) = pair().await;
            tokio::select! {
                biased;
                read = read(&mut connection) => panic!("there is time, but {read:?}"),
                () = pass_async(Duration::from_secs(2)) => {}
            }
            let ago = |span: Duration| connection.moved.checked_sub(span).unwrap();
            (connection.asked, connection.answering, connection.moved) = (asked.map(ago), answering.map(ago), ago(moved));
            assert_eq!(read(&mut connection).await, Err(io::ErrorKind::TimedOut), "{asked:?} {answering:?}");
        }
    }

    #[tokio::test]
    async fn a_request_that_waits_for_the_word_to_go_on_is_under_way() {
        let (mut connection, mut client) = pair().await;
        client.write_all(b"POST").await.unwrap();
        assert_eq!(read(&mut connection).await, Ok(4));
        connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        connection.flush().await.unwrap();
        assert!(!connection.is_idle());
        connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        connection.flush().await.unwrap();
        assert!(connection.is_idle());
    }

    #[tokio::test]
    async fn an_idle_connection_whose_place_is_given_away_ends() {
        let limits = ConnectionLimits { connections: 1, per_address: 1, configured: 1 };
        let (places, (connection, mut client)) = (ConnectionPlaces::new(limits), pair().await);
        let at = |number: u8| std::net::IpAddr::from([192, 0, 2, number]);
        let mut connection = Connection::new(connection.link, places.permit(at(1), false).unwrap());
        client.write_all(b"GET").await.unwrap();
        assert_eq!(read(&mut connection).await, Ok(3));
        assert!(places.permit(at(2), false).is_none(), "a request is under way");
        connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        connection.flush().await.unwrap();
        let (read, newcomer) = tokio::join!(read(&mut connection), async { places.permit(at(2), false) });
        assert_eq!((read, newcomer.is_some()), (Ok(0), true));
    }

    #[tokio::test]
    async fn whoever_never_pauses_has_no_more_time() {
        let (mut connection, mut client) = pair().await;
        connection.asked = connection.moved.checked_sub(REQUEST + Duration::from_secs(1));
        client.write_all(b"a").await.unwrap();
        assert_eq!(read(&mut connection).await, Err(io::ErrorKind::TimedOut));
    }
}
