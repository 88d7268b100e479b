//! A target's own connection for plain HTTP/1.1, kept open between requests, and responses of whatever transport.
//!
//! A connection pool suits many requests to a few servers. A scraper makes a request now and then to each of thousands, always
//! from the same task: a pooled connection would then hold a task, channels and a read buffer while it is idle (decision 0005).
//! A body is read straight into the caller's buffer (decision 0009).

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::{BufMut as _, Bytes};
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, StatusCode};
use hyper::ext::ReasonPhrase;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use url::{Position, Url};

use crate::error::{Error, GetError};
use crate::framing::Framing;
use crate::head::{Head, HeadReader};
use crate::redirect::{REDIRECTS_MAX, stays_with, target};
use crate::stream::{Endpoint, Stream};
use crate::transport::Route;
use crate::{HttpClient, Resolver, auth, cause};

/// A server that speaks TLS alone, such as etcd, may close the connection without a word.
const CLOSED: &str = "EOF: the connection was closed before an answer came; set scheme: https if the port speaks TLS";
/// The first read of a response: its head, and all of a small body.
const FIRST_BYTES: usize = 16 << 10;
/// One read where chunks have to be joined.
const PIECE_BYTES: usize = 64 << 10;
/// The most bytes that one [`Response::read`] appends.
pub const PIECE_BYTES_MAX: usize = 256 << 10;

thread_local! {
    /// The read buffer of this thread. It is empty again before the task yields, so idle connections hold no buffer.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE_BYTES]);
}

/// The connection of one target. Requests over TLS or through a proxy use the client's pool instead.
#[derive(Debug, Default)]
pub struct Connection {
    /// The Unix socket to connect to, whatever the URL says.
    socket: Option<Arc<Path>>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    endpoint: Endpoint,
    stream: Stream,
}

impl Connection {
    /// A connection over a Unix socket.
    #[must_use]
    pub fn over_socket(path: PathBuf) -> Self {
        Self { socket: Some(path.into()), open: None }
    }
}

/// The head of a response, whose body is still to be read.
#[derive(Debug)]
pub struct Response<'c> {
    received: Received,
    connection: &'c mut Connection,
}

#[derive(Debug)]
enum Body {
    Pooled(Pooled),
    Own(Own),
}

/// A body that is read through the client's pool.
#[derive(Debug)]
struct Pooled {
    answer: reqwest::Response,
    /// Bytes that were received and not yet handed over.
    left: Bytes,
}

/// A body on the target's own connection, which is given back to [`Connection`] after the body.
#[derive(Debug)]
struct Own {
    open: Option<Open>,
    /// The bytes of the body that were received with the head.
    early: Vec<u8>,
    framing: Framing,
    keeps: bool,
}

/// The response to one request; it may be a redirect.
#[derive(Debug)]
struct Received {
    status: StatusCode,
    /// The reason phrase of the server.
    reason: String,
    headers: HeaderMap,
    body: Body,
}

impl Open {
    async fn to(endpoint: Endpoint, resolver: &Resolver) -> Result<Self, GetError> {
        let stream = Stream::to(&endpoint, resolver).await.map_err(GetError::Failed)?;
        Ok(Self { endpoint, stream })
    }

    /// Reads at most `most` bytes and passes them to `take`; none at the end of the stream.
    async fn read<T>(&mut self, most: usize, mut take: impl FnMut(&[u8]) -> T) -> io::Result<T> {
        poll_fn(|context| {
            SCRATCH.with_borrow_mut(|scratch| {
                // Borrowed within one poll only: a pending read holds no buffer, and other tasks of the thread may
                // use it meanwhile.
                let mut read = ReadBuf::new(&mut scratch[..most]);
                ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
                Poll::Ready(Ok(take(read.filled())))
            })
        })
        .await
    }

    /// Is the connection still open, without unexpected bytes to read?
    async fn is_idle(&mut self) -> bool {
        poll_fn(|context| {
            let mut byte = [0];
            let read = Pin::new(&mut self.stream).poll_read(context, &mut ReadBuf::new(&mut byte));
            // Pending means open and silent. A read of 0 bytes means that the server closed it; data between two
            // requests belongs to no response.
            Poll::Ready(read.is_pending())
        })
        .await
    }

    /// Sends a request; returns the head of the response, and the part of the body that was received with it.
    async fn ask(&mut self, request: &[u8]) -> Result<(Head, Vec<u8>), String> {
        self.stream.write_all(request).await.map_err(|error| cause::of_io(&error))?;
        let mut reader = HeadReader::default();
        loop {
            let parsed = self.read(FIRST_BYTES, |bytes| {
                if bytes.is_empty() {
                    return Err(CLOSED.to_owned());
                }
                let parsed = reader.feed(bytes).map_err(|error| format!("malformed HTTP response: {error}"))?;
                Ok(parsed.map(|(head, length)| (head, bytes.get(length..).unwrap_or_default().to_vec())))
            });
            match parsed.await.map_err(|error| cause::of_io(&error)).flatten() {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                // The first bytes may say more than the parser, such as a TLS alert from a port that speaks HTTPS.
                Err(why) => return Err(self.stream.explain().unwrap_or(why)),
            }
        }
    }
}

impl Pooled {
    /// Appends the next part of the body; false at its end.
    async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, GetError> {
        if self.left.is_empty() {
            match self.answer.chunk().await.map_err(|error| failed(&error))? {
                Some(piece) => self.left = piece,
                None => return Ok(false),
            }
        }
        // hyper's pieces may be larger than what one call may append.
        into.extend_from_slice(&self.left.split_to(self.left.len().min(PIECE_BYTES_MAX)));
        Ok(true)
    }
}

impl Own {
    /// Appends the next part of the body; false at its end.
    async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, String> {
        let Some(open) = &mut self.open else { return Ok(false) };
        // The bytes that came with the head are the beginning of the body.
        let early = std::mem::take(&mut self.early);
        let (came, used) = if !early.is_empty() {
            (early.len(), self.framing.take(&early, into).map_err(|error| error.to_string())?)
        } else if self.framing.is_over() {
            return Ok(false);
        // The common case is read straight into the caller's buffer; only framings that have to be parsed need a
        // buffer in between.
        } else if let Framing::Length(left) = &mut self.framing {
            let most = usize::try_from(*left).unwrap_or(usize::MAX).min(PIECE_BYTES_MAX);
            into.reserve_exact(most);
            let came =
                open.stream.read_buf(&mut (&mut *into).limit(most)).await.map_err(|error| cause::of_io(&error))?;
            *left -= came as u64;
            (came, came)
        } else {
            let framing = &mut self.framing;
            let taken = open.read(PIECE_BYTES, |bytes| framing.take(bytes, into).map(|used| (bytes.len(), used)));
            taken.await.map_err(|error| cause::of_io(&error))?.map_err(|error| error.to_string())?
        };
        // The end of the stream is the end of the body only where nothing else ends it.
        if came == 0 && self.framing != Framing::UntilClose {
            return Err("end of file before message length reached".to_owned());
        }
        // Bytes after the response belong to no request: the connection cannot be used again.
        self.keeps &= used == came;
        Ok(came > 0)
    }
}

impl HttpClient {
    /// Sends a GET with these headers beside the configured ones, over the connection where that is possible, and follows
    /// redirects if the configuration says so.
    ///
    /// # Errors
    /// When a file of the configuration cannot be read or used now, or there is no response.
    pub async fn get<'c>(
        &self,
        connection: &'c mut Connection,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Response<'c>, GetError> {
        let mut next = None;
        let mut route = Route::default();
        // Counts requests, the first among them, as Go's `defaultCheckRedirect`.
        for _ in 0..REDIRECTS_MAX {
            let here = next.as_ref().unwrap_or(url);
            let answer = self.get_once(connection, here, headers, route).await?;
            let leads = if self.transport.config().follow_redirects {
                target(here, answer.status, &answer.headers)?
            } else {
                None
            };
            let Some(leads) = leads else { return Ok(Response { received: answer, connection }) };
            // Compared with the first URL, and never taken back: see `redirect`.
            route.untrusted |= !stays_with(url.host_str(), &leads);
            route.redirected = leads.origin() != url.origin();
            next = Some(leads);
        }
        Err(GetError::Failed(format!("stopped after {REDIRECTS_MAX} redirects")))
    }

    async fn get_once(
        &self,
        connection: &mut Connection,
        url: &Url,
        headers: &HeaderMap,
        route: Route<'_>,
    ) -> Result<Received, GetError> {
        // Neither tokens nor credentials for another host.
        let trusted = !route.untrusted;
        let token = if trusted { self.token().await? } else { None };
        let socket = connection.socket.clone();
        let answer = if self.transport.is_direct(url, socket.as_deref()) {
            let request = self.get_request(url, headers, trusted, token.as_ref())?;
            let (open, head, early) = send(connection, (url, &request), self.transport.resolver()).await?;
            let Head { status, reason, headers, framing, keeps } = head;
            let body = Body::Own(Own { open: Some(open), early, framing, keeps });
            Received { status, reason, headers, body }
        } else {
            let route = Route { socket: socket.as_deref(), ..route };
            let mut request = self.transport.request(Method::GET, url, route)?.headers(headers.clone());
            if let Some(token) = &token {
                request = request.header(AUTHORIZATION, token.clone());
            }
            let mut answer = request.send().await.map_err(|error| self.not_sent(&error, url))?;
            let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
            let reason = answer.extensions().get::<ReasonPhrase>();
            let reason = reason.map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned());
            // HTTP/2 has no reason phrases, and hyper keeps one only where it is not the usual one.
            let reason = reason.unwrap_or_else(|| status.canonical_reason().unwrap_or_default().to_owned());
            Received { status, reason, headers, body: Body::Pooled(Pooled { answer, left: Bytes::new() }) }
        };
        // The token may have been revoked before it expired.
        if let Some(token) = token.filter(|_| answer.status == StatusCode::UNAUTHORIZED) {
            self.token_refused(&token).await;
        }
        Ok(answer)
    }

    /// Why a request failed; names the proxy if that could not be reached or refused it.
    pub(crate) fn not_sent(&self, error: &reqwest::Error, url: &Url) -> GetError {
        let cause = cause::of(error);
        match self.transport.proxy_of(url).filter(|_| error.is_connect()) {
            Some(proxy) => GetError::Failed(format!(
                "proxyconnect tcp: {}: {cause}; see proxy_url, or the proxy of the environment",
                &proxy[Position::BeforeHost..Position::AfterPort]
            )),
            None => GetError::Failed(cause),
        }
    }

    /// The bytes of a GET. If a header is set several times the last one wins: the defaults, the configuration's, the token,
    /// the caller's.
    fn get_request(
        &self,
        url: &Url,
        headers: &HeaderMap,
        trusted: bool,
        token: Option<&HeaderValue>,
    ) -> Result<Vec<u8>, Error> {
        let configured = auth::headers(self.transport.config(), trusted)?;
        let token = token.map(|token| (&AUTHORIZATION, token)).filter(|(name, _)| !headers.contains_key(*name));
        let is_set = |name: &HeaderName| headers.contains_key(name) || token.is_some_and(|(set, _)| set == name);
        let mut request = Vec::with_capacity(512);
        for part in ["GET ", &url[Position::BeforePath..Position::AfterQuery], " HTTP/1.1\r\n"] {
            request.extend_from_slice(part.as_bytes());
        }
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        for (name, value) in [(HOST, authority), (USER_AGENT, self.transport.user_agent())] {
            if !configured.contains_key(&name) && !is_set(&name) {
                put(&mut request, &name, value.as_bytes());
            }
        }
        let configured = configured.iter().filter(|(name, _)| !is_set(name));
        for (name, value) in configured.chain(token).chain(headers) {
            put(&mut request, name, value.as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        Ok(request)
    }
}

fn put(request: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        request.extend_from_slice(part);
    }
}

/// Sends a request over the open connection if it has the right endpoint, and over a new one if it has not or was closed.
async fn send(
    connection: &mut Connection,
    (url, request): (&Url, &[u8]),
    resolver: &Resolver,
) -> Result<(Open, Head, Vec<u8>), GetError> {
    let (kept, socket) = (connection.open.take(), connection.socket.as_ref());
    // A server may close an idle connection at any time, also while the request is on its way: a GET that fails on a
    // kept connection is sent again over a new one. Errors of a new one are reported.
    if let Some(mut open) = kept.filter(|open| open.endpoint.serves(url, socket))
        && open.is_idle().await
        && let Ok((head, early)) = open.ask(request).await
    {
        return Ok((open, head, early));
    }
    let endpoint = Endpoint::of(url, socket).ok_or_else(|| GetError::Failed(format!("{url} names no host")))?;
    let mut open = Open::to(endpoint, resolver).await?;
    let (head, early) = open.ask(request).await.map_err(GetError::Failed)?;
    Ok((open, head, early))
}

impl Response<'_> {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.received.status
    }

    /// Its status with the reason that the server gives: `500 Database gone`.
    #[must_use]
    pub fn status_line(&self) -> String {
        format!("{} {}", self.received.status.as_u16(), self.received.reason).trim_end().to_owned()
    }

    /// Its headers; over its own connection only those that describe the body.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.received.headers
    }

    /// Appends the next piece of the body, of [`PIECE_BYTES_MAX`] at most; false after the last.
    ///
    /// # Errors
    /// When the connection ends before the body does.
    pub async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, GetError> {
        let own = match &mut self.received.body {
            Body::Pooled(pooled) => return pooled.read(into).await,
            Body::Own(own) => own,
        };
        let more = own.read(into).await;
        if !matches!(more, Ok(true)) {
            // Only a complete response leaves the connection usable.
            let open = own.open.take();
            self.connection.open = open.filter(|_| own.keeps && more.is_ok()).or(self.connection.open.take());
        }
        more.map_err(GetError::Failed)
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> GetError {
    GetError::Failed(cause::of(error))
}
