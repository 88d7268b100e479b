//! Binary operators on two vectors. Which series meet is decided once per pair of series, by a key over the labels they
//! match on; what they yield, and whether a match is ambiguous, at every step.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use model::labels::METRIC_NAME;
use model::{Labels, LabelsBuilder};

use super::binary::{Made, arithmetic, holds};
use super::{Evaluator, merged};
use crate::Error;
use crate::parse::ast::{Binary, BinaryOp, Card, Matching};
use crate::value::{ABSENT, SampleRef, Series, is_absent, without_name};
use crate::window::Grid;

/// Series by the labels they match on.
#[derive(Default)]
struct Keys {
    ids: HashMap<Labels, usize>,
}

impl Keys {
    fn id(&mut self, labels: &Labels, matching: &Matching) -> usize {
        let next = self.ids.len();
        *self.ids.entry(match_labels(labels, matching)).or_insert(next)
    }
}

/// The labels that decide a match.
pub(super) fn match_labels(labels: &Labels, matching: &Matching) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|l| l == name);
    let keep = |name: &str| if matching.on { listed(name) } else { name != METRIC_NAME && !listed(name) };
    labels.filtered(keep)
}

/// One side of the operator, by key.
struct Side {
    series: Vec<Series>,
    keys: Vec<usize>,
    /// The series of each key.
    of_key: Vec<Vec<usize>>,
}

impl Side {
    fn new(series: Vec<Series>, keys: &mut Keys, matching: &Matching) -> Self {
        let ids: Vec<usize> = series.iter().map(|s| keys.id(&s.labels, matching)).collect();
        Self { series, keys: ids, of_key: Vec::new() }
    }

    fn index(&mut self, n_keys: usize) {
        self.of_key = vec![Vec::new(); n_keys];
        for (i, key) in self.keys.iter().enumerate() {
            self.of_key[*key].push(i);
        }
    }

    fn present(&self, key: usize, step: usize) -> bool {
        self.of_key[key].iter().any(|i| self.series[*i].has(step))
    }
}

impl Evaluator<'_> {
    pub(super) fn vector_vector(&self, binary: &Binary, grid: &Grid) -> Result<Vec<Series>, Error> {
        if binary.op == BinaryOp::Default {
            return self.filled(binary, grid);
        }
        let left = self.vector(&binary.left, grid)?;
        let right = self.vector(&binary.right, grid)?;
        let mut keys = Keys::default();
        let mut left = Side::new(left, &mut keys, &binary.matching);
        let mut right = Side::new(right, &mut keys, &binary.matching);
        left.index(keys.ids.len());
        right.index(keys.ids.len());
        if binary.op.is_set() {
            return merged(set(binary.op, left, right));
        }
        // The "one" side is the right one from here on.
        let swapped = binary.matching.card == Card::OneToMany;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let join = Join { evaluator: self, binary, swapped, many: &many, one: &one, steps: grid.len };
        join.run()
    }
}

/// `and`, `or`, `unless`.
fn set(op: BinaryOp, mut left: Side, mut right: Side) -> Vec<Series> {
    if op == BinaryOp::Or {
        for (i, series) in right.series.iter_mut().enumerate() {
            series.retain(|step| !left.present(right.keys[i], step));
        }
        left.series.extend(right.series.into_iter().filter(|s| !s.is_empty()));
        return left.series;
    }
    let wanted = op == BinaryOp::And;
    for (i, series) in left.series.iter_mut().enumerate() {
        series.retain(|step| right.present(left.keys[i], step) == wanted);
    }
    left.series.retain(|s| !s.is_empty());
    left.series
}

/// Arithmetic or comparison of two vectors.
struct Join<'a> {
    evaluator: &'a Evaluator<'a>,
    binary: &'a Binary,
    /// The many side stands right in the text.
    swapped: bool,
    many: &'a Side,
    one: &'a Side,
    steps: usize,
}

impl Join<'_> {
    fn run(&self) -> Result<Vec<Series>, Error> {
        let matching = &self.binary.matching;
        // With `group_right` too, `fill_left` is for the many side: upstream swaps the sides, not these.
        let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
        self.check_one_side(fill_many.is_some() || fill_one.is_some())?;
        let mut out = Output { matched: vec![Vec::new(); self.one.of_key.len()], ..Output::default() };
        for (i, many) in self.many.series.iter().enumerate() {
            self.evaluator.check()?;
            let key = self.many.keys[i];
            for step in 0..self.steps {
                let Some(value) = many.at(step) else { continue };
                let mut partners = self.one.of_key[key].iter().copied();
                let partner = partners.find_map(|j| self.one.series[j].at(step).map(|cell| (j, cell)));
                let other = match (partner, fill_one) {
                    (Some((_, cell)), _) => cell,
                    (None, Some(fill)) => SampleRef::Float(fill),
                    (None, None) => continue,
                };
                self.put(&mut out, (Some(i), partner.map(|(j, _)| j), key), step, (value, other))?;
            }
        }
        if let Some(fill) = fill_many {
            for (j, one) in self.one.series.iter().enumerate() {
                let key = self.one.keys[j];
                for step in 0..self.steps {
                    let alone = !out.matched[key].get(step).copied().unwrap_or_default();
                    if let Some(cell) = one.at(step).filter(|_| alone) {
                        self.put(&mut out, (None, Some(j), key), step, (SampleRef::Float(fill), cell))?;
                    }
                }
            }
        }
        out.series.retain(|series| !series.is_empty());
        merged(out.series)
    }

    /// Two series of the one side with the same key at the same step leave it open which is meant.
    fn check_one_side(&self, fills: bool) -> Result<(), Error> {
        for rivals in self.one.of_key.iter().filter(|rivals| rivals.len() > 1) {
            for step in 0..self.steps {
                let mut present = rivals.iter().filter(|i| self.one.series[**i].has(step));
                let (Some(a), Some(b)) = (present.next(), present.next()) else { continue };
                if !fills && !self.many.series.iter().any(|s| s.has(step)) {
                    continue;
                }
                let side = if self.swapped { "left" } else { "right" };
                let group = match_labels(&self.one.series[*a].labels, &self.binary.matching);
                let (a, b) = (&self.one.series[*a].labels, &self.one.series[*b].labels);
                let (a, b) = (a.min(b), a.max(b));
                return Err(Error::execution(format!(
                    "found duplicate series for the match group {group:?} on the {side} hand-side of the operation: \
                     [{a:?}, {b:?}];many-to-many matching not allowed: matching labels must be unique on one side"
                )));
            }
        }
        Ok(())
    }

    fn put(
        &self,
        out: &mut Output,
        pair: (Option<usize>, Option<usize>, usize),
        step: usize,
        (many, one): (SampleRef<'_>, SampleRef<'_>),
    ) -> Result<(), Error> {
        let op = self.binary.op;
        let (left, right) = if self.swapped { (one, many) } else { (many, one) };
        let (value, histogram) = match (left, right) {
            (SampleRef::Float(left), SampleRef::Float(right)) if !op.is_trim() => {
                let held = holds(op, left, right);
                let value = match (op.is_comparison(), self.binary.return_bool) {
                    (false, _) => arithmetic(op, left, right),
                    (true, true) => f64::from(u8::from(held)),
                    // The value of the left side, also where that is the one side.
                    (true, false) if held => left,
                    (true, false) => ABSENT,
                };
                (value, None)
            }
            _ => match self.evaluator.mixed_pair(self.binary, left, right) {
                Made::Float(value) => (value, None),
                Made::Histogram(histogram) => (ABSENT, Some(histogram)),
                Made::Nothing => (ABSENT, None),
                // What does not go together is as good as not there.
                Made::Refused => return Ok(()),
            },
        };
        // Also a match that the comparison filters away may not be ambiguous.
        let one_to_one = self.binary.matching.card == Card::OneToOne;
        let counts = one_to_one || self.binary.matching.fill_left.is_some();
        if counts && out.take(pair.2, step, self.steps) && one_to_one {
            return Err(Error::execution(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            ));
        }
        let filtered = is_absent(value) && histogram.is_none();
        if filtered && one_to_one {
            return Ok(());
        }
        let i = match out.last {
            Some((last, i)) if last == (pair.0, pair.1) => i,
            _ => self.series_of(out, (pair.0, pair.1)),
        };
        // Also among these what was filtered away counts.
        let filters = !one_to_one && op.is_comparison() && !self.binary.return_bool;
        if out.series[i].has(step) || filters && out.made_before(i, step, self.steps) {
            return Err(Error::execution("multiple matches for labels: grouping labels must ensure unique matches"));
        }
        match histogram {
            None if filtered => {}
            None => out.series[i].values[step] = value,
            Some(histogram) => out.series[i].put_histogram(step, histogram),
        }
        Ok(())
    }

    /// The series that a pair adds to.
    fn series_of(&self, out: &mut Output, pair: Pair) -> usize {
        let i = match out.pairs.entry(pair) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(free) => {
                let (labels, drop_name) = self.result_labels(pair.0, pair.1);
                let next = out.series.len();
                let i = *out.by_labels.entry(labels.clone()).or_insert(next);
                if i == next {
                    out.series.push(Series::of_floats(labels, drop_name, vec![ABSENT; self.steps]));
                }
                *free.insert(i)
            }
        };
        out.last = Some((pair, i));
        i
    }

    /// The labels of what a pair yields; a missing partner counts as having just the labels it would match on.
    fn result_labels(&self, many: Option<usize>, one: Option<usize>) -> (Labels, bool) {
        let (matching, binary) = (&self.binary.matching, self.binary);
        let one_series = one.map(|j| &self.one.series[j]);
        let many_series = many.map(|i| &self.many.series[i]);
        let stand_in = |other: Option<&Series>| other.map(|s| match_labels(&s.labels, matching)).unwrap_or_default();
        let base = many_series.map_or_else(|| stand_in(one_series), |s| s.labels.clone());
        let other = one_series.map_or_else(|| stand_in(many_series), |s| s.labels.clone());
        // What was computed of both has no name from the start, unless it is included; what was compared loses it later.
        let computed = !binary.op.is_comparison() && !binary.op.is_trim();
        let delayed = self.evaluator.query.options.delayed_name_removal;
        let base = if computed { without_name(&base) } else { base };
        let mut builder = LabelsBuilder::new(&base);
        let listed = |name: &str| matching.labels.iter().any(|l| l == name);
        if matching.card == Card::OneToOne {
            builder.retain(|name, _| if matching.on { listed(name) } else { !listed(name) });
        }
        for name in &matching.include {
            builder.set(name, other.value(name));
        }
        if binary.keep_name {
            builder.set(METRIC_NAME, many_series.or(one_series).map_or("", |s| s.labels.name()));
            return (builder.labels(), false);
        }
        let labels = builder.labels();
        let had = many_series.is_some_and(|s| s.drop_name);
        match (computed, binary.return_bool) {
            (true, _) => (labels, false),
            (false, true) if !delayed => (without_name(&labels), had),
            (false, drops) => (labels, had || drops),
        }
    }
}

/// A series of the many side and one of the one side, where there is one.
type Pair = (Option<usize>, Option<usize>);

#[derive(Default)]
struct Output {
    series: Vec<Series>,
    by_labels: HashMap<Labels, usize>,
    pairs: HashMap<Pair, usize>,
    /// The pair that was looked for last: most have many steps, one after another.
    last: Option<(Pair, usize)>,
    /// Per key, the steps that already have a match; none where it has no match yet.
    matched: Vec<Vec<bool>>,
    /// Per series of a comparison, the steps at which it was made, and perhaps filtered away.
    made: HashMap<usize, Vec<bool>>,
}

impl Output {
    /// Makes a sample of a series; true when it was made before.
    fn made_before(&mut self, series: usize, step: usize, steps: usize) -> bool {
        let slots = self.made.entry(series).or_insert_with(|| vec![false; steps]);
        std::mem::replace(&mut slots[step], true)
    }

    /// Takes a step of a key; true when it was taken before.
    fn take(&mut self, key: usize, step: usize, steps: usize) -> bool {
        let slots = &mut self.matched[key];
        slots.resize(steps, false);
        std::mem::replace(&mut slots[step], true)
    }
}
