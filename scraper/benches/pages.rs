//! What a page costs from bytes to columns, in each format. `cargo bench -p scraper [-- <pods> <rounds>
//! <part of a name, such as "text new">]`.
//!
//! The page is what an ingress controller exposes: per pod a counter with five labels for each of eight status codes, a
//! histogram of twelve buckets, a gauge and a summary. `unchanged` has the same series with other values, `converted` is that
//! with its classic histograms made native ones; `new` has not
//! one series of the page before, as when all pods are replaced. The store behind it gives out ids and does nothing else.
//! Times are those that this thread had a CPU.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use model::{AppendError, Appender, Committed, Labels, Layout, MetricId, Scraped, SourceId, Timestamp};
use scraper::parse::{Entry, Format, Parser, Wanted};
use scraper::{Body, SampleRules, ScrapeCache};

const CODES: [&str; 8] = ["200", "201", "204", "301", "400", "404", "499", "503"];
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Gives out ids.
#[derive(Default)]
struct Ids(AtomicU32);

impl Appender for Ids {
    fn source(&self, _: &Labels) -> Result<SourceId, AppendError> {
        Ok(SourceId(0))
    }

    fn metrics(&self, labels: &[Labels]) -> Result<Vec<MetricId>, AppendError> {
        let count = u32::try_from(labels.len()).unwrap();
        let first = self.0.fetch_add(count, Ordering::Relaxed);
        Ok((first..first + count).map(MetricId).collect())
    }

    fn layout(&self, metrics: &[MetricId]) -> Result<Layout, AppendError> {
        Ok(Layout { metrics: metrics.into(), segments: [].into() })
    }

    fn commit_scrape(&self, _: &[Scraped<'_>]) -> Result<Committed, AppendError> {
        Ok(Committed::default())
    }
}

/// One family: its name, its type in text and in protobuf.
type Family = (&'static str, &'static str, u8);

const FAMILIES: [Family; 4] = [
    ("ingress_controller_requests", "counter", 0),
    ("ingress_controller_request_duration_seconds", "histogram", 4),
    ("ingress_controller_connections", "gauge", 1),
    ("ingress_controller_upstream_latency_seconds", "summary", 2),
];

/// The labels that all series of a pod have.
fn labels(generation: usize, pod: usize) -> [(&'static str, String); 4] {
    [
        ("namespace", format!("team-{}", pod % 7)),
        ("pod", format!("checkout-backend-{generation:05x}-{pod:05}")),
        ("ingress", "checkout-public".to_owned()),
        ("path", "/api/v1/orders".to_owned()),
    ]
}

/// A count that moves a little from round to round.
fn count(pod: usize, i: usize, round: usize) -> f64 {
    (pod * 7919 + i * 1_049 + round * (1 + i % 5)) as f64
}

fn decimal(pod: usize, i: usize, round: usize) -> f64 {
    count(pod, i, round) / 64.0 + 0.1
}

fn text_page(openmetrics: bool, pods: usize, generation: usize, round: usize) -> Vec<u8> {
    let mut out = String::new();
    for (at, (name, kind, _)) in FAMILIES.iter().enumerate() {
        writeln!(out, "# HELP {name} What the controller saw of it.\n# TYPE {name} {kind}").unwrap();
        for pod in 0..pods {
            let own = labels(generation, pod).map(|(name, value)| format!("{name}=\"{value}\"")).join(",");
            match at {
                0 => {
                    for (i, code) in CODES.iter().enumerate() {
                        writeln!(out, "{name}_total{{{own},status=\"{code}\"}} {}", count(pod, i, round)).unwrap();
                    }
                }
                1 => {
                    for (i, bound) in BOUNDS.iter().enumerate() {
                        write!(out, "{name}_bucket{{{own},le=\"{bound}\"}} {}", count(pod, i, round)).unwrap();
                        let exemplar = openmetrics && i % 4 == 0;
                        let exemplar =
                            if exemplar { " # {trace_id=\"4bf92f3577b34da6\"} 0.054 1520879607.789" } else { "" };
                        writeln!(out, "{exemplar}").unwrap();
                    }
                    writeln!(out, "{name}_bucket{{{own},le=\"+Inf\"}} {}", count(pod, 20, round)).unwrap();
                    writeln!(out, "{name}_sum{{{own}}} {}", decimal(pod, 20, round)).unwrap();
                    writeln!(out, "{name}_count{{{own}}} {}", count(pod, 20, round)).unwrap();
                }
                2 => writeln!(out, "{name}{{{own}}} {}", decimal(pod, 1, round)).unwrap(),
                _ => {
                    for quantile in ["0.5", "0.9", "0.99"] {
                        writeln!(out, "{name}{{{own},quantile=\"{quantile}\"}} {}", decimal(pod, 2, round)).unwrap();
                    }
                    writeln!(out, "{name}_sum{{{own}}} {}", decimal(pod, 3, round)).unwrap();
                    writeln!(out, "{name}_count{{{own}}} {}", count(pod, 3, round)).unwrap();
                }
            }
        }
    }
    if openmetrics {
        out.push_str("# EOF\n");
    }
    out.into_bytes()
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn double(out: &mut Vec<u8>, field: u8, number: f64) {
    out.push(field << 3 | 1);
    out.extend_from_slice(&number.to_le_bytes());
}

fn whole(out: &mut Vec<u8>, field: u8, number: f64) {
    out.push(field << 3);
    varint(out, number as u64);
}

fn metric(own: &[(&str, String)], more: Option<(&str, &str)>, field: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in own.iter().map(|(name, value)| (*name, value.as_str())).chain(more) {
        let mut pair = Vec::new();
        bytes(&mut pair, 1, name.as_bytes());
        bytes(&mut pair, 2, value.as_bytes());
        bytes(&mut out, 1, &pair);
    }
    bytes(&mut out, field, content);
    out
}

fn protobuf_page(pods: usize, generation: usize, round: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, (name, _, kind)) in FAMILIES.iter().enumerate() {
        let mut family = Vec::new();
        bytes(&mut family, 1, if at == 0 { format!("{name}_total") } else { (*name).to_owned() }.as_bytes());
        bytes(&mut family, 2, b"What the controller saw of it.");
        whole(&mut family, 3, f64::from(*kind));
        for pod in 0..pods {
            let own = labels(generation, pod);
            let mut inside = Vec::new();
            match at {
                0 => {
                    for (i, code) in CODES.iter().enumerate() {
                        inside.clear();
                        double(&mut inside, 1, count(pod, i, round));
                        bytes(&mut family, 4, &metric(&own, Some(("status", code)), 3, &inside));
                    }
                    continue;
                }
                1 => {
                    whole(&mut inside, 1, count(pod, 20, round));
                    double(&mut inside, 2, decimal(pod, 20, round));
                    for (i, bound) in BOUNDS.iter().enumerate() {
                        let mut bucket = Vec::new();
                        whole(&mut bucket, 1, count(pod, i, round));
                        double(&mut bucket, 2, *bound);
                        bytes(&mut inside, 3, &bucket);
                    }
                    bytes(&mut family, 4, &metric(&own, None, 7, &inside));
                }
                2 => {
                    double(&mut inside, 1, decimal(pod, 1, round));
                    bytes(&mut family, 4, &metric(&own, None, 2, &inside));
                }
                _ => {
                    whole(&mut inside, 1, count(pod, 3, round));
                    double(&mut inside, 2, decimal(pod, 3, round));
                    for quantile in [0.5, 0.9, 0.99] {
                        let mut one = Vec::new();
                        double(&mut one, 1, quantile);
                        double(&mut one, 2, decimal(pod, 2, round));
                        bytes(&mut inside, 3, &one);
                    }
                    bytes(&mut family, 4, &metric(&own, None, 4, &inside));
                }
            }
        }
        varint(&mut out, family.len() as u64);
        out.extend(family);
    }
    out
}

fn page(format: Format, pods: usize, generation: usize, round: usize) -> Vec<u8> {
    match format {
        Format::Text => text_page(false, pods, generation, round),
        Format::OpenMetrics | Format::OpenMetrics2 => text_page(true, pods, generation, round),
        Format::Protobuf => protobuf_page(pods, generation, round),
    }
}

/// How long this thread has had a CPU.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

fn report(what: &str, bytes: usize, samples: usize, took: Duration) {
    let seconds = took.as_secs_f64();
    println!("{what:<28} {:>8.0} MB/s {:>8.1} ns/sample", bytes as f64 / seconds / 1e6, seconds * 1e9 / samples as f64);
}

/// Reads pages into one target's layout, the first of them before the clock starts.
fn scrapes(what: &str, (format, wanted): (Format, Wanted), pages: &[Vec<u8>], rounds: usize) {
    let rules = SampleRules { honor_timestamps: true, ..SampleRules::default() };
    let store = Ids::default();
    let mut layout = ScrapeCache::new(Labels::from_pairs([("job", "ingress"), ("instance", "10.0.0.1:9100")]));
    let (mut read, mut samples, mut took) = (0, 0, Duration::ZERO);
    for round in 0..=rounds {
        let body = &pages[round % pages.len()];
        let ts = Timestamp(round as i64 * 15_000);
        let started = cpu();
        let (counts, result) = layout.read(Body { format, wanted, bytes: body }, &rules, ts, &store);
        result.unwrap();
        layout.commit(&store, ts, &[("up", 1.0)], false).unwrap();
        if round > 0 {
            took += cpu() - started;
            read += body.len();
            samples += counts.scraped;
        }
    }
    report(what, read, samples, took);
}

/// Every entry read as if it were new, with its labels.
fn parse(what: &str, format: Format, body: &[u8], rounds: usize) {
    let (mut samples, mut letters) = (0, 0);
    let started = cpu();
    for _ in 0..rounds {
        let mut parser = Parser::new(format, body);
        while let Some(entry) = parser.next_entry().unwrap() {
            let Entry::Series(sample) = entry else { continue };
            samples += 1;
            letters += parser.labels(&sample.series).unwrap().len();
        }
    }
    let took = cpu() - started;
    assert!(letters > samples);
    report(what, body.len() * rounds, samples, took);
}

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let (pods, rounds) = (numbers.first().copied().unwrap_or(500), numbers.get(1).copied().unwrap_or(40));
    let only = std::env::args().nth(3).unwrap_or_default();
    for (name, format) in [("text", Format::Text), ("openmetrics", Format::OpenMetrics), ("protobuf", Format::Protobuf)]
    {
        let same: Vec<_> = (0..4).map(|round| page(format, pods, 0, round)).collect();
        println!("{name}: {} bytes, {} series", same[0].len(), pods * 28);
        let new: Vec<_> = (0..4).map(|generation| page(format, pods, generation, 0)).collect();
        let wanted = |what: &str| format!("{name} {what}").contains(&only);
        if wanted("unchanged") {
            scrapes("  unchanged", (format, Wanted::default()), &same, rounds);
        }
        if wanted("converted") {
            let convert = Wanted { convert: true, ..Wanted::default() };
            scrapes("  unchanged, converted", (format, convert), &same, rounds);
        }
        if wanted("new") {
            scrapes("  new", (format, Wanted::default()), &new, rounds);
        }
        if wanted("parsed") {
            parse("  parsed, labels and all", format, &same[0], rounds);
        }
    }
}
