//! Answers lists and watches as an API server does, and what the bench tells it: `/bench/rate?pods=N`, `/bench/mark?pod=I`.
//! An empty page under `/metrics` is what kept targets are scraped for.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::objects::Resource;
use super::{Api, Change, Event};
use crate::fleet::serve::read_head;

/// Changes come in portions, this often.
const TICK: Duration = Duration::from_millis(20);
const TICKS_PER_SECOND: usize = 50;
/// How long a watch lasts that does not say so.
const WATCH: Duration = Duration::from_secs(1_800);
/// An answer is handed over in pieces of about this size.
const CHUNK_BYTES: usize = 64 << 10;

type Stream = BufStream<TcpStream>;

/// Answers on `listener` until `end` comes.
///
/// # Errors
/// When no connection can be accepted.
pub async fn run(api: Arc<Api>, listener: TcpListener, mut end: oneshot::Receiver<()>) -> Result<()> {
    let rate = Arc::new(AtomicUsize::new(0));
    let mut connections = JoinSet::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut tick = 0;
    loop {
        tokio::select! {
            _ = &mut end => return Ok(()),
            _ = ticks.tick() => {
                // So many that after a second it is the rate, whatever the remainder.
                let per_second = rate.load(Ordering::Relaxed);
                let due = per_second * (tick + 1) / TICKS_PER_SECOND - per_second * tick / TICKS_PER_SECOND;
                tick = (tick + 1) % TICKS_PER_SECOND;
                if due > 0 {
                    api.change(due);
                }
            }
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("cannot accept a connection")?;
                let (api, rate) = (Arc::clone(&api), Arc::clone(&rate));
                connections.spawn(async move { drop(connection(stream, &api, &rate).await) });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(mut stream: TcpStream, api: &Api, rate: &AtomicUsize) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::with_capacity(1_024);
    loop {
        head.clear();
        if !read_head(&mut stream, &mut head).await? {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let target = text.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = Query(query);
        let mut buffered = BufStream::with_capacity(1_024, CHUNK_BYTES, stream);
        match path {
            "/metrics" => plain(&mut buffered, 200, "text/plain; version=0.0.4", "").await?,
            "/version" => {
                plain(&mut buffered, 200, JSON, r#"{"major":"1","minor":"34","gitVersion":"v1.34.0"}"#).await?
            }
            "/bench/rate" => {
                rate.store(query.number("pods").unwrap_or_default(), Ordering::Relaxed);
                plain(&mut buffered, 200, JSON, "{}").await?;
            }
            "/bench/mark" => {
                api.mark(query.number("pod").context("no pod is named")?);
                plain(&mut buffered, 200, JSON, "{}").await?;
            }
            path => match Resource::ALL.into_iter().find(|resource| resource.names().0 == path) {
                Some(resource) if query.get("watch").is_some() => watch(&mut buffered, api, resource, &query).await?,
                Some(resource) => list(&mut buffered, api, resource, &query).await?,
                None => plain(&mut buffered, 404, JSON, &status(404, "NotFound")).await?,
            },
        }
        buffered.flush().await?;
        if text.to_lowercase().contains("\r\nconnection: close\r\n") {
            return Ok(());
        }
        stream = buffered.into_inner();
    }
}

const JSON: &str = "application/json";

/// A `Status` of failure.
fn status(code: u16, reason: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{reason}","reason":"{reason}","code":{code}}}"#
    )
}

async fn plain(stream: &mut Stream, code: u16, kind: &str, body: &str) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {code} -\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

async fn begin(stream: &mut Stream) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await
}

/// Hands over what there is as a chunk.
async fn chunk(stream: &mut Stream, text: &mut String) -> std::io::Result<()> {
    if !text.is_empty() {
        stream.write_all(format!("{:x}\r\n", text.len()).as_bytes()).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.write_all(b"\r\n").await?;
        text.clear();
    }
    Ok(())
}

/// A page, or everything where no limit is asked for. The token is the index of the next object.
async fn list(stream: &mut Stream, api: &Api, resource: Resource, query: &Query<'_>) -> std::io::Result<()> {
    let from = query.number("continue").unwrap_or_default();
    let limit = query.number("limit").filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let (_, version, kind) = resource.names();
    let (page, now, all) = {
        let state = api.state();
        (state.page(resource, from, limit), state.version(), state.cluster.count(resource))
    };
    let next = if page.end < all {
        format!(r#","continue":"{}","remainingItemCount":{}"#, page.end, all - page.end)
    } else {
        String::new()
    };
    begin(stream).await?;
    let mut text = format!(
        r#"{{"kind":"{kind}List","apiVersion":"{version}","metadata":{{"resourceVersion":"{now}"{next}}},"items":["#
    );
    for index in page.clone() {
        if index > page.start {
            text.push(',');
        }
        api.state().cluster.write(resource, index, now, &mut text);
        if text.len() > CHUNK_BYTES {
            chunk(stream, &mut text).await?;
        }
    }
    text.push_str("]}");
    chunk(stream, &mut text).await?;
    stream.write_all(b"0\r\n\r\n").await
}

/// The events after a version; before them all objects, if they are asked for (`sendInitialEvents`, by which newer clients list).
async fn watch(stream: &mut Stream, api: &Api, resource: Resource, query: &Query<'_>) -> std::io::Result<()> {
    let lasts = query.number("timeoutSeconds").map_or(WATCH, |seconds| Duration::from_secs(seconds as u64));
    let end = Instant::now() + lasts;
    let mut versions = api.versions();
    let newest = api.state().version();
    let mut text = String::new();
    begin(stream).await?;
    let mut version = newest;
    if query.get("sendInitialEvents").as_deref() == Some("true") {
        let all = api.state().cluster.count(resource);
        for index in 0..all {
            line(api, resource, Event::Added, (index, newest), &mut text);
            if text.len() > CHUNK_BYTES {
                chunk(stream, &mut text).await?;
            }
        }
        let (_, api_version, kind) = resource.names();
        writeln!(
            text,
            r#"{{"type":"BOOKMARK","object":{{"kind":"{kind}","apiVersion":"{api_version}","metadata":{{"resourceVersion":"{newest}","annotations":{{"k8s.io/initial-events-end":"true"}}}}}}}}"#
        )
        .ok();
    } else if let Some(after) = query.number("resourceVersion").filter(|version| *version > 0) {
        version = after as u64;
    }
    loop {
        versions.borrow_and_update();
        let changes = api.state().after(version);
        let Some(changes) = changes else {
            writeln!(text, r#"{{"type":"ERROR","object":{}}}"#, status(410, "Expired")).ok();
            break;
        };
        for change in &changes {
            version = change.version;
            if change.resource == resource {
                event(api, change, &mut text);
            }
        }
        chunk(stream, &mut text).await?;
        stream.flush().await?;
        if !matches!(timeout_at(end, versions.changed()).await, Ok(Ok(()))) {
            break;
        }
    }
    chunk(stream, &mut text).await?;
    stream.write_all(b"0\r\n\r\n").await
}

fn event(api: &Api, change: &Change, text: &mut String) {
    if change.event == Event::Deleted {
        text.push_str(r#"{"type":"DELETED","object":"#);
        // Writing to a String cannot fail.
        api.state().cluster.pod(change.index, change.incarnation, change.version, text).ok();
        text.push_str("}\n");
    } else {
        line(api, change.resource, change.event, (change.index, change.version), text);
    }
}

fn line(api: &Api, resource: Resource, event: Event, (index, version): (usize, u64), text: &mut String) {
    // Writing to a String cannot fail.
    write!(text, r#"{{"type":"{}","object":"#, event.as_str()).ok();
    api.state().cluster.write(resource, index, version, text);
    text.push_str("}\n");
}

/// The parameters of a request.
struct Query<'a>(&'a str);

impl Query<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }
}
