//! Cost per node of a plan (`explain=analyze`), summed over threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::plan::{NodeCost, NodeId, Plan};

/// The cost of each node so far.
#[derive(Debug)]
pub(crate) struct Profile(Vec<Counts>);

/// The fields of [`NodeCost`].
#[derive(Debug, Default)]
struct Counts {
    evaluations: AtomicU64,
    reused: AtomicU64,
    nanoseconds: AtomicU64,
    series: AtomicU64,
    samples: AtomicU64,
    series_read: AtomicU64,
    samples_read: AtomicU64,
    peak_bytes: AtomicU64,
}

impl Profile {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self(plan.ids().map(|_| Counts::default()).collect())
    }

    /// The cost of a node; `None` if it was not evaluated.
    pub(crate) fn cost(&self, id: NodeId) -> Option<NodeCost> {
        let counts = self.0.get(id.index())?;
        // Relaxed: the threads of the query have ended when its cost is read.
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let cost = NodeCost {
            evaluations: get(&counts.evaluations),
            reused: get(&counts.reused),
            time: Duration::from_nanos(get(&counts.nanoseconds)),
            series: get(&counts.series),
            samples: get(&counts.samples),
            series_read: get(&counts.series_read),
            samples_read: get(&counts.samples_read),
            peak_bytes: get(&counts.peak_bytes),
        };
        (cost != NodeCost::default()).then_some(cost)
    }

    /// Counts one evaluation.
    pub(super) fn add(&self, id: NodeId, took: Duration, (series, samples): (usize, usize)) {
        let counts = &self.0[id.index()];
        let add = |count: &AtomicU64, more: u64| count.fetch_add(more, Ordering::Relaxed);
        add(&counts.evaluations, 1);
        add(&counts.nanoseconds, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        add(&counts.series, series as u64);
        add(&counts.samples, samples as u64);
    }

    /// Counts series and samples read by a scan.
    pub(super) fn read(&self, id: NodeId, (series, samples): (u64, u64)) {
        let counts = &self.0[id.index()];
        counts.series_read.fetch_add(series, Ordering::Relaxed);
        counts.samples_read.fetch_add(samples, Ordering::Relaxed);
    }

    /// Counts that a result, or the batches of a scan, came from a cache.
    pub(super) fn reused(&self, id: NodeId) {
        self.0[id.index()].reused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the peak memory of one evaluation.
    pub(super) fn held(&self, id: NodeId, bytes: usize) {
        self.0[id.index()].peak_bytes.fetch_max(bytes as u64, Ordering::Relaxed);
    }
}
