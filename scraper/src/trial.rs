//! A scrape of a target outside its schedule, for debugging: the response, and the samples that would be stored. Nothing is stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::{
    AppendError, Appender, Committed, Histogram, Labels, Layout, MetricId, Scraped, SourceId, Timestamp, with_causes,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::fetch::{FetchedBody, Room};
use crate::job_settings::JobSettings;
use crate::parse::{Format, Wanted};
use crate::request::Request;
use crate::scrape_append::shorten;
use crate::scrape_cache::{Body, ContentError, Counts, ScrapeCache};
use crate::target::Target;

/// The largest body that is taken apart: the series of all of it are in memory at once.
const BODY_BYTES_MAX: usize = 64 << 20;

/// The target that is to be scraped, as it was when it was asked for.
#[derive(Debug)]
pub struct Trial {
    /// The target.
    pub target: Arc<Target>,
    job: Arc<JobSettings>,
    room: Room,
    began: Timestamp,
}

/// What a trial gave.
#[derive(Debug, Default)]
pub struct TrialScrape {
    /// Why the scrape would have failed; empty if it would not.
    pub error: String,
    /// The line of the body that is wrong, from 1, if it was one that made the scrape fail.
    pub wrong_line: Option<usize>,
    /// When it began.
    pub began: Timestamp,
    /// How long the target took to answer.
    pub duration: Duration,
    /// The Content-Type of the answer, if there was one with status 200.
    pub content_type: Option<String>,
    /// In which format it was read, if it was.
    pub format: Option<Format>,
    /// The body, uncompressed.
    pub body: Vec<u8>,
    /// The counts of the scrape.
    pub counts: Counts,
    /// Samples as they would be stored, in the order of the page, of each source that relabelling made; without those of the
    /// report.
    pub samples: Vec<TrialSample>,
}

/// A sample of a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialSample {
    /// Its series.
    pub labels: Labels,
    /// Its own time, if it has one that counts.
    pub own_time: Option<Timestamp>,
    /// The value; that of a native histogram says nothing.
    pub value: f64,
    /// The native histogram, if it is one.
    pub histogram: Option<Histogram>,
}

impl Trial {
    pub(crate) fn new(target: Arc<Target>, job: Arc<JobSettings>, (room, began): (Room, Timestamp)) -> Self {
        Self { target, job, room, began }
    }

    /// Scrapes. The target's own loop, its connection and its cache have no part in it.
    pub async fn run(self) -> TrialScrape {
        let mut request = Request::new(&self.target, &self.job);
        let mut trial = TrialScrape { began: self.began, ..TrialScrape::default() };
        let began = Instant::now();
        let sent = request.send((&self.target, &self.job), &mut self.target.connection(), (&self.room, 0)).await;
        trial.duration = began.elapsed();
        let (content_type, body) = match sent {
            Ok(answer) => answer,
            Err(error) => return trial.failed(with_causes(&error)),
        };
        trial.content_type = Some(content_type.clone());
        match request.format(content_type, &body, self.job.fallback) {
            Ok(format) => trial.format = Some(format),
            Err(error) => {
                trial.body = body.bytes;
                return trial.failed(with_causes(&error));
            }
        }
        if body.bytes.len() > BODY_BYTES_MAX {
            let bytes = body.bytes.len();
            return trial.failed(format!("a body of {bytes} bytes is not taken apart, being above {BODY_BYTES_MAX}"));
        }
        body.reservation.parse();
        let (began, wanted) = (trial.began, request.wanted);
        let read = move || self.read(trial, (body, wanted));
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| {
            tracing::error!("a trial scrape failed inside Weft; this is a bug");
            let trial = TrialScrape { began, ..TrialScrape::default() };
            trial.failed("the scrape failed inside the server; its log says more".to_owned())
        })
    }

    fn read(&self, mut trial: TrialScrape, (body, wanted): (FetchedBody, Wanted)) -> TrialScrape {
        let format = trial.format.expect("BUG: a body is read in the format that was found for it");
        let (collected, mut cache) = (Collected::default(), ScrapeCache::new(self.target.public.clone()));
        let shown = Body { format, wanted, bytes: &body.bytes };
        let (counts, result) = cache.read(shown, &self.job.rules_of(&self.target), trial.began, &collected);
        trial.counts = counts;
        trial.wrong_line = result.as_ref().err().and_then(ContentError::line);
        let stored = result.map_err(|error| with_causes(&error)).and_then(|()| {
            let committed = cache.commit(&collected, trial.began, &[], self.job.rules.track_timestamps_staleness);
            committed.map_err(|error| with_causes(&error))
        });
        trial.samples = collected.0.into_inner().samples;
        trial.body = body.bytes;
        match stored {
            Ok(_) => trial,
            Err(error) => trial.failed(error),
        }
    }
}

impl TrialScrape {
    fn failed(mut self, mut error: String) -> Self {
        shorten(&mut error);
        self.error = error;
        self
    }
}

/// A store that forgets everything but what a trial shows.
#[derive(Default)]
struct Collected(Mutex<State>);

#[derive(Default)]
struct State {
    sources: Vec<Labels>,
    metrics: Vec<Labels>,
    ids: HashMap<Labels, MetricId>,
    samples: Vec<TrialSample>,
}

fn number(of: usize) -> u32 {
    u32::try_from(of).expect("BUG: a body has fewer lines than that")
}

impl Appender for Collected {
    fn source(&self, labels: &Labels) -> Result<SourceId, AppendError> {
        let sources = &mut self.0.lock().sources;
        sources.push(labels.clone());
        Ok(SourceId(number(sources.len() - 1)))
    }

    fn metrics(&self, labels: &[Labels]) -> Result<Vec<MetricId>, AppendError> {
        let State { metrics, ids, .. } = &mut *self.0.lock();
        let id = |labels: &Labels| {
            *ids.entry(labels.clone()).or_insert_with(|| {
                metrics.push(labels.clone());
                MetricId(number(metrics.len() - 1))
            })
        };
        Ok(labels.iter().map(id).collect())
    }

    fn layout(&self, metrics: &[MetricId]) -> Result<Layout, AppendError> {
        Ok(Layout { metrics: metrics.into(), segments: [].into() })
    }

    fn commit_scrape(&self, parts: &[Scraped<'_>]) -> Result<Committed, AppendError> {
        let State { sources, metrics, samples, .. } = &mut *self.0.lock();
        for Scraped { row, repeats, .. } in parts {
            let source = &sources[row.source.0 as usize];
            let series = |column: usize| source.joined(&metrics[row.layout.metrics[column].0 as usize]);
            let (mut own_times, mut histograms) = (row.own_times.iter().peekable(), row.histograms.iter().peekable());
            for (column, value) in row.values.iter().enumerate() {
                if row.present[column / 64] >> (column % 64) & 1 == 0 {
                    continue;
                }
                let own_time = own_times.next_if(|(at, _)| *at as usize == column).map(|(_, ts)| *ts);
                let histogram = histograms.next_if(|(at, _)| *at as usize == column).map(|(_, one)| one.clone());
                samples.push(TrialSample { labels: series(column), own_time, value: *value, histogram });
            }
            samples.extend(repeats.iter().map(|one| TrialSample {
                labels: series(one.column as usize),
                own_time: Some(one.ts),
                value: one.value,
                histogram: one.histogram.as_deref().cloned(),
            }));
        }
        Ok(Committed::default())
    }
}
