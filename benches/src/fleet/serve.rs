//! Answers scrapes. It must cost little: the servers that are measured share the machine with it.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use model::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::FleetOptions;
use super::pod::Pod;

/// Scrapes whose times are kept, the latest ones.
const TIMES_MAX: usize = 1 << 20;
/// A request head longer than this is not one of a scrape.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// What has been served.
#[derive(Debug, Default)]
pub struct Served {
    /// Answers whose last byte was handed over.
    pub scrapes: u64,
    /// Series in them.
    pub samples: u64,
    /// Bytes in them.
    pub bytes: u64,
    times: VecDeque<Timestamp>,
}

impl Served {
    /// Scrapes answered in a span of time, both ends included.
    #[must_use]
    pub fn between(&self, from: Timestamp, to: Timestamp) -> usize {
        self.times.iter().filter(|at| (from..=to).contains(*at)).count()
    }
}

/// What all targets share.
#[derive(Debug)]
pub struct Shared {
    gzip: bool,
    generation_ms: i64,
    served: Mutex<Served>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Shared {
    /// Nothing served yet.
    #[must_use]
    pub fn new(options: &FleetOptions) -> Self {
        let generation_ms = i64::try_from(options.series_churn_every.max(1)).unwrap_or(i64::MAX).saturating_mul(1_000);
        Self { gzip: options.gzip, generation_ms, served: Mutex::default(), buffers: Mutex::default() }
    }

    /// The counts.
    pub fn served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn buffers(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the pod's address.
///
/// # Errors
/// When it is taken.
pub async fn listen(pod: &Pod, port: u16) -> Result<TcpListener> {
    let address = SocketAddr::from((pod.address(), port));
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Answers for one pod until dropped; its connections end with it.
pub async fn target(pod: Arc<Pod>, listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let (pod, shared) = (Arc::clone(&pod), Arc::clone(&shared));
                connections.spawn(async move { connection(stream, &pod, &shared).await });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(mut stream: TcpStream, pod: &Pod, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::with_capacity(1_024);
    loop {
        head.clear();
        if !read_head(&mut stream, &mut head).await? {
            return Ok(());
        }
        if !head.starts_with(b"GET /metrics ") {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?;
            continue;
        }
        let mut answer = shared.buffers().pop().unwrap_or_default();
        let now = Timestamp::now();
        let gzip = shared.gzip && accepts_gzip(&head);
        render(pod, now, now.0 / shared.generation_ms, gzip, &mut answer);
        stream.write_all(&answer).await?;
        {
            let mut served = shared.served();
            served.scrapes += 1;
            served.samples += pod.series() as u64;
            served.bytes += answer.len() as u64;
            if served.times.len() == TIMES_MAX {
                served.times.pop_front();
            }
            served.times.push_back(now);
        }
        shared.buffers().push(answer);
    }
}

/// Reads up to the empty line; `false` when the other side is done.
pub(crate) async fn read_head(stream: &mut TcpStream, head: &mut Vec<u8>) -> std::io::Result<bool> {
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(head).await? == 0 || head.len() > HEAD_BYTES_MAX {
            return Ok(false);
        }
    }
    Ok(true)
}

fn accepts_gzip(head: &[u8]) -> bool {
    let Ok(head) = std::str::from_utf8(head) else { return false };
    head.lines().any(|line| {
        line.split_once(':')
            .is_some_and(|(name, value)| name.eq_ignore_ascii_case("accept-encoding") && value.contains("gzip"))
    })
}

/// The length is written last, into room left for it.
fn render(pod: &Pod, now: Timestamp, generation: i64, gzip: bool, answer: &mut Vec<u8>) {
    const ROOM: usize = 10;
    answer.clear();
    answer.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    if gzip {
        answer.extend_from_slice(b"Content-Encoding: gzip\r\n");
    }
    answer.extend_from_slice(b"Content-Length: ");
    let length_at = answer.len();
    answer.extend_from_slice(&[b' '; ROOM]);
    answer.extend_from_slice(b"\r\n\r\n");
    let from = answer.len();
    let generation = u64::try_from(generation).unwrap_or_default();
    if gzip {
        let mut text = Vec::with_capacity(128 << 10);
        pod.render(now, generation, &mut text);
        let mut encoder = GzEncoder::new(&mut *answer, Compression::fast());
        // Writing to a Vec cannot fail.
        drop(encoder.write_all(&text));
        drop(encoder.try_finish());
        drop(encoder);
    } else {
        pod.render(now, generation, answer);
    }
    let length = format!("{:>ROOM$}", answer.len() - from);
    answer[length_at..length_at + ROOM].copy_from_slice(length.as_bytes());
}
