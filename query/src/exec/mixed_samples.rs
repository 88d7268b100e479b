//! Functions of series with histograms or start timestamps beside plain floats.

use super::arguments::{ScalarArgs, check_factors};
use super::evaluator::{Evaluator, Sink};
use super::operands::Operands;
use super::ranges::Ranges;
use super::selector::Take;
use crate::Error;
use crate::annotations::{Annotation, AnnotationList};
use crate::functions::RangeFn;
use crate::functions::mixed::{self, Outcome};
use crate::parse::types::Type;
use crate::plan::{Call, NodeId, NodeKind};
use crate::value::{ABSENT, Series, histogram_bytes};
use crate::window::Grid;

impl Evaluator<'_> {
    /// A range function on one series with mixed samples; `f` is the function for floats.
    pub(super) fn mixed_range(
        &self,
        call: &Call,
        f: RangeFn,
        (ranges, scalars): (&Ranges<'_>, &ScalarArgs),
        grid: &Grid,
    ) -> Result<Series, Error> {
        let range = self.arg_of(&call.args, Type::Matrix)?;
        let of_both = mixed::of(call.function.name);
        let mut annotations = AnnotationList::default();
        let mut args = Vec::new();
        let mut series = Series::of_floats(ranges.labels(self)?, ranges.drop_name, vec![ABSENT; grid.len]);
        // Released when the series is handed on, which counts it.
        let mut reserved = self.reserve(0)?;
        for step in 0..grid.len {
            let window = ranges.at(step);
            self.account_work(1 + window.len())?;
            scalars.at(step, &mut args);
            if !window.is_empty() && call.function.name == "double_exponential_smoothing" {
                check_factors(&args)?;
            }
            // Functions without a histogram form use the floats of the window only.
            let outcome = match of_both {
                Some(of_both) => of_both(&window, &mut annotations),
                None => {
                    if !window.ts.is_empty() {
                        self.check_scalar(call, scalars.first(step));
                    }
                    if !window.ts.is_empty() && !window.histograms.is_empty() {
                        annotations.add(Annotation::IgnoredInRange);
                    }
                    f(&window, &args).map(Outcome::Float)
                }
            };
            match outcome {
                Some(Outcome::Float(value)) => series.values[step] = value,
                Some(Outcome::Histogram(histogram)) => {
                    reserved.add(self.query, histogram_bytes(&histogram))?;
                    series.histograms.push((step as u32, histogram));
                }
                None => {}
            }
        }
        let place = match self.range_span(range) {
            place if place == self.span(range) => self.span(call.args[0]),
            place => place,
        };
        self.annotate_all(place, series.labels.name(), &mut annotations);
        Ok(series)
    }

    /// `start_timestamp`: the start timestamps of a selector's samples; computed samples have none.
    pub(super) fn start_timestamp(&self, arg: NodeId, grid: &Grid) -> Result<Vec<Series>, Error> {
        let mut out = Vec::new();
        match &self.node(arg).kind {
            NodeKind::Vector(scan) if scan.extension.is_none() => {
                self.instant_selector((arg, scan), grid, Take::Start, &mut |mut series| {
                    // The selector is still read, for its errors and statistics.
                    if !self.query.uses_starts {
                        return Ok(());
                    }
                    self.hold(series.weight(), series.bytes())?;
                    self.drop_name(&mut series);
                    out.push(series);
                    Ok(())
                })?;
            }
            // Evaluated for its errors and annotations only.
            _ => self.stream(arg, grid, &mut |_| Ok(()))?,
        }
        self.merged(out)
    }

    /// Functions of one histogram, such as `histogram_count`; floats yield nothing.
    pub(super) fn of_histograms(
        &self,
        call: &Call,
        f: fn(&model::Histogram) -> f64,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        self.stream(call.args[0], grid, &mut |mut series| {
            // Floats have no count, sum or deviation.
            series.values.fill(ABSENT);
            for (step, histogram) in std::mem::take(&mut series.histograms) {
                series.values[step as usize] = f(&histogram);
            }
            self.drop_name_of(call, &mut series);
            if series.is_empty() { Ok(()) } else { sink(series) }
        })
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use crate::promqltest::Store;
    use crate::{Engine, EngineOptions, QueryOptions, Value};

    #[test]
    fn a_query_says_whether_start_timestamps_count() {
        let mut store = Store::default();
        store.load_script("load 1m\n  a_total@st 0m-1mx2 -30s-1mx2\n  a_total 10+10x5\n");
        let increase = |engine: bool, query: Option<bool>| {
            let engine = Engine::new(EngineOptions { use_start_timestamps: engine, ..EngineOptions::default() });
            let options = QueryOptions { use_start_timestamps: query, ..QueryOptions::default() };
            let result =
                engine.instant(&store, "increase(a_total[2m] anchored)", Timestamp(240_000), &options).unwrap();
            let Value::Vector(samples) = result.value else { panic!("a vector") };
            samples[0].value
        };
        assert_eq!([increase(false, None), increase(true, None)], [20.0, 50.0]);
        assert_eq!([increase(false, Some(true)), increase(true, Some(false))], [50.0, 20.0]);
    }

    #[test]
    fn counters_are_told_by_their_name_or_by_their_type() {
        let mut store = Store::default();
        store.load_script("load 1m\n  a_total 0+1x5\n  b{__type__=\"counter\"} 0+1x5\n  c{__type__=\"gauge\"} 0+1x5\n");
        let infos = |features: &[&str], name: &str| {
            let engine = Engine::new(EngineOptions::default().with_features(features.iter().copied()));
            engine
                .instant(&store, &format!("rate({name}[5m])"), Timestamp(240_000), &QueryOptions::default())
                .unwrap()
                .infos
        };
        let typed = ["type-and-unit-labels"];
        let by_type = |kind: &str, name: &str| {
            let wanted = "__type__ label is not set to \"counter\" or \"histogram\"";
            format!("PromQL info: metric might not be a counter, {wanted}, got {kind:?}: {name:?} (1:6)")
        };
        assert_eq!(infos(&typed, "a_total"), [by_type("", "a_total")]);
        assert_eq!(infos(&typed, "b"), [""; 0]);
        assert_eq!(infos(&typed, "c"), [by_type("gauge", "c")]);
        assert_eq!(infos(&[], "a_total"), [""; 0]);
        assert!(infos(&[], "b")[0].contains("name does not end in"));
    }
}
