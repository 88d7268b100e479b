//! Heads of HTTP/1 requests as Go's server takes them, which the HTTP library is too strict for.
//!
//! `curl -g` sends `"`, `{` and UTF-8 as they are; clients that know GET alone send URLs of a megabyte; proxies add headers
//! by the hundred. So what arrives goes through [`Heads`] first: it percent-encodes what may not stand in a request target,
//! keeps what is long of a query string aside, and leaves out headers that nobody reads where there are very many. What
//! needs nothing of this, which is nearly every request, passes without a copy.

mod long;
mod rewrite;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) use long::Aside;
pub(crate) use long::{LongQuery, Room};
use rewrite::Rewriter;

/// A connection whose request heads are made acceptable on the way in.
#[derive(Debug)]
pub(super) struct Heads<S> {
    stream: S,
    rewriter: Rewriter,
    /// What takes the place of what was read, and how much of it was handed on.
    pending: Vec<u8>,
    at: usize,
}

impl<S> Heads<S> {
    pub(super) fn new(stream: S, aside: Arc<Aside>) -> Self {
        Self { stream, rewriter: Rewriter::new(aside), pending: Vec::new(), at: 0 }
    }

    /// Hands on what is pending.
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = self.pending.get(self.at..).unwrap_or_default();
        let len = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..len]);
        self.at += len;
        if self.at == self.pending.len() {
            // An idle connection holds nothing.
            self.pending = Vec::new();
            self.at = 0;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.pending.is_empty() {
                this.give(buf);
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            let read = &buf.filled()[before..];
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let as_it_is = this.rewriter.run(read, &mut this.pending);
            buf.set_filled(before + as_it_is);
            // Where all of it was kept aside there is nothing to hand on yet, which is not the end.
            if as_it_is > 0 || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
