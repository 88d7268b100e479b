//! The whole configuration, and what its `global` section says.

use std::path::PathBuf;
use std::sync::Arc;

use model::duration::format_duration_ms;
use model::{Labels, NameValidation};

use crate::size::format_size;
use crate::unserved;
use crate::yaml::Yaml;
use crate::{ScrapeConfig, ScrapeLimits, ScrapeProtocol};

/// A `prometheus.yml`, checked, with every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What jobs and rules inherit.
    pub global: GlobalConfig,
    /// The jobs, those of `scrape_config_files` after those of the file itself; names are unique.
    pub scrape_configs: Vec<Arc<ScrapeConfig>>,
    /// Files of rules; the last part may hold one `*`. Absolute or relative to the configuration file's folder.
    pub rule_files: Vec<PathBuf>,
    /// What `storage.tsdb` says.
    pub storage: StorageConfig,
    /// What was warned of while loading, one sentence each.
    pub warnings: Vec<String>,
    /// The sections that are in use and not served.
    pub(crate) not_served: Vec<String>,
    /// The top level as it is printed, in upstream's order.
    pub(crate) shown: Yaml,
}

impl Config {
    /// One sentence for each section that is in use and that nothing serves yet.
    #[must_use]
    pub fn not_served(&self) -> Vec<String> {
        self.not_served.clone()
    }

    /// Fills in how long and how much is kept, for a file that says neither. Zero means no bound.
    pub fn default_retention(&mut self, time_ms: i64, size_bytes: u64) {
        let said = &self.storage;
        if said.retention_time_ms.is_some()
            || said.retention_size_bytes.is_some()
            || said.retention_percentage.is_some()
        {
            return;
        }
        let mut shown = Vec::new();
        if time_ms > 0 {
            self.storage.retention_time_ms = Some(time_ms);
            shown.push(("time".to_owned(), Yaml::text(format_duration_ms(time_ms))));
        }
        if size_bytes > 0 {
            self.storage.retention_size_bytes = Some(size_bytes);
            shown.push(("size".to_owned(), Yaml::text(format_size(size_bytes))));
        }
        let path = ["storage", "tsdb", "retention"];
        let place = path.iter().try_fold(&mut self.shown, |at, name| at.get_mut(name));
        if let Some(place) = place {
            *place = Yaml::Map(shown);
        }
    }

    /// The least severe messages to be logged, where `runtime` says so: `debug`, `info`, `warn` or `error`.
    #[must_use]
    pub fn log_level(&self) -> Option<&str> {
        unserved::part(&self.shown, "runtime").and_then(|runtime| unserved::get(runtime, "log_level"))
    }

    /// Fills in the level, for a file that says none.
    pub fn default_log_level(&mut self, level: &str) {
        if self.log_level().is_none()
            && let Some(Yaml::Map(runtime)) = self.shown.get_mut("runtime")
        {
            runtime.push(("log_level".to_owned(), Yaml::text(level)));
        }
    }

    /// The configuration as `/api/v1/status/config` shows it: every default filled in, secrets as `<secret>`.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        self.shown.print()
    }
}

/// The `global` section.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalConfig {
    /// From one scrape to the next.
    pub scrape_interval_ms: i64,
    /// At most the interval.
    pub scrape_timeout_ms: i64,
    /// From one evaluation of a rule group to the next.
    pub evaluation_interval_ms: i64,
    /// Rules look at the time this long ago.
    pub rule_query_offset_ms: i64,
    /// Labels of everything that leaves this server.
    pub external_labels: Labels,
    /// Where queries are logged.
    pub query_log_file: Option<PathBuf>,
    /// Series that the selectors of a query may find, 0 for any number; looked at with the feature `query-cost` alone.
    pub query_max_series: u64,
    /// Samples that a query may read; as `query_max_series`.
    pub query_max_samples_read: u64,
    /// How long a query may take instead of `--query.timeout`; as `query_max_series`.
    pub query_max_duration_ms: u64,
    /// Where failed scrapes are written.
    pub scrape_failure_log_file: Option<PathBuf>,
    /// The formats to ask for, when the section names any.
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
    /// The bounds of a scrape.
    pub limits: ScrapeLimits,
    /// Which metric and label names are valid.
    pub name_validation: NameValidation,
    /// What names become for a target that does not know UTF-8 names; empty when the section does not say.
    pub name_escaping: String,
    /// Native histograms are taken.
    pub scrape_native_histograms: bool,
    /// The classic form of a native histogram is taken too.
    pub always_scrape_classic_histograms: bool,
    /// Classic histograms become native ones with their own buckets.
    pub convert_classic_histograms_to_nhcb: bool,
    /// Three more series a target.
    pub extra_scrape_metrics: bool,
}

impl Default for GlobalConfig {
    fn default() -> Self {
        Self {
            scrape_interval_ms: 60_000,
            scrape_timeout_ms: 10_000,
            evaluation_interval_ms: 60_000,
            rule_query_offset_ms: 0,
            external_labels: Labels::empty(),
            query_log_file: None,
            query_max_series: 0,
            query_max_samples_read: 0,
            query_max_duration_ms: 0,
            scrape_failure_log_file: None,
            scrape_protocols: None,
            limits: ScrapeLimits::default(),
            name_validation: NameValidation::Utf8,
            name_escaping: String::new(),
            scrape_native_histograms: false,
            always_scrape_classic_histograms: false,
            convert_classic_histograms_to_nhcb: false,
            extra_scrape_metrics: false,
        }
    }
}

/// One of `storage.tsdb.retention_rules`: Weft's own.
#[derive(Clone, Debug, PartialEq)]
pub struct RetentionRuleConfig {
    /// A series selector. Whoever knows the query language reads it.
    pub selector: String,
    /// How long its series are kept.
    pub time_ms: i64,
    /// Where the rule stands, for messages: `prometheus.yml:7: storage.tsdb.retention_rules[0].match`.
    pub place: String,
}

/// The `storage.tsdb` section; it wins over the flags of the same meaning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StorageConfig {
    /// How far a sample may lie behind the newest of its series.
    pub out_of_order_time_window_ms: i64,
    /// How long samples are kept.
    pub retention_time_ms: Option<i64>,
    /// How many bytes are kept.
    pub retention_size_bytes: Option<u64>,
    /// How much of the disk may be used.
    pub retention_percentage: Option<f64>,
    /// Series that are kept for less than the others.
    pub retention_rules: Vec<RetentionRuleConfig>,
    /// How many exemplars are kept.
    pub max_exemplars: Option<i64>,
}
