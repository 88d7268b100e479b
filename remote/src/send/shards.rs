//! How many requests are sent at once (upstream: `calculateDesiredShards`).

use std::time::Duration;

/// How often the number is looked at.
pub(super) const EVERY: Duration = Duration::from_secs(10);
/// Weight of the latest period in rates.
const WEIGHT: f64 = 0.2;
/// A number that is this part off stays.
const TOLERANCE: f64 = 0.3;
/// Of what is behind so much is to be caught up each second.
const CATCH_UP: f64 = 0.05;
/// With more than this behind, the number does not fall.
const BEHIND: f64 = 10.0;

/// The number of shards of one remote.
#[derive(Debug)]
pub(super) struct Shards {
    min: usize,
    max: usize,
    pub(super) current: usize,
    /// What would be best, whatever the bounds are.
    pub(super) desired: f64,
    read: Rate,
    sent: Rate,
    seconds: Rate,
}

/// Something per second.
#[derive(Debug, Default)]
struct Rate {
    now: u64,
    per_second: Option<f64>,
}

impl Rate {
    fn tick(&mut self, period: Duration) -> f64 {
        let latest = std::mem::take(&mut self.now) as f64 / period.as_secs_f64().max(1e-3);
        let rate = self.per_second.map_or(latest, |before| before + WEIGHT * (latest - before));
        self.per_second = Some(rate);
        rate
    }
}

impl Shards {
    pub(super) fn new(min: i64, max: i64) -> Self {
        let [min, max] = [min, max].map(|n| usize::try_from(n).unwrap_or(1).max(1));
        let (read, sent, seconds) = Default::default();
        Self { min, max, current: min, desired: min as f64, read, sent, seconds }
    }

    /// So many samples were stored that are to be sent.
    pub(super) fn came(&mut self, samples: u64) {
        self.read.now += samples;
    }

    /// A request with so many samples took so long.
    pub(super) fn sent(&mut self, samples: u64, took: Duration) {
        self.sent.now += samples;
        self.seconds.now += u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    }

    /// Looks again, after this time and with the sending so many seconds behind.
    pub(super) fn update(&mut self, period: Duration, behind: f64) {
        let (came, sent) = (self.read.tick(period), self.sent.tick(period));
        let busy = self.seconds.tick(period) / 1e6;
        if sent <= 0.0 {
            return;
        }
        self.desired = busy / sent * (came + CATCH_UP * behind * came);
        let (current, wanted) = (self.current as f64, self.desired.ceil());
        if (current * (1.0 - TOLERANCE)..=current * (1.0 + TOLERANCE)).contains(&wanted) {
            return;
        }
        let wanted = (wanted as usize).clamp(self.min, self.max);
        if wanted > self.current || behind <= BEHIND {
            self.current = wanted;
        }
    }

    /// Samples that come each second, as far as is known.
    pub(super) fn came_per_second(&self) -> f64 {
        self.read.per_second.unwrap_or_default()
    }

    /// Samples that are sent each second, as far as is known.
    pub(super) fn sent_per_second(&self) -> f64 {
        self.sent.per_second.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(shards: &mut Shards, (came, sent, ms): (u64, u64, u64), behind: f64) -> usize {
        shards.came(came);
        shards.sent(sent, Duration::from_millis(ms));
        shards.update(EVERY, behind);
        shards.current
    }

    #[test]
    fn there_are_as_many_as_the_receiver_needs_time() {
        let mut shards = Shards::new(1, 8);
        // 1000 samples a second, 2 ms each 1000: nearly nothing to do.
        assert_eq!(after(&mut shards, (10_000, 10_000, 20), 1.0), 1);
        // A sample takes 3 ms: three at once are busy with 1000 a second.
        let mut shards = Shards::new(1, 8);
        assert_eq!(after(&mut shards, (10_000, 3_333, 9_999), 1.0), 4);
        assert_eq!(after(&mut shards, (10_000, 10_000, 30_000), 1.0), 4, "near enough");
        // Far behind more are wanted than there may be.
        assert_eq!(after(&mut shards, (10_000, 10_000, 30_000), 600.0), 8);
        assert!(shards.desired > 90.0, "{}", shards.desired);
        for _ in 0..20 {
            after(&mut shards, (10_000, 10_000, 20), 11.0);
        }
        assert_eq!(shards.current, 8, "not fewer as long as it is behind");
        assert_eq!(after(&mut shards, (10_000, 10_000, 20), 1.0), 1);
    }

    #[test]
    fn nothing_sent_says_nothing() {
        let mut shards = Shards::new(2, 4);
        assert_eq!(after(&mut shards, (10_000, 0, 0), 100.0), 2);
        assert_eq!((shards.came_per_second(), shards.sent_per_second()), (1000.0, 0.0));
    }
}
