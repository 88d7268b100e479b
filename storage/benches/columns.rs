//! What columns cost: bytes per sample, alone and in blocks that zstd has compressed, and time to write and read them.
//! `cargo bench -p storage --bench columns [-- <samples a column>]`.
//!
//! Each class is 64 series like each other, as the columns of a page are. MIX weighs the classes as a node exporter and a
//! service beside it would; `/proc` is this machine, watched for some seconds. Times are CPU times.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first error and prints")]
#![cfg_attr(test, allow(dead_code, unused_imports, reason = "the codec's tests run with the crate, not here"))]

#[path = "../src/pages/column/mod.rs"]
mod column;
/// What the codec takes from the rest of the crate.
#[path = "../src/kv"]
mod kv {
    pub(crate) mod varint;
    pub(crate) mod checksum {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Corrupt {
            Shape(&'static str),
        }
    }
}

#[path = "common/cpu.rs"]
mod cpu;

use cpu::cpu;
use std::time::Duration;

const SERIES: usize = 64;
/// RocksDB's, for pages.
const BLOCK_BYTES: usize = 32 << 10;
const ZSTD_LEVEL: i32 = 3;
/// How long something is repeated to be timed.
const TIMED: Duration = Duration::from_millis(400);

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Evenly spread over the decades between two numbers.
    fn decades(&mut self, from: f64, to: f64) -> f64 {
        from * (to / from).powf(self.unit())
    }

    /// Mean 0, deviation 1, nearly normal.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// How often something that happens `mean` times on average happened.
    fn count(&mut self, mean: f64) -> f64 {
        if mean < 8.0 {
            let n = (mean * 20.0).ceil();
            return (0..n as usize).filter(|_| self.chance(mean / n)).count() as f64;
        }
        (mean + self.normal() * mean.sqrt()).round().max(0.0)
    }
}

/// The values of one series.
type Column = Vec<f64>;

/// A counter from the increments that `step` gives, divided at last: sums of decimals would drift.
fn counter(random: &mut Random, samples: usize, divisor: f64, mut step: impl FnMut(&mut Random) -> f64) -> Column {
    let mut total = (random.decades(1e2, 1e7) * divisor).round();
    let next = |_| {
        total += step(random);
        total / divisor
    };
    (0..samples).map(next).collect()
}

fn constant(random: &mut Random, samples: usize) -> Column {
    let value = match random.next() % 5 {
        0 => 0.0,
        1 => 1.0,
        2 => random.decades(1.0, 1e9).floor(),
        3 => random.decades(1e3, 1e9).floor() * 4096.0,
        _ => (random.decades(1e8, 2e9) * 100.0).floor() / 100.0,
    };
    vec![value; samples]
}

fn slow_counter(random: &mut Random, samples: usize) -> Column {
    let probability = random.decades(0.003, 0.2);
    counter(random, samples, 1.0, |random| f64::from(u8::from(random.chance(probability))))
}

fn int_counter(random: &mut Random, samples: usize) -> Column {
    let mean = random.decades(3.0, 5000.0);
    counter(random, samples, 1.0, |random| random.count(mean))
}

fn bytes_counter(random: &mut Random, samples: usize) -> Column {
    let packets = random.decades(3.0, 5000.0);
    counter(random, samples, 1.0, |random| (random.count(packets) * (400.0 + random.normal() * 60.0)).round())
}

fn cpu_seconds(random: &mut Random, samples: usize) -> Column {
    let (mean, spread) = (random.decades(10.0, 1400.0), random.decades(3.0, 100.0));
    counter(random, samples, 100.0, |random| (mean + random.normal() * spread).round().clamp(0.0, 1500.0))
}

fn memory(random: &mut Random, samples: usize) -> Column {
    let (mut pages, spread) = (random.decades(1e4, 1e7).round(), random.decades(20.0, 2000.0));
    let next = |_| {
        if random.chance(0.6) {
            pages = (pages + random.normal() * spread).round().max(0.0);
        }
        pages * 4096.0
    };
    (0..samples).map(next).collect()
}

fn int_gauge(random: &mut Random, samples: usize) -> Column {
    let (mean, spread, stay) = (random.decades(3.0, 300.0), random.decades(0.5, 10.0), random.unit() * 0.8);
    let mut value = mean.round();
    let next = |_| {
        if !random.chance(stay) {
            value = (mean + random.normal() * spread).round().max(0.0);
        }
        value
    };
    (0..samples).map(next).collect()
}

fn one_decimal(random: &mut Random, samples: usize) -> Column {
    let mean = random.decades(20.0, 90.0);
    (0..samples).map(|_| (mean * 10.0 + random.normal() * 8.0).round() / 10.0).collect()
}

fn float_sum(random: &mut Random, samples: usize) -> Column {
    let (mut total, mean) = (random.decades(1e2, 1e6), random.decades(1.0, 500.0));
    let next = |_| {
        total += mean * (1.0 + 0.2 * random.normal()).max(0.0) * 0.037_123_456_789;
        total
    };
    (0..samples).map(next).collect()
}

/// Cumulative buckets of one histogram, one series each.
fn histogram(random: &mut Random, samples: usize) -> Vec<Column> {
    let n_buckets = 16;
    let (mean, centre) = (random.decades(3.0, 1000.0), 3.0 + random.unit() * 8.0);
    let mut totals = vec![0.0; n_buckets];
    let mut columns = vec![vec![]; n_buckets];
    for _ in 0..samples {
        let mut below = 0.0;
        for (i, (total, column)) in totals.iter_mut().zip(&mut columns).enumerate() {
            below += random.count(mean * (-(i as f64 - centre).powi(2) / 8.0).exp() / 5.0);
            *total += below;
            column.push(*total);
        }
    }
    columns
}

fn many(samples: usize, one: fn(&mut Random, usize) -> Column) -> Vec<Column> {
    (0..SERIES).map(|i| one(&mut Random(i as u64 * 7919), samples)).collect()
}

/// Every counter and gauge of some files of `/proc`, watched until there are so many samples of each.
fn proc_columns(samples: usize) -> Vec<Column> {
    const FILES: [&str; 8] =
        ["stat", "vmstat", "meminfo", "net/dev", "interrupts", "softirqs", "diskstats", "self/stat"];
    let never = std::sync::mpsc::channel::<()>();
    let mut columns: Vec<Column> = vec![];
    for sample in 0..samples {
        let mut i = 0;
        for file in FILES {
            let text = std::fs::read_to_string(format!("/proc/{file}")).unwrap_or_default();
            let factor = if file == "meminfo" { 1024.0 } else { 1.0 };
            for number in text.split_ascii_whitespace().filter_map(|word| word.parse::<u64>().ok()) {
                let divisor = if file == "stat" && i < 30 { 100.0 } else { 1.0 };
                if sample == 0 {
                    columns.push(vec![]);
                }
                if let Some(column) = columns.get_mut(i) {
                    column.push(number as f64 * factor / divisor);
                }
                i += 1;
            }
        }
        let _ = never.1.recv_timeout(Duration::from_millis(20));
    }
    columns
}

/// Nanoseconds per sample of a pass over columns, repeated until the clock's ticks do not matter.
fn timed(samples: usize, mut pass: impl FnMut()) -> f64 {
    let (start, mut passes) = (cpu(), 0);
    while cpu() - start < TIMED {
        (0..20).for_each(|_| pass());
        passes += 20;
    }
    (cpu() - start).as_nanos() as f64 / (passes * samples) as f64
}

/// Per sample.
#[derive(Clone, Copy, Default)]
struct Cost {
    bytes: f64,
    compressed: f64,
    encode_ns: f64,
    decode_ns: f64,
}

fn measure(name: &str, columns: &[Column]) -> Cost {
    let samples: usize = columns.iter().map(Vec::len).sum();
    let mut page = vec![];
    let mut ends = vec![];
    for values in columns {
        column::encode(values, &mut page);
        ends.push(page.len());
    }
    let compressed: usize =
        page.chunks(BLOCK_BYTES).map(|block| zstd::bulk::compress(block, ZSTD_LEVEL).unwrap().len()).sum();
    let mut scratch = Vec::with_capacity(page.len());
    let encode_ns = timed(samples, || {
        scratch.clear();
        columns.iter().for_each(|values| column::encode(values, &mut scratch));
    });
    let mut out = vec![];
    let decode_ns = timed(samples, || {
        let mut start = 0;
        for (values, &end) in columns.iter().zip(&ends) {
            out.clear();
            column::decode(&page[start..end], values.len(), &mut out).unwrap();
            start = end;
            assert_eq!(out.last().map(|v| v.to_bits()), values.last().map(|v| v.to_bits()));
        }
    });
    let per = |bytes: usize| bytes as f64 / samples as f64;
    let cost = Cost { bytes: per(page.len()), compressed: per(compressed), encode_ns, decode_ns };
    print_cost(name, &cost);
    cost
}

fn print_cost(name: &str, cost: &Cost) {
    println!(
        "{name:<14} {:>9.3} {:>9.3} {:>11.2} {:>11.2}",
        cost.bytes, cost.compressed, cost.encode_ns, cost.decode_ns
    );
}

fn main() {
    let samples = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(480);
    let classes: [(&str, f64, Vec<Column>); 10] = [
        ("const", 0.30, many(samples, constant)),
        ("slow counter", 0.20, many(samples, slow_counter)),
        ("histogram", 0.16, (0..4).flat_map(|i| histogram(&mut Random(i * 7919), samples)).collect()),
        ("int counter", 0.09, many(samples, int_counter)),
        ("bytes counter", 0.06, many(samples, bytes_counter)),
        ("cpu seconds", 0.05, many(samples, cpu_seconds)),
        ("int gauge", 0.05, many(samples, int_gauge)),
        ("memory 4K", 0.03, many(samples, memory)),
        ("one decimal", 0.02, many(samples, one_decimal)),
        ("float sum", 0.04, many(samples, float_sum)),
    ];
    println!("{samples} samples a column, bytes and CPU nanoseconds a sample");
    println!("{:<14} {:>9} {:>9} {:>11} {:>11}", "", "alone", "zstd", "encode", "decode");
    let mut mix = Cost::default();
    for (name, share, columns) in &classes {
        let cost = measure(name, columns);
        mix.bytes += share * cost.bytes;
        mix.compressed += share * cost.compressed;
        mix.encode_ns += share * cost.encode_ns;
        mix.decode_ns += share * cost.decode_ns;
    }
    print_cost("MIX", &mix);
    measure("/proc", &proc_columns(480));
}
