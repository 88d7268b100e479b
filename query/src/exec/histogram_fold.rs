//! `sum` and `avg` of native histograms: accumulators of a group, beside those of its floats.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Histogram;

use crate::Error;
use crate::annotations::{Annotation, AnnotationList, Operation};
use crate::functions::mixed::Hints;
use crate::histogram::{Combined, Incompatible, Mean, Sparse, Total};
use crate::parse::ast::AggregateOp;
use crate::value::{ABSENT, SAMPLE_BYTES, Series, is_absent, weight};

/// Accumulators of a group's histograms, by step.
#[derive(Debug, Default)]
pub(super) struct HistogramFold {
    slots: BTreeMap<u32, Slot>,
}

#[derive(Debug)]
struct Slot {
    /// `None` once incompatible bucket layouts were met.
    sum: Option<Sum>,
    hints: Hints,
    /// The memory reserved, in samples.
    weight: usize,
}

impl Slot {
    /// Reserves memory for a sum of this weight, beyond what is reserved already.
    fn hold(&mut self, weight: usize, hold: &mut Hold<'_>) -> Result<(), Error> {
        let more = weight.saturating_sub(self.weight);
        self.weight += more;
        if more > 0 { hold(0, more * SUM_BYTES) } else { Ok(()) }
    }
}

/// Reserves samples and memory.
type Hold<'h> = dyn FnMut(usize, usize) -> Result<(), Error> + 'h;

/// Memory of an accumulator per sample of weight: a bucket has an index and a Kahan compensation.
const SUM_BYTES: usize = 4 * SAMPLE_BYTES;
/// Memory of an accumulator besides its buckets.
const SLOT_BYTES: usize = 512;

#[derive(Debug)]
enum Sum {
    Total(Total),
    Mean(Mean),
}

impl Sum {
    fn new(op: AggregateOp, first: &Histogram) -> Self {
        if op == AggregateOp::Avg { Self::Mean(Mean::new(first)) } else { Self::Total(Total::new(first)) }
    }

    fn add(&mut self, histogram: &Histogram) -> Result<Combined, Incompatible> {
        match self {
            Self::Total(total) => total.add(histogram),
            Self::Mean(mean) => mean.add(histogram),
        }
    }

    /// An upper bound of the weight of the result, approximately.
    fn weight(&self) -> usize {
        match self {
            Self::Total(total) => total.weight(),
            Self::Mean(mean) => mean.weight(),
        }
    }

    fn finish(self) -> Histogram {
        match self {
            Self::Total(total) => total.finish(),
            Self::Mean(mean) => mean.finish(),
        }
    }
}

impl HistogramFold {
    /// Adds the histograms of a series; `hold` reserves samples and memory before they are allocated.
    pub(super) fn add(
        &mut self,
        op: AggregateOp,
        histograms: &Sparse,
        (annotations, hold): (&mut AnnotationList, &mut Hold<'_>),
    ) -> Result<(), Error> {
        for (step, histogram) in histograms {
            // A map, since in most groups few steps or none have histograms.
            let Some(slot) = self.slots.get_mut(step) else {
                let mut hints = Hints::default();
                hints.see(histogram);
                let samples = weight(histogram);
                hold(samples, samples * SUM_BYTES + SLOT_BYTES)?;
                self.slots.insert(*step, Slot { sum: Some(Sum::new(op, histogram)), hints, weight: samples });
                continue;
            };
            // Hints are compared among all members, also those that do not add up.
            slot.hints.see(histogram);
            // A sum weighs at least as much as each of its histograms.
            slot.hold(weight(histogram), hold)?;
            match slot.sum.as_mut().map(|sum| sum.add(histogram)) {
                Some(Ok(combined)) => annotations.bounds(combined, Operation::Aggregation),
                Some(Err(Incompatible)) => {
                    annotations.add(Annotation::MixedSchemas);
                    slot.sum = None;
                }
                None => {}
            }
            // Where bucket layouts differ the sum has the buckets of all of them, and weighs more.
            slot.hold(slot.sum.as_ref().map_or(0, Sum::weight), hold)?;
        }
        Ok(())
    }

    /// Puts the results into the series of the float results. A step with both kinds has no result.
    pub(super) fn finish(self, series: &mut Series, annotations: &mut AnnotationList) {
        for (step, slot) in self.slots {
            let float = &mut series.values[step as usize];
            // Floats and histograms in one group have no common result.
            if !is_absent(*float) {
                *float = ABSENT;
                if slot.sum.is_some() {
                    annotations.add(Annotation::MixedGroup);
                }
                continue;
            }
            let Some(sum) = slot.sum else { continue };
            if slot.hints.collide() {
                annotations.add(Annotation::ResetsCollide(Operation::Aggregation));
            }
            let mut histogram = sum.finish();
            histogram.compact();
            series.histograms.push((step, Arc::new(histogram)));
        }
    }
}
