//! The synchronous part of a scrape: read what was fetched, report on it, commit. Steps 4 to 6 of the scrape path.

use std::sync::Arc;

use model::{AppendError, Appender, with_causes};
use tokio::time::Instant;

use crate::fetch::{FetchError, FetchedBody};
use crate::labelling::SeriesLimit;
use crate::layout::{Body, ContentError, Counts, TargetLayout};
use crate::parse::{Format, Wanted};
use crate::report::{Extra, Report, number};
use crate::scrape_loop::{JobSettings, seconds};
use crate::target::Target;

/// An answer that can be read.
pub(crate) struct Fetched {
    pub(crate) format: Format,
    /// What is wanted of the target.
    pub(crate) wanted: Wanted,
    pub(crate) body: FetchedBody,
}

/// The synchronous part of one scrape.
pub(crate) struct Work {
    pub(crate) layout: TargetLayout,
    pub(crate) target: Arc<Target>,
    pub(crate) job: Arc<JobSettings>,
    pub(crate) appender: Arc<dyn Appender>,
    pub(crate) fetched: Result<Fetched, FetchError>,
    pub(crate) ts_ms: i64,
    pub(crate) began_ms: i64,
    pub(crate) began: Instant,
}

/// Which limit was exceeded.
pub(crate) enum Limit {
    Samples,
    Body,
    Labels,
    Buckets,
}

/// How it went.
pub(crate) struct Outcome {
    /// Empty when all went well.
    pub(crate) error: String,
    pub(crate) counts: Counts,
    pub(crate) committed: model::Committed,
    pub(crate) limit: Option<Limit>,
    pub(crate) not_stored: bool,
}

impl Work {
    /// Does it all.
    pub(crate) fn run(&mut self) -> Outcome {
        let mut outcome = Outcome {
            error: String::new(),
            counts: Counts::default(),
            committed: model::Committed::default(),
            limit: None,
            not_stored: false,
        };
        let mut body_bytes = 0.0;
        match &self.fetched {
            Err(error) => {
                self.layout.read_nothing();
                outcome.error = with_causes(error);
                if matches!(error, FetchError::TooLarge { .. }) {
                    outcome.limit = Some(Limit::Body);
                    body_bytes = -1.0;
                }
            }
            Ok(fetched) => {
                body_bytes = number(fetched.body.bytes.len());
                self.read(&mut outcome);
            }
        }
        if !outcome.error.is_empty()
            && let Some(log) = &self.job.failure_log
        {
            log.write(self.began_ms, (&self.job.name, &self.target.url), &outcome.error);
        }
        let mut stored = self.store(&outcome, body_bytes);
        if matches!(stored, Err(AppendError::Forgotten)) {
            self.layout.forget_ids();
            if outcome.error.is_empty() {
                self.read(&mut outcome);
            }
            stored = self.store(&outcome, body_bytes);
        }
        match stored {
            Ok(committed) => outcome.committed = committed,
            Err(error) => {
                outcome.error = with_causes(&error);
                outcome.not_stored = true;
            }
        }
        outcome
    }

    fn read(&mut self, outcome: &mut Outcome) {
        let Ok(Fetched { format, wanted, body }) = &self.fetched else { return };
        let body = Body { format: *format, wanted: *wanted, bytes: &body.bytes };
        let (counts, result) = self.layout.read(body, &self.job.rules, self.ts_ms, self.appender.as_ref());
        outcome.counts = counts;
        if let Err(error) = result {
            outcome.error = with_causes(&error);
            outcome.limit = match error {
                ContentError::SampleLimit { .. } => Some(Limit::Samples),
                ContentError::Series { limit: Some(SeriesLimit::Labels), .. } => Some(Limit::Labels),
                ContentError::Series { limit: Some(SeriesLimit::Buckets), .. } => Some(Limit::Buckets),
                _ => None,
            };
        }
    }

    fn store(&mut self, outcome: &Outcome, body_bytes: f64) -> Result<model::Committed, AppendError> {
        let report = Report {
            up: outcome.error.is_empty(),
            duration_s: self.began.elapsed().as_secs_f64(),
            counts: outcome.counts,
            leaves_out: self.job.rules.soft || self.job.rules.series_limit > 0,
        };
        let sample_limit = self.job.rules.sample_limit;
        let timeout_s = seconds(self.target.timeout_ms);
        let extra = self.job.extra_metrics.then_some(Extra { timeout_s, sample_limit, body_bytes });
        let track = self.job.rules.track_timestamps_staleness;
        self.layout.commit(self.appender.as_ref(), self.ts_ms, &report.series(extra), track)
    }
}
