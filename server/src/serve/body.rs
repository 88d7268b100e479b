//! Bodies of requests with a deadline, and of responses that keep what they need until they are sent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A request's body, which must be there within `timeout` and before the server stops.
pub(super) fn arriving<B>(body: B, timeout: Duration, stop: &CancellationToken) -> Body
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    // Nearly all requests: they need no timer.
    if body.is_end_stream() {
        return Body::empty();
    }
    let (deadline, stopping) = (tokio::time::sleep(timeout), stop.clone().cancelled_owned());
    Body::new(Arriving { body, deadline: Box::pin(deadline), stopping: Box::pin(stopping) })
}

struct Arriving<B> {
    body: B,
    deadline: Pin<Box<Sleep>>,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<B> HttpBody for Arriving<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // First: what has arrived counts, even where the deadline has passed meanwhile.
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err("the request did not arrive within --web.read-timeout".into())));
        }
        if self.stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err("the server is stopping".into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body that holds something until it is handed over whole, or given up.
pub(super) struct Leaving<T> {
    body: Body,
    _held: T,
}

impl<T> Leaving<T> {
    pub(super) fn new(body: Body, held: T) -> Self {
        Self { body, _held: held }
    }
}

// All of it is forwarded: without the size hint every answer would be sent in chunks.
impl<T: Unpin> HttpBody for Leaving<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
