//! Runs the fleet, and what `bench` tells it to do meanwhile: pause, resume, churn, count.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use model::Timestamp;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::pod::Pod;
use super::serve::{self, Shared};
use super::{Fleet, FleetOptions, write_targets};

/// A pod that was replaced answers for so long, until every server has noticed.
const GRACE_MS: i64 = 15_000;
/// The targets' file changes at most so often.
const TICK: Duration = Duration::from_secs(1);

/// Where the fleet is to be found.
#[derive(Clone, Debug)]
pub struct Places {
    /// The file that the servers watch.
    pub targets_file: PathBuf,
    /// The port of all targets.
    pub port: u16,
}

/// A fleet that answers.
#[derive(Debug)]
pub struct Running {
    fleet: Fleet,
    places: Places,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    handles: VecDeque<AbortHandle>,
    leaving: VecDeque<(Timestamp, AbortHandle)>,
    paused: bool,
    /// Seconds in which every pod is replaced once; 0 is never.
    churn_every: f64,
    owed: f64,
}

impl Running {
    /// Opens all addresses and names them in the targets' file.
    ///
    /// # Errors
    /// When an address is taken or the file cannot be written.
    pub async fn start(options: &FleetOptions, places: Places) -> Result<Self> {
        let fleet = Fleet::new(options, Timestamp::now());
        let shared = Arc::new(Shared::new(options));
        let mut running = Self {
            fleet,
            places,
            shared,
            tasks: JoinSet::new(),
            handles: VecDeque::new(),
            leaving: VecDeque::new(),
            paused: false,
            churn_every: 0.0,
            owed: 0.0,
        };
        for pod in running.fleet.pods().to_vec() {
            running.open(pod).await?;
        }
        running.publish()?;
        Ok(running)
    }

    /// From now on replaces every pod once in so many seconds; 0 stops it.
    pub fn churn(&mut self, every: f64) {
        (self.churn_every, self.owed) = (every, 0.0);
    }

    /// Does what is asked on `control` until `end` comes.
    ///
    /// # Errors
    /// When an address is taken or the targets' file cannot be written.
    pub async fn run(mut self, control: TcpListener, mut end: oneshot::Receiver<()>) -> Result<()> {
        let mut ticks: Interval = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = &mut end => return Ok(()),
                _ = ticks.tick() => self.tick().await?,
                accepted = control.accept() => {
                    let (stream, _) = accepted.context("cannot accept on the control address")?;
                    // One who asks and then says nothing must not hold up the rest.
                    drop(timeout(Duration::from_secs(2), self.answer(stream)).await);
                }
            }
        }
    }

    async fn open(&mut self, pod: Arc<Pod>) -> Result<()> {
        let listener = serve::listen(&pod, self.places.port).await?;
        self.handles.push_back(self.tasks.spawn(serve::target(pod, listener, Arc::clone(&self.shared))));
        Ok(())
    }

    fn publish(&self) -> Result<()> {
        let pods = if self.paused { &[] } else { self.fleet.pods() };
        write_targets(&self.places.targets_file, pods, self.places.port)
    }

    async fn tick(&mut self) -> Result<()> {
        let now = Timestamp::now();
        while self.leaving.front().is_some_and(|(at, _)| now - *at > GRACE_MS) {
            if let Some((_, handle)) = self.leaving.pop_front() {
                handle.abort();
            }
        }
        while self.tasks.try_join_next().is_some() {}
        if self.churn_every <= 0.0 || self.paused {
            return Ok(());
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of targets")]
        let per_tick = self.fleet.pods().len() as f64 * TICK.as_secs_f64() / self.churn_every;
        self.owed += per_tick;
        let mut replaced = false;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            let Some(pod) = self.fleet.replace(now) else { break };
            // Replaced in the order in which they were opened.
            if let Some(handle) = self.handles.pop_front() {
                self.leaving.push_back((now, handle));
            }
            self.open(pod).await?;
            replaced = true;
        }
        if replaced { self.publish() } else { Ok(()) }
    }

    async fn answer(&mut self, mut stream: TcpStream) -> Result<()> {
        let mut head = Vec::new();
        serve::read_head(&mut stream, &mut head).await?;
        let target = std::str::from_utf8(&head).ok().and_then(|head| head.split(' ').nth(1)).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let number = |name: &str| -> f64 {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            pair.and_then(|value| value.parse().ok()).unwrap_or_default()
        };
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds fit")]
        let at = |name: &str| Timestamp(number(name) as i64);
        let body = match path {
            "/pause" | "/resume" => {
                self.paused = path == "/pause";
                self.publish()?;
                json!({})
            }
            "/churn" => {
                self.churn(number("every"));
                json!({})
            }
            "/served" => json!({"scrapes": self.shared.served().between(at("from"), at("to"))}),
            _ => self.counts(),
        };
        let body = body.to_string();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        Ok(stream.write_all(answer.as_bytes()).await?)
    }

    fn counts(&self) -> Value {
        let served = self.shared.served();
        json!({
            "scrapes": served.scrapes,
            "samples": served.samples,
            "bytes": served.bytes,
            "targets": self.fleet.pods().len(),
            "series": self.fleet.pods().iter().map(|pod| pod.series()).sum::<usize>(),
            "pods_made": self.fleet.made(),
        })
    }
}
