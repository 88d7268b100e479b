//! `/api/v1/notifications` and `/api/v1/notifications/live`: what the server tells people. Answered before it is ready, too.

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::{StatusCode, header};
use tokio_util::sync::CancellationToken;

use super::format;
use crate::notifications::{Listener, Notifications};

/// `/api/v1/notifications`
pub(crate) async fn notifications(State(notifications): State<Notifications>) -> Response {
    format::success_of(&notifications.current())
}

/// `/api/v1/notifications/live`: those in force, and then each change as it comes, as server-sent events.
pub(crate) async fn live(State(notifications): State<Notifications>, State(stop): State<Stop>) -> Response {
    let Some(listener) = notifications.listen() else {
        // What an `EventSource` takes as the end; it does not come back.
        let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
        return (StatusCode::NO_CONTENT, headers).into_response();
    };
    let events = stream::unfold((listener, stop.0), |(mut listener, stop)| async move {
        let event = next(&mut listener, &stop).await?;
        Some((Ok::<_, std::convert::Infallible>(event), (listener, stop)))
    });
    // Comments now and then: without them a client that is gone would keep its place.
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

/// The next event; `None` once the server is to end and everything is told.
async fn next(listener: &mut Listener, stop: &CancellationToken) -> Option<Event> {
    let update = tokio::select! {
        // First: that the server ends is itself told.
        biased;
        update = listener.next() => update,
        () = stop.cancelled() => None,
    }?;
    let mut text = String::new();
    format::serialize(&mut text, &update);
    Some(Event::default().data(text))
}

/// Cancelled when the server is to end.
#[derive(Clone, Debug)]
pub(crate) struct Stop(pub(crate) CancellationToken);
