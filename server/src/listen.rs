//! Listening sockets, in Go's spelling of addresses, and the connections that come in.

use std::future::Future as _;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::serve::connections::Activity;

/// Binds `host:port`; `:9090` means every address.
pub(crate) async fn bind(address: &str) -> io::Result<TcpListener> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    // `::1` is an address, and no host with the port 1.
    if port.is_empty() || port.ends_with(']') || host.contains(':') && !host.starts_with('[') {
        let host = match address.matches(':').count() {
            0 | 1 => host.to_owned(),
            _ if address.starts_with('[') => address.to_owned(),
            _ => format!("[{address}]"),
        };
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the address has no port: write {host}:9090 for Prometheus' own"),
        ));
    }
    match address.strip_prefix(':') {
        // As Go binds `:port`: a dual-stack socket where IPv6 is there.
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Ok(listener) => Ok(listener),
            // A machine without IPv6.
            Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
        },
        None => TcpListener::bind(address).await,
    }
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    stream: Arc<TcpStream>,
}

impl Client {
    /// Has it closed the connection, or its half of it? Asked from any thread, and answered at once.
    pub(crate) fn has_gone(&self) -> bool {
        // One poll with a waker that does nothing: what tokio's reactor saw last, without a system call.
        let ready = pin!(self.stream.ready(Interest::READABLE));
        match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) => ready.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }
}

/// An accepted TCP connection, which tells its [`Activity`] when a write makes no progress.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Arc<TcpStream>,
    activity: Arc<Activity>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        // Answers are written whole; waiting to fill a packet only delays them.
        stream.set_nodelay(true).ok();
        Self { stream: Arc::new(stream), activity }
    }

    /// Who is at the other end of it, at this address.
    pub(crate) fn client(&self, address: SocketAddr) -> Client {
        Client { address: address.ip().to_canonical(), stream: Arc::clone(&self.stream) }
    }

    /// Looks at the first bytes without taking them.
    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.peek(buffer).await
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done.map(drop)),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            if self.stream.poll_write_ready(cx)?.is_pending() {
                // The kernel's send buffer is full: the client takes nothing. Since when decides whether it is closed.
                self.activity.write_waits();
                return Poll::Pending;
            }
            match self.stream.try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.activity.write_goes_on();
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.stream).shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_needs_a_port() {
        for (address, written) in [
            ("127.0.0.1", "127.0.0.1:9090"),
            ("localhost:", "localhost:9090"),
            ("::1", "[::1]:9090"),
            ("[::1]", "[::1]:9090"),
            ("", ":9090"),
        ] {
            let error = bind(address).await.unwrap_err().to_string();
            assert!(error.contains("no port") && error.contains(&format!("write {written} ")), "{address}: {error}");
        }
        for address in ["127.0.0.1:0", "localhost:0", ":0"] {
            assert!(bind(address).await.is_ok(), "{address}");
        }
    }
}
