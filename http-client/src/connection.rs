//! One target's own connection over plain HTTP/1.1, kept between requests, and answers however they came.
//!
//! A pool suits requests to a few servers. A scraper asks thousands, each now and then, always in the same task: then a pooled
//! connection costs a task, channels and a grown read buffer for as long as it is idle, for nothing. `docs/decisions/0005-a-target-has-its-own-connection.md`.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::{Position, Url};

use crate::{Error, HttpClient, auth};

/// What an idle connection keeps is one buffer of this size, and a body comes in such pieces.
const READ_BYTES: usize = 16 << 10;

/// The connection of one target. What cannot go over it goes through the client's pool: TLS, proxies, redirects.
#[derive(Debug, Default)]
pub struct Connection(Option<Open>);

#[derive(Debug)]
struct Open {
    /// Host and port.
    place: (String, u16),
    sender: http1::SendRequest<Empty<Bytes>>,
    driver: Pin<Box<http1::Connection<TokioIo<TcpStream>, Empty<Bytes>>>>,
    ended: bool,
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
    body: Body<'c>,
}

#[derive(Debug)]
enum Body<'c> {
    Pooled(reqwest::Response),
    /// The connection goes home when the body is read.
    Own {
        open: Option<Box<Open>>,
        home: &'c mut Connection,
        incoming: Incoming,
    },
}

impl Open {
    async fn to(place: (String, u16)) -> Result<Self, GetError> {
        let stream = TcpStream::connect((place.0.as_str(), place.1)).await;
        let stream = stream.map_err(|error| GetError::Failed(format!("tcp connect error: {error}")))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let mut builder = http1::Builder::new();
        builder.read_buf_exact_size(Some(READ_BYTES));
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        Ok(Self { place, sender, driver: Box::pin(driver), ended: false })
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
    /// Sends a GET with these headers beside the configured ones, over the connection where that is possible.
    ///
    /// # Errors
    /// When a file of the configuration cannot be read or used now, or no answer comes.
    pub async fn get<'c>(
        &self,
        connection: &'c mut Connection,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<Response<'c>, GetError> {
        if let (true, Some(host), Some(port)) = (self.is_direct(url), url.host_str(), url.port_or_known_default()) {
            let place = (host.trim_start_matches('[').trim_end_matches(']').to_owned(), port);
            let request = || self.get_request(url, headers);
            let (open, answer) = send(connection.0.take(), place, request).await?;
            let redirected = answer.status().is_redirection() && answer.headers().contains_key(LOCATION);
            if !(redirected && self.follows_redirects()) {
                let (head, incoming) = answer.into_parts();
                let body = Body::Own { open: Some(Box::new(open)), home: connection, incoming };
                return Ok(Response { status: head.status, headers: head.headers, body });
            }
        }
        let request = self.request(Method::GET, url)?.headers(headers.clone());
        let answer = request.send().await.map_err(|error| failed(&error))?;
        Ok(Response { status: answer.status(), headers: answer.headers().clone(), body: Body::Pooled(answer) })
    }

    fn get_request(&self, url: &Url, headers: &HeaderMap) -> Result<Request<Empty<Bytes>>, Error> {
        let mut request = Request::new(Empty::new());
        let invalid = |name: &str| Error::Header { name: name.to_owned() };
        let path = &url[Position::BeforePath..Position::AfterQuery];
        *request.uri_mut() = path.parse().map_err(|_| Error::Url { url: url.to_string() })?;
        let all = request.headers_mut();
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        all.insert(HOST, HeaderValue::from_str(authority).map_err(|_| invalid("Host"))?);
        all.insert(USER_AGENT, HeaderValue::from_str(self.user_agent()).map_err(|_| invalid("User-Agent"))?);
        all.extend(auth::headers(self.config())?);
        for (name, value) in headers {
            all.insert(name, value.clone());
        }
        Ok(request)
    }
}

/// Sends over the open connection, if it leads there, else or when that was closed meanwhile over a new one.
async fn send(
    kept: Option<Open>,
    place: (String, u16),
    request: impl Fn() -> Result<Request<Empty<Bytes>>, Error>,
) -> Result<(Open, http::Response<Incoming>), GetError> {
    if let Some(mut open) = kept.filter(|open| open.place == place)
        && open.is_ready().await
        && let Ok(answer) = open.send(request()?).await
    {
        return Ok((open, answer));
    }
    let mut open = Open::to(place).await?;
    let answer = open.send(request()?).await.map_err(|error| failed(&error))?;
    Ok((open, answer))
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
        let (open, home, incoming) = match &mut self.body {
            Body::Pooled(answer) => return answer.chunk().await.map_err(|error| failed(&error)),
            Body::Own { open, home, incoming } => (open, home, incoming),
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
        home.0 = Some(*connection);
        Ok(None)
    }
}

/// The chain of causes without the URL; outer texts that say nothing are left out.
fn failed(error: &(dyn StdError + 'static)) -> GetError {
    const EMPTY: [&str; 3] = ["client error (Connect)", "client error (SendRequest)", "error trying to connect"];
    // reqwest's own first words name the URL.
    let mut source = if error.is::<reqwest::Error>() { error.source() } else { Some(error) };
    let mut texts: Vec<String> = Vec::new();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !EMPTY.contains(&text.as_str()) {
            texts.push(text);
        }
        source = cause.source();
    }
    texts.dedup();
    GetError::Failed(if texts.is_empty() { error.to_string() } else { texts.join(": ") })
}
