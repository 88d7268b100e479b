//! The command line: Prometheus' flags in Prometheus' forms (`--flag=value`, `--flag value`, `--flag`, `--no-flag`).
//!
//! Every flag of Prometheus 3 is accepted, so that the arguments of a Deployment work unchanged; those without an effect here are
//! named in one line of the log. Each flag is declared once, in the table below: its field and type, its name, its default and
//! its help.

mod features;
mod value;

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};
use model::duration::format_duration_ms;

pub(crate) use features::Features;
use value::{Bytes, FlagValue, LogFormat, LogLevel, Repeated, WriteMessages, args, read, was_given};
pub(crate) use value::{Tenancy, ms};

/// Declares the flags: a field of [`Flags`] for each that is served, and for the others an entry of what is shown.
macro_rules! flags {
    (
        served { $($(#[doc = $help:literal])+ $field:ident: $type:ty = ($name:literal, $default:literal);)* }
        accepted { $($other:literal: $other_type:ty = $other_default:literal, $what:literal;)* }
        hidden { $($hidden:literal: $hidden_type:ty = $hidden_default:literal;)* }
    ) => {
        /// The command line, parsed.
        #[derive(Clone, Debug)]
        pub(crate) struct Flags {
            $($(#[doc = $help])+ pub(crate) $field: $type,)*
            /// Was a configuration file asked for, so that it must exist?
            pub(crate) config_file_given: bool,
            /// Flags that were given and have no effect.
            pub(crate) ignored: Vec<&'static str>,
            /// Name and value of every flag, by name, as `/api/v1/status/flags` shows them.
            shown: Vec<(&'static str, String)>,
        }

        impl Flags {
            fn from_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                let (mut ignored, mut shown) = (Vec::new(), Vec::new());
                $(let $field: $type = read($name, matches)?;
                shown.push(($name, FlagValue::shown(&$field)));)*
                $(shown.push(($other, read::<$other_type>($other, matches)?.shown()));
                ignored.extend(was_given($other, matches).then_some($other));)*
                $(shown.push(($hidden, read::<$hidden_type>($hidden, matches)?.shown()));
                ignored.extend(was_given($hidden, matches).then_some($hidden));)*
                shown.sort_unstable();
                let config_file_given = was_given("config.file", matches);
                Ok(Self { $($field,)* config_file_given, ignored, shown })
            }
        }

        /// Adds every flag to a command.
        fn declare(mut command: Command) -> Command {
            $(command = command.args(args::<$type>($name, $default).help(concat!($($help),+).trim_ascii_start()));)*
            $(command = command.args(args::<$other_type>($other, $other_default).help(concat!($what, " (accepted, no effect)")));)*
            $(command = command.args(args::<$hidden_type>($hidden, $hidden_default).hide());)*
            command
        }
    };
}

flags! {
    served {
        /// Configuration file. Where there is none, Weft scrapes itself and a local node-exporter.
        config_file: String = ("config.file", "prometheus.yml");
        /// Reload when the configuration file, or one that it includes, changes.
        config_auto_reload: bool = ("config.auto-reload", "false");
        /// How often to look for such a change; at least every second.
        config_auto_reload_interval: Duration = ("config.auto-reload-interval", "30s");
        /// Address to listen on. May be repeated.
        web_listen_address: Repeated = ("web.listen-address", "0.0.0.0:9090");
        /// File with TLS, passwords, headers and a rate limit of the web server.
        web_config_file: String = ("web.config.file", "");
        /// Longest time for a request to arrive, and for a connection to be idle.
        web_read_timeout: Duration = ("web.read-timeout", "5m");
        /// Most requests served at once. As many again may wait; health checks are always served.
        web_max_connections: usize = ("web.max-connections", "512");
        /// The URL under which this server is reached from outside.
        web_external_url: String = ("web.external-url", "");
        /// Prefix of all paths; default: the path of --web.external-url.
        web_route_prefix: String = ("web.route-prefix", "");
        /// Allow reload and shutdown by HTTP.
        web_enable_lifecycle: bool = ("web.enable-lifecycle", "false");
        /// Allow deletions and snapshots by HTTP.
        web_enable_admin_api: bool = ("web.enable-admin-api", "false");
        /// Most clients that listen to notifications at once.
        web_max_notifications_subscribers: usize = ("web.max-notifications-subscribers", "16");
        /// Serve the Model Context Protocol at /mcp, for assistants: what can be read by the API.
        web_enable_mcp: bool = ("web.enable-mcp", "false");
        /// Take remote write requests at /api/v1/write.
        web_enable_remote_write_receiver: bool = ("web.enable-remote-write-receiver", "false");
        /// Which messages of remote write to take. May be repeated.
        web_remote_write_receiver_accepted_protobuf_messages: WriteMessages = ("web.remote-write-receiver.accepted-protobuf-messages", "prometheus.WriteRequest,io.prometheus.write.v2.Request");
        /// Take metrics of OpenTelemetry at /api/v1/otlp/v1/metrics.
        web_enable_otlp_receiver: bool = ("web.enable-otlp-receiver", "false");
        /// Title of the web pages.
        web_page_title: String = ("web.page-title", "Prometheus Time Series Collection and Processing Server");
        /// Regular expression, anchored: origins that browsers may query from.
        web_cors_origin: String = ("web.cors.origin", ".*");
        /// Serve only who shows a token of the Kubernetes API server with the right to get prometheuses/api (API group
        /// monitoring.coreos.com) in this namespace, and for /metrics to get that path; health checks are served to all.
        web_kubernetes_auth: bool = ("web.kubernetes-auth", "false");
        /// 'namespace': a token without that right reads what has the label namespace of one whose pods it may get. Needs
        /// --web.kubernetes-auth.
        web_tenancy: Tenancy = ("web.tenancy", "none");
        /// Folder of the stored data.
        storage_tsdb_path: String = ("storage.tsdb.path", "data/");
        /// Data directory of a Prometheus whose samples are imported while the server runs; `none` for nothing. Default: the folder of
        /// the stored data, if Prometheus has written into it.
        storage_import_from: String = ("storage.import-from", "");
        /// How long samples are kept; default 15d unless a size is set.
        storage_tsdb_retention_time: Option<Duration> = ("storage.tsdb.retention.time", "");
        /// Most bytes on disk, oldest go first: B, KB, MB, GB, TB (powers of 1024).
        storage_tsdb_retention_size: Bytes = ("storage.tsdb.retention.size", "0B");
        /// Most memory of the store: what was just written and what was read. Default: a sixteenth of what the container or
        /// the machine has, at most 128MB.
        storage_memory: Bytes = ("storage.memory", "0B");
        /// How often what was written is synced to the disk; a power failure costs at most this.
        storage_sync_interval: Duration = ("storage.sync-interval", "1s");
        /// How much time is kept as rows before it becomes pages; for tests. 2h, Prometheus' default, is replaced
        /// by 30m.
        storage_tsdb_min_block_duration: Duration = ("storage.tsdb.min-block-duration", "2h");
        /// Most samples of an answer of remote read that is not streamed; 0 for any number.
        storage_remote_read_sample_limit: usize = ("storage.remote.read-sample-limit", "50000000");
        /// Most requests of remote read at once; 0 for any number.
        storage_remote_read_concurrent_limit: usize = ("storage.remote.read-concurrent-limit", "10");
        /// About the most bytes of a frame of a streamed answer of remote read.
        storage_remote_read_max_bytes_in_frame: usize = ("storage.remote.read-max-bytes-in-frame", "1048576");
        /// Most results that a search may ask for; 0 for any number.
        web_search_max_limit: usize = ("web.search.max-limit", "10000");
        /// How long samples may still be sent by remote write when the server ends; the rest is sent after the next start.
        storage_remote_flush_deadline: Duration = ("storage.remote.flush-deadline", "1m");
        /// How old the newest sample of a series may be to count in an instant.
        query_lookback_delta: Duration = ("query.lookback-delta", "5m");
        /// Longest time a query may take.
        query_timeout: Duration = ("query.timeout", "2m");
        /// Most queries at once.
        query_max_concurrency: usize = ("query.max-concurrency", "20");
        /// Most samples one query may hold in memory.
        query_max_samples: usize = ("query.max-samples", "50000000");
        /// Most memory of all queries together. Default: half of what the container or the machine has.
        query_max_memory: Bytes = ("query.max-memory", "0B");
        /// Most memory of one query. Default: half of what all may have together.
        query_max_memory_per_query: Bytes = ("query.max-memory-per-query", "0B");
        /// Other replicas that scrape the same, as URLs separated by commas: where this server has no samples of a series, queries
        /// show theirs.
        query_peers: String = ("query.peers", "");
        /// The label that tells replicas apart; it is removed from what they answer.
        query_replica_label: String = ("query.replica-label", "prometheus_replica");
        /// Another replica, as a URL: what this server missed while it was away is fetched from it before it counts as ready. May be
        /// repeated; the next one is asked where one cannot answer.
        peer: Repeated = ("peer", "");
        /// Longest time that fetching may take; the server is ready then, whatever is missing.
        peer_timeout: Duration = ("peer.timeout", "5m");
        /// How far back is fetched at most.
        peer_max_gap: Duration = ("peer.max-gap", "1d");
        /// File with http_config: how peers are connected to, for --peer and --query.peers.
        peer_http_config_file: String = ("peer.http-config-file", "");
        /// Longest outage over which the state of alerts is restored.
        rules_alert_for_outage_tolerance: Duration = ("rules.alert.for-outage-tolerance", "1h");
        /// Least time before a restored alert fires; state is restored only where 'for' is at least this long, or over.
        rules_alert_for_grace_period: Duration = ("rules.alert.for-grace-period", "10m");
        /// Least time before an alert is sent again.
        rules_alert_resend_delay: Duration = ("rules.alert.resend-delay", "1m");
        /// Most rules of a group that are evaluated side by side, beside the first one.
        rules_max_concurrent_evals: usize = ("rules.max-concurrent-evals", "4");
        /// Most alerts that wait for one Alertmanager.
        alertmanager_notification_queue_capacity: usize = ("alertmanager.notification-queue-capacity", "10000");
        /// Most alerts in one request to an Alertmanager.
        alertmanager_notification_batch_size: usize = ("alertmanager.notification-batch-size", "256");
        /// Send the alerts that wait when the server ends.
        alertmanager_drain_notification_queue_on_shutdown: bool = ("alertmanager.drain-notification-queue-on-shutdown", "true");
        /// Take jobs from ServiceMonitor, PodMonitor, Probe and ScrapeConfig objects of the Kubernetes API server.
        operator: bool = ("operator", "false");
        /// The Prometheus object to follow, namespace/name. Without it all monitors that are visible are selected.
        operator_prometheus: String = ("operator.prometheus", "");
        /// Look for monitors in these namespaces only, separated by commas. Default: all of them.
        operator_namespaces: String = ("operator.namespaces", "");
        /// Without a Prometheus object: select monitors with these labels only, such as team=a,env in (prod,test).
        operator_selector: String = ("operator.selector", "");
        /// A kubeconfig file for the API server; default: that of the cluster Weft runs in.
        operator_kubeconfig: String = ("operator.kubeconfig", "");
        /// With --operator: the Service of all kubelets, namespace/name, made up from Nodes unless there is one. Empty: none.
        operator_kubelet_service: String = ("operator.kubelet-service", "kube-system/kubelet");
        /// Scrape pods and Services with the annotation prometheus.io/scrape: "true".
        kubernetes_annotation_discovery: bool = ("kubernetes.annotation-discovery", "false");
        /// Comma-separated features. May be repeated.
        features: Features = ("enable-feature", "");
        /// Agent mode, which is not built: refused.
        agent: bool = ("agent", "false");
        /// The least severe messages that are logged.
        log_level: LogLevel = ("log.level", "info");
        /// How messages are written.
        log_format: LogFormat = ("log.format", "logfmt");
    }
    accepted {
        "auto-gomaxprocs": bool = "true", "Go only.";
        "auto-gomemlimit": bool = "true", "Go only.";
        "auto-gomemlimit.ratio": String = "0.9", "Go only.";
        "auto-gomemlimit.refresh-interval": Duration = "0s", "Go only.";
        "web.user-assets": String = "", "Folder of files under /user.";
        "web.console.templates": String = "consoles", "Folder of console templates.";
        "web.console.libraries": String = "console_libraries", "Folder of console libraries.";
        "storage.tsdb.no-lockfile": bool = "false", "The store always locks its folder.";
        "storage.tsdb.head-chunks-write-queue-size": usize = "0", "There is no head.";
        "storage.tsdb.delay-compact-file.path": String = "", "There are no blocks to upload.";
        "storage.agent.path": String = "data-agent/", "Agent mode.";
        "storage.agent.wal-compression": bool = "true", "Agent mode.";
        "storage.agent.retention.min-time": Duration = "5m", "Agent mode.";
        "storage.agent.retention.max-time": Duration = "4h", "Agent mode.";
        "storage.agent.checkpoint-from-in-memory-series": bool = "false", "Agent mode.";
        "storage.agent.checkpoint-batch-size": usize = "1000", "Agent mode.";
        "storage.agent.no-lockfile": bool = "false", "Agent mode.";
    }
    hidden {
        "scrape.adjust-timestamps": bool = "true";
        "scrape.discovery-reload-interval": Duration = "5s";
        "scrape.timestamp-tolerance": Duration = "2ms";
        "storage.tsdb.allow-overlapping-compaction": bool = "true";
        "storage.tsdb.block-reload-interval": Duration = "1m";
        "storage.tsdb.delayed-compaction.max-percent": usize = "10";
        "storage.tsdb.max-block-chunk-segment-size": Bytes = "0B";
        "storage.tsdb.max-block-duration": Duration = "1d12h";
        "storage.tsdb.samples-per-chunk": usize = "120";
        "storage.tsdb.wal-compression": bool = "true";
        "storage.tsdb.wal-compression-type": String = "snappy";
        "storage.tsdb.wal-segment-size": Bytes = "0B";
        "storage.agent.wal-compression-type": String = "snappy";
        "storage.agent.wal-segment-size": Bytes = "0B";
        "storage.agent.wal-truncate-frequency": Duration = "0s";
    }
}

/// Flags that Prometheus 2 had, which command lines still carry.
const GONE: &[(&str, &str)] = &[
    ("--storage.tsdb.retention", "use --storage.tsdb.retention.time"),
    ("--storage.tsdb.allow-overlapping-blocks", "leave it out, data may always overlap"),
];

impl Flags {
    /// Parses the arguments, the program name first. `--help`, `--version` and mistakes end in clap's error, which knows its text
    /// and exit code.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, clap::Error> {
        let args: Vec<String> = args.into_iter().collect();
        for (gone, instead) in GONE {
            // By the whole name: `--storage.tsdb.retention.time` begins with one that is gone.
            if args.iter().any(|arg| arg.split('=').next() == Some(*gone)) {
                let why = format!("{gone} is gone since Prometheus 3: {instead}\n");
                return Err(clap::Error::raw(ErrorKind::UnknownArgument, why));
            }
        }
        let flags = Self::from_matches(&command().try_get_matches_from(args)?)?;
        // Not ignored like others: a server that forwards nothing would look healthy.
        if flags.agent {
            let why = "--agent: agent mode is not built; leave the flag out for a server that stores what it scrapes\n";
            return Err(clap::Error::raw(ErrorKind::InvalidValue, why));
        }
        if flags.features.otlp_deltatocumulative && flags.features.otlp_native_delta_ingestion {
            let why =
                "cannot enable otlp-deltatocumulative and otlp-native-delta-ingestion features at the same time\n";
            return Err(clap::Error::raw(ErrorKind::InvalidValue, why));
        }
        Ok(flags)
    }

    /// Is the configuration loaded again when its files change?
    pub(crate) fn reloads_by_itself(&self) -> bool {
        self.config_auto_reload || self.features.auto_reload_config
    }

    /// How often these files are looked at.
    pub(crate) fn reload_interval(&self) -> Duration {
        self.config_auto_reload_interval.max(Duration::from_secs(1))
    }

    /// Every flag and its value, as `/api/v1/status/flags` shows them. The retention by time is the one in force, also where
    /// none was given.
    pub(crate) fn shown(&self, retention_ms: i64) -> impl Iterator<Item = (&'static str, String)> {
        self.shown.iter().map(move |(name, value)| match *name {
            "storage.tsdb.retention.time" => (*name, format_duration_ms(retention_ms)),
            name => (name, value.clone()),
        })
    }
}

fn command() -> Command {
    let command = Command::new("weft")
        .version(crate::version::LONG)
        .about("Weft: finds targets, scrapes them, stores what they say, and answers PromQL.")
        // Beside names as long as these there is no room for a sentence.
        .next_line_help(true)
        .term_width(100)
        .disable_help_subcommand(true);
    declare(command)
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
        assert_eq!((&*flags.config_file, &*flags.storage_tsdb_path), ("a.yml", "/prometheus/"));
        assert!(flags.web_enable_lifecycle && !flags.web_enable_admin_api);
        assert!(flags.shown(0).any(|shown| shown == ("auto-gomaxprocs", "false".to_owned())));
        assert_eq!(flags.web_listen_address.0, [":1", ":2"]);
        assert!(flags.features.names().eq(["a", "b"]));
        assert_eq!(flags.storage_tsdb_retention_size, Bytes(2 << 30));
        assert_eq!(flags.query_timeout, Duration::from_secs(120));
    }

    #[test]
    fn mistakes_are_named() {
        let error = parse(&["--config.fil=x"]).unwrap_err().to_string();
        assert!(error.contains("--config.fil") && error.contains("--config.file"), "{error}");
        for (arg, name) in [
            ("--query.timeout=fast", "--query.timeout"),
            ("--query.max-samples=fast", "--query.max-samples"),
            (
                "--web.remote-write-receiver.accepted-protobuf-messages=fast",
                "--web.remote-write-receiver.accepted-protobuf-messages",
            ),
            ("--storage.memory=fast", "--storage.memory"),
            ("--rules.alert.resend-delay=fast", "--rules.alert.resend-delay"),
            ("--storage.tsdb.retention.time=fast", "--storage.tsdb.retention.time"),
        ] {
            let error = parse(&[arg]).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(name) && text.contains("fast") && error.exit_code() == 2, "{text}");
        }
    }

    #[test]
    fn features_without_effect_are_told() {
        let flags = parse(&[
            "--enable-feature=old-ui,exemplar-storage,,new-ui,promql-extensions",
            "--enable-feature=st-storage",
        ])
        .unwrap();
        assert_eq!(flags.features.without_effect(), (vec!["old-ui", "st-storage"], vec!["new-ui"]));
    }

    #[test]
    fn what_is_not_there_is_refused_and_said() {
        for (arg, part) in [
            ("--log.level=verbose", "[possible values: debug, info, warn, error]"),
            ("--log.format=xml", "[possible values: logfmt, json]"),
            ("--storage.tsdb.retention=5d", "use --storage.tsdb.retention.time"),
            ("--storage.tsdb.allow-overlapping-blocks", "leave it out"),
            ("--enable-feature=otlp-deltatocumulative,otlp-native-delta-ingestion", "at the same time"),
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
            let mut shown = flags.shown(Retention::new(&flags).time_ms);
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
            (&["--rules.alert.resend-delay=120s"], "rules.alert.resend-delay", "2m"),
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
