//! A scrape configuration, everything inherited and checked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::{NameValidation, RelabelRule};

use crate::{HttpClientConfig, SdConfig};

/// One job: where its targets are, how they are asked, and what is made of the answers. All that the job does not say is
/// filled in from `global`, so that a reader never asks it.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeConfig {
    /// The job's name; unique, and the default of the label `job`.
    pub job_name: String,
    /// From one scrape to the next.
    pub scrape_interval_ms: i64,
    /// At most the interval.
    pub scrape_timeout_ms: i64,
    /// The formats to ask for, the dearest first.
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// The format of an answer that does not say its own.
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// Path of the URL, `/metrics` by default.
    pub metrics_path: String,
    /// `http` or `https`; upstream does not check it here.
    pub scheme: String,
    /// Query of the URL.
    pub params: BTreeMap<String, Vec<String>>,
    /// On a collision the target's own labels win over the server's.
    pub honor_labels: bool,
    /// The target's timestamps are kept.
    pub honor_timestamps: bool,
    /// Series with their own timestamps get stale markers too.
    pub track_timestamps_staleness: bool,
    /// Ask for gzip.
    pub enable_compression: bool,
    /// Native histograms are taken.
    pub scrape_native_histograms: bool,
    /// The classic form of a native histogram is taken too.
    pub always_scrape_classic_histograms: bool,
    /// Classic histograms become native ones with their own buckets.
    pub convert_classic_histograms_to_nhcb: bool,
    /// `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes` are stored for each target.
    pub extra_scrape_metrics: bool,
    /// Where failed scrapes are written.
    pub scrape_failure_log_file: Option<PathBuf>,
    /// The bounds of a scrape.
    pub limits: ScrapeLimits,
    /// Which metric and label names are valid.
    pub name_validation: NameValidation,
    /// What names become for a target that does not know UTF-8 names: `allow-utf-8`, `underscores`, `dots`, `values`.
    pub name_escaping: String,
    /// How the targets are spoken to.
    pub http: HttpClientConfig,
    /// Between discovery and target.
    pub relabel_configs: Vec<RelabelRule>,
    /// Between line and series.
    pub metric_relabel_configs: Vec<RelabelRule>,
    /// Where the targets are.
    pub sd: Vec<SdConfig>,
}

/// Bounds of a scrape; past one of them the whole scrape fails, unless something else is said of it. Zero is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScrapeLimits {
    /// Of an uncompressed answer.
    pub body_size_bytes: u64,
    /// Samples after relabelling.
    pub samples: u64,
    /// What becomes of a scrape that has more. Weft's own.
    pub mode: LimitMode,
    /// Series that a target may begin in a day of UTC; further ones are left out, in both modes. Weft's own.
    pub series: u64,
    /// Lines of an answer, comments among them; zero is what the size of the largest answer gives. Weft's own.
    pub entries: u64,
    /// Targets of the job.
    pub targets: u64,
    /// Labels of a series.
    pub labels: u64,
    /// Bytes of a label's name.
    pub label_name_length: u64,
    /// Bytes of a label's value.
    pub label_value_length: u64,
    /// Buckets of a native histogram.
    pub native_histogram_buckets: u64,
    /// The least growth from one bucket of a native histogram to the next.
    pub native_histogram_min_bucket_factor: f64,
    /// Dropped targets that are remembered for the API; not a bound of a scrape.
    pub keep_dropped_targets: u64,
}

/// What becomes of a scrape that has more samples than `sample_limit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LimitMode {
    /// It fails, and all series of the target end.
    #[default]
    Hard,
    /// The series that were there go on, new ones are left out until there is room.
    Soft,
}

impl LimitMode {
    /// As configurations spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
        }
    }
}

/// A format of exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScrapeProtocol {
    /// `application/vnd.google.protobuf`
    PrometheusProto,
    /// `text/plain; version=0.0.4`
    PrometheusText0_0_4,
    /// `text/plain; version=1.0.0`
    PrometheusText1_0_0,
    /// `application/openmetrics-text; version=0.0.1`
    OpenMetricsText0_0_1,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetricsText1_0_0,
    /// `application/openmetrics-text; version=2.0.0`
    OpenMetricsText2_0_0,
}

impl ScrapeProtocol {
    /// Every format, by the order of their names.
    pub const ALL: [Self; 6] = [
        Self::OpenMetricsText0_0_1,
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText2_0_0,
        Self::PrometheusProto,
        Self::PrometheusText0_0_4,
        Self::PrometheusText1_0_0,
    ];
    /// What is asked for when nothing is said.
    pub const DEFAULT: [Self; 4] =
        [Self::OpenMetricsText1_0_0, Self::OpenMetricsText0_0_1, Self::PrometheusText1_0_0, Self::PrometheusText0_0_4];
    /// What is asked for when native histograms are wanted.
    pub const PROTO_FIRST: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];

    /// As configurations spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrometheusProto => "PrometheusProto",
            Self::PrometheusText0_0_4 => "PrometheusText0.0.4",
            Self::PrometheusText1_0_0 => "PrometheusText1.0.0",
            Self::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
            Self::OpenMetricsText2_0_0 => "OpenMetricsText2.0.0",
        }
    }

    /// What the `Accept` header calls it.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            Self::PrometheusText1_0_0 => "text/plain;version=1.0.0",
            Self::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
            Self::OpenMetricsText2_0_0 => "application/openmetrics-text;version=2.0.0",
        }
    }
}
