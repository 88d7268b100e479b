//! `default`: the gaps of the left side, filled from the right one (MetricsQL).

use std::collections::HashMap;

use model::Labels;

use super::Evaluator;
use super::matching::match_labels;
use crate::Error;
use crate::parse::ast::{Binary, Type};
use crate::value::Series;
use crate::window::Grid;

impl Evaluator<'_> {
    /// The left side, with the right side's value at every step where a series of it has none. Where there is no series
    /// at all on the left, the right side.
    pub(super) fn filled(&self, binary: &Binary, grid: &Grid) -> Result<Vec<Series>, Error> {
        let mut left = self.vector(&binary.left, grid)?;
        left.retain(|series| !series.is_empty());
        if binary.right.value_type() == Type::Scalar {
            let numbers = self.scalar(&binary.right, grid)?;
            if left.is_empty() {
                return Ok(vec![Series::of_floats(Labels::empty(), false, numbers)]);
            }
            for series in &mut left {
                self.check()?;
                for (step, number) in numbers.iter().enumerate() {
                    if !series.has(step) {
                        series.values[step] = *number;
                    }
                }
            }
            return Ok(left);
        }
        let right = self.vector(&binary.right, grid)?;
        if left.is_empty() {
            return Ok(right);
        }
        let mut by_key: HashMap<Labels, Vec<&Series>> = HashMap::new();
        for series in &right {
            by_key.entry(match_labels(&series.labels, &binary.matching)).or_default().push(series);
        }
        for series in &mut left {
            self.check()?;
            let Some(partners) = by_key.get(&match_labels(&series.labels, &binary.matching)) else { continue };
            for step in 0..grid.len {
                let cell = if series.has(step) { None } else { partners.iter().find_map(|partner| partner.at(step)) };
                cell.into_iter().for_each(|cell| series.put(step, cell));
            }
        }
        Ok(left)
    }
}
