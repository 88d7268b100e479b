//! Rules that are measured, and what they read.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use clap::Args;
use model::Timestamp;

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

/// Targets on one address, each at a path of its own.
#[derive(Debug)]
pub struct Targets {
    port: u16,
    served: Arc<AtomicU64>,
}

impl Targets {
    /// Serves them as long as the process lives.
    ///
    /// # Errors
    /// When no address is free.
    pub fn serve(options: &RuleOptions) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (port, served) = (listener.local_addr()?.port(), Arc::new(AtomicU64::new(0)));
        let (counter, series) = (Arc::clone(&served), options.series);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                // A scraper that hangs up is nothing to tell.
                std::thread::spawn(move || connection(&stream, series, &counter).ok());
            }
        });
        Ok(Self { port, served })
    }

    /// Scrapes that were answered.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
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
                self.port
            )
            .ok();
        }
        out
    }
}

fn connection(stream: &TcpStream, series: usize, served: &AtomicU64) -> Result<()> {
    let (mut reader, mut writer, mut line) = (BufReader::new(stream), stream, String::new());
    while reader.read_line(&mut line)? > 0 {
        // The empty line that ends a request.
        if line.trim_end().is_empty() {
            let page = page(series, Timestamp::now());
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
                page.len()
            );
            writer.write_all(head.as_bytes())?;
            writer.write_all(page.as_bytes())?;
            served.fetch_add(1, Ordering::Relaxed);
        }
        line.clear();
    }
    Ok(())
}

/// Counters that grow at different speeds.
fn page(series: usize, now: Timestamp) -> String {
    let mut out = String::with_capacity(series * 40);
    for metric in 0..METRICS {
        for shard in (metric..series).step_by(METRICS).map(|series| series / METRICS) {
            let value = now.0 / 1_000 % 10_000_000 * (shard as i64 + 1);
            // Writing to a String cannot fail.
            writeln!(out, "metric_{metric}_total{{shard=\"{shard}\"}} {value}").ok();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_reads_a_series_of_the_page() {
        let options =
            RuleOptions { rules: 250, targets: 2, series: 250, interval: 30, query: "METRIC{shard=\"SHARD\"}".into() };
        let page = page(options.series, Timestamp(1_000));
        assert_eq!(page.lines().count(), 250);
        let file = options.file();
        let queries: Vec<&str> =
            file.lines().filter_map(|line| line.trim().strip_prefix("expr: '")?.strip_suffix('\'')).collect();
        assert_eq!(queries.len(), 250);
        for query in queries {
            assert!(page.lines().any(|line| line.starts_with(&format!("{query} "))), "{query}");
        }
        assert_eq!(file.matches("- name:").count(), 3);
    }
}
