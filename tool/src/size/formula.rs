//! What a server needs, computed from what it is to scrape.
//!
//! Every constant was measured; `docs/sizing.md` has the measurements beside what is computed of them, and the tests below hold
//! the one to the other. *Kept runs* are those in `benches/results` (`cargo xtask bench`), *README* is `benches/README.md`.

/// A server without a series: its program, the threads, the store's own caches. `IDLE_BYTES` of `server/src/forecast.rs` is the same.
const IDLE_BYTES: f64 = (32 << 20) as f64;
/// A target: its connection, buffers and loop. From the kept runs: 1 000 targets take 183 MB, 100 take 45 to 56 MB, with a thousand
/// series each.
const TARGET_BYTES: f64 = 25_000.0;
/// A series that is scraped: its text, hash, column and last value. From the same runs.
const SERIES_BYTES: f64 = 125.0;
/// A recording rule and the 20 series that it reads and records. README, recording rules: 200 MB with 10 000 of them.
const RULE_BYTES: f64 = 14_000.0;
/// A pod that discovery knows by two roles. README, Kubernetes discovery: 315 MB with 15 000 of them.
const POD_BYTES: f64 = 19_000.0;
/// What open dashboards leave: caches of the store, and memory that the allocator keeps. From the kept runs (after the queries
/// against before) and README, requests a second (243 MB with a million series).
const DASHBOARD_BYTES: f64 = 20e6;
const DASHBOARD_SERIES_BYTES: f64 = 40.0;
/// No container gets less: queries may have half of it (decision 0014).
const LIMIT_LEAST_BYTES: f64 = (256 << 20) as f64;

/// CPU of a scrape, whatever it brings: connection, request, one write. From a run of 400 targets with 100 series.
const SCRAPE_SECONDS: f64 = 135e-6;
/// CPU of a scraped sample. README, recording rules (0.070 s for 20 scrapes of 10 000 series), and the kept runs (0.29 to 0.43 µs with
/// the part of the scrape, at a thousand series each).
const SAMPLE_SECONDS: f64 = 0.25e-6;
/// Writing a sample into larger partitions, twice until it is in one of a day. Decision 0004.
const MERGE_SECONDS: f64 = 2.0 * 57e-9;
/// A series that begins. Kept run with pod churn: 0.985 instead of 0.422 µs a sample while 5 000 of 100 000 begin each second.
const NEW_SERIES_SECONDS: f64 = 11e-6;
/// An evaluation of a recording rule over 20 series. README, recording rules: 48 µs, on a machine 1.43 times as fast as that of the other
/// figures, by what Prometheus takes there.
const EVALUATION_SECONDS: f64 = 69e-6;

/// A sample in pages, value and time. Kept runs: 0.69 to 0.77.
const PAGE_SAMPLE_BYTES: f64 = 0.75;
/// A sample in rows, where the newest hour is. Measured with the first rows, 2.5 to 2.9.
const ROW_SAMPLE_BYTES: f64 = 3.0;
const ROW_SECONDS: f64 = 3_600.0;
/// The write-ahead log is cut short at this size (`wal_bytes` of `storage/src/options.rs`).
const LOG_BYTES: f64 = (64 << 20) as f64;
/// The index of a series that is there from the start, and of one that comes later to a metric that is known. Kept runs: 1.4 MB
/// for 100 000 series, and 4.3 MB more for 900 000 series of replaced pods.
const INDEX_SERIES_BYTES: f64 = 14.0;
const INDEX_NEW_SERIES_BYTES: f64 = 5.0;

const DAY_SECONDS: f64 = 86_400.0;

/// What is to be scraped, and for how long it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) targets: f64,
    pub(crate) series: f64,
    /// From one scrape of a target to the next, and from one evaluation of a rule to the next.
    pub(crate) interval_seconds: f64,
    pub(crate) retention_seconds: f64,
    /// Series that begin each day, beside those that go on.
    pub(crate) new_series_per_day: f64,
    pub(crate) rules: f64,
    /// Pods of the cluster, where they are discovered.
    pub(crate) pods: f64,
}

/// Resident memory, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) idle: f64,
    pub(crate) targets: f64,
    pub(crate) series: f64,
    pub(crate) rules: f64,
    pub(crate) pods: f64,
    /// What queries of dashboards add.
    pub(crate) dashboards: f64,
}

/// CPU on average, cores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    pub(crate) scraping: f64,
    pub(crate) new_series: f64,
    pub(crate) rules: f64,
}

/// Bytes on disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk {
    /// What a day adds to pages and index.
    pub(crate) per_day: f64,
    pub(crate) pages: f64,
    pub(crate) index: f64,
    /// The newest samples, and the log.
    pub(crate) recent: f64,
}

impl Load {
    pub(crate) fn samples_per_second(&self) -> f64 {
        self.series / self.interval_seconds
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory {
            idle: IDLE_BYTES,
            targets: self.targets * TARGET_BYTES,
            series: self.series * SERIES_BYTES,
            rules: self.rules * RULE_BYTES,
            pods: self.pods * POD_BYTES,
            dashboards: DASHBOARD_BYTES + self.series * DASHBOARD_SERIES_BYTES,
        }
    }

    pub(crate) fn cpu(&self) -> Cpu {
        let samples = self.samples_per_second() * (SAMPLE_SECONDS + MERGE_SECONDS);
        Cpu {
            scraping: self.targets / self.interval_seconds * SCRAPE_SECONDS + samples,
            new_series: self.new_series_per_day / DAY_SECONDS * NEW_SERIES_SECONDS,
            rules: self.rules / self.interval_seconds * EVALUATION_SECONDS,
        }
    }

    pub(crate) fn disk(&self) -> Disk {
        let days = self.retention_seconds / DAY_SECONDS;
        let pages_per_day = self.samples_per_second() * DAY_SECONDS * PAGE_SAMPLE_BYTES;
        let index_per_day = self.new_series_per_day * INDEX_NEW_SERIES_BYTES;
        let recent = self.samples_per_second() * ROW_SECONDS.min(self.retention_seconds) * ROW_SAMPLE_BYTES;
        Disk {
            per_day: pages_per_day + index_per_day,
            pages: pages_per_day * days,
            index: self.series * INDEX_SERIES_BYTES + index_per_day * days,
            recent: recent + LOG_BYTES,
        }
    }
}

impl Memory {
    /// While it scrapes and evaluates rules.
    pub(crate) fn scraping(&self) -> f64 {
        self.idle + self.targets + self.series + self.rules + self.pods
    }

    /// And while people look at dashboards.
    pub(crate) fn with_dashboards(&self) -> f64 {
        self.scraping() + self.dashboards
    }

    /// What a container should request: what is in use with dashboards open, in steps of 16 MiB.
    pub(crate) fn request(&self) -> f64 {
        up_to(self.with_dashboards(), (16 << 20) as f64)
    }

    /// What a container should be limited to: as much again, for queries and for churn at a rollout, in steps of 64 MiB.
    pub(crate) fn limit(&self) -> f64 {
        up_to(2.0 * self.with_dashboards(), (64 << 20) as f64).max(LIMIT_LEAST_BYTES)
    }
}

impl Cpu {
    pub(crate) fn all(&self) -> f64 {
        self.scraping + self.new_series + self.rules
    }

    /// What a container should request: twice the average, in steps of 50 thousandths of a core.
    pub(crate) fn request(&self) -> f64 {
        up_to(2.0 * self.all(), 0.05)
    }
}

impl Disk {
    pub(crate) fn all(&self) -> f64 {
        self.pages + self.index + self.recent
    }

    /// How large a volume should be: a fifth of it stays free, besides room for a day that is written anew; in steps of a GiB.
    pub(crate) fn volume(&self) -> f64 {
        up_to(1.25 * self.all() + self.per_day, (1 << 30) as f64)
    }
}

/// The next multiple of a step, and one step at least.
fn up_to(value: f64, step: f64) -> f64 {
    // What is a multiple but for the rounding of floats is one.
    ((value / step - 1e-9).ceil()).max(1.0) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(targets: f64, series: f64, interval_seconds: f64) -> Load {
        let (retention_seconds, new_series_per_day, rules, pods) = (15.0 * DAY_SECONDS, 0.0, 0.0, 0.0);
        Load { targets, series, interval_seconds, retention_seconds, new_series_per_day, rules, pods }
    }

    /// Neither more nor less than what was measured by this factor.
    #[track_caller]
    fn within(what: &str, computed: f64, measured: f64, factor: f64) {
        let ratio = computed / measured;
        assert!((1.0 / factor..=factor).contains(&ratio), "{what}: {computed} is computed, {measured} was measured");
    }

    #[test]
    fn memory_is_what_the_benches_measured() {
        let (small, million) = (load(100.0, 1e5, 1.0), load(1_000.0, 1e6, 15.0));
        // benches/results: "memory at 100 k series", the lowest and the highest of the runs since 20261121T173603Z, and "at 1 M".
        for measured in [44.6e6, 56.1e6] {
            within("memory at 100 k series", small.memory().scraping(), measured, 1.25);
        }
        within("memory at 1 M series", million.memory().scraping(), 183e6, 1.25);
        // "memory after the queries" of the same runs; README, requests a second.
        for measured in [63.3e6, 83.7e6] {
            within("memory after the queries", small.memory().with_dashboards(), measured, 1.25);
        }
        within("memory after dashboards", million.memory().with_dashboards(), 243e6, 1.25);
        // README, recording rules and Kubernetes discovery.
        let rules = Load { rules: 10_000.0, ..load(20.0, 2e5, 15.0) };
        within("memory with rules", rules.memory().scraping(), 200e6, 1.25);
        let pods = Load { pods: 15_000.0, ..load(1.0, 1.0, 15.0) };
        within("memory with pods", pods.memory().scraping(), 315e6, 1.25);
    }

    #[test]
    fn cpu_is_what_the_benches_measured() {
        // benches/results: "CPU while scraping, % of a core", the lowest and the highest.
        for measured in [2.91, 4.32] {
            within("CPU of scraping", 100.0 * load(100.0, 1e5, 1.0).cpu().all(), measured, 1.75);
        }
        // README, recording rules: 0.070 s an interval for 20 targets of 10 000 series, 48 µs an evaluation on a faster machine.
        within("CPU of large scrapes", load(20.0, 2e5, 1.0).cpu().all(), 0.070, 1.25);
        let rules = Load { rules: 10_000.0, ..load(0.0, 0.0, 1.0) };
        within("CPU of rules", rules.cpu().all(), 0.48 * 1.43, 1.01);
        // benches/results/20261121T173603Z: "CPU per stored sample in pod churn", each of 100 pods replaced each 20 seconds.
        let churn = Load { new_series_per_day: 5_000.0 * DAY_SECONDS, ..load(100.0, 1e5, 1.0) };
        within("CPU in pod churn", churn.cpu().all(), 0.985e-6 * 1e5, 1.25);
    }

    #[test]
    fn disk_is_what_the_benches_measured() {
        let day = Load { retention_seconds: DAY_SECONDS, ..load(100.0, 1e5, 1.0) };
        let samples = day.samples_per_second() * DAY_SECONDS;
        // benches/results: "disk: values and times at rest", the lowest and the highest.
        for measured in [0.694, 0.766] {
            within("bytes a sample at rest", day.disk().pages / samples, measured, 1.1);
        }
        // 20261121T173603Z, `with_index_bytes` less `at_rest_bytes`: 100 000 series, and nine times as many of replaced pods.
        let index = Load { new_series_per_day: 9e5, ..day }.disk().index;
        within("bytes of the index", index, 22_147_371.0 - 16_467_172.0, 1.25);
    }

    #[test]
    fn what_is_asked_for_is_rounded_up() {
        let need = load(60.0, 150_000.0, 30.0);
        assert_eq!(need.memory().limit(), (256 << 20) as f64);
        assert_eq!(need.memory().request() % (16 << 20) as f64, 0.0);
        assert_eq!(need.cpu().request(), 0.05);
        assert_eq!(need.disk().volume() % (1 << 30) as f64, 0.0);
        assert!(need.disk().volume() > need.disk().all());
        assert_eq!((up_to(1.0, 1.0), up_to(1.5, 1.0), up_to(0.0, 2.0)), (1.0, 2.0, 2.0));
    }
}
