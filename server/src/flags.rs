//! The command line: Prometheus' flags in Prometheus' forms (`--flag=value`, `--flag value`, `--flag`, `--no-flag`).
//!
//! Every flag of Prometheus 3 is taken, so that a Deployment's arguments work unchanged; those without a meaning here are
//! named in one line of the log.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use clap::builder::{BoolishValueParser, PossibleValuesParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};
use config::format_size;
use model::duration::{format_duration_ms, parse_duration_ms};
use query::EngineOptions;

/// What a flag does here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It works.
    Served,
    /// Taken, without effect, because the thing it tunes does not exist here or is not built yet.
    Ignored,
    /// The same, and not shown by `--help`.
    Hidden,
}

use Use::{Hidden, Ignored, Served};

/// Name, default, effect, help. A default of `true` or `false` makes a switch.
const FLAGS: &[(&str, &str, Use, &str)] = &[
    (
        "config.file",
        "prometheus.yml",
        Served,
        "Configuration file. Where there is none, Weft scrapes itself and a local node-exporter.",
    ),
    ("config.auto-reload", "false", Ignored, "Reload when the configuration file changes."),
    ("config.auto-reload-interval", "30s", Ignored, "How often to look for such a change."),
    ("web.listen-address", "0.0.0.0:9090", Served, "Address to listen on. May be repeated."),
    ("auto-gomaxprocs", "true", Ignored, "Go only."),
    ("auto-gomemlimit", "true", Ignored, "Go only."),
    ("auto-gomemlimit.ratio", "0.9", Ignored, "Go only."),
    ("auto-gomemlimit.refresh-interval", "0s", Ignored, "Go only."),
    ("web.config.file", "", Served, "File with TLS, passwords, headers and a rate limit of the web server."),
    ("web.read-timeout", "5m", Served, "Longest time for a request to arrive, and for a connection to be idle."),
    (
        "web.max-connections",
        "512",
        Served,
        "Most requests served at once. As many again may wait; health checks are always served.",
    ),
    ("web.max-notifications-subscribers", "16", Ignored, "Most listeners to notifications."),
    ("web.external-url", "", Served, "The URL under which this server is reached from outside."),
    ("web.route-prefix", "", Served, "Prefix of all paths; default: the path of --web.external-url."),
    ("web.user-assets", "", Ignored, "Folder of files under /user."),
    ("web.enable-lifecycle", "false", Served, "Allow reload and shutdown by HTTP."),
    ("web.enable-admin-api", "false", Served, "Allow deletions and snapshots by HTTP."),
    ("web.enable-remote-write-receiver", "false", Ignored, "Take remote write requests."),
    (
        "web.remote-write-receiver.accepted-protobuf-messages",
        "prometheus.WriteRequest,io.prometheus.write.v2.Request",
        Ignored,
        "Which remote write messages to take.",
    ),
    ("web.enable-otlp-receiver", "false", Ignored, "Take OTLP write requests."),
    ("web.console.templates", "consoles", Ignored, "Folder of console templates."),
    ("web.console.libraries", "console_libraries", Ignored, "Folder of console libraries."),
    ("web.page-title", "Prometheus Time Series Collection and Processing Server", Served, "Title of the web pages."),
    ("web.cors.origin", ".*", Served, "Regular expression, anchored: origins that browsers may query from."),
    ("storage.tsdb.path", "data/", Served, "Folder of the stored data."),
    ("storage.tsdb.retention.time", "", Served, "How long samples are kept; default 15d unless a size is set."),
    (
        "storage.tsdb.retention.size",
        "0B",
        Served,
        "Most bytes on disk, oldest go first: B, KB, MB, GB, TB (powers of 1024).",
    ),
    (
        "storage.memory",
        "0B",
        Served,
        "Most memory of the store: what was just written and what was read. Default: a sixteenth of what the container \
         or the machine has, at most 128MB.",
    ),
    (
        "storage.sync-interval",
        "1s",
        Served,
        "How often what was written is synced to the disk; a power failure costs at most this.",
    ),
    ("storage.tsdb.no-lockfile", "false", Ignored, "The store always locks its folder."),
    (
        "storage.tsdb.min-block-duration",
        "2h",
        Served,
        "How much time is kept as rows before it is sealed; for tests. 2h, which is Prometheus' default, stands for 30m here.",
    ),
    ("storage.tsdb.head-chunks-write-queue-size", "0", Ignored, "There is no head."),
    ("storage.tsdb.delay-compact-file.path", "", Ignored, "There are no blocks to upload."),
    ("storage.agent.path", "data-agent/", Ignored, "Agent mode."),
    ("storage.agent.wal-compression", "true", Ignored, "Agent mode."),
    ("storage.agent.retention.min-time", "5m", Ignored, "Agent mode."),
    ("storage.agent.retention.max-time", "4h", Ignored, "Agent mode."),
    ("storage.agent.checkpoint-from-in-memory-series", "false", Ignored, "Agent mode."),
    ("storage.agent.checkpoint-batch-size", "1000", Ignored, "Agent mode."),
    ("storage.agent.no-lockfile", "false", Ignored, "Agent mode."),
    ("storage.remote.flush-deadline", "1m", Ignored, "Remote write."),
    ("storage.remote.read-sample-limit", "50000000", Ignored, "Remote read."),
    ("storage.remote.read-concurrent-limit", "10", Ignored, "Remote read."),
    ("storage.remote.read-max-bytes-in-frame", "1048576", Ignored, "Remote read."),
    ("web.search.max-limit", "10000", Served, "Most results that a search may ask for; 0 for any number."),
    ("rules.alert.for-outage-tolerance", "1h", Ignored, "Rules."),
    ("rules.alert.for-grace-period", "10m", Ignored, "Rules."),
    ("rules.alert.resend-delay", "1m", Ignored, "Rules."),
    ("rules.max-concurrent-evals", "4", Ignored, "Rules."),
    ("alertmanager.notification-queue-capacity", "10000", Ignored, "Alerting."),
    ("alertmanager.notification-batch-size", "256", Ignored, "Alerting."),
    ("alertmanager.drain-notification-queue-on-shutdown", "true", Ignored, "Alerting."),
    ("query.lookback-delta", "5m", Served, "How old the newest sample of a series may be to count in an instant."),
    ("query.timeout", "2m", Served, "Longest time a query may take."),
    ("query.max-concurrency", "20", Served, "Most queries at once."),
    ("query.max-samples", "50000000", Served, "Most samples one query may hold in memory."),
    (
        "query.max-memory",
        "0B",
        Served,
        "Most memory of all queries together. Default: a quarter of what the container or the machine has.",
    ),
    (
        "query.max-memory-per-query",
        "0B",
        Served,
        "Most memory of one query. Default: half of what all may have together.",
    ),
    ("enable-feature", "", Served, "Comma-separated features. May be repeated."),
    ("agent", "false", Served, "Agent mode, which is not built: refused."),
    ("log.level", "info", Served, "The least severe messages that are logged."),
    ("log.format", "logfmt", Served, "How messages are written."),
    ("scrape.adjust-timestamps", "true", Hidden, ""),
    ("scrape.discovery-reload-interval", "5s", Hidden, ""),
    ("scrape.timestamp-tolerance", "2ms", Hidden, ""),
    ("storage.tsdb.allow-overlapping-compaction", "true", Hidden, ""),
    ("storage.tsdb.block-reload-interval", "1m", Hidden, ""),
    ("storage.tsdb.delayed-compaction.max-percent", "10", Hidden, ""),
    ("storage.tsdb.max-block-chunk-segment-size", "0B", Hidden, ""),
    ("storage.tsdb.max-block-duration", "1d12h", Hidden, ""),
    ("storage.tsdb.samples-per-chunk", "120", Hidden, ""),
    ("storage.tsdb.wal-compression", "true", Hidden, ""),
    ("storage.tsdb.wal-compression-type", "snappy", Hidden, ""),
    ("storage.tsdb.wal-segment-size", "0B", Hidden, ""),
    ("storage.agent.wal-compression-type", "snappy", Hidden, ""),
    ("storage.agent.wal-segment-size", "0B", Hidden, ""),
    ("storage.agent.wal-truncate-frequency", "0s", Hidden, ""),
];

/// Features by what they do here: those that are served beside those of the query engine, and those of Prometheus 3 that are
/// taken without effect.
const SERVED_FEATURES: [&str; 7] = [
    "created-timestamp-zero-ingestion",
    "exemplar-storage",
    "extra-scrape-metrics",
    "openmetrics2",
    "promql-per-step-stats",
    "query-cost",
    "search-api",
];
const IGNORED_FEATURES: [&str; 18] = [
    "auto-reload-config",
    "concurrent-rule-eval",
    "delayed-compaction",
    "fast-startup",
    "histograms-st-encoding",
    "memory-snapshot-on-shutdown",
    // Type, help and unit are kept as long as their target, not per series: nothing is written for a remote to read yet.
    "metadata-wal-records",
    "native-histograms",
    "old-ui",
    "ooo-native-histograms",
    "otlp-deltatocumulative",
    "otlp-native-delta-ingestion",
    "promql-duration-expr",
    "promql-extended-range-selectors",
    "st-storage",
    "st-synthesis",
    "use-uncached-io",
    "xor2-encoding",
];

/// Flags that take one of some words.
const WORDS: [(&str, &[&str]); 2] =
    [("log.level", &["debug", "info", "warn", "error"]), ("log.format", &["logfmt", "json"])];

/// Flags that Prometheus 2 had, which command lines still carry.
const GONE: &[(&str, &str)] = &[
    ("--storage.tsdb.retention", "use --storage.tsdb.retention.time"),
    ("--storage.tsdb.allow-overlapping-blocks", "leave it out, data may always overlap"),
];

/// Flags that may stand more than once.
const REPEATED: [&str; 2] = ["web.listen-address", "enable-feature"];

/// The command line, read.
#[derive(Clone, Debug)]
pub(crate) struct Flags {
    values: BTreeMap<&'static str, Vec<String>>,
    /// Was a configuration file asked for, so that it must exist?
    pub(crate) config_file_given: bool,
    /// Flags that were given and have no effect.
    pub(crate) ignored: Vec<&'static str>,
}

impl Flags {
    /// Reads the arguments behind the program name. `--help`, `--version` and mistakes end in clap's error, which knows
    /// its text and exit code.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, clap::Error> {
        let args: Vec<String> = args.into_iter().collect();
        for (gone, instead) in GONE {
            if args.iter().any(|arg| arg.split('=').next() == Some(*gone)) {
                let why = format!("{gone} is gone since Prometheus 3: {instead}\n");
                return Err(clap::Error::raw(ErrorKind::UnknownArgument, why));
            }
        }
        let matches = command().try_get_matches_from(args)?;
        if matches.get_flag("agent") && !matches.get_flag("no-agent") {
            let why = "--agent: agent mode is not built; leave the flag out for a server that stores what it scrapes\n";
            return Err(clap::Error::raw(ErrorKind::InvalidValue, why));
        }
        let mut values = BTreeMap::new();
        let mut ignored = Vec::new();
        let mut config_file_given = false;
        for (name, default, used, _) in FLAGS {
            let given = matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine);
            let value: Vec<String> = if is_switch(default) {
                let no = format!("no-{name}");
                let off = matches.get_flag(&no);
                let on = matches.get_one::<bool>(name).copied().unwrap_or_default();
                vec![(on && !off).to_string()]
            } else {
                matches.get_many::<String>(name).map(|v| v.cloned().collect()).unwrap_or_default()
            };
            if given && *used != Served {
                ignored.push(*name);
            }
            config_file_given |= given && *name == "config.file";
            values.insert(*name, value);
        }
        Ok(Self { values, config_file_given, ignored })
    }

    /// The value of a flag; of one that was repeated the last.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).last().map_or("", String::as_str)
    }

    /// All values of a flag.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Is the switch on?
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.get(name) == "true"
    }

    /// A duration in milliseconds.
    pub(crate) fn duration_ms(&self, name: &str) -> Result<i64> {
        parse_duration_ms(self.get(name)).with_context(|| format!("--{name}"))
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<usize> {
        let text = self.get(name);
        text.parse().map_err(|_| anyhow!("--{name}: {text:?} is not a whole number"))
    }

    /// A size in bytes, `512MB`; 0 when not set.
    pub(crate) fn bytes(&self, name: &str) -> Result<u64> {
        let text = self.get(name);
        let bytes = config::parse_size(text).ok().and_then(|bytes| u64::try_from(bytes).ok());
        bytes.ok_or_else(|| anyhow!("--{name}: {text:?} is not a size such as 512MB"))
    }

    /// Is the feature among those of `--enable-feature`?
    pub(crate) fn feature(&self, name: &str) -> bool {
        self.features().any(|feature| feature == name)
    }

    /// What `--enable-feature` names.
    pub(crate) fn features(&self) -> impl Iterator<Item = &str> {
        self.all("enable-feature").iter().flat_map(|list| list.split(',')).filter(|feature| !feature.is_empty())
    }

    /// The features that have no effect, and those that nobody knows.
    pub(crate) fn idle_features(&self) -> (Vec<&str>, Vec<&str>) {
        let served: Vec<&str> = SERVED_FEATURES.into_iter().chain(EngineOptions::features()).collect();
        let idle = self.features().filter(|feature| !served.contains(feature));
        idle.partition(|feature| IGNORED_FEATURES.contains(feature))
    }

    /// Every flag and its value, as `/api/v1/status/flags` shows them: durations and sizes are written as upstream writes
    /// them, however they were given. The retention by time is the one that holds, also where none was given.
    pub(crate) fn shown(&self, retention_ms: i64) -> impl Iterator<Item = (&'static str, String)> {
        self.values.iter().map(move |(name, values)| match *name {
            "storage.tsdb.retention.time" => (*name, format_duration_ms(retention_ms)),
            name => (name, values.iter().map(|value| plain(name, value)).collect::<Vec<_>>().join(",")),
        })
    }
}

/// A value as upstream writes it, where its flag's default says that it is a duration or a size.
fn plain(name: &str, value: &str) -> String {
    let default = FLAGS.iter().find(|(known, ..)| *known == name).map_or("", |(_, default, ..)| default);
    let is_duration = !default.is_empty() && parse_duration_ms(default).is_ok() && default != "0";
    let written = match config::parse_size(default) {
        Ok(_) => config::parse_size(value).ok().and_then(|bytes| u64::try_from(bytes).ok()).map(format_size),
        Err(_) if is_duration => parse_duration_ms(value).ok().map(format_duration_ms),
        Err(_) => None,
    };
    written.unwrap_or_else(|| value.to_owned())
}

fn is_switch(default: &str) -> bool {
    default == "true" || default == "false"
}

fn command() -> Command {
    let mut command = Command::new("weft")
        .version(crate::version::LONG)
        .about("Weft: finds targets, scrapes them, stores what they say, and answers PromQL.")
        // Beside names as long as these there is no room for a sentence.
        .next_line_help(true)
        .term_width(100)
        .disable_help_subcommand(true);
    for (name, default, used, help) in FLAGS {
        let effect = if *used == Ignored { " (accepted, no effect)" } else { "" };
        let arg = Arg::new(*name).long(*name).value_name("value").help(format!("{help}{effect}")).hide(*used == Hidden);
        let arg = match WORDS.iter().find(|(of, _)| of == name) {
            Some((_, words)) => arg.value_parser(PossibleValuesParser::new(*words)),
            None => arg,
        };
        if is_switch(default) {
            // `--flag=true` is more than Prometheus takes, and what people write.
            command = command.arg(
                arg.num_args(0..=1)
                    .require_equals(true)
                    .default_value(*default)
                    .default_missing_value("true")
                    .hide_possible_values(true)
                    .value_parser(BoolishValueParser::new()),
            );
            let no = format!("no-{name}");
            command =
                command.arg(Arg::new(no.clone()).long(no).action(ArgAction::SetTrue).hide(true).overrides_with(*name));
        } else {
            let action = if REPEATED.contains(name) { ArgAction::Append } else { ArgAction::Set };
            command = command.arg(arg.action(action).default_value(*default).allow_hyphen_values(true));
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Retention;

    fn parse(args: &[&str]) -> Result<Flags, clap::Error> {
        Flags::parse(std::iter::once("weft").chain(args.iter().copied()).map(str::to_owned))
    }

    #[test]
    fn the_forms_of_a_flag() {
        let flags = parse(&[
            "--config.file=a.yml",
            "--storage.tsdb.path",
            "/prometheus/",
            "--web.enable-lifecycle",
            "--no-auto-gomaxprocs",
            "--web.listen-address=:1",
            "--web.listen-address=:2",
            "--enable-feature=a,b",
            "--storage.tsdb.retention.size=2GB",
        ])
        .unwrap();
        assert_eq!((flags.get("config.file"), flags.get("storage.tsdb.path")), ("a.yml", "/prometheus/"));
        assert!(flags.is_on("web.enable-lifecycle") && !flags.is_on("auto-gomaxprocs"));
        assert!(!flags.is_on("web.enable-admin-api"));
        assert_eq!(flags.all("web.listen-address"), [":1", ":2"]);
        assert!(flags.feature("b") && !flags.feature("c"));
        assert_eq!(flags.bytes("storage.tsdb.retention.size").unwrap(), 2 << 30);
        assert_eq!(flags.duration_ms("query.timeout").unwrap(), 120_000);
    }

    #[test]
    fn mistakes_are_named() {
        let error = parse(&["--config.fil=x"]).unwrap_err().to_string();
        assert!(error.contains("--config.fil") && error.contains("--config.file"), "{error}");
        let flags = parse(&["--query.timeout=fast"]).unwrap();
        let error = format!("{:#}", flags.duration_ms("query.timeout").unwrap_err());
        assert!(error.contains("--query.timeout") && error.contains("fast"), "{error}");
    }

    #[test]
    fn features_without_effect_are_told() {
        let flags = parse(&[
            "--enable-feature=old-ui,exemplar-storage,,new-ui,promql-extensions",
            "--enable-feature=st-storage",
        ])
        .unwrap();
        assert_eq!(flags.idle_features(), (vec!["old-ui", "st-storage"], vec!["new-ui"]));
        assert!(SERVED_FEATURES.iter().all(|feature| !IGNORED_FEATURES.contains(feature)));
    }

    #[test]
    fn what_is_not_there_is_refused_and_said() {
        for (arg, part) in [
            ("--log.level=verbose", "[possible values: debug, info, warn, error]"),
            ("--log.format=xml", "[possible values: logfmt, json]"),
            ("--storage.tsdb.retention=5d", "use --storage.tsdb.retention.time"),
            ("--storage.tsdb.allow-overlapping-blocks", "leave it out"),
            ("--nonesuch", "--nonesuch"),
            ("--agent", "agent mode is not built"),
            ("--agent=true", "agent mode is not built"),
        ] {
            let error = parse(&[arg]).unwrap_err();
            assert!(error.to_string().contains(part) && error.exit_code() == 2, "{arg}: {error}");
        }
        assert!(parse(&["--no-agent"]).is_ok() && parse(&["--agent=false"]).is_ok());
    }

    #[test]
    fn help_has_sentences_on_lines() {
        let help = parse(&["--help"]).unwrap_err().to_string();
        for line in help.lines().filter(|line| !line.trim_start().starts_with("--")) {
            let is_end = line.ends_with([':', ']']);
            assert!(line.split_whitespace().count() != 1 || is_end, "{line:?} in {help}");
        }
        assert!(
            help.contains("Most requests served at once. As many again may wait; health checks are always served.")
        );
    }

    #[test]
    fn flags_are_shown_as_upstream_writes_them() {
        let of = |args: &[&str], name: &str| {
            let flags = parse(args).unwrap();
            let mut shown = flags.shown(Retention::new(&flags).unwrap().time_ms);
            shown.find(|(known, _)| *known == name).unwrap().1
        };
        for (args, name, value) in [
            (&[][..], "storage.tsdb.retention.time", "15d"),
            (&[], "storage.tsdb.retention.size", "0B"),
            (&["--storage.tsdb.retention.time=60d"], "storage.tsdb.retention.time", "60d"),
            (&["--storage.tsdb.retention.time=168h"], "storage.tsdb.retention.time", "1w"),
            (&["--storage.tsdb.retention.size=1536MB"], "storage.tsdb.retention.size", "1GiB512MiB"),
            (&["--storage.tsdb.retention.size=1536MB"], "storage.tsdb.retention.time", "0s"),
            (&["--query.timeout=120s"], "query.timeout", "2m"),
            (&["--query.timeout=fast"], "query.timeout", "fast"),
            (&["--query.max-samples=60"], "query.max-samples", "60"),
            (&["--web.page-title=60s"], "web.page-title", "60s"),
            (&["--enable-feature=a", "--enable-feature=b"], "enable-feature", "a,b"),
            (&[], "web.enable-lifecycle", "false"),
        ] {
            assert_eq!(of(args, name), value, "{args:?} {name}");
        }
    }

    #[test]
    fn flags_without_effect_are_told() {
        let flags = parse(&["--storage.tsdb.wal-compression", "--log.level=debug"]).unwrap();
        assert_eq!(flags.ignored, ["storage.tsdb.wal-compression"]);
    }
}
