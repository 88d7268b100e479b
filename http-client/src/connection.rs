//! One target's own connection over plain HTTP/1.1, kept between requests, and answers however they came.
//!
//! A pool suits requests to a few servers. A scraper asks thousands, each now and then, always in the same task: then a pooled
//! connection costs a task, channels and a grown read buffer for as long as it is idle, for nothing. `docs/decisions/0005-a-target-has-its-own-connection.md`.

use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use url::{Position, Url};

use crate::redirect::{REDIRECTS_MAX, stays_with, target};
use crate::wire::{FirstBytes, Place, Wire};
use crate::{Error, HttpClient, auth, cause};

/// What an idle connection keeps is one buffer of this size, and a body comes in such pieces.
const READ_BYTES: usize = 16 << 10;

/// The connection of one target. What cannot go over it goes through the client's pool: TLS and proxies.
#[derive(Debug, Default)]
pub struct Connection {
    /// Leads there whatever the URL says.
    socket: Option<Arc<Path>>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    place: Place,
    first: FirstBytes,
    sender: http1::SendRequest<Empty<Bytes>>,
    driver: Pin<Box<http1::Connection<TokioIo<Wire>, Empty<Bytes>>>>,
    ended: bool,
}

impl Connection {
    /// One over a Unix socket.
    #[must_use]
    pub fn over_socket(path: PathBuf) -> Self {
        Self { socket: Some(path.into()), open: None }
    }

    /// Where a request for the URL goes when nothing is in between.
    fn place(&self, url: &Url) -> Option<Place> {
        if let Some(socket) = &self.socket {
            return Some(Place::Unix(Arc::clone(socket)));
        }
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Place::Tcp(host, url.port_or_known_default()?))
    }
}

/// Why there is no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// The request could not be made.
    #[error(transparent)]
    Client(#[from] Error),
    /// It did not get through, or the answer broke off: the causes, without the URL.
    #[error("{0}")]
    Failed(String),
}

/// The head of an answer; its body is yet to be read.
#[derive(Debug)]
pub struct Response<'c> {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    home: &'c mut Connection,
}

#[derive(Debug)]
enum Body {
    Pooled(reqwest::Response),
    /// The connection goes home when the body is read.
    Own {
        open: Option<Box<Open>>,
        incoming: Incoming,
    },
}

/// Of one request, before it is known whether it is the last.
type Answer = (StatusCode, HeaderMap, Body);

impl Open {
    async fn to(place: Place) -> Result<Self, GetError> {
        let (wire, first) = Wire::to(&place).await.map_err(GetError::Failed)?;
        let mut builder = http1::Builder::new();
        builder.read_buf_exact_size(Some(READ_BYTES));
        let (sender, driver) = builder.handshake(TokioIo::new(wire)).await.map_err(|error| failed(&error))?;
        Ok(Self { place, first, sender, driver: Box::pin(driver), ended: false })
    }

    /// Moves the connection along while something is waited for that comes through it.
    async fn drive<T>(driver: &mut Self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        poll_fn(|context| {
            if !driver.ended && driver.driver.as_mut().poll(context).is_ready() {
                driver.ended = true;
            }
            wanted.as_mut().poll(context)
        })
        .await
    }

    async fn send(&mut self, request: Request<Empty<Bytes>>) -> Result<http::Response<Incoming>, hyper::Error> {
        let answer = self.sender.send_request(request);
        Self::drive(self, answer).await
    }

    /// Is it open still?
    async fn is_ready(&mut self) -> bool {
        let Self { sender, driver, ended, .. } = self;
        let mut ready = pin!(sender.ready());
        poll_fn(|context| {
            if !*ended && driver.as_mut().poll(context).is_ready() {
                *ended = true;
            }
            if *ended { Poll::Ready(false) } else { ready.as_mut().poll(context).map(|ready| ready.is_ok()) }
        })
        .await
    }
}

impl HttpClient {
    /// Sends a GET with these headers beside the configured ones, over the connection where that is possible, and follows
    /// redirects if the configuration says so.
    ///
    /// # Errors
    /// When a file of the configuration cannot be read or used now, or no answer comes.
    pub async fn get<'c>(
        &self,
        connection: &'c mut Connection,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Response<'c>, GetError> {
        let mut next = None;
        let mut trusted = true;
        for _ in 0..=REDIRECTS_MAX {
            let here = next.as_ref().unwrap_or(url);
            let (status, answered, body) = self.get_once(connection, here, headers, trusted).await?;
            let leads = if self.follows_redirects() { target(here, status, &answered)? } else { None };
            let Some(leads) = leads else { return Ok(Response { status, headers: answered, body, home: connection }) };
            trusted &= stays_with(url.host_str(), &leads);
            next = Some(leads);
        }
        Err(GetError::Failed(format!("stopped after {REDIRECTS_MAX} redirects")))
    }

    async fn get_once(
        &self,
        connection: &mut Connection,
        url: &Url,
        headers: &HeaderMap,
        trusted: bool,
    ) -> Result<Answer, GetError> {
        let token = if trusted { self.token().await? } else { None };
        let socket = connection.socket.clone();
        let place = connection.place(url).filter(|_| self.is_direct(url, socket.as_deref()));
        let answer = if let Some(place) = place {
            let request = || self.get_request(url, headers, trusted, token.as_ref());
            let (open, answer) = send(connection.open.take(), place, request).await?;
            let (head, incoming) = answer.into_parts();
            (head.status, head.headers, Body::Own { open: Some(Box::new(open)), incoming })
        } else {
            let mut request = self.prepare(Method::GET, url, trusted, socket.as_deref())?.headers(headers.clone());
            if let Some(token) = &token {
                request = request.header(AUTHORIZATION, token.clone());
            }
            let mut answer = request.send().await.map_err(|error| failed(&error))?;
            (answer.status(), std::mem::take(answer.headers_mut()), Body::Pooled(answer))
        };
        if let Some(token) = token.filter(|_| answer.0 == StatusCode::UNAUTHORIZED) {
            self.token_refused(&token).await;
        }
        Ok(answer)
    }

    fn get_request(
        &self,
        url: &Url,
        headers: &HeaderMap,
        trusted: bool,
        token: Option<&HeaderValue>,
    ) -> Result<Request<Empty<Bytes>>, Error> {
        let mut request = Request::new(Empty::new());
        let invalid = |name: &str| Error::Header { name: name.to_owned() };
        let path = &url[Position::BeforePath..Position::AfterQuery];
        *request.uri_mut() = path.parse().map_err(|_| Error::Url { url: url.to_string() })?;
        let all = request.headers_mut();
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        all.insert(HOST, HeaderValue::from_str(authority).map_err(|_| invalid("Host"))?);
        all.insert(USER_AGENT, HeaderValue::from_str(self.user_agent()).map_err(|_| invalid("User-Agent"))?);
        all.extend(auth::headers(self.config(), trusted)?);
        if let Some(token) = token {
            all.insert(AUTHORIZATION, token.clone());
        }
        for (name, value) in headers {
            all.insert(name, value.clone());
        }
        Ok(request)
    }
}

/// Sends over the open connection, if it leads there, else or when that was closed meanwhile over a new one.
async fn send(
    kept: Option<Open>,
    place: Place,
    request: impl Fn() -> Result<Request<Empty<Bytes>>, Error>,
) -> Result<(Open, http::Response<Incoming>), GetError> {
    // Before the connection: what cannot be asked should not knock either.
    let mut prepared = request()?;
    if let Some(mut open) = kept.filter(|open| open.place == place)
        && open.is_ready().await
    {
        match open.send(prepared).await {
            Ok(answer) => return Ok((open, answer)),
            Err(_) => prepared = request()?,
        }
    }
    let mut open = Open::to(place).await?;
    match open.send(prepared).await {
        Ok(answer) => Ok((open, answer)),
        Err(error) => Err(open.first.explain().map_or_else(|| failed(&error), GetError::Failed)),
    }
}

impl Response<'_> {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The next piece of the body; `None` after the last.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, GetError> {
        let (open, incoming) = match &mut self.body {
            Body::Pooled(answer) => return answer.chunk().await.map_err(|error| failed(&error)),
            Body::Own { open, incoming } => (open, incoming),
        };
        // Back only after the last piece: what broke off is closed.
        let Some(mut connection) = open.take() else { return Ok(None) };
        while let Some(frame) = Open::drive(&mut connection, incoming.frame()).await {
            let frame = frame.map_err(|error| failed(&error))?;
            if let Ok(data) = frame.into_data() {
                *open = Some(connection);
                return Ok(Some(data));
            }
        }
        self.home.open = Some(*connection);
        Ok(None)
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> GetError {
    GetError::Failed(cause::of(error))
}
