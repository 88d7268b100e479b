//! Bodies that are received: as they arrive, and what is made of them. Both reserve their memory, from two budgets: what arrives
//! waits for nobody, and what has arrived waits for those before it, which wait for nobody. So nothing ever waits in a circle.

use std::future::poll_fn;
use std::io::Read as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::response::{IntoResponse, Response};
use flate2::read::MultiGzDecoder;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is reserved is counted in pieces of so many bytes.
const PIECE: usize = 1 << 10;
/// A body reserves at least so much at once: a reservation for each frame would cost more than the frame.
const STEP: usize = 64 << 10;
/// How long what has arrived waits for memory.
const WAIT: Duration = Duration::from_secs(10);
/// When the sender may try again, seconds.
const AGAIN_SECONDS: u64 = 2;
/// What is made of a body at most: so many bytes for each byte, and for small bodies as many more, up to a bound.
const COPIES: usize = 6;
const COPIES_SMALL: usize = 20;
const COPIES_SMALL_MAX: usize = 8 << 20;

/// An answer in plain text, as upstream's receivers give theirs.
pub(in crate::api) fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    (status, [("x-content-type-options", "nosniff")], text.into() + "\n").into_response()
}

/// The memory of bodies.
#[derive(Debug)]
pub(super) struct BodyMemory {
    arriving: Arc<Semaphore>,
    decoded: Arc<Semaphore>,
    /// Pieces of each.
    pieces: u32,
}

/// A body as it came, and the memory that it holds.
#[derive(Debug, Default)]
pub(in crate::api) struct Arrived {
    pub(in crate::api) bytes: Vec<u8>,
    held: Option<OwnedSemaphorePermit>,
}

/// Why a body is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It is longer than that.
    TooLong(usize),
    /// It broke off.
    Broken(String),
    /// Others hold all of the memory.
    Full,
}

impl BodyMemory {
    pub(super) fn new(bytes: usize) -> Self {
        let pieces = u32::try_from(bytes / 2 / PIECE).unwrap_or(u32::MAX);
        // Upper bound of a semaphore; far more than any machine has.
        let pieces = pieces.min(u32::MAX >> 3);
        let all = || Arc::new(Semaphore::new(pieces as usize));
        Self { arriving: all(), decoded: all(), pieces }
    }

    /// Reads a body of at most so many bytes.
    pub(super) async fn arrive(
        &self,
        headers: &HeaderMap,
        mut body: Body,
        bytes_max: usize,
    ) -> Result<Arrived, NotTaken> {
        let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|bytes| bytes > bytes_max) {
            return Err(NotTaken::TooLong(bytes_max));
        }
        let mut growing = Growing { memory: self, bytes_max, arrived: Arrived::default() };
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame = frame.map_err(|error| NotTaken::Broken(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                growing.extend(&data, declared)?;
            }
        }
        Ok(growing.arrived)
    }

    /// The content of a gzip, of at most so many bytes, in the place of the gzip. Takes a while when it is long.
    pub(super) fn inflated(&self, arrived: &Arrived, bytes_max: usize) -> Result<Arrived, NotTaken> {
        let mut growing = Growing { memory: self, bytes_max, arrived: Arrived::default() };
        let mut decoder = MultiGzDecoder::new(&*arrived.bytes);
        let mut piece = vec![0; STEP];
        loop {
            match decoder.read(&mut piece) {
                Ok(0) => return Ok(growing.arrived),
                Ok(n) => growing.extend(&piece[..n], None)?,
                Err(error) => return Err(NotTaken::Broken(format!("gzip: {error}"))),
            }
        }
    }

    /// Room for what is made of a body whose content is so long: series, batch by batch.
    pub(super) async fn room_for(&self, content_bytes: usize) -> Result<OwnedSemaphorePermit, NotTaken> {
        let small = content_bytes.saturating_mul(COPIES_SMALL).min(COPIES_SMALL_MAX);
        self.room(content_bytes.saturating_mul(COPIES).saturating_add(small)).await
    }

    /// Room for so many bytes.
    pub(super) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, NotTaken> {
        let room = Arc::clone(&self.decoded).acquire_many_owned(self.pieces_of(bytes));
        tokio::time::timeout(WAIT, room).await.ok().and_then(Result::ok).ok_or(NotTaken::Full)
    }

    /// What is larger than all there is has all of it, by itself.
    fn pieces_of(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX).min(self.pieces)
    }
}

/// A body that is growing.
struct Growing<'m> {
    memory: &'m BodyMemory,
    bytes_max: usize,
    arrived: Arrived,
}

impl Growing<'_> {
    fn extend(&mut self, data: &[u8], declared: Option<usize>) -> Result<(), NotTaken> {
        let Arrived { bytes, held } = &mut self.arrived;
        let needed = bytes.len() + data.len();
        if needed > self.bytes_max {
            return Err(NotTaken::TooLong(self.bytes_max));
        }
        if needed > bytes.capacity() {
            // Not all that is declared: who declares much and sends little holds little.
            let grown = needed.max(2 * bytes.capacity()).max(STEP).min(declared.unwrap_or(usize::MAX).max(needed));
            let more = self.memory.pieces_of(grown - bytes.capacity());
            let more = Arc::clone(&self.memory.arriving).try_acquire_many_owned(more).map_err(|_| NotTaken::Full)?;
            match held {
                Some(held) => held.merge(more),
                None => *held = Some(more),
            }
            bytes.reserve_exact(grown - bytes.len());
        }
        bytes.extend_from_slice(data);
        Ok(())
    }
}

impl IntoResponse for NotTaken {
    fn into_response(self) -> Response {
        match self {
            Self::TooLong(bytes_max) => {
                let text = format!("request body exceeds the {bytes_max} bytes limit");
                plain(StatusCode::PAYLOAD_TOO_LARGE, text)
            }
            Self::Broken(why) => plain(StatusCode::BAD_REQUEST, why),
            Self::Full => {
                let text = "other requests hold all of the memory for what is received; try again";
                let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, text);
                response.headers_mut().insert(RETRY_AFTER, AGAIN_SECONDS.into());
                response
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn arrive(memory: &BodyMemory, bytes: usize, declared: Option<usize>) -> Result<Arrived, NotTaken> {
        let mut headers = HeaderMap::new();
        headers.extend(declared.map(|bytes| (CONTENT_LENGTH, bytes.into())));
        memory.arrive(&headers, Body::from(vec![1; bytes]), 200_000).await
    }

    #[tokio::test]
    async fn a_body_holds_its_memory_as_long_as_it_is_there() {
        let memory = BodyMemory::new(512 << 10);
        let first = arrive(&memory, 150_000, None).await.unwrap();
        assert_eq!(first.bytes.len(), 150_000);
        assert_eq!(arrive(&memory, 150_000, Some(150_000)).await.unwrap_err(), NotTaken::Full);
        drop(first);
        assert!(arrive(&memory, 150_000, Some(150_000)).await.is_ok());
        assert_eq!(memory.arriving.available_permits(), 256);
    }

    #[tokio::test]
    async fn long_bodies_are_refused_before_they_are_read() {
        let memory = BodyMemory::new(1 << 20);
        for declared in [Some(200_001), None] {
            assert_eq!(arrive(&memory, 200_001, declared).await.unwrap_err(), NotTaken::TooLong(200_000));
        }
        assert!(arrive(&memory, 200_000, None).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_inflated_is_bounded() {
        let memory = BodyMemory::new(1 << 20);
        let gzip = |n: usize| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, &vec![7; n]).unwrap();
            Arrived { bytes: encoder.finish().unwrap(), held: None }
        };
        let inflated = memory.inflated(&gzip(150_000), 200_000).unwrap();
        assert_eq!((inflated.bytes.len(), inflated.bytes[149_999]), (150_000, 7));
        assert!(memory.arriving.available_permits() <= 512 - 147, "it holds its memory");
        assert_eq!(memory.inflated(&gzip(200_001), 200_000).unwrap_err(), NotTaken::TooLong(200_000));
        assert_eq!(memory.inflated(&gzip(600_000), 1 << 20).unwrap_err(), NotTaken::Full);
        let mut cut = gzip(150_000);
        cut.bytes.truncate(100);
        assert!(matches!(memory.inflated(&cut, 200_000), Err(NotTaken::Broken(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrived_waits_for_what_came_before() {
        let memory = BodyMemory::new(64 << 20);
        let all = memory.room(64 << 20).await.unwrap();
        assert_eq!(memory.room(1).await.unwrap_err(), NotTaken::Full, "after a while");
        drop(all);
        assert!(memory.room(1).await.is_ok());
    }
}
