//! Expressions that stand more than once in a query: evaluated at the first place, read at the others.
//!
//! What is shared is held from its first place to its last. So at the first it, or what is made of each of its series, must
//! be needed whole, as the operand of a binary operator between vectors is; an aggregation's is not, which holds but a part
//! of it at a time: several aggregations of one operand are made side by side instead, and the results of those whose place
//! is still to come are shared. Where memory gets scarce, what is shared is let go, and evaluated again. Each place counts
//! the samples that it would have looked at by itself. What led to a annotation is not held: it is to be said at each place.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::aggregate::Folding;
use super::analysis::{is_invariant, selects, streams};
use super::projection::Needed;
use super::{Evaluator, Query, Sink};
use crate::Error;
use crate::functions::Body;
use crate::memory::{Reservation, Share};
use crate::parse::ast::{Aggregate, AggregateOp, Call, Duration, Expr, ExprKind, Span, Type};
use crate::stats::Level;
use crate::value::Series;
use crate::window::Grid;

/// Among more expressions than these none is looked for twice.
const PLACES_MAX: usize = 100;
/// Nor among so many selectors, or in so much text of matchers and strings.
pub(super) const SELECTORS_MAX: usize = 1_000;
const TEXT_MAX: usize = 64 << 10;

/// What is shared in a query.
#[derive(Debug, Default)]
pub(crate) struct Shared<'e> {
    /// By where an expression lies in memory, which of those below it is.
    places: HashMap<usize, usize>,
    /// By expression, where the first of its places lies; of what is made beside another nowhere.
    firsts: HashMap<usize, usize>,
    /// By where the operand of an aggregation lies, later aggregations of the same, which are made beside it.
    beside: HashMap<usize, Vec<(&'e Aggregate, usize)>>,
    slots: Mutex<Vec<Slot>>,
}

/// An expression with several places.
#[derive(Debug, Default)]
struct Slot {
    /// Places that are still to come.
    places: usize,
    kept: Option<Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    series: Arc<Vec<Series>>,
    grid: Grid,
    /// The memory it takes.
    bytes: usize,
    /// What evaluating it looked at, and held at most.
    cost: Level,
    peak: usize,
}

/// An expression that yields an instant vector.
struct Place<'e> {
    expr: &'e Expr,
    /// It is needed whole here, or what is made of each of its series is.
    whole: bool,
    /// Behind the last place inside it.
    end: usize,
    /// The subquery it stands in: its address, 0 for none.
    subquery: usize,
}

fn address(expr: &Expr) -> usize {
    std::ptr::from_ref(expr).addr()
}

impl<'e> Shared<'e> {
    /// What to share of a query.
    pub(crate) fn of(query: &'e Expr) -> Self {
        let mut shared = Self::default();
        if !repeats_a_selector(query) {
            return shared;
        }
        let mut places = Vec::new();
        visit(query, (true, 0), &mut places);
        if places.len() > PLACES_MAX {
            return shared;
        }
        let texts: Vec<String> = places.iter().map(|place| text(place.expr)).collect();
        let mut alike: HashMap<&str, Vec<usize>> = HashMap::new();
        texts.iter().enumerate().for_each(|(i, text)| alike.entry(text).or_default().push(i));
        // What lies inside a place that is read is never evaluated.
        let mut inside = vec![false; places.len()];
        let mut slots = Vec::new();
        for (i, place) in places.iter().enumerate() {
            let same: Vec<usize> = alike[&*texts[i]].iter().copied().filter(|j| !inside[*j]).collect();
            if inside[i] || !place.whole || same.len() < 2 || same[0] != i {
                continue;
            }
            for j in &same {
                shared.places.insert(address(places[*j].expr), slots.len());
                let end = places[*j].end;
                inside[if *j == i { end } else { *j }..end].fill(true);
            }
            shared.firsts.insert(slots.len(), address(place.expr));
            slots.push(Slot { places: same.len(), kept: None });
        }
        shared.fold_beside((&places, &texts, &inside), &mut slots);
        shared.slots = Mutex::new(slots);
        shared
    }

    /// Finds the aggregations that fold the same series, which no one has from elsewhere.
    fn fold_beside(&mut self, (places, texts, inside): (&[Place<'e>], &[String], &[bool]), slots: &mut Vec<Slot>) {
        let mut first: HashMap<(&str, usize), usize> = HashMap::new();
        for (i, place) in places.iter().enumerate() {
            let ExprKind::Aggregate(aggregate) = &place.expr.kind else { continue };
            let operand = aggregate.expr.unwrapped();
            let folds = aggregate.op.param().is_none() && streams(operand) && !is_invariant(operand);
            let has_own = !self.places.contains_key(&address(operand)) && !self.is_inside(operand);
            if inside[i] || !folds || !has_own {
                continue;
            }
            // The place behind that of an aggregation without a parameter is its operand.
            match first.entry((&texts[i + 1], place.subquery)) {
                Entry::Vacant(free) => drop(free.insert(address(operand))),
                Entry::Occupied(found) => {
                    let slot = *self.places.entry(address(place.expr)).or_insert_with(|| {
                        slots.push(Slot { places: 1, kept: None });
                        slots.len() - 1
                    });
                    self.beside.entry(*found.get()).or_default().push((aggregate, slot));
                }
            }
        }
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an expression its series from elsewhere, or others have theirs from it?
    pub(super) fn is_known(&self, expr: &Expr) -> bool {
        self.places.contains_key(&address(expr))
    }

    /// Does an expression have its series from one that is evaluated before it?
    pub(super) fn has_from_before(&self, expr: &Expr) -> bool {
        self.places.get(&address(expr)).is_some_and(|slot| self.firsts.get(slot) != Some(&address(expr)))
    }

    /// Does an expression other than this one, and inside it, have its series from elsewhere?
    pub(super) fn is_inside(&self, expr: &Expr) -> bool {
        let mut found = false;
        if !self.places.is_empty() {
            expr.walk(&mut |node| found |= !std::ptr::eq(node, expr) && self.places.contains_key(&address(node)));
        }
        found
    }

    /// Lets go of what nobody reads just now. Was there any?
    fn let_go(&self, share: &Share) -> bool {
        let unread = |kept: &mut Kept| Arc::strong_count(&kept.series) == 1;
        let mut slots = self.slots();
        let gone: Vec<Kept> = slots.iter_mut().filter_map(|slot| slot.kept.take_if(unread)).collect();
        gone.iter().for_each(|kept| share.give(kept.bytes));
        !gone.is_empty()
    }

    /// Comes to a place: what was kept for it there, and whether there are more to come.
    fn arrive(&self, slot: usize, grid: &Grid, share: &Share) -> (Option<Kept>, bool) {
        let slot = &mut self.slots()[slot];
        slot.places = slot.places.saturating_sub(1);
        if slot.places > 0 {
            return (slot.kept.clone().filter(|kept| kept.grid == *grid), true);
        }
        let kept = slot.kept.take();
        kept.iter().for_each(|kept| share.give(kept.bytes));
        (kept.filter(|kept| kept.grid == *grid), false)
    }

    fn keep(&self, slot: usize, kept: Kept, share: &Share) {
        if share.take_spare(kept.bytes) {
            let before = self.slots()[slot].kept.replace(kept);
            before.iter().for_each(|before| share.give(before.bytes));
        }
    }
}

impl Query<'_> {
    /// Takes memory; what is kept to spare time is let go for it.
    pub(super) fn take(&self, taken: &Reservation<'_>, bytes: usize) -> Result<(), Error> {
        match taken.take(bytes) {
            Ok(()) => Ok(()),
            Err(error) if error.is_of_all() => {
                self.let_go();
                self.bounds.taking(|| taken.take(bytes))
            }
            Err(_) if self.let_go() => taken.take(bytes),
            refused => refused,
        }
    }

    /// Lets go of what is kept to spare time. Was there any?
    pub(crate) fn let_go(&self) -> bool {
        let shared = self.shared.let_go(&self.bounds.share);
        self.readings.let_go() || shared
    }
}

impl Evaluator<'_> {
    /// The series of an expression that has several places. That they are held is not counted yet. None where they need
    /// not be whole, and there is no room for that.
    pub(super) fn shared(&self, expr: &Expr, grid: &Grid, whole: bool) -> Result<Option<Arc<Vec<Series>>>, Error> {
        let Query { shared, bounds, .. } = self.query;
        let Some(slot) = shared.places.get(&address(expr)).copied() else { return Ok(None) };
        let (kept, more) = shared.arrive(slot, grid, &bounds.share);
        let before = self.held();
        if let Some(kept) = kept {
            self.samples.absorb(&kept.cost);
            if whole {
                self.hold(kept.peak, 0)?;
                self.back_to(before);
            }
            return Ok(Some(kept.series));
        }
        let (peak, annotations, level) =
            (self.peak.replace(before.samples), self.annotations().count(), self.samples.enter_beside());
        let series = self.evaluated(expr, grid);
        let own_peak = self.peak.replace(if whole { peak.max(self.peak.get()) } else { peak }) - before.samples;
        let series = match series {
            Err(error) if !whole && error.is_of_memory() => {
                self.samples.forget(level);
                self.back_to(before);
                return Ok(None);
            }
            series => Arc::new(series?),
        };
        let cost = self.samples.leave();
        self.samples.absorb(&cost);
        self.back_to(before);
        if more && self.annotations().count() == annotations {
            let bytes = series.iter().map(Series::bytes).sum();
            let kept = Kept { series: Arc::clone(&series), grid: *grid, bytes, cost, peak: own_peak };
            shared.keep(slot, kept, &bounds.share);
        }
        Ok(Some(series))
    }

    /// What an aggregation yields where others of the same operand are made beside it, unless there is no room for these.
    pub(super) fn fold_with_others(&self, aggregate: &Aggregate, grid: &Grid) -> Result<Option<Vec<Series>>, Error> {
        let Query { shared, bounds, .. } = self.query;
        let Some(others) = shared.beside.get(&address(aggregate.expr.unwrapped())) else { return Ok(None) };
        let mut folding = Folding::new(aggregate);
        let mut beside: Vec<Folding<'_>> = others.iter().map(|(other, _)| Folding::new(other)).collect();
        let before = self.held();
        let (peak, annotations, level) =
            (self.peak.replace(before.samples), self.annotations().count(), self.samples.enter_beside());
        let needed = Needed::by([aggregate].into_iter().chain(others.iter().map(|(other, _)| *other)));
        let streamed = self.stream_needed((&aggregate.expr, Some(&needed)), grid, &mut |series| {
            self.pace(grid.len)?;
            folding.add(self, &series, (grid.len, true))?;
            beside.iter_mut().try_for_each(|other| other.add(self, &series, (grid.len, false)))
        });
        let own_peak = self.peak.replace(peak.max(self.peak.get())) - before.samples;
        if matches!(&streamed, Err(error) if error.is_of_memory()) {
            self.samples.forget(level);
            self.back_to(before);
            return Ok(None);
        }
        streamed?;
        let cost = self.samples.leave();
        self.samples.absorb(&cost);
        // By itself each would hold its own samples instead of those of the first.
        let operand_peak = own_peak.saturating_sub(folding.samples());
        let series = folding.finish(self);
        let beside: Vec<(usize, Vec<Series>)> =
            beside.into_iter().map(|other| (operand_peak + other.samples(), other.finish(self))).collect();
        if self.annotations().count() == annotations {
            for ((peak, series), (_, slot)) in beside.into_iter().zip(others) {
                let bytes = series.iter().map(Series::bytes).sum();
                let kept = Kept { series: Arc::new(series), grid: *grid, bytes, cost: cost.clone(), peak };
                shared.keep(*slot, kept, &bounds.share);
            }
        }
        Ok(Some(series))
    }

    /// Hands over shared series one by one.
    pub(super) fn hand_over(&self, series: Arc<Vec<Series>>, sink: &mut Sink<'_>) -> Result<(), Error> {
        match Arc::try_unwrap(series) {
            Ok(series) => {
                self.hold(0, series.iter().map(Series::bytes).sum())?;
                series.into_iter().try_for_each(|one| {
                    self.release(0, one.bytes());
                    sink(one)
                })
            }
            Err(series) => series.iter().cloned().try_for_each(sink),
        }
    }
}

/// Do two selectors read the same data? Else no two expressions are equal. Very many, or very long ones, are not compared.
fn repeats_a_selector(query: &Expr) -> bool {
    let (mut selectors, mut text) = (0, 0);
    query.walk(&mut |node| match &node.kind {
        ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) => {
            selectors += 1;
            text += selector.matchers.iter().map(|m| m.name.len() + m.value.len()).sum::<usize>();
        }
        ExprKind::String(string) => text += string.len(),
        _ => {}
    });
    if selectors > SELECTORS_MAX || text > TEXT_MAX {
        return false;
    }
    let mut seen = Vec::new();
    let mut repeats = false;
    query.walk(&mut |node| {
        if let ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) = &node.kind {
            repeats |= seen.contains(&&selector.matchers);
            seen.push(&selector.matchers);
        }
    });
    repeats
}

/// The places in the order in which they are evaluated. What aggregations and their like fold is not needed whole.
fn visit<'e>(expr: &'e Expr, (whole, within): (bool, usize), places: &mut Vec<Place<'e>>) {
    let expr = expr.unwrapped();
    let at = places.len();
    if at > PLACES_MAX {
        return;
    }
    if expr.value_type() == Type::Vector && selects(expr) {
        places.push(Place { expr, whole, end: at, subquery: within });
    }
    match &expr.kind {
        ExprKind::Unary(_, inner) => visit(inner, (whole, within), places),
        ExprKind::Subquery(subquery) => visit(&subquery.expr, (true, address(expr)), places),
        ExprKind::Aggregate(aggregate) => {
            aggregate.param.iter().for_each(|param| visit(param, (false, within), places));
            let whole = aggregate.op == AggregateOp::Quantile || !streams(&aggregate.expr);
            visit(&aggregate.expr, (whole, within), places);
        }
        ExprKind::Binary(binary) => {
            let vectors = binary.matched().is_some();
            visit(&binary.left, (vectors || whole, within), places);
            visit(&binary.right, (vectors || whole, within), places);
        }
        ExprKind::Call(call) => visit_args(call, (whole, within), places),
        _ => {}
    }
    let end = places.len();
    places[at..].iter_mut().take(1).filter(|place| std::ptr::eq(place.expr, expr)).for_each(|place| place.end = end);
}

fn visit_args<'e>(call: &'e Call, (whole, within): (bool, usize), places: &mut Vec<Place<'e>>) {
    for (i, arg) in call.args.iter().enumerate() {
        let is_selector = matches!(arg.unwrapped().kind, ExprKind::Vector(_));
        match call.function.body {
            // These look at the samples themselves.
            Body::Timestamp | Body::StartTimestamp if is_selector => {}
            Body::Info if i > 0 => {}
            Body::Math(_) | Body::AcrossSteps(_) | Body::Date(_) | Body::Timestamp | Body::OfHistograms(_) => {
                visit(arg, (whole && arg.value_type() == Type::Vector, within), places);
            }
            Body::Absent | Body::AbsentOverTime | Body::Scalar | Body::StartTimestamp => {
                visit(arg, (false, within), places)
            }
            _ => visit(arg, (arg.value_type() == Type::Vector, within), places),
        }
    }
}

/// An expression, wherever it stands: all that its nodes say but their places.
fn text(expr: &Expr) -> String {
    let mut bare = expr.clone();
    // How a duration was computed no longer matters.
    let plain = |duration: &mut Duration| duration.expr = None;
    bare.walk_mut(&mut |node| {
        node.span = Span::default();
        match &mut node.kind {
            ExprKind::Vector(selector) => {
                selector.span = Span::default();
                plain(&mut selector.shift.offset);
            }
            ExprKind::Matrix(selector, range) => {
                selector.span = Span::default();
                plain(&mut selector.shift.offset);
                plain(range);
            }
            ExprKind::Subquery(subquery) => {
                plain(&mut subquery.range);
                plain(&mut subquery.shift.offset);
                subquery.step.iter_mut().for_each(plain);
            }
            _ => {}
        }
    });
    format!("{bare:?}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use model::{Matcher, Parts, Querier};
    use proptest::prelude::*;

    use crate::options::Times;
    use crate::parse::ast::{Expr, ExprKind};
    use crate::parse::random::{Part, query};
    use crate::promqltest::agree::store;
    use crate::promqltest::wrapped::{Wrap, Wrapped};
    use crate::promqltest::{Store, everything};
    use crate::{Engine, EngineOptions, Error, Memory, QueryOptions, QueryResult, Stats};

    /// Counts how often the store is read.
    impl Wrap for AtomicUsize {
        fn wrap<'q>(&self, parts: Box<dyn Parts + 'q>) -> Box<dyn Parts + 'q> {
            self.fetch_add(1, Ordering::Relaxed);
            parts
        }
    }

    /// The same query, of which no two selectors are equal.
    fn apart(expr: &Expr) -> Expr {
        let (mut expr, mut n) = (expr.clone(), 0);
        expr.walk_mut(&mut |node| {
            if let ExprKind::Vector(selector) | ExprKind::Matrix(selector, _) = &mut node.kind {
                n += 1;
                selector.matchers.insert(0, Matcher::equal(format!("none_{n}"), ""));
            }
        });
        expr
    }

    fn run(engine: &Engine, store: &dyn Querier, (text, expr): (&str, &Expr)) -> (Result<QueryResult, Error>, Stats) {
        let stats = Arc::new(Mutex::new(Stats::default()));
        let options = QueryOptions { stats: Some(Arc::clone(&stats)), per_step_stats: true, ..QueryOptions::default() };
        let times = Times { start_ms: 420_000, end_ms: 840_000, step_ms: 60_000 };
        let result = engine.run(store, (text, expr.clone()), times, &options);
        let stats = stats.lock().unwrap().clone();
        (result, stats)
    }

    const SIMPLE: [&str; 8] = [
        "up",
        "x_total",
        "rate(x_total[5m])",
        "a:b",
        "up > 1",
        "sum by (job) (up)",
        "-a:b",
        r#"{job!="",__name__!="up"}"#,
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn as_from_each_place_alone(
            a in prop_oneof![query(Part::All).prop_map(|(text, _)| text), prop::sample::select(&SIMPLE[..]).prop_map(str::to_owned)],
            (b, _) in query(Part::All),
            form in prop::sample::select(vec!["A or A", "A and B or A", "-A or sum(A)", "A > 1 or A < 5", "max_over_time(A[2m:]) or min_over_time(A[2m:])", "A / (A + B)", "sort(A) or abs(A)", "sum(A) / (count(A) + max(B))", "topk(2, A) or bottomk(2, A)", "max(abs(A)) - min(ceil(A)) + count(-A)", "A / on (job) group_left () sum by (job) (A) > min(A)"]),
        ) {
            let engine = Engine::new(everything());
            let text = form.replace('A', &format!("({a})")).replace('B', &format!("({b})"));
            let Ok(expr) = engine.parse(&text) else { return Ok(()) };
            let store = store();
            let (shared, cost) = run(&engine, &store, (&text, &expr));
            let (alone, cost_alone) = run(&engine, &store, (&text, &apart(&expr)));
            match (shared, alone) {
                (Ok(shared), Ok(alone)) => {
                    prop_assert_eq!(format!("{:?}", shared.value), format!("{:?}", alone.value), "{}", &text);
                    prop_assert_eq!((shared.warnings, shared.infos), (alone.warnings, alone.infos), "{}", &text);
                    let counts = |stats: Stats| (stats.total_samples, stats.samples_read, stats.per_step);
                    prop_assert!(cost.peak_samples <= cost_alone.peak_samples, "{}: {:?} {:?}", &text, cost, cost_alone);
                    prop_assert_eq!(counts(cost), counts(cost_alone), "{}", &text);
                }
                (shared, alone) => {
                    let told = |result: Result<QueryResult, Error>| result.err().map(|error| error.to_string());
                    prop_assert_eq!(told(shared), told(alone), "{}", &text);
                }
            }
        }
    }

    #[test]
    fn equal_expressions_are_read_once() {
        let mut inner = Store::default();
        for i in 0..40 {
            inner.load_line(&format!("x_total{{i=\"{i}\"}} {i}+{i}x40"), (0, 30_000)).unwrap();
            inner.load_line(&format!("x{{i=\"{i}\"}} {i}+{i}x40"), (0, 30_000)).unwrap();
        }
        let store = Wrapped(inner, AtomicUsize::new(0));
        for (query, reads) in [
            ("rate(x_total[2m]) / (rate(x_total[2m]) + rate(x_total[3m]))", 2),
            ("x_total > 5 and x_total < 30", 1),
            ("(x_total) - x_total offset 1m + x_total", 2),
            ("sum(x_total) / (1 + sum(x_total))", 1),
            ("x_total / on () group_left () sum(x_total)", 1),
            ("max(x_total / x_total) - min(x_total / x_total)", 1),
            ("sum(x_total) / count(x_total) + max(x_total) - count(x_total)", 1),
            ("x_total / on () group_left () max(rate(x_total[2m])) - on () group_left () min(rate(x_total[2m]))", 2),
            // Each has steps of its own, or what is kept would be large.
            ("sum_over_time(sum(x_total)[2m:]) / sum_over_time(count(x_total)[3m:])", 2),
            ("topk(2, x_total) or bottomk(2, x_total)", 1),
            // A annotation is to be said at each place.
            ("rate(x[2m]) / rate(x[2m])", 2),
        ] {
            let engine = Engine::default();
            let expr = engine.parse(query).unwrap();
            let (result, ..) = run(&engine, &store, (query, &expr));
            assert!(result.is_ok(), "{query}");
            assert_eq!(store.1.swap(0, Ordering::Relaxed), reads, "{query}");
        }
    }

    #[test]
    fn what_is_kept_gives_way() {
        let mut store = Store::default();
        for i in 0..40 {
            store.load_line(&format!("x_total{{i=\"{i}\"}} {i}+{i}x40"), (0, 30_000)).unwrap();
        }
        let store = Wrapped(store, AtomicUsize::new(0));
        let run = |query: &str, most: usize, is_apart: bool| {
            let memory = Arc::new(Memory::new(usize::MAX, most));
            // With one thread, what is held when does not depend on chance.
            let options = EngineOptions { memory: Arc::clone(&memory), threads: 1, ..EngineOptions::default() };
            let engine = Engine::new(options);
            let expr = engine.parse(query).unwrap();
            let expr = if is_apart { apart(&expr) } else { expr };
            let (result, ..) = run(&engine, &store, (query, &expr));
            let reads = store.1.swap(0, Ordering::Relaxed);
            let used = result.as_ref().map_or(0, |result| result.value.bytes());
            assert_eq!(memory.used(), used);
            result.map(|_| reads)
        };
        for query in [
            "max(x_total - x_total offset 1m) + max(x_total - x_total offset 2m)",
            "sum by (i) (x_total) / count by (i) (x_total)",
            "max(max_over_time(x_total[2m])) - min(min_over_time(x_total[2m]))",
        ] {
            let (mut kept, mut gave_way) = (false, false);
            for most in (10_000..400_000).step_by(1_000) {
                match (run(query, most, false), run(query, most, true)) {
                    (Ok(reads), Ok(alone)) => {
                        kept |= reads < alone;
                        gave_way |= reads >= alone;
                    }
                    (_, alone) => assert!(alone.is_err(), "{query} fits {most} bytes alone, but not when shared"),
                }
            }
            assert!(kept && gave_way, "{query} {kept} {gave_way}");
        }
    }
}
