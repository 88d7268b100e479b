//! The report series of a scrape: `up`, `scrape_duration_seconds` and so on.

use crate::scrape_cache::Counts;

/// The outcome of a scrape.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    pub(crate) up: bool,
    pub(crate) duration_s: f64,
    pub(crate) counts: Counts,
    /// The job has limits that leave out new series: report how many samples (a series that upstream does not have).
    pub(crate) leaves_out: bool,
}

/// The series that `extra_scrape_metrics` adds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra {
    pub(crate) timeout_s: f64,
    pub(crate) sample_limit: usize,
    /// Uncompressed size in bytes; -1 if over the limit.
    pub(crate) body_bytes: f64,
}

impl Report {
    /// Name and value of every series.
    pub(crate) fn series(&self, extra: Option<Extra>) -> Vec<(&'static str, f64)> {
        let mut series = vec![
            ("up", f64::from(u8::from(self.up))),
            ("scrape_duration_seconds", self.duration_s),
            ("scrape_samples_scraped", number(self.counts.scraped)),
            ("scrape_samples_post_metric_relabeling", number(self.counts.post_relabel)),
            ("scrape_series_added", number(self.counts.added)),
        ];
        // Only with such limits, so that a plain job stores exactly upstream's series.
        if self.leaves_out {
            series.push(("scrape_samples_over_limit", number(self.counts.over_limit)));
        }
        if let Some(extra) = extra {
            series.extend([
                ("scrape_timeout_seconds", extra.timeout_s),
                ("scrape_sample_limit", number(extra.sample_limit)),
                ("scrape_body_size_bytes", extra.body_bytes),
            ]);
        }
        series
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of one scrape are far below 2^53")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}
