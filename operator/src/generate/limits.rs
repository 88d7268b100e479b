//! Limits and formats of jobs. Upstream: `AddLimitsToYAML`, `getLowerByteSize`, `addNativeHistogramConfig`.

use super::Generator;
use crate::document::Mapping;
use crate::objects::{JobLimits, ScrapeClass};

impl Generator<'_> {
    /// Adds what a job is limited to, and in which formats it is scraped.
    pub(super) fn put_limits(&self, out: &mut Mapping, limits: &JobLimits, class: &ScrapeClass) {
        let spec = self.spec();
        let counts = [
            ("sample_limit", limits.sample_limit, spec.enforced_sample_limit),
            ("target_limit", limits.target_limit, spec.enforced_target_limit),
            ("label_limit", limits.label_limit, spec.enforced_label_limit),
            ("label_name_length_limit", limits.label_name_length_limit, spec.enforced_label_name_length_limit),
            ("label_value_length_limit", limits.label_value_length_limit, spec.enforced_label_value_length_limit),
            ("keep_dropped_targets", limits.keep_dropped_targets, spec.enforced_keep_dropped_targets),
        ];
        for (name, asked, enforced) in counts {
            out.put_some(name, lower(asked, enforced));
        }
        let native = &limits.native_histograms;
        out.put_some("scrape_native_histograms", native.scrape_native_histograms);
        out.put_some("native_histogram_bucket_limit", native.native_histogram_bucket_limit);
        let factor = native.native_histogram_min_bucket_factor.as_ref().map(|factor| factor.value());
        out.put_some("native_histogram_min_bucket_factor", factor);
        out.put_some("always_scrape_classic_histograms", native.scrape_classic_histograms);
        out.put_some("convert_classic_histograms_to_nhcb", native.convert_classic_histograms_to_nhcb);
        out.put_filled("scrape_protocols", &limits.scrape_protocols);
        // A class gives its monitors one, so that exporters without a content type need no change each.
        let fallback = limits.fallback_scrape_protocol.as_ref().or(class.fallback_scrape_protocol.as_ref());
        out.put_some("fallback_scrape_protocol", fallback);
    }

    /// Adds the lower one of what the object asks for and of what is enforced.
    pub(super) fn put_body_size_limit(&self, out: &mut Mapping, asked: Option<&String>) {
        let enforced = Some(&self.spec().enforced_body_size_limit).filter(|size| !size.is_empty());
        let asked = asked.filter(|size| !size.is_empty());
        // One that cannot be read is refused with the job.
        let bytes = |size: &String| config::parse_size(size).unwrap_or(0);
        let lower = match (asked, enforced) {
            (Some(asked), Some(enforced)) if bytes(asked) > bytes(enforced) => Some(enforced),
            (Some(asked), _) => Some(asked),
            (None, enforced) => enforced,
        };
        out.put_some("body_size_limit", lower);
    }
}

/// The limit of a job. Without one of its own it says nothing: that of `global` holds, which heeds the enforced one.
fn lower(asked: Option<i64>, enforced: Option<i64>) -> Option<i64> {
    match (asked.unwrap_or(0), enforced.unwrap_or(0)) {
        // Nothing is enforced.
        (_, 0) => asked,
        // Nothing is asked for, or no limit, which must not lift the enforced one.
        (0, _) => None,
        (asked, enforced) => Some(asked.min(enforced)),
    }
}
