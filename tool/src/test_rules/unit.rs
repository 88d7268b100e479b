//! Runs a unit test: samples and evaluations in the order of time, and what is expected in between.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use ::config::{RuleFile, UnitTest, UnitTestFile};
use ::rules::{Context, GroupSpec, Options, RuleSpec, Simulation, TestSamples, TestSeries, duration_text};
use model::duration::format_duration_ms;
use model::float::format_f;
use model::{Labels, Lateness, SeriesAppender as _, SeriesBatch, SourceLabels};
use query::promqltest::SharedStore;
use query::{Engine, QueryOptions, Value};

use super::{alerts, exprs, labels::braced};

/// What the tests of a file share.
pub(super) struct Setting<'a> {
    pub(super) file: &'a UnitTestFile,
    pub(super) rule_files: &'a [RuleFile],
    pub(super) engine: &'a Arc<Engine>,
    /// Are differences of alerts shown, instead of both sides?
    pub(super) with_diff: bool,
}

/// Runs a test. What differs is added to `errors`; returns the store as the test leaves it, if it came to its end.
pub(super) fn run(setting: &Setting<'_>, test: &UnitTest, errors: &mut Vec<String>) -> Option<Arc<SharedStore>> {
    try_run(setting, test, errors).unwrap_or_else(|error| {
        errors.push(error);
        None
    })
}

/// The same; an error is why the test could not begin.
fn try_run(
    setting: &Setting<'_>,
    test: &UnitTest,
    errors: &mut Vec<String>,
) -> Result<Option<Arc<SharedStore>>, String> {
    let mut series = TestSeries::of(test)?;
    let store: Arc<SharedStore> = Arc::default();
    let simulation = simulation(setting, test, &store)?;
    let mut alert_tests: Vec<_> = test.alert_rule_test.iter().collect();
    alert_tests.sort_by_key(|alert_test| alert_test.eval_time_ms);
    let mut alert_tests = alert_tests.into_iter().peekable();
    let interval_ms = setting.file.evaluation_interval_ms;
    for step in 0..=last_ms(test) / interval_ms {
        let offset_ms = step * interval_ms;
        let ts = test.start.saturating_add(offset_ms);
        append(&store, &series.take_until(ts))?;
        let failed = simulation.evaluate_at(ts);
        if !failed.is_empty() {
            // The time since the epoch, whatever the start: as upstream.
            let time = duration_text(ts.0.saturating_mul(1_000_000));
            let told = |(rule, error): &(&RuleSpec, _)| format!("    rule: {}, time: {time}, err: {error}", rule.name);
            errors.extend(failed.iter().map(told));
            return Ok(None);
        }
        // Alerts between two evaluations are those of the first one.
        while let Some(alert_test) = alert_tests.next_if(|next| next.eval_time_ms < offset_ms + interval_ms) {
            errors.extend(alerts::check(alert_test, &simulation, (&test.name, setting.with_diff)));
        }
    }
    for expr_test in &test.promql_expr_test {
        let ts = test.start.saturating_add(expr_test.eval_time_ms);
        let result = setting.engine.instant(store.as_ref(), &expr_test.expr, ts, &QueryOptions::default());
        errors.extend(exprs::check(expr_test, result, setting.file.fuzzy_compare).err());
    }
    Ok(Some(store))
}

/// The time of the last expectation, since the start.
fn last_ms(test: &UnitTest) -> i64 {
    let alerts = test.alert_rule_test.iter().map(|alert_test| alert_test.eval_time_ms);
    alerts.chain(test.promql_expr_test.iter().map(|expr_test| expr_test.eval_time_ms)).max().unwrap_or(0)
}

/// The groups of all rule files, in their order; those that `group_eval_order` names in that one.
fn simulation(setting: &Setting<'_>, test: &UnitTest, store: &Arc<SharedStore>) -> Result<Simulation, String> {
    let mut specs = Vec::new();
    for file in setting.rule_files {
        let groups = GroupSpec::of_file(file, test.interval_ms, setting.engine);
        specs.extend(groups.map_err(|error| model::with_causes(&error))?);
    }
    // Groups that are not named are evaluated beside the first one that is: upstream's tests that pass whatever its map's order
    // rely on nothing else.
    let order = &setting.file.group_eval_order;
    specs.sort_by_key(|spec| order.iter().position(|name| *name == spec.name).unwrap_or(0));
    let context = Context {
        engine: Arc::clone(setting.engine),
        querier: Arc::<SharedStore>::clone(store),
        appender: Arc::<SharedStore>::clone(store),
        notify: Arc::new(|_| {}),
        external_labels: Labels::from_pairs(&test.external_labels),
        external_url: test.external_url.as_str().into(),
        query_offset_ms: 0,
        wanted: None,
        options: Options::default(),
    };
    Simulation::new(specs, context).map_err(|error| model::with_causes(&error))
}

fn append(store: &SharedStore, samples: &[TestSamples]) -> Result<(), String> {
    let series: Vec<_> = samples.iter().map(TestSamples::as_series).collect();
    let batch = SeriesBatch { series: &series, sources: &SourceLabels::Known, lateness: Lateness::Window, memo: None };
    // Nothing is refused: samples of rules at this time come after these, and those of before are older.
    store.append_series(&batch).map(drop).map_err(|error| model::with_causes(&error))
}

/// Runs a test, and prints all samples that there are at its end.
pub(super) fn run_with_dump(
    setting: &Setting<'_>,
    (name, test): (&str, &UnitTest),
    errors: &mut Vec<String>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let begun = Instant::now();
    writeln!(out, "DEBUG: Starting test {name}")?;
    if let Some(store) = run(setting, test, errors) {
        dump(setting.engine, (&store, test), out)?;
    }
    writeln!(out, "DEBUG: Test {name} finished, took {:?}", begun.elapsed())
}

fn dump(engine: &Engine, (store, test): (&SharedStore, &UnitTest), out: &mut dyn Write) -> io::Result<()> {
    // Up to the next whole second, as upstream.
    let range_ms = (last_ms(test) / 1000).saturating_add(1).saturating_mul(1000);
    let expr = format!(r#"{{__name__=~".+"}}[{}]"#, format_duration_ms(range_ms));
    let end = test.start.saturating_add(range_ms);
    let series = match engine.instant(store, &expr, end, &QueryOptions::default()).map(|result| result.value) {
        Ok(Value::Matrix(series)) => series,
        Ok(_) => Vec::new(),
        Err(error) => return writeln!(out, "DEBUG: Failed query exec, expr: {expr:?}, err: {error}"),
    };
    let time = duration_text(range_ms.saturating_mul(1_000_000));
    writeln!(out, "DEBUG: Dump of all data (input_series and rules) at {time}:")?;
    if series.is_empty() {
        writeln!(out)?;
    }
    for one in series {
        writeln!(out, "{} =>", braced(one.labels.iter()))?;
        one.points.iter().try_for_each(|(ts, value)| writeln!(out, "{} @[{ts}]", format_f(*value)))?;
        one.histograms.iter().try_for_each(|(ts, histogram)| writeln!(out, "{histogram} @[{ts}]"))?;
    }
    Ok(())
}
