//! Measures nodes while they are evaluated (`explain=analyze`). Otherwise the overhead is one branch per node.

use std::time::{Duration, Instant};

use super::evaluator::{Evaluator, Sink};
use crate::Error;
use crate::plan::NodeId;
use crate::value::Series;

impl Evaluator<'_> {
    /// Measures a node whose result is held whole; `size` says how many series and samples that has.
    pub(super) fn measured<T>(
        &self,
        id: NodeId,
        work: impl FnOnce() -> Result<T, Error>,
        size: impl FnOnce(&T) -> (usize, usize),
    ) -> Result<T, Error> {
        let Some(profile) = self.query.profile else { return work() };
        // The peak starts anew for this node; afterwards the larger one is that of the node around it.
        let (begun, before, peak) = (Instant::now(), self.held().bytes, self.taken.take_peak());
        let done = work();
        let took = begun.elapsed();
        profile.add(id, took, done.as_ref().map_or((0, 0), size));
        let own_peak = self.taken.take_peak().saturating_sub(before);
        self.taken.restore_peak(peak.max(before + own_peak));
        profile.held(id, own_peak);
        done
    }

    /// Measures a node that streams its series: time spent in the consumer is not counted.
    pub(super) fn measured_stream(
        &self,
        id: NodeId,
        sink: &mut Sink<'_>,
        work: impl FnOnce(&mut Sink<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(profile) = self.query.profile else { return work(sink) };
        // The sink evaluates the nodes above this one, and is measured there.
        let (mut outside, mut series, mut samples) = (Duration::ZERO, 0, 0);
        let begun = Instant::now();
        let done = work(&mut |one: Series| {
            series += 1;
            samples += one.present();
            let handed_on = Instant::now();
            let done = sink(one);
            outside += handed_on.elapsed();
            done
        });
        profile.add(id, begun.elapsed().saturating_sub(outside), (series, samples));
        done
    }
}
