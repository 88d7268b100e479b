//! Chooses the thread on which the work of a request runs: the only place where the HTTP version matters.

mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};

use http::Version;

pub(crate) use self::watch::{InPlace, THREADS_LEFT};
use super::error::{ApiError, Kind};

/// Runs synchronous work of a request, such as a query.
///
/// Over HTTP/1 a connection has one request at a time: the work runs on the thread that serves it, since a handover to another
/// thread and back costs more than most requests do (decision 0012). Over HTTP/2 the work runs on a blocking thread, so that
/// hyper goes on polling the stream and drops the caller's future when the client cancels it.
pub(super) async fn execute<T: Send + 'static>(
    in_place: &InPlace,
    version: Version,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    if version == Version::HTTP_2 {
        return tokio::task::spawn_blocking(work).await.map_err(|_| panicked());
    }
    match in_place.begin() {
        Some(_running) => catch_unwind(AssertUnwindSafe(work)).map_err(|_| panicked()),
        None => self::in_place(work),
    }
}

/// Runs short synchronous work on the thread that serves the request; other tasks of that thread move elsewhere meanwhile.
pub(super) fn in_place<T>(work: impl FnOnce() -> T) -> Result<T, ApiError> {
    // A panic would end the task of the whole connection, without an answer.
    tokio::task::block_in_place(|| catch_unwind(AssertUnwindSafe(work))).map_err(|_| panicked())
}

fn panicked() -> ApiError {
    ApiError::new(Kind::Internal, "the request failed inside Weft; this is a bug")
}
