//! Binary operators between vectors. Series are matched once, by a key of the labels they match on; values, and whether a
//! match is ambiguous, are decided at every step.

use std::collections::hash_map::Entry;

use model::labels::METRIC_NAME;
use model::{Labels, LabelsBuilder};

use super::binary::Combined;
use super::evaluator::Evaluator;
use super::hash::HashMap;
use super::messages::format_labels;
use super::operands::Operands;
use crate::Error;
use crate::functions::operators::{arithmetic, holds};
use crate::parse::ast::{BinaryOp, Card, Matching};
use crate::plan::Binary;
use crate::value::{
    ABSENT, SAMPLE_BYTES, SERIES_BYTES, SampleRef, Series, histogram_bytes, is_absent, is_metadata, label_bytes,
    text_bytes, without_name,
};
use crate::window::Grid;

/// The labels that two series match on.
pub(super) fn match_labels(labels: &Labels, matching: &Matching) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|l| l == name);
    // The name takes part in matching only if `on` lists it.
    let keep = |name: &str| if matching.on { listed(name) } else { !is_metadata(name) && !listed(name) };
    labels.filtered(keep)
}

/// Memory of a key besides its text: an entry in the map, and the lists of its series.
const KEY_BYTES: usize = 192;

/// One side of the operator, with its match keys.
pub(super) struct Side {
    pub(super) series: Vec<Series>,
    pub(super) keys: Vec<usize>,
    /// The series of each key.
    pub(super) of_key: Vec<Vec<usize>>,
}

impl Side {
    fn index(&mut self, n_keys: usize) {
        self.of_key = vec![Vec::new(); n_keys];
        for (i, key) in self.keys.iter().enumerate() {
            self.of_key[*key].push(i);
        }
    }
}

/// By key, a bit for each step at which one of its series has a sample.
struct Present {
    words: usize,
    bits: Vec<u64>,
}

impl Present {
    fn has(&self, key: usize, step: usize) -> bool {
        // 64 steps in a word, the first one in the lowest bit.
        self.bits[key * self.words + step / 64] >> (step % 64) & 1 == 1
    }
}

impl Evaluator<'_> {
    pub(super) fn vector_vector(&self, binary: &Binary, grid: &Grid) -> Result<Vec<Series>, Error> {
        let left = self.vector(binary.left, grid)?;
        let right = self.vector(binary.right, grid)?;
        let [left, right] = self.sides([left, right], &binary.matching)?;
        // Set operators keep or drop samples of one side; they never combine values.
        if binary.op.is_set() {
            return self.merged(self.set(binary.op, (left, right), grid.len)?);
        }
        // From here on, sides are called "many" and "one"; the result is computed in the order of the text.
        let swapped = binary.matching.card == Card::OneToMany;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let partners = self.partners(&one, grid.len)?;
        let join =
            Join { evaluator: self, binary, swapped, many: &many, one: &one, partners: &partners, steps: grid.len };
        join.run()
    }

    /// Assigns match keys to the series of both sides.
    pub(super) fn sides(&self, sides: [Vec<Series>; 2], matching: &Matching) -> Result<[Side; 2], Error> {
        // One map for both sides, so that a key has the same number on either.
        let mut ids: HashMap<Labels, usize> = HashMap::default();
        let mut numbered = |series: Vec<Series>| -> Result<Side, Error> {
            self.hold(0, series.iter().map(|one| KEY_BYTES + label_bytes(&one.labels)).sum())?;
            let mut keys = Vec::with_capacity(series.len());
            for one in &series {
                self.account_work(1 + one.labels.as_text().len() / SAMPLE_BYTES)?;
                let next = ids.len();
                keys.push(*ids.entry(match_labels(&one.labels, matching)).or_insert(next));
            }
            Ok(Side { series, keys, of_key: Vec::new() })
        };
        let [left, right] = sides;
        let (mut left, mut right) = (numbered(left)?, numbered(right)?);
        left.index(ids.len());
        right.index(ids.len());
        Ok([left, right])
    }

    /// The steps with samples by key, computed once for all series of the other side.
    fn present(&self, side: &Side, steps: usize) -> Result<Present, Error> {
        let words = steps.div_ceil(64);
        self.hold(0, side.of_key.len() * words * size_of::<u64>())?;
        let mut bits = vec![0; side.of_key.len() * words];
        for (one, key) in side.series.iter().zip(&side.keys) {
            self.account_work(steps)?;
            let bits = &mut bits[key * words..][..words];
            one.steps().for_each(|step| bits[step / 64] |= 1 << (step % 64));
        }
        Ok(Present { words, bits })
    }

    /// `and`, `or`, `unless`.
    fn set(&self, op: BinaryOp, (mut left, mut right): (Side, Side), steps: usize) -> Result<Vec<Series>, Error> {
        // The right side only fills steps at which no series of the left side has the key.
        if op == BinaryOp::Or {
            let present = self.present(&left, steps)?;
            for (series, key) in right.series.iter_mut().zip(&right.keys) {
                self.account_work(1 + steps)?;
                series.retain(|step| !present.has(*key, step));
            }
            left.series.extend(right.series.into_iter().filter(|s| !s.is_empty()));
            return Ok(left.series);
        }
        let wanted = op == BinaryOp::And;
        let present = self.present(&right, steps)?;
        for (series, key) in left.series.iter_mut().zip(&left.keys) {
            self.account_work(1 + steps)?;
            series.retain(|step| present.has(*key, step) == wanted);
        }
        left.series.retain(|s| !s.is_empty());
        Ok(left.series)
    }

    /// For keys with several series on the "one" side: which of them has a sample at each step.
    pub(super) fn partners(&self, one: &Side, steps: usize) -> Result<Partners, Error> {
        let mut at_steps = HashMap::default();
        for (key, rivals) in one.of_key.iter().enumerate().filter(|(_, rivals)| rivals.len() > 1) {
            self.hold(0, steps * size_of::<u32>() + KEY_BYTES)?;
            let mut chosen = vec![NO_PARTNER; steps];
            // The first with a sample is used; two at one step are an error that was checked before.
            for i in rivals.iter().rev() {
                self.account_work(1 + steps)?;
                one.series[*i].steps().for_each(|step| chosen[step] = *i as u32);
            }
            at_steps.insert(key, chosen);
        }
        Ok(Partners(at_steps))
    }
}

const NO_PARTNER: u32 = u32::MAX;

/// By key with several series, the series of each step.
pub(super) struct Partners(HashMap<usize, Vec<u32>>);

impl Partners {
    /// The series of a key at a step; it may have no sample there.
    pub(super) fn at(&self, side: &Side, key: usize, step: usize) -> Option<usize> {
        match self.0.get(&key) {
            Some(at_steps) => Some(at_steps[step]).filter(|j| *j != NO_PARTNER).map(|j| j as usize),
            None => side.of_key[key].first().copied(),
        }
    }
}

/// An arithmetic or comparison operator between vectors.
struct Join<'a> {
    evaluator: &'a Evaluator<'a>,
    binary: &'a Binary,
    /// The "many" side is the right one in the text.
    swapped: bool,
    many: &'a Side,
    one: &'a Side,
    partners: &'a Partners,
    steps: usize,
}

impl Join<'_> {
    fn run(&self) -> Result<Vec<Series>, Error> {
        let matching = &self.binary.matching;
        let (left, right) = (matching.fill_left, matching.fill_right);
        let (fill_many, fill_one) = if self.swapped { (right, left) } else { (left, right) };
        self.check_one_side(fill_many.is_some() || fill_one.is_some())?;
        self.evaluator.hold(0, self.one.of_key.len() * size_of::<Vec<bool>>())?;
        let matched = vec![Vec::new(); self.one.of_key.len()];
        let mut out = Output { matched, fills_many: fill_many.is_some(), ..Output::default() };
        for (i, many) in self.many.series.iter().enumerate() {
            self.evaluator.account_work(1 + self.steps)?;
            let key = self.many.keys[i];
            // Without a partner at any step, the series has no result.
            if self.one.of_key[key].is_empty() && fill_one.is_none() {
                continue;
            }
            for step in 0..self.steps {
                let Some(value) = many.at(step) else { continue };
                let partner = self.partners.at(self.one, key, step);
                let partner = partner.and_then(|j| self.one.series[j].at(step).map(|cell| (j, cell)));
                let other = match (partner, fill_one) {
                    (Some((_, cell)), _) => cell,
                    (None, Some(fill)) => SampleRef::Float(fill),
                    (None, None) => continue,
                };
                self.put(&mut out, (Some(i), partner.map(|(j, _)| j), key), step, (value, other))?;
            }
        }
        // Samples of the "one" side that no sample of the "many" side matched.
        if let Some(fill) = fill_many {
            for (j, one) in self.one.series.iter().enumerate() {
                self.evaluator.account_work(1 + self.steps)?;
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
        self.evaluator.merged(out.series)
    }

    /// Two series of the "one" side with the same key at the same step are an error.
    fn check_one_side(&self, fills: bool) -> Result<(), Error> {
        // As upstream, duplicates count only at steps at which the other side has a sample, or where gaps are filled.
        // Few queries have duplicates, so these steps are computed when they are first needed.
        let mut asked: Option<Vec<bool>> = None;
        let mut seen: Vec<Option<usize>> = Vec::new();
        for rivals in self.one.of_key.iter().filter(|rivals| rivals.len() > 1) {
            seen.clear();
            seen.resize(self.steps, None);
            let mut found: Option<(usize, usize, usize)> = None;
            for &b in rivals {
                self.evaluator.account_work(1 + self.steps)?;
                for step in self.one.series[b].steps() {
                    // The first such step is reported, with its first two series.
                    let Some(a) = seen[step] else {
                        seen[step] = Some(b);
                        continue;
                    };
                    // The steps ascend: what follows in this series is later still.
                    if found.is_some_and(|(first, ..)| first <= step) {
                        break;
                    }
                    if fills || asked.get_or_insert_with(|| self.steps_of_many())[step] {
                        found = Some((step, a, b));
                        break;
                    }
                }
            }
            if let Some((_, a, b)) = found {
                return Err(self.ambiguous(a, b));
            }
        }
        Ok(())
    }

    /// The steps at which the "many" side has a sample.
    fn steps_of_many(&self) -> Vec<bool> {
        let mut has = vec![false; self.steps];
        self.many.series.iter().for_each(|one| one.steps().for_each(|step| has[step] = true));
        has
    }

    fn ambiguous(&self, a: usize, b: usize) -> Error {
        let side = if self.swapped { "left" } else { "right" };
        let (a, b) = (&self.one.series[a].labels, &self.one.series[b].labels);
        let group = format_labels(&match_labels(a, &self.binary.matching));
        let (a, b) = (format_labels(a.min(b)), format_labels(a.max(b)));
        Error::execution(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the operation: \
             [{a}, {b}];many-to-many matching not allowed: matching labels must be unique on one side"
        ))
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
                    // A comparison yields its left side, also where that is the "one" side.
                    (true, false) if held => left,
                    (true, false) => ABSENT,
                };
                (value, None)
            }
            _ => match self.evaluator.mixed_pair(self.binary, left, right) {
                Combined::Float(value) => (value, None),
                Combined::Histogram(histogram) => (ABSENT, Some(histogram)),
                Combined::Filtered => (ABSENT, None),
                // Incompatible samples yield no result.
                Combined::Incompatible => return Ok(()),
            },
        };
        // Matches must be unique even where the comparison filters the result out.
        let one_to_one = self.binary.matching.card == Card::OneToOne;
        let counts = one_to_one || out.fills_many;
        if counts && self.take(out, pair.2, step)? && one_to_one {
            return Err(Error::execution(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            ));
        }
        let filtered = is_absent(value) && histogram.is_none();
        if filtered && one_to_one {
            return Ok(());
        }
        // Consecutive steps of one pair write to the same series.
        let i = match out.last {
            Some((last, i)) if last == (pair.0, pair.1) => i,
            _ => self.series_of(out, (pair.0, pair.1))?,
        };
        // The same holds for results of grouped matches.
        let filters = !one_to_one && op.is_comparison() && !self.binary.return_bool;
        if out.series[i].has(step) || filters && out.made_before(i, step, self.steps) {
            return Err(Error::execution("multiple matches for labels: grouping labels must ensure unique matches"));
        }
        match histogram {
            None if filtered => {}
            None => out.series[i].values[step] = value,
            Some(histogram) => {
                self.evaluator.hold(0, histogram_bytes(&histogram))?;
                out.series[i].put_histogram(step, histogram);
            }
        }
        Ok(())
    }

    /// Marks a step of a key as matched; true when it was already.
    fn take(&self, out: &mut Output, key: usize, step: usize) -> Result<bool, Error> {
        let slots = &mut out.matched[key];
        if slots.is_empty() {
            self.evaluator.hold(0, self.steps)?;
            slots.resize(self.steps, false);
        }
        Ok(std::mem::replace(&mut slots[step], true))
    }

    /// The result series of a pair. Its memory is reserved first: there may be a pair per step.
    fn series_of(&self, out: &mut Output, pair: Pair) -> Result<usize, Error> {
        let evaluator = self.evaluator;
        let i = match out.pairs.entry(pair) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(free) => {
                let text = self.text_bytes_max(pair);
                evaluator.account_work(1 + text / SAMPLE_BYTES)?;
                evaluator.hold(0, PAIR_BYTES + text_bytes(text))?;
                evaluator.check_memory(2 * text)?;
                let (labels, drop_name) = self.result_labels(pair.0, pair.1);
                let next = out.series.len();
                // Several pairs may have one result series, whose steps they fill in turn.
                let i = *out.by_labels.entry(labels.clone()).or_insert(next);
                if i == next {
                    evaluator.hold(0, self.steps * SAMPLE_BYTES + SERIES_BYTES)?;
                    evaluator.account_work(self.steps)?;
                    out.series.push(Series::of_floats(labels, drop_name, vec![ABSENT; self.steps]));
                }
                *free.insert(i)
            }
        };
        out.last = Some((pair, i));
        Ok(i)
    }

    /// An upper bound for the length of the labels of a result series.
    fn text_bytes_max(&self, (many, one): Pair) -> usize {
        let text = |labels: &Labels| labels.as_text().len();
        let (many, one) = (many.map(|i| &self.many.series[i].labels), one.map(|j| &self.one.series[j].labels));
        let include = &self.binary.matching.include;
        let included = |other: &Labels| include.iter().map(|name| name.len() + other.value(name).len() + 24).sum();
        many.or(one).map_or(0, text) + one.or(many).map_or(0, included)
    }

    /// The labels of a result series; a missing partner has the labels it would match on.
    fn result_labels(&self, many: Option<usize>, one: Option<usize>) -> (Labels, bool) {
        let (matching, binary) = (&self.binary.matching, self.binary);
        let one_series = one.map(|j| &self.one.series[j]);
        let many_series = many.map(|i| &self.many.series[i]);
        let stand_in = |other: Option<&Series>| other.map(|s| match_labels(&s.labels, matching)).unwrap_or_default();
        let base = many_series.map_or_else(|| stand_in(one_series), |s| s.labels.clone());
        let other = one_series.map_or_else(|| stand_in(many_series), |s| s.labels.clone());
        // Arithmetic drops the name at once, unless it is included; comparisons drop it at the end of the query.
        let computed = !binary.op.is_comparison() && !binary.op.is_trim();
        let delayed = self.evaluator.query.options.delayed_name_removal;
        let base = if computed { without_name(&base) } else { base };
        let mut builder = LabelsBuilder::new(&base);
        let listed = |name: &str| matching.labels.iter().any(|l| l == name);
        // One-to-one matches keep only the labels they match on; grouped matches keep those of the "many" side.
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

/// Memory of a pair of series besides its result.
const PAIR_BYTES: usize = 96;

/// A series of the "many" side and one of the "one" side; either may be missing where gaps are filled.
type Pair = (Option<usize>, Option<usize>);

#[derive(Default)]
struct Output {
    series: Vec<Series>,
    by_labels: HashMap<Labels, usize>,
    pairs: HashMap<Pair, usize>,
    /// The last pair: consecutive steps mostly belong to the same one.
    last: Option<(Pair, usize)>,
    /// By key, the steps that already have a match; empty before the first one.
    matched: Vec<Vec<bool>>,
    /// Series of the "one" side without a match are matched with a fill value.
    fills_many: bool,
    /// By result series of a comparison, the steps with a result, filtered out or not.
    made: HashMap<usize, Vec<bool>>,
}

impl Output {
    /// Marks a step of a result series; true when it was marked already.
    fn made_before(&mut self, series: usize, step: usize, steps: usize) -> bool {
        let slots = self.made.entry(series).or_insert_with(|| vec![false; steps]);
        std::mem::replace(&mut slots[step], true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use model::Timestamp;

    use crate::promqltest::Store;
    use crate::{Engine, EngineOptions, Error, QueryOptions, StillWanted, Value};

    /// An info whose version changes every minute, and series that have no version.
    fn store(infos: usize, series: usize) -> Store {
        let mut store = Store::default();
        for i in 0..infos {
            let line = format!("info{{instance=\"a\", v=\"{i}\"}} {}1", "_x".repeat(i).replace('x', " "));
            store.load_line(&line, (Timestamp(0), 60_000)).unwrap();
        }
        for i in 0..series {
            store.load_line(&format!("m{{instance=\"a\", i=\"{i}\"}} {i}x{infos}"), (Timestamp(0), 60_000)).unwrap();
        }
        store
    }

    fn range(store: &Store, query: &str, options: &QueryOptions) -> Result<Value, Error> {
        let engine = Engine::new(EngineOptions { threads: 1, ..EngineOptions::default() });
        let options = QueryOptions { lookback_delta_ms: Some(60_000), ..options.clone() };
        engine.range(store, query, Timestamp(0), Timestamp(1_199_000), 1_000, &options).map(|result| result.value)
    }

    #[test]
    fn a_partner_that_changes_is_found_at_each_step() {
        let query = "m * on (instance) group_left (v) info";
        let Value::Matrix(series) = range(&store(20, 3), query, &QueryOptions::default()).unwrap() else { panic!() };
        assert_eq!(series.len(), 60);
        for one in &series {
            let version: i64 = one.labels.value("v").parse().unwrap();
            assert!(one.points.iter().all(|(ts, _)| (*ts - 1).0.div_euclid(60_000) + 1 - version <= 1), "{one:?}");
        }
        assert_eq!(series.iter().map(|one| one.points.len()).sum::<usize>(), 3 * 1_200);
    }

    /// How often a query asks whether it is still wanted.
    fn checks(store: &Store, query: &str, most: usize) -> (usize, Result<Value, Error>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let wanted = StillWanted(Arc::new(move || counter.fetch_add(1, Ordering::Relaxed) < most));
        let result = range(store, query, &QueryOptions { wanted: Some(wanted), ..QueryOptions::default() });
        (asked.load(Ordering::Relaxed), result)
    }

    #[test]
    fn operators_between_vectors_stop_when_the_query_is_no_longer_wanted() {
        let store = store(20, 600);
        let alone = checks(&store, "m", usize::MAX).0 + checks(&store, "info", usize::MAX).0;
        for operator in ["and", "unless", "or", "* on (instance) group_left (v)", "> on (instance) group_left ()"] {
            let on = if operator.contains("on (") { "" } else { " on (instance)" };
            let query = format!("m {operator}{on} info");
            let (all, result) = checks(&store, &query, usize::MAX);
            assert!(result.is_ok() && all > alone, "{query} asks {all} times, its sides {alone}");
            let (_, result) = checks(&store, &query, all - 1);
            assert!(matches!(result, Err(Error::Canceled)), "{query}");
        }
    }
}
