//! Requests to one server. They are made by tasks of the runtime; who waits for them need not be on it (`wait`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::RemoteReadConfig;
use futures::channel::mpsc;
use futures::{SinkExt as _, StreamExt as _};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http_client::{HttpClient, Resolver, answer};
use model::{Caller, QuerierError};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use url::Url;

use super::wait::wait;

/// As much of an error page is shown.
const SHOWN_CHARS_MAX: usize = 500;
/// Pieces of an answer that wait for the query.
const PIECES_WAITING: usize = 8;
const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-read-version");

/// Makes requests as one section of the configuration says.
#[derive(Debug)]
pub(super) struct Client {
    http: HttpClient,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
}

/// What comes of a request, in this order.
#[derive(Debug)]
pub(super) enum Event {
    /// The server answers, with this status and media type.
    Head(u16, String),
    /// The next bytes of the body.
    Piece(Bytes),
    /// That was all.
    End,
    /// There is no answer, or no more of it.
    Failed(String),
}

impl Client {
    /// # Errors
    /// When the URL or a header is not valid, or the HTTP client cannot be built.
    pub(super) fn new(config: &RemoteReadConfig, (user_agent, resolver): (&str, &Resolver)) -> Result<Self, String> {
        let url = Url::parse(&config.url).map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let invalid = || format!("header {name:?} is not valid");
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| invalid())?);
        }
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(VERSION, HeaderValue::from_static("0.1.0"));
        let http = HttpClient::new(&config.http, user_agent, resolver).map_err(|error| model::with_causes(&error))?;
        let timeout = Duration::from_millis(u64::try_from(config.remote_timeout_ms).unwrap_or(0));
        Ok(Self { http, url, headers, timeout })
    }

    /// Sends a request; dropping it ends it. The runtime must not be the one of the thread that waits: a task that is spawned there
    /// may stand behind this thread's own, where no other thread finds it.
    pub(super) fn ask(self: &Arc<Self>, runtime: &Handle, body: Bytes) -> Exchange {
        let (to, events) = mpsc::channel(PIECES_WAITING);
        let client = Arc::clone(self);
        let task = runtime.spawn(async move { client.run(body, to).await });
        Exchange { events, task }
    }

    async fn run(&self, body: Bytes, mut to: mpsc::Sender<Event>) {
        let outcome = tokio::time::timeout(self.timeout, self.exchange(body, &mut to)).await;
        let last = match outcome {
            Ok(Ok(())) => Event::End,
            Ok(Err(why)) => Event::Failed(why),
            Err(_) => Event::Failed(format!("no whole answer within {:?} (remote_timeout)", self.timeout)),
        };
        // A query that has ended does not listen.
        drop(to.send(last).await);
    }

    async fn exchange(&self, body: Bytes, to: &mut mpsc::Sender<Event>) -> Result<(), String> {
        let sent = self.http.post(&self.url, &self.headers, body).await;
        let mut response = sent.map_err(|error| format!("error sending request: {error}"))?;
        let status = response.status();
        if !status.is_success() {
            let said = answer::excerpt(&mut response, SHOWN_CHARS_MAX).await;
            return Err(format!("the server returned HTTP status {status}: {said}"));
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let head = Event::Head(status.as_u16(), kind.unwrap_or_default().to_owned());
        let gone = |_| "nobody waits for the answer".to_owned();
        to.send(head).await.map_err(gone)?;
        loop {
            let piece = response.chunk().await;
            match piece.map_err(|error| format!("error reading response: {}", model::with_causes(&error)))? {
                Some(piece) => to.send(Event::Piece(piece)).await.map_err(gone)?,
                None => return Ok(()),
            }
        }
    }
}

/// A request that is on its way.
#[derive(Debug)]
pub(super) struct Exchange {
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl Exchange {
    /// Waits for what comes next.
    ///
    /// # Errors
    /// When the caller does not want it any more.
    pub(super) fn next(&mut self, caller: Caller<'_>) -> Result<Event, QuerierError> {
        let event = wait(self.events.next(), caller)?;
        // The task ends without a word when the runtime does.
        Ok(event.unwrap_or_else(|| Event::Failed("this server is stopping".to_owned())))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.task.abort();
    }
}
