//! The file as a whole: the sections in order, the files it names, and what is said about what is not served.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::duration::format_duration_ms;
use model::{Labels, float};

use crate::decode::dyn_env::Env;
use crate::decode::{Fields, Source};
use crate::http_read::{put_path, put_text};
use crate::scrape_read::{self, show_limits, validation_name};
use crate::sd_read::one_star_in_last_part;
use crate::size::format_size;
use crate::yaml::Yaml;
use crate::{Config, Error, GlobalConfig, RetentionRuleConfig, ScrapeConfig, StorageConfig, node, sections, unserved};

type Pairs = Vec<(String, Yaml)>;

impl Config {
    /// Reads a configuration file and the files it includes. `defaults` stands for what `global` does not say.
    ///
    /// # Errors
    /// When a file cannot be read or says something that is not valid.
    pub fn load(path: &Path, defaults: &GlobalConfig) -> Result<Self, Error> {
        Self::parse_over(defaults, &read(path)?, path, &|name| std::env::var(name).ok())
    }

    /// Reads a configuration from its text. Relative paths start at the folder of `file`, which also stands in errors;
    /// `env` answers for `${NAME}` in external labels.
    ///
    /// # Errors
    /// When the text, or a file that it includes, says something that is not valid.
    pub fn parse(text: &str, file: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        Self::parse_over(&GlobalConfig::default(), text, file, env)
    }

    /// The same, with `defaults` for what `global` does not say.
    ///
    /// # Errors
    /// When the text, or a file that it includes, says something that is not valid.
    pub fn parse_over(
        defaults: &GlobalConfig,
        text: &str,
        file: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let env = Env(env);
        let source = Source { file, env: &env };
        let document = document(&source, text)?;
        let mut fields = Fields::new(&source, document.as_ref(), String::new())?;
        let mut warnings = Vec::new();
        let (global, shown_global) = global(&mut fields, defaults, &mut warnings)?;
        let mut shown = vec![("global".to_owned(), shown_global)];
        let mut not_served = Vec::new();
        sections::before_jobs(&mut fields, &mut shown, &mut not_served)?;
        let rule_files = patterns(&mut fields, "rule_files", "rule file", &mut shown)?;
        let included = patterns(&mut fields, "scrape_config_files", "scrape config file", &mut shown)?;
        let mut jobs = Jobs::default();
        jobs.read(&mut fields, &global, "main config file")?;
        if !jobs.list.is_empty() {
            let list = jobs.list.iter().map(scrape_read::show).collect();
            shown.push(("scrape_configs".to_owned(), Yaml::List(list)));
        }
        for pattern in &included {
            jobs.include(&source, pattern, &global)?;
        }
        let storage = storage(&mut fields, &mut shown)?;
        sections::after_jobs(&mut fields, &global, &mut shown, &mut not_served)?;
        fields.finish()?;
        if !rule_files.is_empty() {
            not_served
                .push("rule_files: recording and alerting rules are not served yet; none is evaluated".to_owned());
        }
        sections::unserved_sd(&jobs.list, &mut not_served);
        let scrape_configs = jobs.list.into_iter().map(Arc::new).collect();
        Ok(Self { global, scrape_configs, rule_files, storage, warnings, not_served, shown: Yaml::Map(shown) })
    }
}

pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|error| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error());
        Error::Read { path: path.to_owned(), source }
    })
}

pub(crate) fn document(source: &Source<'_>, text: &str) -> Result<Option<node::Node>, Error> {
    node::parse(text).map_err(|(pos, message)| source.error(pos, "", message))
}

/// The jobs read so far.
#[derive(Debug, Default)]
struct Jobs {
    list: Vec<ScrapeConfig>,
    /// Where each was found.
    found_in: Vec<String>,
}

impl Jobs {
    fn read(&mut self, fields: &mut Fields<'_>, global: &GlobalConfig, place: &str) -> Result<(), Error> {
        let source = fields.source;
        for (item, path) in fields.items("scrape_configs")? {
            if item.is_null() {
                return Err(source.error(item.pos, path, "empty or null scrape config section"));
            }
            let job = scrape_read::scrape(Fields::new(source, Some(item), path.clone())?, global)?;
            if let Some(known) = self.list.iter().position(|known| known.job_name == job.job_name) {
                let message = format!("found multiple scrape configs with job name {:?}", job.job_name);
                let first = &self.found_in[known];
                let hint = if *first == place && place == "main config file" {
                    "; give each its own name".to_owned()
                } else {
                    format!(", first found in {first}")
                };
                return Err(source.error(item.pos, path, message + &hint));
            }
            self.list.push(job);
            self.found_in.push(place.to_owned());
        }
        Ok(())
    }

    fn include(&mut self, main: &Source<'_>, pattern: &Path, global: &GlobalConfig) -> Result<(), Error> {
        for path in matching(pattern) {
            let source = Source { file: &path, env: main.env };
            let document = document(&source, &read(&path)?)?;
            let mut fields = Fields::new(&source, document.as_ref(), String::new())?;
            self.read(&mut fields, global, &format!("{:?}", path.display().to_string()))?;
            fields.finish()?;
        }
        Ok(())
    }
}

/// The files that a pattern names, in order; a pattern without files is no error, as upstream has it.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let Ok(paths) = glob::glob(&pattern.to_string_lossy()) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = paths.filter_map(Result::ok).collect();
    paths.sort();
    paths
}

fn patterns(fields: &mut Fields<'_>, name: &'static str, what: &str, shown: &mut Pairs) -> Result<Vec<PathBuf>, Error> {
    let texts = fields.texts(name)?;
    if let Some(bad) = texts.iter().find(|text| !one_star_in_last_part(text)) {
        let message = format!("invalid {what} path {bad:?}; at most one * is allowed, in the last part");
        return Err(fields.refuse(name, message));
    }
    let paths: Vec<PathBuf> = texts.iter().map(|text| fields.source.resolve(text)).collect();
    if !paths.is_empty() {
        shown.push((name.to_owned(), Yaml::texts(paths.iter().map(|path| path.display().to_string()))));
    }
    Ok(paths)
}

fn global(
    fields: &mut Fields<'_>,
    defaults: &GlobalConfig,
    warnings: &mut Vec<String>,
) -> Result<(GlobalConfig, Yaml), Error> {
    let Some(mut f) = fields.fields("global")? else {
        let mut shown = show_global(defaults, &[]);
        if let Yaml::Map(pairs) = &mut shown
            && let Some(at) = pairs.iter().position(|(name, _)| name == "scrape_native_histograms")
        {
            pairs.insert(at, ("metric_name_escaping_scheme".to_owned(), Yaml::text("allow-utf-8")));
        }
        return Ok((defaults.clone(), shown));
    };
    let set = |ms: &i64| *ms != 0;
    let scrape_interval_ms = f.duration_ms("scrape_interval")?.filter(set).unwrap_or(defaults.scrape_interval_ms);
    let timeout = f.duration_ms("scrape_timeout")?.filter(set);
    if timeout.is_some_and(|timeout| timeout > scrape_interval_ms) {
        return Err(f.refuse("scrape_timeout", "global scrape timeout greater than scrape interval"));
    }
    let name_validation = scrape_read::validation(&mut f)?.unwrap_or_default();
    let external = external_labels(&mut f, warnings)?;
    if let Some((bad, _)) = external.iter().find(|(name, _)| !name_validation.is_label_name(name)) {
        return Err(f.refuse("external_labels", format!("{bad:?} is not a valid label name")));
    }
    let global = GlobalConfig {
        scrape_interval_ms,
        scrape_timeout_ms: timeout.unwrap_or(defaults.scrape_timeout_ms.min(scrape_interval_ms)),
        evaluation_interval_ms: f
            .duration_ms("evaluation_interval")?
            .filter(set)
            .unwrap_or(defaults.evaluation_interval_ms),
        rule_query_offset_ms: f.duration_ms("rule_query_offset")?.unwrap_or(0),
        external_labels: Labels::from_pairs(external.iter().map(|(name, value)| (name, value))),
        query_log_file: f.path("query_log_file")?,
        query_max_series: f.count("query_max_series")?.unwrap_or(0),
        query_max_samples_read: f.count("query_max_samples_read")?.unwrap_or(0),
        query_max_duration_ms: f.duration_ms("query_max_duration")?.unwrap_or(0).unsigned_abs(),
        scrape_failure_log_file: f.path("scrape_failure_log_file")?,
        scrape_protocols: scrape_read::protocols(&mut f, &|message| format!("{message} for global config"))?
            .or_else(|| defaults.scrape_protocols.clone()),
        limits: scrape_read::limits(&mut f, &defaults.limits)?,
        name_validation,
        name_escaping: f.text("metric_name_escaping_scheme")?.unwrap_or_default(),
        scrape_native_histograms: f.set_bool("scrape_native_histograms")?.unwrap_or(false),
        always_scrape_classic_histograms: f.bool("always_scrape_classic_histograms")?.unwrap_or(false),
        convert_classic_histograms_to_nhcb: f.bool("convert_classic_histograms_to_nhcb")?.unwrap_or(false),
        extra_scrape_metrics: f.set_bool("extra_scrape_metrics")?.unwrap_or(defaults.extra_scrape_metrics),
    };
    f.finish()?;
    let shown = show_global(&global, &external);
    Ok((global, shown))
}

/// Sorted by name, the environment filled in.
fn external_labels(f: &mut Fields<'_>, warnings: &mut Vec<String>) -> Result<Vec<(String, String)>, Error> {
    let env = f.source.env;
    let labels = f.text_map("external_labels")?;
    let mut expand = |value: &str| {
        expand(value, &mut |name| {
            (env.0)(name).filter(|value| !value.is_empty()).unwrap_or_else(|| {
                warnings.push(format!("global.external_labels: the environment variable {name} is empty or not set"));
                String::new()
            })
        })
    };
    Ok(labels.into_iter().map(|(name, value)| (name, expand(&value))).collect())
}

/// `$NAME`, `${NAME}` and `$$`, as Go's `os.Expand` reads them.
fn expand(text: &str, lookup: &mut dyn FnMut(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            tail
        } else if let Some((name, tail)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            out.push_str(&if name.is_empty() { String::new() } else { lookup(name) });
            tail
        } else {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = after.find(|c| !word(c)).unwrap_or(after.len());
            let (name, tail) = after.split_at(end);
            out.push_str(&if name.is_empty() { "$".to_owned() } else { lookup(name) });
            tail
        };
    }
    out + rest
}

fn show_global(global: &GlobalConfig, external: &[(String, String)]) -> Yaml {
    let mut out = Pairs::new();
    let duration = |ms| Yaml::text(format_duration_ms(ms));
    out.push(("scrape_interval".to_owned(), duration(global.scrape_interval_ms)));
    out.push(("scrape_timeout".to_owned(), duration(global.scrape_timeout_ms)));
    if let Some(protocols) = &global.scrape_protocols {
        let names = Yaml::texts(protocols.iter().map(|protocol| protocol.as_str()));
        out.push(("scrape_protocols".to_owned(), names));
    }
    out.push(("evaluation_interval".to_owned(), duration(global.evaluation_interval_ms)));
    if global.rule_query_offset_ms != 0 {
        out.push(("rule_query_offset".to_owned(), duration(global.rule_query_offset_ms)));
    }
    put_path(&mut out, "query_log_file", global.query_log_file.as_ref());
    for (name, most) in
        [("query_max_series", global.query_max_series), ("query_max_samples_read", global.query_max_samples_read)]
    {
        if most > 0 {
            out.push((name.to_owned(), Yaml::raw(most)));
        }
    }
    if global.query_max_duration_ms > 0 {
        out.push(("query_max_duration".to_owned(), duration(global.query_max_duration_ms.cast_signed())));
    }
    put_path(&mut out, "scrape_failure_log_file", global.scrape_failure_log_file.as_ref());
    if !external.is_empty() {
        let labels = external.iter().map(|(name, value)| (name.clone(), Yaml::text(value))).collect();
        out.push(("external_labels".to_owned(), Yaml::Map(labels)));
    }
    show_limits(&global.limits, &mut out);
    put_text(&mut out, "metric_name_validation_scheme", Some(&validation_name(global.name_validation).to_owned()));
    put_text(&mut out, "metric_name_escaping_scheme", Some(&global.name_escaping));
    out.push(("scrape_native_histograms".to_owned(), Yaml::raw(global.scrape_native_histograms)));
    for (name, on) in [
        ("convert_classic_histograms_to_nhcb", global.convert_classic_histograms_to_nhcb),
        ("always_scrape_classic_histograms", global.always_scrape_classic_histograms),
    ] {
        if on {
            out.push((name.to_owned(), Yaml::raw(true)));
        }
    }
    out.push(("extra_scrape_metrics".to_owned(), Yaml::raw(global.extra_scrape_metrics)));
    Yaml::Map(out)
}

fn storage(fields: &mut Fields<'_>, shown: &mut Pairs) -> Result<StorageConfig, Error> {
    let path = fields.at("storage");
    let mut f = Fields::new(fields.source, fields.node("storage"), path)?;
    let mut config = StorageConfig::default();
    let (mut tsdb, mut out) = (Pairs::new(), Pairs::new());
    let tsdb_path = f.at("tsdb");
    let mut t = Fields::new(f.source, f.node("tsdb"), tsdb_path)?;
    config.out_of_order_time_window_ms = t.duration_ms("out_of_order_time_window")?.unwrap_or(0);
    tsdb.push(("outofordertimewindow".to_owned(), Yaml::raw(config.out_of_order_time_window_ms)));
    if config.out_of_order_time_window_ms != 0 {
        let window = format_duration_ms(config.out_of_order_time_window_ms);
        tsdb.push(("out_of_order_time_window".to_owned(), Yaml::text(window)));
    }
    if let Some(threshold) = t.float("stale_series_compaction_threshold")?.filter(|value| *value != 0.0) {
        tsdb.push(("stale_series_compaction_threshold".to_owned(), Yaml::Raw(float::format_g(threshold))));
    }
    if let Some(mut encoding) = t.fields("chunk_encoding")? {
        let floats = encoding.text("floats")?.unwrap_or_default();
        if !matches!(floats.as_str(), "" | "xor" | "xor2") {
            let message = format!(
                "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted entirely, got {floats:?}"
            );
            return Err(encoding.refuse("floats", message));
        }
        encoding.finish()?;
        if !floats.is_empty() {
            tsdb.push(("chunk_encoding".to_owned(), Yaml::Map(vec![("floats".to_owned(), Yaml::text(floats))])));
        }
    }
    tsdb.push(("retention".to_owned(), retention(&mut t, &mut config)?));
    if let Some(rules) = retention_rules(&mut t, &mut config)? {
        tsdb.push(("retention_rules".to_owned(), rules));
    }
    t.finish()?;
    out.push(("tsdb".to_owned(), Yaml::Map(tsdb)));
    if let Some(mut exemplars) = f.fields("exemplars")? {
        config.max_exemplars = exemplars.int("max_exemplars")?;
        let max = config.max_exemplars.unwrap_or(100_000);
        exemplars.finish()?;
        let max = (max != 0).then(|| ("max_exemplars".to_owned(), Yaml::raw(max)));
        out.push(("exemplars".to_owned(), Yaml::Map(max.into_iter().collect())));
    }
    f.finish()?;
    shown.push(("storage".to_owned(), Yaml::Map(out)));
    Ok(config)
}

fn retention_rules(tsdb: &mut Fields<'_>, config: &mut StorageConfig) -> Result<Option<Yaml>, Error> {
    let mut shown = Vec::new();
    for mut f in unserved::each(tsdb, "retention_rules", "empty or null retention rule")? {
        let Some(selector) = f.text("match")?.filter(|text| !text.is_empty()) else {
            return Err(
                f.refuse_all("a retention rule needs 'match', a series selector such as '{__name__=~\"debug_.*\"}'")
            );
        };
        let Some(time_ms) = f.duration_ms("time")?.filter(|ms| *ms > 0) else {
            return Err(f.refuse("time", "a retention rule needs 'time', a duration longer than 0 such as 2d"));
        };
        let place = f.refuse("match", "").to_string();
        let place = place.trim_end_matches([':', ' ']).to_owned();
        f.finish()?;
        shown.push(Yaml::Map(vec![
            ("match".to_owned(), Yaml::text(selector.clone())),
            ("time".to_owned(), Yaml::text(format_duration_ms(time_ms))),
        ]));
        config.retention_rules.push(RetentionRuleConfig { selector, time_ms, place });
    }
    Ok((!shown.is_empty()).then_some(Yaml::List(shown)))
}

fn retention(tsdb: &mut Fields<'_>, config: &mut StorageConfig) -> Result<Yaml, Error> {
    let mut out = Pairs::new();
    let Some(mut f) = tsdb.fields("retention")? else { return Ok(Yaml::Map(out)) };
    config.retention_time_ms = f.duration_ms("time")?;
    if let Some(ms) = config.retention_time_ms.filter(|ms| *ms != 0) {
        out.push(("time".to_owned(), Yaml::text(format_duration_ms(ms))));
    }
    if let Some(bytes) = f.size_bytes("size")? {
        let message = "'storage.tsdb.retention.size' must be greater than or equal to 0";
        let bytes = u64::try_from(bytes).map_err(|_| f.refuse("size", message))?;
        config.retention_size_bytes = Some(bytes);
        if bytes != 0 {
            out.push(("size".to_owned(), Yaml::text(format_size(bytes))));
        }
    }
    config.retention_percentage = f.float("percentage")?;
    if let Some(percentage) = config.retention_percentage {
        if !(0.0..=100.0).contains(&percentage) {
            return Err(f.refuse("percentage", "'storage.tsdb.retention.percentage' must be in the range [0, 100]"));
        }
        if percentage != 0.0 {
            out.push(("percentage".to_owned(), Yaml::Raw(float::format_g(percentage))));
        }
    }
    f.finish()?;
    Ok(Yaml::Map(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_filled_in_as_go_does() {
        let run = |text: &str| expand(text, &mut |name| format!("<{name}>"));
        assert_eq!(run("a$B-${C}d$$e$"), "a<B>-<C>d$e$");
        assert_eq!(run("$1x ${"), "<1x> ${");
        assert_eq!(run("plain"), "plain");
    }
}
