//! `--enable-feature`: the features that are served here, each with its field; those of the query engine; and those of
//! Prometheus 3 that are accepted without effect.

use query::EngineOptions;

use super::value::FlagValue;

/// Declares the features that have an effect outside the query engine.
macro_rules! features {
    ($($(#[doc = $what:literal])+ $field:ident = $name:literal;)*) => {
        /// The features that were asked for.
        #[derive(Clone, Debug)]
        pub(crate) struct Features {
            $($(#[doc = $what])+ pub(crate) $field: bool,)*
            names: Vec<String>,
        }

        impl Features {
            /// The names of these.
            const SERVED: &'static [&'static str] = &[$($name),*];

            /// From the values of the flag, each a list with commas.
            fn new(given: &[String]) -> Self {
                let names = given.iter().flat_map(|list| list.split(',')).filter(|name| !name.is_empty());
                let names: Vec<String> = names.map(str::to_owned).collect();
                let has = |name: &str| names.iter().any(|given| given == name);
                Self { $($field: has($name),)* names }
            }
        }
    };
}

features! {
    /// The configuration is loaded again when its files change.
    auto_reload_config = "auto-reload-config";
    /// Zeros are stored where counting began.
    created_timestamp_zero_ingestion = "created-timestamp-zero-ingestion";
    /// Exemplars are kept.
    exemplar_storage = "exemplar-storage";
    /// Series about each scrape's limits and timeout.
    extra_scrape_metrics = "extra-scrape-metrics";
    /// OpenMetrics 2.0 is asked for and parsed.
    openmetrics2 = "openmetrics2";
    /// Differences of OpenTelemetry are added up, and their totals stored.
    otlp_deltatocumulative = "otlp-deltatocumulative";
    /// Differences of OpenTelemetry are stored as they come.
    otlp_native_delta_ingestion = "otlp-native-delta-ingestion";
    /// `stats=all` shows the samples of each step.
    promql_per_step_stats = "promql-per-step-stats";
    /// Limits and estimates of what queries cost.
    query_cost = "query-cost";
    /// `/api/v1/search/*`.
    search_api = "search-api";
    /// Labels `__type__` and `__unit__`.
    type_and_unit_labels = "type-and-unit-labels";
}

/// Features of Prometheus 3 that are accepted without effect.
const IGNORED: [&str; 15] = [
    "concurrent-rule-eval",
    "delayed-compaction",
    "fast-startup",
    "histograms-st-encoding",
    "memory-snapshot-on-shutdown",
    // Type, help and unit are kept as long as their target, not per series: nothing is written for a remote to read yet.
    "metadata-wal-records",
    "native-histograms",
    "old-ui",
    "ooo-native-histograms",
    "promql-duration-expr",
    "promql-extended-range-selectors",
    "st-storage",
    "st-synthesis",
    "use-uncached-io",
    "xor2-encoding",
];

impl FlagValue for Features {
    const IS_REPEATED: bool = true;

    fn parse(texts: &[String]) -> Result<Self, String> {
        Ok(Self::new(texts))
    }

    fn shown(&self) -> String {
        self.names.join(",")
    }
}

impl Features {
    /// All names that were given.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Those that have no effect, and those that nobody knows.
    pub(crate) fn without_effect(&self) -> (Vec<&str>, Vec<&str>) {
        let served: Vec<&str> = Self::SERVED.iter().copied().chain(EngineOptions::features()).collect();
        let others = self.names().filter(|name| !served.contains(name));
        others.partition(|name| IGNORED.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_served_or_ignored() {
        assert!(Features::SERVED.iter().all(|name| !IGNORED.contains(name)));
    }
}
