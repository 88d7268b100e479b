//! Request to bytes: one response read into a reused buffer, gunzipped, under a limit. Step 3 of the scrape path.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::write::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};
use http_client::{Connection, GetError, HttpClient};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use url::Url;

/// The most a body may hold, uncompressed, when the job sets no `body_size_limit`: a target that never stops sending
/// must not take the server with it.
pub const BODY_BYTES_MAX: usize = 256 << 20;

/// Bytes of a body that are not counted against the common budget: almost every body is smaller.
const BODY_BYTES_FREE: usize = 8 << 20;
/// What large bodies may take together, in units of a MiB; those that come when it is used up wait, within their timeout.
const BUDGET_MIB: usize = 512;

/// How long the explanation of a refusal is waited for, and how much of it is shown.
const SAID_WAIT: Duration = Duration::from_millis(200);
const SAID_CHARS: usize = 200;
/// How Go, nginx and Apache answer plain HTTP on a port that speaks TLS.
const PLAIN_HTTP: [&str; 3] = [
    "HTTP request to an HTTPS server",
    "plain HTTP request was sent to HTTPS port",
    "speaking plain HTTP to an SSL-enabled server port",
];

/// The memory that the large bodies of all targets share.
#[derive(Clone, Debug)]
pub(crate) struct BodyBudget(Arc<Semaphore>);

impl Default for BodyBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BUDGET_MIB)))
    }
}

/// One body's part of the budget; given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct BodyShare(Option<OwnedSemaphorePermit>);

impl BodyShare {
    /// Waits until a body of that size is covered.
    async fn cover(&mut self, budget: &BodyBudget, bytes: usize) {
        let wanted = (bytes.saturating_sub(BODY_BYTES_FREE) >> 20).min(BUDGET_MIB);
        let held = self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(wanted.saturating_sub(held)).unwrap_or_default();
        if more == 0 {
            return;
        }
        if let Ok(permit) = Arc::clone(&budget.0).acquire_many_owned(more).await {
            match &mut self.0 {
                Some(held) => held.merge(permit),
                none => *none = Some(permit),
            }
        }
    }
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
        /// What was asked for.
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
    /// Anything but 200, and what the server says of it.
    #[error("server returned HTTP status {0}{1}")]
    Status(String, String),
    /// More bytes than allowed.
    #[error("body size limit exceeded (limit {limit} bytes{})", if *.configured { "" } else { ", set body_size_limit to change it" })]
    TooLarge {
        /// The limit.
        limit: usize,
        /// Is it the job's own?
        configured: bool,
    },
    /// Not gzip although it says so.
    #[error("cannot decompress the response: {0}")]
    Gzip(String),
    /// Not a format that is read.
    #[error("{0}")]
    ContentType(String),
}

/// Sends the request and reads the body into the buffer, which is cleared first. Returns the Content-Type, and the share of
/// the budget that the body takes.
pub(crate) async fn fetch(
    (client, connection): (&HttpClient, &mut Connection),
    (url, headers): (&Url, &HeaderMap),
    limit: Option<usize>,
    (buffer, budget): (&mut Vec<u8>, &BodyBudget),
) -> Result<(String, BodyShare), FetchError> {
    buffer.clear();
    let mut share = BodyShare::default();
    let failed = |error: GetError| match error {
        GetError::Client(error) => FetchError::Client(error),
        GetError::Failed(cause) => FetchError::Request { url: url.to_string(), cause },
    };
    let mut response = client.get(connection, url, headers).await.map_err(failed)?;
    let status = response.status();
    if status.as_u16() != 200 {
        let reason = status.canonical_reason().unwrap_or_default();
        let status = format!("{} {reason}", status.as_u16()).trim_end().to_owned();
        // What is late is not worth the wait.
        let mut said = Vec::new();
        // An error is no explanation.
        timeout(SAID_WAIT, response.read(&mut said)).await.ok();
        let said = explanation(&header(response.headers(), &CONTENT_TYPE), &said);
        return Err(FetchError::Status(status, said));
    }
    let content_type = header(response.headers(), &CONTENT_TYPE);
    let gzip = header(response.headers(), &CONTENT_ENCODING) == "gzip";
    let most = limit.unwrap_or(BODY_BYTES_MAX);
    let too_large = || FetchError::TooLarge { limit: most, configured: limit.is_some() };
    if gzip {
        let mut decoder = MultiGzDecoder::new(Limited { buffer, limit: most, full: false });
        let mut piece = Vec::new();
        while response.read(&mut piece).await.map_err(failed)? {
            if let Err(error) = decoder.write_all(&piece) {
                return Err(if decoder.get_ref().full { too_large() } else { FetchError::Gzip(error.to_string()) });
            }
            piece.clear();
            share.cover(budget, decoder.get_ref().buffer.len()).await;
        }
        if let Err(error) = decoder.try_finish() {
            return Err(if decoder.get_ref().full { too_large() } else { FetchError::Gzip(error.to_string()) });
        }
    } else {
        while response.read(buffer).await.map_err(failed)? {
            if buffer.len() >= most {
                return Err(too_large());
            }
            share.cover(budget, buffer.len()).await;
        }
    }
    Ok((content_type, share))
}

/// What a server says of its refusal, to be put behind the status: the message of a Kubernetes API server, or the first line of
/// a plain text.
fn explanation(content_type: &str, said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    if PLAIN_HTTP.iter().any(|known| text.contains(known)) {
        return ": the port speaks TLS; set scheme: https".to_owned();
    }
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

/// Takes bytes up to a limit. As upstream counts, a body of exactly the limit is already too large.
struct Limited<'a> {
    buffer: &'a mut Vec<u8>,
    limit: usize,
    full: bool,
}

impl std::io::Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.buffer.len() + bytes.len() >= self.limit {
            self.full = true;
            return Err(std::io::Error::other("body size limit exceeded"));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
