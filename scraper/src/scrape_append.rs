//! Scrape and append: parses what was fetched, adds the report series, commits. The synchronous part of a scrape, steps 4 to 6
//! of the scrape path. (Prometheus: `scrapeAndReport` in `scrape/scrape.go`.)

use std::sync::Arc;

use model::{AppendError, Appender, Timestamp, with_causes};
use tokio::time::Instant;

use crate::fetch::{FetchError, FetchedBody};
use crate::job_settings::{JobSettings, seconds};
use crate::parse::{Format, Wanted};
use crate::report::{Extra, Report, number};
use crate::scrape_cache::{Body, ContentError, Counts, ScrapeCache, SeriesLimit};
use crate::target::Target;

/// The longest error of a scrape.
const ERROR_BYTES_MAX: usize = 2048;

/// A response that can be parsed.
pub(crate) struct Fetched {
    pub(crate) format: Format,
    /// The parser options of the target.
    pub(crate) wanted: Wanted,
    pub(crate) body: FetchedBody,
}

/// The synchronous part of one scrape.
pub(crate) struct ScrapeAppend {
    pub(crate) cache: ScrapeCache,
    pub(crate) target: Arc<Target>,
    pub(crate) job: Arc<JobSettings>,
    pub(crate) appender: Arc<dyn Appender>,
    pub(crate) fetched: Result<Fetched, FetchError>,
    pub(crate) ts: Timestamp,
    /// When it began: by the wall clock, and by the one that is never set.
    pub(crate) wall_began: Timestamp,
    pub(crate) began: Instant,
}

/// Which limit was exceeded.
pub(crate) enum Limit {
    Samples,
    Body,
    Labels,
    Buckets,
    /// The memory of the bodies of all scrapes.
    Memory,
}

/// The result of a scrape.
pub(crate) struct Outcome {
    /// Empty when all went well.
    pub(crate) error: String,
    pub(crate) counts: Counts,
    pub(crate) committed: model::Committed,
    pub(crate) limit: Option<Limit>,
    pub(crate) not_stored: bool,
    /// Why the store took no sample of the target although all went well; otherwise empty.
    pub(crate) nothing_stored: String,
}

/// Bounds an error: it may quote the target, and is kept for every target.
pub(crate) fn shorten(error: &mut String) {
    if error.len() > ERROR_BYTES_MAX {
        error.truncate(error.floor_char_boundary(ERROR_BYTES_MAX));
        error.push('…');
    }
}

impl ScrapeAppend {
    /// Parses, reports and commits.
    pub(crate) fn run(&mut self) -> Outcome {
        let mut outcome = Outcome {
            error: String::new(),
            counts: Counts::default(),
            committed: model::Committed::default(),
            limit: None,
            not_stored: false,
            nothing_stored: String::new(),
        };
        match &self.fetched {
            Err(error) => {
                // All series of the last scrape count as absent, so the commit writes stale markers for them.
                self.cache.read_nothing();
                outcome.error = with_causes(error);
                outcome.limit = match error {
                    FetchError::TooLarge { .. } => Some(Limit::Body),
                    FetchError::Evicted { .. } => Some(Limit::Memory),
                    _ => None,
                };
            }
            Ok(_) => self.read(&mut outcome),
        }
        // Before the error is logged and kept: it may quote what the target sent.
        shorten(&mut outcome.error);
        if !outcome.error.is_empty()
            && let Some(log) = &self.job.failure_log
        {
            log.write(self.wall_began, (&self.job.name, &self.target.url), &outcome.error);
        }
        // Also after a failed scrape: `up` is 0 then, and the series of the target get stale markers.
        let mut stored = self.store(&outcome);
        if matches!(stored, Err(AppendError::Forgotten)) {
            // The store has removed ids that the cache holds, because nothing stored refers to them any more. Nothing
            // of the rows was kept: read the body again, with ids asked for anew.
            self.cache.forget_ids();
            // A scrape that failed has no body to read; its report alone is stored again.
            if outcome.error.is_empty() {
                self.read(&mut outcome);
            }
            stored = self.store(&outcome);
        }
        match stored {
            Ok(committed) => {
                outcome.committed = committed;
                outcome.nothing_stored = self.nothing_stored(&outcome);
            }
            Err(error) => {
                outcome.error = format!("cannot store the scrape: {}", with_causes(&error));
                // The target answered well; the failure is the server's own and has its own counter.
                outcome.not_stored = true;
            }
        }
        outcome
    }

    /// A message if the store took no sample of the target: why, and what to do. Otherwise empty.
    fn nothing_stored(&self, outcome: &Outcome) -> String {
        let (counts, committed) = (&outcome.counts, &outcome.committed);
        // The scraper drops what it can tell itself; the rest is counted by the store at the commit.
        let sum = |scraper: usize, store: u32| scraper + store as usize;
        let older = sum(counts.out_of_order, committed.out_of_order);
        let too_old = sum(counts.out_of_bounds, committed.too_old);
        let differ = sum(counts.duplicate, committed.duplicate);
        // The report is stored where only the samples have times that do not fit.
        if older + too_old + differ == 0 || committed.stored as usize > self.report(outcome).len() {
            return String::new();
        }
        let why = [
            (older, "are older than the newest of their series"),
            (too_old, "are before the retention or the out-of-order window, or too far ahead"),
            (differ, "have another value at the same time already"),
        ];
        let why =
            why.iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("{n} {why}")).collect::<Vec<_>>().join(", ");
        // Not even the report, which has the time of the scrape: the server's clock is to blame. Otherwise only the
        // samples were refused, which carry times of their own.
        let fix = if committed.stored == 0 {
            let time = jiff::Timestamp::from_millisecond(self.ts.0).unwrap_or_default();
            format!(
                "this server's clock says {time:.3}: it was ahead before, or is behind now; set it right, or set \
                 storage.tsdb.out_of_order_time_window"
            )
        } else {
            "the times are the target's own: set honor_timestamps: false in the job, or set \
             storage.tsdb.out_of_order_time_window"
                .to_owned()
        };
        format!("no sample of the scrape was stored: {why}; {fix}")
    }

    fn read(&mut self, outcome: &mut Outcome) {
        let Ok(Fetched { format, wanted, body }) = &self.fetched else { return };
        let body = Body { format: *format, wanted: *wanted, bytes: &body.bytes };
        let rules = self.job.rules_of(&self.target);
        let (counts, result) = self.cache.read(body, &rules, self.ts, self.appender.as_ref());
        outcome.counts = counts;
        if let Err(error) = result {
            outcome.error = with_causes(&error);
            outcome.limit = match error {
                ContentError::SampleLimit { .. } => Some(Limit::Samples),
                ContentError::Series { limit: Some(SeriesLimit::Labels), .. } => Some(Limit::Labels),
                ContentError::Series { limit: Some(SeriesLimit::Buckets), .. } => Some(Limit::Buckets),
                _ => None,
            };
            let (samples, labels) = self.job.lowered_limits(&self.target);
            let lowered = match outcome.limit {
                Some(Limit::Samples) => samples.map(|_| "weft.io/sample-limit"),
                Some(Limit::Labels) => labels.map(|_| "weft.io/label-limit"),
                _ => None,
            };
            if let Some(annotation) = lowered {
                let whose = format!("; the limit is that of the annotation {annotation} of its pod or Service");
                outcome.error.push_str(&whose);
            }
        }
    }

    fn store(&mut self, outcome: &Outcome) -> Result<model::Committed, AppendError> {
        let report = self.report(outcome);
        let track = self.job.rules.track_timestamps_staleness;
        self.cache.commit(self.appender.as_ref(), self.ts, &report, track)
    }

    fn report(&self, outcome: &Outcome) -> Vec<(&'static str, f64)> {
        let report = Report {
            up: outcome.error.is_empty(),
            duration_s: self.began.elapsed().as_secs_f64(),
            counts: outcome.counts,
            leaves_out: self.job.rules.soft || self.job.rules.series_limit > 0,
        };
        let (lowered, _) = self.job.lowered_limits(&self.target);
        let sample_limit = lowered.unwrap_or(self.job.rules.sample_limit);
        let timeout_s = seconds(self.target.timeout_ms);
        let body_bytes = match &self.fetched {
            Ok(fetched) => number(fetched.body.bytes.len()),
            // As upstream's `scrape_body_size_bytes` reports a body over its limit.
            Err(FetchError::TooLarge { .. }) => -1.0,
            Err(_) => 0.0,
        };
        report.series(self.job.extra_metrics.then_some(Extra { timeout_s, sample_limit, body_bytes }))
    }
}
