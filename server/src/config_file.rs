//! The configuration file, with the flags as defaults of what it does not say.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use config::{Config, IncludedFiles, RuleFile, RuleOptions};
use rules::LoadChecks;

use crate::annotations::with_annotation_jobs;
use crate::default_config;
use crate::flags::Flags;
use crate::settings::{Retention, global_defaults, retention_rule};

/// Of so many faults each has a line in the log; the error has all of them.
const LINES_MAX: usize = 50;

/// The configuration with the flags as defaults of what it does not say.
///
/// # Errors
/// When it cannot be read or is not valid: whatever is wrong with the file, those it includes, and its rule files.
pub(crate) fn load(flags: &Flags) -> Result<Config> {
    let retention = Retention::new(flags);
    let mut config = read(flags)?;
    if flags.kubernetes_annotation_discovery {
        config = with_annotation_jobs(&config)?;
    }
    config.default_retention(retention.time_ms, retention.size_bytes);
    config.default_log_level(&flags.log_level.0);
    // Only the query engine can read a selector.
    let rules = config.storage.tsdb.retention_rules.iter();
    let faults: Vec<String> =
        rules.filter_map(|rule| retention_rule(rule).err()).map(|error| format!("{error:#}")).collect();
    if faults.is_empty() { Ok(config) } else { bail!(faults.join("\n")) }
}

/// Is there no configuration file, and none was asked for?
pub(crate) fn has_default_config(flags: &Flags) -> bool {
    has_no_file(flags) && !finds_jobs(flags)
}

/// Logs what is wrong with a configuration, each fault on a line of its own if there are several.
pub(crate) fn tell(faults: &[&config::Error]) {
    if faults.len() < 2 {
        return;
    }
    for fault in faults.iter().take(LINES_MAX) {
        let (err, line) = (model::with_causes(*fault), fault.excerpt().unwrap_or_default());
        tracing::error!(err, line, "the configuration has a fault");
    }
    if faults.len() > LINES_MAX {
        tracing::error!("the configuration has {} further faults", faults.len() - LINES_MAX);
    }
}

/// All of them, each with the line that it is at.
pub(crate) fn detailed(faults: &[&config::Error]) -> String {
    faults.iter().map(|fault| fault.detailed()).collect::<Vec<_>>().join("\n")
}

fn has_no_file(flags: &Flags) -> bool {
    !flags.config_file_given && !Path::new(&flags.config_file).exists()
}

/// Do jobs come from the objects of a cluster?
fn finds_jobs(flags: &Flags) -> bool {
    flags.operator || flags.kubernetes_annotation_discovery
}

/// The configuration file, or the embedded configuration where no file was asked for and none is there. Where jobs come from a
/// cluster, no file is an empty one.
fn read(flags: &Flags) -> Result<Config> {
    let path = PathBuf::from(&flags.config_file);
    let defaults = global_defaults(flags);
    if has_no_file(flags) && finds_jobs(flags) {
        return Config::parse_over(&defaults, "", &path, &|_| None).context("the empty configuration");
    }
    if has_default_config(flags) {
        let text = default_config::text(flags.web_listen_address.last(), &flags.web_route_prefix);
        let env = |name: &str| std::env::var(name).ok();
        return Config::parse_over(&defaults, &text, &path, &env).context("the embedded configuration");
    }
    Config::load(&path, &defaults)
        .map_err(|error| refused(&error, &path, flags))
        .with_context(|| format!("couldn't load configuration (--config.file={:?})", path.display()))
}

/// What is wrong with a configuration. Its rule files are looked at all the same, so that nothing is told only once this is
/// mended.
fn refused(error: &config::Error, path: &Path, flags: &Flags) -> anyhow::Error {
    let of_rules = faults_of_rule_files(path, flags);
    let faults: Vec<&config::Error> = error.faults().iter().chain(&of_rules).collect();
    tell(&faults);
    anyhow!(detailed(&faults))
}

/// What is wrong with the rule files that a configuration names which is not valid itself.
fn faults_of_rule_files(path: &Path, flags: &Flags) -> Vec<config::Error> {
    let Ok(text) = std::fs::read_to_string(path) else { return Vec::new() };
    let included = IncludedFiles::of(&text, path);
    if included.rule_files.is_empty() {
        return Vec::new();
    }
    // The one of the server may not be there yet; for its language the features are enough.
    let engine = query::Engine::new(query::EngineOptions::default().with_features(flags.features.names()));
    let checks = LoadChecks::new(&engine);
    let options = RuleOptions { names: included.names, ignore_unknown_fields: false, checks: &checks };
    RuleFile::load_all(&included.rule_files, &options).err().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "p.yml",
            "global: {scrape_intervall: 5s}\nrule_files: [r.yml]\nscrape_config_files: [s.yml]\nscrape_configs:\n- job_name: a\n  scrape_timeout: x\n",
        );
        write("r.yml", "groups: [{name: a, rules: [{record: b, expr: 'sum('}]}]\n");
        write("s.yml", "scrape_configs: [{job_name: a}, {jobname: b}]\n");
        let flag = format!("--config.file={}", folder.path().join("p.yml").display());
        let error = format!("{:#}", load(&Flags::parse(["weft".to_owned(), flag]).unwrap()).unwrap_err());
        let mut from = 0;
        for part in [
            "p.yml:1:10: global.scrape_intervall: field scrape_intervall not found in global; did you mean scrape_interval?\n",
            "1 | global: {scrape_intervall: 5s}\n      |          ^\n",
            "p.yml:6:19: scrape_configs[0].scrape_timeout: not a valid duration",
            "6 |   scrape_timeout: x\n",
            "s.yml:1:18: scrape_configs[0]: found multiple scrape configs with job name",
            "s.yml:1:34: scrape_configs[1].jobname: field jobname not found",
            "r.yml: 1:46: group",
        ] {
            let at = error[from..].find(part).unwrap_or_else(|| panic!("no {part:?} in order: {error}"));
            from += at;
        }
        assert_eq!(error.matches("yml:").count(), 5, "{error}");
    }
}
