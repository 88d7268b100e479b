//! Gaps in the samples of one replica, filled with those of another that scrapes the same target (Thanos deduplicates replicas for
//! the same reason, `pkg/dedup`).
//!
//! Both replicas see a counter rise, each by its own clock: samples that lie between each other could seem to fall, and `rate` would
//! take that for a reset. So one replica is read, and the other only where the first has nothing.

use super::Batch;
use crate::Timestamp;

/// The distance between samples where there are too few to tell.
const INTERVAL_MS: i64 = 60_000;

/// The indices of samples of a replica that lie in gaps of one's own, both ascending. A gap is more than one and a half times the usual
/// distance of samples wide, and what fills it keeps half of that distance from one's own samples.
#[must_use]
pub fn in_gaps(own: &[Timestamp], replica: &[Timestamp]) -> Vec<usize> {
    if own.is_empty() {
        return (0..replica.len()).collect();
    }
    let interval = usual_distance(own).or_else(|| usual_distance(replica)).unwrap_or(INTERVAL_MS);
    let wide = interval.saturating_add(interval / 2);
    let is_in_gap = |ts: &Timestamp| {
        let at = own.partition_point(|one| one <= ts);
        let after = own.get(at).map(|next| next.saturating_since(*ts));
        let before = own[..at].last().map(|last| ts.saturating_since(*last));
        match (before, after) {
            (Some(before), Some(after)) => {
                before.saturating_add(after) > wide && before >= interval / 2 && after >= interval / 2
            }
            (Some(away), None) | (None, Some(away)) => away > wide,
            (None, None) => true,
        }
    };
    (0..replica.len()).filter(|i| is_in_gap(&replica[*i])).collect()
}

/// The median of the distances.
fn usual_distance(times: &[Timestamp]) -> Option<i64> {
    let mut distances: Vec<i64> = times.windows(2).map(|pair| pair[1].saturating_since(pair[0])).collect();
    if distances.is_empty() {
        return None;
    }
    let middle = (distances.len() - 1) / 2;
    let (_, median, _) = distances.select_nth_unstable(middle);
    Some(*median)
}

impl Batch {
    /// A series, filled with what a replica has of it; each as [`Batch::into_series`] makes them.
    #[must_use]
    pub fn filled(self, mut replica: Self) -> Self {
        let slots = in_gaps(&self.timestamps, &replica.timestamps);
        let Some(column) = replica.columns.first_mut().filter(|_| !slots.is_empty()) else { return self };
        let mut present = vec![0u64; replica.timestamps.len().div_ceil(64)];
        for slot in slots {
            present[slot / 64] |= 1 << (slot % 64);
        }
        column.present = Some(present);
        let both = std::iter::once(self).chain(replica.into_series()).collect();
        Self::merge(both).expect("BUG: two batches were merged into none")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Labels};

    fn taken(own: &[i64], replica: &[i64]) -> Vec<i64> {
        let times = |list: &[i64]| list.iter().copied().map(Timestamp).collect::<Vec<_>>();
        in_gaps(&times(own), &times(replica)).into_iter().map(|i| replica[i]).collect()
    }

    #[test]
    fn a_replica_fills_gaps_and_nothing_else() {
        let replica: Vec<i64> = (0..12).map(|i| i * 15 + 4).collect();
        let own: Vec<i64> = (0..12).map(|i| i * 15).collect();
        assert_eq!(taken(&own, &replica), [0; 0], "no gap");
        // 60 to 105 are missing; what is too near to either side is left out.
        let gap: Vec<i64> = own.iter().copied().filter(|ts| !(60..=105).contains(ts)).collect();
        assert_eq!(taken(&gap, &replica), [64, 79, 94, 109]);
        assert_eq!(taken(&gap, &[46, 51, 52, 113, 114, 119]), [52, 113]);
        // One scrape was missed.
        let missed: Vec<i64> = own.iter().copied().filter(|ts| *ts != 60).collect();
        assert_eq!(taken(&missed, &replica), [64]);
        // Before the first and behind the last.
        assert_eq!(taken(&own[6..], &replica)[..], [4, 19, 34, 49, 64], "the first own one is at 90");
        assert_eq!(taken(&own[..3], &replica)[..], [64, 79, 94, 109, 124, 139, 154, 169], "the last own one is at 30");
        assert_eq!(taken(&[], &replica), replica);
        assert_eq!(taken(&own, &[]), [0; 0]);
    }

    #[test]
    fn a_single_sample_is_replaced_by_one_that_is_clearly_newer() {
        // The distance is the replica's.
        assert_eq!(taken(&[100], &[0, 15, 30, 45, 60, 75, 90, 105]), [0, 15, 30, 45, 60, 75]);
        assert_eq!(taken(&[100], &[85, 100, 115, 130]), [130]);
        assert_eq!(taken(&[100_000], &[150_000]), [0; 0]);
        assert_eq!(taken(&[100_000], &[200_000]), [200_000]);
    }

    #[test]
    fn a_series_keeps_its_own_samples() {
        let series = |samples: &[(i64, f64)]| {
            let column = Column {
                metric: Labels::from_pairs([("__name__", "a")]),
                values: samples.iter().map(|(_, value)| *value).collect(),
                ..Column::default()
            };
            let timestamps = samples.iter().map(|(ts, _)| Timestamp(*ts)).collect();
            Batch { timestamps, columns: vec![column], ..Batch::default() }
        };
        let own = series(&[(0, 0.0), (10, 1.0), (20, 2.0), (50, 5.0), (60, 6.0)]);
        let replica = series(&[(2, 9.0), (12, 9.0), (22, 9.0), (32, 3.0), (42, 4.0), (52, 9.0)]);
        let filled = own.clone().filled(replica);
        assert_eq!(filled.timestamps, [0, 10, 20, 32, 42, 50, 60].map(Timestamp));
        assert_eq!(filled.columns[0].values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(own.clone().filled(Batch::default()).timestamps, own.timestamps);
    }
}
