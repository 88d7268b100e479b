//! The configuration file as a whole.

use std::path::PathBuf;
use std::sync::Arc;

use model::NameValidation;

use crate::Error;
use crate::alerting::{AlertOptions, AlertingConfig};
use crate::global::{Defaults, Global, GlobalConfig};
use crate::otlp::OtlpConfig;
use crate::remote::{self, RemoteReadConfig, RemoteWriteConfig};
use crate::rules::RuleFile;
use crate::runtime::RuntimeConfig;
use crate::schema::{Codec, Fields, ListOf, Nested, Optional, Paths, Section as _, Shape, Unread, section};
use crate::scrape::ScrapeConfig;
use crate::sd::stars_in_last_part;
use crate::storage::StorageConfig;
use crate::tracing::TracingConfig;
use crate::yaml::{Tree, Yaml};

section! {
    /// A `prometheus.yml`, checked, with every default filled in.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Config as "configuration" in (defaults: &'c Defaults) {
        /// What jobs and rules inherit.
        #[yaml(Global, with = defaults, inherited = GlobalConfig::of_missing(defaults) => ""; always)]
        pub global: GlobalConfig,
        /// Settings of the process.
        #[yaml(Nested<RuntimeConfig>; always)]
        pub runtime: RuntimeConfig,
        /// Which Alertmanagers get alerts.
        #[yaml(
            Nested<AlertingConfig>,
            with = global.name_validation,
            inherited = AlertingConfig::defaults(global.name_validation) => ""
        )]
        pub alerting: AlertingConfig,
        /// Files of recording and alerting rules; the last part may contain `*`.
        #[yaml(Patterns, with = "rule file")]
        pub rule_files: Vec<PathBuf>,
        /// Files of further `scrape_configs`; the last part may contain `*`.
        #[yaml(Patterns, with = "scrape config file")]
        pub scrape_config_files: Vec<PathBuf>,
        /// The jobs. In the loaded configuration those of `scrape_config_files` follow; no two have the same name.
        #[yaml(Jobs, with = &global)]
        pub scrape_configs: Vec<Arc<ScrapeConfig>>,
        /// Retention and limits of stored samples and exemplars.
        #[yaml(Nested<StorageConfig>; always)]
        pub storage: StorageConfig,
        /// Where traces are sent.
        #[yaml(Optional<TracingConfig>; unserved = "traces are not sent yet")]
        pub tracing: Option<TracingConfig>,
        /// Servers that samples are sent to.
        #[yaml(
            ListOf<RemoteWriteConfig>,
            with = (global.name_validation, "empty or null remote write config section")
        )]
        pub remote_write: Vec<RemoteWriteConfig>,
        /// Servers that queries ask for further samples.
        #[yaml(
            ListOf<RemoteReadConfig>,
            with = ((), "empty or null remote read config section")
        )]
        pub remote_read: Vec<RemoteReadConfig>,
        /// How metrics of OpenTelemetry become series.
        #[yaml(Optional<OtlpConfig>, inherited = Some(OtlpConfig::default()) => "")]
        pub otlp: Option<OtlpConfig>,
        /// The groups of `rule_files` as they were read last, and those of PrometheusRule objects. They are not printed.
        #[yaml(Unread)]
        pub rules: Vec<Arc<RuleFile>>,
        /// Settings of alerting rules in the place of flags.
        #[yaml(Unread)]
        pub alert_options: AlertOptions,
        /// What was warned of while loading, one sentence each.
        #[yaml(Unread)]
        pub warnings: Vec<String>,
        /// One sentence for each part that is configured and not served.
        #[yaml(Unread)]
        pub(crate) not_served: Vec<String>,
        /// How many of the jobs are of the file itself.
        #[yaml(Unread)]
        pub(crate) n_own_jobs: usize,
    }
    check_always = check_file;
}

fn check_file(config: &mut Config, f: &mut Fields<'_>, _: &Defaults) -> Result<(), Error> {
    // Names are labels of metrics of the queues: two with the same name would share their series.
    remote::check_names(f, "remote_write", "write")?;
    remote::check_names(f, "remote_read", "read")?;
    if let Some(otlp) = &config.otlp
        // `NoUTF8EscapingWithSuffixes` and `NoTranslation` let UTF-8 names through, which the legacy scheme refuses.
        && otlp.translation_strategy.starts_with("No")
        && config.global.name_validation == NameValidation::Legacy
        && let Ok(Some(section)) = f.fields("otlp")
    {
        let strategy = &otlp.translation_strategy;
        let message = format!("OTLP translation strategy {strategy:?} is not allowed when UTF8 is disabled");
        f.source.report(section.refuse("translation_strategy", message))?;
    }
    // Before `load` appends the jobs of included files.
    config.n_own_jobs = config.scrape_configs.len();
    Ok(())
}

impl Config {
    /// One sentence for each part that is configured and that nothing serves yet.
    #[must_use]
    pub fn not_served(&self) -> Vec<String> {
        self.not_served.clone()
    }

    /// The same with further jobs of its own, after those that it has; their names must differ.
    #[must_use]
    pub fn with_jobs(&self, jobs: &[Arc<ScrapeConfig>]) -> Self {
        let mut config = self.clone();
        // Jobs of included files stay last: they are not printed.
        config.scrape_configs.splice(self.n_own_jobs..self.n_own_jobs, jobs.iter().map(Arc::clone));
        config.n_own_jobs += jobs.len();
        config
    }

    /// Sets how long and how much is kept, if the file sets neither. Zero means no limit.
    pub fn default_retention(&mut self, time_ms: i64, size_bytes: u64) {
        let retention = &mut self.storage.tsdb.retention;
        // If the file sets any of them, flags have no effect at all: a size in the file must not inherit the time of
        // a flag.
        if *retention == Default::default() {
            retention.time_ms = (time_ms > 0).then_some(time_ms);
            retention.size_bytes = (size_bytes > 0).then_some(size_bytes);
        }
    }

    /// The least severe messages to be logged, if `runtime` sets it: `debug`, `info`, `warn` or `error`.
    #[must_use]
    pub fn log_level(&self) -> Option<&str> {
        self.runtime.log_level.as_deref()
    }

    /// Sets the level, if the file does not.
    pub fn default_log_level(&mut self, level: &str) {
        self.runtime.log_level.get_or_insert_with(|| level.to_owned());
    }

    /// One job as it is printed there.
    #[must_use]
    pub fn job_yaml(job: &ScrapeConfig) -> String {
        job.to_map().print()
    }

    /// The configuration for `/api/v1/status/config`: defaults filled in, secrets as `<secret>`, and without the jobs of
    /// other files.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut own = self.clone();
        // Upstream prints what the file says; jobs of included files are only loaded.
        own.scrape_configs.truncate(self.n_own_jobs);
        own.to_map().print()
    }
}

/// Paths that may contain `*`; the argument is what the files are, for errors.
enum Patterns {}

impl Codec<Vec<PathBuf>> for Patterns {
    type Args<'a> = &'static str;

    fn decode(f: &mut Fields<'_>, name: &'static str, what: &'static str) -> Result<Option<Vec<PathBuf>>, Error> {
        // By the text as written: a folder in the resolved path may itself hold a `*`. (`patRulePath` upstream.)
        let paths = f.texts(name)?;
        for bad in paths.iter().filter(|text| !stars_in_last_part(text)) {
            let message = format!("invalid {what} path {bad:?}; * is allowed in the last part only");
            f.source.report(f.refuse(name, message))?;
        }
        Ok(Some(paths.iter().map(|path| f.source.resolve(path)).collect()))
    }

    fn is_zero(paths: &Vec<PathBuf>) -> bool {
        paths.is_empty()
    }

    fn encode(paths: &Vec<PathBuf>) -> Yaml {
        Paths::encode(paths)
    }

    fn shape() -> Shape {
        Paths::shape()
    }
}

/// The jobs of a file.
pub(crate) enum Jobs {}

impl Codec<Vec<Arc<ScrapeConfig>>> for Jobs {
    type Args<'a> = &'a GlobalConfig;

    fn decode(
        f: &mut Fields<'_>,
        name: &'static str,
        global: &GlobalConfig,
    ) -> Result<Option<Vec<Arc<ScrapeConfig>>>, Error> {
        let source = f.source;
        let decode = |(item, path): (&Tree, String)| {
            if item.is_null() {
                return Err(source.error(item.pos, path, "empty or null scrape config section"));
            }
            ScrapeConfig::decode(&mut Fields::new(source, Some(item), path)?, global).map(Arc::new)
        };
        source.each(f.items(name)?, decode).map(Some)
    }

    fn is_zero(jobs: &Vec<Arc<ScrapeConfig>>) -> bool {
        jobs.is_empty()
    }

    fn encode(jobs: &Vec<Arc<ScrapeConfig>>) -> Yaml {
        Yaml::List(jobs.iter().map(|job| job.to_map()).collect())
    }

    fn shape() -> Shape {
        Shape::list(Shape::Section(ScrapeConfig::describe()))
    }
}

section! {
    /// A file that `scrape_config_files` names.
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) struct IncludedFile as "scrape_config_file" in (global: &'c GlobalConfig) {
        /// Further jobs.
        #[yaml(Jobs, with = global)]
        pub(crate) scrape_configs: Vec<Arc<ScrapeConfig>>,
    }
}
