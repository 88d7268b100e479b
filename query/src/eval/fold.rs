//! Sums and means of a group's histograms, beside those of its floats.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Histogram;

use crate::functions::mixed::Hints;
use crate::histogram::{Combined, Incompatible, Mean, Sparse, Total};
use crate::notes::{Operation, Remark, Remarks};
use crate::parse::ast::AggregateOp;
use crate::value::{ABSENT, Series, is_absent, weight};

/// What a group has seen of histograms, by step.
#[derive(Debug, Default)]
pub(super) struct HistogramFold {
    slots: BTreeMap<u32, Slot>,
}

#[derive(Debug)]
struct Slot {
    /// `None` once something came that does not go together with the rest.
    sum: Option<Sum>,
    hints: Hints,
}

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

    fn finish(self) -> Histogram {
        match self {
            Self::Total(total) => total.finish(),
            Self::Mean(mean) => mean.finish(),
        }
    }
}

impl HistogramFold {
    /// Adds the histograms of a series. What is held since, in samples.
    pub(super) fn add(&mut self, op: AggregateOp, histograms: &Sparse, remarks: &mut Remarks) -> usize {
        let mut held = 0;
        for (step, histogram) in histograms {
            let Some(slot) = self.slots.get_mut(step) else {
                let mut hints = Hints::default();
                hints.see(histogram);
                self.slots.insert(*step, Slot { sum: Some(Sum::new(op, histogram)), hints });
                held += weight(histogram);
                continue;
            };
            slot.hints.see(histogram);
            match slot.sum.as_mut().map(|sum| sum.add(histogram)) {
                Some(Ok(combined)) => remarks.bounds(combined, Operation::Aggregation),
                Some(Err(Incompatible)) => {
                    remarks.add(Remark::MixedSchemas);
                    slot.sum = None;
                }
                None => {}
            }
        }
        held
    }

    /// Puts the sums into a series of those of floats. A step that has both has neither.
    pub(super) fn finish(self, series: &mut Series, remarks: &mut Remarks) {
        for (step, slot) in self.slots {
            let float = &mut series.values[step as usize];
            if !is_absent(*float) {
                *float = ABSENT;
                if slot.sum.is_some() {
                    remarks.add(Remark::MixedGroup);
                }
                continue;
            }
            let Some(sum) = slot.sum else { continue };
            if slot.hints.collide() {
                remarks.add(Remark::ResetsCollide(Operation::Aggregation));
            }
            let mut histogram = sum.finish();
            histogram.compact();
            series.histograms.push((step, Arc::new(histogram)));
        }
    }
}
