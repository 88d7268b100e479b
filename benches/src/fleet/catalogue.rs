//! The three kinds of targets, exposing what their originals expose: a Go service, a node-exporter, kube-state-metrics.

use super::shape::Shape;
use super::value::Kind;

/// The services of the fleet, and what their paths are about.
pub const APPS: &[(&str, &str)] = &[
    ("frontend", "pages"),
    ("cart", "items"),
    ("checkout", "orders"),
    ("payment", "charges"),
    ("catalog", "products"),
    ("search", "queries"),
    ("shipping", "parcels"),
    ("email", "messages"),
    ("currency", "rates"),
    ("recommender", "picks"),
    ("ads", "campaigns"),
    ("accounts", "users"),
    ("sessions", "tokens"),
    ("inventory", "stocks"),
    ("reviews", "ratings"),
    ("media", "images"),
    ("pricing", "offers"),
    ("loyalty", "points"),
    ("fraud", "verdicts"),
    ("ledger", "entries"),
];

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Species {
    /// A service of [`APPS`].
    Service(usize),
    /// A node-exporter.
    Node,
    /// kube-state-metrics, one shard of it: its labels name pods that no other target names.
    KubeState,
}

impl Species {
    /// Of ten targets eight are services, one each of the others.
    #[must_use]
    pub fn of(slot: usize) -> Self {
        match slot % 10 {
            4 => Self::Node,
            9 => Self::KubeState,
            _ => Self::Service((slot / 10 * 8 + slot % 10) % APPS.len()),
        }
    }

    /// The `app` label.
    #[must_use]
    pub fn app(self) -> &'static str {
        match self {
            Self::Service(app) => APPS[app % APPS.len()].0,
            Self::Node => "node-exporter",
            Self::KubeState => "kube-state-metrics",
        }
    }

    /// Its exposition with exactly `n` series; `unique` goes into the labels of kube-state-metrics.
    #[must_use]
    pub fn shape(self, n: usize, churn_per_mille: usize, unique: &str) -> Shape {
        let mut shape = Shape::new(churn_per_mille);
        shape.family("fleet_uptime_seconds_total", "counter", "Whole seconds since this target was born.");
        shape.series("", Kind::Uptime);
        match self {
            Self::Service(app) => service(&mut shape, APPS[app % APPS.len()], n),
            Self::Node => node(&mut shape, n),
            Self::KubeState => kube_state(&mut shape, n, unique),
        }
        shape.family("feature_flag_enabled", "gauge", "Whether a feature is on.");
        for i in 0..n.saturating_sub(shape.len()) {
            shape.series(&format!("flag=\"flag-{i:03}\""), Kind::Constant(f64::from(u8::from(i % 3 == 0))));
        }
        shape
    }
}

const LATENCY: &[&str] = &["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
const RUNTIME: usize = 26;
const PER_ROUTE: usize = 26;

fn service(shape: &mut Shape, (_, noun): (&str, &str), n: usize) {
    let routes = n.saturating_sub(shape.len() + RUNTIME) / PER_ROUTE;
    if n >= shape.len() + RUNTIME {
        runtime(shape);
    }
    let route = |i: usize| {
        let (method, tail) = [("GET", ""), ("GET", "/:id"), ("POST", ""), ("PUT", "/:id"), ("DELETE", "/:id")][i % 5];
        format!(
            "method=\"{method}\",route=\"/api/v{}/{noun}/{}{tail}\"",
            1 + i / 25,
            ["list", "of", "by-day", "top", "open"][i / 5 % 5]
        )
    };
    // Few routes get most of the requests.
    #[expect(clippy::cast_precision_loss, reason = "a number of routes")]
    let rate = |i: usize| 60.0 / (1.0 + i as f64).powf(1.2);
    shape.family("http_requests_total", "counter", "Requests by route and status.");
    for i in 0..routes {
        for (code, share) in [("200", 0.97), ("404", 0.025), ("429", 0.0), ("500", 0.0)] {
            let kind = if share > 0.0 { Kind::Counter(rate(i) * share) } else { Kind::Constant(0.0) };
            shape.series(&format!("code=\"{code}\",{}", route(i)), kind);
        }
    }
    shape.family("http_request_duration_seconds", "histogram", "How long requests took.");
    for i in 0..routes {
        shape.histogram(&route(i), LATENCY, rate(i), 0.02 + 0.01 * unit(i));
    }
    let per_route = [
        ("http_requests_in_flight", "gauge", Kind::Level(0.0, 9.0)),
        ("http_response_bytes_total", "counter", Kind::Counter(41_000.0)),
        ("http_cache_hit_ratio", "gauge", Kind::Float(0.4, 0.5, None)),
        ("http_queue_wait_seconds_total", "counter", Kind::Seconds(0.013, None)),
        ("http_rate_limit", "gauge", Kind::Constant(500.0)),
        ("http_timeout_seconds", "gauge", Kind::Constant(2.5)),
        ("http_workers_max", "gauge", Kind::Constant(64.0)),
        ("http_breaker_open", "gauge", Kind::Constant(0.0)),
    ];
    for (name, kind, moves) in per_route {
        shape.family(name, kind, "By route.");
        for i in 0..routes {
            shape.series(&route(i), moves);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn unit(i: usize) -> f64 {
    (i * 37 % 100) as f64 / 100.0
}

/// What every Go program exposes: RUNTIME series.
fn runtime(shape: &mut Shape) {
    let one = [
        ("go_goroutines", "gauge", Kind::Level(40.0, 300.0)),
        ("go_threads", "gauge", Kind::Level(9.0, 12.0)),
        ("go_memstats_alloc_bytes", "gauge", Kind::Bytes(2e7, 4e7)),
        ("go_memstats_alloc_bytes_total", "counter", Kind::Counter(3.1e6)),
        ("go_memstats_mallocs_total", "counter", Kind::Counter(41_000.0)),
        ("go_memstats_frees_total", "counter", Kind::Counter(40_900.0)),
        ("go_memstats_heap_alloc_bytes", "gauge", Kind::Bytes(2e7, 4e7)),
        ("go_memstats_heap_idle_bytes", "gauge", Kind::Bytes(1e7, 2e7)),
        ("go_memstats_heap_inuse_bytes", "gauge", Kind::Bytes(3e7, 3e7)),
        ("go_memstats_heap_objects", "gauge", Kind::Level(90_000.0, 250_000.0)),
        ("go_memstats_next_gc_bytes", "gauge", Kind::Bytes(5e7, 3e7)),
        ("go_memstats_sys_bytes", "gauge", Kind::Bytes(9e7, 1e7)),
        ("process_cpu_seconds_total", "counter", Kind::Seconds(0.21, Some(2))),
        ("process_resident_memory_bytes", "gauge", Kind::Bytes(6e7, 5e7)),
        ("process_virtual_memory_bytes", "gauge", Kind::Constant(1_283_112_960.0)),
        ("process_open_fds", "gauge", Kind::Level(14.0, 200.0)),
        ("process_max_fds", "gauge", Kind::Constant(1_048_576.0)),
        ("process_start_time_seconds", "gauge", Kind::Constant(1_790_431_201.42)),
    ];
    for (name, kind, moves) in one {
        shape.family(name, kind, "As the Go client says.");
        shape.series("", moves);
    }
    shape.family("go_info", "gauge", "Information about the Go environment.");
    shape.series("version=\"go1.26.1\"", Kind::Constant(1.0));
    shape.family("go_gc_duration_seconds", "summary", "Pauses of the garbage collector.");
    for (quantile, low) in [("0", 2e-5), ("0.25", 4e-5), ("0.5", 6e-5), ("0.75", 1e-4), ("1", 8e-4)] {
        shape.series(&format!("quantile=\"{quantile}\""), Kind::Float(low, low, Some(9)));
    }
    shape.part("_sum", "", Kind::Seconds(1.7e-5, None));
    shape.part("_count", "", Kind::Counter(0.19));
}

const PER_NODE_UNIT: usize = 28;

fn node(shape: &mut Shape, n: usize) {
    let units = n.saturating_sub(shape.len()) / PER_NODE_UNIT;
    shape.family("node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode.");
    let modes = [("idle", 0.7), ("iowait", 0.01), ("nice", 0.0), ("softirq", 0.006), ("system", 0.08), ("user", 0.2)];
    for i in 0..units {
        for (mode, rate) in modes {
            let kind = if rate > 0.0 { Kind::Seconds(rate, Some(2)) } else { Kind::Constant(0.0) };
            shape.series(&format!("cpu=\"{i}\",mode=\"{mode}\""), kind);
        }
    }
    let mut each = |names: &[(&str, &str, Kind)], labels: &dyn Fn(usize) -> String| {
        for (name, kind, moves) in names {
            shape.family(name, kind, "As the node-exporter says.");
            for i in 0..units {
                shape.series(&labels(i), *moves);
            }
        }
    };
    let disk = [
        ("node_disk_reads_completed_total", "counter", Kind::Counter(2.4)),
        ("node_disk_read_bytes_total", "counter", Kind::Counter(91_000.0)),
        ("node_disk_writes_completed_total", "counter", Kind::Counter(7.9)),
        ("node_disk_written_bytes_total", "counter", Kind::Counter(260_000.0)),
        ("node_disk_io_time_seconds_total", "counter", Kind::Seconds(0.03, Some(3))),
        ("node_disk_io_now", "gauge", Kind::Level(0.0, 4.0)),
    ];
    each(&disk, &|i| format!("device=\"nvme{i}n1\""));
    let network = [
        ("node_network_receive_bytes_total", "counter", Kind::Counter(410_000.0)),
        ("node_network_receive_packets_total", "counter", Kind::Counter(620.0)),
        ("node_network_receive_errs_total", "counter", Kind::Constant(0.0)),
        ("node_network_transmit_bytes_total", "counter", Kind::Counter(380_000.0)),
        ("node_network_transmit_packets_total", "counter", Kind::Counter(590.0)),
        ("node_network_up", "gauge", Kind::Constant(1.0)),
    ];
    each(&network, &|i| format!("device=\"veth{:07x}\"", i * 0x9e_3779 % 0x0fff_ffff));
    let filesystem = [
        ("node_filesystem_avail_bytes", "gauge", Kind::Bytes(4e9, 6e9)),
        ("node_filesystem_free_bytes", "gauge", Kind::Bytes(5e9, 6e9)),
        ("node_filesystem_files_free", "gauge", Kind::Level(2e6, 4e5)),
        ("node_filesystem_size_bytes", "gauge", Kind::Constant(10_725_883_904.0)),
        ("node_filesystem_readonly", "gauge", Kind::Constant(0.0)),
    ];
    each(&filesystem, &|i| {
        format!("device=\"/dev/nvme{i}n1p1\",fstype=\"ext4\",mountpoint=\"/var/lib/kubelet/plugins/pv-{i:03}\"")
    });
    let other = [
        ("node_hwmon_temp_celsius", "gauge", Kind::Float(38.0, 30.0, Some(3))),
        ("node_cpu_scaling_frequency_hertz", "gauge", Kind::Float(1.2e9, 2e9, Some(0))),
    ];
    each(&other, &|i| format!("chip=\"platform_coretemp_{}\",sensor=\"temp{}\"", i / 8, i % 8));
    shape.family("node_systemd_unit_state", "gauge", "Systemd's units.");
    for i in 0..units {
        for (state, on) in [("active", 1.0), ("failed", 0.0), ("inactive", 0.0)] {
            let labels = format!("name=\"unit-{i:03}.service\",state=\"{state}\",type=\"simple\"");
            shape.series(&labels, Kind::Constant(on));
        }
    }
}

const PER_POD: usize = 16;

fn kube_state(shape: &mut Shape, n: usize, unique: &str) {
    let pods = n.saturating_sub(shape.len()) / PER_POD;
    let pod = |i: usize| {
        let (app, _) = APPS[i % APPS.len()];
        format!("namespace=\"team-{}\",pod=\"{app}-{unique}-{i:04}\"", i % 7)
    };
    let mut each = |name: &str, kind: &str, values: &[(&str, Kind)]| {
        shape.family(name, kind, "As kube-state-metrics says.");
        for i in 0..pods {
            for (labels, moves) in values {
                shape.series(&format!("{}{labels}", pod(i)), *moves);
            }
        }
    };
    let on = Kind::Constant(1.0);
    let off = Kind::Constant(0.0);
    each("kube_pod_info", "gauge", &[(",host_ip=\"10.0.3.17\",node=\"node-17\",created_by_kind=\"ReplicaSet\"", on)]);
    each("kube_pod_created", "gauge", &[("", Kind::Constant(1_790_430_007.0))]);
    each(
        "kube_pod_status_phase",
        "gauge",
        &[
            ",phase=\"Failed\"",
            ",phase=\"Pending\"",
            ",phase=\"Running\"",
            ",phase=\"Succeeded\"",
            ",phase=\"Unknown\"",
        ]
        .map(|phase| (phase, if phase.contains("Running") { on } else { off })),
    );
    each(
        "kube_pod_status_ready",
        "gauge",
        &[",condition=\"true\"", ",condition=\"false\""].map(|c| (c, Kind::Level(0.0, 2.0))),
    );
    each("kube_pod_container_status_restarts_total", "counter", &[(",container=\"main\"", Kind::Counter(0.002))]);
    let memory = ",container=\"main\",resource=\"memory\",unit=\"byte\"";
    let cpu = ",container=\"main\",resource=\"cpu\",unit=\"core\"";
    each(
        "kube_pod_container_resource_requests",
        "gauge",
        &[(cpu, Kind::Constant(0.25)), (memory, Kind::Constant(268_435_456.0))],
    );
    each("kube_pod_container_resource_limits", "gauge", &[(cpu, on), (memory, Kind::Constant(536_870_912.0))]);
    each("kube_pod_container_status_running", "gauge", &[(",container=\"main\"", on)]);
    each("kube_pod_container_status_waiting", "gauge", &[(",container=\"main\"", off)]);
}
