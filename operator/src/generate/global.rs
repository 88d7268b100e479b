//! `global`, `runtime` and `storage`. Upstream: `buildGlobalConfig`, `buildExternalLabels`, `appendRuntime`,
//! `appendStorageSettingsConfig`.

use std::collections::BTreeMap;

use super::{GenerateError, Generator};
use crate::document::Mapping;

/// Upstream's default, when neither time nor size is set.
const RETENTION: &str = "24h";
/// Where upstream mounts a volume for log files that are given by name only.
const LOG_FOLDER: &str = "/var/log/prometheus";

impl Generator<'_> {
    pub(super) fn global(&self) -> Result<Mapping, GenerateError> {
        let spec = self.spec();
        if !spec.scrape_timeout.is_empty() {
            // Said of the field of the object; the configuration would say it of `global`.
            crate::validate::check_timeout(&spec.scrape_timeout, &spec.scrape_interval)
                .map_err(|message| GenerateError::new("spec.scrapeTimeout", message))?;
        }
        let mut out = Mapping::default();
        // Never empty: the schema fills in 30s.
        out.put("scrape_interval", &spec.scrape_interval);
        out.put_filled("scrape_timeout", &spec.scrape_timeout);
        out.put_filled("scrape_protocols", &spec.scrape_protocols);
        out.put("external_labels", self.external_labels());
        self.put_global_limits(&mut out);
        out.put_some("scrape_failure_log_file", spec.scrape_failure_log_file.as_deref().map(log_path));
        out.put_some("metric_name_validation_scheme", spec.name_validation_scheme.as_deref().map(validation_scheme));
        out.put_some("metric_name_escaping_scheme", spec.name_escaping_scheme.as_deref().and_then(escaping_scheme));
        out.put_some("convert_classic_histograms_to_nhcb", spec.convert_classic_histograms_to_nhcb);
        out.put_some("always_scrape_classic_histograms", spec.scrape_classic_histograms);
        out.put_some("scrape_native_histograms", spec.scrape_native_histograms);
        out.put("evaluation_interval", &spec.evaluation_interval);
        out.put_some("rule_query_offset", spec.rule_query_offset.as_ref());
        if !spec.query_log_file.is_empty() {
            out.put("query_log_file", log_path(&spec.query_log_file));
        }
        Ok(out)
    }

    /// Labels of the user do not replace those that name the object, its replica and its zone.
    fn external_labels(&self) -> BTreeMap<String, String> {
        let (meta, spec) = (&self.prometheus.metadata, self.spec());
        let mut labels = BTreeMap::new();
        // An empty name says that the label is not wanted.
        let mut reserve = |name: Option<&str>, default: &str, value: String| {
            let name = name.unwrap_or(default);
            if !name.is_empty() {
                labels.insert(name.to_owned(), value);
            }
        };
        let object = format!("{}/{}", meta.namespace, meta.name);
        reserve(spec.prometheus_external_label_name.as_deref(), "prometheus", object);
        reserve(spec.replica_external_label_name.as_deref(), "prometheus_replica", "$(POD_NAME)".to_owned());
        if let Some(strategy) = spec.sharding_strategy.as_ref().filter(|_| self.options.topology_sharding)
            && strategy.mode.as_deref() == Some("Topology")
            && let Some(topology) = &strategy.topology
        {
            reserve(topology.external_label_name.as_deref(), "zone", "$(TOPOLOGY_ZONE)".to_owned());
        }
        for (name, value) in &spec.external_labels {
            // Silently, as upstream does: two servers with the same labels would be one for whoever receives their samples.
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        labels
    }

    /// What jobs without a limit of their own are limited to: the lower of what is set and enforced.
    fn put_global_limits(&self, out: &mut Mapping) {
        let spec = self.spec();
        // Here what is set wins over what is enforced; each job is held to the lower one.
        let enforced = Some(&spec.enforced_body_size_limit).filter(|size| !size.is_empty());
        out.put_some("body_size_limit", spec.body_size_limit.as_ref().or(enforced));
        let counts = [
            ("sample_limit", spec.sample_limit, spec.enforced_sample_limit),
            ("target_limit", spec.target_limit, spec.enforced_target_limit),
            ("label_limit", spec.label_limit, spec.enforced_label_limit),
            ("label_name_length_limit", spec.label_name_length_limit, spec.enforced_label_name_length_limit),
            ("label_value_length_limit", spec.label_value_length_limit, spec.enforced_label_value_length_limit),
            ("keep_dropped_targets", spec.keep_dropped_targets, spec.enforced_keep_dropped_targets),
        ];
        for (name, set, enforced) in counts {
            // 0 means no limit, and would be the lowest.
            let positive = |limit: Option<i64>| limit.filter(|limit| *limit > 0);
            out.put_some(name, [positive(set), positive(enforced)].into_iter().flatten().min());
        }
    }

    pub(super) fn runtime(&self) -> Option<Mapping> {
        let runtime = self.spec().runtime.as_ref()?;
        let mut out = Mapping::default();
        out.put_some("gogc", runtime.go_gc);
        Some(out)
    }

    pub(super) fn storage(&self) -> Result<Option<Mapping>, GenerateError> {
        let spec = self.spec();
        let mut tsdb = Mapping::default();
        if let Some(asked) = &spec.tsdb {
            tsdb.put_some("out_of_order_time_window", asked.out_of_order_time_window.as_ref());
            if let Some(threshold) = asked.stale_series_compaction_threshold.as_ref().map(|share| share.value()) {
                if !(0.0..=1.0).contains(&threshold) {
                    let field = "spec.tsdb.staleSeriesCompactionThreshold";
                    return Err(GenerateError::new(field, format!("must be between 0 and 1, and is {threshold}")));
                }
                tsdb.put("stale_series_compaction_threshold", threshold);
            }
            if let Some(floats) = asked.chunk_encoding.as_ref().and_then(|encoding| encoding.floats.as_ref()) {
                // The older encoding has no place for them.
                let has_start_times = spec.enable_features.iter().any(|feature| feature == "st-storage");
                if floats == "Xor" && has_start_times {
                    let message =
                        "chunk encoding \"Xor\" holds no start timestamps, which the feature st-storage stores";
                    return Err(GenerateError::new("spec.tsdb.chunkEncoding.floats", message));
                }
                let mut encoding = Mapping::default();
                encoding.put("floats", floats.to_lowercase());
                tsdb.put("chunk_encoding", encoding);
            }
        }
        let mut retention = Mapping::default();
        // A size alone keeps samples for as long as they fit.
        if spec.retention.is_empty() && spec.retention_size.is_empty() {
            retention.put("time", RETENTION);
        }
        retention.put_filled("time", &spec.retention);
        retention.put_filled("size", &spec.retention_size);
        tsdb.put("retention", retention);
        let mut out = Mapping::default();
        if let Some(max) = spec.exemplars.as_ref().and_then(|exemplars| exemplars.max_size) {
            let mut exemplars = Mapping::default();
            exemplars.put("max_exemplars", max);
            out.put("exemplars", exemplars);
        }
        out.put("tsdb", tsdb);
        Ok(Some(out))
    }
}

/// A log file that is given by its name only stands in a folder of its own.
fn log_path(file: &str) -> String {
    if file.contains('/') { file.to_owned() } else { format!("{LOG_FOLDER}/{file}") }
}

/// `UTF8` and `Legacy`, as the configuration spells them.
pub(super) fn validation_scheme(scheme: &str) -> String {
    scheme.to_lowercase()
}

/// `AllowUTF8`, `Underscores`, `Dots` and `Values`, as the configuration spells them.
pub(super) fn escaping_scheme(scheme: &str) -> Option<&'static str> {
    match scheme {
        "AllowUTF8" => Some("allow-utf-8"),
        "Underscores" => Some("underscores"),
        "Dots" => Some("dots"),
        "Values" => Some("values"),
        _ => None,
    }
}
