//! The value of a series at a time: a pure function, so that any scrape can be foretold and repeated.

/// How a series moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Never.
    Constant(f64),
    /// A counter of whole events, so many a second on average.
    Counter(f64),
    /// A counter of seconds or the like, so much a second; with a number of decimals, or as many as fit.
    Seconds(f64, Option<u8>),
    /// Events of a histogram up to a bucket: the rate of all, and the bucket's share of them.
    Bucket(f64, f64),
    /// A whole number that is held for a while and then another one: the lowest, and how far above it.
    Level(f64, f64),
    /// Bytes in pages of 4096, drifting.
    Bytes(f64, f64),
    /// A number that drifts with noise, with a number of decimals or as many as fit.
    Float(f64, f64, Option<u8>),
    /// Whole seconds since the target was born.
    Uptime,
}

/// What one series of one target is: its seed, and how busy the target is.
#[derive(Clone, Copy, Debug)]
pub struct Of {
    /// From the target and the series.
    pub seed: u64,
    /// The target's share of the load, about 1.
    pub load: f64,
}

/// The value `age_ms` after the target was born.
#[must_use]
pub fn at(kind: Kind, of: Of, age_ms: u64) -> f64 {
    match kind {
        Kind::Constant(value) => value,
        Kind::Counter(rate) => events(rate, of, age_ms).floor(),
        Kind::Seconds(rate, decimals) => round(events(rate, of, age_ms), decimals),
        Kind::Bucket(rate, share) => (events(rate, of, age_ms) * share).floor(),
        Kind::Level(low, span) => {
            let held = 7_000 + of.seed % 53_000;
            low + (span * unit(of.seed, age_ms / held)).floor()
        }
        Kind::Bytes(low, span) => ((low + span * drift(of.seed, age_ms)) / 4096.0).floor() * 4096.0,
        Kind::Float(low, span, decimals) => round(low + span * drift(of.seed, age_ms), decimals),
        Kind::Uptime => seconds(age_ms).floor(),
    }
}

/// Two numbers make a third that looks like chance (splitmix64).
#[must_use]
pub fn mix(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number from 0 up to 1.
#[must_use]
pub fn unit(seed: u64, n: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let value = (mix(seed, n) >> 11) as f64;
    value / 9_007_199_254_740_992.0
}

/// Events so far. Time runs on a clock that is fast for some seconds and slow for others, and never backwards: at the
/// k-th step of length L that clock shows `L * (k + 0.8 u)`, with u from 0 to 1, and a straight line in between.
fn events(rate: f64, of: Of, age_ms: u64) -> f64 {
    let step_ms = 3_000 + of.seed % 27_000;
    let (k, part) = (age_ms / step_ms, seconds(age_ms % step_ms) / seconds(step_ms));
    let (here, next) = (0.8 * unit(of.seed, k), 1.0 + 0.8 * unit(of.seed, k + 1));
    #[expect(clippy::cast_precision_loss, reason = "a number of steps")]
    let steps = k as f64 + here + (next - here) * part;
    rate * of.load * steps * seconds(step_ms)
}

/// From 0 to 1: mostly a line between turning points, and a little noise each second.
fn drift(seed: u64, age_ms: u64) -> f64 {
    let step_ms = 20_000 + seed % 100_000;
    let (k, part) = (age_ms / step_ms, seconds(age_ms % step_ms) / seconds(step_ms));
    let (here, next) = (unit(seed, k), unit(seed, k + 1));
    0.9 * (here + (next - here) * part) + 0.1 * unit(!seed, age_ms / 1_000)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of some years")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn round(value: f64, decimals: Option<u8>) -> f64 {
    match decimals {
        None => value,
        Some(n) => {
            let scale = 10_f64.powi(i32::from(n));
            (value * scale).round() / scale
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_never_fall_and_keep_their_rate() {
        for seed in 0..50 {
            let of = Of { seed: mix(7, seed), load: 1.0 };
            let mut last = 0.0;
            for second in 0..1_000 {
                let now = at(Kind::Counter(40.0), of, second * 1_000);
                assert!(now >= last, "seed {seed}, second {second}: {now} after {last}");
                last = now;
            }
            assert!((last / 999.0 - 40.0).abs() < 2.0, "seed {seed}: {} a second", last / 999.0);
        }
    }

    #[test]
    fn buckets_are_cumulative_at_any_time() {
        let of = Of { seed: 3, load: 0.7 };
        for ms in (0..100_000).step_by(731) {
            let shares = [0.1, 0.5, 0.93, 1.0].map(|share| at(Kind::Bucket(12.0, share), of, ms));
            assert!(shares.is_sorted(), "{shares:?}");
        }
    }
}
