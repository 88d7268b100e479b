//! Request to bytes: one response read into a reused buffer, gunzipped, under a limit. Step 3 of the scrape path.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use flate2::read::MultiGzDecoder as MultiGzReader;
use flate2::write::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};
use http_client::{Connection, GetError, HttpClient, PIECE_BYTES_MAX, Response};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::yield_now;
use tokio::time::timeout;
use url::Url;

use crate::budget::{BodyBudget, Evicted, FREE_BYTES, Reservation};

/// The most a body may hold, uncompressed, when the job sets no `body_size_limit`: a target that never stops sending
/// must not take the server with it.
pub const BODY_BYTES_MAX: usize = 256 << 20;

/// Buffers kept for the next scrapes, at most; those larger than [`FREE_BYTES`] are not kept.
const BUFFERS_KEPT: usize = 16;
/// After reading or inflating so many bytes a scrape lets other scrapes of its thread go on.
const READ_AT_ONCE: usize = 1 << 20;
const INFLATED_AT_ONCE: usize = 256 << 10;
const STEPS_AT_ONCE: usize = 256;
/// Checksum and length at the end of a gzip stream.
const TRAILER_BYTES: usize = 8;

/// How long the explanation of a refusal is waited for, and how much of it is shown.
const SAID_WAIT: Duration = Duration::from_millis(200);
const SAID_CHARS: usize = 200;
/// How Go, nginx and Apache answer plain HTTP on a port that speaks TLS.
const PLAIN_HTTP: [&str; 3] = [
    "HTTP request to an HTTPS server",
    "plain HTTP request was sent to HTTPS port",
    "speaking plain HTTP to an SSL-enabled server port",
];

/// The resources that the scrapes of all targets share to read bodies.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) budget: BodyBudget,
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Scrapes that inflate a large body at one moment, so that others wait for one piece of such work and not for many.
    inflating: Arc<Semaphore>,
}

impl Room {
    /// With so many bytes for the bodies of all targets, on a machine of so many cores.
    pub(crate) fn new(budget: BodyBudget, cores: usize) -> Self {
        Self { budget, buffers: Arc::default(), inflating: Arc::new(Semaphore::new(cores)) }
    }

    fn take_buffer(&self) -> Vec<u8> {
        self.buffers.lock().pop().unwrap_or_default()
    }

    /// Keeps a buffer for the next scrape, unless it is large.
    pub(crate) fn keep_buffer(&self, mut buffer: Vec<u8>) {
        let mut kept = self.buffers.lock();
        if buffer.capacity() <= FREE_BYTES && kept.len() < BUFFERS_KEPT {
            buffer.clear();
            kept.push(buffer);
        }
    }

    /// Frees what is kept.
    pub(crate) fn clear(&self) {
        self.buffers.lock().clear();
    }
}

/// The body of an answer, uncompressed. The bytes are dropped before what they hold of the budget is given back.
#[derive(Debug)]
pub(crate) struct FetchedBody {
    pub(crate) bytes: Vec<u8>,
    pub(crate) reservation: Reservation,
}

/// How large a body may become, and how large it probably is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodySize {
    /// The job's `body_size_limit`.
    pub(crate) limit: Option<usize>,
    /// That of the target's last body.
    pub(crate) last: usize,
}

/// Why there is nothing to parse. Texts follow upstream's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The job's client cannot be built or its credentials cannot be read.
    #[error(transparent)]
    Client(#[from] http_client::Error),
    /// The job may not scrape, and why.
    #[error("{0}")]
    Refused(String),
    /// No connection, no answer, a TLS fault, an answer that breaks off.
    #[error("Get {url:?}: {cause}")]
    Request {
        /// The URL of the request.
        url: String,
        /// The innermost cause and what led to it.
        cause: String,
    },
    /// The whole of it took longer than the scrape timeout.
    #[error("Get {url:?}: context deadline exceeded (scrape timeout {timeout})")]
    Timeout {
        /// What was asked for.
        url: String,
        /// The timeout, as a duration.
        timeout: String,
    },
    /// A status other than 200, and the explanation of the server.
    #[error("server returned HTTP status {0}{1}")]
    Status(String, String),
    /// More bytes than allowed.
    #[error("body size limit exceeded (limit {limit} bytes{})", if *.configured { "" } else { ", set body_size_limit to change it" })]
    TooLarge {
        /// The limit.
        limit: usize,
        /// True if the job sets the limit.
        configured: bool,
    },
    /// The memory was needed for other bodies.
    #[error(
        "the scrape was ended to free {held} bytes: the bodies of all targets together may hold {budget} bytes; set \
         body_size_limit in jobs whose targets send too much, or give the server more memory"
    )]
    Evicted {
        /// The memory of its body, bytes.
        held: usize,
        /// The memory that all bodies may take, bytes.
        budget: usize,
    },
    /// The body is not valid gzip.
    #[error("cannot decompress the response: {0}")]
    Gzip(String),
    /// The body has an encoding that was not requested.
    #[error(
        "received a zstd-compressed response, but the request asked for gzip or no compression at all; mend the target, \
         or what compresses in front of it"
    )]
    Zstd,
    /// Not a format that is read.
    #[error("{0}")]
    ContentType(String),
}

impl From<Evicted> for FetchError {
    fn from(Evicted { held, budget }: Evicted) -> Self {
        Self::Evicted { held, budget }
    }
}

/// Sends the request and reads the body. Returns the Content-Type with it.
pub(crate) async fn fetch(
    (client, connection): (&HttpClient, &mut Connection),
    (url, headers): (&Url, &HeaderMap),
    size: BodySize,
    (room, job): (&Room, &Arc<str>),
) -> Result<(String, FetchedBody), FetchError> {
    let failed = |error: GetError| match error {
        GetError::Client(error) => FetchError::Client(error),
        GetError::Failed(cause) => FetchError::Request { url: url.to_string(), cause },
    };
    let mut response = client.get(connection, url, headers).await.map_err(failed)?;
    let encoding = header(response.headers(), &CONTENT_ENCODING);
    let gzip = encoding == "gzip";
    if response.status().as_u16() != 200 {
        // What is late is not worth the wait.
        let mut said = Vec::new();
        // An error is no explanation.
        // One read is enough: what a server says of a refusal is short.
        timeout(SAID_WAIT, response.read(&mut said)).await.ok();
        if gzip {
            said = inflated_start(&said);
        }
        let said = explanation(&header(response.headers(), &CONTENT_TYPE), &said);
        return Err(FetchError::Status(response.status_line(), said));
    }
    // Some proxies compress whatever was asked for; parsing the bytes would report a faulty line 1 instead.
    if encoding == "zstd" {
        return Err(FetchError::Zstd);
    }
    let content_type = header(response.headers(), &CONTENT_TYPE);
    // Without a limit of the job, no body may be larger than the budget can cover.
    let most = size.limit.unwrap_or_else(|| BODY_BYTES_MAX.min(room.budget.body_max()));
    let too_large = || FetchError::TooLarge { limit: most, configured: size.limit.is_some() };
    let buffer = Buffer {
        body: FetchedBody { bytes: room.take_buffer(), reservation: room.budget.body(job) },
        most,
        last: size.last,
        full: false,
    };
    let body =
        if gzip { inflate(&mut response, buffer, &room.inflating).await } else { read(&mut response, buffer).await };
    match body {
        Ok(body) => Ok((content_type, body)),
        Err(BodyError::TooLarge) => Err(too_large()),
        Err(BodyError::Get(error)) => Err(failed(error)),
        Err(BodyError::Evicted(evicted)) => Err(evicted.into()),
        Err(BodyError::Gzip(why)) => Err(FetchError::Gzip(why)),
    }
}

/// Why there is no body.
#[derive(Debug)]
enum BodyError {
    TooLarge,
    Get(GetError),
    Evicted(Evicted),
    Gzip(String),
}

impl From<Evicted> for BodyError {
    fn from(evicted: Evicted) -> Self {
        Self::Evicted(evicted)
    }
}

async fn read(response: &mut Response<'_>, mut buffer: Buffer) -> Result<FetchedBody, BodyError> {
    let mut yielded_at = 0;
    loop {
        buffer.make_room(PIECE_BYTES_MAX).await?;
        let FetchedBody { bytes, reservation } = &mut buffer.body;
        if !reservation.or_evicted(response.read(bytes)).await?.map_err(BodyError::Get)? {
            return Ok(buffer.body);
        }
        // As upstream counts, a body of exactly the limit is already too large.
        if bytes.len() >= buffer.most {
            return Err(BodyError::TooLarge);
        }
        // A fast target on a local network is always readable; the other targets of this thread get their turn.
        if bytes.len() - yielded_at >= READ_AT_ONCE {
            yielded_at = bytes.len();
            yield_now().await;
        }
    }
}

async fn inflate(response: &mut Response<'_>, buffer: Buffer, inflating: &Semaphore) -> Result<FetchedBody, BodyError> {
    let mut inflater = Inflater::new(buffer, inflating);
    let mut piece = Vec::new();
    loop {
        piece.clear();
        let reservation = &mut inflater.decoder.get_mut().body.reservation;
        if !reservation.or_evicted(response.read(&mut piece)).await?.map_err(BodyError::Get)? {
            return inflater.finish().await;
        }
        inflater.feed(&piece).await?;
    }
}

/// Decompresses piece by piece: reserves memory before each, and yields to other scrapes.
struct Inflater<'a> {
    decoder: MultiGzDecoder<Buffer>,
    /// The last bytes that came: where the stream is whole, checksum and length of what was packed.
    trailer: VecDeque<u8>,
    yielded_at: usize,
    /// Since then. A member without content takes time too.
    steps: usize,
    inflating: &'a Semaphore,
    /// Held while a large body is inflated, never while something else is waited for.
    turn: Option<SemaphorePermit<'a>>,
}

impl<'a> Inflater<'a> {
    fn new(buffer: Buffer, inflating: &'a Semaphore) -> Self {
        let trailer = VecDeque::with_capacity(TRAILER_BYTES);
        Self { decoder: MultiGzDecoder::new(buffer), trailer, yielded_at: 0, steps: 0, inflating, turn: None }
    }

    async fn feed(&mut self, mut piece: &[u8]) -> Result<(), BodyError> {
        // The last 8 bytes over all pieces, for `is_cut`: the decoder does not tell a truncated stream from a broken
        // one.
        let end = piece.get(piece.len().saturating_sub(TRAILER_BYTES)..).unwrap_or_default();
        // A piece shorter than the trailer leaves room for bytes of the pieces before it.
        let kept = TRAILER_BYTES - end.len();
        self.trailer.drain(..self.trailer.len().saturating_sub(kept));
        self.trailer.extend(end);
        while !piece.is_empty() {
            let used = self.step(|decoder| decoder.write(piece)).await?;
            piece = piece.get(used..).unwrap_or_default();
        }
        self.turn = None;
        Ok(())
    }

    async fn finish(mut self) -> Result<FetchedBody, BodyError> {
        match self.step(MultiGzDecoder::try_finish).await {
            Ok(()) => {}
            Err(BodyError::Gzip(_)) if self.is_cut() => {
                return Err(BodyError::Gzip("unexpected EOF: the gzip stream ends early".to_owned()));
            }
            Err(error) => return Err(error),
        }
        let buffer = self.decoder.finish().map_err(|error| BodyError::Gzip(error.to_string()))?;
        Ok(buffer.body)
    }

    /// Of a stream that does not end well: was it cut? A whole one ends with the length of what it held.
    fn is_cut(&self) -> bool {
        // RFC 1952: the last four bytes of a member are its length modulo 2^32, little endian.
        let held = self.decoder.get_ref().body.bytes.len() as u32;
        !self.trailer.iter().skip(TRAILER_BYTES - 4).eq(&held.to_le_bytes())
    }

    /// One step of the decoder, which gives some 10 KiB at most; repeated while there is no room for what it gives.
    async fn step<T>(
        &mut self,
        mut step: impl FnMut(&mut MultiGzDecoder<Buffer>) -> io::Result<T>,
    ) -> Result<T, BodyError> {
        loop {
            let buffer = self.decoder.get_mut();
            let len = buffer.body.bytes.len();
            self.steps += 1;
            // By output and by steps: empty members give no output and could keep the thread for ever.
            if len - self.yielded_at >= INFLATED_AT_ONCE || self.steps >= STEPS_AT_ONCE {
                (self.yielded_at, self.steps) = (len, 0);
                self.turn = None;
                yield_now().await;
            }
            // Small bodies inflate without a turn: waiting for one would cost more than the work.
            if self.turn.is_none() && len >= INFLATED_AT_ONCE {
                // The semaphore is never closed.
                self.turn = buffer.body.reservation.or_evicted(self.inflating.acquire()).await?.ok();
            }
            match step(&mut self.decoder) {
                Ok(done) => return Ok(done),
                // The buffer is full: the turn is released while memory is waited for, and the same step is repeated.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.turn = None;
                    self.decoder.get_mut().make_room(INFLATED_AT_ONCE).await?;
                }
                // The decoder hands on the buffer's error as its own; the flag tells which it was.
                Err(_) if self.decoder.get_ref().full => return Err(BodyError::TooLarge),
                Err(error) => return Err(BodyError::Gzip(error.to_string())),
            }
        }
    }
}

/// As much as a short text needs of what was packed, whether or not all of it came.
fn inflated_start(packed: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    // What was read up to an error stays.
    MultiGzReader::new(packed).take(PIECE_BYTES_MAX as u64).read_to_end(&mut said).ok();
    said
}

/// The explanation of a server that refuses a request, for the error text behind the status: the message of a Kubernetes API server, or the first line of
/// a plain text.
fn explanation(content_type: &str, said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    if PLAIN_HTTP.iter().any(|known| text.contains(known)) {
        return ": the port speaks TLS; set scheme: https".to_owned();
    }
    // A Kubernetes API server answers with a Status object, whose message names what is forbidden.
    let json = || serde_json::from_slice::<serde_json::Value>(said).ok()?.get("message")?.as_str().map(str::to_owned);
    let message = match content_type.split(';').next().unwrap_or_default().trim() {
        "application/json" => json(),
        "text/plain" => text.lines().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned()),
        _ => None,
    };
    message.map_or_else(String::new, |message| format!(": {}", message.chars().take(SAID_CHARS).collect::<String>()))
}

fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// A body that grows up to a limit, and beyond [`FREE_BYTES`] only into memory that is reserved.
#[derive(Debug)]
struct Buffer {
    body: FetchedBody,
    most: usize,
    /// The size of the target's last body.
    last: usize,
    /// The limit was exceeded.
    full: bool,
}

impl Buffer {
    /// Reserves the memory for so many further bytes, and takes it.
    async fn make_room(&mut self, more: usize) -> Result<(), Evicted> {
        let FetchedBody { bytes, reservation } = &mut self.body;
        let (len, capacity) = (bytes.len(), bytes.capacity());
        if len + more <= FREE_BYTES || capacity - len >= more {
            return Ok(());
        }
        // Once to what the last body took, which is what most bodies take; else by half of what there is.
        let wanted = (self.last + more).max(capacity / 2 * 3).min(self.most + more).max(len + more);
        reservation.cover(wanted).await?;
        bytes.reserve_exact(wanted - len);
        Ok(())
    }
}

impl io::Write for Buffer {
    /// `WouldBlock` when there is no room left: nothing is lost, and the same write succeeds once there is.
    fn write(&mut self, new: &[u8]) -> io::Result<usize> {
        let bytes = &mut self.body.bytes;
        // As upstream counts, a body of exactly the limit is already too large.
        if bytes.len() + new.len() >= self.most {
            self.full = true;
            return Err(io::Error::other("body size limit exceeded"));
        }
        let (len, capacity) = (bytes.len(), bytes.capacity());
        let room = capacity.max(FREE_BYTES) - len;
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = new.get(..room).unwrap_or(new);
        if capacity - len < taken.len() {
            bytes.reserve_exact((capacity * 2).clamp(len + taken.len(), FREE_BYTES) - len);
        }
        bytes.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::gzip;

    fn buffer(budget: &BodyBudget, most: usize, last: usize) -> Buffer {
        let body = FetchedBody { bytes: Vec::new(), reservation: budget.body(&"j".into()) };
        Buffer { body, most, last, full: false }
    }

    async fn inflated(budget: &BodyBudget, packed: &[u8], last: usize) -> Result<FetchedBody, BodyError> {
        let semaphore = Semaphore::new(1);
        let mut inflater = Inflater::new(buffer(budget, 64 << 20, last), &semaphore);
        for piece in packed.chunks(1000) {
            inflater.feed(piece).await?;
            assert!(inflater.turn.is_none(), "nothing is held while the next piece is waited for");
        }
        inflater.finish().await
    }

    #[tokio::test(start_paused = true)]
    async fn members_are_joined_and_memory_is_reserved_before_it_is_taken() {
        let budget = BodyBudget::new(32 << 20);
        let page: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        for (members, last) in
            [(vec![page.len()], 0), (vec![10, 0, 1_500_000, 1, 1_499_989], 0), (vec![page.len()], 3_000_000)]
        {
            let mut rest = page.as_slice();
            let packed: Vec<u8> = members.iter().flat_map(|len| gzip(rest.split_off(..*len).unwrap())).collect();
            let body = inflated(&budget, &packed, last).await.unwrap();
            assert!(body.bytes == page, "{members:?}");
            let capacity = body.bytes.capacity();
            assert!(capacity - FREE_BYTES <= budget.reserved() && capacity < 5 << 20, "{capacity}");
            drop(body);
            assert_eq!(budget.reserved(), 0);
        }
        assert!(matches!(inflated(&budget, &gzip(&page)[..1000], 0).await, Err(BodyError::Gzip(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn others_have_their_turn_while_a_body_is_inflated() {
        let budget = BodyBudget::new(128 << 20);
        // As one member, and as many without content.
        for (packed, len) in [(gzip(&vec![b'\n'; 16 << 20]), 16 << 20), (gzip(b"").repeat(10_000), 0)] {
            let mut turns = 0;
            let others = async {
                loop {
                    turns += 1;
                    yield_now().await;
                }
            };
            tokio::select! {
                biased;
                body = inflated(&budget, &packed, 0) => assert_eq!(body.unwrap().bytes.len(), len),
                () = others => {}
            }
            assert!(turns >= 32, "{turns} turns");
        }
    }
}
