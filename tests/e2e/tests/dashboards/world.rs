//! Weft and Prometheus with the same past of a cluster.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use kit::{Http, Past, Process, Prometheus, Weft, assert_kept, eventually, free_port, stamped};

use crate::files::Rules;
use crate::recorded;
use crate::shown_cluster::ShownCluster;
use crate::verdicts::Verdicts;

/// Seconds between two pages, as kube-prometheus scrapes most of its targets.
const STEP: i64 = 15;
/// A quarter of an hour.
const PAGES: i64 = 61;
/// Timestamps of each series in one page: few enough that a page is parsed quickly.
const TIMESTAMPS_PER_PAGE: usize = 8;
/// How both are called where they scrape.
const SERVERS: [&str; 2] = ["weft", "prometheus"];
const CONFIG: &str = "global: {scrape_interval: 1s, external_labels: {replica: a}}\nscrape_configs:\n";
const NODE: &str = "cluster=\"c1\",job=\"node-exporter\",instance=\"node-1\",namespace=\"monitoring\",pod=\"node-exporter-1\",node=\"node-1\"";
const OWN: &str = "cluster=\"c1\",job=\"prometheus-k8s\",namespace=\"monitoring\",instance=\"10.0.1.2:9090\",pod=\"prometheus-k8s-0\"";

/// When the past is, in seconds.
pub struct Times {
    start: i64,
    end: i64,
}

impl Times {
    /// It ends before the servers begin, so that nothing that they scrape by themselves is in it.
    fn before_now() -> Self {
        let end = (jiff::Timestamp::now().as_second() - 60) / STEP * STEP;
        Self { start: end - (PAGES - 1) * STEP, end }
    }

    /// The parameters of a query over all of it.
    pub fn range(&self) -> [(&'static str, String); 3] {
        [("start", self.start.to_string()), ("end", self.end.to_string()), ("step", STEP.to_string())]
    }

    /// Of the questions.
    pub fn bounds(&self) -> [String; 2] {
        [self.start.to_string(), self.end.to_string()]
    }
}

pub struct World {
    pub weft: Weft,
    pub prometheus: Prometheus,
    pub times: Times,
    _past: Past,
    _node: Process,
    _folder: tempfile::TempDir,
}

impl World {
    /// Both servers, once they have all of it.
    ///
    /// # Errors
    /// When a program is absent.
    pub fn start(rules: &[Rules]) -> Result<Self, String> {
        let program = Prometheus::binary()?;
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let mut node = Command::new("prometheus-node-exporter");
        if node.arg("--version").output().is_err() {
            return Err("prometheus-node-exporter is not installed; `cargo xtask test` installs it".to_owned());
        }
        let mut node = Command::new("prometheus-node-exporter");
        node.arg(format!("--web.listen-address={address}"));
        let node_process = Process::start(&mut node, &folder.path().join("node.log"));
        let node = Http::new(format!("http://{address}"));
        eventually("the node-exporter answers", || node.get("/metrics").map(drop));
        let (past, times) = (Past::start(), Times::before_now());
        let prometheus = Prometheus::start(&program, &format!("{CONFIG}{}", past.job("prometheus")), &[]);
        let weft = Weft::start(&format!("{CONFIG}{}", past.job("weft")), &[]);
        let world = Self { weft, prometheus, times, _past: past, _node: node_process, _folder: folder };
        world.tell(world.pages(&node));
        assert_kept(&world.weft.http);
        assert_kept(&world.prometheus.http);
        for round in recorded::rounds(rules) {
            let page = |rule| recorded::page(&world.prometheus.http, rule, &world.times);
            world.tell(vec![round.iter().map(page).collect()]);
        }
        Ok(world)
    }

    /// Gives both the pages, and waits until they have them.
    fn tell(&self, pages: Vec<String>) {
        self._past.tell(pages);
        for server in SERVERS {
            eventually(&format!("{server} has all pages"), || self._past.is_kept_by(server));
        }
    }

    fn pages(&self, node: &Http) -> Vec<String> {
        let cluster = ShownCluster::new();
        let real = |http: &Http| http.get("/metrics").unwrap().1;
        let sample_at = |n: i64, recorded: &[String; 2]| {
            let ts_ms = (self.times.start + n * STEP) * 1000;
            let shown = cluster.page((n * STEP) as f64, ts_ms);
            stamped(&recorded[0], NODE, ts_ms) + &stamped(&recorded[1], OWN, ts_ms) + &shown
        };
        let times: Vec<i64> = (0..PAGES).collect();
        let page = |times: &[i64]| {
            let recorded = [real(node), real(&self.prometheus.http)];
            times.iter().map(|n| sample_at(*n, &recorded)).collect()
        };
        times.chunks(TIMESTAMPS_PER_PAGE).map(page).collect()
    }

    /// Compares all expressions of files, each with values for its variables, some files at once.
    pub fn compare(&self, files: &[(PathBuf, Vec<String>)], workers: usize) -> Verdicts {
        let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Verdicts::default()));
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some((file, values)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let printed = self.diff_query(file, values);
                        verdicts.lock().unwrap().read(&printed);
                    }
                });
            }
        });
        verdicts.into_inner().unwrap()
    }

    fn diff_query(&self, file: &PathBuf, values: &[String]) -> String {
        let [_, end] = self.times.bounds();
        let start = (self.times.end - 5 * 60).to_string();
        let output = Command::new(Weft::binary())
            .args(["promtool", "diff-query", "--step=30s"])
            .args([format!("--time={end}"), format!("--start={start}"), format!("--end={end}")])
            .args(values.iter().map(|value| format!("--var={value}")))
            .args([self.weft.http.base(), self.prometheus.http.base()])
            .arg(file)
            .output()
            .unwrap();
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let last = said.lines().last().unwrap_or_default();
        assert!(last.contains(" queries: "), "{}: {said}\n{errors}", file.display());
        said.into_owned()
    }
}
