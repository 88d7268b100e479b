//! What an aggregation needs of the labels of what it folds: those that it groups by, and the name. A selector below it
//! yields the rest not at all, and what many series have in common as one set, which is grouped once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr;
use std::sync::Arc;

use model::{Batch, Column, Labels};

use super::Evaluator;
use crate::Error;
use crate::memory::Share;
use crate::parse::ast::{Aggregate, Grouping};
use crate::value::{LABELS_LONG, is_metadata, without_name};

/// Outlines that are remembered, of metrics and of whole series.
const KNOWN_MAX: usize = 16 << 10;
/// Label sets of which it is remembered what became of them.
const LATELY: usize = 512;

/// What was made of label sets that came lately: known by where the set lies in memory, which costs nothing to compare.
#[derive(Debug)]
pub(super) struct Lately<T> {
    slots: Vec<Option<(Labels, T)>>,
}

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T: Clone> Lately<T> {
    fn place(labels: &Labels) -> usize {
        (labels.as_text().as_ptr().addr() >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & (LATELY - 1)
    }

    /// What was made of this very set, or is made now. What is remembered stays in memory, so long sets are not.
    pub(super) fn of(&mut self, labels: &Labels, make: impl FnOnce() -> T) -> T {
        if labels.as_text().len() > LABELS_LONG {
            return make();
        }
        if self.slots.is_empty() {
            self.slots.resize_with(LATELY, || None);
        }
        let slot = &mut self.slots[Self::place(labels)];
        match slot {
            Some((known, made)) if ptr::eq(known.as_text(), labels.as_text()) => made.clone(),
            _ => {
                let made = make();
                *slot = Some((labels.clone(), made.clone()));
                made
            }
        }
    }
}

/// Is a label among those that a group has of its series?
pub(super) fn groups_by(grouping: &Grouping, name: &str) -> bool {
    let listed = grouping.labels.iter().any(|label| label == name);
    if grouping.without { !is_metadata(name) && !listed } else { listed }
}

/// The labels that some aggregations look at.
#[derive(Clone, Debug)]
pub(super) struct Needed(Vec<Grouping>);

impl Needed {
    pub(super) fn by<'a>(aggregations: impl IntoIterator<Item = &'a Aggregate>) -> Self {
        Self(aggregations.into_iter().map(|aggregate| aggregate.grouping.clone()).collect())
    }

    /// Functions and annotations look at the name, whoever groups.
    fn needs(&self, name: &str) -> bool {
        is_metadata(name) || self.0.iter().any(|grouping| groups_by(grouping, name))
    }
}

/// What remembering an outline takes besides its text: places in maps and lists.
const KNOWN_BYTES: usize = 192;

/// Makes outlines, and knows those that it made, as far as there is memory for that.
#[derive(Debug)]
pub(super) struct Outlines {
    /// Of this, what the known ones take.
    share: Arc<Share>,
    bytes: usize,
    needed: Needed,
    /// By where the labels of a metric lie in memory, with these: what lies there stays.
    metrics: HashMap<usize, (Labels, usize)>,
    /// Outlines of metrics, numbered.
    numbers: HashMap<Labels, usize>,
    /// By the outline of the source, then the number of that of the metric.
    known: HashMap<Labels, Vec<Option<Labels>>>,
    slots: usize,
    source: Labels,
    of_source: Labels,
    /// Those of this source.
    here: Vec<Option<Labels>>,
    nameless: Lately<Labels>,
}

impl Outlines {
    pub(super) fn new(needed: &Needed, share: &Arc<Share>) -> Self {
        Self {
            share: Arc::clone(share),
            bytes: 0,
            needed: needed.clone(),
            metrics: HashMap::new(),
            numbers: HashMap::new(),
            known: HashMap::new(),
            slots: 0,
            source: Labels::empty(),
            of_source: Labels::empty(),
            here: Vec::new(),
            nameless: Lately::default(),
        }
    }

    /// What is needed of the labels of a series.
    pub(super) fn of(&mut self, batch: &Batch, column: &Column) -> Labels {
        if !ptr::eq(batch.source.as_text(), self.source.as_text()) {
            self.turn_to(&batch.source);
        }
        let number = self.number(&column.metric);
        if let Some(Some(known)) = number.and_then(|number| self.here.get(number)) {
            return known.clone();
        }
        let outline = batch.labels(column).filtered(|name| self.needed.needs(name));
        let Some(number) = number else { return outline };
        if !self.remembers(&outline) {
            return outline;
        }
        if self.here.len() <= number {
            self.slots += number + 1 - self.here.len();
            self.here.resize(number + 1, None);
        }
        self.here[number] = Some(outline.clone());
        outline
    }

    fn turn_to(&mut self, source: &Labels) {
        let here = std::mem::take(&mut self.here);
        let before = std::mem::replace(&mut self.of_source, source.filtered(|name| self.needed.needs(name)));
        self.known.insert(before, here);
        self.source = source.clone();
        if self.slots > KNOWN_MAX {
            self.forget();
        }
        self.here = self.known.remove(&self.of_source).unwrap_or_default();
    }

    /// The number of a metric's outline, if it is remembered.
    fn number(&mut self, metric: &Labels) -> Option<usize> {
        let place = metric.as_text().as_ptr().addr();
        if let Some((_, number)) = self.metrics.get(&place) {
            return Some(*number);
        }
        if self.metrics.len() >= KNOWN_MAX {
            self.forget();
        }
        if !self.remembers(metric) {
            return None;
        }
        let next = self.numbers.len();
        let number = *self.numbers.entry(metric.filtered(|name| self.needed.needs(name))).or_insert(next);
        self.metrics.insert(place, (metric.clone(), number));
        Some(number)
    }

    /// Is there memory to remember a label set, and what is made of it?
    fn remembers(&mut self, labels: &Labels) -> bool {
        let len = labels.as_text().len();
        let bytes = 2 * len + KNOWN_BYTES;
        let fits = len <= LABELS_LONG && self.share.take_spare(bytes);
        self.bytes += if fits { bytes } else { 0 };
        fits
    }

    fn forget(&mut self) {
        self.metrics.clear();
        self.numbers.clear();
        self.known.clear();
        self.here.clear();
        self.slots = 0;
        self.share.give(std::mem::take(&mut self.bytes));
    }

    /// An outline without the name.
    pub(super) fn without_name(&mut self, outline: &Labels) -> Labels {
        self.nameless.of(outline, || without_name(outline))
    }
}

impl Drop for Outlines {
    fn drop(&mut self) {
        self.share.give(self.bytes);
    }
}

impl Evaluator<'_> {
    /// The labels of a series that was read, as far as they are needed.
    pub(super) fn labels_of(&self, batch: &Batch, column: &Column) -> Result<Labels, Error> {
        if !batch.source.is_empty() {
            // Where both are put together, the text is there twice for a moment.
            self.room_for(2 * (batch.source.as_text().len() + column.metric.as_text().len()))?;
        }
        Ok(match self.outlines() {
            Some(outlines) => outlines.borrow_mut().of(batch, column),
            None => batch.labels(column),
        })
    }

    pub(super) fn outlines(&self) -> Option<&RefCell<Outlines>> {
        self.part.and_then(|part| part.outlines)
    }
}

#[cfg(test)]
mod tests {
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
        fn an_outline_is_what_a_filter_leaves(
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
            let mut outlines = Outlines::new(&needed, &Arc::default());
            for (source, metric, forgets) in picked {
                let batch = Batch { source: sets[source % sets.len()].clone(), ..Batch::default() };
                let metric = sets[metric % sets.len()].clone();
                let column = Column { metric, ..Column::default() };
                let expected = batch.labels(&column).filtered(|name| needed.needs(name));
                let outline = outlines.of(&batch, &column);
                prop_assert_eq!(&outline, &expected);
                // The next time it is the same set, and so is what is made of it.
                let (again, nameless) = (outlines.of(&batch, &column), outlines.without_name(&outline));
                prop_assert!(ptr::eq(again.as_text(), outline.as_text()));
                prop_assert_eq!(&nameless, &without_name(&expected));
                prop_assert!(ptr::eq(outlines.without_name(&again).as_text(), nameless.as_text()));
                if forgets {
                    outlines.forget();
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
                    store.load_line(&format!("{labels} {values}"), (0, 60_000)).unwrap();
                }
            }
            let engine = Engine::new(EngineOptions { delayed_name_removal, threads, ..EngineOptions::default() });
            let (without, names) = grouping;
            let grouping = format!("{} ({})", if without { "without" } else { "by" }, names.join(", "));
            let param = if op == "quantile" { "0.5, " } else { "" };
            let told = |operand: &str| {
                let (query, options) = (format!("{op} {grouping} ({param}{operand})"), QueryOptions::default());
                let instants = (0..4).map(|i| engine.instant(&store, &query, i * 60_000, &options));
                let range = engine.range(&store, &query, 0, 240_000, 60_000, &options);
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
