//! The settings that all scrape loops of a job share.

use std::sync::Arc;

use config::ScrapeProtocol;
use http_client::HttpClient;
use parking_lot::RwLock;

use crate::failure_log::FailureLog;
use crate::parse::Wanted;
use crate::scrape_cache::SampleRules;
use crate::staleness_handover::SameRules;

/// The settings of a job.
#[derive(Debug)]
pub(crate) struct JobSettings {
    pub(crate) name: Arc<str>,
    pub(crate) rules: SampleRules,
    pub(crate) body_size_limit: Option<usize>,
    /// The `Accept` header.
    pub(crate) accept: String,
    pub(crate) fallback: Option<ScrapeProtocol>,
    pub(crate) compression: bool,
    pub(crate) extra_metrics: bool,
    /// The parser options of its targets.
    pub(crate) wanted: Wanted,
    pub(crate) failure_log: Option<Arc<FailureLog>>,
    /// Why the job has no client.
    pub(crate) client: Result<HttpClient, String>,
    /// Stays the same over a reload that does not change rules or limits.
    pub(crate) same_rules: SameRules,
    /// Why no target of the job may be scraped now: too many of them.
    pub(crate) refused: RwLock<Option<String>>,
}

/// Milliseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "a timeout is far below 2^53 milliseconds")]
pub(crate) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
