//! `target_info`: what is known of a resource, at the times of its points (upstream: `addResourceTargetInfo`).

use std::collections::HashSet;

use model::{Labels, Timestamp};

use super::values::ms;
use crate::receive::storing::{Stop, Storing};

/// So many samples of one resource in a request, the newest ones: its points may lie years apart.
const SAMPLES_MAX: u64 = 10_000;

/// What a request has said of resources so far.
#[derive(Debug)]
pub(super) struct TargetInfo {
    interval_ns: u64,
    /// Resources may be alike.
    seen: HashSet<(Labels, Timestamp)>,
}

impl TargetInfo {
    pub(super) fn new(lookback_ms: i64) -> Self {
        // So often that there always is one that counts.
        Self { interval_ns: lookback_ms.unsigned_abs().max(2).saturating_mul(500_000), seen: HashSet::new() }
    }

    /// Samples from the first to the last of these times, nanoseconds; at the last in any case.
    pub(super) fn put(
        &mut self,
        labels: &Labels,
        (first, last): (u64, u64),
        storing: &mut Storing<'_>,
    ) -> Result<(), Stop> {
        storing.begin(labels.clone())?;
        let steps = (last - first).div_ceil(self.interval_ns);
        for step in steps.saturating_sub(SAMPLES_MAX)..steps {
            self.sample(labels, ms(first + step * self.interval_ns), storing)?;
        }
        self.sample(labels, ms(last), storing)
    }

    fn sample(&mut self, labels: &Labels, ts: Timestamp, storing: &mut Storing<'_>) -> Result<(), Stop> {
        if self.seen.insert((labels.clone(), ts)) { storing.sample(ts, 1.0, None) } else { Ok(()) }
    }
}
