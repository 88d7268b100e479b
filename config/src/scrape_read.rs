//! One scrape configuration: read, completed from `global`, and shown.

use std::collections::BTreeMap;

use model::duration::format_duration_ms;
use model::{NameValidation, float};

use crate::decode::Fields;
use crate::http_read::{self, put_path, put_text};
use crate::size::format_size;
use crate::yaml::Yaml;
use crate::{
    Error, GlobalConfig, LimitMode, ScrapeConfig, ScrapeLimits, ScrapeProtocol, SdConfig, relabel_read, sd_read,
};

const ESCAPINGS: [&str; 4] = ["allow-utf-8", "underscores", "dots", "values"];

/// Reads one item of `scrape_configs`.
pub(crate) fn scrape(mut fields: Fields<'_>, global: &GlobalConfig) -> Result<ScrapeConfig, Error> {
    let f = &mut fields;
    let job_name = f.text("job_name")?.unwrap_or_default();
    let in_job = |message: String| format!("{message} for scrape config with job name {job_name:?}");
    let (scrape_interval_ms, scrape_timeout_ms) = times(f, global, &job_name)?;
    let scrape_native_histograms = f.set_bool("scrape_native_histograms")?.unwrap_or(global.scrape_native_histograms);
    let own_protocols = protocols(f, &in_job)?;
    let default_protocols: &[ScrapeProtocol] =
        if scrape_native_histograms { &ScrapeProtocol::PROTO_FIRST } else { &ScrapeProtocol::DEFAULT };
    let scrape_protocols =
        own_protocols.or_else(|| global.scrape_protocols.clone()).unwrap_or_else(|| default_protocols.to_vec());
    let fallback_scrape_protocol = match f.text("fallback_scrape_protocol")?.filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(protocol(&text).map_err(|error| {
            let place = format!("invalid fallback_scrape_protocol for scrape config with job name {job_name:?}");
            f.refuse("fallback_scrape_protocol", format!("{place}: {error}"))
        })?),
    };
    let (name_validation, name_escaping) = names(f, global)?;
    let (target, metric) = ("target relabeling rule in scrape config", "metric relabeling rule in scrape config");
    let config = ScrapeConfig {
        scrape_interval_ms,
        scrape_timeout_ms,
        scrape_protocols,
        fallback_scrape_protocol,
        metrics_path: f.text("metrics_path")?.unwrap_or_else(|| "/metrics".to_owned()),
        scheme: f.text("scheme")?.unwrap_or_else(|| "http".to_owned()),
        params: params(f)?,
        honor_labels: f.bool("honor_labels")?.unwrap_or(false),
        honor_timestamps: f.bool("honor_timestamps")?.unwrap_or(true),
        track_timestamps_staleness: f.bool("track_timestamps_staleness")?.unwrap_or(false),
        enable_compression: f.bool("enable_compression")?.unwrap_or(true),
        scrape_native_histograms,
        always_scrape_classic_histograms: f
            .set_bool("always_scrape_classic_histograms")?
            .unwrap_or(global.always_scrape_classic_histograms),
        convert_classic_histograms_to_nhcb: f
            .set_bool("convert_classic_histograms_to_nhcb")?
            .unwrap_or(global.convert_classic_histograms_to_nhcb),
        extra_scrape_metrics: f.set_bool("extra_scrape_metrics")?.unwrap_or(global.extra_scrape_metrics),
        scrape_failure_log_file: f.path("scrape_failure_log_file")?.or_else(|| global.scrape_failure_log_file.clone()),
        limits: limits(f, &global.limits)?,
        name_validation,
        name_escaping,
        http: http_read::http(f, true)?,
        relabel_configs: relabel_read::rules(
            f,
            "relabel_configs",
            name_validation,
            &format!("empty or null {target}"),
        )?,
        metric_relabel_configs: relabel_read::rules(
            f,
            "metric_relabel_configs",
            name_validation,
            &format!("empty or null {metric}"),
        )?,
        sd: sd_read::all(f)?,
        job_name,
    };
    f.finish()?;
    if config.job_name.is_empty() {
        return Err(f.refuse("job_name", "job_name is empty"));
    }
    check_targets(f, &config)?;
    Ok(config)
}

fn times(f: &mut Fields<'_>, global: &GlobalConfig, job: &str) -> Result<(i64, i64), Error> {
    let set = |ms: &i64| *ms != 0;
    let interval = f.duration_ms("scrape_interval")?.filter(set).unwrap_or(global.scrape_interval_ms);
    let timeout = f.duration_ms("scrape_timeout")?.filter(set);
    if timeout.is_some_and(|timeout| timeout > interval) {
        let message = format!("scrape timeout greater than scrape interval for scrape config with job name {job:?}");
        return Err(f.refuse("scrape_timeout", message));
    }
    Ok((interval, timeout.unwrap_or(global.scrape_timeout_ms.min(interval))))
}

/// `scrape_protocols`, when the block has any; `place` ends the message of an error.
pub(crate) fn protocols(
    f: &mut Fields<'_>,
    place: &dyn Fn(String) -> String,
) -> Result<Option<Vec<ScrapeProtocol>>, Error> {
    let name = "scrape_protocols";
    if f.node(name).is_none() {
        return Ok(None);
    }
    let texts = f.texts(name)?;
    let refuse = |message: String| f.refuse(name, place(message));
    if texts.is_empty() {
        return Err(refuse("scrape_protocols cannot be empty".to_owned()));
    }
    let mut protocols = Vec::new();
    for text in &texts {
        let one = protocol(text).map_err(|error| refuse(format!("scrape_protocols: {error}")))?;
        if protocols.contains(&one) {
            return Err(refuse(format!("duplicated protocol in scrape_protocols, got [{}]", texts.join(" "))));
        }
        protocols.push(one);
    }
    Ok(Some(protocols))
}

fn protocol(text: &str) -> Result<ScrapeProtocol, String> {
    ScrapeProtocol::ALL.into_iter().find(|protocol| protocol.as_str() == text).ok_or_else(|| {
        let known: Vec<&str> = ScrapeProtocol::ALL.iter().map(|protocol| protocol.as_str()).collect();
        format!("unknown scrape protocol {text}, supported: [{}]", known.join(" "))
    })
}

/// `metric_name_validation_scheme`, when the block has it.
pub(crate) fn validation(f: &mut Fields<'_>) -> Result<Option<NameValidation>, Error> {
    match f.text("metric_name_validation_scheme")?.as_deref() {
        None | Some("") => Ok(None),
        Some("utf8") => Ok(Some(NameValidation::Utf8)),
        Some("legacy") => Ok(Some(NameValidation::Legacy)),
        Some(other) => {
            let message = format!("unrecognized ValidationScheme: {other:?}; it is utf8 or legacy");
            Err(f.refuse("metric_name_validation_scheme", message))
        }
    }
}

fn names(f: &mut Fields<'_>, global: &GlobalConfig) -> Result<(NameValidation, String), Error> {
    let validation = validation(f)?.unwrap_or(global.name_validation);
    let own = f.text("metric_name_escaping_scheme")?.filter(|text| !text.is_empty());
    let inherited = (!global.name_escaping.is_empty()).then(|| global.name_escaping.clone());
    let fitting = if validation == NameValidation::Utf8 { "allow-utf-8" } else { "underscores" };
    let escaping = own.or(inherited).unwrap_or_else(|| fitting.to_owned());
    if !ESCAPINGS.contains(&escaping.as_str()) {
        let message = format!("unknown escaping scheme {escaping:?}; it is one of {}", ESCAPINGS.join(", "));
        return Err(f.refuse("metric_name_escaping_scheme", message));
    }
    if validation == NameValidation::Legacy && escaping == "allow-utf-8" {
        let message = "utf8 metric names requested but validation scheme is not set to UTF8";
        return Err(f.refuse("metric_name_escaping_scheme", message));
    }
    Ok((validation, escaping))
}

/// The limits of a block; what is not set or zero comes from `inherited`.
pub(crate) fn limits(f: &mut Fields<'_>, inherited: &ScrapeLimits) -> Result<ScrapeLimits, Error> {
    let body_size = f.size_bytes("body_size_limit")?.unwrap_or(0);
    let body_size = u64::try_from(body_size).map_err(|_| f.refuse("body_size_limit", "must not be negative"))?;
    let mode = match f.text("limit_mode")?.as_deref() {
        None | Some("") => inherited.mode,
        Some("hard") => LimitMode::Hard,
        Some("soft") => LimitMode::Soft,
        Some(other) => {
            return Err(f.refuse("limit_mode", format!("unknown limit_mode {other:?}; it is hard or soft")));
        }
    };
    let mut count =
        |name, inherited| -> Result<u64, Error> { Ok(f.count(name)?.filter(|n| *n != 0).unwrap_or(inherited)) };
    Ok(ScrapeLimits {
        body_size_bytes: if body_size == 0 { inherited.body_size_bytes } else { body_size },
        samples: count("sample_limit", inherited.samples)?,
        mode,
        series: count("series_limit", inherited.series)?,
        entries: count("entry_limit", inherited.entries)?,
        targets: count("target_limit", inherited.targets)?,
        labels: count("label_limit", inherited.labels)?,
        label_name_length: count("label_name_length_limit", inherited.label_name_length)?,
        label_value_length: count("label_value_length_limit", inherited.label_value_length)?,
        keep_dropped_targets: count("keep_dropped_targets", inherited.keep_dropped_targets)?,
        native_histogram_buckets: count("native_histogram_bucket_limit", inherited.native_histogram_buckets)?,
        native_histogram_min_bucket_factor: f
            .float("native_histogram_min_bucket_factor")?
            .unwrap_or(inherited.native_histogram_min_bucket_factor),
    })
}

fn params(f: &mut Fields<'_>) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let Some(inner) = f.fields("params")? else { return Ok(BTreeMap::new()) };
    let mut params = BTreeMap::new();
    for (key, node) in inner.pairs() {
        let path = inner.at(&key.text);
        let items = match &*node.kind {
            crate::node::Kind::List(items) => &items[..],
            _ if node.is_null() => &[],
            _ => {
                let message = format!("cannot unmarshal {} into a list; write [value]", node.what());
                return Err(inner.source.error(node.pos, path, message));
            }
        };
        let value = |item| crate::decode::scalar(inner.source, item, &path).map(str::to_owned);
        params.insert(key.text.clone(), items.iter().map(value).collect::<Result<_, _>>()?);
    }
    Ok(params)
}

/// A URL is no address, unless relabelling may make one of it.
fn check_targets(f: &Fields<'_>, config: &ScrapeConfig) -> Result<(), Error> {
    if !config.relabel_configs.is_empty() {
        return Ok(());
    }
    let groups = config.sd.iter().filter_map(|sd| match sd {
        SdConfig::Static(group) => Some(group),
        _ => None,
    });
    match groups.flat_map(|group| &group.targets).find(|target| target.contains('/')) {
        Some(target) => {
            let message = format!(
                "{target:?} is not a valid hostname; write host:port, and the rest into scheme and metrics_path"
            );
            Err(f.refuse("static_configs", message))
        }
        None => Ok(()),
    }
}

type Pairs = Vec<(String, Yaml)>;

/// Adds the limits as they are printed.
pub(crate) fn show_limits(limits: &ScrapeLimits, out: &mut Pairs) {
    if limits.body_size_bytes > 0 {
        out.push(("body_size_limit".to_owned(), Yaml::text(format_size(limits.body_size_bytes))));
    }
    for (name, n) in [
        ("sample_limit", limits.samples),
        ("series_limit", limits.series),
        ("entry_limit", limits.entries),
        ("target_limit", limits.targets),
        ("label_limit", limits.labels),
        ("label_name_length_limit", limits.label_name_length),
        ("label_value_length_limit", limits.label_value_length),
        ("native_histogram_bucket_limit", limits.native_histogram_buckets),
    ] {
        if n > 0 {
            out.push((name.to_owned(), Yaml::raw(n)));
        }
    }
    if limits.native_histogram_min_bucket_factor != 0.0 {
        let factor = float::format_g(limits.native_histogram_min_bucket_factor);
        out.push(("native_histogram_min_bucket_factor".to_owned(), Yaml::Raw(factor)));
    }
    if limits.mode != LimitMode::default() {
        out.push(("limit_mode".to_owned(), Yaml::text(limits.mode.as_str())));
    }
    if limits.keep_dropped_targets > 0 {
        out.push(("keep_dropped_targets".to_owned(), Yaml::raw(limits.keep_dropped_targets)));
    }
}

/// `utf8` or `legacy`.
pub(crate) fn validation_name(names: NameValidation) -> &'static str {
    match names {
        NameValidation::Utf8 => "utf8",
        NameValidation::Legacy => "legacy",
    }
}

/// The job as it is printed.
pub(crate) fn show(job: &ScrapeConfig) -> Yaml {
    let mut out = Pairs::new();
    let raw = |out: &mut Pairs, name: &str, on: bool| out.push((name.to_owned(), Yaml::raw(on)));
    put_text(&mut out, "job_name", Some(&job.job_name));
    if job.honor_labels {
        raw(&mut out, "honor_labels", true);
    }
    raw(&mut out, "honor_timestamps", job.honor_timestamps);
    raw(&mut out, "track_timestamps_staleness", job.track_timestamps_staleness);
    if !job.params.is_empty() {
        let params = job.params.iter().map(|(name, values)| (name.clone(), Yaml::texts(values))).collect();
        out.push(("params".to_owned(), Yaml::Map(params)));
    }
    put_text(&mut out, "scrape_interval", Some(&format_duration_ms(job.scrape_interval_ms)));
    put_text(&mut out, "scrape_timeout", Some(&format_duration_ms(job.scrape_timeout_ms)));
    let protocols = Yaml::texts(job.scrape_protocols.iter().map(|protocol| protocol.as_str()));
    out.push(("scrape_protocols".to_owned(), protocols));
    let fallback = job.fallback_scrape_protocol.map(|protocol| protocol.as_str().to_owned());
    put_text(&mut out, "fallback_scrape_protocol", fallback.as_ref());
    raw(&mut out, "scrape_native_histograms", job.scrape_native_histograms);
    raw(&mut out, "always_scrape_classic_histograms", job.always_scrape_classic_histograms);
    raw(&mut out, "convert_classic_histograms_to_nhcb", job.convert_classic_histograms_to_nhcb);
    put_path(&mut out, "scrape_failure_log_file", job.scrape_failure_log_file.as_ref());
    put_text(&mut out, "metrics_path", Some(&job.metrics_path));
    put_text(&mut out, "scheme", Some(&job.scheme));
    raw(&mut out, "enable_compression", job.enable_compression);
    show_limits(&job.limits, &mut out);
    put_text(&mut out, "metric_name_validation_scheme", Some(&validation_name(job.name_validation).to_owned()));
    put_text(&mut out, "metric_name_escaping_scheme", Some(&job.name_escaping));
    raw(&mut out, "extra_scrape_metrics", job.extra_scrape_metrics);
    http_read::show(&job.http, &mut out);
    for (name, rules) in
        [("relabel_configs", &job.relabel_configs), ("metric_relabel_configs", &job.metric_relabel_configs)]
    {
        if !rules.is_empty() {
            out.push((name.to_owned(), relabel_read::show(rules)));
        }
    }
    sd_read::show(&job.sd, &mut out);
    Yaml::Map(out)
}
