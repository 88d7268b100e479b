//! The two requests that a watch is made of: a list, page by page, and the events after it, line by line. Both are bounded in time
//! and memory, whatever the server sends.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::client::Body;
use kube::core::Status;
use tokio::time::timeout;

use crate::decode::{self, Decoded};
use crate::fault::Fault;
use crate::object::Kind;
use crate::scope::Scope;

/// Objects on a page, as in Prometheus' client.
const PAGE_OBJECTS: u32 = 500;
/// A page is far smaller: etcd takes objects of 1.5 MB at most. A server that knows no pages sends everything as one.
const PAGE_BYTES_MAX: usize = 1 << 30;
/// An event holds one object.
const LINE_BYTES_MAX: usize = 64 << 20;
/// What is read of a refusal.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// How long the API server may take. What it is late with counts as failed, is reported and tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the first byte of a list, and between two pieces of it.
    pub answer: Duration,
    /// For all pages of a list.
    pub list: Duration,
    /// The server ends a watch after this time, and it is resumed. One that is silent for a little longer is dead.
    pub watch: Duration,
    /// A watch that fared well for so long has recovered, although nothing happened: most are quiet for long.
    pub settle: Duration,
    /// The first pause after a failure; later ones are longer.
    pub pause: Duration,
    /// So many objects that users name ([`Scope::named`]) are watched at once, which is a connection each.
    pub named_watches: usize,
    /// The others are listed this often.
    pub poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(60),
            list: Duration::from_secs(300),
            watch: Duration::from_secs(290),
            settle: Duration::from_secs(10),
            pause: Duration::from_millis(800),
            named_watches: 100,
            poll: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// After so much silence the connection of a watch is dead.
    fn silence(&self) -> Duration {
        self.watch + Duration::from_secs(5).min(self.watch)
    }
}

/// Asks one server for the objects of one scope.
#[derive(Clone)]
pub(crate) struct Requests {
    client: Client,
    path: kube::core::Request,
    scope: Scope,
    limits: Limits,
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl Requests {
    /// Those about the objects of a kind.
    pub(crate) fn new<K: Kind>(client: &Client, scope: Scope, limits: Limits) -> Self {
        let path = K::path(scope.namespace.as_deref());
        Self { client: client.clone(), path: kube::core::Request::new(path), scope, limits }
    }

    /// The namespace asked for.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.scope.namespace.as_deref()
    }

    /// Calls `found` with every object, and returns the version of the list.
    pub(crate) async fn list<K: Kind>(&self, found: &mut (dyn FnMut(Decoded<K>) + Send)) -> Result<String, Fault> {
        let all = async {
            let mut next = None;
            loop {
                let text = self.page(next.take(), PAGE_OBJECTS).await?;
                let page = decode::page(&text)?;
                decode::objects(&page)?.into_iter().for_each(&mut *found);
                if page.metadata.next.is_empty() {
                    return Ok(page.metadata.resource_version);
                }
                next = Some(page.metadata.next);
            }
        };
        let limit = self.limits.list;
        let ended = timeout(limit, all).await;
        let version = ended.unwrap_or_else(|_| Err(Fault::new(format!("the list did not end within {limit:?}"))));
        match version {
            Ok(version) if version.is_empty() => {
                Err(Fault::new("the list has no resourceVersion; is the resource one that can be watched?".to_owned()))
            }
            version => version.map_err(Fault::while_listing),
        }
    }

    /// May the objects be listed?
    pub(crate) async fn may_list(&self) -> Result<(), Fault> {
        self.page(None, 1).await.map(drop).map_err(Fault::while_listing)
    }

    async fn page(&self, next: Option<String>, limit: u32) -> Result<Vec<u8>, Fault> {
        let params = ListParams {
            label_selector: selector(&self.scope.label_selector),
            field_selector: selector(&self.scope.field_selector),
            limit: Some(limit),
            continue_token: next,
            ..ListParams::default()
        };
        let request = self.path.list(&params).map_err(|error| Fault::new(error.to_string()))?;
        let answer = self.limits.answer;
        let mut body = self.send(request, answer).await?.into_body();
        let mut text = Vec::new();
        while let Some(piece) = timeout(answer, piece(&mut body)).await.map_err(|_| Fault::silent(answer))? {
            text.extend_from_slice(&piece.map_err(|error| Fault::of_client(&error))?);
            if text.len() > PAGE_BYTES_MAX {
                return Err(Fault::new(format!("a page of the list is longer than {PAGE_BYTES_MAX} bytes")));
            }
        }
        Ok(text)
    }

    /// The events after a version.
    pub(crate) async fn watch(&self, version: &str) -> Result<Lines, Fault> {
        let params = WatchParams {
            label_selector: selector(&self.scope.label_selector),
            field_selector: selector(&self.scope.field_selector),
            timeout: Some(u32::try_from(self.limits.watch.as_secs()).unwrap_or(u32::MAX).max(1)),
            ..WatchParams::default()
        };
        let request = self.path.watch(&params, version).map_err(|error| Fault::new(error.to_string()))?;
        // Something in between may pass the head on only with the first event.
        let body = self.send(request, self.limits.silence()).await?.into_body();
        Ok(Lines { body, text: BytesMut::new(), searched: 0, limits: self.limits, is_settled: false })
    }

    /// The response with a status of success.
    async fn send(&self, request: Request<Vec<u8>>, within: Duration) -> Result<Response<Body>, Fault> {
        let sent = self.client.send(request.map(Body::from));
        let response = timeout(within, sent).await.map_err(|_| Fault::silent(within))?;
        let response = response.map_err(|error| Fault::of_client(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let after = response.headers().get(http::header::RETRY_AFTER);
        // The form with a date is not used by API servers.
        let after = after.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        let text = timeout(within, refusal(response.into_body())).await.unwrap_or_default();
        // A proxy answers in plain text.
        let plain = || Status::failure(String::from_utf8_lossy(&text).trim(), "the server gave no reason");
        let status = serde_json::from_slice::<Status>(&text).unwrap_or_else(|_| plain());
        Err(Fault::of_server(code, &status, after))
    }
}

fn selector(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The next piece of a body; `None` at its end.
async fn piece(body: &mut Body) -> Option<Result<Bytes, kube::Error>> {
    loop {
        match body.frame().await? {
            Ok(frame) => match frame.into_data() {
                Ok(data) => return Some(Ok(data)),
                Err(_trailers) => {}
            },
            Err(error) => return Some(Err(error)),
        }
    }
}

async fn refusal(mut body: Body) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < REFUSAL_BYTES_MAX
        && let Some(Ok(piece)) = piece(&mut body).await
    {
        text.extend_from_slice(&piece);
    }
    text.truncate(REFUSAL_BYTES_MAX);
    text
}

/// What comes next of a watch.
#[derive(Debug)]
pub(crate) enum Next {
    Line(BytesMut),
    /// It is established, and nothing has happened yet.
    Settled,
    /// It can be resumed.
    End,
}

/// The lines of a watch.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Body,
    /// What was received and not returned.
    text: BytesMut,
    /// Up to here there is no end of a line.
    searched: usize,
    limits: Limits,
    is_settled: bool,
}

impl Lines {
    pub(crate) async fn next(&mut self) -> Result<Next, Fault> {
        loop {
            if let Some(end) = self.text[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.text.split_to(self.searched + end + 1);
                self.searched = 0;
                // Between two events there may be empty lines, as a sign of life.
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Ok(Next::Line(line));
            }
            self.searched = self.text.len();
            if self.text.len() > LINE_BYTES_MAX {
                return Err(Fault::new(format!("an event is longer than {LINE_BYTES_MAX} bytes")));
            }
            let wait = if self.is_settled { self.limits.silence() } else { self.limits.settle };
            match timeout(wait, piece(&mut self.body)).await {
                Ok(Some(Ok(piece))) => self.text.extend_from_slice(&piece),
                // Also a connection that breaks, as at every restart of the server. If it stays broken, the next request says so.
                Ok(None | Some(Err(_))) => return Ok(Next::End),
                Err(_) if self.is_settled => return Ok(Next::End),
                Err(_) => {
                    self.is_settled = true;
                    return Ok(Next::Settled);
                }
            }
        }
    }
}
