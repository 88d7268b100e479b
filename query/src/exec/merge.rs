//! Merges series that have equal labels, as after a name or a label was removed.

use model::Labels;

use super::evaluator::Evaluator;
use super::hash::HashMap;
use crate::Error;
use crate::value::{SAMPLE_BYTES, Series, is_absent, without_name};

/// Memory per series of the lookup by labels.
const MERGED_BYTES: usize = 192;

const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

impl Evaluator<'_> {
    /// Merges series with equal labels; two samples at one step are an error.
    pub(super) fn merged(&self, series: Vec<Series>) -> Result<Vec<Series>, Error> {
        // The map, and the new list.
        let _reserved = self.reserve(series.len().saturating_mul(MERGED_BYTES))?;
        let mut seen: HashMap<Labels, usize> = HashMap::with_capacity_and_hasher(series.len(), <_>::default());
        let mut out: Vec<Series> = Vec::with_capacity(series.len());
        for one in series {
            self.account_work(1 + one.labels.as_text().len() / SAMPLE_BYTES)?;
            // The first series with these labels stays where it is, later ones are merged into it.
            let Some(&i) = seen.get(&one.labels) else {
                seen.insert(one.labels.clone(), out.len());
                out.push(one);
                continue;
            };
            self.account_work(one.values.len())?;
            join(&mut out[i], one)?;
        }
        Ok(out)
    }

    /// Applies delayed name removal.
    pub(super) fn cleaned(&self, mut series: Vec<Series>) -> Result<Vec<Series>, Error> {
        if !series.iter().any(|s| s.drop_name) {
            return Ok(series);
        }
        for one in &mut series {
            self.account_work(1 + one.labels.as_text().len() / SAMPLE_BYTES)?;
            if one.drop_name {
                one.labels = without_name(&one.labels);
                one.drop_name = false;
            }
        }
        self.merged(series)
    }
}

/// Adds the samples of a series to another; two at one step are an error.
fn join(out: &mut Series, one: Series) -> Result<(), Error> {
    // The slow path; most series have floats only.
    if !one.histograms.is_empty() || !out.histograms.is_empty() {
        for step in one.steps() {
            if out.has(step) {
                return Err(Error::execution(SAME_LABELS));
            }
            one.at(step).into_iter().for_each(|cell| out.put(step, cell));
        }
        return Ok(());
    }
    for (slot, value) in out.values.iter_mut().zip(one.values) {
        match (is_absent(*slot), is_absent(value)) {
            (true, _) => *slot = value,
            (false, true) => {}
            (false, false) => return Err(Error::execution(SAME_LABELS)),
        }
    }
    Ok(())
}
