//! The jobs: a target, and how it is scraped.

use crate::targets::Target;

pub struct Case {
    /// Name of the job.
    pub name: &'static str,
    pub target: Target,
    /// Further lines of the job.
    pub lines: &'static str,
    /// Prometheus must have at least so many, or the case says little.
    pub series_min: usize,
    pub exemplars_min: usize,
}

const fn case(name: &'static str, target: Target, lines: &'static str, series_min: usize) -> Case {
    Case { name, target, lines, series_min, exemplars_min: 0 }
}

const fn go(name: &'static str, lines: &'static str, series_min: usize, exemplars_min: usize) -> Case {
    Case { name, target: Target::Go, lines, series_min, exemplars_min }
}

const TEXT: &str = "scrape_protocols: [PrometheusText0.0.4]";
const PROTO: &str = "scrape_protocols: [PrometheusProto]";

const RELABELLED: &str = "\
metric_relabel_configs:
- {source_labels: [__name__], regex: 'go_.*|process_.*', action: drop}
- {source_labels: [device], regex: '(.+)', target_label: dev}
- {regex: device, action: labeldrop}
- {source_labels: [__name__], regex: 'node_(load|memory)(.+)', target_label: __name__, replacement: '$1$2'}";

pub const CASES: &[Case] = &[
    case("node", Target::Node, "", 300),
    case("node_text", Target::Node, TEXT, 300),
    case("node_proto", Target::Node, PROTO, 300),
    case("node_openmetrics", Target::Node, "scrape_protocols: [OpenMetricsText0.0.1]", 300),
    case("node_relabelled", Target::Node, RELABELLED, 200),
    case("node_limited", Target::Node, "sample_limit: 100", 8),
    case("etcd", Target::Etcd, "", 500),
    case("etcd_proto", Target::Etcd, PROTO, 500),
    case("etcd_nhcb", Target::Etcd, "convert_classic_histograms_to_nhcb: true", 100),
    case("apiserver", Target::ApiServer, "", 5_000),
    case("apiserver_proto", Target::ApiServer, PROTO, 5_000),
    case("apiserver_nhcb", Target::ApiServer, "convert_classic_histograms_to_nhcb: true", 500),
    case("push_honor", Target::Pushgateway, "honor_labels: true", 50),
    case("push_not_honor", Target::Pushgateway, "honor_labels: false", 50),
    case("push_honor_proto", Target::Pushgateway, "honor_labels: true\nscrape_protocols: [PrometheusProto]", 50),
    go("go", "", 50, 20),
    go("go_text", TEXT, 50, 0),
    go("go_text1", "scrape_protocols: [PrometheusText1.0.0]", 50, 0),
    go("go_openmetrics", "scrape_protocols: [OpenMetricsText1.0.0]", 50, 20),
    go("go_openmetrics_nhcb", "convert_classic_histograms_to_nhcb: true", 30, 10),
    go("go_text_nhcb", "scrape_protocols: [PrometheusText0.0.4]\nconvert_classic_histograms_to_nhcb: true", 30, 0),
    go("go_proto", PROTO, 50, 20),
    go("go_native", "scrape_native_histograms: true", 40, 20),
    go("go_native_classic", "scrape_native_histograms: true\nalways_scrape_classic_histograms: true", 50, 20),
    go("go_native_nhcb", "scrape_native_histograms: true\nconvert_classic_histograms_to_nhcb: true", 30, 20),
    go(
        "go_native_all",
        "scrape_native_histograms: true\nalways_scrape_classic_histograms: true\nconvert_classic_histograms_to_nhcb: true",
        50,
        20,
    ),
    go("go_native_narrow", "scrape_native_histograms: true\nnative_histogram_bucket_limit: 12", 40, 10),
    go("go_native_wide", "scrape_native_histograms: true\nnative_histogram_min_bucket_factor: 1.9", 40, 10),
    go("go_legacy", "metric_name_validation_scheme: legacy", 50, 10),
    go("go_dots", "metric_name_escaping_scheme: dots", 50, 10),
    go("go_own_times", "honor_timestamps: false", 50, 10),
    go("go_tracked", "track_timestamps_staleness: true", 50, 10),
];
