//! Rules that are measured, and what they read.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use model::Timestamp;

use crate::pages::Pages;

/// Metrics of a target; each of its series is one metric of one shard.
const METRICS: usize = 100;
/// Rules of a group.
const GROUP: usize = 100;

/// How many rules over how many series.
#[derive(Args, Clone, Debug)]
pub struct RuleOptions {
    /// Recording rules, in groups of a hundred.
    #[arg(long, default_value_t = 10_000)]
    pub rules: usize,
    /// Targets; each rule reads one series of each.
    #[arg(long, default_value_t = 20)]
    pub targets: usize,
    /// Series of a target.
    #[arg(long, default_value_t = 10_000)]
    pub series: usize,
    /// Seconds between scrapes and between evaluations.
    #[arg(long, default_value_t = 30)]
    pub interval: u64,
    /// The query of rule, with `METRIC` and `SHARD`, which are other ones in each.
    #[arg(long, default_value = "sum by (pod) (rate(METRIC{shard=\"SHARD\"}[2m]))")]
    pub query: String,
}

impl RuleOptions {
    /// The rule file.
    #[must_use]
    pub fn file(&self) -> String {
        let mut out = "groups:\n".to_owned();
        for rule in 0..self.rules {
            if rule % GROUP == 0 {
                // Writing to a String cannot fail.
                writeln!(out, "- name: g{}\n  interval: {}s\n  rules:", rule / GROUP, self.interval).ok();
            }
            let series = rule % self.series.max(1);
            let (metric, shard) = (format!("metric_{}_total", series % METRICS), (series / METRICS).to_string());
            let query = self.query.replace("METRIC", &metric).replace("SHARD", &shard);
            writeln!(out, "  - record: r{rule}:rate\n    expr: '{query}'").ok();
        }
        out
    }
}

/// The targets that rules read.
#[derive(Debug)]
pub struct Targets(Pages);

impl Targets {
    /// Serves them as long as the process lives.
    ///
    /// # Errors
    /// When no port is free.
    pub fn serve(options: &RuleOptions) -> Result<Self> {
        let series = options.series;
        Ok(Self(Pages::serve(move |_, out| page(series, Timestamp::now(), out))?))
    }

    /// Scrapes that were answered.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.0.served()
    }

    /// A configuration that scrapes them and evaluates `rules.yml` beside it.
    #[must_use]
    pub fn configuration(&self, options: &RuleOptions) -> String {
        let RuleOptions { interval, targets, .. } = options;
        let mut out = format!(
            "global: {{scrape_interval: {interval}s, evaluation_interval: {interval}s}}\nrule_files: [rules.yml]\nscrape_configs:\n"
        );
        for target in 0..*targets {
            // Writing to a String cannot fail.
            writeln!(
                out,
                "- {{job_name: t{target}, metrics_path: /{target}, static_configs: [{{targets: ['127.0.0.1:{}'], labels: {{pod: p{target}}}}}]}}",
                self.0.port
            )
            .ok();
        }
        out
    }
}

/// Counters that grow at different speeds.
fn page(series: usize, now: Timestamp, out: &mut String) {
    for metric in 0..METRICS {
        for shard in (metric..series).step_by(METRICS).map(|series| series / METRICS) {
            let value = now.0 / 1_000 % 10_000_000 * (shard as i64 + 1);
            // Writing to a String cannot fail.
            writeln!(out, "metric_{metric}_total{{shard=\"{shard}\"}} {value}").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_reads_a_series_of_the_page() {
        let options =
            RuleOptions { rules: 250, targets: 2, series: 250, interval: 30, query: "METRIC{shard=\"SHARD\"}".into() };
        let mut text = String::new();
        page(options.series, Timestamp(1_000), &mut text);
        assert_eq!(text.lines().count(), 250);
        let file = options.file();
        let queries: Vec<&str> =
            file.lines().filter_map(|line| line.trim().strip_prefix("expr: '")?.strip_suffix('\'')).collect();
        assert_eq!(queries.len(), 250);
        for query in queries {
            assert!(text.lines().any(|line| line.starts_with(&format!("{query} "))), "{query}");
        }
        assert_eq!(file.matches("- name:").count(), 3);
    }
}
