//! The stream of a target's own connection: TCP or a Unix socket. It remembers its first bytes, so that an error can say which
//! protocol the server speaks instead of HTTP.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use url::Url;

use crate::Resolver;

/// The first bytes that an error shows.
const SHOWN: usize = 16;
/// The type of a TLS alert, and the first byte of every version of the protocol.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// How long to wait for one of several addresses before the next is tried.
const CONNECT_NEXT_AFTER: Duration = Duration::from_secs(2);

/// Where a connection is made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Host and port.
    Tcp(String, u16),
    /// A path.
    Unix(Arc<Path>),
}

impl Endpoint {
    /// The endpoint of a request that uses no proxy; a Unix socket replaces the host of the URL.
    pub(crate) fn of(url: &Url, socket: Option<&Arc<Path>>) -> Option<Self> {
        if let Some(socket) = socket {
            return Some(Self::Unix(Arc::clone(socket)));
        }
        Some(Self::Tcp(host_of(url)?.to_owned(), url.port_or_known_default()?))
    }

    /// Is this the endpoint of a request for the URL?
    pub(crate) fn serves(&self, url: &Url, socket: Option<&Arc<Path>>) -> bool {
        match (self, socket) {
            (Self::Unix(path), Some(socket)) => path == socket,
            (Self::Tcp(host, port), None) => host_of(url) == Some(host) && url.port_or_known_default() == Some(*port),
            _ => false,
        }
    }
}

/// The host without the brackets of an IPv6 address.
fn host_of(url: &Url) -> Option<&str> {
    url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']'))
}

impl Stream {
    /// What a response is that is not HTTP, as far as its first bytes show.
    pub(crate) fn explain(&self) -> Option<String> {
        let first = Some(&self.first).filter(|first| !first.is_empty())?;
        let shown = first.escape_ascii();
        if first.starts_with(&TLS_ALERT) {
            return Some(format!("malformed HTTP response \"{shown}\": the port speaks TLS; set scheme: https"));
        }
        (!first.starts_with(b"HTTP/")).then(|| format!("malformed HTTP response \"{shown}\""))
    }
}

#[derive(Debug)]
pub(crate) struct Stream {
    io: Io,
    /// The first bytes that were received.
    first: Vec<u8>,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Connects. The error names the endpoint as Go does.
    pub(crate) async fn to(endpoint: &Endpoint, resolver: &Resolver) -> Result<Self, String> {
        let io = match endpoint {
            Endpoint::Tcp(host, port) => tcp(host, *port, resolver).await.map(Io::Tcp)?,
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                let failed = |error| format!("dial unix {}: connect: {}", path.display(), crate::cause::of_io(&error));
                Io::Unix(stream.map_err(failed)?)
            }
        };
        Ok(Self { io, first: Vec::new() })
    }
}

async fn tcp(host: &str, port: u16, resolver: &Resolver) -> Result<TcpStream, String> {
    let found = resolver.lookup(host).await.map_err(|error| error.to_string())?;
    let mut failure = String::new();
    let n_addresses = found.len();
    for (i, address) in found.into_iter().enumerate() {
        let address = SocketAddr::new(address, port);
        let connected =
            async { TcpStream::connect(address).await.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) };
        let connected =
            if i + 1 == n_addresses { Ok(connected.await) } else { timeout(CONNECT_NEXT_AFTER, connected).await };
        match connected {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = format!("dial tcp {address}: connect: {}", crate::cause::of_io(&error)),
            Err(_) => failure = format!("dial tcp {address}: i/o timeout"),
        }
    }
    Err(failure)
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Io::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let new = buf.filled().get(before..).unwrap_or_default();
        // Only of the first read; a response that begins with fewer bytes shows fewer.
        if self.first.is_empty() {
            self.first = new.get(..SHOWN).unwrap_or(new).to_vec();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Io::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
