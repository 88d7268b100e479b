//! Metadata for the metric names of a search. The name of a series may be that of its family with a suffix.

use std::collections::HashMap;

use scraper::Metadata;
use scraper::parse::MetricKind;

use crate::app::App;

/// The metric families of all targets by name; for each type the first one with it.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<String, Vec<Metadata>>);

impl Known {
    pub(super) async fn of(app: &App) -> Self {
        let pools = app.scraper.status().await;
        let mut known = Self::default();
        for (name, of) in pools.values().flat_map(|pool| &pool.active).flat_map(|target| target.status.metadata.iter())
        {
            known.add(name, of);
        }
        known
    }

    fn add(&mut self, family: &str, metadata: &Metadata) {
        let all = self.0.entry(family.to_owned()).or_default();
        // Targets may disagree about the type of a family; the suffix decides which of them fits.
        if all.iter().all(|other| other.kind != metadata.kind) {
            all.push(metadata.clone());
        }
    }

    /// Of the family with this very name, or else of one whose type has series with the last suffix of the name. A family
    /// that ends in `_total` or `_info` is named like its series: these have the suffix no second time.
    pub(super) fn metadata(&self, name: &str) -> Option<&Metadata> {
        if let Some(exact) = self.0.get(name) {
            return exact.first();
        }
        let (family, suffix) = name.split_at(name.rfind('_')?);
        if matches!(suffix, "_total" | "_info") && family.ends_with(suffix) {
            return None;
        }
        self.0.get(family)?.iter().find(|metadata| has_suffix(metadata.kind, suffix))
    }
}

/// Can series of a family of this type have the suffix? `_created` is a time and has not the type.
fn has_suffix(kind: MetricKind, suffix: &str) -> bool {
    use MetricKind::{Counter, GaugeHistogram, Histogram, Info, Summary};
    match suffix {
        "_total" => kind == Counter,
        "_bucket" => matches!(kind, Histogram | GaugeHistogram),
        "_sum" | "_count" => matches!(kind, Histogram | GaugeHistogram | Summary),
        "_gsum" | "_gcount" => kind == GaugeHistogram,
        "_info" => kind == Info,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_names_with_suffixes() {
        let mut known = Known::default();
        let kinds = [
            ("requests", MetricKind::Gauge),
            ("requests", MetricKind::Counter),
            ("latency", MetricKind::Histogram),
            ("size", MetricKind::Summary),
            ("depth", MetricKind::GaugeHistogram),
            ("errors_total", MetricKind::Counter),
            ("build_info", MetricKind::Info),
            ("latency_count", MetricKind::Gauge),
        ];
        for (i, (family, kind)) in kinds.into_iter().enumerate() {
            known.add(family, &Metadata { kind, help: i.to_string(), ..Metadata::default() });
            // Another target says it otherwise, and is not asked.
            known.add(family, &Metadata { kind, help: "later".to_owned(), ..Metadata::default() });
        }
        for (name, help) in [
            ("requests", Some("0")),
            ("requests_total", Some("1")),
            ("latency_bucket", Some("2")),
            ("latency_sum", Some("2")),
            ("latency_count", Some("7")),
            ("latency_created", None),
            ("size_sum", Some("3")),
            ("size_bucket", None),
            ("depth_gsum", Some("4")),
            ("depth_count", Some("4")),
            ("errors_total", Some("5")),
            ("errors_total_total", None),
            ("build_info_info", None),
            ("build", None),
            ("up", None),
        ] {
            assert_eq!(known.metadata(name).map(|metadata| &*metadata.help), help, "{name}");
        }
    }
}
