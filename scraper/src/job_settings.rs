//! The settings that all scrape loops of a job share.

use std::borrow::Cow;
use std::sync::Arc;

use config::ScrapeProtocol;
use http_client::HttpClient;
use parking_lot::RwLock;

use crate::failure_log::FailureLog;
use crate::parse::Wanted;
use crate::scrape_cache::SampleRules;
use crate::staleness_handover::SameRules;
use crate::target::Target;

/// The settings of a job.
#[derive(Debug)]
pub(crate) struct JobSettings {
    pub(crate) name: Arc<str>,
    /// Those of all targets; see [`Self::rules_of`].
    pub(crate) rules: SampleRules,
    /// Annotations may lower limits.
    pub(crate) limits_from_annotations: bool,
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

impl JobSettings {
    /// The limits that annotations lower for a target: of samples, and of labels.
    pub(crate) fn lowered_limits(&self, target: &Target) -> (Option<usize>, Option<usize>) {
        // Without the option these labels are some that a rule has set.
        if self.limits_from_annotations { target.lowered_limits() } else { (None, None) }
    }

    /// The rules for the samples of a target.
    pub(crate) fn rules_of(&self, target: &Target) -> Cow<'_, SampleRules> {
        let (samples, labels) = self.lowered_limits(target);
        if samples.is_none() && labels.is_none() {
            return Cow::Borrowed(&self.rules);
        }
        let mut rules = self.rules.clone();
        rules.sample_limit = samples.unwrap_or(rules.sample_limit);
        rules.series.label_limit = labels.unwrap_or(rules.series.label_limit);
        Cow::Owned(rules)
    }
}

/// Milliseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "a timeout is far below 2^53 milliseconds")]
pub(crate) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}
