//! The machine, and what else it is doing.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

/// CPU times of the machine count in hundredths of a second on every Linux that Rust runs on (`getconf CLK_TCK`).
const TICK: Duration = Duration::from_millis(10);

/// Jobs that wanted a CPU, on average over the last minute.
#[must_use]
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

/// CPU time that all programs have used so far.
#[must_use]
pub fn busy() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // user, nice, system; idle and iowait are not work; irq, softirq, steal. Guests are in user already.
    let work = fields.take(8).enumerate().filter(|(i, _)| ![3, 4].contains(i));
    TICK * work.filter_map(|(_, field)| field.parse::<u32>().ok()).sum::<u32>()
}

/// What a reader needs to judge the numbers.
#[must_use]
pub fn describe() -> Value {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    json!({
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu": first("/proc/cpuinfo", "model name"),
        "memory": first("/proc/meminfo", "MemTotal"),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "load_at_start": load(),
    })
}
