//! Label projection: reduces the labels of a series to the name and the labels that aggregations group by. Series with equal
//! projections share one label set, which is built and grouped once.

use std::ptr;
use std::sync::Arc;

use model::{Batch, Column, Labels, MetricId, SourceId};

use super::hash::HashMap;
use crate::memory::QueryMemory;
use crate::parse::ast::Grouping;
use crate::plan::{NodeId, NodeKind, Plan};
use crate::value::{LABELS_LONG, is_metadata, without_name};

/// The most projections that are cached, of metrics and of series.
const KNOWN_MAX: usize = 16 << 10;
/// Entries of a [`RecentCache`]: at first, for queries of a few series, and once there was no room for one.
const RECENT_FIRST: usize = 16;
const RECENT_MAX: usize = 512;
/// Batches of fewer series are projected without the caches: these serve the next series of a source, and the next of a metric.
const CACHED_FROM: usize = 3;

/// Values computed from recent label sets. A set is found by the address of its allocation, which is cheap to compare; the
/// cache holds the set, so that the address cannot be reused.
#[derive(Debug)]
pub(super) struct RecentCache<T> {
    slots: Vec<Option<(Labels, T)>>,
}

impl<T> Default for RecentCache<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T: Clone> RecentCache<T> {
    fn place(&self, labels: &Labels) -> usize {
        // Fibonacci hashing: allocations are aligned, so the low bits say nothing; the product mixes the others
        // upwards.
        (labels.as_text().as_ptr().addr() >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & (self.slots.len() - 1)
    }

    fn grow(&mut self, slots: usize) {
        let before = std::mem::take(&mut self.slots);
        self.slots.resize_with(slots, || None);
        for (labels, made) in before.into_iter().flatten() {
            let place = self.place(&labels);
            self.slots[place] = Some((labels, made));
        }
    }

    /// The value of a label set, computed if it is not cached. Long sets are not cached, as that keeps them in memory.
    pub(super) fn of(&mut self, labels: &Labels, make: impl FnOnce() -> T) -> T {
        if labels.as_text().len() > LABELS_LONG {
            return make();
        }
        if self.slots.is_empty() {
            self.slots.resize_with(RECENT_FIRST, || None);
        }
        let place = self.place(labels);
        match &self.slots[place] {
            Some((known, made)) if ptr::eq(known.as_text(), labels.as_text()) => return made.clone(),
            Some(_) if self.slots.len() < RECENT_MAX => self.grow(4 * self.slots.len()),
            _ => {}
        }
        let made = make();
        let place = self.place(labels);
        self.slots[place] = Some((labels.clone(), made.clone()));
        made
    }
}

/// Does the grouping keep a label?
pub(super) fn groups_by(grouping: &Grouping, name: &str) -> bool {
    let listed = grouping.labels.iter().any(|label| label == name);
    if grouping.without { !is_metadata(name) && !listed } else { listed }
}

/// The labels that aggregations need: those of their groupings.
#[derive(Clone, Debug)]
pub(super) struct Needed(Vec<Grouping>);

impl Needed {
    /// The labels of a node's projection; `None` where whole label sets are needed.
    pub(super) fn of(plan: &Plan, aggregate: NodeId) -> Option<Self> {
        let grouping = |id: &NodeId| match &plan.node(*id).kind {
            NodeKind::Aggregate(aggregate) => Some(aggregate.grouping.clone()),
            _ => None,
        };
        let projection = &plan.node(aggregate).decisions.projection;
        (!projection.is_empty()).then(|| Self(projection.iter().filter_map(grouping).collect()))
    }

    /// The name and its companions are always needed, by functions and annotations.
    fn needs(&self, name: &str) -> bool {
        is_metadata(name) || self.0.iter().any(|grouping| groups_by(grouping, name))
    }
}

/// Memory of a cached projection besides its text: entries in maps and lists.
const KNOWN_BYTES: usize = 192;

/// The identity of a metric: its id if the store has one, otherwise its labels.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Metric {
    Id(MetricId),
    Labels(Labels),
}

/// Computes projections, and caches them while there is spare memory.
#[derive(Debug)]
pub(super) struct Projection {
    /// The memory of the query, and the bytes that the cache has reserved of it.
    memory: Arc<QueryMemory>,
    bytes: usize,
    needed: Needed,
    /// By metric, the number of its projection.
    metrics: HashMap<Metric, usize>,
    /// Numbers of the distinct projections of metrics.
    numbers: HashMap<Labels, usize>,
    /// By projection of the source, then by number of the metric's projection: the projection of the series.
    known: HashMap<Labels, Vec<Option<Labels>>>,
    slots: usize,
    source_id: Option<SourceId>,
    source: Labels,
    of_source: Labels,
    /// The entry of `known` for the current source.
    here: Vec<Option<Labels>>,
    nameless: RecentCache<Labels>,
}

impl Projection {
    pub(super) fn new(needed: &Needed, memory: &Arc<QueryMemory>) -> Self {
        Self {
            memory: Arc::clone(memory),
            bytes: 0,
            needed: needed.clone(),
            metrics: HashMap::default(),
            numbers: HashMap::default(),
            known: HashMap::default(),
            slots: 0,
            source_id: None,
            source: Labels::empty(),
            of_source: Labels::empty(),
            here: Vec::new(),
            nameless: RecentCache::default(),
        }
    }

    /// The projection of a series' labels.
    pub(super) fn of(&mut self, batch: &Batch, column: &Column) -> Labels {
        if batch.columns.len() < CACHED_FROM {
            return batch.source.joined_where(&column.metric, |name| self.needed.needs(name));
        }
        // Batches with equal ids have the same source; without ids the labels are compared.
        let is_known = batch.source_id.is_some() && batch.source_id == self.source_id;
        if !is_known && batch.source != self.source {
            self.turn_to(&batch.source);
        }
        self.source_id = batch.source_id;
        // The projection of a series depends on those of its source and metric only.
        let number = self.number(column);
        if let Some(Some(known)) = number.and_then(|number| self.here.get(number)) {
            return known.clone();
        }
        let projected = batch.labels(column).filtered(|name| self.needed.needs(name));
        let Some(number) = number else { return projected };
        // Without spare memory the projection is computed for each series anew.
        if !self.remembers(&projected) {
            return projected;
        }
        if self.here.len() <= number {
            self.slots += number + 1 - self.here.len();
            self.here.resize(number + 1, None);
        }
        self.here[number] = Some(projected.clone());
        projected
    }

    /// The same without the metric name.
    pub(super) fn nameless_of(&mut self, batch: &Batch, column: &Column) -> Labels {
        if batch.columns.len() < CACHED_FROM {
            return batch.source.joined_where(&column.metric, |name| !is_metadata(name) && self.needed.needs(name));
        }
        let projected = self.of(batch, column);
        self.without_name(&projected)
    }

    fn turn_to(&mut self, source: &Labels) {
        // The entries of the previous source are put back, and found again when the store returns to it.
        let here = std::mem::take(&mut self.here);
        let before = std::mem::replace(&mut self.of_source, source.filtered(|name| self.needed.needs(name)));
        self.known.insert(before, here);
        self.source = source.clone();
        // The cache is bounded: it starts again from nothing.
        if self.slots > KNOWN_MAX {
            self.forget();
        }
        self.here = self.known.remove(&self.of_source).unwrap_or_default();
    }

    /// The number of a metric's projection, if there is memory to cache it.
    fn number(&mut self, column: &Column) -> Option<usize> {
        let key = match column.metric_id {
            Some(id) => Metric::Id(id),
            None => Metric::Labels(column.metric.clone()),
        };
        if let Some(number) = self.metrics.get(&key) {
            return Some(*number);
        }
        // All tables at once: the numbers of metrics index the others.
        if self.metrics.len() >= KNOWN_MAX {
            self.forget();
        }
        let metric = &column.metric;
        if !self.remembers(metric) {
            return None;
        }
        // Metrics that differ only in labels that are not needed share a number.
        let next = self.numbers.len();
        let number = *self.numbers.entry(metric.filtered(|name| self.needed.needs(name))).or_insert(next);
        self.metrics.insert(key, number);
        Some(number)
    }

    /// Reserves memory to cache a label set and its projection.
    fn remembers(&mut self, labels: &Labels) -> bool {
        let len = labels.as_text().len();
        let bytes = 2 * len + KNOWN_BYTES;
        let fits = len <= LABELS_LONG && self.memory.take_spare(bytes);
        self.bytes += if fits { bytes } else { 0 };
        fits
    }

    fn forget(&mut self) {
        self.metrics.clear();
        self.numbers.clear();
        self.known.clear();
        self.here.clear();
        self.slots = 0;
        self.memory.give(std::mem::take(&mut self.bytes));
    }

    /// A projection without the metric name.
    pub(super) fn without_name(&mut self, projected: &Labels) -> Labels {
        self.nameless.of(projected, || without_name(projected))
    }
}

impl Drop for Projection {
    fn drop(&mut self) {
        self.memory.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::promqltest::Store;
    use crate::{Engine, EngineOptions, QueryOptions};

    fn grouping() -> impl Strategy<Value = (bool, Vec<&'static str>)> {
        let names = ["__name__", "a", "b", "c", "none"];
        (any::<bool>(), prop::sample::subsequence(names.to_vec(), 0..4))
    }

    /// Two values of each of some labels.
    fn labels() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
        let pairs = ["__name__", "a", "b", "c"].map(|name| (name, prop::sample::select(vec!["x", "y"])));
        let [n, a, b, c] = pairs.map(|(name, value)| prop::option::of(value.prop_map(move |value| (name, value))));
        (n, a, b, c).prop_map(|(n, a, b, c)| [n, a, b, c].into_iter().flatten().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_projection_is_what_a_filter_leaves(
            groupings in prop::collection::vec(grouping(), 1..3),
            sets in prop::collection::vec(labels(), 2..6),
            picked in prop::collection::vec((0usize..6, 0usize..6, any::<bool>()), 1..60),
        ) {
            let grouping = |(without, names): (bool, Vec<&str>)| {
                let labels = names.into_iter().map(str::to_owned).collect();
                Grouping { without, labels, ..Grouping::default() }
            };
            let needed = Needed(groupings.into_iter().map(grouping).collect());
            let sets: Vec<Labels> = sets.into_iter().map(Labels::from_pairs).collect();
            let mut projection = Projection::new(&needed, &Arc::default());
            for (source, metric, forgets) in picked {
                let columns = vec![Column::default(); CACHED_FROM];
                let batch = Batch { source: sets[source % sets.len()].clone(), columns, ..Batch::default() };
                let metric = sets[metric % sets.len()].clone();
                let column = Column { metric, ..Column::default() };
                let small = Batch { columns: Vec::new(), ..batch.clone() };
                prop_assert_eq!(projection.of(&small, &column), projection.of(&batch, &column));
                let nameless = without_name(&projection.of(&batch, &column));
                prop_assert_eq!(projection.nameless_of(&small, &column), nameless.clone());
                prop_assert_eq!(projection.nameless_of(&batch, &column), nameless);
                let expected = batch.labels(&column).filtered(|name| needed.needs(name));
                let projected = projection.of(&batch, &column);
                prop_assert_eq!(&projected, &expected);
                // The next time it is the same set, and so is what is made of it.
                let (again, nameless) = (projection.of(&batch, &column), projection.without_name(&projected));
                prop_assert!(ptr::eq(again.as_text(), projected.as_text()));
                prop_assert_eq!(&nameless, &without_name(&expected));
                prop_assert!(ptr::eq(projection.without_name(&again).as_text(), nameless.as_text()));
                if forgets {
                    projection.forget();
                }
            }
        }

        /// `or` needs its sides whole.
        #[test]
        fn groups_are_those_of_whole_label_sets(
            series in prop::collection::btree_map(labels(), [-3i8..4, -3i8..4, -3i8..4, -3i8..4], 1..30),
            op in prop::sample::select(vec!["sum", "avg", "min", "max", "count", "group", "stddev", "quantile"]),
            grouping in grouping(),
            operand in prop::sample::select(vec![
                "S", "(S)", "+S", "S > 0", "0 < S", "S > bool 0", "-S", "abs(S)", "S * 2", "rate(S[3m])", "S @ 120 * time()",
                "max_over_time(S[3m])", "last_over_time(S[3m])", "timestamp(S)", "avg_over_time(S[3m:1m])",
            ]),
            selector in prop::sample::select(vec!["x", r#"{__name__=~"x|y"}"#, r#"{a=~".+"}"#, r#"{__name__=~"x|y",b!="x"}"#]),
            (delayed_name_removal, threads) in (any::<bool>(), 1usize..3),
        ) {
            let mut store = Store::default();
            for (pairs, values) in &series {
                let labels = Labels::from_pairs(pairs.iter().copied());
                let values = values.map(|v| v.to_string()).join(" ");
                if !labels.is_empty() {
                    store.load_line(&format!("{labels} {values}"), (Timestamp(0), 60_000)).unwrap();
                }
            }
            let engine = Engine::new(EngineOptions { delayed_name_removal, threads, ..EngineOptions::default() });
            let (without, names) = grouping;
            let grouping = format!("{} ({})", if without { "without" } else { "by" }, names.join(", "));
            let param = if op == "quantile" { "0.5, " } else { "" };
            let told = |operand: &str| {
                let (query, options) = (format!("{op} {grouping} ({param}{operand})"), QueryOptions::default());
                let instants = (0..4).map(|i| engine.instant(&store, &query, Timestamp(i * 60_000), &options));
                let range = engine.range(&store, &query, Timestamp(0), Timestamp(240_000), 60_000, &options);
                let results = instants.chain([range]).map(|result| match result {
                    Ok(result) => format!("{:?} {:?}", result.value, result.warnings),
                    Err(error) => error.to_string(),
                });
                results.collect::<Vec<_>>()
            };
            let operand = operand.replace('S', selector);
            prop_assert_eq!(told(&operand), told(&format!("({operand} or none)")), "{}", &operand);
        }
    }
}
