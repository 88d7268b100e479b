//! The operator `default` of MetricsQL: fills gaps of the left side with values of the right side.

use model::Labels;

use super::evaluator::Evaluator;
use super::operands::Operands;
use crate::Error;
use crate::parse::types::Type;
use crate::plan::Binary;
use crate::value::Series;
use crate::window::Grid;

impl Evaluator<'_> {
    /// The left side, with values of the matching series of the right side at the steps where it has none; the right side
    /// when the left one is empty.
    pub(super) fn filled(&self, binary: &Binary, grid: &Grid) -> Result<Vec<Series>, Error> {
        let mut left = self.vector(binary.left, grid)?;
        left.retain(|series| !series.is_empty());
        if self.node(binary.right).value_type == Type::Scalar {
            let numbers = self.scalar(binary.right, grid)?;
            // A scalar has no labels to match: it fills every series, or stands alone.
            if left.is_empty() {
                return Ok(vec![Series::of_floats(Labels::empty(), false, numbers)]);
            }
            for series in &mut left {
                self.account_work(1 + grid.len)?;
                for (step, number) in numbers.iter().enumerate() {
                    if !series.has(step) {
                        series.values[step] = *number;
                    }
                }
            }
            return Ok(left);
        }
        let right = self.vector(binary.right, grid)?;
        if left.is_empty() {
            return Ok(right);
        }
        let [mut left, right] = self.sides([left, right], &binary.matching)?;
        let partners = self.partners(&right, grid.len)?;
        for (series, key) in left.series.iter_mut().zip(&left.keys) {
            self.account_work(1 + grid.len)?;
            // No series of the right side has these labels at any step.
            if right.of_key[*key].is_empty() {
                continue;
            }
            for step in 0..grid.len {
                if series.has(step) {
                    continue;
                }
                let cell = partners.at(&right, *key, step).and_then(|j| right.series[j].at(step));
                cell.into_iter().for_each(|cell| series.put(step, cell));
            }
        }
        Ok(left.series)
    }
}
