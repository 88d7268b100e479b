//! The flags, made into what the server works with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use config::{Config, Defaults, WebConfig, format_size};
use model::Regex;
use model::duration::format_duration_ms;
use scraper::parse::Wanted;
use url::Url;

use crate::container::Container;
use crate::flags::{Flags, ms};

/// Prometheus' default of `--storage.tsdb.min-block-duration`, which is replaced by our own default.
const BLOCK_DURATION: Duration = Duration::from_hours(2);
/// More connections than any process may have.
const CONNECTIONS_MAX: usize = 1 << 20;

/// What the web server and the queries go by.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `/`, or a path without a slash at its end.
    pub(crate) route_prefix: String,
    pub(crate) external_url: Url,
    pub(crate) cors_origin: Regex,
    pub(crate) lifecycle: bool,
    pub(crate) page_title: String,
    pub(crate) hostname: String,
    pub(crate) query_timeout: Duration,
    pub(crate) max_connections: usize,
    /// For a request to arrive whole.
    pub(crate) read_timeout: Duration,
    /// `stats=all` tells the samples of each step.
    pub(crate) per_step_stats: bool,
    /// Most results that a search may ask for, 0 for any number; `None` where there is no search.
    pub(crate) search_max_limit: Option<usize>,
}

impl Settings {
    pub(crate) fn new(flags: &Flags) -> Result<Self> {
        let hostname = hostname::get().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let web_config = &flags.web_config_file;
        // One that cannot be read keeps the server from starting, which is told elsewhere.
        let tls = !web_config.is_empty() && WebConfig::load(Path::new(web_config)).is_ok_and(|web| web.tls.is_some());
        let scheme = if tls { "https" } else { "http" };
        let external_url = external_url(&flags.web_external_url, (scheme, flags.web_listen_address.last()), &hostname)?;
        let prefix = match &*flags.web_route_prefix {
            "" => external_url.path().to_owned(),
            given => given.to_owned(),
        };
        let prefix = prefix.trim_matches('/');
        Ok(Self {
            route_prefix: format!("/{prefix}"),
            external_url,
            cors_origin: Regex::in_anchors(&flags.web_cors_origin).context("--web.cors.origin")?,
            lifecycle: flags.web_enable_lifecycle,
            page_title: flags.web_page_title.clone(),
            hostname,
            query_timeout: flags.query_timeout,
            max_connections: flags.web_max_connections.clamp(1, CONNECTIONS_MAX),
            read_timeout: flags.web_read_timeout,
            per_step_stats: flags.features.promql_per_step_stats,
            search_max_limit: flags.features.search_api.then_some(flags.web_search_max_limit),
        })
    }

    /// A URL as someone outside would write it: a loopback host becomes this server's.
    pub(crate) fn seen_from_outside(&self, url: &str) -> String {
        let Ok(mut parsed) = Url::parse(url) else { return url.to_owned() };
        let local = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let host = self.external_url.host_str().unwrap_or_default();
        if !local || parsed.set_host(Some(host)).is_err() {
            return url.to_owned();
        }
        parsed.to_string()
    }
}

fn external_url(given: &str, (scheme, listen): (&str, &str), hostname: &str) -> Result<Url> {
    if given.is_empty() {
        let port = listen.rsplit(':').next().unwrap_or("9090");
        let url = format!("{scheme}://{hostname}:{port}/");
        // A machine's name may be empty, or none that a URL can hold.
        return Url::parse(&url).or_else(|_| Url::parse("http://localhost/")).context("--web.listen-address");
    }
    let url = Url::parse(given).with_context(|| format!("--web.external-url: {given:?} is not a URL"))?;
    anyhow::ensure!(
        matches!(url.scheme(), "http" | "https"),
        "--web.external-url: {given:?} must begin with http:// or https://"
    );
    Ok(url)
}

/// How the store is opened.
pub(crate) fn storage_options(flags: &Flags) -> storage::Options {
    let mut options = storage::Options::new(&flags.storage_tsdb_path);
    let memory = match flags.storage_memory.0 {
        0 => (memory_limit().unwrap_or(u64::MAX) / 16).clamp(32 << 20, 128 << 20),
        given => given,
    };
    options.memory_bytes = usize::try_from(memory).unwrap_or(usize::MAX);
    options.sync_interval = flags.storage_sync_interval;
    // A given 2h cannot be told from Prometheus' default, and means ours as well.
    if flags.storage_tsdb_min_block_duration != BLOCK_DURATION {
        options.bucket_ms = u32::try_from(ms(flags.storage_tsdb_min_block_duration)).unwrap_or(u32::MAX);
    }
    options
}

/// What queries may hold: by default half of the container's memory, each a quarter, and never more than is left of it. What
/// the store may still use, for samples that come in first of all, is not lent to them.
pub(crate) fn query_memory(flags: &Flags, db: &Arc<storage::Db>) -> query::MemoryPool {
    let container = Container::of_process();
    let (all, each) = query_memory_bytes(flags, container.limit().unwrap_or(u64::MAX));
    // Answers that are still being sent hold the pool, and must not keep the store open.
    let db = Arc::downgrade(db);
    let left = move || {
        // Anew each time, as what is left: both change while the process runs.
        let limit = container.limit().unwrap_or(u64::MAX);
        let headroom = (limit / HEADROOM_PART).clamp(HEADROOM_MIN, HEADROOM_MAX);
        // A store that may take more than there is takes part of it.
        let of_store = db.upgrade().map_or(0, |db| db.memory_unused() as u64).min(limit / STORE_PART);
        // Where nothing is limited, `u64::MAX`; a quarter of the range leaves room for the subtraction.
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX / 4);
        signed(container.left().unwrap_or(u64::MAX)) - signed(headroom + of_store)
    };
    query::MemoryPool::following(all, each, Box::new(left))
}

/// What queries may hold together, and what each, of a container with this limit: what the flags say, else half of it and a quarter.
pub(crate) fn query_memory_bytes(flags: &Flags, limit: u64) -> (usize, usize) {
    let or = |given: u64, default: u64| if given == 0 { default } else { given };
    let all = or(flags.query_max_memory.0, limit / 2);
    let each = or(flags.query_max_memory_per_query.0, all / 2);
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    (bytes(all), bytes(each))
}

/// What the bodies of scrapes may take while they are read: an eighth of what this process may use.
pub(crate) fn body_memory(limit: u64) -> usize {
    usize::try_from((limit / 8).clamp(32 << 20, 512 << 20)).unwrap_or(usize::MAX)
}

/// What requests that carry samples may take, as they arrive and while they are stored: as much.
pub(crate) fn receive_memory() -> usize {
    body_memory(memory_limit().unwrap_or(u64::MAX))
}

/// What of long URLs may be kept while they arrive: a 64th of what this process may use.
pub(crate) fn long_query_memory() -> usize {
    usize::try_from((memory_limit().unwrap_or(u64::MAX) / 64).clamp(4 << 20, 32 << 20)).unwrap_or(usize::MAX)
}

/// How many exemplars are kept: none unless the feature is on, as with upstream.
pub(crate) fn exemplars_max(flags: &Flags, config: &Config) -> usize {
    if !flags.features.exemplar_storage {
        return 0;
    }
    usize::try_from(config.storage.exemplars.clone().unwrap_or_default().max_exemplars).unwrap_or(0)
}

/// What holds where the configuration says nothing: some features are other defaults.
pub(crate) fn global_defaults(flags: &Flags) -> Defaults {
    let protobuf_first = flags.features.created_timestamp_zero_ingestion;
    Defaults {
        extra_scrape_metrics: flags.features.extra_scrape_metrics,
        // It says for each series when its counting began.
        scrape_protocols: protobuf_first.then(|| config::ScrapeProtocol::PROTO_FIRST.to_vec()),
    }
}

/// What is wanted of every target.
pub(crate) fn wanted_of_targets(flags: &Flags) -> Wanted {
    Wanted {
        types: flags.features.type_and_unit_labels,
        start_times: flags.features.created_timestamp_zero_ingestion,
        openmetrics2: flags.features.openmetrics2,
        ..Wanted::default()
    }
}

/// The retention rules of a configuration, their selectors read.
pub(crate) fn retention_rules(config: &Config) -> Result<Vec<storage::RetentionRule>> {
    config.storage.tsdb.retention_rules.iter().map(retention_rule).collect()
}

/// One of them.
pub(crate) fn retention_rule(rule: &config::RetentionRuleConfig) -> Result<storage::RetentionRule> {
    let matchers = query::parse_selector(&rule.selector).with_context(|| rule.place.clone())?;
    Ok(storage::RetentionRule { matchers, keep_ms: rule.time_ms })
}

/// Bytes that this process may use: of its control group where that is limited, else of the machine.
pub(crate) fn memory_limit() -> Option<u64> {
    Container::of_process().limit()
}

/// What is lent to nobody: this part at most for the store to grow, and this part of the container's memory, within bounds.
const STORE_PART: u64 = 8;
const HEADROOM_PART: u64 = 8;
const HEADROOM_MIN: u64 = 8 << 20;
const HEADROOM_MAX: u64 = 256 << 20;

/// How long and how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Milliseconds; 0: for ever.
    pub(crate) time_ms: i64,
    /// Bytes; 0: any number.
    pub(crate) size_bytes: u64,
}

impl Retention {
    /// What the flags say: 15 days, unless a time or a size is given.
    pub(crate) fn new(flags: &Flags) -> Self {
        let size_bytes = flags.storage_tsdb_retention_size.0;
        let time_ms = match flags.storage_tsdb_retention_time {
            // As upstream: a size alone lifts the default bound in time.
            None if size_bytes > 0 => 0,
            None => 15 * 24 * 60 * 60 * 1000,
            Some(time) => ms(time),
        };
        Self { time_ms, size_bytes }
    }

    /// What is in force: the configuration with the flags as its defaults.
    pub(crate) fn in_force(config: &Config) -> Self {
        let retention = &config.storage.tsdb.retention;
        let time_ms = retention.time_ms.unwrap_or_default();
        Self { time_ms, size_bytes: retention.size_bytes.unwrap_or_default() }
    }
}

/// `15d`, `15d or 512MiB`
impl std::fmt::Display for Retention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if self.time_ms > 0 {
            parts.push(format_duration_ms(self.time_ms));
        }
        if self.size_bytes > 0 {
            parts.push(format_size(self.size_bytes));
        }
        f.write_str(&parts.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &[&str]) -> (Settings, Retention) {
        let flags = Flags::parse(std::iter::once("weft").chain(args.iter().copied()).map(str::to_owned)).unwrap();
        (Settings::new(&flags).unwrap(), Retention::new(&flags))
    }

    #[test]
    fn features_of_scraping_reach_it() {
        let of = |args: &[&str]| {
            let flags = Flags::parse(std::iter::once("weft").chain(args.iter().copied()).map(str::to_owned)).unwrap();
            let (wanted, defaults) = (wanted_of_targets(&flags), global_defaults(&flags));
            (wanted.types, wanted.start_times, defaults.scrape_protocols.is_some(), defaults.extra_scrape_metrics)
        };
        assert_eq!(of(&[]), (false, false, false, false));
        assert_eq!(of(&["--enable-feature=type-and-unit-labels"]), (true, false, false, false));
        assert_eq!(of(&["--enable-feature=created-timestamp-zero-ingestion"]), (false, true, true, false));
        assert_eq!(of(&["--enable-feature=extra-scrape-metrics"]), (false, false, false, true));
    }

    #[test]
    fn the_prefix_comes_from_the_external_url() {
        assert_eq!(settings(&[]).0.route_prefix, "/");
        let (settings, _) = settings(&["--web.external-url=http://prom.example:8080/prom/"]);
        assert_eq!(settings.route_prefix, "/prom");
        assert_eq!(settings.seen_from_outside("http://127.0.0.1:19300/metrics"), "http://prom.example:19300/metrics");
        assert_eq!(settings.seen_from_outside("http://10.0.0.1:1/m"), "http://10.0.0.1:1/m");
    }

    #[test]
    fn the_scheme_comes_from_the_web_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        let scheme = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let flag = format!("--web.config.file={}", path.display());
            settings(&[&flag]).0.external_url.scheme().to_owned()
        };
        assert_eq!(scheme("tls_server_config: {cert_file: a.pem, key_file: a.key}\n"), "https");
        assert_eq!(scheme("http_server_config: {http2: false}\n"), "http");
        assert_eq!(settings(&[]).0.external_url.scheme(), "http");
    }

    #[test]
    fn retention_as_upstream_writes_it() {
        let shown = |args: &[&str]| settings(args).1.to_string();
        assert_eq!(shown(&[]), "15d");
        assert_eq!(shown(&["--storage.tsdb.retention.size=1GB"]), "1GiB");
        assert_eq!(
            shown(&["--storage.tsdb.retention.time=1w", "--storage.tsdb.retention.size=1536MB"]),
            "1w or 1GiB512MiB"
        );
    }
}
