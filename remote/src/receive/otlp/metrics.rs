//! What is counted of requests of OTLP, under upstream's names.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::reader::Reader;
use super::settings::Warning;
use crate::registered::registered;

#[derive(Clone, Debug)]
pub(super) struct Metrics {
    without_metadata: IntCounter,
    late_exemplars: IntCounter,
    warnings: IntCounterVec,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| registered(registry, IntCounter::new(name, help)?);
        let warnings = IntCounterVec::new(
            Opts::new(
                "prometheus_api_otlp_translation_warnings_total",
                "What was odd about metrics of OTLP, by category.",
            ),
            &["category"],
        )?;
        let warnings = registered(registry, warnings)?;
        Ok(Self {
            without_metadata: counter(
                "prometheus_api_otlp_appended_samples_without_metadata_total",
                "Points that came by OTLP and say neither type nor unit nor help.",
            )?,
            late_exemplars: counter(
                "prometheus_api_otlp_out_of_order_exemplars_total",
                "Exemplars that came by OTLP and were left out, as there are newer ones of their series.",
            )?,
            warnings,
        })
    }

    /// Counts what a request was.
    pub(super) fn count(&self, reader: &Reader<'_>, late_exemplars: u64) {
        self.without_metadata.inc_by(reader.without_metadata);
        self.late_exemplars.inc_by(late_exemplars);
        let of_names = reader.labels.warnings();
        for (warning, n) in reader.warnings.iter().map(|one| (*one, 1)).chain(of_names) {
            self.warnings.with_label_values(&[warning.category()]).inc_by(n);
        }
    }
}

impl Warning {
    fn category(self) -> &'static str {
        match self {
            Self::EmptyDataPoints => "empty_data_points",
            Self::LabelNameCollision => "label_name_collision",
            Self::HistogramZeroCountNonZeroSum => "histogram_zero_count_non_zero_sum",
            Self::HistogramPlusInfBound => "histogram_plus_inf_bound",
        }
    }
}
