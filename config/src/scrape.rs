//! A scrape configuration; what it does not set is filled in from `global`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::{NameValidation, RelabelRule};

use crate::Error;
use crate::global::{FAULTY, GlobalConfig};
use crate::http::HttpClientConfig;
use crate::limits::ScrapeLimits;
use crate::names::{ESCAPINGS, EscapingScheme, ValidationScheme, unknown_escaping};
use crate::protocol::{Place, Protocol, Protocols, ScrapeProtocol};
use crate::relabel::Rules;
use crate::schema::{Bool, Duration, Fields, Inline, Nonzero, OmitDefault, OptionalBool, Path, Text, TextMap, section};
use crate::sd::{Discoveries, SdConfig, check_static_targets};
use crate::target_labels::TargetLabelsFrom;

section! {
    /// One job: where its targets are, how they are scraped, and what is done with their samples.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ScrapeConfig as "scrape_config" in (global: &'c GlobalConfig) {
        /// The name of the job and the default of the label `job`; no two jobs may have the same name.
        #[yaml(Text; required = "job_name is empty")]
        pub job_name: String,
        /// If a label of a scraped series is also one of the target, keep its value. Otherwise the target's label wins and the
        /// scraped one is stored as `exported_<name>`.
        #[yaml(Bool)]
        pub honor_labels: bool,
        /// Store samples with the timestamps of the target, where it gives any.
        #[yaml(Bool, default = true; always)]
        pub honor_timestamps: bool,
        /// Mark series as stale that the target gives timestamps for, too.
        #[yaml(Bool; always)]
        pub track_timestamps_staleness: bool,
        /// Query parameters of the URL.
        #[yaml(TextMap)]
        pub params: BTreeMap<String, Vec<String>>,
        /// The time from one scrape of a target to the next.
        #[yaml(
            Nonzero<Duration>,
            name = "scrape_interval",
            inherited = global.scrape_interval_ms => "that of `global`"
        )]
        pub scrape_interval_ms: i64,
        /// How long a scrape may take; at most `scrape_interval`.
        #[yaml(
            Nonzero<Duration>,
            name = "scrape_timeout",
            inherited = global.scrape_timeout_ms.min(scrape_interval_ms) => "that of `global`, or `scrape_interval` if that is less"
        )]
        pub scrape_timeout_ms: i64,
        /// The formats to ask for, the preferred one first.
        #[yaml(
            Protocols,
            with = Place::Job(&job_name),
            inherited = Vec::new() => "those of `global`; without any there, text formats, and protobuf first if native histograms are scraped"
        )]
        pub scrape_protocols: Vec<ScrapeProtocol>,
        /// The format of a response that does not name a valid one. Without it such a scrape fails.
        #[yaml(Protocol, with = Place::Job(&job_name))]
        pub fallback_scrape_protocol: Option<ScrapeProtocol>,
        /// Scrape native histograms.
        #[yaml(OptionalBool, inherited = global.scrape_native_histograms => "that of `global`"; always)]
        pub scrape_native_histograms: bool,
        /// Store the classic form of a native histogram, too.
        #[yaml(OptionalBool, inherited = global.always_scrape_classic_histograms => "that of `global`"; always)]
        pub always_scrape_classic_histograms: bool,
        /// Convert classic histograms to native ones with custom buckets.
        #[yaml(OptionalBool, inherited = global.convert_classic_histograms_to_nhcb => "that of `global`"; always)]
        pub convert_classic_histograms_to_nhcb: bool,
        /// The file in which failed scrapes are logged.
        #[yaml(Path, inherited = None => "that of `global`")]
        pub scrape_failure_log_file: Option<PathBuf>,
        /// The path of the URL.
        #[yaml(Text, default = "/metrics".to_owned())]
        pub metrics_path: String,
        /// The scheme of the URL: `http` or `https`.
        #[yaml(Text, default = "http".to_owned())]
        pub scheme: String,
        /// Ask for compressed responses.
        #[yaml(Bool, default = true; always)]
        pub enable_compression: bool,
        /// The limits of a scrape.
        #[yaml(Inline<ScrapeLimits>, with = &global.limits)]
        pub limits: ScrapeLimits,
        /// Which names of metrics and labels are valid: all, or those of letters, digits, `_` and `:`.
        #[yaml(
            ValidationScheme,
            name = "metric_name_validation_scheme",
            inherited = global.name_validation => "that of `global`"
        )]
        pub name_validation: NameValidation,
        /// What names become for a target that does not know UTF-8 names.
        #[yaml(
            Nonzero<EscapingScheme>,
            name = "metric_name_escaping_scheme",
            inherited = String::new() => "that of `global`; `allow-utf-8` or `underscores` if the job sets `metric_name_validation_scheme` to `utf8` or `legacy`"
        )]
        pub name_escaping: String,
        /// Store `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes` for each target.
        #[yaml(OptionalBool, inherited = global.extra_scrape_metrics => "that of `global`"; always)]
        pub extra_scrape_metrics: bool,
        /// Labels of Kubernetes objects that the targets get without relabelling.
        #[yaml(OmitDefault<TargetLabelsFrom>; ours)]
        pub target_labels_from: TargetLabelsFrom,
        /// Annotations `weft.io/sample-limit` and `weft.io/label-limit` of the pod or Service behind a target lower the job's
        /// `sample_limit` and `label_limit` for that target. They cannot raise them, and what is no number above 0 is passed over.
        #[yaml(Bool; ours)]
        pub limits_from_annotations: bool,
        /// How the targets are connected to.
        #[yaml(Inline<HttpClientConfig>, with = true)]
        pub http: HttpClientConfig,
        /// Rules for the labels of targets; a target may be dropped.
        #[yaml(Rules, with = (name_validation, "empty or null target relabeling rule in scrape config"))]
        pub relabel_configs: Vec<RelabelRule>,
        /// Rules for the labels of scraped series; a series may be dropped.
        #[yaml(Rules, with = (name_validation, "empty or null metric relabeling rule in scrape config"))]
        pub metric_relabel_configs: Vec<RelabelRule>,
        /// Where the targets are.
        #[yaml(Discoveries)]
        pub sd: Vec<SdConfig>,
    }
    check_always = check_scrape;
}

fn check_scrape(job: &mut ScrapeConfig, f: &mut Fields<'_>, global: &GlobalConfig) -> Result<(), Error> {
    let is_sound = f.are_sound(&["scrape_interval", "scrape_timeout"]) && !f.source.has_told(FAULTY);
    if is_sound && job.scrape_timeout_ms > job.scrape_interval_ms {
        let place = Place::Job(&job.job_name);
        let message = format!("scrape timeout greater than scrape interval for {place}");
        f.source.report(f.refuse("scrape_timeout", message))?;
    }
    // Filled in here and not by `inherited`: the default depends on whether native histograms are scraped, which is
    // known only when all fields are read.
    if job.scrape_protocols.is_empty() {
        let fitting: &[ScrapeProtocol] =
            if job.scrape_native_histograms { &ScrapeProtocol::PROTO_FIRST } else { &ScrapeProtocol::DEFAULT };
        job.scrape_protocols = global.scrape_protocols.clone().unwrap_or_else(|| fitting.to_vec());
    }
    // The codec of an optional path always gives a value, since empty and missing mean the same: `inherited` does not
    // get its turn.
    if job.scrape_failure_log_file.is_none() {
        job.scrape_failure_log_file.clone_from(&global.scrape_failure_log_file);
    }
    attach_what_labels_need(job);
    let completed = complete_escaping(job, f, global);
    f.source.settle(completed)?;
    // Rules that have faults might take addresses apart.
    if f.are_sound(&["relabel_configs"]) {
        f.source.settle(check_static_targets((&job.sd, &job.relabel_configs), f, "metrics_path"))?;
    }
    Ok(())
}

/// Labels of nodes and namespaces are there only if discovery attaches them.
fn attach_what_labels_need(job: &mut ScrapeConfig) {
    let TargetLabelsFrom { node, namespace, .. } = &job.target_labels_from;
    for sd in &mut job.sd {
        if let SdConfig::Kubernetes(sd) = sd {
            sd.attach_metadata.node |= !node.is_empty();
            sd.attach_metadata.namespace |= !namespace.is_empty();
        }
    }
}

/// Chooses how names are escaped, and refuses UTF-8 names where the validation does not allow them.
fn complete_escaping(job: &mut ScrapeConfig, f: &mut Fields<'_>, global: &GlobalConfig) -> Result<(), Error> {
    let name = "metric_name_escaping_scheme";
    // That of `global` first, also where the job does not inherit it. A file without jobs may have any word there.
    if !global.name_escaping.is_empty() && !ESCAPINGS.contains(&global.name_escaping.as_str()) {
        // Once, and not for every job.
        let is_new = f.source.tell_once("global name escaping");
        return if is_new { Err(f.refuse_all(unknown_escaping("global", &global.name_escaping))) } else { Ok(()) };
    }
    if !f.are_sound(&["metric_name_validation_scheme", name]) {
        return Ok(());
    }
    if job.name_escaping.is_empty() {
        // A job that sets its validation itself does not inherit a way of escaping that may contradict it.
        let own = f.text("metric_name_validation_scheme")?.is_some_and(|text| !text.is_empty());
        job.name_escaping = match (global.name_escaping.as_str(), job.name_validation) {
            (inherited, _) if !own && !inherited.is_empty() => inherited.to_owned(),
            (_, NameValidation::Utf8) => "allow-utf-8".to_owned(),
            (_, NameValidation::Legacy) => "underscores".to_owned(),
        };
    }
    if !ESCAPINGS.contains(&job.name_escaping.as_str()) {
        return Err(f.refuse(name, unknown_escaping("scrape config", &job.name_escaping)));
    }
    if job.name_validation == NameValidation::Legacy && job.name_escaping == "allow-utf-8" {
        return Err(f.refuse(name, "utf8 metric names requested but validation scheme is not set to UTF8"));
    }
    Ok(())
}
