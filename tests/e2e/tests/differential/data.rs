//! The samples that both servers are given: two hours of them on pages of protobuf, each with its time. Names, values
//! and gaps are fixed; only the time of the first sample is not.

use kit::wire::{Family, Histogram, Kind, Value};

/// From the first sample to the last.
pub const LENGTH_MS: i64 = 2 * 60 * 60 * 1000;

const MINUTE_MS: i64 = 60_000;

/// The stale marker: a NaN of its own.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// A series: labels, and its samples by time.
struct Series {
    labels: Vec<(&'static str, String)>,
    samples: Vec<(i64, Value)>,
}

/// The times of a series: so far apart, shifted, and without those that `keep` refuses.
fn times(start_ms: i64, every_ms: i64, shift_ms: i64, keep: impl Fn(i64) -> bool) -> Vec<(i64, i64)> {
    let all = (0..=LENGTH_MS / every_ms).filter(|i| keep(*i));
    all.map(|i| (i, start_ms + i * every_ms + shift_ms)).filter(|(_, ms)| *ms <= start_ms + LENGTH_MS).collect()
}

/// A number from 0 to 1 that looks random.
fn noise(i: i64, seed: i64) -> f64 {
    let mixed = i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed.wrapping_mul(1_442_695_040_888_963_407));
    (mixed >> 33).rem_euclid(10_007) as f64 / 10_007.0
}

fn labels(job: &str, instance: i64) -> Vec<(&'static str, String)> {
    vec![("job", job.to_owned()), ("instance", format!("i{instance}"))]
}

/// The families with their series.
fn families(start_ms: i64) -> [(&'static str, Kind, Vec<Series>); 10] {
    [
        ("requests_total", Kind::Counter, counters(start_ms)),
        ("load", Kind::Gauge, gauges(start_ms)),
        ("odd", Kind::Gauge, odd(start_ms)),
        ("my.metric", Kind::Untyped, utf8(start_ms)),
        ("target_info", Kind::Gauge, infos(start_ms)),
        ("latency_seconds_bucket", Kind::Counter, classic(start_ms)),
        ("native_seconds", Kind::Histogram, native(start_ms, false)),
        ("native_size", Kind::GaugeHistogram, native(start_ms, true)),
        ("mixed", Kind::Gauge, mixed(start_ms, false)),
        ("mixed", Kind::Histogram, mixed(start_ms, true)),
    ]
}

/// How many samples there are, besides stale markers.
pub fn count(start_ms: i64) -> usize {
    let is_sample = |value: &Value| !matches!(value, Value::Float(value) if value.to_bits() == STALE.to_bits());
    let series = families(start_ms).into_iter().flat_map(|(.., series)| series);
    series.map(|one| one.samples.iter().filter(|(_, value)| is_sample(value)).count()).sum()
}

/// The pages, beginning at a time, one for each minute: of a histogram Weft takes one sample of a page.
pub fn pages(start_ms: i64) -> Vec<Vec<u8>> {
    let families = families(start_ms);
    let page = |number: i64| {
        let mut out = Vec::new();
        for (name, kind, series) in &families {
            let mut family = Family::new(name, *kind);
            for one in series {
                let of_page = |ts_ms: i64| (ts_ms - start_ms) / MINUTE_MS == number;
                for (ts_ms, value) in one.samples.iter().filter(|(ts_ms, _)| of_page(*ts_ms)) {
                    family.sample(&one.labels, *ts_ms, value);
                }
            }
            out.extend(family.delimited());
        }
        out
    };
    (0..=LENGTH_MS / MINUTE_MS).map(page).collect()
}

/// Counters with resets, gaps, and every density.
fn counters(start_ms: i64) -> Vec<Series> {
    let mut all = Vec::new();
    for (n, (job, code)) in
        [("api", "200"), ("api", "500"), ("web", "200"), ("web", "404"), ("db", "200")].iter().enumerate()
    {
        for instance in 0..3i64 {
            let n = n as i64;
            let every_ms = [15_000, 30_000, 60_000][instance as usize];
            let gap = move |i: i64| (n + instance) % 4 != 3 || !(40..70).contains(&(i % 100));
            let mut value = 0.0;
            let samples = times(start_ms, every_ms, 137 * n + 1_001 * instance, gap).into_iter().map(|(i, ms)| {
                value += (noise(i, n) * 10.0).floor() * if n == 4 { 0.1 } else { 1.0 };
                if (i + n * 7) % 97 == 96 {
                    value = noise(i, 5);
                }
                (ms, Value::Float(value))
            });
            let samples = samples.collect();
            let mut labels = labels(job, instance);
            labels.push(("code", (*code).to_owned()));
            all.push(Series { labels, samples });
        }
    }
    all
}

/// Gauges of all signs and sizes, some of them constant.
fn gauges(start_ms: i64) -> Vec<Series> {
    let mut all = Vec::new();
    for (n, job) in ["api", "web", "db"].iter().enumerate() {
        for instance in 0..3i64 {
            let n = n as i64;
            let samples =
                times(start_ms, 30_000, 11 * n, move |i| instance != 2 || i % 5 != 0).into_iter().map(|(i, ms)| {
                    let value = match (n, instance) {
                        (0, 0) => 3.0,
                        (0, _) => (i as f64 / 20.0).sin() * 100.0,
                        (1, _) => noise(i, instance) * 1e9 - 5e8,
                        (_, 1) => (i % 7) as f64 - 3.0,
                        _ => noise(i, 9) * 1e-7,
                    };
                    (ms, Value::Float(value))
                });
            all.push(Series { samples: samples.collect(), labels: labels(job, instance) });
        }
    }
    all
}

/// Values that are no numbers, stale markers, one lone sample.
fn odd(start_ms: i64) -> Vec<Series> {
    let of = |kind: &str, value: &dyn Fn(i64) -> f64| {
        let times = times(start_ms, 60_000, 0, |i| kind != "lone" || i == 60);
        let samples = times.into_iter().map(|(i, ms)| (ms, Value::Float(value(i)))).collect();
        let mut labels = labels("odd", 9);
        labels.push(("kind", kind.to_owned()));
        Series { labels, samples }
    };
    let plain = |i: i64| i as f64;
    vec![
        of("nan", &|i| if i % 10 == 0 { f64::NAN } else { plain(i) }),
        of("inf", &|i| if i % 15 == 3 { f64::INFINITY } else { -plain(i) }),
        of("both", &|i| [f64::INFINITY, f64::NEG_INFINITY, 1.0][usize::try_from(i % 3).unwrap()]),
        of("stale", &|i| if i % 20 == 10 { STALE } else { plain(i % 20) }),
        of("zero", &|i| if i % 2 == 0 { 0.0 } else { -0.0 }),
        of("huge", &|i| if i % 2 == 0 { 1.7e308 } else { 1.6e308 }),
        of("lone", &plain),
    ]
}

fn utf8(start_ms: i64) -> Vec<Series> {
    let samples = times(start_ms, 30_000, 0, |_| true).into_iter().map(|(i, ms)| (ms, Value::Float(noise(i, 3))));
    let labels = vec![("my.label", "ä".to_owned()), ("job", "api".to_owned()), ("instance", "i0".to_owned())];
    vec![Series { labels, samples: samples.collect() }]
}

/// Facts about the instances, which change half way.
fn infos(start_ms: i64) -> Vec<Series> {
    let mut all = Vec::new();
    for job in ["api", "web"] {
        for instance in 0..3 {
            for version in ["1.0", "2.0"] {
                let times = times(start_ms, 60_000, 0, |i| (i < 60) == (version == "1.0"));
                let samples = times.into_iter().map(|(_, ms)| (ms, Value::Float(1.0))).collect();
                let mut labels = labels(job, instance);
                labels.push(("version", version.to_owned()));
                all.push(Series { labels, samples });
            }
        }
    }
    all
}

/// A classic histogram, one of its buckets missing in one of the series.
fn classic(start_ms: i64) -> Vec<Series> {
    let mut all = Vec::new();
    for instance in 0..3i64 {
        for (n, le) in ["0.1", "0.5", "1.0", "5.0", "+Inf"].iter().enumerate() {
            if instance == 2 && n == 2 {
                continue;
            }
            let mut value = 0.0;
            let samples = times(start_ms, 30_000, 0, |_| true).into_iter().map(|(i, ms)| {
                let all: f64 = (0..=n as i64).map(|k| (noise(i, 20 + k + instance) * 5.0).floor()).sum();
                value += all;
                (ms, Value::Float(value))
            });
            let samples = samples.collect();
            let mut labels = labels("api", instance);
            labels.push(("le", (*le).to_owned()));
            all.push(Series { labels, samples });
        }
    }
    all
}

/// Native histograms of several schemas; those of counters grow and are reset.
fn native(start_ms: i64, gauge: bool) -> Vec<Series> {
    let mut all = Vec::new();
    for instance in 0..4i64 {
        let schema = [0, 2, 2, -1][usize::try_from(instance).unwrap()];
        let mut counts = [0u64; 6];
        let samples =
            times(start_ms, 60_000, 101 * instance, |i| instance != 3 || i % 9 != 0).into_iter().map(|(i, ms)| {
                if gauge || (i + instance) % 80 == 79 {
                    counts = [0; 6];
                }
                for (k, count) in counts.iter_mut().enumerate() {
                    let more = (noise(i, 40 + k as i64 + instance) * 4.0) as u64;
                    *count += more;
                }
                (ms, Value::Histogram(histogram(schema, counts)))
            });
        let samples = samples.collect();
        all.push(Series { labels: labels(if instance < 2 { "api" } else { "web" }, instance), samples });
    }
    all
}

/// Three buckets above zero with a hole between them, two below, and the zero bucket.
fn histogram(schema: i64, counts: [u64; 6]) -> Histogram {
    let sum = counts[1] as f64 * 1.5 + counts[3] as f64 * 20.0 - counts[4] as f64 * 2.0;
    Histogram {
        schema,
        sum,
        zero_threshold: 0.001,
        zero_count: counts[0],
        positive: (vec![(0, 2), (2, 1)], counts[1..4].to_vec()),
        negative: (vec![(1, 2)], counts[4..6].to_vec()),
    }
}

/// A series that is floats for an hour and then histograms.
fn mixed(start_ms: i64, histograms: bool) -> Vec<Series> {
    let times = times(start_ms, 60_000, 0, |i| (i >= 60) == histograms);
    let samples = times.into_iter().map(|(i, ms)| {
        let value = if histograms {
            Value::Histogram(histogram(0, [1, 2, 3, 4, 5, u64::try_from(i).unwrap()]))
        } else {
            Value::Float(noise(i, 77))
        };
        (ms, value)
    });
    vec![Series { labels: labels("api", 0), samples: samples.collect() }]
}
