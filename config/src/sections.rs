//! The sections that are checked but not served: runtime, alerting, tracing, remote write and read, OTLP.

use std::collections::BTreeSet;

use model::{NameValidation, duration::parse_duration_ms};

use crate::decode::Fields;
use crate::unserved::{
    ALERTMANAGER, OTLP, REMOTE_READ, REMOTE_WRITE, RUNTIME, TRACING, check_headers, each, get, has, object, part,
};
use crate::yaml::Yaml;
use crate::{Error, GlobalConfig, ScrapeConfig, SdConfig, relabel_read};

type Pairs = Vec<(String, Yaml)>;

const LOG_LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];

const AUTHORIZATION: &str = "authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, azuread or google_iam parameter";

/// What upstream prints before the jobs.
pub(crate) fn before_jobs(
    fields: &mut Fields<'_>,
    shown: &mut Pairs,
    not_served: &mut Vec<String>,
) -> Result<(), Error> {
    let path = fields.at("runtime");
    let mut runtime = Fields::new(fields.source, fields.node("runtime"), path)?;
    let mut section = object(&mut runtime, RUNTIME)?;
    runtime.finish()?;
    if let Some(Yaml::Text(level)) = section.get_mut("log_level") {
        *level = level.to_lowercase();
        if !LOG_LEVELS.contains(&level.as_str()) {
            let message = format!("unrecognized log level {level}; it is one of {}", LOG_LEVELS.join(", "));
            return Err(runtime.refuse("log_level", message));
        }
    }
    shown.push(("runtime".to_owned(), section));
    let Some(mut f) = fields.fields("alerting")? else { return Ok(()) };
    let mut out = Pairs::new();
    let rules = relabel_read::rules(
        &mut f,
        "alert_relabel_configs",
        NameValidation::Utf8,
        "empty or null alert relabeling rule",
    )?;
    if !rules.is_empty() {
        out.push(("alert_relabel_configs".to_owned(), relabel_read::show(&rules)));
    }
    let mut managers = Vec::new();
    for mut one in each(&mut f, "alertmanagers", "empty or null Alertmanager config section")? {
        let section = object(&mut one, ALERTMANAGER)?;
        match get(&section, "api_version") {
            Some("v2") => {}
            other => {
                let got = other.unwrap_or_default();
                let message = format!("expected Alertmanager api version to be one of [v2] but got {got}");
                return Err(one.refuse("api_version", message));
            }
        }
        one.finish()?;
        managers.push(section);
    }
    f.finish()?;
    if !managers.is_empty() {
        not_served.push("alerting.alertmanagers: alerts are not sent yet".to_owned());
        out.push(("alertmanagers".to_owned(), Yaml::List(managers)));
    }
    if !out.is_empty() {
        shown.push(("alerting".to_owned(), Yaml::Map(out)));
    }
    Ok(())
}

/// What upstream prints after the jobs.
pub(crate) fn after_jobs(
    fields: &mut Fields<'_>,
    global: &GlobalConfig,
    shown: &mut Pairs,
    not_served: &mut Vec<String>,
) -> Result<(), Error> {
    if let Some(mut f) = fields.fields("tracing")? {
        let section = tracing(&mut f)?;
        f.finish()?;
        not_served.push("tracing: traces are not sent yet".to_owned());
        shown.push(("tracing".to_owned(), section));
    }
    let writes = remotes(fields, "remote_write", "write", &remote_write)?;
    if !writes.is_empty() {
        not_served.push("remote_write: samples are not sent to other servers yet".to_owned());
        shown.push(("remote_write".to_owned(), Yaml::List(writes)));
    }
    let reads = remotes(fields, "remote_read", "read", &remote_read)?;
    if !reads.is_empty() {
        not_served.push("remote_read: queries do not ask other servers yet".to_owned());
        shown.push(("remote_read".to_owned(), Yaml::List(reads)));
    }
    // A section that is there but empty is not printed, and gives no defaults either.
    let given = fields.raw("otlp");
    if given.is_none_or(|node| !node.is_null()) {
        let path = fields.at("otlp");
        let mut f = Fields::new(fields.source, given, path)?;
        let section = otlp(&mut f, global)?;
        f.finish()?;
        if given.is_some() {
            not_served.push("otlp: the OTLP receiver is not served yet".to_owned());
        }
        shown.push(("otlp".to_owned(), section));
    }
    Ok(())
}

/// One sentence for each kind of discovery that nothing serves, with the jobs that ask for it.
pub(crate) fn unserved_sd(jobs: &[ScrapeConfig], not_served: &mut Vec<String>) {
    let of = |job: &ScrapeConfig| -> Vec<String> {
        job.sd.iter().filter(|sd| matches!(sd, SdConfig::Unserved(_))).map(|sd| sd.field().to_owned()).collect()
    };
    let kinds: BTreeSet<String> = jobs.iter().flat_map(of).collect();
    for kind in kinds {
        let names: Vec<&str> =
            jobs.iter().filter(|job| of(job).contains(&kind)).map(|job| job.job_name.as_str()).collect();
        not_served
            .push(format!("{kind}: this discovery is not served yet and finds no targets (job {})", names.join(", ")));
    }
}

fn remotes(
    fields: &mut Fields<'_>,
    name: &'static str,
    what: &str,
    read: &dyn Fn(&mut Fields<'_>) -> Result<Yaml, Error>,
) -> Result<Vec<Yaml>, Error> {
    let mut names = BTreeSet::new();
    let mut sections = Vec::new();
    for mut f in each(fields, name, &format!("empty or null remote {what} config section"))? {
        let section = read(&mut f)?;
        match get(&section, "url") {
            None => return Err(f.refuse("url", format!("url for remote_{what} is empty"))),
            Some(url) => {
                url::Url::parse(url).map_err(|error| f.refuse("url", format!("not a URL: {error}")))?;
            }
        }
        if let Some(own) = get(&section, "name")
            && !names.insert(own.to_owned())
        {
            return Err(f.refuse("name", format!("found multiple remote {what} configs with job name {own:?}")));
        }
        check_headers(&mut f, AUTHORIZATION)?;
        f.finish()?;
        sections.push(section);
    }
    Ok(sections)
}

fn remote_read(f: &mut Fields<'_>) -> Result<Yaml, Error> {
    object(f, REMOTE_READ)
}

fn remote_write(f: &mut Fields<'_>) -> Result<Yaml, Error> {
    const MESSAGES: [&str; 2] = ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"];
    let section = object(f, REMOTE_WRITE)?;
    let message = get(&section, "protobuf_message").unwrap_or_default();
    if !MESSAGES.contains(&message) {
        let text = format!(
            "invalid protobuf_message value: unknown type for remote write protobuf message {message}, supported: {}",
            MESSAGES.join(", ")
        );
        return Err(f.refuse("protobuf_message", text));
    }
    if let Some(queue) = part(&section, "queue_config") {
        let refuse = |text: &str| Err(f.refuse("queue_config", format!("remote write queue {text}")));
        let n = |name| get(queue, name).and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
        let ms = |name| get(queue, name).and_then(|text| parse_duration_ms(text).ok()).unwrap_or_default();
        for name in ["capacity", "max_shards", "min_shards", "max_samples_per_send"] {
            if n(name) <= 0 {
                return refuse(&format!("{name} must be positive"));
            }
        }
        if n("min_shards") > n("max_shards") {
            return refuse("min_shards must not be greater than max_shards");
        }
        if ms("max_backoff") < ms("min_backoff") {
            return refuse("max_backoff must not be less than min_backoff");
        }
    }
    Ok(section)
}

fn tracing(f: &mut Fields<'_>) -> Result<Yaml, Error> {
    let section = object(f, TRACING)?;
    if !has(&section, "endpoint") {
        return Err(f.refuse("endpoint", "tracing endpoint must be set"));
    }
    if let Some(compression) = get(&section, "compression")
        && compression != "gzip"
    {
        let message = format!("invalid compression type {compression} provided, valid options: gzip");
        return Err(f.refuse("compression", message));
    }
    check_headers(f, "authorization header configuration is not yet supported")?;
    Ok(section)
}

fn otlp(f: &mut Fields<'_>, global: &GlobalConfig) -> Result<Yaml, Error> {
    const STRATEGIES: [&str; 4] = [
        "UnderscoreEscapingWithSuffixes",
        "UnderscoreEscapingWithoutSuffixes",
        "NoUTF8EscapingWithSuffixes",
        "NoTranslation",
    ];
    let mut section = object(f, OTLP)?;
    let strategy = get(&section, "translation_strategy").unwrap_or_default().to_owned();
    if !STRATEGIES.contains(&strategy.as_str()) {
        return Err(f.refuse("translation_strategy", format!("unsupported OTLP translation strategy {strategy:?}")));
    }
    if strategy.starts_with("No") && global.name_validation == NameValidation::Legacy {
        let message = format!("OTLP translation strategy {strategy:?} is not allowed when UTF8 is disabled");
        return Err(f.refuse("translation_strategy", message));
    }
    let promote_all = has(&section, "promote_all_resource_attributes");
    if promote_all && has(&section, "promote_resource_attributes") {
        let message =
            "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured simultaneously";
        return Err(f.refuse("promote_all_resource_attributes", message));
    }
    if !promote_all && has(&section, "ignore_resource_attributes") {
        let message =
            "'ignore_resource_attributes' cannot be configured unless 'promote_all_resource_attributes' is true";
        return Err(f.refuse("ignore_resource_attributes", message));
    }
    for (name, what) in [("ignore_resource_attributes", "ignored"), ("promote_resource_attributes", "promoted")] {
        trim_attributes(f, &mut section, name, what)?;
    }
    Ok(section)
}

/// Blanks around an attribute are dropped; empty and doubled ones are refused, all in one message.
fn trim_attributes(f: &Fields<'_>, section: &mut Yaml, name: &str, what: &str) -> Result<(), Error> {
    let Yaml::Map(pairs) = section else { return Ok(()) };
    let Some((_, Yaml::List(items))) = pairs.iter_mut().find(|(key, _)| key == name) else { return Ok(()) };
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for item in items.iter_mut() {
        let Yaml::Text(text) = item else { continue };
        *text = text.trim().to_owned();
        if text.is_empty() {
            wrong.push(format!("empty {what} OTel resource attribute"));
        } else if !seen.insert(text.clone()) {
            wrong.push(format!("duplicated {what} OTel resource attribute {text:?}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(f.refuse(name, format!("invalid '{name}': {}", wrong.join("\n")))) }
}
