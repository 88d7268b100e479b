//! Scrape times: a target is scraped at an offset within the interval that is a hash of its labels and URL, so that a restart
//! moves no scrape and the targets of a job are spread evenly (upstream: `scrape/target.go`). Offsets are rounded down to
//! slots of some milliseconds, because scrapes that begin together cost less.

use std::time::Duration;

use model::{Labels, Timestamp};
use tokio::time::Instant;

/// 64-bit FNV-1a.
#[must_use]
pub(crate) fn fnv1a(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A seed of host name and external labels, so that replicas scrape at different times.
#[must_use]
pub fn server_seed(hostname: &str, external_labels: &Labels) -> u64 {
    fnv1a(&[hostname.as_bytes(), format!("{external_labels:?}").as_bytes()])
}

/// The hash of a target, of all its labels and its URL.
#[must_use]
pub(crate) fn target_hash(labels: &Labels, url: &str) -> u64 {
    fnv1a(&[format!("{:016}", labels.hash64()).as_bytes(), url.as_bytes()])
}

/// About how many scrapes should begin together, and the longest slot of all threads together, nanoseconds.
/// `docs/decisions/0010-scrapes-begin-together.md`
const TOGETHER: u128 = 32;
const GATHERED_NS: u64 = 40_000_000;
/// The least number of slots of an interval.
const SLOTS_MIN: u64 = 50;

/// The length of a slot in nanoseconds, for `per_1000_s` scrapes in 1000 seconds. Scrapes of one slot begin together at its
/// start, on one thread.
#[must_use]
pub(crate) fn slot_ns(per_1000_s: u64, threads: u64, interval_ns: u64) -> u64 {
    let mut slot_ns = GATHERED_NS / threads;
    // Halves, so that what began in longer slots begins with some of the shorter ones.
    while slot_ns > 1 && u128::from(per_1000_s) * u128::from(slot_ns) > TOGETHER * 1_000_000_000_000 {
        slot_ns /= 2;
    }
    slot_ns.min(interval_ns / SLOTS_MIN).max(1)
}

/// The offset of a target: nanoseconds after the start of the interval.
#[must_use]
pub(crate) fn offset_ns(hash: u64, seed: u64, interval_ns: u64, slot_ns: u64) -> u64 {
    let offset = (hash ^ seed) % interval_ns;
    offset - offset % slot_ns
}

/// Nanoseconds from `now_ns` (since the epoch) until the target's next scrape; more than 0, at most the interval.
#[must_use]
pub(crate) fn until_next_ns(now_ns: u64, interval_ns: u64, offset_ns: u64) -> u64 {
    let next = interval_ns - now_ns % interval_ns + offset_ns;
    if next > interval_ns { next - interval_ns } else { next }
}

/// The timestamp of a scrape: the exact tick if the scrape began within a hundredth of the interval of it
/// (2 ms at most), which keeps timestamps regular and compressible (upstream: `ScrapeTimestampTolerance`); else its start.
#[must_use]
pub(crate) fn aligned(began: Timestamp, tick: Timestamp, interval_ms: i64) -> Timestamp {
    let tolerance_ms = (interval_ms / 100).min(2);
    if (began - tick).abs() <= tolerance_ms { tick } else { began }
}

/// A difference between wall clock and monotonic clock beyond which the wall clock counts as set, milliseconds.
const CLOCK_SET_MS: i64 = 10;

/// The wall clock times of the ticks of one loop. Ticks follow the monotonic clock, which is never set and stands still while
/// the machine is suspended.
#[derive(Debug)]
pub(crate) struct TickTimes {
    start: Instant,
    /// The wall clock at `start`, corrected whenever the clock is set.
    wall_start: Option<Timestamp>,
}

impl TickTimes {
    /// For ticks from `start` on.
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, wall_start: None }
    }

    /// The time of a tick. After the clock was set it follows the new time, and later ticks are whole intervals
    /// after it.
    pub(crate) fn of(&mut self, due: Instant, now: &dyn Fn() -> Timestamp) -> Timestamp {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let since_ms = ms(due.saturating_duration_since(self.start));
        let by_the_wall = || now() - ms(Instant::now().saturating_duration_since(due)) - since_ms;
        let is_set = |wall_start: Timestamp| (by_the_wall() - wall_start).abs() > CLOCK_SET_MS;
        // The thread may be held up between the two clocks: twice in a row is no accident.
        let wall_start = match self.wall_start {
            Some(wall_start) if !is_set(wall_start) || !is_set(wall_start) => wall_start,
            _ => by_the_wall(),
        };
        self.wall_start = Some(wall_start);
        wall_start + since_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_test_vectors() {
        assert_eq!(fnv1a(&[b""]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(&[b"foo", b"bar"]), 0x8594_4171_f739_67e8);
    }

    /// scrape-094
    #[test]
    fn replicas_scrape_at_other_times() {
        let labels = |replica| Labels::from_pairs([("replica", replica), ("zone", "z")]);
        let seed = server_seed("host-a", &labels("1"));
        assert_eq!(seed, fnv1a(&[b"host-a{replica=\"1\", zone=\"z\"}"]), "upstream's");
        assert_ne!(seed, server_seed("host-b", &labels("1")));
        assert_ne!(seed, server_seed("host-a", &labels("2")));
    }

    /// scrape-093
    #[test]
    fn targets_are_spread_over_the_interval_and_keep_their_place() {
        let interval = 10_000_000_000;
        for slot in [1, slot_ns(0, 2, interval)] {
            let mut buckets = [0; 10];
            for i in 0..10_000 {
                let labels = Labels::from_pairs([("__address__", format!("10.0.0.{i}:80")), ("job", "j".into())]);
                let offset = offset_ns(target_hash(&labels, "http://x/metrics"), 7, interval, slot);
                let wait = until_next_ns(1_700_000_000_123_456_789, interval, offset);
                assert!(wait > 0 && wait <= interval);
                let at = 1_700_000_000_123_456_789 + wait;
                assert_eq!((at % interval, at % slot), (offset, 0));
                assert_eq!((at + until_next_ns(at, interval, offset)) % interval, at % interval);
                buckets[usize::try_from(at % interval / 1_000_000_000).unwrap()] += 1;
            }
            assert!(buckets.iter().all(|n| (850..1150).contains(n)), "{buckets:?}");
        }
    }

    #[test]
    fn a_slot_holds_a_few_scrapes_and_is_a_small_part_of_the_interval() {
        let second = 1_000_000_000;
        for (scrapes, threads, interval, expected) in [
            (0, 1, 15 * second, 40_000_000),
            (400_000, 2, second, 20_000_000),
            (1_600_000, 2, second, 20_000_000),
            (1_600_001, 2, second, 10_000_000),
            (u64::MAX, 64, second, 1),
            (0, 1, second / 10, 2_000_000),
            (0, 1, 10, 1),
        ] {
            assert_eq!(slot_ns(scrapes, threads, interval), expected, "{scrapes} {threads} {interval}");
        }
    }

    /// scrape-055
    #[test]
    fn times_snap_to_the_tick_only_when_close() {
        for (began, tick, interval_ms, expected) in
            [(10_002, 10_000, 15_000, 10_000), (10_003, 10_000, 15_000, 10_003), (101, 100, 50, 101)]
        {
            assert_eq!(aligned(Timestamp(began), Timestamp(tick), interval_ms), Timestamp(expected));
        }
    }
}
