//! The flags, made into what the server works with.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use config::{Config, GlobalConfig, format_size};
use model::Regex;
use model::duration::format_duration_ms;
use scraper::parse::Wanted;
use url::Url;

use crate::container::Container;
use crate::flags::Flags;

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
        let external_url = external_url(flags.get("web.external-url"), flags.get("web.listen-address"), &hostname)?;
        let prefix = match flags.get("web.route-prefix") {
            "" => external_url.path().to_owned(),
            given => given.to_owned(),
        };
        let prefix = prefix.trim_matches('/');
        let search_max = flags.number("web.search.max-limit")?;
        let timeout_ms = flags.duration_ms("query.timeout")?;
        let read_timeout_ms = flags.duration_ms("web.read-timeout")?;
        Ok(Self {
            route_prefix: format!("/{prefix}"),
            external_url,
            cors_origin: Regex::new(flags.get("web.cors.origin")).context("--web.cors.origin")?,
            lifecycle: flags.is_on("web.enable-lifecycle"),
            page_title: flags.get("web.page-title").to_owned(),
            hostname,
            query_timeout: Duration::from_millis(timeout_ms.unsigned_abs()),
            max_connections: flags.number("web.max-connections")?.clamp(1, CONNECTIONS_MAX),
            read_timeout: Duration::from_millis(read_timeout_ms.unsigned_abs()),
            per_step_stats: flags.feature("promql-per-step-stats"),
            search_max_limit: flags.feature("search-api").then_some(search_max),
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

fn external_url(given: &str, listen: &str, hostname: &str) -> Result<Url> {
    if given.is_empty() {
        let port = listen.rsplit(':').next().unwrap_or("9090");
        let url = format!("http://{hostname}:{port}/");
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
pub(crate) fn storage_options(flags: &Flags) -> Result<storage::Options> {
    let mut options = storage::Options::new(flags.get("storage.tsdb.path"));
    let memory = match flags.bytes("storage.memory")? {
        0 => (memory_limit().unwrap_or(u64::MAX) / 16).clamp(32 << 20, 128 << 20),
        given => given,
    };
    options.memory_bytes = usize::try_from(memory).unwrap_or(usize::MAX);
    let sync_ms = flags.duration_ms("storage.sync-interval")?;
    options.sync_interval = Duration::from_millis(sync_ms.unsigned_abs());
    if flags.get("storage.tsdb.min-block-duration") != "2h" {
        let bucket_ms = flags.duration_ms("storage.tsdb.min-block-duration")?;
        options.bucket_ms = u32::try_from(bucket_ms).unwrap_or(u32::MAX);
    }
    Ok(options)
}

/// What queries may hold: by default half of the container's memory, each a quarter, and never more than is left of it. What
/// the store may still use, for samples that come in first of all, is not lent to them.
pub(crate) fn query_memory(flags: &Flags, db: &Arc<storage::Db>) -> Result<query::Memory> {
    let or = |given: u64, default: u64| if given == 0 { default } else { given };
    let container = Container::of_process();
    let limit = container.limit().unwrap_or(u64::MAX);
    let all = or(flags.bytes("query.max-memory")?, limit / 2);
    let each = or(flags.bytes("query.max-memory-per-query")?, all / 2);
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let headroom = (limit / HEADROOM_PART).clamp(HEADROOM_MIN, HEADROOM_MAX);
    let db = Arc::downgrade(db);
    let left = move || {
        // A store that may take more than there is takes part of it.
        let of_store = db.upgrade().map_or(0, |db| db.memory_unused() as u64).min(limit / STORE_PART);
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX / 4);
        signed(container.left().unwrap_or(u64::MAX)) - signed(headroom + of_store)
    };
    Ok(query::Memory::following(bytes(all), bytes(each), Box::new(left)))
}

/// What the bodies of scrapes may take while they are read: an eighth of what this process may use.
pub(crate) fn body_memory() -> usize {
    usize::try_from((memory_limit().unwrap_or(u64::MAX) / 8).clamp(32 << 20, 512 << 20)).unwrap_or(usize::MAX)
}

/// How many exemplars are kept: none unless the feature is on, as with upstream.
pub(crate) fn exemplars_max(flags: &Flags, config: &Config) -> usize {
    if !flags.feature("exemplar-storage") {
        return 0;
    }
    usize::try_from(config.storage.max_exemplars.unwrap_or(100_000)).unwrap_or(0)
}

/// What holds where the configuration says nothing: some features are other defaults.
pub(crate) fn global_defaults(flags: &Flags) -> GlobalConfig {
    let protobuf_first = flags.feature("created-timestamp-zero-ingestion");
    GlobalConfig {
        extra_scrape_metrics: flags.feature("extra-scrape-metrics"),
        // It says for each series when its counting began.
        scrape_protocols: protobuf_first.then(|| config::ScrapeProtocol::PROTO_FIRST.to_vec()),
        ..GlobalConfig::default()
    }
}

/// What is wanted of every target.
pub(crate) fn wanted_of_targets(flags: &Flags) -> Wanted {
    Wanted {
        types: flags.feature("type-and-unit-labels"),
        start_times: flags.feature("created-timestamp-zero-ingestion"),
        openmetrics2: flags.feature("openmetrics2"),
        ..Wanted::default()
    }
}

/// The retention rules of a configuration, their selectors read.
pub(crate) fn retention_rules(config: &Config) -> Result<Vec<storage::RetentionRule>> {
    let rules = config.storage.retention_rules.iter();
    rules
        .map(|rule| {
            let matchers = query::parse_selector(&rule.selector).with_context(|| rule.place.clone())?;
            Ok(storage::RetentionRule { matchers, keep_ms: rule.time_ms })
        })
        .collect()
}

/// Bytes that this process may use: of its control group where that is limited, else of the machine.
fn memory_limit() -> Option<u64> {
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
    pub(crate) fn new(flags: &Flags) -> Result<Self> {
        let size_bytes = flags.bytes("storage.tsdb.retention.size")?;
        let time_ms = match flags.get("storage.tsdb.retention.time") {
            "" if size_bytes > 0 => 0,
            "" => 15 * 24 * 60 * 60 * 1000,
            _ => flags.duration_ms("storage.tsdb.retention.time")?,
        };
        Ok(Self { time_ms, size_bytes })
    }

    /// What is in force: the configuration with the flags as its defaults.
    pub(crate) fn in_force(config: &Config) -> Self {
        let said = &config.storage;
        let time_ms = said.retention_time_ms.unwrap_or_default();
        Self { time_ms, size_bytes: said.retention_size_bytes.unwrap_or_default() }
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
        (Settings::new(&flags).unwrap(), Retention::new(&flags).unwrap())
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
