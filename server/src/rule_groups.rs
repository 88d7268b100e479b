//! Rule groups out of files, and what they are evaluated with.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use config::{AlertOptions, Config, RuleFile, RuleOptions};
use query::{Engine, StillWanted};
use rules::{Context, GroupSpec, LoadChecks, Notifier, Options};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config_file::detailed;
use crate::flags::{Flags, ms};
use crate::metric_usage::{Counted, MetricUsage, Origin};
use crate::settings::Settings;

/// Reads a rule file that a request has brought.
///
/// # Errors
/// When it is not valid.
pub(crate) fn parse_rules(engine: &Engine, config: &Config, (text, name): (&str, &str)) -> Result<Vec<GroupSpec>> {
    let checks = LoadChecks::new(engine);
    let options = RuleOptions { names: config.global.name_validation, ignore_unknown_fields: false, checks: &checks };
    let file = RuleFile::parse(text, name.as_ref(), &options).map_err(joined)?;
    Ok(GroupSpec::of_file(&file, config.global.evaluation_interval_ms, engine)?)
}

fn joined(errors: Vec<config::Error>) -> anyhow::Error {
    let texts: Vec<String> = errors.iter().map(|error| model::with_causes(error)).collect();
    anyhow!("error loading rules: {}", texts.join("; "))
}

/// Reads the rule files of a configuration.
///
/// # Errors
/// When one cannot be read or is not valid.
pub(crate) fn load_rule_files(engine: &Engine, config: &Config) -> Result<Vec<Arc<RuleFile>>> {
    let names = config.global.name_validation;
    let checks = LoadChecks::new(engine);
    let options = RuleOptions { names, ignore_unknown_fields: false, checks: &checks };
    let files = RuleFile::load_all(&config.rule_files, &options).map_err(|errors| {
        for error in &errors {
            let line = error.excerpt().unwrap_or_default();
            tracing::error!(error = model::with_causes(error), line, "loading groups failed");
        }
        anyhow!("error loading rules: {}", detailed(&errors.iter().collect::<Vec<_>>()))
    })?;
    for warning in files.iter().flat_map(|file| &file.warnings) {
        tracing::warn!("{warning}");
    }
    Ok(files.into_iter().map(Arc::new).collect())
}

/// The groups of all files and objects.
pub(crate) fn groups(engine: &Engine, config: &Config) -> Result<Vec<GroupSpec>> {
    let interval_ms = config.global.evaluation_interval_ms;
    let groups = config.rules.iter().map(|file| GroupSpec::of_file(file, interval_ms, engine));
    Ok(groups.collect::<Result<Vec<_>, _>>()?.concat())
}

/// What the rules of this configuration are evaluated with.
pub(crate) fn rules_context(app: &App, config: &Config) -> Context {
    let stop = app.stop.clone();
    let parts = RulesParts { db: &app.db, usage: &app.metric_usage, notifier: &app.notifier, stop };
    let context = parts.context(app.engine(), &app.flags, &app.settings);
    // Rules read what other servers have, too, as queries do.
    let querier = Counted::new(app.store(), &app.metric_usage, Origin::Rule);
    let AlertOptions { outage_tolerance_ms, grace_period_ms, resend_delay_ms } = config.alert_options;
    let flags = context.options;
    Context {
        external_labels: model::Labels::clone(&config.global.external_labels),
        query_offset_ms: config.global.rule_query_offset_ms,
        options: Options {
            outage_tolerance_ms: outage_tolerance_ms.unwrap_or(flags.outage_tolerance_ms),
            grace_period_ms: grace_period_ms.unwrap_or(flags.grace_period_ms),
            resend_delay_ms: resend_delay_ms.unwrap_or(flags.resend_delay_ms),
            ..flags
        },
        querier: Arc::new(querier),
        ..context
    }
}

/// What rules are evaluated with, whatever the configuration.
pub(crate) struct RulesParts<'a> {
    pub(crate) db: &'a Arc<storage::Db>,
    pub(crate) usage: &'a Arc<MetricUsage>,
    pub(crate) notifier: &'a Arc<Notifier>,
    pub(crate) stop: CancellationToken,
}

impl RulesParts<'_> {
    pub(crate) fn context(self, engine: Arc<Engine>, flags: &Flags, settings: &Settings) -> Context {
        let (notifier, stop) = (Arc::clone(self.notifier), self.stop);
        Context {
            engine,
            querier: Arc::new(Counted::new(Arc::<storage::Db>::clone(self.db), self.usage, Origin::Rule)),
            appender: Arc::<storage::Db>::clone(self.db),
            notify: Arc::new(move |alerts| notifier.send(alerts)),
            external_labels: model::Labels::empty(),
            external_url: settings.external_url.as_str().trim_end_matches('/').into(),
            query_offset_ms: 0,
            wanted: Some(StillWanted(Arc::new(move || !stop.is_cancelled()))),
            options: Options {
                resend_delay_ms: ms(flags.rules_alert_resend_delay),
                outage_tolerance_ms: ms(flags.rules_alert_for_outage_tolerance),
                grace_period_ms: ms(flags.rules_alert_for_grace_period),
                concurrency: flags.rules_max_concurrent_evals,
            },
        }
    }
}
